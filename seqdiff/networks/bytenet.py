"""ByteNet as in CARP, with event counts: dilated convolutions on half the channels, for proteins and long sequences.

A block is LayerNorm - GELU - linear to half the width, LayerNorm - GELU - dilated convolution of the real positions,
LayerNorm - GELU - linear back, added to its input (Kalchbrenner et al. 2016, arXiv 1610.10099; CARP, Yang et al. 2022,
bioRxiv 2022.05.19.492714). What the network is told, a time per sequence or an event count per position, makes a scale
and a shift, zero at first, of the input and of the halved channels of every block (as for SCUD, arXiv 2506.08316):

    y = (1 + scale) y + shift.

Dilations double from block to block, 1, 2, 4, ..., 128, and begin again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.errors import InputError, argument
from seqdiff.networks.convnet import SequenceConvolution
from seqdiff.networks.layers import ConditionEmbedding, Conditions, InputAdapter, Network, TimeEmbedding, modulate


def doubling_dilations(depth: int, kernel: int, length: int, largest: int = 128) -> list[int]:
    """Return 1, 2, 4, ... for `depth` blocks, begun again after `largest` or where a kernel outgrows the length.

    Examples
    --------
    >>> doubling_dilations(10, 5, length=1000)
    [1, 2, 4, 8, 16, 32, 64, 128, 1, 2]
    >>> doubling_dilations(7, 5, length=50)
    [1, 2, 4, 8, 16, 1, 2]
    """
    fits = max(1, min(largest, (length - 1) // max(1, kernel // 2)))  # half a kernel reaches that far
    cycle = [2**j for j in range(fits.bit_length())]
    return [cycle[i % len(cycle)] for i in range(depth)]


class ByteNetBlock(nn.Module):
    """One residual block; `context` modulates its halved channels, position by position where it differs there.

    Dropout takes whole channels of a sequence: on a CPU a mask per letter costs as much as the convolution.
    """

    def __init__(
        self, width: int, context_width: int, kernel: int, dilation: int, dropout: float, causal: bool = False
    ) -> None:
        super().__init__()
        half = width // 2
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(half), nn.LayerNorm(half)
        self.down, self.up = nn.Linear(width, half), nn.Linear(half, width)
        self.film = nn.Linear(context_width, 2 * half)
        self.conv = SequenceConvolution(half, kernel, dilation, causal)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, h: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """Return h (B, L, W) after the block; `mask` (B, L) is False at padding, None where there is none."""
        y = self._enter(h, context)
        if self.training:
            y = y * self.dropout(torch.ones_like(y[:, :1]))
        if mask is not None:  # what stands beyond the end must not leak in
            y = y * mask[..., None]
        return self._leave(h, self.conv(y))

    def advance(self, h: Tensor, context: Tensor, i: int, window: Tensor) -> Tensor:
        """Return what `forward` does at position i of a causal block, (B, W); see `SequenceConvolution.advance`."""
        return self._leave(h, self.conv.advance(self._enter(h, context), i, window))

    def _enter(self, h: Tensor, context: Tensor) -> Tensor:
        shift, scale = self.film(context).chunk(2, -1)  # (B, 1, W/2), or (B, L, W/2) where counts or a signal enter
        return F.gelu(self.norm2(modulate(self.down(F.gelu(self.norm1(h))), shift, scale)))

    def _leave(self, h: Tensor, y: Tensor) -> Tensor:
        return h + self.up(F.gelu(self.norm3(y)))


class ByteNet(Network):
    """Dilated convolutions in the manner of CARP, told event counts position by position.

    Parameters
    ----------
    states, letters, length, conditions, fixed_length
        See `Network`. Only where all sequences have one length does each place have a learned vector and bias.
    width : int
        Channels; the convolutions have half as many. CARP has 1024.
    depth : int
        Blocks; their dilations are 1, 2, 4, ..., 128, 1, 2, ..., the larger ones left out for short sequences. CARP
        has 16.
    kernel : int
        Odd kernel size.
    context_width : int, optional
        Dimension of what time and condition are embedded in; None means half the width.
    dropout : float
    causal : bool
        Whether a position sees only itself and those before it.

    Raises
    ------
    ValueError
        If the width is below 4.

    Examples
    --------
    >>> net = ByteNet(4, 4, 50, Conditions(), True, width=16, depth=2)
    >>> counts = torch.zeros(3, 50)
    >>> net(torch.zeros(3, 50, dtype=torch.long), counts).shape
    torch.Size([3, 50, 4])
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
    ) -> None:
        super().__init__(states, letters, length, conditions, fixed_length)
        if width < 4:
            wanted = "at least 4, as its half has the sinusoids of the time"
            raise InputError(argument("width"), str(width), wanted, "give as many")
        told = width // 2 if context_width is None else context_width
        self.causal = causal
        self.embed = InputAdapter(states, width)
        self.position = nn.Parameter(0.02 * torch.randn(length, width)) if fixed_length else None
        self.time = TimeEmbedding(told)
        self.condition = ConditionEmbedding(conditions, told)
        self.film = nn.Linear(told, 2 * width)
        self.blocks = nn.ModuleList(
            ByteNetBlock(width, told, kernel, dilation, dropout, causal)
            for dilation in doubling_dilations(depth, kernel, length)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, letters)
        for layer in (self.film, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.bias = nn.Parameter(torch.zeros(length if fixed_length else 1, letters))

    def start_at(self, log_frequencies: Tensor) -> None:
        """Predict the position weight matrix at first: the other weights need not learn it."""
        with torch.no_grad():
            self.bias.copy_(log_frequencies if self.fixed_length else log_frequencies.exp().mean(0, keepdim=True).log())

    def hidden(self, x: Tensor, t: Tensor, cond: dict[str, Tensor] | None = None, mask: Tensor | None = None) -> Tensor:
        context = F.silu(self.time(t) + self.condition(cond, len(x)))
        h = self._input(x, context, slice(x.shape[1]))
        if self.fixed_length or self.causal:  # a causal network does not look at what stands beyond the end
            mask = None
        for block in self.blocks:
            h = block(h, context, mask)
        return h

    def head(self, hidden: Tensor) -> Tensor:
        logits = self.out(self.norm(hidden))
        return logits + self.bias[: logits.shape[1]].to(logits.dtype)

    def _input(self, x: Tensor, context: Tensor, place: int | slice) -> Tensor:
        shift, scale = self.film(context).chunk(2, -1)
        h = self.embed(x) if self.position is None else self.embed(x) + self.position[place]
        return modulate(h.to(shift.dtype), shift, scale)  # under autocast the residual stream is in half precision

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
            context = F.silu(self.time(torch.zeros(rows, device=x.device)) + self.condition(cond, rows))
            cache = {"context": context}
            for n, block in enumerate(blocks):
                cache[f"window{n}"] = context.new_zeros(rows, block.conv.reach + 1, block.up.in_features)
        context = cache["context"]
        context = context[:, i] if context.shape[1] > 1 else context[:, 0]
        h = self._input(x, context, i)
        for n, block in enumerate(blocks):
            h = block.advance(h, context, i, cache[f"window{n}"])
        logits = self.out(self.norm(h))
        return logits + self.bias[i if self.fixed_length else 0].to(logits.dtype), cache
