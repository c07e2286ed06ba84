"""The Monte Carlo error that `score_samples` states: as large as what it is the error of, however many levels."""

from __future__ import annotations

import pytest
import torch

from seqdiff.training.objective import Batch, Objective, error_variance

ROWS = 60_000


class Terms(torch.nn.Module):
    """A process whose terms are independent, with equal means and the given standard deviations."""

    bound = "elbo"

    def __init__(self, spread: list[float]) -> None:
        super().__init__()
        self.spread = spread

    def bound_terms(self, denoiser, batch, times, generator):
        for spread in self.spread:
            yield 5.0 + spread * torch.randn(len(batch), dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("spread", [[2, 1], [2, 1, 1], [1, 1, 2], [3, 1, 1, 1], [4, 1, 2, 1, 1], [1, 3, 1, 1, 2, 1, 1]])
def test_the_stated_variance_is_that_of_the_sum(spread):
    rows = Batch(torch.zeros(ROWS, 1, dtype=torch.long), torch.ones(ROWS, dtype=torch.long))
    objective = Objective(Terms(spread), torch.nn.Identity())
    total, variance = objective.bound(rows, len(spread), torch.Generator().manual_seed(0))
    true = sum(s**2 for s in spread)
    assert total.var() == pytest.approx(true, rel=0.03)
    assert variance.mean() == pytest.approx(true, rel=0.03)


def test_what_terms_differ_by_in_the_mean_makes_the_error_larger_not_smaller():
    steps = torch.arange(5.0)[:, None].expand(5, 3)
    assert (error_variance(steps) > 0).all()
    assert (error_variance(torch.ones(5, 3)) == 0).all()
