"""File failures: full disks, missing folders, invalid names, damaged files."""

from __future__ import annotations

import copy
import errno
import io
import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from small_models import sequences, tiny

import seqdiff
from seqdiff import MaskedDiffusion
from seqdiff.runs import Run
from seqdiff.runtime import replacing
from seqdiff.training import Trainer

X = sequences(60)
NAMED = {"savepath": "r", "model_name": "m", "check_every": 1}


def readable(folder: Path) -> None:
    """Check that every file of a run folder can be read."""
    if (folder / "check" / "model.safetensors").exists():
        seqdiff.load(folder).generate(1, random_state=0)
    if (folder / "check" / "checkpoint.pt").exists():
        torch.load(folder / "check" / "checkpoint.pt", weights_only=True)
    if (folder / "args.json").exists():
        assert Run(folder).read_args() is not None


class Disk:
    """A disk of limited size: opened files take no more than `room` bytes in all."""

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
def test_full_disk_is_reported_and_the_run_resumes(workdir, room):
    """At eleven sizes, forty in the slow test: the message names the file, existing files are whole, resuming works."""
    full_disk(workdir, room)


@pytest.mark.slow
@pytest.mark.parametrize("room", range(50, 200_000, 5_000))
def test_full_disk_at_forty_sizes(workdir, room):
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
def test_full_disk_in_a_shell(tmp_path):
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
        assert done.returncode in (0, 1), done.stderr[-800:]
        assert done.returncode == 0 or "a failure to write" in done.stderr, done.stderr[-800:]


def test_missing_or_replaced_folders_are_reported(workdir, monkeypatch):
    save = Run.save_checkpoint

    def vanished(self, state):
        shutil.rmtree(self.path)
        save(self, state)

    monkeypatch.setattr(Run, "save_checkpoint", vanished)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"checkpoint.pt: got a failure to write \(the folder .* is gone"):
            tiny(epochs=3, **NAMED).fit(X)


def test_other_os_errors_are_raised_unchanged(workdir):
    with pytest.raises(RuntimeError, match="mine"), replacing("a.txt"):
        raise RuntimeError("mine")
    assert not os.listdir()


def test_training_continues_when_tensorboard_fails(workdir, monkeypatch):
    from seqdiff.runs import EventFile

    add = EventFile.add

    def full(self, step, values):
        if step > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, step, values)

    monkeypatch.setattr(EventFile, "add", full)
    with pytest.warns(UserWarning, match="TensorBoard's files are no longer written .*No space left"):
        model = tiny(epochs=3, **NAMED).fit(X)
    assert len(model.history_["loss"]) == 3 and Run(workdir / "r" / "m").finished


def test_training_continues_when_tensorboard_files_are_deleted(workdir, monkeypatch):
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
def test_model_names_invalid_on_some_system_are_refused(workdir, name):
    with pytest.raises(ValueError, match="model_name") as caught:
        tiny(savepath="r", model_name=name).fit(X)
    assert str(caught.value).isprintable() and not os.listdir()


def test_model_names_may_hold_dots_dollars_and_accents(workdir):
    for name in ("v1.2", "a$b", "modèle", "console", "nullable"):
        tiny(epochs=1, savepath="r", model_name=name).fit(X)


def test_home_is_expanded_in_savepath(workdir, monkeypatch):
    monkeypatch.setenv("HOME", str(workdir))
    tiny(epochs=1, savepath="~/runs", model_name="m").fit(X)
    assert (workdir / "runs" / "m" / "args.json").is_file() and not Path("~").exists()


def test_run_is_extended_by_more_epochs(workdir):
    """Interrupted and finished runs keep their weights; the learning rate follows the longer run."""
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


# -- damaged files ----------------------------------------------------------------------------------------------------


SEQUENCES = sequences()
SETTINGS = {"savepath": "runs", "model_name": "m", "epochs": 4, "check_every": 1}


