"""`fit`: parameters, forms of data, validation, weights, labels, and absence of side effects."""

from __future__ import annotations

import logging
import random
import signal
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import SMALL, mixed_lengths, refuses, sequences, tiny

from seqdiff import Alphabet, MultinomialDiffusion
from seqdiff.data import random_split

X = sequences()


def share(samples: list[str], letter: str) -> float:
    return "".join(samples).count(letter) / len("".join(samples))


# -- what is refused --------------------------------------------------------------------------------------------------

WRONG_PARAMETERS = [
    ("length", 0),
    ("length", "10"),
    ("length", 11),
    ("alphabet", "rna"),
    ("alphabet", 4),
    ("alphabet", ""),
    ("alphabet", "AAC"),
    ("network", "resnet"),
    ("network", None),
    ("width", 0),
    ("width", 8.0),
    ("depth", -1),
    ("dropout", 1),
    ("dropout", "0.1"),
    ("epochs", 0),
    ("epochs", 2.5),
    ("epochs", True),
    ("batch_size", 0),
    ("batch_size", None),
    ("lr", 0),
    ("lr", -1e-3),
    ("lr", float("nan")),
    ("lr", "fast"),
    ("lr_schedule", "linear"),
    ("lr_decay", 1.5),
    ("warmup", -1),
    ("weight_decay", -0.1),
    ("weight_decay", 10**400),
    ("device", pd.NA),
    ("update_freq", 0),
    ("ema", 1.0),
    ("patience", 0),
    ("eval_every", 0),
    ("check_every", 0),
    ("label_dropout", 1.1),
    ("ambiguous", "keep"),
    ("target", "regression"),
    ("savepath", 3),
    ("model_name", ""),
    ("model_name", ".."),
    ("model_name", "a/b"),
    ("model_name", 7),
    ("random_state", -1),
    ("random_state", "seven"),
    ("random_state", 1.5),
    ("device", "gpu"),
    ("device", None),
    ("precision", "float16"),
    ("precision", None),
    ("verbose", "loud"),
    ("verbose", None),
    ("diffusion_steps", 0),
    ("heads", 0),
    ("local_heads", -1),
    ("local_size", 0),
]


@pytest.mark.parametrize(("name", "value"), WRONG_PARAMETERS)
def test_wrong_parameters_are_refused_before_anything_is_written(name, value, workdir):
    model = MultinomialDiffusion(**SMALL | {"savepath": "runs", name: value})
    refuses(lambda: model.fit(X), name if name != "alphabet" else "")
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 10, "heads": 4}, ["width: got 10", "heads=4"]),
        ({"width": 8, "heads": 2, "local_heads": 3}, ["local_heads: got 3", "heads=2"]),
        ({"width": 3, "heads": 1, "local_heads": 0}, ["width: got 3", "even"]),
        ({"width": 2, "heads": 1, "local_heads": 0}, ["width: got 2"]),
    ],
)
def test_sizes_that_do_not_fit_the_transformer_are_refused(options, words, workdir):
    refuses(lambda: tiny(network="linear-transformer", savepath="runs", **options).fit(X), *words)
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"validation": 1}, ["validation: got 1, expected a share of at least 0 and below 1"]),
        ({"validation": -0.1}, ["validation: got -0.1"]),
        ({"validation": float("nan")}, ["validation: got nan"]),
        ({"validation": True}, ["bool"]),
        ({"validation": []}, []),
        ({"validation": ["ACGU"]}, ["U"]),
        ({"validation": (X[:2], [0.1, 0.2])}, ["validation", "y was not given"]),
        ({"y": [0] * 47}, ["47", "48"]),
        ({"y": [None] * 48}, ["missing"]),
        ({"y": ["a"] * 48, "validation": (X[:2], ["a", "new"])}, ["'new'", "'a'"]),
        ({"y": "label"}, ["label"]),
        ({"sample_weight": np.ones(47)}, ["sample_weight", "47", "48"]),
        ({"sample_weight": -np.ones(48)}, ["sample_weight[0]: got -1", "at least 0"]),
        ({"sample_weight": np.zeros(48)}, ["sample_weight", "zero"]),
        ({"sample_weight": np.full(48, np.nan)}, ["sample_weight"]),
        ({"sample_weight": np.ones((48, 1))}, ["sample_weight", "(48, 1)"]),
    ],
)
def test_wrong_arguments_of_fit_are_refused_before_anything_is_written(arguments, words, workdir):
    refuses(lambda: tiny(savepath="runs").fit(X, **arguments), *words)
    assert list(workdir.iterdir()) == []


