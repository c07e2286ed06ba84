"""Simple models with exact likelihoods that a generator has to beat: a position weight matrix and Markov chains.

They are scikit-learn estimators with the `fit`, `score_samples`, `score` and `generate` of the generators.

The Markov chains mix contexts of every length (Jelinek and Mercer 1980; MacKay and Peto, Nat. Lang. Eng. 1, 289
(1995)): with c(context, letter) the training counts and s_j the strength of the shorter context in units of letters
seen,

    p_j(a | context of j letters) = (c(context, a) + s_j p_{j-1}(a | its last j-1 letters)) / (c(context) + s_j)

from p_{-1} = 1/K upward. `PositionalMarkov` counts contexts at each position i, and mixes its shorter context q_{j-1}
with the chain h_j of the same letters at any position:

    q_j(a | i, context) = (c(i, context, a) + s_j [(1 - w_j) q_{j-1} + w_j h_j]) / (c(i, context) + s_j)

The strengths s_j and weights w_j are those that maximise the likelihood of the training letters, each predicted from
the counts of all others (leave-one-out: c - 1 in place of c). No validation set is needed and the test set is never
looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from seqdiff.data import Alphabet, LengthDistribution, prepare
from seqdiff.errors import InputError, argument, shown
from seqdiff.inputs import LabelsLike, SequencesLike
from seqdiff.parameters import Whole


class Baseline(BaseEstimator):
    """A distribution over sequences: the length first, then letter by letter.

    A subclass has `_learn(tokens, lengths)` and `_probability(tokens, i, letters)`. Fitted, all have `alphabet_` and
    `length_distribution_`.
    """

    alphabet: str | Alphabet

    def fit(self, X: SequencesLike, y: LabelsLike = None) -> Baseline:
        """Fit the model to sequences, whatever `seqdiff.data.prepare` reads; y is ignored."""
        data = prepare(X, alphabet=self.alphabet)
        self.alphabet_: Alphabet = data.alphabet
        self.length_distribution_ = LengthDistribution.fit(data.lengths)
        self._learn(data.tokens.astype(np.int64), data.lengths)
        return self

    def score_samples(self, X: SequencesLike, y: LabelsLike = None) -> np.ndarray:
        """Return the exact log-likelihood of each sequence in nats, (n,), log p(length) included; y is ignored.

        It is -inf for a length that the model excludes.
        """
        check_is_fitted(self, "length_distribution_")
        data = prepare(X, alphabet=self.alphabet_)
        tokens, lengths = data.tokens.astype(np.int64), data.lengths
        nats = self.length_distribution_.log_prob(lengths)
        for i in range(tokens.shape[1]):
            rows = np.flatnonzero((lengths > i) & np.isfinite(nats))
            if len(rows):
                nats[rows] += np.log(self._probability(tokens[rows], i, tokens[rows, i]))
        return nats

    def score(self, X: SequencesLike, y: LabelsLike = None) -> float:
        """Return the mean log-likelihood of a sequence in nats; larger is better."""
        return float(self.score_samples(X).mean())

    def generate(self, n: int, *, random_state: int | np.random.Generator | None = None) -> list[str]:
        """Return n exact draws from the fitted distribution; `random_state` is as of `numpy.random.default_rng`."""
        check_is_fitted(self, "length_distribution_")
        Whole(0).check("n", n)
        if n == 0:
            return []
        rng = np.random.default_rng(random_state)
        probabilities = self.length_distribution_.probabilities
        lengths = 1 + rng.choice(len(probabilities), size=n, p=probabilities)
        tokens = np.zeros((n, lengths.max()), dtype=np.int64)
        every = np.arange(len(self.alphabet_))[None, :]
        for i in range(tokens.shape[1]):
            rows = np.flatnonzero(lengths > i)
            cumulative = self._probability(tokens[rows], i, every).cumsum(1)  # (rows, K), the last is 1 up to rounding
            tokens[rows, i] = (rng.random(len(rows))[:, None] >= cumulative[:, :-1]).sum(1)
        return self.alphabet_.decode(tokens.astype(self.alphabet_.dtype), lengths)

    def _learn(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        raise NotImplementedError

    def _probability(self, tokens: np.ndarray, i: int, letters: np.ndarray) -> np.ndarray:
        """p(letter at position i | tokens before it), the shape of `letters`: (n,), or (1, K) for (n, K)."""
        raise NotImplementedError


class PositionWeightMatrix(Baseline):
    """Independent letters at each position: p(x) = prod_i p_i(x_i).

    Parameters
    ----------
    pseudocount : float, default 1.0
        Added to every count.
    alphabet : str or Alphabet, default "auto"
        As in `seqdiff.data.prepare`.

    Attributes
    ----------
    probabilities_ : ndarray, shape (L, K)
        Letter probabilities by position.

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> from seqdiff.evaluation import PositionWeightMatrix, bits_per_letter
    >>> model = PositionWeightMatrix().fit(load_sigma70(2000))
    >>> test = load_sigma70(500, random_state=1)
    >>> 1.85 < bits_per_letter(model.score_samples(test), test) < 1.95
    True
    """

    def __init__(self, pseudocount: float = 1.0, alphabet: str | Alphabet = "auto"):
        self.pseudocount = pseudocount
        self.alphabet = alphabet

    def _learn(self, tokens, lengths):
        if not self.length_distribution_.fixed:
            found = f"sequences of {lengths.min()} to {lengths.max()} letters"
            cure = "keep sequences of one length, or take MarkovChain"
            raise InputError("X", found, "one length, as a position weight matrix needs", cure)
        if not self.pseudocount > 0:
            raise InputError(argument("pseudocount"), shown(self.pseudocount), "a number above 0", "give such a number")
        counts = np.stack([np.bincount(column, minlength=len(self.alphabet_)) for column in tokens.T])
        counts = counts + self.pseudocount
        self.probabilities_ = counts / counts.sum(1, keepdims=True)

    def _probability(self, tokens, i, letters):
        return np.broadcast_to(self.probabilities_[i][letters], (len(tokens),) + letters.shape[1:])


class _Counts:
    """Counts of each (context, letter) and each context that was seen; contexts are integers, most of them unseen."""

    def __init__(self, keys: np.ndarray, counts: np.ndarray, K: int):
        self.K, self.keys, self.counts = K, keys, counts  # key: context * K + letter, ascending
        self.contexts, where = np.unique(keys // K, return_inverse=True)
        self.totals = np.bincount(where, weights=counts, minlength=len(self.contexts))

    def look(self, contexts: np.ndarray, letters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return c(context, letter), the shape of the two broadcast, and c(context)."""
        keys = contexts * self.K + letters
        return _found(self.keys, self.counts, keys), _found(self.contexts, self.totals, contexts)


