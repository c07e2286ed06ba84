"""The one training loop, for any module that returns losses.

A step depends on the seed, its number and the state alone, so that a run that was killed and resumed ends bit for bit
where an uninterrupted one does.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from seqdiff import ranks, runtime
from seqdiff.errors import InputError, argument, warn
from seqdiff.parameters import Choice, Parameterised, Real, Verbosity, Whole, parameter
from seqdiff.ranks import Ranks
from seqdiff.runs import Run
from seqdiff.runtime import Generators
from seqdiff.training.batches import (
    MOST_LETTERS,
    Parts,
    StoredBatch,
    at_most,
    at_most_letters,
    batches_of,
    epoch_order,
    halved,
    validation_batches,
)
from seqdiff.training.objective import Batch, Objective, drop_labels

Module = TypeVar("Module", bound=nn.Module)


class MovingAverage(Generic[Module]):
    """A copy of a module whose parameters follow the original's, ema <- d ema + (1 - d) original.

    d grows as (1 + n)/(10 + n) after n updates up to `decay`, so that short runs are not averaged with their noise.
    """

    def __init__(self, module: Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self._ours: list[Tensor] = list(self.module.parameters())
        self._theirs: list[Tensor] = list(module.parameters())
        self._buffers = list(zip(self.module.buffers(), module.buffers(), strict=True))

    @torch.no_grad()
    def update(self, n: int) -> None:
        """Take in the original's parameters after its n-th update."""
        decay = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self._ours, self._theirs, 1 - decay)

    @torch.no_grad()
    def copy_buffers(self) -> None:
        """Take over the original's buffers, which are statistics already; needed before the copy is used or saved."""
        for ours, theirs in self._buffers:
            ours.copy_(theirs)


PLAIN = ("step", "update", "seconds", "cpu_seconds", "loss_sum", "part_sums", "history", "evaluations", "best",
         "stopped")  # fmt: skip
"""Attributes of a `Trainer` that a checkpoint holds as they are."""


