"""The mutual-information schedule: M(Lambda(t)) = 1 - t against a slow M, one matrix after the other."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.special import xlogy
from scipy.stats import poisson

from seqdiff import ClassicalDiffusion
from seqdiff.data import prepare
from seqdiff.data.dataset import letter_frequencies
from seqdiff.processes import Batch, Classical
from seqdiff.processes.noise.events import Powers, make_powers
from seqdiff.processes.noise.rate_matrices import gaussian_rates, make_forward
from seqdiff.processes.noise.schedules import MutualInformation, _log_poisson, make_schedule, scud_table
from seqdiff.training.trainer import MovingAverage

ROUND = np.array([[-1.0, 1.0, 0.0], [0.0, -2.0, 2.0], [0.5, 0.0, -0.5]])  # no detailed balance
WEAK = np.array([[-1, 1, 0, 0], [1, -1, 0, 0], [0, 0, -1, 1], [0, 0, 1, -1]]) + 1e-7 * (np.ones((4, 4)) - 4 * np.eye(4))
FORWARDS = {
    "uniform": make_forward("uniform", "ACGT"),
    "blosum62": make_forward("blosum62", "ACDEFGHIKLMNPQRSTVWY"),
    "gaussian": make_forward("gaussian", [str(i) for i in range(30)]),
    "round": make_forward(ROUND, "ABC"),
    "absorbing": make_forward("absorbing", "ACGT"),
    "weak": make_forward(WEAK, "ABCD"),  # two pairs of letters that hardly ever mix
}


def some_distribution(letters: int, seed: int = 0) -> np.ndarray:
    p0 = np.random.default_rng(seed).dirichlet(np.ones(letters)) + 1e-3
    return p0 / p0.sum()


def some_times(n: int = 100, seed: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    late = rng.uniform(1e-6, 0.999, n // 2)
    return torch.from_numpy(np.concatenate([late, np.exp(rng.uniform(np.log(1e-6), np.log(0.999), n - n // 2))]))


def information(p0: np.ndarray, transition: np.ndarray) -> float:
    """Return I(x0; x) / H(x0) from the joint distribution."""
    joint = p0[:, None] * transition
    apart = p0[:, None] * joint.sum(0)
    return float((xlogy(joint, joint) - xlogy(joint, apart)).sum() / -xlogy(p0, p0).sum())


def classical(name: str, p0: np.ndarray) -> MutualInformation:
    schedule = MutualInformation()
    schedule.fit_classical(FORWARDS[name], torch.from_numpy(p0))
    return schedule


def scud(name: str, gamma: float, p0: np.ndarray) -> MutualInformation:
    schedule = MutualInformation()
    schedule.fit_scud(make_powers(FORWARDS[name], gamma), torch.from_numpy(p0))
    return schedule


@pytest.mark.parametrize("name", FORWARDS)
def test_classical_information_decreases_linearly(name):
    forward = FORWARDS[name]
    p0, t = some_distribution(forward.letters), some_times()
    total, rates = classical(name, p0).total(t), forward.rates.numpy()
    kept = [information(p0, expm(x * rates)[: forward.letters]) for x in total.tolist()]
    assert np.abs(np.array(kept) - (1 - t.numpy())).max() < 1e-8


def test_schedule_of_weakly_linked_letters():
    """The pair of a letter is half of its information."""
    schedule = classical("weak", np.full(4, 0.25))
    assert float(schedule.total(torch.tensor(0.45))) < 10 < 1e5 < float(schedule.total(torch.tensor(0.6)))


def slow_scud(p0: np.ndarray, one: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Sum over numbers of events, the matrix multiplied by itself one event after the other."""
    n = np.arange(int(totals.max() + 12 * math.sqrt(totals.max()) + 60))
    kept, power = [], np.eye(len(one))
    for _ in n:
        kept.append(information(p0, power))
        power = power @ one
    return poisson.pmf(n, totals[:, None]) @ np.array(kept)


