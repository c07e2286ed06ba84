r"""How much a noised letter still tells about the clean one, as tables for the mutual-information schedule.

Amin et al. (2025, arXiv 2506.08316) let information fade evenly, M(Lambda(t)) = 1 - t, with M in units of H(x_0):

    classical: M(Lambda) = I(x_0; x_t) / H(x_0),                         x_t ~ expm(Lambda Q)[x_0, .]
    SCUD:      M(Lambda) = sum_n Poisson(n; Lambda) I(x_0; x_0 K^n) / H(x_0)

x_0 is drawn from a distribution p0 of the letters. M is smooth and falls, so that instead of finding roots its inverse
is tabulated. Classical: matrices of Lambda 2^(k/24) by repeated squaring, M' analytic. SCUD: the information after n
events exactly for small n, then for n in a geometric grid, again by squaring; M and M' are Poisson mixtures of it.

Both log(t/(1 - t)) and log Lambda run over the whole line and are nearly straight as functions of each other at either
end, so that few nodes do. The share that is lost, t, and the share that is kept, 1 - t, are sums of positive terms
each: both keep their digits where they are small.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from seqdiff.errors import InputError, argument
from seqdiff.processes.noise.matrix_powers import Powers
from seqdiff.processes.noise.rate_matrices import Forward

FIRST = 2.0**-48  # of Lambda, in units of the fastest letter's changes: t is then below 1e-12, the smallest in use
BEND = 2.0**-12  # up to here the curve is nearly straight
COARSE, FINE = 4, 24  # nodes in each doubling of Lambda, before and after
LAST = 1e-11  # the share that is kept at the last node; a schedule ends at 1e-9
FORGOTTEN = 32.0  # log lost/kept from which on nothing of a count's letter counts
GRID = 16  # event counts in each doubling, beyond the exact ones
ENTRIES_AT_ONCE = 2**19  # entries of matrices looked at together
TINY = 1e-290


def masking_table() -> Tensor:
    """Return the table of Lambda = -log(1 - t): what is kept of letters that are masked."""
    total = torch.from_numpy(_grid(-math.log(LAST)))
    return _table(torch.log(torch.expm1(total)), total, -torch.expm1(-total) / total)


def classical_table(forward: Forward, p0: Tensor) -> Tensor:
    """Return nodes log(t/(1 - t)), log Lambda there, and its derivative by the former, (3, N) in float64.

    Parameters
    ----------
    forward : Forward
        The rate matrix Q.
    p0 : Tensor
        Probabilities (K,) of clean letters, all above 0.
    """
    p0 = check_law(p0, forward.letters)
    rates = forward.rates.detach().cpu().double()
    fastest = float(-rates.diagonal().min())
    entropy = -torch.xlogy(p0, p0).sum()
    columns = []
    for first, last, nodes in ((FIRST, BEND, COARSE), (BEND, math.inf, FINE)):
        total = first / fastest * 2 ** (torch.arange(nodes, dtype=torch.float64) / nodes)
        matrices = _stochastic(torch.matrix_exp(total[:, None, None] * rates).clamp_min(0))
        kept = entropy[None]
        while float(total[0]) * fastest < last * (1 - 1e-9) and float(kept[-1] / entropy) > LAST:
            lost, kept, fading = _measure(p0, matrices[:, : len(p0)], rates)
            columns.append((torch.log(lost / kept), total, lost * kept / (entropy * total * fading)))
            total, matrices = 2 * total, _stochastic(matrices @ matrices)
    return _table(*(torch.cat(parts) for parts in zip(*columns, strict=True)))


def scud_table(powers: Powers, p0: Tensor) -> Tensor:
    """Return what `classical_table` does, Lambda being the expected number of events, known with the letter.

    Parameters
    ----------
    powers : Powers
        Those of the matrix K, of `make_powers`.
    p0 : Tensor
        Probabilities (K,) of clean letters, all above 0.
    """
    from scipy.interpolate import CubicSpline
    from scipy.special import expit

    p0 = check_law(p0, powers.states)
    n, odds = _odds_of_events(powers, p0)
    curve = CubicSpline(np.log(n), odds) if len(n) > 1 else lambda x: odds[0] + 0 * x
    largest = n[-1] + 8 * math.sqrt(n[-1]) - math.log(LAST) + 40
    total = _grid(largest)

    # Poisson sums over n, every sd/4 of them where the distribution is wide: as exact as all of them
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


def check_law(p0: Tensor, letters: int) -> Tensor:
    """Return the distribution of the letters, (K,) in float64.

    Raises
    ------
    ValueError
        If it is not one of all these letters.
    """
    law = torch.as_tensor(p0, dtype=torch.float64).detach().cpu()
    if law.shape != (letters,) or not bool((law > 0).all()) or abs(float(law.sum()) - 1) > 1e-6:
        found = f"shape {tuple(law.shape)}, smallest entry {float(law.min()):g} and sum {float(law.sum()):g}"
        raise InputError("p0", found, f"{letters} probabilities above 0 with sum 1", "give these")
    return law / law.sum()


def _odds_of_events(powers: Powers, p0: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of events, from 1 until all is forgotten, and log lost/kept after each."""
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
        if len(counts) == 1:  # of the exact ones the upper half, thinned, is doubled again and again
            few = slice(len(n) // 2, None, (len(n) + 1) // (2 * GRID))
            n, matrices = n[few], matrices[few]
        n, matrices = 2 * n, _stochastic(matrices @ matrices)
    count, logit = torch.cat(counts).double().numpy(), torch.cat(odds).numpy()
    end = int(np.argmax(logit > FORGOTTEN)) + 1
    return count[:end], logit[:end]


def _measure(p0: Tensor, transition: Tensor, rates: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return H(x_0 | x), I(x_0; x) and -dI/dLambda for matrices P(x | x_0) (N, K, S), (N,) nats each.

    With q the distribution of x, both are sums of positive terms: I = sum p0 [P log(P/q) - P + q], and in H the letters
    that stayed as they were have log(1 + others that came there/own). I' = sum p0 (P Q) log(P/q).
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
        # rows of P have all S states where those of x_0 have only K
        change = transition @ rates
        fading = -(p0[:, None] * change * log_ratio).sum((1, 2))
    return lost, kept, fading


def _grid(largest: float) -> np.ndarray:
    """Return values of Lambda, evenly spaced in its logarithm before and after the bend."""
    start, bend, end = (math.log2(x) for x in (FIRST, BEND, largest))
    after = np.arange(math.ceil((end - bend) * FINE) + 1) / FINE
    return 2 ** np.concatenate([np.arange(start, bend, 1 / COARSE), bend + after])


def _log_poisson(n: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return log Poisson(n; mean), without the differences of large numbers by which n log(mean) - log(n!) errs."""
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
    """Return the nodes as a table along which both odds and Lambda rise, slopes so that nothing between them falls."""
    rises = odds > torch.cat([odds.new_full((1,), -torch.inf), odds.cummax(0).values[:-1]])
    odds, log_total, slope = odds[rises], total.log()[rises], slope[rises]
    secant = log_total.diff() / odds.diff()
    steepest = 3 * torch.minimum(torch.cat([secant[:1], secant]), torch.cat([secant, secant[-1:]]))
    return torch.stack([odds, log_total, torch.minimum(slope, steepest)])


def _stochastic(matrix: Tensor) -> Tensor:
    return matrix / matrix.sum(-1, keepdim=True)
