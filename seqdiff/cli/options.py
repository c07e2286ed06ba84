"""From an estimator's signature and docstring to options of a command: a new parameter or estimator appears by itself.

`--kebab-case` names are made from the signature, types from annotations and defaults, help from the "Parameters"
section of the class's numpydoc docstring.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import click

from seqdiff.estimators import SequenceGenerator
from seqdiff.estimators.persistence import known_classes

DEFAULT_MODEL = "autoregressive"  # the best of README's table, and the cheapest

# What to say of the parameters that every estimator has, where its own docstring does not say more.
COMMON = {
    "length": "Letters that each sequence must have; none takes what the data has.",
    "alphabet": "The letters: auto, dna, rna, protein, or all of them in one word.",
    "network": "The neural network.",
    "width": "Size of the network; none means its own.",
    "depth": "Layers of the network; none means its own.",
    "dropout": "Share of the network left out at random in training, against learning by heart.",
    "epochs": "How often to go through all sequences; none lets the model choose.",
    "batch_size": "Sequences that one training step looks at.",
    "lr": "Learning rate: how large the training steps are.",
    "lr_schedule": "How it falls: exponential, cosine or constant.",
    "lr_decay": "Factor of the learning rate after each epoch, where --lr-schedule is exponential.",
    "warmup": "Steps in which the learning rate rises to --lr.",
    "weight_decay": "Pulls the weights towards zero, against learning by heart.",
    "update_freq": "Batches that make one update of the weights.",
    "ema": "How long a memory the running average of the weights has, which is what is kept.",
    "patience": "Stop after so many epochs without a better validation figure.",
    "eval_every": "Epochs from one validation to the next.",
    "check_every": "Epochs from one checkpoint to the next.",
    "label_dropout": "Share of the labels hidden in training, so that the model can do without them too.",
    "ambiguous": "Sequences with letters such as N: error, or drop to leave them out.",
    "sequence_column": "The column of a table that holds the sequences.",
    "target": "How to read the labels of --y: auto, class, value or signal.",
    "savepath": "Where the run's folder goes; none saves nothing.",
    "model_name": "Name of the run's folder.",
    "random_state": "Seed: the same one gives the same model.",
    "device": "auto takes a GPU where there is one; or cpu, cuda, mps.",
    "precision": "Numbers to train with: auto, float32 or bfloat16.",
    "verbose": "0 hides progress bars and messages.",
}


def kebab(name: str) -> str:
    """Return a class name as it is typed in a shell.

    Examples
    --------
    >>> kebab("MultinomialDiffusion"), kebab("SCUD"), kebab("DirichletFM"), kebab("batch_size")
    ('multinomial-diffusion', 'scud', 'dirichlet-fm', 'batch-size')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).replace("_", "-").lower()


def models() -> dict[str, type[SequenceGenerator]]:
    """Return the estimators that learn from sequences by the names they have in a shell, in alphabetical order."""
    classes = known_classes().items()
    found = {kebab(name): cls for name, cls in classes if not (name.startswith("_") or cls.taught)}
    return dict(sorted(found.items()))


def find_model(name: str) -> type[SequenceGenerator]:
    """Return the estimator of a name such as ``multinomial-diffusion``, ``multinomial`` or ``MultinomialDiffusion``.

    Raises
    ------
    click.BadParameter
        If there is none of that name.
    """
    known = models()
    wanted = name.lower() if name.islower() or name.isupper() else kebab(name)
    wanted = wanted.replace("_", "-")
    for candidate, cls in known.items():
        if wanted in (candidate, candidate.removesuffix("-diffusion")):
            return cls
    raise click.BadParameter(f"{name!r} is not among the models {', '.join(known)}.", param_hint="'--model'")


def parameter_help(cls: type) -> dict[str, tuple[str, str]]:
    """Return (type, description) of each parameter that the "Parameters" section of a class's docstring names.

    Examples
    --------
    >>> class Model:
    ...     '''Learn.
    ...
    ...     Parameters
    ...     ----------
    ...     width, depth : int, optional
    ...         Size of the network;
    ...         larger is slower.
    ...     lr : float
    ...     '''
    >>> parameter_help(Model)["depth"], parameter_help(Model)["lr"]
    (('int, optional', 'Size of the network; larger is slower.'), ('float', ''))
    """
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(cls.__mro__):
        section = re.search(
            r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", inspect.cleandoc(base.__doc__ or ""), re.M | re.S
        )
        if section is None or base.__module__ == "builtins":
            continue
        for entry in re.finditer(r"^(\S[^\n:]*?)(?: : ?([^\n]*))?\n((?:(?:[ \t][^\n]*)?\n)*)", section[1] + "\n", re.M):
            text = " ".join(entry[3].split()).replace("`", "").replace('"', "")
            for name in entry[1].split(","):
                found[name.strip().lstrip("*")] = ((entry[2] or "").strip(), text)
    return found


def comma_list(text: str) -> list[str]:
    """Return what stands between commas, without blanks."""
    return [part.strip() for part in text.split(",") if part.strip()]


