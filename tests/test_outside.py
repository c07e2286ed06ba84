"""Processes, networks and guides from outside the package: found, checked, documented, saved, guided."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from enumerable import Toy, raw_input
from safetensors import safe_open
from small_models import sequences
from torch import nn
from torch.nn import functional as F

import seqdiff
from seqdiff import SequenceClassifier
from seqdiff.cli import main
from seqdiff.guidance import (
    FUDGE,
    NOS,
    ClassifierBased,
    ClassifierFree,
    Guidance,
    LatentClassifier,
    LookAhead,
    Reward,
)
from seqdiff.model import Vocabulary
from seqdiff.networks import Network
from seqdiff.networks.layers import InputAdapter
from seqdiff.parameters import Real, parameters_of
from seqdiff.processes import Batch, CategoricalProcess, State
from seqdiff.processes.base import like, masked_sum
from seqdiff.processes.categorical import sample_categorical
from seqdiff.runtime import chunk_generators, uniform
from seqdiff.sampling import trajectory

TINY: dict[str, Any] = {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
X = sequences(64)
LABELS = ["few" if s.count("A") < 3 else "many" for s in X]


class Lookup(Network):
    """A network of one embedding, scaled by an option of its own."""

    def __init__(self, states, letters, length, conditions, fixed_length, width: int = 8, scale: float = 1.0) -> None:
        super().__init__(states, letters, length, conditions, fixed_length)
        self.embed, self.out, self.scale = InputAdapter(states, width), nn.Linear(width, letters), scale

    def hidden(self, x, t, cond=None, mask=None):
        return self.scale * self.embed(x)

    def head(self, hidden):
        return self.out(hidden)


class Noisy(CategoricalProcess):
    """Letters become random ones in T steps: q(x_t | x_0) = a_t x_0 + (1 - a_t)/K with a_t = 1 - t/T."""

    def __init__(self, letters: int, steps: int = 8) -> None:
        super().__init__(letters)
        self.steps = steps

    def noise(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Return log q(. | x) where a letter is kept with probabilities (B,), (B, L, K)."""
        kept = kept.double()[:, None, None]
        return (kept * F.one_hot(x, self.letters) + (1 - kept) / self.letters).log()

    def corrupt(self, x0, t, mask, generator):
        return State(sample_categorical(self.noise(x0, 1 - t / self.steps), generator), t, mask)

    def noise_times(self, u):
        return (u * (self.steps + 1)).long().clamp_max(self.steps)

    def log_evidence(self, state, dtype):
        return self.noise(state.x, 1 - state.t / self.steps).to(dtype)

    def network_input(self, state):
        return state.x, state.t / self.steps

    def posterior(self, log_p0, state, target):
        s = like(target, state.t)
        kept_s, kept_t = 1 - s / self.steps, 1 - state.t / self.steps
        w = (log_p0.double() - self.noise(state.x, kept_t)).exp()  # p(x_0 | x_t) / q(x_t | x_0)
        mixed = kept_s[:, None, None] * w + (1 - kept_s[:, None, None]) / self.letters * w.sum(-1, keepdim=True)
        return torch.log_softmax(mixed.log() + self.noise(state.x, kept_t / kept_s), -1).to(log_p0.dtype)

    def prior(self, mask, generator):
        x = sample_categorical(torch.zeros(*mask.shape, self.letters), generator)
        return State(x, torch.full(mask.shape[:1], self.steps), mask)

    def levels(self, state, steps):
        yield from range(self.steps - 1, -1, -1)

    def term(self, denoiser, batch, t, generator):
        state = self.corrupt(batch.x0, t, batch.mask, generator)
        truth = F.one_hot(batch.x0, self.letters).double().log()
        p, q = (
            self.posterior(truth, state, t - 1),
            self.posterior(self.predict(denoiser, state, batch.cond), state, t - 1),
        )
        return masked_sum((p.exp() * (p.clamp_min(-1e9) - q.clamp_min(-1e9))).sum(-1), batch.mask)

    def loss(self, denoiser, batch, generator):
        t = 1 + (uniform((len(batch),), generator, batch.x0.device) * self.steps).long()
        return self.steps * self.term(denoiser, batch, t, generator)

    def bound_terms(self, denoiser, batch, times, generator):
        for t in range(1, self.steps + 1):
            yield self.term(denoiser, batch, torch.full((len(batch),), t), generator)


