"""Templates: letters that a sample may have at each position, as a mask on p(x0 | x_t)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from seqdiff.guidance.base import Cond, Guidance, Predict


class Template(Guidance):
    """Allow only some letters at each position; every sample then satisfies it exactly.

    Which distribution is sampled depends on what the process can show its network (`Process.given`):

    - letters that stand in the state from the start (masked diffusion, SCUD) and all that is said to a flow on the
      simplex: p(x | template), as well as the process samples p(x);
    - everywhere else, and for sets of letters in masked diffusion and SCUD, the mask acts on the prediction of the
      clean letters at every step. Free letters are drawn before they have seen what is fixed: the template is
      satisfied, but the samples do not follow p(x | template). `LookAhead` weighs particles to make up for it.

    Parameters
    ----------
    allowed : Tensor
        Booleans (L, K), at least one True in each row; or (n, L, K), a template for each sample.
    lengths : Tensor, optional
        (n,) letters of each sample, for a process that draws an end token, letter number K: the template then says that
        it is drawn behind the last letter and not before.
    longest : int, optional
        With `lengths`: the length at which there is no end token any more.
    """

    log_allowed: Tensor

    def __init__(self, allowed: Tensor, lengths: Tensor | None = None, longest: int = 0) -> None:
        self.allowed, self.lengths, self.longest = allowed, lengths, longest
        if allowed.ndim == 2 and lengths is None:
            self.log_allowed = _log(allowed)

    def take(self, rows: Tensor) -> Template:
        if self.allowed.ndim == 2 and self.lengths is None:
            return self
        part = copy.copy(self)
        allowed = self.allowed if self.allowed.ndim == 2 else self.allowed[rows]
        if self.lengths is not None:
            width = min(int(self.lengths.max()) + 1, self.longest)
            allowed = ended(allowed, self.lengths[rows], width)
        part.log_allowed = _log(allowed)
        return part

    def start(self, process: Any, state: Any) -> Any:
        return process.given(state, self.log_allowed.expand(*state.mask.shape, -1))[0]

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        log_p0 = predict(cond) + self.log_allowed
        # A network may have ruled out, to the last bit, all that is allowed: then what is allowed is equally likely.
        total = torch.logsumexp(log_p0, -1, keepdim=True)
        return torch.where(total.isfinite(), log_p0 - total, self.log_allowed)


def ended(allowed: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Return what is allowed of K letters and the end token, (B, width, K + 1), in sequences of these lengths (B,).

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


def _log(allowed: Tensor) -> Tensor:
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, -torch.inf)
