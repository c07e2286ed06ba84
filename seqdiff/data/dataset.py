"""`prepare`: from whatever a user has to checked, encoded sequences. The one entry point of the data room."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.alphabets.alphabets import is_learned, resolve_alphabet
from seqdiff.alphabets.letters import GAPS, base_of, unknown
from seqdiff.data.labels import only_column
from seqdiff.data.reading import Records, read_records
from seqdiff.data.target import Target, Targets, describe, kind_to_read
from seqdiff.errors import InputError, argument, shown

PSEUDOCOUNT = 1.0


@dataclass(frozen=True, eq=False)
class Dataset:
    """Checked and encoded sequences.

    Attributes
    ----------
    sequences : list of str
        As the alphabet writes them (upper case for dna, rna, protein; no white space around).
    tokens : ndarray of shape (N, L_max)
        Zeros after a sequence's end.
    lengths : ndarray of int64, shape (N,)
        In letters.
    alphabet : Alphabet
    y : ndarray or None
        Labels, one row per sequence (see `Target` for what they mean); several named columns are the fields of a
        structured array.
    kept : ndarray of int64, shape (N,)
        Which rows of the input these are.
    notes : tuple of str
        A sentence each about what a user should know (guessed alphabet, dropped or duplicate sequences).
    source : str
        The file's path, or ``"X"``.
    n_read : int
        Sequences read, before any were left out.
    """

    sequences: list[str]
    tokens: np.ndarray
    lengths: np.ndarray
    alphabet: Alphabet
    y: np.ndarray | None
    kept: np.ndarray
    notes: tuple[str, ...]
    source: str
    n_read: int

    def __len__(self) -> int:
        return len(self.sequences)

    def take(self, rows: Any) -> Dataset:
        """The given rows (array of int, or of bool of shape (N,)), as wide as before."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        return replace(
            self,
            sequences=[self.sequences[i] for i in rows],
            tokens=self.tokens[rows],
            lengths=self.lengths[rows],
            y=None if self.y is None else self.y[rows],
            kept=self.kept[rows],
        )

    def digest(self) -> str:
        """SHA-256 (64 hexadecimal digits) of letters, tokens, lengths and y; equal data have equal digests anywhere."""
        sha = hashlib.sha256()
        real = np.arange(self.tokens.shape[1]) < self.lengths[:, None]
        labels = None if self.y is None else _digest_labels(self.y, sha)
        sha.update(json.dumps([self.alphabet.to_dict(), len(self), labels]).encode())
        sha.update(self.lengths.astype("<i8").tobytes())
        sha.update(self.tokens[real].astype("<u4").tobytes())
        return sha.hexdigest()


def _digest_labels(y: np.ndarray, sha: Any) -> Any:
    """Feed numbers to the hash; return what else there is to say, for JSON."""
    y = only_column(y)
    if y.dtype.names:
        return [[name, _digest_labels(y[name], sha)] for name in y.dtype.names]
    if y.dtype.kind == "O":
        return y.tolist()
    sha.update(np.ascontiguousarray(y).astype({"f": "<f8"}.get(y.dtype.kind, "<i8")).tobytes())
    return [y.dtype.kind, list(y.shape)]


