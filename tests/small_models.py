"""A generator that fits in 0.05 s, random sequences for it, and the required form of an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from seqdiff import MultinomialDiffusion
from seqdiff.errors import InputError

SMALL: dict[str, Any] = {
    "network": "conv",
    "width": 8,
    "depth": 1,
    "diffusion_steps": 10,
    "epochs": 2,
    "eval_every": 1,
    "batch_size": 16,
    "lr": 1e-2,
    "savepath": None,
    "verbose": 0,
}


def tiny(**parameters: Any) -> MultinomialDiffusion:
    return MultinomialDiffusion(**SMALL | parameters)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sequences(n: int = 48, length: int = 10, letters: str = "ACGT", seed: int = 0, p: Any = None) -> list[str]:
    """Return n random strings."""
    return ["".join(row) for row in np.random.default_rng(seed).choice(list(letters), size=(n, length), p=p)]


def random_sequences(seed: int, n: int = 40, letters: str = "ACGT", lengths: tuple[int, int] = (0, 30)) -> list[str]:
    """Return n random strings of several lengths, with letters of unequal frequencies."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(len(letters)))
    return ["".join(rng.choice(list(letters), size=rng.integers(*lengths), p=weights)) for _ in range(n)]


def mixed_lengths(n: int = 48, longest: int = 10, letters: str = "ACGT", seed: int = 0) -> list[str]:
    """Return n random strings of 3 to `longest` letters, at least one of them that long."""
    lengths = np.random.default_rng(seed).integers(3, longest + 1, n)
    lengths[0] = longest
    return [s[:k] for s, k in zip(sequences(n, longest, letters, seed), lengths, strict=True)]


def refuses(call: Callable[[], object], *words: str, longest: int = 400) -> str:
    """Check that the call raises an `InputError` whose sentence holds the given words, and return it."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert ": got " in message and ", expected " in message
    assert "\n" not in message and message.strip() == message and len(message) < longest
    for word in words:
        assert word in message, message
    return message
