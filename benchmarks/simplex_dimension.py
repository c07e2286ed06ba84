"""The simplex-dimension experiment of Dirichlet flow matching (Stark et al. 2024, arXiv 2402.05841).

The data are four independent letters of an alphabet of K, each position with its own frequencies p. The metric is
KL(samples || p) over K, in nats per letter, minus that of as many true draws. Both paths are run with the exact
prediction of the network, which shows the error of the solver alone, and with a small trained network.

    python benchmarks/simplex_dimension.py --picture benchmarks/simplex_dimension.png
    python benchmarks/simplex_dimension.py --letters 4,40 --batches 50 --draws 2000      # a quick check
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from common import begin, cpu_seconds, plain_parser, show
from scipy.special import rel_entr

from seqdiff import Alphabet, DirichletFM
from seqdiff.processes.dirichlet import DirichletFlow, LinearFlow, SimplexFlow
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory

POSITIONS = 4
PATHS = {"dirichlet": DirichletFlow, "linear": LinearFlow}


def frequencies(letters: int) -> np.ndarray:
    """Return frequencies (4, K), uniform on the simplex."""
    return np.random.default_rng(letters).dirichlet(np.ones(letters), POSITIONS)


def divergence(tokens: np.ndarray, p: np.ndarray) -> float:
    """Return KL(frequencies of tokens (n, 4) || p) in nats per letter, minus its mean for true draws."""
    n, letters = len(tokens), p.shape[1]
    found = np.stack([np.bincount(column, minlength=letters) for column in tokens.T]) / n
    rng = np.random.default_rng(1)
    noise = np.mean([rel_entr(np.stack([rng.multinomial(n, row) for row in p]) / n, p).sum() for _ in range(5)])
    return float((rel_entr(found, p).sum() - noise) / POSITIONS)


def exact(process: SimplexFlow, p: np.ndarray, calls: int, n: int) -> np.ndarray:
    """Return samples (n, 4) of the flow with the exact prediction."""
    log_p = torch.from_numpy(p).log().float()
    mask = torch.ones(n, POSITIONS, dtype=torch.bool)
    known = lambda x, t, cond=None, mask=None: log_p.expand(len(x), -1, -1)  # noqa: E731
    for state in trajectory(process, known, mask, chunk_generators(n, "cpu", 0), steps=calls):
        last = state
    return process.decode(last).numpy()


def main() -> None:
    """Run the experiment, print its table and plot it."""
    parser = plain_parser(__doc__)
    parser.add_argument("--letters", default="4,10,20,40,80,160", help="values of K, separated by commas")
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--draws", type=int, default=50_000, help="number of samples and of training sequences")
    parser.add_argument("--batches", type=int, default=1500, help="training batches of 256; 0 for no training")
    parser.add_argument("--picture", metavar="FILE", help="a .png")
    args = parser.parse_args()
    begin()
    rows = []
    for letters in map(int, args.letters.split(",")):
        p = frequencies(letters)
        alphabet = Alphabet([chr(0x4E00 + i) for i in range(letters)], "experiment")
        rng = np.random.default_rng(0)
        tokens = np.stack([rng.choice(letters, args.draws, p=row) for row in p], 1)
        for path, process in PATHS.items():
            row = {"K": letters, "path": path}
            row["exact"] = divergence(exact(process(letters), p, args.calls, args.draws), p)
            if args.batches:
                start, batch = cpu_seconds(), 256
                epochs = max(1, round(args.batches * batch / args.draws))
                model = DirichletFM(
                    path=path, alphabet=alphabet, width=64, depth=2, epochs=epochs, batch_size=batch, lr=2e-3,
                    savepath=None, verbose=0,
                )  # fmt: skip
                model.fit(alphabet.decode(tokens), validation=None)
                samples = model.generate(args.draws, steps=args.calls, random_state=0)
                found = np.array([[ord(letter) - 0x4E00 for letter in s] for s in samples])
                row |= {"trained": divergence(found, p), "CPU-s": cpu_seconds() - start}
            rows.append(row)
            print(row, flush=True)
    show(rows)
    if args.picture:
        draw(rows, args)


def draw(rows: list[dict], args: argparse.Namespace) -> None:
    """Plot the table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), dpi=150, layout="constrained")
    ax = figure.subplots()
    for path, colour in zip(PATHS, ("C0", "C1"), strict=True):
        mine = [row for row in rows if row["path"] == path]
        for kind, style in (("trained", "o-"), ("exact", "x--")):
            if kind in mine[0]:
                values = [max(row[kind], 1e-5) for row in mine]
                ax.plot([row["K"] for row in mine], values, style, color=colour, label=f"{path}, {kind}")
    ax.set(xlabel="letters K", ylabel="KL divergence, nats per letter", yscale="log")
    ax.set_title(f"{args.calls} calls, {args.draws:,} samples", fontsize=9)
    ax.legend(fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(args.picture)


if __name__ == "__main__":
    main()
