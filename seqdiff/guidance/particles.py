"""Guides that make each sample of a group of rows, particles, and choose among them on the way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqdiff.errors import InputError, argument, shown
from seqdiff.guidance.base import Guidance
from seqdiff.runtime import CHUNK, Generators, uniform

UNEVEN = 0.5  # rows are chosen anew when fewer than this share of them counts


class Particles(Guidance):
    """A guide with several rows for each sample.

    Parameters
    ----------
    particles : int
        Rows for each sample, a power of two up to 256.
    """

    def __init__(self, particles: int) -> None:
        check_particles(particles)
        self.copies = particles

    def regrouped(self, state: Any, chosen: Tensor) -> Any:
        """Return the state in which the rows of each group are those `chosen`, (groups, particles)."""
        groups = torch.arange(len(chosen), device=chosen.device)[:, None] * self.copies
        return state.take((groups + chosen).flatten())


def check_particles(particles: Any) -> None:
    """Raise an `InputError` unless groups of so many rows fit what draws its noise together."""
    if particles not in [2**i for i in range(1, CHUNK.bit_length())]:
        raise InputError(argument("particles"), shown(particles), f"a power of two from 2 to {CHUNK}", "give one")


def resampled(log_weight: Tensor, last: bool, generator: Generators) -> tuple[Tensor, Tensor]:
    """Return which rows go on, (groups, particles), and their weights: where these are even enough, all as they are.

    Log-weights are 0 where the rows of a group were chosen anew. In the end all are drawn by their weights.
    """
    weight = probabilities(log_weight)
    uneven = 1 / weight.square().sum(-1, keepdim=True) < UNEVEN * weight.shape[1]
    drawn, all_rows = draw(weight, generator), torch.arange(weight.shape[1], device=weight.device)
    again = torch.ones_like(uneven) if last else uneven
    return torch.where(again, drawn, all_rows), torch.where(again, 0.0, log_weight)


def probabilities(log_weight: Tensor) -> Tensor:
    """Return weights (groups, particles) that sum to 1 in each group; all alike where all are impossible."""
    possible = (log_weight > -torch.inf).any(-1, keepdim=True)
    return torch.softmax(torch.where(possible, log_weight, 0.0), -1)


def draw(weight: Tensor, generator: Generators) -> Tensor:
    """Draw as many rows from each group as it has, independently, (groups, particles)."""
    u = uniform((weight.numel(),), generator, weight.device).to(weight.dtype).view(weight.shape)
    return torch.searchsorted(weight.cumsum(-1), u, right=True).clamp_max(weight.shape[1] - 1)
