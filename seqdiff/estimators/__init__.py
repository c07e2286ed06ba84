"""The generators, under scikit-learn's interface."""

from seqdiff.estimators.base import SequenceGenerator
from seqdiff.estimators.multinomial import MultinomialDiffusion
from seqdiff.estimators.persistence import read as load

__all__ = ["MultinomialDiffusion", "SequenceGenerator", "load"]
