r"""SCUD: diffusion conditioned on the schedule of jumps (Amin, Gruver & Wilson 2025, arXiv 2506.08316).

Events happen at the rate r = max_i(-Q_ii)/(1 - gamma), and each draws the letter anew from the chain K = 1 + Q/r. By
time t a position has had S ~ Poisson(Lambda(t)) of them, and x_t ~ K^S[x_0, .]. The network is given S of every
position and only has to learn where letters go, not when they jump:

    -log p(x_0) <= E_S KL(K^S[x_0, .] || pi) at t_max
                   + integral over t of beta/Lambda E sum_l S KL(q(x_{S-1} | x_S, x_0) || p_theta(x_{S-1} | x_S))

with q(x_{S-1} | x_S, x_0) ~ K^{S-1}[x_0, x_{S-1}] K[x_{S-1}, x_S], and p_theta the same averaged over p(x_0 | x_S).
As gamma -> 1 this becomes classical diffusion with the rates Q; uniform Q with gamma = 1/K is masked diffusion, in
which letters with S > 0 are masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqdiff.processes.base import Batch, Cond, Denoiser, State, like, masked_sum
from seqdiff.processes.categorical import sample_categorical, single_letters
from seqdiff.processes.continuous import RateMatrixProcess, positive
from seqdiff.processes.noise.events import Powers, make_powers, poisson, thinned
from seqdiff.processes.noise.importance_sampling import latest
from seqdiff.processes.noise.rate_matrices import Forward, jump_kl
from seqdiff.processes.noise.schedules import Linear, Schedule
from seqdiff.runtime import Generators

EVENTS_END = 100_000  # events, the end of the scale on which the network sees counts


class Undo(NamedTuple):
    """A step: the events above `counts` (B, L), those by time `time`, are undone.

    With `redo` the same number of events happens again afterwards: a corrector step, which keeps the counts.
    """

    counts: Tensor
    time: float
    redo: bool = False


@dataclass(frozen=True)
class EventState(State):
    """Letters, and in `t` the number of events (B, L) of each."""

    time: Tensor = None  # type: ignore[assignment]  # (B,) the sampler's time
    fresh: Tensor | None = None  # (B,) booleans, True before the first step
    given: Tensor | None = None  # (B, L) booleans, True at known letters
    steered: Tensor | None = None  # (B, L) booleans, True where a template restricts the letters
    undone: Tensor | None = None  # (B, L) the letters between the halves of a corrector step


class SCUD(RateMatrixProcess[EventState]):
    """Diffusion conditioned on the number of events at each position; `State.t` holds those, (B, L).

    Parameters
    ----------
    forward : Forward
        The rate matrix, of `make_forward`; not an absorbing one.
    gamma : float
        The share of events that change nothing at the fastest letter, from 0 (SCUD) to below 1 (towards classical
        diffusion). 1 minus the paper's.
    schedule : Schedule, optional
        Of the expected number of events Lambda(t), its scale r included; None is `Linear(r)`.
    steps : int
        Steps of the sampler by default.
    correctors : int
        Corrector steps after each of them, one call of the network each.
    gradual : bool
        See `RateMatrixProcess`.
    spread : bool
        True if the positions whose events a step undoes are far apart.
    """

    shows_known = "letters"
    state_class = EventState
    guesses = 3
    redone = 0.25
    """The share of the events that a corrector step undoes: small, as it is exact while one position changes."""

    def __init__(
        self,
        forward: Forward,
        gamma: float = 0.0,
        schedule: Schedule | None = None,
        steps: int = 100,
        correctors: int = 0,
        gradual: bool = False,
        *,
        spread: bool = True,
    ) -> None:
        powers = make_powers(forward, gamma)
        super().__init__(forward, schedule or Linear(powers.rate), powers.rate * (1 - gamma), steps, gradual)
        self.gamma, self.powers, self.correctors, self.spread = gamma, powers, correctors, spread
        self.measure_end()

    def fit_schedule(self, p0: Tensor) -> None:
        self.schedule.fit_scud(self.powers, p0)
        super().fit_schedule(p0)

    def kl_at_end(self) -> tuple[Tensor, Tensor]:
        letter_kl = end_kl(self.powers, self.largest, self.powers.stationary)
        return letter_kl, end_kl(self.powers, self.largest, self.p0)

    # -- the noise ----------------------------------------------------------------------------------------------------

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> EventState:
        """Draw the events of every position by the times t (B,), and the letters after them."""
        counts = poisson(self.total(t), x0.shape[1], generator)
        return self.jumped(x0, counts, mask, generator)

    def jumped(self, x0: Tensor, counts: Tensor, mask: Tensor, generator: Generators) -> EventState:
        """Draw the letters after `counts` (B, L) events."""
        return EventState(sample_categorical(self.powers.rows(counts, x0).log(), generator), counts, mask)

    def network_input(self, state: EventState) -> tuple[Tensor, Tensor]:
        """Return the letters, and log(1 + S) / log(1 + EVENTS_END) (see `TimeEmbedding`)."""
        return state.x, torch.log1p(state.t.float()) / math.log1p(EVENTS_END)

    def log_evidence(self, state: EventState, dtype: torch.dtype) -> Tensor:
        return self.powers.columns(state.t, state.x).log().to(dtype)

    def end_kl_of(self, w: Tensor, x0: Tensor) -> Tensor:
        total = torch.zeros_like(w[..., 0])
        for n, weight in zip(*end_counts(self.largest, self.p0), strict=True):
            q = self.powers(n)
            # after n events the rows of K^n differ by `spread`, relative: the KL is of the order of its square
            spread = float((q.amax(0) / q.amin(0).clamp_min(1e-300) - 1).max())
            if float(weight) * min(spread, 30.0) ** 2 > 1e-12:
                kl = torch.xlogy(q, q).sum(-1)[x0] - torch.xlogy(q[x0], w @ q).sum(-1)
                total = total + weight * kl.clamp_min(0)
        return total

    # -- the loss -----------------------------------------------------------------------------------------------------

    @property
    def most_jumps(self) -> float:
        return (1 - self.gamma) * self.largest  # of which Lambda counts all events

    def event_kl(self, w: Tensor, x0: Tensor, state: EventState) -> Tensor:
        """Return S KL(q(x_{S-1} | x_S, x_0) || p_theta(x_{S-1} | x_S)), (B, L) nats, from context probabilities w."""
        w = w.to(self.powers.one.dtype)
        before = (state.t - 1).clamp_min(0)
        last = self.powers.one.T[state.x]  # K[., x_S]
        truth = self.powers.rows(before, x0) * last
        model = self.powers.mix(w, before) * last
        tiny = torch.finfo(truth.dtype).tiny
        truth, model = (p / p.sum(-1, keepdim=True).clamp_min(tiny) for p in (truth, model))
        log_ratio = model.clamp_min(tiny).log() - truth.clamp_min(tiny).log()
        return state.t * jump_kl(truth, model - truth, log_ratio).sum(-1)

    def deviation(
        self, denoiser: Denoiser, batch: Batch, u: Tensor, generator: Generators, guess: Tensor | None = None
    ) -> Tensor:
        """Return an estimate (B,) of the integral over Lambda, which no schedule changes, minus `known`.

        An event is a jump by K' = 1 + Q/max_i(-Q_ii) with probability 1 - gamma, else nothing: letters with a jump are
        those that are touched.
        """
        x0, mask, share = batch.x0, batch.mask, 1 - self.gamma
        stratum = self.stratum(u, mask, generator, untouched=self.gamma > 0)
        jumped = -stratum.log_alpha  # expected jumps of a letter, Lambda (1 - gamma)
        most = max(latest(2.0, x0.shape[1]), self.most_jumps) if self.gradual else latest(self.late, x0.shape[1])
        jumps = torch.where(stratum.where, poisson(jumped, x0.shape[1], generator, least=1, most=most), 0)
        x = sample_categorical(self.jumps.rows(jumps, x0).log(), generator)
        if self.gamma > 0:
            often = self.gamma / share
            idle = poisson(jumped * often, x0.shape[1], generator, most=most * often)
            jumps = jumps + idle
        state = EventState(x, jumps, mask)
        w = torch.softmax(self.context(denoiser, state, batch.cond), -1)
        lost = masked_sum(self.event_kl(w, x0, state) - self.event_kl(self.alike(w, guess), x0, state), mask)
        # dLambda / Lambda = da / ((1 - a) -log(1 - a)), in which the share cancels
        weight = (stratum.log_weight - stratum.log_alpha - jumped.log()).exp()
        return torch.where(jumped <= self.most_jumps, weight * lost, 0)

    def guess(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        """Return the mean of the network's predictions from noise alone and from every other letter.

        The network does not learn to predict letters with S = 0: noise replaces the letters at even and at odd
        positions in turn.
        """
        x0, cond = batch.x0, batch.cond
        end = self.prior(batch.mask, generator)
        end = EventState(end.x, end.t.clamp_min(1), batch.mask)
        even = torch.arange(x0.shape[1], device=x0.device) % 2 == 0
        far = positive(self.context(denoiser, end, cond))
        near = torch.zeros_like(far)
        for gone in (even, ~even):
            state = EventState(torch.where(gone, end.x, x0), torch.where(gone, end.t, 0), batch.mask)
            near = torch.where(gone[:, None], positive(self.context(denoiser, state, cond)), near)
        return (near + far) / 2

    # -- sampling -----------------------------------------------------------------------------------------------------

    def prior(self, mask: Tensor, generator: Generators) -> EventState:
        """Draw the events of every position and letters of the stationary distribution."""
        time = self.last_times(mask)
        counts = poisson(self.total(time), mask.shape[1], generator)
        x = sample_categorical(self.powers.stationary.log().expand(*mask.shape, -1), generator)
        return EventState(x, counts, mask, time, torch.ones_like(time, dtype=torch.bool))

    def given(self, state: EventState, log_allowed: Tensor) -> tuple[EventState, Tensor]:
        """Return the state with known letters, for which S = 0: no event has changed them."""
        known, letters = single_letters(log_allowed, state.mask)
        x, counts = torch.where(known, letters, state.x), state.t.masked_fill(known, 0)
        return state.replace(x=x, t=counts, given=known, steered=(log_allowed == -torch.inf).any(-1)), known

    def levels(self, state: EventState, steps: int | None) -> Iterator[tuple[float, bool]]:
        """Yield times, evenly spaced, the last one 0; True beside a time marks a corrector step there."""
        if bool((self.untouched(state) & state.mask).any()):
            yield self.t_max, False  # letters without any event are settled first
        for time in np.linspace(self.t_max, 0, (steps or self.steps) + 1)[1:].tolist():
            yield time, False
            yield from [(time, True)] * (self.correctors if time else 0)

    def aim(self, state: EventState, level: tuple[float, bool], generator: Generators) -> Undo:
        """Draw how many events each position had by the level's time: S_s | S_t is binomial, Lambda(s)/Lambda(t)."""
        time, redo = level
        now, then = self.total(state.time[:1]), self.total(state.time.new_full((1,), time))
        stay = 1 - self.redone if redo else float((then / now).clamp(0, 1))
        counts = thinned(state.t, stay, generator, spread=self.spread)
        if redo and state.steered is not None:  # a template's weights count each letter once: none is drawn again
            counts = torch.where(state.steered, state.t, counts)
        return Undo(counts, time, redo)

    def untouched(self, state: EventState) -> Tensor:
        """Return booleans (B, L), True at letters of the prior without any event."""
        untouched = torch.zeros_like(state.mask) if state.fresh is None else (state.t == 0) & state.fresh[:, None]
        return untouched if state.given is None else untouched & ~state.given

    def predict(self, denoiser: Denoiser, state: EventState, cond: Cond, temperature: float = 1.0) -> Tensor:
        log_p0 = super().predict(denoiser, state, cond, temperature)
        stationary = self.powers.stationary.log().to(log_p0.dtype)
        return torch.where(self.untouched(state)[..., None], stationary, log_p0)

    def kernel(self, log_p0: Tensor, state: EventState, target: Undo) -> Tensor:
        kernel = self.posterior(log_p0, state, target.counts)
        return torch.where(self.untouched(state)[..., None], log_p0, kernel)

    def posterior(self, log_p0: Tensor, state: EventState, target: float | Tensor) -> Tensor:
        """Return log p(x_{S-k} | x_S), where `target`, (B, L) or a number, is S - k.

        With v(x_0) = p(x_0 | x_S) / K^S[x_0, x_S]: p(x_{S-k} | x_S) = K^k[x_{S-k}, x_S] (v K^{S-k})[x_{S-k}].
        """
        counts = like(target, state.t)
        wide = log_p0.to(self.powers.one.dtype)
        evidence = self.powers.columns(state.t, state.x).clamp_min(torch.finfo(wide.dtype).tiny)
        log_v = torch.where(wide > -torch.inf, wide - evidence.log(), -torch.inf)
        v = (log_v - log_v.amax(-1, keepdim=True)).exp()
        before = self.powers.mix(v, counts)
        joint = before * self.powers.columns(state.t - counts, state.x)
        # letters that a template demands may be out of reach in so few events: then x_S is not kept
        joint = torch.where(joint.sum(-1, keepdim=True) > 0, joint, before)
        return torch.log_softmax(joint.log(), -1).to(log_p0.dtype)

    def arrival(self, state: EventState, target: Undo) -> Tensor:
        return target.counts

    def step(self, state: EventState, target: Undo, kernel: Tensor, generator: Generators) -> EventState:
        x = sample_categorical(kernel, generator)  # which positions have their events undone is drawn by `aim`
        time = torch.full_like(state.time, target.time)
        after = state.replace(
            x=x, t=target.counts, time=time, fresh=torch.zeros_like(time, dtype=torch.bool), undone=None
        )
        if not target.redo:
            return after
        again = self.jumped(x, state.t - target.counts, state.mask, generator)
        return after.replace(x=again.x, t=state.t, undone=x)

    def log_prob(self, kernel: Tensor, state: EventState, target: Undo, reached: EventState) -> Tensor:
        # the second half of a corrector step is not drawn from the kernel
        drawn = reached if reached.undone is None else reached.replace(x=reached.undone)
        return super().log_prob(kernel, state, target, drawn)


