"""Long use: logs stay small, and many fits in one process leave neither memory nor files open."""

from __future__ import annotations

import gc
import io
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from seqdiff import MaskedDiffusion, runtime
from seqdiff.datasets import load_sigma70


def bar_lines(seconds: float, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> int:
    """Return how many lines a bar writes whose steps take half a second each."""
    stream: Any = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    clock = [0.0]
    bar = runtime.progress(int(2 * seconds), "step", 1, file=stream)
    bar._time = lambda: clock[0]
    bar.last_print_t = bar.start_t = 0.0
    for _ in range(int(2 * seconds)):
        clock[0] += 0.5
        bar.update(1)
    bar.close()
    return stream.getvalue().count("step")


def test_a_bar_in_a_log_is_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A week is ten thousand of them; a terminal sees every step that takes half a second."""
    assert 55 <= bar_lines(3600, monkeypatch, terminal=False) <= 65
    assert bar_lines(600, monkeypatch, terminal=True) > 1000


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux lists them")
def test_a_thousand_fits_leak_nothing(workdir: Path) -> None:
    """After a hundred that fill what is kept for all."""
    X = load_sigma70(12)
    sizes, open_files = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(1100):
            MaskedDiffusion(width=8, depth=1, epochs=1, verbose=0, model_name=f"run{i}").fit(X).generate(2, steps=2)
            if i % 500 == 99:
                gc.collect()
                open_files.append(len(list(Path("/proc/self/fd").iterdir())))
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                sizes.append(pages * resource.getpagesize() / 2**20)
    assert open_files[0] == open_files[1] == open_files[2]
    assert sizes[2] - sizes[1] < 20, sizes  # MiB for five hundred fits: less than the weights of any
