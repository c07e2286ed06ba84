r"""Templates: letters that a sample may have at each position, as a mask on p(x0 | x_t); and particles that look ahead.

A mask makes each letter fit, whatever the letters drawn before are worth then. With `LookAhead` each sample is made by
a group of rows, particles, as in twisted diffusion sampling (Wu et al. 2023, arXiv 2306.17775). With A_l the letters
allowed at position l, p the model's step and r the step under the mask,

    h(x_t) = prod_l sum_{k in A_l} p(x0_l = k | x_t)         what the template is worth from here, as far as is known
    w <- w p(x_s | x_t) / r(x_s | x_t)                        at every step: exact, whatever h is worth

and the rows of a group are chosen anew by w h when these have become uneven, in the end by w. In the limit of many
particles samples follow the model's p(x | template). Where letters are written from left to right, w is the product of
what the template left of p(x_i | x_<i), the end token's share included (sequential importance resampling; Gordon et
al. 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqdiff.errors import InputError, argument
from seqdiff.guidance.base import Cond, FittedModel, Guidance, Hook, ReachedContext, StepContext
from seqdiff.guidance.particles import Particles, check_particles, resampled
from seqdiff.processes.base import Process, same_tensors
from seqdiff.runtime import widest

IMPOSSIBLE = -1e6  # nats, in place of -inf: differences of two must not be nan


class Template(Guidance):
    """Allow only some letters at each position; every sample then satisfies it exactly.

    Which distribution is sampled depends on what the process can show its network (`Process.given`):

    - letters that stand in the state from the start (masked diffusion, SCUD) and all that is said to a flow on the
      simplex: p(x | template), as well as the process samples p(x);
    - everywhere else, and for sets of letters in masked diffusion and SCUD, the mask acts on the prediction of the
      clean letters at every step. Free letters are drawn before they have seen what is fixed: the template is
      satisfied, but the samples do not follow p(x | template). `LookAhead` weighs particles to make up for it.

    Parameters
    ----------
    allowed : Tensor
        Booleans (L, K), at least one True in each row; or (n, L, K), a template for each sample.
    lengths : Tensor, optional
        (n,) letters of each sample, for a process that draws an end token, letter number K: the template then says that
        it is drawn behind the last letter and not before.
    longest : int, optional
        With `lengths`: the length at which there is no end token any more.
    """

    def __init__(self, allowed: Tensor, lengths: Tensor | None = None, longest: int = 0) -> None:
        self.allowed, self.lengths, self.longest = allowed, lengths, longest
        if lengths is None:
            self.log_allowed = torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, -torch.inf)

    def of_rows(self, rows: Tensor) -> Tensor:
        """Return what samples number `rows` (B,) may hold, booleans (L, K) or (B, L, K), the end token included."""
        allowed = self.allowed if self.allowed.ndim == 2 else self.allowed[rows]
        if self.lengths is None:
            return allowed
        return ended(allowed, self.lengths[rows], min(int(self.lengths.max()) + 1, self.longest))

    def take(self, rows: Tensor) -> Template:
        return Template(self.of_rows(rows))

    def start(self, process: Process[Any], state: Any) -> Any:
        return process.given(state, self.log_allowed.expand(*state.mask.shape, -1))[0]

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        return self.masked(predict(context))

    def masked(self, log_p0: Tensor) -> Tensor:
        """Return a prediction (B, L, K) under the template."""
        log_p0 = log_p0 + self.log_allowed
        # A network may have ruled out, to the last bit, all that is allowed: then what is allowed is equally likely.
        total = torch.logsumexp(log_p0, -1, keepdim=True)
        return torch.where(total.isfinite(), log_p0 - total, self.log_allowed)


def ended(allowed: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Return what is allowed of K letters and the end token, (B, width, K + 1), in sequences of these lengths (B,).

    Parameters
    ----------
    allowed : Tensor
        Booleans (L, K) or (B, L, K): letters, no end token.
    lengths : Tensor
        (B,) letters of each sequence; behind them the end token, and then anything.
    width : int
        Positions, at most one more than the longest has.
    """
    n, (length, letters) = len(lengths), allowed.shape[-2:]
    position, lengths = torch.arange(width, device=allowed.device), lengths[:, None]
    found = torch.ones(n, width, letters + 1, dtype=torch.bool, device=allowed.device)
    found[:, : min(length, width), :letters] = allowed[..., :width, :]
    found[..., :letters] |= (position > lengths)[..., None]
    found[..., :letters] &= (position != lengths)[..., None]
    found[..., letters] = position >= lengths
    return found


