"""A column of cells, as a table has them, to labels: numbers, truth values or names, as all its cells together say.

The rules stand in labels.py. What is neither is refused with its place, never silently something else.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqdiff.alphabets.letters import LETTERS, NUMBER, guess_alphabet
from seqdiff.data.files import without_apostrophe
from seqdiff.data.labels import as_labels, is_missing, join_columns, named_columns, whole_with_gaps
from seqdiff.errors import InputError, argument, of_kind, printable, shorten, shown


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
        found, wanted = f"the single entry {shown(y)}", f"{n} labels, one for each sequence"
        raise InputError(argument("y"), found, wanted, "give one label (or None) each")
    labels, told = read_labels(y, kind)
    if len(labels) != n:
        wanted = f"{n}, one for each sequence"
        raise InputError(argument("y"), f"{len(labels)} rows", wanted, "give one label (or None) for each sequence")
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
                raise InputError(place(i), "an undefined sequence", "a record with letters", "leave it out") from None
        if not isinstance(item, str):
            if is_missing(item):
                raise InputError(place(i), f"a missing sequence ({shown(item)})", "a string", "leave this row out")
            raise InputError(place(i), f"{shown(item, 40)} ({of_kind(item)})", "a string", "pass the sequences as str")
        strings.append(str(item))
    return strings


def is_sequence_object(item: Any) -> bool:
    module = sys.modules.get("Bio.Seq")  # without it imported, nobody can hold a Seq
    return module is not None and isinstance(item, (module.Seq, module.MutableSeq))


WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
CODE = re.compile(r"[0-9]+[eE][0-9]+")  # a number, but as well a well of a plate
DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+(?:[eE][-+]?[0-9]+)?")
NAN = {"nan", "NaN"}
"""Missing in every column, as an empty cell is: what NumPy and pandas write for a missing number."""
MARKS = {
    "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "none", "null", "nil", "nd", "n.d.", "n/d", "not determined", "missing",
    "unknown", "-", "--", "---", "–", "—", ".", "..", "...", "?",
}  # fmt: skip
"""Missing among numbers and truth values, in any case; names of classes among names."""
ODD = re.compile(
    r"[<>≤≥~≈±=]\s*=?\s*[-+]?[.,]?[0-9].*"  # beyond a limit of detection, about
    r"|#[A-Z/0]+[!?]"  # a spreadsheet's errors
    r"|[-+]?[0-9]{1,3}(?:[,' ][0-9]{3})+(?:\.[0-9]*)?"  # thousands
    r"|[-+]?[0-9]*,[0-9]+"  # a decimal comma
    r"|[-+]?inf(?:inity)?",
    re.IGNORECASE,
)
"""What was meant as a number."""


def read_cells(
    cells: Sequence[Any],
    kind: Any = "auto",
    place: Callable[[int], str] = "y[{}]".format,
    decimal_comma: bool = False,
) -> tuple[np.ndarray, str]:
    """A column as labels of `as_labels`, and what a user should be told of it ("" for nothing).

    Parameters
    ----------
    cells : sequence of str, int, float, bool or None
    kind : str or frozenset of str
        "auto"; "value" or "signal", of which every cell has to be a number; "class", where odd cells make all of them
        names, and "names", where all are; or the names of the classes that a model has learned.
    place : callable
        ``place(i)`` names cell i for an error.
    decimal_comma : bool
        Whether numbers may have one, where the column has no points.

    Raises
    ------
    InputError
        If most cells are numbers and some are neither numbers nor marks of a missing one.

    Examples
    --------
    >>> labels, told = read_cells(["3.1", "n.d.", "", "21.4"])
    >>> labels.tolist(), told
    ([3.1, nan, nan, 21.4], "taken as missing: 'n.d.' (y[1])")
    >>> read_cells(["none", "weak", "", "1"])[0].tolist()
    ['none', 'weak', None, '1']
    >>> read_cells(["3.1", "<0.1"])[0]
    Traceback (most recent call last):
        ...
    seqdiff.errors.InputError: y[1]: got '<0.1' in a column of numbers (1 of 2 cells), expected a number or an empty cell; correct it, empty it to leave this label out, or pass target='class' to take all cells for names
    """  # noqa: E501
    items: list[Any] = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
    names = kind if isinstance(kind, frozenset) else frozenset()
    known = [i for i, item in enumerate(items) if not _empty(item) or item in names and item]
    if isinstance(kind, frozenset) or kind == "names":
        return _names(items, known), ""
    if decimal_comma and not any("." in items[i] and NUMBER.fullmatch(items[i]) for i in known):
        for i in known:
            if DECIMAL_COMMA.fullmatch(items[i]):
                items[i] = items[i].replace(",", ".")
    sorts = {i: _sort(items[i]) for i in known}
    of = {sort: [i for i in known if sorts[i] == sort] for sort in ("number", "truth", "mark", "odd", "word")}
    numbers, bad = of["number"], of["odd"] + of["word"] + of["truth"]
    if kind in ("value", "signal"):
        if bad:
            raise _odd_cells(items, sorted(bad), len(numbers), place, kind)
        return _numbers(items, numbers, "value"), _told(items, numbers, of["mark"], place)
    if numbers and not bad:
        if kind == "class" and all(isinstance(items[i], str) and CODE.fullmatch(items[i]) for i in numbers):
            return _names(items, known), ""
        if all(_is_whole(items[i]) for i in numbers) and not all(abs(int(items[i])) < 2**63 for i in numbers):
            return _names(items, known), ""  # longer than any number that is counted: they identify something
        return _numbers(items, numbers, kind), _told(items, numbers, of["mark"], place)
    if of["truth"] and not (numbers or of["odd"] or of["word"]):
        return _truths(items, of["truth"]), _told(items, [], of["mark"], place)
    decimals = any(not _is_whole(items[i]) for i in numbers)
    commas = any("," in str(items[i]) for i in of["odd"])
    meant = of["odd"] and not (of["word"] or of["truth"]) and (numbers or commas)
    measured = meant or len(numbers) > len(bad) and decimals
    if kind == "auto" and measured:
        raise _odd_cells(items, sorted(bad), len(numbers), place, kind)
    return _names(items, known), ""


def read_labels(y: Any, kind: Any = "auto") -> tuple[np.ndarray, dict[str, str]]:
    """y as `as_labels` gives it, its text read as that of a table; and what a user should be told, by column.

    Parameters
    ----------
    y : as of `as_labels`
    kind : str, frozenset or dict
        As of `read_cells`, or a dict of these by column. Of the name of no column: "auto".

    Examples
    --------
    >>> read_labels({"mic": ["0.5", "-"], "label": ["a", "nan"]})[0].tolist()
    [(0.5, 'a'), (nan, None)]
    """
    if (named := named_columns(y)) is not None:
        columns, told = {}, {}
        for name, column in named.items():
            of_it = kind.get(name, "auto") if isinstance(kind, Mapping) else kind
            columns[name], told[name] = _read_column(column, of_it, name)
        return join_columns(columns), {name: text for name, text in told.items() if text}
    if isinstance(kind, Mapping):
        kind = next(iter(kind.values())) if len(kind) == 1 else "auto"
    labels, told_of_it = _read_column(y, kind, "")
    return labels, {"": told_of_it} if told_of_it else {}


def _read_column(column: Any, kind: Any, name: str) -> tuple[np.ndarray, str]:
    labels = as_labels(column)
    if hasattr(getattr(column, "dtype", None), "categories") or labels.dtype.names:
        return labels, ""  # somebody has said that these are names
    shape = labels.shape
    if labels.ndim == 2 and labels.dtype.kind == "O" and shape[1] > 1:  # rows without names
        read = [read_labels(labels[:, j], kind) for j in range(shape[1])]
        labels = np.empty(shape, dtype=object)
        for j, (part, _) in enumerate(read):
            labels[:, j] = part
        return labels, "; ".join(text for _, told in read for text in told.values())
    if labels.ndim == 2 and shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        return labels, ""
    told = ""
    if labels.dtype.kind == "O" and any(isinstance(item, str) for item in labels):
        of_it = "names" if kind == "class" else kind
        labels, told = read_cells(labels.tolist(), of_it, lambda i: f"y[{shown(name)}][{i}]" if name else f"y[{i}]")
        if hasattr(column, "iloc") and not told and any(isinstance(item, str) for item in labels) and None in labels:
            told = "pandas.read_csv reads NA, null and None as missing too, unless keep_default_na=False"
    elif kind not in ("value", "signal"):
        labels = whole_with_gaps(labels)
    return labels, told


def _empty(item: Any) -> bool:
    return item == "" or item in NAN if isinstance(item, str) else is_missing(item)


def _sort(item: Any) -> str:
    if isinstance(item, (bool, np.bool_)):
        return "truth"
    if not isinstance(item, str):
        return "number"
    if NUMBER.fullmatch(item):
        return "number" if _is_whole(item) or math.isfinite(float(item)) else "odd"
    if item.lower() in ("true", "false"):
        return "truth"
    if item.lower() in MARKS:
        return "mark"
    return "odd" if ODD.fullmatch(item) else "word"


def _is_whole(item: Any) -> bool:
    """Return whether a number is written without a point; more than 400 digits are nobody's number, but a name."""
    return bool(len(item) <= 400 and WHOLE.fullmatch(item)) if isinstance(item, str) else isinstance(item, int)


