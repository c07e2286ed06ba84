"""The estimator that every generator is: `fit(X)`, `generate(n)`, `score_samples(X)`, `save`, `load`.

A subclass gives its process (`_make_process`) and its own parameters; all else, from reading files to the run folder,
stands here and in the modules beside it.
"""

from __future__ import annotations

import logging
import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from seqdiff import runtime
from seqdiff.data import Dataset, LengthLaw, class_codes, hold_out, learn_target, prepare
from seqdiff.errors import shown
from seqdiff.estimators import persistence
from seqdiff.estimators.editing import EditingMixin
from seqdiff.estimators.encoding import conditions_of, encode_batch, letter_law, log_frequencies
from seqdiff.estimators.generating import GeneratingMixin
from seqdiff.estimators.parameters import ATTRIBUTES, GENERATOR, Weights
from seqdiff.estimators.scoring import ScoringMixin
from seqdiff.estimators.strings import OfStrings
from seqdiff.networks import Network, build_network
from seqdiff.parameters import Parameter, Switch, check_parameters, complete, document
from seqdiff.processes import Process
from seqdiff.runs import Run, open_run
from seqdiff.training import Batch, Objective, Settings, Trainer

logger = logging.getLogger(__name__)

# Where epochs are not given: a handful of sequences is learned by heart long before the first number is reached; there
# is more to learn from more than the second, but not in proportion.
MOST_EPOCHS, MANY = 400, 10_000
FEW = 5  # sequences that a network can do nothing with but memorise


