"""What `--guidance` says, such as ``cbg:classifier.safetensors:strong:2``, as guides of the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seqdiff import guidance as guides
from seqdiff.estimators.predictor import SequencePredictor
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
    ValueError
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
        raise ValueError(f"--guidance {text!r} is not known; give one of {FORMS}")
    wanted = f"{kind}:FILE:LABEL:GAMMA, such as {kind}:classifier.safetensors:strong:2"
    parts = rest.rsplit(":", 2)  # the name of a file may hold colons
    if len(parts) < 3 or not all(parts):
        raise ValueError(f"--guidance {text!r} is not possible; write {wanted}")
    file, label, gamma = parts
    strength = _number(gamma, float, text, wanted)
    if predictor_header(file)["noise"] == "Clean":
        raise ValueError(
            f"{file} learned from clean sequences, and guides no generator; give one of seqdiff classify --noise-like"
        )
    classifier = SequencePredictor.load(file, noise_like=model)
    return CLASSIFIERS[kind](classifier, label_of(classifier, label), strength)


def predictor_header(file: str) -> dict[str, Any]:
    """Return the header of a file of `seqdiff classify`.

    Raises
    ------
    ValueError
        If it is none.
    """
    wanted = "a file of seqdiff classify"
    header = ModelFile.find(file, wanted).header
    if "noise" not in header:
        raise ValueError(f"{file} holds a {header['class']}, which writes sequences; give {wanted}")
    return header


def label_of(predictor: Any, text: str) -> Any:
    """Return the label that a text means to a predictor: a class, or a number."""
    if predictor.kind == "class":
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"the label {text!r} is no number, but a SequenceRegressor predicts numbers; give one"
        ) from None


def _number(text: str, kind: Callable[[str], Any], whole: str, wanted: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"--guidance {whole!r} is not possible: {text!r} is no number; write {wanted}") from None
