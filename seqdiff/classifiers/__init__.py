"""What sequences are like, also when a generator has noised them: what guides follow."""

from seqdiff.classifiers.predictor import SequenceClassifier, SequencePredictor, SequenceRegressor

__all__ = ["SequenceClassifier", "SequencePredictor", "SequenceRegressor"]
