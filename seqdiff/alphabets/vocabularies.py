"""Alphabets of overlapping k-mers, of words, and of pieces of words.

`OverlappingKmers` has a letter for every window of k characters, n - k + 1 of n characters. A model may generate
neighbours that disagree; then the first character of each counts, and the whole of the last, so that every row of
k-mers is a valid sequence.

`WordAlphabet` has the frequent words, and spells the others: "hark" is the letters h, ##a, ##r, ##k, where ## continues
a word, as in WordPiece (Wu et al. 2016, arXiv 1609.08144). `PieceAlphabet` is byte pair encoding over characters
(Sennrich et al. 2016, arXiv 1508.07909): the pair of neighbours that is most frequent becomes one letter, again and
again. In both, any row of letters is a valid text, and a text with a character that training lacked is refused.

One text can be written in several ways. The one that it is read as is scored, so that a log-likelihood is a lower bound
of the text's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain, groupby
from types import ModuleType
from typing import TYPE_CHECKING, Any

from seqdiff.alphabets.alphabet import Alphabet, words_of
from seqdiff.errors import InputError, argument, shown

if TYPE_CHECKING:
    import tokenizers


class OverlappingKmers(Alphabet):
    """All words of k characters as letters, read at every position; a template allows k-mers, window by window.

    Examples
    --------
    >>> words = OverlappingKmers.make("dna", 3)
    >>> words.name, words.split("ACGTT")
    ('dna overlapping 3-mers', ['ACG', 'CGT', 'GTT'])
    >>> words.decode([[words.letters.index(word) for word in ("ACG", "TTT", "GGC")]])  # neighbours that disagree
    ['ATGGC']
    """

    def __init__(self, letters: Sequence[str], name: str = "overlapping k-mers"):
        super().__init__(letters, name)
        if not self._width:
            wanted = "words of one length of at least 2, as overlapping k-mers are"
            raise InputError(argument("letters"), shown(list(letters)), wanted, "give others")

    @classmethod
    def make(cls, letters: str | Sequence[str], k: int) -> OverlappingKmers:
        """Return all words of k >= 2 letters; `letters` are as of `Alphabet.kmers`."""
        words, name = words_of(letters, k)
        return cls(words, name.replace(f"{k}-mers", f"overlapping {k}-mers"))

    def split(self, sequence: str) -> list[str]:
        """Return the windows of a sequence; all of one that is shorter than k, which is then no letter."""
        return [sequence[i : i + self._width] for i in range(max(1, len(sequence) - self._width + 1))]

    def choices(self, entry: str) -> list[str]:
        """Return the k-mers of an entry of a template's list, one after the other: as choices they do not overlap."""
        return super().split(entry)

    def locate(self, sequence: str, column: int) -> tuple[int, str]:
        return column, self.split(sequence)[column]

    def wrong(self, letter: str, position: int) -> tuple[str, str]:
        if len(letter) < self._width:
            return f"{shown(letter)} alone", f"at least {self._width} characters, as the {self.name} alphabet reads"
        return super().wrong(letter, position)

    def join(self, letters: Sequence[str]) -> str:
        return "".join([letter[0] for letter in letters[:-1]]) + "".join(letters[-1:])


GOES_ON = "##"
MOST_LETTERS = 65_536
WORDS, PIECES = 1000, 256  # by default


def joined_pieces(letters: Iterable[str]) -> str:
    """Return the text of words and pieces of words.

    >>> joined_pieces(["the", "so", "##ber"])
    'the sober'
    """
    text = "".join(letter[len(GOES_ON) :] if letter.startswith(GOES_ON) else " " + letter for letter in letters)
    return text.removeprefix(" ")


class WordAlphabet(Alphabet):
    """Words that are separated by spaces, the rare ones spelled.

    Letters are words, and all characters, each as a word and, behind ``##``, as the continuation of one.

    Examples
    --------
    >>> words = WordAlphabet.learn(["to be or not to be", "to see"], 2)
    >>> words.split("to be  sober"), words.decode(*words.encode(["to be  sober"]))
    (['to', 'be', 's', '##o', '##b', '##e', '##r'], ['to be sober'])
    """

    @classmethod
    def learn(cls, sequences: Sequence[str], size: int = WORDS) -> WordAlphabet:
        """Return the alphabet of all characters and the most frequent words, at most `size` of those that repeat."""
        words = Counter(chain.from_iterable(sequence.split() for sequence in sequences))
        characters = _characters(words, "words")
        frequent = [
            word
            for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0]))
            if count > 1 and len(word) > 1 and not word.startswith(GOES_ON)
        ]
        return cls([*frequent[:size], *characters, *(GOES_ON + character for character in characters)], "words")

    def normalize(self, sequences: Sequence[str]) -> list[str]:
        """Return the sequences with one space between words and none around."""
        return [" ".join(sequence.split()) for sequence in sequences]

    def split(self, sequence: str) -> list[str]:
        """Return the letters of one sequence: a word each, or the characters of one that is not known."""
        found: list[str] = []
        for word in sequence.split():
            if word in self._index and not word.startswith(GOES_ON):
                found.append(word)
            else:
                found += [word[0], *(GOES_ON + character for character in word[1:])]
        return found

    def choices(self, entry: str) -> list[str]:
        """Return the words of an entry of a template's list, each a letter: a spelled word takes several positions."""
        return entry.split()

    def locate(self, sequence: str, column: int) -> tuple[int, str]:
        pieces = self.split(sequence)
        before = self.join(pieces[:column])
        letter = pieces[column]
        goes_on = letter.startswith(GOES_ON)
        return len(before) + (not goes_on and column > 0), letter[len(GOES_ON) :] if goes_on else letter

    def join(self, letters: Sequence[str]) -> str:
        return joined_pieces(letters)


