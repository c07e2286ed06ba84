"""Classifiers and regressors of sequences, clean or noised by a generator: guides follow them."""

from seqdiff.classifiers.predictor import SequenceClassifier, SequencePredictor, SequenceRegressor

__all__ = ["SequenceClassifier", "SequencePredictor", "SequenceRegressor"]
