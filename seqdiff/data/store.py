"""A store: sequences on a disk as tokens, of which a fit reads the rows that it needs.

    store.json   alphabet, sizes, names and kinds of the labels, where it came from, a digest of the other files
    tokens       the letters of all sequences, one after another, in the smallest type that holds them
    ends         where each sequence ends, (N,) int64
    marks        a number of 64 bits for each sequence, the same for its other strand, (N,)
    y0, y1, ...  labels: numbers, (N,) float64, or which of the labels in store.json, (N,) int32

Files are little-endian and have no header. (Arrow's files mapped into memory are read somewhat faster, and the system
counts as used all that lies around the rows that were read, in the end the whole store: benchmarks/store.py.)
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.data.labels import join_columns, objects
from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.inputs import PathLike
from seqdiff.runtime import progress

FORMAT_VERSION = 1
FILE = "store.json"
ROWS_TOGETHER = 1 << 16
"""Rows that are looked at together where all are."""
_SEEDS = np.uint64(0x9E3779B97F4A7C15)


def is_store(path: PathLike) -> bool:
    """Return whether a path is a store."""
    return os.path.isfile(os.path.join(path, FILE))  # also where it is no possible name


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Return numbers of 64 bits of which any change changes about half of the bits (splitmix64; Steele et al. 2014).

    >>> mixed(np.arange(2, dtype=np.uint64)).tolist()
    [16294208416658607535, 10451216379200822465]
    """
    z = numbers + _SEEDS
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def marks_of(tokens: np.ndarray, lengths: np.ndarray, complement: Sequence[int] | None) -> np.ndarray:
    """Return a number of 64 bits for each row of tokens (N, L): equal rows have equal numbers, others hardly ever.

    `complement` has the complement of each letter, by which a row has the number of its other strand.

    >>> tokens = np.array([[0, 1, 2], [1, 2, 3], [0, 1, 0]], dtype=np.uint8)
    >>> marks = marks_of(tokens, np.array([3, 3, 2]), [3, 2, 1, 0])
    >>> bool(marks[0] == marks[1]), bool(marks[0] == marks[2])
    (True, False)
    """
    width = tokens.shape[1]
    factors = mixed(np.arange(width, dtype=np.uint64)) | np.uint64(1)
    names = np.arange(1, 2 + int(tokens.max(initial=0)), dtype=np.uint64)

    def sums(rows: np.ndarray, weights: np.ndarray, names: np.ndarray) -> np.ndarray:
        real = np.arange(width) < lengths[rows, None]
        return mixed(np.where(real, names[tokens[rows]], np.uint64(0)) @ weights)

    found = []
    for rows in np.array_split(np.arange(len(tokens)), 1 + tokens.size // (1 << 20)):  # of a bounded memory
        marks = sums(rows, factors, names)
        if complement is not None:
            others = np.asarray(complement, dtype=np.uint64)[: len(names)] + np.uint64(1)
            for length in np.unique(lengths[rows]).tolist():
                weights = np.zeros_like(factors)
                weights[:length] = factors[:length][::-1]
                some = np.flatnonzero(lengths[rows] == length)
                marks[some] = np.minimum(marks[some], sums(rows[some], weights, others))
        found.append(marks)
    return np.concatenate(found)


@dataclass(frozen=True)
class Labels:
    """A column of labels in a store: numbers, or which of `labels` each row has."""

    name: str
    file: str
    labels: list[Any] | None
    note: str

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], file: str) -> Labels:
        """Return the column that `vars` of it wrote, which must have this file."""
        if d["file"] != file or not (d["labels"] is None or isinstance(d["labels"], list)):
            raise ValueError(f"labels that are not in {file}")
        return cls(str(d["name"]), file, d["labels"], str(d["note"]))


