r"""Multinomial diffusion (Hoogeboom et al. 2021, arXiv 2102.05379), the process of GPro's `Diffusion_language`.

    q(x_t | x_{t-1}) = a_t x_{t-1} + (1 - a_t)/K,   so   q(x_t | x_0) = abar_t x_0 + (1 - abar_t)/K,   t = 0..T

    -log p(x_0) <= KL(q(x_T | x_0) || 1/K) + sum_{t=1..T} E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))

The term t = 1 is -log p(x_0 | x_1). (In GPro's code index t means x_{t+1}.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from seqdiff.processes.base import Batch, Denoiser, State, like, masked_sum
from seqdiff.processes.categorical import CategoricalProcess, quantile, stratified
from seqdiff.runtime import Generators, over_all, uniform


def cosine_keep(steps: int, s: float = 0.008) -> np.ndarray:
    """Return log abar_0..abar_T, the log-probability that a letter was never resampled.

    With f(i) = cos^2((i/T + s)/(1 + s) pi/2), a step keeps a letter with probability sqrt(f(t)/f(t-1)), the ratio
    clipped to [0.001, 1] (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17; the square root and the clip are
    Hoogeboom et al.'s code).

    Examples
    --------
    >>> np.exp(cosine_keep(100))[[0, 1, 50, 100]].round(5).tolist()
    [1.0, 0.99968, 0.70274, 0.00049]
    """
    f = np.cos((np.arange(steps + 1) / steps + s) / (1 + s) * math.pi / 2) ** 2
    ratio = np.clip(f[1:] / f[:-1], 0.001, 1.0)
    return np.concatenate([[0.0], np.cumsum(0.5 * np.log(ratio))])


class UniformNoise(CategoricalProcess[State]):
    """Letters are kept or drawn anew from all letters: q(x_t | x_0) = abar_t x_0 + (1 - abar_t)/K.

    Subclasses define abar_t by `kept`; their times may be steps or real numbers.
    """

    def kept(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return log abar_t and log(1 - abar_t) of times t (B,), in float64; separately, as both may be tiny."""
        raise self._missing("kept")

    def _log_marginal(self, x: Tensor, log_keep: Tensor, log_lose: Tensor, dtype: torch.dtype) -> Tensor:
        """Return log q(x | k) for every origin k, (B, L, K); symmetric in x and k. log_keep, log_lose: (B,)."""
        other = log_lose - math.log(self.letters)
        same = torch.logaddexp(log_keep, other)
        hit = torch.arange(self.letters, device=x.device) == x[..., None]
        return torch.where(hit, same[:, None, None].to(dtype), other[:, None, None].to(dtype))

    def log_evidence(self, state: State, dtype: torch.dtype) -> Tensor:
        return self._log_marginal(state.x, *self.kept(state.t), dtype)

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> State:
        u = uniform(tuple(x0.shape), generator, x0.device)
        # one uniform decides both: below abar the letter stays, and the rest of u gives the new letter
        keep, lose = (log_p.exp()[:, None].to(u.dtype) for log_p in self.kept(t))
        fresh = ((u - keep) / lose.clamp_min(1e-30) * self.letters).long().clamp(0, self.letters - 1)
        return State(torch.where(u < keep, x0, fresh), t, mask)

    def posterior(self, log_p0: Tensor, state: State, target: float | Tensor) -> Tensor:
        """Return log p(x_s | x_t) for s = `target` < t, a number or (B,).

        q(x_s | x_t, x_0) = q(x_t | x_s) q(x_s | x_0) / q(x_t | x_0), so with w(x_0) = p(x_0 | x_t) / q(x_t | x_0)

            p(x_s | x_t) = q(x_t | x_s) [abar_s w(x_s) + (1 - abar_s)/K sum w]
        """
        s = like(target, state.t)
        (log_keep_t, log_lose_t), (log_keep_s, log_lose_s) = self.kept(state.t), self.kept(s)
        dtype = log_p0.dtype
        log_w = log_p0 - self._log_marginal(state.x, log_keep_t, log_lose_t, dtype)
        kept = log_keep_s.to(dtype)[:, None, None] + log_w
        resampled = (log_lose_s - math.log(self.letters)).to(dtype)[:, None, None]
        resampled = resampled + torch.logsumexp(log_w, -1, keepdim=True)
        log_ratio = log_keep_t - log_keep_s  # abar_t / abar_s: kept from s to t
        between = self._log_marginal(state.x, log_ratio, torch.log(-torch.expm1(log_ratio)), dtype)
        return torch.log_softmax(between + torch.logaddexp(kept, resampled), -1)

    def uniform_letters(self, mask: Tensor, generator: Generators) -> Tensor:
        """Draw letters (B, L) from the uniform distribution, the limit of the noise."""
        u = uniform(tuple(mask.shape), generator, mask.device)
        return (u * self.letters).long().clamp_max(self.letters - 1)


class Multinomial(UniformNoise):
    """Multinomial diffusion in T steps.

    Times are integers 0 (data) to T (noise). Training draws t with probability proportional to the root of the
    running mean of its squared term (Nichol & Dhariwal 2021), uniformly until each t has been seen more than 10
    times; the terms are divided by that probability, so the loss stays an unbiased estimate of the bound.

    Parameters
    ----------
    letters : int
        K.
    steps : int
        T, `diffusion_steps` of the estimator.
    log_keep : ndarray, optional
        (T + 1,) log abar_0..abar_T; None takes `cosine_keep`.
    spread : bool
        True if the letters that change in a step are far apart. The process of T steps whose bound is computed draws
        each by itself.
    """

    log_keep: Tensor
    log_lose: Tensor
    term_square: Tensor
    term_count: Tensor

    def __init__(
        self, letters: int, steps: int = 100, log_keep: np.ndarray | None = None, *, spread: bool = True
    ) -> None:
        super().__init__(letters)
        self.steps, self.spread = steps, spread
        log_keep = cosine_keep(steps) if log_keep is None else log_keep
        with np.errstate(divide="ignore"):
            log_lose = np.log(-np.expm1(log_keep))
        self.register_buffer("log_keep", torch.tensor(log_keep, dtype=torch.float64), persistent=False)
        self.register_buffer("log_lose", torch.tensor(log_lose, dtype=torch.float64), persistent=False)
        self.kept_at_end = float(self.log_keep[-1].exp())  # as a number: reading it anew would wait for the device
        self.register_buffer("term_square", torch.zeros(steps))
        self.register_buffer("term_count", torch.zeros(steps))

    def kept(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.log_keep[t], self.log_lose[t]

    def network_input(self, state: State) -> tuple[Tensor, Tensor]:
        return state.x, state.t / self.steps

    def noise_times(self, u: Tensor) -> Tensor:
        return (u * (self.steps + 1)).long().clamp_max(self.steps)

    def prior(self, mask: Tensor, generator: Generators) -> State:
        t = torch.full(mask.shape[:1], self.steps, device=mask.device)
        return State(self.uniform_letters(mask, generator), t, mask)

    def levels(self, state: State, steps: int | None) -> Iterator[int]:
        """Yield the times to visit, T excluded: all of them, or `steps` of them evenly spaced, the last one 0."""
        steps = self.steps if steps is None else min(steps, self.steps)
        yield from np.linspace(self.steps, 0, steps + 1).round().astype(int)[1:].tolist()

    def term(self, denoiser: Denoiser, batch: Batch, t: Tensor, generator: Generators) -> Tensor:
        """Return KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) at times t (B,) for one draw of x_t, (B,) nats."""
        state = self.corrupt(batch.x0, t, batch.mask, generator)
        context = self.context(denoiser, state, batch.cond)
        return masked_sum(self._kl(torch.softmax(context, -1), batch.x0, state.x, t), batch.mask)

    def _kl(self, w: Tensor, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Return `term` per position (B, L) from the context probabilities w (B, L, K).

        Both kernels are b(x_s) m(x_s) / Z with b(x_s) = q(x_t | x_s), m = abar_s w + (1 - abar_s)/K, and for the truth
        w = x_0. b cancels in the ratio, and b and the true m take few values: only log m of the model is needed letter
        by letter. `posterior` is the same formula written out.
        """
        dtype, letters = w.dtype, self.letters
        log_keep_s, log_step = self.log_keep[t - 1], self.log_keep[t] - self.log_keep[t - 1]
        keep, rest = log_keep_s.exp().to(dtype)[:, None], (-torch.expm1(log_keep_s) / letters).to(dtype)[:, None]
        stay, move = log_step.exp().to(dtype)[:, None], (-torch.expm1(log_step) / letters).to(dtype)[:, None]
        m = torch.addcmul(rest[..., None], keep[..., None], w).clamp_min(torch.finfo(dtype).tiny)
        log_m = m.log()
        same = (x0 == x).to(dtype)
        z_model = move + stay * m.gather(-1, x[..., None]).squeeze(-1)
        z_truth = move + stay * (rest + keep * same)
        # sum_x q(x) log m(x): every letter has rest * move; x_t adds stay * rest, x_0 adds keep * (move + stay * same)
        q_at_x0 = keep * (move + stay * same)
        expected = rest * move * log_m.sum(-1) + rest * stay * log_m.gather(-1, x[..., None]).squeeze(-1)
        expected = expected + q_at_x0 * log_m.gather(-1, x0[..., None]).squeeze(-1)
        b_at_x0 = move + stay * same
        entropy = b_at_x0 * (keep + rest) * torch.log(keep + rest)
        entropy = entropy + (1 - b_at_x0) * torch.xlogy(rest, rest)
        return (entropy - expected) / z_truth + torch.log(z_model / z_truth)

    def prior_kl(self, mask: Tensor) -> Tensor:
        """Return KL(q(x_T | x_0) || uniform) per sequence, (B,) nats."""
        keep, letters = self.kept_at_end, self.letters
        same, other = keep + (1 - keep) / letters, (1 - keep) / letters
        return mask.sum(-1) * (same * math.log(same * letters) + (letters - 1) * other * math.log(other * letters))

    def time_probabilities(self) -> Tensor:
        """Return p(t) of the training draw for t = 1..T, (T,)."""
        root = torch.sqrt(self.term_square + 1e-10) + 1e-4
        root = torch.cat([root[1:2], root[1:]])  # the reconstruction term is drawn as often as its neighbour
        seen = (self.term_count > 10).all()
        return torch.where(seen, root / root.sum(), torch.full_like(root, 1 / self.steps))

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        p = self.time_probabilities()
        i = quantile(p, stratified(len(batch), generator, batch.x0.device))
        kl = self.term(denoiser, batch, i + 1, generator)
        if self.training:
            self._remember(i, kl.detach(), generator)
        return kl / p[i] + self.prior_kl(batch.mask)

    @torch.no_grad()
    def _remember(self, i: Tensor, kl: Tensor, generator: Generators) -> None:
        """Update the running mean of the squared terms: 0.9 old + 0.1 new."""
        kl = kl.float()
        count = torch.zeros_like(self.term_count).index_add_(0, i, torch.ones_like(kl))
        square = torch.zeros_like(self.term_square).index_add_(0, i, kl**2)
        count, square = over_all(torch.stack([count, square]), generator)
        square = square / count.clamp_min(1)
        self.term_square.copy_(torch.where(count > 0, 0.9 * self.term_square + 0.1 * square, self.term_square))
        self.term_count.add_(count)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield the T terms (the prior's KL in the last); with `times` < T one time from each of as many strata."""
        steps = self.steps
        times = steps if times is None else min(times, steps)
        edges = np.linspace(0, steps, times + 1).round().astype(int)
        for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            width = int(high - low)
            u = uniform((len(batch),), generator, batch.x0.device)
            t = int(low) + 1 + (u * width).long().clamp_max(width - 1)
            term = self.term(denoiser, batch, t, generator) * width
            yield term + self.prior_kl(batch.mask) if i == times - 1 else term
