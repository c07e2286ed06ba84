"""What a parameter may be, and what it is for: written once, read by `fit`, `help` and the command line.

A class has a dict `parameters` of its own; those of its bases are added (`parameters_of`). `check_parameters` raises
one sentence for the first value that is not allowed, and `document` writes the "Parameters" section of the docstring.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import os
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from seqdiff.errors import InputError, argument, listed, shown

Kind = TypeVar("Kind", bound="Parameter")
WIDTH = 116  # of a line of a docstring
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(1, 10))}
"""Names that Windows gives to devices, whatever their ending."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter; by itself anything is allowed.

    Parameters
    ----------
    text : str
        What it is for. ``{name}`` stands for that attribute of the class.
    kind : str
        What a docstring says it is.
    optional : bool
        Whether None is allowed even where it is not the default.
    """

    text: str = ""
    kind: str = "object"
    optional: bool = False
    shell_type: ClassVar[type] = str

    def doc(self: Kind, text: str) -> Kind:
        """Return the parameter with another text."""
        return replace(self, text=" ".join(text.split()))

    def allows(self, value: object) -> bool:
        """Return whether a value other than None is allowed."""
        return True

    @property
    def expected(self) -> str:
        """Return what is allowed, as a message says it."""
        return self.kind

    @property
    def cure(self) -> str:
        return "give one of these"

    def check(self, name: str, value: object, *, optional: bool = False) -> None:
        """Raise an `InputError` unless the value is allowed; with `optional`, None is."""
        none = self.optional or optional
        if not (self.allows(value) if value is not None else none or self.allows(None)):
            wanted = self.expected + " or None" * (none and "None" not in self.expected)
            raise InputError(argument(name), shown(value), wanted, self.cure)


@dataclass(frozen=True)
class Unnamed(Parameter):
    """A parameter of which only the type of the default is known."""

    @property
    def shell_type(self) -> type:  # type: ignore[override]
        return {"bool": bool, "int": int, "float": float}.get(self.kind, str)


@dataclass(frozen=True)
class Real(Parameter):
    """A number from `low` to `high`, neither True nor False."""

    low: float = -np.inf
    high: float = np.inf
    number: ClassVar[Any] = numbers.Real
    whole: ClassVar[str] = "a number"
    shell_type: ClassVar[type] = float
    kind: str = field(default="float", kw_only=True)

    def allows(self, value: object) -> bool:
        number = isinstance(value, self.number) and not isinstance(value, (bool, np.bool_))
        return bool(number and self.low <= value <= self.high)  # type: ignore[operator]

    @property
    def expected(self) -> str:
        return f"{self.whole} " + (
            f"of at least {self.low:g}" if self.high > 1e18 else f"from {self.low:g} to {self.high:g}"
        )

    @property
    def cure(self) -> str:
        return "give such a number"


@dataclass(frozen=True)
class Whole(Real):
    """A whole number from `low` to `high`."""

    number: ClassVar[Any] = numbers.Integral
    whole: ClassVar[str] = "a whole number"
    shell_type: ClassVar[type] = int
    kind: str = field(default="int", kw_only=True)


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few words."""

    options: tuple[str, ...] = ()

    def allows(self, value: object) -> bool:
        return isinstance(value, str) and value in self.options

    @property
    def expected(self) -> str:
        return listed(self.options)


@dataclass(frozen=True)
class ColumnChoice(Choice):
    """One of a few words, or a dict of them by column."""

    def allows(self, value: object) -> bool:
        each = value.values() if isinstance(value, dict) else [value]
        return all(isinstance(v, str) and v in self.options for v in each)


@dataclass(frozen=True)
class Switch(Parameter):
    """True or False."""

    kind: str = field(default="bool", kw_only=True)
    shell_type: ClassVar[type] = bool
    expected: ClassVar[str] = "True or False"  # type: ignore[misc]

    def allows(self, value: object) -> bool:
        return isinstance(value, (bool, np.bool_))


@dataclass(frozen=True)
class Verbosity(Parameter):
    """0 (silent) or 1."""

    kind: str = field(default="int", kw_only=True)
    shell_type: ClassVar[type] = int
    expected: ClassVar[str] = "0 (silent) or 1"  # type: ignore[misc]

    def allows(self, value: object) -> bool:
        return isinstance(value, (numbers.Integral, np.bool_))


@dataclass(frozen=True)
class Seed(Parameter):
    """A whole number from 0 to 2**63 - 1, None, or NumPy's RandomState or Generator."""

    kind: str = field(default="int, RandomState, Generator or None", kw_only=True)
    shell_type: ClassVar[type] = int
    expected: ClassVar[str] = "a whole number from 0 to 2**63 - 1, None, a RandomState or a Generator"  # type: ignore[misc]

    def allows(self, value: object) -> bool:
        if value is None or isinstance(value, (np.random.RandomState, np.random.Generator)):
            return True
        whole = isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))
        return bool(whole and 0 <= value < 2**63)  # type: ignore[operator]


@dataclass(frozen=True)
class FolderName(Parameter):
    """A name that can be a folder's on any system, and shown in any terminal."""

    kind: str = field(default="str", kw_only=True)

    def allows(self, value: object) -> bool:
        if not isinstance(value, str) or not value.strip() or len(value.encode(errors="replace")) > 200:
            return False
        reserved = value.split(".")[0].rstrip().upper() in RESERVED
        odd = set(value) & set('/\\:*?"<>|') or not value.isprintable()
        return not (reserved or odd or value != value.strip() or value.endswith("."))

    @property
    def expected(self) -> str:
        return "the name of a folder"

    @property
    def cure(self) -> str:
        return "use letters, digits, '-' and '_'"


