"""`check_data`: each count against a slow count, the reading against `prepare`, the advice against what `fit` says."""

from __future__ import annotations

import warnings
from collections import Counter
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_models import refuses, sequences, tiny

from seqdiff import Autoregressive, MaskedDiffusion
from seqdiff.data import DNA, DataCheck, check_data, cluster_split, prepare, split
from seqdiff.data.checking import DEFAULT_WEIGHTS, dust
from seqdiff.data.split import random_split, relatives
from seqdiff.errors import InputError
from seqdiff.model import Vocabulary


def row(check: DataCheck, finding: str) -> pd.Series:
    """Return the one row of the table whose finding begins so, after the name of a column of labels."""
    table = check.table
    found = table[table.finding.str.replace("^y( column '.*')?: ", "", regex=True).str.startswith(finding)]
    assert len(found) == 1, (finding, table.finding.tolist())
    return found.iloc[0]


def other_strand(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


# -- sequences that are read -------------------------------------------------------------------------------------------


def test_every_fault_is_counted_and_placed():
    good = sequences(40, 30)
    X = [*good, "ACGT!CGT", "ACxT", "", None, "acgtn", "AC-G.T", "--NRACGT", " \t", "AC-GT!"]
    check = check_data(X, alphabet="dna")
    expected = {
        "sequences without letters": (3, "X[42]"),
        "sequences with letters that the alphabet lacks ('!' 2, 'X' 1)": (3, "X[40], position 5"),
        "sequences with ambiguity codes ('N' 2, 'R' 1)": (2, "X[44], position 5"),
        "sequences with gaps": (3, "X[45]"),
    }
    for finding, (number, example) in expected.items():
        found = row(check, finding)
        assert (found.number, found.example) == (number, example) and found.action
        assert found.share == pytest.approx(number / len(X))
    assert row(check, "sequences of another length than 30").number == 1  # of ACGT, once its gaps are out
    assert row(check_data(["ACGT", "AC--GTN"]), "sequences with ambig").example == "X[1], position 7"  # as it was given


@pytest.mark.parametrize("seed", range(40))
def test_reading_needs_action_where_prepare_refuses(seed):
    """With any faults, and whatever is dropped of them."""
    rng = np.random.default_rng(seed)
    X = sequences(8, 12, seed=seed)
    for _ in range(rng.integers(3)):
        i, j = rng.integers(8), rng.integers(12)
        X[i] = X[i][:j] + rng.choice(["N", "-", "!", "U", "r", ""]) + X[i][j + 1 :]
    if rng.random() < 0.2:
        X[0] = rng.choice(["", "  ", "--"])
    dropped = {name: str(rng.choice(["error", "drop"])) for name in ("ambiguous", "gaps")}
    try:
        prepare(X, alphabet="dna", **dropped)
        refused = False
    except InputError:
        refused = True
    check = check_data(X, alphabet="dna", **dropped)
    reading = check.table.finding.str.startswith(("sequences without", "sequences with "))
    assert check.table[reading].action.ne("").any() == refused


def test_letters_of_no_known_alphabet_are_reported():
    X = ["CC(=O)Oc1ccccc1", "CCO", "C#N"]
    check = check_data(X)
    assert row(check, "sequences in letters of neither").number == 3 and "'smiles'" in check.warnings[0]
    assert not any("neither" in text or "lacks" in text for text in check_data(X, alphabet="smiles").warnings)


def test_the_cure_of_a_wrong_letter_is_that_of_fit():
    assert "alphabet='rna'" in row(check_data(["ACGU", "ACGT"], alphabet="dna"), "sequences with letters").action


def test_files_with_empty_records_are_reported(tmp_path: Path):
    """`fit` refuses them."""
    fasta, table = tmp_path / "p.fasta", tmp_path / "p.csv"
    fasta.write_text(">a\nACGT\n>b\n>c\nACGG\n")
    table.write_text("sequence,expr\nACGT,1.5\n,2.5\nACGG,0.5\n")
    for path, place in ((fasta, "record 'b' (line 3)"), (table, "line 3")):
        refuses(lambda path=path: prepare(path))
        found = row(check_data(path), "sequences without letters")
        assert (found.number, found.example) == (1, place)
    frame = pd.DataFrame({"sequence": ["ACGT", None, "ACGG"], "expr": [1.5, 2.5, 0.5]})
    assert row(check_data(frame, "expr"), "sequences without letters").example == "row 1 (from 0)"
    assert check_data(iter(["ACGT", "", "ACGG"]), ["a", "a", "b"]).table.equals(
        check_data(["ACGT", "", "ACGG"], ["a", "a", "b"]).table
    )


def test_what_cannot_be_read_is_one_sentence():
    for X in ([], [""], ["--", None], "ACGT", ["ACGT", 3], [3.5, 2.5], 7):
        refuses(lambda X=X: check_data(X))
    refuses(lambda: check_data(["NNNN", ""], alphabet="dna"), "ambiguity codes ('N' 4): 1 of 2 (X[0], position 1)")
    for wrong in ({"validation": 1}, {"weights": 0}, {"gaps": "keep"}, {"alphabet": "proteins"}, {"random_state": -1}):
        refuses(lambda wrong=wrong: check_data(["ACGT", "ACGG"], **wrong), next(iter(wrong)))
    refuses(lambda: check_data(["ACGT", "ACGG"], ["a"]), "y: got 1 rows")
    refuses(lambda: check_data(pd.DataFrame({"sequence": ["ACGT"] * 2}), "expr"), "no column")
    assert check_data(["ACGTACGTAC"]).table.number.tolist()[:4] == [0, 0, 0, 0]


def test_images_are_checked():
    images = np.random.default_rng(0).integers(0, 16, (60, 5, 5))
    images[7] = images[3]
    check = check_data(images, np.arange(60) % 2)
    assert row(check, "copies").example == "X[3] and X[7]"
    assert not check.table.finding.str.contains("gaps|ambiguity|complexity|length|strand|without").any()


# -- copies and the split ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alphabet", ["dna", "ACGTX"])
@pytest.mark.parametrize("seed", range(3))
def test_copies_and_near_copies_are_those_of_all_pairs(alphabet, seed):
    rng = np.random.default_rng(seed)
    X = sequences(40, 24, seed=seed)
    for i in range(40, 60):  # copies with up to four changes, every second one on the other strand
        letters = list(X[rng.integers(i)])
        for j in rng.integers(24, size=rng.integers(5)):
            letters[j] = "ACGT"[rng.integers(4)]
        X.append("".join(letters))
        X[i] = other_strand(X[i]) if i % 2 else X[i]
    check = check_data(X, alphabet=alphabet)

    strands = [{s, other_strand(s)} if alphabet == "dna" else {s} for s in X]
    repeats = [i for i in range(60) if X[i] in X[:i]]
    reverse = [i for i in range(60) if X[i] not in X[:i] and any(strands[i] & strands[j] for j in range(i))]
    family = list(range(60))
    for i, j in combinations(range(60), 2):
        if min(sum(a != b for a, b in zip(X[i], s, strict=True)) for s in strands[j]) <= 2:
            old, new = family[j], family[i]
            family = [new if f == old else f for f in family]
    members = {f: {frozenset(strands[i]) for i in range(60) if family[i] == f} for f in set(family)}
    assert row(check, "copies of earlier").number == len(repeats) > 0
    assert row(check, "near copies").number == sum(len(members[f]) > 1 for f in family) > 0
    if alphabet == "dna":
        assert row(check, "reverse complements").number == len(reverse) > 0
    else:
        assert "reverse" not in check.table.finding.str.cat()


@pytest.mark.parametrize("alphabet", ["dna", "ACGTX"])
@pytest.mark.parametrize("k", [5, 6])
@pytest.mark.parametrize("filtered", [True, False])
def test_relatives_are_those_of_all_pairs(alphabet, k, filtered, monkeypatch):
    if not filtered:  # every word is looked for
        monkeypatch.setattr(split, "_slots", lambda codes: np.zeros(codes.shape, dtype=int))
    rng = np.random.default_rng(k)
    X = [s[: rng.integers(2, 12)] for s in sequences(120, 12, seed=k)]
    data, held = prepare(X, alphabet=alphabet), rng.random(120) < 0.3

    def words(s: str) -> set[str]:
        return {s[i : i + k] for i in range(len(s) - k + 1)}

    both = [words(s) | (words(other_strand(s)) if alphabet == "dna" else set()) for s in X]
    found = relatives(data, held, k)
    for i in range(120):
        related = [j for j in np.flatnonzero(~held) if held[i] and words(X[i]) & both[j]]
        assert (found[i] in related) if related else (found[i] == -1)
    assert (found >= 0).any() and (found[held] == -1).any()


def test_held_out_sequences_that_share_letters_are_those_of_the_split_of_fit():
    """Pairs that overlap by 25 letters: their number, and none of them where whole clusters are held out."""
    rng = np.random.default_rng(0)
    X = sequences(150, 60, seed=1)
    X += [s[35:] + t[:35] for s, t in zip(X, sequences(150, 60, seed=2), strict=True)]
    X = [X[i] for i in rng.permutation(300)]
    check = check_data(X)
    found = row(check, "held-out sequences that share 20")
    _, held = random_split(300, 0.1, 0)
    words = [{s[i : i + 20] for i in range(41)} for s in X]
    train = set.union(*(words[i] for i in set(range(300)) - set(held.tolist())))
    assert found.number == sum(bool(words[i] & train) for i in held) > 20
    assert found.share == pytest.approx(found.number / 30) and "cluster_split" in found.action
    assert (relatives(prepare(X), cluster_split(X) != "train") == -1).all()
    one = "".join(np.random.default_rng(3).choice(list("ACGT"), 30))
    assert "another source" in row(check_data([s + one for s in X]), "held-out sequences that share").action


def test_more_than_one_held_out_sequence_in_twenty_needs_action():
    X = sequences(200, 60)
    train, held = random_split(200, 0.1, 0)
    for number in range(1, 4):
        X[held[number]] = X[train[number]][:25] + X[held[number]][25:]
        found = row(check_data(X), "held-out sequences that share 20")
        assert found.number == number and bool(found.action) == (number > 1)


def test_real_promoters_share_what_strings_share(data_dir: Path):
    table = pd.read_csv(data_dir / "ecoli50_expr.csv")
    check = check_data(table, "expr")
    held = np.zeros(len(table), dtype=bool)
    held[random_split(len(table), 0.1, 0)[1]] = True
    words = [{s[i : i + 20] for i in range(31)} for s in table["seq"]]
    train = set.union(*(w for w, h in zip(words, held, strict=True) if not h))
    crossing = sum(bool({v for w in words[i] for v in (w, other_strand(w))} & train) for i in np.flatnonzero(held))
    found = row(check, "held-out sequences that share")
    assert 0 < found.number <= crossing < found.number + 40  # near copies, 58 in all, stay together
    assert len(check.warnings) == 1 and row(check, "reverse complements").number == 4


# -- sequences ---------------------------------------------------------------------------------------------------------


def slow_dust(sequence: str) -> float:
    starts = range(0, max(len(sequence) - 64, 0) + 32, 32)
    windows = [sequence[min(s, max(len(sequence) - 64, 0)) :][:64] for s in starts]
    scores = []
    for window in windows:
        triplets = [window[i : i + 3] for i in range(len(window) - 2)]
        pairs = sum(a == b for a, b in combinations(triplets, 2))
        scores.append(pairs / max(len(triplets) - 1, 1))
    return float(np.mean(scores))


def test_dust_is_the_mean_over_windows():
    rng = np.random.default_rng(0)
    X = [s[: rng.integers(1, 200)] for s in sequences(60, 200)]
    X += ["A" * n for n in (1, 2, 3, 4, 64, 65, 96, 97, 150)] + ["ACG" * 40, "AC" * 17, X[0] + "T" * 100]
    np.testing.assert_allclose(dust(prepare(X, alphabet="dna")), [slow_dust(s) for s in X])
    proteins = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 90)) for _ in range(5)] + ["MK" * 40]
    np.testing.assert_allclose(dust(prepare(proteins)), [slow_dust(s) for s in proteins])


