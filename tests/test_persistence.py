"""Model files: saved and loaded models are equal; invalid files are refused and never executed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_models import mixed_lengths, refuses, sequences, tiny
from torch import nn

import seqdiff
from seqdiff import Alphabet, MultinomialDiffusion, SequenceGenerator
from seqdiff.processes import Process, State
from seqdiff.processes.base import masked_sum
from seqdiff.processes.categorical import sample_categorical

X = sequences()


def read(path) -> tuple[dict, dict]:
    """Return tensors and header."""
    with safe_open(path, framework="pt") as file:
        return {k: file.get_tensor(k) for k in file.keys()}, json.loads(file.metadata()["seqdiff"])  # noqa: SIM118


def write(path, tensors, header) -> None:
    save_file(tensors, path, metadata={"seqdiff": header if isinstance(header, str) else json.dumps(header)})


def same(a, b, data, y=None) -> None:
    assert type(a) is type(b) and a.get_params() == b.get_params()
    assert a.generate(30, random_state=1) == b.generate(30, random_state=1)
    scores = [m.score_samples(data, y, return_error=True) for m in (a, b)]
    assert (scores[0][0] == scores[1][0]).all() and (scores[0][1] == scores[1][1]).all()


# -- there and back ---------------------------------------------------------------------------------------------------

MANY = "".join(chr(0x4E00 + i) for i in range(300))
MODELS = {
    "plain": lambda: (tiny().fit(X), X, None),
    "transformer": lambda: (tiny(network="linear-transformer", heads=2, local_heads=1, local_size=4).fit(X), X, None),
    "mixed lengths": lambda: (tiny().fit(mixed_lengths()), mixed_lengths(), None),
    "classes": lambda: (tiny().fit(X, ["a", "b"] * 24), X, ["a", "b"] * 24),
    "numbers as classes": lambda: (tiny().fit(X, [0, 5] * 24), X, [0, 5] * 24),
    "values": lambda: (tiny().fit(X, np.linspace(0, 1, 48)), X, np.linspace(0, 1, 48)),
    "signals": lambda: (tiny().fit(X, np.random.default_rng(0).random((48, 10, 2))), X, None),
    "protein": lambda: (tiny(alphabet="protein").fit(X), X, None),
    "own letters": lambda: (tiny(alphabet=Alphabet(["A", "C", "G", "T", "Me"], "mine")).fit(X), X, None),
    "letters in a tuple": lambda: (tiny(alphabet=tuple("TGCA")).fit(X), X, None),
    "300 letters": lambda: (tiny(alphabet=MANY).fit(sequences(letters=MANY)), sequences(letters=MANY), None),
}


@pytest.mark.parametrize("kind", MODELS)
def test_saved_and_loaded_models_are_equal(kind, tmp_path):
    model, data, y = MODELS[kind]()
    path = tmp_path / "deep" / "model.safetensors"
    model.save(path)
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]
    loaded = seqdiff.load(path)
    if kind == "letters in a tuple":
        model.alphabet = list(model.alphabet)  # JSON has lists only
    same(model, loaded, data, y)
    same(model, MultinomialDiffusion.load(str(path), device="cpu"), data, y)
    loaded.save(tmp_path / "again.safetensors")
    assert read(tmp_path / "again.safetensors")[1] == read(path)[1]


def test_a_run_folder_is_loaded_by_its_name(workdir):
    model = tiny(savepath="runs", model_name="mine").fit(X)
    for path in ("runs/mine", Path("runs/mine"), "runs/mine/check/model.safetensors"):
        same(model, seqdiff.load(path), X)
    loaded = seqdiff.load("runs/mine")
    assert Path(loaded.run_dir_).resolve() == Path("runs/mine").resolve()
    loaded.generate(3, out="late.txt")  # a loaded model's samples lie in its run, too
    assert Path("runs/mine/samples/late.txt").is_file()


def test_a_loaded_model_can_be_fitted_again(tmp_path):
    model = tiny().fit(X)
    model.save(tmp_path / "m.safetensors")
    same(seqdiff.load(tmp_path / "m.safetensors").fit(X), model, X)


def test_save_replaces_files_atomically_with_default_permissions(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_text("old")
    tiny().fit(X).save(path)
    assert seqdiff.load(path).n_train_ == 43
    if os.name == "posix":
        ordinary = tmp_path / "ordinary"
        ordinary.touch()
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


# -- what is wrong with a file ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    tiny().fit(X).save(path)
    return path


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 0.99])
def test_truncated_files_are_refused(good, share, tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[: int(share * good.stat().st_size)])
    refuses(lambda: seqdiff.load(tmp_path / "cut.safetensors"), "cut.safetensors", "no model")


@pytest.mark.parametrize("n", [1, 7, 8, 100, 5000])
def test_random_bytes_are_refused(n, tmp_path):
    (tmp_path / "noise.safetensors").write_bytes(np.random.default_rng(n).bytes(n))
    refuses(lambda: seqdiff.load(tmp_path / "noise.safetensors"), "noise.safetensors", "no model")


@pytest.mark.parametrize(
    "header", ["", "{", "[]", "3", "null", "{}", '{"format_version": "1"}', '{"format_version": 1}', '"x"']
)
def test_other_safetensors_are_refused(header, tmp_path):
    path = tmp_path / "other.safetensors"
    write(path, {"a": torch.zeros(2)}, header)
    refuses(lambda: seqdiff.load(path), "other.safetensors", "no model")
    save_file({"a": torch.zeros(2)}, path)
    refuses(lambda: seqdiff.load(path), "no model")


def changed(good, tmp_path, tensors=None, **entries):
    old, header = read(good)
    write(tmp_path / "changed.safetensors", old if tensors is None else tensors(old), header | entries)
    return tmp_path / "changed.safetensors"


def test_newer_formats_and_unknown_classes_are_refused(good, tmp_path):
    refuses(lambda: seqdiff.load(changed(good, tmp_path, format_version=2)), "newer", "upgrade")
    for name in ("os.system", "Trainer"):
        unknown = changed(good, tmp_path, **{"class": name})
        refuses(lambda p=unknown: seqdiff.load(p), name, "MultinomialDiffusion", longest=600)  # it lists every class
    _, header = read(good)
    more = header["parameters"] | {"of_the_future": 1}
    refuses(lambda: seqdiff.load(changed(good, tmp_path, parameters=more)), "of_the_future")
    assert seqdiff.load(changed(good, tmp_path)).score(X) == seqdiff.load(good).score(X)  # the test itself works


def test_weights_that_do_not_fit_are_refused(good, tmp_path):
    refuses(lambda: seqdiff.load(changed(good, tmp_path, lambda t: {"a": torch.zeros(2)})), "do not fit")
    refuses(lambda: seqdiff.load(changed(good, tmp_path, lambda t: {k: v[:1].clone() for k, v in t.items()})), "fit")
    refuses(lambda: seqdiff.load(changed(good, tmp_path, lambda t: dict(list(t.items())[1:]))), "fit")


def test_missing_files_are_refused(tmp_path):
    refuses(lambda: seqdiff.load(tmp_path / "no.safetensors"), "no.safetensors", "no file of that name")
    refuses(lambda: seqdiff.load(tmp_path), "check/model.safetensors")


def test_load_refuses_files_of_other_classes(good):
    class Other(MultinomialDiffusion):
        pass

    refuses(lambda: Other.load(good), "MultinomialDiffusion", "Other")
    assert type(SequenceGenerator.load(good)) is MultinomialDiffusion
    assert type(MultinomialDiffusion.load(good, device="cpu")) is MultinomialDiffusion
    refuses(lambda: seqdiff.load(good, device="abacus"), "abacus")


class Table(nn.Module):
    """A user's network that is no subclass of seqdiff's."""

    def __init__(self, letters, length, **sizes):
        super().__init__()
        self.table = nn.Parameter(torch.randn(length, letters))

    def forward(self, x, t, cond=None, mask=None):
        return self.table[: x.shape[1]].expand(*x.shape, -1)


def test_custom_networks_are_given_again_at_load(tmp_path):
    model = tiny(network=Table).fit(X)
    model.save(tmp_path / "m.safetensors")
    refuses(lambda: seqdiff.load(tmp_path / "m.safetensors"), "network=")
    same(model, seqdiff.load(tmp_path / "m.safetensors", network=Table), X)
    assert read(tmp_path / "m.safetensors")[1]["parameters"]["network"] == "<a function>"


# -- a generator from outside the package -----------------------------------------------------------------------------


class OneShot(Process):
    """Every letter at once, from a page that holds one letter: the whole of a process that has an exact likelihood."""

    bound = "exact"

    def __init__(self, letters, page):
        super().__init__(letters)
        self.page = page

    def prior(self, mask, generator):
        return State(torch.full(mask.shape, self.page), torch.ones(len(mask)), mask)

    def predict(self, denoiser, state, cond, temperature=1.0):
        return torch.log_softmax(denoiser(state.x, state.t, cond, state.mask).float() / temperature, -1)

    def loss(self, denoiser, batch, generator):
        log_p = self.predict(denoiser, self.prior(batch.mask, generator), batch.cond)
        return masked_sum(-log_p.gather(-1, batch.x0[..., None]).squeeze(-1), batch.mask)

    def bound_terms(self, denoiser, batch, times, generator):
        yield self.loss(denoiser, batch, generator)

    def levels(self, state, steps):
        yield 0

    def step(self, state, target, kernel, generator):
        return State(sample_categorical(kernel, generator), torch.zeros(len(state.x)), state.mask)


class OneShotGenerator(SequenceGenerator):
    bound_ = OneShot.bound

    def __init__(self, *, page=0, betas=(0.9, 0.99), **common):
        super().__init__(**common)
        self.page = page
        self.betas = betas

    def make_process(self, vocabulary):
        return OneShot(len(vocabulary.alphabet), self.page)


def test_external_generator_is_saved_and_loaded(workdir):
    settings = {"width": 8, "depth": 1, "epochs": 10, "batch_size": 16, "lr": 2e-2, "verbose": 0}
    model = OneShotGenerator(page=2, **settings)
    assert {"page", "betas", "epochs", "device"} <= model.get_params().keys()
    with pytest.raises(TypeError, match="pages"):
        OneShotGenerator(pages=2)
    data = sequences(64, p=[0.7, 0.1, 0.1, 0.1])
    model.fit(data)
    assert model.run_dir_ == os.path.join("runs", "OneShotGenerator")
    scores, error = model.score_samples(data, return_error=True)
    # independent letters: what it can learn is the position weight matrix
    letters = np.array([list(s) for s in data])
    pwm = np.array([[((letters[:, i] == c).sum() + 1) / 68 for c in "ACGT"] for i in range(10)])
    slow = np.log([[pwm[i, "ACGT".index(c)] for i, c in enumerate(s)] for s in data]).sum(1)
    assert (error == 0).all() and abs(scores.mean() - slow.mean()) < 0.5
    samples = model.generate(300, template="NNNNNNNNCG", random_state=0)
    assert all(s.endswith("CG") for s in samples) and "".join(samples).count("A") / 2400 > 0.5
    same(model, seqdiff.load("runs/OneShotGenerator", device="cpu").set_params(betas=(0.9, 0.99)), data)
    again = OneShotGenerator(page=2, **settings).fit(data, resume=True)  # finished: a new run
    assert again.run_dir_ == os.path.join("runs", "OneShotGenerator-2")
    named = OneShotGenerator(page=2, model_name="OneShotGenerator", **settings).fit(data, resume=True)
    assert named.score(data) == model.score(data)  # a tuple among the parameters equals itself read back
