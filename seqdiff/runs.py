"""The run folder, the same for every generator.

    <savepath>/<model_name>/
        check/checkpoint.pt      resume state; check/checkpoint.previous.pt is the one before, until the run is finished
        check/model.safetensors  what `seqdiff.load` reads
        samples/                 what `generate` wrote
        tb/                      TensorBoard
        args.json  args.pickle   parameters
        metrics_train.pickle  metrics_train.txt  metrics_eval.pickle  metrics_eval.txt

Every file is whole at every moment: it is written under a temporary name and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import math
import os
import pickle
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import torch

from seqdiff.errors import InputError, argument, shown, warn
from seqdiff.inputs import PathLike
from seqdiff.runtime import UPGRADE, replacing, say

logger = logging.getLogger(__name__)

CHECKPOINT_VERSION = 1
TEMPORARY = ".*.tmp"
SAMPLING = {
    "sampler", "order", "remasking", "renoising", "correctors", "solver", "sampling_steps", "clamp", "eta",
}  # fmt: skip
"""Parameters of how samples are drawn, which a fitted model takes over from `set_params`."""
FREE_TO_CHANGE = {"verbose", "device", "savepath", "model_name", "check_every"} | SAMPLING
"""Parameters that may differ when a run is resumed: they do not change what is learned."""


class Run:
    """A run folder, which need not exist; an operating-system lock holds it while a fit writes to it."""

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.checkpoint = self.path / "check" / "checkpoint.pt"
        self.previous = self.path / "check" / "checkpoint.previous.pt"
        self.model = self.path / "check" / "model.safetensors"
        self.samples = self.path / "samples"
        self._lock = filelock.FileLock(self.path / ".lock", timeout=0)
        self._writer: EventFile | None = None
        self._quiet = False  # whether TensorBoard has failed

    # -- what it holds ------------------------------------------------------------------------------------------------

    def read_args(self) -> dict[str, Any] | None:
        """Return the contents of args.json, None where there are none or another program wrote them."""
        try:
            args = json.loads((self.path / "args.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, MemoryError):  # a number of 5,000 digits is a ValueError
            return None
        ours = isinstance(args, dict) and {"estimator", "parameters", "data"} <= args.keys()
        return args if ours and isinstance(args["parameters"], dict) else None

    def read_evaluations(self) -> dict[str, list[float]]:
        """Return the columns of metrics_eval.txt, none where nothing was validated yet."""
        path = self.path / "metrics_eval.txt"
        if not path.is_file():
            return {}
        import pandas as pd  # slow to import

        return pd.read_csv(path, sep="\t").to_dict(orient="list")

    def foreign(self) -> list[str]:
        """Return what a folder without our args.json holds that seqdiff did not put there."""
        found = []
        for path in sorted(self.path.iterdir()):
            ours = path.name == ".lock" or path.match(TEMPORARY)
            if path.is_dir() and path.name in ("check", "samples", "tb"):  # laid out just before it was killed
                ours = all(inner.match(TEMPORARY) for inner in path.iterdir())
            if not ours:
                found.append(path.name)
        return found

    @property
    def finished(self) -> bool:
        args = self.read_args()
        return args is not None and args.get("status") == "finished"

    def matches(self, args: dict[str, Any]) -> bool:
        """Return whether this folder's run has this estimator, these parameters (harmless ones aside) and data."""
        old = self.read_args()
        if old is None or (old["estimator"], old["data"]) != (args["estimator"], args["data"]):
            return False
        return not differing(old["parameters"], args["parameters"])

    # -- holding it ---------------------------------------------------------------------------------------------------

    def acquire(self) -> None:
        """Take the lock."""
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise InputError(
                str(self.path), "a folder that another fit, which still runs, is writing to", "one of its own",
                f"wait for that fit, or {_another_name()}",
            ) from None  # fmt: skip

    def release(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(Exception):  # on a full disk, or where its folder is gone
                self._writer.close()
            self._writer = None
        self._lock.release()

    def start(self, args: dict[str, Any]) -> None:
        """Lay out an empty run; what a run killed before its first checkpoint left behind is swept away."""
        for name in ("check", "tb"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in ("check", "samples", "tb"):
            (self.path / name).mkdir(exist_ok=True)
        self.sweep()
        self.write_args(args)

    def sweep(self) -> None:
        """Remove temporary files of a killed process."""
        for folder in (self.path, self.path / "check", self.samples):
            for stale in folder.glob(TEMPORARY):
                stale.unlink(missing_ok=True)

    # -- writing ------------------------------------------------------------------------------------------------------

    def write_args(self, args: dict[str, Any]) -> None:
        with replacing(self.path / "args.json") as name:
            name.write_text(json.dumps(args, indent=2) + "\n", encoding="utf-8")
        with replacing(self.path / "args.pickle") as name:
            name.write_bytes(pickle.dumps(args["parameters"]))

    def set_status(self, status: str) -> None:
        args = self.read_args()
        if args is not None:
            self.write_args({**args, "status": status})
        if status == "finished":
            self.previous.unlink(missing_ok=True)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Write a checkpoint; until the run is finished the one before stays beside it, which doubles the disk use."""
        with replacing(self.checkpoint) as name:
            torch.save(state, name)
            seal(name)
            if self.checkpoint.is_file():
                self.previous.unlink(missing_ok=True)
                try:
                    os.link(self.checkpoint, self.previous)  # a second name of the file that is about to be replaced
                except OSError:  # a file system without such names
                    with replacing(self.previous) as copied:
                        shutil.copyfile(self.checkpoint, copied)

    def load_checkpoint(self, device: torch.device, accept: Callable[[dict[str, Any]], None]) -> None:
        """Give the last checkpoint to a function, which raises a ValueError if it cannot be gone on from.

        Where it is damaged, the one before takes its place, with a warning.
        """
        reasons = []
        for path in (self.checkpoint, self.previous):
            try:
                accept(read_checkpoint(path, device))
            except NewerFormat:
                raise
            except Exception as error:  # a damaged file can fail in any way
                reasons.append(str(error).partition("\n")[0] or type(error).__name__)
                continue
            if path == self.previous:
                warn(f"{self.checkpoint} cannot be read ({reasons[0]}); going on from the checkpoint before it")
                os.replace(self.previous, self.checkpoint)
            return
        raise InputError(
            str(self.checkpoint), f"what cannot be read ({reasons[0]})", "a checkpoint",
            f"delete {self.path} to start again, or {_another_name()}",
        ) from None  # fmt: skip

    def write_metrics(self, part: str, history: dict[str, list[Any]]) -> None:
        """Write a dict of equally long lists as a pickle and as a tab-separated table."""
        with replacing(self.path / f"metrics_{part}.pickle") as name:
            name.write_bytes(pickle.dumps(history))
        rows = ["\t".join(history), *("\t".join(map(_cell, row)) for row in zip(*history.values(), strict=True))]
        with replacing(self.path / f"metrics_{part}.txt") as name:
            name.write_text("\n".join(rows) + "\n", encoding="utf-8")

    def log_scalars(self, step: int, values: dict[str, float], resumed_at: int | None = None) -> None:
        """Add points to TensorBoard; after a resume it forgets those past the checkpoint."""
        if self._quiet:
            return
        try:
            if self._writer is None:
                self._writer = EventFile(self.path / "tb", None if resumed_at is None else resumed_at + 1)
            self._writer.add(step, values)
        except Exception as error:  # its files are for looking at: whatever it is, training goes on
            self._quiet, self._writer = True, None
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            warn(f"{self.path / 'tb'}: TensorBoard's files are no longer written ({reason})")


class NewerFormat(InputError):
    """Says that a newer seqdiff wrote a file."""


SEAL = b"seqdiff blake2b "
DIGITS = 32  # of the checksum


def seal(path: Path) -> None:
    """Put a checksum of all that stands before it at the end of a zip file, as its comment."""
    content = bytearray(path.read_bytes())
    if content[-22:-18] != b"PK\5\6":
        return
    content[-2:] = (len(SEAL) + DIGITS).to_bytes(2, "little")
    content += SEAL
    with open(path, "r+b") as file:
        file.seek(len(content) - len(SEAL) - 2)
        file.write(content[-len(SEAL) - 2 :] + _checksum(content))


def _checksum(content: bytes | bytearray | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGITS // 2).hexdigest().encode()


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what a checkpoint holds; older ones have no checksum."""
    content = path.read_bytes()
    if content[-22:-18] != b"PK\5\6" or content[-2:] != b"\0\0":
        whole = memoryview(content)[:-DIGITS]
        if not bytes(whole[-len(SEAL) :]) == SEAL or content[-DIGITS:] != _checksum(whole):
            raise ValueError("it is damaged: its checksum is not that of its bytes")
    state = torch.load(path, map_location=device, weights_only=True)
    version = state.get("format_version") if isinstance(state, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise ValueError("it is not a checkpoint that seqdiff wrote")
    if version > CHECKPOINT_VERSION:
        raise NewerFormat(str(path), f"format {version} of a newer seqdiff", f"{CHECKPOINT_VERSION} at most", UPGRADE)
    return state


def _another_name() -> str:
    return f"choose another {argument('model_name')}"


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class EventFile:
    """An event file of scalars for TensorBoard, in a folder that is made if needed.

    torch's writer hands points to a thread, which prints a trace and dies where the disk is full or the folder is gone.
    Here a point is in the file, or the caller has the error, when `add` returns.

    Parameters
    ----------
    folder : Path
    purge_step : int, optional
        Points of earlier files from this step on are ignored: a resumed run writes them again.

    Examples
    --------
    >>> events = EventFile(Path("tb"))
    >>> events.add(1, {"train/loss": 0.5})
    >>> events.close()
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # slow to import, and only needed here
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1000:016d}.{socket.gethostname()}.{os.getpid()}.0"
        self._file = open(folder / name, "xb")  # noqa: SIM115 - closed by `close`
        self._records, self._event = RecordWriter(self._file), Event
        self._write(file_version="brain.Event:2")
        if purge_step is not None:
            self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write a point of each scalar."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=name, simple_value=float(value)) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=points))

    def _write(self, **fields: object) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def best_evaluation(table: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the row of `Run.read_evaluations` with the fewest bits per letter, {} where there is none."""
    bits = table.get("bits_per_letter")
    if not bits:
        return {}
    row = min(range(len(bits)), key=lambda i: math.inf if math.isnan(bits[i]) else bits[i])
    return {name: column[row] for name, column in table.items()}


FORMER = {"time_sampling": "uniform", "gaps": "error"}
"""Values of parameters that runs of earlier versions had without stating them."""


def differing(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that matter and differ, with their old values."""
    had = FORMER | old
    names = sorted(k for k in old.keys() | new.keys() if k not in FREE_TO_CHANGE)
    return {k: had.get(k) for k in names if had.get(k) != new.get(k)}


def open_run(
    root: PathLike,
    name: str | None,
    args: dict[str, Any],
    *,
    resume: bool,
    run_dir: PathLike | None = None,
    verbose: int = 1,
) -> tuple[Run, bool]:
    """Return the run folder to write to, locked, and whether it holds a checkpoint to resume from.

    Parameters
    ----------
    root : path
        The folder of all runs.
    name : str or None
        None takes the class name, then ``<class>-2``, ...
    args : dict
        Contents of args.json: ``estimator``, ``parameters``, ``data`` (a digest), ``status`` and more.
    resume : bool
        Resume the named run, else `run_dir`, else the newest unfinished one with equal parameters and data.
    run_dir : path, optional
        The run of an earlier fit of the same estimator.
    """
    root = Path(root).expanduser()
    make_root(root)
    if name is not None:
        return _take(Run(root / name), args, resume)
    if resume:
        for path in _candidates(root, run_dir, args):
            run = Run(path)
            if run_dir is not None or run.matches(args):
                return _take(run, args, resume)
        say(logger, f"no unfinished run with these settings and data in {root}: starting a new one", verbose)
    run = Run(claim(root, args["estimator"]))
    run.acquire()
    run.start(args)
    return run, False


def numbered(name: str, ending: str = "") -> Iterator[str]:
    """Yield ``name``, ``name-2``, ``name-3``, ... with an ending."""
    yield f"{name}{ending}"
    yield from (f"{name}-{i}{ending}" for i in itertools.count(2))


def claim(root: Path, name: str, ending: str = "") -> Path:
    """Create a folder, or an empty file where there is an ending, of the first of the `numbered` names that is free."""
    make_root(root)
    try:
        for candidate in numbered(name, ending):
            path = root / candidate
            try:
                path.touch(exist_ok=False) if ending else path.mkdir()
                return path
            except FileExistsError:
                continue
    except OSError as error:
        raise _not_writable(root, error) from None
    raise AssertionError("unreachable")


def make_root(root: Path) -> None:
    """Make the folder of the runs where it does not exist."""
    check_root(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(root, error) from None


def _not_writable(root: Path, error: OSError) -> InputError:
    found = f"{str(root)!r} ({error.strerror})"
    return InputError(argument("savepath"), found, "a folder that can be written", "give another one")


def check_root(root: Path) -> None:
    """Raise an `InputError` where the folder of the runs is a file."""
    if root.exists() and not root.is_dir():
        raise InputError(argument("savepath"), f"the file {str(root)!r}", "a folder for the runs", "give another name")


def _candidates(root: Path, run_dir: PathLike | None, args: dict[str, Any]) -> list[Path]:
    if run_dir is not None and Path(run_dir).is_dir():
        return [Path(run_dir)]
    runs = [p for p in root.iterdir() if (p / "args.json").is_file() and not Run(p).finished]
    return sorted(runs, key=lambda p: (p / "args.json").stat().st_mtime, reverse=True)


def _take(run: Run, args: dict[str, Any], resume: bool) -> tuple[Run, bool]:
    """Open a folder that a user named, or that a run is to be resumed in."""
    if run.path.exists() and not run.path.is_dir():
        raise InputError(str(run.path), "a file", "a folder for the run", _another_name())
    run.path.mkdir(parents=True, exist_ok=True)
    if run.read_args() is None and (foreign := run.foreign()):
        found = f"a folder that holds {shown(foreign[0])}"
        raise InputError(str(run.path), found, "a run folder, or an empty one", _another_name())
    run.acquire()
    try:
        return _take_locked(run, args, resume)
    except BaseException:
        run.release()
        raise


def _take_locked(run: Run, args: dict[str, Any], resume: bool) -> tuple[Run, bool]:
    old, where, another = run.read_args(), str(run.path), _another_name()
    if old is None or not (run.finished or run.checkpoint.is_file() or run.previous.is_file()):
        run.start(args)
        return run, False
    if not resume:
        found, cure = "a finished run", f"{another}, or delete the folder to start again"
        if not run.finished:
            found, cure = "an interrupted run", f"give {argument('resume', True)} to resume it, {cure}"
        raise InputError(where, found, "a folder without a run", cure)
    if old["estimator"] != args["estimator"]:
        raise InputError(where, f"a run of {old['estimator']}", f"one of {args['estimator']} to resume", another)
    names = differing(old["parameters"], args["parameters"])
    had, wanted = (a.get("epochs", a["parameters"].get("epochs")) for a in (old, args))
    further = [*names] == ["epochs"] and isinstance(had, int) and isinstance(wanted, int)
    if further and wanted < had:
        found = f"{wanted} to resume the run of {had} in {where}"
        raise InputError(argument("epochs"), found, f"{had} or more", f"give as many, or {another}")
    if names and not further:
        found = f"a run with other values of {', '.join(map(argument, names))}"
        values = ", ".join(argument(name, value) for name, value in names.items())
        raise InputError(where, found, "one with the same to resume", f"give {values}, or {another}")
    if old["data"] != args["data"]:
        raise InputError(
            where, "a run on other data", "one of the same to resume",
            f"give the same sequences, labels and {argument('validation')}, or {another}",
        )  # fmt: skip
    if not (run.checkpoint.is_file() or run.previous.is_file()):
        gone = run.checkpoint.name
        raise InputError(where, f"a finished run whose {gone} is gone", "one that has it to resume", another)
    run.sweep()
    if further:
        run.write_args(args)
    return run, True
