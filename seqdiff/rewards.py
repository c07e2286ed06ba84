r"""Rewards that users often ask for, to guide with `seqdiff.guidance.Reward` or to rank by; each is a callable.

A `Score` takes n sequences and returns n numbers, larger is better. Scores add up, with weights:

    score = 2.0 * GC(0.5) + MotifCount("TATAAT") - FoldingEnergy()

is a `Score` again, a weighted sum w_1 f_1(x) + ... + w_m f_m(x) whose terms `Score.parts` lists. The terms keep their
own units (a share, matches, kcal/mol, nats), so that the weights are rates of exchange between these.

A match of a motif is a window whose score s, a sum over positions i of terms M[i, x_i], reaches a threshold. With the
terms rounded to whole multiples of a step, the distribution of s in random letters of frequencies b is exact:

    P_i(s) = sum_k b_k P_{i-1}(s - M[i, k]),        P_0(s) = [s = 0],

and the threshold of a p-value p is the least s with P(S >= s) <= p (Staden 1989, Comput. Appl. Biosci. 5:89).
"""

from __future__ import annotations

import contextlib
import numbers
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from seqdiff.data import DNA, RNA, Alphabet, AlphabetError
from seqdiff.errors import InputError, argument, listed, of_kind, shown
from seqdiff.evaluation.motifs import match_counts, tail_probabilities
from seqdiff.evaluation.statistics import gc_content
from seqdiff.inputs import Predictor
from seqdiff.parameters import Real, Switch

if TYPE_CHECKING:
    import pandas as pd

STEP = 0.001  # bits to which log-odds of motifs are rounded
STATES = 2**20  # multiples of the step that a motif's scores may span; beyond, the step grows
SITES = 20  # sequences behind a matrix of frequencies, as the MEME Suite assumes where a file does not say
P_VALUE = 1e-4  # of a match of a matrix, the default of FIMO (Grant et al. 2011)
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)  # probabilities are float32, in which rare classes become 0
NUCLEOTIDES = "".join(DNA.letters)


class Score:
    """A callable: sequences -> as many numbers, larger is better. Scores add up, with weights.

    A subclass overrides `values`.

    Examples
    --------
    >>> score = 2.0 * GC(0.5) - MotifCount("TATAAT")
    >>> score
    2.0 * GC(0.5) - MotifCount('TATAAT')
    >>> score(["ACGT", "CCTATAAT"]).tolist()
    [0.0, -1.5]
    >>> score.parts(["ACGT", "CCTATAAT"])
       2.0 * GC(0.5)  -MotifCount('TATAAT')
    0            0.0                    0.0
    1           -0.5                   -1.0
    """

    def values(self, sequences: list[str]) -> np.ndarray:
        """Return the value of each of n >= 1 strings, (n,) float64."""
        raise NotImplementedError

    def __call__(self, sequences: Iterable[str]) -> np.ndarray:
        """Return the value of each sequence, (n,) float64.

        Raises
        ------
        InputError
            Unless it is a list of at least one str, in the letters that the score is made for.
        """
        return self.values(_checked(sequences))

    @property
    def terms(self) -> list[tuple[float, Score]]:
        """The weight and the score of each term of the sum."""
        return [(1.0, self)]

    def parts(self, sequences: Iterable[str]) -> pd.DataFrame:
        """Return each term times its weight, a column for each, a row for each sequence; rows sum to the score."""
        import pandas as pd

        strings = _checked(sequences)
        columns = [weighted(weight, term.values(strings)) for weight, term in self.terms]
        return pd.DataFrame(np.column_stack(columns), columns=[_written(*term) for term in self.terms])

    def __add__(self, other: Score) -> Score:
        return WeightedSum([*self.terms, *other.terms]) if isinstance(other, Score) else NotImplemented

    def __sub__(self, other: Score) -> Score:
        return self + -other if isinstance(other, Score) else NotImplemented

    def __mul__(self, weight: float) -> Score:
        if not isinstance(weight, numbers.Real):
            return NotImplemented
        Real().check("weight", float(weight))  # float32 overflows at the limits
        return WeightedSum([(float(weight) * own, term) for own, term in self.terms])

    __rmul__ = __mul__

    def __neg__(self) -> Score:
        return self * -1.0


