"""How samples compare with nature, without a likelihood: k-mers, copies, GC, letters by position, distances.

The headline is the Jensen-Shannon divergence between the k-mer distributions P and Q of two sets, M = (P + Q)/2,

    JS = 1/2 KL(P || M) + 1/2 KL(Q || M)        in bits: 0 (equal) to 1 (nothing in common)

Two finite sets of one distribution are not at 0 but at about (number of k-mers)/(8 ln 2) (1/n_P + 1/n_Q), n the windows
counted. Compare with natural against natural *of the same size*, which `summary` prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqdiff.errors import InputError, argument, of_kind
from seqdiff.parameters import Whole

if TYPE_CHECKING:
    import pandas as pd

    from seqdiff.data import Alphabet


def _strings(sequences, name: str) -> list[str]:
    """Return a list of str, or say what is wrong with it."""
    if isinstance(sequences, str):
        raise InputError(argument(name), "one string", "a list of sequences", "put it into a list")
    strings = list(sequences)
    for index, sequence in enumerate(strings):
        if not isinstance(sequence, str):
            raise InputError(f"{name}[{index}]", of_kind(sequence), "a str", "give the sequence's letters as one")
    if not strings:
        raise InputError(argument(name), "an empty list", "at least one sequence", "give some")
    return strings


def _codes(strings: list[str]) -> np.ndarray:
    """Return the code points of all letters, one after the other, (total letters,) uint32."""
    return np.frombuffer("".join(strings).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _whole(k: int) -> int:
    """Return k as an int, or say what is wrong with it."""
    Whole(1).check("k", k)
    return int(k)


def _windows(strings: list[str], k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number all windows of k letters so that equal numbers mean equal k-mers.

    Returns
    -------
    starts, ids, owners : ndarrays, shape (windows,)
        Where the window starts in the joined letters, its k-mer's number (small integers, not all used), its sequence.
    """
    alphabet, letters = np.unique(_codes(strings), return_inverse=True)
    lengths = np.array([len(string) for string in strings])
    owner = np.repeat(np.arange(len(strings)), lengths)
    left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(letters))  # letters from here to the sequence's end
    starts = np.flatnonzero(left >= k)
    if not len(starts):
        wanted = f"at most {lengths.max()}, the letters of the longest sequence"
        raise InputError(argument("k"), str(k), wanted, "choose a smaller one")
    ids, states = letters[starts].astype(np.int64), len(alphabet)
    for offset in range(1, k):
        if states > 2**62 // len(alphabet):  # long k-mers over many letters: renumber those that occur
            seen, ids = np.unique(ids, return_inverse=True)
            states = len(seen)
        ids = ids * len(alphabet) + letters[starts + offset]
        states *= len(alphabet)
    return starts, ids, owner[starts]


