"""Sequences per CPU-second of `generate`, beside what the machine's matrix products would allow.

Untrained models of default sizes for 50 letters: speed does not depend on the weights. In each turn samples are drawn
and a large matrix product is timed, in CPU-seconds on one thread, so that other work slows both; the limit is the
product's operations per second over the operations of the network in one draw, as torch counts them. `--profile` prints
where the time goes.

    python benchmarks/sampling.py
    python benchmarks/sampling.py --models Autoregressive --profile
"""

from __future__ import annotations

import cProfile
import pstats
from typing import Any

import numpy as np
import torch
from common import begin, cpu_seconds, plain_parser
from overhead import measured, product
from torch.utils.flop_counter import FlopCounterMode

import seqdiff

MODELS: dict[str, tuple[str, int | None]] = {
    "Autoregressive": ("Autoregressive", None),
    "MaskedDiffusion": ("MaskedDiffusion", None),
    "MaskedDiffusion, 10 calls": ("MaskedDiffusion", 10),
    "UniformDiffusion, 10 calls": ("UniformDiffusion", 10),
    "SCUD, 10 calls": ("SCUD", 10),
    "DirichletFM, 10 calls": ("DirichletFM", 10),
    "EmbeddingDiffusion, 10 calls": ("EmbeddingDiffusion", 10),
}


def main() -> None:
    """Run the benchmark and print its results."""
    parser = plain_parser(__doc__)
    parser.add_argument("--models", help="names that begin so, separated by commas")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    begin()
    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    letters = np.random.default_rng(0).choice(list("ACGT"), (256, args.length))
    X = ["".join(row) for row in letters]
    best, operations = product(cpu)
    wanted = tuple(args.models.split(",")) if args.models else ("",)
    for name, (cls, steps) in MODELS.items():
        if not name.startswith(wanted):
            continue
        model = getattr(seqdiff, cls)(epochs=1, savepath=None, verbose=0, precision=args.precision).fit(X)
        options: dict[str, Any] = {} if steps is None else {"steps": steps}
        with FlopCounterMode(display=False) as counter:
            model.generate(args.samples, random_state=0, **options)
        if args.profile:
            profile = cProfile.Profile()
            profile.runcall(model.generate, args.samples, random_state=0, **options)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        rates, limits = [], []
        for turn in range(args.turns):
            start = cpu_seconds()
            model.generate(args.samples, random_state=turn, **options)
            rates.append(args.samples / (cpu_seconds() - start))
            limits.append(operations / measured(best, 10, cpu) / (counter.get_total_flops() / args.samples))
        share = np.median(np.array(rates) / limits)
        each = counter.get_total_flops() / args.samples / 1e6
        print(
            f"{name}: {np.median(rates):,.0f} sequences/CPU-s; {each:,.0f} MFLOP each, by matrix products alone "
            f"{np.median(limits):,.0f}; {100 * share:.0f}% of that",
            flush=True,
        )


if __name__ == "__main__":
    main()