class WeightedSum(Score):
    """The sum of scores times their weights; it is -inf where a term is, whatever its weight."""

    def __init__(self, terms: Sequence[tuple[float, Score]]) -> None:
        self._terms = list(terms)

    @property
    def terms(self) -> list[tuple[float, Score]]:
        return self._terms

    def values(self, sequences: list[str]) -> np.ndarray:
        return np.sum([weighted(weight, term.values(sequences)) for weight, term in self.terms], axis=0)

    def __repr__(self) -> str:
        first, *others = self.terms
        signed = (f" {'-' if weight < 0 else '+'} {_written(abs(weight), term)}" for weight, term in others)
        return "".join([_written(*first), *signed])


def weighted(weight: float, values: np.ndarray) -> np.ndarray:
    """Return the weight times the values (n,); what is impossible, -inf, stays so with any weight."""
    impossible = values == -np.inf
    return np.where(impossible, -np.inf, weight * np.where(impossible, 0.0, values)) + 0.0  # no -0.0


def _written(weight: float, term: Score) -> str:
    return {1.0: "", -1.0: "-"}.get(weight, f"{weight:.6g} * " if weight % 1 else f"{weight:.1f} * ") + repr(term)


def _checked(sequences: Iterable[str]) -> list[str]:
    """Return a list of at least one str; refuse anything else."""
    one = isinstance(sequences, (str, bytes))
    if one or not isinstance(sequences, Iterable):
        cure = "put it into a list" if one else "give one"
        raise InputError(argument("sequences"), of_kind(sequences), "a list of str", cure)
    strings = list(sequences)
    if not strings:
        raise InputError(argument("sequences"), "an empty list", "at least one sequence", "give some")
    for i, string in enumerate(strings):
        if not isinstance(string, str):
            raise InputError(f"{argument('sequences')}[{i}]", of_kind(string), "a str", "give its letters as one")
    return strings


def _encoded(score: Score, sequences: list[str], alphabet: Alphabet, letters: str) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens (n, L) and lengths (n,); refuse letters that the score is not made for."""
    try:
        return alphabet.encode(sequences)
    except AlphabetError as error:
        found = f"{shown(error.letter)} at position {error.position + 1} of sequence {error.index}"
        raise InputError(shown(score), found, letters, "give it sequences of these letters alone") from None


def _nucleotides(score: Score, sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens (n, L), 0 to 3 for A, C, G and T or U, and lengths (n,)."""
    rna = any("U" in sequence or "u" in sequence for sequence in sequences)
    return _encoded(score, sequences, RNA if rna else DNA, f"A, C, G and {'U' if rna else 'T'} alone")


class GC(Score):
    """Minus the distance of the GC content from a target: 0 (there) to -1.

    Parameters
    ----------
    target : float or (float, float)
        Share of G and C among the letters, 0 to 1; or a range, within which the score is 0.

    Examples
    --------
    >>> GC(0.5)(["GGCC", "ACGT", "gcat"]).tolist(), GC((0.5, 0.75))(["GGCC", "ACGT"]).tolist()
    ([-0.5, 0.0, 0.0], [-0.25, 0.0])
    >>> GC(0.5)(["MKV"])
    Traceback (most recent call last):
        ...
    seqdiff.errors.InputError: GC(0.5): got 'M' at position 1 of sequence 0, expected A, C, G and T alone; give it sequences of these letters alone
    """  # noqa: E501

    def __init__(self, target: float | tuple[float, float]) -> None:
        pair = target if isinstance(target, Sequence) and not isinstance(target, str) else (target, target)
        share = Real(0.0, 1.0)
        if len(pair) != 2 or not all(share.allows(end) for end in pair) or pair[0] > pair[1]:
            wanted = "a share from 0 to 1, or two of them, the lower first"
            raise InputError(argument("target"), shown(target), wanted, "give such a share")
        self.low, self.high = float(pair[0]), float(pair[1])

    def values(self, sequences: list[str]) -> np.ndarray:
        _, lengths = _nucleotides(self, sequences)
        if not lengths.all():
            found = f"sequence {int(lengths.argmin())} without letters"
            raise InputError(repr(self), found, "sequences of at least one", "leave it out")
        gc = gc_content(sequences)
        return -np.maximum(np.maximum(self.low - gc, gc - self.high), 0.0) + 0.0  # no -0.0

    def __repr__(self) -> str:
        return f"GC({self.low:g})" if self.low == self.high else f"GC(({self.low:g}, {self.high:g}))"


