"""Held-out data: at random, or by clusters of sequences that share a k-mer on either strand.

Overlapping promoters or peaks that fall on both sides of a random split flatter a model; whole clusters do not.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqdiff.alphabets.alphabets import AlphabetLike
from seqdiff.data.dataset import Dataset, StoredData, prepare
from seqdiff.data.images import refuse_images
from seqdiff.data.store import mixed
from seqdiff.data.target import learn_target
from seqdiff.errors import InputError, argument, shown
from seqdiff.inputs import HeldOutLike, LabelsLike, SequencesLike, TargetLike
from seqdiff.parameters import Whole

NOT_BY_CLUSTERS = (
    "most of the sequences share 20 letters with others, so the held-out ones were drawn at random; likelihoods then "
    "flatter models that memorise"
)

MOST_SEARCHED = 20_000_000
"""Letters, padding included, in which near copies and shared k-mers are searched for before a fit."""


def share_of(name: str, value: object, others: str = "") -> float | None:
    """Return a share of the rows, the parameter `name`; refuse numbers below 0 or of 1 and above.

    `others` is the text of what else a user may give, for which None is returned; empty: a number is required.
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number and others:
        return None
    if not number or not 0 <= value < 1:  # type: ignore[operator]
        cure = "give one of these" if others else "give such a number"
        raise InputError(argument(name), shown(value), f"a share of at least 0 and below 1{others}", cure)
    return float(value)  # type: ignore[arg-type]


def given_part(value: HeldOutLike, train: Dataset | StoredData, target: TargetLike = "auto", **options: Any) -> Dataset:
    """Return held-out data that a user gave: sequences or a file, or a pair of these and their labels.

    The labels of `train` say how the others are read; `options` are those of `prepare`.
    """
    X: Any = value
    y: LabelsLike = None
    if isinstance(value, tuple) and len(value) == 2:
        first, second = value
        if not isinstance(first, str) or not isinstance(second, str) or Path(first).is_file():
            X, y = first, second  # else two sequences
    return prepare(X, y, target="auto" if train.y is None else learn_target(train.y, target), **options)


def held_count(n: int, fraction: float) -> int:
    """Return how many of n rows a share holds out: one at least where it is above 0, and never all."""
    share_of("validation", fraction)
    return 0 if fraction == 0 or n < 2 else min(max(1, round(n * fraction)), n - 1)