def _numbers(items: list[Any], numbers: list[int], kind: str) -> np.ndarray:
    whole = kind != "value" and all(_is_whole(items[i]) for i in numbers)
    found: list[Any] = [None] * len(items)
    for i in numbers:
        found[i] = int(items[i]) if whole else float(items[i])
    labels = as_labels(found) if numbers else np.full(len(items), np.nan)
    return labels if kind == "value" else whole_with_gaps(labels)


def _truths(items: list[Any], truths: list[int]) -> np.ndarray:
    found: list[Any] = [None] * len(items)
    for i in truths:
        found[i] = str(items[i]).lower() == "true"
    return as_labels(found)


def _names(items: list[Any], known: list[int]) -> np.ndarray:
    found: list[Any] = [None] * len(items)
    for i in known:
        found[i] = items[i]
    return as_labels(found)


def _told(items: list[Any], numbers: list[int], marks: list[int], place: Callable[[int], str]) -> str:
    told = []
    rows: dict[str, list[int]] = {}
    for i in marks:
        rows.setdefault(items[i], []).append(i)
    if rows:
        listed = [
            f"{shown(mark)} ({f'{len(found)} cells, the first ' if len(found) > 1 else ''}{_short(place, found[0])})"
            for mark, found in list(rows.items())[:5]
        ]
        told.append(f"taken as missing: {', '.join(listed)}{' ...' if len(rows) > 5 else ''}")
    if numbers and all(isinstance(items[i], str) and CODE.fullmatch(items[i]) for i in numbers):
        told.append(
            f"cells such as {shown(items[numbers[0]])} are numbers; {argument('target', 'class')} takes them for names"
        )
    return "; ".join(told)