class MotifCount(Score):
    """Matches of a motif in each sequence: windows that match on either strand, overlapping ones included.

    A window that matches on both strands, as those of a palindrome do, counts once.

    Parameters
    ----------
    motif : str, DataFrame, array or Bio.motifs motif
        A consensus of letters and IUPAC codes (``TATAAT``, ``TGANTCA``); the id of a JASPAR matrix (``MA0139.1``, by
        the library pyjaspar); or a matrix with a row for each position and columns A, C, G, T (a DataFrame may also
        have the positions as columns). Numbers of at least 0 are counts or, where rows sum to 1, frequencies; with
        negative numbers among them they are log-odds in bits.
    p_value : float, optional
        Choose the threshold that a window of random letters reaches with at most this probability, on one strand.
        None: 1e-4 for matrices, and for a consensus exact matches.
    threshold : float, optional
        The least score of a match, instead of `p_value`: bits for matrices; for a consensus, whose score is minus the
        number of mismatches, -1 allows one.
    background : mapping or array, optional
        Frequencies of A, C, G and T in random letters. None: 1/4 each.
    both_strands : bool
        Whether the reverse complement counts, too.
    pseudocount : float
        Added to the counts of a position, shared out as the background is; a row of frequencies is taken for 20 counts.

    Attributes
    ----------
    threshold_ : float
        The least score of a match. Scores in bits are rounded to 0.001 for each position.
    p_value_ : float
        Probability that a window of random letters matches on one strand, exact for these scores.

    Examples
    --------
    >>> MotifCount("TATAAT")(["GGTATAATCC", "GGATTATACC", "TATATT"]).tolist()
    [1.0, 1.0, 0.0]
    >>> loose = MotifCount("TATAAT", threshold=-1)
    >>> loose(["TATATT"]).tolist(), round(loose.p_value_ * 4**6)
    ([1.0], 19)
    >>> counts = np.array([[0, 0, 0, 9], [8, 0, 0, 1], [0, 0, 0, 9], [7, 0, 2, 0], [9, 0, 0, 0], [0, 1, 0, 8]])
    >>> tata = MotifCount(counts, p_value=1e-3)
    >>> tata(["GGTATAATCC", "GGATTATACC", "CCCCCC"]).tolist(), tata.p_value_ <= 1e-3
    ([1.0, 1.0, 0.0], True)
    """

    def __init__(
        self,
        motif: Any,
        *,
        p_value: float | None = None,
        threshold: float | None = None,
        background: Mapping[str, float] | ArrayLike | None = None,
        both_strands: bool = True,
        pseudocount: float = 0.1,
    ) -> None:
        Real(0.0, 1.0).check("p_value", p_value, optional=True)
        Real().check("threshold", threshold, optional=True)
        Switch().check("both_strands", both_strands)
        Real(0.0).check("pseudocount", pseudocount)
        if p_value is not None and threshold is not None:
            found = f"{threshold} beside {argument('p_value', p_value)}"
            raise InputError(argument("threshold"), found, "one of the two", "leave one out")
        self.background = _background(background)
        self.both_strands = bool(both_strands)
        if consensus := isinstance(motif, str) and not any(c.isdigit() for c in motif):
            self._name, self._step = repr(motif.upper()), 1.0
            scores = _mismatches(motif)  # (m, 4), multiples of the step
        else:
            self._name, matrix = _matrix(motif)
            bits = _log_odds(matrix, self.background, pseudocount)
            self._step = max(STEP, float(np.ptp(bits, axis=1).sum()) / STATES)
            scores = np.rint(bits / self._step).astype(np.int64)
        self._given = {"p_value": p_value, "threshold": threshold}
        lows = scores.min(1, keepdims=True)
        self._scores, least = scores - lows, int(lows.sum())  # sums count from 0 on
        tail = tail_probabilities(self._scores, self.background)
        if threshold is None and (p_value is not None or not consensus):
            self._cut = _reached(P_VALUE if p_value is None else p_value, tail)
        else:
            self._cut = max(0, int(np.ceil((threshold or 0.0) / self._step - 1e-9)) - least)
        if self._cut >= len(tail):
            wanted = f"at most {(least + len(tail) - 1) * self._step:.6g}, the score of the best match"
            raise InputError(argument("threshold"), f"{threshold:g}", wanted, "give a lower one")
        self.threshold_, self.p_value_ = (least + self._cut) * self._step, float(tail[self._cut])

    def values(self, sequences: list[str]) -> np.ndarray:
        tokens, lengths = _nucleotides(self, sequences)
        return match_counts(tokens, lengths, self._scores, self._cut, self.both_strands).astype(float)

    def __repr__(self) -> str:
        given = [f"{name}={value:g}" for name, value in self._given.items() if value is not None]
        given += ["both_strands=False"] * (not self.both_strands)
        return f"MotifCount({', '.join([self._name, *given])})"


