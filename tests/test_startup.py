"""Imports of the package and its command line: libraries are loaded when needed, all names are available."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import seqdiff
from seqdiff.cli import main
from seqdiff.cli.app import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[1]
OPTIONAL = {"Bio", "linear_attention_transformer", "logomaker", "matplotlib", "pooch", "rapidfuzz", "tensorboard"}
OPTIONAL |= {"huggingface_hub", "tokenizers", "torch.utils.tensorboard", "seqdiff.cli", "seqdiff.experiments.demo"}
HEAVY = OPTIONAL | {"numpy", "pandas", "scipy", "sklearn", "torch"}


def loaded(*codes: str, folder: Path) -> list[set[str]]:
    """Return the modules that a fresh Python process has after each piece of code."""
    asked = "\nimport sys\nprint('\\nmodules', *sys.modules)\n"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", asked.join([*codes, ""])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [set(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("modules ")]


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    """`import seqdiff` alone needs no library."""
    (modules,) = loaded("import seqdiff; dir(seqdiff)", folder=tmp_path)
    assert modules & HEAVY == set()


def test_an_estimator_loads_torch_scikit_learn_and_nothing_else(tmp_path: Path) -> None:
    """Neither a generator nor what stands beside it loads what scikit-learn does not load itself."""
    needed = "import torch, sklearn.base, sklearn.utils.metaestimators, tqdm.auto, safetensors.torch, filelock"
    build = "from seqdiff.networks import NETWORKS, Conditions\nNETWORKS['{}'](4, 4, 30, Conditions(), True, width=32)"
    before, models, conv, linear = loaded(
        needed,
        "from seqdiff import MaskedDiffusion, SequenceClassifier, compare\nMaskedDiffusion()",
        build.format("conv"),
        build.format("linear-transformer"),
        folder=tmp_path,
    )
    assert "seqdiff.estimators.masked" in models and models & OPTIONAL == set()
    assert {name for name in models - before if name.split(".")[0] in ("pandas", "scipy", "sklearn")} == set()
    library = "linear_attention_transformer"
    assert library not in conv and library in linear


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nothing"]])
def test_help_loads_no_torch(arguments: list[str], tmp_path: Path) -> None:
    """The list of commands, the version and a miswritten command answer at once."""
    code = f"from seqdiff.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass"
    (modules,) = loaded(code, folder=tmp_path)
    assert modules & (HEAVY | {"tqdm"}) == {"seqdiff.cli"}


def test_command_list_shows_the_first_sentence_of_each_help() -> None:
    """The listed sentence is the first one of the command's own help."""
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None and command.name == name
        assert COMMANDS[name][1] == " ".join((command.help or "").split("\n\n")[0].split())
    assert main.get_command(context, "nothing") is None


def test_all_exports_are_available(tmp_path: Path) -> None:
    """`dir`, star imports, folders as attributes and type checkers know the same names."""
    assert set(seqdiff.__all__) <= set(dir(seqdiff))
    stars: dict[str, object] = {}
    exec("from seqdiff import *", stars)
    assert set(seqdiff.__all__) <= set(stars)
    assert all(stars[name] is getattr(seqdiff, name) for name in seqdiff.__all__)
    for folder in ("data", "datasets", "estimators", "evaluation", "guidance", "networks", "processes", "training"):
        assert getattr(seqdiff, folder) is sys.modules[f"seqdiff.{folder}"]
    loaded("import seqdiff\nassert seqdiff.data.cluster_split and seqdiff.datasets.load_sigma70", folder=tmp_path)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        seqdiff.nothing  # noqa: B018

    tree = ast.parse(Path(seqdiff.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = [alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(typed) == sorted(seqdiff.__all__)
