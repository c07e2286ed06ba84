"""Classifiers and regressors of clean sequences and of noised states of a generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from small_models import SMALL, mixed_lengths, sequences, tiny

from seqdiff import (
    SCUD,
    Autoregressive,
    ClassicalDiffusion,
    DirichletFM,
    EmbeddingDiffusion,
    MaskedDiffusion,
    MultinomialDiffusion,
    SequenceClassifier,
    SequenceRegressor,
    UniformDiffusion,
)
from seqdiff.networks import ConvNet
from seqdiff.processes import Batch, State

MAKERS = {
    "multinomial": (MultinomialDiffusion, {"diffusion_steps": 10}),
    "masked": (MaskedDiffusion, {"sampler": "ancestral"}),
    "masked-time-conditioning": (MaskedDiffusion, {"sampler": "ancestral", "time_conditioning": True}),
    "first-hitting": (MaskedDiffusion, {}),
    "uniform": (UniformDiffusion, {}),
    "classical": (ClassicalDiffusion, {}),
    "scud": (SCUD, {}),
    "dirichlet": (DirichletFM, {}),
    "linear": (DirichletFM, {"path": "linear"}),
    "embedding": (EmbeddingDiffusion, {"diffusion_steps": 10}),
    "self-conditioned": (EmbeddingDiffusion, {"diffusion_steps": 10, "self_conditioning": True}),
    "autoregressive": (Autoregressive, {}),
    "autoregressive-ends": (Autoregressive, {}),
}
FIXED = ("multinomial", "dirichlet", "autoregressive")
WRITERS = ("autoregressive", "autoregressive-ends")
NOISED = [name for name in MAKERS if name not in WRITERS]
SMALL_CLASSIFIER = {"width": 16, "depth": 1, "epochs": 30, "batch_size": 32, "lr": 1e-2}
QUICK = SMALL_CLASSIFIER | {"width": 8, "epochs": 2}


def rule(x: str) -> str:
    return "many" if x.count("A") + x.count("C") > len(x) / 2 else "few"


def data(fixed: bool) -> tuple[list[str], list[str]]:
    X = sequences(200, 8) if fixed else mixed_lengths(200, 8)
    return X, [rule(x) for x in X]


@pytest.fixture(scope="module")
def models():
    """Return a function name -> generator, fitted at first use."""
    made = {}

    def get(name: str):
        if name not in made:
            cls, options = MAKERS[name]
            small = {k: v for k, v in SMALL.items() if k != "diffusion_steps"}
            made[name] = cls(**small | {"epochs": 1} | options).fit(data(name in FIXED)[0])
        return made[name]

    return get


@pytest.fixture(scope="module")
def classifiers(models):
    """Return a function name, hidden -> classifier of a generator's noised states."""
    made = {}

    def get(name: str, hidden: bool = False):
        if (name, hidden) not in made:
            classifier = SequenceClassifier(noise_like=models(name), hidden=hidden, **SMALL_CLASSIFIER)
            made[name, hidden] = classifier.fit(*data(name in FIXED))
        return made[name, hidden]

    return get


# -- clean sequences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixed", [True, False])
def test_a_classifier_learns_a_rule_of_clean_sequences(fixed):
    X, y = data(fixed)
    classifier = SequenceClassifier(**SMALL_CLASSIFIER).fit(X, y)
    new = sequences(100, 8, seed=1) if fixed else mixed_lengths(100, 8, seed=1)
    p = classifier.predict_proba(new)
    assert p.shape == (100, 2) and np.allclose(p.sum(1), 1, atol=1e-6) and (p >= 0).all()
    assert (classifier.predict(new) == np.array(["few", "many"])[p.argmax(1)]).all()
    assert classifier.score(new, [rule(x) for x in new]) > 0.95
    assert classifier.classes_.tolist() == ["few", "many"]


def test_regressor_predicts_in_the_unit_of_y():
    X = mixed_lengths(300, 8)
    y = [1000.0 + 50.0 * (x.count("A") - x.count("G")) for x in X]
    regressor = SequenceRegressor(**SMALL_CLASSIFIER | {"epochs": 40}).fit(X, y)
    new = mixed_lengths(60, 8, seed=1)
    wanted = np.array([1000.0 + 50.0 * (x.count("A") - x.count("G")) for x in new])
    assert regressor.score(new, wanted) > 0.95
    assert np.abs(regressor.predict(new) - wanted).mean() < 25


