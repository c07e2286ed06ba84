"""Guided 8-mers: higher measured binding scores than those of the training set (TF Bind 8).

A generator is trained on the top tenth of all 8-mers for one factor, with the scores as values; an 8-mer and its
reverse complement stay together. Neither the generator nor its guides are trained on the others. The metrics of the
generated 8-mers are their measured mean score and the share of the top 1% of all 8-mers (strands collapsed) that are
found. Strong guidance reduces diversity. For a comparison at equal diversity, the table also has as many samples of
the training set and of the unguided model at lower temperatures.

    python benchmarks/steer_tfbind8.py --factor SIX6_REF_R1 --csv tfbind8.csv
    python benchmarks/steer_tfbind8.py --set epochs=1 --samples 100           # a quick check
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from common import Rows, begin, classifier_guide, cpu_seconds, data_file, make_models, model_parser, timed_fit

from seqdiff import SequenceRegressor
from seqdiff.data import DNA
from seqdiff.evaluation import diversity
from seqdiff.guidance import ClassifierFree, Reward

GAMMAS = (1.0, 2.0, 4.0, 8.0)


def both_strands(sequences: list[str]) -> list[str]:
    """Return the smaller one of each 8-mer and its reverse complement."""
    return [min(pair) for pair in zip(sequences, DNA.reverse_complement(sequences), strict=True)]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__, ("Autoregressive", "MaskedDiffusion", "UniformDiffusion"))
    parser.add_argument("--factor", default="SIX6_REF_R1")
    parser.add_argument("--samples", type=int, default=1000)
    args = parser.parse_args()
    begin()
    table = pd.read_csv(data_file("tfbind8.csv"))
    measured = dict(zip(table.seq, table[args.factor], strict=True))
    strands = table.assign(strand=both_strands(table.seq.tolist())).groupby("strand")[args.factor].mean()
    best = set(strands.sort_values(ascending=False).index[: len(strands) // 100])
    top = strands.sort_values(ascending=False).index[: len(strands) // 10]
    rng = np.random.default_rng(0)
    held = set(rng.permutation(top)[: len(top) // 10])
    parts: dict[str, list[str]] = {"train": [], "valid": []}
    for strand in top:
        pair = sorted({strand, DNA.reverse_complement([strand])[0]})
        parts["valid" if strand in held else "train"] += pair
    values = {part: np.array([measured[s] for s in sequences]) for part, sequences in parts.items()}
    rows = Rows(args.csv)

    def judge(model: str, guide: str, samples: list[str], **more: Any) -> None:
        found = set(both_strands(samples))
        rows.add(
            {
                "model": model,
                "guide": guide,
                "score": float(np.mean([measured[s] for s in samples])),
                "top 1% found": len(found & best) / len(best),
                "diversity": diversity(samples),
                "distinct": len(found) / len(samples),
                **more,
            }
        )

    n = args.samples
    high = float(np.quantile(values["train"], 0.99))
    judge("training set", f"random {n}", list(rng.choice(parts["train"], n)))
    judge("training set", f"best {n}", sorted(parts["train"], key=lambda s: -measured[s])[:n])
    for name, seed, model in make_models(args, alphabet="dna"):
        fitted = timed_fit(model, parts["train"], values["train"], validation=(parts["valid"], values["valid"]))
        print(f"{name}, seed {seed}: {fitted}; requested {high:.3f}", flush=True)
        regressor = SequenceRegressor(noise_like=model).fit(parts["train"], values["train"])
        plain = SequenceRegressor().fit(parts["train"], values["train"])
        runs: list[tuple[str, dict[str, Any]]] = [
            (f"none, temperature {t}", {"temperature": t}) for t in (1.0, 0.7, 0.5)
        ]
        runs += [(f"ClassifierFree({g})", {"y": high, "guidance": ClassifierFree(g)}) for g in GAMMAS]
        based = classifier_guide(name)
        runs += [(f"{based.__name__}({g})", {"guidance": based(regressor, high, g)}) for g in GAMMAS]
        runs += [
            (f"Reward({b}), {method}", {"guidance": Reward(plain.predict, b, method=method)})
            for method in ("feynman-kac", "svdd")
            for b in (10.0, 30.0, 100.0)
        ]
        for guide, options in runs:
            start = cpu_seconds()
            samples = model.generate(n, random_state=seed, **options)
            judge(f"{name}, seed {seed}", guide, samples, **{"CPU-s": cpu_seconds() - start})
    rows.show()


if __name__ == "__main__":
    main()
