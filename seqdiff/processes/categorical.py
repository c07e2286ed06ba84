r"""Base of the diffusions over letters: evidence, the posterior as a mixture over x0, and sampling.

The network predicts each letter from its context, c(x0) (a "cavity" prediction). The evidence of the observed letter is
added by the process, not learned:

    log p(x0 | x_t) = c(x0) + log q(x_t | x0) + const

Loss, likelihood and sampler use one posterior, the exact mixture over it:

    p(x_s | x_t) = sum_x0 q(x_s | x_t, x0) p(x0 | x_t)

With the context prediction inside, this is the "product" form of Hoogeboom et al. (2021, arXiv 2102.05379) and
Austin et al. (2021, arXiv 2107.03006) to machine precision, for any rate matrix.

A step draws every letter from its own p(x_s | x_t), but which letters change is by default drawn for all together, by
systematic sampling (`sample_changes`). Two letters that change in one step do not see each other's new value; far apart
they depend on each other least. In the limit of many steps at most one letter changes in a step, with the same rate as
by independent draws, so that both sample the same distribution. With few steps the two differ; samples of the model
whose bound in T steps is scored are those of T steps with independent draws (``spread=False``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.processes.base import Cond, Denoiser, Process, S, masked_sum
from seqdiff.processes.noise.importance_sampling import evenly
from seqdiff.runtime import Generators, Shared, numbers, single, uniform, widest


def sample_categorical(log_p: Tensor, generator: Generators) -> Tensor:
    """Draw letters (B, L), int64, from log-probabilities (B, L, S), which need not be normalised; -inf is never drawn.

    The distribution function is inverted at one float64 uniform per position: Gumbel noise in float32 has a floor that
    sharpens the distribution.
    """
    return _inverted(_relative(log_p).cumsum(-1), generator)


def sample_changes(log_p: Tensor, x: Tensor, generator: Generators) -> Tensor:
    """Draw letters (B, L) from log-probabilities (B, L, S) such that those that differ from x (B, L) are far apart.

    Each position has its own distribution, as with `sample_categorical`, but which positions change is drawn for all
    together by systematic sampling (`evenly`). The new letters are independent of one another, given x.
    """
    p = _relative(log_p)
    stay = p.gather(-1, x[..., None])
    others = p.scatter(-1, x[..., None], 0.0).cumsum(-1)
    total = others[..., -1:]
    letters = _inverted(others, generator)
    start = uniform((len(x), 1), generator, x.device).to(p.dtype)
    return torch.where(evenly((total / (total + stay)).squeeze(-1), start), letters, x)


def _relative(log_p: Tensor) -> Tensor:
    """Return probabilities (B, L, S) relative to the largest of each position, in float64 where the device has it."""
    return (log_p - log_p.amax(-1, keepdim=True)).to(widest(log_p.device)).exp()


def _inverted(cumulative: Tensor, generator: Generators) -> Tensor:
    """Draw (B, L) by sums of relative probabilities (B, L, S), at one uniform per position."""
    u = uniform(tuple(cumulative.shape[:-1]), generator, cumulative.device).to(cumulative.dtype)[..., None]
    # u total < total, so at least the last positive letter is past it; a letter of probability 0 adds nothing to the
    # sum before it and is never the first past.
    return (cumulative <= u * cumulative[..., -1:]).sum(-1).clamp_max(cumulative.shape[-1] - 1)


def single_letters(log_allowed: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return booleans (B, L), True where a position may have only one letter, and these letters, (B, L)."""
    single = (log_allowed > -torch.inf).sum(-1) == 1
    return single & mask, log_allowed.argmax(-1)


def stratified(n: int, generator: Generators, device: torch.device) -> Tensor:
    """Return u_i = (U + i)/n with one uniform U: n uniforms (n,), one in each n-th of [0, 1)."""
    rows, all_rows = numbers(n, generator, device)
    return (uniform((1,), single(generator), device) + rows) / all_rows


def turned(n: int, generator: Generators, device: torch.device) -> Tensor:
    """Return `stratified` uniforms in a random rotation: else the last rows of each batch had the latest times."""
    once = single(generator) if isinstance(generator, Shared) else generator
    return (stratified(n, generator, device) + uniform((1,), once, device)) % 1


def strata(times: int, rows: int, generator: Generators, device: torch.device) -> Iterator[Tensor]:
    """Yield uniforms (rows,) in each of `times` equal parts of [0, 1)."""
    for i in range(times):
        yield (i + uniform((rows,), generator, device)) / times


