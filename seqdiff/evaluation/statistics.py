"""Metrics of a generator: bits per letter of held-out sequences; k-mers, copies and distances of its samples.

Likelihoods are published in

    bits per letter = - sum_i log p(x_i) / (ln 2 sum_i |x_i|),

all nats, those of the length included, over all letters: a ratio of sums, so that long sequences weigh as much as their
letters and the value does not depend on how sequences are cut. Two bits per letter is a random draw from four letters.

Samples are compared with natural sequences by the Jensen-Shannon divergence between the k-mer distributions P and Q of
two sets, M = (P + Q)/2,

    JS = 1/2 KL(P || M) + 1/2 KL(Q || M)        in bits: 0 (equal) to 1 (nothing in common).

Two finite sets of one distribution are not at 0 but at about (number of k-mers)/(8 ln 2) (1/n_P + 1/n_Q), n the windows
counted. Compare with natural against natural *of the same size*, which `summary` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from seqdiff.errors import InputError, argument, of_kind, shorten, shown
from seqdiff.parameters import Whole

if TYPE_CHECKING:
    import pandas as pd

    from seqdiff.data import Alphabet


def bits_per_letter(log_likelihood: ArrayLike, sequences: Sequence[Sequence[str]]) -> float:
    """Return the bits per letter of n sequences, of their log-likelihoods (n,) in nats as `score_samples` returns them.

    It is `inf` where one sequence is impossible. Of images, an array, it is bits per dimension. Sequences are lists of
    letters where letters have several characters.

    Examples
    --------
    >>> import numpy as np
    >>> bits_per_letter([4 * np.log(1 / 4), 2 * np.log(1 / 4)], ["ACGT", "AC"])
    2.0
    """
    nats, letters = _nats_and_letters(log_likelihood, sequences)
    return float(nats.sum() / letters.sum() / np.log(2))


def bits_per_letter_error(log_likelihood: ArrayLike, sequences: Sequence[Sequence[str]]) -> float:
    """Return the standard error of `bits_per_letter`, the sequences being a random sample.

    It is that of a ratio of two sums (the delta method); `nan` for a single sequence or an impossible one. Two models
    on the same sequences differ by much less than their errors: see `compare_table`.

    Examples
    --------
    >>> bits_per_letter_error([-2.0, -3.0, -4.0, -3.0], ["AC", "AC", "GT", "GG"])
    0.2944...
    """
    nats, letters = _nats_and_letters(log_likelihood, sequences)
    n = len(nats)
    if n < 2 or not np.isfinite(nats).all():
        return float("nan")
    residual = nats - nats.sum() / letters.sum() * letters
    return float(np.sqrt(n / (n - 1) * (residual**2).sum()) / letters.sum() / np.log(2))


def _letter_count(sequence: Sequence[str] | np.ndarray) -> int:
    """Return the letters of a sequence, the numbers of an image."""
    return sequence.size if isinstance(sequence, np.ndarray) else len(sequence)


def _nats_and_letters(log_likelihood: ArrayLike, sequences: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Return -log p and the number of letters of each sequence."""
    nats = -np.asarray(log_likelihood, dtype=float)
    letters = np.array([_letter_count(sequence) for sequence in sequences], dtype=float)
    if nats.shape != letters.shape:
        found = f"shape {nats.shape} for {len(letters)} sequences"
        raise InputError(argument("log_likelihood"), found, "one number per sequence", "give as many")
    if not letters.sum():
        raise _no_letters()
    return nats, letters


