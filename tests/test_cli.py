"""The command line from end to end: files in and out, and errors of one sentence without a traceback."""

from __future__ import annotations

import gc
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from small_models import sequences

import seqdiff
from seqdiff import MaskedDiffusion, MultinomialDiffusion, runtime
from seqdiff.cli import main
from seqdiff.cli.app import plain_messages
from seqdiff.cli.options import models, options_of
from seqdiff.data import read_records
from seqdiff.errors import argument
from seqdiff.evaluation import bits_per_letter
from seqdiff.parameters import Choice

REPOSITORY = Path(__file__).resolve().parents[1]
TINY = "--model multinomial --network conv --width 8 --depth 1 --epochs 2 --batch-size 64 --lr 2e-3"
TINY += " --diffusion-steps 10"


def run(line: str) -> Result:
    """Run `seqdiff <line>` in this process; no traceback may be shown."""
    result = CliRunner().invoke(main, shlex.split(line), prog_name="seqdiff")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.output
    return result


def fails(line: str, status: int = 1) -> str:
    """Run a command that fails and return its one sentence."""
    result = run(line)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    sentence = result.stderr.strip().splitlines()[-1]
    assert sentence.startswith("Error: ")
    return sentence


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of small files, and of runs fitted to them through the command line."""
    folder = tmp_path_factory.mktemp("cli")
    x = seqdiff.datasets.load_sigma70(120, random_state=3)
    (folder / "p.txt").write_text("\n".join(x) + "\n")
    rows = [f"{s},{'weak' if i % 2 else 'strong'},{i / 10},{i % 3}" for i, s in enumerate(x)]
    (folder / "p.csv").write_text("\n".join(["seq,label,strength,group", *rows]) + "\n")
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(7, 30))) for _ in range(40)]
    (folder / "protein.fasta").write_text("".join(f">p{i}\n{s}\n" for i, s in enumerate(proteins)))
    (folder / "smiles.txt").write_text("CC(=O)Oc1ccccc1\nCCO\nC#N\n")
    (folder / "ambiguous.txt").write_text("ACGT\nACNT\nACGG\n")
    with working_in(folder):
        for line in (
            f"fit p.txt {TINY} --model-name plain",
            f"fit p.csv {TINY} --y label --model-name labelled",
            f"fit p.csv {TINY} --y group --model-name grouped --verbose 0",
            f"fit p.csv {TINY} --y strength --model-name valued --verbose 0",
            f"fit p.csv {TINY} --y label --y strength --model-name several --verbose 0",
            f"fit protein.fasta {TINY} --model-name protein --verbose 0",
        ):
            assert run(line).exit_code == 0
    return folder


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture
def here(folder: Path) -> Iterator[Path]:
    """Work in that folder."""
    with working_in(folder):
        yield folder


# ------------------------------------------------------------------------------------------------------- the main road


def test_fit_reports_its_result_and_a_next_command(here: Path) -> None:
    """The folder, the best validation value, and a command that works as it stands."""
    result = run(f"fit p.txt {TINY} --model-name road")
    assert result.exit_code == 0
    where, best, command = result.stdout.splitlines()
    assert where == f"run folder: {Path('runs/road')}"
    table = pd.read_csv("runs/road/metrics_eval.txt", sep="\t")
    assert best == f"best validation: {table['bits_per_letter'].min():.4f} bits per letter"
    assert "--alphabet overrides this guess" in result.stderr  # the library's words, in those of a shell
    assert run(command.removeprefix("next: seqdiff ")).exit_code == 0
    assert len(read_records("samples.fasta").sequences) == 1000


def test_generate_prints_sequences_and_nothing_else(here: Path) -> None:
    """stdout can be piped; the same seed gives the same sequences, no seed fresh ones, --out the same as stdout."""
    one = run("generate runs/plain 7 --seed 5 --steps 3")
    lines = one.stdout.split("\n")
    assert lines.pop() == "" and len(lines) == 7
    assert all(len(line) == 50 and set(line) <= set("ACGT") for line in lines)
    assert "seed 5" in one.stderr
    assert run("generate runs/plain 7 --seed 5 --steps 3").stdout == one.stdout
    assert run("generate runs/plain 7 --steps 3").stdout != one.stdout
    assert run("generate runs/plain 7 --seed 5 --steps 3 --out new.txt").exit_code == 0
    assert Path("new.txt").read_text() == Path("runs/plain/samples/new.txt").read_text() == one.stdout


def test_generate_takes_labels_templates_and_lengths(here: Path) -> None:
    """Each option reaches `generate`."""
    fixed = run(f"generate runs/plain 4 --steps 3 --template {'N' * 20}TATAAT{'R' * 24}").stdout.split()
    assert len(fixed) == 4 and all(s[20:26] == "TATAAT" and set(s[26:]) <= set("AG") for s in fixed)
    assert {len(s) for s in run("generate runs/protein 4 --steps 3 --length 9").stdout.split()} == {9}
    model = seqdiff.load("runs/labelled")
    wanted = model.generate(5, y="weak", random_state=2, temperature=0.3)
    assert run("generate runs/labelled 5 --y weak --seed 2 --temperature 0.3").stdout.split() == wanted
    wanted = seqdiff.load("runs/grouped").generate(5, y=1, random_state=2)
    assert run("generate runs/grouped 5 --y 1 --seed 2").stdout.split() == wanted
    wanted = seqdiff.load("runs/valued").generate(5, y=-3.5, random_state=2)
    assert run("generate runs/valued 5 --y -3.5 --seed 2").stdout.split() == wanted
    for name in ("labelled", "valued", "several"):
        wanted = seqdiff.load(f"runs/{name}").generate(5, y="empirical", random_state=2)
        assert run(f"generate runs/{name} 5 --y empirical --seed 2").stdout.split() == wanted


def test_conditions_of_several_columns(here: Path) -> None:
    """Each column may be named; what is left out is unknown."""
    model = seqdiff.load("runs/several")
    for line, y in (
        ("--y label=weak --y strength=9.5", {"label": "weak", "strength": 9.5}),
        ("--y strength=9.5", {"strength": 9.5}),
        ("--y weak,9.5", ("weak", 9.5)),
        ("--y weak,", {"label": "weak"}),
    ):
        wanted = model.generate(5, y=y, random_state=2)
        assert run(f"generate runs/several 5 --seed 2 {line}").stdout.split() == wanted
    assert "label: classes strong, weak; strength: numbers, mean 6.0" in run("info runs/several").stdout
    columns = []
    for labels in ("--y strength", "--y strength --y label"):
        run(f"score runs/several p.csv {labels} --times 5 --out scores.csv")
        columns.append(pd.read_csv("scores.csv")["log_likelihood"])
    assert not columns[0].equals(columns[1])
    assert "--y label=LABEL --y strength=LABEL" in run(f"fit p.csv {TINY} --y label --y strength").stdout


def test_score_is_score_samples(here: Path) -> None:
    """The table holds what Python gives, the summary its mean, and says that it is a bound."""
    result = run("score runs/labelled p.csv --y label --times 5 --out scores.csv --seed 3")
    assert result.exit_code == 0
    table = pd.read_csv("scores.csv")
    model, read = seqdiff.load("runs/labelled"), read_records("p.csv", "label")
    nats, error = model.score_samples(read.sequences, read.y, times=5, random_state=3, return_error=True)
    assert table["sequence"].tolist() == read.sequences
    np.testing.assert_allclose(table["log_likelihood"], nats, rtol=1e-4)
    np.testing.assert_allclose(table["monte_carlo_error"], error, rtol=1e-4)
    np.testing.assert_allclose(table["bits_per_letter"], -nats / 50 / np.log(2), rtol=1e-4)
    said = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert said["bits per letter"] == f"{bits_per_letter(nats, read.sequences):.4f}"
    assert said["standard error"].endswith(f"{np.sqrt((error**2).sum()) / 6000 / np.log(2):.4f} (Monte Carlo)")
    assert "at least" in said["a bound"]
    assert run("score runs/labelled p.csv --times 5 --seed 3").stdout != result.stdout  # without labels


def test_score_counts_impossible_lengths(here: Path) -> None:
    """A sequence longer than any the model has seen is named, and does not make the mean infinite."""
    Path("long.txt").write_text("ACDE\n" + "ACDEFGHIKL" * 4 + "\n")
    said = run("score runs/protein long.txt").stdout
    assert "impossible: 1" in said and "inf" not in said


def test_info(here: Path) -> None:
    """Contents of a run, a model file and files of sequences."""
    run_folder = run("info runs/labelled").stdout
    for part in ("finished", "MultinomialDiffusion", "dna", "strong, weak", "108 sequences", "best validation", "conv"):
        assert part in run_folder
    model_file = run(f"info {Path('runs/protein/check/model.safetensors').as_posix()}").stdout
    assert "protein" in model_file and "labels:" in model_file
    table = run("info p.csv").stdout
    for part in ("120", "dna (guessed)", "all 50", "GC", "column label", "weak (60)", "column strength", "0 to 11.9"):
        assert part in table
    assert "median" in run("info protein.fasta").stdout
    assert "--alphabet '#()1=CNOc'" in run("info smiles.txt").stdout
    assert "--ambiguous drop" in run("info ambiguous.txt").stdout


def test_check_has_status_1_where_something_needs_action(here: Path) -> None:
    """The table is on stdout; what to do names the options of the shell."""
    rng = np.random.default_rng(0)
    clean = ["".join(row) for row in rng.choice(list("ACGT"), (200, 50))]
    Path("clean.csv").write_text("\n".join(["seq,label", *(f"{s},{'ab'[i % 2]}" for i, s in enumerate(clean))]))
    good = run("check clean.csv --y label")
    assert good.exit_code == 0 and "nothing needs action" in good.stdout and good.stderr == ""
    assert good.stdout.replace("--y", "y") == repr(seqdiff.data.check_data("clean.csv", "label")) + "\n"
    Path("bad.txt").write_text("\n".join(["ACGT-NACGT", *clean[:60]]))
    bad = run("check bad.txt --weights 1000000")
    assert bad.exit_code == 1 and "Error" not in bad.output
    for part in ("--ambiguous drop", "--gaps drop", "line 1, position 6", "1,000,000 weights", "! sequences with gaps"):
        assert part in bad.stdout
    assert "! sequences with gaps" not in run("check bad.txt --gaps drop").stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_info_reads_a_pipe_once(here: Path) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_text, args=("ACGT\nACNT\nAAAA\n",), daemon=True)
    writer.start()
    shown = run("info pipe").stdout
    assert "sequences:  3" in shown and "--ambiguous drop" in shown


def test_resume_ends_at_the_same_model(workdir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: status 130 and a line on resuming; --resume ends where an uninterrupted run does."""
    line = f"fit {shlex.quote(str(folder / 'p.txt'))} {TINY} --epochs 4"
    assert run(f"{line} --model-name whole").exit_code == 0

    @contextmanager
    def pressed_at_once() -> Iterator[Any]:
        yield lambda: True

    with monkeypatch.context() as patch:
        patch.setattr(runtime, "deferred_interrupt", pressed_at_once)
        stopped = run(line)
    assert stopped.exit_code == 130 and "--resume" in stopped.stderr
    assert "interrupted" in run("info runs/MultinomialDiffusion").stdout
    resumed = run(f"{line} --resume")
    assert resumed.exit_code == 0 and "runs/MultinomialDiffusion\n" in resumed.stdout.replace("\\", "/")
    whole, again = (seqdiff.load(f"runs/{name}").objective_.state_dict() for name in ("whole", "MultinomialDiffusion"))
    assert all((whole[name] == again[name]).all() for name in whole)


