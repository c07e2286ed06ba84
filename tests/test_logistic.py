"""The logistic parameterisation: differences of logistic distribution functions, at any scale."""

import pytest
import torch

from seqdiff.processes.categorical import logistic_log_probs, logistic_start


@pytest.mark.parametrize("location, scale", [(0.3, 1.0), (-4.0, 2.5), (11.0, 0.4), (5.0, 20.0)])
def test_letters_are_differences_of_the_distribution_function(location, scale):
    edges = torch.tensor([-torch.inf, *(i + 0.5 for i in range(9)), torch.inf], dtype=torch.float64)
    below = torch.sigmoid((edges - location) / scale)
    found = logistic_log_probs(*torch.tensor([location, scale], dtype=torch.float64), 10).exp()
    assert torch.allclose(found, below.diff(), atol=1e-12)


def test_nothing_is_lost_far_from_the_location():
    far = logistic_log_probs(torch.tensor(1000.0), torch.tensor(0.05), 256)
    assert torch.isfinite(far).all()
    assert abs(float(far.exp().sum()) - 1) < 1e-6
    assert far[0] < -1e4


def test_start_has_the_mean_of_the_frequencies():
    p = torch.tensor([[0.05, 0.1, 0.4, 0.3, 0.15], [0.6, 0.2, 0.1, 0.05, 0.05]])
    location, scale = logistic_start(p.log()).unbind(-1)
    law = logistic_log_probs(2 + 5 * location, 0.01 + 5 * torch.nn.functional.softplus(scale), 5).exp()
    i = torch.arange(5.0)
    assert torch.allclose((law * i).sum(-1), (p * i).sum(-1), atol=0.25)
