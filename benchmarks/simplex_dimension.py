"""The simplex-dimension experiment of Dirichlet flow matching (Stark et al. 2024, arXiv 2402.05841).

Four independent letters of K, each with frequencies of its own; how far are samples from their law as K grows? For
both paths: with the exact prediction of the network, which shows what the solver alone loses, and with a small trained
network. KL(samples || law) in nats per letter, less what as many true draws would show.

    python benchmarks/simplex_dimension.py --picture benchmarks/simplex_dimension.png
    python benchmarks/simplex_dimension.py --letters 4,40 --batches 50 --draws 2000      # that all works
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from common import begin, cpu_seconds, show

from seqdiff import Alphabet, DirichletFM
from seqdiff.processes.dirichlet import DirichletFlow, LinearFlow, SimplexFlow
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory

POSITIONS = 4
PATHS = {"dirichlet": DirichletFlow, "linear": LinearFlow}


def law_of(letters: int) -> np.ndarray:
    """Return frequencies (4, K), uniform on the simplex."""
    return np.random.default_rng(letters).dirichlet(np.ones(letters), POSITIONS)


def divergence(tokens: np.ndarray, law: np.ndarray) -> float:
    """Return KL(frequencies of tokens (n, 4) || law) in nats per letter, less its mean for true draws."""
    n, letters = len(tokens), law.shape[1]
    total = 0.0
    for column, p in zip(tokens.T, law, strict=True):
        q = np.bincount(column, minlength=letters) / n
        seen = q > 0
        total += float((q[seen] * np.log(q[seen] / p[seen])).sum())
    true = np.random.default_rng(1)
    noise = np.mean(
        [
            sum(
                float((q[q > 0] * np.log(q[q > 0] / p[q > 0])).sum()) for p in law for q in [true.multinomial(n, p) / n]
            )
            for _ in range(5)
        ]
    )
    return (total - noise) / POSITIONS


def exact(process: SimplexFlow, law: np.ndarray, calls: int, n: int) -> np.ndarray:
    """Return tokens (n, 4) that the flow makes when the network knows the law."""
    log_p = torch.from_numpy(law).log().float()
    mask = torch.ones(n, POSITIONS, dtype=torch.bool)
    known = lambda x, t, cond=None, mask=None: log_p.expand(len(x), -1, -1)  # noqa: E731
    for state in trajectory(process, known, mask, chunk_generators(n, "cpu", 0), steps=calls):
        last = state
    return process.decode(last).numpy()


def main() -> None:
    """Run the experiment, print its table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--letters", default="4,10,20,40,80,160", help="K, with commas between")
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--draws", type=int, default=50_000, help="samples, and sequences to learn from")
    parser.add_argument("--batches", type=int, default=1500, help="of 256, to train with; 0 for none")
    parser.add_argument("--picture", metavar="FILE", help="a .png")
    args = parser.parse_args()
    begin()
    rows = []
    for letters in map(int, args.letters.split(",")):
        law = law_of(letters)
        alphabet = Alphabet([chr(0x4E00 + i) for i in range(letters)], "experiment")
        rng = np.random.default_rng(0)
        tokens = np.stack([rng.choice(letters, args.draws, p=p) for p in law], 1)
        for path, process in PATHS.items():
            row = {"K": letters, "path": path}
            row["exact"] = divergence(exact(process(letters), law, args.calls, args.draws), law)
            if args.batches:
                start, batch = cpu_seconds(), 256
                epochs = max(1, round(args.batches * batch / args.draws))
                model = DirichletFM(
                    path=path, alphabet=alphabet, width=64, depth=2, epochs=epochs, batch_size=batch, lr=2e-3,
                    savepath=None, verbose=0,
                )  # fmt: skip
                model.fit(alphabet.decode(tokens), validation=None)
                made = model.generate(args.draws, steps=args.calls, random_state=0)
                found = np.array([[ord(letter) - 0x4E00 for letter in s] for s in made])
                row |= {"trained": divergence(found, law), "CPU-s": cpu_seconds() - start}
            rows.append(row)
            print(row, flush=True)
    show(rows)
    if args.picture:
        draw(rows, args)


def draw(rows: list[dict], args: argparse.Namespace) -> None:
    """Draw the table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), dpi=150, layout="constrained")
    ax = figure.subplots()
    for path, colour in zip(PATHS, ("C0", "C1"), strict=True):
        mine = [row for row in rows if row["path"] == path]
        for kind, style in (("trained", "o-"), ("exact", "x--")):
            if kind in mine[0]:
                values = [max(row[kind], 1e-5) for row in mine]
                ax.plot([row["K"] for row in mine], values, style, color=colour, label=f"{path}, {kind}")
    ax.set(xlabel="letters K", ylabel="KL from the law, nats per letter", yscale="log")
    ax.set_title(f"{args.calls} calls, {args.draws:,} samples", fontsize=9)
    ax.legend(fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(args.picture)


if __name__ == "__main__":
    main()
