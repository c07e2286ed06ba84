"""Rate matrices, their powers, schedules and event counts, against scipy and numerical derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.stats import poisson as poisson_distribution
from small_models import seeded

from seqdiff.processes.noise.events import Powers, make_powers, period, poisson, thinned
from seqdiff.processes.noise.rate_matrices import (
    SWISS_PROT,
    AbsorbingForward,
    Forward,
    ReversibleForward,
    blosum62_rates,
    gaussian_rates,
    jump_kl,
    make_forward,
    uniform_rates,
)
from seqdiff.processes.noise.schedules import SCHEDULES, make_schedule

PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
ROUND = np.array([[-1.0, 1.0, 0.0], [0.0, -2.0, 2.0], [0.5, 0.0, -0.5]])  # no detailed balance
CHAIN = np.array([[-1.0, 1.0, 0.0, 0.0], [2.0, -3.0, 1.0, 0.0], [0.0, 1.0, -1.5, 0.5], [0.0, 0.0, 1.0, -1.0]])
FORWARDS = {
    "uniform": (make_forward("uniform", "ACGT"), ReversibleForward),
    "gaussian": (make_forward("gaussian", [str(i) for i in range(40)]), ReversibleForward),
    "blosum62": (make_forward("blosum62", PROTEIN), ReversibleForward),
    "absorbing": (make_forward("absorbing", "ACGT"), AbsorbingForward),
    "round": (make_forward(ROUND, "ABC"), Forward),
    "chain": (make_forward(CHAIN.tolist(), "ABCD"), ReversibleForward),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_transition_is_the_matrix_exponential(name):
    forward, kind = FORWARDS[name]
    assert type(forward) is kind
    totals = torch.tensor([0.0, 1e-9, 1e-3, 0.7, 5.0, 40.0], dtype=torch.float64)
    rates = forward.rates.numpy()
    for total, q, between in zip(totals, forward.transition(totals), forward.between(totals), strict=True):
        expected = expm(float(total) * rates)
        assert np.allclose(between, expected, rtol=0, atol=1e-12)
        assert np.allclose(q, expected[: forward.letters], rtol=0, atol=1e-12)
        assert np.allclose(q.sum(-1), 1, atol=1e-12) and (q >= 0).all()


@pytest.mark.parametrize("name", ["uniform", "blosum62", "absorbing", "round"])
def test_small_change_probabilities_are_accurate(name):
    forward, _ = FORWARDS[name]
    rates, total = forward.rates[: forward.letters], 1e-12
    q = forward.transition(torch.tensor([total], dtype=torch.float64))[0]
    changes = rates > 0
    assert torch.allclose(q[changes] / total, rates[changes], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", FORWARDS)
def test_stationary_distribution_is_the_limit(name):
    forward, _ = FORWARDS[name]
    pi = forward.stationary.numpy()
    assert np.isclose(pi.sum(), 1) and np.allclose(pi @ forward.rates.numpy(), 0, atol=1e-12)
    after = forward.transition(torch.tensor([60 / forward.gap], dtype=torch.float64))[0]
    assert np.allclose(after, pi, atol=1e-12)


def test_absorbing_survival_probability_is_accurate_at_late_times():
    q = make_forward("absorbing", "ACGT").transition(torch.tensor([45.0], dtype=torch.float64))[0]
    assert np.allclose(np.diag(q), np.exp(-45), rtol=1e-12, atol=0) and (q[:, -1] == 1).all()


@pytest.mark.parametrize("largest", [0.3, 2.0])
@pytest.mark.parametrize("name", ["uniform", "chain", "round"])
def test_prior_kl_is_the_sum_over_letters(name, largest):
    forward, _ = FORWARDS[name]
    q, pi = expm(largest * forward.rates.numpy()), forward.stationary.numpy()
    slow = [sum(p * np.log(p / s) for p, s in zip(row, pi, strict=True)) for row in q]
    assert np.allclose(forward.prior_kl(largest), slow, atol=1e-12)


def test_spectral_gap_is_the_slowest_decay():
    forward, _ = FORWARDS["chain"]
    far = [expm(t * CHAIN) - forward.stationary.numpy() for t in (10.0, 12.0)]
    assert np.isclose(np.log(np.abs(far[0]).max() / np.abs(far[1]).max()) / 2, forward.gap, rtol=1e-3)


def test_uniform_and_gaussian_rates_are_scaled_and_symmetric():
    for rates in (uniform_rates(5), gaussian_rates(16), gaussian_rates(4, bandwidth=1.0)):
        assert np.allclose(rates, rates.T) and np.allclose(rates.sum(1), 0)
        assert np.isclose(-np.diag(rates).min(), 1)
    near = gaussian_rates(40, bandwidth=0.05)
    assert np.isclose(near[10, 12] / near[10, 11], np.exp(-(4 - 1) / (2 * 2**2)))


def test_blosum62_does_not_depend_on_letter_order():
    rates, shuffled = blosum62_rates(PROTEIN), "".join(np.random.default_rng(0).permutation(list(PROTEIN)))
    order = [shuffled.index(letter) for letter in PROTEIN]
    assert np.allclose(blosum62_rates(shuffled)[np.ix_(order, order)], rates, atol=1e-12)
    pi = dict(zip(PROTEIN, FORWARDS["blosum62"][0].stationary.tolist(), strict=True))
    total = sum(SWISS_PROT.values())
    assert all(abs(pi[a] * total / SWISS_PROT[a] - 1) < 0.2 for a in PROTEIN)  # M is 2%, not 10%
    likeliest = {a: PROTEIN[rates[i].argmax()] for i, a in enumerate(PROTEIN)}
    assert [likeliest[a] for a in "IVDKFY"] == ["V", "I", "E", "R", "Y", "F"]
    assert (
        np.isclose(-np.diag(rates).min(), 1)
        and np.allclose(rates.sum(1), 0)
        and (rates - np.diag(np.diag(rates)) >= 0).all()
    )


def test_blosum62_rates_are_the_matrix_logarithm():
    rates = {alpha: blosum62_rates(PROTEIN, alpha=alpha) for alpha in (1.0, 1e-6, 0.0)}
    assert np.allclose(rates[1e-6], rates[0.0], atol=1e-5)
    chain = _chain()
    changes = ~np.eye(20, dtype=bool)
    # alpha = 1 is C - 1, here with the largest row scaled to 1
    assert np.allclose(rates[1.0][changes], (chain / (1 - np.diag(chain)).max())[changes], atol=1e-12)
    # and exp(log C) is C again, but for the negative rates that were clipped
    log_trace = np.log(np.linalg.eigvals(chain).real).sum()
    assert np.abs(expm(rates[0.0] * log_trace / np.trace(rates[0.0])) - chain).max() < 2e-3


def _chain() -> np.ndarray:
    from Bio.Align import substitution_matrices

    scores = substitution_matrices.load("BLOSUM62")
    chain = np.array([[2 ** (scores[a, b] / 2) * SWISS_PROT[b] for b in PROTEIN] for a in PROTEIN])
    return chain / chain.sum(1, keepdims=True)


# Two disconnected sets of letters, shuffled so that the solver's stationary distribution is positive everywhere.
TWO_ISLANDS = np.zeros((6, 6))
TWO_ISLANDS[np.ix_([0, 2, 5], [0, 2, 5])] = [[-6, 3, 3], [2, -4, 2], [3, 1, -4]]
TWO_ISLANDS[np.ix_([1, 3, 4], [1, 3, 4])] = [[-6, 4, 2], [1, -4, 3], [4, 4, -8]]


@pytest.mark.parametrize(
    ("spec", "letters", "words"),
    [
        ("cauchy", "ACGT", "'uniform', 'absorbing', 'gaussian', 'kimura' or 'blosum62'"),
        ("blosum62", "ACGTB", "'B'"),
        (np.zeros((3, 3)), "ACGT", r"shape \(3, 3\).*4 letters"),
        ([["x", "y"], ["z", "w"]], "AB", "expected a known name or an array"),
        (np.array([[-1.0, 1.0], [np.nan, 0.0]]), "AB", "not finite"),
        (np.array([[1.0, -1.0], [1.0, -1.0]]), "AB", r"forward\[0, 1\]: got -1, expected at least 0"),
        (np.array([[-1.0, 1.0], [1.0, -0.9]]), "AB", "forward, row 1: got a sum of 0.1, expected one of 0"),
        (np.array([[-1.0, 1.0], [0.0, 0.0]]), "AB", "out of reach"),
        (np.zeros((2, 2)), "AB", "out of reach"),
        (np.kron(np.eye(2), uniform_rates(2)), "ABCD", "out of reach"),
        (TWO_ISLANDS, "ABCDEF", "out of reach"),
    ],
)
def test_invalid_rate_matrices_are_refused(spec, letters, words):
    with pytest.raises(ValueError, match=words):
        make_forward(spec, letters)


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_rate_is_the_derivative_of_total(name, scale):
    schedule = make_schedule(name, scale)
    t = torch.linspace(0.001, 0.999, 501, dtype=torch.float64)
    t = t.clamp_max(schedule.t_max - 1e-3)
    slope = (schedule.total(t + 1e-6) - schedule.total(t - 1e-6)) / 2e-6
    assert torch.allclose(schedule.rate(t), slope, rtol=1e-6)
    assert float(schedule.total(torch.zeros((), dtype=torch.float64))) == 0
    assert schedule.rate(torch.tensor(schedule.t_max, dtype=torch.float64)).isfinite()


def test_schedules_equal_the_published_ones():
    t = torch.linspace(0, 0.99, 100, dtype=torch.float64)
    alpha = {name: (-make_schedule(name).total(t)).exp() for name in SCHEDULES}
    assert torch.allclose(alpha["linear"], 1 - t)
    assert torch.allclose(alpha["cos"], 1 - torch.cos((1 - t) * np.pi / 2))
    assert torch.allclose(alpha["log-linear"], 1 - 0.999 * t)
    assert make_schedule("linear").largest > 20 and make_schedule("cos").largest > 20
    tiny = torch.tensor([1e-12], dtype=torch.float64)
    for name in SCHEDULES:  # Lambda keeps its digits where it is small
        schedule = make_schedule(name)
        assert torch.allclose(
            schedule.total(tiny) / tiny, schedule.rate(torch.zeros(1, dtype=torch.float64)), rtol=1e-9
        )
    with pytest.raises(ValueError, match="'linear', 'cos', 'log-linear'"):
        make_schedule("quadratic")


@pytest.mark.parametrize("relative", [1e-9, 1e-4, 0.4999, 0.5001, 1e6, -0.4999, -0.5001, -1 + 1e-9])
def test_jump_kl_is_accurate_near_and_far_from_zero(relative):
    truth = torch.tensor([0.3, 2.0], dtype=torch.float64)
    log_ratio = np.log1p(relative) + 1e-12 * (abs(relative) < 0.5)  # inexact where it should not be used
    value = jump_kl(truth, truth * relative, torch.full((2,), log_ratio, dtype=torch.float64))
    # (1 + e) log(1 + e) needs more digits than there are: the series, where e is small
    exact = relative**2 / 2 - relative**3 / 3 if abs(relative) < 1e-3 else relative - np.log1p(relative)
    assert np.allclose(value, truth * exact, rtol=1e-6, atol=0)


def test_jump_kl_of_a_rate_that_should_be_zero_is_the_rate():
    assert jump_kl(torch.tensor([0.0]), torch.tensor([0.7]), torch.tensor([1e3])).item() == pytest.approx(0.7)


# -- powers of a transition matrix ------------------------------------------------------------------------------------


POWER_CASES = {
    "uniform": make_powers(make_forward("uniform", "ACGT"), 0.0),
    "masking": make_powers(make_forward("uniform", "ACGT"), 0.25),
    "blosum62": make_powers(make_forward("blosum62", PROTEIN), 0.1),
    "round": make_powers(make_forward(ROUND, "ABC"), 0.3),
    "gaussian": make_powers(make_forward("gaussian", [str(i) for i in range(300)]), 0.0),  # beyond its table at n = 16
}


def slow_power(powers: Powers, n: int) -> np.ndarray:
    result, one = np.eye(powers.states), powers.one.numpy()
    for _ in range(n):
        result = result @ one
    return result


@pytest.mark.parametrize("name", POWER_CASES)
def test_powers_equal_repeated_products(name):
    powers = POWER_CASES[name]
    n = torch.tensor([[0, 1, 2], [17, 100, 333]])
    fast = powers(n)
    assert fast.shape == (2, 3, powers.states, powers.states) and fast.dtype == torch.float64
    for i, count in enumerate(n.flatten().tolist()):
        assert np.allclose(fast.flatten(0, 1)[i], slow_power(powers, count), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("name", POWER_CASES)
def test_rows_of_high_powers_are_distributions(name):
    powers = POWER_CASES[name]
    n = torch.tensor([1, 15, 16, 1023, 1024, 1025, 99_999, 10**6, 2**60])
    fast = powers(n)
    assert torch.allclose(fast.sum(-1), torch.ones(1, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (fast >= 0).all()
    assert torch.allclose(fast[-3:], powers.stationary.expand_as(fast[-3:]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", POWER_CASES)
def test_rows_columns_and_mixtures_equal_the_powers(name):
    powers = POWER_CASES[name]
    g = torch.Generator().manual_seed(0)
    n = torch.randint(2500, (4, 6), generator=g)
    n[0] = torch.arange(6)
    x = torch.randint(powers.states, (4, 6), generator=g)
    w = torch.rand(4, 6, powers.states, generator=g, dtype=torch.float64)
    full, pick = powers(n), x[..., None, None]
    rows = full.gather(-2, pick.expand(4, 6, 1, powers.states))[..., 0, :]
    columns = full.gather(-1, pick.expand(4, 6, powers.states, 1))[..., 0]
    assert torch.allclose(powers.rows(n, x), rows, rtol=1e-12, atol=0)
    assert torch.allclose(powers.columns(n, x), columns, rtol=1e-12, atol=0)
    assert torch.allclose(powers.mix(w, n), (w[..., None, :] @ full)[..., 0, :], rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["uniform", "blosum62", "round"])
def test_poisson_mixture_of_powers_is_the_matrix_exponential(name):
    powers = POWER_CASES[name]
    rates = (powers.one.numpy() - np.eye(powers.states)) * powers.rate
    n = np.arange(80)
    weights = torch.from_numpy(poisson_distribution.pmf(n, 1.7 * powers.rate))
    mixed = (weights[:, None, None] * powers(torch.from_numpy(n))).sum(0)
    assert np.allclose(mixed, expm(1.7 * rates), atol=1e-12)


def test_event_rate_is_the_largest_exit_rate():
    assert POWER_CASES["round"].rate == pytest.approx(2 / 0.7)
    assert float(POWER_CASES["round"].one.diagonal().min()) == pytest.approx(0.3)
    assert torch.equal(POWER_CASES["masking"].one, torch.full((4, 4), 0.25, dtype=torch.float64))


def test_small_entries_are_accurate():
    """A letter reached in several steps: an eigendecomposition has no digits below 1e-16."""
    far = 20
    chain = np.diag(np.full(far, 1e-3), 1) + np.diag(np.full(far, 1e-3), -1)
    powers = make_powers(make_forward(chain - np.diag(chain.sum(1)), [chr(65 + i) for i in range(far + 1)]), 0.5)
    n = 40
    assert float(powers.rows(torch.tensor(n), torch.tensor(0))[far]) == pytest.approx(
        slow_power(powers, n)[0, far], rel=1e-11
    )
    assert 0 < slow_power(powers, far)[0, far] < 1e-11


def test_slow_mixing_is_accurate():
    """Two letters that swap in all but a millionth of the events: K^n has 1 - 2e-6 to the n, with alternating sign."""
    powers = make_powers(make_forward("uniform", "AB"), 1e-6)
    for n in (10, 11, 10**4 + 1, 10**6, 10**9):
        sign = -1 if n % 2 else 1
        expected = (1 + sign * np.exp(n * np.log1p(-2e-6))) / 2
        assert float(powers.rows(torch.tensor(n), torch.tensor(0))[0]) == pytest.approx(expected, rel=1e-9)


def test_negative_counts_are_zero_events():
    powers, none = POWER_CASES["round"], torch.zeros(0, 2, dtype=torch.long)
    assert torch.equal(powers(torch.tensor(-3)), torch.eye(3, dtype=torch.float64))
    assert powers.rows(none, none).shape == (0, 2, 3)


def test_powers_have_no_state_dict():
    assert not POWER_CASES["uniform"].state_dict()


NEIGHBOURS = np.diag([1.0, 0.5, 0.5], 1) + np.diag([0.5, 0.5, 1.0], -1) - np.eye(4)
CIRCLE = np.roll(np.eye(5), 1, 1) - np.eye(5)


@pytest.mark.parametrize(
    ("forward", "letters", "multiple"), [("uniform", "AB", 2), (NEIGHBOURS, "ABCD", 2), (CIRCLE, "ABCDE", 5)]
)
def test_periodic_matrices_are_refused_only_at_gamma_zero(forward, letters, multiple):
    forward = make_forward(forward, letters)
    with pytest.raises(ValueError, match=rf"multiple of {multiple} events.*expected a number above 0"):
        make_powers(forward, 0.0)
    mixed = make_powers(forward, 0.01)(torch.tensor(10**6))
    assert torch.allclose(mixed, forward.stationary.expand_as(mixed), atol=1e-12)


def test_period_is_the_gcd_of_cycle_lengths():
    two_ways = np.zeros((5, 5))  # 0 1 0 and 0 2 3 4 0
    for i, j in ((0, 1), (1, 0), (0, 2), (2, 3), (3, 4), (4, 0)):
        two_ways[i, j] = 1
    assert period(two_ways) == 2
    two_ways[3, 0] = 1  # and 0 2 3 0
    assert period(two_ways) == 1


def test_absorbing_and_impossible_gammas_are_refused():
    with pytest.raises(ValueError, match="forward='uniform' with gamma=0.25"):
        make_powers(make_forward("absorbing", "ACGT"), 0.0)
    for gamma in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="below 1"):
            make_powers(make_forward("uniform", "ACGT"), gamma)


# -- event counts -----------------------------------------------------------------------------------------------------


def test_counts_follow_their_distributions():
    rates = torch.tensor([0.0, 0.3, 20.0])
    drawn = poisson(rates, 40_000, seeded())
    for rate, row in zip(rates.tolist(), drawn, strict=True):
        frequencies = torch.bincount(row, minlength=80).numpy() / 40_000
        assert np.abs(frequencies - poisson_distribution.pmf(np.arange(len(frequencies)), rate)).max() < 0.01
    before = torch.tensor([0, 1, 7]).repeat(40_000, 1)
    after = thinned(before, 0.3, seeded())
    for column, n in zip(after.T, (0, 1, 7), strict=True):
        frequencies = torch.bincount(column, minlength=n + 1).numpy() / 40_000
        expected = [math.comb(n, k) * 0.3**k * 0.7 ** (n - k) for k in range(n + 1)]
        assert np.abs(frequencies - expected).max() < 0.01
    assert torch.equal(thinned(before, 1.0, seeded()), before)
    assert not thinned(before, 0.0, seeded()).any()
    assert int(poisson(torch.tensor([1e4]), 1000, seeded()).double().mean()) in range(9980, 10020)


def test_many_events_take_little_memory():
    """Counts are drawn near their mean, for any mean."""
    rates = torch.tensor([3e8, 2.0, 0.0])
    drawn = poisson(rates, 20_000, seeded()).double()
    assert torch.allclose(drawn[0].mean() / 3e8, torch.ones((), dtype=torch.float64), atol=2e-6)
    assert abs(float(drawn[0].std()) / math.sqrt(3e8) - 1) < 0.02
    assert abs(float(drawn[1].mean()) - 2) < 0.05 and not drawn[2].any()
    left = thinned(torch.tensor([[10**8] * 20_000, [3] * 20_000]), 0.3, seeded()).double()
    assert abs(float(left[0].mean()) / 3e7 - 1) < 2e-6 and abs(float(left[0].std()) / math.sqrt(2.1e7) - 1) < 0.02
    assert abs(float(left[1].mean()) - 0.9) < 0.03 and left[1].max() == 3
    assert torch.equal(thinned(torch.tensor([[10**8, 3]]), 1.0, seeded()), torch.tensor([[10**8, 3]]))
