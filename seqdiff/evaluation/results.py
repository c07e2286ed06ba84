"""`Evaluation`: the table of `evaluate`, its intervals and tests, and how they are shown."""

from __future__ import annotations

import html
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.evaluation.metrics import Estimate, group_tests
from seqdiff.evaluation.plots import GREY, PALETTE, panels, plot_gc, verbatim
from seqdiff.runtime import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CEILING, FLOOR = "natural (ceiling)", "shuffled (floor)"

METRICS = {
    "given": "sequences given",
    "n": "sequences compared",
    "valid": "share with letters of the alphabet and a length within the reference's range",
    "unique": "different sequences over all",
    "novel": "share that is not in the training set letter for letter",
    "nearest": "mean edit distance to the nearest training sequence, over the length",
    "authentic": "share farther from the nearest training sequence than that is from its own nearest",
    "memorised": "nearer to the training set than natural sequences are",
    "diversity": "mean edit distance of random pairs, over the length",
    "kmer_js": "Jensen-Shannon divergence of k-mers, bits",
    "kmer_js_distance": "Jensen-Shannon distance of k-mers, square root of the divergence",
    "kmer_r": "Pearson's r of k-mer frequencies",
    "position_js": "Jensen-Shannon divergence of letters, mean over positions, bits",
    "precision": "share of samples in a neighbourhood of the reference",
    "recall": "share of the reference in a neighbourhood of samples",
    "density": "neighbourhoods of the reference around a sample, relative",
    "coverage": "share of neighbourhoods of the reference with a sample",
    "frechet": "Frechet distance of k-mer embeddings over the natural variance",
    "frechet_hidden": "Frechet distance of hidden states over the natural variance",
    "auroc_kmer": "AUROC of a logistic regression on k-mers; 0.5: not to be told apart",
    "auroc_conv": "AUROC of a convolutional network; 0.5: not to be told apart",
    "gc": "mean GC content",
    "gc_ks": "Kolmogorov-Smirnov statistic of GC content",
    "length": "mean length in letters",
    "length_ks": "Kolmogorov-Smirnov statistic of length",
    "bits": "bits per letter of natural sequences under the model",
    "bound": "exact, or elbo: an upper bound of the bits",
}
"""The columns in their order; predicted values and motif counts, under names of their own, stand before `bits`."""
RANKING = ("kmer_js", "auroc_kmer", "auroc_conv", "position_js", "frechet", "precision", "recall", "coverage")


