"""Arguments and output files of `generate`: limits, labels, files that read back."""

from __future__ import annotations

import csv
import os
import stat
import warnings

import numpy as np
import pandas as pd
import pytest
from all_generators import BLINK, GENERATORS, LABELS, X, fitted
from small_models import sequences, tiny

import seqdiff
from seqdiff import Autoregressive, MaskedDiffusion, SequenceRegressor
from seqdiff.alphabets.alphabets import DNA, PROTEIN
from seqdiff.data import Alphabet, read_records
from seqdiff.data.constraints import Forbidden
from seqdiff.data.files import check_output, write_sequences
from seqdiff.guidance import ClassifierFree
from seqdiff.runtime import replacing


def one_sentence(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400 and message.isprintable(), message
    return message


# -- numbers that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATORS)
def test_nan_weights_stop_sampling_and_scoring(name):
    """nan weights used to sample the first letter of the alphabet."""
    model = fitted(name) if name == "distilled" else GENERATORS[name]().fit(X, LABELS)
    kept = {k: v.clone() for k, v in model.objective_.state_dict().items()}
    try:
        for value in model.objective_.network.parameters():
            value.data.fill_(float("nan"))
        with pytest.raises(ValueError, match="letter probabilities that are not finite") as caught:
            model.generate(2, steps=4, random_state=0)
        one_sentence(caught)
        if hasattr(model, "score_samples"):
            with pytest.raises(ValueError, match="scores: got 3 of 3"):
                model.score_samples(X[:3])
    finally:
        model.objective_.load_state_dict(kept)


def test_guide_strengths_and_sample_numbers_have_limits():
    model = fitted("masked")
    for gamma in (1e300, float("nan"), float("inf"), 10**400, "2", True):
        with pytest.raises(ValueError, match="10,000") as caught:
            ClassifierFree(gamma)
        one_sentence(caught)
    model.generate(2, y="few", guidance=ClassifierFree(1e4), random_state=0)
    for call in (
        lambda: model.generate(10**9),
        lambda: model.generate(10**30),
        lambda: model.generate(2, steps=10**9),
        lambda: model.generate(2, length=10**12),
        lambda: model.generate(2, temperature=10**400),
        lambda: model.generate(2, forbid=10**20),
        lambda: model.generate(2, forbid="9" * 400),
        lambda: model.score_samples(X[:2], times=10**12),
        lambda: tiny().fit(X, [i / 2 for i in range(64)]).generate(2, y=10**400),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        one_sentence(caught)


def test_far_targets_are_clipped_to_the_range_of_values():
    """Beyond the training range the predicted spread grows instead of the mean."""
    x = sequences(400, 8)
    y = [float(s.count("G")) for s in x]
    regressor = SequenceRegressor(epochs=2, width=8, depth=1).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        near = [float(regressor.encode(v)) for v in (-2.0, 0.0, 3.0, 9.0)]
    with pytest.warns(UserWarning, match=r"y: 1000 is far from the training values, 0 to \d; 1\d is taken"):
        far = float(regressor.encode(1000.0))
    with pytest.warns(UserWarning, match="y: -100 is far"):
        low = float(regressor.encode(-100.0))
    assert low < near[0] < near[1] < near[2] < near[3] < far < 10
    with pytest.warns(UserWarning):
        both = regressor.encode([3.0, 1e9])
    assert both.tolist() == pytest.approx([near[2], far])


# -- labels -----------------------------------------------------------------------------------------------------------


def test_labels_are_written_with_samples(workdir):
    model = fitted("masked")
    model.generate(6, out="o.csv", y="empirical", random_state=0)
    table = pd.read_csv("o.csv")
    assert table.columns.tolist() == ["id", "sequence", "y"] and set(table["y"]) <= {"few", "many"}
    assert table["y"].tolist() == model.labels_.tolist()
    model.generate(2, out="o.fasta", y=["few", "many"], random_state=0)
    assert [line.split()[1] for line in open("o.fasta") if line[0] == ">"] == ["y=few", "y=many"]
    model.generate(2, random_state=0)
    assert model.labels_ is None
    several = tiny().fit(X, {"label": LABELS, "expr": [i / 7 for i in range(64)]})
    several.generate(4, out="o.csv", y={"label": "few", "expr": [0.5, 1.0, float("nan"), 2.0]}, random_state=0)
    table = pd.read_csv("o.csv")
    assert table["label"].tolist() == ["few"] * 4
    np.testing.assert_allclose(table["expr"], [0.5, 1.0, np.nan, 2.0])
    model.infill(X[:2], "NN--------", n=3, y=["few", "many"], out="i.csv", random_state=0)
    assert pd.read_csv("i.csv")["y"].tolist() == ["few"] * 3 + ["many"] * 3


def test_labels_stay_aligned_with_kept_samples(workdir, monkeypatch):
    monkeypatch.setattr("seqdiff.estimators.requests.TRIES", 0)
    model = fitted("uniform")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = model.generate(40, y=["few", "many"] * 20, forbid="AA", steps=4, random_state=0)
    assert 3 < len(kept) < 37
    assert model.labels_.tolist() == [["few", "many"][i % 2] for i in model.made_] and len(model.labels_) == len(kept)


def test_conditioning_that_was_never_trained_is_refused():
    x, y = sequences(48), ["a", "b"] * 24
    always = tiny(label_dropout=0.0).fit(x, y)
    never = tiny(label_dropout=1.0).fit(x, y)
    for call, part in (
        (lambda: always.generate(2), "never learned without one"),
        (lambda: always.score_samples(x[:2]), "never learned without one"),
        (lambda: always.generate(2, y="a", guidance=ClassifierFree(2.0)), "also learned without labels"),
        (lambda: never.generate(2, y="a"), "label_dropout=1 hid every label"),
        (lambda: never.score_samples(x[:2], ["a", "b"]), "label_dropout=1 hid every label"),
    ):
        with pytest.raises(ValueError, match=part) as caught:
            call()
        one_sentence(caught)
    always.generate(2, y="a", guidance=ClassifierFree(1), random_state=0)
    always.score_samples(x[:2], ["a", "b"])
    never.generate(2)
    some = tiny(label_dropout=0.0).fit(x, ["a", None] * 24)  # rows without a label have taught p(x)
    some.generate(2, y="a", guidance=ClassifierFree(2.0), random_state=0)
    some.generate(2)


def test_model_file_records_missing_labels(workdir):
    x, y = sequences(48), ["a", "b"] * 24
    tiny(label_dropout=0.0).fit(x, y).save("m.safetensors")
    with pytest.raises(ValueError, match="never learned without"):
        seqdiff.load("m.safetensors").generate(1)


# -- files ------------------------------------------------------------------------------------------------------------

POOL = [
    *"ACGTXYZabc0129",
    *">;@=+-'\"\\ ,.|#%",
    "\t",
    "\n",
    "\r",
    "\x0b",
    "\x85",
    "\xa0",
    "é",
    "ß",
    "\u2028",
    "中",
    "\x00",
]


def test_files_of_1000_random_alphabets_round_trip_or_are_refused(workdir):
    rng = np.random.default_rng(0)
    written = refused = 0
    for _ in range(1000):
        letters = "".join(rng.choice(POOL, int(rng.integers(2, 6)), replace=False))
        texts = ["".join(rng.choice(list(letters), int(rng.integers(1, 7)))) for _ in range(12)]
        for suffix in ("fasta", "txt", "csv"):
            try:
                check_output(f"s.{suffix}", Alphabet(letters))
            except ValueError as error:
                assert ";" in str(error) and "\n" not in str(error) and str(error).isprintable(), error
                refused += 1
                continue
            write_sequences(f"s.{suffix}", texts, "test", {"y": texts})
            assert read_records(f"s.{suffix}").sequences == texts, (letters, suffix)
            written += 1
            if suffix == "csv":
                with open("s.csv", newline="", encoding="utf-8") as file:
                    cells = [cell for row in csv.reader(file) for cell in row]
                assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@")]
    assert written > 600 and refused > 600


def test_only_ambiguous_output_is_refused():
    for letters in ("ACGT", "ACDEFGHIKLMNPQRSTVWY", "C=+-@()", "01"):
        for suffix in ("fasta", "txt", "csv"):
            if not (suffix == "txt" and "@" in letters):
                check_output(f"s.{suffix}", Alphabet(letters))


def test_out_is_refused_before_any_work(workdir):
    model = MaskedDiffusion(**BLINK, alphabet=">AC").fit([">AC", "C>A"] * 9)
    with pytest.raises(
        ValueError, match=r"for letters with '>', expected letters that FASTA gives back; give .* in .csv"
    ):
        model.generate(2, out="x.fasta")
    assert not os.listdir()
    model.generate(2, out="x.csv", random_state=0)


def test_symbolic_links_are_kept_and_read_only_files_refused(workdir):
    model = fitted("masked")
    (workdir / "real.fasta").write_text("old")
    os.symlink("real.fasta", "link.fasta")
    model.generate(2, out="link.fasta", random_state=0)
    assert os.path.islink("link.fasta") and open("real.fasta").read().startswith(">s1")
    model.save("real.safetensors")
    os.symlink("real.safetensors", "link.safetensors")
    model.save("link.safetensors")
    assert os.path.islink("link.safetensors")
    (workdir / "ro.fasta").write_text("old")
    os.chmod("ro.fasta", 0o444)
    os.mkfifo("pipe.fasta")
    for call, part in (
        (lambda: model.generate(2, out="ro.fasta"), "must not be written"),
        (lambda: model.save("ro.fasta"), "must not be written"),
        (lambda: model.generate(2, out="pipe.fasta"), "got a pipe or a device"),
        (lambda: model.save("pipe.fasta"), "got a pipe or a device"),
        (lambda: model.save("."), "save: got the folder '.'"),
    ):
        with pytest.raises(ValueError, match=part) as caught:
            call()
        one_sentence(caught)
    assert open("ro.fasta").read() == "old" and stat.S_ISFIFO(os.stat("pipe.fasta").st_mode)


def test_home_is_expanded(workdir, monkeypatch):
    monkeypatch.setenv("HOME", str(workdir))
    model = fitted("masked")
    model.generate(2, out="~/s.fasta", random_state=0)
    model.save("~/m.safetensors")
    assert (workdir / "s.fasta").is_file() and (workdir / "m.safetensors").is_file() and not os.path.exists("~")


def test_a_copy_that_cannot_be_made_is_a_warning(workdir, monkeypatch):
    model = tiny(savepath="runs", model_name="m").fit(sequences(40))

    def shared(path, *rest):
        if "samples" in str(path):
            raise PermissionError(13, "Permission denied")
        return write_sequences(path, *rest)

    monkeypatch.setattr("seqdiff.estimators.base.write_sequences", shared)
    with pytest.warns(UserWarning, match=r"s.fasta is written, but no copy in .*Permission denied"):
        found = model.generate(2, out="s.fasta", random_state=0)
    assert read_records("s.fasta").sequences == found


def test_temporary_files_of_killed_processes_are_removed(workdir):
    gone = workdir / ".a.txt.999999999-deadbeef.tmp"
    alive = workdir / f".a.txt.{os.getpid()}-deadbeef.tmp"
    other = workdir / ".b.txt.999999999-deadbeef.tmp"
    for path in (gone, alive, other):
        path.write_text("half")
    with replacing("a.txt") as name:
        name.write_text("whole")
    assert sorted(os.listdir()) == sorted([alive.name, other.name, "a.txt"])


def test_failed_sweep_keeps_the_earlier_table(workdir):
    (workdir / "r.csv").write_text("guide,gamma\nyesterday's,1\n")

    def broken(gamma):
        raise RuntimeError("no")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="a failure in every row"):
            seqdiff.sweep(fitted("masked"), {"bad": broken}, [1], n=4, y="few", out="r.csv", verbose=0)
        assert "yesterday's" in (workdir / "r.csv").read_text()
        guides = {"bad": broken, "free": ClassifierFree}
        seqdiff.sweep(fitted("masked"), guides, [1], n=4, y="few", out="r.csv", verbose=0)
    assert pd.read_csv("r.csv")["guide"].tolist() == ["bad", "free"]


def test_dollar_signs_in_plots_are_literal(workdir):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = [MaskedDiffusion(**BLINK | {"savepath": "c", "model_name": "a$^$"}), Autoregressive(**BLINK)]
        table = seqdiff.compare(models, X, savepath="c", samples=8, times=2, steps=3, verbose=0)
    assert table.loc["a$^$", "status"] == "done" and (workdir / "c" / "compare" / "table.png").is_file()


# -- forbidden motifs -------------------------------------------------------------------------------------------------


def test_forbid_accepts_common_forms():
    from Bio import Restriction
    from Bio.Seq import Seq

    wanted = Forbidden(["BsaI"], DNA)
    hind = Forbidden(["AAGCTT"], DNA)
    for words in (
        Restriction.BsaI, [Restriction.BsaI], Restriction.RestrictionBatch(["BsaI"]), np.array(["BsaI"]), "GGTCTC",
        pd.Series(["BsaI"]), {"BsaI"}, ("bsai",), Seq("GGTCTC"), "bsaI-HFv2",
    ):  # fmt: skip
        found = Forbidden(words, DNA)
        assert len(found.patterns) == 2
        assert all((a == b).all() for a, b in zip(found.patterns, wanted.patterns, strict=True))
    for name in ("Hind III", "hindiii", "HindIII-HF"):
        assert (Forbidden(name, DNA).patterns[0] == hind.patterns[0]).all()


@pytest.mark.parametrize(
    ("words", "alphabet", "part"),
    [("AbaSI", DNA, "nearly every sequence .it needs a modified base"), ("HpyUM037X", DNA, "enzyme|symbol"),
     ("N[^P][ST]", PROTEIN, "expected a motif without sets in brackets"),
     (10**20, DNA, "expected the length of a run of one letter, 2 to 10,000"), (True, DNA, "True"),
     ({"a": 1}, DNA, "forbid: got"), (b"AC", DNA, "forbid: got"), (None, DNA, "forbid: got"),
     ([["AC"]], DNA, "forbid: got"), ("²", DNA, "no symbol")],
)  # fmt: skip
def test_forbid_refuses_other_forms(words, alphabet, part):
    with pytest.raises(ValueError, match=part) as caught:
        Forbidden(words, alphabet)
    one_sentence(caught)
