"""From a file, list, table or Biopython records to plain strings and labels, each with a place to name in an error.

Letters are checked later (see `dataset.prepare`); what cannot be read is refused here, in one sentence that names the
file, the line or record, what was found and the cure.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqdiff.alphabets.alphabet import LETTERS, guess_alphabet
from seqdiff.alphabets.levels import image_texts
from seqdiff.data.files import MOST_BYTES, PACKED, check_size, read_text, without_apostrophe
from seqdiff.data.images import Grid, as_images, check_images, is_image_path, read_images
from seqdiff.data.labels import (
    NUMBER,
    CellKind,
    ReadKind,
    as_pandas,
    is_frame,
    is_missing,
    join_labels,
    kind_of_column,
    read_cells,
    read_labels,
)
from seqdiff.data.store import Store, is_store
from seqdiff.errors import InputError, argument, of_kind, printable, shorten, shown
from seqdiff.inputs import LabelsLike, Place, SequencesLike, is_one

if TYPE_CHECKING:
    import pandas as pd

TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
COLUMN_NAMES = (
    "sequence", "seq", "sequences", "seqs", "promoter", "promoters", "enhancer", "enhancers", "dna", "rna", "protein",
    "proteins", "peptide", "peptides", "cdr3", "smiles", "text",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Records:
    """Sequences and labels as they were read, in the input's order.

    Attributes
    ----------
    sequences : list of str
        As written, but for line ends (and all white space in FASTA).
    source : str
        The file's path as it was given, or ``"X"``.
    place : callable
        ``place(i)`` names sequence i for an error: ``"promoters.txt, line 17"``, ``"X[3]"``.
    y : ndarray or None
        Labels of `as_labels`, one row per sequence.
    label_notes, notes : dict of str, tuple of str
        Notes on the reading of labels, by column ("" for labels without a name), and on the sequences.
    grid : Grid or None
        Of images, whose sequences are their strings (see `Levels`).
    names : list of str
        Of the records of FASTA and the like, empty where there are none.
    decimal_comma : bool
        Whether numbers in text may have one.
    """

    sequences: list[str]
    source: str
    place: Place
    y: np.ndarray | None = None
    label_notes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    grid: Grid | None = None
    names: Sequence[str] = ()
    decimal_comma: bool = False

    def take(self, rows: np.ndarray) -> Records:
        """Return the records with these numbers; each keeps its place."""
        return replace(
            self,
            sequences=[self.sequences[i] for i in rows.tolist()],
            place=lambda i: self.place(int(rows[i])),
            y=None if self.y is None else self.y[rows],
            names=[self.names[i] for i in rows.tolist()] if self.names else (),
        )

    def with_labels(self, y: LabelsLike, kind: ReadKind) -> Records:
        """Return the records with labels, see `read_labels`; an InputError unless there is one for each sequence."""
        if y is None:
            return self
        n = len(self.sequences)
        if is_one(y) and not isinstance(y, Mapping):
            found, wanted = f"the single entry {shown(y)}", f"{n} labels, one for each sequence"
            raise InputError(argument("y"), found, wanted, "give one label (or None) each")
        labels, notes = read_labels(y, kind)
        if len(labels) != n:
            wanted = f"{n}, one for each sequence"
            raise InputError(argument("y"), f"{len(labels)} rows", wanted, "give one label (or None) for each sequence")
        return replace(self, y=labels, label_notes=notes)


def to_strings(items: list[Any], place: Place, keep_empty: bool = False) -> list[str]:
    """Return the items as str, "" for missing ones that are kept, or raise an InputError for the first that is none."""
    if set(map(type, items)) == {str}:
        return items
    strings = []
    for i, item in enumerate(items):
        item = getattr(item, "seq", item)  # of a SeqRecord
        if is_sequence_object(item):
            try:
                item = str(item)
            except ValueError:  # Biopython's UndefinedSequenceError: the length is known, the letters are not
                raise InputError(place(i), "an undefined sequence", "a record with letters", "leave it out") from None
        if not isinstance(item, str):
            if keep_empty and is_missing(item):
                item = ""
            elif is_missing(item):
                raise InputError(place(i), f"a missing sequence ({shown(item)})", "a string", "leave this row out")
        if not isinstance(item, str):
            raise InputError(place(i), f"{shown(item, 40)} ({of_kind(item)})", "a string", "pass the sequences as str")
        strings.append(str(item))
    return strings


def _refuse_empty(sequences: list[str], place: Place, kind: str, found: str, wanted: str, cure: str) -> None:
    """Raise an InputError for the first sequence without letters, and say how many such rows or records there are."""
    if empty := [i for i, sequence in enumerate(sequences) if not sequence.strip()]:
        more = f" ({len(empty)} {kind} are like this)" if len(empty) > 1 else ""
        raise InputError(place(empty[0]), f"{found}{more}", wanted, cure)


def is_sequence_object(item: object) -> bool:
    """Return whether this is a sequence of Biopython, which is imported where there is one."""
    module = sys.modules.get("Bio.Seq")
    return module is not None and isinstance(item, (module.Seq, module.MutableSeq))


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a file or a DataFrame.

    ``cells(j)`` are the raw entries of column j, ``labels(j, kind)`` the same as labels and a note, see `read_cells`;
    `decimal_comma` says whether numbers in text may have one.
    """

    names: list[Any]
    cells: Callable[[int], list[Any]]
    labels: Callable[[int, CellKind], tuple[np.ndarray, str]]
    source: str
    place: Place
    notes: tuple[str, ...] = ()
    decimal_comma: bool = False

    def records(self, y: LabelsLike, sequence_column: object, kind: ReadKind, keep_empty: bool = False) -> Records:
        """Return the column of sequences, and as labels the columns that y names, or y itself."""
        named = self.named(y)
        columns = [self._column(name, "y") for name in named]
        j = self.sequences_at(sequence_column, columns)

        records = Records(
            self._sequences(j, keep_empty), self.source, self.place, notes=self.notes, decimal_comma=self.decimal_comma
        )
        if not named:
            return records.with_labels(y, kind)
        if len(set(named)) < len(named):
            found = f"{shown(y)}, which names a column twice"
            raise InputError(argument("y"), found, "different columns", "name each once")
        read = {name: self.labels(k, kind_of_column(kind, name)) for name, k in zip(named, columns, strict=True)}
        if isinstance(y, str):
            labels, note = read[y]
            return replace(records, y=labels, label_notes={"": note} if note else {})
        labels, notes = join_labels(read)
        return replace(records, y=labels, label_notes=notes)

    def named(self, y: LabelsLike) -> list[Any]:
        """Return the columns that y names, none where it is labels itself."""
        if isinstance(y, str):
            return [y]
        if isinstance(y, (list, tuple)) and y and all(isinstance(name, str) for name in y):
            common = set(y) & set(self.names)
            return list(y) if len(common) == len(set(y)) or common and len(y) <= len(self.names) else []
        return []

    def sequences_at(self, sequence_column: object, taken: Sequence[int] = ()) -> int:
        """Return the number of the column of sequences, the one that is named or the one that is found."""
        if sequence_column is None:
            return self._find_sequences(taken)
        return self._column(sequence_column, "sequence_column")

    def frame(self, sequence_column: object = None) -> pd.DataFrame:
        """Return the table as a DataFrame, its column of sequences as `sequence`, texts of numbers as numbers."""
        import pandas as pd

        j = self.sequences_at(sequence_column)
        columns = {str(name): _typed(self.cells(i)) for i, name in enumerate(self.names) if i != j}
        return pd.DataFrame({**columns, "sequence": self._sequences(j)})

    def _sequences(self, j: int, keep_empty: bool = False) -> list[str]:
        def place(i: int) -> str:
            return f"{self.place(i)}, column {shown(self.names[j], 40)}"

        sequences = to_strings(self.cells(j), place, keep_empty)
        if not keep_empty:
            cure = "fill it in or delete the row"
            _refuse_empty(sequences, place, "rows", "a missing sequence", "one letter or more", cure)
        return sequences

    def _column(self, name: object, role: str) -> int:
        if self.names.count(name) == 1:
            return self.names.index(name)
        problem = "no column" if name not in self.names else "more than one"
        found = f"{shown(name)}, of which {self.source} has {problem}"
        raise InputError(argument(role), found, f"one of its columns {_listed(self.names)}", "give one of these")

    def _find_sequences(self, taken: Sequence[int]) -> int:
        """Return the sequences' column: by its name, else the only one whose entries look like sequences."""
        lower = [str(name).strip().lower() for name in self.names]
        for group in (COLUMN_NAMES[:4], COLUMN_NAMES[4:]):
            named = [j for j, name in enumerate(lower) if name in group and j not in taken]
            if len(named) == 1:
                return named[0]
            if named:
                break
        looks = {j: _looks(self.cells(j)[:1000]) for j in range(len(lower)) if j not in taken}
        best = [j for j, look in looks.items() if look == 2] or [j for j, look in looks.items() if look == 1]
        if len(best) != 1:
            found = f"{'no column that looks' if not best else 'more than one column that looks'} like the sequences"
            cure = f"pass one of {_listed(self.names)} as {argument('sequence_column')}"
            raise InputError(self.source, found, "exactly one", cure)
        if self._lacks_header(best[0]):
            name = str(self.names[best[0]])
            setting = argument("sequence_column", shorten(name, 40))
            cure = f"add one, such as 'sequence,expression' (or pass {setting} if that is the column's name)"
            raise InputError(self.source, f"a first line that holds {shown(name, 40)}", "a header line", cure)
        return best[0]

    def _lacks_header(self, j: int) -> bool:
        """Return whether the name of column j looks like one of its sequences: a row would be lost."""
        name, sequences = str(self.names[j]), self.cells(j)[:1000]
        text = "".join(sequences)
        if not name.isalpha() or name.isupper() != text.isupper() or name.islower() != text.islower():
            return False
        kind = guess_alphabet(sequences)
        letters = set(text.upper()) | set(LETTERS[kind] + ("" if kind == "protein" else "N"))
        if not set(name.upper()) <= letters:
            return False
        pairs = [(self.names[i], self.cells(i)[0]) for i in range(len(self.names)) if i != j]
        numbers = [all(NUMBER.fullmatch(str(cell).strip()) for cell in pair) for pair in pairs]
        return len(name) >= 5 or bool(numbers) and all(numbers)


