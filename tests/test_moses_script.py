"""benchmarks/molsets.py: the metrics against values of MOSES' authors, the split, bits per letter, and a small run."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqdiff.alphabets import Alphabet


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("molsets")


def test_metrics_are_those_of_the_authors(script):
    for name in ("rdkit", "fcd_torch", "moses"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs the package {name}; see the first lines of benchmarks/molsets.py")
    # molsets 0.3.1, tests/test_metrics.py: two reference molecules, six samples of which two are invalid
    judge = script.Judge(["CNC"])
    judge.compare_with("Test", ["Oc1ccccc1-c1cccc2cnccc12", "COc1cccc(NC(=O)Cc2coc3ccc(OC)cc23)c1"])
    valid = ["CNC", "Oc1ccccc1-c1cccc2cnccc12", "CCCP", "Cc1noc(C)c1CN(C)C(=O)Nc1cc(F)cc(F)c1"]
    found = judge([*valid, "INVALID", "Cc1nc(NCc2ccccc2)no1-c1ccccc1"], seen=["CNC", "CCCP"])
    expected = {
        "valid": 2 / 3, "unique@10k": 1, "FCD/Test": 52.58371754126664, "SNN/Test": 0.3152585653588176,
        "Frag/Test": 0.3, "Scaf/Test": 0.5, "IntDiv": 0.7189187309761661, "filters": 0.75, "novelty": 3 / 4,
        "unseen": 2 / 4,
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-5)
    assert judge(["C(", ""]) == {"valid": 0}
    many, one = {"frag": {"CC": 3 * 10**9, "CO": 4 * 10**9}}, {"frag": {"CC": 1}}
    assert judge.metric("Frag", 1).metric(many, one) == pytest.approx(3 / 5)
    assert not hasattr(pd.DataFrame, "append"), "what old code needs is there during its import alone"


def test_missing_packages_are_named(script, monkeypatch):
    monkeypatch.delitem(sys.modules, "moses.metrics.metrics", raising=False)
    for name in ("moses", "moses.metrics"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match="say how to install molsets"):
        script.molsets()


def test_held_out_molecules_do_not_depend_on_the_limit(script):
    molecules = [f"C{i}" for i in range(1000)]
    fit, held = script.split(molecules, None)
    assert sorted(fit + held) == sorted(molecules) and len(held) == 100
    few, same = script.split(molecules, 50)
    assert few == fit[:50] and same == held


def test_bits_count_letters_not_characters(script):
    class Model:
        bound_ = "exact"
        alphabet_ = Alphabet(["C", "Cl", "N"], "smiles")

        def score_samples(self, X, y, random_state, return_error):
            return np.full(len(X), -6 * math.log(2)), np.zeros(len(X))

    found = script.likelihood(Model(), ["CCl", "CNCCl"], draws=1)
    assert found == pytest.approx({"nats": 6 * math.log(2), "MC": 0, "bits per letter": 2})


class Judge:
    """Stand in for MOSES' metrics: what was compared with what."""

    def __init__(self, train, device, jobs):
        self.train, self.references = train, []

    def compare_with_test_sets(self):
        self.references = ["Test", "TestSF"]

    def compare_with(self, name, molecules):
        self.references = [name]

    def __call__(self, samples, seen=()):
        assert set(seen) <= set(self.train)
        return {"valid": len(samples)} | {f"FCD/{name}": 0.5 for name in self.references}


def test_small_run(script, monkeypatch, workdir, capsys):
    strings = ["".join(letters) for n in (3, 4) for letters in itertools.combinations_with_replacement("CNOF", n)]
    monkeypatch.setattr(script, "dataset", lambda part: strings if part == "train" else ["CCCCC", "NNNNN"])
    monkeypatch.setattr(script, "Judge", Judge)
    options = (
        "--models train,test,Autoregressive,UniformDiffusion --set epochs=1 --set width=8 --set depth=1 --limit 40"
    )
    small = "--samples 2 --steps 3 --draws 1 --keep kept --csv rows.csv"
    monkeypatch.setattr(sys, "argv", ["molsets.py", *f"{options} {small}".split()])
    script.main()
    rows = pd.read_csv("rows.csv")
    assert rows.model.tolist() == ["training molecules", "test molecules", "Autoregressive", "UniformDiffusion"]
    assert (rows.valid == 2).all() and (rows["FCD/TestSF"] == 0.5).all() and (rows.nats[2:] > 0).all()
    out = capsys.readouterr().out
    assert "training on 40 of 55 molecules" in out and "CharRNN (paper)" in out
    kept = {path.name: path.read_text() for path in Path("kept").glob("*.txt")}
    assert sorted(kept) == ["moses-40-Autoregressive-0-2-all-1.txt", "moses-40-UniformDiffusion-0-2-3-1.txt"]
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--no-test"])
    script.main()  # generators and samples are read from the folder
    out = capsys.readouterr().out
    assert out.count("loaded from") == 2 and "FCD/Valid 0.5" in out and "(paper)" not in out
    rows = pd.read_csv("rows.csv")
    assert "generating CPU-s" not in rows and rows.valid.tolist() == [2, 2, 2, 2]
    assert kept == {path.name: path.read_text() for path in Path("kept").glob("*.txt")}
