"""Labels as a user has them (lists, arrays, Series, tables, dicts of columns) to one NumPy array, a row a sequence.

Several named columns become a structured array, a field for each: rows are taken from it as from any other array, and
every column keeps its name and its type.

The same table gives the same labels as a file, a DataFrame or lists. All cells of a column decide its kind:

- Cells of text are stripped. Empty ones, and ``nan`` and ``NaN``, are missing in every column, as None, NaN and NA are.
- **Numbers**, where every other cell is one: decimal digits with a point, an exponent, or neither. ``1_1``, ``inf`` and
  ``007`` are none; ``1E2`` is one, as in pandas. Marks of a missing number (`MARKS`: NA, n.d., - ...) are missing
  there, and listed when `fit` begins. Whole numbers are classes, others values. So are numbers with a point that are
  all whole and of which some are missing, as pandas makes floats of a column of whole numbers with gaps; ``target``
  overrides this.
- **Truth values**, where every other cell is ``true`` or ``false``, in any case: classes.
- **Names** else: ``none``, ``NA`` and ``null`` are then classes like others. Where most cells are numbers,
  some of them with a point, or where all others were meant as numbers (``<0.1``, ``#DIV/0!``, ``1,234.5``), the
  column is refused; ``target="class"`` makes names of its cells, ``target="value"`` demands numbers.
- A pandas category is names or whole numbers in any case; strings with ``target="class"`` stay strings.

Reading by pandas cannot be undone: `pandas.read_csv` reads ``NA``, ``null`` and ``None`` as missing also among names
(unless ``keep_default_na=False``) and ``007`` as 7 (unless ``dtype=str``). A trained model reads labels by its own
target, and not anew.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.errors import InputError, argument, shown
from seqdiff.inputs import LabelsLike, Place

if TYPE_CHECKING:
    import pandas as pd

Encoded = dict[str, np.ndarray]
"""Labels as `Target.encode` gives them: "label", "value", "signal", "known", "keep"."""
CellKind = str | frozenset[str]
"""Kind of a column's cells, see `read_cells`."""
ReadKind = CellKind | Mapping[str, Any]
"""Kind of the cells of all columns, or a dict by column."""

EQUAL_ROWS = "the same number of values for every sequence"
LABELS = "strings, ints, bools (classes) or floats (values)"


def as_labels(y: LabelsLike) -> np.ndarray:
    """Return any y as a NumPy array: bool, int or float, object (str, int or bool, None where missing), or structured.

    y is a list, array, Series, DataFrame, Categorical, CPU tensor, dict of columns, or list of rows (tuples or dicts).
    Named columns give a structured array (n,) with a field for each; rows without names that hold strings an object
    array (n, c). Missing entries of numbers are NaN. Nothing is read here: strings stay strings (see `read_labels`),
    and an array that this function returned it returns again.

    >>> as_labels(["amp", float("nan"), None]).tolist(), as_labels([0.5, None]).tolist()
    (['amp', None, None], [0.5, nan])
    >>> as_labels({"label": ["amp", None], "expr": [0.5, 2]}).tolist()
    [('amp', 0.5), (None, 2.0)]
    """
    if (named := named_columns(y)) is not None:
        return join_columns({name: as_labels(column) for name, column in named.items()})
    if isinstance(y, np.ma.MaskedArray):  # NumPy itself would take what stands behind the mask
        hidden, y = np.ma.getmaskarray(y), np.ma.getdata(y).astype(object)
        y[hidden] = None
    given: Any = y
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    if hasattr(given, "to_list") and not hasattr(given, "tolist"):  # a Series of polars
        given = given.to_list()
    if hasattr(given, "dtype") and hasattr(given, "to_numpy"):  # Series, Index, Categorical
        categories = getattr(given.dtype, "categories", None)
        # as objects where pandas has a type of its own: else a missing int makes floats
        given = given.to_numpy() if isinstance(given.dtype, np.dtype) else given.to_numpy(dtype=object)
        if categories is not None and categories.dtype.kind == "f":  # numbers, but meant as classes
            given = objects([None if is_missing(item) else str(item) for item in given.tolist()])
    try:
        if isinstance(given, (list, tuple)) and (any(map(_needs_objects, given)) or _mixes_truth(given)):
            # numpy alone would make strings of NaN and of numbers
            given = np.stack([objects(row) for row in given]) if is_rows(given) else objects(given)
        array = np.asarray(given)
    except ValueError:
        raise InputError(argument("y"), "rows of different shapes", EQUAL_ROWS, "give equal numbers") from None
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind not in "OUT":  # O: objects, U and T: strings
        raise InputError(argument("y"), f"{array.dtype} entries", LABELS, "give one of these")
    items = [None if is_missing(item) else _plain(item) for item in array.ravel().tolist()]
    kinds = {type(item) for item in items if item is not None}
    if odd := [kind for kind in kinds if kind not in (str, int, float, bool)]:
        raise InputError(argument("y"), f"entries of type {odd[0].__name__}", LABELS, "give one of these")
    if any(type(item) is int and not -(2**63) <= item < 2**64 for item in items):
        digits = max(int(item.bit_length() * 0.30103) + 1 for item in items if type(item) is int)
        cure = "give it as a string (a name), or in another unit"
        raise InputError(argument("y"), f"a whole number of about {digits} digits", "at most 19", cure)
    if kinds and kinds <= {int, float} and float in kinds:
        return np.array([math.nan if item is None else item for item in items], dtype=float).reshape(array.shape)
    if len(kinds) == 1 and None not in items and kinds != {str}:
        return np.array(items).reshape(array.shape)
    return objects(items).reshape(array.shape)


