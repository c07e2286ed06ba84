"""No noise at all: sequences as they are, for what is learned from them without a generator."""

from __future__ import annotations

import torch
from torch import Tensor

from seqdiff.processes.base import Process, State
from seqdiff.runtime import Generators


class Clean(Process[State]):
    """Letters that are never noised; there is nothing to sample, and the time is always 0.

    Examples
    --------
    >>> x0, mask = torch.tensor([[0, 2]]), torch.ones(1, 2, dtype=torch.bool)
    >>> Clean(4).noised(x0, torch.tensor([0.7]), mask, torch.Generator()).x.tolist()
    [[0, 2]]
    """

    classifier_reads = "letters"

    def noised(self, x0: Tensor, u: Tensor, mask: Tensor, generator: Generators) -> State:
        return State(x0, torch.zeros(len(x0), device=x0.device), mask)
