"""Orders: what is written reads back, wells and names are right, text is never a formula, a failure changes nothing."""

import csv
import io
import math
import re
import shutil
import subprocess
import sys
import warnings

import numpy as np
import openpyxl
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.SeqUtils import MeltingTemp

from seqdiff.alphabets import DNA, RNA
from seqdiff.data import prepare, read_records
from seqdiff.design import degenerate_library, order, write_order
from seqdiff.design.order import clean_names, melting_temperature, well_names
from seqdiff.errors import InputError

ENDINGS = [".xlsx", ".csv", ".fasta", ".gb"]
FORMULAS = ["=1+1", "+A1", "-x", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x")', "#N/A", "'=1", "a\nb", "μ, ok"]


def random_designs(n: int, length: int = 40, seed: int = 0, letters: str = "ACGT") -> list[str]:
    return ["".join(row) for row in np.random.default_rng(seed).choice(list(letters), (n, length))]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_order_of_96_reads_back(ending, tmp_path):
    designs, shuffled = random_designs(90), random_designs(6, seed=1)
    file = tmp_path / f"order{ending}"
    table = write_order(
        file, designs, left_flank="ggtctcA", right_flank="TGAGACC", controls={"shuffled": shuffled}, plate=96,
        columns={"bits_per_letter": np.linspace(1, 2, 90), "note": (FORMULAS * 9)[:90]}, provenance={"seed": 7},
    )  # fmt: skip
    wanted = ["GGTCTCA" + design + "TGAGACC" for design in designs + shuffled]
    assert table["sequence"].tolist() == wanted
    assert prepare(str(file)).sequences == wanted
    if ending == ".gb":
        assert [str(record.seq) for record in SeqIO.parse(file, "genbank")] == wanted
    elif ending == ".fasta":
        assert [(r.id, str(r.seq)) for r in SeqIO.parse(file, "fasta")] == [*zip(table["name"], wanted, strict=True)]
    else:
        read = pd.read_excel(file) if ending == ".xlsx" else pd.read_csv(file)
        for column in ("name", "well", "sequence", "length", "gc", "tm", "bits_per_letter"):
            assert read[column].tolist() == pytest.approx(table[column].tolist(), nan_ok=True), column
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_wells_follow_rows_or_columns():
    for plate, rows, columns in ((96, 8, 12), (384, 16, 24)):
        by_row, by_column = well_names(plate), well_names(plate, "column")
        assert sorted(by_row) == sorted(by_column) and len(set(by_row)) == plate
        for row in range(rows):
            for column in range(columns):
                well = f"{'ABCDEFGHIJKLMNOP'[row]}{column + 1}"
                assert by_row[row * columns + column] == well == by_column[column * rows + row]


def test_plates_are_full_unless_asked_for(tmp_path):
    designs, controls = random_designs(100, 12), {"wild type": random_designs(2, 12, seed=1)}
    with pytest.raises(InputError, match=r"plate=96: got 102 sequences \(100 designs and 2 controls\).* give 90 more"):
        write_order(tmp_path / "order.csv", designs, controls=controls, plate=96)
    assert not list(tmp_path.iterdir())
    table = write_order(tmp_path / "order.csv", designs, controls=controls, plate=96, by="column", partial=True)
    assert table["plate"].tolist() == [1] * 96 + [2] * 6
    assert table["well"].tolist() == well_names(96, "column") + ["A1", "B1", "C1", "D1", "E1", "F1"]
    full = write_order(tmp_path / "full.csv", random_designs(382, 12), controls=controls, plate=384)
    assert full["well"].tolist() == well_names(384)


def test_names_are_accepted_by_every_vendor():
    rng = np.random.default_rng(0)
    given = ["".join(rng.choice(list("aA1-_ .#é\t="), rng.integers(1, 50))) for _ in range(500)]
    cleaned = clean_names(given)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,31}", name) for name in cleaned)
    assert len({name.lower() for name in cleaned}) == 500
    assert clean_names(cleaned) == cleaned
    assert clean_names(["x" * 40, "x" * 50, "x" * 32]) == ["x" * 32, "x" * 30 + "_2", "x" * 30 + "_3"]


