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
        with pytest.raises(ValueError, match="pass sequence_column= one of " + header.replace(",", ", ")):
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
    with pytest.raises(ValueError, match="no column 'd' .*columns are seq, a, b, c"):
        read_records(path, y=["a", "d"])


BAD_FILES = {
    "empty.txt": ("", "empty.txt is empty"),
    "blank.txt": ("\n \n\r\n", "holds only blank lines"),
    "binary.txt": (bytes(range(256)) * 20, "is a binary file; wanted is text"),
    "noise.fa": (np.random.default_rng(0).integers(1, 256, 5000).astype(np.uint8).tobytes(), "is a binary file"),
    "sheet.csv": (b"PK\x03\x04rest", "Excel workbook; .*export the sheet as CSV"),
    "wide.txt": ("ACGT\n".encode("utf-16"), "UTF-16 text; save it as UTF-8"),
    "zstd.txt": (b"\x28\xb5\x2f\xfdxx", "compressed with zstd"),
    "reads.txt": ("@r1\nACGT\n+\nIIII\n", "FASTQ file; convert it to FASTA"),
    "gene.gb": ("LOCUS       X\n", "GenBank file; convert it to FASTA"),
    "nohead.fasta": ("ACGT\n>a\nACGT\n", "nohead.fasta, line 1: found 'ACGT' before the first record"),
    "nobody.fa": (">a\nACGT\n>b\n\n>c\nAC\n>d", r"record 'b' \(line 3\): the header has no sequence .*\(2 records"),
    "last.fa": (">a\nACGT\n>b", r"record 'b' \(line 3\): the header has no sequence below it; add the sequence or"),
    "head.csv": ("seq,expr\n", r"has a header \(seq, expr\) but no rows"),
    "quote.csv": ('a"b,"seq\nACGT,1\n', "has a header .* but no rows"),
    "ragged.csv": ("seq,expr\nACGT,1\nACGT\n", r"ragged.csv, line 3: 1 field, but the header has 2 \(seq, expr\)"),
    "fat.csv": ("seq,expr\nACGT,1\nACGT,1,2\n", "fat.csv, line 3: 3 fields, but the header has 2"),
    "gap.csv": ("seq,expr\nACGT,1\n,2\n ,3\n", r"gap.csv, line 3, column 'seq': the sequence is missing.*\(2 rows"),
    "bare.csv": ("ACGTACGTAC\nACGTACGTAG\nACGTACTTAG\n", "seems to have no header line, its first line holds 'ACGTACG"),
    "bare2.csv": ("ACGTACGTAC,1\nACGTACGTAG,2\nACGTACTTAG,3\n", "seems to have no header line"),
    "twice.csv": ("id,x,x\nACGT,1,2\n", "twice.csv has more than one column 'x'"),
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
    assert type(error).__name__ in ("ValueError", "AlphabetError") and "\n" not in text and not text.endswith(".")
    assert len(text) < 600


def test_bad_gzip(tmp_path):
    whole = gzip.compress((PLAIN * 50).encode())
    damaged = bytearray(whole)
    damaged[-6] ^= 255  # the check sum
    cases = {
        "cut.txt.gz": (whole[:-9], "it is truncated"),
        "cut.fa.gz": (whole[:15], "it is truncated"),
        "tail.txt.gz": (whole + b"tail", "is damaged"),
        "sum.txt.gz": (bytes(damaged), "is damaged"),
        "plain.txt.gz": (PLAIN.encode(), "named .gz but is not gzip-compressed"),
        "none.txt.gz": (b"", "is empty"),
        "void.txt.gz": (gzip.compress(b""), "holds only blank lines"),
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
        "promotors.txt": "there is no such file; did you mean 'promoters.txt'",
        "other.fasta": "there is no such file; check the name",
        os.path.join("nowhere", "x"): "nor its folder",
        "ACGTACGT": r"single string 'ACGTACGT', which is no file; to pass sequences give a list, such as \['ACGT",
        ">a\nACGT\n": "one string of several lines",
        "": "X is an empty string",
        str(tmp_path): "is a folder",
        "ACGT" * 5000: r"ACGTA\.\.\.', which is no file",
    }
    for X, message in cases.items():
        with pytest.raises(ValueError, match=message) as caught:
            read_records(X)
        one_sentence(caught.value)
    with pytest.raises(ValueError, match="there is no such file"):
        read_records(Path("other.fasta"))
    with pytest.raises(ValueError, match="is a folder"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (3, "X is of type int, but a path"),
        (None, "X is of type NoneType"),
        ({"a": "ACGT"}, r"of type dict.*pass list\(X.values\(\)\)"),
        ({"ACGT"}, r"of type set.*pass sorted\(X\)"),
        (b"ACGT", "of type bytes.*decode it"),
        ([], "X is empty"),
        (iter([]), "X is empty"),
        (np.array([]), "X holds numbers"),
        (pd.DataFrame({"seq": []}), "no rows"),
        (np.zeros((3, 2)), r"X has shape \(3, 2\)"),
        (np.arange(3), r"X holds numbers \(int64\)"),
        (["ACGT", None], r"X\[1\]: the sequence is missing \(None\)"),
        (["ACGT", float("nan")], r"X\[1\]: the sequence is missing \(nan\)"),
        (["ACGT", pd.NA], r"X\[1\]: the sequence is missing \(<NA>\)"),
        (["ACGT", np.zeros(3)], r"X\[1\]: a string is wanted, but array.* is of type ndarray"),
        (pd.Series(["ACGT", None]), r"X.iloc\[1\]: the sequence is missing"),
        (
            pd.DataFrame({"seq": ["ACGT", None]}),
            r"row 1 of X \(counted from 0\), column 'seq': the sequence is missing",
        ),
        (["ACGT", 5], r"X\[1\]: a string is wanted, but 5 is of type int"),
        (["ACGT", b"ACGT"], r"X\[1\]: a string is wanted, but b'ACGT' is of type bytes"),
        ([["ACGT"]], r"X\[0\]: a string is wanted, but \['ACGT'\] is of type list"),
        (Seq("ACGT"), r"X is a single Seq, but a list of sequences is wanted; pass \[X\]"),
        (SeqRecord(Seq("ACGT")), r"X is a single SeqRecord"),
        ([SeqRecord(Seq(None, 10), id="lac")], r"X\[0\] \(record 'lac'\): the record's sequence is undefined"),
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
            "no column 'promoter' .given as sequence_column.*columns are seq, expr",
        ),
        (table, {"y": "strength"}, r"no column 'strength' \(given as y\); its columns are seq, expr"),
        (pd.DataFrame({"seq": SEQUENCES}), {"y": "expr"}, "X has no column 'expr'"),
        (plain, {"y": "expr"}, "y='expr' names a column, but .*x.txt is no table"),
        (SEQUENCES, {"y": "expr"}, "y='expr' names a column, but X is no table"),
        (plain, {"y": [1, 2, 3]}, "y has 3 rows, but there are 4 sequences"),
        (table, {"y": np.zeros((5, 2))}, "y has 5 rows, but there are 4 sequences"),
        (SEQUENCES, {"y": 1.5}, "y is the single entry 1.5, but there are 4 sequences"),
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
    with pytest.raises(ValueError, match="cannot be read: Permission denied"):
        read_records(path)
