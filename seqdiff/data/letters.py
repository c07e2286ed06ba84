"""Facts about biological letters: the alphabets, their ambiguity codes, and what a set of strings looks like.

Codes: IUPAC-IUB 1984 (nucleotides), IUPAC-IUBMB 1983 (amino acids; J = I or L is the later mass-spectrometry code).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

NUCLEOTIDE_CODES = {
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
PROTEIN_CODES = {"B": "DN", "Z": "EQ", "J": "IL", "X": "ACDEFGHIKLMNPQRSTVWY"}
RARE_AMINO_ACIDS = "UO"  # selenocysteine, pyrrolysine: IUPAC letters, but not of the twenty
GAPS = "-."
LETTERS = {"dna": "ACGT", "rna": "ACGU", "protein": "ACDEFGHIKLMNPQRSTVWY"}
ASCII_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


def shorten(text: str, limit: int = 40) -> str:
    """The text, or its beginning and dots: messages stay readable whatever they quote."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def unknown(flat: np.ndarray, lengths: np.ndarray, missing: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (in letters) of the flat tokens that equal `missing`, in reading order."""
    where = np.flatnonzero(flat == missing)
    ends = np.cumsum(lengths)
    rows = np.searchsorted(ends, where, side="right")
    return rows, where - (ends[rows] - lengths[rows])


def guess_alphabet(sequences: Sequence[str]) -> str:
    """``"dna"``, ``"rna"`` or ``"protein"``: counts of letters decide, whatever their case (see `resolve_alphabet`).

    Raises
    ------
    ValueError
        If it is none of them.
    """
    counts = count_letters(sequences)
    for gap in GAPS:
        counts.pop(gap, None)
    total = sum(counts.values())
    t, u = counts["T"], counts["U"]
    bases = counts["A"] + counts["C"] + counts["G"] + t + u
    # Many N's would pass for asparagine: letters that are all nucleotide codes, mostly plain ones, are nucleotides.
    codes = sum(counts[code] for code in NUCLEOTIDE_CODES)
    masked = bases + codes == total and bases + counts["N"] >= 0.9 * total and bases >= 0.5 * total
    if total and (bases >= 0.9 * total or masked):
        return "rna" if u > t else "dna"
    amino = sum(counts[letter] for letter in LETTERS["protein"])
    other = {x: n for x, n in counts.items() if x not in LETTERS["protein"] and x not in "BZJXUO*"}
    if total and not other and amino >= 0.9 * total:
        return "protein"
    found = ", ".join(repr(x) for x, _ in Counter(other or counts).most_common(8)) or "none but gaps"
    raise ValueError(
        f"cannot tell the alphabet: the letters (among them {found}) are neither DNA, RNA nor protein, and text and"
        ' SMILES are never guessed; pass alphabet="dna", "rna", "protein" or a string of all the letters'
    )


def count_letters(sequences: Sequence[str]) -> Counter[str]:
    """How often each character stands in the sequences (not the spaces around), ASCII letters as upper case."""
    text = "".join([sequence.strip() for sequence in sequences])
    if text.isascii():
        counts = np.bincount(np.frombuffer(text.upper().encode("ascii"), dtype=np.uint8), minlength=128)
        return Counter({chr(i): int(n) for i, n in enumerate(counts) if n})
    return Counter(text.translate(ASCII_UPPER))