def test_a_real_process(here: Path) -> None:
    """`python -m seqdiff` writes sequences to a pipe and fails with a status; nothing else is on stdout."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "seqdiff"]
    good = subprocess.run(
        [*command, "generate", "runs/plain", "3", "--steps", "2"], capture_output=True, text=True, env=environment
    )
    assert good.returncode == 0 and len(good.stdout.split()) == 3
    bad = subprocess.run([*command, "info", "nowhere"], capture_output=True, text=True, env=environment)
    assert bad.returncode == 1 and bad.stdout == "" and bad.stderr.startswith("Error: nowhere")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise on Windows")
def test_ctrl_c_in_a_real_process(workdir: Path, folder: Path) -> None:
    """SIGINT in the middle of a fit."""
    arguments = ["fit", str(folder / "p.txt"), *TINY.split(), "--epochs", "100000", "--check-every", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "seqdiff", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        for _ in range(1200):
            if Path("runs/MultinomialDiffusion/check/checkpoint.pt").is_file():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == "" and "--resume" in err and "Traceback" not in err


def test_a_broken_pipe_is_quiet(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`| head` closes the pipe without a message."""
    echo = click.echo

    def broken(message: Any = None, *args: Any, err: bool = False, **kwargs: Any) -> None:
        if not err:
            raise BrokenPipeError(32, "Broken pipe")
        echo(message, *args, err=err, **kwargs)

    monkeypatch.setattr(click, "echo", broken)
    assert "pipe" not in run("generate runs/plain 3 --steps 2").stderr.lower()


