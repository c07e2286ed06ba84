"""Guidance from the command line: `generate --guidance --forbid`, and `classify`, which fits classifiers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_models import sequences
from test_cli import fails, run, working_in

import seqdiff
from seqdiff import SequenceClassifier, SequenceRegressor
from seqdiff.guidance import FUDGE, NOS, PPLM, ClassifierBased, ClassifierFree, LatentClassifier, LookAhead

SMALL = "--width 8 --depth 1 --epochs 2 --batch-size 32 --verbose 0"
QUICK = "--width 8 --depth 1 --epochs 2 --verbose 0"
SHORT = "--seed 3 --steps 4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of a table, runs of several kinds fitted to it, and files of what guides them."""
    folder = tmp_path_factory.mktemp("steering")
    x = sequences(80, 12)
    rows = [f"{s},{'few' if s.count('A') < 3 else 'many'},{s.count('A') / 2},{s.count('C')}" for s in x]
    (folder / "p.csv").write_text("\n".join(["seq,label,share,count", *rows]) + "\n")
    with working_in(folder):
        for line in (
            f"fit p.csv --model masked {SMALL} --y label --model-name masked",
            f"fit p.csv --model autoregressive {SMALL} --model-name ar",
            f"fit p.csv --model embedding {SMALL} --diffusion-steps 8 --model-name embedding",
            f"classify p.csv --y label --noise-like runs/masked {QUICK} --out c.safetensors",
            f"classify p.csv --y label --noise-like runs/masked --hidden {QUICK} --out h.safetensors",
            f"classify p.csv --y share --noise-like runs/masked {QUICK} --out r.safetensors",
            f"classify p.csv --y label --noise-like runs/ar {QUICK} --out a.safetensors",
            f"classify p.csv --y label --noise-like runs/ar --hidden {QUICK} --out ah.safetensors",
            f"classify p.csv --y label --noise-like runs/embedding {QUICK} --out e.safetensors",
            f"classify p.csv --y label {QUICK} --out clean.safetensors",
        ):
            assert run(line).exit_code == 0, line
    return folder


@pytest.fixture
def here(folder: Path) -> Iterator[Path]:
    with working_in(folder):
        yield folder


# -- classify ---------------------------------------------------------------------------------------------------------


def test_classify_equals_fit_and_save(here: Path) -> None:
    """The file holds what Python makes with the same settings; the last line is a command that works."""
    line = f"classify p.csv --y label --noise-like runs/masked {QUICK} --random-state 4 --out new.safetensors"
    said = run(line).stdout.splitlines()
    model = seqdiff.load("runs/masked")
    settings = dict(width=8, depth=1, epochs=2, random_state=4)
    wanted = SequenceClassifier(noise_like=model, **settings).fit("p.csv", "label")
    found = SequenceClassifier.load("new.safetensors", noise_like=model)
    x = sequences(80, 12)
    assert np.array_equal(wanted.predict_proba(x), found.predict_proba(x))
    assert said[0] == "classes: few, many" and said[2] == "file: new.safetensors"
    assert f"{min(wanted.evaluations_['bound']):.4f} nats, averaged over the noise" in said[1]
    assert run(said[3].removeprefix("next: seqdiff ").replace("1000", "4")).exit_code == 0
    Path("new.safetensors").unlink()
    Path("samples.fasta").unlink()
    Path("runs/masked/samples/samples.fasta").unlink()


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ("--y share", "values: mean"),
        ("--y count", "classes: 0, 1"),
        ("--y count --target value", "values: mean"),
        ("--y share --target class", "classes: "),
    ],
)
def test_labels_determine_classifier_or_regressor(here: Path, options: str, first: str) -> None:
    result = run(f"classify p.csv {options} {QUICK} --epochs 1 --out new.safetensors")
    assert result.exit_code == 0 and result.stdout.startswith(first) and "next:" not in result.stdout
    cls = SequenceRegressor if first.startswith("values") else SequenceClassifier
    assert type(cls.load("new.safetensors")) is cls
    Path("new.safetensors").unlink()


