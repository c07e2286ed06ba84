"""seqdiff: generate biological sequences with models fitted to data.

from seqdiff import MultinomialDiffusion
model = MultinomialDiffusion(length=50)
model.fit("promoters.txt")
model.generate(1000, out="samples.fasta")
"""

import os
from typing import TYPE_CHECKING

__version__ = "0.1.0"  # a plain literal: setup.cfg reads it without importing the package

__all__ = [
    "SCUD",
    "Alphabet",
    "Autoregressive",
    "ClassicalDiffusion",
    "DirichletFM",
    "DistilledFM",
    "EmbeddingDiffusion",
    "Levels",
    "MaskedDiffusion",
    "MultinomialDiffusion",
    "SequenceClassifier",
    "SequenceGenerator",
    "SequenceRegressor",
    "UniformDiffusion",
    "check_data",
    "compare",
    "convert_udlm",
    "datasets",
    "evaluate",
    "load",
    "plot_sweep",
    "report",
    "sweep",
]

if TYPE_CHECKING:
    from seqdiff import datasets
    from seqdiff.alphabets import Alphabet, Levels
    from seqdiff.classifiers import SequenceClassifier, SequenceRegressor
    from seqdiff.data import check_data
    from seqdiff.estimators import (
        SCUD,
        Autoregressive,
        ClassicalDiffusion,
        DirichletFM,
        DistilledFM,
        EmbeddingDiffusion,
        MaskedDiffusion,
        MultinomialDiffusion,
        SequenceGenerator,
        UniformDiffusion,
        convert_udlm,
        load,
    )
    from seqdiff.evaluation import evaluate, plot_sweep
    from seqdiff.experiments import compare, report, sweep
else:  # hidden from type checkers, which would take any name for granted
    # PEP 562: torch and scikit-learn are loaded with the first name that needs them, not for `seqdiff --help`
    _HOMES = {"experiments": ("compare", "report", "sweep"), "alphabets": ("Alphabet", "Levels"),
              "data": ("check_data",), "evaluation": ("evaluate", "plot_sweep"),
              "classifiers": ("SequenceClassifier", "SequenceRegressor")}  # fmt: skip
    _HOME = {name: home for home, names in _HOMES.items() for name in names}
    _FOLDERS = (
        "alphabets", "classifiers", "data", "datasets", "design", "errors", "estimators", "evaluation", "experiments",
        "files", "guidance", "hub", "inputs", "model", "networks", "parameters", "processes", "ranks", "rewards",
        "runs", "runtime", "sampling", "training",
    )  # fmt: skip

    def __getattr__(name):
        from importlib import import_module

        if name in _FOLDERS:
            return import_module(f"seqdiff.{name}")
        if name not in __all__:
            raise AttributeError(f"module 'seqdiff' has no attribute {name!r}")
        value = getattr(import_module(f"seqdiff.{_HOME.get(name, 'estimators')}"), name)
        globals()[name] = value  # found at once from now on
        return value

    def __dir__():
        return sorted({*globals(), *__all__, *_FOLDERS})


if os.environ.get("WORLD_SIZE", "1") != "1":
    # torch, not yet loaded, would warn in each process that all weights have a part in a step: others' may not
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
