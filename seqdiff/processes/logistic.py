r"""The logistic parameterisation of ordered letters (Austin et al. 2021, arXiv 2107.03006, appendix A.8).

The network says where on the line of K letters it expects one, and how surely: letter i has the probability that a
logistic law of location m and scale s puts between i - 1/2 and i + 1/2, the first and the last letter all beyond:

    p_i = sigma((i + 1/2 - m)/s) - sigma((i - 1/2 - m)/s) = sigma(a_i) sigma(-b_i) (1 - exp(-1/s))
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.processes.base import Cond, Denoiser, S
from seqdiff.processes.categorical import CategoricalProcess

NARROWEST = 1e-2  # of s, in letters


def logistic_log_probs(location: Tensor, scale: Tensor, letters: int) -> Tensor:
    """Return log p_i, (..., K), of logistic laws cut into letters.

    Parameters
    ----------
    location, scale : Tensor
        (...), in letters; the first letter lies at 0.
    letters : int
        K.

    Examples
    --------
    >>> location, scale = torch.tensor([1.0, 0.5], dtype=torch.float64)
    >>> logistic_log_probs(location, scale, 3).exp().round(decimals=4).tolist()
    [0.2689, 0.4621, 0.2689]
    """
    if letters == 1:
        return torch.zeros_like(location)[..., None]
    scale = scale[..., None]
    edges = torch.arange(letters - 1, device=location.device, dtype=location.dtype) + 0.5
    z = (edges - location[..., None]) / scale  # (..., K - 1), where neighbours meet
    below, above = F.logsigmoid(z), F.logsigmoid(-z)  # log of what lies on either side of an edge
    between = below[..., 1:] + above[..., :-1] + torch.log(-torch.expm1(-1 / scale))
    return torch.cat([below[..., :1], between, above[..., -1:]], -1)


class Logistic(CategoricalProcess[S]):
    """Mixed into a process in front of its class: the network gives two numbers per position instead of K logits."""

    @property
    def outputs(self) -> int:
        return 2

    def context(self, denoiser: Denoiser, state: S, cond: Cond) -> Tensor:
        location, scale = super().context(denoiser, state, cond).unbind(-1)
        # in units of the whole alphabet, around its middle
        middle = (self.letters - 1) / 2
        return logistic_log_probs(
            middle + self.letters * location, NARROWEST + self.letters * F.softplus(scale), self.letters
        )


def logistic_start(log_frequencies: Tensor) -> Tensor:
    """Return the two numbers (L, 2) whose law has the mean and spread of letter frequencies (L, K)."""
    p, k = log_frequencies.exp(), log_frequencies.shape[-1]
    i = torch.arange(k, dtype=p.dtype, device=p.device)
    mean = (p * i).sum(-1)
    spread = ((p * (i - mean[:, None]) ** 2).sum(-1)).sqrt()
    scale = (spread * 3**0.5 / torch.pi / k).clamp_min(1e-3)  # a logistic law's standard deviation is pi s/sqrt(3)
    return torch.stack([(mean - (k - 1) / 2) / k, torch.log(torch.expm1(scale))], -1)
