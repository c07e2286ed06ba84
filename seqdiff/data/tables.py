"""Tables: which column holds the sequences, which the labels, and where a row stands in its file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seqdiff.data.cells import read_cells, read_labels
from seqdiff.data.labels import join_columns
from seqdiff.data.letters import LETTERS, NUMBER, guess_alphabet
from seqdiff.data.records import Records, check_labels, to_strings
from seqdiff.data.writing import without_apostrophe
from seqdiff.errors import printable, shorten, shown

TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
COLUMN_NAMES = (
    "sequence", "seq", "sequences", "seqs", "promoter", "promoters", "enhancer", "enhancers", "dna", "rna", "protein",
    "proteins", "peptide", "peptides", "cdr3", "smiles", "text",
)  # fmt: skip


def read_table(
    path: str, lines: list[str], separator: str, y: Any, sequence_column: Any, kind: Any = "auto"
) -> Records:
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
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: the table cannot be read: {error}") from None
    if not rows:
        raise ValueError(
            f"{path} holds separators ({shown(separator)}) but nothing between them; a header and at least one row are"
            " wanted"
        )
    names = [name.strip() for name in rows[0]]
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(names):
            if not any(cell.strip() for cell in row[len(names) :]) and len(row) > len(names):
                del row[len(names) :]
                continue
            raise ValueError(
                f"{path}, line {number}: {len(row)} field{'s' * (len(row) != 1)}, but the header has {len(names)}"
                f" ({_listed(names)}); correct the line"
            )
    if len(rows) == 1:
        raise ValueError(f"{path} has a header ({_listed(names)}) but no rows; at least one sequence is wanted")
    columns = [[without_apostrophe(cell) for cell in cells] for cells in zip(*rows[1:], strict=True)]

    def place(i: int) -> str:
        return f"{path}, line {numbers[i + 1]}"

    def labels(j: int, kind: Any) -> tuple[np.ndarray, str]:
        return read_cells(columns[j], kind, place, decimal_comma=separator != ",")

    return _from_table(names, lambda j: columns[j], labels, y, sequence_column, path, place, kind)


def read_parquet(path: str, name: str, y: Any, sequence_column: Any, kind: Any = "auto") -> Records:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise ValueError(f"{name}: reading Parquet needs pyarrow; install it, or export the table as CSV") from None
    except Exception as error:  # pyarrow's own family of errors, and OSError
        reason = shorten(printable(str(error).splitlines()[0]) if str(error) else type(error).__name__, 100)
        raise ValueError(f"{name} cannot be read as Parquet ({reason}); write it again, or as CSV") from None
    return from_frame(frame, y, sequence_column, name, lambda i: f"{name}, row {i + 1}", kind)


def from_frame(
    frame: Any, y: Any, sequence_column: Any, source: str, place: Callable[[int], str], kind: Any = "auto"
) -> Records:
    if not len(frame):
        raise ValueError(f"{source} has columns ({_listed(list(frame.columns))}) but no rows; at least one is wanted")

    def labels(j: int, kind: Any) -> tuple[np.ndarray, str]:
        read, told = read_labels(frame.iloc[:, j], kind)
        return read, told.get("", "")

    columns = list(frame.columns)
    return _from_table(columns, lambda j: frame.iloc[:, j].tolist(), labels, y, sequence_column, source, place, kind)


def _from_table(
    names: list[Any],
    cells: Callable[[int], list[Any]],
    labels: Callable[[int, Any], tuple[np.ndarray, str]],
    y: Any,
    sequence_column: Any,
    source: str,
    place: Callable[[int], str],
    kind: Any,
) -> Records:
    """Choose the columns of a table; `cells(j)` are column j's raw entries, `labels(j, kind)` the same as labels."""
    several = isinstance(y, (list, tuple)) and len(y) > 0 and all(isinstance(name, str) for name in y)
    y_names: list[Any] = []
    if isinstance(y, str):
        y_names = [y]
    elif several and (set(y) <= set(names) or (set(y) & set(names) and len(y) <= len(names))):
        y_names = list(y)
    y_columns = [_column(names, name, source, "y") for name in y_names]
    if sequence_column is None:
        j = _find_column(names, cells, y_columns, source)
    else:
        j = _column(names, sequence_column, source, "sequence_column")
    items = cells(j)

    def where(i: int) -> str:
        return f"{place(i)}, column {shown(names[j], 40)}"

    sequences = to_strings(items, where)
    empty = [i for i, sequence in enumerate(sequences) if not sequence.strip()]
    if empty:
        more = f" ({len(empty)} rows are like this)" if len(empty) > 1 else ""
        raise ValueError(f"{where(empty[0])}: the sequence is missing; fill it in or delete the row{more}")
    if not y_names:
        read, told = check_labels(y, len(sequences), kind)
        return Records(sequences, read, source, place, told)
    if len(set(y_names)) < len(y_names):
        raise ValueError(f"y={shown(y)} names a column twice; name each once")
    if isinstance(y, str):
        of_it = kind.get(y, "auto") if isinstance(kind, Mapping) else kind
        read, remark = labels(y_columns[0], of_it)
        return Records(sequences, read, source, place, {"": remark} if remark else {})
    parsed, told = {}, {}
    for name, k in zip(y_names, y_columns, strict=True):
        parsed[name], told[name] = labels(k, kind.get(name, "auto") if isinstance(kind, Mapping) else kind)
    return Records(sequences, join_columns(parsed), source, place, {name: text for name, text in told.items() if text})


