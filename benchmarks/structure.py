"""Measure the structure of the package: its size, the path of a call through it, and duplicate definitions.

    python benchmarks/structure.py

Lines, functions, `Any` and imports are read from the source. The files and frames of a call are recorded with
`sys.setprofile`; the depth of `generate` is counted from the reverse loop to the network's `forward`.
"""

from __future__ import annotations

import argparse
import ast
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import seqdiff
from seqdiff.guidance import ClassifierFree, Reward

PACKAGE = Path(seqdiff.__file__).resolve().parent
COMMON = ("batch_size", "lr_schedule", "lr_decay", "warmup", "weight_decay", "update_freq", "patience", "eval_every",
          "check_every", "label_dropout", "ambiguous", "sequence_column", "savepath", "model_name")  # fmt: skip
PROCESSES = {"Autoregressive", "CategoricalProcess", "Classical", "Clean", "ContinuousTime", "DirichletFlow",
             "DistilledFlow", "Embedding", "FirstHitting", "LinearFlow", "Masked", "Multinomial", "SimplexFlow",
             "Uniform", "UniformNoise"}  # fmt: skip

Function = ast.FunctionDef | ast.AsyncFunctionDef


def docstring_lines(tree: ast.AST) -> int:
    """Return the number of docstring lines of a module, those of attributes included."""
    found = [n.value for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
             and isinstance(n.value.value, str)]  # fmt: skip
    return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in found)


def places(name: str, tree: ast.Module) -> int:
    """Count the definitions of a parameter in a module: in a signature, as a field, as text, in a docstring."""
    found = 0
    for node in ast.walk(tree):
        if isinstance(node, Function):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            found += any(argument.arg == name for argument in arguments)
        elif isinstance(node, ast.ClassDef):
            found += any(
                isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.target.id == name
                for part in node.body
            )
        elif isinstance(node, ast.Constant) and node.value == name:
            found += 1
        if isinstance(node, (ast.ClassDef, ast.Module, Function)):
            entries = [line.strip().split(" :")[0].split(", ") for line in (ast.get_docstring(node) or "").splitlines()]
            found += any(name in entry for entry in entries)
    return found


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, module: str, known: set[str]) -> Iterator[str]:
    """Yield the modules of seqdiff that a module imports anywhere, also in functions and for types only."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            found = name if name in known else name.rpartition(".")[0]
            if found in known and found != module:
                yield found


def cycles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Return the import cycles: strongly connected components of several modules, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[set[str]] = []

    def visit(v: str) -> None:
        index[v] = low[v] = len(index)
        stack.append(v)
        for w in edges[v]:
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in stack:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            group = set()
            while not group or v not in group:
                group.add(stack.pop())
            groups.append(group)

    for v in edges:
        if v not in index:
            visit(v)
    return [group for group in groups if len(group) > 1]


def arguments(tree: ast.AST) -> tuple[int, int]:
    """Return the numbers of arguments annotated `Any` and of all arguments, without self and cls."""
    any_, total = 0, 0
    for node in ast.walk(tree):
        if isinstance(node, Function):
            a = node.args
            for argument in [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]:
                if argument is not None and argument.arg not in ("self", "cls"):
                    total += 1
                    any_ += isinstance(argument.annotation, ast.Name) and argument.annotation.id == "Any"
    return any_, total


def process_checks(tree: ast.AST) -> int:
    """Count the checks for classes of processes by `isinstance`, `issubclass` or a dispatch by type."""
    found = 0
    for node in ast.walk(tree):
        asked: list[ast.expr] = []
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            asked = node.args[1:]
        elif isinstance(node, Function) and any("register" in ast.unparse(d) for d in node.decorator_list):
            asked = [node.decorator_list[0], *[a.annotation for a in node.args.args[:1] if a.annotation]]
        found += any(isinstance(n, ast.Name) and n.id in PROCESSES for a in asked for n in ast.walk(a))
    return found


def traced(call: Callable[[], Any]) -> tuple[int, int]:
    """Return the number of seqdiff's files on the path of a call, and its largest depth from loop to network."""
    files: set[str] = set()
    deepest = 0
    network = tuple(str(PACKAGE / "networks" / name) for name in ("convnet.py", "layers.py"))

    def watch(frame: FrameType, event: str, _: Any) -> None:
        nonlocal deepest
        name = frame.f_code.co_filename
        if event != "call" or not name.startswith(str(PACKAGE)):
            return
        files.add(name)
        if name in network and frame.f_code.co_name in ("forward", "advance", "hidden"):
            depth, at = 0, frame.f_back
            while at is not None and at.f_code.co_name != "trajectory":
                depth += at.f_code.co_filename.startswith(str(PACKAGE)) and "/networks/" not in at.f_code.co_filename
                at = at.f_back
            deepest = max(deepest, depth) if at is not None else deepest

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return len(files), deepest


