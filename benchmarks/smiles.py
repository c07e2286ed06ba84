"""Drug-like molecules as SMILES: bits per character, and how many written strings are molecules, different and new.

Valid: RDKit can read it. Unique: different canonical forms among the valid ones. Novel: canonical forms that the
training molecules do not have, among the unique ones. One random substitution of a character leaves 21% valid.

    pip install rdkit
    python benchmarks/smiles.py --seeds 1 --csv smiles.csv
    python benchmarks/smiles.py --models SCUD --no-test --set epochs=20       # while choosing settings
    python benchmarks/smiles.py --letters atoms                               # Cl, Br and [nH] are one letter each
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from common import Rows, add_model_options, begin, data_file, make_models, nats, show, timed_fit, timed_generate

from seqdiff import Alphabet
from seqdiff.data import random_split
from seqdiff.evaluation import MarkovChain


def canonical(sequences: Sequence[str]) -> list[str | None]:
    """Return the canonical form of each string, None where it is no molecule."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    molecules = [Chem.MolFromSmiles(s) for s in sequences]
    return [None if m is None or not m.GetNumAtoms() else Chem.MolToSmiles(m) for m in molecules]


def chemistry(samples: Sequence[str], known: set[str]) -> dict[str, float]:
    """Return validity, uniqueness and novelty, shares of all, of the valid and of the unique ones."""
    valid = [form for form in canonical(samples) if form is not None]
    unique = set(valid)
    return {
        "valid": len(valid) / len(samples),
        "unique": len(unique) / max(1, len(valid)),
        "novel": len(unique - known) / max(1, len(unique)),
    }


def letters_of(sequences: Sequence[str], kind: str) -> Alphabet:
    """Return the characters that occur, or characters, the usual two-character atoms and what stands in brackets."""
    pattern = r"\[[^\]]*\]|Cl|Br|." if kind == "atoms" else "."
    return Alphabet(sorted({letter for s in sequences for letter in re.findall(pattern, s)}), "molecules")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser)
    parser.add_argument("--samples", type=int, default=5000, help="0 for none")
    parser.add_argument("--steps", type=int, help="steps to generate in; default: each model's own")
    parser.add_argument("--letters", choices=("characters", "atoms"), default="characters")
    parser.add_argument("--no-test", action="store_true", help="leave the test split alone, while choosing settings")
    args = parser.parse_args()
    begin()
    table = pd.read_csv(data_file("smiles_moses60k.csv"))
    train, test = (table.seq[table.split == part].tolist()[: args.limit] for part in ("train", "test"))
    alphabet = letters_of(train + test, args.letters)
    kept, held = random_split(len(train), min(0.1, 1000 / len(train)), 0)
    fit, valid = ([train[i] for i in rows] for rows in (kept, held))
    known = {form for form in canonical(train) if form is not None} if args.samples else set()
    chain: Any = MarkovChain(alphabet=alphabet).fit(train)
    level: dict[str, Any] = {"model": "Markov order 5"} | figures(chain.score_samples(test), test, "test")
    if args.samples:
        level |= chemistry(chain.generate(args.samples, random_state=0), known)
        show([{"model": "held-out molecules", **chemistry(test[: args.samples], known)}, level])
    rows = Rows(args.csv)
    for name, seed, model in make_models(args, alphabet=alphabet):
        row = {"model": name, "seed": seed, "bound": model.bound_, **timed_fit(model, fit, validation=valid)}
        score, error = nats(model, valid, draws=args.draws)
        row |= figures(score, valid, "valid", error)
        if not args.no_test:
            score, error = nats(model, test, draws=args.draws)
            row |= figures(score, test, "test", error)
        if args.samples:
            samples, speed = timed_generate(model, args.samples, steps=args.steps, random_state=seed)
            row |= chemistry(samples, known) | speed
        rows.add(row)
    rows.show()


def figures(
    score: np.ndarray, sequences: Sequence[str], part: str, error: np.ndarray | None = None
) -> dict[str, float]:
    """Return bits per character and their Monte Carlo error."""
    characters = sum(map(len, sequences)) * np.log(2)
    found = {f"{part} bits": float(-score.sum() / characters)}
    return found if error is None else found | {f"{part} MC": float(np.sqrt((error**2).sum()) / characters)}


if __name__ == "__main__":
    main()
