"""Processes that are killed at random moments of training, of sampling and of making a store, and what they leave.

After each kill every file that is there must be readable, by the package and by those who read TensorBoard and pickles;
the next process resumes, and the weights at the end are bit for bit those of a run that nothing stopped. A file of
samples and a store are there whole or not at all.

    python benchmarks/kills.py                 # 200 kills of each kind
    python benchmarks/kills.py --kills 5
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import begin

import seqdiff
from seqdiff import MaskedDiffusion
from seqdiff.data import Store, prepare_store
from seqdiff.runs import read_checkpoint


def in_child(work: Callable[[], object], seconds: float | None) -> bool:
    """Run work in a process of its own, killed after some seconds; return whether it came to its end."""
    number = os.fork()
    if number == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(number, os.WNOHANG)
        if done:
            if os.waitstatus_to_exitcode(status) != 0:
                raise SystemExit("a process failed by itself")
            return True
        if end is not None and time.monotonic() >= end:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            return False
        time.sleep(0.001)


def timed(work: Callable[[], object]) -> float:
    """Return how long work takes in a process of its own."""
    start = time.monotonic()
    in_child(work, None)
    return time.monotonic() - start


def check_run(folder: Path) -> int:
    """Read every file of a run folder and return how many there are."""
    count = 0
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.startswith("."):
            continue
        count += 1
        if path.name == "checkpoint.pt":
            read_checkpoint(path, torch.device("cpu"))
        elif path.suffix == ".safetensors":
            seqdiff.load(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".pickle":
            with open(path, "rb") as file:
                pickle.load(file)  # of this benchmark's own run
        elif "tfevents" in path.name:
            from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

            for _ in LegacyEventFileLoader(str(path)).Load():
                pass
    return count


def trainings(folder: Path, kills: int, rng: np.random.Generator, X: list[str]) -> None:
    def model(name: str) -> MaskedDiffusion:
        return MaskedDiffusion(
            width=16, depth=1, epochs=6, check_every=1, batch_size=32, savepath=str(folder), model_name=name, verbose=0
        )

    def fit(name: str) -> None:
        model(name).fit(X, resume=True)

    took = timed(lambda: fit("whole"))
    whole = seqdiff.load(folder / "whole").objective_.state_dict()
    killed = finished = early = files = 0
    name = "run-0"
    while killed < kills:
        done = in_child(lambda name=name: fit(name), float(rng.uniform(0, took)))
        killed += not done
        if not done and killed % 20 == 0:
            print(f"training: {killed} kills so far", flush=True)
        early += not done and not (folder / name / "check" / "checkpoint.pt").exists()
        files += check_run(folder / name) if (folder / name).exists() else 0
        if done:
            mine = seqdiff.load(folder / name).objective_.state_dict()
            if not all(torch.equal(mine[key], whole[key]) for key in whole):
                raise SystemExit(f"{name}: other weights than those of the run that nothing stopped")
            finished += 1
            name = f"run-{finished}"
    in_child(lambda: fit(name), None)
    print(
        f"training: {killed} kills ({early} before the first checkpoint) in {finished + 1} runs of {took:.1f} s; "
        f"{files:,} files read; the weights are those of the whole run, bit for bit"
    )


def samples(folder: Path, kills: int, rng: np.random.Generator) -> None:
    model = seqdiff.load(folder / "whole")
    out = folder / "samples.fasta"

    def generate() -> None:
        model.generate(2000, out=out, random_state=5, steps=4)

    took = timed(generate)
    whole = out.read_bytes()
    killed = there = 0
    while killed < kills:
        out.unlink(missing_ok=True)
        killed += not in_child(generate, float(rng.uniform(0, took)))
        if out.exists():
            there += 1
            if out.read_bytes() != whole:
                raise SystemExit("a file of samples that is not whole")
    generate()
    left = [path.name for path in folder.iterdir() if path.suffix == ".tmp"]
    print(
        f"sampling: {killed} kills in {took:.2f} s; {there} times the file was there, whole; left: {left or 'nothing'}"
    )


def stores(folder: Path, kills: int, rng: np.random.Generator, X: list[str]) -> None:
    path, source = folder / "a.store", folder / "a.txt"
    source.write_text("\n".join(X * 10))

    def make() -> None:
        prepare_store(source, path, verbose=0)

    took = timed(make)
    digest = Store(path).digest
    killed = there = 0
    while killed < kills:
        shutil.rmtree(path, ignore_errors=True)
        killed += not in_child(make, float(rng.uniform(0, took)))
        if path.exists():
            there += 1
            store = Store(path)
            store.check()
            if store.digest != digest:
                raise SystemExit("a store that is not whole")
    shutil.rmtree(path, ignore_errors=True)
    make()
    left = [p.name for p in folder.iterdir() if p.name.startswith(".a.store")]
    print(
        f"stores: {killed} kills in {took:.2f} s; {there} times the store was there, whole; left: {left or 'nothing'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    begin()
    torch.set_num_threads(1)  # a process that forks has no others
    rng = np.random.default_rng(args.seed)
    X = ["".join(row) for row in rng.choice(list("ACGT"), (640, 40))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainings(folder, args.kills, rng, X)
        samples(folder, args.kills, rng)
        stores(folder, args.kills, rng, X)


if __name__ == "__main__":
    main()
