"""Drug-like molecules as SMILES: bits per character; validity, uniqueness and novelty of the samples.

Valid: RDKit can read the string. Unique: share of different canonical forms among the valid ones. Novel: share of
canonical forms that do not occur in training among the unique ones. After one random substitution of a character, 21%
are valid.

    pip install rdkit
    python benchmarks/smiles.py --seeds 1 --csv smiles.csv
    python benchmarks/smiles.py --models SCUD --no-test --set epochs=20       # to choose settings
    python benchmarks/smiles.py --letters atoms                               # Cl, Br and [nH] are one letter each
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd
from common import (
    Rows,
    add_no_test,
    begin,
    bits,
    data_file,
    held_out,
    make_models,
    model_parser,
    show,
    timed_fit,
    timed_generate,
)

from seqdiff import Alphabet
from seqdiff.data import random_split
from seqdiff.evaluation import MarkovChain


def parsed(sequences: Iterable[str]) -> Iterator[Any]:
    """Yield RDKit's molecule of each string, None for invalid and empty ones."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    for sequence in sequences:
        molecule = Chem.MolFromSmiles(sequence)
        yield molecule if molecule is not None and molecule.GetNumAtoms() else None


def canonical(sequences: Sequence[str]) -> list[str | None]:
    """Return the canonical form of each string, None for invalid ones."""
    from rdkit import Chem

    return [None if molecule is None else Chem.MolToSmiles(molecule) for molecule in parsed(sequences)]


def chemistry(samples: Sequence[str], known: set[str]) -> dict[str, float]:
    """Return the shares of valid, unique and novel samples."""
    valid = [form for form in canonical(samples) if form is not None]
    unique = set(valid)
    return {
        "valid": len(valid) / len(samples),
        "unique": len(unique) / max(1, len(valid)),
        "novel": len(unique - known) / max(1, len(unique)),
    }


def letters_of(sequences: Sequence[str], kind: str) -> Alphabet:
    """Return the alphabet of characters, or of atoms: Cl, Br and each bracket expression are one letter."""
    pattern = r"\[[^\]]*\]|Cl|Br|." if kind == "atoms" else "."
    return Alphabet(sorted({letter for s in sequences for letter in re.findall(pattern, s)}), "molecules")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__)
    parser.add_argument("--samples", type=int, default=5000, help="0 for none")
    parser.add_argument("--steps", type=int, help="steps of sampling; default: those of each model")
    parser.add_argument("--letters", choices=("characters", "atoms"), default="characters")
    add_no_test(parser)
    args = parser.parse_args()
    begin()
    table = pd.read_csv(data_file("smiles_moses60k.csv"))
    train, test = (table.seq[table.split == part].tolist()[: args.limit] for part in ("train", "test"))
    alphabet = letters_of(train + test, args.letters)
    kept, held = random_split(len(train), min(0.1, 1000 / len(train)), 0)
    fit, valid = ([train[i] for i in rows] for rows in (kept, held))
    known = {form for form in canonical(train) if form is not None} if args.samples else set()
    chain: Any = MarkovChain(alphabet=alphabet).fit(train)
    level: dict[str, Any] = {"model": "Markov order 5", "test bits": bits(chain.score_samples(test), test)}
    if args.samples:
        level |= chemistry(chain.generate(args.samples, random_state=0), known)
        show([{"model": "test molecules", **chemistry(test[: args.samples], known)}, level])
    rows = Rows(args.csv)
    for name, seed, model in make_models(args, alphabet=alphabet):
        row = {"model": name, "seed": seed, "bound": model.bound_, **timed_fit(model, fit, validation=valid)}
        row["valid bits"], row["valid MC"] = held_out(model, valid, args.draws)
        if not args.no_test:
            row["test bits"], row["test MC"] = held_out(model, test, args.draws)
        if args.samples:
            samples, speed = timed_generate(model, args.samples, steps=args.steps, random_state=seed)
            row |= chemistry(samples, known) | speed
        rows.add(row)
    rows.show()


if __name__ == "__main__":
    main()
