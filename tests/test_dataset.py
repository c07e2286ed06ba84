"""`prepare` from input to tokens, splits against a slow union-find, the distribution of lengths."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch

from seqdiff.data import DNA, RNA, Alphabet, Dataset, LengthDistribution, cluster_split, prepare, random_split
from seqdiff.data.split import cluster

# ------------------------------------------------------------------------------------------------------------ prepare


def test_prepare_encodes_in_order():
    data = prepare([" acgt\n", "GG", "acGT"], y=["a", None, "b"])
    assert data.sequences == ["ACGT", "GG", "ACGT"] and data.alphabet == DNA and data.source == "X"
    assert data.tokens.tolist() == [[0, 1, 2, 3], [2, 2, 0, 0], [0, 1, 2, 3]] and data.tokens.dtype == np.uint8
    assert data.lengths.tolist() == [4, 2, 4] and data.kept.tolist() == [0, 1, 2] and data.n_read == 3
    assert data.y.tolist() == ["a", None, "b"] and len(data) == 3
    assert any("look like dna" in note for note in data.notes)
    assert any("1 of the 3 sequences of X repeats an earlier one" in note for note in data.notes)
    assert prepare(["ACGT", "ACGA"], alphabet="dna").notes == ()


def test_prepare_keeps_every_letter(tmp_path):
    """Wrapped lines, line ends and a missing last newline: no letter lost, none shifted into a neighbour."""
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACGT"), size=n)) for n in rng.integers(1, 200, size=50)]
    for end in ("\n", "\r\n", "\r"):
        for last in ("", end):
            path = tmp_path / "x.fa"
            wrapped = [
                end.join([f">{i}"] + [s[j : j + 60] for j in range(0, len(s), 60)]) for i, s in enumerate(sequences)
            ]
            path.write_bytes((end.join(wrapped) + last).encode())
            data = prepare(path)
            assert data.sequences == sequences
            assert data.alphabet.decode(data.tokens, data.lengths) == sequences


def test_drop_removes_ambiguous_rows_and_their_labels():
    X = ["ACGT", "ACNT", "acrt", "GGGG", "NNNN"]
    data = prepare(X, y=[0.0, 1.0, 2.0, 3.0, 4.0], ambiguous="drop")
    assert data.sequences == ["ACGT", "GGGG"] and data.kept.tolist() == [0, 3] and data.y.tolist() == [0.0, 3.0]
    assert data.alphabet.decode(data.tokens, data.lengths) == data.sequences and data.n_read == 5
    assert any("3 of 5 sequences were left out for ambiguity codes (X[1], X[2], X[4])" in note for note in data.notes)
    mixed = prepare(["ACGTT", "AN", "GG"], ambiguous="drop")
    assert mixed.tokens.tolist() == [[0, 1, 2, 3, 3], [2, 2, 0, 0, 0]]
    assert prepare(["MKVXW", "UUU", "MKVW"], alphabet="protein", ambiguous="drop").sequences == ["MKVW"]
    assert prepare(["ACGUACGU", "ACGUN"], ambiguous="drop").sequences == ["ACGUACGU"]
    assert prepare(["ACNT"], alphabet="ACGTN").sequences == ["ACNT"]  # a fifth letter only on demand
    assert prepare(["ACGTAC", "ACG", "ANA"], alphabet="dna", ambiguous="drop").tokens.shape == (2, 6)
    assert prepare(["ACGTAC", "ACGN"], length=6, ambiguous="drop").sequences == ["ACGTAC"]


BAD = [
    (["ACGT", "ACNT", "NNGT"], {}, r"X\[1\]: got 'N' at position 3, expected A, C, G or T, as the dna alphabet has; "
     r"correct the sequence or pass ambiguous='drop' to leave such sequences out \(1 more sequence has such letters\)"),
    (["ACGT", "AC-T"], {"ambiguous": "drop"}, r"X\[1\]: got '-' at position 3, .*: pass gaps='drop' to take them out"),
    (["ACGT", "NC.T"], {"ambiguous": "drop"}, r"X\[1\]: got '\.' at position 3"),
    (["NCGTACGT", "AC?TACGT"], {"ambiguous": "drop", "alphabet": "dna"}, r"X\[1\]: got '\?' at position 3"),
    (["ACGTACGTT", "ACGUACGTT"], {}, r"X\[1\]: got 'U' at position 4, .*A, C, G or T, .*; if this is RNA pass "
     "alphabet='rna', else replace U by T"),
    (["ACGUACGU", "ACGTACGU"], {}, r"X\[1\]: got 'T' at position 4, .*A, C, G or U, .*replace T by U"),
    (["ACGU"], {"alphabet": "dna"}, "replace U by T"),
    (["MKVW", "MK*V"], {"alphabet": "protein", "ambiguous": "drop"}, "got '\\*' at position 3.*remove the stop sign"),
    (["MKVWLAGHEDMKVWLAGHED", "MKVX"], {}, "got 'X' at position 4, expected A, C, D,.* as the protein alphabet has"),
    (["ACGT\t1.5"], {"alphabet": "dna"}, r"got '\\t' at position 5.*name it .csv or .tsv"),
    (["AC GT"], {"alphabet": "dna"}, "got ' ' at position 3"),
    (["abA"], {"alphabet": "abc"}, "got 'A' at position 3.*write it as 'a' .case matters"),
    (["abz"], {"alphabet": "abc", "ambiguous": "drop"}, "got 'z' at position 3.*add the letter to the alphabet"),
    (["CClX"], {"alphabet": Alphabet(["C", "Cl"])}, "got 'X' at position 4"),
    (["ACGT", "", " "], {}, r"X\[1\]: got an empty sequence \(2 sequences are empty\)"),
    (["ab", "  "], {"alphabet": "ab"}, r"X\[1\]: got an empty sequence"),
    (["ACGT", "ACG", "AC"], {"length": 4}, r"X\[1\]: got a sequence of 3 letters \(2 of 3 sequences "
     r"have another length\), expected length=4"),
    (["NNNN", "ACGN"], {"ambiguous": "drop", "alphabet": "dna"},
     "^X: got no sequence that is left: 2 of 2 sequences were left out"),
    (["ACGT"], {"ambiguous": "keep"}, "ambiguous: got 'keep', expected 'error' or 'drop'"),
    (["ACGT"], {"ambiguous": None}, "ambiguous: got None"),
    (["ACGT"], {"length": 0}, "length: got 0, expected a whole number"),
    (["ACGT"], {"length": 4.0}, "length: got 4.0, expected a whole number"),
    (["ACGT"], {"length": True}, "length: got True, expected a whole number"),
    (["ACGT"], {"alphabet": "letters"}, "repeats the letter 'e'"),
    (["ACGT"], {"alphabet": 4}, "alphabet: got 4"),
    (["CC(=O)O", "c1ccccc1"], {}, "^X: alphabet: got letters .*never guessed"),
    (["ACGT", "ACGT"], {"y": np.zeros((2, 5, 1))},
     "signal over 5 positions, expected one over 4, as the longest sequence has 4 letters"),
]  # fmt: skip


@pytest.mark.parametrize(("X", "options", "message"), BAD)
def test_prepare_refuses(X, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        prepare(X, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_errors_name_the_line_of_the_file(tmp_path):
    path = tmp_path / "promoters.txt"
    path.write_text("ACGTACGTACGT\n\nACGTACGTACGN\nACGT\n")
    with pytest.raises(
        ValueError,
        match=r"promoters.txt, line 3: got 'N' at position 12, expected A, C, G or T, as the dna",
    ):
        prepare(path)
    with pytest.raises(ValueError, match=r"promoters.txt, line 4: got a sequence of 4 letters .*, expected length=12"):
        prepare(path, length=12, ambiguous="drop")
    with pytest.raises(ValueError, match=r"did you mean .words."):
        prepare(tmp_path / "missing.txt", alphabet="text")  # invalid arguments are refused before a file is opened


def test_many_bad_rows_make_a_short_message():
    with pytest.raises(ValueError, match=r"\(9999 more sequences have such letters\)") as caught:
        prepare(["ACGN" * 30] * 10_000)
    assert len(str(caught.value)) < 300
    notes = prepare(["ACGT" * 10] + ["ACGN"] * 1000, ambiguous="drop").notes
    assert any(r"1000 of 1001 sequences were left out for ambiguity codes (X[1], X[2], X[3] ...)" in n for n in notes)


def test_take_selects_rows_and_digest_identifies_data():
    y = np.array([0.0, 1.0, 2.0])
    data = prepare(["ACGTT", "GG", "TA"], y=y)
    part = data.take([2, 0])
    assert part.sequences == ["TA", "ACGTT"] and part.y.tolist() == [2.0, 0.0] and part.kept.tolist() == [2, 0]
    assert part.tokens.tolist() == [[3, 0, 0, 0, 0], [0, 1, 2, 3, 3]] and isinstance(part, Dataset)
    assert data.take(np.array([False, True, True])).sequences == ["GG", "TA"]
    assert data.take([1]).take([0]).kept.tolist() == [1]
    digest = data.digest()
    assert len(digest) == 64 and digest == prepare(("acgtt", "GG", "TA"), y=list(y)).digest()
    different = [
        prepare(["ACGTT", "GG", "TC"], y=y), prepare(["ACGTT", "GGT", "A"], y=y), prepare(["ACGTT", "GG", "TA"]),
        prepare(["ACGTT", "GG", "TA"], y=[0.0, 1.0, 2.5]), prepare(["ACGTT", "GG", "TA"], y=[0, 1, 2]),
        prepare(["GG", "ACGTT", "TA"], y=y), prepare(["ACGUU", "GG", "UA"], y=y),
        prepare(["ACGTT", "GG", "TA"], y=list("abc")),
        prepare(["ACGTT", "GG", "TA"], y=["a", "b", None]),
    ]  # fmt: skip
    assert len({digest, *(d.digest() for d in different)}) == len(different) + 1


# ------------------------------------------------------------------------------------------------------------- splits


def cluster_slow(sequences: list[str], k: int, strands: bool) -> list[int]:
    """Union-find over the words of each sequence and its reverse complement."""
    parent = list(range(len(sequences)))

    def find(i):
        while parent[i] != i:
            i = parent[i]
        return i

    seen: dict[str, int] = {}
    for i, sequence in enumerate(sequences):
        for strand in [sequence] + ([sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))] if strands else []):
            words = [strand[j : j + k] for j in range(len(strand) - k + 1)] or [f"whole {strand}"]
            for word in words:
                parent[find(i)] = find(seen.setdefault(word, i))
    return [find(i) for i in range(len(sequences))]


def partition(labels) -> set[frozenset[int]]:
    groups: dict[int, set[int]] = {}
    for i, label in enumerate(labels):
        groups.setdefault(int(label), set()).add(i)
    return {frozenset(group) for group in groups.values()}


@pytest.mark.parametrize("letters", ["ACGT", "ACDEFGHIKLMNPQRSTVWY", "ab"])
@pytest.mark.parametrize("k", [1, 3, 5, 17, 33, 70])
def test_cluster_equals_slow_union_find(letters, k):
    rng = np.random.default_rng(k)
    parts = ["".join(rng.choice(list(letters), size=n)) for n in [k, k, 2 * k, k + 1]]
    sequences = ["".join(rng.choice(list(letters), size=n)) for n in rng.integers(1, 2 * k + 8, size=40)]
    alphabet = Alphabet(letters) if letters != "ACGT" else DNA
    for i in range(0, 40, 3):  # plant shared words, some on the other strand
        part = parts[i % 4]
        sequences[i] += DNA.reverse_complement([part])[0] if alphabet is DNA and i % 2 else part
    sequences += (
        [sequences[1], "A" * (k - 1) or "A", "A" * max(k - 2, 1), "T" * (k - 1) or "T"] if letters == "ACGT" else []
    )
    almost = "".join(rng.choice(list(letters), size=k - 1))  # one letter short of a shared word, on either side
    sequences += [almost + letters[0], almost + letters[1], letters[0] + almost, letters[1] + almost]
    data = prepare(sequences, alphabet=alphabet)
    groups = partition(cluster(data, k))
    assert groups == partition(cluster_slow(sequences, k, strands=alphabet is DNA))
    if k > 1:
        assert 1 < len(groups) < len(sequences)


def test_cluster_split_shares_no_kmer_and_keeps_its_fractions():
    rng = np.random.default_rng(1)
    sequences = ["".join(rng.choice(list("ACGU"), size=30)) for _ in range(300)]
    for i in range(0, 300, 5):
        sequences[i] = RNA.reverse_complement([sequences[i - 1][:25]])[0] + "ACGUU"
    split = cluster_split(sequences, k=12, valid=0.2, test=0.1)
    words = {side: set() for side in ("train", "valid", "test")}
    for sequence, side in zip(sequences, split, strict=True):
        for strand in [sequence, *RNA.reverse_complement([sequence])]:
            words[side] |= {strand[j : j + 12] for j in range(len(strand) - 11)}
    assert not words["train"] & words["test"] and not words["train"] & words["valid"]
    assert not words["valid"] & words["test"]
    sizes = Counter(split.tolist())
    assert 0.08 * 300 <= sizes["test"] <= 0.1 * 300 and 0.18 * 300 <= sizes["valid"] <= 0.2 * 300
    assert (split == cluster_split(prepare(sequences), k=12, valid=0.2, test=0.1)).all()
    assert (split != cluster_split(sequences, k=12, valid=0.2, test=0.1, random_state=1)).any()
    for bad in ({"k": 0}, {"k": 2.5}, {"valid": 1.0}, {"valid": -0.1}, {"valid": 0.5, "test": 0.5}, {"test": "a"}):
        with pytest.raises(ValueError):
            cluster_split(sequences, **bad)


def test_cluster_split_reproduces_the_published_split(data_dir):
    frame = pd.read_csv(data_dir / "ecoli50_expr.csv")
    split = cluster_split(frame["seq"])
    assert (split == frame["split"].to_numpy()).all()
    data = prepare(data_dir / "ecoli50_expr.csv", y="expr")
    assert cluster(data, 20).max() + 1 == 10_556
    np.testing.assert_array_equal(data.y, frame["expr"])


def test_random_split():
    for n in (1, 2, 3, 10, 101):
        for fraction in (0.0, 0.01, 0.1, 0.5, 0.99):
            train, valid = random_split(n, fraction, 0)
            assert sorted([*train, *valid]) == list(range(n))
            assert (np.diff(train) > 0).all() and (np.diff(valid) > 0).all() and len(train) >= 1
            expected = 0 if fraction == 0 or n == 1 else min(max(1, round(n * fraction)), n - 1)
            assert len(valid) == expected
    assert random_split(100, 0.1, 3)[1].tolist() == random_split(100, 0.1, 3)[1].tolist()
    assert random_split(100, 0.1, 3)[1].tolist() != random_split(100, 0.1, 4)[1].tolist()
    hits = np.zeros(20)
    for seed in range(500):
        hits[random_split(20, 0.25, seed)[1]] += 1
    assert hits.sum() == 2500 and (np.abs(hits - 125) < 5 * np.sqrt(125 * 0.75)).all()
    for fraction in (1.0, -0.1, "a", None, True):
        with pytest.raises(ValueError, match="share of at least 0 and below 1"):
            random_split(10, fraction, 0)


# ------------------------------------------------------------------------------------------------------------ lengths


@pytest.mark.parametrize("lengths", [[1], [50, 50, 50], [1, 2], [3, 7, 7, 12, 1, 3]], ids=str)
def test_length_distribution(lengths):
    distribution = LengthDistribution.fit(np.array(lengths))
    top, n = max(lengths), len(lengths)
    expected = [0.99 * lengths.count(x) / n + 0.01 / top for x in range(1, top + 1)]
    if len(set(lengths)) == 1:
        expected = [float(x == top) for x in range(1, top + 1)]
    support = np.arange(1, top + 1)
    np.testing.assert_allclose(np.exp(distribution.log_prob(support)), expected, rtol=1e-12)
    assert np.exp(distribution.log_prob(support)).sum() == pytest.approx(1)
    assert distribution.log_prob([0, top + 1, 10 * top, -1]).tolist() == [-np.inf] * 4
    assert distribution.max_length == top and distribution.fixed == (len(set(lengths)) == 1)
    assert distribution.log_prob(top).shape == () and distribution.log_prob([[top, top]]).shape == (1, 2)
    again = LengthDistribution.from_dict(json.loads(json.dumps(distribution.to_dict())))
    assert (again.log_prob(support) == distribution.log_prob(support)).all() and again.fixed == distribution.fixed


def test_length_distribution_samples_follow_it():
    distribution = LengthDistribution.fit([2, 2, 2, 2, 5, 5, 6])
    drawn = distribution.sample(20_000, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.int64 and drawn.shape == (20_000,)
    counts = np.bincount(drawn.numpy(), minlength=8)
    assert counts[0] == 0 and counts[7:].sum() == 0
    p = np.array([0, 4, 0, 0, 2, 1]) / 7  # as often as in training, and no others
    assert (counts[1:7][p == 0] == 0).all()
    assert (np.abs(counts[1:7] / 20_000 - p) <= 5 * np.sqrt(p * (1 - p) / 20_000)).all()
    assert (
        distribution.sample(50, torch.Generator().manual_seed(1))
        == distribution.sample(50, torch.Generator().manual_seed(1))
    ).all()
    fixed, generator = LengthDistribution.fit([9, 9]), torch.Generator().manual_seed(0)
    state = generator.get_state()
    assert fixed.sample(4, generator).tolist() == [9] * 4 and (generator.get_state() == state).all()
    for bad in ([], [0, 1], [-1]):
        with pytest.raises(ValueError):
            LengthDistribution.fit(bad)
    for bad in ([1, 0], [], [-1, 2]):
        with pytest.raises(ValueError):
            LengthDistribution(bad)
