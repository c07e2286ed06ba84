"""Labels as a user has them (lists, arrays, Series, tables, dicts of columns) to one NumPy array, a row a sequence.

Several named columns become a structured array, a field for each: rows are taken from it as from any other array, and
every column keeps its name and its type.

The same table gives the same labels, be it a file, a DataFrame or lists. What a column is, is decided by all its cells:

- Cells of text are stripped. Empty ones, and ``nan`` and ``NaN``, are missing in every column, as None, NaN and NA are.
- **Numbers**, where every other cell is one: decimal digits with a point, an exponent, or neither. ``1_1``, ``inf`` and
  ``007`` are none; ``1E2`` is one, as in pandas. Marks of a missing number (`cells.MARKS`: NA, n.d., - ...) are missing
  there, and listed when `fit` begins. Whole numbers are classes, others values. So are numbers with a point that are
  all whole and of which some are missing, as pandas makes floats of a column of whole numbers with gaps; ``target``
  overrides this.
- **Truth values**, where every other cell is ``true`` or ``false``, in any case: classes.
- **Names** else: ``none``, ``NA`` and ``null`` are then classes like others. Where most cells are numbers,
  some of them with a point, or where whatever is none was meant as one (``<0.1``, ``#DIV/0!``, ``1,234.5``), the
  column is refused; ``target="class"`` makes names of its cells, ``target="value"`` demands numbers.
- A pandas category is names or whole numbers whatever it looks like; strings with ``target="class"`` stay strings.

What pandas has done cannot be undone: `pandas.read_csv` reads ``NA``, ``null`` and ``None`` as missing also among names
(unless ``keep_default_na=False``) and ``007`` as 7 (unless ``dtype=str``). A model that has learned reads labels to
score by what it has learned, and not anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqdiff.errors import InputError, argument, shown

EQUAL_ROWS = "the same number of values for every sequence"
LABELS = "strings, ints, bools (classes) or floats (values)"


def as_labels(y: Any) -> np.ndarray:
    """Any y as a NumPy array: bool, int or float, object (str, int or bool, and None where missing), or structured.

    Missing entries of a plain list of numbers and of a float array are NaN. Nothing is read here: strings stay strings
    (see `read_labels`), and what this function returned it returns again.

    Parameters
    ----------
    y : list, array, Series, DataFrame, Categorical, CPU tensor, dict of columns, or list of rows (tuples or dicts)
        Named columns give a structured array (n,) with a field for each; rows without names that hold strings
        an object array (n, c).

    Raises
    ------
    InputError
        If the rows have different shapes, or hold something else than labels (dates, objects).

    Examples
    --------
    >>> as_labels(["amp", float("nan"), None]).tolist()
    ['amp', None, None]
    >>> as_labels([1, 0, 2]).dtype.kind, as_labels([0.5, None]).tolist()
    ('i', [0.5, nan])
    >>> as_labels({"label": ["amp", None], "expr": [0.5, 2]}).tolist()
    [('amp', 0.5), (None, 2.0)]
    """
    if (named := named_columns(y)) is not None:
        return join_columns({name: as_labels(column) for name, column in named.items()})
    if isinstance(y, np.ma.MaskedArray):  # NumPy itself would take what stands behind the mask
        hidden, y = np.ma.getmaskarray(y), np.ma.getdata(y).astype(object)
        y[hidden] = None
    if hasattr(y, "detach"):
        y = y.detach().cpu().numpy()
    if hasattr(y, "dtype") and hasattr(y, "to_numpy"):  # Series, Index, Categorical
        categories = getattr(y.dtype, "categories", None)
        y = (
            y.to_numpy() if isinstance(y.dtype, np.dtype) else y.to_numpy(dtype=object)
        )  # else a missing int makes floats
        if categories is not None and categories.dtype.kind == "f":  # numbers, but meant as classes
            y = _objects([None if is_missing(item) else str(item) for item in y.tolist()])
    elif isinstance(y, (list, tuple)) and (any(_needs_objects(item) for item in y) or _mixes_truth(y)):
        y = _objects(y) if not is_rows(y) else _object_rows(y)  # numpy alone would make strings of NaN and of numbers
    try:
        array = np.asarray(y)
    except ValueError:
        raise InputError(argument("y"), "rows of different shapes", EQUAL_ROWS, "give every sequence so many") from None
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind not in "OUT":  # O: objects, U and T: strings
        raise InputError(argument("y"), f"{array.dtype} entries", LABELS, "give one of these")
    items = [None if is_missing(item) else _plain(item) for item in array.ravel().tolist()]
    kinds = {type(item) for item in items if item is not None}
    if not kinds <= {str, int, float, bool}:
        odd = next(t for t in kinds if t not in (str, int, float, bool))
        raise InputError(argument("y"), f"entries of type {odd.__name__}", LABELS, "give one of these")
    if any(type(item) is int and not -(2**63) <= item < 2**64 for item in items):
        digits = max(int(item.bit_length() * 0.30103) + 1 for item in items if type(item) is int)
        cure = "give it as a string (a name), or in another unit"
        raise InputError(argument("y"), f"a whole number of about {digits} digits", "at most 19", cure)
    if kinds and kinds <= {int, float} and float in kinds:
        return np.array([math.nan if item is None else item for item in items], dtype=float).reshape(array.shape)
    if len(kinds) == 1 and None not in items and kinds != {str}:
        return np.array(items).reshape(array.shape)
    return _objects(items).reshape(array.shape)


def whole_with_gaps(labels: np.ndarray) -> np.ndarray:
    """Floats (n,) that are all whole and of which some are missing as ints and None; anything else as it is.

    >>> whole_with_gaps(np.array([0.0, np.nan, 2.0])).tolist(), whole_with_gaps(np.array([0.0, 2.0])).tolist()
    ([0, None, 2], [0.0, 2.0])
    """
    if labels.dtype.kind != "f" or labels.ndim != 1:
        return labels
    known = labels[~np.isnan(labels)]
    if not 0 < len(known) < len(labels) or not (np.abs(known) < 2**53).all() or (known % 1).any():
        return labels
    return _objects([None if math.isnan(item) else int(item) for item in labels.tolist()])


def named_columns(y: Any) -> dict[str, Any] | None:
    """The columns of a dict, DataFrame, structured array or list of dicts by name; None for what has no names.

    >>> named_columns([{"label": "amp", "expr": 0.5}, {"label": "none"}])
    {'label': ['amp', 'none'], 'expr': [0.5, None]}
    """
    if isinstance(y, Mapping):
        named = [(name, column) for name, column in y.items()]
    elif hasattr(y, "columns") and hasattr(y, "iloc"):
        named = [(name, y.iloc[:, j]) for j, name in enumerate(y.columns)]
    elif getattr(getattr(y, "dtype", None), "names", None):
        named = [(name, y[name]) for name in y.dtype.names]
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
    """Columns of `as_labels` as one structured array (n,), a field for each.

    >>> join_columns({"a": np.array([1, 2]), "b": np.array([0.5, 1.5])})["b"].tolist()
    [0.5, 1.5]
    """
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
    """The labels without their name where they are a single named column, else as they are."""
    names = labels.dtype.names
    return labels[names[0]] if names and len(names) == 1 else labels


def is_rows(y: Sequence[Any]) -> bool:
    """Return whether every item is a row of labels itself."""
    return len(y) > 0 and all(isinstance(row, (list, tuple, np.ndarray, Mapping)) for row in y)


def is_missing(item: Any) -> bool:
    """None, NaN, pandas' NA and NaT: the last two are known by their class, without importing pandas."""
    if isinstance(item, (float, np.floating)):
        return math.isnan(item)
    return item is None or type(item).__name__ in ("NAType", "NaTType")


def _needs_objects(item: Any) -> bool:
    if isinstance(item, (list, tuple)):
        return any(cell is None or isinstance(cell, str) for cell in item)
    return item is None or isinstance(item, str)


def _mixes_truth(items: Sequence[Any]) -> bool:
    """Return whether there are truth values and others, of which NumPy would make 0 and 1."""
    return len({isinstance(item, (bool, np.bool_)) for item in items}) > 1


def _object_rows(rows: Sequence[Any]) -> np.ndarray:
    if len({len(row) for row in rows}) > 1:
        raise InputError(argument("y"), "rows of different shapes", EQUAL_ROWS, "give every sequence so many")
    array = np.empty((len(rows), len(rows[0])), dtype=object)
    for i, row in enumerate(rows):
        array[i] = _objects(row)
    return array


def _plain(item: Any) -> Any:
    """Python's own type instead of NumPy's."""
    if isinstance(item, np.generic):
        item = item.item()
    return str(item) if isinstance(item, str) else item


def _objects(items: Any) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array
