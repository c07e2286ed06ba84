r"""A small U-Net for images: the network of D3PM and SCUD for ordered letters in two dimensions.

Residual blocks at the full size, at half of it, and so on; attention at the lowest; and back, with what was found at
each size on the way down (Ronneberger et al. 2015, arXiv 1505.04597; Ho et al. 2020, arXiv 2006.11239). A block is

    h + conv(SiLU((1 + scale) GroupNorm(conv(SiLU(GroupNorm(h)))) + shift))

in which scale and shift come from the time and the condition, or at each pixel from its own event count (FiLM, Perez et
al. 2018, arXiv 1709.07871; for SCUD, arXiv 2506.08316); at smaller sizes from the mean over the pixels there.

A level i of K enters as a vector that is learned for each, from sinusoids of i / K at first, so that neighbouring
levels are alike. Sequences that are no images are images of one row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.errors import InputError, argument, shown
from seqdiff.networks.layers import (
    Cond,
    ConditionEmbedding,
    Conditions,
    InputAdapter,
    ResidualNetwork,
    TimeEmbedding,
    modulate,
    zeroed,
)

SMALLEST, MOST_HALVINGS = 4, 3  # sides are not halved below the one, nor more often than the other
GROUP = 8  # channels of a group that is normalised together


def convolution(inner: int, outer: int, size: tuple[int, int]) -> nn.Conv2d:
    """Return a 3 x 3 convolution, along an axis of one pixel of width 1."""
    kernel = tuple(1 if side == 1 else 3 for side in size)
    return nn.Conv2d(inner, outer, kernel, padding=tuple(k // 2 for k in kernel))  # type: ignore[arg-type]


def normalisation(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(width, max(1, width // GROUP)), width)


def halved(x: Tensor) -> Tensor:
    """Return the means of 2 x 2 pixels, (B, W, H, W) of half the size; an axis of one pixel stays, an odd one grows."""
    height, width = x.shape[-2:]
    steps = tuple(1 if side == 1 else 2 for side in (height, width))
    x = F.pad(x, (0, -width % steps[1], 0, -height % steps[0]), mode="replicate")
    return F.avg_pool2d(x, steps)


def doubled(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return x with each pixel repeated up to `size`, the inverse of `halved`."""
    for axis, side in zip((-2, -1), size, strict=True):
        if x.shape[axis] < side:
            x = x.repeat_interleave(2, axis).narrow(axis, 0, side)
    return x


class ImageBlock(nn.Module):
    """A residual block from `inner` to `outer` channels; `context` (B, C, 1, 1) or (B, C, H, W) modulates it.

    Dropout removes whole channels of an image.
    """

    def __init__(self, inner: int, outer: int, context_width: int, size: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = normalisation(inner), normalisation(outer)
        self.conv1, self.conv2 = convolution(inner, outer, size), convolution(outer, outer, size)
        self.film = zeroed(nn.Linear(context_width, 2 * outer))
        self.skip = nn.Conv2d(inner, outer, 1) if inner != outer else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, h: Tensor, context: Tensor) -> Tensor:
        y = self.norm2(self.conv1(F.silu(self.norm1(h))))
        shift, scale = self.film(context.movedim(1, -1)).movedim(-1, 1).chunk(2, 1)
        y = F.silu(modulate(y, shift, scale)) * self.dropout(torch.ones_like(y[:, :, :1, :1]))
        return self.skip(h) + self.conv2(y)


