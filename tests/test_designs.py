"""The table of designs: what is kept, what is rejected and why, where a sequence comes from, and files of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqdiff import MaskedDiffusion, SequenceClassifier, SequenceRegressor
from seqdiff.datasets import load_sigma70
from seqdiff.design import DesignRules, Designs
from seqdiff.errors import InputError

X = load_sigma70(200)
TINY: dict[str, Any] = {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}


@pytest.fixture(scope="module")
def model() -> Any:
    return MaskedDiffusion(**TINY).fit(X)


@pytest.fixture(scope="module")
def lengths() -> Any:
    """Return a model of sequences of several lengths, with labels."""
    return MaskedDiffusion(**TINY).fit([s[: 20 + i % 9] for i, s in enumerate(X)], [i % 2 for i in range(len(X))])


def gc(sequence: str) -> float:
    return (sequence.count("G") + sequence.count("C")) / len(sequence)


def test_designs_are_the_first_samples_that_pass(model: Any) -> None:
    """The slow, obvious way: sample many, keep what is within the range."""
    designs = model.design(10, DesignRules(gc=(0.45, 0.6)), scores=False, random_state=3)
    first = designs[designs["seed"] == 3]
    samples = model.generate(200, random_state=3)
    passing = [s for s in samples if 0.45 <= gc(s) <= 0.6]
    assert first.sequences == passing[: len(first)]
    assert len(designs) == len(set(designs.sequences)) == 10
    assert all(0.45 <= gc(s) <= 0.6 for s in designs.sequences)


@pytest.mark.parametrize("kind", ["model", "lengths"])
def test_origin_repeats_a_design(kind: str, request: pytest.FixtureRequest) -> None:
    """Its seed and number give the sequence again, whatever number is generated, of any length."""
    model = request.getfixturevalue(kind)
    designs = model.design(12, DesignRules(gc=(0.42, 0.6)), scores=False, random_state=5, steps=10)
    assert designs["seed"].nunique() > 1  # a second round, whose seed is another
    for seed, rows in designs.frame.groupby("seed"):
        again = model.generate(int(rows["draw"].max()) + 1, random_state=int(seed), steps=10)
        assert [again[i] for i in rows["draw"]] == rows["sequence"].tolist()


def test_yield_counts_every_sample(model: Any) -> None:
    designs = model.design(8, DesignRules(gc=(0.45, 0.6)), scores=False, random_state=0)
    made = designs.made
    assert made.sampled == made.passed + len(made.rejected)
    wrong = [s for s in made.rejected["sequence"] if 0.45 <= gc(s) <= 0.6]
    assert not wrong and made.reasons == {"gc": len(made.rejected)}
    assert made.rate == pytest.approx(made.passed / made.sampled)


def test_copies_are_rejected() -> None:
    """Of each other, and of the training set."""
    short = ["AC", "AG", "CA", "TT"] * 3
    model = MaskedDiffusion(**TINY).fit(short)
    with pytest.warns(UserWarning, match=r"designs instead of 16.*copy"):
        designs = model.design(16, train=short, scores=False, random_state=0)
    assert len(designs) == len(set(designs.sequences)) and not set(designs.sequences) & set(short)
    assert set(designs.made.reasons) == {"copy", "in the training set"}


def test_nothing_that_passes_is_an_error(model: Any) -> None:
    with pytest.raises(InputError, match=r"no design.*rejected by gc \d+"):
        model.design(2, DesignRules(gc=(0.98, 1.0)), tries=3, random_state=0)


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        (DesignRules(vendor="twist", left_flank="ACGTC"), "55 letters.*expected 300 to 5,000 letters.*another vendor"),
        (DesignRules(length=49), "50 letters.*expected 49 letters; give other flanks or another length$"),
    ],
)
def test_impossible_lengths_are_refused_before_sampling(model: Any, rules: DesignRules, wanted: str) -> None:
    with pytest.raises(InputError, match=f"rules, length: got {wanted}"):
        model.design(2, rules, random_state=0)
    assert len(model.design(2, DesignRules(length=(49, 51)), scores=False, random_state=0)) == 2


def test_the_sampler_is_given_motifs(model: Any) -> None:
    """Runs and motifs of the rules are not sampled in the first place, and a user's own are still forbidden."""
    rules = DesignRules(max_homopolymer=3, forbid=["GAATTC"])
    designs = model.design(30, rules, forbid=["TATA"], scores=False, random_state=1)
    assert not [s for s in designs.sequences if "TATA" in s]
    assert "max_homopolymer" not in designs.made.reasons and "forbid" not in designs.made.reasons


