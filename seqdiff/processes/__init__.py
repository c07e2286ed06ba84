"""Generative processes: how letters are destroyed, and what undoing that costs."""

from seqdiff.processes.autoregressive import Autoregressive
from seqdiff.processes.base import Batch, Clean, Cond, Denoiser, Process, State
from seqdiff.processes.categorical import CategoricalProcess
from seqdiff.processes.classical import Classical
from seqdiff.processes.dirichlet import DirichletFlow, LinearFlow, SimplexFlow
from seqdiff.processes.embedding import Embedding
from seqdiff.processes.masked import FirstHitting, Masked
from seqdiff.processes.multinomial import Multinomial
from seqdiff.processes.scud import SCUD
from seqdiff.processes.uniform import Uniform

__all__ = [
    "SCUD",
    "Autoregressive",
    "Batch",
    "CategoricalProcess",
    "Classical",
    "Clean",
    "Cond",
    "Denoiser",
    "DirichletFlow",
    "Embedding",
    "FirstHitting",
    "LinearFlow",
    "Masked",
    "Multinomial",
    "Process",
    "SimplexFlow",
    "State",
    "Uniform",
]
