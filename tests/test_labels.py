"""Reading labels: the same from files, frames, arrays and lists, and reported when `fit` begins."""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from small_models import sequences, tiny

import seqdiff
from seqdiff import SequenceClassifier, SequenceRegressor
from seqdiff.data import Target, learn_target, prepare, read_records
from seqdiff.data.labels import as_labels, read_cells, read_labels

NAN = float("nan")


def table(path, cells, column="y"):
    """Write a table of sequences with a column of labels."""
    rows = sequences(len(cells), 12)
    path.write_text(f"sequence,{column}\n" + "".join(f'{s},"{cell}"\n' for s, cell in zip(rows, cells, strict=True)))
    return path


def meant(labels):
    """Return labels as what they mean: whether they are values, and each of them, numbers as such."""
    target = Target().fit(labels)
    plain = [None if x is None or x != x else x for x in as_labels(labels).tolist()]
    return target.kind, plain


# -- the same table by every road -------------------------------------------------------------------------------------

NAMES = ["amp", "none", "Null", "wt", "1_1", "n.d.", "A1", "1E2x", "EU", "x y", "0x1F", "-", "12-3", "infinite"]


NULLABLE = {"i": "Int64", "f": "Float64", "b": "boolean"}


def column(rng):
    """Return a random column: its cells as text, and as Python's values."""
    n = int(rng.integers(4, 30))
    sort = rng.choice(["int", "float", "name", "truth", "code", "mixed"])
    if sort == "int":
        values = rng.integers(-5, 40, n).tolist()
        text = [str(v) for v in values]
    elif sort == "float":
        values = (rng.normal(0, 10.0 ** rng.integers(-3, 4), n)).round(int(rng.integers(0, 5))).tolist()
        text = [repr(v) for v in values]
    elif sort == "code":
        values = [10.0 ** int(e) for e in rng.integers(0, 6, n)]
        text = [f"1E{round(np.log10(v))}" for v in values]
    elif sort == "truth":
        values = (rng.random(n) < 0.5).tolist()
        text = [str(v) for v in values]
    else:
        values = rng.choice(NAMES, n).tolist()
        if sort == "mixed":  # numbers among names, but fewer than half
            values[: n // 3] = [str(v) for v in rng.integers(0, 99, n // 3)]
        if not any(v in NAMES and v not in ("n.d.", "-", "none", "Null") for v in values):
            values[-1] = "amp"
        text = list(values)
    for i in range(n - 1):
        if rng.random() < 0.15 * (rng.random() < 0.5):
            values[i], text[i] = None, ""
    return values, text


def as_array(values):
    """Return an array as NumPy makes it of the known values; missing ones are NaN."""
    return np.array([NAN if v is None else v for v in values])


@pytest.mark.parametrize("part", [*range(3), *(pytest.param(i, marks=pytest.mark.slow) for i in range(3, 10))])
def test_labels_are_equal_from_files_frames_arrays_and_lists(tmp_path, part):
    rng = np.random.default_rng(part)
    for _ in range(100):
        values, text = column(rng)
        n = len(values)
        X = sequences(n, 12)
        rows = [f'{s},"{a}",{i + 0.5}' for i, (s, a) in enumerate(zip(X, text, strict=True))]
        content = "\n".join(["sequence,y,other", *rows])
        (tmp_path / "t.csv").write_text(content)
        (tmp_path / "t.tsv").write_text(content.replace(",", "\t"))
        frame = pd.read_csv(io.StringIO(content))
        wanted = meant(read_records(tmp_path / "t.csv", "y").y)
        roads = {
            "tsv": read_records(tmp_path / "t.tsv", "y").y,
            "two columns": read_records(tmp_path / "t.csv", ["y", "other"]).y["y"],
            "list": read_records(X, values).y,
            "text": read_records(X, text).y,
            "dict": read_records(X, {"y": values, "other": text}).y["y"],
            "array": read_records(X, as_array(values)).y,
            "frame of strings": read_records(pd.DataFrame({"sequence": X, "y": text}), "y").y,
        }
        if not {"None", "null", "NA", "Null"} & set(text):  # what pandas itself takes for missing
            roads |= {
                "frame": read_records(frame, "y").y,
                "series": read_records(X, frame["y"]).y,
                "values": read_records(X, frame["y"].tolist()).y,
                "columns": read_records(X, frame[["other", "y"]]).y["y"],
                "nullable": read_records(X, frame["y"].astype(NULLABLE.get(frame["y"].dtype.kind, "string"))).y,
            }
        for road, labels in roads.items():
            assert meant(labels) == wanted, (road, values, text)
        again = read_labels(read_records(tmp_path / "t.csv", "y").y)[0]
        assert meant(again) == wanted


def test_pandas_types():
    for y in (
        pd.Series([1, 2, pd.NA], dtype="Int64"),
        pd.Series([1.0, 2.0, None]),
        pd.Series([1.0, 2.0, None], dtype="Float64"),
        [1, 2, NAN],
        [1.0, None, 2.0],
        np.array([1.0, 2.0, NAN]),
    ):
        assert sorted(x for x in read_labels(y)[0].tolist() if x is not None) == [1, 2]
        assert meant(read_labels(y)[0])[0] == "class"
    assert read_labels(pd.Series([True, None], dtype="boolean"))[0].tolist() == [True, None]
    assert read_labels(pd.Series(["a", pd.NA, "nan"], dtype="string"))[0].tolist() == ["a", None, None]
    assert read_labels(pd.Series([0.5, 1.5]).astype("category"))[0].tolist() == ["0.5", "1.5"]  # meant as classes
    assert repr(read_labels([True, NAN, False])[0].tolist()) == "[True, None, False]"  # and not 1 and 0
    with pytest.raises(ValueError, match="got classes of type bool and int mixed"):
        learn_target(read_labels([True, 1, 0])[0])
    assert read_labels(np.array(["a", np.nan, "b"]))[0].tolist() == ["a", None, "b"]
    assert repr(read_labels([[0.5, "a"], ["n.d.", "b"]])[0].tolist()) == "[[0.5, 'a'], [nan, 'b']]"
    assert learn_target(read_labels([("0.5", "a"), ("n.d.", "b"), ("1.5", "b")])[0]).columns[0].kind == "value"


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["none", "strong", "weak"], ["none", "strong", "weak"]),
        (["EU", "NA", "AS", ""], ["AS", "EU", "NA"]),
        (["null", "mutant", "wt"], ["mutant", "null", "wt"]),
        (["1_1", "1_2", "2_1"], ["1_1", "1_2", "2_1"]),
        (["01", "1", "001", "02"], ["001", "01", "02", "1"]),
        (["0", "1", "", "2"], [0, 1, 2]),
        (["1", "2", "X", "Y", "3", "4", "5"], ["1", "2", "3", "4", "5", "X", "Y"]),  # chromosomes
        (["1A1", "1E2", "1B1", "2E1"], ["1A1", "1B1", "1E2", "2E1"]),
        (["True", "FALSE", "NA"], [False, True]),
        (["12345678901234567890", "98765432109876543210"], ["12345678901234567890", "98765432109876543210"]),
        (["٣", "٤"], ["٣", "٤"]),  # digits, but no decimal ones
        (["infinity", "nano"], ["infinity", "nano"]),
        (["+", "-"], ["+", "-"]),
    ],
)
def test_classes_are_read_from_a_file(tmp_path, cells, classes):
    path = table(tmp_path / "c.csv", cells * 3)
    target = tiny().fit(path, "y").target_
    assert target.kind == "class" and target.classes_ == classes
    model = tiny().fit(path, "y")
    for name in classes:
        assert model.generate(2, y=name, random_state=0) == model.generate(2, y=str(name), random_state=0)


