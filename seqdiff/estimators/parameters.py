"""The parameters that all generators and predictors share, and checks of the arguments of `generate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags

from seqdiff.data import Alphabet, Dataset, StoredData, class_codes, learn_target
from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.estimators.requests import check_seed
from seqdiff.inputs import NetworkLike, SeedLike, TargetLike, WeightsLike
from seqdiff.parameters import Choice, Options, Parameter, Real, Seed, Whole, parameter
from seqdiff.training import LearningParameters

ATTRIBUTES = """
bound_ : {"exact", "elbo"} or None
    `score_samples` returns log-likelihoods or lower bounds of them; None: there is no likelihood.
alphabet_ : Alphabet
length_distribution_ : LengthDistribution
    Distribution of the lengths of the training data.
target_ : Target, Targets or None
    How labels are read.
objective_ : Objective
    Process and network.
run_dir_ : str or None
    The run folder.
history_, evaluations_ : dict of lists
    Loss of each epoch; validation bounds.
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


ORDER = parameter("spread", Choice(("spread", "random"))).doc(
    """The letters that change in a call of the network: `"spread"`, letters far from one another, so that few steps
    lose less; `"random"`, each by itself, as in the paper. Each letter changes with the same probability, and in the
    limit of many steps both sample the model's distribution. With few steps the joint distributions of the letters
    differ, and only `"random"` samples the process in T steps that a bound in T steps is of."""
)
"""The parameter `order` of generators whose letters may change several times."""


class Weights:
    """Weights of `sample_weight`, one for each sequence read; 0 is as if it had not been given.

    Parameters
    ----------
    given : array-like of shape (n,), "balanced" or None
    """

    def __init__(self, given: WeightsLike) -> None:
        self.balanced = isinstance(given, str) and given == "balanced"
        self.all: np.ndarray | None = None
        if given is None or self.balanced:
            return
        where, wanted = argument("sample_weight"), "one number of at least 0 for each sequence, 'balanced' or None"
        if isinstance(given, (str, bytes, Mapping, set)) or np.ndim(given) != 1:
            found = shown(given, 40) if np.ndim(given) == 0 else f"shape {np.shape(given)}"
            raise InputError(where, found, wanted, "give a list or an array")
        try:
            weights = np.asarray(given)
            weights = weights.astype(np.float64) if weights.dtype.kind in "biuf" else np.array(weights.tolist(), float)
        except (TypeError, ValueError, OverflowError):
            raise InputError(where, "entries that are no numbers", wanted, "correct them") from None
        odd = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
        if len(odd):
            raise InputError(f"{where}[{odd[0]}]", f"{weights[odd[0]]:g}", wanted, "correct it")
        if not weights.any():
            raise InputError(where, f"{len(weights)} zeros", wanted, "give some sequences a weight above 0")
        self.all = weights / weights.max()  # their sum might overflow

    def chosen(self, n: int) -> np.ndarray | None:
        """Return which of n sequences count at all, booleans (n,); None for all."""
        if self.all is None:
            return None
        if len(self.all) != n:
            found, wanted = f"shape ({len(self.all)},)", f"one weight for each of {n} sequences"
            raise InputError(argument("sample_weight"), found, wanted, "give as many")
        return self.all > 0

    def of(self, data: Dataset | StoredData, kind: TargetLike) -> np.ndarray | None:
        """Return the weights (N,) of a data set's rows, scaled to a mean of 1; None where all are alike."""
        if self.balanced:
            return self._of_classes(data, kind)
        if self.all is None:
            return None
        weights = self.all[data.kept]
        return None if (weights == weights[0]).all() else weights / weights.mean()

    def _of_classes(self, data: Dataset | StoredData, kind: TargetLike) -> np.ndarray | None:
        """Return weights by which every class counts as much as any other; a row without a label counts 1."""
        target = None if data.y is None else learn_target(data.y, kind)
        if target is None or target.kind != "class":
            found = "no labels" if target is None else f"labels that are a {target.kind}"
            found = "several columns of labels" if target is not None and target.kind == "columns" else found
            raise InputError(
                argument("sample_weight", "balanced"),
                found,
                "classes",
                "give labels of these, or an array of weights",
            )
        codes = class_codes(target, data.y)[0]
        counts = np.bincount(codes[codes >= 0])
        weights = np.where(codes >= 0, (codes >= 0).sum() / (len(counts) * counts[codes]), 1.0)
        return None if (weights == weights[0]).all() else weights / weights.mean()


