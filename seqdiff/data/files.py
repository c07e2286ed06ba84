"""Text of a file, plain or compressed, a pipe or a device, read in pieces up to a limit; and sequences to files."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm.auto import tqdm

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.data.images import is_image_path, write_images
from seqdiff.data.labels import is_missing
from seqdiff.errors import InputError, argument, of_kind, shorten, shown
from seqdiff.inputs import PathLike
from seqdiff.runtime import progress, replacing

MOST_BYTES = 2 * 1024**3
"""Of text: sequences, their letters and their tokens are held in memory, several times as much as the file."""
BIG = 100_000_000
"""A larger file is read with a progress bar."""
PIECE = 1 << 20
TEXT_PIECE = 1 << 24
"""Bytes of text that are read together from a file of any size."""
PACKED: dict[str, tuple[str, bytes | tuple[bytes, ...]]] = {
    ".gz": ("gzip", b"\x1f\x8b"),
    ".bz2": ("bzip2", b"BZh"),
    ".xz": ("xz", b"\xfd7zXZ"),
    ".zip": ("zip", (b"PK\x03\x04", b"PK\x05\x06")),
}
"""Name and first bytes of each way to compress, by the ending of a file's name."""
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or name the workbook .xlsx",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as .xlsx",
    b"%PDF": "a PDF; copy the sequences into a text file, one a line",
    b"BZh": "what is compressed with bzip2 again; unpack it",
    b"\xfd7zXZ": "what is compressed with xz again; unpack it",
    b"\x28\xb5\x2f\xfd": "what is compressed with zstd; unpack it, or compress it with gzip",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}
TEXT = "text: one sequence a line, FASTA, or CSV (also .gz)"
CSV = "give a name that ends in .csv"
CHMOD = "give another name, or chmod +w it"
AGAIN = "copy or download it again"
_CONTROL = np.array([i for i in range(32) if i not in (9, 10, 11, 12, 13, 26, 27)] + [127])


def read_text(path: str, name: str, packed: str = "", verbose: int = 0) -> tuple[str, str]:
    """Return the text of a file, which messages call `name`, and the ending of its name before it was compressed.

    How it is compressed (gzip, bzip2, xz, or zip with a single file) is seen from its first bytes. `packed` is the
    ending of `PACKED` that its name has; 1 as `verbose` shows a progress bar. A file that cannot be read, is empty,
    damaged, binary, of another format, or longer than `MOST_BYTES` is an InputError.
    """
    data, ending = bytearray(), ""
    for piece, inside in _pieces(path, name, packed, verbose, MOST_BYTES):
        data += piece
        ending = inside
    return _decode(name, data), ending


