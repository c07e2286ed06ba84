"""Alphabets: DNA, RNA, proteins, codons, k-mers, SMILES, words, and any other letters."""

from seqdiff.alphabets.alphabet import Alphabet, AlphabetError
from seqdiff.alphabets.alphabets import CODONS, DNA, PROTEIN, RNA, kmers, resolve_alphabet
from seqdiff.alphabets.marked import MarkedAlphabet, MarkedPieces

__all__ = [
    "CODONS",
    "DNA",
    "PROTEIN",
    "RNA",
    "Alphabet",
    "AlphabetError",
    "MarkedAlphabet",
    "MarkedPieces",
    "kmers",
    "resolve_alphabet",
]
