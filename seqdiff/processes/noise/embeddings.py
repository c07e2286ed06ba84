"""Vectors that embedding diffusion can start from: letters all alike far from one another, or as BLOSUM62 has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqdiff.errors import InputError, argument, shown
from seqdiff.runtime import normal


def even_embeddings(letters: int, dim: int, generator: torch.Generator) -> Tensor:
    """Return vectors (K, D) in a random turn: all as far from one another where D >= K - 1, else a projection of such.

    The columns are orthonormal and across the mean, drawn as such: of thousands of letters no (K, K) matrix is needed.

    Examples
    --------
    >>> torch.pdist(even_embeddings(4, 3, torch.Generator())).double().square().round(decimals=4).tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """
    own = min(dim, max(1, letters - 1))
    e = normal((letters, own), generator, "cpu", torch.float64)
    e = torch.linalg.qr(e - e.mean(0)).Q  # (K, min(D, K - 1))
    if dim > own:
        e = e @ torch.linalg.qr(normal((dim, own), generator, "cpu", torch.float64)).Q.T
    return e.float()


def blosum62_embeddings(letters: Sequence[str], dim: int | None = None) -> Tensor:
    """Return vectors (K, D) of amino acids whose inner products are close to the BLOSUM62 scores.

    Column i is the eigenvector of the i-th largest eigenvalue times its root; None takes every positive one.

    Raises
    ------
    ValueError
        If a letter is no amino acid, or there are not that many positive eigenvalues.

    Examples
    --------
    >>> e = blosum62_embeddings("ACDEFGHIKLMNPQRSTVWY", 8)
    >>> bool((e[7] - e[9]).norm() < (e[7] - e[2]).norm())  # isoleucine is nearer to leucine than to aspartate
    True
    """
    from Bio.Align import substitution_matrices

    scores = substitution_matrices.load("BLOSUM62")
    if strange := [a for a in letters if a not in "ACDEFGHIKLMNPQRSTVWY"]:
        found = f"'blosum62', which is for the 20 amino acids, for an alphabet that has {shown(strange[0])}"
        raise InputError(argument("embeddings"), found, "None or a table", "give one of these")
    values, vectors = np.linalg.eigh(np.array([[scores[a, b] for b in letters] for a in letters], dtype=np.float64))
    positive = int((values > 1e-9).sum())
    if dim is not None and dim > positive:
        wanted = f"at most {positive}, the positive eigenvalues of BLOSUM62"
        raise InputError(argument("dim"), str(dim), wanted, "give fewer")
    first = np.argsort(-values)[: positive if dim is None else dim]
    return torch.from_numpy(vectors[:, first] * np.sqrt(values[first])).float()
