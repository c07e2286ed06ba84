"""From files, lists, tables and Biopython records to arrays of tokens; see `prepare`."""

from seqdiff.alphabets import CODONS, DNA, PROTEIN, RNA, Alphabet, AlphabetError, Levels, kmers, resolve_alphabet
from seqdiff.data.checking import DataCheck, check_data
from seqdiff.data.constraints import Forbidden, parse_positions, parse_template
from seqdiff.data.dataset import Dataset, StoredData, prepare
from seqdiff.data.lengths import LengthDistribution
from seqdiff.data.reading import Records, read_records
from seqdiff.data.split import cluster_split, hold_out, hold_out_stored, random_split
from seqdiff.data.store import Store, is_store
from seqdiff.data.streaming import prepare_store
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
    "Store",
    "StoredData",
    "Target",
    "Targets",
    "check_data",
    "class_codes",
    "cluster_split",
    "hold_out",
    "hold_out_stored",
    "is_store",
    "kmers",
    "learn_target",
    "parse_positions",
    "parse_template",
    "prepare",
    "prepare_store",
    "random_split",
    "read_records",
    "resolve_alphabet",
    "target_from_dict",
]
