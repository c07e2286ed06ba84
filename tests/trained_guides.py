"""Small trained generators, classifiers of their noised states, and the guides of each generator."""

from __future__ import annotations

from typing import Any

from small_models import SMALL, sequences

from seqdiff import (
    SCUD,
    Autoregressive,
    ClassicalDiffusion,
    DirichletFM,
    EmbeddingDiffusion,
    MaskedDiffusion,
    MultinomialDiffusion,
    SequenceClassifier,
    SequenceRegressor,
    UniformDiffusion,
)
from seqdiff.guidance import FUDGE, NOS, PPLM, ClassifierBased, ClassifierFree, LatentClassifier, Reward

MAKERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "multinomial": (MultinomialDiffusion, {"diffusion_steps": 10}),
    "masked": (MaskedDiffusion, {"sampler": "ancestral"}),
    "first-hitting": (MaskedDiffusion, {}),
    "uniform": (UniformDiffusion, {}),
    "classical": (ClassicalDiffusion, {}),
    "scud": (SCUD, {"epochs": 25}),
    "dirichlet": (DirichletFM, {}),
    "embedding": (EmbeddingDiffusion, {"diffusion_steps": 20}),
    "self-conditioned": (EmbeddingDiffusion, {"diffusion_steps": 20, "self_conditioning": True}),
    "autoregressive": (Autoregressive, {}),
}
VECTORS = ("dirichlet", "embedding", "self-conditioned")
STEPS = 10
LENGTH = 6


def share_of_a(samples: list[str]) -> list[float]:
    """Return the share of A in each sequence: the reward, and what regressors learn."""
    return [x.count("A") / len(x) for x in samples]


def labelled() -> tuple[list[str], list[str]]:
    """Return sequences rich in A, and rich in T."""
    X = sequences(100, LENGTH, p=[0.7, 0.1, 0.1, 0.1]) + sequences(100, LENGTH, p=[0.1, 0.1, 0.1, 0.7], seed=1)
    return X, ["A"] * 100 + ["T"] * 100


class Models:
    """Labelled generators and classifiers of their noised states by name, each fitted at first use."""

    def __init__(self) -> None:
        self.made: dict[Any, Any] = {}

    def _once(self, key: Any, make: Any) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def generator(self, name: str) -> Any:
        cls, options = MAKERS[name]
        small = {k: v for k, v in SMALL.items() if k != "diffusion_steps"}
        settings = small | {"width": 16, "epochs": 10, "batch_size": 32, "label_dropout": 0.3} | options
        settings["precision"] = "float32"  # where bfloat16 is used, its rounding depends on the number of rows
        # nothing held out: with copies on one side, either class could lose most of its sequences
        return self._once(name, lambda: cls(**settings).fit(*labelled(), validation=None))

    def classifier(self, name: str, hidden: bool = False) -> Any:
        def make() -> Any:
            learner = SequenceClassifier(noise_like=self.generator(name), hidden=hidden, **SETTINGS)
            return learner.fit(*labelled(), validation=None)

        return self._once((name, hidden), make)

    def regressor(self, name: str, hidden: bool = False) -> Any:
        X, _ = labelled()

        def make() -> Any:
            learner = SequenceRegressor(noise_like=self.generator(name), hidden=hidden, **SETTINGS)
            return learner.fit(X, share_of_a(X), validation=None)

        return self._once((name, hidden, "values"), make)

    def guide(self, kind: str, name: str, y: Any, strength: Any, values: bool = False) -> Any:
        """Return a guide of a kind for a generator; with `values`, y is the desired share of A."""
        judge = self.regressor if values else self.classifier
        if kind == "free":
            return ClassifierFree(strength)
        if kind in ("svdd", "feynman-kac"):
            sign = 1.0 if y == "A" else -1.0
            return Reward(lambda s: [sign * LENGTH * v for v in share_of_a(s)], strength, particles=4, method=kind)
        if kind in ("exact", "first-order"):
            return ClassifierBased(judge(name), y, strength, exact=kind == "exact")
        if kind in ("nos", "pplm"):
            return {"nos": NOS, "pplm": PPLM}[kind](judge(name, True), y, strength)
        return {"fudge": FUDGE, "latent": LatentClassifier}[kind](judge(name), y, strength)

    def generate(self, kind: str, name: str, n: int, y: Any, strength: Any, values: bool = False, **rest: Any) -> Any:
        """Return cached samples of a generator under a guide, unguided where `kind` is empty."""
        settings = {"random_state": 0, "steps": STEPS, "y": y if kind == "free" else None} | rest

        def make() -> Any:
            guide = self.guide(kind, name, y, strength, values) if kind else None
            return self.generator(name).generate(n, guidance=guide, **settings)

        return self._once((kind, name, n, str(y), strength, values, str(rest)), make)


SETTINGS: dict[str, Any] = {"width": 16, "depth": 1, "epochs": 10, "batch_size": 32, "lr": 1e-2}


def kinds_for(name: str) -> list[str]:
    """Return the kinds of guides that a generator supports."""
    kinds = ["free", "svdd", "feynman-kac"]
    if name == "autoregressive":
        return [*kinds, "fudge", "pplm"]
    kinds += ["first-order", "nos"] if name in VECTORS else ["first-order", "exact", "nos"]
    return [*kinds, "latent"] if name in ("embedding", "self-conditioned") else kinds


PAIRS = [(name, kind) for name in MAKERS for kind in kinds_for(name)]
