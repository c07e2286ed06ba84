"""The command `compare`: several models on one data set, a table of how good each is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from seqdiff.classifiers.predictor import SequencePredictor
from seqdiff.cli.commands import condition
from seqdiff.cli.guiding import CLASSIFIERS, label_of, predictor_header, read_guides
from seqdiff.cli.options import comma_list, option_of
from seqdiff.errors import InputError, shown
from seqdiff.estimators import SequenceGenerator, load
from seqdiff.experiments import compare as run
from seqdiff.experiments import markdown
from seqdiff.experiments.comparison import caption
from seqdiff.runtime import replacing

# Parameters of every estimator that are not compare's own: where one is given, it holds for all models.
SHARED = [
    name
    for name in inspect.signature(SequenceGenerator).parameters
    if name not in inspect.signature(run).parameters and name not in ("model_name", "check_every")
]


@click.command(
    epilog="Settings without a default shown are each model's own; where one is given, it holds for all models."
)
@click.argument("data", metavar="DATA")
@click.option("--models", metavar="A,B,...", help="Which, with commas between; without it the usual ones.")
@click.option("--y", metavar="COLUMN", multiple=True, help="Column of labels to learn too; may be given several times.")
@click.option(
    "--split", metavar="HOW|COLUMN", default="auto",
    help="cluster keeps what shares 20 letters on one side, random does not; or a column of train, valid and test.",
)  # fmt: skip
@click.option("--validation", metavar="SHARE|FILE", default="0.1", help="What to choose each model's weights by.")
@click.option("--test", metavar="SHARE|FILE", default="0.1", help="What to judge by.")
@click.option("--seeds", type=int, default=1, help="How often each model is trained.")
@click.option("--samples", type=int, default=1000, help="Sequences that each model writes; 0 for none.")
@click.option("--steps", type=int, help="Steps to write a sequence in.")
@click.option("--times", type=int, help="Levels of noise to average a bound over.")
@click.option("--k", type=int, help="Letters of the k-mers to compare.")
@click.option("--reference", metavar="NAME", help="The model to compare with, as the table names it; else the best.")
@click.option("--seed", "random_state", type=int, default=0, help="Seed of the split, the samples and the scores.")
@click.option("--alphabet", default="auto", help="dna, rna, protein or the letters themselves.")
@click.option("--savepath", metavar="FOLDER", default="runs", help="Where the folder compare goes; none saves nothing.")
@click.pass_context
def compare(ctx: click.Context, data: str, models: str | None, **options: Any) -> None:
    """Fit several models to the sequences in DATA and say how good each is.

    Each learns from the same part of the sequences and is judged by the same other part, beside simple baselines and
    nature itself. The table, a picture of it and all models are in runs/compare/ at the end.

    \b
    Examples:
      seqdiff compare promoters.fasta
      seqdiff compare promoters.csv --models masked-diffusion,autoregressive --epochs 20 --seeds 3
    """
    given = click.core.ParameterSource.COMMANDLINE
    settings = {name: options.pop(name) for name in SHARED}
    settings = {name: value for name, value in settings.items() if ctx.get_parameter_source(name) is given}
    columns = options.pop("y")
    labels: Any = None if not columns else columns[0] if len(columns) == 1 else list(columns)
    column = options["sequence_column"]
    for name in ("validation", "test"):
        options[name] = _part(options[name], labels, column)
    if options["savepath"].lower() == "none":
        options["savepath"] = None
    names = None if models is None else comma_list(models)
    table = run(names, Path(data), labels, **options, **settings)
    click.echo(markdown(table))
    click.echo(f"\n{caption(table)}")
    if table.attrs["folder"] is not None:
        click.echo(f"folder: {table.attrs['folder']}")


compare.params += [option_of(SequenceGenerator, name, None) for name in SHARED]
compare.params += [option_of(SequenceGenerator, n) for n in ("length", "ambiguous", "sequence_column", "verbose")]


def _part(text: str, labels: Any, sequence_column: str | None) -> Any:
    """Return a share, or what a file holds."""
    from seqdiff.data import read_records

    try:
        return float(text)
    except ValueError:
        pass
    if labels is None:
        return Path(text)
    held = read_records(Path(text), labels, sequence_column=sequence_column)
    return held.sequences, held.y


# The command `sweep`: guides of several strengths, what each gains and what it costs.


SHOWN_COLUMNS = ["guide", "gamma", "seed", "made", "condition", "kmer_js", "kmer_js_ratio", "diversity", "unique",
                 "copied",
         "calls", "seconds"]  # fmt: skip


@click.command()
@click.argument("model", metavar="MODEL")
@click.option("--gammas", metavar="A,B,...", default="0,1,2,4", help="The strengths, with commas between.")
@click.option(
    "--guide", metavar="GUIDE", multiple=True, default=("cfg",),
    help="What to steer by, as in generate --guidance but without the strength: cfg, cbg:FILE:LABEL, ...; may be given"
    " several times.",
)  # fmt: skip
@click.option("--y", metavar="LABEL", multiple=True, help="What the sequences shall be like, as in generate.")
@click.option(
    "--judge", metavar="FILE[:LABEL]",
    help="A file of seqdiff classify that says how far the sequences are what they shall be: the mean probability of"
    " the label (without it that of --y), or the mean of the values that it predicts.",
)  # fmt: skip
@click.option("--natural", metavar="FILE", help="Sequences that the new ones should be like.")
@click.option("--n", "-n", type=int, default=100, help="Sequences of each guide, strength and seed.")
@click.option("--seeds", type=int, default=1, help="How often each is generated.")
@click.option("--template", metavar="TEXT", help="Letters that are fixed, as in generate.")
@click.option("--steps", type=int, help="Steps to write a sequence in.")
@click.option("--out", "-o", metavar="FILE", help="A .csv file; without it sweep.csv in the run's folder.")
def sweep(
    model: str,
    gammas: str,
    guide: tuple[str, ...],
    y: tuple[str, ...],
    judge: str | None,
    natural: str | None,
    n: int,
    seeds: int,
    template: str | None,
    steps: int | None,
    out: str | None,
    device: str,
    verbose: int,
) -> None:
    """Write sequences with MODEL under guidance of several strengths, and say what each gains and costs.

    Stronger guidance makes sequences that meet a condition more often, and are less various and less natural. The table
    goes to a .csv file after each row, a picture of it lies beside it.

    \b
    Examples:
      seqdiff sweep runs/chip --y ctcf --gammas 0,1,2,4 --natural peaks.fasta
      seqdiff sweep runs/mine --guide cbg:strength.safetensors:12.5 --judge judge.safetensors
    """
    from seqdiff.evaluation import plot_sweep
    from seqdiff.experiments import sweep as run

    writer = load(model, device=device)
    arguments = {"y": condition(writer, y), "template": template, "steps": steps}
    table = run(
        writer,
        {text: _maker(text, writer) for text in guide},
        _numbers(gammas),
        n=n,
        seeds=seeds,
        judge=None if judge is None else _judge(judge, y, writer),
        natural=None if natural is None else Path(natural),
        out=out,
        verbose=verbose,
        **{name: value for name, value in arguments.items() if value is not None},
    )
    click.echo(table[SHOWN_COLUMNS].dropna(axis=1, how="all").to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    if table.attrs["path"] is not None:
        picture = Path(table.attrs["path"]).with_suffix(".png")
        with replacing(picture) as name:
            plot_sweep(table).savefig(name, format="png")
        click.echo(f"picture: {picture}")


sweep.params += [option_of(SequenceGenerator, name) for name in ("device", "verbose")]


def _maker(text: str, model: Any) -> Callable[[float], Any]:
    """Return the guide of a strength; that the text means one is found out before anything is generated."""
    kind, _, rest = text.partition(":")
    files = [rest.rsplit(":", parts)[0] for parts in (1, 2)]
    if (kind == "cfg" and rest) or (kind in CLASSIFIERS and not Path(files[0]).exists() and Path(files[1]).exists()):
        raise InputError(
            "--guide", f"{shown(text, 100)} with a strength", "none at its end, as --gammas gives them", "leave it out"
        )
    read_guides([f"{text}:1"], model)
    return lambda gamma: read_guides([f"{text}:{gamma}"], model)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        wanted = "numbers with commas between"
        raise InputError("--gammas", shown(text), wanted, "give some such as 0,1,2") from None


def _judge(text: str, y: tuple[str, ...], model: Any) -> Callable[[list[str]], Any]:
    """Return a function that says how far sequences are what is wanted."""
    file, colon, label = text.rpartition(":")
    if not colon or Path(text).is_file():
        file, label = text, y[0] if len(y) == 1 else ""
    clean = predictor_header(file)["noise"] == "Clean"
    predictor = SequencePredictor.load(file, noise_like=None if clean else model)
    if predictor.kind == "value":
        return predictor.predict
    if not label:
        raise InputError("--judge", f"{shown(text, 100)} without a label", "the label to look for", "give FILE:LABEL")
    number = int(predictor.encode(label_of(predictor, label))[0])
    return lambda sequences: np.asarray(predictor.predict_proba(sequences))[:, number]
