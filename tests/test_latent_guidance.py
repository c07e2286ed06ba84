"""Classifier guidance of embedding diffusion, with exact and with trained classifiers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from enumerable import Toy, bare_model, raw_input
from small_models import SMALL, mixed_lengths, sequences

from seqdiff import EmbeddingDiffusion, MaskedDiffusion, SequenceClassifier
from seqdiff.data import Alphabet
from seqdiff.guidance import Chain, ClassifierBased, Guidance, LatentClassifier, ReachedContext
from seqdiff.processes import Batch, Embedding, State
from seqdiff.processes.noise.embeddings import cosine_schedule
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import Denoiser, trajectory

TABLE = torch.tensor([[0.3, 1.0], [-1.2, 0.4], [0.5, -0.9]])


class Exact:
    """p(y | x_t) of the toy by Bayes' rule over its 27 sequences; y: whether the ends are equal."""

    def __init__(self, process: Embedding, toy: Toy) -> None:
        self.process, self.toy = process, toy
        self.same = toy.x[:, 0] == toy.x[:, 2]

    def encode(self, y) -> torch.Tensor:
        return torch.as_tensor(np.atleast_1d(np.asarray(y) == "same").astype(int))

    def log_likelihood(self, x, t, mask, wanted) -> torch.Tensor:
        said = x.clamp_min(1e-300).log()  # (B, L, K)
        joint = self.toy.p.log() + sum(said[:, i][:, self.toy.x[:, i]] for i in range(3))  # (B, 27)
        each = [torch.logsumexp(joint[:, rows], -1) for rows in (~self.same, self.same)]
        return torch.log_softmax(torch.stack(each, -1), -1).gather(-1, wanted[:, None])[:, 0]


def log_p(classifier, process: Embedding, state: State, label: int) -> torch.Tensor:
    """Return log p(label number `label` | x_t), (B,)."""
    shown, t = process.reading(state)
    return classifier.log_likelihood(shown, t, state.mask, torch.full((len(t),), label))


def bound_to(guide: LatentClassifier, process: Embedding, n: int) -> LatentClassifier:
    """Return the guide for n samples of a process, as `generate` binds it."""
    return guide.bind(bare_model(process, Alphabet("ABC")), n, None).take(torch.arange(n))


def after(guide: Guidance, process: Embedding, state: State) -> State:
    """Return the state after a guide's `after`."""
    return guide.after(ReachedContext(process, state, None, None, 0.0, None, predict=None, finish=None))


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def exact(toy) -> Exact:
    return Exact(Embedding(TABLE, cosine_schedule(20), learned=False), toy)


def share(exact: Exact, toy: Toy, guide: LatentClassifier, n: int = 600) -> float:
    denoiser, guide = toy.context_denoiser(raw_input(exact.process)), bound_to(guide, exact.process, n)
    for state in trajectory(exact.process, denoiser, toy.mask(n), chunk_generators(n, "cpu", 0), guidance=guide):
        last = state
    x = exact.process.decode(last)
    return float((x[:, 0] == x[:, 2]).double().mean())


def test_share_of_the_wanted_class_rises_with_strength(exact, toy):
    distribution = float(toy.p[exact.same].sum())
    shares = [share(exact, toy, LatentClassifier(exact, "same", strength=s)) for s in (-1.0, 0.0, 0.5, 4.0)]
    assert shares == sorted(shares) and shares[1] == pytest.approx(distribution, abs=0.07)
    assert shares[0] < distribution - 0.1 and shares[2] > distribution + 0.03 and shares[3] > distribution + 0.2
    assert share(exact, toy, LatentClassifier(exact, "differ", strength=1.0)) < distribution - 0.1


def test_latent_strength_may_depend_on_progress(exact, toy):
    """Late guidance has a smaller effect than guidance from the start, and a larger one than none."""
    late = share(exact, toy, LatentClassifier(exact, "same", strength=lambda progress: 4.0 * (progress > 0.7)))
    always = share(exact, toy, LatentClassifier(exact, "same", strength=4.0))
    never = share(exact, toy, LatentClassifier(exact, "same", strength=lambda progress: 0.0))
    assert never == share(exact, toy, LatentClassifier(exact, "same", strength=0.0))
    assert never < late < always - 0.02


