r"""Metrics of samples beside reference sequences, each with a 95% interval where it has one.

Embeddings x are vectors of k-mer frequencies. With the mean m and the covariance C of each set, the Frechet distance
between two sets is that between two normal distributions (Dowson and Landau 1982),

    |m_1 - m_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1 C_2)^(1/2).

A ball around each point reaches to its k-th nearest neighbour in its own set. With balls around the reference,
precision is the share of samples in at least one ball, density the mean number of balls around a sample over k,
coverage the share of balls with at least one sample; recall is the share of the reference in at least one ball around
samples (Kynkaanniemi et al. 2019, arXiv 1904.06991; Naeem et al. 2020, arXiv 2002.09797).

Intervals. Of a share: Wilson's. Of a mean: the 2.5% and 97.5% quantiles of the means of bootstrap samples. Of metrics
that are biased in small sets, such as divergences: the value plus and minus 1.96 standard deviations over bootstrap
samples of both sets, as the values of bootstrap samples themselves have the bias twice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from seqdiff.errors import InputError, argument
from seqdiff.evaluation.statistics import js_divergence, kmer_windows, renumber

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

NEIGHBOURS = 5
"""k of the balls, as in the code of Naeem et al."""
DIMENSIONS = 64
"""Most dimensions of an embedding by k-mers."""
WORD = 64
"""Letters up to which rapidfuzz compares one sequence with several at a time: 80 times as fast as 200 letters are."""
CANDIDATES, FEWEST_CANDIDATES = 100, 5
"""Training sequences whose distance to a longer sequence is computed: most, and fewest where a distance is costly."""
CELLS = 10**11
"""Of tables of edit distances, for one set: about 5 CPU-seconds."""
NORMAL = 1.959964


Weights = tuple[np.ndarray, np.ndarray]
"""How often each item is in each of R bootstrap samples, (R, n), of a set and of the reference."""


class Estimate(NamedTuple):
    """A value with the ends of its 95% interval, `nan` where it has none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def share(hits: np.ndarray) -> Estimate:
    """Return the share of booleans (n,) that are True, with Wilson's interval, which does not shrink to 0 at 0 and 1.

    Examples
    --------
    >>> [round(x, 3) for x in share(np.array([True] * 10))]
    [1.0, 0.722, 1.0]
    """
    n, p, z = len(hits), float(np.mean(hits)), NORMAL
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    return Estimate(p, float(low) if p > 0 else 0.0, float(high) if p < 1 else 1.0)  # exact at the ends


