"""From a file, list, table or Biopython records to plain strings, each with a place to name in an error.

Nothing is decided here about letters (see `dataset.prepare`); what cannot be read is refused here, in one sentence that
names the file, the line or record, what was found and the cure. Nothing is ever written.
"""

from __future__ import annotations

import difflib
import gzip
import os
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from seqdiff.data.letters import shorten, shown
from seqdiff.data.records import Records, check_labels, is_sequence_object, to_strings
from seqdiff.data.tables import TABLES, from_frame, read_parquet, read_table

FASTA = (".fa", ".fasta", ".fna", ".faa", ".ffn", ".fas", ".fsa", ".frn")
PARQUET = (".parquet", ".pq")
TEXT = (".txt", ".text", ".seq", ".list")
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or export the sheet as CSV",
    b"%PDF": "a PDF; copy the sequences into a text file, one a line",
    b"BZh": "compressed with bzip2; unpack it, or compress it with gzip",
    b"\xfd7zXZ": "compressed with xz; unpack it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it, or compress it with gzip",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"LOCUS ": "a GenBank file; convert it to FASTA",
    b"ID   ": "an EMBL file; convert it to FASTA",
}
_CONTROL = np.array([i for i in range(32) if i not in (9, 10, 11, 12, 13, 26, 27)] + [127])


def read_records(X: Any, y: Any = None, *, sequence_column: Any = None, kind: Any = "auto") -> Records:
    """Read sequences, and labels where there are some.

    Parameters
    ----------
    X : path, list, tuple, array, Series, Index, DataFrame, or Biopython SeqRecord / Seq objects (list or iterator)
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

    Raises
    ------
    ValueError
        One sentence: what was found and where, what was wanted, the cure.

    Examples
    --------
    >>> records = read_records(["ACGT", "GGCC"], y=["strong", "weak"])
    >>> records.sequences, records.y.tolist(), records.place(1)
    (['ACGT', 'GGCC'], ['strong', 'weak'], 'X[1]')
    """
    if isinstance(X, (str, os.PathLike)):
        path = os.path.expanduser(os.fspath(X))
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(X, str) and not os.path.exists(path):
            raise ValueError(_no_file(X))
        return _read_file(path, y, sequence_column, kind)
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return from_frame(X, y, sequence_column, "X", lambda i: f"row {i} of X (counted from 0)", kind)
    sequences, place = _from_items(X)
    if isinstance(y, str):
        raise ValueError(f"y={shown(y)} names a column, but X is no table; give a table, or y as an array")
    labels, told = check_labels(y, len(sequences), kind)
    return Records(sequences, labels, "X", place, told)


# ---------------------------------------------------------------------------------------------- lists and their kin


def _from_items(X: Any) -> tuple[list[str], Callable[[int], str]]:
    """Strings from anything that can be walked through in a fixed order."""
    if isinstance(X, (bytes, bytearray)) or isinstance(X, (dict, set, frozenset)) or not hasattr(X, "__iter__"):
        cure = {"dict": "; pass list(X.values())", "set": "; pass sorted(X)", "bytes": "; decode it to str"}
        raise ValueError(
            f"X is of type {type(X).__name__}, but a path, or a list, array, Series or DataFrame of sequences is wanted"
            + cure.get(type(X).__name__, "")
        )
    if is_sequence_object(X) or hasattr(X, "seq"):
        raise ValueError(f"X is a single {type(X).__name__}, but a list of sequences is wanted; pass [X]")
    if hasattr(X, "ndim") and X.ndim != 1:
        if X.ndim == 2 and X.shape[1] == 1:
            X = np.asarray(X)[:, 0]  # scikit-learn's column of one feature
        else:
            raise ValueError(f"X has shape {tuple(X.shape)}, but a one-dimensional list or array of strings is wanted")
    series = hasattr(X, "iloc")
    if getattr(getattr(X, "dtype", None), "kind", "O") in "biufc":
        raise ValueError(f"X holds numbers ({X.dtype}), but strings are wanted; pass the sequences themselves")
    try:
        items = X.tolist() if hasattr(X, "tolist") else list(X)
    except ValueError as error:  # a Biopython parser, say, in the middle of its file
        raise ValueError(f"X could not be read to its end: {error}") from error

    def place(i: int) -> str:
        name = getattr(items[i], "id", None) if hasattr(items[i], "seq") else None
        return (f"X.iloc[{i}]" if series else f"X[{i}]") + (f" (record {shorten(str(name))!r})" if name else "")

    if not items:
        raise ValueError("X is empty; at least one sequence is wanted")
    return to_strings(items, place), place


# ------------------------------------------------------------------------------------------------------------- files


