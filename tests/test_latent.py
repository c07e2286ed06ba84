"""Steering embedding diffusion by a classifier: with exact ones of a toy, and with one that is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import SMALL, sequences, tiny
from toy import Toy, raw_input

from seqdiff import EmbeddingDiffusion
from seqdiff.estimators import NoisyClassifier
from seqdiff.guidance import Guidance, LatentClassifier
from seqdiff.processes import Embedding, State
from seqdiff.processes.embedding import cosine_schedule
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory

TABLE = torch.tensor([[0.3, 1.0], [-1.2, 0.4], [0.5, -0.9]])


class Exact:
    """p(y | x_t) of the toy by Bayes' rule over its 27 sequences; y: whether the ends are equal."""

    classes_ = ("differ", "same")

    def __init__(self, process: Embedding, toy: Toy) -> None:
        self.process, self.toy = process, toy
        self.same = toy.x[:, 0] == toy.x[:, 2]

    def log_prob(self, state: State) -> torch.Tensor:
        evidence = self.process.log_evidence(state, torch.float64)  # (B, L, K)
        joint = self.toy.p.log() + sum(evidence[:, i][:, self.toy.x[:, i]] for i in range(3))  # (B, 27)
        each = [torch.logsumexp(joint[:, rows], -1) for rows in (~self.same, self.same)]
        return torch.log_softmax(torch.stack(each, -1), -1)

    def noise_scale(self, state: State) -> torch.Tensor:
        return self.process.noise[state.t].sqrt()


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def exact(toy) -> Exact:
    return Exact(Embedding(TABLE, cosine_schedule(20), learned=False), toy)


def share(exact: Exact, toy: Toy, guide: Guidance, n: int = 600) -> float:
    denoiser = toy.context_denoiser(raw_input(exact.process))
    for state in trajectory(exact.process, denoiser, toy.mask(n), chunk_generators(n, "cpu", 0), guidance=guide):
        last = state
    x = exact.process.decode(last)
    return float((x[:, 0] == x[:, 2]).double().mean())


def test_the_share_of_the_wanted_class_rises_with_the_strength(exact, toy):
    law = float(toy.p[exact.same].sum())
    shares = [share(exact, toy, LatentClassifier(exact, "same", strength=s)) for s in (-1.0, 0.0, 0.5, 4.0)]
    assert shares == sorted(shares) and shares[1] == pytest.approx(law, abs=0.07)
    assert shares[0] < law - 0.1 and shares[2] > law + 0.03 and shares[3] > law + 0.2
    assert share(exact, toy, LatentClassifier(exact, "differ", strength=1.0)) < law - 0.1


def noised(exact: Exact, toy: Toy, n: int) -> State:
    g = torch.Generator().manual_seed(0)
    return exact.process.corrupt(toy.x[:n], torch.arange(n) % 20, toy.mask(n), g)


def test_each_sequence_goes_its_own_way(exact, toy):
    """The same whether it is steered alone or among others, each towards a class of its own."""
    state = noised(exact, toy, 24)
    wanted = np.array(["same", "differ"] * 12)
    guide = LatentClassifier(exact, wanted, strength=2.0)
    together = guide.after(state, None, None)
    alone = torch.cat([guide.take(slice(i, i + 1)).after(state.take(slice(i, i + 1)), None, None).x for i in range(24)])
    assert torch.allclose(together.x, alone, rtol=0, atol=1e-12)
    gained = exact.log_prob(together) - exact.log_prob(state)
    gained = gained[torch.arange(24), torch.tensor([1, 0] * 12)]
    assert (gained > -1e-9).all() and float(gained.mean()) > 0.05  # nothing is left to gain where the class is certain


def test_steps_are_adagrads(exact, toy):
    """Written out with torch's own Adagrad on u."""
    state = noised(exact, toy, 9)
    scale = exact.noise_scale(state)[:, None, None]
    u = torch.zeros_like(state.x, requires_grad=True)
    adagrad = torch.optim.Adagrad([u], lr=0.2, initial_accumulator_value=1.0, eps=0.0)
    for _ in range(4):
        adagrad.zero_grad()
        (-1.5 * exact.log_prob(state._replace(x=state.x + scale * u))[:, 1].sum()).backward()
        adagrad.step()
    ours = LatentClassifier(exact, "same", strength=1.5, steps=4, lr=0.2).after(state, None, None).x
    assert torch.allclose(ours, state.x + scale * u.detach(), atol=1e-12)
    assert float((ours - state.x).abs().max()) > 0.01


def test_padding_and_what_is_written_stay(exact, toy):
    state = noised(exact, toy, 9)
    mask = state.mask.clone()
    mask[:, 2] = False
    padded = State(torch.where(mask[..., None], state.x, 0), state.t, mask)
    guide = LatentClassifier(exact, "same", strength=5.0)
    moved = guide.after(padded, None, None).x
    assert not moved[:, 2].any() and (moved[:, :2] != padded.x[:, :2]).any()
    written = state._replace(extra={"letters": toy.x[:9]})
    assert guide.after(written, None, None) is written


