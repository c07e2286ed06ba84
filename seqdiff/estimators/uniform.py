"""`UniformDiffusion`: UDLM under scikit-learn's interface."""

from __future__ import annotations

from typing import Any

from seqdiff.estimators.base import SequenceGenerator
from seqdiff.processes import Multinomial, Process, Uniform
from seqdiff.processes.uniform import linear_keep


class UniformDiffusion(SequenceGenerator):
    """Uniform diffusion in continuous time (UDLM, Schiff et al. 2024, arXiv 2412.10193).

    Letters turn into random ones and are corrected step by step; unlike in masked diffusion each may be corrected
    again and again, which guidance makes use of. The network is told the time.

    Parameters
    ----------
    diffusion_steps : int, optional
        None is continuous time, whose bound is the tighter one; a number T is the same process in T steps.
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
    lr_schedule : {"cosine", "exponential", "constant"}
        ``"exponential"`` multiplies it by `lr_decay` after each epoch.
    lr_decay : float
    warmup : int
        Updates in which the learning rate rises to `lr`.
    weight_decay : float
    update_freq : int
        Batches whose gradients make one update of the weights.
    ema : float
        Decay of the running average of the weights that is validated, saved and sampled from.
    patience : int, optional
        Stop after so many epochs without a better validation bound.
    eval_every, check_every : int
        Epochs between validations, and between checkpoints.
    label_dropout : float
        Share of labels hidden in training, so that the model also learns p(x).
    ambiguous : {"error", "drop"}
        What to do with sequences that hold IUPAC ambiguity codes.
    sequence_column : str, optional
        The column of a table that holds the sequences.
    target : {"auto", "class", "value", "signal"}
        How to read y.
    savepath : path or None
        Folder of the run folders; None writes nothing.
    model_name : str, optional
        Name of the run's folder.
    random_state : int
    device : str
        ``"auto"`` takes a GPU where there is one.
    precision : {"auto", "float32", "bfloat16"}
    verbose : int
        0 is silent.

    Attributes
    ----------
    bound_ : str
        ``"elbo"``: `score_samples` returns lower bounds; the others are those of `MultinomialDiffusion`.

    Examples
    --------
    >>> from seqdiff import UniformDiffusion
    >>> model = UniformDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, steps=10, template="ACGNNN", random_state=0))
    3
    """

    bound_ = Uniform.bound

    def __init__(self, *, diffusion_steps: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.diffusion_steps = diffusion_steps

    def _make_process(self) -> Process:
        letters, steps = len(self.alphabet_), self.diffusion_steps
        return Uniform(letters) if steps is None else Multinomial(letters, steps, linear_keep(steps))
