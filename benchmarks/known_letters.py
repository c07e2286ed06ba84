"""What generators write into windows of real promoters, as the letters around suggest it or regardless of them.

    python benchmarks/known_letters.py [--windows 200] [--epochs 10] [--models MaskedDiffusion,SCUD,...]

Ten letters in the middle of held-out promoters, positions 20 to 29, are written anew by `infill`, once with the fixed
letters known (shown to the network, or weighed by particles) and once only forced (the mask alone, as `infill` was
before). An autoregressive model of the same training promoters judges: bits per letter of the window given all letters
before it and, by Bayes' rule, after it, log p(whole) being that plus what does not depend on the window's filling.
Natural windows stand beside, and windows of another promoter.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch
from common import load_promoters, machine

import seqdiff
from seqdiff.guidance import LookAhead, Template

START, STOP = 20, 30


def forced(model, sequences, mask, **options):
    """Infill as it was: letters are masked or noised at first, and fit in the end."""
    start = Template.start
    Template.start = lambda self, process, state: state
    try:
        return model.infill(sequences, mask, guidance=LookAhead(1), **options)
    finally:
        Template.start = start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=None)
    names = "MaskedDiffusion,SCUD,UniformDiffusion,ClassicalDiffusion,DirichletFM,EmbeddingDiffusion,Autoregressive"
    parser.add_argument("--models", default=names)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    data = load_promoters()
    train, test = data["train"], data["test"][: options.windows]
    settings = {"savepath": None, "verbose": 0, "epochs": options.epochs}
    judge = seqdiff.Autoregressive(savepath=None, verbose=0).fit(train)
    whole = -judge.score_samples(test) / np.log(2)

    def above(variants: list[str]) -> str:
        """Return bits a letter of the window above the natural one, and the standard error."""
        more = (-judge.score_samples(variants) / np.log(2) - whole) / (STOP - START)
        return f"{more.mean():+.3f} +- {more.std() / len(more) ** 0.5:.3f}"

    print(machine())
    print("| windows | bits a letter above natural, forced | known |\n|---|---|---|")
    others = [s[:START] + o[START:STOP] + s[STOP:] for s, o in zip(test, test[1:] + test[:1], strict=True)]
    print(f"| of another promoter | {above(others)} | |", flush=True)
    mask = "-" * START + "N" * (STOP - START) + "-" * (50 - STOP)
    for name in options.models.split(","):
        model = judge if name == "Autoregressive" else getattr(seqdiff, name)(**settings).fit(train)
        before, after = (how(test) for how in (
            lambda x, m=model: forced(m, x, mask, random_state=0), lambda x, m=model: m.infill(x, mask, random_state=0)
        ))  # fmt: skip
        print(f"| `{name}` | {above(before)} | {above(after)} |", flush=True)


if __name__ == "__main__":
    main()
