"""Files that have no end, no header, or more in them than sequences: read, told, or refused in one sentence."""

from __future__ import annotations

import gzip
import os
import threading
import zlib

import pandas as pd
import pytest
from small_models import sequences, tiny

from seqdiff.data import files, prepare, read_records

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
def test_a_pipe_that_ends_is_read(tmp_path):
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
def test_a_pipe_is_read_once(tmp_path):
    from click.testing import CliRunner

    from seqdiff.cli import main

    rows = [f"{s},{i / 3:.2f}\n".encode() for i, s in enumerate(sequences(20, 12))]
    Pipe(tmp_path / "t.csv", [b"sequence,y\n", *rows])
    out = str(tmp_path / "m.safetensors")
    ran = CliRunner().invoke(main, ["classify", str(tmp_path / "t.csv"), "--y", "y", "--out", out, "--epochs", "1"])
    assert ran.exit_code == 0 and "values: mean" in ran.output, ran.output


@needs_pipes
def test_what_has_no_end_stops_at_the_limit(tmp_path, monkeypatch):
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
def test_devices(device):
    refused(device, match="got an empty file|got a binary file")


def bomb(letters: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(letters) for _ in range(times)), packer.flush()])


def test_gzip_bombs_are_not_unpacked(tmp_path, monkeypatch):
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


def test_large_files_show_how_far_they_are(tmp_path, monkeypatch):
    bars = []

    class Bar(files.tqdm):
        def __init__(self, *arguments, **options):
            bars.append((options["total"], options["disable"]))
            super().__init__(*arguments, **options)

    monkeypatch.setattr(files, "tqdm", Bar)
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
def test_a_header_of_a_text_file_is_left_out_and_told(tmp_path, header):
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
def test_a_header_that_may_be_a_sequence_is_refused(tmp_path, header, rest):
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
def test_names_of_columns_are_no_rows(tmp_path, names):
    path = tmp_path / "o.csv"
    path.write_text(names + "\n" + "".join(f"{s},{i}\n" for i, s in enumerate(PROTEINS)))
    if names != "READ,y":
        assert prepare(path).sequences == PROTEINS
    path.write_text(names.upper() + "\n" + "".join(f"{s},{i}\n" for i, s in enumerate(PROTEINS)))
    assert prepare(path, sequence_column=names.upper().split(",")[0]).sequences == PROTEINS


# -- what proteins are written with -----------------------------------------------------------------------------------


def test_a_stop_sign_at_the_end_is_left_out_and_told(tmp_path):
    data = prepare([PROTEINS[0] + "*", PROTEINS[1], PROTEINS[2] + "*"])
    assert data.sequences == PROTEINS
    assert any("2 of 3 proteins end in a stop sign (X[0]), which is left out" in note for note in data.notes)
    refused(["MK*V", "MKV*"], alphabet="protein", match=r"X\[0\]: got '\*' at position 3")
    refused(["MKV**"], alphabet="protein", match=r"X\[0\]: got '\*' at position 4")
    refused(["MKV", "*"], alphabet="protein", match=r"X\[1\]: got an empty sequence")
    refused(["ACGT*"], alphabet="dna", match=r"got '\*' at position 5")
    assert prepare(["ab*"], alphabet="ab*").sequences == ["ab*"]


def test_lower_case_among_capitals_of_proteins_is_told():
    data = prepare(["MKvlAAGPE", "MKILPPGAAC", "mkilppgllc"], alphabet="protein")
    assert data.sequences == ["MKVLAAGPE", "MKILPPGAAC", "MKILPPGLLC"]
    assert any(r"1 of 3 proteins mix capitals and lower case (X[0])" in n and "a3m" in n for n in data.notes)
    assert not prepare(["mkvl", "MKIL"], alphabet="protein").notes
    assert not prepare(["ACgt", "ACGA"], alphabet="dna").notes  # masked repeats are as good as others


# -- messages ---------------------------------------------------------------------------------------------------------


def test_names_that_a_terminal_cannot_print(tmp_path):
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