def compare_table(
    log_likelihoods: Mapping[str, ArrayLike], sequences: Sequence[str], reference: str | None = None
) -> pd.DataFrame:
    """Return a table of several models' bits per letter on the same sequences.

    Parameters
    ----------
    log_likelihoods : mapping of str to array of float, shape (n,)
        Nats per sequence, by model.
    sequences : sequence of str, length n
    reference : str, optional
        The model that the others are compared with, sequence by sequence. Default: the first.

    Returns
    -------
    DataFrame
        Row: model. Columns, all in bits per letter: `bits`, `error` (standard error), `above` (bits above the
        reference's) and `above_error` (standard error of that difference, paired by sequence, so usually far smaller).

    Examples
    --------
    >>> table = compare_table({"good": [-2.0, -3.0], "bad": [-3.0, -4.0]}, ["AC", "GT"])
    >>> table.round(3).loc["bad", ["above", "above_error"]].tolist()
    [0.721, 0.0]
    """
    import pandas as pd

    if not log_likelihoods:
        raise InputError(argument("log_likelihoods"), "no model", "at least one", "give one")
    name = next(iter(log_likelihoods)) if reference is None else reference
    if name not in log_likelihoods:
        known = shorten(", ".join(map(repr, log_likelihoods)), 200)
        raise InputError(argument("reference"), shown(name), f"one of the models {known}", "name one of them")
    base = np.asarray(log_likelihoods[name], dtype=float)
    rows = {}
    for model, values in log_likelihoods.items():
        with np.errstate(invalid="ignore"):  # impossible under both: inf - inf
            paired = np.asarray(values, dtype=float) - base
        rows[model] = [
            f(nats, sequences) for nats in (values, paired) for f in (bits_per_letter, bits_per_letter_error)
        ]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["bits", "error", "above", "above_error"])


# Samples beside natural sequences.


def as_strings(sequences: Iterable[object], name: str) -> list[str]:
    """Return a list of at least one str; refuse anything else."""
    if isinstance(sequences, str):
        raise InputError(argument(name), "one string", "a list of sequences", "put it into a list")
    strings = []
    for index, sequence in enumerate(sequences):
        if not isinstance(sequence, str):
            raise InputError(f"{name}[{index}]", of_kind(sequence), "a str", "give the sequence's letters as one")
        strings.append(sequence)
    if not strings:
        raise InputError(argument(name), "an empty list", "at least one sequence", "give some")
    return strings


def _no_letters() -> InputError:
    return InputError(argument("sequences"), "no letters at all", "at least one letter", "give some that have any")


