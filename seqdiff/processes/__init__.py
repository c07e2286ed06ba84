"""Generative processes over letters: how data is destroyed, and what undoing that costs."""

from seqdiff.processes.base import Cond, Denoiser, Process, State
from seqdiff.processes.categorical import CategoricalProcess
from seqdiff.processes.multinomial import Multinomial

__all__ = ["CategoricalProcess", "Cond", "Denoiser", "Multinomial", "Process", "State"]