def test_a_parameter_that_no_file_can_hold_is_refused(workdir):
    class Odd(MultinomialDiffusion):
        def __init__(self, *, odd=None, **common):
            super().__init__(**common)
            self.odd = odd

    refuses(lambda: Odd(**SMALL | {"savepath": "runs"}, odd={1, 2}).fit(X), "set")


# -- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("network", ["conv", "linear-transformer"])
def test_very_few_sequences(n, network):
    model = tiny(network=network, heads=2, local_heads=1).fit(X[:n])
    assert model.n_train_ == max(1, n - 1)
    assert len(model.evaluations_["epoch"]) == (0 if n == 1 else 2)
    assert all(len(s) == 10 for s in model.generate(4))
    assert np.isfinite(model.score_samples(X[:n])).all()


def test_sequences_of_one_letter():
    model = tiny().fit(["A", "C", "C"])
    assert set(model.generate(50)) <= set("ACGT")
    assert np.isfinite(model.score(["A"]))


@pytest.mark.parametrize(
    ("spec", "letters", "name"),
    [
        ("auto", "ACGU", "rna"),
        ("auto", "ACDEFGHIKLMNPQRSTVWY", "protein"),
        ("rna", "ACGU", "rna"),
        ("xyz", "xyz", "custom"),
        (Alphabet("01", "bits"), "01", "bits"),
    ],
)
def test_other_alphabets(spec, letters, name, tmp_path):
    data = sequences(letters=letters)
    model = tiny(alphabet=spec).fit(data)
    assert model.alphabet_.name == name
    assert set("".join(model.generate(40))) <= set(letters)
    model.save(tmp_path / "m.safetensors")
    assert MultinomialDiffusion.load(tmp_path / "m.safetensors").score(data[:4]) == model.score(data[:4])


@pytest.mark.parametrize("network", ["conv", "linear-transformer"])
def test_mixed_lengths(network):
    data = mixed_lengths(80)
    model = tiny(network=network, heads=2, local_heads=1, local_size=4).fit(data, validation=0.2)
    lengths = np.array([len(s) for s in model.generate(300, random_state=0)])
    assert lengths.min() >= 1 and lengths.max() == 10 and len(set(lengths)) > 5
    assert set(lengths.tolist()) <= {len(s) for s in data}
    assert np.abs(np.bincount(lengths, minlength=11)[1:] / 300 - model.length_distribution_.probabilities).max() < 0.1
    assert {len(s) for s in model.generate(5, length=4)} == {4}
    assert [len(s) for s in model.generate(3, length=[2, 10, 7])] == [2, 10, 7]
    scores = model.score_samples(data)
    assert np.isfinite(scores).all()
    # a bound of p(x), which includes p(length): over all sequences of one and two letters it cannot add up to more
    every = ["A", "C", "G", "T"] + [a + b for a in "ACGT" for b in "ACGT"]
    bound = model.score_samples(every * 400).reshape(400, -1).mean(0)
    wanted = model.length_distribution_.probabilities[:2]
    for few, p in ((bound[:4], wanted[0]), (bound[4:], wanted[1])):
        assert 0.85 * p < np.exp(few).sum() < 1.05 * p


def test_fit_does_not_change_its_inputs():
    data, labels, weight = list(X), np.arange(48) % 3, np.ones(48)
    tiny().fit(data, labels, sample_weight=weight)
    assert data == X and (labels == np.arange(48) % 3).all() and (weight == 1).all()


