"""The commands `design`, `order`, `evaluate` and `report`: from a model to what is ordered and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from seqdiff.classifiers.predictor import SequencePredictor
from seqdiff.cli import options as shared
from seqdiff.cli.commands import sampling, sampling_arguments
from seqdiff.cli.guiding import predictor_header
from seqdiff.cli.options import comma_list
from seqdiff.data import read_records
from seqdiff.design import DesignRules, Designs
from seqdiff.design.designs import unique_names
from seqdiff.errors import InputError
from seqdiff.estimators import load
from seqdiff.evaluation import evaluate as compared
from seqdiff.evaluation.evaluating import DISCRIMINATORS
from seqdiff.experiments import report as write_report

_RULES = (
    click.option("--vendor", metavar="NAME", help="Limits of twist, idt, genscript or agilent-pool, or a .json file."),
    click.option("--gc", type=float, nargs=2, metavar="LOW HIGH", help="Share of G and C, 0 to 1."),
    click.option(
        "--gc-window", type=(int, float, float), metavar="LETTERS LOW HIGH", help="The same in each window of letters."
    ),
    click.option("--max-homopolymer", type=int, help="Letters of the longest run of one letter."),
    click.option("--max-repeat", type=int, help="Letters of the longest stretch that may occur twice."),
    click.option("--max-hairpin", type=int, help="Letters of the longest stem of a hairpin."),
    click.option("--min-energy", type=float, help="Least folding energy in kcal/mol at 37 degrees C; slow."),
    click.option("--melting", type=float, nargs=2, metavar="LOW HIGH", help="Melting temperature in degrees C."),
    click.option("--order-length", type=int, nargs=2, metavar="LOW HIGH", help="Letters with the flanks."),
    click.option(
        "--avoid", metavar="MOTIF", multiple=True, help="A motif, an enzyme or a run, also across the flanks."
    ),
    click.option("--left-flank", default="", help="Letters that are ordered before each design."),
    click.option("--right-flank", default="", help="Letters that are ordered behind each design."),
)
"""The options of rules."""


def with_rules(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `DesignRules`."""
    for option in reversed(_RULES):
        command = option(command)
    return command


def read_rules(options: dict[str, Any]) -> DesignRules:
    """Return the rules of the options, which are taken out of `options`."""
    names = {"order_length": "length", "avoid": "forbid"}
    own = ("vendor", "gc", "gc_window", "max_homopolymer", "max_repeat", "max_hairpin", "min_energy", "melting")
    given = {names.get(name, name): options.pop(name) for name in (*own, *names, "left_flank", "right_flank")}
    given["forbid"] = [motif for text in given["forbid"] for motif in comma_list(text)]
    return DesignRules(**given)


@click.command()
@shared.MODEL
@click.argument("n", type=int)
@click.option("--out", "-o", metavar="FILE", required=True, help="A .csv file for the table of designs.")
@with_rules
@click.option("--train", type=shared.Source(), metavar="FILE", help="The training set, to measure how new designs are.")
@click.option(
    "--predictor",
    metavar="FILE",
    multiple=True,
    help="A file of seqdiff classify, whose prediction is listed; several.",
)
@click.option("--tries", type=float, default=20, help="At most this many times N sequences are sampled.")
@click.option("--no-scores", "scores", flag_value=False, default=True, help="Leave out the bits per letter: faster.")
@click.option("--prefix", default="design", help="The names are PREFIX-1, PREFIX-2, ...")
@sampling
def design(
    model: str,
    n: int,
    out: str,
    train: str | None,
    predictor: tuple[str, ...],
    y: tuple[str, ...],
    guidance: tuple[str, ...],
    forbid: tuple[str, ...],
    device: str,
    **options: Any,
) -> None:
    """Generate N sequences with MODEL that pass rules, as a table with their metrics and origin.

    --forbid keeps motifs out of the design itself; --avoid is checked in what is ordered, flanks included.

    \b
    Examples:
      seqdiff design runs/demo 96 --vendor twist --avoid BsaI,BsmBI --out designs.csv
      seqdiff design runs/demo 96 --gc 0.3 0.7 --left-flank GGTCTCA --right-flank TGAGACC -o designs.csv
      seqdiff design runs/demo 96 --predictor strength.safetensors --train promoters.csv -o designs.csv
    """
    path = shared.writable("--out", out, ".csv")
    rules = read_rules(options)
    generator = load(model, device=device)
    generator.verbose = 1
    designs = generator.design(
        n,
        rules,
        train=None if train is None else read_records(Path(train), sequence_column=generator.sequence_column),
        predictor=[_predictor(file) for file in predictor] or None,
        **sampling_arguments(generator, y, guidance, forbid),
        **options,
    )
    designs.to_csv(path)
    click.echo(f"{len(designs):,} designs in {out}; {designs.made}")


def _predictor(file: str) -> SequencePredictor:
    predictor_header(file)  # a sentence of its own where it is no predictor
    return SequencePredictor.load(file)