def test_regressor_learns_the_spread_of_y():
    """Values independent of the sequence: only their own distribution can be learned."""
    rng = np.random.default_rng(0)
    X, y = sequences(500, 6), 3.0 + 2.0 * rng.standard_normal(500)
    regressor = SequenceRegressor(**SMALL_CLASSIFIER | {"epochs": 8, "lr": 3e-3}).fit(X, y)
    reader, length = regressor.reader_, 6
    x, t, mask = torch.zeros(1, length, dtype=torch.int64), torch.zeros(1), torch.ones(1, length, dtype=torch.bool)
    standard = torch.linspace(-8, 8, 4001)
    density = reader.log_likelihood(x.expand(4001, -1), t.expand(4001), mask.expand(4001, -1), standard).exp()
    total = float(torch.trapezoid(density, standard))
    mean = float(torch.trapezoid(density * standard, standard))
    spread = float(torch.trapezoid(density * (standard - mean).square(), standard)) ** 0.5
    assert total == pytest.approx(1, abs=1e-3)
    assert abs(mean) < 0.5 and spread == pytest.approx(1, abs=0.3)
    assert regressor.encode(5.0).tolist() == pytest.approx([(5.0 - np.mean(y)) / np.std(y)], rel=1e-4)


def test_scikit_learn_cross_validation_and_grid_search():
    X, y = data(False)
    small = SequenceClassifier(**SMALL_CLASSIFIER | {"epochs": 12})
    assert cross_val_score(small, X, y, cv=2).mean() > 0.85
    search = GridSearchCV(small, {"lr": [1e-9, 1e-2]}, cv=2).fit(X, y)
    assert search.best_params_ == {"lr": 1e-2} and search.score(X, y) > 0.85


def test_a_clone_keeps_the_generator(models):
    model = models("masked")
    copy = clone(SequenceClassifier(noise_like=model, hidden=True, lr=0.1, epochs=1))
    assert copy.noise_like is model and copy.hidden and copy.lr == 0.1
    assert not hasattr(clone(copy.fit(*data(False))), "reader_")


def test_rows_without_a_label_are_left_out():
    X, y = data(False)
    some = [label if i % 2 else None for i, label in enumerate(y)]
    one, two = (SequenceClassifier(**QUICK).fit(*pair) for pair in ((X, some), (X[1::2], y[1::2])))
    assert (one.predict_proba(X[:9]) == two.predict_proba(X[:9])).all()
    values = [float(len(x)) if i % 2 else np.nan for i, x in enumerate(X)]
    one, two = (SequenceRegressor(**QUICK).fit(*pair) for pair in ((X, values), (X[1::2], values[1::2])))
    assert (one.predict(X[:9]) == two.predict(X[:9])).all()


def test_best_validation_weights_are_kept():
    """Random labels: overfitting raises the validation cross-entropy."""
    X, y = sequences(60, 8), ["a", "b"] * 30
    classifier = SequenceClassifier(width=16, depth=1, epochs=30, batch_size=8, lr=2e-2).fit(X, y, validation=0.5)
    bound = classifier.evaluations_["bound"]
    assert min(bound) < bound[-1] - 0.2
    p = SequenceClassifier(width=16, depth=1, epochs=30, batch_size=8, lr=2e-2).fit(X, y, validation=None)
    sure = lambda c: float(c.predict_proba(X).max(1).mean())  # noqa: E731
    assert sure(classifier) < 0.75 < sure(p)


# -- sequences that a generator has noised ----------------------------------------------------------------------------


def log_p(classifier, state: State, label: int = 1) -> torch.Tensor:
    """Return log p(label number `label` | x_t), (B,)."""
    shown, t = classifier.process_.reading(state)
    return classifier.log_likelihood(shown, t, state.mask, torch.full((len(t),), label))


# What a classifier of hidden states reads does not depend on the noise: one generator of letters, one of vectors and
# one from left to right; the others are slow.
BY_HIDDEN = ("masked", "embedding", WRITERS[0])


@pytest.mark.parametrize(
    ("name", "hidden"),
    [(name, False) for name in MAKERS]
    + [pytest.param(name, True, marks=[] if name in BY_HIDDEN else pytest.mark.slow) for name in MAKERS],
)
def test_classifiers_of_noised_states_predict_clean_sequences(models, classifiers, name, hidden):
    before = {k: v.clone() for k, v in models(name).objective_.state_dict().items()}
    trained = [k for k, v in models(name).objective_.named_parameters() if v.requires_grad]
    classifier = classifiers(name, hidden)
    new = sequences(100, 8, seed=1) if name in FIXED else mixed_lengths(100, 8, seed=1)
    p = classifier.predict_proba(new)
    assert np.allclose(p.sum(1), 1, atol=1e-5)
    assert classifier.score(new, [rule(x) for x in new]) > (0.7 if hidden else 0.9)
    objective = models(name).objective_
    assert all(torch.equal(v, before[k]) for k, v in objective.state_dict().items()) and not objective.training
    assert [k for k, v in objective.named_parameters() if v.requires_grad] == trained