def test_low_complexity_needs_action_where_it_is_frequent():
    X = sequences(200, 80)
    assert row(check_data(X), "sequences of low").number == 0
    few, many = (
        row(check_data([*X, *["AC" * 40, "T" * 80, "ACG" * 26 + "AC"] * n]), "sequences of low") for n in (1, 9)
    )
    assert (few.number, few.example, few.action) == (3, "X[200]", "") and many.number == 27 and many.action


def test_a_few_other_lengths_look_like_mistakes():
    X = sequences(100, 30)
    few = row(check_data([*X, "ACGTTGCA", "A"]), "sequences of another length than 30")
    assert (few.number, few.example) == (2, "X[100]: 8 letters") and few.action
    mixed = check_data([s[: 10 + i % 20] for i, s in enumerate(X)])
    assert not row(mixed, "sequences of another length").action and "10 to 29 letters" in repr(mixed)


def test_default_weights_are_those_of_the_default_networks():
    data = prepare(sequences(20, 50))
    for generator in (Autoregressive(), MaskedDiffusion()):
        objective = generator.build(Vocabulary.fit(data, None, (None, None), "auto", 0))
        assert sum(p.numel() for p in objective.parameters()) == pytest.approx(DEFAULT_WEIGHTS, rel=0.02)


def test_memorised_sequences_have_the_bits_of_the_weights():
    X = sequences(400, 50)  # 100 bits each
    found = row(check_data(X, weights=10_000), "training sequences that 10,000 weights")
    assert found.number == 200 and found.share == pytest.approx(200 / 360) and not found.action
    assert not row(check_data(X, weights=30_000), "training sequences").action  # 40 are held out
    assert "validation" in row(check_data(X, weights=30_000, validation=None), "training sequences").action
    assert not row(check_data(X, weights=10_000, validation=None), "training sequences").action
    assert "hundreds" in row(check_data(X[:40]), "training sequences").action


