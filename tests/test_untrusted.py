"""Files of others: a pickle is executed nowhere, and no name leads out of a folder."""

from __future__ import annotations

import io
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqdiff
from seqdiff import Autoregressive, SequenceClassifier
from seqdiff.data import prepare, read_records
from seqdiff.datasets import load_sigma70
from seqdiff.design import DesignRules, Designs

X = load_sigma70(60)
TINY: dict[str, Any] = {"width": 8, "depth": 1, "epochs": 1, "verbose": 0}


class Bomb:
    """Makes a file when it is read as a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[Bomb]:
    """Yield a bomb that works, and has not gone off in the end."""
    made = Bomb(tmp_path / "executed")
    pickle.loads(pickle.dumps(made)).close()
    assert made.path.exists()
    made.path.unlink()
    yield made
    assert not made.path.exists()


def pickled(bomb: Bomb, path: Path) -> None:
    path.write_bytes(pickle.dumps(bomb))


def saved_by_torch(bomb: Bomb, path: Path) -> None:
    content = io.BytesIO()
    torch.save({"format_version": 1, "objective": bomb}, content)
    path.write_bytes(content.getvalue())


def saved_by_numpy(bomb: Bomb, path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, np.array([bomb], dtype=object), allow_pickle=True)


KINDS = [pickled, saved_by_torch, saved_by_numpy]


def tried(call: Callable[[], Any]) -> None:
    """Call; a file that is no such file may be refused by an error of the package, or by the system's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except (ValueError, OSError, ImportError):
            pass


@pytest.mark.parametrize("kind", KINDS)
def test_data_files(bomb: Bomb, tmp_path: Path, kind: Callable[[Bomb, Path], None]) -> None:
    """Of any name that is read, and of names of pickles."""
    endings = ["txt", "fasta", "csv", "tsv", "parquet", "xlsx", "gb", "embl", "fastq", "sto", "a3m", "npy", "zip", "gz"]
    for ending in [*endings, "bz2", "xz", "pkl", "pickle", "pt", "npz", "joblib"]:
        path = tmp_path / f"data.{ending}"
        kind(bomb, path)
        for read in (
            prepare,
            read_records,
            seqdiff.check_data,
            Designs.read,
            Autoregressive(**TINY, savepath=None).fit,
        ):
            tried(lambda read=read, path=path: read(path))


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_a_run(bomb: Bomb, workdir: Path, kind: Callable[[Bomb, Path], None]) -> None:
    """Each in turn replaced: loading, resuming, describing and reporting execute none."""
    Autoregressive(**TINY, model_name="whole").fit(X)
    files = [path.relative_to("runs/whole") for path in Path("runs/whole").rglob("*") if path.is_file()]
    assert {"args.pickle", "metrics_train.pickle", "checkpoint.pt", "model.safetensors"} <= {f.name for f in files}
    for i, file in enumerate(files):
        run = Path("runs") / f"run{i}"
        shutil.copytree("runs/whole", run)
        kind(bomb, run / file)
        tried(lambda run=run: seqdiff.load(run))
        tried(lambda run=run: seqdiff.report(run, n=20, verbose=0))
        tried(lambda run=run: Autoregressive(**TINY, model_name=run.name).fit(X, resume=True))
        tried(lambda run=run: Autoregressive(**{**TINY, "epochs": 2}, model_name=run.name).fit(X, resume=True))


@pytest.mark.parametrize("kind", KINDS)
def test_model_files(bomb: Bomb, tmp_path: Path, kind: Callable[[Bomb, Path], None]) -> None:
    for name in ("model.safetensors", "model.pt", "pytorch_model.bin", "config.json"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        kind(bomb, folder / name)
        for load in (seqdiff.load, SequenceClassifier.load, seqdiff.convert_udlm):
            tried(lambda load=load, path=folder: load(path))
            tried(lambda load=load, path=folder / name: load(path))
        tried(lambda path=folder / name: DesignRules(vendor=str(path)))


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/tmp/outside", "..", "a\0b"])
def test_names_do_not_lead_out_of_the_runs(workdir: Path, name: str) -> None:
    with pytest.raises(ValueError, match="model_name: got"):
        Autoregressive(**TINY, model_name=name).fit(X)
    assert not Path("runs").exists() and not (workdir.parent / "outside").exists()
