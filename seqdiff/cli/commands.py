"""The commands `demo`, `fit`, `generate` and `score`: each reads its arguments, calls the library, prints the result.

Results go to stdout; progress and notes go to stderr.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from seqdiff.cli import options as shared
from seqdiff.cli.guiding import FORMS, read_guides
from seqdiff.cli.options import DEFAULT_MODEL, EstimatorCommand, comma_list, find_model, models
from seqdiff.data import Targets, prepare_store
from seqdiff.data import prepare as prepare_data
from seqdiff.data.files import ending_for
from seqdiff.data.labels import NUMBER
from seqdiff.data.reading import STDIN
from seqdiff.data.target import EMPIRICAL
from seqdiff.errors import InputError, of_kind, shorten, shown
from seqdiff.estimators import SequenceGenerator, load
from seqdiff.evaluation import bits_per_letter, bits_per_letter_error
from seqdiff.runtime import replacing


@click.command()
@click.option("--data", metavar="FILE", help="Your own sequences; without it, simulated promoters.")
@click.option("--n", "-n", type=int, help="New sequences; without it 1,000, fewer where they are very long.")
@click.option("--savepath", metavar="FOLDER", default="runs", help="Where the run's folder goes.")
@shared.ALPHABET
@shared.COLUMN
@click.option("--quick", is_flag=True, help="Seconds instead of minutes: shows that everything works, learns little.")
def demo(data: str | None, **options: Any) -> None:
    """Fit a model to promoters, generate new ones, and show how good they are.

    Takes some minutes on an ordinary computer. The new sequences and a plot lie in runs/demo/samples/ at the end.

    \b
    Examples:
      seqdiff demo
      seqdiff demo --data my_sequences.fasta
    """
    from seqdiff.experiments.demo import run_demo  # plots are slow to import

    run_demo(None if data is None else Path(data), **options)


@click.command(cls=EstimatorCommand)
@shared.DATA
@click.option("--model", default=DEFAULT_MODEL, help=f"The kind of model: {', '.join(models())}.")
@click.option("--preset", metavar="NAME", help="Measured settings other than the defaults: long, of masked-diffusion.")
@shared.LABELS
@click.option(
    "--validation", metavar="SHARE|FILE", default="0.1", help="Share of the sequences to hold out, or a file of them."
)
@click.option("--resume", is_flag=True, help="Resume an interrupted run; give the same settings and data.")
def fit(
    data: str, model: str, preset: str | None, y: tuple[str, ...], validation: str, resume: bool, **parameters: Any
) -> None:
    """Fit a model to the sequences in DATA.

    DATA is a text file (one sequence a line), FASTA, CSV, TSV, Excel, Parquet, GenBank, EMBL, FASTQ or Stockholm;
    .gz, .bz2, .xz and .zip are fine, - is the standard input. The result is a folder in runs/, which generate and score
    take. Ctrl-C stops and keeps the model; --resume continues.

    \b
    Examples:
      seqdiff fit promoters.fasta
      seqdiff fit promoters.csv --y strength --model-name strong
      seqdiff fit promoters.fasta --model masked-diffusion
      seqdiff fit promoters.fasta --model masked-diffusion --preset long
      seqdiff fit --model masked-diffusion --help

    The first one takes minutes on a laptop. masked-diffusion takes twice as long, and is better where letters are fixed
    in advance (generate --template).
    """
    estimator = find_model(model)(**parameters)
    held = shared.held_out(validation, y, parameters.get("sequence_column"))
    estimator.fit(Path(data), shared.label_columns(y), validation=held, resume=resume)
    click.echo("\n".join(_fitted(estimator)))


@click.command()
@shared.DATA
@click.argument("store", metavar="STORE")
@shared.LABELS
@shared.ALPHABET
@shared.COLUMN
@click.option("--length", type=int, help="Letters that every sequence must have.")
@click.option(
    "--ambiguous",
    type=click.Choice(["error", "drop"]),
    default="error",
    help="Sequences with codes such as N: refuse the file, or leave them out.",
)
@click.option(
    "--gaps",
    type=click.Choice(["error", "drop"]),
    default="error",
    help="Gaps of alignments: refuse the file, or take them out.",
)
def prepare(data: str, store: str, y: tuple[str, ...], **options: Any) -> None:
    """Make a STORE of the sequences in DATA, which fit takes where they do not fit into memory.

    DATA is as of fit, of any size; - is the standard input. STORE is a folder, which appears when it is complete.

    \b
    Examples:
      seqdiff prepare big.fasta.gz big.store
      seqdiff prepare peaks.csv.gz peaks.store --y cell
      seqdiff fit big.store --model masked-diffusion
    """
    source: Any = data if data == STDIN else Path(data)
    made = prepare_store(source, store, shared.label_columns(y), **options)
    for note in made.notes:
        click.echo(note, err=True)
    labels = f", with {', '.join(column.name for column in made.columns)}" if made.columns else ""
    size = sum(made.sizes.values()) / 1e6
    lengths = f"{made.longest:,}" if made.fixed else f"{made.lengths.min():,} to {made.longest:,}"
    click.echo(f"{store}: {made.n:,} {made.alphabet.described} of {lengths} letters{labels}; {size:,.1f} MB")
    click.echo(f"next: seqdiff fit {shlex.quote(store)}")


def _fitted(estimator: SequenceGenerator) -> list[str]:
    """Return the lines that report a fit: its folder, its validation loss, and the next command."""
    meaning = "" if estimator.bound_ else " (of letters at random times: no likelihood)"
    if bits := estimator.evaluations_["bits_per_letter"]:
        result = f"best validation: {min(bits):.4f} bits per letter{meaning}"
    else:
        last = estimator.history_["bits_per_letter"][-1]
        result = f"nothing was held out; training ended at {last:.4f} bits per letter{meaning}"
    if estimator.run_dir_ is None:
        return [result, "nothing was saved, as --savepath is none"]
    target = estimator.target_
    label = "" if target is None else " --y LABEL"
    if isinstance(target, Targets):
        label = "".join(f" --y {shlex.quote(name)}=LABEL" for name in target.names)
    modules = click.get_current_context().find_root().params.get("modules") or ()
    program = "seqdiff" + "".join(f" --import {module}" for module in modules)
    out = f"samples{ending_for(estimator.alphabet_)}"
    command = f"{program} generate {shlex.quote(estimator.run_dir_)} 1000{label} --out {out}"
    return [f"run folder: {estimator.run_dir_}", result, f"next: {command}"]


_SAMPLING = (
    click.option(
        "--y", metavar="LABEL", multiple=True,
        help="The label of the sequences, for a model that learned labels; empirical draws labels as they occur in the"
        " training data. Of several columns: --y COLUMN=LABEL for each that should count.",
    ),
    shared.TEMPLATE,
    click.option(
        "--guidance", metavar="GUIDE", multiple=True,
        help=f"How to steer; may be given several times: {FORMS}. FILE is of seqdiff classify.",
    ),
    click.option(
        "--forbid", metavar="MOTIF", multiple=True,
        help="A motif that no sequence may have: letters, a restriction enzyme, or a number for runs of one letter;"
        " several with commas, or given several times.",
    ),
    shared.STEPS,
    click.option("--temperature", type=float, default=1.0, help="Below 1 the likelier letters are preferred."),
    click.option("--length", type=int, help="Letters of each sequence, for a model of several lengths."),
    click.option(
        "--seed", "random_state", type=int, help="The same one gives the same sequences; without it new ones."
    ),
    shared.DEVICE,
)  # fmt: skip
"""The options of commands that generate."""


def sampling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `generate`."""
    for option in reversed(_SAMPLING):
        command = option(command)
    return command


