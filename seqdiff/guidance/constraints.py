r"""Constraints: the letters that a sample may have at each position, as a mask on p(x0 | x_t), and forbidden motifs.

A template's mask makes each letter fit, whatever the letters drawn before are worth then; `LookAhead` weighs particles
to make up for it. A motif is forbidden by giving no probability to a letter that would complete one. Where letters are
written one at a time, and then stay, a sample holds one only if several motifs left no letter for a place; where many
are written at once, these may make one together. Samples do not follow the model's distribution given that the motifs
are absent: a beginning that leaves no good end is written as often as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.guidance.base import Cond, FittedModel, Guidance, Hook, StepContext
from seqdiff.processes.base import Process, State


class Template(Guidance):
    """Allow only some letters at each position; every sample then satisfies it exactly.

    The distribution of the samples depends on the input that the process can give its network (`Process.given`):

    - letters that stand in the state from the start (masked diffusion, SCUD), and every template of a flow on the
      simplex: p(x | template), as accurately as the process samples p(x);
    - everywhere else, and for sets of letters in masked diffusion and SCUD, the mask acts on the prediction of the
      clean letters at every step. Free letters are drawn before the network reads the fixed ones: the template is
      satisfied, but the samples do not follow p(x | template). `LookAhead` weighs particles to make up for it.

    Parameters
    ----------
    allowed : Tensor
        Booleans (L, K), at least one True in each row; or (n, L, K), a template for each sample.
    lengths : Tensor, optional
        (n,) letters of each sample, for a process that draws an end token, letter number K: it is then drawn behind the
        last letter and not before.
    longest : int, optional
        With `lengths`: the length at which there is no end token any more.
    """

    def __init__(self, allowed: Tensor, lengths: Tensor | None = None, longest: int = 0) -> None:
        self.allowed, self.lengths, self.longest = allowed, lengths, longest
        if lengths is None:
            self.log_allowed = torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, -torch.inf)

    def of_rows(self, rows: Tensor) -> Tensor:
        """Return what samples number `rows` (B,) may hold, booleans (L, K) or (B, L, K), the end token included."""
        allowed = self.allowed if self.allowed.ndim == 2 else self.allowed[rows]
        if self.lengths is None:
            return allowed
        return ended(allowed, self.lengths[rows], min(int(self.lengths.max()) + 1, self.longest))

    def take(self, rows: Tensor) -> Template:
        return Template(self.of_rows(rows))

    def start(self, process: Process[Any], state: State) -> State:
        return process.given(state, self.log_allowed.expand(*state.mask.shape, -1))[0]

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        return self.masked(predict(context))

    def masked(self, log_p0: Tensor) -> Tensor:
        """Return a prediction (B, L, K) under the template."""
        log_p0 = log_p0 + self.log_allowed
        # where the network gives no probability at all to the allowed letters, they are equally likely
        total = torch.logsumexp(log_p0, -1, keepdim=True)
        return torch.where(total.isfinite(), log_p0 - total, self.log_allowed)


def ended(allowed: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Return a template with the end token, booleans (B, width, K + 1), for sequences of these lengths (B,).

    Parameters
    ----------
    allowed : Tensor
        Booleans (L, K) or (B, L, K): letters, no end token.
    lengths : Tensor
        (B,) letters of each sequence; behind them the end token, and then anything.
    width : int
        Positions, at most one more than the longest has.
    """
    n, (length, letters) = len(lengths), allowed.shape[-2:]
    position, lengths = torch.arange(width, device=allowed.device), lengths[:, None]
    found = torch.ones(n, width, letters + 1, dtype=torch.bool, device=allowed.device)
    found[:, : min(length, width), :letters] = allowed[..., :width, :]
    found[..., :letters] |= (position > lengths)[..., None]
    found[..., :letters] &= (position != lengths)[..., None]
    found[..., letters] = position >= lengths
    return found


class Avoid(Guidance):
    """Keep motifs from being completed; for processes that write letters for good, of no effect on others.

    Parameters
    ----------
    patterns : sequence of arrays
        (m, K) booleans, the letters of a motif at each of its positions.
    allowed : Tensor, optional
        Booleans (L, K), or (n, L, K): a template. Letters without a choice count as written.
    """

    def __init__(self, patterns: Sequence[np.ndarray | Tensor], allowed: Tensor | None = None) -> None:
        self.patterns = [torch.as_tensor(np.ascontiguousarray(p) if isinstance(p, np.ndarray) else p) for p in patterns]
        self.allowed = allowed

    def bind(self, model: FittedModel, n: int, cond: Cond) -> Guidance:
        return self.replaced(patterns=[pattern.to(model.device) for pattern in self.patterns])

    def take(self, rows: Tensor) -> Guidance:
        return self if self.allowed is None or self.allowed.ndim == 2 else self.replaced(allowed=self.allowed[rows])

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        log_p, process, state = kernel(context), context.process, context.state
        known = process.written(state)
        if known is None:
            return log_p
        blocked = self.completing(state.x, known, process.real(state), process.letters)
        allowed = log_p.clone()
        allowed[..., : process.letters].masked_fill_(blocked, -torch.inf)
        # where every letter would complete a motif, one has to: such a sample is rejected later
        possible = (allowed > -torch.inf).any(-1, keepdim=True)
        return torch.log_softmax(torch.where(possible, allowed, log_p), -1)

    def completing(self, x: Tensor, known: Tensor, real: Tensor, letters: int) -> Tensor:
        """Return booleans (B, L, K), True for the letters that would complete a motif, whatever is written later.

        Of the letters x (B, L) those `known` (B, L) are written; positions `real` (B, L) are to have one.
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
