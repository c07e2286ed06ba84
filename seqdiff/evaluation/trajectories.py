"""Pictures of sequences on their way from noise to letters: paths on the simplex, letters by step, a film.

All take what `trajectory()` of a generator yields. No pyplot, as in plots.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seqdiff import runtime
from seqdiff.errors import InputError, argument, shown
from seqdiff.evaluation.plots import _axes, _colours, _positions, as_written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTHING = "0.93"  # the grey of a position where no letter stands yet
FRAMES = 60
HOLD = 1.5  # seconds that the finished sequences are shown for


def corners(letters: int) -> np.ndarray:
    """Return the corners (K, 2) of a regular polygon, the first on top: of three letters the simplex itself.

    Of more letters it is a projection, in which other points than a corner's may fall on the same place.

    Examples
    --------
    >>> corners(4).round(6).tolist()
    [[0.0, 1.0], [-1.0, 0.0], [-0.0, -1.0], [1.0, -0.0]]
    """
    angle = np.pi / 2 + 2 * np.pi * np.arange(letters) / letters
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def plot_simplex(
    states: Iterable[Any],
    letters: Sequence[str],
    *,
    positions: Sequence[int] | None = None,
    paths: int = 40,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the way of points on the simplex to their letters, over the density of where they end.

    Parameters
    ----------
    states : iterable of State
        What `trajectory()` of a `DirichletFM` yields, of n sequences.
    letters : sequence of str
        The K letters of the corners, such as ``model.alphabet_.letters``.
    positions : sequence of int, optional
        Positions to draw, counted from 0; None draws all.
    paths : int
        Ways to draw, each in the colour of the letter next to its end; the density is of all points.
    ax : Axes, optional
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If the states are no points of a simplex of that many letters.

    Examples
    --------
    >>> import torch
    >>> from seqdiff.processes import State
    >>> x = torch.tensor([[[0.4, 0.3, 0.3]], [[0.2, 0.4, 0.4]]])
    >>> ways = [x**power / (x**power).sum(-1, keepdim=True) for power in (1, 9)]
    >>> states = [State(way, None, torch.ones(2, 1, dtype=torch.bool)) for way in ways]
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
    place = points @ corners(len(letters))
    ends = points[-1].argmax(-1)
    ax = _axes(ax, 4.5, 4.2)
    ax.set_aspect("equal")
    ax.axis("off")
    outline = corners(len(letters))
    ax.fill(*outline.T, facecolor="none", edgecolor="0.6", linewidth=1)
    norm = LogNorm(vmin=0.3)  # a single point is grey already
    ax.hexbin(*place[-1].T, gridsize=45, extent=(-1, 1, -1, 1), mincnt=1, norm=norm, cmap="Greys", linewidths=0.1)
    colours = _colours(letters)
    for i in np.linspace(0, place.shape[1] - 1, min(paths, place.shape[1])).astype(int):
        ax.plot(*place[:, i].T, color=colours[letters[ends[i]]], linewidth=0.7, alpha=0.8)
        ax.plot(*place[0, i], ".", color="0.3", markersize=2)
    for letter, corner in zip(letters, outline, strict=True):
        x, y = 1.1 * corner
        ax.text(x, y, letter, color=colours[letter], ha="center", va="center", weight="bold")
    if title:
        ax.set_title(as_written(title))
    return ax


def plot_letters(
    states: Iterable[Any], model: Any, *, sequence: int | None = 0, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw which letters stand, or are expected, at each position of a sequence, from the first step to the last.

    Parameters
    ----------
    states : iterable of State
        What ``model.trajectory()`` yields.
    model : SequenceGenerator
    sequence : int or None
        Which of the sequences; None draws the mean of all. Colours are mixed by probability, grey is nothing yet.
    ax : Axes, optional
    title : str, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(["ACGT", "ACGA", "ACCT"])
    >>> plot_letters(model.trajectory(2), model).get_ylabel()
    'step'
    """
    probabilities = torch.stack([_shown(state, model, sequence) for state in states]).numpy()  # (T, L, K + 1)
    letters = list(model.alphabet_.letters)
    palette = _palette(letters)
    ax = _axes(ax, 1.5 + 0.13 * probabilities.shape[1], 3.2)
    extent = (0.5, probabilities.shape[1] + 0.5, len(probabilities) - 0.5, -0.5)
    ax.imshow(probabilities @ palette, aspect="auto", interpolation="nearest", extent=extent)
    _positions(ax, probabilities.shape[1])
    ax.set_ylabel("step")
    from matplotlib.patches import Patch

    if len(letters) <= 20:
        handles = [Patch(color=palette[i], label=letter) for i, letter in enumerate(letters)]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    if title:
        ax.set_title(as_written(title))
    return ax