@dataclass(frozen=True)
class PathName(Parameter):
    """A path."""

    kind: str = field(default="path", kw_only=True)
    expected: ClassVar[str] = "a path"  # type: ignore[misc]

    def allows(self, value: object) -> bool:
        return isinstance(value, (str, os.PathLike))

    @property
    def cure(self) -> str:
        return "give the path of a folder"


@dataclass(frozen=True)
class Options(Parameter):
    """A dict by name."""

    kind: str = field(default="dict", kw_only=True)
    shell_type: ClassVar[type] = dict
    expected: ClassVar[str] = "a dict by name"  # type: ignore[misc]

    def allows(self, value: object) -> bool:
        return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)

    @property
    def cure(self) -> str:
        return "give one such as {'kernel': 5}"


def parameters_of(cls: type) -> dict[str, Parameter]:
    """Return the parameters of a class and its bases; the nearest class that names one counts.

    Parameters of the signature that no class names are allowed to be anything.
    """
    found: dict[str, Parameter] = {}
    for base in reversed(cls.__mro__):
        found |= vars(base).get("parameters", {})
    for name, parameter in inspect.signature(cls).parameters.items():
        if name not in found and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            found[name] = Unnamed(kind=type(parameter.default).__name__)
    return found


def check_parameters(estimator: Any) -> None:
    """Check the parameters of an estimator.

    Raises
    ------
    InputError
        For the first one whose value is not allowed.
    """
    known, signature = parameters_of(type(estimator)), inspect.signature(type(estimator)).parameters
    for name, value in estimator.get_params(deep=False).items():
        if name in known:
            known[name].check(name, value, optional=signature[name].default is None)


def complete(cls: Any) -> None:
    """Give a class that passes ``**common`` on to its base the whole signature, with the defaults that hold for it.

    `defaults`, a dict of the class, replaces defaults of its bases. scikit-learn, `help` and tab completion read this.
    """
    defaults: Mapping[str, Any] = cls.__dict__.get("defaults", {})
    own_init = cls.__init__  # type: ignore[misc]
    own = inspect.signature(own_init).parameters
    common = inspect.signature(super(cls, cls).__init__).parameters
    if defaults:

        def with_defaults(self: Any, **given: Any) -> None:
            own_init(self, **{**defaults, **given})

        cls.__init__ = functools.wraps(own_init)(with_defaults)  # type: ignore[misc]
    elif "__init__" not in cls.__dict__:
        return
    merged = {
        name: p.replace(default=defaults.get(name, p.default))
        for name, p in (*common.items(), *own.items())
        if p.kind is not p.VAR_KEYWORD
    }
    cls.__init__.__signature__ = inspect.Signature([merged.pop("self"), *merged.values()])  # type: ignore[misc]


def document(cls: type, attributes: str = "") -> None:
    """Write the "Parameters" section of a class's docstring, its own parameters first, and add common attributes.

    A docstring that has the section keeps it.
    """
    text = inspect.cleandoc(cls.__doc__ or "")
    head, rest = _parted(text)
    if not re.search(r"^Parameters\n-+$", text, re.M):
        head += f"\n\nParameters\n----------\n{_entries(cls)}"
    if attributes and "\nAttributes\n" in f"\n{rest}":
        before, _, after = rest.partition("\n\nExamples\n")
        rest = f"{before}\n{inspect.cleandoc(attributes)}" + (f"\n\nExamples\n{after}" if after else "")
    cls.__doc__ = f"{head}\n\n{rest}".strip() + "\n"


def _parted(text: str) -> tuple[str, str]:
    """Return a docstring up to the first section that comes after the parameters, and the rest."""
    section = re.search(r"^(?:Attributes|Raises|See Also|Notes|References|Examples)\n-{3,}$", text, re.M)
    return (text[: section.start()].rstrip(), text[section.start() :]) if section else (text, "")


def _entries(cls: type) -> str:
    known, signature = parameters_of(cls), inspect.signature(cls).parameters
    own = {name for base in cls.__mro__ if base.__dict__.get("parameters") for name in base.__dict__["parameters"]
           if base is cls}  # fmt: skip
    order = sorted((name for name in signature if name in known), key=lambda name: name not in own)
    lines = []
    for name in order:
        lines.append(f"{name} : {kind_text(known[name], signature[name].default)}")
        text = doc_text(cls, known[name])
        lines += textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)


def kind_text(parameter: Parameter, default: object) -> str:
    """Return the type of a parameter with its default, as numpydoc writes it."""
    if isinstance(parameter, Choice) and parameter.kind == "object":
        kind = "{" + ", ".join(f'"{option}"' for option in parameter.options) + "}"
    else:
        kind = parameter.kind
    if default is None:
        return f"{kind}, optional"
    none = " or None" if parameter.optional and "None" not in kind else ""
    value = f'"{default}"' if isinstance(default, str) else repr(default)
    return f"{kind}{none}, default {value}"


def doc_text(cls: type, parameter: Parameter) -> str:
    """Return what a parameter is for, the attributes of the class filled in."""
    return re.sub(r"\{(\w+)\}", lambda m: f"{getattr(cls, m[1]):,}" if hasattr(cls, m[1]) else m[0], parameter.text)
