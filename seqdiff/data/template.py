"""Positions as users name them: booleans, numbers, or a picture such as ``----NNNN----``."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.data.lengths import LengthLaw
from seqdiff.errors import shown

KEPT = "-"
"""What stands in a picture where nothing is named."""


def parse_positions(given: Any, lengths: np.ndarray, name: str, place: Callable[[int], str]) -> np.ndarray:
    """Return which positions of each sequence are named.

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

    Raises
    ------
    ValueError
        If it is none of these, does not fit the sequences, or names nothing in one of them.

    Examples
    --------
    >>> parse_positions("-NN-", np.array([4]), "mask", str).tolist()
    [[False, True, True, False]]
    >>> parse_positions([0, 3], np.array([4, 4]), "mask", str).astype(int).tolist()
    [[1, 0, 0, 1], [1, 0, 0, 1]]
    """
    width = int(lengths.max())
    real = np.arange(width) < lengths[:, None]
    if isinstance(given, str):
        rows = [given] * len(lengths)
    elif _are_strings(given):
        rows = list(given)
    else:
        rows = []
    named = _drawn(rows, lengths, name, place) if rows else _listed(given, lengths, name)
    beyond = named & ~real
    if beyond.any():
        row, column = (int(i[0]) for i in np.nonzero(beyond))
        raise ValueError(
            f"{name} names position {column}, counted from 0, but {place(row)} has {lengths[row]} letters; name "
            "positions that it has"
        )
    if not (some := named.any(-1)).all():
        raise ValueError(f"{name} names no position of {place(int(np.argmin(some)))}; name at least one")
    return named


def _are_strings(given: Any) -> bool:
    several = isinstance(given, Sequence) or (isinstance(given, np.ndarray) and given.ndim > 0)
    return several and len(given) > 0 and all(isinstance(row, str) for row in given)


def _drawn(rows: list[str], lengths: np.ndarray, name: str, place: Callable[[int], str]) -> np.ndarray:
    if len(rows) != len(lengths):
        raise ValueError(f"{name} holds {len(rows)} strings for {len(lengths)} sequences; give one, or one for each")
    named = np.zeros((len(rows), int(lengths.max())), dtype=bool)
    for i, row in enumerate(rows):
        if len(row) != lengths[i]:
            raise ValueError(
                f"{name} {shown(row)} has {len(row)} characters, but {place(i)} has {lengths[i]} letters; give one "
                f"character for each, {shown(KEPT)} where it stays"
            )
        named[i, : len(row)] = np.array(list(row)) != KEPT
    return named


def _listed(given: Any, lengths: np.ndarray, name: str) -> np.ndarray:
    shape = (len(lengths), int(lengths.max()))
    wanted = (
        f"booleans of shape ({shape[1]},) or {shape}, positions counted from 0, or a string with {shown(KEPT)} where "
        "letters stay"
    )
    try:
        array = np.asarray(given)
    except ValueError:  # rows of several lengths
        raise ValueError(f"{name} has rows of several lengths; give {wanted}") from None
    if array.dtype.kind == "b":
        if array.shape not in (shape, shape[1:]):
            raise ValueError(f"{name} has shape {array.shape}; give {wanted}")
        return np.broadcast_to(array, shape).copy()
    whole = array.ndim == 1 and len(array) > 0
    if not whole or not all(isinstance(i, numbers.Integral) for i in array.tolist()):
        raise ValueError(f"{name}={shown(given)} is not possible; give {wanted}")
    outside = [i for i in array.tolist() if not 0 <= i < shape[1]]
    if outside:
        raise ValueError(
            f"{name} names position {outside[0]}, but the sequences have at most {shape[1]} letters; give numbers from "
            f"0 to {shape[1] - 1}"
        )
    if len(set(array.tolist())) < len(array):
        raise ValueError(f"{name} names a position twice; a mask of zeros and ones is given as booleans")
    named = np.zeros(shape, dtype=bool)
    named[:, array] = True
    return named


# Templates as users write them: a string of letters, IUPAC symbols and sets, or the letters of each position.


def parse_template(template: Any, alphabet: Alphabet, law: LengthLaw, length: int | None = None) -> np.ndarray:
    """Return which letters each position may have.

    Parameters
    ----------
    template : str or list
        A string of letters and IUPAC symbols (``N`` any base, ``X`` any amino acid, ``R`` A or G, ...; of k-mers,
        ``ATGNNKTAA``) and, where letters are single characters, of sets such as ``[AVI]`` (``[AVI]XXGKT``); or a list
        with the allowed letters of each position, None where all are.
    alphabet : Alphabet
    law : LengthLaw
        The lengths the model makes.
    length : int, optional
        A length asked for beside the template.

    Returns
    -------
    ndarray (L, K) of bool

    Raises
    ------
    ValueError
        If a symbol is unknown, a position allows nothing, a bracket is not closed, or the length is not one the model
        makes.

    Examples
    --------
    >>> from seqdiff.data import DNA
    >>> parse_template("AN", DNA, LengthLaw.fit([2])).astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 1, 1]]
    >>> parse_template("[AT]Y", DNA, LengthLaw.fit([2])).astype(int).tolist()
    [[1, 0, 0, 1], [0, 1, 0, 1]]
    """
    if not isinstance(template, Sequence) or len(template) == 0:
        raise ValueError(
            f"template={shown(template)} is not a template; give a string or a list with one entry a position"
        )
    if isinstance(template, str):
        template = _symbols(template, alphabet)
    if not np.isfinite(law.log_prob(np.array([len(template)])))[0]:
        known = f"{law.max_length}" if law.fixed else f"1 to {law.max_length}"
        raise ValueError(f"template has {len(template)} positions, but this model makes sequences of {known} letters")
    if length is not None and np.any(np.asarray(length) != len(template)):
        raise ValueError(
            f"length={shown(length)} contradicts the template of {len(template)} positions; leave length out"
        )
    allowed = np.zeros((len(template), len(alphabet)), dtype=bool)
    for i, entry in enumerate(template):
        allowed[i] = _allowed_at(entry, i, alphabet)
    return allowed


def _symbols(template: str, alphabet: Alphabet) -> list[str]:
    """Return what stands at each position of a string: a symbol, or all those of a set."""
    # where brackets are letters, or parts of letters such as SMILES has, they open no set
    sets = alphabet.name != "smiles" and all(len(letter) == 1 and letter not in "[]" for letter in alphabet.letters)
    if not sets or not set(template) & set("[]"):
        return alphabet.split(template)
    found: list[str] = []
    rest = template
    while rest:
        if rest[0] == "]":
            raise ValueError(f"template position {len(found) + 1} closes a set that was not opened; write [ before it")
        end = rest.find("]") if rest[0] == "[" else 0
        if end < 0 or "[" in rest[1:end]:
            raise ValueError(f"template position {len(found) + 1} opens a set that is not closed; write ] behind it")
        if end == 1:
            raise ValueError(f"template position {len(found) + 1} is an empty set; write letters between [ and ]")
        found.append(rest[1:end] if end else rest[0])
        rest = rest[end + 1 :]
    return found


def _allowed_at(entry: Any, position: int, alphabet: Alphabet) -> np.ndarray:
    row = np.zeros(len(alphabet), dtype=bool)
    if entry is None:
        return ~row
    # A letter of several characters is one symbol, not a set of them.
    symbols = alphabet.choices(entry) if isinstance(entry, str) else entry
    try:
        symbols = list(symbols)
    except TypeError:
        raise ValueError(f"template position {position + 1} is {shown(entry)}; give letters or None") from None
    if not symbols:
        raise ValueError(f"template position {position + 1} allows no letter; give letters, or None for any")
    for symbol in symbols:
        try:
            row[list(alphabet.allowed(symbol))] = True
        except (ValueError, TypeError, AttributeError):
            single = all(len(letter) == 1 for letter in alphabet.letters)
            letters = ("" if single else " ").join(alphabet.letters)
            letters = letters if len(letters) < 40 else f"{len(alphabet)} letters"
            raise ValueError(
                f"template position {position + 1} holds {shown(symbol)}, which the {alphabet.name} alphabet"
                f" ({letters}) does not know; give its letters"
            ) from None
    return row
