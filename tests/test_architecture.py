"""Import rules between the folders of the package, and rules of single places, checked on the source.

Ground floor (alphabets, data, processes, networks, runtime, ranks, parameters, errors): nothing of seqdiff outside the
own folder, save runtime, ranks, parameters, errors and for data the alphabets.

Middle (guidance, sampling, training, runs, evaluation, design, rewards, model, files): the ground floor and each other.
Top (estimators, classifiers, experiments, datasets, cli): everything. CONTRIBUTING.md says why.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = sorted((REPOSITORY / "seqdiff").rglob("*.py"))

GROUND = {"alphabets", "data", "inputs", "processes", "networks", "parameters", "ranks", "runtime", "errors"}
MIDDLE = {"guidance", "sampling", "training", "runs", "evaluation", "design", "rewards", "model", "files", "hub"}
TOP = {"estimators", "classifiers", "experiments", "datasets", "cli", "__init__", "__main__"}
MAX_LINES = 900

# Draws that use torch's global generator where they are given none.
DRAWS = {"bernoulli", "multinomial", "normal", "poisson", "rand", "randint", "randn", "randperm"}
DRAWS |= {"rand_like", "randint_like", "randn_like"}
DRAWS_IN_PLACE = {"bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "uniform_"}
DRAWS_IN_PLACE |= {"random_"}
# numpy.random's own functions draw from its global state; these make a generator.
NUMPY_GENERATORS = {"BitGenerator", "Generator", "PCG64", "Philox", "RandomState", "SeedSequence", "default_rng"}
# Settings that a whole Python process shares.
SETTERS = {
    "manual_seed",
    "manual_seed_all",
    "seed",
    "set_default_device",
    "set_default_dtype",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "set_num_threads",
    "set_rng_state",
    "use_deterministic_algorithms",
}
# Devices, precision and compilation: questions that only runtime.py asks; ranks.py asks which GPU is whose.
MACHINE = {"amp", "autocast", "backends", "compile", "cuda", "distributed", "mps"}
UNPICKLERS = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "pandas.read_pickle"}


def dotted(node: ast.AST, aliases: dict[str, str]) -> str:
    """Return the full name that an expression such as `np.random.seed` stands for, "" where it is no name."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, aliases)
        return f"{base}.{node.attr}" if base else ""
    return ""


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str, str]]:
    """Yield line, full name and local name of everything imported, wherever in the file; relative names resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                yield node.lineno, a.name, a.asname or a.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for a in node.names:
                yield node.lineno, f"{module}.{a.name}", a.asname or a.name


def allowed_rooms(room: str) -> set[str]:
    """Return the rooms that one room may import."""
    if room in GROUND:
        return {room, "ranks", "runtime", "errors", "inputs", "parameters"} | (
            {"alphabets"} if room == "data" else set()
        )
    return GROUND | MIDDLE if room in MIDDLE else GROUND | MIDDLE | TOP


def violations(path: str, source: str) -> list[str]:
    """Return one sentence for each broken rule. `path` counts from the repository: "seqdiff/data/reading.py"."""
    parts = path.removesuffix(".py").split("/")
    room, tree = parts[1], ast.parse(source)
    found: list[str] = []

    def say(line: int, text: str) -> None:
        found.append(f"{path}, line {line}: {text}")

    if room not in GROUND | MIDDLE | TOP:
        say(1, f"'{room}' is no room of the package; tests/test_architecture.py lists them")
    if (lines := source.count("\n")) > MAX_LINES:
        say(lines, f"a file is one idea and has at most {MAX_LINES} lines")

    aliases: dict[str, str] = {}
    for line, full, local in imports(tree, parts[:-1]):
        aliases[local] = full.split(".")[0] if local == full.split(".")[0] else full
        names = full.split(".")
        if names[0] == "seqdiff":
            # seqdiff itself holds the exports, so whatever is no room there comes from the top
            other = names[1] if len(names) > 1 and names[1] in GROUND | MIDDLE | TOP else "__init__"
            other = "runtime" if full == "seqdiff.__version__" and room in MIDDLE else other
            if other not in allowed_rooms(room):
                say(line, f"{room} imports {full}; it may import only {', '.join(sorted(allowed_rooms(room)))}")
        if names[0] == "random":
            say(line, "Python's random has one global state; take a torch.Generator or a numpy.random.Generator")

    # First weights, nn.init's and nn.Parameter(torch.randn(...)), are drawn inside runtime.py's seeded fork.
    first_weights: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func, aliases) == "torch.nn.Parameter":
            first_weights.update(ast.walk(node))

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and dotted(node.value, aliases) == "torch" and node.attr in MACHINE:
            if room not in ("runtime", "ranks"):
                say(node.lineno, f"torch.{node.attr} belongs in runtime.py")
        if isinstance(node, ast.Compare) and room != "runtime":  # device.type == "cuda" and its like
            left = node.left
            if isinstance(left, ast.Attribute) and left.attr == "type" and "device" in ast.unparse(left.value):
                say(node.lineno, "asks a device for its kind, which belongs in runtime.py")
        if not isinstance(node, ast.Call):
            continue
        name, line = dotted(node.func, aliases), node.lineno
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        library, _, last = name.rpartition(".")
        given = {k.arg: k.value for k in node.keywords}

        if name == "print" and room not in ("cli", "experiments"):
            say(line, "the library prints nothing; use logging or warnings")
        draws = (library == "torch" and last in DRAWS) or (method in DRAWS_IN_PLACE and library != "torch.nn.init")
        if draws and node not in first_weights and "generator" not in given:
            say(line, f"{method or last} draws from the global generator; pass generator=")
        if last == "gumbel_softmax":
            say(line, "gumbel_softmax draws from the global generator; add the noise yourself")
        if library == "numpy.random" and last not in NUMPY_GENERATORS and room != "runtime":  # which puts it back
            say(line, f"{name} uses numpy's global state; take a numpy.random.Generator")
        if library.split(".")[0] == "torch" and last in SETTERS and room != "runtime":
            say(line, f"{name} changes a setting of the whole process; only runtime.py may, and puts it back")
        weights_only = given.get("weights_only")
        if name == "torch.load" and not (isinstance(weights_only, ast.Constant) and weights_only.value is True):
            say(line, "torch.load runs whatever a file tells it to; pass weights_only=True")
        if name in UNPICKLERS or (name == "numpy.load" and "allow_pickle" in given):
            say(line, f"{name} runs whatever a file tells it to; no pickle is ever read")
    return found


@pytest.mark.parametrize("path", [file.relative_to(REPOSITORY).as_posix() for file in FILES])
def test_file_follows_the_import_rules(path: str) -> None:
    """No file of the package breaks a rule."""
    found = violations(path, (REPOSITORY / path).read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


def test_contributing_lists_every_room() -> None:
    """Its table has every room once, and none that is not there."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| room |") : text.index("Training is independent of")]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = [name.strip("`/") for cell in cells for name in cell.split()]
    rooms = {
        path.stem
        for path in (REPOSITORY / "seqdiff").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert (
        sorted(listed)
        == sorted(rooms - {"__init__", "__main__"})
        == sorted(GROUND | MIDDLE | TOP - {"__init__", "__main__"})
    )


def test_package_files_are_found() -> None:
    """The test above has found the package."""
    assert any(file.name == "runtime.py" for file in FILES)


DATA, SAMPLING, MULTI = "seqdiff/data/reading.py", "seqdiff/sampling.py", "seqdiff/processes/multinomial.py"
BROKEN = [
    # rooms
    (DATA, "from seqdiff.processes.base import State"),
    (DATA, "from ..processes.base import State"),
    (DATA, "from .. import processes"),
    (DATA, "import seqdiff.processes.base as base"),
    (DATA, "import seqdiff"),
    (DATA, "from seqdiff import SCUD"),
    (DATA, "def f():\n    from seqdiff.networks import build"),
    ("seqdiff/runtime.py", "from seqdiff.data import DNA"),
    (SAMPLING, "from seqdiff.estimators.base import Estimator"),
    (SAMPLING, "from seqdiff import datasets"),
    ("seqdiff/training/trainer.py", "from ..cli import main"),
    ("seqdiff/helpers.py", "x = 1"),
    (SAMPLING, "x = 1\n" * 901),
    # output
    (SAMPLING, "print('done')"),
    # randomness
    (MULTI, "import torch\nu = torch.rand(3)"),
    (MULTI, "import torch as th\nu = th.multinomial(p, 1)"),
    (MULTI, "from torch import randperm as shuffle\nu = shuffle(3)"),
    (MULTI, "u = x.clone().uniform_()"),
    (MULTI, "import torch\nfrom torch import nn\nu = nn.Linear(2, 2)(torch.randn(2))"),
    (MULTI, "import torch.nn.functional as F\nu = F.gumbel_softmax(x)"),
    (MULTI, "import random"),
    (MULTI, "from random import shuffle"),
    (MULTI, "import numpy as np\nu = np.random.rand(3)"),
    (MULTI, "import torch\ntorch.manual_seed(0)"),
    (MULTI, "import numpy as np\nnp.random.seed(0)"),
    (MULTI, "from numpy.random import seed\nseed(0)"),
    (MULTI, "import torch\ntorch.set_num_threads(1)"),
    (MULTI, "from torch import set_default_dtype\nset_default_dtype(d)"),
    (MULTI, "import torch\nd = torch.cuda.is_available()"),
    (MULTI, "import torch\ntorch.backends.cudnn.benchmark = True"),
    (MULTI, "wide = x.device.type != 'mps'"),
    # files that run code
    ("seqdiff/runs.py", "import torch\ntorch.load(f)"),
    ("seqdiff/runs.py", "import torch\ntorch.load(f, weights_only=False)"),
    ("seqdiff/runs.py", "import pickle\npickle.load(f)"),
    ("seqdiff/runs.py", "from pickle import loads\nloads(b)"),
    ("seqdiff/runs.py", "import numpy as np\nnp.load(f, allow_pickle=True)"),
]
KEPT = [
    (DATA, "from seqdiff.alphabets.alphabet import DNA\nfrom .alphabet import RNA\nfrom . import dataset"),
    (DATA, "from seqdiff.runtime import uniform\nfrom seqdiff import runtime"),
    (SAMPLING, "from seqdiff.processes import State\nfrom seqdiff.runs import Run\nfrom seqdiff import __version__"),
    ("seqdiff/estimators/base.py", "from ..runs import Run\nfrom seqdiff.datasets import load_sigma70\nimport seqdiff"),
    ("seqdiff/cli.py", "print('done')"),
    (SAMPLING, "x = 1\n" * 900),
    (MULTI, "import torch\nu = torch.rand(3, generator=g)\nv = x.uniform_(generator=g)"),
    (MULTI, "import torch\ng = torch.Generator().manual_seed(0)"),
    (MULTI, "from torch import nn\nnn.init.normal_(w, std=0.02)"),
    (MULTI, "import torch\nfrom torch import nn\nw = nn.Parameter(0.02 * torch.randn(3))"),
    (DATA, "import numpy as np\nrng = np.random.default_rng(0)\nrng.multinomial(3, p)"),
    ("seqdiff/runtime.py", "import torch\ntorch.manual_seed(0)\nx = torch.cuda.is_available()"),
    ("seqdiff/runtime.py", "import numpy as np\nnp.random.seed(0)"),
    ("seqdiff/runs.py", "import pickle, torch\npickle.dump(x, f)\ntorch.load(f, weights_only=True)"),
]


@pytest.mark.parametrize(("path", "source"), BROKEN)
def test_planted_violations_are_found(path: str, source: str) -> None:
    """Each planted violation is found, and found once."""
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(("path", "source"), KEPT)
def test_valid_code_passes(path: str, source: str) -> None:
    """Look-alikes of the violations are let through."""
    assert violations(path, source) == []
