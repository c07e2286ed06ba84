"""Several generators on one data set, `compare`; one under guidance of several strengths, `sweep`; the demo."""

from seqdiff.experiments.comparison import compare, markdown
from seqdiff.experiments.sweeping import sweep

__all__ = ["compare", "markdown", "sweep"]
