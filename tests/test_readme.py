"""First use: default model, notes and verdicts, next commands, and the code of the README."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from seqdiff import Autoregressive, runtime
from seqdiff.cli import main
from seqdiff.cli.options import DEFAULT_MODEL, find_model
from seqdiff.data import read_records
from seqdiff.datasets import load_sigma70 as sigma70
from seqdiff.evaluation import Evaluation, plot_logo
from seqdiff.evaluation.metrics import Estimate
from seqdiff.evaluation.results import CEILING, FLOOR, Row
from seqdiff.experiments.demo import Report, next_steps, verdict
from seqdiff.networks import NETWORKS
from seqdiff.networks.convnet import ConvNet

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SMALL: Any = {"width": 8, "depth": 1, "epochs": 1, "savepath": None}


# ------------------------------------------------------------------------------------------------------------- defaults


def test_default_model_is_the_best_in_the_readme() -> None:
    """`seqdiff fit FILE` trains what the README's table recommends, with a small network.

    Of the values that are the best within their standard error, that of the fastest training.
    """
    rows = re.findall(r"^\| `(\w+)\(\)` \| ([\d.]+)[^|]*\| (\d+)", README, re.M)
    least = min(float(bits) for _, bits, _ in rows)
    best = min((row for row in rows if float(row[1]) < least + 0.001), key=lambda row: int(row[2]))[0]
    model = find_model(DEFAULT_MODEL)
    assert model.__name__ == best
    assert model().network == "conv" and model().epochs is None


@pytest.mark.parametrize(("n", "said"), [(1, True), (8, True), (200, False)])
def test_fit_warns_that_few_sequences_are_memorised(n: int, said: bool, recwarn: pytest.WarningsRecorder) -> None:
    """A fit to few sequences has a warning."""
    x = ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (n, 12))]
    Autoregressive(**SMALL).fit(x)
    assert any("hundreds" in str(w.message) and "memorised" in str(w.message) for w in recwarn) == said


def test_scoring_shows_progress(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A progress bar is shown for many sequences and not for few."""
    x = ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (40, 12))]
    Path("x.txt").write_text("\n".join(x))
    Autoregressive(**SMALL | {"verbose": 0}).fit(x).save("m.safetensors")
    assert "sequence" not in CliRunner().invoke(main, ["score", "m.safetensors", "x.txt"]).stderr
    monkeypatch.setattr(runtime, "rows_at_once", lambda device, width=1: 16)
    shown = CliRunner().invoke(main, ["score", "m.safetensors", "x.txt"])
    assert "40/40" in shown.stderr and "40/40" not in shown.stdout


# ------------------------------------------------------------------------------------------------------------- the demo


def judged(n: int = 1000, kmer_js: float = 0.012, novel: float = 1.0, memorised: bool | None = False) -> Evaluation:
    """Return the evaluation of new sequences with these metrics."""
    new = {
        name: Estimate(value, value, value)
        for name, value in (("given", n), ("n", n), ("kmer_js", kmer_js), ("novel", novel))
    }
    rows = [
        Row(name, [], values, {}, np.empty(0), np.empty((2, 0)))
        for name, values in (("new", new), (CEILING, new | {"kmer_js": Estimate(0.01, 0.01, 0.01)}), (FLOOR, new))
    ]
    return Evaluation.of(rows, {"new": memorised, CEILING: False, FLOOR: False}, {}, {"n": n, "k": 6}, ())


GOOD = Report(
    run_dir=Path("my runs/demo"),
    sequences=Path("my runs/demo/samples/sequences.fasta"),
    logo=Path("logo.png"),
    held_out=1000,
    bits=pd.DataFrame({"bits": {"every letter alike": 2.0, "Markov chain, order 5": 1.94, "the model": 1.87}}),
    monte_carlo=0.0,
    samples=judged(),
)


def test_next_steps_can_be_typed() -> None:
    """Paths with spaces are quoted; `fit` gets the options of the demo and no others."""
    lines = next_steps(GOOD, "my data.fasta", 60.0, {"--alphabet": "dna", "--ambiguous": None})
    (fit,) = (line for line in lines if "seqdiff fit" in line)
    assert shlex.split(fit)[:5] == ["seqdiff", "fit", "my data.fasta", "--alphabet", "dna"] and "--epochs" not in fit
    (generate,) = (line for line in lines if "seqdiff generate" in line)
    assert shlex.split(generate)[2] == str(GOOD.run_dir)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, "good candidates"),
        ({"held_out": 9}, "too few"),
        ({"bits": None}, "too few"),
        ({"samples": None}, "too few"),
        ({"samples": judged(n=49)}, "too few"),
        ({"samples": judged(novel=0.5, memorised=True)}, "(50% of them are copies)"),
        ({"samples": judged(novel=0.5, memorised=None)}, "(50% of them are copies)"),
        ({"samples": judged(memorised=True)}, "(0% of them are copies), so the model has memorised"),
        ({"samples": judged(kmer_js=0.03)}, "still differ"),
        ({"bits": pd.DataFrame({"bits": {"every letter alike": 2.0, "the model": 2.1, "the truth": 1.8}})}, "no more"),
        ({"bits": pd.DataFrame({"bits": {"every letter alike": 2.0, "the model": 1.9, "the truth": 1.8}})}, "good"),
    ],
)
def test_verdict_follows_from_the_metrics(changes: dict[str, Any], part: str) -> None:
    """One sentence."""
    said = click.unstyle(verdict(replace(GOOD, **changes), simulated=False))
    assert said.startswith("Verdict: ") and part in said and said.endswith(".") and "\n" not in said


