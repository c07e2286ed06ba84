"""Models of earlier commits load, sample and score identically; see golden/make.py."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"
SPEC = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)
STORED = json.loads((GOLDEN / "figures.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", make.NAMES)
def test_stored_models_sample_and_score_identically(name):
    found, wanted = make.measured(name), STORED[name]
    assert found.keys() == wanted.keys()
    assert found["samples"] == wanted["samples"]
    assert found["steered"] == wanted["steered"]
    if "scores" in wanted:
        np.testing.assert_allclose(found["scores"], wanted["scores"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", make.CLASSIFIERS)
def test_stored_classifiers_predict_identically(name):
    np.testing.assert_allclose(make.predicted(name), STORED[name], atol=1e-5)


def test_a_stored_run_is_read_and_resumed(tmp_path):
    found, wanted = make.resumed(tmp_path), STORED["run"]
    np.testing.assert_allclose(found["before"], wanted["before"], rtol=1e-5, atol=1e-5)
    # training adds up rounding, which is the machine's own
    np.testing.assert_allclose(found["after"], wanted["after"], rtol=1e-3)
    assert found["epochs"] == wanted["epochs"] == make.run_settings()["epochs"]


def test_every_stored_file_is_checked():
    stored = {path.stem for path in GOLDEN.glob("*.safetensors")}
    assert stored == {*make.NAMES, *make.CLASSIFIERS} and {*STORED} == {*make.FIGURES}
