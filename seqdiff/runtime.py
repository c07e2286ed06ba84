"""Devices, precision, random streams, messages and files: all that depends on the machine.

The other rooms ask this file instead of torch, so that a new kind of machine is one change.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import os
import secrets
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from seqdiff import ranks
from seqdiff.errors import InputError, argument, is_first, listed, shown
from seqdiff.ranks import Ranks

UPGRADE = "upgrade with pip install -U seqdiff"
"""The cure where a file has a newer format."""
CHUNK = 256
"""Rows whose noise one generator draws; fixed, so that samples do not depend on the batch size."""
LETTERS = CHUNK * 1024
"""Letters whose noise one generator draws at most, and on a CPU those of one call of the network, padding included."""
LETTERS_TOGETHER = 4 * LETTERS
"""Letters sampled or scored together on a CPU."""

Module = TypeVar("Module", bound=nn.Module)
Result = TypeVar("Result")
Generators = torch.Generator | Sequence[torch.Generator]


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device of a name of torch's, or for "auto" CUDA where there is one, else Apple's MPS, else the CPU."""
    ranks.current()  # which may give each process a device of its own
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        found, wanted = shown(str(device), 40), "a device that this machine has"
        raise InputError(argument("device"), found, wanted, "give 'auto' or 'cpu'") from None
    return chosen


def _fast_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than float32 here: on a CPU that takes AMX, or products of AVX-512."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)  # older cards have it, but slower than float32
    supported = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # names that a later torch may not have
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in supported)


@contextlib.contextmanager
def _whole_float32() -> Iterator[None]:
    """Let CUDA convolve in float32 itself: by default it takes TF32, whose 10 bits show in scores."""
    # before torch 2.9 there is the older of the two names alone; later reading it is an error where the other was used
    convolution: Any = getattr(torch.backends.cudnn, "conv", None)
    setting: tuple[Any, str, Any] = (torch.backends.cudnn, "allow_tf32", False)
    if hasattr(convolution, "fp32_precision"):
        setting = (convolution, "fp32_precision", "ieee")
    owner, name, whole = setting
    before = getattr(owner, name)
    setattr(owner, name, whole)
    try:
        yield
    finally:
        setattr(owner, name, before)


def autocast(device: torch.device, precision: str, *, exact: bool = False) -> contextlib.AbstractContextManager:
    """Return the context in which the network runs.

    ``"auto"`` trains and samples in bfloat16 where the hardware is made for it; `exact` is float32, for scores.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        wanted = listed(("auto", "float32", "bfloat16"))
        raise InputError(argument("precision"), shown(precision), wanted, "give one of these")
    if precision == "auto":
        precision = "bfloat16" if _fast_bfloat16(device) and not exact else "float32"
    if precision == "float32":
        return _whole_float32() if device.type == "cuda" else contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def full_precision(device: torch.device) -> contextlib.AbstractContextManager:
    """Return the context in which what runs inside `autocast` is in its own precision again."""
    return torch.autocast(device.type, enabled=False)


def attends_in_float32(x: Tensor) -> bool:
    """Return whether attention trains faster on x in float32, as its bfloat16 backward pass is slow on a CPU.

    128 sequences of 22 letters, 4 heads of 32 channels, torch 2.13: forward and backward 46 ms in bfloat16, 8 ms in
    float32; 64 of 200 letters: 138 and 71 ms. The forward pass alone is as fast in bfloat16.
    """
    return x.device.type == "cpu" and x.dtype == torch.bfloat16 and x.requires_grad


def seed_of(*parts: object) -> int:
    """Return a 63-bit seed that is a hash of the parts, so that nearby seeds and steps have unrelated streams."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator_for(device: torch.device | str, *parts: object) -> torch.Generator:
    """Return a generator on `device`, seeded by `seed_of(*parts)`."""
    return torch.Generator(device=device).manual_seed(seed_of(*parts))


def power_of_two(n: int) -> int:
    """Return the largest power of two that is at most n, and at least 1."""
    return 1 << max(0, n.bit_length() - 1)