def _typed(cells: list[Any]) -> pd.Series:
    """Return the cells of a column: texts as numbers or booleans where all that are not empty are such."""
    import pandas as pd

    if not all(isinstance(cell, str) for cell in cells):
        return pd.Series(cells)
    filled = {cell.strip() for cell in cells} - {""}
    if filled and filled <= {"True", "False"}:
        return pd.Series([None if not cell.strip() else cell.strip() == "True" for cell in cells])
    if filled and all(map(NUMBER.fullmatch, filled)):
        return pd.to_numeric(pd.Series([cell.strip() or None for cell in cells]))
    return pd.Series(cells)


def _looks(items: Sequence[object]) -> int:
    """Return 2 for nucleotides, 1 for proteins, 0 for others. Short or often repeated entries are labels."""
    strings = [item for item in items if isinstance(item, str) and item.strip()]
    if not strings or len(strings) < len(items) or len(set(strings)) <= 0.5 * len(strings):
        return 0
    if sum(map(len, strings)) < 5 * len(strings) or any(s.upper() != s and s.lower() != s for s in strings):
        return 0
    try:
        return 2 if guess_alphabet(strings) != "protein" else 1
    except ValueError:
        return 0


def _listed(names: Sequence[object]) -> str:
    listed = ", ".join(shorten(printable(" ".join(str(name).split()))) for name in names[:12])
    return listed + (f" ... ({len(names)} in all)" if len(names) > 12 else "")


