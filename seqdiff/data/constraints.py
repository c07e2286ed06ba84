"""Positions, templates and forbidden motifs as users write them.

Positions are booleans, numbers, or marks such as ``----NNNN----``; a template is a string of letters, IUPAC symbols and
sets, or the letters of each position; a motif that no sequence may hold is a restriction site, a run of one letter, or
any string of symbols.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqdiff.alphabets.alphabet import NUCLEOTIDE_CODES, Alphabet, base_of
from seqdiff.alphabets.alphabets import DNA, PROTEIN, RNA
from seqdiff.data.lengths import LengthDistribution
from seqdiff.data.reading import is_sequence_object
from seqdiff.errors import InputError, argument, shown
from seqdiff.inputs import MotifsLike, Place, PositionsLike, TemplateLike

KEPT = "-"
"""The mark of a position that is not named."""


def parse_positions(given: PositionsLike, lengths: np.ndarray, name: str, place: Place) -> np.ndarray:
    """Return the named positions of each sequence.

    Parameters
    ----------
    given : array, list, str or list of str
        Booleans (L,) or (N, L), for sequences of several lengths as wide as the longest; numbers of positions, counted
        from 0; a string with one character a letter, where anything but ``-`` names a position; or such a string for
        each sequence.
    lengths : ndarray
        (N,) letters of the sequences.
    name : str
        Of the argument, for errors.
    place : callable
        ``place(i)`` names sequence i in them.

    Returns
    -------
    ndarray (N, L) of bool

    Examples
    --------
    >>> parse_positions("-NN-", np.array([4]), "mask", str).tolist()
    [[False, True, True, False]]
    """
    several = isinstance(given, Sequence) or (isinstance(given, np.ndarray) and given.ndim > 0)
    if isinstance(given, str):
        named = _marked([given] * len(lengths), lengths, name, place)
    elif several and len(given) > 0 and all(isinstance(row, str) for row in given):  # type: ignore[arg-type, union-attr]
        named = _marked(list(given), lengths, name, place)  # type: ignore[arg-type]
    else:
        named = _named(given, (len(lengths), int(lengths.max())), name)
    beyond = named & (np.arange(named.shape[1]) >= lengths[:, None])
    if beyond.any():
        row, column = (int(i[0]) for i in np.nonzero(beyond))
        wanted = f"positions of {place(row)}, which has {lengths[row]} letters"
        raise InputError(argument(name), f"position {column}, counted from 0", wanted, "name positions that it has")
    if not (some := named.any(-1)).all():
        found = f"no position of {place(int(np.argmin(some)))}"
        raise InputError(argument(name), found, "one or more", "name at least one")
    return named


def _marked(rows: list[str], lengths: np.ndarray, name: str, place: Place) -> np.ndarray:
    if len(rows) != len(lengths):
        found = f"{len(rows)} strings for {len(lengths)} sequences"
        raise InputError(argument(name), found, "one string, or one for each sequence", "give this number")
    named = np.zeros((len(rows), int(lengths.max())), dtype=bool)
    for i, row in enumerate(rows):
        if len(row) != lengths[i]:
            found, wanted = f"{shown(row)} of {len(row)} characters", f"one for each of the {lengths[i]} letters"
            cure = f"write {shown(KEPT)} where a letter stays"
            raise InputError(argument(name), found, f"{wanted} of {place(i)}", cure)
        named[i, : len(row)] = np.array(list(row)) != KEPT
    return named


def _named(given: PositionsLike, shape: tuple[int, int], name: str) -> np.ndarray:
    marks = f"a string with {shown(KEPT)} where letters stay"
    wanted = f"booleans of shape ({shape[1]},) or {shape}, positions counted from 0, or {marks}"
    where, one_of = argument(name), "give one of these"
    try:
        array = np.asarray(given)
    except ValueError:  # rows of several lengths
        raise InputError(where, "rows of several lengths", wanted, one_of) from None
    if array.dtype.kind == "b":
        if array.shape not in (shape, shape[1:]):
            raise InputError(where, f"booleans of shape {array.shape}", wanted, one_of)
        return np.broadcast_to(array, shape).copy()
    positions = array.tolist()
    if array.ndim != 1 or not positions or not all(isinstance(i, numbers.Integral) for i in positions):
        raise InputError(where, shown(given), wanted, one_of)
    outside = [i for i in positions if not 0 <= i < shape[1]]
    if outside:
        wanted = f"numbers from 0 to {shape[1] - 1}, as the sequences have at most {shape[1]} letters"
        raise InputError(where, f"position {outside[0]}", wanted, "give such numbers")
    if len(set(positions)) < len(positions):
        cure = "name each once, or give a mask of zeros and ones as booleans"
        raise InputError(where, f"{shown(given)}, which names a position twice", "different numbers", cure)
    named = np.zeros(shape, dtype=bool)
    named[:, positions] = True
    return named


def parse_template(
    template: TemplateLike, alphabet: Alphabet, lengths: LengthDistribution, length: int | None = None
) -> np.ndarray:
    """Return the letters that each position may have.

    Parameters
    ----------
    template : str or list
        A string of letters and IUPAC symbols (``N`` any base, ``X`` any amino acid, ``R`` A or G, ...; of k-mers,
        ``ATGNNKTAA``) and, where letters are single characters, of sets such as ``[AVI]`` (``[AVI]XXGKT``); or a list
        with the allowed letters of each position, None where all are.
    alphabet : Alphabet
    lengths : LengthDistribution
        The lengths that the model generates.
    length : int, optional
        A length asked for beside the template.

    Returns
    -------
    ndarray (L, K) of bool

    Examples
    --------
    >>> from seqdiff.data import DNA
    >>> parse_template("[AT]N", DNA, LengthDistribution.fit([2])).astype(int).tolist()
    [[1, 0, 0, 1], [1, 1, 1, 1]]
    """
    if not isinstance(template, Sequence) or len(template) == 0:
        wanted = "a string, or a list with one entry a position"
        raise InputError(argument("template"), shown(template), wanted, "give one of these")
    if isinstance(template, str):
        template = _symbols(template, alphabet)
    if not np.isfinite(lengths.log_prob(len(template))):
        known = f"{lengths.max_length}" if lengths.fixed else f"1 to {lengths.max_length}"
        found = f"{len(template)} position{'s' * (len(template) != 1)}"
        wanted = f"{known}, the lengths that this model generates"
        raise InputError(argument("template"), found, wanted, "give a template of such a length")
    if length is not None and np.any(np.asarray(length) != len(template)):
        wanted = f"{len(template)}, as this is the number of positions of {argument('template')}"
        raise InputError(argument("length"), shown(length), wanted, "leave it out")
    return np.stack([_allowed_at(entry, i, alphabet) for i, entry in enumerate(template)])


def _symbols(template: str, alphabet: Alphabet) -> list[str]:
    """Return the entry at each position of a string: a symbol, or all those of a set."""
    # where brackets are letters, or parts of letters such as SMILES has, they open no set
    sets = alphabet.name != "smiles" and all(len(letter) == 1 and letter not in "[]" for letter in alphabet.letters)
    if not sets or not set(template) & set("[]"):
        return alphabet.split(template)
    found: list[str] = []
    rest = template
    while rest:
        if rest[0] == "]":
            raise InputError(_at(len(found)), "] without [", "a set of letters in [ and ]", "write [ before it")
        end = rest.find("]") if rest[0] == "[" else 0
        if end < 0 or "[" in rest[1:end]:
            raise InputError(_at(len(found)), "[ without ]", "a set of letters in [ and ]", "write ] behind it")
        if end == 1:
            raise InputError(_at(len(found)), "the empty set []", "one letter or more", "write letters between [ and ]")
        found.append(rest[1:end] if end else rest[0])
        rest = rest[end + 1 :]
    return found


def _at(position: int) -> str:
    """Return the name of a position, counted from 0, for errors."""
    return f"{argument('template')}, position {position + 1}"


def _allowed_at(entry: str | Iterable[str] | None, position: int, alphabet: Alphabet) -> np.ndarray:
    row = np.zeros(len(alphabet), dtype=bool)
    if entry is None:
        return ~row
    wanted = "letters, or None for any"
    try:
        # a letter of several characters is one symbol, not a set of them
        symbols = alphabet.choices(entry) if isinstance(entry, str) else list(entry)
    except TypeError:
        raise InputError(_at(position), shown(entry), wanted, "give one of these") from None
    if not symbols:
        raise InputError(_at(position), f"{shown(entry)}, which allows no letter", wanted, "give some")
    for symbol in symbols:
        try:
            row[list(alphabet.allowed(symbol))] = True
        except (ValueError, TypeError, AttributeError):
            letters = ("" if all(len(letter) == 1 for letter in alphabet.letters) else " ").join(alphabet.letters)
            letters = letters if len(letters) < 40 else f"{len(alphabet)} letters"
            wanted = f"symbols of the {alphabet.name} alphabet ({letters})"
            raise InputError(_at(position), shown(symbol), wanted, "give its letters") from None
    return row


LONGEST_RUN = 10_000
FEWEST_FIXED = 3
"""Letters that are fixed in a site which can be forbidden; enzymes of fewer need a modified base."""


def characters_of(alphabet: Alphabet) -> Alphabet:
    """Return the alphabet of the characters that letters spell: of codons the bases, which know both strands.

    >>> characters_of(Alphabet.kmers("rna", 2)).name, characters_of(Alphabet(["Cl", "C"])).letters
    ('rna', ('C', 'l'))
    """
    if all(len(letter) == 1 for letter in alphabet.letters):
        return alphabet
    characters = Alphabet(sorted(set("".join(alphabet.letters))), f"{alphabet.name} characters")
    return {"dna": DNA, "rna": RNA, "protein": PROTEIN}.get(base_of(alphabet.name), characters)


class Motif(NamedTuple):
    """A forbidden motif on one strand.

    Parameters
    ----------
    name : str
        As it was given.
    symbols : str
        Its letters and IUPAC symbols; of an enzyme, whose name is another, those of the site.
    pattern : ndarray (m, K) of bool
        The letters at each position, on the strand that is read.
    reverse : bool
        Whether they are those of the reverse complement.
    """

    name: str
    symbols: str
    pattern: np.ndarray
    reverse: bool


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
    motifs : list of Motif
        Each once on each strand, of a palindrome once, in the characters of `alphabet`.
    alphabet : Alphabet
        That of the characters.
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
        self.alphabet = characters_of(alphabet)
        self.motifs: list[Motif] = []
        for motif in _listed(motifs):
            for name, symbols in _spelled(motif, self.alphabet):
                pattern = np.zeros((len(symbols), len(self.alphabet)), dtype=bool)
                for i, symbol in enumerate(symbols):
                    pattern[i, list(_letters_of(symbol, motif, self.alphabet))] = True
                strands = [pattern]
                if both_strands and self.alphabet.complement is not None:
                    strands.append(pattern[::-1][:, list(self.alphabet.complement)])
                for reverse, strand in enumerate(strands):
                    if not any(np.array_equal(known.pattern, strand) for known in self.motifs):
                        self.motifs.append(Motif(name, symbols, strand, bool(reverse)))
        self.names = [motif.name for motif in self.motifs]
        self.patterns = [motif.pattern for motif in self.motifs] if self.alphabet is alphabet else []
        letters = np.array(self.alphabet.letters)
        self._regular = [
            re.compile("".join("[" + re.escape("".join(letters[row])) + "]" for row in motif.pattern))
            for motif in self.motifs
        ]

    def found(self, sequence: str) -> str | None:
        """Return the first of the motifs, as it was given, that a sequence holds; None if it holds none."""
        return next((n for n, r in zip(self.names, self._regular, strict=True) if r.search(sequence)), None)

    def hits(self, tokens: np.ndarray) -> Iterator[tuple[Motif, np.ndarray]]:
        """Yield each motif that is no longer than sequences, and where it starts in them.

        Parameters
        ----------
        tokens : ndarray
            (n, L) numbers of the letters of `alphabet`, of n sequences of one length.

        Yields
        ------
        motif : Motif
        starts : ndarray (n, L - m + 1) of bool
            Of a motif of m letters; hits may overlap.

        Examples
        --------
        >>> from seqdiff.data import DNA
        >>> tokens, _ = DNA.encode(["GGTCTC", "AACAAC"])
        >>> [(motif.name, starts.nonzero()) for motif, starts in Forbidden("AAC", DNA, False).hits(tokens)]
        [('AAC', (array([1, 1]), array([0, 3])))]
        """
        width = tokens.shape[1]
        held: dict[bytes, np.ndarray] = {}  # a symbol -> the positions that hold one of its letters
        for motif in self.motifs:
            last = width - len(motif.pattern) + 1
            if last < 1:
                continue
            starts = np.ones((len(tokens), last), dtype=bool)
            for i, letters in enumerate(motif.pattern):
                if (key := letters.tobytes()) not in held:
                    held[key] = letters[tokens]
                starts &= held[key][:, i : i + last]
            yield motif, starts

    def unavoidable(self, allowed: np.ndarray) -> str | None:
        """Return the motif that every sequence of a template (L, K) of booleans holds, or None."""
        for name, pattern in zip(self.names, self.patterns, strict=False):
            m = len(pattern)
            for start in range(len(allowed) - m + 1):
                if not (allowed[start : start + m] & ~pattern).any():
                    return name
        return None


def plain_motifs(motifs: MotifsLike) -> tuple[str | int, ...]:
    """Return motifs as str and int, which JSON can hold and `Forbidden` reads alike; of None none.

    >>> from Bio.Restriction import BsaI
    >>> plain_motifs([BsaI, "GANTC", 5]), plain_motifs("EcoRI"), plain_motifs(None)
    (('BsaI', 'GANTC', 5), ('EcoRI',), ())
    """
    plain: list[str | int] = []
    for motif in [] if motifs is None else _listed(motifs):
        if isinstance(motif, numbers.Integral) and not isinstance(motif, bool):
            plain.append(int(motif))
        elif isinstance(motif, str) or is_sequence_object(motif) or _is_enzyme(motif):
            plain.append(str(motif))
        else:
            raise _no_motif(motif)
    return tuple(plain)


def _no_motif(motif: object) -> InputError:
    wanted = "motifs, or whole numbers for runs of one letter"
    return InputError(argument("forbid"), shown(motif, 40), wanted, "give one of these")


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
        raise _no_motif(motif)
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
