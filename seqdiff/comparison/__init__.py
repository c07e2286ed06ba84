"""Several generators on one data set and one split, beside baselines and nature itself: `seqdiff.compare`."""

from seqdiff.comparison.run import compare
from seqdiff.comparison.table import markdown

__all__ = ["compare", "markdown"]