def prepare(
    X: Any,
    y: Any = None,
    *,
    alphabet: Any = "auto",
    length: int | None = None,
    ambiguous: str = "error",
    sequence_column: Any = None,
    chosen: Callable[[int], np.ndarray | None] | None = None,
    target: Any = "auto",
    verbose: int = 0,
) -> Dataset:
    """Read, clean, check and encode sequences.

    Lower case (dna, rna, protein), Windows line ends, blank lines, white space around a sequence and a missing last
    newline are accepted silently; duplicates and a guessed alphabet are told in `Dataset.notes`; everything else is
    refused before any work. Rows keep their order.

    Parameters
    ----------
    X : path, list, array, Series, DataFrame or Biopython records
        See `read_records`.
    y : array-like, str or list of str, optional
        Labels (entries may be missing; a dict or DataFrame for several columns), or names of the table's columns.
    alphabet : str or Alphabet
        ``"auto"``, ``"dna"``, ``"rna"``, ``"protein"``, ``"codons"``, ``"smiles"``, ``"words"``, ``"bpe"``, an
        `Alphabet`, or a string of the letters themselves; see `resolve_alphabet`.
    length : int, optional
        Demand exactly so many letters of every sequence; any lengths if None.
    ambiguous : "error" or "drop"
        What to do with sequences that hold IUPAC ambiguity codes of their alphabet (N, R, ...; B, J, O, U, X, Z in
        proteins). Gaps and other junk are always refused.
    sequence_column : str, optional
        Which column of a table holds the sequences.
    chosen : callable, optional
        ``chosen(n)`` returns which of the n sequences read to keep, booleans (n,), or None for all; the others are left
        out before anything is learned of them, as if they had not been there.
    target : str, dict, Target or Targets
        What labels are, as an estimator's parameter says it; or what a model has learned that they are: they are read
        as such then, and nothing is told of them.
    verbose : int
        1 shows a progress bar where a file is large.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        One sentence that names the place, what was found there, what was wanted, and the cure.

    Examples
    --------
    >>> data = prepare(["acgt", "TTGN", "ACGT"], y=[0.1, 0.2, 0.3], ambiguous="drop")
    >>> data.sequences, data.kept.tolist(), data.y.tolist()
    (['ACGT', 'ACGT'], [0, 2], [0.1, 0.3])
    >>> prepare(["ACGT", "ACNT"])
    Traceback (most recent call last):
        ...
    seqdiff.errors.InputError: X[1]: got 'N' at position 3, expected A, C, G or T, as the dna alphabet has; correct the sequence or pass ambiguous='drop' to leave such sequences out
    """  # noqa: E501
    if ambiguous not in ("error", "drop"):
        raise InputError(argument("ambiguous"), shown(ambiguous), "'error' or 'drop'", "give one of these")
    if length is not None:
        length = _whole(length)
    learned = is_learned(alphabet)
    guessed = learned and alphabet.lower() == "auto"
    if not learned:
        alphabet = resolve_alphabet(alphabet)  # a wrong name is told before a large file is read
    records = read_records(X, y, sequence_column=sequence_column, kind=kind_to_read(target), verbose=verbose)
    read = len(records.sequences)
    rows = None if chosen is None else chosen(read)
    if rows is not None and not rows.all():
        records = records.take(np.flatnonzero(rows))
    if learned:
        _refuse_empty(records.sequences, records.place)
        try:
            alphabet = resolve_alphabet(alphabet, records.sequences)
        except InputError as error:
            raise error.of(records.source) from None
    sequences = alphabet.normalize(records.sequences)
    notes = list(records.notes)
    if guessed:
        notes.append(
            f"the letters of {records.source} look like {alphabet.name}; {argument('alphabet')} overrides this guess"
        )
    if base_of(alphabet.name) == "protein":
        sequences = _proteins(sequences, records, notes)
    _refuse_empty(sequences, records.place)
    flat, lengths = alphabet.scan(sequences)
    dropped = _check_letters(records, sequences, flat, lengths, alphabet, ambiguous)
    kept = np.arange(len(sequences))
    labels = records.y
    if len(dropped):
        kept = np.delete(kept, dropped)
        where = ", ".join(records.place(int(i)) for i in dropped[:3]) + (" ..." if len(dropped) > 3 else "")
        were = "sequence was" if len(dropped) == 1 else "sequences were"
        note = f"{len(dropped)} of {len(sequences)} {were} left out for ambiguity codes ({where})"
        if not len(kept):
            wanted = "one sequence or more without such codes"
            raise InputError(records.source, f"no sequence that is left: {note}", wanted, "correct them or give others")
        notes.append(note)
        flat = flat[np.repeat(np.isin(np.arange(len(sequences)), kept), lengths)]
        lengths, sequences = lengths[kept], [sequences[i] for i in kept]
        labels = None if labels is None else labels[kept]
    if length is not None:
        _check_lengths(lengths, length, lambda i: records.place(int(kept[i])))
    tokens = alphabet.pad(flat, lengths)
    if labels is not None and not isinstance(target, (Target, Targets)):
        notes += describe(labels, target, records.told)
    if labels is not None and labels.ndim == 3 and labels.shape[1] != tokens.shape[1]:
        found, longest = f"a signal over {labels.shape[1]} positions", tokens.shape[1]
        wanted = f"one over {longest}, as the longest sequence has {longest} letters"
        raise InputError(argument("y"), found, wanted, "give one row of the signal per letter, shape (n, L, C)")
    copies = len(sequences) - len(set(sequences))
    if copies:
        verb = "repeats an earlier one" if copies == 1 else "repeat earlier ones"
        notes.append(f"{copies} of the {len(sequences)} sequences of {records.source} {verb}; duplicates are kept")
    kept = kept if rows is None else np.flatnonzero(rows)[kept]
    return Dataset(sequences, tokens, lengths, alphabet, labels, kept, tuple(notes), records.source, read)


