"""Plots: values, labels with units, colours of trajectories, and no global pyplot state."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from seqdiff import Autoregressive, DirichletFM, EmbeddingDiffusion, MaskedDiffusion, UniformDiffusion
from seqdiff.datasets import load_sigma70
from seqdiff.evaluation import (
    animate,
    plot_curves,
    plot_gc,
    plot_letters,
    plot_logo,
    plot_position_frequencies,
    plot_simplex,
    position_frequencies,
)
from seqdiff.evaluation.plots import information
from seqdiff.evaluation.trajectories import corners
from seqdiff.processes import State

SEQUENCES = load_sigma70(300)
HISTORY = {"epoch": [1, 2, 3, 4], "train": [2.0, 1.95, 1.93, 1.92], "valid": [np.nan, 1.96, np.nan, 1.94]}
DRAW = {
    "logo": lambda ax: plot_logo(SEQUENCES, ax=ax, title="a title"),
    "gc": lambda ax: plot_gc({"natural": SEQUENCES, "other": SEQUENCES[:50]}, ax=ax, title="a title"),
    "curves": lambda ax: plot_curves(HISTORY, ax=ax, title="a title", lines={"truth": 1.82}),
    "frequencies": lambda ax: plot_position_frequencies({"a": SEQUENCES, "b": SEQUENCES[:9]}, ax=ax, title="a title"),
}
LABELS = {
    "logo": ("position", "information (bits)"),
    "gc": ("GC content (%)", "share of sequences (%)"),
    "curves": ("epoch", "bits per base"),
    "frequencies": ("position", "share of sequences (%)"),
}


@pytest.mark.parametrize("name", DRAW)
def test_plots_are_saved(name, tmp_path):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    ax = DRAW[name](None)
    assert isinstance(ax.figure, Figure) and ax.get_title() == "a title"
    assert (ax.get_xlabel(), ax.get_ylabel()) == LABELS[name]
    path = tmp_path / "plot.png"
    ax.figure.savefig(path)
    assert path.stat().st_size > 5000
    assert pyplot.get_fignums() == before  # nothing is registered globally


@pytest.mark.parametrize("name", DRAW)
def test_given_axes_are_used(name):
    axes = Figure().subplots(1, 2)
    assert DRAW[name](axes[1]) is axes[1]
    assert not axes[0].has_data()


def test_information_by_hand():
    """One bit where two letters share a position, two where one stands alone; the correction is (K-1)/(2 n ln 2)."""
    n = 500
    heights = information(["AC", "AG"] * (n // 2))
    correction = 3 / (2 * n * np.log(2))
    assert heights.sum(axis=1).tolist() == pytest.approx([2 - correction, 1 - correction])
    assert heights.loc[2].tolist() == pytest.approx([0, (1 - correction) / 2, (1 - correction) / 2, 0])
    few = information(["ACGT", "CAGT", "GTTA"])
    assert (few.to_numpy() >= 0).all() and few.to_numpy().max() < 2


def test_random_sequences_have_no_information():
    """Without the correction, 30 sequences of pure chance would show 3/(60 ln 2) = 0.072 bits at every position."""
    rng = np.random.default_rng(0)
    noise = ["".join(row) for row in rng.choice(list("ACGT"), size=(30, 400))]
    assert information(noise).sum(axis=1).mean() < 0.045


@pytest.mark.parametrize(
    "sequences", [["A"], ["ACGT"], ["ACGT", "AC", "A"], ["MKWVTF", "MKLV"] * 3, ["c1ccccc1O", "CCO"] * 4]
)
def test_logo_of_unusual_sets(sequences, tmp_path):
    plot_logo(sequences).figure.savefig(tmp_path / "logo.png")


def test_gc_histogram_heights_are_shares():
    ax = plot_gc({"natural": SEQUENCES})
    heights = ax.patches[0].get_xy()[:, 1]
    assert ax.patches[0].get_xy()[:, 0].min() >= -5
    from seqdiff.evaluation import gc_content

    assert f"mean {100 * gc_content(SEQUENCES).mean():.1f}%" in ax.get_legend().get_texts()[0].get_text()
    # the outline's steps, each drawn twice, are percentages of all sequences
    assert heights[1:-1:2].max() == pytest.approx(heights.max()) and 10 < heights.max() < 60


def test_curves_skip_epochs_without_a_value():
    ax = plot_curves(pd.DataFrame(HISTORY))
    train, valid = ax.get_lines()
    assert train.get_label() == "training" and valid.get_label() == "validation"
    assert valid.get_xdata().tolist() == [2, 4] and valid.get_ydata().tolist() == [1.96, 1.94]
    history = {"epoch": [1, 2], "loss": [70.0, 68.0], "bits_per_letter": [2.0, 1.95], "lr": [0.1, 0.1]}
    evaluations = {"epoch": [2], "bound": [67.0], "bits_per_letter": [1.94]}
    train, valid = plot_curves(history, evaluations).get_lines()
    assert train.get_ydata().tolist() == [2.0, 1.95] and train.get_label() == "training"
    assert valid.get_xdata().tolist() == [2] and valid.get_ydata().tolist() == [1.94]
    assert len(plot_curves(history, {"epoch": [], "bits_per_letter": []}).get_lines()) == 1
    assert plot_curves({"my_figure": [1.0, 2.0]}).get_lines()[0].get_xdata().tolist() == [1, 2]


def test_position_frequencies_are_plotted():
    ax = plot_position_frequencies(SEQUENCES)
    table = position_frequencies(SEQUENCES)
    for line, letter in zip(ax.get_lines(), "ACGT", strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100 * table[letter])
        assert line.get_xdata()[0] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_gc([]), "mapping of names"),
        (lambda: plot_gc({"a": []}), "empty"),
        (lambda: plot_curves({"name": ["x"]}), "no metrics to draw, only 'name'"),
        (lambda: plot_curves({}), "nothing"),
        (lambda: plot_position_frequencies({}), "0 sets"),
        (lambda: plot_logo([]), "empty"),
    ],
)
def test_errors_are_clear(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- trajectories -----------------------------------------------------------------------------------------------------


SMALL = {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
SEQUENCES_OF_SIX = ["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"] * 3


@pytest.fixture(
    scope="module", params=[Autoregressive, MaskedDiffusion, UniformDiffusion, DirichletFM, EmbeddingDiffusion]
)
def model(request):
    return request.param(**SMALL).fit(SEQUENCES_OF_SIX)


def test_shown_probabilities_end_at_the_sample(model):
    process = model.objective_.process
    states = list(model.trajectory(5, random_state=3))
    shown = [process.shown(state) for state in states]
    assert all(torch.allclose(p.sum(-1), torch.ones(())) for p in shown)
    assert torch.equal(shown[-1].argmax(-1), process.decode(states[-1]))
    nothing = [float(p[..., -1].sum()) for p in shown]
    if isinstance(model, (UniformDiffusion, DirichletFM, EmbeddingDiffusion)):  # all is something from the beginning
        assert not any(nothing)
    else:  # one more is written in each step
        assert nothing == [5.0 * left for left in range(6, -1, -1)]


def test_trajectory_plot_has_the_colours_of_the_letters(model):
    ax = plot_letters(model.trajectory(4, template="ACGTAC", random_state=0), model, sequence=2, title="two")
    image = np.asarray(ax.images[0].get_array())
    handles = ax.get_legend().legend_handles
    colours = {text.get_text(): h.get_facecolor()[:3] for h, text in zip(handles, ax.get_legend().texts, strict=True)}
    assert np.allclose(image[-1], [colours[letter] for letter in "ACGTAC"], atol=1e-6)
    assert ax.get_title() == "two"


def test_mean_trajectory_averages_colours(model):
    states = list(model.trajectory(4, steps=5, random_state=0))
    mean = np.asarray(plot_letters(states, model, sequence=None).images[0].get_array())
    each = [np.asarray(plot_letters(states, model, sequence=i).images[0].get_array()) for i in range(4)]
    assert np.allclose(mean, np.mean(each, 0), atol=1e-5)


def test_animation_shows_the_steps_and_ends_at_the_sample(model, tmp_path):
    path = tmp_path / "birth.gif"
    states = list(model.trajectory(3, steps=5, random_state=1))
    assert animate(states, model, path, sequences=2, seconds=1.4) == str(path)
    with Image.open(path) as animation:
        assert animation.n_frames == len(states) <= 60
        animation.seek(animation.n_frames - 1)
        assert animation.info["duration"] == 1500
        last = np.asarray(animation.convert("RGB"))
    again = tmp_path / "again.gif"
    animate(states[-1:], model, again, sequences=2)
    with Image.open(again) as animation:  # the sample alone, but for the number of the step above it
        below = last.shape[0] // 3
        assert np.abs(np.asarray(animation.convert("RGB")).astype(int) - last)[below:].mean() < 2


def test_long_animations_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr("seqdiff.evaluation.trajectories.FRAMES", 3)
    model = UniformDiffusion(**SMALL).fit(SEQUENCES_OF_SIX)
    animate(model.trajectory(1, steps=9), model, tmp_path / "short.gif")
    with Image.open(tmp_path / "short.gif") as animation:
        assert animation.n_frames == 3


def test_simplex_points_are_plotted_at_barycentric_coordinates():
    x = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]])
    states = [
        State(torch.full_like(x, 1 / 3), None, torch.ones(1, 2, dtype=torch.bool)),
        State(x, None, torch.ones(1, 2, dtype=torch.bool)),
    ]
    ax = plot_simplex(states, "ACG")
    paths = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == 2]
    assert np.allclose(paths[0], [[0, 0], corners(3)[0]], atol=1e-6)
    assert np.allclose(paths[1], [[0, 0], corners(3)[1:].mean(0)], atol=1e-6)
    assert len([line for line in plot_simplex(states, "ACG", positions=[1]).lines if len(line.get_xydata()) == 2]) == 1


def test_invalid_trajectory_plots_are_refused():
    letters = State(torch.zeros(2, 3, dtype=torch.long), None, torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="plot_letters"):
        plot_simplex([letters], "ACG")
    with pytest.raises(ValueError, match=r"\.gif"):
        animate([letters], None, "birth.png")
    with pytest.raises(ValueError, match="no states"):
        animate(iter([]), None, "birth.gif")
