"""Interrupted and resumed runs end bit for bit where an uninterrupted one does.

`pytest -m slow tests/test_resume.py` kills one training at 20 random moments.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from small_models import SMALL, mixed_lengths, sequences, tiny

import seqdiff
from seqdiff import EmbeddingDiffusion, runtime
from seqdiff.runs import EventFile, Run
from seqdiff.training import Trainer, trainer

CLOCKS = {"seconds", "cpu_seconds"}
X = sequences()


def assert_same(a, b, where="") -> None:
    """Compare nested state bit for bit, but for the clocks."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a.keys() - CLOCKS:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f"{where}/{i}")
    else:
        assert a == b, where


def checkpoint(folder) -> dict:
    return torch.load(Path(folder) / "check" / "checkpoint.pt", weights_only=True)


def weights(folder) -> dict:
    with safe_open(Path(folder) / "check" / "model.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def assert_same_runs(a, b) -> None:
    assert_same(checkpoint(a), checkpoint(b))
    assert_same(weights(a), weights(b))
    for part in ("train", "eval"):
        assert_same(*(pickle.loads((Path(f) / f"metrics_{part}.pickle").read_bytes()) for f in (a, b)))


LABELS = ["a", "b", None] * 16

# Three epochs of mostly three batches of 16, 16 and 11 rows; everything that draws or remembers takes part.
CASES = {
    "plain": ({}, {}),
    "labels": ({"dropout": 0.3, "label_dropout": 0.4, "warmup": 3, "lr_schedule": "cosine"}, {"y": LABELS}),
    "together": ({"update_freq": 3, "batch_size": 6, "dropout": 0.2, "weight_decay": 0.1}, {"y": [0.5, 1.5] * 24}),
    "in pairs": ({"update_freq": 2, "patience": 1, "eval_every": 2}, {"sample_weight": list(range(48))}),
    "mixed lengths": ({"network": "linear-transformer", "heads": 2, "local_heads": 1, "local_size": 4}, {}),
    "in parts": ({"dropout": 0.3}, {"y": LABELS}),
    "vectors": ({"dropout": 0.3}, {"sample_weight": list(range(48))}),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """Return a function that makes estimators, the arguments of fit, and an uninterrupted run's folder."""
    root = tmp_path_factory.mktemp("runs")
    parameters, arguments = CASES[request.param]
    data = {"mixed lengths": mixed_lengths(), "in parts": mixed_lengths(longest=600)}.get(request.param, X)

    def make(name="run", **more):
        settings = {"savepath": root, "model_name": name, "epochs": 3, "check_every": 3} | parameters | more
        return EmbeddingDiffusion(**SMALL | settings) if request.param == "vectors" else tiny(**settings)

    whole = make("whole").fit(data, **arguments)
    yield make, {"X": data} | arguments, Path(whole.run_dir_)
    shutil.rmtree(root)


@contextlib.contextmanager
def before_step(step, act):
    """Call `act` while the training step of that number runs."""
    with pytest.MonkeyPatch.context() as patch:
        original = Trainer._step

        def acting(self, *args):
            if self.step == step:
                act()
            return original(self, *args)

        patch.setattr(Trainer, "_step", acting)
        yield


def press():
    signal.raise_signal(signal.SIGINT)


def last_step(whole) -> int:
    return checkpoint(whole)["step"]


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


def test_ctrl_c_at_every_step(case):
    """One run that is stopped in each of its steps, one after another, first and last of an epoch included."""
    make, arguments, whole = case
    folder = whole.parent / "run"
    shutil.rmtree(folder, ignore_errors=True)
    for step in range(last_step(whole)):
        with before_step(step, press), pytest.raises(KeyboardInterrupt):
            make().fit(**arguments, resume=True)
        assert checkpoint(folder)["step"] == step + 1  # the running step was finished, and no other begun
    model = make().fit(**arguments, resume=True)
    assert_same_runs(folder, whole)
    assert_same(model.objective_.state_dict(), seqdiff.load(whole).objective_.state_dict())
    assert json.loads((folder / "args.json").read_text())["status"] == "finished"


def test_ctrl_c_during_validation(case, monkeypatch):
    make, arguments, whole = case
    folder = whole.parent / "validation"
    shutil.rmtree(folder, ignore_errors=True)
    stops, original = [], Trainer._evaluate

    def pressing(self, *args):
        press()
        stops.append(self.step)
        return original(self, *args)

    monkeypatch.setattr(Trainer, "_evaluate", pressing)
    for _ in range(10):
        try:
            make("validation").fit(**arguments, resume=True)
            break
        except KeyboardInterrupt:
            pass
    assert stops == checkpoint(whole)["evaluations"]["step"]
    assert_same_runs(folder, whole)


def test_interrupted_model_can_be_used(workdir, capfd):
    model = tiny(savepath="runs", epochs=5, verbose=1)
    handler = signal.getsignal(signal.SIGINT)  # not Python's own where a script in the background runs the tests
    with before_step(7, press), pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert "stopped after 8 steps" in capfd.readouterr().err
    assert len(model.generate(3)) == 3 and model.history_["epoch"] == [1, 2]
    assert signal.getsignal(signal.SIGINT) is handler
    with before_step(1, press), pytest.raises(KeyboardInterrupt):  # without a folder, and before any validation
        model.set_params(savepath=None).fit(X)
    assert len(model.generate(3)) == 3


def test_second_ctrl_c_stops_at_once(workdir):
    def twice():
        press()
        press()

    model = tiny(savepath="runs", model_name="m", check_every=1)
    with before_step(4, twice), pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert checkpoint("runs/m")["step"] == 3
    model.fit(X, resume=True)
    assert_same_runs("runs/m", tiny(savepath="runs", model_name="w", check_every=1).fit(X).run_dir_)


# -- crashes ----------------------------------------------------------------------------------------------------------


class Crash(Exception):
    """Stands for a machine failure."""


def crash():
    raise Crash


# The trainer handles crashes alike in all cases, and `test_ctrl_c_at_every_step` resumes all of them at every step.
CRASHES = [
    name if name in ("labels", "together", "vectors") else pytest.param(name, marks=pytest.mark.slow) for name in CASES
]


@pytest.mark.parametrize("case", CRASHES, indirect=True)
@pytest.mark.parametrize("every", [1, 2])
def test_resume_after_a_crash_between_checkpoints(case, every):
    """Each run crashes later than the one before; steps after the last checkpoint are repeated."""
    make, arguments, whole = case
    folder = whole.parent / "crash"
    shutil.rmtree(folder, ignore_errors=True)
    last, batches = last_step(whole), checkpoint(whole)["history"]["step"][0]
    for step in range(1, last, 2):
        with before_step(step, crash), pytest.raises(Crash):
            make("crash", check_every=every).fit(**arguments, resume=True)
        kept = step // batches // every * every * batches
        assert (checkpoint(folder)["step"] if Run(folder).checkpoint.exists() else 0) == kept
    make("crash", check_every=every).fit(**arguments, resume=True)
    assert_same_runs(folder, whole)


@pytest.mark.parametrize("case", CRASHES, indirect=True)
def test_resume_after_a_crash_within_an_epoch(case, monkeypatch):
    """A checkpoint is due every ten minutes, wherever the run is then: here at every step."""
    make, arguments, whole = case
    folder = whole.parent / "clock"
    shutil.rmtree(folder, ignore_errors=True)
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", -1.0)
    for step in range(1, last_step(whole), 2):
        with before_step(step, crash), pytest.raises(Crash):
            make("clock").fit(**arguments, resume=True)
        assert checkpoint(folder)["step"] == step
    make("clock").fit(**arguments, resume=True)
    assert_same_runs(folder, whole)


def test_crash_while_a_file_is_written(workdir, monkeypatch):
    """The disk is full at the second checkpoint: the first one is still whole."""
    model = tiny(savepath="runs", model_name="m", epochs=4, check_every=1)
    original, saves = torch.save, []

    def full(state, path, *args, **kwargs):
        saves.append(1)
        if len(saves) == 2:
            Path(path).write_bytes(b"half of it")
            raise OSError("no space left on device")
        return original(state, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ValueError, match="checkpoint.pt: got a failure to write \\(no space"):
        model.fit(X)
    assert checkpoint("runs/m")["step"] == 3 and not list(Path("runs/m").rglob("*.tmp"))
    model.fit(X, resume=True)
    assert_same_runs("runs/m", tiny(savepath="runs", model_name="w", epochs=4).fit(X).run_dir_)


def test_resuming_a_finished_run_changes_nothing(case):
    make, arguments, whole = case
    before = checkpoint(whole), weights(whole)
    model = make("whole").fit(**arguments, resume=True)
    assert_same((checkpoint(whole), weights(whole)), before)
    assert model.history_ == before[0]["history"]


def test_patience_counts_across_resumed_runs(workdir):
    """The epochs since the best one count across sittings, and a run that stopped early does not go on."""
    settings = {"savepath": "runs", "epochs": 30, "patience": 5, "lr": 0.2, "check_every": 1, "ema": 0.0}
    whole = tiny(model_name="w", **settings).fit(X)
    n = len(whole.history_["epoch"])
    assert 4 < n < 30 and checkpoint("runs/w")["stopped"]
    with before_step(3 * (n - 1), crash), pytest.raises(Crash):
        tiny(model_name="m", **settings).fit(X)
    for _ in range(2):
        assert tiny(model_name="m", **settings).fit(X, resume=True).history_["epoch"][-1] == n
    assert_same_runs("runs/m", "runs/w")


# -- kill -9 ----------------------------------------------------------------------------------------------------------

SCRIPT = """
    import sys, time
    import torch
    from seqdiff import MultinomialDiffusion
    from seqdiff.training import Trainer

    torch.set_num_threads({threads})
    step = Trainer._step

    def reporting(self, *args):
        print(self.step, flush=True)
        time.sleep({delay})
        return step(self, *args)

    Trainer._step = reporting
    print("ready", flush=True)
    MultinomialDiffusion(**{settings!r}).fit({X!r}, resume=True)
"""


def start(X, settings, delay=0.0) -> subprocess.Popen:
    """Return a process that is about to fit, and says so."""
    script = textwrap.dedent(SCRIPT).format(threads=torch.get_num_threads(), delay=delay, settings=settings, X=X)
    where = str(Path(seqdiff.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [where, os.environ.get("PYTHONPATH")]))}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert process.stdout.readline().strip() == b"ready"
    return process


def assert_readable(folder) -> None:
    """Read every file of a run that has a name of its own (temporary ones have not)."""
    for path in Path(folder).rglob("*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".pickle":
            assert isinstance(pickle.loads(path.read_bytes()), dict)
        elif path.suffix == ".pt":
            assert torch.load(path, weights_only=True)["format_version"] == 1
        elif path.suffix == ".safetensors":
            assert seqdiff.load(path).n_train_ > 0 and weights(folder)
        elif path.suffix == ".txt":
            rows = path.read_text().rstrip("\n").split("\n")
            assert len({row.count("\t") for row in rows}) == 1


def test_resume_after_a_kill_at_every_rename(workdir):
    """Each file of a run in turn is the one whose writing is cut short, its temporary left behind as kill -9 does."""
    settings = {"savepath": "runs", "check_every": 1, "dropout": 0.2}
    tiny(model_name="w", **settings).fit(X)
    rename, unlink = os.replace, Path.unlink
    for deaths in range(100):
        renamed = []

        def dying(source, target, after=deaths, renamed=renamed):
            if len(renamed) == after:
                renamed.append("dead")
                Path(source).write_bytes(b"half of it")
                raise Crash
            renamed.append(target)
            rename(source, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "replace", dying)
            patch.setattr(Path, "unlink", lambda p, renamed=renamed, **k: None if "dead" in renamed else unlink(p, **k))
            try:
                tiny(model_name="m", **settings).fit(X)
                break
            except Crash:
                pass
        assert len(list(Path("runs/m").rglob("*.tmp"))) == 1
        assert_readable("runs/m")
        tiny(model_name="m", **settings).fit(X, resume=True)
        assert_same_runs("runs/m", "runs/w")
        assert not list(Path("runs/m").rglob("*.tmp"))
        shutil.rmtree("runs/m")
    assert deaths == len(renamed) > 15


def test_resume_after_kill_9(workdir):
    settings = SMALL | {"savepath": "runs", "model_name": "m", "epochs": 8, "check_every": 1, "dropout": 0.2}
    process = start(X, settings, delay=0.05)
    while not Path("runs/m/check/checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)
    process.kill()
    assert process.wait() != 0
    assert_readable("runs/m")
    assert 3 <= checkpoint("runs/m")["step"] < 24
    seqdiff.MultinomialDiffusion(**settings).fit(X, resume=True)
    seqdiff.MultinomialDiffusion(**settings | {"model_name": "w"}).fit(X)
    assert_same_runs("runs/m", "runs/w")


@pytest.mark.slow
def test_resume_after_kill_9_at_20_random_steps(workdir):
    """Moments are random steps of a run, also before the first one and during a write."""
    data = sequences(2000, 30)
    settings = SMALL | {
        "width": 32, "depth": 3, "diffusion_steps": 50, "epochs": 50, "batch_size": 64, "check_every": 1, "lr": 3e-3,
        "savepath": "runs", "model_name": "m", "random_state": 3, "dropout": 0.1,
    }  # fmt: skip
    seed = int(os.environ.get("SEQDIFF_SEED", "0")) or random.randrange(2**31)
    moments, killed, kept, half = random.Random(seed), [], [0], 0
    # the first ten or so may all come before the first checkpoint: then more follow
    while len(killed) < 20 or len(set(kept)) <= 10:
        kill = len(killed)
        process = start(data, settings)
        steps = [process.stdout.readline() for _ in range(moments.randrange(-5, 90))]
        time.sleep(moments.uniform(0.0, 0.1))
        process.kill()
        steps += process.stdout.readlines()
        assert process.wait() != 0, f"it ended by itself before kill {kill + 1}; seed {seed}"
        assert_readable("runs/m")
        killed.append(int(steps[-1]) if steps else kept[-1])
        kept.append(checkpoint("runs/m")["step"] if Path("runs/m/check/checkpoint.pt").exists() else 0)
        half += len(list(Path("runs/m").rglob("*.tmp")))
        # what is lost is less than an epoch of 29 steps, all of it since the last checkpoint
        assert kept[-1] in (killed[-1] // 29 * 29, killed[-1] + 1), f"kill {kill + 1}; seed {seed}"
    process = start(data, settings)
    first = int(process.stdout.readline())
    assert first == kept[-1] and process.communicate() and process.returncode == 0, f"seed {seed}"
    whole = start(data, settings | {"model_name": "w"})
    assert whole.communicate() and whole.returncode == 0
    assert_same_runs("runs/m", "runs/w")
    assert not list(Path("runs/m").rglob("*.tmp"))
    print(
        f"seed {seed}; killed in steps {killed} of {checkpoint('runs/w')['step']}; checkpoints then {kept[1:]};",
        end=" ",
    )
    print(f"{half} half-written temporary files left, and removed by the next run")


# -- killed while a file is written (fork, limited file size) ---------------------------------------------------------


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and a limit on the size of files")

FIT = {"savepath": "runs", "epochs": 3, "check_every": 1, "dropout": 0.2}
WHEN = 0.1, 0.9  # of a file's bytes


@pytest.fixture
def one_thread():
    """Use one thread: a forked process would wait for threads of its parent that it does not have."""
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
    """Run `act` in a child process; return its exit status, 0 or minus the signal."""
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
    """Run `act` until `size` bytes of file `number` are written; return the half-written file."""

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


@needs_fork
@pytest.mark.parametrize("every, parts", [(4, (0.5,)), pytest.param(1, WHEN, marks=pytest.mark.slow)])
def test_run_resumes_after_a_kill_in_any_write(workdir, one_thread, every, parts):
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


@needs_fork
def test_tensorboard_file_survives_a_kill_in_a_write(workdir, one_thread):
    """The reader ignores a half-written point and continues with the file of the resumed run."""
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


@needs_fork
@pytest.mark.parametrize("earlier", [False, True])
def test_output_file_is_whole_after_a_kill_in_a_write(workdir, one_thread, earlier):
    """The earlier file stays whole; the half-written one is removed by the next write."""
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