# -- a classifier that is trained -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled():
    """Sequences of two classes, and a generator and a classifier fitted to them, the generator without labels."""
    X = sequences(200, 8, p=[0.55, 0.15, 0.15, 0.15]) + sequences(200, 8, p=[0.15, 0.15, 0.15, 0.55], seed=1)
    y = ["A"] * 200 + ["T"] * 200
    model = EmbeddingDiffusion(**SMALL | {"width": 16, "epochs": 10, "batch_size": 32, "diffusion_steps": 20}).fit(X)
    return X, y, model, NoisyClassifier(model, width=16, depth=1, epochs=12).fit(X, y)


def test_a_trained_classifier_knows_the_law_of_the_noised_vectors(labelled):
    """Letters are independent given the class, so that p(y | x_t) is a product over positions."""
    X, y, model, classifier = labelled
    process = model.objective_.process
    x0 = torch.as_tensor(model.alphabet_.encode(X)[0].astype(int))
    p = torch.tensor([[0.55, 0.15, 0.15, 0.15], [0.15, 0.15, 0.15, 0.55]], dtype=torch.float64)
    for t in (0, 6, 12):
        state = process.corrupt(x0, torch.full((400,), t), torch.ones(400, 8, dtype=torch.bool), torch.Generator())
        evidence = process.log_evidence(state, torch.float64)
        by_class = torch.stack([torch.logsumexp(evidence + law.log(), -1).sum(-1) for law in p], -1)
        law, found = torch.log_softmax(by_class, -1), classifier.log_prob(state)
        divergence = float((law.exp() * (law - found)).sum(-1).mean())
        assert divergence < 0.08, t
        told = float((law.exp() * (law + np.log(2))).sum(-1).mean())  # what not to know the classes would cost
        assert divergence < 0.3 * told, t
        assert not torch.allclose(classifier.log_prob(state._replace(t=state.t + 3)), found)  # it is told the time


def test_a_trained_classifier_steers(labelled):
    _, _, model, classifier = labelled
    shares = []
    for strength in (0.0, 0.5, 2.0):
        guide = LatentClassifier(classifier, "A", strength=strength)
        text = "".join(model.generate(128, guidance=guide, random_state=0))
        shares.append(text.count("A") / len(text))
        assert model.generate(1, guidance=guide, random_state=0)[0] == text[:8]
    assert shares[0] + 0.03 < shares[1] and shares[1] + 0.05 < shares[2]
    two = model.generate(60, guidance=LatentClassifier(classifier, ["A", "T"] * 30, strength=2.0), random_state=0)
    count = lambda letter, rows: "".join(rows).count(letter)  # noqa: E731
    assert count("A", two[::2]) > 2 * count("T", two[::2]) and count("T", two[1::2]) > 2 * count("A", two[1::2])
    held = model.generate(20, guidance=guide, template="TTTTNNNN", random_state=0)
    assert all(sample.startswith("TTTT") for sample in held)


def test_a_trained_classifier_repeats_and_does_not_change_the_generator(labelled):
    X, y, model, classifier = labelled
    before = {name: value.clone() for name, value in model.objective_.state_dict().items()}
    settings = {"width": 8, "depth": 1, "epochs": 1}
    found = [NoisyClassifier(model, **settings).fit(X, y).predict_proba(X[:9], t=3) for _ in range(2)]
    assert (found[0] == found[1]).all() and np.allclose(found[0].sum(1), 1)
    other = NoisyClassifier(model, random_state=1, **settings).fit(X, y).predict_proba(X[:9], t=3)
    assert not np.allclose(found[0], other)
    assert all(torch.equal(value, before[name]) for name, value in model.objective_.state_dict().items())
    assert len(classifier.evaluations_["bound"]) == 12


def test_rows_without_a_label_are_left_out(labelled):
    X, y, model, _ = labelled
    some = [label if i % 2 else None for i, label in enumerate(y)]
    one = NoisyClassifier(model, width=8, depth=1, epochs=1).fit(X, some)
    two = NoisyClassifier(model, width=8, depth=1, epochs=1).fit(X[1::2], y[1::2])
    assert (one.predict_proba(X[:5]) == two.predict_proba(X[:5])).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m, c: LatentClassifier(c, "G"), "y='G' is none of the classifier's classes; give one of 'A', 'T'"),
        (lambda m, c: LatentClassifier(c, "A", steps=1.5), "steps=1.5 is not possible"),
        (lambda m, c: LatentClassifier(c, "A", strength="much"), "strength='much' is not possible"),
        (lambda m, c: LatentClassifier(c, "A", lr=-1.0), "lr=-1.0 is not possible"),
        (lambda m, c: m.generate(5, guidance=LatentClassifier(c, ["A", "T"])), "2 classes, but 5 sequences"),
        (lambda m, c: NoisyClassifier(tiny()).fit(["ACGT"], ["a"]), "MultinomialDiffusion without noised vectors"),
        (lambda m, c: NoisyClassifier(m).fit(["ACGTACGTA"], ["a"]), "9 letters, but the model knows at most 8"),
        (lambda m, c: NoisyClassifier(m).fit(["ACGTACGT"], None), "y is missing"),
        (lambda m, c: NoisyClassifier(m, epochs=0).fit(["ACGTACGT"], ["a"]), "epochs=0 is not possible"),
        (lambda m, c: c.predict_proba(["ACGTACGT"], t=21), "t=21 is not possible; give a whole number from 0 to 20"),
    ],
)
def test_errors_name_the_cure(labelled, make, message):
    with pytest.raises(ValueError) as caught:
        make(*labelled[2:])
    assert message in str(caught.value) and "\n" not in str(caught.value)
