"""The command `compare`: several models on one data set, a table of how good each is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import click

from seqdiff.cli.options import comma_list, option_of
from seqdiff.comparison import compare as run
from seqdiff.comparison import markdown
from seqdiff.comparison.table import caption
from seqdiff.estimators import SequenceGenerator
from seqdiff.estimators.classes import kebab

OWN = ("models", "split", "test", "seeds", "samples", "reference", "k", "random_state")
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
    try:
        table = run(names, Path(data), labels, **options, **settings)
    except ValueError as error:
        raise ValueError(_in_shell(str(error))) from error
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


def _in_shell(message: str) -> str:
    """Return a message with compare's own arguments as the options they are here; the group does the others."""
    for name in OWN:
        option = "seed" if name == "random_state" else kebab(name)
        message = re.sub(rf"(?<![\w./-]){name}=", f"--{option} ", message)
    return message
