"""E. coli promoters of a requested strength, evaluated by judges that do not steer.

The generator (conditioned on expression), the regressor of its noise and the regressor behind `Reward` are trained on
one half of the training split; the two judges (a random forest on k-mers and positions, and a network) on the other
half. Samples are generated for the values of test promoters. The metric is the Spearman correlation between requested
and predicted values; that of the test promoters themselves is the ceiling.

    python benchmarks/steer_expression.py --csv expression.csv
    python benchmarks/steer_expression.py --limit 400 --samples 50 --set epochs=1      # a quick check
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from common import (
    Rows,
    add_keep,
    begin,
    classifier_guide,
    cpu_seconds,
    data_file,
    kept_model,
    make_models,
    model_parser,
    split_parts,
)
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor

from seqdiff import SequenceRegressor
from seqdiff.data import DNA
from seqdiff.evaluation import copied_fraction, diversity
from seqdiff.guidance import ClassifierFree, Reward

LEVELS = 8  # groups of requested values for the reward, which is one function for all samples of a call


def features(sequences: list[str]) -> np.ndarray:
    """Return letters by position and counts of 4-mers, (n, 4 L + 256)."""
    tokens = DNA.encode(list(sequences))[0].astype(int)
    kmers = sum(tokens[:, i : tokens.shape[1] - 3 + i] * 4 ** (3 - i) for i in range(4))
    counts = np.stack([np.bincount(row, minlength=256) for row in kmers])
    return np.concatenate([np.eye(4)[tokens].reshape(len(tokens), -1), counts], 1)


class Near:
    """Reward of predictions near a value: minus the squared distance in standard deviations of the predictions."""

    def __init__(self, regressor: Any, aim: float, sequences: list[str]) -> None:
        self.regressor, self.aim = regressor, aim
        self.scale = float(regressor.predict(sequences[:1000]).std())

    def __call__(self, sequences: list[str]) -> np.ndarray:
        return -(((self.regressor.predict(sequences) - self.aim) / self.scale) ** 2)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__, ("MrequestedDiffusion", "Autoregressive"))
    parser.add_argument("--samples", type=int, default=800)
    add_keep(parser)
    args = parser.parse_args()
    begin()
    table = pd.read_csv(data_file("ecoli50_expr.csv"))
    if args.limit:
        table = table.groupby("split", group_keys=False).head(args.limit)
    train, valid, test = split_parts(table).values()
    order = np.random.default_rng(0).permutation(len(train))
    steering, judges = (train.iloc[order[i::2]] for i in (0, 1))
    X, y = steering.seq.tolist(), steering.expr.to_numpy()
    forest = ExtraTreesRegressor(300, min_samples_leaf=3, n_jobs=1, random_state=0)
    forest.fit(features(judges.seq.tolist()), judges.expr)
    network = SequenceRegressor().fit(judges.seq.tolist(), judges.expr.to_numpy())
    rng = np.random.default_rng(1)
    chosen = test.iloc[rng.permutation(len(test))[: args.samples]]
    requested = np.sort(chosen.expr.to_numpy())
    rows = Rows(args.csv)

    def judge(model: str, guide: str, samples: list[str], values: np.ndarray, **more: Any) -> None:
        rows.add(
            {
                "model": model,
                "guide": guide,
                "Spearman, forest": spearmanr(forest.predict(features(samples)), values).statistic,
                "Spearman, network": spearmanr(network.predict(samples), values).statistic,
                "diversity": diversity(samples),
                "copied": copied_fraction(samples, X),
                **more,
            }
        )

    judge("test split", "", chosen.seq.tolist(), chosen.expr.to_numpy())
    for name, seed, model in make_models(args, alphabet="dna"):
        validation = valid.seq.tolist(), valid.expr.to_numpy()
        model = kept_model(args.keep, f"{name}-{seed}", model, X, y, validation=validation)
        model.verbose = 0
        noisy = SequenceRegressor(noise_like=model).fit(X, y)
        plain = SequenceRegressor().fit(X, y)
        own = spearmanr(plain.predict(test.seq.tolist()), test.expr).statistic
        print(f"Spearman of the steering regressor on the test split: {own:.3f}", flush=True)
        based = classifier_guide(name)
        runs: list[tuple[str, dict[str, Any]]] = [("none, y alone", {"y": requested})]
        runs += [(f"ClassifierFree({g})", {"y": requested, "guidance": ClassifierFree(g)}) for g in (2.0, 4.0)]
        runs += [(f"{based.__name__}({g})", {"guidance": based(noisy, requested, g)}) for g in (1.0, 4.0, 16.0)]
        both = [ClassifierFree(2.0), based(noisy, requested, 4.0)]
        runs += [(f"ClassifierFree(2.0) and {based.__name__}(4.0)", {"y": requested, "guidance": both})]
        for guide, options in runs:
            start = cpu_seconds()
            samples = model.generate(len(requested), random_state=seed, **options)
            judge(f"{name}, seed {seed}", guide, samples, requested, **{"CPU-s": cpu_seconds() - start})
        start, samples = cpu_seconds(), []
        for level, values in enumerate(np.array_split(requested, LEVELS)):
            near = Reward(Near(plain, float(values.mean()), X), 2.0, particles=8)
            samples += model.generate(len(values), guidance=near, random_state=1000 * seed + level)
        judge(f"{name}, seed {seed}", "Reward(2.0)", samples, requested, **{"CPU-s": cpu_seconds() - start})
    rows.show()


if __name__ == "__main__":
    main()
