"""The estimator that every generator is: `fit`, `generate`, `infill`, `mutate`, `score_samples`, `save`, `load`.

A subclass gives its process (`make_process`) and its own parameters. What is fitted is a `SequenceModel`, `model_`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from seqdiff import ranks, runtime
from seqdiff.data import (
    Alphabet,
    Dataset,
    LengthDistribution,
    Target,
)
from seqdiff.data import prepare as prepare_data
from seqdiff.data.dataset import letter_frequencies, position_frequencies
from seqdiff.data.files import check_output, write_sequences
from seqdiff.errors import InputError, argument, shown, warn
from seqdiff.estimators.loading import load_estimator, plain_parameters
from seqdiff.estimators.parameters import ATTRIBUTES, SequenceEstimator
from seqdiff.estimators.requests import (
    MOST_STEPS,
    UNLABELLED,
    Arguments,
    Originals,
    SampleOptions,
    check_count,
    check_known,
    check_seed,
    sampled,
    warn_far,
)
from seqdiff.estimators.sharing import check_licence, write_folder
from seqdiff.files import ModelFile, checked_path, version
from seqdiff.guidance.base import GuidanceLike
from seqdiff.hub import upload
from seqdiff.inputs import (
    LabelsLike,
    LengthsLike,
    MotifsLike,
    NetworkLike,
    PathLike,
    PositionsLike,
    Predictor,
    SeedLike,
    SequencesLike,
    TargetLike,
    TemplateLike,
)
from seqdiff.model import SampleRequest, SequenceModel, Vocabulary
from seqdiff.networks import Network, build_network
from seqdiff.parameters import (
    Choice,
    ColumnChoice,
    FolderName,
    PathName,
    Whole,
    check_parameters,
    document,
    parameter,
    parameters_of,
)
from seqdiff.processes import Batch, Process
from seqdiff.runs import SAMPLING, Run, open_run
from seqdiff.training import Objective, Settings, StoredBatch, Trainer, TrainingParameters

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from seqdiff.design.designs import Designs
    from seqdiff.design.rules import DesignRules

logger = logging.getLogger(__name__)

# Where epochs are not given: few sequences are memorised long before MOST_EPOCHS; beyond MANY_SEQUENCES the number of
# useful updates grows with their square root.
MOST_EPOCHS, MANY_SEQUENCES = 400, 10_000


def _has_bound(estimator: GeneratorBase) -> bool:
    if estimator.bound_ is None:
        raise AttributeError(f"{type(estimator).__name__} has no likelihood bound, so it cannot score sequences")
    return True


class GeneratorBase(SequenceEstimator, TrainingParameters):
    """Base of all generators."""

    length: int | None = parameter(None, Whole(1)).doc(
        "Letters of each sequence. None takes what the data has, which may vary."
    )
    target: TargetLike = parameter(
        "auto",
        ColumnChoice(
            ("auto", "class", "value", "signal"), kind='{"auto", "class", "value", "signal"} or dict by column'
        ),
    ).doc("How to read the labels y: as classes, values or a signal along each sequence.")
    strands: str | None = parameter(None, Choice(("both",), optional=True)).doc(
        """`"both"`: training has the reverse complement of every sequence (dna, rna), too, with the same labels; a
        signal is reversed with it. `score_samples` returns the mean over both strands. For sequences that may be read
        on either, such as ChIP peaks."""
    )
    savepath: PathLike | None = parameter("runs", PathName(optional=True)).doc(
        "Folder of the run folders. None writes nothing."
    )
    model_name: str | None = parameter(None, FolderName()).doc(
        "Name of the run's folder. None is the name of the class, numbered where it is taken."
    )

    process_class: ClassVar[type[Process[Any]] | None] = None
    """The class of the process, whose kind of bound is `bound_`."""
    bound_: ClassVar[str | None] = None
    batches: ClassVar[int] = 3000
    """Batches of all epochs of up to 10,000 sequences where `epochs` is None, about."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        document(cls, ATTRIBUTES)
        if cls.process_class is not None and "bound_" not in cls.__dict__:
            cls.bound_ = cls.process_class.bound

    # -- what a subclass gives ----------------------------------------------------------------------------------------

    def make_process(self, vocabulary: Vocabulary) -> Process[Any]:
        """Return the process over the letters and lengths of a vocabulary."""
        raise NotImplementedError

    def network_settings(self) -> dict[str, Any]:
        """Return the options of the network; None is its own default, and what it does not have is not given to it."""
        return {"width": self.width, "depth": self.depth, "dropout": self.dropout}

    def first_logits(self, train: Dataset, vocabulary: Vocabulary, weight: np.ndarray | None) -> Tensor:
        """Return log-probabilities (L, outputs of the network), nats, to begin training from.

        `train` are the sequences with their `vocabulary`, `weight` (N,) or None their sample weights.
        """
        frequencies = position_frequencies(train, vocabulary.lengths.max_length, weight)
        return torch.from_numpy(np.log(frequencies)).float()

    # -- what is fitted -----------------------------------------------------------------------------------------------

    @property
    def alphabet_(self) -> Alphabet:
        return self.model_.alphabet

    @property
    def length_distribution_(self) -> LengthDistribution:
        return self.model_.lengths

    @property
    def length_law_(self) -> LengthDistribution:
        return self.model_.lengths  # its name before the glossary

    @property
    def target_(self) -> Target | None:
        return self.model_.target

    @property
    def objective_(self) -> Objective:
        return self.model_.objective

    @property
    def n_train_(self) -> int:
        return self.model_.vocabulary.n_train

    def fitted(self) -> SequenceModel:
        """Return the fitted model, which samples as the parameters say now; scikit-learn's NotFittedError before."""
        check_is_fitted(self, "model_")
        self.model_.precision = self.precision
        self._follow_parameters(self.model_)
        return self.model_

    def _follow_parameters(self, model: SequenceModel) -> None:
        """Make the process anew where `set_params` has changed how samples are drawn."""
        changed = {k: v for k, v in self._own_settings().items() if k in model.settings and v != model.settings[k]}
        if not changed.keys() & SAMPLING:
            return
        check_parameters(self)
        for name in changed.keys() - SAMPLING:  # the process would be another one
            wanted = f"{shown(model.settings[name])}, with which the model was fitted"
            cure = "set it back to change how samples are drawn, or fit again"
            raise InputError(argument(name), shown(changed[name]), wanted, cure)
        process = self.make_process(model.vocabulary)
        process.load_state_dict(model.process.state_dict())
        model.objective.process = runtime.place(process, model.device).requires_grad_(False).eval()
        model.settings = {**model.settings, **changed}

    def build(
        self, vocabulary: Vocabulary, train: Dataset | None = None, weight: np.ndarray | None = None
    ) -> Objective:
        """Return process and network, the weights drawn from `random_state`; ready for training on `train` if given."""
        process = self.make_process(vocabulary)
        if process.bound != self.bound_:
            wanted = f"process_class = {type(process).__name__} in {type(self).__name__}"
            raise TypeError(f"bound_: got {self.bound_!r}, expected {process.bound!r} of the process; write {wanted}")
        with runtime.seeded_weights(self._seed()):
            network = build_network(
                self.network,
                self.network_settings() | vocabulary.layout,
                self.network_options,
                states=process.states,
                letters=process.outputs,
                **vocabulary.sizes,
            )
        if train is not None:  # a model that is loaded brings its schedule along
            process.fit_schedule(torch.from_numpy(letter_frequencies(train, weight)))
        if train is not None and isinstance(network, Network):  # a function's network need not be one
            network.start_at(self.first_logits(train, vocabulary, weight))
        return Objective(process, network)

    def _model(self, objective: Objective, vocabulary: Vocabulary) -> SequenceModel:
        name, own = type(self).__name__, self._own_settings()
        return SequenceModel(name, objective, vocabulary, self.label_dropout, self.precision, own)

    def _own_settings(self) -> dict[str, Any]:
        """Return the parameters that make the process, as plain values."""
        common = parameters_of(GeneratorBase)
        return {name: value for name, value in plain_parameters(self).items() if name not in common}

    # -- training -----------------------------------------------------------------------------------------------------

    def _optimise(
        self,
        model: SequenceModel,
        train: Batch | StoredBatch,
        valid: Batch | StoredBatch | None,
        digests: Sequence[str],
        source: str,
        notes: Sequence[str],
        resume: bool,
    ) -> None:
        """Train in a run folder, made only now that nothing the user gave can be wrong any more.

        Digests tell one data set from another, so that a run resumes with its own data.
        """
        run, checkpoint = self._open_run(digests, source, len(train), 0 if valid is None else len(valid), resume)
        device = train.device
        among = ranks.current()
        try:
            self.run_dir_ = None if run is None else str(run.path)
            self.model_ = model
            model.objective = runtime.place(model.objective, device)
            written = run if among.first else None
            save = None if written is None else lambda state: model.to_file(written.model, self._header(), state)
            trainer = Trainer(model.objective, train, valid, self._settings(len(train)), written, save)
            self.history_, self.evaluations_ = trainer.history, trainer.evaluations
            if checkpoint and run is not None:
                among.first_does(lambda: run.load_checkpoint(device, trainer.load_state_dict))  # and mends it
                if not among.first:
                    run.load_checkpoint(device, trainer.load_state_dict)
                self.history_, self.evaluations_ = trainer.history, trainer.evaluations
            self._tell(notes, train, valid, run, trainer)
            try:
                trainer.fit()
            except KeyboardInterrupt:
                unsaved = f"nothing was saved, as {argument('savepath')} is None"
                kept = unsaved if run is None else f"{argument('resume', True)} goes on"
                self._say(f"stopped after {trainer.step} steps; {kept}")
                raise
            except Exception:
                if not trainer.history["loss"]:  # nothing was learned: no untrained model must pass for a fitted one
                    del self.model_
                raise
            finally:  # the best weights, also after an interruption
                model.objective.load_state_dict(trainer.best_state())
                model.objective.requires_grad_(False).eval()
        finally:
            if run is not None and among.first:
                run.release()

    def _header(self) -> dict[str, Any]:
        name, module = type(self).__name__, type(self).__module__
        return {"class": name, "module": module, "parameters": plain_parameters(self)}

    def _settings(self, n: int) -> Settings:
        values = {name: getattr(self, name) for name in parameters_of(TrainingParameters)}
        values["batch_size"] = int(self.batch_size)  # torch splits by Python's own numbers alone
        if self.epochs is None:
            each = -(-n // values["batch_size"])
            budget = self.batches * max(1.0, n / MANY_SEQUENCES) ** 0.5
            values["epochs"] = min(max(1, round(budget / each)), MOST_EPOCHS)
        return Settings(**values, seed=self._seed())

    def _open_run(
        self, digests: Sequence[str], source: str, n: int, held_out: int, resume: bool
    ) -> tuple[Run | None, bool]:
        savepath = self.savepath
        if savepath is None:
            if resume:
                wanted = f"the folder of the interrupted run, for {argument('resume', True)}"
                raise InputError(argument("savepath"), "None", wanted, "name it")
            return None, False
        args = {
            "estimator": type(self).__name__,
            "parameters": plain_parameters(self),
            "data": f"{runtime.seed_of(*digests):016x}",
            "source": source,
            "sequences": n,
            "held_out": held_out,
            "version": version(),
            "epochs": self._settings(n).epochs,
            "status": "running",
        }
        resume = resume or ranks.restarted()
        before = getattr(self, "run_dir_", None) if resume else None
        among = ranks.current()
        opened = among.first_does(
            lambda: open_run(savepath, self.model_name, args, resume=resume, run_dir=before, verbose=self.verbose)
        )
        path, found = among.from_first(None if opened is None else (str(opened[0].path), opened[1]))
        return (Run(path) if opened is None else opened[0]), found

    def _tell(
        self,
        notes: Sequence[str],
        train: Batch | StoredBatch,
        valid: Batch | StoredBatch | None,
        run: Run | None,
        trainer: Trainer,
    ) -> None:
        for note in notes:
            self._say(note)
        held = "" if valid is None else f", {len(valid):,} held out for validation"
        size = sum(p.numel() for p in self.objective_.parameters()) / 1e6
        where = "nowhere" if run is None else str(run.path)
        self._say(f"{len(train):,} {self.alphabet_.described}{held}; {size:.2f} million weights; saved to {where}")
        if trainer.resumed_at is not None:
            finished = "the run was finished already"
            self._say(finished if trainer.done else f"going on from step {trainer.step:,}")

    def _say(self, text: str) -> None:
        runtime.say(logger, text, self.verbose)

    # -- sampling -----------------------------------------------------------------------------------------------------

    def generate(
        self,
        n: int,
        out: str | os.PathLike[str] | None = None,
        *,
        y: LabelsLike = None,
        template: TemplateLike = None,
        guidance: GuidanceLike = None,
        forbid: MotifsLike = None,
        steps: int | None = None,
        temperature: float = 1.0,
        length: LengthsLike = None,
        random_state: int | None = None,
    ) -> list[str] | Any:
        """Generate sequences.

        Parameters
        ----------
        n : int
            Number of sequences.
        out : path, optional
            A ``.fasta``, ``.txt`` or ``.csv`` file to write them to, of images ``.npy``; a copy goes to the run's
            ``samples/``.
        y : optional
            The condition: one for all, or one for each sample. Of several columns a dict by name
            (``{"label": "ctcf", "expr": 9.5}``; what is left out is unknown), a tuple in the columns' order, or a
            DataFrame or list of n such rows. ``"empirical"`` draws labels as they occur in the training data: classes
            by their frequency, values and several columns from 1,024 training rows.
        template : str or list, optional
            Letters allowed at each position: a string of letters, IUPAC symbols (N any base, X any amino acid) and,
            where letters are single characters, sets such as ``[AVI]``; or a list with the allowed letters of each
            position (None: any). Every sample satisfies it exactly; a template fixes the length. Fixed letters of
            `MaskedDiffusion` and `SCUD` and every template of `DirichletFM` are shown to the network: samples follow
            p(x | template) as well as they follow p(x) without. Elsewhere, and for sets of letters, free letters do not
            depend on fixed ones that come later; ``guidance=LookAhead(16)`` corrects this at 16 times the cost. Of
            images: an array of their shape with the fixed levels, and -1 where any may be.
        guidance : Guidance or list of them, optional
            Of `seqdiff.guidance`; several act one after the other.
        forbid : str, int or list of them, optional
            Motifs that no sample may hold: letters and IUPAC symbols, names of restriction enzymes (DNA), whole numbers
            for runs of one letter; for nucleotides and their k-mers on both strands. A sample that holds one all the
            same is generated again, up to 20 times, then left out with a warning; `made_` has the numbers of the rest.
        steps : int, optional
            Steps of the sampler, each one call of the network; fewer are faster and less exact.
        temperature : float
            Below 1 the likelier letters are preferred.
        length : int or array of n, optional
            Length of the sequences, where the training data had several. `Autoregressive` takes 64 particles for each
            sample to follow p(x | length) (`LookAhead`).
        random_state : int, optional
            None draws fresh entropy; the seed is kept in `seed_` and written to `out`.

        Returns
        -------
        list of str, or ndarray (n, H, W) or (n, H, W, C) of a model of images
            Their labels, where y was given, are kept in `labels_`, and written to `out`.

        Raises
        ------
        ValueError
            If an argument is not allowed; nothing has been written then.
        """
        arguments = self._arguments(
            random_state, out, y=y, template=template, guidance=guidance, forbid=forbid, steps=steps,
            temperature=temperature, length=length,
        )  # fmt: skip
        return self._deliver(arguments.samples(n), arguments)

    def trajectory(self, n: int = 1, *, random_state: int = 0, **options: Unpack[SampleOptions]) -> Iterator[Any]:
        """Yield the states of up to 256 sequences from noise to data; arguments as of `generate`.

        Where a guide takes several rows for a sample, fewer samples are possible, and the first row of each is shown.
        """
        Whole(1, runtime.CHUNK).check("n", n)
        seed = check_seed(random_state)
        request = self.request(n, random_state=seed, **options)
        Whole(1, runtime.CHUNK // request.guide.copies).check("n", n)
        return next(self.model_.sample(request, torch.arange(n, device=self.model_.device), seed, together=True))

    def request(self, n: int, *, random_state: int = 0, **options: Unpack[SampleOptions]) -> SampleRequest:
        """Return the arguments of a `generate`, checked, as `SequenceModel.sample` takes them; nothing is generated."""
        return self._arguments(random_state, **options).samples(n)

    def infill(
        self,
        sequences: SequencesLike,
        mask: PositionsLike,
        n: int = 1,
        *,
        y: LabelsLike = None,
        guidance: GuidanceLike = None,
        forbid: MotifsLike = None,
        steps: int | None = None,
        temperature: float = 1.0,
        random_state: int | None = None,
        out: str | os.PathLike[str] | None = None,
    ) -> list[str] | Any:
        """Generate some positions of sequences anew; all others stay.

        Variants follow the model's p(x | the letters that stay): for `MaskedDiffusion`, `SCUD` and `DirichletFM`, whose
        networks see these letters from the start, as well as its samples follow p(x); for the others in the limit of
        many particles, of which each variant takes 16, or 64 of `Autoregressive` (``guidance=LookAhead(64)`` takes
        more, ``LookAhead(1)`` none). A guide that chooses among particles itself, such as `Reward`, leaves none.

        Parameters
        ----------
        sequences : str, path, list, array, Series, DataFrame, Biopython records or images
            One sequence or as in `fit`; of any lengths that the model makes.
        mask : array, list or str
            Positions to generate: booleans (L,) or (N, L), a list of positions counted from 0, or a string such as
            ``----NNNN----`` with a character for each letter, of which all but ``-`` mark one (or a list of such
            strings, one for each sequence). Letters of several characters (codons, atoms) are one position each. Of
            images: booleans (H, W) or (N, H, W).
        n : int
            Variants of each sequence.
        y : optional
            As in `generate`: one for all, or one for each sequence.
        guidance, forbid, steps, temperature, random_state, out
            As in `generate`.

        Returns
        -------
        list of str
            The variants of the first sequence first. Two of them may be alike, and like the sequence.

        Raises
        ------
        ValueError
            If an argument is not allowed, or the letters that stay hold a forbidden motif.

        Examples
        --------
        >>> from seqdiff import MaskedDiffusion
        >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
        >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"])
        >>> variants = model.infill("ACGTAC", "--NN--", n=3, random_state=0)
        >>> [s[:2] + s[4:] for s in variants]
        ['ACAC', 'ACAC', 'ACAC']
        """
        arguments = self._arguments(
            random_state, out, y=y, guidance=guidance, forbid=forbid, steps=steps, temperature=temperature
        )
        originals = self._originals(sequences, n)
        allowed = originals.infilled(mask, n, arguments.motifs)
        return self._deliver(arguments.variants(originals, allowed, n), arguments)

    def mutate(
        self,
        sequences: SequencesLike,
        n_mutations: int = 1,
        n: int = 1,
        *,
        positions: PositionsLike = None,
        y: LabelsLike = None,
        guidance: GuidanceLike = None,
        forbid: MotifsLike = None,
        steps: int | None = None,
        temperature: float = 1.0,
        random_state: int | None = None,
        out: str | os.PathLike[str] | None = None,
    ) -> list[str] | Any:
        """Propose variants that differ from sequences in exactly `n_mutations` positions.

        Positions are drawn uniformly; their letters follow the model's p(x | the letters that stay, other letters than
        the present ones at these positions), as in `infill`.

        Parameters
        ----------
        sequences : str, path, list, array, Series, DataFrame or Biopython records
            As in `infill`.
        n_mutations : int
            Positions that differ.
        n : int
            Variants of each sequence.
        positions : array, list or str, optional
            Where mutations may be, as the `mask` of `infill`; None is anywhere.
        y : optional
            As in `generate`: one for all, or one for each sequence.
        guidance, forbid, steps, temperature, random_state, out
            As in `generate`. Positions are drawn so that the letters that stay hold no forbidden motif.

        Returns
        -------
        list of str
            As from `infill`.

        Raises
        ------
        ValueError
            If an argument is not allowed, or no draw of positions breaks up a forbidden motif.

        Examples
        --------
        >>> from seqdiff import MaskedDiffusion
        >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
        >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"])
        >>> variants = model.mutate("ACGTAC", n_mutations=2, n=3, random_state=0)
        >>> [sum(a != b for a, b in zip("ACGTAC", s)) for s in variants]
        [2, 2, 2]
        """
        arguments = self._arguments(
            random_state, out, y=y, guidance=guidance, forbid=forbid, steps=steps, temperature=temperature
        )
        originals = self._originals(sequences, n)
        allowed = originals.mutated(n_mutations, n, positions, arguments.motifs, arguments.seed)
        return self._deliver(arguments.variants(originals, allowed, n), arguments)

    def design(
        self,
        n: int,
        rules: DesignRules | None = None,
        *,
        train: SequencesLike | None = None,
        predictor: Predictor | Sequence[Predictor] | None = None,
        tries: float = 20,
        scores: bool = True,
        prefix: str = "design",
        random_state: SeedLike = None,
        **options: Unpack[SampleOptions],
    ) -> Designs:
        """Generate sequences that pass rules, and return them as a table with their metrics and origin.

        Sampling goes on until n different sequences pass. What the sampler can keep to itself, forbidden motifs and
        runs, it is given; the rest is checked afterwards.

        Parameters
        ----------
        n : int
            Number of designs.
        rules : DesignRules, optional
            None: every sequence passes that is not a copy of another design.
        train : as X in `fit`, optional
            The training set: sequences that occur in it are rejected, and the nearest one of each design is listed.
        predictor : SequenceRegressor, SequenceClassifier, another object with `predict`, or several of a kind
            Predicts a value or class of each design, with its uncertainty; of several, the mean and the spread.
        tries : float
            At most this many times n sequences are sampled. Where fewer than n pass, those are returned with a warning.
        scores : bool
            False leaves out the bits per letter, which take the longest for diffusion models.
        prefix : str
            The names are ``design-1``, ``design-2``, ...
        random_state : int, optional
            As in `generate`.
        y, template, guidance, forbid, steps, temperature, length
            As in `generate`; `y` is one label for all.

        Returns
        -------
        Designs
            Of `rules`, all pass; ``designs.made`` has the numbers of all samples, the commonest reasons, and the table
            of the rejected.

        Raises
        ------
        InputError
            If an argument is not allowed, or no sequence passes.

        Examples
        --------
        >>> from seqdiff import MaskedDiffusion
        >>> from seqdiff.design import DesignRules
        >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
        >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"])
        >>> designs = model.design(3, DesignRules(gc=(0.3, 0.7), max_homopolymer=2), random_state=0)
        >>> len(designs), bool(designs["passed"].all())
        (3, True)
        """
        from seqdiff.estimators.designing import design  # with it plots, metrics and rules, which few programs need

        seed = check_seed(random_state)
        return design(
            self, n, rules, train=train, predictor=predictor, tries=tries, scores=scores, prefix=prefix, seed=seed,
            **options,
        )  # fmt: skip

    def _arguments(
        self, random_state: SeedLike, out: PathLike | None = None, **options: Unpack[SampleOptions]
    ) -> Arguments:
        model, seed = self.fitted(), check_seed(random_state)
        return Arguments(model, seed, None if out is None else check_output(out, model.alphabet), **options)

    def _originals(self, sequences: SequencesLike, n: int) -> Originals:
        check_count(n)
        return Originals(sequences, self.model_.alphabet, self.model_.lengths, self.sequence_column)

    def _deliver(self, request: SampleRequest, arguments: Arguments) -> Any:
        """Generate what was requested, and write it."""
        sequences = sampled(request, arguments, self.verbose)
        self.made_ = np.array(sorted(sequences))
        self.seed_ = arguments.seed
        self.labels_ = None if request.labels is None else request.labels[self.made_]
        kept = arguments.model.alphabet.collect([sequences[i] for i in self.made_.tolist()])
        if arguments.out is not None:
            out = arguments.out
            ranks.current().first_does(lambda: self._write(kept, out, arguments.seed))
        return kept

    def _write(self, sequences: list[str] | np.ndarray, out: Path, seed: int) -> None:
        description = f"{type(self).__name__} model={self.run_dir_ or 'unsaved'} seed={seed}"
        labels = label_columns(self.labels_)
        write_sequences(out, sequences, description, labels)
        if self.run_dir_ is not None and Path(self.run_dir_).is_dir():
            folder = Path(self.run_dir_) / "samples"
            try:  # a copy for the run's own folder, which may be shared and not to be written
                folder.mkdir(exist_ok=True)
                if out.resolve().parent != folder.resolve():
                    write_sequences(folder / out.name, sequences, description, labels)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                warn(f"{out} is written, but no copy in {folder}: {reason}")

    # -- scoring ------------------------------------------------------------------------------------------------------

    @available_if(_has_bound)
    def score_samples(
        self,
        X: SequencesLike,
        y: LabelsLike = None,
        *,
        times: int | None = None,
        random_state: int = 0,
        return_error: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Return the log-likelihood of each sequence in nats, or a lower bound of it (``bound_ == "elbo"``).

        Parameters
        ----------
        X : as in `fit`
        y : optional
            Conditions as in `fit`; without them a conditional model scores unconditionally. Lengths have the
            probability that goes with the condition: with the class, with the nearest of the training values.
        times : int, optional
            Levels of noise to average over; None takes all of them, or a number that is enough for most sequences.
            `UniformDiffusion`, `ClassicalDiffusion` and `SCUD` then take up to 8 times as many for a sequence whose
            error would be more than 0.25 nats and 5% of its score.
        random_state : int
            Seed of the noise.
        return_error : bool
            Also return the Monte Carlo standard error of each value. It is estimated from the same few levels: the
            mean over many levels lies within two errors of 85 to 95 in 100 values. Where a model is nearly certain,
            rare draws make most of the error, and most sequences have seen none: no variance is below half of the mean
            variance of all scored sequences. A single value may lie above 0; the mean over the noise is the bound.

        Returns
        -------
        ndarray (n,), or two of them
            -inf for a sequence longer than any in training. With ``strands="both"`` the mean over both strands, a
            lower bound on the log of their mean probability, also where each value is exact.

        Raises
        ------
        ValueError
            If the sequences cannot be read or have letters the model does not know.
        """
        model, target = self.fitted(), self.target_
        Whole(1, MOST_STEPS).check("times", times, optional=True)
        reading = {**self.reading, "ambiguous": "error"}
        data = prepare_data(X, y, alphabet=model.alphabet, target=target or "auto", **reading)
        if data.y is not None and target is None:
            raise InputError(argument("y"), "labels", f"None, as {UNLABELLED}", "leave it out")
        check_known(model, data.y)
        if self.strands == "both":
            data = data.both_strands()
        seed = check_seed(random_state)
        labels = None if data.y is None or target is None else target.encode(data.y)
        warn_far(data.y, target)
        log_length = model.lengths.log_prob(data.lengths, labels)
        # Where the bound holds the length already, only what is impossible remains to be said.
        if model.process.models_length:
            log_length = np.where(np.isfinite(log_length), 0.0, -np.inf)
        scores, errors = np.where(np.isfinite(log_length), 0.0, -np.inf), np.zeros(len(data))
        possible = np.flatnonzero(np.isfinite(log_length))
        if len(possible):
            bound, variance = model.score(data.take(possible), times, seed, self.verbose)
            if not np.isfinite(bound).all():
                found = f"{int((~np.isfinite(bound)).sum()):,} of {len(bound):,} that are not finite"
                why = f"the model's weights are damaged, or {argument('y')} is far outside the training data"
                raise InputError("scores", found, "finite numbers", f"give other labels or another model, as {why}")
            scores[possible], errors[possible] = log_length[possible] - bound, np.sqrt(shared(variance))
        if self.strands == "both":
            scores, errors = scores.reshape(2, -1).mean(0), np.hypot(*errors.reshape(2, -1)) / 2
        return (scores, errors) if return_error else scores

    @available_if(_has_bound)
    def score(self, X: SequencesLike, y: LabelsLike = None) -> float:
        """Return the mean log-likelihood (or its bound) per sequence in nats; see `score_samples`."""
        return float(np.mean(self.score_samples(X, y)))

    # -- files --------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one safetensors file."""
        self.fitted().to_file(checked_path(path), self._header())

    def save_pretrained(self, folder: PathLike, *, licence: str | None = None) -> None:
        """Write the fitted model to a folder as the Hugging Face hub has it; `seqdiff.load` reads the folder.

        Parameters
        ----------
        folder : path
            Made if needed. It gets model.safetensors, config.json with readable settings, and README.md, a model card
            that states data, split, validation bits and seed as far as they are recorded.
        licence : str, optional
            Its identifier on the hub, such as ``"mit"`` or ``"cc-by-4.0"``. None: the card says "not stated".
        """
        write_folder(self, self._header(), folder, licence)

    def push_to_hub(
        self,
        name: str,
        *,
        licence: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        message: str = "Upload a model of seqdiff",
    ) -> str:
        """Share the fitted model on the Hugging Face hub, in one commit; ``seqdiff.load("hf://owner/name")`` reads it.

        It needs the library huggingface_hub (``pip install "seqdiff[hub]"``).

        Parameters
        ----------
        name : str
            ``"owner/name"``, or a name of your own account. The repository is made if needed.
        licence : str, optional
            As of `save_pretrained`, which writes what is uploaded.
        private : bool, optional
            Whether a new repository is private; None is the hub's default.
        token : str, optional
            None takes that of ``hf auth login`` or of the environment variable HF_TOKEN.
        message : str
            Message of the commit.

        Returns
        -------
        str
            Address of the repository.

        Raises
        ------
        ValueError
            If the library, the network or a right is missing, or the name is not allowed.
        """
        check_licence(licence)
        with tempfile.TemporaryDirectory() as folder:
            write = partial(write_folder, self, self._header(), folder, licence)
            return upload(Path(folder), name, write, private, token, message)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto", network: NetworkLike | None = None) -> Any:
        """Return the fitted estimator that `save`, `fit`, `save_pretrained` or `push_to_hub` wrote.

        Parameters
        ----------
        path : path
            A model file, a run folder, a folder of `save_pretrained`, or ``hf://owner/name``.
        device : str
            Where to put it; the device it was trained on does not matter.
        network : callable, optional
            The function given as `network` when it was trained, where it was one.

        Raises
        ------
        ValueError
            If the file is not a model of seqdiff's, names a class that is not imported, or holds one of another class.
        """
        file = ModelFile.find(path)
        if not file.generates:
            name, generator = file.header["class"], "" if file.header["noise"] == "Clean" else ", noise_like=model"
            found, cure = f"a {name}, which writes no sequences", f"read it with {name}.load(path{generator})"
            shell = "in a shell give it to --guidance, as in cbg:FILE:LABEL:2"
            raise InputError(str(path), found, "a generator", f"{cure}, or {shell}")
        place = runtime.choose_device(device)

        def restore(model: GeneratorBase, tensors: dict[str, Tensor]) -> None:
            vocabulary = Vocabulary.from_dict(file.header)
            objective = model.build(vocabulary)
            file.fill(objective, tensors)
            model.model_ = model._model(runtime.place(objective, place).requires_grad_(False).eval(), vocabulary)
            model.run_dir_ = file.run_dir

        return load_estimator(file, GeneratorBase, cls, restore, network)


def shared(variance: np.ndarray) -> np.ndarray:
    """Return variances (n,) of which none is below half of their mean."""
    return np.maximum(variance, variance.mean() / 2)


def label_columns(labels: np.ndarray | None) -> dict[str, list[Any]]:
    """Return labels by name, as they are written beside sequences; y is the name of what has none."""
    if labels is None:
        return {}
    if labels.dtype.names:
        return {name: labels[name].tolist() for name in labels.dtype.names}
    if labels.ndim == 2:
        return {f"y{j}": labels[:, j].tolist() for j in range(labels.shape[1])}
    return {"y": labels.tolist()}
