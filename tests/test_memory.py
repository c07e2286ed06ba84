"""A full memory: smaller parts, the same results, one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from seqdiff import Autoregressive, MaskedDiffusion
from seqdiff.datasets import load_sigma70
from seqdiff.training import Objective

X = load_sigma70(300)
SMALL: dict[str, Any] = {"width": 16, "depth": 1, "epochs": 2, "savepath": None, "verbose": 0, "batch_size": 64}
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] err == 0. DefaultCPUAllocator: can't allocate memory"),
]


def limited(whole: Callable[..., Any], most: int, error: Exception, place: int) -> Callable[..., Any]:
    """Return a method that fails for more than `most` rows, after half of its work."""

    def call(self: Any, *args: Any, **named: Any) -> Any:
        found = whole(self, *args, **named)
        if len(args[place]) > most:
            raise error
        return found

    return call


def weights(model: Any) -> list[torch.Tensor]:
    return [parameter.clone() for parameter in model.objective_.parameters()]


@pytest.mark.parametrize("error", ERRORS)
def test_training_goes_on_in_smaller_parts(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The weights are those of a run that has taken such parts from the beginning."""
    with monkeypatch.context() as patch:
        patch.setattr("seqdiff.training.trainer.MOST_LETTERS", 16 * 50)
        wanted = MaskedDiffusion(**SMALL).fit(X)
    monkeypatch.setattr(Objective, "forward", limited(Objective.forward, 20, error, 0))
    with pytest.warns(UserWarning) as caught:
        model = MaskedDiffusion(**SMALL).fit(X)
    told = [str(warning.message) for warning in caught if "memory" in str(warning.message)]
    kept = "the memory is full: batches are computed in parts of at most {} sequences from now on"
    assert told == [kept.format(32), kept.format(16)]
    assert all(map(torch.equal, weights(model), weights(wanted)))


def test_gradients_of_earlier_batches_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where several batches make an update, the failed step alone is made again."""
    settings = {**SMALL, "dropout": 0.0, "update_freq": 3}
    wanted = Autoregressive(**settings).fit(X)
    calls = iter(range(10**6))
    whole = Objective.forward

    def forward(self: Any, batch: Any, generator: Any) -> Any:
        if next(calls) == 1:  # the second batch of the first update
            next(calls)
            losses = whole(self, batch, generator)
            sum(losses.values()).sum().backward()  # what a part before the one that fails leaves behind
            raise ERRORS[0]
        return whole(self, batch, generator)

    monkeypatch.setattr(Objective, "forward", forward)
    with pytest.warns(UserWarning, match="at most 32 sequences"):
        model = Autoregressive(**settings).fit(X)
    np.testing.assert_allclose(model.history_["loss"], wanted.history_["loss"], rtol=1e-5)


def test_memory_that_is_too_small_for_one_sequence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Objective, "forward", limited(Objective.forward, 0, ERRORS[0], 0))
    with warnings.catch_warnings(), pytest.raises(torch.OutOfMemoryError):
        warnings.simplefilter("ignore")
        MaskedDiffusion(**SMALL).fit(X)


def test_samples_and_scores_are_the_same_in_smaller_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MaskedDiffusion(**SMALL).fit(X)
    samples, scores = model.generate(100, random_state=1), model.score_samples(X[:100], times=4)
    network = type(model.objective_.network)
    monkeypatch.setattr(network, "forward", limited(network.forward, 30, ERRORS[0], 0))
    with pytest.warns(UserWarning, match="the network is called on 25 sequences at a time"):
        assert model.generate(100, random_state=1) == samples
    with pytest.warns(UserWarning, match="the memory is full"):
        np.testing.assert_allclose(model.score_samples(X[:100], times=4), scores, rtol=1e-5)
