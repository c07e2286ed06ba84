r"""Events of a rate matrix Q: their counts, and powers of the matrix that one applies (arXiv 2506.08316).

An event comes at the rate r and applies K; n of them apply K^n:

    r = max_i(-Q_ii) / (1 - gamma),    K = 1 + Q/r,    sum_n Poisson(n; Lambda) K^n = expm(Lambda Q / r)

K^n is the product of the binary digits of n: a table of the first T powers, and K^T, K^2T, K^4T, ... by repeated
squaring. All terms of these sums are positive, so that every entry, however small, keeps its digits, none is ever
negative or complex, and detailed balance is not needed.

Counts invert the distribution function at one uniform number each, so that a draw takes as many random numbers as it
has entries: the noise of a row does not depend on the rows drawn with it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from seqdiff.errors import InputError, argument, shown
from seqdiff.processes.noise.importance_sampling import evenly
from seqdiff.processes.noise.rate_matrices import Forward
from seqdiff.runtime import Generators, in_float64, uniform, waits

TABLE = 2**21  # numbers in the table of powers, 16 MB
LONGEST = 1024  # powers in it
MIXED = 1e-14  # spread of equal rows
GATHERED = 8  # letters up to which a matrix per position is cheap


class Powers(nn.Module):
    """K^n for any n, with lookups for small n and log n small products for others.

    Parameters
    ----------
    one : array
        K (S, S): rows that sum to 1. Like `stationary` kept as a buffer in float64.
    stationary : array
        (S,), the distribution that K leaves as it is.
    rate : float
        r: events per unit of time of Q.

    Examples
    --------
    >>> powers = Powers([[0.9, 0.1], [0.2, 0.8]], [2 / 3, 1 / 3], rate=0.2)
    >>> powers(torch.tensor([0, 2]))[1].round(decimals=6).tolist()
    [[0.83, 0.17], [0.34, 0.66]]
    """

    one: Tensor
    stationary: Tensor
    first: Tensor
    squares: Tensor

    def __init__(self, one: ArrayLike, stationary: ArrayLike, rate: float) -> None:
        super().__init__()
        self.rate = float(rate)
        k = torch.as_tensor(np.asarray(one), dtype=torch.float64)
        self.states = len(k)
        self._keep("one", k)
        self._keep("stationary", torch.as_tensor(np.asarray(stationary), dtype=torch.float64))
        size = int(min(LONGEST, max(2, TABLE // self.states**2)))
        first, power = torch.eye(self.states, dtype=torch.float64)[None], stochastic(k)  # K^0 .. and K^len(first)
        while 2 * len(first) <= size:
            first, power = torch.cat([first, stochastic(first @ power)]), stochastic(power @ power)
        squares = [power]
        # where all rows are the same, K^n of any larger n is this matrix
        while _spread(squares[-1]) > MIXED and len(first) << len(squares) < 2**62:
            squares.append(stochastic(squares[-1] @ squares[-1]))
        self._keep("first", first)  # (T, S, S): K^0, ..., K^(T-1)
        self._keep("squares", torch.stack(squares))  # (J, S, S): K^T, K^2T, K^4T, ...
        self.last = len(first) << (len(squares) - 1)

    def _keep(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values, persistent=False)  # not saved: computed from the rate matrix

    def _split(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """Return n modulo T and n divided by T, flat."""
        n = n.reshape(-1).clamp(0, self.last)
        return n % len(self.first), n // len(self.first)

    def _times(self, result: Tensor, high: Tensor, transposed: bool = False) -> Tensor:
        """Return rows (N, ..., S) times K^(T high), one product for each binary digit of `high` (N,)."""
        squares = self.squares.mT if transposed else self.squares
        if waits(high.device):  # every digit in every row: asking which of them occur would wait for the device
            for j, square in enumerate(squares):
                digit = ((high >> j) & 1).bool().view(-1, *[1] * (result.ndim - 1))
                result = torch.where(digit, result @ square, result)
            return result
        for j in range(int(high.max()).bit_length() if len(high) else 0):
            rows = ((high >> j) & 1).nonzero()[:, 0]
            result[rows] = result[rows] @ squares[j]
        return result

    def forward(self, n: Tensor) -> Tensor:
        """Return K^n, (*n.shape, S, S), for whole numbers n; one below 0 counts as 0."""
        low, high = self._split(n)
        return self._times(self.first[low], high).reshape(*n.shape, self.states, self.states)

    def rows(self, n: Tensor, x: Tensor) -> Tensor:
        """Return K^n[x, :], the distribution (*n.shape, S) of a letter n events after x, for n and x of one shape."""
        low, high = self._split(n)
        return self._times(self.first[low, x.reshape(-1)], high).reshape(*n.shape, self.states)

    def columns(self, n: Tensor, x: Tensor) -> Tensor:
        """Return K^n[:, x], the likelihoods (*n.shape, S) of the letters n events before x, n and x of one shape."""
        low, high = self._split(n)
        return self._times(self.first[low, :, x.reshape(-1)], high, True).reshape(*n.shape, self.states)

    def mix(self, w: Tensor, n: Tensor) -> Tensor:
        """Return sum_k w_k K^n[k, :], (*n.shape, S), for weights w (*n.shape, S)."""
        low, high = self._split(n)
        result = w.reshape(-1, self.states).to(self.one.dtype, copy=True)
        if self.states <= GATHERED:
            result = (result[:, None] @ self.first[low])[:, 0]
        elif waits(w.device):  # a matrix per position, as many at a time as the memory allows
            size = max(1, TABLE // self.states**2) * 8
            parts = zip(result.split(size), low.split(size), strict=True)
            result = torch.cat([(weights[:, None] @ self.first[powers])[:, 0] for weights, powers in parts])
        else:  # one product per number of events, without n.numel() matrices in memory
            for power in low.unique().tolist():
                rows = (low == power).nonzero()[:, 0]
                result[rows] = result[rows] @ self.first[power]
        return self._times(result, high).reshape(*n.shape, self.states)


def events_per_time(forward: Forward, gamma: float) -> float:
    """Return r = max_i(-Q_ii)/(1 - gamma), or raise an `InputError` where gamma is not in [0, 1)."""
    if not 0 <= gamma < 1:
        wanted = "a number of at least 0 and below 1"
        raise InputError(argument("gamma"), shown(gamma), wanted, "give such a number")
    fastest = float(-forward.rates.diagonal().min())
    return fastest / (1 - gamma) if forward.states > 1 else 1.0


def one_event(forward: Forward, rate: float) -> np.ndarray:
    """Return K = 1 + Q/r (S, S), no entry below 0, not even by rounding."""
    rates = forward.rates.detach().cpu().double().numpy()
    one = (rates - np.diag(np.diag(rates))) / rate
    return one + np.diag((1 - one.sum(1)).clip(0))


def make_powers(forward: Forward, gamma: float) -> Powers:
    """Return the powers of K = 1 + Q/r for gamma in [0, 1); at 0 the fastest letter changes in each event.

    An absorbing forward process, or a periodic K, raises an `InputError`.

    Examples
    --------
    >>> from seqdiff.processes.noise.rate_matrices import make_forward
    >>> make_powers(make_forward("uniform", "ACGT"), gamma=0.25).one[0].round(decimals=6).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    r = events_per_time(forward, gamma)
    if forward.states != forward.letters:
        share = float(f"{1 / forward.letters:.4g}")
        raise InputError(
            argument("forward"), "'absorbing'",
            "rates with a stationary distribution over the letters, from which SCUD starts",
            f"for masking give {argument('forward', 'uniform')} with {argument('gamma', share)}, 1 over the number of "
            "letters",
        )  # fmt: skip
    one = one_event(forward, r)
    if (circle := period(one)) > 1:
        raise InputError(
            argument("gamma"),
            f"{gamma:g} for rates by which a letter returns only after a multiple of {circle} events",
            "a number above 0, without which letters never forget where they were", "give one, such as 0.1",
        )  # fmt: skip
    return Powers(one, forward.stationary.detach().cpu().double().numpy(), r)


