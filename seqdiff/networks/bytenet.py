"""ByteNet as in CARP, with event counts: dilated convolutions on half the channels, for proteins and long sequences.

A block is LayerNorm - GELU - linear to half the width, LayerNorm - GELU - dilated convolution of the real positions,
LayerNorm - GELU - linear back, added to its input (Kalchbrenner et al. 2016, arXiv 1610.10099; CARP, Yang et al. 2022,
bioRxiv 2022.05.19.492714). A time per sequence or an event count per position gives a scale and a shift, zero at first,
for the input and for the halved channels of every block (as for SCUD, arXiv 2506.08316):

    y = (1 + scale) y + shift.

Dilations double from block to block, 1, 2, 4, ..., 128, and begin again.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.errors import InputError, argument
from seqdiff.networks.convnet import DilatedBlock, DilatedNetwork, SequenceConvolution
from seqdiff.networks.layers import Cond, ConditionEmbedding, Conditions, InputAdapter, TimeEmbedding, modulate, zeroed


def doubling_dilations(depth: int, kernel: int, length: int, largest: int = 128) -> list[int]:
    """Return 1, 2, 4, ... for `depth` blocks, repeated after `largest` or where a kernel exceeds the length."""
    fits = max(1, min(largest, (length - 1) // max(1, kernel // 2)))  # half a kernel reaches that far
    cycle = [2**j for j in range(fits.bit_length())]
    return [cycle[i % len(cycle)] for i in range(depth)]


class ByteNetBlock(DilatedBlock):
    """One residual block; `context` (B, 1, C), or (B, L, C), modulates its halved channels."""

    def __init__(
        self, width: int, context_width: int, kernel: int, dilation: int, dropout: float, causal: bool = False
    ) -> None:
        super().__init__()
        half = width // 2
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(half), nn.LayerNorm(half)
        self.down, self.up = nn.Linear(width, half), nn.Linear(half, width)
        self.film = zeroed(nn.Linear(context_width, 2 * half))
        self.conv = SequenceConvolution(half, kernel, dilation, causal)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        y = self._enter(h, self.film(context))
        if self.training:
            y = y * self.dropout(torch.ones_like(y[:, :1]))
        if mask is not None:  # what is beyond the end must not leak in
            y = y * mask[..., None]
        return self._leave(h, self.conv(y))

    def advance(self, h: Tensor, film: Tensor, i: int, window: Tensor) -> Tensor:
        return self._leave(h, self.conv.advance(self._enter(h, film), i, window))

    def _enter(self, h: Tensor, film: Tensor) -> Tensor:
        shift, scale = film.chunk(2, -1)  # (B, 1, W/2), or (B, L, W/2) where counts or a signal enter
        return F.gelu(self.norm2(modulate(self.down(F.gelu(self.norm1(h))), shift, scale)))

    def _leave(self, h: Tensor, y: Tensor) -> Tensor:
        return h + self.up(F.gelu(self.norm3(y)))


class ByteNet(DilatedNetwork):
    """Dilated convolutions in the manner of CARP, given event counts position by position.

    Parameters
    ----------
    states, letters, length, conditions, fixed_length
        See `Network`. Positions have learned vectors and biases only if all sequences have one length.
    width : int
        Channels, at least 4; the convolutions have half as many. CARP has 1024.
    depth : int
        Blocks; their dilations are 1, 2, 4, ..., 128, 1, 2, ..., without the larger ones for short sequences. CARP
        has 16.
    kernel : int
        Odd kernel size.
    context_width : int, optional
        Dimension in which time and condition are embedded; None means half the width.
    dropout : float
    causal : bool
        True if a position sees only itself and those before it.
    checkpointing, positions
        See `ResidualNetwork`.
    """

    def __init__(
        self,
        states: int,
        letters: int,
        length: int,
        conditions: Conditions,
        fixed_length: bool,
        width: int = 128,
        depth: int = 8,
        kernel: int = 5,
        context_width: int | None = None,
        dropout: float = 0.1,
        causal: bool = False,
        checkpointing: bool = False,
        positions: bool = True,
    ) -> None:
        super().__init__(states, letters, length, conditions, fixed_length, checkpointing, positions)
        if width < 4:
            wanted = "at least 4, as its half has the sinusoids of the time"
            raise InputError(argument("width"), str(width), wanted, "give as many")
        context_width = width // 2 if context_width is None else context_width
        self.causal = causal
        self.embed = InputAdapter(states, width)
        self.position = self.position_vectors(width) if fixed_length else None
        self.time = TimeEmbedding(context_width)
        self.condition = ConditionEmbedding(conditions, context_width)
        self.film = zeroed(nn.Linear(context_width, 2 * width))
        self.blocks = nn.ModuleList(
            ByteNetBlock(width, context_width, kernel, dilation, dropout, causal)
            for dilation in doubling_dilations(depth, kernel, length)
        )
        self.norm = nn.LayerNorm(width)
        self.out = zeroed(nn.Linear(width, letters))
        self.bias = self.position_bias()

    def hidden(self, x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        context = F.silu(self.time(t) + self.condition(cond, len(x)))
        return self.through(self._input(x, context, slice(x.shape[1])), context, mask)

    def entered(self, x: Tensor, i: int, context: Tensor, cache: dict[str, Tensor]) -> Tensor:
        return self._input(x, context, i)

    def _input(self, x: Tensor, context: Tensor, place: int | slice) -> Tensor:
        shift, scale = self.film(context).chunk(2, -1)
        h = self.with_position(self.embed(x), place)
        return modulate(h.to(shift.dtype), shift, scale)  # under autocast the residual stream is in half precision
