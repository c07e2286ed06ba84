"""Scripts in examples/ and notebooks run on a small setting."""

from __future__ import annotations

import ast
import inspect
import os
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest

from seqdiff.data import read_records

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))
SMALL = {"n": 200, "epochs": 1, "n_test": 10}


def test_examples_and_notebooks_are_found() -> None:
    assert "multinomial_diffusion.py" in [path.name for path in EXAMPLES]
    assert "first_promoters.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The script prints bits per letter; importing it has no effect."""
    main = runpy.run_path(str(path), run_name="example")["main"]
    assert not list(workdir.iterdir()) and not capsys.readouterr().out
    small = {name: value for name, value in SMALL.items() if name in inspect.signature(main).parameters}
    assert {"n", "epochs"} <= small.keys(), "main(n=..., epochs=...) lets the tests run it small"
    main(**small)
    assert "bits per" in capsys.readouterr().out
    for written in workdir.glob("*.fasta"):
        assert read_records(written).sequences


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short(path: Path) -> None:
    """At most 60 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


# -- notebooks --------------------------------------------------------------------------------------------------------


NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
SMALL_CELLS = {"N": 300, "EPOCHS": 1, "SAMPLES": 16}


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def python(source: str) -> ast.Module:
    """Return a cell's syntax without IPython's own lines."""
    return ast.parse("\n".join(line for line in source.splitlines() if not line.startswith(("%", "!"))))


def shrink(notebook: Any) -> None:
    """Replace the numbers in the cell of parameters by small ones."""
    (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    for statement in python(cell.source).body:
        assert isinstance(statement, ast.Assign)
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        assert target.id in SMALL_CELLS, f"tests/test_examples.py has no small value for {target.id}"
    cell.source = "\n".join(f"{name} = {value}" for name, value in SMALL_CELLS.items())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    """No outputs, no counters; no functions, classes or loops: a notebook tells a story and calls the package."""
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, "clear all outputs before committing"
            own = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Lambda)
            assert not [node for node in ast.walk(python(cell.source)) if isinstance(node, own)], cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs, and every plot is an output."""
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    notebook = read(path)
    shrink(notebook)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()
    drawn = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.rstrip().endswith((".figure", ".plot()"))
    ]
    assert drawn
    for cell in drawn:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.source
