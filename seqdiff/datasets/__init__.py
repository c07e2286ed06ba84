"""Promoters to start with: simulated ones of a known distribution, and natural ones in the scikit-learn manner."""

from .remote import DatasetUnavailable, fetch_ecoli_promoters
from .sigma70 import load_sigma70, sigma70_log_prob

__all__ = ["DatasetUnavailable", "fetch_ecoli_promoters", "load_sigma70", "sigma70_log_prob"]
