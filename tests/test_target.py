"""What y is: kinds, missing labels, standardisation, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from seqdiff.data import Target
from seqdiff.data.target import as_labels

NAN = float("nan")
CLASSES = [
    (["b", "a", "b"], ["a", "b"]),
    (np.array(["b", "a", "b"]), ["a", "b"]),
    (pd.Series(["b", "a", "b"]), ["a", "b"]),
    (pd.Series(["b", "a", "b"], dtype="category"), ["a", "b"]),
    (pd.Categorical(["b", "a", "b"]), ["a", "b"]),
    ([2, 1, 2], [1, 2]),
    (np.array([2, 1, 2], dtype=np.int16), [1, 2]),
    (np.array([[2], [1], [2]]), [1, 2]),
    (pd.Series([2, 1, 2], dtype="Int64"), [1, 2]),
    ([True, False, True], [False, True]),
    (pd.Series([1.5, 0.5, 1.5]).astype("category"), ["0.5", "1.5"]),
]


@pytest.mark.parametrize(("y", "classes"), CLASSES, ids=lambda v: type(v).__name__)
def test_classes_are_plain_sorted_and_encode_to_their_index(y, classes):
    target = Target().fit(y)
    assert target.kind == "class" and target.classes_ == classes
    assert [type(c) for c in target.classes_] == [type(c) for c in classes]
    encoded = target.encode(y, n=3)
    assert encoded["label"].tolist() == [1, 0, 1] and encoded["label"].dtype == np.int64
    assert encoded["keep"].all() and encoded["keep"].dtype == bool
    assert target.frequencies_.tolist() == pytest.approx([1 / 3, 2 / 3])
    again = Target.from_dict(json.loads(json.dumps(target.to_dict())))
    assert again.classes_ == classes and again.encode(y)["label"].tolist() == [1, 0, 1]
    assert again.frequencies_.tolist() == target.frequencies_.tolist()


@pytest.mark.parametrize(
    "y",
    [
        ["b", None, "a", NAN],
        pd.Series(["b", None, "a", None]),
        np.array(["b", None, "a", NAN], dtype=object),
        pd.Series(["b", None, "a", pd.NA], dtype="string"),
        pd.Categorical(["b", None, "a", None]),
        [2, None, 1, None],
        pd.Series([2, pd.NA, 1, pd.NA], dtype="Int64"),
        [True, None, False, None],
    ],
)
def test_missing_classes(y):
    target = Target().fit(y)
    assert target.kind == "class" and len(target.classes_) == 2
    encoded = target.encode(y)
    assert encoded["keep"].tolist() == [True, False, True, False] and encoded["label"].tolist() == [1, 0, 0, 0]
    assert target.frequencies_.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("y", [np.array([1.0, NAN, 3.0]), [1.0, None, 3.0], [1, NAN, 3], pd.Series([1.0, None, 3.0])])
def test_missing_values(y):
    target = Target().fit(y)
    assert target.kind == "value" and target.mean_.tolist() == [2.0] and target.scale_.tolist() == [1.0]
    encoded = target.encode(y)
    assert encoded["value"].tolist() == [[-1.0], [0.0], [1.0]] and encoded["value"].dtype == np.float32
    assert encoded["keep"].tolist() == [True, False, True]


def test_values_are_standardised_per_column():
    y = np.random.default_rng(0).normal([3.0, -50.0, 7.0], [2.0, 0.1, 0.0], size=(200, 3))
    target = Target().fit(y)
    assert target.kind == "value" and target.n_columns == 3
    values = target.encode(y)["value"].astype(float)
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(values.std(0), [1, 1, 0], atol=1e-4)  # a constant column is 0, not 0/0
    assert target.scale_[2] == 1.0
    again = Target.from_dict(json.loads(json.dumps(target.to_dict())))
    assert (again.encode(y)["value"] == target.encode(y)["value"]).all()


def test_signals_are_standardised_per_channel():
    y = np.random.default_rng(0).normal([3.0, -5.0], [2.0, 0.5], size=(30, 10, 2))
    y[4, 3, 1] = NAN
    target = Target().fit(y)
    assert target.kind == "signal" and target.n_columns == 2
    encoded = target.encode(y)
    assert encoded["signal"].shape == (30, 10, 2) and encoded["signal"].dtype == np.float32
    assert encoded["keep"].sum() == 29 and not encoded["signal"][4].any()
    kept = encoded["signal"][encoded["keep"]].astype(float)
    np.testing.assert_allclose(kept.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(kept.std((0, 1)), 1, atol=1e-5)
    one = target.encode(y[0], n=5)["signal"]
    assert one.shape == (5, 10, 2) and (one == encoded["signal"][0]).all()
    assert Target.from_dict(target.to_dict()).encode(None, n=4)["signal"].shape == (4, 10, 2)


def test_one_label_for_all():
    target = Target().fit(["x", "y", "y"])
    for y in ("y", np.str_("y")):
        assert target.encode(y, n=4)["label"].tolist() == [1] * 4
    for y in (None, NAN):
        assert target.encode(y, n=3)["keep"].tolist() == [False] * 3
    values = Target().fit([0.0, 2.0])
    for y in (2, 2.0, np.float32(2), [2.0], np.array(2.0), "2.0"):
        encoded = values.encode(y, n=4)
        assert encoded["value"].tolist() == [[1.0]] * 4 and encoded["keep"].all()
    several = Target().fit(np.array([[0.0, 1.0], [2.0, 3.0]]))
    assert several.encode([2.0, 1.0], n=2)["value"].tolist() == [[1.0, -1.0]] * 2  # a row, not one number for each
    assert several.encode(np.array([[2.0, 1.0], [0.0, 3.0]]), n=2)["value"].tolist() == [[1.0, -1.0], [-1.0, 1.0]]
    assert values.encode([2.0])["value"].tolist() == [[1.0]]
    assert values.encode([], n=0)["value"].shape == (0, 1)


def test_classes_match_by_value():
    target = Target().fit([0, 1, 2])
    for y in (1, np.int8(1), 1.0, True, "1"):
        assert target.encode(y, n=1)["label"].tolist() == [1]
    assert Target().fit([1.0, 0.0], kind="class").classes_ == [0, 1]
    assert Target().fit([1, 2], kind="value").encode([1, 2])["value"].tolist() == [[-1.0], [1.0]]
    assert Target().fit([[1, 2], [3, 4]]).kind == "value"


@pytest.mark.parametrize(
    ("fitted", "y", "n", "message"),
    [
        (["a", "b"], ["a", "c"], None, "class 'c', expected a class of the training data: 'a', 'b'"),
        (["a", "b"], ["a", "b", "a"], 2, "y: got 3 rows, expected 2"),
        (["a", "b"], "a", None, "n: got None with one y for all"),
        (["a", "b"], [["a", "b"]], None, "one label per sequence"),
        ([str(i) for i in range(30)], "x", 1, r"\.\.\. \(30 in all\)"),
        ([1.0, 2.0], [1.0, 2.0], 3, "y: got 2 rows, expected 3"),
        ([1.0, 2.0], "high", 3, "'high', expected numbers, as target='value' wants"),
        ([1.0, 2.0], [[1.0, 2.0]], 1, r"shape \(1, 2\), expected shape \(n,\), as the model was fitted to such values"),
        ([[1.0, 2.0], [3.0, 4.0]], 1.0, 3, r"expected shape \(n, 2\), as the model was fitted to such values"),
        (
            [[1.0, 2.0], [3.0, 4.0]],
            [1.0, 2.0, 3.0],
            3,
            r"expected shape \(n, 2\), as the model was fitted to such values",
        ),
        (
            np.zeros((2, 5, 3)),
            np.zeros((2, 5, 2)),
            2,
            r"expected shape \(n, L, 3\), as the model was fitted to such signals",
        ),
        (np.zeros((2, 5, 3)), 1.0, 2, r"expected shape \(n, L, 3\), as the model was fitted to such signals"),
        ([1.0, 2.0], [np.inf], None, "infinite"),
    ],
)
def test_encode_refuses(fitted, y, n, message):
    with pytest.raises(ValueError, match=message):
        Target().fit(fitted).encode(y, n=n)


@pytest.mark.parametrize(
    ("y", "kind", "message"),
    [
        (["a"], "labels", "target: got 'labels', expected 'auto'"),
        (["a"], ["class"], r"target: got \['class'\], expected 'auto'"),
        (["a", 1], "auto", "classes of type int and str mixed"),
        ([None, None], "auto", "labels that are all missing"),
        ([NAN, NAN], "auto", "no row without missing values"),
        (["a", "b"], "value", "'a', expected numbers, as target='value' wants"),
        ([1.0, 2.0], "signal", r"shape \(2,\), expected \(n, L, C\), as target='signal' wants"),
        ([1.0, np.inf], "auto", "infinite"),
        ([[1.0], [1.0, 2.0]], "auto", "rows of different shapes"),
        ([["a", "b"], ["c", "d"]], "auto", "one label per sequence"),
        ([1 + 2j], "auto", "complex128"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "auto", "datetime64"),
        ([{}, {}], "auto", "y: got no columns"),
        ([{1}, {2}], "auto", "of type set"),
        ({"a": [1.0], "b": [2.0]}, "auto", "y: got the columns a, b"),
    ],
)
def test_fit_refuses(y, kind, message):
    with pytest.raises(ValueError, match=message):
        Target().fit(y, kind=kind)


def test_as_labels_reads_tensors_and_frames():
    import torch

    assert as_labels(torch.tensor([1.0, 2.0], requires_grad=True)).tolist() == [1.0, 2.0]
    assert as_labels(pd.DataFrame({"a": ["x", None]})).tolist() == [("x",), (None,)]
    frame = as_labels(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}))
    assert frame.dtype.names == ("a", "b") and frame.tolist() == [(1.0, "x"), (2.0, None)]