@pytest.mark.parametrize("gamma", [0.0, 0.25, 0.97])
@pytest.mark.parametrize("name", ["uniform", "blosum62", "gaussian", "round"])
def test_scud_information_decreases_linearly(name, gamma):
    p0, t = some_distribution(FORWARDS[name].letters), some_times()
    total = scud(name, gamma, p0).total(t).numpy()
    kept = slow_scud(p0, make_powers(FORWARDS[name], gamma).one.numpy(), total)
    assert np.abs(kept - (1 - t.numpy())).max() < 1e-8


@pytest.mark.parametrize("gamma", [1e-3, 1e-6])
def test_scud_that_mixes_very_slowly(gamma):
    """Two letters that swap in all events but a share gamma: x0 K^n is known in closed form for any n."""
    p0, t = np.array([0.3, 0.7]), some_times(30)
    schedule = MutualInformation()
    schedule.fit_scud(make_powers(make_forward("uniform", "AB"), gamma), torch.from_numpy(p0))
    for x, total in zip(t.tolist(), schedule.total(t).tolist(), strict=True):
        n = np.arange(max(0, int(total - 10 * math.sqrt(total))), int(total + 10 * math.sqrt(total) + 40))
        stay = (1 + np.exp(n * np.log1p(-2 * gamma))) / 2  # that a letter has swapped instead loses nothing
        q = stay * p0[0] + (1 - stay) * p0[1]
        entropy = lambda p: -xlogy(p, p) - xlogy(1 - p, 1 - p)  # noqa: E731
        kept = (entropy(q) - entropy(stay)) / entropy(p0[0])
        # where the swaps are even in number; where they are odd, q is the other way round and as uncertain
        assert poisson.pmf(n, total) @ kept == pytest.approx(1 - x, abs=1e-7)


@pytest.mark.parametrize("mean", [1e-14, 0.5, 30.0, 1000.0, 1e5])
def test_log_poisson(mean):
    n = np.unique(np.concatenate([np.arange(60), np.linspace(mean, mean + 10 * math.sqrt(mean)).round()]))
    assert np.allclose(_log_poisson(n, np.array(mean)), poisson.logpmf(n, mean), rtol=1e-10, atol=1e-9)


def test_256_ordered_letters():
    rates, p0, t = gaussian_rates(256), some_distribution(256), some_times(8)
    forward = make_forward(rates, [chr(1000 + i) for i in range(256)])
    schedule = MutualInformation()
    schedule.fit_classical(forward, torch.from_numpy(p0))
    kept = [information(p0, expm(x * rates)) for x in schedule.total(t).tolist()]
    assert np.abs(np.array(kept) - (1 - t.numpy())).max() < 1e-8
    powers = make_powers(forward, 0.0)
    schedule.fit_scud(powers, torch.from_numpy(p0))
    kept = slow_scud(p0, powers.one.numpy(), schedule.total(t).numpy())
    assert np.abs(kept - (1 - t.numpy())).max() < 1e-8


@pytest.mark.parametrize("fit", ["absorbing", "uniform with gamma 1/K", "nothing"])
def test_masked_letters_keep_alpha(fit):
    """Both are masking, where M is the share of letters without an event: Lambda = -log(1 - t)."""
    if fit == "nothing":
        schedule = MutualInformation()
    else:
        schedule = (
            classical("absorbing", some_distribution(4))
            if fit == "absorbing"
            else scud("uniform", 0.25, some_distribution(4))
        )
    t = torch.cat([some_times(), torch.tensor([1e-12, 1e-9, 1 - 1e-6, 1 - 1e-9], dtype=torch.float64)])
    assert torch.allclose(schedule.total(t), -torch.log1p(-t), rtol=1e-7, atol=0)
    assert torch.allclose(schedule.rate(t), 1 / (1 - t), rtol=1e-4, atol=0)


