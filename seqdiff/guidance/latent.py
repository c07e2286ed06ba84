r"""Steering of noised vectors by a classifier (Diffusion-LM, Li et al. 2022, arXiv 2205.14217, section 5).

After each reverse step the noised vectors x_t are moved towards what a classifier p(y | x_t, t) takes for the wanted
class, by a few Adagrad steps (Duchi et al. 2011). In units of the noise, x_t + sqrt(v_t) u, from u = 0:

    g = strength * d/du log p(y | x_t + sqrt(v_t) u, t),   G <- G + g^2,   u <- u + lr g / sqrt(G),   G = 1 at first

A step so is lr g where the classifier is nearly content, and never larger than lr. Each sequence has the gradient of
its own log p(y): nothing is averaged over a batch, so that it does not matter which sequences are made together.
"""

from __future__ import annotations

import copy
import numbers
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqdiff.guidance.base import Guidance, Predict


class LatentClassifier(Guidance):
    """Steer `EmbeddingDiffusion` towards a class.

    The classifier has no part in training the generator: a fitted one can be steered by labels that it has never seen.
    The pull adds up over the reverse steps: where `generate` takes more of them, it is stronger.

    Parameters
    ----------
    classifier : object
        Fitted, such as `NoisyClassifier`: ``classifier.log_prob(state) -> (B, C)``, differentiable in ``state.x``;
        ``classifier.noise_scale(state) -> (B,)``, sqrt(v_t); and ``classifier.classes_``.
    y : label, or sequence of them
        The wanted class: one for all, or one for each sample.
    strength : float
        Factor of the gradient; 0 changes nothing, below 0 steers away.
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
    >>> from seqdiff import EmbeddingDiffusion
    >>> from seqdiff.estimators import NoisyClassifier
    >>> X, y = ["ACGTAC", "ACGTTC", "TTTTAC", "TTTTAG"], ["acgt", "acgt", "t", "t"]
    >>> model = EmbeddingDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = NoisyClassifier(model, epochs=1).fit(X, y)
    >>> len(model.generate(3, steps=10, guidance=LatentClassifier(classifier, "t", strength=2.0)))
    3
    """

    classifier: Any
    strength: float
    steps: int
    lr: float
    one: bool  # class for all samples
    wanted: Tensor  # (1,) or (n,) numbers of classes

    def __init__(self, classifier: Any, y: Any, strength: float = 1.0, steps: int = 3, lr: float = 0.1) -> None:
        if not isinstance(steps, numbers.Integral) or isinstance(steps, bool) or steps < 0:
            raise ValueError(f"steps={steps!r} is not possible; give a whole number of at least 0")
        for name, value in (("strength", strength), ("lr", lr)):
            if not isinstance(value, numbers.Real) or not -1e6 < value < 1e6 or (name == "lr" and value < 0):
                wanted = "a number" if name == "strength" else "a number of at least 0"
                raise ValueError(f"{name}={value!r} is not possible; give {wanted}")
        self.classifier, self.strength, self.steps, self.lr = classifier, strength, steps, lr
        self.one = isinstance(y, str) or not isinstance(y, Sequence) and getattr(y, "ndim", 0) == 0
        known = getattr(classifier, "classes_", None)
        if known is None:
            raise ValueError(f"classifier is a {type(classifier).__name__} without classes_; fit it first")
        wanted_classes = [y] if self.one else list(y)
        for label in wanted_classes:
            if label not in known:
                names = ", ".join(map(repr, list(known)[:10]))
                raise ValueError(f"y={label!r} is none of the classifier's classes; give one of {names}")
        numbers_of = {label: i for i, label in enumerate(known)}
        self.wanted = torch.tensor([numbers_of[label] for label in wanted_classes], dtype=torch.int64)

    def check(self, n: int) -> None:
        if not self.one and len(self.wanted) != n:
            raise ValueError(f"y holds {len(self.wanted)} classes, but {n} sequences are made; give one for each")

    def after(self, state: Any, predict: Predict, generator: Any) -> Any:
        if "letters" in state.extra or self.strength == 0:  # what is written is written
            return state
        self.check(len(state.x))
        rows = self.wanted.to(state.x.device).expand(len(state.x))
        scale = self.classifier.noise_scale(state).to(state.x.dtype)[:, None, None]
        real = state.mask[..., None]
        u, total = torch.zeros_like(state.x), torch.ones_like(state.x)
        for _ in range(self.steps):
            g = self.strength * torch.where(real, self._gradient(state, scale, u, rows), 0)
            total = total + g.square()
            u = u + self.lr * g / total.sqrt()
        return state._replace(x=state.x + scale * u)

    def _gradient(self, state: Any, scale: Tensor, u: Tensor, rows: Tensor) -> Tensor:
        """Return d/du of each sequence's own log p(y | x_t + scale u)."""
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            log_p = self.classifier.log_prob(state._replace(x=state.x.detach() + scale * u))
            # a sum: what one sequence gets does not depend on how many others there are
            (gradient,) = torch.autograd.grad(log_p.gather(-1, rows[:, None]).sum(), u)
        return gradient

    def take(self, rows: slice) -> LatentClassifier:
        if self.one:
            return self
        part = copy.copy(self)
        part.wanted = self.wanted[rows]
        return part