@pytest.mark.parametrize(
    ("model", "options", "guide"),
    [
        ("ar", "", "fudge:new.safetensors:many:2"),
        ("ar", "--hidden", "pplm:new.safetensors:many:2"),
        ("masked", "--hidden", "nos:new.safetensors:many:2"),
    ],
)
def test_classify_prints_a_guided_generate_command(here: Path, model: str, options: str, guide: str) -> None:
    line = f"classify p.csv --y label --noise-like runs/{model} {options} {QUICK} --epochs 1 --out new.safetensors"
    assert f"--guidance {guide} " in run(line).stdout
    Path("new.safetensors").unlink()


def test_info_describes_predictor_files(here: Path) -> None:
    said = run("info c.safetensors").stdout
    assert "SequenceClassifier" in said and "few, many" in said and "FirstHitting generator" in said


# -- generate ---------------------------------------------------------------------------------------------------------


def loaded(file: str, model: seqdiff.SequenceGenerator):
    cls = SequenceRegressor if file == "r" else SequenceClassifier
    return cls.load(f"{file}.safetensors", noise_like=model)


CASES = {
    "cbg:c.safetensors:many:2": ("masked", lambda m: ClassifierBased(loaded("c", m), "many", 2.0)),
    "cbg-exact:c.safetensors:many:2": ("masked", lambda m: ClassifierBased(loaded("c", m), "many", 2.0, exact=True)),
    "cbg:r.safetensors:-1.5:1e1": ("masked", lambda m: ClassifierBased(loaded("r", m), -1.5, 10.0)),
    "nos:h.safetensors:few:4": ("masked", lambda m: NOS(loaded("h", m), "few", 4.0)),
    "fudge:a.safetensors:few:3": ("ar", lambda m: FUDGE(loaded("a", m), "few", 3.0)),
    "pplm:ah.safetensors:few:3": ("ar", lambda m: PPLM(loaded("ah", m), "few", 3.0)),
    "latent:e.safetensors:few:3": ("embedding", lambda m: LatentClassifier(loaded("e", m), "few", 3.0)),
}


@pytest.mark.parametrize("text", CASES)
def test_guides_equal_those_of_the_library(here: Path, text: str) -> None:
    name, make = CASES[text]
    model = seqdiff.load(f"runs/{name}")
    wanted = model.generate(6, guidance=make(model), random_state=3, steps=4)
    assert run(f"generate runs/{name} 6 {SHORT} --guidance {text}").stdout.split() == wanted


def test_guides_without_a_classifier(here: Path) -> None:
    masked, ar = seqdiff.load("runs/masked"), seqdiff.load("runs/ar")
    for text, gamma in (("cfg:3.5", 3.5), ("cfg", 2.0), ("cfg:-1", -1.0)):
        wanted = masked.generate(6, y="many", guidance=ClassifierFree(gamma), random_state=3, steps=4)
        assert run(f"generate runs/masked 6 --y many {SHORT} --guidance {text}").stdout.split() == wanted
    template = "N" * 9 + "AC[AT]"
    wanted = ar.generate(6, template=template, guidance=LookAhead(8), random_state=3)
    line = f"generate runs/ar 6 --template {template} --seed 3 --guidance look-ahead:8"
    assert run(line).stdout.split() == wanted


def test_several_guides_with_forbidden_motifs(here: Path) -> None:
    model = seqdiff.load("runs/masked")
    guides = [ClassifierFree(2.0), ClassifierBased(loaded("c", model), "many", 2.0)]
    wanted = model.generate(20, y="many", guidance=guides, forbid=["BsaI", "CCC", 3], random_state=3, steps=4)
    line = f"generate runs/masked 20 --y many {SHORT} --guidance cfg:2 --guidance cbg:c.safetensors:many:2"
    found = run(f"{line} --forbid BsaI,CCC --forbid 3").stdout.split()
    assert found == wanted and not any(re.search(r"(.)\1\1", s) for s in found)


def test_motifs_that_together_cannot_be_avoided_are_reported(here: Path) -> None:
    """No single word is unavoidable, but one of them is."""
    words = " ".join(f"--forbid {letter}ACC" for letter in "ACGT")
    assert "after 20 more tries" in fails(f"generate runs/masked 2 {SHORT} --template NACC{'N' * 8} {words}")


