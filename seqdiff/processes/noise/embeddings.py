"""Vectors that embedding diffusion starts from, and its schedules of Gaussian noise in T steps.

A schedule is abar_0 = 1, ..., abar_T, the share of the signal's variance that is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from seqdiff.errors import InputError, argument, shown
from seqdiff.runtime import normal


def even_embeddings(letters: int, dim: int, generator: torch.Generator) -> Tensor:
    """Return vectors (K, D) in a random rotation, all equally distant where D >= K - 1, else a projection of such.

    The columns are drawn orthonormal and orthogonal to the mean: no (K, K) matrix is needed.
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


def _noised(curve: Callable[[float], float], steps: int) -> np.ndarray:
    """Return abar_0..abar_T of steps whose beta is 1 - f((i + 1)/T)/f(i/T), at most 0.999."""
    f = np.array([curve(i / steps) for i in range(steps + 1)])
    return np.concatenate([[1.0], np.cumprod(1 - np.clip(1 - f[1:] / f[:-1], 0, 0.999))])


def sqrt_schedule(steps: int) -> np.ndarray:
    """Return abar_0..abar_T of f(t) = 1 - sqrt(t + 0.0001), Diffusion-LM's, with much noise in the first steps."""
    return _noised(lambda t: 1 - math.sqrt(t + 1e-4), steps)


def linear_schedule(steps: int) -> np.ndarray:
    """Return abar_0..abar_T of betas rising linearly, 1e-4 to 0.02 at T = 1000 (Ho et al. 2020, arXiv 2006.11239)."""
    beta = np.linspace(1e-4, 0.02, steps) * 1000 / steps
    return np.concatenate([[1.0], np.cumprod(1 - np.clip(beta, 0, 0.999))])


def cosine_schedule(steps: int) -> np.ndarray:
    """Return abar_0..abar_T of f(t) = cos^2((t + 0.008)/1.008 pi/2) (Nichol & Dhariwal 2021, arXiv 2102.09672).

    Examples
    --------
    >>> cosine_schedule(100)[[0, 50]].round(3).tolist()
    [1.0, 0.494]
    """
    return _noised(lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2, steps)


GAUSSIAN_SCHEDULES: dict[str, Callable[[int], np.ndarray]] = {
    "sqrt": sqrt_schedule,
    "linear": linear_schedule,
    "cosine": cosine_schedule,
}
