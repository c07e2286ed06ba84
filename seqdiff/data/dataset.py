"""`prepare`: from the data of a user to checked, encoded sequences. The one entry point of the data room."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from seqdiff.alphabets.alphabet import GAPS, Alphabet, base_of, unknown
from seqdiff.alphabets.alphabets import AlphabetLike, is_learned, resolve_alphabet
from seqdiff.data.labels import only_column
from seqdiff.data.reading import Records, read_records
from seqdiff.data.store import Store
from seqdiff.data.target import Target, describe, likely_values
from seqdiff.errors import InputError, argument, of_kind, warn
from seqdiff.inputs import LabelsLike, Place, SequencesLike, TargetLike
from seqdiff.parameters import Choice, Whole

PSEUDOCOUNT = 1.0


class NoneLeft(InputError):
    """All sequences were left out."""


def backwards(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return values (N, L, ...) in reverse order, those of the first `lengths` (N,) positions; zeros behind them."""
    column = lengths[:, None] - 1 - np.arange(values.shape[1])  # negative after the end
    column = column.reshape(*column.shape, *[1] * (values.ndim - 2))
    return np.where(column >= 0, np.take_along_axis(values, np.maximum(column, 0), axis=1), values.dtype.type(0))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Checked and encoded sequences.

    Attributes
    ----------
    sequences : list of str
        As the alphabet writes them (upper case for dna, rna, protein; no white space around; see `Levels` for images).
    tokens : ndarray of shape (N, L_max)
        Zeros after a sequence's end.
    lengths : ndarray of int64, shape (N,)
        In letters.
    alphabet : Alphabet
    y : ndarray or None
        Labels, one row per sequence (see `Target`); several named columns are the fields of a structured array.
    kept : ndarray of int64, shape (N,)
        The row of each sequence in the input.
    notes : tuple of str
        Notes for the user, a sentence each (guessed alphabet, dropped or duplicate sequences).
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

    @property
    def real(self) -> np.ndarray:
        """True at letters, False after a sequence's end, shape (N, L_max)."""
        return np.arange(self.tokens.shape[1]) < self.lengths[:, None]

    def take(self, rows: ArrayLike) -> Dataset:
        """Return the given rows (array of int, or of bool of shape (N,)), as wide as before."""
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

    def backwards(self, values: np.ndarray) -> np.ndarray:
        """Return values (N, L_max, ...) of the positions in reverse order, zeros after a sequence's end."""
        return backwards(values, self.lengths)

    @property
    def reverse_complements(self) -> np.ndarray:
        """Tokens of the other strand (dna and rna), zeros after their ends, shape (N, L_max)."""
        complement = np.array(self.alphabet.complement, dtype=self.tokens.dtype)
        return self.backwards(complement[self.tokens])

    def both_strands(self) -> Dataset:
        """Return the sequences and then their reverse complements, with the same labels; a signal is reversed too.

        Examples
        --------
        >>> prepare(["AACG", "T"], y=["a", "b"]).both_strands().sequences
        ['AACG', 'T', 'CGTT', 'A']
        """
        y = self.y
        if y is not None and y.ndim == 3:
            y = self.backwards(y)
        return replace(
            self,
            sequences=[*self.sequences, *self.alphabet.reverse_complement(self.sequences)],
            tokens=np.concatenate([self.tokens, self.reverse_complements]),
            lengths=np.tile(self.lengths, 2),
            y=None if self.y is None else np.concatenate([self.y, y]),
            kept=np.tile(self.kept, 2),
        )

    def digest(self) -> str:
        """SHA-256 (64 hexadecimal digits) of letters, tokens, lengths and y; equal data have equal digests anywhere."""
        sha = hashlib.sha256()
        labels = None if self.y is None else _digest_labels(self.y, sha)
        sha.update(json.dumps([self.alphabet.to_dict(), len(self), labels]).encode())
        sha.update(self.lengths.astype("<i8").tobytes())
        sha.update(self.tokens[self.real].astype("<u4").tobytes())
        return sha.hexdigest()


