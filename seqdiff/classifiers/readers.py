r"""Networks that say what a sequence is like from what a generator's noise leaves of it: p(y | x_t, t).

A network gives numbers f at each position, and those of the real positions make a distribution of y:

    classes: log p(y) = log_softmax(sum_l f_l)_y          values: y ~ N(sum_l f_l[0], exp(mean_l f_l[1])^2)

They are trained on x_t ~ q(x_t | x_0) of the generator's own process at all the times that its sampler passes through,
and are told the time as the generator's network is. Where sequences are written letter by letter, what is left of one
is a prefix: the network is causal, and learns from all prefixes of a sequence at once, sums becoming running sums.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.processes.autoregressive import Autoregressive
from seqdiff.processes.base import Process, State
from seqdiff.processes.categorical import stratified
from seqdiff.runtime import Generators, widest
from seqdiff.training.objective import Batch, Objective


class Law(Protocol):
    """A family of distributions of y, made of the numbers of a network."""

    outputs: int
    """Numbers at each position."""

    def log_prob(self, total: Tensor, count: Tensor, wanted: Tensor) -> Tensor:
        """Return log p(wanted), (...,) nats, from sums (..., outputs) over so many positions (...,)."""

    def predicted(self, total: Tensor, count: Tensor) -> Tensor:
        """Return what is expected of y: probabilities (..., C), or values (...,)."""


class Categories:
    """Classes 0..C-1."""

    def __init__(self, classes: int) -> None:
        self.outputs = classes

    def log_prob(self, total: Tensor, count: Tensor, wanted: Tensor) -> Tensor:
        return torch.log_softmax(total, -1).gather(-1, wanted[..., None]).squeeze(-1)

    def predicted(self, total: Tensor, count: Tensor) -> Tensor:
        return torch.softmax(total, -1)


class Values:
    """Numbers, normally distributed around what is predicted, as far off as is predicted, too."""

    outputs = 2

    def log_prob(self, total: Tensor, count: Tensor, wanted: Tensor) -> Tensor:
        log_scale = (total[..., 1] / count.clamp_min(1)).clamp(-5.0, 5.0)
        z = (wanted - total[..., 0]) * (-log_scale).exp()
        return -0.5 * z.square() - log_scale - 0.5 * math.log(2 * math.pi)

    def predicted(self, total: Tensor, count: Tensor) -> Tensor:
        return total[..., 0]


class Reader(Objective):
    """What is trained: a network over a process's states, and the distribution that its numbers make.

    Parameters
    ----------
    process : Process
        Whose noise to learn from.
    network : nn.Module
        Of `law.outputs` numbers at each position.
    law : Law
    """

    def __init__(self, process: Process, network: nn.Module, law: Any) -> None:
        super().__init__(process, network)
        self.law: Law = law

    def numbers(self, x: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """Return the network's numbers (B, L, outputs), 0 beyond the end, at least in float32."""
        found = self.network(x, t, None, mask)
        found = found if found.dtype == torch.float64 else found.float()
        return torch.where(mask[..., None], found, torch.zeros((), dtype=found.dtype, device=found.device))

    def log_likelihood(self, x: Tensor, t: Tensor, mask: Tensor, wanted: Tensor) -> Tensor:
        """Return log p(wanted | x_t), (B,) nats, of a state's `Process.reading`; differentiable in vectors x."""
        return self.law.log_prob(self.numbers(x, t, mask).sum(1), mask.sum(-1), wanted)

    def predicted(self, x0: Tensor, mask: Tensor) -> Tensor:
        """Return what is expected of y for sequences as they are, (B, C) or (B,)."""
        x, t = self.read(self.process.settled(x0, mask))
        return self.law.predicted(self.numbers(x, t, mask).sum(1), mask.sum(-1))

    def read(self, state: State) -> tuple[Tensor, Tensor]:
        """Return what the network is shown of a state, and the time."""
        return self.process.reading(state)

    def losses(self, batch: Batch, u: Tensor, generator: Generators) -> Tensor:
        """Return -log p(y | x_t), (B,) nats, at the times that u (B,) in [0, 1) stands for."""
        with torch.no_grad():
            x, t = self.read(self.process.noised(batch.x0, u, batch.mask, generator))
        return -self.log_likelihood(x, t, batch.mask, wanted_of(batch))

    def forward(self, batch: Batch, generator: Generators) -> dict[str, Tensor]:
        return {"loss": self.losses(batch, stratified(len(batch), generator, batch.x0.device), generator)}

    @torch.no_grad()
    def bound(self, batch: Batch, times: int | None, generator: Generators) -> tuple[Tensor, Tensor]:
        """Return the mean over `times` evenly spaced times, (B,), by which the best weights are chosen."""
        times = times or 1
        u = torch.full((len(batch),), 1.0 / times, device=batch.x0.device, dtype=widest(batch.x0.device))
        total = torch.stack([self.losses(batch, (i + 0.5) * u, generator) for i in range(times)]).mean(0)
        return total, torch.zeros_like(total)


