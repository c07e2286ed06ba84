"""`sweep`: metrics equal those of the library for the same samples; failures are isolated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from all_generators import BLINK, LABELS, STEPS, X, fitted
from matplotlib.figure import Figure
from small_models import refuses
from test_cli import fails, run, working_in

import seqdiff
from seqdiff import MaskedDiffusion, SequenceClassifier
from seqdiff.evaluation import plot_sweep
from seqdiff.experiments import sweeping
from seqdiff.guidance import NOS, ClassifierFree, Reward

QUIET = {"verbose": 0, **STEPS}


def count_a(sequences: list[str]) -> list[int]:
    return [s.count("A") for s in sequences]


def test_metrics_equal_those_of_the_samples():
    model = fitted("masked")
    guides = {"free": ClassifierFree, "many": lambda gamma: (ClassifierFree(gamma), {"y": "many"})}
    table = seqdiff.sweep(
        model, guides, [0, 3], n=20, seeds=[5, 6], judge=count_a, natural=X, train=X[:9], k=2, y="few", **QUIET
    )
    assert table[["guide", "gamma", "seed"]].values.tolist() == [
        [guide, float(gamma), seed] for guide in guides for gamma in (0, 3) for seed in (5, 6)
    ]
    assert table["status"].unique().tolist() == ["done"] and table.attrs == {"path": None, "k": 2}
    for row in table.itertuples():
        y = "many" if row.guide == "many" else "few"
        samples = model.generate(20, y=y, guidance=ClassifierFree(row.gamma), random_state=row.seed, **STEPS)
        judged = seqdiff.evaluate(samples, X, train=X[:9], k=2, discriminators=[]).table
        wanted, natural = judged.loc["generated"], judged.loc["natural (ceiling)"]
        assert row.kmer_js == wanted["kmer_js"] and row.kmer_js_ratio == wanted["kmer_js"] / natural["kmer_js"]
        assert row.copied == 1 - wanted["novel"] and row.diversity == wanted["diversity"]
        assert row.condition == np.mean(count_a(samples)) and row.unique == len(set(samples)) / 20
        assert row.seconds > 0 and row.made == 20
    assert model.verbose == 0 and table["seed"].dtype == int


def test_network_calls_are_counted():
    """For each sequence one call a step; two where two conditions are asked about; eight where eight rows go on."""
    model = fitted("multinomial")
    guides = {
        "one": lambda gamma: None,
        "two": lambda gamma: (ClassifierFree(2.0), {"y": "few"}),
        "eight": lambda gamma: Reward(count_a, particles=8, checks=1),
    }
    table = seqdiff.sweep(model, guides, [1], n=32, verbose=0, steps=4).set_index("guide")
    assert table.loc["one", "calls"] == 4 and table.loc["two", "calls"] == 8 and table.loc["eight", "calls"] >= 32
    letters = seqdiff.sweep(fitted("autoregressive"), {"one": lambda gamma: None}, [1], n=3, verbose=0)
    assert letters["calls"].tolist() == [10]
    students = seqdiff.sweep(fitted("distilled"), {"one": lambda gamma: None}, [1], n=3, verbose=0)
    assert students["calls"].tolist() == [1]
    reader = SequenceClassifier(noise_like=model, hidden=True, epochs=1).fit(X, LABELS)
    hidden = seqdiff.sweep(model, {"nos": lambda gamma: NOS(reader, "few", gamma)}, [2], n=4, verbose=0, steps=4)
    assert hidden["calls"].tolist() == [4 * (1 + 5)]  # five steps that each look ahead
    assert "hidden" not in vars(model.objective_.network)  # as it was


def test_the_table_is_written_after_each_row(workdir, monkeypatch):
    model = MaskedDiffusion(**BLINK | {"savepath": "runs", "model_name": "mine"}).fit(X, LABELS)
    lengths = []
    write = sweeping._write

    def watched(rows, path):
        write(rows, path)
        lengths.append(len(pd.read_csv(path)))

    monkeypatch.setattr(sweeping, "_write", watched)
    table = seqdiff.sweep(model, {"free": ClassifierFree}, [1, 2], seeds=2, n=4, y="few", **QUIET)
    assert lengths == [1, 2, 3, 4] and Path(table.attrs["path"]) == Path("runs/mine/sweep.csv")
    read = pd.read_csv("runs/mine/sweep.csv")
    assert read["seed"].tolist() == [0, 1, 0, 1] and np.allclose(read["diversity"], table["diversity"], rtol=1e-5)
    again = seqdiff.sweep(model, {"free": ClassifierFree}, [1], n=4, y="few", **QUIET)
    assert Path(again.attrs["path"]).name == "sweep-2.csv"
    own = seqdiff.sweep(model, {"free": ClassifierFree}, [1], n=4, y="few", out="own.csv", **QUIET)
    with pytest.warns(UserWarning):  # y is missing
        refuses(lambda: seqdiff.sweep(model, {"free": ClassifierFree}, [1], n=4, **QUIET), "a failure in every row")
    assert sorted(p.name for p in Path("runs/mine").glob("sweep*")) == ["sweep-2.csv", "sweep.csv"]
    assert own.attrs["path"] == "own.csv" and sorted(p.name for p in workdir.iterdir()) == ["own.csv", "runs"]


def test_one_failing_setting_leaves_the_others(tmp_path):
    guides = {"good": lambda gamma: None, "bad": lambda gamma: ClassifierFree(gamma)}  # which wants a y
    with pytest.warns(UserWarning, match="bad at gamma 2 failed: y: got None, expected a condition"):
        table = seqdiff.sweep(fitted("masked"), guides, [2], n=4, out=tmp_path / "s.csv", **QUIET)
    assert table["status"][0] == "done" and table["status"][1].startswith("failed: ") and table["made"][1] == 0
    with pytest.warns(UserWarning) as caught:
        refuses(
            lambda: seqdiff.sweep(fitted("masked"), {"bad": guides["bad"]}, [2, 3, 4], n=4, **QUIET),
            "a failure in every row",
            "condition",
        )
    assert len(caught) == 1
    with pytest.warns(UserWarning):
        refuses(
            lambda: seqdiff.sweep(fitted("masked"), {"g": guides["good"]}, [2], n=4, judge=lambda s: 1, **QUIET),
            "judge: got an array of shape (), expected a number for each of 4",
        )


def test_few_sequences_have_no_diversity():
    table = seqdiff.sweep(fitted("distilled"), {"one": lambda gamma: None}, [1], n=1, train=X, verbose=0)
    assert np.isnan(table["diversity"][0]) and table["copied"][0] in (0, 1) and np.isnan(table["kmer_js"][0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"guides": {}}, ["guides: got {}"]),
        ({"guides": ClassifierFree}, ["guides: got "]),
        ({"guides": {"free": ClassifierFree(2.0)}}, ["functions of gamma"]),
        ({"gammas": []}, ["gammas: got []"]),
        ({"gammas": 2}, ["gammas: got 2"]),
        ({"gammas": ["much"]}, ["gammas: got 'much'"]),
        ({"seeds": []}, ["seeds: got []"]),
        ({"seeds": np.array(1.0)}, ["seeds: got"]),
        ({"gammas": np.array(1.0)}, ["gammas: got"]),
        ({"seeds": 0}, ["seeds: got 0"]),
        ({"seeds": [-1]}, ["seeds: got [-1]"]),
        ({"seeds": 2**31}, ["seeds: got 2147483648", "at most 1,000,000"]),
        ({"seeds": [2**63]}, ["2**63 - 1"]),
        ({"n": 0}, ["n: got 0"]),
        ({"k": 0}, ["k: got 0"]),
        ({"judge": "good"}, ["judge: got 'good'"]),
        ({"natural": X, "n": 9}, ["n: got 9, expected at least 10, to be compared with"]),
        ({"natural": ["ACGTACGTAC"]}, ["natural: got 1 sequence, expected at least 20"]),
        ({"natural": "nowhere.txt"}, ["no such file"]),
        ({"out": "table.txt"}, [".csv"]),
        ({"out": "nowhere/table.csv"}, ["folder"]),
        ({"guidance": ClassifierFree(1)}, ["guidance"]),
        ({"random_state": 3}, ["seeds"]),
        ({"y": "middling"}, ["'middling'"]),
        ({"template": "NNN"}, ["3 positions"]),
        ({"forbid": 1}, ["forbid"]),
        ({"gamma": 2}, ["gamma: got 2, expected an argument of generate"]),
    ],
    ids=lambda given: " ".join(given),  # names alone: an object says another address in every process
)
def test_wrong_arguments_are_refused(arguments, words, workdir, monkeypatch):
    monkeypatch.setattr(sweeping, "_made", lambda *args: pytest.fail("work began"))
    good = {"guides": {"free": ClassifierFree}, "gammas": [1], "verbose": 0}
    refuses(lambda: seqdiff.sweep(fitted("masked"), **good | arguments), *words)
    assert not list(workdir.iterdir())


# -- the plot ---------------------------------------------------------------------------------------------------------


def table_of(**columns):
    return pd.DataFrame({"guide": ["a", "a", "a", "b"], "gamma": [2.0, 0.0, 0.0, 1.0], "seed": [0, 0, 1, 0]} | columns)


def test_plot_shows_means():
    table = table_of(condition=[0.9, 0.1, 0.3, 0.5], kmer_js_ratio=[3, 1, 2, np.nan], diversity=[0.1, 0.5, 0.6, 0.4])
    figure = plot_sweep(table, "How far")
    assert isinstance(figure, Figure) and [ax.get_ylabel()[-9:] for ax in figure.axes] == ["uences: 1", "diversity"]
    line = figure.axes[1].get_lines()[0]
    assert np.allclose(line.get_xdata(), [0.2, 0.9]) and np.allclose(line.get_ydata(), [0.55, 0.1])
    assert [t.get_text() for t in figure.axes[1].texts] == ["0", "2", "1"]
    without = plot_sweep(table_of(diversity=[0.1, 0.5, 0.6, 0.4])).axes[0]
    assert without.get_xlabel() == "gamma" and np.allclose(without.get_lines()[0].get_xdata(), [0, 2])


def test_tables_without_metrics_are_refused():
    refuses(lambda: plot_sweep(table_of()), "seqdiff.sweep")
    refuses(lambda: plot_sweep(pd.DataFrame({"gamma": [1]})), "column guide")


# -- the shell --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    rows = [f"{s},{label}" for s, label in zip(X, LABELS, strict=True)]
    (folder / "p.csv").write_text("\n".join(["seq,label", *rows]) + "\n")
    tiny = "--width 8 --depth 1 --epochs 1 --verbose 0"
    with working_in(folder):
        for line in (
            f"fit p.csv --model masked {tiny} --y label --model-name mine",
            f"classify p.csv --y label {tiny} --out judge.safetensors",
            f"classify p.csv --y label --noise-like runs/mine {tiny} --out guide.safetensors",
        ):
            assert run(line).exit_code == 0
        yield folder


def test_sweep_command_equals_the_function(here):
    result = run(
        "sweep runs/mine --y few --gammas 0,2.5 --n 12 --seeds 2 --steps 3 --natural p.csv --judge judge.safetensors"
        " --guide cfg --guide cbg:guide.safetensors:few"
    )
    assert result.exit_code == 0, result.output
    table = pd.read_csv("runs/mine/sweep.csv")
    model, judge = seqdiff.load("runs/mine"), SequenceClassifier.load("judge.safetensors")
    wanted = seqdiff.sweep(
        model, {"cfg": ClassifierFree}, [0, 2.5], n=12, seeds=2, steps=3, natural="p.csv", y="few", verbose=0,
        judge=lambda s: judge.predict_proba(s)[:, 0], out="own.csv",
    )  # fmt: skip
    same = ["guide", "gamma", "seed", "made", "condition", "kmer_js", "diversity", "unique", "copied", "calls"]
    pd.testing.assert_frame_equal(table[same][:4], pd.read_csv("own.csv")[same])
    assert len(wanted) == 4 and table["guide"].tolist()[4:] == ["cbg:guide.safetensors:few"] * 4
    assert "condition" in result.stdout and f"plot: {Path('runs/mine/sweep.png')}" in result.stdout
    assert Path("runs/mine/sweep.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("sweep nowhere", "nowhere: got no file of that name"),
        ("sweep runs/mine --y few --gammas much", "--gammas: got 'much', expected numbers"),
        ("sweep runs/mine --y few --guide more", "got 'more:1', expected a known guide"),
        (
            "sweep runs/mine --y few --guide cfg:2",
            "'cfg:2' with a strength, expected none at its end, as --gammas gives them; leave it out",
        ),
        ("sweep runs/mine --guide cbg:guide.safetensors:few:2", "few:2' with a strength"),
        ("sweep runs/mine --y fwe", "'fwe'"),
        (
            "sweep runs/mine --y few --judge nowhere",
            "no file of that name, expected a file of seqdiff classify",
        ),
        ("sweep runs/mine --y few --judge judge.safetensors:middling", "'middling'"),
        ("sweep runs/mine --guide cbg:guide.safetensors:few --judge judge.safetensors", "give FILE:LABEL"),
        ("sweep runs/mine --y few --natural nowhere.txt", "no such file"),
        ("sweep runs/mine --y few --n 0", "n: got 0"),
        ("sweep runs/mine --y few --out table.txt", ".csv"),
    ],
)
def test_user_mistakes_are_one_sentence(here, line, part):
    before = set(here.rglob("*"))
    assert part in fails(line)
    assert set(here.rglob("*")) <= before
