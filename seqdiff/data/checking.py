"""`check_data`: a table of what data hold that a fit suffers from; `fit` warns of what needs action, by `examine`.

Low complexity is the score of DUST, for the numbers c_t of each of the l triplets of letters in a window,

    sum_t c_t (c_t - 1) / 2 / (l - 1),

where windows above 2 are masked (Morgulis et al. 2006, J. Comput. Biol. 13:1028). A sequence has the mean over windows
of 64 letters that begin 32 apart, as in PRINSEQ (Schmieder & Edwards 2011, Bioinformatics 27:863).

A network stores about 2 bits per weight (Allen-Zhu & Li 2025, arXiv 2404.05405), and a letter of K has at most log2 K
bits: fewer letters than that can be memorised, so that training has to be stopped by sequences that are held out.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from itertools import accumulate
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.alphabets.alphabet import GAPS, Alphabet, base_of, unknown
from seqdiff.alphabets.alphabets import AlphabetLike, resolve_alphabet
from seqdiff.data.dataset import Dataset, check_signal, cure_of_letter, prepare, without_stops
from seqdiff.data.labels import kind_of_column, only_column
from seqdiff.data.reading import STDIN, Records, read_records
from seqdiff.data.split import (
    MOST_SEARCHED,
    cluster,
    copies,
    families,
    held_count,
    hold_out,
    kmer_codes,
    relatives,
    share_of,
)
from seqdiff.data.target import (
    Targets,
    class_codes,
    columns_of,
    describe,
    learn_target,
    likely_values,
    named_label,
)
from seqdiff.errors import InputError, argument, shorten, shown
from seqdiff.inputs import LabelsLike, Place, SequencesLike, TargetLike
from seqdiff.parameters import Choice, Whole

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_WEIGHTS = 320_000
"""Weights of the default network, "conv" of width 64 and depth 6, for 50 letters of DNA."""
BITS_PER_WEIGHT = 2.0
FEWEST_HELD = 10
"""Fewer held-out sequences choose the weights by chance: of 100 promoters, 10 held out, the default network still
learns more than a position weight matrix (1.952 and 1.970 bits per letter of a test set)."""
SHARED = 20
"""Letters that two sequences of one origin share, as in `cluster_split`."""
CROSSING = 0.05
"""Share of held-out sequences with relatives in training from which on held-out metrics are not to be trusted."""
MASKED = 2.0
REPETITIVE = 0.05
"""Share of sequences of low complexity from which on they are more than what natural sequences have."""
STRAY = 0.05
"""Share of sequences of other lengths up to which they look like mistakes rather than like a mix."""
IMBALANCE = 9.0
"""Ratio of the largest to the smallest class above which KEEL calls data highly imbalanced (Alcala-Fdez et al. 2011,
J. Mult.-Valued Log. Soft Comput. 17:255)."""


Wrong = dict[int, list[tuple[int, str]]]
"""Positions (from 0) and letters that an alphabet lacks, by row."""


@dataclass(frozen=True)
class Finding:
    """What was looked for in data: how many there are, of how many, where the first is, and what to do about it.

    `action` is empty where nothing needs to be done.
    """

    finding: str
    number: int
    total: int
    example: str = ""
    action: str = ""

    @property
    def sentence(self) -> str:
        where = f" ({self.example})" if self.example else ""
        return f"{self.finding}: {self.number:,} of {self.total:,}{where}; {self.action}"

    @property
    def share(self) -> str:
        """Return the share as a table shows it."""
        if not self.number or not self.total:
            return ""
        share = self.number / self.total
        return "<0.1%" if share < 0.0005 else f"{share:.1%}"


@dataclass(frozen=True, eq=False, repr=False)
class DataCheck:
    """What `check_data` found; a table in print and in notebooks.

    Attributes
    ----------
    title : str
        What was read.
    notes : tuple of str
        How it was read, a sentence each.
    findings : tuple of Finding
    """

    title: str
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each finding, columns `finding`, `number`, `share`, `example` and `action` ("" for none)."""
        import pandas as pd

        rows = [
            (f.finding, f.number, f.number / f.total if f.total else 0.0, f.example, f.action) for f in self.findings
        ]
        return pd.DataFrame(rows, columns=["finding", "number", "share", "example", "action"])

    @property
    def ok(self) -> bool:
        """Whether nothing needs action."""
        return not self.warnings

    @property
    def warnings(self) -> list[str]:
        """The findings that need action, a sentence each."""
        return [finding.sentence for finding in self.findings if finding.action]

    @property
    def _verdict(self) -> str:
        count = len(self.warnings)
        return f"{count} finding{'s need' if count != 1 else ' needs'} action" if count else "nothing needs action"

    def __repr__(self) -> str:
        cells = [("", "finding", "number", "share", "example")]
        cells += [("!" * bool(f.action), f.finding, f"{f.number:,}", f.share, f.example) for f in self.findings]
        _, wide, number, share, _ = (max(map(len, column)) for column in zip(*cells, strict=True))
        lines = [f"{self.title}: {self._verdict}", *self.notes, ""]
        for mark, *cell, example in cells:
            lines.append(f"{mark:1} {cell[0]:{wide}}  {cell[1]:>{number}}  {cell[2]:>{share}}  {example}".rstrip())
        actions = [f"! {f.finding}: {f.action}" for f in self.findings if f.action]
        wrapped = [line for action in actions for line in wrap(action, 100, subsequent_indent="  ")]
        return "\n".join([*lines, *([""] * bool(actions)), *wrapped])

    def _repr_html_(self) -> str:
        left, right = (
            ' style="text-align: left; vertical-align: top"',
            ' style="text-align: right; vertical-align: top"',
        )
        rows = []
        for f in self.findings:
            name = f"<b>{escape(f.finding)}</b>" if f.action else escape(f.finding)
            rows.append(
                f"<tr><td{left}>{name}</td><td{right}>{f.number:,}</td><td{right}>{escape(f.share)}</td>"
                f"<td{left}>{escape(f.example)}</td><td{left}>{escape(f.action)}</td></tr>"
            )
        heads = [(left, "finding"), (right, "number"), (right, "share"), (left, "example"), (left, "action")]
        head = "".join(f"<th{style}>{name}</th>" for style, name in heads)
        notes = "".join(f"<br>{escape(note)}" for note in self.notes)
        return (
            f"<div><p>{escape(self.title)}: <b>{self._verdict}</b>{notes}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        )


def check_data(
    X: SequencesLike,
    y: LabelsLike = None,
    *,
    alphabet: AlphabetLike = "auto",
    validation: float | None = 0.1,
    ambiguous: str = "error",
    gaps: str = "error",
    sequence_column: str | None = None,
    target: TargetLike = "auto",
    weights: int = DEFAULT_WEIGHTS,
    random_state: int = 0,
) -> DataCheck:
    """Return what sequences and labels hold that a fit refuses or suffers from.

    What `fit` refuses is reported like all else: letters that the alphabet lacks, ambiguity codes, gaps, missing
    sequences, labels that cannot be learned. Sequences without such faults, and the others without their gaps, are
    examined further; of these findings `fit` warns too where they need action.

    Parameters
    ----------
    X, y, alphabet, ambiguous, gaps, sequence_column, target
        As given to an estimator and its `fit`.
    validation : float or None
        Share of the sequences that `fit` will hold out.
    weights : int
        Number of weights of the network, which `fit` states when it begins; by default that of the default network.
    random_state : int
        Seed of the split, an estimator's `random_state`.

    Returns
    -------
    DataCheck
        Action is needed where `fit` would refuse the data; where more than half of the sequences are copies; near
        copies (of at least 20 letters, of which one in ten or fewer differs) come in families too large to be held out;
        more than 5% of the held-out sequences share 20 letters with a training sequence, or more than 5% are of low
        complexity (dna, rna and protein alone); up to 5% have another length than the others; the network can memorise
        the sequences and less than 10 are held out; a class is more than 9 times as frequent as another; labels are all
        alike; equal sequences have different classes, or values more than a standard deviation apart.

    Raises
    ------
    InputError
        Where nothing can be read, no sequence has letters, or a parameter is not allowed.

    Examples
    --------
    >>> check = check_data(["ACGTACGTTGCA", "ACGTNNGTTGCA", "", "ACGTACGTTGCA"], y=["a", "b", "b", "b"])
    >>> check.ok, check.table.loc[check.table.number > 0, "finding"].tolist()[:3]
    (False, ['sequences without letters', "sequences with ambiguity codes ('N' 2)", 'copies of earlier sequences'])
    >>> print(check.warnings[0])
    sequences without letters: 1 of 4 (X[2]); fill them in or leave them out
    """
    for name, value in {"ambiguous": ambiguous, "gaps": gaps}.items():
        Choice(options=("error", "drop")).check(name, value)
    Whole(1).check("weights", weights)
    Whole(0).check("random_state", random_state)
    share = 0.0 if validation is None else share_of("validation", validation)
    records, refused = _read(X, y, sequence_column, target)
    reading = _Reading(records, alphabet, ambiguous == "drop", gaps == "drop")
    findings, data = list(reading.findings), reading.data
    notes, labels = list(reading.notes), None if records.y is None else records.y[reading.rows]
    if labels is not None:
        try:
            learn_target(labels, target)
            check_signal(labels, data.tokens.shape[1])
        except InputError as error:
            refused, labels = str(error), None
    if refused:
        findings.append(Finding("labels that cannot be learned", len(data), len(data), "", refused))
    data, held = replace(data, y=labels), None
    if labels is not None:
        notes += describe(labels, target, records.label_notes)
    count = held_count(len(data), share or 0.0)
    found = list(_copies(data, count, reading.place))
    if count and any(finding.number for finding in found):
        notes.append("fit keeps copies and near copies on one side of its split, except in families too large for it")
    findings += found
    if count:
        classes = [] if labels is None else class_codes(learn_target(labels, target), labels)
        held = np.zeros(len(data), dtype=bool)
        held[hold_out(data, share or 0.0, random_state, classes)[1]] = True
    findings += examine(data, held, weights, target, place=reading.place)
    if labels is not None:
        findings += [
            Finding("labels that look like values", len(data), len(data), "", sentence)
            for sentence in likely_values(labels, target)
        ]
    return DataCheck(reading.title, tuple(notes), tuple(findings))


def examine(
    data: Dataset,
    held: np.ndarray | None,
    weights: int,
    target: TargetLike = "auto",
    *,
    validated: int | None = None,
    train: int | None = None,
    weighted: bool = False,
    place: Place | None = None,
) -> list[Finding]:
    """Return findings on checked data: lengths, complexity, the split, the network's size, labels.

    Parameters
    ----------
    data : Dataset
        Training sequences and those held out of them, with labels that can be learned or none.
    held : ndarray of bool, shape (N,), or None
        The rows that a split holds out.
    weights : int
        Number of weights of the network.
    target : str or dict
        An estimator's parameter.
    validated : int, optional
        Number of validation sequences, those of `held` by default.
    train : int, optional
        Number of training sequences, those of `data` that are not held out by default.
    weighted : bool
        Whether sequences have weights, so that classes need not be of one size.
    place : callable, optional
        ``place(i)`` names row i.
    """
    place = place or partial(_place, data)
    findings = [] if data.alphabet.shape is not None else [*_lengths(data, place), *_complexity(data, place)]
    if held is not None and base_of(data.alphabet.name):  # in text and SMILES twenty letters recur by chance
        findings += _crossing(data, held, place)
    validated = (0 if held is None else int(held.sum())) if validated is None else validated
    train = len(data) - (0 if held is None else int(held.sum())) if train is None else train
    findings += _size(data, train, weights, validated)
    return findings if data.y is None else [*findings, *_labels(data, data.y, target, weighted, place)]


def _place(data: Dataset, i: int) -> str:
    """Return the name of row i where the names of the records are not known."""
    row = int(data.kept[i])
    return f"X[{row}]" if data.source == "X" else f"sequence {row + 1:,}"


def dust(data: Dataset) -> np.ndarray:
    """Return the score of low complexity of each sequence, (N,): about 0.5 for random DNA, 31 for one repeated letter.

    >>> dust(prepare(["ACGTTGCATCGAAGTC", "ACACACACACACACAC", "AAAAAAAAAAAAAAAA"])).round(1).tolist()
    [0.0, 3.2, 7.0]
    """
    scores, offset = np.zeros(len(data)), np.arange(62)
    if data.tokens.shape[1] < 3:
        return scores
    for part in np.array_split(np.arange(len(data)), 1 + data.tokens.size // 1_000_000):  # of a bounded memory
        codes, lengths = kmer_codes(data.tokens[part], 3, len(data.alphabet)), data.lengths[part]  # (n, L - 2)
        count = 1 + np.maximum(0, -(-(lengths - 64) // 32))  # windows of each sequence
        row = np.repeat(np.arange(len(part)), count)
        number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        start = np.minimum(32 * number, np.maximum(lengths[row] - 64, 0))  # the last window ends with the sequence
        triplets = np.minimum(lengths[row] - 2, 62)
        at = np.minimum(start[:, None] + offset, codes.shape[1] - 1)  # (windows, 62)
        # after the end numbers that no triplet has, each once
        window = np.sort(np.where(offset < triplets[:, None], codes[row[:, None], at], -1 - offset), axis=1)
        pairs, left = np.zeros(len(row)), np.arange(len(row))
        for apart in range(1, 62):  # c equal triplets in a row have c - apart pairs so far apart
            equal = (window[left, apart:] == window[left, :-apart]).sum(1)
            pairs[left] += equal
            left = left[equal > 0]
        scores[part] = np.bincount(row, pairs / np.maximum(triplets - 1, 1), len(part)) / count
    return scores


# What was read.


def _read(X: SequencesLike, y: LabelsLike, sequence_column: str | None, target: TargetLike) -> tuple[Records, str]:
    """Return the records, without labels where these cannot be read, and then why ("" else)."""
    once = isinstance(X, Iterator) or isinstance(X, (str, os.PathLike)) and os.fspath(X) == STDIN
    try:
        return read_records(X, y, sequence_column=sequence_column, kind=target, keep_empty=True), ""
    except InputError as error:
        if y is None or once:
            raise
        records = read_records(X, y, sequence_column=sequence_column, kind="names", keep_empty=True)
        return replace(records, y=None), str(error)


class _Reading:
    """Records, and the sequences of them that have letters of the alphabet only.

    Attributes
    ----------
    data : Dataset
        These sequences.
    rows : ndarray of int, shape (N,)
        Their numbers among the records.
    findings, notes : list of Finding, list of str
        On the others; on how they were read.
    letters : Alphabet
    gaps : list of str
        Characters that are gaps, which the alphabet does not have.
    """

    def __init__(self, records: Records, alphabet: AlphabetLike, drops_ambiguous: bool, drops_gaps: bool) -> None:
        self.records, self.notes, self.findings = records, list(records.notes), list[Finding]()
        self.letters, texts = self._alphabet(alphabet), records.sequences
        letters = self.letters
        self.gaps = [gap for gap in GAPS if gap not in "".join(letters.letters) and records.grid is None]
        gone = dict.fromkeys(map(ord, self.gaps))
        gapped = [i for i, text in enumerate(texts) if any(gap in text for gap in self.gaps)]
        texts = [text.translate(gone) for text in texts] if gapped else texts
        filled = np.flatnonzero([bool(text.strip()) for text in texts])
        texts = letters.normalize([texts[i] for i in filled.tolist()])
        if base_of(letters.name) == "protein":
            texts = without_stops(texts, records.take(filled), self.notes)
        flat, lengths = letters.scan(texts)
        odd, codes = self._wrong_letters(letters, texts, filled, flat, lengths)
        clean = np.flatnonzero((lengths > 0) & ~np.isin(filled, [*odd, *codes]))
        self.rows = filled[clean]
        empty = sorted(set(range(len(records.sequences))) - set(filled[lengths > 0].tolist()))
        if records.grid is None:
            self._add("sequences without letters", empty, "fill them in or leave them out")
        cure = cure_of_letter(next(iter(odd.values()))[0][1], letters) if odd else ""
        self._add("sequences with letters that the alphabet lacks", odd, cure)
        if base_of(letters.name):
            cure = f"correct them, or pass {argument('ambiguous', 'drop')} to leave them out"
            self._add("sequences with ambiguity codes", codes, "" if drops_ambiguous else cure)
        if self.gaps:
            cure = f"pass {argument('gaps', 'drop')} to take the gaps out"
            self._add("sequences with gaps", gapped, "" if drops_gaps else cure)
        if not len(self.rows):
            found = "; ".join(finding.sentence for finding in self.findings if finding.number)
            wanted = f"one sequence or more in letters of {letters.name}"
            raise InputError(records.source, found, wanted, f"correct them, or name their {argument('alphabet')}")
        good = replace(records.take(self.rows), sequences=[texts[i] for i in clean.tolist()], y=None, notes=())
        self.data = prepare(good, alphabet=letters)

    @property
    def title(self) -> str:
        """What was read, for the head of the table."""
        lengths, kind = self.data.lengths, self.data.alphabet.described
        title = f"{self.records.source}: {len(self.records.sequences):,} {kind}"
        if self.data.alphabet.shape is not None:
            return title
        low, high = int(lengths.min()), int(lengths.max())
        if low == high:
            return f"{title} of {low:,} letter{'s' * (low != 1)}"
        return f"{title} of {low:,} to {high:,} letters, median {np.median(lengths):,.0f}"

    def place(self, i: int) -> str:
        """Return the place of row i of the data, without the name of the file."""
        return self._place(int(self.rows[i]))

    def _place(self, row: int) -> str:
        place = self.records.place(row).removeprefix(f"{self.records.source}, ")
        return place.replace(" of X (counted from 0)", " (from 0)")

    def _alphabet(self, alphabet: AlphabetLike) -> Alphabet:
        records = self.records
        if records.grid is not None:
            return records.grid.alphabet(alphabet, records.source)
        texts = [text for text in records.sequences if text.strip(" \t" + GAPS)]
        if not texts:
            cure = "fill some in, or give others"
            raise InputError(records.source, "no sequence with letters", "at least one", cure)
        try:
            return resolve_alphabet(alphabet, texts)
        except InputError as error:
            letters = sorted(set("".join(text.strip() for text in texts)))
            if str(alphabet).lower() != "auto" or len(letters) < 2:
                raise error.of(records.source) from None
            kind = "sequences in letters of neither dna, rna nor protein"
            self.findings.append(Finding(kind, len(texts), len(records.sequences), "", error.parts[-1]))
            return Alphabet(letters)

    def _wrong_letters(
        self, letters: Alphabet, texts: list[str], filled: np.ndarray, flat: np.ndarray, lengths: np.ndarray
    ) -> tuple[Wrong, Wrong]:
        """Return position and letter of what the alphabet lacks, by row: in rows with odd letters; with codes alone."""
        wrong: defaultdict[int, list[int]] = defaultdict(list)
        for i, column in zip(*(array.tolist() for array in unknown(flat, lengths, len(letters))), strict=True):
            wrong[i].append(column)
        odd: Wrong = {}
        codes: Wrong = {}
        for i, columns in wrong.items():
            pieces = letters.split(texts[i])
            starts = [0, *accumulate(map(len, pieces))]
            found = [(starts[column], pieces[column]) for column in columns]
            foreign = [(start, letter) for start, letter in found if not letters.is_ambiguous(letter)]
            (odd if foreign else codes)[int(filled[i])] = foreign or found
        return odd, codes

    def _add(self, finding: str, rows: Sequence[int] | Wrong, action: str) -> None:
        """Add a finding on records, with the letters and the position of the first where `rows` have them."""
        first = next(iter(rows), -1)
        example = "" if first < 0 else self._place(first)
        if isinstance(rows, dict) and rows:
            counts = Counter(letter for found in rows.values() for _, letter in found)
            listed = ", ".join(f"{shown(letter, 20)} {count:,}" for letter, count in counts.most_common(5))
            finding += f" ({listed}{', ...' if len(counts) > 5 else ''})"
            given = self.letters.normalize([self.records.sequences[first]])[0]
            ungapped = [i for i, letter in enumerate(given, 1) if letter not in self.gaps]
            example += f", position {ungapped[rows[first][0][0]]}"
        total = len(self.records.sequences)
        self.findings.append(Finding(finding, len(rows), total, example, action if rows else ""))


# What was found in the sequences that could be read.


def _pair(place: Place, i: int, j: int) -> str:
    return f"{place(min(i, j))} and {place(max(i, j))}"


def _copies(data: Dataset, count: int, place: Place) -> Iterator[Finding]:
    """Yield findings on copies, other strands and near copies; `count` is that of the held-out rows."""
    if len(data) < 2:
        return
    n, same, rows = len(data), equal_sequences(data.sequences), np.arange(len(data))
    repeats = np.flatnonzero(same != rows)
    example = _pair(place, int(same[repeats[0]]), int(repeats[0])) if len(repeats) else ""
    cure = "keep one of each, unless their numbers mean something" if len(repeats) > n / 2 else ""
    yield Finding("copies of earlier sequences", len(repeats), n, example, cure)
    copy_of = copies(data)
    if data.alphabet.complement is not None:
        others = np.flatnonzero((same == rows) & (copy_of != rows))
        example = _pair(place, int(copy_of[others[0]]), int(others[0])) if len(others) else ""
        yield Finding("reverse complements of earlier sequences", len(others), n, example)
    if data.tokens.size > MOST_SEARCHED:
        return
    family = families(data, n)[0]
    firsts = np.flatnonzero(copy_of == rows)
    near = np.flatnonzero((np.bincount(family[firsts], minlength=n) > 1)[family])  # families of more than copies
    example = cure = ""
    if len(near):
        other = near[(family[near] == family[near[0]]) & (copy_of[near] != copy_of[near[0]])][0]
        example = _pair(place, int(near[0]), int(other))
    large = int((np.bincount(family)[family[near]] > max(count, 1)).sum())
    if large and count:
        cure = (
            f"{large:,} of them are in families too large to be held out together, so held-out metrics flatter models "
            f"that memorise: give sequences of another source as {argument('validation')}"
        )
    yield Finding("near copies of other sequences", len(near), n, example, cure)


def equal_sequences(sequences: Iterable[str]) -> np.ndarray:
    """Return the first row that holds the same string, for each row; shape (N,)."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(sequence, i) for i, sequence in enumerate(sequences)])


def _lengths(data: Dataset, place: Place) -> Iterator[Finding]:
    counts = np.bincount(data.lengths)
    usual = int(counts.argmax())
    others = np.flatnonzero(data.lengths != usual)
    example = cure = ""
    if len(others):
        letters = int(data.lengths[others[0]])
        example = f"{place(int(others[0]))}: {letters:,} letter{'s' * (letters != 1)}"
    if 0 < len(others) <= STRAY * len(data):
        cure = "correct them or leave them out if all were meant to have one length"
    yield Finding(
        f"sequences of another length than {usual:,}, the most frequent", len(others), len(data), example, cure
    )


def _complexity(data: Dataset, place: Place) -> Iterator[Finding]:
    if data.alphabet.name not in ("dna", "rna", "protein"):
        return
    low = np.flatnonzero(dust(data) > MASKED)
    cure = "leave them out, unless such repeats are to be learned" if len(low) > REPETITIVE * len(data) else ""
    yield Finding("sequences of low complexity", len(low), len(data), place(int(low[0])) if len(low) else "", cure)


def _crossing(data: Dataset, held: np.ndarray, place: Place) -> Iterator[Finding]:
    """Yield the finding on held-out rows that share letters with training rows."""
    if data.tokens.size > MOST_SEARCHED:
        return
    relative = relatives(data, held, SHARED)
    crossing, total = np.flatnonzero(relative >= 0), int(held.sum())
    example = _pair(place, int(relative[crossing[0]]), int(crossing[0])) if len(crossing) else ""
    cure = ""
    if len(crossing) > CROSSING * total:
        cure = f"hold out whole clusters: give those that seqdiff.data.cluster_split finds as {argument('validation')}"
        if (largest := int(np.bincount(cluster(data, SHARED)).max())) > len(data) / 2:  # a split would leave outsiders
            cure = f"give sequences of another source as {argument('validation')} ({largest:,} are one cluster)"
        cure += "; else held-out metrics flatter models that memorise"
    yield Finding(
        f"held-out sequences that share {SHARED} letters with training ones", len(crossing), total, example, cure
    )


def _size(data: Dataset, train: int, weights: int, validated: int) -> Iterator[Finding]:
    most = round(BITS_PER_WEIGHT * weights / (data.lengths.mean() * np.log2(len(data.alphabet))))
    cure = ""
    if train < FEWEST_HELD or (train <= most and validated < FEWEST_HELD):
        cure = "give at least hundreds for new sequences of the same kind, as so few can only be memorised"
        if train >= 10 * FEWEST_HELD:
            held_out = f"hold out {FEWEST_HELD} or more by {argument('validation')}"
            cure = f"{held_out}, so that training is stopped before the others are memorised"
    yield Finding(f"training sequences that {weights:,} weights can memorise", min(train, most), train, "", cure)


# Labels.


def _labels(data: Dataset, y: np.ndarray, kind: TargetLike, weighted: bool, place: Place) -> Iterator[Finding]:
    """Yield findings on each column of labels: missing, all alike, classes of different sizes, conflicts of copies."""
    target, same = learn_target(y, kind), equal_sequences(data.sequences)
    learned = target.columns if isinstance(target, Targets) else (target,)
    for (name, labels), column in zip(columns_of(only_column(y), kind).items(), learned, strict=True):
        who, encoded = f"{named_label(name)}: ", column.encode(labels)
        known, total = encoded["keep"], int(encoded["keep"].sum())
        if total < len(data):
            yield Finding(f"{who}missing labels", len(data) - total, len(data), place(int(known.argmin())))
        is_class = column.kind == "class"
        if len(column.classes_) == 1 if is_class else np.array_equal(*column.range_):  # type: ignore[misc]
            cure = f"leave {argument('y')} out, or give other labels, as these tell nothing apart"
            yield Finding(f"{who}labels that are all alike", total, total, "", cure)
        elif is_class and not likely_values(labels, kind_of_column(kind, name)):
            yield from _imbalance(who, column.classes_, encoded["label"], known, weighted, place)
        numbers = encoded.get("label" if is_class else "value", np.zeros((len(data), 0)))  # no signals
        conflicts = _conflicts(same, numbers.reshape(len(data), -1), known, 0.0 if is_class else 1.0)
        if len(conflicts):
            first, *others = conflicts.tolist()
            other = next(i for i in others if same[i] == same[first])
            cure = "keep one label for each sequence, the mean of values that were measured several times"
            yield Finding(f"{who}copies with different labels", len(conflicts), total, _pair(place, first, other), cure)


def _imbalance(
    who: str, classes: list[Any], codes: np.ndarray, known: np.ndarray, weighted: bool, place: Place
) -> Iterator[Finding]:
    counts = np.bincount(codes[known], minlength=len(classes))
    rare, common = int(counts.argmin()), int(counts.argmax())
    if counts[rare] == counts[common]:
        return
    cure = ""
    if counts[common] > IMBALANCE * counts[rare] and not weighted:
        cure = "give more of them, or let all classes count alike by sample_weight='balanced' in fit"
    names = [shorten(shown(classes[k]), 30) for k in (rare, common)]
    finding = f"{who}sequences of the rarest class, {names[0]} (of {names[1]}: {counts[common]:,})"
    first = int(np.flatnonzero(known & (codes == rare))[0])
    yield Finding(finding, int(counts[rare]), int(counts.sum()), place(first), cure)


def _conflicts(same: np.ndarray, labels: np.ndarray, known: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the rows with known labels (n, c) of sequences whose labels differ by more than the tolerance."""
    conflict = np.zeros(len(same), dtype=bool)
    for column in labels.T:
        low, high = np.full(len(same), np.inf), np.full(len(same), -np.inf)
        np.minimum.at(low, same[known], column[known])
        np.maximum.at(high, same[known], column[known])
        conflict |= known & ((high - low)[same] > tolerance)
    return np.flatnonzero(conflict)
