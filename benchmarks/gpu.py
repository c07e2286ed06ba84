"""Speed of seqdiff on a GPU, and comparison of its training with the CPU: one command, under 8 minutes.

    python benchmarks/gpu.py --out results     # on the machine with the GPU
    python benchmarks/gpu.py --small           # on a CPU, a quick check
    python benchmarks/gpu.py --wheels          # packages missing on a machine with Python 3.12, torch, numpy

Training: every generator with two networks takes the same steps on the CPU and on the device, in float32 and with the
same seed, but not with the same noise. "bits CPU" and "bits" are the resulting bits per letter on other sequences.
"same weights" is the mean difference in bits between the device and the CPU for the CPU's weights, over six draws of
the noise (the same only for Autoregressive), "+-" its standard error. The other columns are of a step at the default
precision: its milliseconds; those of a step whose kernels are launched one by one from Python ("launched"; else a step
is recorded, then repeated by one command), with the parts of the network (forward, backward), of the process (noise,
loss) and of the rest (batch, optimizer, average); "recording", the milliseconds that recording takes once; "recorded -
launched", the largest difference in bits between the losses of the two, epoch by epoch, from the same seed in float32;
the number of waits for the device; memory; and the rate of its matrix products as a share of the rate of one large
product on the same device.

Several shapes: trainings on sequences of two lengths, so that the batches have several widths, where more than the one
shape of `Recordings.MOST` is recorded. On an H100 a second recording failed once.

Generators and guides: sequences per second of barely trained models, because the rate does not depend on training, for
the largest number of sequences that takes a few seconds. Guided samples and the unguided ones for comparison take 32
steps.

A row that fails has the reason as its note, and the other rows continue; rows without time left say so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # seqdiff need not be installed

NEEDED = {
    "scipy": "scipy", "pandas": "pandas", "dateutil": "python-dateutil", "six": "six", "sklearn": "scikit-learn",
    "joblib": "joblib", "threadpoolctl": "threadpoolctl", "narwhals": "narwhals", "safetensors": "safetensors",
    "tqdm": "tqdm", "filelock": "filelock", "linear_attention_transformer": "linear-attention-transformer",
    "axial_positional_embedding": "axial-positional-embedding", "colt5_attention": "CoLT5-attention",
    "einops": "einops", "hyper_connections": "hyper-connections", "linformer": "linformer",
    "local_attention": "local-attention", "product_key_memory": "product-key-memory", "packaging": "packaging",
    "cloudpickle": "cloudpickle", "charset_normalizer": "charset-normalizer", "Bio": "biopython",
}  # fmt: skip
"""Modules that may be needed beside torch and numpy, and their wheels."""
GIVEN = ("torch", "numpy")

MODELS = (
    "MaskedDiffusion", "Autoregressive", "UniformDiffusion", "MultinomialDiffusion", "DirichletFM", "SCUD",
    "EmbeddingDiffusion", "ClassicalDiffusion", "DistilledFM",
)  # fmt: skip
NETWORKS = ("conv", "transformer")
TRAINING = ("model", "network", "bits CPU", "bits", "same weights", "+-", "recorded - launched", "step ms",
            "recording ms", "launched ms", "network ms", "process ms", "rest ms", "waits", "MiB",
            "of peak", "note")  # fmt: skip
SHAPES = ("model", "network", "shapes", "recorded", "failure", "note")
SPEED = ("model", "letters", "n", "sequences/s", "note")
GUIDED = ("guide", "model", "letters", "n", "sequences/s", "of unguided", "note")
SHARES = {"training": 0.40, "generators": 0.14, "guides": 0.16}
"""Of the time, for the sections; the latter two are for short and for long sequences."""


class OutOfTime(Exception):
    """No time is left for a row, or it took more than its share."""


# -- missing packages -------------------------------------------------------------------------------------------------


def closure(*names: str) -> set[str]:
    """Return the installed distributions that the named ones require, themselves included."""
    found: set[str] = set()
    left = [plain(name) for name in names]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            for line in importlib.metadata.requires(name) or []:
                if "extra ==" not in line:
                    left.append(plain(re.match(r"[\w.-]+", line)[0]))  # type: ignore[index]
    return found


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wheels() -> list[str]:
    """Return the packages needed beside torch and numpy: those imported, as ``name==version``, if all are installed."""
    try:
        load()
    except ImportError:
        return sorted(set(NEEDED.values()))
    given, wanted = closure(*GIVEN), closure("seqdiff")
    packages = importlib.metadata.packages_distributions()
    imported = {plain(d) for name in list(sys.modules) for d in packages.get(name.split(".")[0], [])}
    names = sorted((imported & wanted) - given - {"seqdiff"})
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def download_line(names: list[str]) -> str:
    """Return the command that downloads the wheels of Python 3.12 on Linux, without their requirements."""
    places = "--platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64"
    options = f"--no-deps --only-binary=:all: --implementation cp --python-version 3.12 {places} -d wheels"
    return f"python -m pip download {options} {shlex.join(names)}"


def load() -> None:
    """Import seqdiff and all modules that it imports lazily, or raise an ImportError."""
    from seqdiff import SCUD, MaskedDiffusion, SequenceClassifier
    from seqdiff.guidance import ClassifierBased

    tiny: dict[str, Any] = {"width": 8, "depth": 1, "epochs": 1, "device": "cpu", "verbose": 0}
    X, y = promoters(16, 8)
    for make in (SCUD, MaskedDiffusion):
        model = make(savepath=None, **tiny).fit(X, y)
        model.score_samples(X[:2], times=1)
    classifier = SequenceClassifier(noise_like=model, **tiny).fit(X, y)
    model.generate(2, guidance=ClassifierBased(classifier, "box"), forbid="GGTCTC")


def check_modules() -> None:
    """Exit with one sentence if a module is missing."""
    try:
        load()
    except ModuleNotFoundError as error:
        missing = {wheel for module, wheel in NEEDED.items() if importlib.util.find_spec(module) is None}
        names = sorted(missing | {NEEDED.get(error.name or "", error.name or "")})
        raise SystemExit(
            f"modules: got none of {', '.join(names)}, expected all of them; on a machine with a network run "
            "`python benchmarks/gpu.py --wheels`, then here `python -m pip install --no-index --no-deps wheels/*.whl`"
        ) from None


# -- time -------------------------------------------------------------------------------------------------------------


class Clock:
    """Remaining time of the run and of a section, and time limits of rows."""

    def __init__(self, seconds: float) -> None:
        self.start, self.seconds, self.end = time.monotonic(), seconds, seconds

    @property
    def spent(self) -> float:
        return time.monotonic() - self.start

    @property
    def left(self) -> float:
        """Seconds until the end of the section."""
        return self.end - self.spent

    def fill(self, row: dict[str, Any], seconds: float, work: Callable[[], None]) -> dict[str, Any]:
        """Return the row filled in by `work` within a time limit; a failure is added as its note."""
        limit = min(seconds, self.left)
        if limit <= 0:
            return row | {"note": "no time left"}
        alarm = hasattr(signal, "SIGALRM")
        if alarm:
            before = signal.signal(signal.SIGALRM, self._stop)
            signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            work()
        except OutOfTime:
            row["note"] = f"stopped after {limit:.0f} s"
        except Exception as error:  # the other rows continue
            traceback.print_exc()
            row["note"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        finally:
            if alarm:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
        return row

    @staticmethod
    def _stop(*_: Any) -> None:
        raise OutOfTime


# -- data and models --------------------------------------------------------------------------------------------------


def promoters(n: int, length: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return random DNA and labels: "box" for the half with TATAAT in the middle."""
    import numpy as np

    rng = np.random.default_rng(seed)
    x = rng.choice(list("ACGT"), size=(n, length), p=[0.3, 0.2, 0.2, 0.3])
    box = rng.random(n) < 0.5
    x[box, length // 2 - 3 : length // 2 + 3] = list("TATAAT")
    return ["".join(row) for row in x], np.where(box, "box", "none").tolist()


class Bench:
    """Sizes, and a cache of barely trained models and classifiers.

    Parameters
    ----------
    device : torch.device
    small : bool
        True for a quick check.
    """

    def __init__(self, device: Any, small: bool) -> None:
        self.device, self.small = device, small
        self.sizes: dict[str, Any] = {"width": 8, "depth": 1, "batch_size": 16} if small else {}
        self.common = self.sizes | {"savepath": None, "verbose": 0, "random_state": 0}
        self.batch = 16 if small else 128
        self.launches = 1 if small else 15  # steps until a step that can be recorded is
        self.letters = (12, 20) if small else (50, 500)
        self.steps = 4 if small else 40
        self.cache: dict[tuple[Any, ...], Any] = {}

    def make(self, name: str, network: str, **options: Any) -> Any:
        import seqdiff

        return getattr(seqdiff, name)(**self.common | {"network": network} | options)

    def fit(self, name: str, network: str, data: Any, *, steps: int, **options: Any) -> Any:
        """Return a generator trained for about `steps` steps; the teacher of a student is trained as long."""
        X, y = data
        rows = max(1, len(X) // self.batch)
        options = {"epochs": max(1, steps // rows), "ema": 0.9, "warmup": 0} | options
        if name != "DistilledFM":
            return self.make(name, network, **options).fit(X, y, validation=self.validation(len(X[0])))
        teacher = self.make("DirichletFM", network, **options).fit(X, y, validation=None)
        student = self.make(name, network, pairs=len(X), teacher_steps=8, **options)
        return student.fit(teacher, validation=0.1)

    def validation(self, length: int) -> Any:
        return promoters(32 if self.small else 256, length, seed=1)

    def model(self, name: str, letters: int) -> Any:
        """Return a conditional generator of sequences of `letters` letters."""
        key = (name, letters)
        if key not in self.cache:
            data = promoters(2 * self.batch, letters)
            self.cache[key] = self.fit(name, "conv", data, steps=2, device=str(self.device))
        return self.cache[key]

    def classifier(self, name: str, letters: int, hidden: bool = False) -> Any:
        from seqdiff import SequenceClassifier

        key = (name, letters, hidden)
        if key not in self.cache:
            model = self.model(name, letters)
            sizes = {"width": 8, "depth": 1} if self.small else {}
            made = SequenceClassifier(noise_like=model, hidden=hidden, epochs=1, **sizes)
            self.cache[key] = made.fit(*promoters(2 * self.batch, letters))
        return self.cache[key]


# -- training ---------------------------------------------------------------------------------------------------------


class Held(BaseException):
    """Raised by a patched `Trainer.fit` to leave an estimator's `fit` before training."""


@contextlib.contextmanager
def holding() -> Iterator[list[Any]]:
    """Yield a list that receives the next trainer whose `fit` is called; that call raises `Held`."""
    from seqdiff.training import Trainer

    kept: list[Any] = []
    before = Trainer.fit

    def hold(self: Any) -> Any:
        kept.append(self)
        raise Held

    Trainer.fit = hold  # type: ignore[method-assign]
    try:
        with contextlib.suppress(Held):
            yield kept
    finally:
        Trainer.fit = before  # type: ignore[method-assign]


def trainer_of(fit: Callable[[], Any]) -> Any:
    """Return the trainer that an estimator's `fit` makes, ready to train."""
    with holding() as kept:
        fit()
    kept[0].objective.requires_grad_(True).train()  # a fit that is left freezes it
    return kept[0]


class Step:
    """Training step of an estimator on a device, set up by its `fit`, and the parts of the step."""

    def __init__(self, bench: Bench, name: str, network: str) -> None:
        import torch

        from seqdiff import runtime

        self.device, self.runtime = bench.device, runtime
        X, y = promoters(4 * bench.batch, bench.letters[0])
        options: dict[str, Any] = {"epochs": 1000, "device": str(bench.device)}
        if name == "DistilledFM":
            teacher = bench.fit("DirichletFM", network, (X, y), steps=2, device=str(bench.device))
            student = bench.make(name, network, pairs=len(X), teacher_steps=4, **options)
            self.trainer = trainer_of(lambda: student.fit(teacher))
        else:
            model = bench.make(name, network, **options)
            self.trainer = trainer_of(lambda: model.fit(X, y, validation=None))
        rows = min(bench.batch, len(self.trainer.train))
        self.rows = torch.arange(rows, device=self.device)
        self.batch = self.trainer.train.take(self.rows)
        self.calls: list[tuple[Any, Any]] = []
        self._record()

    def _record(self) -> None:
        """Record the arguments of the network in one loss."""
        network = self.trainer.objective.network
        handle = network.register_forward_pre_hook(
            lambda module, args, kwargs: self.calls.append((args, kwargs)), with_kwargs=True
        )
        self.loss()
        handle.remove()
        self.calls = [(detached(args), detached(kwargs)) for args, kwargs in self.calls]

    def whole(self) -> None:
        trainer = self.trainer
        trainer.loss_sum += trainer._step(self.rows, 0)
        trainer.step += 1

    def record(self, launches: int) -> float | None:
        """Take steps until the step is recorded; return the milliseconds of recording, or None where it is not."""
        recordings, found = self.trainer._recordings, []
        before = self.runtime.record

        def timed(*args: Any) -> Any:
            start = time.perf_counter()
            recorded = before(*args)
            found.append(1e3 * (time.perf_counter() - start))
            return recorded

        self.runtime.record = timed
        try:
            for _ in range(launches):
                self.whole()
        finally:
            self.runtime.record = before
        self.failure = recordings.failure
        return found[0] if found and recordings.possible else None

    def loss(self) -> None:
        """Compute the loss and its gradient."""
        objective, settings = self.trainer.objective, self.trainer.settings
        with self.runtime.autocast(self.device, settings.precision):
            losses = sum(objective(self.batch, self.trainer._generator).values())
        losses.sum().backward()

    def network(self) -> None:
        """Compute the network and its gradient for the recorded arguments."""
        network, settings = self.trainer.objective.network, self.trainer.settings
        for args, kwargs in self.calls:
            with self.runtime.autocast(self.device, settings.precision):
                logits = network(*args, **kwargs)
            logits.float().sum().backward()

    def milliseconds(self, part: Callable[[], None], n: int, turns: int) -> float:
        found = []
        for turn in range(-1, turns):  # the first turn is a warm-up
            self.runtime.synchronize(self.device)
            start = time.perf_counter()
            for _ in range(n):
                part()
            self.runtime.synchronize(self.device)
            if turn >= 0:
                found.append(1e3 * (time.perf_counter() - start) / n)
        return statistics.median(found)

    def waits(self) -> tuple[int, list[str]] | None:
        """Return the number of waits for the device in a launched step, and their lines; None on a CPU."""
        if self.device.type != "cuda":
            return None
        with launching(self.trainer._recordings):  # a recorded step runs few of the lines
            _, lines = self.runtime.waits_of(self.whole)
        return len(lines), sorted({Path(line).name for line in lines})

    def operations(self) -> float:
        """Return the number of floating-point operations of the network's matrix products in a step."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self.network()
        return float(counter.get_total_flops())


def detached(values: Any) -> Any:
    from torch.utils._pytree import tree_map

    return tree_map(lambda v: v.detach() if hasattr(v, "detach") else v, values)


def peak(device: Any, small: bool) -> float:
    """Return the operations per second of a large matrix product in the type of training."""
    import torch

    from seqdiff import runtime

    size = 256 if small else 8192
    x = torch.ones(size, size, device=device)
    with runtime.autocast(device, "auto"):
        (x @ x).sum()
        runtime.synchronize(device)
        y, start, n = x.to((x @ x).dtype), time.perf_counter(), 10
        for _ in range(n):
            _ = y @ y
        runtime.synchronize(device)
    return n * 2 * size**3 / (time.perf_counter() - start)


def bits(model: Any, data: Any, seed: int = 0) -> float:
    """Return bits per letter of labelled sequences by the bound, or by the loss for models without a bound."""
    import torch

    from seqdiff import runtime
    from seqdiff.data import prepare

    prepared = prepare(*data, alphabet=model.alphabet_)
    device = next(model.objective_.parameters()).device
    batch = model.fitted().vocabulary.batch(prepared, device)
    generator = runtime.generator_for(device, seed, "bits")
    with torch.no_grad(), runtime.autocast(device, "float32", exact=True):
        total, _ = model.objective_.bound(batch.take(slice(None)), 20, generator)
    return float(total.sum()) / float(batch.lengths.sum()) / math.log(2)


def same_weights(model: Any, device: Any, data: Any, draws: int) -> tuple[float, float]:
    """Return the mean difference in bits of a CPU's model on the device, over draws of the noise, and its error.

    The noise of the two differs, except for exact likelihoods.
    """
    import seqdiff

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        there = seqdiff.load(path, device=str(device))
    found = [bits(there, data, seed) - bits(model, data, seed) for seed in range(draws)]
    return statistics.mean(found), statistics.stdev(found) / math.sqrt(draws)


@contextlib.contextmanager
def launching(recordings: Any = None) -> Iterator[None]:
    """Let these recordings, or all that are made inside, record nothing."""
    from seqdiff import runtime

    owner, name = (runtime.Recordings, "MOST") if recordings is None else (recordings, "possible")
    before = getattr(owner, name)
    setattr(owner, name, 0 if recordings is None else False)
    try:
        yield
    finally:
        setattr(owner, name, before)


def train(bench: Bench, row: dict[str, Any], fastest: float, memory: bool) -> None:
    """Fill in a row of the training table."""
    import torch

    name, network = row["model"], row["network"]
    data = promoters(bench.batch * bench.steps // 2, bench.letters[0])
    step = Step(bench, name, network)
    n, turns = (1, 1) if bench.small else (10, 3)
    with launching(step.trainer._recordings):
        whole, loss, alone = (step.milliseconds(part, n, turns) for part in (step.whole, step.loss, step.network))
    row |= {"launched ms": whole, "network ms": alone, "process ms": loss - alone, "rest ms": whole - loss}
    row["recording ms"] = step.record(bench.launches)
    if step.failure is not None:
        row["note"] = f"not recorded: {step.failure}"
    row["step ms"] = whole = step.milliseconds(step.whole, n, turns)
    if (waits := step.waits()) is not None:
        row["waits"], row["waits at"] = waits
    if memory:
        torch.cuda.reset_peak_memory_stats()
        step.whole()
        row["MiB"] = torch.cuda.max_memory_allocated() / 2**20
    row["of peak"] = step.operations() / (whole / 1e3) / fastest
    exact = {"steps": bench.steps, "precision": "float32"}
    model = bench.fit(name, network, data, device=str(bench.device), **exact)
    row["bits"] = model.evaluations_["bits_per_letter"][-1]
    if row["recording ms"] is not None:
        with launching():
            other = bench.fit(name, network, data, device=str(bench.device), **exact)
        pairs = zip(model.history_["bits_per_letter"], other.history_["bits_per_letter"], strict=True)
        row["recorded - launched"] = max(abs(a - b) for a, b in pairs)
    model = bench.fit(name, network, data, device="cpu", **exact)
    row["bits CPU"] = model.evaluations_["bits_per_letter"][-1]
    if name != "DistilledFM":  # its data are pairs of noise and sequences
        found = same_weights(model, bench.device, bench.validation(bench.letters[0]), 2 if bench.small else 6)
        row["same weights"], row["+-"] = found


def shapes(bench: Bench, row: dict[str, Any]) -> None:
    """Fill in how many shapes were recorded, where half of the batches are narrower, and what went wrong."""
    X, _ = promoters(bench.batch * (4 if bench.small else 20), bench.letters[0])
    X = [x if i % (2 * bench.batch) == 0 else x[: -bench.letters[0] // 4] for i, x in enumerate(X)]
    model = bench.make(row["model"], row["network"], epochs=3, device=str(bench.device))
    trainer = trainer_of(lambda: model.fit(X, validation=None))
    recordings = trainer._recordings
    recordings.MOST = 9
    try:
        trainer.fit()
    finally:
        row["recorded"] = sum(shape.repeat is not None for shape in recordings._shapes.values())
        row["shapes"], row["failure"] = len(recordings._shapes), recordings.failure


# -- sampling ---------------------------------------------------------------------------------------------------------


def rate(bench: Bench, clock: Clock, generate: Callable[[int], Any]) -> tuple[int, float]:
    """Return the largest number of sequences per call that takes a few seconds, and the sequences per second."""
    from seqdiff import runtime

    generate(2)  # warm-up
    best, before = (0, 0.0), 0.0
    for n in (4,) if bench.small else (16, 128, 1024, 4096):
        runtime.synchronize(bench.device)
        start = time.perf_counter()
        generate(n)
        runtime.synchronize(bench.device)
        took = time.perf_counter() - start
        best = (n, n / took)
        growth = max(1.5, took / before) if before else 2.0  # the time of few sequences is mostly overhead
        if growth * took > min(6.0, clock.left):
            break
        before = took
    return best


def count_a(sequences: list[str]) -> list[int]:
    """Return a reward of negligible cost."""
    return [s.count("A") for s in sequences]


def guides(bench: Bench, letters: int) -> list[tuple[str, str, Callable[[], dict[str, Any]]]]:
    """Return the name of a guide, of a model, and a function that returns the arguments of `generate`."""
    from seqdiff import guidance as g

    template = "N" * (letters // 2 - 3) + "TATAAT" + "N" * (letters - letters // 2 - 3)
    sets = "R" * 6 + "N" * (letters - 6)

    def by(name: str, guide: Callable[..., Any], hidden: bool = False, **more: Any) -> Callable[[], dict[str, Any]]:
        return lambda: {"guidance": guide(bench.classifier(name, letters, hidden), "box", 2.0, **more)}

    return [
        ("template", "MaskedDiffusion", lambda: {"template": template}),
        ("forbid", "MaskedDiffusion", lambda: {"forbid": "GGTCTC"}),
        ("ClassifierFree", "MaskedDiffusion", lambda: {"y": "box", "guidance": g.ClassifierFree(2.0)}),
        ("ClassifierBased", "MaskedDiffusion", by("MaskedDiffusion", g.ClassifierBased)),
        ("ClassifierBased", "SCUD", by("SCUD", g.ClassifierBased)),
        ("ClassifierBased", "DirichletFM", by("DirichletFM", g.ClassifierBased)),
        ("NOS", "MaskedDiffusion", by("MaskedDiffusion", g.NOS, hidden=True)),
        ("Reward, 8 particles", "MaskedDiffusion", lambda: {"guidance": g.Reward(count_a, particles=8)}),
        ("LookAhead, 8 particles", "UniformDiffusion", lambda: {"guidance": g.LookAhead(8), "template": sets}),
        ("LatentClassifier", "EmbeddingDiffusion", by("EmbeddingDiffusion", g.LatentClassifier)),
        ("FUDGE", "Autoregressive", by("Autoregressive", g.FUDGE)),
        ("PPLM", "Autoregressive", by("Autoregressive", g.PPLM, hidden=True)),
        ("ClassifierBased, exact", "UniformDiffusion", by("UniformDiffusion", g.ClassifierBased, exact=True)),
    ]


def generate(bench: Bench, clock: Clock, row: dict[str, Any], **options: Any) -> None:
    """Fill in the sequences per second of a model."""
    model = bench.model(row["model"], row["letters"])
    row["n"], row["sequences/s"] = rate(bench, clock, lambda n: model.generate(n, random_state=0, **options))


def steer(bench: Bench, clock: Clock, row: dict[str, Any], make: Callable[[], Any], unguided: dict[str, float]) -> None:
    """Fill in the sequences per second with a guide, and their ratio to those without."""
    name = row["model"]
    steps = {} if name == "Autoregressive" else {"steps": 4 if bench.small else 32}
    generate(bench, clock, row, **steps, **make())
    if name not in unguided:
        alone: dict[str, Any] = {"model": name, "letters": row["letters"]}
        generate(bench, clock, alone, **steps)
        unguided[name] = alone["sequences/s"]
    row["of unguided"] = row["sequences/s"] / unguided[name]


# -- the table --------------------------------------------------------------------------------------------------------


def cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return "" if value is None else str(value)


def table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Return rows as a table in markdown."""
    lines = [f"## {title}", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(row.get(column)).replace("|", "/") for column in columns) + " |" for row in rows]
    return "\n".join([*lines, ""])


def machine(device: Any, commit: str | None) -> dict[str, Any]:
    """Return the description of the machine."""
    import torch

    if commit is None:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        with contextlib.suppress(OSError):
            commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    on_gpu = device.type == "cuda"
    return {
        "card": torch.cuda.get_device_name(device) if on_gpu else platform.processor() or platform.machine(),
        "commit": commit or "unknown", "device": str(device), "cores": os.cpu_count(),
        "threads": torch.get_num_threads(), "python": platform.python_version(), "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }  # fmt: skip


class Report:
    """Tables: each row is printed when it is added, all tables are written after each section."""

    def __init__(self, about: dict[str, Any], out: str | None) -> None:
        self.about, self.out = about, out
        self.tables: dict[str, tuple[tuple[str, ...], list[dict[str, Any]]]] = {}
        self.say("# seqdiff: " + ", ".join(f"{k} {v}" for k, v in about.items() if v is not None))

    def say(self, text: str) -> None:
        print(text, flush=True)

    def add(self, title: str, columns: tuple[str, ...], row: dict[str, Any]) -> None:
        self.tables.setdefault(title, (columns, []))[1].append(row)
        self.say(f"{title}: " + "  ".join(f"{c} {cell(row[c])}" for c in columns if row.get(c) is not None))

    def text(self) -> str:
        head = ", ".join(f"{k} {v}" for k, v in self.about.items() if v is not None)
        return "\n".join([head, "", *(table(title, *rest) for title, rest in self.tables.items())])

    def write(self) -> None:
        if self.out is not None:
            folder = Path(self.out)
            folder.mkdir(parents=True, exist_ok=True)
            tables = {title: rows for title, (_, rows) in self.tables.items()}
            for name, text in (
                ("gpu.md", self.text()),
                ("gpu.json", json.dumps({"machine": self.about, **tables}, indent=1)),
            ):
                temporary = folder / f".{name}.tmp"
                temporary.write_text(text + "\n")
                os.replace(temporary, folder / name)


def measure(args: argparse.Namespace) -> Report:
    """Run all sections within the time limit."""
    from seqdiff import runtime

    device = runtime.choose_device(args.device)
    clock, bench = Clock(60 * args.minutes), Bench(device, args.small)
    report = Report(machine(device, args.commit), args.out)
    models = [name for name in MODELS if name in args.models.split(",")]
    sections = args.sections.split(",")
    bench.letters = tuple(int(n) for n in args.letters.split(",")) if args.letters else bench.letters
    parts = [(name, letters) for letters in bench.letters for name in ("generators", "guides") if name in sections]
    every = [("training", 0)] * ("training" in sections) + parts
    whole = sum(SHARES[name] for name, _ in every)
    clock.end = 0.0

    def section(name: str) -> bool:
        clock.end += SHARES[name] / whole * clock.seconds if name in sections else 0
        return name in sections

    fastest = peak(device, args.small)
    report.about["matrix product, TFLOP/s"] = round(fastest / 1e12, 2)
    for network in args.networks.split(",") if section("training") else ():
        for name in models:
            row: dict[str, Any] = {"model": name, "network": network}
            work = partial(train, bench, row, fastest, device.type == "cuda")
            report.add("Training", TRAINING, clock.fill(row, 45, work))
    for name in models if "training" in sections else ():
        row = {"model": name, "network": "conv"}
        if name not in ("DistilledFM", "EmbeddingDiffusion"):
            report.add("Several shapes", SHAPES, clock.fill(row, 20, partial(shapes, bench, row)))
    report.write()
    for letters in bench.letters:
        for name in models if section("generators") else ():
            row = {"model": name, "letters": letters}
            report.add("Generators", SPEED, clock.fill(row, 30, partial(generate, bench, clock, row)))
        report.write()
        unguided: dict[str, float] = {}
        for guide, name, make in guides(bench, letters) if section("guides") else ():
            if name in models:
                row = {"guide": guide, "model": name, "letters": letters}
                work = partial(steer, bench, clock, row, make, unguided)
                report.add("Guides", GUIDED, clock.fill(row, 25, work))
        report.write()
    report.about["seconds"] = round(clock.spent)
    report.write()
    return report


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="small sizes, a quick check")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", default=",".join(MODELS), help="names, separated by commas")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="networks to train, separated by commas")
    parser.add_argument("--sections", default=",".join(SHARES), help="sections to run, separated by commas")
    parser.add_argument("--letters", help="lengths of the sequences to train on and to generate, separated by commas")
    parser.add_argument("--minutes", type=float, default=7.5, help="time limit of the whole run")
    parser.add_argument("--out", metavar="FOLDER", help="write gpu.md and gpu.json there, after each section")
    parser.add_argument("--commit", help="name of the commit, for a machine without git")
    parser.add_argument("--wheels", action="store_true", help="print the command that downloads the required wheels")
    args = parser.parse_args()
    if args.wheels:
        print(download_line(wheels()))
        return
    check_modules()
    for option, known in {"models": MODELS, "networks": NETWORKS, "sections": SHARES}.items():
        if unknown := set(getattr(args, option).split(",")) - set(known):
            raise SystemExit(f"--{option}: got {', '.join(sorted(unknown))}, expected some of {', '.join(known)}")
    print("\n" + measure(args).text())


if __name__ == "__main__":
    main()
