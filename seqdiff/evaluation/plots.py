"""Pictures: sequence logo, GC content, learning curves, letters by position.

Each function draws into the Axes it is given, or makes a Figure of its own, and returns the Axes (`axes.figure` is the
Figure). No pyplot: nothing is registered globally, no window opens, no backend is chosen, and a picture nobody holds is
freed. `axes.figure.savefig("logo.png")` writes it; in a notebook, `axes.figure` as the last line of a cell shows it.

The logo is that of Schneider and Stephens (Nucleic Acids Res. 18, 6097 (1990)): a letter's height is its frequency
times the information of its position, log2 K - H_i - e(n), with their correction e(n) = (K - 1)/(2 n ln 2) for small
samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.errors import InputError, argument, shorten, shown
from seqdiff.evaluation.statistics import gc_content, position_frequencies

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# colours that also differ for the colour-blind (Wong, Nature Methods 8, 441 (2011))
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
NUCLEOTIDES = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00", "U": "#D55E00"}
# acidic, basic, polar, hydrophobic
AMINO_ACIDS = {"DE": "#D55E00", "KRH": "#0072B2", "GSTYCQN": "#009E73", "AVLIPWFM": "#000000"}


def as_written(name: object) -> str:
    """Return a name as a figure shows it as it is: a dollar sign opens no formula."""
    return str(name).replace("$", r"\$")


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return the given Axes, or those of a new Figure of that size in inches."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(width, height), dpi=150, layout="constrained").add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _positions(ax: Axes, length: int) -> None:
    """Label positions 1, then every 5 or 10 (more where there are many), counted from 1."""
    step = next(step for step in (1, 5, 10, 20, 50, 100, 10**6) if length / step <= 12)
    ax.set_xticks([1] + [p for p in range(step, length + 1, step) if p > 1])
    ax.set_xlim(0.4, length + 0.6)
    ax.set_xlabel("position")


def _colours(letters: Sequence[str]) -> dict[str, str]:
    """Colours of the letters: the usual ones for nucleotides, else one each as far as there are twenty."""
    if set(letters) <= set(NUCLEOTIDES):
        return {letter: NUCLEOTIDES[letter] for letter in letters}
    palette = PALETTE
    if len(letters) > len(PALETTE):
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        palette = [to_hex(colormaps["tab20"](i)) for i in (*range(0, 20, 2), *range(1, 20, 2))]
    return {letter: palette[i % len(palette)] for i, letter in enumerate(letters)}


def _logo_colours(letters: Sequence[str]) -> dict[str, str]:
    """As `_colours`, but amino acids by their chemistry, as protein logos usually are."""
    if len(letters) > 4 and set(letters) <= set("".join(AMINO_ACIDS)):
        return {letter: colour for group, colour in AMINO_ACIDS.items() for letter in group}
    return _colours(letters)


def information(sequences: Sequence[str]) -> pd.DataFrame:
    """Return the heights of a sequence logo.

    Parameters
    ----------
    sequences : sequence of str
        Of one or of several lengths.

    Returns
    -------
    DataFrame, shape (L, K)
        Bits, one row a position (1..L), one column a letter; none is negative. A row sums to log2 K minus the entropy
        of the position minus the small-sample correction, or 0 where that is negative.

    Examples
    --------
    >>> information(["AC", "AG"] * 500).round(2).loc[1].to_dict()
    {'A': 2.0, 'C': 0.0, 'G': 0.0, 'T': 0.0}
    """
    frequencies = position_frequencies(sequences)
    K = frequencies.shape[1]
    lengths = np.array([len(sequence) for sequence in sequences])
    n = np.array([(lengths >= position).sum() for position in frequencies.index])
    p = frequencies.to_numpy()
    entropy = -np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0).sum(1)
    bits = np.maximum(np.log2(K) - entropy - (K - 1) / (2 * n * np.log(2)), 0)
    return frequencies.mul(bits, axis=0)


def plot_logo(
    sequences: Sequence[str] | Mapping[str, Sequence[str]], ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw the information content logo of sequences aligned at their first letter.

    Parameters
    ----------
    sequences : sequence of str, or mapping of str to sequence of str
        Of one or of several lengths. A mapping of names to sets, `{"natural": ..., "generated": ...}`, is drawn as one
        logo below the other, all to one scale.
    ax : Axes, optional
        Where to draw one logo. Default: a new Figure.
    title : str, optional

    Returns
    -------
    Axes
        The lowest of several.

    Raises
    ------
    InputError
        If there are no letters, or several logos shall be drawn into one Axes.

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> plot_logo(load_sigma70(500)).get_ylabel()
    'information (bits)'
    """
    import logomaker

    if isinstance(sequences, Mapping):
        return _several_logos(sequences, ax, title)
    heights = information(sequences)
    length = len(heights)
    ax = _axes(ax, min(max(0.18 * length, 4), 14), 2.2)
    top = heights.sum(axis=1).max()
    if top > 0:
        logomaker.Logo(heights, ax=ax, color_scheme=_logo_colours(list(heights)), width=0.95)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylim(0, max(1.08 * top, 0.05))
    ax.set_ylabel("information (bits)")
    _positions(ax, length)
    if title:
        ax.set_title(as_written(title))
    return ax


