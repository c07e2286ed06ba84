"""`Autoregressive`: next-letter prediction under scikit-learn's interface, the baseline of every diffusion."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff import processes
from seqdiff.data import Dataset
from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.inputs import NetworkLike
from seqdiff.model import Vocabulary
from seqdiff.networks import NETWORKS
from seqdiff.parameters import Real, Whole, parameter, parameters_of

NETWORK = parameters_of(SequenceGenerator)["network"]


class Autoregressive(SequenceGenerator):
    """A causal network that generates one letter after another; its likelihood is exact.

    Where the training sequences have several lengths, an end token says where a sequence stops, and its probability is
    part of the likelihood; sequences longer than any in training have probability 0. With one length there is no end
    token. `generate` draws letters until the end token. Where `length` or a template fixes the length, samples follow
    p(x | length) in the limit of many particles, of which each takes 64, weighted by the probability that the end comes
    there. Letters are drawn from left to right: those that a template fixes later have no influence on earlier ones,
    unless particles look ahead (`LookAhead`, which `infill` and `mutate` use). One network call generates one letter
    of all sequences: `steps` of `generate`, `times` and `random_state` of `score_samples` have no effect. A signal (`y`
    of shape (n, L, C)) is read from left to right too.

    Examples
    --------
    >>> from seqdiff import Autoregressive
    >>> model = Autoregressive(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, template="ACGNNN", random_state=0))
    3
    """

    process_class = processes.Autoregressive
    network: NetworkLike = parameter(
        "conv", replace(NETWORK, kind='{"conv", "transformer", "bytenet"} or callable')
    ).doc(f"{NETWORK.text} It must be causal: a callable is called with ``causal=True``.")
    dropout: float | None = parameter(0.2, Real(0, 0.999, optional=True)).doc(
        """Share of the network's channels left out at random in training: such models overfit sooner than diffusions
        do. None is the network's own: conv 0.03, transformer and bytenet 0.1."""
    )
    heads: int | None = parameter(None, Whole(1, 10_000)).doc(
        "Attention heads of the transformer. None is its own number: 4, or the paper's."
    )
    token_dropout: float = parameter(0.0, Real(0, 0.999)).doc(
        """Share of the letters read that are hidden in training (word dropout, Bowman et al. 2016, arXiv 1511.06349),
        against memorising prefixes. 0.1 helps where the validation bound turns round early, and harms where there is
        more to learn than time."""
    )
    batches = 2000

    def make_process(self, vocabulary: Vocabulary) -> processes.Autoregressive:
        lengths, letters = vocabulary.lengths, len(vocabulary.alphabet)
        return processes.Autoregressive(letters, lengths.max_length, not lengths.fixed, self.token_dropout)

    def network_settings(self) -> dict[str, Any]:
        factory: Any = NETWORKS.get(self.network) if isinstance(self.network, str) else self.network
        if callable(factory) and "causal" not in inspect.signature(factory).parameters:
            known = [name for name, network in NETWORKS.items() if "causal" in inspect.signature(network).parameters]
            found = f"{shown(self.network)}, which cannot read from left to right (it takes no 'causal' argument)"
            wanted = f"{listed(known)}, or a function that takes it"
            raise InputError(argument("network"), found, wanted, "give one of these")
        return super().network_settings() | {"heads": self.heads, "causal": True}

    def first_logits(self, train: Dataset, vocabulary: Vocabulary, weight: np.ndarray | None) -> Tensor:
        letters = super().first_logits(train, vocabulary, weight)
        if vocabulary.lengths.fixed:
            return letters
        end = torch.tensor(1 / (1 + np.average(train.lengths, weights=weight)), dtype=letters.dtype)
        return torch.cat([letters + torch.log1p(-end), end.log().expand(len(letters), 1)], 1)
