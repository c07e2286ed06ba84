"""Plots of sequences and of metrics: sequence logo, GC content, learning curves, letters by position, tables.

Each function draws into the Axes it is given, or makes a Figure of its own, and returns the Axes (`axes.figure` is the
Figure); plots of tables return a Figure. No pyplot: nothing is registered globally, no window opens, no backend is
chosen, and a plot without references is freed. `axes.figure.savefig("logo.png")` writes it; in a notebook,
`axes.figure` as the last line of a cell shows it.

The logo is that of Schneider and Stephens (Nucleic Acids Res. 18, 6097 (1990)): a letter's height is its frequency
times the information of its position, log2 K - H_i - e(n), with their correction e(n) = (K - 1)/(2 n ln 2) for small
samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.errors import InputError, argument, shorten, shown
from seqdiff.evaluation.statistics import gc_content, position_frequencies

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# colours that also differ for the colour-blind (Wong, Nature Methods 8, 441 (2011))
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
NUCLEOTIDES = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00", "U": "#D55E00"}
# acidic, basic, polar, hydrophobic
AMINO_ACIDS = {"DE": "#D55E00", "KRH": "#0072B2", "GSTYCQN": "#009E73", "AVLIPWFM": "#000000"}
GREY = "0.45"


def verbatim(text: object) -> str:
    """Return a text that a plot shows as it is, in which a dollar sign opens no formula; nothing for None."""
    return "" if text is None else str(text).replace("$", r"\$")


def new_figure(width: float, height: float, dpi: int = 150) -> Figure:
    """Return an empty Figure of that size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def open_axes(ax: Axes | None, width: float, height: float, title: str | None) -> Axes:
    """Return the given Axes, or those of a new Figure of that size in inches, open on two sides, with a title."""
    ax = new_figure(width, height).add_subplot() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    if title:
        ax.set_title(verbatim(title))
    return ax


def panels(rows: int, columns: int, width: float, height: float, title: str | None, sharey: bool = False) -> np.ndarray:
    """Return the Axes of a new Figure, (rows * columns,), open on two sides."""
    figure = new_figure(width, height)
    axes = figure.subplots(rows, columns, sharey=sharey, squeeze=False).ravel()
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(verbatim(title))
    return axes


def number_positions(ax: Axes, length: int) -> None:
    """Label positions 1, then every 5 or 10 (more where there are many), counted from 1."""
    step = next(step for step in (1, 5, 10, 20, 50, 100, 10**6) if length / step <= 12)
    ax.set_xticks([1] + [p for p in range(step, length + 1, step) if p > 1])
    ax.set_xlim(0.4, length + 0.6)
    ax.set_xlabel("position")


def letter_colours(letters: Sequence[str], chemistry: bool = False) -> dict[str, str]:
    """Return the usual colours of nucleotides, else one each as far as there are twenty.

    With `chemistry` amino acids are coloured by group, as protein logos usually are.
    """
    if set(letters) <= set(NUCLEOTIDES):
        return {letter: NUCLEOTIDES[letter] for letter in letters}
    if chemistry and len(letters) > 4 and set(letters) <= set("".join(AMINO_ACIDS)):
        return {letter: colour for group, colour in AMINO_ACIDS.items() for letter in group}
    palette = PALETTE
    if len(letters) > len(PALETTE):
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        palette = [to_hex(colormaps["tab20"](i)) for i in (*range(0, 20, 2), *range(1, 20, 2))]
    return dict(zip(letters, itertools.cycle(palette)))


def information(sequences: Sequence[str]) -> pd.DataFrame:
    """Return the heights of a sequence logo in bits, (L, K): one row a position (1..L), one column a letter.

    A row sums to log2 K minus the entropy of the position minus the small-sample correction, or 0 where that is
    negative.
    """
    frequencies = position_frequencies(sequences)
    K = frequencies.shape[1]
    lengths = np.array([len(sequence) for sequence in sequences])
    n = np.array([(lengths >= position).sum() for position in frequencies.index])
    p = frequencies.to_numpy()
    entropy = -np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0).sum(1)
    bits = np.maximum(np.log2(K) - entropy - (K - 1) / (2 * n * np.log(2)), 0)
    return frequencies.mul(bits, axis=0)


