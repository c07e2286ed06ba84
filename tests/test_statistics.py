"""Sample statistics and bits per letter, against slow obvious versions and scipy."""

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from small_models import random_sequences

from seqdiff.evaluation import (
    bits_per_letter,
    bits_per_letter_error,
    compare_table,
    copied_fraction,
    diversity,
    gc_content,
    kmer_counts,
    kmer_js,
    nearest_distance,
    position_frequencies,
)


def slow_counts(sequences, k):
    return Counter(s[i : i + k] for s in sequences for i in range(len(s) - k + 1))


@pytest.mark.parametrize("letters", ["ACGT", "ACDEFGHIKLMNPQRSTVWY", "CN()=#1αé\U0001f600"])
@pytest.mark.parametrize("k", [1, 2, 3, 6, 29])
def test_kmers_against_counting_one_by_one(letters, k):
    a, b = random_sequences(1, letters=letters), random_sequences(2, n=60, letters=letters)
    a.append("".join(letters) * 6)
    b.append(letters[0] * 40)
    slow_a, slow_b = slow_counts(a, k), slow_counts(b, k)
    fast = kmer_counts(a, k)
    assert fast.to_dict() == dict(slow_a) and list(fast.index) == sorted(slow_a)
    every = sorted(set(slow_a) | set(slow_b))
    p, q = ([counts[kmer] for kmer in every] for counts in (slow_a, slow_b))
    assert kmer_js(a, b, k) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-12)


def test_js_divergence_properties():
    a, b = random_sequences(3), random_sequences(4)
    assert kmer_js(a, a, 3) == 0
    assert kmer_js(a, b, 3) == pytest.approx(kmer_js(b, a, 3)) and 0 < kmer_js(a, b, 3) < 1
    assert kmer_js(a, a + a, 3) == pytest.approx(0, abs=1e-12)
    assert kmer_js(["AAA"], ["CCC"], 2) == pytest.approx(1)


def test_long_kmers_do_not_overflow():
    """16 letters to the 20th are 2^80: in 64 bits the first letters would be shifted out."""
    letters = "ACDEFGHIKLMNPQRS"
    assert kmer_js(["A" + letters + letters[:3]], ["C" + letters + letters[:3]], 20) == pytest.approx(1)
    assert len(kmer_counts(["A" + letters * 2, "C" + letters * 2], 20)) == 15


@pytest.mark.parametrize("k", [0, -1, 2.0, "six", True])
def test_k_must_be_a_whole_number(k):
    with pytest.raises(ValueError, match="whole number"):
        kmer_js(["ACGT"], ["ACGT"], k)
    with pytest.raises(ValueError, match="whole number"):
        kmer_counts(["ACGT"], k)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: kmer_js(["ACG"], ["ACGTAC"], 4),
            "k: got 4, expected at most 3, the letters of the longest sequence of a",
        ),
        (lambda: kmer_counts(["ACG", "AC"], 4), "k: got 4, expected at most 3, the letters of the longest"),
        (lambda: kmer_js([], ["A"], 1), "a: got an empty list"),
        (lambda: copied_fraction("ACGT", ["A"]), "samples: got one string"),
        (lambda: gc_content(["A", 3]), r"sequences\[1\]: got an int"),
        (lambda: diversity(["A"]), "sequences: got one sequence only"),
        (lambda: position_frequencies(["ACN"], "ACGT"), "sequences: got the letter 'N'"),
        (lambda: position_frequencies(["", ""]), "no letters at all"),
        (lambda: bits_per_letter([-1.0], ["A", "C"]), "one number per sequence"),
        (lambda: bits_per_letter([], []), "no letters"),
        (lambda: compare_table({}, ["A"]), "no model"),
        (lambda: compare_table({"a": [-1.0]}, ["A"], reference="b"), "got 'b', expected one of the models 'a'"),
    ],
)
def test_errors_are_clear(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_copied_share_and_gc_content():
    assert copied_fraction(["A", "C", "C", "a"], ["C", "T"]) == 0.5
    content = gc_content(["gGcC", "ATTG", "AU", ""])
    assert content[:3].tolist() == [1, 0.25, 0] and np.isnan(content[3])


@pytest.mark.parametrize(
    ("letters", "alphabet", "columns"),
    [
        ("AC", None, "ACGT"),
        ("ACU", None, "ACGU"),
        ("zyxα", None, "xyzα"),
        ("ACGT", "TGCA", "TGCA"),
    ],
)
def test_position_frequencies_against_counting(letters, alphabet, columns):
    sequences = random_sequences(7, letters=letters, lengths=(1, 9)) + [letters]
    table = position_frequencies(sequences, alphabet)
    assert list(table.columns) == list(columns) and table.index[0] == 1
    for position in table.index:
        there = [s[position - 1] for s in sequences if len(s) >= position]
        assert table.loc[position].tolist() == pytest.approx([there.count(letter) / len(there) for letter in columns])


def slow_levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        new = [i + 1]
        for j, y in enumerate(b):
            new.append(min(row[j + 1] + 1, new[j] + 1, row[j] + (x != y)))
        row = new
    return row[-1]


def test_distances_equal_textbook_levenshtein():
    a, b = random_sequences(8, n=300, lengths=(1, 8)), random_sequences(9, n=15, lengths=(1, 8))
    assert nearest_distance(a, b).tolist() == [min(slow_levenshtein(x, y) for y in b) for x in a]
    pairs = [(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j]
    exact = np.mean([slow_levenshtein(x, y) / max(len(x), len(y)) for x, y in pairs])
    assert diversity(b, pairs=20_000) == pytest.approx(exact, abs=0.01)
    assert diversity(["ACGT"] * 5) == 0
    assert diversity(b) == diversity(b) != diversity(b, random_state=1)


def test_bits_per_letter_is_a_ratio_of_sums():
    sequences = ["A" * 2, "A" * 6]
    assert bits_per_letter(np.log([1 / 4, 1 / 16]), sequences) == pytest.approx((2 + 4) / 8)
    assert bits_per_letter([-np.inf, 0.0], sequences) == np.inf
    assert np.isnan(bits_per_letter_error([-np.inf, 0.0], sequences)) and np.isnan(bits_per_letter_error([-1.0], ["A"]))


def test_error_is_the_spread_over_repeated_samples():
    rng = np.random.default_rng(0)
    metrics, errors = [], []
    for _ in range(2000):
        lengths = rng.integers(5, 40, size=60)
        nats = -lengths * 1.3 + rng.normal(size=60) * np.sqrt(lengths)
        sequences = ["A" * length for length in lengths]
        metrics.append(bits_per_letter(nats, sequences))
        errors.append(bits_per_letter_error(nats, sequences))
    assert np.mean(errors) == pytest.approx(np.std(metrics), rel=0.06)


def test_compare_table_pairs_the_sequences():
    rng = np.random.default_rng(1)
    base = -rng.gamma(3, 10, size=500)
    sequences = ["A" * 30] * 500
    noise = rng.normal(0.3, 0.1, size=500)
    table = compare_table({"worse": base - noise, "best": base}, sequences, reference="best")
    assert table.loc["worse", "above"] == pytest.approx(noise.sum() / 15000 / np.log(2))
    assert table.loc["worse", "above_error"] == pytest.approx(noise.std(ddof=1) / np.sqrt(500) / 30 / np.log(2))
    assert table.loc["worse", "above_error"] < 0.05 * table.loc["worse", "error"]
    assert table.loc["best", "above"] == 0