def check_state(state: dict[str, Any], trainer: Trainer) -> None:
    """Raise a ValueError that names the first entry that is not as `Trainer.state_dict` writes it."""
    own, batches, often = trainer.state_dict(), trainer.batches, trainer.settings.update_freq
    if missing := sorted(own.keys() - state.keys() - {"format_version"}):
        raise ValueError(f"it lacks {missing[0]}")

    def require(name: str, fine: bool) -> None:
        if not fine:
            raise ValueError(f"its entry {name!r} is not as seqdiff writes it")

    step, best, gradients, sums = (state[name] for name in ("step", "best", "gradients", "part_sums"))
    for name in ("objective", "ema"):
        require(name, _is_like(state[name], own[name]))
    require("step", _is_whole(step) and 0 <= step <= trainer.settings.epochs * batches)
    require("update", state["update"] == step // batches * trainer.updates + step % batches // often)
    for name in ("seconds", "cpu_seconds"):
        require(name, isinstance(state[name], (int, float)) and math.isfinite(state[name]))
    require("stopped", isinstance(state["stopped"], bool))
    require("part_sums", isinstance(sums, dict))
    for name, value in {"loss_sum": state["loss_sum"], **sums}.items():
        require(name, isinstance(value, Tensor) and not value.ndim and bool(value.isfinite()))
    require("history", _is_table(state["history"], own["history"], step // batches))
    require("evaluations", _is_table(state["evaluations"], own["evaluations"], None))
    if best is not None:
        require("best", isinstance(best, dict) and best.keys() >= {"bits", "epoch", "state"})
        require("best", isinstance(best["bits"], float) and not math.isnan(best["bits"]) and _is_whole(best["epoch"]))
        require("best", _is_like(best["state"], own["ema"]))
    parameters = list(trainer.objective.parameters())
    if gradients is None:
        require("gradients", step % batches % often == 0)
    else:
        require("gradients", isinstance(gradients, list) and len(gradients) == len(parameters))
        for gradient, own_parameter in zip(gradients, parameters, strict=True):
            require("gradients", gradient is None or _has_shape(gradient, own_parameter))
    require("optimizer", _is_optimizer(state["optimizer"], own["optimizer"]["param_groups"][0], parameters))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _has_shape(value: object, own: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == own.shape


def _is_like(given: object, own: dict[str, Tensor]) -> bool:
    """Return whether a state dict has these tensors; those of the network must be finite."""
    if not isinstance(given, dict) or given.keys() != own.keys():
        return False
    finite = (not name.startswith("network.") or bool(given[name].isfinite().all()) for name in own)
    return all(_has_shape(given[name], tensor) for name, tensor in own.items()) and all(finite)


def _is_table(table: object, own: dict[str, list], rows: int | None) -> bool:
    if not isinstance(table, dict) or not table.keys() >= own.keys():
        return False
    columns = list(table.values())
    return all(
        isinstance(column, list)
        and len(column) == (len(columns[0]) if rows is None else rows)
        and all(isinstance(value, (int, float)) for value in column)
        for column in columns
    )


def _is_optimizer(given: object, own: dict[str, Any], parameters: Sequence[Tensor]) -> bool:
    """Return whether an optimizer's state is of one group of these weights."""
    groups = given.get("param_groups") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(given.get("state"), dict) or not isinstance(groups, list):
        return False
    if len(groups) != 1 or not isinstance(groups[0], dict) or not groups[0].keys() >= own.keys():
        return False
    if groups[0]["params"] != own["params"]:
        return False
    if any(isinstance(own.get(name), float) and not isinstance(v, (int, float)) for name, v in groups[0].items()):
        return False
    return all(
        _is_whole(number)
        and 0 <= number < len(parameters)
        and isinstance(moments, dict)
        and all(_has_shape(moments.get(name), parameters[number]) for name in ("exp_avg", "exp_avg_sq"))
        and all(bool(moments[name].isfinite().all()) for name in ("exp_avg", "exp_avg_sq"))
        and isinstance(moments.get("step"), Tensor)
        and moments["step"].numel() == 1
        for number, moments in given["state"].items()
    )


logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 600.0
PLANNED = 1000  # batches whose rows are sent to the device together
VALIDATION_ROWS = 512
VALIDATION_TIMES = 20
# of the history, before the parts of the loss
HISTORY_COLUMNS = ("epoch", "step", "loss", "bits_per_letter", "lr", "seconds")


class LearningParameters(Parameterised):
    """The parameters of training that generators and predictors share."""

    epochs: int | None = parameter(None, Whole(1, 10_000_000)).doc(
        """Passes through all sequences. None: as many as make about {batches} batches, and sqrt(n/10,000)
        times as many for n above 10,000 sequences; at most 400."""
    )
    batch_size: int = parameter(128, Whole(1, 10_000_000)).doc("Sequences in one training step.")
    lr: float = parameter(3e-3, Real(1e-12, 1e3)).doc("Learning rate.")
    weight_decay: float = parameter(0.01, Real(0)).doc("Pull of the weights towards zero (AdamW), against overfitting.")
    verbose: int = parameter(1, Verbosity()).doc("0 hides progress bars and messages.")


class TrainingParameters(LearningParameters):
    """The parameters of training."""

    lr_schedule: str = parameter("cosine", Choice(("cosine", "exponential", "constant"))).doc(
        'How the learning rate falls: `"exponential"` multiplies it by `lr_decay` after each epoch.'
    )
    lr_decay: float = parameter(0.99, Real(1e-12, 1)).doc(
        "Factor of the learning rate after each epoch, if exponential."
    )
    warmup: int = parameter(50, Whole(0)).doc("Updates in which the learning rate rises to `lr`.")
    update_freq: int = parameter(1, Whole(1)).doc("Batches whose gradients make one update of the weights.")
    ema: float = parameter(0.999, Real(0, 0.999999)).doc(
        "Decay of the running average of the weights, which is validated, saved and sampled."
    )
    patience: int | None = parameter(None, Whole(1, optional=True)).doc(
        "Stop after this number of epochs without a better validation bound."
    )
    eval_every: int = parameter(1, Whole(1)).doc("Epochs from one validation to the next.")
    check_every: int = parameter(5, Whole(1)).doc("Epochs from one checkpoint to the next.")
    label_dropout: float = parameter(0.1, Real(0, 1)).doc(
        """Share of the labels hidden in training, so that the model also learns p(x), which classifier-free guidance
        needs."""
    )
    precision: str = parameter("auto", Choice(("auto", "float32", "bfloat16"))).doc(
        'Numbers to train with; `"auto"` takes bfloat16 on a GPU or CPU that is fast with it.'
    )


class Settings(TrainingParameters):
    """The settings of one training."""

    epochs: int = parameter(1, Whole(1))
    clip: float | None = parameter(1.0, Real(0)).doc("Largest norm of the gradient.")
    seed: int = parameter(0, Whole(0))

    def learning_rate(self, update: int, epoch: int, updates: int) -> float:
        """Return the learning rate of an `update` among `updates`: linear warm-up, then decay by `epoch` or cosine."""
        if update < self.warmup:
            return self.lr * (update + 1) / self.warmup
        if self.lr_schedule == "cosine":
            done = (update - self.warmup) / max(1, updates - self.warmup)
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        return self.lr * (self.lr_decay**epoch if self.lr_schedule == "exponential" else 1.0)


class Losses(NamedTuple):
    """Sums of a batch."""

    total: Tensor
    parts: dict[str, Tensor]  # of the loss, where it has several


def with_shared_gradients(objective: nn.Module, among: Ranks) -> nn.Module:
    """Return the objective with gradients that are the means over all processes, after each backward pass."""
    if not among.several or not any(parameter.requires_grad for parameter in objective.parameters()):
        return objective
    # Buffers are the same everywhere: what is learned in them is of the rows of all processes. Some weights may have
    # no part in a step, such as those of labels that are all hidden.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the buffers, which were renamed
        return DistributedDataParallel(objective, broadcast_buffers=False, find_unused_parameters=True)


class Trainer:
    """Train an objective.

    Parameters
    ----------
    objective : Objective
    train, valid : Batch or StoredBatch
        All the data, on the objective's device or on a disk; `valid` may be None.
    settings : Settings
    run : Run or None
        The folder of checkpoints, metrics and TensorBoard.
    save_model : callable or None
        Takes the state dict of each new best model.

    Attributes
    ----------
    history, evaluations : dict of lists
        The metrics files. Where the loss has several parts, the history has a column for each, in nats per sequence
        like "loss", their sum.
    """

    def __init__(
        self,
        objective: Objective,
        train: Batch | StoredBatch,
        valid: Batch | StoredBatch | None,
        settings: Settings,
        run: Run | None = None,
        save_model: Callable[[dict[str, Tensor]], None] | None = None,
    ) -> None:
        self.objective, self.train, self.settings, self.run = objective, train, settings, run
        self.ranks = ranks.current()
        self.save_model = save_model or (lambda state: None)
        self.device = train.device
        self.valid = None if valid is None else at_most(valid, VALIDATION_ROWS, settings.seed)
        fused = runtime.has_fused_optimizer(self.device)
        self.optimizer = torch.optim.AdamW(
            objective.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=fused
        )
        self.ema = MovingAverage(objective, settings.ema)
        self.batches = -(-len(train) // settings.batch_size)  # per epoch
        self.updates = -(-self.batches // settings.update_freq)  # per epoch
        self.step = 0  # batches seen
        self.update = 0  # optimizer updates made
        self.seconds = 0.0  # spent training, earlier sittings included
        self.cpu_seconds = 0.0  # the same on the processor's clock, which other programs do not slow down
        self.loss_sum = torch.zeros((), device=self.device)  # of the running epoch
        self.part_sums: dict[str, Tensor] = {}  # the same for each part of the loss, where it has several
        self.history: dict[str, list] = {k: [] for k in HISTORY_COLUMNS}
        self.evaluations: dict[str, list] = {
            k: [] for k in ("epoch", "step", "bound", "bits_per_letter", "best", "seconds", "cpu_seconds")
        }
        self.best: dict[str, Any] | None = None  # {"bits", "epoch", "state"}
        self.stopped = False
        self.resumed_at: int | None = None
        self._generator = torch.Generator(device=self.device)
        self._dropout = runtime.DropoutStream(self.device)
        self._most = MOST_LETTERS * runtime.room(self.device)  # letters of a part; fewer once the memory was full
        self._forward = with_shared_gradients(objective, self.ranks)
        self._recordings = runtime.Recordings[tuple[Losses, list[Tensor | None]]](self.device, self._generator)
        self._good = {k: v.clone() for k, v in self.ema.module.state_dict().items()}  # finite, of an earlier epoch
        self._lengths = train.lengths.to("cpu", torch.int32)
        self._mean_length = float(self._lengths.sum(dtype=torch.int64)) / len(train)

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        return self.step // self.batches

    @property
    def done(self) -> bool:
        return self.stopped or self.step >= self.settings.epochs * self.batches

    def state_dict(self) -> dict[str, Any]:
        """Return everything a later sitting needs, as tensors and plain values."""
        self.ema.copy_buffers()
        return {
            "format_version": 1,
            "objective": self.objective.state_dict(),
            "gradients": [p.grad for p in self.objective.parameters()] if self._mid_update else None,
            "ema": self.ema.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **{name: getattr(self, name) for name in PLAIN},
        }

    @property
    def _mid_update(self) -> bool:
        within = self.step % self.batches
        return within % self.settings.update_freq != 0

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`; nothing changes where `check_state` raises a ValueError."""
        check_state(state, self)
        self.objective.load_state_dict(state["objective"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["gradients"] is not None:
            self._set_gradients(state["gradients"])
        for name in PLAIN:
            setattr(self, name, state[name])
        self.resumed_at = self.step

    def _set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        for weight, gradient in zip(self.objective.parameters(), gradients, strict=True):
            weight.grad = gradient

    # -- the loop -----------------------------------------------------------------------------------------------------

    def fit(self) -> dict[str, Tensor]:
        """Train to the end and return the state dict of the best model."""
        started, self._sitting = time.monotonic(), self.seconds
        cpu_started, cpu_before = time.process_time(), self.cpu_seconds
        self._clock = lambda: self._sitting + time.monotonic() - started
        self._cpu_clock = lambda: cpu_before + time.process_time() - cpu_started
        self._checkpointed = time.monotonic()
        total = self.settings.epochs * self.batches
        bar = runtime.progress(total, "step", self.settings.verbose, initial=self.step, smoothing=0.3)
        with bar, runtime.deferred_interrupt() as interrupted:
            while not self.done:
                self._run_epoch(bar, interrupted)
        self._finish()
        return self.best_state()

    def best_state(self) -> dict[str, Tensor]:
        """Return the best weights by validation so far, or the running average where nothing was validated.

        If training diverged, the average is that of the last epoch in which it was finite.
        """
        self.ema.copy_buffers()
        if self.best is None and not all(bool(p.isfinite().all()) for p in self.ema.module.parameters()):
            return self._good
        return self.ema.module.state_dict() if self.best is None else self.best["state"]

    def _run_epoch(self, bar: tqdm, interrupted: Callable[[], bool]) -> None:
        epoch, size = self.epoch, self.settings.batch_size
        order, cost = epoch_order(len(self.train), self.settings.seed, epoch), runtime.call_cost(self.device)
        self.objective.train()
        shown = time.monotonic()
        begun = self.step % self.batches
        for i in range(begun, self.batches):
            place = (i - begun) % PLANNED
            if place == 0:
                some = order[i * size : (i + PLANNED) * size]
                planned, batches = batches_of(some, self._lengths, self.train.width, size, cost)
                planned = planned if isinstance(self.train, StoredBatch) else planned.to(self.device)
            rows = planned[place * size : (place + 1) * size]
            loss = self._step(rows, i, at_most_letters(batches[place], self._most))
            self.loss_sum += loss
            self.step += 1
            bar.update()
            now = time.monotonic()
            if now - shown > 1.0:  # reading the loss waits for the device: seldom
                bar.set_postfix_str(self._postfix(float(loss) / len(rows)), refresh=False)
                shown = now
            if self.step == (self.resumed_at or 0) + 20:
                self._announce(20)
            if self.step % self.batches:  # after the last batch the epoch's validation must come first
                self._pause(interrupted)
        self._end_epoch(epoch, bar)
        self._pause(interrupted)

    def _pause(self, interrupted: Callable[[], bool]) -> None:
        """Write a checkpoint that is due, and raise a Ctrl-C that has waited for the step's end."""
        if interrupted():
            self._checkpoint()
            raise KeyboardInterrupt
        if time.monotonic() - self._checkpointed > CHECKPOINT_SECONDS:
            self._checkpoint()

    def _step(self, rows: Tensor, i: int, parts: Parts | None = None) -> Tensor:
        """Return the summed losses of a batch, after forward, backward and, every `update_freq` batches, an update.

        Where the memory is full the step is made again in smaller parts, as are all that follow.
        """
        parts = parts or [(slice(0, len(rows)), self.train.width)]
        kept = None  # gradients of the update's earlier batches
        if self._mid_update:
            kept = [None if p.grad is None else p.grad.clone() for p in self.objective.parameters()]
        while True:
            try:
                losses = self._batch_losses(rows, i, parts)
                break
            except Exception as error:
                smaller = halved(parts)
                if not runtime.memory_is_full(error) or smaller == parts or self.ranks.several:
                    raise
            # outside of the handler, as its traceback holds what the failed step has computed
            self.optimizer.zero_grad(set_to_none=True)
            if kept is not None:
                self._set_gradients(kept)
            runtime.free_memory(self.device)
            parts = smaller
            self._most = max((part.stop - part.start) * width for part, width in parts)
            most = max(part.stop - part.start for part, _ in parts)
            warn(f"the memory is full: batches are computed in parts of at most {most:,} sequences from now on")
        for name, value in losses.parts.items():
            self.part_sums[name] = self.part_sums.get(name, 0) + value
        if (i + 1) % self.settings.update_freq == 0 or i + 1 == self.batches:
            self._apply_update()
        return losses.total

    def _batch_losses(self, rows: Tensor, i: int, parts: Parts) -> Losses:
        """Return the losses of a batch in parts, after forward and backward; recorded and repeated where possible."""
        s = self.settings
        own = () if self.ranks.first else (self.ranks.rank,)
        self._dropout.seed(runtime.seed_of(s.seed, "dropout", self.step, *own))
        self._generator.manual_seed(runtime.seed_of(s.seed, "step", self.step))
        first = (i - i % s.update_freq) * s.batch_size
        together = min(s.update_freq * s.batch_size, len(self.train) - first)  # the last update may have fewer rows
        possible = self._recordings.possible and not self.ranks.several and isinstance(self.train, Batch)
        if possible and s.update_freq == 1 and self.objective.repeatable:
            work = partial(self._repeatable_losses, together=together, parts=parts)
            key = tuple((rows.start, rows.stop, width) for rows, width in parts)
            with self._dropout.drawing():  # around all, as the state of a generator cannot be read while recording
                losses, gradients = self._recordings(work, rows, key)
            self._set_gradients(gradients)
            return losses
        return self._losses(rows, together, parts, self._dropout.drawing)

    def _losses(
        self, rows: Tensor, together: int, parts: Parts, drawing: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> Losses:
        """Return the losses of some rows, and add the gradients of their mean to the weights'.

        `together` is the number of rows of an update; `drawing` is the context in which dropout draws.
        """
        s = self.settings
        batch = drop_labels(self.train.take(rows), s.label_dropout, self._generator)
        sums: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device)
        for i, (some, width) in enumerate(parts):
            part, generator, scale = self._share(batch.take(some, width), self._generator)
            with drawing(), runtime.autocast(self.device, s.precision):
                # Nats count alike in short sequences and in long ones: that is the likelihood.
                shares = self._forward(part, generator)
                losses = sum(shares.values()) / (self._mean_length / scale)
            if part.weight is not None:
                losses = losses * part.weight
            loss = losses.sum()
            for name, values in shares.items() if len(shares) > 1 else ():
                weighted = values.detach() if part.weight is None else values.detach() * part.weight
                sums[name] = sums.get(name, 0) + scale * weighted.sum()
            with self._sent_with(i + 1 == len(parts)):  # the mean over all processes is sent, of which this is a part
                (loss / (together / self.ranks.size)).backward()
            total += loss.detach()
        if self.ranks.several:
            total, *values = self.ranks.sum(torch.stack([total, *sums.values()]))
            sums = dict(zip(sums, values, strict=True))
        return Losses(total, sums)

    def _share(self, part: Batch | StoredBatch, generator: torch.Generator) -> tuple[Batch, Generators, float]:
        """Return the rows of this process, loaded, the generator of their noise, and the factor of their losses.

        Where there are fewer rows than processes each computes all of them, for its share of their losses.
        """
        size, n = self.ranks.size, len(part)
        if not self.ranks.several or n < size:
            return part.loaded(), generator, 1 / size
        return part.rows(self.ranks.share(n)).loaded(), runtime.Shared(generator, n, self.ranks), 1.0

    def _sent_with(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Return the context of a backward pass, after the last of which the gradients are sent."""
        if isinstance(self._forward, DistributedDataParallel) and not last:
            return self._forward.no_sync()  # type: ignore[no-untyped-call]
        return contextlib.nullcontext()

    def _repeatable_losses(self, rows: Tensor, together: int, parts: Parts) -> tuple[Losses, list[Tensor | None]]:
        """Return `_losses` and all gradients, which are those of these rows alone; dropout draws as it is."""
        self.optimizer.zero_grad(set_to_none=True)  # of a recording that failed
        losses = self._losses(rows, together, parts, contextlib.nullcontext)
        return losses, [parameter.grad for parameter in self.objective.parameters()]

    def _apply_update(self) -> None:
        s = self.settings
        if s.clip is not None:
            nn.utils.clip_grad_norm_(self.objective.parameters(), s.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = s.learning_rate(self.update, self.epoch, s.epochs * self.updates)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.update += 1
        self.ema.update(self.update)

    # -- around the steps ---------------------------------------------------------------------------------------------

    def _end_epoch(self, epoch: int, bar: tqdm) -> None:
        s = self.settings
        loss = float(self.loss_sum) / len(self.train)
        self.loss_sum = torch.zeros((), device=self.device)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss became {loss} in epoch {epoch + 1}")
        self.seconds = self._clock()
        rate = s.learning_rate(max(0, self.update - 1), epoch, s.epochs * self.updates)
        row = (epoch + 1, self.step, loss * self._mean_length, loss / math.log(2), rate, self.seconds)
        parts = {name: float(total) / len(self.train) for name, total in self.part_sums.items()}
        self.part_sums = {}
        for name, value in (*zip(HISTORY_COLUMNS, row, strict=True), *parts.items()):
            self.history.setdefault(name, []).append(value)
        self._log("train", {"bits_per_letter": row[3], "lr": rate, **parts})
        last = self.step >= s.epochs * self.batches
        if self.valid is None or last:
            self._check_finite()
        if self.valid is None:
            self._good = {k: v.clone() for k, v in self.ema.module.state_dict().items()}
        if self.valid is not None and ((epoch + 1) % s.eval_every == 0 or last):
            self._evaluate(epoch, self.valid)
            bar.set_postfix_str(self._postfix(loss), refresh=False)
        if (epoch + 1) % s.check_every == 0 or last or self.stopped:
            self._checkpoint()

    def _evaluate(self, epoch: int, valid: Batch) -> None:
        """Estimate the validation bound with the averaged weights, at the same times and noise every time."""
        self.ema.copy_buffers()
        generator = runtime.generator_for(self.device, self.settings.seed, "validation")
        sums = torch.zeros(3, dtype=torch.float64)
        with runtime.autocast(self.device, self.settings.precision):
            for whole in validation_batches(valid):
                part, draws, scale = self._share(whole, generator)
                with self._dropout.drawing():  # a network of one's own may draw here, too
                    bound, _ = self.ema.module.bound(part, VALIDATION_TIMES, draws)
                weight = scale * (torch.ones_like(bound) if part.weight is None else part.weight.to(bound.dtype))
                parts = ((weight * values).sum() for values in (bound, torch.ones_like(bound), part.lengths))
                sums += torch.tensor([*map(float, parts)], dtype=torch.float64)
        total, rows, letters = self.ranks.sum(sums).tolist()
        bits = total / letters / math.log(2)
        if math.isnan(bits):
            raise self._diverged(f"the validation bound became nan in epoch {epoch + 1}")
        best = self.best
        is_best = best is None or bits < best["bits"]
        if best is None or is_best:
            state = {k: v.clone() for k, v in self.ema.module.state_dict().items()}
            self.best = best = {"bits": bits, "epoch": epoch + 1, "state": state}
            self.save_model(state)
        row = (epoch + 1, self.step, total / rows, bits, is_best, self._clock(), self._cpu_clock())
        for column, value in zip(self.evaluations.values(), row, strict=True):
            column.append(value)
        self._log("eval", {"bits_per_letter": bits})
        patience = self.settings.patience
        self.stopped = patience is not None and epoch + 1 - best["epoch"] >= patience

    def _log(self, part: str, values: dict[str, float]) -> None:
        if self.run is not None:
            named = {f"{part}/{k}": v for k, v in values.items()}
            self.run.log_scalars(self.step, named, self.resumed_at)

    def _checkpoint(self) -> None:
        self.seconds, self.cpu_seconds = self._clock(), self._cpu_clock()
        self._checkpointed = time.monotonic()
        if self.run is not None:
            self._check_finite()
            self.run.save_checkpoint(self.state_dict())
            self.run.write_metrics("train", self.history)
            self.run.write_metrics("eval", self.evaluations)

    def _check_finite(self) -> None:
        """Raise an `InputError` where the weights or the loss are not finite: no such state replaces a good one."""
        parameters = [*self.objective.parameters(), *self.ema.module.parameters(), self.loss_sum]
        if not all(bool(p.isfinite().all()) for p in parameters):
            raise self._diverged(
                f"the weights or the loss became nan or infinite in epoch {max(0, self.step - 1) // self.batches + 1}"
            )

    def _diverged(self, found: str) -> InputError:
        s = self.settings
        rate = s.learning_rate(max(0, self.update - 1), max(0, self.step - 1) // self.batches, s.epochs * self.updates)
        saved = self.run is not None and self.run.checkpoint.is_file()
        kept = f" ({self.run.checkpoint} is from before)" if self.run is not None and saved else ""
        found = f"{s.lr:g}, with which {found} (found at step {self.step}, where the learning rate was {rate:.3g})"
        return InputError(argument("lr"), found, "one with which training stays finite", f"give a smaller one{kept}")

    def _finish(self) -> None:
        self.save_model(self.best_state())
        if self.run is not None:
            self.run.write_metrics("train", self.history)
            self.run.write_metrics("eval", self.evaluations)
            self.run.set_status("finished")

    def _postfix(self, loss: float) -> str:
        text = f"epoch {min(self.epoch + 1, self.settings.epochs)}, train {loss / math.log(2):.3f}"
        if self.best is not None:
            text += f", valid {self.evaluations['bits_per_letter'][-1]:.3f}, best {self.best['bits']:.3f}"
        return text + " bits/letter"

    def _announce(self, steps: int) -> None:
        """Show the time left; where that is long on a CPU, warn and name faster settings."""
        runtime.synchronize(self.device)
        left = (self.settings.epochs * self.batches - self.step) * (self._clock() - self._sitting) / steps
        runtime.say(logger, f"training will take about {_duration(left)} on {self.device}", self.settings.verbose)
        if left > 3600 and not runtime.waits(self.device):
            epochs = max(1, int(self.settings.epochs * 3600 / left / 2))
            warn(
                f"these settings need about {_duration(left)} on this CPU; {argument('network', 'conv')} with "
                f"{argument('lr', 2e-3)}, {argument('batch_size', 128)} and {argument('epochs', 20)} usually needs "
                "minutes for 10,000 sequences of 50 letters (or keep this network and give "
                f"{argument('epochs', epochs)}, or use a GPU)"
            )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
