r"""Particles: each sample is made by a group of rows, which are resampled by weights on the way.

`LookAhead` weighs them by a template, as in twisted diffusion sampling (Wu et al. 2023, arXiv 2306.17775). With A_l the
letters allowed at position l, p the model's step and r the step under the template's mask,

    h(x_t) = prod_l sum_{k in A_l} p(x0_l = k | x_t)         the probability of the template, as far as it is known
    w <- w p(x_s | x_t) / r(x_s | x_t)                        at every step: exact, whatever h is

and the rows of a group are resampled by w h when these have become uneven, in the end by w. In the limit of many
particles samples follow the model's p(x | template). Where letters are written from left to right, w is the product of
what the template left of p(x_i | x_<i), the end token's share included (sequential importance resampling; Gordon et
al. 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqdiff.errors import InputError, argument, shown
from seqdiff.guidance.base import Cond, FittedModel, Guidance, Hook, ReachedContext, StepContext
from seqdiff.guidance.constraints import Template
from seqdiff.processes.base import Process, S, State, same_tensors
from seqdiff.runtime import CHUNK, Generators, uniform, widest

IMPOSSIBLE = -1e6  # nats, in place of -inf: differences of two must not be nan
UNEVEN = 0.5  # rows are chosen anew when fewer than this share of them counts


def check_particles(particles: int) -> None:
    """Raise an `InputError` unless groups of this size fit into the rows that share a generator."""
    if particles not in [2**i for i in range(1, CHUNK.bit_length())]:
        raise InputError(argument("particles"), shown(particles), f"a power of two from 2 to {CHUNK}", "give one")


def resampled(log_weight: Tensor, last: bool, generator: Generators) -> tuple[Tensor, Tensor]:
    """Return the rows that go on, (groups, particles), and their log-weights, 0 where a group was drawn anew.

    Groups of even weights stay as they are; in the end all are drawn by their weights.
    """
    weight = probabilities(log_weight)
    uneven = 1 / weight.square().sum(-1, keepdim=True) < UNEVEN * weight.shape[1]
    drawn, all_rows = draw(weight, generator), torch.arange(weight.shape[1], device=weight.device)
    again = torch.ones_like(uneven) if last else uneven
    return torch.where(again, drawn, all_rows), torch.where(again, 0.0, log_weight)


def probabilities(log_weight: Tensor) -> Tensor:
    """Return weights (groups, particles) that sum to 1 in each group; all alike where all are impossible."""
    possible = (log_weight > -torch.inf).any(-1, keepdim=True)
    return torch.softmax(torch.where(possible, log_weight, 0.0), -1)


def draw(weight: Tensor, generator: Generators) -> Tensor:
    """Draw as many rows from each group as it has, independently, (groups, particles)."""
    u = uniform((weight.numel(),), generator, weight.device).to(weight.dtype).view(weight.shape)
    return torch.searchsorted(weight.cumsum(-1), u, right=True).clamp_max(weight.shape[1] - 1)


def regrouped(state: S, chosen: Tensor) -> S:
    """Return the state in which the rows of each group are those `chosen`, (groups, particles)."""
    groups = torch.arange(len(chosen), device=chosen.device)[:, None] * chosen.shape[1]
    return state.take((groups + chosen).flatten())


class LookAhead(Guidance):
    """Make samples follow p(x | template) where the template cannot be an input of the network.

    Give it as `guidance` beside a `template`, or to `infill` and `mutate`, whose default is 16 particles
    (`Autoregressive` 64). It costs as many samples as it has particles, and nothing where it is not needed: fixed
    letters of `MaskedDiffusion` (not in blocks) and `SCUD`, every template of `DirichletFM`.

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
        wanted = f"a template for {self.name}"
        raise InputError(argument("template"), "None", wanted, f"give {argument('template')} as well")

    def template(
        self, process: Process[Any], allowed: Tensor, lengths: Tensor | None = None, longest: int = 0
    ) -> Template:
        """Return the template to sample under.

        `allowed`, `lengths` and `longest` are those of `Template`, `process` is the one sampled.
        """
        count = allowed.sum(-1)
        has_sets = bool(((count > 1) & (count < allowed.shape[-1])).any())  # more than one letter, but not all
        shown = process.shows_known == "sets" or (process.shows_known == "letters" and not has_sets)
        if self.copies == 1 or shown:
            return Template(allowed, lengths, longest)
        return TemplateAhead(self.copies, allowed, lengths, longest)


