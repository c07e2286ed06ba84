"""How fast seqdiff is on a GPU, and whether it learns the same there: one command, under 8 minutes.

    python benchmarks/gpu.py --out figures     # on the machine with the GPU
    python benchmarks/gpu.py --small           # on a CPU, to see that all works
    python benchmarks/gpu.py --wheels          # what a machine with Python 3.12, torch and numpy alone lacks

Training: every generator with two networks takes the same steps on the CPU and on the device, in float32 and with the
same seed, though not the same noise; "bits CPU" and "bits" are what they then need for a letter of other sequences,
and "same weights" is by how much the device's bits of the CPU's weights differ (exact for Autoregressive, elsewhere of
another noise). Then a step at the default precision: its milliseconds, of them in the network (forward, backward), in
the process (noise, loss) and in the rest (batch, optimizer, average); how often it waits for the device; memory; the
speed of its matrix products as a share of that of one large product on the same device.

Generators and guides: sequences a second of models that have hardly learned, as their speed does not depend on it, of
as many at once as a few seconds allow. Guides take 32 steps, as do the unguided samples that they are compared with.

A row that fails says why and the others go on; what there is no time left for says so.
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
import warnings
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
"""Modules that may be wanted beside torch and numpy, and their wheels; of those that are not, none is asked for."""
GIVEN = ("torch", "numpy")

MODELS = (
    "MaskedDiffusion", "Autoregressive", "UniformDiffusion", "MultinomialDiffusion", "DirichletFM", "SCUD",
    "EmbeddingDiffusion", "ClassicalDiffusion", "DistilledFM",
)  # fmt: skip
NETWORKS = ("conv", "transformer")
TRAINING = ("model", "network", "bits CPU", "bits", "same weights", "step ms", "network ms", "process ms", "rest ms",
            "waits", "MiB", "of peak", "note")  # fmt: skip
SPEED = ("model", "letters", "n", "sequences/s", "note")
GUIDED = ("guide", "model", "letters", "n", "sequences/s", "of unguided", "note")
SHARES = (0.40, 0.14, 0.18, 0.14, 0.14)  # of the time, for the sections in their order


class OutOfTime(Exception):
    """There is no time left for a row, or it took more than its share."""


# -- what is missing --------------------------------------------------------------------------------------------------


def closure(*names: str) -> set[str]:
    """Return the distributions that these need, themselves included, as far as they are installed."""
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
    """Return what is needed beside torch and numpy, as ``name==version``: where all is installed, what was imported."""
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
    """Return the command that fetches the wheels of Python 3.12 on Linux, and of nothing that they need in turn."""
    places = "--platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64"
    options = f"--no-deps --only-binary=:all: --implementation cp --python-version 3.12 {places} -d wheels"
    return f"python -m pip download {options} {shlex.join(names)}"


def load() -> None:
    """Use a little of everything, so that what is imported late is, too, or raise an ImportError."""
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
    """Leave with one sentence where a module is missing."""
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
    """The time that is left, and how much of it a row may take."""

    def __init__(self, seconds: float) -> None:
        self.start, self.seconds, self.end = time.monotonic(), seconds, seconds

    @property
    def spent(self) -> float:
        return time.monotonic() - self.start

    @property
    def left(self) -> float:
        """Seconds until the section has to end."""
        return self.end - self.spent

    def fill(self, row: dict[str, Any], seconds: float, work: Callable[[], None]) -> dict[str, Any]:
        """Return the row after `work` has filled it in, for at most so long; what goes wrong is noted in it."""
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
        except Exception as error:  # the others go on
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
    """Return random DNA, and of half of it "box", as TATAAT stands in its middle."""
    import numpy as np

    rng = np.random.default_rng(seed)
    x = rng.choice(list("ACGT"), size=(n, length), p=[0.3, 0.2, 0.2, 0.3])
    box = rng.random(n) < 0.5
    x[box, length // 2 - 3 : length // 2 + 3] = list("TATAAT")
    return ["".join(row) for row in x], np.where(box, "box", "none").tolist()


class Bench:
    """Sizes, and models that have hardly learned, kept for all who ask for them.

    Parameters
    ----------
    device : torch.device
    small : bool
        Whether only to see that all works.
    """

    def __init__(self, device: Any, small: bool) -> None:
        self.device, self.small = device, small
        self.sizes: dict[str, Any] = {"width": 8, "depth": 1, "batch_size": 16} if small else {}
        self.common = self.sizes | {"savepath": None, "verbose": 0, "random_state": 0}
        self.batch = 16 if small else 128
        self.letters = (12, 20) if small else (50, 500)
        self.steps = 4 if small else 60
        self.kept: dict[tuple[Any, ...], Any] = {}

    def make(self, name: str, network: str, **options: Any) -> Any:
        import seqdiff

        return getattr(seqdiff, name)(**self.common | {"network": network} | options)

    def fit(self, name: str, network: str, data: Any, *, steps: int, **options: Any) -> Any:
        """Return a generator that has taken so many steps; a student's teacher takes a few, too."""
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
        """Return a generator of sequences of so many letters that knows labels."""
        key = (name, letters)
        if key not in self.kept:
            data = promoters(2 * self.batch, letters)
            self.kept[key] = self.fit(name, "conv", data, steps=2, device=str(self.device))
        return self.kept[key]

    def classifier(self, name: str, letters: int, hidden: bool = False) -> Any:
        from seqdiff import SequenceClassifier

        key = (name, letters, hidden)
        if key not in self.kept:
            model = self.model(name, letters)
            sizes = {"width": 8, "depth": 1} if self.small else {}
            made = SequenceClassifier(noise_like=model, hidden=hidden, epochs=1, **sizes)
            self.kept[key] = made.fit(*promoters(2 * self.batch, letters))
        return self.kept[key]


