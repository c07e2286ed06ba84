"""Motifs that no sequence may hold: restriction sites on both strands, runs of one letter, any others."""

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
from seqdiff.inputs import MotifsLike

LONGEST_RUN = 10_000
FEWEST_FIXED = 3
"""Letters that are fixed in a site which can be forbidden; enzymes of fewer need a modified base."""


class Forbidden:
    """Forbidden motifs in an alphabet of single characters, or in the characters of longer letters.

    Codons and other k-mers of nucleotides spell nucleotides: IUPAC symbols, enzymes and both strands go for them, too.

    Parameters
    ----------
    motifs : str, int, enzyme of Biopython's, or a list, set, array, Series or batch of them
        Letters and IUPAC symbols (``GGTCTC``, ``GANTC``); for DNA the name of a restriction enzyme (``BsaI``,
        ``Hind III``, in any case); a whole number k for runs of k of the same letter.
    alphabet : Alphabet
    both_strands : bool
        Whether reverse complements are forbidden, too, where the alphabet has complements.

    Attributes
    ----------
    patterns : list of ndarray
        (m, K) booleans, the letters at each position of a motif; empty where letters are of several characters.

    Raises
    ------
    InputError
        If a motif is none.

    Examples
    --------
    >>> from seqdiff.data import DNA
    >>> sites = Forbidden(["BsaI", 4], DNA)
    >>> sites.found("ACGAGACCA"), sites.found("ACAAAAC"), sites.found("ACGT")
    ('BsaI', 'AAAA', None)
    """

    def __init__(self, motifs: MotifsLike, alphabet: Alphabet, both_strands: bool = True) -> None:
        single = all(len(letter) == 1 for letter in alphabet.letters)
        if not single:  # the characters that the letters spell; of codons the bases, which know both strands
            characters = Alphabet(sorted(set("".join(alphabet.letters))), f"{alphabet.name} characters")
            alphabet = {"dna": DNA, "rna": RNA, "protein": PROTEIN}.get(base_of(alphabet.name), characters)
        self.names: list[str] = []
        patterns: list[np.ndarray] = []
        for motif in _listed(motifs):
            for name, symbols in _spelled(motif, alphabet):
                pattern = np.zeros((len(symbols), len(alphabet)), dtype=bool)
                for i, symbol in enumerate(symbols):
                    pattern[i, list(_letters_of(symbol, motif, alphabet))] = True
                strands = [pattern]
                if both_strands and alphabet.complement is not None:
                    strands.append(pattern[::-1][:, list(alphabet.complement)])
                for strand in strands:
                    if not any(np.array_equal(p, strand) for p in patterns):
                        patterns.append(strand)
                        self.names.append(name)
        self.patterns = patterns if single else []
        letters = np.array(alphabet.letters)
        self._regular = [
            re.compile("".join("[" + re.escape("".join(letters[row])) + "]" for row in pattern)) for pattern in patterns
        ]

    def found(self, sequence: str) -> str | None:
        """Return the first of the motifs, as it was given, that a sequence holds; None if it holds none."""
        return next((n for n, r in zip(self.names, self._regular, strict=True) if r.search(sequence)), None)

    def unavoidable(self, allowed: np.ndarray) -> str | None:
        """Return the motif that every sequence of a template (L, K) of booleans holds, or None."""
        for name, pattern in zip(self.names, self.patterns, strict=False):
            m = len(pattern)
            for start in range(len(allowed) - m + 1):
                if not (allowed[start : start + m] & ~pattern).any():
                    return name
        return None


def _listed(motifs: MotifsLike) -> list[Any]:
    """Return the entries of a list, set, array, Series or batch of enzymes; or the one motif."""
    one = isinstance(motifs, (str, bytes, numbers.Number, Mapping)) or _is_enzyme(motifs) or is_sequence_object(motifs)
    if one or not hasattr(motifs, "__iter__"):
        return [motifs]
    entries: Any = motifs.tolist() if hasattr(motifs, "tolist") else list(motifs)  # type: ignore[arg-type, union-attr]
    entries = entries if isinstance(entries, list) else [entries]
    return sorted(entries, key=str) if isinstance(motifs, (set, frozenset)) else entries  # sets have no order


def _is_enzyme(motif: object) -> bool:
    """Return whether this is an enzyme of Biopython's, which are classes."""
    return isinstance(motif, type) and hasattr(motif, "site") and hasattr(motif, "elucidate")


def _spelled(motif: object, alphabet: Alphabet) -> list[tuple[str, str]]:
    """Return name and symbols of each motif that one entry stands for."""
    if isinstance(motif, numbers.Integral) and not isinstance(motif, bool):
        run = int(motif)
        if not 2 <= run <= LONGEST_RUN:
            number = str(run) if abs(run) < 10**18 else "of many digits"
            wanted = f"the length of a run of one letter, 2 to {LONGEST_RUN:,}"
            raise InputError(argument("forbid"), f"the number {number}", wanted, "give such a length")
        return [(letter * run, letter * run) for letter in alphabet.letters]
    if _is_enzyme(motif):
        if alphabet.name != "dna":
            wanted = f"letters of the {alphabet.name} alphabet"
            raise InputError(argument("forbid"), f"{motif}, which cuts DNA", wanted, "give the letters of the site")
        return [(str(motif), _usable_site(motif))]
    text = str(motif).strip() if isinstance(motif, str) or is_sequence_object(motif) else ""
    if not text:
        wanted = "motifs, or whole numbers for runs of one letter"
        raise InputError(argument("forbid"), shown(motif, 40), wanted, "give one of these")
    if text.isascii() and text.isdigit():
        return _spelled(int(text) if len(text) < 19 else 10**19, alphabet)
    if alphabet.name == "dna" and (enzyme := _enzyme(text)) is not None:
        return [(text, _usable_site(enzyme))]
    if any(c in text for c in "[]^"):
        cure = "give each motif that is meant, or the symbols of the alphabet for several letters"
        raise InputError(argument("forbid"), shown(text, 40), "a motif without sets in brackets", cure)
    return [(text, text)]


def _usable_site(enzyme: Any) -> str:
    """Return the site of an enzyme; refuse one of so few fixed letters that hardly a sequence would be without."""
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

    Names of suppliers that end in -HF or -v2 (BsaI-HFv2) are engineered enzymes of the same site.
    """
    from Bio import Restriction

    name = re.sub(r"-?(HF|v2|HFv2)$", "", "".join(name.split()), flags=re.IGNORECASE)
    if not hasattr(Restriction, name) and set(name.upper()) - set(NUCLEOTIDE_CODES) - set("ACGT"):  # no motif either
        name = next((known for known in dir(Restriction) if known.lower() == name.lower()), name)
    enzyme = getattr(Restriction, name, None)
    return enzyme if _is_enzyme(enzyme) else None


def _letters_of(symbol: str, motif: object, alphabet: Alphabet) -> tuple[int, ...]:
    try:
        return alphabet.allowed(symbol)
    except ValueError:
        enzyme = ", the name of a restriction enzyme" if alphabet.name == "dna" else ""
        found = f"{shown(motif)}, where {symbol!r} is no symbol of the {alphabet.name} alphabet"
        wanted = f"its letters{enzyme} or a whole number for runs of one letter"
        raise InputError(argument("forbid"), found, wanted, "give one of these") from None