def _codes(strings: list[str]) -> np.ndarray:
    """Return the code points of all letters, one after the other, (total letters,) uint32."""
    return np.frombuffer("".join(strings).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def renumber(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different numbers, ascending, and for each of the numbers (n,), none negative, its place among them.

    It is `numpy.unique` with `return_inverse`, without sorting where the numbers are not large.

    Examples
    --------
    >>> [x.tolist() for x in renumber(np.array([7, 3, 7]))]
    [[3, 7], [1, 0, 1]]
    """
    if not len(ids) or ids.max() > 4 * len(ids) + 10_000_000:
        return np.unique(ids, return_inverse=True)
    there = np.bincount(ids) > 0
    return np.flatnonzero(there), (there.cumsum() - 1)[ids]


def kmer_windows(strings: list[str], k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the start of each window of k letters in the joined letters, its number and its sequence, (windows,) each.

    Equal numbers are equal k-mers; they are small integers, not all of them used.
    """
    alphabet, letters = renumber(_codes(strings))
    lengths = np.array([len(string) for string in strings])
    owner = np.repeat(np.arange(len(strings)), lengths)
    left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(letters))  # letters from here to the sequence's end
    starts = np.flatnonzero(left >= k)
    ids, states = letters[starts].astype(np.int64), len(alphabet)
    for offset in range(1, k):
        if states > 2**62 // len(alphabet):  # long k-mers over many letters: renumber those that occur
            seen, ids = np.unique(ids, return_inverse=True)
            states = len(seen)
        ids = ids * len(alphabet) + letters[starts + offset]
        states *= len(alphabet)
    return starts, ids, owner[starts]


def _check_k(k: int, strings: list[str], of: str = "") -> None:
    """Refuse a k that is no whole number of at least 1, or that leaves no window."""
    Whole(1).check("k", k)
    if (longest := max(map(len, strings))) < k:
        wanted = f"at most {longest}, the letters of the longest sequence{of}"
        raise InputError(argument("k"), str(k), wanted, "choose a smaller one")


def kmer_counts(sequences: Sequence[str], k: int = 6) -> pd.Series:
    """Return how often each k-mer that occurs does, over all windows of all sequences, in alphabetical order.

    Sequences may have any letters and any lengths; those shorter than k have no window.

    Examples
    --------
    >>> kmer_counts(["ACGAC", "AC"], k=2).to_dict()
    {'AC': 3, 'CG': 1, 'GA': 1}
    """
    import pandas as pd

    strings = as_strings(sequences, "sequences")
    _check_k(k, strings)
    starts, ids, _ = kmer_windows(strings, k)
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    joined = "".join(strings)
    names = [joined[start : start + k] for start in starts[first]]
    return pd.Series(counts, index=pd.Index(names, name=f"{k}-mer"), name="count").sort_index()


def js_divergence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon divergence in bits of two arrays of counts (..., K), of each row; `nan` for none.

    Examples
    --------
    >>> js_divergence(np.array([[1, 1], [2, 0]]), np.array([[2, 2], [0, 3]])).tolist()
    [0.0, 1.0]
    """
    from scipy.special import rel_entr

    with np.errstate(invalid="ignore"):
        p, q = (counts / counts.sum(-1, keepdims=True) for counts in (a, b))
    middle = (p + q) / 2
    return (rel_entr(p, middle).sum(-1) + rel_entr(q, middle).sum(-1)) / (2 * np.log(2))


def kmer_js(a: Sequence[str], b: Sequence[str], k: int = 6) -> float:
    """Return the Jensen-Shannon divergence between the k-mer distributions of two sets, in bits.

    Parameters
    ----------
    a, b : sequence of str
        Any letters, any lengths.
    k : int, default 6
        Letters of a window. All windows of all sequences are counted; sequences shorter than k have none.

    Returns
    -------
    float
        0 (the same distribution) to 1 (no k-mer in common). It is biased upward in small sets: compare values of equal
        numbers of sequences only (`summary` does).

    Examples
    --------
    >>> kmer_js(["ACGT", "ACGT"], ["ACGT"], k=2), kmer_js(["AAAA"], ["CCCC"], k=2)
    (0.0, 1.0)
    """
    a, b = as_strings(a, "a"), as_strings(b, "b")
    _check_k(k, a, " of a")
    _check_k(k, b, " of b")
    _, ids, owners = kmer_windows(a + b, k)
    _, ids = renumber(ids)
    counts = [np.bincount(ids[mask], minlength=ids.max() + 1) for mask in (owners < len(a), owners >= len(a))]
    return float(js_divergence(*counts))


def kmer_size(letters: int, lengths: np.ndarray) -> int:
    """Return the k of the k-mers to compare: 6 for nucleotides, fewer for many letters or short sequences.

    Examples
    --------
    >>> kmer_size(4, np.array([50, 50])), kmer_size(20, np.array([12, 30])), kmer_size(4, np.array([3, 3, 3]))
    (6, 2, 3)
    """
    return max(1, min(6, int(np.log(4096.5) / np.log(max(2, letters))), int(np.quantile(lengths, 0.1))))


def copied_fraction(samples: Sequence[str], reference: Sequence[str]) -> float:
    """Return the share of samples, 0 to 1, that occur in `reference` letter for letter; upper and lower case differ.

    Examples
    --------
    >>> copied_fraction(["ACGT", "AAAA", "ACGT", "TTTT"], ["ACGT", "CCCC"])
    0.5
    """
    known = set(as_strings(reference, "reference"))
    strings = as_strings(samples, "samples")
    return sum(string in known for string in strings) / len(strings)


def gc_content(sequences: Sequence[str]) -> np.ndarray:
    """Return the share of G and C among the letters of each sequence, (n,), in either case; `nan` for an empty one.

    Examples
    --------
    >>> gc_content(["GGCA", "acgt", "AT"]).tolist()
    [0.75, 0.5, 0.0]
    """
    strings = [string.upper() for string in as_strings(sequences, "sequences")]
    return np.array([(s.count("G") + s.count("C")) / len(s) if s else np.nan for s in strings])


def position_frequencies(sequences: Sequence[str], alphabet: Alphabet | str | None = None) -> pd.DataFrame:
    """Return the frequency of each letter at each position.

    Parameters
    ----------
    sequences : sequence of str
        Of one or of several lengths.
    alphabet : Alphabet or str, optional
        The letters, in the order of the columns. Default: A, C, G, T (or U) where nothing else occurs, else those that
        occur, in alphabetical order.

    Returns
    -------
    DataFrame, shape (L, K)
        Rows: positions 1..L; columns: letters; each row sums to 1, over the sequences that are long enough to have the
        position.

    Examples
    --------
    >>> position_frequencies(["AC", "AG", "TC", "AC"]).loc[1].to_dict()
    {'A': 0.75, 'C': 0.0, 'G': 0.0, 'T': 0.25}
    """
    import pandas as pd

    strings = as_strings(sequences, "sequences")
    codes = _codes(strings)
    if not len(codes):
        raise _no_letters()
    present = "".join(map(chr, np.unique(codes)))
    if alphabet is None:
        alphabet = next((letters for letters in ("ACGT", "ACGU") if set(present) <= set(letters)), present)
    letters = list(alphabet) if isinstance(alphabet, str) else list(alphabet.letters)
    if foreign := sorted(set(present) - set(letters)):
        wanted = f"only {', '.join(letters)}, the letters of the alphabet"
        cure = f"name another {argument('alphabet')}, or correct them"
        raise InputError(argument("sequences"), f"the letter {foreign[0]!r}", wanted, cure)
    lengths = np.array([len(string) for string in strings])
    position = np.arange(len(codes)) - np.repeat(lengths.cumsum() - lengths, lengths)
    points = np.array([ord(letter) for letter in letters])
    order = np.argsort(points)
    column = order[np.searchsorted(points, codes, sorter=order)]
    K = len(letters)
    counts = np.bincount(position * K + column, minlength=lengths.max() * K).reshape(-1, K)
    index = pd.RangeIndex(1, lengths.max() + 1, name="position")
    return pd.DataFrame(counts / counts.sum(1, keepdims=True), index=index, columns=letters)


def diversity(
    sequences: Sequence[str], pairs: int = 10_000, random_state: int | np.random.Generator | None = 0
) -> float:
    """Return the mean distance between random pairs of sequences.

    Parameters
    ----------
    sequences : sequence of str
        At least two.
    pairs : int, default 10_000
        Random pairs of two different places in the list.
    random_state : int, Generator or None, default 0
        Seed of the pairs.

    Returns
    -------
    float
        Edit distance over the longer length of the two: 0 (all equal) to 1. Random DNA of 50 letters: about 0.51.

    Examples
    --------
    >>> diversity(["ACGT", "ACGA"])
    0.25
    """
    strings = as_strings(sequences, "sequences")
    if len(strings) < 2:
        raise InputError(argument("sequences"), "one sequence only", "at least two to compare", "give more")
    return float(pair_distances(strings, pairs, np.random.default_rng(random_state))[2].mean())


def pair_distances(strings: list[str], pairs: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return both places of random pairs of two different places in a list, and their distances, (pairs,) each."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    first = rng.integers(len(strings), size=pairs)
    second = (first + rng.integers(1, len(strings), size=pairs)) % len(strings)
    left, right = [strings[i] for i in first], [strings[i] for i in second]
    return first, second, cpdist(left, right, scorer=Levenshtein.normalized_distance, dtype=np.float64)


def nearest_distance(samples: Sequence[str], reference: Sequence[str], workers: int = 1) -> np.ndarray:
    """Return the edit distance of each sample to its nearest reference sequence.

    Parameters
    ----------
    samples, reference : sequence of str
        Generated sequences, and the training set. All pairs are compared: 5,000 with 10,000 of 50 letters take some
        seconds.
    workers : int, default 1
        Threads; -1 for all cores.

    Returns
    -------
    ndarray of int, shape (n,)
        Letters to insert, delete or replace; 0 for a copy.

    Examples
    --------
    >>> nearest_distance(["ACGT", "AAAA", "AC"], ["ACGT", "AAAT"]).tolist()
    [0, 1, 2]
    """
    return nearest(samples, reference, workers)[1]


def nearest(samples: Sequence[str], reference: Sequence[str], workers: int = 1) -> tuple[list[str], np.ndarray]:
    """Return the nearest reference sequence of each sample, the first of equals, and the edit distance to it, (n,).

    Parameters as of `nearest_distance`.

    Examples
    --------
    >>> nearest(["ACGT", "AC"], ["ACGT", "AAAT"])
    (['ACGT', 'ACGT'], array([0, 2]))
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    strings, known = as_strings(samples, "samples"), list(dict.fromkeys(as_strings(reference, "reference")))
    rows, distances = [], []
    for start in range(0, len(strings), 256):
        part = strings[start : start + 256]
        every = cdist(part, known, scorer=Levenshtein.distance, dtype=np.int32, workers=workers)
        rows.append(every.argmin(1))
        distances.append(every.min(1))
    return [known[i] for i in np.concatenate(rows).tolist()], np.concatenate(distances).astype(np.int64)
