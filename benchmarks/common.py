"""Shared parts of the benchmarks: data, options, timing, scores, tables."""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import seqdiff
from seqdiff.evaluation import PositionWeightMatrix, copied_fraction, kmer_js
from seqdiff.guidance import FUDGE, ClassifierBased
from seqdiff.runs import best_evaluation
from seqdiff.runtime import replacing

FAMILY = ("Autoregressive", "MaskedDiffusion", "UniformDiffusion", "ClassicalDiffusion", "SCUD", "EmbeddingDiffusion")
ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """Return the folder of the benchmark data: SEQDIFF_DATA, or shared/data beside the repository."""
    return Path(os.environ.get("SEQDIFF_DATA", ROOT.parent / "shared" / "data"))


def data_file(name: str) -> Path:
    """Return the path of a data file, or exit with a message."""
    path = data_folder() / name
    if not path.is_file():
        raise SystemExit(f"{path} is missing; set SEQDIFF_DATA to the folder that holds {name}")
    return path


def split_parts(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of a table by its column "split"."""
    return {part: table[table.split == part] for part in ("train", "valid", "test")}


def load_promoters() -> dict[str, list[str]]:
    """Return the E. coli promoters as ``{"train": [...], "valid": [...], "test": [...]}``."""
    return {part: rows.seq.tolist() for part, rows in split_parts(pd.read_csv(data_file("ecoli50_expr.csv"))).items()}


def cpu_seconds() -> float:
    """Return the processor time of this process, all threads together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def machine() -> str:
    """Return one line with commit, processor, threads and versions."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"commit {commit}, {name}, {torch.get_num_threads()} threads{gpu}, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def bits(log_likelihood: np.ndarray, sequences: list[str]) -> float:
    """Return bits per letter."""
    return float(-log_likelihood.sum() / np.log(2) / sum(map(len, sequences)))


def show(rows: list[dict]) -> None:
    """Print a table."""
    print(pd.DataFrame(rows).to_string(index=False, na_rep="", float_format=lambda v: f"{v:.4f}"), flush=True)


# -- options, and models by name --------------------------------------------------------------------------------------


def plain_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that prints the module's docstring as it is."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def model_parser(description: str | None, models: Sequence[str] = FAMILY, seeds: int = 1) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark of several models has."""
    parser = plain_parser(description)
    known = [name for name in models if hasattr(seqdiff, name)]
    parser.add_argument("--models", default=",".join(known), help="names, separated by commas")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for all models")
    parser.add_argument("--seeds", type=int, default=seeds, help="trainings of each model, from --first-seed upwards")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=2, help="draws of the noise for a bound")
    parser.add_argument("--csv", metavar="FILE", help="also write the rows to this file, after each row")
    parser.add_argument("--limit", type=int, help="maximum number of sequences of each part, for a quick check")
    parser.add_argument("--verbose", type=int, default=0)
    return parser


def add_no_test(parser: argparse.ArgumentParser) -> None:
    """Add the option to leave out the test set."""
    parser.add_argument("--no-test", action="store_true", help="do not evaluate the test set, to choose settings")


def add_keep(parser: argparse.ArgumentParser) -> None:
    """Add the option of `kept_model`."""
    parser.add_argument("--keep", metavar="FOLDER", help="save the generators there, or load them from there")


def strengths(text: str) -> list[float]:
    """Return the numbers of a text, separated by commas."""
    return [float(part) for part in text.split(",") if part]


def found_by(program: str) -> dict[str, Any]:
    """Run a program in a process of its own and return what it printed last, as JSON."""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def begin() -> None:
    """Print the machine and the command."""
    print(machine())
    print(f"command: python {shlex.join([os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]])}", flush=True)


def make_models(args: argparse.Namespace, **settings: Any) -> list[tuple[str, int, Any]]:
    """Return name, seed and estimator of every training; --set overrides `settings`."""
    for item in args.set:
        name, equals, value = item.partition("=")
        if not equals:
            raise SystemExit(f"--set: got {item!r}, expected NAME=VALUE")
        try:
            settings[name.replace("-", "_")] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[name.replace("-", "_")] = value
    found = []
    for name in filter(None, args.models.split(",")):
        if not hasattr(seqdiff, name):
            raise SystemExit(f"--models: got {name!r}, expected names of estimators")
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            model = getattr(seqdiff, name)(random_state=seed, savepath=None, verbose=args.verbose, **settings)
            found.append((name, seed, model))
    return found


def timed_fit(model: Any, *data: Any, **options: Any) -> dict[str, Any]:
    """Fit a model; return CPU-seconds, the best epoch and the number of epochs."""
    start = cpu_seconds()
    model.fit(*data, **options)
    row: dict[str, Any] = {"CPU-s": cpu_seconds() - start}
    if best := best_evaluation(model.evaluations_):
        row["best epoch"] = best["epoch"]
    return row | {"epochs": len(model.history_["epoch"])}


