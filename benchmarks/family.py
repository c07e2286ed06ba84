"""E. coli promoters: every generator with its default settings, several seeds, one table.

Models are trained on the training split and selected on the validation split; the test split is evaluated once for
each.

    python benchmarks/family.py --seeds 3 --csv family.csv
    python benchmarks/family.py --models SCUD --no-test --set lr=3e-3 --set epochs=40  # to choose settings
    python benchmarks/family.py --models MaskedDiffusion --steps 25,50              # also with fewer steps

`MultinomialDiffusion` is trained if --models names it, with ``--set network=conv --set lr=2e-3 --set batch_size=128
--set epochs=20`` or on a GPU.
"""

from __future__ import annotations

from typing import Any

from common import (
    Rows,
    add_no_test,
    begin,
    held_out,
    load_promoters,
    make_models,
    model_parser,
    natural_halves,
    quality,
    reference_rows,
    show,
    timed_fit,
    timed_generate,
)


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = model_parser(__doc__, seeds=3)
    parser.add_argument("--samples", type=int, default=5000, help="0 for none")
    parser.add_argument("--steps", default="", help="steps of sampling beside the default, separated by commas")
    add_no_test(parser)
    args = parser.parse_args()
    begin()
    parts = {name: sequences[: args.limit] for name, sequences in load_promoters().items()}
    natural, other = natural_halves(parts, args.samples) if args.samples else ([], [])
    rows = Rows(args.csv)
    ceiling = 0.0
    if natural:
        references = reference_rows(parts["train"], natural, other)
        ceiling = references[0]["6-mer JS"]
        show(references)
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
            values = quality(samples, parts["train"], natural)
            values |= {"ratio": values["6-mer JS"] / ceiling, **speed}
            row |= {key if steps is None else f"{key}, {steps} steps": value for key, value in values.items()}
        rows.add(row)
    rows.show()


if __name__ == "__main__":
    main()