class SequenceEstimator(LearningParameters, BaseEstimator):
    """An estimator whose X is a list of strings: how it reads them, its network, and where it runs."""

    alphabet: str | Alphabet = parameter(
        "auto", Parameter(kind='{"auto", "dna", "rna", "protein", "words", "bpe", "smiles"}, str or Alphabet')
    ).doc(
        'The letters, or all of them in one string. `"auto"` recognises DNA, RNA, proteins and images; '
        "`Levels(64)` are as many levels of images."
    )
    ambiguous: str = parameter("error", Choice(("error", "drop"))).doc(
        "What to do with sequences that hold IUPAC ambiguity codes such as N: refuse or drop them."
    )
    gaps: str = parameter("error", Choice(("error", "drop"))).doc(
        "What to do with the gaps - and . of aligned sequences: refuse them or take them out."
    )
    sequence_column: str | None = parameter(None, Parameter(kind="str")).doc(
        "The column of a table that holds the sequences."
    )
    network: NetworkLike = parameter(
        "conv", Parameter(kind='{"conv", "transformer", "bytenet", "linear-transformer", "unet"} or callable')
    ).doc(
        """The neural network, `"unet"` for images; in the size of a paper `"transformer-tiny"`, `"transformer-small"`,
        `"transformer-medium"`, `"bytenet-carp"` or `"conv-dirichlet"`; `"transformer-udlm"` is that of published UDLM
        models. A callable is called with ``states, letters, length, conditions, fixed_length`` and what it takes of the
        options."""
    )
    width: int | None = parameter(None, Whole(1, 100_000)).doc(
        """Channels of the network. None is the network's own number: conv 64, transformer 128, bytenet 128,
        linear-transformer 512, unet 64."""
    )
    depth: int | None = parameter(None, Whole(1, 10_000)).doc(
        """Blocks of the network, of unet those at each size. None is the network's own number: conv 6, transformer 4,
        bytenet 8, linear-transformer 12, unet 2."""
    )
    dropout: float | None = parameter(None, Real(0, 0.999, optional=True)).doc(
        """Share of the network's channels left out at random in training, against overfitting. None is the network's
        own: conv 0.03, transformer, bytenet and unet 0.1, linear-transformer 0."""
    )
    network_options: Mapping[str, Any] | None = parameter(None, Options()).doc(
        """Further options of the network by name, such as ``{"kernel": 5}``: conv has `kernel` and `dilations`,
        transformer `heads` and `context_width`, bytenet `kernel` and `context_width`, linear-transformer `heads`,
        `local_heads` and `local_size`, unet `halvings`, `heads` and `context_width`. For long sequences the first three
        have ``"checkpointing": True`` (training takes less memory, most of all in deep networks, and a quarter more
        time, with the same results) and ``"positions": False`` (no learned vectors and biases of places, where a place
        means nothing, as in genomes)."""
    )
    random_state: SeedLike = parameter(0, Seed()).doc(
        "Seed of weights, batches and noise. What None or a generator of numbers gave is kept in `fit_seed_`."
    )
    device: str = parameter("auto", Parameter(kind="str")).doc(
        '`"auto"` takes a GPU where there is one; or `"cpu"`, `"cuda"`, `"mps"`.'
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Parameters of `preset`, by its name."""

    @classmethod
    def preset(cls, name: str, **parameters: Any) -> Any:
        """Return an estimator with the parameters of a preset, measured settings that are not the defaults.

        Parameters
        ----------
        name : str
            One of the class's `presets`.
        **parameters
            Parameters of the estimator; they replace those of the preset.

        Returns
        -------
        SequenceEstimator

        Raises
        ------
        InputError
            If the class has no preset of this name.

        Examples
        --------
        >>> from seqdiff import MaskedDiffusion
        >>> MaskedDiffusion.preset("long", length=50).epochs
        200
        """
        return cls(**{**cls.preset_parameters(name), **parameters})

    @classmethod
    def preset_parameters(cls, name: str) -> dict[str, Any]:
        """Return the parameters of a preset, or raise an `InputError`."""
        if name not in cls.presets:
            wanted = f"one of {listed(sorted(cls.presets))}" if cls.presets else f"none: {cls.__name__} has no presets"
            raise InputError(argument("preset"), shown(name), wanted, "leave it out, or set the parameters one by one")
        return dict(cls.presets[name])

    @property
    def reading(self) -> dict[str, Any]:
        """Return how sequences are read, as arguments of `data.prepare`."""
        return {"ambiguous": self.ambiguous, "gaps": self.gaps, "sequence_column": self.sequence_column}

    def _draw_seed(self) -> None:
        """Set the seed of a fit; where `random_state` is a whole number, that itself."""
        self.fit_seed_ = check_seed(self.random_state)

    def _seed(self) -> int:
        """Return the seed of the fit, or, before one, that of `random_state`, a whole number."""
        return self.fit_seed_ if hasattr(self, "fit_seed_") else check_seed(self.random_state)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags
