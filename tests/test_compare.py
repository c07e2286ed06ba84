"""`seqdiff.compare` and `seqdiff compare`: one split, metrics recomputed by hand, isolated failures."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import seqdiff
from seqdiff import Autoregressive, MaskedDiffusion, MultinomialDiffusion, UniformDiffusion
from seqdiff.cli import main
from seqdiff.data import cluster_split
from seqdiff.evaluation import MarkovChain, PositionWeightMatrix, bits_per_letter, bits_per_letter_error
from seqdiff.evaluation.plots import plot_comparison
from seqdiff.experiments import markdown
from seqdiff.experiments.comparison import DEFAULT, caption, contestants
from seqdiff.experiments.judge import Judge, Trial, make_parts

SMALL: dict[str, Any] = {"width": 8, "depth": 1, "epochs": 1, "batch_size": 64}
QUICK: dict[str, Any] = {"samples": 30, "times": 4, "steps": 4, "verbose": 0}
BASELINES = ["every letter alike", "position weight matrix", "Markov chain, order 5", "positional Markov, order 3"]


@pytest.fixture(scope="module")
def X() -> list[str]:
    return seqdiff.datasets.load_sigma70(200, random_state=1)


@pytest.fixture(scope="module")
def done(X: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """Return a table of two models with two seeds each, and the folder of the runs."""
    runs = tmp_path_factory.mktemp("compare") / "runs"
    table = seqdiff.compare(["masked-diffusion", Autoregressive(**SMALL)], X, seeds=2, savepath=runs, **SMALL, **QUICK)
    return table, runs / "compare"


# ----------------------------------------------------------------------------------------------------------- the table


def test_one_row_per_model_baseline_and_reference(done: tuple[pd.DataFrame, Path]) -> None:
    """Models, then baselines, then natural sequences; exact likelihoods are marked apart from bounds."""
    table, _ = done
    assert table.index.tolist() == ["MaskedDiffusion", "Autoregressive", *BASELINES, "natural sequences"]
    assert table["bound"].tolist() == ["elbo", "exact", *["exact"] * 4, "none"]
    assert table["status"].eq("done").all() and table["seeds"].tolist()[:2] == [2, 2]
    assert table["baseline"].tolist() == [False, False, *[True] * 5]
    assert (table.loc["MaskedDiffusion", ["seconds", "cpu_seconds", "sequences_per_second"]] > 0).all()


def test_models_without_likelihood_are_compared_by_samples(X: list[str], workdir: Path) -> None:
    """They have no bits and are not the reference; all other columns stand in the table, Markdown and plot."""
    table = seqdiff.compare(["dirichlet-fm", Autoregressive(**SMALL)], X, **SMALL, **QUICK)
    row = table.loc["DirichletFM"]
    assert row["status"] == "done" and row["bound"] == "none" and np.isnan(row[["bits", "above"]].astype(float)).all()
    assert np.isfinite(row[["kmer_js_ratio", "copied", "cpu_seconds"]].astype(float)).all()
    assert table.attrs["reference"] == "Autoregressive"
    line = next(line for line in markdown(table).splitlines() if "DirichletFM" in line)
    assert "no likelihood" in line and markdown(table).count("no likelihood") == 1
    assert [t.get_text() for t in plot_comparison(table).axes[0].get_yticklabels()].count("DirichletFM") == 1
    with pytest.raises(ValueError, match="reference: got 'DirichletFM', which has no likelihood"):
        seqdiff.compare(["DirichletFM", "SCUD"], X, reference="DirichletFM", **QUICK)


def test_metrics_equal_those_of_the_saved_models(done: tuple[pd.DataFrame, Path], X: list[str]) -> None:
    """Bits, errors, the paired difference and the spread of seeds, computed anew from the models on disk."""
    table, folder = done
    split = cluster_split(X)
    test = [s for s, side in zip(X, split, strict=True) if side == "test"]
    letters = sum(map(len, test)) * np.log(2)
    nats, noise = {}, {}
    for name in ("MaskedDiffusion", "Autoregressive"):
        models = [seqdiff.load(folder / f"{name}-seed{seed}") for seed in (0, 1)]
        scores = [m.score_samples(test, times=4, random_state=i, return_error=True) for i, m in enumerate(models)]
        nats[name] = np.array([score for score, _ in scores])
        noise[name] = np.sqrt(sum((error**2).sum() for _, error in scores)) / 2 / letters
    for name, values in nats.items():
        row = table.loc[name]
        assert row["bits"] == pytest.approx(bits_per_letter(values.mean(0), test))
        assert row["error"] == pytest.approx(bits_per_letter_error(values.mean(0), test))
        assert row["spread"] == pytest.approx(np.std(-values.sum(1) / letters, ddof=1))
        assert row["monte_carlo"] == pytest.approx(noise[name])
    best = min(nats, key=lambda name: table.loc[name, "bits"])
    other = next(name for name in nats if name != best)
    difference = nats[other].mean(0) - nats[best].mean(0)
    assert table.attrs["reference"] == best and table.loc[best, "above"] == 0
    assert table.loc[other, "above"] == pytest.approx(-difference.sum() / letters)
    assert table.loc[other, "above_error"] == pytest.approx(bits_per_letter_error(difference, test))
    assert table.loc["Autoregressive", "monte_carlo"] == 0 < table.loc["MaskedDiffusion", "monte_carlo"]


def test_sample_divergence_is_relative_to_natural_sequences(done: tuple[pd.DataFrame, Path], X: list[str]) -> None:
    """The metrics are those of `evaluate` for the sequences of the run folder; natural sequences have ratio 1."""
    table, folder = done
    split = cluster_split(X)
    train = [s for s, side in zip(X, split, strict=True) if side == "train"]
    natural = [s for side in ("train", "valid", "test") for s, own in zip(X, split, strict=True) if own == side]
    written = {f"MaskedDiffusion-seed{i}": folder / f"MaskedDiffusion-seed{i}" / "samples" for i in (0, 1)}
    samples = {name: path / "compare.fasta" for name, path in written.items()}
    judged = seqdiff.evaluate(samples, natural, train=train, discriminators=["kmer"]).table
    means, ceiling = judged.loc[list(written)].mean(numeric_only=True), judged.loc["natural (ceiling)"]
    row, last = table.loc["MaskedDiffusion"], table.loc["natural sequences"]
    assert row["kmer_js_ratio"] == pytest.approx(means["kmer_js"] / ceiling["kmer_js"])
    assert row["copied"] == pytest.approx(1 - means["novel"]) and last["kmer_js_ratio"] == 1
    for column, metric in (("kmer_js", "kmer_js"), ("auroc", "auroc_kmer"), ("unique", "unique")):
        assert row[column] == pytest.approx(means[metric]) and last[column] == pytest.approx(ceiling[metric])
    assert table.attrs["compared"] == judged["n"].iloc[0]
    page = (folder / "samples.html").read_text()
    assert all(f"<th scope='col'>{name}</th>" in page for name in (*written, "position weight matrix"))


def test_few_samples_are_not_compared(X: list[str], workdir: Path) -> None:
    """They are no failure; the columns stay empty."""
    table = seqdiff.compare([Autoregressive(**SMALL)], X, **{**QUICK, "samples": 9})
    assert table.loc["Autoregressive", "status"] == "done" and "natural sequences" not in table.index
    assert table[["kmer_js", "kmer_js_ratio", "auroc", "copied", "unique"]].isna().all(axis=None)
    assert "JS" not in caption(table) + markdown(table) and not list(workdir.rglob("samples.html"))


def test_copies_are_counted_against_the_training_set(X: list[str]) -> None:
    """Generating a test sequence is not copying."""
    judge = Judge(make_parts(X), samples=20)
    for part, share in ((judge.parts.test, 0.0), (judge.parts.train, 1.0)):
        trial = Trial()
        judge.sample("some", SimpleNamespace(generate=lambda n, part=part, **options: part.sequences[:n]), trial)
        assert trial.measured is not None and trial.measured.values["novel"].value == 1 - share


def test_baselines_are_fitted_to_the_training_set_only(done: tuple[pd.DataFrame, Path], X: list[str]) -> None:
    table, _ = done
    split = cluster_split(X)
    parts = {side: [s for s, own in zip(X, split, strict=True) if own == side] for side in ("train", "test")}
    for name, model in (("position weight matrix", PositionWeightMatrix()), ("Markov chain, order 5", MarkovChain())):
        bits = bits_per_letter(model.fit(parts["train"]).score_samples(parts["test"]), parts["test"])
        assert table.loc[name, "bits"] == pytest.approx(bits)
    assert table.loc["every letter alike", "bits"] == pytest.approx(2.0)


def test_folder_holds_table_plot_and_runs(done: tuple[pd.DataFrame, Path]) -> None:
    """CSV as returned, Markdown, a plot, a run folder for each training."""
    table, folder = done
    assert table.attrs["folder"] == str(folder)
    read = pd.read_csv(folder / "table.csv", index_col="model")
    np.testing.assert_allclose(read["bits"].dropna(), table["bits"].dropna(), rtol=1e-5)
    text = (folder / "table.md").read_text(encoding="utf-8")
    assert text.startswith(markdown(table)) and "at most" in text
    assert (folder / "table.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == [
        f"{name}-seed{seed}" for name in ("Autoregressive", "MaskedDiffusion") for seed in (0, 1)
    ]
    assert not list(folder.rglob("*.tmp"))


def test_each_comparison_has_its_own_folder(X: list[str], tmp_path: Path) -> None:
    for wanted in ("compare", "compare-2"):
        table = seqdiff.compare(["autoregressive"], X[:60], savepath=tmp_path, **SMALL, **QUICK | {"samples": 0})
        assert table.attrs["folder"] == str(tmp_path / wanted)
        assert table.loc["Autoregressive", "run_dir"] == str(tmp_path / wanted / "Autoregressive")
    assert "natural sequences" not in table.index  # no samples, no reference


def test_no_files_without_savepath(X: list[str], workdir: Path) -> None:
    """An estimator's own savepath is ignored; the user's estimator is unchanged."""
    model = Autoregressive(**SMALL, random_state=5)
    table = seqdiff.compare(model, X[:60], savepath=None, **QUICK)
    assert not list(workdir.iterdir())
    assert table.attrs["folder"] is None and table.loc["Autoregressive", "run_dir"] is None
    assert not hasattr(model, "objective_") and model.savepath == "runs"


def test_comparisons_are_reproducible(X: list[str]) -> None:
    """All randomness comes from seeds: split, training, noise, samples."""
    tables = [seqdiff.compare(["uniform-diffusion"], X[:80], savepath=None, **SMALL, **QUICK) for _ in range(2)]
    columns = ["bits", "error", "monte_carlo", "above", "kmer_js", "copied", "unique"]
    pd.testing.assert_frame_equal(tables[0][columns], tables[1][columns])


def test_reference_model_can_be_chosen(X: list[str]) -> None:
    models = [Autoregressive(**SMALL, model_name="good"), Autoregressive(**SMALL, lr=1e-6, model_name="bad")]
    table = seqdiff.compare(models, X[:80], savepath=None, reference="bad", **QUICK)
    assert table.attrs["reference"] == "bad" and table.loc["bad", "above"] == 0


# --------------------------------------------------------------------------------------------- all kinds of sequences


def test_proteins_of_several_lengths_with_classes() -> None:
    """Proteins of several lengths with classes: no matrix among the baselines, shorter words, labels as they come."""
    rng = np.random.default_rng(0)
    X = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(6, 14))) for _ in range(80)]
    y = [["amp", "uniprot", None][i % 3] for i in range(80)]
    table = seqdiff.compare(["masked-diffusion", "autoregressive"], X, y, savepath=None, **SMALL, **QUICK)
    assert table["status"].eq("done").all()
    assert table.index.tolist()[2:] == ["every letter alike", "Markov chain, order 5", "natural sequences"]
    assert table.attrs["k"] == 2 and np.isfinite(table["bits"].dropna()).all()


def test_overlong_test_sequences_are_dropped_for_all_models() -> None:
    X = ["ACGTA", "ACGT", "ACG", "TTGCA"] * 10
    split = ["train"] * 30 + ["valid"] * 5 + ["test"] * 5
    X[-1] = "ACGTACGTACGT"
    table = seqdiff.compare(["autoregressive"], X, split=split, savepath=None, **SMALL, **QUICK | {"samples": 0})
    assert table.attrs["test"] == 4 and np.isfinite(table["bits"]).all()


# ----------------------------------------------------------------------------------------------------------- the split


def test_all_models_share_one_split(X: list[str]) -> None:
    """Clusters for DNA, random rows for proteins and copies, a column where one is named, parts that were given."""
    parts = make_parts(X)
    assert parts.test.sequences == [s for s, side in zip(X, cluster_split(X), strict=True) if side == "test"]
    proteins = make_parts(["MKV" + "ACDEFGHIKL"[i % 10] * 3 for i in range(50)])
    assert (len(proteins.train), len(proteins.valid), len(proteins.test)) == (40, 5, 5)
    few = make_parts([a + "CGTA" * 6 for a in "ACG"] * 20, test=0.4)  # overlapping, and copies: one sequence of three
    assert len(few.test) == 20 and not set(few.test.sequences) & set(few.train.sequences)
    assert "at random" in few.notes[-3] and "copies stay on one side" in few.notes[-2]
    assert "60 of 60 sequences are near copies in families too large" in few.notes[-1]
    with pytest.raises(ValueError, match="left for the test set as copies stay on one side"):
        make_parts(["ACGT" * 6] * 40)
    frame = pd.DataFrame({"seq": X, "part": (["test", "train", "train", "valid"] * 50)})
    named = make_parts(frame, split="part")
    assert named.test.sequences == X[::4] and named.valid.sequences == X[3::4]
    given = make_parts(X[:100], validation=X[100:110], test=(X[110:130], None))
    assert given.train.sequences == X[:100] and given.valid.sequences == X[100:110]
    assert given.test.sequences == X[110:130]
    assert set(make_parts(X, random_state=1).test.sequences) != set(parts.test.sequences)


def test_split_parts_are_disjoint() -> None:
    X = [f"{i:05b}".replace("0", "A").replace("1", "C") for i in range(32)]
    parts = make_parts(X, split="random", validation=0.2, test=0.3)
    every = parts.train.sequences + parts.valid.sequences + parts.test.sequences
    assert sorted(every) == sorted(X) and (len(parts.valid), len(parts.test)) == (6, 10)


# ------------------------------------------------------------------------------------------------------ who takes part


def test_models_are_given_as_names_instances_or_classes() -> None:
    """Equal names are numbered, a model's own name is kept, settings reach those that were only named."""
    models = [
        "masked_diffusion",
        MaskedDiffusion(epochs=3),
        Autoregressive,
        UniformDiffusion(model_name="mine"),
        "AUTOREGRESSIVE",
    ]
    found = contestants(models, {"epochs": 7, "remasking": 0.5})
    assert [c.name for c in found] == [
        "MaskedDiffusion",
        "MaskedDiffusion-2",
        "Autoregressive",
        "mine",
        "Autoregressive-2",
    ]
    assert [c.estimators[0].epochs for c in found] == [7, 3, 7, UniformDiffusion().epochs, 7]
    assert found[0].estimators[0].get_params()["remasking"] == 0.5
    usual = contestants(None, {})
    assert {c.name for c in usual} <= set(DEFAULT) and "MultinomialDiffusion" not in {c.name for c in usual}
    assert [m.random_state for m in contestants([Autoregressive(random_state=4)], {}, 2)[0].estimators] == [4, 5]
    assert [m.random_state for m in contestants(["autoregressive"], {}, [9, 2])[0].estimators] == [9, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"models": []}, "models: got an empty list"),
        ({"models": ["masked-diffusion", 3]}, r"models\[1\]: got an int, expected an estimator"),
        ({"models": ["gpt"]}, r"models\[0\]: got 'gpt'.*Autoregressive', 'ClassicalDiffusion"),
        ({"models": [MarkovChain()]}, "MarkovChain, expected an estimator"),
        ({"X": None}, "X: got None, expected sequences"),
        ({"seeds": 0}, "seeds: got 0"),
        ({"seeds": 2**31}, "seeds: got 2147483648, expected .*at most 1,000,000"),
        ({"seeds": [1, 1]}, r"seeds: got \[1, 1\], expected .*different"),
        ({"samples": -1}, "samples: got -1"),
        ({"epochs": 0}, "Autoregressive: epochs: got 0"),
        ({"colour": 1}, "colour: got 1, expected a setting of compare or .*, epochs, "),
        ({"reference": "best"}, "reference: got 'best', expected one of the models Autoregressive"),
        ({"split": "part"}, "split: got 'part', expected 'auto', 'cluster', 'random' or"),
        ({"split": ["train"] * 3}, r"split: got shape \(3,\), expected a side for each of the 40"),
        ({"split": ["train"] * 39 + ["tset"]}, "split, entry 39: got 'tset', expected 'train', 'valid' or 'test'"),
        ({"split": ["train"] * 40}, "no sequence left for the test set"),
        ({"test": 0}, "no sequence left for the test set"),
        ({"test": 1.5}, "test: got 1.5, expected a share"),
        ({"test": 0.5, "validation": 0.5}, "validation and test: got 0.5 and 0.5, .* nothing to train on"),
        ({"test": None}, "test: got None"),
    ],
)
def test_invalid_arguments_are_refused_before_training(
    arguments: dict[str, Any], said: str, X: list[str], workdir: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        seqdiff.compare(**{"models": ["autoregressive"], "X": X[:40]} | arguments)
    assert not (workdir / "runs").exists()


# ----------------------------------------------------------------------------------------------------------- failures


class _Breaks(Autoregressive):
    """Fails or is interrupted in a chosen part of its work."""

    def __init__(
        self, *, where: str = "fit", only: int | None = None, error: Any = RuntimeError, **common: Any
    ) -> None:
        super().__init__(**common)
        self.where = where
        self.only = only
        self.error = error

    def _maybe(self, where: str) -> None:
        if where == self.where and self.only in (None, self.random_state):
            raise self.error("on purpose")

    def fit(self, *args: Any, **options: Any) -> Any:
        self._maybe("fit")
        return super().fit(*args, **options)

    def generate(self, *args: Any, **options: Any) -> Any:
        self._maybe("generate")
        return super().generate(*args, **options)


@pytest.mark.parametrize("where", ["fit", "generate"])
def test_one_failing_model_leaves_the_others(where: str, X: list[str]) -> None:
    """The others are as they would be without it."""
    models = [_Breaks(**SMALL, model_name="breaks", where=where), Autoregressive(**SMALL)]
    with pytest.warns(UserWarning, match="breaks failed: on purpose"):
        table = seqdiff.compare(models, X[:60], savepath=None, **QUICK)
    assert table.loc["breaks", "status"] == "failed: on purpose" and table.loc["breaks", "seeds"] == 0
    assert np.isnan(table.loc["breaks", "bits"]) and "on purpose" in markdown(table)
    alone = seqdiff.compare(models[1], X[:60], savepath=None, **QUICK)
    assert table.loc["Autoregressive", "bits"] == alone.loc["Autoregressive", "bits"]


def test_one_failing_seed_leaves_the_others(X: list[str]) -> None:
    with pytest.warns(UserWarning, match="on purpose"):
        table = seqdiff.compare(
            [_Breaks(**SMALL, model_name="breaks", only=1)], X[:60], seeds=3, savepath=None, **QUICK
        )
    assert table.loc["breaks", "seeds"] == 2 and table.loc["breaks", "status"].startswith("1 of 3 seeds failed")
    assert np.isfinite(table.loc["breaks", "bits"])


def test_all_models_failing_is_an_error(X: list[str]) -> None:
    with (
        pytest.warns(UserWarning),
        pytest.raises(ValueError, match="failure of every model, first of all breaks: on purpose"),
    ):
        seqdiff.compare([_Breaks(**SMALL, model_name="breaks")], X[:60], savepath=None, **QUICK)


def test_the_table_is_written_after_each_model(X: list[str], tmp_path: Path) -> None:
    """Whatever ends the program, what was finished before is on disk."""
    models = [Autoregressive(**SMALL), _Breaks(**SMALL, model_name="breaks", error=SystemExit)]
    with pytest.raises(SystemExit):
        seqdiff.compare(models, X[:60], savepath=tmp_path, **QUICK)
    table = pd.read_csv(tmp_path / "compare" / "table.csv", index_col="model")
    assert np.isfinite(table.loc["Autoregressive", "bits"]) and table.loc["breaks", "status"] == "waiting"


def test_ctrl_c_keeps_finished_models(X: list[str], tmp_path: Path) -> None:
    """The table on disk has the first model's metrics, and notes that the others were stopped."""
    models = [
        Autoregressive(**SMALL),
        _Breaks(**SMALL, model_name="breaks", error=KeyboardInterrupt),
        UniformDiffusion(**SMALL),
    ]
    with pytest.raises(KeyboardInterrupt):
        seqdiff.compare(models, X[:60], savepath=tmp_path, **QUICK)
    table = pd.read_csv(tmp_path / "compare" / "table.csv", index_col="model")
    assert np.isfinite(table.loc["Autoregressive", "bits"])
    assert table["status"].tolist()[:3] == ["done", "stopped", "stopped"]
    assert "stopped" in (tmp_path / "compare" / "table.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------- plot and terminal


def test_plot_shows_best_models_first(done: tuple[pd.DataFrame, Path]) -> None:
    table, _ = done
    figure = plot_comparison(table, title="both")
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()][::-1]
    best = table[~table["baseline"]]["bits"].idxmin()
    assert names[0] == best and names[-1] == "natural sequences" and len(names) == len(table)
    drawn = {line.get_xdata()[0] for line in left.lines if line.get_marker() in ("o", "<")}
    np.testing.assert_allclose(sorted(drawn), sorted(table["bits"].dropna()))
    bounds = [line for line in left.lines if line.get_marker() == "<"]
    assert len(bounds) == 1 and bounds[0].get_xdata()[0] == table.loc["MaskedDiffusion", "bits"]
    assert right.get_xlabel().startswith("6-mer")
    with pytest.raises(ValueError, match="table: got neither bits per letter nor"):
        plot_comparison(table.assign(bits=np.nan, kmer_js_ratio=np.nan))


def run(line: str) -> Any:
    result = CliRunner().invoke(main, shlex.split(line), prog_name="seqdiff")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def test_shell_command_equals_the_function(X: list[str], workdir: Path) -> None:
    """The table on stdout is the library's; settings that are not given are each model's own."""
    table = pd.DataFrame({"seq": X[:80], "label": ["a", "b"] * 40, "part": (["train"] * 6 + ["valid", "test"]) * 10})
    table.to_csv("p.csv", index=False)
    small = "--width 8 --depth 1 --epochs 1 --batch-size 64 --samples 30 --times 4 --steps 4"
    result = run(f"compare p.csv --models masked,autoregressive --y label --split part --dropout none {small}")
    assert result.exit_code == 0, result.output
    options = SMALL | QUICK | {"dropout": None}
    wanted = seqdiff.compare(["masked", "autoregressive"], "p.csv", "label", split="part", savepath=None, **options)
    read = pd.read_csv("runs/compare/table.csv", index_col="model")
    np.testing.assert_allclose(read["bits"].dropna(), wanted["bits"].dropna(), rtol=1e-5)
    assert "| MaskedDiffusion" in result.stdout and result.stdout.splitlines()[-1] == f"folder: {Path('runs/compare')}"
    assert seqdiff.load("runs/compare/Autoregressive").dropout is None
    assert seqdiff.load("runs/compare/Autoregressive").patience == Autoregressive().patience
    for line, said in (
        ("compare p.csv --models gpt", "'gpt'"),
        ("compare p.csv --seeds 0", "--seeds: got 0"),
        ("compare p.csv --split nothing", "--split: got 'nothing', expected 'auto'"),
    ):
        result = run(line)
        assert result.exit_code == 1 and said in result.stderr and "Traceback" not in result.output
    held = run(f"compare p.csv --models autoregressive --validation p.csv --test p.csv --savepath none {small}")
    assert (
        held.exit_code == 0
        and "80 sequences in the training set, 80 in the validation set, 80 in the test set" in held.stdout
    )


def test_multinomial_is_compared_when_named(X: list[str]) -> None:
    """Its default network is a large one; any setting of its own can be given."""
    options = SMALL | {"network": "conv", "diffusion_steps": 5}
    table = seqdiff.compare([MultinomialDiffusion], X[:60], savepath=None, **options, **QUICK)
    assert table.loc["MultinomialDiffusion", "status"] == "done"


def test_caption_mentions_only_what_the_table_has():
    sizes = {
        "reference": "a",
        "k": 6,
        "samples": 0,
        "compared": 0,
        "train": 8,
        "validation": 1,
        "test": 1,
        "split": "random",
    }
    table = pd.DataFrame({"bound": ["exact", "elbo"], "bits": [1.9, np.nan], "monte_carlo": [0.0, np.nan]})
    table["above"] = np.nan
    table.attrs = sizes
    assert "at most" not in caption(table) and "Above" not in caption(table)
    table.loc[1] = ["elbo", 1.8, 0.0123, 0.1]
    assert "+- 0.0123" in caption(table) and "Above" in caption(table)
