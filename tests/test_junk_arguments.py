"""Random values for every argument of every call: the result is a value or an error of one sentence."""

from __future__ import annotations

import datetime
import inspect
import pathlib
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from all_generators import BLINK, LABELS, X, fitted
from small_models import tiny

import seqdiff
from seqdiff import MaskedDiffusion
from seqdiff.guidance import ClassifierFree, LookAhead, Reward

HUGE = 10**400


def junk(rng: np.random.Generator) -> object:
    """Return a random value of a random type."""
    values = [
        None, True, False, 0, 1, -1, 2, 7, 10**9, 10**30, HUGE, -HUGE, 0.5, -0.5, 1e300, -1e300, float("nan"),
        float("inf"), 1j, "", " ", "A", "ACGTACGTAC", "NNNNNNNNNN", "few", "empirical", "[", "]", "N" * 10_000, "\n",
        "\x00", "\ud800", "é", "runs", "/", "~", b"AC", b"\xff", [], [None], [1], ["A"], ["few"], [[]], [["A"] * 10], [0.5] * 3,  # noqa: E501
        ["A", 1, None], {}, {"a": 1}, {"label": "few"}, {1, 2}, (), (1, 2), ("few",), range(3), object(), int, len,
        lambda s: [0.0] * len(s), lambda s: None, lambda s: 1 / 0, np.array([]), np.array(1.0), np.array(["A"]),
        np.zeros((2, 3)), np.zeros((3, 10, 2)), np.array([np.nan]), np.array([1, 2], dtype="M8[D]"), np.float32(1e30),
        np.int8(3), np.bool_(True), torch.zeros(3), torch.tensor(1), pd.Series(["A"]), pd.DataFrame({"a": ["A"]}),
        pd.NA, pd.NaT, datetime.date(2020, 1, 1), pathlib.Path("x"), slice(3), Ellipsis, NotImplemented,
        ValueError("x"), ClassifierFree(1.0), LookAhead(2), Reward(lambda s: [0.0] * len(s), particles=2), ClassifierFree,  # noqa: E501
        fitted("masked"),
        10**18, 2**63, 2**31, "9" * 5000, "A" * 11, "ACGT" * 3, "[AC]" * 10, "-" * 10, [3], [True] * 10, "cpu", "auto",
    ]  # fmt: skip
    return values[int(rng.integers(len(values)))]


def answers(call, *words) -> None:
    """Check that a call returns, or raises a ValueError of one printable sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except (ValueError, ZeroDivisionError) as error:
        if isinstance(error, ZeroDivisionError):  # what a reward raises itself comes through
            return
        message = str(error)
        assert type(error).__module__.split(".")[0] in ("builtins", "seqdiff") and message, (words, repr(error))
        assert "\n" not in message and len(message) < 600 and message.isprintable(), (words, message)
    except Exception as error:
        raise AssertionError(f"{words}: {type(error).__name__}: {error}") from error


def calls(rng: np.random.Generator, workdir: pathlib.Path):
    """Yield calls with one or two arguments of junk."""
    model = fitted(str(rng.choice(["masked", "uniform", "autoregressive", "embedding"])))
    several = {"random_state": 0}
    name = str(rng.choice(["generate", "infill", "mutate", "score_samples", "fit", "estimator", "sweep"]))
    if name == "estimator":
        known = [p for p in inspect.signature(MaskedDiffusion).parameters]
        arguments = {str(rng.choice(known)): junk(rng)}
        arguments = {"savepath": None} | {k: v for k, v in arguments.items() if k != "savepath"}
        return arguments, lambda: MaskedDiffusion(**BLINK | arguments).fit(X, LABELS)
    if name == "fit":
        arguments = {str(rng.choice(["X", "y", "validation", "sample_weight", "resume"])): junk(rng)}
        return arguments, lambda: tiny(epochs=1).fit(**{"X": X, "y": LABELS} | arguments)
    if name == "sweep":
        known = ["guides", "gammas", "n", "natural", "judge", "seeds", "k"]
        arguments = {str(rng.choice(known)): junk(rng)}
        given = {"guides": {"free": ClassifierFree}, "gammas": [1], "n": 2, "y": "few", "verbose": 0, "steps": 2}
        return arguments, lambda: seqdiff.sweep(model, **given | arguments)
    keys = {
        "generate": ["n", "out", "y", "template", "guidance", "forbid", "steps", "temperature", "length"]
        + ["random_state"],
        "infill": ["sequences", "mask", "n", "y", "guidance", "forbid", "steps", "temperature", "random_state"],
        "mutate": ["sequences", "n_mutations", "n", "positions", "y", "guidance", "forbid"],
        "score_samples": ["X", "y", "times", "random_state"],
    }[name]
    arguments = {str(key): junk(rng) for key in rng.choice(keys, int(rng.integers(1, 3)), replace=False)}
    given = {
        "generate": {"n": 2, "steps": 2} | several,
        "infill": {"sequences": X[:2], "mask": "NN--------", "steps": 2} | several,
        "mutate": {"sequences": X[:2], "n_mutations": 2, "steps": 2} | several,
        "score_samples": {"X": X[:2], "times": 2},
    }[name]
    return {name: arguments}, lambda: getattr(model, name)(**given | arguments)


def check(count: int, seed: int, workdir: pathlib.Path) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        arguments, call = calls(rng, workdir)
        answers(call, type(arguments).__name__, {k: repr(v)[:80] for k, v in arguments.items()})


def test_random_arguments_are_accepted_or_refused_in_one_sentence(workdir):
    check(150, 0, workdir)


@pytest.mark.slow
def test_more_random_arguments_are_accepted_or_refused_in_one_sentence(workdir):
    check(5000, 1, workdir)