def _column(names: list[Any], name: Any, source: str, role: str) -> int:
    if names.count(name) == 1:
        return names.index(name)
    problem = "no column" if name not in names else "more than one column"
    raise ValueError(f"{source} has {problem} {shown(name)} (given as {role}); its columns are {_listed(names)}")


def _find_column(names: list[Any], cells: Callable[[int], list[Any]], taken: list[int], source: str) -> int:
    """The sequences' column: by its name, else the only one whose entries look like sequences."""
    lower = [str(name).strip().lower() for name in names]
    for group in (COLUMN_NAMES[:4], COLUMN_NAMES[4:]):
        named = [j for j, name in enumerate(lower) if name in group and j not in taken]
        if len(named) == 1:
            return named[0]
        if named:
            break
    looks = {j: _looks(cells(j)[:1000]) for j in range(len(names)) if j not in taken}
    best = [j for j, look in looks.items() if look == 2] or [j for j, look in looks.items() if look == 1]
    if len(best) != 1:
        raise ValueError(
            f"{source}: {'no column looks' if not best else 'more than one column looks'} like the sequences;"
            f" pass sequence_column= one of {_listed(names)}"
        )
    if _is_bare(names, cells, best[0]):
        first = shown(str(names[best[0]]), 40)
        raise ValueError(
            f"{source} seems to have no header line, its first line holds {first}; add one, such as"
            f" 'sequence,expression' (or pass sequence_column={first} if that is the column's name)"
        )
    return best[0]


def _is_bare(names: list[Any], cells: Callable[[int], list[Any]], j: int) -> bool:
    """Whether the name of column j looks like one of its sequences: there is no header, and a row would be lost."""
    name, sequences = str(names[j]), cells(j)[:1000]
    text = "".join(sequences)
    if not name.isalpha() or name.isupper() != text.isupper() or name.islower() != text.islower():
        return False
    kind = guess_alphabet(sequences)
    letters = set(text.upper()) | set(LETTERS[kind] + ("" if kind == "protein" else "N"))
    if not set(name.upper()) <= letters:
        return False
    others = [i for i in range(len(names)) if i != j]
    numbers = [NUMBER.fullmatch(str(names[i]).strip()) and NUMBER.fullmatch(str(cells(i)[0]).strip()) for i in others]
    return len(name) >= 5 or bool(numbers) and all(numbers)


def _looks(items: Sequence[Any]) -> int:
    """2: nucleotides. 1: proteins. 0: neither. Short or often repeated entries are labels."""
    strings = [item for item in items if isinstance(item, str) and item.strip()]
    if not strings or len(strings) < len(items) or len(set(strings)) <= 0.5 * len(strings):
        return 0
    if sum(map(len, strings)) < 5 * len(strings) or any(s.upper() != s and s.lower() != s for s in strings):
        return 0
    try:
        return 2 if guess_alphabet(strings) != "protein" else 1
    except ValueError:
        return 0


def _listed(names: Sequence[Any]) -> str:
    listed = ", ".join(shorten(printable(" ".join(str(name).split()))) for name in names[:12])
    return listed + (f" ... ({len(names)} in all)" if len(names) > 12 else "")
