r"""Flow matching on the simplex: Dirichlet paths (Stark et al. 2024, arXiv 2402.05841), and linear ones.

Noise is a point of the simplex, x ~ Dir(1), for each position. The network predicts each letter from the others, and
the evidence of the letter's own point is added: up to a constant, log p(x1 = e_i | x_t) = c_i + log q(x_t | e_i). The
flow to each letter is known; x moves by their mean under p:

    dx/dt = sum_i p_i C(x_i, t) (e_i - x) = w - x sum(w),     w_i = p_i C(x_i, t)

    Dirichlet: x_t | e_i ~ Dir(1 + t e_i),  t in [0, t_max];  C is that of simplex_field.py;  q ~ x_i^t
    linear:    x_t = (1 - t) x_0 + t e_i,   t in [0, 1];      C = 1/(1 - t);                  q ~ [x_i >= t]

The paper's network reads x and has to learn q too. Here it reads q, normalised over the letters: all the information of
x about letters at time t, and none at t = 0.

An Euler step of length d stays on the simplex while d sum(w) <= 1, and a Heun step is a mean of x and two Euler steps.
The sample is the likeliest letter of the last prediction: x itself need not have reached a vertex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.errors import InputError
from seqdiff.processes.base import Batch, Cond, Denoiser, Process, State, masked_sum
from seqdiff.processes.categorical import strata, turned
from seqdiff.processes.noise.simplex_field import field_tables, look_up
from seqdiff.runtime import Generators, uniform

Field = Callable[[Tensor], Tensor]
"""x -> C(x, t) at one time."""


class Move(NamedTuple):
    """The step after one call of the network; times and lengths are shares of t_max."""

    asked: float  # the time of the call
    reached: float  # the time after the step
    length: float  # of the Euler step
    back: float  # the state is (1 - back) times the Euler step plus `back` times the state before the previous step


Solver = Callable[[int], list[Move]]
"""Number of calls of the network -> the moves after them."""


def euler(calls: int) -> list[Move]:
    """Return `calls` Euler steps of equal length."""
    return [Move(i / calls, (i + 1) / calls, 1 / calls, 0.0) for i in range(calls)]


def heun(calls: int) -> list[Move]:
    """Return Heun steps, two calls each, of the same length as the one or two Euler steps at the end.

    The last call needs no corrector, as its prediction is the sample; and the linear field is infinite there.

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


def on_simplex(v: Tensor) -> Tensor:
    """Return the points of the simplex nearest to v (..., K): max(v - tau, 0) with tau such that they sum to 1."""
    ordered = v.sort(-1, descending=True).values
    excess = ordered.cumsum(-1) - 1
    number = torch.arange(1, v.shape[-1] + 1, device=v.device, dtype=v.dtype)
    kept = (ordered > excess / number).sum(-1, keepdim=True).clamp_min(1)
    return (v - excess.gather(-1, kept - 1) / kept).clamp_min(0)


