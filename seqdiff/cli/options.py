"""From the parameters of an estimator to options of a command: a new parameter or estimator appears by itself.

`--kebab-case` names, types, choices and help are those of the class's `parameters`, defaults those of its signature.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import click

from seqdiff.errors import NOTHING, InputError
from seqdiff.estimators import SequenceGenerator
from seqdiff.estimators.classes import find_learner, kebab, learners
from seqdiff.parameters import doc_text, kind_text, parameters_of

DEFAULT_MODEL = "autoregressive"  # the best of README's table, and the cheapest


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
            f"{name!r} is not among the models {', '.join(models())}.", param_hint="'--model'"
        ) from None


def models() -> dict[str, type[SequenceGenerator]]:
    """Return the estimators that learn from sequences by the names they have in a shell, in alphabetical order."""
    return dict(sorted((kebab(name), cls) for name, cls in learners().items()))


def comma_list(text: str) -> list[str]:
    """Return what stands between commas, without blanks."""
    return [part.strip() for part in text.split(",") if part.strip()]


class Value(click.ParamType):
    """What a `Parameter` is in a shell: a whole number, a number, JSON or text, and `none` where it may be None."""

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


def option_of(cls: type, name: str, default: Any = NOTHING) -> click.Option:
    """Return the option for a parameter of a class, with its default or another one; no text shows the latter."""
    parameter = parameters_of(cls)[name]
    own = inspect.signature(cls).parameters[name].default
    text = re.sub(r"`+(?:\"(.*?)\"|(\w+))`+", lambda m: _named(cls, m), doc_text(cls, parameter))
    text = re.sub(r"\bNone\b", "none", text).replace("`", "").replace('"', "")
    if choices := re.match(r"\{(.*?)\}", kind_text(parameter, own)):
        text = f"{text} One of: {choices[1].replace(chr(34), '')}.".strip()
    flag = f"--{kebab(name)}"
    if parameter.shell_type is bool:
        return click.Option([f"{flag}/--no-{kebab(name)}", name], default=own, help=text)
    if default is NOTHING and own is not None:
        text = f"{text}  [default: {own:g}]" if isinstance(own, float) else f"{text}  [default: {own}]"
    value = own if default is NOTHING else default
    kind = Value(parameter.shell_type, parameter.optional or own is None)
    return click.Option([flag, name], type=kind, default=value, show_default=False, help=text)


def _named(cls: type, match: re.Match[str]) -> str:
    """Return a word that a docstring quotes as a shell has it: another parameter as its option."""
    if match[2] in parameters_of(cls):
        return f"--{kebab(match[2])}"
    return match[1] or match[2]


def options_of(cls: type, taken: Mapping[str, Any] | None = None) -> list[click.Option]:
    """Return one option for each parameter of an estimator, but for those in `taken`."""
    known = parameters_of(cls)
    return [
        option_of(cls, name)
        for name in inspect.signature(cls).parameters
        if name in known and name not in (taken or {})
    ]


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
