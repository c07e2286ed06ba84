"""Uniform diffusion: its loss is that of a rate matrix and accurate at both ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from small_models import seeded

from seqdiff import UniformDiffusion
from seqdiff.processes import Batch, Multinomial, State, Uniform
from seqdiff.processes.uniform import linear_keep
from seqdiff.sampling import trajectory


def random_case(letters: int, rows: int = 6, length: int = 5):
    """Context probabilities, clean and noised letters; half of the noised letters are changed."""
    g = seeded(5)
    logits = 3 * torch.randn(rows, length, letters, generator=g, dtype=torch.float64)
    x0 = torch.randint(letters, (rows, length), generator=g)
    x = torch.where(torch.rand(rows, length, generator=g) < 0.5, x0, torch.randint(letters, x0.shape, generator=g))
    return logits.softmax(-1), x0, x


def slow_density(w: np.ndarray, x0: int, x: int, t: float) -> float:
    """The general rate-matrix loss, letter by letter: jump rates under the truth and under p(x_0 | x_t)."""
    letters = len(w)
    generator = np.ones((letters, letters)) / letters - np.eye(letters)
    q, beta = expm(-math.log1p(-t) * generator), 1 / (1 - t)
    posterior = w * q[:, x]
    posterior /= posterior.sum()
    total = 0.0
    for y in set(range(letters)) - {x}:
        rates = beta * generator[y, x] * q[:, y] / q[:, x]  # by x_0
        model, truth = posterior @ rates, rates[x0]
        total += model - truth + truth * math.log(truth / model)
    return total


@pytest.mark.parametrize("letters", [4, 20, 40])
@pytest.mark.parametrize("t", [1e-4, 0.01, 0.3, 0.9, 0.9999])
def test_loss_equals_the_general_rate_matrix_loss(letters, t):
    w, x0, x = random_case(letters)
    fast = Uniform(letters).density(w, x0, x, torch.full((len(x),), t, dtype=torch.float64))
    slow = [[slow_density(w[i, j].numpy(), x0[i, j], x[i, j], t) for j in range(5)] for i in range(6)]
    # next to noise, what is compared with is itself a difference of large numbers
    assert np.allclose(fast.numpy(), slow, rtol=1e-6, atol=1e-9)


def published_loss(w: np.ndarray, x0: int, x: int, t: float) -> float:
    """The equation as in the paper (and in maths: a' / (K a) times a bracket)."""
    letters, a = len(w), 1 - t
    xb, xt = letters * a * np.eye(letters)[x0] + t, letters * a * w + t
    ratio = xb / xb[x]
    bracket = letters / xb[x] - letters / xt[x] - (ratio * (np.log(xt[x] / xt) + np.log(ratio))).sum()
    return -1 / (letters * a) * bracket


@pytest.mark.parametrize("t", [1e-4, 0.3, 0.99])
def test_loss_equals_the_published_one(t):
    w, x0, x = random_case(4)
    fast = Uniform(4).density(w, x0, x, torch.full((len(x),), t, dtype=torch.float64))
    slow = [[published_loss(w[i, j].numpy(), x0[i, j], x[i, j], t) for j in range(5)] for i in range(6)]
    assert np.allclose(fast.numpy(), slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", [1e-12, 1e-6, 1e-3, 0.5, 0.9999, 1 - 1e-9])
def test_float32_loss_is_accurate_at_all_times(t):
    process = Uniform(4)
    w, x0, x = random_case(4, rows=200)
    times = torch.full((len(x),), t, dtype=torch.float64)
    exact = process.density(w, x0, x, times)
    logits = w.log().float().requires_grad_()
    single = process.density(logits.softmax(-1), x0, x, times)
    assert torch.allclose(single.double(), exact, rtol=2e-5, atol=2e-6)
    single.sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_step_equals_the_published_one():
    letters, s, t = 4, 0.3, 0.55
    g = seeded(1)
    w = torch.randn(7, 1, letters, generator=g, dtype=torch.float64).softmax(-1)
    x = torch.randint(letters, (7, 1), generator=g)
    process = Uniform(letters)
    state = State(x, torch.full((7,), t, dtype=torch.float64), torch.ones(7, 1, dtype=torch.bool))
    kernel = process.posterior(process.predict(lambda *a: w.log(), state, None), state, s).exp()
    a_t, a_s = 1 - t, 1 - s
    a_ts = a_t / a_s
    z = torch.nn.functional.one_hot(x, letters).double()
    above = letters * a_t * w * z + (a_ts - a_t) * z + (a_s - a_t) * w + (1 - a_ts) * (1 - a_s) / letters
    below = letters * a_t * w.gather(-1, x[..., None]) + 1 - a_t
    assert torch.allclose(kernel, above / below, atol=1e-12)


def test_wrong_letters_are_corrected_at_the_last_step():
    process, x = Uniform(4), torch.zeros(1, 1).long()
    state = State(x, torch.full((1,), 1e-9, dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool))
    context = torch.tensor([[[0.0, 40.0, 0.0, 0.0]]], dtype=torch.float64)  # the context has no doubt
    log_p = process.predict(lambda *a: context, state, None)
    assert log_p[0, 0, 1] > math.log(0.99)
    assert torch.allclose(process.posterior(log_p, state, 0.0), log_p, atol=1e-12)


def test_one_network_call_for_each_loss_and_term():
    calls = []

    def denoiser(x, t, cond=None, mask=None):
        calls.append(t)
        return torch.zeros(*x.shape, 4)

    process, mask = Uniform(4), torch.ones(64, 3, dtype=torch.bool)
    x0 = torch.zeros(64, 3).long()
    process.loss(denoiser, Batch.of(x0, mask), seeded())
    assert len(calls) == 1
    calls.clear()
    # one more call is for the guess that is the control variate; both together are 20
    assert len(list(process.bound_terms(denoiser, Batch.of(x0, mask), None, seeded()))) + 1 == len(calls) == 20
    calls.clear()
    assert len(list(trajectory(process, denoiser, mask, seeded(), steps=7))) == 1 + len(calls) == 8


@pytest.mark.parametrize("letters", [2, 20])
def test_bound_of_independent_letters_is_their_entropy(letters):
    """With the letter distribution as context the bound is the entropy, and its error is the stated one."""
    log_p = torch.randn(letters, generator=seeded(2), dtype=torch.float64).log_softmax(-1)
    copies = 20_000 // letters
    x0 = torch.arange(letters).repeat(copies)[:, None]
    mask = torch.ones(len(x0), 1, dtype=torch.bool)
    terms = Uniform(letters).bound_terms(lambda x, *a: log_p.expand(*x.shape, -1), Batch.of(x0, mask), None, seeded())
    bound = sum(terms).reshape(copies, letters)
    error = (bound.var(0) / copies).sqrt()
    p = log_p.exp()
    gap = (p * bound.mean(0)).sum() + (p * log_p).sum()
    assert abs(gap) < 4 * (p * error).norm()
    assert (p * error).norm() < 0.02


def test_discrete_steps_equal_multinomial_with_a_linear_schedule():
    """For one letter any number of steps is exact: a step draws from the mixture, and there is no other letter."""
    log_p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()
    x0, mask = torch.arange(3).repeat(3000)[:, None], torch.ones(9000, 1, dtype=torch.bool)
    gaps = []
    for steps in (1, 4, 64):
        process = Multinomial(3, steps, linear_keep(steps))
        terms = process.bound_terms(lambda x, *a: log_p.expand(*x.shape, -1), Batch.of(x0, mask), None, seeded())
        bound = sum(terms).double().reshape(3000, 3).mean(0)
        gaps.append(float((log_p.exp() * (bound + log_p)).sum()))
    assert np.allclose(gaps, 0, atol=0.03)


def test_estimator_in_continuous_time_and_in_steps():
    X = ["ACGTACGT", "ACGTTCGT", "ACGAACGT", "ACCTACGA"] * 4
    for steps in (None, 5):
        model = UniformDiffusion(diffusion_steps=steps, width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
        if steps is not None:
            assert np.allclose(model.objective_.process.log_keep.exp(), np.linspace(1, 0, 6))
        score, error = model.score_samples(X[:2], return_error=True)
        assert np.isfinite(score).all() and (error > 0).all()
        assert [len(s) for s in model.generate(3, steps=4, random_state=0)] == [8, 8, 8]
