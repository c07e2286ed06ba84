"""The parameters that all generators and predictors share, and checks of the arguments of `generate`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqdiff import runtime
from seqdiff.data import Dataset, LengthLaw, class_codes, learn_target
from seqdiff.data.target import EMPIRICAL
from seqdiff.errors import InputError, argument, shorten, shown
from seqdiff.parameters import Choice, ColumnChoice, FolderName, Options, Parameter, PathName, Real, Seed, Whole
from seqdiff.training import Settings

DATA: dict[str, Parameter] = {
    "length": Whole(1).doc("Letters of each sequence. None takes what the data has, which may vary."),
    "alphabet": Parameter(kind='{"auto", "dna", "rna", "protein", "words", "bpe", "smiles"}, str or Alphabet').doc(
        """The letters, or all of them in one string. `"auto"` recognises DNA, RNA and proteins."""
    ),
    "ambiguous": Choice(("error", "drop")).doc(
        """What to do with sequences that hold IUPAC ambiguity codes such as N: refuse or drop them."""
    ),
    "sequence_column": Parameter(kind="str").doc("The column of a table that holds the sequences."),
}
"""How data is read, of generators and predictors alike."""

NETWORK: dict[str, Parameter] = {
    "network": Parameter(kind='{"conv", "transformer", "bytenet", "linear-transformer"} or callable').doc(
        """The neural network; in the size of a paper `"transformer-tiny"`, `"transformer-small"`,
        `"transformer-medium"`, `"bytenet-carp"` or `"conv-dirichlet"`. A callable is called with ``states, letters,
        length, conditions, fixed_length`` and what it takes of the options."""
    ),
    "width": Whole(1, 100_000).doc(
        """Channels of the network. None is the network's own number: conv 64, transformer 128, bytenet 128,
        linear-transformer 512."""
    ),
    "depth": Whole(1, 10_000).doc(
        """Blocks of the network. None is the network's own number: conv 6, transformer 4, bytenet 8,
        linear-transformer 12."""
    ),
    "dropout": Real(0, 0.999, optional=True).doc(
        """Share of the network's channels left out at random in training, against overfitting. None is the network's
        own: conv 0.03, transformer and bytenet 0.1, linear-transformer 0."""
    ),
    "network_options": Options().doc(
        """Further options of the network by name, such as ``{"kernel": 5}``: conv has `kernel` and `dilations`,
        transformer `heads` and `context_width`, bytenet `kernel` and `context_width`, linear-transformer `heads`,
        `local_heads` and `local_size`."""
    ),
}  # fmt: skip
"""The network, of generators and predictors alike."""

RUN: dict[str, Parameter] = {
    "random_state": Seed().doc(
        """Seed of weights, batches and noise. What None or a generator of numbers came to is kept in `fit_seed_`."""
    ),
    "device": Parameter(kind="str").doc('`"auto"` takes a GPU where there is one; or `"cpu"`, `"cuda"`, `"mps"`.'),
    "verbose": Settings.parameters()["verbose"],
}
"""Where and how it runs, of generators and predictors alike."""

GENERATOR: dict[str, Parameter] = {
    **DATA,
    **NETWORK,
    **Settings.parameters(),
    "target": ColumnChoice(
        ("auto", "class", "value", "signal"), kind='{"auto", "class", "value", "signal"} or dict by column'
    ).doc("""How to read the labels y: as classes, values or a signal along each sequence."""),
    "savepath": PathName(optional=True).doc("Folder of the run folders. None writes nothing."),
    "model_name": FolderName().doc(
        """Name of the run's folder. None is the name of the class, numbered where it is taken."""
    ),
    **RUN,
}
"""The parameters of every generator."""

ATTRIBUTES = """
alphabet_ : Alphabet
length_law_ : LengthLaw
    Distribution of the lengths of the training data.
target_ : Target, Targets or None
    How labels are read.
objective_ : Objective
    Process and network.
run_dir_ : str or None
    The run folder.
history_, evaluations_ : dict of lists
    Loss of each epoch, and validation bounds.
fit_seed_ : int
    Seed of the fit.
seed_ : int
    Seed of the last `generate`.
labels_ : ndarray or None
    Labels of the samples of the last `generate`.
made_ : ndarray
    Numbers of the samples that the last `generate` returned, of those asked for.
"""
"""The fitted attributes of every generator, as docstrings list them."""


