"""Models as files: one safetensors file each, the header saying how to build what the tensors fill.

Nothing in a file is run or imported: the class is looked up among seqdiff's own and the subclasses already imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from seqdiff import runtime
from seqdiff.data import Alphabet, LengthLaw, target_from_dict
from seqdiff.data.writing import check_writable
from seqdiff.errors import InputError
from seqdiff.parameters import check_parameters

FORMAT_VERSION = 1
CALLABLE = "<a function>"
_COMMON = {"class", "parameters", "alphabet", "length_law", "target"}
_GENERATOR, _PREDICTOR = _COMMON | {"n_train"}, _COMMON | {"noise"}


def plain_parameters(estimator: Any, leave_out: str = "") -> dict[str, Any]:
    """Return the parameters, but for one, as JSON can hold them."""
    parameters = estimator.get_params(deep=False).items()
    plain = {name: _plain(value) for name, value in parameters if name != leave_out}
    if hasattr(estimator, "fit_seed_"):  # what None or a generator of numbers came to
        plain["random_state"] = estimator.fit_seed_
    try:
        return json.loads(json.dumps(plain))  # tuples become lists here already, so that they equal what is read back
    except TypeError as error:
        raise ValueError(f"a parameter cannot be written to a file ({error}); give numbers, strings or lists") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Alphabet):
        return {"alphabet": value.to_dict()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    return CALLABLE if callable(value) else value


def unplain(value: Any) -> Any:
    """Return a parameter as it was before `plain_parameters`."""
    if isinstance(value, dict) and set(value) == {"alphabet"}:
        return Alphabet.from_dict(value["alphabet"])
    if isinstance(value, dict) and set(value) == {"array"}:
        return np.asarray(value["array"])
    return value


def write(estimator: Any, state: dict[str, Tensor], path: Path) -> None:
    """Write weights and header to `path`, whole or not at all."""
    header = {
        "format_version": FORMAT_VERSION,
        "class": type(estimator).__name__,
        "module": type(estimator).__module__,
        "parameters": plain_parameters(estimator),
        "alphabet": estimator.alphabet_.to_dict(),
        "length_law": estimator.length_law_.to_dict(),
        "target": None if estimator.target_ is None else estimator.target_.to_dict(),
        "n_train": estimator.n_train_,
        "unlabelled": bool(estimator.unlabelled_),
    }
    write_file(path, header, state)


def checked(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file to save to, ``~`` expanded.

    Raises
    ------
    ValueError
        If it is a folder, or must not be written.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise ValueError(f"save: {str(path)!r} is a folder; give a file's name in it")
    check_writable(path, f"save: {str(path)!r}")
    return path


def write_file(path: Path, header: dict[str, Any], state: dict[str, Tensor]) -> None:
    """Write tensors and a header to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    with runtime.replacing(path) as name:
        # not save_file, whose files nobody else may read
        text = json.dumps(header)
        name.write_bytes(to_bytes(tensors, metadata={"seqdiff": text, "checksum": _checksum(text, tensors)}))


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a model file; older files have no checksum.

    Raises
    ------
    ValueError
        If the checksum is not that of header and tensors.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    found = metadata.get("checksum")
    strange = metadata.keys() - {"seqdiff", "checksum", "format"}  # a damaged key must not pass for an older file
    if strange or (found is not None and found != _checksum(metadata["seqdiff"], tensors)):
        cure = "give another copy of it"
        if path.parent.name == "check":
            cure += ", or fit again with resume=True, which writes it anew from the run's checkpoint"
        raise ValueError(f"{path} is damaged: its checksum is not that of its contents; {cure}")
    return tensors


@contextlib.contextmanager
def malformed(path: Any) -> Iterator[None]:
    """Turn whatever a header that nobody wrote so leads to into one sentence."""
    try:
        yield
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is not as seqdiff writes it: {' '.join(str(error).split())}") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} is not as seqdiff writes it ({type(error).__name__}: {reason}); give another copy of the file"
        ) from error


