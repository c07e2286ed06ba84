"""Guides against their target p(x) p(y | x)^gamma by enumeration, with exact denoisers and classifiers."""

from __future__ import annotations

import pytest
import torch
from enumerable_labels import Bayes, Labelled, distance, samples

from seqdiff.guidance import FUDGE, ClassifierBased, ClassifierFree, Reward
from seqdiff.processes import (
    SCUD,
    Autoregressive,
    Classical,
    DirichletFlow,
    Embedding,
    FirstHitting,
    Masked,
    Multinomial,
    Uniform,
)
from seqdiff.processes.noise.embeddings import cosine_schedule
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.processes.noise.schedules import make_schedule

TABLE = torch.tensor([[0.3, 1.0], [-1.2, 0.4], [0.5, -0.9]])
PROCESSES = {
    "multinomial": lambda: Multinomial(3, 100),
    "masked": lambda: Masked(3),
    "first-hitting": lambda: FirstHitting(3),
    "uniform": lambda: Uniform(3),
    "classical": lambda: Classical(make_forward("uniform", "ABC"), make_schedule("cos")),
    "scud": lambda: SCUD(make_forward("uniform", "ABC"), gamma=0.3),
    "autoregressive": lambda: Autoregressive(3, 3),
    "dirichlet": lambda: DirichletFlow(3),
    "embedding": lambda: Embedding(TABLE, cosine_schedule(200), learned=False),
}
STEPS = {"masked": 60, "uniform": 60, "classical": 60, "scud": 40, "dirichlet": 50, "embedding": 60}
N = 4000  # samples, whose own noise is a total variation of about 0.025


@pytest.fixture(scope="module")
def toy() -> Labelled:
    return Labelled()


def test_tilted_distributions_differ(toy):
    """The distributions are far apart, so that unguided samples fail the tests below."""
    assert 0.5 * (toy.tilted(0.0) - toy.p).abs().sum() < 1e-12
    assert 0.5 * (toy.tilted(1.0) - toy.p).abs().sum() > 0.3
    assert 0.5 * (toy.tilted(2.0) - toy.tilted(1.0)).abs().sum() > 0.05


@pytest.mark.parametrize("name", PROCESSES)
def test_classifier_free_samples_are_close_to_the_tilted_distribution(toy, name):
    """Gamma 0 is unguided and gamma 1 exact; at gamma 2 no step kernel is exact."""
    process, steps = PROCESSES[name](), STEPS.get(name)
    blind, plain = (
        samples(toy, process, g, label=1, n=200, steps=5) for g in (ClassifierFree(0.0), ClassifierFree(1.0))
    )
    assert (blind != plain).any()
    assert (blind == samples(toy, process, None, n=200, steps=5)).all()
    for gamma, allowed in ((1.0, 0.05), (2.0, 0.1)):
        x = samples(toy, process, ClassifierFree(gamma), label=1, n=N, steps=steps)
        assert distance(toy, x, toy.tilted(gamma)) < allowed, gamma


BASED = [name for name in PROCESSES if name != "autoregressive"]
LETTERS = [name for name in BASED if name not in ("dirichlet", "embedding")]


@pytest.mark.parametrize("name", BASED)
def test_classifier_based_samples_follow_bayes_rule(toy, name):
    """Exact with one call for each letter, or where the gradient is of what the states themselves say."""
    process = PROCESSES[name]()
    for gamma, allowed in ((1.0, 0.06), (2.0, 0.1)):
        guide = ClassifierBased(Bayes(toy, process), 1, gamma=gamma, exact=name in LETTERS)
        x = samples(toy, process, guide, n=N // 2, steps=STEPS.get(name))
        assert distance(toy, x, toy.tilted(gamma)) < allowed, gamma


@pytest.mark.parametrize("name", LETTERS)
def test_first_order_is_exact_where_the_classifier_is_linear(toy, name):
    process = PROCESSES[name]()
    bayes = Bayes(toy, process)
    exact, first = (
        samples(toy, process, ClassifierBased(bayes, 1, gamma=1.5, exact=exact), n=200, steps=10)
        for exact in (True, False)
    )
    assert (exact == first).all(-1).double().mean() > 0.98  # but for rounding


def test_fudge_samples_follow_bayes_rule(toy):
    process = PROCESSES["autoregressive"]()
    for gamma, allowed in ((0.0, 0.03), (1.0, 0.03), (2.0, 0.1)):
        x = samples(toy, process, FUDGE(Bayes(toy, process), 1, gamma=gamma), n=10_000)
        assert distance(toy, x, toy.tilted(gamma)) < allowed, gamma


@pytest.mark.parametrize("name", PROCESSES)
def test_feynman_kac_follows_the_reward(toy, name):
    words = ["".join("ABC"[i] for i in row) for row in toy.x.tolist()]
    value = dict(zip(words, toy.log_label[:, 1].tolist(), strict=True))
    reward = Reward(lambda sequences: [value[s] for s in sequences], strength=1.5, particles=32, checks=4)
    x = samples(toy, PROCESSES[name](), reward, n=1000, steps=20)
    assert distance(toy, x, toy.tilted(1.5)) < 0.1
    assert reward.calls_ <= 4 and reward.sequences_ <= 4 * 27


@pytest.mark.parametrize("strength", [1.5, 0.0, -1.5])
def test_samples_of_reward_minus_infinity_never_occur(toy, strength):
    """For any strength and weight, and beside another reward."""
    words = ["".join("ABC"[i] for i in row) for row in toy.x.tolist()]
    no_a = {word: -float("inf") if word[0] == "A" else float(toy.log_label[i, 1]) for i, word in enumerate(words)}
    reward = Reward(
        [lambda s: [no_a[x] for x in s], lambda s: [1.0] * len(s)], strength, weights=[0.5, 2.0], particles=32, checks=2
    )
    x = samples(toy, PROCESSES["masked"](), reward, n=300, steps=20)
    assert not (x[:, 0] == 0).any()
    distribution = torch.softmax(
        toy.p.log() + 0.5 * strength * toy.log_label[:, 1] + (toy.x[:, 0] == 0).double().mul(-60), 0
    )
    assert distance(toy, x, distribution) < 0.15
