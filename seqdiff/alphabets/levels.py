"""Levels of images: letters that have an order, on a grid.

An image (H, W) or (H, W, C) of whole numbers 0, ..., K - 1 is a sequence of H W C letters, row by row and channels
last; letter i is level i. Between the rooms of the package an image is a string like every other sequence, with one
character for each number: level i is the character number `FIRST` + i of Unicode. Users give arrays and get arrays.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.errors import InputError, argument, shown

FIRST = 0x4E00  # from here on 20,000 characters that are printable, no white space, and have no case
MOST_LEVELS = 1024


def image_texts(images: np.ndarray) -> list[str]:
    """Return each image (n, ...) of levels as a string of its numbers in their order."""
    points = images.reshape(len(images), -1).astype(np.uint32) + FIRST
    return points.view(f"<U{points.shape[1]}" if points.dtype.isnative else f">U{points.shape[1]}").ravel().tolist()


class Levels(Alphabet):
    """The levels 0, ..., K - 1 of images, an alphabet that has an order.

    Parameters
    ----------
    count : int
        K, from 2 to 1024.
    shape : sequence of int, optional
        (H, W) or (H, W, C) of the images. None until data are read.
    pixels : str
        The type of the arrays that `decode` returns.

    Examples
    --------
    >>> levels = Levels(3, (2, 2))
    >>> tokens, lengths = levels.encode(np.array([[[0, 1], [2, 2]]]))
    >>> tokens.tolist(), lengths.tolist()
    ([[0, 1, 2, 2]], [4])
    >>> levels.decode(tokens).tolist()
    [[[0, 1], [2, 2]]]
    """

    ordered: ClassVar[bool] = True
    pixels: str

    def __init__(self, count: int, shape: Sequence[int] | None = None, pixels: str = "uint8"):
        whole = isinstance(count, numbers.Integral) and not isinstance(count, bool)
        if not whole or not 2 <= count <= MOST_LEVELS:
            wanted = f"a whole number from 2 to {MOST_LEVELS}, the levels of an image"
            raise InputError("count", shown(count), wanted, "give such a number")
        super().__init__([str(i) for i in range(int(count))], "levels")
        self.__dict__["shape"] = None if shape is None else tuple(int(size) for size in shape)
        self.__dict__["pixels"] = str(np.dtype(pixels))

    def __repr__(self) -> str:
        return f"Levels({len(self)}, shape={self.shape}, pixels={self.pixels!r})"

    def to_dict(self) -> dict[str, Any]:
        shape = None if self.shape is None else list(self.shape)
        return {"kind": "Levels", "count": len(self), "shape": shape, "pixels": self.pixels}

    @property
    def described(self) -> str:
        size = "" if self.shape is None else f" of {' x '.join(map(str, self.shape))}"
        return f"images{size} with {len(self)} levels"

    def normalize(self, sequences: Sequence[str]) -> list[str]:
        return list(sequences)

    def scan(self, sequences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        points = np.frombuffer("".join(sequences).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        tokens = points - np.uint32(FIRST)  # of other characters a number beyond all levels
        return np.minimum(tokens, len(self)).astype(np.min_scalar_type(len(self))), lengths

    def encode(self, sequences: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens (n, H W C) of `dtype` and lengths (n,) of an array of images, or of their strings."""
        texts = image_texts(sequences) if isinstance(sequences, np.ndarray) else sequences
        return super().encode(texts)

    def decode(self, tokens: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:  # type: ignore[override]
        """Return the images (n, H, W) or (n, H, W, C) of tokens (n, H W C)."""
        tokens = np.asarray(tokens)
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < len(self):
            found, wanted = f"{tokens.min()}..{tokens.max()}", f"tokens from 0 to {len(self) - 1}"
            raise InputError(argument("tokens"), found, wanted, "give what this alphabet encoded")
        return tokens.reshape(len(tokens), *(self.shape or tokens.shape[1:])).astype(self.pixels)

    def collect(self, sequences: Sequence[Any]) -> np.ndarray:
        return np.stack(list(sequences))

    def split(self, sequence: str) -> list[str]:
        levels = (ord(character) - FIRST for character in sequence)
        known = range(MOST_LEVELS)
        return [str(i) if i in known else character for i, character in zip(levels, sequence, strict=True)]

    def join(self, letters: Sequence[str]) -> str:
        return "".join(chr(FIRST + int(letter)) for letter in letters)

    def locate(self, sequence: str, column: int) -> tuple[int, str]:
        return column, self.split(sequence)[column]

    def wrong(self, letter: str, position: int) -> tuple[str, str]:
        if not letter.isdigit():
            return f"text with {shown(letter)}", "images, as this model has levels for letters"
        place = f"position {position + 1}"
        if self.shape is not None and position < np.prod(self.shape):
            row, column, *_ = (int(i) for i in np.unravel_index(position, self.shape))
            place = f"row {row}, column {column}"
        return f"level {letter} at {place}", f"levels from 0 to {len(self) - 1}"

    def choices(self, entry: str) -> list[str]:
        return entry.split()

    def allowed(self, symbol: object) -> tuple[int, ...]:  # type: ignore[override]
        return super().allowed(str(symbol))

    def template(self, given: Any) -> Any:
        """Return the template of an image of levels (H, W) or (H, W, C), -1 where any level may be, as a list."""
        if not isinstance(given, np.ndarray):
            return given
        if given.shape != self.shape or given.dtype.kind not in "iuf" or not np.isin(given, range(-1, len(self))).all():
            found = f"shape {given.shape} of {given.dtype}"
            wanted = f"shape {self.shape} of levels from 0 to {len(self) - 1}, and -1 where any may be"
            raise InputError(argument("template"), found, wanted, "give such an array")
        return [None if level < 0 else str(int(level)) for level in given.ravel()]

    def positions(self, given: Any) -> Any:
        """Return booleans of images, (H, W), (n, H, W) or with channels, as (H W C,) or (n, H W C)."""
        if self.shape is None or isinstance(given, str):
            return given
        array = np.asarray(given)
        if array.dtype.kind != "b" or array.ndim < 2:
            return given
        if len(self.shape) == 3 and array.shape[-3:] != self.shape and array.shape[-2:] == self.shape[:2]:
            array = np.repeat(array[..., None], self.shape[2], -1)
        if array.shape[-len(self.shape) :] != self.shape:
            return given
        return array.reshape(*array.shape[: -len(self.shape)], -1)


def named_levels(name: str) -> Levels | None:
    """Return the alphabet of a name such as "levels 64", None for any other.

    >>> named_levels("levels 64")
    Levels(64, shape=None, pixels='uint8')
    """
    sized = re.fullmatch(r"levels ([0-9]{1,9})", name)
    return Levels(int(sized[1])) if sized else None
