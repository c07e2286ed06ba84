"""`ClassicalDiffusion`: diffusion by any rate matrix under scikit-learn's interface."""

from __future__ import annotations

from typing import Any

from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.estimators.parameters import ORDER
from seqdiff.model import Vocabulary
from seqdiff.parameters import Choice, Parameter, parameter
from seqdiff.processes import Classical
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.processes.noise.schedules import make_schedule


class ClassicalDiffusion(SequenceGenerator):
    """Classical diffusion in continuous time by any rate matrix (Campbell et al. 2022, arXiv 2205.14987).

    Letters turn into others as the rate matrix says: amino acids into those that replace them in evolution, levels of
    an ordered alphabet into their neighbours. ``forward="uniform"`` and ``"absorbing"`` are `UniformDiffusion` and
    `MaskedDiffusion` written in general terms, and slower.

    Examples
    --------
    >>> from seqdiff import ClassicalDiffusion
    >>> model = ClassicalDiffusion(forward="blosum62", width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["MKVLAT", "MKILAT", "MRVLST", "MKVLST"])
    >>> len(model.generate(3, steps=10, random_state=0))
    3
    """

    process_class = Classical
    forward: Any = parameter(
        "uniform", Parameter(kind='{"uniform", "absorbing", "gaussian", "kimura", "blosum62"} or array')
    ).doc(
        """An array is a rate matrix (K, K) in the order of the alphabet: its rows sum to 0. `"gaussian"` is for letters
        that have an order, `"blosum62"` for proteins, `"kimura"` for DNA and RNA."""
    )
    schedule: str = parameter("linear", Choice(("linear", "cos", "log-linear", "mutual_information"))).doc(
        """Decay of alpha, the remembered share, with time; for slow rates, time is stretched so
        that alpha is the slowest correlation. `"mutual_information"` lets the information about a clean letter fall
        evenly, for letters as frequent as in the training data."""
    )
    order: str = ORDER

    def make_process(self, vocabulary: Vocabulary) -> Classical:
        forward = make_forward(self.forward, vocabulary.alphabet.letters)
        # Stretched where the rates are slow, so that the noise forgets the data; never compressed.
        schedule = make_schedule(self.schedule, max(1.0, 1 / forward.gap))
        gradual = vocabulary.alphabet.ordered and forward.gradual
        return Classical(forward, schedule, gradual=gradual, spread=self.order == "spread")
