"""Several generators on one data set, `seqdiff.compare`; one under guidance of several strengths, `seqdiff.sweep`."""

from seqdiff.comparison.run import compare
from seqdiff.comparison.sweeping import sweep
from seqdiff.comparison.table import markdown

__all__ = ["compare", "markdown", "sweep"]