@pytest.mark.parametrize(
    "odd", ["#DIV/0!", "<0.1", "1,234.5", ">8", "≥ 3", "5 nM", "failed", "inf", "1e999", "007", "3,5"]
)
@pytest.mark.parametrize("whole", [False, True])
def test_numeric_columns_refuse_other_cells(tmp_path, odd, whole):
    cells = [str(i) if whole else f"{i / 7:.2f}" for i in range(1, 40)]
    cells[7] = odd
    path = table(tmp_path / "c.csv", cells)
    roads = [(path, "y"), (pd.read_csv(path), "y"), (sequences(39, 12), cells)]
    names = whole and odd in ("failed", "007", "5 nM")  # whole numbers and a word are names
    for X, y in roads:
        if isinstance(X, pd.DataFrame) and odd in ("inf", "1e999", "007"):
            continue  # numbers to pandas; the infinite ones are refused as such
        if names:
            assert read_records(X, y).y.tolist() == cells
        else:
            with pytest.raises(ValueError, match=r"got '.*' in a column of numbers \(38 of 39 cells\), expected") as e:
                tiny().fit(X, y)
            assert repr(odd) in str(e.value) and str(e.value).isprintable() and "target='class'" in str(e.value)
            assert ("line 9" if X is path else "[7]") in str(e.value)
        assert read_records(X, y, kind="class").y.tolist() == cells
        with pytest.raises(ValueError, match="expected a number or an empty cell; correct it, empty it"):
            read_records(X, y, kind="value")


