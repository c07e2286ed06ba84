"""Who takes part: instances, classes or names of estimators, each with a name of its own and once for every seed."""

from __future__ import annotations

import inspect
import logging
import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from seqdiff import runtime
from seqdiff.data.files import write_sequences
from seqdiff.errors import InputError, argument, of_kind, shorten, shown, warn
from seqdiff.estimators import SequenceGenerator
from seqdiff.estimators.classes import find_learner
from seqdiff.estimators.requests import check_seed
from seqdiff.experiments.judge import Judge, Result, make_parts
from seqdiff.experiments.table import NATURAL, caption, make_table, markdown
from seqdiff.inputs import LabelsLike, SequencesLike
from seqdiff.parameters import Whole, check_parameters
from seqdiff.runs import claim, numbered

DEFAULT = ("MaskedDiffusion", "UniformDiffusion", "ClassicalDiffusion", "SCUD", "Autoregressive")
"""The discrete family, as far as there is one; `MultinomialDiffusion` is made for a GPU and not among them."""


@dataclass(frozen=True)
class Contestant:
    """One row of the table to come.

    Attributes
    ----------
    name : str
        Of the row, and of its run folder.
    estimators : list of SequenceGenerator
        Not fitted, one for each seed.
    """

    name: str
    estimators: list[SequenceGenerator]


def contestants(
    models: Any, settings: Mapping[str, Any], seeds: Any = 1, taken: Sequence[str] = ()
) -> list[Contestant]:
    """Return who takes part.

    Parameters
    ----------
    models : sequence of SequenceGenerator, class or str; or None
        None takes `DEFAULT`. A name is a class's (``"MaskedDiffusion"``), or as in a shell (``"masked-diffusion"``,
        ``"masked"``).
    settings : mapping
        Parameters of the estimators given by class or name; one that only some have goes to those.
    seeds : int or sequence of int
        How often each is trained, from its own `random_state` upwards, or with which `random_state`.
    taken : sequence of str
        Names that no row may have.

    Raises
    ------
    InputError
        If there is none, one is no estimator of seqdiff's, or a setting is unknown or impossible.

    Examples
    --------
    >>> from seqdiff import Autoregressive
    >>> found = contestants(["masked-diffusion", Autoregressive(epochs=1), Autoregressive(epochs=2)], {}, seeds=2)
    >>> [c.name for c in found], [model.random_state for model in found[0].estimators]
    (['MaskedDiffusion', 'Autoregressive', 'Autoregressive-2'], [0, 1])
    """
    if models is None:
        models = list(DEFAULT)
    if isinstance(models, (str, SequenceGenerator, type)):
        models = [models]
    try:
        given = list(models)
    except TypeError:
        wanted = "a list of estimators or their names"
        raise InputError(argument("models"), shown(models), wanted, "give such a list") from None
    if not given:
        cure = f"give one, or leave {argument('models')} out for the usual ones"
        raise InputError(argument("models"), "an empty list", "at least one estimator or name", cure)
    made = [(_find(model, i), not isinstance(model, SequenceGenerator)) for i, model in enumerate(given)]
    _check_settings(settings, [model for model, by_name in made if by_name])
    found: list[Contestant] = []
    names = set(taken)
    for model, by_name in made:
        if by_name:
            known = model.get_params(deep=False)
            model.set_params(**{name: value for name, value in settings.items() if name in known})
        try:
            check_parameters(model)
        except InputError as error:
            raise error.of(type(model).__name__) from None
        name = next(n for n in numbered(model.model_name or type(model).__name__) if n not in names)
        names.add(name)
        found.append(Contestant(name, [clone(model).set_params(random_state=s) for s in _seeds(seeds, model)]))
    return found


def _find(model: Any, i: int) -> SequenceGenerator:
    """Return a new estimator for a name or a class, an estimator as it is."""
    cls = model if isinstance(model, type) else type(model)
    if issubclass(cls, SequenceGenerator):
        return model() if isinstance(model, type) else model
    if isinstance(model, str):
        return find_learner(model, f"models[{i}]")()
    raise InputError(f"models[{i}]", of_kind(model), "an estimator, or the name of one", "give one")


