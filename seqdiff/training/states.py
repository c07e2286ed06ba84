"""Whether a checkpoint is one that a trainer can go on from, before anything is taken from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from seqdiff.training.trainer import Trainer


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