# -- labels ------------------------------------------------------------------------------------------------------------


def test_labels_are_counted_by_column():
    X = sequences(100, 30)
    y = {"same": ["a"] * 100, "rare": ["b"] * 7 + ["c"] * 93, "gaps": [None, *np.linspace(0, 1, 99)]}
    check = check_data(X, y)
    table = check.table.set_index("finding")
    assert table.loc["y column 'same': labels that are all alike", "action"]
    rare = table.loc["y column 'rare': sequences of the rarest class, 'b' (of 'c': 93)"]
    assert (rare.number, rare.share, rare.example) == (7, 0.07, "X[0]") and "balanced" in rare.action
    assert table.loc["y column 'gaps': missing labels", ["number", "example", "action"]].tolist() == [1, "X[0]", ""]
    assert len(check.warnings) == 2
    assert not row(check_data(X, ["b"] * 10 + ["c"] * 90), "sequences of the rarest").action  # 9 times, no more
    assert row(check_data(X, [2.5] * 100), "labels that are all alike").number == 100
    assert "target='value'" in row(check_data(X, np.arange(100)), "labels that look like values").action


@pytest.mark.parametrize("seed", range(5))
def test_conflicting_labels_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    X = [sequences(15, 30)[i] for i in rng.integers(15, size=60)]
    names = [None if rng.random() < 0.2 else str(x) for x in rng.choice(["a", "b"], 60, p=[0.9, 0.1])]
    values = np.where(rng.random(60) < 0.2, np.nan, rng.normal(size=60))
    check = check_data(X, {"name": names, "value": values})

    def conflicts(labels, differ) -> int:
        pairs = [(i, j) for i, j in combinations(range(60), 2) if X[i] == X[j] and differ(labels[i], labels[j])]
        doubtful = {X[i] for pair in pairs for i in pair}
        return sum(s in doubtful and not pd.isna(label) for s, label in zip(X, labels, strict=True))

    table = check.table.set_index("finding").number
    of_names = conflicts(names, lambda a, b: None not in (a, b) and a != b)
    of_values = conflicts(values, lambda a, b: abs(a - b) > np.nanstd(values))
    assert table.get("y column 'name': copies with different labels", 0) == of_names
    assert table.get("y column 'value': copies with different labels", 0) == of_values > 0
    assert row(check_data(["ACGT", "ACGT", "ACGA"], [1, 2, 1]), "copies with diff").example == "X[0] and X[1]"