def period(one: np.ndarray) -> int:
    """Return the period of the chain K: above 1 it never mixes.

    It is the greatest common divisor of the lengths of all paths from a letter to itself. Above 1 K has further
    eigenvalues of modulus 1: -1 where the period is 2.

    Examples
    --------
    >>> period(np.array([[0.0, 1.0], [1.0, 0.0]])), period(np.array([[0.0, 1.0], [0.5, 0.5]]))
    (2, 1)
    """
    steps = one > 0
    np.fill_diagonal(steps, np.diag(one) > 1e-12)  # less is rounding
    level = np.full(len(one), -1)
    level[0], reached, circle = 0, np.array([0]), 0
    for distance in range(1, len(one) + 1):
        reached = np.flatnonzero(steps[reached].any(0) & (level < 0))
        level[reached] = distance
    for i, j in np.argwhere(steps):
        circle = math.gcd(circle, int(level[i] + 1 - level[j]))
        if circle == 1:
            break
    return max(circle, 1)


def stochastic(matrix: Tensor) -> Tensor:
    """Return the matrix with rows that sum to 1 to the last digit: squaring doubles what is missing."""
    return matrix / matrix.sum(-1, keepdim=True)


def _spread(matrix: Tensor) -> float:
    """Return the largest difference of two rows, relative to the entries."""
    high, low = matrix.amax(0), matrix.amin(0)
    return float(((high - low) / high.clamp_min(1e-300)).max())


