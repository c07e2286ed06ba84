"""The text of a file, be it plain or gzipped, a pipe or a device: read in pieces, up to a limit.

Nothing is decided here about what the text means (see reading.py).
"""

from __future__ import annotations

import csv
import gzip
import os
import stat
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm.auto import tqdm

from seqdiff.errors import InputError, argument, of_kind, shorten
from seqdiff.runtime import replacing

MOST_BYTES = 2 * 1024**3
"""Of text: sequences, their letters and their tokens are held in memory, several times as much as the file."""
BIG = 100_000_000
"""A larger file is read with a progress bar."""
PIECE = 1 << 20
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or export the sheet as CSV",
    b"%PDF": "a PDF; copy the sequences into a text file, one a line",
    b"BZh": "what is compressed with bzip2; unpack it, or compress it with gzip",
    b"\xfd7zXZ": "what is compressed with xz; unpack it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "what is compressed with zstd; unpack it, or compress it with gzip",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"LOCUS ": "a GenBank file; convert it to FASTA",
    b"ID   ": "an EMBL file; convert it to FASTA",
}
TEXT = "text: one sequence a line, FASTA, or CSV (also .gz)"
CSV = "give a name that ends in .csv"
CHMOD = "give another name, or chmod +w it"
AGAIN = "copy or download it again"
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
    InputError
        If it cannot be read, is empty, damaged, binary, of another format, or longer than `MOST_BYTES`.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size  # 0 of a pipe
            small = 0 < size <= BIG
            with tqdm(total=size or None, unit="B", unit_scale=True, disable=verbose < 1 or small, delay=2) as bar:
                return _decode(name, _read(file, name, gzipped, bar))
    except FileNotFoundError:
        raise InputError(name, "no such file", "a file", "check the name and the folder you are in") from None
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise InputError(name, found, "one that can", "check its permissions") from None


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
    """Raise an InputError for more bytes than are read."""
    if size > MOST_BYTES:
        wanted = "less, as sequences and their letters are held in memory, several times as much"
        raise InputError(name, f"more than {MOST_BYTES / 1e6:,.0f} MB{what}", wanted, "give fewer sequences")


def _read(file: BinaryIO, name: str, gzipped: bool, bar: tqdm) -> bytes:
    first = file.read(PIECE)
    if not first:
        raise InputError(name, "an empty file (0 bytes)", "at least one sequence", "give another file")
    zipped = first.startswith(b"\x1f\x8b")
    if gzipped and not zipped:
        found, cure = "a file that is not gzip-compressed", "drop the ending, or compress it again"
        raise InputError(name, found, "gzip, as the ending .gz says", cure)
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
        raise InputError(name, "a truncated gzip file, which ends too early", "a whole one", AGAIN) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(name, f"a damaged gzip file ({error})", "a whole one", AGAIN) from None
    return bytes(data)


def _refuse_binary(name: str, data: bytes) -> None:
    for start, what in FOREIGN.items():
        if data.startswith(start):
            found, cure = what.split("; ")
            raise InputError(name, found, TEXT, cure)
    counts = np.bincount(np.frombuffer(data[: 1 << 20], dtype=np.uint8), minlength=256)
    if b"\0" in data or counts[_CONTROL].sum() > 0.005 * counts.sum():
        raise InputError(name, "a binary file", TEXT, "give such a file")


