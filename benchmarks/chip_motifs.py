"""Motif rates of samples conditioned on a transcription factor: ChIP peaks of CTCF and PU.1.

A sequence has a motif if the best window of a JASPAR matrix, on either strand, scores above the 99% quantile of this
score over shuffled peaks. Peaks that share a 20-mer are in the same part of the split; the rates of the peaks of the
test set are the ceiling.

    pip install pyjaspar
    python benchmarks/chip_motifs.py --check                                # rates of the peaks, no training
    python benchmarks/chip_motifs.py --models MaskedDiffusion,Autoregressive --csv chip.csv
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from common import (
    Rows,
    add_no_test,
    begin,
    data_file,
    held_out,
    make_models,
    model_parser,
    show,
    split_parts,
    timed_fit,
    timed_generate,
)

from seqdiff.data import DNA, cluster_split
from seqdiff.evaluation import copied_fraction

MATRICES = {"ctcf": "MA0139.1", "pu1": "MA0080.7"}  # CTCF; SPI1, which is PU.1
PSEUDOCOUNT = 0.1  # added to the count of each letter
SHUFFLED = 20_000  # peaks, half of them of each class
AIMS = {"ctcf": (0.60, 0.07), "pu1": (0.55, 0.05)}


def log_odds(name: str) -> np.ndarray:
    """Return a JASPAR matrix as log2 odds against uniform letters, (width, 4), in the order A, C, G, T."""
    from pyjaspar import jaspardb

    for release in ("JASPAR2024", "JASPAR2022", "JASPAR2020"):
        motif = jaspardb(release=release).fetch_motif_by_id(name)
        if motif is not None:
            counts = np.array([motif.counts[letter] for letter in "ACGT"]).T + PSEUDOCOUNT
            return np.log2(counts / counts.sum(1, keepdims=True) / 0.25)
    raise SystemExit(f"pyjaspar: got no matrix {name}, expected one in JASPAR2020 to JASPAR2024")


def best_window(tokens: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the best score over all windows and both strands, (n,)."""
    width = tokens.shape[1] - len(matrix) + 1
    strands = []
    for one in (matrix, matrix[::-1, ::-1]):  # reversing A, C, G, T gives the complements
        strands.append(sum(row[tokens[:, i : i + width]] for i, row in enumerate(one)).max(1))
    return np.maximum(*strands)


class Motifs:
    """Both matrices with their thresholds."""

    def __init__(self, peaks: dict[str, list[str]]) -> None:
        rng = np.random.default_rng(0)
        half = SHUFFLED // 2
        tokens = [DNA.encode(sequences)[0] for sequences in peaks.values()]
        some = np.concatenate([x[rng.permutation(len(x))[:half]] for x in tokens])
        shuffled = rng.permuted(some, axis=1)
        self.matrices = {label: log_odds(name) for label, name in MATRICES.items()}
        self.thresholds = {k: float(np.quantile(best_window(shuffled, m), 0.99)) for k, m in self.matrices.items()}

    def rates(self, sequences: Sequence[str]) -> dict[str, float]:
        """Return the share of the sequences that have each motif."""
        tokens = DNA.encode(list(sequences))[0]
        return {
            f"{label} motif": float((best_window(tokens, matrix) > self.thresholds[label]).mean())
            for label, matrix in self.matrices.items()
        }


def load_peaks(limit: int | None = None) -> tuple[pd.DataFrame, Motifs]:
    """Return peaks (seq, label, split), at most 3 * `limit`, and the motifs with the thresholds of all peaks."""
    table = pd.read_csv(data_file("chip_ctcf_pu1.csv"))
    motifs = Motifs({label: table.seq[table.label == label].tolist() for label in MATRICES})
    if limit:
        table = table.sample(min(len(table), 3 * limit), random_state=0).reset_index(drop=True)
    return table.assign(split=cluster_split(table.seq.tolist(), alphabet="dna")), motifs


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = model_parser(__doc__)
    parser.add_argument("--samples", type=int, default=2000, help="of each class")
    parser.add_argument("--steps", type=int, help="steps of sampling; default: those of each model")
    add_no_test(parser)
    parser.add_argument("--check", action="store_true", help="only the rates of the peaks, no training")
    args = parser.parse_args()
    begin()
    table, motifs = load_peaks(args.limit)
    natural = [
        {"peaks": f"{label}, {part}", "n": len(some), **motifs.rates(some.seq.tolist())}
        for label in MATRICES
        for part in ("all", "valid", "test")
        if len(some := table[(table.label == label) & ((part == "all") | (table.split == part))])
    ]
    print(f"matrices {MATRICES}, thresholds {motifs.thresholds}")
    show(natural)
    if args.check:
        return
    parts = split_parts(table)
    rows = Rows(args.csv)
    for name, seed, model in make_models(args, alphabet="dna"):
        x, y = {k: t.seq.tolist() for k, t in parts.items()}, {k: t.label.to_numpy() for k, t in parts.items()}
        row = {"model": name, "seed": seed, "bound": model.bound_}
        row |= timed_fit(model, x["train"], y["train"], validation=(x["valid"], y["valid"]))
        for part in ("valid",) if args.no_test else ("valid", "test"):
            row[part], row[f"{part} MC"] = held_out(model, x[part], args.draws, y[part])
        for label, (wanted, allowed) in AIMS.items():
            samples, speed = timed_generate(model, args.samples, y=label, random_state=seed, steps=args.steps)
            rates = motifs.rates(samples)
            other = next(k for k in AIMS if k != label)
            row[f"{label}: on"], row[f"{label}: off"] = rates[f"{label} motif"], rates[f"{other} motif"]
            reached = row[f"{label}: on"] >= wanted and row[f"{label}: off"] <= allowed
            row[f"{label}: aim"] = f"{wanted:.2f}/{allowed:.2f} {'reached' if reached else 'missed'}"
            row[f"{label}: copied"] = copied_fraction(samples, x["train"])
            row[f"{label}: per CPU-s"] = speed["per CPU-s"]
        rows.add(row)
    rows.show()


if __name__ == "__main__":
    main()