class LookAhead(Guidance):
    """Make samples follow p(x | template) where the template cannot be shown to the network.

    Give it as `guidance` beside a `template`, or to `infill` and `mutate`, which take 16 particles without being asked
    (`Autoregressive` 64). It costs as many samples as it has particles, and nothing where it is not needed: fixed
    letters of `MaskedDiffusion` and `SCUD`, every template of `DirichletFM`.

    Parameters
    ----------
    particles : int
        Rows for each sample, a power of two up to 256. The distance from p(x | template) falls about as 1 over their
        number. 1 is the mask alone.

    Raises
    ------
    InputError
        If `particles` is another number, or there is no template.

    Examples
    --------
    >>> from seqdiff import Autoregressive
    >>> model = Autoregressive(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"])
    >>> model.generate(2, template="NNNNAC", guidance=LookAhead(4), random_state=0)[0][4:]
    'AC'
    """

    def __init__(self, particles: int = 16) -> None:
        if particles != 1 or isinstance(particles, bool):
            check_particles(particles)
        self.copies = particles

    def bind(self, model: FittedModel, n: int, cond: Cond) -> Guidance:
        wanted = f"a template for {self.name} to look forward to"
        raise InputError(argument("template"), "None", wanted, f"give {argument('template')} as well")

    def template(
        self, process: Process[Any], allowed: Tensor, lengths: Tensor | None = None, longest: int = 0
    ) -> Template:
        """Return the template to sample under; its arguments are those of `Template`."""
        if self.copies == 1 or process.shows_known == "sets" or (
            process.shows_known == "letters" and not bool(_sets(allowed).any())
        ):  # fmt: skip
            return Template(allowed, lengths, longest)
        return TemplateAhead(self.copies, allowed, lengths, longest)


def _sets(allowed: Tensor) -> Tensor:
    """Return where more than one letter, but not all, may stand, booleans (..., L)."""
    count = allowed.sum(-1)
    return (count > 1) & (count < allowed.shape[-1])


@dataclass
class Step:
    """A step under a template, and what its particles are weighed by.

    Parameters
    ----------
    free, masked : Tensor
        The kernels without the template and with it.
    h : Tensor
        (groups, particles) log h of where the step begins.
    state, target : object
        Where it begins, and the level to reach.
    """

    free: Tensor
    masked: Tensor
    h: Tensor
    state: Any
    target: Any


class TemplateAhead(Particles, Template):
    """A template whose rows are chosen anew by how well they suit it."""

    def __init__(self, particles: int, allowed: Tensor, lengths: Tensor | None = None, longest: int = 0) -> None:
        Particles.__init__(self, particles)
        Template.__init__(self, allowed, lengths, longest)

    @property
    def name(self) -> str:
        return LookAhead.__name__

    def take(self, rows: Tensor) -> Template:
        return WeighedTemplate(self.copies, self.of_rows(rows), len(rows))


class WeighedTemplate(TemplateAhead):
    """`TemplateAhead` of one trajectory of B rows, with the weights of its particles."""

    known: Tensor
    """Where the template is shown to the network, booleans (B, L)."""
    step: Step

    def __init__(self, particles: int, allowed: Tensor, rows: int) -> None:
        super().__init__(particles, allowed)
        device = allowed.device
        self.log_weight = torch.zeros(rows // particles, particles, dtype=widest(device), device=device)
        self.lifted = False
        self.asked: list[tuple[Cond, Tensor]] | None = None  # predictions of this step, by condition

    def start(self, process: Process[Any], state: Any) -> Any:
        state, self.known = process.given(state, self.log_allowed.expand(*state.mask.shape, -1))
        return state

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        log_p0 = self._predicted(predict, context)
        return log_p0 if self.lifted else self.masked(log_p0)

    def _predicted(self, predict: Hook, context: StepContext) -> Tensor:
        """Return the prediction without the template, which a step asks for twice: with it, and lifted."""
        if self.asked is None:  # no step: the answer is of a state of its own
            return predict(context)
        for known, log_p0 in self.asked:
            if same_tensors(known, context.cond):
                return log_p0
        log_p0 = predict(context)
        self.asked.append((context.cond, log_p0))
        return log_p0

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        self.asked = []
        masked = kernel(context)
        # what the template leaves of the prediction under the condition itself, asked for first by every guide
        left = torch.logsumexp(self.asked[0][1] + self.log_allowed, -1)
        counts = context.process.foreseen(context.state) & ~self.known
        left = torch.where(counts, left.to(widest(left.device)), 0.0).sum(-1)
        self.lifted = True
        try:
            free = kernel(context)
        finally:
            self.lifted, self.asked = False, None
        h = left.clamp_min(IMPOSSIBLE).view(-1, self.copies)
        self.step = Step(free, masked, h, context.state, context.target)
        return masked

    def after(self, context: ReachedContext) -> Any:
        step = self.step
        free, masked = (
            context.process.log_prob(kernel.clamp_min(IMPOSSIBLE), step.state, step.target, context.state)
            .to(widest(kernel.device))
            for kernel in (step.free, step.masked)
        )  # fmt: skip
        ratio = (free - masked).view(-1, self.copies)
        if context.progress >= 1:
            chosen, _ = resampled(self.log_weight + ratio, True, context.generator)
        else:
            # Rows are chosen by what was known of them before the step; their weights are then 1/h instead of w.
            chosen, left = resampled(self.log_weight + step.h, False, context.generator)
            self.log_weight = left - step.h.gather(-1, chosen) + ratio.gather(-1, chosen)
        return self.regrouped(context.state, chosen)
