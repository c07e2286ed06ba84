"""Conditions with a known answer: a signal, or a class, says where a motif stands; do the samples put it there?

Random letters with TATAAT at a random place. The signal is a bump over its middle; the class is the place in steps of
8. The share of 1,000 samples with the motif where it was asked for, beside the share with it anywhere else, for
`DirichletFM` and its distilled student.

    python benchmarks/motif_place.py
    python benchmarks/motif_place.py --sequences 200 --epochs 1 --pairs 100    # that all works
"""

from __future__ import annotations

import argparse

import numpy as np
from common import begin, cpu_seconds, show

from seqdiff import DirichletFM

MOTIF = "TATAAT"
LENGTH = 40


def sequences_with(places: np.ndarray, seed: int) -> list[str]:
    """Return random sequences with the motif at these places."""
    letters = np.random.default_rng(seed).choice(list("ACGT"), (len(places), LENGTH))
    for row, place in zip(letters, places, strict=True):
        row[place : place + len(MOTIF)] = list(MOTIF)
    return ["".join(row) for row in letters]


def bump(places: np.ndarray) -> np.ndarray:
    """Return the signals (n, L, 1) of these places."""
    middle = places[:, None] + (len(MOTIF) - 1) / 2
    return np.exp(-0.5 * ((np.arange(LENGTH) - middle) / 3) ** 2)[..., None]


def shares(samples: list[str], places: np.ndarray) -> dict[str, float]:
    """Return how often the motif stands where it should, and how often elsewhere only."""
    right = [s[p : p + len(MOTIF)] == MOTIF for s, p in zip(samples, places, strict=True)]
    elsewhere = [MOTIF in s and not r for s, r in zip(samples, right, strict=True)]
    return {"at its place": float(np.mean(right)), "elsewhere": float(np.mean(elsewhere))}


def main() -> None:
    """Run the experiment and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=5000)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--network", default="conv")
    args = parser.parse_args()
    begin()
    rng = np.random.default_rng(0)
    steps = np.arange(0, LENGTH - len(MOTIF), 8)
    rows = []
    for kind in ("signal", "class"):
        places = (
            rng.integers(0, LENGTH - len(MOTIF) + 1, args.sequences)
            if kind == "signal"
            else rng.choice(steps, args.sequences)
        )
        wanted = rng.permutation(places)[: args.samples]
        label = bump if kind == "signal" else (lambda places: [f"at {p}" for p in places])
        start = cpu_seconds()
        model = DirichletFM(network=args.network, epochs=args.epochs, savepath=None, verbose=0)
        model.fit(sequences_with(places, 1), label(places), validation=None)
        seconds = cpu_seconds() - start
        made = model.generate(len(wanted), y=label(wanted), random_state=0)
        rows.append({"told by": kind, "model": "DirichletFM, 50 calls", **shares(made, wanted), "CPU-s": seconds})
        start = cpu_seconds()
        student = model.distill(args.pairs, y=label(places) if kind == "signal" else None)
        seconds = cpu_seconds() - start
        made = student.generate(len(wanted), y=label(wanted), random_state=0)
        rows.append({"told by": kind, "model": "DistilledFM, 1 call", **shares(made, wanted), "CPU-s": seconds})
        show(rows)


if __name__ == "__main__":
    main()