def _several_logos(groups: Mapping[str, Sequence[str]], ax: Axes | None, title: str | None) -> Axes:
    from matplotlib.figure import Figure

    if ax is not None or not groups:
        sets = f"{len(groups)} sets" + " and an ax" * (ax is not None)
        cure = f"omit {argument('ax')}" if groups else "give one"
        raise InputError(argument("sequences"), sets, f"at least one, and no {argument('ax')} beside them", cure)
    longest = max(len(sequence) for sequences in groups.values() for sequence in sequences)
    size = (min(max(0.18 * longest, 4), 14), 2.2 * len(groups))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    for below, (name, sequences) in zip(axes, groups.items(), strict=True):
        plot_logo(sequences, ax=below, title=name)
    highest = max(below.get_ylim()[1] for below in axes)
    for below in axes:
        below.set_ylim(0, highest)
    if title:
        figure.suptitle(as_written(title))
    return axes[-1]


def plot_gc(groups: Mapping[str, Sequence[str]], ax: Axes | None = None, title: str | None = None) -> Axes:
    """Draw the distribution of GC content in each of several sets.

    Parameters
    ----------
    groups : mapping of str to sequence of str
        Name of a set, its sequences: `{"natural": ..., "generated": ...}`.
    ax : Axes, optional
        Where to draw. Default: a new Figure.
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there is no set, or an empty one.
    """
    if not isinstance(groups, Mapping) or not groups:
        wanted = "a mapping of names to lists of sequences"
        raise InputError(argument("groups"), shown(groups), wanted, "give one such as {'natural': [...]}")
    values = {name: 100 * gc_content(sequences) for name, sequences in groups.items()}
    values = {name: share[np.isfinite(share)] for name, share in values.items()}
    ax = _axes(ax, 4.8, 3.2)
    # a GC share is a whole number over the length: bins that are no multiple of 1/length would make a comb
    lengths = {len(sequence) for sequences in groups.values() for sequence in sequences}
    one = 100 / lengths.pop() if len(lengths) == 1 else 4.0
    step = one * np.ceil(4 / one - 1e-9)
    low, high = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    edges = np.arange(np.floor(low / step) - 0.5, np.ceil(high / step) + 1.5) * step
    for i, (name, share) in enumerate(values.items()):
        colour = PALETTE[i % len(PALETTE)]
        weights = np.full(len(share), 100 / len(share))
        if i == 0:  # one filled, the others as lines on it: several fillings mix to a colour of none
            ax.hist(share, edges, weights=weights, histtype="stepfilled", color=colour, alpha=0.18)
        ax.hist(
            share,
            edges,
            weights=weights,
            histtype="step",
            color=colour,
            linewidth=1.6,
            label=f"{as_written(name)} (mean {share.mean():.1f}%)",
        )
    ax.set_xlabel("GC content (%)")
    ax.set_ylabel("share of sequences (%)")
    ax.set_ylim(0, ax.get_ylim()[1] * (1.04 + 0.09 * len(values)))  # room for the legend above the curves
    ax.legend(frameon=False, loc="upper right", fontsize="small")
    if title:
        ax.set_title(as_written(title))
    return ax


# the names under which a training and a validation figure per epoch may come, the preferred ones first
CURVES = {
    "training": ("bits_per_letter", "train", "train_bits", "train_loss", "loss"),
    "validation": ("valid", "validation", "valid_bits", "val_bits", "valid_loss", "val_loss"),
}


def _epochs(frame: pd.DataFrame) -> pd.Series:
    import pandas as pd

    return frame["epoch"] if "epoch" in frame else pd.Series(np.arange(1, len(frame) + 1))


