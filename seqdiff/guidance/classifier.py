r"""Guides that follow a classifier, or a regressor, of noised sequences: p(y | x_t, t).

For letters (D-CBG; Schiff et al. 2024, arXiv 2412.10193; Nisonoff et al. 2024, arXiv 2406.01572), position by position

    p(x_s^l = v | x_t, y) ~ p(x_s^l = v | x_t) p(y | x_t with v at l, s)^gamma                        `ClassifierBased`

exactly, with a call of the classifier for each letter of each position that may change, or to first order, with one
gradient g of log p(y | x_t, s) with respect to the letters as vectors, whose entry g_v is the change for letter v.

For points of a simplex and noised embeddings, the evidence of x_t for letter i is e_i ~ q(x_t | x_0 = i), and

    p(x_0 = i | x_t, y) = p(x_0 = i | x_t) + gamma d/d(log e_i) log p(y | x_t),     put back on the simplex,

which at gamma = 1 is Bayes' rule, and another way to write the guided score: d/d(log e) = e (g - <e, g>) for
g = d/de, the paper's (x/t)(g - <x, g>) of Dirichlet flow matching (Stark et al. 2024, arXiv 2402.05841), and the mean
embedding moves by v_t/sqrt(abar_t) d/dx_t log p(y | x_t).

Where letters are written from left to right (Yang & Klein 2021, arXiv 2104.05218)

    p(x_i = v | x_<i, y) ~ p(x_i = v | x_<i) p(y | x_<i, v)^gamma                                               `FUDGE`

which at gamma = 1, with the true p(y | prefix), is the distribution given y. Noised vectors may also be moved after
each reverse step (Diffusion-LM, Li et al. 2022, arXiv 2205.14217, section 5), by a few Adagrad steps (Duchi et al.
2011): in units of the noise, x_t + sqrt(v_t) u, from u = 0 with G = 1 at first,

    g = strength * d/du log p(y | x_t + sqrt(v_t) u, t),   G <- G + g^2,   u <- u + lr g / sqrt(G)   `LatentClassifier`

A step is about lr g where the gradient is small, and never larger than lr. Each sequence has the gradient of its own
log p(y): nothing is averaged over a batch, so that it does not matter which sequences are made together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.errors import InputError, argument, of_kind, shorten, shown
from seqdiff.guidance.base import Cond, FittedModel, Guidance, Hook, ReachedContext, StepContext, Strength
from seqdiff.inputs import LabelClassifier, LabelsLike, StrengthLike, is_one
from seqdiff.parameters import Real, Whole
from seqdiff.processes.base import Process, State
from seqdiff.processes.dirichlet import on_simplex

AT_ONCE = 4096  # sequences in one call of the classifier


class ClassifierGuide(Guidance):
    """A guide with a classifier or a regressor, a `LabelClassifier`, and the label that each sample should have."""

    reads_hidden: ClassVar[bool] = False
    """True if the classifier takes hidden states."""
    wanted: Tensor
    """(n,) encoded labels, once bound."""

    def __init__(self, classifier: LabelClassifier, y: LabelsLike, gamma: StrengthLike, name: str = "gamma") -> None:
        self.gamma = Strength(gamma, name)
        if not (hasattr(classifier, "encode") and hasattr(classifier, "log_likelihood")):
            plain = isinstance(classifier, (str, int, float, type(None)))
            found, wanted = shown(classifier) if plain else of_kind(classifier), "a classifier of noised sequences"
            cure = f"give a SequenceClassifier or SequenceRegressor with {argument('noise_like')}, the model"
            raise InputError(argument("classifier"), found, f"{wanted} for {self.name}", cure)
        self.classifier: Any = classifier  # perhaps with more attributes than a LabelClassifier has
        self.y = y
        self.encoded = classifier.encode(y)
        self.one = len(self.encoded) == 1 and is_one(y)

    def refuse(self, model: FittedModel) -> str:
        """Return another guide to give where this one cannot steer the model; "" where it can."""
        return ""

    def bind(self, model: FittedModel, n: int, cond: Cond) -> Guidance:
        if cure := self.refuse(model):
            raise InputError(argument("guidance"), f"{self.name} for {model.name}", "a guide that can steer it", cure)
        self.check_classifier(model)
        if not self.one and len(self.encoded) != n:
            found, cure = f"{len(self.encoded)} for {self.name}", "give one for all, or one for each"
            raise InputError(argument("y"), found, f"one, or {n}, as many as there are sequences", cure)
        return self.replaced(wanted=self.encoded.to(model.device).expand(n))

    def take(self, rows: Tensor) -> Guidance:
        return self.replaced(wanted=self.wanted[rows])

    def check_classifier(self, model: FittedModel) -> None:
        """Raise an `InputError` if the classifier was fitted to other noise, letters or inputs than it will get."""
        where, cure = argument("classifier"), f"fit it with {argument('noise_like')}, the model"
        learned = type(getattr(self.classifier, "process_", model.process)).__name__
        process = type(model.process).__name__
        if learned != process:
            noise = "of no noise" if learned == "Clean" else f"of the noise of {learned}"
            raise InputError(where, f"one {noise}", f"one of the noise of {process} for {model.name}", cure)
        if not self.reads_hidden and getattr(self.classifier, "head_", None) is not None:
            wanted, refit = f"one of noised sequences for {self.name}", f"fit it with {argument('hidden', False)}"
            raise InputError(where, "one of hidden states", wanted, refit)
        alphabet = getattr(self.classifier, "alphabet_", None)
        if alphabet is not None and alphabet.letters != model.alphabet.letters:
            known, written = (shorten("".join(a.letters)) for a in (alphabet, model.alphabet))
            raise InputError(where, f"one of the letters {known}", f"one of {written}, as this generator has", cure)

    def log_likelihood(self, process: Process[Any], state: State, x: Tensor | None = None) -> Tensor:
        """Return log p(wanted | x_t), (B,), of a state, or with `x` in place of its reading."""
        reading, t = process.reading(state)
        return self.classifier.log_likelihood(reading if x is None else x, t, state.mask, self.wanted)


class ClassifierBased(ClassifierGuide):
    """Steer a generator by a classifier of its noised sequences.

    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model``.
    y : label, value, or sequence of them
        The wanted label: one for all samples, or one for each.
    gamma : float or callable
        0 is unguided, 1 samples p(x | y), more is further; below 0 away from y. A function of progress, 0 at the first
        step and 1 at the last, changes it on the way.
    exact : bool
        Whether to evaluate the classifier for every letter at every position, as many calls a step as letters times
        positions that may change, instead of one gradient, to first order. It makes a difference for generators whose
        states are letters.

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion, SequenceClassifier
    >>> X, y = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"]
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = SequenceClassifier(noise_like=model, epochs=1).fit(X, y)
    >>> len(model.generate(3, guidance=ClassifierBased(classifier, "tt", gamma=2.0), random_state=0))
    3
    """

    def __init__(
        self, classifier: LabelClassifier, y: LabelsLike, gamma: StrengthLike = 1.0, exact: bool = False
    ) -> None:
        super().__init__(classifier, y, gamma)
        self.exact = exact

    def refuse(self, model: FittedModel) -> str:
        reads = model.process.classifier_reads
        return "" if reads in ("letters", "vectors") else "give FUDGE" if reads == "prefixes" else "guide its teacher"

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        log_p, gamma = kernel(context), self.gamma(context.progress)
        if gamma == 0 or context.process.classifier_reads != "letters":
            return log_p
        then = context.state.replace(t=context.process.arrival(context.state, context.target))
        if self.exact:
            tilt = self.every_letter(log_p, context.process, then)
        else:
            letters = F.one_hot(then.x, log_p.shape[-1]).float()
            tilt = gradient(lambda x: self.log_likelihood(context.process, then, x), letters, then.mask)
        return torch.log_softmax(log_p + gamma * tilt, -1)

    def every_letter(self, log_p: Tensor, process: Process[Any], then: State) -> Tensor:
        """Return log p(wanted | x_t with v at l) of every letter v that l may have, (B, L, S); 0 without a choice.

        `log_p` (B, L, S) are the log-probabilities of the step, -inf for what cannot be; `then` is the state reached by
        the `process`.
        """
        then = process.state_class(then.x, then.t, then.mask)
        has_choice = ((log_p > -torch.inf).sum(-1, keepdim=True) > 1) & then.mask[..., None]
        rows, columns, letters = torch.nonzero(torch.isfinite(log_p) & has_choice, as_tuple=True)
        tilt = torch.zeros_like(log_p)
        for part in torch.arange(len(rows), device=rows.device).split(AT_ONCE):
            row, column, letter = rows[part], columns[part], letters[part]
            changed = then.take(row)
            changed.x[torch.arange(len(row), device=row.device), column] = letter
            reading, t = process.reading(changed)
            found = self.classifier.log_likelihood(reading, t, changed.mask, self.wanted[row])
            tilt[row, column, letter] = found.to(tilt.dtype)
        return tilt

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        log_p0, gamma, process, state = predict(context), self.gamma(context.progress), context.process, context.state
        if gamma == 0 or process.classifier_reads != "vectors" or process.decided(state):
            return log_p0
        said, _ = process.reading(state)
        g = gradient(lambda x: self.log_likelihood(process, state, x), said, state.mask)
        pull = said * (g - (said * g).sum(-1, keepdim=True))
        return on_simplex(log_p0.exp() + gamma * pull.to(log_p0.dtype)).log()


class FUDGE(ClassifierGuide):
    """Steer `Autoregressive` by a classifier of prefixes.

    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model``.
    y : label, value, or sequence of them
        The wanted label: one for all samples, or one for each.
    gamma : float or callable
        0 is unguided, 1 samples p(x | y), more is further.
    top_k : int, optional
        Number of the likeliest letters considered at each position, as the paper does; None considers all.

    Examples
    --------
    >>> from seqdiff import Autoregressive, SequenceClassifier
    >>> X, y = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"]
    >>> model = Autoregressive(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = SequenceClassifier(noise_like=model, epochs=1).fit(X, y)
    >>> len(model.generate(3, guidance=FUDGE(classifier, "tt", gamma=2.0), random_state=0))
    3
    """

    def __init__(
        self, classifier: LabelClassifier, y: LabelsLike, gamma: StrengthLike = 1.0, top_k: int | None = None
    ) -> None:
        super().__init__(classifier, y, gamma)
        Whole(1).check("top_k", top_k, optional=True)
        self.top_k = top_k

    def refuse(self, model: FittedModel) -> str:
        return "" if model.process.classifier_reads == "prefixes" else "give ClassifierBased"

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        log_p, gamma = kernel(context), self.gamma(context.progress)
        i, here = context.target, log_p[:, context.target]  # (B, K), or (B, K + 1) where the end is possible
        if self.top_k is not None and self.top_k < here.shape[-1]:
            here = here.masked_fill(here < here.topk(self.top_k, -1).values[:, -1:], -torch.inf)
        if gamma != 0:
            rows, letters = torch.nonzero(torch.isfinite(here), as_tuple=True)
            x = torch.cat([context.state.x[rows, :i], letters[:, None]], 1)
            t = torch.zeros(len(x), device=x.device)
            whole = torch.ones_like(x, dtype=torch.bool)
            found = self.classifier.log_likelihood(x, t, whole, self.wanted[rows])
            here = here.clone()
            here[rows, letters] += gamma * found.to(here.dtype)
        log_p = log_p.clone()
        log_p[:, i] = torch.log_softmax(here, -1)
        return log_p


class LatentClassifier(ClassifierGuide):
    """Steer `EmbeddingDiffusion` towards a class or a value, by Adagrad steps on its vectors.

    The generator may have been fitted without labels. The gradients add up over the reverse steps: with more of them
    the effect is stronger.

    Parameters
    ----------
    classifier : SequenceClassifier or SequenceRegressor
        Fitted with ``noise_like=model``.
    y : label, value, or sequence of them
        The wanted label: one for all samples, or one for each.
    strength : float or callable
        Factor of the gradient; 0 changes nothing, below 0 steers away. A function of progress, 0 at the first step and
        1 at the last, changes it on the way.
    steps : int
        Adagrad steps after each reverse step.
    lr : float
        The largest step of a coordinate, in units of the noise.

    Raises
    ------
    InputError
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

    def __init__(
        self, classifier: LabelClassifier, y: LabelsLike, strength: StrengthLike = 1.0, steps: int = 3, lr: float = 0.1
    ) -> None:
        super().__init__(classifier, y, strength, "strength")
        check_ascent(steps, lr=lr)
        self.steps, self.lr = int(steps), float(lr)

    def refuse(self, model: FittedModel) -> str:
        has_noise = type(model.process).vector_noise is not Process.vector_noise
        return "" if has_noise else "give ClassifierBased, as this moves noised vectors"

    def after(self, context: ReachedContext) -> Any:
        process, state, strength = context.process, context.state, self.gamma(context.progress)
        if process.decided(state) or strength == 0:
            return state
        scale = process.vector_noise(state)
        assert scale is not None  # as `refuse` has found
        u, total = torch.zeros_like(state.x), torch.ones_like(state.x)

        def log_p(u: Tensor) -> Tensor:
            return self.log_likelihood(process, state.replace(x=state.x + scale * u))

        for _ in range(self.steps):
            g = strength * gradient(log_p, u, state.mask)
            total = total + g.square()
            u = u + self.lr * g / total.sqrt()
        return state.replace(x=state.x + scale * u)


def check_ascent(steps: int, **sizes: float) -> None:
    """Raise an `InputError` if a number of steps along a gradient, or one of their sizes, is not possible."""
    Whole(0).check("steps", steps)
    for name, value in sizes.items():
        Real(0, 1e6).check(name, value)


def gradient(log_p: Callable[[Tensor], Tensor], x: Tensor, mask: Tensor) -> Tensor:
    """Return d/dx of each sequence's own log p, (B,), of vectors x (B, L, D); 0 beyond the end."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        # a sum: what one sequence gets does not depend on how many others there are
        (found,) = torch.autograd.grad(log_p(x).sum(), x)
    return torch.where(mask[..., None], found, 0)
