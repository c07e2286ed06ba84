"""Dilated residual convolutions: the default network, fast on a CPU.

Each block is LayerNorm - dilated convolution - GELU - linear, added to its input, as in the encoders of Dirichlet flow
matching and CARP (Stark et al. 2024, arXiv 2402.05841; Yang et al. 2022), at a size that promoters need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.errors import InputError
from seqdiff.networks.layers import (
    ConditionEmbedding,
    Conditions,
    InputAdapter,
    Network,
    TimeEmbedding,
    average,
    modulate,
)


class SequenceConvolution(nn.Module):
    """A convolution along L of (B, L, C), in and out in that layout.

    Stored as a two-dimensional channels-last convolution of height 1: twice as fast on a CPU as `nn.Conv1d`. A causal
    one sees a position and those before it: all its padding stands on the left.
    """

    def __init__(self, width: int, kernel: int, dilation: int, causal: bool = False) -> None:
        super().__init__()
        padding = 0 if causal else dilation * (kernel // 2)
        conv = nn.Conv2d(width, width, (1, kernel), padding=(0, padding), dilation=(1, dilation))
        self.conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.kernel, self.dilation, self.causal = kernel, dilation, causal

    @property
    def reach(self) -> int:
        """Return how many positions the farthest one seen lies back, where the convolution is causal."""
        return self.dilation * (self.kernel - 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.causal:
            x = F.pad(x, (0, 0, self.reach, 0))
        return self.conv(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)

    def advance(self, x: Tensor, i: int, window: Tensor) -> Tensor:
        """Return what `forward` does at position i, (B, C), of x there, (B, C).

        `window` (B, reach + 1, C), all 0 at first, is written to: position j lies in its row j mod (reach + 1).
        """
        size = window.shape[1]
        window[:, i % size] = x
        seen = [(i - j * self.dilation) % size for j in range(self.kernel - 1, -1, -1)]
        weight = self.conv.weight[:, :, 0].transpose(1, 2).flatten(1)  # (C out, kernel * C in)
        # row by row: a list of rows would first be copied to the device, which would have to be waited for
        return F.linear(torch.cat([window[:, row] for row in seen], 1), weight, self.conv.bias)


class ConvBlock(nn.Module):
    """One residual block. Time and condition shift what enters the GELU and scale what leaves, from zero on.

    Dropout takes whole channels of a sequence: on a CPU a mask per letter costs as much as the convolution.
    """

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float, causal: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.film = nn.Linear(width, 2 * width)
        self.conv = SequenceConvolution(width, kernel, dilation, causal)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, h: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        shift, scale = self.film(context).chunk(2, -1)  # (B, 1, W), or (B, L, W) where a signal enters
        y = self.norm(h)
        if mask is not None:  # what stands beyond the end must not leak in
            y = y * mask[..., None]
        keep = self.dropout(torch.ones_like(scale[:, :1]))
        return h + self.out(F.gelu(self.conv(y) + shift)) * ((1 + scale) * keep)

    def advance(self, h: Tensor, context: Tensor, i: int, window: Tensor) -> Tensor:
        """Return what `forward` does at position i of a causal block, (B, W); see `SequenceConvolution.advance`."""
        shift, scale = self.film(context).chunk(2, -1)
        return h + self.out(F.gelu(self.conv.advance(self.norm(h), i, window) + shift)) * (1 + scale)


class ConvNet(Network):
    """Dilated residual convolutional network.

    Labels and values reach every block. The channels of a signal are read with the letters, each position's with its
    letter: a linear layer over both, concatenated, is the sum of one over each, as it stands here. They reach every
    block too.

    Parameters
    ----------
    states, letters, length, conditions, fixed_length
        See `Network`.
    width : int
        Channels.
    depth : int
        Blocks.
    kernel : int
        Odd kernel size.
    dropout : float
    causal : bool
        Whether a position sees only itself and those before it.
    dilations : sequence of int
        Of the blocks, over and over, as far as the kernel still fits the length.

    Examples
    --------
    >>> net = ConvNet(4, 4, 50, Conditions(), True, width=16, depth=2)
    >>> net(torch.zeros(3, 50, dtype=torch.long), torch.zeros(3)).shape
    torch.Size([3, 50, 4])
    """

    def __init__(
        self,
        states: int,
        letters: int,
        length: int,
        conditions: Conditions,
        fixed_length: bool,
        width: int = 64,
        depth: int = 6,
        kernel: int = 9,
        dropout: float = 0.03,
        causal: bool = False,
        dilations: Sequence[int] = (1, 1, 2, 4),
    ) -> None:
        super().__init__(states, letters, length, conditions, fixed_length)
        self.causal = causal
        self.embed = InputAdapter(states, width)
        self.mix = nn.Linear(
            width, width
        )  # under autocast its output, and so the residual stream, is in half precision
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.time = TimeEmbedding(width)
        self.condition = ConditionEmbedding(conditions, width)
        self.film = nn.Linear(width, 2 * width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        largest = max(1, length // kernel)
        self.blocks = nn.ModuleList(
            ConvBlock(width, kernel, min(dilations[i % len(dilations)], largest), dropout, causal) for i in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, letters)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.bias = nn.Parameter(torch.zeros(length if fixed_length else 1, letters))
        self.signal = nn.Linear(conditions.channels, width, bias=False) if conditions.channels else None

    def start_at(self, log_frequencies: Tensor) -> None:
        """Predict the position weight matrix at first: the other weights need not learn it."""
        with torch.no_grad():
            self.bias.copy_(log_frequencies if self.fixed_length else log_frequencies.exp().mean(0, keepdim=True).log())

    def hidden(self, x: Tensor, t: Tensor, cond: dict[str, Tensor] | None = None, mask: Tensor | None = None) -> Tensor:
        time = self.time(t)
        read = self._read(x, time) + self.position[: x.shape[1]]
        if (signal := self._signal(cond)) is not None:
            read = read + signal
        h = self.mix(read)
        context = F.silu(average(time, mask) + self.condition(cond, len(x)))
        if self.fixed_length or self.causal:  # a causal network does not look at what stands beyond the end
            mask = None
        for block in self.blocks:
            h = block(h, context, mask)
        return h

    def _read(self, x: Tensor, time: Tensor) -> Tensor:
        """Return embedded letters, changed by the time, or each by its own event count: by how far it is to be trusted.

        Counts enter here and, averaged over positions, in the blocks: position by position in each of those they cost
        half as much again and gave worse bounds.
        """
        shift, scale = self.film(F.silu(time)).chunk(2, -1)
        return modulate(self.embed(x), shift, scale)

    def _signal(self, cond: dict[str, Tensor] | None) -> Tensor | None:
        """Return what a signal adds to the letters (B, L, W): nothing to a row without condition."""
        if self.signal is None or cond is None:
            return None
        return self.signal((cond["signal"] * cond["keep"][:, None, None]).to(self.signal.weight.dtype))

    def head(self, hidden: Tensor) -> Tensor:
        logits = self.out(self.norm(hidden))
        return logits + self.bias[: logits.shape[1]].to(logits.dtype)

    def advance(
        self, x: Tensor, i: int, cond: dict[str, Tensor] | None = None, cache: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Read input letter i of sequences whose earlier letters are in `cache`; the time is 0.

        Parameters
        ----------
        x : Tensor
            (B,) the letters.
        i : int
            Their position.
        cond : dict, optional
            The same at every position; it is looked at only at the first.
        cache : dict, optional
            What the call for position i - 1 returned; it is written to. None at position 0.

        Returns
        -------
        logits : Tensor
            (B, K), those of `forward` at position i.
        cache : dict
            What each convolution still sees of the past, tensors with B rows.

        Raises
        ------
        ValueError
            If the network is not causal.
        """
        if not self.causal:
            wanted = "True, as only a causal network reads letter by letter"
            raise InputError("causal", "False", wanted, "make it with causal=True")
        rows, blocks = len(x), cast(Iterable[Any], self.blocks)
        if cache is None:
            time = self.time(torch.zeros(rows, device=x.device))
            context = F.silu(time + self.condition(cond, rows))
            cache = {"context": context, "time": time}
            if (signal := self._signal(cond)) is not None:
                cache["signal"] = signal
            for n, block in enumerate(blocks):
                cache[f"window{n}"] = context.new_zeros(rows, block.conv.reach + 1, self.position.shape[1])
        context = cache["context"]
        context = context[:, i] if context.shape[1] > 1 else context[:, 0]
        read = self._read(x[:, None], cache["time"])[:, 0] + self.position[i]
        h = self.mix(read + cache["signal"][:, i] if "signal" in cache else read)
        for n, block in enumerate(blocks):
            h = block.advance(h, context, i, cache[f"window{n}"])
        logits = self.out(self.norm(h))
        return logits + self.bias[i if self.fixed_length else 0].to(logits.dtype), cache
