"""Checks of parameters and arguments: one sentence that says what was found, what was wanted and the cure."""

from __future__ import annotations

import inspect
import numbers
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqdiff import runtime
from seqdiff.data import Dataset, LengthLaw, class_codes, learn_target
from seqdiff.data.letters import shorten, shown
from seqdiff.data.target import EMPIRICAL

# name: (type, smallest, largest, whether None is meant to be possible)
_RULES: dict[str, tuple[type, float, float, bool]] = {
    "length": (numbers.Integral, 1, float("inf"), True),
    "width": (numbers.Integral, 1, 100_000, True),
    "depth": (numbers.Integral, 1, 10_000, True),
    "dropout": (numbers.Real, 0, 0.999, True),
    "token_dropout": (numbers.Real, 0, 0.999, False),
    "epochs": (numbers.Integral, 1, 10_000_000, False),
    "batch_size": (numbers.Integral, 1, 10_000_000, False),
    "lr": (numbers.Real, 1e-12, 1e3, False),
    "lr_decay": (numbers.Real, 1e-12, 1, False),
    "warmup": (numbers.Integral, 0, float("inf"), False),
    "weight_decay": (numbers.Real, 0, float("inf"), False),
    "update_freq": (numbers.Integral, 1, float("inf"), False),
    "ema": (numbers.Real, 0, 0.999999, False),
    "patience": (numbers.Integral, 1, float("inf"), True),
    "eval_every": (numbers.Integral, 1, float("inf"), False),
    "check_every": (numbers.Integral, 1, float("inf"), False),
    "label_dropout": (numbers.Real, 0, 1, False),
    "diffusion_steps": (numbers.Integral, 1, 1_000_000, False),
    "heads": (numbers.Integral, 1, 10_000, False),
    "local_heads": (numbers.Integral, 0, 10_000, False),
    "local_size": (numbers.Integral, 1, 1_000_000, False),
}
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(1, 10))}
"""Names that Windows gives to devices, whatever their ending."""
_CHOICES = {
    "lr_schedule": ("exponential", "cosine", "constant"),
    "target": ("auto", "class", "value", "signal"),
    "ambiguous": ("error", "drop"),
    "precision": ("auto", "float32", "bfloat16"),
}
_SWITCHES = ("clamp", "hidden", "learn_embeddings", "logistic", "self_conditioning", "time_conditioning")


def check_values(estimator: Any) -> None:
    """Raise a ValueError for the first parameter whose value is not as it should be, whatever the estimator."""
    signature = inspect.signature(type(estimator)).parameters
    for name, value in estimator.get_params(deep=False).items():
        if name in _RULES:
            kind, low, high, none = _RULES[name]
            check_number(name, value, kind, low, high, none or signature[name].default is None)
        elif name in _CHOICES and not _known(name, value):
            wanted = ", ".join(map(repr, _CHOICES[name]))
            raise ValueError(f"{name}={shown(value)} is not known; give one of {wanted}")
        elif name in _SWITCHES:
            check_switch(name, value)
    if not isinstance(estimator.random_state, (np.random.RandomState, np.random.Generator)):
        check_seed(estimator.random_state)
    if not isinstance(estimator.verbose, (numbers.Integral, bool, np.bool_)):
        raise ValueError(f"verbose={shown(estimator.verbose)} is not possible; give 0 (silent) or 1")


def _is_folder_name(name: Any) -> bool:
    """Whether a name can be a folder's on any system, and shown in any terminal."""
    if not isinstance(name, str) or not name.strip() or len(name.encode(errors="replace")) > 200:
        return False
    reserved = name.split(".")[0].rstrip().upper() in RESERVED
    odd = set(name) & set('/\\:*?"<>|') or not name.isprintable() or name != name.strip() or name.endswith(".")
    return not reserved and not odd