def noised(exact: Exact, toy: Toy, n: int) -> State:
    g = torch.Generator().manual_seed(0)
    return exact.process.corrupt(toy.x[:n], torch.arange(n) % 20, toy.mask(n), g)


def test_guided_sequences_are_independent(exact, toy):
    """A sequence is the same guided alone or among others with classes of their own."""
    state = noised(exact, toy, 24)
    wanted = np.array(["same", "differ"] * 12)
    guide = bound_to(LatentClassifier(exact, wanted, strength=2.0), exact.process, 24)
    together = after(guide, exact.process, state)
    rows = [torch.tensor([i]) for i in range(24)]
    alone = torch.cat([after(guide.take(row), exact.process, state.take(row)).x for row in rows])
    assert torch.allclose(together.x, alone, rtol=0, atol=1e-12)
    gained = torch.stack(
        [log_p(exact, exact.process, together, i) - log_p(exact, exact.process, state, i) for i in (0, 1)]
    )
    gained = gained[torch.tensor([1, 0] * 12), torch.arange(24)]
    assert (gained > -1e-9).all() and float(gained.mean()) > 0.05  # nothing is left to gain where the class is certain


class OneByOne(Guidance):
    """Guide every sequence by itself."""

    def __init__(self, guide: LatentClassifier) -> None:
        self.guide = guide

    def after(self, context):
        state = context.state
        rows = [torch.tensor([i]) for i in range(len(state.x))]
        moved = [self.guide.take(row).after(replace(context, state=state.take(row))).x for row in rows]
        return state.replace(x=torch.cat(moved))


@pytest.mark.parametrize("y", ["same", ["same", "differ"] * 10])
def test_guided_samples_do_not_depend_on_batch_size(exact, toy, y):
    guide = bound_to(LatentClassifier(exact, y, strength=3.0), exact.process, 20)
    denoiser = toy.context_denoiser(raw_input(exact.process))

    def sample(batch: int, guidance: Guidance | None) -> torch.Tensor:
        inner = Denoiser(denoiser, batch)
        *_, last = trajectory(exact.process, inner, toy.mask(20), chunk_generators(20, "cpu", 4), guidance=guidance)
        return exact.process.decode(last)

    together = sample(20, guide)
    assert torch.equal(together, sample(1, OneByOne(guide)))
    assert not torch.equal(together, sample(20, None))


def test_guide_steps_equal_adagrad(exact, toy):
    """Written out with torch's own Adagrad on u, in units of the noise's standard deviation."""
    state = noised(exact, toy, 9)
    scale = exact.process.noise[state.t].sqrt()[:, None, None]
    u = torch.zeros_like(state.x, requires_grad=True)
    adagrad = torch.optim.Adagrad([u], lr=0.2, initial_accumulator_value=1.0, eps=0.0)
    for _ in range(4):
        adagrad.zero_grad()
        (-1.5 * log_p(exact, exact.process, state.replace(x=state.x + scale * u), 1).sum()).backward()
        adagrad.step()
    guide = bound_to(LatentClassifier(exact, "same", strength=1.5, steps=4, lr=0.2), exact.process, 9)
    ours = after(guide, exact.process, state).x
    assert torch.allclose(ours, state.x + scale * u.detach(), atol=1e-12)
    assert float((ours - state.x).abs().max()) > 0.01


def test_padding_and_fixed_letters_are_not_guided(exact, toy):
    state = noised(exact, toy, 9)
    mask = state.mask.clone()
    mask[:, 2] = False
    padded = state.replace(x=torch.where(mask[..., None], state.x, 0), mask=mask)
    guide = bound_to(LatentClassifier(exact, "same", strength=5.0), exact.process, 9)
    moved = after(guide, exact.process, padded).x
    assert not moved[:, 2].any()
    written = state.replace(letters=toy.x[:9])
    assert after(guide, exact.process, written) is written


