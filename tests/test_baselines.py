"""Baselines: probabilities sum to 1, samples follow the scores, and real promoters have the known bits per base."""

import pickle
from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from seqdiff.evaluation import MarkovChain, PositionalMarkov, PositionWeightMatrix, bits_per_letter

MODELS = [
    PositionWeightMatrix(0.5),
    MarkovChain(0),
    MarkovChain(1),
    MarkovChain(3),
    PositionalMarkov(0),
    PositionalMarkov(2),
    MarkovChain(9),
    PositionalMarkov(9),
]
VARIABLE = MODELS[1:]


def toy(lengths, n=60, letters="abc", seed=0):
    """Sequences with strong neighbours, so that contexts matter."""
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.full(len(letters), 0.4), size=len(letters))
    sequences = []
    for length in rng.choice(lengths, size=n):
        state = [rng.integers(len(letters))]
        while len(state) < length:
            state.append(rng.choice(len(letters), p=transition[state[-1]]))
        sequences.append("".join(letters[i] for i in state))
    return sequences


def every(letters, lengths):
    return ["".join(row) for length in lengths for row in product(letters, repeat=length)]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_fixed_length_probabilities_sum_to_one(model):
    model = clone(model).set_params(alphabet="abc").fit(toy([5]))
    assert np.exp(model.score_samples(every("abc", [5]))).sum() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("model", VARIABLE, ids=str)
def test_variable_length_probabilities_sum_to_one(model):
    model = clone(model).set_params(alphabet="abc").fit(toy([2, 4, 5]))
    p = np.exp(model.score_samples(every("abc", range(1, 6))))
    assert p.sum() == pytest.approx(1, abs=1e-10)
    by_length = np.add.reduceat(p, np.cumsum([0, 3, 9, 27, 81]))
    assert by_length == pytest.approx(model.length_distribution_.probabilities, abs=1e-10)
    assert model.score_samples(["abcabc"])[0] == -np.inf


@pytest.mark.parametrize("model", [PositionWeightMatrix(), MarkovChain(2), PositionalMarkov(2)], ids=str)
def test_samples_follow_the_scored_distribution(model):
    """Chi-square of 40,000 samples over all sequences that are common enough."""
    lengths = [4] if isinstance(model, PositionWeightMatrix) else [2, 4]
    model = clone(model).set_params(alphabet="abc").fit(toy(lengths))
    universe = every("abc", range(1, 5) if len(lengths) > 1 else [4])
    p = np.exp(model.score_samples(universe))
    n = 40_000
    counts = pd.Series(model.generate(n, random_state=3)).value_counts().reindex(universe, fill_value=0).to_numpy()
    assert counts.sum() == n
    often = p * n > 20
    z = ((counts - n * p) / np.sqrt(n * p * (1 - p)))[often]
    assert often.sum() > 20 and np.abs(z).max() < 4.5 and np.mean(z**2) < 1.6


def slow_chain(model, train, sequence):
    """MarkovChain by the formula of its docstring, counting substrings."""
    p_sequence = 1.0
    letters = model.alphabet_.letters
    for i, letter in enumerate(sequence):
        p = 1 / len(letters)
        for j in range(min(i, model.order) + 1):
            context = sequence[i - j : i]
            followed = [s[at + j] for s in train for at in range(len(s) - j) if s[at : at + j] == context]
            s = model.strengths_[j]
            p = (followed.count(letter) + s * p) / (len(followed) + s)
        p_sequence *= p
    return p_sequence


def slow_positional(model, train, sequence):
    p_sequence = 1.0
    letters = model.alphabet_.letters
    for i, letter in enumerate(sequence):
        h = q = 1 / len(letters)
        for j in range(min(i, model.order) + 1):
            context = sequence[i - j : i]
            anywhere = [s[at + j] for s in train for at in range(len(s) - j) if s[at : at + j] == context]
            here = [s[i] for s in train if len(s) > i and s[i - j : i] == context]
            a, s, w = model.chain_.strengths_[j], model.strengths_[j], model.weights_[j]
            h = (anywhere.count(letter) + a * h) / (len(anywhere) + a)
            q = (here.count(letter) + s * ((1 - w) * q + w * h)) / (len(here) + s)
        p_sequence *= q
    return p_sequence


@pytest.mark.parametrize(("model", "slow"), [(MarkovChain(2), slow_chain), (PositionalMarkov(2), slow_positional)])
def test_scores_against_counting_substrings(model, slow):
    train = toy([3, 6], n=30)
    model = clone(model).set_params(alphabet="abc").fit(train)
    some = toy([3, 6], n=20, seed=5)
    expected = [np.log(slow(model, train, s)) + model.length_distribution_.log_prob([len(s)])[0] for s in some]
    np.testing.assert_allclose(model.score_samples(some), expected, rtol=1e-10)