def _short(place: Callable[[int], str], i: int) -> str:
    return re.sub(r"^.*, (?=(?:line|row) [0-9]+$)", "", place(i))


def _odd_cells(items: list[Any], bad: list[int], numbers: int, place: Callable[[int], str], kind: str) -> InputError:
    others = [f"{shown(items[i], 20)} ({_short(place, i)})" for i in bad[1:4]]
    more = f", also {', '.join(others)}{f' and {len(bad) - 4} more' if len(bad) > 4 else ''}" if others else ""
    count = f"{numbers} of {numbers + len(bad)} cells"
    where = f"in a column of numbers ({count}{more})"
    cure = f", or pass {argument('target', 'class')} to take all cells for names"
    if kind != "auto":
        where, cure = f"where {argument('target', kind)} wants numbers ({count} are{more})", ""
    return InputError(
        place(bad[0]),
        f"{shown(items[bad[0]], 30)} {where}",
        "a number or an empty cell",
        f"correct it, empty it to leave this label out{cure}",
    )


# Tables: which column holds the sequences, which the labels, and where a row stands in its file.


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
        where, cure = f"{path}, line {reader.line_num}", "correct the line"
        raise InputError(where, f"what cannot be read ({error})", "a line of a table", cure) from None
    if not rows:
        found = f"separators ({shown(separator)}) with nothing between them"
        raise InputError(path, found, "a header and at least one row", "give another file")
    names = [name.strip() for name in rows[0]]
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(names):
            if not any(cell.strip() for cell in row[len(names) :]) and len(row) > len(names):
                del row[len(names) :]
                continue
            found = f"{len(row)} field{'s' * (len(row) != 1)}"
            wanted = f"{len(names)}, as the header has ({_listed(names)})"
            raise InputError(f"{path}, line {number}", found, wanted, "correct the line")
    if len(rows) == 1:
        found = f"a header ({_listed(names)}) but no rows"
        raise InputError(path, found, "at least one sequence", "give another file")
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
        cure = "pip install pyarrow, or export the table as CSV"
        raise InputError(name, "Parquet", "the library pyarrow, which reads it", cure) from None
    except Exception as error:  # pyarrow's own family of errors, and OSError
        reason = shorten(printable(str(error).splitlines()[0]) if str(error) else type(error).__name__, 100)
        found = f"what cannot be read as Parquet ({reason})"
        raise InputError(name, found, "a Parquet file", "write it again, or as CSV") from None
    return from_frame(frame, y, sequence_column, name, lambda i: f"{name}, row {i + 1}", kind)


def from_frame(
    frame: Any, y: Any, sequence_column: Any, source: str, place: Callable[[int], str], kind: Any = "auto"
) -> Records:
    if not len(frame):
        found = f"columns ({_listed(list(frame.columns))}) but no rows"
        raise InputError(source, found, "at least one row", "give another table")

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
        found = f"a missing sequence{more}"
        raise InputError(where(empty[0]), found, "one letter or more", "fill it in or delete the row")
    if not y_names:
        read, told = check_labels(y, len(sequences), kind)
        return Records(sequences, read, source, place, told)
    if len(set(y_names)) < len(y_names):
        raise InputError(
            argument("y"), f"{shown(y)}, which names a column twice", "different columns", "name each once"
        )
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
    problem = "no column" if name not in names else "more than one"
    found = f"{shown(name)}, of which {source} has {problem}"
    raise InputError(argument(role), found, f"one of its columns {_listed(names)}", "give one of these")


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
        found = f"{'no column that looks' if not best else 'more than one column that looks'} like the sequences"
        cure = f"pass one of {_listed(names)} as {argument('sequence_column')}"
        raise InputError(source, found, "exactly one", cure)
    if _is_bare(names, cells, best[0]):
        first = shown(str(names[best[0]]), 40)
        setting = argument("sequence_column", shorten(str(names[best[0]]), 40))
        cure = f"add one, such as 'sequence,expression' (or pass {setting} if that is the column's name)"
        raise InputError(source, f"a first line that holds {first}", "a header line", cure)
    return best[0]


def _is_bare(names: list[Any], cells: Callable[[int], list[Any]], j: int) -> bool:
    """Return whether the name of column j looks like one of its sequences: no header, and a row would be lost."""
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
