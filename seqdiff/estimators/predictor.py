"""`SequenceClassifier` and `SequenceRegressor`: what sequences are like, also when a generator has noised them.

A guide is asked about states that no clean sequence looks like. With ``noise_like=model`` a predictor learns from
exactly the noise, the times or the event counts that the model's sampler will show it, and from prefixes where the
model writes letter by letter.
"""

from __future__ import annotations

import copy
import logging
import numbers
import os
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqdiff import runtime
from seqdiff.data import Dataset, LengthLaw, class_codes, hold_out, prepare
from seqdiff.data.target import Target
from seqdiff.errors import shown
from seqdiff.estimators.encoding import encode_batch
from seqdiff.estimators.parameters import DATA, NETWORK, RUN
from seqdiff.estimators.predictor_files import PredictorFiles
from seqdiff.estimators.strings import OfStrings
from seqdiff.networks import Conditions, Network, build_network
from seqdiff.parameters import Parameter, Switch, check_parameters, document
from seqdiff.processes import Autoregressive, Clean, Process
from seqdiff.training import Batch, Settings, Trainer
from seqdiff.training.predicting import (
    Categories,
    HiddenHead,
    HiddenPrefixReader,
    HiddenReader,
    Law,
    PrefixReader,
    Reader,
    Values,
)

logger = logging.getLogger(__name__)

TRAINING = Settings.parameters()
READERS = {(False, False): Reader, (True, False): PrefixReader, (False, True): HiddenReader,
           (True, True): HiddenPrefixReader}  # fmt: skip
"""By whether the generator writes letter by letter, and whether its hidden states are read."""


