"""Arrays of images, as users give them and as files hold them: checked, and to strings of levels and back.

Images are whole numbers from 0 in an array (n, H, W) or (n, H, W, C), or a list of arrays of one shape; numbers that
are stored as floats count as whole if they are. Files are NumPy's .npy, which are read without pickles.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.alphabets.levels import MOST_LEVELS, Levels
from seqdiff.errors import InputError, argument, shown
from seqdiff.inputs import PathLike
from seqdiff.runtime import replacing

CHANNELS = 4  # at most, by which the axis of the channels is recognised
SHAPES = "shape (n, H, W) or (n, H, W, C)"
WHOLE = f"whole numbers from 0 to {MOST_LEVELS - 1}, the levels of its pixels"


@dataclass(frozen=True)
class Grid:
    """Shape of images, the type of their array, and their largest level."""

    shape: tuple[int, ...]
    pixels: str
    largest: int

    def alphabet(self, given: object, source: str) -> Levels:
        """Return the alphabet of such images, where a user gave "auto" or `Levels`, of any shape or of this one."""
        if isinstance(given, str) and given.lower() == "auto":
            return Levels(max(2, self.largest + 1), self.shape, self.pixels)
        if not isinstance(given, Levels):
            wanted = "'auto' or Levels(K), as pixels have levels"
            name = given.name if isinstance(given, Alphabet) else given
            raise InputError(argument("alphabet"), f"{shown(name, 40)} for images", wanted, "give one of these")
        if given.shape is None:
            return Levels(len(given), self.shape, self.pixels)
        if given.shape != self.shape:
            wanted = f"{given.shape}, as this model has them"
            raise InputError(source, f"images of shape {self.shape}", wanted, "give images of this shape")
        return given


def as_images(X: object) -> np.ndarray | None:
    """Return an array of images, or a list of them, as one array; None for what is neither."""
    if isinstance(X, (list, tuple)) and X and getattr(X[0], "ndim", 0) in (2, 3) and hasattr(X[0], "dtype"):
        shapes = sorted({np.shape(image) for image in X})
        if len(shapes) > 1:
            found = f"images of shapes {shapes[0]} and {shapes[1]}"
            raise InputError("X", found, "images of one shape", "cut or resize them")
        X = np.stack([np.asarray(image) for image in X])
    if getattr(X, "ndim", 0) not in (3, 4) or not hasattr(X, "dtype"):
        return None
    array = np.asarray(X)
    return array if array.dtype.kind in "biuf" else None


def check_images(images: np.ndarray, source: str) -> Grid:
    """Return the grid of images, or raise an `InputError` for what is none: other shapes, numbers that are no levels.

    >>> check_images(np.array([[[0, 1], [3, 0]]], dtype=np.uint8), "X")
    Grid(shape=(2, 2), pixels='uint8', largest=3)
    """
    if images.ndim not in (3, 4) or images.dtype.kind not in "biuf" or not images.size:
        found = f"shape {images.shape} of {images.dtype}"
        raise InputError(source, found, f"images, numbers of {SHAPES}", "give such an array")
    if images.ndim == 4 and images.shape[3] > CHANNELS and images.shape[1] <= CHANNELS:
        found = f"shape {images.shape}, in which channels seem to stand before rows"
        raise InputError(source, found, SHAPES, "give X.transpose(0, 2, 3, 1)")
    with np.errstate(invalid="ignore"):
        odd = (
            (images < 0) | (images >= MOST_LEVELS) | (images != np.floor(images)) if images.dtype.kind != "b" else None
        )
    if odd is not None and odd.any():
        place = np.argwhere(odd)[0].tolist()
        where = f"{source}[{', '.join(map(str, place))}]"
        cure = "round them to levels, such as (X * 255).astype('uint8') for numbers from 0 to 1"
        raise InputError(where, shown(images[tuple(place)].item()), WHOLE, cure)
    return Grid(images.shape[1:], str(images.dtype), int(images.max()))


def read_images(path: str, name: str) -> np.ndarray:
    """Return the array of a .npy file, which messages call `name`."""
    try:
        images = np.load(path)  # without pickles, as is its default
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror or error})"
        raise InputError(name, found, "one that can", "check it") from None
    except Exception as error:  # of a damaged header whatever the parser meets, MemoryError included
        found = f"what cannot be read as .npy ({' '.join(str(error).split())[:100]})"
        raise InputError(name, found, "an array of numbers of numpy.save", "write it again") from None
    if not isinstance(images, np.ndarray):
        raise InputError(name, "an archive of arrays", "one array of numpy.save", "save the images alone")
    return images


def write_images(path: PathLike, images: np.ndarray) -> None:
    """Write images to a .npy file, whole or not at all."""
    with replacing(Path(path)) as temporary, open(temporary, "wb") as file:
        np.save(file, images, allow_pickle=False)


def refuse_images(alphabet: object, what: str) -> None:
    """Raise an `InputError` where an alphabet is that of images, for `what` is made for strings."""
    if isinstance(alphabet, Levels):
        cure = "read the arrays of generate and the scores of score_samples yourself"
        raise InputError("X", "images", f"sequences of letters, for {what}", cure)


def is_image_path(path: PathLike) -> bool:
    """Return whether a path is that of an array."""
    return os.fspath(path).lower().endswith(".npy")  # type: ignore[arg-type]