def plot_curves(
    history: Mapping[str, Sequence[float]] | pd.DataFrame,
    evaluations: Mapping[str, Sequence[float]] | pd.DataFrame | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    *,
    unit: str = "bits per base",
    lines: Mapping[str, float] | None = None,
) -> Axes:
    """Draw the training and validation figures over the epochs.

    Parameters
    ----------
    history : mapping or DataFrame
        Columns of equal length: `epoch` (default: 1, 2, ...) and the figures, `nan` where an epoch has none, such as
        the `history_` of a fitted generator. A column with a usual name (`bits_per_letter`, `train`, ..., `valid`,
        ...) is called training or validation; if none has one, every numeric column is drawn under its own name.
    evaluations : mapping or DataFrame, optional
        The validation figures where they have a table of their own: `epoch` and `bits_per_letter`, such as the
        `evaluations_` of a fitted generator.
    ax : Axes, optional
        Where to draw. Default: a new Figure.
    title : str, optional
    unit : str, default "bits per base"
        What the figures are in.
    lines : mapping of str to float, optional
        Levels to compare with, drawn as dashed lines: `{"weight matrix": 1.905, "truth": 1.819}`.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there is nothing to draw.

    Examples
    --------
    >>> ax = plot_curves({"train": [2.0, 1.95, 1.92], "valid": [1.98, 1.96, 1.95]}, lines={"truth": 1.9})
    >>> ax.get_ylabel()
    'bits per base'
    """
    import pandas as pd

    frame = pd.DataFrame(history)
    usual = {label: next((name for name in names if name in frame), None) for label, names in CURVES.items()}
    named = {label: name for label, name in usual.items() if name is not None}
    if not named:
        named = {str(name): name for name in frame.select_dtypes("number").columns if name != "epoch"}
    curves = {label: (_epochs(frame), frame[name]) for label, name in named.items()} if len(frame) else {}
    if evaluations is not None and len(pd.DataFrame(evaluations)):
        seen = pd.DataFrame(evaluations)
        name = next((n for n in ("bits_per_letter", *CURVES["validation"]) if n in seen), None)
        if name is not None:
            curves["validation"] = (_epochs(seen), seen[name])
    if not curves:
        found = f"no figures to draw, only {shorten(', '.join(map(repr, frame.columns)), 150) or 'nothing'}"
        wanted = "columns such as 'train' and 'valid'"
        raise InputError(argument("history"), found, wanted, "give some with a number per epoch")
    ax = _axes(ax, 4.8, 3.2)
    for i, (label, (epochs, values)) in enumerate(curves.items()):
        there = values.notna()
        marker = "o" if there.sum() <= 40 else None
        ax.plot(
            epochs[there],
            values[there],
            color=PALETTE[i % len(PALETTE)],
            label=as_written(label),
            linewidth=1.6,
            marker=marker,
            ms=3,
        )
    for i, (label, level) in enumerate((lines or {}).items()):
        colour = PALETTE[(i + len(curves)) % len(PALETTE)]
        ax.axhline(level, linestyle="--", linewidth=1, color=colour, label=as_written(label))
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("epoch")
    ax.set_ylabel(unit)
    ax.legend(frameon=False, fontsize="small")
    if title:
        ax.set_title(as_written(title))
    return ax


