"""The commands `compare`, several models on one data set, and `sweep`, guides of several strengths."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from seqdiff.classifiers.predictor import SequencePredictor
from seqdiff.cli import options as shared
from seqdiff.cli.commands import condition
from seqdiff.cli.guiding import CLASSIFIERS, label_of, predictor_header, read_guides
from seqdiff.cli.options import comma_list, option_of
from seqdiff.errors import InputError, shown
from seqdiff.estimators import SequenceGenerator, load
from seqdiff.experiments import compare as run
from seqdiff.experiments import markdown
from seqdiff.experiments.comparison import caption
from seqdiff.guidance import Guidance
from seqdiff.runtime import replacing

# parameters of every generator that are not compare's own: where one is given, it holds for all models
SHARED = [
    name
    for name in inspect.signature(SequenceGenerator).parameters
    if name not in inspect.signature(run).parameters and name not in ("model_name", "check_every")
]


@click.command(
    epilog="Settings without a default shown are each model's own; where one is given, it holds for all models."
)
@shared.DATA
@click.option("--models", metavar="A,B,...", help="The models, separated by commas; without it the usual ones.")
@shared.LABELS
@click.option(
    "--split", metavar="HOW|COLUMN", default="auto",
    help="cluster keeps sequences that share 20 letters together, random does not; or a column of train, valid, test.",
)  # fmt: skip
@click.option("--validation", metavar="SHARE|FILE", default="0.1", help="Validation set, to choose the weights by.")
@click.option("--test", metavar="SHARE|FILE", default="0.1", help="Test set.")
@click.option("--seeds", type=int, default=1, help="Training runs of each model.")
@click.option("--samples", type=int, default=1000, help="Sequences that each model generates; 0 for none.")
@shared.STEPS
@click.option("--times", type=int, help="Noise levels to average a bound over.")
@click.option("--k", type=int, help="Letters of the k-mers to compare.")
@click.option("--reference", metavar="NAME", help="The model to compare with, as the table names it; else the best.")
@click.option("--seed", "random_state", type=int, default=0, help="Seed of the split, the samples and the scores.")
@shared.ALPHABET
@click.option("--savepath", metavar="FOLDER", default="runs", help="Where the folder compare goes; none saves nothing.")
@click.pass_context
def compare(ctx: click.Context, data: str, models: str | None, y: tuple[str, ...], **options: Any) -> None:
    """Fit several models to the sequences in DATA and compare them.

    All have the same training, validation and test sets, and are compared with simple baselines and with natural
    sequences. The table, a plot of it and all models are in runs/compare/ at the end.

    \b
    Examples:
      seqdiff compare promoters.fasta
      seqdiff compare promoters.csv --models masked-diffusion,autoregressive --epochs 20 --seeds 3
    """
    given = click.core.ParameterSource.COMMANDLINE
    options = {k: v for k, v in options.items() if k not in SHARED or ctx.get_parameter_source(k) is given}
    for name in ("validation", "test"):
        options[name] = shared.held_out(options[name], y, options["sequence_column"])
    if options["savepath"].lower() == "none":
        options["savepath"] = None
    table = run(None if models is None else comma_list(models), Path(data), shared.label_columns(y), **options)
    click.echo(f"{markdown(table)}\n\n{caption(table)}")
    if table.attrs["folder"] is not None:
        click.echo(f"folder: {table.attrs['folder']}")


compare.params += [option_of(SequenceGenerator, name, None) for name in SHARED]
compare.params += [
    option_of(SequenceGenerator, n) for n in ("length", "ambiguous", "gaps", "sequence_column", "verbose")
]


SHOWN_COLUMNS = ["guide", "gamma", "seed", "made", "condition", "kmer_js", "kmer_js_ratio", "diversity", "unique",
                 "copied", "calls", "seconds"]  # fmt: skip


@click.command()
@shared.MODEL
@click.option("--gammas", metavar="A,B,...", default="0,1,2,4", help="The strengths, separated by commas.")
@click.option(
    "--guide", metavar="GUIDE", multiple=True, default=("cfg",),
    help="How to steer, as in generate --guidance but without the strength: cfg, cbg:FILE:LABEL, ...; may be given"
    " several times.",
)  # fmt: skip
@click.option("--y", metavar="LABEL", multiple=True, help="The label of the sequences, as in generate.")
@click.option(
    "--judge", metavar="FILE[:LABEL]",
    help="A file of seqdiff classify to evaluate the sequences with: the mean probability of the label (without it that"
    " of --y), or the mean of the values that it predicts.",
)  # fmt: skip
@click.option("--natural", metavar="FILE", help="Natural sequences, to compare the new ones with.")
@click.option("--n", "-n", type=int, default=100, help="Sequences of each guide, strength and seed.")
@click.option("--seeds", type=int, default=1, help="Repetitions, each with a seed of its own.")
@shared.TEMPLATE
@shared.STEPS
@click.option("--out", "-o", metavar="FILE", help="A .csv file; without it sweep.csv in the run's folder.")
def sweep(
    model: str,
    gammas: str,
    guide: tuple[str, ...],
    y: tuple[str, ...],
    judge: str | None,
    natural: str | None,
    device: str,
    **options: Any,
) -> None:
    """Generate sequences with MODEL under guidance of several strengths, and compare them.

    Stronger guidance makes sequences that meet a condition more often, and are less diverse and less natural. The table
    goes to a .csv file after each row, a plot of it lies beside it.

    \b
    Examples:
      seqdiff sweep runs/chip --y ctcf --gammas 0,1,2,4 --natural peaks.fasta
      seqdiff sweep runs/mine --guide cbg:strength.safetensors:12.5 --judge judge.safetensors
    """
    from seqdiff.evaluation import plot_sweep
    from seqdiff.experiments import sweep as run

    generator = load(model, device=device)
    options["y"] = condition(generator, y)
    table = run(
        generator,
        {text: _maker(text, generator) for text in guide},
        _numbers(gammas),
        judge=None if judge is None else _judge(judge, y, generator),
        natural=None if natural is None else Path(natural),
        **{name: value for name, value in options.items() if value is not None},
    )
    click.echo(table[SHOWN_COLUMNS].dropna(axis=1, how="all").to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    if table.attrs["path"] is not None:
        plot = Path(table.attrs["path"]).with_suffix(".png")
        with replacing(plot) as name:
            plot_sweep(table).savefig(name, format="png")
        click.echo(f"plot: {plot}")


sweep.params += [option_of(SequenceGenerator, name) for name in ("device", "verbose")]


def _maker(text: str, model: SequenceGenerator) -> Callable[[float], list[Guidance]]:
    """Return a function from a strength to the guide, after a check that the text means one."""
    kind, _, rest = text.partition(":")
    files = [rest.rsplit(":", parts)[0] for parts in (1, 2)]
    if (kind == "cfg" and rest) or (kind in CLASSIFIERS and not Path(files[0]).exists() and Path(files[1]).exists()):
        found, wanted = f"{shown(text, 100)} with a strength", "none at its end, as --gammas gives them"
        raise InputError("--guide", found, wanted, "leave it out")
    read_guides([f"{text}:1"], model)
    return lambda gamma: read_guides([f"{text}:{gamma}"], model)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        wanted = "numbers separated by commas"
        raise InputError("--gammas", shown(text), wanted, "give some such as 0,1,2") from None


def _judge(text: str, y: tuple[str, ...], model: SequenceGenerator) -> Callable[[list[str]], np.ndarray]:
    """Return a function from sequences to probabilities of the label, or to predicted values."""
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
