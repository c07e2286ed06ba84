"""Forbidden motifs kept out while sampling: no letter is written that would complete one.

Where letters are written one at a time, and then stay, a sample holds one only if several motifs left no letter for a
place; where many are written at once, these may make one together. What it makes is not the model's distribution given
that the motifs are absent: a beginning that leaves no good end is written as often as before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.guidance.base import Cond, FittedModel, Guidance, Hook, StepContext


class Avoid(Guidance):
    """Keep motifs from being completed; for processes that write letters for good, of no effect on others.

    Parameters
    ----------
    patterns : sequence of arrays
        (m, K) booleans, the letters of a motif at each of its positions.
    allowed : Tensor, optional
        Booleans (L, K), or (n, L, K): a template. What it leaves no choice about counts as written.
    """

    def __init__(self, patterns: Sequence[np.ndarray | Tensor], allowed: Tensor | None = None) -> None:
        self.patterns = [torch.as_tensor(np.ascontiguousarray(p) if isinstance(p, np.ndarray) else p) for p in patterns]
        self.allowed = allowed

    def bind(self, model: FittedModel, n: int, cond: Cond) -> Guidance:
        return Avoid([pattern.to(model.device) for pattern in self.patterns], self.allowed)

    def take(self, rows: Tensor) -> Guidance:
        if self.allowed is None or self.allowed.ndim == 2:
            return self
        return Avoid(self.patterns, self.allowed[rows])

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        log_p, process, state = kernel(context), context.process, context.state
        known = process.written(state)
        if known is None:
            return log_p
        blocked = self.completing(state.x, known, process.real(state), process.letters)
        allowed = log_p.clone()
        allowed[..., : process.letters].masked_fill_(blocked, -torch.inf)
        # where every letter would complete a motif, one has to: such a sample is thrown away later
        possible = (allowed > -torch.inf).any(-1, keepdim=True)
        return torch.log_softmax(torch.where(possible, allowed, log_p), -1)

    def completing(self, x: Tensor, known: Tensor, real: Tensor, letters: int) -> Tensor:
        """Return which of K letters (B, L, K) would complete a motif, whatever the letters not yet written will be.

        Letters `known` (B, L) are written, positions `real` (B, L) are to have one.
        """
        length = x.shape[1]
        has = F.one_hot(x.clamp_max(letters - 1), letters).bool() & known[..., None]
        blocked = torch.zeros_like(has)
        may_be = torch.ones_like(has) if self.allowed is None else self.allowed.expand_as(has)
        may_be = torch.where(known[..., None], has, may_be)
        for pattern in self.patterns:
            m = len(pattern)
            if m > length:
                continue
            other = (may_be.unfold(1, m, 1) & ~pattern.T).any(2)  # (B, L - m + 1, m): the motif may not be here
            fits = real.unfold(1, m, 1) & ~other
            nearly = fits.sum(-1) == m - 1
            for j in range(m):
                here = nearly & ~fits[..., j] & ~known[:, j : j + length - m + 1]
                blocked[:, j : j + length - m + 1] |= here[..., None] & pattern[j]
        return blocked
