"""Docstring examples run in an empty folder and show their stated output."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

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
