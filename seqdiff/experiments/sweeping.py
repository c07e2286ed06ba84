"""`sweep`: guides of several strengths, how far each meets a condition, and its cost."""

from __future__ import annotations

import copy
import logging
import numbers
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from seqdiff import runtime
from seqdiff.data import prepare
from seqdiff.data.images import refuse_images
from seqdiff.errors import InputError, argument, of_kind, shown, warn
from seqdiff.estimators import SequenceGenerator
from seqdiff.evaluation import copied_fraction, diversity, kmer_size
from seqdiff.evaluation.evaluating import FEWEST, Yardstick, check_two_sets
from seqdiff.experiments.comparison import read_seeds
from seqdiff.guidance.base import GuidanceLike
from seqdiff.inputs import PathLike, SeedsLike, SequencesLike
from seqdiff.parameters import Real, Whole
from seqdiff.ranks import alone
from seqdiff.runs import claim

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SWEEP_COLUMNS = [
    "guide", "gamma", "seed", "made", "condition", "kmer_js", "kmer_js_ratio", "diversity", "unique", "copied", "calls",
    "seconds", "status",
]  # fmt: skip
JudgeFunction = Callable[[list[str]], ArrayLike]
GuideMaker = Callable[[float], GuidanceLike | tuple[GuidanceLike, Mapping[str, Any]]]


