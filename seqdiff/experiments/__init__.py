"""Several generators on one data set, `compare`; guidance of several strengths, `sweep`; `report`; the demo."""

from seqdiff.experiments.comparison import compare, markdown
from seqdiff.experiments.reporting import report
from seqdiff.experiments.sweeping import sweep

__all__ = ["compare", "markdown", "report", "sweep"]