def whole_with_gaps(labels: np.ndarray) -> np.ndarray:
    """Return floats (n,) that are all whole and of which some are missing as ints and None; others as they are."""
    if labels.dtype.kind != "f" or labels.ndim != 1:
        return labels
    known = labels[~np.isnan(labels)]
    if not 0 < len(known) < len(labels) or not (np.abs(known) < 2**53).all() or (known % 1).any():
        return labels
    return objects([None if math.isnan(item) else int(item) for item in labels.tolist()])


def is_frame(table: object) -> bool:
    """Return whether this is a table with columns, of pandas or of polars."""
    if hasattr(table, "iloc") or hasattr(table, "to_dicts"):
        return hasattr(table, "columns")
    return hasattr(table, "collect_schema")  # lazy: to look at its columns would compute them


def as_pandas(frame: Any) -> pd.DataFrame:
    """Return a frame of pandas, or of polars in the form of pandas."""
    import pandas as pd

    if hasattr(frame, "iloc"):
        return frame
    if hasattr(frame, "collect"):
        found, cure = "a LazyFrame, whose rows are not computed yet", "pass what its collect() returns"
        raise InputError("a table", found, "a DataFrame", cure)
    # as objects: else a missing whole number makes floats of the others
    return pd.DataFrame({name: frame[name].to_list() for name in frame.columns}, dtype=object)


def named_columns(y: LabelsLike) -> dict[str, Any] | None:
    """Return the columns of a dict, DataFrame, structured array or list of dicts by name; None for unnamed labels."""
    named: list[tuple[Any, Any]]
    if isinstance(y, Mapping):
        named = list(y.items())
    elif is_frame(y):
        frame = as_pandas(y)
        named = [(name, frame.iloc[:, j]) for j, name in enumerate(frame.columns)]
    elif names := getattr(getattr(y, "dtype", None), "names", None):
        named = [(name, y[name]) for name in names]  # type: ignore[index, call-overload]
    elif isinstance(y, (list, tuple)) and len(y) and all(isinstance(row, Mapping) for row in y):
        named = [(name, [row.get(name) for row in y]) for name in dict.fromkeys(name for row in y for name in row)]
    else:
        return None
    columns = {str(name): column for name, column in named}
    if len(columns) < len(named) or "" in columns:
        names = ", ".join(shown(str(name)) for name, _ in named[:10])
        wanted = "columns with different names that are not empty"
        raise InputError(argument("y"), f"columns named {names}", wanted, "rename them")
    return columns


