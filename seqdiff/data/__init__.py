"""From files, lists, tables and Biopython records to arrays of tokens; see `prepare`."""

from seqdiff.alphabets import CODONS, DNA, PROTEIN, RNA, Alphabet, AlphabetError, Levels, kmers, resolve_alphabet
from seqdiff.data.checking import DataCheck, check_data
from seqdiff.data.constraints import Forbidden, parse_positions, parse_template
from seqdiff.data.dataset import Dataset, prepare
from seqdiff.data.lengths import LengthDistribution
from seqdiff.data.reading import Records, read_records
from seqdiff.data.split import cluster_split, hold_out, random_split
from seqdiff.data.target import Target, Targets, class_codes, learn_target, target_from_dict

__all__ = [
    "CODONS",
    "DNA",
    "PROTEIN",
    "RNA",
    "Alphabet",
    "AlphabetError",
    "DataCheck",
    "Dataset",
    "Forbidden",
    "LengthDistribution",
    "Levels",
    "Records",
    "Target",
    "Targets",
    "check_data",
    "class_codes",
    "cluster_split",
    "hold_out",
    "kmers",
    "learn_target",
    "parse_positions",
    "parse_template",
    "prepare",
    "random_split",
    "read_records",
    "resolve_alphabet",
    "target_from_dict",
]