def text_pieces(path: str, name: str, packed: str = "", verbose: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the text of a file of any size in pieces of whole lines, each with the ending of `read_text`.

    Line ends are ``\\n``. Parameters and errors are those of `read_text`; a piece that is not UTF-8 is Latin-1.
    """
    left, ending = bytearray(), ""

    def text(data: bytes | bytearray) -> str:
        return _decode(name, data).replace("\r\n", "\n").replace("\r", "\n")

    for piece, ending in _pieces(path, name, packed, verbose, None):
        left += piece
        if len(left) >= TEXT_PIECE and (end := max(left.rfind(b"\n"), left.rfind(b"\r", 0, -1)) + 1):
            if left[end - 1 : end + 1] == b"\r\n":
                end += 1
            yield text(left[:end]), ending
            del left[:end]
    yield text(left), ending


def _pieces(path: str, name: str, packed: str, verbose: int, most: int | None) -> Iterator[tuple[bytes, str]]:
    """Yield the unpacked bytes of a file in pieces, each with the ending of its name before it was compressed."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size  # 0 of a pipe
            small = 0 < size <= BIG
            with progress(size or None, "B", verbose if not small else 0, unit_scale=True, delay=2) as bar:
                yield from _read(file, name, packed, bar, most)
    except FileNotFoundError:
        raise InputError(name, "no such file", "a file", "check the name and the folder you are in") from None
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise InputError(name, found, "one that can", "check its permissions") from None


class _Source:
    """A file of which the first bytes have been read, and which ends in an error at the limit."""

    def __init__(self, first: bytes, file: BinaryIO, name: str, bar: tqdm, most: int | None) -> None:
        self.first, self.file, self.name, self.bar, self.count, self.most = first, file, name, bar, 0, most

    def read(self, n: int) -> bytes:
        data, self.first = self.first[:n], self.first[n:]
        data = data or self.file.read(n)
        self.count += len(data)
        check_size(self.count, self.name, self.most)
        self.bar.update(len(data))
        return data


def check_size(size: int, name: str, most: int | None, what: str = "") -> None:
    """Raise an InputError for more bytes than are read; None: there is no limit."""
    if most is not None and size > most:
        wanted = "less, as sequences and their letters are held in memory, several times as much"
        cure = "give fewer sequences, or make a store of them with seqdiff prepare, which fit reads piece by piece"
        raise InputError(name, f"more than {most / 1e6:,.0f} MB{what}", wanted, cure)


def _read(file: BinaryIO, name: str, packed: str, bar: tqdm, most: int | None) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of a file, unpacked, in pieces, each with the ending of its name or of that in a zip archive."""
    first = file.read(PIECE)
    if not first:
        raise InputError(name, "an empty file (0 bytes)", "at least one sequence", "give another file")
    found = next((kind for kind, magic in PACKED.values() if first.startswith(magic)), "")
    if packed and PACKED[packed][0] != found:
        kind, cure = PACKED[packed][0], "drop the ending, or compress it again"
        raise InputError(name, f"a file that is not {kind}-compressed", f"{kind}, as the ending {packed} says", cure)
    if not found:
        _refuse_binary(name, first)  # at once: a device may have no end
    source = _Source(first, file, name, bar, most)
    count = 0
    try:
        stream, inside = _unpacked(source, found)
        ending = os.path.splitext(inside or name[: len(name) - len(packed)])[1].lower()
        while piece := stream.read(PIECE):
            if not count:
                _refuse_binary(name, piece)
            count += len(piece)
            check_size(count, name, most, " when it is unpacked" if found else "")
            yield piece, ending
    except EOFError:
        raise InputError(name, f"a truncated {found} file, which ends too early", "a whole one", AGAIN) from None
    except (OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        if getattr(error, "errno", None) is not None:  # of the file itself
            raise
        raise InputError(name, f"a damaged {found} file ({error})", "a whole one", AGAIN) from None
    if not count:
        yield b"", ending


def _unpacked(source: _Source, kind: str) -> tuple[Any, str]:
    """Return the stream of what is compressed so, and the name of the file in a zip archive."""
    file: Any = source
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file, mode="rb"), ""
    if kind != "zip":
        return {"bzip2": bz2.BZ2File, "xz": lzma.LZMAFile}[kind](file) if kind else file, ""
    # an archive's list of files stands at its end: all of it is read first
    archive = zipfile.ZipFile(io.BytesIO(b"".join(iter(lambda: source.read(PIECE), b""))))
    files = [entry for entry in archive.infolist() if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")]
    names = [entry.filename for entry in files]
    if "[Content_Types].xml" in names:
        raise InputError(source.name, "an Excel workbook", TEXT, "name it .xlsx")
    if len(files) != 1:
        listed = f" ({', '.join(shorten(n) for n in names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""
        found = f"a zip archive with {len(files)} files{listed}"
        raise InputError(source.name, found, "one with a single file", "unpack it and give one of them")
    if files[0].flag_bits & 1:
        raise InputError(source.name, "a zip archive with a password", "one without", "unpack it")
    return archive.open(files[0]), names[0]


def _refuse_binary(name: str, data: bytes | bytearray) -> None:
    for start, what in FOREIGN.items():
        if data.startswith(start):
            found, cure = what.split("; ")
            raise InputError(name, found, TEXT, cure)
    counts = np.bincount(np.frombuffer(data[: 1 << 20], dtype=np.uint8), minlength=256)
    if b"\0" in data or counts[_CONTROL].sum() > 0.005 * counts.sum():
        raise InputError(name, "a binary file", TEXT, "give such a file")


def _decode(name: str, data: bytes | bytearray) -> str:
    """Return text in UTF-8 (with or without a mark), else Latin-1; refuse binary data."""
    if b"\0" in data:
        _refuse_binary(name, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # an accent in a header; in a sequence it is refused as a letter


# Sequences to files: FASTA, one a line, or CSV, by the file's ending. A format that could not give an alphabet's
# sequences back is refused before any work. In CSV an apostrophe stands before a cell that a spreadsheet would run as a
# formula; the reader of tables takes it away again.


_FASTA = (".fasta", ".fa", ".fna", ".faa")
_FORMULA = ("=", "+", "-", "@", "\t")


def check_output(path: PathLike, alphabet: Alphabet | None = None) -> Path:
    """Return a path with ``~`` expanded; refuse, before any work, a file that could not be written or not be read back.

    Raises
    ------
    InputError
        If the ending is unknown, the folder missing or not writable, the path a folder or a file that must not be
        changed, or the format cannot hold the alphabet's letters.
    """
    out = argument("out")
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(out, of_kind(path), "a file's name", "give one such as 'samples.fasta'")
    path = Path(path).expanduser()
    name = shown(str(path), 200)
    if alphabet is not None and alphabet.shape is not None:
        if not is_image_path(path):
            raise InputError(out, f"{name} for images", "a name that ends in .npy", "give such a name")
    elif path.suffix.lower() not in (*_FASTA, ".txt", ".csv") and not (alphabet is None and is_image_path(path)):
        raise InputError(out, name, "a name that ends in .fasta, .txt or .csv", "give such a name")
    check_place(path, out)
    if alphabet is not None and alphabet.shape is None and (misfit := _misfit(path.suffix.lower(), alphabet)):
        found, wanted, cure = misfit
        raise InputError(out, f"{name} for {found}", wanted, cure)
    return path


def check_place(path: Path, where: str) -> None:
    """Raise an InputError for a path, of the parameter `where`, that no file can be written to."""
    name = shown(str(path), 200)
    if path.is_dir():
        raise InputError(where, f"{name}, which is a folder", "a file", "give a file's name in it")
    if not path.parent.is_dir():
        cure = f"make {shown(str(path.parent), 200)} first"
        raise InputError(where, f"{name} in a folder that does not exist", "a folder that does", cure)
    check_writable(path, f"{where}: {name}")


def check_writable(path: Path, where: str) -> None:
    """Raise an InputError, which calls the file `where`, for a file that must not be written or made."""
    if path.exists():
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            found = "a pipe or a device, whose place a file would take"
            raise InputError(where, found, "the name of a file", "give another name")
        if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
            raise InputError(where, "a file that must not be written", "one that may", CHMOD)
    folder = path.resolve().parent
    if folder.is_dir() and not os.access(folder, os.W_OK):
        found = f"no permission to write in {shorten(str(folder), 200)!r}"
        raise InputError(where, found, "a folder that may be written", "give another name")


def ending_for(alphabet: Alphabet) -> str:
    """Return the ending of the first format, ``.fasta``, ``.csv`` or ``.txt``, that gives an alphabet's sequences back.

    Images are ``.npy``.


    >>> from seqdiff.data import DNA, Alphabet
    >>> ending_for(DNA), ending_for(Alphabet(["a", " "]))
    ('.fasta', '.csv')
    """
    if alphabet.shape is not None:
        return ".npy"
    fitting = [ending for ending in (".fasta", ".csv", ".txt") if _misfit(ending, alphabet) is None]
    return fitting[0] if fitting else ".csv"


def _misfit(suffix: str, alphabet: Alphabet) -> tuple[str, str, str] | None:
    """Return letters that a format does not give back, what it does give back, and the cure; None if it fits."""
    letters, text = alphabet.letters, "letters that a text file gives back"
    every = sorted({c for letter in letters for c in letter} | ({" "} if alphabet.name == "words" else set()))
    control = [c for c in every if c != "\t" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\ufeff\u2028\u2029")]
    breaks = [c for c in control if c in "\n\r"]
    odd = [c for c in control if c not in breaks] + [c for c in every if 0xD800 <= ord(c) < 0xE000]
    blank = [letter for letter in letters if not letter.strip()]
    firsts = {letter[0] for letter in letters}
    cure = f"leave {argument('out')} out"
    if odd:
        return f"letters with the control character {odd[0]!r}", text, cure
    if suffix in _FASTA:
        bad = [c for c in every if c.isspace()] or [c for c in ">;" if c in firsts]
        return (f"letters with {bad[0]!r}", "letters that FASTA gives back", CSV) if bad else None
    if blank:
        return f"the letter {blank[0]!r}", "letters of which no blank line or cell can be made", cure
    if suffix == ".txt":
        bad = breaks or [c for c in ">@" if c in firsts]
        return (f"letters with {bad[0]!r}", text, CSV) if bad else None
    if "\r" in breaks:
        return "letters with '\\r'", "letters that CSV gives back", cure
    if "'" in firsts and firsts & set(_FORMULA):
        wanted = "letters that CSV cannot take for a formula"
        return 'the letters "\'" and one of = + - @', wanted, "give a name that ends in .txt"
    return None


def write_sequences(
    path: PathLike,
    sequences: Sequence[str] | np.ndarray,
    description: str,
    labels: Mapping[str, Sequence[object]] | None = None,
) -> None:
    """Write sequences to FASTA, text or CSV, by the path's ending, or images to .npy, whole or not at all.

    The description stands behind the ids ``s1``, ``s2``, ... of FASTA; labels by their name are columns in CSV,
    ``name=label`` behind the id in FASTA; a .npy file holds the array alone.

    >>> write_sequences("new.fasta", ["ACGT"], "SCUD model=runs/SCUD seed=1", {"y": ["strong"]})
    >>> print(open("new.fasta").read().strip())
    >s1 y=strong SCUD model=runs/SCUD seed=1
    ACGT
    """
    path = check_output(path)
    if isinstance(sequences, np.ndarray):
        return write_images(path, sequences)
    suffix, labels = path.suffix.lower(), labels or {}
    with replacing(path) as name, open(name, "w", encoding="utf-8", newline="") as file:
        rows = enumerate(zip(sequences, *labels.values(), strict=True), 1)
        if suffix == ".csv":
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "sequence", *map(as_cell, labels)])
            writer.writerows([f"s{i}", *map(as_cell, row)] for i, row in rows)
        elif suffix in _FASTA:
            for i, (sequence, *row) in rows:
                pairs = [f"{one_word(key)}={one_word(label)}" for key, label in zip(labels, row, strict=True)]
                file.write(f">s{i} {' '.join([*pairs, _printable(description)])}\n{sequence}\n")
        else:
            file.writelines(f"{sequence}\n" for sequence in sequences)


def as_cell(value: object) -> object:
    """Return a cell that is no formula: text that would be one behind an apostrophe; empty where there is no label."""
    if is_missing(value):
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def without_apostrophe(cell: str) -> str:
    """Return a cell without the apostrophe of `as_cell`.

    >>> without_apostrophe("'=A+"), without_apostrophe("'A"), without_apostrophe("=A")
    ('=A+', "'A", '=A')
    """
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA and len(cell) > 1 else cell


def _printable(text: str) -> str:
    """Return the text on one line, without what a terminal would act on."""
    return "".join(c if c.isprintable() else " " for c in text)


def one_word(label: object) -> str:
    """Return a label or a value as one word of a FASTA header."""
    if is_missing(label):
        return ""
    return "_".join(_printable(f"{label:g}" if isinstance(label, float) else str(label)).split())
