"""Real E. coli promoters: `DirichletFM` at several numbers of calls, and its distilled student at one.

6-mer divergence of samples to natural sequences, over that of as many other natural ones, and the share copied.

    python benchmarks/dirichlet_promoters.py
    python benchmarks/dirichlet_promoters.py --set t_max=10.0 --set width=96 --seeds 3
    python benchmarks/dirichlet_promoters.py --limit 300 --samples 100 --pairs 200 --set epochs=1   # that all works
"""

from __future__ import annotations

import argparse
from typing import Any

from common import (
    Rows,
    add_model_options,
    begin,
    cpu_seconds,
    load_promoters,
    make_models,
    natural_halves,
    quality,
    timed_fit,
    timed_generate,
)

from seqdiff.evaluation import PositionWeightMatrix


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser, ("DirichletFM",))
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--calls", default="10,20,50,100", help="of the network per sample, with commas between")
    parser.add_argument("--pairs", type=int, default=20_000, help="to distill from, 0 for no student")
    parser.add_argument("--student-epochs", type=int, help="None: as many as make about 3,000 batches")
    parser.add_argument("--save", metavar="FOLDER", help="write the models there")
    args = parser.parse_args()
    begin()
    parts = {name: sequences[: args.limit] for name, sequences in load_promoters().items()}
    natural, other = natural_halves(sum(parts.values(), []), args.samples)
    n, rows = len(natural), Rows(args.csv)
    ceiling = quality(other, natural, natural)["6-mer JS"]

    def judge(what: str, samples: list[str], **more: Any) -> None:
        figures = quality(samples, parts["train"], natural)
        rows.add({"samples": what, **figures, "ratio": figures["6-mer JS"] / ceiling, **more})

    judge(f"natural, {n} others", other)
    judge("position weight matrix", PositionWeightMatrix().fit(parts["train"]).generate(n, random_state=0))
    for name, seed, model in make_models(args):
        fitted = timed_fit(model, parts["train"], validation=parts["valid"])
        fitted["cross-entropy"] = min(model.evaluations_["bits_per_letter"])
        print(f"{name}, seed {seed}: {fitted}", flush=True)
        if args.save:
            model.save(f"{args.save}/{name}-{seed}.safetensors")
        for calls in map(int, args.calls.split(",")):
            samples, rate = timed_generate(model, n, steps=calls, random_state=seed)
            judge(f"{name}, seed {seed}, {calls} calls", samples, **rate)
        if not args.pairs:
            continue
        start = cpu_seconds()
        student = model.distill(args.pairs, natural=natural, epochs=args.student_epochs)
        print(f"student: {cpu_seconds() - start:.0f} CPU-s, {student.quality_}", flush=True)
        if args.save:
            student.save(f"{args.save}/student-{seed}.safetensors")
        samples, rate = timed_generate(student, n, random_state=seed)
        judge(f"its student, seed {seed}, 1 call", samples, **rate)
    rows.show()


if __name__ == "__main__":
    main()