def _check_settings(settings: Mapping[str, Any], models: list[SequenceGenerator]) -> None:
    if settings and not models:
        first, value = next(iter(settings.items()))
        wanted = "none, as every model is an estimator with settings of its own"
        raise InputError(argument(first), shown(value), wanted, "set it there")
    known = {name for model in models for name in model.get_params(deep=False)}
    own = {"random_state", "savepath", "model_name"}
    for name, value in settings.items():
        if name not in known or name in own:
            settable = known - own - inspect.signature(compare).parameters.keys()
            wanted = f"a setting of compare or of the models: {shorten(', '.join(sorted(settable)), 280)}"
            raise InputError(argument(name), shown(value), wanted, "correct the name, or leave it out")


def _seeds(seeds: Any, model: SequenceGenerator) -> list[int]:
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool) and seeds >= 1:
        first = check_seed(model.random_state)
        return [first + i for i in range(int(seeds))]
    wanted = [] if isinstance(seeds, (numbers.Number, str)) or seeds is None else list(seeds)
    whole = [isinstance(s, (int, np.integer)) and not isinstance(s, bool) and s >= 0 for s in wanted]
    if not wanted or not all(whole) or len(set(wanted)) < len(wanted):
        allowed = "how many, or a list of different whole numbers"
        raise InputError(argument("seeds"), shown(seeds), allowed, "give one of these")
    return [int(s) for s in wanted]


# `compare`: fit every contestant on one split, judge all alike, write the table after each.


