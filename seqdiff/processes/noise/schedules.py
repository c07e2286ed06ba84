r"""Schedules: how fast letters are changed on the way from data, t = 0, to noise.

A letter has had no event with probability alpha_t = exp(-Lambda(t)/scale); Lambda is what a rate matrix is multiplied
by, q(x_t | x_0) = expm(Lambda(t) Q), and beta = dLambda/dt is the rate of the process:

    Lambda(t) = -scale log alpha_t,    beta_t = -scale alpha'_t / alpha_t
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.processes.noise.events import Powers, stochastic
from seqdiff.processes.noise.rate_matrices import Forward


class Schedule(nn.Module):
    """Base of the schedules. A subclass defines `total` and `rate`; one that is fitted keeps its table in buffers.

    `scale` is Lambda of alpha = 1/e. A slowly mixing rate matrix needs more than 1 to forget the data by `t_max`.
    """

    t_max: ClassVar[float] = 1.0
    """The last time: below 1 where Lambda(1) is infinite."""

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
        """Return the time (B,) at which Lambda is `total` (B,), in its dtype, by bisection to 1e-12."""
        low, high = torch.zeros_like(total), torch.full_like(total, self.t_max)
        for _ in range(40):
            middle = (low + high) / 2
            early = self.total(middle) < total
            low, high = torch.where(early, middle, low), torch.where(early, high, middle)
        return (low + high) / 2

    def fit_classical(self, forward: Forward, p0: Tensor) -> None:
        """Fit to the information that classical diffusion keeps of letters drawn from p0 (K,); by default nothing."""

    def fit_scud(self, powers: Powers, p0: Tensor) -> None:
        """Fit to the information that SCUD keeps of letters drawn from p0 (K,), given their event counts."""

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
    kept: ClassVar[float] = 0.0
    """alpha at t = 1."""

    def _lost(self, t: Tensor) -> Tensor:
        """Return 1 - alpha_t, below 1 also where float32 has rounded `t_max` to 1."""
        return ((1 - self.kept) * t).clamp_max(1 - torch.finfo(t.dtype).eps)

    def total(self, t: Tensor) -> Tensor:
        return -self.scale * torch.log1p(-self._lost(t))

    def rate(self, t: Tensor) -> Tensor:
        return self.scale * (1 - self.kept) / (1 - self._lost(t))


class LogLinear(Linear):
    """alpha_t = 1 - (1 - eps) t with eps = 1e-3, the log-linear noise of Lou et al. (2024, arXiv 2310.16834)."""

    t_max, kept = 1.0, 1e-3


class Cosine(Schedule):
    """alpha_t = 1 - cos((1 - t) pi/2), up to alpha = 1e-9."""

    t_max = 1 - 2 / math.pi * math.sqrt(2e-9)

    def total(self, t: Tensor) -> Tensor:
        # near t = 0 alpha = 1 - sin(t pi/2), near t = 1 it is 2 sin^2((1 - t) pi/4): each is exact where it is small
        late = -torch.log(2 * torch.sin((1 - t) * (math.pi / 4)) ** 2)
        return self.scale * torch.where(t < 0.5, -torch.log1p(-torch.sin(t * (math.pi / 2))), late)

    def rate(self, t: Tensor) -> Tensor:
        alpha = 2 * torch.sin((1 - t) * (math.pi / 4)) ** 2
        return self.scale * (math.pi / 2) * torch.cos(t * (math.pi / 2)) / alpha


# The mutual-information schedule (Amin et al. 2025, arXiv 2506.08316): the information of a noised letter about the
# clean one falls evenly, M(Lambda(t)) = 1 - t, with M in units of H(x_0):
#
#     classical: M(Lambda) = I(x_0; x_t) / H(x_0),                         x_t ~ expm(Lambda Q)[x_0, .]
#     SCUD:      M(Lambda) = sum_n Poisson(n; Lambda) I(x_0; x_0 K^n) / H(x_0)
#
# x_0 is drawn from a distribution p0 of the letters. M is smooth and falls, so that its inverse is tabulated instead of
# finding roots. Classical: matrices of Lambda 2^(k/24) by repeated squaring, M' analytic. SCUD: the information after n
# events exactly for small n, then for n in a geometric grid, again by squaring; M and M' are Poisson mixtures of it.
#
# log(t/(1 - t)) and log Lambda are nearly straight as functions of each other at either end, so that few nodes suffice.
# The share that is lost, t, and the share that is kept, 1 - t, are sums of positive terms: both keep their digits where
# they are small.

FIRST = 2.0**-48  # of Lambda, in units of the fastest letter's changes: t is then below 1e-12, the smallest in use
BEND = 2.0**-12  # up to here the curve is nearly straight
COARSE, FINE = 4, 24  # nodes in each doubling of Lambda, before and after
LAST = 1e-11  # the share that is kept at the last node; a schedule ends at 1e-9
FORGOTTEN = 32.0  # log lost/kept above which a letter is forgotten
GRID = 16  # event counts in each doubling, beyond the exact ones
ENTRIES_AT_ONCE = 2**19  # entries of matrices looked at together
TINY = 1e-290


def masking_table() -> Tensor:
    """Return the table of Lambda = -log(1 - t), the information about masked letters."""
    total = torch.from_numpy(_grid(-math.log(LAST)))
    return _table(torch.log(torch.expm1(total)), total, -torch.expm1(-total) / total)


def classical_table(forward: Forward, p0: Tensor) -> Tensor:
    """Return nodes log(t/(1 - t)), log Lambda there, and its derivative by the former, (3, N) in float64.

    The clean letters have probabilities p0 (K,), all above 0.
    """
    p0 = checked_distribution(p0, forward.letters)
    rates = forward.rates.detach().cpu().double()
    fastest = float(-rates.diagonal().min())
    entropy = -torch.xlogy(p0, p0).sum()
    columns = []
    for first, last, nodes in ((FIRST, BEND, COARSE), (BEND, math.inf, FINE)):
        total = first / fastest * 2 ** (torch.arange(nodes, dtype=torch.float64) / nodes)
        matrices = stochastic(torch.matrix_exp(total[:, None, None] * rates).clamp_min(0))
        kept = entropy[None]
        while float(total[0]) * fastest < last * (1 - 1e-9) and float(kept[-1] / entropy) > LAST:
            lost, kept, fading = _measure(p0, matrices[:, : len(p0)], rates)
            columns.append((torch.log(lost / kept), total, lost * kept / (entropy * total * fading)))
            total, matrices = 2 * total, stochastic(matrices @ matrices)
    return _table(*(torch.cat(parts) for parts in zip(*columns, strict=True)))


def scud_table(powers: Powers, p0: Tensor) -> Tensor:
    """Return the table of `classical_table` for SCUD: Lambda is the expected number of events, which is known."""
    from scipy.interpolate import CubicSpline
    from scipy.special import expit

    p0 = checked_distribution(p0, powers.states)
    n, odds = _odds_of_events(powers, p0)
    curve = CubicSpline(np.log(n), odds) if len(n) > 1 else lambda x: odds[0] + 0 * x
    largest = n[-1] + 8 * math.sqrt(n[-1]) - math.log(LAST) + 40
    total = _grid(largest)

    # Poisson sums over every sd/4-th n where the distribution is wide, which is as exact as all n
    sd = np.sqrt(total)
    stride = np.maximum(1, np.floor(sd / 4))
    counts = np.maximum(0, np.ceil(total - 12 * sd))[:, None] + stride[:, None] * np.arange(256)
    weight = np.exp(_log_poisson(counts, total[:, None]))
    weight /= weight.sum(1, keepdims=True)
    logit = curve(np.log(counts.clip(1, n[-1])))
    lost, kept = (np.where(counts == 0, none, expit(sign * logit)) for none, sign in ((0.0, 1), (1.0, -1)))
    growth = weight * (counts / total[:, None] - 1)  # the derivative of the weight
    t, left = (weight * lost).sum(1), (weight * kept).sum(1)
    fading = np.where(t < 0.5, (growth * lost).sum(1), -(growth * kept).sum(1))
    use = (left > LAST) & (fading > 0)
    columns = (np.log(t / left)[use], total[use], (t * left / (total * fading))[use])
    return _table(*(torch.from_numpy(column) for column in columns))


def checked_distribution(p0: Tensor, letters: int) -> Tensor:
    """Return the distribution of the letters, (K,) in float64, or raise an `InputError`."""
    p = torch.as_tensor(p0, dtype=torch.float64).detach().cpu()
    if p.shape != (letters,) or not bool((p > 0).all()) or abs(float(p.sum()) - 1) > 1e-6:
        found = f"shape {tuple(p.shape)}, smallest entry {float(p.min()):g} and sum {float(p.sum()):g}"
        raise InputError("p0", found, f"{letters} probabilities above 0 with sum 1", "give these")
    return p / p.sum()


def _odds_of_events(powers: Powers, p0: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of events, from 1 until the letter is forgotten, and log lost/kept after each."""
    n = torch.arange(1, max(2 * GRID, len(powers.first)))
    matrices = powers.first[1:].cpu() if len(powers.first) > len(n) else powers(n).cpu()
    counts, odds = [], []
    while True:
        lost, kept, _ = _measure(p0, matrices)
        counts.append(n)
        odds.append(torch.log(lost / kept.clamp_min(TINY)))
        if float(odds[-1][-1]) > FORGOTTEN:
            break
        if int(n[-1]) > 2**60:
            found, wanted = "events by which letters never forget where they were", "rates by which they do"
            cure = f"give a {argument('gamma')} above 0, such as 0.1, or rates by which letters change sooner"
            raise InputError(argument("forward"), found, wanted, cure)
        if len(counts) == 1:  # the upper half of the exact ones, thinned, is doubled repeatedly
            few = slice(len(n) // 2, None, (len(n) + 1) // (2 * GRID))
            n, matrices = n[few], matrices[few]
        n, matrices = 2 * n, stochastic(matrices @ matrices)
    count, logit = torch.cat(counts).double().numpy(), torch.cat(odds).numpy()
    end = int(np.argmax(logit > FORGOTTEN)) + 1
    return count[:end], logit[:end]


def _measure(p0: Tensor, transition: Tensor, rates: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return H(x_0 | x), I(x_0; x) and -dI/dLambda for matrices P(x | x_0) (N, K, S), (N,) nats each.

    With q the distribution of x, both are sums of positive terms: I = sum p0 [P log(P/q) - P + q], and in H letters
    that did not change have log(1 + came/own), came the mass from other letters. I' = sum p0 (P Q) log(P/q).
    """
    if (size := max(1, ENTRIES_AT_ONCE // transition[0].numel())) < len(transition):
        parts = [_measure(p0, part, rates) for part in transition.split(size)]
        lost, kept, fading = (torch.cat(part) for part in zip(*parts, strict=True))
        return lost, kept, fading
    joint = p0[:, None] * transition
    own = joint.diagonal(dim1=1, dim2=2).clone()  # (N, K)
    joint.diagonal(dim1=1, dim2=2).zero_()
    came = joint.sum(1)  # (N, S)
    q = came.clone()
    q[:, : len(p0)] += own
    ratio = transition / q.clamp_min(TINY)[:, None]
    near = (ratio - 1).abs() < 0.5
    log_ratio = torch.where(near, torch.log1p(torch.where(near, ratio - 1, 0)), ratio.clamp_min(TINY).log())
    lost = (own * torch.log1p(came[:, : len(p0)] / own.clamp_min(TINY))).sum(1)
    lost = lost - (joint * (log_ratio + p0.log()[:, None])).sum((1, 2))
    kept = (p0[:, None] * (transition * log_ratio - transition + q[:, None])).sum((1, 2))
    fading = torch.zeros_like(kept)
    if rates is not None:
        fading = -(p0[:, None] * (transition @ rates) * log_ratio).sum((1, 2))
    return lost, kept, fading


def _grid(largest: float) -> np.ndarray:
    """Return values of Lambda, evenly spaced in its logarithm before and after the bend."""
    start, bend, end = (math.log2(x) for x in (FIRST, BEND, largest))
    after = np.arange(math.ceil((end - bend) * FINE) + 1) / FINE
    return 2 ** np.concatenate([np.arange(start, bend, 1 / COARSE), bend + after])


def _log_poisson(n: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return log Poisson(n; mean), without the difference of large numbers in n log(mean) - log(n!)."""
    from scipy.special import gammaln

    excess = np.maximum(n / mean - 1, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = mean * (np.where(n > 0, (1 + excess) * np.log1p(excess), 0) - excess)
        small, large = n.clip(1, 1e3), n.clip(1e3)
        stirling = np.where(
            n < 1e3,
            gammaln(small + 1) - small * np.log(small) + small,
            0.5 * np.log(2 * np.pi * large) + 1 / (12 * large),
        )
    return -distance - np.where(n > 0, stirling, 0)


def _table(odds: Tensor, total: Tensor, slope: Tensor) -> Tensor:
    """Return the nodes as a table along which odds and Lambda rise, with slopes by which the cubics rise too."""
    rises = odds > torch.cat([odds.new_full((1,), -torch.inf), odds.cummax(0).values[:-1]])
    odds, log_total, slope = odds[rises], total.log()[rises], slope[rises]
    secant = log_total.diff() / odds.diff()
    steepest = 3 * torch.minimum(torch.cat([secant[:1], secant]), torch.cat([secant, secant[-1:]]))
    return torch.stack([odds, log_total, torch.minimum(slope, steepest)])


class MutualInformation(Schedule):
    """A letter keeps the share 1 - t of the information about itself: M(Lambda(t)) = 1 - t, up to M = 1e-9.

    A table of log Lambda at nodes of log(t/(1 - t)), with cubics between them that have the exact slopes. It is saved
    with the model and read back, never fitted again. Before it is fitted it is that of masked letters,
    Lambda = -log(1 - t). `scale` has no effect: the table contains the rates.

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
        """Return log Lambda, its derivative by log(t/(1 - t)), and t clamped to where that logarithm is finite."""
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
    """Return a schedule by its name, or raise an `InputError`."""
    if name not in SCHEDULES:
        raise InputError(argument("schedule"), shown(name), listed(SCHEDULES), "give one of these")
    return SCHEDULES[name](scale)
