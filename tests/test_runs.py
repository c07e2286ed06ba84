"""The run folder: its files, its lock, resuming, and folders that are never changed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import SMALL, mixed_lengths, refuses, sequences, tiny

import seqdiff
from seqdiff import MultinomialDiffusion
from seqdiff.runs import Run

X = sequences()
FILES = {
    "args.json",
    "args.pickle",
    "check/checkpoint.pt",
    "check/model.safetensors",
    "metrics_train.pickle",
    "metrics_train.txt",
    "metrics_eval.pickle",
    "metrics_eval.txt",
}


def saved(**parameters) -> MultinomialDiffusion:
    return tiny(**{"savepath": "runs"} | parameters)


def tree(folder) -> dict[str, bytes]:
    """Return every file below a folder, but for locks."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def interrupt(monkeypatch, step):
    """Make training stop as if Ctrl-C had been pressed before the given step."""
    from seqdiff.training import Trainer

    original = Trainer._step

    def stopping(self, *args):
        if self.step == step:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(Trainer, "_step", stopping)


def interrupted(step=4, **parameters) -> MultinomialDiffusion:
    """Return an estimator whose fit was killed before the given step."""
    model = saved(**{"epochs": 4, "check_every": 1} | parameters)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, step)
        model.fit(X)
    return model


# -- what lies in it --------------------------------------------------------------------------------------------------


def test_run_folder_holds_its_files(workdir):
    model = saved().fit(X)
    assert model.run_dir_ == os.path.join("runs", "MultinomialDiffusion")
    found = set(tree(model.run_dir_))
    assert {f for f in found if not f.startswith("tb/")} == FILES
    assert len([f for f in found if f.startswith("tb/events")]) == len(found - FILES) == 1
    assert (Path(model.run_dir_) / "samples").is_dir()
    assert [p.name for p in workdir.iterdir()] == ["runs"]
    model.generate(2, out="new.fasta")
    assert set(tree(model.run_dir_)) - found == {"samples/new.fasta"}


def test_metrics_are_plain_tables(workdir):
    model = saved(epochs=5, eval_every=2).fit(X)
    for part, fitted, n in (("train", model.history_, 5), ("eval", model.evaluations_, 3)):
        metrics = pickle.loads(Path(f"runs/MultinomialDiffusion/metrics_{part}.pickle").read_bytes())
        assert type(metrics) is dict and metrics == fitted
        assert all(type(v) is list and len(v) == n for v in metrics.values())
        assert {type(e) for v in metrics.values() for e in v} <= {int, float, bool}
        frame = pd.DataFrame(metrics)
        text = pd.read_csv(f"runs/MultinomialDiffusion/metrics_{part}.txt", sep="\t")
        assert list(text) == list(frame)
        for column in frame:
            assert np.allclose(frame[column].astype(float), text[column].astype(float), rtol=1e-5)
        assert frame["epoch"].tolist() == ([1, 2, 3, 4, 5] if part == "train" else [2, 4, 5])
        assert (np.diff(frame["seconds"]) > 0).all()


def test_args_json_is_complete(workdir):
    model = saved(network="conv", alphabet="dna", lr=0.02).fit(X)
    args = json.loads(Path("runs/MultinomialDiffusion/args.json").read_text())
    assert args["estimator"] == "MultinomialDiffusion" and args["status"] == "finished"
    assert args["parameters"] == model.get_params()
    assert args["sequences"] == 43 and args["source"] == "X"
    assert pickle.loads(Path("runs/MultinomialDiffusion/args.pickle").read_bytes()) == args["parameters"]
    assert MultinomialDiffusion(**args["parameters"]).get_params() == model.get_params()


def test_tensorboard_events_equal_the_metrics(workdir):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = saved(epochs=4, eval_every=2).fit(X)
    events = EventAccumulator("runs/MultinomialDiffusion/tb").Reload()
    assert set(events.Tags()["scalars"]) == {"train/bits_per_letter", "train/lr", "eval/bits_per_letter"}
    for tag, table in (("train", model.history_), ("eval", model.evaluations_)):
        points = events.Scalars(f"{tag}/bits_per_letter")
        assert [p.step for p in points] == table["step"]
        assert [p.value for p in points] == pytest.approx(table["bits_per_letter"], rel=1e-6)


def test_tensorboard_has_no_epoch_twice_after_a_resume(workdir):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    interrupted(step=10, check_every=2)
    second = int(time.time())
    while int(time.time()) == second:  # TensorBoard reads its files in the order of the seconds in their names
        time.sleep(0.02)
    model = saved(epochs=4, check_every=2).fit(X, resume=True)
    events = EventAccumulator("runs/MultinomialDiffusion/tb").Reload()
    assert [p.step for p in events.Scalars("train/bits_per_letter")] == model.history_["step"] == [3, 6, 9, 12]