def quantile(p: Tensor, u: Tensor) -> Tensor:
    """Return the indices (B,) at which the distribution function of p (N,) exceeds u (B,) in [0, 1)."""
    return torch.searchsorted(p.cumsum(0), u.to(p.dtype), right=True).clamp_max(len(p) - 1)


class CategoricalProcess(Process[S]):
    """A diffusion whose states are letters. Subclasses define `log_evidence`, `corrupt`, `posterior`, `prior`."""

    bound = "elbo"
    repeatable = True
    classifier_reads = "letters"
    mixes_kernel: ClassVar[bool] = True
    spread: bool = True
    """True if the letters that change in a step are far apart (`sample_changes`), False if each is drawn by itself."""

    def posterior(self, log_p0: Tensor, state: S, target: float | Tensor) -> Tensor:
        """Return the log-kernel log p(x_s | x_t), (B, L, S), normalised: the exact mixture over p(x0 | x_t)."""
        raise self._missing("posterior")

    def kernel(self, log_p0: Tensor, state: S, target: Any) -> Tensor:
        return self.posterior(log_p0, state, target)

    def log_prob(self, kernel: Tensor, state: S, target: Any, reached: S) -> Tensor:
        return masked_sum(kernel.gather(-1, reached.x[..., None]).squeeze(-1), state.mask)

    def step(self, state: S, target: Any, kernel: Tensor, generator: Generators) -> S:
        return state.replace(x=self.draw(state, kernel, generator), t=torch.full_like(state.t, target))

    def draw(self, state: S, kernel: Tensor, generator: Generators) -> Tensor:
        """Draw the letters (B, L) at the next level."""
        if self.spread and state.independent is None:
            return sample_changes(kernel, state.x, generator)
        return sample_categorical(kernel, generator)


# The logistic parameterisation of ordered letters (Austin et al. 2021, arXiv 2107.03006, appendix A.8).
#
# The network predicts location m and scale s of a logistic distribution over the line of K letters: letter i has its
# mass between i - 1/2 and i + 1/2, the first and the last letter all beyond:
#
#     p_i = sigma((i + 1/2 - m)/s) - sigma((i - 1/2 - m)/s) = sigma(a_i) sigma(-b_i) (1 - exp(-1/s))


NARROWEST = 1e-2  # smallest s, in letters


def logistic_log_probs(location: Tensor, scale: Tensor, letters: int) -> Tensor:
    """Return log p_i, (..., K), for locations and scales (...) in letters; the first letter lies at 0.

    Examples
    --------
    >>> location, scale = torch.tensor([1.0, 0.5], dtype=torch.float64)
    >>> logistic_log_probs(location, scale, 3).exp().round(decimals=4).tolist()
    [0.2689, 0.4621, 0.2689]
    """
    if letters == 1:
        return torch.zeros_like(location)[..., None]
    scale = scale[..., None]
    edges = torch.arange(letters - 1, device=location.device, dtype=location.dtype) + 0.5
    z = (edges - location[..., None]) / scale  # (..., K - 1), where neighbours meet
    below, above = F.logsigmoid(z), F.logsigmoid(-z)  # log of the mass on either side of an edge
    between = below[..., 1:] + above[..., :-1] + torch.log(-torch.expm1(-1 / scale))
    return torch.cat([below[..., :1], between, above[..., -1:]], -1)


class Logistic(CategoricalProcess[S]):
    """A mixin before a process class: the network gives two numbers per position instead of K logits."""

    @property
    def outputs(self) -> int:
        return 2

    def context(self, denoiser: Denoiser, state: S, cond: Cond) -> Tensor:
        location, scale = super().context(denoiser, state, cond).unbind(-1)
        # in units of the whole alphabet, around its middle
        location = (self.letters - 1) / 2 + self.letters * location
        return logistic_log_probs(location, NARROWEST + self.letters * F.softplus(scale), self.letters)


def logistic_start(log_frequencies: Tensor) -> Tensor:
    """Return the two numbers (L, 2) whose distribution has the mean and deviation of letter frequencies (L, K)."""
    p, k = log_frequencies.exp(), log_frequencies.shape[-1]
    i = torch.arange(k, dtype=p.dtype, device=p.device)
    mean = (p * i).sum(-1)
    spread = ((p * (i - mean[:, None]) ** 2).sum(-1)).sqrt()
    # the standard deviation of a logistic distribution is pi s/sqrt(3)
    scale = (spread * 3**0.5 / torch.pi / k).clamp_min(1e-3)
    return torch.stack([(mean - (k - 1) / 2) / k, torch.log(torch.expm1(scale))], -1)