def test_strengths_maximise_the_leave_one_out_likelihood():
    """Order 0 by hand: each letter predicted from the counts of all others."""
    train = toy([7], n=25)
    joined = "".join(train)
    counts = np.array([joined.count(letter) for letter in "abc"])

    def left_out(s):
        return counts @ np.log((counts - 1 + s / 3) / (counts.sum() - 1 + s))

    best = MarkovChain(0, alphabet="abc").fit(train).strengths_[0]
    grid = np.exp(np.linspace(-5.9, 11.9, 400))
    assert left_out(best) >= max(left_out(s) for s in grid) - 1e-3


def test_pwm_by_hand():
    model = PositionWeightMatrix(pseudocount=1.0).fit(["ACGT", "ACGA", "TCGA"])
    np.testing.assert_allclose(model.probabilities_[0], np.array([3, 1, 1, 2]) / 7)
    assert model.score_samples(["AGGT"])[0] == pytest.approx(np.log(3 * 1 * 4 * 2 / 7**4))
    assert model.score_samples(["ACG"])[0] == -np.inf
    assert model.score(["AGGT", "AGGT"]) == pytest.approx(np.log(24 / 7**4))


@pytest.mark.parametrize("model", [PositionWeightMatrix(), MarkovChain(2), PositionalMarkov(1)], ids=str)
def test_sklearn_contract(model):
    X = toy([6], n=60, letters="ACGT")
    with pytest.raises(NotFittedError):
        model.score_samples(X)
    with pytest.raises(NotFittedError):
        model.generate(3)
    assert clone(model).get_params() == model.get_params()
    fitted = clone(model)
    assert fitted.fit(X) is fitted
    again = pickle.loads(pickle.dumps(fitted))
    assert (again.score_samples(X) == fitted.score_samples(X)).all()
    assert fitted.generate(20, random_state=1) == again.generate(20, random_state=1)
    assert fitted.generate(20, random_state=1) != fitted.generate(20, random_state=2)
    assert fitted.generate(20) != fitted.generate(20) and fitted.generate(0) == []
    assert fitted.score(X) == pytest.approx(fitted.score_samples(X).mean())


def test_grid_search_finds_the_order():
    X = toy([12], n=200, letters="ACGT")
    search = GridSearchCV(MarkovChain(), {"order": [0, 1]}, cv=3).fit(X)
    assert search.best_params_ == {"order": 1}


def test_a_single_sequence_is_enough():
    for model in MODELS:
        model = clone(model).fit(["ACGTACGT"])
        assert np.isfinite(model.score_samples(["ACGTTTTT"])).all() and len(model.generate(2, random_state=0)) == 2


@pytest.mark.parametrize(
    ("model", "X", "message"),
    [
        (PositionWeightMatrix(), ["ACGT", "ACG"], "X: got sequences of 3 to 4 letters, expected one length"),
        (PositionWeightMatrix(0), ["ACGT"], "pseudocount: got 0"),
        (MarkovChain(-1), ["ACGT"], "order: got -1"),
        (PositionalMarkov(1.5), ["ACGT"], "order: got 1.5"),
        (MarkovChain(40), ["ACGT"], "order: got 40, expected one that is not too high"),
    ],
)
def test_errors_are_clear(model, X, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X)


def test_foreign_letters_and_bad_n_are_refused():
    model = MarkovChain(1).fit(["ACGTACGT"])
    with pytest.raises(ValueError, match="'N'"):
        model.score_samples(["ACGN"])
    with pytest.raises(ValueError, match="n: got -1"):
        model.generate(-1)


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (MarkovChain(0), 1.9890),
        (PositionWeightMatrix(), 1.9452),
        (MarkovChain(5), 1.9425),
        (PositionalMarkov(1), 1.9153),
        (PositionalMarkov(2), 1.9027),
        (PositionalMarkov(3), 1.8921),
    ],
    ids=str,
)
def test_bits_per_base_of_natural_promoters_are_as_published(model, known, data_dir):
    """Bits per base on the clustered test split: the known value, or at most 0.002 below it."""
    table = pd.read_csv(data_dir / "ecoli50_expr.csv")
    train, test = (table.seq[table.split == name].tolist() for name in ("train", "test"))
    model = clone(model).fit(train)
    assert known - 0.002 < bits_per_letter(model.score_samples(test), test) < known + 0.0001
