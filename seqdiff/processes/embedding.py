r"""Diffusion of embedded letters (Diffusion-LM, Li et al. 2022, arXiv 2205.14217), with its true variational bound.

A letter w is a vector e = Emb(w), x_0 ~ N(e, s^2), and noise is added in steps t = 1..T. With abar_0 = 1 and
s^2 = 1 - abar_1:

    q(x_t | w) = N(sqrt(abar_t) e, v_t),   v_t = 1 - abar_t (1 - s^2),   SNR_t = abar_t / v_t

    p(x_s | x_t) = N([sqrt(abar_s) (1 - a) e_hat + sqrt(a) v_s x_t] / v_t, (1 - a) v_s / v_t),   a = abar_t / abar_s

    -log p(w) <= sum_l 1/2 [abar_T |e|^2 + D (v_T - 1 - log v_T)]                         (end of the process)
                 + sum_t 1/2 (SNR_{t-1} - SNR_t) E |e - e_hat(x_t, t)|^2                  (denoising)
                 + E sum_l -log p(w_l | x_0)                                              (rounding)

The network predicts each letter from its context; the evidence of the noised vector itself is added, as in the
processes over letters, and e_hat is the mean embedding of the result:

    log p(w | x_t) = c(w) + log q(x_t | w) + const,   e_hat = sum_w p(w | x_t) Emb(w)

These are the "output prior" and "categorical reparameterization" of Plaid (Gulrajani & Hashimoto 2023, arXiv
2305.18619). At t = 0 it is the paper's rounding, softmax(x_0 . Emb / s^2 + bias), tied to the embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.processes.base import Batch, Cond, Denoiser, Process, State, masked_sum, rows_of, taken
from seqdiff.processes.categorical import quantile, sample_categorical, strata, stratified
from seqdiff.runtime import Generators, generator_for, normal, uniform

ROUND = -1
"""The level after time 0: letters are drawn from p(w | x_0)."""
TIMES = 50  # levels of the bound by default
SAMPLER_CALLS = 100  # calls of the network in sampling by default
# draws of all letters together and nodes of the profile: its errors add noise to estimates, never a bias
PROFILE_DRAWS, PROFILE_NODES = 2**20, 96
FOLLOWED = 100  # losses after which the profile is fitted to the moved vectors
TYPICAL_LENGTH = 50  # length of a sequence for which the drawing of levels is optimal
SHOWN_SHARE = 0.5  # share of the training rows with an estimate for self-conditioning
EVEN = 0.2  # share of the levels drawn uniformly


@dataclass(frozen=True)
class EmbeddedState(State):
    """Noised vectors (B, L, D)."""

    estimate: Tensor | None = None  # (B, L, D) an earlier e_hat, for self-conditioning
    letters: Tensor | None = None  # (B, L) the letters, once they are drawn


class Embedding(Process[EmbeddedState]):
    """Diffusion of embedded letters in T steps, trained on its bound.

    Times are integers 0 (x_0, embeddings with a little noise) to T (noise). Levels of the loss and of the bound are
    drawn by importance: in proportion to the loss of independent letters, by whose probability terms are divided.

    Parameters
    ----------
    table : Tensor
        (K, D) vectors of the letters. They are centred and scaled to a mean square of 1 before use, so that the
        schedule means the same for every table.
    abar : ndarray
        (T + 1,) abar_0 = 1, ..., abar_T, falling.
    learned : bool
        True if training moves the vectors.
    clamp : bool
        True if the sampler moves towards the embedding nearest to e_hat (Diffusion-LM's clamping trick). It then
        samples another model than the one that is scored.
    eta : float
        Noise of the sampler: 1 as in p(x_s | x_t), 0 none, as in DDIM (Song et al. 2020, arXiv 2010.02502).
    self_conditioning : bool
        True if an earlier e_hat is an input of the network (Chen et al. 2022, arXiv 2208.04202): in half of the
        training rows and in the bound, its own for the same x_t; in sampling, that of the previous step.
    """

    bound = "elbo"
    state_class = EmbeddedState
    classifier_reads = "vectors"
    abar: Tensor
    noise: Tensor
    half_drop: Tensor
    profile: Tensor
    losses: Tensor
    p0: Tensor
    table: Tensor

    def __init__(
        self,
        table: Tensor,
        abar: np.ndarray,
        *,
        learned: bool = True,
        clamp: bool = False,
        eta: float = 1.0,
        self_conditioning: bool = False,
    ) -> None:
        super().__init__(len(table))
        self.steps, self.dim = len(abar) - 1, table.shape[1]
        self.clamp, self.eta, self.self_conditioning = clamp, eta, self_conditioning
        if learned:
            self.table = nn.Parameter(table.detach().float().clone())
        else:
            self.register_buffer("table", table.detach().float().clone())
        wide = torch.tensor(abar, dtype=torch.float64)
        noise = 1 - wide * wide[1]  # v_t, with 1 - s^2 = abar_1
        ratio = wide / noise  # SNR_t
        self.register_buffer("abar", wide, persistent=False)
        self.register_buffer("noise", noise, persistent=False)
        self.log_ratio = ratio.log().numpy()
        self.register_buffer("half_drop", -0.5 * torch.diff(ratio, prepend=ratio[:1]), persistent=False)
        self.register_buffer("profile", torch.ones_like(wide))
        self.register_buffer("losses", torch.zeros((), dtype=torch.long))
        self._counted: int | None = None  # `losses` as a number; None after loading, when it must be read anew
        self.register_load_state_dict_post_hook(Embedding._forget_count)
        self.register_buffer("p0", torch.full((self.letters,), 1 / self.letters).to(wide.dtype), persistent=False)
        self.fit_schedule(self.p0)

    @property
    def states(self) -> int:
        return self.dim * (2 if self.self_conditioning else 1)

    @property
    def reading_states(self) -> int:
        return self.letters

    @property
    def embeddings(self) -> Tensor:
        """The vectors e (K, D) of the letters, centred, their mean square 1, for noise and rounding."""
        table = self.table.to(self.abar.dtype)
        table = table - table.mean(0)
        return table / table.square().mean().sqrt().clamp_min(1e-12)

    def fit_schedule(self, p0: Tensor) -> None:
        """Fit the probabilities of the levels: those of the least variance for independent letters of frequencies p0.

        They are proportional to the root mean square of a sequence's loss. By the mean loss, levels at which letters
        are rarely mistaken, but then at a high loss, would be drawn too rarely.
        """
        self.p0.copy_(p0)
        self._fit_profile()

    def _forget_count(self, *_: object) -> None:
        self._counted = None

    @torch.no_grad()
    def _fit_profile(self) -> None:
        e, p0 = self.embeddings, self.p0
        draws = max(256, min(4096, PROFILE_DRAWS // self.letters))
        own = torch.searchsorted(p0.cumsum(0), (torch.arange(draws, device=e.device) + 0.5) / draws)
        own = own.clamp_max(self.letters - 1)
        z = normal((draws, self.dim), generator_for(e.device, "profile"), e.device, e.dtype)
        grid = np.linspace(self.log_ratio[-1], self.log_ratio[0], PROFILE_NODES)
        lost = []
        for root in np.exp(grid / 2).tolist():
            log_p = root * (root * e[own] + z) @ e.T - 0.5 * root**2 * e.square().sum(-1) + p0.log()
            log_p = torch.log_softmax(log_p, -1)
            lost.append(_root_mean_square((e[own] - log_p.exp() @ e).square().sum(-1)))
        # together: one wait for the device, not one at every node
        error = np.interp(self.log_ratio, grid, torch.stack(lost).cpu().numpy())
        self.profile.copy_(self.half_drop * torch.from_numpy(error).to(e.device, e.dtype))
        self.profile[0] = _root_mean_square(-log_p.gather(-1, own[:, None]))

    # -- noise --------------------------------------------------------------------------------------------------------

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> EmbeddedState:
        e = F.embedding(x0, self.embeddings)
        z = normal(tuple(e.shape), generator, e.device, e.dtype)
        x = self.abar[t].sqrt()[:, None, None] * e + self.noise[t].sqrt()[:, None, None] * z
        return EmbeddedState(torch.where(mask[..., None], x, 0), t, mask)

    def log_evidence(self, state: EmbeddedState, dtype: torch.dtype) -> Tensor:
        e, t = self.embeddings, state.t
        signal, noise = self.abar[t][:, None, None], self.noise[t][:, None, None]
        x = state.x.to(e.dtype)  # in float64, which autocast does not change: 1/s^2 is large
        return ((signal.sqrt() * (x @ e.T) - 0.5 * signal * e.square().sum(-1)) / noise).to(dtype)

    def network_input(self, state: EmbeddedState) -> tuple[Tensor, Tensor]:
        """Return the vectors, followed by the earlier e_hat, and the time in [0, 1]."""
        x = state.x
        if self.self_conditioning:
            x = torch.cat([x, torch.zeros_like(x) if state.estimate is None else state.estimate], -1)
        return x.float(), state.t / self.steps

    def noise_times(self, u: Tensor) -> Tensor:
        return (u * (self.steps + 1)).long().clamp_max(self.steps)

    def prepared(self, denoiser: Denoiser, state: EmbeddedState) -> EmbeddedState:
        return self._estimated(denoiser, state, None, None) if self.self_conditioning else state

    def settled(self, x0: Tensor, mask: Tensor) -> EmbeddedState:
        x = F.embedding(x0, self.embeddings) * mask[..., None]
        return EmbeddedState(x, torch.zeros(len(x0), dtype=torch.long, device=x0.device), mask)

    def expected(self, p: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = p.to(self.embeddings.dtype) @ self.embeddings * mask[..., None]
        estimate = x if self.self_conditioning else None
        return self.network_input(EmbeddedState(x, torch.zeros(len(p), device=p.device), mask, estimate))

    def reading(self, state: EmbeddedState) -> tuple[Tensor, Tensor]:
        evidence = torch.softmax(self.log_evidence(state, self.abar.dtype), -1)
        return evidence * state.mask[..., None], state.t / self.steps

    # -- prediction ---------------------------------------------------------------------------------------------------

    def predict(self, denoiser: Denoiser, state: EmbeddedState, cond: Cond, temperature: float = 1.0) -> Tensor:
        """Return log p(x0 | x_t), (B, L, K), in float64, by the state's estimate or a new one if that is an input."""
        if self.self_conditioning and state.estimate is None:
            state = self._estimated(denoiser, state, cond, None, temperature)
        context = self.context(denoiser, state, cond).to(self.abar.dtype)
        return torch.log_softmax(context / temperature + self.log_evidence(state, context.dtype), -1)

    def _estimated(
        self, denoiser: Denoiser, state: EmbeddedState, cond: Cond, chosen: Tensor | None, temperature: float = 1.0
    ) -> EmbeddedState:
        """Return the state with an estimate of e from the same x_t in the `chosen` rows (B,), or all, else zeros."""
        blank = state.replace(estimate=torch.zeros_like(state.x))
        rows: Tensor | slice = slice(None) if chosen is None else chosen.nonzero()[:, 0]
        if isinstance(rows, Tensor) and not len(rows):
            return blank
        predicted = self.predict(rows_of(denoiser, rows), blank.take(rows), taken(cond, rows), temperature)
        # detached, not under no_grad: autocast would keep its weights without their gradients for the second pass
        found = self.mean(predicted).detach()
        estimate = torch.zeros_like(state.x)
        estimate[rows] = torch.where(state.mask[rows][..., None], found, 0)
        return state.replace(estimate=estimate)

    def mean(self, log_p0: Tensor) -> Tensor:
        """Return e_hat (B, L, D), the mean embedding of log p(x0 | x_t)."""
        return log_p0.to(self.abar.dtype).exp() @ self.embeddings

    # -- loss and bound -----------------------------------------------------------------------------------------------

    def level_probabilities(self) -> Tensor:
        """Return the probabilities (T + 1,) with which levels 0..T are drawn.

        They are fitted to the vectors that training moves: else training would bring letters so close to one another
        that they are mistaken at levels which are hardly ever drawn.
        """
        if self.training and isinstance(self.table, nn.Parameter):
            counted = int(self.losses) if self._counted is None else self._counted
            if counted % FOLLOWED == 0:
                self._fit_profile()
            self.losses += 1
            self._counted = counted + 1
        total = self.profile.sum().clamp_min(1e-12)
        return (1 - EVEN) * self.profile / total + EVEN / len(self.profile)

    def errors(
        self, denoiser: Denoiser, batch: Batch, t: Tensor, generator: Generators, shown: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Return |e - e_hat|^2 and -log p(w | x_t), (B, L) each, for one draw of x_t at times t (B,).

        `shown` is the share of rows with an estimate for self-conditioning.
        """
        x0, cond = batch.x0, batch.cond
        state = self.corrupt(x0, t, batch.mask, generator)
        if self.self_conditioning and shown < 1:
            state = self._estimated(denoiser, state, cond, uniform((len(x0),), generator, x0.device) < shown)
        log_p0 = self.predict(denoiser, state, cond)
        error = (F.embedding(x0, self.embeddings) - self.mean(log_p0)).square().sum(-1)
        return error, -log_p0.gather(-1, x0[..., None]).squeeze(-1)

    def term(self, denoiser: Denoiser, batch: Batch, t: Tensor, generator: Generators, shown: float = 1.0) -> Tensor:
        """Return one draw (B,) of the bound's terms at times t (B,): the denoising one, or rounding at t = 0; nats.

        `shown` is the share of sequences whose self-conditioning input is filled.
        """
        error, surprise = self.errors(denoiser, batch, t, generator, shown)
        return masked_sum(torch.where(t[:, None] == 0, surprise, self.half_drop[t][:, None] * error), batch.mask)

    def prior_kl(self, x0: Tensor, mask: Tensor) -> Tensor:
        """Return KL(q(x_T | x0) || N(0, 1)) per sequence, (B,) nats."""
        signal, noise = self.abar[-1], self.noise[-1]
        per_letter = 0.5 * (signal * self.embeddings.square().sum(-1) + self.dim * (noise - 1 - noise.log()))
        return masked_sum(per_letter[x0], mask)

    def parts(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> dict[str, Tensor]:
        """Return the terms of the training loss: "denoising", "rounding" and "end", (B,) each."""
        p = self.level_probabilities()
        t = quantile(p, stratified(len(batch), generator, batch.x0.device))
        lost = self.term(denoiser, batch, t, generator, SHOWN_SHARE) / p[t]
        zero = torch.zeros_like(lost)
        return {
            "denoising": torch.where(t > 0, lost, zero),
            "rounding": torch.where(t == 0, lost, zero),
            "end": self.prior_kl(batch.x0, batch.mask),
        }

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        return torch.stack([*self.parts(denoiser, batch, generator).values()]).sum(0)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield one term from each of `times` strata of the levels (50), or every level where there are no more."""
        levels = self.steps + 1
        times = min(TIMES if times is None else times, levels)
        share = self.prior_kl(batch.x0, batch.mask) / times
        p = self.level_probabilities()
        if times == levels:
            for i in range(levels):
                yield self.term(denoiser, batch, torch.full((len(batch),), i, device=p.device), generator) + share
        else:
            for u in strata(times, len(batch), generator, p.device):
                t = quantile(p, u)
                yield 1 / (times * p[t]) * self.term(denoiser, batch, t, generator) + share

    # -- sampling -----------------------------------------------------------------------------------------------------

    def prior(self, mask: Tensor, generator: Generators) -> EmbeddedState:
        z = normal((*mask.shape, self.dim), generator, mask.device, self.abar.dtype)
        t = torch.full(mask.shape[:1], self.steps, device=mask.device)
        estimate = torch.zeros_like(z) if self.self_conditioning else None
        return EmbeddedState(torch.where(mask[..., None], z, 0), t, mask, estimate)

    def levels(self, state: EmbeddedState, steps: int | None) -> Iterator[int]:
        """Yield the times to visit, T excluded, the last one 0, then `ROUND`: `steps` levels (100), at most T + 1."""
        steps = min(steps or SAMPLER_CALLS, self.steps + 1)
        yield from np.linspace(self.steps, 0, steps).round().astype(int)[1:].tolist()
        yield ROUND

    def aimed(self, log_p0: Tensor) -> Tensor:
        """Return the target of the sampler, (B, L, D): e_hat, or the nearest embedding that is possible."""
        e_hat = self.mean(log_p0)
        if not self.clamp:
            return e_hat
        near = e_hat @ self.embeddings.T - 0.5 * self.embeddings.square().sum(-1)
        return F.embedding(near.masked_fill(log_p0 == -torch.inf, -torch.inf).argmax(-1), self.embeddings)

    def moved(self, log_p0: Tensor, state: EmbeddedState, target: int) -> tuple[Tensor, Tensor]:
        """Return mean (B, L, D) and variance (B, 1, 1) of x_s, s = `target`.

        With z_t = (x_t - sqrt(abar_t) e_hat)/sqrt(v_t) and var = eta^2 (1 - a) v_s/v_t

            x_s = sqrt(abar_s) e_hat + sqrt(v_s - var) z_t + sqrt(var) z,

        which at eta = 1 is p(x_s | x_t).
        """
        abar_t, v_t = self.abar[state.t][:, None, None], self.noise[state.t][:, None, None]
        abar_s, v_s, e_hat = self.abar[target], self.noise[target], self.aimed(log_p0)
        variance = self.eta**2 * (1 - abar_t / abar_s) * v_s / v_t
        z_t = (state.x.to(e_hat.dtype) - abar_t.sqrt() * e_hat) / v_t.sqrt()
        return abar_s.sqrt() * e_hat + (v_s - variance).clamp_min(0).sqrt() * z_t, variance

    def step(self, state: EmbeddedState, target: int, kernel: Tensor, generator: Generators) -> EmbeddedState:
        """Draw x_s, s = `target`, or the letters at the level `ROUND`."""
        real = state.mask[..., None]
        if target == ROUND:
            letters = sample_categorical(kernel, generator)
            x = torch.where(real, F.embedding(letters, self.embeddings), 0)
            return EmbeddedState(x, state.t, state.mask, letters=letters)
        centre, variance = self.moved(kernel, state, target)
        x = centre + variance.sqrt() * normal(tuple(centre.shape), generator, centre.device, centre.dtype)
        estimate = torch.where(real, self.mean(kernel), 0) if self.self_conditioning else None
        return EmbeddedState(torch.where(real, x, 0), torch.full_like(state.t, target), state.mask, estimate)

    def log_prob(self, kernel: Tensor, state: EmbeddedState, target: int, reached: EmbeddedState) -> Tensor:
        """Return the log-density (B,) up to a constant; 0 at eta = 0, where the vectors are not drawn."""
        if target == ROUND:
            return masked_sum(kernel.gather(-1, self.decode(reached)[..., None])[..., 0], state.mask)
        centre, variance = self.moved(kernel, state, target)
        off = (reached.x - centre).square().sum(-1) / (2 * variance[..., 0]).clamp_min(1e-30)
        return masked_sum(-off, state.mask) * (self.eta > 0)

    def decided(self, state: EmbeddedState) -> bool:
        return state.letters is not None

    def vector_noise(self, state: EmbeddedState) -> Tensor:
        return self.noise[state.t].sqrt().to(state.x.dtype)[:, None, None]

    def shown(self, state: EmbeddedState) -> Tensor:
        """Return the normalised evidence of each vector, or the letters once they are drawn, (B, L, K + 1)."""
        if state.letters is not None:
            return super().shown(state.replace(x=state.letters))
        p = torch.softmax(self.log_evidence(state, torch.float32), -1)
        real = state.mask[..., None]
        return torch.cat([p * real, 1.0 - real.to(p.dtype)], -1)

    def decode(self, state: EmbeddedState) -> Tensor:
        """Return the letters drawn, or before that the likeliest by the evidence, (B, L)."""
        if state.letters is not None:
            return state.letters
        return self.log_evidence(state, self.abar.dtype).argmax(-1)


def _root_mean_square(lost: Tensor) -> Tensor:
    """Return the root mean square of a sequence's loss over its length, from draws of a letter's loss."""
    return (lost.mean().square() + lost.var() / TYPICAL_LENGTH).sqrt()


class DiffusionLM(Embedding):
    """The same, trained on the Diffusion-LM paper's loss, which is no bound; `bound_terms` still is.

    |e - e_hat|^2 / D  +  -log softmax(x_0 . Emb / s^2 + bias)_w  +  abar_T |x_0|^2 / D, at times uniform over 0..T: all
    noise levels have the same weight, and means over D replace sums.
    """

    def parts(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> dict[str, Tensor]:
        x0, mask = batch.x0, batch.mask
        t = self.noise_times(stratified(len(batch), generator, x0.device))
        error, _ = self.errors(denoiser, batch, t, generator, SHOWN_SHARE)
        clean = self.corrupt(x0, torch.zeros_like(t), mask, generator)
        log_p = torch.log_softmax(self.log_evidence(clean, self.abar.dtype), -1)
        rounding = masked_sum(-log_p.gather(-1, x0[..., None]).squeeze(-1), mask)
        end = masked_sum(self.abar[-1] * clean.x.square().mean(-1), mask)
        return {"denoising": masked_sum(error, mask) / self.dim, "rounding": rounding, "end": end}
