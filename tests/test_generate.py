"""`generate` and `trajectory`: templates, files, randomness, steps and temperature."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from small_models import mixed_lengths, refuses, sequences, tiny

from seqdiff import runtime
from seqdiff.data import read_records
from seqdiff.guidance import Guidance
from seqdiff.model import SequenceModel

IUPAC = {"A": "A", "C": "C", "G": "G", "T": "T", "N": "ACGT", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "H": "ACT"}


@pytest.fixture(scope="module")
def model():
    return tiny(epochs=4).fit(sequences(64, p=[0.5, 0.2, 0.2, 0.1]))


@pytest.fixture(scope="module")
def mixed():
    return tiny().fit(mixed_lengths())


@pytest.fixture
def saved(workdir):
    return tiny(savepath="runs", model_name="mine").fit(sequences())


# -- templates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", ["NNNTATAATN", "RYSWHNNNAA", "acgtnnryac", "A" * 10])
@pytest.mark.parametrize("steps", [None, 1, 3])
def test_iupac_templates_are_satisfied(model, template, steps):
    samples = model.generate(60, template=template, steps=steps, random_state=0)
    for s in samples:
        assert len(s) == 10 and all(letter in IUPAC[t] for letter, t in zip(s, template.upper(), strict=True))
    if "N" in template:
        assert len(set(samples)) > 5


def test_templates_as_lists(model):
    template = ["A", None, "CG", "N", "AY", ["G", "T"], "R", None, "T", "N"]
    allowed = ["A", "ACGT", "CG", "ACGT", "ACT", "GT", "AG", "ACGT", "T", "ACGT"]
    samples = model.generate(200, template=template, random_state=0)
    found = [set(letters) for letters in zip(*samples, strict=True)]
    assert found == [set(a) for a in allowed]  # nothing else, and all that is allowed


def test_templates_of_other_alphabets():
    amino = tiny(alphabet="protein").fit(sequences(letters="ACDEFGHIKLMNPQRSTVWY"))
    samples = amino.generate(100, template="MXXBZNXXXX", random_state=0)
    assert all(s[0] == "M" and s[3] in "DN" and s[4] in "EQ" and s[5] == "N" for s in samples)
    text = tiny(alphabet="XNab").fit(sequences(letters="XNab"))  # here N is a letter like any other
    assert all(s[:3] == "XNa" for s in text.generate(20, template=["X", "N", "a", *[None] * 7]))


def test_a_template_fixes_the_length(mixed):
    samples = mixed.generate(40, template="NACGTN", random_state=0)
    assert all(len(s) == 6 and s[1:5] == "ACGT" for s in samples)
    assert mixed.generate(40, template="NACGTN", length=6, random_state=0) == samples


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("ACGT", ["4 positions", "expected 10,"]),
        ("N" * 11, ["11 positions"]),
        ("ACGTZNNNNN", ["position 5", "'Z'"]),
        ("", []),
        ([], []),
        (["A", "", *[None] * 8], ["position 2", "no letter"]),
        (["A", 3, *[None] * 8], ["position 2", "3"]),
        (["A", ["C", 3], *[None] * 8], ["position 2", "3"]),
        (7, ["7"]),
    ],
)
def test_wrong_templates_are_refused(model, template, words):
    refuses(lambda: model.generate(2, template=template), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0}, ["n: got 0"]),
        ({"n": -3}, ["n: got -3"]),
        ({"n": 2.0}, ["n: got 2.0"]),
        ({"n": "10"}, ["n: got '10'"]),
        ({"n": None}, ["n: got None"]),
        ({"n": True}, ["n: got True"]),
        ({"steps": 0}, ["steps: got 0"]),
        ({"steps": 2.5}, ["steps: got 2.5"]),
        ({"temperature": 0}, ["temperature: got 0"]),
        ({"temperature": -1.0}, ["temperature: got -1.0"]),
        ({"temperature": float("nan")}, ["temperature: got nan"]),
        ({"length": 9}, ["length: got 9", "10 letters"]),
        ({"length": 11}, ["length: got 11"]),
        ({"length": "10"}, ["length: got '10'"]),
        ({"length": [10, 10]}, ["3"]),
        ({"length": 9, "template": "N" * 10}, ["length: got 9", "template"]),
        ({"random_state": -1}, ["random_state: got -1"]),
        ({"random_state": "today"}, ["random_state: got 'today'"]),
        ({"guidance": "more"}, ["guidance"]),
        ({"guidance": [3]}, ["guidance", "3"]),
        ({"y": "a"}, ["without labels"]),
        ({"out": "new.pdf"}, ["new.pdf", ".fasta"]),
        ({"out": "new"}, ["new"]),
        ({"out": "nowhere/new.fasta"}, ["nowhere"]),
        ({"out": "folder.fasta"}, ["folder.fasta", "folder"]),
    ],
)
@pytest.mark.parametrize("verbose", [0, 1])
def test_wrong_arguments_are_refused_before_any_work(model, arguments, words, verbose, workdir, monkeypatch):
    def no_work(*args, **kwargs):
        raise AssertionError("work began")

    Path("folder.fasta").mkdir()
    monkeypatch.setattr(SequenceModel, "sample", no_work)
    monkeypatch.setattr(model, "verbose", verbose)
    refuses(lambda: model.generate(**{"n": 3} | arguments), *words)
    assert [p.name for p in workdir.iterdir()] == ["folder.fasta"]


# -- randomness -------------------------------------------------------------------------------------------------------


def test_a_seed_repeats_and_none_is_fresh(model):
    assert model.generate(30, random_state=5) == model.generate(30, random_state=5)
    assert model.generate(30, random_state=5) != model.generate(30, random_state=6)
    first, seed = model.generate(30), model.seed_
    assert model.generate(30) != first and model.seed_ != seed
    assert model.generate(30, random_state=seed) == first


def test_samples_of_one_call_differ(model):
    assert len(set(model.generate(600, random_state=0))) > 500


@pytest.mark.parametrize("kind", ["model", "mixed"])
def test_samples_do_not_depend_on_batch_size_or_number(kind, request, monkeypatch):
    model = request.getfixturevalue(kind)
    samples = model.generate(600, random_state=2)
    if kind == "model":  # sequences of several lengths are as wide as the longest asked for
        assert model.generate(7, random_state=2) == samples[:7]
        assert model.generate(300, random_state=2) == samples[:300]
    monkeypatch.setattr(runtime, "rows_at_once", lambda device, width=1: 1024)
    assert model.generate(600, random_state=2) == samples


def test_scores_do_not_depend_on_the_batch_size(model, monkeypatch):
    X = sequences(600)
    scores = model.score_samples(X)
    monkeypatch.setattr(runtime, "rows_at_once", lambda device, width=1: 1024)
    assert np.allclose(model.score_samples(X), scores, atol=1e-4)


# -- steps and temperature --------------------------------------------------------------------------------------------


def test_steps_are_capped_at_all_levels(model):
    assert model.generate(20, steps=500, random_state=0) == model.generate(20, random_state=0)
    assert model.generate(20, steps=10, random_state=0) == model.generate(20, random_state=0)


@pytest.mark.parametrize(("steps", "calls"), [(1, 1), (4, 4), (None, 10)])
def test_each_step_calls_the_network_once(model, steps, calls, monkeypatch):
    count = []
    monkeypatch.setattr(SequenceModel, "denoiser", lambda self: lambda *a: count.append(1) or self.network(*a))
    model.generate(20, steps=steps)
    assert len(count) == calls


def test_temperature_sharpens_and_flattens(model):
    def most_common(temperature):
        return "".join(model.generate(300, temperature=temperature, random_state=0)).count("A") / 3000

    cold, plain, hot = map(most_common, (0.2, 1.0, 20.0))
    assert cold > plain + 0.15 and plain > hot + 0.1 and abs(hot - 0.25) < 0.03


# -- guidance and trajectories ----------------------------------------------------------------------------------------


class Only(Guidance):
    """Give all probability to one letter at the data's side."""

    def __init__(self, letter):
        self.letter = letter

    def clean(self, predict, context):
        log_p0 = predict(context).clone()
        log_p0[..., [i for i in range(4) if i != self.letter]] = -1e9
        return log_p0


