r"""Forward rate matrices: which letters turn into which, and how fast.

A generator Q (S, S) has rows that sum to 0; after the integrated rate Lambda letter i has become j with probability

    q(j | i) = expm(Lambda Q)_ij

Where detailed balance holds, pi_i Q_ij = pi_j Q_ji with the stationary distribution pi, sqrt(pi_i) Q_ij / sqrt(pi_j) is
symmetric, and one eigendecomposition serves every Lambda. The processes are those of Austin et al. (2021,
arXiv 2107.03006) and Amin, Gruver & Wilson (2025, arXiv 2506.08316).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from seqdiff.errors import InputError, argument, listed, shown

# Frequencies of amino acids in Swiss-Prot, percent (UniProtKB/Swiss-Prot release statistics).
SWISS_PROT = {
    **{"A": 8.25, "R": 5.53, "N": 4.06, "D": 5.46, "C": 1.38, "Q": 3.93, "E": 6.72, "G": 7.07, "H": 2.27, "I": 5.91},
    **{"L": 9.65, "K": 5.80, "M": 2.41, "F": 3.86, "P": 4.74, "S": 6.65, "T": 5.36, "W": 1.10, "Y": 2.92, "V": 6.86},
}


def jump_kl(truth: Tensor, difference: Tensor, log_ratio: Tensor) -> Tensor:
    """Return r - r0 + r0 log(r0 / r), the divergence per unit of time of jumps at rate r0 = `truth` from those at r.

    `difference` is r - r0, free of cancellation: where r is close to r0 the result is of the order of its square.
    `log_ratio`, log(r / r0), is used where the two are far apart.
    """
    near = difference.abs() < 0.5 * truth
    relative = torch.where(near, difference, 0) / torch.where(near, truth, 1)
    far = difference - truth * torch.where(near, 0, log_ratio)
    return torch.where(near, truth * (relative - torch.log1p(relative)), far)


def uniform_rates(letters: int) -> np.ndarray:
    """Return Q (K, K) by which each letter turns into every other one at the same rate."""
    return _scaled(np.ones((letters, letters)))


def gaussian_rates(letters: int, bandwidth: float = 0.1) -> np.ndarray:
    """Return Q (K, K) for ordered letters: rates exp(-(i - j)^2 / (2 (bandwidth K)^2)), the largest row's sum 1."""
    steps = np.subtract.outer(np.arange(letters), np.arange(letters))
    return _scaled(np.exp(-(steps**2) / (2 * (bandwidth * letters) ** 2)))


def blosum62_rates(letters: Sequence[str], beta: float = 1.0, alpha: float = 0.0) -> np.ndarray:
    """Return Q (K, K) for amino acids, from the replacements seen in related proteins.

    C_ij is proportional to (2^(B_ij / 2) f_j)^beta with rows that sum to 1, B the BLOSUM62 scores and f the
    frequencies in Swiss-Prot; Q = (C^alpha - 1)/alpha, its limit log C at alpha = 0; negative rates, of which log C has
    two tiny ones, are set to 0. The largest row's sum is 1.

    Parameters
    ----------
    letters : sequence of str
        Amino acids, in any order.
    beta : float
        Above 1 the likelier changes are preferred.
    alpha : float
        From 0 to 1.

    Examples
    --------
    >>> q = blosum62_rates("ACDEFGHIKLMNPQRSTVWY")
    >>> "ACDEFGHIKLMNPQRSTVWY"[q[9].argmax()]  # leucine turns into
    'I'
    """
    from Bio.Align import substitution_matrices

    if strange := [letter for letter in letters if letter not in SWISS_PROT]:
        found = f"'blosum62' for an alphabet that has {shown(strange[0])}"
        raise InputError(argument("forward"), found, "that for the 20 amino acids alone", "give 'uniform'")
    if set(letters) == set("ACGT"):  # all of which are amino acids too
        raise InputError(argument("forward"), "'blosum62' for DNA", "that for amino acids alone", "give 'kimura'")
    scores = substitution_matrices.load("BLOSUM62")
    odds = np.array([[2 ** (scores[a, b] / 2) * SWISS_PROT[b] for b in letters] for a in letters]) ** beta
    weight = np.array([SWISS_PROT[a] for a in letters]) ** beta
    chain = odds / odds.sum(1, keepdims=True)
    root = np.sqrt(weight * odds.sum(1))  # its square is in detailed balance with C
    values, vectors = np.linalg.eigh(_symmetric(chain * np.divide.outer(root, root)))
    values = values.clip(1e-12)  # beta < 1 may leave some of them at 0 or below
    values = np.log(values) if alpha == 0 else (values**alpha - 1) / alpha
    return _scaled(((vectors * values) @ vectors.T / np.divide.outer(root, root)).clip(0))


