"""Models as folders of the Hugging Face hub: the model file, readable settings, and a model card made from the run.

    model.safetensors   what `save` writes, and the only file that `seqdiff.load` reads
    config.json         class, parameters, letters, lengths, labels, versions, and what is recorded of the training
    README.md           the model card, with the hub's header

What no record says is "not recorded"; a licence that the user does not state is "not stated".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqdiff.errors import InputError, argument, shorten, shown
from seqdiff.estimators.loading import kebab
from seqdiff.files import FORMAT_VERSION, version
from seqdiff.hub import WEIGHTS
from seqdiff.inputs import PathLike
from seqdiff.parameters import parameters_of
from seqdiff.runs import Run, best_evaluation
from seqdiff.runtime import replacing
from seqdiff.training.trainer import VALIDATION_ROWS

if TYPE_CHECKING:
    from seqdiff.estimators.base import GeneratorBase

UNKNOWN = "not recorded"
NOT_SHARED = ("savepath", "model_name", "alphabet")
"""Parameters that say nothing of the model, or stand in config.json themselves."""
BOUNDS = {
    "exact": "from exact likelihoods",
    "elbo": "an upper bound",
    None: "the training loss: this kind of model has no likelihood",
}


def write_folder(
    model: GeneratorBase, header: Mapping[str, Any], folder: PathLike, licence: str | None, name: str = "OWNER/NAME"
) -> None:
    """Write the three files of a fitted model to a folder, which is made if needed.

    Parameters
    ----------
    model : GeneratorBase
        Fitted.
    header : mapping
        Class, module and parameters, as in the model file.
    folder : path
    licence : str or None
        As of `save_pretrained`.
    name : str
        That of the repository.
    """
    check_licence(licence)
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        raise InputError(argument("folder"), f"the file {str(path)!r}", "a folder", "give another name")
    own = parameters_of(type(model))
    defaults = {name: own[name].default for name in ("savepath", "model_name")}  # no folders of the user's machine
    header = {**header, "parameters": {**header["parameters"], **defaults}}
    config = describe(model, header)
    model.fitted().to_file(path / WEIGHTS, header)
    texts = {"config.json": json.dumps(config, indent=2) + "\n", "README.md": card(config, licence, name)}
    for file, text in texts.items():
        with replacing(path / file) as temporary:
            temporary.write_text(text, encoding="utf-8")


def check_licence(licence: str | None) -> None:
    """Raise an `InputError` for what is no identifier of a licence."""
    if licence is not None and not (isinstance(licence, str) and re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence)):
        wanted = "an identifier of the hub such as 'mit', 'apache-2.0', 'cc-by-4.0' or 'other', or None"
        raise InputError(argument("licence"), shown(licence), wanted, "give one in small letters")


def describe(model: GeneratorBase, header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of config.json; `header` as of `write_folder`."""
    vocabulary = model.fitted().vocabulary
    alphabet, lengths, target = vocabulary.alphabet, vocabulary.lengths, vocabulary.target
    known = (lengths.counts > 0).nonzero()[0] + 1
    parameters = {k: v for k, v in header["parameters"].items() if k not in NOT_SHARED}
    return {
        "library": "seqdiff",
        "seqdiff_version": version(),
        "format_version": FORMAT_VERSION,
        "class": header["class"],
        "module": header["module"],
        "parameters": parameters,
        "alphabet": {"name": alphabet.name, "letters": list(alphabet.letters)},
        "lengths": {"shortest": int(known[0]), "longest": int(known[-1])},
        "labels": None if target is None else {"kind": target.kind, "classes": getattr(target, "classes_", None)},
        "weights": sum(p.numel() for p in model.objective_.parameters()),
        "training": training_record(model),
    }


