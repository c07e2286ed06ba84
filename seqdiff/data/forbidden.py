"""Words that no sequence may hold: restriction sites on both strands, runs of one letter, motifs."""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.alphabets.alphabets import DNA, PROTEIN, RNA
from seqdiff.alphabets.letters import NUCLEOTIDE_CODES, base_of
from seqdiff.data.tables import is_sequence_object
from seqdiff.errors import InputError, argument, shown

LONGEST_RUN = 10_000
FEWEST_FIXED = 3
"""Letters that are fixed in a site which can be forbidden; enzymes of fewer need a modified base."""


class Forbidden:
    """Words in an alphabet of single characters, or in what letters of several characters spell.

    Codons and other k-mers of nucleotides spell nucleotides: IUPAC symbols, enzymes and both strands go for them, too.

    Parameters
    ----------
    words : str, int, enzyme of Biopython's, or a list, set, array, Series or batch of them
        Letters and IUPAC symbols (``GGTCTC``, ``GANTC``); for DNA the name of a restriction enzyme (``BsaI``,
        ``Hind III``, in any case); a whole number k for runs of k of the same letter.
    alphabet : Alphabet
    both_strands : bool
        Whether reverse complements are forbidden, too, where the alphabet has complements.

    Attributes
    ----------
    patterns : list of ndarray
        (m, K) booleans, the letters of a word at each of its positions; empty where letters are of several characters.

    Raises
    ------
    InputError
        If a word is none.

    Examples
    --------
    >>> from seqdiff.data import DNA
    >>> sites = Forbidden(["BsaI", 4], DNA)
    >>> sites.found("ACGAGACCA"), sites.found("ACAAAAC"), sites.found("ACGT")
    ('BsaI', 'AAAA', None)
    """

    def __init__(self, words: Any, alphabet: Alphabet, both_strands: bool = True) -> None:
        words = _listed(words)
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


def _listed(words: Any) -> list[Any]:
    """Return the entries of what holds words: a list, set, array, Series, batch of enzymes; or the one word."""
    one = isinstance(words, (str, bytes, numbers.Number, Mapping)) or _is_enzyme(words) or is_sequence_object(words)
    if one or not hasattr(words, "__iter__"):
        return [words]
    entries = words.tolist() if hasattr(words, "tolist") else list(words)
    entries = entries if isinstance(entries, list) else [entries]
    return sorted(entries, key=str) if isinstance(words, (set, frozenset)) else entries  # sets have no order


def _is_enzyme(word: Any) -> bool:
    """Return whether this is an enzyme of Biopython's, which are classes."""
    return isinstance(word, type) and hasattr(word, "site") and hasattr(word, "elucidate")


def _characters(alphabet: Alphabet) -> Alphabet:
    """Return the alphabet of what letters of several characters spell; of codons the bases, which know both strands."""
    named = {"dna": DNA, "rna": RNA, "protein": PROTEIN}
    base = base_of(alphabet.name)
    return named.get(base) or Alphabet(sorted(set("".join(alphabet.letters))), f"{alphabet.name} characters")


def _spelled(word: Any, alphabet: Alphabet) -> list[tuple[str, str]]:
    """Return the words that one entry stands for: name and symbols of each."""
    if isinstance(word, numbers.Integral) and not isinstance(word, bool):
        if not 2 <= int(word) <= LONGEST_RUN:
            number = str(int(word)) if abs(int(word)) < 10**18 else "of many digits"
            wanted = f"the length of a run of one letter, 2 to {LONGEST_RUN:,}"
            raise InputError(argument("forbid"), f"the number {number}", wanted, "give such a length")
        return [(letter * int(word), letter * int(word)) for letter in alphabet.letters]
    if _is_enzyme(word):
        if alphabet.name != "dna":
            wanted = f"letters of the {alphabet.name} alphabet"
            raise InputError(argument("forbid"), f"{word}, which cuts DNA", wanted, "give the letters of the site")
        return [(str(word), _usable_site(word))]
    word = str(word) if is_sequence_object(word) else word
    if not isinstance(word, str) or not word.strip():
        wanted = "words, or whole numbers for runs of one letter"
        raise InputError(argument("forbid"), shown(word, 40), wanted, "give one of these")
    word = word.strip()
    if word.isascii() and word.isdigit():
        return _spelled(int(word) if len(word) < 19 else 10**19, alphabet)
    if alphabet.name == "dna" and (enzyme := _enzyme(word)) is not None:
        return [(word, _usable_site(enzyme))]
    if any(c in word for c in "[]^"):
        cure = "give each word that is meant, or the symbols of the alphabet for several letters"
        raise InputError(argument("forbid"), shown(word, 40), "a word without sets in brackets", cure)
    return [(word, word)]


def _usable_site(enzyme: Any) -> str:
    """Return where an enzyme binds.

    Raises
    ------
    InputError
        If so little of it is fixed that hardly a sequence would be without.
    """
    site = str(enzyme.site or "")
    fixed = sum(symbol in "ACGT" for symbol in site)
    if fixed < FEWEST_FIXED:
        modified = " (it needs a modified base, which letters do not show)" if fixed <= 2 and site else ""
        found = f"the enzyme {enzyme}, whose site {site or 'is not known'} would be in nearly every sequence{modified}"
        wanted = f"a site of {FEWEST_FIXED} or more fixed letters"
        raise InputError(argument("forbid"), found, wanted, "leave it out, or give the motif that you mean")
    return site


def _enzyme(name: str) -> Any:
    """Return the restriction enzyme of that name, in any case and with any spaces (Hind III); None if there is none.

    What suppliers call -HF or -v2 (BsaI-HFv2) is an engineered enzyme of the same site.
    """
    from Bio import Restriction

    name = re.sub(r"-?(HF|v2|HFv2)$", "", "".join(name.split()), flags=re.IGNORECASE)
    if not hasattr(Restriction, name) and set(name.upper()) - set(NUCLEOTIDE_CODES) - set("ACGT"):  # no word either
        name = next((known for known in dir(Restriction) if known.lower() == name.lower()), name)
    enzyme = getattr(Restriction, name, None)
    return enzyme if _is_enzyme(enzyme) else None


def _letters_of(symbol: str, word: Any, alphabet: Alphabet) -> tuple[int, ...]:
    try:
        return alphabet.allowed(symbol)
    except ValueError:
        enzyme = ", the name of a restriction enzyme" if alphabet.name == "dna" else ""
        found = f"{shown(word)}, where {symbol!r} is no symbol of the {alphabet.name} alphabet"
        wanted = f"its letters{enzyme} or a whole number for runs of one letter"
        raise InputError(argument("forbid"), found, wanted, "give one of these") from None
