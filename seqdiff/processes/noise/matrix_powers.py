r"""Powers of a transition matrix: what n events of a rate matrix Q do to a letter (Amin et al. 2025, arXiv 2506.08316).

An event comes at the rate r and applies K; n of them apply K^n:

    r = max_i(-Q_ii) / (1 - gamma),    K = 1 + Q/r,    sum_n Poisson(n; Lambda) K^n = expm(Lambda Q / r)

K^n is put together from the digits of n: a table of the first T powers, and K^T, K^2T, K^4T, ... by repeated squaring.
All terms of these sums are positive, so that every entry, however small, keeps its digits, none is ever negative or
complex, and detailed balance is not needed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqdiff.errors import InputError, argument, shown
from seqdiff.processes.noise.rate_matrices import Forward
from seqdiff.runtime import waits

TABLE = 2**21  # numbers, 16 MB
LONGEST = 1024  # powers
MIXED = 1e-14
GATHERED = 8  # letters up to which a matrix per position is cheap


class Powers(nn.Module):
    """K^n for any n, with lookups for small n and log n small products for others.

    Parameters
    ----------
    one : array
        K (S, S): rows that sum to 1.
    stationary : array
        (S,), the distribution that K leaves as it is.
    rate : float
        r: events per unit of the time in which Q is written.

    Attributes
    ----------
    one, stationary, rate
        The same, the first two as buffers in float64.
    states : int
        S.

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

    def __init__(self, one: Any, stationary: Any, rate: float) -> None:
        super().__init__()
        self.rate = float(rate)
        k = torch.as_tensor(np.asarray(one), dtype=torch.float64)
        self.states = len(k)
        # No buffer is saved: they are made again from the rate matrix.
        self._keep("one", k)
        self._keep("stationary", torch.as_tensor(np.asarray(stationary), dtype=torch.float64))
        size = int(min(LONGEST, max(2, TABLE // self.states**2)))
        first, power = torch.eye(self.states, dtype=torch.float64)[None], _stochastic(k)  # K^0 .. and K^len(first)
        while 2 * len(first) <= size:
            first, power = torch.cat([first, _stochastic(first @ power)]), _stochastic(power @ power)
        squares = [power]
        # From here on rows are all the same; K^n of any n beyond is this one.
        while _spread(squares[-1]) > MIXED and len(first) << len(squares) < 2**62:
            squares.append(_stochastic(squares[-1] @ squares[-1]))
        self._keep("first", first)  # (T, S, S): K^0, ..., K^(T-1)
        self._keep("squares", torch.stack(squares))  # (J, S, S): K^T, K^2T, K^4T, ...
        self.last = len(first) << (len(squares) - 1)

    def _keep(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values, persistent=False)

    def _split(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """Return n modulo T and n divided by T, flat."""
        n = n.reshape(-1).clamp(0, self.last)
        return n % len(self.first), n // len(self.first)

    def _times(self, result: Tensor, high: Tensor, transposed: bool = False) -> Tensor:
        """Return rows (N, ..., S) times K^(T high), one product for each binary digit of `high` (N,)."""
        squares = self.squares.mT if transposed else self.squares
        if waits(high.device):  # every digit there is, in every row: it is not asked which of them occur
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
        """Return K^n[x, :]: the distribution (*n.shape, S) of a letter n events after x, for n and x of one shape."""
        low, high = self._split(n)
        return self._times(self.first[low, x.reshape(-1)], high).reshape(*n.shape, self.states)

    def columns(self, n: Tensor, x: Tensor) -> Tensor:
        """Return K^n[:, x]: how likely each letter n events ago makes x, (*n.shape, S), n and x of one shape."""
        low, high = self._split(n)
        return self._times(self.first[low, :, x.reshape(-1)], high, True).reshape(*n.shape, self.states)

    def mix(self, w: Tensor, n: Tensor) -> Tensor:
        """Return sum_k w_k K^n[k, :], (*n.shape, S), for weights w (*n.shape, S)."""
        low, high = self._split(n)
        result = w.reshape(-1, self.states).to(self.one.dtype, copy=True)
        if self.states <= GATHERED:
            result = (result[:, None] @ self.first[low])[:, 0]
        elif waits(w.device):  # a matrix per position, so many at a time as the memory is for
            size = max(1, TABLE // self.states**2) * 8
            parts = zip(result.split(size), low.split(size), strict=True)
            result = torch.cat([(weights[:, None] @ self.first[powers])[:, 0] for weights, powers in parts])
        else:  # one product per number of events: nothing of the size of n.numel() matrices
            for power in low.unique().tolist():
                rows = (low == power).nonzero()[:, 0]
                result[rows] = result[rows] @ self.first[power]
        return self._times(result, high).reshape(*n.shape, self.states)


def events_per_time(forward: Forward, gamma: float) -> float:
    """Return r = max_i(-Q_ii)/(1 - gamma), or raise a ValueError where gamma is not in [0, 1)."""
    if not 0 <= gamma < 1:
        wanted = "a number of at least 0 and below 1"
        raise InputError(argument("gamma"), shown(gamma), wanted, "give such a number")
    fastest = float(-forward.rates.diagonal().min())
    return fastest / (1 - gamma) if forward.states > 1 else 1.0


def one_event(forward: Forward, rate: float) -> np.ndarray:
    """Return K = 1 + Q/r (S, S), none of it below 0, not even by rounding."""
    rates = forward.rates.detach().cpu().double().numpy()
    one = (rates - np.diag(np.diag(rates))) / rate
    return one + np.diag((1 - one.sum(1)).clip(0))


def make_powers(forward: Forward, gamma: float) -> Powers:
    """Return the powers of K = 1 + Q/r.

    Parameters
    ----------
    forward : Forward
        The rate matrix Q, of `make_forward`.
    gamma : float
        From 0, where a letter of the largest rate changes in each event, to below 1.

    Raises
    ------
    ValueError
        If gamma is out of range, if the forward process is absorbing, or if K goes round in a circle for ever.

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
            f"{gamma:g} for rates by which a letter is back only after a multiple of {circle} events",
            "a number above 0, without which letters never forget where they were", "give one, such as 0.1",
        )  # fmt: skip
    return Powers(one, forward.stationary.detach().cpu().double().numpy(), r)


def period(one: np.ndarray) -> int:
    """Return the greatest common divisor of the lengths of all ways back to a letter; above 1 K never mixes.

    K then has further eigenvalues of modulus 1: -1 where the period is 2.

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


def _stochastic(matrix: Tensor) -> Tensor:
    """Return the matrix with rows that sum to 1 to the last digit: else squaring would double what is missing."""
    return matrix / matrix.sum(-1, keepdim=True)


def _spread(matrix: Tensor) -> float:
    """Return the largest difference of two rows, relative to the entries."""
    high, low = matrix.amax(0), matrix.amin(0)
    return float(((high - low) / high.clamp_min(1e-300)).max())
