"""`score_samples` and `score`: repeatable bounds of the likelihood with a calibrated error."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import SMALL, mixed_lengths, sequences, tiny

from seqdiff import UniformDiffusion, runtime
from seqdiff.estimators.base import shared
from seqdiff.processes import Uniform
from seqdiff.runtime import CHUNK, ChosenRows, chunk_generators, uniform
from seqdiff.training.objective import MOST, Batch, Objective, error_variance, repeats

X = sequences(64)


@pytest.fixture(scope="module")
def model():
    return tiny(epochs=4).fit(X)


@pytest.fixture(scope="module")
def mixed():
    return tiny().fit(mixed_lengths())


def spread(model, X, **arguments):
    """Return the mean (n,) and the standard deviation (n,) of scores over 60 seeds."""
    scores = np.array([model.score_samples(X, random_state=s, **arguments) for s in range(60)])
    return scores.mean(0), scores.std(0, ddof=1)


def test_scores_repeat_and_another_seed_differs(model):
    assert (model.score_samples(X) == model.score_samples(X)).all()
    assert (model.score_samples(X, random_state=1) == model.score_samples(X, random_state=1)).all()
    assert not (model.score_samples(X) == model.score_samples(X, random_state=1)).any()
    assert model.score(X) == pytest.approx(model.score_samples(X).mean())


@pytest.mark.parametrize("times", [None, 4])
@pytest.mark.parametrize("kind", ["model", "mixed"])
def test_stated_error_equals_the_spread_over_seeds(kind, times, request):
    model = request.getfixturevalue(kind)
    data = X[:40] if kind == "model" else mixed_lengths(40, seed=3)
    _, scatter = spread(model, data, times=times)
    scores, error = model.score_samples(data, times=times, return_error=True)
    assert scores.shape == error.shape == (40,) and (error > 0).all()
    ratio = np.sqrt((error**2).mean() / (scatter**2).mean())
    assert 0.7 < ratio < 2.0


def test_fewer_times_agree_within_the_error(model):
    full, scatter = spread(model, X)
    few, few_scatter = spread(model, X, times=3)
    error = np.sqrt((scatter**2 + few_scatter**2) / 60)
    z = (few - full) / error
    assert np.abs(z).max() < 5 and 0.7 < z.std() < 1.4
    assert (few_scatter > scatter).mean() > 0.8  # and fewer times are less sure
    assert (model.score_samples(X, times=10) == model.score_samples(X, times=99)).all()


def test_single_time_has_no_error(model):
    scores, error = model.score_samples(X[:3], times=1, return_error=True)
    assert np.isfinite(scores).all() and np.isnan(error).all()


def test_scores_are_bounds_of_a_distribution():
    """Over all 64 sequences of three letters the probabilities below which they bound add up to less than 1."""
    data = sequences(64, 3, p=[0.6, 0.2, 0.1, 0.1])
    model = tiny(epochs=10, diffusion_steps=30).fit(data)
    every = ["".join(letters) for letters in itertools.product("ACGT", repeat=3)]
    bound = model.score_samples(every * 150).reshape(150, -1).mean(0)
    assert 0.9 < np.exp(bound).sum() < 1.01
    # and they rank sequences as often as they are written
    samples = model.generate(4000, random_state=0)
    drawn = np.array([samples.count(s) for s in every]) / 4000
    assert np.abs(drawn - np.exp(bound)).max() < 0.03


def test_training_data_score_above_random_sequences():
    rich = sequences(64, p=[0.85, 0.05, 0.05, 0.05])
    model = tiny(epochs=6).fit(rich)
    assert model.score(sequences(64, p=[0.85, 0.05, 0.05, 0.05], seed=5)) > model.score(X) + 5


def test_impossible_lengths_score_minus_infinity(model, mixed):
    scores, error = model.score_samples([X[0], X[1] + "A", X[2][:9]], return_error=True)
    assert np.isfinite(scores[0]) and np.isneginf(scores[1:]).all() and (error[1:] == 0).all()
    assert np.isneginf(model.score_samples(["A" * 300])).all()
    scores = mixed.score_samples(["ACG", "A" * 11, "A"])
    assert np.isneginf(scores[1]) and np.isfinite(scores[[0, 2]]).all()
    assert model.score([X[0], "ACGTACGTACG"]) == -np.inf


def test_length_is_part_of_the_likelihood(mixed):
    """The longest sequences alone, and among shorter ones: neighbours and padding change nothing."""
    data = mixed_lengths(30, seed=8)
    alone = np.array([spread(mixed, [s])[0][0] for s in data[:4]])
    together, scatter = spread(mixed, data[:4])
    assert (np.abs(alone - together) < 5 * np.sqrt(2 / 60) * scatter).all()
    # p(length) is what sequences of one letter add up to
    bound = mixed.score_samples(list("ACGT") * 1000).reshape(1000, 4).mean(0)
    assert np.log(np.exp(bound).sum()) == pytest.approx(mixed.length_distribution_.log_prob(1), abs=0.1)


@pytest.mark.parametrize("form", [tuple, np.array, pd.Series, lambda X: pd.DataFrame({"s": X})])
def test_forms_of_input(model, form):
    assert (model.score_samples(form(X[:5])) == model.score_samples(X[:5])).all()


def test_a_file_is_scored_in_its_order(model, workdir):
    (workdir / "x.fasta").write_text("".join(f">{i}\n{s.lower()}\n" for i, s in enumerate(X[:5])))
    assert (model.score_samples("x.fasta") == model.score_samples(X[:5])).all()
    assert [p.name for p in workdir.iterdir()] == ["x.fasta"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"X": ["ACGTACGTNA"]}, ["X[0]", "'N'", "position 9"]),
        ({"X": []}, []),
        ({"X": "missing.txt"}, ["missing.txt"]),
        ({"times": 0}, ["times: got 0"]),
        ({"times": -1}, ["times: got -1"]),
        ({"times": 2.5}, ["times: got 2.5"]),
        ({"random_state": "x"}, ["random_state: got 'x'"]),
        ({"random_state": -1}, ["random_state: got -1"]),
        ({"y": ["a"] * 64}, ["without labels"]),
    ],
)
def test_wrong_arguments_are_refused(model, arguments, words):
    with pytest.raises(ValueError) as caught:
        model.score_samples(**{"X": X} | arguments)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


# -- the stated Monte Carlo error -------------------------------------------------------------------------------------


ROWS = 60_000


class Terms(torch.nn.Module):
    """A process whose terms are independent, with equal means and the given standard deviations."""

    bound = "elbo"

    def __init__(self, spread: list[float]) -> None:
        super().__init__()
        self.spread = spread

    def bound_terms(self, denoiser, batch, times, generator):
        for spread in self.spread:
            yield 5.0 + spread * torch.randn(len(batch), dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("spread", [[2, 1], [2, 1, 1], [1, 1, 2], [3, 1, 1, 1], [4, 1, 2, 1, 1], [1, 3, 1, 1, 2, 1, 1]])
def test_stated_variance_is_the_variance_of_the_sum(spread):
    rows = Batch(torch.zeros(ROWS, 1, dtype=torch.long), torch.ones(ROWS, dtype=torch.long))
    objective = Objective(Terms(spread), torch.nn.Identity())
    total, variance = objective.bound(rows, len(spread), torch.Generator().manual_seed(0))
    true = sum(s**2 for s in spread)
    assert total.var() == pytest.approx(true, rel=0.03)
    assert variance.mean() == pytest.approx(true, rel=0.03)


def test_unequal_means_never_shrink_the_stated_error():
    steps = torch.arange(5.0)[:, None].expand(5, 3)
    assert (error_variance(steps) > 0).all()
    assert (error_variance(torch.ones(5, 3)) == 0).all()


# -- refined scores ---------------------------------------------------------------------------------------------------


LOTTERY_ROWS = 20_000


class Lottery(Uniform):
    """Terms that are 0 except for a rare large one, whose size differs by row."""

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
    return chunk_generators(LOTTERY_ROWS, "cpu", 0, *names)


@pytest.mark.parametrize("size", [0.02, 0.5, 3.0])
def test_repeated_rows_are_unbiased_with_the_stated_error(size):
    process = Lottery(torch.full((LOTTERY_ROWS,), size, dtype=torch.float64))
    batch = Batch(torch.zeros(LOTTERY_ROWS, 1, dtype=torch.uint8), torch.ones(LOTTERY_ROWS, dtype=torch.long))
    bound, variance = Objective(process, torch.nn.Identity()).refined_bound(batch, streams)
    assert abs(float(bound.mean()) - size) < 4 * float(bound.std()) / math.sqrt(LOTTERY_ROWS)
    # rows in which both halves are lucky are repeated less than others: the two are a little alike where luck is rare
    assert 0.8 * float(bound.var()) < float(variance.mean()) < 1.1 * float(bound.var())
    once = LOTTERY_ROWS * 20
    assert process.asked == once if size < 0.05 else once < process.asked <= MOST * once


def test_repeats_follow_from_the_error():
    variance = torch.tensor([0.0, 2 * 0.25**2, 2 * 0.25**2 * 3, 1e9, 2 * 5.0**2])
    bound = torch.tensor([1.0, 1.0, -1.0, 1.0, 100.0])
    assert repeats(bound, variance).tolist() == [1, 1, 3, MOST, 1]


def test_selected_rows_have_the_noise_of_the_full_batch():
    everything = uniform((2 * CHUNK, 3), chunk_generators(2 * CHUNK, "cpu", 5), "cpu")
    rows = torch.tensor([3, 17, CHUNK + 4])
    some = uniform((3, 3), ChosenRows(chunk_generators(2 * CHUNK, "cpu", 5), rows), "cpu")
    assert torch.equal(some, everything[rows])


@pytest.fixture(scope="module")
def uniform_model():
    # two kinds of sequences that no label tells apart: whether a letter is certain depends on the others
    settings = {k: v for k, v in SMALL.items() if k not in ("network", "diffusion_steps")}
    return UniformDiffusion(**settings | {"width": 16, "epochs": 10}).fit(["A" * 10, "C" * 10] * 100)


def test_scores_do_not_depend_on_other_sequences(uniform_model, monkeypatch):
    few, X = ["A" * 10, "C" * 10] * 5, (["A" * 10, "C" * 10] + sequences(8)) * 27
    asked, plain = [], ChosenRows.__init__
    monkeypatch.setattr(ChosenRows, "__init__", lambda self, g, rows: (asked.append(rows), plain(self, g, rows))[1])
    for seed in range(4):
        together = uniform_model.score_samples(few, random_state=seed)
        np.testing.assert_allclose(uniform_model.score_samples(few[:2], random_state=seed), together[:2], rtol=1e-5)
    assert asked  # some rows did need more
    scores = uniform_model.score_samples(X)
    np.testing.assert_allclose(uniform_model.score_samples(X[:CHUNK]), scores[:CHUNK], rtol=1e-5)
    monkeypatch.setattr(runtime, "rows_at_once", lambda device, width=1: 2 * CHUNK)
    np.testing.assert_allclose(uniform_model.score_samples(X), scores, rtol=1e-5)


def test_refinement_reduces_large_errors(uniform_model):
    X = ["A" * 10] * 256
    _, usual = uniform_model.score_samples(X, times=20, return_error=True)
    scores, error = uniform_model.score_samples(X, return_error=True)
    assert np.sqrt((usual**2).mean()) > 0.4  # else there would be nothing to gain
    assert np.sqrt((error**2).mean()) < 0.85 * np.sqrt((usual**2).mean())
    assert np.sqrt((error**2).mean()) == pytest.approx(scores.std(), rel=0.35)


def test_two_standard_errors_cover_rare_draws():
    """One draw in fifty is large, so that most rows of twenty draws underestimate their error."""
    process = Lottery(torch.full((2000,), 0.05, dtype=torch.float64), chance=0.02)
    batch = Batch(torch.zeros(2000, 1, dtype=torch.uint8), torch.ones(2000, dtype=torch.long))
    bound, variance = Objective(process, torch.nn.Identity()).bound(batch, 20, torch.Generator().manual_seed(0))
    off = (bound - 0.05).abs().numpy()
    alone, together = np.sqrt(variance.numpy()), np.sqrt(shared(variance.numpy()))
    assert (off <= 2 * alone).mean() < 0.5  # the fault
    assert (off <= 2 * together).mean() > 0.85
    assert (together >= alone).all() and np.median(together[alone > 0] / alone[alone > 0]) == pytest.approx(1)


def test_stated_errors_are_at_least_the_pooled_error(uniform_model):
    scores, error = uniform_model.score_samples(["A" * 10] * 60 + sequences(4), return_error=True)
    assert error.min() ** 2 >= (error**2).mean() / 2 / 1.5
    assert np.isnan(uniform_model.score_samples(["A" * 10] * 3, times=1, return_error=True)[1]).all()
