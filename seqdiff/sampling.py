"""The one reverse loop. It yields states; progress bars, pictures and early stops belong to whoever reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqdiff.guidance.base import Guidance
from seqdiff.processes.base import Cond, Denoiser, Process, State
from seqdiff.runtime import Generators


def in_batches(denoiser: Denoiser, batch_size: int) -> Denoiser:
    """Return the denoiser called on at most `batch_size` rows at a time: memory is bounded, the answer the same."""

    def call(x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        if len(x) <= batch_size:
            return denoiser(x, t, cond, mask)
        parts = []
        for i in range(0, len(x), batch_size):
            rows = slice(i, i + batch_size)
            part = None if cond is None else {k: v[rows] for k, v in cond.items()}
            parts.append(denoiser(x[rows], t[rows], part, None if mask is None else mask[rows]))
        return torch.cat(parts)

    if hasattr(denoiser, "advance"):
        call.advance = _advance_in_batches(denoiser.advance, batch_size)  # type: ignore[attr-defined]
    return call


def _advance_in_batches(advance: Callable[..., Any], batch_size: int) -> Callable[..., Any]:
    """Return `Autoregressive`'s way to ask a network for one letter at a time, on at most `batch_size` rows each."""

    def call(x: Tensor, i: int, cond: Cond = None, cache: dict[str, Tensor] | None = None) -> Any:
        if len(x) <= batch_size:
            return advance(x, i, cond, cache)
        parts = []
        for first in range(0, len(x), batch_size):
            rows = slice(first, first + batch_size)
            part, past = (None if d is None else {k: v[rows] for k, v in d.items()} for d in (cond, cache))
            parts.append(advance(x[rows], i, part, past))
        return torch.cat([p[0] for p in parts]), {k: torch.cat([p[1][k] for p in parts]) for k in parts[0][1]}

    return call


def trajectory(
    process: Process,
    denoiser: Denoiser,
    mask: Tensor,
    generator: Generators,
    *,
    cond: Cond = None,
    guidance: Guidance | None = None,
    steps: int | None = None,
    temperature: float = 1.0,
) -> Iterator[State]:
    """Yield states from noise to data; `process.decode` of the last one is the sample.

    Parameters
    ----------
    process : Process
    denoiser : callable
        ``denoiser(x, t, cond, mask) -> logits (B, L, K)``.
    mask : Tensor
        Booleans (B, L): how many sequences, and which positions each of them has.
    generator : torch.Generator or sequence of them
        A sequence draws the noise of 256 rows each (`runtime.chunk_generators`).
    cond : dict, optional
        Conditions, B rows each.
    guidance : Guidance, optional
    steps : int, optional
        Levels to visit; None takes the process's own number.
    temperature : float
        Divides the context logits; below 1 letters are more certain.

    Examples
    --------
    >>> from seqdiff.processes import Multinomial
    >>> process, mask = Multinomial(letters=4, steps=10), torch.ones(2, 5, dtype=torch.bool)
    >>> uninformed = lambda x, t, cond=None, mask=None: torch.zeros(*x.shape, 4)
    >>> states = list(trajectory(process, uninformed, mask, torch.Generator().manual_seed(0)))
    >>> len(states), process.decode(states[-1]).shape
    (11, torch.Size([2, 5]))
    """
    guidance = guidance or Guidance()
    state = guidance.start(process, process.prior(mask, generator))
    yield state
    levels = list(process.levels(state, steps))
    walk = Walk(process, denoiser, cond, temperature, generator)
    for i, level in enumerate(levels):
        guide = guidance.at(1.0 if i + 1 == len(levels) else i / (len(levels) - 1))
        state = walk.step(state, level, guide)
        state = guide.after(state, Moment(walk, state, levels[i + 1 :], guide), generator)
        yield state


@dataclass(frozen=True)
class Walk:
    """What is the same at every step."""

    process: Process
    denoiser: Denoiser
    cond: Cond
    temperature: float
    generator: Generators

    def clean(self, state: State, guide: Guidance, cond: Cond) -> Tensor:
        """Return the guided log p(x0 | x_t)."""

        def predict(c: Cond) -> Tensor:
            return self.process.predict(self.denoiser, state, c, self.temperature)

        return guide.clean(predict, state, cond, self.generator)

    def step(self, state: State, level: Any, guide: Guidance) -> State:
        """Return the state at the next level."""
        target = self.process.aim(state, level, self.generator)

        def kernel(c: Cond) -> Tensor:
            return self.process.kernel(self.clean(state, guide, c), state, target)

        guided = guide.kernel(kernel, state, self.cond, target, self.generator)
        check_kernel(guided, state)
        return self.process.step(state, target, guided, self.generator)


def check_kernel(kernel: Tensor, state: State) -> None:
    """Raise a ValueError where a kernel (B, L, S) is none at a position of its sequences: nothing could be drawn.

    A letter drawn from what is no number would be the first of the alphabet, silently.
    """
    top = kernel.amax(-1)  # nan where any entry is
    if bool((torch.isnan(top) | (torch.isinf(top) & state.mask)).any()):
        raise ValueError(
            "sampling stopped: got letter probabilities that are not finite numbers, expected finite ones; the model's "
            "weights are damaged, or y or the strength of a guide is far too large: give smaller ones, or another model"
        )


@dataclass(frozen=True)
class Moment:
    """What a guide may ask of a state on its way."""

    walk: Walk
    state: State
    left: list[Any]
    guide: Guidance

    def predict(self) -> Tensor:
        """Return log p(x0 | x_t), (B, L, K), of this state, guided."""
        return self.walk.clean(self.state, self.guide, self.walk.cond)

    def finish(self) -> State:
        """Return one of the states that this one may end as."""
        state = self.state
        for level in self.left:
            state = self.walk.step(state, level, self.guide)
        return state