def poisson(rate: Tensor, length: int, generator: Generators, *, least: int = 0, most: float | None = None) -> Tensor:
    """Return Poisson counts (B, length), int64, of the rates (B,), given that they are not below `least`.

    Without `most`, a bound of the rates, their range is read from the device, which has to be waited for.
    """
    u = uniform((len(rate), length), generator, rate.device)
    rate = in_float64(rate)
    n = _around(rate, rate, width=None if most is None or not waits(u.device) else _width(most))
    log_p = torch.xlogy(n, rate[:, None]) - torch.lgamma(n + 1)
    log_p = torch.log_softmax(log_p.masked_fill(n < least, -torch.inf), -1)
    rows = torch.arange(len(rate), device=rate.device)[:, None].expand(-1, length)
    return _invert(log_p, n, rows, u).to(u.device)


def thinned(counts: Tensor, share: float, generator: Generators, *, spread: bool = False) -> Tensor:
    """Return the events left of `counts` (B, L), int64 (B, L), where each stays with probability `share`.

    With `spread` the positions that lose events are far apart (`evenly`).
    """
    u = uniform(tuple(counts.shape), generator, counts.device)
    if spread:
        start = uniform((len(counts), 1), generator, counts.device)
        lost = 1 - share ** counts.to(u.dtype)  # the probability that some events go; fewer are left where u is small
        u = torch.where(evenly(lost, start), u * lost, lost + u * (1 - lost))
    different, which = torch.unique(counts, return_inverse=True)
    total = in_float64(different.to(u.dtype))[:, None]
    mean = total[:, 0] * share
    n = _around(mean, mean * (1 - share), float(different[-1]))
    chosen = torch.lgamma(total + 1) - torch.lgamma(n + 1) - torch.lgamma((total - n).clamp_min(0) + 1)
    stay, go = torch.tensor([share, 1 - share], dtype=total.dtype, device=total.device)
    log_p = chosen + torch.xlogy(n, stay) + torch.xlogy((total - n).clamp_min(0), go)
    return _invert(log_p.masked_fill(n > total, -torch.inf), n, which, u).to(u.device)


def _around(mean: Tensor, variance: Tensor, most: float = math.inf, width: int | None = None) -> Tensor:
    """Return the whole numbers, at most `most`, near enough to the means (R,) to have any probability.

    (R, N), or (1, N) where those of all rows begin at 0; N is the `width` where that is given.
    """
    reach = 12 * variance.sqrt() + 30
    first = (mean - reach).floor().clamp_min(0)
    if width is None:
        width = math.ceil(float(((mean + reach).clamp_max(most) - first).max())) + 1
        first = first if first.any() else first[:1]
    return first[:, None] + torch.arange(width, device=mean.device, dtype=mean.dtype)


def _width(most: float) -> int:
    """Return the largest number of whole numbers near a mean, and variance, of at most `most`."""
    reach = 12 * math.sqrt(most) + 30
    return math.ceil(most + reach - max(0.0, most - reach - 1)) + 1


def _invert(log_p: Tensor, n: Tensor, rows: Tensor, u: Tensor) -> Tensor:
    """Return the first of the n (R, N) whose distribution function, log_p (R, N) in row `rows`, exceeds u."""
    cumulative = log_p.exp().cumsum(-1)
    cumulative = cumulative / cumulative[:, -1:]
    # one sorted line for all rows: row i lies in [2i, 2i + 1]
    start = 2.0 * torch.arange(len(log_p), device=log_p.device, dtype=log_p.dtype)
    line = (cumulative + start[:, None]).flatten()
    u, rows = u.to(line.device, line.dtype), rows.to(line.device)
    found = torch.searchsorted(line, start[rows] + u, right=True) - rows * log_p.shape[-1]
    last = (log_p > -torch.inf).long().cumsum(-1).argmax(-1)  # the largest n that is possible
    return n.long().expand_as(log_p)[rows, torch.minimum(found, last[rows])]
