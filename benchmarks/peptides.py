"""SCUD, masked and classical diffusion of the same size on proteins: bits per letter on the test set, several seeds.

The data are peptides of 7 to 174 letters (amp_modlamp.csv; a tenth each for validation and test, no 20 letters in
common) or T-cell receptors (trb: OLGA's CDR3s, a tenth of the training file for validation, the test file for the
test). All models have the same network, budget and seeds; only the noise of SCUD and classical diffusion depends on
the similarity of amino acids.

    python benchmarks/peptides.py --seeds 3 --csv peptides.csv
    python benchmarks/peptides.py --data trb --seeds 3
    python benchmarks/peptides.py --models ClassicalDiffusion --set forward=uniform
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from common import (
    Rows,
    add_no_test,
    begin,
    bits,
    bits_error,
    data_file,
    held_out,
    make_models,
    model_parser,
    nats,
    quality,
    show,
    timed_fit,
    timed_generate,
)

from seqdiff.data import cluster_split, random_split
from seqdiff.evaluation import MarkovChain


def load(name: str, limit: int | None) -> dict[str, list[str]]:
    """Return train, valid and test sequences."""
    if name == "trb":
        train, test = (
            data_file(f"olga/trb_aa_{part}.txt").read_text().split()[:limit] for part in ("train", "test_iid")
        )
        kept, held = random_split(len(train), 0.1, 0)
        return {"train": [train[i] for i in kept], "valid": [train[i] for i in held], "test": test}
    sequences = pd.read_csv(data_file("amp_modlamp.csv")).seq.drop_duplicates().tolist()[:limit]
    split = cluster_split(sequences, alphabet="protein")
    return {
        part: [s for s, side in zip(sequences, split, strict=True) if side == part]
        for part in ("train", "valid", "test")
    }


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = model_parser(__doc__, ("SCUD", "MaskedDiffusion", "ClassicalDiffusion"), seeds=3)
    parser.add_argument("--data", choices=("peptides", "trb"), default="peptides")
    parser.add_argument("--samples", type=int, default=1000, help="0 for none")
    add_no_test(parser)
    args = parser.parse_args()
    begin()
    parts = load(args.data, args.limit)
    longest = max(map(len, parts["train"]))
    parts = {part: [s for s in sequences if len(s) <= longest] for part, sequences in parts.items()}
    print(", ".join(f"{part} {len(sequences):,}" for part, sequences in parts.items()))
    levels: list[dict[str, Any]] = []
    for order in (0, 1, 2):
        chain: Any = MarkovChain(order=order, alphabet="protein").fit(parts["train"])
        values = {part: bits(chain.score_samples(parts[part]), parts[part]) for part in ("valid", "test")}
        levels.append({"model": f"Markov order {order}", **values})
    show(levels)
    rows = Rows(args.csv)
    scores: dict[str, list[np.ndarray]] = {}
    for name, seed, model in make_models(args, alphabet="protein"):
        row: dict[str, Any] = {"model": name, "seed": seed, "bound": model.bound_}
        row |= timed_fit(model, parts["train"], validation=parts["valid"])
        row["valid"], row["valid MC"] = held_out(model, parts["valid"], args.draws)
        if not args.no_test:
            score, error = nats(model, parts["test"], draws=args.draws)
            row["test"], row["test MC"] = bits(score, parts["test"]), bits_error(error, sum(map(len, parts["test"])))
            scores.setdefault(name, []).append(score)
        if args.samples:
            n = min(args.samples, len(parts["train"]))
            samples, speed = timed_generate(model, n, random_state=seed)
            row |= quality(samples, parts["train"], parts["train"][:n], k=2) | speed
        rows.add(row)
    rows.show()
    if len(scores) > 1:
        paired(scores, parts["test"])


def paired(scores: dict[str, list[np.ndarray]], test: list[str]) -> None:
    """Print the mean and the standard deviation over seeds of each model, and its paired difference from the best."""
    from seqdiff.evaluation import compare_table

    means = {name: np.mean(values, axis=0) for name, values in scores.items()}
    best = max(means, key=lambda name: float(means[name].sum()))
    table = compare_table(means, test, best)
    table.insert(
        1,
        "spread",
        [np.std([bits(v, test) for v in scores[name]], ddof=min(1, len(scores[name]) - 1)) for name in means],
    )
    print(
        "\nbits per letter on test, mean over seeds; spread: standard deviation over seeds; above: paired with the best"
    )
    show(table.reset_index(names="model").to_dict("records"))


if __name__ == "__main__":
    main()
