"""Templates: letters that a sample may have at each position, as a mask on p(x0 | x_t)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from seqdiff.guidance.base import Cond, Guidance, Predict


class Template(Guidance):
    """Allow only some letters at each position; every sample then satisfies it exactly.

    The mask acts on the prediction of the clean letters at every step, so the other positions see the fixed ones
    coming. Satisfied is not the same as drawn from the model's law given the template: positions are predicted
    one by one, and what a diffusion has noised is not told which letters are certain until they appear.

    Parameters
    ----------
    allowed : Tensor
        Booleans (L, K), at least one True in each row; or (n, L, K), a template for each sample.
    """

    def __init__(self, allowed: Tensor) -> None:
        self.log_allowed = torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, -torch.inf)

    def take(self, rows: Tensor) -> Template:
        if self.log_allowed.ndim == 2:
            return self
        part = copy.copy(self)
        part.log_allowed = self.log_allowed[rows]
        return part

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        log_p0 = predict(cond) + self.log_allowed
        # A network may have ruled out, to the last bit, all that is allowed: then what is allowed is equally likely.
        total = torch.logsumexp(log_p0, -1, keepdim=True)
        return torch.where(total.isfinite(), log_p0 - total, self.log_allowed)
