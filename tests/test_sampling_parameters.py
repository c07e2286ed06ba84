"""`set_params` changes how a fitted model samples, as if it had been fitted with these parameters."""

import numpy as np
import pytest

import seqdiff
from seqdiff import SCUD, EmbeddingDiffusion, MaskedDiffusion, SequenceClassifier, UniformDiffusion
from seqdiff.errors import InputError
from seqdiff.guidance import ClassifierBased

TINY = {"width": 8, "depth": 1, "epochs": 2, "savepath": None, "verbose": 0, "device": "cpu"}
X = ["".join(row) for row in np.random.default_rng(0).choice(list("AACGT"), (60, 12))]
CASES = [
    (UniformDiffusion, {"order": "random"}),
    (UniformDiffusion, {"renoising": 1.0}),
    (SCUD, {"correctors": 2}),
    (MaskedDiffusion, {"sampler": "ancestral", "remasking": 0.5}),
    (MaskedDiffusion, {"order": "planned"}),
    (EmbeddingDiffusion, {"eta": 0.0}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_as_if_fitted_with_them(kind, options, tmp_path):
    model, other = kind(**TINY).fit(X), kind(**TINY, **options).fit(X)
    first = model.generate(40, random_state=1)
    before = {name: model.get_params()[name] for name in options}
    found = model.set_params(**options).generate(40, random_state=1)
    assert found == other.generate(40, random_state=1) != first
    assert np.array_equal(model.score_samples(X[:4], random_state=1), other.score_samples(X[:4], random_state=1))
    model.save(tmp_path / "model.safetensors")
    assert seqdiff.load(tmp_path / "model.safetensors", device="cpu").generate(40, random_state=1) == found
    assert model.set_params(**before).generate(40, random_state=1) == first


def test_wrong_values_are_refused_and_nothing_changes():
    model = UniformDiffusion(**TINY).fit(X)
    first = model.generate(4, random_state=1)
    with pytest.raises(InputError, match="order: got 'best'"):
        model.set_params(order="best").generate(4)
    with pytest.raises(InputError, match="diffusion_steps: got 10, expected None, with which the model was fitted"):
        model.set_params(order="random", diffusion_steps=10).generate(4)
    assert model.set_params(order="spread").generate(4, random_state=1) == first  # the fitted model is not affected


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (UniformDiffusion, {"order": "random", "renoising": 0.5}),
        (MaskedDiffusion, {"order": "planned"}),
        (MaskedDiffusion, {"sampler": "ancestral"}),
    ],
)
def test_classifiers_know_the_noise_again(kind, options, tmp_path):
    y = ["A" if x[0] == "A" else "other" for x in X]
    model = kind(**TINY).fit(X)
    SequenceClassifier(noise_like=model, width=8, depth=1, epochs=1, verbose=0).fit(X, y).save(
        tmp_path / "c.safetensors"
    )
    model.set_params(**options)
    classifier = SequenceClassifier.load(tmp_path / "c.safetensors", noise_like=model, device="cpu")
    assert len(model.generate(3, guidance=ClassifierBased(classifier, "A"))) == 3
    other = kind(**TINY, diffusion_steps=10).fit(X)
    with pytest.raises(InputError, match="noise_like"):
        SequenceClassifier.load(tmp_path / "c.safetensors", noise_like=other, device="cpu")
