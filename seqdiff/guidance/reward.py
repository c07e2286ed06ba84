r"""Guidance by any function of finished sequences: no gradient, no classifier, no training.

Each sample is made by a group of rows (particles). At some steps the reward r of each row's final sequence is
estimated, from letters drawn from p(x0 | x_t), or, where letters are written one by one, by sampling to the end. Then,
with strength b,

    Feynman-Kac (Singhal et al. 2025, arXiv 2501.06848): weights w <- w exp(b (r_now - r_before)); rows are resampled
    by their weights when these have become uneven, in the end always. As the product of the weights is exp(b r) of
    the finished sequence, samples follow p(x) exp(b r(x)) in the limit of many rows, however good the estimates are.

    SVDD (Li et al. 2024, arXiv 2408.08252): one row is drawn by exp(b r_now), and all continue from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff.data import Alphabet
from seqdiff.errors import InputError, argument, shown, warn
from seqdiff.guidance.base import Cond, FittedModel, Guidance, ReachedContext
from seqdiff.guidance.particles import check_particles, draw, probabilities, regrouped, resampled
from seqdiff.inputs import RewardFunction
from seqdiff.parameters import Choice, Real, Whole
from seqdiff.processes.categorical import sample_categorical
from seqdiff.runtime import Generators, widest

LARGEST_STRENGTH = 1e300
UNLIKELY = 5.0  # nats below the least of a group, for what seems to be impossible


class Reward(Guidance):
    """Generate sequences of high reward.

    Parameters
    ----------
    fn : callable, or sequence of them
        ``fn(sequences: list of str, or array of images) -> n numbers``, larger is better; ``-inf`` is impossible (a
        sample has it only where all its particles have, with a warning). A scikit-learn model's predict behind a
        feature function, a folding program, a rule. Its own exceptions are not caught.
    strength : float
        b in exp(b r): how much a unit of reward counts. The distribution that is sampled is p(x) exp(b r(x)).
    weights : sequence of float, optional
        Of several functions, whose weighted sum is the reward; None is 1 for each.
    particles : int
        Rows for each sample, a power of two up to 256: more follow it more closely, and cost as much more.
    method : {"feynman-kac", "svdd"}
        Resampling, or the best of the candidates.
    checks : int, optional
        Evaluations of the reward in a trajectory, the end included. None is 20; where letters are written one by one 5,
        as each samples every row to its end; for `DirichletFM` 1, as only its start is random.

    Attributes
    ----------
    calls_ : int
        Calls of each function so far.
    sequences_ : int
        Sequences, no two of one call alike, that they were given.

    Raises
    ------
    InputError
        If an argument is not as it should be, or while sampling if a function does not return n numbers.

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"])
    >>> many_a = Reward(lambda sequences: [s.count("A") for s in sequences], strength=5.0, particles=16)
    >>> min(s.count("A") for s in model.generate(3, guidance=many_a, random_state=0)) >= 2
    True
    """

    alphabet: Alphabet
    checked: int
    """Checks of this trajectory so far."""
    reward: Tensor | float
    """(groups, particles) at the last of them."""
    log_weight: Tensor | float
    """(groups, particles)."""

    def __init__(
        self,
        fn: RewardFunction | Sequence[RewardFunction],
        strength: float = 1.0,
        *,
        weights: Sequence[float] | None = None,
        particles: int = 8,
        method: str = "feynman-kac",
        checks: int | None = None,
    ) -> None:
        self.functions = list(fn) if isinstance(fn, Sequence) else [fn]
        if not self.functions or not all(callable(f) for f in self.functions):
            wanted = "a function of a list of sequences, or several"
            raise InputError(argument("fn"), shown(fn), wanted, "give one")
        self.weights = [1.0] * len(self.functions) if weights is None else [float(w) for w in weights]
        if len(self.weights) != len(self.functions):
            found, wanted = f"{len(self.weights)} numbers", f"one for each of {len(self.functions)} functions"
            raise InputError(argument("weights"), found, wanted, "give as many")
        Real(-LARGEST_STRENGTH, LARGEST_STRENGTH).check("strength", strength)
        check_particles(particles)
        Choice(tuple(METHODS)).check("method", method)
        Whole(1).check("checks", checks, optional=True)
        self.strength, self.copies, self.method, self.checks = float(strength), particles, method, checks
        self.counts = {"calls": 0, "sequences": 0}  # of all its trajectories

    @property
    def calls_(self) -> int:
        return self.counts["calls"]

    @property
    def sequences_(self) -> int:
        return self.counts["sequences"]

    def bind(self, model: FittedModel, n: int, cond: Cond) -> Guidance:
        if not model.process.reward_checks:
            wanted = f"a model that samples in several steps, unlike {model.name}"
            raise InputError(argument("guidance"), self.name, wanted, "guide its teacher")
        return self.replaced(alphabet=model.alphabet)

    def take(self, rows: Tensor) -> Guidance:
        return self.replaced(reward=0.0, log_weight=0.0, checked=0)

    def rewards(self, sequences: Sequence[str] | np.ndarray) -> Tensor:
        """Return the strength times the weighted sum of the functions, (B,); -inf of one is -inf.

        No function is given a sequence twice in one call.
        """
        keys = [s if isinstance(s, str) else s.tobytes() for s in sequences]  # of images, their bytes
        first = {key: i for i, key in reversed([*enumerate(keys)])}
        unique = dict.fromkeys(keys)
        images = sequences[[first[key] for key in unique]] if isinstance(sequences, np.ndarray) else None
        total = np.zeros(len(unique))
        for fn, weight in zip(self.functions, self.weights, strict=True):
            given: Any = list(unique) if images is None else images.copy()
            found = checked(fn(given), len(unique), fn)
            total += np.where(found == -np.inf, -np.inf, self.strength * weight * np.where(found == -np.inf, 0, found))
        self.counts["calls"] += 1
        self.counts["sequences"] += len(unique)
        value = dict(zip(unique, total.tolist(), strict=True))
        return torch.tensor([value[key] for key in keys], dtype=torch.float64)

    def after(self, context: ReachedContext) -> Any:
        number = int(context.progress * (self.checks or context.process.reward_checks) + 1e-9)
        last = context.progress >= 1
        if number <= self.checked and not last:
            return context.state
        self.checked = number
        device = context.state.mask.device
        reward = self.rewards(self.expected(context, last)).to(device, widest(device))
        groups = reward.view(-1, self.copies)
        if last and (lost := int((groups == -torch.inf).all(-1).sum())):
            warn(
                f"{lost} of {len(groups)} samples made together have the reward -inf, as all their particles have; "
                f"look through the samples, or give more {argument('particles')}"
            )
        return regrouped(context.state, METHODS[self.method](self, groups, last, context.generator))

    def expected(self, context: ReachedContext, last: bool) -> list[str] | np.ndarray:
        """Return an estimate of the sequence that each row will be; in the end, the sequence."""
        state = context.state
        if last or not context.process.foretells:
            state = state if last else context.finish()
            tokens = context.process.decode(state)
        else:
            tokens = sample_categorical(context.predict(), context.generator)
        return self.alphabet.decode(tokens.cpu().numpy(), state.mask.sum(-1).cpu().numpy())


def checked(values: object, n: int, fn: RewardFunction) -> np.ndarray:
    """Return a reward function's values (n,).

    Raises
    ------
    InputError
        If they are not n numbers below infinity.
    """
    where, wanted = f"reward {getattr(fn, '__name__', shown(fn))}", f"one number for each of {n} sequences"
    if values is None:
        raise InputError(where, "nothing", wanted, "return them")
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(where, "something else than numbers", wanted, "return them") from None
    if array.shape != (n,):
        raise InputError(where, f"shape {array.shape}", wanted, "return as many")
    if np.isnan(array).any() or (array == np.inf).any():
        cure = "return such numbers"
        raise InputError(where, "nan or inf", "finite numbers, or -inf for what must not be", cure)
    return array


def feynman_kac(guide: Reward, reward: Tensor, last: bool, generator: Generators) -> Tensor:
    """Return the rows of each group that go on, (groups, particles); `reward` likewise, times the strength."""
    if not last:  # an estimate: a row that seems impossible may yet turn out well, so that it only counts for little
        least = reward.masked_fill(reward == -torch.inf, torch.inf).amin(-1, keepdim=True)
        reward = torch.where(least < torch.inf, reward.clamp_min(least - UNLIKELY), 0.0)
    chosen, guide.log_weight = resampled(guide.log_weight + reward - guide.reward, last, generator)
    guide.reward = reward.gather(-1, chosen)
    return chosen


def svdd(guide: Reward, reward: Tensor, last: bool, generator: Generators) -> Tensor:
    """Return the row of each group from which all go on, (groups, particles)."""
    return draw(probabilities(reward), generator)[:, :1].expand(reward.shape)


METHODS: dict[str, Callable[[Reward, Tensor, bool, Generators], Tensor]] = {
    "feynman-kac": feynman_kac,
    "svdd": svdd,
}
