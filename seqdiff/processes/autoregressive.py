r"""The autoregressive model: one letter after another, each given those before it. Its likelihood is exact.

    log p(x) = sum_{i=0}^{l-1} log p(x_i | x_0 .. x_{i-1})  +  log p(end | x_0 .. x_{l-1})

Where all sequences have one length there is no end token and no last term. Where lengths vary an end token can be drawn
instead of a letter, from the second position on (no sequence is empty); after the longest length of the training set it
is certain. So p sums to 1 over all sequences of 1 to that many letters, and includes the distribution of lengths.
"Noise" here are letters that are not drawn yet, and the levels are positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff.processes.base import (
    Batch,
    Cond,
    Denoiser,
    Process,
    State,
    at_least_float32,
    masked_sum,
    same_tensors,
    taken,
)
from seqdiff.processes.categorical import sample_categorical
from seqdiff.runtime import Generators, uniform

Cache = dict[str, Tensor]
Advance = Callable[..., tuple[Tensor, Cache]]
"""``advance(x (B,), i, cond=None, cache=None) -> (logits (B, K), cache)``: read input letter i, after those before it.

A method of networks that read letter by letter; it returns the logits of ``forward`` at position i. The cache is None
at i = 0, has B rows in each of its tensors, and may be written to in place.
"""


@dataclass
class Reading:
    """Prefixes (B, i) that a network has read under one condition, its cache and its last logits (B, outputs)."""

    cond: Cond
    letters: Tensor
    cache: Cache
    logits: Tensor

    def serves(self, inputs: Tensor, cond: Cond) -> bool:
        n = self.letters.shape[1]
        return n <= inputs.shape[1] and torch.equal(self.letters, inputs[:, :n]) and same_tensors(self.cond, cond)


class PrefixCache:
    """The caches of a network for the prefixes that it has read, one `Reading` for each condition.

    A reading is used only for equal letters and condition, so that a guide may ask for other conditions, ask twice,
    choose rows again (`State.take`) or change letters.
    """

    LIMIT = 4  # conditions

    def __init__(self, readings: tuple[Reading, ...] = ()) -> None:
        self.readings = readings

    def __getitem__(self, rows: Tensor | slice) -> PrefixCache:
        def take(r: Reading) -> Reading:
            cache = {name: v[rows].clone() for name, v in r.cache.items()}  # written to in place: never shared
            return Reading(taken(r.cond, rows), r.letters[rows], cache, r.logits[rows])

        return PrefixCache(tuple(map(take, self.readings)))

    def read(self, advance: Advance, inputs: Tensor, cond: Cond) -> Tensor:
        """Return the logits (B, outputs) after the inputs (B, i + 1), reading only letters that are not in a cache."""
        known = next((r for r in self.readings if r.serves(inputs, cond)), None)
        others = tuple(r for r in self.readings if r is not known)
        logits, cache, done = (None, None, 0) if known is None else (known.logits, known.cache, known.letters.shape[1])
        for i in range(done, inputs.shape[1]):
            logits, cache = advance(inputs[:, i], i, cond, cache)
        assert logits is not None and cache is not None
        self.readings = (Reading(cond, inputs, cache, logits), *others)[: self.LIMIT]
        return logits


@dataclass(frozen=True)
class PrefixState(State):
    """Sequences of which the first `t` letters are drawn."""

    cache: PrefixCache = field(default_factory=PrefixCache)
    open: Tensor | None = None  # (B,) booleans, True where the sequence has not ended; None where lengths are known


class NextLetters:
    """What a network has read under each condition, for a loop that only adds letters.

    Unlike `PrefixCache` it compares no letters, so that a letter costs as much at any length.
    """

    def __init__(self) -> None:
        self.readings: list[tuple[Cond, int, Cache | None, Tensor | None]] = []

    def read(self, advance: Advance, letter: Callable[[int], Tensor], i: int, cond: Cond) -> Tensor:
        """Return the logits (B, outputs) after input letter i; `letter(j)` (B,) is input letter j."""
        known = next((r for r in self.readings if same_tensors(r[0], cond)), (cond, 0, None, None))
        _, done, cache, logits = known
        for j in range(done, i + 1):
            logits, cache = advance(letter(j), j, cond, cache)
        assert logits is not None
        others = [r for r in self.readings if r is not known]
        self.readings = [(cond, i + 1, cache, logits), *others][: PrefixCache.LIMIT]
        return logits


class WritingState(PrefixState):
    """A prefix whose letters are put together only when they are asked for. A loop may step once from each.

    Parameters
    ----------
    letters : list of Tensor
        (B,) each, those drawn so far, or more: one list that the states of a loop share.
    t : Tensor
        (B,) their number.
    known : Tensor
        Booleans (B, L), the real positions of sequences whose length is known.
    added : Tensor
        (B,) letters of the sequences whose length was left open.
    next : NextLetters
    open : Tensor or None
        As in `PrefixState`.
    """

    def __init__(
        self, letters: list[Tensor], t: Tensor, known: Tensor, added: Tensor, next: NextLetters, open: Tensor | None
    ) -> None:
        # x and mask are absent here, and computed when asked for
        vars(self).update(
            letters=letters, number=len(letters), t=t, known=known, added=added, next=next, open=open,
            cache=PrefixCache(),
        )  # fmt: skip

    letters: list[Tensor]
    number: int
    known: Tensor
    added: Tensor
    next: NextLetters

    @cached_property
    def x(self) -> Tensor:  # type: ignore[override]
        drawn = self.letters[: self.number]
        empty = torch.zeros_like(self.known, dtype=torch.long)
        return torch.cat([torch.stack(drawn, 1), empty[:, self.number :]], 1) if drawn else empty

    @cached_property
    def mask(self) -> Tensor:  # type: ignore[override]
        return self.known | (torch.arange(self.known.shape[1], device=self.known.device) < self.added[:, None])

    @property
    def drawn(self) -> Tensor:
        here = self.known[:, self.number : self.number + 1]
        return here if self.open is None else here | self.open[:, None]

    def whole(self) -> PrefixState:
        """Return the state as one of which letters may be changed and rows be taken."""
        return PrefixState(self.x, self.t, self.mask, self.cache, self.open)

    def take(self, rows: Tensor | slice) -> PrefixState:  # type: ignore[override]
        return self.whole().take(rows)

    def replace(self, **changes: Any) -> PrefixState:  # type: ignore[override]
        return self.whole().replace(**changes)


class Autoregressive(Process[PrefixState]):
    """Next-letter prediction.

    The network must be causal: its output at position i may depend on its inputs up to i only. Its input is the
    sequence shifted right behind a start symbol (number K), so that the output at i predicts letter i. In sampling,
    networks with an `Advance` read one letter at a time, others the whole sequence each time. A row of a sampling mask
    without any real position leaves the length to the model.

    Parameters
    ----------
    letters : int
        K.
    length : int
        The longest sequence.
    ends : bool
        True if lengths vary, so that there is an end token: output number K.
    token_dropout : float
        Share of the input letters that the training loss replaces by the start symbol.
    """

    bound = "exact"
    repeatable = True
    state_class = PrefixState
    models_length = True
    classifier_reads = "prefixes"
    reward_checks = 5  # for each, every row is sampled to its end
    foretells = False

    def __init__(self, letters: int, length: int, ends: bool = False, token_dropout: float = 0.0) -> None:
        super().__init__(letters)
        self.length, self.ends, self.token_dropout = length, ends, token_dropout

    @property
    def states(self) -> int:
        return self.letters + 1

    @property
    def outputs(self) -> int:
        return self.letters + self.ends

    @property
    def reading_states(self) -> int:
        return self.letters + self.ends

    def settled(self, x0: Tensor, mask: Tensor) -> PrefixState:
        return PrefixState(x0, torch.full((len(x0),), x0.shape[1], device=x0.device), mask)

    def network_input(self, state: PrefixState) -> tuple[Tensor, Tensor]:
        return self.inputs(state.x), self._times(state.x)

    def inputs(self, x: Tensor) -> Tensor:
        """Return the sequences shifted right behind the start symbol: letters (B, L), or vectors (B, L, states)."""
        start = torch.full((len(x), 1), self.letters, device=x.device)
        start = F.one_hot(start, self.states) if x.is_floating_point() else start
        return torch.cat([start.to(x.dtype), x[:, :-1]], 1)

    def ended(self, x0: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sequences with their end tokens, number K, if there are any, and the mask of real positions.

        Both may be one position wider than before.
        """
        if not self.ends:
            return x0, mask
        wider = int(x0.shape[1] < self.length)
        x0, real = F.pad(x0, (0, wider)), F.pad(mask, (0, wider))
        position = torch.arange(x0.shape[1], device=x0.device)
        end = position == real.sum(-1, keepdim=True)
        return torch.where(end, self.letters, x0), real | end

    # -- likelihood ---------------------------------------------------------------------------------------------------

    def loss(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> Tensor:
        """Return -log p(x0), (B,) nats, the end included where there is one.

        With `token_dropout` a random part of the input letters is hidden. The loss is then more than -log p(x0) on
        average: the network cannot rely on a memorised prefix.
        """
        if self.token_dropout == 0:
            return self._surprise(denoiser, batch)
        x0 = batch.x0
        hidden = uniform((*x0.shape, 1), generator, x0.device, torch.float32).squeeze(-1) < self.token_dropout
        return self._surprise(denoiser, batch, hidden)

    def bound_terms(
        self, denoiser: Denoiser, batch: Batch, times: int | None, generator: Generators
    ) -> Iterator[Tensor]:
        yield self._surprise(denoiser, batch)

    def _surprise(self, denoiser: Denoiser, batch: Batch, hidden: Tensor | None = None) -> Tensor:
        """Return -log p(x0), (B,); the letters at `hidden` places (B, L) are predicted but not read."""
        cond, (x0, mask) = batch.cond, self.ended(batch.x0, batch.mask)
        read = batch.x0 if hidden is None else batch.x0.masked_fill(hidden, self.letters)
        if wider := x0.shape[1] - read.shape[1]:  # a position for the end of the longest sequences
            read = F.pad(read, (0, wider))
            if cond is not None and "signal" in cond:
                cond = {**cond, "signal": F.pad(cond["signal"], (0, 0, 0, wider))}
        logits = at_least_float32(denoiser(self.inputs(read), self._times(x0), cond))
        if self.ends:
            first = torch.arange(x0.shape[1], device=x0.device) == 0
            logits = logits.masked_fill(first[:, None] & self._is_end(logits), -torch.inf)
        log_p = torch.log_softmax(logits, -1).gather(-1, x0[..., None]).squeeze(-1)
        return -masked_sum(log_p, mask)

    def _times(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), device=x.device)  # there is no time

    def _is_end(self, logits: Tensor) -> Tensor:
        return torch.arange(logits.shape[-1], device=logits.device) == self.letters

    # -- sampling -----------------------------------------------------------------------------------------------------

    def prior(self, mask: Tensor, generator: Generators) -> PrefixState:
        """Return sequences without letters; where a row of `mask` is empty, its length is left open."""
        unknown = ~mask.any(-1)
        still_open = unknown if self.ends and unknown.any() else None
        if not self.ends:
            mask = mask | unknown[:, None]
        x = torch.zeros(mask.shape, dtype=torch.long, device=mask.device)
        t = torch.zeros(mask.shape[:1], dtype=torch.long, device=mask.device)
        return PrefixState(x, t, mask, PrefixCache(), still_open)

    def onwards(self, state: PrefixState) -> PrefixState:
        t = state.t.new_zeros(len(state.t))
        return WritingState([], t, state.mask, torch.zeros_like(t), NextLetters(), state.open)

    def levels(self, state: PrefixState, steps: int | None) -> Iterator[int]:
        """Yield the positions 0..L-1 for any `steps`."""
        yield from range(state.x.shape[1])

    def predict(self, denoiser: Denoiser, state: PrefixState, cond: Cond, temperature: float = 1.0) -> Tensor:
        """Return log p(x0 | prefix), (B, L, K); where lengths are open (B, L, K + 1), the end last.

        The letters drawn are certain, the next one is predicted, those after it are uniform. Letters that are fixed or
        ruled out at a later position therefore have no influence on earlier ones; see `LookAhead`.
        """
        state = state.whole() if isinstance(state, WritingState) else state
        i, (rows, length) = int(state.t[0]) if len(state.t) else 0, state.x.shape
        still_open = state.open
        width = self.letters + (still_open is not None)
        log_p = self._unknown((rows, length, width), state.x.device)
        log_p[:, :i] = torch.where(F.one_hot(state.x[:, :i], width) == 1, 0.0, -torch.inf)
        if i == length:
            return log_p
        alive = state.mask[:, i] if still_open is None else state.mask[:, i] | still_open
        if alive.any():
            found = self._log_next(denoiser, state, i, alive, cond, temperature)
            log_p = log_p.to(found.dtype)
            log_p[:, i] = found
        return log_p

    def predict_drawn(self, denoiser: Denoiser, state: PrefixState, cond: Cond, temperature: float = 1.0) -> Tensor:
        if not isinstance(state, WritingState):
            return self.predict(denoiser, state, cond, temperature)
        return self._log_next(denoiser, state, state.number, state.drawn[:, 0], cond, temperature)[:, None]

    def _unknown(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Return log-probabilities, (..., K) or with the end (..., K + 1), of letters that are equally likely."""
        log_p = torch.full(shape, -math.log(self.letters), device=device)
        log_p[..., self.letters :] = -torch.inf
        return log_p

    def _log_next(
        self, denoiser: Denoiser, state: PrefixState, i: int, alive: Tensor, cond: Cond, temperature: float
    ) -> Tensor:
        """Return log p of letter i, (B, K) or with the end (B, K + 1); rows `alive` (B,) have one or may have."""
        width = self.letters + (state.open is not None)
        if not alive.any():
            return self._unknown((len(alive), width), alive.device)
        logits = self._next(denoiser, state, i, cond) / temperature
        if self.ends:
            may_end = torch.zeros_like(alive) if state.open is None or i == 0 else state.open
            logits = logits.masked_fill(~may_end[:, None] & self._is_end(logits), -torch.inf)
        return torch.log_softmax(logits, -1)[:, :width]

    def _next(self, denoiser: Denoiser, state: PrefixState, i: int, cond: Cond) -> Tensor:
        """Return the logits of letter i, (B, outputs), at least in float32."""
        advance = getattr(denoiser, "advance", None)
        if advance is None:
            inputs = self.inputs(state.x)
            return at_least_float32(denoiser(inputs, self._times(inputs), cond)[:, i])
        if isinstance(state, WritingState):
            start, letters = torch.full_like(state.t, self.letters), state.letters
            logits = state.next.read(advance, lambda j: letters[j - 1] if j else start, i, cond)
        else:
            logits = state.cache.read(advance, self.inputs(state.x)[:, : i + 1], cond)
        return at_least_float32(logits)

    def foreseen(self, state: PrefixState) -> Tensor:
        """Return True at the next letter of the sequences that have not ended."""
        i = int(state.t[0]) if len(state.t) else 0
        here = torch.arange(state.x.shape[1], device=state.x.device) == i
        return here & self.real(state)

    def written(self, state: PrefixState) -> Tensor:
        return torch.arange(state.x.shape[1], device=state.x.device) < state.t[:, None]

    def real(self, state: PrefixState) -> Tensor:
        return state.mask if state.open is None else state.mask | state.open[:, None]

    def log_prob(self, kernel: Tensor, state: PrefixState, target: int, reached: PrefixState) -> Tensor:
        letter, goes_on = reached.x[:, target], state.mask[:, target]
        if state.open is not None and reached.open is not None:
            goes_on = goes_on | state.open
            letter = torch.where(state.open & ~reached.open, self.letters, letter)
        log_p = kernel[:, target].gather(-1, letter[:, None]).squeeze(-1)
        return torch.where(goes_on, log_p, 0.0)

    def shown(self, state: PrefixState) -> Tensor:
        return super().shown(state.replace(mask=state.mask & self.written(state)))

    def step(self, state: PrefixState, target: int, kernel: Tensor, generator: Generators) -> PrefixState:
        """Draw the letter at position `target` of every row."""
        if isinstance(state, WritingState):
            here = kernel if kernel.shape[1] == 1 else kernel[:, target : target + 1]
            return self._written(state, sample_categorical(here, generator)[:, 0])
        letter = sample_categorical(kernel[:, target : target + 1], generator)[:, 0]
        x, mask, still_open = state.x.clone(), state.mask, state.open
        if still_open is not None:
            mask = mask.clone()
            still_open = still_open & (letter != self.letters)
            mask[:, target] |= still_open
        x[:, target] = torch.where(mask[:, target], letter, 0)
        return PrefixState(x, torch.full_like(state.t, target + 1), mask, state.cache, still_open)

    def _written(self, state: WritingState, letter: Tensor) -> WritingState:
        """Return the state with one more letter (B,)."""
        real, still_open, added = state.known[:, state.number], state.open, state.added
        if still_open is not None:
            still_open = still_open & (letter != self.letters)
            real, added = real | still_open, added + still_open
        if len(state.letters) > state.number:
            raise ValueError("step: got a state that was stepped from before, expected one of `State.replace`")
        state.letters.append(torch.where(real, letter, 0))
        return WritingState(state.letters, state.t + 1, state.known, added, state.next, still_open)
