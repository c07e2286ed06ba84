"""The law of lengths: how long a sequence is, before which letters it has.

p(length) is add-one smoothed over 1..L_max,

    p(l) = (count(l) + 1) / (N + L_max),    l = 1..L_max,

and exactly 1 where all training lengths are equal. Longer sequences have probability 0 (log-probability -inf).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


class LengthLaw:
    """Distribution of sequence lengths.

    Parameters
    ----------
    counts : array of int, shape (L_max,)
        How many training sequences have length 1, 2, ..., L_max; the last is not 0.

    Attributes
    ----------
    max_length : int
    fixed : bool
        All training lengths are equal: the length costs nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdiff.data import LengthLaw
    >>> law = LengthLaw.fit([2, 3, 3])
    >>> np.exp(law.log_prob([1, 2, 3, 4])).round(4).tolist()  # (0+1)/(3+3), (1+1)/6, (2+1)/6, 0
    [0.1667, 0.3333, 0.5, 0.0]
    >>> LengthLaw.fit([50, 50]).log_prob([50, 49]).tolist()
    [0.0, -inf]
    """

    def __init__(self, counts: Any):
        counts = np.asarray(counts, dtype=np.int64)
        if counts.ndim != 1 or not len(counts) or counts.min() < 0 or counts[-1] == 0:
            raise ValueError("a length law takes the counts of lengths 1..L_max, none negative and the last not 0")
        self.counts = counts
        self.max_length = len(counts)
        self.fixed = bool((counts > 0).sum() == 1)

    @classmethod
    def fit(cls, lengths: Any) -> LengthLaw:
        """The law of the given training lengths, array of int, shape (N,).

        Raises
        ------
        ValueError
            If there are none, or one is smaller than 1.
        """
        lengths = np.asarray(lengths)
        if lengths.size == 0:
            raise ValueError("no lengths to learn from; at least one sequence is wanted")
        if lengths.min() < 1:
            raise ValueError(f"a length of {lengths.min()} was found; sequences have at least one letter")
        return cls(np.bincount(lengths.astype(np.int64).ravel())[1:])

    @property
    def probabilities(self) -> np.ndarray:
        """p(1), ..., p(L_max), shape (L_max,)."""
        smoothed = (self.counts > 0).astype(float) if self.fixed else self.counts + 1.0
        return smoothed / smoothed.sum()

    def log_prob(self, lengths: Any) -> np.ndarray:
        """log p(length) in nats, the shape of `lengths`; -inf for an impossible length."""
        lengths = np.asarray(lengths, dtype=np.int64)
        table = np.zeros(self.max_length + 2)  # index 0 and L_max + 1: impossible
        table[1:-1] = self.probabilities
        with np.errstate(divide="ignore"):
            return np.log(table)[np.clip(lengths, 0, self.max_length + 1)]

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """`n` lengths, an int64 tensor of shape (n,) on the CPU; nothing is drawn where the length is fixed.

        >>> import torch
        >>> LengthLaw.fit([2, 3, 3]).sample(4, torch.Generator().manual_seed(0)).shape
        torch.Size([4])
        """
        import torch

        if self.fixed:
            return torch.full((n,), self.max_length, dtype=torch.int64)
        exact = torch.float32 if generator.device.type == "mps" else torch.float64
        u = torch.rand(n, generator=generator, device=generator.device, dtype=exact).cpu().double()
        cumulative = torch.from_numpy(np.cumsum(self.probabilities))
        return 1 + torch.searchsorted(cumulative, u, right=True).clamp_(max=self.max_length - 1)

    def to_dict(self) -> dict[str, Any]:
        """A dict that JSON can hold; `from_dict` reads it back."""
        return {"counts": self.counts.tolist()}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> LengthLaw:
        """The law that `to_dict` wrote."""
        return cls(d["counts"])

    def __repr__(self) -> str:
        return f"LengthLaw(max_length={self.max_length}, fixed={self.fixed})"
