"""Simulated E. coli sigma-70 promoters of an exactly known distribution.

Fifty letters, the last one directly before the transcription start (position -1). A promoter is

    background | UP | 2 letters | -35 hexamer | spacer, 15-19, ending in (TGn) | -10 hexamer | 4-8, ending in -2, -1

and four hidden facts h are drawn first: the spacer's length, the distance of the -10 hexamer from the start, whether
the -10 is extended, whether an UP element is there. Given them, the letters of every element are independent (a
weight matrix) and all other letters follow a first-order Markov chain, so that with B the chain over the whole
sequence

    log p(x) = log B(x) + log sum_h p(h) exp sum_{i in elements of h} [ log W_i(x_i) - log B(x_i | x_{i-1}) ]

which is the weight-matrix scan, summed over every placement instead of maximised. The entropy of this distribution is
therefore known: a model's held-out bits per base exceed it by the model's KL divergence.

Published facts in the tables below:

- Hawley and McClure, Nucleic Acids Res. 11, 2237 (1983): letter counts of both hexamers in 112 promoters, and of the
  two letters before the start in 86 and 88 of them. Half a count is added so that no letter is impossible.
- Harley and Reynolds, Nucleic Acids Res. 15, 2343 (1987), 263 promoters: 92% have a spacer of 17 +- 1, 75% start 7 +- 1
  bases downstream of the -10 hexamer.
- Burr et al., Nucleic Acids Res. 28, 1864 (2000): a TG in front of the -10 hexamer in over 20% of the promoters;
  Mitchell et al., Nucleic Acids Res. 31, 4689 (2003): the extended -10 TGn.
- Estrem et al., Genes Dev. 13, 2134 (1999): the UP element's proximal subsite AAAAAARNR at -46..-38.
- Karlin, Mrazek and Campbell, J. Bacteriol. 179, 3899 (1997): how much more (or less) often than by chance each pair of
  letters occurs in E. coli, here applied to AT-rich letter frequencies.

Chosen here, because the papers give none or only the sum: the division of the 92% and of the 75%, the letters of an UP
element that differ from its consensus, its share of the promoters, and the background's 60% of A and T.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from seqdiff.alphabets import DNA
from seqdiff.errors import InputError, argument, of_kind
from seqdiff.parameters import Whole


@dataclass(frozen=True, eq=False)
class PromoterModel:
    """The distribution of the module's docstring, its numbers as parameters: a tiny one can be enumerated.

    Parameters
    ----------
    length : int
        Letters of a sequence.
    minus35, minus10 : ndarray, shape (width, 4)
        Letter probabilities of the two hexamers, rows sum to 1.
    extended : ndarray, shape (width, 4)
        Letters directly upstream of the -10 element where it is extended; they lie inside the spacer.
    up : ndarray, shape (width, 4)
        Letters of the UP element, which ends `up_gap` letters before the -35 element.
    start : ndarray, shape (width, 4)
        The last letters of the sequence, always at the same place.
    background : ndarray, shape (4, 4)
        Transition probabilities of the letters between the elements.
    spacers, distances : mapping of int to float
        Probability of each spacer length, and of each number of letters after the -10 element (`start` included).
    extended_share, up_share : float
        Probability that the -10 element is extended, that an UP element is there.
    up_gap : int
        Letters between the UP and the -35 element.

    """

    length: int
    minus35: np.ndarray
    minus10: np.ndarray
    extended: np.ndarray
    up: np.ndarray
    start: np.ndarray
    background: np.ndarray
    spacers: Mapping[int, float]
    distances: Mapping[int, float]
    extended_share: float
    up_share: float
    up_gap: int = 0

    def __post_init__(self) -> None:
        for name in ("minus35", "minus10", "extended", "up", "start", "background"):
            rows = getattr(self, name)
            if rows.shape[1:] != (4,) or (rows < 0).any() or not np.allclose(rows.sum(1), 1):
                wanted = "rows of 4 letter probabilities that sum to 1"
                raise InputError(argument(name), f"an array of shape {rows.shape}", wanted, "correct it")
        for name in ("spacers", "distances"):
            if not np.isclose(total := sum(getattr(self, name).values()), 1):
                raise InputError(argument(name), f"probabilities that sum to {total:g}", "a sum of 1", "correct them")
        if min(self.spacers) < len(self.extended):
            wanted = f"at least {len(self.extended)}, to hold the extension"
            raise InputError(argument("spacers"), f"{min(self.spacers)} letters", wanted, "give longer ones")
        if min(self.distances) < len(self.start):
            wanted = f"at least {len(self.start)}, to hold the start letters"
            raise InputError(argument("distances"), f"{min(self.distances)} letters", wanted, "give longer ones")
        room = self.length - max(self.distances) - len(self.minus10) - max(self.spacers) - len(self.minus35)
        if room < self.up_gap + len(self.up):
            found = f"{self.length}, which leaves {room} letters upstream of the -35 element"
            wanted = f"{self.up_gap + len(self.up)} left there for the UP element"
            raise InputError(argument("length"), found, wanted, "make the sequence longer")

    def stationary(self) -> np.ndarray:
        """Return the stationary letter probabilities of the background chain, shape (4,)."""
        values, vectors = np.linalg.eig(self.background.T)
        p = np.abs(vectors[:, np.argmax(values.real)].real)
        return p / p.sum()

    def placements(self) -> list[tuple[float, list[tuple[int, np.ndarray]]]]:
        """Return every placement as (its probability, [(first position, weight matrix), ...])."""
        found = []
        for spacer, p_spacer in self.spacers.items():
            for distance, p_distance in self.distances.items():
                at10 = self.length - distance - len(self.minus10)
                at35 = at10 - spacer - len(self.minus35)
                fixed = [(at35, self.minus35), (at10, self.minus10), (self.length - len(self.start), self.start)]
                for is_extended in (False, True):
                    for has_up in (False, True):
                        p = p_spacer * p_distance
                        p *= self.extended_share if is_extended else 1 - self.extended_share
                        p *= self.up_share if has_up else 1 - self.up_share
                        elements = list(fixed)
                        if is_extended:
                            elements.append((at10 - len(self.extended), self.extended))
                        if has_up:
                            elements.append((at35 - self.up_gap - len(self.up), self.up))
                        if p > 0:
                            found.append((p, elements))
        return found

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n sequences, (n, length) uint8, letters as 0..3 for A, C, G, T."""
        placements = self.placements()
        which = rng.choice(len(placements), size=n, p=[p for p, _ in placements])
        tokens = np.empty((n, self.length), dtype=np.uint8)
        # weights[h, i]: the cumulative letter distribution of position i under placement h where it is an element's,
        # else NaN
        weights = np.full((len(placements), self.length, 4), np.nan)
        for h, (_, elements) in enumerate(placements):
            for at, matrix in elements:
                weights[h, at : at + len(matrix)] = matrix.cumsum(1)
        chain, first = self.background.cumsum(1), self.stationary().cumsum()
        for i in range(self.length):
            cumulative = chain[tokens[:, i - 1]] if i else np.broadcast_to(first, (n, 4))
            cumulative = np.where(np.isnan(weights[which, i]), cumulative, weights[which, i])
            # the inverse distribution function; the last entry is 1 up to rounding, so only the first three count
            tokens[:, i] = (rng.random(n)[:, None] >= cumulative[:, :3]).sum(1)
        return tokens

    def log_prob(self, tokens: np.ndarray) -> np.ndarray:
        """Return the exact log-probability (n,), in nats, of sequences (n, length), letters as `sample` gives them."""
        with np.errstate(divide="ignore"):
            # (n, length): the background's log-probability of each letter given the one before
            chain = np.log(self.background)[tokens[:, :-1], tokens[:, 1:]]
            chain = np.concatenate([np.log(self.stationary())[tokens[:, :1]], chain], axis=1)

            # every element's log-odds at a place are needed by many placements: each is computed once
            odds: dict[tuple[int, int], np.ndarray] = {}
            terms = []
            for p, elements in self.placements():
                total = np.full(len(tokens), np.log(p))
                for at, matrix in elements:
                    key = (at, id(matrix))
                    if key not in odds:
                        window = slice(at, at + len(matrix))
                        letters = np.log(matrix)[np.arange(len(matrix)), tokens[:, window]]
                        odds[key] = (letters - chain[:, window]).sum(1)
                    total = total + odds[key]
                terms.append(total)
        return chain.sum(1) + np.logaddexp.reduce(np.stack(terms), axis=0)


