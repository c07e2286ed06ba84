"""One split for all: what to learn from, what to choose by, what to judge by."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqdiff.data import Dataset, LengthDistribution, class_codes, cluster_split, learn_target, prepare, read_records
from seqdiff.data.split import NOT_BY_CLUSTERS, deal, families, given_part, share_of
from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.evaluation import MarkovChain, PositionalMarkov, PositionWeightMatrix, kmer_size, summary
from seqdiff.inputs import LabelsLike, SequencesLike

SIDES = ("train", "valid", "test")


@dataclass(frozen=True)
class Parts:
    """The three parts of the data, how they were made, and what a user should know of them."""

    train: Dataset
    valid: Dataset
    test: Dataset
    how: str
    notes: tuple[str, ...]


def make_parts(
    X: SequencesLike,
    y: LabelsLike = None,
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
    InputError
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
    given, shares = {}, {"valid": 0.0, "test": 0.0}
    for side, name, value in (("valid", "validation", validation), ("test", "test", test)):
        if (share := share_of(name, value, " or sequences")) is None:
            given[side] = _held_out(name, value, data, options)
        else:
            shares[side] = share
    sides, how, notes = _sides(data, X, split, shares, sequence_column, random_state)
    parts = {side: given.get(side, data.take(sides == side)) for side in SIDES}
    for side, purpose in (("train", "learn from"), ("test", "judge by")):
        if not len(parts[side]):
            together = " as copies stay on one side" if len(set(data.sequences)) < len(data) else ""
            cure = f"give more sequences, or another {argument('split')} or share"
            raise InputError(data.source, f"no sequence left to {purpose}{together}", "at least one", cure)
    return Parts(**parts, how=how, notes=(*data.notes, *notes))


def _held_out(name: str, value: Any, data: Dataset, options: dict[str, Any]) -> Dataset:
    if value is None:
        raise InputError(argument(name), "None", "a share, or sequences to hold out", "give one of these")
    held = given_part(value, data, **options)
    y = argument("y")
    if held.y is None and data.y is not None:
        cure = f"give (sequences, labels), or leave out {y}"
        raise InputError(argument(name), "sequences without labels", f"labels too, as {y} was given", cure)
    if held.y is not None and data.y is None:
        cure = f"give sequences alone, or {y} as well"
        raise InputError(argument(name), "sequences with labels", f"none, as {y} was left out", cure)
    return held


def _sides(
    data: Dataset,
    X: SequencesLike,
    split: Any,
    shares: dict[str, float],
    sequence_column: str | None,
    random_state: int,
) -> tuple[np.ndarray, str, list[str]]:
    """Return the side of each sequence, how it was found, and notes."""
    if not isinstance(split, str):
        return _named_sides(np.asarray(split, dtype=object), data, argument("split")), "as given", []
    if split not in ("auto", "cluster", "random"):
        try:
            labels = read_records(X, split, sequence_column=sequence_column).y
        except InputError as error:
            wanted = f"'auto', 'cluster', 'random' or the name of a column ({error.parts[2]})"
            raise InputError(argument("split"), shown(split), wanted, "give one of these") from None
        return _named_sides(np.asarray(labels, dtype=object), data, f"column {split!r}"), f"column {split!r}", []
    if sum(shares.values()) >= 1:
        where = f"{argument('validation')} and {argument('test')}"
        wanted = "a sum below 1, as these shares leave nothing to train on"
        raise InputError(where, f"{shares['valid']:g} and {shares['test']:g}", wanted, "give smaller ones")
    classes = [] if data.y is None else class_codes(learn_target(data.y), data.y)
    if split == "cluster" or (split == "auto" and data.alphabet.complement is not None):
        sides = cluster_split(
            data, valid=shares["valid"], test=shares["test"], random_state=random_state, classes=classes
        )
        enough = all((sides == side).sum() >= 0.5 * share * len(data) for side, share in shares.items())
        if split == "cluster" or enough:
            return sides, "clusters that share 20 letters", []
        sides, more = _random_sides(data, shares, random_state, classes)
        return sides, "at random", [NOT_BY_CLUSTERS, *more]
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
        wanted = f"a side for each of the {data.n_read} sequences"
        raise InputError(name, f"shape {labels.shape}", wanted, "give as many")
    wrong = [i for i, label in enumerate(labels) if label not in SIDES]
    if wrong:
        raise InputError(f"{name}, entry {wrong[0]}", shown(labels[wrong[0]]), listed(SIDES), "give one of these")
    return labels[data.kept].astype("<U5")


# What every contestant is judged by: the same held-out sequences, the same natural ones beside its samples.


@dataclass
class Result:
    """What is known of one row; a list entry for each seed that was trained to the end.

    Attributes
    ----------
    nats : list of ndarray
        Log-likelihood of each held-out sequence, or its bound.
    monte_carlo : list of float
        Standard error of the total of `nats` that comes from drawing noise.
    quality : list of dict
        As `seqdiff.evaluation.summary` returns them.
    seconds, cpu_seconds, rate : list of float
        To fit, by the clock and on the processor; sequences generated per second.
    """

    name: str
    bound: str | None
    baseline: bool = False
    nats: list[np.ndarray] = field(default_factory=list)
    monte_carlo: list[float] = field(default_factory=list)
    quality: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    run_dirs: list[str] = field(default_factory=list)
    seeds: int = 0
    status: str = "waiting"


class Judge:
    """Scores held-out sequences and looks at samples, the same way for all.

    Parameters
    ----------
    parts : Parts
    samples : int
        Sequences that each contestant writes; 0 for none.
    k : int, optional
        Letters of a k-mer; None chooses.
    steps, times : int, optional
        Of `generate` and `score_samples`.
    random_state : int
        Seed of samples, noise and shuffling.
    """

    def __init__(
        self,
        parts: Parts,
        samples: int,
        k: int | None = None,
        steps: int | None = None,
        times: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.parts, self.samples, self.steps, self.times = parts, samples, steps, times
        self.random_state = random_state
        # A length that training lacked is impossible to all alike.
        possible = np.isfinite(LengthDistribution.fit(parts.train.lengths).log_prob(parts.test.lengths))
        self.left_out = int((~possible).sum())
        if not possible.any():
            found, wanted = "no sequence of a length that training has", "at least one to judge by"
            raise InputError(argument("test"), found, wanted, f"give another one, or another {argument('split')}")
        self.test = parts.test.take(possible)
        every = (parts.train, parts.valid, parts.test)
        self.natural = [s for part in every for s in part.sequences]
        self.labels = None if parts.train.y is None else np.concatenate([part.y for part in every])
        self.lengths = np.concatenate([part.lengths for part in every])
        self.k = kmer_size(len(parts.train.alphabet), self.lengths) if k is None else k

    def fit(self, model: Any, result: Result) -> None:
        """Fit an estimator or a baseline to the training part, choose by the validation part, and take the time."""
        train, valid = self.parts.train, self.parts.valid
        start, cpu = time.perf_counter(), time.process_time()
        if result.baseline:
            model.fit(train.sequences)
        else:
            held = None if not len(valid) else valid.sequences if valid.y is None else (valid.sequences, valid.y)
            model.fit(train.sequences, train.y, validation=held)
        result.seconds.append(time.perf_counter() - start)
        result.cpu_seconds.append(time.process_time() - cpu)

    def score(self, model: Any, result: Result, turn: int = 0) -> None:
        """Score the held-out sequences, each turn with noise of its own."""
        if result.baseline:
            result.nats.append(model.score_samples(self.test.sequences))
            result.monte_carlo.append(0.0)
        elif result.bound is not None:
            nats, error = model.score_samples(
                self.test.sequences,
                self.test.y,
                times=self.times,
                random_state=self.random_state + turn,
                return_error=True,
            )
            result.nats.append(nats)
            result.monte_carlo.append(float(np.sqrt((error**2).sum())))

    def sample(self, model: Any, result: Result, turn: int = 0) -> list[str]:
        """Let the model write sequences, and look at them."""
        if not self.samples:
            return []
        options: dict[str, Any] = {} if result.baseline else {"steps": self.steps}
        if self.labels is not None and not result.baseline:  # labels as frequent as they are in the data
            rows = np.random.default_rng(self.random_state).integers(len(self.labels), size=self.samples)
            options["y"] = self.labels[rows]
            if self.labels.ndim == 3:
                options["length"] = self.lengths[rows]
        start = time.perf_counter()
        written = model.generate(self.samples, random_state=self.random_state + turn, **options)
        result.rate.append(self.samples / (time.perf_counter() - start))
        train = self.parts.train.sequences
        figures = summary(written, self.natural, train, k=self.k, random_state=self.random_state)
        result.quality.append(figures)
        return written

    def baselines(self) -> list[tuple[str, Any]]:
        """Return what any model should beat, by name; not fitted."""
        alphabet = self.parts.train.alphabet
        fixed = LengthDistribution.fit(self.parts.train.lengths).fixed
        found: list[tuple[str, Any]] = [("every letter alike", None)]
        if fixed:
            found.append(("position weight matrix", PositionWeightMatrix(alphabet=alphabet)))
        found.append(("Markov chain, order 5", MarkovChain(alphabet=alphabet)))
        if fixed:
            found.append(("positional Markov, order 3", PositionalMarkov(alphabet=alphabet)))
        return found

    def alike(self) -> np.ndarray:
        """Return the log-likelihood of the held-out sequences when all letters are equally likely."""
        log_length = LengthDistribution.fit(self.parts.train.lengths).log_prob(self.test.lengths)
        return log_length - self.test.lengths * np.log(len(self.test.alphabet))
