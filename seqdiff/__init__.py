"""seqdiff: learn biological sequences from data and write new ones.

from seqdiff import MultinomialDiffusion
model = MultinomialDiffusion(length=50)
model.fit("promoters.txt")
model.generate(1000, out="samples.fasta")
"""

from seqdiff import datasets
from seqdiff.data import Alphabet
from seqdiff.estimators import (
    Autoregressive,
    ClassicalDiffusion,
    MaskedDiffusion,
    MultinomialDiffusion,
    SequenceGenerator,
    UniformDiffusion,
    load,
)

__version__ = "0.1.0"  # a plain literal: setup.cfg reads it without importing the package

__all__ = [
    "Alphabet",
    "Autoregressive",
    "ClassicalDiffusion",
    "MaskedDiffusion",
    "MultinomialDiffusion",
    "SequenceGenerator",
    "UniformDiffusion",
    "datasets",
    "load",
]
