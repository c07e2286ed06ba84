"""What every generator is: a way to destroy a sequence, a loss for the network that undoes it, and the undoing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.runtime import Generators

Cond = dict[str, Tensor] | None
Denoiser = Callable[..., Tensor]
"""``denoiser(x, t, cond=None, mask=None) -> logits (B, L, K)``: a network, or an exact law in the tests."""


class State(NamedTuple):
    """Where a batch of sequences is on its way between noise and data.

    Parameters
    ----------
    x : Tensor
        Tokens (B, L), or vectors (B, L, D).
    t : Tensor
        Times (B,), or event counts (B, L).
    mask : Tensor
        Booleans (B, L), True at the positions that a sequence really has.
    extra : dict
        Whatever else a process carries along, each value with B rows: caches, event lists.
    """

    x: Tensor
    t: Tensor
    mask: Tensor
    extra: dict[str, Any] = {}

    def take(self, rows: Tensor | slice) -> State:
        """Return the state of some of the rows."""
        return State(self.x[rows], self.t[rows], self.mask[rows], {k: v[rows] for k, v in self.extra.items()})


class Process(nn.Module):
    """A generative process over sequences of `letters` letters.

    Subclasses fill in what stands here; nothing else in seqdiff needs to know them. All figures are in nats per
    sequence, summed over real positions only.

    Parameters
    ----------
    letters : int
        K, the number of letters of the data.
    """

    bound: ClassVar[Literal["exact", "elbo"] | None] = None
    """What `bound_terms` add up to: minus the log-likelihood, an upper bound of it, or nothing that is known."""
    shows_known: ClassVar[Literal["letters", "sets"] | None] = None
    """What `given` can show the network from the start: single letters, any sets of letters, or nothing."""
    models_length: ClassVar[bool] = False
    """Whether the process itself says how likely a length is; if not, that is a law of its own (data/lengths.py)."""

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

    def fit_schedule(self, p0: Tensor) -> None:
        """Fit what the noise needs to know of the data, the frequencies of its letters (K,); most need nothing."""

    def prior(self, mask: Tensor, generator: Generators) -> State:
        """Draw the state that generation starts from."""
        raise NotImplementedError

    def given(self, state: State, log_allowed: Tensor) -> tuple[State, Tensor]:
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

    def foreseen(self, state: State) -> Tensor:
        """Return booleans (B, L), True where `predict` says more of a letter than that it is not known yet."""
        return state.mask

    def log_prob(self, kernel: Tensor, state: State, target: Any, reached: State) -> Tensor:
        """Return the log-density (B,) of the step from `state` to `reached` by a kernel; 0 where nothing is drawn."""
        raise NotImplementedError(f"{type(self).__name__} does not say how likely a step is")

    def loss(self, denoiser: Denoiser, x0: Tensor, cond: Cond, mask: Tensor, generator: Generators) -> Tensor:
        """Return the training loss (B,) in nats: an unbiased estimate of the bound where there is one."""
        raise NotImplementedError

    def parts(
        self, denoiser: Denoiser, x0: Tensor, cond: Cond, mask: Tensor, generator: Generators
    ) -> dict[str, Tensor]:
        """Return what the training loss is the sum of, by name, (B,) each; where there are several, all are logged."""
        return {"loss": self.loss(denoiser, x0, cond, mask, generator)}

    def bound_terms(
        self, denoiser: Denoiser, x0: Tensor, cond: Cond, mask: Tensor, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        """Yield terms (B,) whose sum estimates the bound on -log p(x0), each at a level of its own, in order.

        `times` is the number of levels; None takes them all, or as many as the process thinks fit. Given the length.
        """
        raise NotImplementedError

    def noised(self, x0: Tensor, u: Tensor, mask: Tensor, generator: Generators) -> State:
        """Draw x_t ~ q(x_t | x0) at the times that u (B,) in [0, 1) stands for, all that a sampler passes through.

        What a classifier that is to guide the sampler learns from.
        """
        raise NotImplementedError(f"{type(self).__name__} has no noise that a classifier could learn from")

    def settled(self, x0: Tensor, mask: Tensor) -> State:
        """Return the state of finished sequences."""
        return self.noised(x0, torch.zeros(len(x0), device=x0.device), mask, torch.Generator(device=x0.device))

    def expected(self, p: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's input for finished sequences of which letters have probabilities p (B, L, K).

        Differentiable in p; where it is 0 and 1, what the network is shown of those letters.
        """
        x, t = self.network_input(self.settled(p.argmax(-1), mask))
        blank = F.one_hot(x, self.states).to(p.dtype)
        return torch.where(mask[..., None], F.pad(p, (0, self.states - p.shape[-1])), blank), t

    def prepared(self, denoiser: Denoiser, state: State) -> State:
        """Return a noised state with whatever else `network_input` shows beside it in sampling; most show nothing."""
        return state

    def reading(self, state: State) -> tuple[Tensor, Tensor]:
        """Return what a guide's classifier is shown of a state: letters (B, L), or where states are vectors what each
        says of its letter (B, L, K); and the time as the network is told it."""
        return self.network_input(state)

    def arrival(self, state: State, target: Any) -> Tensor:
        """Return the times of the state that `step` will make, of `State.t`'s shape."""
        return torch.full_like(state.t, target)

    def network_input(self, state: State) -> tuple[Tensor, Tensor]:
        """Return what the network is shown: the state, and the time in [0, 1] or the event counts."""
        return state.x, state.t

    def levels(self, state: State, steps: int | None) -> Iterator[Any]:
        """Yield what `step` steps to, noisiest first: times, event counts or positions. None: the process's default."""
        raise NotImplementedError

    def aim(self, state: State, level: Any, generator: Generators) -> Any:
        """Return what `kernel` and `step` are to reach at a level; where that is drawn, it is drawn here."""
        return level

    def predict(self, denoiser: Denoiser, state: State, cond: Cond, temperature: float = 1.0) -> Tensor:
        """Return log p(x0 | x_t), (B, L, K), normalised."""
        raise NotImplementedError

    def kernel(self, log_p0: Tensor, state: State, target: Any) -> Tensor:
        """Return what `step` samples, made from log p(x0 | x_t); by default that itself."""
        return log_p0

    def step(self, state: State, target: Any, kernel: Tensor, generator: Generators) -> State:
        """Draw the state at the next level."""
        raise NotImplementedError

    def shown(self, state: State) -> Tensor:
        """Return what stands where, as far as it is decided: probabilities (B, L, K + 1), the last of nothing yet."""
        return F.one_hot(torch.where(state.mask, state.x, self.letters), self.letters + 1).float()

    def decode(self, state: State) -> Tensor:
        """Return the tokens (B, L) of a finished state."""
        return state.x


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