def mean(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """Return the mean of values (n,), with the interval of weights (R, n), counts of R bootstrap samples."""
    total = weights.sum(1)
    low, high = np.quantile((weights @ values)[total > 0] / total[total > 0], [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))


def spread(value: float, again: np.ndarray, low: float = 0.0, high: float = float("inf")) -> Estimate:
    """Return a value with the interval of its standard deviation in bootstrap samples (R,), cut to what is possible."""
    half = NORMAL * float(np.std(again, ddof=1))
    return Estimate(value, max(low, value - half), min(high, value + half))


def bootstrap_weights(n: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of n items is in each bootstrap sample, (samples, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=samples).astype(np.float32)


# Counts of k-mers and of letters by position.


def kmer_matrix(strings: list[str], k: int) -> csr_array:
    """Return the counts (n, K) of the K k-mers that occur in any of n sequences.

    Examples
    --------
    >>> kmer_matrix(["ACAC", "CA", "T"], 2).toarray().tolist()
    [[2.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    """
    from scipy.sparse import csr_array

    _, ids, owner = kmer_windows(strings, k)
    seen, ids = renumber(ids)
    places = (owner.astype(np.int32), ids.astype(np.int32))  # scikit-learn takes no longer ones
    counts = csr_array((np.ones(len(ids), dtype=np.float32), places), shape=(len(strings), len(seen)))
    counts.sum_duplicates()
    return counts


class CountedPair:
    """Counts of k-mers in a set and in the reference, (n, K) each, and their totals in bootstrap samples of both.

    Parameters
    ----------
    a, b : sparse arrays (n, K)
    weights : two arrays (R, n)
        Bootstrap samples of the rows of a and of b.
    """

    def __init__(self, a: csr_array, b: csr_array, weights: Weights) -> None:
        sets = ((a, weights[0]), (b, weights[1]))
        # float64, as r subtracts means; (K,) of the sets, then (R, K) of the bootstrap samples
        self.totals = [np.asarray(counts.sum(0), dtype=np.float64) for counts, _ in sets]
        self.again = [np.asarray(counts.T @ w.T, dtype=np.float64).T for counts, w in sets]

    def js(self) -> Estimate:
        """Return the Jensen-Shannon divergence in bits."""
        return spread(float(js_divergence(*self.totals)), js_divergence(*self.again), 0.0, 1.0)

    def pearson(self) -> Estimate:
        """Return Pearson's correlation of the frequencies of the k-mers that occur in one of the sets."""
        there = (self.totals[0] > 0) | (self.totals[1] > 0)
        one = [values[..., there] for values in self.totals]
        return spread(float(_pearson(*one)), _pearson(*(values[..., there] for values in self.again)), -1.0, 1.0)

    def js_by_position(self, length: int) -> Estimate:
        """Return the mean over `length` positions of the divergence between their letters, K being positions first."""
        shaped = [values.reshape(*values.shape[:-1], length, -1) for values in (*self.totals, *self.again)]
        return spread(float(js_divergence(*shaped[:2]).mean()), js_divergence(*shaped[2:]).mean(-1), 0.0, 1.0)


def _pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (values - values.mean(-1, keepdims=True) for values in (a, b))
    with np.errstate(invalid="ignore"):  # a single k-mer, or all alike
        return (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))


def square_root(estimate: Estimate) -> Estimate:
    """Return the Jensen-Shannon distance of the divergence."""
    return Estimate(*(float(np.sqrt(x)) for x in estimate))


def letters_by_position(tokens: np.ndarray, letters: int) -> csr_array:
    """Return which letter stands at each position, (n, L * letters), of tokens (n, L)."""
    from scipy.sparse import csr_array

    n, L = tokens.shape
    columns = np.arange(L) * letters + tokens.astype(np.int64)
    return csr_array((np.ones(n * L, dtype=np.float32), columns.ravel(), np.arange(0, n * L + 1, L)), (n, L * letters))


# Embeddings.


class KmerEmbedding:
    """Frequencies of k-mers, as vectors.

    Columns are the k-mers of the reference, those of other sequences are left out. Where there are more than 64, they
    are projected to 64 dimensions by a random matrix that is always the same (Johnson and Lindenstrauss 1984).

    Parameters
    ----------
    reference : list of str
    k : int

    Examples
    --------
    >>> KmerEmbedding(["ACAC"], 2)(["ACAA", "CACA"]).round(2).tolist()
    [[0.33, 0.33], [0.33, 0.67]]
    """

    def __init__(self, reference: list[str], k: int) -> None:
        self.k = k
        starts, ids, _ = kmer_windows(reference, k)
        joined = "".join(reference)
        self.kmers = sorted(joined[start : start + k] for start in starts[np.unique(ids, return_index=True)[1]])
        self.projection: np.ndarray | None = None
        if len(self.kmers) > DIMENSIONS:
            draws = np.random.default_rng(0).standard_normal((len(self.kmers), DIMENSIONS))
            self.projection = draws / np.sqrt(DIMENSIONS)

    def __call__(self, sequences: Sequence[str]) -> np.ndarray:
        """Return vectors (n, D)."""
        from scipy.sparse import diags_array

        # each known k-mer is read once behind the sequences, so that it has a column, in sorted order
        counts = kmer_matrix([*sequences, *self.kmers], self.k)
        columns = counts[len(sequences) :].indices
        counts = counts[: len(sequences)].astype(np.float64)
        windows = np.maximum(counts.sum(1), 1)
        frequencies = diags_array(1 / windows).tocsr() @ counts[:, columns]
        return frequencies.toarray() if self.projection is None else frequencies @ self.projection


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Return the Frechet distance between two sets of vectors (n, D), in their squared unit.

    It is biased upward in small sets: compare values of equal numbers of vectors only.

    Examples
    --------
    >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
    9.0
    """
    sets = [np.asarray(values, dtype=np.float64) for values in (a, b)]
    for name, values in zip("ab", sets, strict=True):
        if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
            wanted = "two or more vectors of finite numbers, (n, D)"
            raise InputError(argument(name), f"shape {values.shape}", wanted, "give such an array")
    return float(_frechet(*(_moments(values, np.ones((1, len(values)))) for values in sets))[0])


def frechet(a: np.ndarray, b: np.ndarray, weights: Weights, unit: float) -> Estimate:
    """Return the Frechet distance of two embeddings over `unit`, with the interval of bootstrap samples of both."""
    again = _frechet(_moments(a, weights[0]), _moments(b, weights[1]))
    return spread(frechet_distance(a, b) / unit, again / unit)


def _moments(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means (R, D) and covariances (R, D, D) of vectors (n, D) that count as often as weights (R, n) say."""
    n = weights.sum(1)
    means = weights @ x / n[:, None]
    products = np.stack([(x * w[:, None]).T @ x for w in weights])
    return means, (products - n[:, None, None] * means[:, :, None] * means[:, None, :]) / (n - 1)[:, None, None]


def _frechet(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the distances (R,) between means and covariances.

    tr (C_1 C_2)^(1/2) is the sum of the square roots of the eigenvalues of the symmetric S C_2 S with S = C_1^(1/2),
    which are real also where covariances are singular.
    """
    (m1, C1), (m2, C2) = one, other
    values, vectors = np.linalg.eigh(C1)
    S = (vectors * np.sqrt(np.maximum(values, 0))[:, None]) @ vectors.swapaxes(-1, -2)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(S @ C2 @ S), 0)).sum(-1)
    traces = np.trace(C1, axis1=-2, axis2=-1) + np.trace(C2, axis1=-2, axis2=-1)
    return np.maximum(((m1 - m2) ** 2).sum(-1) + traces - 2 * cross, 0)


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)


def _reach(x: np.ndarray, k: int) -> np.ndarray:
    """Return the squared distance of each vector to its k-th nearest neighbour, (n,), and a rounding error."""
    nearest = np.partition(_squared(x, x), k, axis=1)[:, k]  # column 0 is the vector itself
    return nearest + 1e-9 * (x**2).sum(1).max()  # equal distances, frequent among counts, shall count as equal


class Neighbourhoods(NamedTuple):
    """Arrays of which means are precision, recall, density and coverage; n samples, N of the reference."""

    inside: np.ndarray  # (n,) bool: a sample is in a ball of the reference
    recalled: np.ndarray  # (N,) bool: of the reference, in a ball around samples
    balls: np.ndarray  # (n,) number of balls of the reference around a sample, over k
    covered: np.ndarray  # (N,) bool: a ball of the reference holds a sample

    @classmethod
    def of(cls, samples: np.ndarray, reference: np.ndarray, k: int = NEIGHBOURS) -> Neighbourhoods:
        """Return them of two embeddings (n, D) and (N, D), of more than k vectors each."""
        between = _squared(samples, reference)
        near: np.ndarray = between <= _reach(reference, k)
        recall: np.ndarray = between <= _reach(samples, k)[:, None]
        return cls(near.max(1), recall.max(0), near.sum(1) / k, near.max(0))  # max: of booleans, any


def precision_recall(samples: ArrayLike, reference: ArrayLike, k: int = NEIGHBOURS) -> dict[str, float]:
    """Return precision, recall, density and coverage of an embedding of samples.

    Parameters
    ----------
    samples, reference : arrays (n, D), (N, D)
        More than k vectors each; equal numbers, as all four depend on them.
    k : int, default 5
        The neighbour to which a ball reaches; it belongs to the ball.

    Returns
    -------
    dict of str to float
        `precision`, `recall`, `density`, `coverage`; density may exceed 1.

    Examples
    --------
    >>> line = np.arange(10.0)[:, None]
    >>> precision_recall(line[:5], line, k=2)
    {'precision': 1.0, 'recall': 0.7, 'density': 1.5, 'coverage': 0.6}
    """
    sets = [np.asarray(values, dtype=np.float64) for values in (samples, reference)]
    for name, values in zip(("samples", "reference"), sets, strict=True):
        if values.ndim != 2 or len(values) <= k:
            wanted = f"more than {k} vectors, (n, D)"
            raise InputError(
                argument(name), f"shape {values.shape}", wanted, f"give more, or a smaller {argument('k')}"
            )
    found = Neighbourhoods.of(sets[0], sets[1], k)
    names = ("precision", "recall", "density", "coverage")
    return {name: float(values.mean()) for name, values in zip(names, found, strict=True)}


# The nearest training sequence.


def nearest_training(
    samples: list[str], known: list[str], k: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the edit distance (n,) of each sample to its nearest known sequence, and the place of that, (n,).

    Of sequences of up to 64 letters all pairs are compared. Of longer ones, which take 80 times as long, it is the
    nearest of the known sequences that share most different k-mers with the sample: 100 of them, fewer where all
    samples would take more than `CELLS`, such as 25 for 1,000 samples of 2,000 letters, but never fewer than 5. Copies
    with changes are always among these, distances of unrelated sequences come out about 2% larger.

    Parameters
    ----------
    samples, known : list of str
    k : int
        Longer k-mers are taken for sequences so long that they have most k-mers by chance.
    own : ndarray of int, shape (n,), optional
        A place in `known` that is not compared, of each sample: its own.
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist, cpdist

    longest = max(map(len, itertools.chain(samples, known)))
    candidates = int(np.clip(CELLS // (len(samples) * longest**2), FEWEST_CANDIDATES, CANDIDATES))
    every = longest <= WORD or len(known) <= candidates + 1
    if not every:
        letters = max(2, len(set().union(*known)))
        shared = kmer_matrix([*samples, *known], max(k, math.ceil(math.log(4 * longest, letters))))
        shared.data[:] = 1
        ours, theirs = shared[: len(samples)], shared[len(samples) :].T.tocsr()
    distances, places = [], []
    for start in range(0, len(samples), 256):
        some = samples[start : start + 256]
        rows = np.arange(len(some))
        if every:
            edits = cdist(some, known, scorer=Levenshtein.distance, dtype=np.int32)
            if own is not None:
                edits[rows, own[start : start + 256]] = np.iinfo(np.int32).max
            best = edits.argmin(1)
            place = best
        else:
            common = (ours[start : start + 256] @ theirs).toarray()
            if own is not None:
                common[rows, own[start : start + 256]] = -1
            top = np.argpartition(-common, candidates - 1, axis=1)[:, :candidates]
            left, right = np.repeat(some, candidates).tolist(), [known[i] for i in top.ravel()]
            edits = cpdist(left, right, scorer=Levenshtein.distance, dtype=np.int32).reshape(top.shape)
            best = edits.argmin(1)
            place = top[rows, best]
        distances.append(edits[rows, best])
        places.append(place)
    return np.concatenate(distances).astype(np.int64), np.concatenate(places)


class Nearness(NamedTuple):
    """Of each of n samples: the distance to its nearest training sequence over the longer length, and authenticity."""

    distance: np.ndarray
    authentic: np.ndarray

    @classmethod
    def of(cls, samples: list[str], known: list[str], k: int) -> Nearness:
        """Return that of samples; a sample is authentic if its nearest training sequence has a nearer one than it.

        `known` are different training sequences, at least two. The share of authentic samples is that of Alaa et al.
        2022 (arXiv 2102.08921), with the edit distance.
        """
        edits, place = nearest_training(samples, known, k)
        different, index = np.unique(place, return_inverse=True)
        among, _ = nearest_training([known[i] for i in different], known, k, own=different)
        longer = np.array([max(len(s), len(known[i])) for s, i in zip(samples, place, strict=True)])
        return cls(edits / longer, edits > among[index])


# Tests between groups.


def group_tests(measures: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Return Kruskal-Wallis tests between all groups, and Dunn's between two, of several measures.

    Parameters
    ----------
    measures : mapping of str to mapping of str to array
        Values (n,) of each group, by measure and by group: two groups or more.

    Returns
    -------
    DataFrame
        One row a test: `measure`, `test`, `a` and `b` (two groups, or "all" and ""), `statistic` (H, or z, which is
        above 0 where a has the larger values), `p`, and `p_holm`, adjusted for all pairs of a measure (Holm 1979).

    Notes
    -----
    With mean ranks R_i over all N values and T the sum of t^3 - t over sets of t tied values,

        z = (R_a - R_b) / sqrt((N (N + 1) / 12 - T / (12 (N - 1))) (1 / n_a + 1 / n_b))

    (Dunn, Technometrics 6, 241 (1964)). Values that are all equal have a p of 1.

    Examples
    --------
    >>> values = {"a": np.array([1.0, 2, 3]), "b": np.array([4.0, 5, 6]), "c": np.array([2.5, 3.5, 4.5])}
    >>> table = group_tests({"GC": values})
    >>> print(table.loc[[1], ["test", "a", "b", "statistic", "p_holm"]].round(3).to_string(index=False, header=False))
    Dunn a b -2.385 0.051
    """
    import pandas as pd
    from scipy.stats import chi2, norm, rankdata

    rows: list[list[Any]] = []
    for measure, groups in measures.items():
        values = np.concatenate(list(groups.values()))
        sizes, N = np.array([len(group) for group in groups.values()]), len(values)
        ranks = np.split(rankdata(values), sizes.cumsum()[:-1])
        means = np.array([rank.mean() for rank in ranks])
        _, ties = np.unique(values, return_counts=True)
        variance = N * (N + 1) / 12 - (ties.astype(float) ** 3 - ties).sum() / (12 * (N - 1))
        equal = len(ties) == 1
        H = 0.0 if equal else float((sizes * (means - (N + 1) / 2) ** 2).sum() / variance)
        p = 1.0 if equal else float(chi2.sf(H, len(groups) - 1))
        rows.append([measure, "Kruskal-Wallis", "all", "", H, p, float("nan")])
        pairs = list(itertools.combinations(range(len(groups)), 2))
        z = np.array([
            0.0 if equal else (means[i] - means[j]) / np.sqrt(variance * (1 / sizes[i] + 1 / sizes[j]))
            for i, j in pairs
        ])  # fmt: skip
        p_pairs = 2 * norm.sf(np.abs(z))
        names = list(groups)
        for (i, j), statistic, one, adjusted in zip(pairs, z, p_pairs, holm(p_pairs), strict=True):
            rows.append([measure, "Dunn", names[i], names[j], float(statistic), float(one), float(adjusted)])
    return pd.DataFrame(rows, columns=["measure", "test", "a", "b", "statistic", "p", "p_holm"])


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values (n,) adjusted for n tests by Holm's step-down method.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1)
    return adjusted