def animate(
    states: Iterable[Any], model: Any, path: str | os.PathLike[str], *, sequences: int = 8, seconds: float = 5.0
) -> str:
    """Write a film (GIF) of sequences being born.

    Parameters
    ----------
    states : iterable of State
        What ``model.trajectory()`` of any generator yields.
    model : SequenceGenerator
    path : path
        The ``.gif`` file to write.
    sequences : int
        How many to show, one below the other. Each letter is the likeliest so far, the paler the less it is certain.
    seconds : float
        Length of the film, before its last picture is held; at most 60 of the steps are shown.

    Returns
    -------
    str
        The path.

    Raises
    ------
    InputError
        If the path is not one of a GIF, or there are no states.

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
    frames = [_shown(state, model, slice(0, sequences)).numpy() for state in states]
    if not frames:
        wanted = "those that trajectory() yields, which can be read once"
        raise InputError(argument("states"), "no states", wanted, "call trajectory() anew")
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int))
    pictures = _Film(list(model.alphabet_.letters), frames[0].shape[:2])
    images = [pictures.draw(frames[i], f"step {i} of {len(frames) - 1}") for i in chosen]
    each = int(1000 * seconds / len(images))
    with runtime.replacing(path) as name:
        images[0].save(
            name,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=[each] * (len(images) - 1) + [int(1000 * HOLD)],
            loop=0,
        )
    return str(path)


class _Film:
    """Cells with letters that are drawn anew for each picture."""

    def __init__(self, letters: list[str], shape: tuple[int, int]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        rows, length = shape
        self.letters, self.palette = letters, _palette(letters)
        figure = Figure(figsize=(0.4 + 0.16 * length, 0.5 + 0.24 * rows), dpi=100, layout="constrained")
        self.canvas = FigureCanvasAgg(figure)
        ax = figure.add_subplot()
        ax.axis("off")
        self.title = ax.set_title("", fontsize=8, loc="left", family="monospace")
        self.cells = ax.imshow(np.ones((rows, length, 3)), aspect="auto", vmin=0, vmax=1)
        self.texts = [
            [ax.text(j, i, "", ha="center", va="center", fontsize=8, family="monospace") for j in range(length)]
            for i in range(rows)
        ]

    def draw(self, probabilities: np.ndarray, title: str) -> Any:
        """Return a picture of probabilities (n, L, K + 1)."""
        from PIL import Image

        self.title.set_text(title)
        white = 0.55  # letters are to be read on their colour
        self.cells.set_data(white + (1 - white) * (probabilities @ self.palette))
        best, sure = probabilities.argmax(-1), probabilities.max(-1)
        for row, texts in enumerate(self.texts):
            for column, text in enumerate(texts):
                k = best[row, column]
                text.set_text(self.letters[k] if k < len(self.letters) else "")
                text.set_alpha(float(sure[row, column]))
        self.canvas.draw()
        return Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3].copy())


def _shown(state: Any, model: Any, rows: int | slice | None) -> torch.Tensor:
    shown = model.objective_.process.shown(state).float().cpu()
    return shown.mean(0) if rows is None else shown[rows]


def _palette(letters: Sequence[str]) -> np.ndarray:
    """Return the colours (K + 1, 3), the last of nothing."""
    from matplotlib.colors import to_rgb

    colours = _colours(letters)
    return np.array([to_rgb(colours[letter]) for letter in letters] + [to_rgb(NOTHING)])
