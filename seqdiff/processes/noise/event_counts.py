r"""Numbers of events: Poisson counts, and what is left of counts when each event stays with some probability.

Both invert the distribution function at one uniform number each, so that a draw takes as many random numbers as it has
entries, whatever comes out: the noise of a row does not depend on the rows drawn with it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqdiff.runtime import Generators, in_float64, uniform, waits


def poisson(rate: Tensor, length: int, generator: Generators, *, least: int = 0, most: float | None = None) -> Tensor:
    """Return Poisson counts (B, length), int64, of the rates (B,), given that they are not below `least`.

    A device has to be waited for to learn how far they may reach, unless a bound of the rates is given as `most`.

    Examples
    --------
    >>> poisson(torch.tensor([0.0, 50.0]), 3, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """
    u = uniform((len(rate), length), generator, rate.device)
    rate = in_float64(rate)
    n = _around(rate, rate, width=None if most is None or not waits(u.device) else _width(most))
    log_p = torch.xlogy(n, rate[:, None]) - torch.lgamma(n + 1)
    log_p = torch.log_softmax(log_p.masked_fill(n < least, -torch.inf), -1)
    rows = torch.arange(len(rate), device=rate.device)[:, None].expand(-1, length)
    return _invert(log_p, n, rows, u).to(u.device)


def thinned(counts: Tensor, share: float, generator: Generators) -> Tensor:
    """Return how many of `counts` (B, L) events are left where each stays with probability `share`, int64 (B, L).

    Examples
    --------
    >>> thinned(torch.tensor([[0, 5, 9]]), 1.0, torch.Generator().manual_seed(0)).tolist()
    [[0, 5, 9]]
    """
    u = uniform(tuple(counts.shape), generator, counts.device)
    different, which = torch.unique(counts, return_inverse=True)
    total = in_float64(different.to(u.dtype))[:, None]
    mean = total[:, 0] * share
    n = _around(mean, mean * (1 - share), float(different[-1]))
    chosen = torch.lgamma(total + 1) - torch.lgamma(n + 1) - torch.lgamma((total - n).clamp_min(0) + 1)
    stay, go = torch.tensor([share, 1 - share], dtype=total.dtype, device=total.device)
    log_p = chosen + torch.xlogy(n, stay) + torch.xlogy((total - n).clamp_min(0), go)
    return _invert(log_p.masked_fill(n > total, -torch.inf), n, which, u).to(u.device)


def _around(mean: Tensor, variance: Tensor, most: float = math.inf, width: int | None = None) -> Tensor:
    """Return the whole numbers, at most `most`, that are not too far from the means (R,) to have any probability.

    (R, N), or (1, N) where those of all rows begin at 0; N is the `width` where that is given.
    """
    reach = 12 * variance.sqrt() + 30
    first = (mean - reach).floor().clamp_min(0)
    if width is not None:
        return first[:, None] + torch.arange(width, device=mean.device, dtype=mean.dtype)
    width = math.ceil(float(((mean + reach).clamp_max(most) - first).max())) + 1
    first = first if first.any() else first[:1]
    return first[:, None] + torch.arange(width, device=mean.device, dtype=mean.dtype)


def _width(most: float) -> int:
    """Return how many whole numbers are not too far from any mean, and variance, of at most `most`."""
    reach = 12 * math.sqrt(most) + 30
    return math.ceil(most + reach - max(0.0, most - reach - 1)) + 1


def _invert(log_p: Tensor, n: Tensor, rows: Tensor, u: Tensor) -> Tensor:
    """Return the first of the n (R, N) whose distribution function, log_p (R, N) in row `rows`, exceeds u."""
    cumulative = log_p.exp().cumsum(-1)
    cumulative = cumulative / cumulative[:, -1:]
    # One sorted line for all rows: row i lies in [2i, 2i + 1].
    start = 2.0 * torch.arange(len(log_p), device=log_p.device, dtype=log_p.dtype)
    line = (cumulative + start[:, None]).flatten()
    u, rows = u.to(line.device, line.dtype), rows.to(line.device)
    found = torch.searchsorted(line, start[rows] + u, right=True) - rows * log_p.shape[-1]
    last = (log_p > -torch.inf).long().cumsum(-1).argmax(-1)  # the largest n that is possible
    return n.long().expand_as(log_p)[rows, torch.minimum(found, last[rows])]