def test_guides_act_in_order_and_the_template_last(model):
    assert set(model.generate(10, guidance=Only(2), random_state=0)) == {"G" * 10}
    assert set(model.generate(10, guidance=[Only(2)], template="NNNNNNNNTA", random_state=0)) == {"G" * 8 + "TA"}


def test_trajectory_yields_every_state(model):
    states = list(model.trajectory(3, random_state=0))
    assert [int(s.t[0]) for s in states] == list(range(10, -1, -1))
    last = model.alphabet_.decode(states[-1].x.numpy())
    assert last == model.generate(3, random_state=0)
    assert len(list(model.trajectory(2, steps=4))) == 5
    refuses(lambda: next(model.trajectory(257)), "n: got 257")


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["new.fasta", "new.fa", "new.FASTA", "new.txt", "new.csv"])
def test_files_hold_what_is_returned(saved, name):
    samples = saved.generate(25, out=name)
    assert read_records(name).sequences == samples
    copy = Path("runs/mine/samples") / name
    assert copy.read_bytes() == Path(name).read_bytes()
    assert sorted(p.name for p in Path().iterdir()) == sorted([name, "runs"])


def test_fasta_headers_hold_provenance(saved):
    saved.generate(25, out="new.fasta")
    records = list(SeqIO.parse("new.fasta", "fasta"))
    assert len({r.id for r in records}) == 25 and max(len(r.id) for r in records) <= 10
    seeds = {re.search(r"seed=(\d+)", r.description).group(1) for r in records}
    assert seeds == {str(saved.seed_)}
    assert all("MultinomialDiffusion" in r.description and "mine" in r.description for r in records)
    assert saved.generate(25, random_state=saved.seed_) == [str(r.seq) for r in records]


def test_output_inside_the_run_is_not_copied_onto_itself(saved):
    saved.generate(3, out="runs/mine/samples/new.txt")
    assert [p.name for p in Path("runs/mine/samples").iterdir()] == ["new.txt"]


def test_models_without_a_run_write_only_the_file(model, workdir):
    samples = model.generate(3, out=workdir / "new.txt")
    assert Path("new.txt").read_text().split() == samples
    assert [p.name for p in workdir.iterdir()] == ["new.txt"]


def test_a_table_of_odd_letters_reads_back(workdir):
    import pandas as pd

    odd = tiny(alphabet=',"ab').fit(sequences(letters=',"ab'))
    samples = odd.generate(20, out="new.csv")
    table = pd.read_csv("new.csv", keep_default_na=False)
    assert table["sequence"].tolist() == samples and table["id"].is_unique
