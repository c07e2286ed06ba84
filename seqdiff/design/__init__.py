"""From generated sequences to an order: rules, a table with reasons, protein to DNA, the file that is sent off."""

from seqdiff.design.codons import Coding, codings, to_dna
from seqdiff.design.designs import Designs, Yield
from seqdiff.design.library import Library, degenerate_library
from seqdiff.design.order import write_order
from seqdiff.design.rules import DesignRules, Violation, read_profile, vendors

__all__ = [
    "Coding",
    "DesignRules",
    "Designs",
    "Library",
    "Violation",
    "Yield",
    "codings",
    "degenerate_library",
    "read_profile",
    "to_dna",
    "vendors",
    "write_order",
]
