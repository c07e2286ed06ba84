"""A transformer in the manner of DiT (Peebles & Xie 2023, arXiv 2212.09748): the network for long-range dependence.

Each block is h + gate * attention(modulate(norm(h))), then the same with two linear layers; shift, scale and gate come
from time and condition and start at zero (adaLN-zero), so that a block starts as the identity. Rotary positions (Su et
al. 2021, arXiv 2104.09864) rotate queries and keys by angles proportional to their position, so that attention depends
on distances; a learned vector per position adds the place in the sequence.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff import runtime
from seqdiff.errors import InputError, argument
from seqdiff.networks.layers import (
    Cond,
    ConditionEmbedding,
    Conditions,
    InputAdapter,
    NoiseEmbedding,
    ResidualNetwork,
    TimeEmbedding,
    modulate,
    zeroed,
)


class Rotary(nn.Module):
    """Rotate each pair of coordinates (j, j + D/2) of (..., L, D) by position * 10000^(-2j/D)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, size: int, length: int) -> None:
        super().__init__()
        frequencies = 10_000 ** (-torch.arange(0, size, 2) / size)
        angles = torch.arange(length)[:, None] * frequencies  # (L, D/2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Return x rotated, its L positions counted from `first`."""
        places = slice(first, first + x.shape[-2])
        cos, sin = self.cos[places], self.sin[places]
        a, b = x.float().chunk(2, -1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)


def attention(q: Tensor, k: Tensor, v: Tensor, attended: Tensor | None, causal: bool) -> Tensor:
    """Return softmax(q k^T / sqrt(D)) v, (B, H, L, D), over attended positions (B, 1, 1, L), or the earlier ones."""
    if not runtime.attends_in_float32(q):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attended, is_causal=causal)
    with runtime.full_precision(q.device):
        mixed = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=attended, is_causal=causal)
    return mixed.to(v.dtype)