@click.command()
@click.argument("designs", type=shared.Source())
@click.option("--out", "-o", metavar="FILE", required=True, help="A .xlsx, .csv, .fasta or .gb file.")
@click.option("--plate", type=click.Choice(["96", "384"]), help="Wells of a plate; without it there are none.")
@click.option("--by", type=click.Choice(["row", "column"]), default="row", help="The order of the wells.")
@click.option("--partial", is_flag=True, help="Leave the last plate half filled.")
@click.option("--control", metavar="KIND=SEQUENCE", multiple=True, help="A sequence to add, such as wild-type=ACGT...")
@click.option("--left-flank", help="Letters before each design; default: those of the designs' rules.")
@click.option("--right-flank", help="Letters behind each design; default: those of the designs' rules.")
@click.option("--organism", help="Order DNA for designs of proteins, with the codons of e_coli, h_sapiens, ...")
@shared.ALPHABET
@shared.COLUMN
def order(
    designs: str,
    out: str,
    plate: str | None,
    control: tuple[str, ...],
    organism: str | None,
    alphabet: str,
    sequence_column: str | None,
    left_flank: str | None,
    right_flank: str | None,
    **options: Any,
) -> None:
    """Write the file that is sent to a vendor from DESIGNS.

    DESIGNS is a table of seqdiff design, or any file of sequences.

    \b
    Examples:
      seqdiff order designs.csv --plate 96 --out order.xlsx
      seqdiff order designs.csv --out order.gb --left-flank GGTCTCA --right-flank TGAGACC
    """
    table = Designs.read(Path(designs), alphabet=alphabet, sequence_column=sequence_column)
    if organism is not None:
        table = table.to_dna(organism)
    controls: dict[str, list[str]] = {}
    for text in control:
        kind, equals, sequence = text.partition("=")
        if not equals or not kind or not sequence:
            raise InputError("--control", repr(text), "KIND=SEQUENCE", "write wild-type=ACGT, say")
        controls.setdefault(kind, []).append(sequence)
    flanks = {"left_flank": left_flank, "right_flank": right_flank}
    given = {name: flank for name, flank in flanks.items() if flank is not None}
    table.to_order(
        Path(out), plate=None if plate is None else int(plate), controls=controls or None, **given, **options
    )
    click.echo(f"{len(table):,} designs in {out}")


@click.command()
@click.argument("generated", type=shared.Source(), nargs=-1, required=True)
@click.option("--reference", type=shared.Source(), required=True, metavar="FILE", help="Natural sequences.")
@click.option("--train", type=shared.Source(), metavar="FILE", help="The training set, to tell what was memorised.")
@click.option("--predictor", metavar="FILE", help="A file of seqdiff classify, for predicted values and hidden states.")
@click.option("--k", type=int, help="Letters of the k-mers compared; without it 6 for nucleotides.")
@click.option("--quick", is_flag=True, help="Without the convolutional discriminator, which takes most of the time.")
@click.option("--out", "-o", metavar="FILE", help="Also write the table, its intervals and the plot to a .html file.")
@click.option("--seed", "random_state", type=int, default=0, help="Seed of the division, subsamples and intervals.")
@shared.ALPHABET
@shared.COLUMN
def evaluate(
    generated: tuple[str, ...],
    reference: str,
    train: str | None,
    predictor: str | None,
    quick: bool,
    out: str | None,
    **options: Any,
) -> None:
    """Compare the sequences in each file of GENERATED with natural and with shuffled ones.

    \b
    Examples:
      seqdiff evaluate samples.fasta --reference test.fasta --train train.fasta
      seqdiff evaluate a.fasta b.fasta --reference natural.csv --out evaluation.html
    """
    path = None if out is None else shared.writable("--out", out, ".html")
    names = unique_names([Path(file).stem for file in generated])
    judged = compared(
        {name: Path(file) for name, file in zip(names, generated, strict=True)},
        Path(reference),
        train=None if train is None else Path(train),
        predictor=None if predictor is None else _predictor(predictor),
        discriminators=DISCRIMINATORS[:1] if quick else DISCRIMINATORS,
        **{name: value for name, value in options.items() if value is not None},
    )
    if path is not None:
        judged.write_html(path)
    click.echo(repr(judged))


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@click.option("--reference", type=shared.Source(), metavar="FILE", help="Natural sequences; default: the run's data.")
@click.option("--designs", type=shared.Source(), metavar="FILE", help="A table of seqdiff design.")
@click.option("--samples", type=shared.Source(), metavar="FILE", help="Sequences to judge; default: new ones.")
@click.option("--n", "-n", type=int, default=1000, help="Number of new sequences.")
@click.option("--out", "-o", metavar="FILE", help="The .html file; default: report.html in the run folder.")
@click.option("--seed", "random_state", type=int, default=0, help="Seed of the new sequences.")
def report(run: str, **options: Any) -> None:
    """Write one HTML file about RUN: data, training, samples, designs, how to repeat it.

    \b
    Examples:
      seqdiff report runs/demo
      seqdiff report runs/Autoregressive --designs designs.csv
    """
    files = ("reference", "designs", "samples", "out")
    given: dict[str, Any] = {
        name: Path(value) if name in files else value for name, value in options.items() if value is not None
    }
    click.echo(f"report: {write_report(Path(run), **given)}")