# ------------------------------------------------------------------------------------------------------------- mistakes

WRONG = [
    ("fit nowhere.txt", "nowhere.txt: got no such file"),
    ("fit .", "got a folder, expected a file"),
    ("fit smiles.txt", "pass --alphabet dna"),
    ("fit ambiguous.txt", "pass --ambiguous drop"),
    ("fit p.csv --y nothing", "--y: got 'nothing', of which p.csv has no column"),
    ("fit p.txt --y label", "is no table"),
    ("fit p.csv --sequence-column nothing", "--sequence-column"),
    ("fit p.txt --epochs 0", "--epochs: got 0"),
    ("fit p.txt --lr-schedule linear", "--lr-schedule: got 'linear'"),
    ("fit p.txt --network nothing", "nothing"),
    ("fit p.txt --length 49", "--length 49"),
    ("fit p.txt --validation 3", "--validation: got 3.0, expected a share of at least 0 and below 1"),
    ("fit p.txt --validation nowhere.txt", "nowhere.txt: got no such file"),
    ("fit p.txt --model-name plain", "choose another --model-name"),
    ("fit p.txt --model-name a/b", "--model-name: got 'a/b'"),
    ("fit p.txt --savepath p.txt", "got the file"),
    ("fit p.txt --device nothing", "--device"),
    ("generate nowhere 3", "nowhere: got no file of that name"),
    ("generate p.txt 3", "p.txt: got a file that is no model of seqdiff's"),
    ("generate runs 3", "check/model.safetensors"),
    ("generate runs/plain 0", "at least 1"),
    ("generate runs/plain 3 --out new.doc", ".fasta, .txt or .csv"),
    ("generate runs/plain 3 --out nowhere/new.txt", "in a folder that does not exist"),
    ("generate runs/plain 3 --template NNN", "3 positions"),
    ("generate runs/plain 3 --length 10", "50 letters"),
    ("generate runs/plain 3 --temperature 0", "--temperature: got 0.0"),
    ("generate runs/plain 3 --steps 0", "--steps: got 0"),
    ("generate runs/plain 3 --y weak", "without labels"),
    ("generate runs/labelled 3 --y middling", "'middling'"),
    ("generate runs/valued 3 --y much", "a number per sequence"),
    ("generate runs/valued 3 --y 1,2", "a number per sequence"),
    ("generate runs/valued 3 --y 1 --y 2", "--y: got 2 labels"),
    (
        "generate runs/several 3 --y weak",
        "--y: got 'weak', expected COLUMN=LABEL, as this model learned the columns label, strength",
    ),
    ("generate runs/several 3 --y colour=red", "learned the columns label, strength"),
    ("generate runs/several 3 --y label=weak --y label=strong", "a column twice"),
    ("generate runs/several 3 --y label=middling", "'middling'"),
    ("generate runs/several 3 --y strength=much", "'much'"),
    ("fit p.csv --y label --y label", "a column twice"),
    ("check nowhere.txt", "nowhere.txt: got no such file"),
    ("check p.csv --y nothing", "--y: got 'nothing', of which p.csv has no column"),
    ("check p.txt --validation 3", "--validation: got 3.0, expected a share"),
    ("check p.txt --weights 0", "--weights: got 0"),
    ("score runs/plain nowhere.txt", "nowhere.txt: got no such file"),
    ("score runs/plain protein.fasta", "record 'p0'"),
    ("score runs/plain p.txt --out scores.txt", ".csv"),
    ("score runs/plain p.csv --y label", "without labels"),
    ("score runs/plain p.txt --times 0", "--times: got 0"),
    ("info nowhere", "got no such file"),
    ("info .", "expected a run folder"),
    ("demo --data nowhere.txt", "got no such file"),
    ("demo --data ambiguous.txt", "got 2 sequences, expected at least 10"),
    ("demo --n 0", "at least 1"),
]
MISWRITTEN = [
    "nothing",
    "fit",
    "fit p.txt --nothing 1",
    "fit p.txt --epochs many",
    "fit p.txt --lr none",
    "fit p.txt --model nothing",
    "generate runs/plain",
    "generate runs/plain few",
    "score runs/plain",
]


