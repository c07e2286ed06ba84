r"""Masked diffusion (MDLM, Sahoo et al. 2024, arXiv 2406.07524), in continuous time and in T steps.

A letter is masked at time t with probability t (alpha_t = 1 - t) and else unchanged. In continuous time

    -log p(x_0) <= int_0^1 1/t E sum_{l masked} -log p(x_0^l | x_t) dt = E_k L/k E sum_{l masked} -log p(x_0^l | x_t)

with the number of masked letters k uniform over 1..L and t the k-th smallest of the L times at which letters are
masked: Beta(k, L - k + 1), the distribution of t given k under the weight 1/t. The second form is used: its weight is
at most L where 1/t diverges. In T steps, t_i = i/T, the bound is sum_i 1/i E sum_{l masked} -log p(x_0^l | x_t).

Samplers: ancestral, with remasking or not (ReMDM, Wang et al. 2025, arXiv 2503.00307); first-hitting (Zheng et al.
2024, arXiv 2409.02908), which is exact with one call of the network per letter; and planned (P2, Peng et al. 2025,
arXiv 2502.03540), which masks the letters again that the network doubts most.

In continuous time training may draw its levels near 1/2 more often, without a weight that makes up for it ("bell-shaped
time sampling", Hong et al. 2026, arXiv 2605.13026): at few masks nearly all is known, at many nearly nothing, and the
network learns most between. The bound that is validated and scored stays the bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.processes.base import Batch, Cond, Denoiser, State, like, masked_sum, rows_of, taken
from seqdiff.processes.categorical import CategoricalProcess, sample_categorical, single_letters, strata, turned
from seqdiff.processes.noise.importance_sampling import at_rank, smallest, touched, whole_between
from seqdiff.runtime import Generators, uniform, widest

DEFAULT_TIMES = 20  # strata of the bound in continuous time
DEFAULT_STEPS = 100  # steps of the ancestral sampler in continuous time
MOST_CALLS = 1000  # of the first-hitting sampler by default
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class MaskedState(State):
    """Letters, some of them masked."""

    # (B, L) the times at which first-hitting sampling unmasks the positions; 2 where there is nothing to unmask
    times: Tensor = None  # type: ignore[assignment]
    steered: Tensor | None = None  # (B, L) booleans, True where a template restricts the letters


class Masked(CategoricalProcess[MaskedState]):
    """Masked diffusion with the ancestral sampler. Letter number K is the mask; times run from 1 (all masked) to 0.

    Parameters
    ----------
    letters : int
        K.
    steps : int, optional
        T of the bound in finite time; None is continuous time.
    time_conditioning : bool
        True if the time is an input of the network, which does not need it: p(x_0 | x_t) does not depend on it.
    remasking : float
        Share, 0 to 1, of the largest possible probability min(1, s/(1 - t)) with which an unmasked letter is masked
        again in the step from t to s (ReMDM's rescaled schedule). The distribution at each time stays the same, and
        errors of steps that unmask many letters at once can be corrected.
    spread : bool
        True if the letters that are unmasked or masked in a step are far apart.
    bell : bool
        True if levels near 1/2 are trained more often (`bell_shaped`), so that `loss` is no estimate of the bound.
    """

    shows_known = "letters"
    state_class: ClassVar[type[State]] = MaskedState
    mixes_kernel = False  # a step draws letters of p(x0 | x_t) itself

    def __init__(
        self,
        letters: int,
        steps: int | None = None,
        time_conditioning: bool = False,
        *,
        remasking: float = 0.0,
        spread: bool = False,
        bell: bool = False,
    ) -> None:
        super().__init__(letters)
        self.steps, self.time_conditioning, self.bell = steps, time_conditioning, bell
        self.remasking, self.spread = remasking, spread

    @property
    def states(self) -> int:
        return self.letters + 1

    def network_input(self, state: MaskedState) -> tuple[Tensor, Tensor]:
        return state.x, state.t if self.time_conditioning else torch.zeros_like(state.t)

    # -- noise --------------------------------------------------------------------------------------------------------

    def log_evidence(self, state: MaskedState, dtype: torch.dtype) -> Tensor:
        """Return 0 for the letter that is seen and -inf for the others; 0 for all at a mask."""
        possible = torch.arange(self.letters, device=state.x.device) == state.x[..., None]
        possible = possible | (state.x == self.letters)[..., None]
        return torch.zeros(possible.shape, dtype=dtype, device=possible.device).masked_fill_(~possible, -torch.inf)

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> MaskedState:
        hidden = (uniform(tuple(x0.shape), generator, x0.device) < t[:, None]) & mask
        return MaskedState(torch.where(hidden, self.letters, x0), t, mask)

    def corrupt_stratum(self, x0: Tensor, u: Tensor, mask: Tensor, generator: Generators) -> tuple[MaskedState, Tensor]:
        """Return x_t at the noise level of u (B,) in [0, 1), and the weight (B,) of its cross-entropy in the bound."""
        if self.steps is not None:
            i = 1 + (u * self.steps).long().clamp_max(self.steps - 1)
            return self.corrupt(x0, i.to(u.dtype) / self.steps, mask, generator), self.steps / i
        stratum = touched(u, mask, generator)
        x = torch.where(stratum.where, self.letters, x0)
        return MaskedState(x, stratum.a, mask), stratum.log_weight.exp() / stratum.a

    # -- loss and bound -----------------------------------------------------------------------------------------------

    def term(self, denoiser: Denoiser, batch: Batch, u: Tensor, generator: Generators) -> Tensor:
        """Return an estimate (B,) of the bound from one level, u (B,) in [0, 1)."""
        state, weight = self.corrupt_stratum(batch.x0, u, batch.mask, generator)
        context = self.context(denoiser, state, batch.cond)  # log p(x_0 | x_t) at masks, where the evidence is 0
        cross_entropy = F.cross_entropy(context.transpose(1, 2), batch.x0, reduction="none")
        return weight.to(context.dtype) * masked_sum(cross_entropy, (state.x == self.letters) & state.mask)

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        u = turned(len(batch), generator, batch.x0.device)
        return self.term(denoiser, batch, bell_shaped(u) if self.bell else u, generator)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield one estimate from each of `times` strata of levels: 20 by default, or the T terms in finite time."""
        times = times or self.steps or DEFAULT_TIMES
        times = times if self.steps is None else min(times, self.steps)
        for u in strata(times, len(batch), generator, batch.x0.device):
            yield self.term(denoiser, batch, u, generator) / times

    # -- sampling -----------------------------------------------------------------------------------------------------

    def predict(self, denoiser: Denoiser, state: MaskedState, cond: Cond, temperature: float = 1.0) -> Tensor:
        """Return log p(x0 | x_t). The network is called for the rows with a mask alone."""
        rows = (state.x == self.letters).any(-1)
        if bool(rows.all()):
            return super().predict(denoiser, state, cond, temperature)
        log_p0 = self.log_evidence(state, torch.float32)
        if bool(rows.any()):
            predicted = super().predict(rows_of(denoiser, rows), state.take(rows), taken(cond, rows), temperature)
            log_p0 = log_p0.to(predicted.dtype)
            log_p0[rows] = predicted
        return log_p0

    def posterior(self, log_p0: Tensor, state: MaskedState, target: float | Tensor) -> Tensor:
        """Return log p(x_s | x_t), (B, L, K + 1), for s = `target` < t, a number or (B,).

        With sigma the probability that a letter is masked again, a mask stays with probability (s - sigma (1 - t))/t
        and else becomes a letter of p(x_0 | x_t); with sigma = 0, s/t.
        """
        t = state.t.to(log_p0.dtype)
        s = like(target, t)
        sigma = self.remasking * (s / (1 - t).clamp_min(1e-12)).clamp_max(1.0)
        stay = ((s - sigma * (1 - t)) / t).clamp(0.0, 1.0)
        masked = torch.where(state.x == self.letters, stay[:, None], sigma[:, None])
        if state.steered is not None:  # a template's weights count each letter once: none is masked again
            masked = masked.masked_fill(state.steered & (state.x != self.letters), 0.0)
        return self._with_mask(log_p0, masked * state.mask)

    @staticmethod
    def _with_mask(log_p0: Tensor, masked: Tensor) -> Tensor:
        """Return the kernel (B, L, K + 1) that gives the mask with probability `masked` (B, L), else a letter."""
        masked = masked.to(log_p0.dtype)[..., None]
        return torch.cat([log_p0 + torch.log1p(-masked), masked.log()], -1)

    def prior(self, mask: Tensor, generator: Generators) -> MaskedState:
        t = torch.ones(len(mask), dtype=widest(mask.device), device=mask.device)
        return MaskedState(torch.where(mask, self.letters, 0), t, mask)

    def given(self, state: MaskedState, log_allowed: Tensor) -> tuple[MaskedState, Tensor]:
        """Return the state with known letters unmasked: the others in any order then sample p(x0 | known letters)."""
        known, letters = single_letters(log_allowed, state.mask)
        steered = (log_allowed == -torch.inf).any(-1)
        return state.replace(x=torch.where(known, letters, state.x), steered=steered), known

    def levels(self, state: MaskedState, steps: int | None) -> Iterator[float]:
        """Yield the times to visit, 1 excluded: `steps` of them evenly spaced (T, or 100), the last one 0."""
        steps = steps or self.steps or DEFAULT_STEPS
        yield from (i / steps for i in reversed(range(steps)))

    def written(self, state: MaskedState) -> Tensor:
        return (state.x != self.letters) & state.mask


class FirstHitting(Masked):
    """Masked diffusion with the first-hitting sampler: each call of the network unmasks one letter of each row.

    Every position draws the time at which it is unmasked; the network is called at those times only, in falling order,
    so that a sequence takes as many calls as it has letters and follows the distribution of infinitely many ancestral
    steps. With fewer steps than letters each call unmasks several, in groups as equal as possible.

    By default there are at most 1,000 calls, so that the cost of a letter does not grow with the length. Two letters
    are then drawn in one call, independently of each other, with probability 1/1,000 at any length: where letters
    depend on those within some distance, the error of each is the same in short sequences and in long ones.

    Letters of one call are drawn independently given those before. With `spread` they stand at even distances, so that
    they depend on one another least; neither order depends on the letters, so both are exact with one letter per call.
    """

    def prior(self, mask: Tensor, generator: Generators) -> MaskedState:
        times = uniform(tuple(mask.shape), generator, mask.device)
        # padding is unmasked before the start, so that the k-th smallest time is that of the k-th letter from the end
        return self._state(torch.where(mask, self.letters, 0), mask, times.masked_fill(~mask, 2.0))

    def given(self, state: MaskedState, log_allowed: Tensor) -> tuple[MaskedState, Tensor]:
        """Return the state with known letters unmasked before the start, without a call of the network."""
        known, letters = single_letters(log_allowed, state.mask)
        times = state.times.masked_fill(known, 2.0)
        return self._state(torch.where(known, letters, state.x), state.mask, times), known

    def _state(self, x: Tensor, mask: Tensor, times: Tensor) -> MaskedState:
        """Return the state at the time at which the next letter is unmasked, 0 for finished rows."""
        return MaskedState(x, at_rank(times, (x == self.letters).sum(-1)), mask, times)

    def arrival(self, state: MaskedState, target: int) -> Tensor:
        left = (state.x == self.letters).sum(-1)
        left = left - torch.ceil(left / target).long()
        return at_rank(state.times, left)

    def levels(self, state: MaskedState, steps: int | None) -> Iterator[int]:
        """Yield the number of calls left, this one included: from the most letters to unmask, or `steps`, to 1.

        None is as many as letters, at most 1,000.
        """
        longest = int((state.x == self.letters).sum(-1).amax())
        yield from range(min(longest, steps or MOST_CALLS), 0, -1)

    def priority(self, log_p0: Tensor, state: MaskedState) -> Tensor:
        """Return (B, L): masks with the largest are unmasked first."""
        return state.times

    def chosen(self, log_p0: Tensor, state: MaskedState, target: int) -> Tensor:
        """Return the masks to unmask in this call of the `target` that are left, booleans (B, L)."""
        masks = state.x == self.letters
        if self.spread:
            return masks & spread_out(masks, state.times, target)
        priority = self.priority(log_p0, state).masked_fill(~masks, -torch.inf)
        return masks & smallest(-priority, torch.ceil(masks.sum(-1) / target).long())

    def kernel(self, log_p0: Tensor, state: MaskedState, target: int) -> Tensor:
        return self._with_mask(log_p0, (state.x == self.letters) & ~self.chosen(log_p0, state, target))

    def step(self, state: MaskedState, target: int, kernel: Tensor, generator: Generators) -> MaskedState:
        return self._state(sample_categorical(kernel, generator), state.mask, state.times)


class Planned(Masked):
    """Masked diffusion whose sampler masks again what it doubts (P2, Peng et al. 2025, arXiv 2502.03540).

    As in ancestral sampling a share t of the letters is masked at time t, here exactly so many: those that the network
    holds for the least probable. A letter is worth its own probability, a mask that of its likeliest letter. The
    network was never trained to judge a letter that it sees ("self-planning"), yet mistakes are found and corrected:
    more sequences are valid. Samples do not follow the model's distribution, however many steps there are: they have
    its likely letters, and where letters hardly depend on one another nothing else.
    """

    def log_evidence(self, state: MaskedState, dtype: torch.dtype) -> Tensor:
        """Return 0 for all letters: the network's opinion of a letter counts, not that it is seen."""
        return torch.zeros((*state.x.shape, self.letters), dtype=dtype, device=state.x.device)

    def predict(self, denoiser: Denoiser, state: MaskedState, cond: Cond, temperature: float = 1.0) -> Tensor:
        return CategoricalProcess.predict(self, denoiser, state, cond, temperature)

    def kernel(self, log_p0: Tensor, state: MaskedState, target: float) -> Tensor:
        """Return the log-kernel (B, L, K + 1): each position certain to be masked, to keep its letter or to get one."""
        seen = state.x != self.letters
        letter = state.x.clamp_max(self.letters - 1)[..., None]
        own = log_p0.gather(-1, letter)
        sure = torch.where(seen, own.squeeze(-1), log_p0.amax(-1))
        free = state.mask if state.steered is None else state.mask & ~(seen & state.steered)
        masked = smallest(sure.masked_fill(~free, torch.inf), torch.floor(free.sum(-1) * target + 1e-6).long())
        kept = torch.full_like(log_p0, -torch.inf).scatter(-1, letter, 0.0)
        return self._with_mask(torch.where(seen[..., None], kept, log_p0), masked & free)


def bell_shaped(u: Tensor) -> Tensor:
    """Return levels (B,) in [0, 1) around 1/2, the logistic function of a standard normal variable, of uniforms u.

    Examples
    --------
    >>> bell_shaped(torch.tensor([0.0, 0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)).round(decimals=2).tolist()
    [0.0, 0.16, 0.34, 0.5, 0.66, 0.84]
    """
    return torch.special.expit(torch.special.ndtri(u))


def spread_out(masks: Tensor, times: Tensor, target: int) -> Tensor:
    """Return every (m/n)-th of the m masks of each row, from a random one on, n = ceil(m/target); booleans (B, L)."""
    m = masks.sum(-1, keepdim=True).to(times.dtype)
    share = torch.ceil(m / target) / m.clamp_min(1)
    start = (times.sum(-1, keepdim=True) + target * GOLDEN) % 1  # uniform in each row, another in each call
    return whole_between(masks.cumsum(-1).to(share.dtype) * share, start)


class ConfidentFirst(FirstHitting):
    """First-hitting calls that unmask the letter whose largest probability is largest: likelier, less diverse."""

    def priority(self, log_p0: Tensor, state: MaskedState) -> Tensor:
        return log_p0.amax(-1)


class MarginFirst(FirstHitting):
    """First-hitting calls that unmask the letter whose two largest probabilities differ most (arXiv 2502.06768)."""

    def priority(self, log_p0: Tensor, state: MaskedState) -> Tensor:
        p = log_p0.exp()
        first, best = p.max(-1, keepdim=True)
        return (first - p.scatter(-1, best, 0.0).amax(-1, keepdim=True)).squeeze(-1)
