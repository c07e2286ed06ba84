"""The demo's run folder: `demo`, emptied of what a former demo wrote there; never a folder that no demo made."""

from __future__ import annotations

import shutil
from pathlib import Path

from seqdiff.runs import Run
from seqdiff.runtime import replacing

MARK = "Written by seqdiff demo."


def claim(root: Path) -> str:
    """Return the name of the demo's run folder, made and marked, the files of a former demo removed."""
    if root.exists() and not root.is_dir():
        raise ValueError(f"savepath={str(root)!r} is a file, but a folder for the runs is wanted; give another name")
    number = 1
    while True:
        name = "demo" if number == 1 else f"demo-{number}"
        folder = root / name
        if not folder.exists() or (_is_demo(folder) and _clear(folder)):
            break
        number += 1
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    Run(folder).write_args({"estimator": "demo", "parameters": {}, "data": "", "status": "starting"})  # till fit does
    with replacing(folder / "samples" / "README.txt") as file:
        file.write_text(f"{MARK} The next demo replaces what this one wrote: copy what you want to keep.\n", "utf-8")
    return name


def _is_demo(folder: Path) -> bool:
    try:
        return (folder / "samples" / "README.txt").read_text(encoding="utf-8").startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False


def _clear(folder: Path) -> bool:
    """Remove what a former demo wrote and nothing else; False where it still runs."""
    run = Run(folder)
    try:
        run.acquire()
    except ValueError:
        return False
    try:
        for name in ("check", "tb"):
            shutil.rmtree(folder / name, ignore_errors=True)
        metrics = [f"metrics_{part}.{kind}" for part in ("train", "eval") for kind in ("pickle", "txt")]
        ours = [f"samples/{name}" for name in ("promoters.fasta", "sequences.fasta", "logo.png")]
        for name in ("args.json", "args.pickle", *metrics, *ours):
            (folder / name).unlink(missing_ok=True)
    finally:
        run.release()
    return True
