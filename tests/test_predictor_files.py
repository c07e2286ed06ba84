"""Files of predictors: saved and loaded predictors are equal; another generator is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from all_generators import BLINK, GENERATORS, LABELS, STEPS, X, fitted
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file
from small_models import refuses

import seqdiff
from seqdiff import EmbeddingDiffusion, MaskedDiffusion, SequenceClassifier, SequenceRegressor
from seqdiff.classifiers.predictor import SequencePredictor
from seqdiff.cli import main
from seqdiff.guidance import FUDGE, NOS, PPLM, ClassifierBased
from seqdiff.networks import ConvNet

QUICK = {"epochs": 2, "width": 8, "depth": 1}
NOISY = [name for name in GENERATORS if name != "distilled"]  # a student has no noise
VALUES = [float(s.count("A")) for s in X]


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize("hidden", [False, True])
def test_saved_and_loaded_models_are_equal(name, hidden, tmp_path):
    model = fitted(name)
    one = SequenceClassifier(noise_like=model, hidden=hidden, **QUICK).fit(X, LABELS)
    one.save(tmp_path / "deep" / "one.safetensors")
    model.save(tmp_path / "model.safetensors")
    for generator in (model, seqdiff.load(tmp_path / "model.safetensors")):
        other = SequenceClassifier.load(tmp_path / "deep" / "one.safetensors", noise_like=generator)
        assert other.get_params() == {**one.get_params(), "noise_like": generator}
        assert other.classes_.tolist() == ["few", "many"]
        assert np.array_equal(one.predict_proba(X), other.predict_proba(X))
        samples = [
            g.generate(4, guidance=guide_for(name, hidden)(c, "many", gamma=2.0), random_state=0, **STEPS)
            for g, c in ((model, one), (generator, other))
        ]
        assert samples[0] == samples[1]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["one.safetensors"]


def guide_for(name: str, hidden: bool):
    if name == "autoregressive":
        return PPLM if hidden else FUDGE
    return NOS if hidden else ClassifierBased


def test_values_and_clean_sequences(tmp_path):
    one = SequenceRegressor(**QUICK).fit(X, VALUES)
    one.save(tmp_path / "one.safetensors")
    for cls in (SequenceRegressor, SequencePredictor):
        other = cls.load(str(tmp_path / "one.safetensors"), device="cpu")
        assert type(other) is SequenceRegressor and np.array_equal(one.predict(X), other.predict(X))
    other.save(tmp_path / "again.safetensors")
    assert header_of(tmp_path / "again.safetensors") == header_of(tmp_path / "one.safetensors")
    other.fit(X, VALUES)  # it can be fitted again


def test_custom_networks_are_given_again_at_load(tmp_path):
    def network(**sizes):
        return ConvNet(**sizes, width=8, depth=1)

    path = tmp_path / "own.safetensors"
    one = SequenceClassifier(network=network, epochs=1).fit(X, LABELS)
    one.save(path)
    refuses(lambda: SequenceClassifier.load(path), "network of your own", "network=")
    assert np.array_equal(SequenceClassifier.load(path, network=network).predict(X), one.predict(X))


# -- what does not fit ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with a generator, a classifier of its noise and one of its hidden states."""
    folder = tmp_path_factory.mktemp("files")
    fitted("masked").save(folder / "masked.safetensors")
    for name, hidden in (("noised", False), ("hidden", True)):
        one = SequenceClassifier(noise_like=fitted("masked"), hidden=hidden, **QUICK).fit(X, LABELS)
        one.save(folder / f"{name}.safetensors")
    return folder


def test_another_generator_is_refused(files):
    def load(generator, name="noised"):
        return lambda: SequenceClassifier.load(files / f"{name}.safetensors", noise_like=generator)

    refuses(load(None), "noised.safetensors", "noise_like=model")
    refuses(load("masked"), "noise_like: got 'masked'")
    refuses(load(MaskedDiffusion()), "not fitted")
    refuses(load(fitted("uniform")), "FirstHitting", "Uniform")
    refuses(load(MaskedDiffusion(**BLINK, alphabet="TGCA").fit(X)), "of custom letters", "of dna")
    refuses(load(MaskedDiffusion(**BLINK).fit([s[:8] for s in X])), "up to 10", "up to 8 letters")
    retrained = MaskedDiffusion(**BLINK, random_state=1).fit(X)
    load(retrained)()  # its noise is the same
    refuses(load(retrained, "hidden"), "other weights")


def test_generators_with_other_noise_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    for one, other in (
        (GENERATORS["multinomial"](), GENERATORS["multinomial"](diffusion_steps=100)),
        (EmbeddingDiffusion(**BLINK), EmbeddingDiffusion(**BLINK, random_state=1)),  # which draws other vectors
        (EmbeddingDiffusion(**BLINK), EmbeddingDiffusion(**BLINK, schedule="linear")),
    ):
        one.fit(X), other.fit(X)
        SequenceClassifier(noise_like=one, **QUICK).fit(X, LABELS).save(path)
        SequenceClassifier.load(path, noise_like=one)
        refuses(lambda g=other: SequenceClassifier.load(path, noise_like=g), "with other noise")


def test_files_of_another_kind_are_refused(files, tmp_path):
    path = files / "noised.safetensors"
    refuses(lambda: seqdiff.load(path), "got a SequenceClassifier", "SequenceClassifier.load(path, noise_like=model)")
    refuses(lambda: SequenceRegressor.load(path, noise_like=fitted("masked")), "call SequenceClassifier.load")
    refuses(lambda: SequenceClassifier.load(files / "masked.safetensors"), "MaskedDiffusion", "seqdiff.load")
    refuses(
        lambda: SequenceClassifier.load(files / "nothing"),
        "expected a file that SequenceClassifier",
    )
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:200])
    refuses(lambda: SequenceClassifier.load(tmp_path / "cut.safetensors"), "no model")
    clean = tmp_path / "clean.safetensors"
    SequenceClassifier(**QUICK).fit(X, LABELS).save(clean)
    refuses(lambda: seqdiff.load(clean), "SequenceClassifier.load(path)")
    refuses(lambda: SequenceClassifier.load(clean, noise_like=fitted("masked")), "leave it out")
    shown = CliRunner().invoke(main, ["info", str(path)]).stdout
    assert "SequenceClassifier" in shown and "few, many" in shown and "FirstHitting" in shown


def header_of(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["seqdiff"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 2}, ["newer seqdiff"]),
        ({"class": "NoClassifier"}, ["NoClassifier", "import its module first"]),
        ({"parameters": {"wit": 3}}, ["wit", "upgrade"]),
        ({"parameters": {"width": 9, "depth": 1, "epochs": 2}}, ["do not fit"]),
    ],
)
def test_changed_headers_are_refused(files, change, words, tmp_path):
    path = files / "noised.safetensors"
    with safe_open(path, framework="pt") as file:
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "c.safetensors", metadata={"seqdiff": json.dumps(header_of(path) | change)})
    refuses(lambda: SequenceClassifier.load(tmp_path / "c.safetensors", noise_like=fitted("masked")), *words)


def test_save_requires_fit(tmp_path):
    with pytest.raises(Exception, match="not fitted"):
        SequenceClassifier().save(tmp_path / "c.safetensors")
    assert not list(tmp_path.iterdir())
