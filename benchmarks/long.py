"""Long sequences: simulated species whose likelihood is known, and what a letter costs at each length.

Ten species are Markov chains of order 5 with random transitions (`Species`), so that the log-likelihood of any sequence
given its species is known. Models are fitted with the species as condition, and

1. held-out bits per letter given the species are compared with the exact ones of the same sequences;
2. samples for a species, with classifier-free guidance of strength gamma, are judged by the exact likelihood ratio of
   that species and the likeliest other one;
3. with --cost, CPU-seconds and peak memory of a training step, of scoring and of generating are measured for each
   length, every figure in a process of its own; batches have as many letters at all lengths.

    python benchmarks/long.py --models Autoregressive              # 8,192 letters
    python benchmarks/long.py --models MaskedDiffusion,SCUD
    python benchmarks/long.py --length 1000 --letters 400000       # a quick look
    python benchmarks/long.py --cost
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Rows, begin, bits_error, cpu_seconds, kept_model, make_models, model_parser, nats, show, strengths

import seqdiff
from seqdiff.guidance import ClassifierFree

ORDER, SPECIES, CONCENTRATION = 5, 10, 20.0
SETTINGS: dict[str, Any] = {
    "width": 128, "depth": 2, "lr": 2e-3, "dropout": 0.0, "batch_size": 1, "epochs": 1,
    "network_options": {"kernel": 5, "dilations": [1], "positions": False},
}  # fmt: skip
LENGTHS = [1000, 8192, 32_768]


class Species:
    """A stationary Markov chain over ACGT.

    The letters after a context of k letters have a distribution that is drawn around that of its last k - 1 letters,
    a Dirichlet distribution with the sum ``CONCENTRATION * 2^k``: each order adds half as much as the one before.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        p = rng.dirichlet([10.0] * 4)[None]
        for k in range(ORDER):  # a context as a number to base 4: its oldest letter is the first digit
            draws = rng.standard_gamma(np.maximum(CONCENTRATION * 2**k * np.tile(p, (4, 1)), 1.0))  # none is near 0
            p = draws / draws.sum(1, keepdims=True)
        self.p = p  # (contexts, 4)
        self.stationary = np.full(4**ORDER, 4.0**-ORDER)
        for _ in range(200):  # the letter that leaves a context is its oldest
            self.stationary = (self.stationary[:, None] * self.p).reshape(4, -1).sum(0)

    def entropy(self, order: int = ORDER) -> float:
        """Bits per letter of a long sequence, of which the last `order` letters are known."""
        joint = (self.stationary[:, None] * self.p).reshape(-1, 4**order, 4).sum(0)
        return float(-(joint * np.log2(joint / joint.sum(1, keepdims=True))).sum())

    def sample(self, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """Draw tokens (n, length)."""
        context = rng.choice(4**ORDER, n, p=self.stationary)
        x = np.empty((n, length), dtype=np.uint8)
        x[:, :ORDER] = context[:, None] // 4 ** np.arange(ORDER - 1, -1, -1) % 4
        for i in range(ORDER, length):
            x[:, i] = (self.p[context].cumsum(1) <= rng.random(n)[:, None]).sum(1).clip(max=3)
            context = (4 * context + x[:, i]) % 4**ORDER
        return x

    def log_likelihood(self, x: np.ndarray) -> np.ndarray:
        """Return log p of tokens (n, L), (n,) nats."""
        windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.int64), ORDER, axis=1)
        contexts = windows @ 4 ** np.arange(ORDER - 1, -1, -1)  # (n, L - ORDER + 1)
        return np.log(self.stationary[contexts[:, 0]]) + np.log(self.p[contexts[:, :-1], x[:, ORDER:]]).sum(1)


def tokens(sequences: list[str]) -> np.ndarray:
    """Return letters of sequences of one length as numbers (n, L)."""
    return np.searchsorted(np.frombuffer(b"ACGT", np.uint8), np.frombuffer("".join(sequences).encode(), np.uint8)) \
        .reshape(len(sequences), -1)  # fmt: skip


def draw(species: list[Species], each: int, length: int, seed: int) -> tuple[list[str], list[str]]:
    """Return `each` sequences of every species and their labels, the species in turn."""
    rng = np.random.default_rng(seed)
    x = np.stack([chain.sample(each, length, rng) for chain in species], 1).reshape(-1, length)
    letters = np.frombuffer(b"ACGT", np.uint8)[x]
    return [row.tobytes().decode() for row in letters], [f"species {i}" for i in range(len(species))] * each


