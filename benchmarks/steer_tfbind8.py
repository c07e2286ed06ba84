"""Better binders than those learned from: 8-mers steered towards higher measured scores (TF Bind 8).

A generator learns from the top tenth of all 8-mers for one factor, an 8-mer and its reverse complement kept together,
with the scores as values; it and its guides never see the others. Each guide writes 8-mers, and what was measured says
how good they are: the mean score, and the share of the top 1% of all 8-mers (strands collapsed) that were found. At
the strengths of a guide diversity falls: the plain model is shown beside the same number of samples of the training
set, and at lower temperatures, which is what steering has to beat at equal diversity.

    python benchmarks/steer_tfbind8.py --factor SIX6_REF_R1 --csv tfbind8.csv
    python benchmarks/steer_tfbind8.py --set epochs=1 --samples 100           # that all works
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from common import Rows, add_model_options, begin, cpu_seconds, data_file, make_models, timed_fit

from seqdiff import SequenceRegressor
from seqdiff.data import DNA
from seqdiff.evaluation import diversity
from seqdiff.guidance import FUDGE, ClassifierBased, ClassifierFree, Reward

GAMMAS = (1.0, 2.0, 4.0, 8.0)


def both_strands(sequences: list[str]) -> list[str]:
    """Return each 8-mer as the smaller one of it and its reverse complement."""
    return [min(pair) for pair in zip(sequences, DNA.reverse_complement(sequences), strict=True)]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser, ("Autoregressive", "MaskedDiffusion", "UniformDiffusion"))
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
        print(f"{name}, seed {seed}: {fitted}; asked for {high:.3f}", flush=True)
        regressor = SequenceRegressor(noise_like=model).fit(parts["train"], values["train"])
        plain = SequenceRegressor().fit(parts["train"], values["train"])
        runs: list[tuple[str, dict[str, Any]]] = [
            (f"none, temperature {t}", {"temperature": t}) for t in (1.0, 0.7, 0.5)
        ]
        runs += [(f"ClassifierFree({g})", {"y": high, "guidance": ClassifierFree(g)}) for g in GAMMAS]
        way = FUDGE if name == "Autoregressive" else ClassifierBased
        runs += [(f"{way.__name__}({g})", {"guidance": way(regressor, high, g)}) for g in GAMMAS]
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