def join_columns(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return columns of `as_labels` as one structured array (n,), a field for each."""
    if not columns:
        raise InputError(argument("y"), "no columns", "at least one", f"give one, or leave {argument('y')} out")
    if len(columns) == 1 and (only := next(iter(columns.values()))).ndim > 2:  # a signal: a name says nothing more
        return only
    for name, column in columns.items():
        if column.ndim == 2 and column.shape[1] == 1:
            columns = {**columns, name: column[:, 0]}
        elif column.ndim != 1:
            where, wanted = f"{argument('y')}, column {shown(name)}", "shape (n,), as each of several columns has"
            raise InputError(where, f"shape {column.shape}", wanted, "give one label per sequence")
    rows = {name: len(column) for name, column in columns.items()}
    if len(set(rows.values())) > 1:
        found = ", ".join(f"{shown(name)} {n}" for name, n in list(rows.items())[:10])
        found = f"columns with different numbers of rows ({found})"
        raise InputError(argument("y"), found, "equal numbers", "give one label per sequence each")
    fields = [(name, c.dtype if c.dtype.kind in "biuf" else np.dtype(object)) for name, c in columns.items()]
    joined = np.empty(next(iter(rows.values())), dtype=fields)
    for name, column in columns.items():
        joined[name] = column
    return joined


def only_column(labels: np.ndarray) -> np.ndarray:
    """Return labels without their name where they are a single named column, else as they are."""
    names = labels.dtype.names
    return labels[names[0]] if names and len(names) == 1 else labels


def kind_of_column(kind: Any, name: str) -> Any:
    """Return the kind of one column from the kind of all, or from a dict by column."""
    return kind.get(name, "auto") if isinstance(kind, Mapping) else kind


def is_rows(y: Sequence[object]) -> bool:
    """Return whether every item is a row of labels itself."""
    return len(y) > 0 and all(isinstance(row, (list, tuple, np.ndarray, Mapping)) for row in y)


def is_missing(item: object) -> bool:
    """None, NaN, pandas' NA and NaT: the last two are known by their class, without importing pandas."""
    if isinstance(item, (float, np.floating)):
        return math.isnan(item)
    return item is None or type(item).__name__ in ("NAType", "NaTType")


def objects(items: Sequence[object] | np.ndarray) -> np.ndarray:
    """Return items as an array (n,) of objects."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _needs_objects(item: object) -> bool:
    if isinstance(item, (list, tuple)):
        return any(cell is None or isinstance(cell, str) for cell in item)
    return item is None or isinstance(item, str)


def _mixes_truth(items: Sequence[object]) -> bool:
    """Return whether there are truth values and others, of which NumPy would make 0 and 1."""
    return len({isinstance(item, (bool, np.bool_)) for item in items}) > 1


def _plain(item: object) -> object:
    """Return Python's own type instead of NumPy's."""
    if isinstance(item, np.generic):
        item = item.item()
    return str(item) if isinstance(item, str) else item


# Cells of a table: numbers, truth values or names. What is neither is refused with its place.


NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
"""A decimal number: no underscores, no zeros before it, no infinity, nothing else that Python's float takes."""
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
"""Cells that were meant as a number."""


def read_cells(
    cells: Sequence[object], kind: CellKind = "auto", place: Place = "y[{}]".format, decimal_comma: bool = False
) -> tuple[np.ndarray, str]:
    """Return a column as labels of `as_labels`, and a note for the user ("" for none).

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

    Examples
    --------
    >>> labels, note = read_cells(["3.1", "n.d.", "", "21.4"])
    >>> labels.tolist(), note
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
    known = [i for i, item in enumerate(items) if not _is_empty(item) or item in names and item]
    if isinstance(kind, frozenset) or kind == "names":
        return _filled(items, known), ""
    if decimal_comma and not any("." in items[i] and NUMBER.fullmatch(items[i]) for i in known):
        for i in known:
            if DECIMAL_COMMA.fullmatch(items[i]):
                items[i] = items[i].replace(",", ".")
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for i in known:
        rows[_sort(items[i])].append(i)
    numbers, bad = rows["number"], sorted(rows["odd"] + rows["word"] + rows["truth"])
    codes = bool(numbers) and all(isinstance(items[i], str) and CODE.fullmatch(items[i]) for i in numbers)
    whole = all(_is_whole(items[i]) for i in numbers)
    if kind in ("value", "signal"):
        if bad:
            raise _odd_cells(items, bad, len(numbers), place, kind)
        return _filled(items, numbers, float).astype(float), _note(items, rows, codes, place)
    if numbers and not bad:
        if kind == "class" and codes:
            return _filled(items, known), ""
        if whole and not all(abs(int(items[i])) < 2**63 for i in numbers):
            return _filled(items, known), ""  # longer than any number that is counted: they identify something
        return whole_with_gaps(_filled(items, numbers, int if whole else float)), _note(items, rows, codes, place)
    if rows["truth"] and not (numbers or rows["odd"] or rows["word"]):
        truths = _filled(items, rows["truth"], lambda item: str(item).lower() == "true")
        return truths, _note(items, rows, codes, place)
    commas = any("," in str(items[i]) for i in rows["odd"])
    meant = rows["odd"] and not (rows["word"] or rows["truth"]) and (numbers or commas)
    if kind == "auto" and (meant or len(numbers) > len(bad) and not whole):
        raise _odd_cells(items, bad, len(numbers), place, kind)
    return _filled(items, known), ""


def read_labels(y: LabelsLike, kind: ReadKind = "auto") -> tuple[np.ndarray, dict[str, str]]:
    """Return y as `as_labels` does, its text read as that of a table; and notes for the user, by column.

    `kind` is that of `read_cells`, or a dict by column.

    >>> read_labels({"mic": ["0.5", "-"], "label": ["a", "nan"]})[0].tolist()
    [(0.5, 'a'), (nan, None)]
    """
    if (named := named_columns(y)) is not None:
        read = {name: _read_column(column, kind_of_column(kind, name), name) for name, column in named.items()}
        return join_labels(read)
    labels = as_labels(y)
    if labels.ndim == 2 and labels.dtype.kind == "O" and labels.shape[1] > 1:  # rows without names
        read = {str(j): _read_column(labels[:, j], kind_of_column(kind, str(j)), "") for j in range(labels.shape[1])}
        labels = np.stack([objects(column) for column, _ in read.values()], 1)
        return labels, {name: note for name, (_, note) in read.items() if note}
    if isinstance(kind, Mapping):
        kind = next(iter(kind.values())) if len(kind) == 1 else "auto"
    labels, note = _read_column(y, kind, "")
    return labels, {"": note} if note else {}


def join_labels(columns: Mapping[str, tuple[np.ndarray, str]]) -> tuple[np.ndarray, dict[str, str]]:
    """Return columns, each labels and a note, as labels and the notes that are not empty."""
    labels = join_columns({name: labels for name, (labels, _) in columns.items()})
    return labels, {name: note for name, (_, note) in columns.items() if note}


def _read_column(column: LabelsLike, kind: CellKind, name: str) -> tuple[np.ndarray, str]:
    labels = as_labels(column)
    if hasattr(getattr(column, "dtype", None), "categories") or labels.dtype.names:
        return labels, ""  # a category: names by the user's own word
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        return labels, ""
    note = ""
    if labels.dtype.kind == "O" and any(isinstance(item, str) for item in labels):
        own: CellKind = "names" if kind == "class" else kind
        labels, note = read_cells(labels.tolist(), own, lambda i: f"y[{shown(name)}][{i}]" if name else f"y[{i}]")
        if hasattr(column, "iloc") and not note and any(isinstance(item, str) for item in labels) and None in labels:
            note = "pandas.read_csv reads NA, null and None as missing too, unless keep_default_na=False"
    elif kind not in ("value", "signal"):
        labels = whole_with_gaps(labels)
    return labels, note


def _is_empty(item: object) -> bool:
    return item == "" or item in NAN if isinstance(item, str) else is_missing(item)


def _sort(item: object) -> str:
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


def _is_whole(item: object) -> bool:
    """Return whether a number is written without a point; more than 400 digits are a name rather than a number."""
    return bool(len(item) <= 400 and WHOLE.fullmatch(item)) if isinstance(item, str) else isinstance(item, int)


def _filled(items: list[Any], rows: list[int], read: Callable[[Any], Any] = lambda item: item) -> np.ndarray:
    """Return labels of the items in these rows, the others missing."""
    found: list[Any] = [None] * len(items)
    for i in rows:
        found[i] = read(items[i])
    return as_labels(found)


def _note(items: list[Any], rows: Mapping[str, list[int]], codes: bool, place: Place) -> str:
    notes = []
    marks: defaultdict[str, list[int]] = defaultdict(list)
    for i in rows["mark"]:
        marks[items[i]].append(i)
    if marks:
        listed = [
            f"{shown(mark)} ({f'{len(found)} cells, the first ' if len(found) > 1 else ''}{_short(place, found[0])})"
            for mark, found in list(marks.items())[:5]
        ]
        notes.append(f"taken as missing: {', '.join(listed)}{' ...' if len(marks) > 5 else ''}")
    if codes:
        first = shown(items[rows["number"][0]])
        notes.append(f"cells such as {first} are numbers; {argument('target', 'class')} takes them for names")
    return "; ".join(notes)


def _short(place: Place, i: int) -> str:
    return re.sub(r"^.*, (?=(?:line|row) [0-9]+$)", "", place(i))


def _odd_cells(items: list[Any], bad: list[int], numbers: int, place: Place, kind: str) -> InputError:
    others = [f"{shown(items[i], 20)} ({_short(place, i)})" for i in bad[1:4]]
    more = f", also {', '.join(others)}{f' and {len(bad) - 4} more' if len(bad) > 4 else ''}" if others else ""
    where = f"in a column of numbers ({numbers} of {numbers + len(bad)} cells{more})"
    cure = f", or pass {argument('target', 'class')} to take all cells for names"
    if kind != "auto":
        where = f"where {argument('target', kind)} wants numbers ({numbers} of {numbers + len(bad)} cells are{more})"
        cure = ""
    found, cure = f"{shown(items[bad[0]], 30)} {where}", f"correct it, empty it to leave this label out{cure}"
    return InputError(place(bad[0]), found, "a number or an empty cell", cure)
