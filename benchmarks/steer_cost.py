"""Cost of each guide: the time of a sample with the guide over that without, measured in turns within one run.

Generators and classifiers are trained for one epoch, because the cost does not depend on their training. A turn
generates the same number of simulated promoters without and with each guide, so other work on the machine slows all of
them. The result is the median of the ratios. Times are CPU-seconds, on a GPU wall time, synchronised.

    python benchmarks/steer_cost.py --csv cost.csv
    python benchmarks/steer_cost.py --models MaskedDiffusion --samples 16 --turns 1     # a quick check
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from common import Rows, begin, cpu_seconds, make_models, model_parser

from seqdiff import SequenceClassifier, runtime
from seqdiff.datasets import load_sigma70
from seqdiff.guidance import FUDGE, NOS, PPLM, ClassifierBased, ClassifierFree, LatentClassifier, LookAhead, Reward

MODELS = ("MaskedDiffusion", "UniformDiffusion", "SCUD", "Autoregressive", "DirichletFM", "EmbeddingDiffusion")
LETTERS = ("MaskedDiffusion", "UniformDiffusion", "SCUD")  # their states are letters, as exact guidance and NOS require
TEMPLATE = "N" * 20 + "TATAAT" + "N" * 24


def count_a(sequences: list[str]) -> list[int]:
    """Return a reward of negligible cost."""
    return [s.count("A") for s in sequences]


def guides(name: str, classifier: Any, hidden: Any) -> dict[str, dict[str, Any]]:
    """Return the arguments of `generate` for each row of the table."""
    found: dict[str, dict[str, Any]] = {"ClassifierFree(2)": {"y": "box", "guidance": ClassifierFree(2.0)}}
    if name == "Autoregressive":
        found["FUDGE(2)"] = {"guidance": FUDGE(classifier, "box", 2.0)}
        found["PPLM(2)"] = {"guidance": PPLM(hidden, "box", 2.0)}
        found["LookAhead, 8 particles"] = {"guidance": LookAhead(8), "template": TEMPLATE}
    else:
        found["ClassifierBased(2)"] = {"guidance": ClassifierBased(classifier, "box", 2.0)}
    if name in LETTERS:
        found["ClassifierBased(2), exact"] = {"guidance": ClassifierBased(classifier, "box", 2.0, exact=True)}
        found["NOS(2)"] = {"guidance": NOS(hidden, "box", 2.0)}
    if name == "EmbeddingDiffusion":
        found["LatentClassifier(2)"] = {"guidance": LatentClassifier(classifier, "box", 2.0)}
    found["Reward, 8 particles"] = {"guidance": Reward(count_a, particles=8)}
    found["Reward, 8 particles, SVDD"] = {"guidance": Reward(count_a, particles=8, method="svdd")}
    return found | {"forbid GGTCTC": {"forbid": "GGTCTC"}, "template": {"template": TEMPLATE}}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__, MODELS)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()
    begin()
    X = load_sigma70(2000)
    y = ["box" if "TATAAT" in x else "none" for x in X]
    rows = Rows(args.csv)
    for name, _, model in make_models(args, epochs=1):
        model.fit(X, y)
        device = next(model.objective_.parameters()).device
        clock = cpu_seconds if device.type == "cpu" else time.perf_counter
        classifier = SequenceClassifier(noise_like=model, epochs=1).fit(X, y)
        takes_hidden = name in (*LETTERS, "Autoregressive")
        hidden = SequenceClassifier(noise_like=model, hidden=True, epochs=1).fit(X, y) if takes_hidden else None
        settings = {"none": {}} | guides(name, classifier, hidden)
        turns = np.zeros((args.turns, len(settings)))
        for turn in range(-1, args.turns):  # the first turn is a warm-up
            for i, options in enumerate(settings.values()):
                runtime.synchronize(device)
                start = clock()
                model.generate(args.samples, random_state=turn + 1, **options)
                runtime.synchronize(device)
                if turn >= 0:
                    turns[turn, i] = (clock() - start) / args.samples
        for i, guide in enumerate(settings):
            ratios = turns[:, i] / turns[:, 0]
            rows.add(
                {
                    "model": name, "guide": guide, "ms a sequence": 1e3 * float(np.median(turns[:, i])),
                    "ratio": float(np.median(ratios)), "low": ratios.min(), "high": ratios.max(),
                }
            )  # fmt: skip
    rows.show()


if __name__ == "__main__":
    main()
