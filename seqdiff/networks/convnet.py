"""Dilated residual convolutions: the default network, fast on a CPU.

Each block is LayerNorm - dilated convolution - GELU - linear, added to its input, as in the encoders of Dirichlet flow
matching and CARP (Stark et al. 2024, arXiv 2402.05841; Yang et al. 2022), at a size that promoters need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.networks.layers import (
    Cond,
    ConditionEmbedding,
    Conditions,
    InputAdapter,
    ResidualNetwork,
    TimeEmbedding,
    average,
    modulate,
    zeroed,
)


class SequenceConvolution(nn.Module):
    """A convolution along L of (B, L, C), in and out in that layout.

    Stored as a two-dimensional channels-last convolution of height 1: twice as fast on a CPU as `nn.Conv1d`. A causal
    one sees a position and those before it: all its padding is on the left.
    """

    def __init__(self, width: int, kernel: int, dilation: int, causal: bool = False) -> None:
        super().__init__()
        padding = 0 if causal else dilation * (kernel // 2)
        conv = nn.Conv2d(width, width, (1, kernel), padding=(0, padding), dilation=(1, dilation))
        self.conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.kernel, self.dilation, self.causal = kernel, dilation, causal

    @property
    def reach(self) -> int:
        """The distance of the farthest earlier position that a causal convolution sees."""
        return self.dilation * (self.kernel - 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.causal:
            x = F.pad(x, (0, 0, self.reach, 0))
        return self.conv(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)

    def window(self, like: Tensor, rows: int) -> Tensor:
        """Return the memory of `advance` for some rows, (B, dilation, 2 kernel, C), all 0."""
        return like.new_zeros(rows, self.dilation, 2 * self.kernel, self.conv.in_channels)

    def advance(self, x: Tensor, i: int, window: Tensor) -> Tensor:
        """Return what `forward` does at position i, (B, C), of x there, (B, C).

        `window` is written to. The positions that one output sees are a dilation apart, so that position j is in the
        row j mod dilation of the window, and there, of the kernel's K places, in place (j div dilation) mod K and K
        places further: the last K positions of a row then always stand side by side, and need not be put together.
        """
        turn, row = divmod(i, self.dilation)
        place = turn % self.kernel
        window[:, row, place] = x
        window[:, row, place + self.kernel] = x
        seen = window[:, row, place + 1 : place + 1 + self.kernel].flatten(1)
        weight = self.conv.weight[:, :, 0].transpose(1, 2).flatten(1)  # (C out, kernel * C in)
        return F.linear(seen, weight, self.conv.bias)


class DilatedBlock(nn.Module):
    """A residual block around a convolution; its input h is (B, L, W), `mask` (B, L) False at padding or None.

    Dropout removes whole channels of a sequence: on a CPU a mask per letter costs as much as the convolution.
    """

    conv: SequenceConvolution
    film: nn.Linear

    def advance(self, h: Tensor, film: Tensor, i: int, window: Tensor) -> Tensor:
        """Return the result of `forward` at position i of a causal block, (B, W); see `SequenceConvolution.advance`.

        `film` is what `self.film` makes of the context, which for most models is the same at all positions.
        """
        raise NotImplementedError


class DilatedNetwork(ResidualNetwork):
    """A network whose blocks are `DilatedBlock`; subclasses define `entered`, the input of the first block."""

    blocks: nn.ModuleList

    def opened(self, time: Tensor, cond: Cond) -> dict[str, Tensor]:
        context = F.silu(time + self.condition(cond, len(time)))
        cache = {"context": context}
        for n, block in enumerate(cast(Iterable[DilatedBlock], self.blocks)):
            cache[f"window{n}"] = block.conv.window(context, len(time))
            if context.shape[1] == 1:
                cache[f"film{n}"] = block.film(context[:, 0])
        return cache

    def entered(self, x: Tensor, i: int, context: Tensor, cache: dict[str, Tensor]) -> Tensor:
        """Return what enters the first block at position i, (B, W), for letters x (B,).

        `context` (B, W) embeds time and conditions, `cache` holds what was computed before the first letter.
        """
        raise NotImplementedError

    def through(self, h: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """Return h (B, L, W) after all blocks."""
        if self.fixed_length or self.causal:  # a causal network does not see what is beyond the end
            mask = None
        for block in self.blocks:
            h = self.passed(block, h, context, mask)
        return h

    def next_logits(self, x: Tensor, i: int, cache: dict[str, Tensor]) -> Tensor:
        context = cache["context"]
        context = context[:, i] if context.shape[1] > 1 else context[:, 0]
        h = self.entered(x, i, context, cache)
        for n, block in enumerate(cast(Iterable[DilatedBlock], self.blocks)):
            film = cache[f"film{n}"] if f"film{n}" in cache else block.film(context)
            h = block.advance(h, film, i, cache[f"window{n}"])
        return self.out(self.norm(h))


class ConvBlock(DilatedBlock):
    """One residual block. Time and condition shift what enters the GELU and scale what leaves it, by zero at first."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float, causal: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.film = zeroed(nn.Linear(width, 2 * width))
        self.conv = SequenceConvolution(width, kernel, dilation, causal)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        shift, scale = self.film(context).chunk(2, -1)  # (B, 1, W), or (B, L, W) where a signal enters
        y = self.norm(h)
        if mask is not None:  # what is beyond the end must not leak in
            y = y * mask[..., None]
        keep = self.dropout(torch.ones_like(scale[:, :1]))
        return h + self.out(F.gelu(self.conv(y) + shift)) * ((1 + scale) * keep)

    def advance(self, h: Tensor, film: Tensor, i: int, window: Tensor) -> Tensor:
        shift, scale = film.chunk(2, -1)
        return h + self.out(F.gelu(self.conv.advance(self.norm(h), i, window) + shift)) * (1 + scale)


