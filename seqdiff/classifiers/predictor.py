"""`SequenceClassifier` and `SequenceRegressor`: labels of sequences, clean or noised by a generator.

A guide evaluates its classifier on noised sequences. With ``noise_like=model`` a predictor is trained on the noise, the
times or the event counts that occur in the model's sampler, and on prefixes where the model writes letter by letter.
"""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Callable, Container, Iterator
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqdiff import runtime
from seqdiff.classifiers.readers import (
    Categorical,
    HiddenHead,
    HiddenPrefixReader,
    HiddenReader,
    LabelDistribution,
    Normal,
    PrefixReader,
    Reader,
)
from seqdiff.data import Alphabet, Dataset, LengthDistribution, Target, class_codes, hold_out, prepare
from seqdiff.data.split import share_of
from seqdiff.errors import InputError, argument, of_kind, shown, warn
from seqdiff.estimators.base import GeneratorBase
from seqdiff.estimators.loading import load_estimator, plain_parameters
from seqdiff.estimators.parameters import SequenceEstimator
from seqdiff.files import ModelFile, checked_path, tensors_digest, write_file
from seqdiff.inputs import LabelsLike, SequencesLike, is_one
from seqdiff.model import SequenceModel, Vocabulary
from seqdiff.networks import Conditions, Network, build_network
from seqdiff.parameters import Parameter, Switch, Whole, check_parameters, document, parameter
from seqdiff.processes import Clean, Process
from seqdiff.runs import SAMPLING
from seqdiff.training import Settings, Trainer

logger = logging.getLogger(__name__)
P = TypeVar("P", bound="SequencePredictor")
NO_NOISE = SAMPLING | {"time_sampling"}
"""Settings of generators that are not their noise."""
LATER = {"block_size": None}
"""Values, of settings that earlier versions did not have, with which the noise is theirs."""

READERS = {(False, False): Reader, (True, False): PrefixReader, (False, True): HiddenReader,
           (True, True): HiddenPrefixReader}  # fmt: skip
"""By whether the generator writes letter by letter, and whether its hidden states are read."""


