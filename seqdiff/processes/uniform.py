r"""Uniform diffusion in continuous time: UDLM (Schiff et al. 2024, arXiv 2412.10193).

alpha_t = 1 - t for t in [0, 1], so that x_0 is the data and x_1 uniform noise, and the bound is an integral alone:

    -log p(x_0) <= integral over t of 1/(K alpha_t) sum_j [r_j - r0_j + r0_j log(r0_j / r_j)]
    r_j = q_j / q_z,   q_j = K alpha_t w_j + 1 - alpha_t,   z = x_t,   w = softmax(context)

with r0 and q0 the same for w = x_0. The terms are rates of jumps: this is the paper's equation, rearranged.

The sampler can correct itself (Deschenaux et al. 2026, arXiv 2602.21185): with probability kappa a step draws x_0 and
noises it anew, q(x_s | x_0), in place of q(x_s | x_t, x_0); the marginals of both are those of the forward process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from seqdiff.processes.base import Batch, Denoiser, State, like, masked_sum
from seqdiff.processes.continuous import EARLIEST_ROOT, ContinuousTime
from seqdiff.processes.multinomial import UniformNoise
from seqdiff.processes.noise.importance_sampling import touched
from seqdiff.processes.noise.rate_matrices import jump_kl
from seqdiff.runtime import Generators


def linear_keep(steps: int) -> np.ndarray:
    """Return log abar_0..abar_T of abar_t = 1 - t/T: this process in T steps is `Multinomial(K, T, linear_keep(T))`.

    Examples
    --------
    >>> np.exp(linear_keep(4)).round(6).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    with np.errstate(divide="ignore"):
        return np.log1p(-np.arange(steps + 1) / steps)


RENOISED = 0.3  # time before which steps noise anew: later ones have too little of the sequence to correct
CORRECTING = 1.5  # power of the times of a correcting sampler, which needs its steps at the end


class Uniform(ContinuousTime[State], UniformNoise):
    """Uniform diffusion in continuous time; times are real numbers, 0 (data) to 1 (noise).

    Parameters
    ----------
    letters : int
        K.
    steps : int
        Steps of the sampler by default.
    renoising : float
        kappa, from 0 to 1, of the steps to times below `RENOISED`. Above 0 a step draws many letters at once however
        small it is, so that the sampler is not exact in the limit of many steps.
    spread : bool
        True if the letters that change in a step are far apart.
    """

    def __init__(self, letters: int, steps: int = 100, *, renoising: float = 0.0, spread: bool = True) -> None:
        super().__init__(letters, steps)
        self.renoising, self.spread = renoising, spread

    def levels(self, state: State, steps: int | None) -> Iterator[Any]:
        power = CORRECTING if self.renoising else 1.0
        yield from (t**power for t in super().levels(state, steps))

    def posterior(self, log_p0: Tensor, state: State, target: float | Tensor) -> Tensor:
        """Return log p(x_s | x_t), (B, L, K), for s = `target` < t, a number or (B,), mixed with the noise anew."""
        log_kept = super().posterior(log_p0, state, target)
        if not self.renoising:
            return log_kept
        s, kappa = like(target, state.t).to(log_p0.dtype)[:, None, None], self.renoising
        mixed = (kappa * ((1 - s) * log_p0.exp() + s / self.letters) + (1 - kappa) * log_kept.exp()).log()
        return torch.where(s < RENOISED, mixed, log_kept)

    def kept(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.log1p(-t), torch.log(t)  # 1 - alpha is t itself: 1 - (1 - t) would lose it

    def prior(self, mask: Tensor, generator: Generators) -> State:
        return State(self.uniform_letters(mask, generator), self.last_times(mask), mask)

    def prior_kl(self, x0: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros(len(x0), device=x0.device)

    def deviation(
        self, denoiser: Denoiser, batch: Batch, u: Tensor, generator: Generators, guess: Tensor | None = None
    ) -> Tensor:
        """Return an estimate (B,) of the integral minus `known`, by the number of letters that were drawn anew."""
        x0, mask = batch.x0, batch.mask
        stratum = touched(u, mask, generator, untouched=True)
        t = stratum.a.clamp_min(EARLIEST_ROOT**2)  # a number by whose square float32 can divide
        state = State(torch.where(stratum.where, self.uniform_letters(mask, generator), x0), t, mask)
        w = torch.softmax(self.context(denoiser, state, batch.cond), -1)
        density = self.density(w, x0, state.x, t) - self.density(self.alike(w, guess), x0, state.x, t)
        return stratum.log_weight.exp().to(density.dtype) * masked_sum(density, mask)

    def density(self, w: Tensor, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        k_alpha, t = ((self.letters * (1 - t)).to(w.dtype)[:, None, None], t.to(w.dtype)[:, None, None])
        z, truth = x[..., None], one_hot(x0, self.letters).to(w.dtype)
        q, q0 = k_alpha * w + t, k_alpha * truth + t
        w_z, truth_z, q_z, q0_z = (p.gather(-1, z) for p in (w, truth, q, q0))
        # r - r0 without the terms that cancel: it is divided by alpha in the end, which may be tiny
        difference = k_alpha * (w * truth_z - w_z * truth) + t * ((w - truth) - (w_z - truth_z))
        difference = k_alpha * difference / (q_z * q0_z)
        log_ratio = (q / q_z).log() - (q0 / q0_z).log()
        return (jump_kl(q0 / q0_z, difference, log_ratio) / k_alpha).sum(-1)
