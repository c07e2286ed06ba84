"""`score_samples` and `score` of the estimators whose process has a likelihood or a bound of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from seqdiff import runtime
from seqdiff.data import Dataset, prepare
from seqdiff.estimators import parameters
from seqdiff.estimators.encoding import encode_batch
from seqdiff.parameters import Whole
from seqdiff.training.batches import crop_width


def _has_bound(estimator: Any) -> bool:
    if estimator.bound_ is None:
        raise AttributeError(f"{type(estimator).__name__} has no likelihood bound, so it cannot score sequences")
    return True


def shared(variance: np.ndarray) -> np.ndarray:
    """Return variances (n,) of which none is below half of their mean.

    Examples
    --------
    >>> shared(np.array([0.0, 1.0, 5.0])).tolist()
    [1.0, 1.0, 5.0]
    """
    return np.maximum(variance, variance.mean() / 2)


class ScoringMixin:
    """What a fitted generator needs to score sequences."""

    objective_: Any
    alphabet_: Any
    length_law_: Any
    target_: Any
    precision: str
    verbose: int
    sequence_column: str | None
    _check_known: Any

    @available_if(_has_bound)
    def score_samples(
        self, X: Any, y: Any = None, *, times: int | None = None, random_state: int = 0, return_error: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Return the log-likelihood of each sequence in nats, or a lower bound of it (``bound_ == "elbo"``).

        Parameters
        ----------
        X : as in `fit`
        y : optional
            Conditions as in `fit`; without them a conditional model scores unconditionally. Lengths have the
            probability that goes with the condition: with the class, with the nearest of the training values.
        times : int, optional
            Levels of noise to average over; None takes all of them, or a number that is enough for most sequences.
            `UniformDiffusion`, `ClassicalDiffusion` and `SCUD` then take up to 8 times as many for a sequence whose
            error would be more than 0.25 nats and 5% of its score.
        random_state : int
            Seed of the noise: the same seed gives the same figures.
        return_error : bool
            Also return the Monte Carlo standard error of each figure. It is estimated from the same few levels: the
            mean over many levels lies within two errors of 85 to 95 in 100 figures, not of every one. Where a model is
            nearly certain, rare draws make most of the error, and most sequences have seen none: each is told at
            least what half of the mean variance of all that are scored amounts to. A single figure may lie above 0;
            what bounds the log-likelihood is the mean over the noise.

        Returns
        -------
        ndarray (n,), or two of them
            -inf for a sequence longer than any in training.

        Raises
        ------
        ValueError
            If the sequences cannot be read or have letters the model does not know.
        """
        check_is_fitted(self, "objective_")
        Whole(1, parameters.MOST_STEPS).check("times", times, optional=True)
        data = prepare(
            X,
            y,
            alphabet=self.alphabet_,
            ambiguous="error",
            sequence_column=self.sequence_column,
            target=self.target_ or "auto",
        )
        if data.y is not None and self.target_ is None:
            raise ValueError("y was given, but this model was fitted without labels; leave y out")
        self._check_known(data.y)
        seed = parameters.check_seed(random_state)
        labels = None if data.y is None else self.target_.encode(data.y)
        parameters.warn_far(data.y, self.target_)
        log_length = self.length_law_.log_prob(data.lengths, labels)
        # Where the bound holds the length already, only what is impossible remains to be said.
        if self.objective_.process.models_length:
            log_length = np.where(np.isfinite(log_length), 0.0, -np.inf)
        scores, errors = np.where(np.isfinite(log_length), 0.0, -np.inf), np.zeros(len(data))
        possible = np.flatnonzero(np.isfinite(log_length))
        if len(possible):
            bound, variance = self._bound(data.take(possible), times, seed)
            if not np.isfinite(bound).all():
                raise ValueError(
                    f"scores: got {int((~np.isfinite(bound)).sum()):,} of {len(bound):,} that are not finite numbers; "
                    "the model's weights are damaged, or y is far outside the training data: give other labels or "
                    "another model"
                )
            scores[possible], errors[possible] = log_length[possible] - bound, np.sqrt(shared(variance))
        return (scores, errors) if return_error else scores

    def _bound(self, data: Dataset, times: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        device = next(self.objective_.parameters()).device
        # Without labels a conditional model is asked for p(x): no condition at all, not the null of each row.
        target = None if data.y is None else self.target_
        everything = encode_batch(data, self.length_law_.max_length, device, target)
        rows = runtime.rows_at_once(device)
        # Noise is drawn row by row at full width, so that a score depends on nothing but its sequence, its row and the
        # seed. Where there is none, sequences of like lengths go together, and no more padding than they need.
        exact = self.objective_.process.bound == "exact"
        order = np.argsort(data.lengths, kind="stable") if exact else np.arange(len(data))
        bounds, variances = np.empty(len(data)), np.empty(len(data))
        bar = runtime.progress(len(data), "sequence", self.verbose if len(data) > rows else 0)
        with bar, runtime.autocast(device, self.precision, exact=True):
            for first in range(0, len(data), rows):
                here = order[first : first + rows]
                width = crop_width(int(data.lengths[here[-1]]), self.length_law_.max_length) if exact else None
                part = everything.take(torch.from_numpy(here).to(device), width)
                number, chunk = len(part), first // runtime.CHUNK

                def streams(*names: int, number: int = number, chunk: int = chunk) -> list[torch.Generator]:
                    return runtime.chunk_generators(number, device, seed, "score", *names, first=chunk)

                if times is None and self.objective_.refines:
                    bound, variance = self.objective_.refined_bound(part, streams)
                else:
                    bound, variance = self.objective_.bound(part, times, streams())
                bounds[here], variances[here] = bound.cpu().numpy(), variance.cpu().numpy()
                bar.update(len(here))
        return bounds, variances

    @available_if(_has_bound)
    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood (or its bound) per sequence in nats; see `score_samples`."""
        return float(np.mean(self.score_samples(X, y)))
