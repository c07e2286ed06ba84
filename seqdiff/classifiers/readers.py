r"""Networks that predict labels from noised sequences: p(y | x_t, t).

A network has outputs f at each position, and those of the real positions give a distribution of y:

    classes: log p(y) = log_softmax(sum_l f_l)_y          values: y ~ N(sum_l f_l[0], exp(mean_l f_l[1])^2)

They are trained on x_t ~ q(x_t | x_0) of the generator's own process at all the times that its sampler passes through,
with the same time as input as the generator's network. Where sequences are written letter by letter, x_t is a prefix:
the network is causal and is trained on all prefixes of a sequence at once, sums becoming running sums.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.networks import Network
from seqdiff.networks.layers import average
from seqdiff.processes.autoregressive import Autoregressive
from seqdiff.processes.base import Process, State
from seqdiff.processes.categorical import stratified
from seqdiff.runtime import Generators, widest
from seqdiff.training.objective import Batch, Objective


class LabelDistribution(Protocol):
    """p(y) given sums of a network's outputs over a sequence."""

    outputs: int
    """Outputs of the network at each position."""

    def log_prob(self, total: Tensor, count: Tensor, wanted: Tensor) -> Tensor:
        """Return log p(wanted), (...,) nats, given sums (..., outputs) over the counted positions (...,)."""

    def mean(self, total: Tensor, count: Tensor) -> Tensor:
        """Return probabilities of classes (..., C), or expected values (...,)."""


class Categorical:
    """A categorical distribution of classes 0..C-1."""

    def __init__(self, classes: int) -> None:
        self.outputs = classes

    def log_prob(self, total: Tensor, count: Tensor, wanted: Tensor) -> Tensor:
        return torch.log_softmax(total, -1).gather(-1, wanted[..., None]).squeeze(-1)

    def mean(self, total: Tensor, count: Tensor) -> Tensor:
        return torch.softmax(total, -1)


class Normal:
    """A normal distribution of values, with predicted mean and standard deviation."""

    outputs = 2

    def log_prob(self, total: Tensor, count: Tensor, wanted: Tensor) -> Tensor:
        log_scale = self._log_scale(total, count)
        z = (wanted - total[..., 0]) * (-log_scale).exp()
        return -0.5 * z.square() - log_scale - 0.5 * math.log(2 * math.pi)

    def mean(self, total: Tensor, count: Tensor) -> Tensor:
        return total[..., 0]

    def mean_and_scale(self, total: Tensor, count: Tensor) -> Tensor:
        """Return expected values and standard deviations, (..., 2)."""
        return torch.stack([total[..., 0], self._log_scale(total, count).exp()], -1)

    @staticmethod
    def _log_scale(total: Tensor, count: Tensor) -> Tensor:
        return (total[..., 1] / count.clamp_min(1)).clamp(-5.0, 5.0)


