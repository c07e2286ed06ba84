"""The exponential moving average of the weights, which validates, scores and samples."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class MovingAverage(Generic[Module]):
    """A copy of a module whose parameters follow the original's, ema <- d ema + (1 - d) original.

    d grows as (1 + n)/(10 + n) after n updates up to `decay`, so that short runs are not averaged with their noise.

    Parameters
    ----------
    module : nn.Module
    decay : float
        0 keeps the copy equal to the original.
    """

    def __init__(self, module: Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self._ours: list[Tensor] = list(self.module.parameters())
        self._theirs: list[Tensor] = list(module.parameters())
        self._buffers = list(zip(self.module.buffers(), module.buffers(), strict=True))

    @torch.no_grad()
    def update(self, n: int) -> None:
        """Take in the original's parameters after its n-th update."""
        decay = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self._ours, self._theirs, 1 - decay)

    @torch.no_grad()
    def copy_buffers(self) -> None:
        """Take over the original's buffers, which are statistics already; needed before the copy is used or saved."""
        for ours, theirs in self._buffers:
            ours.copy_(theirs)
