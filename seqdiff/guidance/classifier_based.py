r"""Guidance by a classifier of noised sequences, p(y | x_t, t): any property that can be learned, and no labels needed.

For letters (D-CBG; Schiff et al. 2024, arXiv 2412.10193; Nisonoff et al. 2024, arXiv 2406.01572), position by position

    p(x_s^l = v | x_t, y) ~ p(x_s^l = v | x_t) p(y | x_t with v at l, s)^gamma

exactly, with a call of the classifier for each letter of each position that may change, or to first order, where one
gradient g of log p(y | x_t, s) with respect to the letters as vectors gives all of them as g_v.

For points of a simplex and noised embeddings, what x_t says of a letter is e_i ~ q(x_t | x_0 = i), and

    p(x_0 = i | x_t, y) = p(x_0 = i | x_t) + gamma d/d(log e_i) log p(y | x_t),     put back on the simplex,

which at gamma = 1 is Bayes' rule, and another way to write the guided score: d/d(log e) = e (g - <e, g>) for
g = d/de, the paper's (x/t)(g - <x, g>) of Dirichlet flow matching (Stark et al. 2024, arXiv 2402.05841), and the mean
embedding moves by v_t/sqrt(abar_t) d/dx_t log p(y | x_t).
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.guidance.base import Cond, Predict
from seqdiff.guidance.classifier_free import on_simplex
from seqdiff.guidance.towards import Towards, gradient
from seqdiff.processes import Autoregressive, CategoricalProcess, Embedding, Process, SimplexFlow, State

AT_ONCE = 4096  # sequences that the classifier is shown together


class ClassifierBased(Towards):
    """Follow a classifier that has learned from the generator's own noise.

    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model``.
    y : label, value, or sequence of them
        What is wanted: one for all, or one for each sample.
    gamma : float or callable
        0 is unguided, 1 as likely as the classifier says, more is further; below 0 away from it. A function of
        progress, 0 at the first step and 1 at the last, changes it on the way.
    exact : bool
        Whether the classifier is asked about every letter at every position: as many calls a step as letters times
        positions that may change. If not, one gradient tells, to first order. It makes a difference for generators
        whose states are letters.

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion, SequenceClassifier
    >>> X, y = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"]
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = SequenceClassifier(noise_like=model, epochs=1).fit(X, y)
    >>> len(model.generate(3, guidance=ClassifierBased(classifier, "tt", gamma=2.0), random_state=0))
    3
    """

    def __init__(self, classifier: Any, y: Any, gamma: Any = 1.0, exact: bool = False) -> None:
        super().__init__(classifier, y, gamma)
        self.exact = exact

    def bind(self, model: Any, n: int, cond: Cond) -> Towards:
        guide = way_for(model.objective_.process, self.exact)(self.classifier, self.y, self.gamma.gamma)
        return guide.bind(model, n, cond)


class Way(Towards):
    """How a classifier steers one kind of process: what `ClassifierBased` becomes once it knows the model."""

    @property
    def name(self) -> str:
        return ClassifierBased.__name__

    def log_likelihood(self, state: State, x: Tensor | None = None) -> Tensor:
        """Return log p(wanted | x_t), (B,), of a state, or of `x` in place of what it shows."""
        shown, t = self.process.reading(state)
        return self.classifier.log_likelihood(shown if x is None else x, t, state.mask, self.wanted)

    def gradient(self, state: State, x: Tensor) -> Tensor:
        """Return d/dx log p(wanted | x_t) where the classifier is shown vectors x (B, L, S), 0 beyond the end."""
        return gradient(lambda x: self.log_likelihood(state, x), x, state.mask)


class FirstOrder(Way):
    """For letters, by one gradient."""

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: Any, generator: Any) -> Tensor:
        log_p = kernel(cond)
        if self.now == 0:
            return log_p
        then = state._replace(t=self.process.arrival(state, target))
        letters = F.one_hot(state.x, log_p.shape[-1]).float()
        return torch.log_softmax(log_p + self.now * self.gradient(then, letters), -1)


class Exact(Way):
    """For letters, by asking about each."""

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: Any, generator: Any) -> Tensor:
        log_p = kernel(cond)
        if self.now == 0:
            return log_p
        then = state._replace(t=self.process.arrival(state, target), extra={})
        rows, columns, letters = torch.nonzero(
            torch.isfinite(log_p) & ((log_p > -torch.inf).sum(-1, keepdim=True) > 1) & state.mask[..., None],
            as_tuple=True,
        )
        tilt = torch.zeros_like(log_p)
        for part in torch.arange(len(rows), device=rows.device).split(AT_ONCE):
            row, column, letter = rows[part], columns[part], letters[part]
            changed = then.take(row)
            changed.x[torch.arange(len(row), device=row.device), column] = letter
            shown, t = self.process.reading(changed)
            found = self.classifier.log_likelihood(shown, t, changed.mask, self.wanted[row])
            tilt[row, column, letter] = found.to(tilt.dtype)
        return torch.log_softmax(log_p + self.now * tilt, -1)


class OfVectors(Way):
    """For points of a simplex and noised embeddings."""

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        log_p0 = predict(cond)
        if self.now == 0 or "letters" in state.extra:
            return log_p0
        said, _ = self.process.reading(state)
        g = self.gradient(state, said)
        pull = said * (g - (said * g).sum(-1, keepdim=True))
        return on_simplex(log_p0.exp() + self.now * pull.to(log_p0.dtype)).log()


@singledispatch
def way_for(process: Process, exact: bool) -> type[Way]:
    """Return the class of guide that suits a process."""
    raise ValueError(f"ClassifierBased cannot steer {type(process).__name__}, which has no noise to learn from")


@way_for.register
def _(process: Autoregressive, exact: bool) -> type[Way]:
    raise ValueError("ClassifierBased steers what is noised, but Autoregressive writes letter by letter; give FUDGE")


@way_for.register
def _(process: CategoricalProcess, exact: bool) -> type[Way]:
    return Exact if exact else FirstOrder


@way_for.register(SimplexFlow)
@way_for.register(Embedding)
def _(process: Process, exact: bool) -> type[Way]:
    return OfVectors
