r"""Classifier-free guidance: a model that has learned labels, made to follow one more closely than nature does.

    log p = gamma log p(. | y) + (1 - gamma) log p(.),   renormalised

For letters (Schiff et al. 2024, arXiv 2412.10193; Nisonoff et al. 2024, arXiv 2406.01572) these are the laws of the
next state, or of the clean letters where states are letters or nothing (masks, letters not yet written). Embedding
diffusion has them of the clean letters, too. On the simplex (Stark et al. 2024, arXiv 2402.05841) it is the
probabilities that are mixed, as they say where points flow to, and put back on the simplex.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from seqdiff.guidance.base import Cond, Predict, Strong
from seqdiff.processes import Autoregressive, CategoricalProcess, Masked, Process, SimplexFlow

Mix = Callable[[Tensor, Tensor, float], Tensor]
"""log p(. | y), log p(.), gamma -> the log of their mixture."""


class ClassifierFree(Strong):
    """Follow the condition that `generate(y=...)` names, gamma times as much.

    Two calls of the network a step; with gamma 0 (no condition) or 1 (the plain condition) one.

    Parameters
    ----------
    gamma : float or callable
        1 is unguided; above 1 samples are more typical of the condition and less various. A function of progress, 0 at
        the first step and 1 at the last, changes it on the way.

    Raises
    ------
    ValueError
        If gamma is neither, the model was fitted without labels, or y is not given.

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"])
    >>> len(model.generate(3, y="tt", guidance=ClassifierFree(2.0), random_state=0))
    3
    """

    on_kernel: bool
    mix: Mix

    def __init__(self, gamma: Any = 2.0) -> None:
        super().__init__(gamma)

    def bind(self, model: Any, n: int, cond: Cond) -> ClassifierFree:
        if model.target_ is None:
            raise ValueError(
                "ClassifierFree needs a model that knows labels, but this one was fitted without; fit(X, y)"
            )
        if cond is None:
            raise ValueError("ClassifierFree follows a condition, but y was not given; give y=... as well")
        if self.gamma.gamma != 1 and not model.knows_no_label():
            raise ValueError(
                "ClassifierFree compares with samples of no label, but this model never learned without one "
                "(label_dropout=0); fit with label_dropout=0.1"
            )
        bound = copy.copy(self)
        bound.on_kernel, bound.mix = place(model.objective_.process)
        return bound

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        return predict(cond) if self.on_kernel else self._mixed(predict, cond)

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: Any, generator: Any) -> Tensor:
        return self._mixed(kernel, cond) if self.on_kernel else kernel(cond)

    def _mixed(self, law: Predict, cond: Cond) -> Tensor:
        if cond is None or self.now == 1.0:
            return law(cond)
        without = {**cond, "keep": torch.zeros_like(cond["keep"])}
        if self.now == 0.0:
            return law(without)
        return self.mix(law(cond), law(without), self.now)


def geometric(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
    """Return gamma log p(. | y) + (1 - gamma) log p(.), renormalised; what either rules out stays ruled out."""
    possible = torch.isfinite(conditional) & torch.isfinite(unconditional)
    mixed = torch.where(possible, gamma * conditional + (1 - gamma) * unconditional, -torch.inf)
    # nothing that both allow: the condition alone decides
    return torch.log_softmax(torch.where(possible.any(-1, keepdim=True), mixed, conditional), -1)


def arithmetic(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
    """Return the log of gamma p(. | y) + (1 - gamma) p(.), put back on the simplex."""
    return on_simplex(gamma * conditional.exp() + (1 - gamma) * unconditional.exp()).log()


def on_simplex(v: Tensor) -> Tensor:
    """Return the points of the simplex next to v (..., K): max(v - tau, 0) with tau such that they sum to 1.

    Examples
    --------
    >>> on_simplex(torch.tensor([[0.5, 0.5], [1.4, -0.4]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    ordered = v.sort(-1, descending=True).values
    excess = ordered.cumsum(-1) - 1
    number = torch.arange(1, v.shape[-1] + 1, device=v.device, dtype=v.dtype)
    kept = (ordered > excess / number).sum(-1, keepdim=True).clamp_min(1)
    return (v - excess.gather(-1, kept - 1) / kept).clamp_min(0)


@singledispatch
def place(process: Process) -> tuple[bool, Mix]:
    """Return whether laws are mixed at the kernel (else at the clean letters), and how; by the kind of process."""
    return False, geometric


@place.register
def _(process: CategoricalProcess) -> tuple[bool, Mix]:
    return True, geometric


@place.register
def _(process: Masked) -> tuple[bool, Mix]:
    return False, geometric


@place.register
def _(process: Autoregressive) -> tuple[bool, Mix]:
    return False, geometric


@place.register
def _(process: SimplexFlow) -> tuple[bool, Mix]:
    return False, arithmetic
