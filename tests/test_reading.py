"""Reading: every form gives the same sequences and labels; every bad input gives one sentence, before any work."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Seq import MutableSeq, Seq
from Bio.SeqRecord import SeqRecord

from seqdiff.data import prepare, read_records

SEQUENCES = ["TTGACAATTC", "CGGCTATAAT", "GATTACAGAT", "ACGTACGTAC"]
VALUES = [0.5, 1.25, -3.0, 2.0]
PLAIN = "\n".join(SEQUENCES)
TABLE = "seq,expr\n" + "\n".join(f"{s},{v}" for s, v in zip(SEQUENCES, VALUES, strict=True))
FASTA = "".join(f">r{i} strong\n{s[:6]}\n{s[6:]}\n" for i, s in enumerate(SEQUENCES))
FORMS = {
    "a.txt": PLAIN,
    "b.txt": PLAIN.replace("\n", "\r\n") + "\r\n",
    "c.txt": PLAIN.replace("\n", "\r"),
    "d.txt": "\ufeff\n\n" + PLAIN.replace("\n", " \n\n\t") + "\n\n",
    "e.txt": PLAIN.lower(),
    "f.txt": FASTA,  # FASTA under another name
    "noending": PLAIN,
    "g.dat": FASTA,
    "h.fa": FASTA,
    "h.fasta": "\n" + FASTA.replace("\n", "\r\n"),
    "h.fna": FASTA.rstrip("\n").replace("\n", "\r"),
    "h.faa": "\ufeff; a comment\n" + FASTA.replace("r2 strong", ""),
    "h.ffn": FASTA.replace("TTG", "TT G").replace(">", "\n>"),
    "i.csv": TABLE,
    "j.csv": "\ufeff" + TABLE.replace("\n", "\r\n") + "\r\n\r\n",
    "k.csv": TABLE.replace(",", ";").replace(".", ","),  # a German spreadsheet
    "l.csv": TABLE.replace("seq", "Sequence").replace(",", '","').replace("\n", '"\n"').join('""'),
    "m.csv": TABLE.replace("seq", "what"),
    "n.tsv": TABLE.replace(",", "\t"),
    "o.csv": "\n".join(line + "," for line in TABLE.split("\n")),
    "p.csv": PLAIN.join(["seq\n", ""]),
}


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("name", FORMS)
def test_every_file_form(tmp_path, name, zipped):
    path = write(tmp_path / (name + zipped), FORMS[name])
    for X in (path, str(path)):
        data = prepare(X)
        assert data.sequences == SEQUENCES and data.source == str(path)
    if "expr" in FORMS[name]:
        assert read_records(path, y="expr").y.tolist() == VALUES
    assert read_records(path, y=VALUES).y.tolist() == VALUES
    assert os.listdir(tmp_path) == [path.name]  # nothing is written beside the data


def test_every_form_in_memory(tmp_path):
    frame = pd.DataFrame({"id": ["lacZ"] * 4, "seq": SEQUENCES, "expr": VALUES}, index=[7, 7, 8, 9])
    frame.to_parquet(tmp_path / "x.parquet")
    records = [SeqRecord(Seq(s), id=f"r{i}") for i, s in enumerate(SEQUENCES)]
    SeqIO.write(records, tmp_path / "x.fasta", "fasta")
    forms = [
        SEQUENCES, tuple(SEQUENCES), iter(SEQUENCES), np.array(SEQUENCES), np.array(SEQUENCES, dtype=object),
        np.array(SEQUENCES)[:, None], list(np.array(SEQUENCES)), frame["seq"], frame["seq"].astype("category"),
        frame["seq"].astype(object), pd.Index(SEQUENCES), frame, frame[["seq"]], tmp_path / "x.parquet", records,
        iter(records), SeqIO.parse(tmp_path / "x.fasta", "fasta"), [Seq(s) for s in SEQUENCES],
        [MutableSeq(s) for s in SEQUENCES],
    ]  # fmt: skip
    for X in forms:
        found = read_records(X, y=VALUES)
        assert found.sequences == SEQUENCES and found.y.tolist() == VALUES
        assert all(type(s) is str for s in found.sequences)
    for X in (frame, tmp_path / "x.parquet"):
        found = read_records(X, y="expr", sequence_column="seq")
        assert found.sequences == SEQUENCES and found.y.tolist() == VALUES


def test_places(tmp_path):
    def places(X, n=3):
        return [read_records(X).place(i).replace(str(tmp_path) + os.sep, "") for i in range(n)]

    assert places(write(tmp_path / "a.txt", "\nAC\n\nGT\r\nTT")) == ["a.txt, line 2", "a.txt, line 4", "a.txt, line 5"]
    fasta = write(tmp_path / "a.fa", "\n>x first\nAC\nGT\n>\nAC\n\n>y\nA")
    assert places(fasta) == ["a.fa, record 'x' (line 2)", "a.fa, line 5", "a.fa, record 'y' (line 8)"]
    table = write(tmp_path / "a.csv", 'note,seq\n\n"two\nlines",ACGT\nb,ACGT\n\nc,ACGT\n')
    assert places(table) == ["a.csv, line 4", "a.csv, line 5", "a.csv, line 7"]
    assert places(["A", "C"], 2) == ["X[0]", "X[1]"]
    assert places(pd.Series(["A", "C"], index=[5, 6]), 2) == ["X.iloc[0]", "X.iloc[1]"]
    assert places([SeqRecord(Seq("A"), id="lac")], 1) == ["X[0] (record 'lac')"]


@pytest.mark.parametrize(
    ("header", "rows", "column"),
    [
        ("name,promoter,expr", ["yaaA,{},1.5"], 1),
        ("seq,sequence_id,sequence", ["x,1,{}"], 2),  # two names: looks decide
        ("seq,sequence", ["{},{}"], None),
        ("text,sequence", ["hello,{}"], 1),  # sequence goes before text
        ("split,label,what", ["train,ctcf,{}"], 2),
        ("a,b", ["MKVLAAGWERTY{},{}"], 1),  # nucleotides before proteins
        ("a,b", ["{},{}"], None),
        ("a,b", ["1,2"], None),
    ],
)
def test_sequence_column_is_found_or_asked_for(tmp_path, header, rows, column):
    lines = [row.replace("{}", s) for row in rows for s in SEQUENCES]
    path = write(tmp_path / "x.csv", "\n".join([header, *lines]))
    if column is None:
        listed = header.replace(",", ", ")
        with pytest.raises(ValueError, match=f"like the seq.*; pass one of {listed} as sequence_column"):
            read_records(path)
    else:
        assert read_records(path).sequences == [line.split(",")[column] for line in lines]
        frame = pd.read_csv(path)
        assert read_records(frame).sequences == read_records(path).sequences
    for j, name in enumerate(header.split(",")):
        assert read_records(path, sequence_column=name).sequences == [line.split(",")[j] for line in lines]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2", "-3"], [1, 2, -3]),
        (["1", "", "3"], [1, None, 3]),  # classes stay classes
        (["1", "2.5", "NA"], [1.0, 2.5, float("nan")]),
        (["1e-3", "2", "3"], [0.001, 2.0, 3.0]),
        (["True", "false", ""], [True, False, None]),
        (["amp", "NaN", " b "], ["amp", None, "b"]),
        (["1_000", "007", "x"], ["1_000", "007", "x"]),
        (["a", "true", "1"], ["a", "true", "1"]),
    ],
)
def test_label_columns(tmp_path, cells, expected):
    path = write(tmp_path / "x.csv", "seq,y\n" + "\n".join(f"ACGT,{c}" for c in cells))
    found = read_records(path, y="y").y.tolist()
    assert repr(found) == repr(expected)  # types too; nan == nan


def test_several_columns_keep_their_names_and_types(tmp_path):
    path = write(tmp_path / "x.csv", "seq,a,b,c\nACGT,1,2.5,x\nACGA,3,,\n")
    for X in (path, pd.read_csv(path)):
        y = read_records(X, y=["b", "c", "a"]).y
        assert y.dtype.names == ("b", "c", "a") and y.shape == (2,)
        assert repr(y["b"].tolist()) == "[2.5, nan]" and y["c"].tolist() == ["x", None] and y["a"].tolist() == [1, 3]
        assert y["a"].dtype.kind == "i"
    assert read_records(path, y=["strong", "weak"]).y.tolist() == ["strong", "weak"]  # labels, not names
    with pytest.raises(ValueError, match="names a column twice"):
        read_records(path, y=["a", "a"])
    with pytest.raises(
        ValueError, match="y: got 'd', of which .* has no column, expected one of its columns seq, a, b, c"
    ):
        read_records(path, y=["a", "d"])


BAD_FILES = {
    "empty.txt": ("", "empty.txt: got an empty file"),
    "blank.txt": ("\n \n\r\n", "got only blank lines"),
    "binary.txt": (bytes(range(256)) * 20, "got a binary file, expected text"),
    "noise.fa": (np.random.default_rng(0).integers(1, 256, 5000).astype(np.uint8).tobytes(), "got a binary file"),
    "sheet.csv": (b"PK\x03\x04rest", "Excel workbook, .*export the sheet as CSV"),
    "wide.txt": ("ACGT\n".encode("utf-16"), "UTF-16 text, expected text.*; save it as UTF-8"),
    "zstd.txt": (b"\x28\xb5\x2f\xfdxx", "compressed with zstd"),
    "reads.txt": ("@r1\nACGT\n+\nIIII\n", "FASTQ file, .*; convert it to FASTA"),
    "gene.gb": ("LOCUS       X\n", "GenBank file, .*; convert it to FASTA"),
    "nohead.fasta": ("ACGT\n>a\nACGT\n", "nohead.fasta, line 1: got 'ACGT' before the first record"),
    "nobody.fa": (">a\nACGT\n>b\n\n>c\nAC\n>d", r"record 'b' \(line 3\): got a header with no sequence .*\(2 records"),
    "last.fa": (">a\nACGT\n>b", r"record 'b' \(line 3\): got a header with no sequence below it, .*; add it or"),
    "head.csv": ("seq,expr\n", r"got a header \(seq, expr\) but no rows"),
    "quote.csv": ('a"b,"seq\nACGT,1\n', "got a header .* but no rows"),
    "ragged.csv": (
        "seq,expr\nACGT,1\nACGT\n",
        r"ragged.csv, line 3: got 1 field, expected 2, as the header has \(seq, expr\)",
    ),
    "fat.csv": ("seq,expr\nACGT,1\nACGT,1,2\n", "fat.csv, line 3: got 3 fields, expected 2, as the header has"),
    "gap.csv": ("seq,expr\nACGT,1\n,2\n ,3\n", r"gap.csv, line 3, column 'seq': got a missing sequence.*\(2 rows"),
    "bare.csv": (
        "ACGTACGTAC\nACGTACGTAG\nACGTACTTAG\n",
        "got a first line that holds 'ACGTACG.*, expected a header line",
    ),
    "bare2.csv": (
        "ACGTACGTAC,1\nACGTACGTAG,2\nACGTACTTAG,3\n",
        "got a first line that holds .*, expected a header line",
    ),
    "twice.csv": ("id,x,x\nACGT,1,2\n", "got 'x', of which .*twice.csv has more than one"),
    "broken.parquet": ("no parquet", "cannot be read as Parquet"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(tmp_path, name):
    content, message = BAD_FILES[name]
    path = write(tmp_path / name, content)
    column = {"sequence_column": "x"} if name == "twice.csv" else {}
    with pytest.raises(ValueError, match=message) as caught:
        read_records(path, **column)
    one_sentence(caught.value)
    assert name in str(caught.value)


def one_sentence(error: ValueError) -> None:
    text = str(error)
    assert type(error).__name__ in ("InputError", "AlphabetError") and "\n" not in text and not text.endswith(".")
    assert len(text) < 600


def test_bad_gzip(tmp_path):
    whole = gzip.compress((PLAIN * 50).encode())
    damaged = bytearray(whole)
    damaged[-6] ^= 255  # the check sum
    cases = {
        "cut.txt.gz": (whole[:-9], "got a truncated gzip file"),
        "cut.fa.gz": (whole[:15], "got a truncated gzip file"),
        "tail.txt.gz": (whole + b"tail", "got a damaged gzip file"),
        "sum.txt.gz": (bytes(damaged), "got a damaged gzip file"),
        "plain.txt.gz": (PLAIN.encode(), "got a file that is not gzip-compressed, expected gzip, as the ending .gz"),
        "none.txt.gz": (b"", "got an empty file"),
        "void.txt.gz": (gzip.compress(b""), "got only blank lines"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=message) as caught:
            read_records(tmp_path / name)
        one_sentence(caught.value)
        assert name in str(caught.value)
    (tmp_path / "unnamed.txt").write_bytes(gzip.compress(PLAIN.encode()))  # gzip under another name
    assert read_records(tmp_path / "unnamed.txt").sequences == SEQUENCES


def test_missing_files_and_bare_sequences(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "promoters.txt", PLAIN)
    cases = {
        "promotors.txt": "'promotors.txt': got no such file, .*; did you mean 'promoters.txt'",
        "other.fasta": "got no such file, .*; check the name",
        os.path.join("nowhere", "x"): "nor its folder",
        "ACGTACGT": r"single string 'ACGTACGT', which is no file, .*; to pass sequences give a list, such as \['ACGT",
        ">a\nACGT\n": "one string of several lines",
        "": "X: got an empty string",
        str(tmp_path): "got a folder, expected a file",
        "ACGT" * 5000: r"ACGTA\.\.\.', which is no file",
    }
    for X, message in cases.items():
        with pytest.raises(ValueError, match=message) as caught:
            read_records(X)
        one_sentence(caught.value)
    with pytest.raises(ValueError, match="got no such file"):
        read_records(Path("other.fasta"))
    with pytest.raises(ValueError, match="got a folder, expected a file"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (3, "X: got an int, expected a path"),
        (None, "X: got a NoneType"),
        ({"a": "ACGT"}, r"got a dict.*pass list\(X.values\(\)\)"),
        ({"ACGT"}, r"got a set.*pass sorted\(X\)"),
        (b"ACGT", "got a bytes.*decode it"),
        ([], "X: got nothing, expected at least one"),
        (iter([]), "X: got nothing, expected at least one"),
        (np.array([]), "X: got numbers"),
        (pd.DataFrame({"seq": []}), "no rows"),
        (np.zeros((3, 2)), r"X: got shape \(3, 2\)"),
        (np.arange(3), r"X: got numbers \(int64\)"),
        (["ACGT", None], r"X\[1\]: got a missing sequence \(None\)"),
        (["ACGT", float("nan")], r"X\[1\]: got a missing sequence \(nan\)"),
        (["ACGT", pd.NA], r"X\[1\]: got a missing sequence \(<NA>\)"),
        (["ACGT", np.zeros(3)], r"X\[1\]: got array.* \(a ndarray\), expected a string"),
        (pd.Series(["ACGT", None]), r"X.iloc\[1\]: got a missing sequence"),
        (
            pd.DataFrame({"seq": ["ACGT", None]}),
            r"row 1 of X \(counted from 0\), column 'seq': got a missing sequence",
        ),
        (["ACGT", 5], r"X\[1\]: got 5 \(an int\), expected a string"),
        (["ACGT", b"ACGT"], r"X\[1\]: got b'ACGT' \(a bytes\), expected a string"),
        ([["ACGT"]], r"X\[0\]: got \['ACGT'\] \(a list\), expected a string"),
        (Seq("ACGT"), r"X: got a single Seq, expected a list of sequences; pass \[X\]"),
        (SeqRecord(Seq("ACGT")), r"X: got a single SeqRecord"),
        ([SeqRecord(Seq(None, 10), id="lac")], r"X\[0\] \(record 'lac'\): got an undefined sequence"),
    ],
)
def test_bad_objects(X, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_records(X)
    one_sentence(caught.value)


def test_bad_columns_and_labels(tmp_path):
    table = write(tmp_path / "x.csv", TABLE)
    plain = write(tmp_path / "x.txt", PLAIN)
    cases = [
        (
            table,
            {"sequence_column": "promoter"},
            "sequence_column: got 'promoter', of which .* has no column, expected one of its columns seq, expr",
        ),
        (
            table,
            {"y": "strength"},
            r"y: got 'strength', of which .* has no column, .* columns seq, expr",
        ),
        (pd.DataFrame({"seq": SEQUENCES}), {"y": "expr"}, "y: got 'expr', of which X has no column"),
        (plain, {"y": "expr"}, "y: got 'expr', which names a column, where .*x.txt is no table"),
        (SEQUENCES, {"y": "expr"}, "y: got 'expr', which names a column, where X is no table"),
        (plain, {"y": [1, 2, 3]}, "y: got 3 rows, expected 4, one for each sequence"),
        (table, {"y": np.zeros((5, 2))}, "y: got 5 rows, expected 4, one for each sequence"),
        (SEQUENCES, {"y": 1.5}, "y: got the single entry 1.5, expected 4 labels, one for each sequence"),
        (SEQUENCES, {"y": [1, 2, 3, {}]}, "of type dict"),
    ]
    for X, options, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            read_records(X, **options)
        one_sentence(caught.value)
    assert read_records(SEQUENCES, sequence_column="seq").sequences == SEQUENCES  # no table: nothing to choose


def test_messages_stay_short(tmp_path):
    names = [f"column_with_a_rather_long_name_{i}" for i in range(500)]
    path = write(tmp_path / "x.csv", ",".join(names) + "\n" + ",".join("1" * 500) + "\n")
    with pytest.raises(ValueError, match=r"\.\.\. \(500 in all\)") as caught:
        read_records(path)
    one_sentence(caught.value)
    with pytest.raises(ValueError) as caught:
        read_records(["ACGT", list(range(10**5))])
    one_sentence(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = write(tmp_path / "x.txt", PLAIN)
    path.chmod(0)
    with pytest.raises(ValueError, match=r"cannot be read \(Permission denied\)"):
        read_records(path)
