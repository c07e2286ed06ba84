"""The picture of a comparison: held-out bits per letter, and beside them how far the samples are from nature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqdiff.evaluation.plots import PALETTE, as_written

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
    ValueError
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
        raise ValueError("the table has neither bits per letter nor a divergence to draw; wanted at least one row")
    baseline = shown["baseline"].astype(bool) if "baseline" in shown else pd.Series(False, index=shown.index)
    bits = figures.loc[shown.index, "bits"]
    order = np.lexsort([np.where(np.isfinite(bits), bits, np.inf), baseline])[::-1]  # the best is drawn last, on top
    shown, baseline, figures = shown.iloc[order], baseline.iloc[order], figures.loc[shown.index].iloc[order]
    colours = _colours(baseline)
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


def _colours(baseline: pd.Series) -> list[str]:
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