class Sharp(seqdiff.SequenceGenerator):
    """Diffusion by an outside process, with a sharpness.

    Attributes
    ----------
    bound_ : str
    """

    process_class = Noisy
    parameters = {"sharpness": Real(0, 1).doc("How sharp it is.")}
    defaults = {"lr": 0.25}

    def __init__(self, *, sharpness: float = 0.5, **common: Any) -> None:
        super().__init__(**common)
        self.sharpness = sharpness

    def make_process(self, vocabulary: Vocabulary) -> Noisy:
        return Noisy(len(vocabulary.alphabet), 4 + round(8 * self.sharpness))


class NoA(Guidance):
    """Never sample A where another letter is possible."""

    def clean(self, predict, context):
        log_p0 = predict(context).clone()
        log_p0[..., 0] -= 30
        return torch.log_softmax(log_p0, -1)


def test_external_process_satisfies_the_contract():
    """With the exact denoiser its bound is not below the entropy, and its samples follow the distribution."""
    toy, process = Toy(), Noisy(3, 200)
    denoiser, n = toy.context_denoiser(raw_input(process)), 40
    batch = Batch.of(toy.x.repeat(n, 1), toy.mask(27 * n))
    bound = sum(process.bound_terms(denoiser, batch, None, torch.Generator().manual_seed(0)))
    assert toy.entropy - 0.02 < float((bound.reshape(n, 27).mean(0) * toy.p).sum()) < toy.entropy + 0.1
    *_, last = trajectory(process, denoiser, toy.mask(20_000), chunk_generators(20_000, "cpu", 0))
    found = torch.bincount(toy.index(last.x), minlength=27) / 20_000
    assert 0.5 * float((found - toy.p).abs().sum()) < 0.03


@pytest.fixture(scope="module")
def sharp() -> Any:
    settings = TINY | {"epochs": 6, "lr": 0.02, "network": Lookup, "network_options": {"scale": 2.0}}
    return Sharp(sharpness=0.5, **settings).fit(X, LABELS)


def guides(model: Any) -> dict[str, tuple[Any, Any]]:
    """Return every guide of the package, and y where it wants one."""
    quick = {"width": 8, "depth": 1, "epochs": 1}
    noised = SequenceClassifier(noise_like=model, **quick).fit(X, LABELS)
    hidden = SequenceClassifier(noise_like=model, hidden=True, **quick).fit(X, LABELS)
    count = lambda sequences: [s.count("A") for s in sequences]  # noqa: E731
    return {
        "free": (ClassifierFree(2.0), "few"),
        "first order": (ClassifierBased(noised, "few"), None),
        "exact": (ClassifierBased(noised, "few", exact=True), None),
        "nos": (NOS(hidden, "few", steps=2), None),
        "feynman-kac": (Reward(count, 2.0, particles=4), None),
        "svdd": (Reward(count, 2.0, particles=4, method="svdd"), None),
        "outside": (NoA(), None),
        "together": ([ClassifierFree(2.0), NOS(hidden, "few", steps=1), ClassifierBased(noised, "few"), NoA()], "few"),
    }


def test_every_guide_works_with_an_external_model(sharp):
    """With nothing registered; templates, forbidden motifs and edits go with all of them."""
    for name, (guide, y) in guides(sharp).items():
        made = sharp.generate(8, y=y, guidance=guide, template="CNNNNNNNNT", forbid="GGG", random_state=0)
        assert made and all(s[0] == "C" and s[-1] == "T" and "GGG" not in s for s in made), name
        assert made == sharp.generate(8, y=y, guidance=guide, template="CNNNNNNNNT", forbid="GGG", random_state=0)
        assert all(s[:2] == X[0][:2] for s in sharp.infill(X[0], [2, 3], n=2, y=y, guidance=guide)), name
    assert "A" not in "".join(sharp.generate(20, guidance=NoA(), random_state=0))
    ahead = sharp.generate(8, template="NNNNNNNNAC", guidance=LookAhead(4), random_state=0)
    assert all(s.endswith("AC") for s in ahead)
    assert all(sum(a != b for a, b in zip(s, X[0], strict=True)) == 2 for s in sharp.mutate(X[0], 2, n=3))
    many = Reward(lambda sequences: [s.count("A") for s in sequences], 5.0, particles=16)
    rich = "".join(sharp.generate(20, guidance=many, random_state=0)).count("A")
    assert rich > "".join(sharp.generate(20, random_state=0)).count("A")


