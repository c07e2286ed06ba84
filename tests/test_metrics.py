"""Metrics of samples beside a reference: against slow obvious versions, scipy, and laws that must hold."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import partial

import numpy as np
import pytest
import small_models
from scipy.linalg import sqrtm
from scipy.stats import binomtest, chisquare, kruskal
from sklearn.metrics import roc_auc_score

from seqdiff.evaluation import (
    Motif,
    dinucleotide_shuffle,
    frechet_distance,
    group_tests,
    kmer_js,
    position_frequencies,
    precision_recall,
)
from seqdiff.evaluation.discriminators import FOLDS, auroc, convolution_scores, kmer_scores, make_folds
from seqdiff.evaluation.metrics import (
    CountedPair,
    KmerEmbedding,
    Nearness,
    bootstrap_weights,
    holm,
    kmer_matrix,
    letters_by_position,
    mean,
    nearest_training,
    share,
    spread,
)
from seqdiff.evaluation.statistics import js_divergence, nearest_distance, renumber

random_sequences = partial(small_models.random_sequences, lengths=(5, 30))


# -- shuffling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letters", ["AC", "ACGT", "ACDEFGHIKLMNPQRSTVWY", "CN()=#1αé\U0001f600"])
def test_shuffling_keeps_the_count_of_every_pair_of_letters(letters):
    before = [*random_sequences(1, n=200, letters=letters, lengths=(1, 60)), "", "A", "ACA"]
    after = dinucleotide_shuffle(before)
    for old, new in zip(before, after, strict=True):
        assert Counter(itertools.pairwise(old)) == Counter(itertools.pairwise(new))
        assert Counter(old) == Counter(new) and old[:1] == new[:1] and old[-1:] == new[-1:]
    assert sum(old != new for old, new in zip(before, after, strict=True)) > 100


@pytest.mark.parametrize("sequence", ["AACACAGAC", "ACGACTAGCA", "ABCABCACB"])
def test_shuffling_is_uniform_over_all_sequences_with_the_same_pairs(sequence):
    """Its distribution over every permutation with the same pairs and the same first letter."""
    pairs = Counter(itertools.pairwise(sequence))
    middle = {"".join(p) for p in itertools.permutations(sequence[1:])}
    possible = sorted(x for x in (sequence[0] + m for m in middle) if Counter(itertools.pairwise(x)) == pairs)
    drawn = Counter(dinucleotide_shuffle([sequence] * 6000, random_state=5))
    assert set(drawn) == set(possible) and len(possible) > 5
    assert chisquare([drawn[x] for x in possible]).pvalue > 1e-3


def test_shuffling_repeats_with_a_seed():
    sequences = random_sequences(2, lengths=(30, 31))
    assert (
        dinucleotide_shuffle(sequences, 3) == dinucleotide_shuffle(sequences, 3) != dinucleotide_shuffle(sequences, 4)
    )


# -- counts and intervals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [[5, 2, 5, 0], [10**15, 3, 10**15], [], [4]])
def test_renumbering_equals_unique(numbers):
    seen, places = renumber(np.array(numbers, dtype=np.int64))
    wanted, wanted_places = np.unique(np.array(numbers, dtype=np.int64), return_inverse=True)
    assert seen.tolist() == wanted.tolist() and places.tolist() == wanted_places.tolist()


def test_divergence_and_correlation_of_counts():
    """Against the functions of strings, and in bootstrap samples against the sequences repeated as often."""
    a, b = random_sequences(1, n=30), random_sequences(2, n=30)
    weights = tuple(bootstrap_weights(30, 20, np.random.default_rng(i)) for i in (0, 1))
    counts = kmer_matrix([*a, *b], 3)
    pair = CountedPair(counts[:30], counts[30:], weights)
    repeated = [
        [s for s, times in zip(x, w[7], strict=True) for _ in range(int(times))]
        for x, w in zip((a, b), weights, strict=True)
    ]
    assert pair.js().value == pytest.approx(kmer_js(a, b, 3))
    assert js_divergence(*pair.again)[7] == pytest.approx(kmer_js(*repeated, 3))
    slow = [Counter(s[i : i + 3] for s in x for i in range(len(s) - 2)) for x in (a, b)]
    every = sorted(set(slow[0]) | set(slow[1]))
    assert pair.pearson().value == pytest.approx(np.corrcoef(*([c[w] for w in every] for c in slow))[0, 1])
    assert 0 <= pair.js().low < pair.js().value < pair.js().high


def test_divergence_by_position_is_the_mean_of_single_ones():
    a, b = random_sequences(3, lengths=(9, 10)), random_sequences(4, lengths=(9, 10))
    tokens = [np.array([["ACGT".index(x) for x in s] for s in some]) for some in (a, b)]
    weights = (bootstrap_weights(40, 5, np.random.default_rng(0)),) * 2
    pair = CountedPair(*(letters_by_position(t, 4) for t in tokens), weights)
    p, q = (position_frequencies(some, "ACGT").to_numpy() for some in (a, b))
    assert pair.js_by_position(9).value == pytest.approx(
        np.mean([js_divergence(x, y) for x, y in zip(p, q, strict=True)])
    )


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (7, 20), (20, 20)])
def test_interval_of_a_share_is_wilsons(hits, n):
    wanted = binomtest(hits, n).proportion_ci(method="wilson")
    assert share(np.arange(n) < hits) == pytest.approx((hits / n, wanted.low, wanted.high), abs=1e-6)


def test_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).exponential(size=400)
    estimate = mean(values, bootstrap_weights(400, 2000, np.random.default_rng(1)))
    half = 1.96 * values.std() / 20
    assert estimate == pytest.approx((values.mean(), values.mean() - half, values.mean() + half), abs=0.2 * half)


def test_interval_of_a_biased_metric_is_around_its_value():
    estimate = spread(0.1, np.array([0.5, 0.6, 0.7]), 0.0, 1.0)
    assert estimate == pytest.approx((0.1, 0.0, 0.1 + 1.96 * 0.1), abs=1e-4)


# -- embeddings -------------------------------------------------------------------------------------------------------


def test_embedding_is_the_frequency_of_each_kmer_of_the_reference():
    reference, others = random_sequences(5), ["ACGTAC", "NNACN", "AC", ""]
    embedding = KmerEmbedding(reference, 3)
    found = embedding(others)
    for row, sequence in zip(found, others, strict=True):
        words = [sequence[i : i + 3] for i in range(len(sequence) - 2)]
        assert row.tolist() == pytest.approx([words.count(w) / max(len(words), 1) for w in embedding.kmers])


def test_projected_embedding_keeps_distances_and_does_not_depend_on_the_other_sequences():
    sequences = random_sequences(6, n=60, lengths=(50, 60))
    projected, plain = KmerEmbedding(sequences, 4), KmerEmbedding(sequences, 4)
    plain.projection = None
    x, y = projected(sequences), plain(sequences)
    assert x.shape == (60, 64) and y.shape[1] > 64
    assert np.allclose(projected(sequences[:3]), x[:3])
    ratio = ((x[:30] - x[30:]) ** 2).sum() / ((y[:30] - y[30:]) ** 2).sum()
    assert ratio == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("n", [5, 200])
def test_frechet_distance_against_the_matrix_square_root(n):
    """Five vectors of six dimensions have a singular covariance."""
    rng = np.random.default_rng(n)
    a = rng.standard_normal((n, 6)) @ rng.standard_normal((6, 6))
    b = rng.standard_normal((n + 3, 6)) + 1
    C, D = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    slow = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(C + D - 2 * sqrtm(C @ D).real)
    assert frechet_distance(a, b) == pytest.approx(slow, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(6 * 4)


def test_neighbourhoods_against_loops():
    """Whole numbers, among which many distances are equal."""
    rng = np.random.default_rng(0)
    x, y, k = rng.integers(0, 4, (40, 3)), rng.integers(1, 5, (30, 3)), 3

    def radius(points, i):
        return sorted(((points[i] - p) ** 2).sum() for j, p in enumerate(points) if j != i)[k - 1]

    inside = [[((y[j] - x[i]) ** 2).sum() <= radius(y, j) for j in range(30)] for i in range(40)]
    recalled = [any(((y[j] - x[i]) ** 2).sum() <= radius(x, i) for i in range(40)) for j in range(30)]
    found = precision_recall(x, y, k)
    assert found["precision"] == pytest.approx(np.mean([any(row) for row in inside]))
    assert found["recall"] == pytest.approx(np.mean(recalled))
    assert found["density"] == pytest.approx(np.sum(inside) / k / 40)
    assert found["coverage"] == pytest.approx(np.mean([any(column) for column in zip(*inside, strict=True)]))


# -- the nearest training sequence ------------------------------------------------------------------------------------


def test_nearest_among_short_sequences_is_exact():
    samples, known = random_sequences(7, n=300), sorted(set(random_sequences(8, n=500)))
    edits, place = nearest_training(samples, known, 3)
    assert edits.tolist() == nearest_distance(samples, known).tolist()
    assert [nearest_distance([s], [known[i]])[0] for s, i in zip(samples, place, strict=True)] == edits.tolist()
    among, other = nearest_training(known[:20], known, 3, own=np.arange(20))
    assert (other != np.arange(20)).all()
    assert among.tolist() == [nearest_distance([s], [t for t in known if t != s])[0] for s in known[:20]]


def test_changed_copies_are_found_among_many_long_sequences():
    rng = np.random.default_rng(0)
    known = ["".join(row) for row in rng.choice(list("ACGT"), (400, 90))]
    samples = []
    for i in range(0, 400, 20):
        letters = list(known[i])
        for place in rng.choice(90, 10, replace=False):
            letters[place] = "N"
        samples.append("".join(letters))
    edits, place = nearest_training(samples, known, 4)
    assert place.tolist() == list(range(0, 400, 20)) and (edits == 10).all()
    own = place.copy()
    again, elsewhere = nearest_training([known[i] for i in place], known, 4, own=own)
    assert (elsewhere != own).all() and (again > 30).all()


def test_changed_copies_are_found_among_sequences_that_have_every_kmer(monkeypatch):
    """Long sequences share all 6-mers by chance, and the distances of a few of them only can be computed."""
    monkeypatch.setattr("seqdiff.evaluation.metrics.CELLS", 0)
    rng = np.random.default_rng(0)
    known = rng.choice(list("ACGT"), (30, 30_000))
    samples = known[[7, 29]].copy()
    changed = rng.random(samples.shape) < 0.25
    samples[changed] = rng.choice(list("ACGT"), samples.shape)[changed]
    _, place = nearest_training(["".join(row) for row in samples], ["".join(row) for row in known], 6)
    assert place.tolist() == [7, 29]


def test_authentic_samples_are_farther_than_the_next_training_sequence():
    known = ["AAAAAAAA", "AAAAAACC", "GGGGGGGG"]
    found = Nearness.of(["AAAAAAAA", "AAAAATTT", "AAAAAAAT", "GGTGGGGG", "AAAAAATT"], known, 3)
    assert found.distance.tolist() == [0, 3 / 8, 1 / 8, 1 / 8, 2 / 8]
    assert found.authentic.tolist() == [False, True, False, False, False]  # the last is exactly as far


# -- discriminators ---------------------------------------------------------------------------------------------------


def test_auroc_is_the_mean_over_folds():
    rng = np.random.default_rng(0)
    n = 53
    folds, labels = make_folds(n, rng), np.arange(2 * n) < n
    scores = np.round(rng.standard_normal(2 * n) + labels, 1)  # with ties
    weights = tuple(bootstrap_weights(n, 300, rng) for _ in range(2))
    wanted = [roc_auc_score(labels[folds == f], scores[folds == f]) for f in range(FOLDS)]
    found = auroc(scores, folds, weights)
    assert found.value == pytest.approx(np.mean(wanted)) and found.low < found.value < found.high
    mirrored = auroc(-scores, folds, weights)
    assert mirrored.value == pytest.approx(1 - found.value) and mirrored.low == pytest.approx(1 - found.high)


def test_folds_are_even_in_both_sets():
    folds = make_folds(52, np.random.default_rng(0))
    for half in (folds[:52], folds[52:]):
        assert sorted(np.bincount(half)) == [10, 10, 10, 11, 11]


def test_each_discriminator_sees_what_it_is_made_for(monkeypatch):
    """A k-mer anywhere; the place of a letter, to which the logistic regression is blind."""
    monkeypatch.setattr("seqdiff.evaluation.discriminators.STEPS", 40)
    rng = np.random.default_rng(0)
    letters = rng.choice(list("ACGT"), (400, 24))
    placed = letters[:200].copy()
    placed[:, 4], placed[:, 20] = "A", "C"
    letters[200:, 4], letters[200:, 20] = "C", "A"
    strings = ["".join(row) for row in [*placed, *letters[200:]]]
    tokens = np.array([["ACGT".index(x) for x in s] for s in strings])
    folds = make_folds(200, rng)
    weights = (bootstrap_weights(200, 10, rng),) * 2
    assert auroc(convolution_scores(tokens, 4, folds, 0), folds, weights).value > 0.95
    assert auroc(kmer_scores(strings, folds, 3, 0), folds, weights).value < 0.8
    marked = [s[:10] + "GATTAC" + s[16:] for s in strings[:200]] + strings[200:]
    assert auroc(kmer_scores(marked, folds, 6, 0), folds, weights).value > 0.95


def test_convolution_is_repeatable_and_reads_sequences_of_several_lengths(monkeypatch):
    monkeypatch.setattr("seqdiff.evaluation.discriminators.STEPS", 20)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 3, (40, 6))
    tokens[:20, 3:] = 3  # which end after three letters
    folds = make_folds(20, rng)
    one, same, other = (convolution_scores(tokens, 3, folds, seed) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()
    assert auroc(one, folds, (np.ones((2, 20)),) * 2).value > 0.95


# -- tests between groups ---------------------------------------------------------------------------------------------


def test_kruskal_wallis_equals_scipy_and_dunn_of_two_groups_is_its_root():
    rng = np.random.default_rng(0)
    groups = {name: rng.integers(2 * i, 8, 20 + i).astype(float) for i, name in enumerate("abc")}
    table = group_tests({"gc": groups}).set_index("test")
    assert table.loc["Kruskal-Wallis", ["statistic", "p"]].tolist() == pytest.approx(list(kruskal(*groups.values())))
    two = group_tests({"gc": {name: groups[name] for name in "ab"}})
    assert two.statistic[1] ** 2 == pytest.approx(two.statistic[0]) and two.p[1] == pytest.approx(two.p[0])
    assert two.statistic[1] < 0 and two.p_holm[1] == two.p[1]


def test_dunn_against_its_formula():
    groups = {"a": np.array([1.0, 2, 2, 5]), "b": np.array([2.0, 3, 7]), "c": np.array([8.0, 9, 9, 10, 11])}
    values = sorted(np.concatenate(list(groups.values())))
    rank = {v: np.mean([i + 1 for i, x in enumerate(values) if x == v]) for v in values}
    R = {name: np.mean([rank[v] for v in group]) for name, group in groups.items()}
    N, ties = 12, (3**3 - 3) + (2**3 - 2)
    rows = group_tests({"x": groups}).iloc[1:]
    for row in rows.itertuples():
        sizes = 1 / len(groups[row.a]) + 1 / len(groups[row.b])
        wanted = (R[row.a] - R[row.b]) / np.sqrt((N * (N + 1) / 12 - ties / (12 * (N - 1))) * sizes)
        assert row.statistic == pytest.approx(wanted)
    assert rows.p_holm.tolist() == pytest.approx(holm(rows.p.to_numpy()).tolist())


def test_equal_values_differ_in_nothing():
    table = group_tests({"gc": {"a": np.ones(5), "b": np.ones(6)}})
    assert table.p.tolist() == [1, 1] and table.statistic.tolist() == [0, 0]


def test_holm_rejects_as_its_procedure_does():
    """Step down from the smallest p, comparing with level / (tests left), until one is too large."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p, level = rng.random(6) ** 3, rng.random() / 2
        rejected = np.zeros(6, dtype=bool)
        for done, i in enumerate(np.argsort(p)):
            if p[i] > level / (6 - done):
                break
            rejected[i] = True
        assert ((holm(p) <= level) == rejected).all()


