"""How long sequences are: counts of lengths, common ones and those that go with a label.

Samples take lengths from the counts, and so only lengths that training had. Scores take

    p(l) = (1 - e) (count(l) + c(l)) / (N + sum c) + e/L_max,    l = 1..L_max,    e = 0.01,

so that no length up to the longest is impossible, and the lengths that training had keep at least 99% between them.
c is 0 for the common counts; for those of a label it is one sequence, spread like the common ones, so that a label of
which little is known is like the others. Where all training lengths are equal p is exactly 1; longer sequences have
probability 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.data.labels import Encoded
from seqdiff.errors import InputError, argument, shown

if TYPE_CHECKING:
    import torch

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

COUNTS = "the counts of lengths 1..L_max, none negative and the last not 0"


class LengthDistribution:
    """Distribution of sequence lengths.

    Parameters
    ----------
    counts : array of shape (L_max,)
        How many training sequences (or how much weight) have length 1, 2, ..., L_max; the last is not 0.
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
    >>> law = LengthDistribution.fit([2, 3, 3])
    >>> np.exp(law.log_prob([1, 2, 3, 4])).round(4).tolist()  # 0.01/3, 0.99/3 + 0.01/3, 2 * 0.99/3 + 0.01/3, 0
    [0.0033, 0.3333, 0.6633, 0.0]
    >>> LengthDistribution.fit([50, 50]).log_prob([50, 49]).tolist()
    [0.0, -inf]
    """

    def __init__(self, counts: Any, of_labels: ClassLengths | NearestLengths | None = None):
        given, counts = counts, np.asarray(counts)
        if counts.dtype.kind not in "iuf" or counts.ndim != 1 or not len(counts):
            raise InputError(
                argument("counts"), shown(given), COUNTS, "count the lengths anew, or use LengthDistribution.fit"
            )
        counts = counts.astype(np.int64 if counts.dtype.kind in "iu" else float)
        if not (counts >= 0).all() or counts[-1] == 0 or not np.isfinite(counts.sum()):
            raise InputError(
                argument("counts"), shown(given), COUNTS, "count the lengths anew, or use LengthDistribution.fit"
            )
        self.counts = counts
        self.max_length = len(counts)
        self.fixed = bool((counts > 0).sum() == 1)
        self.of_labels = None if self.fixed else of_labels

    @classmethod
    def fit(cls, lengths: Any, weight: np.ndarray | None = None, labels: Encoded | None = None) -> LengthDistribution:
        """Return the distribution of training lengths.

        Parameters
        ----------
        lengths : array of int, shape (N,)
        weight : ndarray (N,), optional
            How much each sequence counts.
        labels : dict, optional
            What goes with the lengths, N rows as `Target.encode` gives them.

        Raises
        ------
        InputError
            If there are none, or one is smaller than 1.
        """
        lengths = np.asarray(lengths)
        if lengths.size == 0:
            raise InputError(argument("lengths"), "none to learn from", "those of one or more sequences", "give some")
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

    def log_prob(self, lengths: Any, labels: Encoded | None = None) -> np.ndarray:
        """Return log p(length) in nats, or log p(length | label), the shape of `lengths`; -inf for an impossible one.

        Rows whose label is missing have the common law.
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
        """Return `n` lengths that training had, int64 (n,) on the CPU; nothing is drawn where the length is fixed.

        With labels, lengths that sequences of these labels had; of a label that none had, those of all.

        >>> import torch
        >>> lengths = LengthDistribution.fit([2, 7, 7]).sample(100, torch.Generator().manual_seed(0))
        >>> sorted(set(lengths.tolist()))
        [2, 7]
        """
        import torch

        from seqdiff import runtime

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
        """Return the counts (n, L_max) that go with the labels of some rows; the common ones where there are none."""
        assert self.of_labels is not None
        counts = self.of_labels.counts(labels, rows, self.max_length)
        return np.where(counts.sum(-1, keepdims=True) > 0, counts, self.counts)

    def to_dict(self) -> dict[str, Any]:
        """A dict that JSON can hold; `from_dict` reads it back."""
        d: dict[str, Any] = {"counts": self.counts.tolist()}
        return d if self.of_labels is None else d | {"of_labels": self.of_labels.to_dict()}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> LengthDistribution:
        """The distribution that `to_dict` wrote.

        >>> LengthDistribution.from_dict(LengthDistribution.fit([2, 3]).to_dict()).counts.tolist()
        [0, 1, 1]
        """
        given = d.get("of_labels")
        of_labels = None if given is None else (ClassLengths if "classes" in given else NearestLengths).from_dict(given)
        return cls(d["counts"], of_labels)

    def __repr__(self) -> str:
        return f"LengthDistribution(max_length={self.max_length}, fixed={self.fixed})"


class ClassLengths:
    """How often sequences of each class have each length, (C, L_max)."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    @classmethod
    def fit(cls, lengths: np.ndarray, weight: np.ndarray | None, labels: Encoded) -> ClassLengths:
        keep, code = labels["keep"], labels["label"]
        table = np.zeros((int(code[keep].max(initial=0)) + 1, int(lengths.max())))
        np.add.at(table, (code[keep], lengths[keep] - 1), 1.0 if weight is None else weight[keep])
        return cls(table)

    def counts(self, labels: Encoded, rows: np.ndarray, max_length: int) -> np.ndarray:
        return _wide(self.table[np.minimum(labels["label"][rows], len(self.table) - 1)], max_length)

    def to_dict(self) -> dict[str, Any]:
        """Lengths and counts that are not 0, class by class."""
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
    """The lengths of training rows with their labels: those that are next to a value, and of the classes asked for.

    Parameters
    ----------
    lengths : ndarray (M,)
    weight : ndarray (M,)
    label, value, known
        Of these rows; codes (M, c), values (M, v), and which are known (M, c + v), classes first.
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


def _wide(counts: np.ndarray, max_length: int) -> np.ndarray:
    return np.pad(counts, ((0, 0), (0, max_length - counts.shape[1])))


def _pieces(rows: np.ndarray, max_length: int) -> list[np.ndarray]:
    """Return the rows in pieces whose tables fit into memory."""
    size = max(1, PIECE // max_length)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _invert(counts: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the lengths (n, m) at which the distribution functions of counts (n, L) pass u (n, m)."""
    cumulative = np.cumsum(counts, -1)
    found = np.empty(u.shape, dtype=np.int64)
    for i, line in enumerate(cumulative):
        found[i] = 1 + np.searchsorted(line, u[i] * line[-1], side="right")
    return np.minimum(found, 1 + (counts > 0).cumsum(-1).argmax(-1)[:, None])  # the last that has been seen