def _reached(p_value: float, tail: np.ndarray) -> int:
    """Return the least score whose tail probability is at most the p-value."""
    within = np.flatnonzero(tail <= p_value * (1 + 1e-9))  # p-values are sums of rounded products
    if not len(within):
        wanted = f"at least {tail[-1]:.3g}, the p-value of the best match of this motif"
        raise InputError(argument("p_value"), f"{p_value:g}", wanted, f"give that, or a {argument('threshold')}")
    return int(within[0])


def _background(given: Mapping[str, float] | ArrayLike | None) -> np.ndarray:
    """Return the frequencies of A, C, G and T, (4,), which sum to 1."""
    if given is None:
        return np.full(4, 0.25)
    wanted = "four numbers above 0 that sum to 1, the frequencies of A, C, G and T"
    try:
        ordered = [given[letter] for letter in NUCLEOTIDES] if isinstance(given, Mapping) else given
        b = np.asarray(ordered, dtype=float)
        usual = b.shape == (4,) and (b > 0).all() and abs(b.sum() - 1) < 1e-3
    except (KeyError, TypeError, ValueError):
        usual = False
    if not usual:
        raise InputError(argument("background"), shown(given), wanted, "give such numbers")
    return b / b.sum()


def _mismatches(consensus: str) -> np.ndarray:
    """Return 0 for the letters that a consensus allows at each position, -1 for others, (m, 4)."""
    scores = np.full((len(consensus), 4), -1)
    for i, symbol in enumerate(consensus.upper().replace("U", "T")):
        try:
            scores[i, list(DNA.allowed(symbol))] = 0
        except InputError:
            wanted = "letters and IUPAC codes of nucleotides, or a JASPAR id such as 'MA0139.1'"
            raise InputError(argument("motif"), shown(consensus), wanted, "give one of these") from None
    if not len(scores):
        raise InputError(argument("motif"), "''", "at least one letter", "give the motif")
    return scores


