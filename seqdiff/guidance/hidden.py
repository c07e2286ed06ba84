r"""PPLM (Dathathri et al. 2019, arXiv 1912.02164) and NOS (Gruver et al. 2023, arXiv 2305.20009): hidden states moved.

A small classifier reads the generator's own last hidden states h. At each call these are shifted, h + r d, with r the
root mean square of h at a position, by a few Adagrad steps (Duchi et al. 2011) of length gamma lr in d on

    -log p(y | h + r d) + 0.01 KL(p(. | h) || p(. | h + r d)),    gamma < 0: +log p(y | h + r d) + ...

with p(. | h) the letters that the network's head makes of h. Networks differ in how large their h are, by a hundred
times: hence r. Each sequence has an objective of its own, so that it does not matter which sequences are made together.
In NOS all positions move; where letters are written from left to right, PPLM, each position's next letter moves the
state that predicts it, behind a prefix whose states stay.
"""

from __future__ import annotations

import numbers
from typing import Any

import torch
from torch import Tensor

from seqdiff import runtime
from seqdiff.guidance.base import Cond, Predict
from seqdiff.guidance.towards import Towards
from seqdiff.processes import Autoregressive

TINY = 1e-10
KEY = "wanted by {}"  # under which what is wanted travels with the conditions, of which processes choose rows


ARGUMENTS = """    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model, hidden=True``.
    y : label, value, or sequence of them
        What is wanted: one for all, or one for each sample.
    gamma : float or callable
        Factor of the steps' length: 0 is unguided, 1 as in the papers, below 0 away from y. As Adagrad's steps do not
        grow with the gradient, a weight of log p(y | h) would hardly matter.
    steps : int
        Adagrad steps at each call of the network.
    lr : float
        The first step of each number at gamma = 1, as a share of the hidden states' root mean square.
    kl : float
        Weight of what keeps the letters like those of the unguided model.

    Raises
    ------
    ValueError
        If an argument is not as it should be, or the classifier reads the hidden states of another model.
"""


class _Shift(Towards):
    """What PPLM and NOS share."""

    for_autoregressive: bool
    of_hidden = True
    steps: int
    lr: float
    kl: float
    head: Any
    token: object

    def __init__(
        self, classifier: Any, y: Any, gamma: Any = 1.0, steps: int = 5, lr: float = 0.1, kl: float = 0.01
    ) -> None:
        super().__init__(classifier, y, gamma)
        if not isinstance(steps, numbers.Integral) or isinstance(steps, bool) or steps < 0:
            raise ValueError(f"steps={steps!r} is not possible; give a whole number of at least 0")
        for name, value in (("lr", lr), ("kl", kl)):
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value < 1e6:
                raise ValueError(f"{name}={value!r} is not possible; give a number of at least 0")
        head = getattr(classifier, "head_", None)
        if head is None:
            raise ValueError(
                f"{type(self).__name__} needs a classifier of hidden states; give a SequenceClassifier or "
                "SequenceRegressor with noise_like=model, hidden=True"
            )
        self.steps, self.lr, self.kl, self.head = steps, lr, kl, head
        self.token = object()  # the same in all copies, and no other guide's

    def bind(self, model: Any, n: int, cond: Cond) -> Towards:
        name, writes = type(self).__name__, isinstance(model.objective_.process, Autoregressive)
        if writes is not self.for_autoregressive:
            other = "give PPLM" if writes else "give NOS"
            raise ValueError(f"{name} cannot steer {type(model).__name__}; {other}")
        if self.classifier.body_ is not model.objective_.network:
            raise ValueError(f"{name} needs the hidden states of this very model; fit the classifier with it")
        return super().bind(model, n, cond)

    @property
    def key(self) -> str:
        return KEY.format(id(self.token))

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        if self.now == 0 or self.steps == 0:
            return predict(cond)
        strength = torch.full(self.wanted.shape, self.now, device=self.wanted.device)
        return predict({**(cond or {}), self.key: self.wanted, f"{self.key}, strength": strength})

    def wrap(self, network: Any) -> Any:
        body, key = self.classifier.body_, self.key

        def call(x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
            if cond is None or key not in cond:
                return network(x, t, cond, mask)
            rest = {name: value for name, value in cond.items() if not name.startswith(key)}
            hidden = body.hidden(x, t, rest or None, mask)
            with runtime.full_precision(x.device):
                return self.moved(body, hidden.float(), cond[key], cond[f"{key}, strength"], mask)

        return call

    def moved(self, body: Any, hidden: Tensor, wanted: Tensor, strength: Tensor, mask: Tensor | None) -> Tensor:
        """Return the logits (B, L, K) of hidden states (B, L, W) after the shift."""
        real = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device) if mask is None else mask
        before = torch.log_softmax(body.head(hidden), -1)
        size = hidden.square().mean(-1, keepdim=True).sqrt()
        towards, length = strength.sign(), self.lr * strength.abs()[:, None, None]
        shift, total = torch.zeros_like(hidden), torch.zeros_like(hidden)
        for _ in range(self.steps):
            with torch.enable_grad():
                shift = shift.detach().requires_grad_()
                after = torch.log_softmax(body.head(hidden + size * shift), -1)
                kl = (before.exp() * (before - after)).sum(-1)
                gain = self.log_likelihood(hidden, size * shift, real, wanted, towards)
                objective = gain - self.kl * torch.where(real, kl, 0).sum()
                (g,) = torch.autograd.grad(objective, shift)
            total = total + g.square()
            shift = shift.detach() + length * g / (total.sqrt() + TINY)
        return body.head(hidden + size * shift.detach())

    def log_likelihood(self, hidden: Tensor, shift: Tensor, real: Tensor, wanted: Tensor, towards: Tensor) -> Tensor:
        """Return the sum of log p(wanted | h + d), or of minus it where `towards` (B,) is -1, a number."""
        raise NotImplementedError