def test_the_saved_model_is_the_fitted_one(workdir):
    model = saved(epochs=4, lr=0.1).fit(X)
    assert (seqdiff.load(model.run_dir_).score_samples(X) == model.score_samples(X)).all()
    assert torch.load(Run(model.run_dir_).checkpoint, weights_only=True)["step"] == 12


@pytest.mark.parametrize("form", ["txt", "csv", "fasta"])
def test_no_files_are_written_beside_the_data(form, tmp_path, monkeypatch):
    data, work = tmp_path / "data", tmp_path / "work"
    data.mkdir(), work.mkdir()
    text = {
        "txt": "\n".join(X),
        "csv": "sequence,y\n" + "".join(f"{s},{i % 2}\n" for i, s in enumerate(X)),
        "fasta": "".join(f">{i}\n{s}\n" for i, s in enumerate(X)),
    }
    file = data / f"promoters.{form}"
    file.write_text(text[form])
    before = file.stat().st_mtime_ns
    monkeypatch.chdir(work)
    model = saved().fit(file, "y" if form == "csv" else None, validation=file if form == "txt" else 0.2)
    model.score(file)
    model.generate(3, out="new.fasta")
    saved(model_name="other").fit(str(file))
    assert list(data.iterdir()) == [file] and file.read_text() == text[form] and file.stat().st_mtime_ns == before
    assert sorted(p.name for p in work.iterdir()) == ["new.fasta", "runs"]


def test_savepath_none_writes_no_files(workdir):
    model = tiny().fit(X)
    model.generate(3)
    assert model.run_dir_ is None and list(workdir.iterdir()) == []
    refuses(lambda: tiny().fit(X, resume=True), "savepath")


# -- names ------------------------------------------------------------------------------------------------------------


def test_runs_are_numbered_and_never_overwritten(workdir):
    names = [Path(saved(random_state=i).fit(X).run_dir_).name for i in range(3)]
    assert names == ["MultinomialDiffusion", "MultinomialDiffusion-2", "MultinomialDiffusion-3"]
    Path("runs/MultinomialDiffusion-4").write_text("a file of that name")
    first = tree("runs/MultinomialDiffusion")
    model = saved()
    assert Path(model.fit(X).run_dir_).name == "MultinomialDiffusion-5"
    assert Path(model.fit(X).run_dir_).name == "MultinomialDiffusion-6"  # the same estimator again
    assert tree("runs/MultinomialDiffusion") == first


def test_finished_runs_are_not_changed(workdir):
    model = saved(model_name="mine").fit(X)
    model.generate(2, out="runs/mine/samples/a.txt")
    Path("runs/mine/notes.txt").write_text("my own")
    before = tree("runs")
    refuses(lambda: saved(model_name="mine").fit(X), "mine", "finished", "model_name")
    refuses(lambda: saved(model_name="mine", lr=0.5).fit(sequences(9)), "finished")
    assert tree("runs") == before
    again = saved(model_name="mine").fit(X, resume=True)  # finished already: the same model
    assert (again.score_samples(X) == model.score_samples(X)).all() and again.history_ == model.history_
    Path("runs/mine/check/checkpoint.pt").unlink()  # its owner needed the space
    refuses(lambda: saved(model_name="mine").fit(X), "finished")
    refuses(lambda: saved(model_name="mine").fit(X, resume=True), "checkpoint.pt")
    assert seqdiff.load("runs/mine").score(X) == model.score(X)


def test_an_interrupted_run_is_refused_unless_resumed(workdir):
    interrupted(model_name="mine")
    before = tree("runs")
    refuses(lambda: saved(model_name="mine", epochs=4, check_every=1).fit(X), "mine", "interrupted", "resume=True")
    assert tree("runs") == before
    model = saved(model_name="mine", epochs=4, check_every=1).fit(X, resume=True)
    assert model.history_["epoch"] == [1, 2, 3, 4]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["mine", None])
def test_a_run_killed_before_its_first_checkpoint_starts_again(name, resume, workdir):
    interrupted(step=2, model_name=name)
    folder = Path("runs") / (name or "MultinomialDiffusion")
    assert not (folder / "check/checkpoint.pt").exists() and (folder / "args.json").exists()
    stale = [folder / ".args.json.0123abcd.tmp", folder / "check" / ".checkpoint.pt.0123abcd.tmp"]
    for file in stale:
        file.write_text("half")
    model = saved(model_name=name, epochs=4, check_every=1).fit(X, resume=resume)
    again = name is not None or resume
    assert Path(model.run_dir_).name == (folder.name if again else "MultinomialDiffusion-2")
    assert model.history_["epoch"] == [1, 2, 3, 4]
    assert all(file.exists() != again for file in stale)