def test_changed_names_are_said_and_kept(tmp_path):
    with pytest.warns(UserWarning, match=r"2 names were changed .*\('my promoter' to 'my_promoter'\)"):
        table = write_order(
            tmp_path / "order.csv", ["ACGT"] * 3, names=["my promoter", "good", "GOOD"], controls={"wild type": ["AC"]}
        )
    assert table["name"].tolist() == ["my_promoter", "good", "GOOD_2", "wild_type_1"]
    assert table["original_name"].tolist()[:3] == ["my promoter", "good", "GOOD"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "original_name" not in write_order(tmp_path / "order.csv", ["ACGT"], names=["good"])


def test_text_is_never_a_formula(tmp_path):
    n = len(FORMULAS)
    options = {"columns": {"=note": FORMULAS, "value": [-1.5, *range(n - 1)]}, "provenance": {"@key": "=1+1"}}
    write_order(tmp_path / "order.xlsx", ["ACGT"] * n, **options)
    book = openpyxl.load_workbook(tmp_path / "order.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} == {"s", "n"}
    assert {cell.value for cell in cells} >= {"=note", "=1+1", "@SUM(A1)", "#N/A", "@key", "'=1", r"\t=1", -1.5}
    assert all(cell.quotePrefix for cell in cells if str(cell.value)[0] in "=+@")
    write_order(tmp_path / "order.csv", ["ACGT"] * n, **options)
    text = (tmp_path / "order.csv").read_text("utf-8")
    assert "\r" not in text and "\t" not in text
    fields = [field for row in csv.reader(text.splitlines()) for field in row]
    assert [field for field in fields if field.startswith(("=", "+", "-", "@"))] == ["-1.5"]  # a number
    read = read_records(str(tmp_path / "order.csv"), y="value")
    assert read.y.tolist() == [-1.5, *range(n - 1)]


def nearest_neighbour_tm(sequence: str, salt: float = 0.05, strands: float = 25e-9) -> float:
    """Return the melting temperature from the published enthalpies and entropies of stacked pairs, step by step."""
    table, other = MeltingTemp.DNA_NN3, str.maketrans("ACGT", "TGCA")
    h, s = table["init"]
    for end in (sequence[0], sequence[-1]):
        extra = table["init_A/T" if end in "AT" else "init_G/C"]
        h, s = h + extra[0], s + extra[1]
    for i in range(len(sequence) - 1):
        pair = sequence[i : i + 2]
        key = f"{pair}/{pair.translate(other)}"
        key = key if key in table else key[::-1]
        h, s = h + table[key][0], s + table[key][1]
    s += 0.368 * (len(sequence) - 1) * math.log(salt)
    return 1000 * h / (s + 1.987 * math.log(strands - strands / 2)) - 273.15


def test_gc_and_melting_temperature_match_slow_versions(tmp_path):
    designs = random_designs(20, 25)
    table = write_order(tmp_path / "order.csv", designs)
    for design, row in zip(designs, table.itertuples(), strict=True):
        assert row.gc == round(sum(base in "GC" for base in design) / 25, 4) and row.length == 25
        assert row.tm == pytest.approx(nearest_neighbour_tm(design), abs=0.06)
    rna = "GGAUCUUCGGAUCUAGC"
    assert melting_temperature(rna, RNA) > melting_temperature(rna.replace("U", "T"), DNA)  # A-form is more stable
    assert math.isnan(melting_temperature("ACNNGTACGTAC", DNA)) and math.isnan(melting_temperature("ACGTACG", DNA))


def test_degenerate_oligos_can_be_ordered(tmp_path):
    library = degenerate_library(["ACGTACGTA", "ACGTTCGTA", "ACGTGCGTC"], size=1)
    table = write_order(tmp_path / "order.gb", library.oligos, alphabet="dna")
    assert table["sequence"].tolist() == ["ACGTDCGTM"] and math.isnan(table["tm"][0])
    assert table["gc"][0] == round((4 + 1 / 3 + 1 / 2) / 9, 4)  # D is G in one of three, M is C in one of two
    assert str(SeqIO.read(tmp_path / "order.gb", "genbank").seq) == "ACGTDCGTM"


@pytest.mark.parametrize(("letters", "alphabet", "kind"), [("ACGT", "dna", "DNA"), ("ACGU", "rna", "RNA")])
def test_genbank_has_features_names_and_provenance(letters, alphabet, kind, tmp_path):
    designs, names = random_designs(12, 30, letters=letters), [f"variant_of_the_promoter_{i:02}" for i in range(12)]
    digest = "sha256:" + "0123456789abcdef" * 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of names too long for their columns, among others
        write_order(
            tmp_path / "order.gb", designs, names=names, left_flank="AACC", right_flank="GGA", alphabet=alphabet,
            columns={"bits": np.arange(12) / 4, "seed": range(12)}, provenance={"model": digest, "seed": 99},
        )  # fmt: skip
        text = (tmp_path / "order.gb").read_text("utf-8")
        records = list(SeqIO.parse(io.StringIO(text), "genbank"))
    assert [record.id for record in records] == names
    assert len({record.name for record in records}) == 12 and all(len(record.name) <= 16 for record in records)
    for i, (record, design) in enumerate(zip(records, designs, strict=True)):
        assert record.annotations["molecule_type"] == kind
        parts = {feature.qualifiers["label"][0]: str(feature.extract(record.seq)) for feature in record.features}
        assert parts == {"left flank": "AACC", names[i]: design, "right flank": "GGA"}
        comment = record.annotations["comment"]
        assert digest in comment.replace("\n", "") and f"bits: {i / 4:g}\n" in comment
        assert f"seed: {i}\n" in comment and "seed: 99" not in comment  # a value of its own has precedence
    assert max(map(len, text.splitlines())) <= 80


def test_proteins_have_no_temperature_and_read_back(tmp_path):
    proteins = ["MKVLAW", "MDERST"]
    table = write_order(tmp_path / "order.gb", proteins, right_flank="HHHHHH")
    assert not {"gc", "tm"} & set(table) and table["length"].tolist() == [12, 12]
    records = list(SeqIO.parse(tmp_path / "order.gb", "genbank"))
    assert [str(record.seq) for record in records] == [protein + "HHHHHH" for protein in proteins]
    assert records[0].annotations["molecule_type"] == "protein" and len(records[0].features) == 2


def test_controls_follow_the_designs_without_values_of_theirs(tmp_path):
    controls = {"shuffled": ["CCCC", "GGGG"], "wild type": ["TTTT"]}
    columns = pd.DataFrame({"hits": [3, 4], "passed": [True, False]}, index=[7, 8])
    table = write_order(tmp_path / "order.xlsx", ["AAAA", "ACGT"], controls=controls, left_flank="G", columns=columns)
    assert table["group"].tolist() == ["design", "design", "shuffled", "shuffled", "wild type"]
    assert table["sequence"].tolist() == ["GAAAA", "GACGT", "GCCCC", "GGGGG", "GTTTT"]
    sheet = openpyxl.load_workbook(tmp_path / "order.xlsx")["order"]
    rows = [dict(zip([cell.value for cell in sheet[1]], row, strict=True)) for row in sheet.iter_rows(2)]
    assert [row["hits"].value for row in rows] == [3, 4, None, None, None]
    assert [type(row["hits"].value) for row in rows[:2]] == [int, int]
    assert [row["passed"].data_type for row in rows] == ["b", "b", "n", "n", "n"]


def test_workbooks_are_ready_to_read(tmp_path):
    write_order(tmp_path / "order.xlsx", random_designs(3), right_flank="AC", provenance={"seed": 7, "date": "today"})
    book = openpyxl.load_workbook(tmp_path / "order.xlsx")
    sheet, names = book["order"], [cell.value for cell in book["order"][1]]
    assert sheet.freeze_panes == "A2" and all(cell.font.bold for cell in sheet[1]) and not sheet["A2"].font.bold
    assert names == ["name", "sequence", "group", "length", "gc", "tm"]
    formats = {name: (cell.data_type, cell.number_format) for name, cell in zip(names, sheet[2], strict=True)}
    assert formats["length"] == ("n", "General") and formats["gc"] == ("n", "0.000") and formats["tm"] == ("n", "0.0")
    assert sheet.column_dimensions["B"].width > 42 > sheet.column_dimensions["D"].width
    remembered = dict(row for row in book["provenance"].iter_rows(2, values_only=True))
    assert remembered["seed"] == 7 and remembered["date"] == "today" and remembered["right_flank"] == "AC"
    assert set(remembered) == {"seed", "date", "right_flank", "seqdiff"}
    written = pd.read_csv(_csv(tmp_path))
    assert written["seed"].tolist() == [7, 7, 7] and set(remembered) <= set(written)


def _csv(folder):
    write_order(folder / "order.csv", random_designs(3), right_flank="AC", provenance={"seed": 7, "date": "today"})
    return folder / "order.csv"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failure_leaves_the_old_file(ending, tmp_path, monkeypatch):
    file = tmp_path / f"order{ending}"
    write_order(file, ["ACGTACGT"])
    before = file.read_bytes()

    def fails(self, remembered=True):
        yield {"name": "a", "sequence": "ACGT", "group": "design"}
        raise RuntimeError("in the middle")

    monkeypatch.setattr(order._Order, "rows", fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        write_order(file, ["TTTTTTTT"])
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


def test_what_a_workbook_cannot_hold_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="got a sequence of 32,768 letters, expected at most 32,767"):
        write_order(tmp_path / "order.xlsx", ["A" * 32_768])
    write_order(tmp_path / "order.xlsx", ["A" * 32_767])
    assert len(openpyxl.load_workbook(tmp_path / "order.xlsx")["order"]["B2"].value) == 32_767
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputError, match=r'the library openpyxl.*pip install "seqdiff\[design\]"'):
        write_order(tmp_path / "other.xlsx", ["ACGT"])
    assert not (tmp_path / "other.xlsx").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "order.pdf"}, "path: got 'order.pdf', expected a name that ends in .xlsx, .csv, .fasta or .gb"),
        ({"path": "no/order.csv"}, "path: got 'no/order.csv' in a folder that does not exist"),
        ({"path": 3}, "path: got an int, expected a file's name"),
        ({"sequences": []}, "sequences: got an empty list"),
        ({"sequences": "ACGT"}, "sequences: got one sequence"),
        ({"sequences": ["ACGT", float("nan")]}, r"sequences\[1\]: got a missing sequence"),
        ({"sequences": ["ACGT", "AC-T"], "alphabet": "dna"}, r"sequences\[1\]: got '-' at position 3"),
        ({"alphabet": "codons"}, "alphabet: got the codons alphabet, expected dna, rna or protein"),
        ({"names": ["a"]}, "names: got 1 names, expected 2, one for each design"),
        ({"names": ["a", None]}, r"names\[1\]: got a missing name"),
        ({"names": "ab"}, "names: got 'ab', expected a list of names"),
        ({"left_flank": "AXT"}, r"left_flank\[0\]: got 'X' at position 2"),
        ({"right_flank": None}, r"right_flank\[0\]: got a missing sequence"),
        ({"controls": ["ACGT"]}, "controls: got a list, expected a dict of lists"),
        ({"controls": {"design": ["ACGT"]}}, "controls: got a group named 'design'"),
        ({"controls": {"shuffled": []}}, r"controls\['shuffled'\]: got an empty list"),
        ({"plate": 100}, "plate: got 100, expected 96, 384 or None"),
        ({"plate": True}, "plate: got True"),
        ({"by": "diagonal"}, "by: got 'diagonal', expected 'row' or 'column'"),
        ({"partial": "yes"}, "partial: got 'yes', expected True or False"),
        ({"columns": {"name": ["a", "b"]}}, "columns: got the column 'name', expected names other than"),
        ({"columns": {"score": [1]}}, "columns: got 1 values of 'score', expected 2 values, one for each"),
        ({"columns": {"score": 3}}, "columns: got 3 as 'score', expected 2 values"),
        ({"columns": [1, 2]}, "columns: got a list, expected a dict or DataFrame"),
        ({"provenance": 7}, "provenance: got an int, expected a dict"),
    ],
)
def test_bad_input_is_one_sentence(options, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said) as error:
        write_order(**{"path": "order.csv", "sequences": ["ACGT", "GGCC"], **options})
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice")
def test_libreoffice_opens_the_workbook(tmp_path):
    designs, notes = random_designs(96), ["=1+1", "@x", "-y", *["ok"] * 93]
    write_order(tmp_path / "order.xlsx", designs, left_flank="GG", plate=96, columns={"note": notes})
    home = f"-env:UserInstallation=file://{tmp_path}/home"
    command = ["soffice", home, "--headless", "--convert-to", "csv", "--outdir", str(tmp_path), "order.xlsx"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    read = pd.read_csv(tmp_path / "order.csv")
    assert read["sequence"].tolist() == ["GG" + design for design in designs]
    assert read["note"].tolist() == notes and read["well"].tolist() == well_names(96)
