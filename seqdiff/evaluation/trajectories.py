"""Plots of sequences between noise and letters: paths on the simplex, letters by step, an animation.

All take what `trajectory()` of a generator yields. No pyplot, as in plots.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from seqdiff import runtime
from seqdiff.data import Alphabet
from seqdiff.errors import InputError, argument, shown
from seqdiff.evaluation.plots import letter_colours, new_figure, number_positions, open_axes
from seqdiff.processes import State
from seqdiff.training import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL import Image

NOTHING = "0.93"  # the grey of a position where no letter stands yet
FRAMES = 60
HOLD = 1.5  # seconds for which the finished sequences are shown


class FittedGenerator(Protocol):
    """A fitted `SequenceGenerator`, as far as its states are drawn."""

    @property
    def alphabet_(self) -> Alphabet: ...

    @property
    def objective_(self) -> Objective: ...


def corners(letters: int) -> np.ndarray:
    """Return the corners (K, 2) of a regular polygon, the first on top: of three letters the simplex itself.

    Of more letters it is a projection, in which other points than a corner's may fall on the same place.
    """
    angle = np.pi / 2 + 2 * np.pi * np.arange(letters) / letters
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def plot_simplex(
    states: Iterable[State],
    letters: Sequence[str],
    *,
    positions: Sequence[int] | None = None,
    paths: int = 40,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the paths of points on the simplex to their letters, over the density of their ends.

    Parameters
    ----------
    states : iterable of State
        What `trajectory()` of a `DirichletFM` yields, of n sequences.
    letters : sequence of str
        The K letters of the corners, such as ``model.alphabet_.letters``.
    positions : sequence of int, optional
        Positions to draw, counted from 0; None draws all.
    paths : int
        Paths to draw, each in the colour of the letter next to its end; the density is of all points.
    ax : Axes, optional
        Default: those of a new Figure.
    title : str, optional

    Examples
    --------
    >>> import torch
    >>> from seqdiff.processes import State
    >>> x = torch.tensor([[[0.4, 0.3, 0.3]], [[0.2, 0.4, 0.4]]])
    >>> points = [x**power / (x**power).sum(-1, keepdim=True) for power in (1, 9)]
    >>> states = [State(point, None, torch.ones(2, 1, dtype=torch.bool)) for point in points]
    >>> [text.get_text() for text in plot_simplex(states, "ACG").texts]
    ['A', 'C', 'G']
    """
    from matplotlib.colors import LogNorm

    letters = list(letters)
    kept = [(state.x, state.mask) for state in states]
    if not kept or kept[0][0].ndim != 3 or kept[0][0].shape[-1] != len(letters):
        found = "no states" if not kept else f"states of shape {tuple(kept[0][0].shape)}"
        wanted = f"points of a simplex (n, L, {len(letters)}), as trajectory() of DirichletFM yields them"
        raise InputError(argument("states"), found, wanted, "draw those of other generators by plot_letters")
    chosen = list(range(kept[0][0].shape[1])) if positions is None else list(positions)
    real = kept[-1][1][:, chosen].cpu().numpy()
    points = np.stack([x[:, chosen].float().cpu().numpy()[real] for x, _ in kept])  # (T, points, K)
    outline = corners(len(letters))
    place, ends = points @ outline, points[-1].argmax(-1)
    ax = open_axes(ax, 4.5, 4.2, title)
    ax.set_aspect("equal")
    ax.axis("off")
    ax.fill(*outline.T, facecolor="none", edgecolor="0.6", linewidth=1)
    norm = LogNorm(vmin=0.3)  # a single point is grey already
    ax.hexbin(*place[-1].T, gridsize=45, extent=(-1, 1, -1, 1), mincnt=1, norm=norm, cmap="Greys", linewidths=0.1)
    colours = letter_colours(letters)
    for i in np.linspace(0, place.shape[1] - 1, min(paths, place.shape[1])).astype(int):
        ax.plot(*place[:, i].T, color=colours[letters[ends[i]]], linewidth=0.7, alpha=0.8)
        ax.plot(*place[0, i], ".", color="0.3", markersize=2)
    for letter, (x, y) in zip(letters, 1.1 * outline, strict=True):
        ax.text(x, y, letter, color=colours[letter], ha="center", va="center", weight="bold")
    return ax


