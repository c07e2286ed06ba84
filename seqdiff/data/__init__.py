"""From whatever a person has (files, lists, tables, Biopython records) to arrays of tokens; see `prepare`."""

from seqdiff.data.alphabet import DNA, PROTEIN, RNA, Alphabet, AlphabetError, resolve_alphabet
from seqdiff.data.dataset import Dataset, prepare
from seqdiff.data.lengths import LengthLaw
from seqdiff.data.reading import Records, read_records
from seqdiff.data.split import cluster_split, random_split
from seqdiff.data.target import Target
from seqdiff.data.template import parse_template

__all__ = [
    "DNA",
    "PROTEIN",
    "RNA",
    "Alphabet",
    "AlphabetError",
    "Dataset",
    "LengthLaw",
    "Records",
    "Target",
    "cluster_split",
    "parse_template",
    "prepare",
    "random_split",
    "read_records",
    "resolve_alphabet",
]
