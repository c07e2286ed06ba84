"""The exponential moving average of the weights, which validates, scores and samples."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from seqdiff import runtime
from seqdiff.errors import InputError, argument, warn
from seqdiff.parameters import Choice, Parameterised, Real, Verbosity, Whole, parameter
from seqdiff.runs import Run
from seqdiff.training.batches import Parts, at_most, epoch_batches, validation_batches
from seqdiff.training.objective import Batch, Objective, drop_labels

Module = TypeVar("Module", bound=nn.Module)


class MovingAverage(Generic[Module]):
    """A copy of a module whose parameters follow the original's, ema <- d ema + (1 - d) original.

    d grows as (1 + n)/(10 + n) after n updates up to `decay`, so that short runs are not averaged with their noise.

    Parameters
    ----------
    module : nn.Module
    decay : float
        0 keeps the copy equal to the original.
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


# Whether a checkpoint is one that a trainer can go on from, before anything is taken from it.


def check_state(state: dict[str, Any], trainer: Trainer) -> None:
    """Raise a ValueError that names the first entry that is not as `Trainer.state_dict` writes it."""
    wanted = trainer.state_dict()
    if missing := sorted(wanted.keys() - state.keys() - {"format_version"}):
        raise ValueError(f"it lacks {missing[0]}")
    for name in ("objective", "ema"):
        _check_weights(name, state[name], wanted[name])
    step, batches, often = state["step"], trainer.batches, trainer.settings.update_freq
    if not _whole(step) or not 0 <= step <= trainer.settings.epochs * batches:
        raise ValueError(f"step is {step!r}, expected 0 to {trainer.settings.epochs * batches}")
    updates = step // batches * trainer.updates + step % batches // often
    if state["update"] != updates:
        raise ValueError(f"update is {state['update']!r}, expected {updates} at step {step}")
    for name in ("seconds", "cpu_seconds"):
        if not isinstance(state[name], (int, float)) or not math.isfinite(state[name]):
            raise ValueError(f"{name} is {state[name]!r}, expected a number")
    if not isinstance(state["stopped"], bool):
        raise ValueError(f"stopped is {state['stopped']!r}, expected True or False")
    sums = state["part_sums"]
    for name, value in {
        "loss_sum": state["loss_sum"],
        **(sums if isinstance(sums, dict) else {"part_sums": 0}),
    }.items():
        if not isinstance(value, Tensor) or value.ndim or not bool(value.isfinite()):
            raise ValueError(f"{name} is not one finite number")
    _check_table("history", state["history"], wanted["history"], step // batches)
    _check_table("evaluations", state["evaluations"], wanted["evaluations"], None)
    best = state["best"]
    if best is not None:
        if not isinstance(best, dict) or not best.keys() >= {"bits", "epoch", "state"}:
            raise ValueError("best is not of bits, epoch and state")
        if not isinstance(best["bits"], float) or math.isnan(best["bits"]) or not _whole(best["epoch"]):
            raise ValueError(f"best is of {best['bits']!r} bits in epoch {best['epoch']!r}, expected numbers")
        _check_weights("best", best["state"], wanted["ema"])
    parameters = list(trainer.objective.parameters())
    gradients = state["gradients"]
    if gradients is None:
        if step % batches % often:
            raise ValueError(f"gradients are missing at step {step}, in the middle of an update")
    elif (
        not isinstance(gradients, list)
        or len(gradients) != len(parameters)
        or not all(
            g is None or (isinstance(g, Tensor) and g.shape == p.shape)
            for g, p in zip(gradients, parameters, strict=True)
        )
    ):
        raise ValueError("gradients are not those of the weights")
    _check_optimizer(state["optimizer"], wanted["optimizer"], parameters)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_weights(name: str, given: Any, wanted: dict[str, Tensor]) -> None:
    if not isinstance(given, dict) or given.keys() != wanted.keys():
        raise ValueError(f"{name} does not hold the weights of this network")
    for key, own in wanted.items():
        value = given[key]
        if not isinstance(value, Tensor) or value.shape != own.shape:
            raise ValueError(f"{name} holds another shape of {key} than this network")
        if key.startswith("network.") and not bool(value.isfinite().all()):
            raise ValueError(f"{name} holds values of {key} that are not finite")


def _check_table(name: str, table: Any, wanted: dict[str, list], rows: int | None) -> None:
    columns: list[Any] = list(table.values()) if isinstance(table, dict) and table.keys() >= wanted.keys() else [None]
    if not all(isinstance(column, list) for column in columns):
        raise ValueError(f"{name} is not a table of {', '.join(wanted)}")
    if any(len(column) != (len(columns[0]) if rows is None else rows) for column in columns):
        raise ValueError(f"{name} has another number of rows than there were epochs")
    if not all(isinstance(value, (int, float)) for column in columns for value in column):
        raise ValueError(f"{name} holds what is no number")


def _check_optimizer(given: Any, wanted: dict[str, Any], parameters: list[Any]) -> None:
    if not isinstance(given, dict) or not isinstance(given.get("state"), dict):
        raise ValueError("optimizer holds no state")
    groups = given.get("param_groups")
    ours = wanted["param_groups"][0]
    if not isinstance(groups, list) or len(groups) != 1 or not isinstance(groups[0], dict):
        raise ValueError("optimizer is not of one group of weights")
    if groups[0].get("params") != ours["params"] or not groups[0].keys() >= ours.keys():
        raise ValueError("optimizer is of other weights than this network's")
    for name, value in groups[0].items():
        if isinstance(ours.get(name), float) and not isinstance(value, (int, float)):
            raise ValueError(f"optimizer has {name}={value!r}, expected a number")
    for number, moments in given["state"].items():
        if not _whole(number) or not 0 <= number < len(parameters) or not isinstance(moments, dict):
            raise ValueError("optimizer holds the state of weights that are not there")
        for name in ("exp_avg", "exp_avg_sq"):
            value = moments.get(name)
            if not isinstance(value, Tensor) or value.shape != parameters[number].shape:
                raise ValueError(f"optimizer holds no {name} of weight {number}")
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"optimizer holds an {name} of weight {number} that is not finite")
        if not isinstance(moments.get("step"), Tensor) or moments["step"].numel() != 1:
            raise ValueError(f"optimizer holds no step of weight {number}")


