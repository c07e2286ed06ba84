"""Real E. coli promoters: every generator with its default settings, several seeds, one table.

Trains on the train split, chooses on valid, looks at test once for each trained model.

    python benchmarks/family.py --seeds 3 --csv family.csv
    python benchmarks/family.py --models SCUD --no-test --set lr=3e-3 --set epochs=40  # while choosing settings
    python benchmarks/family.py --models MaskedDiffusion --steps 25,50              # fewer steps beside the default

Several processes may each run some of the models; `MultinomialDiffusion` takes part where --models names it, with
``--set network=conv --set lr=2e-3 --set batch_size=128 --set epochs=20`` or on a GPU.
"""

from __future__ import annotations

import argparse
from typing import Any

from common import (
    Rows,
    add_model_options,
    begin,
    held_out,
    load_promoters,
    make_models,
    natural_halves,
    quality,
    show,
    timed_fit,
    timed_generate,
)

from seqdiff.evaluation import PositionWeightMatrix


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser)
    parser.set_defaults(seeds=3)
    parser.add_argument("--samples", type=int, default=5000, help="0 for none")
    parser.add_argument("--steps", default="", help="steps to generate in beside the default, with commas between")
    parser.add_argument("--no-test", action="store_true", help="leave the test split alone, while choosing settings")
    args = parser.parse_args()
    begin()
    parts = {name: sequences[: args.limit] for name, sequences in load_promoters().items()}
    natural, other = natural_halves(sum(parts.values(), []), args.samples) if args.samples else ([], [])
    rows = Rows(args.csv)
    ceiling = 0.0
    if natural:
        n = len(natural)
        pwm = PositionWeightMatrix().fit(parts["train"]).generate(n, random_state=0)
        levels: list[dict[str, Any]] = [
            {"samples": f"natural, {n} others", **quality(other, natural, natural)},
            {"samples": "position weight matrix", **quality(pwm, parts["train"], natural)},
        ]
        ceiling = levels[0]["6-mer JS"]
        show(levels)
    every_steps = [None, *(int(steps) for steps in args.steps.split(",") if steps)]
    for name, seed, model in make_models(args):
        row: dict[str, Any] = {"model": name, "seed": seed, "bound": model.bound_}
        row |= timed_fit(model, parts["train"], validation=parts["valid"])
        if model.bound_ is not None:
            row["valid"], row["valid MC"] = held_out(model, parts["valid"], args.draws)
        if model.bound_ is not None and not args.no_test:
            row["test"], row["test MC"] = held_out(model, parts["test"], args.draws)
        for steps in every_steps if natural else []:
            samples, speed = timed_generate(model, len(natural), steps=steps, random_state=seed)
            figures = quality(samples, parts["train"], natural)
            figures |= {"ratio": figures["6-mer JS"] / ceiling, **speed}
            row |= {key if steps is None else f"{key}, {steps} steps": value for key, value in figures.items()}
        rows.add(row)
    rows.show()


if __name__ == "__main__":
    main()
