"""One split of the data and one judge for every model: the same held-out sequences, the same natural sequences."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from seqdiff.data import Dataset, LengthDistribution, class_codes, cluster_split, learn_target, prepare, read_records
from seqdiff.data.images import refuse_images
from seqdiff.data.split import NOT_BY_CLUSTERS, deal, families, given_part, share_of
from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.estimators import SequenceGenerator
from seqdiff.evaluation import MarkovChain, PositionalMarkov, PositionWeightMatrix, kmer_size
from seqdiff.evaluation.baselines import Baseline
from seqdiff.evaluation.evaluating import FEWEST, Yardstick
from seqdiff.evaluation.results import Row
from seqdiff.inputs import HeldOutLike, LabelsLike, SequencesLike, SplitLike

SIDES = ("train", "valid", "test")


@dataclass(frozen=True)
class Parts:
    """Training, validation and test set, the kind of split, and notes for the user."""

    train: Dataset
    valid: Dataset
    test: Dataset
    how: str
    notes: tuple[str, ...]


def make_parts(
    X: SequencesLike,
    y: LabelsLike = None,
    *,
    split: SplitLike = "auto",
    validation: HeldOutLike = 0.1,
    test: HeldOutLike = 0.1,
    random_state: int = 0,
    **reading: Any,
) -> Parts:
    """Read the data, by `reading` as `prepare` takes it, and divide it; other parameters as of `seqdiff.compare`."""
    data = prepare(X, y, **reading)
    refuse_images(data.alphabet, "a comparison by k-mers")
    reading |= {"alphabet": data.alphabet}
    given, shares = {}, {"valid": 0.0, "test": 0.0}
    for side, name, value in (("valid", "validation", validation), ("test", "test", test)):
        if (share := share_of(name, value, " or sequences")) is None:
            given[side] = _held_out(name, value, data, reading)
        else:
            shares[side] = share
    notes: list[str] = []
    if not isinstance(split, str):
        sides, how = _named_sides(split, data, argument("split")), "as given"
    elif split in ("auto", "cluster", "random"):
        sides, how, notes = divide(data, shares, split, random_state)
    else:
        try:
            labels = read_records(X, split, sequence_column=reading.get("sequence_column")).y
        except InputError as error:
            wanted = f"'auto', 'cluster', 'random' or the name of a column ({error.parts[2]})"
            raise InputError(argument("split"), shown(split), wanted, "give one of these") from None
        how = f"column {split!r}"
        sides = _named_sides(labels, data, how)
    parts = {side: given.get(side, data.take(sides == side)) for side in SIDES}
    for side, name in (("train", "training set"), ("test", "test set")):
        if not len(parts[side]):
            together = " as copies stay on one side" if len(set(data.sequences)) < len(data) else ""
            cure = f"give more sequences, or another {argument('split')} or share"
            raise InputError(data.source, f"no sequence left for the {name}{together}", "at least one", cure)
    return Parts(**parts, how=how, notes=(*data.notes, *notes))


def _held_out(name: str, value: HeldOutLike, data: Dataset, reading: dict[str, Any]) -> Dataset:
    if value is None:
        raise InputError(argument(name), "None", "a share, or sequences to hold out", "give one of these")
    held = given_part(value, data, **reading)
    if (held.y is None) != (data.y is None):
        found = f"sequences {'without' if held.y is None else 'with'} labels"
        wanted = f"(sequences, labels) with {argument('y')}, sequences alone without it"
        raise InputError(argument(name), found, wanted, "give both labels or none")
    return held


def _named_sides(sides: object, data: Dataset, name: str) -> np.ndarray:
    labels = np.asarray(sides, dtype=object)
    if labels.shape != (data.n_read,):
        wanted = f"a side for each of the {data.n_read} sequences"
        raise InputError(name, f"shape {labels.shape}", wanted, "give as many")
    wrong = [i for i, label in enumerate(labels) if label not in SIDES]
    if wrong:
        raise InputError(f"{name}, entry {wrong[0]}", shown(labels[wrong[0]]), listed(SIDES), "give one of these")
    return labels[data.kept].astype("<U5")


def divide(
    data: Dataset, shares: dict[str, float], split: str = "auto", random_state: int = 0
) -> tuple[np.ndarray, str, list[str]]:
    """Return the side of each sequence, (n,), the kind of split, and notes.

    `shares` are those of ``"valid"`` and ``"test"``; `split` is ``"auto"``, ``"cluster"`` or ``"random"``, as of
    `seqdiff.compare`.
    """
    if sum(shares.values()) >= 1:
        where = f"{argument('validation')} and {argument('test')}"
        wanted = "a sum below 1, as these shares leave nothing to train on"
        raise InputError(where, f"{shares['valid']:g} and {shares['test']:g}", wanted, "give smaller ones")
    n = len(data)
    notes: list[str] = []
    classes = [] if data.y is None else class_codes(learn_target(data.y), data.y)
    if split == "cluster" or (split == "auto" and data.alphabet.complement is not None):
        sides = cluster_split(
            data, valid=shares["valid"], test=shares["test"], random_state=random_state, classes=classes
        )
        enough = all((sides == side).sum() >= 0.5 * share * n for side, share in shares.items())
        if split == "cluster" or enough:
            return sides, "clusters that share 20 letters", notes
        notes.append(NOT_BY_CLUSTERS)
    counts: list[int] = []
    for share in shares.values():
        counts.append(min(max(1, round(share * n)), n - 1 - sum(counts)) if share else 0)
    family, more = families(data, max(counts))
    sides = np.array([*shares, "train"])[deal(family, counts, random_state, classes)]
    return sides, "at random", notes + more


ALIKE, MATRIX = "every letter alike", "position weight matrix"
CHAIN, POSITIONAL = "Markov chain, order 5", "positional Markov, order 3"


@dataclass
class Trial:
    """Measurements of one fitted model."""

    nats: np.ndarray = field(default_factory=lambda: np.empty(0))  # of each held-out sequence; empty: no likelihood
    monte_carlo: float = 0.0  # standard error of the total of `nats` that comes from drawing noise
    seconds: float = float("nan")  # to fit
    cpu_seconds: float = float("nan")
    samples: list[str] = field(default_factory=list)
    sequences_per_second: float = float("nan")  # of sampling
    measured: Row | None = None  # the samples beside natural ones; None where there are too few of either
    run_dir: str | None = None


class Judge:
    """Fits, scores and samples every model in the same way; parameters as of `seqdiff.compare`.

    Attributes
    ----------
    test : Dataset
        The test sequences of a length that the training set makes possible; `left_out` counts the others.
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
        self.length_distribution = LengthDistribution.fit(parts.train.lengths)
        possible = np.isfinite(self.length_distribution.log_prob(parts.test.lengths))
        self.test, self.left_out = parts.test.take(possible), int((~possible).sum())
        every = (parts.train, parts.valid, parts.test)
        self.natural = [s for part in every for s in part.sequences]
        self.labels = None if parts.train.y is None else np.concatenate([part.y for part in every])
        self.lengths = np.concatenate([part.lengths for part in every])
        self.k = kmer_size(len(parts.train.alphabet), self.lengths) if k is None else k

    @cached_property
    def yardstick(self) -> Yardstick | None:
        """What samples are measured against, as by `seqdiff.evaluate`; None where there are too few sequences."""
        n, trained = min(self.samples, len(self.natural) // 2), self.parts.train.sequences
        if n < FEWEST or len(set(trained)) < 2:
            return None
        alphabet, told_apart = self.parts.train.alphabet, ("kmer",)
        return Yardstick(
            self.natural, alphabet, n, trained, k=self.k, discriminators=told_apart, seed=self.random_state
        )

    def measure(self, samples: list[str], name: str) -> Row | None:
        """Return the metrics of samples; None where there are too few sequences."""
        return None if self.yardstick is None else self.yardstick.measure(name, samples)

    def __call__(self, name: str, model: SequenceGenerator | Baseline, turn: int = 0) -> Trial:
        """Fit, score and sample a model; each turn draws noise of its own."""
        trial = Trial()
        self.fit(model, trial)
        self.score(model, trial, turn)
        self.sample(name, model, trial, turn)
        return trial

    def fit(self, model: SequenceGenerator | Baseline, trial: Trial) -> None:
        """Fit the model to the training set, with the validation set to choose its weights, and take the time."""
        train, valid = self.parts.train, self.parts.valid
        start, cpu = time.perf_counter(), time.process_time()
        if isinstance(model, Baseline):
            model.fit(train.sequences)
        else:
            held = None if not len(valid) else valid.sequences if valid.y is None else (valid.sequences, valid.y)
            model.fit(train.sequences, train.y, validation=held)
        trial.seconds, trial.cpu_seconds = time.perf_counter() - start, time.process_time() - cpu

    def score(self, model: SequenceGenerator | Baseline, trial: Trial, turn: int = 0) -> None:
        """Score the held-out sequences."""
        if isinstance(model, Baseline):
            trial.nats = model.score_samples(self.test.sequences)
        elif type(model).bound_ is not None:
            trial.nats, error = model.score_samples(
                self.test.sequences, self.test.y, times=self.times, random_state=self.random_state + turn,
                return_error=True,
            )  # fmt: skip
            trial.monte_carlo = float(np.sqrt((error**2).sum()))

    def sample(self, name: str, model: SequenceGenerator | Baseline, trial: Trial, turn: int = 0) -> None:
        """Generate sequences and measure them; labels are as frequent as they are in the data."""
        if not self.samples:
            return
        options: dict[str, Any] = {} if isinstance(model, Baseline) else {"steps": self.steps}
        if self.labels is not None and not isinstance(model, Baseline):
            rows = np.random.default_rng(self.random_state).integers(len(self.labels), size=self.samples)
            options["y"] = self.labels[rows]
            if self.labels.ndim == 3:
                options["length"] = self.lengths[rows]
        start = time.perf_counter()
        trial.samples = model.generate(self.samples, random_state=self.random_state + turn, **options)
        trial.sequences_per_second = self.samples / (time.perf_counter() - start)
        trial.measured = self.measure(trial.samples, name)

    def baselines(self) -> dict[str, Baseline]:
        """Return the baselines that suit the lengths of the training set, by name; not fitted."""
        alphabet = self.parts.train.alphabet
        chain = {CHAIN: MarkovChain(alphabet=alphabet)}
        if not self.length_distribution.fixed:
            return chain
        positional = {POSITIONAL: PositionalMarkov(alphabet=alphabet)}
        return {MATRIX: PositionWeightMatrix(alphabet=alphabet), **chain, **positional}

    def alike(self) -> np.ndarray:
        """Return the log-likelihood of the held-out sequences when all letters are equally likely."""
        log_length = self.length_distribution.log_prob(self.test.lengths)
        return log_length - self.test.lengths * np.log(len(self.test.alphabet))
