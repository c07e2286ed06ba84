r"""Flow matching on the simplex: Dirichlet paths (Stark et al. 2024, arXiv 2402.05841), and the linear one beside them.

Noise is a point of the simplex, x ~ Dir(1), for each position. The network predicts each letter from the others, and
what the letter's own point says is added, as it is everywhere in seqdiff: up to a constant,
log p(x1 = e_i | x_t) = c_i + log q(x_t | e_i). The flow to each letter is known; what moves x is their mean under p:

    dx/dt = sum_i p_i C(x_i, t) (e_i - x) = w - x sum(w),     w_i = p_i C(x_i, t)

    Dirichlet: x_t | e_i ~ Dir(1 + t e_i),  t in [0, t_max];  C is that of simplex_field.py;  q ~ x_i^t
    linear:    x_t = (1 - t) x_0 + t e_i,   t in [0, 1];      C = 1/(1 - t);                  q ~ [x_i >= t]

The paper's network reads x and has to learn q too. Here it reads q, normalised over the letters: that is all x says
about letters at time t, and nothing at t = 0.

An Euler step of length d stays on the simplex while d sum(w) <= 1, and a Heun step is a mean of x and two Euler steps.
The sample is the likeliest letter of the last prediction: x itself need not have come to a vertex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.processes.base import Batch, Cond, Denoiser, Process, State, masked_sum
from seqdiff.processes.categorical import stratified
from seqdiff.processes.noise.simplex_field import field_tables, look_up
from seqdiff.runtime import Generators, uniform

Field = Callable[[Tensor], Tensor]
"""x -> C(x, t) at one time."""


class Move(NamedTuple):
    """What follows one call of the network: an Euler step, and how far back towards where the step before began.

    Parameters
    ----------
    asked : float
        The time of the call, as a share of t_max.
    reached : float
        The time after it.
    length : float
        The length of the step, in the same unit.
    back : float
        The new state is (1 - back) times the Euler step plus `back` times the state before the step before.
    """

    asked: float
    reached: float
    length: float
    back: float


Solver = Callable[[int], list[Move]]
"""Number of calls of the network -> the moves that they make."""


def euler(calls: int) -> list[Move]:
    """Return `calls` Euler steps of equal length."""
    return [Move(i / calls, (i + 1) / calls, 1 / calls, 0.0) for i in range(calls)]


def heun(calls: int) -> list[Move]:
    """Return Heun steps, two calls each, all as long as the one or two Euler steps at the end.

    After the last call nothing is left to correct, as its prediction is the sample; and the linear field is infinite
    where a corrector would ask for it.

    Examples
    --------
    >>> [(round(m.asked, 2), round(m.reached, 2), m.back) for m in heun(5)]
    [(0.0, 0.33, 0.0), (0.33, 0.33, 0.5), (0.33, 0.67, 0.0), (0.67, 0.67, 0.5), (0.67, 1.0, 0.0)]
    """
    whole = (calls - 1) // 2
    n = calls - whole
    moves = []
    for i in range(n):
        moves.append(Move(i / n, (i + 1) / n, 1 / n, 0.0))
        if i < whole:
            moves.append(Move((i + 1) / n, (i + 1) / n, 1 / n, 0.5))
    return moves


class Level(NamedTuple):
    """A move of the sampler in units of time, with the field at the time of the call."""

    t: float
    length: float
    back: float
    field: Field


@dataclass(frozen=True)
class SimplexState(State):
    """Points of the simplex (B, L, K).

    Parameters
    ----------
    allowed : Tensor, optional
        (B, L, K) 0 for the letters that a template allows, -inf for the others.
    log_p0 : Tensor, optional
        (B, L, K) the last prediction.
    before : Tensor, optional
        (B, L, K) the points before the last move.
    """

    allowed: Tensor | None = None
    log_p0: Tensor | None = None
    before: Tensor | None = None


class SimplexFlow(Process[SimplexState]):
    """A flow from Dir(1) to letters. Subclasses give `corrupt`, `quantile` and `fields`.

    The states are points of the simplex (B, L, K), 0 beyond the end. There is no likelihood: `loss` and `bound_terms`
    are the cross-entropy of the letters at a random time, in nats.

    Parameters
    ----------
    letters : int
        K.
    steps : int
        Calls of the network where none are asked for.
    solver : callable
        `euler` or `heun`.

    Attributes
    ----------
    known_share : float
        Share of the rows in training of which a random part of the letters is known, as under a template; 0 at first.
    """

    bound = None
    state_class = SimplexState
    classifier_reads: ClassVar[Literal["letters", "vectors", "prefixes"] | None] = "vectors"
    reward_checks: ClassVar[int] = 1  # nothing is random on the way: rows that are chosen twice would stay alike
    foretells = False
    shows_known: ClassVar[Literal["letters", "sets"] | None] = "sets"
    t_max = 1.0
    times = 20
    """Times per sequence of `bound_terms`, where none are asked for."""

    def __init__(self, letters: int, steps: int = 50, solver: Solver = euler) -> None:
        super().__init__(letters)
        self.steps, self.solver, self.known_share = steps, solver, 0.0
        self._plan: tuple[Any, list[Level]] = (None, [])

    def quantile(self, u: Tensor) -> Tensor:
        """Return the times of training, whose distribution function is u in [0, 1)."""
        raise self._missing("quantile")

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> SimplexState:
        """Draw x_t given the letters x0 (B, L) at times t (B,)."""
        raise self._missing("corrupt")

    def fields(self, times: list[float], device: torch.device) -> list[Field]:
        """Return C at each of the times."""
        raise self._missing("fields")

    def log_evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        """Return log q(x_t | e_i) of each letter up to what they share, (B, L, K)."""
        raise self._missing("log_evidence")

    def given(self, state: SimplexState, log_allowed: Tensor) -> tuple[SimplexState, Tensor]:
        """Return the state with what is allowed as evidence beside that of the points, at all times.

        The flow then is that of p(x1 | what is allowed), as the noise it starts from knows nothing of letters.
        """
        return state.replace(allowed=log_allowed), torch.ones_like(state.mask)

    def _evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        """Return what a point and what is known beforehand say of the letter, (B, L, K), up to a constant."""
        evidence = self.log_evidence(state, dtype)
        return evidence if state.allowed is None else evidence + state.allowed.to(dtype)

    def network_input(self, state: SimplexState) -> tuple[Tensor, Tensor]:
        """Return what the network is shown: what each point says of its letter, and the time as a share of t_max."""
        says = torch.softmax(self._evidence(state, state.x.dtype), -1)
        return says * state.mask[..., None], state.t / self.t_max

    def noised(self, x0: Tensor, u: Tensor, mask: Tensor, generator: Generators) -> SimplexState:
        return self.corrupt(x0, self.quantile(u), mask, generator)

    def settled(self, x0: Tensor, mask: Tensor) -> SimplexState:
        x = F.one_hot(x0, self.letters).float() * mask[..., None]
        return SimplexState(x, torch.full((len(x0),), self.t_max, device=x0.device), mask)

    def expected(self, p: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return p * mask[..., None], torch.ones(len(p), device=p.device)

    def predict(self, denoiser: Denoiser, state: SimplexState, cond: Cond, temperature: float = 1.0) -> Tensor:
        logits = denoiser(*self.network_input(state), cond, state.mask)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return torch.log_softmax(logits / temperature + self._evidence(state, logits.dtype), -1)

    # -- loss ---------------------------------------------------------------------------------------------------------

    def cross_entropy(self, denoiser: Denoiser, batch: Batch, u: Tensor, generator: Generators) -> Tensor:
        """Return -log p(x0 | x_t), (B,) nats, at the times that u (B,) in [0, 1) stands for."""
        state = self.noised(batch.x0, u, batch.mask, generator)
        return self.surprise(denoiser, state, batch)

    def surprise(self, denoiser: Denoiser, state: SimplexState, batch: Batch) -> Tensor:
        """Return -log p(x0 | x_t), (B,) nats."""
        log_p0 = self.predict(denoiser, state, batch.cond)
        return masked_sum(-log_p0.gather(-1, batch.x0[..., None])[..., 0], state.mask)

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        # A random turn of the strata: without it the last rows of every batch would see the latest times.
        x0 = batch.x0
        u = stratified(len(x0), generator, x0.device) + uniform((1,), generator, x0.device)
        state = self.noised(x0, u % 1, batch.mask, generator)
        if self.known_share > 0:
            state = self.given(state, self._told(x0, generator))[0]
        return self.surprise(denoiser, state, batch)

    def _told(self, x0: Tensor, generator: Generators) -> Tensor:
        """Return `log_allowed` (B, L, K) that tells a random part of the letters x0 in `known_share` of the rows."""
        each, part, row = uniform((3, *x0.shape), generator, x0.device, torch.float32)
        told = (each < part[:, :1]) & (row[:, :1] < self.known_share)
        others = told[..., None] & (F.one_hot(x0, self.letters) == 0)
        return torch.zeros(others.shape, device=x0.device).masked_fill(others, -torch.inf)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield the cross-entropy at one time from each of `times` strata, over their number: they sum to the loss.

        It says which of two networks predicts better, and is no bound of the likelihood.
        """
        times = times or self.times
        for i in range(times):
            u = (i + uniform((len(batch),), generator, batch.x0.device)) / times
            yield self.cross_entropy(denoiser, batch, u, generator) / times

    # -- sampling -----------------------------------------------------------------------------------------------------

    def prior(self, mask: Tensor, generator: Generators) -> SimplexState:
        x = exponential((*mask.shape, self.letters), generator, mask.device, torch.float64)
        x = (x / x.sum(-1, keepdim=True)).float() * mask[..., None]
        return SimplexState(x, torch.zeros(len(mask), device=mask.device), mask)

    def levels(self, state: SimplexState, steps: int | None) -> Iterator[Level]:
        """Yield one level for each call of the network: `steps` of them."""
        key = (steps or self.steps, state.x.device)
        if self._plan[0] != key:  # the same for every batch
            moves = self.solver(key[0])
            fields = self.fields([move.asked * self.t_max for move in moves], state.x.device)
            levels = [
                Level(move.reached * self.t_max, move.length * self.t_max, move.back, field)
                for move, field in zip(moves, fields, strict=True)
            ]
            self._plan = (key, levels)
        yield from self._plan[1]

    def move(self, x: Tensor, p: Tensor, level: Level) -> Tensor:
        """Return x (B, L, K) after one Euler step under the prediction p (B, L, K).

        One that would overshoot ends at w/sum(w), the mean of the letters at which it aims.
        """
        w = level.length * p * level.field(x)
        total = w.sum(-1, keepdim=True)
        return (x + (w - x * total) / total.clamp_min(1.0)).clamp_min(0.0)  # below 0 it comes by rounding alone

    def step(self, state: SimplexState, target: Level, kernel: Tensor, generator: Generators) -> SimplexState:
        p = kernel.exp().to(state.x.dtype) * state.mask[..., None]  # beyond the end nothing moves
        x = self.move(state.x, p, target)
        if target.back:
            assert state.before is not None  # a level that goes back follows another
            x = torch.lerp(x, state.before, target.back)
        return state.replace(x=x, t=torch.full_like(state.t, target.t), log_p0=kernel, before=state.x)

    def log_prob(self, kernel: Tensor, state: SimplexState, target: Any, reached: SimplexState) -> Tensor:
        return torch.zeros(len(state.x), dtype=kernel.dtype, device=kernel.device)

    def shown(self, state: SimplexState) -> Tensor:
        """Return the last prediction, or x where there has been none, (B, L, K + 1)."""
        p = state.x if state.log_p0 is None else state.log_p0.exp()
        real = state.mask[..., None]
        return torch.cat([p * real, 1.0 - real.to(p.dtype)], -1)

    def decode(self, state: SimplexState) -> Tensor:
        """Return the likeliest letters (B, L) of the last prediction, or of x where there has been none."""
        return (state.x if state.log_p0 is None else state.log_p0).argmax(-1)

    @staticmethod
    def mix(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
        """Return the log of gamma p(. | y) + (1 - gamma) p(.), put back on the simplex: where points flow to."""
        return on_simplex(gamma * conditional.exp() + (1 - gamma) * unconditional.exp()).log()


class DirichletFlow(SimplexFlow):
    """Dirichlet flow matching: x_t given the letter e_i follows Dir(1 + t e_i).

    Parameters
    ----------
    letters : int
        K.
    steps : int
        Calls of the network where none are asked for.
    solver : callable
        `euler` or `heun`.
    t_max : float
        Where sampling ends. Training draws t from an exponential distribution of mean 2/7 t_max (the paper's 2 at its
        7), so that 3 in 100 lie beyond, and every time that a sampler asks for has been seen, whatever t_max.
    """

    def __init__(self, letters: int, steps: int = 50, solver: Solver = euler, t_max: float = 7.0) -> None:
        super().__init__(letters, steps, solver)
        self.t_max = t_max

    def log_evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        return state.t[:, None, None].to(dtype) * state.x.to(dtype).clamp_min(1e-30).log()

    def quantile(self, u: Tensor) -> Tensor:
        return -2 / 7 * self.t_max * torch.log1p(-u)

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> SimplexState:
        """Draw x_t ~ Dir(1 + t e_x0), (B, L, K).

        The coordinate of x0 is Beta(1 + t, K - 1), which for whole K - 1 is the exponential of
        -sum_{m < K - 1} E_m/(1 + t + m) with exponential E_m; the others share what is left as Dir(1) does. No
        rejection: how many random numbers are drawn does not depend on them.
        """
        K = self.letters
        e = exponential((*x0.shape, 2 * K - 1), generator, x0.device, torch.float32)
        m = torch.arange(K - 1, device=x0.device)
        log_own = -(e[..., : K - 1] / (1 + t.to(e.dtype)[:, None, None] + m)).sum(-1, keepdim=True)
        others = e[..., K - 1 :].scatter(-1, x0[..., None], 0.0)
        others = others / others.sum(-1, keepdim=True).clamp_min(1e-30)
        x = (-torch.expm1(log_own) * others).scatter(-1, x0[..., None], log_own.exp())
        return SimplexState(x * mask[..., None], t, mask)

    def fields(self, times: list[float], device: torch.device) -> list[Field]:
        # In float64 where it is quick, and all of them before the first step: the loop then waits for nothing.
        tables = field_tables(torch.tensor(times, dtype=torch.float64), self.letters).float().to(device)
        return [partial(look_up, table=table) for table in tables]


RULED_OUT = -50.0  # nats


class LinearFlow(SimplexFlow):
    """Linear flow matching: x_t = (1 - t) x_0 + t e_i.

    Once t > 0, only letters with x_i >= t are possible: it soon decides, the sooner the more letters there are.
    """

    def log_evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        """Rule out letters below t; not for good, as long steps may have left none above."""
        return torch.where(state.x >= state.t[:, None, None] - 1e-6, 0.0, RULED_OUT).to(dtype)

    def quantile(self, u: Tensor) -> Tensor:
        return u

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> SimplexState:
        """Return (1 - t) x_0 + t e, (B, L, K), with noise x_0 ~ Dir(1)."""
        noise = exponential((*x0.shape, self.letters), generator, x0.device, torch.float32)
        noise = noise / noise.sum(-1, keepdim=True)
        letters = F.one_hot(x0, self.letters).to(noise.dtype)
        return SimplexState(torch.lerp(noise, letters, t.to(noise.dtype)[:, None, None]) * mask[..., None], t, mask)

    def fields(self, times: list[float], device: torch.device) -> list[Field]:
        return [partial(torch.full_like, fill_value=1 / (1 - t)) for t in times]


def on_simplex(v: Tensor) -> Tensor:
    """Return the points of the simplex next to v (..., K): max(v - tau, 0) with tau such that they sum to 1.

    Examples
    --------
    >>> on_simplex(torch.tensor([[0.5, 0.5], [1.4, -0.4]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    ordered = v.sort(-1, descending=True).values
    excess = ordered.cumsum(-1) - 1
    number = torch.arange(1, v.shape[-1] + 1, device=v.device, dtype=v.dtype)
    kept = (ordered > excess / number).sum(-1, keepdim=True).clamp_min(1)
    return (v - excess.gather(-1, kept - 1) / kept).clamp_min(0)


def exponential(shape: tuple[int, ...], generator: Generators, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return exponential numbers by inversion: as many uniforms as there are numbers."""
    return -torch.log1p(-uniform(shape, generator, device, dtype))