def exponential(shape: tuple[int, ...], generator: Generators, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return exponential random numbers by inversion: one uniform for each."""
    return -torch.log1p(-uniform(shape, generator, device, dtype))


class Level(NamedTuple):
    """A move of the sampler in units of time, with the field at the time of the call."""

    t: float
    length: float
    back: float
    field: Field


@dataclass(frozen=True)
class SimplexState(State):
    """Points of the simplex (B, L, K)."""

    allowed: Tensor | None = None  # (B, L, K) 0 for the letters that a template allows, -inf for the others
    log_p0: Tensor | None = None  # (B, L, K) the last prediction
    before: Tensor | None = None  # (B, L, K) the points before the last move


class SimplexFlow(Process[SimplexState]):
    """A flow from Dir(1) to letters. Subclasses define `corrupt`, `noise_times`, `log_evidence` and `fields`.

    The states are points of the simplex (B, L, K), 0 beyond the end. There is no likelihood: `loss` and `bound_terms`
    are the cross-entropy of the letters at a random time, in nats. The solver, `euler` or `heun`, makes `steps` calls
    of the network by default.
    """

    known_share = 0.0
    """Share of the training rows of which a random part of the letters is known, as under a template."""

    bound = None
    state_class = SimplexState
    repeatable: ClassVar[bool] = True
    classifier_reads: ClassVar[Literal["letters", "vectors", "prefixes"] | None] = "vectors"
    reward_checks: ClassVar[int] = 1  # no step is random: copies of a row would stay equal
    foretells = False
    shows_known: Literal["letters", "sets"] | None = "sets"
    t_max = 1.0
    times = 20  # per sequence in `bound_terms`

    def __init__(self, letters: int, steps: int = 50, solver: Solver = euler) -> None:
        super().__init__(letters)
        self.steps, self.solver = steps, solver
        self._plan: tuple[tuple[int, torch.device] | None, list[Level]] = (None, [])

    def fields(self, times: list[float], device: torch.device) -> list[Field]:
        """Return C at each of the times."""
        raise self._missing("fields")

    def given(self, state: SimplexState, log_allowed: Tensor) -> tuple[SimplexState, Tensor]:
        """Return the state with the allowed letters as evidence beside that of the points, at all times.

        The flow is then that of p(x1 | allowed letters), as its noise is independent of letters.
        """
        return state.replace(allowed=log_allowed), torch.ones_like(state.mask)

    def _evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        """Return the evidence of the points and of the allowed letters, (B, L, K), up to a constant."""
        evidence = self.log_evidence(state, dtype)
        return evidence if state.allowed is None else evidence + state.allowed.to(dtype)

    def network_input(self, state: SimplexState) -> tuple[Tensor, Tensor]:
        """Return the normalised evidence of each letter, and the time as a share of t_max."""
        evidence = torch.softmax(self._evidence(state, state.x.dtype), -1)
        return evidence * state.mask[..., None], state.t / self.t_max

    def settled(self, x0: Tensor, mask: Tensor) -> SimplexState:
        x = F.one_hot(x0, self.letters).float() * mask[..., None]
        return SimplexState(x, torch.full((len(x0),), self.t_max, device=x0.device), mask)

    def expected(self, p: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return p * mask[..., None], torch.ones(len(p), device=p.device)

    def predict(self, denoiser: Denoiser, state: SimplexState, cond: Cond, temperature: float = 1.0) -> Tensor:
        context = self.context(denoiser, state, cond)
        return torch.log_softmax(context / temperature + self._evidence(state, context.dtype), -1)

    # -- loss ---------------------------------------------------------------------------------------------------------

    def cross_entropy(self, denoiser: Denoiser, state: SimplexState, batch: Batch) -> Tensor:
        """Return -log p(x0 | x_t), (B,) nats."""
        log_p0 = self.predict(denoiser, state, batch.cond)
        return masked_sum(-log_p0.gather(-1, batch.x0[..., None])[..., 0], state.mask)

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        x0 = batch.x0
        state = self.noised(x0, turned(len(x0), generator, x0.device), batch.mask, generator)
        if self.known_share > 0:
            state = self.given(state, self._some_known(x0, generator))[0]
        return self.cross_entropy(denoiser, state, batch)

    def _some_known(self, x0: Tensor, generator: Generators) -> Tensor:
        """Return `log_allowed` (B, L, K) by which a random part of x0 is known in `known_share` of the rows."""
        each, part, row = (uniform(x0.shape, generator, x0.device, torch.float32) for _ in range(3))
        known = (each < part[:, :1]) & (row[:, :1] < self.known_share)
        others = known[..., None] & (F.one_hot(x0, self.letters) == 0)
        return torch.zeros(others.shape, device=x0.device).masked_fill(others, -torch.inf)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield the cross-entropy at one time from each of `times` strata, over their number: their sum is the loss.

        It compares networks and is no bound of the likelihood.
        """
        times = times or self.times
        for u in strata(times, len(batch), generator, batch.x0.device):
            state = self.noised(batch.x0, u, batch.mask, generator)
            yield self.cross_entropy(denoiser, state, batch) / times

    # -- sampling -----------------------------------------------------------------------------------------------------

    def prior(self, mask: Tensor, generator: Generators) -> SimplexState:
        x = exponential((*mask.shape, self.letters), generator, mask.device, torch.float64)
        x = (x / x.sum(-1, keepdim=True)).float() * mask[..., None]
        return SimplexState(x, torch.zeros(len(mask), device=mask.device), mask)

    def levels(self, state: SimplexState, steps: int | None) -> Iterator[Level]:
        """Yield one level for each of `steps` calls of the network."""
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
        """Return x (B, L, K) after one Euler step under the prediction p (B, L, K), which ends at most at w/sum(w)."""
        w = level.length * p * level.field(x)
        total = w.sum(-1, keepdim=True)
        return (x + (w - x * total) / total.clamp_min(1.0)).clamp_min(0.0)  # below 0 by rounding alone

    def step(self, state: SimplexState, target: Level, kernel: Tensor, generator: Generators) -> SimplexState:
        p = kernel.exp().to(state.x.dtype) * state.mask[..., None]  # 0 beyond the end
        x = self.move(state.x, p, target)
        if target.back:
            assert state.before is not None  # a level that goes back follows another
            x = torch.lerp(x, state.before, target.back)
        return state.replace(x=x, t=torch.full_like(state.t, target.t), log_p0=kernel, before=state.x)

    def log_prob(self, kernel: Tensor, state: SimplexState, target: Level, reached: SimplexState) -> Tensor:
        return torch.zeros(len(state.x), dtype=kernel.dtype, device=kernel.device)

    def shown(self, state: SimplexState) -> Tensor:
        """Return the last prediction, or x before the first, (B, L, K + 1)."""
        p = state.x if state.log_p0 is None else state.log_p0.exp()
        real = state.mask[..., None]
        return torch.cat([p * real, 1.0 - real.to(p.dtype)], -1)

    def decode(self, state: SimplexState) -> Tensor:
        """Return the likeliest letters (B, L) of the last prediction, or of x before the first."""
        return (state.x if state.log_p0 is None else state.log_p0).argmax(-1)

    @staticmethod
    def mix(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
        """Return the log of gamma p(. | y) + (1 - gamma) p(.), projected to the simplex."""
        return on_simplex(gamma * conditional.exp() + (1 - gamma) * unconditional.exp()).log()


class DirichletFlow(SimplexFlow):
    """Dirichlet flow matching: x_t given the letter e_i follows Dir(1 + t e_i).

    Sampling ends at `t_max`. Training draws t from an exponential distribution of mean 2/7 t_max (the paper's 2 at its
    7), so that 3 in 100 are larger and every time of the sampler is seen in training.
    """

    def __init__(self, letters: int, steps: int = 50, solver: Solver = euler, t_max: float = 7.0) -> None:
        super().__init__(letters, steps, solver)
        self.t_max = t_max

    def log_evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        return state.t[:, None, None].to(dtype) * state.x.to(dtype).clamp_min(1e-30).log()

    def noise_times(self, u: Tensor) -> Tensor:
        return -2 / 7 * self.t_max * torch.log1p(-u)

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> SimplexState:
        """Draw x_t ~ Dir(1 + t e_x0), (B, L, K).

        The coordinate of x0 is Beta(1 + t, K - 1), which for whole K - 1 is the exponential of
        -sum_{m < K - 1} E_m/(1 + t + m) with exponential E_m; the others share the rest as Dir(1). Nothing is rejected:
        the number of random numbers does not depend on them.
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
        # in float64 on the CPU, and all of them before the first step: the loop then never waits for the device
        tables = field_tables(torch.tensor(times, dtype=torch.float64), self.letters).float().to(device)
        return [partial(look_up, table=table) for table in tables]


RULED_OUT = -50.0  # nats


class LinearFlow(SimplexFlow):
    """Linear flow matching: x_t = (1 - t) x_0 + t e_i.

    Only letters with x_i >= t are possible: letters are decided early, the earlier the more letters there are.
    """

    def log_evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        """Rule out letters below t by `RULED_OUT`, not -inf, as long steps may leave no letter above t."""
        return torch.where(state.x >= state.t[:, None, None] - 1e-6, 0.0, RULED_OUT).to(dtype)

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> SimplexState:
        """Return (1 - t) x_0 + t e, (B, L, K), with noise x_0 ~ Dir(1)."""
        noise = exponential((*x0.shape, self.letters), generator, x0.device, torch.float32)
        noise = noise / noise.sum(-1, keepdim=True)
        letters = F.one_hot(x0, self.letters).to(noise.dtype)
        return SimplexState(torch.lerp(noise, letters, t.to(noise.dtype)[:, None, None]) * mask[..., None], t, mask)

    def fields(self, times: list[float], device: torch.device) -> list[Field]:
        return [partial(torch.full_like, fill_value=1 / (1 - t)) for t in times]


class DistilledFlow(SimplexFlow):
    """The map of a teacher's flow from noise to letters, in one call of the network; the time is 0.

    Once trained, the flow is deterministic given x_0 ~ Dir(1). The student learns it from pairs (x_0, the teacher's
    letters) by cross-entropy, and generates the likeliest letters. The noise of a pair is `Batch.noise` (B, L, K).

    Examples
    --------
    >>> process, mask = DistilledFlow(3), torch.ones(2, 5, dtype=torch.bool)
    >>> state = process.prior(mask, torch.Generator().manual_seed(0))
    >>> sharp = lambda x, t, cond=None, mask=None: 9 * x  # the letter nearest to the noise
    >>> level, = process.levels(state, None)
    >>> after = process.step(state, level, process.predict(sharp, state, None), None)
    >>> torch.equal(process.decode(after), state.x.argmax(-1))
    True
    """

    shows_known = None
    classifier_reads = None  # one step, without noised states
    reward_checks = 0

    def __init__(self, letters: int) -> None:
        super().__init__(letters, steps=1)

    def given(self, state: SimplexState, log_allowed: Tensor) -> tuple[SimplexState, Tensor]:
        """Return the state itself: the student sees the noise alone."""
        return state, torch.zeros_like(state.mask)

    def log_prob(self, kernel: Tensor, state: SimplexState, target: Level, reached: SimplexState) -> Tensor:
        """Return the log-probability (B,) of the letters, by which noises that suit a template are chosen."""
        letters = self.decode(reached)[..., None]
        return masked_sum(kernel.gather(-1, letters).squeeze(-1), state.mask)

    def log_evidence(self, state: SimplexState, dtype: torch.dtype) -> Tensor:
        """Return zeros: the teacher alone decides the letters of a noise."""
        return torch.zeros_like(state.x, dtype=dtype)

    def network_input(self, state: SimplexState) -> tuple[Tensor, Tensor]:
        return state.x, state.t

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        """Return -log p(letters | noise), (B,) nats, of a batch with `noise`."""
        if batch.noise is None:
            raise InputError("batch", "pairs without noise", "points of the simplex (B, L, K) with each", "give noise")
        noise = batch.noise[:, : batch.x0.shape[1]].float()
        state = SimplexState(noise, torch.zeros(len(batch), device=noise.device), batch.mask)
        return self.cross_entropy(denoiser, state, batch)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        yield self.loss(denoiser, batch, generator)

    def levels(self, state: SimplexState, steps: int | None) -> Iterator[Level]:
        """Yield one level for any `steps`."""
        yield Level(1.0, 1.0, 0.0, torch.zeros_like)

    def step(self, state: SimplexState, target: Level, kernel: Tensor, generator: Generators) -> SimplexState:
        return SimplexState(state.x, torch.ones_like(state.t), state.mask, log_p0=kernel)


SimplexFlow.distils_to = DistilledFlow
DistilledFlow.distils_to = None
