"""E. coli promoters: `DirichletFM` with several numbers of network evaluations, and its distilled student with one.

6-mer divergence of samples from natural sequences, over that of as many other natural sequences, and the share copied.

    python benchmarks/dirichlet_promoters.py
    python benchmarks/dirichlet_promoters.py --set t_max=10.0 --set width=96 --seeds 3
    python benchmarks/dirichlet_promoters.py --limit 300 --samples 100 --pairs 200 --set epochs=1   # a quick check
"""

from __future__ import annotations

from typing import Any

from common import (
    Rows,
    begin,
    cpu_seconds,
    load_promoters,
    make_models,
    model_parser,
    natural_halves,
    quality,
    reference_rows,
    timed_fit,
    timed_generate,
)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__, ("DirichletFM",))
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--calls", default="10,20,50,100", help="network evaluations per sample, separated by commas")
    parser.add_argument("--pairs", type=int, default=20_000, help="to distill from; 0 for no student")
    parser.add_argument("--student-epochs", type=int, help="default: about 3,000 batches")
    parser.add_argument("--save", metavar="FOLDER", help="save the models there")
    args = parser.parse_args()
    begin()
    parts = {name: sequences[: args.limit] for name, sequences in load_promoters().items()}
    natural, other = natural_halves(parts, args.samples)
    n, rows = len(natural), Rows(args.csv)
    references = reference_rows(parts["train"], natural, other)

    def add(row: dict[str, Any]) -> None:
        rows.add(row | {"ratio": row["6-mer JS"] / references[0]["6-mer JS"]})

    for row in references:
        add(row)
    for name, seed, model in make_models(args):
        fitted = timed_fit(model, parts["train"], validation=parts["valid"])
        fitted["cross-entropy"] = min(model.evaluations_["bits_per_letter"])
        print(f"{name}, seed {seed}: {fitted}", flush=True)
        if args.save:
            model.save(f"{args.save}/{name}-{seed}.safetensors")
        for calls in map(int, args.calls.split(",")):
            samples, rate = timed_generate(model, n, steps=calls, random_state=seed)
            add({"samples": f"{name}, seed {seed}, {calls} calls", **quality(samples, parts["train"], natural), **rate})
        if not args.pairs:
            continue
        start = cpu_seconds()
        student = model.distill(args.pairs, natural=natural, epochs=args.student_epochs)
        print(f"student: {cpu_seconds() - start:.0f} CPU-s, {student.quality_}", flush=True)
        if args.save:
            student.save(f"{args.save}/student-{seed}.safetensors")
        samples, rate = timed_generate(student, n, random_state=seed)
        add({"samples": f"its student, seed {seed}, 1 call", **quality(samples, parts["train"], natural), **rate})
    rows.show()


if __name__ == "__main__":
    main()
