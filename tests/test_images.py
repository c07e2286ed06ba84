"""Images: arrays of levels through alphabets, files, estimators, guides and the U-Net."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from all_generators import BLINK, GENERATORS
from click.testing import CliRunner
from small_models import refuses
from torch import nn

import seqdiff
from seqdiff import SCUD, Levels, MaskedDiffusion, SequenceClassifier
from seqdiff.cli.app import main
from seqdiff.data import Alphabet, cluster_split, prepare, resolve_alphabet
from seqdiff.evaluation import PositionWeightMatrix, bits_per_letter, copied_fraction, kmer_js, plot_images
from seqdiff.guidance import ClassifierBased, Reward
from seqdiff.networks import Conditions, UNet, build_network
from seqdiff.networks.unet import doubled, halved
from seqdiff.processes.noise.rate_matrices import gaussian_rates

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 4, (32, 5, 3), dtype=np.uint8)
COLOURED = RNG.integers(0, 3, (32, 3, 4, 2), dtype=np.int64)
LABELS = ["dark" if image.mean() < 1.5 else "bright" for image in IMAGES]
TINY = {"network": "unet", **BLINK}


@pytest.fixture(scope="module")
def model():
    return SCUD(**TINY).fit(IMAGES, LABELS)


# -- the alphabet -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [IMAGES, COLOURED])
def test_tokens_are_the_pixels_row_by_row(images):
    levels = Levels(4, images.shape[1:], str(images.dtype))
    tokens, lengths = levels.encode(images)
    slow = [[int(level) for row in image for pixel in row for level in np.atleast_1d(pixel)] for image in images]
    assert tokens.tolist() == slow and set(lengths.tolist()) == {images[0].size}
    assert (levels.decode(tokens) == images).all() and levels.decode(tokens).dtype == images.dtype
    text = prepare(images).sequences[3]
    assert levels.split(text) == [str(level) for level in slow[3]] and levels.join(levels.split(text)) == text


def test_levels_are_an_alphabet_like_others():
    levels = Levels(300, (5, 3), "int16")
    assert len(levels) == 300 and levels.ordered and levels.dtype == np.uint16
    assert not Alphabet("ab").ordered and Alphabet("ab").shape is None
    for copy in (pickle.loads(pickle.dumps(levels)), Alphabet.from_dict(levels.to_dict()), eval(repr(levels))):
        assert copy == levels and hash(copy) == hash(levels) and copy.pixels == "int16" and copy.shape == (5, 3)
    assert levels != Levels(300, (3, 5), "int16") and levels != Levels(299, (5, 3), "int16")
    assert resolve_alphabet("levels 64") == Levels(64)
    for count in (1, 2000, True, 2.0, "8"):
        refuses(lambda count=count: Levels(count), "count: got")


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64", "float32", "bool"])
def test_samples_have_the_type_of_the_data(dtype):
    images = (IMAGES > 1).astype(dtype)
    made = MaskedDiffusion(**TINY).fit(images).generate(3, random_state=0)
    assert made.dtype == dtype and made.shape == (3, 5, 3) and set(np.unique(made)) <= {0, 1}


def test_images_come_as_arrays_lists_tensors_and_files(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    expected = prepare(IMAGES)
    for X in (list(IMAGES), torch.from_numpy(IMAGES), tmp_path / "images.npy", str(tmp_path / "images.npy")):
        data = prepare(X)
        assert data.digest() == expected.digest() and data.alphabet == Levels(4, (5, 3))
    assert prepare(IMAGES, alphabet=Levels(64)).alphabet == Levels(64, (5, 3))
    assert prepare(np.zeros((2, 3, 3), int)).alphabet == Levels(2, (3, 3), "int64")


def test_what_is_no_image_is_refused(tmp_path, model):
    refuses(lambda: prepare(IMAGES / 3), "X[0, ", "whole numbers", "round them")
    refuses(lambda: prepare(np.where(IMAGES == 3, np.nan, 0)), "got nan")
    refuses(lambda: prepare(-IMAGES.astype(int)), "got -")
    refuses(lambda: prepare(1000 * IMAGES.astype(int)), "whole numbers from 0 to 1023")
    refuses(lambda: prepare(np.zeros((9, 3, 32, 32), int)), "transpose(0, 2, 3, 1)")
    refuses(lambda: prepare([IMAGES[0], IMAGES[0].T]), "one shape")
    refuses(lambda: prepare(np.zeros((9, 64))), "images (n, H, W)")
    refuses(lambda: prepare(IMAGES, alphabet="dna"), "alphabet: got 'dna' for images")
    refuses(lambda: prepare(IMAGES, alphabet=Levels(3)), "got level 3 at row", "levels from 0 to 2")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    refuses(lambda: prepare(tmp_path / "objects.npy"), "cannot be read as .npy")
    (tmp_path / "text.npy").write_text("ACGT")
    refuses(lambda: prepare(tmp_path / "text.npy"), "cannot be read as .npy")
    for X in (IMAGES[:, :4], COLOURED):
        refuses(lambda X=X: model.score_samples(X), "images of shape", "as this model has them")
    refuses(lambda: model.score_samples(["ACGT"]), "text with 'A'", "images")
    refuses(lambda: model.fit(IMAGES, validation=IMAGES[:, :4]), "images of shape")


# -- estimators -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["conv", "unet"])
@pytest.mark.parametrize("name", [name for name in GENERATORS if name != "distilled"])
def test_every_generator_makes_images(name, network):
    estimator = GENERATORS[name](network=network)
    if (name, network) == ("autoregressive", "unet"):
        refuses(lambda: estimator.fit(COLOURED), "cannot read from left to right")
        return
    made = estimator.fit(COLOURED).generate(5, steps=4, random_state=0)
    assert made.shape == (5, 3, 4, 2) and made.dtype == COLOURED.dtype and 0 <= made.min() and made.max() < 3
    if estimator.bound_ is not None:
        scores = estimator.score_samples(COLOURED[:4])
        assert scores.shape == (4,) and np.isfinite(scores).all() and (scores < 0).all()


def test_a_saved_model_makes_the_same_images(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    loaded = seqdiff.load(tmp_path / "model.safetensors")
    assert loaded.alphabet_ == model.alphabet_ and loaded.network == "unet"
    made = [m.generate(4, y="dark", steps=4, random_state=1) for m in (model, loaded)]
    assert (made[0] == made[1]).all() and (model.score_samples(IMAGES[:3]) == loaded.score_samples(IMAGES[:3])).all()
    assert model.labels_.tolist() == ["dark"] * 4


def test_levels_are_noised_to_their_neighbours_by_default(model):
    assert np.allclose(model.objective_.process.powers.one.numpy(), gaussian_rates(4) / 1 + np.eye(4))
    assert not np.allclose(gaussian_rates(4), gaussian_rates(4)[:1])


def test_known_pixels_stay(model):
    template = np.full((5, 3), -1)
    template[1:4, 1] = [3, 0, 2]
    made = model.generate(6, template=template, steps=4, random_state=0)
    assert (made[:, 1:4, 1] == [3, 0, 2]).all() and len(np.unique(made[:, 0, 0])) > 1
    mask = np.zeros((5, 3), bool)
    mask[2:] = True
    variants = model.infill(IMAGES[:2], mask, n=3, steps=4, random_state=0)
    assert variants.shape == (6, 5, 3) and (variants[:, :2] == IMAGES[[0, 0, 0, 1, 1, 1], :2]).all()
    assert (variants[:, 2:] != IMAGES[[0, 0, 0, 1, 1, 1], 2:]).any()
    one = model.infill(IMAGES[0], np.stack([mask]), steps=4, random_state=0)
    assert (one[0, :2] == IMAGES[0, :2]).all()
    coloured = MaskedDiffusion(**TINY).fit(COLOURED)
    made = coloured.infill(COLOURED[0], np.eye(3, 4, dtype=bool), random_state=0)  # of all channels
    assert (made[0] == COLOURED[0])[~np.eye(3, 4, dtype=bool)].all()
    assert (model.mutate(IMAGES[0], 2, steps=4, random_state=0)[0] != IMAGES[0]).sum() == 2
    refuses(lambda: model.generate(1, template=template.T), "template: got shape (3, 5)")
    refuses(lambda: model.generate(1, template=template + 9), "levels from 0 to 3")
    refuses(lambda: model.infill(IMAGES[:, :4], mask), "images of shape (4, 3)")


def test_guides_see_images():
    model = MaskedDiffusion(**TINY).fit(IMAGES)
    seen = []

    def brightness(images):
        seen.append(images.shape[1:])
        return images.mean((1, 2))

    made = model.generate(8, guidance=Reward(brightness, 20.0), random_state=0)
    twice = np.concatenate([IMAGES[:3], IMAGES[1:2]])  # of which the function is given each once
    assert np.allclose(Reward(lambda images: images.mean((1, 2)) + len(images)).rewards(twice), twice.mean((1, 2)) + 3)
    assert set(seen) == {(5, 3)} and made.mean() > model.generate(8, random_state=0).mean()
    classifier = SequenceClassifier(noise_like=model, network="unet", width=8, depth=1, epochs=1, verbose=0)
    classifier.fit(IMAGES, LABELS)
    assert model.generate(3, guidance=ClassifierBased(classifier, "dark"), random_state=0).shape == (3, 5, 3)


def test_files_of_samples_are_arrays(model, tmp_path):
    made = model.generate(4, tmp_path / "made.npy", steps=4, random_state=0)
    assert (np.load(tmp_path / "made.npy", allow_pickle=False) == made).all()
    refuses(lambda: model.generate(4, tmp_path / "made.fasta"), "out: got", "ends in .npy")
    letters = MaskedDiffusion(**BLINK).fit(["ACGT", "AACC", "TTGG", "ACAC"])
    refuses(lambda: letters.generate(4, tmp_path / "made2.npy"), "out: got", ".fasta, .txt or .csv")


def test_what_is_made_for_strings_refuses_images(model):
    refuses(lambda: kmer_js(IMAGES, IMAGES), "expected a str")
    refuses(lambda: copied_fraction(IMAGES, IMAGES), "expected a str")
    refuses(lambda: seqdiff.compare(None, IMAGES, verbose=0), "images")
    refuses(lambda: cluster_split(IMAGES), "images")
    refuses(lambda: model.generate(3, forbid="AC"), "images")
    matrix = PositionWeightMatrix().fit(IMAGES)
    scores = matrix.score_samples(IMAGES)
    assert matrix.generate(3).shape == (3, 5, 3)
    assert bits_per_letter(scores, IMAGES) == pytest.approx(-scores.sum() / IMAGES.size / np.log(2))


def test_copies_stay_on_one_side_of_the_split():
    images = np.repeat(IMAGES, 2, 0)
    model = MaskedDiffusion(**TINY).fit(images, validation=0.5)
    assert model.n_train_ == 32


def test_the_shell_takes_files_of_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", IMAGES)

    def shell(*arguments: str) -> str:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == 0, result.output
        return result.output

    small = ["--network", "unet", "--width", "8", "--depth", "1", "--epochs", "1"]
    assert "--out samples.npy" in shell("fit", "images.npy", "--model", "scud", "--model-name", "m", *small)
    assert "4 images in made.npy" in shell("generate", "runs/m", "4", "--out", "made.npy", "--steps", "4")
    assert np.load("made.npy").shape == (4, 5, 3)
    assert "bits per letter" in shell("score", "runs/m", "made.npy", "--out", "scores.csv")
    assert "images of 5 x 3 with 4 levels" in shell("info", "runs/m") and "5 x 3" in shell("info", "images.npy")
    assert "--out: got none" in CliRunner().invoke(main, ["generate", "runs/m", "4"]).output


# -- the network ------------------------------------------------------------------------------------------------------


def unet(shape: tuple[int, ...], **options) -> UNet:
    torch.manual_seed(0)
    sizes = {"states": 3, "letters": 3, "length": int(np.prod(shape)), "conditions": Conditions(), "fixed_length": True}
    network = build_network("unet", {"width": 8, "depth": 1, "dropout": 0.0, "shape": shape, **options}, **sizes)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.mark.parametrize("shape", [(5, 6), (3, 7, 2)])
def test_rows_and_columns_are_alike(shape):
    """Kernels transposed, a transposed image has transposed logits: each number is at its place, of any size."""
    turned = (shape[1], shape[0], *shape[2:])
    order = torch.arange(int(np.prod(shape))).view(shape).transpose(0, 1).flatten()
    network, other = unet(shape), unet(turned)
    weights = {k: v.transpose(2, 3) if v.ndim == 4 else v for k, v in network.state_dict().items()}
    other.load_state_dict(weights | {k: weights[k][order] for k in ("position", "bias")})
    x, counts = torch.randint(3, (4, len(order))), torch.rand(4, len(order))
    with torch.no_grad():
        for t, same in ((counts, counts[:, order]), (counts[:, 0], counts[:, 0])):
            assert torch.allclose(network(x, t)[:, order], other(x[:, order], same), atol=1e-5)


@pytest.mark.parametrize("enters", [True, False])
def test_every_pixel_reaches_every_other_and_its_count_more_than_its_mean(enters):
    network = unet((6, 5))
    if not enters:  # counts in the blocks alone
        network.film.weight.data.zero_()
    x, counts = torch.randint(3, (2, 30)), torch.rand(2, 30)
    with torch.no_grad():
        out = network(x, counts)
        for i in (0, 14, 29):
            changed = x.clone()
            changed[:, i] = (changed[:, i] + 1) % 3
            assert ((network(changed, counts) - out).abs().amax(-1) > 0).all()
            swapped = counts.clone()
            swapped[:, [i, (i + 7) % 30]] = counts[:, [(i + 7) % 30, i]]  # the mean is as before
            assert ((network(x, swapped) - out).abs().amax(-1) > 1e-6).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (8, 8), (5, 2)])
def test_sizes_are_halved_and_doubled(size):
    x = torch.randn(2, 3, *size)
    small = halved(x)
    assert small.shape[2:] == tuple(-(-side // 2) for side in size) and doubled(small, size).shape == x.shape
    for i, j in np.ndindex(*small.shape[2:]):
        rows, columns = ([min(2 * k, side - 1), min(2 * k + 1, side - 1)] for k, side in zip((i, j), size, strict=True))
        slow = sum(x[:, :, r, c] for r in rows for c in columns) / 4
        assert torch.allclose(small[:, :, i, j], slow, atol=1e-6)
        assert torch.equal(doubled(small, size)[:, :, rows[0], columns[0]], small[:, :, i, j])


def test_neighbouring_levels_enter_alike():
    torch.manual_seed(0)
    weight = UNet(64, 64, 64, Conditions(), True, width=32, depth=1, shape=(8, 8)).embed.weight
    steps = (weight[1:] - weight[:-1]).norm(dim=1)
    assert float(steps.detach().max()) < 0.7 * float((weight[:1] - weight[32:]).norm(dim=1).detach().min())
    assert len(weight.unique(dim=0)) == 64


def test_wrong_sizes_of_the_network_are_refused():
    sizes = {"states": 3, "letters": 3, "length": 30, "conditions": Conditions(), "fixed_length": True}
    refuses(lambda: build_network("unet", {}, {"shape": (4, 6)}, **sizes), "product is 30")
    refuses(lambda: build_network("unet", {"width": 10, "heads": 3}, **sizes), "width: got 10 with 3 heads")
    refuses(lambda: build_network("unet", {}, **sizes | {"fixed_length": False}), "several lengths")
    one_row = MaskedDiffusion(**TINY).fit(["ACGT", "AACC", "TTGG", "ACAC"])
    assert len(one_row.generate(2)[0]) == 4


# -- plots ------------------------------------------------------------------------------------------------------------


def test_plotted_images_stand_row_by_row():
    grid = np.asarray(plot_images(IMAGES[:5], columns=2).images[0].get_array())
    assert grid.shape == (3 * 6 + 1, 2 * 4 + 1)
    for i in range(5):
        top, left = 1 + i // 2 * 6, 1 + i % 2 * 4
        assert np.allclose(grid[top : top + 5, left : left + 3] * IMAGES[:5].max(), IMAGES[i])
    assert plot_images(COLOURED[..., [0, 1, 1]]).images[0].get_array().ndim == 3
    refuses(lambda: plot_images(COLOURED), "1 or 3 channels")
