"""Shared fixtures: real data where available, 300 short promoters, an empty working directory."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib, in processes that a test starts too

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Give whole files to xdist workers, so that the tests of a file share its fitted models."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "loadfile"


def pytest_configure(config: pytest.Config) -> None:
    """Give each xdist worker one thread: workers that each take every core slow one another down."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real data, named by SEQDIFF_DATA or beside the repository; skip where there is none."""
    folder = Path(os.environ.get("SEQDIFF_DATA") or REPOSITORY.parent / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip("needs the real data, which are not part of the repository: set SEQDIFF_DATA to their folder")
    return folder


@pytest.fixture
def load_benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return what imports a script of benchmarks/ by name, with its folder on the path during the test."""

    def load(name: str) -> Any:
        script = REPOSITORY / "benchmarks" / f"{name}.py"
        monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
        spec = importlib.util.spec_from_file_location(f"{name}_script", script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the working directory of the test, for what writes to relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def promoters() -> list[str]:
    """Return 300 different DNA strings of length 50: TTGACA, 17 letters, TATAAT, a tenth of both mutated, AT-rich."""
    rng = np.random.default_rng(35)
    x = rng.choice(list("ACGT"), size=(300, 50), p=[0.3, 0.2, 0.2, 0.3])
    for start, element in ((12, "TTGACA"), (35, "TATAAT")):
        kept = rng.random((300, 6)) < 0.9
        x[:, start : start + 6] = np.where(kept, list(element), x[:, start : start + 6])
    return ["".join(row) for row in x]