# -------------------------------------------------------------------------------------------------------------- plots


def test_compared_logos_share_a_scale() -> None:
    """A mapping is one logo below the other."""
    lowest = plot_logo({"sure": ["ACGT"] * 50, "unsure": ["ACGT", "CAGT", "GTGT", "TGGT"] * 20}, title="both")
    upper, lower = lowest.figure.axes
    assert lower is lowest and upper.get_ylim() == lower.get_ylim() and upper.get_ylim()[1] > 1.9
    assert (upper.get_title(), lower.get_title()) == ("sure", "unsure")
    alone = plot_logo(["ACGT", "CAGT", "GTGT", "TGGT"] * 20)
    with pytest.raises(ValueError, match="omit ax"):
        plot_logo({"sure": ["ACGT"]}, ax=alone)


# ----------------------------------------------------------------------------------------------------------- the README


def test_readme_examples_read_only_files_they_write() -> None:
    """Each file of the README's examples is written by the line that first names it, each run folder by a fit."""
    code = "\n".join(re.findall(r"```(?:python|sh)\n(.*?)```", README, re.S))
    made: set[str] = set()
    for line in code.splitlines():
        line = line.partition("#")[0]
        for name in re.findall(r"[\w./]+\.(?:txt|csv|fasta|safetensors)\b", line):
            writes = re.search(r"write_text|to_csv|\.save\(|out=|--out ", line) is not None
            assert writes or name in made or name == "my.fasta", f"{line!r} reads {name}, which no line before has made"
            made.add(name)
        if (run := re.search(r"--model-name (\w+)", line)) is not None:
            made.add(f"runs/{run[1]}")
        for name in re.findall(r"runs/(?!demo)\w+", line):
            assert name in made, f"{line!r} reads {name}, which no line before has made"


def test_readme_links_the_notebooks_and_their_extra() -> None:
    """The README names them, and the extra that it names brings Jupyter."""
    assert "notebooks/" in README and '".[notebook]"' in README
    extra = (REPOSITORY / "setup.cfg").read_text(encoding="utf-8").partition("\nnotebook =\n")[2].partition("\n#")[0]
    assert "jupyterlab" in extra


def test_editable_install_is_importable_from_the_parent_folder(tmp_path: Path) -> None:
    """Python started beside the clone imports the package, not the clone's folder of the same name."""
    pytest.importorskip("setuptools", minversion="77")
    clone = tmp_path / "seqdiff"
    (clone / "seqdiff").mkdir(parents=True)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "seqdiff/__init__.py"):
        (clone / name).write_bytes((REPOSITORY / name).read_bytes())
    build = f"from setuptools.build_meta import build_editable; print(build_editable({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site, wheel = tmp_path / "site", tmp_path / done.stdout.split()[-1]
    load = f"import zipfile, site; zipfile.ZipFile({str(wheel)!r}).extractall({str(site)!r})"
    load += f"; site.addsitedir({str(site)!r}); import seqdiff; print(seqdiff.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(  # -S: without the packages of this environment, where seqdiff itself may be installed so
        [sys.executable, "-S", "-c", load], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.stdout.strip() == str(clone / "seqdiff" / "__init__.py"), found.stderr


def test_readme_code_runs(workdir, monkeypatch):
    """Pasted one block after the other, Python and shell; a small network, a pass over few promoters, fewer samples."""
    monkeypatch.setitem(NETWORKS, "conv", partial(ConvNet, width=8, depth=1))
    monkeypatch.setattr("seqdiff.estimators.base.MOST_EPOCHS", 1)
    monkeypatch.setattr("seqdiff.classifiers.predictor.SequencePredictor.batches", 10)
    monkeypatch.setattr("seqdiff.datasets.load_sigma70", lambda n: sigma70(300))
    blocks = re.findall(r"```(python|sh)\n(.*?)```", README, re.S)
    names: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for language, text in blocks:
            code = re.sub(r"\b1000?\b", "20", text)
            if language == "python":
                exec(compile(code, "README.md", "exec"), names)
                continue
            for line in code.splitlines():
                if line.startswith("seqdiff "):
                    result = CliRunner().invoke(main, shlex.split(line, comments=True)[1:])
                    assert result.exit_code == 0, (line, result.output)
    assert len(read_records("samples.fasta").sequences) == 20
    assert names["model"].target_.classes_ == ["strong", "weak"]
