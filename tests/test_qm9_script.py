"""benchmarks/qm9.py without RDKit: the counts of samples, the split, the perplexity, and a small run."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pandas as pd
import pytest


def molecules(spellings):
    """Stand in for RDKit: a string's molecule is its sorted letters; one with a bracket is invalid."""
    rows = [
        (None, math.nan, math.nan) if "(" in s else ("".join(sorted(s)), s.count("C") / 10, float(s.count("O")))
        for s in spellings
    ]
    return pd.DataFrame(rows, columns=["canonical", "qed", "rings"])


@pytest.fixture
def qm9(load_benchmark, monkeypatch):
    module = load_benchmark("qm9")
    monkeypatch.setattr(module, "molecules", molecules)
    return module


def test_samples_are_counted(qm9):
    judge = qm9.Judge(pd.DataFrame({"letters": ["CCO", "CN"], "canonical": ["CCO", "CN"]}))
    #        known, again, known molecule, new, again, its other spelling, invalid
    samples = ["CCO", "CCO", "OCC", "CCC", "CCC", "NO", "ON", "C("]
    found = judge.once(samples)
    assert {name: found[name] for name in ("valid", "unique", "novel", "new")} == {
        "valid": 7, "unique": 5, "novel": 4, "new": 2,
    }  # fmt: skip
    assert found["novel qed"] == pytest.approx((0.2 + 0.3 + 0 + 0) / 4)
    assert found["new qed"] == pytest.approx((0.3 + 0) / 2) and found["new rings"] == 0.5
    both = judge([samples, ["CCO", "CCN"]])
    assert (both["valid"], both["novel"], both["novel sd"]) == (4.5, 2.5, 1.5)
    nothing = judge.once(["C(", "("])
    assert nothing["valid"] == nothing["new"] == 0 and math.isnan(nothing["novel qed"])


def test_perplexity_counts_begin_and_end(qm9):
    assert qm9.perplexity(15 * math.log(2), 13, autoregressive=False) == pytest.approx(2)
    assert qm9.perplexity(14 * math.log(2), 13, autoregressive=True) == pytest.approx(2)


def test_parts_are_disjoint_and_the_test_set_stays(qm9, monkeypatch):
    table = pd.DataFrame({"row": np.arange(1000)})
    parts = qm9.split(table)
    assert sorted(np.concatenate([part.row for part in parts.values()])) == list(range(1000))
    assert {name: len(part) for name, part in parts.items()} == {"test": 50, "valid": 50, "train": 900}
    monkeypatch.setattr(qm9, "VALID", 10)
    other = qm9.split(table)
    assert other["test"].row.tolist() == parts["test"].row.tolist() and len(other["valid"]) == 10


def test_small_run(qm9, monkeypatch, workdir, capsys):
    strings = ["".join(letters) for n in (3, 4) for letters in itertools.combinations_with_replacement("CNOF", n)]
    pd.DataFrame({"smiles": strings}).to_csv("qm9_smiles.csv", index=False)
    monkeypatch.setenv("SEQDIFF_DATA", ".")
    options = "--models Autoregressive,UniformDiffusion --label qed --set epochs=1 --set width=8 --set depth=1"
    small = "--samples 4 --repeats 2 --steps 3 --draws 1 --classifier-epochs 1 --keep kept --csv rows.csv"
    strengths = "--guides free,based,exact,moved --free 2 --based 1 --exact 1 --moved 0.1"
    monkeypatch.setattr(sys, "argv", ["qm9.py", *f"{options} {small} {strengths}".split()])
    qm9.main()
    rows = pd.read_csv("rows.csv")
    assert rows.guide.fillna("none").tolist() == [
        "none", "D-CFG", "FUDGE", "PPLM", "none", "D-CFG", "D-CBG, first order", "D-CBG, exact", "NOS",
    ]  # fmt: skip
    scored = rows.dropna(subset=["test nats"])
    assert scored.model.tolist() == ["Autoregressive", "UniformDiffusion"] and (scored.perplexity > 1).all()
    uniform = scored.iloc[1]
    assert uniform["length nats"] + uniform["letter nats"] == pytest.approx(uniform["test nats"])
    assert "D-CBG, exact (paper)" in capsys.readouterr().out
    qm9.main()  # the generators are read from the folder
    assert capsys.readouterr().out.count("loaded from") == 2


def test_wrong_guides_are_refused(qm9, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["qm9.py", "--guides", "nothing"])
    with pytest.raises(SystemExit, match="got nothing, expected some of free"):
        qm9.main()
    monkeypatch.setattr(sys, "argv", ["qm9.py", "--guides", "free"])
    with pytest.raises(SystemExit, match="without a label"):
        qm9.main()
