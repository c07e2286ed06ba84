"""QM9 as in "Simple Guidance Mechanisms for Discrete Diffusion Models" (Schiff et al. 2024, arXiv 2412.10193).

Molecules are canonical SMILES, cut into atoms, bonds, rings and branches (``alphabet="smiles"``: the paper's 30
letters; `--form file` takes the spellings of the data file). A random twentieth is the test set; 2,000 molecules of
the others are the validation set. Labels: whether a property, QED or the number of rings, is above its 0.9 quantile.

Nats per molecule include the length: log p(length) of a diffusion, the end token of an autoregressive model. The set is
(nearly) an enumeration, so that a perfect model pays ln(number of molecules), and no bound can be clearly below that.
The paper's perplexity is exp(nats / tokens); its tokens are letters, begin and end, without begin for autoregressive
models.

Samples: valid, if RDKit reads them; unique strings; novel, if the data does not have the string, as the paper counts;
new, if it does not have the molecule, whatever its spelling (stricter). Each is a mean over draws of 1,024 samples, of
the number, and the property's means are over the novel ones and the new ones.

    pip install rdkit
    python benchmarks/qm9.py --models Autoregressive --keep models              # likelihood and unguided samples
    python benchmarks/qm9.py --models UniformDiffusion --label qed --keep models --guides free,based,exact,moved
    python benchmarks/qm9.py --no-test --draws 1 --repeats 1 --set epochs=3     # to choose settings
    python benchmarks/qm9.py --limit 500 --samples 50 --set epochs=1            # a quick check
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import (
    Rows,
    add_keep,
    add_no_test,
    begin,
    classifier_guide,
    cpu_seconds,
    data_file,
    kept_model,
    make_models,
    mean_nats,
    model_parser,
    strengths,
)
from smiles import parsed

from seqdiff import SequenceClassifier
from seqdiff.data import resolve_alphabet
from seqdiff.guidance import NOS, PPLM, ClassifierBased, ClassifierFree
from seqdiff.runtime import replacing

MODELS = ("Autoregressive", "UniformDiffusion", "MaskedDiffusion", "SCUD")
GUIDES = ("free", "based", "exact", "moved")
PUBLISHED = {"Autoregressive": 2.19, "MaskedDiffusion": 2.12, "UniformDiffusion": 2.02}
"""The paper's perplexities."""
GUIDED = {"qed": (10, 994.8, 63.8, 0.61), "rings": (8, 897, 432, 4.84)}
"""The paper's `UniformDiffusion` with exact D-CBG: gamma, valid, novel and the mean of the novel ones."""
HELD, VALID = 0.05, 2000
TOP = 0.9
"""Quantile of a property above which a molecule has the label "high"."""


def molecules(spellings: Sequence[str]) -> pd.DataFrame:
    """Return canonical form (None if invalid), QED and number of rings (nan if invalid) of each string."""
    from rdkit import Chem
    from rdkit.Chem import QED

    rows = []
    for molecule in parsed(spellings):
        if molecule is None:
            rows.append((None, math.nan, math.nan))
        else:
            form = Chem.MolToSmiles(molecule)
            rows.append((form, QED.qed(molecule), float(len(Chem.GetSymmSSSR(molecule)))))
    return pd.DataFrame(rows, columns=["canonical", "qed", "rings"])


def read_table(folder: str | None, limit: int | None) -> pd.DataFrame:
    """Return the molecules of the data: "smiles" as in the file, and `molecules` of these; kept in `folder`."""
    path = None if folder is None else Path(folder) / f"qm9{limit or ''}.csv"
    if path is not None and path.is_file():
        return pd.read_csv(path, keep_default_na=False)
    spellings = pd.read_csv(data_file("qm9_smiles.csv"), keep_default_na=False).smiles
    spellings = spellings if limit is None else spellings.sample(limit, random_state=0)
    spellings = spellings.reset_index(drop=True)
    table = pd.concat([spellings, molecules(spellings)], axis=1)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            table.to_csv(temporary, index=False)
    return table


