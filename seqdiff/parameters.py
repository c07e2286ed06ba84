"""Parameters of estimators: each is declared once, with its default, what it may be and what it is for.

`fit` (`check_parameters`), `help` (`document`), scikit-learn and the command line read the declarations.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import os
import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from seqdiff.errors import NOTHING, InputError, argument, listed, shown

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from typing_extensions import dataclass_transform
else:  # tells type checkers which arguments a class takes

    def dataclass_transform(**_):
        return lambda cls: cls


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
    default : object
        Its default, where `parameter` declares it.
    """

    text: str = ""
    kind: str = "object"
    optional: bool = False
    default: object = NOTHING
    shell_type: ClassVar[type] = str
    cure: ClassVar[str] = "give one of these"

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

    low: float = -sys.float_info.max
    high: float = sys.float_info.max
    number: ClassVar[Any] = numbers.Real
    whole: ClassVar[str] = "a number"
    shell_type: ClassVar[type] = float
    kind: str = field(default="float", kw_only=True)
    cure: ClassVar[str] = "give such a number"

    def allows(self, value: object) -> bool:
        number = isinstance(value, self.number) and not isinstance(value, (bool, np.bool_))
        return bool(number and self.low <= value <= self.high)  # type: ignore[operator]

    @property
    def expected(self) -> str:
        return f"{self.whole} " + (
            f"of at least {self.low:g}" if self.high > 1e18 else f"from {self.low:g} to {self.high:g}"
        )


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
    expected: ClassVar[str] = "the name of a folder"  # type: ignore[misc]
    cure: ClassVar[str] = "use letters, digits, '-' and '_'"

    def allows(self, value: object) -> bool:
        if not isinstance(value, str) or not value.strip() or len(value.encode(errors="replace")) > 200:
            return False
        reserved = value.split(".")[0].rstrip().upper() in RESERVED
        odd = set(value) & set('/\\:*?"<>|') or not value.isprintable()
        return not (reserved or odd or value != value.strip() or value.endswith("."))


@dataclass(frozen=True)
class PathName(Parameter):
    """A path."""

    kind: str = field(default="path", kw_only=True)
    expected: ClassVar[str] = "a path"  # type: ignore[misc]
    cure: ClassVar[str] = "give the path of a folder"

    def allows(self, value: object) -> bool:
        return isinstance(value, (str, os.PathLike))


@dataclass(frozen=True)
class Options(Parameter):
    """A dict by name."""

    kind: str = field(default="dict", kw_only=True)
    shell_type: ClassVar[type] = dict
    expected: ClassVar[str] = "a dict by name"  # type: ignore[misc]
    cure: ClassVar[str] = "give one such as {'kernel': 5}"

    def allows(self, value: object) -> bool:
        return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def parameter(default: object, kind: Parameter) -> Any:
    """Return the declaration of a parameter, a field of a `Parameterised` class; `doc` adds what it is for."""
    return replace(kind, default=default)


@dataclass_transform(kw_only_default=True)
class Parameterised:
    """A class whose keyword arguments are its fields made by `parameter`, and those of its bases.

    A subclass may instead have a dict `parameters` of what is allowed, and an `__init__` that stores its own and passes
    the others on as ``**common``. Its dict `defaults` replaces defaults of its bases. Signatures are complete:
    scikit-learn, `help` and tab completion read them.

    Examples
    --------
    >>> class Brush(Parameterised):
    ...     width: int = parameter(3, Whole(1)).doc("Hairs.")
    >>> Brush().width, Brush(width=5).width
    (3, 5)
    """

    parameters: ClassVar[Mapping[str, Parameter]] = {}
    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, **given: Any) -> None:
        for name, known in _declared(type(self)).items():
            if known.default is not NOTHING:
                setattr(self, name, given.pop(name, known.default))
        for name in given:
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument {name!r}")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        fields = {name: value for name, value in vars(cls).items() if isinstance(value, Parameter)}
        for name in fields:
            delattr(cls, name)
        cls.parameters = {**vars(cls).get("parameters", {}), **fields}
        defaults: Mapping[str, Any] = vars(cls).get("defaults", {})
        own_init: Any = cls.__init__
        keyword, types = inspect.Parameter.KEYWORD_ONLY, inspect.get_annotations(cls)

        @functools.wraps(own_init)
        def completed(self: Any, **given: Any) -> None:
            own_init(self, **{**defaults, **given})

        arguments = [
            inspect.Parameter(name, keyword, default=field.default, annotation=types[name])
            for name, field in fields.items()
        ]
        for init in (own_init, *(base.__init__ for base in cls.__bases__)):  # type: ignore[misc]
            arguments += [p for p in inspect.signature(init).parameters.values() if p.kind is keyword]
        nearest = {p.name: p for p in reversed(arguments)}
        merged = [
            nearest[name].replace(default=defaults.get(name, nearest[name].default))
            for name in dict.fromkeys(p.name for p in arguments)
        ]
        this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        cls.__init__ = completed  # type: ignore[method-assign]
        cls.__init__.__signature__ = inspect.Signature([this, *merged])  # type: ignore[attr-defined]


