r"""Steering of noised vectors by a classifier (Diffusion-LM, Li et al. 2022, arXiv 2205.14217, section 5).

After each reverse step the noised vectors x_t are moved towards what a classifier p(y | x_t, t) takes for the wanted
class, by a few Adagrad steps (Duchi et al. 2011). In units of the noise, x_t + sqrt(v_t) u, from u = 0:

    g = strength * d/du log p(y | x_t + sqrt(v_t) u, t),   G <- G + g^2,   u <- u + lr g / sqrt(G),   G = 1 at first

A step so is lr g where the classifier is nearly content, and never larger than lr. Each sequence has the gradient of
its own log p(y): nothing is averaged over a batch, so that it does not matter which sequences are made together.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqdiff.guidance.base import Cond
from seqdiff.guidance.towards import Towards, check_ascent, gradient
from seqdiff.processes import Embedding


class LatentClassifier(Towards):
    """Steer `EmbeddingDiffusion` towards a class or a value, by Adagrad steps on its vectors.

    The classifier has no part in training the generator: a fitted one can be steered by labels that it has never seen.
    The pull adds up over the reverse steps: where `generate` takes more of them, it is stronger.

    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model``.
    y : label, value, or sequence of them
        What is wanted: one for all, or one for each sample.
    strength : float or callable
        Factor of the gradient; 0 changes nothing, below 0 steers away. A function of progress, 0 at the first step and
        1 at the last, changes it on the way.
    steps : int
        Adagrad steps after each reverse step.
    lr : float
        The largest step of a coordinate, in units of the noise.

    Raises
    ------
    ValueError
        If y is none of the classifier's classes, or a number is not possible.

    Examples
    --------
    >>> from seqdiff import EmbeddingDiffusion, SequenceClassifier
    >>> X, y = ["ACGTAC", "ACGTTC", "TTTTAC", "TTTTAG"], ["acgt", "acgt", "t", "t"]
    >>> model = EmbeddingDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = SequenceClassifier(noise_like=model, epochs=1).fit(X, y)
    >>> len(model.generate(3, steps=10, guidance=LatentClassifier(classifier, "t", strength=2.0)))
    3
    """

    steps: int
    lr: float

    def __init__(self, classifier: Any, y: Any, strength: Any = 1.0, steps: int = 3, lr: float = 0.1) -> None:
        super().__init__(classifier, y, strength, "strength")
        check_ascent(steps, lr=lr)
        self.steps, self.lr = int(steps), float(lr)

    def bind(self, model: Any, n: int, cond: Cond) -> Towards:
        process = model.objective_.process
        if not isinstance(process, Embedding):
            raise ValueError(
                f"LatentClassifier moves noised vectors, which {type(model).__name__} has not; give ClassifierBased"
            )
        return super().bind(model, n, cond)

    def after(self, state: Any, moment: Any, generator: Any) -> Any:
        if "letters" in state.extra or self.now == 0:  # what is written is written
            return state
        scale = self.process.noise[state.t].sqrt().to(state.x.dtype)[:, None, None]
        u, total = torch.zeros_like(state.x), torch.ones_like(state.x)
        for _ in range(self.steps):
            g = self.now * gradient(lambda u: self._log_likelihood(state, state.x + scale * u), u, state.mask)
            total = total + g.square()
            u = u + self.lr * g / total.sqrt()
        return state._replace(x=state.x + scale * u)

    def _log_likelihood(self, state: Any, x: Tensor) -> Tensor:
        """Return log p(wanted | x_t), (B,), of vectors x in place of the state's."""
        shown, t = self.process.reading(state._replace(x=x))
        return self.classifier.log_likelihood(shown, t, state.mask, self.wanted)
