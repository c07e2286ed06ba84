"""Letters: biological ones, their ambiguity codes, words of them, and a guess of the alphabet of strings.

Codes: IUPAC-IUB 1984 (nucleotides), IUPAC-IUBMB 1983 (amino acids; J = I or L is the later mass-spectrometry code).
"""

from __future__ import annotations

import math
import numbers
import re
from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np

from seqdiff.errors import InputError, argument, shorten, shown

NUCLEOTIDE_CODES = {
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
PROTEIN_CODES = {"B": "DN", "Z": "EQ", "J": "IL", "X": "ACDEFGHIKLMNPQRSTVWY"}
RARE_AMINO_ACIDS = "UO"  # selenocysteine, pyrrolysine: IUPAC letters, but not of the twenty
GAPS = "-."
LETTERS = {"dna": "ACGT", "rna": "ACGU", "protein": "ACDEFGHIKLMNPQRSTVWY"}
# A bracket atom, an element, a bond, branch, ring ...: one letter each (Schwaller et al. 2019, arXiv 1811.02633).
SMILES_LETTERS = r"\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>|\*|\$|%[0-9]{2}|[0-9]"
MOST_WORDS = 65_536  # that an alphabet of k-mers may have
ASCII_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


class AlphabetError(ValueError):
    """A letter that the alphabet does not have.

    Attributes: `index`, which sequence; `position`, where in it (characters; both from 0); `letter`, what is there.
    """

    def __init__(self, message: str, index: int, position: int, letter: str):
        super().__init__(message)
        self.index, self.position, self.letter = index, position, letter

    def __reduce__(self):
        return type(self), (self.args[0], self.index, self.position, self.letter)


NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
"""A decimal number: no underscores, no zeros before it, no infinity, nothing else that Python's float takes."""


def upper(sequence: str) -> str:
    """Return the upper case of ASCII letters only: "ß".upper() is "SS", two serines."""
    return sequence.upper() if sequence.isascii() else sequence.translate(ASCII_UPPER)


def unknown(flat: np.ndarray, lengths: np.ndarray, missing: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns (in letters) of the flat tokens that equal `missing`, in reading order."""
    where = np.flatnonzero(flat == missing)
    ends = np.cumsum(lengths)
    rows = np.searchsorted(ends, where, side="right")
    return rows, where - (ends[rows] - lengths[rows])


def guess_alphabet(sequences: Sequence[str]) -> str:
    """Return ``"dna"``, ``"rna"`` or ``"protein"`` by counts of letters in any case (see `resolve_alphabet`)."""
    text = "".join([sequence.strip() for sequence in sequences])
    if text.isascii():
        codes = np.bincount(np.frombuffer(text.upper().encode("ascii"), dtype=np.uint8), minlength=128)
        counts = Counter({chr(i): int(n) for i, n in enumerate(codes) if n})
    else:
        counts = Counter(text.translate(ASCII_UPPER))
    for gap in GAPS:
        counts.pop(gap, None)
    total = sum(counts.values())
    t, u = counts["T"], counts["U"]
    bases = counts["A"] + counts["C"] + counts["G"] + t + u
    # Many N's would pass for asparagine: letters that are all nucleotide codes, mostly plain ones, are nucleotides.
    ambiguous = sum(counts[code] for code in NUCLEOTIDE_CODES)
    masked = bases + ambiguous == total and bases + counts["N"] >= 0.9 * total and bases >= 0.5 * total
    if total and (bases >= 0.9 * total or masked):
        return "rna" if u > t else "dna"
    amino = sum(counts[letter] for letter in LETTERS["protein"])
    other = {x: n for x, n in counts.items() if x not in LETTERS["protein"] and x not in "BZJXUO*"}
    if total and not other and amino >= 0.9 * total:
        return "protein"
    found = ", ".join(repr(x) for x, _ in Counter(other or counts).most_common(8)) or "none but gaps"
    wanted = "those of DNA, RNA or protein, as text and SMILES are never guessed"
    cure = f"pass {argument('alphabet', 'dna')}, 'rna', 'protein', 'smiles' or a string of all the letters"
    raise InputError(argument("alphabet"), f"letters (among them {found})", wanted, cure)


def base_of(name: str) -> str:
    """Return the one of dna, rna and protein of which an alphabet of this name has letters or words, "" where of none.

    >>> base_of("codons"), base_of("protein 2-mers"), base_of("custom")
    ('dna', 'protein', '')
    """
    if name in LETTERS:
        return name
    words = re.fullmatch(r"(dna|rna|protein) (?:overlapping )?\d+-mers", name)
    return "dna" if name == "codons" else words[1] if words else ""


def check_name(name: str, base: str, letters: Sequence[str], width: int) -> None:
    """Refuse other letters under a name that means something."""
    wanted = ""
    if name == base and base and set(letters) != set(LETTERS[base]):
        wanted = f"the letters {LETTERS[base]}"
    elif name != base and base and not (width and set("".join(letters)) <= set(LETTERS[base])):
        wanted = f"words of one length, made of {LETTERS[base]}"
    elif name == "smiles" and not all(re.fullmatch(SMILES_LETTERS, letter) for letter in letters):
        wanted = "the atoms, bonds, branches and rings of SMILES"
    if wanted:
        found = f"{name!r} for {shorten(''.join(letters))!r}"
        raise InputError(argument("name"), found, f"{wanted} under this name", "choose another name")


def words_of(letters: str | Sequence[str], k: int) -> tuple[list[str], str]:
    """Return all words of k letters, and the name of their alphabet; `letters` may be the name dna, rna or protein.

    >>> words_of("ab", 2)
    (['aa', 'ab', 'ba', 'bb'], '2-mers')
    """
    if isinstance(letters, str) and letters.lower() in LETTERS:
        letters = LETTERS[letters.lower()]
    if len(set(letters)) < 2 or len(set(letters)) < len(letters) or any(len(letter) != 1 for letter in letters):
        wanted = "two or more different letters of one character, of which k-mers are made"
        raise InputError(argument("letters"), shown(letters, 40), wanted, "give such letters")
    most = int(math.log(MOST_WORDS, len(set(letters))) + 1e-9)  # no power of k itself: k may be a trillion
    if not isinstance(k, numbers.Integral) or isinstance(k, bool) or not 2 <= k <= most:
        if most < 2:
            found, wanted = f"{len(letters)} letters", f"fewer, as these make more than {MOST_WORDS:,} words of two"
            raise InputError(argument("letters"), found, wanted, "take the letters themselves")
        words = f"of {len(letters)} letters at most {MOST_WORDS:,} words, each a letter of its own"
        raise InputError("k", shown(k), f"a whole number from 2 to {most}, which makes {words}", "give one of these")
    base = next((name for name, own in LETTERS.items() if set(own) == set(letters)), "")
    return ["".join(word) for word in product(letters, repeat=k)], f"{base} {k}-mers".strip()


def code_table(points: np.ndarray, ignores_case: bool) -> np.ndarray:
    """Return the token of each code point, the number of tokens where there is none; the last is for all beyond."""
    table = np.full(max(256, points.max() + 2), len(points), dtype=np.min_scalar_type(len(points)))
    table[points] = np.arange(len(points))
    if ignores_case:
        table[points + 32] = np.arange(len(points))
    return table
