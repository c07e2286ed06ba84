"""What every generator is: a way to destroy a sequence, a loss for the network that undoes it, and the undoing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    """Where a batch of sequences is between noise and data. A process that carries more has a subclass with its fields.

    Parameters
    ----------
    x : Tensor
        Tokens (B, L), or vectors (B, L, D).
    t : Tensor
        Times (B,), or event counts (B, L).
    mask : Tensor
        Booleans (B, L), True at the positions that a sequence really has.
    """

    x: Tensor
    t: Tensor
    mask: Tensor

    def take(self: S, rows: Tensor | slice) -> S:
        """Return the state of some of the rows."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        taken: dict[str, Any] = {name: v if v is None else v[rows] for name, v in values.items()}
        return type(self)(**taken)

    def replace(self: S, **changes: Any) -> S:
        """Return the state with other values of some fields."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Batch:
    """Clean sequences on the device, and what is known of them.

    Parameters
    ----------
    x0 : Tensor
        Tokens (B, L), int64; in a small integer type while they wait.
    lengths : Tensor
        (B,).
    cond : dict or None
        Conditions, B rows each.
    weight : Tensor or None
        Sample weights (B,).
    noise : Tensor or None
        What x0 was made of, where it was made (B, ...): the start of a flow that is distilled.
    """

    x0: Tensor
    lengths: Tensor
    cond: Cond = None
    weight: Tensor | None = None
    noise: Tensor | None = None

    @classmethod
    def of(cls, x0: Tensor, mask: Tensor, cond: Cond = None, noise: Tensor | None = None) -> Batch:
        """Return the batch whose sequences have the positions `mask` (B, L) from the first on."""
        return cls(x0, mask.sum(-1), cond, noise=noise)

    def __len__(self) -> int:
        return len(self.x0)

    @cached_property
    def mask(self) -> Tensor:
        """Booleans (B, L), True at real positions."""
        return torch.arange(self.x0.shape[1], device=self.x0.device) < self.lengths[:, None]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        return self._each(lambda v: v.to(device))

    def rows(self, rows: Tensor) -> Batch:
        """Return some rows as they are."""
        return self._each(lambda v: v[rows])

    def take(self, rows: Tensor | slice, width: int | None = None) -> Batch:
        """Return some rows, tokens as int64; only their first `width` columns, where none of them is longer."""
        part = self._each(lambda v: v[rows])
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

    Subclasses fill in what stands here; nothing else in seqdiff needs to know them. All values are in nats per
    sequence, summed over real positions only.

    The type parameter is the class of its states, `State` or a subclass with more fields.

    Parameters
    ----------
    letters : int
        K, the number of letters of the data.
    """

    bound: ClassVar[Literal["exact", "elbo"] | None] = None
    """What `bound_terms` add up to: minus the log-likelihood, an upper bound of it, or nothing that is known."""
    state_class: ClassVar[type[State]] = State
    """The class of its states."""
    shows_known: ClassVar[Literal["letters", "sets"] | None] = None
    """What `given` can show the network from the start: single letters, any sets of letters, or nothing."""
    models_length: ClassVar[bool] = False
    """True where the process itself scores a length; if not, a `LengthDistribution` does."""
    ends: bool = False
    """Whether sequences end by a token, letter number K, that is drawn in place of a letter."""
    classifier_reads: ClassVar[Literal["letters", "vectors", "prefixes"] | None] = None
    """What a classifier that guides the sampler reads: noised letters, what noised vectors say of letters, or prefixes
    of sequences that are written letter by letter. None: nothing is noised."""
    mixes_kernel: ClassVar[bool] = False
    """Whether classifier-free guidance mixes the kernels of the steps; if not, the predictions of the clean letters."""
    reward_checks: ClassVar[int] = 20
    """How often on the way a reward is asked for, the end included; 0 where nothing is decided on the way."""
    foretells: ClassVar[bool] = True
    """Whether letters drawn from `predict` tell what a row will end as; if not, it takes sampling to the end."""
    distils_to: ClassVar[type[Process[Any]] | None] = None
    """The process that learns this one's samples in one call, as nothing is random on its way but the start."""
    guesses: ClassVar[int] = 0
    """Calls of the network for the guess that makes a bound scatter less (`ContinuousTime.guess`); 0: there is none."""

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
        """The number of values, or of numbers in a vector, that `reading` has at a position."""
        return self.states

    def _missing(self, method: str) -> NotImplementedError:
        return NotImplementedError(
            f"{type(self).__name__} does not define {method}, which every process of its kind has"
        )

    def fit_schedule(self, p0: Tensor) -> None:
        """Fit what the noise needs to know of the data, the frequencies of its letters (K,); most need nothing."""

    # -- learning -----------------------------------------------------------------------------------------------------

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        """Return the training loss (B,) in nats: an unbiased estimate of the bound where there is one."""
        raise self._missing("loss")

    def parts(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> dict[str, Tensor]:
        """Return what the training loss is the sum of, by name, (B,) each; where there are several, all are logged."""
        return {"loss": self.loss(denoiser, batch, generator)}

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield terms (B,) whose sum estimates the bound on -log p(x0), each at a level of its own, in order.

        `times` is the number of levels; None takes them all, or as many as the process thinks fit. Given the length.
        """
        raise self._missing("bound_terms")

    # -- noise --------------------------------------------------------------------------------------------------------

    def noised(self, x0: Tensor, u: Tensor, mask: Tensor, generator: Generators) -> S:
        """Draw x_t ~ q(x_t | x0) at the times that u (B,) in [0, 1) stands for, all that a sampler passes through.

        What a classifier that is to guide the sampler learns from.
        """
        raise NotImplementedError(f"{type(self).__name__} has no noise that a classifier could learn from")

    def settled(self, x0: Tensor, mask: Tensor) -> S:
        """Return the state of finished sequences."""
        return self.noised(x0, torch.zeros(len(x0), device=x0.device), mask, torch.Generator(device=x0.device))

    def expected(self, p: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's input for finished sequences of which letters have probabilities p (B, L, K).

        Differentiable in p; where it is 0 and 1, what the network is shown of those letters.
        """
        x, t = self.network_input(self.settled(p.argmax(-1), mask))
        blank = F.one_hot(x, self.states).to(p.dtype)
        return torch.where(mask[..., None], F.pad(p, (0, self.states - p.shape[-1])), blank), t

    def prepared(self, denoiser: Denoiser, state: S) -> S:
        """Return a noised state with whatever else `network_input` shows beside it in sampling; most show nothing."""
        return state

    def network_input(self, state: S) -> tuple[Tensor, Tensor]:
        """Return what the network is shown: the state, and the time in [0, 1] or the event counts."""
        return state.x, state.t

    def reading(self, state: S) -> tuple[Tensor, Tensor]:
        """Return what a guide's classifier is shown of a state: letters (B, L), or where states are vectors what each
        says of its letter (B, L, K); and the time as the network is told it."""
        return self.network_input(state)

    # -- sampling -----------------------------------------------------------------------------------------------------

    def prior(self, mask: Tensor, generator: Generators) -> S:
        """Draw the state that generation starts from."""
        raise self._missing("prior")

    def given(self, state: S, log_allowed: Tensor) -> tuple[S, Tensor]:
        """Return the prior's state with what is known of the letters shown in it, and where that is so.

        Generation from there samples p(x0 | what is known) as well as it samples p(x0) without.

        Parameters
        ----------
        state : State
            Of `prior`.
        log_allowed : Tensor
            (B, L, K) 0 for the letters that a position may have, -inf for the others.

        Returns
        -------
        State
        Tensor
            Booleans (B, L), True where nothing is left for a mask on p(x0 | x_t) to rule out.
        """
        return state, torch.zeros_like(state.mask)

    def levels(self, state: S, steps: int | None) -> Iterator[Any]:
        """Yield what `step` steps to, noisiest first: times, event counts or positions. None: the process's default."""
        raise self._missing("levels")

    def aim(self, state: S, level: Any, generator: Generators) -> Any:
        """Return what `kernel` and `step` are to reach at a level; where that is drawn, it is drawn here."""
        return level

    def arrival(self, state: S, target: Any) -> Tensor:
        """Return the times of the state that `step` will make, of `State.t`'s shape."""
        return torch.full_like(state.t, target)

    def predict(self, denoiser: Denoiser, state: S, cond: Cond, temperature: float = 1.0) -> Tensor:
        """Return log p(x0 | x_t), (B, L, K), normalised."""
        raise self._missing("predict")

    def kernel(self, log_p0: Tensor, state: S, target: Any) -> Tensor:
        """Return what `step` samples, made from log p(x0 | x_t); by default that itself."""
        return log_p0

    def step(self, state: S, target: Any, kernel: Tensor, generator: Generators) -> S:
        """Draw the state at the next level."""
        raise self._missing("step")

    def log_prob(self, kernel: Tensor, state: S, target: Any, reached: S) -> Tensor:
        """Return the log-density (B,) of the step from `state` to `reached` by a kernel; 0 where nothing is drawn."""
        raise NotImplementedError(f"{type(self).__name__} does not say how likely a step is")

    def shown(self, state: S) -> Tensor:
        """Return what stands where, as far as it is decided: probabilities (B, L, K + 1), the last of nothing yet."""
        return F.one_hot(torch.where(state.mask, state.x, self.letters), self.letters + 1).float()

    def decode(self, state: S) -> Tensor:
        """Return the tokens (B, L) of a finished state."""
        return state.x

    # -- what guides ask ----------------------------------------------------------------------------------------------

    def foreseen(self, state: S) -> Tensor:
        """Return booleans (B, L), True where `predict` says more of a letter than that it is not known yet."""
        return state.mask

    def written(self, state: S) -> Tensor | None:
        """Return which letters of a state stay as they are, booleans (B, L); None where any may change."""
        return None

    def real(self, state: S) -> Tensor:
        """Return the positions that a sequence has or may still come to have, booleans (B, L)."""
        return state.mask

    def decided(self, state: S) -> bool:
        """Return whether the letters are drawn already, so that vectors that move would change nothing."""
        return False

    def vector_noise(self, state: S) -> Tensor | None:
        """Return the standard deviation (B, 1, 1) of the noise in a state of vectors; None where there is no such."""
        return None

    @staticmethod
    def mix(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
        """Return classifier-free guidance's mixture of log p(. | y) and log p(.), (..., K), normalised.

        By default gamma log p(. | y) + (1 - gamma) log p(.); what either rules out stays ruled out.
        """
        possible = torch.isfinite(conditional) & torch.isfinite(unconditional)
        mixed = torch.where(possible, gamma * conditional + (1 - gamma) * unconditional, -torch.inf)
        # nothing that both allow: the condition alone decides
        return torch.log_softmax(torch.where(possible.any(-1, keepdim=True), mixed, conditional), -1)


def rows_of(denoiser: Denoiser, rows: Tensor | slice) -> Denoiser:
    """Return the denoiser of some rows, where it has something of its own for each."""
    take = getattr(denoiser, "take", None)
    return denoiser if take is None else take(rows)


def same_tensors(a: Cond, b: Cond) -> bool:
    """Return whether two conditions, or other tensors by name, are the same ones with the same numbers."""
    if a is None or b is None:
        return a is b
    return a is b or (a.keys() == b.keys() and all(v is b[k] or torch.equal(v, b[k]) for k, v in a.items()))


def like(target: Any, t: Tensor) -> Tensor:
    """Return a level, a number or a tensor, as the times t are: of their shape and type, on their device."""
    # a number is filled in where the times are: to copy it there, the device would have to be waited for
    return target.to(t).expand_as(t) if isinstance(target, Tensor) else torch.full_like(t, target)


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum (B, L) over real positions; what stands at the others, nan included, does not count."""
    return torch.where(mask, values, torch.zeros((), dtype=values.dtype, device=values.device)).sum(-1)


# No noise at all: sequences as they are, for what is learned from them without a generator.


class Clean(Process[State]):
    """Letters that are never noised; there is nothing to sample, and the time is always 0.

    Examples
    --------
    >>> x0, mask = torch.tensor([[0, 2]]), torch.ones(1, 2, dtype=torch.bool)
    >>> Clean(4).noised(x0, torch.tensor([0.7]), mask, torch.Generator()).x.tolist()
    [[0, 2]]
    """

    classifier_reads = "letters"

    def noised(self, x0: Tensor, u: Tensor, mask: Tensor, generator: Generators) -> State:
        return State(x0, torch.zeros(len(x0), device=x0.device), mask)