class ConvNet(DilatedNetwork):
    """Dilated residual convolutional network.

    Labels, values and signals reach every block. The channels of a signal are also read with the letters: a linear
    layer over both, concatenated, is the sum of one over each.

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
        True if a position sees only itself and those before it.
    dilations : sequence of int
        Of the blocks, repeated; each is limited so that the kernel fits the length. A position sees ``kernel // 2``
        times their sum on either side, or, if causal, twice as many letters before it: 40 or 80 by default, 508 or
        1,016 with seven blocks of ``[1, 2, 4, 8, 16, 32, 64]``. The cost does not depend on them.
    checkpointing, positions
        See `ResidualNetwork`.

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
        checkpointing: bool = False,
        positions: bool = True,
    ) -> None:
        super().__init__(states, letters, length, conditions, fixed_length, checkpointing, positions)
        self.causal = causal
        self.embed = InputAdapter(states, width)
        self.mix = nn.Linear(width, width)  # under autocast its output, the residual stream, is in half precision
        self.position = self.position_vectors(width)
        self.time = TimeEmbedding(width)
        self.condition = ConditionEmbedding(conditions, width)
        self.film = zeroed(nn.Linear(width, 2 * width))
        largest = max(1, length // kernel)
        self.blocks = nn.ModuleList(
            ConvBlock(width, kernel, min(dilations[i % len(dilations)], largest), dropout, causal) for i in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.out = zeroed(nn.Linear(width, letters))
        self.bias = self.position_bias()
        self.signal = nn.Linear(conditions.channels, width, bias=False) if conditions.channels else None

    def hidden(self, x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        time = self.time(t)
        read = self.with_position(self._read(x, time), slice(x.shape[1]))
        if (signal := self._signal(cond)) is not None:
            read = read + signal
        return self.through(self.mix(read), F.silu(average(time, mask) + self.condition(cond, len(x))), mask)

    def _read(self, x: Tensor, time: Tensor) -> Tensor:
        """Return embedded letters, scaled and shifted by the time, or each by its own event count.

        Counts enter here and, averaged over positions, in the blocks: there, position by position, they cost half as
        much again and gave worse bounds.
        """
        shift, scale = self.film(F.silu(time)).chunk(2, -1)
        return modulate(self.embed(x), shift, scale)

    def _signal(self, cond: Cond) -> Tensor | None:
        """Return what a signal adds to the letters (B, L, W), 0 in a row without condition."""
        if self.signal is None or cond is None:
            return None
        return self.signal((cond["signal"] * cond["keep"][:, None, None]).to(self.signal.weight.dtype))

    def opened(self, time: Tensor, cond: Cond) -> dict[str, Tensor]:
        cache = super().opened(time, cond) | {"time": time}
        signal = self._signal(cond)
        return cache if signal is None else cache | {"signal": signal}

    def entered(self, x: Tensor, i: int, context: Tensor, cache: dict[str, Tensor]) -> Tensor:
        read = self.with_position(self._read(x[:, None], cache["time"])[:, 0], i)
        return self.mix(read + cache["signal"][:, i] if "signal" in cache else read)
