"""Pictures of trajectories: the colours say what stands where, for every generator; a film can be read again."""

import numpy as np
import pytest
import torch
from PIL import Image

from seqdiff import Autoregressive, DirichletFM, EmbeddingDiffusion, MaskedDiffusion, UniformDiffusion
from seqdiff.evaluation import animate, plot_letters, plot_simplex
from seqdiff.evaluation.trajectories import corners
from seqdiff.processes import State

SMALL = {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
WORDS = ["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"] * 3


@pytest.fixture(
    scope="module", params=[Autoregressive, MaskedDiffusion, UniformDiffusion, DirichletFM, EmbeddingDiffusion]
)
def model(request):
    return request.param(**SMALL).fit(WORDS)


def test_what_is_shown_ends_as_the_sample_and_says_what_is_missing(model):
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


def test_the_picture_has_the_colours_of_the_letters(model):
    ax = plot_letters(model.trajectory(4, template="ACGTAC", random_state=0), model, sequence=2, title="two")
    image = np.asarray(ax.images[0].get_array())
    handles = ax.get_legend().legend_handles
    colours = {text.get_text(): h.get_facecolor()[:3] for h, text in zip(handles, ax.get_legend().texts, strict=True)}
    assert np.allclose(image[-1], [colours[letter] for letter in "ACGTAC"], atol=1e-6)
    assert ax.get_title() == "two"


def test_the_mean_of_all_mixes_colours(model):
    states = list(model.trajectory(4, steps=5, random_state=0))
    mean = np.asarray(plot_letters(states, model, sequence=None).images[0].get_array())
    each = [np.asarray(plot_letters(states, model, sequence=i).images[0].get_array()) for i in range(4)]
    assert np.allclose(mean, np.mean(each, 0), atol=1e-5)


def test_the_film_shows_the_steps_and_ends_with_the_sample(model, tmp_path):
    path = tmp_path / "birth.gif"
    states = list(model.trajectory(3, steps=5, random_state=1))
    assert animate(states, model, path, sequences=2, seconds=1.4) == str(path)
    with Image.open(path) as film:
        assert film.n_frames == len(states) <= 60
        film.seek(film.n_frames - 1)
        assert film.info["duration"] == 1500
        last = np.asarray(film.convert("RGB"))
    again = tmp_path / "again.gif"
    animate(states[-1:], model, again, sequences=2)
    with Image.open(again) as film:  # the sample alone, but for the number of the step above it
        below = last.shape[0] // 3
        assert np.abs(np.asarray(film.convert("RGB")).astype(int) - last)[below:].mean() < 2


def test_a_film_of_many_steps_shows_some_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr("seqdiff.evaluation.trajectories.FRAMES", 3)
    model = UniformDiffusion(**SMALL).fit(WORDS)
    animate(model.trajectory(1, steps=9), model, tmp_path / "short.gif")
    with Image.open(tmp_path / "short.gif") as film:
        assert film.n_frames == 3


def test_points_are_drawn_where_their_letters_say():
    x = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]])
    states = [
        State(torch.full_like(x, 1 / 3), None, torch.ones(1, 2, dtype=torch.bool)),
        State(x, None, torch.ones(1, 2, dtype=torch.bool)),
    ]
    ax = plot_simplex(states, "ACG")
    ways = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == 2]
    assert np.allclose(ways[0], [[0, 0], corners(3)[0]], atol=1e-6)
    assert np.allclose(ways[1], [[0, 0], corners(3)[1:].mean(0)], atol=1e-6)
    assert len([line for line in plot_simplex(states, "ACG", positions=[1]).lines if len(line.get_xydata()) == 2]) == 1


def test_mistakes_are_told():
    letters = State(torch.zeros(2, 3, dtype=torch.long), None, torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="plot_letters"):
        plot_simplex([letters], "ACG")
    with pytest.raises(ValueError, match=r"\.gif"):
        animate([letters], None, "birth.png")
    with pytest.raises(ValueError, match="no states"):
        animate(iter([]), None, "birth.gif")