def _declared(cls: type) -> dict[str, Parameter]:
    """Return what a class and its bases say of parameters; the nearest class that names one counts."""
    found: dict[str, Parameter] = {}
    for base in reversed(cls.__mro__):
        found |= vars(base).get("parameters", {})
    return found


def parameters_of(cls: type) -> dict[str, Parameter]:
    """Return the parameters of a class and its bases; those of the signature alone are allowed to be anything."""
    found = _declared(cls)
    for name, p in inspect.signature(cls).parameters.items():
        if name not in found and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            found[name] = Unnamed(kind=type(p.default).__name__)
    return found


def check_parameters(estimator: BaseEstimator) -> None:
    """Raise an `InputError` for the first parameter of an estimator whose value is not allowed."""
    known, signature = parameters_of(type(estimator)), inspect.signature(type(estimator)).parameters
    for name, value in estimator.get_params(deep=False).items():
        if name in known:
            known[name].check(name, value, optional=signature[name].default is None)


def document(cls: type, attributes: str = "") -> None:
    """Add the "Parameters" section to a class's docstring, where it has none, and common attributes."""
    text = inspect.cleandoc(cls.__doc__ or "")
    head, rest = _parted(text)
    if not re.search(r"^Parameters\n-+$", text, re.M):
        head += f"\n\nParameters\n----------\n{_entries(cls)}"
    if attributes:
        before, _, after = f"\n\n{rest}".partition("\n\nExamples\n")
        own = before.strip() or "Attributes\n----------"
        rest = f"{own}\n{inspect.cleandoc(attributes)}" + (f"\n\nExamples\n{after}" if after else "")
    cls.__doc__ = f"{head}\n\n{rest}".strip() + "\n"


def _parted(text: str) -> tuple[str, str]:
    """Return a docstring up to the first section that comes after the parameters, and the rest."""
    section = re.search(r"^(?:Attributes|Raises|See Also|Notes|References|Examples)\n-{3,}$", text, re.M)
    return (text[: section.start()].rstrip(), text[section.start() :]) if section else (text, "")


def _entries(cls: type) -> str:
    known, signature = parameters_of(cls), inspect.signature(cls).parameters
    lines = []
    for name in signature:
        lines.append(f"{name} : {kind_text(known[name], signature[name].default)}")
        text = doc_text(cls, known[name])
        lines += textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)


def kind_text(parameter: Parameter, default: object) -> str:
    """Return the type of a parameter with its default, as numpydoc writes it."""
    kind = parameter.kind
    if isinstance(parameter, Choice) and kind == "object":
        kind = "{" + ", ".join(f'"{option}"' for option in parameter.options) + "}"
    if default is None:
        return f"{kind}, optional"
    none = " or None" if parameter.optional and "None" not in kind else ""
    value = f'"{default}"' if isinstance(default, str) else repr(default)
    return f"{kind}{none}, default {value}"


def doc_text(cls: type, parameter: Parameter) -> str:
    """Return what a parameter is for, the attributes of the class filled in."""
    return re.sub(r"\{(\w+)\}", lambda m: f"{getattr(cls, m[1]):,}" if hasattr(cls, m[1]) else m[0], parameter.text)