class Store:
    """A store that is there; `seqdiff.data.prepare_store` makes one.

    Parameters
    ----------
    path : path
        Its folder.

    Attributes
    ----------
    alphabet : Alphabet
    n, n_read : int
        Sequences, and those that were read, before any were left out.
    letters, longest : int
        Of all sequences, and of the longest.
    columns : list of Labels
    source : str
        The file that it was made of.
    notes : tuple of str
        Notes for the user on what was read.
    digest : str
        SHA-256 of letters and labels, 64 hexadecimal digits.

    Raises
    ------
    InputError
        If this is no store, or a damaged one, or one of a newer version.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        header = self._header()
        if header["format_version"] > FORMAT_VERSION:
            found = f"a store of format {header['format_version']}"
            raise InputError(str(path), found, f"format {FORMAT_VERSION} or older", "upgrade seqdiff")
        try:
            self.alphabet = Alphabet.from_dict(header["alphabet"])
            self.n, self.n_read, self.letters, self.longest = (
                int(header[name]) for name in ("n", "n_read", "letters", "longest")
            )
            self.columns = [Labels.from_dict(column, f"y{j}") for j, column in enumerate(header["columns"])]
            self.source, self.digest = str(header["source"]), str(header["digest"])
            self.notes = tuple(map(str, header["notes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(f"a {FILE} that is not as seqdiff writes it ({error})") from None
        for name, size in self.sizes.items():
            file = self.path / name
            there = file.stat().st_size if file.is_file() else -1
            if there != size:
                what = "no such file" if there < 0 else f"{there:,} bytes"
                raise self._damaged(f"{what} where {name} should have {size:,} bytes")

    def _header(self) -> dict[str, Any]:
        if not is_store(self.path):
            wanted = f"a store, which has a {FILE}"
            raise InputError(str(self.path), "what is no store", wanted, "make one with seqdiff prepare")
        try:
            header = json.loads((self.path / FILE).read_text(encoding="utf-8"))
            if not isinstance(header, dict) or not isinstance(header["format_version"], int):
                raise ValueError("no version")
        except (ValueError, KeyError, RecursionError) as error:
            raise self._damaged(f"a {FILE} that cannot be read ({error})") from None
        return header

    def _damaged(self, found: str) -> InputError:
        return InputError(str(self.path), found, "a whole store", "make it again with seqdiff prepare")

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of each file of numbers."""
        labels = {c.file: self.n * (8 if c.labels is None else 4) for c in self.columns}
        return {"tokens": self.letters * self.dtype.itemsize, "ends": self.n * 8, "marks": self.n * 8} | labels

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.alphabet.dtype).newbyteorder("<")

    def check(self, verbose: int = 0) -> None:
        """Read all files, and raise an `InputError` where they are not those that were written."""
        if digest_of(self.path, self.sizes, self.alphabet, self.columns, verbose) != self.digest:
            raise self._damaged("files that have changed since they were written")

    @property
    def fixed(self) -> bool:
        """Whether all sequences have one length: then no places are kept in memory."""
        return self.letters == self.n * self.longest

    @cached_property
    def ends(self) -> np.ndarray:
        return np.fromfile(self.path / "ends", "<i8")

    @cached_property
    def lengths(self) -> np.ndarray:
        """Letters of each sequence, (N,) of int32, or of int64 where one is very long; not to be written to."""
        kind = np.int32 if self.longest < 2**31 else np.int64
        if self.fixed:
            return np.broadcast_to(kind(self.longest), self.n)
        return np.diff(self.ends, prepend=0).astype(kind)

    @property
    def marks(self) -> np.ndarray:
        """See `marks_of`, (N,)."""
        return np.fromfile(self.path / "marks", "<u8")

    def tokens(self, rows: np.ndarray, width: int | None = None) -> np.ndarray:
        """Return the tokens of these rows, (n, width), zeros after a sequence's end; as wide as the longest by default.

        Raises an `InputError` for tokens that are no letters.
        """
        lengths = self.lengths[rows]
        ends = (rows.astype(np.int64) + 1) * self.longest if self.fixed else self.ends[rows]
        starts = ends - lengths
        width = int(lengths.max(initial=0)) if width is None else width
        found = np.zeros((len(rows), width), self.dtype)
        if len(rows) and lengths.max() <= width and bool((starts[1:] == ends[:-1]).all()):  # neighbours
            together = np.empty(int(lengths.sum()), self.dtype)
            self._read(together, int(starts[0]))
            found[np.arange(width) < lengths[:, None]] = together
        else:
            for row, start, length in zip(found, starts.tolist(), np.minimum(lengths, width).tolist(), strict=True):
                self._read(row[:length], start)
        if found.size and int(found.max()) >= len(self.alphabet):
            raise self._damaged("tokens that are no letters")
        return found.astype(self.alphabet.dtype, copy=False)

    def _read(self, into: np.ndarray, start: int) -> None:
        """Read letters from the file, which is not mapped: the system would count as used memory all around a row."""
        if not hasattr(os, "preadv"):
            into[:] = np.memmap(self.path / "tokens", self.dtype, mode="r")[start : start + len(into)]
            return
        left, place = into.data.cast("B"), start * self.dtype.itemsize
        while left:
            count = os.preadv(self._file, [left], place)
            if not count:
                raise self._damaged("tokens that end too early")
            left, place = left[count:], place + count

    @cached_property
    def _file(self) -> int:
        number = os.open(self.path / "tokens", os.O_RDONLY)
        weakref.finalize(self, os.close, number)
        return number

    def pieces(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield some of the rows at a time, of at most about 16 million letters."""
        together = max(1, min(ROWS_TOGETHER, (1 << 24) // self.longest))
        for start in range(0, len(rows), together):
            yield rows[start : start + together]

    def strings(self, rows: np.ndarray) -> list[str]:
        """Return the sequences of these rows."""
        found = []
        for part in self.pieces(rows):
            found += self.alphabet.decode(self.tokens(part), self.lengths[part])
        return found

    def y(self, names: Any, rows: np.ndarray | None = None) -> np.ndarray | None:
        """Return the labels that names say, of `as_labels`, as a table of these columns has them; None for None."""
        if names is None:
            return None
        several = not isinstance(names, str)
        wanted = list(names) if several else [names]
        there = {column.name: column for column in self.columns}
        for name in wanted:
            if name not in there:
                expected = f"one of {listed(sorted(there))}" if there else "None, as it has no labels"
                cure = "give one of these" if there else "make the store again with the labels"
                found = f"{shown(name)}, which is no label of {self.path}"
                raise InputError(argument("y"), found, expected, cure)
        if len(set(wanted)) < len(wanted):
            raise InputError(
                argument("y"), f"{shown(names)}, which names a column twice", "different columns", "name each once"
            )
        read = {name: self._labels(there[name], rows) for name in wanted}
        return join_columns(read) if several else read[wanted[0]]

    def _labels(self, column: Labels, rows: np.ndarray | None) -> np.ndarray:
        if column.labels is None:
            numbers = np.fromfile(self.path / column.file, "<f8")
            return numbers if rows is None else numbers[rows]
        codes = np.fromfile(self.path / column.file, "<i4")
        codes = codes if rows is None else codes[rows]
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < len(column.labels):
            raise self._damaged(f"labels in {column.file} that are not among the {len(column.labels)} of {FILE}")
        kinds = {type(label) for label in column.labels}
        if kinds in ({int}, {bool}):
            return np.array(column.labels)[codes]
        return objects(column.labels)[codes]


def digest_of(
    folder: Path, sizes: Mapping[str, int], alphabet: Alphabet, columns: Sequence[Labels], verbose: int = 0
) -> str:
    """Return the SHA-256 of what a store holds: of its files, by names and sizes, of its alphabet and its labels."""
    labels = [column.labels for column in columns]
    sha = hashlib.sha256(json.dumps([sizes, alphabet.to_dict(), labels], sort_keys=True).encode())
    with progress(sum(sizes.values()), "B", verbose, unit_scale=True, delay=2) as bar:
        for name in sorted(sizes):
            with open(folder / name, "rb") as file:
                while piece := file.read(1 << 22):
                    sha.update(piece)
                    bar.update(len(piece))
    return sha.hexdigest()
