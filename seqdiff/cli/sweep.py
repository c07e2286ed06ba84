"""The command `sweep`: guides of several strengths, what each gains and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from seqdiff.cli.commands import condition
from seqdiff.cli.guiding import CLASSIFIERS, label_of, predictor_header, read_guides
from seqdiff.cli.options import option_of
from seqdiff.estimators import SequenceGenerator, load
from seqdiff.estimators.predictor import SequencePredictor
from seqdiff.runtime import replacing

SHOWN = ["guide", "gamma", "seed", "made", "condition", "kmer_js", "kmer_js_ratio", "diversity", "unique", "copied",
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
    from seqdiff.comparison import sweep as run
    from seqdiff.evaluation import plot_sweep

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
    click.echo(table[SHOWN].dropna(axis=1, how="all").to_string(index=False, float_format=lambda x: f"{x:.4g}"))
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
        raise ValueError(f"--guide {text!r} ends in a strength, but --gammas gives them; leave it out")
    read_guides([f"{text}:1"], model)
    return lambda gamma: read_guides([f"{text}:{gamma}"], model)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--gammas {text!r} is not possible; give numbers with commas between, such as 0,1,2"
        ) from None


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
        raise ValueError(f"--judge {text!r} names no label to look for; give FILE:LABEL")
    number = int(predictor.encode(label_of(predictor, label))[0])
    return lambda sequences: np.asarray(predictor.predict_proba(sequences))[:, number]
