"""A classifier of noised vectors: p(y | x_t, t) of a fitted `EmbeddingDiffusion`, to steer it by.

It is trained on x_t ~ q(x_t | x_0) of that model's own process, in its own embeddings, t uniform over 0..T, and is told
the time (Diffusion-LM, Li et al. 2022, arXiv 2205.14217). Each position adds to the logits of the classes.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional as F

from seqdiff import runtime
from seqdiff.data import Dataset, LengthLaw, prepare, random_split
from seqdiff.data.target import Target
from seqdiff.estimators import parameters
from seqdiff.estimators.encoding import encode_batch
from seqdiff.networks import Conditions, build_network
from seqdiff.processes.base import State, masked_sum
from seqdiff.processes.categorical import stratified
from seqdiff.processes.embedding import Embedding
from seqdiff.training import Batch, Objective, Settings, Trainer

BATCHES = 1000  # that `epochs=None` makes of any data


class NoisyLabels(Objective):
    """What is trained, the network alone: cross-entropy (nats) of the class of noised sequences."""

    process: Embedding

    def logits(self, state: State) -> Tensor:
        """Return (B, C), sums over real positions."""
        each = self.network(state.x.float(), state.t / self.process.steps, None, state.mask).float()
        return masked_sum(each.transpose(1, 2), state.mask[:, None])

    def losses(self, batch: Batch, u: Tensor, generator: runtime.Generators) -> Tensor:
        """Return the loss of each sequence at the times that u, (B,) in [0, 1), stands for."""
        t = (u * (self.process.steps + 1)).long().clamp_max(self.process.steps)
        with torch.no_grad():
            state = self.process.corrupt(batch.x0, t, batch.mask, generator)
        assert batch.cond is not None
        return F.cross_entropy(self.logits(state), batch.cond["label"], reduction="none")

    def forward(self, batch: Batch, generator: runtime.Generators) -> dict[str, Tensor]:
        return {"loss": self.losses(batch, stratified(len(batch), generator, batch.x0.device), generator)}

    @torch.no_grad()
    def bound(self, batch: Batch, times: int | None, generator: runtime.Generators) -> tuple[Tensor, Tensor]:
        """Return the mean over `times` evenly spaced times, (B,), by which the best weights are chosen."""
        times = times or 1
        u = torch.full((len(batch),), 1.0 / times, device=batch.x0.device, dtype=torch.float64)
        total = torch.stack([self.losses(batch, (i + 0.5) * u, generator) for i in range(times)]).mean(0)
        return total, torch.zeros_like(total)


class NoisyClassifier(BaseEstimator):
    """Tells the classes of sequences from their noised vectors.

    Parameters
    ----------
    model : EmbeddingDiffusion
        Fitted; it is not changed, and need not know the labels.
    width, depth : int
        Size of the network, a small "conv".
    epochs : int, optional
        None: as many as make about 1,000 batches, at most 400.
    batch_size : int
    lr : float
    random_state : int
    verbose : int

    Attributes
    ----------
    classes_ : list
        Sorted.
    evaluations_ : dict of lists
        "bound" is the cross-entropy of held-out sequences in nats, averaged over all times.

    Examples
    --------
    >>> from seqdiff import EmbeddingDiffusion
    >>> X, y = ["ACGTAC", "ACGTTC", "TTTTAC", "TTTTAG"], [0, 0, 1, 1]
    >>> model = EmbeddingDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    >>> classifier = NoisyClassifier(model, epochs=2).fit(X, y)
    >>> classifier.predict_proba(["ACGTAC"], t=0).shape
    (1, 2)
    """

    def __init__(
        self,
        model: Any,
        *,
        width: int = 32,
        depth: int = 2,
        epochs: int | None = None,
        batch_size: int = 64,
        lr: float = 3e-3,
        random_state: int = 0,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.width = width
        self.depth = depth
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> NoisyClassifier:
        """Learn from labelled sequences; a tenth is held out to choose the best weights by.

        Parameters
        ----------
        X, y
            As of the model's `fit`; y are classes.

        Raises
        ------
        ValueError
            If the model is no fitted `EmbeddingDiffusion`, or X and y are not as they should be.
        """
        process = getattr(getattr(self.model, "objective_", None), "process", None)
        if not isinstance(process, Embedding):
            raise ValueError(
                f"model is a {type(self.model).__name__} without noised vectors; give a fitted EmbeddingDiffusion"
            )
        for name in ("width", "depth", "batch_size"):
            parameters.check_number(name, getattr(self, name), numbers.Integral, 1, float("inf"))
        parameters.check_number("epochs", self.epochs, numbers.Integral, 1, float("inf"), True)
        parameters.check_number("lr", self.lr, numbers.Real, 1e-12, 1e3)
        parameters.check_number("random_state", self.random_state, numbers.Integral, 0, 2**63 - 1)
        data = prepare(X, y, alphabet=self.model.alphabet_)
        law = self._length_law(data)
        if data.y is None:
            raise ValueError("y is missing; give a class for each sequence")
        target = Target().fit(data.y, "class")
        if len(target.classes_) < 2:
            raise ValueError(f"y has the one class {target.classes_[0]!r}; give sequences of two or more")
        device = next(self.model.objective_.parameters()).device
        batch = encode_batch(data, law.max_length, device, target)
        assert batch.cond is not None
        batch = batch.take(batch.cond["keep"])  # those whose label is known
        with runtime.seeded_weights(int(self.random_state)):
            network = build_network(
                "conv",
                {"width": self.width, "depth": self.depth},
                states=process.dim,
                letters=len(target.classes_),
                length=law.max_length,
                conditions=Conditions(),
                fixed_length=law.fixed,
            )
        objective = runtime.place(NoisyLabels(process, network), device)
        kept, held = random_split(len(batch), 0.1, int(self.random_state))
        train, valid = (batch.take(torch.from_numpy(rows).to(device)) for rows in (kept, held))
        trainer = Trainer(objective, train, valid, self._settings(len(kept)))
        objective.load_state_dict(trainer.fit())
        self.objective_ = objective.requires_grad_(False).eval()
        self.classes_, self.evaluations_ = list(target.classes_), trainer.evaluations
        return self

    def _length_law(self, data: Dataset) -> LengthLaw:
        """Return the model's, if it knows the sequences' lengths."""
        law = self.model.length_law_
        if (data.lengths > law.max_length).any():
            raise ValueError(
                f"X has a sequence of {data.lengths.max()} letters, but the model knows at most {law.max_length}; "
                "leave longer ones out"
            )
        return law

    def _settings(self, n: int) -> Settings:
        epochs = self.epochs or min(max(1, round(BATCHES * self.batch_size / n)), 400)
        return Settings(
            epochs=epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            lr_schedule="cosine",
            warmup=20,
            weight_decay=0.01,
            ema=0.99,
            label_dropout=0.0,
            precision="float32",
            seed=int(self.random_state),
            verbose=self.verbose,
        )

    def log_prob(self, state: State) -> Tensor:
        """Return log p(y | x_t, t), (B, C), differentiable in the vectors of a state of the model's process.

        Raises
        ------
        ValueError
            If the state cannot be of the model that the classifier was fitted to.
        """
        check_is_fitted(self, "objective_")
        self._check(state)
        return torch.log_softmax(self.objective_.logits(state), -1)

    def noise_scale(self, state: State) -> Tensor:
        """Return sqrt(v_t), (B,), the standard deviation of the noise in the vectors of a state."""
        self._check(state)
        return self.model.objective_.process.noise[state.t].sqrt()

    def _check(self, state: State) -> None:
        """Raise a ValueError for the states of another model: letters, points, other vectors, times or lengths."""
        process, longest = self.model.objective_.process, self.model.length_law_.max_length
        vectors = state.x.ndim == 3 and state.x.is_floating_point() and not state.t.is_floating_point()
        if not (
            vectors
            and state.x.shape[2] == process.dim
            and state.x.shape[1] <= longest
            and bool((state.t <= process.steps).all())
        ):
            raise ValueError(
                "the classifier knows the noised vectors of the EmbeddingDiffusion that it was fitted to "
                f"({process.dim} dimensions, times 0 to {process.steps}, at most {longest} letters), but was given "
                f"other states, of shape {tuple(state.x.shape)}; generate with that model"
            )

    def predict_proba(self, X: Any, t: int = 0, random_state: int = 0) -> np.ndarray:
        """Return p(y | x_t) (n, C) of sequences noised to time t of 0 to T.

        Raises
        ------
        ValueError
            If the sequences have letters that the model does not know or are longer than it knows, or there is no
            such time.
        """
        check_is_fitted(self, "objective_")
        model, process = self.model, self.model.objective_.process
        parameters.check_number("t", t, numbers.Integral, 0, process.steps)
        seed = parameters.check_seed(random_state)
        data = prepare(X, alphabet=model.alphabet_)
        device = next(model.objective_.parameters()).device
        batch = encode_batch(data, self._length_law(data).max_length, device)
        return np.concatenate([p.cpu().numpy() for p in self._probabilities(batch, t, seed)])

    def _probabilities(self, batch: Batch, t: int, seed: int) -> Iterator[Tensor]:
        process = self.model.objective_.process
        for n, first in enumerate(range(0, len(batch), runtime.CHUNK)):
            part = batch.take(slice(first, first + runtime.CHUNK))
            generators = runtime.chunk_generators(len(part), part.x0.device, seed, "noise", first=n)
            times = torch.full((len(part),), t, device=part.x0.device)
            yield self.log_prob(process.corrupt(part.x0, times, part.mask, generators)).exp()
