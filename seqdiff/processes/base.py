"""The base class of generative processes: noise, a loss for the network that removes it, and the sampler's steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.runtime import Generators

Cond = dict[str, Tensor] | None
Denoiser = Callable[..., Tensor]
"""``denoiser(x, t, cond=None, mask=None) -> logits (B, L, K)``: a network, or an exact distribution in the tests."""
S = TypeVar("S", bound="State")


@dataclass(frozen=True)
class State:
    """A noised batch of sequences. A process that needs more fields has a subclass.

    Parameters
    ----------
    x : Tensor
        Tokens (B, L), or vectors (B, L, D).
    t : Tensor
        Times (B,), or event counts (B, L).
    mask : Tensor
        Booleans (B, L), True at real positions, False at padding.
    independent : Tensor, optional
        Given, booleans (B,), if a step must draw each letter by itself, as a guide reads the density of the draw.
    """

    x: Tensor
    t: Tensor
    mask: Tensor
    independent: Tensor | None = field(default=None, kw_only=True)

    def take(self: S, rows: Tensor | slice) -> S:
        """Return the state of some of the rows."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **{name: v[rows] for name, v in values.items() if v is not None})

    def replace(self: S, **changes: Any) -> S:
        """Return the state with other values of some fields."""
        return dataclasses.replace(self, **changes)

    @property
    def drawn(self) -> Tensor:
        """Booleans, True at the real ones of the positions of `Process.predict_drawn`, (B, L) by default."""
        return self.mask


@dataclass(frozen=True)
class Batch:
    """Clean sequences and their conditions.

    Parameters
    ----------
    x0 : Tensor
        Tokens (B, L), int64; in a small integer type before `take`.
    lengths : Tensor
        Letters of each sequence (B,).
    cond : dict of Tensor or None
        Conditions by name, B rows each.
    weight : Tensor or None
        Sample weights (B,) without a unit, with a mean of 1.
    noise : Tensor or None
        Noise (B, ...) from which a teacher's flow generated `x0`.
    """

    x0: Tensor
    lengths: Tensor
    cond: Cond = None
    weight: Tensor | None = None
    noise: Tensor | None = None

    @classmethod
    def of(cls, x0: Tensor, mask: Tensor, cond: Cond = None, noise: Tensor | None = None) -> Batch:
        """Return the batch whose real positions are `mask` (B, L)."""
        return cls(x0, mask.sum(-1), cond, noise=noise)

    def __len__(self) -> int:
        return len(self.x0)

    @cached_property
    def mask(self) -> Tensor:
        """Booleans (B, L), True at real positions."""
        return torch.arange(self.x0.shape[1], device=self.x0.device) < self.lengths[:, None]

    @property
    def device(self) -> torch.device:
        return self.x0.device

    @property
    def width(self) -> int:
        """Columns of the tokens."""
        return self.x0.shape[1]

    def loaded(self) -> Batch:
        """Return the batch, whose tokens are in memory."""
        return self

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        return self._each(lambda v: v.to(device))

    def rows(self, rows: Tensor | slice) -> Batch:
        """Return some rows with tokens in their stored type."""
        return self._each(lambda v: v[rows])

    def take(self, rows: Tensor | slice, width: int | None = None) -> Batch:
        """Return some rows, tokens as int64, cut to the first `width` columns."""
        part = self.rows(rows)
        cond = part.cond
        if cond is not None and "signal" in cond:
            cond["signal"] = cond["signal"][:, :width]
        noise = None if part.noise is None else part.noise[:, :width]
        return Batch(part.x0[:, :width].long(), part.lengths, cond, part.weight, noise)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        cond = None if self.cond is None else {k: change(v) for k, v in self.cond.items()}
        weight, noise = (None if v is None else change(v) for v in (self.weight, self.noise))
        return Batch(change(self.x0), change(self.lengths), cond, weight, noise)


