"""Distillation: a student maps noise to its teacher's letters in one network call."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from small_models import mixed_lengths, sequences

import seqdiff
from seqdiff import DirichletFM, DistilledFM, MaskedDiffusion
from seqdiff.cli.options import models
from seqdiff.experiments.comparison import contestants
from seqdiff.networks import Conditions, build_network
from seqdiff.processes import Batch
from seqdiff.processes.dirichlet import DistilledFlow, SimplexFlow
from seqdiff.runs import Run
from seqdiff.runtime import chunk_generators, generator_for
from seqdiff.sampling import trajectory

SMALL = {"width": 16, "depth": 1, "batch_size": 100, "savepath": None, "verbose": 0, "ema": 0.9, "dropout": 0.0}
SMALL["precision"] = "float32"  # which is faster where the network is so small


@pytest.fixture(scope="module")
def plain() -> DirichletFM:
    """Return a teacher whose letter frequencies differ by position."""
    x = [
        "".join(s) for s in zip(*(sequences(200, 200, "ACGT", seed=i, p=p)[0] for i, p in enumerate(LAW)), strict=True)
    ]
    return DirichletFM(**SMALL, epochs=20, lr=2e-2).fit(x)


LAW = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.5, 0.3, 0.1], [0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.1, 0.9]])


@pytest.fixture(scope="module")
def labelled() -> DirichletFM:
    x = sequences(150, 4, "AC") + sequences(50, 4, "GT")
    return DirichletFM(**SMALL, epochs=20, lr=2e-2, label_dropout=0.2).fit(
        x, ["ac"] * 150 + ["gt"] * 50, validation=None
    )


@pytest.fixture(scope="module")
def student(plain) -> DistilledFM:
    return plain.distill(1000, steps=10, epochs=20, lr=2e-2, ema=0.9)


def noise_and_letters(
    model, n: int, seed: int, steps: int | None = None, cond=None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where a model starts and where it ends."""
    mask = torch.ones(n, model.length_distribution_.max_length, dtype=torch.bool)
    process, network = model.objective_.process, model.objective_.network
    generators = chunk_generators(n, "cpu", seed)
    with torch.no_grad():
        states = list(trajectory(process, network, mask, generators, steps=steps))
    return states[0].x, process.decode(states[-1])


def test_student_maps_noise_to_the_teachers_letters(plain, student):
    x, taught = noise_and_letters(plain, 1000, 5, 10)
    same, learned = noise_and_letters(student, 1000, 5)
    assert torch.equal(x, same)
    share = float((taught == learned).double().mean())
    assert share > 0.93
    assert abs(share - student.quality_["agreement"]) < 0.05
    # and it is no accident of frequent letters: with other noise they agree far less often
    assert float((taught == noise_and_letters(student, 1000, 6)[1]).double().mean()) < 0.6


def test_student_letter_frequencies_match_the_teacher(plain, student):
    taught, learned = (np.array([list(s) for s in m.generate(2000, random_state=0)]) for m in (plain, student))
    for letter in "ACGT":
        assert np.abs((taught == letter).mean(0) - (learned == letter).mean(0)).max() < 0.06


def test_sampling_takes_one_network_call(student, monkeypatch):
    calls = []
    network = student.objective_.network
    monkeypatch.setattr(network, "forward", lambda *a, f=network.forward: calls.append(a[1].unique().tolist()) or f(*a))
    student.generate(20, random_state=0)
    student.generate(20, steps=50, random_state=0)
    assert calls == [[0.0], [0.0]]


def test_seed_repeats_and_templates_are_satisfied(student):
    assert student.generate(300, random_state=1) == student.generate(300, random_state=1)
    assert student.generate(300, random_state=1) != student.generate(300, random_state=2)
    made = student.generate(200, template="RNSN", random_state=0)
    assert all(s[0] in "AG" and s[2] in "CG" for s in made) and len(set(made)) > 10


