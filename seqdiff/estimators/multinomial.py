"""`MultinomialDiffusion`: GPro's generator under scikit-learn's interface."""

from __future__ import annotations

from typing import Any

from seqdiff.estimators.base import SequenceGenerator
from seqdiff.processes import Multinomial


class MultinomialDiffusion(SequenceGenerator):
    """Multinomial diffusion (Hoogeboom et al. 2021, arXiv 2102.05379), as in GPro's `Diffusion_language`.

    The defaults are GPro's: a linear transformer of 51.5 million parameters, 100 steps of noise, 200 epochs at batch
    size 32. They are meant for a GPU. On a CPU ``network="conv", lr=2e-3, batch_size=128, epochs=20`` is as good and
    needs minutes.

    Parameters
    ----------
    diffusion_steps : int
        T, the steps of noise; `generate` may take fewer.
    network : {"linear-transformer", "conv", "transformer", "bytenet"} or callable
        The neural network; in a paper's size ``"transformer-tiny"``, ``"transformer-small"``,
        ``"transformer-medium"`` or ``"bytenet-carp"``.
    width, depth, dropout : optional
        Size of the network; None means the network's own (linear-transformer: 512, 12, 0; conv: 64, 6, 0.03;
        transformer: 128, 4, 0.1; bytenet: 128, 8, 0.1).
    heads : int, optional
        Attention heads; None means the network's own (linear-transformer: 16, transformer: 4).
    local_heads, local_size : int
        How many heads of the linear transformer are local, and the letters in their window.
    length : int, optional
        Letters of each sequence; None takes what the data has, which may vary.
    alphabet : str or Alphabet
        ``"auto"``, ``"dna"``, ``"rna"``, ``"protein"`` or the letters themselves.
    epochs, batch_size : int
    lr : float
        Learning rate.
    lr_schedule : {"exponential", "cosine", "constant"}
        ``"exponential"`` multiplies it by `lr_decay` (GPro's `gamma`) after each epoch.
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
    random_state : int, RandomState, Generator or None
        Seed of weights, batches and noise; what None or a generator of numbers came to is kept in `fit_seed_`.
    device : str
        ``"auto"`` takes a GPU where there is one.
    precision : {"auto", "float32", "bfloat16"}
    verbose : int
        0 is silent.

    Attributes
    ----------
    alphabet_ : Alphabet
    length_law_ : LengthLaw
        The law of the lengths of the training data.
    target_ : Target or None
    objective_ : Objective
        Process and network.
    run_dir_ : str or None
    history_, evaluations_ : dict of lists
        Loss per epoch and validation bounds.
    seed_ : int
        Seed of the last `generate`.
    bound_ : str
        ``"elbo"``: `score_samples` returns lower bounds.

    Examples
    --------
    >>> from seqdiff import MultinomialDiffusion
    >>> model = MultinomialDiffusion(network="conv", width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, template="ACGNNN", random_state=0))
    3
    """

    bound_ = Multinomial.bound

    def __init__(
        self,
        *,
        diffusion_steps: int = 100,
        network: Any = "linear-transformer",
        heads: int | None = None,
        local_heads: int = 8,
        local_size: int = 25,
        epochs: int = 200,
        batch_size: int = 32,
        lr: float = 1e-4,
        lr_schedule: str = "exponential",
        warmup: int = 0,
        weight_decay: float = 0.0,
        eval_every: int = 2,
        check_every: int = 20,
        **common: Any,
    ) -> None:
        super().__init__(
            network=network,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            lr_schedule=lr_schedule,
            warmup=warmup,
            weight_decay=weight_decay,
            eval_every=eval_every,
            check_every=check_every,
            **common,
        )
        self.diffusion_steps = diffusion_steps
        self.heads = heads
        self.local_heads = local_heads
        self.local_size = local_size

    def _make_process(self) -> Multinomial:
        return Multinomial(len(self.alphabet_), self.diffusion_steps)

    def _network_options(self) -> dict[str, Any]:
        own = {"heads": self.heads, "local_heads": self.local_heads, "local_size": self.local_size}
        return super()._network_options() | own
