"""Variance reduction of scores in continuous time: the control variate and strata are unbiased and reduce variance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from enumerable import Toy, raw_input
from small_models import seeded

from seqdiff.processes import SCUD, Classical, Uniform
from seqdiff.processes.noise.importance_sampling import at_rank, late, smallest, spread, touched
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.processes.noise.schedules import SCHEDULES, make_schedule
from seqdiff.training.objective import Batch, Objective

ROUND = np.array([[-1.0, 0.8, 0.2], [0.3, -0.9, 0.6], [1.0, 0.1, -1.1]])
PROCESSES = {
    "uniform": lambda: Uniform(3),
    "classical": lambda: Classical(make_forward(ROUND, "ABC"), make_schedule("cos")),
    "classical, short": lambda: Classical(make_forward(ROUND, "ABC"), make_schedule("log-linear", 0.2)),
    "classical, absorbing": lambda: Classical(make_forward("absorbing", "ABC")),
    "scud": lambda: SCUD(make_forward(ROUND, "ABC"), gamma=0.3),
    "scud, short": lambda: SCUD(make_forward(ROUND, "ABC"), gamma=0.3, schedule=make_schedule("log-linear", 0.3)),
    "scud, gamma 0": lambda: SCUD(make_forward("uniform", "ABC")),
    "scud, gradual": lambda: SCUD(make_forward(ROUND, "ABC"), gamma=0.3, gradual=True),
    "scud, gamma 0, gradual": lambda: SCUD(make_forward("uniform", "ABC"), gradual=True),
    "classical, gradual": lambda: Classical(make_forward(ROUND, "ABC"), make_schedule("cos"), gradual=True),
}


def fitted(name: str):
    process = PROCESSES[name]().eval()
    process.fit_schedule(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    return process


def wrong(x, t, cond=None, mask=None):
    """Predict an arbitrary function of the neighbours."""
    return 2.0 * torch.sin(torch.arange(3) + x.roll(1, -1)[..., None] + 2 * x.roll(-1, -1)[..., None]).double()


def mean_and_error(terms: torch.Tensor) -> tuple[float, float]:
    return float(terms.mean()), float(terms.std()) / math.sqrt(len(terms))


class Function(torch.nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


@pytest.mark.parametrize("name", PROCESSES)
def test_expected_loss_of_the_guess_is_the_same_in_both_forms(name):
    process, toy = fitted(name), Toy()
    mask = torch.ones(27, 3, dtype=torch.bool)
    mask[:9, 2] = False
    distribution = process.p0.expand(27, 3, 3)
    known = process.known(Batch.of(toy.x, mask))
    assert torch.allclose(process.known(Batch.of(toy.x, mask), distribution), known, atol=1e-9)
    if "short" in name:  # else the end is as good as noise, and says nothing of how well it is measured
        assert (known < (-process.p0.log())[toy.x].where(mask, 0.0).sum(-1) - 1e-3).all()


@pytest.mark.parametrize("name", PROCESSES)
def test_estimates_are_unbiased_for_any_guess(name):
    process, n = raw_input(fitted(name)), 12_000
    x0 = torch.tensor([[0, 2, 1]]).expand(n, 3)
    mask = torch.ones(n, 3, dtype=torch.bool)
    u = (torch.arange(n) + torch.rand(n, generator=seeded(1))).double() / n
    strange = torch.tensor([[0.2, 0.2, 0.6], [0.98, 0.01, 0.01], [0.3, 0.6, 0.1]], dtype=torch.float64).expand(n, 3, 3)
    found = {
        key: mean_and_error(process.term(wrong, Batch.of(x0, mask), u, seeded(seed), guess))
        for seed, (key, guess) in enumerate(
            {
                "distribution": None,
                "strange": strange,
                "own": process.guess(wrong, Batch.of(x0, mask), seeded(5)),
            }.items()
        )
    }
    (distribution, error), *others = found.values()
    for mean, other in others:
        assert abs(mean - distribution) < 4.5 * math.hypot(error, other), found
    assert error < 0.2


@pytest.mark.parametrize("name", PROCESSES)
def test_variance_is_zero_where_the_guess_is_the_prediction(name):
    process, toy = raw_input(fitted(name)), Toy()
    w = torch.softmax(torch.randn(3, 3, generator=seeded(), dtype=torch.float64), -1)

    def independent(x, t, cond=None, mask=None):
        return w.log().expand(*x.shape, 3)

    batch = Batch(toy.x, torch.full((27,), 3))
    total, variance = Objective(process, Function(independent)).bound(batch, None, seeded())
    expected = process.known(batch, w.expand(27, 3, 3)) + process.prior_kl(toy.x, batch.mask)
    assert torch.allclose(total, expected, atol=1e-4) and (variance < 1e-8).all()


def confident(x, t, cond=None, mask=None):
    """Predict one sequence nearly with certainty, slightly less where neighbours differ from it."""
    length = x.shape[1]
    wanted = torch.arange(length) % 4
    off = (x != wanted).double()
    strength = 6.0 - 0.5 * (off.roll(1, -1) + off.roll(-1, -1)) - 0.5 * off
    return strength[..., None] * torch.nn.functional.one_hot(wanted, 4)


@pytest.mark.parametrize("make", [lambda: Uniform(4), lambda: Classical(make_forward("kimura", "ACGT")),
                                  lambda: SCUD(make_forward("kimura", "ACGT"))])  # fmt: skip
def test_scores_of_a_confident_model_have_low_variance(make):
    process = make().eval()
    rows = Batch((torch.arange(10) % 4).expand(512, 10), torch.full((512,), 10))
    objective = Objective(process, Function(confident))
    total, variance = objective.bound(rows, None, seeded())
    assert 0 < float(total.mean()) < 0.5
    assert float(total.std()) < 0.15  # 1.4 to 3.2 with single letters as the guess
    assert float(variance.mean().sqrt()) == pytest.approx(float(total.std()), rel=0.3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_time_is_the_inverse_of_total(name):
    schedule = make_schedule(name)
    t = torch.linspace(1e-6, schedule.t_max * (1 - 1e-6), 50, dtype=torch.float64)
    assert torch.allclose(schedule.time(schedule.total(t)), t, atol=1e-11)


# -- strata of the number of touched letters --------------------------------------------------------------------------


N = 200_000
INTEGRANDS = {  # of a, 1 - a and the number k of touched letters out of 3, and the integral over a of its mean
    "touched": (lambda a, alpha, k: k / a, 3.0),
    "touched and late": (lambda a, alpha, k: k * alpha, 0.5),
    "all": (lambda a, alpha, k: (k == 3) / alpha.sqrt(), math.gamma(4) * math.gamma(0.5) / math.gamma(4.5)),
    "pairs": (lambda a, alpha, k: (k == 2) * a, 3 * 0.05),
}


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
@pytest.mark.parametrize("power", [None, 2.0, 9.0, "spread"])
def test_weighted_means_are_integrals(name, untouched, power):
    stratum, mask = draws(untouched)
    if power == "spread":  # up to 40 jumps: beyond lies exp(-20) of the integrals
        stratum = spread((torch.arange(N) + 0.5) / N, mask, seeded(), 40.0, untouched=untouched)
        assert not (stratum.where & ~mask).any() and float(-stratum.log_alpha.min()) <= 40.01
    check(stratum if power in (None, "spread") else late(stratum, mask, power), *INTEGRANDS[name])


def test_spread_draws_have_no_rare_large_weights():
    """Where a letter is forgotten after a hundred jumps, as much is lost from 10 to 100 as from 1 to 10."""
    mask = torch.ones(N, 64, dtype=torch.bool)
    u = (torch.arange(N) + 0.5) / N

    def integrand(stratum):  # of a: 1/(jumps (1 - a)), in jumps log(100) from 1 to 100
        jumps = -stratum.log_alpha
        inside = (jumps > 1) & (jumps < 100)
        return torch.where(inside, (stratum.log_weight - stratum.log_alpha - jumps.log()).exp(), 0)

    even = integrand(spread(u, mask, seeded(), 100.0))
    rare = integrand(late(touched(u, mask, seeded()), mask, 32.0))
    assert float(even.mean()) == pytest.approx(math.log(100), rel=0.01)
    assert float(even.std()) < 2 * math.log(100) and float(rare.std()) > 5 * float(even.std())


def test_untouched_sequences_are_included():
    stratum, _ = draws(untouched=True)
    check(stratum, lambda a, alpha, k: (k == 0) * 1.0, 0.25)
    check(stratum, lambda a, alpha, k: (k == 0) * a, 0.05)


def test_touched_letters_are_uniform_over_real_positions():
    stratum, mask = draws(real=4)
    assert not (stratum.where & ~mask).any()
    k = stratum.where.sum(-1)
    assert (torch.bincount(k, minlength=5)[1:] == N // 4).all()
    shares = stratum.where[k == 1].double().mean(0)
    assert torch.allclose(shares[:4], torch.full((4,), 0.25, dtype=torch.float64), atol=0.01)


def test_late_times_have_no_cancellation():
    """A rare event with weight like 1/(1 - a) has finite variance only if 1 - a keeps its digits."""
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


def test_zero_uniform_draws_have_finite_weight(monkeypatch):
    """A uniform float32 draw can be exactly 0."""
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
