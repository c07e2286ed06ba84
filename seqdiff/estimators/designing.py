"""`model.design`: sample until enough sequences pass the rules, and measure those that do."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff import runtime
from seqdiff.data import Alphabet, prepare
from seqdiff.data.images import refuse_images
from seqdiff.data.target import EMPIRICAL
from seqdiff.design.designs import Designs, Yield, design_names, reason_text, with_verdicts
from seqdiff.errors import InputError, argument, of_kind, shown, warn
from seqdiff.evaluation.statistics import nearest
from seqdiff.files import tensors_digest
from seqdiff.inputs import LabelsLike, Predictor, SequencesLike
from seqdiff.parameters import Real, Whole

if TYPE_CHECKING:
    from seqdiff.design.rules import DesignRules
    from seqdiff.estimators.base import GeneratorBase

FEWEST = 16
"""Sequences sampled at least in one call, so that a rate of passing can be told from it."""
COPY, KNOWN = "copy", "in the training set"
"""Reasons to reject a sequence that are no rules."""


@dataclass
class Search:
    """What has been sampled so far.

    Parameters
    ----------
    rules : DesignRules or None
    alphabet : Alphabet
    known : frozenset of str
        The training set.

    Attributes
    ----------
    kept, rejected : list of dict
        Rows of the tables of designs and of rejected sequences.
    sampled : int
        Sequences asked for.
    """

    rules: DesignRules | None
    alphabet: Alphabet
    known: frozenset[str]
    seen: set[str] = field(default_factory=set)
    kept: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    sampled: int = 0

    def take(self, sequences: list[str], rows: Sequence[dict[str, Any]], asked: int) -> None:
        """Judge samples, of which `asked` were asked for: the sampler leaves out what it cannot free of motifs."""
        self.sampled += asked
        found = [()] * len(sequences) if self.rules is None else self.rules.check(sequences, self.alphabet)
        for sequence, row, violations in zip(sequences, rows, found, strict=True):
            if sequence in self.seen:
                reasons = f"{COPY}: of an earlier sample"
            elif sequence in self.known:
                reasons = f"{KNOWN}: letter for letter"
            else:
                reasons = reason_text(violations)
            self.seen.add(sequence)
            if reasons:
                self.rejected.append({"sequence": sequence, "reasons": reasons, **row})
            else:
                self.kept.append({"sequence": sequence, **row})

    def made(self) -> Yield:
        """Return the counts, and the table of the rejected."""
        import pandas as pd

        columns = ["sequence", "reasons", "seed", "draw"]
        return Yield.of(self.sampled, len(self.kept), pd.DataFrame(self.rejected, columns=columns))


def design(
    model: GeneratorBase,
    n: int,
    rules: DesignRules | None,
    *,
    train: SequencesLike | None,
    predictor: Predictor | Sequence[Predictor] | None,
    tries: float,
    scores: bool,
    prefix: str,
    seed: int,
    **options: Any,
) -> Designs:
    """Return n designs of a fitted model; arguments as of `GeneratorBase.design`, which documents them."""
    import pandas as pd

    fitted = model.fitted()
    refuse_images(fitted.alphabet, "designs")
    Whole(1).check("n", n)
    Real(1, 1e6).check("tries", tries)
    _check_one_label(model, options.get("y"))
    predictors = as_predictors(predictor)
    reading: dict[str, Any] = {"alphabet": fitted.alphabet, "sequence_column": model.sequence_column}
    known = [] if train is None else prepare(train, **reading).sequences
    if rules is not None:
        if options.get("length") is None and options.get("template") is None:
            _check_lengths(model, rules)
        options["forbid"] = [*as_motifs(options.get("forbid")), *(rules.forbidden(fitted.alphabet) or [])] or None
    search = Search(rules, fitted.alphabet, frozenset(known))
    bound = math.ceil(tries * n)
    while len(search.kept) < n and search.sampled < bound:
        # a share that is rather too high: a further round costs less than samples that nobody wants
        share = (len(search.kept) + 1) / (search.sampled + 1)
        asked = min(bound - search.sampled, max(FEWEST, math.ceil((n - len(search.kept)) / share)))
        here = runtime.seed_of(seed, "design", search.sampled) % 2**32 if search.sampled else seed
        sequences = model.generate(asked, random_state=here, **options)
        own = [None] * len(sequences) if model.labels_ is None else model.labels_.tolist()
        rows = [{"seed": here, "draw": int(i), "label": y} for i, y in zip(model.made_, own, strict=True)]
        search.take(sequences, rows, asked)
    made = search.made()
    if not search.kept:
        cure = f"relax the rules, or give more {argument('tries')}"
        raise InputError(argument("rules"), f"no design: {made}", f"{n:,}", cure)
    kept = search.kept[:n]
    if len(kept) < n:
        warn(f"{len(kept):,} designs instead of {n:,}: {made}; relax the rules, or give more {argument('tries')}")
    sequences = [row["sequence"] for row in kept]
    frame = pd.DataFrame({"name": design_names(len(kept), prefix), "sequence": sequences})
    if scores and model.bound_ is not None:
        nats = model.score_samples(sequences, _labels(model, options.get("y"), [row["label"] for row in kept]))
        frame["bits_per_letter"] = -nats / fitted.alphabet.encode(sequences)[1] / np.log(2)
    frame = frame.assign(**predictions(predictors, sequences))
    if known:
        frame["nearest"], frame["distance"] = nearest(sequences, known)
    if rules is not None:
        frame = with_verdicts(frame, [()] * len(kept), rules)
    digest = tensors_digest(fitted.objective.state_dict())[:16]
    origin = {name: [row[name] for row in kept] for name in ("seed", "draw")}
    provenance = {"generator": f"{type(model).__name__} {model.run_dir_ or 'unsaved'}"}
    return Designs(frame.assign(**origin, model=digest), fitted.alphabet, rules, made, provenance)


def _check_lengths(model: GeneratorBase, rules: DesignRules) -> None:
    """Refuse rules that no sequence of the model can be long or short enough for, before any is sampled."""
    if rules.lengths is None:
        return
    least, most = rules.lengths
    lengths, flanks = model.length_distribution_, model.alphabet_.scan([rules.left_flank, rules.right_flank])[1].sum()
    longest = int(lengths.max_length + flanks)
    if longest < least or lengths.fixed and longest > most:
        found = f"{'' if lengths.fixed else 'at most '}{longest:,} letters, the flanks among them, of this model"
        wanted = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        cure = "give other flanks or another length" + (", or another vendor" if rules.vendor is not None else "")
        raise InputError(f"{argument('rules')}, length", found, f"{wanted} letters", cure)


def _check_one_label(model: GeneratorBase, y: LabelsLike) -> None:
    """Refuse labels that are not one for all designs: it is not known beforehand how many are sampled."""
    if y is None or model.target_ is None or isinstance(y, str) and y == EMPIRICAL:
        return  # what a model without labels says of y is said by `generate`
    try:
        model.target_.encode(y, n=1)
    except ValueError:
        if np.ndim(y) == 0 or len(y) < 2:  # type: ignore[arg-type]
            raise
        wanted = "one label for all designs, as more are sampled than are kept"
        raise InputError(argument("y"), shown(y), wanted, "call design for each label") from None


def _labels(model: GeneratorBase, y: LabelsLike, labels: list[Any]) -> LabelsLike:
    """Return the labels of designs as `score_samples` takes them; those of a signal are not among the samples' own."""
    if y is None:
        return None
    if model.labels_ is None:
        return np.repeat(np.asarray(y)[None], len(labels), 0)
    return np.array(labels, dtype=model.labels_.dtype)


