"""From model files to estimators and back: parameters as JSON, and classes by module and name.

The class is looked up among seqdiff's own and the subclasses that are already imported.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from torch import Tensor

from seqdiff.data import Alphabet
from seqdiff.errors import InputError
from seqdiff.files import ModelFile
from seqdiff.inputs import NetworkLike, PathLike
from seqdiff.parameters import check_parameters

CALLABLE = "<a function>"


def kebab(name: str) -> str:
    """Return a class name as it is typed in a shell.

    Examples
    --------
    >>> kebab("MultinomialDiffusion"), kebab("SCUD"), kebab("DirichletFM"), kebab("batch_size")
    ('multinomial-diffusion', 'scud', 'dirichlet-fm', 'batch-size')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).replace("_", "-").lower()


def plain_parameters(estimator: BaseEstimator, leave_out: str = "") -> dict[str, Any]:
    """Return the parameters, but for one, as JSON can hold them."""
    parameters = estimator.get_params(deep=False).items()
    plain = {name: _plain(value) for name, value in parameters if name != leave_out}
    if hasattr(estimator, "fit_seed_"):  # what None or a generator of numbers came to
        plain["random_state"] = estimator.fit_seed_
    try:
        return json.loads(json.dumps(plain))  # tuples become lists here already, so that they equal what is read back
    except TypeError as error:
        found, wanted = f"one that no file can hold ({error})", "numbers, strings or lists"
        raise InputError("parameters", found, wanted, "give these") from None


def _plain(value: object) -> Any:
    if isinstance(value, Alphabet):
        return {"alphabet": value.to_dict()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    return CALLABLE if callable(value) else value


def _unplain(value: object) -> Any:
    """Return a parameter as it was before `plain_parameters`."""
    if isinstance(value, dict) and set(value) == {"alphabet"}:
        return Alphabet.from_dict(value["alphabet"])
    if isinstance(value, dict) and set(value) == {"array"}:
        return np.asarray(value["array"])
    return value


def subclasses(root: type) -> list[Any]:
    """Return all subclasses that are imported, seqdiff's own first."""
    found: dict[type, None] = {}
    waiting: list[type] = list(root.__subclasses__())
    while waiting:
        cls = waiting.pop()
        found[cls] = None
        waiting += cls.__subclasses__()
    return sorted(found, key=lambda cls: not is_own(cls.__module__))


def is_own(module: str) -> bool:
    """Return whether a module is one of seqdiff's."""
    return module.partition(".")[0] == "seqdiff"


def find_class(root: type, header: dict[str, Any], path: PathLike) -> Any:
    """Return the class that a file names, by module and name; only what is imported is found.

    seqdiff's own classes may have moved since, and older files do not name the module: then the name alone counts.
    """
    name, module = header["class"], header.get("module")
    named = [cls for cls in subclasses(root) if cls.__name__ == name]
    own = module is not None and is_own(module)
    found = [c for c in named if module is None or c.__module__ == module or (own and is_own(c.__module__))]
    if found:
        return found[0]
    known = ", ".join(sorted({cls.__name__ for cls in subclasses(root)} - {"SequenceGenerator", "SequencePredictor"}))
    where = "" if module is None else f" of the module {module}"
    cure = f"import its module first, in the shell by --import {module or 'MODULE'}"
    raise InputError(str(path), f"a {name}{where}", f"one of the imported classes {known}", cure)


def load_estimator(
    file: ModelFile,
    root: type,
    wanted: type,
    restore: Callable[[Any, dict[str, Tensor]], None],
    network: NetworkLike | None = None,
    **more: Any,
) -> Any:
    """Return the fitted estimator of a file, which must be of a subclass of `root` and a `wanted`.

    `restore(estimator, tensors)` makes the unfitted estimator a fitted one. `network` is the function given as
    `network`, where it was one; `more` are parameters that the file does not hold.
    """
    given, header, tensors = file.given, file.header, file.tensors()
    with file.explained():
        cls = find_class(root, header, given)
        if not issubclass(cls, wanted):
            found, cure = f"a {cls.__name__}", f"call {cls.__name__}.load"
            raise InputError(str(given), found, f"a {wanted.__name__}", cure)
        settings = {name: _unplain(value) for name, value in header["parameters"].items()}
        if unknown := settings.keys() - cls().get_params(deep=False).keys():
            names = ", ".join(sorted(unknown))
            found = f"parameters that this {cls.__name__} does not know ({names})"
            raise InputError(str(given), found, "those of this version of seqdiff", "upgrade seqdiff")
        if settings.get("network") == CALLABLE:
            if network is None:
                found = f"None for {given}, which was trained with a network of your own"
                raise InputError("network", found, "that network", "give it again: load(path, network=...)")
            settings["network"] = network
        file.check_sizes(settings, tensors)
        estimator = cls(**settings, **more)
        check_parameters(estimator)
        restore(estimator, tensors)
    return estimator