if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def compare(
    models: Any = None,
    X: SequencesLike | None = None,
    y: LabelsLike = None,
    *,
    split: Any = "auto",
    validation: Any = 0.1,
    test: Any = 0.1,
    seeds: Any = 1,
    samples: int = 1000,
    steps: int | None = None,
    times: int | None = None,
    k: int | None = None,
    reference: str | None = None,
    savepath: str | os.PathLike[str] | None = "runs",
    random_state: int = 0,
    alphabet: Any = "auto",
    length: int | None = None,
    ambiguous: str = "error",
    sequence_column: str | None = None,
    verbose: int = 1,
    **settings: Any,
) -> pd.DataFrame:
    """Fit several generators on one split of the data and say how good each is.

    Each one learns from the training part, with the validation part to choose its weights by, and is judged by the test
    part, which it never sees. Beside them stand simple baselines, fitted to the training part, and nature itself. One
    that fails loses only its own row. Into ``<savepath>/compare/`` (``compare-2``, ...) go ``table.csv``, ``table.md``
    and ``table.png``, after each model anew, and the run folder of each model.

    Parameters
    ----------
    models : sequence of estimators, classes or names; or None
        Estimators are copied, not changed; two of one name are numbered, a `model_name` is the name of the row. None
        takes masked, uniform and classical diffusion, SCUD and the autoregressive model.
    X, y
        As in `fit`. Conditional models are scored with the labels and write sequences for labels drawn from the data.
    split : {"auto", "cluster", "random"}, array or str
        ``"cluster"``: no 20-mer, on either strand, occurs on two sides; ``"auto"`` does so for DNA and RNA where it
        can. An array says ``"train"``, ``"valid"`` or ``"test"`` for each sequence, any other string names such a
        column of X.
    validation, test : float, sequences or (X, y)
        Shares of the data, or held-out sequences.
    seeds : int or list of int
        How often each is trained, or with which `random_state`.
    samples : int
        Sequences that each model writes; 0 for none.
    steps, times : int, optional
        Of `generate` and of `score_samples`.
    k : int, optional
        Letters of the k-mers compared; None takes 6 for nucleotides, fewer for more letters.
    reference : str, optional
        Name of the row that `above` is counted from; None takes the best model.
    savepath : path or None
        None writes nothing.
    random_state : int
        Seed of the split, of the samples and of the noise in the scores. Models have their own.
    alphabet, length, ambiguous, sequence_column
        As in the estimators.
    verbose : int
        0 is silent.
    **settings
        Parameters of the models given by name or class, such as ``epochs=10``.

    Returns
    -------
    DataFrame
        A row for each model, then the baselines and ``"natural sequences"``. Columns: `bits` per held-out letter and
        `error`, its standard error (from one sequence to another); `bound`, ``"exact"``, ``"elbo"`` (an upper bound on
        the bits) or ``"none"``; `monte_carlo`, the standard error of the bound's own noise; `spread`, the standard
        deviation over seeds; `above` and `above_error`, bits more than the reference's and the standard error of that
        difference, paired by sequence; `kmer_js`, divergence of the samples from natural sequences in bits, and
        `kmer_js_ratio`, over that of natural ones from others (`seqdiff.evaluation.summary`); `copied` and `unique`,
        shares of the samples; `seconds` and `cpu_seconds` to fit; `sequences_per_second` of generating; `seeds`
        trained; `baseline`; `status`, ``"done"`` or why not; `run_dir`. Several seeds are averaged. `attrs` holds
        `reference`, `k`, `samples`, `split`, the sizes of the three parts, and `folder`.

    Raises
    ------
    ValueError
        If the data, a model or a setting is not as it should be (before anything is trained), or every model fails.
    KeyboardInterrupt
        After Ctrl-C; the table of what was finished is written.

    Examples
    --------
    >>> import seqdiff
    >>> X = seqdiff.datasets.load_sigma70(200)
    >>> tiny = {"width": 8, "depth": 1, "epochs": 1, "samples": 50, "savepath": None, "verbose": 0}
    >>> table = seqdiff.compare(["masked-diffusion", "autoregressive"], X, **tiny)
    >>> table.loc[["MaskedDiffusion", "Autoregressive"], "bound"].tolist()
    ['elbo', 'exact']
    """
    if X is None:
        raise InputError("X", "None", "sequences", "call compare(models, X), with None for the usual models")
    Whole(0).check("samples", samples)
    for name, value in (("steps", steps), ("times", times), ("k", k)):
        Whole(1).check(name, value, optional=True)
    seed = check_seed(random_state)
    found = contestants(models, settings, seeds, _reserved())
    if reference is not None and reference not in (names := [c.name for c in found]):
        wanted = f"one of the models {shorten(', '.join(names), 200)}"
        raise InputError(argument("reference"), shown(reference), wanted, "name one of them")
    if any(c.name == reference and type(c.estimators[0]).bound_ is None for c in found):
        given = f"{shown(reference)}, which has no likelihood"
        raise InputError(
            argument("reference"), given, "a model to count bits from", "name another one, or leave it out"
        )
    if alphabet == "auto":  # what a model was told of its letters holds for all
        told = [c.estimators[0].alphabet for c in found]
        alphabet = next((a for a in told if not (isinstance(a, str) and a.lower() == "auto")), "auto")
    parts = make_parts(
        X, y, split=split, validation=validation, test=test, alphabet=alphabet, length=length, ambiguous=ambiguous,
        sequence_column=sequence_column, random_state=seed,
    )  # fmt: skip
    judge = Judge(parts, int(samples), k, steps, times, seed)
    folder = None if savepath is None else claim(Path(savepath), "compare")
    for note in parts.notes:
        runtime.say(logger, note, verbose)
    if judge.left_out:
        runtime.say(logger, f"{judge.left_out} held-out sequences are longer than any to learn from: left out", verbose)
    comparison = Comparison(judge, folder, reference, verbose)
    comparison.add_baselines()
    comparison.run(found)
    return comparison.table()