def calls() -> Iterator[tuple[str, int, int]]:
    """Yield the name of a call, its number of files and its depth."""
    X = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"] * 8
    y = ["a", "t"] * 16
    model = seqdiff.MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0, device="cpu")
    yield "fit", *traced(lambda: model.fit(X, y))
    four = {
        "y": "a", "template": "NNNTAC", "forbid": "GGG",
        "guidance": [ClassifierFree(2.0), Reward(lambda sequences: [s.count("A") for s in sequences])],
    }  # fmt: skip
    yield "generate", *traced(lambda: model.generate(4, random_state=0))
    yield "generate, four guides", *traced(lambda: model.generate(4, random_state=0, **four))
    yield "score_samples", *traced(lambda: model.score_samples(X))


def main() -> None:
    """Run the benchmark and print its results."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    warnings.simplefilter("ignore")
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    texts = {path: path.read_text(encoding="utf-8").splitlines() for path in trees}
    lines = sum(map(len, texts.values()))
    documented = sum(map(docstring_lines, trees.values()))
    empty = sum(not line.strip() or line.lstrip().startswith("#") for text in texts.values() for line in text)
    functions = sum(isinstance(node, Function) for tree in trees.values() for node in ast.walk(tree))
    counts = [arguments(tree) for tree in trees.values()]
    any_, total = (sum(count[i] for count in counts) for i in range(2))
    known = {module_of(path) for path in trees}
    edges = {module_of(path): set(imported(tree, module_of(path), known)) for path, tree in trees.items()}
    written = {name: sum(places(name, tree) for tree in trees.values()) for name in COMMON}
    outside = {path: tree for path, tree in trees.items() if path.parent.name != "processes"}
    print(f"files                              {len(trees)}")
    print(f"lines                              {lines:,}")
    print(f"  docstrings                       {documented:,}")
    print(f"  empty or comments                {empty:,} (also in docstrings)")
    print(f"functions per 1,000 lines          {1000 * functions / lines:.1f}")
    print(f"arguments typed Any                {100 * any_ / total:.1f}% of {total:,}")
    guides = [arguments(tree) for path, tree in trees.items() if "guidance" in path.parts]
    print(f"  in guidance/                     {100 * sum(g[0] for g in guides) / sum(g[1] for g in guides):.1f}%")
    groups = cycles(edges)
    print(f"import cycles                      {len(groups)}" + "".join(f"; {', '.join(sorted(g))}" for g in groups))
    print(f"places that define a parameter     mean {sum(written.values()) / len(written):.1f}, most "
          + ", ".join(f"{n} ({c})" for n, c in sorted(written.items(), key=lambda item: -item[1])[:3]))  # fmt: skip
    print(f"checks for process classes outside processes/   {sum(map(process_checks, outside.values()))}")
    for name, files, frames in calls():
        print(f"{name:<34} {files} files" + (f", {frames} frames from loop to network" if frames else ""))


if __name__ == "__main__":
    main()