@dataclass(frozen=True, eq=False)
class StoredData:
    """Rows of a store, as `Dataset` has sequences, whose letters stay on the disk.

    Attributes
    ----------
    store : Store
    kept : ndarray of integers, shape (N,)
        The row in the store of each sequence.
    y : ndarray or None
        Labels, one row per sequence.
    notes : tuple of str
        Notes for the user, a sentence each.
    forwards : int
        Sequences that are as in the store, before those that are the other strands of these; all where None.
    """

    store: Store
    kept: np.ndarray
    y: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    forwards: int | None = None

    @classmethod
    def of(cls, store: Store, y: LabelsLike = None, target: TargetLike = "auto") -> StoredData:
        """Return all rows, with the labels of the columns that y names.

        Parameters
        ----------
        store : Store
        y : str, list of str or None
            Names of labels in the store.
        target : str or dict
            The kind of labels, an estimator's parameter.
        """
        if (
            y is not None
            and not isinstance(y, str)
            and not (isinstance(y, (list, tuple)) and all(isinstance(name, str) for name in y))
        ):
            found, wanted = of_kind(y), "the name of a label in the store, or a list of names"
            raise InputError(argument("y"), found, wanted, "make the store again with these labels")
        labels = store.y(y)
        notes = list(store.notes)
        if labels is not None:
            notes += describe(labels, target)
        return cls(store, np.arange(store.n, dtype=np.min_scalar_type(-store.n)), labels, tuple(notes))

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def alphabet(self) -> Alphabet:
        return self.store.alphabet

    @property
    def source(self) -> str:
        return str(self.store.path)

    @property
    def lengths(self) -> np.ndarray:
        """Letters of each sequence, (N,); not to be written to."""
        lengths = self.store.lengths
        return lengths[: len(self)] if self.store.fixed and self.forwards is None else lengths[self.kept]

    def take(self, rows: ArrayLike) -> StoredData:
        """Return the given rows (array of int, or of bool of shape (N,))."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(self, kept=self.kept[rows], y=None if self.y is None else self.y[rows])

    def both_strands(self) -> StoredData:
        """Return the sequences and then their reverse complements, with the same labels."""
        y = None if self.y is None else np.concatenate([self.y, self.y])
        return replace(self, kept=np.tile(self.kept, 2), y=y, forwards=len(self))

    def tokens(self, rows: np.ndarray, width: int | None = None) -> np.ndarray:
        """Return the tokens of these sequences, (n, width), zeros after a sequence's end."""
        kept = self.kept[rows]
        found = self.store.tokens(kept, width)
        other = np.flatnonzero(rows >= len(self) if self.forwards is None else rows >= self.forwards)
        if len(other):
            complement = np.array(self.alphabet.complement, dtype=found.dtype)
            found[other] = backwards(complement[found[other]], self.store.lengths[kept[other]])
        return found

    def sample(self, most: int) -> tuple[Dataset, np.ndarray]:
        """Return at most so many sequences, evenly spread over the rows, in memory; and their numbers."""
        n = len(self) if self.forwards is None else self.forwards
        rows = np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)
        part = self.take(rows)
        tokens, lengths = part.store.tokens(part.kept), part.lengths
        sequences = self.alphabet.decode(tokens, lengths)
        data = Dataset(sequences, tokens, lengths, self.alphabet, part.y, part.kept, (), self.source, self.store.n_read)
        return data, rows

    def digest(self) -> str:
        """SHA-256 of the rows and labels and of the store's own digest."""
        sha = hashlib.sha256()
        labels = None if self.y is None else _digest_labels(self.y, sha)
        sha.update(json.dumps([self.store.digest, self.forwards, labels]).encode())
        sha.update(self.kept.astype("<i8").tobytes())
        return sha.hexdigest()


