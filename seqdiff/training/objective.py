"""A process and its network as one module to train."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seqdiff.processes.base import Batch, Process
from seqdiff.processes.continuous import BOUND_CALLS
from seqdiff.runtime import ChosenRows, Generators, call_letters, uniform, widest
from seqdiff.sampling import Denoiser
from seqdiff.training.batches import StoredBatch

Data = TypeVar("Data", bound=Batch | StoredBatch)

SMALL, SHARE = 0.25, 0.05  # nats, and share of the bound: errors up to the larger are small enough
MOST = 8  # times as many levels as usual, where an error is not


class Objective(nn.Module):
    """A process with its network, which are optimised, averaged and saved together."""

    def __init__(self, process: Process, network: nn.Module) -> None:
        super().__init__()
        self.process = process
        self.network = network

    @property
    def repeatable(self) -> bool:
        """Return whether the loss is the same kernels whenever it is computed, so that they can be recorded."""
        return self.process.repeatable and not getattr(self.network, "checkpointing", False)

    def forward(self, batch: Batch, generator: Generators) -> dict[str, Tensor]:
        """Return the parts of which the loss of each sequence is the sum, in nats, (B,) each."""
        parts = self.process.parts(self.network, batch, generator)
        for name, part in parts.items():
            if part.shape != batch.lengths.shape:
                process = type(self.process).__name__
                raise TypeError(f"{process}: got a {name} of shape {tuple(part.shape)}, expected one for each sequence")
        return parts

    @torch.no_grad()
    def bound(self, batch: Batch, times: int | None, generator: Generators) -> tuple[Tensor, Tensor]:
        """Return the bound on -log p given the length, nats per sequence (B,), and its Monte Carlo variance (B,).

        `times` is the number of noise levels of `Process.bound_terms`, drawn by `generator` for all sequences of the
        batch. The variance of a single term is nan.
        """
        terms = list(self.process.bound_terms(self._denoiser(batch), batch, times, generator))
        total = torch.stack(terms).to(widest(batch.x0.device)).sum(0)
        if self.process.bound == "exact":
            return total, torch.zeros_like(total)
        if len(terms) < 2:
            return total, torch.full_like(total, torch.nan)
        return total, error_variance(torch.stack(terms)).to(total.dtype)

    def _denoiser(self, batch: Batch) -> Denoiser:
        """Return the network, called on as many letters at a time as the memory has room for."""
        return Denoiser(self.network, letters=call_letters(batch.x0.device))

    @property
    def refines(self) -> bool:
        """Return whether there is a `refined_bound`."""
        return self.process.guesses > 0

    @torch.no_grad()
    def refined_bound(self, batch: Batch, streams: Callable[..., list[torch.Generator]]) -> tuple[Tensor, Tensor]:
        """Return bound and variance, (B,) each, with more levels in the rows where the error would be large.

        Two estimates are made, each of all levels, and each is repeated as often as the error of the *other* one asks:
        their mean stays unbiased, as no row decides by its own error. `streams(*names)` returns generators of the rows'
        noise by those names.
        """
        process: Any = self.process
        rows, first = torch.arange(len(batch), device=batch.x0.device), streams()
        levels = math.ceil((BOUND_CALLS - process.guesses) / 2)
        denoiser = self._denoiser(batch)
        guess = process.guess(denoiser, batch, first)

        def run(rows: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
            part = batch.take(rows)
            terms = process.bound_terms(denoiser, part, levels, generators, guess[rows])
            stacked = torch.stack([*terms]).to(widest(rows.device))
            return stacked.sum(0), error_variance(stacked)

        halves = [run(rows, first) for _ in range(2)]
        wanted = [repeats(*half) for half in reversed(halves)]
        for i, (bound, variance) in enumerate(halves):
            for again in range(1, MOST):
                some = (wanted[i] > again).nonzero()[:, 0]
                if not len(some):
                    break
                more, its_variance = run(some, ChosenRows(streams(i, again), some))
                bound[some] += more
                variance[some] += its_variance
        means = torch.stack([half[0] / n for half, n in zip(halves, wanted, strict=True)])
        variances = torch.stack([half[1] / n**2 for half, n in zip(halves, wanted, strict=True)])
        return means.mean(0), variances.sum(0) / 4


def repeats(bound: Tensor, variance: Tensor) -> Tensor:
    """Return how often two estimates of this variance are to be made for a small enough error of their mean, (B,)."""
    enough = torch.clamp(SHARE * bound.abs(), min=SMALL)
    return (variance / 2 / enough**2).ceil().clamp(1, MOST)


def error_variance(terms: Tensor) -> Tensor:
    """Return the variance (B,) of the sum of independent terms (n, B), n at least 2, neighbours being close in mean.

    (a - b)^2 has the mean var a + var b, if anything more; where n is odd the first three go together, of which
    3/2 sum (t - mean)^2 has the mean that their variances add up to.

    Examples
    --------
    >>> error_variance(torch.tensor([[1.0], [3.0], [2.0]]))
    tensor([3.])
    """
    odd = 3 if len(terms) % 2 else 0
    pairs = (terms[odd::2] - terms[odd + 1 :: 2]).square().sum(0)
    if not odd:
        return pairs
    return pairs + 1.5 * (terms[:odd] - terms[:odd].mean(0)).square().sum(0)


def drop_labels(batch: Data, rate: float, generator: torch.Generator) -> Data:
    """Hide the condition of a random share of the rows, from which classifier-free guidance learns p(x).

    Of several columns that may be missing one by one, as large a share of the rows loses some but not all: a number
    of them that is uniform over 1 .. columns - 1, whichever.
    """
    if batch.cond is None or rate == 0:
        return batch
    device = batch.device
    stay = uniform((len(batch),), generator, device, torch.float32) >= rate
    cond = {**batch.cond, "keep": batch.cond["keep"] & stay}
    if "known" in cond:
        known = cond["known"]
        rows, columns = known.shape
        partly, u = uniform((2, rows), generator, device, torch.float32)
        hidden = 1 + (u * (columns - 1)).long().clamp_max(columns - 2)
        rank = uniform((rows, columns), generator, device, torch.float32).argsort(-1).argsort(-1)
        known = known & ((rank >= hidden[:, None]) | (partly >= rate)[:, None])
        cond |= {"known": known, "keep": cond["keep"] & known.any(-1)}
    return replace(batch, cond=cond)
