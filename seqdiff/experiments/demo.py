"""The demo: a model, new sequences and a verdict in a few minutes on two CPU cores, whatever the data."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from seqdiff.data import Alphabet, Dataset, prepare
from seqdiff.data.files import ending_for
from seqdiff.data.images import refuse_images
from seqdiff.datasets import load_sigma70, sigma70_log_prob
from seqdiff.errors import InputError
from seqdiff.estimators import Autoregressive
from seqdiff.evaluation import Evaluation, compare_table, plot_logo, position_frequencies
from seqdiff.evaluation.evaluating import FEWEST
from seqdiff.evaluation.plots import information
from seqdiff.evaluation.results import CEILING
from seqdiff.experiments.judge import ALIKE, MATRIX, POSITIONAL, SIDES, Judge, Parts, Trial, divide
from seqdiff.inputs import PathLike, SequencesLike
from seqdiff.parameters import Whole
from seqdiff.ranks import alone
from seqdiff.runs import Run, check_root, numbered
from seqdiff.runtime import replacing

if TYPE_CHECKING:
    import pandas as pd

FEWEST_SEQUENCES = 10  # sequences that a demo can be made of
JUDGED = 50  # held-out sequences below which metrics are uncertain
RESEMBLES = 1.6  # ratio of divergences up to which new sequences count as like the given ones
NOVEL = 0.95  # share of the new sequences that should be no copies
LOGO_COLUMNS = 72  # of a logo in a terminal
DRAWN = 200  # positions of the logo in the file: more are not legible
COLOURS = {"A": "green", "C": "blue", "G": "yellow", "T": "red", "U": "red"}
MODEL, TRUTH, NEW = "the model", "the truth", "new"
SIGNED = "Written by seqdiff demo."


@dataclass(frozen=True)
class Plan:
    """Sizes that fit into a few minutes on two CPU cores; all costs grow with the letters."""

    most: int  # sequences used at all
    valid: int
    test: int
    batch_size: int
    updates: int
    times: int  # noise levels when scoring
    n: int  # sequences to generate
    steps: int  # of the sampler
    simulated: int = 10_000
    width: int | None = None
    depth: int | None = None

    @staticmethod
    def make(count: int, length: int, n: int | None, quick: bool = False) -> Plan:
        """Return the plan for `count` sequences of `length` letters, of which `n` more are wanted (None: 1,000).

        A quick one takes seconds: it shows that everything works and nothing else.
        """
        share = 0.1 if count >= 500 else 0.2  # of few sequences more are held out: a handful judges nothing
        test = max(1, int(share * min(count, 50_000)))
        test = min(test, 1000, max(20, 500_000 // length))
        batch_size = int(np.clip(12_800 // length, 4, 128))
        steps = int(np.clip(5_000_000 // ((n or 1000) * length), 20, 50))
        plan = Plan(
            most=max(200, min(50_000, 8_000_000 // length)),
            valid=max(1, min(int(0.1 * count), 512, max(16, 25_600 // length))),
            test=test,
            batch_size=max(4, min(batch_size, count // 8)),
            updates=max(20, min(800, 8_000_000 // (batch_size * length))),
            times=int(np.clip(5_000_000 // (test * length), 10, 100)),
            n=n or max(20, min(1000, 10_000_000 // (steps * length))),
            steps=steps,
        )
        if not quick:
            return plan
        limits = {"most": 1000, "valid": 50, "test": 100, "batch_size": 64}
        smaller = {name: min(getattr(plan, name), limit) for name, limit in limits.items()}
        return replace(plan, **smaller, updates=20, times=10, steps=10, simulated=1000, width=16, depth=2)

    def epochs(self, n_train: int) -> int:
        """Return the number of passes through `n_train` sequences: few of them are soon memorised."""
        batches = -(-n_train // self.batch_size)
        return int(np.clip(round(self.updates / batches), 1, 60))


# The run folder: `demo`, emptied of the files of a former demo; never a folder that no demo made.


def claim(root: Path) -> str:
    """Return the name of the demo's run folder, made and marked, the files of a former demo removed."""
    check_root(root)
    for name in numbered("demo"):
        folder = root / name
        if not folder.exists() or (_is_demo(folder) and _clear(folder)):
            break
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    Run(folder).write_args({"estimator": "demo", "parameters": {}, "data": "", "status": "starting"})  # till fit does
    with replacing(folder / "samples" / "README.txt") as file:
        file.write_text(f"{SIGNED} The next demo replaces what this one wrote: copy what you want to keep.\n", "utf-8")
    return name


