"""From data sets to what lies on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff.data import Dataset, LengthLaw, Target, Targets
from seqdiff.networks import Conditions
from seqdiff.training import Batch

PSEUDOCOUNT = 1.0


def conditions_of(target: Target | Targets | None) -> Conditions:
    """Return what a network must be able to take for this target."""
    if target is None:
        return Conditions()
    if isinstance(target, Targets):
        classes = [len(column.classes_) for column in target.columns if column.kind == "class"]
        return Conditions(sum(classes), len(target.columns) - len(classes), columns=len(target.columns))
    if target.kind == "class":
        return Conditions(classes=len(target.classes_))
    return Conditions(values=target.n_columns) if target.kind == "value" else Conditions(channels=target.n_columns)


def encode_condition(
    target: Target | Targets | None, y: Any, n: int, length: int, device: torch.device
) -> dict[str, Tensor] | None:
    """Return the condition of `n` rows, a signal with `length` positions; None for a model without conditions."""
    if target is None:
        return None
    arrays = target.encode(y, n=n)
    if "signal" in arrays:  # as wide as the sequences, which are padded too
        signal = arrays["signal"][:, :length]
        arrays["signal"] = np.pad(signal, ((0, 0), (0, length - signal.shape[1]), (0, 0)))
    return {k: torch.from_numpy(np.ascontiguousarray(v)).to(device) for k, v in arrays.items()}


def encode_batch(
    data: Dataset,
    length: int,
    device: torch.device,
    target: Target | Targets | None = None,
    weight: np.ndarray | None = None,
) -> Batch:
    """Return a data set as tensors on the device, padded to `length`."""
    # torch knows few operations on the wider unsigned integers
    kind = np.int32 if data.tokens.dtype.itemsize > 1 else data.tokens.dtype
    padded = np.zeros((len(data), length), dtype=kind)
    width = min(length, data.tokens.shape[1])  # a part of a data set may be shorter than the whole was
    padded[:, :width] = data.tokens[:, :width]
    lengths = torch.from_numpy(np.ascontiguousarray(data.lengths)).to(device)
    cond = encode_condition(target, data.y, len(data), length, device)
    if cond is not None and "signal" in cond:  # beyond a sequence's end there is none, whatever the array holds there
        cond["signal"] *= (torch.arange(length, device=device) < lengths[:, None])[..., None]
    return Batch(
        torch.from_numpy(padded).to(device),
        lengths,
        cond,
        None if weight is None else torch.from_numpy(weight.astype(np.float32)).to(device),
    )


def log_frequencies(data: Dataset, law: LengthLaw, weight: np.ndarray | None = None) -> Tensor:
    """Return log letter frequencies (L, K) with one pseudocount a letter: the position weight matrix."""
    real = np.arange(data.tokens.shape[1]) < data.lengths[:, None]
    counts = np.full((law.max_length, len(data.alphabet)), PSEUDOCOUNT)
    positions = np.broadcast_to(np.arange(data.tokens.shape[1]), data.tokens.shape)
    row = np.ones(len(data)) if weight is None else weight
    np.add.at(counts, (positions[real], data.tokens[real]), np.repeat(row, data.lengths))
    return torch.from_numpy(np.log(counts / counts.sum(1, keepdims=True))).float()


def letter_law(data: Dataset, weight: np.ndarray | None = None) -> Tensor:
    """Return the letters' frequencies (K,) in float64, with one pseudocount a letter."""
    real = np.arange(data.tokens.shape[1]) < data.lengths[:, None]
    each = None if weight is None else np.repeat(weight, data.lengths)
    counts = 1.0 + np.bincount(data.tokens[real].astype(np.int64), each, minlength=len(data.alphabet))
    return torch.from_numpy(counts / counts.sum())
