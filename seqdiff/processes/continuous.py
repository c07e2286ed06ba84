r"""Base of the diffusions in continuous time: times t = t_max u^2, so that the estimates have a finite variance.

    -log p(x_0) <= KL(q(x_T | x_0) || prior) + E_u [2 u t_max density(t_max u^2)],   u uniform in [0, 1)

A control variate lowers the variance: the loss of a prediction w that does not depend on the draw of x_t is subtracted,
and its integral added, which is known, as the bound of independent letters is tight:

    integral for x_0 with prediction w = -log w(x_0) - KL(q(x_T | x_0) || w q_T)

In training w are the letter frequencies, `p0`. Scores take the network's own prediction from the clean sequence
(`guess`), whose loss on a draw is close to the network's.

Near t = 0 a letter is changed with probability of order t and then costs log(1/t)/t per unit of time: with t uniform
the mean of the square diverges, with t = u^2 it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff.processes.base import Batch, Denoiser, S, masked_sum
from seqdiff.processes.categorical import CategoricalProcess, strata, stratified
from seqdiff.processes.noise.events import Powers, one_event
from seqdiff.processes.noise.importance_sampling import Stratum, late, spread, touched
from seqdiff.processes.noise.rate_matrices import Forward
from seqdiff.processes.noise.schedules import Schedule
from seqdiff.runtime import Generators, widest

BOUND_CALLS = 20  # calls of the network for a bound by default
SMALLEST_GUESS = 1e-6  # probability of a letter in a guess
EARLIEST_ROOT = 1e-6  # smallest u: t >= 1e-12 t_max is a number by whose square float32 can divide


class ContinuousTime(CategoricalProcess[S]):
    """A diffusion over real times, 0 (data) to `t_max` (noise). Subclasses define `density` and `prior_kl`.

    The sampler makes `steps` steps by default.
    """

    t_max = 1.0
    guesses = 1
    law: Tensor  # p0, by its name in model files

    def __init__(self, letters: int, steps: int = 100) -> None:
        super().__init__(letters)
        self.steps = steps
        self.register_buffer("law", torch.full((letters,), 1 / letters, dtype=torch.float64))

    @property
    def p0(self) -> Tensor:
        """(K,) frequencies of the letters in the training set."""
        return self.law

    def fit_schedule(self, p0: Tensor) -> None:
        self.p0.copy_(p0)

    def end_kl(self) -> Tensor:
        """Return KL(q(x_T | x_0) || p0 q_T) for each letter x_0, (K,) nats; by default 0."""
        return torch.zeros_like(self.p0)

    def end_kl_of(self, w: Tensor, x0: Tensor) -> Tensor:
        """Return KL(q(x_T | x_0) || w q_T) per position, (B, L) nats, for predictions w (B, L, K); by default 0."""
        return torch.zeros(x0.shape, dtype=self.p0.dtype, device=x0.device)

    def known(self, batch: Batch, guess: Tensor | None = None) -> Tensor:
        """Return the integral (B,) in nats with `guess` (B, L, K), or `p0`, as the prediction."""
        if guess is None:
            return masked_sum((-self.p0.log() - self.end_kl())[batch.x0], batch.mask)
        wide = guess.to(self.p0.dtype)
        surprise = -wide.gather(-1, batch.x0[..., None]).squeeze(-1).log()
        return masked_sum(surprise - self.end_kl_of(wide, batch.x0), batch.mask)

    def guess(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        """Return a prediction (B, L, K) that does not depend on the draws of x_t.

        Estimates are unbiased with any; the nearer it is to the network's, the smaller their variance. By default the
        network's from the clean sequence, near to those at small t, where single losses are very large.
        """
        return positive(self.context(denoiser, self.settled(batch.x0, batch.mask), batch.cond))

    def density(self, w: Tensor, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Return the loss per unit of time and position, (B, L) nats.

        w are context probabilities (B, L, K), without the evidence of x; x0 and x clean and noised letters (B, L); t
        times (B,), above 0 and below 1.
        """
        raise self._missing("density")

    def prior_kl(self, x0: Tensor, mask: Tensor) -> Tensor:
        """Return KL(q(x_T | x_0) || prior) per sequence, (B,) nats."""
        raise self._missing("prior_kl")

    def noise_times(self, u: Tensor) -> Tensor:
        return self.t_max * u

    def last_times(self, mask: Tensor) -> Tensor:
        """Return t_max (B,), in float64 where the device has it."""
        return torch.full(mask.shape[:1], self.t_max, dtype=widest(mask.device), device=mask.device)

    def levels(self, state: S, steps: int | None) -> Iterator[Any]:
        """Yield the times to visit, t_max excluded: evenly spaced, the last one 0."""
        yield from np.linspace(self.t_max, 0, (steps or self.steps) + 1)[1:].tolist()

    def term(
        self, denoiser: Denoiser, batch: Batch, u: Tensor, generator: Generators, guess: Tensor | None = None
    ) -> Tensor:
        """Return an estimate (B,) of the integral in nats from one draw of x_t; u (B,) in [0, 1).

        `guess` (B, L, K) replaces `p0`.
        """
        return self.deviation(denoiser, batch, u, generator, guess) + self.known(batch, guess)

    def deviation(
        self, denoiser: Denoiser, batch: Batch, u: Tensor, generator: Generators, guess: Tensor | None = None
    ) -> Tensor:
        """Return an estimate (B,) of the integral minus `known` from one draw of x_t, by default at t = t_max u^2."""
        x0, u = batch.x0, u.clamp_min(EARLIEST_ROOT)
        state = self.corrupt(x0, self.t_max * u**2, batch.mask, generator)
        w = torch.softmax(self.context(denoiser, state, batch.cond), -1)
        density = self.density(w, x0, state.x, state.t) - self.density(self.alike(w, guess), x0, state.x, state.t)
        return 2 * self.t_max * u.to(density.dtype) * masked_sum(density, batch.mask)

    def alike(self, w: Tensor, guess: Tensor | None = None) -> Tensor:
        """Return `guess`, or `p0`, as a prediction like w."""
        return self.p0.to(w.dtype).expand_as(w) if guess is None else guess.to(w.dtype)

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        u = stratified(len(batch), generator, batch.x0.device)
        return self.term(denoiser, batch, u, generator) + self.prior_kl(batch.x0, batch.mask)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators, guess: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield one term from each of `times` strata of u, each with its share of the prior's KL.

        None takes as many as make `BOUND_CALLS` calls of the network, those of `guess` included.
        """
        guess = self.guess(denoiser, batch, generator) if guess is None else guess
        times = times or BOUND_CALLS - self.guesses
        known, prior_kl = self.known(batch, guess), self.prior_kl(batch.x0, batch.mask)
        for u in strata(times, len(batch), generator, batch.x0.device):
            yield (self.deviation(denoiser, batch, u, generator, guess) + known + prior_kl) / times


class RateMatrixProcess(ContinuousTime[S]):
    """A diffusion by a rate matrix along a schedule. Subclasses define `kl_at_end` and call `measure_end` when made.

    `fastest` is the largest rate by which a letter changes. With `gradual` half of the noise levels of a bound are
    drawn for what happens after each letter has jumped, as where letters turn into neighbours, many times before they
    are forgotten.
    """

    letter_kl: Tensor  # KL(q(x_T | x_0) || prior) for each letter x_0, (K,) nats
    p0_kl: Tensor  # KL(q(x_T | x_0) || p0 q_T), (K,) nats

    def __init__(self, forward: Forward, schedule: Schedule, fastest: float, steps: int, gradual: bool = False) -> None:
        super().__init__(forward.letters, steps)
        self.gradual = gradual
        self.schedule, self.t_max = schedule, schedule.t_max
        self.jumps = Powers(one_event(forward, fastest), forward.stationary, fastest)
        self.late = max(2.0, 2 * fastest / forward.gap)  # the power of `late`: the loss lasts beyond the first jumps
        self.register_buffer("letter_kl", torch.zeros_like(self.p0), persistent=False)
        self.register_buffer("p0_kl", torch.zeros_like(self.p0), persistent=False)
        self.register_load_state_dict_post_hook(RateMatrixProcess.measure_end)  # a file may hold a fitted schedule

    def fit_schedule(self, p0: Tensor) -> None:
        super().fit_schedule(p0)
        self.measure_end()

    def measure_end(self, *_: object) -> None:
        """Compute `letter_kl` and `p0_kl` from the schedule and the letter frequencies."""
        self.largest = self.schedule.largest  # as a number: to read it anew would wait for the device
        for buffer, kl in zip((self.letter_kl, self.p0_kl), self.kl_at_end(), strict=True):
            buffer.copy_(kl)

    @property
    def most_jumps(self) -> float:
        """Return the expected jumps of the fastest letter until `t_max`."""
        return self.jumps.rate * self.largest

    def stratum(self, u: Tensor, mask: Tensor, generator: Generators, untouched: bool) -> Stratum:
        """Return a draw of the expected jumps per letter, minus `log_alpha`, and of the letters that jumped."""
        if self.gradual:
            return spread(u, mask, generator, self.most_jumps, untouched=untouched)
        return late(touched(u, mask, generator, untouched=untouched), mask, self.late)

    def kl_at_end(self) -> tuple[Tensor, Tensor]:
        """Return `letter_kl` and `p0_kl` at Lambda = `largest`."""
        raise self._missing("kl_at_end")

    def total(self, t: Tensor) -> Tensor:
        """Return Lambda(t), in float64 where the device has it."""
        return self.schedule.total(t.to(self.p0.dtype))

    def prior_kl(self, x0: Tensor, mask: Tensor) -> Tensor:
        return masked_sum(self.letter_kl[x0], mask)

    def end_kl(self) -> Tensor:
        return self.p0_kl


def positive(context: Tensor) -> Tensor:
    """Return the probabilities (B, L, K) of context logits, each large enough for a finite logarithm."""
    w = torch.softmax(context, -1) + SMALLEST_GUESS
    return w / w.sum(-1, keepdim=True)