def table_of_text(path: str, lines: list[str], separator: str, before: int = 0) -> Table:
    """Return the table in the lines of a file; the separator is the most frequent in the header.

    `before` is the number of lines of the file that are left out behind the header.
    """
    head = next(line for line in lines if line.strip())
    counts = {s: head.count(s) for s in (separator, ",", ";", "\t")}
    separator = max(counts, key=lambda s: counts[s])  # the ending's own where none occurs
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=separator)
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                numbers.append(reader.line_num + before)
    except csv.Error as error:
        where, cure = f"{path}, line {reader.line_num + before}", "correct the line"
        raise InputError(where, f"what cannot be read ({error})", "a line of a table", cure) from None
    if not rows:
        found = f"separators ({shown(separator)}) with nothing between them"
        raise InputError(path, found, "a header and at least one row", "give another file")
    names = [name.strip() for name in rows[0]]
    for row, number in zip(rows, numbers, strict=True):
        if len(row) > len(names) and not any(cell.strip() for cell in row[len(names) :]):
            del row[len(names) :]
        elif len(row) != len(names):
            found = f"{len(row)} field{'s' * (len(row) != 1)}"
            wanted = f"{len(names)}, as the header has ({_listed(names)})"
            raise InputError(f"{path}, line {number}", found, wanted, "correct the line")
    if len(rows) == 1:
        found = f"a header ({_listed(names)}) but no rows"
        raise InputError(path, found, "at least one sequence", "give another file")
    columns = [[without_apostrophe(cell) for cell in cells] for cells in zip(*rows[1:], strict=True)]

    def place(i: int) -> str:
        return f"{path}, line {numbers[i + 1]}"

    comma = separator != ","

    def labels(j: int, kind: CellKind) -> tuple[np.ndarray, str]:
        return read_cells(columns[j], kind, place, decimal_comma=comma)

    return Table(names, columns.__getitem__, labels, path, place, decimal_comma=comma)


