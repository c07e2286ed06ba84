r"""Templates with weights: samples of p(x | template) where the template cannot be shown to the network.

A mask on p(x0 | x_t) makes each letter fit, whatever the letters drawn before are worth then. Here each sample is made
by a group of rows, particles, as in twisted diffusion sampling (Wu et al. 2023, arXiv 2306.17775). With A_l the letters
allowed at position l, p the model's step and r the step under the mask,

    h(x_t) = prod_l sum_{k in A_l} p(x0_l = k | x_t)         what the template is worth from here, as far as is known
    w <- w p(x_s | x_t) / r(x_s | x_t)                        at every step: exact, whatever h is worth

and the rows of a group are chosen anew by w h when these have become uneven, in the end by w. In the limit of many
particles samples follow the model's p(x | template). Where letters are written from left to right, w is the product of
what the template left of p(x_i | x_<i), the end token's share included (sequential importance resampling; Gordon et
al. 1993).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from seqdiff.guidance.base import Cond, Guidance, Predict
from seqdiff.guidance.particles import Particles, check_particles, resampled
from seqdiff.guidance.template import Template
from seqdiff.processes.base import same_tensors
from seqdiff.runtime import widest

IMPOSSIBLE = -1e6  # nats, in place of -inf: differences of two must not be nan


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
    ValueError
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

    def bind(self, model: Any, n: int, cond: Cond) -> Guidance:
        raise ValueError("LookAhead has no template to look forward to; give template=... as well")

    def template(self, process: Any, allowed: Tensor, lengths: Tensor | None = None, longest: int = 0) -> Template:
        """Return the template to sample under; its arguments are those of `Template`."""
        if self.copies == 1 or process.shows_known == "sets" or (
            process.shows_known == "letters" and not bool(_sets(allowed).any())
        ):  # fmt: skip
            return Template(allowed, lengths, longest)
        return TemplateAhead(self.copies, process, allowed, lengths, longest)


class TemplateAhead(Particles, Template):
    """A template whose rows are chosen anew by how well they suit it."""

    @property
    def name(self) -> str:
        return LookAhead.__name__

    def __init__(
        self, particles: int, process: Any, allowed: Tensor, lengths: Tensor | None = None, longest: int = 0
    ) -> None:
        Particles.__init__(self, particles)
        Template.__init__(self, allowed, lengths, longest)
        self.process = process

    def take(self, rows: Tensor) -> TemplateAhead:
        part: Any = copy.copy(Template.take(self, rows))
        zeros = torch.zeros(len(rows) // self.copies, self.copies, dtype=widest(rows.device), device=rows.device)
        part.memory = {"log_weight": zeros, "lifted": False, "asked": None}
        return part

    def start(self, process: Any, state: Any) -> Any:
        state, self.memory["known"] = process.given(state, self.log_allowed.expand(*state.mask.shape, -1))
        return state

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        log_p0 = self._predicted(predict, cond)
        return log_p0 if self.memory["lifted"] else Template.clean(self, lambda _: log_p0, state, cond, generator)

    def _predicted(self, predict: Predict, cond: Cond) -> Tensor:
        """Return the prediction without the template, which a step asks for twice: with it, and lifted."""
        asked = self.memory["asked"]
        if asked is None:  # no step: the answer is of a state of its own
            return predict(cond)
        for known, log_p0 in asked:
            if same_tensors(known, cond):
                return log_p0
        log_p0 = predict(cond)
        asked.append((cond, log_p0))
        return log_p0

    def kernel(self, kernel: Predict, state: Any, cond: Cond, target: Any, generator: Any) -> Tensor:
        self.memory["asked"] = []
        masked = kernel(cond)
        # what the template leaves of the prediction under the condition itself, asked for first by every guide
        left = torch.logsumexp(self.memory["asked"][0][1] + self.log_allowed, -1)
        counts = self.process.foreseen(state) & ~self.memory["known"]
        left = torch.where(counts, left.to(widest(left.device)), 0.0).sum(-1)
        self.memory["h"] = left.clamp_min(IMPOSSIBLE).view(-1, self.copies)
        self.memory["lifted"] = True
        try:
            free = kernel(cond)
        finally:
            self.memory.update(lifted=False, asked=None)
        self.memory["step"] = (free, masked, state, target)
        return masked

    def after(self, state: Any, moment: Any, generator: Any) -> Any:
        free, masked, before, target = self.memory.pop("step")
        free, masked = (
            self.process.log_prob(kernel.clamp_min(IMPOSSIBLE), before, target, state).to(widest(kernel.device))
            for kernel in (free, masked)
        )
        ratio = (free - masked).view(-1, self.copies)
        log_weight, h = self.memory["log_weight"], self.memory["h"]
        if self.progress >= 1:
            chosen, _ = resampled(log_weight + ratio, True, generator)
        else:
            # Rows are chosen by what was known of them before the step; their weights are then 1/h instead of w.
            chosen, left = resampled(log_weight + h, False, generator)
            self.memory["log_weight"] = left - h.gather(-1, chosen) + ratio.gather(-1, chosen)
        return self.regrouped(state, chosen)


def _sets(allowed: Tensor) -> Tensor:
    """Return where more than one letter, but not all, may stand, booleans (..., L)."""
    count = allowed.sum(-1)
    return (count > 1) & (count < allowed.shape[-1])
