"""Data handling of `fit`: splits, lengths, weights and seeds, over random data sets."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest
import torch
from all_generators import BLINK, GENERATORS
from sklearn.base import clone
from sklearn.utils.class_weight import compute_class_weight
from small_models import mixed_lengths, sequences, tiny

import seqdiff
from seqdiff import MaskedDiffusion, SequenceClassifier
from seqdiff.data import (
    LengthDistribution,
    Target,
    class_codes,
    cluster_split,
    hold_out,
    learn_target,
    prepare,
    random_split,
)
from seqdiff.data.split import copies, families
from seqdiff.estimators.parameters import Weights
from seqdiff.experiments.judge import make_parts

OTHER = str.maketrans("ACGT", "TGCA")


def strand(x: str) -> str:
    return x.translate(OTHER)[::-1]


# -- splits -----------------------------------------------------------------------------------------------------------


def test_copies_are_found_on_both_strands():
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = mixed_lengths(30, 4, seed=int(rng.integers(1 << 30)))
        found = copies(prepare(x, alphabet="dna"))
        slow = [next(j for j, y in enumerate(x) if s in (y, strand(y))) for s in x]
        assert found.tolist() == slow
        protein = copies(prepare(x, alphabet="protein"))
        assert protein.tolist() == [x.index(s) for s in x]


@pytest.mark.filterwarnings("ignore:y. :UserWarning")  # most of these classes have a single row
def test_split_keeps_copies_together_and_every_class_in_training():
    rng = np.random.default_rng(1)
    for seed in range(200):
        n = int(rng.integers(2, 60))
        x = ["".join(rng.choice(list("ACGT"), 3)) for _ in range(n)]
        y = rng.choice(["a", "b", "c", *map(str, range(n))], n).tolist()
        data, fraction = prepare(x, y, alphabet="dna"), float(rng.uniform(0, 0.6))
        codes = class_codes(learn_target(y), y)
        train, valid, _ = hold_out(data, fraction, seed, codes)
        assert sorted([*train, *valid]) == list(range(n)) and len(valid) <= max(1, round(fraction * n))
        both = [{min(x[i], strand(x[i])) for i in rows} for rows in (train, valid)]
        assert not both[0] & both[1]
        assert {y[i] for i in train} == set(y)


@pytest.mark.filterwarnings("ignore:y. :UserWarning")
def test_three_way_split_keeps_copies_together_and_every_class_in_training():
    rng = np.random.default_rng(4)
    for seed in range(20):
        x = rng.choice(sequences(60, 8, seed=seed), 100).tolist()
        y = rng.choice(["a", "b", *map(str, range(99))], 100, p=[0.25, 0.25, *[0.5 / 99] * 99]).tolist()
        parts = make_parts(x, y, split="random", validation=0.2, test=0.2, random_state=seed, alphabet="dna")
        assert set(parts.train.y) == set(y)
        sides = [{min(s, strand(s)) for s in part.sequences} for part in (parts.train, parts.valid, parts.test)]
        assert len(parts.test) and sum(map(len, sides)) == len(set.union(*sides))


def mutated(x: str, n: int, rng: np.random.Generator, letters: str = "ACGT") -> str:
    """Return a sequence with another letter at n places."""
    at = rng.choice(len(x), n, replace=False).tolist()
    return "".join(rng.choice([c for c in letters if c != x[i]]) if i in at else x[i] for i in range(len(x)))


@pytest.mark.parametrize("alphabet", ["dna", "protein"])
def test_families_are_connected_components_of_near_copies(alphabet):
    """Against all pairs, compared letter by letter on either strand."""
    rng = np.random.default_rng(2)
    for _ in range(10):
        x = [s for k in (12, 20, 29, 45) for s in sequences(6, k, seed=int(rng.integers(1 << 30)))]
        x += [mutated(s, int(rng.integers(0, len(s) // 7 + 2)), rng) for s in x for _ in range(2)]
        x += [strand(s) for s in x[::5]]
        family, _ = families(prepare(x, alphabet=alphabet), len(x))
        slow = list(range(len(x)))
        for i, j in itertools.combinations(range(len(x)), 2):
            strands = {x[j], strand(x[j])} if alphabet == "dna" else {x[j]}
            allowed = len(x[i]) // 10 if len(x[i]) >= 20 else 0
            if any(len(s) == len(x[i]) and sum(map(operator.ne, s, x[i])) <= allowed for s in strands):
                a, b = sorted((slow[i], slow[j]))
                slow = [a if f == b else f for f in slow]
        assert family.tolist() == slow


def test_near_copies_are_not_split():
    rng = np.random.default_rng(3)
    x = [mutated(s, 3, rng) for s in sequences(40, 60) for _ in range(5)]
    data = prepare(x)
    train, valid, notes = hold_out(data, 0.1, 0)
    assert len(valid) == 20 and not {i // 5 for i in train} & {i // 5 for i in valid}
    assert "200 of 200 sequences are near copies, of which one letter in ten or fewer differs" in notes[-1]
    parts = make_parts(x, split="random", validation=0.1, test=0.1)
    assert "near copies" in parts.notes[-1]
    family, notes = families(data, 4)  # no side has room for five
    assert family.tolist() == list(range(200)) and "too large for one side" in notes[-1]


def test_split_without_copies_equals_random_split():
    x = sorted({min(s, strand(s)) for s in sequences(400, 6)})
    data = prepare(x)
    for seed in range(5):
        train, valid, notes = hold_out(data, 0.1, seed)
        wanted = random_split(len(x), 0.1, seed)
        assert (train == wanted[0]).all() and (valid == wanted[1]).all() and not notes


def test_cluster_split_keeps_every_class_in_training():
    x = sequences(60, 30)
    codes = np.arange(60) % 25
    for seed in range(10):
        split = cluster_split(x, valid=0.3, test=0.3, random_state=seed, classes=[codes])
        assert set(codes[split == "train"]) == set(range(25))


def test_fit_trains_on_rare_classes_and_reports_copies():
    x = sequences(100, 8)
    y = ["often"] * 90 + [f"once {i}" for i in range(10)]
    for seed in range(5):
        assert len(MaskedDiffusion(**BLINK | {"random_state": seed}).fit(x, y).target_.classes_) == 11
        classifier = SequenceClassifier(epochs=1, width=8, depth=1, random_state=seed).fit(x, y)
        assert len(classifier.classes_) == 11
    model = MaskedDiffusion(**BLINK)
    train, valid, _ = model._split(prepare(x[:20] * 5), None, 0.2)
    assert not set(train.sequences) & set(valid.sequences) and len(valid) == 20
    assert "100 of 100 sequences are copies" in train.notes[-1]


def test_one_sequence_alone_is_not_validated(capsys):
    model = tiny(verbose=1).fit(["ACGTAC"] * 30)
    assert not model.evaluations_["bound"] and "nothing is validated" in capsys.readouterr().err


# -- lengths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATORS)
def test_sample_lengths_occur_in_training(name):
    x = [s[: 5 if i % 2 else 9] for i, s in enumerate(sequences(64, 9))]
    y = ["short" if len(s) == 5 else "long" for s in x]
    model = GENERATORS[name](epochs=1).fit(x, y)
    if name == "distilled":
        model = model.distill(64, steps=4, **BLINK)
    if name != "autoregressive":  # which draws its end itself
        assert {len(s) for s in model.generate(40, steps=4, random_state=0)} == {5, 9}
        for label, length in (("short", 5), ("long", 9)):
            assert {len(s) for s in model.generate(20, y=label, steps=4, random_state=0)} == {length}
    mixed = ["short", "long"] * 10
    if name != "autoregressive":
        found = model.generate(20, y=mixed, steps=4, random_state=0)
        assert [len(s) for s in found] == [5, 9] * 10


def test_length_probabilities_sum_to_one_for_any_label():
    rng = np.random.default_rng(2)
    for kind in ("class", "value", "columns", "weighted"):
        lengths = rng.choice([3, 7, 8, 20], 200)
        classes, values = np.where(lengths > 7, "long", "short").tolist(), lengths * 0.5
        y = {"class": classes, "value": values, "columns": {"c": classes, "v": values}, "weighted": classes}[kind]
        weight = rng.uniform(0.1, 2, 200) if kind == "weighted" else None
        target = learn_target(y)
        distribution = LengthDistribution.fit(lengths, weight, target.encode(y))
        again = LengthDistribution.from_dict(distribution.to_dict())
        asked = {"class": "long", "value": 10.0, "columns": {"c": "long"}, "weighted": "long"}[kind]
        for one in (distribution, again):
            p = np.exp(one.log_prob(np.arange(0, 25), target.encode(asked, n=25)))
            assert p.sum() == pytest.approx(1) and p[[3, 7, 8, 20]].sum() >= 0.99 and p[0] == p[21:].sum() == 0
            assert p[[8, 20]].sum() > 0.9
            common = np.exp(one.log_prob(np.arange(0, 25), target.encode(None, n=25)))
            assert (common == np.exp(one.log_prob(np.arange(0, 25)))).all() and common[3] > 0.1
        g = torch.Generator().manual_seed(0)
        drawn = {20} if kind == "value" else {8, 20}  # 10.0 is half of 20
        assert set(again.sample(100, g, target.encode(asked, n=100)).tolist()) == drawn


def test_lengths_given_values_are_those_of_the_nearest_rows():
    lengths = np.repeat([5, 9], 300)
    values = np.concatenate([np.linspace(0, 1, 300), np.linspace(5, 6, 300)])
    target = Target().fit(values)
    distribution = LengthDistribution.fit(lengths, None, target.encode(values))
    drawn = distribution.sample(4, torch.Generator().manual_seed(0), target.encode([0.2, 5.5, 0.9, 40.0]))
    assert drawn.tolist() == [5, 9, 5, 9]


def test_scores_include_the_length_probability_given_the_label():
    x = sequences(60, 4) + sequences(60, 8)
    y = ["short"] * 60 + ["long"] * 60
    model = MaskedDiffusion(**BLINK).fit(x, y)
    right, wrong = model.score_samples(x[:10], ["short"] * 10), model.score_samples(x[:10], ["long"] * 10)
    gap = model.length_distribution_.log_prob([4] * 2, model.target_.encode(["short", "long"]))
    assert gap[0] > -0.02 and gap[1] < -4 and (right - wrong).mean() > 3
    assert abs(model.score_samples(x[:60]).mean() - right.mean() - np.log(0.5)) < 1.5


# -- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["multinomial", "masked", "scud", "dirichlet", "embedding", "autoregressive"])
def test_weight_0_equals_leaving_the_sequence_out(name):
    """Bit for bit: letters, lengths, labels, split, first guess, budget."""
    x, extra = mixed_lengths(40, 8), ["T" * 11] * 9 + ["NNNN"]
    y, others = ["a", "b"] * 20, ["c"] * 10
    where = np.random.default_rng(3).permutation(50)
    rows = [(x + extra)[i] for i in where], [(y + others)[i] for i in where], (where < 40) * 3.0
    kept = [s for s, w in zip(rows[0], rows[2], strict=True) if w], [s for s, w in zip(*rows[1:], strict=True) if w]
    a = GENERATORS[name](epochs=2).fit(rows[0], rows[1], sample_weight=rows[2])
    b = GENERATORS[name](epochs=2).fit(*kept)
    for (key, u), v in zip(a.objective_.state_dict().items(), b.objective_.state_dict().values(), strict=True):
        assert torch.equal(u, v), key
    assert a.generate(9, steps=3, random_state=0) == b.generate(9, steps=3, random_state=0)
    assert (
        a.length_distribution_.to_dict() == b.length_distribution_.to_dict()
        and a.target_.to_dict() == b.target_.to_dict()
    )
    assert a.n_train_ == b.n_train_


def test_weights_apply_to_frequencies_means_and_lengths():
    x, y = sequences(30, 4) + sequences(30, 8), [0.5] * 30 + [2.5] * 30
    weight = np.repeat([3.0, 1.0], 30)
    model = tiny().fit(x, y, sample_weight=weight, validation=None)
    assert model.target_.mean_[0] == pytest.approx(1.0) and model.target_.scale_[0] == pytest.approx(3**0.5 / 2)
    assert model.length_distribution_.counts[3] == pytest.approx(3 * model.length_distribution_.counts[7])
    named = tiny().fit(x, ["a"] * 30 + ["b"] * 30, sample_weight=weight, validation=None)
    assert named.target_.frequencies_.tolist() == pytest.approx([0.75, 0.25])


def test_balanced_weights_equal_scikit_learns():
    y = ["a"] * 30 + ["b"] * 9 + ["c"]
    found = Weights("balanced").of(prepare(sequences(40), y), "auto")
    wanted = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=np.array(y))
    assert found == pytest.approx(np.repeat(wanted, [30, 9, 1]))
    tiny().fit(sequences(40), y, sample_weight="balanced")
    with pytest.raises(ValueError, match="'balanced': got no labels, expected classes"):
        tiny().fit(sequences(40), sample_weight="balanced")


@pytest.mark.parametrize(
    "weight",
    [{}, {1: 2}, "heavy", [1j] * 40, ["a"] * 40, [[1.0]] * 40, [np.inf] * 40, [0] * 40, [1] * 39, [None] * 40, 3.0,
     b"x", [10**400] * 40],
)  # fmt: skip
def test_invalid_weights_are_refused(weight):
    with pytest.raises(ValueError, match=r"^sample_weight") as caught:
        tiny().fit(sequences(40), sample_weight=weight)
    assert "\n" not in str(caught.value) and ";" in str(caught.value) and len(str(caught.value)) < 200


def test_huge_weights_do_not_overflow():
    a, b = (tiny().fit(sequences(40), sample_weight=w).history_["loss"] for w in ([1e308] * 40, None))
    assert a == b


# -- seeds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_random_state_accepts_what_scikit_learn_does(make, workdir):
    x, weights = sequences(40), lambda m: torch.cat([p.flatten() for p in m.objective_.parameters()])
    a, b = (tiny(random_state=make(5)).fit(x) for _ in range(2))
    assert a.fit_seed_ == b.fit_seed_ and torch.equal(weights(a), weights(b))
    assert torch.equal(weights(tiny(random_state=a.fit_seed_).fit(x)), weights(a))
    assert clone(a).fit(x).fit_seed_ != a.fit_seed_  # the generator has moved on
    assert a.generate(3, random_state=make(1)) == b.generate(3, random_state=make(1))
    assert a.score_samples(x[:2], random_state=make(1)).shape == (2,)
    a.save("a.safetensors")
    assert seqdiff.load("a.safetensors").random_state == a.fit_seed_


def test_random_state_none_is_fresh_and_recorded(workdir):
    x = sequences(40)
    a, b = (tiny(random_state=None, savepath="runs", model_name=f"m{i}").fit(x) for i in range(2))
    assert a.fit_seed_ != b.fit_seed_ and a.random_state is None
    again = tiny(random_state=a.fit_seed_).fit(x)
    assert again.history_["loss"] == a.history_["loss"]
    assert a.fit(x, resume=True).fit_seed_ == again.fit_seed_
    for bad in (-1, 2**63, 0.5, "0", True):
        with pytest.raises(ValueError, match="random_state"):
            tiny(random_state=bad).fit(x)
