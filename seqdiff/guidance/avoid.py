"""Forbidden words kept out while sampling: no letter is written that would complete one.

Where letters are written one at a time, and then stay, a sample holds one only if several words left no letter for a
place; where many are written at once, these may make one together. What it makes is not the model's law given that the
words are absent: a beginning that leaves no good end is written as often as before.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.guidance.base import Cond, Guidance, Predict
from seqdiff.processes import Autoregressive, Masked, Process, State


class Avoid(Guidance):
    """Keep words from being completed; for processes that write letters for good, of no effect on others.

    Parameters
    ----------
    patterns : sequence of arrays
        (m, K) booleans, the letters of a word at each of its positions.
    allowed : Tensor, optional
        Booleans (L, K), or (n, L, K): a template. What it leaves no choice about counts as written.
    """

    def __init__(self, patterns: Sequence[np.ndarray], allowed: Tensor | None = None) -> None:
        self.patterns = [torch.from_numpy(np.ascontiguousarray(pattern)) for pattern in patterns]
        self.allowed = allowed

    def bind(self, model: Any, n: int, cond: Cond) -> Guidance:
        bound = copy.copy(self)
        device = next(model.objective_.parameters()).device
        bound.patterns = [pattern.to(device) for pattern in self.patterns]
        bound.process = model.objective_.process
        return bound

    def take(self, rows: Tensor) -> Guidance:
        if self.allowed is None or self.allowed.ndim == 2:
            return self
        part = copy.copy(self)
        part.allowed = self.allowed[rows]
        return part

    process: Process

    def kernel(self, kernel: Predict, state: State, cond: Cond, target: Any, generator: Any) -> Tensor:
        log_p = kernel(cond)
        known = written(self.process, state)
        if known is None:
            return log_p
        still_open = state.extra.get("open")
        real = state.mask if still_open is None else state.mask | still_open[:, None]
        blocked = self.completing(state.x, known, real)
        allowed = log_p.clone()
        allowed[..., : self.process.letters].masked_fill_(blocked, -torch.inf)
        # where every letter would complete a word, one has to: such a sample is thrown away later
        possible = (allowed > -torch.inf).any(-1, keepdim=True)
        return torch.log_softmax(torch.where(possible, allowed, log_p), -1)

    def completing(self, x: Tensor, known: Tensor, real: Tensor) -> Tensor:
        """Return which letters (B, L, K) would complete a word, whatever the letters not yet written will be.

        Letters `known` (B, L) are written, positions `real` (B, L) are to have one.
        """
        letters, length = self.process.letters, x.shape[1]
        has = F.one_hot(x.clamp_max(letters - 1), letters).bool() & known[..., None]
        blocked = torch.zeros_like(has)
        may_be = torch.ones_like(has) if self.allowed is None else self.allowed.expand_as(has)
        may_be = torch.where(known[..., None], has, may_be)
        for pattern in self.patterns:
            m = len(pattern)
            if m > length:
                continue
            other = (may_be.unfold(1, m, 1) & ~pattern.T).any(2)  # (B, L - m + 1, m): the word may not be here
            fits = real.unfold(1, m, 1) & ~other
            nearly = fits.sum(-1) == m - 1
            for j in range(m):
                here = nearly & ~fits[..., j] & ~known[:, j : j + length - m + 1]
                blocked[:, j : j + length - m + 1] |= here[..., None] & pattern[j]
        return blocked


@singledispatch
def written(process: Process, state: State) -> Tensor | None:
    """Return which letters of a state stay as they are, (B, L); None where any may change."""
    return None


@written.register
def _(process: Autoregressive, state: State) -> Tensor:
    return torch.arange(state.x.shape[1], device=state.x.device) < state.t[:, None]


@written.register
def _(process: Masked, state: State) -> Tensor:
    return (state.x != process.letters) & state.mask
