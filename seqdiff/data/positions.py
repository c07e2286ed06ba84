"""Positions as people name them: booleans, numbers, or a picture such as ``----NNNN----``."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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