def split(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return training, validation and test set; the test set does not depend on the size of the validation set."""
    order = np.random.default_rng(0).permutation(len(table))
    held = round(HELD * len(table))
    valid = held + min(VALID, held)
    parts = {"test": order[:held], "valid": order[held:valid], "train": order[valid:]}
    return {name: table.iloc[rows] for name, rows in parts.items()}


def perplexity(mean_nats: float, mean_letters: float, autoregressive: bool) -> float:
    """Return the paper's perplexity: begin and end count as tokens, begin not where letters are read from the left.

    >>> round(perplexity(11.8, 14.76, False), 2)
    2.02
    """
    return math.exp(mean_nats / (mean_letters + (1 if autoregressive else 2)))


def likelihood(model: Any, sequences: list[str], draws: int, part: str) -> dict[str, float]:
    """Return nats per molecule, their Monte Carlo error, the length's share, and the paper's perplexity."""
    total, error = mean_nats(model, sequences, draws)
    letters = np.array([len(model.alphabet_.split(s)) for s in sequences])
    exact = model.bound_ == "exact"  # then the end token holds the length
    length = math.nan if exact else float(-model.length_distribution_.log_prob(letters).mean())
    return {
        f"{part} nats": total, "MC": error, "length nats": length, "letter nats": total - length,
        "perplexity": perplexity(total, float(letters.mean()), exact),
    }  # fmt: skip


class Judge:
    """Counts of valid, unique, novel and new samples, averaged over draws.

    Parameters
    ----------
    table : DataFrame
        All molecules of the data, with the columns "letters" (as they are spelled in training) and "canonical".
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.strings, self.forms = set(table.letters), set(table.canonical)

    def once(self, samples: Sequence[str]) -> dict[str, float]:
        """Return the counts of one draw, and means over its novel and its new molecules."""
        found = molecules(samples).assign(string=list(samples)).dropna(subset=["canonical"])
        unique = found.drop_duplicates("string")
        novel = unique[~unique.string.isin(self.strings)]
        new = found[~found.canonical.isin(self.forms)].drop_duplicates("canonical")
        counts = {"valid": len(found), "unique": len(unique), "novel": len(novel), "new": len(new)}
        means = {
            f"{kind} {name}": rows[name].mean() for kind, rows in (("novel", novel), ("new", new)) for name in GUIDED
        }
        return {**counts, **means}

    def __call__(self, draws: Sequence[Sequence[str]]) -> dict[str, float]:
        """Return means over the draws, and the standard deviation of the number of novel molecules."""
        table = pd.DataFrame([self.once(samples) for samples in draws])
        return {**table.mean().to_dict(), "novel sd": float(table.novel.std(ddof=0))}


def guided(model: Any, name: str, label: str, train: pd.DataFrame, args: Any) -> Iterator[tuple[str, float, dict]]:
    """Yield name, strength and arguments of `generate` of each guide towards the label "high"."""
    labels = train[f"{label} label"].tolist()
    if "free" in args.guides:
        for gamma in args.free:
            yield "D-CFG", gamma, {"y": "high", "guidance": ClassifierFree(gamma)}
    autoregressive = name == "Autoregressive"
    if {"based", "exact"} & set(args.guides):
        classifier = kept_classifier(args, f"classifier-{name}-{label}", model, train.letters, labels)
        kind = classifier_guide(name)
        if "based" in args.guides:
            for gamma in args.based:
                guide = kind(classifier, "high", gamma)
                yield "FUDGE" if autoregressive else "D-CBG, first order", gamma, {"guidance": guide}
        if "exact" in args.guides and not autoregressive:
            for gamma in args.exact:
                yield "D-CBG, exact", gamma, {"guidance": ClassifierBased(classifier, "high", gamma, exact=True)}
    if "moved" in args.guides:
        hidden = kept_classifier(args, f"hidden-{name}-{label}", model, train.letters, labels, hidden=True)
        for gamma in args.moved:
            kind = PPLM if autoregressive else NOS
            yield kind.__name__, gamma, {"guidance": kind(hidden, "high", gamma)}


def kept_classifier(args: Any, name: str, model: Any, X: Any, labels: list[str], **options: Any) -> Any:
    """Return a classifier of noised molecules, with `--classifier-epochs` of training."""
    start = cpu_seconds()
    classifier = SequenceClassifier(noise_like=model, epochs=args.classifier_epochs, **options).fit(X.tolist(), labels)
    values = classifier.evaluations_["bound"]
    print(f"{name}: {cpu_seconds() - start:.0f} CPU-s, cross-entropy {min(values, default=math.nan):.4f}", flush=True)
    return classifier


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__, MODELS)
    parser.add_argument("--form", choices=("canonical", "file"), default="canonical")
    parser.add_argument("--label", choices=("none", *GUIDED), default="none", help="train with this label")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5, help="draws of so many samples")
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--guides", type=lambda s: [g for g in s.split(",") if g], default=[], help=",".join(GUIDES))
    parser.add_argument("--free", type=strengths, default="1,2,3,4,5", help="strengths of D-CFG")
    parser.add_argument("--based", type=strengths, default="1,2,4,6,8,10", help="of D-CBG to first order, or FUDGE")
    parser.add_argument("--exact", type=strengths, default="1,2,4,6,8,10", help="of exact D-CBG")
    parser.add_argument("--moved", type=strengths, default="0.1,0.3,1", help="of NOS, or PPLM")
    parser.add_argument("--classifier-epochs", type=int, help="of the classifiers; default: theirs")
    add_keep(parser)
    add_no_test(parser)
    args = parser.parse_args()
    if wrong := set(args.guides) - set(GUIDES):
        raise SystemExit(f"--guides: got {', '.join(sorted(wrong))}, expected some of {', '.join(GUIDES)}")
    if args.guides and args.label == "none":
        raise SystemExit(f"--guides: got {', '.join(args.guides)} without a label; give --label qed or rings")
    begin()
    table = read_table(args.keep, args.limit)
    table["letters"] = table.canonical if args.form == "canonical" else table.smiles
    table = table.drop_duplicates("letters").reset_index(drop=True)
    for name in GUIDED:
        table[f"{name} label"] = np.where(table[name] > table[name].quantile(TOP), "high", "other")
    parts = split(table)
    train, valid, test = (parts[name] for name in ("train", "valid", "test"))
    judge, rows, floor = Judge(table), Rows(args.csv), math.log(len(table))
    means = {n: (float(table[n].mean()), float(table[n][table[f"{n} label"] == "high"].mean())) for n in GUIDED}
    print(f"{len(table)} molecules: a perfect model pays {floor:.3f} nats; means of all, of the labelled: {means}")
    label = None if args.label == "none" else f"{args.label} label"
    for name, seed, model in make_models(args, alphabet=resolve_alphabet("smiles", table.letters.tolist())):
        kept = f"qm9-{args.form}-{name}-{args.label}-{seed}"
        X, y = train.letters.tolist(), None if label is None else train[label].tolist()
        held: Any = valid.letters.tolist() if label is None else (valid.letters.tolist(), valid[label].tolist())
        model = kept_model(args.keep, kept, model, X, y, validation=held)
        model.verbose = 0
        row: dict[str, Any] = {"model": name, "seed": seed, "label": args.label}
        if args.draws:
            shown, part = (valid, "valid") if args.no_test else (test, "test")
            row |= likelihood(model, shown.letters.tolist(), args.draws, part) | {"published": PUBLISHED.get(name)}
            if row[f"{part} nats"] < floor - 0.08:
                raise SystemExit(f"{name}: {row[f'{part} nats']:.3f} nats, below what a perfect model pays")
        runs = [] if label is None else guided(model, name, args.label, train, args)
        for guide, gamma, options in [("none", math.nan, {}), *runs]:
            if not args.repeats:
                break
            start = cpu_seconds()
            steps = {} if name == "Autoregressive" else {"steps": args.steps}
            draws = [model.generate(args.samples, random_state=i, **steps, **options) for i in range(args.repeats)]
            used = cpu_seconds() - start
            found = {"guide": guide, "gamma": gamma, **judge(draws), "CPU-s a draw": used / args.repeats}
            rows.add(row | found if guide == "none" else {"model": name, "seed": seed, "label": args.label} | found)
        if not args.repeats:
            rows.add(row)
    if args.label in GUIDED:
        gamma, n_valid, n_novel, mean = GUIDED[args.label]
        paper = {"guide": "D-CBG, exact (paper)", "gamma": gamma, "valid": n_valid, "novel": n_novel}
        rows.rows.append({"model": "UDLM", "label": args.label, **paper, f"novel {args.label}": mean})
    rows.show()


if __name__ == "__main__":
    main()
