"""Docstrings: examples run in an empty folder and show their stated output, arguments are described."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from seqdiff.parameters import Parameterised

REPOSITORY = Path(__file__).resolve().parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def module_names() -> list[str]:
    """List every module by its file, so that one that cannot be imported is a red test and not a missing one."""
    files = sorted((REPOSITORY / "seqdiff").rglob("*.py"))
    parts = [file.relative_to(REPOSITORY).with_suffix("").parts for file in files if file.name != "__main__.py"]
    return [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts]


def examples(module: ModuleType) -> list[doctest.DocTest]:
    """Find the examples of a module, also those that doctest overlooks: methods behind a descriptor (available_if)."""
    finder = doctest.DocTestFinder()
    found = {test.name: test for test in finder.find(module)}
    for name, cls in vars(module).items():
        if not inspect.isclass(cls) or cls.__module__ != module.__name__:
            continue
        for attribute, value in vars(cls).items():
            if inspect.isclass(value) and value.__module__ != module.__name__:
                continue
            full, text = f"{module.__name__}.{name}.{attribute}", getattr(value, "__doc__", None)
            if full not in found and isinstance(text, str) and text is not type(value).__doc__:
                parser = doctest.DocTestParser()
                found[full] = parser.get_doctest(text, dict(vars(module)), full, module.__file__, None)
    return [test for test in found.values() if test.examples]


def run(module: ModuleType) -> tuple[int, str]:
    """Run a module's examples; return how many there are and what went wrong."""
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    report: list[str] = []
    for test in examples(module):
        runner.run(test, out=report.append)
    return runner.tries, "".join(report)


@pytest.mark.parametrize("name", module_names())
def test_examples_of(name: str, workdir: Path) -> None:
    """The examples of one module show what they say."""
    _, wrong = run(importlib.import_module(name))
    assert not wrong, wrong


SAMPLE = '''
from sklearn.utils.metaestimators import available_if

def half(x):
    """
    >>> half(4)
    2
    """
    return x // 2

class Model:
    letters = "a plain value with a docstring of its type"

    @property
    def size(self):
        """
        >>> Model().size
        3
        """
        return 3

    @available_if(lambda self: True)
    def score(self):
        """
        >>> Model().score()
        5
        """
        return 5
'''


@pytest.mark.parametrize(
    ("right", "wrong"), [("", None), ("x // 2", "x // 3"), ("return 3", "return 4"), ("return 5", "return 6")]
)
def test_wrong_examples_fail(right: str, wrong: str | None) -> None:
    """All three examples are run, and each of them can fail."""
    module = ModuleType("sample")
    module.__file__ = "sample.py"
    exec(SAMPLE.replace(right, wrong) if wrong else SAMPLE, module.__dict__)
    tries, report = run(module)
    assert tries == 3
    assert bool(report) == bool(wrong), report


ROOMS = [name for name in module_names() if (REPOSITORY / name.replace(".", "/") / "__init__.py").is_file()]


def public(room: ModuleType) -> Iterator[tuple[str, Any, str]]:
    """Yield the functions and methods that a package exports by name, each with the docstrings that describe it."""
    for name in getattr(room, "__all__", None) or [n for n in vars(room) if not n.startswith("_")]:
        value = getattr(room, name)
        if not getattr(value, "__module__", "").startswith("seqdiff"):
            continue
        if inspect.isfunction(value):
            yield name, value, value.__doc__ or ""
        if not inspect.isclass(value):
            continue
        for attribute, found in vars(value).items():
            function = getattr(found, "__func__", found)
            if not inspect.isfunction(function) or attribute.startswith("_") and attribute != "__init__":
                continue
            if attribute == "__init__" and issubclass(value, Parameterised):
                continue  # `document` writes these from the declarations
            bases = [base for base in value.__mro__ if base.__module__.startswith("seqdiff")]
            texts = [doc for base in bases for doc in (base.__doc__, getattr(vars(base).get(attribute), "__doc__", ""))]
            yield f"{name}.{attribute}", function, "\n".join(text or "" for text in texts)


def undescribed(function: Any, text: str) -> list[str]:
    """Return the arguments of a function that a text does not name, where there are three or more."""
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    return [name for name in names if not re.search(rf"\b{name}\b", text)] if len(names) >= 3 else []


@pytest.mark.parametrize("room", ROOMS)
def test_three_or_more_arguments_are_described(room: str) -> None:
    """In the docstring of the function, of its class, or of a base class."""
    found = {name: lack for name, f, text in public(importlib.import_module(room)) if (lack := undescribed(f, text))}
    assert not found


def test_an_undescribed_argument_is_found() -> None:
    def scale(x, low, high): ...

    assert undescribed(scale, "Scale x from low.") == ["high"]
