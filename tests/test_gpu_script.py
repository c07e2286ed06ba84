"""benchmarks/gpu.py on small settings on the CPU: every row has a number in each column."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(load_benchmark):
    return load_benchmark("gpu")


def run(gpu, monkeypatch, capsys, *arguments):
    """Return the tables and what was printed."""
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--small", "--device", "cpu", "--out", "out", *arguments])
    gpu.main()
    return json.loads(Path("out/gpu.json").read_text()), capsys.readouterr().out


def check(gpu, tables, models, networks):
    assert [(r["model"], r["network"]) for r in tables["Training"]] == [(m, n) for n in networks for m in models]
    assert [(r["letters"], r["model"]) for r in tables["Generators"]] == [(n, m) for n in (12, 20) for m in models]
    guided = [row["guide"] for row in tables["Guides"] if row["letters"] == 12]
    assert guided == [row["guide"] for row in tables["Guides"] if row["letters"] == 20]
    for title, columns in (("Training", gpu.TRAINING), ("Generators", gpu.SPEED), ("Guides", gpu.GUIDED)):
        for row in tables[title]:
            assert "note" not in row, row
            wanted = set(columns) - {"note", "waits", "MiB", "recorded - launched"}  # of a GPU
            if row["model"] == "DistilledFM":
                wanted -= {"same weights", "+-"}
            assert wanted <= set(row), row
            assert all(math.isfinite(v) for v in row.values() if isinstance(v, float)), row
            assert row.get("sequences/s", 1.0) > 0
    for row in tables.get("Several shapes", []):
        assert "note" not in row, row
    for row in tables["Training"]:  # here the device is the CPU itself
        assert row["bits"] == row["bits CPU"] and row.get("same weights", 0.0) == 0.0


def test_two_models(gpu, monkeypatch, capsys, workdir):
    models = ["MaskedDiffusion", "Autoregressive"]
    options = ["--models", ",".join(models), "--networks", "conv", "--commit", "abc123"]
    tables, printed = run(gpu, monkeypatch, capsys, *options)
    check(gpu, tables, models, ["conv"])
    assert tables["machine"]["commit"] == "abc123" and tables["machine"]["card"]
    written = Path("out/gpu.md").read_text()
    assert written.strip() in printed and written.count("| Autoregressive |") == 8
    assert {"FUDGE", "NOS", "Reward, 8 particles"} <= {row["guide"] for row in tables["Guides"]}


def test_failures_and_timeouts_are_recorded(gpu, monkeypatch, capsys, workdir):
    def fail(*args, **kwargs):
        raise RuntimeError("CUDA error:\nan illegal | access")

    monkeypatch.setattr(gpu, "train", fail)
    monkeypatch.setattr(gpu.Bench, "model", fail)
    tables, _ = run(gpu, monkeypatch, capsys, "--models", "SCUD,DirichletFM")
    rows = [row for title in ("Training", "Generators", "Guides") for row in tables[title]]
    assert len(rows) == 4 + 4 + 4
    assert {row["note"] for row in rows} == {"RuntimeError: CUDA error: an illegal | access"}
    assert "an illegal / access" in Path("out/gpu.md").read_text()
    tables, _ = run(gpu, monkeypatch, capsys, "--models", "SCUD", "--minutes", "0")
    assert {row["note"] for title in ("Training", "Generators", "Guides") for row in tables[title]} == {"no time left"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no alarm")
def test_rows_time_out(gpu):
    def work():
        while True:
            pass

    row = gpu.Clock(60.0).fill({"model": "SCUD"}, 0.05, work)
    assert row["model"] == "SCUD" and row["note"].startswith("stopped")


def test_missing_modules_are_one_sentence(gpu, monkeypatch):
    def load():
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    monkeypatch.setattr(gpu, "load", load)
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None if name in ("scipy", "tqdm") else object())
    with pytest.raises(SystemExit) as caught:
        gpu.check_modules()
    sentence = str(caught.value)
    assert "scipy, tqdm" in sentence and "pandas" not in sentence and "\n" not in sentence and "--wheels" in sentence
    assert gpu.wheels() == sorted(set(gpu.NEEDED.values()))


@pytest.mark.parametrize(
    ("option", "known"), [("models", "MaskedDiffusion"), ("networks", "conv"), ("sections", "training")]
)
def test_wrong_names_are_refused(gpu, monkeypatch, option, known):
    monkeypatch.setattr(sys, "argv", ["gpu.py", f"--{option}", "Nothing"])
    with pytest.raises(SystemExit, match=f"--{option}: got Nothing, expected some of {known}"):
        gpu.main()


@pytest.mark.slow
def test_all_models(gpu, monkeypatch, capsys, workdir):
    tables, _ = run(gpu, monkeypatch, capsys)
    check(gpu, tables, list(gpu.MODELS), list(gpu.NETWORKS))
    assert len(tables["Guides"]) == 26


@pytest.mark.slow
def test_listed_wheels_are_requirements(gpu):
    line = subprocess.run([sys.executable, SCRIPT, "--wheels"], capture_output=True, text=True, check=True).stdout
    names = {gpu.plain(word.split("==")[0]) for word in line.split() if "==" in word}
    assert {"safetensors", "tqdm"} <= names and not names & {"torch", "numpy", "seqdiff", "pytest"}
    assert names <= {gpu.plain(name) for name in gpu.NEEDED.values()}
