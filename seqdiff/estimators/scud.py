"""`SCUD`: schedule-conditioned diffusion under scikit-learn's interface."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from torch import Tensor

from seqdiff import processes
from seqdiff.data import Dataset
from seqdiff.data.letters import shown
from seqdiff.estimators import parameters
from seqdiff.estimators.base import SequenceGenerator
from seqdiff.processes.logistic import Logistic, logistic_start
from seqdiff.processes.powers import events_per_time, one_event, period
from seqdiff.processes.rates import FORWARDS, make_forward
from seqdiff.processes.schedules import make_schedule


class LogisticSCUD(Logistic, processes.SCUD):
    """SCUD whose network gives a location and a scale."""


class SCUD(SequenceGenerator):
    """Schedule-conditioned diffusion (Amin, Gruver & Wilson 2025, arXiv 2506.08316).

    Letters change in events, as a rate matrix says; the network is told how many events each position has had, and
    so has only to learn where letters went, not when they jumped.

    Parameters
    ----------
    gamma : float, optional
        From 0, where every event counts as a jump, to below 1: the share of events after which a letter may be as it
        was, so that less is given away; towards 1 this is `ClassicalDiffusion`. 1 minus the paper's gamma. With
        ``forward="uniform"`` and gamma = 1/K it is `MaskedDiffusion`. None: 0, or 0.1 where jumps alone would lead
        letters round in a circle for ever, as they do with two letters.
    forward : {"auto", "uniform", "kimura", "gaussian", "blosum62"} or array
        Which letters turn into which. ``"auto"`` is ``"blosum62"`` for proteins, else ``"uniform"``; ``"kimura"`` is
        for DNA and RNA, ``"gaussian"`` for letters that have an order; an array is a rate matrix (K, K) in the order
        of the alphabet: its rows sum to 0.
    schedule : {"mutual_information", "linear", "cos", "log-linear"}
        When events come: with ``"mutual_information"`` every step of the sampler wins back as much information about
        the letters. The bound depends on their number alone.
    logistic : bool
        For ordered alphabets of many letters: the network gives a location and a scale instead of K logits.
    correctors : int
        Corrector steps after each step of the sampler, each one more call of the network: events are undone and done
        again.
    network : {"conv", "transformer", "bytenet", "linear-transformer"} or callable
        The neural network; in a paper's size ``"transformer-tiny"``, ``"transformer-small"``,
        ``"transformer-medium"`` or ``"bytenet-carp"``.
    width, depth, dropout : optional
        Size of the network; None means the network's own (conv: 64, 6, 0.03; transformer: 128, 4, 0.1; bytenet: 128,
        8, 0.1; linear-transformer: 512, 12, 0).
    length : int, optional
        Letters of each sequence; None takes what the data has, which may vary.
    alphabet : str or Alphabet
        ``"auto"``, ``"dna"``, ``"rna"``, ``"protein"`` or the letters themselves.
    epochs : int, optional
        None: as many as make about 2,700 batches, and sqrt(n/10,000) times as many for n above 10,000
        sequences; at most 400 epochs.
    batch_size : int
    lr : float
        Learning rate.
    **common
        Other parameters are those of `MultinomialDiffusion`.

    Attributes
    ----------
    bound_ : str
        ``"elbo"``: `score_samples` returns lower bounds. Other attributes are those of `MultinomialDiffusion`.

    Examples
    --------
    >>> from seqdiff import SCUD
    >>> model = SCUD(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, steps=10, template="ACGNNN", random_state=0))
    3
    """

    bound_ = processes.SCUD.bound
    batches = 2700

    def __init__(
        self,
        *,
        gamma: float | None = None,
        forward: Any = "auto",
        schedule: str = "mutual_information",
        logistic: bool = False,
        correctors: int = 0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.gamma = gamma
        self.forward = forward
        self.schedule = schedule
        self.logistic = logistic
        self.correctors = correctors

    def _make_process(self) -> processes.SCUD:
        parameters.check_number("gamma", self.gamma, numbers.Real, 0, 0.999999, True)
        parameters.check_number("correctors", self.correctors, numbers.Integral, 0, 1000)
        spec = self.forward
        if isinstance(spec, str) and spec not in ("auto", *FORWARDS):
            known = ", ".join(repr(name) for name in ("auto", *FORWARDS) if name != "absorbing")
            raise ValueError(f"forward={shown(spec)} is not known; give one of {known}, or an array of rates")
        if isinstance(spec, str) and spec == "auto":
            spec = "blosum62" if self.alphabet_.name == "protein" else "uniform"
        forward = make_forward(spec, self.alphabet_.letters)
        gamma = self.gamma
        if gamma is None:
            gamma = 0.1 if period(one_event(forward, events_per_time(forward, 0.0))) > 1 else 0.0
        # Stretched where the rates are slow, so that the noise forgets the data; never compressed.
        scale = events_per_time(forward, gamma) * max(1.0, 1 / forward.gap)
        make = LogisticSCUD if self.logistic else processes.SCUD
        return make(forward, gamma, make_schedule(self.schedule, scale), correctors=self.correctors)

    def _first_guess(self, train: Dataset, weight: np.ndarray | None) -> Tensor:
        frequencies = super()._first_guess(train, weight)
        return logistic_start(frequencies) if self.logistic else frequencies