def as_motifs(forbid: Any) -> list[Any]:
    """Return an argument `forbid` as a list."""
    if forbid is None:
        return []
    return list(forbid) if isinstance(forbid, (list, tuple, set, frozenset)) else [forbid]


def as_predictors(predictor: Any) -> list[Predictor]:
    """Return an argument `predictor` as a list; refuse what does not predict."""
    found = list(predictor) if isinstance(predictor, (list, tuple)) else [] if predictor is None else [predictor]
    for one in found:
        if not callable(getattr(one, "predict", None)):
            raise InputError(argument("predictor"), of_kind(one), "an object with the method predict", "give one")
    if len({hasattr(one, "predict_proba") for one in found}) > 1:
        wanted = "several of a kind, whose predictions can be averaged"
        raise InputError(argument("predictor"), "classifiers and regressors", wanted, "call design for each kind")
    return found


def predictions(predictors: Sequence[Any], sequences: list[str]) -> dict[str, np.ndarray]:
    """Return columns of predictions, the means over the predictors.

    Of classifiers `predicted`, the likeliest class, and its `probability`; of regressors `predicted` and, where they
    return standard deviations or are several, `predicted_sd`: of a mixture of them (Lakshminarayanan et al. 2017,
    "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", section 2.4).
    """
    if not predictors:
        return {}
    if hasattr(predictors[0], "predict_proba"):
        classes = list(predictors[0].classes_)
        for one in predictors[1:]:
            if list(one.classes_) != classes:
                wanted = "the same classes of all"
                raise InputError(argument("predictor"), "classifiers of different classes", wanted, "give such ones")
        p = np.mean([one.predict_proba(sequences) for one in predictors], axis=0)
        return {"predicted": np.asarray(classes)[p.argmax(1)], "probability": p.max(1)}
    values, variances = [], []
    for one in predictors:
        if "return_std" in inspect.signature(one.predict).parameters:
            value, sd = one.predict(sequences, return_std=True)
            variances.append(np.square(sd))
        else:
            value = one.predict(sequences)
        values.append(np.asarray(value, dtype=float))
        if values[-1].shape != (len(sequences),):
            found, wanted = f"predictions of shape {values[-1].shape}", f"one for each of {len(sequences)} sequences"
            raise InputError(argument("predictor"), found, wanted, "return as many")
    mean = np.mean(values, axis=0)
    if len(values) == 1 and not variances:
        return {"predicted": mean}
    within = np.mean(variances, axis=0) if variances else 0.0
    return {"predicted": mean, "predicted_sd": np.sqrt(within + np.var(values, axis=0))}
