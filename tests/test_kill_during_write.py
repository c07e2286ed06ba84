"""Death by the system's own hand in the middle of a write, as `kill -9` there: what lies on the disk goes on.

A limit on the size of files is set in a process of its own when a chosen write begins. The system then lets so many
bytes through and ends the process within the next call, whichever library makes it: Python, torch's archive or
safetensors.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_models import tiny
from test_resume import X, assert_readable, assert_same_runs

import seqdiff
from seqdiff import runtime
from seqdiff.training.events import EventFile

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and a limit on the size of files")

FIT = {"savepath": "runs", "epochs": 3, "check_every": 1, "dropout": 0.2}
WHEN = 0.1, 0.9  # of a file's bytes


@pytest.fixture(autouse=True)
def one_thread():
    """A process that was forked has the threads of its parent no more, and would wait for them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def limit_files(size: int) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python leaves it ignored, and the write an error
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def in_a_process(act: Callable[[], object]) -> int:
    """Return how a process ended that did nothing but `act`: 0 or minus the signal."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        signal.alarm(60)
        try:
            act()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_in_write(number: int, size: int, act: Callable[[], object]) -> Path:
    """Do `act` until so many bytes of the file with that number are written; return the half-written file."""

    def dying():
        begun = []

        def counted(n):
            begun.append(n)
            if len(begun) == number + 1:
                limit_files(size)
            return "0" * 2 * n

        # the temporary name is drawn where a write begins
        runtime.secrets = SimpleNamespace(token_hex=counted, randbits=runtime.secrets.randbits)
        act()

    assert in_a_process(dying) == -signal.SIGXFSZ
    (half,) = Path().rglob("*.tmp")
    assert half.stat().st_size == size
    return half


def writes_of(act: Callable[[], object]) -> list[tuple[str, int]]:
    """Return the name and size of every file that `act` puts in place, in their order."""
    written, rename = [], os.replace

    def noted(source, target):
        written.append((Path(target).name, Path(source).stat().st_size))
        rename(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", noted)
        act()
    return written


@pytest.mark.parametrize("every, parts", [(4, (0.5,)), pytest.param(1, WHEN, marks=pytest.mark.slow)])
def test_killed_in_the_writes_of_a_run(workdir, every, parts):
    """In every fourth write at its half; in the slow test in each of them, twice: at least 40 in all."""
    whole = tiny(**FIT, model_name="w")
    writes = writes_of(lambda: whole.fit(X))
    names = {
        "args.json",
        "args.pickle",
        "checkpoint.pt",
        "model.safetensors",
        "metrics_train.txt",
        "metrics_eval.pickle",
    }
    assert names <= {name for name, _ in writes} and len(writes) * len(WHEN) >= 40
    for number, (name, size) in list(enumerate(writes))[::every]:
        for part in parts:
            half = die_in_write(number, max(1, int(part * size)), lambda: tiny(**FIT, model_name="m").fit(X))
            assert half.name.startswith(f".{name}.")
            assert_readable("runs/m")
            tiny(**FIT, model_name="m").fit(X, resume=True)
            assert_same_runs("runs/m", "runs/w")
            assert not list(Path("runs/m").rglob("*.tmp"))
            shutil.rmtree("runs/m")


def test_killed_in_a_point_of_tensorboard(workdir):
    """Half a point is no point: the reader goes on with the file of the next sitting, which has it whole."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    whole = tiny(**FIT, model_name="w").fit(X)
    for point in 1, 2, 4:

        def dying(last=point):
            write, points = EventFile._write, []

            def counted(self, **fields):
                points.append(fields)
                if len(points) == last + 1:
                    limit_files(os.fstat(self._file.fileno()).st_size + 5)
                write(self, **fields)

            EventFile._write = counted
            tiny(**FIT, model_name="m").fit(X)

        assert in_a_process(dying) == -signal.SIGXFSZ
        assert_readable("runs/m")
        tiny(**FIT, model_name="m").fit(X, resume=True)
        assert_same_runs("runs/m", "runs/w")
        events = EventAccumulator("runs/m/tb").Reload().Scalars("train/bits_per_letter")
        assert [event.step for event in events] == whole.history_["step"]
        shutil.rmtree("runs/m")


@pytest.mark.parametrize("earlier", [False, True])
def test_killed_while_a_person_s_file_is_written(workdir, earlier):
    """What was there stays, whole; the half file is swept away by the next write."""
    model = tiny(epochs=1).fit(X)
    for name, act in {
        "m.safetensors": lambda path: model.save(path),
        "o.fasta": lambda path: model.generate(200, out=path, random_state=0),
        "o.csv": lambda path: model.generate(200, out=path, random_state=0),
    }.items():
        path = Path(name)
        ((_, size),) = writes_of(lambda act=act, path=path: act(path))
        wanted = path.read_bytes()
        path.write_text("earlier") if earlier else path.unlink()
        for part in WHEN:
            die_in_write(0, int(part * size), lambda act=act, path=path: act(path))
            assert path.read_text() == "earlier" if earlier else not path.exists()
        act(path)
        assert sorted(path.read_bytes()) == sorted(wanted)  # safetensors writes a header's entries in any order
        assert not list(Path().rglob("*.tmp"))
    assert seqdiff.load("m.safetensors").n_train_ == model.n_train_
