"""Model files: one safetensors file each, its header saying how to build what the tensors fill.

Nothing in a file is run or imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from seqdiff import runtime
from seqdiff.data.files import check_writable
from seqdiff.errors import InputError, argument, shown
from seqdiff.hub import WEIGHTS, local_folder

FORMAT_VERSION = 1
_COMMON = {"class", "parameters", "alphabet", "length_law", "target"}
GENERATOR, PREDICTOR = _COMMON | {"n_train"}, _COMMON | {"noise"}
"""Keys of the headers of the two kinds of files."""


def version() -> str:
    """Return the version of the installed package, as files record it."""
    try:
        return importlib.metadata.version("seqdiff")
    except importlib.metadata.PackageNotFoundError:  # run from a folder that is not installed
        return "unknown"


@dataclass(frozen=True)
class ModelFile:
    """A model file that has been found and whose header has been read; the tensors are read when asked for.

    Parameters
    ----------
    given : str or path
        As the user named it.
    path : Path
        The file itself; of a run folder, its best model; of ``hf://owner/name``, what is downloaded.
    header : dict
    """

    given: Any
    path: Path
    header: dict[str, Any]

    @classmethod
    def find(
        cls, path: str | os.PathLike[str], wanted: str = "the model.safetensors of a run, or its folder"
    ) -> ModelFile:
        """Return the file that a path means."""
        given, path = path, local_folder(path)
        if path.is_dir():
            run, shared = path / "check" / WEIGHTS, path / WEIGHTS
            path = shared if shared.is_file() and not run.is_file() else run
            if not path.is_file():
                found, kind = "a folder without check/model.safetensors", "a run folder that has one"
                raise InputError(str(given), found, kind, "give such a folder, or the file")
        if not path.is_file():
            raise InputError(str(given), "no file of that name", wanted, "correct the path")
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {}).get("seqdiff", "null"))
        except (SafetensorError, OSError, ValueError, RecursionError, MemoryError):
            header = None
        if isinstance(header, dict) and isinstance(version := header.get("format_version"), int):
            if version > FORMAT_VERSION:
                found = f"format {version} of a newer seqdiff"
                raise InputError(str(given), found, f"{FORMAT_VERSION} at most", runtime.UPGRADE)
            if header.keys() >= GENERATOR or header.keys() >= PREDICTOR:
                return cls(given, path, header)
        raise InputError(str(given), "a file that is no model of seqdiff's", wanted, "give that")

    @property
    def generates(self) -> bool:
        """Return whether it holds a generator; if not, a predictor."""
        return self.header.keys() >= GENERATOR

    @property
    def run_dir(self) -> str | None:
        """The run folder that the file is the model of."""
        run = self.path.parent.parent
        return str(run) if self.path.parent.name == "check" and (run / "args.json").is_file() else None

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors; older files have no checksum."""
        with safe_open(self.path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        found = metadata.get("checksum")
        strange = metadata.keys() - {"seqdiff", "checksum", "format"}  # a damaged key must not pass for an older file
        if strange or (found is not None and found != _checksum(metadata["seqdiff"], tensors)):
            cure = "give another copy of it"
            if self.path.parent.name == "check":
                again = argument("resume", True)
                cure += f", or fit again with {again}, which writes it anew from the run's checkpoint"
            found = "a damaged file, whose checksum is not that of its contents"
            raise InputError(str(self.path), found, "a whole one", cure)
        return tensors

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn any error of reading a damaged header into one sentence."""
        try:
            yield
        except ValueError as error:
            if str(self.given) in str(error) or str(self.path) in str(error):
                raise
            if isinstance(error, InputError):
                raise error.of(f"{self.given}, which is not as seqdiff writes it") from error
            raise self._strange(" ".join(str(error).split())) from error
        except Exception as error:
            raise self._strange(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error

    def _strange(self, reason: str) -> InputError:
        found = f"what is not as seqdiff writes it ({reason})"
        return InputError(str(self.given), found, "a model of seqdiff's", "give another copy of the file")

    def check_sizes(self, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Raise an `InputError` for a size that no tensor of the file has, before memory is allocated."""
        if not isinstance(settings.get("network"), str):
            return
        largest = max((size for tensor in tensors.values() for size in tensor.shape), default=1)
        largest = max(largest, 1024)  # no danger to the memory; `fill` finds what does not fit
        limits = {"width": largest, "heads": largest, "local_heads": largest, "depth": max(256, len(tensors)),
                  "diffusion_steps": max(largest, 10_000), "local_size": 1_000_000}  # fmt: skip
        options = settings.get("network_options")
        named = {**(options if isinstance(options, dict) else {}), **{n: settings[n] for n in limits if n in settings}}
        for name, value in named.items():
            limit = limits.get(name, largest)
            if name not in limits and (not isinstance(value, int) or isinstance(value, bool)):
                continue  # no size
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit):
                where = f"{self.given}, which is not as seqdiff writes it: {name}"
                allowed = f"a whole number up to {limit}, as its tensors are no larger"
                raise InputError(where, shown(value), allowed, "give another copy of the file")

    def fill(self, module: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Load tensors into a module."""
        try:
            module.load_state_dict(tensors)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            found = f"tensors that do not fit the network that it names ({reason})"
            raise InputError(str(self.given), found, "those of that network", "give another copy of it") from None


def write_file(path: Path, header: dict[str, Any], state: dict[str, Tensor]) -> None:
    """Write tensors and a header to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    with runtime.replacing(path) as name:
        # not save_file, whose files other users may not read
        text = json.dumps({"format_version": FORMAT_VERSION, **header})
        name.write_bytes(to_bytes(tensors, metadata={"seqdiff": text, "checksum": _checksum(text, tensors)}))


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file to save to, ``~`` expanded."""
    path = Path(path).expanduser()
    if path.is_dir():
        raise InputError("save", f"the folder {str(path)!r}", "a file", "give a file's name in it")
    check_writable(path, f"save: {str(path)!r}")
    return path


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tensors_digest(tensors: dict[str, Tensor], *more: str) -> str:
    """Return a hash of tensors by name, and of texts."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    for text in more:
        digest.update(text.encode())
    return digest.hexdigest()
