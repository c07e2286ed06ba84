"""The mutual-information schedule: seconds to fit it, and how far M(Lambda(t)) is from 1 - t.

M is evaluated anew at 1,000 random times in [1e-6, 0.999], half of them uniform and half log-uniform: classical by
scipy's matrix exponential at each time, SCUD by multiplying K with itself event after event and summing over the
Poisson law. Letters have random frequencies.

    python benchmarks/information.py [--times 1000] [--threads 1]
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch
from common import cpu_seconds, machine
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
    """Return M at each Lambda, one matrix exponential each."""
    return np.array([information(p0, expm(total * rates)[: len(p0)]) for total in totals])


def kept_scud(p0: np.ndarray, one: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return M at each Lambda, one product for each number of events."""
    n = np.arange(int(totals.max() + 12 * math.sqrt(totals.max()) + 60))
    kept, power = [], np.eye(len(one))
    for _ in n:
        kept.append(information(p0, power))
        power = power @ one
    return np.array([poisson.pmf(n, total) @ np.array(kept) for total in totals])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(machine())
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
            schedule, law, start = MutualInformation(), torch.from_numpy(p0), cpu_seconds()
            if gamma is None:
                schedule.fit_classical(forward, law)
            else:
                powers = make_powers(forward, gamma)
                schedule.fit_scud(powers, law)
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
