"""Positions and templates as users write them.

Positions are booleans, numbers, or marks such as ``----NNNN----``; a template is a string of letters, IUPAC symbols and
sets, or the letters of each position.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence

import numpy as np

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.data.lengths import LengthDistribution
from seqdiff.errors import InputError, argument, shown
from seqdiff.inputs import Place, PositionsLike, TemplateLike

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
        named = _listed(given, (len(lengths), int(lengths.max())), name)
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
        raise InputError(argument(name), found, "one string, or one for each sequence", "give so many")
    named = np.zeros((len(rows), int(lengths.max())), dtype=bool)
    for i, row in enumerate(rows):
        if len(row) != lengths[i]:
            found, wanted = f"{shown(row)} of {len(row)} characters", f"one for each of the {lengths[i]} letters"
            cure = f"write {shown(KEPT)} where a letter stays"
            raise InputError(argument(name), found, f"{wanted} of {place(i)}", cure)
        named[i, : len(row)] = np.array(list(row)) != KEPT
    return named


def _listed(given: PositionsLike, shape: tuple[int, int], name: str) -> np.ndarray:
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
        wanted = f"{known}, as this model makes sequences of so many letters"
        raise InputError(argument("template"), found, wanted, "give a template of such a length")
    if length is not None and np.any(np.asarray(length) != len(template)):
        wanted = f"{len(template)}, as {argument('template')} has so many positions"
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
