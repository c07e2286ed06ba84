"""What every contestant is judged by: the same held-out sequences, the same natural ones beside its samples."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqdiff.comparison.parts import Parts
from seqdiff.data import LengthLaw
from seqdiff.evaluation import MarkovChain, PositionalMarkov, PositionWeightMatrix, kmer_size, summary


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
        possible = np.isfinite(LengthLaw.fit(parts.train.lengths).log_prob(parts.test.lengths))
        self.left_out = int((~possible).sum())
        if not possible.any():
            raise ValueError("no held-out sequence has a length that training has; give another split or test")
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
        fixed = LengthLaw.fit(self.parts.train.lengths).fixed
        found: list[tuple[str, Any]] = [("every letter alike", None)]
        if fixed:
            found.append(("position weight matrix", PositionWeightMatrix(alphabet=alphabet)))
        found.append(("Markov chain, order 5", MarkovChain(alphabet=alphabet)))
        if fixed:
            found.append(("positional Markov, order 3", PositionalMarkov(alphabet=alphabet)))
        return found

    def alike(self) -> np.ndarray:
        """Return the log-likelihood of the held-out sequences when all letters are equally likely."""
        log_length = LengthLaw.fit(self.parts.train.lengths).log_prob(self.test.lengths)
        return log_length - self.test.lengths * np.log(len(self.test.alphabet))