@dataclass(frozen=True, eq=False)
class Row:
    """Measurements of one set of sequences.

    Attributes
    ----------
    name : str
    sequences : list of str
        The n that were compared.
    values : dict of str to Estimate
    measures : dict of str to array
        Values of single sequences, for tests between groups.
    nearest : ndarray
        Distances to the nearest training sequence; empty where there is none.
    kmers : ndarray, shape (2, K)
        Frequencies of k-mers in the row and in the reference.
    """

    name: str
    sequences: list[str]
    values: dict[str, Estimate]
    measures: dict[str, np.ndarray]
    nearest: np.ndarray
    kmers: np.ndarray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of `seqdiff.evaluate`; `print` and notebooks show its table, metrics below one another.

    Attributes
    ----------
    table : DataFrame
        One row a group, then "natural (ceiling)" and "shuffled (floor)"; one column a metric, see `evaluate`.
    intervals : DataFrame
        95% intervals with the same rows and columns (metric, "lower") and (metric, "upper").
    tests : DataFrame
        Kruskal-Wallis and Dunn tests between the groups and the ceiling on GC content, predicted values and motif
        counts, see `group_tests`.
    facts : dict
        What all values were measured with: `n` sequences of each set, `subsample` of them for costly metrics,
        `reference` and `train` given, `known` different training sequences among which the nearest was sought, `k`,
        `embedding_k`, `alphabet`, `lengths` (of the reference: least, most), `bootstraps`, `random_state`.
    notes : tuple of str
        Sentences for the user.
    rows : tuple of Row
        Sequences and measurements behind the table.
    """

    table: pd.DataFrame
    intervals: pd.DataFrame
    tests: pd.DataFrame
    facts: dict[str, Any]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]

    @classmethod
    def of(
        cls,
        rows: list[Row],
        memorised: Mapping[str, bool | None],
        bits: Mapping[str, tuple[Estimate, str]],
        facts: dict[str, Any],
        notes: tuple[str, ...],
    ) -> Evaluation:
        """Return the evaluation of rows, the ceiling and the floor being the last two.

        `memorised` and `bits`, bits per letter and their kind, are by row.
        """
        import pandas as pd

        names, none = [row.name for row in rows], Estimate(float("nan"))
        found = {name: [row.values.get(name, none) for row in rows] for row in rows for name in row.values}
        if bits:
            found["bits"] = [bits[name][0] if name in bits else none for name in names]
        table = pd.DataFrame({name: [e.value for e in column] for name, column in found.items()}, index=names)
        table = table.astype({"given": int, "n": int})
        table["memorised"] = pd.Series([memorised[name] for name in names], names, dtype=object)  # True, False or None
        if bits:
            table["bound"] = [bits[name][1] if name in bits else None for name in names]
        own = [name for name in found if name not in METRICS]
        order = [*(name for name in METRICS if name not in ("bits", "bound")), *own, "bits", "bound"]
        table = table[[name for name in order if name in table]].rename_axis("group")
        ends = {
            (name, end): [getattr(e, attribute) for e in found[name]]
            for name in order
            if any(np.isfinite(e.low) for e in found.get(name, []))
            for end, attribute in (("lower", "low"), ("upper", "high"))
        }
        intervals = pd.DataFrame(ends, index=table.index).rename_axis(columns=["metric", "end"])
        measures = {name: {row.name: row.measures[name] for row in rows[:-1]} for name in rows[0].measures}
        table.attrs = facts
        return cls(table, intervals, group_tests(measures), facts, notes, tuple(rows))

    def ranking(self) -> pd.DataFrame:
        """Return groups, ceiling and floor, the nearest to the natural sequences first.

        They are sorted by the k-mer divergence, which still differs where discriminators tell all sequences apart; the
        other comparisons stand beside it.
        """
        columns = [name for name in RANKING if name in self.table]
        return self.table[columns].sort_values("kmer_js", kind="stable")

    @property
    def farthest(self) -> str:
        """The name of the group that is farthest from the natural sequences by its k-mer divergence."""
        return str(self.table["kmer_js"].iloc[:-2].idxmax())

    def describe(self, metric: str) -> str:
        """Return what a column is."""
        if metric in METRICS and metric.startswith("kmer"):
            return METRICS[metric].replace("k-mer", f"{self.facts['k']}-mer")
        if metric in METRICS:
            return METRICS[metric]
        return "mean predicted value or probability" if metric.startswith("predicted") else "mean number of matches"

    @property
    def heading(self) -> str:
        """A sentence that says what was compared with what."""
        facts = self.facts
        known = f"{facts['known']:,} training sequences"
        if facts["train"] is None:
            known = f"{facts['known']:,} natural sequences, no training set being given"
        return (
            f"{facts['n']:,} sequences of each set against {facts['n']:,} of {facts['reference']:,} natural sequences"
            f" ({facts['subsample']:,} for costly metrics); nearest among {known}"
        )

    def conclusions(self) -> list[str]:
        """Return sentences on what stands out, and the notes."""
        groups, found = self.table.iloc[:-2], []
        for name in groups.index[[value is True for value in groups["memorised"]]]:
            near, natural = groups.at[name, "nearest"], self.table.at[CEILING, "nearest"]
            found.append(
                f"{name} is memorised: its distance to the training set is {near:.3g}, that of natural sequences"
                f" {natural:.3g}; {1 - groups.at[name, 'novel']:.1%} of it are copies"
            )
        if len(groups) > 1:
            js, natural = groups.at[self.farthest, "kmer_js"], self.table.at[CEILING, "kmer_js"]
            found.append(
                f"{self.farthest} is farthest from the natural sequences: its {self.facts['k']}-mer divergence is"
                f" {js:.3g} bits, that of natural ones {natural:.3g}"
            )
        return [*found, *self.notes]

    def __repr__(self) -> str:
        shown = self.table.T.apply(lambda column: [_shown(value) for value in column])
        lines = [f"Evaluation: {self.heading}", "", shown.to_string(), ""]
        return "\n".join([*lines, *self.conclusions()]).strip()

    def _repr_html_(self) -> str:
        return self.to_html(plot=False)

    def to_html(self, plot: bool = True) -> str:
        """Return a fragment of HTML that needs no other file: the table with its intervals, tests, and the plot.

        Parameters
        ----------
        plot : bool, default True
            Whether to draw the plot, as SVG.
        """
        names = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in self.table.index)
        body = "".join(self._html_row(metric) for metric in self.table)
        parts = [
            "<div class='seqdiff-evaluation' style='overflow-x:auto'>",
            f"<p>{html.escape(self.heading)}.</p>",
            *(f"<p><b>{html.escape(text)}.</b></p>" for text in self.conclusions()),
            f"<table><thead><tr><th scope='col'>metric</th>{names}<th scope='col'>what it is</th></tr></thead>",
            f"<tbody>{body}</tbody></table>",
        ]
        if len(self.tests):
            parts.append("<p>Tests between groups (Kruskal-Wallis; Dunn, adjusted by Holm's method)</p>")
            parts.append(self.tests.to_html(index=False, border=0, float_format=lambda x: f"{x:.3g}", na_rep=""))
        if plot:
            drawn = io.StringIO()
            self.plot().savefig(drawn, format="svg")
            picture = drawn.getvalue()[drawn.getvalue().index("<svg") :]
            parts.append(picture.replace("<svg", "<svg style='max-width:100%;height:auto'", 1))
        return "\n".join([*parts, "</div>"])

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """Write a page of its own with what `to_html` returns."""
        with replacing(Path(path)) as name:
            name.write_text(f'<!DOCTYPE html><meta charset="utf-8">\n{self.to_html()}\n', encoding="utf-8")

    def _html_row(self, metric: str) -> str:
        cells = []
        for name in self.table.index:
            text = html.escape(_shown(self.table.at[name, metric]))
            if metric in self.intervals and np.isfinite(self.intervals.at[name, (metric, "lower")]):
                low, high = (self.intervals.at[name, (metric, end)] for end in ("lower", "upper"))
                text += f"<br><small>{_shown(low)} to {_shown(high)}</small>"
            cells.append(f"<td>{text}</td>")
        described = html.escape(self.describe(metric))
        return f"<tr><th scope='row'>{html.escape(metric)}</th>{''.join(cells)}<td><small>{described}</small></td></tr>"

    def plot(self, title: str | None = None) -> Figure:
        """Draw k-mer frequencies against those of the reference, GC content (or length) and nearest distances.

        Parameters
        ----------
        title : str, optional
        """
        axes = panels(1, 3, 12.6, 3.8, title)
        ceiling, floor = self.rows[-2:]
        ordered = [ceiling, *self.rows[:-2]]
        self._plot_kmers(axes[0], ordered)
        sequences = {row.name: row.sequences for row in ordered}
        if "gc" in self.table:
            plot_gc(sequences, axes[1])
        else:
            lengths = {name: np.array([len(s) for s in some]) for name, some in sequences.items()}
            _histograms(axes[1], lengths, "length in characters")
        distances = {row.name: row.nearest for row in (*ordered, floor) if len(row.nearest)}
        _histograms(axes[2], distances, "distance to the nearest training sequence")
        return axes[0].figure

    def _plot_kmers(self, ax: Axes, rows: list[Row]) -> None:
        least = min(row.kmers[row.kmers > 0].min() for row in rows) / 2
        for i, row in enumerate(rows):
            ours, reference = np.maximum(row.kmers, least)
            style: dict[str, Any] = {"s": 4, "linewidths": 0, "alpha": 0.5, "rasterized": True}
            label = f"{verbatim(row.name)} (r = {row.values['kmer_r'].value:.3f})"
            ax.scatter(reference, ours, color=PALETTE[i % len(PALETTE)], label=label, **style)
        ax.axline((least, least), slope=1, color=GREY, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(f"frequency of {self.facts['k']}-mers in the reference")
        ax.set_ylabel("frequency in the set")
        ax.legend(fontsize="small", markerscale=3, loc="upper left", framealpha=0.8, edgecolor="none")


def _histograms(ax: Axes, values: Mapping[str, np.ndarray], label: str) -> None:
    """Draw the distributions of several sets as outlines, the first one filled."""
    if values:
        low, high = min(v.min() for v in values.values()), max(v.max() for v in values.values())
        edges = np.linspace(low, high + 1e-9 if high > low else low + 1, 31).tolist()
        for i, (name, some) in enumerate(values.items()):
            colour, weights = PALETTE[i % len(PALETTE)], np.full(len(some), 100 / len(some))
            if i == 0:
                ax.hist(some, edges, weights=weights, histtype="stepfilled", color=colour, alpha=0.18)
            ax.hist(some, edges, weights=weights, histtype="step", color=colour, linewidth=1.6, label=verbatim(name))
        ax.legend(frameon=False, fontsize="small")
    ax.set_xlabel(label)
    ax.set_ylabel("share of sequences (%)")


def _shown(value: Any) -> str:
    """Return a value of the table as text.

    >>> _shown(0.0123456), _shown(5000), _shown(True), _shown(None), _shown(float("nan"))
    ('0.0123', '5,000', 'yes', '', '')
    """
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return "" if np.isnan(number) else f"{number:.3g}" if abs(number) < 100 else f"{number:.1f}"
    return "" if value is None else str(value)
