"""Who takes part: instances, classes or names of estimators, each with a name of its own and once for every seed."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from seqdiff.errors import InputError, of_kind, shown
from seqdiff.estimators import SequenceGenerator
from seqdiff.estimators.classes import find_learner
from seqdiff.estimators.requests import check_seed
from seqdiff.parameters import check_parameters

DEFAULT = ("MaskedDiffusion", "UniformDiffusion", "ClassicalDiffusion", "SCUD", "Autoregressive")
"""The discrete family, as far as there is one; `MultinomialDiffusion` is made for a GPU and not among them."""


@dataclass(frozen=True)
class Contestant:
    """One row of the table to come.

    Attributes
    ----------
    name : str
        Of the row, and of its run folder.
    estimators : list of SequenceGenerator
        Not fitted, one for each seed.
    """

    name: str
    estimators: list[SequenceGenerator]


def contestants(
    models: Any, settings: Mapping[str, Any], seeds: Any = 1, taken: Sequence[str] = ()
) -> list[Contestant]:
    """Return who takes part.

    Parameters
    ----------
    models : sequence of SequenceGenerator, class or str; or None
        None takes `DEFAULT`. A name is a class's (``"MaskedDiffusion"``), or as in a shell (``"masked-diffusion"``,
        ``"masked"``).
    settings : mapping
        Parameters of the estimators given by class or name; one that only some have goes to those.
    seeds : int or sequence of int
        How often each is trained, from its own `random_state` upwards, or with which `random_state`.
    taken : sequence of str
        Names that no row may have.

    Raises
    ------
    ValueError
        If there is none, one is no estimator of seqdiff's, or a setting is unknown or impossible.

    Examples
    --------
    >>> from seqdiff import Autoregressive
    >>> found = contestants(["masked-diffusion", Autoregressive(epochs=1), Autoregressive(epochs=2)], {}, seeds=2)
    >>> [c.name for c in found], [model.random_state for model in found[0].estimators]
    (['MaskedDiffusion', 'Autoregressive', 'Autoregressive-2'], [0, 1])
    """
    if models is None:
        models = list(DEFAULT)
    if isinstance(models, (str, SequenceGenerator, type)):
        models = [models]
    try:
        given = list(models)
    except TypeError:
        raise ValueError(f"models={shown(models)} is no list; give estimators or their names in a list") from None
    if not given:
        raise ValueError("models is an empty list; give at least one estimator or name, or None for the usual ones")
    made = [(_find(model, i), not isinstance(model, SequenceGenerator)) for i, model in enumerate(given)]
    _check_settings(settings, [model for model, by_name in made if by_name])
    found: list[Contestant] = []
    names = set(taken)
    for model, by_name in made:
        if by_name:
            known = model.get_params(deep=False)
            model.set_params(**{name: value for name, value in settings.items() if name in known})
        try:
            check_parameters(model)
        except InputError as error:
            raise error.of(type(model).__name__) from None
        name = _free(model.model_name or type(model).__name__, names)
        names.add(name)
        found.append(Contestant(name, [clone(model).set_params(random_state=s) for s in _seeds(seeds, model)]))
    return found


def _find(model: Any, i: int) -> SequenceGenerator:
    """Return a new estimator for a name or a class, an estimator as it is."""
    cls = model if isinstance(model, type) else type(model)
    if issubclass(cls, SequenceGenerator):
        return model() if isinstance(model, type) else model
    if isinstance(model, str):
        return find_learner(model, f"models[{i}]")()
    raise InputError(f"models[{i}]", of_kind(model), "an estimator, or the name of one", "give one")


def _check_settings(settings: Mapping[str, Any], models: list[SequenceGenerator]) -> None:
    if settings and not models:
        first = next(iter(settings))
        raise ValueError(f"{first} was given, but every model is an estimator with settings of its own; set it there")
    known = {name for model in models for name in model.get_params(deep=False)}
    for name in settings:
        if name not in known or name in ("random_state", "savepath", "model_name"):
            settable = ", ".join(sorted(set().union(*(inspect.signature(type(m)).parameters for m in models))))
            raise ValueError(f"{name} is no setting of these models; they have {settable}, and compare its own")


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _seeds(seeds: Any, model: SequenceGenerator) -> list[int]:
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool) and seeds >= 1:
        first = check_seed(model.random_state)
        return [first + i for i in range(int(seeds))]
    wanted = [] if isinstance(seeds, (numbers.Number, str)) or seeds is None else list(seeds)
    whole = [isinstance(s, (int, np.integer)) and not isinstance(s, bool) and s >= 0 for s in wanted]
    if not wanted or not all(whole) or len(set(wanted)) < len(wanted):
        raise ValueError(f"seeds={shown(seeds)} is not possible; give how many, or a list of different whole numbers")
    return [int(s) for s in wanted]
