"""The commands `info` and `check`: what is in a run folder, a model file, a store or a file; faults of data."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from safetensors import safe_open

from seqdiff.cli import options as shared
from seqdiff.data import (
    Alphabet,
    LengthDistribution,
    Store,
    Target,
    Targets,
    check_data,
    is_store,
    learn_target,
    prepare,
    read_records,
    resolve_alphabet,
    target_from_dict,
)
from seqdiff.data.checking import DEFAULT_WEIGHTS
from seqdiff.data.reading import EXCEL, frame_of_excel
from seqdiff.errors import InputError
from seqdiff.estimators.loading import kebab
from seqdiff.evaluation import gc_content
from seqdiff.files import ModelFile
from seqdiff.hub import WEIGHTS, local_folder
from seqdiff.runs import Run, best_evaluation


@click.command()
@click.argument("path", type=shared.Source())
@shared.COLUMN
def info(path: str, sequence_column: str | None) -> None:
    """Describe PATH: a run folder, a model file, a shared model, a store, or a file of sequences.

    \b
    Examples:
      seqdiff info promoters.csv
      seqdiff info runs/demo
      seqdiff info hf://owner/name
    """
    given = local_folder(path)
    if given.is_dir() and (given / WEIGHTS).is_file():
        lines = _of_model(given)
    elif is_store(given):
        lines = _of_store(given)
    elif given.is_dir():
        lines = _of_run(given)
    elif given.suffix == ".safetensors":
        lines = _of_model(given)
    else:
        lines = _of_data(given, sequence_column)
    rows = [(name, value) for name, value in lines if value]
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        click.echo(f"{name + ':':<{width}}{value}")


@click.command()
@shared.DATA
@shared.LABELS
@shared.ALPHABET
@shared.COLUMN
@click.option("--validation", metavar="SHARE", default=0.1, help="Share of the sequences that fit will hold out.")
@click.option("--ambiguous", type=click.Choice(["error", "drop"]), default="error", help="As of fit.")
@click.option("--gaps", type=click.Choice(["error", "drop"]), default="error", help="As of fit.")
@click.option("--target", default="auto", help="How to read the labels: auto, class, value or signal.")
@click.option(
    "--weights", type=int, default=DEFAULT_WEIGHTS, help="Weights of the network, which fit states when it begins."
)
@click.option("--random-state", type=int, default=0, help="Seed of the split, as of fit.")
@click.pass_context
def check(context: click.Context, data: str, y: tuple[str, ...], **options: Any) -> None:
    """Check the sequences in DATA for what a fit refuses or suffers from.

    Prints a table of findings, those that need action with an exclamation mark and the action below. The exit status is
    0 where nothing needs action, else 1.

    \b
    Examples:
      seqdiff check promoters.fasta
      seqdiff check promoters.csv --y strength
      seqdiff check promoters.fasta && seqdiff fit promoters.fasta
    """
    found = check_data(Path(data), shared.label_columns(y), **options)
    click.echo(repr(found))
    context.exit(0 if found.ok else 1)


def _of_store(path: Path) -> Iterator[tuple[str, str]]:
    store = Store(path)
    store.check()
    lengths = store.lengths
    yield "store", str(path)
    yield "made of", store.source
    yield "sequences", f"{store.n:,}"
    yield "alphabet", _letters(store.alphabet)
    varied = f"{lengths.min()} to {store.longest}, mean {lengths.mean():.1f}"
    yield "lengths", f"all {store.longest}" if store.fixed else varied
    for column in store.columns:
        labels = store.y(column.name)
        yield f"label {column.name}", _labels(learn_target(labels))
    yield "size", f"{sum(store.sizes.values()) / 1e6:,.1f} MB, as it was written"


def _of_run(folder: Path) -> Iterator[tuple[str, str]]:
    run = Run(folder)
    args = run.read_args()
    if args is None:
        raise InputError(str(folder), "a folder without args.json of seqdiff's", "a run folder", "give one, or a file")
    yield "run folder", str(folder)
    yield "status", _status(run, args)
    yield "training set", f"{args.get('sequences', 0):,} sequences of {args.get('source', 'unknown')}"
    if best := best_evaluation(run.read_evaluations()):
        yield "best validation", f"{best['bits_per_letter']:.4f} bits per letter, in epoch {best['epoch']:.0f}"
    if run.model.is_file():
        yield from _of_model(run.model)
    else:
        yield "model", "none yet"
    written = sorted(p.name for p in run.samples.glob("*") if p.is_file() and not p.name.startswith("."))
    yield "samples", ", ".join(written[:8]) + (f" ... ({len(written)} in all)" if len(written) > 8 else "")


def _status(run: Run, args: dict[str, Any]) -> str:
    """Return the status in args.json; for an unfinished run, also whether a process holds its lock."""
    if run.finished or not (run.path / ".lock").is_file():
        return str(args.get("status", "unknown"))
    try:
        run.acquire()
    except ValueError:
        return "running"
    except OSError:  # a folder that may only be read
        return "not finished"
    run.release()
    if not run.checkpoint.is_file():
        return "interrupted before its first checkpoint"
    return "interrupted; the same seqdiff fit with --resume resumes it"


def _of_model(path: Path) -> Iterator[tuple[str, str]]:
    file = ModelFile.find(path)
    path, header = file.path, file.header
    known = LengthDistribution.from_dict(header["length_law"])
    yield "model", f"{header['class']} ({kebab(header['class'])})" if file.generates else str(header["class"])
    yield "network", str(header["parameters"].get("network", "its own"))
    yield "alphabet", _letters(Alphabet.from_dict(header["alphabet"]))
    lengths = np.flatnonzero(known.counts) + 1
    yield "lengths", f"{lengths[0]}" if known.fixed else f"{lengths[0]} to {lengths[-1]}"
    yield "labels", _labels(None if header["target"] is None else target_from_dict(header["target"]))
    if file.generates:
        yield "trained on", f"{header['n_train']:,} sequences"
    else:
        yield "noise", "none" if header["noise"] == "Clean" else f"that of a {header['noise']} generator"
    with safe_open(path, framework="pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 - not a dict
    size = sum(int(np.prod(shape)) for shape in shapes)
    yield "size", f"{size:,} weights, {path.stat().st_size / 1e6:.1f} MB"


def _labels(target: Target | None) -> str:
    if target is None:
        return "none"
    if isinstance(target, Targets):
        return "; ".join(f"{name}: {_labels(t)}" for name, t in zip(target.names, target.columns, strict=True))
    if target.kind == "class":
        names = [str(name) for name in target.classes_]
        return "classes " + ", ".join(names[:10]) + (f" ... ({len(names)} in all)" if len(names) > 10 else "")
    if target.kind == "value":
        return "numbers, mean " + ", ".join(f"{mean:.4g}" for mean in target.mean_[:10])
    return f"a signal of {target.n_columns} channel{'s' * (target.n_columns != 1)}"


def _letters(alphabet: Alphabet) -> str:
    if alphabet.shape is not None:
        return alphabet.described
    if alphabet.name != "custom":
        return alphabet.name
    shown = alphabet.letters[:60]
    separator = "" if all(len(letter) == 1 for letter in shown) else " "
    return f"{len(alphabet)} letters: {separator.join(shown)}"


def _of_data(path: Path, sequence_column: str | None) -> Iterator[tuple[str, str]]:
    records = read_records(path, sequence_column=sequence_column)
    if records.grid is not None:
        images = records.grid.alphabet("auto", records.source)
        yield "file", str(path)
        yield "images", f"{len(records.sequences):,} of {' x '.join(map(str, records.grid.shape))}"
        yield "levels", f"{len(images)}, 0 to {records.grid.largest}"
        yield "duplicates", f"{len(records.sequences) - len(set(records.sequences)):,}"
        return
    notes: tuple[str, ...] = ()
    alphabet = None
    try:
        alphabet = resolve_alphabet("auto", records.sequences)
    except ValueError:
        sequences = [sequence.strip() for sequence in records.sequences]
        letters = "".join(sorted(set("".join(sequences))))
        guess = f"none of dna, rna, protein; its {len(letters)} letters are {letters} (fit with --alphabet {letters!r})"
    else:
        data = prepare(records, alphabet=alphabet, ambiguous="drop", gaps="drop")  # a pipe is read once
        notes, sequences, guess = data.notes, data.sequences, f"{alphabet.name} (guessed)"
    lengths = np.array([len(sequence) for sequence in sequences])
    yield "file", str(path)
    yield "sequences", f"{len(records.sequences):,}"
    yield "alphabet", guess
    if len(set(lengths.tolist())) == 1:
        yield "lengths", f"all {lengths[0]}"
    else:
        yield "lengths", f"{lengths.min()} to {lengths.max()}, median {np.median(lengths):.0f}"
    if alphabet is not None and alphabet.name in ("dna", "rna"):
        share = 100 * gc_content(sequences)
        yield "GC content", f"{share.mean():.1f}% (standard deviation {share.std():.1f}%)"
    yield "duplicates", f"{len(sequences) - len(set(sequences)):,}"
    for note in notes:
        for what, option in {"left out for ambiguity": "--ambiguous drop", "gaps were taken": "--gaps drop"}.items():
            if what in note:
                yield "note", f"{note}; fit refuses them unless it has {option}"
    yield from _columns(path)


def _columns(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the columns of a table, with the kind of label that `fit --y` would read in each."""
    import pandas as pd

    endings = [ending.lower() for ending in path.suffixes[-2:]]
    if {".parquet", ".pq"} & set(endings[-1:]):
        table = pd.read_parquet(path)
    elif set(EXCEL) & set(endings[-1:]):
        table, _ = frame_of_excel(str(path), str(path))
    elif {".csv", ".tsv", ".tab"} & set(endings):
        try:
            table = pd.read_csv(path, sep=None, engine="python")
        except (ValueError, csv.Error):  # pandas finds no separator; the sequences could be read
            return
    else:
        return
    for name in table.columns:
        column = table[name].dropna()
        missing = len(table) - len(column)
        if column.dtype.kind in "f":
            what = f"numbers, {column.min():.4g} to {column.max():.4g}"
        else:
            what = f"{'whole numbers' if column.dtype.kind in 'iu' else 'text'}, {column.nunique():,} different"
            if column.nunique() <= 8:
                what += ": " + ", ".join(f"{value} ({count:,})" for value, count in column.value_counts().items())
        yield f"column {name}", what + (f"; {missing:,} missing" if missing else "")