def chunk_rows(width: int) -> int:
    """Return the rows of `width` letters whose noise one generator draws: 256, fewer beyond 1,024 letters.

    A generator draws all of its rows, however few are wanted; at 32,768 letters 256 rows cost more than the network.

    Examples
    --------
    >>> [chunk_rows(width) for width in (50, 1024, 1025, 8192, 32_768)]
    [256, 256, 128, 32, 8]
    """
    return min(CHUNK, power_of_two(LETTERS // max(1, width)))


class Chunks(list):
    """Generators of which each draws the noise of `size` rows."""

    size = CHUNK

    def __init__(self, generators: Sequence[torch.Generator], size: int = CHUNK) -> None:
        super().__init__(generators)
        self.size = size


def chunk_generators(n: int, device: torch.device | str, *parts: object, first: int = 0, size: int = CHUNK) -> Chunks:
    """Return one generator for each `size` of n rows, for `uniform` and `normal`; `first` is the number of row 0.

    `first` is a multiple of `size` (256, or `chunk_rows`).
    """
    return Chunks([generator_for(device, *parts, first // size + i) for i in range(-(-n // size))], size)


class ChosenRows(Chunks):
    """Generators of `chunk_generators` for the rows (n,) alone, whose noise is as if all rows were drawn."""

    def __init__(self, generators: Sequence[torch.Generator], rows: Tensor) -> None:
        super().__init__(generators, getattr(generators, "size", CHUNK))
        self.rows = rows


class Shared(Chunks):
    """A generator that draws for n rows, of which this process computes some: those get what one process alone draws.

    Parameters
    ----------
    generator : torch.Generator
    n : int
    among : Ranks
    """

    def __init__(self, generator: torch.Generator, n: int, among: Ranks) -> None:
        super().__init__([generator])
        self.n, self.among, self.rows = n, among, among.share(n)


def single(generator: Generators) -> torch.Generator:
    """Return the one generator of draws that are not of single rows."""
    return generator if isinstance(generator, torch.Generator) else generator[0]


def numbers(n: int, generator: Generators, device: torch.device) -> tuple[Tensor, int]:
    """Return the numbers (n,) of rows in their batch, and how many it has: more than n where others have the rest."""
    if isinstance(generator, Shared):
        return torch.arange(generator.rows.start, generator.rows.stop, device=device), generator.n
    return torch.arange(n, device=device), n


def over_all(values: Tensor, generator: Generators) -> Tensor:
    """Return sums over rows, those included that other processes have."""
    return generator.among.sum(values) if isinstance(generator, Shared) else values


def _draw(
    function: Callable[..., Tensor],
    shape: tuple[int, ...],
    generator: Generators,
    device: torch.device | str,
    dtype: torch.dtype,
) -> Tensor:
    if isinstance(generator, torch.Generator):
        return function(shape, generator=generator, device=device, dtype=dtype)
    if isinstance(generator, Shared):
        return function((generator.n, *shape[1:]), generator=generator[0], device=device, dtype=dtype)[generator.rows]
    # A list of generators draws full chunks, even where the last has fewer rows: row i then has the same noise
    # whether it was drawn alone or among a million.
    size = generator.size if isinstance(generator, Chunks) else CHUNK
    rows = (size, *shape[1:])
    drawn = [function(rows, generator=g, device=device, dtype=dtype) for g in generator]
    if shape[0] > len(drawn) * size:
        raise ValueError(f"{len(drawn)} generators draw {len(drawn) * size} rows, but {shape[0]} are wanted")
    everything = drawn[0] if len(drawn) == 1 else torch.cat(drawn)
    return everything[generator.rows if isinstance(generator, ChosenRows) else slice(shape[0])]


def widest(device: torch.device | str) -> torch.dtype:
    """Return the widest floating type of the device: float64, or float32 where it has none, as Apple's MPS."""
    return torch.float32 if torch.device(device).type == "mps" else torch.float64


def in_float64(values: Tensor) -> Tensor:
    """Return the values in float64, on the CPU where their device has none."""
    return (values if widest(values.device) == torch.float64 else values.cpu()).double()


def has_fused_optimizer(device: torch.device) -> bool:
    """Return whether torch has an optimizer of one kernel for the device."""
    return device.type in ("cpu", "cuda")


def call_cost(device: torch.device) -> int:
    """Return the overhead of a call of the network, in letters."""
    return 32_768 if waits(device) else 1024


def waits(device: torch.device | str) -> bool:
    """Return whether the device works asynchronously, so that reading a number back makes it wait."""
    return torch.device(device).type != "cpu"


def uniform(
    shape: tuple[int, ...], generator: Generators, device: torch.device | str, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return uniform numbers in [0, 1), (rows, ...); of several generators each draws 256 rows (`chunk_generators`).

    float64 by default (float32 where the device has no float64): a float32 uniform has 2^24 values, which bends the
    distribution of rare letters.
    """
    if dtype == torch.float64:
        dtype = widest(device)
    return _draw(torch.rand, shape, generator, device, dtype)


def normal(
    shape: tuple[int, ...], generator: Generators, device: torch.device | str, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return standard normal numbers of the given shape; see `uniform`."""
    return _draw(torch.randn, shape, generator, device, dtype)


_GLOBAL_DRAWS = threading.RLock()
"""Held while drawing from the global generators of torch and numpy, which all threads of the process share."""


def _global_generator(device: torch.device) -> torch.Generator:
    """Return the generator that draws on the device where none is given."""
    if device.type == "cuda":
        torch.empty(0, device=device)  # the list is empty before the device is first used
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    if device.type == "mps":
        from torch.mps import _get_default_mps_generator

        return _get_default_mps_generator()
    return torch.random.default_generator


class DropoutStream:
    """Random numbers for dropout, which draws from torch's global generator and takes no other.

    Inside `drawing` the global generator continues this stream, and other streams wait, so that fits in several threads
    draw what each draws alone; afterwards the global random state is as it was before.
    """

    def __init__(self, device: torch.device) -> None:
        self._generator = _global_generator(device)
        self._own = torch.Generator(device=device)
        self._state: Tensor | None = None

    def seed(self, seed: int) -> None:
        """Start the stream anew."""
        self._state = self._own.manual_seed(seed).get_state()

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """Let the global generator be this stream."""
        with _GLOBAL_DRAWS:
            before = self._generator.get_state()
            if self._state is not None:
                self._generator.set_state(self._state)
            try:
                yield
            finally:
                self._state = self._generator.get_state()
                self._generator.set_state(before)


def repeatable_draws(
    device: torch.device,
) -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
    """Return two contexts: what torch's global generator draws now, in the first, it draws again in the second."""
    state = _global_generator(device).get_state()

    @contextlib.contextmanager
    def again() -> Iterator[None]:
        generator = _global_generator(device)
        with _GLOBAL_DRAWS:  # in a backward pass, outside `DropoutStream.drawing`
            before = generator.get_state()
            generator.set_state(state)
            try:
                yield
            finally:
                generator.set_state(before)

    return contextlib.nullcontext(), again()


@contextlib.contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Let initial weights drawn inside depend on the seed alone, and leave the global random state as it was."""
    with _GLOBAL_DRAWS, torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed_of(seed, "weights"))
        yield


@contextlib.contextmanager
def seeded_numpy(seed: int) -> Iterator[None]:
    """Let what a foreign library draws from numpy's global generator inside depend on the seed alone.

    Afterwards the global random state is as it was.
    """
    with _GLOBAL_DRAWS:
        before = np.random.get_state(legacy=False)  # noqa: NPY002
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was asked; nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@dataclass
class _Shape(Generic[Result]):
    """What is known of the work of one shape."""

    calls: int = 0
    seconds: float = float("inf")  # of the work, launched from Python
    repeat: Callable[[Tensor], Result] | None = None
    settled: bool = False  # whether repeating was timed


class Recordings(Generic[Result]):
    """Work on a GPU, recorded for each shape and then repeated by one command (a CUDA graph) where that is faster.

    A training step of a small network is hundreds of kernels of microseconds, whose launches from Python take ten times
    as long: 20 ms of which the GPU works 2 (conv network, batches of 128 sequences of 50 letters, H100).

    The first shape that has come ten times is recorded (recording costs less than was spent already), and only where
    the work neither waits for the device nor fails to be recorded; if repeating turns out to be slower, the work is
    launched as before. On other devices the work is just done.

    Parameters
    ----------
    device : torch.device
    generators : torch.Generator
        Generators that the work draws from, besides torch's global one. They are seeded between calls as usual, and
        what is drawn is the same as without recording.

    Attributes
    ----------
    failure : str or None
        Why nothing is recorded, where that was tried.
    """

    CALLS = 10  # before a shape is recorded
    MOST = 1  # shapes: on an H100 with torch 2.11 one of three attempts to record a second failed, the cause is unknown

    def __init__(self, device: torch.device, *generators: torch.Generator) -> None:
        self.device, self.generators = device, generators
        self.possible = _records(device)
        self.failure: str | None = None
        self._shapes: dict[Hashable, _Shape[Result]] = {}
        self._pool: Any = None  # the graphs share their memory: only one runs at a time

    def __call__(self, work: Callable[[Tensor], Result], rows: Tensor, *key: Hashable) -> Result:
        """Return ``work(rows)``, tensors that stay as they are until the next call.

        The work may depend on the numbers in `rows` and in tensors that stay in their place; `key` has the rest, beside
        the shape of `rows`.
        """
        if not self.possible:
            return work(rows)
        shape = self._shapes.setdefault((tuple(rows.shape), *key), _Shape())
        shape.calls += 1
        if shape.repeat is not None:
            return self._repeated(shape, shape.repeat, rows)
        if shape.settled or shape.calls < self.CALLS - 1:
            return work(rows)
        if shape.calls == self.CALLS - 1:
            result, lines = waits_of(partial(work, rows))
            self.failure = f"{lines[0]} waits" if lines else None
            self.possible = not lines
            return result
        if shape.calls == self.CALLS:
            result, shape.seconds = self._timed(work, rows)
            return result
        shape.settled = True
        if sum(other.repeat is not None for other in self._shapes.values()) < self.MOST:
            everything = (*self.generators, _global_generator(self.device))
            states = [generator.get_state() for generator in everything]
            try:
                shape.repeat, self._pool = record(work, rows, self.generators, self._pool)
                shape.settled = False
            except RuntimeError as error:  # some operations cannot be recorded: by torch's own account, or CUDA's
                self.possible, self.failure = False, str(error)
                for generator, state in zip(everything, states, strict=True):
                    _renew(generator, state)
        return work(rows) if shape.repeat is None else shape.repeat(rows)

    def _repeated(self, shape: _Shape[Result], repeat: Callable[[Tensor], Result], rows: Tensor) -> Result:
        if shape.settled:
            return repeat(rows)
        result, seconds = self._timed(repeat, rows)
        shape.settled = True
        if seconds > shape.seconds:
            shape.repeat = None
        return result

    def _timed(self, work: Callable[[Tensor], Result], rows: Tensor) -> tuple[Result, float]:
        synchronize(self.device)
        start = time.perf_counter()
        result = work(rows)
        synchronize(self.device)
        return result, time.perf_counter() - start


def _records(device: torch.device) -> bool:
    """Return whether work on the device can be recorded."""
    return device.type == "cuda" and torch.cuda.is_available()


def waits_of(work: Callable[[], Result]) -> tuple[Result, list[str]]:
    """Return the result of work on a CUDA device, and the line of code of each time that it waited for the device."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            result = work()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return result, [f"{w.filename}:{w.lineno}" for w in caught if "called a synchronizing" in str(w.message)]


def _renew(generator: torch.Generator, state: Tensor) -> None:
    """Let a generator go on from a state: it takes itself for recorded for ever where recording ended with an error."""
    other = torch.Generator(generator.device)
    other.set_state(state)
    generator.graphsafe_set_state(other.graphsafe_get_state())


def record(
    work: Callable[[Tensor], Result], rows: Tensor, generators: Sequence[torch.Generator], pool: Any
) -> tuple[Callable[[Tensor], Result], Any]:
    """Record the work, which is not done yet; return a function that does it for other rows, and the memory pool."""
    graph, given = torch.cuda.CUDAGraph(), rows.clone()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.device(rows.device), torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        result = work(given)

    def repeat(rows: Tensor) -> Result:
        given.copy_(rows)
        graph.replay()
        return result

    return repeat, graph.pool()


def say(logger: logging.Logger, message: str, verbose: int = 1) -> None:
    """Show a message: through logging where that is set up, else above the progress bar."""
    if verbose < 1 or not is_first():
        return
    if logger.isEnabledFor(logging.INFO):
        logger.info(message)
    else:
        tqdm.write(message, file=sys.stderr)


def temporary_beside(path: Path) -> Path:
    """Return a new name beside a path, for a file or a folder that will take its place when it is whole.

    Those that processes which are no more left there are removed.
    """
    with contextlib.suppress(OSError):
        for stale in path.parent.glob(f".{glob.escape(path.name[:200])}.*-????????.tmp"):
            number = stale.suffixes[-2].split("-")[0][1:]
            if number.isdigit() and not _alive(int(number)):
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink(missing_ok=True)
    return path.with_name(f".{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _alive(number: int) -> bool:
    """Return whether a process with this number may still run."""
    try:
        if os.name == "posix":  # elsewhere it would end the process
            os.kill(number, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path` that takes its place at the end, or vanishes if something went wrong.

    `path` is the old file or the whole new one, whenever the process is killed; an `InputError` says why it cannot be
    written: a full disk, a folder that is gone or read-only.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path  # a link stays, and what it points at is replaced
    temporary = temporary_beside(path)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # in a folder that is gone or read-only there is nothing to remove
            temporary.unlink(missing_ok=True)
        if reason := _why_not_written(error, path):
            found = f"a failure to write ({reason})"
            cure = "make room, or give a folder that you may write to: what was there is as it was"
            raise InputError(str(path), found, "a file that can be written", cure) from error
        raise


def _why_not_written(error: BaseException, path: Path) -> str | None:
    """Return what the system says of a failed write; None for errors that are something else's."""
    if isinstance(error, (OSError, RuntimeError)) and not path.parent.is_dir():
        return f"the folder {path.parent} is gone"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    said = str(error) if isinstance(error, RuntimeError) else ""  # by torch's archives, which do not say why
    return "no space is left, it seems" if any(word in said for word in ("Writer", "iostream", "enforce")) else None


def place(module: Module, device: torch.device) -> Module:
    """Move a module to the device; tables in float64 become float32 where the device has no float64."""
    return module.float().to(device) if device.type == "mps" else module.to(device)


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C was pressed; pressed twice it interrupts at once.

    Outside the main thread, where Python delivers no signals, it returns False.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def room(device: torch.device) -> int:
    """Return how many times as many letters the device computes together as a CPU."""
    return 16 if waits(device) else 1


def has_room(device: torch.device, size: int) -> bool:
    """Return whether so many bytes are a small part of the free memory of a GPU; False on a CPU."""
    return device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] // 4


def memory_is_full(error: BaseException) -> bool:
    """Return whether an error says that the memory of the device or of the machine is full."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def free_memory(device: torch.device) -> None:
    """Give memory back that torch keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def rows_at_once(device: torch.device, width: int = 1) -> int:
    """Return the number of sequences of `width` letters to sample or score together.

    It is a power of two that keeps the device busy: 256 on a CPU, fewer beyond 4,096 letters, so that the tables of the
    process, of some numbers for each letter, fit into the memory.
    """
    return room(device) * min(CHUNK, power_of_two(LETTERS_TOGETHER // max(1, width)))


def call_letters(device: torch.device) -> int:
    """Return the number of letters, padding included, in one call of the network in sampling and scoring."""
    return room(device) * LETTERS


def progress(total: int | None, unit: str, verbose: int, **options: Any) -> tqdm:
    """Return a progress bar of tqdm, silent where `verbose` is 0, with a line a minute where it goes into a file."""
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    # smoothing=0: the mean speed, as what is shown in between is no step that took no time
    options = {"mininterval": 0.5 if watched else 60.0, "smoothing": 0, "dynamic_ncols": True} | options
    return tqdm(total=total, unit=unit, disable=verbose < 1 or not is_first(), **options)