@pytest.mark.parametrize(("line", "part"), WRONG, ids=lambda value: str(value)[:50])
def test_user_mistakes_are_one_sentence(line: str, part: str, here: Path) -> None:
    """One sentence, status 1, and nothing left behind."""
    before = set(here.rglob("*"))
    assert part in fails(line)
    assert {path for path in here.rglob("*") if path.name != ".lock"} <= before


@pytest.mark.parametrize("line", MISWRITTEN)
def test_miswritten_commands_have_status_2(line: str, here: Path) -> None:
    """Status 2."""
    fails(line, status=2)


def test_file_errors_are_one_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the operating system names the file; one of our own making shows its trace where asked for."""

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device", "scores.csv")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    line = "score runs/plain p.txt --times 2 --out full.csv"
    assert fails(line).startswith("Error: full.csv: got a failure to write (No space left on device), ")
    assert not list(here.glob("*full.csv*"))
    shown = CliRunner().invoke(main, ["--traceback", *shlex.split(line)])
    assert isinstance(shown.exception, ValueError) and isinstance(shown.exception.__cause__, OSError)


def test_messages_name_options() -> None:
    """Parameters are written as options while a command runs, as they are in Python before and after."""
    with plain_messages():
        assert argument("model_name") == "--model-name" and argument("X") == "DATA"
        assert argument("length", 5) == "--length 5" and argument("savepath", None) == "--savepath none"
        assert argument("resume", True) == "--resume" and argument("hidden", False) == "--no-hidden"
        with click.Context(main.get_command(click.Context(main), "generate")):
            assert argument("random_state") == "--seed" and argument("y") == "--y"
    assert argument("model_name") == "model_name" and argument("length", 5) == "length=5"


# -- options and their help ------------------------------------------------------------


def test_every_command_has_help() -> None:
    """Help of each command: what it does, its options, and a line to type."""
    commands = main.list_commands(click.Context(main))
    known = {
        "demo",
        "fit",
        "generate",
        "design",
        "order",
        "evaluate",
        "report",
        "score",
        "compare",
        "classify",
        "sweep",
    }
    assert set(commands) == known | {"check", "info", "prepare"}
    for name in ("", *commands):
        result = run(f"{name} --help")
        assert result.exit_code == 0 and "Usage: seqdiff" in result.stdout and "  seqdiff " in result.stdout
        assert name in result.stdout
    assert run("--version").stdout.split()[-1] == seqdiff.__version__


@pytest.mark.parametrize("name", [name for name, cls in models().items() if cls.__module__.startswith("seqdiff.")])
def test_options_are_the_estimators_parameters(name: str) -> None:
    """One option each, with the estimator's default, a type that takes it, and a word of help."""
    cls = models()[name]
    options = {option.name: option for option in options_of(cls)}
    assert set(options) == set(inspect.signature(cls).parameters)
    context = click.Context(click.Command("fit"))
    for parameter in inspect.signature(cls).parameters.values():
        option = options[parameter.name]
        assert option.get_default(context) == parameter.default
        assert option.type_cast_value(context, str(parameter.default)) == parameter.default
        assert option.help, f"{cls.__name__} says nothing of {parameter.name}"
    assert "--random-state" in run(f"fit --model {name} --help").stdout