@pytest.mark.parametrize(("name", "hidden"), [("masked", False), *((name, True) for name in BY_HIDDEN)])
def test_embeddings_do_not_depend_on_the_length_of_other_sequences(classifiers, name, hidden):
    classifier = classifiers(name, hidden)
    X = sequences(6, 8, seed=1) if name in FIXED else mixed_lengths(6, 8, seed=1)
    together = classifier.embed(X)
    assert together.shape[0] == 6 and len(np.unique(together.round(4), axis=0)) == len(set(X))
    assert np.allclose(together, np.concatenate([classifier.embed([x]) for x in X]), atol=1e-5)


def test_embedding_is_the_mean_of_the_hidden_states():
    X, y = data(False)
    classifier, shortest = SequenceClassifier(**QUICK).fit(X, y), min(X, key=len)
    network = classifier.reader_.network
    tokens = torch.tensor(classifier.alphabet_.encode([shortest])[0].astype(np.int64))
    with torch.no_grad():
        hidden = network.hidden(tokens, torch.zeros(1), None, torch.ones_like(tokens, dtype=torch.bool))
    assert np.allclose(classifier.embed([shortest]), hidden.mean(1), atol=1e-5)
    classifier.reader_.network = torch.nn.Identity()
    with pytest.raises(ValueError, match="network: got an Identity, expected one with the method hidden"):
        classifier.embed(X)


@pytest.mark.parametrize("name", NOISED)
def test_predictions_are_less_certain_with_noise(classifiers, name):
    """Measured on noised states at their own times."""
    classifier, (X, y) = classifiers(name), data(name in FIXED)
    tokens, lengths = classifier.alphabet_.encode(X)
    x0 = torch.as_tensor(tokens.astype(int))
    mask = torch.arange(x0.shape[1]) < torch.as_tensor(lengths.astype(int))[:, None]
    label = torch.tensor([["few", "many"].index(one) for one in y])
    gained = []
    for u in (0.005, 0.98):
        u = 1 - u if name in ("dirichlet", "linear") else u  # which begin with noise
        state = classifier.process_.noised(x0, torch.full((200,), u), mask, torch.Generator().manual_seed(0))
        each = torch.stack([log_p(classifier, state, i) for i in (0, 1)], -1)
        assert torch.allclose(each.exp().sum(-1), torch.ones(200), atol=1e-5)
        gained.append(float(each.gather(-1, label[:, None]).mean()) + np.log(2))
    assert gained[0] > 0.2 and gained[1] < min(gained[0] - 0.15, 0.15)


@pytest.mark.parametrize("name", [name for name in NOISED if not name.startswith(("masked", "first"))])
def test_predictions_depend_on_time_and_event_counts(classifiers, name):
    """Equal states at another time or with other event counts have other predictions; masks imply the time."""
    classifier = classifiers(name)
    x0, mask = torch.randint(4, (50, 8), generator=torch.Generator().manual_seed(0)), torch.ones(50, 8).bool()
    state = classifier.process_.noised(x0, torch.full((50,), 0.3), mask, torch.Generator().manual_seed(0))
    shown, t = classifier.process_.reading(state)
    found = [classifier.log_likelihood(shown, time, mask, torch.ones(50, dtype=torch.int64)) for time in (t, t + 0.3)]
    assert float((found[0] - found[1]).abs().max()) > 0.01


