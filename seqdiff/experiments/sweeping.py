"""`sweep`: guides of several strengths, how far each meets a condition, and what that costs."""

from __future__ import annotations

import copy
import logging
import numbers
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff import runtime
from seqdiff.data import prepare
from seqdiff.errors import InputError, argument, of_kind, shown, warn
from seqdiff.estimators.requests import check_seed
from seqdiff.evaluation import copied_fraction, diversity, kmer_size, summary
from seqdiff.inputs import SequencesLike
from seqdiff.parameters import Real, Whole
from seqdiff.runs import claim

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SWEEP_COLUMNS = ["guide", "gamma", "seed", "made", "condition", "kmer_js", "kmer_js_ratio", "diversity", "unique",
                 "copied",
           "calls", "seconds", "status"]  # fmt: skip


def sweep(
    model: Any,
    guides: Mapping[str, Callable[[float], Any]],
    gammas: Sequence[float],
    *,
    n: int = 100,
    seeds: Any = (0,),
    judge: Callable[[list[str]], Any] | None = None,
    natural: SequencesLike | None = None,
    train: Any = None,
    k: int | None = None,
    out: str | os.PathLike[str] | None = None,
    verbose: int = 1,
    **arguments: Any,
) -> pd.DataFrame:
    """Generate with guides of several strengths, and say what each gains and costs.

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
        Of `generate`; an int is how many.
    judge : callable, optional
        ``judge(sequences: list of str) -> n numbers``, whose mean is the condition met: a share where they are 0 and
        1, a mean activity where a regressor predicts it.
    natural : as X in `fit`, optional
        Sequences that samples should be like.
    train : as X in `fit`, optional
        Those that copies are looked for in; None: `natural`.
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
        A row for each guide, gamma and seed. Columns: `made`, how many sequences there are; `condition`, the mean of
        what `judge` says; `kmer_js`, divergence from `natural` in bits, and `kmer_js_ratio`, over that of natural
        sequences from others (`seqdiff.evaluation.summary`); `diversity`, mean edit distance of random pairs over
        their length; `unique` and `copied`, shares of the sequences; `calls` of the network for each sequence, as
        many as asked for (of the guided model's own, not of classifiers); `seconds`; `status`, ``"done"`` or why not.
        `attrs` holds `path`, the file, and `k`.

    Raises
    ------
    ValueError
        If an argument is not as it should be (before anything is generated), or every row fails.

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
    model.fitted()
    Whole(1).check("n", n)
    Whole(1).check("k", k, optional=True)
    strengths, numbers_of_seeds = _checked(guides, gammas, seeds, arguments)
    reading = {"alphabet": model.alphabet_, "sequence_column": model.sequence_column}
    known = None if natural is None else prepare(natural, **reading)
    if known is not None and len(known) < 2:
        wanted = "at least two, as they are compared with one another"
        raise InputError(argument("natural"), "one sequence", wanted, "give more")
    if k is None:
        lengths = np.array([model.length_distribution_.max_length]) if known is None else known.lengths
        k = kmer_size(len(model.alphabet_), lengths)
    judged = Judged(
        judge,
        None if known is None else known.sequences,
        None if train is None else prepare(train, **reading).sequences,
        k,
    )
    _check_arguments(model, n, arguments)
    path = _claim(model, out)
    rows: list[dict[str, Any]] = []
    told: set[tuple[str, str]] = set()
    todo = [(name, gamma, seed) for name in guides for gamma in strengths for seed in numbers_of_seeds]
    writer = copy.copy(model)  # its parameters are not changed: another thread may be using it
    writer.verbose = 0
    with runtime.progress(len(todo), "row", verbose) as bar:
        for name, gamma, seed in todo:
            row: dict[str, Any] = dict.fromkeys(SWEEP_COLUMNS, np.nan) | {"guide": name, "gamma": gamma, "seed": seed}
            row["made"], row["status"] = 0, "done"
            rows.append(row)
            try:
                row |= _made(writer, guides[name](gamma), n, seed, arguments, judged)
            except Exception as error:  # whatever it is, the others can still be had
                row["status"] = f"failed: {str(error) or type(error).__name__}"
                if (name, row["status"]) not in told:
                    warn(f"{name} at gamma {gamma:g} {row['status']}; the others go on")
                told.add((name, row["status"]))  # what has one cure is said once
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


class Judged:
    """What samples are looked at by.

    Parameters
    ----------
    judge : callable or None
    natural, train : list of str or None
    k : int
    """

    def __init__(self, judge: Any, natural: list[str] | None, train: list[str] | None, k: int) -> None:
        if judge is not None and not callable(judge):
            given = shown(judge) if isinstance(judge, (str, numbers.Number)) else of_kind(judge)
            wanted = "a function of a list of sequences that returns as many numbers"
            cure = "give one such as lambda sequences: classifier.predict_proba(sequences)[:, 0]"
            raise InputError(argument("judge"), given, wanted, cure)
        self.judge, self.natural, self.train, self.k = judge, natural, train, k

    def __call__(self, samples: list[str]) -> dict[str, float]:
        """Return the figures of some sequences."""
        figures: dict[str, float] = {"unique": len(set(samples)) / len(samples)}
        if self.judge is not None:
            figures["condition"] = float(np.mean(self._condition(samples)))
        if len(samples) > 1:
            figures["diversity"] = diversity(samples)
        if self.natural is not None:
            whole = summary(samples, self.natural, self.train, k=self.k)
            figures |= {name: whole[name] for name in ("kmer_js", "kmer_js_ratio", "copied")}
        elif self.train is not None:
            figures["copied"] = copied_fraction(samples, self.train)
        return figures

    def _condition(self, samples: list[str]) -> np.ndarray:
        assert self.judge is not None
        try:
            values = np.asarray(self.judge(list(samples)), dtype=float)
        except InputError as error:
            raise error.of(argument("judge")) from None
        except (TypeError, ValueError) as error:
            found, wanted = f"the error {shown(str(error), 150)}", "a number for each of a list of sequences"
            raise InputError(argument("judge"), found, wanted, "give a function that returns these") from None
        if values.shape != (len(samples),):
            found, wanted = f"an array of shape {values.shape}", f"a number for each of {len(samples)} sequences"
            raise InputError(argument("judge"), found, wanted, "return as many")
        return values


def _checked(guides: Any, gammas: Any, seeds: Any, arguments: dict[str, Any]) -> tuple[list[float], list[int]]:
    """Return the strengths and the seeds."""
    if not isinstance(guides, Mapping) or not guides or not all(callable(make) for make in guides.values()):
        cure = "give one such as {'free': ClassifierFree}"
        raise InputError(argument("guides"), shown(guides), "a dict of functions of gamma", cure)
    for name in ("guidance", "random_state", "n"):
        if name in arguments:
            cure = f"use {argument('guides')}, {argument('seeds')} and {argument('n')}"
            wanted = "none, as sweep itself gives it to generate"
            raise InputError(argument(name), shown(arguments[name]), wanted, cure)
    several = isinstance(gammas, Sequence) and not isinstance(gammas, str) or isinstance(gammas, np.ndarray)
    if not several or not len(gammas):
        raise InputError(argument("gammas"), shown(gammas), "a list of numbers", "give at least one")
    for gamma in gammas:
        Real(-1e9, 1e9).check("gammas", gamma)
    if isinstance(seeds, numbers.Integral):
        Whole(1, 1e6).check("seeds", seeds)
        seeds = range(int(seeds))
    if isinstance(seeds, str) or np.ndim(seeds) == 0 or not len(seeds):
        wanted = "how many, or a list of whole numbers"
        raise InputError(argument("seeds"), shown(seeds), wanted, "give one of these")
    return [float(gamma) for gamma in gammas], [check_seed(seed) for seed in seeds]


def _check_arguments(model: Any, n: int, arguments: dict[str, Any]) -> None:
    """Raise an InputError unless `generate` takes these arguments, whatever the guide is."""
    known = {"y": None, "template": None, "steps": None, "temperature": 1.0, "length": None, "forbid": None}
    if unknown := arguments.keys() - known:
        name, wanted = min(unknown), f"an argument of generate, one of {', '.join(known)}"
        raise InputError(argument(name), shown(arguments[name]), wanted, "correct the name, or leave it out")
    model.request(n, **arguments)


def _made(model: Any, guide: Any, n: int, seed: int, arguments: dict[str, Any], judged: Judged) -> dict[str, Any]:
    """Return the figures of one row."""
    more: dict[str, Any] = {}
    if isinstance(guide, tuple) and len(guide) == 2 and isinstance(guide[1], Mapping):
        guide, more = guide[0], dict(guide[1])
    start = time.perf_counter()
    with counting(model.objective_.network) as rows:
        samples = model.generate(n, guidance=guide, random_state=seed, **arguments | more)
    seconds = time.perf_counter() - start
    return {"made": len(samples), "calls": sum(rows) / n, "seconds": seconds, **judged(samples)}


_COUNTING = threading.Lock()
_counts: dict[tuple[int, int], list[list[int]]] = {}
"""Of each network (its id) that is being counted in a thread: who counts there. Sweeps in several threads may share
one."""


@contextmanager
def counting(network: Any) -> Iterator[list[int]]:
    """Yield a list to which every call of a network inside, in this thread, adds how many rows it was shown.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 3)
    >>> with counting(layer) as rows:
    ...     _ = layer(torch.zeros(5, 2)), layer(torch.zeros(7, 2))
    >>> rows
    [5, 7]
    """
    rows: list[int] = []
    key = (id(network), threading.get_ident())

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Any, *rest: Any, **named: Any) -> Any:
            for counter in _counts.get((id(network), threading.get_ident()), ()):
                counter.append(len(x))
            return function(x, *rest, **named)

        return call

    # All that is asked of seqdiff's own networks goes through one of two; of others through forward.
    names = [name for name in ("hidden", "advance") if callable(getattr(network, name, None))]
    names = names if "hidden" in names else ["forward"]
    with _COUNTING:
        if not any(found == id(network) for found, _ in _counts):
            for name in names:
                network.__dict__[name] = counted(getattr(network, name))
        _counts.setdefault(key, []).append(rows)
    try:
        yield rows
    finally:
        with _COUNTING:
            _counts[key] = [counter for counter in _counts[key] if counter is not rows]
            if not _counts[key]:
                del _counts[key]
            if not any(found == id(network) for found, _ in _counts):
                for name in names:
                    del network.__dict__[name]


def _claim(model: Any, out: Any) -> Path | None:
    """Return the file to write to, which is there from now on, so that no other sweep takes it."""
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
