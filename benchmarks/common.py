"""What the benchmarks share: the data, the machine's description, tables."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """Return the folder of the benchmark data: SEQDIFF_DATA, or the one that lies beside the repository."""
    return Path(os.environ.get("SEQDIFF_DATA", ROOT.parent / "shared" / "data"))


def load_promoters() -> dict[str, list[str]]:
    """Return the E. coli promoters as ``{"train": [...], "valid": [...], "test": [...]}``."""
    path = data_folder() / "ecoli50_expr.csv"
    if not path.is_file():
        raise SystemExit(f"{path} is missing; set SEQDIFF_DATA to the folder that holds ecoli50_expr.csv")
    table = pd.read_csv(path)
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
