"""The text of a file, be it plain or gzipped, a pipe or a device: read in pieces, up to a limit.

Nothing is decided here about what the text means (see reading.py).
"""

from __future__ import annotations

import gzip
import os
import zlib
from typing import BinaryIO

import numpy as np
from tqdm.auto import tqdm

MOST_BYTES = 2 * 1024**3
"""Of text: sequences, their letters and their tokens are held in memory, several times as much as the file."""
BIG = 100_000_000
"""A larger file is read with a progress bar."""
PIECE = 1 << 20
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or export the sheet as CSV",
    b"%PDF": "a PDF; copy the sequences into a text file, one a line",
    b"BZh": "compressed with bzip2; unpack it, or compress it with gzip",
    b"\xfd7zXZ": "compressed with xz; unpack it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it, or compress it with gzip",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"LOCUS ": "a GenBank file; convert it to FASTA",
    b"ID   ": "an EMBL file; convert it to FASTA",
}
_CONTROL = np.array([i for i in range(32) if i not in (9, 10, 11, 12, 13, 26, 27)] + [127])


def read_text(path: str, name: str, gzipped: bool = False, verbose: int = 0) -> str:
    """Return the text of a file; gzip is known by its first bytes, whatever the file's name.

    Parameters
    ----------
    path : str
    name : str
        How messages call it.
    gzipped : bool
        Whether its name says that it is.
    verbose : int
        0 shows no progress bar.

    Raises
    ------
    ValueError
        If it cannot be read, is empty, damaged, binary, of another format, or longer than `MOST_BYTES`.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size  # 0 of a pipe
            small = 0 < size <= BIG
            with tqdm(total=size or None, unit="B", unit_scale=True, disable=verbose < 1 or small, delay=2) as bar:
                return _decode(name, _read(file, name, gzipped, bar))
    except FileNotFoundError:
        raise ValueError(f"{name}: there is no such file; check the name and the folder you are in") from None
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}; check its permissions") from None


class _Source:
    """A file of which the first bytes have been looked at, and which ends in an error at the limit."""

    def __init__(self, first: bytes, file: BinaryIO, name: str, bar: tqdm) -> None:
        self.first, self.file, self.name, self.bar, self.count = first, file, name, bar, 0

    def read(self, n: int) -> bytes:
        data, self.first = self.first[:n], self.first[n:]
        data = data or self.file.read(n)
        self.count += len(data)
        check_size(self.count, self.name)
        self.bar.update(len(data))
        return data


def check_size(size: int, name: str, what: str = "") -> None:
    """Raise a ValueError for more bytes than are read."""
    if size > MOST_BYTES:
        raise ValueError(
            f"{name}: got more than {MOST_BYTES / 1e6:,.0f} MB{what}, expected less, as sequences and their letters are"
            " held in memory, several times as much; give fewer sequences"
        )


def _read(file: BinaryIO, name: str, gzipped: bool, bar: tqdm) -> bytes:
    first = file.read(PIECE)
    if not first:
        raise ValueError(f"{name} is empty (0 bytes); a file with at least one sequence is wanted")
    zipped = first.startswith(b"\x1f\x8b")
    if gzipped and not zipped:
        raise ValueError(f"{name} is named .gz but is not gzip-compressed; drop the ending, or compress it again")
    if not zipped:
        _refuse_binary(name, first)  # at once: a device may have no end
    source = _Source(first, file, name, bar)
    stream = gzip.GzipFile(fileobj=source, mode="rb") if zipped else source  # type: ignore[call-overload]
    data = bytearray()
    try:
        while piece := stream.read(PIECE):
            if not data:
                _refuse_binary(name, piece)
            data += piece
            check_size(len(data), name, " when it is unpacked" if zipped else "")
    except EOFError:
        raise ValueError(f"{name}: the gzip file ends too early, it is truncated; copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{name}: the gzip file is damaged ({error}); copy or download it again") from None
    return bytes(data)


def _refuse_binary(name: str, data: bytes) -> None:
    for start, what in FOREIGN.items():
        if data.startswith(start):
            raise ValueError(f"{name} is {what}")
    counts = np.bincount(np.frombuffer(data[: 1 << 20], dtype=np.uint8), minlength=256)
    if b"\0" in data or counts[_CONTROL].sum() > 0.005 * counts.sum():
        raise ValueError(f"{name} is a binary file; wanted is text: one sequence a line, FASTA, or CSV (also .gz)")


def _decode(name: str, data: bytes) -> str:
    """UTF-8 (with or without a mark), else Latin-1; binary data is refused."""
    if b"\0" in data:
        _refuse_binary(name, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # an accent in a header; in a sequence it is refused as a letter
