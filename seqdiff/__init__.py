"""seqdiff: learn biological sequences from data and write new ones.

from seqdiff import MultinomialDiffusion
model = MultinomialDiffusion(length=50)
model.fit("promoters.txt")
model.generate(1000, out="samples.fasta")
"""

from seqdiff import datasets
from seqdiff.comparison import compare, sweep
from seqdiff.data import Alphabet
from seqdiff.estimators import (
    SCUD,
    Autoregressive,
    ClassicalDiffusion,
    DirichletFM,
    DistilledFM,
    EmbeddingDiffusion,
    MaskedDiffusion,
    MultinomialDiffusion,
    SequenceClassifier,
    SequenceGenerator,
    SequenceRegressor,
    UniformDiffusion,
    load,
)
from seqdiff.evaluation import plot_sweep

__version__ = "0.1.0"  # a plain literal: setup.cfg reads it without importing the package

__all__ = [
    "SCUD",
    "Alphabet",
    "Autoregressive",
    "ClassicalDiffusion",
    "DirichletFM",
    "DistilledFM",
    "EmbeddingDiffusion",
    "MaskedDiffusion",
    "MultinomialDiffusion",
    "SequenceClassifier",
    "SequenceGenerator",
    "SequenceRegressor",
    "UniformDiffusion",
    "compare",
    "datasets",
    "load",
    "plot_sweep",
    "sweep",
]