def test_metrics_of_each_design(model: Any) -> None:
    class Counts:
        def predict(self, X: Sequence[str]) -> np.ndarray:
            return np.array([s.count("A") for s in X])

    designs = model.design(4, train=X, predictor=Counts(), random_state=2)
    assert designs["predicted"].tolist() == [s.count("A") for s in designs.sequences]
    bits = -model.score_samples(designs.sequences) / 50 / np.log(2)
    np.testing.assert_allclose(designs["bits_per_letter"], bits)
    for row in designs.frame.itertuples():  # Hamming distance bounds the edit distance
        assert row.nearest in X
        assert row.distance <= min(sum(a != b for a, b in zip(row.sequence, x, strict=True)) for x in X)


def test_labelled_designs_are_scored_with_their_label(lengths: Any) -> None:
    designs = lengths.design(5, y=1, random_state=2, steps=10)
    per_letter = np.array([len(s) for s in designs.sequences]) * np.log(2)
    np.testing.assert_allclose(
        designs["bits_per_letter"], -lengths.score_samples(designs.sequences, [1] * 5) / per_letter
    )
    drawn = lengths.design(5, y="empirical", random_state=2, steps=10)
    assert len(drawn) == 5


def test_uncertainty_is_that_of_a_mixture() -> None:
    """Means and deviations of an ensemble against draws from the mixture of its normal distributions."""
    regressors = [SequenceRegressor(epochs=2, verbose=0, random_state=i).fit(X, [gc(s) for s in X]) for i in (0, 1)]
    designs = MaskedDiffusion(**TINY).fit(X).design(3, predictor=regressors, scores=False, random_state=0)
    rng = np.random.default_rng(0)
    parts = [rng.normal(*r.predict(designs.sequences, return_std=True), (40_000, 3)) for r in regressors]
    draws = np.concatenate(parts)
    np.testing.assert_allclose(designs["predicted"], draws.mean(0), atol=0.01)
    np.testing.assert_allclose(designs["predicted_sd"], draws.std(0), rtol=0.02)


def test_predicted_deviation_is_that_of_the_errors() -> None:
    """The standard deviation of noise that is all a regressor cannot know."""
    rng = np.random.default_rng(0)
    y = [3 * gc(s) + rng.normal(0, 2) for s in load_sigma70(1000)]
    regressor = SequenceRegressor(epochs=10, verbose=0).fit(load_sigma70(1000), y)
    value, deviation = regressor.predict(X, return_std=True)
    assert deviation.mean() == pytest.approx(2, rel=0.15)
    assert np.array_equal(value, regressor.predict(X))


def test_classifiers_give_class_and_probability(model: Any) -> None:
    classifier = SequenceClassifier(epochs=2, verbose=0).fit(X, ["at" if gc(s) < 0.4 else "gc" for s in X])
    designs = model.design(5, predictor=classifier, scores=False, random_state=0)
    p = classifier.predict_proba(designs.sequences)
    assert designs["predicted"].tolist() == classifier.predict(designs.sequences).tolist()
    np.testing.assert_allclose(designs["probability"], p.max(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": 1}, "y: got 1, expected None"),
        ({"predictor": 3}, "predictor: got an int"),
        ({"predictor": [SequenceRegressor(), SequenceClassifier()]}, "classifiers and regressors"),
        ({"tries": 0}, "tries: got 0"),
        ({"n": 0}, "n: got 0"),
        ({"temperature": -1}, "temperature"),
    ],
)
def test_wrong_arguments(model: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.design(**{"n": 3, **arguments})


def test_a_label_for_each_design_is_refused(lengths: Any) -> None:
    with pytest.raises(InputError, match=r"y: got \[0, 1, 0\], expected one label for all designs"):
        lengths.design(3, y=[0, 1, 0])


def test_the_table_is_read_back(model: Any, tmp_path: Path) -> None:
    designs = model.design(6, DesignRules(gc=(0.3, 0.7)), train=X, random_state=0)
    designs.to_csv(tmp_path / "designs.csv")
    read = Designs.read(tmp_path / "designs.csv")
    pd.testing.assert_frame_equal(read.frame, designs.frame, check_dtype=False, rtol=1e-5)
    assert read.alphabet.name == "dna" and read.rules == designs.rules
    assert str(read.made) == str(designs.made) and read.provenance == designs.provenance
    (tmp_path / "designs.csv.json").write_text("[1]")  # another's
    assert Designs.read(tmp_path / "designs.csv").rules is None


def test_other_tables_and_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(">one x\nACGTACGT\n>two\nGGTACCAA\n>two\nTTTTACGA\n")
    assert Designs.read(tmp_path / "a.fasta").names == ["one", "two", "two-2"]
    assert Designs.read(["ACGT", "GGCC"]).names == ["design-1", "design-2"]
    (tmp_path / "b.csv").write_text("seq;well;keep;value\nACGTA;A1;True;1,5\nGGCCA;A2;False;2\n")
    table = Designs.read(tmp_path / "b.csv")
    assert table.sequences == ["ACGTA", "GGCCA"] and table["well"].tolist() == ["A1", "A2"]
    assert table[table["keep"].astype(bool)].sequences == ["ACGTA"]


def test_no_cell_becomes_a_formula(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["=1+1", "+a"], "sequence": ["ACGT", "GGCC"], "note": ["@x", "plain"]})
    Designs(frame).to_csv(tmp_path / "designs.csv")
    lines = (tmp_path / "designs.csv").read_text().splitlines()
    assert not [cell for line in lines for cell in line.split(",") if cell[:1] in "=+-@"]
    assert Designs.read(tmp_path / "designs.csv").names == ["=1+1", "+a"]


