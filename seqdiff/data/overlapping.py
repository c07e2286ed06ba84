"""Overlapping k-mers: a letter for every window of k characters, moved by one character at a time.

A sequence of n characters has n - k + 1 of them. Neighbours that share k - 1 characters are what a model learns; it may
still write neighbours that disagree, and then the first character of each counts, and the whole of the last. So every
row of k-mers is a valid sequence, n characters long.
"""

from __future__ import annotations

from collections.abc import Sequence

from seqdiff.data.alphabet import Alphabet
from seqdiff.data.letters import words_of
from seqdiff.errors import shown


class OverlappingKmers(Alphabet):
    """All words of k characters as letters, read at every position.

    A template allows k-mers, window by window, and so holds for what is written. Of several rows that spell one
    sequence only the one that it is read as is scored: a log-likelihood is a lower bound of the sequence's.

    Parameters
    ----------
    letters : sequence of str
        The words, all of one length k of at least 2.
    name : str
        See `Alphabet`.

    Examples
    --------
    >>> words = OverlappingKmers.make("dna", 3)
    >>> words.name, words.split("ACGTT"), words.decode(*words.encode(["ACGTT"]))
    ('dna overlapping 3-mers', ['ACG', 'CGT', 'GTT'], ['ACGTT'])
    >>> words.decode([[words.letters.index(word) for word in ("ACG", "TTT", "GGC")]])  # neighbours that disagree
    ['ATGGC']
    """

    def __init__(self, letters: Sequence[str], name: str = "overlapping k-mers"):
        super().__init__(letters, name)
        if not self._width:
            raise ValueError("overlapping k-mers must be words of one length of at least 2; give others")

    @classmethod
    def make(cls, letters: str | Sequence[str], k: int) -> OverlappingKmers:
        """All words of k letters; `letters` are ``"dna"``, ``"rna"``, ``"protein"``, or letters of one character.

        Raises
        ------
        ValueError
            If k is not 2 or more, or there would be more than 65,536 words.
        """
        words, name = words_of(letters, k)
        return cls(words, name.replace(f"{k}-mers", f"overlapping {k}-mers"))

    def split(self, sequence: str) -> list[str]:
        """The windows of a sequence; all of one that is shorter than k, which is then no letter."""
        return [sequence[i : i + self._width] for i in range(max(1, len(sequence) - self._width + 1))]

    def choices(self, entry: str) -> list[str]:
        """The k-mers of an entry of a template's list, one after the other: as choices they overlap no more."""
        return super().split(entry)

    def locate(self, sequence: str, column: int) -> tuple[int, str]:
        return column, self.split(sequence)[column]

    def explain(self, letter: str, position: int) -> str:
        if len(letter) < self._width:
            return f"found {shown(letter)} alone, but the {self.name} alphabet wants at least {self._width} characters"
        return super().explain(letter, position)

    def join(self, letters: Sequence[str]) -> str:
        """The first character of each k-mer, then the rest of the last."""
        return "".join([letter[0] for letter in letters[:-1]]) + "".join(letters[-1:])
