"""`report`: one HTML file about a run: its data, training, samples, designs, and how to make it again.

The file holds all that it shows: no script, no font, no link to elsewhere.
"""

from __future__ import annotations

import io
import platform
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seqdiff import runtime
from seqdiff.data import check_data, prepare
from seqdiff.design import Designs
from seqdiff.design.designs import OK, ORIGIN, VERDICTS
from seqdiff.errors import InputError, argument, shown
from seqdiff.estimators import load
from seqdiff.estimators.requests import check_seed
from seqdiff.evaluation import evaluate, plot_curves, plot_logo
from seqdiff.files import version
from seqdiff.inputs import PathLike, SequencesLike
from seqdiff.parameters import Whole
from seqdiff.runs import Run, best_evaluation

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup
    from matplotlib.figure import Figure

LOGO = 60
"""Positions of a logo: more are not legible on a phone."""
LISTED = 20
"""Designs in the table; all are in their file."""


@dataclass
class Section:
    """A part of the report: its title and pieces of HTML."""

    id: str
    title: str
    parts: list[Any] = field(default_factory=list)


def svg(figure: Figure, salt: str) -> Markup:
    """Return a figure as an SVG element, with letters as letters; `salt` tells its ids from those of other figures."""
    from markupsafe import Markup
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return Markup(text.getvalue()[text.getvalue().index("<svg") :])


def paragraph(text: str, kind: str = "") -> Markup:
    """Return a text as a paragraph."""
    from markupsafe import Markup

    return Markup('<p class="{}">{}</p>').format(kind, text) if kind else Markup("<p>{}</p>").format(text)


def facts(rows: Mapping[str, object]) -> Markup:
    """Return names and values as a table."""
    from markupsafe import Markup

    cells = Markup("").join(Markup("<tr><th>{}</th><td>{}</td></tr>").format(*row) for row in rows.items())
    return Markup('<table class="text">{}</table>').format(cells)


