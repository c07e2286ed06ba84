"""Files that were damaged or changed are refused in one sentence, or the one before them serves."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from small_models import sequences, tiny

import seqdiff
from seqdiff.runs import Run
from seqdiff.training import Trainer

X = sequences()
SETTINGS = {"savepath": "runs", "model_name": "m", "epochs": 4, "check_every": 1}


def sentence(call) -> str:
    """Return what a call is refused with."""
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
        tiny(**SETTINGS).fit(X)
    return Path("runs/m/check")


def flips(good: bytes, n: int):
    for seed in range(n):
        chance = random.Random(seed)
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        yield bytes(bad)


def test_a_flipped_bit_anywhere_is_noticed(workdir):
    tiny(**SETTINGS).fit(X, ["a", "b"] * 24)
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


def test_the_checkpoint_before_a_damaged_one_serves(interrupted):
    file = interrupted / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.warns(UserWarning, match="cannot be read .* going on from the checkpoint before it"):
        resumed = tiny(**SETTINGS).fit(X, resume=True)
    whole = tiny(epochs=4).fit(X)
    for a, b in zip(resumed.objective_.parameters(), whole.objective_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_files_without_a_checksum_are_read_as_before(interrupted):
    for file in interrupted.glob("*.pt"):
        torch.save(torch.load(file, weights_only=True), file)
    assert tiny(**SETTINGS).fit(X, resume=True).history_["epoch"] == [1, 2, 3, 4]
    with safe_open(interrupted / "model.safetensors", "pt") as file:
        metadata = {"seqdiff": file.metadata()["seqdiff"]}
    Path("old.safetensors").write_bytes(save(load_file(interrupted / "model.safetensors"), metadata=metadata))
    assert seqdiff.load("old.safetensors").generate(1, random_state=0)


BAD = [None, -5, "a", [], {}, [1], 1.5, float("nan"), True, 10**30]


@pytest.mark.slow
def test_changed_checkpoints_are_refused_or_read(interrupted):
    """Each entry in turn is something else, or gone."""
    run, device = Run("runs/m"), torch.device("cpu")
    run.previous.unlink()
    good = torch.load(run.checkpoint, weights_only=True)
    refused = 0
    for name in good:
        for bad in [*BAD, ...]:
            state = {k: v for k, v in good.items() if k != name} | ({} if bad is ... else {name: bad})
            torch.save(state, run.checkpoint)
            try:
                tiny(**SETTINGS | {"epochs": 4}).fit(X, resume=True)
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
    """Return a copy in which an entry at any depth is something else, or gone."""
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
    """What is read can be used, or says that it cannot."""
    tiny().fit(X, ["a", "b"] * 24).save("m.safetensors")
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
def test_changes_deep_in_checkpoints_are_refused_or_read(interrupted):
    run = Run("runs/m")
    run.previous.unlink()
    good, args = torch.load(run.checkpoint, weights_only=True), json.loads(Path("runs/m/args.json").read_text())
    refused, chance = 0, np.random.default_rng(0)
    for _ in range(1000):
        torch.save(changed(good, chance), run.checkpoint)
        try:
            tiny(**SETTINGS).fit(X, resume=True)
        except ValueError as error:
            assert "\n" not in str(error) and "checkpoint.pt" in str(error)
            refused += 1
        run.write_args({**args, "status": "running"})
    assert refused > 300


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", "parameters"])
def test_malformed_args_are_no_run_of_ours(text, workdir):
    tiny(savepath="runs", model_name="m").fit(X)
    file = Path("runs/m/args.json")
    if text == "parameters":
        text = json.dumps(json.loads(file.read_text()) | {"parameters": [1]})
    file.write_text(text)
    assert "args.json" in sentence(lambda: tiny(savepath="runs", model_name="m").fit(X, resume=True))
    assert Path(tiny(savepath="runs").fit(X, resume=True).run_dir_).name == "MultinomialDiffusion"
    assert file.read_text() == text
