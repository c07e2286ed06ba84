"""Training: one loop for every generator."""

from seqdiff.training.batches import StoredBatch
from seqdiff.training.objective import Batch, Objective
from seqdiff.training.trainer import LearningParameters, Settings, Trainer, TrainingParameters

__all__ = ["Batch", "LearningParameters", "Objective", "Settings", "StoredBatch", "Trainer", "TrainingParameters"]
