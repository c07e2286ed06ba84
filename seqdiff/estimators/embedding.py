"""`EmbeddingDiffusion`: diffusion of embedded letters under scikit-learn's interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff import runtime
from seqdiff.data import Alphabet
from seqdiff.errors import InputError, argument, shorten, shown
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.model import Vocabulary
from seqdiff.parameters import Choice, Parameter, Real, Switch, Whole, parameter
from seqdiff.processes.embedding import DiffusionLM, Embedding
from seqdiff.processes.noise.embeddings import GAUSSIAN_SCHEDULES, blosum62_embeddings, even_embeddings

LOSSES: dict[str, type[Embedding]] = {"bound": Embedding, "paper": DiffusionLM}


class EmbeddingDiffusion(SequenceGenerator):
    """Diffusion of embedded letters (Diffusion-LM, Li et al. 2022, arXiv 2205.14217).

    Each letter is a vector; vectors are noised by Gaussians, step by step, and the network learns which letters they
    were. The vectors are learned with the network, or given.

    Attributes
    ----------
    embeddings_ : ndarray
        (K, D) the vectors as the model uses them: their mean is 0 and their mean square 1.

    Examples
    --------
    >>> from seqdiff import EmbeddingDiffusion
    >>> model = EmbeddingDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, steps=10, template="ACGNNN", random_state=0)), model.embeddings_.shape
    (3, (4, 3))
    """

    process_class = Embedding
    dim: int | None = parameter(None, Whole(1)).doc(
        """D, the dimension of the vectors. None takes that of `embeddings`, else 16, or one less than there are letters
        where that is smaller: enough for all to be equally far from one another."""
    )
    embeddings: Any = parameter(None, Parameter(kind='{"blosum62"} or array')).doc(
        """Vectors (K, D) to start from, in the order of the alphabet; `"blosum62"` are the eigenvectors of BLOSUM62
        (for proteins), None vectors that are all as far from one another as can be. Their mean and scale do not
        matter."""
    )
    learn_embeddings: bool = parameter(True, Switch()).doc("Whether training moves the vectors.")
    schedule: str = parameter("sqrt", Choice(("sqrt", "cosine", "linear"))).doc("How the noise grows with time.")
    diffusion_steps: int = parameter(1000, Whole(1, 1_000_000)).doc(
        """T, the steps of noise: more make the bound tighter and training no slower. `generate` takes 100 of them, or
        its `steps`, which is another, close model; T + 1 is the one that is scored."""
    )
    loss: str = parameter("bound", Choice(tuple(LOSSES))).doc(
        """Training loss: the variational bound that `score_samples` reports, or the paper's loss, which counts every
        level of noise alike and is none."""
    )
    clamp: bool = parameter(False, Switch()).doc(
        """Whether samples move to the nearest embedding at each step (the paper's clamping trick): likelier letters,
        but not the distribution that was learned."""
    )
    eta: float = parameter(1.0, Real(0, 1)).doc(
        """Noise of the sampler, from 1 (the model that is scored) to 0 (none but at the start and in the last letters,
        as in DDIM)."""
    )
    self_conditioning: bool = parameter(False, Switch()).doc(
        """Whether the network takes its last prediction as input (arXiv 2208.04202). Scoring takes two calls a level
        then, generating one as before."""
    )

    @property
    def embeddings_(self) -> np.ndarray:
        if not hasattr(self, "objective_"):
            raise AttributeError("embeddings_ is known once the model is fitted; fit(X) first")
        process: Any = self.objective_.process
        return process.embeddings.detach().cpu().numpy()

    def make_process(self, vocabulary: Vocabulary) -> Embedding:
        return LOSSES[self.loss](
            self._table(vocabulary.alphabet),
            GAUSSIAN_SCHEDULES[self.schedule](self.diffusion_steps),
            learned=self.learn_embeddings,
            clamp=self.clamp,
            eta=float(self.eta),
            self_conditioning=self.self_conditioning,
        )

    def _table(self, alphabet: Alphabet) -> Tensor:
        """Return the vectors (K, D) to start from."""
        letters, dim = alphabet.letters, self.dim
        if self.embeddings is None:
            dim = max(1, min(16, len(letters) - 1)) if dim is None else dim
            generator = runtime.generator_for("cpu", self._seed(), "embeddings")
            return even_embeddings(len(letters), dim, generator)
        if isinstance(self.embeddings, str):
            if self.embeddings != "blosum62":
                wanted = "'blosum62', a table or None"
                raise InputError(argument("embeddings"), shown(self.embeddings), wanted, "give one of these")
            if alphabet.name in ("dna", "rna"):  # whose letters are names of amino acids, too
                found, wanted = f"'blosum62', which is for proteins, for {alphabet.name}", "None or a table"
                raise InputError(argument("embeddings"), found, wanted, "give one of these")
            return blosum62_embeddings(letters, dim)
        return checked_table(self.embeddings, letters, dim)


def checked_table(table: object, letters: tuple[str, ...], dim: int | None) -> Tensor:
    """Return a table that a user gave as a tensor (K, D)."""
    where = argument("embeddings")
    try:
        array = np.asarray(table, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(where, "something else than numbers", "a table of numbers (K, D)", "give one") from None
    if array.ndim != 2 or len(array) != len(letters) or not array.size:
        wanted = f"one row for each of the {len(letters)} letters ({shorten(''.join(letters))})"
        raise InputError(where, f"a table of shape {array.shape}", wanted, "give as many")
    if dim is not None and dim != array.shape[1]:
        wanted = f"{array.shape[1]}, as many as {where} has columns"
        raise InputError(argument("dim"), str(dim), wanted, "leave it out")
    if not np.isfinite(array).all():
        raise InputError(where, "nan or infinite numbers", "finite ones", "give such numbers")
    scale = np.sqrt(np.mean((array - array.mean(0)) ** 2))
    for i in range(1, len(array)):
        if (np.abs(array[:i] - array[i]).max(-1) <= 1e-6 * scale).any():
            twin = letters[int(np.abs(array[:i] - array[i]).max(-1).argmin())]
            found = f"the same row for {shown(twin)} and {letters[i]!r}"
            raise InputError(where, found, "another row for each letter", "make them differ")
    return torch.from_numpy(array / max(scale, 1e-300)).float()
