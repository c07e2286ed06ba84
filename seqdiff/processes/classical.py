r"""Classical diffusion: any rate matrix, in continuous time (Campbell et al. 2022, arXiv 2205.14987).

Letters change by the generator Q at the rate beta_t, so that q(x_t | x_0) = expm(Lambda(t) Q), Lambda the integral of
beta. The reverse process jumps from x to y at the rate

    R(x -> y | x_0) = beta_t Q[y, x] q(y | x_0) / q(x | x_0),   R_theta the same averaged over p(x_0 | x_t = x)

    -log p(x_0) <= KL(q(x_T | x_0) || pi) + integral over t of sum_{y != x} [R_theta - R + R log(R / R_theta)]

With context probabilities w, p(x_0 | x_t) ~ w q(x_t | x_0), R_theta has q_w = sum_x0 w(x_0) q(. | x_0) in place of
q(. | x_0). Uniform rates are UDLM (`Uniform`), absorbing ones MDLM (`Masked`); both are faster as such.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqdiff.processes.base import Batch, Denoiser, State, like, masked_sum
from seqdiff.processes.categorical import sample_categorical
from seqdiff.processes.continuous import RateMatrixProcess, positive
from seqdiff.processes.noise.events import events_per_time, poisson
from seqdiff.processes.noise.rate_matrices import Forward, jump_kl
from seqdiff.processes.noise.schedules import Linear, Schedule
from seqdiff.runtime import Generators


class Classical(RateMatrixProcess[State]):
    """Classical diffusion by a rate matrix; times are real numbers, 0 (data) to the schedule's `t_max` (noise).

    Parameters
    ----------
    forward : Forward
        The rate matrix, of `make_forward`.
    schedule : Schedule, optional
        None is `Linear()`. With absorbing rates it must mask every letter in the end.
    steps : int
        Steps of the sampler by default.
    gradual : bool
        See `RateMatrixProcess`.
    spread : bool
        True if the letters that change in a step are far apart.
    """

    def __init__(
        self,
        forward: Forward,
        schedule: Schedule | None = None,
        steps: int = 100,
        gradual: bool = False,
        *,
        spread: bool = True,
    ) -> None:
        super().__init__(forward, schedule or Linear(), events_per_time(forward, 0.0), steps, gradual)
        self.noise, self.spread = forward, spread
        self.measure_end()

    def fit_schedule(self, p0: Tensor) -> None:
        self.schedule.fit_classical(self.noise, p0)
        super().fit_schedule(p0)

    def kl_at_end(self) -> tuple[Tensor, Tensor]:
        q = self._end()
        p0_kl = (torch.xlogy(q, q) - torch.xlogy(q, self.p0 @ q)).sum(-1).clamp_min(0)
        return self.noise.prior_kl(self.largest), p0_kl

    def _end(self) -> Tensor:
        """Return q(x_T | x_0), (K, S)."""
        return self.noise.transition(self.letter_kl.new_tensor([self.largest]))[0]

    @property
    def states(self) -> int:
        return self.noise.states

    def log_evidence(self, state: State, dtype: torch.dtype) -> Tensor:
        q = _shared(self.noise.transition, self.total(state.t))  # (B, K, S)
        return _to(q, state.x).log().to(dtype)

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> State:
        q = self.noise.transition(self.total(t))
        return State(sample_categorical(_rows(q, x0).log(), generator), t, mask)

    def posterior(self, log_p0: Tensor, state: State, target: float | Tensor) -> Tensor:
        """Return log p(x_s | x_t) for s = `target` < t, a number or (B,).

        With v(x_0) = p(x_0 | x_t) / q(x_t | x_0): p(x_s | x_t) = q(x_t | x_s) sum_x0 v(x_0) q(x_s | x_0).
        """
        s = like(target, state.t)
        total_s, total_t = self.total(s), self.total(state.t)
        wide = log_p0.to(total_t.dtype)
        possible = wide > -torch.inf
        log_v = torch.where(possible, wide - _to(_shared(self.noise.transition, total_t), state.x).log(), -torch.inf)
        v = (log_v - log_v.amax(-1, keepdim=True)).exp()
        later = _to(_shared(self.noise.between, total_t - total_s), state.x)
        joint = (v @ _shared(self.noise.transition, total_s)) * later
        return torch.log_softmax(joint.log(), -1).to(log_p0.dtype)

    def prior(self, mask: Tensor, generator: Generators) -> State:
        stationary = self.noise.stationary.log().expand(*mask.shape, -1)
        return State(sample_categorical(stationary, generator), self.last_times(mask), mask)

    def end_kl_of(self, w: Tensor, x0: Tensor) -> Tensor:
        q = self._end()
        return (torch.xlogy(q, q).sum(-1)[x0] - torch.xlogy(q[x0], w @ q).sum(-1)).clamp_min(0)

    def guess(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        if self.states == self.letters:
            return super().guess(denoiser, batch, generator)
        # with a mask the network is never shown all letters: the prediction is that from masks alone
        return positive(self.context(denoiser, self.prior(batch.mask, generator), batch.cond))

    def deviation(
        self, denoiser: Denoiser, batch: Batch, u: Tensor, generator: Generators, guess: Tensor | None = None
    ) -> Tensor:
        """Return an estimate (B,) of the integral minus `known`.

        With a guess it is stratified by the number of letters with an event. The events are those of SCUD at gamma = 0,
        whose rate is that of the fastest letter.
        """
        if guess is None:
            return super().deviation(denoiser, batch, u, generator)
        x0, mask = batch.x0, batch.mask
        stratum = self.stratum(u, mask, generator, untouched=True)
        jumped = -stratum.log_alpha
        total = (jumped / self.jumps.rate).clamp_max(self.largest)
        jumps = torch.where(stratum.where, poisson(jumped, x0.shape[1], generator, least=1), 0)
        x = sample_categorical(self.jumps.rows(jumps, x0).log(), generator)
        state = State(x, self.schedule.time(total), mask)
        w = torch.softmax(self.context(denoiser, state, batch.cond), -1)
        lost = masked_sum(self.jump_loss(w, x0, x, total) - self.jump_loss(self.alike(w, guess), x0, x, total), mask)
        weight = (stratum.log_weight - stratum.log_alpha).exp() / self.jumps.rate  # dLambda = da / (1 - a) / rate
        inside = jumped <= self.most_jumps
        return torch.where(inside, weight * lost, 0)

    def density(self, w: Tensor, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        rate = self.schedule.rate(t.to(self.noise.rates.dtype))[:, None]
        return rate * self.jump_loss(w, x0, x, self.total(t))

    def jump_loss(self, w: Tensor, x0: Tensor, x: Tensor, total: Tensor) -> Tensor:
        """Return the loss per unit of Lambda and position, (B, L) nats, at Lambda = `total` (B,).

        `w` (B, L, K) are the predicted probabilities of the letters x0 (B, L), x (B, L) the noised ones.
        """
        q = self.noise.transition(total)  # no two rows are at one time
        tiny = torch.finfo(q.dtype).tiny
        truth, model = _rows(q, x0), w.to(q.dtype) @ q  # (B, L, S)
        truth, model = (p / p.gather(-1, x[..., None]).clamp_min(tiny) for p in (truth, model))
        log_ratio = model.clamp_min(tiny).log() - truth.clamp_min(tiny).log()
        return (self.noise.rates.T[x] * jump_kl(truth, model - truth, log_ratio)).sum(-1)


def _shared(function: Callable[[Tensor], Tensor], total: Tensor) -> Tensor:
    """Return function(total), (B, N, S), computed once where all rows are at one time, as in sampling."""
    if len(total) > 1 and bool((total == total[0]).all()):
        return function(total[:1]).expand(len(total), -1, -1)
    return function(total)


def _to(matrix: Tensor, x: Tensor) -> Tensor:
    """Return the columns (B, L, N) of matrices (B, N, S) at the letters x (B, L)."""
    return matrix.transpose(1, 2)[torch.arange(len(x), device=x.device)[:, None], x]


def _rows(matrix: Tensor, x: Tensor) -> Tensor:
    """Return the rows (B, L, S) of matrices (B, N, S) at the letters x (B, L)."""
    return matrix[torch.arange(len(x), device=x.device)[:, None], x]
