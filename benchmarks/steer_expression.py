"""E. coli promoters of a wanted strength: what a judge that never steered says of them.

One half of the train split teaches the generator (with its expression as a value), the classifiers of its noise and
the regressor behind `Reward`. The other half teaches the judge, another kind of model (a random forest on k-mers and
positions) beside a network. Samples are asked for the values of the test split's promoters; Spearman between asked and
predicted values, beside the same of the test split's own promoters, the ceiling.

    python benchmarks/steer_expression.py --csv expression.csv
    python benchmarks/steer_expression.py --limit 400 --samples 50 --set epochs=1      # that all works
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from common import Rows, add_model_options, begin, cpu_seconds, data_file, kept_model, make_models
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor

from seqdiff import SequenceRegressor
from seqdiff.data import DNA
from seqdiff.evaluation import copied_fraction, diversity
from seqdiff.guidance import FUDGE, ClassifierBased, ClassifierFree, Reward

LEVELS = 8  # of asked values, for the reward, which is one function for all samples


def features(sequences: list[str]) -> np.ndarray:
    """Return letters by position and counts of 4-mers, (n, 4 L + 256)."""
    tokens = DNA.encode(list(sequences))[0].astype(int)
    words = sum(tokens[:, i : tokens.shape[1] - 3 + i] * 4 ** (3 - i) for i in range(4))
    counts = np.stack([np.bincount(row, minlength=256) for row in words])
    return np.concatenate([np.eye(4)[tokens].reshape(len(tokens), -1), counts], 1)


class Near:
    """The reward of predictions near a value: minus the squared distance, in standard deviations of predictions."""

    def __init__(self, regressor: Any, aim: float, sequences: list[str]) -> None:
        self.regressor, self.aim = regressor, aim
        self.scale = float(regressor.predict(sequences[:1000]).std())

    def __call__(self, sequences: list[str]) -> np.ndarray:
        return -(((self.regressor.predict(sequences) - self.aim) / self.scale) ** 2)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser, ("MaskedDiffusion", "Autoregressive"))
    parser.add_argument("--samples", type=int, default=800)
    parser.add_argument("--keep", metavar="FOLDER", help="leave the generators there, or take them from there")
    args = parser.parse_args()
    begin()
    table = pd.read_csv(data_file("ecoli50_expr.csv"))
    if args.limit:
        table = table.groupby("split", group_keys=False).head(args.limit)
    train, valid, test = (table[table.split == part] for part in ("train", "valid", "test"))
    order = np.random.default_rng(0).permutation(len(train))
    mine, judges = (train.iloc[order[i::2]] for i in (0, 1))
    forest = ExtraTreesRegressor(300, min_samples_leaf=3, n_jobs=1, random_state=0)
    forest.fit(features(judges.seq.tolist()), judges.expr)
    network = SequenceRegressor().fit(judges.seq.tolist(), judges.expr.to_numpy())
    rng = np.random.default_rng(1)
    chosen = test.iloc[rng.permutation(len(test))[: args.samples]]
    asked = np.sort(chosen.expr.to_numpy())
    rows = Rows(args.csv)

    def judge(model: str, guide: str, samples: list[str], wanted: np.ndarray, **more: Any) -> None:
        rows.add(
            {
                "model": model,
                "guide": guide,
                "Spearman, forest": spearmanr(forest.predict(features(samples)), wanted).statistic,
                "Spearman, network": spearmanr(network.predict(samples), wanted).statistic,
                "diversity": diversity(samples),
                "copied": copied_fraction(samples, mine.seq.tolist()),
                **more,
            }
        )

    judge("test split", "", chosen.seq.tolist(), chosen.expr.to_numpy())
    for name, seed, model in make_models(args, alphabet="dna"):
        made = model
        model = kept_model(
            args.keep, f"{name}-{seed}", lambda made=made: made, mine.seq.tolist(), mine.expr.to_numpy(),
            validation=(valid.seq.tolist(), valid.expr.to_numpy()),
        )  # fmt: skip
        model.verbose = 0
        noisy = SequenceRegressor(noise_like=model).fit(mine.seq.tolist(), mine.expr.to_numpy())
        plain = SequenceRegressor().fit(mine.seq.tolist(), mine.expr.to_numpy())
        own = spearmanr(plain.predict(test.seq.tolist()), test.expr).statistic
        print(f"the steering regressor's own Spearman on the test split: {own:.3f}", flush=True)
        way = FUDGE if name == "Autoregressive" else ClassifierBased
        runs: list[tuple[str, dict[str, Any]]] = [("none, y alone", {"y": asked})]
        runs += [(f"ClassifierFree({g})", {"y": asked, "guidance": ClassifierFree(g)}) for g in (2.0, 4.0)]
        runs += [(f"{way.__name__}({g})", {"guidance": way(noisy, asked, g)}) for g in (1.0, 4.0, 16.0)]
        both = [ClassifierFree(2.0), way(noisy, asked, 4.0)]
        runs += [(f"ClassifierFree(2.0) and {way.__name__}(4.0)", {"y": asked, "guidance": both})]
        for guide, options in runs:
            start = cpu_seconds()
            samples = model.generate(len(asked), random_state=seed, **options)
            judge(f"{name}, seed {seed}", guide, samples, asked, **{"CPU-s": cpu_seconds() - start})
        start, samples = cpu_seconds(), []
        for level, wanted in enumerate(np.array_split(asked, LEVELS)):
            near = Reward(Near(plain, float(wanted.mean()), mine.seq.tolist()), 2.0, particles=8)
            samples += model.generate(len(wanted), guidance=near, random_state=1000 * seed + level)
        judge(f"{name}, seed {seed}", "Reward(2.0)", samples, asked, **{"CPU-s": cpu_seconds() - start})
    rows.show()


if __name__ == "__main__":
    main()