def _frequencies(*columns: Sequence[float]) -> np.ndarray:
    """Turn counts of (T, C, A, G), the order of the published tables, into probabilities of (A, C, G, T)."""
    counts = np.array(columns, dtype=float)[:, [2, 1, 3, 0]] + 0.5
    return counts / counts.sum(1, keepdims=True)


@lru_cache(maxsize=1)
def sigma70_model() -> PromoterModel:
    """Return the distribution that `load_sigma70` draws from, with the published numbers."""
    letters = np.array([0.30, 0.20, 0.20, 0.30])
    pairs = np.array(
        [  # after A, C, G, T (rows): A, C, G, T
            [1.21, 0.88, 0.82, 1.10],
            [1.12, 0.91, 1.16, 0.82],
            [0.92, 1.28, 0.91, 0.88],
            [0.75, 0.92, 1.12, 1.21],
        ]
    )
    chain = pairs * letters
    purine, a, anything = [0.55, 0.05, 0.35, 0.05], [0.75, 0.04, 0.04, 0.17], letters.tolist()
    return PromoterModel(
        length=50,
        minus35=_frequencies(
            (92, 7, 2, 11), (94, 6, 6, 6), (11, 11, 2, 88), (19, 18, 72, 3), (15, 60, 26, 11), (37, 8, 50, 17)
        ),
        minus10=_frequencies(
            (89, 10, 2, 11), (3, 2, 106, 1), (49, 16, 29, 18), (15, 14, 66, 17), (19, 22, 57, 14), (108, 3, 1, 0)
        ),
        extended=np.array([[0.03, 0.03, 0.03, 0.91], [0.03, 0.03, 0.91, 0.03], letters]),
        up=np.array([a, a, a, a, a, a, purine, anything, purine]),
        start=_frequencies((16, 29, 20, 21), (22, 49, 9, 8)),
        background=chain / chain.sum(1, keepdims=True),
        spacers={15: 0.03, 16: 0.20, 17: 0.46, 18: 0.26, 19: 0.05},
        distances={4: 0.10, 5: 0.20, 6: 0.35, 7: 0.20, 8: 0.15},
        extended_share=0.20,
        up_share=0.30,
        up_gap=2,
    )