def test_invalid_cells_are_counted(tmp_path):
    cells = [f"{i}.5" for i in range(50)] + ["<1", ">50", "bad", "#N/A!", "#REF!", "x"]
    with pytest.raises(ValueError, match=r"line 52: got '<1' .*, also '>50' \(line 53\), 'bad' \(line 54\), .* 2 more"):
        read_records(table(tmp_path / "c.csv", cells), "y")


def test_missing_value_markers_are_listed(tmp_path):
    cells = [f"{i / 10}" for i in range(31, 61)]
    for i, mark in {3: "n.d.", 8: "-", 9: "n.d.", 11: "NA", 12: "", 20: "nan"}.items():
        cells[i] = mark
    path = table(tmp_path / "c.csv", cells)
    note = prepare(path, "y", alphabet="dna").notes[-1]
    assert note == (
        "y: values, 24 of 30 known, 3.1 to 6; taken as missing: 'n.d.' (2 cells, the first line 5), '-' (line 10),"
        " 'NA' (line 13)"
    )
    target = Target().fit(read_records(path, "y").y)
    assert target.kind == "value" and target.encode(read_records(path, "y").y)["keep"].sum() == 24


def test_decimal_commas(tmp_path):
    path = tmp_path / "g.csv"
    rows = list(zip(sequences(5, 12), ["1,5", "2,25", "n.d.", "3", "0,5"], strict=True))
    for separator in ";\t":
        path.write_text(f"sequence{separator}y\n" + "".join(f"{s}{separator}{v}\n" for s, v in rows))
        assert repr(read_records(path, "y").y.tolist()) == "[1.5, 2.25, nan, 3.0, 0.5]"
    for cells in (["1,5", "2,5", "n.d."], ["1,234.5", "1,235.5", "1,236.5"], ["1,5", "2.5", "3.5"]):
        for X, y in ((table(path, cells), "y"), (sequences(3, 12), cells)):  # a comma between the cells too
            with pytest.raises(ValueError, match="got '1,[25].*' in a column of numbers"):
                read_records(X, y)
    assert read_records(sequences(3, 12), ["<18", "18-65", ">65"]).y.tolist() == ["<18", "18-65", ">65"]


def test_masked_arrays_are_missing_where_masked():
    y = np.ma.masked_array([0.5, 99.0, 1.5], mask=[False, True, False])
    assert repr(read_labels(y)[0].tolist()) == "[0.5, nan, 1.5]" and Target().fit(y).range_.max() == 1.5
    assert read_labels(np.ma.masked_array(["a", "b"], mask=[True, False]))[0].tolist() == [None, "b"]
    assert read_labels(np.ma.masked_array([1, 2]))[0].tolist() == [1, 2]


# -- said when fit begins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "line"),
    [
        (["none", "weak", "none", None], "y: 2 classes: none 2, weak 1; 1 of 4 missing"),
        ([0.5, 1.5, NAN, 2.5], "y: values, 3 of 4 known, 0.5 to 2.5"),
        ([1, 2, 2, 2], "y: 2 classes: 1 1, 2 3"),
        ([[1.0, 2.0]] * 4, "y: values of 2 columns, 4 of 4 known, 1 to 2"),
        ({"a": ["x", "y", "x", "x"], "b": [0.5, 1.5, 2.5, NAN]}, "y column 'b': values, 3 of 4 known, 0.5 to 2.5"),
        (
            pd.Series(["a", None, "b", "b"]),
            "y: 2 classes: a 1, b 2; 1 of 4 missing; pandas.read_csv reads NA, null and",
        ),
        (np.zeros((4, 12, 2)), "y: signals, 4 of 4 known, 0 to 0"),
    ],
)
def test_fit_prints_the_kind_of_y(capsys, y, line):
    tiny(verbose=1, alphabet="dna").fit(sequences(4, 12), y, validation=None)
    shown = capsys.readouterr().err
    assert line in shown and "\n\n" not in shown
    tiny(verbose=0).fit(sequences(4, 12), y, validation=None)
    assert line not in capsys.readouterr().err


def test_classifiers_print_the_kind_of_y(capsys):
    SequenceClassifier(epochs=1, verbose=1).fit(sequences(8, 6), ["1", "2"] * 4)
    assert "y: 2 classes: 1 4, 2 4" in capsys.readouterr().err