class Comparison:
    """The running table."""

    def __init__(self, judge: Judge, folder: Path | None, reference: str | None, verbose: int) -> None:
        self.judge, self.folder, self.reference, self.verbose = judge, folder, reference, verbose
        self.results: list[Result] = []
        self.baselines: list[Result] = []
        self.natural: list[Result] = []

    def add_baselines(self) -> None:
        """Fit and judge the baselines, and put nature beside them."""
        for name, model in self.judge.baselines():
            result = Result(name, "exact", baseline=True, seeds=1, status="done")
            if model is None:
                result.nats, result.monte_carlo = [self.judge.alike()], [0.0]
            else:
                self.judge.fit(model, result)
                self.judge.score(model, result)
                self.judge.sample(model, result)
            self.baselines.append(result)
        ceiling = next((figures["kmer_js_natural"] for r in self.baselines for figures in r.quality), None)
        if ceiling is not None:
            quality = {"kmer_js": ceiling, "kmer_js_ratio": 1.0, "copied": np.nan, "unique": np.nan}
            self.natural = [Result(NATURAL, None, baseline=True, quality=[quality], status="done")]

    def run(self, found: list[Contestant]) -> None:
        """Fit and judge every contestant.

        Raises
        ------
        ValueError
            If none could be fitted.
        """
        self.results = [Result(c.name, type(c.estimators[0]).bound_) for c in found]
        total = sum(len(c.estimators) for c in found)
        done = 0
        reasons: list[str] = []
        try:
            for contestant, result in zip(found, self.results, strict=True):
                for turn, model in enumerate(contestant.estimators):
                    done += 1
                    runtime.say(logger, f"{done} of {total}: {_run_name(contestant, model)}", self.verbose)
                    try:
                        self._one(contestant, model, result, turn)
                        result.seeds += 1
                        result.status = "done"
                    except Exception as error:  # whatever it is, the others can still be compared
                        reasons.append(str(error) or type(error).__name__)
                        warn(f"{contestant.name} failed: {reasons[-1]}; the others go on")
                        result.status = f"failed: {reasons[-1]}"
                failed = len(contestant.estimators) - result.seeds
                if failed and result.seeds:
                    result.status = f"{failed} of {len(contestant.estimators)} seeds failed: {reasons[-1]}"
                self.write()
        except KeyboardInterrupt:
            for result in self.results:
                if result.status == "waiting" or not result.seeds:
                    result.status = result.status if result.status.startswith("failed") else "stopped"
            self.write()
            if self.folder is not None:
                runtime.say(logger, f"stopped; what was finished is in {self.folder / 'table.md'}", self.verbose)
            raise
        if len(reasons) == total:
            failure = f"a failure of every model, first of all {found[0].name}: {reasons[0]}"
            raise InputError("compare", failure, "one model or more", "mend what it says")

    def _one(self, contestant: Contestant, model: SequenceGenerator, result: Result, turn: int) -> None:
        where = None if self.folder is None else str(self.folder)
        model.set_params(
            alphabet=self.judge.parts.train.alphabet,
            sequence_column=None,
            savepath=where,
            model_name=None if where is None else _run_name(contestant, model),
            verbose=self.verbose,
        )
        # Figures are kept only where all of them could be had, so that the means over seeds are of the same seeds.
        fresh = Result(result.name, result.bound)
        self.judge.fit(model, fresh)
        self.judge.score(model, fresh, turn)
        written = self.judge.sample(model, fresh, turn)
        if model.run_dir_ is not None:
            fresh.run_dirs.append(str(model.run_dir_))
            if written:
                source = f"{type(model).__name__} model={model.run_dir_} seed={model.seed_}"
                write_sequences(Path(model.run_dir_) / "samples" / "compare.fasta", written, source)
        for name in ("nats", "monte_carlo", "quality", "seconds", "cpu_seconds", "rate", "run_dirs"):
            getattr(result, name).extend(getattr(fresh, name))

    def table(self) -> pd.DataFrame:
        """Return the table as it is."""
        table = make_table([*self.results, *self.baselines, *self.natural], self.judge, self.reference)
        table.attrs["folder"] = None if self.folder is None else str(self.folder)
        return table

    def write(self) -> None:
        """Write the table and its picture."""
        if self.folder is None:
            return
        from seqdiff.evaluation.plots import plot_comparison  # pictures are slow to import

        table = self.table()
        with runtime.replacing(self.folder / "table.csv") as name:
            table.to_csv(name, float_format="%.6g")
        with runtime.replacing(self.folder / "table.md") as name:
            name.write_text(f"{markdown(table)}\n\n{caption(table)}\n", encoding="utf-8")
        with runtime.replacing(self.folder / "table.png") as name:
            plot_comparison(table).savefig(name, format="png")


def _reserved() -> list[str]:
    return [
        "every letter alike", "position weight matrix", "Markov chain, order 5", "positional Markov, order 3", NATURAL,
        "table.csv", "table.md", "table.png",
    ]  # fmt: skip


def _run_name(contestant: Contestant, model: SequenceGenerator) -> str:
    return contestant.name if len(contestant.estimators) == 1 else f"{contestant.name}-seed{model.random_state}"
