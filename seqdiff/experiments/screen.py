"""What the demo shows in the terminal: sequence logos in letters, held-out bits, the quality of the new sequences."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from seqdiff.evaluation import position_frequencies
from seqdiff.evaluation.plots import information

if TYPE_CHECKING:
    import pandas as pd

JUDGED = 50  # held-out sequences below which the figures say little
RESEMBLES = 1.6  # ratio of divergences up to which new sequences count as like the given ones
LOGO_COLUMNS = 72  # of a logo in a terminal
COLOURS = {"A": "green", "C": "blue", "G": "yellow", "T": "red", "U": "red"}


@dataclass(frozen=True)
class Report:
    """What a demo found.

    Attributes
    ----------
    run_dir, sequences, logo : Path
        The run folder, the file of new sequences, the picture.
    held_out : int
        Sequences that `bits` is measured on.
    bits : DataFrame or None
        Bits per letter by model, as `seqdiff.evaluation.compare_table` makes it; None where nothing could be held out.
    monte_carlo : float
        Standard error of the model's own figure that comes from the noise drawn to estimate it, bits per letter.
    samples : dict of str to float
        What `seqdiff.evaluation.summary` says of the new sequences.
    """

    run_dir: Path
    sequences: Path
    logo: Path
    held_out: int
    bits: pd.DataFrame | None
    monte_carlo: float
    samples: dict[str, float]


def text_logo(heights: pd.DataFrame, rows: int = 6, top: float | None = None, first: int = 1) -> list[str]:
    """Return a sequence logo in letters, for a terminal.

    Parameters
    ----------
    heights : DataFrame, shape (L, K)
        Bits of each letter at each position, as `seqdiff.evaluation.plots.information` gives them.
    rows : int
        Lines of the highest stack.
    top : float, optional
        Bits of the highest line's upper edge; default: those of the highest stack.
    first : int
        Number of the first position.

    Returns
    -------
    list of str
        `rows` lines, the axis and its numbers; coloured by ANSI codes.

    Examples
    --------
    >>> import pandas as pd
    >>> heights = pd.DataFrame({"A": [2.0, 0.5], "C": [0.0, 1.0]})
    >>> for line in text_logo(heights, rows=4):
    ...     print(click.unstyle(line).rstrip())
    2.00 A
         AC
         AC
         AA
         1
    """
    letters, values = list(heights), heights.to_numpy()
    top = float(values.sum(1).max()) if top is None else top
    grid = np.full((rows, len(values)), " ", dtype=object)
    if top > 0:
        middles = (np.arange(rows) + 0.5) * top / rows
        for column, stack in enumerate(values):
            order = np.argsort(stack, kind="stable")  # the most frequent letter stands on top
            edges = np.cumsum(stack[order])
            for row in np.flatnonzero(middles < edges[-1]).tolist():
                letter = order[np.searchsorted(edges, middles[row], side="right")]
                grid[rows - 1 - row, column] = letters[int(letter)]
    lines = []
    for i, cells in enumerate(grid.tolist()):
        label = f"{top:.2f} " if i == 0 else ""
        painted = [click.style(letter, fg=COLOURS[letter]) if letter in COLOURS else letter for letter in cells]
        lines.append(f"{label:>5}" + "".join(painted))
    numbers = ""
    for position in range(first, first + len(values)):
        if (position == first or position % 10 == 0) and len(numbers) <= position - first:
            numbers = numbers.ljust(position - first) + str(position)
    return [*lines, " " * 5 + numbers]


def consensus(sequences: Sequence[str]) -> str:
    """Return the commonest letter of each position: upper case above one half, lower above 0.35, else a dot.

    Examples
    --------
    >>> consensus(["AC", "AG", "AT", "AG"])
    'Ag'
    """
    table = position_frequencies(sequences)
    best, share = table.idxmax(axis=1), table.max(axis=1)
    return "".join(a.upper() if p > 0.5 else a.lower() if p > 0.35 else "." for a, p in zip(best, share, strict=True))


def logos(natural: Sequence[str], new: Sequence[str], given: str) -> list[str]:
    """Both logos to one scale; of long sequences the stretch that says most."""
    heights = [information(sequences) for sequences in (natural, new)]
    lengths = np.array([len(sequence) for sequence in natural])
    there = (lengths[:, None] >= heights[0].index.to_numpy()).mean(0)  # few sequences, noisy letters
    total = heights[0].sum(axis=1).to_numpy() * there
    start = 0
    if len(total) > LOGO_COLUMNS:
        start = int(np.convolve(total, np.ones(LOGO_COLUMNS), "valid").argmax())
    window = slice(start, start + LOGO_COLUMNS)
    top = max(float(h.iloc[window].sum(axis=1).max()) for h in heights if len(h) > start)
    lines = []
    for name, sequences, height in zip((given, "new"), (natural, new), heights, strict=True):
        if len(height) > start:
            lines += ["", click.style(f"{name} (bits; below: the commonest letters)", bold=True)]
            lines += text_logo(height.iloc[window], top=top, first=start + 1)
            lines.append(" " * 5 + consensus(sequences)[window])
    return lines


def figures(report: Report, simulated: bool, letter: str) -> list[str]:
    if report.bits is None:
        return ["", "No sequence could be held out to judge by: give more of them."]
    bits = report.bits["bits"]
    head = f"Held-out bits per {letter} ({report.held_out:,} sequences that no model has seen; lower is better)"
    lines = ["", click.style(head, bold=True)]
    for name, row in report.bits.iterrows():
        text = f"  {name:<24}{row['bits']:8.4f}"
        if name == "the model":
            noise = report.monte_carlo
            text = click.style(text, bold=True) + (f"   at most: a bound, known to +- {noise:.4f}" if noise else "")
        elif np.isfinite(row["above_error"]):
            side = "above" if row["above"] >= 0 else "below"
            text += f"   {abs(row['above']):.4f} +- {row['above_error']:.4f} {side} the model"
        lines.append(text)
    model, simple = bits["the model"], bits.drop(["the model", "the truth"], errors="ignore")
    if simulated:
        gap = simple["position weight matrix"] - bits["the truth"]
        share = (simple["position weight matrix"] - model) / gap
        found = f"has found {100 * share:.0f}%" if share > 0 else "has found nothing yet: it needs longer training"
        lines.append(f"  Of the {gap:.3f} bits per base that a weight matrix misses, the model {found}.")
    elif model >= simple.min():
        lines.append(
            f"  The model is not better than: {simple.idxmin()}. More sequences or longer training may help (seqdiff"
            " fit)."
        )
    if report.held_out < JUDGED:
        lines.append(
            f"  Only {report.held_out} sequences could be held out: too few to judge any model by; take these figures"
            " as a try-out."
        )
    return lines


def quality(samples: dict[str, float], k: int, nucleotides: bool, given: str) -> list[str]:
    n = int(samples["n"])
    rows = [
        (f"{k}-mer divergence, new to {given}", f"{samples['kmer_js']:.4f} bits"),
        (f"{k}-mer divergence, {given} to {given}", f"{samples['kmer_js_natural']:.4f} bits"),
        (
            "  the ratio of the two",
            f"{samples['kmer_js_ratio']:.2f}   (1: no further off than they are from one another)",
        ),
        ("copied from the training data", f"{100 * samples['copied']:.1f}%"),
        ("different from one another", f"{100 * samples['unique']:.1f}%"),
    ]
    if nucleotides:
        gc, gc_given = 100 * samples["gc"], 100 * samples["gc_natural"]
        rows.append((f"GC content, new and {given}", f"{gc:.1f}% and {gc_given:.1f}%"))
    lines = ["", click.style(f"The new sequences ({n:,} of them beside as many {given} ones)", bold=True)]
    lines += [f"  {name:<44}{value}" for name, value in rows]
    if n < JUDGED:
        lines.append(f"  {n} against {n} sequences are too few to judge by.")
    return lines


def next_steps(report: Report, data: Any, seconds: float, settings: Mapping[str, str | None]) -> list[str]:
    """Return commands that go on from a demo, to be typed as they stand; settings are those that `fit` needs too."""
    own = isinstance(data, (str, os.PathLike))
    source = shlex.quote(os.fspath(data)) if own else "my_sequences.fasta"
    given = "".join(f" {name} {shlex.quote(value)}" for name, value in settings.items() if value is not None)
    return [
        "",
        f"Done in {seconds / 60:.1f} minutes. The new sequences: {report.sequences}; their logo: {report.logo}",
        "What next:",
        f"  seqdiff generate {shlex.quote(str(report.run_dir))} 5000 --out more.fasta   writes more",
        *(["  seqdiff demo --data my_sequences.fasta   does the same with your own sequences"] if data is None else []),
        f"  seqdiff fit {source}{given}   trains on {'all of them' if own else 'your own'}, as long as it pays",
    ]


def verdict(report: Report, simulated: bool) -> str:
    """Return what a biologist should conclude, in one sentence."""
    samples = report.samples
    bits = None if report.bits is None else report.bits["bits"].drop("the truth", errors="ignore")
    if bits is None or report.held_out < JUDGED or samples["n"] < JUDGED:
        found = "there are too few sequences to tell whether the new ones are any good"
    elif samples["copied"] > 0.05:
        found = (
            f"{100 * samples['copied']:.0f}% of the new sequences are copies of the given ones, so the model has"
            " memorised rather than learned: give more sequences"
        )
    elif bits["the model"] >= bits.drop("the model").min():
        found = (
            "the model knows no more than simple letter statistics, so do not use the new sequences yet: give more"
            " sequences or train longer"
        )
    elif samples["kmer_js_ratio"] > RESEMBLES:
        found = (
            "the model has learned more than simple letter statistics, but the new sequences can still be told from the"
            f" {'simulated' if simulated else 'given'} ones: train longer before you choose any for the bench"
        )
    else:
        found = (
            f"the new sequences resemble the {'simulated' if simulated else 'given'} ones without copying them: good"
            " candidates to choose from for the bench, where only an experiment shows whether they work"
        )
    return click.style("Verdict:", bold=True) + f" {found}."
