"""Options of the commands: those that several share, and those made from the parameters of an estimator.

Of a parameter, the `--kebab-case` name, type, choices and help are those of the class's `parameters`, the default that
of its signature: a new parameter or estimator appears by itself.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from seqdiff.data import read_records
from seqdiff.data.reading import STDIN
from seqdiff.errors import NOTHING, InputError, shown
from seqdiff.estimators import SequenceGenerator
from seqdiff.estimators.classes import find_learner, learners
from seqdiff.estimators.loading import kebab
from seqdiff.parameters import doc_text, kind_text, parameters_of


class Source(click.ParamType):
    """The type of a file to read; ``-`` is the standard input."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return STDIN if value == "-" else value


DATA = click.argument("data", metavar="DATA", type=Source())
DEFAULT_MODEL = "autoregressive"  # the best of README's table, and the cheapest
MODEL = click.argument("model", metavar="MODEL")
LABELS = click.option(
    "--y", metavar="COLUMN", multiple=True, help="Column of labels to learn too; may be given several times."
)
ALPHABET = click.option("--alphabet", default="auto", help="dna, rna, protein or the letters themselves.")
COLUMN = click.option("--sequence-column", metavar="COLUMN", help="The column of a table that holds the sequences.")
DEVICE = click.option("--device", default="auto", help="auto takes a GPU where there is one; or cpu, cuda, mps.")
STEPS = click.option("--steps", type=int, help="Steps to generate a sequence in; fewer are faster and less exact.")
TEMPLATE = click.option(
    "--template",
    metavar="TEXT",
    help="Letters that are fixed, such as NNNTTGACA[AT]NN; N is any base, [AT] one of these.",
)


def label_columns(names: Sequence[str]) -> str | list[str] | None:
    """Return the columns of `--y` as `fit` takes them."""
    return list(names) if len(names) > 1 else names[0] if names else None


def held_out(text: str, names: Sequence[str], sequence_column: str | None) -> Any:
    """Return a share, None, or the sequences of a file, with their labels."""
    try:
        return float(text)
    except ValueError:
        if text.lower() == "none":
            return None
    if not names:
        return Path(text)
    held = read_records(Path(text), label_columns(names), sequence_column=sequence_column)
    return held.sequences, held.y


def writable(option: str, path: str, ending: str) -> Path:
    """Return the path of a file to write, or raise an `InputError` if it has another ending or no folder."""
    if Path(path).suffix.lower() != ending or not Path(path).absolute().parent.is_dir():
        wanted = f"a name that ends in {ending}, in a folder that is there"
        raise InputError(option, shown(path), wanted, "give such a name")
    return Path(path)


def find_model(name: str) -> type[SequenceGenerator]:
    """Return the estimator of a name such as ``multinomial-diffusion``, ``multinomial`` or ``MultinomialDiffusion``.

    Raises
    ------
    click.BadParameter
        If there is none of that name.
    """
    try:
        return find_learner(name, "--model")
    except InputError:
        raise click.BadParameter(
            f"{name!r} is not among the models {', '.join(models())}; your own need seqdiff --import MODULE.",
            param_hint="'--model'",
        ) from None


def models() -> dict[str, type[SequenceGenerator]]:
    """Return the generators by their names in a shell, in alphabetical order."""
    return dict(sorted((kebab(name), cls) for name, cls in learners().items()))


def comma_list(text: str) -> list[str]:
    """Return the entries of a text with commas, without blanks."""
    return [part.strip() for part in text.split(",") if part.strip()]


class Value(click.ParamType):
    """The type of a `Parameter` in a shell: a whole number, a number, JSON or text, or `none` where it may be None."""

    def __init__(self, kind: type, optional: bool) -> None:
        self.kind, self.optional = kind, optional
        self.name = {int: "integer", float: "number", dict: "json"}.get(kind, "text")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if self.optional and value.lower() == "none":
            return None
        if self.kind is str:
            return value
        try:
            return json.loads(value) if self.kind is dict else self.kind(value)
        except ValueError:
            wanted = {int: "a whole number", float: "a number", dict: """JSON, such as {"kernel": 5}"""}[self.kind]
            self.fail(f"{value!r} is not {wanted}{' or none' if self.optional else ''}.", param, ctx)


def option_of(cls: type, name: str, default: object = NOTHING) -> click.Option:
    """Return the option for a parameter of a class, with its own default, or another that help does not show."""
    parameter = parameters_of(cls)[name]
    own = inspect.signature(cls).parameters[name].default

    def named(m: re.Match[str]) -> str:  # a quoted value, another parameter, or any name
        return f"--{kebab(m[2])}" if m[2] in parameters_of(cls) else m[1] or m[2]

    value = own if default is NOTHING else default
    text = re.sub(r"`+(?:\"(.*?)\"|(\w+))`+", named, doc_text(cls, parameter))
    text = re.sub(r"\bNone\b", "none", text).replace("`", "").replace('"', "")
    if choices := re.match(r"\{(.*?)\}", kind_text(parameter, own)):
        text = f"{text} One of: {choices[1].replace(chr(34), '')}.".strip()
    flag = f"--{kebab(name)}"
    if parameter.shell_type is bool:
        return click.Option([f"{flag}/--no-{kebab(name)}", name], default=value, help=text)
    if default is NOTHING and own is not None:
        text = f"{text}  [default: {own:g}]" if isinstance(own, float) else f"{text}  [default: {own}]"
    kind = Value(parameter.shell_type, parameter.optional or own is None)
    return click.Option([flag, name], type=kind, default=value, show_default=False, help=text)


def options_of(
    cls: type, taken: Container[str | None] = (), preset: Mapping[str, object] | None = None
) -> list[click.Option]:
    """Return one option for each parameter of an estimator, except those in `taken`; `preset` has other defaults."""
    known, preset = parameters_of(cls), preset or {}
    names = inspect.signature(cls).parameters
    return [option_of(cls, name, preset.get(name, NOTHING)) for name in names if name in known and name not in taken]


class EstimatorCommand(click.Command):
    """A command with `--model`, whose other options are the parameters of the estimator that `--model` names.

    Their defaults are those of `--preset`, where it is given.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["seqdiff.model"] = find_model(_value_in(args, "--model") or DEFAULT_MODEL)
        ctx.meta["seqdiff.preset"] = _value_in(args, "--preset")
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own, model, name = super().get_params(ctx), self._model(ctx), ctx.meta.get("seqdiff.preset")
        preset = None if name is None else model.preset_parameters(name)
        return [*own, *options_of(model, {param.name for param in own}, preset)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = {param.name for param in super().get_params(ctx)}
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for title, is_own in (("Options", True), (f"Settings of {kebab(self._model(ctx).__name__)}", False)):
            records = [param.get_help_record(ctx) for param in options if (param.name in own) == is_own]
            with formatter.section(title):
                formatter.write_dl([record for record in records if record])

    def _model(self, ctx: click.Context) -> type[SequenceGenerator]:
        return ctx.meta.get("seqdiff.model") or find_model(DEFAULT_MODEL)


def _value_in(args: list[str], option: str) -> str | None:
    """Return the value of an option, the last one among the arguments."""
    found = None
    for i, argument in enumerate(args):
        if argument == "--":
            break
        if argument == option and i + 1 < len(args):
            found = args[i + 1]
        elif argument.startswith(f"{option}="):
            found = argument.removeprefix(f"{option}=")
    return found
