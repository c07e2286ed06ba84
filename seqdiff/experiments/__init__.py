"""Several generators on one data set, `compare`; one under guidance of several strengths, `sweep`; the demo."""

from seqdiff.experiments.comparison import compare
from seqdiff.experiments.sweeping import sweep
from seqdiff.experiments.table import markdown

__all__ = ["compare", "markdown", "sweep"]