def check_switch(name: str, value: Any) -> None:
    """Raise a ValueError unless the value is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={shown(value)} is not possible; give True or False")


def check(estimator: Any) -> None:
    """Check a generator's parameters.

    Raises
    ------
    ValueError
        For the first one that is not as it should be.
    """
    check_values(estimator)
    name = estimator.model_name
    if name is not None and not _is_folder_name(name):
        raise ValueError(f"model_name={shown(name)} is not a folder's name; give letters, digits, '-' and '_', or None")
    if not (estimator.savepath is None or isinstance(estimator.savepath, (str, os.PathLike))):
        raise ValueError(f"savepath={shown(estimator.savepath)} is no path; give a folder's, or None to write nothing")


def _known(name: str, value: Any) -> bool:
    if name == "target" and isinstance(value, dict):  # by column
        return all(isinstance(kind, str) and kind in _CHOICES[name] for kind in value.values())
    return isinstance(value, str) and value in _CHOICES[name]


def check_number(name: str, value: Any, kind: type, low: float, high: float, none: bool = False) -> None:
    """Raise a ValueError unless the value is of the kind and within low..high."""
    if value is None and none:
        return
    whole = "a whole number" if kind is numbers.Integral else "a number"
    limits = f"of at least {low:g}" if high > 1e18 else f"from {low:g} to {high:g}"
    wanted = f"{whole} {limits}" + (" or None" if none else "")
    number = isinstance(value, kind) and not isinstance(value, (bool, np.bool_))
    if not number or not low <= value <= high:
        raise ValueError(f"{name}={shown(value)} is not possible; give {wanted}")


def check_seed(random_state: Any) -> int:
    """Return the seed that a `random_state` of scikit-learn's kinds stands for.

    A whole number is the seed itself, None fresh entropy; a RandomState or a Generator draws one, and so moves on.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if random_state is None:
        return runtime.fresh_seed()
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    whole = isinstance(random_state, numbers.Integral) and not isinstance(random_state, (bool, np.bool_))
    if not whole or not 0 <= random_state < 2**63:
        raise ValueError(
            f"random_state={shown(random_state)} is not possible; give a whole number from 0 to 2**63 - 1, "
            "None, a RandomState or a Generator of NumPy's"
        )
    return int(random_state)


MOST_SAMPLES, MOST_STEPS = 10_000_000, 100_000


def check_generate(n: Any, steps: Any, temperature: Any) -> None:
    """Raise a ValueError unless n, steps and temperature make sense."""
    check_number("n", n, numbers.Integral, 1, float("inf"))
    if n > MOST_SAMPLES:
        raise ValueError(
            f"n={shown(n)} is not possible in one call, whose samples lie in memory; give at most {MOST_SAMPLES:,}, "
            "and call several times"
        )
    check_number("steps", steps, numbers.Integral, 1, MOST_STEPS, True)
    check_number("temperature", temperature, numbers.Real, 1e-6, 1e6)


def check_lengths(length: Any, n: int, law: LengthLaw, seed: int, labels: Any = None) -> np.ndarray:
    """Return the lengths (n,) to generate: those asked for, or draws from the lengths of the training data.

    With labels, encoded, from the lengths that go with them.

    Raises
    ------
    ValueError
        If a length is longer than any the model has seen, or not the only one it knows.
    """
    if length is None:
        return np.asarray(law.sample(n, runtime.generator_for("cpu", seed, "length"), labels))
    lengths = np.atleast_1d(np.asarray(length))
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or len(lengths) not in (1, n):
        raise ValueError(f"length={shown(length)} is not possible; give one whole number or an array of {n}")
    if not np.isfinite(law.log_prob(lengths)).all():
        known = f"{law.max_length} letters" if law.fixed else f"1 to {law.max_length} letters"
        raise ValueError(f"length={shown(length)} is not possible: this model makes sequences of {known}")
    return np.broadcast_to(lengths.astype(np.int64), (n,)).copy()


def warn_far(y: Any, target: Any) -> None:
    """Warn of values far outside those that were learned; `encode` refuses what are no values at all."""
    try:
        found = target.far_outside(y) if target is not None and y is not None else ""
    except ValueError:
        return
    if found:
        warnings.warn(found, stacklevel=4)