def sampling_arguments(
    generator: SequenceGenerator, y: tuple[str, ...], guidance: tuple[str, ...], forbid: tuple[str, ...]
) -> dict[str, Any]:
    """Return arguments of `generate` from the texts of options."""
    if not any("," in letter for letter in generator.alphabet_.letters):
        forbid = tuple(motif for text in forbid for motif in comma_list(text))
    return {
        "y": condition(generator, y),
        "guidance": read_guides(guidance, generator) or None,
        "forbid": forbid or None,
    }


@click.command()
@shared.MODEL
@click.argument("n", type=int)
@click.option(
    "--out", "-o", metavar="FILE",
    help="A .fasta, .txt or .csv file, of images .npy; without it, one sequence a line on the screen.",
)  # fmt: skip
@sampling
def generate(
    model: str,
    n: int,
    out: str | None,
    y: tuple[str, ...],
    guidance: tuple[str, ...],
    forbid: tuple[str, ...],
    device: str,
    **options: Any,
) -> None:
    """Generate N new sequences with MODEL: a run folder, a model file, or hf://owner/name.

    \b
    Examples:
      seqdiff generate runs/demo 1000 --out samples.fasta
      seqdiff generate runs/demo 20 > samples.txt
      seqdiff generate runs/chip 20 --y factor=ctcf --y strength=9.5
      seqdiff generate runs/chip 20 --y factor=ctcf --guidance cfg:2 --forbid BsaI,EcoRI,6
      seqdiff generate runs/demo 20 --guidance cbg:classifier.safetensors:strong:2
    """
    generator = load(model, device=device)
    generator.verbose = 1
    if out is None and generator.alphabet_.shape is not None:
        raise InputError("--out", "none for a model of images", "a .npy file to write them to", "name one")
    arguments = sampling_arguments(generator, y, guidance, forbid)
    sequences = generator.generate(n, None if out is None else Path(out), **arguments, **options)
    if out is None:
        click.echo("\n".join(sequences))
    where = "" if out is None else f" in {out}"
    made = "sequences" if generator.alphabet_.shape is None else "images"
    click.echo(f"{len(sequences):,} {made}{where}; seed {generator.seed_}", err=out is None)