# -- a classifier that is trained -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled():
    """Return sequences of two classes, an unconditional generator and a classifier fitted to them."""
    X = sequences(200, 8, p=[0.55, 0.15, 0.15, 0.15]) + sequences(200, 8, p=[0.15, 0.15, 0.15, 0.55], seed=1)
    y = ["A"] * 200 + ["T"] * 200
    model = EmbeddingDiffusion(**SMALL | {"width": 16, "epochs": 10, "batch_size": 32, "diffusion_steps": 20}).fit(X)
    return X, y, model, SequenceClassifier(noise_like=model, width=16, depth=1, epochs=30).fit(X, y)


def test_trained_classifier_approximates_the_exact_posterior(labelled):
    """Letters are independent given the class, so that p(y | x_t) is a product over positions."""
    X, y, model, classifier = labelled
    process = model.objective_.process
    x0 = torch.as_tensor(model.alphabet_.encode(X)[0].astype(int))
    p = torch.tensor([[0.55, 0.15, 0.15, 0.15], [0.15, 0.15, 0.15, 0.55]], dtype=torch.float64)
    for t in (0, 6, 12):
        state = process.corrupt(x0, torch.full((400,), t), torch.ones(400, 8, dtype=torch.bool), torch.Generator())
        evidence = process.log_evidence(state, torch.float64)
        by_class = torch.stack([torch.logsumexp(evidence + distribution.log(), -1).sum(-1) for distribution in p], -1)
        distribution = torch.log_softmax(by_class, -1)
        found = torch.stack([log_p(classifier, process, state, i) for i in (0, 1)], -1)
        assert torch.allclose(found.exp().sum(-1), torch.ones(400), atol=1e-5)
        divergence = float((distribution.exp() * (distribution - found)).sum(-1).mean())
        assert divergence < 0.08, t
        informed = float(
            (distribution.exp() * (distribution + np.log(2))).sum(-1).mean()
        )  # what not to know the classes would cost
        assert divergence < 0.3 * informed, t
        shown, time = process.reading(state)
        later = classifier.log_likelihood(shown, time + 0.15, state.mask, torch.zeros(400, dtype=torch.int64))
        assert not torch.allclose(later, found[:, 0])  # it depends on the time


@pytest.mark.parametrize("cls", [LatentClassifier, ClassifierBased])
def test_trained_classifier_guides_samples(labelled, cls):
    _, _, model, classifier = labelled
    shares = []
    for strength in (0.0, 0.5, 2.0):
        guide = cls(classifier, "A", strength)
        text = "".join(model.generate(128, guidance=guide, random_state=0))
        shares.append(text.count("A") / len(text))
        assert model.generate(1, guidance=guide, random_state=0)[0] == text[:8]
    assert shares[0] + 0.03 < shares[1] and shares[1] + 0.05 < shares[2]
    two = model.generate(60, guidance=cls(classifier, ["A", "T"] * 30, 2.0), random_state=0)
    count = lambda letter, rows: "".join(rows).count(letter)  # noqa: E731
    assert count("A", two[::2]) > 2 * count("T", two[::2]) and count("T", two[1::2]) > 2 * count("A", two[1::2])
    held = model.generate(20, guidance=guide, template="TTTTNNNN", random_state=0)
    assert all(sample.startswith("TTTT") for sample in held)


def test_a_trained_classifier_does_not_change_the_generator(labelled):
    X, y, model, _ = labelled
    before = {name: value.clone() for name, value in model.objective_.state_dict().items()}
    learned = [name for name, parameter in model.objective_.named_parameters() if parameter.requires_grad]
    classifier = SequenceClassifier(noise_like=model, width=8, depth=1, epochs=3).fit(X, y)
    assert len(classifier.evaluations_["bound"]) == 3
    assert all(torch.equal(value, before[name]) for name, value in model.objective_.state_dict().items())
    assert [name for name, parameter in model.objective_.named_parameters() if parameter.requires_grad] == learned
    assert not model.objective_.training