def test_a_seed_repeats_and_another_differs():
    first, again, other = (tiny(random_state=s).fit(X).objective_.state_dict() for s in (0, np.int64(0), 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_custom_networks_are_accepted():
    class Flat(torch.nn.Module):
        def __init__(self, letters, length, **sizes):
            super().__init__()
            self.table = torch.nn.Parameter(torch.zeros(length, letters))

        def forward(self, x, t, cond=None, mask=None):
            return self.table[: x.shape[1]].expand(*x.shape, -1)

    model = tiny(network=Flat, epochs=40, lr=0.05).fit(sequences(64, p=[0.7, 0.1, 0.1, 0.1]))
    assert share(model.generate(200, random_state=0), "A") > 0.5


# -- validation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validation", "trained", "evaluated"),
    [
        (0.25, 36, True),
        (np.float32(0.25), 36, True),
        (None, 48, False),
        (0, 48, False),
        (0.0, 48, False),
        (False, 48, False),
        (X[:5], 48, True),
        (tuple(X[:2]), 48, True),
        (np.array(X[:5]), 48, True),
        (pd.Series(X[:5]), 48, True),
        ("held.txt", 48, True),
        (Path("held.txt"), 48, True),
        ((X[:5], None), 48, True),
    ],
)
def test_forms_of_validation(validation, trained, evaluated, workdir):
    Path("held.txt").write_text("\n".join(X[:5]))
    model = tiny().fit(X, validation=validation)
    assert model.n_train_ == trained
    assert bool(model.evaluations_["bound"]) == evaluated


def test_validation_bound_does_not_depend_on_the_form_of_validation(workdir):
    Path("held.txt").write_text("\n".join(X[:5]) + "\n")
    Path("held.csv").write_text("sequence,kind\n" + "".join(f"{s},a\n" for s in X[:5]))
    bounds = [
        tiny().fit(X, y=["a", "b"] * 24, validation=v).evaluations_["bound"]
        for v in ((X[:5], ["a"] * 5), ("held.csv", "kind"), (pd.DataFrame({"s": X[:5], "k": ["a"] * 5}), "k"))
    ]
    assert bounds[0] == bounds[1] == bounds[2]
    assert tiny().fit(X, validation="held.txt").evaluations_ | {"seconds": 0, "cpu_seconds": 0} == (
        tiny().fit(X, validation=X[:5]).evaluations_ | {"seconds": 0, "cpu_seconds": 0}
    )


def test_validation_sequences_extend_the_length_distribution():
    model = tiny().fit(X, validation=["ACGTACGTACGTACGT"])
    assert model.length_distribution_.max_length == 16
    assert np.isfinite(model.evaluations_["bound"]).all()


def test_validation_share_is_not_trained_on():
    """The network starts at the letter frequencies of the training set, with one pseudocount."""
    data = sequences(20, letters="AC") + sequences(20, letters="GT")  # no copies: those stay together
    a, b = (tiny(alphabet="dna", epochs=1, lr=1e-12, random_state=s).fit(data, validation=0.5) for s in (0, 1))
    start = [float(m.objective_.network.bias.softmax(-1)[:, 2:].sum(-1).mean()) for m in (a, b)]
    expected = [((random_split(40, 0.5, s)[0] >= 20).sum() + 2) / 24 for s in (0, 1)]
    assert np.allclose(start, expected, atol=1e-4) and expected[0] != expected[1]


# -- weights ----------------------------------------------------------------------------------------------------------


def test_zero_weight_sequences_do_not_change_the_model():
    weight = np.repeat([1.0, 0.0], 24)
    others = sequences(24, seed=9, p=[0.97, 0.01, 0.01, 0.01])
    a, b = (
        tiny().fit(X[:24] + rest, sample_weight=weight, validation=None).objective_.state_dict()
        for rest in (X[24:], others)
    )
    names = [n for n in a if not n.startswith("process.")]  # the terms seen so far are statistics of all rows
    assert len(names) > 10 and all(torch.equal(a[n], b[n]) for n in names)


def test_zero_weight_validation_sequences_do_not_choose_the_best_epoch():
    weight = np.repeat([1.0, 0.0], 24)
    others = sequences(24, seed=9, p=[0.97, 0.01, 0.01, 0.01])
    a, b = (
        tiny(epochs=1).fit(X[:24] + rest, sample_weight=weight, validation=0.5).evaluations_["bound"]
        for rest in (X[24:], others)
    )
    assert a == pytest.approx(b, rel=1e-6)


def test_weights_are_relative():
    a, b = (tiny().fit(X, sample_weight=np.arange(48) * c).objective_.state_dict() for c in (1.0, 4.0))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_samples_follow_the_weights():
    data = sequences(32, seed=1, p=[0.7, 0.1, 0.1, 0.1]) + sequences(32, seed=2, p=[0.1, 0.1, 0.1, 0.7])
    model = tiny(epochs=8).fit(data, sample_weight=np.repeat([9.0, 1.0], 32))
    samples = model.generate(200, random_state=0)
    assert share(samples, "A") > 0.45 > 0.3 > share(samples, "T")


def test_weights_stay_aligned_with_kept_rows():
    """A dropped sequence drops its weight."""
    data, weight = [*X[:24], "ACGTNACGTA", *X[24:]], np.arange(49.0)
    a = tiny(ambiguous="drop").fit(data, sample_weight=weight, validation=None)
    b = tiny().fit(X, sample_weight=np.delete(weight, 24), validation=None)
    assert a.score(X) == b.score(X)


# -- labels -----------------------------------------------------------------------------------------------------------

A_RICH, T_RICH = [0.85, 0.05, 0.05, 0.05], [0.05, 0.05, 0.05, 0.85]
PAIRED = sequences(64, 8, seed=1, p=A_RICH) + sequences(64, 8, seed=2, p=T_RICH)


def trained(y, data=PAIRED, **parameters):
    settings = {"epochs": 12, "lr": 3e-2, "label_dropout": 0.2, "dropout": 0.0} | parameters
    return tiny(**settings).fit(data, y)


@pytest.fixture(scope="module")
def of_classes():
    return trained(["a"] * 64 + ["t"] * 64, epochs=30, label_dropout=0.4)


def test_one_class_for_all_or_one_per_sample(of_classes):
    assert share(of_classes.generate(200, y="a", random_state=0), "A") > 0.7
    assert share(of_classes.generate(200, y="t", random_state=0), "T") > 0.7
    mixed = of_classes.generate(200, y=["a", "t"] * 100, random_state=0)
    assert share(mixed[::2], "A") > 0.7 and share(mixed[1::2], "T") > 0.7
    free = of_classes.generate(300, random_state=0)
    assert 0.2 < share(free, "A") < 0.7 and 0.2 < share(free, "T") < 0.7
    missing = of_classes.generate(300, y=["a"] * 100 + [None] * 200, random_state=0)
    assert share(missing[:100], "A") > 0.7 and missing[100:] == free[100:]


def test_an_unknown_class_is_refused_with_the_known_ones(of_classes):
    refuses(lambda: of_classes.generate(3, y="g"), "'g'", "'a'", "'t'")
    refuses(lambda: of_classes.generate(3, y=["a", "t"]), "2", "3")
    refuses(lambda: of_classes.score_samples(PAIRED[:2], ["a", "g"]), "'g'", "'a'")
    refuses(lambda: tiny().fit(X).generate(3, y="a"), "without labels")
    refuses(lambda: tiny().fit(X).score_samples(X, ["a"] * 48), "without labels")


def test_scores_with_and_without_labels(of_classes):
    right = of_classes.score(PAIRED, ["a"] * 64 + ["t"] * 64)
    without = of_classes.score(PAIRED)
    wrong = of_classes.score(PAIRED, ["t"] * 64 + ["a"] * 64)
    assert right > without + 0.3 and without > wrong + 1
    some = of_classes.score_samples(PAIRED, ["a"] * 64 + [None] * 64)
    assert np.allclose(some[64:], of_classes.score_samples(PAIRED)[64:], atol=1e-4)


def test_validation_labels_are_used():
    held = PAIRED[:8] + PAIRED[-8:]
    bounds = [
        tiny(epochs=12, lr=3e-2, dropout=0.0).fit(PAIRED, ["a"] * 64 + ["t"] * 64, validation=(held, labels))
        for labels in (["a"] * 8 + ["t"] * 8, ["t"] * 8 + ["a"] * 8)
    ]
    assert bounds[0].evaluations_["bound"][-1] < bounds[1].evaluations_["bound"][-1] - 1


def test_whole_numbers_are_classes_and_missing_labels_are_allowed():
    y = [0 if i % 4 else None for i in range(64)] + [1 if i % 4 else None for i in range(64)]
    model = trained(y)
    assert model.target_.kind == "class" and model.target_.classes_ == [0, 1]
    assert share(model.generate(200, y=1, random_state=0), "T") > 0.65


def test_value_labels_condition_samples():
    y = np.r_[np.full(64, 3.0), np.full(64, 7.0)] + np.random.default_rng(0).normal(0, 0.3, 128)
    y[::9] = np.nan
    model = trained(y)
    assert model.target_.kind == "value"
    assert share(model.generate(200, y=3.0, random_state=0), "A") > 0.65
    ends = model.generate(200, y=np.repeat([3.0, 7.0], 100), random_state=0)
    assert share(ends[:100], "A") > 0.65 and share(ends[100:], "T") > 0.65
    assert model.score(PAIRED, y) > model.score(PAIRED, 10 - y) + 1


def test_target_overrides_the_guessed_kind():
    assert tiny(target="value").fit(X, np.arange(48)).target_.kind == "value"
    assert tiny(target="class").fit(X, np.arange(48.0) % 2).target_.kind == "class"


def signal_data(lengths):
    """Return sequences that are A where a signal is high and T where it is low, in nine letters of ten."""
    rng = np.random.default_rng(4)
    high = rng.random((len(lengths), max(lengths))) < 0.5
    letters = np.where(high ^ (rng.random(high.shape) < 0.1), "A", "T")
    return ["".join(row[:k]) for row, k in zip(letters, lengths, strict=True)], high[..., None].astype(float)


def agreement(samples, high) -> float:
    hits = [(np.array(list(s)) == "A") == row[: len(s)].astype(bool) for s, row in zip(samples, high, strict=True)]
    return float(np.concatenate(hits).mean())


def test_signal_labels_condition_samples():
    data, y = signal_data([10] * 160)
    y[5] = np.nan
    model = trained(y, data, epochs=15, alphabet="dna")
    assert model.target_.kind == "signal"
    wanted = np.array([1, 1, 0, 0, 1, 0, 1, 1, 0, 1.0])[:, None]
    assert agreement(model.generate(100, y=wanted, random_state=0), [wanted[:, 0]] * 100) > 0.75
    assert agreement(model.generate(100, y=y[10:110], random_state=0), y[10:110, :, 0]) > 0.75
    assert model.score(data[6:], y[6:]) > model.score(data[6:], 1 - y[6:]) + 3
    refuses(lambda: model.generate(2, y=wanted[:9]), "9", "10", "signal")


def test_signals_of_sequences_of_several_lengths():
    """Validation sequences, scored ones and samples may be shorter than the longest of training."""
    lengths = np.random.default_rng(3).integers(4, 11, 120)
    lengths[0] = 10
    data, y = signal_data(lengths)
    model = tiny(epochs=10, lr=3e-2, dropout=0.0).fit(data, y, validation=(data[1:2], y[1:2, : lengths[1]]))
    short = [i for i in range(120) if lengths[i] < 8]
    narrow = y[short][:, : max(lengths[short])]
    assert model.score([data[i] for i in short], narrow) > model.score([data[i] for i in short], 1 - narrow)
    assert agreement(model.generate(60, y=y[:60], length=6, random_state=0), y[:60, :6, 0]) > 0.7
    assert agreement(model.generate(60, y=y[:60, :6], length=6, random_state=0), y[:60, :6, 0]) > 0.7
    refuses(lambda: model.generate(2, y=y[0, :5], length=6), "5", "6")


# -- what fit must leave alone ----------------------------------------------------------------------------------------


def everything_global():
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": [str(part) for part in np.random.get_state()],  # noqa: NPY002
        "python": random.getstate(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "tf32": torch.get_float32_matmul_precision(),
        "interrupt": signal.getsignal(signal.SIGINT),
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers)),
    }


