r"""Steering by any function of finished sequences: no gradient, no classifier, no training.

Each sample is made by a group of rows (particles). At some moments of sampling the reward r of what each row is going
to be is estimated, from letters drawn from its p(x0 | x_t), or where letters are written one by one by writing on to
the end. Then, with strength b,

    Feynman-Kac (Singhal et al. 2025, arXiv 2501.06848): weights w <- w exp(b (r_now - r_before)), and rows are chosen
    anew by their weights when these have become uneven, in the end always. The sample is one of the group. As the
    products of the weights are exp(b r) of the finished sequence, samples follow p(x) exp(b r(x)) in the limit of
    many rows, whatever the estimates on the way were worth.

    SVDD (Li et al. 2024, arXiv 2408.08252): one row is chosen by exp(b r_now), and all go on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff.errors import InputError, argument, shown, warn
from seqdiff.guidance.base import Cond, FittedModel, Guidance, ReachedContext
from seqdiff.guidance.particles import Particles, draw, probabilities, resampled
from seqdiff.parameters import Choice, Real, Whole
from seqdiff.processes.categorical import sample_categorical
from seqdiff.runtime import Generators, widest

LARGEST_STRENGTH = 1e300
UNLIKELY = 5.0  # nats below the least of a group, for what seems to be impossible


class Reward(Particles):
    """Generate sequences of high reward.

    Parameters
    ----------
    fn : callable, or sequence of them
        ``fn(sequences: list of str) -> n numbers``, larger is better; ``-inf`` is impossible (a sample has it only
        where all its particles have, with a warning). A scikit-learn model's predict behind a feature function, a
        folding program, a rule. What it raises itself comes through as it is.
    strength : float
        b in exp(b r): how much a unit of reward counts. The distribution that is sampled is p(x) exp(b r(x)).
    weights : sequence of float, optional
        Of several functions, whose weighted sum is the reward; None is 1 for each.
    particles : int
        Rows for each sample, a power of two up to 256: more follow it more closely, and cost as much more.
    method : {"feynman-kac", "svdd"}
        Resampling, or the best of the candidates.
    checks : int, optional
        How often on the way the reward is asked for, the end included; None is 20; where letters are written one by
        one 5, for each time every row is written to its end; for `DirichletFM` 1, as nothing is random on its way.

    Attributes
    ----------
    calls_ : int
        Calls of each function so far.
    sequences_ : int
        Sequences, no two of one call alike, that they were given.

    Raises
    ------
    ValueError
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

    def __init__(
        self,
        fn: Any,
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
        super().__init__(particles)
        Choice(tuple(METHODS)).check("method", method)
        Whole(1).check("checks", checks, optional=True)
        self.strength, self.method, self.checks = float(strength), method, checks
        self.counts = {"calls": 0, "sequences": 0}  # of all its trajectories

    @property
    def calls_(self) -> int:
        return self.counts["calls"]

    @property
    def sequences_(self) -> int:
        return self.counts["sequences"]

    def bind(self, model: FittedModel, n: int, cond: Cond) -> Guidance:
        if not model.process.reward_checks:
            wanted = f"a model in whose samples something is decided on the way, which {model.name} has not"
            raise InputError(argument("guidance"), self.name, wanted, "guide its teacher")
        return BoundReward(self, model)

    def rewards(self, sequences: list[str]) -> Tensor:
        """Return the strength times the weighted sum of the functions, (B,); what one of them rules out stays out.

        No sequence is asked about twice in one call.
        """
        unique = list(dict.fromkeys(sequences))
        total = np.zeros(len(unique))
        for fn, weight in zip(self.functions, self.weights, strict=True):
            found = checked(fn(list(unique)), len(unique), fn)
            total += np.where(found == -np.inf, -np.inf, self.strength * weight * np.where(found == -np.inf, 0, found))
        self.counts["calls"] += 1
        self.counts["sequences"] += len(unique)
        value = dict(zip(unique, total.tolist(), strict=True))
        return torch.tensor([value[s] for s in sequences], dtype=torch.float64)


class BoundReward(Particles):
    """`Reward` for a model; that of one trajectory keeps the weights of its particles.

    Attributes
    ----------
    reward, log_weight : Tensor or float
        (groups, particles) at the last check.
    """

    def __init__(self, guide: Reward, model: FittedModel) -> None:
        super().__init__(guide.copies)
        self.guide, self.model = guide, model
        self.moments = guide.checks or model.process.reward_checks
        self.reward: Tensor | float = 0.0
        self.log_weight: Tensor | float = 0.0
        self.checked = 0

    @property
    def name(self) -> str:
        return Reward.__name__

    def take(self, rows: Tensor) -> Guidance:
        return BoundReward(self.guide, self.model)

    def after(self, context: ReachedContext) -> Any:
        number = int(context.progress * self.moments + 1e-9)
        last = context.progress >= 1
        if number <= self.checked and not last:
            return context.state
        self.checked = number
        device = context.state.mask.device
        reward = self.guide.rewards(self.expected(context, last)).to(device, widest(device))
        groups = reward.view(-1, self.copies)
        if last and (lost := int((groups == -torch.inf).all(-1).sum())):
            warn(
                f"{lost} of {len(groups)} samples made together have the reward -inf, as all their particles have; "
                f"look through the samples, or give more {argument('particles')}"
            )
        return self.regrouped(context.state, METHODS[self.guide.method](self, groups, last, context.generator))

    def expected(self, context: ReachedContext, last: bool) -> list[str]:
        """Return what each row is going to be, or, in the end, is."""
        state = context.state
        if last or not self.model.process.foretells:
            state = state if last else context.finish()
            tokens = self.model.process.decode(state)
        else:
            tokens = sample_categorical(context.predict(), context.generator)
        return self.model.alphabet.decode(tokens.cpu().numpy(), state.mask.sum(-1).cpu().numpy())


def checked(values: Any, n: int, fn: Any) -> np.ndarray:
    """Return a reward function's values (n,).

    Raises
    ------
    ValueError
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


def feynman_kac(guide: BoundReward, reward: Tensor, last: bool, generator: Generators) -> Tensor:
    """Return which rows of each group go on, (groups, particles); rewards likewise, times the strength."""
    if not last:  # an estimate: a row that seems impossible may yet turn out well, so that it only counts for little
        least = reward.masked_fill(reward == -torch.inf, torch.inf).amin(-1, keepdim=True)
        reward = torch.where(least < torch.inf, reward.clamp_min(least - UNLIKELY), 0.0)
    chosen, guide.log_weight = resampled(guide.log_weight + reward - guide.reward, last, generator)
    guide.reward = reward.gather(-1, chosen)
    return chosen


def svdd(guide: BoundReward, reward: Tensor, last: bool, generator: Generators) -> Tensor:
    """Return the row of each group from which all go on, (groups, particles)."""
    return draw(probabilities(reward), generator)[:, :1].expand(reward.shape)


METHODS: dict[str, Callable[[BoundReward, Tensor, bool, Generators], Tensor]] = {
    "feynman-kac": feynman_kac,
    "svdd": svdd,
}
