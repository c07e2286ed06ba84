"""Parts that the networks share: the denoiser's interface, input, time and condition embeddings."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from seqdiff import runtime
from seqdiff.errors import InputError

Cond = dict[str, Tensor] | None


class Conditions(NamedTuple):
    """Sizes of the conditions that a network takes beside the sequence, 0 where there is none.

    `columns` counts the columns of labels and values of which each may be missing in a row; it is 0 where a row's
    condition is known as a whole or not at all.
    """

    classes: int = 0  # of ``cond["label"]``, (B,), or (B, c): those of all columns together
    values: int = 0  # columns of ``cond["value"]`` (B, c)
    channels: int = 0  # of ``cond["signal"]`` (B, L, c)
    columns: int = 0  # of ``cond["known"]`` (B, columns), labels first


class InputAdapter(nn.Module):
    """Embed tokens (B, L), or vectors (B, L, D) such as points of a simplex, with one and the same weight."""

    def __init__(self, states: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(states, width))

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.weight.dtype) @ self.weight if x.is_floating_point() else F.embedding(x, self.weight)


def zeroed(layer: nn.Linear) -> nn.Linear:
    """Return the layer with weight and bias 0."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return (1 + scale) x + shift; shift and scale are (B, 1, W), or (B, L, W) where counts or a signal enter."""
    return torch.addcmul(shift, x, 1 + scale)


def average(h: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean (B, 1, W) of h (B, L, W) over real positions; (B, 1, W) is returned as it is."""
    if h.shape[1] == 1 or mask is None:
        return h.mean(1, keepdim=True)
    weight = mask.to(h.dtype)[..., None]
    return (h * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)


class TimeEmbedding(nn.Module):
    """Sinusoids of numbers in [0, 1], one for a sequence or one for each position, then two linear layers.

    Times (B,) give (B, 1, width), numbers of positions (B, L) give (B, L, width). Waves of 1000 down to 0.1 radians
    tell apart what differs by about 1/1000. Event counts S are therefore given as log(1 + S) / log(1 + 100000): small
    counts are then far apart, and large ones differ by their ratio.
    """

    frequencies: Tensor

    def __init__(self, width: int, scale: float = 1000.0, features: int | None = None) -> None:
        super().__init__()
        half = (features or width) // 2
        self.register_buffer(
            "frequencies", scale * torch.exp(-math.log(10_000) * torch.arange(half) / half), persistent=False
        )
        self.mlp = nn.Sequential(nn.Linear(2 * half, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        t = t[:, None] if t.ndim == 1 else t
        angles = t[..., None].to(self.frequencies.dtype) * self.frequencies
        return self.mlp(torch.cat([angles.sin(), angles.cos()], -1))


class NoiseEmbedding(TimeEmbedding):
    """`TimeEmbedding` of the noise sigma = -log(1 - 0.999 t) of UDLM and MDLM, 0 to 6.9, by 256 sinusoids.

    It is the log-linear schedule of Sahoo et al. (2024, arXiv 2406.07524); 0.999 keeps it finite at t = 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, scale=1.0, features=256)

    def forward(self, t: Tensor) -> Tensor:
        return super().forward(-torch.log1p(-(1 - 1e-3) * t))


class ConditionEmbedding(nn.Module):
    """Embed a condition: (B, 1, width) for labels or values, (B, L, width) where a signal is added.

    A row whose ``keep`` is False, or no condition at all, gets one learned vector, the null label of classifier-free
    guidance (Ho & Salimans 2022, arXiv 2207.12598). Where columns may be missing one by one, each has a learned vector
    for that.
    """

    def __init__(self, conditions: Conditions, width: int) -> None:
        super().__init__()
        self.null = nn.Parameter(torch.zeros(width))
        self.label = nn.Embedding(conditions.classes, width) if conditions.classes else None
        self.value = (
            nn.Sequential(nn.Linear(conditions.values, width), nn.SiLU(), nn.Linear(width, width))
            if conditions.values
            else None
        )
        self.signal = nn.Linear(conditions.channels, width) if conditions.channels else None
        self.missing = nn.Parameter(torch.zeros(conditions.columns, width)) if conditions.columns else None

    def forward(self, cond: Cond, rows: int) -> Tensor:
        if cond is None:
            return self.null.expand(rows, 1, -1)
        parts = []
        if self.missing is not None:
            parts.append(((~cond["known"]).to(self.missing.dtype) @ self.missing)[:, None])
        if self.label is not None:
            labels = self.label(cond["label"])  # (B, width), or (B, c, width)
            if self.missing is not None:
                labels = (labels * cond["known"][:, : labels.shape[1], None]).sum(1)
            parts.append(labels[:, None])
        if self.value is not None:
            values = cond["value"].to(self.null.dtype)
            if self.missing is not None:  # 0 is the mean
                values = values * cond["known"][:, -values.shape[1] :]
            parts.append(self.value(values)[:, None])
        if self.signal is not None:
            parts.append(self.signal(cond["signal"].to(self.null.dtype)))
        return torch.where(cond["keep"][:, None, None], sum(parts, torch.zeros_like(self.null)), self.null)