def end_counts(largest: float, p: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers of events (N,) and their weights as those of Poisson(n; Lambda), with sum 1, of the type of p."""
    width = 10 * math.sqrt(largest) + 20
    # Where the distribution is wide, some four counts in each standard deviation are as exact as all; an odd stride, so
    # that even and odd counts are equally frequent.
    step = int(math.sqrt(largest) / 4) | 1
    first = max(0, math.floor(largest - width))
    counts = torch.arange(first, math.ceil(largest + width) + 1, step, device=p.device)
    log_weight = counts.to(p.dtype) * math.log(largest) - torch.lgamma(counts.to(p.dtype) + 1)
    return counts, torch.softmax(log_weight, 0)


def end_kl(powers: Powers, largest: float, p: Tensor) -> Tensor:
    """Return sum_n Poisson(n; Lambda) KL(K^n[x_0, .] || p K^n) for each letter x_0, (K,) nats."""
    counts, weights = end_counts(largest, p)
    total = torch.zeros_like(p)
    for n, weight in zip(counts.split(64), weights.split(64), strict=True):
        q = powers(n)  # (n, K, K)
        kl = torch.xlogy(q, q) - torch.xlogy(q, (p @ q)[:, None])
        total += weight @ kl.sum(-1)
    return total.clamp_min(0)
