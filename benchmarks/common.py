"""What the benchmarks share: the data, the machine's description, tables."""

from __future__ import annotations

import argparse
import ast
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
from seqdiff.evaluation import copied_fraction, kmer_js

FAMILY = ("Autoregressive", "MaskedDiffusion", "UniformDiffusion", "ClassicalDiffusion", "SCUD", "EmbeddingDiffusion")
ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """Return the folder of the benchmark data: SEQDIFF_DATA, or the one that lies beside the repository."""
    return Path(os.environ.get("SEQDIFF_DATA", ROOT.parent / "shared" / "data"))


def data_file(name: str) -> Path:
    """Return the path of one of the data's files, or leave with a sentence."""
    path = data_folder() / name
    if not path.is_file():
        raise SystemExit(f"{path} is missing; set SEQDIFF_DATA to the folder that holds {name}")
    return path


def load_promoters() -> dict[str, list[str]]:
    """Return the E. coli promoters as ``{"train": [...], "valid": [...], "test": [...]}``."""
    table = pd.read_csv(data_file("ecoli50_expr.csv"))
    return {part: table.seq[table.split == part].tolist() for part in ("train", "valid", "test")}


def cpu_seconds() -> float:
    """Return the processor time this process has used, all threads together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def machine() -> str:
    """Return one line that says where and with what this ran."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    name = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"commit {commit}, {name}, {torch.get_num_threads()} threads{gpu}, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def bits(log_likelihood: np.ndarray, sequences: list[str]) -> float:
    """Return bits per letter."""
    return float(-log_likelihood.sum() / np.log(2) / sum(map(len, sequences)))


def show(rows: list[dict]) -> None:
    """Print a table."""
    print(pd.DataFrame(rows).to_string(index=False, na_rep="", float_format=lambda v: f"{v:.4f}"), flush=True)


# -- models by name, with the package's defaults unless something is set ----------------------------------------------


def add_model_options(parser: argparse.ArgumentParser, models: Sequence[str] = FAMILY) -> None:
    """Add the options that every benchmark of several models has."""
    known = [name for name in models if hasattr(seqdiff, name)]
    parser.add_argument("--models", default=",".join(known), help="which, with commas between")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for all models")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each, from --first-seed upwards")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=2, help="draws of the noise for a bound")
    parser.add_argument("--csv", metavar="FILE", help="write the rows to this file too, after each one anew")
    parser.add_argument("--limit", type=int, help="use only so many sequences of each part, to see that all works")
    parser.add_argument("--verbose", type=int, default=0)


def strengths(text: str) -> list[float]:
    """Return numbers with commas between."""
    return [float(part) for part in text.split(",") if part]


def begin() -> None:
    """Print where this runs, and the command."""
    print(machine())
    print(f"command: python {shlex.join([os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]])}", flush=True)


def make_models(args: argparse.Namespace, **settings: Any) -> list[tuple[str, int, Any]]:
    """Return name, seed and estimator of everything to train; `settings` yield to those of --set."""
    for item in args.set:
        name, equals, value = item.partition("=")
        if not equals:
            raise SystemExit(f"--set {item!r} is no NAME=VALUE")
        try:
            settings[name.replace("-", "_")] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[name.replace("-", "_")] = value
    found = []
    for name in filter(None, args.models.split(",")):
        if not hasattr(seqdiff, name):
            raise SystemExit(f"--models {name!r} is not in this seqdiff")
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            model = getattr(seqdiff, name)(random_state=seed, savepath=None, verbose=args.verbose, **settings)
            found.append((name, seed, model))
    return found


def timed_fit(model: Any, *data: Any, **options: Any) -> dict[str, Any]:
    """Fit a model; return CPU-seconds, the best epoch and the epochs trained."""
    start = cpu_seconds()
    model.fit(*data, **options)
    row: dict[str, Any] = {"CPU-s": cpu_seconds() - start}
    figures = model.evaluations_["bits_per_letter"]
    if figures:
        row["best epoch"] = model.evaluations_["epoch"][int(np.argmin(figures))]
    return row | {"epochs": len(model.history_["epoch"])}


def timed_generate(model: Any, n: int, **options: Any) -> tuple[list[str], dict[str, float]]:
    """Generate; return the sequences and how many there were a second, by the clock and on the processor."""
    start, begun = time.perf_counter(), cpu_seconds()
    samples = model.generate(n, **options)
    wall, used = time.perf_counter() - start, cpu_seconds() - begun
    return samples, {"sequences/s": n / wall, "per CPU-s": n / used}


def nats(model: Any, sequences: Sequence[str], y: Any = None, draws: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-likelihood or bound of each sequence and its Monte Carlo error, over draws of the noise."""
    draws = 1 if model.bound_ == "exact" else draws
    options = [{"random_state": i, "return_error": True} for i in range(draws)]
    figures = [model.score_samples(list(sequences), y, **option) for option in options]
    error = np.sqrt(np.mean([error**2 for _, error in figures], axis=0) / draws)
    return np.mean([score for score, _ in figures], axis=0), error


def held_out(model: Any, sequences: Sequence[str], draws: int = 1, y: Any = None) -> tuple[float, float]:
    """Return bits per letter and their Monte Carlo error."""
    score, error = nats(model, sequences, y, draws)
    letters = sum(map(len, sequences)) * np.log(2)
    return float(-score.sum() / letters), float(np.sqrt((error**2).sum()) / letters)


def quality(samples: Sequence[str], train: Sequence[str], natural: Sequence[str], k: int = 6) -> dict[str, float]:
    """Return k-mer divergence to natural sequences, as many of them as of the samples, and the share copied."""
    return {f"{k}-mer JS": kmer_js(samples, natural, k=k), "copied": copied_fraction(samples, train)}


def natural_halves(everything: Sequence[str], n: int) -> tuple[list[str], list[str]]:
    """Return two sets of at most n natural sequences that share no row."""
    order = np.random.default_rng(0).permutation(len(everything))
    n = min(n, len(everything) // 2)
    first, second = ([everything[i] for i in order[k * n : (k + 1) * n]] for k in (0, 1))
    return first, second


class Rows:
    """Rows that are shown as soon as they are ready, written to a file after each, and shown together at the end."""

    def __init__(self, csv: str | None) -> None:
        self.rows: list[dict] = []
        self.csv = csv

    def add(self, row: dict) -> dict:
        """Add a row and show it."""
        self.rows.append(row)
        shown = {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()}
        print("  ".join(f"{k} {v}" for k, v in shown.items()), flush=True)
        if self.csv:
            temporary = Path(f"{self.csv}.tmp")
            pd.DataFrame(self.rows).to_csv(temporary, index=False)
            os.replace(temporary, self.csv)
        return row

    def show(self, title: str = "") -> None:
        """Show the table."""
        print(f"\n{title}" if title else "")
        show(self.rows)


# -- steering ---------------------------------------------------------------------------------------------------------


def kept_model(folder: str | None, name: str, make: Any, *data: Any, **options: Any) -> Any:
    """Return a fitted model: read from `folder` where an earlier run has left it, else made, fitted and left there."""
    path = None if folder is None else Path(folder) / f"{name}.safetensors"
    if path is not None and path.is_file():
        print(f"{name}: read from {path}", flush=True)
        return seqdiff.load(path)
    model = make()
    print(f"{name}: {timed_fit(model, *data, **options)}", flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return model