class Network(nn.Module):
    """The interface of a denoiser: ``forward(x, t, cond, mask) -> logits (B, L, K)`` is ``head(hidden(...))``.

    A subclass calls ``super().__init__`` with the five arguments below, adds parameters of its own with defaults, and
    defines `hidden` and `head`. x are tokens (B, L) or vectors (B, L, D), t numbers in [0, 1]: times (B,), or scaled
    event counts of the positions, (B, L) (see `TimeEmbedding`); mask (B, L) is False at padding.

    Parameters
    ----------
    states : int
        Values that an input position takes, or the dimension of an input vector.
    letters : int
        K, the letters predicted.
    length : int
        The longest sequence.
    conditions : Conditions
    fixed_length : bool
        True if all sequences have that length, so that a position means the same in all.
    """

    def __init__(self, states: int, letters: int, length: int, conditions: Conditions, fixed_length: bool) -> None:
        super().__init__()
        self.states, self.letters, self.length = states, letters, length
        self.conditions, self.fixed_length = conditions, fixed_length

    def hidden(self, x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        """Return the last hidden states (B, L, width)."""
        raise NotImplementedError

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits (B, L, K)."""
        raise NotImplementedError

    def forward(self, x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        return self.head(self.hidden(x, t, cond, mask))

    def start_at(self, log_frequencies: Tensor) -> None:
        """Begin training from the letter frequencies (L, K) of the data, where a network can; by default it cannot."""


class ResidualNetwork(Network):
    """A network of residual blocks with a bias for each position; where it is causal, it reads letter by letter.

    A subclass sets the attributes below, `bias` as `position_bias` makes it and `position` as `position_vectors` does,
    and calls its blocks by `passed`.

    Parameters
    ----------
    states, letters, length, conditions, fixed_length
        See `Network`.
    checkpointing : bool
        True if the activations within a block are not kept for the gradients but computed again (gradient
        checkpointing; Chen et al. 2016, arXiv 1604.06174): of each block, only its input is kept. Losses and gradients
        are the same to the last bit, dropout included; a training step takes a quarter more time.
    positions : bool
        False if places have no learned vectors and biases: for long sequences in which a place means nothing.
    """

    causal: bool
    time: TimeEmbedding
    condition: ConditionEmbedding
    norm: nn.LayerNorm
    out: nn.Linear
    bias: nn.Parameter
    position: nn.Parameter | None

    def __init__(
        self,
        states: int,
        letters: int,
        length: int,
        conditions: Conditions,
        fixed_length: bool,
        checkpointing: bool = False,
        positions: bool = True,
    ) -> None:
        super().__init__(states, letters, length, conditions, fixed_length)
        self.checkpointing, self.positions = checkpointing, positions

    @property
    def placed(self) -> bool:
        """Return whether each place has a bias of its own: it means the same in all sequences."""
        return self.fixed_length and self.positions

    def position_bias(self) -> nn.Parameter:
        """Return zeros: a bias (L, K) of the positions, or one for all, (1, K), where lengths vary."""
        return nn.Parameter(torch.zeros(self.length if self.placed else 1, self.letters))

    def position_vectors(self, width: int) -> nn.Parameter | None:
        """Return vectors (L, W) of the positions, where they have some."""
        return nn.Parameter(0.02 * torch.randn(self.length, width)) if self.positions else None

    def with_position(self, read: Tensor, place: int | slice) -> Tensor:
        """Return what is read at some places, or at one, plus their vectors."""
        return read if self.position is None else read + self.position[place]

    def passed(self, block: nn.Module, h: Tensor, *context: Tensor | None) -> Tensor:
        """Return h (B, L, W) after a block, whose activations are kept for the gradients or not."""
        if not (self.checkpointing and torch.is_grad_enabled()):
            return block(h, *context)
        draws = partial(runtime.repeatable_draws, h.device)
        passed: Tensor = checkpoint(block, h, *context, use_reentrant=False, preserve_rng_state=False, context_fn=draws)
        return passed

    def start_at(self, log_frequencies: Tensor) -> None:
        """Predict the position weight matrix at first: the other weights need not learn it."""
        with torch.no_grad():
            self.bias.copy_(log_frequencies if self.placed else log_frequencies.exp().mean(0, keepdim=True).log())

    def head(self, hidden: Tensor) -> Tensor:
        return self.biased(self.out(self.norm(hidden)), slice(hidden.shape[1]))

    def biased(self, logits: Tensor, place: int | slice) -> Tensor:
        """Return logits with the bias of their positions, (B, L, K) of a slice or (B, K) of one."""
        return logits + self.bias[place if self.placed else 0].to(logits.dtype)

    def advance(
        self, x: Tensor, i: int, cond: Cond = None, cache: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Read the letters x (B,) at position i, and return the logits (B, K) of `forward` there and the cache.

        `cache` is that of position i - 1, None at 0: tensors with B rows, written to in place. `cond` is read at
        position 0 only; the time is 0. A network that is not causal raises an `InputError`.
        """
        if not self.causal:
            wanted = "True, as only a causal network reads letter by letter"
            raise InputError("causal", "False", wanted, "make it with causal=True")
        if cache is None:
            cache = self.opened(self.time(torch.zeros(len(x), device=x.device)), cond)
        return self.biased(self.next_logits(x, i, cache), i), cache

    def opened(self, time: Tensor, cond: Cond) -> dict[str, Tensor]:
        """Return the cache before the first letter, from the embedded time (B, 1, W) and the condition."""
        raise NotImplementedError

    def next_logits(self, x: Tensor, i: int, cache: dict[str, Tensor]) -> Tensor:
        """Return the logits (B, K) after letter i, x (B,), but for their bias; `cache` holds the layers' state."""
        raise NotImplementedError
