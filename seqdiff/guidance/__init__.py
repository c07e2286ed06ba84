"""Guides: what makes a generator write the sequences that are wanted."""

from seqdiff.guidance.avoid import Avoid
from seqdiff.guidance.base import Chain, Guidance, ReachedContext, StepContext
from seqdiff.guidance.classifier import FUDGE, ClassifierBased, LatentClassifier
from seqdiff.guidance.classifier_free import ClassifierFree
from seqdiff.guidance.hidden import NOS, PPLM
from seqdiff.guidance.reward import Reward
from seqdiff.guidance.template import LookAhead, Template

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
