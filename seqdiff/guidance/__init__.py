"""Guides: what makes a generator write the sequences that are wanted."""

from seqdiff.guidance.base import Chain, Guidance
from seqdiff.guidance.latent import LatentClassifier
from seqdiff.guidance.template import Template

__all__ = ["Chain", "Guidance", "LatentClassifier", "Template"]
