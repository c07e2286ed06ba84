"""The demo: its metrics equal those of the library, it overwrites no other folder, and takes any data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import seqdiff
from seqdiff.cli import main
from seqdiff.data import prepare, read_records
from seqdiff.datasets import load_sigma70, sigma70_log_prob
from seqdiff.evaluation import PositionWeightMatrix, bits_per_letter
from seqdiff.experiments.demo import Plan, _hold_out, claim, consensus, run_demo, text_logo
from seqdiff.runs import Run


def quick(data=None, n=30, **kwargs):
    """Run a quick demo; return its report and the lines it showed."""
    lines: list[str] = []
    report = run_demo(data, n, quick=True, echo=lines.append, verbose=0, **kwargs)
    return report, click.unstyle("\n".join(lines))


# ------------------------------------------------------------------------------------------------------------- the demo


def test_demo_of_simulated_promoters(workdir: Path) -> None:
    """The table is true, the files are there, and all of it is on the screen."""
    report, shown = quick(n=40)
    written = read_records(report.sequences).sequences
    assert report.sequences == Path("runs/demo/samples/promoters.fasta") and len(written) == 40
    assert report.logo.read_bytes().startswith(b"\x89PNG")
    assert report.bits is not None

    promoters = load_sigma70(1000)
    split = seqdiff.data.cluster_split(promoters, valid=0.05, test=0.1)
    test = [x for x, side in zip(promoters, split, strict=True) if side == "test"]
    known = [x for part in ("train", "valid") for x, side in zip(promoters, split, strict=True) if side == part]
    assert report.held_out == len(test) == 100
    bits = report.bits["bits"]
    assert bits["every letter alike"] == pytest.approx(2)
    assert bits["the truth"] == pytest.approx(bits_per_letter(sigma70_log_prob(test), test))
    matrix = PositionWeightMatrix().fit(known).score_samples(test)
    assert bits["position weight matrix"] == pytest.approx(bits_per_letter(matrix, test))
    nats, error = seqdiff.load(report.run_dir).score_samples(test, times=10, return_error=True)
    assert bits["the model"] == pytest.approx(bits_per_letter(nats, test), abs=1e-5)
    assert report.monte_carlo == pytest.approx(np.sqrt((error**2).sum()) / 5000 / np.log(2), rel=1e-3)
    assert report.samples is not None
    new, natural = report.samples.table.loc["new"], report.samples.table.loc["natural (ceiling)"]
    judged = seqdiff.evaluate({"new": written}, [*known, *test], train=known, discriminators=["kmer"]).table
    pd.testing.assert_frame_equal(report.samples.table, judged)

    for name, value in bits.items():
        assert f"{name:<24}{value:8.4f}" in shown
    assert f"{new['kmer_js']:.4f} bits" in shown and f"{natural['kmer_js']:.4f} bits" in shown and "6-mer" in shown
    assert f"{new['kmer_js'] / natural['kmer_js']:.2f}   (1: as close" in shown
    assert re.search(rf"AUROC +{new['auroc_kmer']:.3f}", shown)
    assert f"copied from the training data               {100 * (1 - new['novel']):.1f}%" in shown
    assert consensus(promoters) in shown and consensus(written) in shown
    assert f"seqdiff generate {report.run_dir} " in shown


def test_second_demo_replaces_only_files_of_the_first(workdir: Path) -> None:
    """New files in the same folder; files of the user stay."""
    first, _ = quick()
    old = first.sequences.read_text()
    (first.run_dir / "notes.txt").write_text("mine")
    (first.run_dir / "samples" / "mine.fasta").write_text(">a\nACGT\n")
    second, _ = quick(n=20)
    assert second.run_dir == first.run_dir
    assert second.sequences.read_text() != old and len(read_records(second.sequences).sequences) == 20
    assert json.loads((second.run_dir / "args.json").read_text())["status"] == "finished"
    assert (first.run_dir / "notes.txt").read_text() == "mine"
    assert (first.run_dir / "samples" / "mine.fasta").is_file()
    assert [p.name for p in Path("runs").iterdir()] == ["demo"]


def test_demo_of_proteins_of_several_lengths(workdir: Path) -> None:
    """Other letters and lengths: no weight matrix, no GC, no truth, and a note on few test sequences."""
    rng = np.random.default_rng(0)
    letters = list("ACDEFGHIKLMNPQRSTVWY")
    proteins = ["".join(rng.choice(letters, rng.integers(5, 40))) for _ in range(60)]
    Path("mine.fasta").write_text("".join(f">p{i}\n{s}\n" for i, s in enumerate(proteins)))
    report, shown = quick("mine.fasta", n=25)
    assert report.bits is not None and report.sequences.name == "sequences.fasta"
    assert list(report.bits.index) == ["every letter alike", "Markov chain, order 5", "the model"]
    assert report.held_out <= 12 and "too few to judge" in shown
    assert "GC content" not in shown and "2-mer" in shown and "bits per letter" in shown
    assert set("".join(read_records(report.sequences).sequences)) <= set(letters)


def test_demo_of_texts_writes_a_format_that_holds_their_blanks(workdir: Path) -> None:
    words = np.random.default_rng(2).choice("the cat dog sat on mat a big red ran".split(), (60, 6))
    Path("mine.txt").write_text("\n".join(map(" ".join, words)))
    report, shown = quick("mine.txt", n=25, alphabet="words")
    assert report.sequences.name == "sequences.csv" and "--out more.csv" in shown
    written = read_records(report.sequences).sequences
    assert len(written) == 25 and any(" " in text for text in written)


def test_demo_of_rna_with_ambiguity_codes(workdir: Path) -> None:
    """Ten sequences of RNA suffice, those with an N are dropped and reported, a list works too."""
    rna = ["".join(x) for x in np.random.default_rng(1).choice(list("ACGU"), (30, 12))] + ["ACGUACGUNNNN"]
    report, shown = quick(rna, n=12)
    assert "1 of 31 sequence was left out" in shown and "GC content" in shown
    assert {len(x) for x in read_records(report.sequences).sequences} == {12}
    report, shown = quick(rna, n=5)
    assert "Too few to be compared: 10 new and 20 given ones are needed." in shown and report.samples is None


def test_demo_refuses_too_few_sequences(workdir: Path) -> None:
    """One sentence, and no folder is made."""
    Path("few.txt").write_text("ACGT\n" * 9)
    for data, sentence in (
        ("few.txt", "few.txt: got 9 sequences, expected at least 10"),
        ("none.txt", "got no such file"),
    ):
        with pytest.raises(ValueError, match=sentence):
            quick(data)
    with pytest.raises(ValueError, match="n: got 0"):
        quick(n=0)
    assert not Path("runs").exists()


def test_demo_command_prints_the_table(workdir: Path) -> None:
    """`seqdiff demo --quick` shows the table on stdout, progress on stderr."""
    result = CliRunner().invoke(main, ["demo", "--quick", "--n", "20", "--savepath", "elsewhere"])
    assert result.exit_code == 0, result.output
    assert "position weight matrix" in result.stdout and "step/s" not in result.stdout
    assert (workdir / "elsewhere" / "demo" / "samples" / "promoters.fasta").is_file()


# ----------------------------------------------------------------------------------------------------------- the folder


def test_folders_of_others_are_not_overwritten(tmp_path: Path) -> None:
    """A foreign folder `demo`, a run of that name or a running demo: the next number is taken."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.txt").write_text("mine")
    run = Run(tmp_path / "demo-2")
    run.path.mkdir()
    run.start({"estimator": "MultinomialDiffusion", "parameters": {"model_name": "demo-2"}, "data": ""})
    args = (run.path / "args.json").read_bytes()
    assert claim(tmp_path) == "demo-3"
    running = Run(tmp_path / "demo-3")
    running.acquire()
    try:
        assert claim(tmp_path) == "demo-4"
    finally:
        running.release()
    assert claim(tmp_path) == "demo-3"  # it has ended: replaced
    assert (tmp_path / "demo" / "thesis.txt").read_text() == "mine"
    assert (run.path / "args.json").read_bytes() == args
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="got the file"):
        claim(tmp_path / "file")