class NOS(_Shift):
    __doc__ = f"""Steer a diffusion by a classifier of its own hidden states.

{ARGUMENTS}
    Examples
    --------
    >>> from seqdiff import MaskedDiffusion, SequenceClassifier
    >>> X, y = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"]
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = SequenceClassifier(noise_like=model, hidden=True, epochs=1).fit(X, y)
    >>> len(model.generate(3, guidance=NOS(classifier, "tt", gamma=2.0), random_state=0))
    3
    """
    for_autoregressive = False

    def log_likelihood(self, hidden: Tensor, shift: Tensor, real: Tensor, wanted: Tensor, towards: Tensor) -> Tensor:
        numbers_ = torch.where(real[..., None], self.head.head(hidden + shift), 0)
        return (towards * self.classifier.law_.log_prob(numbers_.sum(1), real.sum(-1), wanted)).sum()


class PPLM(_Shift):
    __doc__ = f"""Steer `Autoregressive` by a classifier of its own hidden states.

{ARGUMENTS}
    Examples
    --------
    >>> from seqdiff import Autoregressive, SequenceClassifier
    >>> X, y = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"]
    >>> model = Autoregressive(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = SequenceClassifier(noise_like=model, hidden=True, epochs=1).fit(X, y)
    >>> len(model.generate(3, guidance=PPLM(classifier, "tt", gamma=2.0), random_state=0))
    3
    """
    for_autoregressive = True

    def log_likelihood(self, hidden: Tensor, shift: Tensor, real: Tensor, wanted: Tensor, towards: Tensor) -> Tensor:
        still = self.head.head(hidden)
        before = still.cumsum(1) - still  # of the positions before each
        count = torch.arange(1, hidden.shape[1] + 1, device=hidden.device).expand(hidden.shape[:2])
        wanted, towards = (v[:, None].expand(hidden.shape[:2]) for v in (wanted, towards))
        log_p = self.classifier.law_.log_prob(before + self.head.head(hidden + shift), count, wanted)
        return (towards * log_p).sum()