def _reason(error: Exception) -> str:
    """Return the first line of a library's message, or the name of the error, to stand in a sentence."""
    return shorten(printable(str(error).splitlines()[0]) if str(error) else type(error).__name__, 100)


def table_of_parquet(path: str, name: str) -> Table:
    """Return the table in a Parquet file, which messages call `name`."""
    import pandas as pd

    with parquet_errors(name):
        frame = pd.read_parquet(path)
        for j in np.flatnonzero([isinstance(dtype, pd.StringDtype) for dtype in frame.dtypes]).tolist():
            frame.iloc[:, j].to_numpy()  # text that is no UTF-8 is noticed only now
    return table_of_frame(frame, name, lambda i: f"{name}, row {i + 1}")


@contextlib.contextmanager
def parquet_errors(name: str) -> Iterator[None]:
    """Raise an InputError for what goes wrong with a Parquet file, which messages call `name`."""
    try:
        yield
    except InputError:
        raise
    except ImportError:
        cure = "pip install pyarrow, or export the table as CSV"
        raise InputError(name, "Parquet", "the library pyarrow, which reads it", cure) from None
    except Exception as error:  # pyarrow's own family of errors, and OSError
        found = f"what cannot be read as Parquet ({_reason(error)})"
        raise InputError(name, found, "a Parquet file", "write it again, or as CSV") from None


def table_of_excel(path: str, name: str) -> Table:
    """Return the table in a workbook, which messages call `name`."""
    frame, notes = frame_of_excel(path, name)
    return replace(table_of_frame(frame, name, lambda i: f"{name}, row {frame.index[i] + 2}"), notes=notes)