def plot_letters(
    states: Iterable[State],
    model: FittedGenerator,
    *,
    sequence: int | None = 0,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the letters that stand, or are expected, at each position of a sequence, from the first step to the last.

    Parameters
    ----------
    states : iterable of State
        What ``model.trajectory()`` yields.
    model : SequenceGenerator
    sequence : int or None
        The sequence's number; None draws the mean of all. Colours are mixed by probability, grey is nothing yet.
    ax : Axes, optional
        Default: those of a new Figure.
    title : str, optional

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(["ACGT", "ACGA", "ACCT"])
    >>> plot_letters(model.trajectory(2), model).get_ylabel()
    'step'
    """
    from matplotlib.patches import Patch

    probabilities = torch.stack([_shown(state, model, sequence) for state in states]).numpy()  # (T, L, K + 1)
    steps, length, _ = probabilities.shape
    letters = list(model.alphabet_.letters)
    palette = _palette(letters)
    ax = open_axes(ax, 1.5 + 0.13 * length, 3.2, title)
    extent = (0.5, length + 0.5, steps - 0.5, -0.5)
    ax.imshow(probabilities @ palette, aspect="auto", interpolation="nearest", extent=extent)
    number_positions(ax, length)
    ax.set_ylabel("step")
    if len(letters) <= 20:
        handles = [Patch(color=palette[i], label=letter) for i, letter in enumerate(letters)]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return ax


def animate(
    states: Iterable[State],
    model: FittedGenerator,
    path: str | os.PathLike[str],
    *,
    sequences: int = 8,
    seconds: float = 5.0,
) -> str:
    """Write an animation (GIF) of the steps from noise to sequences, and return its path.

    Parameters
    ----------
    states : iterable of State
        What ``model.trajectory()`` of any generator yields.
    model : SequenceGenerator
    path : path
        The ``.gif`` file to write.
    sequences : int
        Sequences to show, one below the other. Each letter is the likeliest so far, the paler the less it is certain.
    seconds : float
        Length of the animation, before its last frame is held; at most 60 of the steps are shown.

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(["ACGT", "ACGA", "ACCT"])
    >>> animate(model.trajectory(2), model, "birth.gif")
    'birth.gif'
    """
    if not str(path).lower().endswith(".gif"):
        wanted = "a name that ends in .gif, as animate writes a GIF"
        raise InputError(argument("path"), shown(str(path)), wanted, "give such a name")
    steps = [_shown(state, model, slice(0, sequences)).numpy() for state in states]
    if not steps:
        wanted = "those that trajectory() yields, which can be read once"
        raise InputError(argument("states"), "no states", wanted, "call trajectory() anew")
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(FRAMES, len(steps))).round().astype(int))
    cells = _Cells(list(model.alphabet_.letters), steps[0].shape[:2])
    first, *others = [cells.draw(steps[i], f"step {i} of {len(steps) - 1}") for i in chosen]
    durations = [int(1000 * seconds / len(chosen))] * len(others) + [int(1000 * HOLD)]
    with runtime.replacing(path) as name:
        first.save(name, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return str(path)


class _Cells:
    """Cells with letters (n, L), drawn anew for each frame."""

    def __init__(self, letters: list[str], shape: tuple[int, int]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        rows, length = shape
        self.letters, self.palette = letters, _palette(letters)
        figure = new_figure(0.4 + 0.16 * length, 0.5 + 0.24 * rows, dpi=100)
        self.canvas = FigureCanvasAgg(figure)
        ax = figure.add_subplot()
        ax.axis("off")
        self.title = ax.set_title("", fontsize=8, loc="left", family="monospace")
        self.cells = ax.imshow(np.ones((rows, length, 3)), aspect="auto", vmin=0, vmax=1)
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "family": "monospace"}
        self.texts = [[ax.text(j, i, "", **style) for j in range(length)] for i in range(rows)]

    def draw(self, probabilities: np.ndarray, title: str) -> Image.Image:
        """Return a frame of probabilities (n, L, K + 1)."""
        from PIL import Image

        self.title.set_text(title)
        white = 0.55  # so that letters can be read on their colour
        self.cells.set_data(white + (1 - white) * (probabilities @ self.palette))
        best, sure = probabilities.argmax(-1), probabilities.max(-1)
        for row, texts in enumerate(self.texts):
            for column, text in enumerate(texts):
                k = best[row, column]
                text.set_text(self.letters[k] if k < len(self.letters) else "")
                text.set_alpha(float(sure[row, column]))
        self.canvas.draw()
        return Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3].copy())


def _shown(state: State, model: FittedGenerator, rows: int | slice | None) -> torch.Tensor:
    shown = model.objective_.process.shown(state).float().cpu()
    return shown.mean(0) if rows is None else shown[rows]


def _palette(letters: Sequence[str]) -> np.ndarray:
    """Return the colours (K + 1, 3), the last of nothing."""
    from matplotlib.colors import to_rgb

    colours = letter_colours(letters)
    return np.array([to_rgb(colours[letter]) for letter in letters] + [to_rgb(NOTHING)])
