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

from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.processes.noise.matrix_powers import Powers
from seqdiff.processes.noise.mutual_information import classical_table, masking_table, scud_table
from seqdiff.processes.noise.rate_matrices import Forward


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

    @torch.no_grad()
    def time(self, total: Tensor) -> Tensor:
        """Return the time (B,) at which Lambda is `total` (B,), in its dtype, by bisection to 1e-12.

        Examples
        --------
        >>> Linear().time(Linear().total(torch.tensor([0.25], dtype=torch.float64))).round(decimals=9).tolist()
        [0.25]
        """
        low, high = torch.zeros_like(total), torch.full_like(total, self.t_max)
        for _ in range(40):
            middle = (low + high) / 2
            early = self.total(middle) < total
            low, high = torch.where(early, middle, low), torch.where(early, high, middle)
        return (low + high) / 2

    def fit_classical(self, forward: Forward, p0: Tensor) -> None:
        """Fit to what classical diffusion forgets of letters drawn from p0 (K,); most schedules need no fitting."""

    def fit_scud(self, powers: Powers, p0: Tensor) -> None:
        """Fit to what SCUD forgets of letters drawn from p0 (K,), given their event counts."""

    @property
    def largest(self) -> float:
        """Lambda(t_max)."""
        return float(self.total(torch.tensor(self.t_max, dtype=torch.float64)))


def _below_one(t: Tensor) -> Tensor:
    """Return t, less than 1 also where float32 has rounded `t_max` to it."""
    return t.clamp_max(1 - torch.finfo(t.dtype).eps)


class Linear(Schedule):
    """alpha_t = 1 - t, up to alpha = 1e-9.

    Examples
    --------
    >>> Linear().total(torch.tensor([0.0, 0.5])).tolist()
    [0.0, 0.6931471824645996]
    """

    t_max = 1 - 1e-9

    def total(self, t: Tensor) -> Tensor:
        return -self.scale * torch.log1p(-_below_one(t))

    def rate(self, t: Tensor) -> Tensor:
        return self.scale / (1 - _below_one(t))


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


class MutualInformation(Schedule):
    """A letter keeps the share 1 - t of the information about itself: M(Lambda(t)) = 1 - t, up to M = 1e-9.

    A table of log Lambda at nodes of log(t/(1 - t)), with a cubic between two nodes that has the exact slopes there
    (processes/information.py). It is saved with the model and read back, never fitted again. Before it is fitted it is
    that of letters that are masked, Lambda = -log(1 - t). `scale` means nothing here: the table knows the rates.

    Examples
    --------
    >>> from seqdiff.processes.noise.rate_matrices import make_forward
    >>> schedule = MutualInformation()
    >>> schedule.fit_classical(make_forward("uniform", "ACGT"), torch.full((4,), 0.25))
    >>> schedule.total(torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)).round(decimals=4).tolist()
    [0.0242, 0.2182, 0.8385]
    """

    t_max = 1 - 1e-9
    table: Tensor

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale)
        self.register_buffer("table", masking_table())

    def fit_classical(self, forward: Forward, p0: Tensor) -> None:
        self.table = classical_table(forward, p0).to(self.table)

    def fit_scud(self, powers: Powers, p0: Tensor) -> None:
        self.table = scud_table(powers, p0).to(self.table)

    def _cubic(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log Lambda, its derivative by log(t/(1 - t)), and t within the numbers that have such a logarithm."""
        limits = torch.finfo(self.table.dtype)
        t = t.to(self.table.dtype).clamp(limits.tiny, 1 - limits.eps)
        odds = t.log() - torch.log1p(-t)
        nodes, values, slopes = self.table
        inside = odds.clamp(nodes[0], nodes[-1])
        i = torch.searchsorted(nodes, inside.contiguous()).clamp(1, len(nodes) - 1)
        h = nodes[i] - nodes[i - 1]
        s = (inside - nodes[i - 1]) / h
        first, last = slopes[i - 1] * h, slopes[i] * h
        rise = values[i] - values[i - 1]
        # y0 + s first + s^2 (3 rise - 2 first - last) + s^3 (first + last - 2 rise)
        square, cube = 3 * rise - 2 * first - last, first + last - 2 * rise
        slope = (first + s * (2 * square + s * 3 * cube)) / h
        value = values[i - 1] + s * (first + s * (square + s * cube))
        return value + slope * (odds - inside), slope, t  # a straight line beyond the last nodes

    def total(self, t: Tensor) -> Tensor:
        log_total = self._cubic(t)[0]
        return torch.where(t > 0, log_total.exp(), 0).to(t.dtype)

    def rate(self, t: Tensor) -> Tensor:
        log_total, slope, inner = self._cubic(t)
        return (slope * torch.exp(log_total - inner.log() - torch.log1p(-inner))).to(t.dtype)

    @property
    def largest(self) -> float:
        return float(self.total(torch.tensor(self.t_max, dtype=self.table.dtype, device=self.table.device)))

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        saved = state_dict.get(prefix + "table")
        if saved is not None and saved.ndim == 2 and len(saved) == 3 and saved.shape != self.table.shape:
            self.table = self.table.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


SCHEDULES: dict[str, type[Schedule]] = {
    "linear": Linear,
    "cos": Cosine,
    "log-linear": LogLinear,
    "mutual_information": MutualInformation,
}


def make_schedule(name: str, scale: float = 1.0) -> Schedule:
    """Return a schedule by its name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in SCHEDULES:
        raise InputError(argument("schedule"), shown(name), listed(SCHEDULES), "give one of these")
    return SCHEDULES[name](scale)