@pytest.mark.parametrize("t", [1e-12, 1e-10, 1e-7])
def test_early_times_are_accurate(t):
    """At small Lambda the entropy of x0 given x, by terms that are small themselves: two letters that swap."""
    p0 = np.array([0.3, 0.7])
    schedule = MutualInformation()
    schedule.fit_classical(make_forward("uniform", "AB"), torch.from_numpy(p0))
    total = float(schedule.total(torch.tensor(t, dtype=torch.float64)))
    swap = -math.expm1(-2 * total) / 2
    lost = 0.0
    for mine, other in (p0, p0[::-1]):
        stayed, came = mine * (1 - swap), other * swap
        lost += stayed * math.log1p(came / stayed) + came * math.log((stayed + came) / came)
    assert lost / -xlogy(p0, p0).sum() == pytest.approx(t, rel=1e-6)


@pytest.mark.parametrize(("name", "gamma"), [("uniform", None), ("gaussian", 0.0), ("round", 0.5), ("weak", None)])
def test_total_increases_and_rate_is_its_derivative(name, gamma):
    p0 = some_distribution(FORWARDS[name].letters)
    schedule = classical(name, p0) if gamma is None else scud(name, gamma, p0)
    odds = torch.linspace(-60, 36, 20_001, dtype=torch.float64)  # t from 1e-26, far before the table, to 1 - 2e-16
    t = torch.sigmoid(odds)
    total, rate = schedule.total(t), schedule.rate(t)
    assert (total.diff() >= 0).all() and (total[t < 1 - 1e-9].diff() > 0).all()
    assert rate.isfinite().all() and (rate >= 0).all()
    t = some_times()
    step = 1e-5 * t * (1 - t)
    slope = (schedule.total(t + step) - schedule.total(t - step)) / (2 * step)
    assert torch.allclose(schedule.rate(t), slope, rtol=1e-5)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_shape_and_type_of_times(shape, dtype):
    schedule = classical("uniform", some_distribution(4))
    for function in (schedule.total, schedule.rate):
        values = function(torch.full(shape, 0.25, dtype=dtype))
        assert values.shape == shape and values.dtype == dtype
        expected = function(torch.tensor(0.25, dtype=torch.float64)).expand(shape)
        assert torch.allclose(values.double(), expected, rtol=1e-6, atol=0)
    assert float(schedule.total(torch.zeros(()))) == 0
    assert math.isfinite(float(schedule.rate(torch.zeros(()))))
    assert math.isfinite(float(schedule.total(torch.ones(()))))


def test_matrices_that_never_mix_are_refused():
    swap = Powers([[0.0, 1.0], [1.0, 0.0]], [0.5, 0.5], 1.0)
    with pytest.raises(ValueError, match="give a gamma above 0"):
        scud_table(swap, torch.tensor([0.5, 0.5]))
    with pytest.raises(ValueError, match="gamma: got 0 for .*, expected a number above 0"):
        make_powers(make_forward("uniform", "AB"), 0.0)


@pytest.mark.parametrize("p0", [[0.5, 0.5], [0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5], [np.nan, 0.2, 0.3, 0.5]])
def test_distribution_must_cover_all_letters(p0):
    schedule = make_schedule("mutual_information")
    with pytest.raises(ValueError, match="p0: got .*, expected 4 probabilities above 0"):
        schedule.fit_classical(FORWARDS["uniform"], torch.tensor(p0))
    with pytest.raises(ValueError, match="p0: got .*, expected 4 probabilities above 0"):
        schedule.fit_scud(make_powers(FORWARDS["uniform"], 0.0), torch.tensor(p0))


# -- with a model ---------------------------------------------------------------------------------------------------


def process(p0: np.ndarray | None = None) -> Classical:
    made = Classical(make_forward("gaussian", "0123456789"), make_schedule("mutual_information"))
    if p0 is not None:
        made.fit_schedule(torch.from_numpy(p0))
    return made


