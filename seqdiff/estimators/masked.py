"""`MaskedDiffusion`: masked diffusion under scikit-learn's interface."""

from __future__ import annotations

import numbers
from functools import partial
from typing import Any

from seqdiff.data.letters import shown
from seqdiff.estimators import parameters
from seqdiff.estimators.base import SequenceGenerator
from seqdiff.processes.masked import ConfidentFirst, FirstHitting, MarginFirst, Masked

_PROCESSES = {
    ("ancestral", "random"): Masked,
    ("first-hitting", "random"): FirstHitting,
    ("first-hitting", "confidence"): ConfidentFirst,
    ("first-hitting", "margin"): MarginFirst,
}


class MaskedDiffusion(SequenceGenerator):
    """Masked diffusion (MDLM, Sahoo et al. 2024, arXiv 2406.07524): letters vanish behind masks and come back.

    Parameters
    ----------
    diffusion_steps : int, optional
        T of the bound that is trained and scored; None is continuous time, which is tighter.
    time_conditioning : bool
        Whether the network is told the time, which it can tell from the masks.
    sampler : {"first-hitting", "ancestral"}
        ``"first-hitting"`` (arXiv 2409.02908) is exact with one network call per letter, and writes several letters a
        call where `generate` is given fewer steps; ``"ancestral"`` goes through times (100 by default, or T) and is
        exact in the limit of many.
    order : {"random", "confidence", "margin"}
        Which letter first-hitting sampling writes next: any, or the one the network is surest of (by the largest
        probability, or by its distance from the second). Only ``"random"`` follows the model's law.
    remasking : float
        For the ancestral sampler: share (0 to 1) of the largest possible chance with which written letters are
        masked again (ReMDM, arXiv 2503.00307, rescaled), so that mistakes can be undone.
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
        None: as many as make about 3,000 batches, and sqrt(n/10,000) times as many for n above 10,000
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
    >>> from seqdiff import MaskedDiffusion
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, template="ACGNNN", random_state=0))
    3
    """

    bound_ = Masked.bound

    def __init__(
        self,
        *,
        diffusion_steps: int | None = None,
        time_conditioning: bool = False,
        sampler: str = "first-hitting",
        order: str = "random",
        remasking: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.diffusion_steps = diffusion_steps
        self.time_conditioning = time_conditioning
        self.sampler = sampler
        self.order = order
        self.remasking = remasking

    def _make_process(self) -> Masked:
        parameters.check_number("remasking", self.remasking, numbers.Real, 0, 1)
        chosen = (self.sampler, self.order)
        make: Any = _PROCESSES.get(chosen) if all(isinstance(name, str) for name in chosen) else None
        if make is None:
            known = "; ".join(f"sampler={sampler!r}, order={order!r}" for sampler, order in _PROCESSES)
            raise ValueError(
                f"sampler={shown(self.sampler)} with order={shown(self.order)} is not possible; give one of: {known}"
            )
        if make is Masked:
            make = partial(make, remasking=float(self.remasking))
        elif self.remasking:
            raise ValueError(f"remasking={self.remasking} needs sampler='ancestral'; give that, or remasking=0")
        return make(len(self.alphabet_), self.diffusion_steps, bool(self.time_conditioning))
