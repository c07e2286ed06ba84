"""Powers of a transition matrix: against plain multiplication, laws that must hold, and what can have none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.stats import poisson

from seqdiff.processes.noise.matrix_powers import Powers, make_powers, period
from seqdiff.processes.noise.rate_matrices import make_forward

ROUND = np.array([[-1.0, 1.0, 0.0], [0.0, -2.0, 2.0], [0.5, 0.0, -0.5]])  # no detailed balance
PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
CASES = {
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


@pytest.mark.parametrize("name", CASES)
def test_powers_are_products(name):
    powers = CASES[name]
    n = torch.tensor([[0, 1, 2], [17, 100, 333]])
    fast = powers(n)
    assert fast.shape == (2, 3, powers.states, powers.states) and fast.dtype == torch.float64
    for i, count in enumerate(n.flatten().tolist()):
        assert np.allclose(fast.flatten(0, 1)[i], slow_power(powers, count), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("name", CASES)
def test_powers_are_laws_however_high(name):
    powers = CASES[name]
    n = torch.tensor([1, 15, 16, 1023, 1024, 1025, 99_999, 10**6, 2**60])
    fast = powers(n)
    assert torch.allclose(fast.sum(-1), torch.ones(1, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (fast >= 0).all()
    assert torch.allclose(fast[-3:], powers.stationary.expand_as(fast[-3:]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_rows_columns_and_mixtures_are_those_of_the_powers(name):
    powers = CASES[name]
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
def test_events_at_their_rate_are_the_rate_matrix(name):
    powers = CASES[name]
    rates = (powers.one.numpy() - np.eye(powers.states)) * powers.rate
    n = np.arange(80)
    weights = torch.from_numpy(poisson.pmf(n, 1.7 * powers.rate))
    mixed = (weights[:, None, None] * powers(torch.from_numpy(n))).sum(0)
    assert np.allclose(mixed, expm(1.7 * rates), atol=1e-12)


def test_the_rate_is_that_of_the_fastest_letter():
    assert CASES["round"].rate == pytest.approx(2 / 0.7)
    assert float(CASES["round"].one.diagonal().min()) == pytest.approx(0.3)
    assert torch.equal(CASES["masking"].one, torch.full((4, 4), 0.25, dtype=torch.float64))


def test_small_entries_keep_their_digits():
    """A letter far away, reached in steps: an eigendecomposition would know nothing below 1e-16."""
    far = 20
    chain = np.diag(np.full(far, 1e-3), 1) + np.diag(np.full(far, 1e-3), -1)
    powers = make_powers(make_forward(chain - np.diag(chain.sum(1)), [chr(65 + i) for i in range(far + 1)]), 0.5)
    n = 40
    assert float(powers.rows(torch.tensor(n), torch.tensor(0))[far]) == pytest.approx(
        slow_power(powers, n)[0, far], rel=1e-11
    )
    assert 0 < slow_power(powers, far)[0, far] < 1e-11


def test_slow_mixing_is_followed_to_its_end():
    """Two letters that swap in all but a millionth of the events: K^n has 1 - 2e-6 to the n, with alternating sign."""
    powers = make_powers(make_forward("uniform", "AB"), 1e-6)
    for n in (10, 11, 10**4 + 1, 10**6, 10**9):
        sign = -1 if n % 2 else 1
        expected = (1 + sign * np.exp(n * np.log1p(-2e-6))) / 2
        assert float(powers.rows(torch.tensor(n), torch.tensor(0))[0]) == pytest.approx(expected, rel=1e-9)


def test_negative_counts_are_none():
    assert torch.equal(CASES["round"](torch.tensor(-3)), torch.eye(3, dtype=torch.float64))
    assert CASES["round"].rows(torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, 2, dtype=torch.long)).shape == (
        0,
        2,
        3,
    )


def test_nothing_is_saved():
    assert not CASES["uniform"].state_dict()


NEIGHBOURS = np.diag([1.0, 0.5, 0.5], 1) + np.diag([0.5, 0.5, 1.0], -1) - np.eye(4)
CIRCLE = np.roll(np.eye(5), 1, 1) - np.eye(5)


@pytest.mark.parametrize(
    ("forward", "letters", "multiple"), [("uniform", "AB", 2), (NEIGHBOURS, "ABCD", 2), (CIRCLE, "ABCDE", 5)]
)
def test_what_never_mixes_is_refused_at_gamma_zero_alone(forward, letters, multiple):
    forward = make_forward(forward, letters)
    with pytest.raises(ValueError, match=rf"multiple of {multiple} events.*expected a number above 0"):
        make_powers(forward, 0.0)
    mixed = make_powers(forward, 0.01)(torch.tensor(10**6))
    assert torch.allclose(mixed, forward.stationary.expand_as(mixed), atol=1e-12)


def test_period_is_the_common_divisor_of_all_ways_back():
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