def frame_of_excel(path: str, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the first sheet of a workbook that is not empty, without blank rows, and notes on others."""
    import pandas as pd

    try:
        # an empty cell is missing, "NA" is not: it may be a peptide
        sheets = pd.read_excel(path, sheet_name=None, engine="openpyxl", keep_default_na=False, na_values=[""])
    except ImportError:
        cure = 'pip install "seqdiff[excel]", or export the sheet as CSV'
        raise InputError(name, "an Excel workbook", "the library openpyxl, which reads it", cure) from None
    except FileNotFoundError:
        raise InputError(name, "no such file", "a file", "check the name and the folder you are in") from None
    except Exception as error:  # openpyxl's and zipfile's families of errors, KeyError and OSError
        found = f"what cannot be read as an Excel workbook ({_reason(error)})"
        raise InputError(name, found, "an Excel workbook", "save it again as .xlsx, or as CSV") from None
    rows = {title: sheet.dropna(how="all") for title, sheet in sheets.items()}
    filled = [title for title, frame in rows.items() if len(frame)]
    if not filled:
        found = "a workbook without rows below a header"
        raise InputError(name, found, "a header and at least one row", "give another file")
    title, *others = filled
    frame = rows[title]
    unnamed = [column for column in frame if str(column).startswith("Unnamed: ") and frame[column].isna().all()]
    notes = (f"of {name} the sheet {shown(title, 40)} is read, not {_listed(others)}",) if others else ()
    return frame.drop(columns=unnamed), notes


def table_of_frame(frame: pd.DataFrame, source: str, place: Place) -> Table:
    """Return a DataFrame as a table."""
    names = list(frame.columns)
    if not len(frame):
        found = f"columns ({_listed(names)}) but no rows"
        raise InputError(source, found, "at least one row", "give another table")

    def labels(j: int, kind: CellKind) -> tuple[np.ndarray, str]:
        read, notes = read_labels(frame.iloc[:, j], kind)
        return read, notes.get("", "")

    return Table(names, lambda j: frame.iloc[:, j].tolist(), labels, source, place)


FASTA = (".fa", ".fasta", ".fna", ".faa", ".ffn", ".fas", ".fsa", ".frn", ".a3m", ".afa")
PARQUET = (".parquet", ".pq")
EXCEL = (".xlsx", ".xlsm")
STDIN = "/dev/stdin"
FORMATS = {
    ".gb": "GenBank", ".gbk": "GenBank", ".genbank": "GenBank", ".embl": "EMBL", ".fastq": "FASTQ", ".fq": "FASTQ",
    ".sto": "Stockholm", ".stk": "Stockholm", ".stockholm": "Stockholm",
}  # fmt: skip
"""Formats that Biopython reads, by the ending of a file's name."""


def read_records(
    X: SequencesLike | Records | Store,
    y: LabelsLike = None,
    *,
    sequence_column: object = None,
    kind: ReadKind = "auto",
    keep_empty: bool = False,
    verbose: int = 0,
) -> Records:
    """Read sequences, and labels where there are some.

    Parameters
    ----------
    X : path, list, tuple, array, Series, Index, DataFrame, or Biopython SeqRecord / Seq objects (list or iterator)
        A path (str or PathLike) is read by its ending: `.fa .fasta .fna .faa .ffn .a3m` FASTA, `.csv .tsv .parquet
        .xlsx` a table, `.gb .gbk` GenBank, `.embl` EMBL, `.fastq .fq` FASTQ (without its qualities), `.sto .stk`
        Stockholm, `.npy` images, anything else one sequence a line, or what its first line shows; text also compressed,
        `.gz .bz2 .xz`, or `.zip` with one file. An array of numbers (n, H, W) or (n, H, W, C) holds images. Frames and
        columns of polars are read as those of pandas. Records are returned as they are: a pipe can be read but once.
    y : array-like, str or list of str, optional
        Labels, one per sequence; or the name of a column of the table, or of several, which may be of several kinds.
    sequence_column : str, optional
        The table's column that holds the sequences; found by its name or its looks if None. Ignored where X is no
        table.
    kind : str, frozenset or dict
        The kind of labels in text, see `read_labels`: a model's parameter `target`, or a fitted target's `read_kind`.
    keep_empty : bool
        Whether to read sequences without letters, and missing ones, as "" rather than to refuse them.
    verbose : int
        1 shows a progress bar where a file is large.

    Examples
    --------
    >>> records = read_records(["ACGT", "GGCC"], y=["strong", "weak"])
    >>> records.sequences, records.y.tolist(), records.place(1)
    (['ACGT', 'GGCC'], ['strong', 'weak'], 'X[1]')
    """
    if isinstance(X, Records) and y is None:
        return X
    read = _read(X, keep_empty, verbose)
    if isinstance(read, Table):
        return read.records(y, sequence_column, kind, keep_empty)
    if isinstance(y, str):
        raise no_column(y, read.source)
    return read.with_labels(y, kind)


def no_column(y: str, source: str) -> InputError:
    """Return why a name is no labels of what has no columns."""
    found = f"{shown(y)}, which names a column, where {source} is no table"
    return InputError(argument("y"), found, "labels", f"give a table, or {argument('y')} as an array")


def read_frame(X: SequencesLike, sequence_column: object = None) -> pd.DataFrame:
    """Return the table that X is or a file holds, its sequences as the column `sequence`.

    Where it is no table the only other column is `name`, that of records which have one. Parameters are those of
    `read_records`.

    >>> read_frame(["ACGT", "GGCC"]).to_dict("list")
    {'sequence': ['ACGT', 'GGCC']}
    """
    import pandas as pd

    read = _read(X)
    if isinstance(read, Table):
        return read.frame(sequence_column)
    names = {"name": list(read.names)} if read.names else {}
    return pd.DataFrame({**names, "sequence": read.sequences})


def _read(X: Any, keep_empty: bool = False, verbose: int = 0) -> Records | Table:
    if isinstance(X, Store):
        return _of_store(X)
    if isinstance(X, (str, os.PathLike)):
        path = os.path.expanduser(os.fsdecode(X))
        if is_store(path):
            return _of_store(Store(path))
        if isinstance(X, str) and not os.path.exists(path):
            raise _no_file(X)
        return _read_file(path, "standard input" if path == STDIN else printable(path), keep_empty, verbose)
    if is_frame(X):
        return table_of_frame(as_pandas(X), "X", lambda i: f"row {i} of X (counted from 0)")
    if (images := as_images(X)) is not None:
        return _of_images(images, "X")
    return _read_items(X, keep_empty)


def _of_store(store: Store) -> Table:
    """Return all of a store, its labels as columns; what does not fit into memory is refused."""
    check_size(store.letters, str(store.path), MOST_BYTES)
    rows = np.arange(store.n)
    columns: dict[str, Any] = {"sequence": store.strings(rows)} | {c.name: store.y(c.name, rows) for c in store.columns}

    def labels(j: int, kind: CellKind) -> tuple[np.ndarray, str]:
        return read_labels(columns[names[j]], kind)[0], ""

    names = list(columns)
    place = "{}, sequence {:,}".format
    return Table(
        names, lambda j: list(columns[names[j]]), labels, str(store.path), lambda i: place(store.path, i + 1),
        notes=store.notes,
    )  # fmt: skip


def _of_images(images: np.ndarray, source: str) -> Records:
    grid = check_images(images, source)
    return Records(image_texts(images), source, lambda i: f"{source}[{i}]", grid=grid)


def _read_items(X: object, keep_empty: bool) -> Records:
    """Read anything that can be iterated in a fixed order."""
    if isinstance(X, (bytes, bytearray, dict, set, frozenset)) or not hasattr(X, "__iter__"):
        cures = {"dict": "pass list(X.values())", "set": "pass sorted(X)", "bytes": "decode it to str"}
        wanted = "a path, or a list, array, Series or DataFrame of sequences"
        raise InputError("X", of_kind(X), wanted, cures.get(type(X).__name__, "give one of these"))
    if is_sequence_object(X) or hasattr(X, "seq"):
        raise InputError("X", f"a single {type(X).__name__}", "a list of sequences", "pass [X]")
    if getattr(X, "ndim", 1) != 1:
        if (shape := np.shape(X))[1:] != (1,):  # type: ignore[call-overload]
            wanted = "a one-dimensional list or array of strings, or images (n, H, W)"
            raise InputError("X", f"shape {shape}", wanted, "give such a one")
        X = np.asarray(X)[:, 0]  # scikit-learn's column of one feature
    name = "X.iloc" if hasattr(X, "iloc") else "X"
    dtype = getattr(X, "dtype", None)
    if getattr(dtype, "kind", "O") in "biufc":
        raise InputError("X", f"numbers ({dtype})", "strings", "pass the sequences themselves")
    try:
        items = X.tolist() if hasattr(X, "tolist") else list(X)
    except ValueError as error:  # a Biopython parser, say, in the middle of its file
        stopped = f"entries up to one that could not be read ({error})"
        raise InputError("X", stopped, "ones that can all be read", "mend the source, or give a list") from error

    names = [str(getattr(item, "id", None) or "") if hasattr(item, "seq") else "" for item in items]

    def place(i: int) -> str:
        return f"{name}[{i}]" + (f" (record {shown(names[i], 40)})" if names[i] else "")

    if not items:
        raise InputError("X", "nothing", "at least one sequence", "give some")
    return Records(to_strings(items, place, keep_empty), "X", place, names=names if all(names) else ())


def _no_file(X: str) -> InputError:
    """Return why this string is no input: a path that is not there, or a sequence without a list around it."""
    text, wanted = repr(shorten(X, 60)), "a path or a list of sequences"
    if "\n" in X or "\r" in X:
        return InputError("X", "one string of several lines", wanted, "pass X.split()")
    if not X.strip():
        return InputError("X", "an empty string", wanted, "give one of these")
    folder, name = os.path.split(os.path.expanduser(X))
    if folder or re.search(r"\.\w{1,8}$", X):
        if folder and not os.path.isdir(folder):
            cure = "check the path, or pass sequences as a list"
            return InputError(text, "no such file (nor its folder)", "a file", cure)
        try:
            near = difflib.get_close_matches(name, os.listdir(folder or "."), n=1, cutoff=0.75)
        except OSError:
            near = []
        hint = f"did you mean {near[0]!r}?" if near else "check the name and the folder you are in"
        return InputError(text, "no such file", "a file", f"{hint} (sequences themselves are passed as a list)")
    found = f"the single string {text}, which is no file"
    return InputError("X", found, wanted, f"to pass sequences give a list, such as [{text}]")


def _read_file(path: str, name: str, keep_empty: bool, verbose: int) -> Records | Table:
    """Read a file, which messages call `name`."""
    if os.path.isdir(path):
        raise InputError(name, "a folder", "a file", "name one file in it")
    packed = os.path.splitext(path.lower())[1]
    if packed in PARQUET:
        return table_of_parquet(path, name)
    if packed in EXCEL:
        return table_of_excel(path, name)
    if is_image_path(path):
        return _of_images(read_images(path, name), name)
    text, ending = read_text(path, name, packed if packed in PACKED else "", verbose)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = first_line(lines, name)
    if ending in TABLES:
        return table_of_text(name, lines, TABLES[ending])
    if kind := format_of(lines, ending):
        return next(biopython_records(name, io.StringIO("\n".join(lines[first:])), kind, keep_empty))
    if ending in FASTA or lines[first].startswith(">"):
        return read_fasta(name, lines, keep_empty)
    return read_lines(name, lines)


def first_line(lines: list[str], name: str) -> int:
    """Return the number of the first line that is not blank, or raise an InputError."""
    for i, line in enumerate(lines):
        if line.strip():
            return i
    raise InputError(name, "only blank lines", "at least one sequence", "give another file")


def read_lines(name: str, lines: list[str], before: int = 0) -> Records:
    """Return the sequences of a file with one a line, but for a header; `before` lines of it are left out."""
    kept = [i for i, line in enumerate(lines) if line.strip()]
    notes: tuple[str, ...] = ()
    if not before:
        place, header = f"{name}, line {kept[0] + 1}", lines[kept[0]].strip()
        if _is_header(header, [lines[i].strip() for i in kept[1:1000]], place):
            kept = kept[1:]
            taken = f"{place}: {shown(header)} was taken for a header and left out"
            notes = (f"{taken}; if it is a sequence, put it on another line",)
    return Records([lines[i] for i in kept], name, lambda i: f"{name}, line {before + kept[i] + 1}", notes=notes)


def format_of(lines: list[str], ending: str) -> str:
    """Return the format of `FORMATS` of files that end or begin so, else ""; one line at least is not blank."""
    if ending in FORMATS:
        return FORMATS[ending]
    lines = lines[first_line(lines, "") :][:9]
    first = lines[0]
    if first.startswith("@") and any(line.startswith("+") for line in lines):
        return "FASTQ"
    starts = {"LOCUS ": "GenBank", "ID   ": "EMBL", "# STOCKHOLM": "Stockholm"}
    return next((kind for start, kind in starts.items() if first.startswith(start)), "")


def biopython_records(
    name: str, file: TextIO, kind: str, keep_empty: bool = False, together: int | None = None
) -> Iterator[Records]:
    """Yield the records of a file of one of `FORMATS`, `together` at a time; of FASTQ the qualities are not used."""
    found, count = _parsed(file, kind), 0
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of annotations, which are not read
                pairs = list(islice(found, together))
        except InputError:  # of the file
            raise
        except Exception as error:  # ValueError, and of damaged annotations whatever the parser meets
            what, cure = f"what cannot be read as {kind} ({_reason(error)})", "mend it, or convert it to FASTA"
            raise InputError(name, what, f"a file in {kind}", cure) from None
        if not pairs and not count:
            what = f"a file in {kind} without records"
            raise InputError(name, what, "at least one sequence", "give another file")
        if pairs:
            yield _of_pairs(name, pairs, kind, keep_empty)
        count += len(pairs)
        if together is None or len(pairs) < together:
            return


def _parsed(file: TextIO, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield the name and the sequence of each record."""
    from Bio import SeqIO
    from Bio.SeqIO.QualityIO import FastqGeneralIterator

    if kind == "FASTQ":
        yield from (((title.split(maxsplit=1) or [""])[0], read) for title, read, _ in FastqGeneralIterator(file))
    else:
        yield from ((record.id, record) for record in SeqIO.parse(file, kind.lower()))


def _of_pairs(name: str, pairs: list[tuple[str, Any]], kind: str, keep_empty: bool) -> Records:
    names = [title for title, _ in pairs]

    def place(i: int) -> str:
        return f"{name}, record {shorten(printable(names[i]))!r}"

    sequences = to_strings([item for _, item in pairs], place, keep_empty)
    if not keep_empty:
        _refuse_empty(sequences, place, "records", "a record without a sequence", "a sequence", "leave it out")
    notes = (f"the qualities in {name} are not used",) if kind == "FASTQ" else ()
    return Records(sequences, name, place, notes=notes, names=names)


def _is_header(first: str, others: list[str], place: str) -> bool:
    """Return whether the first line of a list of sequences names them; an error where it may be one of them."""
    text = "".join(others)
    if first.lower() not in COLUMN_NAMES or not text:
        return False
    alike = (first.isupper(), first.islower()) == (text.isupper(), text.islower())
    if alike and set(first.upper()) <= set(text.upper()):
        cure = "if this is a header delete the line, if it is a sequence put it on another line"
        raise InputError(place, repr(first), "a sequence", cure)
    return True


def read_fasta(path: str, lines: list[str], keep_empty: bool = False, before: int = 0) -> Records:
    """Return the records in the lines of a FASTA file, of which `before` lines are left out."""
    headers: list[tuple[int, str]] = []  # line and name of each record
    parts: list[list[str]] = []
    for number, line in enumerate(lines, before + 1):
        if line.startswith(">"):
            headers.append((number, (line[1:].split(maxsplit=1) or [""])[0]))
            parts.append([])
        elif line.startswith(";") or not line.strip():
            continue  # Pearson's comments, blank lines
        elif parts:
            parts[-1].append(line)
        else:
            found = f"{shorten(line.strip())!r} before the first record"
            cure = "add a header line, or name a file with one sequence a line .txt"
            raise InputError(f"{path}, line {number}", found, "'>', with which a FASTA record starts", cure)
    sequences = ["".join("".join(pieces).split()) for pieces in parts]

    def place(i: int) -> str:
        number, name = headers[i]
        return f"{path}, record {shorten(name)!r} (line {number})" if name else f"{path}, line {number}"

    if not keep_empty:
        found, cure = "a header with no sequence below it", "add it or delete the header"
        _refuse_empty(sequences, place, "records", found, "a sequence", cure)
    names = [name for _, name in headers]
    return Records(sequences, path, place, names=names if all(names) else ())