class TransformerBlock(nn.Module):
    """Attention and two linear layers.

    Dropout removes whole channels of a sequence from what a block adds: on a CPU a mask per letter costs much more.
    """

    def __init__(
        self, width: int, heads: int, length: int, dropout: float, causal: bool, context_width: int | None = None
    ) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = zeroed(nn.Linear(context_width or width, 6 * width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.rotary = Rotary(width // heads, length)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, context: Tensor, attended: Tensor | None) -> Tensor:
        """Return h (B, L, W) after the block; `attended` (B, 1, 1, L) is False at padding, None where there is none."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(context).chunk(6, -1)
        q, k, v = self._qkv(modulate(self.norm1(h), shift1, scale1))
        q, k = self.rotary(q), self.rotary(k)
        attended = None if self.causal else attended  # padding is at the end, which a causal network does not see
        mixed = attention(q, k, v, attended, self.causal)
        h = h + self.dropout(gate1) * self._project(mixed)
        return h + self.dropout(gate2) * self.mlp(modulate(self.norm2(h), shift2, scale2))

    def advance(self, h: Tensor, context: Tensor, i: int, keys: Tensor, values: Tensor) -> Tensor:
        """Return the result of `forward` at position i, (B, 1, W); keys and values (B, H, L, D) are filled in at i."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(context).chunk(6, -1)
        q, k, v = self._qkv(modulate(self.norm1(h), shift1, scale1))
        keys[:, :, i : i + 1], values[:, :, i : i + 1] = self.rotary(k, i), v
        q = self.rotary(q, i).to(keys.dtype)
        mixed = F.scaled_dot_product_attention(q, keys[:, :, : i + 1], values[:, :, : i + 1])
        h = h + gate1 * self._project(mixed)
        return h + gate2 * self.mlp(modulate(self.norm2(h), shift2, scale2))

    def _qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, H, L, D) each
        return q, k, v

    def _project(self, mixed: Tensor) -> Tensor:
        return self.project(mixed.transpose(1, 2).flatten(2))


class Transformer(ResidualNetwork):
    """Diffusion transformer, or with `causal` a transformer that reads from left to right.

    Parameters
    ----------
    states, letters, length, conditions, fixed_length
        See `Network`.
    width : int
        Dimension of the layers.
    depth : int
        Blocks.
    heads : int
        Attention heads; twice their number divides the width.
    context_width : int, optional
        Dimension in which time and condition are embedded; None means the width.
    dropout : float
    causal : bool
        True if a position sees only itself and those before it.
    checkpointing, positions
        See `ResidualNetwork`; attention knows distances without `positions`, too.
    """

    time_embedding: ClassVar[type[TimeEmbedding]] = TimeEmbedding

    def __init__(
        self,
        states: int,
        letters: int,
        length: int,
        conditions: Conditions,
        fixed_length: bool,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        context_width: int | None = None,
        dropout: float = 0.1,
        causal: bool = False,
        checkpointing: bool = False,
        positions: bool = True,
    ) -> None:
        super().__init__(states, letters, length, conditions, fixed_length, checkpointing, positions)
        if width % (2 * heads):
            wanted = f"a multiple of {2 * heads}, twice {argument('heads', heads)}"
            raise InputError(argument("width"), str(width), wanted, "make it a multiple")
        self.heads, self.causal = heads, causal
        self.embed = InputAdapter(states, width)
        self.mix = nn.Linear(width, width)  # under autocast its output, the residual stream, is in half precision
        self.position = self.position_vectors(width)
        context_width = context_width or width
        self.time = self.time_embedding(context_width)
        self.condition = ConditionEmbedding(conditions, context_width)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, length, dropout, causal, context_width) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = zeroed(nn.Linear(context_width, 2 * width))
        self.out = zeroed(nn.Linear(width, letters))
        self.bias = self.position_bias()

    def hidden(self, x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        context = self.context(self.time(t), cond)
        attended = None if mask is None or self.fixed_length else mask[:, None, None, :]
        h = self.mix(self.with_position(self.embed(x), slice(x.shape[1])))
        for block in self.blocks:
            h = self.passed(block, h, context, attended)
        return self._finish(h, context)

    def context(self, time: Tensor, cond: Cond) -> Tensor:
        """Return what modulates the blocks, (B, 1 or L, C), from the embedded time (B, 1 or L, C) and the condition."""
        return F.silu(time + self.condition(cond, len(time)))

    def head(self, hidden: Tensor) -> Tensor:
        return self.biased(self.out(hidden), slice(hidden.shape[1]))

    def _finish(self, h: Tensor, context: Tensor) -> Tensor:
        return modulate(self.norm(h), *self.modulation(context).chunk(2, -1))

    def opened(self, time: Tensor, cond: Cond) -> dict[str, Tensor]:
        context = self.context(time, cond)
        shape = (len(time), len(self.blocks), self.heads, self.length, self.norm.normalized_shape[0] // self.heads)
        keys = context.new_zeros(shape)
        return {"context": context, "keys": keys, "values": torch.zeros_like(keys)}

    def next_logits(self, x: Tensor, i: int, cache: dict[str, Tensor]) -> Tensor:
        context = cache["context"]
        context = context[:, i : i + 1] if context.shape[1] > 1 else context
        h = self.mix(self.with_position(self.embed(x[:, None]), i))
        for n, block in enumerate(self.blocks):
            h = block.advance(h, context, i, cache["keys"][:, n], cache["values"][:, n])  # type: ignore[operator]
        return self.out(self._finish(h, context))[:, 0]


class UDLMTransformer(Transformer):
    """`Transformer` with the function of the networks published for UDLM (Schiff et al. 2024, arXiv 2412.10193).

    It takes the noise sigma in place of the time, and adds time and condition behind the SiLU. `convert_udlm` fills it
    with their weights.
    """

    time_embedding = NoiseEmbedding

    def context(self, time: Tensor, cond: Cond) -> Tensor:
        return F.silu(time) + F.silu(self.condition(cond, len(time)))
