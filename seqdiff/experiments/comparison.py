"""`compare`: several generators on one split of the data, judged alike, in one table that grows with each."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from seqdiff import runtime
from seqdiff.data import Alphabet
from seqdiff.data.files import ending_for, write_sequences
from seqdiff.errors import InputError, argument, of_kind, shorten, shown, warn
from seqdiff.estimators import SequenceGenerator
from seqdiff.estimators.classes import find_learner
from seqdiff.estimators.requests import check_seed
from seqdiff.evaluation import compare_table
from seqdiff.evaluation.results import Row as Measured
from seqdiff.experiments.judge import ALIKE, CHAIN, MATRIX, POSITIONAL, Judge, Trial, make_parts
from seqdiff.inputs import HeldOutLike, LabelsLike, PathLike, SeedLike, SeedsLike, SequencesLike, SplitLike
from seqdiff.parameters import Whole, check_parameters
from seqdiff.ranks import alone
from seqdiff.runs import claim, numbered

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

DEFAULT = ("MaskedDiffusion", "UniformDiffusion", "ClassicalDiffusion", "SCUD", "Autoregressive")
"""The discrete models that a CPU trains; `MultinomialDiffusion` is made for a GPU and not among them."""
NATURAL = "natural sequences"
RESERVED = {ALIKE, MATRIX, CHAIN, POSITIONAL, NATURAL, "table.csv", "table.md", "table.png"}
"""Names that no model may have: of other rows and of files beside the run folders."""

ModelLike = SequenceGenerator | type | str


@dataclass
class Row:
    """A row of the table: a model and its trials."""

    name: str
    bound: str | None  # `bound_` of the estimator
    estimators: list[SequenceGenerator] = field(default_factory=list)  # one for each seed; none for a baseline
    trials: list[Trial] = field(default_factory=list)  # one for each seed that was trained to the end
    status: str = "waiting"

    def runs(self) -> Iterator[tuple[str, SequenceGenerator]]:
        """Yield each estimator with the name of its run."""
        for model in self.estimators:
            yield self.name + f"-seed{model.random_state}" * (len(self.estimators) > 1), model


def contestants(
    models: ModelLike | Iterable[ModelLike] | None, settings: Mapping[str, Any], seeds: SeedsLike = 1
) -> list[Row]:
    """Return a row for each model; parameters as of `compare`."""
    models = DEFAULT if models is None else models
    given = list(models) if isinstance(models, Iterable) and not isinstance(models, str) else [models]
    if not given:
        cure = f"give one, or leave {argument('models')} out for the usual ones"
        raise InputError(argument("models"), "an empty list", "at least one estimator or name", cure)
    made = [_find(model, i) for i, model in enumerate(given)]
    by_name = [own for own, model in zip(made, given, strict=True) if own is not model]
    _check_settings(settings, by_name)
    for model in by_name:
        known = model.get_params(deep=False)
        model.set_params(**{name: value for name, value in settings.items() if name in known})
    found: list[Row] = []
    for model in made:
        try:
            check_parameters(model)
        except InputError as error:
            raise error.of(type(model).__name__) from None
        taken = RESERVED | {row.name for row in found}
        name = next(n for n in numbered(model.model_name or type(model).__name__) if n not in taken)
        copies = [clone(model).set_params(random_state=seed) for seed in read_seeds(seeds, model.random_state)]
        found.append(Row(name, type(model).bound_, copies))
    return found


def _find(model: object, i: int) -> SequenceGenerator:
    """Return a new estimator for a name or a class, an estimator as it is."""
    if isinstance(model, SequenceGenerator):
        return model
    if isinstance(model, type) and issubclass(model, SequenceGenerator):
        return model()
    if isinstance(model, str):
        return find_learner(model, f"models[{i}]")()
    raise InputError(f"models[{i}]", of_kind(model), "an estimator, or the name of one", "give one")


def _check_settings(settings: Mapping[str, Any], models: list[SequenceGenerator]) -> None:
    known = {name for model in models for name in model.get_params(deep=False)}
    own = {"random_state", "savepath", "model_name"}
    for name, value in settings.items():
        if not models:
            wanted = "none, as every model is an estimator with settings of its own"
            raise InputError(argument(name), shown(value), wanted, "set it there")
        if name not in known or name in own:
            settable = known - own - inspect.signature(compare).parameters.keys()
            wanted = f"a setting of compare or of the models: {shorten(', '.join(sorted(settable)), 280)}"
            raise InputError(argument(name), shown(value), wanted, "correct the name, or leave it out")


MOST_SEEDS = 1_000_000


def read_seeds(seeds: SeedsLike, first: SeedLike = 0) -> list[int]:
    """Return the seeds of a list, or a number of them from `first` upwards."""
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool) and 1 <= seeds <= MOST_SEEDS:
        start = check_seed(first)
        return [start + i for i in range(int(seeds))]
    several = np.ndim(seeds) > 0  # type: ignore[arg-type]  # neither a string nor an array of one number
    wanted = list(seeds) if several and isinstance(seeds, Iterable) else []
    whole = [isinstance(s, (int, np.integer)) and not isinstance(s, bool) and 0 <= s < 2**63 for s in wanted]
    if not wanted or not all(whole) or len(set(wanted)) < len(wanted):
        allowed = f"their number, at most {MOST_SEEDS:,}, or a list of different whole numbers from 0 to 2**63 - 1"
        raise InputError(argument("seeds"), shown(seeds), allowed, "give one of these")
    return [int(s) for s in wanted]


def compare(
    models: ModelLike | Iterable[ModelLike] | None = None,
    X: SequencesLike | None = None,
    y: LabelsLike = None,
    *,
    split: SplitLike = "auto",
    validation: HeldOutLike = 0.1,
    test: HeldOutLike = 0.1,
    seeds: SeedsLike = 1,
    samples: int = 1000,
    steps: int | None = None,
    times: int | None = None,
    k: int | None = None,
    reference: str | None = None,
    savepath: PathLike | None = "runs",
    random_state: int = 0,
    alphabet: str | Alphabet = "auto",
    length: int | None = None,
    ambiguous: str = "error",
    gaps: str = "error",
    sequence_column: str | None = None,
    verbose: int = 1,
    **settings: Any,
) -> pd.DataFrame:
    """Fit several generators to one split of the data and measure likelihood, samples and time of each.

    Each is trained on the training set, with the validation set to choose its weights, and judged by the test set. The
    table has rows of simple baselines, fitted to the training set, and of natural sequences too. A model that fails
    loses only its own row. Into ``<savepath>/compare/`` (``compare-2``, ...) go ``table.csv``, ``table.md`` and
    ``table.png``, after each model anew, ``samples.html``, what `seqdiff.evaluate` says of all samples, and the run
    folder of each model.

    Parameters
    ----------
    models : sequence of estimators, classes or names; or None
        Estimators are copied, not changed; two of one name are numbered, a `model_name` is the name of the row. None
        takes masked, uniform and classical diffusion, SCUD and the autoregressive model.
    X, y
        As in `fit`. Conditional models are scored with the labels, and generate for labels drawn from the data.
    split : {"auto", "cluster", "random"}, array or str
        ``"cluster"``: no 20-mer, on either strand, occurs on two sides (`seqdiff.data.cluster_split`); ``"auto"`` does
        so for DNA and RNA wherever enough is left for the test set. An array has ``"train"``, ``"valid"`` or ``"test"``
        for each sequence; any other string names such a column of X.
    validation, test : float, sequences or (X, y)
        Shares of the data, or held-out sequences; `split` then divides only the rest.
    seeds : int or list of int
        Number of trainings of each model, from its own `random_state` upwards, or each `random_state`.
    samples : int
        Sequences to generate with each model; 0 for none.
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
    alphabet, length, ambiguous, gaps, sequence_column
        As in the estimators.
    verbose : int
        0 is silent.
    **settings
        Parameters of the models given by name or class, such as ``epochs=10``; each goes to the models that have it.

    Returns
    -------
    DataFrame
        A row for each model, then the baselines and ``"natural sequences"``. Columns: `bits` per held-out letter and
        `error`, its standard error (from one sequence to another); `bound`, ``"exact"``, ``"elbo"`` (an upper bound on
        the bits) or ``"none"``; `monte_carlo`, the standard error of the bound's own noise; `spread`, the standard
        deviation over seeds; `above` and `above_error`, bits more than the reference's and the standard error of that
        difference, paired by sequence; `kmer_js`, divergence of the samples from natural sequences in bits, and
        `kmer_js_ratio`, over that of natural sequences from one another; `auroc` of a discriminator by k-mers; `copied`
        and `unique`, shares of the samples (these five by `seqdiff.evaluate`, where there are 10 samples and 20
        sequences or more); `seconds` and `cpu_seconds` to fit; `sequences_per_second` of generating; `seeds` trained;
        `baseline`; `status`, ``"done"`` or the failure; `run_dir`. Several seeds are averaged. `attrs` holds
        `reference`, `k`, `samples`, `compared`, the size of the sets that are compared, `split`, the sizes of the three
        parts, and `folder`.

    Raises
    ------
    InputError
        If the data, a model or a setting is wrong (before anything is trained), or every model fails.
    KeyboardInterrupt
        After Ctrl-C; the table of the finished models is written.

    Examples
    --------
    >>> import seqdiff
    >>> X = seqdiff.datasets.load_sigma70(200)
    >>> tiny = {"width": 8, "depth": 1, "epochs": 1, "samples": 50, "savepath": None, "verbose": 0}
    >>> table = seqdiff.compare(["masked-diffusion", "autoregressive"], X, **tiny)
    >>> table.loc[["MaskedDiffusion", "Autoregressive"], "bound"].tolist()
    ['elbo', 'exact']
    """
    alone("compare")
    if X is None:
        raise InputError("X", "None", "sequences", "call compare(models, X), with None for the usual models")
    Whole(0).check("samples", samples)
    for name, value in (("steps", steps), ("times", times), ("k", k)):
        Whole(1).check(name, value, optional=True)
    seed = check_seed(random_state)
    rows = contestants(models, settings, seeds)
    _check_reference(reference, rows)
    if alphabet == "auto":  # the alphabet that a model was given holds for all
        given = [row.estimators[0].alphabet for row in rows]
        alphabet = next((a for a in given if not (isinstance(a, str) and a.lower() == "auto")), "auto")
    parts = make_parts(
        X, y, split=split, validation=validation, test=test, alphabet=alphabet, length=length, ambiguous=ambiguous,
        gaps=gaps, sequence_column=sequence_column, random_state=seed,
    )  # fmt: skip
    judge = Judge(parts, int(samples), k, steps, times, seed)
    if not len(judge.test):
        found, wanted = "no sequence of a length that the training set has", "at least one"
        raise InputError(argument("test"), found, wanted, f"give another one, or another {argument('split')}")
    folder = None if savepath is None else claim(Path(savepath), "compare")
    for note in parts.notes:
        runtime.say(logger, note, verbose)
    if judge.left_out:
        left_out = f"{judge.left_out} test sequences are longer than all of the training set: left out"
        runtime.say(logger, left_out, verbose)
    comparison = Comparison(judge, folder, reference, verbose)
    comparison.run(rows)
    return comparison.table()


def _check_reference(reference: str | None, rows: list[Row]) -> None:
    bounds = {row.name: row.bound for row in rows}
    if reference is not None and reference not in bounds:
        wanted = f"one of the models {shorten(', '.join(bounds), 200)}"
        raise InputError(argument("reference"), shown(reference), wanted, "name one of them")
    if reference is not None and bounds[reference] is None:
        given, wanted = f"{shown(reference)}, which has no likelihood", "a model to count bits from"
        raise InputError(argument("reference"), given, wanted, "name another one, or leave it out")


@dataclass
class Comparison:
    """The running table."""

    judge: Judge
    folder: Path | None
    reference: str | None
    verbose: int
    rows: list[Row] = field(default_factory=list)

    def run(self, contestants: list[Row]) -> None:
        """Fit and judge the baselines and every contestant; refuse where all of these fail."""
        baselines = {ALIKE: Trial(self.judge.alike())}
        baselines |= {name: self.judge(name, model) for name, model in self.judge.baselines().items()}
        self.rows = contestants + [Row(n, "exact", trials=[trial], status="done") for n, trial in baselines.items()]
        total = sum(len(row.estimators) for row in contestants)
        done = 0
        reasons: list[str] = []
        try:
            for row in contestants:
                for turn, (name, model) in enumerate(row.runs()):
                    done += 1
                    runtime.say(logger, f"{done} of {total}: {name}", self.verbose)
                    try:
                        row.trials.append(self._trial(name, model, turn))
                        row.status = "done"
                    except Exception as error:  # whatever it is, the others can still be compared
                        reasons.append(str(error) or type(error).__name__)
                        warn(f"{row.name} failed: {reasons[-1]}; the others go on")
                        row.status = f"failed: {reasons[-1]}"
                failed = len(row.estimators) - len(row.trials)
                if failed and row.trials:
                    row.status = f"{failed} of {len(row.estimators)} seeds failed: {reasons[-1]}"
                self.write()
            self.write_samples()
        except KeyboardInterrupt:
            for row in contestants:
                if not row.trials and not row.status.startswith("failed"):
                    row.status = "stopped"
            self.write()
            self.write_samples()
            if self.folder is not None:
                message = f"stopped; the table of finished models is {self.folder / 'table.md'}"
                runtime.say(logger, message, self.verbose)
            raise
        if len(reasons) == total:
            failure = f"a failure of every model, first of all {contestants[0].name}: {reasons[0]}"
            raise InputError("compare", failure, "one model or more", "mend what it says")

    def _trial(self, name: str, model: SequenceGenerator, turn: int) -> Trial:
        model.set_params(
            alphabet=self.judge.parts.train.alphabet,
            sequence_column=None,
            savepath=None if self.folder is None else str(self.folder),
            model_name=None if self.folder is None else name,
            verbose=self.verbose,
        )
        trial = self.judge(name, model, turn)
        if model.run_dir_ is not None:
            trial.run_dir = str(model.run_dir_)
            if trial.samples:
                source = f"{type(model).__name__} model={model.run_dir_} seed={model.seed_}"
                out = Path(model.run_dir_) / "samples" / f"compare{ending_for(model.alphabet_)}"
                write_sequences(out, trial.samples, source)
        return trial

    def table(self) -> pd.DataFrame:
        """Return the table of what has been measured so far."""
        table = make_table(self.rows, self.judge, self.reference)
        table.attrs["folder"] = None if self.folder is None else str(self.folder)
        return table

    def write(self) -> None:
        """Write the table and its plot."""
        if self.folder is None:
            return
        from seqdiff.evaluation.plots import plot_comparison  # matplotlib is slow to import

        table = self.table()
        with runtime.replacing(self.folder / "table.csv") as name:
            table.to_csv(name, float_format="%.6g")
        with runtime.replacing(self.folder / "table.md") as name:
            name.write_text(f"{markdown(table)}\n\n{caption(table)}\n", encoding="utf-8")
        with runtime.replacing(self.folder / "table.png") as name:
            plot_comparison(table).savefig(name, format="png")

    def write_samples(self) -> None:
        """Write the evaluation of all samples."""
        found = [trial.measured for row in self.rows for trial in row.trials if trial.measured is not None]
        if self.folder is not None and self.judge.yardstick is not None and found:
            self.judge.yardstick.evaluation(found).write_html(self.folder / "samples.html")


# The table: a DataFrame for programs, Markdown for readers.

TABLE_COLUMNS = [
    "bits", "error", "bound", "monte_carlo", "spread", "above", "above_error", "kmer_js", "kmer_js_ratio", "auroc",
    "copied", "unique", "seconds", "cpu_seconds", "sequences_per_second", "seeds", "baseline", "status", "run_dir",
]  # fmt: skip
NUMBERS = [name for name in TABLE_COLUMNS if name not in ("bound", "seeds", "baseline", "status", "run_dir")]


def make_table(rows: Sequence[Row], judge: Judge, reference: str | None = None) -> pd.DataFrame:
    """Return the table of finished and unfinished rows; seeds are averaged.

    Without a reference, or before it is finished, the others are compared with the best model so far.
    """
    import pandas as pd

    nats = {row.name: np.mean([t.nats for t in row.trials], axis=0) for row in rows if row.bound and row.trials}
    pieces: Any = [judge.test.alphabet.split(s) for s in judge.test.sequences]  # a letter may have two characters
    letters = float(judge.test.lengths.sum()) * np.log(2)
    if reference not in nats:
        models = [row.name for row in rows if row.name in nats and row.estimators]
        reference = max(models or list(nats), key=lambda name: float(nats[name].sum()))
    bits = compare_table(nats, pieces, reference)
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        trials, cells = row.trials, {"bound": row.bound or "none", "baseline": not row.estimators, "status": row.status}
        cells |= {"seeds": len(trials), "run_dir": ", ".join(t.run_dir for t in trials if t.run_dir) or None}
        if row.name in nats:
            cells |= bits.loc[row.name]
            cells["monte_carlo"] = np.sqrt(np.square([t.monte_carlo for t in trials]).sum()) / len(trials) / letters
            if len(trials) > 1:
                cells["spread"] = np.std([t.nats.sum() / letters for t in trials], ddof=1)
        if trials:
            cells |= compared(judge, [t.measured for t in trials if t.measured is not None])
            for name in ("seconds", "cpu_seconds", "sequences_per_second"):
                cells[name] = np.mean([getattr(t, name) for t in trials])
        table[row.name] = cells
    if judge.yardstick is not None:
        cells = {"bound": "none", "seeds": 0, "baseline": True, "status": "done", "run_dir": None}
        values = compared(judge, [judge.yardstick.ends[0]])
        table[NATURAL] = cells | {name: values[name] for name in ("kmer_js", "kmer_js_ratio", "auroc", "unique")}
    frame = pd.DataFrame.from_dict(table, orient="index", columns=TABLE_COLUMNS)
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    frame.index.name = "model"
    parts = judge.parts
    frame.attrs = {"reference": reference, "k": judge.k, "samples": judge.samples,
                   "compared": 0 if judge.yardstick is None else judge.yardstick.n, "train": len(parts.train),
                   "validation": len(parts.valid), "test": len(judge.test), "split": parts.how}  # fmt: skip
    return frame


def compared(judge: Judge, rows: Sequence[Measured]) -> dict[str, float]:
    """Return the means of the metrics that the table has of samples, by column."""
    if judge.yardstick is None or not rows:
        return {}
    ceiling = judge.yardstick.ends[0].values["kmer_js"].value

    def mean(name: str) -> float:
        return float(np.mean([row.values[name].value for row in rows]))

    return {
        "kmer_js": mean("kmer_js"),
        "kmer_js_ratio": mean("kmer_js") / ceiling if ceiling else float("nan"),
        "auroc": mean("auroc_kmer"),
        "copied": 1 - mean("novel"),
        "unique": mean("unique"),
    }


def markdown(table: pd.DataFrame) -> str:
    """Return the table of `seqdiff.compare` in Markdown, aligned, so that it can be read in a terminal too.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"bits": 1.9, "bound": "elbo", "status": "done", "seeds": 1, "baseline": False}
    >>> print(markdown(pd.DataFrame([row], index=["MaskedDiffusion"])))
    | model           | bits per letter |
    |:----------------|----------------:|
    | MaskedDiffusion |  at most 1.9000 |
    """
    full = table.reindex(columns=TABLE_COLUMNS)
    rows = [row for _, row in full.iterrows()]
    columns = {"model": [str(name) for name in table.index], "bits per letter": [_bits(row) for row in rows]}
    for name, header, form in (
        ("spread", "spread of seeds", "{:.4f}"),
        ("above", f"above {table.attrs.get('reference') or 'the best'}", "{:.4f}"),
        ("kmer_js", f"{table.attrs.get('k', 'k')}-mer JS", "{:.4f}"),
        ("kmer_js_ratio", "ratio to natural", "{:.2f}"),
        ("auroc", "AUROC", "{:.3f}"),
        ("copied", "copied", "{:.1%}"),
        ("unique", "unique", "{:.1%}"),
        ("sequences_per_second", "generated per s", "{:.0f}"),
        ("cpu_seconds", "CPU-s to fit", "{:.1f}"),
    ):
        if full[name].notna().any():
            columns[header] = [
                _number(row[name], form, row["above_error"] if name == "above" else None) for row in rows
            ]
    if (full["status"] != "done").any():
        remarks = ("" if status == "done" else str(status) for status in full["status"])
        columns["remark"] = [remark.replace("|", "/").replace("\n", " ") for remark in remarks]
    padded = []
    for header, cells in columns.items():
        width, left = max(map(len, [header, *cells])), header in ("model", "remark")
        texts = [f" {text.ljust(width) if left else text.rjust(width)} " for text in (header, *cells)]
        rule = "-" * (width + 1)
        padded.append([texts[0], f":{rule}" if left else f"{rule}:", *texts[1:]])
    return "\n".join(f"|{'|'.join(line)}|" for line in zip(*padded, strict=True))


def _number(value: float | None, form: str, error: float | None = None) -> str:
    if value is None or np.isnan(value):
        return ""
    return form.format(value) + ("" if error is None or np.isnan(error) else f" +- {form.format(error)}")


def _bits(row: pd.Series) -> str:
    if row["bound"] == "none" and row["status"] == "done" and not row["baseline"]:
        return "no likelihood"
    text = _number(row["bits"], "{:.4f}", row["error"])
    return f"at most {text}" if text and row["bound"] == "elbo" else text


def caption(table: pd.DataFrame) -> str:
    """Return the sentences that explain the table."""
    a = table.attrs
    bounds = table.loc[(table["bound"] == "elbo") & table["bits"].notna(), "monte_carlo"]
    noise = f'; "at most" is a bound, known to +- {bounds.max():.4f} (Monte Carlo)' if len(bounds) else ""
    lines = [
        f"{a['train']:,} sequences in the training set, {a['validation']:,} in the validation set, {a['test']:,} in "
        f"the test set (split: {a['split']}).",
        f"Bits per letter of held-out sequences with their standard error{noise}.",
    ]
    if table["above"].notna().any():
        lines.append(
            f'"Above" compares sequence by sequence with {a["reference"]}; '
            "its standard error is that of the difference."
        )
    if a["compared"]:
        lines.append(
            f"{a['k']}-mer JS: divergence between {a['compared']:,} generated and as many natural sequences in bits; "
            "the ratio to that of natural sequences from one another is 1 at best. A Markov chain that stores the "
            "k-mer counts of the training set can fall below. AUROC: of a logistic regression on k-mers between "
            "generated and natural sequences, 0.5 where it cannot tell them apart."
        )
    return "\n".join(lines)
