"""Make the golden files anew: models of an earlier commit, and what they sampled and scored then.

    python tests/golden/make.py --refresh NAME ...   samples and scores of stored models, where a change is meant
    python tests/golden/make.py --models             the models too; only where a format cannot be read any more

The models were fitted and saved by commit 632b8de. A later commit that changes a figure on purpose refreshes it, and
its message says which fault it mends. All that is drawn is drawn on the CPU in float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import seqdiff
from seqdiff import SequenceClassifier
from seqdiff.guidance import ClassifierFree, LookAhead, Reward

HERE = Path(__file__).resolve().parent
TINY: dict[str, Any] = {
    "width": 8, "depth": 1, "epochs": 12, "batch_size": 16, "lr": 1e-2, "ema": 0.9, "savepath": None, "verbose": 0,
    "device": "cpu", "precision": "float32",
}  # fmt: skip
ESTIMATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "multinomial": ("MultinomialDiffusion", {"network": "conv", "diffusion_steps": 10}),
    "masked": ("MaskedDiffusion", {}),
    "uniform": ("UniformDiffusion", {}),
    "classical": ("ClassicalDiffusion", {}),
    "scud": ("SCUD", {}),
    "autoregressive": ("Autoregressive", {}),
    "dirichlet": ("DirichletFM", {}),
    "distilled": ("DistilledFM", {}),
    "embedding": ("EmbeddingDiffusion", {"diffusion_steps": 10}),
}
NAMES = [f"{name}-{data}" for name in ESTIMATORS for data in ("dna", "protein")]
CLASSIFIERS = {"classifier": "masked-dna", "classifier-masked": "masked-dna", "classifier-scud": "scud-dna"}
FIGURES = [*NAMES, *CLASSIFIERS, "run"]
RUN = HERE / "run"


def dna() -> tuple[list[str], list[str]]:
    """Return 96 strings of ten bases, and whether there are few or many A in them."""
    x = np.random.default_rng(0).choice(list("ACGT"), (96, 10), p=[0.45, 0.2, 0.15, 0.2])
    return ["".join(row) for row in x], ["few" if (row == "A").sum() < 5 else "many" for row in x]


def protein() -> list[str]:
    """Return 96 peptides of 4, 7 and 8 residues."""
    rng = np.random.default_rng(1)
    x, lengths = rng.choice(list("AKLMVWDE"), (96, 8)), rng.choice([4, 7, 8], 96)
    return ["M" + "".join(row[1:n]) for row, n in zip(x, lengths, strict=True)]


def fit(name: str) -> Any:
    key, data = name.split("-")
    cls, options = ESTIMATORS[key]
    X, y = dna() if data == "dna" else (protein(), None)
    if key == "distilled":
        return seqdiff.DirichletFM(**TINY | {"alphabet": data}).fit(X, y).distill(64, steps=4, epochs=4)
    return getattr(seqdiff, cls)(**TINY | {"alphabet": data} | options).fit(X, y)


def measured(name: str) -> dict[str, Any]:
    """Return samples, and scores where there are some, of a stored model."""
    model = seqdiff.load(HERE / f"{name}.safetensors", device="cpu")
    model.precision = "float32"
    y = ["few", "many"] * 4 if name.endswith("-dna") else None
    X = dna()[0][:8] if name.endswith("-dna") else protein()[:8]
    found: dict[str, Any] = {"samples": model.generate(8, y=y, random_state=7)}
    found["steered"] = steered(model, name)
    if hasattr(model, "score_samples"):
        found["scores"] = model.score_samples(X, y, random_state=3).tolist()
    return found


def steered(model: Any, name: str) -> dict[str, list[str]]:
    """Return four samples under each guide that needs no classifier, and edits of two sequences."""
    few_a = Reward(lambda sequences: [-s.count("A") for s in sequences], 2.0, particles=4)
    if name.endswith("-protein"):
        made = {"template": {"template": "MKXXXX[AV]"}, "length": {"length": 7}, "forbid": {"forbid": ["KK", "AL"]}}
        original, position = protein()[:2], [2, 3]
    else:
        free = ClassifierFree(2.0)
        made = {
            "template": {"template": "ACNNNWNNNT", "guidance": LookAhead(4)},
            "forbid": {"forbid": ["GGG", "GC"], "temperature": 0.8},
            "classifier-free": {"guidance": free},
            "together": {"guidance": [free, LookAhead(1)], "template": "NNNNNNNNGT", "forbid": "GGG"},
        }
        if not name.startswith("distilled"):
            made |= {"reward": {"guidance": few_a}, "all": {**made["together"], "guidance": [free, few_a]}}
        original, position = dna()[0][:2], [1, 5]
    y = "few" if name.endswith("-dna") else None
    found = {case: model.generate(4, y=y, random_state=11, **options) for case, options in made.items()}
    found["infill"] = model.infill(original, position, n=2, y=y, random_state=11)
    found["mutate"] = model.mutate(original, 2, n=2, y=y, random_state=11)
    return found


def predicted(name: str) -> list[list[float]]:
    """Return what a stored classifier says of eight sequences."""
    model = seqdiff.load(HERE / f"{CLASSIFIERS[name]}.safetensors", device="cpu")
    classifier = SequenceClassifier.load(HERE / f"{name}.safetensors", noise_like=model, device="cpu")
    return classifier.predict_proba(dna()[0][:8]).tolist()


def run_settings() -> dict[str, Any]:
    """Return the parameters of the stored run, which was interrupted in its second epoch of four."""
    return TINY | {"epochs": 4, "check_every": 1, "alphabet": "dna", "time_sampling": "uniform"}


def resumed(folder: Path) -> dict[str, Any]:
    """Return what a copy of the stored run in a folder says as it is, and once it has been resumed to its end."""
    shutil.copytree(RUN, folder / "run")
    X = dna()[0]
    found = {"before": seqdiff.load(folder / "run", device="cpu").score_samples(X[:8], random_state=3).tolist()}
    model = seqdiff.MaskedDiffusion(**run_settings() | {"savepath": str(folder), "model_name": "run"})
    model.fit(X, resume=True)
    return found | {"epochs": len(model.history_["loss"]), "after": model.score_samples(X[:8], random_state=3).tolist()}


def make_run() -> None:
    """Fit until the second checkpoint, as if the process had been killed then."""
    from seqdiff.runs import Run

    class Killed(BaseException):
        pass

    save, count = Run.save_checkpoint, []

    def once(self: Run, state: dict[str, Any]) -> None:
        save(self, state)
        count.append(1)
        if len(count) == 2:
            raise Killed

    with tempfile.TemporaryDirectory() as folder:
        Run.save_checkpoint = once  # type: ignore[method-assign]
        try:
            seqdiff.MaskedDiffusion(**run_settings() | {"savepath": folder, "model_name": "run"}).fit(dna()[0])
        except Killed:
            pass
        finally:
            Run.save_checkpoint = save  # type: ignore[method-assign]
        made = Path(folder) / "run"
        shutil.rmtree(made / "tb")
        (made / ".lock").unlink(missing_ok=True)
        shutil.rmtree(RUN, ignore_errors=True)
        shutil.copytree(made, RUN)


def figure(name: str, folder: Path) -> Any:
    """Return what figures.json should hold under a name."""
    if name in CLASSIFIERS:
        return predicted(name)
    return resumed(folder) if name == "run" else measured(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", action="store_true")
    parser.add_argument("--refresh", nargs="*", default=[], metavar="NAME", help=", ".join(FIGURES))
    options = parser.parse_args()
    if unknown := set(options.refresh) - {*FIGURES}:
        sys.exit(f"--refresh {' '.join(sorted(unknown))} is not known; give some of {', '.join(FIGURES)}")
    warnings.simplefilter("ignore")
    if options.models:
        for name in NAMES:
            fit(name).save(HERE / f"{name}.safetensors")
        for name, generator in CLASSIFIERS.items():
            model = seqdiff.load(HERE / f"{generator}.safetensors")
            classifier = SequenceClassifier(noise_like=model, width=8, depth=1, epochs=4, verbose=0).fit(*dna())
            classifier.save(HERE / f"{name}.safetensors")
        make_run()
    path = HERE / "figures.json"
    figures = {} if options.models else json.loads(path.read_text(encoding="utf-8"))
    for name in FIGURES:
        if options.models or name in options.refresh:
            with tempfile.TemporaryDirectory() as folder:
                figures[name] = figure(name, Path(folder))
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
