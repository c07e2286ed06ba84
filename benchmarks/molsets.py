"""MOSES: "Molecular Sets: A Benchmarking Platform for Molecular Generation Models" (Polykovskiy et al. 2020).

Data, reference statistics, metrics and ChemNet's weights are those of the authors' packages `molsets` and `fcd_torch`;
their requirements are old, so that they are installed without them, into a folder of their own (this file is not called
moses.py, which would hide the package `moses` that molsets brings; its distance needs SciPy below 1.18):

    pip install rdkit
    pip install --no-deps --target moses_env molsets==0.3.1 fcd-torch==1.0.7
    export PYTHONPATH=moses_env

Molecules are SMILES, cut into atoms, bonds, rings and branches (``alphabet="smiles"``). MOSES has no validation set:
10,000 of its 1,584,663 training molecules are held out, of which the first 2,000 validate and give nats per molecule
(the length included) and bits per letter. Training takes --limit others: by default all on a GPU, else 50,000.

Metrics of 30,000 samples: valid; unique@10k, of the first 10,000 valid ones; FCD, the Frechet distance of ChemNet's
activations; SNN, similarity to the nearest reference molecule; Frag and Scaf, cosine similarity of the counts of BRICS
fragments and of scaffolds; IntDiv, internal diversity; filters, the share that passes MOSES' medicinal chemistry
filters; novelty, the share of different molecules that are not among MOSES' whole training set; unseen, not among those
that this model was trained on. References are the test set ("Test") and the set of other scaffolds ("TestSF"), or, with
--no-test, the 10,000 held-out molecules ("Valid").

    python benchmarks/molsets.py --models Autoregressive --keep models --csv moses.csv
    python benchmarks/molsets.py --models train,test                              # metrics of molecules of these sets
    python benchmarks/molsets.py --no-test --samples 5000 --set epochs=5          # to choose settings
    python benchmarks/molsets.py --limit 500 --samples 50 --set epochs=1          # a quick check
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import math
import multiprocessing
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import Rows, add_keep, add_no_test, begin, cpu_seconds, kept_model, make_models, mean_nats, model_parser

from seqdiff.data import resolve_alphabet
from seqdiff.runtime import replacing

MODELS = ("Autoregressive", "MaskedDiffusion", "UniformDiffusion", "SCUD")
HELD, VALID, CPU_LIMIT = 10_000, 2_000, 50_000
KINDS = ("FCD", "SNN", "Frag", "Scaf")
COLUMNS = (
    "valid", "unique@10k", "FCD/Test", "FCD/TestSF", "SNN/Test", "SNN/TestSF", "Frag/Test", "Frag/TestSF", "Scaf/Test",
    "Scaf/TestSF", "IntDiv", "filters", "novelty",
)  # fmt: skip
PUBLISHED = {
    "training molecules": (1, 1, 0.0080, 0.4755, 0.6419, 0.5859, 1, 0.9986, 0.9907, 0, 0.8567, 1, math.nan),
    "CharRNN": (0.9748, 0.9994, 0.0732, 0.5204, 0.6015, 0.5649, 0.9998, 0.9983, 0.9242, 0.1101, 0.8562, 0.9943, 0.8419),
    "VAE": (0.9767, 0.9984, 0.0990, 0.5670, 0.6257, 0.5783, 0.9994, 0.9984, 0.9386, 0.0588, 0.8558, 0.9970, 0.6949),
    "JTN-VAE": (1, 0.9996, 0.3954, 0.9382, 0.5477, 0.5194, 0.9965, 0.9947, 0.8964, 0.1009, 0.8551, 0.9760, 0.9143),
}
"""Of the authors' repository (README.md, commit dd7ed6a): means over three trainings
on the whole training set, and that set itself, without its novelty, which is given as 1."""


@functools.cache
def molsets() -> Any:
    """Return the module `moses.metrics.metrics`, mended for newer pandas, RDKit and SciPy."""
    six: Any = types.ModuleType("rdkit.six")  # gone from RDKit; molsets imports it for a score that is not used here
    six.iteritems = lambda mapping: iter(mapping.items())
    sys.modules.setdefault("rdkit.six", six)
    frame: Any = pd.DataFrame
    old = hasattr(frame, "append")  # gone since pandas 2; called once, at import, to join the two lists of filters
    if not old:
        frame.append = lambda self, other, **options: pd.concat([self, other], **options)
    try:
        tools = importlib.import_module("moses.metrics.metrics")
    except ImportError as error:
        raise SystemExit(f"{error}; the first lines of benchmarks/molsets.py say how to install molsets") from None
    finally:
        if not old:
            del frame.append
    cosine = tools.cos_distance  # of whole numbers, newer SciPy multiplies the two sums of squares: an overflow
    tools.cos_distance = lambda u, v: cosine(np.asarray(u, float), np.asarray(v, float))
    return tools


def dataset(part: str) -> list[str]:
    """Return the molecules of a part of MOSES: "train", "test" or "test_scaffolds"."""
    return list(molsets().get_dataset(part))


class Judge:
    """MOSES' metrics of samples.

    Parameters
    ----------
    train : sequence of str
        MOSES' training molecules, all of them.
    device : str
        Where ChemNet and the similarities are computed.
    jobs : int
        Processes for what RDKit does.
    """

    def __init__(self, train: Sequence[str], device: str = "cpu", jobs: int = 1) -> None:
        self.tools = molsets()
        self.tools.disable_rdkit_log()
        self.known, self.device, self.jobs = set(train), device, jobs
        self.references: dict[str, dict[str, Any]] = {}

    def compare_with_test_sets(self) -> None:
        """Take the test set and that of other scaffolds as references, by the statistics that come with molsets."""
        for name, part in (("Test", "test"), ("TestSF", "test_scaffolds")):
            self.references[name] = self.tools.get_statistics(part)

    def compare_with(self, name: str, molecules: Sequence[str]) -> None:
        """Take these molecules as a reference."""
        with self.pool() as pool:
            mols = self.tools.mapper(pool)(self.tools.get_mol, molecules)
            self.references[name] = self.statistics(molecules, mols, pool)

    def pool(self) -> contextlib.AbstractContextManager[Any]:
        """Return what molsets takes as `n_jobs`: a pool of processes, or 1."""
        return contextlib.nullcontext(1) if self.jobs == 1 else multiprocessing.Pool(self.jobs)

    def metric(self, kind: str, pool: Any) -> Any:
        """Return the metric of a kind; that of FCD starts processes itself."""
        return getattr(self.tools, f"{kind}Metric")(n_jobs=self.jobs if kind == "FCD" else pool, device=self.device)

    def statistics(self, spellings: Sequence[str], mols: Sequence[Any], pool: Any) -> dict[str, Any]:
        """Return what each kind of metric compares, of the same molecules as strings and as RDKit has them."""
        return {kind: self.metric(kind, pool).precalc(spellings if kind == "FCD" else mols) for kind in KINDS}

    def __call__(self, samples: Sequence[str], seen: Sequence[str] = ()) -> dict[str, float]:
        """Return the metrics of samples of a model that was trained on `seen`."""
        tools, found = self.tools, {}
        with self.pool() as pool:
            found["valid"] = tools.fraction_valid(samples, pool)
            forms = tools.remove_invalid(samples, n_jobs=pool)
            if len(forms) < 2:  # nothing else is defined
                return found
            found["unique@10k"] = tools.fraction_unique(forms, min(10_000, len(forms)), pool)
            mols = tools.mapper(pool)(tools.get_mol, forms)
            own = self.statistics(forms, mols, pool)
            for kind in KINDS:
                for name, reference in self.references.items():
                    found[f"{kind}/{name}"] = self.metric(kind, pool).metric(reference[kind], own[kind])
            found["IntDiv"] = tools.internal_diversity(mols, pool, self.device, gen_fps=own["SNN"]["fps"])
            found["filters"] = tools.fraction_passes_filters(mols, pool)
            found["novelty"] = tools.novelty(mols, self.known, pool)
            if len(seen):
                unique = set(forms)
                found["unseen"] = len(unique.difference(seen)) / len(unique)
        return {name: float(value) for name, value in found.items()}


def split(molecules: Sequence[str], limit: int | None) -> tuple[list[str], list[str]]:
    """Return at most `limit` molecules to train on and those held out, at random; the latter do not depend on it."""
    order = np.random.default_rng(0).permutation(len(molecules))
    held = min(HELD, len(molecules) // 10)
    end = None if limit is None else held + limit
    return [molecules[i] for i in order[held:end]], [molecules[i] for i in order[:held]]


def likelihood(model: Any, molecules: list[str], draws: int) -> dict[str, float]:
    """Return nats per molecule, their Monte Carlo error, and bits per letter (an end token is not counted)."""
    total, error = mean_nats(model, molecules, draws)
    letters = np.mean([len(model.alphabet_.split(molecule)) for molecule in molecules])
    return {"nats": total, "MC": error, "bits per letter": float(total / math.log(2) / letters)}


def kept_samples(path: Path | None, model: Any, n: int, **options: Any) -> tuple[list[str], dict[str, float]]:
    """Return samples and the CPU-seconds they took: of the file of an earlier run, else new ones, written there."""
    if path is not None and path.is_file():
        return path.read_text().split("\n"), {}
    start = cpu_seconds()
    samples = model.generate(n, **options)
    used = cpu_seconds() - start
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text("\n".join(samples))
    return samples, {"generating CPU-s": used}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__, MODELS)
    parser.add_argument("--samples", type=int, default=30_000, help="0 for none")
    parser.add_argument("--steps", type=int, help="steps of sampling of the diffusions; default: those of each model")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--sampling", type=json.loads, default={}, help='parameters of sampling: {"renoising": 1.0}')
    parser.add_argument("--jobs", type=int, default=1, help="processes for the metrics")
    add_keep(parser)
    add_no_test(parser)
    args = parser.parse_args()
    begin()
    gpu = torch.cuda.is_available()
    everything = dataset("train")
    limit = args.limit if args.limit is not None or gpu else CPU_LIMIT
    fit, held = split(everything, limit)
    valid = held[:VALID]
    print(
        f"training on {len(fit)} of {len(everything)} molecules, {'on a GPU' if gpu else 'without a GPU'}", flush=True
    )
    judge, rows = Judge(everything, "cuda" if gpu else "cpu", args.jobs), Rows(args.csv)
    if args.samples and args.no_test:
        judge.compare_with("Valid", held)
    elif args.samples:
        judge.compare_with_test_sets()
    names = args.models.split(",")
    if "train" in names:
        rows.add({"model": "training molecules", **judge(fit[: args.samples], fit)})
    if "test" in names:
        molecules, _ = split(dataset("test"), args.samples)
        rows.add({"model": "test molecules", **judge(molecules)})
    args.models = ",".join(name for name in names if name not in ("train", "test"))
    for name, seed, model in make_models(args, alphabet=resolve_alphabet("smiles", fit + held)):
        kept = f"moses-{len(fit)}-{name}-{seed}"
        model = kept_model(args.keep, kept, model, fit, validation=valid)
        model.set_params(verbose=0, **args.sampling)
        row: dict[str, Any] = {"model": name, "seed": seed}
        if args.draws and model.bound_ is not None:
            row |= likelihood(model, valid, args.draws)
        if args.samples:
            steps = None if name == "Autoregressive" else args.steps
            options = {"steps": steps, "temperature": args.temperature, "random_state": seed}
            own = "".join(f"-{name}-{value}" for name, value in args.sampling.items())
            file = f"{kept}-{args.samples}-{steps or 'all'}-{args.temperature:g}{own}.txt"
            path = None if args.keep is None else Path(args.keep) / file
            samples, used = kept_samples(path, model, args.samples, **options)
            row |= used
            start = cpu_seconds()
            row |= judge(samples, fit) | {"metrics CPU-s": cpu_seconds() - start}
        rows.add(row)
    if args.samples and not args.no_test:
        rows.rows += [
            {"model": f"{name} (paper)", **dict(zip(COLUMNS, values, strict=True))}
            for name, values in PUBLISHED.items()
        ]
    rows.show()


if __name__ == "__main__":
    main()
