"""A fake device: tensors on the CPU that report another device and refuse what that device refuses.

Inside `Pretended("cuda")` a model is fitted, sampled and scored by ordinary arithmetic on the CPU. What a real device
would refuse is refused: two devices in one operation, a generator of another device, numpy, and on "mps" float64. What
would make it wait for the CPU is noted with the line of seqdiff that asks for it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from seqdiff import runtime

WAITS = {"item", "__bool__", "__int__", "__float__", "__index__", "__contains__", "tolist", "equal", "allclose"}
WAITS |= {"nonzero", "argwhere", "unique", "unique_consecutive", "masked_select", "bincount", "repeat_interleave"}
MOVES = {"to", "cpu", "cuda"}
"""Functions that may move a tensor between devices."""


class Pretending(Tensor):
    """A CPU tensor that reports another device."""

    claimed = torch.device("cuda")

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return Pretending.claimed

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return Pretending.claimed.type == "cuda"

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"can't convert {Pretending.claimed.type} device type tensor to numpy; use Tensor.cpu() first")

    __array__ = numpy

    def __reduce_ex__(self, protocol: Any) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return self.as_subclass(Tensor).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            copy = self.detach().clone().as_subclass(Pretending).requires_grad_(self.requires_grad)
        if isinstance(self, nn.Parameter):
            copy._is_param = True  # type: ignore[attr-defined]
        return memo.setdefault(id(self), copy)


REAL = torch.Generator


class Generator(REAL):  # type: ignore[misc,valid-type]
    """A random generator that records its device."""

    claimed: torch.device

    def __new__(cls, device: Any = "cpu") -> Any:
        made = super().__new__(cls, device="cpu")
        made.claimed = torch.device(device)
        return made


class Pretended(TorchFunctionMode):
    """Context manager in which the CPU behaves as another device.

    Attributes
    ----------
    waits : Counter
        How often each line ("processes/scud.py:12 item") read from the device.
    """

    def __init__(self, device: str = "cuda") -> None:
        super().__init__()
        self.device = torch.device(device)
        self.waits: Counter[str] = Counter()
        self._before: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Any:
        Pretending.claimed = self.device
        for owner, name, value in (
            (torch, "Generator", Generator),
            (torch, "load", self._load),
            (runtime, "choose_device", lambda device="auto": self.device),
            (runtime, "place", self._place),
            (runtime, "synchronize", lambda device: None),
            (runtime, "own_random_state", lambda device: self._real["own_random_state"](torch.device("cpu"))),
            (runtime, "seed_dropout", lambda seed, device: self._real["seed_dropout"](seed, torch.device("cpu"))),
            (runtime, "_global_generator", lambda device: torch.random.default_generator),
            (runtime, "autocast", lambda device, precision, *, exact=False: torch.autocast("cpu", enabled=False)),
        ):
            if hasattr(owner, name):
                self._before.append((owner, name, getattr(owner, name)))
                setattr(owner, name, value)
        self._real = {name: value for _, name, value in self._before}
        return super().__enter__()

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        for owner, name, value in self._before:
            setattr(owner, name, value)
        self._before.clear()

    def _place(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Put parameters and buffers on the device."""
        for part in module.modules():
            for name, value in [*part._parameters.items()]:
                if value is not None:
                    part._parameters[name] = nn.Parameter(self._there(value.detach()), value.requires_grad)
            for name, value in [*part._buffers.items()]:
                if value is not None:
                    part._buffers[name] = self._there(value)
        return module

    def _load(self, *args: Any, map_location: Any = None, **kwargs: Any) -> Any:
        found = self._real["load"](*args, map_location="cpu", **kwargs)
        return tree_map(lambda v: self._there(v) if isinstance(v, Tensor) else v, found)

    def _there(self, tensor: Tensor) -> Tensor:
        with torch._C.DisableTorchFunctionSubclass():
            if self.device.type == "mps" and tensor.dtype == torch.float64:
                tensor = tensor.float()
            return tensor.as_subclass(Pretending)

    def _note(self, what: str) -> None:
        frame: Any = sys._getframe(2)
        if what == "cpu" and "torch/nn/utils" in frame.f_back.f_code.co_filename.replace("\\", "/"):
            return  # C++ reports that all is on the CPU
        while frame is not None and "seqdiff/" not in frame.f_code.co_filename.replace("\\", "/"):
            frame = frame.f_back
        if frame is not None:
            file = frame.f_code.co_filename.replace("\\", "/").rsplit("seqdiff/", 1)[1]
            self.waits[f"{file}:{frame.f_lineno} {frame.f_code.co_name} {what}"] += 1

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", str(func))
        if name == "__get__":  # of a property, such as a gradient
            with torch._C.DisableTorchFunctionSubclass():
                found = func(*args, **kwargs)
            return self._marked(found, name) if isinstance(args[0], Pretending) else found
        tensors = [v for v in tree_flatten((args, kwargs))[0] if isinstance(v, Tensor)]
        there = [v for v in tensors if isinstance(v, Pretending)]
        here = [v for v in tensors if not isinstance(v, Pretending)]
        wanted = kwargs.get("device")
        if name in MOVES:
            return self._moved(name, args, kwargs)
        if there:
            self._check_operands(name, args, there, here)
        goes = bool(there)
        if wanted is not None:
            goes = torch.device(wanted).type == self.device.type
            kwargs["device"] = "cpu"
        elif name in ("from_numpy", "as_tensor", "tensor"):
            goes = name == "as_tensor" and bool(there)
        generator = kwargs.get("generator")
        if isinstance(generator, Generator):
            expected = self.device.type if goes else "cpu"
            if generator.claimed.type != expected:
                raise RuntimeError(f"Expected a '{expected}' device type for generator but found '{generator.claimed}'")
        if goes and name in ("tensor", "as_tensor"):
            self._note("upload")
        with torch._C.DisableTorchFunctionSubclass():
            made = func(*args, **kwargs)
        return tree_map(lambda v: self._marked(v, name) if goes else v, made)

    def _marked(self, value: Any, name: str) -> Any:
        if not isinstance(value, Tensor):
            return value
        if self.device.type == "mps" and value.dtype == torch.float64:
            raise TypeError(f"{name}: the MPS framework doesn't support float64")
        return value if isinstance(value, Pretending) else value.as_subclass(Pretending)

    def _moved(self, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        tensor, *rest = args
        target = None
        if name == "to":
            if isinstance(kwargs.get("device"), (str, torch.device)):
                target = torch.device(kwargs.pop("device"))
            elif rest and isinstance(rest[0], (str, torch.device)):
                target = torch.device(rest.pop(0))
            elif rest and isinstance(rest[0], Tensor):
                target = rest[0].device
                rest[0] = rest[0].dtype
        else:
            target = self.device if name == "cuda" else torch.device("cpu")
        goes = isinstance(tensor, Pretending) if target is None else target.type == self.device.type
        if isinstance(tensor, Pretending) is not goes:
            self._note("upload" if goes else "cpu")
        if rest or kwargs:
            with torch._C.DisableTorchFunctionSubclass():
                tensor = tensor.to(*rest, **kwargs)
        if goes:
            return self._marked(tensor, name)
        return tensor.as_subclass(Tensor) if isinstance(tensor, Pretending) else tensor

    def _check_operands(self, name: str, args: Any, there: list[Tensor], here: list[Tensor]) -> None:
        indexing = name in ("__getitem__", "__setitem__")
        if indexing:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if not isinstance(args[0], Pretending) and any(isinstance(i, Pretending) for i in index):
                raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
            if any(isinstance(i, (Tensor, list)) and getattr(i, "dtype", None) == torch.bool for i in index):
                self._note("boolean index")
            elif any(isinstance(i, list) or (isinstance(i, Tensor) and not isinstance(i, Pretending)) for i in index):
                self._note("upload of an index")
        elif name not in ("copy_", "set_") and any(v.ndim > 0 for v in here):
            raise RuntimeError(
                f"{name}: expected all tensors to be on the same device, but found at least two devices, "
                f"{self.device.type} and cpu"
            )
        if name in WAITS and not (name == "repeat_interleave" and isinstance(args[1], int)):
            self._note(name)
        if name == "where" and len(args) == 1:
            self._note("where")