# -- motifs -----------------------------------------------------------------------------------------------------------


def test_threshold_of_a_motif_is_the_lowest_that_one_window_in_ten_thousand_reaches():
    rng = np.random.default_rng(0)
    background = np.array([0.3, 0.2, 0.2, 0.3])
    motif = Motif(rng.dirichlet(np.full(4, 0.3), 7), background)
    words = np.array(list(itertools.product(range(4), repeat=7)))
    scores = sum(motif.scores[i, words[:, i]] for i in range(7))
    chance = background[words].prod(1)
    assert chance[scores >= motif.threshold].sum() <= 1e-4
    below = scores[scores < motif.threshold].max()
    assert chance[scores >= below].sum() > 1e-4
    assert Motif(np.eye(4)[:2]).count(["ACA", "GTG", "CAT"]).tolist() == [1, 1, 0]  # too short to be rare: AC or GT


def test_matches_of_a_motif_against_loops():
    rng = np.random.default_rng(1)
    motif = Motif(rng.dirichlet(np.full(4, 0.05), 8) * 20)
    consensus = "".join("ACGT"[i] for i in motif.scores.argmax(1))
    other = "".join("TGCA"["ACGT".index(x)] for x in reversed(consensus))
    sequences = [
        *random_sequences(9, n=30, lengths=(3, 40)),
        f"A{consensus}C{consensus}",
        f"{other}TT{consensus}",
        other,
    ]

    def score(word):
        return sum(motif.scores[i, "ACGT".index(x)] for i, x in enumerate(word))

    for sequence, count in zip(sequences, motif.count(sequences), strict=True):
        windows = [sequence[i : i + 8] for i in range(len(sequence) - 7)]
        both = [max(score(w), score("".join("TGCA"["ACGT".index(x)] for x in reversed(w)))) for w in windows]
        assert count == sum(s >= motif.threshold for s in both)
    assert motif.count(sequences)[-3:].tolist() == [2, 2, 1]