def _matrix(motif: Any) -> tuple[str, np.ndarray]:
    """Return the name of a motif and its matrix (m, 4), columns A, C, G and T."""
    name = ""
    if isinstance(motif, str):
        name, motif = repr(motif), _from_jaspar(motif)
    if isinstance(counts := getattr(motif, "counts", None), Mapping):  # Biopython's
        motif = np.array([counts[letter] for letter in ("ACGU" if "U" in counts else NUCLEOTIDES)]).T
    wanted = "a row for each position with numbers for A, C, G and T"
    if hasattr(motif, "columns"):
        table = motif.rename(columns={"U": "T"}, index={"U": "T"})
        table = table if "A" in table.columns else table.T
        if not set(NUCLEOTIDES) <= set(table.columns):
            found = f"the columns {shown(list(motif.columns))}"
            raise InputError(argument("motif"), found, wanted, "name the columns A, C, G and T")
        motif = table[list(NUCLEOTIDES)]
    try:
        matrix = np.asarray(motif, dtype=float)
    except (TypeError, ValueError):
        raise InputError(argument("motif"), of_kind(motif), f"a consensus, or {wanted}", "give one of these") from None
    if matrix.ndim != 2 or matrix.shape[1] != 4 or not len(matrix) or not np.isfinite(matrix).all():
        found = "nan or inf" if matrix.ndim == 2 and matrix.shape[1] == 4 and len(matrix) else f"shape {matrix.shape}"
        raise InputError(argument("motif"), found, wanted, "give such a matrix, of finite numbers")
    return name or f"<{len(matrix)} positions>", matrix


def _log_odds(matrix: np.ndarray, background: np.ndarray, pseudocount: float) -> np.ndarray:
    """Return a matrix of log-odds in bits, (m, 4), of counts, frequencies or log-odds."""
    if (matrix < 0).any():
        return matrix
    totals = matrix.sum(1, keepdims=True)
    counts = np.where(np.isclose(totals, 1, atol=1e-3), SITES * matrix, matrix) + pseudocount * background
    if not (counts > 0).all():
        found = f"a letter that never occurs, with {argument('pseudocount', pseudocount)}"
        wanted = "a number above 0 for each letter of each position"
        raise InputError(argument("motif"), found, wanted, f"give a larger {argument('pseudocount')}")
    return np.log2(counts / counts.sum(1, keepdims=True) / background)


def _from_jaspar(identifier: str) -> Any:
    """Return the motif of a JASPAR id, by pyjaspar, which holds the database itself."""
    if not re.fullmatch(r"[A-Z]{2}\d{4}(\.\d+)?", identifier):
        wanted = "letters and IUPAC codes of nucleotides, or a JASPAR id such as 'MA0139.1'"
        raise InputError(argument("motif"), shown(identifier), wanted, "give one of these")
    try:
        from pyjaspar import jaspardb
    except ImportError:
        found = f"the JASPAR id {identifier!r}, without the library pyjaspar"
        raise InputError(argument("motif"), found, "a matrix", "pip install pyjaspar, or give the counts") from None
    database = jaspardb()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an unknown id, which the error below says
        motif = database.fetch_motif_by_id(identifier)
    if motif is None:
        wanted = f"an id of {database.release}"
        raise InputError(argument("motif"), shown(identifier), wanted, "look it up at jaspar.elixir.no")
    return motif


