"""Alphabets: DNA, RNA, proteins, codons, k-mers, SMILES, words, and any other letters."""

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.alphabets.alphabets import CODONS, DNA, PROTEIN, RNA, kmers, resolve_alphabet
from seqdiff.alphabets.letters import AlphabetError

__all__ = ["CODONS", "DNA", "PROTEIN", "RNA", "Alphabet", "AlphabetError", "kmers", "resolve_alphabet"]
