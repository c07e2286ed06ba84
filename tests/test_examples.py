"""Every script in examples/ runs, on a small setting."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import pytest

from seqdiff.data import read_records

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))
SMALL = {"n": 200, "epochs": 1, "n_test": 10}


def test_there_are_examples() -> None:
    """The test below has something to test."""
    assert "multinomial_diffusion.py" in [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_runs(path: Path, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The script learns and says how well; importing it does nothing."""
    main = runpy.run_path(str(path), run_name="example")["main"]
    assert not list(workdir.iterdir()) and not capsys.readouterr().out
    small = {name: value for name, value in SMALL.items() if name in inspect.signature(main).parameters}
    assert {"n", "epochs"} <= small.keys(), "main(n=..., epochs=...) lets the tests run it small"
    main(**small)
    assert "bits per" in capsys.readouterr().out
    for written in workdir.glob("*.fasta"):
        assert read_records(written).sequences


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_is_short(path: Path) -> None:
    """A reader finishes it in a minute."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
