"""Motifs in DNA: where position weight matrices match, on either strand.

With p_i(a) the probability of letter a at position i of the motif and b(a) that of the background, a window scores
sum_i log2 p_i(a_i)/b(a_i). It matches if at most one in 10,000 windows of the background scores as much or more. This
threshold is exact: the distribution of the score is the convolution of those of its positions (Staden 1989), on a grid
of 1/100 bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from seqdiff.alphabets import DNA
from seqdiff.errors import InputError, argument, shown

GRID = 100  # of a bit
CHANCE = 1e-4
MIXED = 0.01
"""Share of the background in every position of a motif, so that no letter is impossible."""


class Motif:
    """A position weight matrix.

    Parameters
    ----------
    matrix : ndarray, shape (width, 4)
        Probabilities, or counts, of A, C, G, T at each position.
    background : ndarray, shape (4,), optional
        Probabilities of the letters outside motifs, all above 0. Default: 1/4 each.

    Attributes
    ----------
    scores : ndarray of int, shape (width, 4)
    threshold : int
        The lowest score of a match; both in 1/100 bit.

    Examples
    --------
    >>> motif = Motif(np.eye(4)[[3, 0, 3, 0, 0, 3, 3]])  # TATAATT, and AATTATA on the other strand
    >>> motif.count(["GGTATAATTGG", "GGAATTATAGG", "GGGG"]).tolist()
    [1, 1, 0]
    """

    def __init__(self, matrix: ArrayLike, background: ArrayLike | None = None) -> None:
        matrix = np.asarray(matrix)
        shaped = matrix.dtype.kind in "biuf" and matrix.ndim == 2 and matrix.shape[1:] == (4,) and len(matrix) > 0
        if not shaped or not np.isfinite(matrix).all() or (matrix < 0).any() or not (matrix.sum(1) > 0).all():
            found = (
                "negative or infinite numbers, or a row of zeros"
                if shaped
                else f"shape {matrix.shape} of {matrix.dtype}"
            )
            wanted = "probabilities or counts of A, C, G, T, an array (width, 4)"
            raise InputError(argument("motifs"), found, wanted, "give such a matrix")
        b = np.full(4, 0.25) if background is None else np.asarray(background, dtype=float)
        p = (1 - MIXED) * matrix / matrix.sum(1, keepdims=True) + MIXED * b
        self.scores = np.rint(GRID * np.log2(p / b)).astype(np.int64)
        self.threshold = _threshold(self.scores, b)

    def count(self, sequences: Sequence[str]) -> np.ndarray:
        """Return the number of places of each sequence at which the motif matches, (n,), on one strand or both."""
        tokens, lengths = DNA.encode(list(sequences))
        return match_counts(tokens, lengths, self.scores, self.threshold)


def _threshold(scores: np.ndarray, background: np.ndarray) -> int:
    """Return the lowest score that at most a share of `CHANCE` of random windows has; the highest where none is."""
    lowest = scores.min(1, keepdims=True)
    tail = tail_probabilities(scores - lowest, background)
    rare = np.flatnonzero(tail <= CHANCE)
    return int(lowest.sum()) + (int(rare[0]) if len(rare) else len(tail) - 1)


def tail_probabilities(scores: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return P(S >= s) for s = 0, 1, ..., the most; S is the sum of scores (m, K) >= 0, ints, of random letters.

    Examples
    --------
    >>> tail_probabilities(np.array([[0, 1], [0, 2]]), np.array([0.5, 0.5])).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """
    p = np.ones(1)  # of each sum over the positions so far
    for row in scores:
        longer = np.zeros(len(p) + int(row.max()))
        for score, frequency in zip(row.tolist(), background, strict=True):
            longer[score : score + len(p)] += frequency * p
        p = longer
    return p[::-1].cumsum()[::-1]  # from the best down, so that small ones are not rounded away


def match_counts(
    tokens: np.ndarray, lengths: np.ndarray, scores: np.ndarray, threshold: int, both_strands: bool = True
) -> np.ndarray:
    """Return the number of windows of each sequence that match, (n,): a window that matches on both strands is one.

    Parameters
    ----------
    tokens, lengths : ndarray, shapes (n, L) and (n,)
        0 to 3 for A, C, G and T or U; letters of each sequence.
    scores : ndarray of int, shape (m, 4)
        Of the letters at each position of a motif.
    threshold : int
        The least sum of them that is a match.
    both_strands : bool
        Whether reverse complements count, too.
    """
    m, windows = len(scores), tokens.shape[1] - len(scores) + 1
    if windows < 1:
        return np.zeros(len(tokens), dtype=np.int64)
    found = np.zeros((len(tokens), windows), dtype=bool)
    for strand in [scores] + [scores[::-1, ::-1]] * both_strands:  # A, C, G, T reversed are the complements
        total = np.zeros((len(tokens), windows), dtype=np.int32)
        for i, row in enumerate(strand.astype(np.int32)):
            total += row.take(tokens[:, i : i + windows])
        found |= total >= threshold
    found &= np.arange(windows) + m <= lengths[:, None]
    return found.sum(1)


def read_motifs(given: Any, background: np.ndarray) -> dict[str, Motif]:
    """Return motifs by name: matrices that are given by name, or those that JASPAR has under names or identifiers.

    Raises
    ------
    InputError
        If JASPAR does not have one, or pyjaspar is not installed.
    """
    if isinstance(given, Mapping):
        if not given:
            raise InputError(argument("motifs"), "an empty dict", "a matrix by name", "give one, or None")
        return {str(name): Motif(matrix, background) for name, matrix in given.items()}
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if not names or not all(isinstance(name, str) for name in names):
        found = shown(given) if names else "an empty list"
        wanted = "names or identifiers of JASPAR ('SPI1', 'MA0139.1'), or a dict of matrices (width, 4) by name"
        raise InputError(argument("motifs"), found, wanted, "give one of these")
    try:
        from pyjaspar import jaspardb
    except ImportError:
        cure = 'pip install "seqdiff[motifs]", or give a dict of matrices (width, 4) by name'
        raise InputError(argument("motifs"), shown(given), "the library pyjaspar, which holds JASPAR", cure) from None
    base = jaspardb()
    return dict(_of_jaspar(base, name, background) for name in names)


def _of_jaspar(base: Any, name: str, background: np.ndarray) -> tuple[str, Motif]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is none, which is an error below
        found = base.fetch_motif_by_id(name)
        found = found or next(iter(base.fetch_motifs_by_name(name)), None)
    if found is None:
        wanted = f"a name or an identifier of {base.release}"
        raise InputError(argument("motifs"), shown(name), wanted, "see jaspar.elixir.no")
    counts = np.array([found.counts[letter] for letter in "ACGT"]).T
    return f"{found.name} {found.matrix_id}", Motif(counts, background)
