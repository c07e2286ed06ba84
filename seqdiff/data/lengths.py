"""Distribution of sequence lengths: counts, common ones and those that go with a label.

Samples draw from the counts, and so only lengths of the training set. Scores take

    p(l) = (1 - e) (count(l) + c(l)) / (N + sum c) + e/L_max,    l = 1..L_max,    e = 0.01,

so that no length up to the longest is impossible, and the lengths of the training set keep at least 99% between them.
c is 0 for the common counts; for those of a label it is one sequence, spread like the common ones, so that a rare label
is like the others. Where all training lengths are equal p is exactly 1; longer sequences have probability 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from seqdiff import runtime
from seqdiff.data.labels import Encoded
from seqdiff.errors import InputError, argument, shown

SPREAD = 0.01
"""e, the share of p(length) over all lengths alike."""
ROWS = 4096
"""Training rows that are kept where labels are no classes."""
NEAREST = 0.05
"""Share of those rows whose lengths go with a value."""
FEWEST_OF_LABEL = 20
"""And how many at least."""
PIECE = 1 << 22
"""Numbers in a table at a time."""


class LengthDistribution:
    """Distribution of sequence lengths.

    Parameters
    ----------
    counts : array of shape (L_max,)
        Number of training sequences (or their weight) of length 1, 2, ..., L_max; the last is not 0.
    of_labels : ClassLengths or NearestLengths, optional
        The lengths that go with a label.

    Attributes
    ----------
    max_length : int
    fixed : bool
        All training lengths are equal: the length costs nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdiff.data import LengthDistribution
    >>> lengths = LengthDistribution.fit([2, 3, 3])
    >>> np.exp(lengths.log_prob([1, 2, 3, 4])).round(4).tolist()  # 0.01/3, 0.99/3 + 0.01/3, 2 * 0.99/3 + 0.01/3, 0
    [0.0033, 0.3333, 0.6633, 0.0]
    >>> LengthDistribution.fit([50, 50]).log_prob([50, 49]).tolist()
    [0.0, -inf]
    """

    def __init__(self, counts: ArrayLike, of_labels: ClassLengths | NearestLengths | None = None):
        table = np.asarray(counts)
        allowed = table.dtype.kind in "iuf" and table.ndim == 1 and len(table) > 0
        if not allowed or not (table >= 0).all() or table[-1] == 0 or not np.isfinite(table.sum()):
            wanted = "the counts of lengths 1..L_max, none negative and the last not 0"
            cure = "count the lengths anew, or use LengthDistribution.fit"
            raise InputError(argument("counts"), shown(counts), wanted, cure)
        self.counts = table.astype(np.int64 if table.dtype.kind in "iu" else float)
        self.max_length = len(table)
        self.fixed = bool((table > 0).sum() == 1)
        self.of_labels = None if self.fixed else of_labels

    @classmethod
    def fit(
        cls, lengths: ArrayLike, weight: np.ndarray | None = None, labels: Encoded | None = None
    ) -> LengthDistribution:
        """Return the distribution of training lengths (N,), of weights (N,), with labels as of `Target.encode`."""
        lengths = np.asarray(lengths)
        if lengths.size == 0:
            raise InputError(argument("lengths"), "none", "those of one or more sequences", "give some")
        if lengths.min() < 1:
            wanted = "lengths of at least 1, as sequences have at least one letter"
            raise InputError(argument("lengths"), f"a length of {lengths.min()}", wanted, "leave such sequences out")
        lengths = lengths.astype(np.int64).ravel()
        counts = np.bincount(lengths, weight)[1:]
        of_labels: ClassLengths | NearestLengths | None = None
        if labels is not None and "signal" not in labels and (lengths != lengths[0]).any():
            kind = ClassLengths if "label" in labels and labels["label"].ndim == 1 else NearestLengths
            of_labels = kind.fit(lengths, weight, labels)
        return cls(counts, of_labels)

    @property
    def probabilities(self) -> np.ndarray:
        """p(1), ..., p(L_max) without a label, shape (L_max,)."""
        return self._smoothed(self.counts[None])[0]

    def _smoothed(self, counts: np.ndarray, other: float = 0.0) -> np.ndarray:
        """Return p of each row of counts (n, L_max), to which the common ones add as many sequences as `other`."""
        if self.fixed:
            return (counts > 0).astype(float)
        common = self.counts / self.counts.sum()
        counts = counts + other * common
        return (1 - SPREAD) * counts / counts.sum(-1, keepdims=True) + SPREAD / self.max_length

    def log_prob(self, lengths: ArrayLike, labels: Encoded | None = None) -> np.ndarray:
        """Return log p(length) in nats, or log p(length | label), the shape of `lengths`; -inf for an impossible one.

        Rows whose label is missing have the common distribution.
        """
        lengths = np.asarray(lengths, dtype=np.int64)
        table = np.zeros(self.max_length + 2)  # index 0 and L_max + 1: impossible
        table[1:-1] = self.probabilities
        inside = np.clip(lengths, 0, self.max_length + 1)
        p = table[inside]
        if labels is not None and self.of_labels is not None:
            p, rows = p.copy(), np.flatnonzero(labels["keep"] & (inside == lengths) & (p > 0))
            for part in _pieces(rows, self.max_length):
                known = self._smoothed(self._counts(labels, part), other=1.0)
                p[part] = known[np.arange(len(part)), lengths[part] - 1]
        with np.errstate(divide="ignore"):
            return np.log(p)

    def sample(self, n: int, generator: torch.Generator, labels: Encoded | None = None) -> torch.Tensor:
        """Return `n` lengths of the training set, int64 (n,) on the CPU; nothing is drawn where the length is fixed.

        With labels, lengths that sequences of these labels had; of a label that none had, those of all. `generator` may
        be on any device.
        """
        if self.fixed:
            return torch.full((n,), self.max_length, dtype=torch.int64)
        exact = runtime.widest(generator.device)
        u = torch.rand(n, generator=generator, device=generator.device, dtype=exact).cpu().double().numpy()
        found = _invert(self.counts[None], u[None])[0]
        if labels is not None and self.of_labels is not None:
            for part in _pieces(np.flatnonzero(labels["keep"]), self.max_length):
                found[part] = _invert(self._counts(labels, part), u[part][:, None])[:, 0]
        return torch.from_numpy(found)

    def _counts(self, labels: Encoded, rows: np.ndarray) -> np.ndarray:
        assert self.of_labels is not None
        counts = self.of_labels.counts(labels, rows, self.max_length)
        return np.where(counts.sum(-1, keepdims=True) > 0, counts, self.counts)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict that JSON can hold; `from_dict` reads it back."""
        d: dict[str, Any] = {"counts": self.counts.tolist()}
        return d if self.of_labels is None else d | {"of_labels": self.of_labels.to_dict()}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> LengthDistribution:
        """Return the distribution that `to_dict` wrote."""
        given = d.get("of_labels")
        of_labels = None if given is None else (ClassLengths if "classes" in given else NearestLengths).from_dict(given)
        return cls(d["counts"], of_labels)

    def __repr__(self) -> str:
        return f"LengthDistribution(max_length={self.max_length}, fixed={self.fixed})"