def timed_generate(model: Any, n: int, **options: Any) -> tuple[list[str], dict[str, float]]:
    """Generate; return the sequences and their number per second of wall time and of processor time."""
    start, begun = time.perf_counter(), cpu_seconds()
    samples = model.generate(n, **options)
    wall, used = time.perf_counter() - start, cpu_seconds() - begun
    return samples, {"sequences/s": n / wall, "per CPU-s": n / used}


def nats(model: Any, sequences: Sequence[str], y: Any = None, draws: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-likelihood or bound of each sequence and its Monte Carlo error, over draws of the noise."""
    draws = 1 if model.bound_ == "exact" else draws
    options = [{"random_state": i, "return_error": True} for i in range(draws)]
    found = [model.score_samples(list(sequences), y, **option) for option in options]
    error = np.sqrt(np.mean([error**2 for _, error in found], axis=0) / draws)
    return np.mean([score for score, _ in found], axis=0), error


def mean_nats(model: Any, sequences: Sequence[str], draws: int = 1) -> tuple[float, float]:
    """Return nats per sequence, minus the log-likelihood or its bound, and their Monte Carlo error."""
    score, error = nats(model, sequences, draws=draws)
    return float(-score.mean()), float(np.sqrt((error**2).sum()) / len(error))


def bits_error(error: np.ndarray, letters: int) -> float:
    """Return the error in bits per letter (or per sequence) of a sum, from the errors of its terms in nats."""
    return float(np.sqrt((error**2).sum()) / letters / np.log(2))


def held_out(model: Any, sequences: list[str], draws: int = 1, y: Any = None) -> tuple[float, float]:
    """Return bits per letter and their Monte Carlo error."""
    score, error = nats(model, sequences, y, draws)
    return bits(score, sequences), bits_error(error, sum(map(len, sequences)))


def quality(samples: Sequence[str], train: Sequence[str], natural: Sequence[str], k: int = 6) -> dict[str, float]:
    """Return the k-mer divergence of samples from as many natural sequences, and the share copied."""
    return {f"{k}-mer JS": kmer_js(samples, natural, k=k), "copied": copied_fraction(samples, train)}


def natural_halves(parts: dict[str, list[str]], n: int) -> tuple[list[str], list[str]]:
    """Return two sets of at most n sequences of all parts that share no row."""
    everything = sum(parts.values(), [])
    order = np.random.default_rng(0).permutation(len(everything))
    n = min(n, len(everything) // 2)
    first, second = ([everything[i] for i in order[k * n : (k + 1) * n]] for k in (0, 1))
    return first, second


def reference_rows(train: list[str], natural: list[str], other: list[str]) -> list[dict[str, Any]]:
    """Return the rows of other natural sequences, the reference of every ratio, and of a position weight matrix."""
    pwm = PositionWeightMatrix().fit(train).generate(len(natural), random_state=0)
    return [
        {"samples": f"natural, {len(natural)} others", **quality(other, natural, natural)},
        {"samples": "position weight matrix", **quality(pwm, train, natural)},
    ]


class Rows:
    """Rows of a table: each is printed and written to a file as soon as it is added."""

    def __init__(self, csv: str | None) -> None:
        self.rows: list[dict] = []
        self.csv = csv

    def add(self, row: dict) -> dict:
        """Add a row and print it."""
        self.rows.append(row)
        shown = {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()}
        print("  ".join(f"{k} {v}" for k, v in shown.items()), flush=True)
        if self.csv:
            with replacing(self.csv) as temporary:
                pd.DataFrame(self.rows).to_csv(temporary, index=False)
        return row

    def show(self) -> None:
        """Print the table."""
        print()
        show(self.rows)


# -- steering ---------------------------------------------------------------------------------------------------------


def kept_model(folder: str | None, name: str, model: Any, *data: Any, **options: Any) -> Any:
    """Return the fitted model: loaded from `folder` if an earlier run saved it there, else fitted and saved there."""
    path = None if folder is None else Path(folder) / f"{name}.safetensors"
    if path is not None and path.is_file():
        print(f"{name}: loaded from {path}", flush=True)
        return seqdiff.load(path)
    print(f"{name}: {timed_fit(model, *data, **options)}", flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return model


def classifier_guide(name: str) -> type[ClassifierBased] | type[FUDGE]:
    """Return the classifier guide of a generator: FUDGE for `Autoregressive`, `ClassifierBased` for the others."""
    return FUDGE if name == "Autoregressive" else ClassifierBased
