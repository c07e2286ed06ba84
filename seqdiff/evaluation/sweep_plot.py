"""The picture of a sweep: what is gained by stronger guidance, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqdiff.evaluation.plots import PALETTE, as_written

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
    ValueError
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
        raise ValueError(f"the table has no column {' or '.join(sorted(missing))}; give one of seqdiff.sweep")
    shown = [name for name in COSTS if name in table and table[name].notna().any()]
    judged = "condition" in table and table["condition"].notna().any()
    if not shown:
        raise ValueError("the table has neither divergence, diversity nor copies to draw; give one of seqdiff.sweep")
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