# ------------------------------------------------------------------------------------------------------------- the plan


def test_demo_plan_bounds_the_work() -> None:
    """For any data the letters trained on, scored and sampled are bounded and positive."""
    for count in (10, 19, 100, 499, 3000, 10_000, 70_000, 10**6):
        for length in (1, 8, 50, 170, 500, 3000, 30_000):
            plan = Plan.make(count, length, None)
            used = min(count, plan.most)
            train = used - plan.valid - plan.test
            assert train >= used / 2 and plan.test >= 1 and plan.valid >= 1
            steps = plan.epochs(train) * -(-train // plan.batch_size)
            assert 1 <= steps * plan.batch_size * length <= 1.6e7
            assert plan.test * plan.times * length <= 1e7
            assert 1 <= plan.n * plan.steps * length <= 1.5e7
            assert 8 * plan.valid * 20 * length <= 1e8
    assert Plan.make(10_000, 50, None).n == 1000 and Plan.make(10_000, 5000, 700).n == 700


def test_test_sequences_share_no_20_mer_with_training() -> None:
    """No 20-mer on two sides; where all sequences share one, the split is random, with a note."""
    promoters = load_sigma70(300, 5)
    overlapping = [promoters[i][10:] + promoters[i + 1][:10] for i in range(0, 200, 2)]
    data = prepare(promoters + overlapping)
    parts = _hold_out(data, Plan.make(len(data), 50, None))
    sides = (parts.train, parts.valid, parts.test)
    words = [{x[i : i + 20] for x in part.sequences for i in range(31)} for part in sides]
    assert not (words[0] & words[2] or words[0] & words[1] or words[1] & words[2]) and not parts.notes
    assert sum(map(len, sides)) == 400

    adapter = prepare(["ACGTTGCAAGGCTTAACCGGTTA" + x for x in promoters])
    plan = Plan.make(300, 73, None)
    parts = _hold_out(adapter, plan)
    assert (len(parts.valid), len(parts.test)) == (plan.valid, plan.test) and "at random" in parts.notes[0]
    every = parts.train.sequences + parts.valid.sequences + parts.test.sequences
    assert sorted(every) == sorted(adapter.sequences)


# ------------------------------------------------------------------------------------------------------------- the logo


def test_text_logo_heights_are_letter_shares() -> None:
    """Each letter's cells are its share of the height, within one cell; the commonest stands on top."""
    rng = np.random.default_rng(0)
    heights = pd.DataFrame(rng.gamma(0.7, size=(60, 4)), columns=list("ACGT"))
    rows, top = 40, float(heights.sum(axis=1).max())
    *grid, numbers = (click.unstyle(line)[5:] for line in text_logo(heights, rows, first=31))
    assert len(grid) == rows
    for column, stack in heights.iterrows():
        cells = "".join(line[int(str(column))] for line in grid)  # from the top
        letters = cells.lstrip(" ")
        assert " " not in letters
        for letter, height in stack.items():
            assert abs(letters.count(str(letter)) - height * rows / top) <= 1
        runs = "".join(dict.fromkeys(letters))
        assert list(runs) == sorted(runs, key=lambda letter: -stack[letter])
    assert numbers.index("40") == 40 - 31 and numbers.startswith("31")
    flat = text_logo(heights * 0, 3)
    assert all(not click.unstyle(line)[5:].strip() for line in flat[:3])


def test_consensus_is_the_commonest_letter() -> None:
    """Upper case above one half, lower above 0.35, else a dot; positions that few sequences have count those."""
    assert consensus(["AAAA", "AACC", "AGGG", "ATT", "CTT"]) == "Aat."
