r"""PPLM (Dathathri et al. 2019, arXiv 1912.02164) and NOS (Gruver et al. 2023, arXiv 2305.20009): hidden states moved.

A small classifier reads the generator's own last hidden states. At each call these, h, are shifted to h + r d, with r
the root mean square of h at a position, by a few Adagrad steps (Duchi et al. 2011) of length gamma lr in d on

    -log p(y | H(x(d))) + 0.01 KL(p(. | h) || p(. | h + r d)),    gamma < 0: +log p(y | H(x(d))) + ...

p(. | h) are the letters that the model makes of h, x(d) is the sequence that those of h + r d are expected to give,
each letter the mean of what its possible ones are to the network, and H(x) are its hidden states of that. As in PPLM,
the classifier therefore looks one step ahead: at h + r d itself it would find what h says of letters that are there,
and moving that hardly changes the letters to come. Networks differ in how large their h are, by a hundred times: hence
r. Each sequence has an objective of its own, so that it does not matter which sequences are made together.

In NOS all positions move, and x(d) is the whole sequence as it would end; where letters are written from left to
right, PPLM, the state that predicts the next letter does, and x(d) is the prefix with that letter.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff import runtime
from seqdiff.guidance.base import Cond, Predict
from seqdiff.guidance.towards import Towards, check_ascent
from seqdiff.processes import Autoregressive
from seqdiff.processes.base import same_tensors

TINY = 1e-10
SHIFT = "shift of hidden states"  # under which d travels with the conditions, of which processes choose rows


ARGUMENTS = """    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model, hidden=True``.
    y : label, value, or sequence of them
        What is wanted: one for all, or one for each sample.
    gamma : float or callable
        Factor of the steps' length: 0 is unguided, 1 as in the papers, below 0 away from y; where one wrong letter
        spoils a sequence, as in SMILES, begin at 0.1. As Adagrad's steps do not grow with the gradient, a weight of
        log p(y | x) would hardly matter.
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


class Remembered:
    """Hidden states, made once for what is asked about several times in a row.

    Parameters
    ----------
    hidden : callable
        `Network.hidden`.
    """

    LIMIT = 2  # with a condition and without

    def __init__(self, hidden: Any) -> None:
        self.hidden = hidden
        self.known: list[tuple[dict[str, Tensor], Tensor]] = []

    def __call__(self, x: Tensor, t: Tensor, cond: dict[str, Tensor], mask: Tensor | None) -> Tensor:
        asked = {"x_t": x, "time": t, **({} if mask is None else {"real": mask}), **cond}
        for known, hidden in self.known:
            if same_tensors(known, asked):
                return hidden
        with torch.no_grad():
            hidden = self.hidden(x, t, cond or None, mask)
        # copies, as a sampler may write into its state
        self.known = [({k: v.clone() for k, v in asked.items()}, hidden), *self.known][: self.LIMIT]
        return hidden


class _Shift(Towards):
    """What PPLM and NOS share."""

    for_autoregressive: bool
    of_hidden = True
    steps: int
    lr: float
    kl: float
    head: Any

    def __init__(
        self, classifier: Any, y: Any, gamma: Any = 1.0, steps: int = 5, lr: float = 0.1, kl: float = 0.01
    ) -> None:
        super().__init__(classifier, y, gamma)
        check_ascent(steps, lr=lr, kl=kl)
        head = getattr(classifier, "head_", None)
        if head is None:
            raise ValueError(
                f"{type(self).__name__} needs a classifier of hidden states; give a SequenceClassifier or "
                "SequenceRegressor with noise_like=model, hidden=True"
            )
        self.steps, self.lr, self.kl, self.head = steps, lr, kl, head

    def bind(self, model: Any, n: int, cond: Cond) -> Towards:
        name, writes = type(self).__name__, isinstance(model.objective_.process, Autoregressive)
        if writes is not self.for_autoregressive:
            other = "give PPLM" if writes else "give NOS"
            raise ValueError(f"{name} cannot steer {type(model).__name__}; {other}")
        if self.classifier.body_ is not model.objective_.network:
            raise ValueError(f"{name} needs the hidden states of this very model; fit the classifier with it")
        return super().bind(model, n, cond)

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        if self.now == 0 or self.steps == 0 or not self.matters(state):
            return predict(cond)
        # that of another such guide, which is to act after this one, stays
        start = 0.0 if cond is None else cond.get(SHIFT, 0.0)
        width = self.head.norm.normalized_shape[0]
        shift = torch.zeros(*state.x.shape[:2], width, device=state.x.device)
        total = torch.zeros_like(shift)

        def moved(shift: Tensor) -> Tensor:
            return predict({**(cond or {}), SHIFT: start + shift})

        before = moved(shift).detach()
        possible = torch.isfinite(before)
        for _ in range(self.steps):
            with torch.enable_grad():
                shift = shift.detach().requires_grad_()
                after = moved(shift)
                if not after.requires_grad:  # all letters are there: the network was not asked
                    return after
                change = torch.where(possible, before - after, 0.0)
                gain = math.copysign(1.0, self.now) * self.log_likelihood(after.exp(), state)
                objective = gain.sum() - self.kl * (before.exp() * change).sum()
                (g,) = torch.autograd.grad(objective, shift)
            total = total + g.square()
            shift = shift.detach() + self.lr * abs(self.now) * g / (total.sqrt() + TINY)
        return moved(shift)

    def wrap(self, network: Any) -> Any:
        body, states = self.classifier.body_, Remembered(self.classifier.body_.hidden)

        def call(x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
            if cond is None or SHIFT not in cond:
                return network(x, t, cond, mask)
            rest = {name: value for name, value in cond.items() if name != SHIFT}
            hidden = states(x, t, rest, mask)
            with runtime.full_precision(x.device):
                hidden = hidden.float()
                size = hidden.square().mean(-1, keepdim=True).sqrt()
                return body.head(hidden + size * cond[SHIFT])

        return call

    def matters(self, state: Any) -> bool:
        """Return whether anything that the classifier reads is still to come."""
        return True

    def log_likelihood(self, p: Tensor, state: Any) -> Tensor:
        """Return log p(wanted | x), (B,), of the sequences that letters of probabilities p (B, L, K) should give."""
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

    def log_likelihood(self, p: Tensor, state: Any) -> Tensor:
        x, t = self.process.expected(p, state.mask)
        return self.classifier.log_likelihood(x, t, state.mask, self.wanted)


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

    def matters(self, state: Any) -> bool:
        return int(state.t[0]) + 1 < self.process.length  # nothing reads the last letter

    def log_likelihood(self, p: Tensor, state: Any) -> Tensor:
        letters = p[:, : int(state.t[0]) + 2, : self.process.letters]  # the last of them is not read yet
        letters = letters / letters.sum(-1, keepdim=True).clamp_min(TINY)  # if there is a next one, what it may be
        t, whole = torch.zeros(len(p), device=p.device), torch.ones_like(letters[..., 0], dtype=torch.bool)
        x = F.pad(letters, (0, self.process.states - self.process.letters))
        return self.classifier.log_likelihood(x, t, whole, self.wanted)
