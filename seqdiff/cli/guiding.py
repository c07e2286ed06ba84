"""Guides from texts such as ``cbg:classifier.safetensors:strong:2``, and the command `classify`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from seqdiff import guidance as guides
from seqdiff.classifiers import SequenceClassifier, SequenceRegressor
from seqdiff.classifiers.predictor import SequencePredictor
from seqdiff.cli import options as shared
from seqdiff.cli.options import options_of
from seqdiff.data import Target, read_records
from seqdiff.errors import InputError, shown
from seqdiff.estimators import SequenceGenerator, load
from seqdiff.files import ModelFile
from seqdiff.inputs import LabelsLike

N = TypeVar("N", int, float)
FORMS = "cfg:2, cbg:FILE:LABEL:GAMMA, cbg-exact:..., fudge:..., nos:..., pplm:..., latent:... and look-ahead:16"


CLASSIFIERS: dict[str, Callable[[SequencePredictor, LabelsLike, float], guides.Guidance]] = {
    "cbg": guides.ClassifierBased,
    "cbg-exact": partial(guides.ClassifierBased, exact=True),
    "fudge": guides.FUDGE,
    "nos": guides.NOS,
    "pplm": guides.PPLM,
    "latent": guides.LatentClassifier,
}
"""Guides that follow a file of `seqdiff classify`."""


def read_guides(texts: Sequence[str], model: SequenceGenerator | None) -> list[guides.Guidance]:
    """Return the guides of a generator from texts of `--guidance`.

    Raises
    ------
    InputError
        If a text has none of the forms, or its file holds no predictor that can guide this generator.

    Examples
    --------
    >>> cfg, ahead = read_guides(["cfg:1.5", "look-ahead"], None)
    >>> cfg.gamma, ahead.copies
    (1.5, 16)
    """
    return [_guide(text, model) for text in texts]


def _guide(text: str, model: SequenceGenerator | None) -> guides.Guidance:
    kind, _, rest = text.partition(":")
    if kind == "cfg":
        return guides.ClassifierFree(_number(rest, float, text, "cfg:GAMMA, such as cfg:2") if rest else 2.0)
    if kind == "look-ahead":
        wanted = "look-ahead:PARTICLES, such as look-ahead:16"
        return guides.LookAhead(_number(rest, int, text, wanted)) if rest else guides.LookAhead()
    if kind not in CLASSIFIERS:
        raise InputError("--guidance", shown(text), "a known guide", f"give one of {FORMS}")
    wanted = f"{kind}:FILE:LABEL:GAMMA, such as {kind}:classifier.safetensors:strong:2"
    parts = rest.rsplit(":", 2)  # the name of a file may hold colons
    if len(parts) < 3 or not all(parts):
        raise InputError("--guidance", shown(text), "a file, a label and a strength", f"write {wanted}")
    file, label, gamma = parts
    strength = _number(gamma, float, text, wanted)
    if predictor_header(file)["noise"] == "Clean":
        found, wanted = "a predictor fitted to clean sequences", "one that can guide a generator"
        raise InputError(file, found, wanted, "give one of seqdiff classify --noise-like")
    classifier = SequencePredictor.load(file, noise_like=model)
    return CLASSIFIERS[kind](classifier, label_of(classifier, label), strength)


def predictor_header(file: str) -> dict[str, Any]:
    """Return the header of a file of `seqdiff classify`.

    Raises
    ------
    InputError
        If it is none.
    """
    wanted = "a file of seqdiff classify"
    header = ModelFile.find(file, wanted).header
    if "noise" not in header:
        found = f"a {header['class']}, which generates sequences"
        raise InputError(file, found, "a model that predicts labels", f"give {wanted}")
    return header


def label_of(predictor: SequencePredictor, text: str) -> str | float:
    """Return a label of a predictor from a text: a class, or a number."""
    if predictor.kind == "class":
        return text
    try:
        return float(text)
    except ValueError:
        wanted = "a number, as a SequenceRegressor predicts numbers"
        raise InputError("the label", shown(text), wanted, "give one") from None


def _number(text: str, kind: Callable[[str], N], whole: str, wanted: str) -> N:
    try:
        return kind(text)
    except ValueError:
        raise InputError("--guidance", f"{text!r} in {shown(whole)}", "a number there", f"write {wanted}") from None


@click.command()
@shared.DATA
@click.option("--y", metavar="COLUMN", required=True, help="The column of labels to learn.")
@click.option("--out", "-o", metavar="FILE", required=True, help="The file to write, which ends in .safetensors.")
@click.option(
    "--noise-like", metavar="MODEL",
    help="The run folder or model file of the generator to guide, to train on its noise; without it the predictor"
    " is fitted to clean sequences, and cannot guide a generator.",
)  # fmt: skip
@click.option("--hidden", is_flag=True, help="Read that generator's hidden states, for the guides nos and pplm.")
@click.option(
    "--target", type=click.Choice(["auto", "class", "value"]), default="auto",
    help="How to read the labels; auto takes decimal numbers for values.",
)  # fmt: skip
@click.option("--validation", metavar="SHARE", type=float, default=0.1, help="Share of the sequences to hold out.")
@click.option("--verbose", type=int, default=1, help="0 hides progress bars and messages.")
def classify(
    data: str, y: str, out: str, noise_like: str | None, target: str, validation: float, **settings: Any
) -> None:
    """Fit a classifier or a regressor to labelled sequences in DATA, to guide a generator.

    With --noise-like it is fitted to sequences noised by this generator; seqdiff generate --guidance then takes the
    file. The generator need not have learned labels. Decimal numbers are predicted, anything else is classified.

    \b
    Examples:
      seqdiff classify promoters.csv --y strength --noise-like runs/mine --out strength.safetensors
      seqdiff generate runs/mine 100 --guidance cbg:strength.safetensors:12.5:3
    """
    shared.writable("--out", out, ".safetensors")
    records = read_records(Path(data), y, sequence_column=settings["sequence_column"], kind=target)
    kind = Target.fit(records.y).kind if target == "auto" else target
    generator = None if noise_like is None else load(noise_like, device=settings["device"])
    make: Any = SequenceRegressor if kind == "value" else SequenceClassifier
    predictor = make(noise_like=generator, **settings)
    predictor.fit(records, None, validation=validation)
    predictor.save(out)
    click.echo("\n".join(_fitted(predictor, out, noise_like)))


classify.params += options_of(SequenceClassifier, [param.name for param in classify.params])


def _fitted(predictor: SequencePredictor, out: str, generator: str | None) -> list[str]:
    """Return the lines that report a fit: the labels, the validation loss, and the next command."""
    target: Any = predictor.target_
    if predictor.kind == "class":
        lines = [f"classes: {', '.join(map(str, target.classes_))}"]
        label, loss = str(target.classes_[-1]), "cross-entropy"
    else:
        lines = [f"values: mean {target.mean_[0]:.4g}, standard deviation {target.scale_[0]:.4g}"]
        label, loss = f"{target.mean_[0]:.4g}", "minus log-density of the standardised values"
    if bound := predictor.evaluations_["bound"]:
        where = "" if generator is None else ", averaged over the noise"
        lines.append(f"held-out {loss}: {min(bound):.4f} nats{where}")
    lines.append(f"file: {out}")
    if generator is not None:
        writes = predictor.process_.classifier_reads == "prefixes"
        kind = {(False, False): "cbg", (True, False): "fudge", (False, True): "nos", (True, True): "pplm"}
        guide = shlex.quote(f"{kind[writes, predictor.hidden]}:{out}:{label}:2")
        lines.append(f"next: seqdiff generate {shlex.quote(generator)} 1000 --guidance {guide} --out samples.fasta")
    return lines
