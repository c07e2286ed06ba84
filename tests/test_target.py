"""Kinds of labels: inference, missing values, standardisation, several columns, refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import sequences, tiny

import seqdiff
from seqdiff.data import Target, Targets, learn_target, prepare, target_from_dict
from seqdiff.data.labels import as_labels
from seqdiff.networks import Conditions
from seqdiff.networks.layers import ConditionEmbedding
from seqdiff.processes import Batch
from seqdiff.training.objective import drop_labels

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
def test_encode_refuses_invalid_labels(fitted, y, n, message):
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
        ({"a": [1.0], "b": [2.0]}, "auto", "y: got the columns \\[.a., .b.\\]"),
    ],
)
def test_fit_refuses_invalid_labels(y, kind, message):
    with pytest.raises(ValueError, match=message):
        Target().fit(y, kind=kind)


def test_as_labels_reads_tensors_and_frames():
    import torch

    assert as_labels(torch.tensor([1.0, 2.0], requires_grad=True)).tolist() == [1.0, 2.0]
    assert as_labels(pd.DataFrame({"a": ["x", None]})).tolist() == [("x",), (None,)]
    frame = as_labels(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}))
    assert frame.dtype.names == ("a", "b") and frame.tolist() == [(1.0, "x"), (2.0, None)]


# -- several columns of labels ----------------------------------------------------------------------------------------


FRAME = pd.DataFrame({"label": ["amp", "none", None, "amp"], "expr": [1.0, 3.0, NAN, NAN], "day": [7, 8, 8, 7]})
FORMS = {
    "frame": FRAME,
    "dict": {name: FRAME[name].tolist() for name in FRAME},
    "records": [{k: v for k, v in row.items() if not pd.isna(v)} for row in FRAME.to_dict("records")],
    "structured": as_labels(FRAME),
}


# -- learning and encoding --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_each_column_is_encoded_as_if_alone(form):
    targets = learn_target(FORMS[form])
    assert isinstance(targets, Targets) and targets.names == ("label", "expr", "day")
    assert [t.kind for t in targets.columns] == ["class", "value", "class"]
    for name, column in zip(targets.names, targets.columns, strict=True):
        alone = Target().fit(FRAME[name])
        assert {**column.to_dict(), "sample": 0} == {**alone.to_dict(), "sample": 0}
    for again in (targets, target_from_dict(json.loads(json.dumps(targets.to_dict())))):
        encoded = again.encode(FORMS[form], n=4)
        assert encoded["label"].tolist() == [[0, 2], [1, 3], [0, 3], [0, 2]]  # the days are numbered on from the labels
        assert encoded["value"].tolist() == [[-1.0], [1.0], [0.0], [0.0]]
        assert encoded["known"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 1, 0], [1, 1, 0]]  # label, day, expr
        assert encoded["keep"].all()


def test_rows_without_names():
    targets = learn_target([("amp", 1.0), ("none", 3.0)])
    assert targets.names == ("0", "1") and [t.kind for t in targets.columns] == ["class", "value"]
    assert targets.encode(("none", 3.0), n=2)["value"].tolist() == [[1.0], [1.0]]
    assert [t.kind for t in learn_target(np.array([["a", "x"], ["b", "y"]])).columns] == ["class"] * 2
    assert learn_target([[1.0, 2.0], [3.0, 4.0]]).kind == "value"  # a vector of numbers, known as a whole
    assert learn_target([[1, 2], [3, 4]], "class").columns[1].classes_ == [2, 4]
    assert learn_target({"only": ["a", "b"]}).kind == "class"


def test_kinds_by_column():
    kinds = {"day": "value"}
    targets = learn_target(FRAME, kinds)
    assert [t.kind for t in targets.columns] == ["class", "value", "value"]
    assert [t.kind for t in learn_target(FRAME[["expr", "day"]], "value").columns] == ["value"] * 2
    assert tiny(target=kinds).fit(sequences(4), FRAME).target_.columns[2].kind == "value"


ONE = [
    {"label": "none", "day": 7, "expr": 3.0},
    {"label": "none", "day": "7", "expr": "3.0"},  # as a shell has them
    ("none", 3.0, 7),
    ["none", 3.0, 7],
    np.array(["none", 3.0, 7], dtype=object),
    [("none", 3.0, 7)] * 2,
    [{"label": "none", "day": 7, "expr": 3.0}] * 2,
    {"label": ["none", "none"], "day": 7, "expr": np.array([3.0, 3.0])},
    pd.DataFrame({"expr": [3.0, 3.0], "day": [7, 7], "label": ["none"] * 2}),
]


@pytest.mark.parametrize("y", ONE, ids=lambda y: type(y).__name__)
def test_forms_of_one_condition(y):
    encoded = learn_target(FRAME).encode(y, n=2)
    assert encoded["label"].tolist() == [[1, 2]] * 2 and encoded["value"].tolist() == [[1.0]] * 2
    assert encoded["known"].all() and encoded["keep"].all()


def test_omitted_columns_are_unknown():
    targets = learn_target(FRAME)
    for y in ({"expr": 3.0}, (None, 3.0, None), [{"expr": 3.0}] * 2, pd.DataFrame({"expr": [3.0, 3.0]})):
        encoded = targets.encode(y, n=2)
        assert encoded["known"].tolist() == [[False, False, True]] * 2 and encoded["keep"].all()
    for y in (None, {}, NAN, (None, None, None), [(None, NAN, None)] * 2):
        encoded = targets.encode(y, n=2)
        assert not encoded["known"].any() and not encoded["keep"].any() and encoded["label"].shape == (2, 2)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ({"label": "x"}, "column 'label': y: got the class 'x', expected a class of the training data: 'amp', 'none'"),
        ({"exp": 1.0}, "y: got the column 'exp', expected one of 'label', 'expr', 'day'"),
        ({"expr": "high"}, "column 'expr': .*'high'"),
        ({"expr": [1.0, 2.0, 3.0]}, "column 'expr': y: got 3 rows, expected 2"),
        (["amp"] * 5, "y: got 5 entries"),
        (np.array([1.0, 2.0]), "y: got one column without a name, expected labels of the columns label, expr, day"),
        ("amp", "'amp', which is one label, expected labels of the columns label, expr, day, .*; give a dict"),
        (("amp", 1.0), "y: got 2 entries a row, expected labels of the columns label, expr, day"),
        ([("amp", 1.0)] * 2, "y: got 2 entries a row"),
        ([("amp", 1.0, 7)] * 3, "got 3 rows, expected 2"),
    ],
)
def test_encode_refuses_invalid_columns(y, message):
    with pytest.raises(ValueError, match=message) as caught:
        learn_target(FRAME).encode(y, n=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("y", "kind", "message"),
    [
        ({"a": ["x", "y"], "b": [1.0]}, "auto", r"different numbers of rows \('a' 2, 'b' 1\)"),
        ({"a": ["x"], "b": [None]}, "auto", "column 'b': y: got labels that are all missing"),
        ({"a": ["x"], "b": [NAN]}, "auto", "column 'b': y: got no row without missing values"),
        ({"a": ["x"], "b": np.zeros((1, 5, 2))}, "auto", "y, column 'b': got shape"),
        ({"a": ["x", 1], "b": [1.0, 2.0]}, "auto", "column 'a': y: got classes of type int and str mixed"),
        ({"a": ["x"], "b": [1.0]}, {"c": "value"}, "target: got the column 'c'"),
        ({"a": ["x"], "b": [1.0]}, {"b": "signal"}, "target, column 'b': got 'signal'"),
        ([1.0, 2.0], {"b": "value"}, "y has no names"),
        (pd.DataFrame([[1, 2.0]], columns=["a", "a"]), "auto", "expected columns with different names"),
    ],
)
def test_fit_refuses_invalid_columns(y, kind, message):
    with pytest.raises(ValueError, match=message):
        learn_target(y, kind)


def test_datasets_keep_label_columns():
    X = ["ACGT", "ACNT", "GGGG", "TTTT"]
    data = prepare(X, FRAME, ambiguous="drop")
    assert data.y["label"].tolist() == ["amp", None, "amp"] and data.take([1]).y["day"].tolist() == [8]
    other = FRAME.assign(expr=[1.0, 3.0, NAN, 2.0]), FRAME.rename(columns={"day": "hour"}), FRAME[["expr", "day"]]
    one = prepare(["AC"] * 4, FRAME[["day"]]), prepare(["AC"] * 4, FRAME["day"])
    assert one[0].digest() == one[1].digest()
    digests = [prepare(X, y, ambiguous="drop").digest() for y in (FRAME, *other)]
    assert len(set(digests)) == 4 and digests[0] == prepare(X, FORMS["dict"], ambiguous="drop").digest()


# -- drawing ----------------------------------------------------------------------------------------------------------


def test_classes_are_drawn_by_their_frequency():
    target = Target().fit(["a"] * 70 + ["b"] * 29 + ["c"] + [None] * 50)
    drawn = target.draw(40_000, np.random.default_rng(0))
    share = [np.mean(drawn == c) for c in "abc"]
    assert np.allclose(share, [0.7, 0.29, 0.01], atol=4 * np.sqrt(0.25 / 40_000))
    assert target.draw(7, np.random.default_rng(0)).tolist() == drawn[:7].tolist()  # whatever n is


def test_values_are_drawn_from_the_training_set():
    y = np.random.default_rng(0).gamma(2.0, 3.0, 5000)
    y[::7] = NAN
    target = target_from_dict(json.loads(json.dumps(Target().fit(y).to_dict())))
    drawn = target.draw(4000, np.random.default_rng(1))
    assert target.sample_.shape == (1024, 1) and set(drawn[:, 0]) <= set(y)
    assert np.abs(np.quantile(drawn, [0.1, 0.5, 0.9]) - np.nanquantile(y, [0.1, 0.5, 0.9])).max() < 1.0
    assert target.encode(drawn, n=4000)["keep"].all()
    few = Target().fit([[1.0, 2.0], [3.0, 4.0]])
    assert sorted(map(tuple, few.draw(50, np.random.default_rng(0)).tolist()))[::49] == [(1.0, 2.0), (3.0, 4.0)]


def test_label_columns_are_drawn_jointly():
    label = np.random.default_rng(0).choice(["a", "b"], 3000, p=[0.8, 0.2])
    targets = learn_target({"label": label, "expr": np.where(label == "a", 1.0, 5.0), "all": [None] * 2999 + ["x"]})
    targets = target_from_dict(json.loads(json.dumps(targets.to_dict())))
    drawn = targets.draw(5000, np.random.default_rng(0))
    assert ((drawn["label"] == "a") == (drawn["expr"] == 1.0)).all()
    assert abs(np.mean(drawn["label"] == "a") - 0.8) < 0.06
    assert targets.encode(drawn, n=5000)["known"][:, [0, 2]].all()


def test_labels_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="'empirical', expected a signal.*none can be drawn"):
        Target().fit(np.zeros((2, 5, 1))).draw(2, np.random.default_rng(0))
    old = Target().fit([1.0, 2.0]).to_dict()
    del old["sample"]  # as files before there were samples
    with pytest.raises(ValueError, match="keeps no sample"):
        Target.from_dict(old).draw(2, np.random.default_rng(0))


# -- the network and its training -------------------------------------------------------------------------------------


def test_missing_columns_use_their_own_embedding():
    torch.manual_seed(0)
    embed = ConditionEmbedding(Conditions(classes=5, values=2, columns=4), 8).double()  # classes 2 + 3
    with torch.no_grad():
        for p in embed.parameters():
            p.normal_()
    label, value = torch.tensor([[0, 2], [1, 4], [1, 4]]), torch.randn(3, 2).double()
    known = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 1]]).bool()
    cond = {"label": label, "value": value, "known": known, "keep": torch.tensor([True, True, False])}
    table, missing = embed.label.weight, embed.missing
    expected = torch.stack(
        [
            table[0] + table[2] + embed.value(value[0]),
            missing[0] + table[4] + embed.value(torch.stack([value[1, 0], torch.zeros(())])) + missing[3],
            embed.null,
        ]
    )
    assert torch.allclose(embed(cond, 3)[:, 0], expected)
    changed = {**cond, "label": torch.tensor([[0, 2], [0, 4], [0, 0]]), "value": value + 9 * ~known[:, 2:]}
    assert torch.allclose(embed(changed, 3)[:2], embed(cond, 3)[:2])  # what stands where nothing is known is not seen


def test_label_dropout_hides_single_columns_and_whole_rows():
    n, rate = 60_000, 0.2
    known = torch.ones(n, 3, dtype=torch.bool)
    known[: n // 3, 0] = False
    cond = {"value": torch.zeros(n, 3), "known": known, "keep": known.any(1)}
    data = Batch(torch.zeros(n, 1).long(), torch.ones(n).long(), cond)
    dropped = drop_labels(data, rate, torch.Generator().manual_seed(0)).cond
    assert not (dropped["known"] & ~known).any() and not (dropped["keep"] & ~dropped["known"].any(1)).any()
    whole = dropped["known"][n // 3 :]
    left = torch.bincount(whole.sum(1), minlength=4) / len(whole)
    assert torch.allclose(left, torch.tensor([0, rate / 2, rate / 2, 1 - rate]), atol=0.01)
    assert torch.allclose((~whole).float().mean(0), torch.full((3,), rate / 2), atol=0.01)
    # hidden with the others: the row's share, and where the two known columns are the two hidden
    assert abs(float((~dropped["keep"][n // 3 :]).float().mean()) - rate) < 0.01
    assert abs(float((~dropped["keep"][: n // 3]).float().mean()) - (rate + (1 - rate) * rate / 2 / 3)) < 0.01
    assert drop_labels(data, 0.0, torch.Generator()).cond is cond


def paired(n=240):
    """Return sequences whose first half is A or C by a label and whose second half is G or T by a value."""
    rng = np.random.default_rng(5)
    label, expr = rng.choice(["a", "c"], n), rng.choice([2.0, 8.0], n)
    first = np.where(rng.random((n, 5)) < 0.9, np.where(label == "a", "A", "C")[:, None], "G")
    second = np.where(rng.random((n, 5)) < 0.9, np.where(expr == 2.0, "G", "T")[:, None], "A")
    y = pd.DataFrame({"label": label, "expr": expr})
    y.loc[::9, "label"], y.loc[4::9, "expr"] = None, NAN
    return ["".join(row) for row in np.hstack([first, second])], y


KINDS = {"label": "class", "expr": "value"}
"""The values of `paired` are whole and have gaps, as classes of a table would: it has to be said that they are none."""


def share(samples, letter, half) -> float:
    return "".join(s[5 * half : 5 * half + 5] for s in samples).count(letter) / (5 * len(samples))


@pytest.fixture(scope="module")
def model():
    return tiny(epochs=20, lr=3e-2, label_dropout=0.2, dropout=0.0, target=KINDS).fit(*paired())


@pytest.fixture(scope="module")
def loaded(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("several") / "m.safetensors"
    model.save(path)
    return seqdiff.load(path)


@pytest.mark.parametrize("saved", [False, True])
def test_samples_follow_every_label_column(model, loaded, saved):
    writer = loaded if saved else model
    both = writer.generate(200, y={"label": "c", "expr": 8.0}, random_state=0)
    assert share(both, "C", 0) > 0.7 and share(both, "T", 1) > 0.7
    assert both == writer.generate(200, y=("c", 8.0), random_state=0) == model.generate(200, y=("c", 8), random_state=0)
    label = writer.generate(300, y={"label": "a"}, random_state=0)
    assert share(label, "A", 0) > 0.7 and 0.2 < share(label, "G", 1) < 0.75 and 0.2 < share(label, "T", 1) < 0.75
    value = writer.generate(300, y={"expr": 2.0}, random_state=0)
    assert share(value, "G", 1) > 0.7 and 0.2 < share(value, "A", 0) < 0.75 and 0.2 < share(value, "C", 0) < 0.75
    rows = writer.generate(200, y=pd.DataFrame({"label": ["a", "c"] * 100}), random_state=0)
    assert share(rows[::2], "A", 0) > 0.7 and share(rows[1::2], "C", 0) > 0.7
    assert writer.generate(50, y={}, random_state=0) == writer.generate(50, random_state=0)


def test_scores_of_several_columns(model):
    X, y = paired(80)
    right = model.score(X, y)
    one = [model.score(X, y[[name]]) for name in y]
    assert right > max(one) + 0.3 and min(one) > model.score(X) + 0.3  # up to ln 2 each
    assert right > model.score(X, y.assign(expr=10 - y["expr"])) + 3
    assert np.allclose(model.score_samples(X, y), model.score_samples(X, y[["expr", "label"]]))
    with pytest.raises(ValueError, match="'colour'"):
        model.score_samples(X, y.assign(colour="red"))


def test_empirical_labels_are_drawn_as_in_training(model, loaded):
    drawn = model.generate(400, y="empirical", random_state=0)
    assert drawn == loaded.generate(400, y="empirical", random_state=0)
    assert drawn != model.generate(400, y="empirical", random_state=1)
    assert drawn[:30] == model.generate(30, y="empirical", random_state=0)
    X = sequences(60, 6)
    classes = tiny().fit(X, ["a"] * 50 + ["b"] * 10)
    drawn = classes.generate(20, y="empirical", random_state=3)
    y = classes.target_.draw(20, np.random.default_rng(seqdiff.runtime.seed_of(3, "labels")))
    assert drawn == classes.generate(20, y=y, random_state=3)
    assert len(tiny().fit(X, np.arange(60.0)).generate(5, y="empirical")) == 5
    assert len(list(classes.trajectory(2, y="empirical", steps=3))) == 4
    with pytest.raises(ValueError, match="which is also the name of a class"):
        tiny().fit(X, ["empirical", "b"] * 30).generate(3, y="empirical")


def test_label_columns_are_read_from_a_file(workdir):
    X, y = paired(60)
    pd.DataFrame({"seq": X}).join(y).to_csv("x.csv", index=False)
    assert [t.kind for t in tiny(alphabet="dna").fit("x.csv", ["label", "expr"]).target_.columns] == ["class", "class"]
    model = tiny(alphabet="dna", target=KINDS).fit("x.csv", ["label", "expr"])
    assert [t.kind for t in model.target_.columns] == ["class", "value"]
    bound = tiny(alphabet="dna", target=KINDS).fit(X, y)
    assert model.generate(9, y=("a", 2.0), random_state=0) == bound.generate(9, y=("a", 2.0), random_state=0)
    assert (model.score_samples("x.csv", ["expr", "label"]) == model.score_samples(X, y)).all()