def test_verdicts_of_other_rules_replace_the_old_ones(model: Any) -> None:
    designs = model.design(10, DesignRules(gc=(0.3, 0.7)), scores=False, random_state=0).check(
        DesignRules(forbid=["A"])
    )
    assert "gc_ok" not in designs.frame and designs["forbid_ok"].tolist() == [
        "A" not in s and "T" not in s for s in designs.sequences
    ]
    assert designs["passed"].equals(designs["forbid_ok"].rename("passed"))


def test_rows_are_chosen_as_in_an_array() -> None:
    frame = pd.DataFrame(
        {"name": list("abcd"), "sequence": ["ACGT", "AAAA", "CCCC", "GGGG"], "x": [2.0, np.nan, 3.0, 1.0]}
    )
    designs = Designs(frame)
    assert designs[1:3].names == ["b", "c"] and designs[[3, 0]].names == ["d", "a"]
    assert designs[designs["x"] > 1].names == ["a", "c"] and designs[-1]["name"] == "d"
    assert designs.best(3, "x").names == ["c", "a", "d"] and designs.best(1, "x", largest=False).names == ["d"]
    assert [row["name"] for row in designs] == list("abcd")
    for wrong in ("y", [True], 1.5):
        with pytest.raises(InputError):
            designs[wrong]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("x", "got a str, expected a DataFrame"),
        (pd.DataFrame({"sequence": ["ACGT"]}), "without the column 'name'"),
        (pd.DataFrame({"name": ["a", "a"], "sequence": ["ACGT", "ACGA"]}), "the name 'a' twice"),
    ],
)
def test_wrong_tables(frame: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Designs(frame)


def test_html_escapes_what_it_shows() -> None:
    frame = pd.DataFrame({"name": ["<b>"], "sequence": ["ACGT"]})
    assert "<b>" not in Designs(frame)._repr_html_() and "&lt;b&gt;" in Designs(frame)._repr_html_()


def test_warnings_are_not_repeated(model: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.design(3, DesignRules(gc=(0.2, 0.8)), scores=False, random_state=0)


def test_proteins_become_dna_with_verdicts() -> None:
    """Each DNA spells its protein, and a row that breaks the rules says why."""
    from Bio.Seq import translate

    proteins = Designs.read(["MKVLAAGIVGRW", "MWWWWWWWWWW"], alphabet="protein")
    dna = proteins.to_dna(rules=DesignRules(gc=(0.3, 0.56), forbid=["TGGTGG"]))
    assert [translate(s) for s in dna.sequences] == dna["protein"].tolist() == proteins.sequences
    assert dna["passed"].tolist() == [True, False] and "TGGTGG" in dna["reasons"][1]
    assert dna.alphabet.name == "dna" and dna["cai"].between(0, 1).all()


def test_designs_make_a_library_and_an_order(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["a", "b"], "sequence": ["ACGTACGTAA", "ACGTACGTAC"], "predicted": [1.0, 2.0]})
    designs = Designs(frame).check(DesignRules(left_flank="GG", right_flank="TT"))
    assert designs.to_library(size=1).oligos == ("ACGTACGTAM",)
    designs.to_order(tmp_path / "order.csv")
    ordered = pd.read_csv(tmp_path / "order.csv")
    assert ordered["sequence"].tolist() == [f"GG{s}TT" for s in designs.sequences]
    assert ordered["predicted"].tolist() == [1.0, 2.0]