def test_nothing_global_is_changed(workdir):
    before = everything_global()
    model = tiny(savepath="runs", dropout=0.2).fit(X, ["a", "b"] * 24)
    model.generate(5, out="new.fasta")
    model.score_samples(X)
    assert everything_global() == before


def test_verbose_0_is_silent(workdir, capfd, caplog, recwarn):
    caplog.set_level(logging.DEBUG, "seqdiff")
    model = tiny(savepath="runs").fit([*X, X[0]], validation=0.1)
    model.generate(5, out="new.fasta")
    model.score(X)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == [] and [w for w in recwarn if "seqdiff" in str(w.filename)] == []


def test_verbose_1_writes_to_stderr_only(workdir, capfd, caplog):
    tiny(savepath="runs", verbose=1).fit([*X, X[0]], validation=0.1).generate(5)
    out, err = capfd.readouterr()
    assert out == ""
    for word in ("dna", "repeats", "44 dna sequences, 5 held out", "runs", "epoch 2", "bits/letter", "sequence"):
        assert word in err
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_messages_are_written_to_the_run_log(workdir, capfd, caplog):
    caplog.set_level(logging.INFO, "seqdiff")
    tiny(verbose=1).fit(X)
    assert any("dna sequences" in r.message for r in caplog.records)
    assert "dna sequences" not in capfd.readouterr().err