# -- training ---------------------------------------------------------------------------------------------------------


class Held(BaseException):
    """Carries the trainer out of `fit`, before it trains."""


@contextlib.contextmanager
def holding() -> Iterator[list[Any]]:
    """Yield a list for the next trainer whose `fit` is called, which then raises `Held`."""
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


class Step:
    """A training step of an estimator on a device, put together as `fit` does it, and its parts."""

    def __init__(self, bench: Bench, name: str, network: str) -> None:
        import torch

        from seqdiff import runtime

        self.device, self.runtime = bench.device, runtime
        X, y = promoters(4 * bench.batch, bench.letters[0])
        options: dict[str, Any] = {"epochs": 1000, "device": str(bench.device)}
        if name == "DistilledFM":
            teacher = bench.fit("DirichletFM", network, (X, y), steps=2, device=str(bench.device))
            with holding() as kept:
                bench.make(name, network, pairs=len(X), teacher_steps=4, **options).fit(teacher)
        else:
            with holding() as kept:
                bench.make(name, network, **options).fit(X, y, validation=None)
        self.trainer = kept[0]
        self.trainer.objective.requires_grad_(True).train()
        rows = min(bench.batch, len(self.trainer.train))
        self.rows = torch.arange(rows, device=self.device)
        self.batch = self.trainer.train.take(self.rows)
        self.calls: list[tuple[Any, Any]] = []
        self._record()

    def _record(self) -> None:
        """Keep what the network is called with in one loss."""
        network = self.trainer.objective.network
        handle = network.register_forward_pre_hook(
            lambda module, args, kwargs: self.calls.append((args, kwargs)), with_kwargs=True
        )
        self.loss()
        handle.remove()
        self.calls = [(detached(args), detached(kwargs)) for args, kwargs in self.calls]

    def whole(self) -> None:
        trainer = self.trainer
        trainer.loss_sum += trainer._step(trainer.train.take(self.rows), 0)
        trainer.step += 1

    def loss(self) -> None:
        """The loss and its gradient."""
        objective, settings = self.trainer.objective, self.trainer.settings
        with self.runtime.autocast(self.device, settings.precision):
            losses = sum(objective(self.batch, self.trainer._generator).values())
        losses.sum().backward()

    def network(self) -> None:
        """What of it is the network alone."""
        network, settings = self.trainer.objective.network, self.trainer.settings
        for args, kwargs in self.calls:
            with self.runtime.autocast(self.device, settings.precision):
                logits = network(*args, **kwargs)
            logits.float().sum().backward()

    def milliseconds(self, part: Callable[[], None], n: int, turns: int) -> float:
        found = []
        for turn in range(-1, turns):  # the first is to get ready
            self.runtime.synchronize(self.device)
            start = time.perf_counter()
            for _ in range(n):
                part()
            self.runtime.synchronize(self.device)
            if turn >= 0:
                found.append(1e3 * (time.perf_counter() - start) / n)
        return statistics.median(found)

    def waits(self) -> tuple[int, list[str]] | None:
        """Return how often a step waits for the device, and at which lines; None on a CPU."""
        import torch

        if self.device.type != "cuda":
            return None
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self.whole()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        lines = [f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]
        return len(lines), sorted(set(lines))

    def operations(self) -> float:
        """Return the floating-point operations of the network's matrix products in a step."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self.network()
        return float(counter.get_total_flops())


def detached(values: Any) -> Any:
    from torch.utils._pytree import tree_map

    return tree_map(lambda v: v.detach() if hasattr(v, "detach") else v, values)


def peak(device: Any, small: bool) -> float:
    """Return the operations a second of a large matrix product, of the type that training takes."""
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


def bits(model: Any, data: Any) -> float:
    """Return bits per letter of labelled sequences by the bound, or by the loss where there is none."""
    import torch

    from seqdiff import runtime

    prepared = model._read(*data)
    device = next(model.objective_.parameters()).device
    batch = model.fitted().vocabulary.batch(prepared, device)
    generator = runtime.generator_for(device, 0, "bits")
    with torch.no_grad(), runtime.autocast(device, "float32", exact=True):
        total, _ = model.objective_.bound(batch.take(slice(None)), 20, generator)
    return float(total.sum()) / float(batch.lengths.sum()) / math.log(2)


def same_weights(model: Any, device: Any, data: Any) -> float:
    """Return by how much the bits of a CPU's model differ on the device; of the same noise only where there is none."""
    import seqdiff

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        there = seqdiff.load(path, device=str(device))
    return bits(there, data) - bits(model, data)