def test_classes_are_drawn_by_frequency_and_condition_the_student(labelled):
    student = labelled.distill(800, steps=6, epochs=12, lr=2e-2, ema=0.9)
    of = {y: "".join(student.generate(300, y=y, random_state=0)) for y in ("ac", "gt", "empirical")}
    assert (of["ac"].count("A") + of["ac"].count("C")) / 1200 > 0.95
    assert (of["gt"].count("G") + of["gt"].count("T")) / 1200 > 0.95
    assert abs((of["empirical"].count("G") + of["empirical"].count("T")) / 1200 - 0.25) < 0.08
    free = "".join(student.generate(300, random_state=0))  # p(x) of a share without labels
    assert 0.05 < (free.count("G") + free.count("T")) / 1200 < 0.6


def test_training_pairs_are_generated_by_the_teacher(labelled):
    """Letters follow from noise and labels; the share without a label is that of the teacher's training."""
    pairs = DistilledFM(pairs=600, teacher_steps=7, verbose=0)._draw_pairs(labelled.fitted(), None)
    cond, process = pairs.cond, labelled.objective_.process
    assert abs(float((~cond["keep"]).double().mean()) - 0.2) < 0.06
    assert abs(float(cond["label"].double().mean()) - 0.25) < 0.06
    state = process.prior(pairs.mask, generator_for("cpu", 0)).replace(x=pairs.noise)
    with torch.no_grad():
        for level in process.levels(state, 7):
            kernel = process.predict(labelled.objective_.network, state, cond)
            state = process.step(state, level, kernel, generator_for("cpu", 0))
    assert float((process.decode(state) == pairs.x0).double().mean()) > 0.99  # but for bfloat16
    start = next(iter(labelled.trajectory(200, random_state=0))).x
    assert not (start == pairs.noise[:200]).any()  # what is generated with the same seed is no training example
    given = DistilledFM(pairs=60, verbose=0)._draw_pairs(labelled.fitted(), ["gt"])
    assert (given.cond["label"] == 1).all()
    both = DistilledFM(pairs=400, teacher_steps=2, verbose=0)._draw_pairs(labelled.fitted(), ["gt", "ac"])
    assert abs(float(both.cond["label"].double().mean()) - 0.5) < 0.1


def test_signals_are_cut_to_sequence_length():
    x = mixed_lengths(40)
    teacher = DirichletFM(**SMALL, epochs=1).fit(x, np.random.default_rng(0).normal(size=(40, 10, 2)))
    pairs = DistilledFM(pairs=50, teacher_steps=2, verbose=0)._draw_pairs(teacher.fitted(), np.ones((1, 10, 2)))
    signal = pairs.cond["signal"]
    assert not signal[~pairs.mask].any() and signal[pairs.mask].all() and not pairs.mask.all()


def test_validation_pairs_are_not_trained_on(plain, monkeypatch):
    seen = []
    monkeypatch.setattr(DistilledFM, "_optimise", lambda self, model, train, valid, *_: seen.extend([train, valid]))
    monkeypatch.setattr(DistilledFM, "_judge", lambda *_: {})
    plain.distill(40, steps=2)
    starts = [{tuple(row.flatten().tolist()) for row in batch.noise} for batch in seen]
    assert [len(s) for s in starts] == [36, 4] and not starts[0] & starts[1]


def test_labels_of_several_columns_are_given_as_in_fit():
    x, y = sequences(40, 4), {"a": ["u", "v"] * 20, "b": np.arange(40) / 10}
    teacher = DirichletFM(**SMALL, epochs=1).fit(x, y).fitted()
    draw = DistilledFM(pairs=30, teacher_steps=2, verbose=0)._draw_pairs
    named = draw(teacher, {"a": ["v", "v"], "b": [1.0, 2.0]}).cond
    assert (named["label"] == 1).all() and len(named["value"].unique()) == 2
    rows = draw(teacher, [{"a": "v", "b": 1.0}, {"a": "v", "b": 2.0}]).cond
    assert all(torch.equal(named[name], rows[name]) for name in named)
    with pytest.raises(ValueError, match="y, column 'a': got shape"):
        draw(teacher, {"a": "v"})