def _digest_labels(y: np.ndarray, sha: hashlib._Hash) -> list[Any]:
    """Feed numbers to the hash; return the rest for JSON."""
    y = only_column(y)
    if y.dtype.names:
        return [[name, _digest_labels(y[name], sha)] for name in y.dtype.names]
    if y.dtype.kind == "O":
        return y.tolist()
    sha.update(np.ascontiguousarray(y).astype({"f": "<f8"}.get(y.dtype.kind, "<i8")).tobytes())
    return [y.dtype.kind, list(y.shape)]


def prepare(
    X: SequencesLike | Records | Store,
    y: LabelsLike = None,
    *,
    alphabet: AlphabetLike = "auto",
    length: int | None = None,
    ambiguous: str = "error",
    gaps: str = "error",
    sequence_column: str | None = None,
    chosen: Callable[[int], np.ndarray | None] | None = None,
    target: TargetLike | Target = "auto",
    verbose: int = 0,
) -> Dataset:
    """Read, clean, check and encode sequences.

    Lower case (dna, rna, protein), Windows line ends, blank lines, white space around a sequence and a missing last
    newline are accepted silently; duplicates and a guessed alphabet are noted in `Dataset.notes`; everything else is
    refused before any work. Rows keep their order.

    Parameters
    ----------
    X : path, list, array, Series, DataFrame or Biopython records, or images
        See `read_records`.
    y : array-like, str or list of str, optional
        Labels (entries may be missing; a dict or DataFrame for several columns), or names of the table's columns.
    alphabet : str or Alphabet
        ``"auto"``, ``"dna"``, ``"rna"``, ``"protein"``, ``"codons"``, ``"smiles"``, ``"words"``, ``"bpe"``, an
        `Alphabet`, or a string of the letters themselves; see `resolve_alphabet`.
    length : int, optional
        Letters that every sequence must have; any lengths if None.
    ambiguous : "error" or "drop"
        Treatment of sequences with IUPAC ambiguity codes of their alphabet (N, R, ...; B, J, O, U, X, Z in proteins).
        Other junk is always refused.
    gaps : "error" or "drop"
        Treatment of the gaps ``-`` and ``.`` of alignments: refuse sequences with them, or take the gaps out.
    sequence_column : str, optional
        The column of a table that holds the sequences.
    chosen : callable, optional
        ``chosen(n)`` returns booleans (n,), True for each of the n sequences read to keep, or None for all; the others
        are left out before the alphabet is learned, as if they had not been there.
    target : str, dict or Target
        The kind of labels, an estimator's parameter; or the target of a model, by which they are read without a note.
    verbose : int
        1 shows a progress bar where a file is large.

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
    for name, value in {"ambiguous": ambiguous, "gaps": gaps}.items():
        Choice(options=("error", "drop")).check(name, value)
    Whole(1).check("length", length, optional=True)
    if not is_learned(alphabet):
        alphabet = resolve_alphabet(alphabet)  # a wrong name is refused before a large file is read
    kind = target.read_kind if isinstance(target, Target) else target
    records = read_records(X, y, sequence_column=sequence_column, kind=kind, verbose=verbose)
    n_read = len(records.sequences)
    kept = np.arange(n_read)
    if chosen is not None and (rows := chosen(n_read)) is not None and not rows.all():
        kept = np.flatnonzero(rows)
        records = records.take(kept)
    if gaps == "drop":
        records = _without_gaps(records, alphabet)
    letters, notes = _alphabet_of(records, alphabet), list(records.notes)
    sequences = letters.normalize(records.sequences)
    if records.grid is not None:
        notes.append(f"{records.source} holds {letters.described}")
    elif isinstance(alphabet, str) and alphabet.lower() == "auto":
        guess = f"the letters of {records.source} look like {letters.name}"
        notes.append(f"{guess}; {argument('alphabet')} overrides this guess")
    if base_of(letters.name) == "protein":
        sequences = without_stops(sequences, records, notes)
    _refuse_empty(sequences, records.place)
    flat, lengths = letters.scan(sequences)
    dropped = _check_letters(records, sequences, flat, lengths, letters, ambiguous)
    if len(dropped):
        where = ", ".join(records.place(int(i)) for i in dropped[:3]) + (" ..." if len(dropped) > 3 else "")
        were = "sequence was" if len(dropped) == 1 else "sequences were"
        note = f"{len(dropped)} of {len(sequences)} {were} left out for ambiguity codes ({where})"
        if len(dropped) == len(sequences):
            wanted = "one sequence or more without such codes"
            raise NoneLeft(records.source, f"no sequence that is left: {note}", wanted, "correct them or give others")
        notes.append(note)
        left = np.delete(np.arange(len(sequences)), dropped)
        flat = flat[np.repeat(np.isin(np.arange(len(sequences)), left), lengths)]
        kept, records, lengths, sequences = kept[left], records.take(left), lengths[left], [sequences[i] for i in left]
    if length is not None and len(wrong := np.flatnonzero(lengths != length)):
        first = int(lengths[wrong[0]])
        found = f"a sequence of {first} letter{'s' * (first != 1)}"
        others = f"{len(wrong)} of {len(lengths)} sequences {'has' if len(wrong) == 1 else 'have'} another length"
        wanted = f"{argument('length', int(length))}, as it was given"
        cure = f"correct the data, or leave {argument('length')} out to learn sequences of several lengths"
        raise InputError(records.place(int(wrong[0])), f"{found} ({others})", wanted, cure)
    tokens, labels = letters.pad(flat, lengths), records.y
    if labels is not None and not isinstance(target, Target):
        notes += describe(labels, target, records.label_notes)
        for sentence in likely_values(labels, target):
            warn(sentence)
    check_signal(labels, tokens.shape[1])
    copies = len(sequences) - len(set(sequences))
    if copies:
        verb = "repeats an earlier one" if copies == 1 else "repeat earlier ones"
        notes.append(f"{copies} of the {len(sequences)} sequences of {records.source} {verb}; duplicates are kept")
    return Dataset(sequences, tokens, lengths, letters, labels, kept, tuple(notes), records.source, n_read)


def check_signal(labels: np.ndarray | None, longest: int) -> None:
    """Refuse a signal (n, L, C) where L is not the number of letters of the longest sequence."""
    if labels is not None and labels.ndim == 3 and labels.shape[1] != longest:
        found = f"a signal over {labels.shape[1]} positions"
        wanted = f"one over {longest}, as the longest sequence has {longest} letters"
        raise InputError(argument("y"), found, wanted, "give one row of the signal per letter, shape (n, L, C)")


def _alphabet_of(records: Records, alphabet: AlphabetLike) -> Alphabet:
    if records.grid is not None:
        return records.grid.alphabet(alphabet, records.source)
    if isinstance(alphabet, Alphabet):
        return alphabet
    _refuse_empty(records.sequences, records.place)
    try:
        return resolve_alphabet(alphabet, records.sequences)
    except InputError as error:
        raise error.of(records.source) from None


def _without_gaps(records: Records, alphabet: AlphabetLike) -> Records:
    """Return the records without gaps, or an InputError where these may be letters or where labels have columns."""
    if records.grid is not None:
        return records
    text = is_learned(alphabet) and str(alphabet).lower() != "auto"
    if text or (isinstance(alphabet, Alphabet) and set(GAPS) & set("".join(alphabet.letters))):
        wanted = "letters that gaps cannot be confused with"
        cure = f"leave {argument('gaps')} out, or give another {argument('alphabet')}"
        raise InputError(argument("gaps", "drop"), "an alphabet in which '-' or '.' may be a letter", wanted, cure)
    gone = dict.fromkeys(map(ord, GAPS))
    sequences = [sequence.translate(gone) for sequence in records.sequences]
    changed = [i for i, pair in enumerate(zip(sequences, records.sequences, strict=True)) if pair[0] != pair[1]]
    if not changed:
        return records
    if records.y is not None and records.y.ndim == 3:
        found = f"a signal over the columns of an alignment, for {records.place(changed[0])}"
        raise InputError(argument("y"), found, "one without gaps", "take the gaps out of both")
    note = f"gaps were taken out of {len(changed):,} of {len(sequences):,} sequences ({records.place(changed[0])})"
    return replace(records, sequences=sequences, notes=(*records.notes, note))


def without_stops(sequences: list[str], records: Records, notes: list[str]) -> list[str]:
    """Return the sequences without the stop sign at their ends; add changes of proteins to the notes."""
    stopped = [i for i, sequence in enumerate(sequences) if sequence.endswith("*")]
    if stopped:
        found = f"{len(stopped):,} of {len(sequences):,} proteins end in a stop sign"
        notes.append(f"{found} ({records.place(stopped[0])}), which is left out")
        sequences = [sequence.removesuffix("*") for sequence in sequences]
    mixed = [i for i, s in enumerate(records.sequences) if not s.isupper() and not s.islower() and not s.isspace()]
    if mixed:
        notes.append(
            f"{len(mixed):,} of {len(sequences):,} proteins mix capitals and lower case ({records.place(mixed[0])}) and"
            " are read as capitals; lower case marks insertions in a3m: remove such letters if the file is one"
        )
    return sequences


def _refuse_empty(sequences: list[str], place: Place) -> None:
    empty = [i for i, sequence in enumerate(sequences) if not sequence.strip()]
    if empty:
        more = f" ({len(empty)} sequences are empty)" if len(empty) > 1 else ""
        raise InputError(
            place(empty[0]), f"an empty sequence{more}", "one letter or more", "fill it in or leave it out"
        )


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
    raise InputError(records.place(row), found, wanted, f"{cure_of_letter(letter, alphabet)}{more}")


def cure_of_letter(letter: str, alphabet: Alphabet) -> str:
    """Return what to do about a letter that the alphabet lacks, for a message."""
    if alphabet.is_ambiguous(letter):
        return f"correct the sequence or pass {argument('ambiguous', 'drop')} to leave such sequences out"
    base = base_of(alphabet.name)
    if (base == "dna" and "U" in letter) or (base == "rna" and "T" in letter):
        other, odd, own = ("rna", "U", "T") if base == "dna" else ("dna", "T", "U")
        name = f"{other} 3-mers" if alphabet.name == "codons" else alphabet.name.replace(base, other)
        return f"if this is {other.upper()} pass {argument('alphabet', name)}, else replace {odd} by {own}"
    if letter in ",;\t":
        return "if the file is a table name it .csv or .tsv, else correct the sequence"
    if alphabet.name in ("dna", "rna", "protein"):
        if letter in GAPS:
            return f"gaps are no letters: pass {argument('gaps', 'drop')} to take them out"
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


def position_frequencies(data: Dataset, length: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Return letter frequencies (L, K) at each of `length` positions, with one pseudocount a letter.

    `weight` (N,) is that of each sequence, 1 by default.
    """
    letters = len(data.alphabet)
    place = np.broadcast_to(letters * np.arange(data.tokens.shape[1]), data.tokens.shape)[data.real]
    counted = np.concatenate([np.arange(length * letters), place + data.tokens[data.real]])
    each = None
    if weight is not None:
        each = np.concatenate([np.full(length * letters, PSEUDOCOUNT), np.repeat(weight, data.lengths)])
    counts = np.bincount(counted, each).reshape(length, letters)
    return counts / counts.sum(1, keepdims=True)


def letter_frequencies(data: Dataset, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the letters' frequencies (K,) over all positions, with one pseudocount a letter; see above."""
    each = None if weight is None else np.repeat(weight, data.lengths)
    counts = PSEUDOCOUNT + np.bincount(data.tokens[data.real].astype(np.int64), each, minlength=len(data.alphabet))
    return counts / counts.sum()