class Process(nn.Module, Generic[S]):
    """A generative process over sequences of `letters` letters.

    Subclasses define the methods below. All values are in nats per sequence, summed over real positions only. The type
    parameter is the class of the states, `State` or a subclass with more fields.

    Parameters
    ----------
    letters : int
        K, the number of letters.

    Notes
    -----
    Arguments of the methods, for B sequences of at most L positions:

    - ``denoiser(x, t, cond, mask)``: the network, returns logits (B, L, K).
    - ``batch``, ``x0`` (B, L) int64, ``mask`` (B, L) bool, ``cond`` (tensors by name, or None): clean sequences.
    - ``t`` (B,): times, 0 for the data; ``u`` (B,) in [0, 1); ``times``, ``steps``: a number of noise levels.
    - ``state``, ``reached``: noised sequences before and after a step; ``level``, ``target``: the next level to reach.
    - ``log_p0``, ``conditional``, ``unconditional`` (B, L, K): log-probabilities (nats) of the clean letters, or with
      and without a label; ``kernel``: what `kernel` returned; ``guess`` (B, L, K): a fixed prediction of the letters.
    - ``temperature``, ``gamma``: positive numbers without a unit; 1 leaves the distribution as it is.
    - ``generator``: a `torch.Generator`, or a list of them, one for each 256 rows.
    """

    bound: ClassVar[Literal["exact", "elbo"] | None] = None
    """The sum of `bound_terms`: minus the log-likelihood, an upper bound of it, or None of these."""
    state_class: ClassVar[type[State]] = State
    shows_known: Literal["letters", "sets"] | None = None
    """Known letters that `given` can show the network: single letters, any sets of letters, or none."""
    models_length: ClassVar[bool] = False
    """True if the process itself scores lengths; else a `LengthDistribution` does."""
    ends: bool = False
    """True if sequences end by a token, letter number K, that is drawn in place of a letter."""
    classifier_reads: ClassVar[Literal["letters", "vectors", "prefixes"] | None] = None
    """Input of a classifier that guides the sampler: noised letters, letter probabilities given noised vectors, or
    prefixes of sequences. None: nothing is noised."""
    mixes_kernel: ClassVar[bool] = False
    """True if classifier-free guidance mixes the kernels of the steps, else the predictions of the clean letters."""
    reward_checks: ClassVar[int] = 20
    """Number of times that a reward is computed while sampling, the end included; 0 where all is drawn at once."""
    foretells: ClassVar[bool] = True
    """True if letters drawn from `predict` estimate the final sample; else a row is sampled to its end for that."""
    distils_to: ClassVar[type[Process[Any]] | None] = None
    """The process that learns this one's samples in one call; only for samplers that draw nothing after the start."""
    repeatable: ClassVar[bool] = False
    """True if `loss` depends on tensors alone and neither reads nor changes other values from call to call: a GPU then
    repeats the training step without Python (`runtime.Recordings`)."""
    guesses: ClassVar[int] = 0
    """Calls of the network for the control variate of a bound (`ContinuousTime.guess`); 0: there is none."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.letters = letters

    @property
    def states(self) -> int:
        """The number of values that a position of the network's input can take (K, or K + 1 with a mask)."""
        return self.letters

    @property
    def outputs(self) -> int:
        """The number of logits that the network gives at a position (K, or K + 1 with an end token)."""
        return self.letters

    @property
    def reading_states(self) -> int:
        """The number of letters, or the dimension of the vectors, in `reading`."""
        return self.states

    def _missing(self, method: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} does not define {method}, as every process of its kind must")

    def fit_schedule(self, p0: Tensor) -> None:
        """Fit the noise to the letter frequencies p0 (K,) of the training set; by default nothing is fitted."""

    # -- learning -----------------------------------------------------------------------------------------------------

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        """Return the training loss (B,) in nats: an unbiased estimate of the bound where there is one."""
        raise self._missing("loss")

    def parts(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> dict[str, Tensor]:
        """Return the terms (B,) whose sum is the training loss, by name; several are logged one by one."""
        return {"loss": self.loss(denoiser, batch, generator)}

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield terms (B,), one for each noise level, whose sum estimates the bound on -log p(x0) given the length.

        `times` is the number of levels; None takes them all, or the default of a process in continuous time.
        """
        raise self._missing("bound_terms")

    # -- noise --------------------------------------------------------------------------------------------------------

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> S:
        """Draw x_t ~ q(x_t | x0) at times t (B,)."""
        raise NotImplementedError(f"{type(self).__name__} has no noise to train a classifier on")

    def noise_times(self, u: Tensor) -> Tensor:
        """Return times (B,) for u (B,) in [0, 1) such that they cover all times of the sampler; by default u itself."""
        return u

    def noised(self, x0: Tensor, u: Tensor, mask: Tensor, generator: Generators) -> S:
        """Draw x_t ~ q(x_t | x0) at the times of u (B,) in [0, 1): the training data of a classifier for guidance."""
        return self.corrupt(x0, self.noise_times(u), mask, generator)

    def settled(self, x0: Tensor, mask: Tensor) -> S:
        """Return the state of finished sequences."""
        return self.noised(x0, torch.zeros(len(x0), device=x0.device), mask, torch.Generator(device=x0.device))

    def expected(self, p: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's input for finished sequences whose letters have probabilities p (B, L, K).

        Differentiable in p; for one-hot p it equals the input for these letters.
        """
        x, t = self.network_input(self.settled(p.argmax(-1), mask))
        blank = F.one_hot(x, self.states).to(p.dtype)
        return torch.where(mask[..., None], F.pad(p, (0, self.states - p.shape[-1])), blank), t

    def prepared(self, denoiser: Denoiser, state: S) -> S:
        """Return a noised state with the further fields that `network_input` reads in sampling; by default none."""
        return state

    def network_input(self, state: S) -> tuple[Tensor, Tensor]:
        """Return the network's input: letters or vectors, and times in [0, 1] (B,) or scaled event counts (B, L)."""
        return state.x, state.t

    def reading(self, state: S) -> tuple[Tensor, Tensor]:
        """Return the input of a guide's classifier: letters (B, L), or letter probabilities given the vectors
        (B, L, K); and the time as in `network_input`."""
        return self.network_input(state)

    # -- prediction ---------------------------------------------------------------------------------------------------

    def log_evidence(self, state: S, dtype: torch.dtype) -> Tensor:
        """Return log q(x_t | x0 = k), (B, L, K), up to a constant per position."""
        raise self._missing("log_evidence")

    def context(self, denoiser: Denoiser, state: S, cond: Cond) -> Tensor:
        """Return the network's context logits (B, L, K), at least in float32."""
        return at_least_float32(denoiser(*self.network_input(state), cond, state.mask))

    def predict(self, denoiser: Denoiser, state: S, cond: Cond, temperature: float = 1.0) -> Tensor:
        """Return log p(x0 | x_t), (B, L, K): the network's context logits (over the temperature) plus the evidence."""
        context = self.context(denoiser, state, cond)
        # Temperature acts on the context before evidence: after it, x_t would have too much weight.
        return torch.log_softmax(context / temperature + self.log_evidence(state, context.dtype), -1)

    # -- sampling -----------------------------------------------------------------------------------------------------

    def prior(self, mask: Tensor, generator: Generators) -> S:
        """Draw the state from which generation starts."""
        raise self._missing("prior")

    def given(self, state: S, log_allowed: Tensor) -> tuple[S, Tensor]:
        """Return the prior's state with known letters shown in it: generation from there samples p(x0 | known letters).

        `log_allowed` (B, L, K) is 0 for the letters that a position may have, -inf for the others. Also returned are
        booleans (B, L), True where a mask on p(x0 | x_t) would rule out no more than the state does.
        """
        return state, torch.zeros_like(state.mask)

    def onwards(self, state: S) -> S:
        """Return the prior's state for a loop that only goes forward, with guides that read no letters of the state.

        A process that draws one letter in a step then spares what concerns the others, in `predict_drawn`, too. By
        default the state itself.
        """
        return state

    def predict_drawn(self, denoiser: Denoiser, state: S, cond: Cond, temperature: float = 1.0) -> Tensor:
        """Return `predict` for the positions that the next step may draw, (B, 1, K) or by default (B, L, K)."""
        return self.predict(denoiser, state, cond, temperature)

    def levels(self, state: S, steps: int | None) -> Iterator[Any]:
        """Yield the levels to visit, noisiest first: times, event counts or positions. None: the process's default."""
        raise self._missing("levels")

    def aim(self, state: S, level: Any, generator: Generators) -> Any:
        """Return the target of `kernel` and `step` for a level; a random target is drawn here."""
        return level

    def arrival(self, state: S, target: Any) -> Tensor:
        """Return the times of the state after `step`, of `State.t`'s shape."""
        return torch.full_like(state.t, target)

    def kernel(self, log_p0: Tensor, state: S, target: Any) -> Tensor:
        """Return the log-probabilities from which `step` draws; by default log p(x0 | x_t) itself."""
        return log_p0

    def step(self, state: S, target: Any, kernel: Tensor, generator: Generators) -> S:
        """Draw the state at the next level."""
        raise self._missing("step")

    def log_prob(self, kernel: Tensor, state: S, target: Any, reached: S) -> Tensor:
        """Return the log-density (B,) of the step from `state` to `reached` by a kernel; 0 where nothing is drawn."""
        raise self._missing("log_prob")

    def shown(self, state: S) -> Tensor:
        """Return letter probabilities (B, L, K + 1) for plots of a trajectory, the last for letters not yet drawn."""
        return F.one_hot(torch.where(state.mask, state.x, self.letters), self.letters + 1).float()

    def decode(self, state: S) -> Tensor:
        """Return the tokens (B, L) of a finished state."""
        return state.x

    # -- for guides ---------------------------------------------------------------------------------------------------

    def foreseen(self, state: S) -> Tensor:
        """Return booleans (B, L), True at letters that the network predicts in this state."""
        return state.mask

    def written(self, state: S) -> Tensor | None:
        """Return booleans (B, L), True at letters that no later step changes; None if all may change."""
        return None

    def real(self, state: S) -> Tensor:
        """Return booleans (B, L), True at positions that a sequence has or may get."""
        return state.mask

    def decided(self, state: S) -> bool:
        """Return True if the letters are drawn, so that the vectors of the state have no effect."""
        return False

    def vector_noise(self, state: S) -> Tensor | None:
        """Return the standard deviation (B, 1, 1) of the noise in a state of vectors, or None."""
        return None

    @staticmethod
    def mix(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
        """Return classifier-free guidance's mixture of log p(. | y) and log p(.), (..., K), normalised.

        By default gamma log p(. | y) + (1 - gamma) log p(.); letters that either rules out stay ruled out.
        """
        possible = torch.isfinite(conditional) & torch.isfinite(unconditional)
        mixed = torch.where(possible, gamma * conditional + (1 - gamma) * unconditional, -torch.inf)
        # where both together rule out all letters, the conditional one counts
        return torch.log_softmax(torch.where(possible.any(-1, keepdim=True), mixed, conditional), -1)


def rows_of(denoiser: Denoiser, rows: Tensor | slice) -> Denoiser:
    """Return the denoiser of some rows, where it has parts for each."""
    take = getattr(denoiser, "take", None)
    return denoiser if take is None else take(rows)


def taken(tensors: Cond, rows: Tensor | slice) -> Cond:
    """Return some rows of a condition, or of other tensors by name."""
    return None if tensors is None else {name: value[rows] for name, value in tensors.items()}


def same_tensors(a: Cond, b: Cond) -> bool:
    """Return whether two conditions, or other tensors by name, are equal."""
    if a is None or b is None:
        return a is b
    return a is b or (a.keys() == b.keys() and all(v is b[k] or torch.equal(v, b[k]) for k, v in a.items()))


def at_least_float32(logits: Tensor) -> Tensor:
    """Return logits in float32, or in float64 where they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def like(target: float | Tensor, t: Tensor) -> Tensor:
    """Return a level, a number or a tensor, in the shape and type of the times t, on their device."""
    # a number is filled in on the device: copying it there would wait for the device
    return target.to(t).expand_as(t) if isinstance(target, Tensor) else torch.full_like(t, target)


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum (B, L) over real positions; values at the others, nan included, do not count."""
    return torch.where(mask, values, torch.zeros((), dtype=values.dtype, device=values.device)).sum(-1)


class Clean(Process[State]):
    """Letters without noise at time 0, for classifiers without a generator; there is nothing to sample."""

    classifier_reads = "letters"

    def corrupt(self, x0: Tensor, t: Tensor, mask: Tensor, generator: Generators) -> State:
        return State(x0, torch.zeros(len(x0), device=x0.device), mask)
