"""Dilated residual convolutions: the default network, fast on a CPU.

Each block is LayerNorm - dilated convolution - GELU - linear, added to its input, as in the encoders of Dirichlet flow
matching and CARP (Stark et al. 2024, arXiv 2402.05841; Yang et al. 2022), at a size that promoters need.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.networks.layers import ConditionEmbedding, Conditions, InputAdapter, Network, TimeEmbedding


class SequenceConvolution(nn.Module):
    """A convolution along L of (B, L, C), in and out in that layout.

    Stored as a two-dimensional channels-last convolution of height 1: twice as fast on a CPU as `nn.Conv1d`.
    """

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        conv = nn.Conv2d(width, width, (1, kernel), padding=(0, dilation * (kernel // 2)), dilation=(1, dilation))
        self.conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)


class ConvBlock(nn.Module):
    """One residual block. Time and condition shift what enters the GELU and scale what leaves, from zero on.

    Dropout takes whole channels of a sequence: on a CPU a mask per letter costs as much as the convolution.
    """

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.film = nn.Linear(width, 2 * width)
        self.conv = SequenceConvolution(width, kernel, dilation)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, h: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        shift, scale = self.film(context).chunk(2, -1)  # (B, 1, W), or (B, L, W) where counts or a signal enter
        y = self.norm(h)
        if mask is not None:  # what stands beyond the end must not leak in
            y = y * mask[..., None]
        return h + self.out(F.gelu(self.conv(y) + shift)) * self.dropout(1 + scale)


class ConvNet(Network):
    """Dilated residual convolutional network.

    Parameters
    ----------
    states, letters, length, conditions, fixed_length
        See `Network`.
    width : int
        Channels.
    depth : int
        Blocks; their dilations are 1, 1, 2, 4, 1, 1, 2, 4, ... as far as the kernel still fits the length.
    kernel : int
        Odd kernel size.
    dropout : float

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
        dropout: float = 0.1,
    ) -> None:
        super().__init__(states, letters, length, conditions, fixed_length)
        self.embed = InputAdapter(states, width)
        self.mix = nn.Linear(
            width, width
        )  # under autocast its output, and so the residual stream, is in half precision
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.time = TimeEmbedding(width)
        self.condition = ConditionEmbedding(conditions, width)
        largest = max(1, length // kernel)
        self.blocks = nn.ModuleList(
            ConvBlock(width, kernel, min((1, 1, 2, 4)[i % 4], largest), dropout) for i in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, letters)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.bias = nn.Parameter(torch.zeros(length if fixed_length else 1, letters))

    def start_at(self, log_frequencies: Tensor) -> None:
        """Predict the position weight matrix at first: the other weights need not learn it."""
        with torch.no_grad():
            self.bias.copy_(log_frequencies if self.fixed_length else log_frequencies.exp().mean(0, keepdim=True).log())

    def hidden(self, x: Tensor, t: Tensor, cond: dict[str, Tensor] | None = None, mask: Tensor | None = None) -> Tensor:
        context = F.silu(self.time(t) + self.condition(cond, len(x)))
        h = self.mix(self.embed(x) + self.position[: x.shape[1]])
        if self.fixed_length:
            mask = None
        for block in self.blocks:
            h = block(h, context, mask)
        return h

    def head(self, hidden: Tensor) -> Tensor:
        logits = self.out(self.norm(hidden))
        return logits + self.bias[: logits.shape[1]].to(logits.dtype)
