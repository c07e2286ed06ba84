"""Rate matrices and schedules: against scipy's matrix exponential, detailed balance, and numerical derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm

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
def test_chances_of_a_change_are_right_however_small(name):
    forward, _ = FORWARDS[name]
    rates, total = forward.rates[: forward.letters], 1e-12
    q = forward.transition(torch.tensor([total], dtype=torch.float64))[0]
    changes = rates > 0
    assert torch.allclose(q[changes] / total, rates[changes], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", FORWARDS)
def test_stationary_law_is_what_remains(name):
    forward, _ = FORWARDS[name]
    pi = forward.stationary.numpy()
    assert np.isclose(pi.sum(), 1) and np.allclose(pi @ forward.rates.numpy(), 0, atol=1e-12)
    after = forward.transition(torch.tensor([60 / forward.gap], dtype=torch.float64))[0]
    assert np.allclose(after, pi, atol=1e-12)


def test_absorbing_letters_stay_with_their_exact_chance_when_nearly_all_are_masked():
    q = make_forward("absorbing", "ACGT").transition(torch.tensor([45.0], dtype=torch.float64))[0]
    assert np.allclose(np.diag(q), np.exp(-45), rtol=1e-12, atol=0) and (q[:, -1] == 1).all()


@pytest.mark.parametrize("largest", [0.3, 2.0])
@pytest.mark.parametrize("name", ["uniform", "chain", "round"])
def test_prior_kl_is_the_sum_over_letters(name, largest):
    forward, _ = FORWARDS[name]
    q, pi = expm(largest * forward.rates.numpy()), forward.stationary.numpy()
    slow = [sum(p * np.log(p / s) for p, s in zip(row, pi, strict=True)) for row in q]
    assert np.allclose(forward.prior_kl(largest), slow, atol=1e-12)


def test_gap_is_the_slowest_decay():
    forward, _ = FORWARDS["chain"]
    far = [expm(t * CHAIN) - forward.stationary.numpy() for t in (10.0, 12.0)]
    assert np.isclose(np.log(np.abs(far[0]).max() / np.abs(far[1]).max()) / 2, forward.gap, rtol=1e-3)


def test_uniform_and_gaussian_rates_are_scaled_and_symmetric():
    for rates in (uniform_rates(5), gaussian_rates(16), gaussian_rates(4, bandwidth=1.0)):
        assert np.allclose(rates, rates.T) and np.allclose(rates.sum(1), 0)
        assert np.isclose(-np.diag(rates).min(), 1)
    near = gaussian_rates(40, bandwidth=0.05)
    assert np.isclose(near[10, 12] / near[10, 11], np.exp(-(4 - 1) / (2 * 2**2)))


def test_blosum62_knows_its_letters_in_any_order():
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


def test_blosum62_is_the_logarithm_of_its_chain():
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


# Two sets of letters without a way between them, shuffled so that the solver's stationary law is positive everywhere.
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
def test_what_is_not_a_rate_matrix_is_refused(spec, letters, words):
    with pytest.raises(ValueError, match=words):
        make_forward(spec, letters)


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rate_is_the_derivative_of_the_total(name, scale):
    schedule = make_schedule(name, scale)
    t = torch.linspace(0.001, 0.999, 501, dtype=torch.float64)
    t = t.clamp_max(schedule.t_max - 1e-3)
    slope = (schedule.total(t + 1e-6) - schedule.total(t - 1e-6)) / 2e-6
    assert torch.allclose(schedule.rate(t), slope, rtol=1e-6)
    assert float(schedule.total(torch.zeros((), dtype=torch.float64))) == 0
    assert schedule.rate(torch.tensor(schedule.t_max, dtype=torch.float64)).isfinite()


def test_schedules_are_the_published_ones():
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
def test_jump_kl_near_and_far(relative):
    truth = torch.tensor([0.3, 2.0], dtype=torch.float64)
    log_ratio = np.log1p(relative) + 1e-12 * (abs(relative) < 0.5)  # inexact where it should not be used
    value = jump_kl(truth, truth * relative, torch.full((2,), log_ratio, dtype=torch.float64))
    # (1 + e) log(1 + e) needs more digits than there are: the series, where e is small
    exact = relative**2 / 2 - relative**3 / 3 if abs(relative) < 1e-3 else relative - np.log1p(relative)
    assert np.allclose(value, truth * exact, rtol=1e-6, atol=0)


def test_jump_kl_of_a_rate_that_should_be_zero_is_the_rate():
    assert jump_kl(torch.tensor([0.0]), torch.tensor([0.7]), torch.tensor([1e3])).item() == pytest.approx(0.7)
