"""Overhead of training: a step of the loop over the bare network's forward, backward and optimizer, for all estimators.

The bare network is called with what the process gave it in one of these steps. The two are measured in turns within one
run, in CPU-seconds (on a GPU in wall time, synchronised), so other work on the machine slows both. The result is the
median of the ratios, and the share of a large matrix product's rate that the network alone reaches. `--profile` prints
where a step spends its time.

    python benchmarks/overhead.py [--batch 128] [--network conv] [--models MaskedDiffusion,SCUD]
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import begin, cpu_seconds, plain_parser
from torch.utils.flop_counter import FlopCounterMode

import seqdiff
from seqdiff import runtime
from seqdiff.data import prepare
from seqdiff.model import Vocabulary
from seqdiff.training import Settings, Trainer

MODELS = (
    "MultinomialDiffusion", "MaskedDiffusion", "UniformDiffusion", "ClassicalDiffusion", "SCUD", "DirichletFM",
    "EmbeddingDiffusion", "Autoregressive",
)  # fmt: skip
LENGTH, ROWS = 50, 9600


def measured(step: Callable[[], None], n: int, device: torch.device) -> float:
    """Return the mean seconds of n steps."""
    clock = cpu_seconds if device.type == "cpu" else time.perf_counter
    runtime.synchronize(device)
    start = clock()
    for _ in range(n):
        step()
    runtime.synchronize(device)
    return (clock() - start) / n


def steps_of(name: str, network: str, rows: int, device: torch.device) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a training step of an estimator, and one of its network alone."""
    letters = np.random.default_rng(0).choice(list("ACGT"), (ROWS, LENGTH))
    data = prepare(["".join(row) for row in letters], alphabet="dna")
    estimator = getattr(seqdiff, name)(network=network, batch_size=rows, savepath=None, verbose=0)
    vocabulary = Vocabulary.fit(data, None, (None, None), "auto", 0)
    objective = runtime.place(estimator.build(vocabulary, data), device)
    settings = Settings(epochs=10**6, batch_size=rows, lr=1e-3, verbose=0)
    trainer = Trainer(objective, vocabulary.batch(data, device), None, settings)
    order = torch.arange(ROWS, device=device)

    def full() -> None:
        first = (trainer.step * rows) % (ROWS - rows)
        trainer.loss_sum += trainer._step(order[first : first + rows], 0)
        trainer.step += 1

    calls: list[tuple[Any, Any]] = []
    hook = objective.network.register_forward_pre_hook(lambda _, a, k: calls.append((a, k)), with_kwargs=True)
    objective.train()
    full()
    hook.remove()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-3, fused=runtime.has_fused_optimizer(device))
    given = [
        ([v.detach() if torch.is_tensor(v) else v for v in a],
         {n: v.detach() if torch.is_tensor(v) else v for n, v in k.items()})
        for a, k in calls
    ]  # fmt: skip

    def bare() -> None:
        with runtime.autocast(device, "auto"):
            total = sum(objective.network(*a, **k).float().sum() for a, k in given)
        total.backward()  # type: ignore[union-attr]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return full, bare


def product(device: torch.device, n: int = 1024) -> tuple[Callable[[], None], float]:
    """Return a product of two matrices and its floating-point operations: what the machine can do at best."""
    a, b = (torch.ones(n, n, device=device) for _ in range(2))

    def work() -> None:
        with runtime.autocast(device, "auto"):
            a @ b

    return work, 2.0 * n**3


def main() -> None:
    """Run the benchmark and print its result."""
    parser = plain_parser(__doc__)
    parser.add_argument("--models", type=lambda text: text.split(","), default=MODELS)
    parser.add_argument("--network", default="conv")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5, help="steps per turn")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    device = runtime.choose_device(args.device)
    begin()
    unit = "CPU-ms" if device.type == "cpu" else "ms"
    for name in args.models:
        both = steps_of(name, args.network, args.batch, device)
        for step in both:
            measured(step, 5, device)
        if args.profile:
            profile = cProfile.Profile()
            profile.runcall(measured, both[0], 20, device)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        with FlopCounterMode(display=False) as counter:
            both[1]()
        best, operations = product(device)
        measured(best, 3, device)
        three = (*both, best)
        turns = np.array([[measured(s, args.steps, device) for s in three] for _ in range(args.turns)])
        ratios = turns[:, 0] / turns[:, 1]
        low, ratio, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        full_ms, bare_ms, _ = np.median(turns, 0) * 1e3
        share = np.median(counter.get_total_flops() / turns[:, 1] / (operations / turns[:, 2]))
        peak = np.median(operations / turns[:, 2]) / 1e9
        times = f"step {full_ms:.2f} {unit}, bare {args.network} {bare_ms:.2f} {unit}"
        print(f"{name}, batch {args.batch}: {times}; ratio {ratio:.3f}, quartiles {low:.3f} to {high:.3f}")
        print(f"  the network at {100 * share:.0f}% of a matrix product's {peak:,.0f} GFLOP/s", flush=True)


if __name__ == "__main__":
    main()