@pytest.mark.parametrize("left", [[], ["check", "samples", "tb"], ["check"]])
def test_run_killed_while_creating_its_folder_starts_again(left, workdir):
    folder = Path("runs/mine")
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    for name in left:
        (folder / name).mkdir()
    assert saved(model_name="mine").fit(X).history_["epoch"] == [1, 2]


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.docx": "all my work"},
        {"check/thesis.docx": "all my work"},
        {"samples/mine.fasta": ">a\nACGT"},
        {"tb/events": "another's"},
        {"args.json": '{"lr": 0.1}', "check/checkpoint.pt": "another program's"},
        {"args.json": "[]"},
        {"args.json": "{"},
        {".hidden": ""},
        {"model.tmp": "kept"},
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_folders_that_are_not_runs_are_refused_unchanged(files, resume, workdir):
    for name, text in files.items():
        path = Path("runs/mine") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = {p for p in Path("runs").rglob("*")}
    refuses(lambda: saved(model_name="mine").fit(X, resume=resume), "mine", "a folder that holds", "model_name")
    assert {p for p in Path("runs").rglob("*")} == before
    assert all((Path("runs/mine") / name).read_text() == text for name, text in files.items())


def test_invalid_savepaths_are_refused(workdir):
    Path("file").write_text("x")
    refuses(lambda: tiny(savepath="file").fit(X), "file", "savepath")
    refuses(lambda: tiny(savepath="file/deeper").fit(X), "savepath", "file")
    Path("runs").mkdir()
    Path("runs/mine").write_text("x")
    refuses(lambda: saved(model_name="mine").fit(X), "mine", "file")
    assert Path("file").read_text() == Path("runs/mine").read_text() == "x"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(workdir):
    Path("locked").mkdir(mode=0o500)
    refuses(lambda: tiny(savepath="locked/runs").fit(X), "savepath", "locked")


# -- whom it belongs to -----------------------------------------------------------------------------------------------

HOLD = """
    import sys, time
    from seqdiff import MultinomialDiffusion
    from seqdiff.training import Trainer

    def waiting(self, *args):
        print("holding", flush=True)
        time.sleep(600)

    Trainer._step = waiting
    MultinomialDiffusion(**{settings!r}).fit({X!r})
"""


@pytest.fixture
def holder(workdir):
    """Another process whose fit holds runs/mine."""
    script = textwrap.dedent(HOLD).format(settings=SMALL | {"savepath": "runs", "model_name": "mine"}, X=X)
    where = str(Path(seqdiff.__file__).parents[1])
    path = os.pathsep.join(filter(None, [where, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )
    assert process.stdout.readline().strip() == b"holding"
    yield process
    process.kill()
    process.wait()


def test_running_fit_locks_its_folder(holder):
    before = tree("runs")
    for resume in (False, True):
        refuses(lambda r=resume: saved(model_name="mine").fit(X, resume=r), "mine", "still runs")
    assert tree("runs") == before
    assert Path(saved().fit(X).run_dir_).name == "MultinomialDiffusion"  # others are free
    holder.kill()
    holder.wait()  # and a dead one holds nothing
    assert saved(model_name="mine").fit(X).history_["epoch"] == [1, 2]


def test_lock_is_released(workdir, monkeypatch):
    model = saved(model_name="mine").fit(X)
    Run(model.run_dir_).acquire()
    with pytest.raises(RuntimeError), monkeypatch.context() as patch:
        patch.setattr("seqdiff.estimators.base.Trainer", lambda *a: (_ for _ in ()).throw(RuntimeError("boom")))
        saved(model_name="other").fit(X)
    Run("runs/other").acquire()
    interrupted(model_name="third")
    Run("runs/third").acquire()
    refuses(lambda: saved(model_name="fourth", lr=1e3, epochs=0).fit(X), "epochs")
    assert not Path("runs/fourth").exists()


# -- resume -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"lr": 0.02}, ["lr"]),
        ({"lr": 0.02, "width": 16}, ["lr", "width"]),
        ({"random_state": 1}, ["random_state"]),
        ({"epochs": 9, "lr": 0.02}, ["epochs", "lr"]),  # more epochs alone go on: test_disk.py
        ({"precision": "float32"}, ["precision"]),
    ],
)
@pytest.mark.parametrize("named_run", [True, False])
def test_resume_with_other_parameters_is_refused_naming_them(parameters, named, named_run, workdir):
    model = interrupted(model_name="mine" if named_run else None)
    before, value = tree("runs"), model.get_params()[named[0]]
    model.set_params(**parameters)  # by the folder it remembers, or by its name
    said = ["got a run with other values of " + ", ".join(named), f"give {named[0]}={value!r}"]
    refuses(lambda: model.fit(X, resume=True), *said)
    assert tree("runs") == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"X": X[:-1]},
        {"X": X[::-1]},
        {"X": [*X[:-1], "ACGTACGTAC"]},
        {"y": ["a", "b"] * 24},
        {"validation": 0.5},
        {"validation": None},
        {"validation": ["ACGTACGTAC"]},
        {"sample_weight": np.arange(48)},
    ],
)
def test_resume_with_other_data_is_refused(arguments, workdir):
    interrupted(model_name="mine")
    before = tree("runs")
    other = saved(model_name="mine", epochs=4, check_every=1)
    refuses(lambda: other.fit(**{"X": X, "resume": True} | arguments), "mine", "other data")
    assert tree("runs") == before