def random_split(n: int, fraction: float, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which of n rows to train on and which share to validate on, both sorted.

    At least one row validates when fraction > 0 and n >= 2, and at least one trains; `random_state` is the seed.

    >>> from seqdiff.data import random_split
    >>> train, valid = random_split(10, 0.2, random_state=0)
    >>> len(train), len(valid), sorted([*train, *valid]) == list(range(10))
    (8, 2, True)
    """
    count = held_count(n, fraction)
    shuffled = np.random.default_rng(random_state).permutation(n)
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


def hold_out(
    data: Dataset, fraction: float, random_state: int, classes: Sequence[np.ndarray] = ()
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return rows to train on and rows to validate on: at random, families on one side, and every class in training.

    Rows are shuffled; going through them, a sequence with all its `families` is held out while the share allows.
    Without copies, near copies and classes that would be held out whole, this is `random_split`.

    Parameters
    ----------
    data : Dataset
    fraction : float
        Share of the validation rows.
    random_state : int
    classes : sequence of arrays (N,)
        Codes of the classes of each row, -1 where there is none; one array for each column of labels. The first row of
        a class that is held out whole goes to training, with its copies.

    Returns
    -------
    train, valid : ndarray
        Row numbers, sorted. None validate where all sequences are copies of one another.
    notes : list of str
        Notes for the user.
    """
    count = held_count(len(data), fraction)
    family, notes = families(data, count)
    held = deal(family, [count], random_state, classes) == 0
    if count and notes and not held.any():
        notes = [f"{notes[0].split(':')[0]}, too many to hold some out: nothing is validated; give "
                 f"{argument('validation')} other sequences"]  # fmt: skip
    return np.flatnonzero(~held), np.flatnonzero(held), notes


def hold_out_stored(
    data: StoredData, fraction: float, random_state: int, classes: Sequence[np.ndarray] = ()
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return rows of a store to train on, rows to validate on, and notes: copies on one side, classes in training.

    A sequence is held out by its mark alone (`store.marks_of`), so that no rows need be compared and about the share
    is held out.

    Parameters
    ----------
    data : StoredData
    fraction, random_state, classes
        As of `hold_out`.
    """
    share_of("validation", fraction)
    marks = data.store.marks[data.kept]
    seed, below = mixed(np.array([random_state], np.uint64)), np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))
    parts = np.array_split(marks, 1 + len(marks) // (1 << 20))  # of a bounded memory
    held = np.concatenate([mixed(part ^ seed) < below for part in parts])
    side = np.where(held, np.int8(0), np.int8(-1))
    if (side == 0).all():
        side[marks == marks[0]] = -1
    _learn_every_class(side, marks, classes)
    notes = []
    marks.sort()
    if copies := int((marks[1:] == marks[:-1]).sum()):
        strands = " (or of its other strand)" if data.alphabet.complement is not None else ""
        found = f"{copies:,} of {len(marks):,} sequences are copies of an earlier one{strands}"
        notes.append(f"{found}: copies stay on one side of the split")
    return np.flatnonzero(side < 0), np.flatnonzero(side == 0), notes


def families(data: Dataset, largest: int) -> tuple[np.ndarray, list[str]]:
    """Return the first row of each row's family, (N,), which stays on one side of a split, and notes for the user.

    A family are the copies of a sequence (dna, rna: on either strand) and its near copies: sequences of equal length,
    of at least 20 letters, of which at most one in ten differs, and the near copies of those. Near copies of more than
    `largest` rows, those of the largest held-out side, fit no side: there copies alone are a family. Data of more than
    `MOST_SEARCHED` letters are not searched for near copies.
    """
    n, copy_of = len(data), copies(data)
    notes: list[str] = []
    if not largest:
        return copy_of, notes
    if several := int((np.bincount(copy_of)[copy_of] > 1).sum()):
        strands = " (or of its other strand)" if data.alphabet.complement is not None else ""
        found = f"{several:,} of {n:,} sequences are copies of one another{strands}"
        notes.append(f"{found}: copies stay on one side of the split")
    if data.tokens.size > MOST_SEARCHED:
        return copy_of, notes
    near = _components(n, np.concatenate([[np.arange(n), copy_of], near_copies(data)], axis=1))
    _, first, which, size = np.unique(near, return_index=True, return_inverse=True, return_counts=True)
    merged = np.isin(which, which[first[which] != copy_of])  # whole families that have more than copies
    fits = size[which] <= largest
    if stay := int((merged & fits).sum()):
        notes.append(f"{stay:,} of {n:,} sequences are near copies, of which one letter in ten or fewer differs: they "
                     "stay on one side of the split")  # fmt: skip
    if large := int((merged & ~fits).sum()):
        notes.append(f"{large:,} of {n:,} sequences are near copies in families too large for one side: they are split "
                     "at random, and held-out metrics flatter models that memorise")  # fmt: skip
    return np.where(fits, first[which], copy_of), notes


def near_copies(data: Dataset) -> np.ndarray:
    """Return edges (2, E) between near copies (see `families`): by chains of them all that are found are joined.

    Of l letters at most d = l // 10 differ, so that one of d + 1 pieces is equal in both: rows are compared with the
    next 16 that have a piece in common.
    """
    strands, rows, spans = _both_strands(data)
    edges = [np.zeros((2, 0), dtype=np.int64)]
    for length in np.unique(spans[spans >= 20]).tolist():
        these = np.flatnonzero(spans == length)
        tokens, differ = strands[these, :length], length // 10
        ends = np.linspace(0, length, differ + 2).astype(int)
        for start, stop in zip(ends[:-1], ends[1:], strict=True):
            codes = kmer_codes(tokens[:, start:stop], stop - start, len(data.alphabet))[:, 0]
            order = np.argsort(codes, kind="stable")
            for further in range(1, 17):
                a, b = order[:-further], order[further:]
                same = codes[a] == codes[b]
                if not same.any():
                    break
                a, b = a[same], b[same]
                near = (tokens[a] != tokens[b]).sum(1) <= differ
                edges.append(rows[these[np.stack([a[near], b[near]])]])
    return np.concatenate(edges, axis=1)


def deal(
    family: np.ndarray, counts: Sequence[int], random_state: int, classes: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Return the side of each row (N,): shuffled, families together, at most `counts` a side; -1, training, else.

    `family` is that of `families`, `classes` are those of `hold_out`.
    """
    shuffled = np.random.default_rng(random_state).permutation(len(family))
    size, side_of = np.bincount(family, minlength=len(family)), np.full(len(family), -1)
    firsts = list(dict.fromkeys(family[shuffled].tolist()))
    side_of[firsts] = _fill(size[firsts].tolist(), counts)
    side = side_of[family]
    _learn_every_class(side, family, classes)
    return side


def _fill(sizes: Iterable[int], counts: Sequence[int]) -> list[int]:
    """Return a side for each group in turn: the first with room left for it of at most `counts` rows, else -1."""
    room, sides = list(counts), []
    for size in sizes:
        side = next((i for i, left in enumerate(room) if size <= left), -1)
        if side >= 0:
            room[side] -= size
        sides.append(side)
    return sides


def _learn_every_class(side: np.ndarray, group: np.ndarray, classes: Sequence[np.ndarray]) -> None:
    """Move to training, side -1, the group of the first row of each class that it lacks."""
    for codes in classes:
        for code in np.setdiff1d(np.unique(codes[side >= 0]), [*np.unique(codes[side < 0]), -1]):
            side[group == group[np.flatnonzero(codes == code)[0]]] = -1


def copies(data: Dataset) -> np.ndarray:
    """Return the first row that holds the same sequence, or its other strand, for each row; shape (N,)."""
    rows = np.column_stack([data.lengths, np.where(data.real, data.tokens, 0)])
    if data.alphabet.complement is not None:
        other = np.column_stack([data.lengths, data.reverse_complements])
        differs = rows != other
        first = differs.argmax(1)
        swap = differs.any(1) & (np.take_along_axis(rows > other, first[:, None], 1)[:, 0])
        rows = np.where(swap[:, None], other, rows)  # of the two strands the one that sorts first
    _, first, which = np.unique(np.ascontiguousarray(rows), axis=0, return_index=True, return_inverse=True)
    return first[which.reshape(len(data))]


def cluster_split(
    sequences: Dataset | SequencesLike,
    *,
    k: int = 20,
    valid: float = 0.1,
    test: float = 0.1,
    random_state: int = 0,
    alphabet: AlphabetLike = "auto",
    classes: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Return train, valid and test such that no k-mer, on either strand, occurs on two sides.

    Sequences that share a k-mer with each other, or with each other's reverse complement (dna, rna), are one cluster;
    one shorter than k is in a cluster with its equals. Clusters, sorted by their first row, are shuffled; going through
    them, one goes to test while test stays within its share, else to valid while valid does, else to train.

    Parameters
    ----------
    sequences : Dataset, or anything that `prepare` takes
    k : int
        Letters that two sequences of a cluster share.
    valid, test : float
        Largest shares of the rows.
    random_state : int
        Seed of the shuffle.
    alphabet : str or Alphabet
        As in `prepare`.
    classes : sequence of arrays (N,)
        As of `hold_out`: a class that training lacks is moved there with the cluster of its first row.

    Returns
    -------
    ndarray of str, shape (N,)
        ``"train"``, ``"valid"`` or ``"test"`` for each row.

    Examples
    --------
    >>> from seqdiff.data import cluster_split
    >>> split = cluster_split(["AACCG", "CGGTT", "TTTTT", "GAGAG"], k=4, valid=0.25, test=0.25)
    >>> bool(split[0] == split[1])  # CGGTT is AACCG's other strand
    True
    """
    Whole(1).check("k", k)
    share_of("valid", valid)
    share_of("test", test)
    if valid + test >= 1:
        found = f"{argument('valid', valid)} and {argument('test', test)}, which leave nothing to train on"
        raise InputError("shares", found, "two whose sum is below 1", "make one of them smaller")
    data = sequences if isinstance(sequences, Dataset) else prepare(sequences, alphabet=alphabet)
    refuse_images(data.alphabet, "clusters by k-mers")
    group = cluster(data, int(k))
    order = np.argsort(group, kind="stable")
    clusters = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)  # rows ascending
    clusters.sort(key=lambda rows: rows[0])
    np.random.default_rng(random_state).shuffle(clusters)  # type: ignore[arg-type]
    sides = _fill(map(len, clusters), [int(test * len(data)), int(valid * len(data))])
    split = np.full(len(data), -1)
    split[np.concatenate(clusters)] = np.repeat(sides, [len(rows) for rows in clusters])
    _learn_every_class(split, group, classes)
    return np.array(["test", "valid", "train"])[split]


def relatives(data: Dataset, held: np.ndarray, k: int = 20) -> np.ndarray:
    """Return for each row a training row with which it shares k letters, on either strand; -1 where there is none.

    `held` (N,) is True at the held-out rows, for which alone rows are looked for.
    """
    strands, rows, spans = _both_strands(data)
    relative = np.full(len(data), -1)
    if strands.shape[1] < k or not held.any():
        return relative
    codes = kmer_codes(strands, k, len(data.alphabet))  # (2N, L - k + 1)
    real = np.arange(codes.shape[1]) <= (spans - k)[:, None]
    own = real[: len(data)] & held[:, None]
    known, which = np.unique(codes[: len(data)][own], return_inverse=True)
    if not len(known):
        return relative
    found = np.full(len(known), -1)
    likely = np.zeros(1 << 24, dtype=bool)  # a look-up here is far cheaper than one in `known`, and rules out most
    likely[_slots(known)] = True
    training = np.flatnonzero(~held[rows])
    for part in np.array_split(training, 1 + training.size * codes.shape[1] // 1_000_000):  # of a bounded memory
        windows, row = codes[part], rows[part]
        i, j = np.nonzero(likely[_slots(windows)] & real[part])
        at = np.minimum(np.searchsorted(known, windows[i, j]), len(known) - 1)
        same = known[at] == windows[i, j]
        found[at[same]] = row[i[same]]
    np.maximum.at(relative, np.nonzero(own)[0], found[which.ravel()])
    return relative


def cluster(data: Dataset, k: int) -> np.ndarray:
    """Return the cluster number of each sequence, (N,): components joined by a shared k-mer on either strand."""
    strands, rows, spans = _both_strands(data)
    edges = [np.zeros((2, 0), dtype=np.int64)]
    if strands.shape[1] >= k:
        codes = kmer_codes(strands, k, len(data.alphabet))  # (2N, L - k + 1)
        real = np.arange(codes.shape[1]) <= (spans - k)[:, None]
        edges.append(_equal_neighbours(codes[real], np.repeat(rows, real.sum(1))))
    short = np.flatnonzero(spans < k)
    if len(short):  # whole sequences, with their lengths: zeros pad them, and 0 is a letter
        _, code = np.unique(np.column_stack([spans[short], strands[short][:, :k]]), axis=0, return_inverse=True)
        edges.append(_equal_neighbours(code.ravel(), rows[short]))
    return _components(len(data), np.concatenate(edges, axis=1))


def _components(n: int, edges: np.ndarray) -> np.ndarray:
    """Return the number of the component of each of n rows, shape (N,), that edges (2, E) join."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(edges.shape[1], dtype=bool), tuple(edges)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _both_strands(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tokens, the rows that they are of, and lengths: of both strands where the alphabet has complements."""
    tokens, rows, lengths = data.tokens, np.arange(len(data)), data.lengths
    if data.alphabet.complement is None:
        return tokens, rows, lengths
    return np.concatenate([tokens, data.reverse_complements]), np.tile(rows, 2), np.tile(lengths, 2)


def kmer_codes(tokens: np.ndarray, k: int, letters: int) -> np.ndarray:
    """Return a number for the k-mer at each position, shape (N, L - k + 1); equal numbers, equal k-mers.

    The k-mer itself in base `letters` where 63 bits hold it; else the ranks of its two (overlapping) halves.
    """
    width = tokens.shape[1] - k + 1
    if letters**k < 2**63:
        codes = np.zeros((len(tokens), width), dtype=np.int64)
        for j in range(k):
            codes *= letters
            codes += tokens[:, j : j + width]
        return codes
    half = (k + 1) // 2
    known, rank = np.unique(kmer_codes(tokens, half, letters), return_inverse=True)
    rank = rank.reshape(len(tokens), -1).astype(np.int64)
    return rank[:, :width] * len(known) + rank[:, k - half : k - half + width]


def _slots(codes: np.ndarray) -> np.ndarray:
    """Return a number of 24 bits for each code, by Fibonacci hashing (Knuth, volume 3, section 6.4)."""
    return (codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)


def _equal_neighbours(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return edges (2, E) that join the rows of equal codes into one component."""
    order = np.argsort(codes)
    codes, rows = codes[order], rows[order]
    same = codes[1:] == codes[:-1]
    return np.stack([rows[:-1][same], rows[1:][same]])
