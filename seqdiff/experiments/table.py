"""From results to a table: a DataFrame for programs, Markdown for readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.evaluation import compare_table
from seqdiff.experiments.judge import Judge, Result

if TYPE_CHECKING:
    import pandas as pd

NATURAL = "natural sequences"
TABLE_COLUMNS = [
    "bits", "error", "bound", "monte_carlo", "spread", "above", "above_error", "kmer_js", "kmer_js_ratio", "copied",
    "unique", "seconds", "cpu_seconds", "sequences_per_second", "seeds", "baseline", "status", "run_dir",
]  # fmt: skip


def make_table(results: Sequence[Result], judge: Judge, reference: str | None = None) -> pd.DataFrame:
    """Return the table of `seqdiff.compare`; figures of several seeds are averaged.

    Parameters
    ----------
    results : sequence of Result
        Also unfinished ones.
    judge : Judge
    reference : str, optional
        The row that the others are compared with; None takes the best contestant so far.
    """
    import pandas as pd

    nats = {r.name: np.mean(r.nats, axis=0) for r in results if r.nats}
    pieces: Any = [judge.test.alphabet.split(s) for s in judge.test.sequences]  # a letter may have two characters
    letters = float(judge.test.lengths.sum()) * np.log(2)
    if reference is None or reference not in nats:
        contestants = [r.name for r in results if r.name in nats and not r.baseline]
        reference = max(contestants or list(nats), key=lambda name: float(nats[name].sum()), default=None)
    bits = compare_table(nats, pieces, reference) if nats else pd.DataFrame()
    rows: dict[str, dict[str, Any]] = {}
    for r in results:
        row: dict[str, Any] = dict.fromkeys(TABLE_COLUMNS)
        row |= {"seeds": r.seeds, "baseline": r.baseline, "status": r.status, "bound": r.bound or "none"}
        row["run_dir"] = ", ".join(r.run_dirs) or None
        if r.name in nats:
            row |= bits.loc[r.name].to_dict()
            row["monte_carlo"] = float(np.sqrt(np.square(r.monte_carlo).sum())) / len(r.nats) / letters
            if len(r.nats) > 1:
                row["spread"] = float(np.std([x.sum() / letters for x in r.nats], ddof=1))
        for name in ("kmer_js", "kmer_js_ratio", "copied", "unique"):
            row[name] = _mean([figures[name] for figures in r.quality])
        row["seconds"], row["cpu_seconds"] = _mean(r.seconds), _mean(r.cpu_seconds)
        row["sequences_per_second"] = _mean(r.rate)
        rows[r.name] = row
    table = pd.DataFrame.from_dict(rows, orient="index", columns=TABLE_COLUMNS)
    figures = [column for column in TABLE_COLUMNS if column not in ("bound", "seeds", "baseline", "status", "run_dir")]
    table[figures] = table[figures].astype(float)
    table.index.name = "model"
    table.attrs = {
        "reference": reference,
        "k": judge.k,
        "samples": judge.samples,
        "train": len(judge.parts.train),
        "validation": len(judge.parts.valid),
        "test": len(judge.test),
        "split": judge.parts.how,
    }
    return table


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def markdown(table: pd.DataFrame) -> str:
    """Return the table of `seqdiff.compare` in Markdown, aligned, so that it can be read in a terminal too.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"bits": 1.9, "bound": "elbo", "status": "done", "seeds": 1, "baseline": False}
    >>> print(markdown(pd.DataFrame([row], index=["MaskedDiffusion"])))
    | model           | bits per letter |
    |:----------------|----------------:|
    | MaskedDiffusion |  at most 1.9000 |
    """
    columns: dict[str, list[str]] = {"model": [str(name) for name in table.index]}
    rows = [row for _, row in table.reindex(columns=TABLE_COLUMNS).iterrows()]
    columns["bits per letter"] = [_bits(row) for row in rows]
    if "spread" in table and table["spread"].notna().any():
        columns["spread of seeds"] = [_number(row["spread"], 4) for row in rows]
    if "above" in table:
        columns[f"above {table.attrs.get('reference') or 'the best'}"] = [
            _number(row["above"], 4, row["above_error"]) for row in rows
        ]
    if "kmer_js" in table and table["kmer_js"].notna().any():
        columns[f"{table.attrs.get('k', 'k')}-mer JS"] = [_number(row["kmer_js"], 4) for row in rows]
        columns["ratio to nature"] = [_number(row["kmer_js_ratio"], 2) for row in rows]
        for name in ("copied", "unique"):
            columns[name] = [_number(100 * row[name], 1) + "%" * bool(row[name] == row[name]) for row in rows]
        columns["written per s"] = [_number(row["sequences_per_second"], 0) for row in rows]
    if "cpu_seconds" in table:
        columns["CPU-s to fit"] = [_number(row["cpu_seconds"], 1) for row in rows]
    if any(row["status"] != "done" for row in rows):
        columns["remark"] = [
            "" if row["status"] == "done" else str(row["status"]).replace("|", "/").replace("\n", " ") for row in rows
        ]
    widths = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}
    left = {"model", "remark"}
    lines = [[name.ljust(w) if name in left else name.rjust(w) for name, w in widths.items()]]
    lines += [
        [
            cell.ljust(w) if name in left else cell.rjust(w)
            for cell, (name, w) in zip(cells, widths.items(), strict=True)
        ]
        for cells in zip(*columns.values(), strict=True)
    ]
    rule = "|".join(":" + "-" * (w + 1) if name in left else "-" * (w + 1) + ":" for name, w in widths.items())
    text = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([text[0], f"|{rule}|", *text[1:]])


def _number(value: Any, digits: int, error: Any = None) -> str:
    if value is None or value != value:
        return ""
    shown = f"{value:.{digits}f}"
    if error is None or error != error:
        return shown
    return shown + f" +- {error:.{digits}f}"


def _bits(row: pd.Series) -> str:
    if row["bound"] == "none" and row["status"] == "done" and not row["baseline"]:
        return "no likelihood"
    shown = _number(row["bits"], 4, row["error"])
    return f"at most {shown}" if shown and row["bound"] == "elbo" else shown


def caption(table: pd.DataFrame) -> str:
    """Return what has to be known to read the table."""
    a = table.attrs
    lines = [
        f"{a['train']:,} sequences to learn from, {a['validation']:,} to choose by, {a['test']:,} to judge by "
        f"(split: {a['split']}).",
        "Bits per letter of held-out sequences with their standard error" + _bounds(table),
    ]
    if table["above"].notna().any():
        lines.append(
            f'"Above" compares sequence by sequence with {a["reference"]}; '
            "its standard error is that of the difference."
        )
    if a["samples"]:
        lines.append(
            f"{a['k']}-mer JS: divergence between {a['samples']:,} written and natural sequences in bits, equal "
            "numbers of both; the ratio to that of natural from other natural ones is 1 at best. A Markov chain that "
            "stores the k-mer counts of what it learned from can fall below."
        )
    return "\n".join(lines)


def _bounds(table: pd.DataFrame) -> str:
    found = table.loc[(table["bound"] == "elbo") & table["bits"].notna(), "monte_carlo"]
    return f'; "at most" is a bound, known to +- {found.max():.4f} (Monte Carlo).' if len(found) else "."
