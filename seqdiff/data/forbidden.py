"""Words that no sequence may hold: restriction sites on both strands, runs of one letter, motifs."""

from __future__ import annotations

import numbers
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqdiff.data.alphabet import Alphabet
from seqdiff.data.alphabets import DNA, PROTEIN, RNA
from seqdiff.data.letters import NUCLEOTIDE_CODES, base_of


class Forbidden:
    """Words in an alphabet of single characters, or in what letters of several characters spell.

    Codons and other k-mers of nucleotides spell nucleotides: IUPAC symbols, enzymes and both strands go for them, too.

    Parameters
    ----------
    words : str, int or sequence of them
        Letters and IUPAC symbols (``GGTCTC``, ``GANTC``); for DNA the name of a restriction enzyme (``BsaI``, in any
        case); a whole number k for runs of k of the same letter.
    alphabet : Alphabet
    both_strands : bool
        Whether reverse complements are forbidden, too, where the alphabet has complements.

    Attributes
    ----------
    patterns : list of ndarray
        (m, K) booleans, the letters of a word at each of its positions; empty where letters are of several characters.

    Raises
    ------
    ValueError
        If a word is none.

    Examples
    --------
    >>> from seqdiff.data import DNA
    >>> sites = Forbidden(["BsaI", 4], DNA)
    >>> sites.found("ACGAGACCA"), sites.found("ACAAAAC"), sites.found("ACGT")
    ('BsaI', 'AAAA', None)
    """

    def __init__(self, words: Any, alphabet: Alphabet, both_strands: bool = True) -> None:
        several = isinstance(words, Sequence) and not isinstance(words, str)
        words = list(words) if several else [words]
        plain = all(len(letter) == 1 for letter in alphabet.letters)
        letters = alphabet if plain else _characters(alphabet)
        self.names: list[str] = []
        patterns: list[np.ndarray] = []
        for word in words:
            for name, symbols in _spelled(word, letters):
                pattern = np.zeros((len(symbols), len(letters)), dtype=bool)
                for i, symbol in enumerate(symbols):
                    pattern[i, list(_letters_of(symbol, word, letters))] = True
                strands = [pattern]
                if both_strands and letters.complement is not None:
                    strands.append(pattern[::-1][:, list(letters.complement)])
                for strand in strands:
                    if not any(p.shape == strand.shape and (p == strand).all() for p in patterns):
                        patterns.append(strand)
                        self.names.append(name)
        self.patterns = patterns if plain else []
        self._regular = [
            re.compile("".join("[" + re.escape("".join(np.array(letters.letters)[row])) + "]" for row in pattern))
            for pattern in patterns
        ]

    def found(self, sequence: str) -> str | None:
        """Return the first of the words, as it was given, that a sequence holds; None if it holds none."""
        return next((n for n, r in zip(self.names, self._regular, strict=True) if r.search(sequence)), None)

    def unavoidable(self, allowed: np.ndarray) -> str | None:
        """Return the word that every sequence of a template (L, K) of booleans holds, or None."""
        for name, pattern in zip(self.names, self.patterns, strict=False):
            m = len(pattern)
            for start in range(len(allowed) - m + 1):
                if not (allowed[start : start + m] & ~pattern).any():
                    return name
        return None


def _characters(alphabet: Alphabet) -> Alphabet:
    """Return the alphabet of what letters of several characters spell; of codons the bases, which know both strands."""
    named = {"dna": DNA, "rna": RNA, "protein": PROTEIN}
    base = base_of(alphabet.name)
    return named.get(base) or Alphabet(sorted(set("".join(alphabet.letters))), f"{alphabet.name} characters")


def _spelled(word: Any, alphabet: Alphabet) -> list[tuple[str, str]]:
    """Return the words that one entry stands for: name and symbols of each."""
    if isinstance(word, numbers.Integral) and not isinstance(word, bool):
        if word < 2:
            raise ValueError(f"forbid holds the number {word}; give the length of a run of one letter, at least 2")
        return [(letter * int(word), letter * int(word)) for letter in alphabet.letters]
    if not isinstance(word, str) or not word.strip():
        raise ValueError(f"forbid holds {word!r}; give words, or whole numbers for runs of one letter")
    word = word.strip()
    if word.isdigit():
        return _spelled(int(word), alphabet)
    site = _site(word) if alphabet.name == "dna" else None
    return [(word, site or word)]


def _site(name: str) -> str | None:
    """Return where the restriction enzyme of that name, in any case, binds; None if there is none.

    What suppliers call -HF or -v2 (BsaI-HFv2) is an engineered enzyme of the same site.
    """
    from Bio import Restriction

    name = re.sub(r"-?(HF|v2|HFv2)$", "", name, flags=re.IGNORECASE)
    if not hasattr(Restriction, name) and set(name.upper()) - set(NUCLEOTIDE_CODES) - set("ACGT"):  # no word either
        name = next((known for known in dir(Restriction) if known.lower() == name.lower()), name)
    enzyme = getattr(Restriction, name, None)
    return getattr(enzyme, "site", None)


def _letters_of(symbol: str, word: Any, alphabet: Alphabet) -> tuple[int, ...]:
    try:
        return alphabet.allowed(symbol)
    except ValueError:
        enzyme = ", the name of a restriction enzyme" if alphabet.name == "dna" else ""
        raise ValueError(
            f"forbid holds {word!r}, but {symbol!r} is no symbol of the {alphabet.name} alphabet; give its letters"
            f"{enzyme} or a whole number for runs of one letter"
        ) from None
