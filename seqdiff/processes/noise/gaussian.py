"""Schedules of Gaussian noise in T steps: abar_0 = 1, ..., abar_T, the share of the signal's variance that is left."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def _noised(curve: Callable[[float], float], steps: int) -> np.ndarray:
    """Return abar_0..abar_T of steps whose beta is 1 - f((i + 1)/T)/f(i/T), at most 0.999."""
    f = np.array([curve(i / steps) for i in range(steps + 1)])
    return np.concatenate([[1.0], np.cumprod(1 - np.clip(1 - f[1:] / f[:-1], 0, 0.999))])


def sqrt_schedule(steps: int) -> np.ndarray:
    """Return abar_0..abar_T of f(t) = 1 - sqrt(t + 0.0001), Diffusion-LM's: much noise at once, then little.

    Examples
    --------
    >>> (1 - sqrt_schedule(2000)[1]).round(4), (1 - sqrt_schedule(50)[1]).round(2)
    (np.float64(0.0146), np.float64(0.13))
    """
    return _noised(lambda t: 1 - math.sqrt(t + 1e-4), steps)


def linear_schedule(steps: int) -> np.ndarray:
    """Return abar_0..abar_T of betas that rise linearly, 0.0001 to 0.02 at T = 1000 (Ho et al. 2020, arXiv 2006.11239).

    Examples
    --------
    >>> bool(linear_schedule(1000)[-1] < 1e-4)
    True
    """
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
