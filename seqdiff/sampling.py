"""The one reverse loop. It yields states; progress bars, pictures and early stops belong to whoever reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    state = process.prior(mask, generator)
    yield state
    for level in process.levels(state, steps):
        target = process.aim(state, level, generator)
        state = _advance(process, denoiser, state, target, cond, guidance, temperature, generator)
        yield state


def _advance(process, denoiser, state, target, cond, guidance, temperature, generator) -> State:
    def predict(c: Cond) -> Tensor:
        return process.predict(denoiser, state, c, temperature)

    def kernel(c: Cond) -> Tensor:
        return process.kernel(guidance.clean(predict, state, c, generator), state, target)

    guided = guidance.kernel(kernel, state, cond, target, generator)
    after = process.step(state, target, guided, generator)
    return guidance.after(after, lambda c: process.predict(denoiser, after, c, temperature), generator)
