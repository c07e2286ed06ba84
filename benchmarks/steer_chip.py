"""Guided ChIP peaks of CTCF and PU.1: motif rates on and off the class, and diversity, over the strength of guidance.

The peaks, the split and the rates are those of chip_motifs.py. Classifier-free guidance uses the labels of the
generator; classifier-based guidance (FUDGE for `Autoregressive`) uses a classifier of its noise and the unconditional
generator.

    python benchmarks/steer_chip.py --models MaskedDiffusion --keep models --csv chip.csv --picture steer_chip.png
    python benchmarks/steer_chip.py --limit 300 --samples 50 --set epochs=1          # a quick check
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from chip_motifs import MATRICES, load_peaks
from common import (
    Rows,
    add_keep,
    begin,
    classifier_guide,
    cpu_seconds,
    kept_model,
    make_models,
    model_parser,
    split_parts,
    strengths,
)

from seqdiff import SequenceClassifier
from seqdiff.evaluation import copied_fraction, diversity
from seqdiff.guidance import ClassifierFree


def main() -> None:
    """Run the benchmark, print its table and plot it."""
    parser = model_parser(__doc__, ("MaskedDiffusion", "Autoregressive"))
    parser.add_argument("--samples", type=int, default=1000, help="of each class")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--free", type=strengths, default="1,1.5,2,3,5", help="strengths of classifier-free guidance")
    parser.add_argument("--based", type=strengths, default="0,1,2,4,8", help="strengths of classifier-based guidance")
    add_keep(parser)
    parser.add_argument("--picture", metavar="FILE", help="a .png")
    args = parser.parse_args()
    begin()
    table, motifs = load_peaks(args.limit)
    train, valid, test = split_parts(table).values()
    X, y = train.seq.tolist(), train.label.to_numpy()
    rows = Rows(args.csv)

    def judge(model: str, guide: str, gamma: float, made: dict[str, list[str]], **more: Any) -> None:
        for label, samples in made.items():
            rates = motifs.rates(samples)
            other = next(k for k in MATRICES if k != label)
            rows.add(
                {
                    "model": model, "guide": guide, "gamma": gamma, "class": label,
                    "on": rates[f"{label} motif"], "off": rates[f"{other} motif"],
                    "diversity": diversity(samples), "copied": copied_fraction(samples, X), **more,
                }
            )  # fmt: skip

    judge("test peaks", "", 0.0, {label: test.seq[test.label == label].tolist() for label in MATRICES})
    for name, seed, model in make_models(args, alphabet="dna"):
        validation = valid.seq.tolist(), valid.label.to_numpy()
        model = kept_model(args.keep, f"chip-{name}-{seed}", model, X, y, validation=validation)
        model.verbose = 0
        start = cpu_seconds()
        classifier = SequenceClassifier(noise_like=model, epochs=None if not args.limit else 1).fit(X, y)
        right = (classifier.predict(test.seq.tolist()) == test.label.to_numpy()).mean()
        print(f"classifier: {cpu_seconds() - start:.0f} CPU-s, accuracy {right:.3f} on test peaks", flush=True)
        based = classifier_guide(name)
        runs: list[tuple[str, float, dict[str, dict[str, Any]]]] = []
        for g in args.free:
            runs.append(("ClassifierFree", g, {k: {"y": k, "guidance": ClassifierFree(g)} for k in MATRICES}))
        for g in args.based:
            runs.append((based.__name__, g, {k: {"guidance": based(classifier, k, g)} for k in MATRICES}))
        for guide, gamma, options in runs:
            start = cpu_seconds()
            made = {
                k: model.generate(args.samples, random_state=seed, steps=args.steps, **options[k]) for k in MATRICES
            }
            judge(f"{name}, seed {seed}", guide, gamma, made, **{"CPU-s": cpu_seconds() - start})
    rows.show()
    if args.picture:
        draw(pd.DataFrame(rows.rows), args.picture)


def draw(table: pd.DataFrame, path: str) -> None:
    """Plot on-class rates over off-class rates, one line per guide."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), dpi=150, layout="constrained")
    for ax, (label, mine) in zip(figure.subplots(1, 2), table.groupby("class"), strict=True):
        real = mine[mine.model == "test peaks"]
        ax.plot(real.off, real.on, "k*", ms=10, label="test peaks")
        for (model, guide), line in mine[mine.model != "test peaks"].groupby(["model", "guide"]):
            ax.plot(line.off, line.on, "o-", label=f"{guide}, {model.split(',')[0]}")
            for gamma, x, y in zip(line.gamma, line.off, line.on, strict=True):
                ax.annotate(f"{gamma:g}", (x, y), fontsize=7, xytext=(3, 3), textcoords="offset points")
        ax.set(title=f"asked for {label}", xlabel="share with the other motif", ylabel=f"share with the {label} motif")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=7)
    figure.savefig(path)


if __name__ == "__main__":
    main()