def test_labels_that_cannot_be_learned_are_reported(tmp_path: Path):
    X = ["ACGT", "ACGG", "ACGC"]
    for y in (["1.5", "<0.1", "2.5"], [None] * 3, ["a", 1, "b"], [0.5, float("inf"), 1], np.zeros((3, 5, 1))):
        sentence = refuses(lambda y=y: tiny().fit(X, y))
        assert row(check_data(X, y), "labels that cannot be learned").action == sentence
    path = tmp_path / "t.csv"
    path.write_text("sequence,expr\nACGT,1.5\nACGG,<0.1\nACGC,2.5\n")
    check = check_data(path, "expr")
    assert "t.csv, line 3: got '<0.1'" in row(check, "labels that cannot be learned").action
    assert row(check, "copies of earlier").number == 0  # the sequences are checked all the same


# -- what is shown -----------------------------------------------------------------------------------------------------


def faulty() -> tuple[list[str], list[str]]:
    """Return readable sequences and labels with all that `fit` warns of."""
    X = sequences(100, 60)
    X += [s[30:] + t for s, t in zip(X[:60], sequences(60, 30, seed=1), strict=True)]
    X += ["AC" * 30] * 12 + ["ACGT"]
    return X, ["a"] * 160 + ["b"] * 11 + ["a", "a"]


