"""Types of arguments that users may give in many ways; the functions that read them say all that is allowed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor

PathLike = str | os.PathLike[str]
SequencesLike = PathLike | Iterable[Any]
"""A path, a list, array, Series, DataFrame or Biopython records; a string may be one sequence."""
LabelsLike = str | float | np.ndarray | Iterable[Any] | None
"""One label or value, or one for each sequence: an array, list, Series, DataFrame, dict, or the name of a column."""
HeldOutLike = float | SequencesLike | tuple[SequencesLike, LabelsLike] | None
"""A share of the sequences, or held-out sequences, with their labels or without."""
WeightsLike = str | Sequence[float] | np.ndarray | None
"""A weight for each sequence, or "balanced"."""
NetworkLike = str | Callable[..., Any]
"""The name of a network, or a function that returns one."""
SplitLike = str | Iterable[str]
"""A way to split, a column that names the part of each sequence, or these parts."""
TargetLike = str | Mapping[str, str]
"""Kind of the labels, of all columns or by column."""
TemplateLike = str | Sequence[Any] | None
"""Letters that each position may have."""
MotifsLike = str | int | Iterable[Any] | None
"""Motifs, names of enzymes and lengths of runs."""
LengthsLike = int | Sequence[int] | np.ndarray | None
PositionsLike = str | Iterable[Any] | None
"""Booleans, positions counted from 0, or marks such as ``--NN--``."""
StrengthLike = float | Callable[[float], float]
"""A number, or a function of progress from 0 to 1."""
SeedLike = int | np.random.RandomState | np.random.Generator | None
Place = Callable[[int], str]
"""The name of item i in an error: ``"promoters.txt, line 17"``, ``"X[3]"``."""
SeedsLike = int | Iterable[int]
"""The number of seeds, or the seeds."""
RewardFunction = Callable[[list[str]], Any]
"""Sequences -> as many numbers."""


class Predictor(Protocol):
    """A fitted model of numbers or classes: `SequenceRegressor`, `SequenceClassifier`, or a pipeline of scikit-learn.

    One of classes also has ``predict_proba`` and ``classes_``; ``embed``, (n, D), gives hidden states where it exists.
    """

    def predict(self, X: Any) -> Any:
        """Return a value or a class for each sequence, (n,)."""


class LabelClassifier(Protocol):
    """Methods of a classifier or regressor that guides call; also of a user's own class."""

    def encode(self, y: LabelsLike) -> Tensor:
        """Return what is wanted as numbers, (n,)."""

    def log_likelihood(self, x: Tensor, t: Tensor, mask: Tensor, wanted: Tensor) -> Tensor:
        """Return log p(wanted | x_t), (B,) nats, of what `Process.reading` shows of states."""


def is_one(y: LabelsLike) -> bool:
    """Return whether labels are one for all, a number or a word."""
    return np.ndim(y) == 0  # type: ignore[arg-type]
