"""The one reverse loop. It yields states; progress bars, plots and early stops belong to its callers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqdiff import runtime
from seqdiff.errors import InputError, warn
from seqdiff.guidance.base import Chain, Guidance, Hook, ReachedContext, StepContext
from seqdiff.processes.base import Cond, Process, State, same_tensors, taken
from seqdiff.runtime import Generators


class Denoiser:
    """A network as samplers call it: under autocast, on some rows at a time, its hidden states moved or not.

    Parameters
    ----------
    network : callable
        ``network(x, t, cond, mask) -> logits (B, L, K)``. To have hidden states moved it must be a `Network`.
    rows : int, optional
        Rows at a time: bounds the memory without changing the result. None: all at once.
    precision : {"auto", "float32", "bfloat16"}
    letters : int, optional
        The same for the letters of all rows together; a row is never divided.

    Examples
    --------
    >>> counted = Denoiser(lambda x, t, cond=None, mask=None: torch.full((len(x), 1, 1), len(x)), rows=2)
    >>> counted(torch.zeros(3, 1), torch.zeros(3)).flatten().tolist()
    [2, 2, 1]
    """

    LIMIT = 2  # hidden states remembered: with a condition and without

    def __init__(
        self,
        network: Callable[..., Tensor],
        rows: int | None = None,
        precision: str = "float32",
        letters: int | None = None,
    ) -> None:
        self.network, self.rows, self.precision, self.letters = network, rows, precision, letters
        self.shift: Tensor | None = None
        self.remembered: list[tuple[dict[str, Tensor], Tensor]] = []

    def __call__(self, x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        rows = len(x) if self.rows is None else self.rows
        if self.letters is not None:
            rows = max(1, min(rows, self.letters // x.shape[1]))
        if len(x) <= rows:
            try:
                with runtime.autocast(x.device, self.precision):
                    if self.shift is None:
                        return self.network(x, t, cond, mask)
                    return self._moved(x, t, cond, mask, self.shift)
            except Exception as error:
                if not runtime.memory_is_full(error) or len(x) == 1:
                    raise
            self.rows = rows = -(-len(x) // 2)
            runtime.free_memory(x.device)
            warn(f"the memory is full: the network is called on {rows:,} sequences at a time from now on")
        parts = [slice(i, i + rows) for i in range(0, len(x), rows)]
        return torch.cat([self.take(p)(x[p], t[p], taken(cond, p), None if mask is None else mask[p]) for p in parts])

    @property
    def advance(self) -> Callable[..., Any] | None:
        """Return how to read one letter at a time, where the network can (`processes.autoregressive.Advance`)."""
        return self._advance if self.shift is None and hasattr(self.network, "advance") else None

    def _advance(self, x: Tensor, i: int, cond: Cond = None, cache: dict[str, Tensor] | None = None) -> Any:
        network: Any = self.network
        if self.rows is None or len(x) <= self.rows:
            with runtime.autocast(x.device, self.precision):
                return network.advance(x, i, cond, cache)
        parts = [slice(first, first + self.rows) for first in range(0, len(x), self.rows)]
        found = [self._advance(x[p], i, taken(cond, p), taken(cache, p)) for p in parts]
        return torch.cat([f[0] for f in found]), {k: torch.cat([f[1][k] for f in found]) for k in found[0][1]}

    def shifted(self, shift: Tensor) -> Denoiser:
        """Return the denoiser with hidden states h moved to h + r shift, r their root mean square; shift (B, L, W)."""
        moved = copy.copy(self)  # what is remembered is shared
        moved.shift = shift
        return moved

    def take(self, rows: Tensor | slice) -> Denoiser:
        """Return the denoiser of some of the rows."""
        return self if self.shift is None else self.shifted(self.shift[rows])

    def _moved(self, x: Tensor, t: Tensor, cond: Cond, mask: Tensor | None, shift: Tensor) -> Tensor:
        network: Any = self.network
        hidden = self._hidden(x, t, cond, mask)
        with runtime.full_precision(x.device):
            hidden = hidden.float()
            size = hidden.square().mean(-1, keepdim=True).sqrt()
            return network.head(hidden + size * shift)

    def _hidden(self, x: Tensor, t: Tensor, cond: Cond, mask: Tensor | None) -> Tensor:
        """Return the network's hidden states, computed once for repeated equal inputs."""
        asked = {"x_t": x, "time": t, **({} if mask is None else {"real": mask}), **(cond or {})}
        for known, hidden in self.remembered:
            if same_tensors(known, asked):
                return hidden
        network: Any = self.network
        with torch.no_grad():
            hidden = network.hidden(x, t, cond, mask)
        # copies, as a sampler may write into its state
        self.remembered[:] = [({k: v.clone() for k, v in asked.items()}, hidden), *self.remembered][: self.LIMIT]
        return hidden


def trajectory(
    process: Process[Any],
    denoiser: Callable[..., Tensor],
    mask: Tensor,
    generator: Generators,
    *,
    cond: Cond = None,
    guidance: Guidance | None = None,
    steps: int | None = None,
    temperature: float = 1.0,
) -> Iterator[Any]:
    """Yield states from noise to data; `process.decode` of the last one is the sample.

    Parameters
    ----------
    process : Process
    denoiser : callable
        ``denoiser(x, t, cond, mask) -> logits (B, L, K)``; with a `Denoiser` guides may move hidden states.
    mask : Tensor
        Booleans (B, L): how many sequences, and which positions each of them has.
    generator : torch.Generator or sequence of them
        A sequence draws the noise of 256 rows each, or fewer (`runtime.chunk_generators`).
    cond : dict, optional
        Conditions, B rows each.
    guidance : Guidance, optional
        Bound, and of these rows (`Guidance.bind`, `Guidance.take`).
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
    chain = guidance if isinstance(guidance, Chain) else Chain([] if guidance is None else [guidance])

    def predict(context: StepContext) -> Tensor:
        asked = denoiser if context.shift is None else denoiser.shifted(context.shift)  # type: ignore[attr-defined]
        return predicted(asked, context.state, context.cond, temperature)

    predicted = process.predict_drawn if chain.separate else process.predict
    clean = chain.around("clean", predict)
    kernel = chain.around("kernel", lambda context: process.kernel(clean(context), context.state, context.target))
    state = chain.start(process, process.prior(mask, generator))
    if chain.separate:
        state = process.onwards(state)
    yield state
    levels = list(process.levels(state, steps))
    for i, level in enumerate(levels):
        progress = 1.0 if i + 1 == len(levels) else i / (len(levels) - 1)
        context = StepContext(process, state, None, cond, progress, generator)
        step = partial(_step, context, kernel)
        state = step(state, level)
        reached = replace(context, state=state, target=level)
        state = chain.after(
            ReachedContext(
                process, state, level, cond, progress, generator,
                predict=partial(clean, reached), finish=partial(_finish, step, state, levels, i + 1),
            )
        )  # fmt: skip
        yield state


def _step(context: StepContext, kernel: Hook, state: State, level: object) -> State:
    """Return the state at the next level."""
    process, generator = context.process, context.generator
    target = process.aim(state, level, generator)
    guided = kernel(replace(context, state=state, target=target))
    check_kernel(guided, state)
    return process.step(state, target, guided, generator)


def _finish(step: Callable[[State, object], State], state: State, levels: list[Any], done: int) -> State:
    """Return one of the states that this one may end as, which is at the level before `levels[done]`."""
    for level in levels[done:]:
        state = step(state, level)
    return state


def check_kernel(kernel: Tensor, state: State) -> None:
    """Raise an InputError for a kernel (B, L, S) with nan, or no letter at a position of its sequences.

    Drawing would silently give the first letter of the alphabet.
    """
    top = kernel.amax(-1)  # nan where any entry is
    if bool((torch.isnan(top) | (torch.isinf(top) & state.drawn)).any()):
        cause = "the model's weights are damaged, or y or the strength of a guide is far too large"
        found, cure = (
            "letter probabilities that are not finite numbers",
            f"{cause}: give smaller ones, or another model",
        )
        raise InputError("sampling stopped", found, "finite ones", cure)
