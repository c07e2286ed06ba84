r"""The one form of every error that a user meets: `<where>: got <what came>, expected <what is allowed>; <cure>.`

Texts name parameters by `argument`, which marks them; what shows a text prints the marks as Python or as the shell has
them: ``lr=0.1`` or ``--lr 0.1``. Nothing here imports torch, so that a mistake in a command is answered at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

OPEN, VALUE, CLOSE = "\x02", "\x1f", "\x03"
MARK = re.compile(f"{OPEN}([^{CLOSE}{VALUE}]*)(?:{VALUE}([^{CLOSE}]*))?{CLOSE}")
NOTHING = object()


def argument(name: str, value: object = NOTHING) -> str:
    """Return a parameter's name, or a setting of it, marked for `in_python` and `in_shell`.

    Examples
    --------
    >>> text = f"leave {argument('length')} out, or pass {argument('ambiguous', 'drop')}"
    >>> in_python(text)
    "leave length out, or pass ambiguous='drop'"
    >>> in_shell(text)
    'leave --length out, or pass --ambiguous drop'
    """
    return OPEN + name + ("" if value is NOTHING else VALUE + repr(value)) + CLOSE


def in_python(text: str) -> str:
    """Return a text with the parameters that it marks as they are written in Python."""
    return MARK.sub(lambda m: m[1] if m[2] is None else f"{m[1]}={m[2]}", text)


def in_shell(text: str) -> str:
    """Return a text with the parameters that it marks as they are written in the shell."""

    def option(m: re.Match[str]) -> str:
        name = "--" + m[1].replace("_", "-")
        if m[2] in (None, "True"):
            return name
        return f"--no-{name[2:]}" if m[2] == "False" else f"{name} {_bare(m[2])}"

    return MARK.sub(option, text)


def _bare(value: str) -> str:
    """Return a value without Python's quotes where a shell needs none."""
    quoted = re.fullmatch(r"(['\"])([\w.,:+-]+)\1", value)
    return quoted[2] if quoted else "none" if value == "None" else value


class InputError(ValueError):
    """A mistake in what a user gave.

    Parameters
    ----------
    where : str
        The parameter, marked by `argument` or not, or a file and its line.
    got, expected : str
        What came, and what is allowed.
    cure : str
        What to do.

    Examples
    --------
    >>> error = InputError(argument("lr"), "-1", "a number above 0", "give such a number")
    >>> str(error)
    'lr: got -1, expected a number above 0; give such a number'
    >>> error.in_shell()
    '--lr: got -1, expected a number above 0; give such a number'
    """

    def __init__(self, where: str, got: str, expected: str, cure: str) -> None:
        super().__init__(f"{where}: got {got}, expected {expected}; {cure}")
        self.parts = (where, got, expected, cure)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.parts

    def __str__(self) -> str:
        return in_python(self.args[0])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def of(self, name: str) -> InputError:
        """Return the error as one of several things of that name."""
        return type(self)(f"{name}: {self.parts[0]}", *self.parts[1:])

    def in_shell(self) -> str:
        """Return the sentence for a user of the command line."""
        return in_shell(self.args[0])


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