def _is_demo(folder: Path) -> bool:
    try:
        return (folder / "samples" / "README.txt").read_text(encoding="utf-8").startswith(SIGNED)
    except (OSError, UnicodeDecodeError):
        return False


def _clear(folder: Path) -> bool:
    """Remove the files of a former demo and nothing else; False where it still runs."""
    run = Run(folder)
    try:
        run.acquire()
    except ValueError:
        return False
    try:
        for name in ("check", "tb"):
            shutil.rmtree(folder / name, ignore_errors=True)
        metrics = [f"metrics_{part}.{kind}" for part in ("train", "eval") for kind in ("pickle", "txt")]
        ours = [f"samples/{name}" for name in ("promoters.fasta", "logo.png")]
        ours += [f"samples/sequences{ending}" for ending in (".fasta", ".csv", ".txt")]
        for name in ("args.json", "args.pickle", *metrics, *ours):
            (folder / name).unlink(missing_ok=True)
    finally:
        run.release()
    return True


# From data to report.


@dataclass(frozen=True)
class Report:
    """The results of a demo: its run folder and files in it, and metrics."""

    run_dir: Path
    sequences: Path
    logo: Path
    held_out: int  # sequences that `bits` is measured on
    bits: pd.DataFrame | None  # a `compare_table`; None where nothing could be held out
    monte_carlo: float  # standard error of the model's own bits per letter that comes from drawing noise
    samples: Evaluation | None  # of the group `NEW`; None where there are too few