def table(frame: pd.DataFrame, sequences: tuple[str, ...] = ()) -> Markup:
    """Return a DataFrame as a table that scrolls sideways; letters of the columns `sequences` have equal widths."""
    from markupsafe import Markup

    head = Markup("").join(Markup("<th>{}</th>").format(column) for column in frame)
    lines = []
    for row in frame.itertuples(index=False):
        kinds = [' class="sequence"' if column in sequences else "" for column in frame]
        cells = (
            Markup("<td{}>{}</td>").format(Markup(kind), _cell(value)) for kind, value in zip(kinds, row, strict=True)
        )
        lines.append(Markup("<tr>{}</tr>").format(Markup("").join(cells)))
    body = Markup("\n").join(lines)
    return Markup('<div class="wide"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        head, body
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None else str(value)


def report(
    run: PathLike,
    *,
    reference: SequencesLike | None = None,
    designs: PathLike | Designs | None = None,
    samples: SequencesLike | None = None,
    n: int = 1000,
    out: PathLike | None = None,
    random_state: int = 0,
    verbose: int = 1,
) -> Path:
    """Write a report about a run: data, training, samples beside natural sequences, designs, how to reproduce it.

    Parameters
    ----------
    run : path
        A run folder.
    reference : as X in `fit`, optional
        Natural sequences to judge samples by. None: the file that the run was fitted to, where it is still there;
        without it the samples are not judged.
    designs : path or Designs, optional
        A table of `model.design`, or its file.
    samples : as X in `fit`, optional
        Sequences to judge; None: n new ones of the model.
    n : int
        Number of these.
    out : path, optional
        The .html file; None: ``report.html`` in the run folder.
    random_state : int
        Seed of the samples.
    verbose : int
        0 hides the progress bars.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the folder is no run, or a file cannot be read.

    Examples
    --------
    >>> import seqdiff
    >>> model = seqdiff.Autoregressive(width=8, depth=1, epochs=1, verbose=0)
    >>> X = seqdiff.datasets.load_sigma70(100)
    >>> path = seqdiff.report(model.fit(X).run_dir_, reference=X, n=50, verbose=0)
    >>> path.as_posix(), "<svg" in path.read_text(encoding="utf-8")
    ('runs/Autoregressive/report.html', True)
    """
    from jinja2 import Environment, PackageLoader

    Whole(1).check("n", n)
    seed = check_seed(random_state)
    writer = Report(Run(run), verbose)
    path = Path(run) / "report.html" if out is None else Path(out).expanduser()
    if path.suffix.lower() not in (".html", ".htm") or not path.absolute().parent.is_dir():
        wanted = "a name that ends in .html, in a folder that is there"
        raise InputError(argument("out"), shown(str(path)), wanted, "give such a name")
    table = None if designs is None else designs if isinstance(designs, Designs) else Designs.read(designs)
    sections = writer.sections(reference, samples, n, seed, table)
    page = Environment(loader=PackageLoader("seqdiff", "experiments"), autoescape=True).get_template("report.html")
    text = page.render(title=writer.title, subtitle=writer.subtitle, sections=list(sections))
    with runtime.replacing(path) as name:
        name.write_text(text, encoding="utf-8")
    return path


class Report:
    """What a run folder has to tell.

    Parameters
    ----------
    run : Run
    verbose : int
    """

    def __init__(self, run: Run, verbose: int) -> None:
        args = run.read_args()
        if args is None:
            wanted = "a run folder, which has an args.json of seqdiff's"
            raise InputError(argument("run"), shown(str(run.path)), wanted, "name the folder that fit printed")
        if not run.model.is_file():
            raise InputError(str(run.path), "a run without a model", "a run that has one", "wait for its first epoch")
        self.run, self.args, self.verbose = run, args, verbose
        self.model = load(run.path)
        self.model.verbose = verbose
        name = run.path.resolve().name
        self.title = name if name == args["estimator"] else f"{name}: {args['estimator']}"
        self.subtitle = f"Written by seqdiff {version()} on {date.today().isoformat()}."

    def sections(
        self, reference: SequencesLike | None, samples: SequencesLike | None, n: int, seed: int, designs: Designs | None
    ) -> Iterator[Section]:
        """Yield the sections, in their order."""
        model, natural = self.model, self._natural(reference)
        yield self._data(natural)
        yield self._training()
        new = model.generate(n, random_state=seed) if samples is None else self._read(samples)
        yield self._samples(natural, new)
        if designs is not None:
            yield self._designs(designs)
        yield self._reproduce(seed)

    def _natural(self, reference: SequencesLike | None) -> list[str] | None:
        """Return the natural sequences, those of the run's own file where none are given, None where it is gone."""
        source = self.args.get("source")
        if reference is None and isinstance(source, str) and Path(source).is_file():
            reference = Path(source)
        return None if reference is None else self._read(reference)

    def _read(self, X: SequencesLike) -> list[str]:
        column = self.model.sequence_column
        return prepare(
            X, alphabet=self.model.alphabet_, ambiguous="drop", gaps="drop", sequence_column=column
        ).sequences

    def _data(self, natural: list[str] | None) -> Section:
        from markupsafe import Markup

        args, known = self.args, self.model.length_distribution_
        rows = {
            "file": args.get("source", "unknown"),
            "training sequences": f"{args.get('sequences', 0):,}",
            "held out for validation": f"{args.get('held_out', 0):,}",
            "letters": self.model.alphabet_.described,
            "length": str(known.max_length) if known.fixed else f"up to {known.max_length}",
        }
        section = Section("data", "Data", [facts(rows)])
        if natural is not None:
            checked = check_data(natural, alphabet=self.model.alphabet_)
            section.parts.append(Markup('<div class="wide">{}</div>').format(Markup(checked._repr_html_())))
        return section

    def _training(self) -> Section:
        import pandas as pd

        evaluations = self.run.read_evaluations()
        history = pd.read_csv(self.run.path / "metrics_train.txt", sep="\t")
        ax = plot_curves(history, evaluations, unit="bits per letter")
        section = Section("training", "Training", [svg(ax.figure, "training")])  # type: ignore[arg-type]
        if best := best_evaluation(evaluations):
            bound = {"exact": "", "elbo": ", an upper bound", None: ", of letters at random times: no likelihood"}
            text = f"Best validation: {best['bits_per_letter']:.4f} bits per letter{bound[self.model.bound_]}, in epoch"
            section.parts.append(paragraph(f"{text} {best['epoch']:.0f}."))
        return section

    def _samples(self, natural: list[str] | None, new: list[str]) -> Section:
        from markupsafe import Markup

        groups = {"samples": [s[:LOGO] for s in new]}
        if natural is None:
            reason = "They are compared with no natural ones, as the run's data are in no file that is still there"
            section = Section("samples", "Samples", [paragraph(f"{reason}: give {argument('reference')}.", "note")])
        else:
            judged = evaluate({"samples": new}, natural, alphabet=self.model.alphabet_, discriminators=("kmer",))
            section = Section("samples", "Samples beside natural sequences", [Markup(judged.to_html())])
            groups = {"natural": [s[:LOGO] for s in natural], **groups}
        if self.model.alphabet_.name in ("dna", "rna", "protein"):
            section.parts.append(svg(plot_logo(groups).figure, "logo"))  # type: ignore[arg-type]
        return section

    def _designs(self, designs: Designs) -> Section:
        import pandas as pd

        section = Section("designs", "Designs", [paragraph(f"{len(designs):,} designs.")])
        if designs.made is not None:
            section.parts.append(paragraph(f"{designs.made}."))
            reasons = pd.DataFrame(
                {"rule": list(designs.made.reasons), "rejected": list(designs.made.reasons.values())}
            )
            if len(reasons):
                section.parts.append(table(reasons))
        if designs.rules is not None:
            section.parts.append(paragraph(f"Rules: {designs.rules!r}", "note"))
        hidden = [c for c in designs.frame if str(c).endswith(OK) or c in (*VERDICTS, *ORIGIN)]
        first = designs.frame.drop(columns=hidden).head(LISTED)
        if len(designs) > LISTED:
            section.parts.append(paragraph(f"The first {LISTED} of {len(designs):,}:", "note"))
        section.parts.append(table(first, ("sequence", "nearest", "protein")))
        return section

    def _reproduce(self, seed: int) -> Section:
        from markupsafe import Markup

        given = {name: value for name, value in self.args["parameters"].items() if value is not None}
        given["alphabet"] = self.model.alphabet_.described
        versions = {"seqdiff": version(), "Python": platform.python_version(), "PyTorch": torch.__version__}
        commands = [f"seqdiff generate {shlex.quote(str(self.run.path))} 1000 --seed {seed} --out samples.fasta"]
        return Section(
            "reproduce",
            "How to reproduce it",
            [
                facts(given),
                Markup("<pre>{}</pre>").format("\n".join(commands)),
                facts(versions),
            ],
        )