def kimura_rates(letters: Sequence[str], kappa: float = 2.0) -> np.ndarray:
    """Return Q (4, 4) for bases: transitions (A and G, C and T) are `kappa` times as fast as transversions.

    See Kimura (1980, J. Mol. Evol. 16:111). Other letters than the four bases raise an `InputError`.
    """
    if set(letters) not in (set("ACGT"), set("ACGU")):
        found = f"'kimura' for the letters {shown(''.join(letters))}"
        raise InputError(argument("forward"), found, "that for DNA and RNA alone", "give 'uniform'")
    purine = np.array([letter in "AG" for letter in letters])
    return _scaled(np.where(purine[:, None] == purine, kappa, 1.0))


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2


def _scaled(rates: np.ndarray) -> np.ndarray:
    """Return the generator of these off-diagonal rates, scaled so that the largest row's sum is 1."""
    rates = rates - np.diag(np.diag(rates))
    rates = rates / rates.sum(1).max()
    return rates - np.diag(rates.sum(1))


def checked_rates(rates: ArrayLike, letters: int) -> np.ndarray:
    """Return a user's rate matrix in float64, or raise an `InputError` if it is not a generator over the letters."""
    try:
        matrix = np.array(rates, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.array(np.nan)
    if matrix.ndim == 0:
        raise InputError(argument("forward"), shown(rates), "a known name or an array of numbers", "give one of these")
    if matrix.shape != (letters, letters):
        wanted = f"({letters}, {letters}), as the alphabet has {letters} letters"
        raise InputError(argument("forward"), f"shape {matrix.shape}", wanted, "give rates of that shape")
    if not np.isfinite(matrix).all():
        raise InputError(argument("forward"), "numbers that are not finite", "rates", "give finite ones")
    off = matrix - np.diag(np.diag(matrix))
    if (off < 0).any():
        i, j = np.argwhere(off < 0)[0]
        wanted = "at least 0, as rates between letters are"
        raise InputError(f"{argument('forward')}[{i}, {j}]", f"{matrix[i, j]:g}", wanted, "correct it")
    sums = matrix.sum(1)
    if (np.abs(sums) > 1e-6 * max(1e-300, np.abs(matrix).max())).any():
        i = int(np.abs(sums).argmax())
        cure = "make its diagonal minus the other rates"
        raise InputError(f"{argument('forward')}, row {i}", f"a sum of {sums[i]:g}", "one of 0", cure)
    return off - np.diag(off.sum(1))


def stationary_distribution(rates: np.ndarray) -> np.ndarray:
    """Return pi (S,) with pi Q = 0, or raise an `InputError` if there are several or pi has a zero."""
    _, values, vectors = np.linalg.svd(rates.T)
    pi = vectors[-1] / vectors[-1].sum() if abs(vectors[-1].sum()) > 1e-9 else np.zeros(len(rates))
    several = len(values) > 1 and values[-2] < 1e-10 * max(values[0], 1e-300)
    if several or (pi < 1e-10).any():
        raise InputError(
            argument("forward"),
            "rates that leave some letters out of reach of others, so that noise does not forget the data",
            "rates by which every letter can become every other one, directly or in steps", "give such rates",
        )  # fmt: skip
    return pi


class Forward(nn.Module):
    """A rate matrix Q (S, S), its stationary distribution (S,), computed if it is not given, and its exponential."""

    rates: Tensor
    stationary: Tensor

    def __init__(self, rates: np.ndarray, stationary: np.ndarray | None = None) -> None:
        super().__init__()
        self.states = self.letters = len(rates)
        # the slowest correlation decays like exp(-gap Lambda)
        self.gap = float(np.sort(-np.linalg.eigvals(rates).real)[1])
        self._keep("rates", rates)
        self._keep("stationary", stationary_distribution(rates) if stationary is None else stationary)

    @property
    def gradual(self) -> bool:
        """Return whether letters jump many times before they are forgotten, as they do from level to level."""
        return float(-self.rates.diagonal().min()) > 5 * self.gap

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)

    def transition(self, total: Tensor) -> Tensor:
        """Return q(x_t | x_0) = expm(Lambda Q), (B, K, S), for Lambda (B,)."""
        return torch.matrix_exp(total[:, None, None] * self.rates).clamp_min(0)

    def between(self, total: Tensor) -> Tensor:
        """Return q(x_t | x_s), (B, S, S), for Lambda(t) - Lambda(s), (B,)."""
        return self.transition(total)

    def prior_kl(self, largest: float) -> Tensor:
        """Return KL(q(x_T | x_0) || stationary distribution) for each letter x_0, (K,) nats."""
        q = self.transition(torch.tensor([largest], dtype=self.rates.dtype, device=self.rates.device))[0]
        return (torch.xlogy(q, q) - torch.xlogy(q, self.stationary)).sum(-1).clamp_min(0)