def sentence(call) -> str:
    """Return the error message of a call."""
    with pytest.raises(ValueError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def interrupted(workdir, monkeypatch):
    """A run of four epochs that was killed in its third one."""
    real = Trainer._step

    def stopping(self, *args):
        if self.step == 7:
            raise KeyboardInterrupt
        return real(self, *args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "_step", stopping)
        tiny(**SETTINGS).fit(SEQUENCES)
    return Path("runs/m/check")


def flips(good: bytes, n: int):
    for seed in range(n):
        chance = random.Random(seed)
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        yield bytes(bad)


def test_flipped_bits_are_detected(workdir):
    tiny(**SETTINGS).fit(SEQUENCES, ["a", "b"] * 24)
    assert not Path("runs/m/check/checkpoint.previous.pt").exists()  # the run is finished
    model, run = Path("runs/m/check/model.safetensors"), Run("runs/m")
    good = model.read_bytes()
    for bad in flips(good, 60):
        model.write_bytes(bad)
        sentence(lambda: seqdiff.load(model))
    model.write_bytes(good)
    assert seqdiff.load(model).n_train_ > 0
    good = run.checkpoint.read_bytes()
    for bad in flips(good, 60):
        run.checkpoint.write_bytes(bad)
        assert "cannot be read" in sentence(lambda: run.load_checkpoint(torch.device("cpu"), lambda state: None))
    run.checkpoint.write_bytes(good)
    run.load_checkpoint(torch.device("cpu"), lambda state: None)


def test_previous_checkpoint_replaces_a_damaged_one(interrupted):
    file = interrupted / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.warns(UserWarning, match="cannot be read .* going on from the checkpoint before it"):
        resumed = tiny(**SETTINGS).fit(SEQUENCES, resume=True)
    whole = tiny(epochs=4).fit(SEQUENCES)
    for a, b in zip(resumed.objective_.parameters(), whole.objective_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_files_without_a_checksum_are_read(interrupted):
    for file in interrupted.glob("*.pt"):
        torch.save(torch.load(file, weights_only=True), file)
    assert tiny(**SETTINGS).fit(SEQUENCES, resume=True).history_["epoch"] == [1, 2, 3, 4]
    with safe_open(interrupted / "model.safetensors", "pt") as file:
        metadata = {"seqdiff": file.metadata()["seqdiff"]}
    Path("old.safetensors").write_bytes(save(load_file(interrupted / "model.safetensors"), metadata=metadata))
    assert seqdiff.load("old.safetensors").generate(1, random_state=0)


BAD = [None, -5, "a", [], {}, [1], 1.5, float("nan"), True, 10**30]


@pytest.mark.slow
def test_changed_checkpoints_are_refused_or_read(interrupted):
    """Each entry in turn is changed or missing."""
    run, device = Run("runs/m"), torch.device("cpu")
    run.previous.unlink()
    good = torch.load(run.checkpoint, weights_only=True)
    refused = 0
    for name in good:
        for bad in [*BAD, ...]:
            state = {k: v for k, v in good.items() if k != name} | ({} if bad is ... else {name: bad})
            torch.save(state, run.checkpoint)
            try:
                tiny(**SETTINGS | {"epochs": 4}).fit(SEQUENCES, resume=True)
            except ValueError as error:
                assert "\n" not in str(error) and "checkpoint.pt" in str(error)
                refused += 1
            torch.save(good, run.checkpoint)
            args = json.loads(Path("runs/m/args.json").read_text())
            run.write_args({**args, "status": "running"})
    assert refused > 100
    torch.save({**good, "format_version": 99}, run.checkpoint)
    assert "newer seqdiff" in sentence(lambda: run.load_checkpoint(device, lambda state: None))


def changed(good, chance: np.random.Generator):
    """Return a copy in which an entry at any depth is changed or missing."""
    whole = at = copy.deepcopy(good)
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = keys[chance.integers(len(keys))]
        if not isinstance(at[key], (dict, list)) or not len(at[key]) or chance.random() > 0.6:
            break
        at = at[key]
    if chance.random() < 0.2:
        del at[key]
    else:
        at[key] = [*BAD, 10**12][chance.integers(len(BAD) + 1)]
    return whole


@pytest.mark.parametrize("n, seed", [(300, 0), pytest.param(4000, 1, marks=pytest.mark.slow)])
def test_changed_headers_are_refused_or_read(workdir, n, seed):
    """A file that loads can be used, or its use is refused."""
    tiny().fit(SEQUENCES, ["a", "b"] * 24).save("m.safetensors")
    tensors = load_file("m.safetensors")
    with safe_open("m.safetensors", "pt") as file:
        good = json.loads(file.metadata()["seqdiff"])
    refused, chance = 0, np.random.default_rng(seed)
    for _ in range(n):
        header = json.dumps(changed(good, chance))
        Path("x.safetensors").write_bytes(save(tensors, metadata={"seqdiff": header}))
        try:
            seqdiff.load("x.safetensors").generate(1, random_state=0)
        except Exception as error:
            assert isinstance(error, ValueError), (header, error)
            assert "\n" not in str(error)
            refused += 1
    assert refused > n / 3


@pytest.mark.slow
def test_nested_changes_of_checkpoints_are_refused_or_read(interrupted):
    run = Run("runs/m")
    run.previous.unlink()
    good, args = torch.load(run.checkpoint, weights_only=True), json.loads(Path("runs/m/args.json").read_text())
    refused, chance = 0, np.random.default_rng(0)
    for _ in range(1000):
        torch.save(changed(good, chance), run.checkpoint)
        try:
            tiny(**SETTINGS).fit(SEQUENCES, resume=True)
        except ValueError as error:
            assert "\n" not in str(error) and "checkpoint.pt" in str(error)
            refused += 1
        run.write_args({**args, "status": "running"})
    assert refused > 300


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", "parameters"])
def test_folders_with_malformed_args_are_not_runs(text, workdir):
    tiny(savepath="runs", model_name="m").fit(SEQUENCES)
    file = Path("runs/m/args.json")
    if text == "parameters":
        text = json.dumps(json.loads(file.read_text()) | {"parameters": [1]})
    file.write_text(text)
    assert "args.json" in sentence(lambda: tiny(savepath="runs", model_name="m").fit(SEQUENCES, resume=True))
    assert Path(tiny(savepath="runs").fit(SEQUENCES, resume=True).run_dir_).name == "MultinomialDiffusion"
    assert file.read_text() == text
