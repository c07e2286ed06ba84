"""Guides that follow a classifier or a regressor towards what is wanted."""

from __future__ import annotations

import copy
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff.errors import shorten, shown
from seqdiff.guidance.base import Cond, Strong


class Towards(Strong):
    """A guide with a classifier, or a regressor, and what it should say of each sample.

    What a guide needs of one: ``classifier.encode(y) -> Tensor (n,)``, which knows what can be wanted, and
    ``classifier.log_likelihood(x, t, mask, wanted) -> (B,)``, log p(wanted | x_t) in nats of what
    `Process.reading` shows of states, differentiable in x where it is made of numbers. Of `SequenceClassifier`,
    `SequenceRegressor`, or a person's own.

    Parameters
    ----------
    classifier : object
    y : label, value, or sequence of them
        What is wanted: one for all, or one for each sample.
    gamma : float or callable
        The strength: p(y | x)^gamma.
    """

    wanted: Tensor
    """(n,) what is wanted of each sample, once bound."""
    process: Any
    """That of the model, once bound."""
    of_hidden = False
    """Whether the classifier is one of hidden states."""

    def __init__(self, classifier: Any, y: Any, gamma: Any, name: str = "gamma") -> None:
        super().__init__(gamma, name)
        for name in ("encode", "log_likelihood"):
            if not hasattr(classifier, name):
                raise ValueError(
                    f"{type(self).__name__} needs a classifier of noised sequences, but was given "
                    f"{_named(classifier)}; give a SequenceClassifier or SequenceRegressor with noise_like=model"
                )
        self.classifier, self.y = classifier, y
        encoded = classifier.encode(y)
        self.one = len(encoded) == 1 and np.ndim(y) == 0
        self.encoded = encoded

    def check_classifier(self, model: Any) -> None:
        """Raise a ValueError if the classifier has learned from other things than this guide will show it."""
        process = model.objective_.process
        learned, name = getattr(self.classifier, "process_", process), self.name
        if type(learned) is not type(process):
            noise = "no noise" if type(learned).__name__ == "Clean" else f"the noise of {type(learned).__name__}"
            raise ValueError(
                f"{name} follows a classifier that has learned from {noise}, but this {type(model).__name__} has the "
                f"noise of {type(process).__name__}; fit it with noise_like=model"
            )
        if not self.of_hidden and getattr(self.classifier, "head_", None) is not None:
            raise ValueError(
                f"{name} needs a classifier of noised sequences, not of hidden states; fit it without hidden"
            )
        alphabet = getattr(self.classifier, "alphabet_", None)
        if alphabet is not None and alphabet.letters != model.alphabet_.letters:
            known, written = (shorten("".join(a.letters)) for a in (alphabet, model.alphabet_))
            raise ValueError(
                f"{name} follows a classifier of the letters {known}, but this generator writes {written}; fit it with "
                "noise_like=model"
            )

    def bind(self, model: Any, n: int, cond: Cond) -> Towards:
        process = model.objective_.process
        self.check_classifier(model)
        if not self.one and len(self.encoded) != n:
            raise ValueError(
                f"{self.name} has y for {len(self.encoded)} sequences, but {n} are wanted; give one for all, "
                "or one for each"
            )
        bound = copy.copy(self)
        bound.process = process
        bound.wanted = self.encoded.to(next(model.objective_.parameters()).device).expand(n)
        return bound

    def take(self, rows: Tensor) -> Towards:
        part = copy.copy(self)
        part.wanted = self.wanted[rows]
        return part


def _named(thing: Any) -> str:
    return repr(thing) if isinstance(thing, (str, int, float, type(None))) else f"a {type(thing).__name__}"


def check_ascent(steps: Any, **sizes: Any) -> None:
    """Raise a ValueError if a number of steps along a gradient, or one of their sizes, is not possible."""
    if not isinstance(steps, numbers.Integral) or isinstance(steps, bool) or steps < 0:
        raise ValueError(f"steps={shown(steps)} is not possible; give a whole number of at least 0")
    for name, value in sizes.items():
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= float(value) < 1e6:
            raise ValueError(f"{name}={shown(value)} is not possible; give a number of at least 0")


def gradient(log_p: Callable[[Tensor], Tensor], x: Tensor, mask: Tensor) -> Tensor:
    """Return d/dx of each sequence's own log p, (B,), of vectors x (B, L, D); 0 beyond the end."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        # a sum: what one sequence gets does not depend on how many others there are
        (found,) = torch.autograd.grad(log_p(x).sum(), x)
    return torch.where(mask[..., None], found, 0)
