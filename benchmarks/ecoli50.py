"""Real E. coli promoters: held-out bits per base, sample quality and speed, beside the baselines.

Trains on the train split, chooses on valid, looks at test once for each trained model.

    python benchmarks/ecoli50.py                                        # the conv network, three seeds
    python benchmarks/ecoli50.py --epochs 2 --seeds 3 --samples 0       # what 15 CPU-seconds reach
    python benchmarks/ecoli50.py --network linear-transformer --depth 2 --seeds 1
"""

from __future__ import annotations

import argparse

import numpy as np
from common import begin, bits, cpu_seconds, held_out, load_promoters, natural_halves, quality, show, timed_generate

from seqdiff import MultinomialDiffusion
from seqdiff.evaluation import MarkovChain, PositionalMarkov, PositionWeightMatrix

GPRO = 1.9276  # bits per base that GPro's code reaches in 156 CPU-seconds with a tiny network
CONV = {"batch_size": 128, "lr": 3e-3, "lr_schedule": "cosine", "warmup": 50, "weight_decay": 0.01, "eval_every": 1}


def baselines(parts: dict[str, list[str]]) -> tuple[list[dict], PositionWeightMatrix]:
    """Fit the baselines on train and return their rows, and the position weight matrix."""
    rows: list[dict] = [{"model": "uniform", "valid": 2.0, "test": 2.0}]
    pwm = PositionWeightMatrix()
    named = [("unigram", MarkovChain(order=0)), ("position weight matrix", pwm), ("Markov order 5", MarkovChain())]
    named += [(f"position-specific Markov order {k}", PositionalMarkov(order=k)) for k in (1, 2, 3)]
    for name, model in named:
        start = cpu_seconds()
        model.fit(parts["train"])
        used = cpu_seconds() - start
        scores = {p: bits(model.score_samples(parts[p]), parts[p]) for p in ("valid", "test")}
        rows.append({"model": name, **scores, "CPU-s": used})
    return rows, pwm


def train(parts: dict[str, list[str]], args: argparse.Namespace, seed: int) -> tuple[MultinomialDiffusion, dict]:
    """Train one model; return it and its row."""
    settings = dict(CONV) if args.network == "conv" else {"lr": 1e-3, "batch_size": 64, "eval_every": 1}
    settings |= {k: getattr(args, k) for k in ("width", "depth", "dropout") if getattr(args, k) is not None}
    settings |= {} if args.lr is None else {"lr": args.lr}
    model = MultinomialDiffusion(
        network=args.network, epochs=args.epochs, random_state=seed, savepath=None, verbose=args.verbose, **settings
    )
    start = cpu_seconds()
    model.fit(parts["train"], validation=parts["valid"])
    row = {"model": f"MultinomialDiffusion, {args.network}, seed {seed}", "CPU-s": cpu_seconds() - start}
    return model, row


def reached(model: MultinomialDiffusion, level: float) -> float:
    """Return the CPU-seconds of training after which the estimated validation bound was below the level."""
    history = model.evaluations_
    below = [s for s, b in zip(history["cpu_seconds"], history["bits_per_letter"], strict=True) if b <= level]
    return below[0] if below else float("nan")


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="conv")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--width", type=int)
    parser.add_argument("--depth", type=int)
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--draws", type=int, default=2, help="draws of the noise per figure")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--no-test", action="store_true", help="leave the test split alone, while choosing settings")
    parser.add_argument("--verbose", type=int, default=0)
    args = parser.parse_args()
    begin()
    parts = load_promoters()
    rows, pwm = baselines(parts)
    best, best_bound = None, np.inf
    for seed in range(args.seeds):
        model, row = train(parts, args, seed)
        row["valid"], row["MC error"] = held_out(model, parts["valid"], args.draws)
        if row["valid"] < best_bound:
            best, best_bound = model, row["valid"]
        if not args.no_test:
            row["test"], row["MC error"] = held_out(model, parts["test"], args.draws)
        rows.append(row)
    show(rows)
    assert best is not None
    levels = {row["model"]: row["valid"] for row in rows if "seed" not in row["model"]} | {"GPro's code": GPRO}
    print("\nCPU-seconds of training until the validation estimate passes each (best model on valid):")
    show([{"level": name, "bits/base": level, "CPU-s": reached(best, level)} for name, level in levels.items()])
    if args.samples:
        sample_tables(best, pwm, parts, args.samples)


def sample_tables(model: MultinomialDiffusion, pwm: PositionWeightMatrix, parts: dict, n: int) -> None:
    """Print sample quality and speed; natural sequences are split in two halves of n that share no cluster."""
    everything = parts["train"] + parts["valid"] + parts["test"]
    natural, other = natural_halves(everything, n)
    n = len(natural)
    rows = [{"samples": f"natural, {n} others", **quality(other, natural, natural)}]
    rows.append({"samples": "PWM", **quality(pwm.generate(n, random_state=0), parts["train"], natural)})
    for steps in (10, 25, 50, 100):
        samples, speed = timed_generate(model, n, steps=steps, random_state=0)
        rows.append({"samples": f"{steps} steps", **quality(samples, parts["train"], natural), **speed})
    for row in rows:
        row["ratio"] = row["6-mer JS"] / rows[0]["6-mer JS"]
    print(f"\nsamples, n = {n}:")
    show(rows)


if __name__ == "__main__":
    main()
