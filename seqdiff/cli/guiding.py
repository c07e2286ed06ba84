"""What `--guidance` says, such as ``cbg:classifier.safetensors:strong:2``, as guides of the library."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from seqdiff import guidance as guides
from seqdiff.classifiers import SequenceClassifier, SequenceRegressor
from seqdiff.classifiers.predictor import SequencePredictor
from seqdiff.cli.options import options_of
from seqdiff.data import Target, read_records
from seqdiff.data.split import share_of
from seqdiff.errors import InputError, shown
from seqdiff.estimators import load
from seqdiff.files import ModelFile

FORMS = "cfg:2, cbg:FILE:LABEL:GAMMA, cbg-exact:..., fudge:..., nos:..., pplm:..., latent:... and look-ahead:16"


def _exactly(classifier: Any, y: Any, gamma: float) -> Any:
    return guides.ClassifierBased(classifier, y, gamma, exact=True)


CLASSIFIERS: dict[str, Callable[[Any, Any, float], Any]] = {
    "cbg": guides.ClassifierBased,
    "cbg-exact": _exactly,
    "fudge": guides.FUDGE,
    "nos": guides.NOS,
    "pplm": guides.PPLM,
    "latent": guides.LatentClassifier,
}
"""Guides that follow a file of `seqdiff classify`."""


def read_guides(texts: Sequence[str], model: Any) -> list[Any]:
    """Return the guides that texts of `--guidance` mean for a generator.

    Raises
    ------
    InputError
        If a text is none of the forms, or its file is none that can guide this generator.

    Examples
    --------
    >>> cfg, ahead = read_guides(["cfg:1.5", "look-ahead"], None)
    >>> cfg.gamma, ahead.copies
    (1.5, 16)
    """
    return [_guide(text, model) for text in texts]


def _guide(text: str, model: Any) -> Any:
    kind, _, rest = text.partition(":")
    if kind == "cfg":
        return guides.ClassifierFree(_number(rest, float, text, "cfg:GAMMA, such as cfg:2") if rest else 2.0)
    if kind == "look-ahead":
        wanted = "look-ahead:PARTICLES, such as look-ahead:16"
        return guides.LookAhead(_number(rest, int, text, wanted)) if rest else guides.LookAhead()
    if kind not in CLASSIFIERS:
        raise InputError("--guidance", shown(text), "a guide that seqdiff knows", f"give one of {FORMS}")
    wanted = f"{kind}:FILE:LABEL:GAMMA, such as {kind}:classifier.safetensors:strong:2"
    parts = rest.rsplit(":", 2)  # the name of a file may hold colons
    if len(parts) < 3 or not all(parts):
        raise InputError("--guidance", shown(text), "a file, a label and a strength", f"write {wanted}")
    file, label, gamma = parts
    strength = _number(gamma, float, text, wanted)
    if predictor_header(file)["noise"] == "Clean":
        found, wanted = "a predictor that learned from clean sequences", "one that can guide a generator"
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
        found = f"a {header['class']}, which writes sequences"
        raise InputError(file, found, "a model that judges them", f"give {wanted}")
    return header


def label_of(predictor: Any, text: str) -> Any:
    """Return the label that a text means to a predictor: a class, or a number."""
    if predictor.kind == "class":
        return text
    try:
        return float(text)
    except ValueError:
        wanted = "a number, as a SequenceRegressor predicts numbers"
        raise InputError("the label", shown(text), wanted, "give one") from None


def _number(text: str, kind: Callable[[str], Any], whole: str, wanted: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError("--guidance", f"{text!r} in {shown(whole)}", "a number there", f"write {wanted}") from None


# The command `classify`: what guides a generator, learned from labelled sequences.


OWN_OF_CLASSIFY = ("noise_like", "hidden", "verbose")  # which the command says in its own way


@click.command()
@click.argument("data", metavar="DATA")
@click.option("--y", metavar="COLUMN", required=True, help="The column of labels to learn.")
@click.option(
    "--out", "-o", metavar="FILE", required=True, help="Where to write it, a name that ends in .safetensors."
)  # fmt: skip
@click.option(
    "--noise-like", metavar="MODEL",
    help="The run folder or model file of the generator to guide, whose noise to learn from; without it the sequences"
    " are learned as they are, and no generator can be guided.",
)  # fmt: skip
@click.option("--hidden", is_flag=True, help="Read that generator's hidden states, for the guides nos and pplm.")
@click.option(
    "--target", type=click.Choice(["auto", "class", "value"]), default="auto",
    help="How to read the labels; auto takes decimal numbers for values.",
)  # fmt: skip
@click.option("--validation", metavar="SHARE", type=float, default=0.1, help="Share of the sequences to hold out.")
@click.option("--verbose", type=int, default=1, help="0 hides progress bars and messages.")
def classify(
    data: str,
    y: str,
    out: str,
    noise_like: str | None,
    hidden: bool,
    target: str,
    validation: float,
    **settings: Any,
) -> None:
    """Learn to tell the labels of the sequences in DATA, to guide a generator by them.

    With --noise-like it learns from sequences that this generator has noised; seqdiff generate --guidance then takes
    the file. The generator need not have seen any labels. Decimal numbers are predicted, anything else is classified.

    \b
    Examples:
      seqdiff classify promoters.csv --y strength --noise-like runs/mine --out strength.safetensors
      seqdiff generate runs/mine 100 --guidance cbg:strength.safetensors:12.5:3
    """
    if Path(out).suffix != ".safetensors" or not (Path(out).absolute().parent.is_dir()):
        wanted = "a name that ends in .safetensors, in a folder that is there"
        raise InputError("--out", shown(out), wanted, "give such a name")
    share_of("validation", validation)
    records = read_records(Path(data), y, sequence_column=settings["sequence_column"], kind=target)
    kind = Target().fit(records.y).kind if target == "auto" else target
    generator = None if noise_like is None else load(noise_like, device=settings["device"])
    make: Any = SequenceRegressor if kind == "value" else SequenceClassifier
    predictor = make(noise_like=generator, hidden=hidden, **settings)
    predictor.fit(records, None, validation=validation)
    predictor.save(out)
    for line in _fitted(predictor, out, noise_like):
        click.echo(line)


classify.params += options_of(SequenceClassifier, dict.fromkeys(OWN_OF_CLASSIFY))


def _fitted(predictor: Any, out: str, generator: str | None) -> list[str]:
    """Return what came out, and what to do with it."""
    if predictor.kind == "class":
        lines = [f"classes: {', '.join(map(str, predictor.classes_))}"]
        label, figure = str(predictor.classes_[-1]), "cross-entropy"
    else:
        lines = [f"values: mean {predictor.target_.mean_[0]:.4g}, standard deviation {predictor.target_.scale_[0]:.4g}"]
        label, figure = f"{predictor.target_.mean_[0]:.4g}", "minus log-density of the standardised values"
    if bound := predictor.evaluations_["bound"]:
        where = "" if generator is None else ", averaged over the noise"
        lines.append(f"held-out {figure}: {min(bound):.4f} nats{where}")
    lines.append(f"file: {out}")
    if generator is not None:
        writes = predictor.process_.classifier_reads == "prefixes"
        kind = {(False, False): "cbg", (True, False): "fudge", (False, True): "nos", (True, True): "pplm"}
        guide = shlex.quote(f"{kind[writes, predictor.hidden]}:{out}:{label}:2")
        lines.append(f"next: seqdiff generate {shlex.quote(generator)} 1000 --guidance {guide} --out samples.fasta")
    return lines
