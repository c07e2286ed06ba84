"""Numerics of Dirichlet flow matching, without training: accuracy of the field, of the samples, speed of the table.

    python benchmarks/dirichlet.py                        # all parts; the first needs mpmath
    python benchmarks/dirichlet.py --parts samples,speed

field:   C(x, t) against its definition, -d/da I_x(a, K-1) B(a, K-1) / ((1-x)^(K-1) x^t) at a = t + 1, with 60 digits;
         and the table in float32 against the formula in float64.
samples: KL(decoded letters || p), in nats, of independent letters with the exact posterior, 300,000 draws each.
speed:   C on 64 x 500 x 4 points of the simplex, from a table and from scipy.special as in the reference code (central
         differences of `betainc`); the two are measured in turns.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from common import begin, plain_parser, show
from scipy import special

from seqdiff.processes.dirichlet import DirichletFlow, LinearFlow, SimplexFlow, euler, heun
from seqdiff.processes.noise.simplex_field import field, field_tables, look_up
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory

TIMES = (0.0, 0.5, 2.0, 6.9, 20.0)
PLACES = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99, 1 - 1e-3, 1 - 1e-4, 1 - 1e-6)
FOUR = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
TWENTY = torch.arange(20, 0, -1, dtype=torch.float64) / 210


def by_definition(x: float, t: float, letters: int):
    """Return C(x, t) as an mpmath number."""
    import mpmath as mp

    with mp.workdps(60):
        x, a, b = mp.mpf(x), mp.mpf(t) + 1, letters - 1
        if x < 0.5:
            change = -mp.diff(lambda a: mp.betainc(a, b, 0, x, regularized=True), a)
        else:  # 1 - I_x(a, b) = I_{1-x}(b, a) keeps small values accurate
            change = mp.diff(lambda a: mp.betainc(b, a, 0, 1 - x, regularized=True), a)
        return change * mp.beta(a, b) / ((1 - x) ** b * x ** (a - 1))


def accuracy() -> None:
    """Print the largest relative error of the field and the largest absolute error of its table."""
    fine = torch.cat([torch.logspace(-6, 0, 20_000), 1 - torch.logspace(-6, 0, 20_000)]).clamp(1e-6, 1 - 1e-6)
    rows = []
    for letters in (2, 4, 20, 64):
        times = torch.tensor(TIMES, dtype=torch.float64)
        found = field(torch.tensor(PLACES, dtype=torch.float64), times[:, None], letters)
        exact = [[by_definition(x, t, letters) for x in PLACES] for t in TIMES]
        error = max(
            abs(float(value / right - 1))
            for row, rights in zip(found.tolist(), exact, strict=True)
            for value, right in zip(row, rights, strict=True)
        )
        ends = field(torch.tensor([0.0, 1.0], dtype=torch.float64), times[:, None], letters).numpy()
        h = special.digamma(np.array(TIMES) + letters) - special.digamma(np.array(TIMES) + 1)
        tables = field_tables(times, letters).float()
        off = max(
            float((look_up(fine, table) - field(fine, t, letters)).abs().max())
            for t, table in zip(times, tables, strict=True)
        )
        rows.append(
            {
                "K": letters,
                "relative error": f"{error:.1e}",
                "C(0)": float(np.abs(ends[:, 0]).max()),
                "C(1), relative error": f"{np.abs(ends[:, 1] * (letters - 1) / h - 1).max():.1e}",
                "table, float32, absolute": f"{off:.1e}",
            }
        )
    show(rows)


def divergence(process: SimplexFlow, p: torch.Tensor, calls: int, draws: int) -> float:
    """Return KL(decoded letters || p) in nats with the exact posterior as the network."""

    def exact(x, t, cond=None, mask=None):  # context logits; the process adds the evidence of x
        return p.log().float().expand(x.shape)

    mask = torch.ones(draws // 100, 100, dtype=torch.bool)
    with torch.no_grad():
        for state in trajectory(process, exact, mask, chunk_generators(len(mask), "cpu", 0), steps=calls):
            last = state
    q = torch.bincount(process.decode(last).flatten(), minlength=len(p)).double() / mask.numel()
    return float(torch.xlogy(q, q / p).sum())


def sample_accuracy(draws: int) -> None:
    """Print the divergence of independent letters at several numbers of calls."""
    rows = []
    for p in (FOUR, TWENTY):
        for name, make in (
            ("Dirichlet, Euler", lambda k: DirichletFlow(k, solver=euler)),
            ("Dirichlet, Heun", lambda k: DirichletFlow(k, solver=heun)),
            ("linear, Euler", lambda k: LinearFlow(k, solver=euler)),
        ):
            row = {"K": len(p), "path and solver": name}
            rows.append(row | {f"{n} calls": divergence(make(len(p)), p, n, draws) for n in (5, 10, 20, 50)})
    show([{k: f"{v:.5f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows])
    print(f"the noise of {draws:,} draws alone: {3 / 2 / draws:.6f} for K = 4, {19 / 2 / draws:.6f} for K = 20")


def by_scipy(x: np.ndarray, t: float, letters: int, d: float = 1e-3) -> np.ndarray:
    """Return C(x, t) by central differences of the incomplete beta function."""
    a, b = t + 1, letters - 1
    change = (special.betainc(a - d, b, x) - special.betainc(a + d, b, x)) / (2 * d)
    return change * special.beta(a, b) / ((1 - x) ** b * x**t)


def speed(turns: int = 30) -> None:
    """Print CPU-seconds of a look-up and of scipy, measured in turns."""
    shape = (64, 500, 4)
    x = torch.distributions.Dirichlet(torch.ones(4)).sample(shape[:2])
    rows = []
    for t in (0.5, 3.5, 6.5):
        start = time.process_time()
        table = field_tables(torch.tensor([t], dtype=torch.float64), 4).float()[0]
        making = time.process_time() - start
        plain, fast, slow = x.double().numpy(), [], []
        for _ in range(turns):
            start = time.process_time()
            for _ in range(20):
                looked = look_up(x, table)
            fast.append((time.process_time() - start) / 20)
            start = time.process_time()
            computed = by_scipy(plain, t, 4)
            slow.append(time.process_time() - start)
        rows.append(
            {
                "t": t,
                "look-up, CPU-ms": f"{1000 * np.median(fast):.3f}",
                "scipy, CPU-ms": f"{1000 * np.median(slow):.1f}",
                "times": f"{np.median(slow) / np.median(fast):.0f}",
                "table, once, CPU-ms": f"{1000 * making:.1f}",
                "largest difference": f"{np.abs(looked.double().numpy() - computed).max():.1e}",
            }
        )
    show(rows)


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = plain_parser(__doc__)
    parser.add_argument("--parts", default="field,samples,speed", help="names, separated by commas")
    parser.add_argument("--draws", type=int, default=300_000)
    args = parser.parse_args()
    begin()
    for part in args.parts.split(","):
        print(f"\n{part}", flush=True)
        {"field": accuracy, "samples": lambda: sample_accuracy(args.draws), "speed": speed}[part]()


if __name__ == "__main__":
    main()
