"""Pictures: the right quantities are drawn, labelled with units, and pyplot is left alone."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from seqdiff.datasets import load_sigma70
from seqdiff.evaluation import plot_curves, plot_gc, plot_logo, plot_position_frequencies, position_frequencies
from seqdiff.evaluation.plots import information

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
def test_pictures_can_be_written(name, tmp_path):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    ax = DRAW[name](None)
    assert isinstance(ax.figure, Figure) and ax.get_title() == "a title"
    assert (ax.get_xlabel(), ax.get_ylabel()) == LABELS[name]
    path = tmp_path / "picture.png"
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


def test_noise_has_no_information():
    """Without the correction, 30 sequences of pure chance would show 3/(60 ln 2) = 0.072 bits at every position."""
    rng = np.random.default_rng(0)
    noise = ["".join(row) for row in rng.choice(list("ACGT"), size=(30, 400))]
    assert information(noise).sum(axis=1).mean() < 0.045


@pytest.mark.parametrize(
    "sequences", [["A"], ["ACGT"], ["ACGT", "AC", "A"], ["MKWVTF", "MKLV"] * 3, ["c1ccccc1O", "CCO"] * 4]
)
def test_logo_of_odd_sets(sequences, tmp_path):
    plot_logo(sequences).figure.savefig(tmp_path / "logo.png")


def test_gc_bars_are_shares():
    ax = plot_gc({"natural": SEQUENCES})
    heights = ax.patches[0].get_xy()[:, 1]
    assert ax.patches[0].get_xy()[:, 0].min() >= -5
    from seqdiff.evaluation import gc_content

    assert f"mean {100 * gc_content(SEQUENCES).mean():.1f}%" in ax.get_legend().get_texts()[0].get_text()
    # the outline's steps, each drawn twice, are percentages of all sequences
    assert heights[1:-1:2].max() == pytest.approx(heights.max()) and 10 < heights.max() < 60


def test_curves_skip_epochs_without_a_figure():
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


def test_frequencies_are_drawn():
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