def test_unsupported_guides_are_refused(sharp):
    classifier = SequenceClassifier(noise_like=sharp, width=8, depth=1, epochs=1).fit(X, LABELS)
    for guide in (FUDGE, LatentClassifier):
        with pytest.raises(ValueError, match=f"got {guide.__name__} for Sharp, expected a guide that can steer it"):
            sharp.generate(2, guidance=guide(classifier, "few"))


def test_external_model_is_scored_saved_loaded_and_compared(sharp, tmp_path):
    scores = sharp.score_samples(X[:6], LABELS[:6])
    assert np.isfinite(scores).all() and sharp.bound_ == "elbo"
    sharp.save(tmp_path / "m.safetensors")
    loaded = seqdiff.load(tmp_path / "m.safetensors", network=Lookup)
    assert type(loaded) is Sharp and loaded.network_options == {"scale": 2.0}
    np.testing.assert_array_equal(loaded.score_samples(X[:6], LABELS[:6]), scores)
    assert loaded.generate(5, y="few", random_state=0) == sharp.generate(5, y="few", random_state=0)
    table = seqdiff.compare([Sharp, "sharp"], X, samples=20, **TINY)
    assert table.loc[["Sharp", "Sharp-2"], "status"].tolist() == ["done", "done"]


def test_a_parameter_is_checked_and_documented():
    """Its range holds at `fit`, and `help` has it with the defaults that hold for this class."""
    with pytest.raises(ValueError, match=r"sharpness: got 2, expected a number from 0 to 1; give such a number"):
        Sharp(sharpness=2, **TINY).fit(X)
    model = Sharp(**TINY)
    assert (model.lr, model.sharpness, Sharp.bound_) == (0.25, 0.5, "elbo")
    assert Sharp(lr=0.1).lr == 0.1
    text = Sharp.__doc__ or ""
    assert "sharpness : float, default 0.5\n    How sharp it is." in text and "lr : float, default 0.25" in text
    assert "fit_seed_ : int" in text


@pytest.mark.parametrize("name", [n for n in seqdiff.__all__ if isinstance(getattr(seqdiff, n), type)])
def test_every_parameter_is_documented_and_has_a_range(name):
    """The package's own classes: no parameter is missing from the docstring, or has no text."""
    cls = getattr(seqdiff, name)
    if not hasattr(cls, "parameters") or cls is seqdiff.SequenceGenerator:
        return
    for parameter in cls().get_params(deep=False):
        assert parameters_of(cls)[parameter].text
        assert f"\n{parameter} : " in cls.__doc__


def test_subclasses_inherit_defaults():
    class Sharper(Sharp):
        """Sharp, faster."""

        defaults = {"batch_size": 7}

    model = Sharper(sharpness=0.9)
    assert (model.lr, model.batch_size, model.sharpness) == (0.25, 7, 0.9)
    assert "batch_size : int, default 7" in (Sharper.__doc__ or "")


