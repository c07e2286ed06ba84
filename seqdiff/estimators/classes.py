"""Estimators by name, as `compare` and the command line are given them."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from seqdiff.errors import InputError, listed, shown
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.estimators.loading import subclasses

GROUP = "seqdiff.estimators"
"""Entry points of this group name estimators, or modules that define some, of other packages."""


def import_outside(modules: tuple[str, ...] = ()) -> None:
    """Import modules by name, and what installed packages name in the entry points `seqdiff.estimators`."""
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            raise InputError(
                "--import", f"{shown(name)} ({error})", "a module on Python's path", "correct it"
            ) from None
    for point in entry_points(group=GROUP):
        point.load()


def learners() -> dict[str, type[SequenceGenerator]]:
    """Return the imported estimators that are fitted to sequences, by class name; seqdiff's own come first.

    A class of another module that has the name of an earlier one stands under ``module.Name``.
    """
    found: dict[str, type[SequenceGenerator]] = {}
    for cls in subclasses(SequenceGenerator):
        if not cls.__name__.startswith("_"):
            name = cls.__name__ if cls.__name__ not in found else f"{cls.__module__}.{cls.__name__}"
            found[name] = cls
    return found


def find_learner(name: str, where: str) -> type[SequenceGenerator]:
    """Return the estimator of a name such as ``MaskedDiffusion``, ``masked-diffusion``, ``masked`` or ``module.Name``.

    `where` says in the error what the name is.
    """
    known = learners()
    for cls in known.values():
        if name.strip() == f"{cls.__module__}.{cls.__name__}":
            return cls
    plain = {_plain(key): cls for key, cls in reversed(known.items())}
    if _plain(name) in plain:
        return plain[_plain(name)]
    raise InputError(where, shown(name), f"one of {listed(sorted(known))}", "give one of these names")


def _plain(name: str) -> str:
    return name.strip().replace("-", "").replace("_", "").lower().removesuffix("diffusion")
