"""`ClassicalDiffusion`: diffusion by any rate matrix under scikit-learn's interface."""

from __future__ import annotations

from typing import Any

from seqdiff.estimators.base import SequenceGenerator
from seqdiff.processes import Classical
from seqdiff.processes.rates import make_forward
from seqdiff.processes.schedules import make_schedule


class ClassicalDiffusion(SequenceGenerator):
    """Classical diffusion in continuous time by any rate matrix (Campbell et al. 2022, arXiv 2205.14987).

    Letters turn into others as the rate matrix says: amino acids into those that replace them in evolution, levels of
    an ordered alphabet into their neighbours. ``forward="uniform"`` and ``"absorbing"`` are `UniformDiffusion` and
    `MaskedDiffusion` written in general terms, and slower.

    Parameters
    ----------
    forward : {"uniform", "absorbing", "gaussian", "kimura", "blosum62"} or array
        An array is a rate matrix (K, K) in the order of the alphabet: its rows sum to 0. ``"gaussian"`` is for
        letters that have an order, ``"blosum62"`` for proteins, ``"kimura"`` for DNA and RNA.
    schedule : {"linear", "cos", "log-linear", "mutual_information"}
        How the share alpha of what is remembered falls with time; for rates that forget slowly, time is stretched so
        that alpha is the slowest correlation. ``"mutual_information"`` lets the information about a clean letter fall
        evenly, for letters as frequent as in the training data.
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
    >>> from seqdiff import ClassicalDiffusion
    >>> model = ClassicalDiffusion(forward="blosum62", width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["MKVLAT", "MKILAT", "MRVLST", "MKVLST"])
    >>> len(model.generate(3, steps=10, random_state=0))
    3
    """

    bound_ = Classical.bound

    def __init__(self, *, forward: Any = "uniform", schedule: str = "linear", **common: Any) -> None:
        super().__init__(**common)
        self.forward = forward
        self.schedule = schedule

    def _make_process(self) -> Classical:
        forward = make_forward(self.forward, self.alphabet_.letters)
        # Stretched where the rates are slow, so that the noise forgets the data; never compressed.
        return Classical(forward, make_schedule(self.schedule, max(1.0, 1 / forward.gap)))
