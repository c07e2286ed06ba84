"""More levels where a score would be uncertain: unbiased, the same whatever is scored beside, and stated rightly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_models import SMALL, sequences

from seqdiff import UniformDiffusion, runtime
from seqdiff.estimators.base import shared
from seqdiff.processes import Uniform
from seqdiff.runtime import CHUNK, ChosenRows, chunk_generators, uniform
from seqdiff.training.objective import MOST, Batch, Objective, repeats

ROWS = 20_000


class Lottery(Uniform):
    """Terms that are 0 but for a rare large one, of a size of its own in each row."""

    def __init__(self, size: torch.Tensor, chance: float = 0.05) -> None:
        super().__init__(4)
        self.size, self.chance, self.asked = size, chance, 0

    def guess(self, denoiser, batch, generator):
        return self.size

    def bound_terms(self, denoiser, batch, times, generator, guess=None):
        self.asked += len(batch) * times
        guess = self.size if guess is None else guess
        for _ in range(times):
            yield guess * (uniform((len(batch),), generator, "cpu") < self.chance) / self.chance / times


def streams(*names: int) -> list[torch.Generator]:
    return chunk_generators(ROWS, "cpu", 0, *names)


@pytest.mark.parametrize("size", [0.02, 0.5, 3.0])
def test_repeated_rows_keep_their_mean_and_state_their_error(size):
    process = Lottery(torch.full((ROWS,), size, dtype=torch.float64))
    batch = Batch(torch.zeros(ROWS, 1, dtype=torch.uint8), torch.ones(ROWS, dtype=torch.long))
    bound, variance = Objective(process, torch.nn.Identity()).refined_bound(batch, streams)
    assert abs(float(bound.mean()) - size) < 4 * float(bound.std()) / math.sqrt(ROWS)
    # rows in which both halves are lucky are repeated less than others: the two are a little alike where luck is rare
    assert 0.8 * float(bound.var()) < float(variance.mean()) < 1.1 * float(bound.var())
    once = ROWS * 20
    assert process.asked == once if size < 0.05 else once < process.asked <= MOST * once


def test_how_often_is_what_the_error_asks():
    variance = torch.tensor([0.0, 2 * 0.25**2, 2 * 0.25**2 * 3, 1e9, 2 * 5.0**2])
    bound = torch.tensor([1.0, 1.0, -1.0, 1.0, 100.0])
    assert repeats(bound, variance).tolist() == [1, 1, 3, MOST, 1]


def test_chosen_rows_see_the_noise_they_see_among_all():
    everything = uniform((2 * CHUNK, 3), chunk_generators(2 * CHUNK, "cpu", 5), "cpu")
    rows = torch.tensor([3, 17, CHUNK + 4])
    some = uniform((3, 3), ChosenRows(chunk_generators(2 * CHUNK, "cpu", 5), rows), "cpu")
    assert torch.equal(some, everything[rows])


@pytest.fixture(scope="module")
def model():
    # two kinds of sequences that no label tells apart: whether a letter is certain depends on the others
    settings = {k: v for k, v in SMALL.items() if k not in ("network", "diffusion_steps")}
    return UniformDiffusion(**settings | {"width": 16, "epochs": 10}).fit(["A" * 10, "C" * 10] * 100)


def test_scores_do_not_depend_on_what_is_scored_beside(model, monkeypatch):
    few, X = ["A" * 10, "C" * 10] * 5, (["A" * 10, "C" * 10] + sequences(8)) * 27
    asked, plain = [], ChosenRows.__init__
    monkeypatch.setattr(ChosenRows, "__init__", lambda self, g, rows: (asked.append(rows), plain(self, g, rows))[1])
    for seed in range(4):
        together = model.score_samples(few, random_state=seed)
        np.testing.assert_allclose(model.score_samples(few[:2], random_state=seed), together[:2], rtol=1e-5)
    assert asked  # some rows did need more
    scores = model.score_samples(X)
    np.testing.assert_allclose(model.score_samples(X[:CHUNK]), scores[:CHUNK], rtol=1e-5)
    monkeypatch.setattr(runtime, "rows_at_once", lambda device: 2 * CHUNK)
    np.testing.assert_allclose(model.score_samples(X), scores, rtol=1e-5)


def test_the_error_falls_where_it_was_large(model):
    X = ["A" * 10] * 256
    _, usual = model.score_samples(X, times=20, return_error=True)
    scores, error = model.score_samples(X, return_error=True)
    assert np.sqrt((usual**2).mean()) > 0.4  # else there would be nothing to gain
    assert np.sqrt((error**2).mean()) < 0.85 * np.sqrt((usual**2).mean())
    assert np.sqrt((error**2).mean()) == pytest.approx(scores.std(), rel=0.35)


def test_two_errors_cover_where_rare_draws_make_them():
    """One draw in fifty costs a lot, so that most rows of twenty draws have seen none and know of no error."""
    process = Lottery(torch.full((2000,), 0.05, dtype=torch.float64), chance=0.02)
    batch = Batch(torch.zeros(2000, 1, dtype=torch.uint8), torch.ones(2000, dtype=torch.long))
    bound, variance = Objective(process, torch.nn.Identity()).bound(batch, 20, torch.Generator().manual_seed(0))
    off = (bound - 0.05).abs().numpy()
    alone, together = np.sqrt(variance.numpy()), np.sqrt(shared(variance.numpy()))
    assert (off <= 2 * alone).mean() < 0.5  # the fault
    assert (off <= 2 * together).mean() > 0.85
    assert (together >= alone).all() and np.median(together[alone > 0] / alone[alone > 0]) == pytest.approx(1)


def test_scores_state_no_error_below_what_the_others_show(model):
    scores, error = model.score_samples(["A" * 10] * 60 + sequences(4), return_error=True)
    assert error.min() ** 2 >= (error**2).mean() / 2 / 1.5
    assert np.isnan(model.score_samples(["A" * 10] * 3, times=1, return_error=True)[1]).all()
