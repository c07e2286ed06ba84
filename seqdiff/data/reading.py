"""From a file, list, table or Biopython records to plain strings, each with a place to name in an error.

Letters are checked later (see `dataset.prepare`); what cannot be read is refused here, in one sentence that names the
file, the line or record, what was found and the cure.
"""

from __future__ import annotations

import difflib
import os
import re

import numpy as np

from seqdiff.data.files import read_text
from seqdiff.data.labels import ReadKind
from seqdiff.data.tables import (
    COLUMN_NAMES,
    TABLES,
    Records,
    Table,
    is_sequence_object,
    table_of_frame,
    table_of_parquet,
    table_of_text,
    to_strings,
)
from seqdiff.errors import InputError, argument, of_kind, printable, shorten, shown
from seqdiff.inputs import LabelsLike, SequencesLike

FASTA = (".fa", ".fasta", ".fna", ".faa", ".ffn", ".fas", ".fsa", ".frn")
PARQUET = (".parquet", ".pq")


def read_records(
    X: SequencesLike | Records,
    y: LabelsLike = None,
    *,
    sequence_column: object = None,
    kind: ReadKind = "auto",
    verbose: int = 0,
) -> Records:
    """Read sequences, and labels where there are some.

    Parameters
    ----------
    X : path, list, tuple, array, Series, Index, DataFrame, or Biopython SeqRecord / Seq objects (list or iterator)
        A path (str or PathLike) is read by its ending: `.fa .fasta .fna .faa .ffn` FASTA, `.csv .tsv .parquet` a table,
        anything else one sequence a line (or FASTA, if it starts with ``>``); all but Parquet also gzipped. Records
        are returned as they are: a pipe can be read but once.
    y : array-like, str or list of str, optional
        Labels, one per sequence; or the name of a column of the table, or of several, which may be of several kinds.
    sequence_column : str, optional
        The table's column that holds the sequences; found by its name or its looks if None. Ignored where X is no
        table.
    kind : str, frozenset or dict
        The kind of labels in text, see `read_labels`: a model's parameter `target`, or a fitted target's `read_kind`.
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
    read: Records | Table
    if isinstance(X, (str, os.PathLike)):
        path = os.path.expanduser(os.fsdecode(X))
        if isinstance(X, str) and not os.path.exists(path):
            raise _no_file(X)
        read = _read_file(path, printable(path), verbose)
    elif hasattr(X, "iloc") and hasattr(X, "columns"):
        read = table_of_frame(X, "X", lambda i: f"row {i} of X (counted from 0)")
    else:
        read = _read_items(X)
    if isinstance(read, Table):
        return read.records(y, sequence_column, kind)
    if isinstance(y, str):
        found = f"{shown(y)}, which names a column, where {read.source} is no table"
        raise InputError(argument("y"), found, "labels", f"give a table, or {argument('y')} as an array")
    return read.with_labels(y, kind)


def _read_items(X: object) -> Records:
    """Read anything that can be iterated in a fixed order."""
    if isinstance(X, (bytes, bytearray, dict, set, frozenset)) or not hasattr(X, "__iter__"):
        cures = {"dict": "pass list(X.values())", "set": "pass sorted(X)", "bytes": "decode it to str"}
        wanted = "a path, or a list, array, Series or DataFrame of sequences"
        raise InputError("X", of_kind(X), wanted, cures.get(type(X).__name__, "give one of these"))
    if is_sequence_object(X) or hasattr(X, "seq"):
        raise InputError("X", f"a single {type(X).__name__}", "a list of sequences", "pass [X]")
    if getattr(X, "ndim", 1) != 1:
        if (shape := np.shape(X))[1:] != (1,):  # type: ignore[call-overload]
            wanted = "a one-dimensional list or array of strings"
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

    def place(i: int) -> str:
        record = getattr(items[i], "id", None) if hasattr(items[i], "seq") else None
        return f"{name}[{i}]" + (f" (record {shown(str(record), 40)})" if record else "")

    if not items:
        raise InputError("X", "nothing", "at least one sequence", "give some")
    return Records(to_strings(items, place), "X", place)


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


def _read_file(path: str, name: str, verbose: int) -> Records | Table:
    """Read a file, which messages call `name`."""
    if os.path.isdir(path):
        raise InputError(name, "a folder", "a file", "name one file in it")
    stem, ending = os.path.splitext(path.lower())
    gzipped = ending == ".gz"
    if gzipped:
        ending = os.path.splitext(stem)[1]
    if ending in PARQUET and not gzipped:
        return table_of_parquet(path, name)
    text = read_text(path, name, gzipped, verbose)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = [i for i, line in enumerate(lines) if line.strip()]
    if not kept:
        raise InputError(name, "only blank lines", "at least one sequence", "give another file")
    if ending in TABLES:
        return table_of_text(name, lines, TABLES[ending])
    first = lines[kept[0]]
    if ending in (".fastq", ".fq") or (first.startswith("@") and any(line.startswith("+") for line in lines[:9])):
        cure = "convert it to FASTA (or pass the records of Bio.SeqIO.parse)"
        raise InputError(name, "a FASTQ file", "FASTA, a table, or one sequence a line", cure)
    if ending in FASTA or first.startswith(">"):
        return _read_fasta(name, lines)
    notes: tuple[str, ...] = ()
    place, header = f"{name}, line {kept[0] + 1}", first.strip()
    if _is_header(header, [lines[i].strip() for i in kept[1:1000]], place):
        kept = kept[1:]
        taken = f"{place}: {shown(header)} was taken for a header and left out"
        notes = (f"{taken}; if it is a sequence, put it on another line",)
    return Records([lines[i] for i in kept], name, lambda i: f"{name}, line {kept[i] + 1}", notes=notes)


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


def _read_fasta(path: str, lines: list[str]) -> Records:
    headers: list[tuple[int, str]] = []  # line and name of each record
    parts: list[list[str]] = []
    for number, line in enumerate(lines, 1):
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

    empty = [i for i, sequence in enumerate(sequences) if not sequence]
    if empty:
        more = f" ({len(empty)} records are like this)" if len(empty) > 1 else ""
        found = f"a header with no sequence below it{more}"
        raise InputError(place(empty[0]), found, "a sequence", "add it or delete the header")
    return Records(sequences, path, place)
