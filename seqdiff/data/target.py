"""What y is: classes, values or signals, learned once and then encoded the same way for training and generating.

Strings, ints, bools and categoricals are classes; floats are values, (n,) or (n, c), standardised by the training mean
and standard deviation; a (n, L, C) array is a signal along the sequence, standardised per channel. Labels may be
missing (None, NaN): such rows train the unconditional model alone, `keep` is False there. Several columns that have
names or are of several kinds are a `Targets` (targets.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqdiff.alphabets.letters import NUMBER
from seqdiff.data.labels import (
    _objects,
    _plain,
    as_labels,
    is_missing,
    is_rows,
    join_columns,
    named_columns,
    only_column,
)
from seqdiff.errors import InputError, argument, shorten, shown, warn

KINDS = ("class", "value", "signal")
EMPIRICAL = "empirical"
"""What a user gives as y to have labels drawn as they occur in the training data."""
SAMPLE_ROWS = 1024
SAMPLE_NUMBERS = 65_536


def sample_rows(n: int, columns: int, random_state: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Return which of n training labels a model keeps to draw from: all, or 1,024 at random (fewer of very wide ones).

    With weights (n,) as many as that are drawn by them, one perhaps several times.

    >>> sample_rows(3, 1, random_state=0).tolist(), len(sample_rows(10**6, 1, 0)), len(sample_rows(10**6, 512, 0))
    ([0, 1, 2], 1024, 128)
    """
    limit = max(1, min(SAMPLE_ROWS, SAMPLE_NUMBERS // columns))
    if weight is not None:
        return np.sort(np.random.default_rng(random_state).choice(n, limit, p=weight / weight.sum()))
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(random_state).choice(n, limit, replace=False))


MAX_Y = 1e150
"""Values whose squares fit into float64."""
FAR = 0.25
"""A value is far outside what was learned beyond this share of the training values' width."""


def kind_of(labels: np.ndarray, kind: str = "auto") -> str:
    """Return what labels of `as_labels` are: "class", "value" or "signal", unless `kind` says it.

    >>> kind_of(np.array([1, 2])), kind_of(np.array([1.5])), kind_of(np.array([[1, 2]]))
    ('class', 'value', 'value')
    """
    if kind != "auto":
        return kind
    several = labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "biu"  # whole numbers a row: no class
    return "signal" if labels.ndim == 3 else "value" if labels.dtype.kind == "f" or several else "class"


class Target:
    """What y means to a conditional model.

    Attributes
    ----------
    kind : "class", "value" or "signal"
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
        Labels of training rows to draw from, in y's own unit (values only).

    Examples
    --------
    >>> from seqdiff.data import Target
    >>> target = Target().fit(["amp", "uniprot", None, "amp"])
    >>> target.kind, target.classes_, target.encode(["uniprot", None])["label"].tolist()
    ('class', ['amp', 'uniprot'], [1, 0])
    >>> target.encode("amp", n=3)
    {'label': array([0, 0, 0]), 'keep': array([ True,  True,  True])}
    >>> Target().fit([1.0, 3.0]).encode([2.0, 4.0])["value"].tolist()
    [[0.0], [2.0]]
    """

    kind: str
    n_columns: int
    n_positions: int  # length of the training signals: the shape of a missing one
    classes_: list[Any]
    frequencies_: np.ndarray
    mean_: np.ndarray
    scale_: np.ndarray
    range_: np.ndarray | None = None
    sample_: np.ndarray | None = None

    def fit(self, y: Any, kind: str = "auto", random_state: int = 0, weight: np.ndarray | None = None) -> Target:
        """Learn what y is.

        Parameters
        ----------
        y : array-like of shape (n,), (n, c) or (n, L, C)
        kind : "auto", "class", "value" or "signal"
            Overrides what the entries' type says.
        random_state : int
            Seed of the choice of the training labels that are kept to draw from.
        weight : ndarray (n,), optional
            How much each row counts in frequencies, means and scales; above 0.

        Raises
        ------
        InputError
            Unknown kind, a y of another shape or type than its kind, infinite values, or no label at all.
        """
        if not isinstance(kind, str) or kind not in ("auto", *KINDS):
            wanted = "'auto', 'class', 'value' or 'signal'"
            raise InputError(argument("target"), shown(kind), wanted, "give one of these")
        labels = only_column(as_labels(y))
        if labels.dtype.names:
            found = f"the columns {', '.join(labels.dtype.names)}"
            raise InputError(argument("y"), found, "one kind of label", "give one of the columns")
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if not labels.size:
            wanted, cure = "at least one label for each sequence", f"leave {argument('y')} out"
            raise InputError(argument("y"), f"shape {labels.shape}", wanted, cure)
        self.kind = kind = kind_of(labels, kind)
        if kind == "class":
            self._fit_classes(labels, weight)
            return self
        dimensions = {"value": (1, 2), "signal": (3,)}[kind]
        if labels.ndim not in dimensions:
            shape = "(n,) or (n, c)" if kind == "value" else "(n, L, C)"
            wanted = f"{shape}, as {argument('target', kind)} wants"
            raise InputError(argument("y"), f"shape {labels.shape}", wanted, "give labels of this shape")
        values = self._numbers(labels)
        self.n_columns = 1 if values.ndim == 1 else values.shape[-1]
        self.n_positions = values.shape[1] if kind == "signal" else 1
        flat = values.reshape(len(values), -1, self.n_columns)  # (n, L or 1, C)
        known = ~np.isnan(flat).any(axis=(1, 2))
        whole, weight = flat[known], None if weight is None else weight[known]
        each = None if weight is None else np.repeat(weight, whole.shape[1])
        flat = whole.reshape(-1, self.n_columns)
        if not len(flat):
            wanted, cure = "one row or more, to learn from", f"fill some in, or leave {argument('y')} out"
            raise InputError(argument("y"), "no row without missing values", wanted, cure)
        self.range_ = np.stack([flat.min(0), flat.max(0)])
        if np.abs(self.range_).max() > MAX_Y:
            found = f"values from {flat.min():g} to {flat.max():g}"
            wanted = f"at most {MAX_Y:g} in size, so that their squares fit into float64"
            raise InputError(argument("y"), found, wanted, "give them in another unit")
        self.mean_, width = np.average(flat, 0, each), self.range_[1] - self.range_[0]
        scale = np.sqrt(np.average((flat - self.mean_) ** 2, 0, each))
        if (small := (width > 1e-12 * np.abs(self.mean_)) & (scale < 1 / MAX_Y)).any():
            found = f"values that differ by {width[small][0]:g} in all"
            wanted = f"at least {10 / MAX_Y:g}, so that the squares of differences fit into float64"
            raise InputError(argument("y"), found, wanted, "give them in another unit")
        self.scale_ = np.where(scale > 1e-12 * np.abs(self.mean_), scale, 1.0)
        if kind == "value":
            self.sample_ = whole[sample_rows(len(whole), self.n_columns, random_state, weight), 0]
        return self

    def _fit_classes(self, labels: np.ndarray, weight: np.ndarray | None = None) -> None:
        if labels.ndim != 1:
            wanted = "shape (n,), as classes have"
            raise InputError(argument("y"), f"shape {labels.shape}", wanted, "give one label per sequence")
        present = [i for i, item in enumerate(labels.tolist()) if not is_missing(item)]
        items = [_plain(labels[i]) for i in present]
        if not items:
            cure = f"give one, or leave {argument('y')} out"
            raise InputError(argument("y"), "labels that are all missing", "at least one that is known", cure)
        kinds = {type(item) for item in items}
        if len(kinds) > 1 and not kinds <= {int, float}:
            names = " and ".join(sorted(t.__name__ for t in kinds))
            found = f"classes of type {names} mixed"
            raise InputError(argument("y"), found, "classes of one type", "make them all strings, or all ints")
        if float in kinds:
            items = [int(item) if float(item).is_integer() else item for item in items]
        counts: Counter[Any] = Counter()
        for item, count in zip(items, [1] * len(items) if weight is None else weight[present].tolist(), strict=True):
            counts[item] += count
        self.classes_ = sorted(counts)
        self.frequencies_ = np.array([counts[c] for c in self.classes_]) / sum(counts.values())
        self.n_columns = 1

    def encode(self, y: Any, n: int | None = None) -> dict[str, np.ndarray]:
        """y as the arrays that a network takes.

        Parameters
        ----------
        y : array-like, scalar or None
            With `n`, one label (one row of values, one (L, C) signal) is repeated n times; None, and a missing label,
            mean unconditional.
        n : int, optional
            Rows wanted.

        Returns
        -------
        dict
            ``label`` int64 (n,), or ``value`` float32 (n, c), or ``signal`` float32 (n, L, C), in standard deviations
            from the training mean; and ``keep`` bool (n,), False where the label is missing (which holds 0).

        Raises
        ------
        InputError
            Unknown class, wrong number of rows or columns, or entries of another type.
        """
        if isinstance(y, Mapping):
            found, wanted = f"{shown(y)}, which names columns", "one label, as this model learned one kind"
            raise InputError(argument("y"), found, wanted, "give the label itself")
        if y is None or (np.ndim(y) == 0 and is_missing(y)):
            return self._nothing(self._rows(n))
        if np.ndim(y):
            y = only_column(as_labels(y))
            if y.dtype.names:
                found = f"the columns {', '.join(y.dtype.names)}"
                raise InputError(argument("y"), found, "one, as the model learned one", "give that")
        if self.kind == "class":
            return self._encode_classes(y, n)
        values = self._numbers(as_labels(y))
        c = self.n_columns
        single = 0 if self.kind == "value" else 2  # dimensions of one label
        if self.kind == "value" and values.ndim == 1 and (c > 1 or (n is not None and values.shape == (1,))):
            single = 1
        shape = "shape (n,)" if c == 1 else f"shape (n, {c})"
        shape = shape if self.kind == "value" else f"shape (n, L, {c})"
        if values.ndim == single:
            rows = self._rows(n)
            values = np.broadcast_to(values, (rows, *values.shape))
        if self.kind == "value" and values.ndim == 1:
            values = values[:, None]
        if values.ndim != (2 if self.kind == "value" else 3) or values.shape[-1] != c:
            wanted = f"{shape}, as the model was fitted to such {self.kind}s"
            raise InputError(argument("y"), f"shape {np.shape(y)}", wanted, "give labels of this shape")
        self._check_rows(len(values), n)
        keep = ~np.isnan(values).any(axis=tuple(range(1, values.ndim)))
        scaled = (values - self.mean_) / self.scale_
        scaled[~keep] = 0.0
        if np.abs(scaled).max(initial=0.0) > np.finfo(np.float32).max:
            found, low, high = values[keep].ravel(), *self._limits()
            wanted = f"a value near those learned{f' ({low:g} to {high:g})' if math.isfinite(low) else ''}"
            cure = "give one that is not so far from them"
            raise InputError(argument("y"), f"{found[np.abs(found).argmax()]:g}", wanted, cure)
        return {self.kind: scaled.astype(np.float32), "keep": keep}

    def _encode_classes(self, y: Any, n: int | None) -> dict[str, np.ndarray]:
        labels = as_labels([y] if np.ndim(y) == 0 else y)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim != 1:
            wanted = "shape (n,), as classes have"
            raise InputError(argument("y"), f"shape {labels.shape}", wanted, "give one label per sequence")
        if np.ndim(y) == 0:
            labels = np.repeat(labels, self._rows(n))
        self._check_rows(len(labels), n)
        index = {c: i for i, c in enumerate(self.classes_)}
        by_name = {str(c): i for i, c in enumerate(self.classes_)}  # a shell knows strings alone: "1" may mean 1
        strings = all(isinstance(c, str) for c in self.classes_)  # and a table of 1 and 2 may mean "1" and "2"
        codes, keep = np.zeros(len(labels), dtype=np.int64), np.zeros(len(labels), dtype=bool)
        for i, item in enumerate(labels.tolist()):
            if is_missing(item):
                continue
            name = str(item) if strings or isinstance(item, str) else None
            code = index.get(item, by_name.get(name) if name is not None else None)
            if code is None:
                known = ", ".join(shown(c, 40) for c in self.classes_[:10])
                more = f" ... ({len(self.classes_)} in all)" if len(self.classes_) > 10 else ""
                wanted = f"a class of the training data: {known}{more}"
                raise InputError(argument("y"), f"the class {shown(item)}", wanted, "give one of these")
            codes[i], keep[i] = code, True
        return {"label": codes, "keep": keep}

    def far_outside(self, y: Any) -> str:
        """A sentence if values lie far outside the training values: by over a quarter of their width; "" if none does.

        Of classes, of a missing y and of what `encode` refuses there is nothing to say.

        >>> Target().fit([0.0, 0.5, 1.0]).far_outside(90)
        'y: got 90, but the values learned are 0 to 1; what is made for values so far outside is a guess'
        """
        if self.range_ is None or y is None or isinstance(y, Mapping) or np.size(y) == 0:
            return ""
        values = self._numbers(only_column(as_labels(y)))
        if values.ndim == 0 or values.shape[-1] != self.n_columns:
            values = values.reshape(-1, 1) if self.n_columns == 1 else values[..., None]
        width = self.range_[1] - self.range_[0]
        with np.errstate(invalid="ignore"):
            far = (values < self.range_[0] - FAR * width) | (values > self.range_[1] + FAR * width)
        if far.shape[-1] != self.n_columns or not far.any():
            return ""
        first = tuple(np.argwhere(far)[0])
        column, many = first[-1], np.size(far) > self.n_columns
        low, high = self.range_[:, column]
        found = f"{far.sum():,} of {np.size(far):,}, such as {values[first]:.4g}," if many else f"{values[first]:.4g},"
        where = f" in column {column}" if self.n_columns > 1 else ""
        return (
            f"{argument('y')}: got {found} but the values learned{where} are {low:.4g} to {high:.4g}; what is made for"
            " values so far outside is a guess"
        )

    def _limits(self) -> tuple[float, float]:
        return (math.nan, math.nan) if self.range_ is None else (float(self.range_.min()), float(self.range_.max()))

    def draw(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """Labels for n sequences, drawn as they occur in the training data: classes by `frequencies_`, values from
        `sample_`.

        Raises
        ------
        InputError
            For signals, and for values of a model file that keeps no sample.

        Examples
        --------
        >>> target = Target().fit(["rare", "often", "often", "often"])
        >>> target.draw(5, np.random.default_rng(0)).tolist()
        ['often', 'often', 'often', 'often', 'rare']
        """
        u = generator.random(n)
        if self.kind == "class":
            codes = np.searchsorted(np.cumsum(self.frequencies_), u, side="right")
            return _objects([self.classes_[i] for i in np.minimum(codes, len(self.classes_) - 1)])
        if self.kind == "signal":
            wanted = "a signal, shape (L, C) or (n, L, C), as none can be drawn"
            raise InputError(argument("y"), "'empirical'", wanted, "give the signal itself")
        if self.sample_ is None:
            wanted = "a value, as this model keeps no sample of its training values to draw from"
            raise InputError(argument("y"), "'empirical'", wanted, "give the value itself")
        return self.sample_[(u * len(self.sample_)).astype(int)]

    def rows(self, y: Any, n: int) -> np.ndarray:
        """y as one label for each of n sequences: classes (n,), values (n,) or (n, c), in y's own unit; nan or None
        where one is missing.

        >>> Target().fit(["a", "b"]).rows("b", 2).tolist(), Target().fit([1.0, 3.0]).rows([2.0, 5.0], 2).tolist()
        (['b', 'b'], [2.0, 5.0])
        """
        encoded = self.encode(y, n=n)
        if self.kind == "class":
            codes = zip(encoded["label"].tolist(), encoded["keep"].tolist(), strict=True)
            return _objects([self.classes_[code] if known else None for code, known in codes])
        given = np.asarray(self._numbers(as_labels(y))) if y is not None else np.array(math.nan)
        width = (n, self.n_columns) if self.n_columns > 1 else (n,)
        return np.broadcast_to(given.reshape(width) if given.size == math.prod(width) else given, width).copy()

    def _nothing(self, n: int) -> dict[str, np.ndarray]:
        keep = np.zeros(n, dtype=bool)
        if self.kind == "class":
            return {"label": np.zeros(n, dtype=np.int64), "keep": keep}
        shape = (n, self.n_columns) if self.kind == "value" else (n, self.n_positions, self.n_columns)
        return {self.kind: np.zeros(shape, dtype=np.float32), "keep": keep}

    def _numbers(self, labels: np.ndarray) -> np.ndarray:
        if labels.dtype.kind == "O":
            for found in labels.ravel():
                if isinstance(found, str) and not NUMBER.fullmatch(found.strip()):
                    wanted = f"numbers, as {argument('target', self.kind)} wants"
                    raise InputError(argument("y"), f"the entry {shown(found)}", wanted, "give numbers")
            labels = np.array([math.nan if x is None else float(x) for x in labels.ravel()]).reshape(labels.shape)
        values = labels.astype(float)
        if np.isinf(values).any():
            cure = "replace them, or make them NaN to leave these labels out"
            raise InputError(argument("y"), "infinite values", "finite values", cure)
        return values

    @staticmethod
    def _rows(n: int | None) -> int:
        if n is None:
            raise InputError(argument("n"), "None with one y for all", "how many rows are wanted", "give it")
        return n

    @staticmethod
    def _check_rows(rows: int, n: int | None) -> None:
        if n is not None and rows != n:
            raise InputError(argument("y"), f"{rows} rows", f"{n}", "give one label for all, or one for each")

    def to_dict(self) -> dict[str, Any]:
        """A dict that JSON can hold; `from_dict` reads it back."""
        d: dict[str, Any] = {"kind": self.kind, "n_columns": self.n_columns}
        if self.kind == "class":
            return d | {"classes": self.classes_, "frequencies": self.frequencies_.tolist()}
        d |= {"n_positions": self.n_positions, "mean": self.mean_.tolist(), "scale": self.scale_.tolist()}
        if self.range_ is not None:
            d |= {"lowest": self.range_[0].tolist(), "highest": self.range_[1].tolist()}
        return d if self.sample_ is None else d | {"sample": self.sample_.tolist()}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Target:
        """The target that `to_dict` wrote.

        >>> Target.from_dict(Target().fit([1, 2, 2]).to_dict()).classes_
        [1, 2]
        """
        target = cls()
        target.kind, target.n_columns = d["kind"], d["n_columns"]
        if target.kind == "class":
            target.classes_, target.frequencies_ = list(d["classes"]), np.array(d["frequencies"])
        else:
            target.n_positions = d["n_positions"]
            target.mean_, target.scale_ = np.array(d["mean"]), np.array(d["scale"])
            target.range_ = np.array([d["lowest"], d["highest"]]) if "lowest" in d else None
            target.sample_ = np.array(d["sample"]) if "sample" in d else None
        return target


# Several columns of labels at once, each classes or values, each missing where it likes.
#
# A column is a `Target` of its own. What a network gets of them together is
#
#     label (n, c)   codes of the class columns, numbered through from one column to the next
#     value (n, v)   the value columns, standardised
#     known (n, c + v)   False where a label is missing, class columns first
#     keep  (n,)     False where all are


Kind = str | Mapping[str, str]


def learn_target(
    y: Any, kind: Kind = "auto", random_state: int = 0, weight: np.ndarray | None = None
) -> Target | Targets:
    """Return what y is: a `Target` where it is of one kind, else `Targets`.

    Parameters
    ----------
    y : array-like
        See `as_labels`. Columns with names, and rows of strings, are several columns; an (n, c) array of numbers is
        one value of c numbers, of which none or all are known.
    kind : str or dict
        "auto", "class", "value" or "signal"; of several columns for all, or a dict by their names.
    random_state : int
        Seed of the choice of the labels that are kept to draw from.
    weight : ndarray (n,), optional
        How much each row counts in frequencies, means and scales; above 0.

    Raises
    ------
    InputError
        As `Target.fit`; the sentence names the column.

    Examples
    --------
    >>> learn_target([0.5, 1.5]).kind, learn_target({"label": ["amp", "none"], "expr": [0.5, 1.5]}).kind
    ('value', 'columns')
    """
    labels = only_column(as_labels(y))
    table = labels.ndim == 2 and labels.shape[1] > 1 and (labels.dtype.kind == "O" or kind == "class")
    if labels.dtype.names or table:
        return Targets().fit(labels, kind, random_state, weight)
    if isinstance(kind, Mapping):
        found = f"{shown(dict(kind))}, which names columns, where {argument('y')} has no names"
        raise InputError(argument("target"), found, "'class', 'value' or 'signal'", "give one of these")
    return Target().fit(labels, kind, random_state, weight)


def class_codes(target: Target | Targets, y: Any) -> list[np.ndarray]:
    """The classes of each row, codes (n,) and -1 where missing, an array for each column that is of classes.

    >>> [codes.tolist() for codes in class_codes(learn_target(["a", "b", None]), ["a", "b", None])]
    [[0, 1, -1]]
    """
    encoded = target.encode(y)
    if target.kind == "class":
        return [np.where(encoded["keep"], encoded["label"], -1)]
    if target.kind != "columns" or "label" not in encoded:
        return []
    return [np.where(encoded["known"][:, j], encoded["label"][:, j], -1) for j in range(encoded["label"].shape[1])]


def target_from_dict(d: dict[str, Any]) -> Target | Targets:
    """The target that either class's `to_dict` wrote."""
    return Targets.from_dict(d) if d["kind"] == "columns" else Target.from_dict(d)


class Targets:
    """What several columns mean to a conditional model.

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
    >>> from seqdiff.data.target import Targets
    >>> targets = Targets().fit({"label": ["amp", "none", None], "expr": [1.0, 3.0, float("nan")]})
    >>> encoded = targets.encode({"label": "none", "expr": [2.0, 4.0]}, n=2)
    >>> encoded["label"].tolist(), encoded["value"].tolist()
    ([[1], [1]], [[0.0], [2.0]])
    >>> targets.encode({"expr": 2.0}, n=1)["known"].tolist()  # classes stand first
    [[False, True]]
    >>> targets.encode(("amp", 2.0), n=1)["label"].tolist()
    [[0]]
    """

    kind = "columns"
    names: tuple[str, ...]
    columns: tuple[Target, ...]
    sample_: np.ndarray

    def fit(self, y: Any, kind: Kind = "auto", random_state: int = 0, weight: np.ndarray | None = None) -> Targets:
        """Learn what each column is; see `learn_target`."""
        labels = as_labels(y)
        if not labels.dtype.names:
            if labels.ndim != 2 or labels.shape[1] < 2:
                raise InputError(argument("y"), f"shape {labels.shape}", "several columns", "give two or more")
            labels = join_columns({str(j): as_labels(labels[:, j].tolist()) for j in range(labels.shape[1])})
        self.names = labels.dtype.names or ()
        kinds = kind if isinstance(kind, Mapping) else dict.fromkeys(self.names, kind)
        self._check_names(kinds, "target")
        columns = []
        for name in self.names:
            kind_of_it = kinds.get(name, "auto")
            if kind_of_it == "signal":
                where = f"{argument('target')}, column {shown(name)}"
                wanted = "'class' or 'value' beside other columns, as a signal stands alone"
                raise InputError(where, "'signal'", wanted, "give one of these, or the signal as the only column")
            columns.append(_of_column(name, Target().fit, labels[name], kind_of_it, random_state, weight))
        self.columns = tuple(columns)
        keep = self.encode(labels)["keep"]
        labelled, weight = labels[keep], None if weight is None else weight[keep]
        self.sample_ = labelled[sample_rows(len(labelled), len(self.names), random_state, weight)]
        return self

    def encode(self, y: Any, n: int | None = None) -> dict[str, np.ndarray]:
        """y as the arrays that a network takes.

        Parameters
        ----------
        y : dict, DataFrame, structured array, tuple, array or list of rows
            By name (what is left out is unknown), each entry one label for all or one for each; or in the columns'
            order: one row for all, or one for each. None is unknown.
        n : int, optional
            Rows wanted.

        Raises
        ------
        InputError
            Unknown columns or classes, or a wrong number of rows or columns.
        """
        given = self._by_name(y)
        self._check_names(given, "y")
        if n is None:
            n = max((len(column) for column in given.values() if np.ndim(column)), default=None)
        parts = {"class": [], "value": []}  # type: dict[str, list[dict[str, np.ndarray]]]
        offset = 0
        for name, target in zip(self.names, self.columns, strict=True):
            encoded = _of_column(name, target.encode, given.get(name), n)
            if target.kind == "class":
                encoded["label"] = encoded["label"][:, None] + offset
                offset += len(target.classes_)
            parts[target.kind].append(encoded)
        known = np.stack([part["keep"] for part in (*parts["class"], *parts["value"])], 1)
        arrays: dict[str, np.ndarray] = {"known": known, "keep": np.any(known, 1)}
        for kind, key in (("class", "label"), ("value", "value")):
            if parts[kind]:
                arrays[key] = np.concatenate([part[key] for part in parts[kind]], 1)
        return arrays

    def far_outside(self, y: Any) -> str:
        """A sentence if values of a column lie far outside the training values, see `Target.far_outside`."""
        given = self._by_name(y)
        for name, target in zip(self.names, self.columns, strict=True):
            if target.kind != "class" and (found := _of_column(name, target.far_outside, given.get(name))):
                return f"column {shown(name)}: {found}"
        return ""

    def draw(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """Labels for n sequences, rows of `sample_`: what goes together in training does so here."""
        return self.sample_[(generator.random(n) * len(self.sample_)).astype(int)]

    def rows(self, y: Any, n: int) -> np.ndarray:
        """y as one label for each of n sequences in each column, a structured array (n,); None or nan is unknown."""
        given = self._by_name(y)
        return join_columns(
            {name: target.rows(given.get(name), n) for name, target in zip(self.names, self.columns, strict=True)}
        )

    def _by_name(self, y: Any) -> dict[str, Any]:
        if y is None or (np.ndim(y) == 0 and is_missing(y)):
            return {}
        if isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1:
            y = y.tolist()
        if (named := named_columns(y)) is not None:
            return named
        wanted = f"labels of the columns {', '.join(self.names)}, which this model learned"
        if np.ndim(y) == 0 or isinstance(y, str):
            example = ", ".join(f"{name!r}: ..." for name in self.names)
            cure = f"give a dict {{{example}}}, what is left out is free"
            raise InputError(argument("y"), f"{shown(y)}, which is one label", wanted, cure)
        if isinstance(y, (list, tuple)) and not is_rows(y):
            entries, count = list(y), len(y)
        else:
            labels = as_labels(y)
            if labels.ndim == 1 and len(labels) != len(self.names):
                cure = "give a dict, what is left out is free"
                raise InputError(argument("y"), "one column without a name", wanted, cure)
            entries = [labels[..., j] for j in range(labels.shape[-1])]
            count = labels.shape[-1] if labels.ndim <= 2 else 0
        if count != len(self.names):
            cure = "give one for each of them in this order, or a dict"
            raise InputError(argument("y"), f"{count} entries a row", wanted, cure)
        return dict(zip(self.names, entries, strict=True))

    def _check_names(self, given: Mapping[str, Any], what: str) -> None:
        for name in given:
            if name not in self.names:
                known = shorten(", ".join(map(repr, self.names)), 200)
                raise InputError(argument(what), f"the column {shown(name)}", f"one of {known}", "give such columns")

    def to_dict(self) -> dict[str, Any]:
        """A dict that JSON can hold; `from_dict` reads it back."""
        columns = [{"name": name, **t.to_dict()} for name, t in zip(self.names, self.columns, strict=True)]
        for column in columns:
            column.pop("sample", None)
        sample = {n: [None if is_missing(x) else x for x in self.sample_[n].tolist()] for n in self.names}
        return {"kind": self.kind, "columns": columns, "sample": sample}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Targets:
        """The targets that `to_dict` wrote.

        >>> targets = Targets().fit({"label": ["a", "b"], "expr": [1.0, None]})
        >>> Targets.from_dict(targets.to_dict()).names
        ('label', 'expr')
        """
        targets = cls()
        targets.names = tuple(column["name"] for column in d["columns"])
        targets.columns = tuple(Target.from_dict(column) for column in d["columns"])
        targets.sample_ = join_columns({name: as_labels(d["sample"][name]) for name in targets.names})
        return targets


def _of_column(name: str, function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except InputError as error:
        raise error.of(f"column {shown(name)}") from None


# What a user is told of the labels before anything is learned of them: what they are, how many are known, how far.

LISTED = 8
"""Classes that are told by name."""
MANY_CLASSES = 20
"""Classes of which most have one row look like values that were taken for names."""


def kind_to_read(target: Any) -> Any:
    """Return how text of labels is to be read (`read_cells`) for a parameter `target`, or for what a model has learned.

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
        return [*columns, *(f"{argument('y')}: {text}" for text in told.values())]
    return _column(y, "", target, "; ".join(told.values()))


def _column(y: np.ndarray, name: str, target: Any, told: str) -> list[str]:
    kind = target.get(name, "auto") if isinstance(target, Mapping) else target
    who = f"{argument('y')} column {shown(name)}" if name else argument("y")
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
    if len(counts) >= MANY_CLASSES and single > 0.5 * len(counts):
        numbers = all(isinstance(name, (int, float)) for name in counts)
        cure = (
            f"pass {argument('target', 'value')}"
            if numbers
            else f"write them as numbers, if they are no labels leave {argument('y')} out"
        )
        warn(
            f"{who}: {len(counts):,} classes of {sum(counts.values()):,} labels, {single:,} of them with a single row;"
            f" if these are measured values {cure}"
        )
    listed = ", ".join(f"{shorten(shown(name).strip(chr(39)), 30)} {counts[name]:,}" for name in names[:LISTED])
    listed += " ..." if len(names) > LISTED else ""
    missing = len(items) - sum(counts.values())
    gaps = f"; {missing:,} of {len(items):,} missing" if missing else ""
    return f"{len(counts):,} class{'es' * (len(counts) != 1)}: {listed}{gaps}"
