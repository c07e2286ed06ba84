"""The control variate of scores in continuous time: unbiased whatever is guessed, calm where the guess is good."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from enumerable import Toy, raw_input

from seqdiff.processes import SCUD, Classical, Uniform
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
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(name: str):
    process = PROCESSES[name]().eval()
    process.fit_schedule(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    return process


def wrong(x, t, cond=None, mask=None):
    """Predict something that depends on the neighbours, and is right about nothing."""
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
def test_what_the_law_would_lose_is_known_alike_in_both_ways(name):
    process, toy = fitted(name), Toy()
    mask = torch.ones(27, 3, dtype=torch.bool)
    mask[:9, 2] = False
    law = process.law.expand(27, 3, 3)
    known = process.known(Batch.of(toy.x, mask))
    assert torch.allclose(process.known(Batch.of(toy.x, mask), law), known, atol=1e-9)
    if "short" in name:  # else the end is as good as noise, and says nothing of how well it is measured
        assert (known < (-process.law.log())[toy.x].where(mask, 0.0).sum(-1) - 1e-3).all()


@pytest.mark.parametrize("name", PROCESSES)
def test_estimates_have_the_same_mean_whatever_is_guessed(name):
    process, n = raw_input(fitted(name)), 12_000
    x0 = torch.tensor([[0, 2, 1]]).expand(n, 3)
    mask = torch.ones(n, 3, dtype=torch.bool)
    u = (torch.arange(n) + torch.rand(n, generator=seeded(1))).double() / n
    strange = torch.tensor([[0.2, 0.2, 0.6], [0.98, 0.01, 0.01], [0.3, 0.6, 0.1]], dtype=torch.float64).expand(n, 3, 3)
    found = {
        key: mean_and_error(process.term(wrong, Batch.of(x0, mask), u, seeded(seed), guess))
        for seed, (key, guess) in enumerate(
            {"law": None, "strange": strange, "own": process.guess(wrong, Batch.of(x0, mask), seeded(5))}.items()
        )
    }
    (law, error), *others = found.values()
    for mean, other in others:
        assert abs(mean - law) < 4.5 * math.hypot(error, other), found
    assert error < 0.2


@pytest.mark.parametrize("name", PROCESSES)
def test_nothing_scatters_where_the_guess_is_the_prediction(name):
    process, toy = raw_input(fitted(name)), Toy()
    w = torch.softmax(torch.randn(3, 3, generator=seeded(), dtype=torch.float64), -1)

    def independent(x, t, cond=None, mask=None):
        return w.log().expand(*x.shape, 3)

    batch = Batch(toy.x, torch.full((27,), 3))
    total, variance = Objective(process, Function(independent)).bound(batch, None, seeded())
    expected = process.known(batch, w.expand(27, 3, 3)) + process.prior_kl(toy.x, batch.mask)
    assert torch.allclose(total, expected, atol=1e-4) and (variance < 1e-8).all()


def confident(x, t, cond=None, mask=None):
    """Predict one sequence nearly for certain, a little less so where neighbours differ from it."""
    length = x.shape[1]
    wanted = torch.arange(length) % 4
    off = (x != wanted).double()
    strength = 6.0 - 0.5 * (off.roll(1, -1) + off.roll(-1, -1)) - 0.5 * off
    return strength[..., None] * torch.nn.functional.one_hot(wanted, 4)


@pytest.mark.parametrize("make", [lambda: Uniform(4), lambda: Classical(make_forward("kimura", "ACGT")),
                                  lambda: SCUD(make_forward("kimura", "ACGT"))])  # fmt: skip
def test_a_confident_model_of_one_sequence_scores_it_alike_each_time(make):
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
