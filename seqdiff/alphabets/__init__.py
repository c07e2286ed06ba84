"""Alphabets: DNA, RNA, proteins, codons, k-mers, SMILES, words, levels of images, and any other letters."""

from seqdiff.alphabets.alphabet import Alphabet, AlphabetError
from seqdiff.alphabets.alphabets import CODONS, DNA, PROTEIN, RNA, kmers, resolve_alphabet
from seqdiff.alphabets.levels import Levels
from seqdiff.alphabets.marked import MarkedAlphabet, MarkedPieces

__all__ = [
    "CODONS",
    "DNA",
    "PROTEIN",
    "RNA",
    "Alphabet",
    "AlphabetError",
    "Levels",
    "MarkedAlphabet",
    "MarkedPieces",
    "kmers",
    "resolve_alphabet",
]
