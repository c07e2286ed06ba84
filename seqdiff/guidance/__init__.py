"""Guides: what makes a generator write the sequences that are wanted."""

from seqdiff.guidance.ahead import LookAhead
from seqdiff.guidance.avoid import Avoid
from seqdiff.guidance.base import Chain, Guidance
from seqdiff.guidance.classifier_based import ClassifierBased
from seqdiff.guidance.classifier_free import ClassifierFree
from seqdiff.guidance.fudge import FUDGE
from seqdiff.guidance.hidden import NOS, PPLM
from seqdiff.guidance.latent import LatentClassifier
from seqdiff.guidance.reward import Reward
from seqdiff.guidance.template import Template

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
    "Reward",
    "Template",
]