class ReversibleForward(Forward):
    """A rate matrix in detailed balance: one eigendecomposition serves every Lambda."""

    values: Tensor
    left: Tensor
    right: Tensor

    def __init__(self, rates: np.ndarray) -> None:
        super().__init__(rates)
        root = np.sqrt(self.stationary.numpy())
        values, vectors = np.linalg.eigh(_symmetric(rates * np.divide.outer(root, root)))
        self._keep("values", values.clip(max=0))
        self._keep("left", vectors / root[:, None])
        self._keep("right", vectors.T * root)

    def transition(self, total: Tensor) -> Tensor:
        # expm1, not exp: the probability of a change is then exact to its last digits however small Lambda is
        moved = torch.expm1(total[:, None] * self.values)
        change = (self.left * moved[:, None, :]) @ self.right
        return (change + torch.eye(self.states, dtype=change.dtype, device=change.device)).clamp_min(0)


class AbsorbingForward(Forward):
    """Letters turn into a mask, state number K, at rate 1, and stay masked: closed forms, as this is not reversible."""

    def __init__(self, letters: int) -> None:
        rates = np.zeros((letters + 1, letters + 1))
        rates[:-1, :-1] = -np.eye(letters)
        rates[:-1, -1] = 1
        super().__init__(rates, np.eye(letters + 1)[-1])
        self.letters = letters
        self.gap = 1.0

    def transition(self, total: Tensor) -> Tensor:
        return self.between(total)[:, : self.letters]

    def between(self, total: Tensor) -> Tensor:
        # Q Q = -Q, so that the series of expm is 1 + Q (1 - exp(-Lambda)); a letter stays with exp(-Lambda) itself,
        # as 1 - (1 - exp(-Lambda)) would lose it.
        one = torch.eye(self.states, dtype=total.dtype, device=total.device)
        moved = one - self.rates * torch.expm1(-total[:, None, None])
        stays = torch.diag_embed(torch.exp(-total)[:, None].expand(-1, self.letters))
        moved[:, : self.letters, : self.letters] = stays
        return moved

    def prior_kl(self, largest: float) -> Tensor:
        if largest < 20:
            found = f"one by whose end {np.exp(-largest):.1g} of the letters are not masked"
            wanted = f"one that masks all, for {argument('forward', 'absorbing')}"
            raise InputError(argument("schedule"), found, wanted, "give 'linear' or 'cos'")
        return self.rates.new_zeros(self.letters)  # alpha is 0 at the end but for rounding


FORWARDS: dict[str, Callable[[Sequence[str]], Forward]] = {
    "uniform": lambda letters: ReversibleForward(uniform_rates(len(letters))),
    "absorbing": lambda letters: AbsorbingForward(len(letters)),
    "gaussian": lambda letters: ReversibleForward(gaussian_rates(len(letters))),
    "kimura": lambda letters: ReversibleForward(kimura_rates(letters)),
    "blosum62": lambda letters: ReversibleForward(blosum62_rates(letters)),
}


def make_forward(spec: ArrayLike, letters: Sequence[str]) -> Forward:
    """Return the forward process of a name or of a user's own rate matrix.

    Parameters
    ----------
    spec : {"uniform", "absorbing", "gaussian", "kimura", "blosum62"} or array
        An array is Q (K, K), its rows and columns in the order of the letters.
    letters : sequence of str
        The alphabet.

    Examples
    --------
    >>> make_forward("uniform", "ACGT").transition(torch.tensor([0.0, 50.0]))[1, 0].round(decimals=6).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if isinstance(spec, str):
        if spec not in FORWARDS:
            known = f"{listed(FORWARDS)}, or an array of rates"
            raise InputError(argument("forward"), shown(spec), known, "give one of these")
        return FORWARDS[spec](letters)
    rates = checked_rates(spec, len(letters))
    flow = stationary_distribution(rates)[:, None] * rates
    return (ReversibleForward if np.allclose(flow, flow.T, rtol=0, atol=1e-12 * np.abs(flow).max()) else Forward)(rates)