def test_resume_checks_labels_and_weights(workdir):
    model = saved(model_name="mine", epochs=4, check_every=1)
    y, weight = ["a", "b"] * 24, np.arange(48.0)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 4)
        model.fit(X, y, sample_weight=weight)
    for other in ({"y": ["b", "a"] * 24, "sample_weight": weight}, {"y": y, "sample_weight": weight[::-1]}):
        refuses(lambda o=other: model.fit(X, resume=True, **o), "other data")
    assert model.fit(X, y, sample_weight=weight, resume=True).history_["epoch"] == [1, 2, 3, 4]


def test_resume_accepts_equal_data_and_irrelevant_parameters(workdir):
    interrupted(model_name="mine")
    Path("x.fasta").write_text("".join(f">{i}\n{s.lower()}\n" for i, s in enumerate(X)))
    Path("runs").rename("moved")
    model = tiny(savepath="moved", model_name="mine", epochs=4, check_every=3, verbose=0, device="cpu")
    assert model.fit("x.fasta", resume=True).history_["epoch"] == [1, 2, 3, 4]


def test_resume_finds_the_newest_matching_unfinished_run(workdir):
    saved(epochs=4, check_every=1).fit(X)  # finished
    interrupted()  # -2
    interrupted(step=8)  # -3
    interrupted(lr=0.5)  # -4, other parameters
    for i in (2, 3, 4):  # clocks of file systems are coarse
        os.utime(f"runs/MultinomialDiffusion-{i}/args.json", (time.time() + i, time.time() + i))
    model = saved(epochs=4, check_every=1)
    assert Path(model.fit(X, resume=True).run_dir_).name == "MultinomialDiffusion-3"
    assert Path(saved(epochs=4, check_every=1).fit(X, resume=True).run_dir_).name == "MultinomialDiffusion-2"
    assert Path(saved(epochs=4, check_every=1).fit(X, resume=True).run_dir_).name == "MultinomialDiffusion-5"
    assert json.loads(Path("runs/MultinomialDiffusion-4/args.json").read_text())["status"] != "finished"


def test_resume_of_another_kind_of_estimator(workdir):
    class Renamed(MultinomialDiffusion):
        pass

    interrupted(model_name="mine")
    settings = SMALL | {"savepath": "runs", "epochs": 4, "check_every": 1}
    refuses(lambda: Renamed(**settings, model_name="mine").fit(X, resume=True), "MultinomialDiffusion", "Renamed")
    model = Renamed(**settings).fit(X, resume=True)  # not this one: a new run
    assert Path(model.run_dir_).name == "Renamed"


def test_fitted_estimators_keep_their_run_folder(workdir):
    model = interrupted()
    interrupted(step=8)  # a newer one of the same kind
    assert Path(model.fit(X, resume=True).run_dir_).name == "MultinomialDiffusion"


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"junk" * 100])
def test_damaged_checkpoints_are_refused(damage, workdir):
    interrupted(model_name="mine")
    file = Path("runs/mine/check/checkpoint.pt")
    file.write_bytes(damage(file.read_bytes()))
    refuses(lambda: saved(model_name="mine", epochs=4, check_every=1).fit(X, resume=True), "checkpoint.pt", "cannot be")
    Run("runs/mine").acquire()


def test_checkpoints_load_with_weights_only(workdir):
    """They are read with weights_only=True; conditions and mixed lengths bring nothing else in."""
    saved(model_name="mine").fit(mixed_lengths(), np.linspace(0, 1, 48))
    state = torch.load("runs/mine/check/checkpoint.pt", weights_only=True)
    assert state["format_version"] == 1 and state["best"]["epoch"] in (1, 2)
