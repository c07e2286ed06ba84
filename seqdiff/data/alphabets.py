"""The alphabets that have names, and the one that a person means by `alphabet=`.

dna, rna and protein; codons and other k-mers, which are read k characters at a time; and smiles, whose letters are
those of the data, cut as in the Molecular Transformer (Schwaller et al. 2019, arXiv 1811.02633): atoms of two
characters, atoms in brackets and ring numbers of two digits are one letter each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqdiff.data.alphabet import Alphabet
from seqdiff.data.letters import LETTERS, SMILES_LETTERS, guess_alphabet, shorten

DNA, RNA, PROTEIN = (Alphabet(letters, name) for name, letters in LETTERS.items())
CODONS = Alphabet(Alphabet.kmers("dna", 3).letters, "codons")
kmers = Alphabet.kmers
_NAMED = {"dna": DNA, "rna": RNA, "protein": PROTEIN, "codons": CODONS}
LEARNED = ("auto", "smiles")
"""Names whose letters only the sequences tell."""


def smiles_alphabet(sequences: Sequence[str]) -> Alphabet:
    """The letters of SMILES strings, sorted.

    What is no part of SMILES is not among them, and so an error wherever the sequences are encoded.

    Raises
    ------
    ValueError
        If there are fewer than two letters.

    Examples
    --------
    >>> smiles_alphabet(["CC(=O)Cl", "c1c[nH]cc1", "C%10CC%10"]).letters
    ('%10', '(', ')', '1', '=', 'C', 'Cl', 'O', '[nH]', 'c')
    """
    pattern = re.compile(SMILES_LETTERS)
    found: set[str] = set()
    for sequence in sequences:
        found.update(pattern.findall(sequence))
    if len(found) < 2:
        raise ValueError(f"the sequences hold {len(found)} letters of SMILES, but at least two are wanted")
    return Alphabet(sorted(found), "smiles")


def resolve_alphabet(spec: str | Sequence[str] | Alphabet, sequences: Sequence[str] = ()) -> Alphabet:
    """The alphabet that a person meant.

    Parameters
    ----------
    spec : str, sequence of str or Alphabet
        ``"auto"`` looks at the letters: at least 90% A, C, G, T (or U) is DNA (RNA where U outnumbers T), the twenty
        amino acids are protein (a few ambiguity codes and gaps do not hide it, so that they can be complained of);
        text and SMILES are never guessed. ``"dna"``, ``"rna"``, ``"protein"``, ``"codons"`` (in any case) name theirs,
        ``"dna 3-mers"`` (``"rna 2-mers"``, ...) the words of so many letters, and ``"smiles"`` the atoms, bonds, rings
        and branches that occur in the sequences. Any other string is the letters themselves, and so is a list of
        letters; ``"ACGT"`` is `DNA` itself.
    sequences : sequence of str
        Looked at for ``"auto"`` and ``"smiles"`` alone.

    Raises
    ------
    ValueError
        If nothing can be guessed, or the letters are no alphabet.

    Examples
    --------
    >>> from seqdiff.data import resolve_alphabet
    >>> resolve_alphabet("auto", ["ACGTTGCA", "acgtt"]).name
    'dna'
    >>> resolve_alphabet("smiles", ["CCO", "CCBr"]).letters
    ('Br', 'C', 'O')
    >>> resolve_alphabet("()CNOcno123=")
    Alphabet('()CNOcno123=', name='custom')
    """
    if isinstance(spec, Alphabet):
        return spec
    if isinstance(spec, str):
        name = spec.lower()
        if name == "auto":
            return _NAMED[guess_alphabet(sequences)]
        if name == "smiles":
            return smiles_alphabet(sequences)
        if name in _NAMED:
            return _NAMED[name]
        if words := re.fullmatch(r"(dna|rna|protein) (\d+)-mers", name):
            return kmers(words[1], int(words[2]))
    elif not isinstance(spec, (list, tuple)):
        raise ValueError(
            'alphabet must be "auto", "dna", "rna", "protein", "codons", "smiles", an Alphabet or a string of the'
            f" letters themselves, not {shorten(repr(spec))} ({type(spec).__name__})"
        )
    for named in (DNA, RNA, PROTEIN):
        if "".join(map(str, spec)) == "".join(named.letters):
            return named
    return Alphabet(spec)
