"""How much of everything a demo can do in a few minutes on two CPU cores, whatever the data."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from seqdiff.data import Dataset, cluster_split, prepare
from seqdiff.data.split import NOT_BY_CLUSTERS
from seqdiff.datasets import load_sigma70, sigma70_log_prob
from seqdiff.errors import InputError
from seqdiff.estimators import Autoregressive
from seqdiff.evaluation import MarkovChain, PositionWeightMatrix, compare_table, plot_logo, summary
from seqdiff.experiments import screen
from seqdiff.experiments.screen import Report
from seqdiff.parameters import Whole
from seqdiff.runs import Run, check_root, numbered
from seqdiff.runtime import replacing


@dataclass(frozen=True)
class Plan:
    """How much of everything fits into a few minutes on two CPU cores; all costs grow with the letters."""

    most: int  # sequences used at all
    valid: int
    test: int
    batch_size: int
    updates: int  # that the budget allows
    times: int  # levels of noise when scoring
    n: int  # sequences to write
    steps: int  # of the sampler
    simulated: int = 10_000
    width: int | None = None
    depth: int | None = None

    @staticmethod
    def make(count: int, length: int, n: int | None, quick: bool = False) -> Plan:
        """Return the plan for `count` sequences of `length` letters, of which `n` more are wanted (None: 1,000)."""
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
        return plan if not quick else plan.quick()

    def quick(self) -> Plan:
        """Return a plan of seconds, which shows that everything works and nothing else."""
        return replace(
            self,
            most=min(self.most, 1000),
            valid=min(self.valid, 50),
            test=min(self.test, 100),
            batch_size=min(self.batch_size, 64),
            updates=20,
            times=10,
            steps=10,
            simulated=1000,
            width=16,
            depth=2,
        )

    def epochs(self, n_train: int) -> int:
        """Return how often to go through `n_train` sequences: few of them are soon known by heart."""
        batches = -(-n_train // self.batch_size)
        return int(np.clip(round(self.updates / batches), 1, 60))


# The demo's run folder: `demo`, emptied of what a former demo wrote there; never a folder that no demo made.


SIGNED = "Written by seqdiff demo."


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
    """Remove what a former demo wrote and nothing else; False where it still runs."""
    run = Run(folder)
    try:
        run.acquire()
    except ValueError:
        return False
    try:
        for name in ("check", "tb"):
            shutil.rmtree(folder / name, ignore_errors=True)
        metrics = [f"metrics_{part}.{kind}" for part in ("train", "eval") for kind in ("pickle", "txt")]
        ours = [f"samples/{name}" for name in ("promoters.fasta", "sequences.fasta", "logo.png")]
        for name in ("args.json", "args.pickle", *metrics, *ours):
            (folder / name).unlink(missing_ok=True)
    finally:
        run.release()
    return True


# The demo from data to report.


if TYPE_CHECKING:
    import pandas as pd

FEWEST_SEQUENCES = 10  # sequences that a demo can be made of


def run_demo(
    data: Any = None,
    n: int | None = None,
    savepath: str | os.PathLike[str] = "runs",
    quick: bool = False,
    echo: Callable[[str], Any] = click.echo,
    *,
    alphabet: Any = "auto",
    sequence_column: str | None = None,
    verbose: int = 1,
) -> Report:
    """Learn sequences, write new ones to `<savepath>/demo/samples/` and show how good they are.

    A former demo's files are replaced; a folder `demo` that no demo made is left alone, and `demo-2` taken.

    Parameters
    ----------
    data : path or anything that `fit` reads, optional
        Default: 10,000 simulated promoters.
    n : int, optional
        New sequences to write. Default: 1,000, fewer where they are very long.
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

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If the data cannot be read, or holds fewer than 10 sequences.

    Examples
    --------
    >>> from seqdiff.experiments.demo import run_demo
    >>> report = run_demo(n=20, quick=True, echo=lambda line: None, verbose=0)
    >>> report.sequences.as_posix(), report.held_out
    ('runs/demo/samples/promoters.fasta', 100)
    """
    started = time.monotonic()
    Whole(1).check("n", n, optional=True)
    simulated = data is None
    everything, plan = _load(data, n, quick, alphabet, sequence_column)
    everything, notes = _at_most(everything, plan)
    fit, valid, test, more = _hold_out(everything, plan)
    whose = "simulated E. coli promoters" if simulated else f"{everything.alphabet.name} sequences of {data}"
    echo(f"Learning {len(fit):,} {whose}; {len(test):,} more are kept aside to judge by.")
    for note in (*everything.notes, *notes, *more):
        echo(f"Note: {note}.")

    name = claim(Path(savepath))
    model = Autoregressive(
        width=plan.width, depth=plan.depth, alphabet=everything.alphabet,
        epochs=plan.epochs(len(fit)), batch_size=plan.batch_size,
        warmup=min(50, plan.updates // 5), eval_every=max(1, plan.epochs(len(fit)) // 8), check_every=5,
        savepath=savepath, model_name=name, verbose=verbose,
    )  # fmt: skip
    model.fit(fit.sequences, validation=valid.sequences if len(valid) else None)
    known = fit.sequences + valid.sequences
    echo("Judging the model, and writing new sequences ...")
    held_out, bits, monte_carlo = _score(model, known, test, plan, simulated)

    run_dir = Path(str(model.run_dir_))
    fasta = run_dir / "samples" / ("promoters.fasta" if simulated else "sequences.fasta")
    new = model.generate(plan.n, out=fasta, steps=plan.steps)
    picture = run_dir / "samples" / "logo.png"
    given = "simulated" if simulated else "given"
    _draw(everything.sequences, new, given, picture)
    k = _kmer(everything.alphabet, everything.sequences, new)
    report = Report(
        run_dir, fasta, picture, held_out, bits, monte_carlo, summary(new, everything.sequences, known, k=k)
    )
    nucleotides = everything.alphabet.name in ("dna", "rna")
    for line in screen.logos(everything.sequences, new, given):
        echo(line)
    for line in screen.figures(report, simulated, "base" if nucleotides else "letter"):
        echo(line)
    for line in screen.quality(report.samples, k, nucleotides, given):
        echo(line)
    if n is None and len(new) < 1000 and not quick:
        echo(f"Your sequences are long: {len(new)} were written instead of 1,000; seqdiff generate writes more.")
    dropped = any("left out" in note for note in everything.notes)
    settings = {
        "--alphabet": None if alphabet == "auto" else str(alphabet),
        "--sequence-column": sequence_column,
        "--ambiguous": "drop" if dropped else None,
    }
    for line in screen.next_steps(report, data, time.monotonic() - started, settings):
        echo(line)
    echo(screen.verdict(report, simulated))
    return report


def _load(data: Any, n: int | None, quick: bool, alphabet: Any, sequence_column: str | None) -> tuple[Dataset, Plan]:
    if data is None:
        plan = Plan.make(10_000, 50, n, quick)
        return prepare(load_sigma70(plan.simulated), alphabet="dna"), plan
    read = prepare(data, alphabet=alphabet, ambiguous="drop", sequence_column=sequence_column)
    if len(read) < FEWEST_SEQUENCES:
        found, wanted = f"{len(read)} sequence{'s' * (len(read) != 1)}", f"at least {FEWEST_SEQUENCES} to learn from"
        raise InputError(read.source, found, wanted, "give more, better thousands")
    return read, Plan.make(len(read), int(read.lengths.max()), n, quick)


def _at_most(data: Dataset, plan: Plan) -> tuple[Dataset, list[str]]:
    if len(data) <= plan.most:
        return data, []
    rows = np.sort(np.random.default_rng(0).permutation(len(data))[: plan.most])
    note = f"a demo has time for {plan.most:,} of the {len(data):,} sequences, drawn at random; seqdiff fit takes all"
    return data.take(rows), [note]


def _hold_out(data: Dataset, plan: Plan) -> tuple[Dataset, Dataset, Dataset, list[str]]:
    """Return what to fit, validate and judge with, no 20-mer on two sides where that is possible, and notes."""
    n, notes = len(data), []
    split = cluster_split(data, valid=plan.valid / n, test=plan.test / n)
    if (split == "test").sum() < 0.5 * plan.test or (split == "valid").sum() < 0.5 * plan.valid:
        notes.append(NOT_BY_CLUSTERS)
        rows = np.random.default_rng(0).permutation(n)
        split[:] = "train"
        split[rows[: plan.test]] = "test"
        split[rows[plan.test : plan.test + plan.valid]] = "valid"
    fit, valid, test = (data.take(split == side) for side in ("train", "valid", "test"))
    return fit, valid, test, notes


def _score(
    model: Autoregressive, known: list[str], test: Dataset, plan: Plan, simulated: bool
) -> tuple[int, pd.DataFrame | None, float]:
    """Return how many sequences were scored, the table of models, and the model's own Monte Carlo error."""
    log_length = model.length_distribution_.log_prob(test.lengths)
    test = test.take(np.isfinite(log_length))  # a length that training lacked is impossible to all models alike
    if not len(test):
        return 0, None, float("nan")
    letters = float(test.lengths.sum())
    log_length = model.length_distribution_.log_prob(test.lengths)
    scores = {"every letter alike": log_length - test.lengths * np.log(len(test.alphabet))}
    if model.length_distribution_.fixed:
        matrix = PositionWeightMatrix(alphabet=test.alphabet).fit(known)
        scores["position weight matrix"] = matrix.score_samples(test.sequences)
    scores["Markov chain, order 5"] = MarkovChain(alphabet=test.alphabet).fit(known).score_samples(test.sequences)
    nats, error = model.score_samples(test.sequences, times=plan.times, return_error=True)
    scores["the model"] = nats
    if simulated:
        scores["the truth"] = sigma70_log_prob(test.sequences)
    table = compare_table(scores, test.sequences, reference="the model")
    return len(test), table, float(np.sqrt((error**2).sum()) / letters / np.log(2))


def _kmer(alphabet: Any, natural: Sequence[str], new: Sequence[str]) -> int:
    """Return the k of the k-mers to compare: 6 for nucleotides, fewer for many letters or short sequences."""
    longest = min(max(map(len, new)), int(np.quantile([len(s) for s in natural], 0.1)))
    return max(1, min(6, int(np.log(4096.5) / np.log(len(alphabet))), longest))


def _draw(natural: Sequence[str], new: Sequence[str], given: str, path: Path) -> None:
    columns = 200  # more letters than that are not legible
    groups = {
        f"{name} ({len(sequences):,} sequences)": [s[:columns] for s in sequences]
        for name, sequences in ((given, natural), ("new", new))
    }
    figure: Any = plot_logo(groups).figure
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
