"""What steers a generator: hooks on the reverse loop, and a chain that composes guides.

A guide is made by a person, who knows no tensors; `bind` makes of it one that knows the model and the samples that are
wanted, or says why it cannot; `take` makes of that the guide of some rows, on which the loop calls the other hooks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from seqdiff.errors import shorten

Cond = dict[str, Tensor] | None
Predict = Callable[[Cond], Tensor]
"""Condition -> log p(x0 | x_t) (B, L, K), or -> log-kernel, of the guides before this one."""


STRONGEST = 1e4
"""Strengths beyond it would leave float32 no digits for what they multiply."""


class Guidance:
    """A guide. Each hook is the identity until a subclass overrides it.

    The hooks get what the guides before made of it as a function of the condition, so that a guide can also ask what
    another condition would have given.
    """

    @property
    def name(self) -> str:
        """The guide as a person knows it."""
        return type(self).__name__

    copies: int = 1
    """Rows that the guide wants for each sample; they stand together, and in the end the first is the sample."""

    def bind(self, model: Any, n: int, cond: Cond) -> Guidance:
        """Return the guide for n samples of a fitted generator under a condition.

        Raises
        ------
        ValueError
            If it cannot steer this model, or its own arguments do not fit.
        """
        return self

    def take(self, rows: Tensor) -> Guidance:
        """Return the guide of samples number `rows` (B,); a guide that is the same for all returns itself."""
        return self

    def at(self, progress: float) -> Guidance:
        """Return the guide as it is at a moment, 0 at the first step and 1 at the last."""
        return self

    def wrap(self, network: Any) -> Any:
        """Return what is called in place of the network."""
        return network

    def start(self, process: Any, state: Any) -> Any:
        """Return the state that generation starts from, made of the one that the process has drawn."""
        return state

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        """Return log p(x0 | x_t), (B, L, K)."""
        return predict(cond)

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: Any, generator: Any) -> Tensor:
        """Return the kernel of the step to `target`; for letters log p(x_s | x_t), (B, L, S)."""
        return kernel(cond)

    def after(self, state: Any, moment: Any, generator: Any) -> Any:
        """Return the state after a step: resampled, or moved along a gradient.

        ``moment.predict()`` is the guided log p(x0 | x_t) of the new state, ``moment.finish()`` one of the states that
        it may end as.
        """
        return state


class Chain(Guidance):
    """Several guides, the first acting first; a template belongs at the end, where nothing undoes it.

    Examples
    --------
    >>> Chain([]).clean(lambda cond: "p(x0 | x_t)", None, None, None)
    'p(x0 | x_t)'
    """

    def __init__(self, guides: Sequence[Guidance]) -> None:
        self.guides = list(guides)

    @property
    def copies(self) -> int:  # type: ignore[override]
        several = [guide for guide in self.guides if guide.copies > 1]
        if len(several) > 1:
            names = " and ".join(guide.name for guide in several)
            raise ValueError(f"guidance holds {names}, which each choose among rows of a sample; give one of them")
        return several[0].copies if several else 1

    def bind(self, model: Any, n: int, cond: Cond) -> Chain:
        return Chain([guide.bind(model, n, cond) for guide in self.guides])

    def take(self, rows: Tensor) -> Chain:
        return Chain([guide.take(rows) for guide in self.guides])

    def at(self, progress: float) -> Chain:
        return Chain([guide.at(progress) for guide in self.guides])

    def wrap(self, network: Any) -> Any:
        for guide in self.guides:
            network = guide.wrap(network)
        return network

    def start(self, process: Any, state: Any) -> Any:
        for guide in self.guides:
            state = guide.start(process, state)
        return state

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        for guide in self.guides:
            predict = _bind(guide.clean, predict, state, generator=generator)
        return predict(cond)

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: Any, generator: Any) -> Tensor:
        for guide in self.guides:
            kernel = _bind(guide.kernel, kernel, state, target=target, generator=generator)
        return kernel(cond)

    def after(self, state: Any, moment: Any, generator: Any) -> Any:
        for guide in self.guides:
            state = guide.after(state, moment, generator)
        return state


def _bind(hook: Callable[..., Tensor], inner: Predict, state: Any, **rest: Any) -> Predict:
    return lambda cond: hook(inner, state, cond, **rest)


class Strength:
    """How strongly a guide pulls: a number, or a function of how far sampling has come, 0 at the start, 1 at the end.

    Raises
    ------
    ValueError
        If it is neither, or beyond 10,000 in size; when called, if the function returns anything else.

    Examples
    --------
    >>> Strength(2.0)(0.3), Strength(lambda progress: 4 * progress)(0.5)
    (2.0, 2.0)
    """

    def __init__(self, gamma: Any, name: str = "gamma") -> None:
        number = isinstance(gamma, (int, float, np.number)) and not isinstance(gamma, bool)
        if not (callable(gamma) or number and -STRONGEST <= gamma <= STRONGEST):
            raise ValueError(
                f"{name}={shorten(repr(gamma))} is not possible; give a number from -{STRONGEST:,g} to "
                f"{STRONGEST:,g}, or a function of progress from 0 to 1"
            )
        self.gamma, self.name = gamma, name

    def __call__(self, progress: float) -> float:
        if not callable(self.gamma):
            return float(self.gamma)
        value = self.gamma(progress)
        try:
            if abs(number := float(value)) <= STRONGEST:
                return number
        except (TypeError, ValueError):
            pass
        raise ValueError(
            f"{self.name} is {shorten(repr(value))} at progress {progress:g}; make the function return finite numbers "
            f"from -{STRONGEST:,g} to {STRONGEST:,g}"
        )

    def __repr__(self) -> str:
        return repr(self.gamma)


class Strong(Guidance):
    """A guide with a strength, which may change on the way."""

    gamma: Strength
    now: float
    """What the strength is at this moment."""

    def __init__(self, gamma: Any, name: str = "gamma") -> None:
        self.gamma = Strength(gamma, name)
        self.now = self.gamma(0.0)

    def at(self, progress: float) -> Guidance:
        if not callable(self.gamma.gamma):
            return self
        part = copy.copy(self)
        part.now = self.gamma(progress)
        return part
