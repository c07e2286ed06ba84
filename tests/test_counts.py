"""Event counts: drawn by inverting their laws, however many there are."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import poisson as poisson_law

from seqdiff.processes.noise.event_counts import poisson, thinned


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_counts_follow_their_laws():
    rates = torch.tensor([0.0, 0.3, 20.0])
    drawn = poisson(rates, 40_000, seeded())
    for rate, row in zip(rates.tolist(), drawn, strict=True):
        frequencies = torch.bincount(row, minlength=80).numpy() / 40_000
        assert np.abs(frequencies - poisson_law.pmf(np.arange(len(frequencies)), rate)).max() < 0.01
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
    """Counts are drawn among those near their mean, however large that is."""
    rates = torch.tensor([3e8, 2.0, 0.0])
    drawn = poisson(rates, 20_000, seeded()).double()
    assert torch.allclose(drawn[0].mean() / 3e8, torch.ones((), dtype=torch.float64), atol=2e-6)
    assert abs(float(drawn[0].std()) / math.sqrt(3e8) - 1) < 0.02
    assert abs(float(drawn[1].mean()) - 2) < 0.05 and not drawn[2].any()
    left = thinned(torch.tensor([[10**8] * 20_000, [3] * 20_000]), 0.3, seeded()).double()
    assert abs(float(left[0].mean()) / 3e7 - 1) < 2e-6 and abs(float(left[0].std()) / math.sqrt(2.1e7) - 1) < 0.02
    assert abs(float(left[1].mean()) - 0.9) < 0.03 and left[1].max() == 3
    assert torch.equal(thinned(torch.tensor([[10**8, 3]]), 1.0, seeded()), torch.tensor([[10**8, 3]]))
