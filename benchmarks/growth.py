"""How cost grows: with the length of sequences, the letters of the alphabet and the number of sequences.

Each row is a process of its own: CPU-seconds from the data in memory to the first step, of a training step per letter,
of scoring and sampling per letter in ten calls, and the largest resident memory. The slope is that of the logarithm of
the cost over the logarithm of the size, fitted to all rows of a kind: 1 is proportional. (For the number of sequences
the cost is that of the set-up; a step costs the same.)

    python benchmarks/growth.py
    python benchmarks/growth.py --only length --models MaskedDiffusion
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import begin, found_by, plain_parser

LENGTHS = (50, 512, 4096, 32_768)
ALPHABETS = (4, 16, 64, 256)
COUNTS = (1000, 10_000, 100_000, 1_000_000)
LETTERS = 1 << 15
"""Of a batch: as many sequences as make so many, so that a step has the same work."""

RUN = """
import json, resource, time
import numpy as np
import torch
torch.set_num_threads(1)
import seqdiff, seqdiff.training.trainer as trainer
n, length, letters, rows, steps = {n}, {length}, {letters}, {rows}, {steps}
names = [chr(0x100 + i) for i in range(letters)] if letters > 4 else list("ACGT")
rng = np.random.default_rng(0)
whole = np.array(names)[rng.integers(0, letters, (n, length))]
X = [r.tobytes().decode("utf-32-le") for r in whole.astype("<U1")]
del whole
class Enough(KeyboardInterrupt): pass  # as Ctrl-C, which keeps what was learned
step, seen = trainer.Trainer._step, []
def counted(self, *rest):
    seen.append(time.process_time())
    if self.step == 2 + steps: raise Enough
    return step(self, *rest)
trainer.Trainer._step = counted
model = seqdiff.{model}(
    alphabet="".join(names), batch_size=rows, savepath=None, verbose=0, precision="float32",
    network_options=dict(positions=False),
)
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time()
try: model.fit(X, validation=X[:2])
except Enough: pass
found = dict(setup=seen[0] - start, step=(seen[-1] - seen[2]) / steps / (rows * length))
found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
found["before"] = before
m = model.model_
for name, work in dict(
    score=lambda: model.score_samples(X[:rows], times=4), generate=lambda: model.generate(rows, steps=10)
).items():
    work()
    start = time.process_time()
    work()
    found[name] = (time.process_time() - start) / (rows * length)
print(json.dumps(found))
"""


def run(**settings: Any) -> dict[str, float]:
    """Run one setting in a process of its own."""
    return found_by(RUN.format(**settings))


def slope(sizes: list[int], costs: list[float]) -> float:
    """Return the exponent of the cost as a power of the size."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = plain_parser(__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=["length", "alphabet", "data"])
    parser.add_argument("--models", type=lambda text: text.split(","), default=["MaskedDiffusion", "Autoregressive"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--largest", type=int, default=max(*LENGTHS, *COUNTS), help="leave larger sizes out")
    args = parser.parse_args()
    begin()
    kinds = {"length": LENGTHS, "alphabet": ALPHABETS, "data": COUNTS}
    for model in args.models:
        for kind in args.only:
            sizes = [size for size in kinds[kind] if size <= args.largest]
            rows = []
            for size in sizes:
                length = size if kind == "length" else 50
                together = max(1, LETTERS // length) if kind == "length" else 128
                n = size if kind == "data" else max(200, together)
                letters = size if kind == "alphabet" else 4
                rows.append(run(n=n, length=length, letters=letters, rows=together, steps=args.steps, model=model))
                shown = {name: f"{value:.3g}" for name, value in rows[-1].items()}
                print(f"{model}, {kind} {size:,}: {shown}", flush=True)
            if kind == "data":
                per = slope(sizes, [row["setup"] for row in rows])
                print(f"{model}, {kind}: set-up grows with the power {per:.2f} of the number of sequences")
            else:
                powers = {c: slope(sizes, [row[c] for row in rows]) for c in ("step", "score", "generate")}
                each = 1 if kind == "length" else 0  # costs are per letter: of a sequence they grow with one power more
                text = ", ".join(f"{name} {each + power:.2f}" for name, power in powers.items())
                print(f"{model}, {kind}: powers of a sequence's cost: {text}")


if __name__ == "__main__":
    main()