def kmer_counts(sequences: Sequence[str], k: int = 6) -> pd.Series:
    """Count every k-mer over all windows of all sequences.

    Parameters
    ----------
    sequences : sequence of str
        Any letters, any lengths; those shorter than k have no window.
    k : int, default 6
        Letters of a window.

    Returns
    -------
    Series of int
        Indexed by the k-mers that occur, in alphabetical order.

    Raises
    ------
    InputError
        If there is no window at all, or k is no whole number of 1 or more.

    Examples
    --------
    >>> kmer_counts(["ACGAC", "AC"], k=2).to_dict()
    {'AC': 3, 'CG': 1, 'GA': 1}
    """
    import pandas as pd

    strings, k = _strings(sequences, "sequences"), _whole(k)
    starts, ids, _ = _windows(strings, k)
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    joined = "".join(strings)
    names = [joined[start : start + k] for start in starts[first]]
    return pd.Series(counts, index=pd.Index(names, name=f"{k}-mer"), name="count").sort_index()


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
        0 (the same distribution) to 1 (no k-mer in common). It is biased upward in small sets: compare figures of equal
        numbers of sequences only (`summary` does).

    Raises
    ------
    InputError
        If one of the sets has no window of k letters.

    Examples
    --------
    >>> kmer_js(["ACGT", "ACGT"], ["ACGT"], k=2)
    0.0
    >>> kmer_js(["AAAA"], ["CCCC"], k=2)
    1.0
    """
    from scipy.special import rel_entr

    a, b, k = _strings(a, "a"), _strings(b, "b"), _whole(k)
    for name, strings in (("a", a), ("b", b)):
        if (longest := max(map(len, strings))) < k:
            wanted = f"at most {longest}, the letters of the longest sequence of {name}"
            raise InputError(argument("k"), str(k), wanted, "choose a smaller one")
    _, ids, owners = _windows(a + b, k)
    _, ids = np.unique(ids, return_inverse=True)
    counts = [np.bincount(ids[mask], minlength=ids.max() + 1) for mask in (owners < len(a), owners >= len(a))]
    p, q = (count / count.sum() for count in counts)
    middle = (p + q) / 2
    return float((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / (2 * np.log(2)))


def kmer_size(letters: int, lengths: np.ndarray) -> int:
    """Return the k of the k-mers to compare: 6 for nucleotides, fewer for many letters or short sequences.

    Examples
    --------
    >>> kmer_size(4, np.array([50, 50])), kmer_size(20, np.array([12, 30])), kmer_size(4, np.array([3, 3, 3]))
    (6, 2, 3)
    """
    return max(1, min(6, int(np.log(4096.5) / np.log(max(2, letters))), int(np.quantile(lengths, 0.1))))


def copied_fraction(samples: Sequence[str], reference: Sequence[str]) -> float:
    """Return the share of samples that occur in `reference` letter for letter.

    Parameters
    ----------
    samples, reference : sequence of str
        What a model wrote, and what it was trained on.

    Returns
    -------
    float
        0 to 1. Upper and lower case differ.

    Raises
    ------
    InputError
        If one of them is empty.

    Examples
    --------
    >>> copied_fraction(["ACGT", "AAAA", "ACGT", "TTTT"], ["ACGT", "CCCC"])
    0.5
    """
    known = set(_strings(reference, "reference"))
    strings = _strings(samples, "samples")
    return sum(string in known for string in strings) / len(strings)


def gc_content(sequences: Sequence[str]) -> np.ndarray:
    """Return the share of G and C among the letters of each sequence.

    Parameters
    ----------
    sequences : sequence of str
        Upper or lower case.

    Returns
    -------
    ndarray, shape (n,)
        0 to 1; `nan` for an empty sequence.

    Raises
    ------
    InputError
        If there is no sequence.

    Examples
    --------
    >>> gc_content(["GGCA", "acgt", "AT"]).tolist()
    [0.75, 0.5, 0.0]
    """
    strings = [string.upper() for string in _strings(sequences, "sequences")]
    return np.array([(s.count("G") + s.count("C")) / len(s) if s else np.nan for s in strings])


def position_frequencies(sequences: Sequence[str], alphabet: Alphabet | str | None = None) -> pd.DataFrame:
    """Return how often each letter stands at each position.

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

    Raises
    ------
    InputError
        If a letter is not in the alphabet, or there are no letters.

    Examples
    --------
    >>> position_frequencies(["AC", "AG", "TC", "AC"]).loc[1].to_dict()
    {'A': 0.75, 'C': 0.0, 'G': 0.0, 'T': 0.25}
    """
    import pandas as pd

    strings = _strings(sequences, "sequences")
    codes = _codes(strings)
    if not len(codes):
        raise InputError(argument("sequences"), "no letters at all", "at least one letter", "give some that have any")
    present = "".join(map(chr, np.unique(codes)))
    if alphabet is None:
        alphabet = next((letters for letters in ("ACGT", "ACGU") if set(present) <= set(letters)), present)
    letters = list(alphabet) if isinstance(alphabet, str) else list(alphabet.letters)
    foreign = sorted(set(present) - set(letters))
    if foreign:
        wanted = f"only {', '.join(letters)}, the letters of the alphabet"
        cure = f"name another {argument('alphabet')}, or correct them"
        raise InputError(argument("sequences"), f"the letter {foreign[0]!r}", wanted, cure)
    lengths = np.array([len(string) for string in strings])
    position = np.arange(len(codes)) - np.repeat(lengths.cumsum() - lengths, lengths)
    order = np.argsort([ord(letter) for letter in letters])
    column = order[np.searchsorted(np.array([ord(letter) for letter in letters])[order], codes)]
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

    Raises
    ------
    InputError
        With fewer than two sequences.

    Examples
    --------
    >>> diversity(["ACGT", "ACGA"])
    0.25
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    strings = _strings(sequences, "sequences")
    if len(strings) < 2:
        raise InputError(argument("sequences"), "one sequence only", "at least two to compare", "give more")
    rng = np.random.default_rng(random_state)
    first = rng.integers(len(strings), size=pairs)
    second = (first + rng.integers(1, len(strings), size=pairs)) % len(strings)
    left, right = [strings[i] for i in first], [strings[i] for i in second]
    return float(cpdist(left, right, scorer=Levenshtein.normalized_distance, dtype=np.float64).mean())


def nearest_distance(samples: Sequence[str], reference: Sequence[str], workers: int = 1) -> np.ndarray:
    """Return the edit distance of each sample to its nearest reference sequence.

    Parameters
    ----------
    samples, reference : sequence of str
        What a model wrote, and what it was trained on. All pairs are compared: 5,000 with 10,000 of 50 letters take
        some seconds.
    workers : int, default 1
        Threads; -1 for all cores.

    Returns
    -------
    ndarray of int, shape (n,)
        Letters to insert, delete or replace; 0 for a copy.

    Raises
    ------
    InputError
        If one of them is empty.

    Examples
    --------
    >>> nearest_distance(["ACGT", "AAAA", "AC"], ["ACGT", "AAAT"]).tolist()
    [0, 1, 2]
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    strings, known = _strings(samples, "samples"), list(dict.fromkeys(_strings(reference, "reference")))
    nearest = [
        cdist(strings[start : start + 256], known, scorer=Levenshtein.distance, dtype=np.int32, workers=workers).min(1)
        for start in range(0, len(strings), 256)
    ]
    return np.concatenate(nearest).astype(np.int64)