def _found(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the value of each wanted key, 0 where it is not among the sorted keys."""
    if not len(keys):
        return np.zeros(wanted.shape)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0.0)


class _Interpolated(Baseline):
    """Counts of contexts of 0..order letters, interpolated; see the module's equations."""

    order: int
    positional = False

    def _real(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Check the order, and return which positions have a letter, (n, L)."""
        Whole(0).check("order", self.order)
        K, L = len(self.alphabet_), tokens.shape[1]
        if K ** (int(self.order) + 1) * L > 2**62:  # a context is one int64
            wanted = f"one that is not too high for {K} letters"
            raise InputError(argument("order"), shown(self.order), wanted, "choose a smaller one")
        return np.arange(L) < lengths[:, None]

    def _context(self, tokens: np.ndarray, i: int, j: int) -> np.ndarray:
        """The j letters before position i as one number, (n,)."""
        K = len(self.alphabet_)
        context = np.full(len(tokens), i if self.positional else 0, dtype=np.int64)
        for before in range(i - j, i):
            context = context * K + tokens[:, before]
        return context

    def _fit_levels(self, tokens: np.ndarray, real: np.ndarray, anywhere: list[np.ndarray] | None = None):
        """Fit s_j (and w_j, where `anywhere` has the h_j), shortest contexts first.

        Return the leave-one-out probabilities p_j of all letters, by position and then by sequence, for each level j.
        """
        from scipy.special import expit

        K = len(self.alphabet_)
        none = np.zeros(0, np.int64)  # no sequence may have j letters before a position
        p, left_out = np.full(real.sum(), 1 / K), []
        self.levels_, strengths, weights = [], [], []
        for j in range(self.order + 1):
            columns = range(j, tokens.shape[1])
            contexts = np.concatenate([none, *(self._context(tokens, i, j)[real[:, i]] for i in columns)])
            letters = np.concatenate([none, *(tokens[real[:, i], i] for i in columns)])
            keys, first, inverse, counts = np.unique(
                contexts * K + letters, return_index=True, return_inverse=True, return_counts=True
            )
            level = _Counts(keys, counts, K)
            c, total = level.look(keys // K, keys % K)
            offset = real[:, :j].sum()  # letters at the first j positions have no such context
            shorter = p[offset:][first]  # equal for all occurrences of one (context, letter)
            chain = None if anywhere is None else anywhere[j][offset:][first]

            def mixed(v, c=c, total=total, shorter=shorter, chain=chain):
                s = np.exp(v[0])
                if chain is not None:
                    w = expit(v[1])
                    shorter = (1 - w) * shorter + w * chain
                return (c - 1 + s * shorter) / (total - 1 + s)

            def log_likelihood(v, counts=counts, mixed=mixed):
                return counts @ np.log(mixed(v))

            best = _best(log_likelihood, [4.0] if chain is None else [4.0, -1.0])
            p = p.copy()
            p[offset:] = mixed(best)[inverse]
            left_out.append(p)
            self.levels_.append(level)
            strengths.append(np.exp(best[0]))
            weights.append(expit(best[-1]))
        self.strengths_ = np.array(strengths)
        if anywhere is not None:
            self.weights_ = np.array(weights)
        return left_out

    def _longer(self, shorter: np.ndarray, tokens: np.ndarray, i: int, j: int, letters: np.ndarray) -> np.ndarray:
        """Return p_j from what p_{j-1} says."""
        contexts = self._context(tokens, i, j)
        c, total = self.levels_[j].look(contexts[:, None] if letters.ndim == 2 else contexts, letters)
        return (c + self.strengths_[j] * shorter) / (total + self.strengths_[j])


class MarkovChain(_Interpolated):
    """Each letter from the `order` letters before it, at any position, with interpolation of all shorter contexts.

    Order 0 is the unigram model. Sequences of several lengths are allowed; log p(length) is part of the likelihood.

    Parameters
    ----------
    order : int, default 5
        Letters of the longest context.
    alphabet : str or Alphabet, default "auto"
        As in `seqdiff.data.prepare`.

    Attributes
    ----------
    strengths_ : ndarray, shape (order + 1,)
        s_j of the module's docstring.

    Examples
    --------
    >>> from seqdiff.evaluation import MarkovChain
    >>> model = MarkovChain(order=1).fit(["ACACAC", "ACACACAC"] * 20)
    >>> model.generate(2, random_state=0)
    ['ACACACAC', 'ACACAC']
    """

    def __init__(self, order: int = 5, alphabet: str | Alphabet = "auto"):
        self.order = order
        self.alphabet = alphabet

    def _learn(self, tokens, lengths):
        self._fit_levels(tokens, self._real(tokens, lengths))

    def _probability(self, tokens, i, letters):
        p = np.full((len(tokens),) + letters.shape[1:], 1 / len(self.alphabet_))
        for j in range(min(i, self.order) + 1):
            p = self._longer(p, tokens, i, j, letters)
        return p


class PositionalMarkov(_Interpolated):
    """Each letter from its position and the `order` letters before it; falls back on `MarkovChain` at every order.

    Positions count from the start. Sequences of several lengths are allowed; log p(length) is part of the likelihood.

    Parameters
    ----------
    order : int, default 3
        Letters of the longest context.
    alphabet : str or Alphabet, default "auto"
        As in `seqdiff.data.prepare`.

    Attributes
    ----------
    strengths_, weights_ : ndarray, shape (order + 1,)
        s_j and w_j of the module's docstring.
    chain_ : MarkovChain
        The model of h_j.

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> from seqdiff.evaluation import PositionalMarkov, bits_per_letter
    >>> model = PositionalMarkov(order=1).fit(load_sigma70(2000))
    >>> [len(sequence) for sequence in model.generate(2)]
    [50, 50]
    """

    positional = True

    def __init__(self, order: int = 3, alphabet: str | Alphabet = "auto"):
        self.order = order
        self.alphabet = alphabet

    def _learn(self, tokens, lengths):
        real = self._real(tokens, lengths)
        self.chain_ = MarkovChain(order=self.order, alphabet=self.alphabet_)
        self.chain_.alphabet_, self.chain_.length_distribution_ = self.alphabet_, self.length_distribution_
        self._fit_levels(tokens, real, self.chain_._fit_levels(tokens, real))

    def _probability(self, tokens, i, letters):
        h = q = np.full((len(tokens),) + letters.shape[1:], 1 / len(self.alphabet_))
        for j in range(min(i, self.order) + 1):
            h = self.chain_._longer(h, tokens, i, j, letters)
            w = self.weights_[j]
            q = self._longer((1 - w) * q + w * h, tokens, i, j, letters)
        return q


def _best(log_likelihood: Callable[[np.ndarray], float], start: list[float]) -> np.ndarray:
    """Maximise over one or two unbounded numbers, kept within exp(-6)..exp(12) so that nothing over- or underflows."""
    from scipy.optimize import minimize

    def loss(v):
        return -log_likelihood(np.clip(v, -6, 12))

    found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 200, "xatol": 0.01, "fatol": 1e-3})
    return np.clip(found.x, -6, 12)