def exact(species: list[Species], sequences: list[str]) -> np.ndarray:
    """Return log p of each sequence under each species, (n, species) nats."""
    return np.stack([chain.log_likelihood(tokens(sequences)) for chain in species], 1)


# -- likelihood and guidance ------------------------------------------------------------------------------------------


def judged(species: list[Species], sequences: list[str], wanted: np.ndarray) -> dict[str, float]:
    """Return the share of sequences whose likeliest species is the one wanted (n,), and figures per letter.

    The ratio is that of the wanted and the likeliest other species.
    """
    log_p, length = exact(species, sequences), len(sequences[0])
    own = log_p[np.arange(len(wanted)), wanted]
    others = np.where(np.arange(len(species)) == wanted[:, None], -np.inf, log_p).max(1)
    ratio = (own - others) / length
    bits = -own.mean() / length / np.log(2)
    return {"share": float((ratio > 0).mean()), "log ratio": float(ratio.mean()), "bits": float(bits)}


def quality(args: argparse.Namespace) -> None:
    """Fit the models, and print bits per letter and what guidance does."""
    species = [Species(np.random.default_rng([0, i])) for i in range(SPECIES)]
    length, each = args.length, max(1, args.letters // (SPECIES * args.length))
    X, y = draw(species, each, length, seed=1)
    valid, test = (draw(species, max(1, args.held_out // (SPECIES * length)), length, seed=seed) for seed in (2, 3))
    known = [np.mean([chain.entropy(order) for chain in species]) for order in range(ORDER + 1)]
    print(f"{len(X)} sequences of {length:,} letters; bits per letter given the last 0 to {ORDER} letters:")
    print(", ".join(f"{bits:.4f}" for bits in known), flush=True)
    rows = Rows(args.csv)
    held = valid if args.no_test else test
    classes = np.arange(len(held[0])) % SPECIES
    rows.add({"model": "species", **judged(species, held[0], classes)})
    for name, seed, model in make_models(args, **SETTINGS):
        start = cpu_seconds()
        model = kept_model(args.keep, f"{name}-{length}-{seed}", model, X, y, validation=valid)
        row = {"model": name, "seed": seed, "CPU-s": cpu_seconds() - start}
        known = -exact(species, held[0])[np.arange(len(classes)), classes].sum() / np.log(2) / len(classes) / length
        score, error = nats(model, *held, args.draws)
        bits = -score.sum() / np.log(2) / len(classes) / length
        rows.add(row | {"held-out bits": bits, "exact": known, "gap": bits - known,
                        "MC error": bits_error(error, len(classes) * length)})  # fmt: skip
        wanted = np.arange(args.samples) % SPECIES
        for gamma in args.gamma if args.samples else ():
            start = cpu_seconds()
            samples = model.generate(
                args.samples, y=[f"species {i}" for i in wanted], guidance=ClassifierFree(gamma), steps=args.steps,
                random_state=0,
            )  # fmt: skip
            used = (cpu_seconds() - start) / args.samples / length
            rows.add({"model": name, "seed": seed, "gamma": gamma, **judged(species, samples, wanted),
                      "us per letter": used * 1e6})  # fmt: skip
    rows.show()


# -- cost -------------------------------------------------------------------------------------------------------------

COSTS = [  # what, estimator, settings
    ("training", "MaskedDiffusion", {}),
    ("training", "MaskedDiffusion", {"network_options": {"positions": False, "checkpointing": True}}),
    ("training", "MaskedDiffusion", {"network": "bytenet"}),
    ("training", "Autoregressive", {}),
    ("training", "UniformDiffusion", {}),
    ("training", "SCUD", {}),
    ("scoring", "MaskedDiffusion", {}),
    ("scoring", "Autoregressive", {}),
    ("scoring", "UniformDiffusion", {}),
    ("generating, 50 steps", "MaskedDiffusion", {}),
    ("generating, 50 steps", "MaskedDiffusion", {"network": "bytenet"}),
    ("generating, 50 steps", "UniformDiffusion", {}),
    ("generating, default", "Autoregressive", {}),
    ("generating, default", "MaskedDiffusion", {}),
]


def memory(kind: str = "VmRSS") -> int:
    """Return the bytes of memory in use now; "VmHWM": the most since `forget_peak`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(kind))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Let the peak of memory start from what is in use now.

    Not `getrusage`, whose peak is that of the process's whole life and of the one that it was forked from.
    """
    Path("/proc/self/clear_refs").write_text("5")


def measured(what: str, name: str, length: int, together: int, settings: dict[str, Any], file: str) -> dict[str, float]:
    """Return CPU-seconds and peak memory per letter of a batch of so many letters `together`, in this process."""
    torch.set_num_threads(1)
    tiny = getattr(seqdiff, name)(**settings, epochs=1, savepath=None, verbose=0).fit(["ACGTACGT"] * 8, ["a", "b"] * 4)
    tiny.score_samples(tiny.generate(1, y="a", steps=1, random_state=0))  # loads all that there is to load
    rows = max(1, together // length)
    X = ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (4 * rows, length))]
    y, repeats = [f"species {i % SPECIES}" for i in range(len(X))], 1
    if what == "training":
        model = getattr(seqdiff, name)(**settings, epochs=3, batch_size=rows, savepath=None, verbose=0)
        forget_peak()
        before, start = memory(), cpu_seconds()
        model.fit(X, y, validation=None)
        letters = 3 * len(X) * length
    else:
        model, X, y = seqdiff.load(file), X[:rows], y[:rows]
        step = what.removeprefix("generating, ").removesuffix(" steps")
        steps = int(step) if step.isdigit() else None
        repeats = 10 if what == "scoring" and model.bound_ == "exact" else 1
        # a letter of few sequences costs as much as one of many, where one is generated after another
        n = 8 if what.startswith("generating") and name == "Autoregressive" else rows
        forget_peak()
        before, start = memory(), cpu_seconds()
        for _ in range(repeats):
            if what == "scoring":
                model.score_samples(X, y)
            else:
                model.generate(n, y=y[0], steps=steps, random_state=0)
        rows, letters = n, repeats * n * length
    used = cpu_seconds() - start
    return {"us": used / letters * 1e6, "kB": max(0, memory("VmHWM") - before) / 1024 / (rows * length)}


def cost(args: argparse.Namespace) -> None:
    """Measure each cost at each length in a process of its own."""
    rows = Rows(args.csv)
    with tempfile.TemporaryDirectory() as folder:
        for what, name, more in COSTS:
            if (args.only and args.only not in what) or name not in args.models.split(","):
                continue
            settings = {"network_options": {"positions": False}} | more
            row: dict[str, Any] = {"": what, "model": name, "settings": json.dumps(more) if more else ""}
            for length in args.lengths:
                file = str(Path(folder) / "model.safetensors")
                if what != "training":  # untrained is as expensive
                    X = ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (SPECIES, length))]
                    model = getattr(seqdiff, name)(**settings, epochs=1, batch_size=1, savepath=None, verbose=0)
                    model.fit(X, [f"species {i}" for i in range(SPECIES)], validation=None).save(file)
                asked = json.dumps([what, name, length, args.together, settings, file])
                command = [sys.executable, __file__, "--measure", asked]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                row |= {f"us {length}": found["us"], f"kB {length}": found["kB"]}
            for unit in ("us", "kB"):
                values = [row[f"{unit} {length}"] for length in args.lengths]
                row[f"{unit} last/first"] = values[-1] / max(values[0], 1e-9)
            rows.add(row)
    show(rows.rows)


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = model_parser(__doc__, models=("Autoregressive", "MaskedDiffusion", "UniformDiffusion", "SCUD"))
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--letters", type=int, default=16_000_000, help="letters to train on")
    parser.add_argument("--held-out", type=int, default=400_000, help="letters of the validation and of the test set")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100, help="network calls of a sample, but for Autoregressive")
    parser.add_argument("--gamma", type=strengths, default=[1.0, 2.0, 3.0])
    parser.add_argument("--no-test", action="store_true", help="judge by the validation set, to choose settings")
    parser.add_argument("--keep", metavar="FOLDER", help="save the generators there, or load them from there")
    parser.add_argument("--cost", action="store_true", help="measure costs instead")
    parser.add_argument("--only", help="with --cost: only what holds this text, such as 'training'")
    parser.add_argument(
        "--lengths", type=lambda text: [*map(int, text.split(","))], default=LENGTHS, help="with --cost"
    )
    parser.add_argument("--together", type=int, default=32_768, help="with --cost: letters of a batch")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measured(*json.loads(args.measure))))
        return
    begin()
    (cost if args.cost else quality)(args)


if __name__ == "__main__":
    main()