def test_fit_warns_of_what_the_table_says():
    X, y = faulty()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = tiny(verbose=1, random_state=3).fit(X, y)
    size = sum(p.numel() for p in model.objective_.parameters())
    check = check_data(X, y, weights=size, random_state=3)
    assert sorted(str(w.message) for w in caught) == sorted(check.warnings) and len(check.warnings) == 5
    assert {w.filename for w in caught} == {__file__}


def test_fit_is_silent_about_data_that_are_well_and_without_verbose(caplog, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(verbose=0).fit(*faulty())
        assert capfd.readouterr() == ("", "") and not caplog.records
        tiny(verbose=1).fit(sequences(200, 30), ["a", "b"] * 100)
        tiny(verbose=1, strands="both").fit(sequences(40, 30), validation=sequences(20, 30, seed=1))


def test_weights_of_classes_settle_their_imbalance():
    X, y = sequences(200, 30), ["a"] * 190 + ["b"] * 10
    with pytest.warns(UserWarning, match="rarest class, 'b'"):
        tiny(verbose=1).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(verbose=1).fit(X, y, sample_weight="balanced")


class Cells(HTMLParser):
    """The cells of a table, and the elements that are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        assert tag in ("div", "p", "b", "br", "table", "thead", "tbody", "tr", "th", "td")
        self.open += [tag] if tag != "br" else []
        self.cells += [""] if tag == "td" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells[-1] += data


def test_print_and_html_hold_the_table():
    X, y = faulty()
    check = check_data([*X, "AC!GT", "ACN"], [*(label.replace("b", "<i>") for label in y), "a", "a"])
    html, text = Cells(check._repr_html_()), repr(check)
    table = check.table
    assert not html.open and html.cells[::5] == table.finding.tolist() and html.cells[4::5] == table.action.tolist()
    assert html.cells[1::5] == [f"{n:,}" for n in table.number]
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("  finding")) + 1
    marked = [line[2:].split("  ")[0] for line in lines[first : first + len(table)] if line.startswith("!")]
    assert marked == table.finding[table.action != ""].tolist()
    assert all(finding in text for finding in table.finding)
    assert all(word in text for action in table.action for word in action.split())
    assert "8 findings need action" in lines[0] and not check.ok
    good = check_data(sequences(200, 30))
    assert good.ok and good.warnings == [] and "nothing needs action" in repr(good) and "!" not in repr(good)
    assert Counter(table.columns) == Counter(["finding", "number", "share", "example", "action"])
    assert table.share.between(0, 1).all()


def test_letters_are_those_of_a_given_alphabet():
    X = ["acgt" * 4, "ttga" * 4]
    assert check_data(X, alphabet=DNA).table.equals(check_data(X, alphabet="dna").table)
    found = row(
        check_data([*X, "ACG"], alphabet="dna 2-mers"), "sequences with letters that the alphabet lacks ('G' 1)"
    )
    assert found.example == "X[2], position 3"