WRONG = [
    (
        "generate runs/masked 3 --guidance more",
        "--guidance: got 'more', expected a known guide; give one of cfg:2",
    ),
    (
        "generate runs/masked 3 --guidance cfg:much --y few",
        "got 'much' in 'cfg:much', expected a number there; write cfg:GAMMA",
    ),
    ("generate runs/masked 3 --guidance cfg:nan --y few", "expected a number"),
    ("generate runs/masked 3 --guidance cfg:2", "expected a condition for ClassifierFree; give --y as well"),
    ("generate runs/ar 3 --guidance cfg:2 --y few", "without labels"),
    ("generate runs/masked 3 --guidance cbg:c.safetensors", "write cbg:FILE:LABEL:GAMMA"),
    ("generate runs/masked 3 --guidance cbg:c.safetensors:few", "write cbg:FILE:LABEL:GAMMA"),
    (
        "generate runs/masked 3 --guidance cbg:c.safetensors:few:much",
        "'much' in 'cbg:c.safetensors:few:much', expected a number",
    ),
    ("generate runs/masked 3 --guidance cbg:c.safetensors:middling:1", "'middling'"),
    ("generate runs/masked 3 --guidance cbg:r.safetensors:few:1", "a SequenceRegressor predicts numbers"),
    (
        "generate runs/masked 3 --guidance cbg:nowhere:few:1",
        "no file of that name, expected a file of seqdiff classify",
    ),
    (
        "generate runs/masked 3 --guidance cbg:p.csv:few:1",
        "no model of seqdiff's, expected a file of seqdiff classify",
    ),
    (
        "generate runs/masked 3 --guidance cbg:runs/masked:few:1",
        "which generates sequences, expected a model that predicts labels; give a file of seqdiff",
    ),
    ("generate runs/masked 3 --guidance cbg:clean.safetensors:few:1", "seqdiff classify --noise-like"),
    ("generate runs/masked 3 --guidance cbg:a.safetensors:few:1", "expected the noise of Autoregressive for"),
    ("generate runs/ar 3 --guidance cbg:a.safetensors:few:1", "give FUDGE"),
    ("generate runs/masked 3 --guidance fudge:c.safetensors:few:1", "give ClassifierBased"),
    ("generate runs/masked 3 --guidance nos:c.safetensors:few:1", "--hidden"),
    ("generate runs/masked 3 --guidance look-ahead:3", "power of two"),
    ("generate runs/masked 3 --guidance look-ahead:four", "'four' in 'look-ahead:four', expected a number"),
    ("generate runs/ar 3 --guidance look-ahead", "--template: got None"),
    ("generate runs/masked 3 --forbid QQ", "'Q' is no symbol"),
    (
        "generate runs/masked 3 --forbid 1",
        "--forbid: got the number 1, expected the length of a run of one letter, 2 to",
    ),
    (f"generate runs/masked 3 --forbid CCC --template {'C' * 12}", "--template: got one that holds CCC"),
    ("generate c.safetensors 3", "give it to --guidance"),
    ("classify nowhere.csv --y label --out n.safetensors", "no such file"),
    ("classify p.csv --y nothing --out n.safetensors", "nothing"),
    ("classify p.csv --y label --out n.txt", ".safetensors"),
    ("classify p.csv --y label --out nowhere/n.safetensors", "in a folder that is there"),
    ("classify p.csv --y label --noise-like nowhere --out n.safetensors", "nowhere: got no file of that name"),
    ("classify p.csv --y label --noise-like c.safetensors --out n.safetensors", "SequenceClassifier"),
    ("classify p.csv --y label --hidden --out n.safetensors", "--noise-like: got None"),
    ("classify p.csv --y label --validation 2 --out n.safetensors", "--validation: got 2.0, expected a share"),
    ("classify p.csv --y label --epochs 0 --out n.safetensors", "--epochs: got 0"),
    ("classify p.csv --y label --target value --out n.safetensors", "where --target value wants numbers"),
]


@pytest.mark.parametrize(("line", "part"), WRONG, ids=lambda value: str(value)[:50])
def test_user_mistakes_are_one_sentence(line: str, part: str, here: Path) -> None:
    """One sentence, status 1, and nothing left behind."""
    before = set(here.rglob("*"))
    assert part in fails(line)
    assert set(here.rglob("*")) <= before


@pytest.mark.parametrize("line", ["classify p.csv --out n.safetensors", "classify p.csv --y label", "classify"])
def test_miswritten_commands_have_status_2(line: str, here: Path) -> None:
    fails(line, status=2)
