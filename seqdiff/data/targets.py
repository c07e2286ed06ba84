"""Several columns of labels at once, each classes or values, each missing where it likes.

A column is a `Target` of its own. What a network gets of them together is

    label (n, c)   codes of the class columns, numbered through from one column to the next
    value (n, v)   the value columns, standardised
    known (n, c + v)   False where a label is missing, class columns first
    keep  (n,)     False where all are
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqdiff.data.labels import as_labels, is_missing, is_rows, join_columns, named_columns, only_column
from seqdiff.data.target import Target, sample_rows
from seqdiff.errors import shorten, shown

Kind = str | Mapping[str, str]


def learn_target(
    y: Any, kind: Kind = "auto", random_state: int = 0, weight: np.ndarray | None = None
) -> Target | Targets:
    """What y is: a `Target` where it is of one kind, else `Targets`.

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
    ValueError
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
        raise ValueError(
            f"target={shown(dict(kind))} names columns, but y has no names; give one of class, value, signal"
        )
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
    >>> from seqdiff.data.targets import Targets
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
                raise ValueError(f"y has shape {labels.shape}, but several columns are wanted")
            labels = join_columns({str(j): as_labels(labels[:, j].tolist()) for j in range(labels.shape[1])})
        self.names = labels.dtype.names or ()
        kinds = kind if isinstance(kind, Mapping) else dict.fromkeys(self.names, kind)
        self._check_names(kinds, "target")
        columns = []
        for name in self.names:
            kind_of_it = kinds.get(name, "auto")
            if kind_of_it == "signal":
                raise ValueError(f"column {name!r} of y cannot be a signal beside other columns; a signal stands alone")
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
        ValueError
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
        wanted = f"this model learned the columns {', '.join(self.names)}"
        if np.ndim(y) == 0 or isinstance(y, str):
            example = ", ".join(f"{name!r}: ..." for name in self.names)
            raise ValueError(
                f"y={shown(y)} is one label, but {wanted}; give a dict {{{example}}}, what is left out is free"
            )
        if isinstance(y, (list, tuple)) and not is_rows(y):
            entries, count = list(y), len(y)
        else:
            labels = as_labels(y)
            if labels.ndim == 1 and len(labels) != len(self.names):
                raise ValueError(f"y is one column without a name, but {wanted}; give a dict, what is left out is free")
            entries = [labels[..., j] for j in range(labels.shape[-1])]
            count = labels.shape[-1] if labels.ndim <= 2 else 0
        if count != len(self.names):
            raise ValueError(
                f"y has {count} entries a row, but {wanted}; give one for each of them in this order, or a dict"
            )
        return dict(zip(self.names, entries, strict=True))

    def _check_names(self, given: Mapping[str, Any], what: str) -> None:
        for name in given:
            if name not in self.names:
                known = shorten(", ".join(map(repr, self.names)), 200)
                raise ValueError(f"{what} names the column {shown(name)}, but the columns learned are {known}")

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
    except ValueError as error:
        raise ValueError(f"column {shown(name)}: {error}") from None