def test_printed_class_names_are_short_and_printable():
    notes = prepare(sequences(4, 6), ["x" * 500, "a\nb", "\x1b[31m", "'q'"] * 1, alphabet="dna").notes
    assert all(note.isprintable() and len(note) < 200 for note in notes)


def test_single_row_classes_give_a_warning():
    X, rng = sequences(200, 12), np.random.default_rng(0)
    with pytest.warns(UserWarning, match=r"y: .* classes of 200 labels, .* a single row; .*target=.value.") as caught:
        tiny().fit(X, rng.integers(0, 5000, 200), validation=None)
    assert len([w for w in caught if "single row" in str(w.message)]) == 1
    with pytest.warns(UserWarning, match="single row"):
        prepare(X, [f"name {i}" for i in range(200)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(X, np.arange(200) % 15)
        prepare(X, np.arange(200) % 90)
        prepare(X[:10], list("abcdefghij"))
        prepare(X, rng.normal(size=200))
        tiny(target="value").fit(X, rng.integers(0, 5000, 200))


# -- `target` and what was learned ------------------------------------------------------------------------------------


def test_target_overrides(tmp_path):
    path = table(tmp_path / "c.csv", ["1E2", "2E1", "1E2", "3E3"])
    assert tiny().fit(path, "y").target_.kind == "value"
    assert "cells such as '1E2' are numbers" in prepare(path, "y").notes[-1]
    assert tiny(target="class").fit(path, "y").target_.classes_ == ["1E2", "2E1", "3E3"]
    assert tiny(target="class").fit(sequences(4, 12), ["0.5", "1.5"] * 2).target_.classes_ == ["0.5", "1.5"]
    assert tiny(target="value").fit(sequences(4, 12), [1, 2, None, 4]).target_.kind == "value"
    table(path, ["0", "1", "", "3"])
    assert tiny(target="value").fit(path, "y").target_.mean_.tolist() == [4 / 3]
    frame = pd.read_csv(path).assign(z=["01", "2", "1.5", "3"])
    columns = tiny(target={"y": "value", "z": "class"}).fit(frame, ["y", "z"]).target_.columns
    assert columns[0].kind == "value" and columns[1].classes_ == ["01", "1.5", "2", "3"]
    classifier = SequenceClassifier(epochs=1).fit(sequences(8, 6), ["1", "2"] * 4)
    assert classifier.classes_.tolist() == ["1", "2"] and classifier.score(sequences(8, 6), ["1", "2"] * 4) <= 1
    assert SequenceRegressor(epochs=1).fit(path, "y").target_.kind == "value"


def test_scored_labels_use_the_fitted_kind(tmp_path):
    """A part of a table could be read as another kind than the whole."""
    names = table(tmp_path / "a.csv", ["1", "2", "none", "weak"] * 3)
    model = tiny().fit(names, "y")
    assert model.target_.classes_ == ["1", "2", "none", "weak"]
    part = table(tmp_path / "b.csv", ["1", "none", "2", ""])
    X = sequences(4, 12)
    wanted = model.score_samples(X, ["1", "none", "2", None])
    assert (model.score_samples(part, "y") == wanted).all()
    assert len(set(np.round(wanted - model.score_samples(X), 9)[:3])) > 1  # none was not taken for missing
    ints = table(tmp_path / "b.csv", ["1", "2", "2", "1"])
    for road in (ints, pd.read_csv(ints)):
        assert (model.score_samples(road, "y") == model.score_samples(X, list("1221"))).all()
    values = tiny(random_state=1).fit(X, [0.5, 1.5, 2.5, 4.0])
    assert (values.score_samples(ints, "y") == values.score_samples(X, [1.0, 2.0, 2.0, 1.0])).all()
    assert tiny().fit(X, [0.5, 1.5, 2.5, 4.0], validation=(str(ints), "y")).target_.kind == "value"
    assert tiny().fit(names, "y", validation=(str(part), "y")).target_.kind == "class"
    with pytest.raises(ValueError, match="'odd'"):
        model.score_samples(X, ["1", "odd", "2", "2"])


# -- far outside ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def percent():
    X = sequences(40, 12)
    return tiny().fit(X, np.linspace(0, 1, 40))


def test_values_far_outside_training_give_a_warning(percent, tmp_path):
    percent.save(tmp_path / "m.safetensors")
    for model in (percent, seqdiff.load(tmp_path / "m.safetensors")):
        low, high = model.target_.range_[:, 0]
        assert 0 <= low < 0.1 and 0.9 < high <= 1
        for y in (90, -4.0, [0.5, 90.0], "90", np.array([[0.5], [2.0]])):
            with pytest.warns(UserWarning, match=r"y: got .* the values learned are 0.* to .*is a guess") as caught:
                model.generate(2, y=y, random_state=0)
            assert len(caught) == 1
        with pytest.warns(UserWarning, match="such as 7,"):
            model.score_samples(sequences(3, 12), [0.5, 7.0, 0.1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for y in (0.0, 1.0, 1.1, -0.1, None, [0.2, NAN], "empirical"):
                model.generate(2, y=y, random_state=0)
    old = {k: v for k, v in percent.target_.to_dict().items() if k not in ("lowest", "highest")}
    assert Target.from_dict(old).range_ is None and Target.from_dict(old).far_outside(90) == ""


def test_warnings_of_far_values_in_columns_and_signals():
    y = {"label": ["a", "b"] * 5, "expr": np.linspace(0, 1, 10)}
    targets = learn_target(y)
    assert "column 'expr': y: got 3, but" in targets.far_outside({"label": "a", "expr": 3.0})
    assert targets.far_outside({"label": "a", "expr": [0.5, 1.0]}) == "" == targets.far_outside({"label": "a"})
    again = learn_target(y).from_dict(json.loads(json.dumps(targets.to_dict())))
    assert "0 to 1" in again.far_outside(("a", 9.0))
    vector = Target().fit(np.column_stack([np.linspace(0, 1, 9), np.linspace(10, 20, 9)]))
    assert "in column 1 are 10 to 20" in vector.far_outside([0.5, 50.0]) and vector.far_outside([1.0, 20.0]) == ""
    signal = Target().fit(np.random.default_rng(0).random((9, 5, 2)))
    assert signal.range_.shape == (2, 2) and signal.far_outside(np.full((5, 2), 9.0)) and not signal.far_outside(None)


@pytest.mark.parametrize("y", ["1_1", "nan", "inf", "٣", "0x1", "", "1,5"])
def test_requested_values_are_decimal_numbers(percent, y):
    with pytest.raises(ValueError, match="expected numbers, as target='value' wants"):
        percent.generate(1, y=y)
    assert percent.generate(2, y=" 0.5 ", random_state=0) == percent.generate(2, y=0.5, random_state=0)


def test_values_beyond_float32_are_refused(percent):
    with pytest.raises(ValueError, match=r"y: got 1e\+300, expected a value near those learned \(0"):
        percent.generate(1, y=1e300)
    constant = Target().fit([5.0, 5.0])
    assert constant.scale_.tolist() == [1.0] and "5 to 5" in constant.far_outside(6.0)


# -- numbers without bounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1e308, -1e308] * 4, r"got values from -1e\+308 to 1e\+308, expected at most 1e\+150"),
        ([1e300 * i for i in range(8)], "at most 1e"),
        ([1e-300 * i for i in range(8)], "got values that differ by 7e-300 in all"),
        (np.zeros((8, 0)), r"got shape \(8, 0\)"),
        ([float("inf"), 10**400] * 4, "whole number of about 401 digits"),
        ([10**400, 1] * 4, "whole number of about 401 digits, expected at most 19"),
        ([10**5000, 1] * 4, "whole number of about 5001 digits"),
        (["9" * 500, *["1.5"] * 7], "in a column of numbers|expected"),
        ([float("inf"), 0.5] * 4, "infinite"),
    ],
)
def test_invalid_numbers_as_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message) as caught:
        tiny().fit(sequences(8, 6), y)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_large_values_are_learned_exactly():
    for unit in (1e-100, 1e100, 1e-30):
        target = Target().fit([1.0 * unit, 2.0 * unit, 3.0 * unit])
        np.testing.assert_allclose(target.encode([3.0 * unit])["value"], [[np.sqrt(1.5)]], rtol=1e-6)


def test_cells_are_parsed_one_by_one():
    read = lambda *cells, **options: read_cells(cells, **options)[0].tolist()  # noqa: E731
    assert read("+5", "-0", "3") == [5, 0, 3] and read(".5", "5.", "1e-3") == [0.5, 5.0, 0.001]
    assert read("1.0", "2.0") == [1.0, 2.0] and read("1.0", "", "2.0") == [1, None, 2]
    assert read("NA", "NA") == ["NA", "NA"] and read("", "") == [None, None]
    assert read("a", "NAN", "nan", "NaN") == ["a", "NAN", None, None]
    assert read("nan", "x", kind=frozenset({"nan", "x"})) == ["nan", "x"]  # a class of an older model
