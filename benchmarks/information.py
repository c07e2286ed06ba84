"""Mutual-information schedule: CPU-seconds of the fit, and the distance of M(Lambda(t)) from 1 - t.

M is evaluated independently at 1,000 random times in [1e-6, 0.999], half of them uniform and half log-uniform:
classical by scipy's matrix exponential at each time, SCUD by powers of K, one per event, and a sum over the Poisson
distribution. Letters have random frequencies.

    python benchmarks/information.py [--times 1000] [--threads 1]
"""

from __future__ import annotations

import math

import numpy as np
import torch
from common import begin, cpu_seconds, plain_parser
from scipy.linalg import expm
from scipy.special import xlogy
from scipy.stats import poisson

from seqdiff.processes.noise.events import make_powers
from seqdiff.processes.noise.rate_matrices import Forward, make_forward
from seqdiff.processes.noise.schedules import MutualInformation

PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
CASES: dict[str, Forward] = {
    "uniform": make_forward("uniform", "ACGT"),
    "absorbing": make_forward("absorbing", "ACGT"),
    "blosum62": make_forward("blosum62", PROTEIN),
    "not reversible": make_forward([[-1, 1, 0], [0, -2, 2], [0.5, 0, -0.5]], "ABC"),
    "gaussian": make_forward("gaussian", [str(i) for i in range(256)]),
}


def information(p0: np.ndarray, transition: np.ndarray) -> float:
    """Return I(x0; x)/H(x0)."""
    joint = p0[:, None] * transition
    apart = p0[:, None] * joint.sum(0)
    return float((xlogy(joint, joint) - xlogy(joint, apart)).sum() / -xlogy(p0, p0).sum())


def kept_classical(p0: np.ndarray, rates: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return M at each Lambda, from one matrix exponential each."""
    return np.array([information(p0, expm(total * rates)[: len(p0)]) for total in totals])


def kept_scud(p0: np.ndarray, one: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return M at each Lambda, from one product for each number of events."""
    n = np.arange(int(totals.max() + 12 * math.sqrt(totals.max()) + 60))
    kept, power = [], np.eye(len(one))
    for _ in n:
        kept.append(information(p0, power))
        power = power @ one
    return np.array([poisson.pmf(n, total) @ np.array(kept) for total in totals])


def main() -> None:
    """Print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    begin()
    print("| process | rates | letters | CPU-s to fit | largest error of M | nodes |\n|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for name, forward in CASES.items():
        p0 = rng.dirichlet(np.ones(forward.letters)) + 1e-4
        p0 /= p0.sum()
        late = rng.uniform(1e-6, 0.999, args.times // 2)
        early = np.exp(rng.uniform(math.log(1e-6), math.log(0.999), args.times - len(late)))
        t = np.concatenate([late, early])
        for gamma in (None, 0.0, 0.5):
            if gamma is not None and forward.states != forward.letters:
                continue
            schedule, frequencies, start = MutualInformation(), torch.from_numpy(p0), cpu_seconds()
            if gamma is None:
                schedule.fit_classical(forward, frequencies)
            else:
                powers = make_powers(forward, gamma)
                schedule.fit_scud(powers, frequencies)
            seconds = cpu_seconds() - start
            totals = schedule.total(torch.from_numpy(t)).numpy()
            if gamma is None:
                kept = kept_classical(p0, forward.rates.numpy(), totals)
            else:
                kept = kept_scud(p0, powers.one.numpy(), totals)
            process = "classical" if gamma is None else f"SCUD, gamma {gamma:g}"
            error, nodes = np.abs(kept - (1 - t)).max(), schedule.table.shape[1]
            print(f"| {process} | {name} | {forward.letters} | {seconds:.2f} | {error:.1e} | {nodes} |", flush=True)


if __name__ == "__main__":
    main()