def _proteins(sequences: list[str], records: Records, notes: list[str]) -> list[str]:
    """The sequences without the stop sign at their ends; what is done to proteins is added to the notes."""
    stopped = [i for i, sequence in enumerate(sequences) if sequence.endswith("*")]
    if stopped:
        notes.append(
            f"{len(stopped):,} of {len(sequences):,} proteins end in a stop sign ({records.place(stopped[0])}), which"
            " is left out"
        )
        sequences = [sequence.removesuffix("*") for sequence in sequences]
    mixed = [i for i, s in enumerate(records.sequences) if not s.isupper() and not s.islower() and not s.isspace()]
    if mixed:
        notes.append(
            f"{len(mixed):,} of {len(sequences):,} proteins mix capitals and lower case ({records.place(mixed[0])}) and"
            " are read as capitals; lower case marks insertions in a3m: remove such letters if the file is one"
        )
    return sequences


def _whole(length: Any) -> int:
    try:
        value = operator.index(length)
    except TypeError:
        value = 0
    if value < 1 or isinstance(length, (bool, np.bool_)):
        wanted = "a whole number of letters of at least 1 (or None)"
        raise InputError(argument("length"), shown(length), wanted, "give such a number")
    return value


def _refuse_empty(sequences: list[str], place: Callable[[int], str]) -> None:
    empty = [i for i, sequence in enumerate(sequences) if not sequence or sequence.isspace() and not sequence.strip()]
    if empty:
        more = f" ({len(empty)} sequences are empty)" if len(empty) > 1 else ""
        raise InputError(
            place(empty[0]), f"an empty sequence{more}", "one letter or more", "fill it in or leave it out"
        )


def _check_lengths(lengths: np.ndarray, length: int, place: Callable[[int], str]) -> None:
    wrong = np.flatnonzero(lengths != length)
    if len(wrong):
        found = int(lengths[wrong[0]])
        verb = "has" if len(wrong) == 1 else "have"
        letters = "letter" if found == 1 else "letters"
        what = f"a sequence of {found} {letters} ({len(wrong)} of {len(lengths)} sequences {verb} another length)"
        wanted = f"{argument('length', length)}, as it was given"
        cure = f"correct the data, or leave {argument('length')} out to learn sequences of several lengths"
        raise InputError(place(int(wrong[0])), what, wanted, cure)