def training_record(model: GeneratorBase) -> dict[str, Any]:
    """Return what is recorded of the training, None for what is not: of this fit, and in the run folder."""
    run = None if model.run_dir_ is None else Run(model.run_dir_)
    args: dict[str, Any] = (run.read_args() if run else None) or {}
    record = {
        "sequences": args.get("sequences") or model.n_train_ or None,
        "source": Path(str(args["source"])).name if "source" in args else None,  # no folders of the user's machine
        "held_out": args.get("held_out"),
        "epochs": args.get("epochs"),
        "seed": args.get("parameters", {}).get("random_state"),
        "status": args.get("status"),
        "seqdiff_version": args.get("version"),
    }
    table = model.evaluations_ if hasattr(model, "evaluations_") else run.read_evaluations() if run else {}
    row = best_evaluation(table)
    names = ("epoch", "bound", "bits_per_letter", "cpu_seconds")
    best = {name: row[name] for name in names if name in row} if row else dict.fromkeys(names)
    return record | {"validation": best, "bound": model.bound_}


def card(config: Mapping[str, Any], licence: str | None, name: str) -> str:
    """Return the model card, in Markdown with a header in YAML; `config` as of `describe`."""
    training, alphabet, labels = config["training"], config["alphabet"], config["labels"]
    tags = ["seqdiff", kebab(config["class"]), "sequence-generation", re.sub(r"[^a-z0-9-]+", "-", alphabet["name"])]
    header = ["---", *([f"license: {licence}"] if licence else []), "library_name: seqdiff"]
    header += ["pipeline_tag: text-generation", "tags:", *(f"- {tag}" for tag in dict.fromkeys(tags)), "---"]
    best = training["validation"]
    bits = "none" if training["held_out"] == 0 else UNKNOWN
    if best["bits_per_letter"] is not None:
        bits = f"{best['bits_per_letter']:.4f} bits per letter, {best['bound']:.2f} nats per sequence"
        bits += f" ({BOUNDS[training['bound']]}; estimated on at most {VALIDATION_ROWS} held-out sequences)"
    shortest, longest = config["lengths"]["shortest"], config["lengths"]["longest"]
    network = config["parameters"].get("network")
    rows = {
        "Generator": f"`{config['class']}`, network `{network}`, {config['weights']:,} weights",
        "Letters": f"{alphabet['name']}, {len(alphabet['letters'])}: " + shorten(" ".join(alphabet["letters"]), 120),
        "Letters of a sequence": f"{shortest}" if shortest == longest else f"{shortest} to {longest}",
        "Labels": _labels(labels),
        "Trained on": _count(training["sequences"], training["source"]),
        "Held out for validation": UNKNOWN if training["held_out"] is None else f"{training['held_out']:,} sequences",
        "Validation": bits,
        "Epochs": UNKNOWN if training["epochs"] is None else _epochs(training),
        "Seed": UNKNOWN if training["seed"] is None else str(training["seed"]),
        "seqdiff": f"{training['seqdiff_version'] or UNKNOWN} (training), {config['seqdiff_version']} (this file)",
        "Licence": licence or "not stated: ask the owner before you use it",
    }
    y = "" if labels is None else ", y=..."
    table = "\n".join(f"| {key} | {_cell(value)} |" for key, value in rows.items())
    return (
        "\n".join(header)
        + f"""

# {config["class"]} of {alphabet["name"]} sequences

A generator of sequences made with [seqdiff](https://pypi.org/project/seqdiff/).

| | |
|---|---|
{table}

## Use

```python
import seqdiff  # pip install "seqdiff[hub]"

model = seqdiff.load("hf://{name}")
model.generate(10{y})
```

`model.safetensors` is all that is read; nothing of this repository is run. The parameters of the training are in
`config.json`.
"""
    )


def _count(sequences: int | None, source: str | None) -> str:
    if not sequences:
        return UNKNOWN
    where = "" if source is None else " given in Python" if source == "X" else f" of `{source}`"
    return f"{sequences:,} sequences{where}"


def _epochs(training: Mapping[str, Any]) -> str:
    best = training["validation"]["epoch"]
    unfinished = "" if training["status"] == "finished" else ", not finished"
    return f"{training['epochs']}{unfinished}" + (
        "" if best is None else f"; the weights are those of epoch {best:.0f}"
    )


def _labels(labels: Mapping[str, Any] | None) -> str:
    if labels is None:
        return "none"
    if not labels["classes"]:
        return f"a {labels['kind']}" if labels["kind"] != "columns" else "several columns"
    return "classes " + shorten(", ".join(map(str, labels["classes"])), 200)


def _cell(text: str) -> str:
    """Return a text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