class Value(click.ParamType):
    """A whole number, a number or text, and `none` where the parameter may be None."""

    def __init__(self, kind: type, optional: bool) -> None:
        self.kind, self.optional = kind, optional
        self.name = {int: "integer", float: "number"}.get(kind, "text")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or self.kind is str:
            return None if self.optional and isinstance(value, str) and value.lower() == "none" else value
        if self.optional and value.lower() == "none":
            return None
        try:
            return self.kind(value)
        except ValueError:
            wanted = {int: "a whole number", float: "a number"}[self.kind] + (" or none" if self.optional else "")
            self.fail(f"{value!r} is not {wanted}.", param, ctx)


def kind_of(parameter: inspect.Parameter) -> tuple[type, bool]:
    """Return the type of a parameter's values and whether None is one of them.

    Examples
    --------
    >>> def f(length: "int | None" = None, lr: float = 1e-4, network: "Any" = "conv", tries=3): ...
    >>> [kind_of(p) for p in inspect.signature(f).parameters.values()]  # doctest: +NORMALIZE_WHITESPACE
    [(<class 'int'>, True), (<class 'float'>, False), (<class 'str'>, False), (<class 'int'>, False)]
    """
    annotation = parameter.annotation
    text = getattr(annotation, "__name__", "") if isinstance(annotation, type) else str(annotation)
    optional = parameter.default is None or re.search(r"\bNone\b|\bOptional\b", text) is not None
    if re.search(r"\bstr\b", text):
        return str, optional
    for kind in (float, int, bool):
        if re.search(rf"\b{kind.__name__}\b", text):
            return kind, optional
    return (type(parameter.default) if isinstance(parameter.default, (bool, int, float)) else str), optional


def options_of(cls: type[SequenceGenerator], taken: Mapping[str, Any] | None = None) -> list[click.Option]:
    """Return one option for each parameter of an estimator, but for those in `taken`."""
    texts = parameter_help(cls)
    options = []
    described: dict[str, str] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or name in (taken or {}):
            continue
        kind, optional = kind_of(parameter)
        default = None if parameter.default is parameter.empty else parameter.default
        documented, text = texts.get(name, ("", ""))
        choices = re.search(r"\{(.*?)\}", documented)
        if not text and name in COMMON:
            text, choices = COMMON[name], None
        text = re.sub(r"\bNone\b", "none", text)
        first = described.setdefault(text, name)
        if text and first != name:  # one description of several parameters stands once
            text = f"See --{kebab(first)}."
        if choices:
            text = f"{text} One of: {choices[1].replace(chr(34), '')}.".strip()
        flag = f"--{kebab(name)}"
        if kind is bool:
            options.append(click.Option([f"{flag}/--no-{kebab(name)}", name], default=default, help=text))
            continue
        if default is not None:
            text = f"{text}  [default: {default:g}]" if isinstance(default, float) else f"{text}  [default: {default}]"
        options.append(
            click.Option([flag, name], type=Value(kind, optional), default=default, show_default=False, help=text)
        )
    return options


def in_shell(message: str) -> str:
    """Return a message of the library with its parameters written as the options that they are here.

    Examples
    --------
    >>> in_shell('pass ambiguous="drop", choose another model_name, or fit(..., resume=True) goes on')
    'pass --ambiguous "drop", choose another --model-name, or --resume goes on'
    """
    message = re.sub(r"fit\(\.\.\., resume=True\)|\bresume=True\b", "--resume", message)
    message = re.sub(r"read it with \w+\.load\(path.*?\)$", "give it to --guidance, as in cbg:FILE:LABEL:2", message)
    message = re.sub(r"\bhidden=True", "--hidden", message)
    names = {name for cls in models().values() for name in inspect.signature(cls).parameters}
    names |= {"y", "out", "validation", "template", "steps", "temperature", "times", "guidance", "forbid", "noise_like"}
    for name in names:
        end = "(=?)\\b" if "_" in name else "(=)"  # a bare word such as length may well be meant as a word
        message = re.sub(rf"(?<![\w./-]){name}{end}", rf"--{kebab(name)}\1", message)
    return re.sub(r"(--[a-z-]+)= ?", r"\1 ", message)


class EstimatorCommand(click.Command):
    """A command with `--model`, whose other options are the parameters of the estimator that `--model` names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["seqdiff.model"] = find_model(_model_in(args))
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        names = {param.name: param for param in own if param.name}
        return [*own, *options_of(self._model(ctx), names)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [param.name for param in super().get_params(ctx)]
        parts: dict[str, list[tuple[str, str]]] = {
            "Options": [],
            f"Settings of {kebab(self._model(ctx).__name__)}": [],
        }
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                parts[list(parts)[param.name not in own]].append(record)
        for title, records in parts.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def _model(self, ctx: click.Context) -> type[SequenceGenerator]:
        return ctx.meta.get("seqdiff.model") or find_model(DEFAULT_MODEL)


def _model_in(args: list[str]) -> str:
    """Return what follows `--model` among the arguments; the last one counts, as with any option."""
    name = DEFAULT_MODEL
    for i, argument in enumerate(args):
        if argument == "--":
            break
        if argument == "--model" and i + 1 < len(args):
            name = args[i + 1]
        elif argument.startswith("--model="):
            name = argument.partition("=")[2]
    return name
