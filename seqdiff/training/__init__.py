"""Training: one loop for every generator."""

from seqdiff.training.objective import Batch, Objective
from seqdiff.training.trainer import Settings, Trainer

__all__ = ["Batch", "Objective", "Settings", "Trainer"]