class SequencePredictor(SequenceEstimator):
    """Common base of `SequenceClassifier` and `SequenceRegressor`."""

    defaults = {"width": 32, "depth": 2, "batch_size": 64, "verbose": 0}
    noise_like: GeneratorBase | None = parameter(None, Parameter(kind="generator")).doc(
        "A fitted generator, which is not changed: train on its noise, to guide it. None trains on clean sequences."
    )
    hidden: bool = parameter(False, Switch()).doc(
        "Whether to read that generator's last hidden states, for `PPLM` and `NOS`, instead of noised sequences."
    )
    epochs: int | None = parameter(None, Whole(1, 10_000_000)).doc(
        "None: as many as make about {batches} batches, at most 400."
    )
    batches: ClassVar[int] = 1000
    kind: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        document(cls)

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted copy with the same generator, of which a clone would not be fitted."""
        return type(self)(**self.get_params(deep=False))

    def distribution(self, target: Target) -> LabelDistribution:
        """Return the distribution of labels given a network's outputs."""
        raise NotImplementedError

    def check_target(self, target: Target) -> None:
        """Raise an `InputError` if the labels cannot be learned."""
        if target.n_columns != 1:
            wanted = f"one, as a {type(self).__name__} learns one"
            raise InputError(argument("y"), f"{target.n_columns} columns", wanted, "give that")

    # -- fit ----------------------------------------------------------------------------------------------------------

    def fit(self, X: SequencesLike, y: LabelsLike, *, validation: float | None = 0.1) -> Any:
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
        InputError
            If a parameter or the data is not as it should be.
        """
        check_parameters(self)
        self._draw_seed()
        share = 0.0 if validation is None else share_of("validation", validation)
        generator = self._generator()
        data = prepare(
            X,
            y,
            alphabet=self.alphabet if generator is None else generator.alphabet,
            **self.reading,
            target=self.kind,
        )
        for note in data.notes:
            runtime.say(logger, note, self.verbose)
        if data.y is None:
            raise InputError(argument("y"), "None", "a label for each sequence", "give them")
        target = Target().fit(data.y, self.kind)
        self.check_target(target)
        lengths = LengthDistribution.fit(data.lengths) if generator is None else generator.lengths
        vocabulary = Vocabulary(data.alphabet, lengths, target)
        self._check_lengths(data, lengths)
        process = copy.deepcopy(generator.process) if generator is not None else Clean(len(data.alphabet))
        device = runtime.choose_device(self.device) if generator is None else generator.device
        batch = vocabulary.batch(data, device)
        assert batch.cond is not None
        batch = batch.take(batch.cond["keep"])
        train, valid = batch, None
        if share and len(batch) > 1:
            labelled = data.take(target.encode(data.y)["keep"])
            kept, held, _ = hold_out(labelled, share, self._seed(), class_codes(target, labelled.y))
            train, valid = (batch.take(torch.from_numpy(rows).to(device)) for rows in (kept, held))
            valid = valid if len(held) else None
        # the process is a copy: learned vectors in it are the generator's, and must not change
        reader = runtime.place(self.build(vocabulary, process.requires_grad_(False), generator), device)
        trainer = Trainer(reader, train, valid, self._settings(len(train)))
        trainer.fit()
        reader.load_state_dict(trainer.best_state())
        self.evaluations_ = trainer.evaluations
        self._adopt(reader, vocabulary, generator)
        return self

    def _generator(self) -> SequenceModel | None:
        """Return the model whose noise is the training noise, or None."""
        given, where = self.noise_like, argument("noise_like")
        if given is None:
            if self.hidden:
                wanted = f"a generator whose hidden states {argument('hidden', True)} reads"
                raise InputError(where, "None", wanted, "give the model")
            return None
        if not isinstance(getattr(given, "model_", None), SequenceModel):
            found = of_kind(given) + (" that is not fitted" if hasattr(given, "generate") else "")
            cure = "give a model, or None"
            if isinstance(given, (str, os.PathLike)):
                found, cure = shown(os.fspath(given)), f"give seqdiff.load({os.fspath(given)!r})"
            raise InputError(where, found, "a fitted generator", cure)
        model = given.fitted()
        if model.process.classifier_reads is None:
            wanted = "a generator with noise"
            raise InputError(where, f"a {model.name}, which has no noise", wanted, "give its teacher")
        if self.hidden and not isinstance(model.network, Network):
            wanted = f"for {argument('hidden', True)} one with hidden states, as seqdiff's networks have them"
            raise InputError(where, "a model with a network of your own", wanted, "give another model")
        return model

    def _check_lengths(self, data: Dataset, known: LengthDistribution) -> None:
        if (data.lengths > known.max_length).any():
            found, wanted = f"a sequence of {data.lengths.max()} letters", f"at most {known.max_length}, as are known"
            raise InputError(argument("X"), found, wanted, "leave longer ones out")

    def build(self, vocabulary: Vocabulary, process: Process[Any], generator: SequenceModel | None) -> Reader:
        """Return an untrained reader of the states of a process.

        `vocabulary` holds letters, lengths and labels; the weights of `generator` are read for hidden states alone.
        """
        assert isinstance(vocabulary.target, Target)
        distribution, writes = self.distribution(vocabulary.target), process.classifier_reads == "prefixes"
        with runtime.seeded_weights(self._seed()):
            if self.hidden and generator is not None:
                network: nn.Module = HiddenHead(generator.network, hidden_width(generator), distribution.outputs)
            else:
                network = build_network(
                    self.network,
                    {"width": self.width, "depth": self.depth, "dropout": self.dropout}
                    | ({"causal": True} if writes else {})
                    | vocabulary.layout,
                    self.network_options,
                    states=process.reading_states,
                    letters=distribution.outputs,
                    **vocabulary.sizes | {"conditions": Conditions()},
                )
        return READERS[writes, self.hidden](process, network, distribution)

    def _adopt(self, reader: Reader, vocabulary: Vocabulary, generator: SequenceModel | None) -> None:
        """Set the fitted attributes."""
        self.reader_, self.vocabulary_ = reader.requires_grad_(False).eval(), vocabulary
        self.noise_digest_ = None if generator is None else noise_digest(generator, self.hidden)

    @property
    def alphabet_(self) -> Alphabet:
        return self.vocabulary_.alphabet

    @property
    def length_distribution_(self) -> LengthDistribution:
        return self.vocabulary_.lengths

    @property
    def target_(self) -> Target:
        target = self.vocabulary_.target
        assert isinstance(target, Target)
        return target

    @property
    def process_(self) -> Process[Any]:
        """The process of the noise in training."""
        return self.reader_.process

    @property
    def head_(self) -> HiddenHead | None:
        """The network on the generator's hidden states, with `hidden`."""
        return self.reader_.network if isinstance(self.reader_.network, HiddenHead) else None

    @property
    def body_(self) -> Network | None:
        """The generator's network, with `hidden`."""
        return None if self.head_ is None else self.head_.body

    def _settings(self, n: int) -> Settings:
        return Settings(
            epochs=self.epochs or min(max(1, round(self.batches * int(self.batch_size) / n)), 400),
            batch_size=int(self.batch_size),
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

    # -- files --------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted predictor to one safetensors file; the generator is no part of it."""
        check_is_fitted(self, "reader_")
        header = {
            "class": type(self).__name__,
            "module": type(self).__module__,
            "parameters": plain_parameters(self, leave_out="noise_like"),
            "noise": type(self.process_).__name__,
            "noise_digest": self.noise_digest_,
            **{k: v for k, v in self.vocabulary_.to_dict().items() if k not in ("n_train", "unlabelled")},
        }
        tensors = {f"network.{name}": value for name, value in self.reader_.network.state_dict().items()}
        write_file(checked_path(path), header, tensors)

    @classmethod
    def load(
        cls: type[P],
        path: str | os.PathLike[str],
        *,
        noise_like: GeneratorBase | None = None,
        network: Callable[..., nn.Module] | None = None,
        device: str = "auto",
    ) -> P:
        """Read a predictor that `save` wrote.

        Parameters
        ----------
        path : path
        noise_like : generator, optional
            The fitted generator that it was trained with, as it was given to `fit`; None if there was none.
        network : callable, optional
            The network, if it was a function.
        device : str
            Where to put it, without a generator; else it lies where that does.

        Returns
        -------
        SequenceClassifier or SequenceRegressor

        Raises
        ------
        InputError
            If the file holds something else, or `noise_like` is not the generator of its training: another kind,
            other letters or lengths, other noise, or, with `hidden`, other weights.

        Examples
        --------
        >>> from seqdiff import MaskedDiffusion, SequenceClassifier
        >>> X, y = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"]
        >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
        >>> SequenceClassifier(noise_like=model, epochs=1).fit(X, y).save("classifier.safetensors")
        >>> SequenceClassifier.load("classifier.safetensors", noise_like=model).classes_.tolist()
        ['ac', 'tt']
        """
        file = ModelFile.find(path, f"a file that {cls.__name__}.save wrote")
        if file.generates:
            found = f"a {file.header['class']}"
            raise InputError(str(path), found, f"a {cls.__name__}", "read it with seqdiff.load")

        def restore(predictor: SequencePredictor, tensors: dict[str, Tensor]) -> None:
            vocabulary = Vocabulary.from_dict(file.header)
            generator = predictor._generator_of(file, vocabulary)
            process = Clean(len(vocabulary.alphabet)) if generator is None else generator.process
            reader = predictor.build(vocabulary, process, generator)
            weights = {n.removeprefix("network."): v for n, v in tensors.items() if n.startswith("network.")}
            file.fill(reader.network, weights)
            place = runtime.choose_device(device) if generator is None else generator.device
            predictor._adopt(runtime.place(reader, place), vocabulary, generator)

        return load_estimator(file, SequencePredictor, cls, restore, network, noise_like=noise_like)

    def _generator_of(self, file: ModelFile, vocabulary: Vocabulary) -> SequenceModel | None:
        """Return the generator that the predictor of a file was trained with; None if there was none."""
        generator, header, where = self._generator(), file.header, argument("noise_like")
        of, clean = f"for {file.given}", header["noise"] == Clean.__name__
        if generator is None:
            if clean:
                return None
            wanted = f"the generator with the noise of {header['noise']} {of}"
            raise InputError(where, "None", wanted, f"{header['class']}.load(path, noise_like=model)")
        found, cure = f"a {generator.name}", "give the model that it was trained with"
        if clean:
            raise InputError(where, found, f"None {of}, which was trained on clean sequences", "leave it out")
        process, digest, body = generator.process, header.get("noise_digest"), header.get("body")
        own, known = generator.alphabet, vocabulary.alphabet
        longest, known_longest = generator.lengths.max_length, vocabulary.lengths.max_length
        if header["noise"] not in {kind.__name__ for kind in _family(_noise_class(process))}:  # it names a sampler's
            found, wanted = f"{found} with that of {type(process).__name__}", f"the noise of {header['noise']} {of}"
        elif own != known:
            found, wanted = f"{found} of {own.name} letters ({len(own)})", f"one of {known.name} ({len(known)}) {of}"
        elif longest != known_longest:
            found, wanted = f"{found} of up to {longest} letters", f"one of up to {known_longest} {of}"
        # files of earlier versions have no digest, or one of the network alone, "body"
        elif (digest is not None and digest not in noise_digests(generator, self.hidden, header["noise"])) or (
            body is not None and body != tensors_digest(generator.network.state_dict())
        ):
            found = f"{found} with other {'weights' if self.hidden else 'noise'}"
            wanted = f"the generator that {file.given} was trained with"
        else:
            return generator
        raise InputError(where, found, wanted, cure)

    # -- for guides ---------------------------------------------------------------------------------------------------

    def encode(self, y: LabelsLike) -> Tensor:
        """Return class numbers, or values in standard units: (1,) for one label or value, else (n,).

        Raises
        ------
        InputError
            If a label is missing or unknown.
        """
        check_is_fitted(self, "reader_")
        coded = self.target_.encode(y, n=1 if is_one(y) else None)
        if not coded["keep"].all():
            raise InputError(argument("y"), "a missing label", "one for each sequence", "fill it in")
        if self.kind == "class":
            return torch.from_numpy(coded["label"])
        return torch.from_numpy(self._within_reach(coded["value"][:, 0]))

    def _within_reach(self, wanted: np.ndarray) -> np.ndarray:
        """Return wanted values (n,), in standard units, no further outside the training values than these span.

        Further out, the predicted standard deviation grows to explain them, and a guide would follow it instead of the
        mean.
        """
        span = self.target_.range_
        known = np.array([-3.0, 3.0]) if span is None else (span[:, 0] - self.target_.mean_) / self.target_.scale_
        low, high, reach = float(known[0]), float(known[1]), max(float(known[1] - known[0]), 1.0)
        within = np.clip(wanted, low - reach, high + reach)
        if (far := np.flatnonzero(within != wanted)).size:
            unit = lambda z: float(z * self.target_.scale_[0] + self.target_.mean_[0])  # noqa: E731
            known = f"the training values, {unit(low):g} to {unit(high):g}"
            warn(f"{argument('y')}: {unit(wanted[far[0]]):g} is far from {known}; {unit(within[far[0]]):g} is taken")
        return within.astype(np.float32)

    def log_likelihood(self, x: Tensor, t: Tensor, mask: Tensor, wanted: Tensor) -> Tensor:
        """Return log p(wanted | x_t), (B,) nats.

        x and t are what `Process.reading` returns, `mask` (B, L) is True at real positions, `wanted` has B labels.
        """
        return self.reader_.log_likelihood(x, t, mask, wanted)

    # -- for users ----------------------------------------------------------------------------------------------------

    def embed(self, X: SequencesLike) -> np.ndarray:
        """Return the network's last hidden states, averaged over the positions of each sequence, (n, D).

        With `hidden` they are the generator's.

        Raises
        ------
        InputError
            If the network is one of your own without the method `hidden`.

        Examples
        --------
        >>> from seqdiff import SequenceRegressor
        >>> regressor = SequenceRegressor(epochs=1, width=8).fit(["AAAA", "AATA", "TTAT"], [0.0, 1.0, 2.0])
        >>> regressor.embed(["AAAT", "TTTT"]).shape
        (2, 8)
        """
        check_is_fitted(self, "reader_")
        if not hasattr(self.reader_.network, "hidden"):
            wanted = "one with the method hidden, as seqdiff's networks have it"
            raise InputError(argument("network"), of_kind(self.reader_.network), wanted, "give another network")
        return self._read(X, self.reader_.embedding)

    def _predicted(self, X: SequencesLike, read: str = "mean") -> np.ndarray:
        """Return what the method `read` of the distribution of labels says of each sequence, (n, ...).

        Of classes their probabilities (n, C), of values the expected ones (n,) in standard units.
        """
        check_is_fitted(self, "reader_")
        of_totals = getattr(self.reader_.distribution, read)
        return self._read(X, lambda x0, mask: of_totals(*self.reader_.totals(x0, mask)))

    def _read(self, X: SequencesLike, read: Callable[[Tensor, Tensor], Tensor]) -> np.ndarray:
        """Return what a function of letters (B, L) and mask returns of all sequences, (n, ...)."""
        data = prepare(X, alphabet=self.alphabet_, **self.reading)
        self._check_lengths(data, self.length_distribution_)
        device = next(self.reader_.parameters()).device
        batch = self.vocabulary_.batch(data, device, labels=False)
        found = []
        with torch.no_grad():
            rows = max(1, min(runtime.CHUNK, runtime.call_letters(device) // batch.x0.shape[1]))
            for first in range(0, len(batch), rows):
                part = batch.take(slice(first, first + rows))
                found.append(read(part.x0, part.mask).cpu().numpy())
        return np.concatenate(found)


def hidden_width(generator: SequenceModel) -> int:
    """Return the width of a generator's hidden states, of any network that has some."""
    process, device = generator.process, generator.device
    one = torch.ones(1, 1, dtype=torch.bool, device=device)
    x, t = process.network_input(process.settled(torch.zeros(1, 1, dtype=torch.long, device=device), one))
    with torch.no_grad():
        return generator.network.hidden(x, t, None, one).shape[-1]


def noise_digest(
    generator: SequenceModel, hidden: bool, without: Container[str] = NO_NOISE, name: str | None = None
) -> str:
    """Return a hash of the noise of a generator: its settings and its process's tensors; with `hidden`, all tensors.

    `without` are settings that are left out: how samples are drawn is not noise. `name` is that of a class, by default
    the one that defines the noise, whatever the sampler is.
    """
    tensors = (generator.objective if hidden else generator.process).state_dict()
    named = {k: v for k, v in generator.settings.items() if k not in without and (k, v) not in LATER.items()}
    settings = json.dumps(named, sort_keys=True)
    return tensors_digest(tensors, name or _noise_class(generator.process).__name__, settings)


def noise_digests(generator: SequenceModel, hidden: bool, sampler: str) -> Iterator[str]:
    """Yield the hash, and those of earlier versions, which have the name of the sampler's class.

    The earliest also count the settings of sampling that there were then.
    """
    later = {"renoising", "time_sampling"} | ({"order"} if generator.name != "MaskedDiffusion" else set())
    yield noise_digest(generator, hidden)
    yield from (noise_digest(generator, hidden, without, sampler) for without in (NO_NOISE, later))


def _noise_class(process: Process) -> type:
    """Return the class that defines the noise of a process, the same for all samplers."""
    own = (kind for kind in type(process).__mro__ if "corrupt" in vars(kind) and kind is not Process)
    return next(own, type(process))


def _family(kind: type) -> list[type]:
    """Return a class and all that inherit from it."""
    children: list[type] = kind.__subclasses__()
    return [kind, *(heir for child in children for heir in _family(child))]


class SequenceClassifier(ClassifierMixin, SequencePredictor):
    """Predict the classes of sequences.

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

    @property
    def classes_(self) -> np.ndarray:
        return np.array(self.target_.classes_)

    def distribution(self, target: Target) -> LabelDistribution:
        return Categorical(len(target.classes_))

    def check_target(self, target: Target) -> None:
        super().check_target(target)
        if any(isinstance(c, float) and c % 1 for c in target.classes_):
            warn(
                f"{argument('y')} holds decimal numbers, of which {len(target.classes_)} different ones become classes;"
                " a SequenceRegressor takes them for values"
            )
        if len(target.classes_) < 2:
            found = f"the class {shown(target.classes_[0])} alone"
            raise InputError(argument("y"), found, "two classes or more", "give labels of several")

    def predict_proba(self, X: SequencesLike) -> np.ndarray:
        """Return the probabilities (n, C) of the classes, in the order of `classes_`."""
        return self._predicted(X)

    def predict(self, X: SequencesLike) -> np.ndarray:
        """Return the likeliest class of each sequence, (n,)."""
        p = self.predict_proba(X)
        return self.classes_[p.argmax(-1)]


class SequenceRegressor(RegressorMixin, SequencePredictor):
    """Predict a number of sequences, and the standard deviation of the prediction's error.

    A guide uses the normal distribution with these two.

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

    def distribution(self, target: Target) -> LabelDistribution:
        return Normal()

    def predict(self, X: SequencesLike, return_std: bool = False) -> Any:
        """Return the expected value of each sequence, (n,), in the unit of the y that was fitted.

        With `return_std` also the standard deviation of its error, (n,), as scikit-learn's Gaussian processes return
        it: what the model expects of sequences like those of training. It knows nothing of how far a sequence is from
        them; the spread of several regressors with different seeds tells more of that.
        """
        mean, scale = self._predicted(X, "mean_and_scale").astype(float).T * self.target_.scale_[0]
        values = mean + self.target_.mean_[0]
        return (values, scale) if return_std else values