def _check_letters(
    records: Records, sequences: list[str], flat: np.ndarray, lengths: np.ndarray, alphabet: Alphabet, ambiguous: str
) -> np.ndarray:
    """Rows to drop for ambiguity codes, in order; an error at the first letter that may not be dropped."""
    rows, columns = unknown(flat, lengths, len(alphabet))
    if not len(rows):
        return rows
    guilty = np.arange(len(rows))
    if ambiguous == "drop":
        letters = [alphabet.split(sequences[r])[c] for r, c in zip(rows.tolist(), columns.tolist(), strict=True)]
        guilty = np.flatnonzero([not alphabet.is_ambiguous(letter) for letter in letters])
        if not len(guilty):
            return np.unique(rows)
    row = int(rows[guilty[0]])
    position, letter = alphabet.locate(sequences[row], int(columns[guilty[0]]))
    others = len(np.unique(rows[guilty])) - 1
    more = f" ({others} more sequence{'s have' if others > 1 else ' has'} such letters)" if others else ""
    found, wanted = alphabet.wrong(letter, position)
    raise InputError(records.place(row), found, wanted, f"{_cure(letter, alphabet)}{more}")


def _cure(letter: str, alphabet: Alphabet) -> str:
    if alphabet.is_ambiguous(letter):
        return f"correct the sequence or pass {argument('ambiguous', 'drop')} to leave such sequences out"
    base = base_of(alphabet.name)
    if "U" in letter and base == "dna":
        return f"if this is RNA pass {argument('alphabet', _other_base(alphabet))}, else replace U by T"
    if "T" in letter and base == "rna":
        return f"if this is DNA pass {argument('alphabet', _other_base(alphabet))}, else replace T by U"
    if letter in ",;\t":
        return "if the file is a table name it .csv or .tsv, else correct the sequence"
    if alphabet.name in ("dna", "rna", "protein"):
        if letter in GAPS:
            return "gaps are no letters: remove them (alignments must be unaligned first)"
        if letter == "*":
            return "remove the stop sign"
        return 'correct the sequence, or name its alphabet ("dna", "rna", "protein" or a string of all the letters)'
    if base:
        return "correct the sequence"
    if alphabet.name in ("words", "bpe"):
        return "correct the text (a new model learns the characters of its own data)"
    if alphabet.name == "smiles":
        return "correct the SMILES (a new model learns the letters of its own data)"
    if letter.swapcase() in alphabet.letters:
        return f"write it as {letter.swapcase()!r} (case matters in this alphabet), or add it to the alphabet"
    return "correct the sequence, or add the letter to the alphabet"


def _other_base(alphabet: Alphabet) -> str:
    """The name of the same alphabet for the other nucleic acid."""
    other = {"dna": "rna", "rna": "dna"}[base_of(alphabet.name)]
    return f"{other} 3-mers" if alphabet.name == "codons" else alphabet.name.replace(base_of(alphabet.name), other)


def position_frequencies(data: Dataset, length: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Return letter frequencies (L, K) at each of `length` positions, with one pseudocount a letter.

    Parameters
    ----------
    weight : ndarray, optional
        (n,) how much each sequence counts.
    """
    real = np.arange(data.tokens.shape[1]) < data.lengths[:, None]
    counts = np.full((length, len(data.alphabet)), PSEUDOCOUNT)
    positions = np.broadcast_to(np.arange(data.tokens.shape[1]), data.tokens.shape)
    row = np.ones(len(data)) if weight is None else weight
    np.add.at(counts, (positions[real], data.tokens[real]), np.repeat(row, data.lengths))
    return counts / counts.sum(1, keepdims=True)


def letter_frequencies(data: Dataset, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the letters' frequencies (K,) over all positions, with one pseudocount a letter; see above."""
    real = np.arange(data.tokens.shape[1]) < data.lengths[:, None]
    each = None if weight is None else np.repeat(weight, data.lengths)
    counts = PSEUDOCOUNT + np.bincount(data.tokens[real].astype(np.int64), each, minlength=len(data.alphabet))
    return counts / counts.sum()
