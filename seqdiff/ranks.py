"""Several processes that train, sample and score together, as `torchrun` starts them.

Each has all of the data and of the weights, and computes a share of the rows. The noise of a row is what one process
alone would draw for it (`Shared`), so that losses, samples and scores do not depend on the number of processes but for
rounding. The first one alone writes files and shows messages.

    torchrun --nproc-per-node=2 -m seqdiff fit promoters.txt --model-name mine
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from seqdiff.errors import FirstFailed, InputError

Result = TypeVar("Result")

PATIENCE = timedelta(hours=2)
"""For which a process waits for the others, such as for the first while it writes or compiles."""


@dataclass(frozen=True)
class Ranks:
    """The processes of one program; one alone is the first of one.

    Parameters
    ----------
    rank : int
        The number of this one.
    size : int
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.size > 1

    def share(self, n: int) -> slice:
        """Return the rows of this process among n: neighbours, as many as the others have, or one more.

        Examples
        --------
        >>> [Ranks(rank, 3).share(7) for rank in range(3)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
        """
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of the tensors of all processes, the same in each to the last bit."""
        if self.several:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def dealt(self, mine: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
        """Return the groups of tensors that were dealt out in turn, one to each process, in their order."""
        if not self.several:
            return list(mine)
        shapes = self.each([[(list(t.shape), str(t.dtype).removeprefix("torch.")) for t in group] for group in mine])
        found = []
        for i in range(sum(map(len, shapes))):
            turn, owner = divmod(i, self.size)
            kinds = shapes[owner][turn]
            own = self.rank == owner
            group = mine[turn] if own else tuple(torch.empty(size, dtype=getattr(torch, kind)) for size, kind in kinds)
            found.append(tuple(self._broadcast(tensor, owner) for tensor in group))
        return found

    @staticmethod
    def _broadcast(tensor: Tensor, source: int) -> Tensor:
        tensor = tensor.contiguous()
        dist.broadcast(tensor, source)
        return tensor

    def from_first(self, value: Any = None) -> Any:
        """Return the value of the first process, which JSON can hold."""
        return self._sent(value, 0) if self.several else value

    def each(self, value: Any) -> list[Any]:
        """Return the values of all processes, which JSON can hold, in their order."""
        return [self._sent(value, rank) for rank in range(self.size)] if self.several else [value]

    def _sent(self, value: Any, source: int) -> Any:
        text = json.dumps(value).encode() if self.rank == source else b""
        length = torch.tensor([len(text)])
        dist.broadcast(length, source)
        content = torch.zeros(int(length), dtype=torch.uint8)
        if self.rank == source:
            content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        dist.broadcast(content, source)
        return json.loads(content.numpy().tobytes())

    def first_does(self, work: Callable[[], Result]) -> Result | None:
        """Return what a function returns in the first process; the others, which have None, wait until it is done.

        Its failure is raised in all of them: else they would wait for it in vain.
        """
        found: Result | None = None
        failure: Exception | None = None
        if self.first:
            try:
                found = work()
            except Exception as error:
                failure = error
        said = self.from_first(None if failure is None else str(failure) or type(failure).__name__)
        if failure is not None:
            raise failure
        if said is not None:
            raise FirstFailed("the first process", f"its failure ({said})", "its success", "mend what it says")
        return found


ALONE = Ranks()


def count() -> int:
    """Return the number of processes that were started together."""
    text = os.environ.get("WORLD_SIZE", "1")
    return int(text) if text.isdigit() else 1


def restarted() -> bool:
    """Return whether `torchrun` has started this program anew, after one of its processes was lost."""
    return count() > 1 and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


@cache
def current() -> Ranks:
    """Return this process among those that were started together; the first call joins them."""
    if count() < 2:
        return ALONE
    if missing := [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        found, wanted = f"WORLD_SIZE={count()} without {missing[0]}", "the variables that torchrun sets"
        raise InputError("the environment", found, wanted, "start the program by torchrun, or unset WORLD_SIZE")
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    if not dist.is_initialized():  # by a program of one's own
        store, rank, size = next(dist.rendezvous("env://", timeout=PATIENCE))
        # torchrun keeps its store when it starts processes anew: without a name of its own for each start, they would
        # try to reach those that are gone
        store = dist.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    return Ranks(dist.get_rank(), dist.get_world_size())


def alone(what: str) -> None:
    """Refuse several processes for what only one can do."""
    if count() > 1:
        raise InputError(what, f"{count()} processes", "one", "start it without torchrun")
