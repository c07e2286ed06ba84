"""Alphabets of published models whose rows have one length: a begin mark, the letters, an end mark, padding.

The marks are letters of the model, so that it generates lengths by itself. These alphabets add them to what is read and
leave them out of what is written: "CCO" is the row ``<bos> C C O <eos> <pad> <pad>``. A row in which a model puts marks
elsewhere is written without them, as the authors of UDLM (Schiff et al. 2024, arXiv 2412.10193) judge theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.alphabets.vocabularies import joined_pieces, tokenizers_library
from seqdiff.errors import InputError, argument, shown

if TYPE_CHECKING:
    import tokenizers

UNKNOWN = "[UNK]"


class MarkedAlphabet(Alphabet):
    """Letters, of which three mark where a sequence begins and ends and what follows it.

    Parameters
    ----------
    letters : sequence of str
        All of them, the marks included; the longest that fits is read first.
    name : str
    begin, end, pad : str
        The marks.
    length : int
        Letters of a row, marks included. A longer sequence makes a longer row, which the model gives no probability.

    Examples
    --------
    >>> marked = MarkedAlphabet(["<bos>", "<eos>", "<pad>", "C", "O"], "tokens", "<bos>", "<eos>", "<pad>", 6)
    >>> marked.split("CO"), marked.decode(*marked.encode(["CO"]))
    (['<bos>', 'C', 'O', '<eos>', '<pad>', '<pad>'], ['CO'])
    """

    begin: str
    end: str
    pad_letter: str
    length: int

    def __init__(self, letters: Sequence[str], name: str, begin: str, end: str, pad: str, length: int) -> None:
        super().__init__(letters, name)
        for what, mark in (("begin", begin), ("end", end), ("pad", pad)):
            if mark not in self._index or len(mark) < 2:
                wanted = "a letter of the alphabet, of several characters"
                raise InputError(argument(what), shown(mark), wanted, "give the mark's own name")
        self.__dict__.update(begin=begin, end=end, pad_letter=pad, length=int(length))
        self.__dict__["_single"] = False

    def to_dict(self) -> dict[str, Any]:
        marks = {"begin": self.begin, "end": self.end, "pad": self.pad_letter, "length": self.length}
        return super().to_dict() | marks

    @cached_property
    def marks(self) -> frozenset[str]:
        """The three marks."""
        return frozenset((self.begin, self.end, self.pad_letter))

    def pieces(self, sequence: str) -> list[str]:
        """Return the letters of a sequence without marks."""
        return [letter for letter in super().split(sequence) if letter not in self.marks]

    def split(self, sequence: str) -> list[str]:
        """Return the row of a sequence, with its marks."""
        row = [self.begin, *self.pieces(sequence), self.end]
        return row + [self.pad_letter] * (self.length - len(row))

    def choices(self, entry: str) -> list[str]:
        return [entry] if entry in self._index else self.pieces(entry)

    def locate(self, sequence: str, column: int) -> tuple[int, str]:
        letter = self.split(sequence)[column]
        return max(0, sequence.find(letter)), letter  # asked for the first unknown letter, which is the first such

    def join(self, letters: Sequence[str]) -> str:
        return "".join(letter for letter in letters if letter not in self.marks)


class MarkedPieces(MarkedAlphabet):
    """Words and pieces of words with marks, as BERT reads texts (WordPiece, Wu et al. 2016, arXiv 1609.08144).

    The library tokenizers cuts words; what it does not know is the letter ``[UNK]``.

    Parameters
    ----------
    letters, name, begin, end, pad, length
        See `MarkedAlphabet`. A letter that begins with ``##`` continues a word.
    lowercase : bool
        True if capitals are read as small letters, and accents left out.

    Examples
    --------
    >>> letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "so", "##ber", "the"]
    >>> pieces = MarkedPieces(letters, "word pieces", "[CLS]", "[SEP]", "[PAD]", 6)
    >>> pieces.split("The sober"), pieces.decode(*pieces.encode(["The sober"]))
    (['[CLS]', 'the', 'so', '##ber', '[SEP]', '[PAD]'], ['the sober'])
    """

    lowercase: bool

    def __init__(
        self, letters: Sequence[str], name: str, begin: str, end: str, pad: str, length: int, lowercase: bool = True
    ) -> None:
        super().__init__(letters, name, begin, end, pad, length)
        if UNKNOWN not in self._index:
            found = f"{len(self)} letters without {UNKNOWN}"
            raise InputError(
                argument("letters"), found, "those of a BERT tokenizer, which have it", "give its vocab.txt"
            )
        self.__dict__["lowercase"] = bool(lowercase)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"lowercase": self.lowercase}

    @cached_property
    def _tokenizer(self) -> tokenizers.Tokenizer:
        library = tokenizers_library()
        model = library.models.WordPiece(self._index, unk_token=UNKNOWN, max_input_chars_per_word=100)
        tokenizer = library.Tokenizer(model)
        tokenizer.normalizer = library.normalizers.BertNormalizer(lowercase=self.lowercase)
        tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
        return tokenizer

    def pieces(self, sequence: str) -> list[str]:
        return self._tokenizer.encode(sequence, add_special_tokens=False).tokens

    def join(self, letters: Sequence[str]) -> str:
        return joined_pieces(letter for letter in letters if letter not in self.marks)
