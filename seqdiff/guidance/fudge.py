r"""FUDGE (Yang & Klein 2021, arXiv 2104.05218): a classifier of prefixes steers a model that writes letter by letter.

    p(x_i = v | x_<i, y) ~ p(x_i = v | x_<i) p(y | x_<i, v)^gamma

At gamma = 1, with the true p(y | prefix), this is the law given y.
"""

from __future__ import annotations

import numbers
from typing import Any

import torch
from torch import Tensor

from seqdiff.errors import shown
from seqdiff.guidance.base import Cond, Predict
from seqdiff.guidance.towards import Towards
from seqdiff.processes import Autoregressive


class FUDGE(Towards):
    """Steer `Autoregressive` by a classifier that has learned from all prefixes of its training sequences.

    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model``.
    y : label, value, or sequence of them
        What is wanted: one for all, or one for each sample.
    gamma : float or callable
        0 is unguided, 1 as likely as the classifier says, more is further.
    top_k : int, optional
        Consider only so many of the likeliest letters at each position, as the paper does; None considers all.

    Examples
    --------
    >>> from seqdiff import Autoregressive, SequenceClassifier
    >>> X, y = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"]
    >>> model = Autoregressive(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = SequenceClassifier(noise_like=model, epochs=1).fit(X, y)
    >>> len(model.generate(3, guidance=FUDGE(classifier, "tt", gamma=2.0), random_state=0))
    3
    """

    def __init__(self, classifier: Any, y: Any, gamma: Any = 1.0, top_k: int | None = None) -> None:
        super().__init__(classifier, y, gamma)
        if top_k is not None and (not isinstance(top_k, numbers.Integral) or isinstance(top_k, bool) or top_k < 1):
            raise ValueError(f"top_k={shown(top_k)} is not possible; give a whole number of at least 1, or None")
        self.top_k = top_k

    def bind(self, model: Any, n: int, cond: Cond) -> Towards:
        process = model.objective_.process
        if not isinstance(process, Autoregressive):
            raise ValueError(
                f"FUDGE steers Autoregressive alone, but this is {type(model).__name__}; give ClassifierBased"
            )
        return super().bind(model, n, cond)

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: int, generator: Any) -> Tensor:
        log_p = kernel(cond)
        i, here = target, log_p[:, target]  # (B, K), or (B, K + 1) where the end is possible
        if self.top_k is not None and self.top_k < here.shape[-1]:
            here = here.masked_fill(here < here.topk(self.top_k, -1).values[:, -1:], -torch.inf)
        if self.now != 0:
            rows, letters = torch.nonzero(torch.isfinite(here), as_tuple=True)
            x = torch.cat([state.x[rows, :i], letters[:, None]], 1)
            t = torch.zeros(len(x), device=x.device)
            whole = torch.ones_like(x, dtype=torch.bool)
            found = self.classifier.log_likelihood(x, t, whole, self.wanted[rows])
            here = here.clone()
            here[rows, letters] += self.now * found.to(here.dtype)
        log_p = log_p.clone()
        log_p[:, i] = torch.log_softmax(here, -1)
        return log_p
