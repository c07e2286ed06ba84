"""`score_samples` and `score`: repeatable, with an honest error, a bound of the likelihood."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from small_models import mixed_lengths, sequences, tiny

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
def test_the_error_is_what_seeds_scatter_by(kind, times, request):
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


def test_one_time_alone_knows_no_error(model):
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


def test_training_data_score_above_what_is_not_like_them():
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