class PieceAlphabet(Alphabet):
    """Pieces of text by byte pair encoding, in the library tokenizers; no piece reaches from one word into the next.

    Parameters
    ----------
    letters : sequence of str
        All characters, and pieces of several.
    name : str
    merges : sequence of pairs of str
        Letters that make a longer one, in the order in which they are joined.

    Examples
    --------
    >>> pieces = PieceAlphabet(["A", "C", "G", "AC", "ACG"], "bpe", [["A", "C"], ["AC", "G"]])
    >>> pieces.decode([[4, 3, 0]])
    ['ACGACA']
    """

    merges: tuple[tuple[str, str], ...]

    def __init__(self, letters: Sequence[str], name: str = "bpe", merges: Sequence[Sequence[str]] = ()):
        super().__init__(letters, name)
        pairs = tuple((first, second) for first, second in merges)
        for first, second in pairs:
            if not {first, second, first + second} <= self._index.keys():
                found = f"{shown(first)} and {shown(second)}"
                wanted = "pairs of letters that make another letter"
                raise InputError(argument("merges"), found, wanted, "add what is none to the letters")
        self.__dict__["merges"] = pairs

    @classmethod
    def learn(cls, sequences: Sequence[str], size: int = PIECES) -> PieceAlphabet:
        """Return the alphabet of all characters and of the pieces that make up `size` letters with them."""
        library = tokenizers_library()
        sequences = [sequence.strip() for sequence in sequences]  # letters stand within a text
        characters = _characters(sequences, "pieces")
        if len(characters) > size:
            cure = f"pass {argument('alphabet', f'bpe {2 * max(len(characters), PIECES)}')} for more letters"
            raise InputError("the sequences", _count(characters), f"2 to {size} for bpe", cure)
        tokenizer = _prepared(library, library.models.BPE())
        trainer = library.trainers.BpeTrainer(
            vocab_size=size, min_frequency=2, initial_alphabet=characters, show_progress=False, special_tokens=[]
        )
        tokenizer.train_from_iterator(sequences, trainer)
        model = json.loads(tokenizer.to_str())["model"]
        letters = sorted(model["vocab"], key=model["vocab"].get)
        merges = [pair if isinstance(pair, list) else pair.split(" ", 1) for pair in model["merges"]]
        return cls(letters, "bpe", merges)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"merges": [list(pair) for pair in self.merges]}

    @cached_property
    def _tokenizer(self) -> tokenizers.Tokenizer:
        library = tokenizers_library()
        return _prepared(library, library.models.BPE(self._index, list(self.merges)))

    def split(self, sequence: str) -> list[str]:
        """Return the pieces of one sequence; a character that no training text has stands alone."""
        found: list[str] = []
        for known, characters in groupby(sequence, self._known.__contains__):
            part = list(characters)
            found += self._tokenizer.encode("".join(part)).tokens if known else part
        return found

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset("".join(self.letters))


def _characters(texts: Iterable[str], what: str) -> list[str]:
    characters = sorted(set().union(*texts))
    if len(characters) < 2:
        wanted, cure = f"two or more, of which {what} are made", "give other sequences, or another alphabet"
        raise InputError("the sequences", _count(characters), wanted, cure)
    return characters


def _count(characters: Sequence[str]) -> str:
    return f"{len(characters)} different character{'s' * (len(characters) != 1)}"


def _prepared(library: ModuleType, model: tokenizers.models.Model) -> tokenizers.Tokenizer:
    tokenizer = library.Tokenizer(model)
    tokenizer.pre_tokenizer = library.pre_tokenizers.Split(" ", "merged_with_next")
    return tokenizer


def tokenizers_library() -> ModuleType:
    """Return the library tokenizers."""
    try:
        import tokenizers
    except ImportError:
        wanted = "the library tokenizers, which is not installed"
        raise InputError(argument("alphabet"), "pieces of words", wanted, 'pip install "seqdiff[bpe]"') from None
    return tokenizers