class Composition(Score):
    """A preference for letters or motifs: the sum of weights over all their occurrences, in the unit of the weights.

    It is soft; motifs that must not occur at all are given to ``generate(forbid=...)``.

    Parameters
    ----------
    weights : mapping of str to float
        The value of each occurrence of a letter or a motif, upper and lower case as in the sequences: negative for
        fewer, positive for more. Overlapping occurrences all count.

    Examples
    --------
    >>> Composition({"C": -1.0})(["MKCC", "MKV"]).tolist()  # few cysteines
    [-2.0, 0.0]
    >>> Composition({"AUG": -1.0, "AA": 0.5})(["GAUGCAUG", "AAAG"]).tolist()  # few start codons
    [-2.0, 1.0]
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        if not isinstance(weights, Mapping) or not weights or not all(isinstance(m, str) and m for m in weights):
            wanted = "a dict of letters or motifs with a number for each"
            raise InputError(argument("weights"), shown(weights), wanted, "give one such as {'C': -1.0}")
        for motif, weight in weights.items():
            if not Real().allows(weight):
                cure = f"give one; what must not occur goes into {argument('forbid')} of generate"
                raise InputError(argument("weights"), f"{shown(weight)} for {shown(motif)}", "a finite number", cure)
        self.weights = {motif: float(weight) for motif, weight in weights.items()}

    def values(self, sequences: list[str]) -> np.ndarray:
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        codes = np.frombuffer("".join(sequences).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        owner = np.repeat(np.arange(len(sequences)), lengths)
        left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(codes))  # letters from here to the sequence's end
        self._refuse_other_nucleotides(codes)
        total = np.zeros(len(sequences))
        for motif, weight in self.weights.items():
            starts = np.flatnonzero(codes == ord(motif[0]))
            starts = starts[left[starts] >= len(motif)]
            for offset, letter in enumerate(motif):
                starts = starts[codes[starts + offset] == ord(letter)]
            total += weight * np.bincount(owner[starts], minlength=len(sequences))
        return total

    def _refuse_other_nucleotides(self, codes: np.ndarray) -> None:
        """Refuse a motif of RNA beside DNA and the reverse, which would never occur."""
        for other, own in ("TU", "UT"):
            motif = next((m for m in self.weights if own in m and len(m) > 1 and set(m) <= set("ACG" + own)), None)
            if motif is None or not (codes == ord(other)).any() or (codes == ord(own)).any():
                continue
            if set(np.unique(codes)) <= set(map(ord, "ACG" + other)):
                wanted = f"motifs with {other}, as the sequences have"
                raise InputError(argument("weights"), shown(motif), wanted, f"write {motif.replace(own, other)}")

    def __repr__(self) -> str:
        return f"Composition({self.weights})"


class PSSM(Score):
    """The sum of log-odds over all positions of each sequence, in the unit of the matrix; -inf where one is.

    Parameters
    ----------
    log_odds : DataFrame or array, shape (L, K)
        A row for each position, a column for each letter: log p(letter at the position) - log p(letter), or any
        preferences. Sequences have L letters. -inf is impossible.
    letters : str, optional
        The letters of the columns; a DataFrame names them itself.

    Examples
    --------
    >>> PSSM([[1.0, -1.0, 0.0], [0.0, 0.5, -np.inf]], "ACD")(["AC", "CA", "AD"]).tolist()
    [1.5, -1.0, -inf]

    The log-odds of natural sequences against equal frequencies of the letters, in bits:

    >>> from seqdiff.evaluation import position_frequencies
    >>> frequencies = position_frequencies(["ACGT", "ACGA", "ACGT", "TCGT"])
    >>> PSSM(np.log2(frequencies + 0.01) + 2)(["ACGT", "TTTT"]).round(1).tolist()
    [7.2, -7.6]
    """

    def __init__(self, log_odds: ArrayLike, letters: str | None = None) -> None:
        columns = getattr(log_odds, "columns", None)
        names = list(columns if columns is not None else letters or "")
        try:
            self.log_odds = np.array(log_odds, dtype=float)  # (L, K)
        except (TypeError, ValueError):
            self.log_odds = np.zeros(0)
        if self.log_odds.ndim != 2 or not self.log_odds.size:
            wanted = "a row of numbers for each position"
            raise InputError(
                argument("log_odds"), of_kind(log_odds), wanted, "give a DataFrame with letters as columns"
            )
        if np.isnan(self.log_odds).any() or (self.log_odds == np.inf).any():
            raise InputError(argument("log_odds"), "nan or inf", "finite numbers, or -inf", "give such numbers")
        named = all(isinstance(name, str) and len(name) == 1 for name in names)
        if not named or len(set(names)) < 2 or len(set(names)) != self.log_odds.shape[1]:
            wanted = f"{self.log_odds.shape[1]} different letters, one for each column"
            raise InputError(argument("letters"), shown("".join(map(str, names))), wanted, "name them")
        self.letters = "".join(names)

    def values(self, sequences: list[str]) -> np.ndarray:
        L = len(self.log_odds)
        for i, sequence in enumerate(sequences):
            if len(sequence) != L:
                wanted = f"{L}, the number of positions of the matrix"
                raise InputError(repr(self), f"{len(sequence)} letters in sequence {i}", wanted, "give such sequences")
        tokens, _ = _encoded(self, sequences, Alphabet(self.letters, "columns"), f"the letters {self.letters}")
        return self.log_odds[np.arange(L), tokens].sum(1)

    def __repr__(self) -> str:
        return f"PSSM(<{len(self.log_odds)} positions>, {self.letters!r})"


class Predicted(Score):
    """What a fitted predictor says: the value, in the unit of its training; of a classifier log p(label | x) in nats.

    With strength 1, `seqdiff.guidance.Reward` then samples from p(x) p(label | x), up to a constant.

    Parameters
    ----------
    predictor : SequenceRegressor, SequenceClassifier or alike
        Fitted; any object with ``predict`` (and ``predict_proba``, ``classes_``) that takes a list of str.
    label : object, optional
        The class that is wanted, of a classifier.

    Examples
    --------
    >>> from seqdiff import SequenceClassifier
    >>> X, y = ["ACGTAC", "ACGTTC", "TTTTAC", "TTTTAG"] * 5, ["acgt", "acgt", "t", "t"] * 5
    >>> log_p = Predicted(SequenceClassifier(epochs=20).fit(X, y), "t")
    >>> log_p
    Predicted(SequenceClassifier, 't')
    >>> bool(np.diff(log_p(["ACGTAA", "TTTTAA"]))[0] > 0)
    True
    """

    def __init__(self, predictor: Predictor, label: object = None) -> None:
        if isinstance(predictor, type) or not callable(getattr(predictor, "predict", None)):
            found = f"the class {predictor.__name__}" if isinstance(predictor, type) else of_kind(predictor)
            raise InputError(argument("predictor"), found, "a fitted model with the method predict", "give one")
        self.predictor, self.label = predictor, label
        self._column: int | None = None
        if hasattr(predictor, "predict_proba"):
            known = getattr(predictor, "classes_", None)
            if known is None:
                found = f"{of_kind(predictor)} that is not fitted"
                raise InputError(argument("predictor"), found, "a fitted classifier", "fit it")
            classes = np.asarray(known).tolist()
            if label is None or label not in classes:
                wanted = f"the class that is wanted, {listed(classes[:10])}"
                raise InputError(argument("label"), shown(label), wanted, "name one")
            self._column = classes.index(label)
        elif label is not None:
            found, wanted = shown(label), f"None, as {of_kind(predictor)} predicts numbers"
            raise InputError(argument("label"), found, wanted, "leave it out")

    def values(self, sequences: list[str]) -> np.ndarray:
        predictor: Any = self.predictor
        if self._column is None:
            values = np.asarray(predictor.predict(sequences), dtype=float)
        else:
            p = np.asarray(predictor.predict_proba(sequences), dtype=float)
            values = np.log(np.maximum(p[:, self._column], LEAST_PROBABILITY))
        if values.shape != (len(sequences),):
            wanted = f"one number for each of {len(sequences)} sequences"
            raise InputError(repr(self), f"shape {values.shape}", wanted, "give a predictor of one number")
        return values

    def __repr__(self) -> str:
        label = "" if self._column is None else f", {self.label!r}"
        return f"Predicted({type(self.predictor).__name__}{label})"


class Gap(Score):
    """What one predictor says minus what another does: high on the target, low off it.

    It is ``Predicted(on, label) - Predicted(off, label)``, in their unit: values, or nats of log p(label | x).

    Parameters
    ----------
    on, off : SequenceRegressor, SequenceClassifier or alike
        Fitted, on values of one unit; see `Predicted`.
    label : object, optional
        The class, of classifiers.

    Examples
    --------
    >>> from seqdiff import SequenceRegressor
    >>> X = ["AAAA", "AATA", "TTAT", "TTTT", "ATAT", "TTTA"] * 5
    >>> many_a = SequenceRegressor(epochs=30).fit(X, [s.count("A") for s in X])
    >>> many_t = SequenceRegressor(epochs=30).fit(X, [s.count("T") for s in X])
    >>> Gap(many_a, many_t)(["AAAA", "TTTT"]).round().tolist()
    [4.0, -4.0]
    """

    def __init__(self, on: Predictor, off: Predictor, label: object = None) -> None:
        self.on, self.off = Predicted(on, label), Predicted(off, label)

    def values(self, sequences: list[str]) -> np.ndarray:
        return self.on.values(sequences) - self.off.values(sequences)

    def __repr__(self) -> str:
        return f"Gap({self.on}, {self.off})"


def _folding(temperature: float) -> tuple[str, Callable[[str], float]]:
    """Return the name of a folding program that is installed, and its function: RNA -> kcal/mol."""
    with contextlib.suppress(ImportError):
        import RNA

        details = RNA.md()
        details.temperature = temperature
        return "ViennaRNA", lambda sequence: RNA.fold_compound(sequence, details).mfe()[1]
    try:
        import seqfold
    except ImportError:
        found, wanted = "neither of them", "the library ViennaRNA or seqfold"
        raise InputError("FoldingEnergy", found, wanted, 'pip install "seqdiff[design]"') from None

    def fold(sequence: str) -> float:
        energy = seqfold.dg(sequence, temp=temperature)  # infinite where nothing folds
        return min(energy, 0.0) if np.isfinite(energy) else 0.0

    return "seqfold", fold


class FoldingEnergy(Score):
    """Free energy of the most stable fold of RNA, kcal/mol: 0 (no fold) and below; or minus the distance to a target.

    ViennaRNA is asked where it is installed, else seqfold; their energies differ by some kcal/mol. Without a target
    higher is less folded, and ``-FoldingEnergy()`` prefers stable folds. DNA is folded as the RNA of its letters.

    Parameters
    ----------
    target : float, optional
        The energy that is wanted, kcal/mol; the score is then -|energy - target|.
    temperature : float
        Degrees Celsius.

    Attributes
    ----------
    program : str
        ``"ViennaRNA"`` or ``"seqfold"``.

    Examples
    --------
    >>> FoldingEnergy()(["GGGGAAAACCCC", "AAAAAAAAAAAA"]).round(1).tolist()
    [-5.4, 0.0]
    >>> FoldingEnergy(-5.0)(["GGGGAAAACCCC"]).round(1).tolist()
    [-0.4]
    """

    def __init__(self, target: float | None = None, *, temperature: float = 37.0) -> None:
        Real().check("target", target, optional=True)
        Real(0.0, 100.0).check("temperature", temperature)
        self.target, self.temperature = target, float(temperature)
        self.program, self._fold = _folding(self.temperature)

    def values(self, sequences: list[str]) -> np.ndarray:
        _nucleotides(self, sequences)
        rna = [sequence.upper().replace("T", "U") for sequence in sequences]
        energy = np.array([self._fold(sequence) if sequence else 0.0 for sequence in rna], dtype=float)
        return energy if self.target is None else -np.abs(energy - self.target)

    def __repr__(self) -> str:
        given = [] if self.target is None else [f"{self.target:g}"]
        given += [f"temperature={self.temperature:g}"] * (self.temperature != 37.0)
        return f"FoldingEnergy({', '.join(given)})"