def _decode(name: str, data: bytes) -> str:
    """UTF-8 (with or without a mark), else Latin-1; binary data is refused."""
    if b"\0" in data:
        _refuse_binary(name, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # an accent in a header; in a sequence it is refused as a letter


# Sequences to files: FASTA, one a line, or CSV, told by the file's ending; what is written is what is read.
#
# A format that could not give an alphabet's sequences back is refused before any work. A cell that a spreadsheet would
# run as a formula stands behind an apostrophe in CSV, which the reader of tables takes away again.


_FASTA = (".fasta", ".fa", ".fna", ".faa")
_ENDINGS = (*_FASTA, ".txt", ".csv")
_FORMULA = ("=", "+", "-", "@", "\t")
_PLAIN_CONTROL = "\t"  # of the control characters, what text files hold


def check_output(path: str | os.PathLike[str], alphabet: Any = None) -> Path:
    """Refuse, before any work, a file that could not be written, or not be read back.

    Parameters
    ----------
    path : path
    alphabet : Alphabet, optional
        Of the sequences to come.

    Returns
    -------
    Path
        ``~`` expanded.

    Raises
    ------
    InputError
        If the ending is unknown, the folder missing or not writable, the path a folder or a file that must not be
        changed, or the format cannot hold the alphabet's letters.
    """
    if not isinstance(path, (str, os.PathLike)):
        cure = "give one such as 'samples.fasta'"
        raise InputError(argument("out"), of_kind(path), "a file's name", cure)
    path = Path(path).expanduser()
    shown = repr(shorten(str(path), 200))
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(argument("out"), shown, "a name that ends in .fasta, .txt or .csv", "give such a name")
    if path.is_dir():
        raise InputError(argument("out"), f"{shown}, which is a folder", "a file", "give a file's name in it")
    if not path.parent.is_dir():
        folder = repr(shorten(str(path.parent), 200))
        found = f"{shown} in a folder that does not exist"
        raise InputError(argument("out"), found, "a folder that does", f"make {folder} first")
    check_writable(path, f"{argument('out')}: {shown}")
    if alphabet is not None and (trouble := unreadable(path, alphabet)) is not None:
        found, wanted, cure = trouble
        raise InputError(argument("out"), f"{shown} for {found}", wanted, cure)
    return path


def check_writable(path: Path, where: str) -> None:
    """Raise an InputError for a file, or a new one in a folder, that must not be written; `where` names it."""
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


def unreadable(path: Path, alphabet: Any) -> tuple[str, str, str] | None:
    """Return why a file of this ending cannot hold sequences of an alphabet, what it can, the cure; None if it can."""
    suffix = path.suffix.lower()
    letters = [str(letter) for letter in alphabet.letters]
    joined = [" "] if alphabet.name == "words" else []  # what stands between letters
    every = {c for text in (*letters, *joined) for c in text}
    control = sorted(c for c in every if (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\ufeff\u2028\u2029")
                     and c not in _PLAIN_CONTROL)  # fmt: skip
    breaks = [c for c in control if c in "\n\r"]
    others = [c for c in control if c not in "\n\r"]
    blank = [letter for letter in letters if not letter.strip()]
    firsts = {letter[0] for letter in letters if letter}
    if others or any(0xD800 <= ord(c) < 0xE000 for c in every):
        first = others[0] if others else next(c for c in every if 0xD800 <= ord(c) < 0xE000)
        return (
            f"letters with the control character {first!r}",
            "letters that a text file gives back",
            f"leave {argument('out')} out",
        )
    if suffix in _FASTA:
        odd = next((c for c in sorted(every) if c.isspace()), next((c for c in ">;" if c in firsts), None))
        return (f"letters with {odd!r}", "letters that FASTA gives back", CSV) if odd else None
    if blank:
        return (
            f"the letter {blank[0]!r}",
            "letters of which no blank line or cell can be made",
            f"leave {argument('out')} out",
        )
    if suffix == ".txt":
        odd = breaks[0] if breaks else next((c for c in ">@" if c in firsts), None)
        return (f"letters with {odd!r}", "letters that a text file gives back", CSV) if odd else None
    if breaks and "\r" in breaks:
        return "letters with '\\r'", "letters that CSV gives back", f"leave {argument('out')} out"
    if "'" in firsts and firsts & set(_FORMULA):
        wanted = "letters that CSV cannot take for a formula"
        return 'the letters "\'" and one of = + - @', wanted, "give a name that ends in .txt"
    return None


def write_sequences(
    path: str | os.PathLike[str],
    sequences: Sequence[str],
    description: str,
    labels: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Write sequences, whole or not at all.

    Parameters
    ----------
    path : path
        Its ending decides: FASTA (ids ``s1``, ``s2``, ..., the description behind each), text or CSV.
    sequences : sequence of str
    description : str
        Where the sequences come from.
    labels : dict, optional
        Labels of the sequences by their name: columns in CSV, ``name=label`` behind the id in FASTA.

    Examples
    --------
    >>> write_sequences("new.fasta", ["ACGT"], "SCUD model=runs/SCUD seed=1", {"y": ["strong"]})
    >>> print(open("new.fasta").read().strip())
    >s1 y=strong SCUD model=runs/SCUD seed=1
    ACGT
    """
    path = check_output(path)
    suffix, labels = path.suffix.lower(), labels or {}
    with replacing(path) as name, open(name, "w", encoding="utf-8", newline="") as file:
        if suffix == ".csv":
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "sequence", *map(_cell, labels)])
            for i, (sequence, *row) in enumerate(zip(sequences, *labels.values(), strict=True), 1):
                writer.writerow([f"s{i}", _cell(sequence), *map(_cell, row)])
        elif suffix in _FASTA:
            for i, (sequence, *row) in enumerate(zip(sequences, *labels.values(), strict=True), 1):
                said = [f"{_one_word(key)}={_one_word(label)}" for key, label in zip(labels, row, strict=True)]
                file.write(f">s{i} {' '.join([*said, _printable(description)])}\n{sequence}\n")
        else:
            file.writelines(f"{sequence}\n" for sequence in sequences)


def _cell(value: Any) -> Any:
    """Return a cell that is no formula: text that would be one behind an apostrophe; empty where there is no label."""
    if value is None or value != value:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def without_apostrophe(cell: str) -> str:
    """Return a cell as it was before `_cell` saw a formula in it.

    >>> without_apostrophe("'=A+"), without_apostrophe("'A"), without_apostrophe("=A")
    ('=A+', "'A", '=A')
    """
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA and len(cell) > 1 else cell


def _printable(text: str) -> str:
    """Return the text on one line, without what a terminal would act on."""
    return "".join(c if c.isprintable() else " " for c in text)


def _one_word(label: Any) -> str:
    if label is None or label != label:
        return ""
    return "_".join(_printable(f"{label:g}" if isinstance(label, float) else str(label)).split())
