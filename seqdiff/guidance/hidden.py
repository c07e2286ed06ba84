r"""PPLM (Dathathri et al. 2019, arXiv 1912.02164) and NOS (Gruver et al. 2023, arXiv 2305.20009), on hidden states.

A small classifier reads the generator's own last hidden states. At each call these, h, are shifted to h + r d, with r
the root mean square of h at a position, by a few Adagrad steps (Duchi et al. 2011) of length gamma lr in d on

    -log p(y | H(x(d))) + 0.01 KL(p(. | h) || p(. | h + r d)),    gamma < 0: +log p(y | H(x(d))) + ...

p(. | h) is the distribution of letters given h, x(d) is the expected sequence given h + r d, each letter the mean of
the network's inputs for the possible ones, and H(x) are the network's hidden states of that sequence. As in PPLM, the
classifier therefore looks one step ahead: h + r d itself describes the letters that are there, and moving it hardly
changes the letters to come. The scale of h differs between networks by a factor of a hundred: hence r. Each sequence
has an objective of its own, so that it does not matter which sequences are made together.

In NOS all positions move, and x(d) is the whole sequence as it would end; where letters are written from left to
right, PPLM, the state that predicts the next letter does, and x(d) is the prefix with that letter.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.errors import InputError, argument
from seqdiff.guidance.base import FittedModel, Hook, StepContext
from seqdiff.guidance.classifier import ClassifierGuide, check_ascent
from seqdiff.inputs import LabelClassifier, LabelsLike, StrengthLike

SMALLEST_DIVISOR = 1e-10


ARGUMENTS = """    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model, hidden=True``.
    y : label, value, or sequence of them
        The wanted label: one for all samples, or one for each.
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
    InputError
        If an argument is not as it should be, or the classifier reads the hidden states of another model.
"""


class HiddenGuide(ClassifierGuide):
    """Common base of `PPLM` and `NOS`."""

    reads_hidden = True

    def __init__(
        self,
        classifier: LabelClassifier,
        y: LabelsLike,
        gamma: StrengthLike = 1.0,
        steps: int = 5,
        lr: float = 0.1,
        kl: float = 0.01,
    ) -> None:
        super().__init__(classifier, y, gamma)
        check_ascent(steps, lr=lr, kl=kl)
        self.steps, self.lr, self.kl = steps, lr, kl
        self.head: Any = getattr(classifier, "head_", None)
        if self.head is None:
            self.refuse_classifier("one of noised sequences", f"one of hidden states for {self.name}")

    def refuse_classifier(self, found: str, wanted: str) -> NoReturn:
        cure = f"fit it with {argument('noise_like')}, the model, and {argument('hidden', True)}"
        raise InputError(argument("classifier"), found, wanted, cure)

    def check_classifier(self, model: FittedModel) -> None:
        if self.classifier.body_ is not model.network:
            self.refuse_classifier("one of another model", "one of the hidden states of this very model")
        super().check_classifier(model)

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        gamma, state = self.gamma(context.progress), context.state
        if gamma == 0 or self.steps == 0 or not self.matters(context):
            return predict(context)
        width = self.head.norm.normalized_shape[0]
        shift = torch.zeros(*state.x.shape[:2], width, device=state.x.device)
        total = torch.zeros_like(shift)
        before = predict(context.shifted(shift)).detach()
        possible = torch.isfinite(before)
        for _ in range(self.steps):
            with torch.enable_grad():
                shift = shift.detach().requires_grad_()
                after = predict(context.shifted(shift))
                if not after.requires_grad:  # all letters are there: the network was not called
                    return after
                change = torch.where(possible, before - after, 0.0)
                gain = math.copysign(1.0, gamma) * self.log_p(after.exp(), context)
                objective = gain.sum() - self.kl * (before.exp() * change).sum()
                (g,) = torch.autograd.grad(objective, shift)
            total = total + g.square()
            shift = shift.detach() + self.lr * abs(gamma) * g / (total.sqrt() + SMALLEST_DIVISOR)
        return predict(context.shifted(shift))

    def matters(self, context: StepContext) -> bool:
        """Return whether the classifier reads a letter that is still to come."""
        return True

    def log_p(self, p: Tensor, context: StepContext) -> Tensor:
        """Return log p(wanted | x), (B,), of the sequences expected for letters of probabilities p (B, L, K)."""
        raise NotImplementedError


class NOS(HiddenGuide):
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

    def refuse(self, model: FittedModel) -> str:
        return "give PPLM" if model.process.classifier_reads == "prefixes" else ""

    def log_p(self, p: Tensor, context: StepContext) -> Tensor:
        x, t = context.process.expected(p, context.state.mask)
        return self.classifier.log_likelihood(x, t, context.state.mask, self.wanted)


class PPLM(HiddenGuide):
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

    def refuse(self, model: FittedModel) -> str:
        return "" if model.process.classifier_reads == "prefixes" else "give NOS"

    def matters(self, context: StepContext) -> bool:
        process: Any = context.process
        return int(context.state.t[0]) + 1 < process.length  # nothing reads the last letter

    def log_p(self, p: Tensor, context: StepContext) -> Tensor:
        letters = context.process.letters
        p = p[:, : int(context.state.t[0]) + 2, :letters]  # the last of them is not read yet
        p = p / p.sum(-1, keepdim=True).clamp_min(SMALLEST_DIVISOR)  # of the next letter, if there is one
        t, whole = torch.zeros(len(p), device=p.device), torch.ones_like(p[..., 0], dtype=torch.bool)
        x = F.pad(p, (0, context.process.states - letters))
        return self.classifier.log_likelihood(x, t, whole, self.wanted)
