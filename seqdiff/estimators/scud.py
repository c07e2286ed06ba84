"""`SCUD`: schedule-conditioned diffusion under scikit-learn's interface."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from seqdiff import processes
from seqdiff.data import Dataset
from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.estimators.parameters import ORDER
from seqdiff.model import Vocabulary
from seqdiff.parameters import Choice, Parameter, Real, Switch, Whole, parameter
from seqdiff.processes.categorical import Logistic, logistic_start
from seqdiff.processes.noise.events import events_per_time, one_event, period
from seqdiff.processes.noise.rate_matrices import FORWARDS, make_forward
from seqdiff.processes.noise.schedules import make_schedule


class LogisticSCUD(Logistic, processes.SCUD):
    """SCUD whose network gives a location and a scale."""


class SCUD(SequenceGenerator):
    """Schedule-conditioned diffusion (Amin, Gruver & Wilson 2025, arXiv 2506.08316).

    Letters change in events, as a rate matrix says; the network takes the number of events of each position, and so
    learns only where letters go, not when they jump.

    Examples
    --------
    >>> from seqdiff import SCUD
    >>> model = SCUD(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, steps=10, template="ACGNNN", random_state=0))
    3
    """

    process_class = processes.SCUD
    gamma: float | None = parameter(None, Real(0, 0.999999, optional=True)).doc(
        """From 0, where every event counts as a jump, to below 1: the share of events after which a letter may be as it
        was, so that less is given away; towards 1 this is `ClassicalDiffusion`. It is 1 minus the paper's gamma. With
        ``forward="uniform"`` and gamma = 1/K this is `MaskedDiffusion`. None is 0, or 0.1 where jumps alone would lead
        letters round in a circle for ever, as they do with two letters."""
    )
    forward: Any = parameter(
        "auto", Parameter(kind='{"auto", "uniform", "kimura", "gaussian", "blosum62"} or array')
    ).doc(
        """Rates from letter to letter. `"auto"` is `"blosum62"` for proteins, `"gaussian"` for the levels of images,
        else `"uniform"`; `"kimura"` is for DNA and RNA, `"gaussian"` for letters that have an order; an array is a rate
        matrix (K, K) in the order of the alphabet: its rows sum to 0."""
    )
    schedule: str = parameter("mutual_information", Choice(("mutual_information", "linear", "cos", "log-linear"))).doc(
        """When events come: with `"mutual_information"` every step of the sampler wins back as much information about
        the letters. The bound depends on their number alone."""
    )
    logistic: bool = parameter(False, Switch()).doc(
        "For ordered alphabets of many letters: the network gives a location and a scale instead of K logits."
    )
    correctors: int = parameter(0, Whole(0, 1000)).doc(
        """Corrector steps after each step of the sampler, each one more call of the network: events are undone and done
        again."""
    )
    order: str = ORDER
    batches = 2700

    def make_process(self, vocabulary: Vocabulary) -> processes.SCUD:
        spec = self.forward
        if isinstance(spec, str) and spec not in ("auto", *FORWARDS):
            known = listed([name for name in ("auto", *FORWARDS) if name != "absorbing"], "or")
            raise InputError(argument("forward"), shown(spec), f"{known}, or an array of rates", "give one of these")
        if isinstance(spec, str) and spec == "auto":
            ordered = "gaussian" if vocabulary.alphabet.ordered else "uniform"
            spec = "blosum62" if vocabulary.alphabet.name == "protein" else ordered
        forward = make_forward(spec, vocabulary.alphabet.letters)
        gamma = self.gamma
        if gamma is None:
            gamma = 0.1 if period(one_event(forward, events_per_time(forward, 0.0))) > 1 else 0.0
        # Stretched where the rates are slow, so that the noise forgets the data; never compressed.
        scale = events_per_time(forward, gamma) * max(1.0, 1 / forward.gap)
        make = LogisticSCUD if self.logistic else processes.SCUD
        # other letters keep the noise levels that their seeds have always drawn
        gradual = vocabulary.alphabet.ordered and forward.gradual
        schedule = make_schedule(self.schedule, scale)
        spread = self.order == "spread"
        return make(forward, gamma, schedule, correctors=self.correctors, gradual=gradual, spread=spread)

    def first_logits(self, train: Dataset, vocabulary: Vocabulary, weight: np.ndarray | None) -> Tensor:
        frequencies = super().first_logits(train, vocabulary, weight)
        return logistic_start(frequencies) if self.logistic else frequencies
