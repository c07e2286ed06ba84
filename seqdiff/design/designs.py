"""`Designs`: a table of generated sequences with their metrics, verdicts and origin, to look through and to order from.

`model.design` makes one; a table of sequences from anywhere becomes one by `Designs.read` or ``Designs(frame)``.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.data import Alphabet, resolve_alphabet
from seqdiff.data.files import as_cell
from seqdiff.data.reading import read_frame
from seqdiff.design.rules import DesignRules
from seqdiff.errors import InputError, argument, of_kind, shown
from seqdiff.inputs import PathLike, SequencesLike
from seqdiff.parameters import Whole
from seqdiff.runs import numbered
from seqdiff.runtime import replacing

if TYPE_CHECKING:
    import pandas as pd

    from seqdiff.design.library import Library

METRICS = ("bits_per_letter", "predicted", "predicted_sd", "nearest", "distance")
"""Columns that `model.design` measures, in their order; others of a table are a user's own."""
VERDICTS = ("passed", "reasons")
"""Columns that `Designs.check` writes: the verdict, and why not, empty where a sequence passes."""
OK = "_ok"
"""Ending of the columns of single rules: ``gc_ok`` is whether a sequence keeps the rule `gc`."""
ORIGIN = ("seed", "draw", "model")
"""Columns of where a sequence comes from: ``generate(n, random_state=seed)[draw]`` of the model with this digest."""
REASONS = "; "


@dataclass(frozen=True)
class Yield:
    """What became of the sequences that were sampled for designs.

    Parameters
    ----------
    sampled, passed : int
        Sequences that were sampled, and those that passed, without copies of one another.
    reasons : dict of str to int
        Sequences rejected by each rule, the commonest first; a sequence may count for several.
    rejected : DataFrame, optional
        Those that did not pass: `sequence`, `reasons`, `seed`, `draw`. Not kept in files.
    """

    sampled: int
    passed: int
    reasons: dict[str, int] = field(default_factory=dict)
    rejected: Any = None

    @classmethod
    def of(cls, sampled: int, passed: int, rejected: pd.DataFrame) -> Yield:
        """Return the counts, of which a rule is the part of a reason before its colon."""
        split = [{part.split(":")[0] for part in text.split(REASONS)} for text in rejected["reasons"]]
        counted = Counter(rule for rules in split for rule in sorted(rules))
        return cls(sampled, passed, dict(counted.most_common()), rejected)

    @property
    def rate(self) -> float:
        """Return the share of the sampled sequences that passed, 0 to 1."""
        return self.passed / self.sampled

    def __str__(self) -> str:
        """Return one clause."""
        common = ", ".join(f"{rule} {count:,}" for rule, count in [*self.reasons.items()][:4])
        why = f"; rejected by {common}" if common else ""
        return f"{self.passed:,} of {self.sampled:,} sampled sequences passed ({self.rate:.1%}){why}"