def check_seed(random_state: Any) -> int:
    """Return the seed that a `random_state` of scikit-learn's kinds stands for.

    A whole number is the seed itself, None fresh entropy; a RandomState or a Generator draws one, and so moves on.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if random_state is None:
        return runtime.fresh_seed()
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    Seed().check("random_state", random_state)
    return int(random_state)


MOST_SAMPLES, MOST_STEPS = 10_000_000, 100_000


def check_generate(n: Any, steps: Any, temperature: Any) -> None:
    """Raise a ValueError unless n, steps and temperature make sense."""
    Whole(1).check("n", n)
    if n > MOST_SAMPLES:
        wanted = f"at most {MOST_SAMPLES:,} in one call, whose samples lie in memory"
        raise InputError(argument("n"), shown(n), wanted, "call several times")
    Whole(1, MOST_STEPS).check("steps", steps, optional=True)
    Real(1e-6, 1e6).check("temperature", temperature)


def check_lengths(length: Any, n: int, law: LengthLaw, seed: int, labels: Any = None) -> np.ndarray:
    """Return the lengths (n,) to generate: those asked for, or draws from the lengths of the training data.

    With labels, encoded, from the lengths that go with them.

    Raises
    ------
    ValueError
        If a length is longer than any the model has seen, or not the only one it knows.
    """
    if length is None:
        return np.asarray(law.sample(n, runtime.generator_for("cpu", seed, "length"), labels))
    lengths = np.atleast_1d(np.asarray(length))
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or len(lengths) not in (1, n):
        raise ValueError(f"length={shown(length)} is not possible; give one whole number or an array of {n}")
    if not np.isfinite(law.log_prob(lengths)).all():
        known = f"{law.max_length} letters" if law.fixed else f"1 to {law.max_length} letters"
        raise ValueError(f"length={shown(length)} is not possible: this model makes sequences of {known}")
    return np.broadcast_to(lengths.astype(np.int64), (n,)).copy()


def warn_far(y: Any, target: Any) -> None:
    """Warn of values far outside those that were learned; `encode` refuses what are no values at all."""
    try:
        found = target.far_outside(y) if target is not None and y is not None else ""
    except ValueError:
        return
    if found:
        warnings.warn(found, stacklevel=4)


def drawn_labels(y: Any, target: Any, n: int, seed: int) -> Any:
    """Return y, or for ``"empirical"`` labels of n rows, drawn as they occur in the training data.

    Raises
    ------
    ValueError
        If there is a class of that name, or the labels cannot be drawn.
    """
    if not isinstance(y, str) or y != EMPIRICAL:
        return y
    if target.kind == "class" and EMPIRICAL in target.classes_:
        raise ValueError(
            'y="empirical" draws classes as often as they occur, but it is also the name of a class of this model; '
            'give y=["empirical"] * n for the class, or an array of n classes'
        )
    return target.draw(n, np.random.default_rng(runtime.seed_of(seed, "labels")))


def check_signal(y: Any, width: int, longest: int) -> None:
    """Raise a ValueError unless a signal, (L, C) or (n, L, C), has as many positions as the sequences to generate."""
    shape = np.shape(y)
    if len(shape) in (2, 3) and shape[-2] not in (width, longest):
        raise ValueError(
            f"y is a signal over {shape[-2]} positions, but sequences of up to {width} letters are to be made; "
            "give one row of the signal per letter, shape (L, C) or (n, L, C)"
        )


class Weights:
    """What `sample_weight` says: how much each of the sequences read counts, 0 as if it had not been given.

    Parameters
    ----------
    given : array-like of shape (n,), "balanced" or None

    Raises
    ------
    ValueError
        If it is something else, or holds a number that is no weight.
    """

    def __init__(self, given: Any) -> None:
        self.balanced = isinstance(given, str) and given == "balanced"
        self.all: np.ndarray | None = None
        if given is None or self.balanced:
            return
        wanted = "expected one number of at least 0 for each sequence, 'balanced' or None"
        if isinstance(given, (str, bytes, Mapping, set)) or np.ndim(given) != 1:
            shown = shorten(" ".join(repr(given).split())) if np.ndim(given) == 0 else f"shape {np.shape(given)}"
            raise ValueError(f"sample_weight: got {shown}, {wanted}; give a list or an array")
        try:
            weights = np.asarray(given)
            weights = weights.astype(np.float64) if weights.dtype.kind in "biuf" else np.array(weights.tolist(), float)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"sample_weight: got entries that are no numbers, {wanted}; correct them") from None
        odd = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
        if len(odd):
            raise ValueError(f"sample_weight[{odd[0]}]: got {weights[odd[0]]:g}, {wanted}; correct it")
        if not weights.any():
            raise ValueError(f"sample_weight: got {len(weights)} zeros, {wanted}; give some sequences a weight above 0")
        self.all = weights / weights.max()  # their sum might overflow

    def chosen(self, n: int) -> np.ndarray | None:
        """Return which of n sequences count at all, booleans (n,); None for all."""
        if self.all is None:
            return None
        if len(self.all) != n:
            raise ValueError(f"sample_weight: got shape ({len(self.all)},) for {n} sequences; give one weight for each")
        return self.all > 0

    def of(self, data: Dataset, kind: Any) -> np.ndarray | None:
        """Return the weights (N,) of a data set's rows, scaled to a mean of 1; None where all are alike."""
        if self.balanced:
            return self._of_classes(data, kind)
        if self.all is None:
            return None
        weights = self.all[data.kept]
        return None if (weights == weights[0]).all() else weights / weights.mean()

    def _of_classes(self, data: Dataset, kind: Any) -> np.ndarray | None:
        """Return weights by which every class counts as much as any other; a row without a label counts 1."""
        target = None if data.y is None else learn_target(data.y, kind)
        if target is None or target.kind != "class":
            found = "no labels" if target is None else f"labels that are a {target.kind}"
            found = "several columns of labels" if target is not None and target.kind == "columns" else found
            raise ValueError(f"sample_weight='balanced': got {found}, expected classes; give an array of weights")
        codes = class_codes(target, data.y)[0]
        counts = np.bincount(codes[codes >= 0])
        weights = np.where(codes >= 0, (codes >= 0).sum() / (len(counts) * counts[codes]), 1.0)
        return None if (weights == weights[0]).all() else weights / weights.mean()