def train(bench: Bench, row: dict[str, Any], fastest: float, memory: bool) -> None:
    """Fill in a row of the table of training."""
    import torch

    name, network = row["model"], row["network"]
    data = promoters(bench.batch * bench.steps // 2, bench.letters[0])
    step = Step(bench, name, network)
    n, turns = (1, 1) if bench.small else (10, 3)
    whole, loss, alone = (step.milliseconds(part, n, turns) for part in (step.whole, step.loss, step.network))
    row |= {"step ms": whole, "network ms": alone, "process ms": loss - alone, "rest ms": whole - loss}
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
    model = bench.fit(name, network, data, device="cpu", **exact)
    row["bits CPU"] = model.evaluations_["bits_per_letter"][-1]
    if name != "DistilledFM":  # whose sequences come with their noise
        row["same weights"] = same_weights(model, bench.device, bench.validation(bench.letters[0]))


# -- sampling ---------------------------------------------------------------------------------------------------------


def rate(bench: Bench, clock: Clock, generate: Callable[[int], Any]) -> tuple[int, float]:
    """Return the largest number of sequences at once that takes a few seconds, and how many a second that makes."""
    from seqdiff import runtime

    generate(2)  # to get ready
    best, before = (0, 0.0), 0.0
    for n in (4,) if bench.small else (16, 128, 1024, 4096):
        runtime.synchronize(bench.device)
        start = time.perf_counter()
        generate(n)
        runtime.synchronize(bench.device)
        took = time.perf_counter() - start
        best = (n, n / took)
        growth = max(1.5, took / before) if before else 2.0  # few sequences take as long as some more
        if growth * took > min(6.0, clock.left):
            break
        before = took
    return best


def count_a(sequences: list[str]) -> list[int]:
    """Return a reward that costs nothing itself."""
    return [s.count("A") for s in sequences]


def guides(bench: Bench, letters: int) -> list[tuple[str, str, Callable[[], dict[str, Any]]]]:
    """Return a guide's name, a model's, and what to give to `generate`, made when it is asked for."""
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
    """Fill in how many sequences a second a model makes."""
    model = bench.model(row["model"], row["letters"])
    row["n"], row["sequences/s"] = rate(bench, clock, lambda n: model.generate(n, random_state=0, **options))


def steer(bench: Bench, clock: Clock, row: dict[str, Any], make: Callable[[], Any], unguided: dict[str, float]) -> None:
    """Fill in the same with a guide, and how much that is of what the model makes without."""
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
    """Return where and with what this runs."""
    import torch

    if commit is None:
        asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        with contextlib.suppress(OSError):
            commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    on_gpu = device.type == "cuda"
    return {
        "card": torch.cuda.get_device_name(device) if on_gpu else platform.processor() or platform.machine(),
        "commit": commit or "unknown", "device": str(device), "cores": os.cpu_count(),
        "threads": torch.get_num_threads(), "python": platform.python_version(), "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }  # fmt: skip


class Report:
    """Rows, printed as they come, and written whole after each section."""

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
    """Run all sections in the time there is."""
    from seqdiff import runtime

    device = runtime.choose_device(args.device)
    clock, bench = Clock(60 * args.minutes), Bench(device, args.small)
    report = Report(machine(device, args.commit), args.out)
    models = [name for name in MODELS if name in args.models.split(",")]
    shares = iter([sum(SHARES[: i + 1]) for i in range(len(SHARES))])

    def section() -> None:
        clock.end = next(shares) * clock.seconds

    section()
    fastest = peak(device, args.small)
    report.about["matrix product, TFLOP/s"] = round(fastest / 1e12, 2)
    for network in args.networks.split(","):
        for name in models:
            row: dict[str, Any] = {"model": name, "network": network}
            work = partial(train, bench, row, fastest, device.type == "cuda")
            report.add("Training", TRAINING, clock.fill(row, 45, work))
    report.write()
    for letters in bench.letters:
        section()
        for name in models:
            row = {"model": name, "letters": letters}
            report.add("Generators", SPEED, clock.fill(row, 30, partial(generate, bench, clock, row)))
        report.write()
        section()
        unguided: dict[str, float] = {}
        for guide, name, make in guides(bench, letters):
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
    parser.add_argument("--small", action="store_true", help="small sizes, to see that all works")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", default=",".join(MODELS), help="which, with commas between")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="which to train, with commas between")
    parser.add_argument("--minutes", type=float, default=7.5, help="how long it may take in all")
    parser.add_argument("--out", metavar="FOLDER", help="write gpu.md and gpu.json there, after each section")
    parser.add_argument("--commit", help="what to name the commit where there is no git")
    parser.add_argument("--wheels", action="store_true", help="print the command that fetches the wheels it needs")
    args = parser.parse_args()
    if args.wheels:
        print(download_line(wheels()))
        return
    check_modules()
    if unknown := set(args.models.split(",")) - set(MODELS):
        raise SystemExit(f"--models: got {', '.join(sorted(unknown))}, expected some of {', '.join(MODELS)}")
    print("\n" + measure(args).text())


if __name__ == "__main__":
    main()
