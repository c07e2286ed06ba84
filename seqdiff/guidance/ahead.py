r"""Templates that letters to come look forward to, for models that write from left to right.

A mask makes each letter fit, one after the other, whatever the letters before it are worth then. Here each sample is
made by a group of rows; after every letter the rows are weighted by how much of p(x_i | x_<i) the template left,

    w <- w sum_{v allowed at i} p(x_i = v | x_<i),

and chosen anew by their weights when these have become uneven. In the limit of many rows samples follow the model's
law given the template (sequential importance resampling; Gordon et al. 1993).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from seqdiff.guidance.base import Cond, Guidance, Predict
from seqdiff.guidance.particles import Particles, check_particles, resampled
from seqdiff.guidance.template import Template
from seqdiff.processes import Autoregressive


class LookAhead(Guidance):
    """Make `Autoregressive` follow a template as if it knew it beforehand.

    Give it as `guidance` beside a `template`.

    Parameters
    ----------
    particles : int
        Rows for each sample, a power of two from 2 to 256; it takes as many times as long.

    Raises
    ------
    ValueError
        If `particles` is another number, there is no template, or the generator is no `Autoregressive`.

    Examples
    --------
    >>> from seqdiff import Autoregressive
    >>> model = Autoregressive(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"])
    >>> model.generate(2, template="NNNNAC", guidance=LookAhead(4), random_state=0)[0][4:]
    'AC'
    """

    def __init__(self, particles: int = 16) -> None:
        check_particles(particles)
        self.copies = particles

    def bind(self, model: Any, n: int, cond: Cond) -> Guidance:
        raise ValueError("LookAhead has no template to look forward to; give template=... as well")

    def template(self, allowed: Tensor) -> Template:
        """Return the template, allowed letters (L, K), that is looked forward to."""
        return TemplateAhead(allowed, self.copies)


class TemplateAhead(Particles, Template):
    """A template whose rows are chosen anew by how well they fit it."""

    @property
    def name(self) -> str:
        return LookAhead.__name__

    def __init__(self, allowed: Tensor, particles: int) -> None:
        Particles.__init__(self, particles)
        Template.__init__(self, allowed)

    def bind(self, model: Any, n: int, cond: Cond) -> Guidance:
        if not isinstance(model.objective_.process, Autoregressive):
            raise ValueError(
                "LookAhead is for Autoregressive, as other generators see a template coming anyway; leave it out"
            )
        return self

    def take(self, rows: Tensor) -> TemplateAhead:
        part = copy.copy(self)
        part.log_allowed = self.log_allowed if self.log_allowed.ndim == 2 else self.log_allowed[rows]
        part.memory = {"log_weight": torch.zeros(len(rows) // self.copies, self.copies, device=rows.device)}
        return part

    def clean(self, predict: Predict, state: Any, cond: Cond, generator: Any) -> Tensor:
        log_p0 = predict(cond)
        i = int(state.t[0])
        if i < log_p0.shape[1]:
            left = torch.logsumexp(log_p0[:, i] + self.log_allowed[..., i, :], -1)
            self.memory["left"] = left.view(-1, self.copies)
        return super().clean(lambda _: log_p0, state, cond, generator)

    def after(self, state: Any, moment: Any, generator: Any) -> Any:
        log_weight = self.memory["log_weight"] + self.memory["left"]
        chosen, self.memory["log_weight"] = resampled(log_weight, self.progress >= 1, generator)
        return self.regrouped(state, chosen)
