"""Infilled windows of E. coli promoters, conditioned on the known letters or only forced to match them.

    python benchmarks/known_letters.py [--windows 200] [--epochs 10] [--models MaskedDiffusion,SCUD,...]

`infill` resamples ten letters in the middle of test promoters, positions 20 to 29, once with the fixed letters known
(shown to the network, or used as weights of particles) and once only forced (the mask alone, as `infill` was before).
An autoregressive model of the same training promoters gives the bits per letter of the window given all other letters:
by Bayes' rule, log p(whole) is that plus a term that does not depend on the window. The references are the natural
window and the window of another promoter.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from common import FAMILY, begin, load_promoters, plain_parser

import seqdiff
from seqdiff.guidance import LookAhead, Template

START, STOP = 20, 30


def forced(model, sequences, mask, **options):
    """Infill as before: the fixed letters start masked or noised, and match in the end."""
    start = Template.start
    Template.start = lambda self, process, state: state
    try:
        return model.infill(sequences, mask, guidance=LookAhead(1), **options)
    finally:
        Template.start = start


def main() -> None:
    """Run the benchmark and print its table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--models", default=",".join([*FAMILY[1:], "DirichletFM", "Autoregressive"]))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    data = load_promoters()
    train, test = data["train"], data["test"][: options.windows]
    settings = {"savepath": None, "verbose": 0, "epochs": options.epochs}
    judge = seqdiff.Autoregressive(savepath=None, verbose=0).fit(train)
    whole = -judge.score_samples(test) / np.log(2)

    def above(variants: list[str]) -> str:
        """Return bits per letter of the window above the natural window, with the standard error."""
        more = (-judge.score_samples(variants) / np.log(2) - whole) / (STOP - START)
        return f"{more.mean():+.3f} +- {more.std() / len(more) ** 0.5:.3f}"

    begin()
    print("| windows from | bits per letter above natural, forced | known |\n|---|---|---|")
    others = [s[:START] + o[START:STOP] + s[STOP:] for s, o in zip(test, test[1:] + test[:1], strict=True)]
    print(f"| another promoter | {above(others)} | |", flush=True)
    mask = "-" * START + "N" * (STOP - START) + "-" * (50 - STOP)
    for name in options.models.split(","):
        model = judge if name == "Autoregressive" else getattr(seqdiff, name)(**settings).fit(train)
        before = forced(model, test, mask, random_state=0)
        print(f"| `{name}` | {above(before)} | {above(model.infill(test, mask, random_state=0))} |", flush=True)


if __name__ == "__main__":
    main()