class SequencePredictor(PredictorFiles, OfStrings):
    """What `SequenceClassifier` and `SequenceRegressor` share."""

    parameters: ClassVar[Mapping[str, Parameter]] = {
        "noise_like": Parameter(kind="generator").doc(
            """A fitted generator, which is not changed: learn from its noise, to guide it. None learns from clean
            sequences."""
        ),
        "hidden": Switch().doc(
            """Whether to read that generator's last hidden states, as `PPLM` and `NOS` want it, instead of its noised
            sequences."""
        ),
        **{name: DATA[name] for name in ("alphabet", "ambiguous", "sequence_column")},
        **NETWORK,
        **{name: TRAINING[name] for name in ("batch_size", "lr", "weight_decay")},
        "epochs": TRAINING["epochs"].doc("None: as many as make about {batches} batches, at most 400."),
        **RUN,
    }
    batches: ClassVar[int] = 1000
    kind: ClassVar[str]
    reader_: Reader
    head_: Any
    body_: Any

    def __init__(
        self,
        *,
        noise_like: Any = None,
        hidden: bool = False,
        alphabet: Any = "auto",
        network: Any = "conv",
        width: int = 32,
        depth: int = 2,
        dropout: float | None = None,
        network_options: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        batch_size: int = 64,
        lr: float = 3e-3,
        weight_decay: float = 0.01,
        ambiguous: str = "error",
        sequence_column: str | None = None,
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.noise_like = noise_like
        self.hidden = hidden
        self.alphabet = alphabet
        self.network = network
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.network_options = network_options
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.ambiguous = ambiguous
        self.sequence_column = sequence_column
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        document(cls)

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted copy with the same generator: what a clone would take from it is that it is fitted."""
        return type(self)(**self.get_params(deep=False))

    # -- what the two differ by ---------------------------------------------------------------------------------------

    def _law(self) -> Law:
        raise NotImplementedError

    def _learned(self) -> None:
        """Set what people look for once all is known; by default nothing."""

    # -- fit ----------------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, *, validation: float | None = 0.1) -> Any:
        """Learn from labelled sequences.

        Parameters
        ----------
        X, y
            As of a generator's `fit`; rows whose label is missing are left out.
        validation : float or None
            Share of the rows to hold out; the best weights by them are kept.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data is not as it should be.
        """
        check_parameters(self)
        self._draw_seed()
        if not isinstance(validation, (numbers.Real, type(None))):
            raise ValueError(f"validation is a {type(validation).__name__}; give a share of the rows, or None")
        generator = self._generator()
        data = prepare(
            X,
            y,
            alphabet=self.alphabet if generator is None else generator.alphabet_,
            ambiguous=self.ambiguous,
            sequence_column=self.sequence_column,
            target=self.kind,
        )
        for note in data.notes:
            runtime.say(logger, note, self.verbose)
        if data.y is None:
            raise ValueError("y is missing; give a label for each sequence")
        target = Target().fit(data.y, self.kind)
        if target.n_columns != 1:
            raise ValueError(f"y has {target.n_columns} columns, but a {type(self).__name__} learns one; give that")
        if self.kind == "class" and any(isinstance(c, float) and c % 1 for c in target.classes_):
            warnings.warn(
                f"y holds decimal numbers, of which {len(target.classes_)} different ones become classes; "
                "a SequenceRegressor takes them for values",
                stacklevel=2,
            )
        if self.kind == "class" and len(target.classes_) < 2:
            raise ValueError(f"every label is {target.classes_[0]!r}; give two classes or more")
        law = LengthLaw.fit(data.lengths) if generator is None else generator.length_law_
        self._check_lengths(data, law)
        self.alphabet_, self.length_law_, self.target_ = data.alphabet, law, target
        self.process_ = (  # a copy: learned vectors in it are the generator's, and stay its
            Clean(len(data.alphabet)) if generator is None else copy.deepcopy(generator.objective_.process)
        ).requires_grad_(False)
        device = runtime.choose_device(self.device) if generator is None else _device_of(generator)
        batch = encode_batch(data, law.max_length, device, target)
        assert batch.cond is not None
        batch = batch.take(batch.cond["keep"])
        share = float(validation or 0)
        train, valid = batch, None
        if share and len(batch) > 1:
            labelled = data.take(target.encode(data.y)["keep"])
            kept, held, _ = hold_out(labelled, share, self._seed(), class_codes(target, labelled.y))
            train, valid = (batch.take(torch.from_numpy(rows).to(device)) for rows in (kept, held))
            valid = valid if len(held) else None
        reader = runtime.place(self._build(generator), device)
        trainer = Trainer(reader, train, valid, self._settings(len(train)))
        trainer.fit()
        reader.load_state_dict(trainer.best_state())
        self.reader_ = reader.requires_grad_(False).eval()
        self.evaluations_ = trainer.evaluations
        self._learned()
        return self

    def _generator(self) -> Any:
        """Return the model whose noise to learn from, or None."""
        model = self.noise_like
        if model is None:
            if self.hidden:
                raise ValueError(
                    "hidden=True reads a generator's hidden states, but noise_like is None; give the model"
                )
            return None
        process = getattr(getattr(model, "objective_", None), "process", None)
        if not isinstance(process, Process):
            if isinstance(model, (str, os.PathLike)):
                path = os.fspath(model)
                raise ValueError(
                    f"noise_like is {shown(path)}; give a fitted generator, such as seqdiff.load({path!r})"
                )
            unfitted = " that is not fitted" if hasattr(model, "generate") else ", which writes no sequences"
            raise ValueError(f"noise_like is a {type(model).__name__}{unfitted}; give a fitted generator, or None")
        if self.hidden and not isinstance(model.objective_.network, Network):
            raise ValueError("hidden=True needs a network with hidden states; give a model with one of seqdiff's")
        return model

    def _check_lengths(self, data: Dataset, law: LengthLaw) -> None:
        if (data.lengths > law.max_length).any():
            raise ValueError(
                f"X has a sequence of {data.lengths.max()} letters, but at most {law.max_length} are known; "
                "leave longer ones out"
            )

    def _build(self, generator: Any) -> Reader:
        process, law = self.process_, self._law()
        writes = isinstance(process, Autoregressive)
        self.law_, self.head_, self.body_ = law, None, None
        with runtime.seeded_weights(self._seed()):
            if self.hidden:
                network: nn.Module = HiddenHead(generator.objective_.network, hidden_width(generator), law.outputs)
                self.head_, self.body_ = network, generator.objective_.network
            else:
                network = build_network(
                    self.network,
                    {"width": self.width, "depth": self.depth, "dropout": self.dropout}
                    | ({"causal": True} if writes else {}),
                    self.network_options,
                    states=shown_states(process),
                    letters=law.outputs,
                    length=self.length_law_.max_length,
                    conditions=Conditions(),
                    fixed_length=self.length_law_.fixed,
                )
        return READERS[writes, self.hidden](process, network, law)

    def _settings(self, n: int) -> Settings:
        return Settings(
            epochs=self.epochs or min(max(1, round(self.batches * self.batch_size / n)), 400),
            batch_size=self.batch_size,
            lr=self.lr,
            lr_schedule="cosine",
            warmup=20,
            weight_decay=self.weight_decay,
            ema=0.99,
            label_dropout=0.0,
            precision="float32",
            seed=self._seed(),
            verbose=self.verbose,
        )

    # -- what guides ask ----------------------------------------------------------------------------------------------

    def encode(self, y: Any) -> Tensor:
        """Return what is wanted, (1,) for one label or value, else (n,): numbers of classes, or standard units.

        Raises
        ------
        ValueError
            If a label is missing or unknown.
        """
        check_is_fitted(self, "reader_")
        coded = self.target_.encode(y, n=1 if np.ndim(y) == 0 else None)
        if not coded["keep"].all():
            raise ValueError("y has a missing label; say what is wanted of each sequence")
        if self.kind == "class":
            return torch.from_numpy(coded["label"])
        return torch.from_numpy(self._within_reach(coded["value"][:, 0]))

    def _within_reach(self, wanted: np.ndarray) -> np.ndarray:
        """Return wanted values (n,), in standard units, no further beyond those learned from than these span.

        Beyond, the predicted width of errors grows to explain them, and a guide would follow that instead of the mean.
        """
        span = self.target_.range_
        known = np.array([-3.0, 3.0]) if span is None else (span[:, 0] - self.target_.mean_) / self.target_.scale_
        low, high, reach = float(known[0]), float(known[1]), max(float(known[1] - known[0]), 1.0)
        within = np.clip(wanted, low - reach, high + reach)
        if (far := np.flatnonzero(within != wanted)).size:
            unit = lambda z: float(z * self.target_.scale_[0] + self.target_.mean_[0])  # noqa: E731
            learned = f"the values learned from, {unit(low):g} to {unit(high):g}; {unit(within[far[0]]):g}"
            warnings.warn(f"y={unit(wanted[far[0]]):g} is far from {learned} is wanted instead", stacklevel=4)
        return within.astype(np.float32)

    def log_likelihood(self, x: Tensor, t: Tensor, mask: Tensor, wanted: Tensor) -> Tensor:
        """Return log p(wanted | x_t), (B,) nats, of what `Process.reading` shows of a state."""
        return self.reader_.log_likelihood(x, t, mask, wanted)

    # -- what people ask ----------------------------------------------------------------------------------------------

    def _predicted(self, X: Any) -> np.ndarray:
        """Return classes' probabilities (n, C), or values (n,) in standard units, of sequences as they are."""
        check_is_fitted(self, "reader_")
        data = prepare(X, alphabet=self.alphabet_, ambiguous=self.ambiguous, sequence_column=self.sequence_column)
        self._check_lengths(data, self.length_law_)
        device = next(self.reader_.parameters()).device
        batch: Batch = encode_batch(data, self.length_law_.max_length, device)
        found = []
        with torch.no_grad():
            for first in range(0, len(batch), runtime.CHUNK):
                part = batch.take(slice(first, first + runtime.CHUNK))
                found.append(self.reader_.predicted(part.x0, part.mask).cpu().numpy())
        return np.concatenate(found)


def shown_states(process: Process) -> int:
    """Return how many values a letter, or numbers a vector, has in what `Process.reading` shows."""
    one = torch.ones(1, 1, dtype=torch.bool, device=next(iter(process.buffers()), torch.zeros(0)).device)
    if isinstance(process, Autoregressive):
        return process.letters + process.ends
    state = process.settled(torch.zeros(1, 1, dtype=torch.long, device=one.device), one)
    shown, _ = process.reading(state)
    return shown.shape[-1] if shown.is_floating_point() else process.states


def hidden_width(generator: Any) -> int:
    """Return the width of a generator's hidden states."""
    process, device = generator.objective_.process, _device_of(generator)
    one = torch.ones(1, 1, dtype=torch.bool, device=device)
    x0 = torch.zeros(1, 1, dtype=torch.long, device=device)
    if isinstance(process, Autoregressive):
        x, t = x0, torch.zeros(1, device=device)
    else:
        x, t = process.network_input(process.settled(x0, one))
    with torch.no_grad():
        return generator.objective_.network.hidden(x, t, None, one).shape[-1]


def _device_of(generator: Any) -> torch.device:
    return next(generator.objective_.parameters()).device


class SequenceClassifier(ClassifierMixin, SequencePredictor):
    """Tell the classes of sequences.

    Attributes
    ----------
    classes_ : ndarray
        Sorted.
    evaluations_ : dict of lists
        "bound" is the cross-entropy of held-out sequences in nats, averaged over the noise; not kept in a file.

    Examples
    --------
    >>> from seqdiff import SequenceClassifier
    >>> X, y = ["ACGTAC", "ACGTTC", "TTTTAC", "TTTTAG"] * 5, ["acgt", "acgt", "t", "t"] * 5
    >>> classifier = SequenceClassifier(epochs=20).fit(X, y)
    >>> classifier.predict(["ACGTAA"]).tolist(), classifier.predict_proba(["ACGTAA"]).shape
    (['acgt'], (1, 2))
    """

    kind = "class"

    def _learned(self) -> None:
        self.classes_ = np.array(self.target_.classes_)

    def _law(self) -> Law:
        return Categories(len(self.target_.classes_))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the classes' probabilities (n, C) of sequences as they are, in the order of `classes_`."""
        return self._predicted(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest class of each sequence, (n,)."""
        p = self.predict_proba(X)
        return self.classes_[p.argmax(-1)]


class SequenceRegressor(RegressorMixin, SequencePredictor):
    """Predict a number of sequences, and how far off the prediction may be.

    What a guide takes from it is the normal law around the prediction, as wide as the prediction's own errors.

    Attributes
    ----------
    evaluations_ : dict of lists
        "bound" is minus the log-density of held-out values in nats (in standard units), averaged over the noise; not
        kept in a file.

    Examples
    --------
    >>> from seqdiff import SequenceRegressor
    >>> X = ["AAAA", "AATA", "TTAT", "TTTT", "ATAT", "TTTA"] * 5
    >>> regressor = SequenceRegressor(epochs=30).fit(X, [s.count("A") / 2 for s in X])
    >>> bool(abs(regressor.predict(["ATTA"])[0] - 1) < 0.3)
    True
    """

    kind = "value"

    def _law(self) -> Law:
        return Values()

    def predict(self, X: Any) -> np.ndarray:
        """Return the expected value of each sequence, (n,), in the unit of the y that was fitted."""
        return self._predicted(X).astype(float) * self.target_.scale_[0] + self.target_.mean_[0]
