"""Guides: hooks on the reverse loop, and a chain that composes them.

A guide that a user makes holds no tensors. `bind` returns one for a model and its n samples, or raises an error that
says why it cannot steer them; `take` returns the guide of some rows, one trajectory, with a memory of its own. The loop
calls the other hooks on it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from seqdiff.data import Alphabet, Target
from seqdiff.errors import InputError, argument, shown
from seqdiff.inputs import StrengthLike
from seqdiff.processes.base import Cond, Process, State
from seqdiff.runtime import Generators

STRONGEST = 1e4
"""Strengths beyond it would leave float32 no digits for what they multiply."""
Guide = TypeVar("Guide", bound="Guidance")


class FittedModel(Protocol):
    """Parts of a `SequenceModel` that a guide may use."""

    @property
    def name(self) -> str: ...
    @property
    def process(self) -> Process[Any]: ...
    @property
    def network(self) -> nn.Module: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def alphabet(self) -> Alphabet: ...
    @property
    def target(self) -> Target | None: ...
    @property
    def knows_no_label(self) -> bool:
        """Return whether p(x) is known beside p(x | y)."""


@dataclass(frozen=True)
class StepContext:
    """A step of a sampler.

    Parameters
    ----------
    process : Process
    state : State
        Where the step begins; in `Guidance.after`, what it has reached.
    target : object
        The level to reach, as `Process.aim` gave it.
    cond : dict or None
        The condition, of B rows.
    progress : float
        0 at the first step and 1 at the last.
    generator : torch.Generator or sequence of them
    shift : Tensor, optional
        (B, L, W) by how much the network's hidden states are moved, in units of their root mean square.
    """

    process: Process[Any]
    state: Any
    target: Any
    cond: Cond
    progress: float
    generator: Generators
    shift: Tensor | None = None

    def given(self, cond: Cond) -> StepContext:
        """Return the context under another condition."""
        return replace(self, cond=cond)

    def shifted(self, shift: Tensor) -> StepContext:
        """Return the context with the network's hidden states moved further."""
        return replace(self, shift=shift if self.shift is None else self.shift + shift)


@dataclass(frozen=True)
class ReachedContext(StepContext):
    """The context of `Guidance.after`, which can also predict how sampling would continue.

    Parameters
    ----------
    predict : callable
        ``predict()`` is the guided log p(x0 | x_t), (B, L, K), of the state reached.
    finish : callable
        ``finish()`` is one of the states that it may end as.
    """

    predict: Callable[[], Tensor] = field(kw_only=True)
    finish: Callable[[], State] = field(kw_only=True)


Hook = Callable[[StepContext], Tensor]
"""Context -> log p(x0 | x_t) (B, L, K), or -> log-kernel, of the guides before this one."""


class Guidance:
    """A guide. Each hook is the identity until a subclass overrides it.

    A hook gets the result of the guides before it as a function of the context, so that a guide can also evaluate it
    under another condition: ``predict(context.given(other))``.

    Examples
    --------
    >>> class Hot(Guidance):
    ...     '''Flatten every prediction.'''
    ...
    ...     def clean(self, predict, context):
    ...         return torch.log_softmax(predict(context) / 2, -1)
    """

    copies: int = 1
    """Rows of each sample, which stand together; in the end the first is the sample."""
    separate: bool = False
    """True if each letter's distribution is changed by itself, and no letter of a state is read."""

    @property
    def name(self) -> str:
        """Name in messages."""
        return type(self).__name__

    def replaced(self: Guide, **attributes: object) -> Guide:
        """Return a copy with other attributes."""
        other = copy.copy(self)
        vars(other).update(attributes)
        return other

    def bind(self, model: FittedModel, n: int, cond: Cond) -> Guidance:
        """Return the guide for n samples of a fitted generator under a condition `cond`, tensors of n rows by name.

        Raises
        ------
        InputError
            If it cannot steer this model, or its own arguments do not fit.
        """
        return self

    def take(self, rows: Tensor) -> Guidance:
        """Return the guide of one trajectory, of samples number `rows` (B,), with a memory of its own if it has one."""
        return self

    def start(self, process: Process[Any], state: State) -> State:
        """Return the state that generation starts from, given the one that the process has drawn."""
        return state

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        """Return log p(x0 | x_t), (B, L, K)."""
        return predict(context)

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        """Return the kernel of the step to `context.target`; for letters log p(x_s | x_t), (B, L, S)."""
        return kernel(context)

    def after(self, context: ReachedContext) -> Any:
        """Return the state after a step: resampled, or moved along a gradient."""
        return context.state


class Chain(Guidance):
    """Several guides, the first acting first; a template belongs at the end, where nothing undoes it.

    Examples
    --------
    >>> Chain([]).clean(lambda context: "p(x0 | x_t)", None)
    'p(x0 | x_t)'
    """

    def __init__(self, guides: Iterable[Guidance]) -> None:
        self.guides: Sequence[Guidance] = list(guides)

    @property
    def copies(self) -> int:  # type: ignore[override]
        several = [guide for guide in self.guides if guide.copies > 1]
        if len(several) > 1:
            names = " and ".join(guide.name for guide in several)
            wanted = "one guide that chooses among the rows of a sample"
            raise InputError(argument("guidance"), names, wanted, "give one of them")
        return several[0].copies if several else 1

    @property
    def separate(self) -> bool:  # type: ignore[override]
        return all(guide.separate for guide in self.guides)

    def bind(self, model: FittedModel, n: int, cond: Cond) -> Chain:
        return Chain(guide.bind(model, n, cond) for guide in self.guides)

    def take(self, rows: Tensor) -> Chain:
        return Chain(guide.take(rows) for guide in self.guides)

    def start(self, process: Process[Any], state: State) -> State:
        for guide in self.guides:
            state = guide.start(process, state)
        return state

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        return self.around("clean", predict)(context)

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        return self.around("kernel", kernel)(context)

    def around(self, hook: str, inner: Hook) -> Hook:
        """Return `inner` wrapped in that hook of the guides that override it."""
        for guide in self.guides:
            if getattr(type(guide), hook) is not getattr(Guidance, hook):
                inner = partial(getattr(guide, hook), inner)
        return inner

    def after(self, context: ReachedContext) -> Any:
        for guide in self.guides:
            context = replace(context, state=guide.after(context))
        return context.state


class Strength:
    """The strength of a guide: a number, or a function of progress, which is 0 at the first step and 1 at the last.

    Raises
    ------
    InputError
        If it is neither, or beyond 10,000 in size; when called, if the function returns anything else.

    Examples
    --------
    >>> Strength(2.0)(0.3), Strength(lambda progress: 4 * progress)(0.5)
    (2.0, 2.0)
    """

    def __init__(self, gamma: StrengthLike, name: str = "gamma") -> None:
        number = isinstance(gamma, (int, float, np.number)) and not isinstance(gamma, bool)
        self.limits = f"from -{STRONGEST:,g} to {STRONGEST:,g}"
        if not (callable(gamma) or number and -STRONGEST <= gamma <= STRONGEST):
            wanted = f"a number {self.limits}, or a function of progress from 0 to 1"
            raise InputError(argument(name), shown(gamma), wanted, "give one of these")
        self.gamma, self.name = gamma, name
        self(0.0)

    def __call__(self, progress: float) -> float:
        if not callable(self.gamma):
            return float(self.gamma)
        value = self.gamma(progress)
        try:
            if abs(number := float(value)) <= STRONGEST:
                return number
        except (TypeError, ValueError):
            pass
        found = f"{shown(value)} at progress {progress:g}"
        raise InputError(argument(self.name), found, f"finite numbers {self.limits}", "change the function")

    def __repr__(self) -> str:
        return repr(self.gamma)


GuidanceLike = Guidance | Sequence[Guidance] | None
"""A guide, or several that act one after the other."""
