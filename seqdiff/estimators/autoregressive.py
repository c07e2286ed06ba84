"""`Autoregressive`: next-letter prediction under scikit-learn's interface, the baseline of every diffusion."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff import processes
from seqdiff.data import Dataset
from seqdiff.data.letters import shown
from seqdiff.estimators.base import SequenceGenerator
from seqdiff.networks import NETWORKS


class Autoregressive(SequenceGenerator):
    """A causal network that writes one letter after another; its likelihood is exact.

    Where the training sequences have several lengths, an end token says where a sequence stops, and its probability is
    part of the likelihood; sequences longer than any in training have probability 0. With one length there is no end
    token. `generate` draws letters until the end token. Where `length` or a template fixes the length, samples follow
    p(x | length) in the limit of many particles, of which each takes 64: they are weighted by how likely the end is to
    come there and not before. Letters are drawn from left to right, so letters that a template fixes at a later
    position have no influence on those before it unless particles look ahead (`LookAhead`; `infill` and `mutate` do so
    without being asked). One network call writes one letter of
    all sequences: `steps` of `generate`, `times` and `random_state` of `score_samples` are accepted and not used. A
    signal (`y` of shape (n, L, C)) is seen from left to right too.

    Parameters
    ----------
    network : {"conv", "transformer", "bytenet"} or callable
        The neural network; in a paper's size ``"transformer-tiny"``, ``"transformer-small"``,
        ``"transformer-medium"`` or ``"bytenet-carp"``. A function's network must be causal; it is called with
        ``causal=True``.
    width, depth : optional
        Size of the network; None means the network's own (conv: 64, 6; transformer: 128, 4; bytenet: 128, 8).
    heads : int, optional
        Attention heads of the transformer; None means its own (4, or the paper's).
    dropout : float
        Share of the channels left out in training: such models overfit sooner than diffusions do.
    token_dropout : float
        Share of the letters read that are hidden in training (word dropout, Bowman et al. 2016, arXiv 1511.06349): what
        was learned by heart of a prefix is of no use then. 0.1 helps where the validation figure turns round early, and
        harms where there is more to learn than time.
    length : int, optional
        Letters of each sequence; None takes what the data has, which may vary.
    alphabet : str or Alphabet
        ``"auto"``, ``"dna"``, ``"rna"``, ``"protein"`` or the letters themselves.
    epochs : int, optional
        None: as many as make about 2,000 batches, and sqrt(n/10,000) times as many for n above 10,000
        sequences; at most 400 epochs.
    batch_size : int
    patience : int, optional
        Stop after so many epochs without a better validation likelihood; the best weights are kept in any case.
    lr : float
        Learning rate.
    **common
        Other parameters are those of `MultinomialDiffusion`.

    Attributes
    ----------
    bound_ : str
        ``"exact"``: `score_samples` returns log-likelihoods. Other attributes are those of `MultinomialDiffusion`.

    Examples
    --------
    >>> from seqdiff import Autoregressive
    >>> model = Autoregressive(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, template="ACGNNN", random_state=0))
    3
    """

    bound_ = processes.Autoregressive.bound
    batches = 2000

    def __init__(
        self,
        *,
        network: Any = "conv",
        heads: int | None = None,
        dropout: float | None = 0.2,
        token_dropout: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(network=network, dropout=dropout, **common)
        self.heads = heads
        self.token_dropout = token_dropout

    def _make_process(self) -> processes.Autoregressive:
        law = self.length_law_
        return processes.Autoregressive(len(self.alphabet_), law.max_length, not law.fixed, self.token_dropout)

    def _network_options(self) -> dict[str, Any]:
        factory: Any = NETWORKS.get(self.network) if isinstance(self.network, str) else self.network
        if callable(factory) and "causal" not in inspect.signature(factory).parameters:
            known = [name for name, network in NETWORKS.items() if "causal" in inspect.signature(network).parameters]
            raise ValueError(
                f"network={shown(self.network)} cannot read from left to right (it takes no 'causal' argument); "
                f"give one of {', '.join(map(repr, known))}, or a function that takes it"
            )
        return super()._network_options() | {"heads": self.heads, "causal": True}

    def _first_guess(self, train: Dataset, weight: np.ndarray | None) -> Tensor:
        letters = super()._first_guess(train, weight)
        if self.length_law_.fixed:
            return letters
        end = torch.tensor(1 / (1 + np.average(train.lengths, weights=weight)), dtype=letters.dtype)
        return torch.cat([letters + torch.log1p(-end), end.log().expand(len(letters), 1)], 1)