class ClassLengths:
    """Counts of lengths for each class, (C, L_max)."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    @classmethod
    def fit(cls, lengths: np.ndarray, weight: np.ndarray | None, labels: Encoded) -> ClassLengths:
        keep, code = labels["keep"], labels["label"]
        table = np.zeros((int(code[keep].max(initial=0)) + 1, int(lengths.max())))
        np.add.at(table, (code[keep], lengths[keep] - 1), 1.0 if weight is None else weight[keep])
        return cls(table)

    def counts(self, labels: Encoded, rows: np.ndarray, max_length: int) -> np.ndarray:
        """Return the counts (n, max_length) that go with the labels of some rows."""
        counts = self.table[np.minimum(labels["label"][rows], len(self.table) - 1)]
        return np.pad(counts, ((0, 0), (0, max_length - counts.shape[1])))

    def to_dict(self) -> dict[str, Any]:
        """Return the lengths and counts that are not 0, class by class."""
        return {"classes": [[[int(i) + 1, float(row[i])] for i in np.flatnonzero(row)] for row in self.table]}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> ClassLengths:
        longest = max((length for row in d["classes"] for length, _ in row), default=1)
        table = np.zeros((len(d["classes"]), longest))
        for code, row in enumerate(d["classes"]):
            for length, count in row:
                table[code, length - 1] = count
        return cls(table)


class NearestLengths:
    """Lengths of training rows with their labels: a request takes those nearest to its values, of its classes.

    Lengths and weights are (M,), codes (M, c), values (M, v), and `known` (M, c + v), classes first.
    """

    def __init__(
        self, lengths: np.ndarray, weight: np.ndarray, label: np.ndarray, value: np.ndarray, known: np.ndarray
    ) -> None:
        self.lengths, self.weight, self.label, self.value, self.known = lengths, weight, label, value, known

    @classmethod
    def fit(cls, lengths: np.ndarray, weight: np.ndarray | None, labels: Encoded) -> NearestLengths:
        rows = np.flatnonzero(labels["keep"])
        if len(rows) > ROWS:
            rows = np.sort(np.random.default_rng(0).choice(rows, ROWS, replace=False))
        each = np.ones(len(rows)) if weight is None else weight[rows]
        return cls(lengths[rows], each, *_columns(labels, rows))

    def counts(self, labels: Encoded, rows: np.ndarray, max_length: int) -> np.ndarray:
        label, value, known = _columns(labels, rows)
        found = np.zeros((len(rows), max_length))
        if not len(self.lengths):
            return found
        asked, several = np.unique(np.column_stack([label, value, known]), axis=0, return_inverse=True)
        c, v = label.shape[1], value.shape[1]
        for i, row in enumerate(asked):
            wanted = row[c + v :].astype(bool)
            same = ((self.label == row[:c]) & self.known[:, :c] | ~wanted[:c]).all(-1)
            same &= (self.known[:, c:] | ~wanted[c:]).all(-1)
            here = np.flatnonzero(same)
            if wanted[c:].any() and len(here):
                off = (np.abs(self.value[here] - row[c : c + v]) * wanted[c:]).sum(-1)
                near = max(FEWEST_OF_LABEL, round(NEAREST * len(here)))
                here = here[np.argsort(off, kind="stable")[:near]]
            counts = np.bincount(self.lengths[here], self.weight[here], max_length + 1)[1:]
            found[several.ravel() == i] = counts
        return found

    def to_dict(self) -> dict[str, Any]:
        names = ("lengths", "weight", "label", "value", "known")
        return {name: getattr(self, name).astype(float).round(7).tolist() for name in names}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> NearestLengths:
        m = len(d["lengths"])
        label, value, known = (np.array(d[name], float).reshape(m, -1) for name in ("label", "value", "known"))
        return cls(np.array(d["lengths"], np.int64), np.array(d["weight"], float), label, value, known.astype(bool))


def _columns(labels: Encoded, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes (n, c), values (n, v) and which are known (n, c + v) of some rows."""
    n = len(rows)
    label, value = (
        labels[name][rows].reshape(n, -1).astype(float) if name in labels else np.zeros((n, 0))
        for name in ("label", "value")
    )
    known = labels.get("known")
    known = np.repeat(labels["keep"][rows, None], label.shape[1] + value.shape[1], 1) if known is None else known[rows]
    return label, value, known


def _pieces(rows: np.ndarray, max_length: int) -> list[np.ndarray]:
    """Return the rows in pieces whose tables have at most `PIECE` numbers."""
    size = max(1, PIECE // max_length)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _invert(counts: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the lengths (n, m) at which the distribution functions of counts (n, L) pass u (n, m)."""
    cumulative = np.cumsum(counts, -1)
    found = np.empty(u.shape, dtype=np.int64)
    for i, line in enumerate(cumulative):
        found[i] = 1 + np.searchsorted(line, u[i] * line[-1], side="right")
    return np.minimum(found, 1 + (counts > 0).cumsum(-1).argmax(-1)[:, None])  # the last that has been seen