@dataclass
class Step:
    """The context of a step, its kernels without the template and with it, and log h there, (groups, particles)."""

    context: StepContext
    free: Tensor
    masked: Tensor
    h: Tensor


class TemplateAhead(Template):
    """A template whose particles are resampled by h; `take` gives it the weights of one trajectory."""

    name = "LookAhead"
    log_weight: Tensor
    """(groups, particles)."""
    known: Tensor
    """Positions whose letters the network reads from the start, booleans (B, L)."""
    step: Step
    lifted: bool = False
    predictions: list[tuple[Cond, Tensor]] | None = None
    """Predictions of this step, by condition."""

    def __init__(self, particles: int, allowed: Tensor, lengths: Tensor | None = None, longest: int = 0) -> None:
        super().__init__(allowed, lengths, longest)
        self.copies = particles

    def take(self, rows: Tensor) -> TemplateAhead:
        taken = TemplateAhead(self.copies, self.of_rows(rows))
        device = self.allowed.device
        taken.log_weight = torch.zeros(len(rows) // self.copies, self.copies, dtype=widest(device), device=device)
        return taken

    def start(self, process: Process[Any], state: State) -> State:
        state, self.known = process.given(state, self.log_allowed.expand(*state.mask.shape, -1))
        return state.replace(independent=torch.ones_like(state.mask[:, 0]))  # `after` reads densities of single letters

    def clean(self, predict: Hook, context: StepContext) -> Tensor:
        log_p0 = self._predicted(predict, context)
        return log_p0 if self.lifted else self.masked(log_p0)

    def _predicted(self, predict: Hook, context: StepContext) -> Tensor:
        """Return the prediction without the template, which a step needs twice: under the template, and lifted."""
        if self.predictions is None:  # outside of a step: the state is another one
            return predict(context)
        for known, log_p0 in self.predictions:
            if same_tensors(known, context.cond):
                return log_p0
        log_p0 = predict(context)
        self.predictions.append((context.cond, log_p0))
        return log_p0

    def kernel(self, kernel: Hook, context: StepContext) -> Tensor:
        self.predictions = []
        masked = kernel(context)
        # what the template leaves of the prediction under the condition itself, which every guide evaluates first
        left = torch.logsumexp(self.predictions[0][1] + self.log_allowed, -1)
        counts = context.process.foreseen(context.state) & ~self.known
        left = torch.where(counts, left.to(widest(left.device)), 0.0).sum(-1)
        self.lifted = True
        free = kernel(context)
        self.lifted, self.predictions = False, None
        self.step = Step(context, free, masked, left.clamp_min(IMPOSSIBLE).view(-1, self.copies))
        return masked

    def after(self, context: ReachedContext) -> Any:
        step = self.step
        free, masked = (
            context.process.log_prob(
                kernel.clamp_min(IMPOSSIBLE), step.context.state, step.context.target, context.state
            ).to(widest(kernel.device))
            for kernel in (step.free, step.masked)
        )  # fmt: skip
        ratio = (free - masked).view(-1, self.copies)
        if context.progress >= 1:
            chosen, _ = resampled(self.log_weight + ratio, True, context.generator)
        else:
            # resampled by h of before the step, which leaves weights 1/h instead of w
            chosen, left = resampled(self.log_weight + step.h, False, context.generator)
            self.log_weight = left - step.h.gather(-1, chosen) + ratio.gather(-1, chosen)
        return regrouped(context.state, chosen)
