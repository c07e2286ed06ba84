"""Alphabets with names, and the one that a user means by `alphabet=`.

The letters of smiles are those of the data, cut as in the Molecular Transformer (Schwaller et al. 2019, arXiv
1811.02633): atoms of two characters, atoms in brackets and ring numbers of two digits are one letter each.

Bits per letter are per letter of the alphabet, be it a codon or a word; nats per sequence compare across alphabets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import chain

from seqdiff.alphabets.alphabet import LETTERS, SMILES_LETTERS, Alphabet, guess_alphabet
from seqdiff.alphabets.levels import named_levels
from seqdiff.alphabets.vocabularies import MOST_LETTERS, PIECES, WORDS, OverlappingKmers, PieceAlphabet, WordAlphabet
from seqdiff.errors import InputError, argument, of_kind, shown

AlphabetLike = str | Sequence[str] | Alphabet
"""A name, the letters themselves, or an alphabet; see `resolve_alphabet`."""
DNA, RNA, PROTEIN = (Alphabet(letters, name) for name, letters in LETTERS.items())
CODONS = Alphabet(Alphabet.kmers("dna", 3).letters, "codons")
kmers = Alphabet.kmers
_NAMED = {"dna": DNA, "rna": RNA, "protein": PROTEIN, "codons": CODONS}
_NAMES = ("auto", *_NAMED, "smiles", "words", "bpe")
_OTHERS = {
    "amino": "protein", "amino acid": "protein", "aminoacid": "protein", "aa": "protein", "peptide": "protein",
    "prot": "protein", "nucleotide": "dna", "nt": "dna", "nucleic": "dna", "base": "dna", "codon": "codons",
    "word": "words", "text": "words", "guess": "auto", "automatic": "auto",
}  # fmt: skip
"""Other names of the alphabets, in the singular."""
_SIZED = {"words": (WordAlphabet, WORDS), "bpe": (PieceAlphabet, PIECES)}
DIGITS = 18  # that are read of a number: enough for it to be too large, where Python refuses more than 4300


def is_learned(spec: object) -> bool:
    """Return whether the letters of an `alphabet` of a user are those of the sequences.

    >>> [is_learned(spec) for spec in ("auto", "SMILES", "words 500", "dna", DNA)]
    [True, True, True, False, False]
    """
    return isinstance(spec, str) and (spec.lower() in ("auto", "smiles") or _sized(spec) is not None)


def _sized(spec: str) -> re.Match[str] | None:
    return re.fullmatch(r"(words|bpe)(?: ([0-9]+))?", spec.lower())


def _near_miss(name: str) -> str:
    """Return the name of an alphabet that a string in lower case was probably meant to be; "" for letters.

    >>> [_near_miss(name) for name in ("proteins", "dna 3mers", "amino acids", "acgtn", "abc", "hp")]
    ['protein', 'dna 3-mers', 'protein', '', '', '']
    """
    plain = re.sub(r"[\s_-]+", " ", name).strip()
    if words := re.fullmatch(r"(dna|rna|protein) ?(overlapping )?([0-9]+) ?mers?|([0-9]+) ?mers?", plain):
        return f"{words[1] or 'dna'} {words[2] or ''}{words[3] or words[4]}-mers"
    for known in (plain, plain.removesuffix("s")):
        if known in _NAMES or known in _OTHERS:
            return _OTHERS.get(known, known)
    close = difflib.get_close_matches(plain, [n for n in _NAMES if len(n) > 3], 1, 0.8) if len(plain) > 3 else []
    return close[0] if close else ""


def smiles_alphabet(sequences: Sequence[str]) -> Alphabet:
    """Return the alphabet of the letters of SMILES strings, sorted; other characters are an error where encoded.

    >>> smiles_alphabet(["CC(=O)Cl", "c1c[nH]cc1", "C%10CC%10"]).letters
    ('%10', '(', ')', '1', '=', 'C', 'Cl', 'O', '[nH]', 'c')
    """
    found = set(chain.from_iterable(re.findall(SMILES_LETTERS, sequence) for sequence in sequences))
    if len(found) < 2:
        letters = f"{len(found)} letters of SMILES"
        raise InputError("the sequences", letters, "at least two", "give more sequences, or another alphabet")
    return Alphabet(sorted(found), "smiles")


def resolve_alphabet(spec: str | Sequence[str] | Alphabet, sequences: Sequence[str] = ()) -> Alphabet:
    """Return the alphabet that a user named.

    Parameters
    ----------
    spec : str, sequence of str or Alphabet
        ``"auto"`` guesses by the letters: at least 90% A, C, G, T (or U) is DNA (RNA where U outnumbers T), the twenty
        amino acids are protein (a few ambiguity codes and gaps do not hide it, so that they are refused later); text
        and SMILES are never guessed. ``"dna"``, ``"rna"``, ``"protein"``, ``"codons"`` (in any case) name theirs,
        ``"dna 3-mers"`` (``"rna 2-mers"``, ...) the words of 3 letters, ``"dna overlapping 3-mers"`` the same at
        every position, and ``"smiles"`` the atoms, bonds, rings and branches of the sequences. ``"words"`` are the
        1,000 most frequent words of the sequences (``"words 5000"``), the others spelled; ``"bpe"`` pieces of words
        that make 256 letters with the characters (``"bpe 512"``), ``"levels 64"`` the levels of images. Any other
        string, or a list, is the letters themselves; ``"ACGT"`` is `DNA` itself.
    sequences : sequence of str
        Read for ``"auto"``, ``"smiles"``, ``"words"`` and ``"bpe"`` alone.

    Raises
    ------
    InputError
        If nothing can be guessed, or the letters are no alphabet.

    Examples
    --------
    >>> from seqdiff.data import resolve_alphabet
    >>> resolve_alphabet("auto", ["ACGTTGCA", "acgtt"]).name
    'dna'
    >>> resolve_alphabet("smiles", ["CCO", "CCBr"]).letters
    ('Br', 'C', 'O')
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
        if (levels := named_levels(name)) is not None:
            return levels
        if words := re.fullmatch(r"(dna|rna|protein) (overlapping )?([0-9]+)-mers", name):
            return (OverlappingKmers.make if words[2] else kmers)(words[1], int(words[3][:DIGITS]))
        if sized := _sized(name):
            make, size = _SIZED[sized[1]]
            size = int(sized[2][:DIGITS]) if sized[2] else size
            if not 2 <= size <= MOST_LETTERS:
                wanted = f"2 to {MOST_LETTERS:,} letters"
                raise InputError(argument("alphabet"), shown(spec), wanted, "give such a number")
            return make.learn(sequences, size)  # type: ignore[attr-defined]
        if near := _near_miss(name):
            wanted = f"one of {', '.join(_NAMES)}, an Alphabet or the letters themselves"
            cure = f"did you mean {near!r} (letters that spell such a name are given as a list, one by one)?"
            raise InputError(argument("alphabet"), shown(spec), wanted, cure)
    elif not isinstance(spec, (list, tuple)):
        wanted = f"{', '.join(map(repr, _NAMES))}, an Alphabet or a string of the letters themselves"
        raise InputError(argument("alphabet"), f"{shown(spec)} ({of_kind(spec)})", wanted, "give one of these")
    for named in (DNA, RNA, PROTEIN):
        if "".join(map(str, spec)) == "".join(named.letters):
            return named
    return Alphabet(spec)