def predicted(reader: Any, x0: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the probabilities or values that a reader predicts."""
    return reader.distribution.mean(*reader.totals(x0, mask))


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in FIXED])
def test_padding_does_not_matter(classifiers, name):
    classifier = classifiers(name)
    wide = mixed_lengths(20, 8, seed=3)
    assert max(map(len, wide)) == 8
    short = [x for x in wide if len(x) < 6]
    alone = classifier.predict_proba(short)
    assert np.allclose(alone, classifier.predict_proba(wide)[[len(x) < 6 for x in wide]], atol=1e-6)
    x0, mask = torch.randint(4, (20, 8), generator=torch.Generator().manual_seed(0)), torch.arange(8) < 5
    mask = mask.expand(20, 8)
    other = torch.where(mask, x0, (x0 + 1) % 4)
    reader = classifier.reader_
    assert torch.allclose(predicted(reader, x0, mask), predicted(reader, other, mask), atol=1e-6)
    if name not in WRITERS:
        cut = predicted(reader, x0[:, :5], mask[:, :5])
        assert torch.allclose(predicted(reader, x0, mask), cut, atol=1e-5)


@pytest.mark.parametrize(("name", "hidden"), [(None, False), ("scud", False), ("masked", True), (WRITERS[1], False)])
def test_same_seed_repeats_and_two_seeds_differ(models, name, hidden):
    X, y = data(False)
    model = None if name is None else models(name)
    make = lambda seed: SequenceClassifier(noise_like=model, hidden=hidden, random_state=seed, **QUICK)  # noqa: E731
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, again, other = (make(seed).fit(X, y).predict_proba(X[:9]) for seed in (0, 0, 1))
    assert (first == again).all() and not np.allclose(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


# -- prefixes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_prefix_likelihoods_do_not_depend_on_later_letters(classifiers, name):
    """One forward pass gives the likelihood of every prefix."""
    classifier = classifiers(name)
    reader, process = classifier.reader_, classifier.process_
    x = torch.randint(4, (30, 8), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(30, 8, dtype=torch.bool)
    wanted, t = torch.ones(30, dtype=torch.int64), torch.zeros(30)
    running = reader.outputs(x, t, mask).cumsum(1)
    spread = []
    for i in range(1, 9):
        alone = classifier.log_likelihood(x[:, :i], t, mask[:, :i], wanted)
        assert torch.allclose(alone, torch.log_softmax(running[:, i - 1], -1)[:, 1], atol=1e-5)
        spread.append(float(alone.exp().std()))
    assert spread[0] < spread[-1] and process.ends == (name == WRITERS[1])


@pytest.mark.parametrize("name", WRITERS)
def test_hidden_states_depend_only_on_earlier_letters(models, classifiers, name):
    """Hidden state i predicts letter i, having read those before it: FUDGE's classifier would have read i, too."""
    reader = classifiers(name, True).reader_
    x = torch.randint(4, (30, 8), generator=torch.Generator().manual_seed(0))
    mask, t = torch.ones(30, 8, dtype=torch.bool), torch.zeros(30)
    numbers = reader.outputs(x, t, mask)
    changed = x.clone()
    changed[:, 5] = (x[:, 5] + 1) % 4
    found = reader.outputs(changed, t, mask)
    same = (numbers - found).abs().amax((0, 2)) < 1e-6
    assert same[:6].all() and not same[6]


def test_end_token_informs_the_classifier(classifiers):
    """Classes differ in length only: an ended sequence is certain, a prefix is not."""
    X = ["ACGT"[: 2 + i % 2] * (1 + i % 2) for i in range(60)]
    y = [len(x) for x in X]
    model = Autoregressive(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    classifier = SequenceClassifier(noise_like=model, **SMALL_CLASSIFIER | {"epochs": 60}).fit(X, [str(k) for k in y])
    assert classifier.score(X, [str(k) for k in y]) == 1.0
    prefix, mask = torch.tensor([[0, 1], [0, 1]]), torch.ones(2, 3, dtype=torch.bool)
    ended = torch.cat([prefix, torch.tensor([[4], [2]])], 1)
    p = classifier.log_likelihood(ended, torch.zeros(2), mask, torch.tensor([0, 0])).exp()
    assert p[0] > 0.9 and p[1] < 0.1
    before = classifier.log_likelihood(prefix, torch.zeros(2), mask[:, :2], torch.tensor([0, 0])).exp()
    assert 0.3 < float(before[0]) < 0.7


def test_the_loss_is_the_mean_over_all_prefixes(classifiers):
    """Written out prefix by prefix, the end token the last of them."""
    classifier = classifiers(WRITERS[1])
    x0, lengths = torch.tensor([[0, 1, 2, 3, 1, 2, 0, 1], [2, 3, 1, 0, 0, 0, 0, 0]]), torch.tensor([8, 3])
    label = torch.tensor([1, 0])
    batch = Batch(x0, lengths, {"label": label, "keep": torch.ones(2, dtype=torch.bool)})
    found = classifier.reader_.losses(batch, torch.zeros(2), torch.Generator())
    for row, (tokens, n) in enumerate(zip(x0.tolist(), lengths.tolist(), strict=True)):
        whole = tokens[:n] + [4] * (n < 8)  # after eight letters the end is certain, and nothing is said
        each = []
        for i in range(1, len(whole) + 1):
            prefix = torch.tensor([whole[:i]])
            each.append(classifier.log_likelihood(prefix, torch.zeros(1), prefix >= 0, label[row : row + 1]))
        assert float(found[row]) == pytest.approx(-float(torch.stack(each).mean()), abs=1e-5)


# -- mistakes ---------------------------------------------------------------------------------------------------------

X8 = sequences(20, 8)
AB = ["a", "b"] * 10


class NoHidden(torch.nn.Module):
    """A user's network without hidden states."""

    def __init__(self, **options):
        super().__init__()
        self.inner = ConvNet(**options)

    def forward(self, x, t, cond=None, mask=None):
        return self.inner(x, t, cond, mask)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: SequenceClassifier(hidden=True).fit(X8, AB), "noise_like: got None"),
        (lambda m: SequenceClassifier(noise_like="masked").fit(X8, AB), "noise_like: got 'masked', expected a fit"),
        (lambda m: SequenceClassifier(noise_like=tiny()).fit(X8, AB), "a MultinomialDiffusion that is not fitted"),
        (lambda m: SequenceClassifier(noise_like=SequenceClassifier(**QUICK).fit(X8, AB)).fit(X8, AB),
         "noise_like: got a SequenceClassifier, expected a fitted generator"),
        (lambda m: SequenceClassifier(noise_like=tiny(network=NoHidden, epochs=1).fit(X8), hidden=True).fit(X8, AB),
         "noise_like: got a model with a network of your own"),
        (lambda m: SequenceClassifier().fit(X8, None), "y: got None, expected a label for each sequence"),
        (lambda m: SequenceClassifier().fit(X8, ["a"] * 20), "y: got the class 'a' alone, expected two classes"),
        (lambda m: SequenceClassifier().fit(X8, ["a"] + [None] * 19), "y: got the class 'a' alone, expected two"),
        (lambda m: SequenceRegressor().fit(X8, np.zeros((20, 3))), "y: got 3 columns, expected one, as a Seq"),
        (lambda m: SequenceRegressor().fit(X8, AB), "y"),
        (lambda m: SequenceClassifier().fit(X8, AB[:-1]), "19"),
        (lambda m: SequenceClassifier(width=0).fit(X8, AB), "width: got 0"),
        (lambda m: SequenceClassifier(depth=1.5).fit(X8, AB), "depth: got 1.5"),
        (lambda m: SequenceClassifier(batch_size=0).fit(X8, AB), "batch_size: got 0"),
        (lambda m: SequenceClassifier(epochs=0).fit(X8, AB), "epochs: got 0"),
        (lambda m: SequenceClassifier(lr=-1).fit(X8, AB), "lr: got -1"),
        (lambda m: SequenceClassifier(weight_decay=-1).fit(X8, AB), "weight_decay: got -1"),
        (lambda m: SequenceClassifier(random_state="x").fit(X8, AB), "random_state: got 'x'"),
        (lambda m: SequenceClassifier(network="none").fit(X8, AB), "network: got 'none'"),
        (lambda m: SequenceClassifier(**QUICK).fit(X8, AB, validation=1.5), "validation: got 1.5, expected a share of"),
        (lambda m: SequenceClassifier(**QUICK).fit(X8, AB, validation=X8), "expected a share of"),
        (lambda m: SequenceClassifier(**QUICK).fit(X8, AB, validation=-0.5), "validation: got -0.5, expected a share"),
        (lambda m: SequenceClassifier(dropout=2.0).fit(X8, AB), "dropout: got 2.0"),
        (lambda m: SequenceClassifier(hidden="yes").fit(X8, AB), "hidden: got 'yes', expected True or False"),
        (lambda m: SequenceClassifier(noise_like=m).fit([x + "A" for x in X8], AB),
         "X: got a sequence of 9 letters, expected at most 8, as are known; leave longer ones out"),
        (lambda m: SequenceClassifier(**QUICK).fit(X8, AB).predict(["ACGTACGTA"]), "9 letters, expected at most 8"),
        (lambda m: SequenceClassifier(**QUICK).fit(X8, AB).predict(["ACGTACGX"]), "'X'"),
        (lambda m: SequenceClassifier(noise_like=m, **QUICK).fit(X8, AB).encode("c"), "'c'"),
    ],
)  # fmt: skip
def test_errors_state_a_cure(models, make, message):
    with pytest.raises(ValueError) as caught:
        make(models("first-hitting"))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_values_read_as_classes_are_noted():
    with pytest.warns(UserWarning, match="2 different ones become classes; a SequenceRegressor takes them for values"):
        assert SequenceClassifier(**QUICK).fit(X8, [0.5, 1.5] * 10).classes_.tolist() == [0.5, 1.5]


def test_unfitted_predictors_raise():
    for predictor in (SequenceClassifier(), SequenceRegressor()):
        with pytest.raises(NotFittedError):
            predictor.predict(X8)
        with pytest.raises(NotFittedError):
            predictor.encode("a")
