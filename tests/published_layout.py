"""Random files in the layout of the published UDLM, and the function of its network, written plainly.

The function is that of Schiff et al. (2024, arXiv 2412.10193), position by position and head by head, in float64.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

SMALL = {
    "model_type": "udlm", "architectures": ["UDLM"], "vocab_size": 9, "model_length": 7, "hidden_dim": 12,
    "cond_dim": 6, "n_blocks": 2, "n_heads": 2, "dropout": 0.1, "time_conditioning": True, "cfg": True,
    "cfg_num_classes": 2,
}  # fmt: skip
LETTERS = {"C": 0, "N": 1, "O": 2, "=": 3}
"""vocab.json of the small model, whose first five tokens are <bos>, <eos>, <mask>, <pad> and <unk>."""


def write_published(folder: Path, vocab: dict[str, int] | None = LETTERS, **changes: Any) -> dict[str, Tensor]:
    """Write config.json, model.safetensors and vocab.json of random weights, and return the weights."""
    config = SMALL | changes
    k, w, c, n = (int(config[name]) for name in ("vocab_size", "hidden_dim", "cond_dim", "n_blocks"))
    shapes: dict[str, tuple[int, ...]] = {
        "vocab_embed.embedding": (k, w), "rotary_emb.inv_freq": (w // int(config["n_heads"]) // 2,),
        "output_layer.norm_final.weight": (w,), "output_layer.linear.weight": (k, w), "output_layer.linear.bias": (k,),
        "output_layer.adaLN_modulation.weight": (2 * w, c), "output_layer.adaLN_modulation.bias": (2 * w,),
        "sigma_map.mlp.0.weight": (c, 256), "sigma_map.mlp.0.bias": (c,),
        "sigma_map.mlp.2.weight": (c, c), "sigma_map.mlp.2.bias": (c,),
    }  # fmt: skip
    if config["cfg"]:
        shapes["cond_map.embedding_table.weight"] = (int(config["cfg_num_classes"]) + 1, c)
    for i in range(n):
        block = {
            "norm1.weight": (w,), "norm2.weight": (w,), "attn_qkv.weight": (3 * w, w), "attn_out.weight": (w, w),
            "mlp.0.weight": (4 * w, w), "mlp.0.bias": (4 * w,), "mlp.2.weight": (w, 4 * w), "mlp.2.bias": (w,),
            "adaLN_modulation.weight": (6 * w, c), "adaLN_modulation.bias": (6 * w,),
        }  # fmt: skip
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in block.items()}
    generator = torch.Generator().manual_seed(3)
    weights = {name: torch.randn(shape, generator=generator) * shape[-1] ** -0.5 for name, shape in shapes.items()}
    weights |= {name: 1 + t for name, t in weights.items() if "norm" in name}
    size = w // int(config["n_heads"])
    weights["rotary_emb.inv_freq"] = torch.tensor([10_000 ** (-2 * j / size) for j in range(size // 2)])
    folder.mkdir(parents=True, exist_ok=True)
    save_file({f"backbone.{name}": t for name, t in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if vocab is not None:
        (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    return weights


def published_logits(
    weights: dict[str, Tensor], x: list[int], sigma: float, label: int | None, heads: int = 2
) -> Tensor:
    """Return the logits (L, K) of one sequence of tokens."""
    p = {name: tensor.double() for name, tensor in weights.items()}
    silu = torch.nn.functional.silu

    def norm(h: Tensor, g: Tensor) -> Tensor:
        return torch.stack([(row - row.mean()) / (row.var(unbiased=False) + 1e-5).sqrt() * g for row in h])

    angles = [sigma * 10_000 ** (-j / 128) for j in range(128)]
    waves = torch.tensor([*map(math.cos, angles), *map(math.sin, angles)], dtype=torch.float64)
    hidden = silu(p["sigma_map.mlp.0.weight"] @ waves + p["sigma_map.mlp.0.bias"])
    c = silu(p["sigma_map.mlp.2.weight"] @ hidden + p["sigma_map.mlp.2.bias"])
    if label is not None:
        c = c + silu(p["cond_map.embedding_table.weight"][label])
    h = p["vocab_embed.embedding"][x]  # (L, W)
    width = h.shape[1]
    size = width // heads

    def turned(vector: Tensor, place: int) -> Tensor:
        """Turn each pair (j, j + size/2) by its angle."""
        first, second = vector[: size // 2], vector[size // 2 :]
        angle = place * p["rotary_emb.inv_freq"]
        return torch.cat([first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()])

    n = sum(name.endswith("attn_qkv.weight") for name in p)
    for i in range(n):
        q = {name.removeprefix(f"blocks.{i}."): t for name, t in p.items() if name.startswith(f"blocks.{i}.")}
        parts = (q["adaLN_modulation.weight"] @ c + q["adaLN_modulation.bias"]).chunk(6)
        normed = norm(h, q["norm1.weight"]) * (1 + parts[1]) + parts[0]
        qkv = normed @ q["attn_qkv.weight"].T
        mixed = torch.zeros_like(h)
        for head in range(heads):
            here = slice(head * size, (head + 1) * size)
            queries, keys, values = (qkv[:, part * width : (part + 1) * width][:, here] for part in range(3))
            queries = torch.stack([turned(row, place) for place, row in enumerate(queries)])
            keys = torch.stack([turned(row, place) for place, row in enumerate(keys)])
            mixed[:, here] = torch.softmax(queries @ keys.T / size**0.5, -1) @ values
        h = h + parts[2] * (mixed @ q["attn_out.weight"].T)
        normed = norm(h, q["norm2.weight"]) * (1 + parts[4]) + parts[3]
        inner = normed @ q["mlp.0.weight"].T + q["mlp.0.bias"]
        inner = 0.5 * inner * (1 + torch.tanh((2 / math.pi) ** 0.5 * (inner + 0.044715 * inner**3)))
        h = h + parts[5] * (inner @ q["mlp.2.weight"].T + q["mlp.2.bias"])
    shift, scale = (p["output_layer.adaLN_modulation.weight"] @ c + p["output_layer.adaLN_modulation.bias"]).chunk(2)
    h = norm(h, p["output_layer.norm_final.weight"]) * (1 + scale) + shift
    return h @ p["output_layer.linear.weight"].T + p["output_layer.linear.bias"]
