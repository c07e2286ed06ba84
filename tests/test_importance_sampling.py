"""Strata of the number of touched letters: their weighted means are integrals over a, whatever the integrand."""

from __future__ import annotations

import math

import pytest
import torch

from seqdiff.processes.noise.importance_sampling import at_rank, late, smallest, touched

N = 200_000
INTEGRANDS = {  # of a, 1 - a and the number k of touched letters out of 3, and the integral over a of its mean
    "touched": (lambda a, alpha, k: k / a, 3.0),
    "touched and late": (lambda a, alpha, k: k * alpha, 0.5),
    "all": (lambda a, alpha, k: (k == 3) / alpha.sqrt(), math.gamma(4) * math.gamma(0.5) / math.gamma(4.5)),
    "pairs": (lambda a, alpha, k: (k == 2) * a, 3 * 0.05),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(untouched: bool = False, real: int = 3):
    mask = torch.arange(5).expand(N, 5) < real
    u = (torch.arange(N) + 0.5) / N
    return touched(u, mask, seeded(), untouched=untouched), mask


def check(stratum, integrand, expected: float) -> None:
    values = stratum.log_weight.exp() * integrand(stratum.a, stratum.log_alpha.exp(), stratum.where.sum(-1))
    assert abs(float(values.mean()) - expected) < 5 * float(values.std()) / math.sqrt(N)
    assert float(values.std()) < 20 * expected


@pytest.mark.parametrize("name", INTEGRANDS)
@pytest.mark.parametrize("untouched", [False, True])
@pytest.mark.parametrize("power", [None, 2.0, 9.0])
def test_weighted_means_are_integrals(name, untouched, power):
    stratum, mask = draws(untouched)
    check(stratum if power is None else late(stratum, mask, power), *INTEGRANDS[name])


def test_where_nothing_is_touched_counts_too():
    stratum, _ = draws(untouched=True)
    check(stratum, lambda a, alpha, k: (k == 0) * 1.0, 0.25)
    check(stratum, lambda a, alpha, k: (k == 0) * a, 0.05)


def test_letters_are_touched_evenly_and_padding_never():
    stratum, mask = draws(real=4)
    assert not (stratum.where & ~mask).any()
    k = stratum.where.sum(-1)
    assert (torch.bincount(k, minlength=5)[1:] == N // 4).all()
    shares = stratum.where[k == 1].double().mean(0)
    assert torch.allclose(shares[:4], torch.full((4,), 0.25, dtype=torch.float64), atol=0.01)


def test_the_end_is_reached_without_cancellation():
    """What grows like 1/(1 - a) along with a rare event has a finite variance only if 1 - a keeps its digits."""
    stratum, mask = draws()
    far = late(stratum, mask, 40.0)
    every = far.where[:, :3].all(-1)
    assert (far.log_alpha[every] < -30).any()
    assert torch.isfinite(far.log_alpha).all()
    assert torch.allclose(torch.expm1(far.log_alpha), -far.a, atol=1e-12)
    # int over a of a^3 / ((1 - a) (1 - log(1 - a))^2)
    x = torch.linspace(0, 200, 400_001, dtype=torch.float64)
    expected = torch.trapezoid((-torch.expm1(-x)) ** 3 / (1 + x) ** 2, x) + 1 / 201
    found = far.log_weight - far.log_alpha - 2 * torch.log1p(-far.log_alpha)
    values = torch.where(every, found.exp(), 0)
    assert abs(float(values.mean() - expected)) < 5 * float(values.std()) / math.sqrt(N) + 1e-3


def test_a_moment_of_zero_has_a_finite_weight(monkeypatch):
    """A uniform number in float32 is 0 now and then."""
    monkeypatch.setattr("seqdiff.processes.noise.importance_sampling.uniform", lambda shape, *_: torch.zeros(shape))
    mask = torch.ones(3, 4, dtype=torch.bool)
    for untouched in (False, True):
        stratum = touched(torch.tensor([0.0, 0.5, 0.9]), mask, seeded(), untouched=untouched)
        for end in (stratum, late(stratum, mask, 2.0)):
            assert (end.log_alpha < 0).all() and (end.log_weight.exp() / end.a).isfinite().all()


def test_ranks():
    keys = torch.tensor([[0.3, 0.1, 0.2], [0.9, 0.5, 0.7]])
    assert smallest(keys, torch.tensor([2, 0])).tolist() == [[False, True, True], [False, False, False]]
    assert at_rank(keys, torch.tensor([2, 0])).tolist() == [pytest.approx(0.2), 0.0]
