"""Checks of parameters and arguments: one sentence that says what was found, what was wanted and the cure."""

from __future__ import annotations

import inspect
import numbers
import os
from typing import Any

import numpy as np

from seqdiff import runtime
from seqdiff.data import Dataset, LengthLaw
from seqdiff.data.target import EMPIRICAL

# name: (type, smallest, largest, whether None is meant to be possible)
_RULES: dict[str, tuple[type, float, float, bool]] = {
    "length": (numbers.Integral, 1, float("inf"), True),
    "width": (numbers.Integral, 1, float("inf"), True),
    "depth": (numbers.Integral, 1, float("inf"), True),
    "dropout": (numbers.Real, 0, 0.999, True),
    "token_dropout": (numbers.Real, 0, 0.999, False),
    "epochs": (numbers.Integral, 1, float("inf"), False),
    "batch_size": (numbers.Integral, 1, float("inf"), False),
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
    "random_state": (numbers.Integral, 0, 2**63 - 1, False),
    "diffusion_steps": (numbers.Integral, 1, float("inf"), False),
    "heads": (numbers.Integral, 1, float("inf"), False),
    "local_heads": (numbers.Integral, 0, float("inf"), False),
    "local_size": (numbers.Integral, 1, float("inf"), False),
}
_CHOICES = {
    "lr_schedule": ("exponential", "cosine", "constant"),
    "target": ("auto", "class", "value", "signal"),
    "ambiguous": ("error", "drop"),
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
            raise ValueError(f"{name}={value!r} is not known; give one of {wanted}")
        elif name in _SWITCHES and not isinstance(value, (bool, np.bool_)):
            raise ValueError(f"{name}={value!r} is not possible; give True or False")
    if not isinstance(estimator.verbose, (numbers.Integral, bool, np.bool_)):
        raise ValueError(f"verbose={estimator.verbose!r} is not possible; give 0 (silent) or 1")


def check(estimator: Any) -> None:
    """Check a generator's parameters.

    Raises
    ------
    ValueError
        For the first one that is not as it should be.
    """
    check_values(estimator)
    name = estimator.model_name
    if name is not None and (
        not isinstance(name, str) or not name or name in (".", "..") or set(name) & set('/\\:*?"<>|')
    ):
        raise ValueError(f"model_name={name!r} is not a folder's name; give letters, digits, '-' and '_', or None")
    if not (estimator.savepath is None or isinstance(estimator.savepath, (str, os.PathLike))):
        raise ValueError(f"savepath={estimator.savepath!r} is not a path; give a folder's, or None to write nothing")


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
        raise ValueError(f"{name}={value!r} is not possible; give {wanted}")


def check_seed(random_state: Any) -> int:
    """Return the seed of a generate or score call as an int."""
    check_number("random_state", random_state, numbers.Integral, 0, 2**63 - 1)
    return int(random_state)


def check_generate(n: Any, steps: Any, temperature: Any) -> None:
    """Raise a ValueError unless n, steps and temperature make sense."""
    check_number("n", n, numbers.Integral, 1, float("inf"))
    check_number("steps", steps, numbers.Integral, 1, float("inf"), True)
    check_number("temperature", temperature, numbers.Real, 1e-6, 1e6)


def check_lengths(length: Any, n: int, law: LengthLaw, seed: int) -> np.ndarray:
    """Return the lengths (n,) to generate: those asked for, or draws from the lengths of the training data.

    Raises
    ------
    ValueError
        If a length is longer than any the model has seen, or not the only one it knows.
    """
    if length is None:
        return np.asarray(law.sample(n, runtime.generator_for("cpu", seed, "length")))
    lengths = np.atleast_1d(np.asarray(length))
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or len(lengths) not in (1, n):
        raise ValueError(f"length={length!r} is not possible; give one whole number or an array of {n}")
    if not np.isfinite(law.log_prob(lengths)).all():
        known = f"{law.max_length} letters" if law.fixed else f"1 to {law.max_length} letters"
        raise ValueError(f"length={length!r} is not possible: this model makes sequences of {known}")
    return np.broadcast_to(lengths.astype(np.int64), (n,)).copy()


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


def check_weight(weight: Any, data: Dataset) -> np.ndarray | None:
    """Return the sample weights of the rows kept, scaled to a mean of 1.

    Raises
    ------
    ValueError
        If they are not as many as the sequences, negative, or all zero.
    """
    if weight is None:
        return None
    weights = np.asarray(weight, dtype=np.float64)
    if weights.ndim != 1 or len(weights) != data.n_read:
        raise ValueError(
            f"sample_weight has shape {weights.shape}, but there are {data.n_read} sequences; give one each"
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() == 0:
        raise ValueError("sample_weight holds negative, infinite or only zero weights; give numbers of at least 0")
    weights = weights[data.kept]
    return weights / weights.mean()