def run_demo(
    data: SequencesLike | None = None,
    n: int | None = None,
    savepath: PathLike = "runs",
    quick: bool = False,
    echo: Callable[[str], object] = click.echo,
    *,
    alphabet: str | Alphabet = "auto",
    sequence_column: str | None = None,
    verbose: int = 1,
) -> Report:
    """Train a model, generate new sequences into `<savepath>/demo/samples/` and report how good they are.

    A former demo's files are replaced; a folder `demo` that no demo made is left alone, and `demo-2` taken.

    Parameters
    ----------
    data : path or anything that `fit` reads, optional
        Default: 10,000 simulated promoters. They are split as by `seqdiff.compare`.
    n : int, optional
        New sequences to generate. Default: 1,000, fewer where they are very long.
    savepath : path
        The folder of the run folders.
    quick : bool
        A tiny model and few steps: to see that everything works.
    echo : callable
        Takes the lines of the report; colours are ANSI codes, which `click.echo` leaves out where there is no terminal.
    alphabet, sequence_column
        As in `fit`.
    verbose : int
        0 hides the progress bars.

    Examples
    --------
    >>> from seqdiff.experiments.demo import run_demo
    >>> report = run_demo(n=20, quick=True, echo=lambda line: None, verbose=0)
    >>> report.sequences.as_posix(), report.held_out
    ('runs/demo/samples/promoters.fasta', 100)
    """
    alone("the demo")
    started = time.monotonic()
    Whole(1).check("n", n, optional=True)
    simulated = data is None
    everything, plan = _load(data, n, quick, alphabet, sequence_column)
    parts = _hold_out(everything, plan)
    whose = f"{everything.alphabet.name} sequences" + (f" of {data}" if isinstance(data, (str, os.PathLike)) else "")
    whose = "simulated E. coli promoters" if simulated else whose
    echo(f"Learning {len(parts.train):,} {whose}; {len(parts.test):,} more are held out as the test set.")
    for note in (*everything.notes, *parts.notes):
        echo(f"Note: {note}.")

    epochs = plan.epochs(len(parts.train))
    model = Autoregressive(
        width=plan.width, depth=plan.depth, alphabet=everything.alphabet, epochs=epochs, batch_size=plan.batch_size,
        warmup=min(50, plan.updates // 5), eval_every=max(1, epochs // 8), check_every=5,
        savepath=savepath, model_name=claim(Path(savepath)), verbose=verbose,
    )  # fmt: skip
    model.fit(parts.train.sequences, validation=parts.valid.sequences or None)
    echo("Judging the model, and generating new sequences ...")
    # the baselines are fitted to all that the model has seen
    known = prepare(parts.train.sequences + parts.valid.sequences, alphabet=everything.alphabet)
    seen = replace(parts, train=known, valid=parts.valid.take([]))
    judge = Judge(seen, plan.n, steps=plan.steps, times=plan.times)
    bits, monte_carlo = _score(model, judge, simulated)

    run_dir = Path(str(model.run_dir_))
    written = run_dir / "samples" / f"{'promoters' if simulated else 'sequences'}{ending_for(everything.alphabet)}"
    natural, new = everything.sequences, model.generate(plan.n, out=written, steps=plan.steps)
    logo = run_dir / "samples" / "logo.png"
    given = "simulated" if simulated else "given"
    groups = {f"{name} ({len(x):,} sequences)": [s[:DRAWN] for s in x] for name, x in ((given, natural), ("new", new))}
    figure: Any = plot_logo(groups).figure
    with replacing(logo) as temporary:
        figure.savefig(temporary, format="png")
    measured = judge.measure(new, NEW)
    samples = None if judge.yardstick is None or measured is None else judge.yardstick.evaluation([measured])
    report = Report(run_dir, written, logo, len(judge.test), bits, monte_carlo, samples)
    nucleotides = everything.alphabet.name in ("dna", "rna")
    lines = logos(natural, new, given) + likelihood(report, simulated, "base" if nucleotides else "letter")
    lines += quality(samples, given)
    if n is None and len(new) < 1000 and not quick:
        lines.append(
            f"Your sequences are long: {len(new)} are generated instead of 1,000; seqdiff generate makes more."
        )
    dropped = any("left out" in note for note in everything.notes)
    settings = {
        "--alphabet": None if alphabet == "auto" else str(alphabet),
        "--sequence-column": sequence_column,
        "--ambiguous": "drop" if dropped else None,
    }
    lines += next_steps(report, data, time.monotonic() - started, settings)
    for line in (*lines, verdict(report, simulated)):
        echo(line)
    return report


def _load(
    data: SequencesLike | None, n: int | None, quick: bool, alphabet: str | Alphabet, sequence_column: str | None
) -> tuple[Dataset, Plan]:
    """Return the sequences that a demo has time for, with notes, and its plan."""
    if data is None:
        plan = Plan.make(10_000, 50, n, quick)
        return prepare(load_sigma70(plan.simulated), alphabet="dna"), plan
    read = prepare(data, alphabet=alphabet, ambiguous="drop", sequence_column=sequence_column)
    refuse_images(read.alphabet, "the demo")
    count = len(read)
    if count < FEWEST_SEQUENCES:
        found, wanted = f"{count} sequence{'s' * (count != 1)}", f"at least {FEWEST_SEQUENCES} to train on"
        raise InputError(read.source, found, wanted, "give more, better thousands")
    plan = Plan.make(count, int(read.lengths.max()), n, quick)
    if count <= plan.most:
        return read, plan
    rows = np.sort(np.random.default_rng(0).permutation(count)[: plan.most])
    note = f"a demo has time for {plan.most:,} of the {count:,} sequences, drawn at random; seqdiff fit takes all"
    return replace(read.take(rows), notes=(*read.notes, note)), plan


def _hold_out(data: Dataset, plan: Plan) -> Parts:
    sides, how, notes = divide(data, {"valid": plan.valid / len(data), "test": plan.test / len(data)})
    train, valid, test = (data.take(sides == side) for side in SIDES)
    return Parts(train, valid, test, how, tuple(notes))


def _score(model: Autoregressive, judge: Judge, simulated: bool) -> tuple[pd.DataFrame | None, float]:
    """Return the table of models, and the Monte Carlo error of the model's own bits per letter."""
    test = judge.test.sequences
    if not test:
        return None, float("nan")
    trial = Trial()
    judge.score(model, trial)
    scores = {ALIKE: judge.alike()}
    for name, baseline in judge.baselines().items():
        if name != POSITIONAL:
            scores[name] = baseline.fit(judge.parts.train.sequences).score_samples(test)
    scores[MODEL] = trial.nats
    if simulated:
        scores[TRUTH] = sigma70_log_prob(test)
    monte_carlo = trial.monte_carlo / float(judge.test.lengths.sum()) / np.log(2)
    return compare_table(scores, test, reference=MODEL), float(monte_carlo)


# The screen.


def text_logo(heights: pd.DataFrame, rows: int = 6, top: float | None = None, first: int = 1) -> list[str]:
    """Return a sequence logo in letters, for a terminal: `rows` lines, the axis and its numbers, with ANSI colours.

    `heights` (L, K) are of `information`; `top` are the bits of the upper edge, by default those of the highest stack;
    `first` is the number of the first position.
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
    """Return the commonest letter of each position: upper case above one half, lower above 0.35, else a dot."""
    table = position_frequencies(sequences)
    best, share = table.idxmax(axis=1), table.max(axis=1)
    return "".join(a.upper() if p > 0.5 else a.lower() if p > 0.35 else "." for a, p in zip(best, share, strict=True))


def logos(natural: Sequence[str], new: Sequence[str], given: str) -> list[str]:
    """Return both logos to one scale; of long sequences the most informative stretch."""
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
            lines += _heading(f"{name} (bits; below: the commonest letters)")
            lines += text_logo(height.iloc[window], top=top, first=start + 1)
            lines.append(" " * 5 + consensus(sequences)[window])
    return lines


def _heading(text: str) -> list[str]:
    return ["", click.style(text, bold=True)]


def likelihood(report: Report, simulated: bool, letter: str) -> list[str]:
    """Return the table of held-out bits, and its conclusion."""
    if report.bits is None:
        return ["", "No sequence could be held out as a test set: give more of them."]
    bits = report.bits["bits"]
    lines = _heading(f"Held-out bits per {letter} ({report.held_out:,} sequences of the test set; lower is better)")
    for name, row in report.bits.iterrows():
        text = f"  {name:<24}{row['bits']:8.4f}"
        if name == MODEL:
            noise = report.monte_carlo
            text = click.style(text, bold=True) + (f"   at most: a bound, known to +- {noise:.4f}" if noise else "")
        elif np.isfinite(row["above_error"]):
            side = "above" if row["above"] >= 0 else "below"
            text += f"   {abs(row['above']):.4f} +- {row['above_error']:.4f} {side} the model"
        lines.append(text)
    model, simple = bits[MODEL], bits.drop([MODEL, TRUTH], errors="ignore")
    if simulated:
        gap = simple[MATRIX] - bits[TRUTH]
        share = (simple[MATRIX] - model) / gap
        found = f"has found {100 * share:.0f}%" if share > 0 else "has found nothing yet: it needs longer training"
        lines.append(f"  Of the {gap:.3f} bits per base that a weight matrix misses, the model {found}.")
    elif model >= simple.min():
        cure = "More sequences or longer training may help (seqdiff fit)."
        lines.append(f"  The model is not better than: {simple.idxmin()}. {cure}")
    if report.held_out < JUDGED:
        reason = "too few to judge any model by; take these values as a first impression"
        lines.append(f"  Only {report.held_out} sequences could be held out: {reason}.")
    return lines


def quality(samples: Evaluation | None, given: str) -> list[str]:
    """Return the metrics of the new sequences."""
    if samples is None:
        too_few = f"{FEWEST} new and {2 * FEWEST} {given} ones are needed"
        return [*_heading("The new sequences"), f"  Too few to be compared: {too_few}."]
    new, ceiling = samples.table.loc[NEW], samples.table.loc[CEILING]
    k, n = samples.facts["k"], samples.facts["n"]
    rows = [
        (f"{k}-mer divergence, new to {given}", f"{new['kmer_js']:.4f} bits"),
        (f"{k}-mer divergence, {given} to {given}", f"{ceiling['kmer_js']:.4f} bits"),
        ("  the ratio of the two", f"{ratio(samples):.2f}   (1: as close as they are to one another)"),
        (f"told from {given} ones by {k}-mers, AUROC", f"{new['auroc_kmer']:.3f}   (0.5: not at all, 1: all)"),
        ("copied from the training data", f"{100 * (1 - new['novel']):.1f}%"),
        ("different from one another", f"{100 * new['unique']:.1f}%"),
    ]
    if "gc" in samples.table:
        rows.append((f"GC content, new and {given}", f"{100 * new['gc']:.1f}% and {100 * ceiling['gc']:.1f}%"))
    lines = _heading(f"The new sequences ({n:,} of them beside as many {given} ones)")
    lines += [f"  {name:<44}{value}" for name, value in rows]
    if n < JUDGED:
        lines.append(f"  {n} against {n} sequences are too few for a judgement.")
    return lines


def ratio(samples: Evaluation) -> float:
    """Return the k-mer divergence of the new sequences over that of the given ones from one another."""
    new, ceiling = samples.table.loc[[NEW, CEILING], "kmer_js"]
    return float(new / ceiling) if ceiling else float("nan")


def next_steps(
    report: Report, data: SequencesLike | None, seconds: float, settings: Mapping[str, str | None]
) -> list[str]:
    """Return commands to continue with, to be typed as they stand; `settings` are options that `fit` needs too."""
    own = isinstance(data, (str, os.PathLike))
    source = shlex.quote(os.fspath(data)) if isinstance(data, (str, os.PathLike)) else "my_sequences.fasta"
    given = "".join(f" {name} {shlex.quote(value)}" for name, value in settings.items() if value is not None)
    more = f"more{report.sequences.suffix}"
    return [
        "",
        f"Done in {seconds / 60:.1f} minutes. The new sequences: {report.sequences}; their logo: {report.logo}",
        "What next:",
        f"  seqdiff generate {shlex.quote(str(report.run_dir))} 5000 --out {more}   generates more",
        *(["  seqdiff demo --data my_sequences.fasta   does the same with your own sequences"] if data is None else []),
        f"  seqdiff fit {source}{given}   trains on {'all of them' if own else 'your own'}, as long as it pays",
    ]


def verdict(report: Report, simulated: bool) -> str:
    """Return the conclusion for a biologist, in one sentence."""
    samples, given = report.samples, "simulated" if simulated else "given"
    bits = None if report.bits is None else report.bits["bits"].drop(TRUTH, errors="ignore")
    if bits is None or samples is None or report.held_out < JUDGED or samples.facts["n"] < JUDGED:
        found = "there are too few sequences to tell whether the new ones are any good"
    elif samples.table.at[NEW, "memorised"] or samples.table.at[NEW, "novel"] < NOVEL:
        copied = 100 * (1 - samples.table.at[NEW, "novel"])
        found = (
            f"the new sequences are nearer to the training data than other {given} ones ({copied:.0f}% of them are"
            " copies), so the model has memorised rather than generalised: give more sequences"
        )
    elif bits[MODEL] >= bits.drop(MODEL).min():
        found = (
            "the model has learned no more than simple letter statistics, so do not use the new sequences yet: give"
            " more sequences or train longer"
        )
    elif ratio(samples) > RESEMBLES:
        found = (
            "the model has learned more than simple letter statistics, but the new sequences still differ from the"
            f" {given} ones: train longer before you choose any for the bench"
        )
    else:
        found = (
            f"the new sequences resemble the {given} ones without copying them: good candidates to choose from for the"
            " bench, where only an experiment shows whether they work"
        )
    return click.style("Verdict:", bold=True) + f" {found}."
