"""`seqdiff demo`: learn sequences, write new ones, and say on the screen how good they are.

Without data of one's own it learns the simulated promoters of `load_sigma70`, whose law is known, so that the truth
stands beside the model: held-out bits per base of simple models, of the model, and of the law itself.
"""

from seqdiff.demo.run import run_demo
from seqdiff.demo.screen import Report

__all__ = ["Report", "run_demo"]
