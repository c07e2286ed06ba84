"""Natural promoters: found where they should be, checked, parsed in any layout, and one clear sentence when offline."""

import hashlib

import numpy as np
import pytest

from seqdiff.datasets import DatasetUnavailable, fetch_ecoli_promoters, remote

A, B, C = "A" * 50, "ACGTT" * 10, "acgtc" * 10


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No SEQDIFF_DATA, no reachable network, an empty cache."""
    monkeypatch.delenv("SEQDIFF_DATA", raising=False)
    monkeypatch.setenv("SEQDIFF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "ECOLI_URL", "http://127.0.0.1:9/promoters.csv")
    return tmp_path / "cache"


def put(folder, text, monkeypatch):
    """Lay a file where the download would be and make its SHA-256 the wanted one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / remote.ECOLI_FILE).write_bytes(text.encode())
    monkeypatch.setattr(remote, "ECOLI_SHA256", hashlib.sha256(text.encode()).hexdigest())


def test_local_file(monkeypatch, data_dir):
    monkeypatch.setenv("SEQDIFF_DATA", str(data_dir))
    promoters = fetch_ecoli_promoters()
    assert promoters.data.shape == promoters.target.shape == promoters.split.shape == (11884,)
    assert all(type(sequence) is str and len(sequence) == 50 for sequence in promoters.data[:100])
    assert set("".join(promoters.data)) == set("ACGT")
    assert len(set(promoters.data)) == 11884
    assert dict(zip(*np.unique(promoters.split.astype(str), return_counts=True), strict=True)) == {
        "train": 9508,
        "valid": 1188,
        "test": 1188,
    }
    assert np.median(promoters.target) == pytest.approx(7.10, abs=0.01)
    X, y = fetch_ecoli_promoters(return_X_y=True)
    assert (X == promoters.data).all() and (y == promoters.target).all()
    framed = fetch_ecoli_promoters(as_frame=True)
    assert list(framed.frame.columns) == ["seq", "expr", "split"] and (framed.data.to_numpy() == X).all()


def test_cached_copy_is_used(offline, monkeypatch):
    put(offline, f"seq,expr\n{A.lower()},1.5\n{B},2.25\n", monkeypatch)
    X, y = fetch_ecoli_promoters(return_X_y=True)
    assert X.tolist() == [A, B] and y.tolist() == [1.5, 2.25]


def test_data_home_is_used(offline, monkeypatch, tmp_path):
    put(tmp_path / "elsewhere", f"seq,expr\n{A},1.5\n", monkeypatch)
    assert fetch_ecoli_promoters(return_X_y=True, data_home=tmp_path / "elsewhere")[0].tolist() == [A]
    with pytest.raises(DatasetUnavailable):
        fetch_ecoli_promoters()


def test_folder_of_seqdiff_data_comes_first(offline, monkeypatch, tmp_path):
    put(offline, f"seq,expr\n{A},1.5\n", monkeypatch)
    (tmp_path / "ecoli50_expr.csv").write_text(f"seq,expr,split\n{B},3,test\n")
    monkeypatch.setenv("SEQDIFF_DATA", str(tmp_path))
    promoters = fetch_ecoli_promoters()
    assert promoters.data.tolist() == [B] and promoters.split.tolist() == ["test"]


@pytest.mark.parametrize(
    "text",
    [
        f"{A},1.5\n{B},2.5\n{C},3.5\n",
        f"1.5,{A}\n2.5,{B}\n3.5,{C}",
        f"id,expression,sequence\r\nx,1.5,{A}\r\ny,2.5,{B}\r\nz,3.5,{C}\r\n",
        f"seq,expr\n{A},1.5\n{B},2.5\n{A},99\n{C},3.5\n",
    ],
)
def test_layouts(offline, monkeypatch, text):
    put(offline, text, monkeypatch)
    X, y = fetch_ecoli_promoters(return_X_y=True)
    assert X.tolist() == [A, B, C.upper()] and y.tolist() == [1.5, 2.5, 3.5]


def test_split_is_made_where_the_file_has_none(offline, monkeypatch):
    from seqdiff.data import cluster_split

    rng = np.random.default_rng(0)
    sequences = ["".join(row) for row in rng.choice(list("ACGT"), size=(40, 50))]
    put(offline, "seq,expr\n" + "".join(f"{sequence},1\n" for sequence in sequences), monkeypatch)
    assert fetch_ecoli_promoters().split.tolist() == list(cluster_split(sequences))


def test_offline_says_what_to_do(offline):
    with pytest.raises(DatasetUnavailable, match="SEQDIFF_DATA") as caught:
        fetch_ecoli_promoters()
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, OSError)
    message = str(caught.value)
    assert "\n" not in message and remote.ECOLI_URL in message and str(offline) in message
    assert not list(offline.glob("*.csv"))


def test_a_copy_with_other_content_is_not_believed(offline, monkeypatch):
    """A wrong SHA-256 asks for a new download, which fails here: the tampered copy must not be returned."""
    put(offline, f"seq,expr\n{A},1.5\n", monkeypatch)
    monkeypatch.setattr(remote, "ECOLI_SHA256", "0" * 64)
    with pytest.raises(DatasetUnavailable):
        fetch_ecoli_promoters()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "could not be read"),
        ("seq,expr\nhello,1\nyou,2\n", "expected a column of 50-letter"),
        (f"seq,expr\n{A},1\n{B},2\n{A[:-1]}N,3\n", "line 4: got"),
        (f"seq,expr\n{A},1\n{B},none\n{C},3\n{A[:-1]}C,4\n", "line 3: got"),
    ],
)
def test_bad_files_are_named(offline, monkeypatch, text, message):
    put(offline, text, monkeypatch)
    with pytest.raises(ValueError, match=message):
        fetch_ecoli_promoters()
