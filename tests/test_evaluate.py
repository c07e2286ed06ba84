"""`evaluate`: every column against its own definition, natural sequences against themselves, copies, errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from seqdiff import MaskedDiffusion, SequenceClassifier, SequenceRegressor
from seqdiff.datasets import load_sigma70
from seqdiff.evaluation import (
    MarkovChain,
    PositionWeightMatrix,
    bits_per_letter,
    copied_fraction,
    evaluate,
    frechet_distance,
    gc_content,
    kmer_js,
)

CEILING, FLOOR = "natural (ceiling)", "shuffled (floor)"
PLAIN = {"discriminators": []}


@pytest.fixture(scope="module", autouse=True)
def _fewer_bootstrap_samples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqdiff.evaluation.evaluating.BOOTSTRAPS", 30)
        yield


@pytest.fixture(scope="module")
def natural() -> list[str]:
    return load_sigma70(900)


@pytest.fixture(scope="module")
def result(natural):
    """Three groups: copies of the training set, other natural sequences, random letters."""
    train, reference = natural[:300], natural[300:]
    letters = np.random.default_rng(0).choice(list("ACGT"), (300, 50))
    groups = {"copies": train, "others": load_sigma70(300, 1), "<random>": ["".join(row) for row in letters]}
    return evaluate(groups, reference, train=train, discriminators=["kmer"])


def test_natural_sequences_cannot_be_told_from_natural_ones(result):
    lower, upper = (result.intervals["auroc_kmer"][end] for end in ("lower", "upper"))
    for name in (CEILING, "others"):
        assert lower[name] < 0.5 < upper[name]
        assert result.table.loc[name, "kmer_r"] > 0.5 and result.table.loc[name, "precision"] > 0.8
    assert lower["<random>"] > 0.6 and lower[FLOOR] > 0.5
    assert result.ranking().index[-1] == "<random>" == result.farthest
    for metric in ("kmer_js", "frechet", "position_js"):
        assert result.table.loc[CEILING, metric] < 0.7 * result.table.loc["<random>", metric]


def test_copies_of_the_training_set_are_memorised(result):
    assert result.table["memorised"].tolist() == [True, False, False, False, False]
    assert result.table.loc["copies", ["novel", "nearest", "authentic"]].tolist() == [0, 0, 0]
    assert any("copies is memorised" in text for text in result.conclusions())


def test_a_few_copies_and_changed_copies_are_memorised(natural):
    train, reference, new = natural[:300], natural[300:], load_sigma70(200, 2)
    changed = [s[:20] + "A" + s[21:] for s in train[:200]]
    groups = {"twentieth": train[:10] + new[10:], "changed": changed, "new": new}
    table = evaluate(groups, reference, train=train, **PLAIN).table
    assert table["memorised"].tolist() == [True, True, False, False, False]
    assert table.loc["changed", "novel"] > 0.7 and table.loc["changed", "nearest"] <= 1 / 50


def test_each_column_is_its_definition(result, natural):
    rows = {row.name: row for row in result.rows}
    train, others = natural[:300], rows["others"]
    reference = rows[CEILING].kmers[1]
    assert all(
        np.array_equal(np.sort(row.kmers[1][row.kmers[1] > 0]), np.sort(reference[reference > 0]))
        for row in rows.values()
    )
    for name, row in rows.items():
        table = result.table.loc[name]
        assert table["n"] == len(row.sequences) == 300
        assert table["unique"] == len(set(row.sequences)) / 300
        assert table["gc"] == pytest.approx(gc_content(row.sequences).mean())
        assert table["kmer_js_distance"] == pytest.approx(table["kmer_js"] ** 0.5)
        assert table["novel"] == pytest.approx(1 - copied_fraction(row.sequences, train))
        assert table["nearest"] == pytest.approx(row.nearest.mean())
    half = [s for s in natural[300:] if s not in set(rows[CEILING].sequences)]  # the reference, as all differ
    assert len(half) == 300
    assert result.table.loc["others", "kmer_js"] == pytest.approx(kmer_js(others.sequences, half, 6))


def test_intervals_hold_their_values(result):
    for metric in result.intervals.columns.get_level_values(0).unique():
        ends, values = result.intervals[metric], result.table[metric]
        assert (ends["lower"] <= values + 1e-9).all() and (values <= ends["upper"] + 1e-9).all(), metric
    assert {"unique", "gc_ks", "n"} & set(result.intervals.columns.get_level_values(0)) == set()


def test_a_row_does_not_depend_on_the_other_groups_and_a_seed_repeats(result, natural):
    alone = evaluate(load_sigma70(300, 1), natural[300:], train=natural[:300], discriminators=["kmer"])
    pd.testing.assert_series_equal(alone.table.loc["generated"], result.table.loc["others"], check_names=False)
    pd.testing.assert_frame_equal(alone.table.loc[[CEILING, FLOOR]], result.table.loc[[CEILING, FLOOR]])
    other = evaluate(load_sigma70(300, 1), natural[300:], train=natural[:300], random_state=1, **PLAIN)
    assert other.table.loc[CEILING, "kmer_js"] != alone.table.loc[CEILING, "kmer_js"]


def test_sets_of_different_sizes_are_compared_at_one_size(natural):
    result = evaluate({"many": load_sigma70(200, 1), "few": load_sigma70(40, 2)}, natural[:150], subsample=20, **PLAIN)
    assert result.table["given"].tolist() == [200, 40, 40, 40]
    assert result.table["n"].tolist() == [40] * 4 and result.facts["subsample"] == 20
    assert result.facts["known"] == 110  # of the reference, without a training set, all but the ceiling


def test_validity_counts_letters_and_lengths():
    reference = load_sigma70(60)
    good = [s.lower() for s in load_sigma70(20, 1)]
    bad = [good[0] + "N", "", good[1] + "A", good[2][1:]]
    result = evaluate(good + bad, reference, **PLAIN)
    assert result.table.loc["generated", ["given", "n"]].tolist() == [24, 22]  # wrong letters are not compared
    assert result.table.loc["generated", "valid"] == pytest.approx(20 / 24)
    assert result.table.loc["generated", "length_ks"] > 0 and result.table.loc[CEILING, "length_ks"] == 0
    assert np.isnan(result.table.loc["generated", "position_js"]) and result.table.loc[CEILING, "position_js"] > 0


def test_training_sequences_in_the_reference_say_nothing_of_the_natural_distance(natural):
    """Half of the reference was trained on: the others are far from the training set, as they should be."""
    table = evaluate(load_sigma70(100, 1), natural[:200], train=natural[:100], **PLAIN).table
    apart = evaluate(load_sigma70(100, 1), natural[100:300], train=natural[:100], **PLAIN).table
    assert table.loc[CEILING, "nearest"] == pytest.approx(apart.loc[CEILING, "nearest"], rel=0.05)
    assert 0.3 < table.loc[CEILING, "novel"] < 0.7 and apart.loc[CEILING, "novel"] == 1
    unknown = evaluate(natural[:100], natural[:100], train=natural[:100], **PLAIN)
    assert unknown.table["memorised"].tolist() == [None, None, None] and "memorising" in unknown.notes[0]


def test_proteins_and_sequences_of_other_letters():
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(8, 30))) for _ in range(120)]
    table = evaluate(proteins[:40], proteins[40:], discriminators=["kmer"]).table
    assert "gc" not in table and "position_js" not in table and (table["length_ks"] > 0).any()
    smiles = ["C" * int(n) + "Cl" for n in rng.integers(1, 9, 60)]
    result = evaluate(smiles[:20], smiles[20:], alphabet="smiles", **PLAIN)
    assert result.table.loc["generated", "length"] == np.mean([len(s) - 1 for s in smiles[:20]])
    assert result.plot().axes[1].get_xlabel() == "length in characters"


def test_bits_are_of_natural_sequences_under_the_model_of_each_group(natural):
    train, reference = natural[:100], natural[50:150]
    models = {"matrix": PositionWeightMatrix().fit(train), "chain": MarkovChain(2).fit(train)}

    class Bound:
        bound_ = "elbo"

        def score_samples(self, X):
            return models["chain"].score_samples(X) - 1

    groups = {name: load_sigma70(50, i) for i, name in enumerate(["matrix", "bound", "none"])}
    result = evaluate(groups, reference, train=train, model={"matrix": models["matrix"], "bound": Bound()}, **PLAIN)
    unseen = natural[100:150]
    wanted = bits_per_letter(models["matrix"].score_samples(unseen), unseen)
    bits, ends = result.table["bits"], result.intervals["bits"].loc["matrix"]
    assert bits["matrix"] == pytest.approx(wanted) and 0 < ends["upper"] - ends["lower"] < 0.2
    assert (
        result.table["bound"].tolist()[:2] == ["exact", "elbo"] and bits.isna().tolist() == [False, False] + [True] * 3
    )
    every = evaluate(groups, reference, train=train, model=models["matrix"], **PLAIN).table["bits"]
    assert every.tolist()[:3] == [bits["matrix"]] * 3


def test_predicted_values_and_hidden_states(natural):
    class Predictor:
        def predict(self, X):
            return gc_content(X) * 100

        def embed(self, X):
            return np.stack([gc_content(X), [s.count("A") for s in X]], 1)

    result = evaluate(load_sigma70(100, 1), natural[:200], predictor=Predictor(), **PLAIN)
    rows = {row.name: row for row in result.rows}
    reference = [s for s in natural[:200] if s not in set(rows[CEILING].sequences)]
    x, y = (Predictor().embed(some) for some in (rows["generated"].sequences, reference))
    assert result.table.loc["generated", "predicted"] == pytest.approx(result.table.loc["generated", "gc"] * 100)
    wanted = frechet_distance(x, y) / y.var(0, ddof=1).sum()
    assert result.table.loc["generated", "frechet_hidden"] == pytest.approx(wanted)
    tests = result.tests.set_index(["measure", "test"])
    assert tests.loc[("predicted", "Dunn"), "p"].tolist() == pytest.approx(tests.loc[("gc", "Dunn"), "p"].tolist())


def test_predictors_of_the_package(natural):
    rich = [s for s in natural[:300] if abs(gc_content([s])[0] - 0.4) > 0.04]
    small = {"width": 8, "depth": 1, "epochs": 10, "lr": 3e-2}
    classifier = SequenceClassifier(**small).fit(rich, ["high" if gc_content([s])[0] > 0.4 else "low" for s in rich])
    groups = {"high": [s for s in rich if gc_content([s])[0] > 0.4][:30]}
    table = evaluate(groups, natural[300:400], predictor=classifier, **PLAIN).table
    assert table.loc["high", "predicted low"] < table.loc[CEILING, "predicted low"] and "predicted high" not in table
    assert table.loc["high", "frechet_hidden"] > table.loc[CEILING, "frechet_hidden"]
    regressor = SequenceRegressor(**small | {"epochs": 1}).fit(rich, gc_content(rich))
    assert {"predicted", "frechet_hidden"} <= set(
        evaluate(groups, natural[300:400], predictor=regressor, **PLAIN).table
    )


def test_motifs_are_counted_and_tested(natural):
    box = np.eye(4)[["ACGT".index(x) for x in "TATAAT"]]
    planted = [s[:20] + "TATAAT" + s[26:] for s in load_sigma70(100, 1)]
    result = evaluate({"planted": planted}, natural[:200], motifs={"box": box}, **PLAIN)
    assert result.table.loc["planted", "motif box"] > result.table.loc[CEILING, "motif box"] + 0.7
    dunn = result.tests[(result.tests.measure == "motif box") & (result.tests.test == "Dunn")].iloc[0]
    assert dunn.statistic > 5 and dunn.p_holm < 1e-6


def test_jaspar_motifs_by_name_and_identifier(natural):
    pytest.importorskip("pyjaspar")
    result = evaluate(natural[:40], natural[40:120], motifs=["SPI1", "MA0139"], **PLAIN)
    names = [name for name in result.table if re.search(r"MA\d+\.\d", name)]
    assert len(names) == 2 and "MA0080" in names[0].upper() and "MA0139" in names[1]
    with pytest.raises(ValueError, match="motifs: got 'NOPE', expected a name or an identifier of JASPAR"):
        evaluate(natural[:40], natural[40:120], motifs="NOPE", **PLAIN)


def test_html_needs_nothing_else_and_escapes_names(result):
    text = result.to_html()
    assert "&lt;random&gt;" in text and "<random>" not in text
    assert "<svg" in text and "<script" not in text and not re.search(r"(src|href)=.(?!#|data:)", text)
    assert "<svg" not in result._repr_html_()
    low, high = result.intervals.loc["others", "kmer_js"]
    assert f"{low:.3g} to {high:.3g}" in text
    assert all(f"<th scope='row'>{name}</th>" in text for name in result.table)
    assert repr(result).count("\n") > len(result.table.columns) and "6-mer" in repr(result)


def test_plot_draws_every_group(result):
    scatter, gc, nearest = result.plot("title").axes
    assert len(scatter.collections) == 4 and len(gc.get_legend().get_texts()) == 4
    assert len(nearest.get_legend().get_texts()) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generated": []}, "generated: X: got nothing"),
        ({"generated": {}}, "generated: got an empty dict"),
        (
            {"generated": ["ACGT"]},
            "generated: got 1 of 1 sequences with letters of the dna alphabet only, expected at least 10",
        ),
        ({"generated": {"a": ["NNNN"] * 20}}, r"generated\['a'\]: got 0 of 20 sequences"),
        ({"generated": {CEILING: ["ACGT"] * 20}}, "got the name 'natural"),
        ({"generated": {3: ["ACGT"] * 20}}, "got the name 3, expected a str"),
        ({"generated": [3, np.nan]}, r"generated: X\[0\]: got 3"),
        ({"reference": ["ACGT"] * 19}, "reference: got 19 sequences, expected at least 20"),
        ({"reference": ["ACGN"] * 40}, r"reference: X\[0\]: got 'N' at position 4"),
        ({"reference": "ACGT"}, "reference: X: got the single string"),
        ({"train": []}, "train: X: got nothing"),
        ({"train": ["ACGT"] * 20}, "train: got copies of one sequence"),
        ({"train": ["MKV"] * 20}, r"train: X\[0\]: got 'M'"),
        ({"k": 0}, "k: got 0, expected a whole number"),
        ({"k": 51}, "k: got 51, expected at most 50"),
        ({"subsample": 5}, "subsample: got 5"),
        ({"random_state": -1}, "random_state: got -1"),
        ({"discriminators": "kmer"}, "discriminators: got 'kmer', expected a list of 'kmer' and 'conv'"),
        ({"discriminators": ["forest"]}, "discriminators: got"),
        ({"motifs": []}, "motifs: got an empty list"),
        ({"motifs": {"a": np.ones((3, 5))}}, r"motifs: got shape \(3, 5\)"),
        ({"model": {"other": None}}, "model: got a model of 'other', expected names of groups, 'generated'"),
        ({"model": object()}, "model: got an object without one, expected a fitted model with a likelihood"),
        ({"predictor": len}, "predictor: got a builtin_function_or_method, expected an object with the method predict"),
        ({"predictor": type("P", (), {"predict": lambda self, X: [1.0]})()}, r"predictor: got shape \(1,\) of predict"),
        ({"predictor": type("P", (), {"predict": lambda self, X: [np.nan] * len(X)})()}, "not finite"),
    ],
)
def test_mistakes_get_one_clear_sentence(change, message):
    given = {"generated": load_sigma70(12, 1), "reference": load_sigma70(24), **PLAIN, **change}
    with pytest.raises(ValueError, match=message):
        evaluate(given.pop("generated"), given.pop("reference"), **given)


def test_motifs_are_for_dna_and_images_are_refused():
    proteins = ["MKVLAWWYE", "MKVLAWWYD"] * 20
    with pytest.raises(ValueError, match="motifs: got 'SPI1' for protein sequences, expected DNA"):
        evaluate(proteins, proteins, motifs="SPI1", **PLAIN)
    with pytest.raises(ValueError, match="images"):
        evaluate(np.zeros((30, 4, 4), int), np.zeros((30, 4, 4), int), **PLAIN)


def test_a_generator_without_likelihood_is_refused(natural):
    class NoLikelihood(MaskedDiffusion):
        bound_ = None

    with pytest.raises(ValueError, match="model: got a NoLikelihood without one"):
        evaluate(natural[:20], natural[20:60], model=NoLikelihood(), **PLAIN)


@pytest.mark.slow
def test_real_promoters(data_dir):
    """Natural against natural: 0.5; shuffled, which the network tells apart: above 0.9; copies are memorised."""
    table = pd.read_csv(data_dir / "ecoli50_expr.csv")
    train, test = (table[table.split == split].seq.tolist() for split in ("train", "test"))
    result = evaluate({"copies": train[:500]}, test[:1000], train=train, discriminators=["kmer", "conv"])
    for name in ("auroc_kmer", "auroc_conv"):
        low, high = result.intervals.loc[CEILING, name]
        assert low < 0.5 < high
    assert result.table.loc[FLOOR, "auroc_conv"] > 0.85  # 0.93 of 1,000 sequences
    assert result.table["memorised"].tolist() == [True, False, False]


@pytest.mark.slow
def test_designs_of_optimisers(data_dir):
    """The optimisers of polygraph left natural sequences farther behind than the random sequences they began with."""
    table = pd.read_csv(data_dir / "polygraph_human200.txt", header=None, names=["seq", "group"])
    groups = {name: rows.seq.tolist() for name, rows in table.groupby("group")}
    native = groups.pop("native")
    result = evaluate({"native": native[:1000], **groups}, native[1000:], discriminators=["kmer"])
    order = result.ranking().index.tolist()
    assert set(order[:2]) == {"native", CEILING} and order[2] == FLOOR
    assert order[3] == "random" and result.farthest == "AdaLead"
    assert (result.table.loc[order[3:], "auroc_kmer"] > 0.99).all()
