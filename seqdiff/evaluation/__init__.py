"""Metrics of generators and of their samples, baselines to beat, plots."""

from seqdiff.evaluation.baselines import MarkovChain, PositionalMarkov, PositionWeightMatrix
from seqdiff.evaluation.evaluating import Likelihood, evaluate
from seqdiff.evaluation.metrics import frechet_distance, group_tests, precision_recall
from seqdiff.evaluation.motifs import Motif
from seqdiff.evaluation.plots import plot_curves, plot_gc, plot_images, plot_logo, plot_position_frequencies, plot_sweep
from seqdiff.evaluation.results import Evaluation
from seqdiff.evaluation.shuffling import dinucleotide_shuffle
from seqdiff.evaluation.statistics import (
    bits_per_letter,
    bits_per_letter_error,
    compare_table,
    copied_fraction,
    diversity,
    gc_content,
    kmer_counts,
    kmer_js,
    kmer_size,
    nearest_distance,
    position_frequencies,
)
from seqdiff.evaluation.trajectories import animate, plot_letters, plot_simplex
from seqdiff.inputs import Predictor

__all__ = [
    "Evaluation",
    "Likelihood",
    "MarkovChain",
    "Motif",
    "PositionWeightMatrix",
    "PositionalMarkov",
    "Predictor",
    "animate",
    "bits_per_letter",
    "bits_per_letter_error",
    "compare_table",
    "copied_fraction",
    "dinucleotide_shuffle",
    "diversity",
    "evaluate",
    "frechet_distance",
    "gc_content",
    "group_tests",
    "kmer_counts",
    "kmer_js",
    "kmer_size",
    "nearest_distance",
    "plot_curves",
    "plot_gc",
    "plot_images",
    "plot_letters",
    "plot_logo",
    "plot_position_frequencies",
    "plot_simplex",
    "plot_sweep",
    "position_frequencies",
    "precision_recall",
]