def load_sigma70(n: int = 10_000, random_state: int | np.random.Generator | None = 0) -> list[str]:
    """Return simulated E. coli sigma-70 promoters of 50 letters, the last one at position -1.

    They need no download and their distribution is known exactly (`sigma70_log_prob`).

    Parameters
    ----------
    n : int, default 10_000
        Number of sequences, independent draws.
    random_state : int, Generator or None, default 0
        Seed of `numpy.random.default_rng`; one seed always gives the same sequences, None fresh ones.

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> promoters = load_sigma70(1000)
    >>> len(promoters), len(promoters[0])
    (1000, 50)
    """
    Whole(0).check("n", n)
    return DNA.decode(sigma70_model().sample(int(n), np.random.default_rng(random_state)))


def sigma70_log_prob(sequences: Sequence[str]) -> np.ndarray:
    """Return the exact log-probability, in nats, of each sequence under the distribution of `load_sigma70`.

    No sequence of 50 letters A, C, G, T is impossible. Minus the mean over many draws, divided by 50 ln 2, is the
    entropy of the distribution in bits per base.

    Parameters
    ----------
    sequences : sequence of str
        Each 50 letters of A, C, G, T, upper or lower case.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from seqdiff.datasets import load_sigma70, sigma70_log_prob
    >>> bits_per_base = -sigma70_log_prob(load_sigma70(5000)).mean() / (50 * np.log(2))
    >>> bool(1.8 < bits_per_base < 1.9)
    True
    """
    if isinstance(sequences, str):
        raise InputError(argument("sequences"), "one string", "a list of sequences", "put it into a list")
    model = sigma70_model()
    for index, sequence in enumerate(sequences):
        if not isinstance(sequence, str):
            wanted = f"a str of {model.length} letters"
            raise InputError(f"sequences[{index}]", of_kind(sequence), wanted, "give its letters as one")
        if len(sequence) != model.length:
            wanted = f"{model.length}, as all sigma70 promoters have"
            raise InputError(f"sequences[{index}]", f"{len(sequence)} letters", wanted, "leave it out")
    tokens = DNA.scan(sequences)[0].reshape(-1, model.length)
    if (tokens == len(DNA)).any():
        index, position = np.argwhere(tokens == len(DNA))[0].tolist()
        found = f"{sequences[index][position]!r} at position {position + 1}"
        raise InputError(f"sequences[{index}]", found, "only A, C, G, T", "correct it, or leave it out")
    return model.log_prob(tokens) if len(tokens) else np.zeros(0)
