r"""The speed C(x, t) of a point of the simplex towards a letter in Dirichlet flow matching, in closed form.

Stark et al. 2024, arXiv 2402.05841: x given its letter e_i follows Dir(1 + t e_i), and u = C(x_i, t) (e_i - x) moves
one such distribution into the next. With K letters, a = t + 1 and b = K - 1,

    C(x, t) = -(d/da) I_x(a, b) B(a, b) / ((1 - x)^b x^t),      h = sum_{m<b} 1/(a + m) = psi(t + K) - psi(t + 1)

    C = -x sum_{j<b} k_j (ln x + H_j),    k_j = B(a, b) (a)_j / (j! (1 - x)^(b-j)),  H_j = sum_{m<j} 1/(a + m)    (1)
    C = R/(1 - x) int_0^1 e^(R (t - (t + 1) r)) ((1 - e^(-R r))/(1 - x))^(K-2) (h - R r) dr,       R = -ln x      (2)

(2) is the integral over u from x to 1 with u = e^(-R r), whose integrand is smooth; at x = 1 it is h/(K - 1). Below
x = e^-h every term of (1) has one sign, above it the integrand of (2) has: nothing cancels in either, whatever K and t.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

NODES = 2049
"""Points of a table: x = linspace(0, 1, NODES)^2, dense near 0, where C behaves like x ln x."""
QUADRATURE = 64


def field(x: Tensor, t: Tensor, letters: int) -> Tensor:
    """Return C(x, t) in float64 for coordinates x in [0, 1] and times t >= 0, which are broadcast.

    Examples
    --------
    >>> C = field(torch.tensor([0.0, 0.5, 1.0]), torch.tensor(0.0), letters=4)
    >>> [round(c, 4) for c in C.tolist()]
    [0.0, 0.4507, 0.6111]
    """
    x, t = torch.broadcast_tensors(x.double(), t.double())
    shape, x, t = x.shape, x.reshape(-1), t.reshape(-1)
    h = sum((1 / (t + 1 + m) for m in range(letters - 1)), torch.zeros_like(t))
    small = x < torch.exp(-h)
    c = torch.empty_like(x)
    c[small] = _sum(x[small], t[small], h[small], letters)
    c[~small] = _integral(x[~small], t[~small], h[~small], letters)
    return c.reshape(shape)


def _sum(x: Tensor, t: Tensor, h: Tensor, letters: int) -> Tensor:
    """Equation (1), from its last term, k_{b-1} = 1/((a + b - 1)(1 - x)), to its first."""
    y, log_x = 1 - x, x.clamp_min(1e-300).log()
    k, total = 1 / ((t + letters - 1) * y), torch.zeros_like(x)
    harmonic = h - 1 / (t + letters - 1)
    for j in range(letters - 2, -1, -1):
        total += k * (log_x + harmonic)
        if j:
            k = k * (j / ((t + j) * y))
            harmonic = harmonic - 1 / (t + j)
    return -x * total


def _integral(x: Tensor, t: Tensor, h: Tensor, letters: int) -> Tensor:
    """Equation (2) by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE)
    R = (-x.log()).clamp_min(1e-300)  # at x = 1 the ratios below are then their limits
    y, total = -torch.expm1(-R), torch.zeros_like(x)
    for r, weight in zip((1 + nodes) / 2, weights / 2, strict=True):
        share = (-torch.expm1(-R * r) / y) ** (letters - 2)
        total += weight * share * torch.exp(R * (t - (t + 1) * r)) * (h - R * r)
    return R / y * total


def field_tables(t: Tensor, letters: int) -> Tensor:
    """Return C at the times t (T,) as lines between the nodes, height at x = 0 and slope, (T, 2, NODES) float64."""
    nodes = torch.linspace(0, 1, NODES, dtype=torch.float64, device=t.device) ** 2
    c = field(nodes, t[:, None], letters)
    slope = torch.nn.functional.pad(torch.diff(c) / torch.diff(nodes), (0, 1))  # at x = 1 the height is C itself
    return torch.stack([c - nodes * slope, slope], 1)


def look_up(x: Tensor, table: Tensor) -> Tensor:
    """Return C(x), interpolated in one table (2, NODES) of `field_tables`; x of any shape, in the table's dtype."""
    # In place, and row by row rather than table[:, node]: half the time. Clamped as integers, so that nan stays nan and
    # is no place in memory.
    node = x.detach().sqrt().mul_(NODES - 1).int().clamp_(0, NODES - 1).flatten()
    height, slope = (row.index_select(0, node).view_as(x) for row in table)
    return height.addcmul_(slope, x)
