"""The HTML report of a run: it holds what it says, needs no other file, and refuses what is no run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import seqdiff
from seqdiff import Autoregressive
from seqdiff.cli import main
from seqdiff.datasets import load_sigma70
from seqdiff.design import DesignRules, Designs
from seqdiff.errors import InputError

X = load_sigma70(120)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("report")
    (folder / "promoters.txt").write_text("\n".join(X))
    model = Autoregressive(width=8, depth=1, epochs=2, verbose=0, savepath=str(folder / "runs"))
    return model.fit(folder / "promoters.txt")


class Page(HTMLParser):
    """Collects texts, and the open elements at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br", "path", "use", "rect", "image"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(path: Path) -> tuple[str, str]:
    page, text = Page(), path.read_text(encoding="utf-8")
    page.feed(text)
    assert not page.open
    return text, " ".join(page.texts)


def test_report_needs_no_other_file(run: Any) -> None:
    """Nothing is loaded from elsewhere, and no script runs."""
    text, _ = read(seqdiff.report(run.run_dir_, n=60, verbose=0))
    loaded = re.findall(r"""(?:src|href)=["']([^"'#][^"']*)""", text)
    assert not [address for address in loaded if not address.startswith("data:")]
    assert "<script" not in text and "@import" not in text


def test_report_says_what_was_done(run: Any, tmp_path: Path) -> None:
    designs = run.design(5, DesignRules(gc=(0.42, 0.6)), random_state=0)
    text, words = read(seqdiff.report(run.run_dir_, designs=designs, n=60, out=tmp_path / "r.html", verbose=0))
    assert f"{designs.made}" in words and designs.sequences[-1] in words
    assert f"{min(run.evaluations_['bits_per_letter']):.4f}" in words
    for title in ("Data", "Training", "Samples beside natural sequences", "Designs", "How to reproduce it"):
        assert f">{title}</h2>" in text
    assert "natural (ceiling)" in words and "shuffled (floor)" in words


def test_report_escapes_names(run: Any, tmp_path: Path) -> None:
    """A name in a user's table is text, whatever it holds."""
    designs = Designs.read(X[:3]).frame.assign(name=["<script>alert(1)</script>", "b", "c"])
    text, _ = read(seqdiff.report(run.run_dir_, designs=Designs(designs), n=60, out=tmp_path / "r.html", verbose=0))
    assert "<script" not in text and "&lt;script&gt;" in text


def test_report_without_its_data_leaves_out_the_comparison(run: Any, tmp_path: Path) -> None:
    """Samples are compared only where natural sequences are there."""
    source = Path(run.run_dir_).parents[1] / "promoters.txt"
    hidden = source.rename(source.with_suffix(".away"))
    try:
        text, words = read(seqdiff.report(run.run_dir_, n=20, out=tmp_path / "r.html", verbose=0))
    finally:
        hidden.rename(source)
    assert "natural (ceiling)" not in text and ">Samples</h2>" in text
    assert "in no file that is still there: give reference." in words


@pytest.mark.parametrize(("name", "message"), [("r.txt", "ends in .html"), ("no/r.html", "in a folder that is there")])
def test_wrong_files_are_refused(run: Any, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        seqdiff.report(run.run_dir_, out=tmp_path / name, verbose=0)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a run folder"):
        seqdiff.report(tmp_path, verbose=0)


# -- the shell --------------------------------------------------------------------------------------------------------


def shell(line: list[str], status: int = 0) -> str:
    result = CliRunner().invoke(main, line, prog_name="seqdiff")
    assert result.exit_code == status and "Traceback" not in result.output, result.output
    return result.output


def test_from_a_run_to_an_order_in_the_shell(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Design, order and report, each from the files of the one before."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.txt").write_text("\n".join(X))
    flanks = ["--left-flank", "GGTCTCA", "--right-flank", "TGAGACC"]
    rules = ["--gc", "0.2", "0.6", "--avoid", "EcoRI,BamHI", *flanks]
    said = shell(["design", run.run_dir_, "6", *rules, "--train", "train.txt", "--seed", "1", "-o", "designs.csv"])
    designs = Designs.read("designs.csv")
    assert len(designs) == 6 and f"6 designs in designs.csv; {designs.made}" in said
    assert designs.sequences == run.design(6, designs.rules, random_state=1, scores=False).sequences
    assert designs.rules == DesignRules(
        gc=(0.2, 0.6), forbid=["EcoRI", "BamHI"], left_flank="GGTCTCA", right_flank="TGAGACC"
    )
    shell(["order", "designs.csv", "-o", "order.csv", "--control", f"wild-type={X[0]}"])
    ordered = Designs.read("order.csv")
    assert ordered.sequences == [f"GGTCTCA{s}TGAGACC" for s in [*designs.sequences, X[0]]]
    shell(["report", run.run_dir_, "--designs", "designs.csv", "-n", "60", "-o", "r.html"])
    assert designs.sequences[0] in Path("r.html").read_text(encoding="utf-8")


def test_evaluate_in_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("\n".join(X[:30]))
    Path("b.txt").write_text("\n".join(load_sigma70(60, random_state=1)))
    said = shell(["evaluate", "a.txt", "--reference", "b.txt", "--quick", "-o", "e.html"])
    judged = seqdiff.evaluate({"a": X[:30]}, load_sigma70(60, random_state=1), discriminators=["kmer"])
    assert said.strip() == repr(judged) and "natural (ceiling)" in Path("e.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["design", "RUN", "3", "-o", "designs.txt"], "--out: got 'designs.txt', expected a name that ends in .csv"),
        (["design", "RUN", "3", "-o", "d.csv", "--gc", "0.7", "0.3"], "--gc: got"),
        (["design", "RUN", "3", "-o", "d.csv", "--vendor", "acme"], "--vendor: got 'acme'"),
        (["order", "x.txt", "-o", "order.csv", "--control", "ACGT"], "--control: got 'ACGT', expected KIND=SEQUENCE"),
        (["order", "x.txt", "-o", "order.csv", "--plate", "96"], "--partial"),
        (["evaluate", "x.txt", "--reference", "x.txt"], "at least 10"),
    ],
)
def test_mistakes_in_the_shell(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("ACGTACGT\nACGTTCGT\n")
    said = shell([run.run_dir_ if word == "RUN" else word for word in line], status=1)
    assert sentence in said and not Path("d.csv").exists()
