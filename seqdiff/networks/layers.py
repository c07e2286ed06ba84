"""Parts that the networks share: the denoiser's interface, input, time and condition embeddings."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conditions(NamedTuple):
    """What a network may be told beside the sequence: sizes, 0 where there is none.

    Parameters
    ----------
    classes : int
        Number of classes of ``cond["label"]`` (B,).
    values : int
        Number of columns of ``cond["value"]`` (B, c).
    channels : int
        Number of channels of ``cond["signal"]`` (B, L, c).
    """

    classes: int = 0
    values: int = 0
    channels: int = 0


class InputAdapter(nn.Module):
    """Embed tokens (B, L), or vectors (B, L, D) such as points of a simplex, with one and the same weight."""

    def __init__(self, states: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(states, width))

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.weight.dtype) @ self.weight if x.is_floating_point() else F.embedding(x, self.weight)


class TimeEmbedding(nn.Module):
    """Sinusoids of a time in [0, 1] or of event counts, then two linear layers.

    Times (B,) give (B, 1, width), counts (B, L) give (B, L, width).
    """

    def __init__(self, width: int, scale: float = 1000.0) -> None:
        super().__init__()
        half = width // 2
        self.register_buffer(
            "frequencies", scale * torch.exp(-math.log(10_000) * torch.arange(half) / half), persistent=False
        )
        self.mlp = nn.Sequential(nn.Linear(2 * half, width), nn.SiLU(), nn.Linear(width, width))

    frequencies: Tensor

    def forward(self, t: Tensor) -> Tensor:
        t = t[:, None] if t.ndim == 1 else t
        angles = t[..., None].to(self.frequencies.dtype) * self.frequencies
        return self.mlp(torch.cat([angles.sin(), angles.cos()], -1))


class ConditionEmbedding(nn.Module):
    """Embed a condition: (B, 1, width) for a label or values, (B, L, width) where a signal is added.

    A row whose ``keep`` is False, or no condition at all, gets one learned vector, the null label of classifier-free
    guidance (Ho & Salimans 2022, arXiv 2207.12598).
    """

    def __init__(self, conditions: Conditions, width: int) -> None:
        super().__init__()
        self.null = nn.Parameter(torch.zeros(width))
        self.label = nn.Embedding(conditions.classes, width) if conditions.classes else None
        self.value = (
            nn.Sequential(nn.Linear(conditions.values, width), nn.SiLU(), nn.Linear(width, width))
            if conditions.values
            else None
        )
        self.signal = nn.Linear(conditions.channels, width) if conditions.channels else None

    def forward(self, cond: dict[str, Tensor] | None, rows: int) -> Tensor:
        if cond is None:
            return self.null.expand(rows, 1, -1)
        parts = []
        if self.label is not None:
            parts.append(self.label(cond["label"])[:, None])
        if self.value is not None:
            parts.append(self.value(cond["value"].to(self.null.dtype))[:, None])
        if self.signal is not None:
            parts.append(self.signal(cond["signal"].to(self.null.dtype)))
        return torch.where(cond["keep"][:, None, None], sum(parts, torch.zeros_like(self.null)), self.null)


class Network(nn.Module):
    """The interface of a denoiser: ``forward(x, t, cond, mask) -> logits (B, L, K)`` is ``head(hidden(...))``.

    A subclass calls ``super().__init__`` with the first five arguments below, adds parameters of its own with
    defaults, and fills in `hidden` and `head`.

    Parameters
    ----------
    states : int
        Values that an input position takes, or the dimension of an input vector.
    letters : int
        K, the letters predicted.
    length : int
        The longest sequence.
    conditions : Conditions
    fixed_length : bool
        Whether all sequences have that length, so that a place in it means the same in all.
    """

    def __init__(self, states: int, letters: int, length: int, conditions: Conditions, fixed_length: bool) -> None:
        super().__init__()
        self.states, self.letters, self.length = states, letters, length
        self.conditions, self.fixed_length = conditions, fixed_length

    def hidden(self, x: Tensor, t: Tensor, cond: dict[str, Tensor] | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the last hidden states (B, L, width)."""
        raise NotImplementedError

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits (B, L, K)."""
        raise NotImplementedError

    def forward(
        self, x: Tensor, t: Tensor, cond: dict[str, Tensor] | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.head(self.hidden(x, t, cond, mask))

    def start_at(self, log_frequencies: Tensor) -> None:
        """Begin training from the letter frequencies (L, K) of the data, where a network can; by default it cannot."""