@dataclass(frozen=True, eq=False)
class Designs:
    """A table of designed sequences.

    ``designs[:10]``, ``designs[mask]`` and ``designs[[0, 3]]`` are designs with these rows, ``designs["distance"]`` is
    a column, ``len(designs)`` their number; ``designs.frame`` is the DataFrame.

    Parameters
    ----------
    frame : DataFrame
        A row for each sequence, with the columns `name` (unique) and `sequence`; others are optional. `model.design`
        adds `bits_per_letter` (of a model with a bound, an upper bound), `predicted` and `predicted_sd` (the
        predictor's value and the standard deviation of its error), `nearest` and `distance` (the nearest training
        sequence, and the edit distance to it in letters), a column of booleans for each rule (``gc_ok``), `passed`,
        `reasons`, and of the origin `seed`, `draw` and `model`.
    alphabet : Alphabet or str
        ``"auto"`` guesses it from the sequences.
    rules : DesignRules, optional
        The rules that the verdicts are of.
    made : Yield, optional
        What was sampled for the table.
    provenance : dict
        What an order is to tell of all designs, such as their generator.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqdiff.design import Designs
    >>> table = {"name": ["a", "b", "c"], "sequence": ["ACGTAC", "ACGGTA", "TTGACA"], "predicted": [1.0, 3.0, 2.0]}
    >>> designs = Designs(pd.DataFrame(table))
    >>> designs.best(2, "predicted").names
    ['b', 'c']
    >>> designs[designs["predicted"] > 1].sequences
    ['ACGGTA', 'TTGACA']
    """

    frame: pd.DataFrame
    alphabet: Alphabet | str = "auto"
    rules: DesignRules | None = None
    made: Yield | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import pandas as pd

        if not isinstance(self.frame, pd.DataFrame):
            raise InputError(argument("frame"), of_kind(self.frame), "a DataFrame", "give one, or use Designs.read")
        for column in ("name", "sequence"):
            if column not in self.frame:
                found = f"a table without the column {column!r}"
                wanted = "the columns 'name' and 'sequence'"
                raise InputError(argument("frame"), found, wanted, "rename a column, or use Designs.read")
        frame = self.frame.reset_index(drop=True)
        if len(twice := frame["name"][frame["name"].duplicated()]):
            raise InputError(
                argument("frame"), f"the name {shown(twice.iloc[0])} twice", "different names", "rename one"
            )
        object.__setattr__(self, "frame", frame)
        if not isinstance(self.alphabet, Alphabet):
            letters = resolve_alphabet(self.alphabet, self.sequences) if len(frame) else self.alphabet
            object.__setattr__(self, "alphabet", letters)

    @classmethod
    def read(
        cls, X: SequencesLike, *, alphabet: str | Alphabet = "auto", sequence_column: str | None = None
    ) -> Designs:
        """Return the designs in a file or a table: one that `to_csv` wrote, or any sequences that `fit` reads.

        Parameters
        ----------
        X : path, list, DataFrame or records
            As of `fit`. A table keeps its other columns; sequences without a name are numbered. Of a file that `to_csv`
            wrote, rules, counts and provenance come from the file beside it.
        alphabet, sequence_column
            As of `fit`.

        Raises
        ------
        InputError
            If the sequences cannot be read.
        """
        frame = read_frame(X, sequence_column)
        if "name" not in frame or frame["name"].isna().any():
            frame = frame.assign(name=design_names(len(frame)))
        first = ["name", "sequence"]
        frame = frame[[*first, *(column for column in frame if column not in first)]]
        if "reasons" in frame:
            frame = frame.assign(reasons=frame["reasons"].fillna(""))
        frame = frame.assign(name=unique_names(frame["name"].astype(str).tolist()))
        facts = _facts_of(X)
        rules, made = (facts.get(name) for name in ("rules", "made"))
        return cls(
            frame, alphabet, None if rules is None else DesignRules.from_dict(rules),
            None if made is None else Yield(**made), facts.get("provenance", {}),
        )  # fmt: skip

    # -- the table ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, key: Any) -> Any:
        """Return a column by its name, a row by its number, or the designs of a slice, a mask or a list of numbers."""
        if isinstance(key, str):
            if key not in self.frame:
                columns = ", ".join(map(str, self.frame))
                raise InputError("designs", shown(key), f"one of the columns {columns}", "name one of them")
            return self.frame[key]
        if isinstance(key, (int, np.integer)):
            return self.frame.iloc[key]  # IndexError beyond the end, so that a loop over the rows ends
        if not isinstance(key, slice):
            key = np.asarray(key)
            if key.dtype.kind not in "bi" or key.ndim != 1 or (key.dtype.kind == "b" and len(key) != len(self)):
                wanted = f"a slice, {len(self)} booleans, or numbers of rows"
                raise InputError("designs", f"{key.dtype} of shape {key.shape}", wanted, "give one of these")
        return self.replaced(frame=self.frame.iloc[key])

    def replaced(self, **changes: Any) -> Designs:
        """Return a copy with other parameters."""
        kept = {name: getattr(self, name) for name in ("frame", "alphabet", "rules", "made", "provenance")}
        return Designs(**{**kept, **changes})

    @property
    def sequences(self) -> list[str]:
        return self.frame["sequence"].tolist()

    @property
    def names(self) -> list[str]:
        return self.frame["name"].tolist()

    def best(self, n: int, by: str, largest: bool = True) -> Designs:
        """Return the n designs with the largest (or smallest) values of the column `by`, the best first.

        Rows without a value come last; equal values keep their order.
        """
        Whole(1).check("n", n)
        values = np.asarray(self[by], dtype=float)
        order = np.argsort(-values if largest else values, kind="stable")  # nan is last in both
        return self[order[:n]]

    def check(self, rules: DesignRules) -> Designs:
        """Return the designs with the verdicts of other rules: a column for each, `passed` and `reasons`."""
        found = rules.check(self.sequences, self.alphabet)
        return self.replaced(frame=with_verdicts(self._without_verdicts(), found, rules), rules=rules)

    def _without_verdicts(self) -> pd.DataFrame:
        return self.frame.drop(columns=[c for c in self.frame if c in VERDICTS or str(c).endswith(OK)])

    # -- output -------------------------------------------------------------------------------------------------------

    def to_csv(self, path: PathLike) -> None:
        """Write the table to a .csv file, and rules, counts and provenance to ``<path>.json``; `read` reads both.

        A cell that a spreadsheet would take for a formula begins with an apostrophe.
        """
        path = Path(path)
        if path.suffix.lower() != ".csv":
            raise InputError(argument("path"), shown(str(path)), "a name that ends in .csv", "give such a name")
        frame = self.frame.copy()
        for column in frame:
            if frame[column].dtype == object or str(frame[column].dtype).startswith("str"):
                frame[column] = frame[column].map(as_cell)
        made = None if self.made is None else {k: getattr(self.made, k) for k in ("sampled", "passed", "reasons")}
        rules = None if self.rules is None else self.rules.to_dict()
        facts = {"rules": rules, "made": made, "provenance": dict(self.provenance)}
        with replacing(path) as name:
            frame.to_csv(name, index=False, float_format="%.6g")
        with replacing(_beside(path)) as name, open(name, "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)

    def to_dna(self, organism: str | int = "e_coli", **options: Any) -> Designs:
        """Return the designs of proteins as DNA; see `seqdiff.design.to_dna`, which `options` are of.

        The proteins stay in the column `protein`, with their metrics; `cai` is the codon adaptation index. Verdicts are
        those of the DNA: where no DNA that obeys the rules was found for a protein, its row says why.
        """
        from seqdiff.design.codons import codings

        found = codings(self.sequences, organism, **options)
        frame = self._without_verdicts().drop(columns=["protein", "cai"], errors="ignore")
        frame = frame.rename(columns={"sequence": "protein"})
        frame.insert(1, "sequence", [coding.dna for coding in found])
        frame.insert(3, "cai", [coding.cai for coding in found])
        designs = self.replaced(frame=frame, alphabet="dna", rules=None)
        return designs if options.get("rules") is None else designs.check(options["rules"])

    def to_library(self, **options: Any) -> Library:
        """Return degenerate oligos that cover the designs; see `seqdiff.design.degenerate_library`."""
        from seqdiff.design.library import degenerate_library

        return degenerate_library(self.sequences, alphabet=self.alphabet, **options)

    def to_order(self, path: PathLike, **options: Any) -> None:
        """Write the file that is sent off; see `seqdiff.design.write_order`, which `options` are of.

        Flanks are those of the rules where they are not given.
        """
        from seqdiff.design.order import write_order

        if self.rules is not None:
            flanks = {"left_flank": self.rules.left_flank, "right_flank": self.rules.right_flank}
            options = {**flanks, **options}
        kept = [c for c in (*METRICS, *ORIGIN) if c in self.frame]
        write_order(
            path, self.sequences, names=self.names, columns=self.frame[kept], alphabet=self.alphabet,
            provenance={**self.provenance, **options.pop("provenance", {})}, **options,
        )  # fmt: skip

    def _summary(self) -> str:
        kind = self.alphabet.name if isinstance(self.alphabet, Alphabet) else ""
        lines = f"{len(self):,} designs" + (f" of {kind}" if kind else "")
        if "passed" in self.frame and not self.frame["passed"].all():
            lines += f", of which {int(self.frame['passed'].sum()):,} pass"
        return lines + (f"; {self.made}" if self.made is not None else "")

    def _shown(self) -> pd.DataFrame:
        """Return the columns that are looked at: without single verdicts, all verdicts where all pass, and origin."""
        hidden = [c for c in self.frame if c in ORIGIN or str(c).endswith(OK)]
        if "passed" in self.frame and self.frame["passed"].all():
            hidden += [c for c in VERDICTS if c in self.frame]
        return self.frame.drop(columns=hidden)

    def __repr__(self) -> str:
        return f"{self._summary()}\n{self._shown().to_string(max_rows=10, max_colwidth=30, line_width=120)}"

    def _repr_html_(self) -> str:
        from html import escape

        table = self._shown().to_html(max_rows=20, index=False, float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{escape(self._summary())}</p>\n{table}"


def _beside(path: Path) -> Path:
    """Return the file of what a .csv file cannot hold."""
    return path.with_name(path.name + ".json")


def _facts_of(X: object) -> dict[str, Any]:
    """Return what stands beside a file of designs; nothing where there is no such file, or another's."""
    if not isinstance(X, (str, os.PathLike)):
        return {}
    try:
        with open(_beside(Path(X).expanduser()), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.keys() == {"rules", "made", "provenance"} else {}


def design_names(n: int, prefix: str = "design") -> list[str]:
    """Return n names of equal length.

    >>> design_names(2)
    ['design-1', 'design-2']
    """
    width = len(str(n))
    return [f"{prefix}-{i:0{width}d}" for i in range(1, n + 1)]


def unique_names(names: list[str]) -> list[str]:
    """Return names of which no two are equal: the second of a name, and others, with a number behind.

    >>> unique_names(["a", "a", "a-2"])
    ['a', 'a-2', 'a-2-2']
    """
    taken: dict[str, None] = {}
    for name in names:
        taken[next(n for n in numbered(name) if n not in taken)] = None
    return list(taken)


def with_verdicts(frame: pd.DataFrame, found: Sequence[Sequence[Any]], rules: DesignRules) -> pd.DataFrame:
    """Return a table with a column of booleans for each active rule, `passed` and `reasons`."""
    broken = [{violation.rule for violation in violations} for violations in found]
    columns: dict[str, list[Any]] = {f"{rule}{OK}": [rule not in names for names in broken] for rule in rules.active}
    columns["passed"] = [not names for names in broken]
    columns["reasons"] = [reason_text(violations) for violations in found]
    return frame.assign(**columns)


def reason_text(violations: Iterable[Any]) -> str:
    """Return the reasons of a rejection in one cell: ``gc: 0.71, above 0.7; forbid: BsaI site ...``."""
    return REASONS.join(f"{v.rule}: {v.reason}" for v in violations)
