"""Start-up time: CPU-seconds of `import seqdiff`, of a first estimator, and of `seqdiff --help`.

    python benchmarks/startup.py                        # this folder's package
    python benchmarks/startup.py ../before . --rounds 9 # two checkouts side by side

Each value is the median of user and system time of new Python processes. The commands take turns, so other work on the
machine affects all of them alike. `import torch` is one of them, as the unit.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = {
    "import seqdiff": ["-c", "import seqdiff"],
    "from seqdiff import MaskedDiffusion": ["-c", "from seqdiff import MaskedDiffusion"],
    "seqdiff --help": ["-m", "seqdiff", "--help"],
    "seqdiff fit --help": ["-m", "seqdiff", "fit", "--help"],
}
UNITS = {
    "import torch": ["-c", "import torch"],
    "import torch, sklearn.base": ["-c", "import torch, sklearn.base"],
}


def cpu_seconds(arguments: list[str], checkout: Path, folder: str) -> float:
    """Return user and system time of one Python process that imports seqdiff from a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path(__file__).resolve().parents[1]])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    jobs = {(name, ""): (arguments, given.checkouts[0]) for name, arguments in UNITS.items()}
    for checkout in given.checkouts:
        jobs |= {(name, checkout.resolve().name): (arguments, checkout) for name, arguments in COMMANDS.items()}
    seconds: dict[tuple[str, str], list[float]] = {job: [] for job in jobs}
    with tempfile.TemporaryDirectory() as folder:  # so that no package of the current folder is imported
        for turn in range(given.rounds + 1):
            for job, (arguments, checkout) in jobs.items():
                taken = cpu_seconds(arguments, checkout, folder)
                if turn:  # the first round fills the disk's cache
                    seconds[job].append(taken)
    unit = statistics.median(seconds["import torch", ""])
    print("| command | checkout | CPU-s | over `import torch` |")
    print("|---|---|---|---|")
    for (name, checkout), taken in seconds.items():
        median = statistics.median(taken)
        print(f"| `{name}` | {checkout} | {median:.2f} | {median / unit:.2f} |")


if __name__ == "__main__":
    main()
