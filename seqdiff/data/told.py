"""What a user is told of the labels before anything is learned of them: what they are, how many are known, how far."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqdiff.data.labels import is_missing, only_column
from seqdiff.data.target import Target, kind_of
from seqdiff.data.targets import Targets
from seqdiff.errors import shorten, shown

LISTED = 8
"""Classes that are told by name."""
MANY = 20
"""Classes of which most have one row look like values that were taken for names."""


def kind_to_read(target: Any) -> Any:
    """How text of labels is to be read (`read_cells`) for a parameter `target`, or for what a model has learned.

    >>> kind_to_read("auto"), kind_to_read(Target().fit([0.5, 1.5])), kind_to_read(Target().fit([1, 2]))
    ('auto', 'value', 'class')
    """
    if isinstance(target, Targets):
        return {name: kind_to_read(column) for name, column in zip(target.names, target.columns, strict=True)}
    if isinstance(target, Target):
        if target.kind != "class":
            return target.kind
        names = frozenset(name for name in target.classes_ if isinstance(name, str))
        return names if len(names) == len(target.classes_) else "class"
    if isinstance(target, Mapping):
        return {str(name): kind_to_read(kind) for name, kind in target.items()}
    return target if target in ("class", "value", "signal") else "auto"


def describe(y: np.ndarray, target: Any = "auto", told: Mapping[str, str] | None = None) -> list[str]:
    """A line for each column of labels: its kind, how many are known, its classes or its range, how it was read.

    Parameters
    ----------
    y : ndarray
        Of `as_labels`.
    target : str or dict
        The parameter of an estimator.
    told : dict of str
        What else to say of a column, by name.

    Warns
    -----
    UserWarning
        Where there are twenty classes or more, and most have one row.

    Examples
    --------
    >>> describe(np.array(["none", "weak", "none", None], dtype=object))
    ['y: 2 classes: none 2, weak 1; 1 of 4 missing']
    >>> describe(np.array([3.5, np.nan, 21.0]), told={"": "taken as missing: 'n.d.' (line 3)"})
    ["y: values, 2 of 3 known, 3.5 to 21; taken as missing: 'n.d.' (line 3)"]
    """
    told = told or {}
    y = only_column(y)
    if y.dtype.names:
        return [line for name in y.dtype.names for line in _column(y[name], name, target, told.get(name, ""))]
    if y.ndim == 2 and y.shape[1] > 1 and (y.dtype.kind == "O" or target == "class"):
        columns = [line for j in range(y.shape[1]) for line in _column(y[:, j], str(j), target, "")]
        return [*columns, *(f"y: {text}" for text in told.values())]
    return _column(y, "", target, "; ".join(told.values()))


def _column(y: np.ndarray, name: str, target: Any, told: str) -> list[str]:
    kind = target.get(name, "auto") if isinstance(target, Mapping) else target
    who = f"y column {shown(name)}" if name else "y"
    more = f"; {told}" if told else ""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if not y.size or kind not in ("auto", "class", "value", "signal"):
        return []  # refused where it is learned
    if y.dtype.kind == "O" and kind == "auto" and all(is_missing(x) or type(x) in (int, float) for x in y.ravel()):
        floats = any(type(x) is float and not is_missing(x) for x in y.ravel())
        y = np.array([np.nan if is_missing(x) else x for x in y.ravel()], float).reshape(y.shape) if floats else y
    kind = kind_of(y, kind)
    if kind == "class":
        return [f"{who}: {_classes(y, who)}{more}"] if y.ndim == 1 else []
    try:
        values = np.array([np.nan if is_missing(x) else x for x in y.ravel().tolist()], float).reshape(len(y), -1)
    except (TypeError, ValueError, OverflowError):
        return []
    known = values[~np.isnan(values).any(1)]
    what = "signals" if kind == "signal" else "values" if y.ndim == 1 else f"values of {y.shape[1]} columns"
    far = f", {known.min():.4g} to {known.max():.4g}" if len(known) else ""
    return [f"{who}: {what}, {len(known):,} of {len(values):,} known{far}{more}"]


def _classes(y: np.ndarray, who: str) -> str:
    items = y.tolist()
    counts = Counter(item for item in items if not is_missing(item))
    try:
        names = sorted(counts)
    except TypeError:  # refused where it is learned
        names = list(counts)
    single = sum(count == 1 for count in counts.values())
    if len(counts) >= MANY and single > 0.5 * len(counts):
        numbers = all(isinstance(name, (int, float)) for name in counts)
        cure = (
            'if these are measured values pass target="value"'
            if numbers
            else "if these are measured values write them as numbers, if they are no labels leave y out"
        )
        warnings.warn(
            f"{who}: {len(counts):,} classes of {sum(counts.values()):,} labels, {single:,} of them with a single row;"
            f" {cure}",
            stacklevel=4,
        )
    listed = ", ".join(f"{shorten(shown(name).strip(chr(39)), 30)} {counts[name]:,}" for name in names[:LISTED])
    listed += " ..." if len(names) > LISTED else ""
    missing = len(items) - sum(counts.values())
    gaps = f"; {missing:,} of {len(items):,} missing" if missing else ""
    return f"{len(counts):,} class{'es' * (len(counts) != 1)}: {listed}{gaps}"
