"""Data that do not fit into memory: a store of simulated genome pieces, and a fit that reads it from the disk.

Writes a FASTA file of random sequences, makes a store of it with `seqdiff prepare` in a process of its own, and fits a
model for some steps in another; of both the CPU-seconds and the largest resident memory, files that are mapped into it
included, as the system counts it. The same steps are made with the first sequences in memory, and a second store
compares ways to read rows at random places: NumPy's memory map, and Arrow's, where pyarrow is installed.

    python benchmarks/store.py                    # 10 million sequences of 250 letters: 5.4 GB of disk, some minutes
    python benchmarks/store.py --n 20000          # a quick check
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from common import begin, found_by

RUN = """
import json, resource, sys, time
start = time.process_time()
{work}
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({{"cpu": time.process_time() - start, "rss": used.ru_maxrss / 1024, **found}}))
"""

PREPARE = """
from seqdiff.data import prepare_store
store = prepare_store({path!r}, {store!r}, verbose=0)
found = {{"n": store.n}}
"""

FIT = """
import numpy as np
import seqdiff.data
from seqdiff import MaskedDiffusion
import seqdiff.training.trainer as trainer
class Enough(Exception): pass
step, begun = trainer.Trainer._step, []
def counted(self, *rest):
    if self.step == 20: begun.append(time.process_time())
    if self.step == 20 + {steps}:
        begun.append(time.process_time())
        raise Enough
    return step(self, *rest)
trainer.Trainer._step = counted
X = {X}
model = MaskedDiffusion(width={width}, savepath=None, verbose=0, precision="float32")
ready = time.process_time()
try: model.fit(X)
except Enough: pass
found = {{"ready": begun[0] - ready, "step": (begun[1] - begun[0]) / {steps} * 1e3}}
"""

NOTHING = "import seqdiff, torch\nfound = {}\n"


def run(work: str) -> dict[str, float]:
    """Run a program in a process of its own and return what it found."""
    return found_by(RUN.format(work=work))


def write_fasta(path: Path, n: int, length: int) -> None:
    """Write random DNA, compressed where the name says so."""
    rng = np.random.default_rng(0)
    opened = gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else open(path, "wb")
    with opened as file:
        for first in range(0, n, 50_000):
            rows = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (min(50_000, n - first), length))]
            file.write(b"".join(b">s%d\n%s\n" % (first + i, row.tobytes()) for i, row in enumerate(rows)))


def reading(store: Path, batch: int, repeats: int) -> dict[str, float]:
    """Return the CPU-milliseconds to read so many rows at random places, by several ways."""
    from seqdiff.data import Store

    opened = Store(store)
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, opened.n, batch) for _ in range(repeats)]
    found = {}

    def timed(name: str, read) -> None:
        for part in rows[:2]:
            read(part)
        start = time.process_time()
        for part in rows:
            read(part)
        found[name] = (time.process_time() - start) / repeats * 1e3

    timed("store", opened.tokens)
    try:
        import pyarrow as pa
    except ImportError:
        return found
    ends = np.concatenate([[0], opened.ends])
    tokens = np.memmap(store / "tokens", np.uint8, mode="r")
    path = store.with_suffix(".arrow")
    column = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), opened.n, [None, pa.py_buffer(ends.astype(np.int64)), pa.py_buffer(tokens)]
    )
    part = pa.record_batch([column], names=["tokens"])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, part.schema) as writer:
        writer.write_batch(part)
    arrow = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).column(0)
    timed("arrow", lambda part: np.frombuffer(arrow.take(pa.array(part)).buffers()[2], np.uint8))
    path.unlink()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--length", type=int, default=250)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=16, help="of the network: small, so that reading counts")
    parser.add_argument("--in-memory", type=int, default=50_000, help="sequences that are fitted in memory beside it")
    parser.add_argument("--plain", action="store_true", help="FASTA that is not compressed")
    parser.add_argument("--folder", help="where the files go; default: a temporary folder")
    args = parser.parse_args()
    begin()
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        path, store = folder / f"big.fasta{'' if args.plain else '.gz'}", folder / "big.store"
        write_fasta(path, args.n, args.length)
        size = os.path.getsize(path) / 1e6
        print(f"{path.name}: {args.n:,} sequences of {args.length} letters, {size:,.0f} MB")
        empty = run(NOTHING)
        print(f"imports alone: {empty['rss']:,.0f} MB resident")
        made = run(PREPARE.format(path=str(path), store=str(store)))
        rate = args.n / made["cpu"]
        print(f"prepare: {made['cpu']:.1f} CPU-s ({rate:,.0f} sequences/s), {made['rss']:,.0f} MB resident at most")
        fit = run(FIT.format(X=repr(str(store)), steps=args.steps, width=args.width))
        found = (
            f"{fit['ready']:.1f} CPU-s to step 20, {fit['step']:.2f} ms a step, {fit['rss']:,.0f} MB resident at most"
        )
        print(f"fit: {found}")
        rows = f"np.arange({min(args.n, args.in_memory)})"
        memory = run(
            FIT.format(X=f"seqdiff.data.Store({str(store)!r}).strings({rows})", steps=args.steps, width=args.width)
        )
        ratio = fit["step"] / memory["step"]
        print(f"the first {args.in_memory:,} in memory: {memory['step']:.2f} ms a step; ratio {ratio:.3f}")
        for batch in (128, 4096):
            ways = reading(store, batch, 200 if batch == 128 else 20)
            print(f"{batch} rows: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in ways.items()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
