"""What steers a generator: three hooks on the reverse loop, and a chain that composes guides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

Cond = dict[str, Tensor] | None
Predict = Callable[[Cond], Tensor]
"""Condition -> log p(x0 | x_t) (B, L, K), or -> log-kernel, of the guides before this one."""


class Guidance:
    """A guide. Each hook is the identity until a subclass overrides it.

    The hooks get what the guides before made of it as a function of the condition, so that a guide can also ask what
    another condition would have given.
    """

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        """Return log p(x0 | x_t), (B, L, K)."""
        return predict(cond)

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: Any, generator: Any) -> Tensor:
        """Return the kernel of the step to `target`; for letters log p(x_s | x_t), (B, L, S)."""
        return kernel(cond)

    def after(self, state: Any, predict: Predict, generator: Any) -> Any:
        """Return the state after a step: resampled, or moved along a gradient."""
        return state

    def check(self, n: int) -> None:
        """Raise a ValueError if the guide is not meant for `n` sequences; asked before any is made."""

    def take(self, rows: slice) -> Guidance:
        """Return the guide of some of the rows; a guide that is the same for all returns itself."""
        return self


class Chain(Guidance):
    """Several guides, the first acting first; a template belongs at the end, where nothing undoes it.

    Examples
    --------
    >>> Chain([]).clean(lambda cond: "p(x0 | x_t)", None, None, None)
    'p(x0 | x_t)'
    """

    def __init__(self, guides: Sequence[Guidance]) -> None:
        self.guides = list(guides)

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        for guide in self.guides:
            predict = _bind(guide.clean, predict, state, generator=generator)
        return predict(cond)

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: Any, generator: Any) -> Tensor:
        for guide in self.guides:
            kernel = _bind(guide.kernel, kernel, state, target=target, generator=generator)
        return kernel(cond)

    def after(self, state: Any, predict: Predict, generator: Any) -> Any:
        for guide in self.guides:
            state = guide.after(state, predict, generator)
        return state

    def check(self, n: int) -> None:
        for guide in self.guides:
            guide.check(n)

    def take(self, rows: slice) -> Chain:
        return Chain([guide.take(rows) for guide in self.guides])


def _bind(hook: Callable[..., Tensor], inner: Predict, state: Any, **rest: Any) -> Predict:
    return lambda cond: hook(inner, state, cond, **rest)