@pytest.mark.parametrize("network", ["conv", Lookup])
def test_network_options_are_passed_checked_and_saved(network, tmp_path):
    options = {"kernel": 3, "dilations": [1, 2]} if network == "conv" else {"scale": 0.5}
    model = seqdiff.MaskedDiffusion(network=network, network_options=options, **TINY).fit(X)
    if network == "conv":
        assert model.objective_.network.blocks[0].conv.kernel == 3
    else:
        assert model.objective_.network.scale == 0.5
    model.save(tmp_path / "m.safetensors")
    loaded = seqdiff.load(tmp_path / "m.safetensors", network=None if network == "conv" else network)
    assert loaded.network_options == options
    assert loaded.generate(5, random_state=0) == model.generate(5, random_state=0)
    with pytest.raises(ValueError, match="network_options: got 'colour' for the network .*, expected 'width'"):
        seqdiff.MaskedDiffusion(network=network, network_options={"colour": 1}, **TINY).fit(X)


def test_classes_of_one_name_are_distinguished_by_module(tmp_path):
    """A file records the module: an external class called SCUD is not seqdiff's, nor the other way round."""
    mine = type("SCUD", (Sharp,), {"__module__": __name__, "__doc__": "Another SCUD."})
    mine(**TINY).fit(X).save(tmp_path / "mine.safetensors")
    seqdiff.SCUD(**TINY).fit(X).save(tmp_path / "own.safetensors")
    assert type(seqdiff.load(tmp_path / "mine.safetensors")) is mine
    assert type(seqdiff.load(tmp_path / "own.safetensors")) is seqdiff.SCUD
    with safe_open(tmp_path / "mine.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["seqdiff"])["module"] == __name__


OUTSIDE = '''
"""An estimator of another package."""
from seqdiff import MaskedDiffusion
from seqdiff.parameters import Whole


class FarDiffusion(MaskedDiffusion):
    """Masked diffusion with a distance."""

    parameters = {"distance": Whole(1, 9).doc("How far.")}

    def __init__(self, *, distance: int = 2, **common):
        super().__init__(**common)
        self.distance = distance
'''


def test_shell_finds_external_estimators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`--import MODULE` makes an estimator a model like any other: options, checks, files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    Path("far_away.py").write_text(OUTSIDE)
    Path("x.txt").write_text("\n".join(X))

    def run(line: str) -> Any:
        return CliRunner().invoke(main, line.split())

    try:
        assert "How far.  [default: 2]" in " ".join(
            run("--import far_away fit x.txt --model far --help").stdout.split()
        ).replace(". [", ".  [")
        wrong = run("--import far_away fit x.txt --model far --distance 10 --epochs 1")
        assert "--distance: got 10, expected a whole number from 1 to 9" in wrong.stderr
        fitted = run("--import far_away fit x.txt --model far-diffusion --width 8 --epochs 1 --model-name far")
        assert fitted.exit_code == 0, fitted.stderr
        assert "next: seqdiff --import far_away generate runs/far 1000 --out samples.fasta" in fitted.stdout
        assert len(run("--import far_away generate runs/far 3").stdout.split()) == 3
        assert "your own need seqdiff --import MODULE" in run("fit x.txt --model farther").stderr
        assert "--import: got 'far_off'" in run("--import far_off info x.txt").stderr
    finally:
        sys.modules.pop("far_away", None)


def test_failed_fit_leaves_no_model():
    """An untrained network is not taken for a fitted one, and a missing method is named."""

    class Broken(Noisy):
        def loss(self, denoiser, batch, generator):
            return super().loss(denoiser, batch, generator) * float("nan")

    class Summed(Noisy):
        def loss(self, denoiser, batch, generator):
            return super().loss(denoiser, batch, generator).sum()

    class Exact(Noisy):
        bound = "exact"

    class Half(CategoricalProcess):
        pass

    for process, bound, error, said in (
        (Broken, "elbo", ValueError, "nan"),
        (Summed, "elbo", TypeError, r"Summed: got a loss of shape \(\), expected one for each sequence"),
        (Exact, "elbo", TypeError, "write process_class = Exact in Failing"),
        (Half, "elbo", NotImplementedError, "Half does not define loss"),
    ):
        members = {"make_process": lambda self, vocabulary, make=process: make(4), "bound_": bound, "__doc__": "."}
        cls = type("Failing", (Sharp,), members)
        model = cls(**TINY)
        with pytest.raises(error, match=said):
            model.fit(X)
        assert not hasattr(model, "model_") and not hasattr(model, "alphabet_")