def test_presets_are_defaults(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def fit(self: Any, X: Any, y: Any = None, **kwargs: Any) -> None:
        given.append(self.get_params())
        raise ValueError("seen")

    monkeypatch.setattr(MaskedDiffusion, "fit", fit)
    for line in ("--preset long --lr 0.001", "--lr 0.001 --preset=long"):
        fails(f"fit p.csv --model masked-diffusion {line}")
        assert given.pop() == MaskedDiffusion.preset("long", lr=0.001).get_params() != MaskedDiffusion().get_params()
    message = fails("fit p.csv --model scud --preset long")
    assert message.startswith("Error: --preset: got 'long', expected none: SCUD has no presets; leave it out")
    message = fails("fit p.csv --model masked --preset longer")
    assert "got 'longer', expected one of 'long'" in message and not given


def test_values_reach_the_estimator(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, text and none arrive as they should; what is not given keeps its default."""
    seen: dict[str, Any] = {}

    def fit(self: Any, X: Any, y: Any = None, **kwargs: Any) -> None:
        seen.update(self.get_params(), X=X, y=y, **kwargs)
        raise ValueError("seen")

    monkeypatch.setattr(MultinomialDiffusion, "fit", fit)
    fails("fit p.csv --model Multinomial --length 7 --lr 1e-3 --patience none --savepath none --random-state 4 "
          "--model-name new --y strength --y group --validation 0.25 --resume")  # fmt: skip
    given = dict(length=7, lr=1e-3, patience=None, savepath=None, random_state=4, model_name="new")
    extra = dict(X=Path("p.csv"), y=["strength", "group"], validation=0.25, resume=True)
    assert seen == {**MultinomialDiffusion().get_params(), **given, **extra}
    fails("fit p.csv --y label --validation p.csv --model multinomial")
    sequences, labels = seen["validation"]
    assert len(sequences) == 120 and set(labels) == {"weak", "strong"} and seen["y"] == "label"
    fails("fit p.txt --validation p.txt --model multinomial")
    assert seen["validation"] == Path("p.txt") and seen["y"] is None and seen["resume"] is False
    fails("fit p.txt --validation none --model multinomial")
    assert seen["validation"] is None


def test_new_estimators_are_listed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass written elsewhere has its name, its options and their help."""

    class ToyDiffusion2(MultinomialDiffusion):
        """Toy."""

        parameters = {"sharpness": Choice(("low", "high")).doc("How sharp it is.")}

        def __init__(self, *, sharpness: str = "low", mirrored: bool = False, **common: Any) -> None:
            super().__init__(**common)
            self.sharpness, self.mirrored = sharpness, mirrored

        def fit(self, X: Any, y: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
            raise ValueError(f"{self.sharpness} {self.mirrored} {self.epochs}")

    try:
        text = run("fit --help --model toy-diffusion2").stdout
        assert "How sharp it is. One of: low, high.  [default: low]" in " ".join(text.split()).replace(". [", ".  [")
        assert fails("fit p.txt --model=toy-diffusion2 --sharpness high --mirrored --epochs 3") == "Error: high True 3"
        assert "toy-diffusion2" in fails("fit p.txt --model nothing", status=2)
    finally:
        del ToyDiffusion2
        gc.collect()


def test_scores_of_other_kinds_of_model(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model without a likelihood says so; an exact one is not called a bound."""
    judge = seqdiff.load("runs/plain")
    monkeypatch.setattr("seqdiff.cli.commands.load", lambda *args, **kwargs: judge)
    monkeypatch.setattr(MultinomialDiffusion, "bound_", "exact")
    assert "exact" in run("score runs/plain p.txt --times 2").stdout.splitlines()[-1]
    monkeypatch.setattr(MultinomialDiffusion, "bound_", None)
    assert "cannot score" in fails("score runs/plain p.txt")


def test_a_model_of_signals_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that no option can express are refused."""
    writer = seqdiff.load("runs/plain")
    writer.model_.vocabulary = replace(writer.model_.vocabulary, target=SimpleNamespace(kind="signal"))
    monkeypatch.setattr("seqdiff.cli.commands.load", lambda *args, **kwargs: writer)
    assert "use Python" in fails("generate runs/plain 3 --y 1")


def test_models_without_likelihood_are_not_scored(here: Path) -> None:
    """It is fitted and generates like any other; its loss is not called a bound, and scoring is refused."""
    sizes = "--width 8 --depth 1 --epochs 1 --batch-size 64"
    fitted = run(f"fit p.txt --model dirichlet-fm --path linear {sizes} --model-name flow")
    assert fitted.exit_code == 0 and "no likelihood" in fitted.stdout
    assert len(run("generate runs/flow 3 --steps 4").stdout.split()) == 3
    assert "cannot score" in fails("score runs/flow p.txt")


@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="there is no /dev/stdin")
def test_standard_input_is_read(tmp_path):
    """`-` in the place of a file, for data of any kind that its first line shows; a run folder is made as ever."""
    aligned = "".join(f">s{i}\n{s[:3]}-{s[3:]}\n" for i, s in enumerate(sequences(30, 10)))
    command = [sys.executable, "-m", "seqdiff"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], input=aligned, capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    info = ran("info", "-")
    assert info.returncode == 0 and "standard input" in info.stdout and "--gaps drop" in info.stdout
    small = "--model masked-diffusion --width 8 --depth 1 --epochs 1".split()
    fitted = ran("fit", "-", "--gaps", "drop", *small)
    assert fitted.returncode == 0, fitted.stderr
    assert (tmp_path / "runs" / "MaskedDiffusion" / "args.json").is_file()


def test_workbooks_are_described(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"seq": sequences(10, 8), "strength": range(10)}).to_excel("book.xlsx", index=False)
    shown = run("info book.xlsx").output
    assert re.search(r"sequences: +10\n", shown) and "whole numbers, 10 different" in shown