def wanted_of(batch: Batch) -> Tensor:
    """Return the labels (B,) of a batch: numbers of classes, or values."""
    assert batch.cond is not None
    return batch.cond["label"] if "label" in batch.cond else batch.cond["value"][:, 0]


class PrefixReader(Reader):
    """The same for sequences that are written letter by letter: p(y | prefix), the end token being a letter, too."""

    process: Autoregressive

    def losses(self, batch: Batch, u: Tensor, generator: Generators) -> Tensor:
        """Return -log p(y | prefix), (B,) nats, averaged over all prefixes of a sequence."""
        x, mask = self.process.ended(batch.x0, batch.mask)
        running, count = self.numbers(x, self._times(x), mask).cumsum(1), mask.cumsum(1)
        wanted = wanted_of(batch)[:, None].expand(x.shape)
        log_p = self.law.log_prob(running, count, wanted)
        return -torch.where(mask, log_p, 0.0).sum(-1) / mask.sum(-1)

    def predicted(self, x0: Tensor, mask: Tensor) -> Tensor:
        x, mask = self.process.ended(x0, mask)
        return self.law.predicted(self.numbers(x, self._times(x), mask).sum(1), mask.sum(-1))

    def _times(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), device=x.device)


class HiddenReader(Reader):
    """The same from a generator's own hidden states, which stay as they are: only a small head is trained."""

    network: HiddenHead

    def read(self, state: State) -> tuple[Tensor, Tensor]:
        return self.process.network_input(self.process.prepared(self.network.body, state))


class HiddenPrefixReader(PrefixReader):
    """`HiddenReader` for prefixes: the hidden state at a position has read the letters before it."""

    network: HiddenHead

    def numbers(self, x: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return super().numbers(self.process.inputs(x), t, mask)


class HiddenHead(nn.Module):
    """A small network of the hidden states (B, L, W) of another one, position by position.

    Parameters
    ----------
    body : Network
        It is used as it is, and is no part of this module: neither trained nor saved with it.
    width : int
        W.
    outputs : int
    """

    def __init__(self, body: Any, width: int, outputs: int) -> None:
        super().__init__()
        self._body = (body,)  # in a tuple, where torch does not look for parts of a module
        self.norm = nn.LayerNorm(width)
        self.middle = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @property
    def body(self) -> Any:
        return self._body[0]

    def head(self, hidden: Tensor) -> Tensor:
        """Return numbers (B, L, outputs) of hidden states (B, L, W)."""
        return self.out(F.gelu(self.middle(self.norm(hidden))))

    def forward(
        self, x: Tensor, t: Tensor, cond: dict[str, Tensor] | None = None, mask: Tensor | None = None
    ) -> Tensor:
        # the body learns nothing, but a guide may ask how vectors x would have to be
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            hidden = self.body.hidden(x, t, cond, mask)
        return self.head(hidden)
