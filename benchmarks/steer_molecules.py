"""Guided drug-like molecules: drug-likeness (QED) and rings of novel molecules.

The generator is conditioned on QED and on the number of rings, two values of which each may be missing. The requested
value is the 0.9 quantile of the training molecules: a high QED, or many rings. The guides are classifier-free guidance
and a classifier of that tenth against the rest, on the generator's noise (`ClassifierBased`, `FUDGE` for
`Autoregressive`) or on its hidden states (`NOS`, `PPLM`). Valid, unique and novel are those of smiles.py (novel on
canonical forms); means are over the novel valid molecules.

    pip install rdkit
    python benchmarks/steer_molecules.py --models Autoregressive --keep models --csv molecules.csv
    python benchmarks/steer_molecules.py --models MaskedDiffusion --letters atoms --set width=128 --set depth=12
    python benchmarks/steer_molecules.py --limit 500 --samples 50 --set epochs=1         # a quick check
"""

from __future__ import annotations

from collections.abc import Sequence
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
    strengths,
)
from smiles import canonical, letters_of, parsed

from seqdiff import SequenceClassifier
from seqdiff.guidance import NOS, PPLM, ClassifierFree

PROPERTIES = ("qed", "rings")


def properties(sequences: Sequence[str]) -> pd.DataFrame:
    """Return QED and the number of rings, nan for invalid strings."""
    from rdkit.Chem import QED, rdMolDescriptors

    rows = []
    for molecule in parsed(sequences):
        if molecule is None:
            rows.append((np.nan, np.nan))
        else:
            rows.append((QED.qed(molecule), float(rdMolDescriptors.CalcNumRings(molecule))))
    return pd.DataFrame(rows, columns=PROPERTIES)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__, ("Autoregressive", "MaskedDiffusion"))
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--letters", choices=("characters", "atoms"), default="characters")
    parser.add_argument("--free", type=strengths, default="1,2,3,5", help="strengths of classifier-free guidance")
    parser.add_argument("--based", type=strengths, default="0,1,2,4", help="strengths of classifier-based guidance")
    parser.add_argument("--moved", type=strengths, default="1,4", help="strengths of guidance by hidden states")
    add_keep(parser)
    args = parser.parse_args()
    begin()
    table = pd.read_csv(data_file("smiles_moses60k.csv"))
    X = table[table.split == "train"].iloc[:, 0].tolist()[: args.limit]
    known = set(canonical(X)) - {None}
    y = properties(X)
    requested = {name: float(y[name].quantile(0.9)) for name in PROPERTIES}
    rows = Rows(args.csv)

    def judge(model: str, guide: str, gamma: float, aim: str, samples: list[str], **more: Any) -> None:
        forms = canonical(samples)
        valid = [form for form in forms if form is not None]
        new = sorted(set(valid) - known)
        means = properties(new).mean() if new else {name: np.nan for name in PROPERTIES}
        rows.add(
            {
                "model": model, "guide": guide, "gamma": gamma, "requested": aim,
                "valid": len(valid) / len(samples), "unique": len(set(valid)) / max(1, len(valid)),
                "novel": len(new) / max(1, len(set(valid))),
                **{name: float(means[name]) for name in PROPERTIES}, **more,
            }
        )  # fmt: skip

    judge("training molecules", "", 0.0, "", X[: 4 * args.samples])
    print(f"requested: {requested}", flush=True)
    for name, seed, model in make_models(args, alphabet=letters_of(X, args.letters)):
        model = kept_model(args.keep, f"molecules-{name}-{seed}", model, X, y)
        model.verbose = 0
        based, moved = classifier_guide(name), PPLM if name == "Autoregressive" else NOS
        for aim in PROPERTIES:
            labels = np.where(y[aim] >= requested[aim], "high", "other")
            classifier = SequenceClassifier(noise_like=model).fit(X, labels) if args.based else None
            runs: list[tuple[str, float, dict[str, Any]]] = []
            for g in args.free:
                runs.append(("ClassifierFree", g, {"y": {aim: requested[aim]}, "guidance": ClassifierFree(g)}))
            for g in args.based:
                runs.append((based.__name__, g, {"guidance": based(classifier, "high", g)}))
            if args.moved:
                hidden = SequenceClassifier(noise_like=model, hidden=True).fit(X, labels)
                for g in args.moved:
                    runs.append((moved.__name__, g, {"guidance": moved(hidden, "high", g)}))
            for guide, gamma, options in runs:
                start = cpu_seconds()
                samples = model.generate(args.samples, random_state=seed, **options)
                judge(f"{name}, seed {seed}", guide, gamma, aim, samples, **{"CPU-s": cpu_seconds() - start})
    rows.show()


if __name__ == "__main__":
    main()