def _no_file(X: str) -> str:
    """Why this string is no input: a path that is not there, or a sequence without a list around it."""
    shown = repr(shorten(X, 60))
    if "\n" in X or "\r" in X:
        return "X is one string of several lines, but a path or a list of sequences is wanted; pass X.split()"
    if not X.strip():
        return "X is an empty string, but a path or a list of sequences is wanted"
    folder, name = os.path.split(os.path.expanduser(X))
    if folder or re.search(r"\.\w{1,8}$", X):
        if folder and not os.path.isdir(folder):
            return f"{shown}: there is no such file (nor its folder); check the path, or pass sequences as a list"
        try:
            near = difflib.get_close_matches(name, os.listdir(folder or "."), n=1, cutoff=0.75)
        except OSError:
            near = []
        hint = f"did you mean {near[0]!r}?" if near else "check the name and the folder you are in"
        return f"{shown}: there is no such file; {hint} (sequences themselves are passed as a list)"
    return f"X is the single string {shown}, which is no file; to pass sequences give a list, such as [{shown}]"


def _read_file(path: str, y: Any, sequence_column: Any, kind: Any) -> Records:
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder, but a file is wanted; name one file in it")
    stem, ending = os.path.splitext(path.lower())
    gzipped = ending == ".gz"
    if gzipped:
        ending = os.path.splitext(stem)[1]
    if ending in PARQUET and not gzipped:
        return read_parquet(path, y, sequence_column, kind)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; check the name and the folder you are in") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; check its permissions") from None
    if not data:
        raise ValueError(f"{path} is empty (0 bytes); a file with at least one sequence is wanted")
    text = _decode(path, _gunzip(path, data, gzipped))
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise ValueError(f"{path} holds only blank lines; a file with at least one sequence is wanted")
    if ending in TABLES:
        return read_table(path, lines, TABLES[ending], y, sequence_column, kind)
    if isinstance(y, str):
        raise ValueError(f"y={shown(y)} names a column, but {path} is no table; use a CSV file, or give y as an array")
    fastq = ending in (".fastq", ".fq") or (first.startswith("@") and any(line.startswith("+") for line in lines[:9]))
    if fastq:
        raise ValueError(f"{path} is a FASTQ file; convert it to FASTA (or pass the records of Bio.SeqIO.parse)")
    if ending in FASTA or first.startswith(">"):
        return _read_fasta(path, lines, y, kind)
    kept = [i for i, line in enumerate(lines) if line.strip()]
    sequences = [lines[i] for i in kept]
    labels, told = check_labels(y, len(sequences), kind)
    return Records(sequences, labels, path, lambda i: f"{path}, line {kept[i] + 1}", told)


def _gunzip(path: str, data: bytes, expected: bool) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        if expected:
            raise ValueError(f"{path} is named .gz but is not gzip-compressed; drop the ending, or compress it again")
        return data
    try:
        return gzip.decompress(data)
    except EOFError:
        raise ValueError(f"{path}: the gzip file ends too early, it is truncated; copy or download it again") from None
    except (OSError, zlib.error) as error:
        raise ValueError(f"{path}: the gzip file is damaged ({error}); copy or download it again") from None


def _decode(path: str, data: bytes) -> str:
    """UTF-8 (with or without a mark), else Latin-1; binary data is refused."""
    for start, what in FOREIGN.items():
        if data.startswith(start):
            raise ValueError(f"{path} is {what}")
    counts = np.bincount(np.frombuffer(data[: 1 << 20], dtype=np.uint8), minlength=256)
    if b"\0" in data or counts[_CONTROL].sum() > 0.005 * counts.sum():
        raise ValueError(f"{path} is a binary file; wanted is text: one sequence a line, FASTA, or CSV (also .gz)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # an accent in a header; in a sequence it is refused as a letter


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
            raise ValueError(
                f"{path}, line {number}: found {shorten(line.strip())!r} before the first record, but a FASTA record"
                " starts with '>'; add a header line, or name a file with one sequence a line .txt"
            )
    sequences = ["".join("".join(pieces).split()) for pieces in parts]

    def place(i: int) -> str:
        return f"{path}, record {shorten(names[i])!r} (line {starts[i]})" if names[i] else f"{path}, line {starts[i]}"

    empty = [i for i, sequence in enumerate(sequences) if not sequence]
    if empty:
        more = f" ({len(empty)} records are like this)" if len(empty) > 1 else ""
        raise ValueError(
            f"{place(empty[0])}: the header has no sequence below it; add the sequence or delete the header{more}"
        )
    labels, told = check_labels(y, len(sequences), kind)
    return Records(sequences, labels, path, place, told)
