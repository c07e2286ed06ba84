"""One split for all: what to learn from, what to choose by, what to judge by."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqdiff.data import Dataset, class_codes, cluster_split, learn_target, prepare, read_records
from seqdiff.data.split import deal, families

SIDES = ("train", "valid", "test")


@dataclass(frozen=True)
class Parts:
    """The three parts of the data, how they were made, and what a person should know of them."""

    train: Dataset
    valid: Dataset
    test: Dataset
    how: str
    notes: tuple[str, ...]


def make_parts(
    X: Any,
    y: Any = None,
    *,
    split: Any = "auto",
    validation: Any = 0.1,
    test: Any = 0.1,
    alphabet: Any = "auto",
    length: int | None = None,
    ambiguous: str = "error",
    sequence_column: str | None = None,
    random_state: int = 0,
) -> Parts:
    """Read the data and divide it.

    Parameters
    ----------
    X, y
        As in `fit`.
    split : {"auto", "cluster", "random"}, array or str
        ``"cluster"`` keeps sequences that share a 20-mer on either strand on one side (`seqdiff.data.cluster_split`),
        ``"auto"`` does so for DNA and RNA wherever that leaves enough to judge by. An array says ``"train"``,
        ``"valid"`` or ``"test"`` for each sequence; any other string is the name of such a column.
    validation, test : float, sequences or (X, y)
        Shares, or held-out sequences; `split` then divides only what remains to be divided.
    alphabet, length, ambiguous, sequence_column
        As in the estimators.
    random_state : int
        Seed of the split.

    Raises
    ------
    ValueError
        If the data cannot be read, or a part to learn from or to judge by is empty.

    Examples
    --------
    >>> parts = make_parts(["ACGT", "AAGT", "CCGT", "TTAA"], split=["train", "train", "valid", "test"])
    >>> len(parts.train), parts.valid.sequences, parts.test.sequences
    (2, ['CCGT'], ['TTAA'])
    """
    options: dict[str, Any] = {"length": length, "ambiguous": ambiguous, "sequence_column": sequence_column}
    data = prepare(X, y, alphabet=alphabet, **options)
    options["alphabet"] = data.alphabet
    given = {
        side: _held_out(side, value, data, options)
        for side, value in (("valid", validation), ("test", test))
        if not _is_share(value)
    }
    shares = {side: 0.0 if side in given else float(value) for side, value in (("valid", validation), ("test", test))}
    sides, how, notes = _sides(data, X, split, shares, sequence_column, random_state)
    parts = {side: given.get(side, data.take(sides == side)) for side in SIDES}
    for side, purpose in (("train", "learn from"), ("test", "judge by")):
        if not len(parts[side]):
            together = " as copies stay on one side" if len(set(data.sequences)) < len(data) else ""
            raise ValueError(
                f"no sequence of {data.source} is left to {purpose}{together}; give more of them, or another split or "
                "share"
            )
    return Parts(**parts, how=how, notes=(*data.notes, *notes))


def _is_share(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def _held_out(side: str, value: Any, data: Dataset, options: dict[str, Any]) -> Dataset:
    name = "validation" if side == "valid" else "test"
    if value is None:
        raise ValueError(f"{name}=None is not possible here: give a share or sequences to hold out")
    pair = isinstance(value, tuple) and len(value) == 2
    if pair and all(isinstance(part, str) for part in value):  # a file and its column, or two sequences
        pair = Path(value[0]).is_file()
    known: Any = "auto" if data.y is None else learn_target(data.y)
    held = prepare(*(value if pair else (value, None)), target=known, **options)
    if (held.y is None) != (data.y is None):
        raise ValueError(f"y and the labels of {name} go together; give {name} as (sequences, labels), or leave out y")
    return held


def _sides(
    data: Dataset, X: Any, split: Any, shares: dict[str, float], sequence_column: str | None, random_state: int
) -> tuple[np.ndarray, str, list[str]]:
    """Return the side of each sequence, how it was found, and notes."""
    if not isinstance(split, str):
        return _named_sides(np.asarray(split, dtype=object), data, "split"), "as given", []
    if split not in ("auto", "cluster", "random"):
        try:
            labels = read_records(X, split, sequence_column=sequence_column).y
        except ValueError as error:
            raise ValueError(
                f"split={split!r} is neither 'auto', 'cluster' or 'random' nor the name of a column: "
                f"{str(error).removeprefix(f'y={split!r} ')}"
            ) from None
        return _named_sides(np.asarray(labels, dtype=object), data, f"column {split!r}"), f"column {split!r}", []
    for name, side in (("validation", "valid"), ("test", "test")):
        if not 0 <= shares[side] < 1:
            raise ValueError(f"{name}={shares[side]:g} is not a share; give one between 0 and 1, or sequences")
    if sum(shares.values()) >= 1:
        raise ValueError("validation and test leave nothing to train on; their sum must be below 1")
    classes = [] if data.y is None else class_codes(learn_target(data.y), data.y)
    if split == "cluster" or (split == "auto" and data.alphabet.complement is not None):
        sides = cluster_split(
            data, valid=shares["valid"], test=shares["test"], random_state=random_state, classes=classes
        )
        enough = all((sides == side).sum() >= 0.5 * share * len(data) for side, share in shares.items())
        if split == "cluster" or enough:
            return sides, "clusters that share 20 letters", []
        note = (
            "most of the sequences share 20 letters with others, so the held-out ones were drawn at random; likelihoods"
            " then flatter whatever learns by heart"
        )
        sides, more = _random_sides(data, shares, random_state, classes)
        return sides, "at random", [note, *more]
    sides, notes = _random_sides(data, shares, random_state, classes)
    return sides, "at random", notes


def _random_sides(
    data: Dataset, shares: dict[str, float], random_state: int, classes: list[np.ndarray]
) -> tuple[np.ndarray, list[str]]:
    """Return the sides, families of sequences on the same one, and notes."""
    n = len(data)
    counts: list[int] = []
    for share in shares.values():
        counts.append(min(max(1, round(share * n)), n - 1 - sum(counts)) if share else 0)
    family, notes = families(data, max(counts))
    return np.array([*shares, "train"])[deal(family, counts, random_state, classes)], notes


def _named_sides(labels: np.ndarray, data: Dataset, name: str) -> np.ndarray:
    if labels.shape != (data.n_read,):
        raise ValueError(f"{name} has shape {labels.shape}, but there are {data.n_read} sequences; give one side each")
    wrong = [i for i, label in enumerate(labels) if label not in SIDES]
    if wrong:
        raise ValueError(f"{name}, entry {wrong[0]}: found {labels[wrong[0]]!r}; give 'train', 'valid' or 'test'")
    return labels[data.kept].astype("<U5")
