"""The generators, under scikit-learn's interface."""

from seqdiff.estimators.autoregressive import Autoregressive
from seqdiff.estimators.classical import ClassicalDiffusion
from seqdiff.estimators.converted import convert_udlm, load
from seqdiff.estimators.dirichlet import DirichletFM
from seqdiff.estimators.distilled import DistilledFM
from seqdiff.estimators.embedding import EmbeddingDiffusion
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.estimators.masked import MaskedDiffusion
from seqdiff.estimators.multinomial import MultinomialDiffusion
from seqdiff.estimators.scud import SCUD
from seqdiff.estimators.uniform import UniformDiffusion

__all__ = [
    "SCUD",
    "Autoregressive",
    "ClassicalDiffusion",
    "DirichletFM",
    "DistilledFM",
    "EmbeddingDiffusion",
    "MaskedDiffusion",
    "MultinomialDiffusion",
    "SequenceGenerator",
    "UniformDiffusion",
    "convert_udlm",
    "load",
]
