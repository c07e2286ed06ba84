"""How much of everything a demo can do in a few minutes on two CPU cores, whatever the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Plan:
    """How much of everything fits into a few minutes on two CPU cores; all costs grow with the letters."""

    most: int  # sequences used at all
    valid: int
    test: int
    batch_size: int
    updates: int  # that the budget allows
    times: int  # levels of noise when scoring
    n: int  # sequences to write
    steps: int  # of the sampler
    simulated: int = 10_000
    width: int | None = None
    depth: int | None = None

    @staticmethod
    def make(count: int, length: int, n: int | None, quick: bool = False) -> Plan:
        """Return the plan for `count` sequences of `length` letters, of which `n` more are wanted (None: 1,000)."""
        share = 0.1 if count >= 500 else 0.2  # of few sequences more are held out: a handful judges nothing
        test = max(1, int(share * min(count, 50_000)))
        test = min(test, 1000, max(20, 500_000 // length))
        batch_size = int(np.clip(12_800 // length, 4, 128))
        steps = int(np.clip(5_000_000 // ((n or 1000) * length), 20, 50))
        plan = Plan(
            most=max(200, min(50_000, 8_000_000 // length)),
            valid=max(1, min(int(0.1 * count), 512, max(16, 25_600 // length))),
            test=test,
            batch_size=max(4, min(batch_size, count // 8)),
            updates=max(20, min(800, 8_000_000 // (batch_size * length))),
            times=int(np.clip(5_000_000 // (test * length), 10, 100)),
            n=n or max(20, min(1000, 10_000_000 // (steps * length))),
            steps=steps,
        )
        return plan if not quick else plan.quick()

    def quick(self) -> Plan:
        """Return a plan of seconds, which shows that everything works and nothing else."""
        return replace(
            self,
            most=min(self.most, 1000),
            valid=min(self.valid, 50),
            test=min(self.test, 100),
            batch_size=min(self.batch_size, 64),
            updates=20,
            times=10,
            steps=10,
            simulated=1000,
            width=16,
            depth=2,
        )

    def epochs(self, n_train: int) -> int:
        """Return how often to go through `n_train` sequences: few of them are soon known by heart."""
        batches = -(-n_train // self.batch_size)
        return int(np.clip(round(self.updates / batches), 1, 60))