class SequenceGenerator(GeneratingMixin, EditingMixin, ScoringMixin, OfStrings):
    """Base of the generators.

    A subclass has `process_class`, `_make_process`, and a dict `parameters` of those that it adds in `__init__`, which
    passes the others on as ``**common``. Its signature and the "Parameters" of its docstring are completed here.
    """

    parameters: ClassVar[Mapping[str, Parameter]] = GENERATOR
    """What each parameter may be, and what it is for; those of a subclass are added to its bases'."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Defaults of a subclass in place of those of its bases."""
    process_class: ClassVar[type[Process] | None] = None
    """The class of the process, whose kind of bound is `bound_`."""
    bound_: ClassVar[str | None] = None
    batches: ClassVar[int] = 3000
    """What `epochs=None` makes of up to 10,000 sequences: epochs of about so many batches in all."""
    taught: ClassVar[bool] = False
    """Whether `fit` takes a fitted model to learn from, a teacher, in place of sequences."""
    alphabet_: Any
    objective_: Objective

    def __init__(
        self,
        *,
        length: int | None = None,
        alphabet: Any = "auto",
        network: Any = "conv",
        width: int | None = None,
        depth: int | None = None,
        dropout: float | None = None,
        network_options: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        batch_size: int = 128,
        lr: float = 3e-3,
        lr_schedule: str = "cosine",
        lr_decay: float = 0.99,
        warmup: int = 50,
        weight_decay: float = 0.01,
        update_freq: int = 1,
        ema: float = 0.999,
        patience: int | None = None,
        eval_every: int = 1,
        check_every: int = 5,
        label_dropout: float = 0.1,
        ambiguous: str = "error",
        sequence_column: str | None = None,
        target: Any = "auto",
        savepath: str | os.PathLike[str] | None = "runs",
        model_name: str | None = None,
        random_state: int = 0,
        device: str = "auto",
        precision: str = "auto",
        verbose: int = 1,
    ) -> None:
        self.length = length
        self.alphabet = alphabet
        self.network = network
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.network_options = network_options
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.lr_decay = lr_decay
        self.warmup = warmup
        self.weight_decay = weight_decay
        self.update_freq = update_freq
        self.ema = ema
        self.patience = patience
        self.eval_every = eval_every
        self.check_every = check_every
        self.label_dropout = label_dropout
        self.ambiguous = ambiguous
        self.sequence_column = sequence_column
        self.target = target
        self.savepath = savepath
        self.model_name = model_name
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.verbose = verbose

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        complete(cls)
        document(cls, ATTRIBUTES)
        if cls.process_class is not None and "bound_" not in cls.__dict__:
            cls.bound_ = cls.process_class.bound

    # -- what a subclass gives ----------------------------------------------------------------------------------------

    def _make_process(self) -> Process:
        raise NotImplementedError

    def _network_options(self) -> dict[str, Any]:
        """Return the options of the network; None is its own default, and what it does not have is not given to it."""
        return {"width": self.width, "depth": self.depth, "dropout": self.dropout}

    def _first_guess(self, train: Dataset, weight: np.ndarray | None) -> Tensor:
        """Return log-probabilities (L, outputs of the network) to begin training from."""
        return log_frequencies(train, self.length_law_, weight)

    # -- fit ----------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        validation: Any = 0.1,
        sample_weight: Any = None,
        resume: bool = False,
    ) -> SequenceGenerator:
        """Learn from sequences.

        Parameters
        ----------
        X : path, list, array, Series, DataFrame or Biopython records
            A path may be ``.txt`` (one sequence a line), FASTA, CSV, TSV or Parquet, compressed by gzip or not.
        y : array, str, list of str, DataFrame, dict or None
            What to condition on: strings and ints are classes, floats are values, (n, L, C) is a signal; a string is
            the name of a column of X. Several columns (a list of names, a DataFrame, a dict, or rows that hold
            strings) are each what they would be alone. Missing labels (None, nan) are allowed, in each column for
            itself; an (n, c) array of numbers is one value, known as a whole or not at all.
            The same table means the same as a path, a DataFrame or lists (`seqdiff.data.labels` has the rules); a line
            says what was taken, and `target` overrides it.
        validation : float, sequences, (X, y) or None
            A share of the sequences to hold out, at random but for two rules: copies of a sequence (dna, rna: of
            either strand) stay on one side, and every class is learned from. Or held-out sequences. The best weights by
            its bound are kept; with None or 0 the last ones are.
        sample_weight : array or "balanced", optional
            (n,) how much each sequence counts: in the loss, in frequencies, means and lengths; 0 as if it had not been
            given. "balanced": each class as much as any other.
        resume : bool
            Resume an interrupted run; or give a run more epochs than it had, in which the learning rate is that of a
            run of so many epochs from there on.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data is not as it should be; the sentence names what, where and the cure.
        KeyboardInterrupt
            After Ctrl-C, with a checkpoint written; what was learned so far can be used.
        """
        check_parameters(self)
        Switch().check("resume", resume)
        drawn = not isinstance(self.random_state, numbers.Integral)  # a seed that was given is compared with the run's
        if not (resume and drawn and hasattr(self, "fit_seed_")):
            self._draw_seed()
        device = runtime.choose_device(self.device)
        runtime.autocast(device, self.precision)
        weights_of = Weights(sample_weight)
        data = self._read(X, y, weights_of.chosen)
        weight = weights_of.of(data, self.target)
        train, valid, weights = self._split(data, weight, validation)
        self._learn_vocabulary(train, valid, weights)
        objective = self._build(train, weights[0])
        longest = self.length_law_.max_length
        batches = (
            encode_batch(train, longest, device, self.target_, weights[0]),
            None if valid is None else encode_batch(valid, longest, device, self.target_, weights[1]),
        )
        digests = [
            train.digest(),
            "" if valid is None else valid.digest(),
            *("" if weight is None else weight.tobytes().hex() for weight in weights),
        ]
        self._optimise(objective, *batches, digests, train.source, train.notes, resume)
        return self

    def _optimise(
        self,
        objective: Objective,
        train: Batch,
        valid: Batch | None,
        digests: Sequence[str],
        source: str,
        notes: Sequence[str],
        resume: bool,
    ) -> None:
        """Train, in a run folder of its own: nothing that the person gave can be wrong any more, only now it is made.

        Digests tell data from other data, so that a run goes on with its own.
        """
        run, checkpoint = self._open_run(digests, source, len(train), resume)
        device = train.x0.device
        try:
            self.run_dir_ = None if run is None else str(run.path)
            self.objective_ = runtime.place(objective, device)
            save_model = None if run is None else lambda state: persistence.write(self, state, run.model)
            trainer = Trainer(self.objective_, train, valid, self._settings(len(train)), run, save_model)
            self.history_, self.evaluations_ = trainer.history, trainer.evaluations
            if checkpoint and run is not None:
                run.load_checkpoint(device, trainer.load_state_dict)
                self.history_, self.evaluations_ = trainer.history, trainer.evaluations
            self._tell(notes, train, valid, run, trainer)
            self._train(trainer, objective)
        finally:
            if run is not None:
                run.release()

    def _train(self, trainer: Trainer, objective: Objective) -> None:
        try:
            trainer.fit()
        except KeyboardInterrupt:
            saved = trainer.run is not None
            kept = "fit(..., resume=True) goes on" if saved else "nothing was saved, as savepath is None"
            runtime.say(logger, f"stopped after {trainer.step} steps; {kept}", self.verbose)
            raise
        finally:
            self._adopt(trainer, objective)

    def _read(self, X: Any, y: Any, chosen: Any = None) -> Dataset:
        return prepare(
            X,
            y,
            alphabet=self.alphabet,
            length=self.length,
            ambiguous=self.ambiguous,
            sequence_column=self.sequence_column,
            chosen=chosen,
            target=self.target,
            verbose=self.verbose,
        )

    def _split(
        self, data: Dataset, weight: np.ndarray | None, validation: Any
    ) -> tuple[Dataset, Dataset | None, tuple[np.ndarray | None, np.ndarray | None]]:
        """Return training data, with notes on the split, validation data and the weights of both."""
        if validation is None or validation is False:
            return data, None, (weight, None)
        if isinstance(validation, numbers.Real) and not isinstance(validation, (bool, np.bool_)):
            if not 0 <= validation < 1:  # type: ignore[operator]
                raise ValueError(
                    f"validation={shown(validation)} is not a share; give one between 0 and 1, sequences or None"
                )
            if len(data) < 2 or validation == 0:
                return data, None, (weight, None)
            classes = [] if data.y is None else class_codes(learn_target(data.y, self.target), data.y)
            kept, held, notes = hold_out(data, float(validation), self._seed(), classes)
            both = (None, None) if weight is None else (weight[kept], weight[held])
            train = replace(data.take(kept), notes=(*data.notes, *notes))
            return train, data.take(held) if len(held) else None, both
        pair = isinstance(validation, tuple) and len(validation) == 2
        if pair and all(isinstance(part, str) for part in validation):  # a file and its column, or two sequences
            pair = Path(validation[0]).is_file()
        X, y = validation if pair else (validation, None)
        known: Any = "auto" if data.y is None else learn_target(data.y, self.target)
        held_data = prepare(
            X,
            y,
            target=known,
            alphabet=data.alphabet,
            length=self.length,
            ambiguous=self.ambiguous,
            sequence_column=self.sequence_column,
        )
        if held_data.y is not None and data.y is None:
            raise ValueError("validation has labels, but y was not given; give both or neither")
        return data, held_data, (weight, None)

    def _learn_vocabulary(
        self, train: Dataset, valid: Dataset | None, weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
    ) -> None:
        """Set what the model file holds beside the weights of the network: alphabet, lengths, labels."""
        self.alphabet_ = train.alphabet
        self.target_ = None if train.y is None else learn_target(train.y, self.target, self._seed(), weights[0])
        parts = [train] if valid is None else [train, valid]
        each = None
        if weights[0] is not None:  # held-out sequences that were given without weights count like the average
            each = np.concatenate([np.ones(len(p)) if w is None else w for p, w in zip(parts, weights, strict=False)])
        self.unlabelled_ = self.target_ is None or not self.target_.encode(train.y, n=len(train))["keep"].all()
        labels = None
        if self.target_ is not None and self.target_.kind != "signal":
            encoded = [self.target_.encode(part.y, n=len(part)) for part in parts]
            labels = {name: np.concatenate([e[name] for e in encoded]) for name in encoded[0]}
        self.length_law_ = LengthLaw.fit(np.concatenate([part.lengths for part in parts]), each, labels)
        self.n_train_ = len(train)

    def _build(self, train: Dataset | None = None, weight: np.ndarray | None = None) -> Objective:
        """Return process and network, the weights drawn from `random_state`."""
        process = self._make_process()
        with runtime.seeded_weights(self._seed()):
            network = build_network(
                self.network,
                self._network_options(),
                self.network_options,
                states=process.states,
                letters=process.outputs,
                length=self.length_law_.max_length,
                conditions=conditions_of(self.target_),
                fixed_length=self.length_law_.fixed,
            )
        if train is not None:  # a model that is loaded brings its schedule along
            process.fit_schedule(letter_law(train, weight))
        if train is not None and isinstance(network, Network):  # a function's network need not be one
            network.start_at(self._first_guess(train, weight))
        return Objective(process, network)

    def _settings(self, n: int) -> Settings:
        names = Settings.__dataclass_fields__.keys() & self.get_params(deep=False).keys()
        values = {name: getattr(self, name) for name in names}
        if self.epochs is None:
            each = -(-n // self.batch_size)
            budget = self.batches * max(1.0, n / MANY) ** 0.5
            values["epochs"] = min(max(1, round(budget / each)), MOST_EPOCHS)
        return Settings(**values, seed=self._seed())

    def _open_run(self, digests: Sequence[str], source: str, n: int, resume: bool) -> tuple[Run | None, bool]:
        if self.savepath is None:
            if resume:
                raise ValueError("resume=True needs the folder of the interrupted run, but savepath is None; name it")
            return None, False
        args = {
            "estimator": type(self).__name__,
            "parameters": persistence.plain_parameters(self),
            "data": f"{runtime.seed_of(*digests):016x}",
            "source": source,
            "sequences": n,
            "epochs": self._settings(n).epochs,
            "status": "running",
        }
        return open_run(
            self.savepath,
            self.model_name,
            args,
            resume=resume,
            run_dir=getattr(self, "run_dir_", None) if resume else None,
            verbose=self.verbose,
        )

    def _tell(self, notes: Sequence[str], train: Batch, valid: Batch | None, run: Run | None, trainer: Trainer) -> None:
        for note in notes:
            runtime.say(logger, note, self.verbose)
        held = "" if valid is None else f", {len(valid):,} held out for validation"
        if len(train) <= FEW:
            few = f"X: got {len(train)} sequence{'s' * (len(train) != 1)} to learn from, which can only be memorised"
            runtime.say(logger, f"{few}; give at least hundreds for new sequences of the same kind", self.verbose)
        where = "nowhere" if run is None else str(run.path)
        size = sum(p.numel() for p in self.objective_.parameters())
        runtime.say(
            logger,
            f"{len(train):,} {self.alphabet_.name} sequences{held}; {size / 1e6:.2f} million weights; saved to {where}",
            self.verbose,
        )
        if trainer.resumed_at is not None:
            what = "the run was finished already" if trainer.done else f"going on from step {trainer.step:,}"
            runtime.say(logger, what, self.verbose)

    def _adopt(self, trainer: Trainer, objective: Objective) -> None:
        """Take over the best weights, also after an interruption."""
        state = trainer.best_state()
        objective.load_state_dict(state)
        objective.requires_grad_(False).eval()
        self.objective_ = objective

    # -- files --------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one safetensors file."""
        check_is_fitted(self, "objective_")
        persistence.write(self, self.objective_.state_dict(), persistence.checked(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto", network: Any = None) -> SequenceGenerator:
        """Read a model that `save` or `fit` wrote; see `seqdiff.load`.

        Raises
        ------
        ValueError
            If the file holds a model of another class.
        """
        model = persistence.read(SequenceGenerator, path, device=device, network=network)
        if not isinstance(model, cls):
            raise ValueError(f"{path} holds a {type(model).__name__}, not a {cls.__name__}; use seqdiff.load")
        return model
