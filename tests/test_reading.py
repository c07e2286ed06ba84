"""Reading: all forms give the same sequences and labels; invalid input is refused in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Seq import MutableSeq, Seq
from Bio.SeqRecord import SeqRecord
from small_models import sequences, tiny

from seqdiff import runtime
from seqdiff.data import Alphabet, files, prepare, read_records

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


BIOPYTHON = {
    "a.gb": "genbank", "a.gbk": "genbank", "a.txt": "genbank", "a.embl": "embl", "b.txt": "embl", "a.fastq": "fastq",
    "a.fq": "fastq", "c.txt": "fastq", "a.sto": "stockholm", "d.txt": "stockholm",
}  # fmt: skip


def as_written_by_biopython(kind: str, sequences: list[str] = SEQUENCES) -> str:
    records = [
        SeqRecord(
            Seq(s), id=f"r{i}", name=f"r{i}", annotations={"molecule_type": "DNA"},
            letter_annotations={"phred_quality": [30] * len(s)} if kind == "fastq" else None,
        )
        for i, s in enumerate(sequences)
    ]  # fmt: skip
    out = io.StringIO()
    SeqIO.write(records, out, kind)
    return out.getvalue()


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def packed(data: bytes, ending: str, name: str = "inside.txt") -> bytes:
    if ending in PACKERS:
        return PACKERS[ending](data)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("ending", ["", ".gz", ".zip"])
@pytest.mark.parametrize("name", BIOPYTHON)
def test_formats_of_biopython(tmp_path, name, ending):
    """Known by the ending or by the first line."""
    path, kind = tmp_path / (name + ending), BIOPYTHON[name]
    text = as_written_by_biopython(kind).encode()
    path.write_bytes(packed(text, ending, name) if ending else text)
    records = read_records(path, y=VALUES)
    assert [s.upper() for s in records.sequences] == SEQUENCES and records.y.tolist() == VALUES
    assert records.place(1) == f"{path}, record 'r1'"
    assert records.notes == ((f"the qualities in {path} are not used",) if kind == "fastq" else ())
    assert prepare(path).sequences == SEQUENCES


def test_records_without_letters_are_refused(tmp_path):
    record = SeqRecord(Seq(None, 10), id="r0", name="r0", annotations={"molecule_type": "DNA"})
    path = tmp_path / "a.gb"
    SeqIO.write([record], path, "genbank")
    with pytest.raises(ValueError, match="record 'r0': got an undefined sequence"):
        read_records(path)


@pytest.mark.parametrize("ending", [".bz2", ".xz", ".zip"])
def test_compressed_files(tmp_path, ending):
    """Named so or not; a table in them is one; damaged, cut and empty ones are refused."""
    for name, content in {"a.txt": PLAIN, "a.fa": FASTA, "a.csv": TABLE}.items():
        data = packed(content.encode(), ending, name)
        for path in (tmp_path / f"{name}{ending}", tmp_path / name):
            path.write_bytes(data)
            assert read_records(path).sequences == SEQUENCES
    assert read_records(tmp_path / f"a.csv{ending}", y="expr").y.tolist() == VALUES
    whole = packed((PLAIN * 500).encode(), ending)
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 255
    kind = {".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}[ending]
    cases = {
        whole[: len(whole) // 2]: f"got a (truncated|damaged) {kind} file",
        bytes(broken): f"got a damaged {kind} file",
        PLAIN.encode(): f"got a file that is not {kind}-compressed, expected {kind}, as the ending {ending} says",
        packed(b"", ending): "got only blank lines",
    }
    for data, message in cases.items():
        path = tmp_path / f"bad.txt{ending}"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message) as caught:
            read_records(path)
        one_sentence(caught.value)


def test_zip_archives_have_one_file(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/x.csv", TABLE)
        archive.writestr("__MACOSX/x.csv", b"\0\1")
    assert read_records(path, y="expr").y.tolist() == VALUES
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("y.txt", PLAIN)
    with pytest.raises(ValueError, match=r"got a zip archive with 2 files \(folder/x.csv, y.txt\), expected one with"):
        read_records(path)
    with zipfile.ZipFile(path, "w") as archive:
        pass
    with pytest.raises(ValueError, match="got a zip archive with 0 files, expected one with a single file"):
        read_records(path)


def test_excel_workbooks(tmp_path):
    frame = pd.DataFrame({"name": ["a", "b", "c", "d"], "seq": SEQUENCES, "expr": VALUES})
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"x": []}).to_excel(book, sheet_name="empty", index=False)
        frame.to_excel(book, sheet_name="data", index=False)
    records = read_records(path, y="expr")
    assert records.sequences == SEQUENCES and records.y.tolist() == VALUES and not records.notes
    assert records.place(2) == f"{path}, row 4"
    with pd.ExcelWriter(path) as book:
        frame.to_excel(book, sheet_name="data", index=False)
        frame.to_excel(book, sheet_name="more", index=False)
    assert read_records(path).notes == (f"of {path} the sheet 'data' is read, not more",)
    pd.DataFrame({"seq": ["NA", None, "NANA"], "x": [1, 2, 3]}).to_excel(path, index=False)
    with pytest.raises(ValueError, match="row 3, column 'seq': got a missing sequence"):
        read_records(path)
    pd.DataFrame({"seq": []}).to_excel(path, index=False)
    with pytest.raises(ValueError, match="got a workbook without rows below a header"):
        read_records(path)
    os.rename(path, tmp_path / "a.csv")
    with pytest.raises(ValueError, match="got an Excel workbook, .*; name it .xlsx"):
        read_records(tmp_path / "a.csv")


class PolarsFrame:
    """What is used of a frame of polars, which has no `iloc`."""

    def __init__(self, columns: dict[str, list]) -> None:
        self._columns, self.columns = columns, list(columns)

    def __getitem__(self, name: str):
        return type("Series", (list,), {"to_list": lambda s: [*s], "to_numpy": None, "dtype": "Float64"})(
            self._columns[name]
        )

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        return np.array([*map(tuple, zip(*self._columns.values(), strict=True))], dtype=object)

    def to_dicts(self) -> list[dict]:
        return [dict(zip(self._columns, row, strict=True)) for row in zip(*self._columns.values(), strict=True)]


def test_frames_of_polars():
    frame = PolarsFrame({"seq": SEQUENCES, "expr": VALUES})
    assert read_records(frame, y="expr").sequences == SEQUENCES
    assert read_records(frame, y="expr").y.tolist() == read_records(SEQUENCES, y=frame["expr"]).y.tolist() == VALUES
    both = read_records(SEQUENCES, y=PolarsFrame({"a": VALUES, "b": ["x", "y", None, "x"]})).y
    assert both.dtype.names == ("a", "b") and both["b"].tolist() == ["x", "y", None, "x"]
    whole = read_records(PolarsFrame({"seq": SEQUENCES, "class": [1, None, 2, 2]}), y="class").y
    assert whole.tolist() == read_records(SEQUENCES, y=[1, None, 2, 2]).y.tolist() == [1, None, 2, 2]
    lazy = type("LazyFrame", (), {"collect_schema": lambda self: None, "collect": lambda self: frame})()
    with pytest.raises(ValueError, match="a LazyFrame.*; pass what its collect"):
        read_records(lazy)


ALIGNED = ">a\nAC-GT\n>b\n..ACGT\n>c\nACGT--\n"


@pytest.mark.parametrize("name", ["a.fasta", "a.a3m", "a.sto"])
def test_gaps_are_refused_or_taken_out(tmp_path, name):
    text = ALIGNED if name != "a.sto" else "# STOCKHOLM 1.0\na AC-GT\nb .ACGT\nc ACGT-\n//\n"
    path = write(tmp_path / name, text)
    with pytest.raises(
        ValueError, match="record 'a'.*: got '-' at position 3.*; gaps are no letters: pass gaps='drop'"
    ):
        prepare(path)
    data = prepare(path, gaps="drop")
    assert data.sequences == ["ACGT"] * 3
    assert any("gaps were taken out of 3 of 3 sequences" in note for note in data.notes)
    assert tiny(gaps="drop").fit(path).score_samples(["A-CGT", "ACGT"]).tolist()[0] < 0


def test_gaps_that_may_be_letters_stay():
    for alphabet in ("smiles", "words", Alphabet("ACGT-")):
        with pytest.raises(ValueError, match="gaps='drop': got an alphabet in which '-' or '.' may be a letter"):
            prepare(["AC-GT"], alphabet=alphabet, gaps="drop")
    assert prepare(["AC-GT"], alphabet=Alphabet("ACGT-")).sequences == ["AC-GT"]
    with pytest.raises(ValueError, match="y: got a signal over the columns of an alignment, for X"):
        prepare(["AC-GT", "ACGT"], np.zeros((2, 5, 1)), gaps="drop")
    with pytest.raises(ValueError, match="X.1.: got an empty sequence"):
        prepare(["AC-GT", "--"], gaps="drop")


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


def test_places_name_file_line_and_record(tmp_path):
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


def test_label_columns_keep_names_and_types(tmp_path):
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
    "sheet.csv": (b"PK\x03\x04rest", "got a damaged zip file"),
    "book.xlsx": (b"PK\x03\x04rest", "cannot be read as an Excel workbook .*; save it again as .xlsx"),
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1", "got an old Excel workbook, .*; save it as .xlsx"),
    "wide.txt": ("ACGT\n".encode("utf-16"), "UTF-16 text, expected text.*; save it as UTF-8"),
    "zstd.txt": (b"\x28\xb5\x2f\xfdxx", "compressed with zstd"),
    "reads.txt": ("@r1\nACGT\n+\nIII\n", "cannot be read as FASTQ .*; mend it, or convert it to FASTA"),
    "gene.gb": ("LOCUS       X\n", "cannot be read as GenBank .*; mend it, or convert it to FASTA"),
    "gene.embl": ("ACGT\n", "got a file in EMBL without records"),
    "family.sto": ("ACGT\n", "cannot be read as Stockholm"),
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


# -- pipes, compression, headers --------------------------------------------------------------------------------------


PROTEINS = ["MKVLAAGPE", "MKILPPGAAC", "MKILPPGLLC"]


def refused(*arguments, match, **options):
    with pytest.raises(ValueError, match=match) as caught:
        prepare(*arguments, **options)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 500
    return text


# -- pipes, devices, bombs --------------------------------------------------------------------------------------------


class Pipe:
    """A named pipe that a thread writes to: some pieces, or one again and again for ever."""

    def __init__(self, path, pieces=(), forever=b""):
        os.mkfifo(path)
        self.path, self.pieces, self.forever, self.written = path, pieces, forever, 0
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        try:
            with open(self.path, "wb", buffering=0) as pipe:
                for piece in self.pieces:
                    pipe.write(piece)
                while self.forever:
                    self.written += pipe.write(self.forever)
        except BrokenPipeError:
            pass


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@needs_pipes
def test_pipes_are_read_to_their_end(tmp_path):
    X = sequences(50, 12)
    text = "\n".join(X).encode()
    Pipe(tmp_path / "plain", [text[:7], text[7:100], text[100:]])
    assert prepare(tmp_path / "plain").sequences == X
    zipped = gzip.compress(text)
    Pipe(tmp_path / "zipped.txt.gz", [zipped[:1], zipped[1:30], zipped[30:]])
    assert prepare(tmp_path / "zipped.txt.gz").sequences == X
    Pipe(tmp_path / "t.csv", [b"sequence,y\n", *(f"{s},{i / 3:.2f}\n".encode() for i, s in enumerate(X))])
    assert tiny().fit(tmp_path / "t.csv", "y").target_.kind == "value"
    Pipe(tmp_path / "empty")
    refused(tmp_path / "empty", match="got an empty file")


@needs_pipes
def test_pipes_are_read_once(tmp_path):
    from click.testing import CliRunner

    from seqdiff.cli import main

    rows = [f"{s},{i / 3:.2f}\n".encode() for i, s in enumerate(sequences(20, 12))]
    Pipe(tmp_path / "t.csv", [b"sequence,y\n", *rows])
    out = str(tmp_path / "m.safetensors")
    ran = CliRunner().invoke(main, ["classify", str(tmp_path / "t.csv"), "--y", "y", "--out", out, "--epochs", "1"])
    assert ran.exit_code == 0 and "values: mean" in ran.output, ran.output


@needs_pipes
def test_endless_input_is_refused_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 3_000_000)
    pipe = Pipe(tmp_path / "endless", forever=b"ACGT\n" * 1000)
    refused(tmp_path / "endless", match="endless: got more than 3 MB, expected less, as .* held in memory")
    pipe.thread.join(10)
    assert not pipe.thread.is_alive() and pipe.written < 3_000_000 + 4 * files.PIECE
    empty = gzip.compress(b"")  # a member without a letter, again and again
    Pipe(tmp_path / "members.txt.gz", forever=empty * 1000)
    refused(tmp_path / "members.txt.gz", match="more than 3 MB, expected less")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs devices")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_device_files_are_refused(device):
    refused(device, match="got an empty file|got a binary file")


def bomb(letters: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(letters) for _ in range(times)), packer.flush()])


def test_gzip_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 20_000_000)
    (tmp_path / "a.fasta.gz").write_bytes(b"".join([bomb(b">x\n" + b"A" * 1_000_000, 1), bomb(b"A" * 1_000_000, 60)]))
    unpacked = []
    monkeypatch.setattr(files, "check_size", lambda size, *rest: unpacked.append(size) or check(size, *rest))
    refused(tmp_path / "a.fasta.gz", match="got more than 20 MB when it is unpacked, expected less")
    assert max(unpacked) <= 20_000_000 + files.PIECE  # and not 61 MB
    (tmp_path / "zeros.txt.gz").write_bytes(bomb(b"\0" * 1_000_000, 60))
    unpacked.clear()
    refused(tmp_path / "zeros.txt.gz", match="got a binary file")
    assert max(unpacked) <= 2 * files.PIECE
    (tmp_path / "large.txt").write_bytes(b"ACGT\n" * 5_000_000)
    refused(tmp_path / "large.txt", match="large.txt: got more than 20 MB, expected less")


check = files.check_size


def test_large_files_show_progress(tmp_path, monkeypatch):
    bars = []

    class Bar(runtime.tqdm):
        def __init__(self, *arguments, **options):
            if options["unit"] == "B":
                bars.append((options["total"], options["disable"]))
            super().__init__(*arguments, **options)

    monkeypatch.setattr(runtime, "tqdm", Bar)
    path = tmp_path / "x.txt"
    path.write_text("\n".join(sequences(100, 12)))
    size = path.stat().st_size
    tiny(verbose=1).fit(path)
    monkeypatch.setattr(files, "BIG", 1000)
    tiny(verbose=1).fit(path)
    tiny(verbose=0).fit(path)
    read_records(path)
    assert bars == [(size, True), (size, False), (size, True), (size, True)]


def test_members_of_gzip_are_read_one_after_the_other(tmp_path):
    X = [s * 50 for s in sequences(3000, 14)]
    half = "\n".join(X[:1500]) + "\n", "\n".join(X[1500:])
    (tmp_path / "x.gz").write_bytes(b"".join(gzip.compress(part.encode()) for part in half))
    assert read_records(tmp_path / "x.gz").sequences == X


# -- names of the sequences are no sequences --------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["seq", "sequence", "Sequence", "peptide", "SEQUENCE", "Seq", "protein", "smiles"])
def test_headers_of_text_files_are_skipped_with_a_note(tmp_path, header):
    path = tmp_path / "n.txt"
    path.write_text("\n" + "\n".join([header, *PROTEINS]))
    data = prepare(path)
    assert data.sequences == PROTEINS and data.n_read == 3
    assert any(f"line 2: {header!r} was taken for a header" in note for note in data.notes)
    assert read_records(path).place(0).endswith("n.txt, line 3")
    assert prepare(path, [1, 2, 3]).y.tolist() == [1, 2, 3]
    path.write_text("\n".join([PROTEINS[0], header.upper() if header.lower() == "peptide" else PROTEINS[1]]))
    assert len(prepare(path, alphabet="protein")) == 2  # elsewhere it is what it is


@pytest.mark.parametrize(
    ("header", "rest"), [("SEQ", "MKSEQ\nAAC"), ("peptide", "mktidep\naac"), ("DNA", "MDNAK\nAAC")]
)
def test_ambiguous_headers_are_refused(tmp_path, header, rest):
    path = tmp_path / "n.txt"
    path.write_text(f"{header}\n{rest}\n")
    refused(path, alphabet="protein", match=f"n.txt, line 1: got '{header}', expected a sequence; if this is a header")
    path.write_text(f"{rest}\n{header}\n")
    assert prepare(path, alphabet="protein").sequences[-1] == header.upper()


BARE = [
    "1,MKVLAAGPE\n0,MKILPPGAAC\n1,MKILPPGLLC\n",
    "MKVLAAGPE,0.5\nMKILPPGAAC,1.5\nMKILPPGLLC,2.5\n",
    "strong,ACGTTTGACA\nweak,ACGAAAGACA\nweak,CCGTTTGACA\n",
    "ACGTNTGACA\nACGAAAGACA\nCCGTTTGACA\n",
    "MKVL,1\nMKILP,2\nMKILPPGLLC,3\n",
    "mkvlaagpe,0.5\nmkilppgaac,1.5\nmkilppgllc,2.5\n",
]


@pytest.mark.parametrize("content", BARE)
def test_a_table_without_a_header_loses_no_row(tmp_path, content):
    path = tmp_path / "o.csv"
    path.write_text(content)
    refused(path, match="got a first line that holds '[A-Za-z]*', expected a header line; add one")
    refused(pd.read_csv(path), match="got a first line that holds .*, expected a header line")


@pytest.mark.parametrize("names", ["variant,y", "target,y", "my_seq,y", "Insert,y", "prot,1", "READ,y"])
def test_column_names_are_not_sequences(tmp_path, names):
    path = tmp_path / "o.csv"
    path.write_text(names + "\n" + "".join(f"{s},{i}\n" for i, s in enumerate(PROTEINS)))
    if names != "READ,y":
        assert prepare(path).sequences == PROTEINS
    path.write_text(names.upper() + "\n" + "".join(f"{s},{i}\n" for i, s in enumerate(PROTEINS)))
    assert prepare(path, sequence_column=names.upper().split(",")[0]).sequences == PROTEINS


# -- what proteins are written with -----------------------------------------------------------------------------------


def test_trailing_stop_codons_are_dropped_with_a_note(tmp_path):
    data = prepare([PROTEINS[0] + "*", PROTEINS[1], PROTEINS[2] + "*"])
    assert data.sequences == PROTEINS
    assert any("2 of 3 proteins end in a stop sign (X[0]), which is left out" in note for note in data.notes)
    refused(["MK*V", "MKV*"], alphabet="protein", match=r"X\[0\]: got '\*' at position 3")
    refused(["MKV**"], alphabet="protein", match=r"X\[0\]: got '\*' at position 4")
    refused(["MKV", "*"], alphabet="protein", match=r"X\[1\]: got an empty sequence")
    refused(["ACGT*"], alphabet="dna", match=r"got '\*' at position 5")
    assert prepare(["ab*"], alphabet="ab*").sequences == ["ab*"]


def test_mixed_case_proteins_are_noted():
    data = prepare(["MKvlAAGPE", "MKILPPGAAC", "mkilppgllc"], alphabet="protein")
    assert data.sequences == ["MKVLAAGPE", "MKILPPGAAC", "MKILPPGLLC"]
    assert any(r"1 of 3 proteins mix capitals and lower case (X[0])" in n and "a3m" in n for n in data.notes)
    assert not prepare(["mkvl", "MKIL"], alphabet="protein").notes
    assert not prepare(["ACgt", "ACGA"], alphabet="dna").notes  # masked repeats are as good as others


# -- messages ---------------------------------------------------------------------------------------------------------


def test_unprintable_file_names_are_escaped(tmp_path):
    odd = tmp_path / "a\nb\x1b[31m.csv"
    try:
        odd.write_text("sequence,y\nACGT,1\nACNT,2\n")
    except OSError:
        pytest.skip("no such names here")
    refused(odd, match=r"a\\nb\\x1b\[31m.csv, line 3, |a\\nb\\x1b\[31m.csv, line 3: got 'N'", alphabet="dna")
    refused(odd, "z\n\x07", match=r"y: got 'z\\n\\x07', of which .* has no column")
    odd.write_text('sequence,"y\n\u202e"\nACGT,1\nACGA\n')
    refused(odd, match="got 1 field, expected 2, as the header has")
    (tmp_path / "t.tsv").write_text(";")
    refused(tmp_path / "t.tsv", "", sequence_column="sequence", match="t.tsv: got separators .* with nothing between")
    (tmp_path / "x.fa").write_text(">\x1b[2J\nACNT\n")
    refused(tmp_path / "x.fa", alphabet="dna", match=r"record '\\x1b\[2J' \(line 1\): got 'N'")
