"""Steering embedding diffusion by a classifier: with exact ones of a toy, and with one that is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import SMALL, mixed_lengths, sequences, tiny
from toy import Toy, raw_input

from seqdiff import DirichletFM, EmbeddingDiffusion, MaskedDiffusion
from seqdiff.estimators import NoisyClassifier
from seqdiff.guidance import Chain, Guidance, LatentClassifier
from seqdiff.processes import Embedding, State
from seqdiff.processes.gaussian import cosine_schedule
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import in_batches, trajectory
from seqdiff.training import Batch

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


class OneByOne(Guidance):
    """Steer every sequence by itself."""

    def __init__(self, guide: LatentClassifier) -> None:
        self.guide = guide

    def after(self, state, predict, generator):
        rows = [slice(i, i + 1) for i in range(len(state.x))]
        moved = [self.guide.take(row).after(state.take(row), predict, None).x for row in rows]
        return state._replace(x=torch.cat(moved))


@pytest.mark.parametrize("y", ["same", ["same", "differ"] * 32])
def test_the_batch_size_does_not_matter_to_what_is_steered(exact, toy, y):
    guide, denoiser = LatentClassifier(exact, y, strength=3.0), toy.context_denoiser(raw_input(exact.process))

    def sample(batch: int, guidance: Guidance | None) -> torch.Tensor:
        inner = in_batches(denoiser, batch)
        *_, last = trajectory(exact.process, inner, toy.mask(64), chunk_generators(64, "cpu", 4), guidance=guidance)
        return exact.process.decode(last)

    together = sample(64, guide)
    assert torch.equal(together, sample(1, OneByOne(guide)))
    assert not torch.equal(together, sample(64, None))


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


def test_what_stands_beyond_the_end_says_nothing_of_the_class():
    X = mixed_lengths()
    model = EmbeddingDiffusion(**SMALL | {"diffusion_steps": 20}).fit(X)
    classifier = NoisyClassifier(model, width=8, depth=1, epochs=10, batch_size=8).fit(X, ["a", "b"] * 24)
    x0, mask = torch.zeros(9, 10, dtype=torch.int64), (torch.arange(10) < 6).expand(9, 10)
    wide = model.objective_.process.corrupt(x0, torch.arange(9), mask, torch.Generator().manual_seed(0))
    cut = State(wide.x[:, :6], wide.t, mask[:, :6])
    assert torch.allclose(classifier.log_prob(wide), classifier.log_prob(cut), atol=1e-5)
    assert classifier.log_prob(wide).std(0).max() > 1e-3


def test_every_time_is_as_likely_and_validation_goes_through_them(labelled, monkeypatch):
    *_, model, classifier = labelled
    objective, seen = classifier.objective_, []
    corrupt = objective.process.corrupt
    monkeypatch.setattr(objective.process, "corrupt", lambda x0, t, *rest: seen.append(t) or corrupt(x0, t, *rest))
    cond = {"label": torch.zeros(210, dtype=torch.int64), "keep": torch.ones(210, dtype=torch.bool)}
    batch = Batch(torch.zeros(210, 8, dtype=torch.int64), torch.full((210,), 8), cond)
    objective.losses(batch, (torch.arange(210) + 0.5) / 210, torch.Generator())
    assert torch.bincount(seen.pop()).tolist() == [10] * 21
    objective.bound(batch, 21, torch.Generator())
    assert [t.unique().tolist() for t in seen] == [[t] for t in range(21)]


def test_every_chunk_has_noise_of_its_own(labelled):
    X, _, _, classifier = labelled
    p = classifier.predict_proba([X[0]] * 300, t=10, random_state=1)
    assert not np.allclose(p[:44], p[256:])
    assert (classifier.predict_proba([X[0]] * 7, t=10, random_state=1) == p[:7]).all()


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (MaskedDiffusion, {}),
        (DirichletFM, {"alphabet": "ACG"}),  # points of as many dimensions as the vectors have
        (EmbeddingDiffusion, {"dim": 2, "diffusion_steps": 20}),
        (EmbeddingDiffusion, {"diffusion_steps": 30}),
        (EmbeddingDiffusion, {"diffusion_steps": 20, "length": 9}),
    ],
)
def test_states_of_another_model_are_refused(labelled, cls, options):
    settings = {name: value for name, value in SMALL.items() if name != "diffusion_steps"} | options
    other = cls(**settings).fit(sequences(16, options.get("length", 8), "ACG"))
    with pytest.raises(ValueError, match="knows the noised vectors of the EmbeddingDiffusion that it was fitted to"):
        other.generate(2, guidance=LatentClassifier(labelled[3], "A"))


def test_the_scale_is_that_of_the_noise(labelled):
    *_, model, classifier = labelled
    x0, mask = torch.zeros(4000, 8, dtype=torch.int64), torch.ones(4000, 8, dtype=torch.bool)
    for t in (0, 7, 20):
        state = model.objective_.process.corrupt(x0, torch.full((4000,), t), mask, torch.Generator().manual_seed(t))
        assert float(classifier.noise_scale(state)[0]) == pytest.approx(float(state.x.std(0).mean()), rel=0.01)


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
        (lambda m, c: LatentClassifier(c, [["A"]]), "y=['A'] is none of the classifier's classes"),
        (lambda m, c: LatentClassifier(NoisyClassifier(m), "A"), "NoisyClassifier without classes_; fit it first"),
        (lambda m, c: m.generate(5, guidance=LatentClassifier(c, ["A", "T"])), "2 classes, but 5 sequences"),
        (lambda m, c: m.generate(256, guidance=LatentClassifier(c, ["A"] * 300)), "300 classes, but 256 sequences"),
        (lambda m, c: m.trajectory(2, guidance=Chain([LatentClassifier(c, ["A"])])), "1 classes, but 2 sequences"),
        (lambda m, c: NoisyClassifier(m).fit(["ACGTACGT", "ACGTACGA"], ["a", None]), "y has the one class 'a'"),
        (lambda m, c: NoisyClassifier(m, lr=-1).fit(["ACGTACGT"], ["a"]), "lr=-1 is not possible"),
        (lambda m, c: NoisyClassifier(m, random_state=None).fit(["ACGT"], ["a"]), "random_state=None is not possible"),
        (lambda m, c: c.predict_proba(["ACGTACGTA"]), "9 letters, but the model knows at most 8"),
        (lambda m, c: c.predict_proba(["ACGTACGT"], random_state=-1), "random_state=-1 is not possible"),
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