def test_classifier_ignores_padding():
    X = mixed_lengths()
    model = EmbeddingDiffusion(**SMALL | {"diffusion_steps": 20}).fit(X)
    classifier = SequenceClassifier(noise_like=model, width=8, depth=1, epochs=10, batch_size=8).fit(
        X, [x[0] in "AC" for x in X]
    )
    process = model.objective_.process
    x0, mask = torch.zeros(9, 10, dtype=torch.int64), (torch.arange(10) < 6).expand(9, 10)
    wide = process.corrupt(x0, torch.arange(9), mask, torch.Generator().manual_seed(0))
    cut = State(wide.x[:, :6], wide.t, mask[:, :6])
    assert torch.allclose(log_p(classifier, process, wide, 0), log_p(classifier, process, cut, 0), atol=1e-5)
    assert log_p(classifier, process, wide, 0).std() > 1e-3


def test_classifier_times_are_uniform_and_stratified_in_validation(labelled, monkeypatch):
    *_, classifier = labelled
    reader, seen = classifier.reader_, []
    corrupt = reader.process.corrupt
    monkeypatch.setattr(reader.process, "corrupt", lambda x0, t, *rest: seen.append(t) or corrupt(x0, t, *rest))
    cond = {"label": torch.zeros(210, dtype=torch.int64), "keep": torch.ones(210, dtype=torch.bool)}
    batch = Batch(torch.zeros(210, 8, dtype=torch.int64), torch.full((210,), 8), cond)
    reader.losses(batch, (torch.arange(210) + 0.5) / 210, torch.Generator())
    assert torch.bincount(seen.pop()).tolist() == [10] * 21
    reader(batch, torch.Generator())
    assert (torch.bincount(seen.pop()) - 10).abs().max() <= 1
    reader.bound(batch, 21, torch.Generator())
    assert [t.unique().tolist() for t in seen] == [[t] for t in range(21)]


@pytest.mark.parametrize(
    ("cls", "letters", "message"),
    [
        (MaskedDiffusion, "ACGT", "got LatentClassifier for MaskedDiffusion, expected a guide that can steer it; give"),
        (EmbeddingDiffusion, "ACG", "classifier: got one of the letters ACGT, expected one of ACG"),
    ],
)  # fmt: skip
def test_another_model_is_refused(labelled, cls, letters, message):
    settings = {name: value for name, value in SMALL.items() if name != "diffusion_steps"}
    other = cls(**settings, alphabet=letters).fit(sequences(16, 8, "ACG"))
    with pytest.raises(ValueError, match=message):
        other.generate(2, guidance=LatentClassifier(labelled[3], "A"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m, c: LatentClassifier(c, "G"), "'G'"),
        (lambda m, c: LatentClassifier(c, ["A", None]), "y: got a missing label, expected one for each"),
        (lambda m, c: LatentClassifier(c, None), "y: got a missing label, expected one for each"),
        (lambda m, c: LatentClassifier(c, "A", steps=1.5), "steps: got 1.5"),
        (lambda m, c: LatentClassifier(c, "A", strength="much"), "strength: got 'much'"),
        (lambda m, c: LatentClassifier(c, "A", strength=True), "strength: got True"),
        (lambda m, c: LatentClassifier(c, "A", strength=float("nan")), "strength: got nan"),
        (lambda m, c: LatentClassifier(c, "A", lr=-1.0), "lr: got -1.0"),
        (lambda m, c: LatentClassifier(None, "A"), "classifier: got None, expected a classifier of noised sequences"),
        (lambda m, c: m.generate(5, guidance=LatentClassifier(c, ["A", "T"])), "y: got 2 for LatentClassifier,"),
        (lambda m, c: m.generate(5, guidance=LatentClassifier(c, ["A"])), "y: got 1 for LatentClassifier, expected"),
        (lambda m, c: m.generate(256, guidance=LatentClassifier(c, ["A"] * 300)), "y: got 300 for LatentClassifier,"),
        (lambda m, c: m.trajectory(2, guidance=Chain([LatentClassifier(c, ["A"])])), "y: got 1 for LatentClassifier,"),
    ],
)  # fmt: skip
def test_errors_state_a_cure(labelled, make, message):
    with pytest.raises(ValueError) as caught:
        make(*labelled[2:])
    assert message in str(caught.value) and "\n" not in str(caught.value)
