"""A published model of molecules (UDLM, MDLM) in this package: agreement of logits, samples, guides, template, reward.

The model is a folder or a repository in the layout of Schiff et al. (2024, arXiv 2412.10193). Valid: RDKit can read the
string; unique: different strings among the valid ones; novel: those that are not in the data. Rings and drug-likeness
(QED) are means over the novel ones. `logits.pt` in the folder, where there is one, holds tokens x (B, L), times t (B,)
and the logits (B, L, K) of the authors' code (`none` without labels; `cond` of labels `y`, `null` of the null label),
with which those of the converted model are compared.

    pip install rdkit "seqdiff[hub]"
    python benchmarks/published.py hf://kuleshov-group/udlm-qm9
    python benchmarks/published.py FOLDER --samples 256 --gamma 1 --gamma 3 --csv published.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import Rows, begin, cpu_seconds, data_file
from steer_molecules import properties

import seqdiff
from seqdiff.guidance import ClassifierFree, Reward


def chemistry(samples: Sequence[str], known: set[str]) -> dict[str, float]:
    """Return numbers of valid, unique and novel samples, and mean rings and QED of the novel ones."""
    table = properties(samples)
    valid = [s for s, rings in zip(samples, table["rings"], strict=True) if np.isfinite(rings)]
    novel = sorted(set(valid) - known)
    means = properties(novel).mean() if novel else pd.Series({"rings": np.nan, "qed": np.nan})
    return {
        "valid": len(valid),
        "unique": len(set(valid)),
        "novel": len(novel),
        "rings": float(means["rings"]),
        "qed": float(means["qed"]),
        "rings of valid": float(table["rings"].mean()),
    }


def rings(sequences: Sequence[str]) -> list[float]:
    """Return the rings of each molecule, -1 for what is none: a reward."""
    return properties(sequences)["rings"].fillna(-1).tolist()


def largest_difference(model: Any, saved: Path) -> float:
    """Return the largest absolute difference of logits from those of a file."""
    given, network = torch.load(saved, weights_only=True), model.model_.network
    keep = torch.ones(len(given["x"]), dtype=torch.bool)
    conditions: dict[str, Any] = {"none": None}
    if "y" in given:
        conditions = {"cond": {"label": given["y"], "keep": keep}, "null": {"label": given["y"], "keep": ~keep}}
    with torch.no_grad():
        found = {name: network(given["x"], given["t"].double(), cond) for name, cond in conditions.items()}
    return max(float((logits - given[name]).abs().max()) for name, logits in found.items())


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder, or hf://owner/name")
    parser.add_argument("--tokenizer", help="where the model's folder has none")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--gamma", type=float, action="append", help="strengths of classifier-free guidance")
    parser.add_argument("--prefix", default="C1CC", help="letters that the template fixes")
    parser.add_argument("--rewarded", type=int, default=256, help="samples with a reward: several rows each")
    parser.add_argument("--score", type=int, default=200, help="molecules of the data to score")
    parser.add_argument("--csv")
    args = parser.parse_args()
    begin()
    data = pd.read_csv(data_file("qm9_smiles.csv"), keep_default_na=False).smiles.tolist()
    known, model = set(data), seqdiff.convert_udlm(args.model, args.tokenizer)
    if (saved := Path(args.model) / "logits.pt").is_file():
        print(f"largest difference of logits: {largest_difference(model, saved):.2g}")
    if args.score:
        chosen = [data[i] for i in np.random.default_rng(0).permutation(len(data))[: args.score]]
        scores = model.score_samples(chosen)
        error = scores.std() / len(scores) ** 0.5
        print(f"bound of {len(scores)} molecules: {-scores.mean():.2f} nats a molecule, standard error {error:.2f}")
    alphabet = model.alphabet_
    begun = alphabet.split(args.prefix)
    begun = begun[: begun.index(alphabet.end)] if alphabet.end in begun else begun
    template = [*begun, *[None] * (model.model_.lengths.max_length - len(begun))]
    ways: dict[str, dict[str, Any]] = {"unguided": {}}
    if model.target_ is not None:
        last = model.target_.classes_[-1]
        for gamma in args.gamma or (1.0, 2.0, 3.0):
            ways[f"label {last}, gamma {gamma:g}"] = {"y": last, "guidance": ClassifierFree(gamma)}
    ways[f"template {args.prefix}..."] = {"template": template}
    ways["reward: rings"] = {"guidance": Reward(rings, 1.0)}
    rows = Rows(args.csv)
    for name, options in ways.items():
        start = cpu_seconds()
        n = min(args.samples, args.rewarded) if name.startswith("reward") else args.samples
        samples = model.generate(n, steps=args.steps, random_state=0, **options)
        row = {"way": name, "samples": n, **chemistry(samples, known), "CPU-s": cpu_seconds() - start}
        rows.add(row)
    rows.show()


if __name__ == "__main__":
    main()