def summary(
    samples: Sequence[str],
    natural: Sequence[str],
    train: Sequence[str] | None = None,
    *,
    k: int = 6,
    random_state: int | np.random.Generator | None = 0,
) -> dict[str, float]:
    """Return the figures that a set of samples is judged by.

    The k-mer divergences are all between sets of the same size n, the largest that can be had: the natural sequences
    are shuffled, the first n are set A, the next n (none of them in A) set B, and n random samples are set S, with

        n = min(number of samples, half the number of natural sequences, rounded down).

    `kmer_js` is the mean of JS(S, A) and JS(S, B), `kmer_js_natural` is JS(A, B). Natural sequences that are one
    another's neighbours in the genome may overlap, across A and B too; that lowers `kmer_js_natural` a little. Where
    the training sequences are among them, a model that has stored their k-mer counts (a Markov chain of order k - 1)
    can fall below a ratio of 1: look at the likelihood too.

    Parameters
    ----------
    samples : sequence of str
        What a model wrote.
    natural : sequence of str
        At least two natural sequences (all that there are: those that trained the model may be among them).
    train : sequence of str, optional
        What copies are looked for in. Default: `natural`.
    k : int, default 6
        Letters of a k-mer.
    random_state : int, Generator or None, default 0
        Seed of the shuffling.

    Returns
    -------
    dict of str to float
        `n`, the size of the compared sets; `kmer_js` and `kmer_js_natural`, in bits; `kmer_js_ratio`, the first over
        the second (1: as good as nature at this n); `copied`, the share of all samples found in `train` letter for
        letter; `unique`, the number of different samples over that of all; `gc` and `gc_natural`, the mean GC content
        (of interest for DNA and RNA only).

    Raises
    ------
    InputError
        If there are no samples or fewer than two natural sequences.

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> figures = summary(load_sigma70(500, 1), load_sigma70(1000, 2), k=3)
    >>> figures["n"], 0.5 < figures["kmer_js_ratio"] < 2
    (500, True)
    """
    samples, natural = _strings(samples, "samples"), _strings(natural, "natural")
    if len(natural) < 2:
        wanted = "at least two, as they are compared with one another"
        raise InputError(argument("natural"), "one sequence only", wanted, "give more")
    rng = np.random.default_rng(random_state)
    n = min(len(samples), len(natural) // 2)
    shuffled = [natural[i] for i in rng.permutation(len(natural))[: 2 * n]]
    A, B = shuffled[:n], shuffled[n:]
    S = [samples[i] for i in rng.permutation(len(samples))[:n]]
    js, js_natural = (kmer_js(S, A, k) + kmer_js(S, B, k)) / 2, kmer_js(A, B, k)
    return {
        "n": n,
        "kmer_js": js,
        "kmer_js_natural": js_natural,
        "kmer_js_ratio": js / js_natural if js_natural else float("nan"),
        "copied": copied_fraction(samples, natural if train is None else train),
        "unique": len(set(samples)) / len(samples),
        "gc": float(np.nanmean(gc_content(samples))),
        "gc_natural": float(np.nanmean(gc_content(natural))),
    }
