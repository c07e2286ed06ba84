"""`evaluate`: generated sequences beside natural ones, by the same metrics as natural and shuffled sequences.

A metric alone says little: a divergence of 0.03 may be that of two sets of natural sequences of this size. The
reference is therefore divided at random into two halves. One half is the reference of every row; the other is judged as
if it had been generated, the *ceiling*, and once more with its letters shuffled so that pairs of neighbours keep their
counts, the *floor*. All sets that are compared have the same size n, as most metrics depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from seqdiff.alphabets.alphabet import LETTERS, base_of, unknown
from seqdiff.alphabets.alphabets import AlphabetLike
from seqdiff.data import Alphabet, Dataset, prepare, read_records
from seqdiff.data.images import refuse_images
from seqdiff.errors import InputError, argument, listed, of_kind, shown
from seqdiff.evaluation.metrics import (
    DIMENSIONS,
    NORMAL,
    CountedPair,
    Estimate,
    KmerEmbedding,
    Nearness,
    Neighbourhoods,
    Weights,
    bootstrap_weights,
    frechet,
    kmer_matrix,
    letters_by_position,
    mean,
    share,
    square_root,
)
from seqdiff.evaluation.motifs import read_motifs
from seqdiff.evaluation.results import CEILING, FLOOR, Evaluation, Row
from seqdiff.evaluation.shuffling import shuffled_letters
from seqdiff.evaluation.statistics import bits_per_letter, bits_per_letter_error, gc_content, kmer_size, pair_distances
from seqdiff.inputs import Predictor, SequencesLike
from seqdiff.parameters import Whole

FEWEST = 10
"""Sequences that a set needs: more than the neighbours of a ball, two for each fold."""
SUBSAMPLE = 1000
BOOTSTRAPS = 200
PAIRS, FEWEST_PAIRS = 10_000, 100
"""Pairs of a set for its diversity: most, and fewest where sequences are very long."""
PAIR_CELLS = 4 * 10**10
"""Of their tables of edit distances: about 2 CPU-seconds."""
KNOWN = 20_000
"""Training sequences among which the nearest is sought."""
MARGIN = 0.98
"""Of the natural distance to the training set: samples are memorised if theirs is surely below this share of it."""
DISCRIMINATORS = ("kmer", "conv")


class Likelihood(Protocol):
    """The method of a fitted model that `evaluate` calls; without `bound_` the values count as exact."""

    def score_samples(self, X: Any) -> np.ndarray:
        """Return log-likelihoods in nats, (n,)."""


def evaluate(
    generated: SequencesLike | Mapping[str, SequencesLike],
    reference: SequencesLike,
    *,
    train: SequencesLike | None = None,
    predictor: Predictor | None = None,
    model: Likelihood | Mapping[str, Likelihood] | None = None,
    motifs: str | Iterable[str] | Mapping[str, Any] | None = None,
    k: int | None = None,
    discriminators: Sequence[str] = DISCRIMINATORS,
    subsample: int = SUBSAMPLE,
    alphabet: AlphabetLike = "auto",
    random_state: int | np.random.Generator | None = 0,
    **reading: Any,
) -> Evaluation:
    """Compare generated sequences with natural ones.

    With N natural sequences, n = min(sequences of the smallest group, N // 2) of each set are compared, drawn at
    random: n of the reference are the *ceiling*, n others the reference of all rows. Of the n, the first `subsample`
    serve for what is costly: nearest sequences, neighbourhoods, discriminators, predictors and likelihoods.

    Parameters
    ----------
    generated : sequences, or dict of sequences by the name of their group
        Whatever `seqdiff.data.read_records` reads, ten or more each. Letters may be wrong: `valid` counts them, and all
        other metrics are of the sequences whose letters are right.
    reference : sequences
        Natural sequences, twenty or more; best those that no model was trained on.
    train : sequences, optional
        The training set, for `novel`, `nearest`, `authentic` and `memorised`. Default: the reference but for the
        ceiling. Natural sequences in `train` say nothing of the natural distance and are left out of it.
    predictor : Predictor, optional
        Such as a `SequenceRegressor` or `SequenceClassifier`: predicted values, and its hidden states.
    model : fitted generator or baseline, or dict of them by group, optional
        For `bits`, the bits per letter of natural sequences that are not in `train`.
    motifs : str, list of str or dict of arrays, optional
        DNA motifs to count: names or identifiers of JASPAR, or matrices (width, 4) by name, see `motifs.Motif`.
    k : int, optional
        Letters of a k-mer. Default: 6 for nucleotides, see `kmer_size`.
    discriminators : sequence of str, default ("kmer", "conv")
        Discriminators to train; they take most of the time, the network about 7 CPU-seconds a row of 200 letters.
    subsample : int, default 1000
        Most sequences of each set for costly metrics.
    alphabet : str or Alphabet, default "auto"
        As in `seqdiff.data.prepare`; "auto" reads it from the reference.
    random_state : int, Generator or None, default 0
        Seed of the division, subsamples, shuffling, bootstrap and discriminators.
    **reading
        Options of `seqdiff.data.prepare`, for the reference and the training set: `ambiguous`, `gaps`,
        `sequence_column` (also of the generated).

    Returns
    -------
    Evaluation
        Its `table` has these columns, `intervals` has 95% intervals of those marked *; (m) is of the subsample:

        - `given`, `n`: sequences given and compared;
        - `valid`*: share of the given with letters of the alphabet and a length from the reference's shortest to its
          longest; `unique`: different sequences over n; `novel`*: share of those with right letters that is not in
          `train` letter for letter;
        - `nearest`* (m): mean edit distance to the nearest training sequence over the longer length of the two, to at
          most 20,000 of them (see `metrics.nearest_training`); beside it that of the ceiling. `authentic`* (m): share
          of samples farther from it than it is from its own nearest training sequence (Alaa et al. 2022). `memorised`:
          whether `nearest` is below 0.98 times that of the ceiling, or `novel` below that of the ceiling, by more than
          their 95% intervals; None where less than ten natural sequences are not in `train`;
        - `diversity`*: mean edit distance over the longer length of 10,000 random pairs, fewer where sequences have
          more than 2,000 letters;
        - `kmer_js`*: Jensen-Shannon divergence of k-mers in bits; `kmer_js_distance`*: its square root; `kmer_r`*:
          Pearson's r of k-mer frequencies; `position_js`*, for one length only: the mean over positions of the
          divergence of their letters, in bits;
        - `precision`*, `recall`*, `density`*, `coverage`* (m): of frequencies of k-mers, 3 letters for nucleotides, 2
          for proteins, in at most 64 dimensions; the intervals are those for the same balls. `frechet`* (m): Frechet
          distance of these embeddings over the total variance of natural ones. `frechet_hidden`* (m): the same of
          hidden states;
        - `auroc_kmer`*, `auroc_conv`* (m): of discriminators in 5-fold cross-validation;
        - `gc`*, `gc_ks`, for nucleotides, `length`*, `length_ks`: means, and Kolmogorov-Smirnov statistics;
        - `predicted`* (m): mean predicted value, or probability of each class (of two, of the second); `motif ...`*:
          mean number of matches;
        - `bits`* (m), `bound`: bits per letter of natural sequences under the group's model, "exact" or "elbo", an
          upper bound.

    Raises
    ------
    InputError
        If something cannot be read, or is too small to be compared.

    Examples
    --------
    >>> from seqdiff.datasets import load_sigma70
    >>> from seqdiff.evaluation import PositionWeightMatrix
    >>> natural = load_sigma70(600)
    >>> matrix = PositionWeightMatrix().fit(natural[:200])
    >>> result = evaluate({"matrix": matrix.generate(200, random_state=0)}, natural[200:], train=natural[:200],
    ...                   model=matrix, discriminators=["kmer"])
    >>> result.table.loc["matrix", "bound"], bool(result.table.loc["matrix", "memorised"])
    ('exact', False)
    >>> result.ranking().index[0]
    'natural (ceiling)'
    """
    Whole(FEWEST).check("subsample", subsample)
    if not isinstance(random_state, np.random.Generator):
        Whole(0, 2**63 - 1).check("random_state", random_state, optional=True)
    if isinstance(discriminators, str) or not set(discriminators) <= set(DISCRIMINATORS):
        wanted = f"a list of {listed(DISCRIMINATORS, 'and')}, or an empty one"
        raise InputError(argument("discriminators"), shown(discriminators), wanted, "give such a list")
    if random_state is None or isinstance(random_state, np.random.Generator):
        random_state = int(np.random.default_rng(random_state).integers(2**63))
    seed = int(random_state)
    natural = _prepared("reference", reference, alphabet=alphabet, **reading)
    refuse_images(natural.alphabet, "an evaluation by k-mers")
    trained = None if train is None else _prepared("train", train, alphabet=natural.alphabet, **reading).sequences
    span = int(natural.lengths.min()), int(natural.lengths.max())
    groups = _read_groups(generated, natural.alphabet, span, reading.get("sequence_column"))
    n = min([len(natural) // 2, *(len(group.usable) for group in groups)])
    check_two_sets("reference", len(natural))
    yardstick = Yardstick(
        natural.sequences,
        natural.alphabet,
        n,
        trained,
        k=_check_k(k, natural, groups),
        subsample=subsample,
        discriminators=discriminators,
        predictor=predictor,
        motifs=motifs,
        seed=seed,
    )
    rows = [yardstick.row(group) for group in groups]
    bits = {} if model is None else _bits(model, [group.name for group in groups], yardstick)
    return yardstick.evaluation(rows, bits)


def check_two_sets(name: str, n: int) -> None:
    """Refuse a number of natural sequences, of the parameter `name`, too small for a ceiling and a reference."""
    if n < 2 * FEWEST:
        wanted = f"at least {2 * FEWEST}, as they are divided into two sets"
        raise InputError(argument(name), f"{n} sequence{'s' * (n > 1)}", wanted, "give more")


# Reading.


def _prepared(name: str, given: SequencesLike, **options: Any) -> Dataset:
    try:
        return prepare(given, **options)
    except InputError as error:
        raise error.of(argument(name)) from None


@dataclass(frozen=True, eq=False)
class Group:
    """Sequences as they were given.

    Attributes
    ----------
    name : str
    valid : ndarray of bool, shape (given,)
        Whether letters and length are right.
    usable : list of str
        Those whose letters are right.
    """

    name: str
    valid: np.ndarray
    usable: list[str]

    @classmethod
    def of(cls, name: str, sequences: list[str]) -> Group:
        """Return a group of which all are right."""
        return cls(name, np.ones(len(sequences), dtype=bool), sequences)


def _read_groups(generated: Any, alphabet: Alphabet, span: tuple[int, int], sequence_column: object) -> list[Group]:
    sets = dict(generated) if isinstance(generated, Mapping) else {"generated": generated}
    if not sets:
        raise InputError(argument("generated"), "an empty dict", "sequences by the name of their group", "give some")
    groups = []
    for name, given in sets.items():
        where = argument("generated") + (f"[{shown(name)}]" if isinstance(generated, Mapping) else "")
        if not isinstance(name, str) or name in (CEILING, FLOOR):
            wanted = f"a str other than {CEILING!r} and {FLOOR!r}"
            raise InputError(where, f"the name {shown(name)}", wanted, "name the group otherwise")
        try:
            strings = read_records(given, sequence_column=sequence_column).sequences
        except InputError as error:
            raise error.of(where) from None
        groups.append(read_group(name, strings, alphabet, span, where))
    return groups


def read_group(name: str, strings: list[str], alphabet: Alphabet, span: tuple[int, int], where: str = "") -> Group:
    """Return the group of strings; `span` are the least and most letters that are right, `where` begins the error."""
    strings = alphabet.normalize(strings)
    flat, lengths = alphabet.scan(strings)
    right = lengths > 0
    right[unknown(flat, lengths, len(alphabet))[0]] = False
    usable = [strings[i] for i in np.flatnonzero(right)]
    if len(usable) < FEWEST:
        found = f"{len(usable)} of {len(strings)} sequences with letters of the {alphabet.name} alphabet only"
        cure = f"give more, or another {argument('alphabet')}"
        raise InputError(where or name, found, f"at least {FEWEST}", cure)
    inside = (span[0] <= lengths) & (lengths <= span[1])
    return Group(name, right & inside, usable)


def _check_k(k: int | None, natural: Dataset, groups: list[Group]) -> int:
    """Return the k given or that of `kmer_size`; refuse one that leaves sets without k-mers."""
    Whole(1).check("k", k, optional=True)
    longest = min(max(map(len, strings)) for strings in (natural.sequences, *(group.usable for group in groups)))
    if k is None:
        return min(kmer_size(len(natural.alphabet), natural.lengths), longest)
    if k > longest:
        wanted = f"at most {longest}, as long as the longest sequence of every set"
        raise InputError(argument("k"), str(k), wanted, "choose a smaller one")
    return int(k)


# Measuring.


class Yardstick:
    """What all rows are measured against, and how.

    Parameters
    ----------
    natural : list of str
        Divided at random: n are the ceiling, n others the reference of all rows.
    alphabet : Alphabet
    n : int
        Sequences of each set; at most half of the natural ones.
    trained : list of str or None
        The training set; None: natural sequences but for the ceiling.
    k, subsample, discriminators, predictor, motifs
        See `evaluate`.
    seed : int
    """

    def __init__(
        self,
        natural: list[str],
        alphabet: Alphabet,
        n: int,
        trained: list[str] | None = None,
        *,
        k: int,
        subsample: int = SUBSAMPLE,
        discriminators: Sequence[str] = (),
        predictor: Predictor | None = None,
        motifs: Any = None,
        seed: int = 0,
    ) -> None:
        self.natural, self.trained, self.n, self.m, self.k, self.seed = natural, trained, n, min(subsample, n), k, seed
        self.alphabet, self.discriminators, self.predictor = alphabet, discriminators, predictor
        order = self.stream(0).permutation(len(natural)).tolist()
        self.ceiling, others = ([natural[i] for i in places] for places in (order[:n], order[n:]))
        self.reference = others[:n]
        self.seen = set(natural if trained is None else trained)
        # those that are not novel among natural sequences, and those for which no nearest other is sought
        self.seen_apart = (set(others), set[str]()) if trained is None else (self.seen, self.seen)
        different = list(dict.fromkeys(others if trained is None else trained))
        if len(different) < 2:
            name = argument("reference" if trained is None else "train")
            raise InputError(name, "copies of one sequence", "at least two different ones", "give others")
        places = self.stream(1).permutation(len(different))[:KNOWN]
        self.known = [different[i] for i in places]
        self.bases = base_of(alphabet.name) if base_of(alphabet.name) in ("dna", "rna") else ""
        # bootstrap samples of the rows' sequences and of the reference's; the same for each row
        self.weights = [self._bootstrap(self.n), self._bootstrap(self.m)]
        words = max(2, int(np.log(DIMENSIONS + 0.5) / np.log(len(alphabet))))  # 3 for nucleotides
        self.embedding = KmerEmbedding([*self.ceiling, *self.reference], min(words, k))
        self.embedded = self.embedding(self.reference[: self.m])
        self.unit = _variance(self.embedding([*self.ceiling[: self.m], *self.reference[: self.m]]))
        self.hidden = self.hidden_states(self.reference[: self.m])
        self.lengths = self.letters(self.reference)
        self.motifs = {} if motifs is None else read_motifs(motifs, self.background(motifs))

    @cached_property
    def span(self) -> tuple[int, int]:
        """Letters of the shortest and of the longest natural sequence."""
        lengths = self.letters(self.natural)
        return int(lengths.min()), int(lengths.max())

    def measure(self, name: str, strings: list[str]) -> Row:
        """Return all metrics of strings, whatever letters they have."""
        return self.row(read_group(name, strings, self.alphabet, self.span))

    @cached_property
    def ends(self) -> tuple[Row, Row]:
        """The rows of the ceiling and of the floor."""
        ceiling = self.row(Group.of(CEILING, self.ceiling), *self.seen_apart)
        return ceiling, self.row(Group.of(FLOOR, self.shuffled()))

    def evaluation(self, rows: Sequence[Row], bits: Mapping[str, tuple[Estimate, str]] | None = None) -> Evaluation:
        """Return the table of groups, ceiling and floor; bits per letter and their kind are by group."""
        every = [*rows, *self.ends]
        notes = []
        if not len(self.ends[0].nearest):
            few = f"fewer than {FEWEST} of the natural sequences that are compared are not in {argument('train')}"
            notes.append(f"{few}, so that memorising cannot be told; give others as {argument('reference')}")
        facts = {
            "n": self.n,
            "subsample": self.m,
            "reference": len(self.natural),
            "train": None if self.trained is None else len(self.trained),
            "known": len(self.known),
            "k": self.k,
            "embedding_k": self.embedding.k,
            "alphabet": self.alphabet.name,
            "lengths": self.span,
            "bootstraps": BOOTSTRAPS,
            "random_state": self.seed,
        }
        return Evaluation.of(every, {row.name: self.memorised(row) for row in every}, bits or {}, facts, tuple(notes))

    def memorised(self, row: Row) -> bool | None:
        """Return whether a row is nearer to the training set than the ceiling, or has more copies; None: unknown."""
        ceiling, _ = self.ends
        if not len(ceiling.nearest):
            return None
        if row is ceiling:
            return False
        if row.values["novel"].high < ceiling.values["novel"].low:
            return True
        ours, theirs = (
            bootstrap_weights(len(d), 1000, self.stream(9, i)) @ d / len(d)
            for i, d in enumerate((row.nearest, ceiling.nearest))
        )
        return bool(np.quantile(ours - MARGIN * theirs, 0.975) < 0)

    def stream(self, *purpose: int) -> np.random.Generator:
        """Return the random stream of a purpose."""
        return np.random.default_rng([self.seed, *purpose])

    def _bootstrap(self, size: int) -> Weights:
        rng = self.stream(2, size)
        return bootstrap_weights(size, BOOTSTRAPS, rng), bootstrap_weights(size, BOOTSTRAPS, rng)

    def letters(self, sequences: list[str]) -> np.ndarray:
        """Return the number of letters of each sequence, (n,)."""
        return self.alphabet.scan(sequences)[1]

    def shuffled(self) -> list[str]:
        """Return the ceiling's sequences with the letters of each shuffled."""
        rng = self.stream(4)
        return ["".join(shuffled_letters(self.alphabet.split(sequence), rng)) for sequence in self.ceiling]

    def background(self, motifs: object) -> np.ndarray:
        """Return the shares of A, C, G, T in natural sequences, (4,)."""
        if self.alphabet.name != "dna":
            cure = f"leave {argument('motifs')} out"
            raise InputError(argument("motifs"), f"{shown(motifs)} for {self.alphabet.described}", "DNA", cure)
        text = "".join(self.reference)
        counts = np.array([1 + text.count(letter) for letter in LETTERS["dna"]])
        return counts / counts.sum()

    def row(self, group: Group, seen: Set[str] | None = None, left_out: Set[str] = frozenset()) -> Row:
        """Return all metrics of a group.

        `seen` are the sequences that are not novel, `left_out` those for which no nearest other is sought.
        """
        seen = self.seen if seen is None else seen
        if max(map(len, group.usable)) < self.k:
            wanted = f"a k of which {group.name} has any"
            raise InputError(argument("k"), str(self.k), wanted, "choose a smaller one")
        drawn = self.stream(5).permutation(len(group.usable))[: self.n]
        sequences = [group.usable[i] for i in drawn]
        some = sequences[: self.m]
        values: dict[str, Estimate] = {
            "given": Estimate(len(group.valid)),
            "n": Estimate(self.n),
            "valid": share(group.valid),
            "unique": Estimate(len(set(sequences)) / self.n),
            "novel": share(np.array([sequence not in seen for sequence in group.usable])),
        }
        distances, found = self.distances(sequences, [s for s in some if s not in left_out])
        values |= found
        frequencies, found = self.counted(sequences)
        values |= found | self.embedded_metrics(some) | self.told_apart(some)
        lengths = self.letters(sequences)
        values["length"], values["length_ks"] = mean(lengths, self.weights[0][0]), _ks(lengths, self.lengths)
        measures: dict[str, np.ndarray] = {}
        if self.bases:
            measures["gc"] = gc_content(sequences)
            values["gc_ks"] = _ks(measures["gc"], gc_content(self.reference))
        measures |= self.predicted(some)
        measures |= {f"motif {name}": motif.count(sequences) for name, motif in self.motifs.items()}
        for name, measured in measures.items():
            values[name] = mean(measured, self.weights[len(measured) < self.n][0])
        return Row(group.name, sequences, values, measures, distances, frequencies)

    def distances(self, sequences: list[str], apart: list[str]) -> tuple[np.ndarray, dict[str, Estimate]]:
        """Return the distances of `apart` to the nearest training sequence, empty of too few; and metrics of edits."""
        pairs = int(np.clip(PAIR_CELLS // max(map(len, sequences)) ** 2, FEWEST_PAIRS, PAIRS))
        first, second, between = pair_distances(sequences, pairs, self.stream(7))
        weights = self.weights[0][0][:, first] * self.weights[0][0][:, second]
        values = {"diversity": mean(between, weights)}
        if len(apart) < FEWEST:
            return np.empty(0), values
        near = Nearness.of(apart, self.known, self.k)
        weights = bootstrap_weights(len(apart), BOOTSTRAPS, self.stream(6))
        values |= {"nearest": mean(near.distance, weights), "authentic": share(near.authentic)}
        return near.distance, values

    def counted(self, sequences: list[str]) -> tuple[np.ndarray, dict[str, Estimate]]:
        """Return the frequencies (2, K) of k-mers in a set and in the reference; and metrics of counts."""
        counts = kmer_matrix([*sequences, *self.reference], self.k)
        pair = CountedPair(counts[: self.n], counts[self.n :], self.weights[0])
        values = {"kmer_js": pair.js(), "kmer_js_distance": square_root(pair.js()), "kmer_r": pair.pearson()}
        if len(length := {*self.letters(sequences).tolist(), *self.lengths.tolist()}) == 1:
            K = len(self.alphabet)
            placed = [letters_by_position(self.alphabet.encode(s)[0], K) for s in (sequences, self.reference)]
            values["position_js"] = CountedPair(placed[0], placed[1], self.weights[0]).js_by_position(length.pop())
        return np.stack([total / total.sum() for total in pair.totals]), values

    def embedded_metrics(self, some: list[str]) -> dict[str, Estimate]:
        """Return metrics of k-mer embeddings and of hidden states."""
        weights, embedded = self.weights[1], self.embedding(some)
        balls = Neighbourhoods.of(embedded, self.embedded)
        values = {
            "precision": share(balls.inside),
            "recall": share(balls.recalled),
            "density": mean(balls.balls, weights[0]),
            "coverage": share(balls.covered),
            "frechet": frechet(embedded, self.embedded, weights, self.unit),
        }
        states = self.hidden_states(some)
        if states is not None and self.hidden is not None:
            values["frechet_hidden"] = frechet(states, self.hidden, weights, _variance(self.hidden))
        return values

    def told_apart(self, some: list[str]) -> dict[str, Estimate]:
        """Return the AUROC of each discriminator between samples and the reference."""
        if not self.discriminators:
            return {}
        from seqdiff.evaluation.discriminators import auroc, convolution_scores, kmer_scores, make_folds

        both = [*some, *self.reference[: self.m]]
        folds = make_folds(self.m, self.stream(8))
        scores = {}
        if "kmer" in self.discriminators:
            scores["auroc_kmer"] = kmer_scores(both, folds, self.k, self.seed)
        if "conv" in self.discriminators:
            tokens, lengths = self.alphabet.encode(both)
            K = len(self.alphabet)
            ended = np.where(np.arange(tokens.shape[1]) < lengths[:, None], tokens.astype(np.int64), K)
            scores["auroc_conv"] = convolution_scores(ended, K, folds, self.seed)
        return {name: auroc(values, folds, self.weights[1]) for name, values in scores.items()}

    def hidden_states(self, sequences: list[str]) -> np.ndarray | None:
        """Return the predictor's hidden states (n, D), where it has any."""
        embed = getattr(self.predictor, "embed", None)
        return None if embed is None else _numbers(embed(sequences), (len(sequences), None), "embed")

    def predicted(self, sequences: list[str]) -> dict[str, np.ndarray]:
        """Return predicted values (n,), or probabilities by class; of two classes, of the second alone."""
        if self.predictor is None:
            return {}
        n = len(sequences)
        if not hasattr(self.predictor, "predict"):
            wanted = "an object with the method predict, such as a SequenceRegressor"
            raise InputError(argument("predictor"), of_kind(self.predictor), wanted, "give one")
        if not hasattr(self.predictor, "predict_proba"):
            return {"predicted": _numbers(self.predictor.predict(sequences), (n,), "predict")}
        p = _numbers(self.predictor.predict_proba(sequences), (n, None), "predict_proba")
        classes = list(getattr(self.predictor, "classes_", range(p.shape[1])))
        return {f"predicted {classes[i]}": p[:, i] for i in range(p.shape[1] == 2, p.shape[1])}


def _variance(x: np.ndarray) -> float:
    """Return the total variance of vectors (n, D); 1 where they are all equal."""
    return float(x.var(0, ddof=1).sum()) or 1.0


def _ks(a: np.ndarray, b: np.ndarray) -> Estimate:
    from scipy.stats import ks_2samp

    return Estimate(float(ks_2samp(a, b, method="asymp").statistic))


def _numbers(given: object, shape: tuple[int | None, ...], method: str) -> np.ndarray:
    values = np.asarray(given, dtype=np.float64)
    fits = values.ndim == len(shape) and values.shape[0] == shape[0]
    if not fits or not np.isfinite(values).all():
        found = f"shape {values.shape} of {method}" if not fits else f"values of {method} that are not finite"
        wanted = f"finite numbers of shape ({', '.join('D' if size is None else str(size) for size in shape)})"
        raise InputError(argument("predictor"), found, wanted, "give a predictor that returns them")
    return values


def _bits(model: Any, groups: list[str], yardstick: Yardstick) -> dict[str, tuple[Estimate, str]]:
    """Return the bits per letter of natural sequences under each group's model, and "exact" or "elbo"."""
    models = dict(model) if isinstance(model, Mapping) else dict.fromkeys(groups, model)
    if foreign := [name for name in models if name not in groups]:
        wanted = f"names of groups, {listed(groups, 'and')}"
        raise InputError(argument("model"), f"a model of {shown(foreign[0])}", wanted, "name one of them")
    known = set() if yardstick.trained is None else yardstick.seen
    unseen = [s for s in yardstick.natural if s not in known]
    if len(unseen) < 2:
        cure = f"give others as {argument('reference')}, or leave {argument('model')} out"
        found = f"{len(unseen)} natural sequences that are not in {argument('train')}"
        raise InputError(argument("reference"), found, "at least two, for bits per letter", cure)
    some = [unseen[i] for i in yardstick.stream(10).permutation(len(unseen))[: yardstick.m]]
    letters = [yardstick.alphabet.split(sequence) for sequence in some]
    found_of: dict[int, tuple[Estimate, str]] = {}
    for one in models.values():
        if id(one) in found_of:
            continue
        bound = getattr(one, "bound_", "exact")
        if bound is None or not hasattr(one, "score_samples"):
            wanted = "a fitted model with a likelihood"
            raise InputError(argument("model"), f"{of_kind(one)} without one", wanted, "leave it out")
        nats = one.score_samples(some)
        bits, half = bits_per_letter(nats, letters), NORMAL * bits_per_letter_error(nats, letters)
        found_of[id(one)] = Estimate(bits, bits - half, bits + half), bound
    return {name: found_of[id(one)] for name, one in models.items()}
