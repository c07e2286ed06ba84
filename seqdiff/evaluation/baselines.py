"""What a generator has to beat: a position weight matrix and Markov chains, with exact likelihoods.

Estimators in the scikit-learn manner, with the same `fit`, `score_samples`, `score` and `generate` as the generators.

The Markov chains mix contexts of every length (Jelinek and Mercer 1980; MacKay and Peto, Nat. Lang. Eng. 1, 289
(1995)): with c(context, letter) the training counts and s_j the strength of the shorter context in units of letters
seen,

    p_j(a | context of j letters) = (c(context, a) + s_j p_{j-1}(a | its last j-1 letters)) / (c(context) + s_j)

from p_{-1} = 1/K upward. The strengths (and the mixing weights of `PositionalMarkov`) are those that maximise the
likelihood of the training letters, each predicted from the counts of all others (leave-one-out: c - 1 in place of c).
No validation set is needed and the test set is never looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from seqdiff.data import Alphabet, LengthDistribution, prepare
from seqdiff.errors import InputError, argument, shown
from seqdiff.parameters import Whole


class Baseline(BaseEstimator):
    """What the baselines share: a distribution that writes a sequence letter by letter, after its length.

    A subclass has `_learn(tokens, lengths)` and `_probability(tokens, i, letters)`.
    """

    alphabet: Any

    def fit(self, X, y=None):
        """Learn from sequences.

        Parameters
        ----------
        X : path, list, array, Series, DataFrame or SeqRecords
            Whatever `seqdiff.data.prepare` reads.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InputError
            If X cannot be read, or holds sequences that this model is not made for.
        """
        data = prepare(X, alphabet=self.alphabet)
        self.alphabet_: Alphabet = data.alphabet
        self.length_distribution_ = LengthDistribution.fit(data.lengths)
        self._learn(data.tokens.astype(np.int64), np.asarray(data.lengths))
        return self

    def score_samples(self, X, y=None) -> np.ndarray:
        """Return the exact log-likelihood of each sequence, log p(length) included.

        Parameters
        ----------
        X : path, list, array, Series, DataFrame or SeqRecords
            In the letters of the training data.
        y : ignored

        Returns
        -------
        ndarray, shape (n,)
            Nats per sequence; -inf for a length that cannot be.
        """
        check_is_fitted(self, "length_distribution_")
        data = prepare(X, alphabet=self.alphabet_)
        tokens, lengths = data.tokens.astype(np.int64), np.asarray(data.lengths)
        nats = self.length_distribution_.log_prob(lengths)
        for i in range(tokens.shape[1]):
            rows = np.flatnonzero((lengths > i) & np.isfinite(nats))
            if len(rows):
                nats[rows] += np.log(self._probability(tokens[rows], i, tokens[rows, i]))
        return nats

    def score(self, X, y=None) -> float:
        """Return the mean log-likelihood of a sequence in nats; larger is better."""
        return float(self.score_samples(X).mean())

    def generate(self, n: int, *, random_state: int | np.random.Generator | None = None) -> list[str]:
        """Write n sequences, exact draws from the fitted law.

        Parameters
        ----------
        n : int
            How many.
        random_state : int, Generator or None
            Seed of `numpy.random.default_rng`; None draws fresh ones each time.

        Returns
        -------
        list of str

        Raises
        ------
        InputError
            If n is no whole number of 0 or more.
        """
        check_is_fitted(self, "length_distribution_")
        Whole(0).check("n", n)
        if n == 0:
            return []
        rng = np.random.default_rng(random_state)
        law = self.length_distribution_.probabilities
        lengths = 1 + rng.choice(len(law), size=n, p=law)
        K = len(self.alphabet_)
        tokens = np.zeros((n, lengths.max()), dtype=np.int64)
        every = np.arange(K)[None, :]
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
    """Each position's letters on their own: p(x) = prod_i p_i(x_i).

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
    alphabet_ : Alphabet
    length_distribution_ : LengthDistribution

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> from seqdiff.evaluation import PositionWeightMatrix, bits_per_letter
    >>> model = PositionWeightMatrix().fit(load_sigma70(2000))
    >>> test = load_sigma70(500, random_state=1)
    >>> 1.85 < bits_per_letter(model.score_samples(test), test) < 1.95
    True
    """

    def __init__(self, pseudocount: float = 1.0, alphabet: Any = "auto"):
        self.pseudocount = pseudocount
        self.alphabet = alphabet

    def _learn(self, tokens, lengths):
        if not self.length_distribution_.fixed:
            found = f"sequences of {lengths.min()} to {lengths.max()} letters"
            cure = "keep sequences of one length, or take MarkovChain"
            raise InputError("X", found, "one length, as a position weight matrix needs", cure)
        if not self.pseudocount > 0:
            raise InputError(argument("pseudocount"), shown(self.pseudocount), "a number above 0", "give such a number")
        counts = (
            np.stack([np.bincount(column, minlength=len(self.alphabet_)) for column in tokens.T]) + self.pseudocount
        )
        self.probabilities_ = counts / counts.sum(1, keepdims=True)

    def _probability(self, tokens, i, letters):
        return np.broadcast_to(self.probabilities_[i][letters], (len(tokens),) + letters.shape[1:])


class _Counts:
    """How often each (context, letter) and each context was seen; contexts are integers, most of them never seen."""

    def __init__(self, contexts: np.ndarray, letters: np.ndarray, K: int):
        self.K = K
        keys = contexts * K + letters
        self.keys, self.first, self.inverse, self.counts = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        self.contexts, where = np.unique(self.keys // K, return_inverse=True)
        self.totals = np.bincount(where, weights=self.counts, minlength=len(self.contexts))

    @staticmethod
    def _look(keys, values, wanted):
        if not len(keys):
            return np.zeros(wanted.shape)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, values[at], 0.0)

    def look(self, contexts: np.ndarray, letters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """c(context, letter), the shape of the two broadcast, and c(context)."""
        return (
            self._look(self.keys, self.counts, contexts * self.K + letters),
            self._look(self.contexts, self.totals, contexts),
        )

    def forget(self) -> None:
        """Drop what only fitting needs."""
        del self.first, self.inverse


class _Context(Baseline):
    """Contexts of 0..order preceding letters, in a flat list of all letters for fitting and by position for use."""

    order: int
    positional = False

    def _start(self, tokens, lengths):
        Whole(0).check("order", self.order)
        K = len(self.alphabet_)
        if K ** (int(self.order) + 1) * tokens.shape[1] > 2**62:
            wanted = f"one that is not too high for {K} letters"
            raise InputError(argument("order"), shown(self.order), wanted, "choose a smaller one")
        position = np.repeat(np.arange(tokens.shape[1])[None, :], len(tokens), axis=0)
        return tokens, position, position < lengths[:, None]

    def _context(self, tokens: np.ndarray, i: int, j: int) -> np.ndarray:
        """The j letters before position i as one number, (n,)."""
        K = len(self.alphabet_)
        context = np.full(len(tokens), i if self.positional else 0, dtype=np.int64)
        for before in range(i - j, i):
            context = context * K + tokens[:, before]
        return context

    def _observed(self, tokens, real, j):
        """Contexts and letters of all real positions that have j letters before them, and which ones they are, flat."""
        columns = range(j, tokens.shape[1])
        contexts = [self._context(tokens, i, j)[real[:, i]] for i in columns]
        letters = [tokens[real[:, i], i] for i in columns]
        offset = real[:, :j].sum()  # the flat order is by position, so the first j positions come first
        if not contexts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), offset
        return np.concatenate(contexts), np.concatenate(letters), offset


class MarkovChain(_Context):
    """Each letter from the `order` letters before it, wherever they stand, with interpolation of all shorter contexts.

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
        s_j of the module's docstring, chosen by the leave-one-out likelihood.
    alphabet_ : Alphabet
    length_distribution_ : LengthDistribution

    Examples
    --------
    >>> from seqdiff.evaluation import MarkovChain
    >>> model = MarkovChain(order=1).fit(["ACACAC", "ACACACAC"] * 20)
    >>> model.generate(2, random_state=0)
    ['ACACACAC', 'ACACAC']
    """

    def __init__(self, order: int = 5, alphabet: Any = "auto"):
        self.order = order
        self.alphabet = alphabet

    def _learn(self, tokens, lengths):
        tokens, _, real = self._start(tokens, lengths)
        self._learn_levels(tokens, real)

    def _learn_levels(self, tokens, real) -> list[np.ndarray]:
        """Fit the strengths, shortest contexts first; return the leave-one-out probability of every letter by level."""
        K = len(self.alphabet_)
        self.levels_, strengths = [], []
        p, left_out = np.full(real.sum(), 1 / K), []
        for j in range(self.order + 1):
            contexts, letters, offset = self._observed(tokens, real, j)
            level = _Counts(contexts, letters, K)
            c, total = level.look(level.keys // K, level.keys % K)
            shorter = p[offset:][level.first]  # equal for all occurrences of one (context, letter)

            def mixed(log_s, c=c, total=total, shorter=shorter):
                return (c - 1 + np.exp(log_s) * shorter) / (total - 1 + np.exp(log_s))

            strength = _best(lambda v, level=level, mixed=mixed: level.counts @ np.log(mixed(v[0])), [4.0])
            p = p.copy()
            p[offset:] = mixed(strength[0])[level.inverse]
            left_out.append(p)
            level.forget()
            self.levels_.append(level)
            strengths.append(np.exp(strength[0]))
        self.strengths_ = np.array(strengths)
        return left_out

    def _update(self, p, tokens, i, j, letters):
        """From p_{j-1} to p_j."""
        contexts = self._context(tokens, i, j)
        c, total = self.levels_[j].look(contexts[:, None] if letters.ndim == 2 else contexts, letters)
        return (c + self.strengths_[j] * p) / (total + self.strengths_[j])

    def _probability(self, tokens, i, letters):
        p = np.full((len(tokens),) + letters.shape[1:], 1 / len(self.alphabet_))
        for j in range(min(i, self.order) + 1):
            p = self._update(p, tokens, i, j, letters)
        return p


class PositionalMarkov(_Context):
    """Each letter from its position and the `order` letters before it.

    Falls back at every order j on a mixture of what one letter less says at this position, q_{j-1}, and what the same
    letters say anywhere, h_j (that of `MarkovChain`):

        q_j(a | i, context) = (c(i, context, a) + s_j [(1 - w_j) q_{j-1} + w_j h_j]) / (c(i, context) + s_j)

    Sequences of several lengths are allowed (positions count from the start); log p(length) is part of the likelihood.

    Parameters
    ----------
    order : int, default 3
        Letters of the longest context.
    alphabet : str or Alphabet, default "auto"
        As in `seqdiff.data.prepare`.

    Attributes
    ----------
    strengths_, weights_ : ndarray, shape (order + 1,)
        s_j and w_j, chosen by the leave-one-out likelihood.
    chain_ : MarkovChain
        The one that h_j is taken from.
    alphabet_ : Alphabet
    length_distribution_ : LengthDistribution

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> from seqdiff.evaluation import PositionalMarkov, bits_per_letter
    >>> model = PositionalMarkov(order=1).fit(load_sigma70(2000))
    >>> [len(sequence) for sequence in model.generate(2)]
    [50, 50]
    """

    positional = True

    def __init__(self, order: int = 3, alphabet: Any = "auto"):
        self.order = order
        self.alphabet = alphabet

    def _learn(self, tokens, lengths):
        from scipy.special import expit

        tokens, _, real = self._start(tokens, lengths)
        K = len(self.alphabet_)
        self.chain_ = MarkovChain(order=self.order, alphabet=self.alphabet_)
        self.chain_.alphabet_, self.chain_.length_distribution_ = self.alphabet_, self.length_distribution_
        anywhere = self.chain_._learn_levels(tokens, real)
        self.levels_, strengths, weights = [], [], []
        q = np.full(real.sum(), 1 / K)
        for j in range(self.order + 1):
            contexts, letters, offset = self._observed(tokens, real, j)
            level = _Counts(contexts, letters, K)
            c, total = level.look(level.keys // K, level.keys % K)
            shorter, h = q[offset:][level.first], anywhere[j][offset:][level.first]

            def mixed(v, c=c, total=total, shorter=shorter, h=h):
                w = expit(v[1])
                return (c - 1 + np.exp(v[0]) * ((1 - w) * shorter + w * h)) / (total - 1 + np.exp(v[0]))

            best = _best(lambda v, level=level, mixed=mixed: level.counts @ np.log(mixed(v)), [4.0, -1.0])
            q = q.copy()
            q[offset:] = mixed(best)[level.inverse]
            level.forget()
            self.levels_.append(level)
            strengths.append(np.exp(best[0]))
            weights.append(expit(best[1]))
        self.strengths_, self.weights_ = np.array(strengths), np.array(weights)

    def _probability(self, tokens, i, letters):
        h = q = np.full((len(tokens),) + letters.shape[1:], 1 / len(self.alphabet_))
        for j in range(min(i, self.order) + 1):
            h = self.chain_._update(h, tokens, i, j, letters)
            contexts = self._context(tokens, i, j)
            c, total = self.levels_[j].look(contexts[:, None] if letters.ndim == 2 else contexts, letters)
            s, w = self.strengths_[j], self.weights_[j]
            q = (c + s * ((1 - w) * q + w * h)) / (total + s)
        return q


def _best(log_likelihood, start: list[float]) -> np.ndarray:
    """Maximise over one or two unbounded numbers, kept within exp(-6)..exp(12) so that nothing over- or underflows."""
    from scipy.optimize import minimize

    def loss(v):
        return -log_likelihood(np.clip(v, -6, 12))

    found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 200, "xatol": 0.01, "fatol": 1e-3})
    return np.clip(found.x, -6, 12)
