"""From a file, list, table or Biopython records to plain strings, each with a place to name in an error.

Nothing is decided here about letters (see `dataset.prepare`); what cannot be read is refused here, in one sentence that
names the file, the line or record, what was found and the cure. Nothing is ever written.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from seqdiff.data.files import read_text
from seqdiff.data.tables import (
    COLUMN_NAMES,
    TABLES,
    Records,
    check_labels,
    from_frame,
    is_sequence_object,
    read_parquet,
    read_table,
    to_strings,
)
from seqdiff.errors import InputError, argument, of_kind, printable, shorten, shown

FASTA = (".fa", ".fasta", ".fna", ".faa", ".ffn", ".fas", ".fsa", ".frn")
PARQUET = (".parquet", ".pq")
TEXT = (".txt", ".text", ".seq", ".list")


def read_records(
    X: Any, y: Any = None, *, sequence_column: Any = None, kind: Any = "auto", verbose: int = 0
) -> Records:
    """Read sequences, and labels where there are some.

    Parameters
    ----------
    X : path, list, tuple, array, Series, Index, DataFrame, or Biopython SeqRecord / Seq objects (list or iterator)
        Or Records, which are returned as they are: a pipe can be read but once.
        A path (str or PathLike) is read by its ending: `.fa .fasta .fna .faa .ffn` FASTA, `.csv .tsv .parquet` a table,
        anything else one sequence a line (or FASTA, if it starts with ``>``); all but Parquet also gzipped.
    y : array-like, str or list of str, optional
        Labels, one per sequence; or the name of a column of the table, or of several, which may be of several kinds.
    sequence_column : str, optional
        The table's column that holds the sequences; found by its name or its looks if None. Ignored where X is no
        table.
    kind : str, frozenset or dict
        How text of labels is read, see `read_cells`: what a model's parameter `target` says, or `kind_to_read` of what
        it has learned.
    verbose : int
        1 shows a progress bar where a file is large.

    Raises
    ------
    InputError
        One sentence: what was found and where, what was wanted, the cure.

    Examples
    --------
    >>> records = read_records(["ACGT", "GGCC"], y=["strong", "weak"])
    >>> records.sequences, records.y.tolist(), records.place(1)
    (['ACGT', 'GGCC'], ['strong', 'weak'], 'X[1]')
    """
    if isinstance(X, Records) and y is None:
        return X
    if isinstance(X, (str, os.PathLike)):
        path = os.path.expanduser(os.fspath(X))
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(X, str) and not os.path.exists(path):
            raise _no_file(X)
        return _read_file(path, y, sequence_column, kind, verbose)
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return from_frame(X, y, sequence_column, "X", lambda i: f"row {i} of X (counted from 0)", kind)
    sequences, place = _from_items(X)
    if isinstance(y, str):
        found, wanted = f"{shown(y)}, which names a column, where X is no table", "labels"
        raise InputError(argument("y"), found, wanted, f"give a table, or {argument('y')} as an array")
    labels, told = check_labels(y, len(sequences), kind)
    return Records(sequences, labels, "X", place, told)


# ---------------------------------------------------------------------------------------------- lists and their kin


def _from_items(X: Any) -> tuple[list[str], Callable[[int], str]]:
    """Strings from anything that can be walked through in a fixed order."""
    if isinstance(X, (bytes, bytearray)) or isinstance(X, (dict, set, frozenset)) or not hasattr(X, "__iter__"):
        cures = {"dict": "pass list(X.values())", "set": "pass sorted(X)", "bytes": "decode it to str"}
        wanted = "a path, or a list, array, Series or DataFrame of sequences"
        raise InputError("X", of_kind(X), wanted, cures.get(type(X).__name__, "give one of these"))
    if is_sequence_object(X) or hasattr(X, "seq"):
        raise InputError("X", f"a single {type(X).__name__}", "a list of sequences", "pass [X]")
    if hasattr(X, "ndim") and X.ndim != 1:
        if X.ndim == 2 and X.shape[1] == 1:
            X = np.asarray(X)[:, 0]  # scikit-learn's column of one feature
        else:
            wanted = "a one-dimensional list or array of strings"
            raise InputError("X", f"shape {tuple(X.shape)}", wanted, "give such a one")
    series = hasattr(X, "iloc")
    if getattr(getattr(X, "dtype", None), "kind", "O") in "biufc":
        raise InputError("X", f"numbers ({X.dtype})", "strings", "pass the sequences themselves")
    try:
        items = X.tolist() if hasattr(X, "tolist") else list(X)
    except ValueError as error:  # a Biopython parser, say, in the middle of its file
        stopped = f"entries up to one that could not be read ({error})"
        raise InputError("X", stopped, "ones that can all be read", "mend the source, or give a list") from error

    def place(i: int) -> str:
        name = getattr(items[i], "id", None) if hasattr(items[i], "seq") else None
        return (f"X.iloc[{i}]" if series else f"X[{i}]") + (f" (record {shown(str(name), 40)})" if name else "")

    if not items:
        raise InputError("X", "nothing", "at least one sequence", "give some")
    return to_strings(items, place), place


# ------------------------------------------------------------------------------------------------------------- files


def _no_file(X: str) -> InputError:
    """Why this string is no input: a path that is not there, or a sequence without a list around it."""
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


def _read_file(path: str, y: Any, sequence_column: Any, kind: Any, verbose: int) -> Records:
    name = printable(path)
    if os.path.isdir(path):
        raise InputError(name, "a folder", "a file", "name one file in it")
    stem, ending = os.path.splitext(path.lower())
    gzipped = ending == ".gz"
    if gzipped:
        ending = os.path.splitext(stem)[1]
    if ending in PARQUET and not gzipped:
        return read_parquet(path, name, y, sequence_column, kind)
    text = read_text(path, name, gzipped, verbose)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise InputError(name, "only blank lines", "at least one sequence", "give another file")
    if ending in TABLES:
        return read_table(name, lines, TABLES[ending], y, sequence_column, kind)
    if isinstance(y, str):
        found, cure = f"{shown(y)}, which names a column, where {name} is no table", "use a CSV file"
        raise InputError(argument("y"), found, "labels", f"{cure}, or give {argument('y')} as an array")
    fastq = ending in (".fastq", ".fq") or (first.startswith("@") and any(line.startswith("+") for line in lines[:9]))
    if fastq:
        cure = "convert it to FASTA (or pass the records of Bio.SeqIO.parse)"
        raise InputError(name, "a FASTQ file", "FASTA, a table, or one sequence a line", cure)
    if ending in FASTA or first.startswith(">"):
        return _read_fasta(name, lines, y, kind)
    kept = [i for i, line in enumerate(lines) if line.strip()]
    notes: tuple[str, ...] = ()
    line, header = f"{name}, line {kept[0] + 1}", lines[kept[0]].strip()
    if _is_header(header, [lines[i].strip() for i in kept[1:1000]], line):
        kept = kept[1:]
        notes = (
            f"{line}: {shown(header)} was taken for a header and left out; if it is a sequence, put it on another line",
        )
    sequences = [lines[i] for i in kept]
    labels, told = check_labels(y, len(sequences), kind)
    return Records(sequences, labels, name, lambda i: f"{name}, line {kept[i] + 1}", told, notes)


def _is_header(first: str, others: list[str], line: str) -> bool:
    """Return whether the first line of a list of sequences names them; an error where it may as well be one of them."""
    text = "".join(others)
    if first.lower() not in COLUMN_NAMES or not text:
        return False
    alike = (first.isupper(), first.islower()) == (text.isupper(), text.islower())
    if alike and set(first.upper()) <= set(text.upper()):
        cure = "if this is a header delete the line, if it is a sequence put it on another line"
        raise InputError(line, repr(first), "a sequence", cure)
    return True


def _read_fasta(path: str, lines: list[str], y: Any, kind: Any) -> Records:
    names: list[str] = []
    starts: list[int] = []
    parts: list[list[str]] = []
    for number, line in enumerate(lines, 1):
        if line.startswith(">"):
            names.append((line[1:].split(maxsplit=1) or [""])[0])
            starts.append(number)
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
        return f"{path}, record {shorten(names[i])!r} (line {starts[i]})" if names[i] else f"{path}, line {starts[i]}"

    empty = [i for i, sequence in enumerate(sequences) if not sequence]
    if empty:
        more = f" ({len(empty)} records are like this)" if len(empty) > 1 else ""
        found = f"a header with no sequence below it{more}"
        raise InputError(place(empty[0]), found, "a sequence", "add it or delete the header")
    labels, told = check_labels(y, len(sequences), kind)
    return Records(sequences, labels, path, place, told)
