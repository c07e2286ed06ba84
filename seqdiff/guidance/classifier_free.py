r"""Classifier-free guidance: sampling from a model of p(x | y) with the condition weighted by gamma.

    log p = gamma log p(. | y) + (1 - gamma) log p(.),   renormalised

For letters (Schiff et al. 2024, arXiv 2412.10193; Nisonoff et al. 2024, arXiv 2406.01572) these are the distributions
of the next state, or of the clean letters where states are letters or nothing (masks, letters not yet written).
For embedding diffusion they are those of the clean letters, too. On the simplex (Stark et al. 2024, arXiv 2402.05841)
the probabilities are mixed, which determine the flow, and put back on the simplex. `Process.mixes_kernel` and
`Process.mix` choose.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqdiff.errors import InputError, argument
from seqdiff.guidance.base import Cond, FittedModel, Guidance, Hook, StepContext, Strength
from seqdiff.inputs import StrengthLike


class ClassifierFree(Guidance):
    """Follow the condition that `generate(y=...)` names, gamma times as much.

    Two calls of the network a step; with gamma 0 (no condition) or 1 (the plain condition) one.

    Parameters
    ----------
    gamma : float or callable
        1 is unguided; above 1 samples are more typical of the condition and less various. A function of progress, 0 at
        the first step and 1 at the last, changes it on the way.

    Raises
    ------
    InputError
        If gamma is neither, the model was fitted without labels, or y is not given.

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"])
    >>> len(model.generate(3, y="tt", guidance=ClassifierFree(2.0), random_state=0))
    3
    """

    separate = True

    def __init__(self, gamma: StrengthLike = 2.0) -> None:
        self.gamma = Strength(gamma)

    def bind(self, model: FittedModel, n: int, cond: Cond) -> ClassifierFree:
        where = argument("guidance")
        if model.target is None:
            wanted = "a model fitted with labels, unlike this one"
            raise InputError(where, self.name, wanted, "fit(X, y) with labels")
        if cond is None:
            raise InputError(argument("y"), "None", f"a condition for {self.name}", f"give {argument('y')} as well")
        if self.gamma.gamma != 1 and not model.knows_no_label:
            wanted = f"a model that also learned without labels, but this one had {argument('label_dropout', 0)}"
            raise InputError(where, self.name, wanted, f"fit with {argument('label_dropout', 0.1)}")
        return self

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        return predict(context) if context.process.mixes_kernel else self._mixed(predict, context)

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        return self._mixed(kernel, context) if context.process.mixes_kernel else kernel(context)

    def _mixed(self, hook: Hook, context: StepContext) -> Tensor:
        gamma, cond = self.gamma(context.progress), context.cond
        if cond is None or gamma == 1.0:
            return hook(context)
        without = context.given({**cond, "keep": torch.zeros_like(cond["keep"])})
        if gamma == 0.0:
            return hook(without)
        return context.process.mix(hook(context), hook(without), gamma)
