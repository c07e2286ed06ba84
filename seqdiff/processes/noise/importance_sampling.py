r"""Integrals over time by the number of letters that noise has changed, on which their integrands depend most.

Let each of L positions be touched with probability a, independently, and a run from 0 to 1. With D the loss per unit
of a,

    int_0^1 E[D] da = sum_k 1/k E[a D | k touched],    a | k ~ Beta(k, L - k + 1)

(k from 1; where nothing is touched a ~ Beta(1, L + 1) with the weight 1/(L + 1)). Where D is about k/a, as near the
data, all terms are of one size: k is drawn in strata, and the estimate has no heavy tail of 1/a.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from seqdiff.runtime import Generators, uniform

EARLIEST_TIME = 1e-30  # of a: a float32 uniform is 0 once in 2^24 times


def smallest(keys: Tensor, count: Tensor) -> Tensor:
    """Return booleans (B, L), True at the `count` (B,) smallest `keys` (B, L) of each row."""
    rank = keys.argsort(stable=True, dim=-1).argsort(-1)
    return rank < count[:, None]


def at_rank(keys: Tensor, count: Tensor) -> Tensor:
    """Return the `count`-th smallest of `keys` (B, L) in each row, counted from 1; 0 where `count` is 0."""
    found = keys.sort(-1).values.gather(-1, (count - 1).clamp_min(0)[:, None]).squeeze(-1)
    return torch.where(count > 0, found, torch.zeros_like(found))


def whole_between(cumulative: Tensor, start: Tensor) -> Tensor:
    """Return booleans (B, L), True where a whole number lies between start + cumulative_(l-1) and start + cumulative_l.

    `cumulative` (B, L) does not fall, `start` (B, 1) is in [0, 1).
    """
    return torch.diff(torch.floor(cumulative + start), dim=-1, prepend=torch.zeros_like(start)) > 0


def evenly(p: Tensor, start: Tensor) -> Tensor:
    """Return booleans (B, L), True with probabilities p (B, L), such that the positions that are True are far apart.

    Systematic sampling (Madow 1949) with `start` (B, 1) uniform in [0, 1). In any stretch of positions the number of
    those that are True differs from its mean by less than 1; where the sum of p is below 1, at most one is True.

    Examples
    --------
    >>> evenly(torch.full((1, 8), 0.25), torch.tensor([[0.5]])).int().tolist()
    [[0, 1, 0, 0, 0, 1, 0, 0]]
    """
    return whole_between(p.cumsum(-1), start) | (p >= 1)  # in long sequences rounding might miss a certain one


class Stratum(NamedTuple):
    """A draw of a and of the letters that are touched; the mean of exp(log_weight) D is the integral."""

    a: Tensor  # (B,) the probability of being touched
    log_alpha: Tensor  # (B,) log(1 - a), exact however close to 1 a is
    where: Tensor  # booleans (B, L), True where a letter is touched
    log_weight: Tensor  # (B,)


def touched(u: Tensor, mask: Tensor, generator: Generators, *, untouched: bool = False) -> Stratum:
    """Draw a, the number of touched letters and which of the real positions `mask` (B, L) they are.

    u (B,) in [0, 1) is the stratum of the number; with `untouched` it may be 0, as D is not 0 there.
    """
    length = mask.sum(-1)
    fewest = 0 if untouched else 1
    k = fewest + torch.minimum((u * (length + 1 - fewest)).long(), length - fewest)
    # the times at which letters are touched: at the k-th, k of them are; padding never is
    times = uniform(tuple(mask.shape), generator, mask.device).masked_fill(~mask, 2.0)
    a = at_rank(times, k).clamp_min(EARLIEST_TIME)
    weight = (length + 1 - fewest) * a / k.clamp_min(1)
    if untouched:  # Beta(1, L + 1) from the first of L moments, which is Beta(1, L)
        before = -torch.expm1(torch.log1p(-times.amin(-1)) * length / (length + 1))
        a, weight = torch.where(k == 0, before.clamp_min(EARLIEST_TIME), a), torch.where(k == 0, 1.0, weight)
    return Stratum(a, torch.log1p(-a), smallest(times, k), weight.log())


SPREAD_FROM = 0.5  # jumps per letter from which `spread` draws evenly: before, few letters have any


def spread(u: Tensor, mask: Tensor, generator: Generators, most: float, *, untouched: bool = False) -> Stratum:
    """Draw as `touched` does in half of the rows; in the others -log_alpha evenly on a logarithmic scale, up to `most`.

    For noise by which letters jump many times before they are forgotten: of L strata `touched` has one for all that
    happens after each letter has jumped. With the densities q1 and q2 of the two ways relative to that of the letters
    given a, k/(a L) and the one of a, the weight is that of their mixture, 1/(q1/2 + q2/2), whichever was drawn
    (Veach & Guibas 1995, doi 10.1145/218380.218498).

    u (B,) in [0, 1): below 1/2 the stratum of `touched`, above that of the logarithm.
    """
    near = touched((2 * u) % 1, mask, generator, untouched=untouched)
    times = uniform(tuple(mask.shape), generator, mask.device).to(near.a.dtype)
    scale = math.log(most / SPREAD_FROM)
    jumps = SPREAD_FROM * torch.exp(((2 * u) % 1).to(near.a.dtype) * scale)
    early = u < 0.5
    log_alpha = torch.where(early, near.log_alpha, -jumps)
    a = -torch.expm1(log_alpha)
    where = torch.where(early[:, None], near.where, (times < a[:, None]) & mask)
    k, length = where.sum(-1), mask.sum(-1)
    log_q1 = torch.log(k / (a * (length + untouched)))
    log_q1 = torch.where(k == 0, 0.0 if untouched else -torch.inf, log_q1)
    log_q2 = -torch.log(-log_alpha * scale) - log_alpha
    log_q2 = torch.where((-log_alpha >= SPREAD_FROM) & (-log_alpha <= most * (1 + 1e-6)), log_q2, -torch.inf)
    return Stratum(a, log_alpha, where, math.log(2) - torch.logaddexp(log_q1, log_q2))


LEAST_Y = 1e-16  # of y below


def latest(power: float, length: int) -> float:
    """Return a bound of -log_alpha of the strata of `late` for sequences of at most `length` letters."""
    return -power * math.log(LEAST_Y) + math.log(length) + 1


def late(stratum: Stratum, mask: Tensor, power: float) -> Stratum:
    """Return the stratum with more of its draws near a = 1, where every letter is touched, and less weight there.

    For integrands that grow there, like 1/(1 - a) where few draws are not 0. y = 1 - a^L, which is uniform among draws
    with L touched letters, is raised to `power`.
    """
    length = mask.sum(-1)
    every = (stratum.where | ~mask).all(-1)
    y = -torch.expm1(length * torch.log(stratum.a))
    log_y = torch.log(y.clamp(LEAST_Y, 1 - torch.finfo(y.dtype).eps))
    stretched = power * log_y
    # 1 - a = 1 - (1 - y)^(1/L); for tiny y that is y/L
    alpha = -torch.expm1(torch.log1p(-stretched.exp().clamp_min(1e-12)) / length)
    log_alpha = torch.where(stretched < -25, stretched - torch.log(length), alpha.log())
    a = -torch.expm1(log_alpha)
    more = math.log(power) + (power - 1) * log_y + torch.log(a / stratum.a)
    return Stratum(
        torch.where(every, a, stratum.a),
        torch.where(every, log_alpha, stratum.log_alpha),
        stratum.where,
        torch.where(every, stratum.log_weight + more, stratum.log_weight),
    )
