"""The commands `demo`, `fit`, `generate` and `score`: each reads its arguments, calls the library, says what came out.

What a program may want to read goes to stdout; progress and notes go to stderr.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np

from seqdiff.alphabets.letters import NUMBER
from seqdiff.cli.guiding import FORMS, read_guides
from seqdiff.cli.options import DEFAULT_MODEL, EstimatorCommand, comma_list, find_model, models
from seqdiff.data import Targets, prepare, read_records
from seqdiff.data.target import EMPIRICAL
from seqdiff.errors import InputError, of_kind, shorten, shown
from seqdiff.estimators import SequenceGenerator, load
from seqdiff.evaluation import bits_per_letter, bits_per_letter_error
from seqdiff.runtime import replacing

MODEL_ARGUMENT = click.argument("model", metavar="MODEL")
DATA_ARGUMENT = click.argument("data", metavar="DATA")
DEVICE = click.option("--device", default="auto", help="auto takes a GPU where there is one; or cpu, cuda, mps.")
COLUMN = click.option("--sequence-column", metavar="COLUMN", help="The column of a table that holds the sequences.")


@click.command()
@click.option("--data", metavar="FILE", help="Your own sequences; without it, simulated promoters.")
@click.option("--n", "-n", type=int, default=1000, help="New sequences to write.")
@click.option("--savepath", metavar="FOLDER", default="runs", help="Where the run's folder goes.")
@click.option("--alphabet", default="auto", help="dna, rna, protein or the letters themselves.")
@COLUMN
@click.option("--quick", is_flag=True, help="Seconds instead of minutes: shows that everything works, learns little.")
@click.pass_context
def demo(
    ctx: click.Context,
    data: str | None,
    n: int,
    savepath: str,
    alphabet: str,
    sequence_column: str | None,
    quick: bool,
) -> None:
    """Learn promoters, write new ones, and see how good they are.

    Takes some minutes on an ordinary computer. The new sequences and a picture lie in runs/demo/samples/ at the end.

    \b
    Examples:
      seqdiff demo
      seqdiff demo --data my_sequences.fasta
    """
    from seqdiff.experiments.demo import run_demo  # pictures are slow to import

    given = ctx.get_parameter_source("n") is click.core.ParameterSource.COMMANDLINE
    run_demo(
        None if data is None else Path(data),
        n if given else None,
        savepath,
        quick,
        alphabet=alphabet,
        sequence_column=sequence_column,
    )


@click.command(cls=EstimatorCommand)
@DATA_ARGUMENT
@click.option("--model", default=DEFAULT_MODEL, help=f"How to learn: {', '.join(models())}.")
@click.option("--y", metavar="COLUMN", multiple=True, help="Column of labels to learn too; may be given several times.")
@click.option(
    "--validation", metavar="SHARE|FILE", default="0.1", help="Share of the sequences to hold out, or a file of them."
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted run; give the same settings and data.")
def fit(data: str, model: str, y: tuple[str, ...], validation: str, resume: bool, **parameters: Any) -> None:
    """Learn from the sequences in DATA.

    DATA is a text file (one sequence a line), FASTA, CSV, TSV or Parquet; .gz is fine. The result is a folder in
    runs/, from which generate and score read. Ctrl-C stops and keeps what was learned; --resume goes on.

    \b
    Examples:
      seqdiff fit promoters.fasta
      seqdiff fit promoters.csv --y strength --model-name strong
      seqdiff fit promoters.fasta --model masked-diffusion
      seqdiff fit --model masked-diffusion --help

    The first one takes minutes on a laptop. masked-diffusion takes twice as long, and serves better where letters are
    fixed in advance (generate --template).
    """
    estimator = find_model(model)(**parameters)
    labels: Any = None if not y else y[0] if len(y) == 1 else list(y)
    held = _validation(validation, labels, parameters.get("sequence_column"))
    estimator.fit(Path(data), labels, validation=held, resume=resume)
    for line in _fitted(estimator):
        click.echo(line)


def _validation(text: str, labels: Any, sequence_column: str | None) -> Any:
    try:
        return float(text)
    except ValueError:
        if text.lower() == "none":
            return None
    if labels is None:
        return Path(text)
    held = read_records(Path(text), labels, sequence_column=sequence_column)
    return held.sequences, held.y


def _fitted(estimator: SequenceGenerator) -> list[str]:
    bits = estimator.evaluations_["bits_per_letter"]
    if bits:
        lines = [f"best validation: {min(bits):.4f} bits per letter{_meaning(estimator)}"]
    else:
        lines = [
            f"nothing was held out; training ended at {estimator.history_['bits_per_letter'][-1]:.4f} bits per letter"
            f"{_meaning(estimator)}"
        ]
    if estimator.run_dir_ is None:
        return [*lines, "nothing was saved, as --savepath is none"]
    target = estimator.target_
    label = "" if target is None else " --y LABEL"
    if isinstance(target, Targets):
        label = "".join(f" --y {shlex.quote(name)}=LABEL" for name in target.names)
    command = f"seqdiff generate {shlex.quote(estimator.run_dir_)} 1000{label} --out samples.fasta"
    return [f"run folder: {estimator.run_dir_}", *lines, f"next: {command}"]


def _meaning(estimator: SequenceGenerator) -> str:
    return "" if estimator.bound_ else " (of letters at random times: no likelihood)"


@click.command()
@MODEL_ARGUMENT
@click.argument("n", type=int)
@click.option("--out", "-o", metavar="FILE", help="A .fasta, .txt or .csv file; without it, one a line on the screen.")
@click.option(
    "--y",
    metavar="LABEL",
    multiple=True,
    help="What the sequences shall be like, for a model that learned labels; empirical draws labels as they occur in"
    " the training data. Of several columns: --y COLUMN=LABEL for each that shall count.",
)
@click.option(
    "--template",
    metavar="TEXT",
    help="Letters that are fixed, such as NNNTTGACA[AT]NN; N is any base, [AT] one of these.",
)
@click.option(
    "--guidance", metavar="GUIDE", multiple=True,
    help=f"What to steer by; may be given several times: {FORMS}. FILE is of seqdiff classify.",
)  # fmt: skip
@click.option(
    "--forbid", metavar="WORD", multiple=True,
    help="What no sequence may hold: letters, a restriction enzyme, or a number for runs of one letter; several with"
    " commas, or given several times.",
)  # fmt: skip
@click.option("--steps", type=int, help="Steps to write a sequence in; fewer are faster and less exact.")
@click.option("--temperature", type=float, default=1.0, help="Below 1 the likelier letters are preferred.")
@click.option("--length", type=int, help="Letters of each sequence, for a model of several lengths.")
@click.option(
    "--seed",
    "random_state",
    type=int,
    help="The same seed gives the same sequences; without it they are new each time.",
)
@DEVICE
def generate(
    model: str,
    n: int,
    out: str | None,
    y: tuple[str, ...],
    template: str | None,
    guidance: tuple[str, ...],
    forbid: tuple[str, ...],
    steps: int | None,
    temperature: float,
    length: int | None,
    random_state: int | None,
    device: str,
) -> None:
    """Write N new sequences with MODEL, a run folder or a model file.

    \b
    Examples:
      seqdiff generate runs/demo 1000 --out samples.fasta
      seqdiff generate runs/demo 20 > samples.txt
      seqdiff generate runs/chip 20 --y factor=ctcf --y strength=9.5
      seqdiff generate runs/chip 20 --y factor=ctcf --guidance cfg:2 --forbid BsaI,EcoRI,6
      seqdiff generate runs/demo 20 --guidance cbg:classifier.safetensors:strong:2
    """
    writer = load(model, device=device)
    writer.verbose = 1
    sequences = writer.generate(
        n,
        None if out is None else Path(out),
        y=condition(writer, y),
        template=template,
        guidance=read_guides(guidance, writer) or None,
        forbid=_words(forbid, writer.alphabet_.letters) or None,
        steps=steps,
        temperature=temperature,
        length=length,
        random_state=random_state,
    )
    if out is None:
        click.echo("\n".join(sequences))
    click.echo(
        f"{len(sequences):,} sequences{'' if out is None else f' in {out}'}; seed {writer.seed_}", err=out is None
    )


def _words(texts: tuple[str, ...], letters: tuple[str, ...]) -> list[str]:
    """Return the words of comma lists; where the comma is a letter it parts nothing."""
    if any("," in letter for letter in letters):
        return list(texts)
    return [word for text in texts for word in comma_list(text)]


def condition(model: SequenceGenerator, texts: tuple[str, ...]) -> Any:
    """Return the label that texts mean to a model: a class as it was in the data, numbers, or a dict of columns."""
    target = model.target_
    if not texts or target is None:
        return texts[0] if texts else None
    if isinstance(target, Targets):
        return _of_columns(target, texts)
    if len(texts) > 1:
        raise InputError("--y", f"{len(texts)} labels", "one, as this model learned labels of one column", "give one")
    text = texts[0]
    if target.kind == "class":
        return next((label for label in target.classes_ if str(label) == text), text)
    if target.kind == "signal":
        wanted = "none, as this model learned a signal along each sequence, which no option can hold"
        raise InputError("--y", shown(text), wanted, "use Python for it")
    if text == EMPIRICAL:
        return text
    parts = [part.strip() for part in text.split(",")]
    numbers = [float(part) for part in parts] if all(map(NUMBER.fullmatch, parts)) else []
    if len(numbers) != target.n_columns or not np.isfinite(numbers).all():
        wanted = "a number" if target.n_columns == 1 else f"{target.n_columns} numbers with commas between"
        raise InputError("--y", shown(text), f"{wanted} per sequence, as this model learned that", "give such a label")
    return numbers[0] if len(numbers) == 1 else numbers


def _of_columns(target: Targets, texts: tuple[str, ...]) -> Any:
    """Return a dict from texts such as ``factor=ctcf``, or from one that has all columns with commas between."""
    if texts == (EMPIRICAL,):
        return EMPIRICAL
    named = [text.partition("=") for text in texts]
    if len(texts) == 1 and named[0][0] not in target.names:
        entries = texts[0].split(",")
        if len(entries) == len(target.names):
            return {name: entry for name, entry in zip(target.names, entries, strict=True) if entry}
    columns = ", ".join(target.names)
    for (name, equals, _), text in zip(named, texts, strict=True):
        if not equals or name not in target.names:
            wanted = f"COLUMN=LABEL, as this model learned the columns {columns}"
            cure = "give one for each that shall count, or all labels in this order with commas between"
            raise InputError("--y", shown(text), wanted, cure)
    if len({name for name, _, _ in named}) < len(named):
        raise InputError(
            "--y", f"a column twice ({shorten(' '.join(texts), 100)})", "one label for each", "leave one out"
        )
    return {name: label for name, _, label in named}


@click.command()
@MODEL_ARGUMENT
@DATA_ARGUMENT
@click.option("--y", metavar="COLUMN", multiple=True, help="Column of labels, for a model that learned them.")
@click.option("--out", "-o", metavar="FILE", help="A .csv file for the figures of every sequence.")
@click.option("--times", type=int, help="Levels of noise to average over; fewer are faster and less exact.")
@click.option(
    "--seed", "random_state", type=int, default=0, help="Seed of the noise: the same one gives the same figures."
)
@COLUMN
@DEVICE
def score(
    model: str,
    data: str,
    y: tuple[str, ...],
    out: str | None,
    times: int | None,
    random_state: int,
    sequence_column: str | None,
    device: str,
) -> None:
    """Say how likely MODEL finds the sequences in DATA.

    The figure is in bits per letter: lower is likelier, 2 is what random DNA costs. Sequences that the model has
    learned from look better than new ones.

    \b
    Example:
      seqdiff score runs/demo held_out.fasta --out scores.csv
    """
    if out is not None and (Path(out).suffix.lower() != ".csv" or not Path(out).parent.is_dir()):
        wanted = "a name that ends in .csv, in a folder that is there"
        raise InputError("--out", shown(out), wanted, "give such a name")
    judge = load(model, device=device)
    judge.verbose = 1
    if judge.bound_ is None:
        cure = "fit another model, see seqdiff fit --help"
        raise InputError(model, f"{of_kind(judge)}, which cannot score sequences", "a model that can", cure)
    labels: Any = None if not y else y[0] if len(y) == 1 and not isinstance(judge.target_, Targets) else list(y)
    column = sequence_column or judge.sequence_column
    read = prepare(Path(data), labels, alphabet=judge.alphabet_, sequence_column=column)
    nats, error = judge.score_samples(read.sequences, read.y, times=times, random_state=random_state, return_error=True)
    if out is not None:
        _write_scores(Path(out), read.sequences, read.lengths, nats, error)
    for line in _scored(
        [judge.alphabet_.split(s) for s in read.sequences], read.lengths, nats, error, judge.bound_ == "elbo"
    ):
        click.echo(line)
    if out is not None:
        click.echo(f"every sequence: {out}")


def _write_scores(path: Path, sequences: list[str], lengths: np.ndarray, nats: np.ndarray, error: np.ndarray) -> None:
    import pandas as pd

    bits = -nats / lengths / np.log(2)
    columns = {"sequence": sequences, "log_likelihood": nats, "monte_carlo_error": error, "bits_per_letter": bits}
    with replacing(path) as name:
        pd.DataFrame(columns).to_csv(name, index=False, float_format="%.6g")


def _scored(
    sequences: list[list[str]], lengths: np.ndarray, nats: np.ndarray, error: np.ndarray, is_bound: bool
) -> list[str]:
    possible = np.flatnonzero(np.isfinite(nats))
    lines = [f"sequences: {len(sequences):,}"]
    if len(possible) < len(sequences):
        lines.append(
            f"impossible: {len(sequences) - len(possible):,}, of a length that the model has never seen; the figures"
            " below are of the others"
        )
    if not len(possible):
        return lines
    kept: list[Any] = [sequences[i] for i in possible]  # as letters, which may be of several characters
    noise = np.sqrt((error[possible] ** 2).sum()) / lengths[possible].sum() / np.log(2)
    lines.append(f"log-likelihood: {nats[possible].mean():.4f} nats per sequence")
    lines.append(f"bits per letter: {bits_per_letter(nats[possible], kept):.4f}")
    spread = bits_per_letter_error(nats[possible], kept)
    lines.append(f"standard error: {spread:.4f} (from one sequence to another), {noise:.4f} (Monte Carlo)")
    if is_bound:
        lines.append("a bound: the model's true log-likelihood is at least this high, its bits at most this many")
    else:
        lines.append("exact: not a bound")
    return lines