def test_signals_are_required():
    rng = np.random.default_rng(0)
    high = rng.random((200, 5)) < 0.5
    teacher = DirichletFM(**SMALL, epochs=20, lr=2e-2)
    teacher.fit(["".join(np.where(row, "A", "T")) for row in high], high[..., None].astype(float), validation=None)
    with pytest.raises(ValueError, match="y: got None, expected signals, as the teacher learned one"):
        teacher.distill(10)
    student = teacher.distill(600, y=high[..., None].astype(float), steps=6, epochs=12, lr=2e-2, ema=0.9)
    wanted = np.array([1.0, 0, 0, 1, 0])[:, None]
    made = np.array([list(s) for s in student.generate(200, y=wanted, random_state=0)])
    assert ((made == "A") == wanted[:, 0].astype(bool)).mean() > 0.9


def test_sequences_of_several_lengths():
    data = mixed_lengths(80)
    student = DirichletFM(**SMALL, epochs=1).fit(data).distill(80, steps=3, epochs=2)
    made = student.generate(300, random_state=0)
    assert len({len(s) for s in made}) > 3
    assert all(len(s) == 5 for s in student.generate(9, length=5))
    pairs = student._draw_pairs(DirichletFM(**SMALL, epochs=1).fit(data).fitted(), None)
    beyond = torch.where(pairs.mask, pairs.x0, 3 - pairs.x0)  # what stands there is no letter
    other = replace(pairs, x0=beyond)
    assert student._judge(pairs, pairs, None)["agreement"] == student._judge(other, pairs, None)["agreement"]


def test_gradients_reach_every_parameter_and_padding_is_ignored():
    process = DistilledFlow(3)
    sizes = {"states": 3, "letters": 3, "length": 9, "conditions": Conditions(2), "fixed_length": False}
    torch.manual_seed(0)
    net = build_network("conv", {"width": 8, "depth": 1, "dropout": 0.0}, **sizes)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x0, mask = torch.randint(3, (64, 9)), torch.arange(9) < torch.randint(1, 10, (64, 1))
    noise = process.prior(mask, generator_for("cpu", 0)).x
    cond = {"label": torch.arange(64) % 2, "keep": torch.arange(64) % 3 > 0}
    loss = process.loss(net, Batch.of(x0, mask, cond, noise), generator_for("cpu", 0))
    said = process.predict(
        net, process.state_class(noise, torch.zeros(64), mask), cond
    )  # no more is said than the network says
    assert torch.allclose(said, torch.log_softmax(net(noise, torch.zeros(64), cond, mask), -1))
    loss.mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    other = torch.where(mask, x0, 2 - x0)
    assert torch.equal(process.loss(net, Batch.of(other, mask, cond, noise), generator_for("cpu", 0)), loss)
    short = mask & (torch.arange(9) < 5)
    assert torch.allclose(
        process.loss(net, Batch.of(x0[:, :5], short[:, :5], cond, noise), generator_for("cpu", 0)),
        process.loss(net, Batch.of(x0[:, :5], short[:, :5], cond, noise[:, :5]), generator_for("cpu", 0)),
    )
    with pytest.raises(ValueError, match="noise"):
        process.loss(net, Batch.of(x0, mask), generator_for("cpu", 0))


# -- files and words --------------------------------------------------------------------------------------------------


