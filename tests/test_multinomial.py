"""Multinomial diffusion: its fast term, prior and training times."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqdiff.processes import Batch, Multinomial, State
from seqdiff.processes.multinomial import cosine_keep


def random_case(letters: int, steps: int, rows: int = 2000):
    g = torch.Generator().manual_seed(5)
    process = Multinomial(letters, steps)
    x0 = torch.randint(letters, (rows, 3), generator=g)
    t = torch.randint(1, steps + 1, (rows,), generator=g)
    state = process.corrupt(x0, t, torch.ones(rows, 3, dtype=torch.bool), g)
    logits = 3 * torch.randn(rows, 3, letters, generator=g, dtype=torch.float64)
    return process, x0, t, state, logits


@pytest.mark.parametrize(("letters", "steps"), [(2, 10), (4, 100), (20, 1000)])
def test_fast_term_equals_explicit_posteriors(letters, steps):
    process, x0, t, state, logits = random_case(letters, steps)
    model = process.posterior(process.predict(lambda *a: logits, state, None), state, t - 1)
    one_hot = torch.eye(letters, dtype=torch.float64).log()[x0]
    truth = process.posterior(one_hot, state, t - 1)
    slow = torch.where(truth > -torch.inf, truth.exp() * (truth - model), 0.0).sum(-1)
    assert torch.allclose(process._kl(logits.softmax(-1), x0, state.x, t), slow, atol=1e-12)
    assert torch.allclose(process._kl(logits.float().softmax(-1), x0, state.x, t).double(), slow, atol=2e-4, rtol=2e-4)


def test_first_term_is_the_reconstruction():
    process, x0, _, _, logits = random_case(4, 100)
    t = torch.ones(len(x0), dtype=torch.long)
    state = process.corrupt(x0, t, torch.ones_like(x0, dtype=torch.bool), torch.Generator().manual_seed(0))
    log_p0 = process.predict(lambda *a: logits, state, None)
    nll = -log_p0.gather(-1, x0[..., None])[..., 0]
    assert torch.allclose(process._kl(logits.softmax(-1), x0, state.x, t), nll, atol=1e-10)


def test_prior_kl_is_the_sum_over_letters():
    process = Multinomial(4, 3)  # few steps, so that it is not next to nothing
    keep = float(np.exp(cosine_keep(3)[-1]))
    q = np.full(4, (1 - keep) / 4)
    q[0] += keep
    mask = torch.tensor([[True, True, False], [True, False, False]])
    expected = (q * np.log(q * 4)).sum() * np.array([2, 1])
    assert np.allclose(process.prior_kl(mask).numpy(), expected, rtol=1e-10)
    process.term = lambda denoiser, x0, *rest: torch.zeros(len(x0), dtype=torch.float64)
    terms = list(process.bound_terms(None, Batch.of(torch.zeros(2, 3).long(), mask), None, torch.Generator()))
    assert len(terms) == 3
    assert np.allclose(sum(terms).numpy(), expected, rtol=1e-10)


def test_last_step_is_the_prediction():
    process, _, _, state, logits = random_case(4, 100)
    log_p0 = process.predict(lambda *a: logits, state, None)
    assert torch.allclose(process.posterior(log_p0, state, 0), log_p0, atol=1e-10)


def test_times_are_uniform_until_each_was_seen_more_than_ten_times():
    process = Multinomial(4, 5)
    process.term_square.copy_(torch.tensor([9.0, 1.0, 4.0, 0.0, 16.0]))
    process.term_count.copy_(torch.tensor([11.0, 11, 11, 10, 11]))
    assert torch.allclose(process.time_probabilities(), torch.full((5,), 0.2))
    process.term_count.fill_(11)
    # the entry of the reconstruction takes its neighbour's place
    root = np.sqrt(np.array([1.0, 1.0, 4.0, 0.0, 16.0]) + 1e-10) + 1e-4
    assert np.allclose(process.time_probabilities(), root / root.sum(), rtol=1e-5)


def test_history_is_a_running_mean_of_squared_terms():
    process = Multinomial(4, 3)
    process.term_square.fill_(1.0)
    process._remember(torch.tensor([0, 0, 2]), torch.tensor([1.0, 3.0, 2.0]), torch.Generator())
    assert np.allclose(process.term_square, [0.9 + 0.1 * 5.0, 1.0, 0.9 + 0.1 * 4.0])
    assert process.term_count.tolist() == [2.0, 0.0, 1.0]


def test_scoring_does_not_change_the_loss_history():
    process = Multinomial(4, 3).eval()
    x0, mask = torch.zeros(8, 2).long(), torch.ones(8, 2, dtype=torch.bool)
    process.loss(lambda x, *a: torch.zeros(*x.shape, 4), Batch.of(x0, mask), torch.Generator().manual_seed(0))
    assert process.term_count.sum() == 0


def test_levels_end_at_the_data_and_do_not_repeat():
    process = Multinomial(4, 100)
    state = State(torch.zeros(1, 1), torch.full((1,), 100), torch.ones(1, 1, dtype=torch.bool))
    assert list(process.levels(state, None)) == list(range(99, -1, -1))
    for steps in (1, 7, 25, 99, 500):
        levels = list(process.levels(state, steps))
        assert len(levels) == min(steps, 100) == len(set(levels)) and levels[-1] == 0 and levels[0] < 100
