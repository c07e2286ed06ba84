"""Other libraries' loops beside seqdiff's, on the same network, data and thread, in turns: CPU-seconds.

Sampling: MDLM of bionemo-moco and the Euler solver of flow_matching call the network of a `MaskedDiffusion` or a
`UniformDiffusion` (default size) as many times as `generate` does. Training: moco's noise, loss and AdamW, as its
documentation has them, and a step of seqdiff's trainer. With --gpro a training step and a draw of GPro's
`Diffusion_language` at its default size (51.5 million weights) stand beside `MaskedDiffusion` at its own, per sequence.

    pip install --target peers --no-deps flow_matching bionemo-moco torchdiffeq jaxtyping wadler-lindig pot
    PYTHONPATH=peers python benchmarks/beside.py
    python benchmarks/beside.py --only gpro --gpro PATH        # a clone of github.com/WangLabTHU/GPro
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import begin, cpu_seconds, plain_parser
from overhead import steps_of
from torch import Tensor

import seqdiff

LENGTH = 50
CPU = torch.device("cpu")


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU-seconds of some work."""
    start = cpu_seconds()
    work()
    return cpu_seconds() - start


def compared(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], turns: int, n: int, unit: str
) -> None:
    """Print how many of n units a CPU-second does by either, and the ratio."""
    ours(), theirs()
    times = np.array([[seconds(ours), seconds(theirs)] for _ in range(turns)])
    mine, other = n / np.median(times, 0)
    ratios = times[:, 1] / times[:, 0]
    low, ratio, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    print(
        f"{name}: {mine:.4g} {unit}/CPU-s, theirs {other:.4g}; ratio {ratio:.2f} ({low:.2f} to {high:.2f})", flush=True
    )


def fitted(cls: str, **parameters: Any) -> Any:
    """Return a model that has hardly learned."""
    rows = np.random.default_rng(0).choice(list("ACGT"), (256, LENGTH))
    settings = {"epochs": 1, "savepath": None, "verbose": 0, "precision": "float32"}
    return getattr(seqdiff, cls)(**settings, **parameters).fit(["".join(row) for row in rows])


def moco_mdlm() -> Any:
    """Return moco's masked diffusion over four letters with a linear schedule of masks."""
    from bionemo.moco.distributions.prior.discrete.mask import DiscreteMaskedPrior
    from bionemo.moco.distributions.time.uniform import UniformTimeDistribution
    from bionemo.moco.interpolants.continuous_time.discrete.mdlm import MDLM
    from bionemo.moco.schedules.noise.continuous_noise_transforms import LogLinearExpNoiseTransform

    return MDLM(UniformTimeDistribution(), DiscreteMaskedPrior(num_classes=4), LogLinearExpNoiseTransform())


def moco(args: Any) -> None:
    """Compare masked diffusion: samples in as many calls, and training steps."""
    from bionemo.moco.schedules.inference_time_schedules import LinearInferenceSchedule

    mdlm = moco_mdlm()
    classes = mdlm.num_classes  # the mask is one of them
    for calls in (10, 50):
        model = fitted("MaskedDiffusion")
        network = model.objective_.network

        @torch.no_grad()
        def draw(network: Any = network, calls: int = calls) -> None:
            for _ in range(args.samples // 256):
                x = mdlm.sample_prior((256, LENGTH))
                schedule = LinearInferenceSchedule(nsteps=calls, direction="diffusion")
                for t, dt in zip(schedule.generate_schedule(), schedule.discretize(), strict=True):
                    time = torch.full((256,), float(t))
                    logits = torch.nn.functional.pad(network(x, time).float(), (0, classes - 4), value=-1e6)
                    x = mdlm.step(logits, time, x, torch.full((256,), float(dt)))

        ours = lambda model=model, calls=calls: model.generate(args.samples, steps=calls, random_state=0)  # noqa: E731
        compared(f"moco, masked, {calls} calls", ours, draw, args.turns, args.samples, "sequences")

    full, _ = steps_of("MaskedDiffusion", "conv", 128, CPU)
    network = fitted("MaskedDiffusion").objective_.network.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    data = torch.randint(4, (128, LENGTH), generator=torch.Generator().manual_seed(0))

    def step() -> None:
        time = mdlm.sample_time(128)
        x = mdlm.interpolate(data, time)
        logits = torch.nn.functional.pad(network(x, time).float(), (0, classes - 4), value=-1e6)
        mdlm.loss(logits, data, x, time).mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    some = lambda work: lambda: [work() for _ in range(5)]  # noqa: E731
    compared("moco, masked, training (ours with a running average)", some(full), some(step), args.turns, 5, "steps")


def flow(args: Any) -> None:
    """Compare uniform noise: samples in as many calls."""
    from flow_matching.path import MixtureDiscreteProbPath
    from flow_matching.path.scheduler import PolynomialConvexScheduler
    from flow_matching.solver import MixtureDiscreteEulerSolver
    from flow_matching.utils import ModelWrapper

    for calls in (10, 50):
        model = fitted("UniformDiffusion")

        class Probabilities(ModelWrapper):
            def forward(self, x: Tensor, t: Tensor, **extras: Any) -> Tensor:
                return self.model(x, 1 - t).float().softmax(-1)

        path = MixtureDiscreteProbPath(scheduler=PolynomialConvexScheduler(n=1.0))
        solver = MixtureDiscreteEulerSolver(Probabilities(model.objective_.network), path, vocabulary_size=4)

        def draw(solver: Any = solver, calls: int = calls) -> None:
            for _ in range(args.samples // 256):
                solver.sample(x_init=torch.randint(4, (256, LENGTH)), step_size=1 / calls)

        ours = lambda model=model, calls=calls: model.generate(args.samples, steps=calls, random_state=0)  # noqa: E731
        compared(f"flow_matching, uniform, {calls} calls", ours, draw, args.turns, args.samples, "sequences")


def gpro(args: Any) -> None:
    """Compare GPro at its default size with `MaskedDiffusion` at its own: sequences trained on and drawn."""
    if args.gpro is None:
        raise SystemExit("--only gpro: got no --gpro PATH; clone github.com/WangLabTHU/GPro and name the folder")
    sys.path.insert(0, args.gpro)
    from gpro.generator.diffusion.common import get_model

    model = get_model(4, (LENGTH,), 512, 16, 12, 1, 8, 25, 100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    data = torch.randint(4, (64, LENGTH), generator=torch.Generator().manual_seed(0))

    def step() -> None:
        loss = -model.log_prob(data).sum() / data.numel()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    full, _ = steps_of("MaskedDiffusion", "conv", 64, CPU)
    compared("GPro, training, 64 sequences a step", full, step, 2, 64, "sequences")
    model.eval()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        theirs = 16 / seconds(lambda: model.sample(16))
    print(f"GPro, drawing: {theirs:.3g} sequences/CPU-s")
    for cls, calls in (("MaskedDiffusion", 10), ("MaskedDiffusion", None), ("Autoregressive", None)):
        ours = fitted(cls)
        mine = 512 / seconds(lambda ours=ours, calls=calls: ours.generate(512, steps=calls))
        how = "by default" if calls is None else f"in {calls} calls"
        print(f"  {cls} {how}: {mine:.4g}, {mine / theirs:,.0f} times as many", flush=True)


def main() -> None:
    """Run the comparisons and print them."""
    parser = plain_parser(__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=["moco", "flow"])
    parser.add_argument("--gpro", metavar="PATH")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()
    begin()
    torch.set_num_threads(1)
    for name in args.only:
        {"moco": moco, "flow": flow, "gpro": gpro}[name](args)


if __name__ == "__main__":
    main()