def plot_images(
    images: np.ndarray, columns: int | None = None, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw images in a grid, row by row.

    Parameters
    ----------
    images : ndarray (n, H, W) or (n, H, W, C)
        As `generate` returns them; of 1 or 3 channels. The lowest level is black, the highest of all white.
    columns : int, optional
        Default: about as many as rows.
    ax : Axes, optional
        Default: those of a new Figure.
    title : str, optional

    Examples
    --------
    >>> plot_images(np.eye(4)[None].repeat(6, 0), columns=3).images[0].get_array().shape
    (11, 16)
    """
    images = np.asarray(images)
    if (
        images.ndim not in (3, 4)
        or images.dtype.kind not in "biuf"
        or not images.size
        or images.shape[3:] not in ((), (1,), (3,))
    ):
        found = f"shape {images.shape} of {images.dtype}"
        wanted = "images (n, H, W) or (n, H, W, C) of 1 or 3 channels"
        raise InputError(argument("images"), found, wanted, "give such an array")
    columns = columns or math.ceil(math.sqrt(len(images)))
    height, width, *_ = sides = images.shape[1:3]
    rows = -(-len(images) // columns)
    level = images.reshape(len(images), *sides, -1) / max(1, images.max())
    grid = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, level.shape[-1]))  # a white line between
    for i, image in enumerate(level):
        top, left = 1 + i // columns * (height + 1), 1 + i % columns * (width + 1)
        grid[top : top + height, left : left + width] = image
    ax = open_axes(ax, min(14, 0.7 * columns), min(20, 0.7 * rows * height / width + 0.3 * bool(title)), title)
    ax.set_axis_off()
    ax.imshow(grid.squeeze(-1) if grid.shape[-1] == 1 else grid, cmap="gray", interpolation="nearest", vmin=0, vmax=1)
    return ax


def plot_logo(
    sequences: Sequence[str] | Mapping[str, Sequence[str]], ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw the information content logo of sequences aligned at their first letter.

    Parameters
    ----------
    sequences : sequence of str, or mapping of str to sequence of str
        Of one or of several lengths. A mapping of names to sets, `{"natural": ..., "generated": ...}`, is drawn as one
        logo below the other, all to one scale; the lowest Axes is returned.
    ax : Axes, optional
        Axes of one logo. Default: those of a new Figure.
    title : str, optional

    Notes
    -----
    A blank is drawn as ␣.

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> plot_logo(load_sigma70(500)).get_ylabel()
    'information (bits)'
    """
    if isinstance(sequences, Mapping):
        return _several_logos(sequences, ax, title)
    import logomaker

    heights = information(sequences).rename(columns=lambda letter: "␣" if letter.isspace() else letter)
    length, top = len(heights), heights.sum(axis=1).max()
    ax = open_axes(ax, min(max(0.18 * length, 4), 14), 2.2, title)
    if top > 0:
        logomaker.Logo(heights, ax=ax, color_scheme=letter_colours(list(heights), chemistry=True), width=0.95)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylim(0, max(1.08 * top, 0.05))
    ax.set_ylabel("information (bits)")
    number_positions(ax, length)
    return ax


def _several_logos(groups: Mapping[str, Sequence[str]], ax: Axes | None, title: str | None) -> Axes:
    if ax is not None or not groups:
        sets = f"{len(groups)} sets" + " and an ax" * (ax is not None)
        cure = f"omit {argument('ax')}" if groups else "give one"
        raise InputError(argument("sequences"), sets, f"at least one, and no {argument('ax')} beside them", cure)
    longest = max(len(sequence) for sequences in groups.values() for sequence in sequences)
    axes = panels(len(groups), 1, min(max(0.18 * longest, 4), 14), 2.2 * len(groups), title)
    for below, (name, sequences) in zip(axes, groups.items(), strict=True):
        plot_logo(sequences, ax=below, title=name)
    highest = max(below.get_ylim()[1] for below in axes)
    for below in axes:
        below.set_ylim(0, highest)
    return axes[-1]


def plot_gc(groups: Mapping[str, Sequence[str]], ax: Axes | None = None, title: str | None = None) -> Axes:
    """Draw the distribution of GC content in each of several sets.

    Parameters
    ----------
    groups : mapping of str to sequence of str
        Sequences by the name of their set: `{"natural": ..., "generated": ...}`.
    ax : Axes, optional
        Default: those of a new Figure.
    title : str, optional
    """
    if not isinstance(groups, Mapping) or not groups:
        wanted = "a mapping of names to lists of sequences"
        raise InputError(argument("groups"), shown(groups), wanted, "give one such as {'natural': [...]}")
    values = {name: 100 * gc_content(sequences) for name, sequences in groups.items()}
    values = {name: share[np.isfinite(share)] for name, share in values.items()}
    ax = open_axes(ax, 4.8, 3.2, title)
    # a GC share is a whole number over the length: bins that are no multiple of 1/length would make a comb
    lengths = {len(sequence) for sequences in groups.values() for sequence in sequences}
    one = 100 / lengths.pop() if len(lengths) == 1 else 4.0
    step = one * np.ceil(4 / one - 1e-9)
    low, high = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    edges = np.arange(np.floor(low / step) - 0.5, np.ceil(high / step) + 1.5) * step
    for i, (name, share) in enumerate(values.items()):
        colour, weights = PALETTE[i % len(PALETTE)], np.full(len(share), 100 / len(share))
        if i == 0:  # one filled, the others as lines on it: several fillings mix to a colour of none
            ax.hist(share, edges, weights=weights, histtype="stepfilled", color=colour, alpha=0.18)
        label = f"{verbatim(name)} (mean {share.mean():.1f}%)"
        ax.hist(share, edges, weights=weights, histtype="step", color=colour, linewidth=1.6, label=label)
    ax.set_xlabel("GC content (%)")
    ax.set_ylabel("share of sequences (%)")
    ax.set_ylim(0, ax.get_ylim()[1] * (1.04 + 0.09 * len(values)))  # room for the legend above the curves
    ax.legend(frameon=False, loc="upper right", fontsize="small")
    return ax


# the usual names of a training and a validation metric per epoch, the preferred ones first
CURVES = {
    "training": ("bits_per_letter", "train", "train_bits", "train_loss", "loss"),
    "validation": ("valid", "validation", "valid_bits", "val_bits", "valid_loss", "val_loss"),
}


def plot_curves(
    history: Mapping[str, Sequence[float]] | pd.DataFrame,
    evaluations: Mapping[str, Sequence[float]] | pd.DataFrame | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    *,
    unit: str = "bits per base",
    lines: Mapping[str, float] | None = None,
) -> Axes:
    """Draw the training and validation metrics over the epochs.

    Parameters
    ----------
    history : mapping or DataFrame
        Columns of equal length: `epoch` (default: 1, 2, ...) and the metrics, `nan` where an epoch has none, such as
        the `history_` of a fitted generator. A column with a usual name (`bits_per_letter`, `train`, ..., `valid`,
        ...) is called training or validation; if none has one, every numeric column is drawn under its own name.
    evaluations : mapping or DataFrame, optional
        The validation metrics where they have a table of their own: `epoch` and `bits_per_letter`, such as the
        `evaluations_` of a fitted generator.
    ax : Axes, optional
        Default: those of a new Figure.
    title : str, optional
    unit : str, default "bits per base"
        Unit of the metrics.
    lines : mapping of str to float, optional
        Values to compare with, drawn as dashed lines: `{"weight matrix": 1.905, "truth": 1.819}`.

    Examples
    --------
    >>> ax = plot_curves({"train": [2.0, 1.95, 1.92], "valid": [1.98, 1.96, 1.95]}, lines={"truth": 1.9})
    >>> ax.get_ylabel()
    'bits per base'
    """
    import pandas as pd
    from matplotlib.ticker import MaxNLocator

    frame, evaluated = pd.DataFrame(history), pd.DataFrame(evaluations)
    names = {label: name for label, usual in CURVES.items() for name in reversed(usual) if name in frame}
    names = names or {str(name): name for name in frame.select_dtypes("number").columns if name != "epoch"}
    curves = {label: (frame, name) for label, name in names.items()} if len(frame) else {}
    name = next((name for name in ("bits_per_letter", *CURVES["validation"]) if name in evaluated), None)
    if name is not None and len(evaluated):
        curves["validation"] = (evaluated, name)
    if not curves:
        found = f"no metrics to draw, only {shorten(', '.join(map(repr, frame.columns)), 150) or 'nothing'}"
        wanted = "columns such as 'train' and 'valid'"
        raise InputError(argument("history"), found, wanted, "give some with a number per epoch")
    ax = open_axes(ax, 4.8, 3.2, title)
    colours = itertools.cycle(PALETTE)
    for label, (table, name) in curves.items():
        there = table[name].notna()
        epochs = table["epoch"] if "epoch" in table else pd.Series(range(1, len(table) + 1), table.index)
        marker = "o" if there.sum() <= 40 else None
        style: dict[str, Any] = {"color": next(colours), "linewidth": 1.6, "marker": marker, "ms": 3}
        ax.plot(epochs[there], table[name][there], label=verbatim(label), **style)
    for label, value in (lines or {}).items():
        ax.axhline(value, linestyle="--", linewidth=1, color=next(colours), label=verbatim(label))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("epoch")
    ax.set_ylabel(unit)
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_position_frequencies(
    groups: Mapping[str, Sequence[str]] | Sequence[str], ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw the frequency of each letter at each position, of one set or of several to compare.

    Parameters
    ----------
    groups : sequence of str, or mapping of str to sequence of str
        One set, or up to four named ones: the first is drawn as solid lines, the second dashed, and so on.
    ax : Axes, optional
        Default: those of a new Figure.
    title : str, optional
    """
    from matplotlib.lines import Line2D

    sets = dict(groups) if isinstance(groups, Mapping) else {"": groups}
    if not 0 < len(sets) <= 4:
        raise InputError(argument("groups"), f"{len(sets)} sets", "one to four", "give as many")
    every = [sequence for sequences in sets.values() for sequence in sequences]
    letters = list(position_frequencies(every))  # one order and colour of letters in all sets
    tables = {name: 100 * position_frequencies(sequences, "".join(letters)) for name, sequences in sets.items()}
    length = max(map(len, tables.values()))
    ax = open_axes(ax, min(max(0.14 * length, 4.8), 12), 3.0, title)
    colours = letter_colours(letters)
    handles = [Line2D([], [], color=colours[letter], linewidth=2, label=letter) for letter in letters]
    styles: list[tuple[Any, float]] = [("-", 1.6), ("--", 1.1), (":", 1.3), ("-.", 1.1)]
    for (line, width), (name, table) in zip(styles, tables.items(), strict=False):
        for letter in letters:
            ax.plot(table.index, table[letter], line, color=colours[letter], linewidth=width)
        if name:
            handles.append(Line2D([], [], color="0.3", linestyle=line, linewidth=width, label=name))
    ax.legend(
        handles=handles, frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5),
        ncols=1 + len(handles) // 14,
    )  # fmt: skip
    ax.set_ylabel("share of sequences (%)")
    ax.set_ylim(bottom=0)
    number_positions(ax, length)
    return ax


# Plots of the tables of `seqdiff.compare` and `seqdiff.sweep`.


def plot_comparison(table: pd.DataFrame, title: str | None = None) -> Figure:
    """Draw a table of `seqdiff.compare`, best model on top.

    On the left bits per letter with their standard error over the held-out sequences (thin; thick: the noise of a
    bound or the spread of the seeds, whichever is larger); a bound is drawn as a triangle, as the true value lies
    further left. On the right the k-mer divergence over that of natural sequences from one another, on a logarithmic
    scale where it spans much. A table needs `bits` or `kmer_js_ratio`; the other columns may be missing.
    """
    defaults = {"bound": "exact", "baseline": False}  # of tables that lack these columns
    numbers = ["bits", "error", "monte_carlo", "spread", "kmer_js_ratio"]
    rows = table.reindex(columns=[*numbers, *defaults]).astype(dict.fromkeys(numbers, float))
    rows = rows.assign(**{name: value for name, value in defaults.items() if name not in table})
    rows = rows[np.isfinite(rows["bits"]) | np.isfinite(rows["kmer_js_ratio"])]
    if not len(rows):
        found = "neither bits per letter nor a divergence to draw"
        raise InputError(argument("table"), found, "at least one row with one", "give a table of seqdiff.compare")
    bits = rows["bits"].where(np.isfinite(rows["bits"]), np.inf)
    rows = rows.iloc[np.lexsort([bits, rows["baseline"].astype(bool)])[::-1]]  # the best is drawn last, on top
    palette = itertools.cycle(PALETTE)  # from the top
    colours = [GREY if baseline else next(palette) for baseline in rows["baseline"][::-1]][::-1]
    quality = bool(np.isfinite(rows["kmer_js_ratio"]).any())
    axes = panels(1, 1 + quality, 9.0 if quality else 6.0, 1.2 + 0.3 * len(rows), title, sharey=True)
    for y, (row, colour) in enumerate(zip(rows.itertuples(), colours, strict=True)):
        if np.isfinite(row.bits):
            noise = np.nanmax([row.monte_carlo, row.spread, 0.0])
            for error, style in ((row.error, {"linewidth": 0.8, "capsize": 2}), (noise, {"linewidth": 2.5})):
                axes[0].errorbar(row.bits, y, xerr=error if error > 0 else None, color=colour, **style)
            axes[0].plot(row.bits, y, "<" if row.bound == "elbo" else "o", color=colour, markersize=6)
        if np.isfinite(row.kmer_js_ratio):
            axes[1].plot(row.kmer_js_ratio, y, "o", color=colour, markersize=6)
    axes[0].set_yticks(range(len(rows)), [verbatim(name) for name in rows.index])
    axes[0].set_xlabel("held-out bits per letter" + (" (◂ at most)" if (rows["bound"] == "elbo").any() else ""))
    if quality:
        _ratio_axis(axes[1], rows["kmer_js_ratio"], table.attrs.get("k", "k"))
    for ax in axes:
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
    return axes[0].figure


def _ratio_axis(ax: Axes, ratios: pd.Series, k: object) -> None:
    """Mark the ratio of natural sequences, 1, on an axis that is logarithmic where the ratios span much."""
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    ax.axvline(1, linestyle="--", linewidth=1, color="0.6")
    if ratios.max() > 3 * ratios.min():
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        ax.set_xticks([t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high])
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"{k}-mer divergence of samples, natural sequences: 1")


# metrics that stronger guidance may spoil, and the labels of their axes
COSTS = {
    "kmer_js_ratio": "{k}-mer divergence, natural sequences: 1",
    "diversity": "diversity",
    "copied": "share copied",
}


def plot_sweep(table: pd.DataFrame, title: str | None = None) -> Figure:
    """Draw a table of `seqdiff.sweep`, or one read from its file: a line for each guide, from weakest to strongest.

    The horizontal axis is the condition met, or without a judge the strength. The vertical axes are the divergence from
    natural sequences over theirs from one another, the diversity and the share copied, as far as the table has them.
    Points are means over seeds, bars their standard deviations, numbers the strengths.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"guide": ["free"] * 2, "gamma": [1, 2], "seed": [0, 0], "condition": [0.5, 0.9],
    ...                       "diversity": [0.6, 0.4]})
    >>> figure = plot_sweep(table)
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('condition met', 'diversity')
    """
    if missing := {"guide", "gamma"} - set(table.columns):
        found = f"no column {' or '.join(sorted(missing))}"
        raise InputError(argument("table"), found, "a table of seqdiff.sweep", "give one")
    costs = [name for name in COSTS if name in table and table[name].notna().any()]
    if not costs:
        found = "neither divergence, diversity nor copies to draw"
        raise InputError(argument("table"), found, "a table of seqdiff.sweep", "give one with metrics")
    across = "condition" if "condition" in table and table["condition"].notna().any() else "gamma"
    axes = panels(1, len(costs), 4.2 * len(costs) + 0.6, 3.6, title)
    for ax, name in zip(axes, costs, strict=True):
        colours = itertools.cycle(PALETTE)
        for guide, rows in table.groupby("guide", sort=False):
            _line(ax, rows, across, name, str(guide), next(colours))
        ax.set_xlabel("condition met" if across == "condition" else "gamma")
        ax.set_ylabel(COSTS[name].format(k=table.attrs.get("k", "k")))
        if name == "copied":
            ax.set_ylim(bottom=0.0)
        if name == "kmer_js_ratio":  # what natural sequences have among themselves
            ax.axhline(1.0, color="0.5", linewidth=0.8, linestyle=":")
    axes[0].legend(frameon=False)
    return axes[0].figure


def _line(ax: Axes, rows: pd.DataFrame, across: str, up: str, guide: str, colour: str) -> None:
    groups = rows.assign(strength=rows["gamma"]).groupby("strength", sort=True)[[across, up]]
    mean, spread = groups.mean(), groups.std().fillna(0.0)
    ax.errorbar(
        mean[across], mean[up], xerr=spread[across], yerr=spread[up], color=colour, marker="o", markersize=4,
        linewidth=1, elinewidth=0.6, label=verbatim(guide), clip_on=up != "copied",  # which often is 0, the edge
    )  # fmt: skip
    for gamma, x, y in zip(mean.index, mean[across], mean[up], strict=True):
        if np.isfinite(x) and np.isfinite(y):
            ax.annotate(f"{gamma:g}", (x, y), (3, 3), textcoords="offset points", fontsize=7, color=colour)