def test_process_reloads_with_its_schedule():
    fitted, fresh, t = process(some_distribution(10)), process(), some_times()
    assert fitted.schedule.table.shape != fresh.schedule.table.shape
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh.schedule.total(t), fitted.schedule.total(t))
    assert fresh.schedule.table.dtype == torch.float64
    assert torch.equal(fresh.letter_kl, fitted.letter_kl)
    expected = fitted.noise.prior_kl(fitted.schedule.largest)
    assert torch.equal(fitted.letter_kl, expected) and 1e-12 < float(expected.max()) < 1e-6
    twin = copy.deepcopy(process())
    twin.load_state_dict(fitted.state_dict())
    assert torch.equal(twin.letter_kl, expected)


def test_moving_average_includes_the_schedule():
    fitted, t = process(some_distribution(10)), some_times()
    fitted.register_parameter("weight", torch.nn.Parameter(torch.zeros(3)))
    average = MovingAverage(fitted, 0.9)
    average.update(1)
    average.copy_buffers()
    average.module.load_state_dict(fitted.state_dict())
    assert torch.equal(average.module.schedule.total(t), fitted.schedule.total(t))


def test_autocast_does_not_change_the_schedule():
    schedule, t = classical("uniform", some_distribution(4)), some_times()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        blurred = schedule.total(t)
    assert torch.equal(blurred, schedule.total(t))


def test_letter_distribution_weights_real_positions():
    data = prepare(["AAC", "G", "CC"], alphabet="ACGT")
    assert np.allclose(letter_frequencies(data), np.array([3, 4, 2, 1]) / 10)
    weighted = letter_frequencies(data, np.array([2.0, 0.0, 1.0]))
    assert np.allclose(weighted, np.array([5, 5, 1, 1]) / 12)


@pytest.mark.parametrize("forward", ["uniform", "absorbing", "gaussian"])
def test_estimator(forward, workdir):
    X = ["AACATAAT", "ACAAAAGA", "AATAACAA", "AAAAATAA"] * 6
    settings = {"width": 8, "depth": 1, "epochs": 2, "verbose": 0}
    model = ClassicalDiffusion(forward=forward, schedule="mutual_information", **settings).fit(X)
    schedule = model.objective_.process.schedule
    p0 = letter_frequencies(prepare(X))
    rates = model.objective_.process.noise.rates.numpy()
    kept = information(p0, expm(float(schedule.total(torch.tensor(0.5))) * rates)[:4])
    assert kept == pytest.approx(0.5, abs=0.03)  # a tenth of the sequences is held out
    again = ClassicalDiffusion.load(model.run_dir_)
    assert torch.equal(again.objective_.process.schedule.table, schedule.table)
    assert torch.equal(again.objective_.process.letter_kl, model.objective_.process.letter_kl)
    assert np.array_equal(again.score_samples(X[:3]), model.score_samples(X[:3]))
    assert again.generate(4, steps=5, random_state=0) == model.generate(4, steps=5, random_state=0)


def test_bound_does_not_depend_on_the_schedule():
    """The gap of independent letters is KL(p(x_T) || pi), here 0: a schedule changes only the variance."""
    log_p = torch.log(torch.from_numpy(some_distribution(10)))
    made, p = process(some_distribution(10)), log_p.exp()
    made.p0.fill_(0.1)  # with the true distribution as control variate there would be no noise at all
    copies = 1200
    x0 = torch.arange(10).repeat(copies)[:, None]
    mask = torch.ones(len(x0), 1, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    bound = sum(made.bound_terms(lambda x, *a: log_p.expand(*x.shape, -1), Batch.of(x0, mask), None, generator))
    bound = bound.reshape(copies, -1)
    error = float((p * (bound.var(0) / copies).sqrt()).norm())
    assert abs(float((p * (bound.mean(0) + log_p)).sum())) < 4 * error < 0.1
