"""Disks that are full, folders that are gone, names that no system takes, and runs that are given more epochs."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from small_models import sequences, tiny

import seqdiff
from seqdiff import MaskedDiffusion
from seqdiff.runs import Run
from seqdiff.runtime import replacing

X = sequences(60)
NAMED = {"savepath": "r", "model_name": "m", "check_every": 1}


def readable(folder: Path) -> None:
    """Check that whatever stands in a run folder can be read."""
    if (folder / "check" / "model.safetensors").exists():
        seqdiff.load(folder).generate(1, random_state=0)
    if (folder / "check" / "checkpoint.pt").exists():
        torch.load(folder / "check" / "checkpoint.pt", weights_only=True)
    if (folder / "args.json").exists():
        assert Run(folder).read_args() is not None


class Disk:
    """A disk with so much room: opened files take no more than that in all."""

    def __init__(self, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = room
        real = io.open
        disk = self

        class Limited(io.FileIO):
            def write(self, data):
                disk.room -= len(data)
                if disk.room < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(data)

        def limited(path, mode="r", *rest, **named):
            if "w" in mode and ".tmp" in str(path):
                raw = Limited(path, "w")
                buffered = io.BufferedWriter(raw)
                return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8")
            return real(path, mode, *rest, **named)

        def save(state, path, **named):
            with limited(path, "wb") as file:
                torch_save(state, file, **named)

        torch_save = torch.save
        monkeypatch.setattr("io.open", limited)
        monkeypatch.setattr("builtins.open", limited)
        monkeypatch.setattr(torch, "save", save)


@pytest.mark.parametrize("room", range(100, 200_000, 18_000))
def test_a_full_disk_is_one_sentence_and_the_run_resumes(workdir, room):
    """At eleven sizes, forty in the slow test: the message names the file, what is there is whole, resuming works."""
    full_disk(workdir, room)


@pytest.mark.slow
@pytest.mark.parametrize("room", range(50, 200_000, 5_000))
def test_a_full_disk_at_forty_sizes(workdir, room):
    full_disk(workdir, room)


def full_disk(workdir: Path, room: int) -> None:
    wanted = tiny(epochs=3).fit(X).history_["loss"]
    with pytest.MonkeyPatch.context() as patch:
        Disk(room, patch)
        try:
            tiny(epochs=3, **NAMED).fit(X)
            full = False
        except ValueError as error:
            full = True
            message = str(error)
            assert "got a failure to write (No space left" in message or "no space is left" in message, message
            assert "\n" not in message and message.startswith("r")
    assert full == (room < 190_000) or room > 100_000
    if not full:
        return
    if Path("r/m").is_dir():
        readable(workdir / "r" / "m")
    again = tiny(epochs=3, **NAMED).fit(X, resume=True)
    assert again.history_["loss"] == wanted


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk, which takes root")
def test_a_really_full_disk_in_the_shell(tmp_path):
    disk, text = tmp_path / "disk", tmp_path / "x.txt"
    text.write_text("\n".join(X) + "\n")
    disk.mkdir()
    command = [sys.executable, "-m", "seqdiff", "fit", str(text), "--model", "masked", "--width", "8", "--depth", "1",
               "--epochs", "3", "--check-every", "1", "--verbose", "0", "--savepath", str(disk)]  # fmt: skip
    for size in range(8, 200, 24):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=False).returncode:
            pytest.skip("cannot mount here")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
        assert "Traceback" not in done.stderr, done.stderr[-800:]
        assert done.returncode in (0, 1) and (done.returncode == 0 or "cannot be" in done.stderr), done.stderr[-800:]


def test_a_folder_that_is_gone_or_a_file_now_is_one_sentence(workdir, monkeypatch):
    save = Run.save_checkpoint

    def vanished(self, state):
        shutil.rmtree(self.path)
        save(self, state)

    monkeypatch.setattr(Run, "save_checkpoint", vanished)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"checkpoint.pt: got a failure to write \(the folder .* is gone"):
            tiny(epochs=3, **NAMED).fit(X)


def test_other_errors_come_through(workdir):
    with pytest.raises(RuntimeError, match="mine"), replacing("a.txt"):
        raise RuntimeError("mine")
    assert not os.listdir()


def test_tensorboard_may_fail_while_training_goes_on(workdir, monkeypatch):
    from seqdiff.training.events import EventFile

    add = EventFile.add

    def full(self, step, values):
        if step > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, step, values)

    monkeypatch.setattr(EventFile, "add", full)
    with pytest.warns(UserWarning, match="TensorBoard's files are no longer written .*No space left"):
        model = tiny(epochs=3, **NAMED).fit(X)
    assert len(model.history_["loss"]) == 3 and Run(workdir / "r" / "m").finished


def test_tensorboard_that_is_deleted_while_training_is_no_end(workdir, monkeypatch):
    write = Run.write_metrics

    def deleted(self, *rest):
        shutil.rmtree(self.path / "tb", ignore_errors=True)
        write(self, *rest)

    monkeypatch.setattr(Run, "write_metrics", deleted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(tiny(epochs=4, **NAMED).fit(X).history_["loss"]) == 4


@pytest.mark.parametrize(
    "name",
    ["CON", "nul", "aux.txt", "com1", "LPT9.x", "a.", " ", " a", "a ", "\x1b[31m", "a\nACGT", "a/b", "..", "",
     "x" * 300, "\u202e", 7],
)  # fmt: skip
def test_names_that_some_system_does_not_take_are_refused(workdir, name):
    with pytest.raises(ValueError, match="model_name") as caught:
        tiny(savepath="r", model_name=name).fit(X)
    assert str(caught.value).isprintable() and not os.listdir()


def test_names_with_a_dot_a_dollar_or_an_accent_are_fine(workdir):
    for name in ("v1.2", "a$b", "modèle", "console", "nullable"):
        tiny(epochs=1, savepath="r", model_name=name).fit(X)


def test_home_is_expanded_in_savepath(workdir, monkeypatch):
    monkeypatch.setenv("HOME", str(workdir))
    tiny(epochs=1, savepath="~/runs", model_name="m").fit(X)
    assert (workdir / "runs" / "m" / "args.json").is_file() and not Path("~").exists()


def test_a_run_takes_more_epochs(workdir):
    """Also one that is finished; what it learned stays, and the learning rate is that of the longer run."""
    first = tiny(epochs=2, lr_schedule="constant", **NAMED).fit(X)
    model = tiny(epochs=5, lr_schedule="constant", **NAMED)
    model.fit(X, resume=True)
    assert model.history_["loss"][:2] == first.history_["loss"] and len(model.history_["loss"]) == 5
    assert tiny(epochs=5, lr_schedule="constant").fit(X).history_["loss"] == model.history_["loss"]
    assert Run(workdir / "r" / "m").finished
    with pytest.raises(ValueError, match="epochs: got 3 to resume the run of 5 in .*, expected 5 or more; give"):
        tiny(epochs=3, lr_schedule="constant", **NAMED).fit(X, resume=True)
    with pytest.raises(ValueError, match="other values of epochs, lr"):
        tiny(epochs=9, lr=0.5, lr_schedule="constant", **NAMED).fit(X, resume=True)
    cosine = MaskedDiffusion(width=8, depth=1, epochs=2, batch_size=16, verbose=0, savepath="r", model_name="c").fit(X)
    cosine.set_params(epochs=4).fit(X, resume=True)
    assert len(cosine.history_["lr"]) == 4 and cosine.history_["lr"][2] > cosine.history_["lr"][1]
