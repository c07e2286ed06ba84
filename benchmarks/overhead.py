"""Overhead of training: a step of the loop over the bare network's forward, backward and optimizer.

The two are measured in turns within one run, in CPU-seconds (on a GPU in wall time, synchronised), so other work on the
machine slows both. The result is the median of the ratios.

    python benchmarks/overhead.py [--batch 128] [--network conv]
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from common import begin, cpu_seconds, plain_parser

from seqdiff import runtime
from seqdiff.networks import Conditions, build_network
from seqdiff.processes import Batch, Multinomial
from seqdiff.training import Objective, Settings, Trainer

LENGTH, LETTERS, ROWS = 50, 4, 9600


def measured(step: Callable[[], None], n: int, device: torch.device) -> float:
    """Return the mean seconds of n steps."""
    clock = cpu_seconds if device.type == "cpu" else time.perf_counter
    runtime.synchronize(device)
    start = clock()
    for _ in range(n):
        step()
    runtime.synchronize(device)
    return (clock() - start) / n


def main() -> None:
    """Run the benchmark and print its result."""
    parser = plain_parser(__doc__)
    parser.add_argument("--network", default="conv")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--steps", type=int, default=10, help="steps per turn")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    device = runtime.choose_device(args.device)
    sizes = {"states": LETTERS, "letters": LETTERS, "length": LENGTH, "conditions": Conditions(), "fixed_length": True}
    make = lambda: build_network(args.network, {}, **sizes).to(device)  # noqa: E731
    tokens = torch.randint(LETTERS, (ROWS, LENGTH), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = Batch(tokens.to(device), torch.full((ROWS,), LENGTH, device=device))
    objective = Objective(Multinomial(LETTERS).to(device), make())
    settings = Settings(epochs=10**6, batch_size=args.batch, lr=1e-3, verbose=0)
    trainer = Trainer(objective, data, None, settings)
    order = torch.arange(ROWS, device=device)

    def full() -> None:
        first = (trainer.step * args.batch) % (ROWS - args.batch)
        trainer.loss_sum += trainer._step(order[first : first + args.batch], 0)
        trainer.step += 1

    network = make()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    x, t = data.x0[: args.batch].long(), torch.rand(args.batch, device=device)

    def bare() -> None:
        with runtime.autocast(device, "auto"):
            logits = network(x, t)
        logits.float().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    begin()
    for step in (full, bare):
        measured(step, 10, device)
    turns = np.array([[measured(s, args.steps, device) for s in (full, bare)] for _ in range(args.turns)])
    ratio = np.median(turns[:, 0] / turns[:, 1])
    low, high = np.quantile(turns[:, 0] / turns[:, 1], [0.25, 0.75])
    unit = "CPU-ms" if device.type == "cpu" else "ms"
    full_ms, bare_ms = np.median(turns, 0) * 1e3
    print(f"network {args.network}, batch {args.batch}: step {full_ms:.2f} {unit}, bare network {bare_ms:.2f} {unit}")
    print(f"ratio {ratio:.3f}, quartiles {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
