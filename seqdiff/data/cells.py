"""A column of cells, as a table has them, to labels: numbers, truth values or names, as all its cells together say.

The rules stand in labels.py. What is neither is refused with its place, never silently something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seqdiff.data.labels import as_labels, is_missing, join_columns, named_columns, whole_with_gaps
from seqdiff.data.letters import NUMBER
from seqdiff.errors import shown

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
    ValueError
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
    ValueError: y[1]: got '<0.1' in a column of numbers (1 of 2 cells), expected a number or an empty cell; correct it, empty it to leave this label out, or pass target="class" to take all cells for names
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
    """Whether a number is written without a point; more than 400 digits are nobody's number, but a name."""
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
        told.append(f'cells such as {shown(items[numbers[0]])} are numbers; target="class" takes them for names')
    return "; ".join(told)


def _short(place: Callable[[int], str], i: int) -> str:
    return re.sub(r"^.*, (?=(?:line|row) [0-9]+$)", "", place(i))


def _odd_cells(items: list[Any], bad: list[int], numbers: int, place: Callable[[int], str], kind: str) -> ValueError:
    others = [f"{shown(items[i], 20)} ({_short(place, i)})" for i in bad[1:4]]
    more = f"; also {', '.join(others)}{f' and {len(bad) - 4} more' if len(bad) > 4 else ''}" if others else ""
    count = f"{numbers} of {numbers + len(bad)} cells"
    where, cure = f"in a column of numbers ({count})", ', or pass target="class" to take all cells for names'
    if kind != "auto":
        where, cure = f'where target="{kind}" wants numbers ({count} are)', ""
    return ValueError(
        f"{place(bad[0])}: got {shown(items[bad[0]], 30)} {where}, expected a number or an empty cell; correct it,"
        f" empty it to leave this label out{cure}{more}"
    )