def drawn_labels(y: Any, target: Any, n: int, seed: int) -> Any:
    """Return y, or for ``"empirical"`` labels of n rows, drawn as they occur in the training data.

    Raises
    ------
    ValueError
        If there is a class of that name, or the labels cannot be drawn.
    """
    if not isinstance(y, str) or y != EMPIRICAL:
        return y
    if target.kind == "class" and EMPIRICAL in target.classes_:
        raise ValueError(
            'y="empirical" draws classes as often as they occur, but it is also the name of a class of this model; '
            'give y=["empirical"] * n for the class, or an array of n classes'
        )
    return target.draw(n, np.random.default_rng(runtime.seed_of(seed, "labels")))


def check_signal(y: Any, width: int, longest: int) -> None:
    """Raise a ValueError unless a signal, (L, C) or (n, L, C), has as many positions as the sequences to generate."""
    shape = np.shape(y)
    if len(shape) in (2, 3) and shape[-2] not in (width, longest):
        raise ValueError(
            f"y is a signal over {shape[-2]} positions, but sequences of up to {width} letters are to be made; "
            "give one row of the signal per letter, shape (L, C) or (n, L, C)"
        )


class Weights:
    """What `sample_weight` says: how much each of the sequences read counts, 0 as if it had not been given.

    Parameters
    ----------
    given : array-like of shape (n,), "balanced" or None

    Raises
    ------
    ValueError
        If it is something else, or holds a number that is no weight.
    """

    def __init__(self, given: Any) -> None:
        self.balanced = isinstance(given, str) and given == "balanced"
        self.all: np.ndarray | None = None
        if given is None or self.balanced:
            return
        wanted = "expected one number of at least 0 for each sequence, 'balanced' or None"
        if isinstance(given, (str, bytes, Mapping, set)) or np.ndim(given) != 1:
            shown = shorten(" ".join(repr(given).split())) if np.ndim(given) == 0 else f"shape {np.shape(given)}"
            raise ValueError(f"sample_weight: got {shown}, {wanted}; give a list or an array")
        try:
            weights = np.asarray(given)
            weights = weights.astype(np.float64) if weights.dtype.kind in "biuf" else np.array(weights.tolist(), float)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"sample_weight: got entries that are no numbers, {wanted}; correct them") from None
        odd = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
        if len(odd):
            raise ValueError(f"sample_weight[{odd[0]}]: got {weights[odd[0]]:g}, {wanted}; correct it")
        if not weights.any():
            raise ValueError(f"sample_weight: got {len(weights)} zeros, {wanted}; give some sequences a weight above 0")
        self.all = weights / weights.max()  # their sum might overflow

    def chosen(self, n: int) -> np.ndarray | None:
        """Return which of n sequences count at all, booleans (n,); None for all."""
        if self.all is None:
            return None
        if len(self.all) != n:
            raise ValueError(f"sample_weight: got shape ({len(self.all)},) for {n} sequences; give one weight for each")
        return self.all > 0

    def of(self, data: Dataset, kind: Any) -> np.ndarray | None:
        """Return the weights (N,) of a data set's rows, scaled to a mean of 1; None where all are alike."""
        if self.balanced:
            return self._of_classes(data, kind)
        if self.all is None:
            return None
        weights = self.all[data.kept]
        return None if (weights == weights[0]).all() else weights / weights.mean()

    def _of_classes(self, data: Dataset, kind: Any) -> np.ndarray | None:
        """Return weights by which every class counts as much as any other; a row without a label counts 1."""
        target = None if data.y is None else learn_target(data.y, kind)
        if target is None or target.kind != "class":
            found = "no labels" if target is None else f"labels that are a {target.kind}"
            found = "several columns of labels" if target is not None and target.kind == "columns" else found
            raise ValueError(f"sample_weight='balanced': got {found}, expected classes; give an array of weights")
        codes = class_codes(target, data.y)[0]
        counts = np.bincount(codes[codes >= 0])
        weights = np.where(codes >= 0, (codes >= 0).sum() / (len(counts) * counts[codes]), 1.0)
        return None if (weights == weights[0]).all() else weights / weights.mean()