def sweep(
    model: SequenceGenerator,
    guides: Mapping[str, GuideMaker],
    gammas: Sequence[float],
    *,
    n: int = 100,
    seeds: SeedsLike = (0,),
    judge: JudgeFunction | None = None,
    natural: SequencesLike | None = None,
    train: SequencesLike | None = None,
    k: int | None = None,
    out: PathLike | None = None,
    verbose: int = 1,
    **arguments: Any,
) -> pd.DataFrame:
    """Generate with guides of several strengths, and measure gain and cost of each.

    Parameters
    ----------
    model : generator
        Fitted.
    guides : dict of callables
        By name; each takes a strength gamma and returns a guide, None, or a guide and a dict of further arguments of
        `generate`.
    gammas : sequence of float
        Strengths; 0 is, of most guides, unguided.
    n : int
        Sequences of each guide, strength and seed.
    seeds : sequence of int, or int
        Of `generate`, different ones; an int is their number.
    judge : callable, optional
        ``judge(sequences: list of str) -> n numbers``, whose mean is the condition met: a share where they are 0 and
        1, a mean activity where a regressor predicts it.
    natural : as X in `fit`, optional
        Reference sequences, which samples should be like: 20 or more, and an n of 10 or more.
    train : as X in `fit`, optional
        Sequences that may have been copied; None: `natural`.
    k : int, optional
        Letters of the k-mers compared; None takes 6 for nucleotides, fewer for more letters.
    out : path, optional
        A ``.csv`` file, written anew after each row. None: ``sweep.csv`` (``sweep-2.csv``, ...) in the model's run
        folder, where it has one; such a file is removed again where every row fails.
    verbose : int
        0 is silent.
    **arguments
        Of `generate`, for all: ``y``, ``steps``, ``template``, ...

    Returns
    -------
    DataFrame
        A row for each guide, gamma and seed. Columns: `made`, the number of sequences; `condition`, the mean of what
        `judge` returns; `kmer_js`, divergence from `natural` in bits, and `kmer_js_ratio`, over that of natural
        sequences from one another, of min(n, half of `natural`) sequences each, as by `seqdiff.evaluate`; `diversity`,
        mean edit distance of random pairs over their length; `unique` and `copied`, shares of the sequences; `calls` of
        the network for each of the n sequences (of the guided model's own, not of classifiers); `seconds`; `status`,
        ``"done"`` or the failure. `attrs` holds `path`, the file, and `k`.

    Raises
    ------
    InputError
        If an argument is wrong (before anything is generated), or every row fails.

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion, sweep
    >>> from seqdiff.guidance import ClassifierFree
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"])
    >>> table = sweep(model, {"free": ClassifierFree}, [1, 2], n=4, y="tt", verbose=0,
    ...               judge=lambda sequences: [s.startswith("TT") for s in sequences])
    >>> table[["guide", "gamma", "made"]].values.tolist()
    [['free', 1.0, 4], ['free', 2.0, 4]]
    """
    alone("sweep")
    refuse_images(model.fitted().alphabet, "a sweep")
    Whole(1).check("n", n)
    Whole(1).check("k", k, optional=True)
    _check(model, guides, gammas, n, judge, arguments)
    chosen = read_seeds(seeds)
    reading: dict[str, Any] = {"alphabet": model.alphabet_, "sequence_column": model.sequence_column}
    reference = None if natural is None else prepare(natural, **reading)
    if reference is not None and n < FEWEST:
        wanted = f"at least {FEWEST}, to be compared with {argument('natural')}"
        raise InputError(argument("n"), str(n), wanted, f"generate more, or leave {argument('natural')} out")
    if reference is not None:
        check_two_sets("natural", len(reference))
    if k is None:
        lengths = np.array([model.length_distribution_.max_length]) if reference is None else reference.lengths
        k = kmer_size(len(model.alphabet_), lengths)
    known = None if train is None else prepare(train, **reading).sequences
    yardstick = None
    if reference is not None:
        compared = min(n, len(reference) // 2)
        yardstick = Yardstick(reference.sequences, reference.alphabet, compared, known, k=k)
    measure = partial(_measured, judge=judge, yardstick=yardstick, train=known)
    path = _claim(model, out)
    rows: list[dict[str, Any]] = []
    failures: set[tuple[str, str]] = set()
    todo = [(name, float(gamma), seed) for name in guides for gamma in gammas for seed in chosen]
    with runtime.progress(len(todo), "row", verbose) as bar:
        for name, gamma, seed in todo:
            row: dict[str, Any] = dict.fromkeys(SWEEP_COLUMNS, np.nan) | {"guide": name, "gamma": gamma, "seed": seed}
            row["made"], row["status"] = 0, "done"
            rows.append(row)
            try:
                row |= _made(model, guides[name](gamma), n, seed, arguments, measure)
            except Exception as error:  # whatever it is, the others can still be had
                row["status"] = f"failed: {str(error) or type(error).__name__}"
                if (name, row["status"]) not in failures:  # a warning once for each failure of a guide
                    warn(f"{name} at gamma {gamma:g} {row['status']}; the others go on")
                failures.add((name, row["status"]))
            if any(row["status"] == "done" for row in rows):  # until then an earlier table stays
                _write(rows, path)
            bar.update(1)
    if not any(row["status"] == "done" for row in rows):
        if path is not None and out is None:
            path.unlink(missing_ok=True)
        found = f"a failure in every row, first of all {rows[0]['guide']} {rows[0]['status']}"
        raise InputError("sweep", found, "one row or more", "mend what it says")
    if path is not None:
        runtime.say(logger, f"table: {path}", verbose)
    table = _table(rows)
    table.attrs = {"path": None if path is None else str(path), "k": k}
    return table


def _check(
    model: SequenceGenerator,
    guides: Mapping[str, GuideMaker],
    gammas: Sequence[float],
    n: int,
    judge: JudgeFunction | None,
    arguments: dict[str, Any],
) -> None:
    if not isinstance(guides, Mapping) or not guides or not all(callable(make) for make in guides.values()):
        cure = "give one such as {'free': ClassifierFree}"
        raise InputError(argument("guides"), shown(guides), "a dict of functions of gamma", cure)
    for name in ("guidance", "random_state", "n"):
        if name in arguments:
            cure = f"use {argument('guides')}, {argument('seeds')} and {argument('n')}"
            wanted = "none, as sweep itself gives it to generate"
            raise InputError(argument(name), shown(arguments[name]), wanted, cure)
    several = isinstance(gammas, (Sequence, np.ndarray)) and not isinstance(gammas, str) and np.ndim(gammas)
    if not several or not len(gammas):
        raise InputError(argument("gammas"), shown(gammas), "a list of numbers", "give at least one")
    for gamma in gammas:
        Real(-1e9, 1e9).check("gammas", gamma)
    if judge is not None and not callable(judge):
        given = shown(judge) if isinstance(judge, (str, numbers.Number)) else of_kind(judge)
        wanted = "a function of a list of sequences that returns as many numbers"
        cure = "give one such as lambda sequences: classifier.predict_proba(sequences)[:, 0]"
        raise InputError(argument("judge"), given, wanted, cure)
    known = ("y", "template", "steps", "temperature", "length", "forbid")
    if unknown := arguments.keys() - set(known):
        name, wanted = min(unknown), f"an argument of generate, one of {', '.join(known)}"
        raise InputError(argument(name), shown(arguments[name]), wanted, "correct the name, or leave it out")
    model.request(n, **arguments)  # so that a wrong one is refused before the first row


def _measured(
    samples: list[str], judge: JudgeFunction | None, yardstick: Yardstick | None, train: list[str] | None
) -> dict[str, float]:
    """Return the metrics of samples, as far as there is something to compare them with."""
    metrics: dict[str, float] = {"unique": len(set(samples)) / len(samples)}
    if judge is not None:
        metrics["condition"] = float(np.mean(_judged(judge, samples)))
    if yardstick is not None:
        found, ceiling = yardstick.measure("samples", samples).values, yardstick.ends[0].values
        metrics |= {"kmer_js": found["kmer_js"].value, "copied": 1 - found["novel"].value}
        metrics["diversity"] = found["diversity"].value
        if ceiling["kmer_js"].value:
            metrics["kmer_js_ratio"] = metrics["kmer_js"] / ceiling["kmer_js"].value
        return metrics
    if len(samples) > 1:
        metrics["diversity"] = diversity(samples)
    if train is not None:
        metrics["copied"] = copied_fraction(samples, train)
    return metrics


def _judged(judge: JudgeFunction, samples: list[str]) -> np.ndarray:
    """Return the judge's numbers, (n,)."""
    try:
        values = np.asarray(judge(list(samples)), dtype=float)
    except InputError as error:
        raise error.of(argument("judge")) from None
    except (TypeError, ValueError) as error:
        found, wanted = f"the error {shown(str(error), 150)}", "a number for each of a list of sequences"
        raise InputError(argument("judge"), found, wanted, "give a function that returns these") from None
    if values.shape != (len(samples),):
        found, wanted = f"an array of shape {values.shape}", f"a number for each of {len(samples)} sequences"
        raise InputError(argument("judge"), found, wanted, "return as many")
    return values


def _made(
    model: SequenceGenerator,
    guide: Any,
    n: int,
    seed: int,
    arguments: dict[str, Any],
    measure: Callable[[list[str]], dict[str, float]],
) -> dict[str, Any]:
    """Return the metrics of one row."""
    if isinstance(guide, tuple) and len(guide) == 2 and isinstance(guide[1], Mapping):
        guide, arguments = guide[0], arguments | dict(guide[1])
    quiet = copy.copy(model)  # the model itself is not changed: another thread may be using it
    quiet.verbose = 0
    start = time.perf_counter()
    with counting(model.objective_.network) as rows:
        samples = quiet.generate(n, guidance=guide, random_state=seed, **arguments)
    seconds = time.perf_counter() - start
    return {"made": len(samples), "calls": sum(rows) / n, "seconds": seconds, **measure(samples)}


_LOCK = threading.Lock()
_rows: dict[tuple[int, int], list[int]] = {}
"""The counts of each network, by its id and the thread that counts: sweeps in several threads may share a network."""


@contextmanager
def counting(network: nn.Module) -> Iterator[list[int]]:
    """Yield a list to which each call of the network in this thread adds its number of rows."""

    def key() -> tuple[int, int]:
        return id(network), threading.get_ident()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Sized, *rest: Any, **named: Any) -> Any:
            _rows.get(key(), []).append(len(x))
            return function(x, *rest, **named)

        return call

    # Every call of seqdiff's own networks is one of `hidden` or of `advance`; other networks have `forward` alone.
    names = [name for name in ("hidden", "advance") if hasattr(network, name)]
    names = names if "hidden" in names else ["forward"]
    with _LOCK:
        if all(counted_id != id(network) for counted_id, _ in _rows):
            for name in names:
                network.__dict__[name] = counted(getattr(network, name))
        rows = _rows[key()] = list[int]()
    try:
        yield rows
    finally:
        with _LOCK:
            del _rows[key()]
            if all(counted_id != id(network) for counted_id, _ in _rows):
                for name in names:
                    del network.__dict__[name]


def _claim(model: SequenceGenerator, out: PathLike | None) -> Path | None:
    """Return the file to write to, made at once where it is in the run folder, so that no other sweep takes it."""
    if out is not None:
        path = Path(out).expanduser()
        if path.suffix.lower() != ".csv" or not path.absolute().parent.is_dir() or path.is_dir():
            wanted = "a name that ends in .csv, in a folder that is there"
            raise InputError(argument("out"), shown(str(out)), wanted, "give such a name")
        return path
    if model.run_dir_ is None or not Path(model.run_dir_).is_dir():
        return None
    return claim(Path(model.run_dir_), "sweep", ".csv")


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=SWEEP_COLUMNS).astype({"seed": "int64", "made": "int64"})


def _write(rows: list[dict[str, Any]], path: Path | None) -> None:
    if path is not None:
        with runtime.replacing(path) as name:
            _table(rows).to_csv(name, index=False, float_format="%.6g")
