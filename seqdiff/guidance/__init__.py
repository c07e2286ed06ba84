"""Guides, which steer a generator towards sequences with wanted properties."""

from seqdiff.guidance.base import Chain, Guidance, ReachedContext, StepContext
from seqdiff.guidance.classifier import FUDGE, ClassifierBased, LatentClassifier
from seqdiff.guidance.classifier_free import ClassifierFree
from seqdiff.guidance.constraints import Avoid, Template
from seqdiff.guidance.hidden import NOS, PPLM
from seqdiff.guidance.particles import LookAhead
from seqdiff.guidance.reward import Reward

__all__ = [
    "FUDGE",
    "NOS",
    "PPLM",
    "Avoid",
    "Chain",
    "ClassifierBased",
    "ClassifierFree",
    "Guidance",
    "LatentClassifier",
    "LookAhead",
    "ReachedContext",
    "Reward",
    "StepContext",
    "Template",
]
