"""Classes, values or signals: the meaning of y, learned once and encoded the same way for training and generating.

Strings, ints, bools and categoricals are classes; floats are values, (n,) or (n, c), standardised by the training mean
and standard deviation; a (n, L, C) array is a signal along the sequence, standardised per channel. Labels may be
missing (None, NaN): such rows train the unconditional model alone, `keep` is False there.

Several columns with names or of several kinds are a `Targets`, a `Target` for each column. A network gets of them

    label (n, c)   codes of the class columns, numbered through from one column to the next
    value (n, v)   the value columns, standardised
    known (n, c + v)   False where a label is missing, class columns first
    keep  (n,)     False where all are
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from seqdiff.data.labels import (
    NUMBER,
    Encoded,
    ReadKind,
    as_labels,
    is_missing,
    is_rows,
    join_columns,
    kind_of_column,
    named_columns,
    objects,
    only_column,
)
from seqdiff.errors import InputError, argument, shorten, shown
from seqdiff.inputs import LabelsLike, TargetLike, is_one
from seqdiff.parameters import Choice

EMPIRICAL = "empirical"
"""The y of a user who wants labels drawn as they occur in the training data."""
SAMPLE_ROWS = 1024
SAMPLE_NUMBERS = 65_536
MAX_Y = 1e150
"""Values whose squares fit into float64."""
FAR = 0.25
"""A value is far outside the training values beyond this share of their width."""


def sample_rows(n: int, columns: int, random_state: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the rows of n training labels that a model keeps to draw from: all, or 1,024 at random (fewer if wide).

    With weights (n,) as many are drawn by them, with replacement.
    """
    limit, rng = max(1, min(SAMPLE_ROWS, SAMPLE_NUMBERS // columns)), np.random.default_rng(random_state)
    if weight is not None:
        return np.sort(rng.choice(n, limit, p=weight / weight.sum()))
    return np.arange(n) if n <= limit else np.sort(rng.choice(n, limit, replace=False))


def kind_of(labels: np.ndarray, kind: str = "auto") -> str:
    """Return "class", "value" or "signal" for labels of `as_labels`, unless `kind` says it."""
    if kind != "auto":
        return kind
    several = labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "biu"  # whole numbers a row: no class
    return "signal" if labels.ndim == 3 else "value" if labels.dtype.kind == "f" or several else "class"


def learn_target(
    y: LabelsLike, kind: TargetLike = "auto", random_state: int = 0, weight: np.ndarray | None = None
) -> Target:
    """Return the meaning of y: `Targets` of several columns, else a `Target` of one kind.

    Parameters
    ----------
    y : array-like
        See `as_labels`. Columns with names, and rows of strings, are several columns; an (n, c) array of numbers is
        one value of c numbers, of which none or all are known.
    kind : str or dict
        "auto", by the type of the entries, "class", "value" or "signal"; of several columns for all, or a dict by name.
    random_state : int
        Seed of the choice of the labels that are kept to draw from.
    weight : ndarray (n,), optional
        Weight of each row in frequencies, means and scales; above 0.

    Raises
    ------
    InputError
        Unknown kind, a y of another shape or type than its kind, infinite values, or no label at all.

    >>> learn_target([0.5, 1.5]).kind, learn_target({"label": ["amp", "none"], "expr": [0.5, 1.5]}).kind
    ('value', 'columns')
    """
    labels = only_column(as_labels(y))
    if len(columns := columns_of(labels, kind)) > 1:
        return Targets.learn(columns, kind, random_state, weight)
    if isinstance(kind, Mapping):
        found = f"{shown(dict(kind))}, which names columns, where {argument('y')} has no names"
        raise InputError(argument("target"), found, "'class', 'value' or 'signal'", "give one of these")
    return Target.fit(labels, kind, random_state, weight)


def columns_of(labels: np.ndarray, kind: TargetLike = "auto") -> dict[str, np.ndarray]:
    """Return the columns of labels by name, "0", "1", ... where they have none; what is of one kind as column ""."""
    if labels.dtype.names:
        return {name: labels[name] for name in labels.dtype.names}
    if labels.ndim == 2 and labels.shape[1] > 1 and (labels.dtype.kind == "O" or kind == "class"):
        return {str(j): as_labels(labels[:, j].tolist()) for j in range(labels.shape[1])}
    return {"": labels}


class Target:
    """Meaning of y for a conditional model: `Classes`, `Values`, `Signals` or `Targets`.

    Attributes
    ----------
    kind : "class", "value", "signal" or "columns"
    classes_ : list of str, int, bool or float
        Sorted; label i is ``classes_[i]`` (classes only).
    frequencies_ : ndarray of shape (number of classes,)
        Their shares among the labelled training rows (classes only).
    mean_, scale_ : ndarray of shape (n_columns,)
        Of the training values, in y's own unit; a constant column has scale 1 (values and signals only).
    n_columns : int
        Value columns or signal channels; 1 for classes.
    range_ : ndarray of shape (2, n_columns) or None
        The lowest and the highest training value, in y's own unit (values and signals only; None of old files).
    sample_ : ndarray of shape (at most 1024, n_columns) or None
        Labels of training rows to draw from, in y's own unit (values and several columns only).

    Examples
    --------
    >>> from seqdiff.data import Target
    >>> target = Target.fit(["amp", "uniprot", None, "amp"])
    >>> target.classes_, target.encode("uniprot", n=3)
    (['amp', 'uniprot'], {'label': array([1, 1, 1]), 'keep': array([ True,  True,  True])})
    >>> Target.fit([1.0, 3.0]).encode([2.0, 4.0])["value"].tolist()
    [[0.0], [2.0]]
    """

    kind: str
    n_columns: int = 1
    classes_: list[Any]
    frequencies_: np.ndarray
    mean_: np.ndarray
    scale_: np.ndarray
    range_: np.ndarray | None = None
    sample_: np.ndarray | None = None

    @staticmethod
    def fit(y: LabelsLike, kind: str = "auto", random_state: int = 0, weight: np.ndarray | None = None) -> Target:
        """Return the target of labels of one kind, shape (n,), (n, c) or (n, L, C); as in `learn_target`.

        `random_state` is the seed of the choice of the labels kept to draw from, `weight` (n,) that of each row.
        """
        Choice(options=("auto", "class", "value", "signal")).check("target", kind)
        labels = only_column(as_labels(y))
        if labels.dtype.names:
            found = f"the columns {shown(list(labels.dtype.names))}"
            raise InputError(argument("y"), found, "one kind of label", "give one of the columns")
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if not labels.size:
            wanted, cure = "at least one label for each sequence", f"leave {argument('y')} out"
            raise InputError(argument("y"), f"shape {labels.shape}", wanted, cure)
        return KINDS[kind_of(labels, kind)].learn(labels, random_state, weight)

    @staticmethod
    def from_dict(d: dict[str, Any]) -> Target:
        """Return the target that `to_dict` wrote."""
        return KINDS[d["kind"]].read(d)

    @property
    def read_kind(self) -> ReadKind:
        """The `kind` with which `read_cells` reads text of such labels."""
        return self.kind

    def to_dict(self) -> dict[str, Any]:
        """Return a dict that JSON can hold; `from_dict` reads it back."""
        raise NotImplementedError

    def encode(self, y: LabelsLike, n: int | None = None) -> Encoded:
        """Return y as the arrays that a network takes.

        Parameters
        ----------
        y : array-like, scalar, dict or None
            With `n`, one label (one row of values, one (L, C) signal) is repeated n times; None, and a missing label,
            mean unconditional. Of several columns: one row for all, or one for each, in the columns' order; or by name,
            each entry one label for all or one for each, those left out unknown.
        n : int, optional
            Rows wanted.

        Returns
        -------
        dict
            ``label`` int64 (n,), or ``value`` float32 (n, c), or ``signal`` float32 (n, L, C), in standard deviations
            from the training mean; and ``keep`` bool (n,), False where the label is missing; see above for columns.

        Raises
        ------
        InputError
            Unknown column or class, wrong number of rows or columns, or entries of another type.
        """
        raise NotImplementedError

    def rows(self, y: LabelsLike, n: int) -> np.ndarray:
        """Return y as one label for each of n sequences, in y's own unit; nan or None where one is missing.

        Classes (n,), values (n,) or (n, c), several columns a structured array (n,).
        """
        raise NotImplementedError

    def draw(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """Return labels for n sequences: classes by `frequencies_`, values and rows of columns from `sample_`."""
        if self.sample_ is None:
            wanted = "a value, as this model keeps no sample of its training values to draw from"
            raise InputError(argument("y"), "'empirical'", wanted, "give the value itself")
        return self.sample_[(generator.random(n) * len(self.sample_)).astype(int)]

    def far_outside(self, y: LabelsLike) -> str:
        """Return a sentence if values lie outside the training values by over a quarter of their width, else "".

        >>> Target.fit([0.0, 0.5, 1.0]).far_outside(90)
        'y: got 90, but the values learned are 0 to 1; what is made for values so far outside is a guess'
        """
        return ""

    def _labels(self, y: LabelsLike) -> np.ndarray:
        """Return y without a column's name, of shape () where it is one label for all."""
        labels = np.empty(0) if isinstance(y, Mapping) else only_column(as_labels(y))
        if names := tuple(y) if isinstance(y, Mapping) else labels.dtype.names:
            found, wanted = f"the columns {shown(list(names))}", "one label, as this model learned one kind"
            raise InputError(argument("y"), found, wanted, "give the label itself")
        return labels


class Classes(Target):
    """Labels that are names, whole numbers or truth values."""

    kind = "class"

    def __init__(self, classes: list[Any], frequencies: np.ndarray) -> None:
        self.classes_, self.frequencies_ = classes, frequencies

    @classmethod
    def learn(cls, labels: np.ndarray, random_state: int, weight: np.ndarray | None) -> Classes:
        items = _one_each(labels).tolist()
        weights = [1] * len(items) if weight is None else weight.tolist()
        known = [(item, w) for item, w in zip(items, weights, strict=True) if not is_missing(item)]
        if not known:
            cure = f"give one, or leave {argument('y')} out"
            raise InputError(argument("y"), "labels that are all missing", "at least one that is known", cure)
        kinds = {type(item) for item, _ in known}
        if len(kinds) > 1 and not kinds <= {int, float}:
            names = " and ".join(sorted(t.__name__ for t in kinds))
            found = f"classes of type {names} mixed"
            raise InputError(argument("y"), found, "classes of one type", "make them all strings, or all ints")
        counts: Counter[Any] = Counter()
        for item, count in known:
            counts[int(item) if isinstance(item, float) and item.is_integer() else item] += count
        classes = sorted(counts)
        return cls(classes, np.array([counts[c] for c in classes]) / sum(counts.values()))

    @classmethod
    def read(cls, d: dict[str, Any]) -> Classes:
        return cls(list(d["classes"]), np.array(d["frequencies"]))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "n_columns": 1, "classes": self.classes_, "frequencies": self.frequencies_.tolist()}

    @property
    def read_kind(self) -> ReadKind:
        names = frozenset(name for name in self.classes_ if isinstance(name, str))
        return names if len(names) == len(self.classes_) else "class"

    def encode(self, y: LabelsLike, n: int | None = None) -> Encoded:
        labels = self._labels(y)
        labels = _one_each(labels if labels.ndim else np.repeat(labels, _wanted(n)))
        _check_rows(len(labels), n)
        # a shell has strings alone: "1" may mean 1; and a table of 1 and 2 may mean "1" and "2"
        index: dict[Any, int] = {str(c): i for i, c in enumerate(self.classes_)}
        index |= {c: i for i, c in enumerate(self.classes_)}
        strings = all(isinstance(c, str) for c in self.classes_)
        codes, keep = np.zeros(len(labels), dtype=np.int64), np.zeros(len(labels), dtype=bool)
        for i, item in enumerate(labels.tolist()):
            if is_missing(item):
                continue
            code = index.get(str(item) if strings else item)
            if code is None:
                known = ", ".join(shown(c, 40) for c in self.classes_[:10])
                more = f" ... ({len(self.classes_)} in all)" if len(self.classes_) > 10 else ""
                wanted = f"a class of the training data: {known}{more}"
                raise InputError(argument("y"), f"the class {shown(item)}", wanted, "give one of these")
            codes[i], keep[i] = code, True
        return {"label": codes, "keep": keep}

    def rows(self, y: LabelsLike, n: int) -> np.ndarray:
        encoded = self.encode(y, n)
        codes = zip(encoded["label"].tolist(), encoded["keep"].tolist(), strict=True)
        return objects([self.classes_[code] if known else None for code, known in codes])

    def draw(self, n: int, generator: np.random.Generator) -> np.ndarray:
        codes = np.searchsorted(np.cumsum(self.frequencies_), generator.random(n), side="right")
        return objects([self.classes_[i] for i in np.minimum(codes, len(self.classes_) - 1)])


class Values(Target):
    """Labels that are numbers, one or c of them, standardised by column."""

    kind = "value"
    dimensions: tuple[int, ...] = (1, 2)
    shape = "(n,) or (n, c)"

    def __init__(
        self,
        mean: np.ndarray,
        scale: np.ndarray,
        range_: np.ndarray | None = None,
        sample: np.ndarray | None = None,
        n_positions: int = 1,
    ) -> None:
        self.mean_, self.scale_, self.range_, self.sample_ = mean, scale, range_, sample
        self.n_columns, self.n_positions = len(mean), n_positions

    @classmethod
    def learn(cls, labels: np.ndarray, random_state: int, weight: np.ndarray | None) -> Values:
        if labels.ndim not in cls.dimensions:
            wanted = f"{cls.shape}, as {argument('target', cls.kind)} wants"
            raise InputError(argument("y"), f"shape {labels.shape}", wanted, "give labels of this shape")
        values = cls._numbers(labels)
        columns = 1 if values.ndim == 1 else values.shape[-1]
        values = values.reshape(len(values), -1, columns)  # (n, L or 1, C)
        known = ~np.isnan(values).any(axis=(1, 2))
        values, weight = values[known], None if weight is None else weight[known]
        each = None if weight is None else np.repeat(weight, values.shape[1])
        flat = values.reshape(-1, columns)
        if not len(flat):
            wanted, cure = "one row or more", f"fill some in, or leave {argument('y')} out"
            raise InputError(argument("y"), "no row without missing values", wanted, cure)
        low, high = flat.min(0), flat.max(0)
        if max(np.abs(low).max(), np.abs(high).max()) > MAX_Y:
            found = f"values from {flat.min():g} to {flat.max():g}"
            wanted = f"at most {MAX_Y:g} in size, so that their squares fit into float64"
            raise InputError(argument("y"), found, wanted, "give them in another unit")
        mean, width = np.average(flat, 0, each), high - low
        scale = np.sqrt(np.average((flat - mean) ** 2, 0, each))
        if (small := (width > 1e-12 * np.abs(mean)) & (scale < 1 / MAX_Y)).any():
            found = f"values that differ by {width[small][0]:g} in all"
            wanted = f"at least {10 / MAX_Y:g}, so that the squares of differences fit into float64"
            raise InputError(argument("y"), found, wanted, "give them in another unit")
        scale = np.where(scale > 1e-12 * np.abs(mean), scale, 1.0)
        return cls(mean, scale, np.stack([low, high]), cls._sample(values, random_state, weight), values.shape[1])

    @staticmethod
    def _sample(values: np.ndarray, random_state: int, weight: np.ndarray | None) -> np.ndarray | None:
        return values[sample_rows(len(values), values.shape[-1], random_state, weight), 0]

    @classmethod
    def _numbers(cls, labels: np.ndarray) -> np.ndarray:
        if labels.dtype.kind == "O":
            for found in labels.ravel():
                if isinstance(found, str) and not NUMBER.fullmatch(found.strip()):
                    wanted = f"numbers, as {argument('target', cls.kind)} wants"
                    raise InputError(argument("y"), f"the entry {shown(found)}", wanted, "give numbers")
            labels = np.array([math.nan if x is None else float(x) for x in labels.ravel()]).reshape(labels.shape)
        values = labels.astype(float)
        if np.isinf(values).any():
            cure = "replace them, or make them NaN to leave these labels out"
            raise InputError(argument("y"), "infinite values", "finite values", cure)
        return values

    @classmethod
    def read(cls, d: dict[str, Any]) -> Values:
        range_ = np.array([d["lowest"], d["highest"]]) if "lowest" in d else None
        sample = np.array(d["sample"]) if "sample" in d else None
        return cls(np.array(d["mean"]), np.array(d["scale"]), range_, sample, d["n_positions"])

    def to_dict(self) -> dict[str, Any]:
        d: dict[str, Any] = {"kind": self.kind, "n_columns": self.n_columns, "n_positions": self.n_positions}
        d |= {"mean": self.mean_.tolist(), "scale": self.scale_.tolist()}
        if self.range_ is not None:
            d |= {"lowest": self.range_[0].tolist(), "highest": self.range_[1].tolist()}
        return d if self.sample_ is None else d | {"sample": self.sample_.tolist()}

    @property
    def _one(self) -> tuple[int, ...]:
        """Shape of one label."""
        return () if self.n_columns == 1 else (self.n_columns,)

    @property
    def _fitted_shape(self) -> str:
        return "(n,)" if self.n_columns == 1 else f"(n, {self.n_columns})"

    def _values(self, y: LabelsLike, n: int | None) -> np.ndarray:
        """Return y in its own unit, (n, c) or (n, L, C); nan where it is missing."""
        values = self._numbers(self._labels(y))
        if values.ndim == 0 and np.isnan(values):
            values = np.full(self._one, np.nan)
        single = len(self._one)
        if values.ndim == single or (single == 0 and n is not None and values.shape == (1,)):
            values = np.broadcast_to(values, (_wanted(n), *values.shape))
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != max(self.dimensions) or values.shape[-1] != self.n_columns:
            wanted = f"shape {self._fitted_shape}, as the model was fitted to such {self.kind}s"
            raise InputError(argument("y"), f"shape {np.shape(y)}", wanted, "give labels of this shape")  # type: ignore[arg-type]
        _check_rows(len(values), n)
        return values

    def encode(self, y: LabelsLike, n: int | None = None) -> Encoded:
        values = self._values(y, n)
        keep = ~np.isnan(values).any(axis=tuple(range(1, values.ndim)))
        scaled = (values - self.mean_) / self.scale_
        scaled[~keep] = 0.0
        if np.abs(scaled).max(initial=0.0) > np.finfo(np.float32).max:
            found = values[keep].ravel()
            learned = "" if self.range_ is None else f" ({self.range_.min():g} to {self.range_.max():g})"
            wanted = f"a value near those learned{learned}"
            cure = "give one that is not so far from them"
            raise InputError(argument("y"), f"{found[np.abs(found).argmax()]:g}", wanted, cure)
        return {self.kind: scaled.astype(np.float32), "keep": keep}

    def rows(self, y: LabelsLike, n: int) -> np.ndarray:
        values = self._values(y, n)
        return values if self.n_columns > 1 else values[..., 0]

    def far_outside(self, y: LabelsLike) -> str:
        values, c = self._numbers(self._labels(y)), self.n_columns
        if self.range_ is None or values.size % c:
            return ""
        values = values.reshape(-1, c)
        low, high = self.range_
        with np.errstate(invalid="ignore"):
            far = (values < low - FAR * (high - low)) | (values > high + FAR * (high - low))
        if not far.any():
            return ""
        row, column = np.argwhere(far)[0]
        found = f"{values[row, column]:.4g},"
        if far.size > c:
            found = f"{far.sum():,} of {far.size:,}, such as {found}"
        where = f" in column {column}" if c > 1 else ""
        learned = f"the values learned{where} are {low[column]:.4g} to {high[column]:.4g}"
        return f"{argument('y')}: got {found} but {learned}; what is made for values so far outside is a guess"


class Signals(Values):
    """Labels that are numbers along the sequence, standardised by channel; a missing one has `n_positions` of them."""

    kind = "signal"
    dimensions = (3,)
    shape = "(n, L, C)"

    @staticmethod
    def _sample(values: np.ndarray, random_state: int, weight: np.ndarray | None) -> None:
        return None

    @property
    def _one(self) -> tuple[int, ...]:
        return (self.n_positions, self.n_columns)

    @property
    def _fitted_shape(self) -> str:
        return f"(n, L, {self.n_columns})"

    def draw(self, n: int, generator: np.random.Generator) -> np.ndarray:
        wanted = "a signal, shape (L, C) or (n, L, C), as none can be drawn"
        raise InputError(argument("y"), "'empirical'", wanted, "give the signal itself")


class Targets(Target):
    """Several columns, each classes or values.

    Attributes
    ----------
    names : tuple of str
        In y's order; "0", "1", ... where y had no names.
    columns : tuple of Target
        Of kind "class" or "value".
    sample_ : structured ndarray (at most 1024,)
        Labels of training rows to draw from, all columns together.

    Examples
    --------
    >>> from seqdiff.data import learn_target
    >>> targets = learn_target({"label": ["amp", "none", None], "expr": [1.0, 3.0, float("nan")]})
    >>> encoded = targets.encode({"label": "none", "expr": [2.0, 4.0]}, n=2)
    >>> encoded["label"].tolist(), encoded["value"].tolist()
    ([[1], [1]], [[0.0], [2.0]])
    """

    kind = "columns"
    sample_: np.ndarray

    def __init__(self, columns: dict[str, Target]) -> None:
        self.names, self.columns = tuple(columns), tuple(columns.values())

    @classmethod
    def learn(
        cls, labels: dict[str, np.ndarray], kind: TargetLike, random_state: int, weight: np.ndarray | None
    ) -> Targets:
        """Return the targets of labels (n,) by column; `kind`, `random_state`, `weight`: see `learn_target`."""
        _check_names(kind if isinstance(kind, Mapping) else (), tuple(labels), "target")
        columns = {}
        for name, column in labels.items():
            if (own := kind_of_column(kind, name)) == "signal":
                where = f"{argument('target')}, column {shown(name)}"
                wanted = "'class' or 'value' beside other columns, as a signal stands alone"
                raise InputError(where, "'signal'", wanted, "give one of these, or the signal as the only column")
            with _errors_name(name):
                columns[name] = Target.fit(column, own, random_state, weight)
        targets, rows = cls(columns), join_columns(labels)
        keep = targets.encode(rows)["keep"]
        rows, weight = rows[keep], None if weight is None else weight[keep]
        targets.sample_ = rows[sample_rows(len(rows), len(columns), random_state, weight)]
        return targets

    @classmethod
    def read(cls, d: dict[str, Any]) -> Targets:
        targets = cls({column["name"]: Target.from_dict(column) for column in d["columns"]})
        targets.sample_ = join_columns({name: as_labels(d["sample"][name]) for name in targets.names})
        return targets

    def to_dict(self) -> dict[str, Any]:
        columns = [{"name": name, **target.to_dict()} for name, target in self._items()]
        for column in columns:
            column.pop("sample", None)
        sample = {n: [None if is_missing(x) else x for x in self.sample_[n].tolist()] for n in self.names}
        return {"kind": self.kind, "columns": columns, "sample": sample}

    def _items(self) -> Iterator[tuple[str, Target]]:
        return zip(self.names, self.columns, strict=True)

    @property
    def read_kind(self) -> ReadKind:
        return {name: target.read_kind for name, target in self._items()}

    def encode(self, y: LabelsLike, n: int | None = None) -> Encoded:
        given = self._by_name(y)
        _check_names(given, self.names, "y")
        if n is None:
            n = max((len(column) for column in given.values() if not is_one(column)), default=None)
        parts: dict[str, list[Encoded]] = {"label": [], "value": []}
        offset = 0
        for name, target in self._items():
            with _errors_name(name):
                encoded = target.encode(given.get(name), n)
            if isinstance(target, Classes):
                encoded["label"] = encoded["label"][:, None] + offset
                offset += len(target.classes_)
            parts["label" if "label" in encoded else "value"].append(encoded)
        known = np.stack([part["keep"] for part in (*parts["label"], *parts["value"])], 1)
        arrays: Encoded = {"known": known, "keep": np.any(known, 1)}
        for key, of_key in parts.items():
            if of_key:
                arrays[key] = np.concatenate([part[key] for part in of_key], 1)
        return arrays

    def rows(self, y: LabelsLike, n: int) -> np.ndarray:
        given = self._by_name(y)
        return join_columns({name: target.rows(given.get(name), n) for name, target in self._items()})

    def far_outside(self, y: LabelsLike) -> str:
        given = self._by_name(y)
        for name, target in self._items():
            with _errors_name(name):
                if found := target.far_outside(given.get(name)):
                    return f"column {shown(name)}: {found}"
        return ""

    def _by_name(self, y: LabelsLike) -> dict[str, Any]:
        if y is None or (is_one(y) and is_missing(y)):
            return {}
        if isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1:
            y = y.tolist()
        if (named := named_columns(y)) is not None:
            return named
        wanted = f"labels of the columns {', '.join(self.names)}, which this model learned"
        if is_one(y):
            example = ", ".join(f"{name!r}: ..." for name in self.names)
            cure = f"give a dict {{{example}}}, what is left out is free"
            raise InputError(argument("y"), f"{shown(y)}, which is one label", wanted, cure)
        if isinstance(y, (list, tuple)) and not is_rows(y):
            entries = list(y)
        else:
            labels = as_labels(y)
            if labels.ndim == 1 and len(labels) != len(self.names):
                cure = "give a dict, what is left out is free"
                raise InputError(argument("y"), "one column without a name", wanted, cure)
            entries = [labels[..., j] for j in range(labels.shape[-1])] if labels.ndim <= 2 else []
        if len(entries) != len(self.names):
            cure = "give one for each of them in this order, or a dict"
            raise InputError(argument("y"), f"{len(entries)} entries a row", wanted, cure)
        return dict(zip(self.names, entries, strict=True))


KINDS: dict[str, Any] = {kind.kind: kind for kind in (Classes, Values, Signals, Targets)}
target_from_dict = Target.from_dict


def _one_each(labels: np.ndarray) -> np.ndarray:
    """Return the labels of classes as (n,)."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        wanted = "shape (n,), as classes have"
        raise InputError(argument("y"), f"shape {labels.shape}", wanted, "give one label per sequence")
    return labels


def _wanted(n: int | None) -> int:
    if n is None:
        raise InputError(argument("n"), "None with one y for all", "how many rows are wanted", "give it")
    return n


def _check_rows(rows: int, n: int | None) -> None:
    if n is not None and rows != n:
        raise InputError(argument("y"), f"{rows} rows", f"{n}", "give one label for all, or one for each")


def _check_names(given: Iterable[str], names: tuple[str, ...], what: str) -> None:
    for name in given:
        if name not in names:
            known = shorten(", ".join(map(repr, names)), 200)
            raise InputError(argument(what), f"the column {shown(name)}", f"one of {known}", "give such columns")


@contextmanager
def _errors_name(column: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise error.of(f"column {shown(column)}") from None


def class_codes(target: Target, y: LabelsLike) -> list[np.ndarray]:
    """Return the classes of each row, codes (n,) and -1 where missing, an array for each column that is of classes."""
    encoded = target.encode(y)
    keep = encoded["keep"]
    codes = encoded.get("label", np.zeros((len(keep), 0))).reshape(len(keep), -1)  # (n, c)
    known = encoded.get("known", keep[:, None])
    return [np.where(known[:, j], codes[:, j], -1) for j in range(codes.shape[1])]


# Notes on labels before anything is learned of them: their kind, how many are known, their classes or range.

LISTED = 8
"""Classes that are listed by name."""
MANY_CLASSES = 20
"""So many classes of which most have one row look like values that were taken for names."""


def describe(y: np.ndarray, target: TargetLike = "auto", notes: Mapping[str, str] | None = None) -> list[str]:
    """Return a line for each column of labels: its kind, how many are known, its classes or its range, its note.

    `target` is an estimator's parameter, `notes` are those of `read_labels`.

    >>> describe(np.array([3.5, np.nan, 21.0]), notes={"": "taken as missing: 'n.d.' (line 3)"})
    ["y: values, 2 of 3 known, 3.5 to 21; taken as missing: 'n.d.' (line 3)"]
    """
    columns = columns_of(only_column(y), target)
    notes = notes or {}
    if list(columns) == [""]:
        notes = {"": "; ".join(notes.values())}
    lines = []
    for name, column in columns.items():
        if found := _description(column, kind_of_column(target, name)):
            lines.append(f"{named_label(name)}: {found}" + (f"; {notes[name]}" if notes.get(name) else ""))
    return lines


def named_label(name: str) -> str:
    """Return a column of labels as messages name it; "" is the name of labels without one."""
    return argument("y") + (f" column {shown(name)}" if name else "")


def likely_values(y: np.ndarray, target: TargetLike = "auto") -> list[str]:
    """Return a sentence for each column of classes, twenty or more and most of one row, that look like values."""
    sentences = []
    for name, column in columns_of(only_column(y), target).items():
        if column.ndim != 1 or kind_of(column, kind_of_column(target, name)) != "class":
            continue
        counts = Counter(item for item in column.tolist() if not is_missing(item))
        single = sum(count == 1 for count in counts.values())
        if len(counts) < MANY_CLASSES or single <= 0.5 * len(counts):
            continue
        numbers = all(isinstance(item, (int, float)) for item in counts)
        names_cure = f"write them as numbers, if they are no labels leave {argument('y')} out"
        cure = f"pass {argument('target', 'value')}" if numbers else names_cure
        found = f"{len(counts):,} classes of {counts.total():,} labels, {single:,} of them with a single row"
        sentences.append(f"{named_label(name)}: {found}; if these are measured values {cure}")
    return sentences


def _description(y: np.ndarray, kind: str) -> str:
    """Return what one column holds; "" where learning it will be refused."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if not y.size or kind not in ("auto", "class", "value", "signal"):
        return ""
    kind = kind_of(y, kind)
    if kind == "class":
        return _classes(y) if y.ndim == 1 else ""
    try:
        values = np.array([np.nan if is_missing(x) else x for x in y.ravel()], float).reshape(len(y), -1)
    except (ValueError, OverflowError):
        return ""
    known = values[~np.isnan(values).any(1)]
    what = "signals" if kind == "signal" else "values" if y.ndim == 1 else f"values of {y.shape[1]} columns"
    far = f", {known.min():.4g} to {known.max():.4g}" if len(known) else ""
    return f"{what}, {len(known):,} of {len(values):,} known{far}"


def _classes(y: np.ndarray) -> str:
    counts = Counter(item for item in y.tolist() if not is_missing(item))
    try:
        names = sorted(counts)
    except TypeError:  # of several types: learning will refuse them
        names = list(counts)
    labels = counts.total()
    listed = ", ".join(f"{shorten(shown(name).strip(chr(39)), 30)} {counts[name]:,}" for name in names[:LISTED])
    listed += " ..." if len(names) > LISTED else ""
    gaps = f"; {len(y) - labels:,} of {len(y):,} missing" if labels < len(y) else ""
    return f"{len(counts):,} class{'es' * (len(counts) != 1)}: {listed}{gaps}"
