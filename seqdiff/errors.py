r"""The one form of every error that a user meets: `<where>: got <what came>, expected <what is allowed>; <cure>.`

Texts name parameters by `argument`, which writes them for Python or, in `seqdiff`'s commands, for the shell: ``lr=0.1``
or ``--lr 0.1``. Nothing here imports torch, so that a mistake in a command is answered at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import FrameType
from typing import Any

NOTHING = object()


def in_python(name: str, value: object = NOTHING) -> str:
    """Return a parameter, or a setting of it, as Python has it."""
    return name if value is NOTHING else f"{name}={value!r}"


NOTATION: ContextVar[Callable[[str, object], str]] = ContextVar("NOTATION", default=in_python)
"""Writes the parameters that messages name; the command line sets its own."""


def argument(name: str, value: object = NOTHING) -> str:
    """Return a parameter's name, or a setting of it, as the user who reads the message gives it.

    Call it where the message is made, not in a constant of a module.

    Examples
    --------
    >>> f"leave {argument('length')} out, or pass {argument('ambiguous', 'drop')}"
    "leave length out, or pass ambiguous='drop'"
    """
    return NOTATION.get()(name, value)


def is_first() -> bool:
    """Return whether this is the first or only one of the processes that `torchrun` started (`seqdiff.ranks`)."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def warn(text: str) -> None:
    """Warn, at the line outside of the package that called it; of several processes the first one alone does."""
    if not is_first():
        return
    frame: FrameType | None = sys._getframe(1)
    level = outside = 2
    while frame is not None:
        level += 1
        if frame.f_globals.get("__name__", "").partition(".")[0] == "seqdiff":
            outside = level
        frame = frame.f_back
    warnings.warn(text, stacklevel=outside)


class InputError(ValueError):
    """A mistake in what a user gave.

    Parameters
    ----------
    where : str
        The parameter, as `argument` writes it, or a file and its line.
    got, expected : str
        What came, and what is allowed.
    cure : str
        What to do.

    Examples
    --------
    >>> InputError(argument("lr"), "-1", "a number above 0", "give such a number")
    InputError('lr: got -1, expected a number above 0; give such a number')
    """

    def __init__(self, where: str, got: str, expected: str, cure: str) -> None:
        super().__init__(f"{where}: got {got}, expected {expected}; {cure}")
        self.parts = (where, got, expected, cure)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.parts

    def of(self, name: str) -> InputError:
        """Return the error as one of several things of that name."""
        return type(self)(f"{name}: {self.parts[0]}", *self.parts[1:])


class FirstFailed(InputError):
    """Says in another process why the first one failed, which has said so itself."""


def shorten(text: str, limit: int = 40) -> str:
    """Return the text, or its beginning and dots: messages stay readable whatever they quote."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(text: str) -> str:
    r"""Return the text on one line, with an escape for each character that a terminal cannot print.

    >>> printable("a\nb\u202e")
    'a\\nb\\u202e'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown(value: object, limit: int = 60) -> str:
    r"""Return a value as a message quotes it: as Python writes it, on one line, printable and not long.

    Strings are cut before they are quoted, so that both marks stand.

    >>> shown("x" * 100, 12), shown(["long"] * 99, 30), shown("a\tb")
    ("'xxxxxxxxx...'", "['long', 'long', 'long', 'l...", "'a\\tb'")
    """
    if isinstance(value, str):
        return repr(shorten(str(value), limit))
    try:
        text = repr(value[:limit] if isinstance(value, (list, tuple)) else value)
    except Exception:  # whatever a foreign object's repr raises, whole numbers of more than 4300 digits among it
        text = f"a value of type {type(value).__name__}"
    return shorten(printable(" ".join(text.split())), limit)


def of_kind(value: object) -> str:
    """Return what kind of thing a value is, with its article.

    >>> of_kind(3), of_kind("a")
    ('an int', 'a str')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"


def listed(values: Iterable[object], word: str = "or") -> str:
    """Return values as a sentence lists them.

    >>> listed(["a", "b", None]), listed(["a"])
    ("'a', 'b' or None", "'a'")
    """
    texts = [repr(value) for value in values]
    return f" {word} ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