class Reader(Objective):
    """A network over a process's states, and the distribution of labels given its outputs.

    Parameters
    ----------
    process : Process
        The process of the noise.
    network : nn.Module
        Of `distribution.outputs` outputs at each position.
    distribution : LabelDistribution
    """

    def __init__(self, process: Process, network: nn.Module, distribution: LabelDistribution) -> None:
        super().__init__(process, network)
        self.distribution = distribution

    def outputs(self, x: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """Return the network's outputs (B, L, outputs), 0 beyond the end, at least in float32."""
        found = self.network(x, t, None, mask)
        found = found if found.dtype == torch.float64 else found.float()
        return torch.where(mask[..., None], found, torch.zeros((), dtype=found.dtype, device=found.device))

    def log_likelihood(self, x: Tensor, t: Tensor, mask: Tensor, wanted: Tensor) -> Tensor:
        """Return log p(wanted | x_t), (B,) nats, of a state's `Process.reading`; differentiable in vectors x."""
        return self.distribution.log_prob(self.outputs(x, t, mask).sum(1), mask.sum(-1), wanted)

    def totals(self, x0: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of the outputs (B, outputs) over the positions of clean sequences, and their number (B,)."""
        x, t = self.read(self.process.settled(x0, mask))
        return self.outputs(x, t, mask).sum(1), mask.sum(-1)

    def embedding(self, x0: Tensor, mask: Tensor) -> Tensor:
        """Return the network's hidden states, averaged over real positions, (B, W), of clean sequences."""
        x, t = self.read(self.process.settled(x0, mask))
        return average(self.hidden(x, t, mask), mask).squeeze(1)

    def hidden(self, x: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """Return the network's hidden states (B, L, W)."""
        network: Any = self.network  # a function of the user's may lack it
        return network.hidden(x, t, None, mask)

    def read(self, state: State) -> tuple[Tensor, Tensor]:
        """Return the network's input for a state, and the time."""
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
    """Return the labels (B,) of a batch: class numbers, or values."""
    assert batch.cond is not None
    return batch.cond["label"] if "label" in batch.cond else batch.cond["value"][:, 0]


class PrefixReader(Reader):
    """A reader of prefixes: p(y | prefix), the end token being a letter, too."""

    process: Autoregressive

    def losses(self, batch: Batch, u: Tensor, generator: Generators) -> Tensor:
        """Return -log p(y | prefix), (B,) nats, averaged over all prefixes of a sequence."""
        outputs, mask = self._ended(batch.x0, batch.mask)
        wanted = wanted_of(batch)[:, None].expand(mask.shape)
        log_p = self.distribution.log_prob(outputs.cumsum(1), mask.cumsum(1), wanted)
        return -torch.where(mask, log_p, 0.0).sum(-1) / mask.sum(-1)

    def totals(self, x0: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        outputs, mask = self._ended(x0, mask)
        return outputs.sum(1), mask.sum(-1)

    def embedding(self, x0: Tensor, mask: Tensor) -> Tensor:
        x, mask = self.process.ended(x0, mask)
        return average(self.hidden(x, torch.zeros(len(x), device=x.device), mask), mask).squeeze(1)

    def _ended(self, x0: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and mask of sequences with their end token."""
        x, mask = self.process.ended(x0, mask)
        return self.outputs(x, torch.zeros(len(x), device=x.device), mask), mask


class HiddenReader(Reader):
    """A reader of a generator's own hidden states, which stay as they are: only a small head is trained."""

    network: HiddenHead

    def read(self, state: State) -> tuple[Tensor, Tensor]:
        return self.process.network_input(self.process.prepared(self.network.body, state))


class HiddenPrefixReader(PrefixReader):
    """A reader of hidden states of prefixes: the one at a position depends on the letters before it."""

    network: HiddenHead

    def outputs(self, x: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return super().outputs(self.process.inputs(x), t, mask)

    def hidden(self, x: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return super().hidden(self.process.inputs(x), t, mask)


class HiddenHead(nn.Module):
    """A small network on the hidden states (B, L, W) of another one, `body`, position by position.

    `body` is no part of this module: neither trained nor saved with it.
    """

    def __init__(self, body: Network, width: int, outputs: int) -> None:
        super().__init__()
        self._body = (body,)  # in a tuple, where torch does not look for submodules
        self.norm = nn.LayerNorm(width)
        self.middle = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @property
    def body(self) -> Network:
        return self._body[0]

    def head(self, hidden: Tensor) -> Tensor:
        """Return outputs (B, L, outputs) of hidden states (B, L, W)."""
        return self.out(F.gelu(self.middle(self.norm(hidden))))

    def hidden(self, x: Tensor, t: Tensor, cond: dict[str, Tensor] | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the body's hidden states (B, L, W)."""
        # the body is not trained, but a guide may take gradients with respect to vectors x
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            return self.body.hidden(x, t, cond, mask)

    def forward(
        self, x: Tensor, t: Tensor, cond: dict[str, Tensor] | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return self.head(self.hidden(x, t, cond, mask))
