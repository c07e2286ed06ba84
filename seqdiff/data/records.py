"""`Records`: plain strings with a place to name in an error, and the checks that every way of reading shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqdiff.data.cells import read_labels
from seqdiff.data.labels import is_missing
from seqdiff.errors import shown


@dataclass(frozen=True, eq=False)
class Records:
    """What was read, in the input's order.

    Attributes
    ----------
    sequences : list of str
        As written, but for line ends (and all white space in FASTA).
    y : ndarray or None
        As `seqdiff.data.labels.as_labels` gives it, one row per sequence.
    source : str
        The file's path as it was given, or ``"X"``.
    place : callable
        ``place(i)`` names sequence i for an error: ``"promoters.txt, line 17"``, ``"X[3]"``.
    told : dict of str
        What a user should know of how labels were read, by column ("" for labels without a name).
    notes : tuple of str
        And of the sequences, a sentence each.
    """

    sequences: list[str]
    y: np.ndarray | None
    source: str
    place: Callable[[int], str]
    told: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> Records:
        """Return the records with these numbers; each keeps its place."""
        return Records(
            [self.sequences[i] for i in rows.tolist()],
            None if self.y is None else self.y[rows],
            self.source,
            lambda i: self.place(int(rows[i])),
            self.told,
            self.notes,
        )


def check_labels(y: Any, n: int, kind: Any = "auto") -> tuple[np.ndarray | None, dict[str, str]]:
    """Labels of n sequences and what to tell of them, see `read_labels`; an error where they are not n."""
    if y is None:
        return None, {}
    if np.ndim(y) == 0 and not isinstance(y, Mapping):
        raise ValueError(
            f"y is the single entry {shown(y)}, but there are {n} sequences; give one label (or None) each"
        )
    labels, told = read_labels(y, kind)
    if len(labels) != n:
        raise ValueError(
            f"y has {len(labels)} rows, but there are {n} sequences; give one label (or None) for each sequence"
        )
    return labels, told


def to_strings(items: list[Any], place: Callable[[int], str]) -> list[str]:
    """The items as str, or an error for the first that is none."""
    if set(map(type, items)) == {str}:
        return items
    strings = []
    for i, item in enumerate(items):
        if hasattr(item, "seq"):  # a SeqRecord
            item = item.seq
        if is_sequence_object(item):
            try:
                item = str(item)
            except ValueError:  # Biopython's UndefinedSequenceError: the length is known, the letters are not
                raise ValueError(f"{place(i)}: the record's sequence is undefined; leave it out") from None
        if not isinstance(item, str):
            if is_missing(item):
                raise ValueError(f"{place(i)}: the sequence is missing ({shown(item)}); leave this row out")
            raise ValueError(
                f"{place(i)}: a string is wanted, but {shown(item, 40)} is of type {type(item).__name__};"
                " pass the sequences as str"
            )
        strings.append(str(item))
    return strings


def is_sequence_object(item: Any) -> bool:
    module = sys.modules.get("Bio.Seq")  # without it imported, nobody can hold a Seq
    return module is not None and isinstance(item, (module.Seq, module.MutableSeq))
