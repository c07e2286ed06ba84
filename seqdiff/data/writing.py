"""Sequences to files: FASTA, one a line, or CSV, told by the file's ending."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from seqdiff.runtime import replacing

_FASTA = (".fasta", ".fa", ".fna", ".faa")
_ENDINGS = (*_FASTA, ".txt", ".csv")


def check_output(path: str | os.PathLike[str]) -> None:
    """Refuse, before any work, a file that could not be written.

    Raises
    ------
    ValueError
        If the ending is unknown, the folder missing or not writable, or the path a folder.
    """
    path = Path(path)
    if path.suffix.lower() not in _ENDINGS:
        raise ValueError(f"out={str(path)!r} should end in .fasta, .txt or .csv")
    if path.is_dir():
        raise ValueError(f"out={str(path)!r} is a folder; give a file's name in it")
    if not path.parent.is_dir():
        raise ValueError(f"out={str(path)!r} cannot be written: there is no folder {str(path.parent)!r}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"out={str(path)!r} cannot be written: no permission to write in {str(path.parent)!r}")


def write_sequences(path: str | os.PathLike[str], sequences: Sequence[str], description: str) -> None:
    """Write sequences, whole or not at all.

    Parameters
    ----------
    path : path
        Its ending decides: FASTA (ids ``s1``, ``s2``, ..., the description behind each), text or CSV.
    sequences : sequence of str
    description : str
        Where the sequences come from.

    Examples
    --------
    >>> write_sequences("new.fasta", ["ACGT"], "SCUD model=runs/SCUD seed=1")
    >>> print(open("new.fasta").read().strip())
    >s1 SCUD model=runs/SCUD seed=1
    ACGT
    """
    check_output(path)
    suffix = Path(path).suffix.lower()
    if suffix in _FASTA:
        lines = [f">s{i} {description}\n{s}" for i, s in enumerate(sequences, 1)]
    elif suffix == ".csv":
        lines = ["id,sequence", *(f"s{i},{_quoted(s)}" for i, s in enumerate(sequences, 1))]
    else:
        lines = list(sequences)
    with replacing(path) as name:
        name.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text