# The one training loop. It knows no mathematics: it is given a module that returns losses.
#
# What a step computes depends on the seed, the step's number and the state alone, so that a run that was killed and
# resumed ends bit for bit where an uninterrupted one does.


logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 600.0
VALIDATION_ROWS = 512
VALIDATION_TIMES = 20
# of the history, before the parts of the loss
HISTORY_COLUMNS = ("epoch", "step", "loss", "bits_per_letter", "lr", "seconds")


class LearningParameters(Parameterised):
    """The parameters of training that generators and predictors share."""

    epochs: int | None = parameter(None, Whole(1, 10_000_000)).doc(
        """How often to go through all sequences. None: as many as make about {batches} batches, and sqrt(n/10,000)
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
        "Stop after so many epochs without a better validation bound."
    )
    eval_every: int = parameter(1, Whole(1)).doc("Epochs from one validation to the next.")
    check_every: int = parameter(5, Whole(1)).doc("Epochs from one checkpoint to the next.")
    label_dropout: float = parameter(0.1, Real(0, 1)).doc(
        """Share of the labels hidden in training, so that the model also learns p(x), which classifier-free guidance
        needs."""
    )
    precision: str = parameter("auto", Choice(("auto", "float32", "bfloat16"))).doc(
        'Numbers to train with; `"auto"` takes bfloat16 on a GPU that has it.'
    )


class Settings(TrainingParameters):
    """The settings of one training."""

    epochs: int = parameter(1, Whole(1))
    clip: float | None = parameter(1.0, Real(0)).doc("Largest norm of the gradient.")
    seed: int = parameter(0, Whole(0))

    def learning_rate(self, update: int, epoch: int, updates: int) -> float:
        """Return the learning rate of the update: linear warm-up, then decay per epoch or half a cosine."""
        if update < self.warmup:
            return self.lr * (update + 1) / self.warmup
        if self.lr_schedule == "cosine":
            done = (update - self.warmup) / max(1, updates - self.warmup)
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        return self.lr * (self.lr_decay**epoch if self.lr_schedule == "exponential" else 1.0)


class Trainer:
    """Train an objective.

    Parameters
    ----------
    objective : Objective
        On its device.
    train, valid : Batch
        All the data, on the same device; `valid` may be None.
    settings : Settings
    run : Run or None
        Where checkpoints, metrics and TensorBoard go.
    save_model : callable or None
        Called with the state dict of each new best model.

    Attributes
    ----------
    history, evaluations : dict of lists
        What the metrics files hold. Where the loss has several parts, the history has a column for each, in nats per
        sequence like "loss", their sum.
    """

    def __init__(
        self,
        objective: Objective,
        train: Batch,
        valid: Batch | None,
        settings: Settings,
        run: Run | None = None,
        save_model: Callable[[dict[str, Tensor]], None] | None = None,
    ) -> None:
        self.objective, self.train, self.settings, self.run = objective, train, settings, run
        self.save_model = save_model or (lambda state: None)
        self.device = train.x0.device
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
        self._good = {k: v.clone() for k, v in self.ema.module.state_dict().items()}  # finite, of an earlier epoch
        self._lengths = train.lengths.cpu()
        self._mean_length = float(self._lengths.double().mean())

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
            "step": self.step,
            "update": self.update,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "loss_sum": self.loss_sum,
            "part_sums": self.part_sums,
            "history": self.history,
            "evaluations": self.evaluations,
            "best": self.best,
            "stopped": self.stopped,
        }

    @property
    def _mid_update(self) -> bool:
        within = self.step % self.batches
        return within % self.settings.update_freq != 0

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`; a ValueError says what of it is not as it was written, and nothing is taken then."""
        check_state(state, self)
        self.objective.load_state_dict(state["objective"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["gradients"] is not None:
            for parameter, gradient in zip(self.objective.parameters(), state["gradients"], strict=True):
                parameter.grad = gradient
        plain = ("step", "update", "seconds", "cpu_seconds", "loss_sum", "part_sums", "history", "evaluations", "best")
        for name in (*plain, "stopped"):
            setattr(self, name, state[name])
        self.resumed_at = self.step

    # -- the loop -----------------------------------------------------------------------------------------------------

    def fit(self) -> dict[str, Tensor]:
        """Train to the end and return the state dict of the best model.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, once the running step is finished and a checkpoint written.
        ValueError
            If the loss is no longer finite.
        """
        started, self._sitting = time.monotonic(), self.seconds
        cpu_started, cpu_before = time.process_time(), self.cpu_seconds
        self._clock = lambda: self._sitting + time.monotonic() - started
        self._cpu_clock = lambda: cpu_before + time.process_time() - cpu_started
        self._checkpointed = time.monotonic()
        bar = tqdm(
            total=self.settings.epochs * self.batches,
            initial=self.step,
            unit="step",
            disable=self.settings.verbose < 1,
            mininterval=0.5,
            dynamic_ncols=True,
        )
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
        width, cost = self.train.x0.shape[1], runtime.call_cost(self.device)
        order, batches = epoch_batches(self._lengths, width, size, self.settings.seed, epoch, cost)
        order = order.to(self.device)
        self.objective.train()
        shown = time.monotonic()
        for i in range(self.step % self.batches, self.batches):
            rows = order[i * size : (i + 1) * size]
            loss = self._step(self.train.take(rows), i, batches[i])
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
        """Between steps: the place for a checkpoint that is due, and for a Ctrl-C that has waited."""
        if interrupted():
            self._checkpoint()
            raise KeyboardInterrupt
        if time.monotonic() - self._checkpointed > CHECKPOINT_SECONDS:
            self._checkpoint()

    def _step(self, batch: Batch, i: int, parts: Parts | None = None) -> Tensor:
        """One batch, part by part: forward, backward and, every `update_freq` batches, an update.

        Returns the sum of the losses.
        """
        s = self.settings
        self._dropout.seed(runtime.seed_of(s.seed, "dropout", self.step))
        generator = self._generator.manual_seed(runtime.seed_of(s.seed, "step", self.step))
        batch = drop_labels(batch, s.label_dropout, generator)
        first = (i - i % s.update_freq) * s.batch_size
        together = min(s.update_freq * s.batch_size, len(self.train) - first)  # the last update may have fewer rows
        total = torch.zeros((), device=self.device)
        for rows, width in parts or [(slice(None), batch.x0.shape[1])]:
            part = batch.take(rows, width)
            with self._dropout.drawing(), runtime.autocast(self.device, s.precision):
                # Nats count alike in short sequences and in long ones: that is the likelihood.
                shares = self.objective(part, generator)
                losses = sum(shares.values()) / self._mean_length
            if part.weight is not None:
                losses = losses * part.weight
            loss = losses.sum()
            self._add_shares(shares, part.weight)
            (loss / together).backward()
            total += loss.detach()
        if (i + 1) % s.update_freq == 0 or i + 1 == self.batches:
            self._apply_update()
        return total

    def _add_shares(self, shares: dict[str, Tensor], weight: Tensor | None) -> None:
        """Add the parts of a loss, where it has several, to those of the epoch."""
        for name, values in shares.items() if len(shares) > 1 else ():
            weighted = values.detach() if weight is None else values.detach() * weight
            self.part_sums[name] = self.part_sums.get(name, 0) + weighted.sum()

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
        if self.valid is None:
            self._check_finite()
            self._good = {k: v.clone() for k, v in self.ema.module.state_dict().items()}
        elif last:
            self._check_finite()
        if self.valid is not None and ((epoch + 1) % s.eval_every == 0 or last):
            self._evaluate(epoch, self.valid)
            bar.set_postfix_str(self._postfix(loss), refresh=False)
        if (epoch + 1) % s.check_every == 0 or last or self.stopped:
            self._checkpoint()

    def _evaluate(self, epoch: int, valid: Batch) -> None:
        """Estimate the validation bound with the averaged weights, at the same times and noise every time."""
        self.ema.copy_buffers()
        generator = runtime.generator_for(self.device, self.settings.seed, "validation")
        total = rows = letters = 0.0
        with runtime.autocast(self.device, self.settings.precision):
            for part in validation_batches(valid):
                with self._dropout.drawing():  # a network of one's own may draw here, too
                    bound, _ = self.ema.module.bound(part, VALIDATION_TIMES, generator)
                weight = torch.ones_like(bound) if part.weight is None else part.weight.to(bound.dtype)
                total, rows = total + float((weight * bound).sum()), rows + float(weight.sum())
                letters += float((weight * part.lengths).sum())
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
        """Raise a ValueError where the weights or the loss are finite no more: no such state replaces a good one."""
        parameters = [*self.objective.parameters(), *self.ema.module.parameters(), self.loss_sum]
        if not all(bool(p.isfinite().all()) for p in parameters):
            raise self._diverged(
                f"the weights or the loss became nan or infinite in epoch {max(0, self.step - 1) // self.batches + 1}"
            )

    def _diverged(self, found: str) -> InputError:
        s = self.settings
        rate = s.learning_rate(max(0, self.update - 1), max(0, self.step - 1) // self.batches, s.epochs * self.updates)
        kept = (
            "" if self.run is None or not self.run.checkpoint.is_file() else f" ({self.run.checkpoint} is from before)"
        )
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
        """Say how long the rest will take; where that is long on a CPU, what would be shorter."""
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
