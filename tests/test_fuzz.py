"""Random inputs of what can be written in a file or a text: errors are the documented ones, or there are none.

`SEQDIFF_FUZZ=100000 pytest tests/test_fuzz.py -m ""` takes as many inputs for each test; a test run takes some.
"""

from __future__ import annotations

import gzip
import os
import string
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from all_generators import X, fitted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seqdiff
from seqdiff.cli.guiding import read_guides
from seqdiff.design import DesignRules, Designs
from seqdiff.errors import InputError

INPUTS = int(os.environ.get("SEQDIFF_FUZZ", "150"))
many = settings(
    max_examples=INPUTS,
    deadline=None,
    database=None,
    derandomize=INPUTS <= 1000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

LETTERS = "ACGTNacgtn[]{}()-?*RYSWKM0123456789,:|^$ \t"
PATTERNS = st.one_of(st.text(LETTERS, max_size=14), st.text(max_size=12), st.sampled_from(["N" * 10, "ACGTACGTAC"]))


def tried(call: Callable[[], Any]) -> None:
    """Call; an error that is no `InputError` fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except InputError as error:
            assert ": got " in str(error) and ", expected " in str(error), str(error)


def whole_files(folder: Path) -> dict[str, bytes]:
    """Return the contents of small files that can be read, by their endings."""
    designs = Designs.read(X[:6])
    for ending in ("gb", "xlsx", "csv", "fasta"):
        designs.to_order(folder / f"a.{ending}", plate=None)
    frame = pd.DataFrame({"sequence": X[:6], "label": ["few", "many"] * 3})
    frame.to_parquet(folder / "a.parquet")
    frame.to_csv(folder / "a.tsv", sep="\t", index=False)
    fasta = (folder / "a.fasta").read_bytes()
    (folder / "a.fasta.gz").write_bytes(gzip.compress(fasta, mtime=0))
    (folder / "a.fastq").write_text("".join(f"@r{i}\n{s}\n+\n{'I' * len(s)}\n" for i, s in enumerate(X[:4])))
    (folder / "a.sto").write_text("# STOCKHOLM 1.0\nr1 ACG-T\nr2 ACGGT\n//\n")
    (folder / "a.a3m").write_text(">r1\nACG-T\n>r2\nACGaGT\n")
    np.save(folder / "a.npy", np.zeros((3, 4, 4), dtype=np.uint8))
    files = {path.name[2:]: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".json")}
    return files | {"txt": "\n".join(X[:6]).encode()}


@st.composite
def changed(draw: Any, contents: bytes) -> bytes:
    """Return the contents of a file, some of its bytes changed, left out or doubled; or other bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(contents)
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at, kind = draw(st.integers(0, len(data) - 1)), draw(st.integers(0, 4))
        if kind == 0:
            data[at] = draw(st.integers(0, 255))
        elif kind == 1:
            del data[at : at + draw(st.integers(1, 50))]
        elif kind == 2:
            data[at:at] = draw(st.binary(min_size=1, max_size=20))
        elif kind == 3:
            data[at:at] = draw(st.text(LETTERS + string.punctuation + "\r\n", min_size=1, max_size=20)).encode()
        else:
            data = data[:at]
    return bytes(data)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return whole_files(tmp_path_factory.mktemp("whole"))


@given(st.data())
@many
def test_readers(files: dict[str, bytes], tmp_path: Path, data: Any) -> None:
    """Of each format, with errors in it."""
    ending = data.draw(st.sampled_from(sorted(files)))
    path = tmp_path / f"changed.{ending}"
    path.write_bytes(data.draw(changed(files[ending])))
    gaps = data.draw(st.sampled_from(["error", "drop"]))
    tried(lambda: seqdiff.data.prepare(path, gaps=gaps))


@given(st.one_of(st.lists(st.one_of(st.none(), st.text(max_size=20), st.floats(), st.binary(max_size=9)), max_size=9)))
@many
def test_lists(sequences: list[Any]) -> None:
    tried(lambda: seqdiff.data.prepare(sequences))


@given(PATTERNS, st.one_of(st.none(), PATTERNS, st.lists(PATTERNS, max_size=3)))
@many
def test_templates_and_motifs(template: str, forbid: Any) -> None:
    model = fitted("masked")
    tried(lambda: model.request(2, template=template))
    tried(lambda: model.request(2, forbid=forbid))
    tried(lambda: DesignRules(forbid=forbid if isinstance(forbid, list) else [template]).check(["ACGTACGTAC"]))


@given(
    st.one_of(
        st.text(max_size=30),
        st.builds(
            ":".join,
            st.lists(
                st.one_of(st.sampled_from(["cfg", "cbg", "fudge", "pplm", "look-ahead", "2", "-1", "nan"]), st.text()),
                max_size=5,
            ),
        ),
    )
)
@many
def test_guides_of_the_shell(text: str) -> None:
    tried(lambda: read_guides([text], fitted("masked")))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    fitted("masked").save(path)
    return path.read_bytes()


@given(st.data())
@many
def test_models(model_file: bytes, tmp_path: Path, data: Any) -> None:
    """A changed file is refused, or it is a model."""
    path = tmp_path / "changed.safetensors"
    path.write_bytes(data.draw(changed(model_file)))
    tried(lambda: seqdiff.load(path))
