"""E. coli promoters: bits per base, sample quality and speed of multinomial diffusion and of baselines.

Models are trained on the training split and selected on the validation split; the test split is evaluated once for
each.

    python benchmarks/ecoli50.py                                        # the conv network, three seeds
    python benchmarks/ecoli50.py --epochs 2 --seeds 3 --samples 0       # within 15 CPU-seconds
    python benchmarks/ecoli50.py --network linear-transformer --depth 2 --seeds 1
"""

from __future__ import annotations

import argparse

import numpy as np
from common import (
    add_no_test,
    begin,
    bits,
    cpu_seconds,
    held_out,
    load_promoters,
    natural_halves,
    plain_parser,
    quality,
    reference_rows,
    show,
    timed_generate,
)

from seqdiff import MultinomialDiffusion
from seqdiff.evaluation import MarkovChain, PositionalMarkov, PositionWeightMatrix

GPRO = 1.9276  # bits per base of GPro's code after 156 CPU-seconds with a tiny network
CONV = {"batch_size": 128, "lr": 3e-3, "lr_schedule": "cosine", "warmup": 50, "weight_decay": 0.01, "eval_every": 1}


def baselines(parts: dict[str, list[str]]) -> list[dict]:
    """Fit the baselines on the training split and return their rows."""
    rows: list[dict] = [{"model": "uniform", "valid": 2.0, "test": 2.0}]
    named = [("unigram", MarkovChain(order=0)), ("position weight matrix", PositionWeightMatrix())]
    named += [("Markov order 5", MarkovChain())]
    named += [(f"position-specific Markov order {k}", PositionalMarkov(order=k)) for k in (1, 2, 3)]
    for name, model in named:
        start = cpu_seconds()
        model.fit(parts["train"])
        used = cpu_seconds() - start
        scores = {p: bits(model.score_samples(parts[p]), parts[p]) for p in ("valid", "test")}
        rows.append({"model": name, **scores, "CPU-s": used})
    return rows


def train(parts: dict[str, list[str]], args: argparse.Namespace, seed: int) -> tuple[MultinomialDiffusion, dict]:
    """Train a model; return it with its row."""
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
    """Return the CPU-seconds of training until the estimated validation bound is below the level."""
    history = model.evaluations_
    below = [s for s, b in zip(history["cpu_seconds"], history["bits_per_letter"], strict=True) if b <= level]
    return below[0] if below else float("nan")


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = plain_parser(__doc__)
    parser.add_argument("--network", default="conv")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--width", type=int)
    parser.add_argument("--depth", type=int)
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--draws", type=int, default=2, help="draws of the noise per value")
    parser.add_argument("--samples", type=int, default=5000)
    add_no_test(parser)
    parser.add_argument("--verbose", type=int, default=0)
    args = parser.parse_args()
    begin()
    parts = load_promoters()
    rows = baselines(parts)
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
        sample_table(best, parts, args.samples)


def sample_table(model: MultinomialDiffusion, parts: dict[str, list[str]], n: int) -> None:
    """Print quality and speed of n samples, at most half the number of natural sequences."""
    natural, other = natural_halves(parts, n)
    n = len(natural)
    rows = reference_rows(parts["train"], natural, other)
    for steps in (10, 25, 50, 100):
        samples, speed = timed_generate(model, n, steps=steps, random_state=0)
        rows.append({"samples": f"{steps} steps", **quality(samples, parts["train"], natural), **speed})
    for row in rows:
        row["ratio"] = row["6-mer JS"] / rows[0]["6-mer JS"]
    print(f"\nsamples, n = {n}:")
    show(rows)


if __name__ == "__main__":
    main()
