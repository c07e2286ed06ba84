"""From data that need not fit into memory to a store, piece by piece: `prepare_store`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import numpy as np

from seqdiff import runtime
from seqdiff.alphabets.alphabet import SMILES_LETTERS, Alphabet
from seqdiff.alphabets.alphabets import AlphabetLike, is_learned, resolve_alphabet, smiles_alphabet
from seqdiff.data.dataset import Dataset, NoneLeft, prepare
from seqdiff.data.files import PACKED, check_place, text_pieces
from seqdiff.data.images import is_image_path
from seqdiff.data.labels import DECIMAL_COMMA, MARKS, NUMBER, as_labels, kind_of_column, named_columns, read_cells
from seqdiff.data.reading import (
    EXCEL,
    FASTA,
    PARQUET,
    STDIN,
    TABLES,
    Records,
    Table,
    biopython_records,
    first_line,
    format_of,
    no_column,
    parquet_errors,
    read_fasta,
    read_lines,
    read_records,
    table_of_frame,
    table_of_text,
)
from seqdiff.data.store import FILE, FORMAT_VERSION, ROWS_TOGETHER, Labels, Store, digest_of, is_store, marks_of
from seqdiff.errors import InputError, argument, of_kind, printable, shown
from seqdiff.inputs import LabelsLike, PathLike, Place, SequencesLike, TargetLike

MOST_CLASSES = 1 << 16
"""Different labels of a column, beyond which they must be numbers."""

Texts = Iterator[tuple[str, str]]


# Pieces of files.


def _cut(texts: Texts, whole: Callable[[str], int]) -> Iterator[tuple[str, int]]:
    """Yield pieces of text that end where `whole(text)` says that a record ends, and the number of lines before each.

    A piece grows where there is no such end in it.
    """
    left, before = "", 0
    for text, _ in texts:
        left += text
        if end := whole(left):
            yield left[:end], before
            before += left.count("\n", 0, end)
            left = left[end:]
    if left.strip():
        yield left, before


def _before_record(text: str) -> int:
    return text.rfind("\n>") + 1


def _outside_quotes(text: str) -> int:
    """Return where the last line ends that is not within the quotes of a cell."""
    return len(text) if text.count('"') % 2 == 0 else text.rfind("\n", 0, text.rfind('"')) + 1


class _Pieces:
    """Pieces of text as the file that they are of, for parsers that read lines."""

    def __init__(self, texts: Texts) -> None:
        self._lines = chain.from_iterable(text.splitlines(keepends=True) for text, _ in texts)

    def readline(self) -> str:
        return next(self._lines, "")

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def __next__(self) -> str:
        return next(self._lines)

    def read(self, size: int = -1) -> str:
        """Return all that is left; nothing where 0 is asked for, by which parsers see that this is text."""
        return "" if size == 0 else "".join(self._lines)


def _file_pieces(path: str, name: str, verbose: int) -> Iterator[Records | Table]:
    """Yield the sequences of a file, which messages call `name`, in pieces."""
    packed = os.path.splitext(path.lower())[1]
    if packed in PARQUET:
        yield from _parquet_pieces(path, name)
        return
    if packed in EXCEL:
        raise InputError(name, "an Excel workbook", "a file of any size", "save it as CSV, or give it to fit as it is")
    if is_image_path(path):
        raise InputError(name, "images", "sequences", "give the images to fit as they are")
    texts = text_pieces(path, name, packed if packed in PACKED else "", verbose)
    text, ending = next(texts)
    texts = chain([(text, ending)], texts)
    lines = text.split("\n")
    first = lines[first_line(lines, name)]
    if ending in TABLES:
        header = ""
        for piece, before in _cut(texts, _outside_quotes):
            rows = piece.split("\n")
            if not header:
                header = rows[first_line(rows, name)]
                yield table_of_text(name, rows, TABLES[ending])
            elif piece.strip():
                yield table_of_text(name, [header, *rows], TABLES[ending], before - 1)
    elif kind := format_of(lines, ending):
        yield from biopython_records(name, cast(TextIO, _Pieces(texts)), kind, together=ROWS_TOGETHER)
    elif ending in FASTA or first.startswith(">"):
        for piece, before in _cut(texts, _before_record):
            yield read_fasta(name, piece.split("\n"), before=before)
    else:
        for piece, before in _cut(texts, len):
            if piece.strip():
                yield read_lines(name, piece.split("\n"), before)


def _parquet_pieces(path: str, name: str) -> Iterator[Table]:
    count = 0
    with parquet_errors(name):
        from pyarrow.parquet import ParquetFile

        for part in ParquetFile(path).iter_batches(batch_size=ROWS_TOGETHER):
            frame = part.to_pandas()
            if len(frame):
                yield table_of_frame(frame, name, partial(_row, name, count))
            count += len(frame)


def _row(name: str, count: int, i: int) -> str:
    return f"{name}, row {count + i + 1}"


def _item_pieces(X: Iterable[Any]) -> Iterator[Records]:
    """Yield what can be iterated, some at a time."""
    items, count = iter(X), 0
    while part := list(islice(items, ROWS_TOGETHER)):
        records = read_records(part)
        yield replace(records, place=_shifted(records.place, count))
        count += len(part)


def _shifted(place: Place, count: int) -> Place:
    """Return the place of an item among others: X[3] of a piece is X[count + 3]."""
    return lambda i: re.sub(r"\[(\d+)\]", lambda m: f"[{int(m[1]) + count}]", place(i), count=1)


def record_pieces(
    X: SequencesLike, y: LabelsLike = None, sequence_column: object = None, verbose: int = 0
) -> Iterator[Records]:
    """Yield the records of `read_records` some at a time, with labels of tables as they are written.

    >>> [piece.sequences for piece in record_pieces(iter(["ACGT", "GGCC"]))]
    [['ACGT', 'GGCC']]
    """
    pieces: Iterator[Records | Table]
    path = os.path.expanduser(os.fsdecode(X)) if isinstance(X, (str, os.PathLike)) else ""
    if os.path.exists(path) and not os.path.isdir(path):
        pieces = _file_pieces(path, "standard input" if path == STDIN else printable(path), verbose)
    elif isinstance(X, Iterator):
        pieces = _item_pieces(X)
    else:
        read = read_records(X, y, sequence_column=sequence_column, kind="names", verbose=verbose)
        if read.grid is not None:
            raise InputError(read.source, "images", "sequences", "give the images to fit as they are")
        yield read
        return
    labels, count, column = None, 0, sequence_column
    for piece in pieces:
        if isinstance(piece, Table):
            named = piece.named(y)
            if column is None:  # the same in all pieces
                taken = [piece.names.index(name) for name in named if name in piece.names]
                j = piece.sequences_at(None, taken)
                column = piece.names[j] if piece.names.count(piece.names[j]) == 1 else None
            if named or y is None:
                yield piece.records(y, column, "names")
                continue
            piece = piece.records(None, column, "names")
        elif isinstance(y, str):
            raise no_column(y, piece.source)
        if y is not None:
            labels = as_labels(y) if labels is None else labels
            part = labels[count : count + len(piece.sequences)]
            count += len(piece.sequences)
            if len(part) < len(piece.sequences):
                found, wanted = f"{len(labels):,} rows", f"one for each of more than {count - 1:,} sequences"
                raise InputError(argument("y"), found, wanted, "give one label (or None) for each sequence")
            piece = piece.with_labels(part, "names")
        yield piece
    if labels is not None and count < len(labels):
        found, wanted = f"{len(labels):,} rows", f"{count:,}, one for each sequence"
        raise InputError(argument("y"), found, wanted, "give one label (or None) for each sequence")


# Labels, whose kind is known when all were read.


class _Column:
    """Labels of one column that are written as they come: which of the labels so far, or, of very many, numbers."""

    def __init__(self, name: str, folder: Path, file: str, kind: Any) -> None:
        self.name, self.folder, self.file, self.kind = name, folder, file, kind
        self.codes: dict[tuple[type, Any], int] = {}
        self.places: list[str] = []
        self.numbers = self.decimal_comma = False
        self._out = open(folder / file, "wb")  # noqa: SIM115, as it is written to piece by piece

    def add(self, labels: np.ndarray, place: Place, decimal_comma: bool) -> None:
        items = labels.tolist()
        self.decimal_comma = self.decimal_comma or decimal_comma
        if not self.numbers:
            codes = np.empty(len(items), "<i4")
            for i, item in enumerate(items):
                item = None if isinstance(item, float) and math.isnan(item) else item
                key = (type(item), item)
                code = self.codes.get(key)
                if code is None:
                    code = self.codes[key] = len(self.codes)
                    self.places.append(f"{place(i)}, label {self.name}" if self.name else place(i))
                codes[i] = code
            self._out.write(codes.tobytes())
            if len(self.codes) > MOST_CLASSES:
                self._to_numbers()
            return
        self._out.write(np.array([self._number(item, place(i)) for i, item in enumerate(items)], "<f8").tobytes())

    def _number(self, item: Any, place: str) -> float:
        if item is None:
            return math.nan
        if not isinstance(item, str):
            return float(item)
        text = item.strip()
        if self.decimal_comma and DECIMAL_COMMA.fullmatch(text):
            text = text.replace(",", ".")
        if NUMBER.fullmatch(text):
            return float(text)
        if not text or text.lower() in MARKS:
            return math.nan
        found = f"{shown(item)} in a column of more than {MOST_CLASSES:,} different labels"
        raise InputError(place, found, "a number or an empty cell", "correct it, or give a column of classes")

    def _to_numbers(self) -> None:
        """Replace the codes so far by numbers."""
        self._out.close()
        self.numbers = True
        table = np.array([self._number(item, at) for (_, item), at in zip(self.codes, self.places, strict=True)])
        self._as_numbers(table)
        self._out = open(self.folder / self.file, "ab")  # noqa: SIM115

    def _as_numbers(self, table: np.ndarray) -> None:
        written = self.folder / f"{self.file}.codes"
        os.replace(self.folder / self.file, written)
        with open(written, "rb") as codes, open(self.folder / self.file, "wb") as out:
            while piece := codes.read(1 << 20):
                out.write(table[np.frombuffer(piece, "<i4")].astype("<f8").tobytes())
        written.unlink()

    def finish(self) -> Labels:
        """Return what was written, read as a column of a table is."""
        self._out.close()
        if self.numbers:
            return Labels(self.name, self.file, None, "")
        items = [item for _, item in self.codes]
        labels, note = read_cells(items, self.kind, self.places.__getitem__, self.decimal_comma)
        if labels.dtype.kind == "f":
            self._as_numbers(labels)
            return Labels(self.name, self.file, None, note)
        return Labels(self.name, self.file, labels.tolist(), note)

    def close(self) -> None:
        self._out.close()


# The store.


def prepare_store(
    X: SequencesLike,
    path: PathLike,
    y: LabelsLike = None,
    *,
    alphabet: AlphabetLike = "auto",
    length: int | None = None,
    ambiguous: str = "error",
    gaps: str = "error",
    sequence_column: str | None = None,
    target: TargetLike = "auto",
    verbose: int = 1,
) -> Store:
    """Read sequences of any number, check them, and write a store that `fit` takes.

    Parameters
    ----------
    X : path, list, iterator, DataFrame, ...
        As of `read_records`. Text, FASTA, tables, Parquet, FASTQ, GenBank and EMBL, and iterators of strings or
        Biopython records, are read piece by piece.
    path : path
        The folder to make, such as ``"big.store"``. It appears whole or not at all.
    y : str, list of str or array-like, optional
        The columns of labels to keep, of classes or numbers, one each; or labels, one for each sequence.
    alphabet, length, ambiguous, gaps, sequence_column, target
        As of `prepare`. The alphabet is guessed, and words and pieces of words are learned, from the first sequences;
        the letters of SMILES are those of all.
    verbose : int
        1 shows a progress bar where a file is large.

    Returns
    -------
    Store

    Raises
    ------
    InputError
        As of `prepare`; also if `path` is there already.

    Examples
    --------
    >>> store = prepare_store(["ACGT", "ggc"], "small.store", y=["strong", "weak"], verbose=0)
    >>> store.n, store.longest, store.strings(np.array([1, 0])), store.y("y").tolist()
    (2, 4, ['GGC', 'ACGT'], ['strong', 'weak'])
    """
    path = _checked(path)
    if not is_learned(alphabet):
        alphabet = resolve_alphabet(alphabet)
    if isinstance(alphabet, str) and alphabet.lower() == "smiles":
        alphabet = _letters_of_smiles(X, y, sequence_column)
    folder = runtime.temporary_beside(path)
    writer = None
    try:
        folder.mkdir()
        writer = _Writer(folder, y if isinstance(y, str) else "y", target)
        options: dict[str, Any] = {"length": length, "ambiguous": ambiguous, "gaps": gaps}
        none_left: InputError | None = None
        for records in record_pieces(X, y, sequence_column, verbose):
            try:
                data = prepare(replace(records, y=None), alphabet=alphabet, **options)
            except NoneLeft as error:  # of this piece, such as a long run of N in a genome
                none_left = none_left or error
                writer.n_read += len(records.sequences)
                continue
            alphabet = data.alphabet
            writer.add(data, records)
        if none_left is not None and not writer.n:
            raise none_left
        writer.finish(alphabet, verbose)  # type: ignore[arg-type]
        if path.exists():
            raise _there(path)
        os.replace(folder, path)
    except OSError as error:
        found = f"a failure to write ({error.strerror or error})"
        cure = "make room, or give a folder that you may write to"
        raise InputError(str(path), found, "a store that can be written", cure) from error
    finally:
        if writer is not None:
            writer.close()
        shutil.rmtree(folder, ignore_errors=True)
    return Store(path)


def _there(path: Path) -> InputError:
    what = "a store that is there already" if is_store(path) else "what is there already"
    return InputError(
        argument("path"), f"{shown(str(path), 200)}, {what}", "a new name", "delete it, or give another name"
    )


def _checked(path: PathLike) -> Path:
    """Return the path of a store to make, or raise an `InputError`."""
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(argument("path"), of_kind(path), "a folder's name", "give one such as 'big.store'")
    path = Path(os.path.abspath(os.path.expanduser(path)))
    if path.exists() or path.is_symlink():
        raise _there(path)
    check_place(path, argument("path"))
    return path


def _letters_of_smiles(X: SequencesLike, y: LabelsLike, sequence_column: str | None) -> Alphabet:
    """Return the letters of all sequences, which are read twice."""
    if isinstance(X, Iterator) or isinstance(X, str) and X == STDIN:
        found, cure = "what can be read once only", "give a file, or the letters as a list"
        raise InputError("X", found, f"what can be read twice, for {argument('alphabet', 'smiles')}", cure)
    letters: set[str] = set()
    for records in record_pieces(X, y if isinstance(y, str) else None, sequence_column):
        letters |= set(chain.from_iterable(re.findall(SMILES_LETTERS, s) for s in records.sequences))
    return smiles_alphabet(sorted(letters))


class _Writer:
    """The files of a store that is being made in a folder."""

    def __init__(self, folder: Path, name: str, target: TargetLike) -> None:
        self.folder, self.name, self.target = folder, name, target
        self.files: dict[str, BinaryIO] = {name: open(folder / name, "wb") for name in ("tokens", "ends", "marks")}  # noqa: SIM115
        self.columns: dict[str, _Column] = {}
        self.n = self.n_read = self.letters = self.longest = 0
        self.source, self.notes = "", []  # type: tuple[str, list[str]]

    def add(self, data: Dataset, records: Records) -> None:
        """Write sequences that were checked, and the labels of the records that they are of."""
        self.files["tokens"].write(data.tokens[data.real].astype(data.tokens.dtype.newbyteorder("<")).tobytes())
        self.files["ends"].write((self.letters + np.cumsum(data.lengths)).astype("<i8").tobytes())
        marks = marks_of(data.tokens, data.lengths, data.alphabet.complement)
        self.files["marks"].write(marks.astype("<u8").tobytes())
        self._add_labels(data, records)
        if not self.n:
            self.source, self.notes = records.source, list(records.notes)
        self.n += len(data)
        self.n_read += data.n_read
        self.letters += int(data.lengths.sum())
        self.longest = max(self.longest, int(data.lengths.max(initial=0)))

    def _add_labels(self, data: Dataset, records: Records) -> None:
        if records.y is None:
            return
        named = named_columns(records.y) or {self.name: records.y}

        def place(i: int) -> str:
            return records.place(int(data.kept[i]))

        for name, column in named.items():
            labels = np.asarray(column)
            if labels.ndim == 2 and labels.shape[1] == 1:
                labels = labels[:, 0]
            if labels.ndim != 1:
                wanted = "one label for each sequence, in each column"
                raise InputError(
                    argument("y"), f"shape {labels.shape}", wanted, "give these sequences to fit as they are"
                )
            if name not in self.columns:
                if self.n:
                    raise InputError(
                        argument("y"), f"the label {shown(name)}", "the same labels of all", "correct the data"
                    )
                kind = kind_of_column(self.target, name)
                self.columns[name] = _Column(name, self.folder, f"y{len(self.columns)}", kind)
            self.columns[name].add(labels[data.kept], place, records.decimal_comma)

    def finish(self, alphabet: Alphabet, verbose: int) -> None:
        """Write store.json, with a digest of the other files."""
        for file in self.files.values():
            file.close()
        columns = [column.finish() for column in self.columns.values()]
        if self.n < self.n_read:
            self.notes.append(
                f"{self.n_read - self.n:,} of {self.n_read:,} sequences were left out for ambiguity codes"
            )
        self.notes += [f"{argument('y')}, column {shown(c.name)}: {c.note}" for c in columns if c.note]
        names = [*self.files, *(column.file for column in columns)]
        sizes = {name: (self.folder / name).stat().st_size for name in names}
        header = {
            "format_version": FORMAT_VERSION,
            "alphabet": alphabet.to_dict(),
            "n": self.n,
            "n_read": self.n_read,
            "letters": self.letters,
            "longest": self.longest,
            "columns": [vars(column) for column in columns],
            "source": self.source,
            "notes": self.notes,
            "digest": digest_of(self.folder, sizes, alphabet, columns, verbose),
        }
        (self.folder / FILE).write_text(json.dumps(header), encoding="utf-8")
        for name in names:
            with open(self.folder / name, "rb+") as written:
                os.fsync(written.fileno())

    def close(self) -> None:
        """Close all files, also those of a store that is given up."""
        for file in self.files.values():
            with contextlib.suppress(OSError):
                file.close()
        for column in self.columns.values():
            with contextlib.suppress(OSError):
                column.close()
