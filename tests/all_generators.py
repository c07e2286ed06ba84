"""Every generator, fitted for one epoch to labelled sequences of ten letters."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from small_models import sequences

from seqdiff import (
    SCUD,
    Autoregressive,
    ClassicalDiffusion,
    DirichletFM,
    EmbeddingDiffusion,
    MaskedDiffusion,
    MultinomialDiffusion,
    UniformDiffusion,
)

BLINK: dict[str, Any] = {"width": 8, "depth": 1, "epochs": 1, "batch_size": 64, "savepath": None, "verbose": 0}
X = sequences(64, p=[0.4, 0.2, 0.2, 0.2])
LABELS = ["few" if s.count("A") < 4 else "many" for s in X]

GENERATORS: dict[str, Callable[..., Any]] = {
    "multinomial": lambda **more: MultinomialDiffusion(**BLINK | {"network": "conv", "diffusion_steps": 8} | more),
    "masked": lambda **more: MaskedDiffusion(**BLINK | more),
    "masked, ancestral": lambda **more: MaskedDiffusion(sampler="ancestral", remasking=0.5, **BLINK | more),
    "uniform": lambda **more: UniformDiffusion(**BLINK | more),
    "classical": lambda **more: ClassicalDiffusion(**BLINK | more),
    "scud": lambda **more: SCUD(**BLINK | more),
    "autoregressive": lambda **more: Autoregressive(**BLINK | more),
    "dirichlet": lambda **more: DirichletFM(**BLINK | more),
    "distilled": lambda **more: DirichletFM(**BLINK | more),
    "embedding": lambda **more: EmbeddingDiffusion(**BLINK | {"diffusion_steps": 8} | more),
}
STEPS = {"steps": 8}
"""Steps of `generate`, for tests that do not depend on sample quality."""


@cache
def fitted(name: str) -> Any:
    """Return a generator fitted with the labels "few" and "many"; tests must not change it."""
    model = GENERATORS[name]().fit(X, LABELS)
    return model.distill(64, steps=4, **BLINK) if name == "distilled" else model