def check_sizes(path: Any, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Raise a ValueError for a size that no tensor of the file has, before memory is asked for."""
    if not isinstance(settings.get("network"), str):
        return
    largest = max((size for tensor in tensors.values() for size in tensor.shape), default=1)
    largest = max(largest, 1024)  # no danger to the memory; that it does not fit is told later
    limits = {"width": largest, "heads": largest, "local_heads": largest, "depth": max(256, len(tensors)),
              "diffusion_steps": max(largest, 10_000), "local_size": 1_000_000}  # fmt: skip
    options = settings.get("network_options")
    named = {**(options if isinstance(options, dict) else {}), **{n: settings[n] for n in limits if n in settings}}
    for name, value in named.items():
        limit = limits.get(name, largest)
        if name not in limits and not isinstance(value, int):
            continue
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit):
            raise ValueError(
                f"{path} is not as seqdiff writes it: {name}: got {value!r}, expected a whole number up to {limit}, as "
                "its tensors are no larger; give another copy of the file"
            )


def unfitted(path: Any, cls: Any, settings: dict[str, Any], tensors: dict[str, Tensor], **more: Any) -> Any:
    """Return the estimator with a header's settings and what else its class takes, all of them checked."""
    check_sizes(path, settings, tensors)
    model = cls(**settings, **more)
    check_parameters(model)
    return model


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


def find_class(root: type, header: dict[str, Any], path: Any) -> Any:
    """Return the class that a file names, by module and name; only what is imported is found.

    seqdiff's own classes may have moved since, and older files do not name the module: then the name alone counts.

    Raises
    ------
    InputError
        If it is not imported.
    """
    name, module = header["class"], header.get("module")
    named = [cls for cls in subclasses(root) if cls.__name__ == name]
    if module is None:
        found = named
    elif is_own(module):
        found = [cls for cls in named if is_own(cls.__module__)]
    else:
        found = [cls for cls in named if cls.__module__ == module]
    if found:
        return found[0]
    known = ", ".join(sorted({cls.__name__ for cls in subclasses(root)}))
    where = "" if module is None else f" of the module {module}"
    raise InputError(str(path), f"a {name}{where}", f"one of the imported classes {known}", "import its module first")


def read_header(path: str | os.PathLike[str]) -> tuple[Path, dict[str, Any]]:
    """Return the model file's path (of a run folder, its best model) and its header.

    Raises
    ------
    ValueError
        If it is missing, not a generator of seqdiff's, or of a newer format.
    """
    found, header = any_header(path)
    if header.keys() >= _GENERATOR:
        return found, header
    name, generator = header["class"], "" if header["noise"] == "Clean" else ", noise_like=model"
    raise ValueError(f"{path} holds a {name}, which writes no sequences; read it with {name}.load(path{generator})")


def any_header(
    path: str | os.PathLike[str], wanted: str = "the model.safetensors of a run, or its folder"
) -> tuple[Path, dict[str, Any]]:
    """Return the path and the header of a file that holds a generator or a predictor; see `read_header`.

    Errors say to give what is `wanted`.
    """
    given, path = path, Path(path)
    if path.is_dir():
        path = path / "check" / "model.safetensors"
        if not path.is_file():
            raise ValueError(f"{given} holds no check/model.safetensors; give a run folder that has one, or the file")
    if not path.is_file():
        raise ValueError(f"{given} does not exist; give {wanted}")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("seqdiff", "null"))
    except (SafetensorError, OSError, ValueError, RecursionError, MemoryError):
        header = None
    if isinstance(header, dict) and isinstance(version := header.get("format_version"), int):
        if version > FORMAT_VERSION:
            raise ValueError(f"{given} was written by a newer seqdiff; upgrade with pip install -U seqdiff")
        if header.keys() >= _GENERATOR or header.keys() >= _PREDICTOR:
            return path, header
    raise ValueError(f"{given} is not a model that seqdiff wrote; give {wanted}")


def read(root: Any, path: str | os.PathLike[str], *, device: str = "auto", network: Any = None) -> Any:
    """Return the fitted estimator of a model file or run folder.

    Parameters
    ----------
    root : type
        Its class is a subclass of this one.
    path : path
    device : str
        Where to put it; the device it was trained on does not matter.
    network : callable, optional
        The function given as `network` when it was trained, where it was one.

    Raises
    ------
    ValueError
        If the file is not a model of seqdiff's, or names a class that is not imported.
    """
    path, header = read_header(path)
    state = read_tensors(path)
    with malformed(path):
        cls = find_class(root, header, path)
        settings = {name: unplain(value) for name, value in header["parameters"].items()}
        if unknown := settings.keys() - cls().get_params(deep=False).keys():
            names = ", ".join(sorted(unknown))
            raise ValueError(
                f"{path} has parameters that this {header['class']} does not know ({names}); upgrade seqdiff"
            )
        if settings.get("network") == CALLABLE:
            if network is None:
                raise ValueError(
                    f"{path} was trained with a network of your own; give it again: load(path, network=...)"
                )
            settings["network"] = network
        model = unfitted(path, cls, settings, state)
        model.alphabet_ = Alphabet.from_dict(header["alphabet"])
        model.length_law_ = LengthLaw.from_dict(header["length_law"])
        model.target_ = None if header["target"] is None else target_from_dict(header["target"])
        model.n_train_, model.unlabelled_ = header["n_train"], bool(header.get("unlabelled", True))
        run = path.parent.parent
        model.run_dir_ = str(run) if path.parent.name == "check" and (run / "args.json").is_file() else None
        objective = model._build()
        try:
            objective.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(
                f"{path} does not fit the network it names: {str(error).splitlines()[-1].strip()}"
            ) from None
    place = runtime.choose_device(device)
    model.objective_ = runtime.place(objective, place).requires_grad_(False).eval()
    return model