def test_the_run_folder_and_the_file(plain, workdir, caplog):
    with caplog.at_level(logging.INFO, logger="seqdiff"):
        student = plain.distill(
            200, steps=5, epochs=2, savepath="runs", verbose=1, natural=["ACGT", "AACG", "ACTT"], model_name="quick"
        )
    assert "held-out sequences are the teacher's" in caplog.text and "natural sequences" in caplog.text
    assert student.run_dir_ is not None and Run(student.run_dir_).finished
    assert json.loads((workdir / "runs/quick/args.json").read_text())["estimator"] == "DistilledFM"
    for path in ("runs/quick", "runs/quick/check/model.safetensors"):
        again = seqdiff.load(path)
        assert isinstance(again, DistilledFM) and again.pairs == 200 and again.bound_ is None
        assert again.generate(30, random_state=3) == student.generate(30, random_state=3)
    student.save("student.safetensors")
    with safe_open("student.safetensors", framework="pt") as file:
        assert not [name for name in file.keys() if "noise" in name]  # noqa: SIM118 - not a dict
    student.generate(3, out="three.fasta")
    assert (workdir / "runs/quick/samples/three.fasta").is_file()
    with pytest.raises(ValueError, match="got a finished run"):
        plain.distill(200, steps=5, epochs=2, savepath="runs", model_name="quick")
    resumed = plain.distill(200, steps=5, epochs=2, savepath="runs", model_name="quick", resume=True)
    assert resumed.generate(30, random_state=3) == student.generate(30, random_state=3)
    other = DirichletFM(**SMALL, epochs=1).fit(["ACGT", "AAAA"])
    with pytest.raises(ValueError, match="other data"):
        clone(student).fit(other, resume=True)


def test_quality_compares_equal_numbers_of_sequences(plain, student):
    assert student.quality_["n"] == 100 and student.quality_["k"] == 4
    assert (
        0 <= student.quality_["teacher"] < 0.5 and abs(student.quality_["student"] - student.quality_["teacher"]) < 0.1
    )
    far = plain.distill(40, steps=2, epochs=1, natural=["TTTTTTTT"] * 9).quality_
    assert far["teacher"] > 0.9 and far["student"] > 0.9  # bits from what neither makes; 1 is nothing in common
    assert not hasattr(plain.distill(20, steps=2, epochs=1).fit(plain, validation=0), "score_samples")


def test_student_starts_at_its_teacher_or_has_its_own_size(plain):
    same = plain.distill(20, steps=2, epochs=1, lr=1e-12).objective_.network.state_dict()
    for name, value in plain.objective_.network.state_dict().items():
        assert torch.allclose(same[name], value, atol=1e-6)
    other = plain.distill(20, steps=2, epochs=1, width=8)
    assert other.objective_.network.position.shape[1] == 8 and len(other.generate(3)) == 3


def test_estimator_takes_a_teacher(plain):
    student = clone(DistilledFM(pairs=30, teacher_steps=2, epochs=1, **SMALL))
    assert student.fit(plain).generate(2, random_state=0) == student.fit(plain).generate(2, random_state=0)
    for wrong in (["ACGT"], "runs/x", student, MaskedDiffusion(**SMALL, epochs=1).fit(["ACGT", "AAAA"])):
        with pytest.raises(ValueError, match="expected a fitted DirichletFM"):
            clone(student).fit(wrong)
    with pytest.raises(NotFittedError):
        DirichletFM().distill()
    for options, said in (
        ({"n": 1}, "pairs: got 1"),
        ({"steps": 0}, "teacher_steps: got 0"),
        ({"y": ["a"]}, "fitted without labels"),
    ):
        with pytest.raises(ValueError, match=said):
            plain.distill(**options)
    with pytest.raises(ValueError, match="sample_weight"):
        clone(student).fit(plain, sample_weight=[1.0])


def test_distilled_fm_is_not_listed_as_a_model():
    assert "dirichlet-fm" in models() and "distilled-fm" not in models()
    with pytest.raises(ValueError, match="models.0.: got"):
        contestants(["DistilledFM"], {})
    assert issubclass(DistilledFlow, SimplexFlow)
