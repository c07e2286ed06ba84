"""A flow memorised: noise to the letters that a teacher's flow ends at, in one call of the network.

Stark et al. 2024, arXiv 2402.05841: once trained, the flow is a map from x_0 ~ Dir(1) to letters, as nothing is random
after x_0. A student learns that map from pairs (x_0, the teacher's letters) by cross-entropy, and writes the likeliest
letters. The noise of a pair is `Batch.noise` (B, L, K).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from seqdiff.errors import InputError
from seqdiff.processes.base import Batch, Denoiser, masked_sum
from seqdiff.processes.dirichlet import SimplexFlow, SimplexState
from seqdiff.runtime import Generators


class DistilledFlow(SimplexFlow):
    """One call of a network instead of a flow; the time is 0.

    Parameters
    ----------
    letters : int
        K.

    Examples
    --------
    >>> process, mask = DistilledFlow(3), torch.ones(2, 5, dtype=torch.bool)
    >>> state = process.prior(mask, torch.Generator().manual_seed(0))
    >>> sharp = lambda x, t, cond=None, mask=None: 9 * x  # the letter that the noise is nearest to
    >>> level, = process.levels(state, None)
    >>> after = process.step(state, level, process.predict(sharp, state, None), None)
    >>> torch.equal(process.decode(after), state.x.argmax(-1))
    True
    """

    shows_known = None
    classifier_reads = None  # one step, and no noise on its way
    reward_checks = 0

    def __init__(self, letters: int) -> None:
        super().__init__(letters, steps=1)

    def given(self, state: SimplexState, log_allowed: Tensor) -> tuple[SimplexState, Tensor]:
        """Return the state as it is: a student sees the noise alone."""
        return state, torch.zeros_like(state.mask)

    def log_prob(self, kernel: Tensor, state: SimplexState, target: Any, reached: SimplexState) -> Tensor:
        """Return the log-probability (B,) of the letters written, by which noises that suit a template are chosen."""
        letters = self.decode(reached)[..., None]
        return masked_sum(kernel.gather(-1, letters).squeeze(-1), state.mask)

    def log_evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        """Return zeros: which letter a noise stands for is the teacher's choice, not known beforehand."""
        return torch.zeros_like(state.x, dtype=dtype)

    def network_input(self, state: SimplexState) -> tuple[Tensor, Tensor]:
        return state.x, state.t

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        """Return -log p(letters | noise), (B,) nats, of a batch that has its noise.

        Raises
        ------
        ValueError
            If it has none.
        """
        if batch.noise is None:
            raise InputError("batch", "pairs without noise", "points of the simplex (B, L, K) with each", "give noise")
        noise = batch.noise[:, : batch.x0.shape[1]].float()
        state = SimplexState(noise, torch.zeros(len(batch), device=noise.device), batch.mask)
        return self.surprise(denoiser, state, batch)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield the loss: there is but one time, and nothing random."""
        yield self.loss(denoiser, batch, generator)

    def levels(self, state: SimplexState, steps: int | None) -> Iterator[float]:  # type: ignore[override]
        """Yield one level, whatever `steps`."""
        yield 1.0

    def step(self, state: SimplexState, target: float, kernel: Tensor, generator: Generators) -> SimplexState:  # type: ignore[override]
        return SimplexState(state.x, torch.full_like(state.t, target), state.mask, log_p0=kernel)


SimplexFlow.distils_to = DistilledFlow
DistilledFlow.distils_to = None  # nothing is left to shorten
