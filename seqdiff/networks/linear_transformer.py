"""The network of GPro's `Diffusion_language` (from Hoogeboom et al. 2021): a linear-attention transformer.

Letters and axial positions are embedded; the time, a sinusoid of 4000 t/T through Linear - Softplus - Linear, gives one
vector to add before every layer; the layers are those of the library `linear-attention-transformer`, some heads
attending within windows; LayerNorm, Linear and a ReZero scalar (Bachlechner et al. 2020, arXiv 2003.04887) that starts
at 0, so that the first prediction is uniform. 51.5 million parameters at its defaults, for 50 letters.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.errors import InputError, argument
from seqdiff.networks.layers import Cond, ConditionEmbedding, Conditions, InputAdapter, Network


class LinearTransformer(Network):
    """Linear-attention transformer with local windows.

    A length that the window does not divide is padded inside, and the padding is hidden from attention.

    Parameters
    ----------
    states, letters, length, conditions, fixed_length
        See `Network`.
    width : int
        Dimension of the layers, even and at least 4.
    depth : int
        Number of layers.
    heads, local_heads : int
        Attention heads, a divisor of the width, and the number of them that attend only within a window and its
        neighbours.
    local_size : int
        Letters in a window.
    dropout : float
    """

    frequencies: Tensor

    def __init__(
        self,
        states: int,
        letters: int,
        length: int,
        conditions: Conditions,
        fixed_length: bool,
        width: int = 512,
        depth: int = 12,
        heads: int = 16,
        local_heads: int = 8,
        local_size: int = 25,
        dropout: float = 0.0,
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own use of deprecated decorators
            from linear_attention_transformer import LinearAttentionTransformer  # slow to import, and rarely needed
        super().__init__(states, letters, length, conditions, fixed_length)
        if width < 4 or width % 2:
            wanted = "an even number of at least 4, which holds the sinusoids of the time"
            raise InputError(argument("width"), str(width), wanted, "give such a number")
        if width % heads:
            wanted = f"a multiple of {argument('heads', heads)}"
            raise InputError(argument("width"), str(width), wanted, "make it a multiple")
        if local_heads > heads:
            wanted = f"at most {heads}, as {argument('heads', heads)}"
            raise InputError(argument("local_heads"), str(local_heads), wanted, "give fewer")
        self.width, self.depth = width, depth
        window = min(local_size, length)
        self.padding = -length % window
        padded = length + self.padding
        self.embed = InputAdapter(states, width)
        self.axial = nn.ParameterList(
            [nn.Parameter(torch.randn(padded // window, 1, width)), nn.Parameter(torch.randn(1, window, width))]
        )
        self.time = nn.Sequential(nn.Linear(width, 4 * width), nn.Softplus(), nn.Linear(4 * width, width * depth))
        self.condition = ConditionEmbedding(conditions, width)
        half = width // 2
        self.register_buffer(
            "frequencies", torch.exp(-math.log(10_000) * torch.arange(half) / (half - 1)), persistent=False
        )
        self.layers = nn.ModuleList(
            LinearAttentionTransformer(
                dim=width,
                depth=1,
                max_seq_len=padded,
                heads=heads,
                causal=False,
                n_local_attn_heads=local_heads,
                local_attn_window_size=window,
                ff_dropout=dropout,
                attn_dropout=dropout,
                attn_layer_dropout=dropout,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, letters)
        self.rezero = nn.Parameter(torch.zeros(()))

    def hidden(self, x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        rows, length = x.shape[:2]
        if mask is None:
            mask = torch.ones(rows, length, dtype=torch.bool, device=x.device)
        total = self.length + self.padding
        position = (self.axial[0] + self.axial[1]).reshape(total, self.width)
        h = self.embed(x) + position[:length] + self.condition(cond, rows)
        h = F.pad(h, (0, 0, 0, total - length))
        mask = F.pad(mask, (0, total - length), value=False)
        t = t[:, None] if t.ndim == 1 else F.pad(t, (0, total - length))  # a time, or event counts of positions
        angles = 4000 * t[..., None].to(self.frequencies.dtype) * self.frequencies
        times = self.time(torch.cat([angles.sin(), angles.cos()], -1)).view(rows, -1, self.width, self.depth)
        everything = self.fixed_length and self.padding == 0
        for i, layer in enumerate(self.layers):
            h = layer(h + times[..., i], **({} if everything else {"input_mask": mask}))
        return h[:, :length]

    def head(self, hidden: Tensor) -> Tensor:
        return self.rezero * self.out(self.norm(hidden))
