"""Conditions on the position of a motif, as a signal or as a class: accuracy of the samples.

The training set has random letters with TATAAT at a random position. The signal is a bump over its middle; the class is
the position in steps of 8. The table gives the share of 1,000 samples with the motif at the requested position, and the
share with the motif only elsewhere, for `DirichletFM` and its distilled student.

    python benchmarks/motif_place.py
    python benchmarks/motif_place.py --sequences 200 --epochs 1 --pairs 100    # a quick check
"""

from __future__ import annotations

import numpy as np
from common import begin, cpu_seconds, plain_parser, show

from seqdiff import DirichletFM

MOTIF = "TATAAT"
LENGTH = 40


def sequences_with(positions: np.ndarray, seed: int) -> list[str]:
    """Return random sequences with the motif at the given positions."""
    letters = np.random.default_rng(seed).choice(list("ACGT"), (len(positions), LENGTH))
    for row, position in zip(letters, positions, strict=True):
        row[position : position + len(MOTIF)] = list(MOTIF)
    return ["".join(row) for row in letters]


def bump(positions: np.ndarray) -> np.ndarray:
    """Return the signals (n, L, 1) of positions."""
    middle = positions[:, None] + (len(MOTIF) - 1) / 2
    return np.exp(-0.5 * ((np.arange(LENGTH) - middle) / 3) ** 2)[..., None]


def shares(samples: list[str], positions: np.ndarray) -> dict[str, float]:
    """Return the share of samples with the motif at the requested position, and with the motif only elsewhere."""
    right = [s[p : p + len(MOTIF)] == MOTIF for s, p in zip(samples, positions, strict=True)]
    elsewhere = [MOTIF in s and not r for s, r in zip(samples, right, strict=True)]
    return {"at the position": float(np.mean(right)), "elsewhere": float(np.mean(elsewhere))}


def main() -> None:
    """Run the experiment and print its table."""
    parser = plain_parser(__doc__)
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
        positions = (
            rng.integers(0, LENGTH - len(MOTIF) + 1, args.sequences)
            if kind == "signal"
            else rng.choice(steps, args.sequences)
        )
        requested = rng.permutation(positions)[: args.samples]
        label = bump if kind == "signal" else (lambda positions: [f"at {p}" for p in positions])
        start = cpu_seconds()
        model = DirichletFM(network=args.network, epochs=args.epochs, savepath=None, verbose=0)
        model.fit(sequences_with(positions, 1), label(positions), validation=None)
        seconds = cpu_seconds() - start
        samples = model.generate(len(requested), y=label(requested), random_state=0)
        rows.append(
            {"condition": kind, "model": "DirichletFM, 50 calls", **shares(samples, requested), "CPU-s": seconds}
        )
        start = cpu_seconds()
        student = model.distill(args.pairs, y=label(positions) if kind == "signal" else None)
        seconds = cpu_seconds() - start
        samples = student.generate(len(requested), y=label(requested), random_state=0)
        rows.append({"condition": kind, "model": "DistilledFM, 1 call", **shares(samples, requested), "CPU-s": seconds})
        show(rows)


if __name__ == "__main__":
    main()