class ImageAttention(nn.Module):
    """Attention among all pixels, added to the input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = normalisation(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = zeroed(nn.Linear(width, width))

    def forward(self, h: Tensor) -> Tensor:
        pixels = self.norm(h).flatten(2).transpose(1, 2)  # (B, H W, C)
        q, k, v = self.qkv(pixels).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return h + self.project(mixed).transpose(1, 2).unflatten(2, h.shape[-2:])


class UNet(ResidualNetwork):
    """U-Net for images, which all have one size.

    Parameters
    ----------
    states, letters, length, conditions, fixed_length
        See `Network`; sequences of several lengths are refused.
    width : int
        Channels at the full size, twice as many at all smaller ones.
    depth : int
        Blocks at each size on the way down, and on the way back.
    dropout : float
    shape : (H, W) or (H, W, C), optional
        Of the images, whose numbers are the positions, row by row and channels last. None is one row. Estimators give
        it where they are fitted to images.
    halvings : int, optional
        How often the size is halved; an odd side is rounded up. None halves sides down to 4, at most 3 times.
    heads : int, optional
        Attention heads. None is one for every 32 channels.
    context_width : int, optional
        Dimension in which time and condition are embedded; None means the width.

    Examples
    --------
    >>> net = UNet(17, 17, 64, Conditions(), True, width=16, depth=1, shape=(8, 8))
    >>> net(torch.zeros(3, 64, dtype=torch.long), torch.zeros(3)).shape
    torch.Size([3, 64, 17])
    """

    causal = False

    def __init__(
        self,
        states: int,
        letters: int,
        length: int,
        conditions: Conditions,
        fixed_length: bool,
        width: int = 64,
        depth: int = 2,
        dropout: float = 0.1,
        shape: Sequence[int] | None = None,
        halvings: int | None = None,
        heads: int | None = None,
        context_width: int | None = None,
    ) -> None:
        super().__init__(states, letters, length, conditions, fixed_length)
        self.shape = checked_shape(shape, length, fixed_length)
        heads = max(1, 2 * width // 32) if heads is None else heads
        if 2 * width % heads or width < 4:
            found, wanted = f"{width} with {heads} heads", "at least 4, and twice of it a multiple of the heads"
            raise InputError(argument("width"), found, wanted, "give such a number")
        channels, context_width = self.shape[2], context_width or width
        self.sizes = halved_sizes(self.shape[:2], halvings)
        widths = [width] + [2 * width] * (len(self.sizes) - 1)

        self.embed = InputAdapter(states, width)
        with torch.no_grad():
            levels = states - (states == letters + 1)  # a mask comes after them
            self.embed.weight[:levels] = level_sinusoids(levels, width)
        self.time = TimeEmbedding(context_width)
        self.condition = ConditionEmbedding(conditions, context_width)
        self.film = zeroed(nn.Linear(context_width, 2 * width))
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.enter = convolution(channels * width, width, self.sizes[0])

        def block(inner: int, outer: int, i: int) -> ImageBlock:
            return ImageBlock(inner, outer, context_width, self.sizes[i], dropout)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, outer in enumerate(widths[:-1]):
            first = widths[max(0, i - 1)]
            self.down.append(nn.ModuleList(block(first if j == 0 else outer, outer, i) for j in range(depth)))
            first = outer + widths[i + 1]  # what comes up, beside what was found on the way down
            self.up.append(nn.ModuleList(block(first if j == 0 else outer, outer, i) for j in range(depth)))
        low = len(self.sizes) - 1
        first = widths[max(0, low - 1)]
        self.lowest = nn.ModuleList(block(first if j == 0 else widths[-1], widths[-1], low) for j in range(2 * depth))
        self.attention = ImageAttention(widths[-1], heads)
        # each channel of a pixel is a position of its own
        self.leave = nn.Linear(width if low else widths[-1], channels * width)
        self.norm = nn.LayerNorm(width)
        self.out = zeroed(nn.Linear(width, letters))
        self.bias = self.position_bias()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # the fast layout on a CPU
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def hidden(self, x: Tensor, t: Tensor, cond: Cond = None, mask: Tensor | None = None) -> Tensor:
        time = self.time(t)  # (B, 1, C), or of event counts (B, L, C)
        shift, scale = self.film(F.silu(time)).chunk(2, -1)
        h = self.enter(self._pixels(self.with_position(modulate(self.embed(x), shift, scale), slice(None))))
        contexts = self._contexts(F.silu(time + self.condition(cond, len(x))))
        found = []
        for blocks, context in zip(self.down, contexts, strict=False):
            for block in cast(Iterable[nn.Module], blocks):
                h = block(h, context)
            found.append(h)
            h = halved(h)
        middle = len(self.lowest) // 2
        for j, block in enumerate(self.lowest):
            h = self.attention(h) if j == middle else h
            h = block(h, contexts[-1])
        for i in reversed(range(len(self.up))):
            h = torch.cat([doubled(h, self.sizes[i]), found[i]], 1)
            for block in cast(Iterable[nn.Module], self.up[i]):
                h = block(h, contexts[i])
        return self.leave(h.flatten(2).transpose(1, 2)).unflatten(-1, (self.shape[2], -1)).flatten(1, 2)

    def _pixels(self, x: Tensor) -> Tensor:
        """Return vectors of positions (B, H W C, D) as pixels (B, C D, H, W)."""
        height, width, channels = self.shape
        return x.reshape(len(x), height, width, channels * x.shape[-1]).permute(0, 3, 1, 2)

    def _contexts(self, context: Tensor) -> list[Tensor]:
        """Return the context (B, 1, C) or (B, L, C) at each size, (B, C, 1, 1) or (B, C, H, W)."""
        if context.shape[1] == 1:
            return [context[:, 0, :, None, None]] * len(self.sizes)
        height, width, channels = self.shape
        pixels = context.reshape(len(context), height, width, channels, -1).mean(3).permute(0, 3, 1, 2)
        contexts = [pixels]
        for _ in self.sizes[1:]:
            contexts.append(halved(contexts[-1]))
        return contexts


def checked_shape(shape: Sequence[int] | None, length: int, fixed_length: bool) -> tuple[int, int, int]:
    """Return (H, W, C) of the positions, or raise an `InputError` where they are no image."""
    if not fixed_length:
        wanted = "those of one length, as an image has"
        raise InputError(argument("network"), "'unet' for sequences of several lengths", wanted, "give 'conv'")
    sides = (1, length) if shape is None else tuple(shape)
    if len(sides) not in (2, 3) or math.prod(sides) != length:
        wanted = f"(H, W) or (H, W, C) whose product is {length}, the positions"
        raise InputError("shape", shown(shape), wanted, "give such a shape")
    return (sides[0], sides[1], sides[2] if len(sides) == 3 else 1)


def halved_sizes(size: tuple[int, int], halvings: int | None) -> list[tuple[int, int]]:
    """Return the sizes of the images, from the full one to the lowest.

    >>> halved_sizes((28, 28), None), halved_sizes((1, 50), 2)
    ([(28, 28), (14, 14), (7, 7), (4, 4)], [(1, 50), (1, 25), (1, 13)])
    """
    sizes = [size]
    while len(sizes) - 1 < MOST_HALVINGS if halvings is None else len(sizes) - 1 < halvings:
        if halvings is None and max(sizes[-1]) <= SMALLEST or max(sizes[-1]) == 1:
            break
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def level_sinusoids(states: int, width: int) -> Tensor:
    """Return vectors (states, width) of the levels: waves of 2 K levels, of fewer, to 8 levels."""
    half = -(-width // 2)
    waves = math.pi / states * torch.logspace(0, math.log2(max(2, states / 4)), half, base=2)
    angles = torch.arange(states)[:, None] * waves
    return math.sqrt(2) * torch.cat([angles.sin(), angles.cos()], 1)[:, :width]