def plot_position_frequencies(
    groups: Mapping[str, Sequence[str]] | Sequence[str], ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw how often each letter stands at each position, of one set or of two to compare.

    Parameters
    ----------
    groups : sequence of str, or mapping of str to sequence of str
        One set, or up to four named ones: the first is drawn as solid lines, the second dashed, and so on.
    ax : Axes, optional
        Where to draw. Default: a new Figure.
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there is no set, more than four, or an empty one.
    """
    sets = dict(groups) if isinstance(groups, Mapping) else {"": groups}
    if not 0 < len(sets) <= 4:
        raise InputError(argument("groups"), f"{len(sets)} sets", "one to four", "give as many")
    every = [sequence for sequences in sets.values() for sequence in sequences]
    letters = list(position_frequencies(every))  # one order and colour of letters in all sets
    tables = {name: 100 * position_frequencies(sequences, "".join(letters)) for name, sequences in sets.items()}
    length = max(map(len, tables.values()))
    ax = _axes(ax, min(max(0.14 * length, 4.8), 12), 3.0)
    styles: list[tuple[Any, float]] = [("-", 1.6), ("--", 1.1), (":", 1.3), ("-.", 1.1)]
    colours = _colours(letters)
    for (line, width), table in zip(styles, tables.values(), strict=False):
        for letter in letters:
            ax.plot(table.index, table[letter], line, color=colours[letter], linewidth=width)
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colours[letter], linewidth=2, label=letter) for letter in letters]
    handles += [
        Line2D([], [], color="0.3", linestyle=line, linewidth=width, label=name)
        for (line, width), name in zip(styles, sets, strict=False)
        if name
    ]
    ax.legend(
        handles=handles,
        frameon=False,
        fontsize="small",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        ncols=1 + len(handles) // 14,
    )
    ax.set_ylabel("share of sequences (%)")
    ax.set_ylim(bottom=0)
    _positions(ax, length)
    if title:
        ax.set_title(as_written(title))
    return ax


# The picture of a comparison: held-out bits per letter, and beside them how far the samples are from nature.


if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "0.45"


def plot_comparison(table: pd.DataFrame, title: str | None = None) -> Figure:
    """Draw a table of `seqdiff.compare`, best model on top.

    On the left bits per letter with their standard error over the held-out sequences (thin; thick: the noise of a
    bound or the spread of the seeds, whichever is larger); a bound is drawn as a triangle, as the true figure lies
    further left. On the right the k-mer divergence over that of natural sequences from one another, on a logarithmic
    scale where it spans much.

    Parameters
    ----------
    table : DataFrame
        As `seqdiff.compare` returns it: `bits`, and as far as they are there `error`, `bound`, `monte_carlo`, `spread`,
        `kmer_js_ratio`, `baseline`.
    title : str, optional

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If there is no figure to draw.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"bits": [1.9, 1.8], "kmer_js_ratio": [1.5, 1.2]}, index=["one", "other"])
    >>> [label.get_text() for label in plot_comparison(table).axes[0].get_yticklabels()]
    ['one', 'other']
    """
    import pandas as pd
    from matplotlib.figure import Figure

    names = ("error", "monte_carlo", "spread", "kmer_js_ratio")
    figures = table.reindex(columns=["bits", *names]).astype(float)
    shown = table[np.isfinite(figures["bits"]) | np.isfinite(figures["kmer_js_ratio"])]
    if not len(shown):
        found = "neither bits per letter nor a divergence to draw"
        raise InputError(argument("table"), found, "at least one row with one", "give a table of seqdiff.compare")
    baseline = shown["baseline"].astype(bool) if "baseline" in shown else pd.Series(False, index=shown.index)
    bits = figures.loc[shown.index, "bits"]
    order = np.lexsort([np.where(np.isfinite(bits), bits, np.inf), baseline])[::-1]  # the best is drawn last, on top
    shown, baseline, figures = shown.iloc[order], baseline.iloc[order], figures.loc[shown.index].iloc[order]
    colours = _colours_of_models(baseline)
    quality = bool(np.isfinite(figures["kmer_js_ratio"]).any())
    size = (9.0 if quality else 6.0, 1.2 + 0.3 * len(shown))
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    axes = figure.subplots(1, 2 if quality else 1, sharey=True, squeeze=False)[0]
    rows = np.arange(len(shown))
    kind = shown["bound"] if "bound" in shown else pd.Series("exact", index=shown.index)
    noise = figures[["monte_carlo", "spread"]].max(axis=1)
    for row, name in zip(rows, shown.index, strict=True):
        if np.isfinite(value := figures.loc[name, "bits"]):
            colour, marker = colours[row], "<" if kind[name] == "elbo" else "o"
            axes[0].errorbar(
                value, row, xerr=_error(figures.loc[name, "error"]), color=colour, linewidth=0.8, capsize=2
            )
            axes[0].errorbar(value, row, xerr=_error(noise[name]), color=colour, linewidth=2.5)
            axes[0].plot(value, row, marker, color=colour, markersize=6)
        if quality and np.isfinite(ratio := figures.loc[name, "kmer_js_ratio"]):
            axes[1].plot(ratio, row, "o", color=colours[row], markersize=6)
    axes[0].set_yticks(rows, [as_written(name) for name in shown.index])
    axes[0].set_xlabel("held-out bits per letter" + (" (◂ at most)" if (kind == "elbo").any() else ""))
    if quality:
        _divergence(axes[1], shown, figures["kmer_js_ratio"])
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_ylim(-0.6, len(shown) - 0.4)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
    if title:
        figure.suptitle(as_written(title))
    return figure


def _colours_of_models(baseline: pd.Series) -> list[str]:
    """One colour for each model, from the top; grey for baselines."""
    models = [i for i, is_baseline in reversed(list(enumerate(baseline))) if not is_baseline]
    return [GREY if b else PALETTE[models.index(i) % len(PALETTE)] for i, b in enumerate(baseline)]


def _error(value: float) -> float | None:
    return float(value) if np.isfinite(value) and value > 0 else None


def _divergence(ax: Axes, table: pd.DataFrame, ratios: pd.Series) -> None:
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    ax.axvline(1, linestyle="--", linewidth=1, color="0.6")
    if ratios.max() > 3 * ratios.min():
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        ax.set_xticks([t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high])
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
    k = table.attrs.get("k", "k")
    ax.set_xlabel(f"{k}-mer divergence of samples over nature's own")


# The picture of a sweep: what is gained by stronger guidance, and what it costs.


if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = {
    "kmer_js_ratio": "{k}-mer divergence, natural sequences: 1",
    "diversity": "diversity",
    "copied": "share copied",
}
"""What stands on the vertical axes, as far as a table has it."""


def plot_sweep(table: pd.DataFrame, title: str | None = None) -> Figure:
    """Draw a table of `seqdiff.sweep`: a line for each guide, from the weakest to the strongest.

    Across, the condition met, or where nothing judged it the strength; upwards the divergence from natural sequences
    over theirs from one another, the diversity and the share copied, each in a picture of its own. Points are means
    over seeds, bars their standard deviations, numbers the strengths.

    Parameters
    ----------
    table : DataFrame
        As `seqdiff.sweep` returns it, or as it is read from its file.
    title : str, optional

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If there is no figure to draw.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"guide": ["free"] * 2, "gamma": [1, 2], "seed": [0, 0], "condition": [0.5, 0.9],
    ...                       "diversity": [0.6, 0.4]})
    >>> figure = plot_sweep(table)
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('condition met', 'diversity')
    """
    from matplotlib.figure import Figure

    missing = {"guide", "gamma"} - set(table.columns)
    if missing:
        found = f"no column {' or '.join(sorted(missing))}"
        raise InputError(argument("table"), found, "a table of seqdiff.sweep", "give one")
    shown = [name for name in COSTS if name in table and table[name].notna().any()]
    judged = "condition" in table and table["condition"].notna().any()
    if not shown:
        found = "neither divergence, diversity nor copies to draw"
        raise InputError(argument("table"), found, "a table of seqdiff.sweep", "give one with figures")
    across = "condition" if judged else "gamma"
    figure = Figure(figsize=(4.2 * len(shown) + 0.6, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for ax, name in zip(axes, shown, strict=True):
        for number, (guide, rows) in enumerate(table.groupby("guide", sort=False)):
            _line(ax, rows, across, name, str(guide), PALETTE[number % len(PALETTE)])
        ax.set_xlabel("condition met" if judged else "gamma")
        ax.set_ylabel(COSTS[name].format(k=table.attrs.get("k", "k")))
        ax.spines[["top", "right"]].set_visible(False)
        if name == "copied":
            ax.set_ylim(bottom=0.0)
        if name == "kmer_js_ratio":  # what natural sequences have among themselves
            ax.axhline(1.0, color="0.5", linewidth=0.8, linestyle=":")
    axes[0].legend(frameon=False)
    if title:
        figure.suptitle(as_written(title))
    return figure


def _line(ax: Axes, rows: pd.DataFrame, across: str, up: str, guide: str, colour: str) -> None:
    columns = list(dict.fromkeys([across, up]))
    groups = rows.groupby("gamma", sort=True)
    mean, spread = groups[columns].mean(), groups[columns].std().fillna(0.0)
    if across == "gamma":
        mean["gamma"], spread["gamma"] = np.asarray(mean.index, dtype=float), 0.0
    ax.errorbar(
        mean[across], mean[up], xerr=spread[across], yerr=spread[up], color=colour, marker="o", markersize=4,
        linewidth=1, elinewidth=0.6, label=as_written(guide), clip_on=up != "copied",  # which often is 0, the edge
    )  # fmt: skip
    for gamma, x, y in zip(mean.index, mean[across], mean[up], strict=True):
        if np.isfinite(x) and np.isfinite(y):
            ax.annotate(f"{gamma:g}", (x, y), (3, 3), textcoords="offset points", fontsize=7, color=colour)
