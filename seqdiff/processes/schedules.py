r"""Schedules: how fast letters are changed on the way from data, t = 0, to noise.

A letter has had no event with probability alpha_t = exp(-Lambda(t)/scale); Lambda is what a rate matrix is multiplied
by, q(x_t | x_0) = expm(Lambda(t) Q), and beta = dLambda/dt is the rate of the process:

    Lambda(t) = -scale log alpha_t,    beta_t = -scale alpha'_t / alpha_t
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn


class Schedule(nn.Module):
    """Base of the schedules. A subclass gives `total` and `rate`; one that was fitted keeps its table in buffers.

    Parameters
    ----------
    scale : float
        Lambda of alpha = 1/e. A slowly mixing rate matrix needs more than 1 to forget the data by `t_max`.
    """

    t_max: ClassVar[float] = 1.0
    """Where the process ends: below 1 where Lambda(1) is infinite."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def total(self, t: Tensor) -> Tensor:
        """Return Lambda(t), of the shape of t."""
        raise NotImplementedError

    def rate(self, t: Tensor) -> Tensor:
        """Return beta_t = dLambda/dt, of the shape of t."""
        raise NotImplementedError

    @property
    def largest(self) -> float:
        """Lambda(t_max)."""
        return float(self.total(torch.tensor(self.t_max, dtype=torch.float64)))


class Linear(Schedule):
    """alpha_t = 1 - t, up to alpha = 1e-9.

    Examples
    --------
    >>> Linear().total(torch.tensor([0.0, 0.5])).tolist()
    [0.0, 0.6931471824645996]
    """

    t_max = 1 - 1e-9

    def total(self, t: Tensor) -> Tensor:
        return -self.scale * torch.log1p(-t)

    def rate(self, t: Tensor) -> Tensor:
        return self.scale / (1 - t)


class Cosine(Schedule):
    """alpha_t = 1 - cos((1 - t) pi/2), up to alpha = 1e-9.

    Examples
    --------
    >>> Cosine().total(torch.tensor([0.5], dtype=torch.float64)).round(decimals=6).tolist()
    [1.227947]
    """

    t_max = 1 - 2 / math.pi * math.sqrt(2e-9)

    def total(self, t: Tensor) -> Tensor:
        # Near t = 0 alpha = 1 - sin(t pi/2), near t = 1 it is 2 sin^2((1 - t) pi/4): each is exact where it is small.
        late = -torch.log(2 * torch.sin((1 - t) * (math.pi / 4)) ** 2)
        return self.scale * torch.where(t < 0.5, -torch.log1p(-torch.sin(t * (math.pi / 2))), late)

    def rate(self, t: Tensor) -> Tensor:
        alpha = 2 * torch.sin((1 - t) * (math.pi / 4)) ** 2
        return self.scale * (math.pi / 2) * torch.cos(t * (math.pi / 2)) / alpha


class LogLinear(Schedule):
    """alpha_t = 1 - (1 - eps) t with eps = 1e-3, the log-linear noise of Lou et al. (2024, arXiv 2310.16834).

    Examples
    --------
    >>> round(LogLinear().largest, 6)
    6.907755
    """

    keep: ClassVar[float] = 1e-3

    def total(self, t: Tensor) -> Tensor:
        return -self.scale * torch.log1p(-(1 - self.keep) * t)

    def rate(self, t: Tensor) -> Tensor:
        return self.scale * (1 - self.keep) / (1 - (1 - self.keep) * t)


SCHEDULES: dict[str, type[Schedule]] = {"linear": Linear, "cos": Cosine, "log-linear": LogLinear}


def make_schedule(name: str, scale: float = 1.0) -> Schedule:
    """Return a schedule by its name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule={name!r} is not known; give one of {', '.join(map(repr, SCHEDULES))}")
    return SCHEDULES[name](scale)