def condition(model: SequenceGenerator, texts: tuple[str, ...]) -> Any:
    """Return a label of a model from texts: a class as it was in the data, numbers, or a dict of columns."""
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
    """Return a dict from texts such as ``factor=ctcf``, or from one text with all columns, separated by commas."""
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
            cure = "give one for each that should count, or all labels in this order with commas between"
            raise InputError("--y", shown(text), wanted, cure)
    if len({name for name, _, _ in named}) < len(named):
        raise InputError(
            "--y", f"a column twice ({shorten(' '.join(texts), 100)})", "one label for each", "leave one out"
        )
    return {name: label for name, _, label in named}


@click.command()
@shared.MODEL
@shared.DATA
@click.option("--y", metavar="COLUMN", multiple=True, help="Column of labels, for a model that learned them.")
@click.option("--out", "-o", metavar="FILE", help="A .csv file for the values of every sequence.")
@click.option("--times", type=int, help="Noise levels to average over; fewer are faster and less exact.")
@click.option(
    "--seed", "random_state", type=int, default=0, help="Seed of the noise: the same one gives the same values."
)
@shared.COLUMN
@shared.DEVICE
def score(
    model: str, data: str, y: tuple[str, ...], out: str | None, sequence_column: str | None, device: str, **options: Any
) -> None:
    """Compute the log-likelihood of the sequences in DATA under MODEL.

    The value is in bits per letter: lower is likelier, 2 is that of random DNA. Sequences of the training set look
    better than new ones.

    \b
    Example:
      seqdiff score runs/demo held_out.fasta --out scores.csv
    """
    path = None if out is None else shared.writable("--out", out, ".csv")
    judge = load(model, device=device)
    judge.verbose = 1
    if judge.bound_ is None:
        cure = "fit another model, see seqdiff fit --help"
        raise InputError(model, f"{of_kind(judge)}, which cannot score sequences", "a model that can", cure)
    labels = list(y) if isinstance(judge.target_, Targets) and y else shared.label_columns(y)
    column = sequence_column or judge.sequence_column
    read = prepare_data(Path(data), labels, alphabet=judge.alphabet_, sequence_column=column)
    nats, error = judge.score_samples(read.sequences, read.y, return_error=True, **options)
    if path is not None:
        # images have no text: their numbers
        named = read.sequences if judge.alphabet_.shape is None else [str(i) for i in read.kept.tolist()]
        _write_scores(path, named, read.lengths, nats, error)
    lines = _scored([judge.alphabet_.split(s) for s in read.sequences], read.lengths, nats, error)
    if np.isfinite(nats).any():
        is_bound = judge.bound_ == "elbo"
        bound = "a bound: the model's true log-likelihood is at least this high, its bits at most this many"
        lines.append(bound if is_bound else "exact: not a bound")
    click.echo("\n".join(lines if path is None else [*lines, f"every sequence: {out}"]))


def _write_scores(path: Path, sequences: list[str], lengths: np.ndarray, nats: np.ndarray, error: np.ndarray) -> None:
    import pandas as pd

    bits = -nats / lengths / np.log(2)
    columns = {"sequence": sequences, "log_likelihood": nats, "monte_carlo_error": error, "bits_per_letter": bits}
    with replacing(path) as name:
        pd.DataFrame(columns).to_csv(name, index=False, float_format="%.6g")


def _scored(sequences: list[list[str]], lengths: np.ndarray, nats: np.ndarray, error: np.ndarray) -> list[str]:
    """Return the lines that report scores; sequences are lists of letters, which may be of several characters."""
    possible = np.flatnonzero(np.isfinite(nats))
    lines = [f"sequences: {len(sequences):,}"]
    if missing := len(sequences) - len(possible):
        why = "of a length that the training set lacks; the values below are of the others"
        lines.append(f"impossible: {missing:,}, {why}")
    if not len(possible):
        return lines
    kept: list[Any] = [sequences[i] for i in possible]
    nats, noise = nats[possible], np.sqrt((error[possible] ** 2).sum()) / lengths[possible].sum() / np.log(2)
    spread = bits_per_letter_error(nats, kept)
    return [
        *lines,
        f"log-likelihood: {nats.mean():.4f} nats per sequence",
        f"bits per letter: {bits_per_letter(nats, kept):.4f}",
        f"standard error: {spread:.4f} (from one sequence to another), {noise:.4f} (Monte Carlo)",
    ]
