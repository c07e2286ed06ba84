"""GPU behaviour tested without a GPU: no operation mixes devices and no training step waits for the CPU.

See pretended.py; on "mps" nothing is in float64 either, which Apple's devices do not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from all_generators import BLINK, GENERATORS, LABELS, STEPS, X
from fake_device import Pretended
from small_models import mixed_lengths

import seqdiff
from seqdiff import (
    SCUD,
    Autoregressive,
    ClassicalDiffusion,
    DirichletFM,
    EmbeddingDiffusion,
    MaskedDiffusion,
    MultinomialDiffusion,
    SequenceClassifier,
    SequenceRegressor,
    UniformDiffusion,
    runtime,
)
from seqdiff.evaluation import plot_letters, plot_simplex
from seqdiff.guidance import (
    FUDGE,
    NOS,
    PPLM,
    ClassifierBased,
    ClassifierFree,
    LatentClassifier,
    LookAhead,
    Reward,
)
from seqdiff.processes.noise.events import make_powers, poisson
from seqdiff.processes.noise.importance_sampling import late, latest, touched
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.training import Trainer

PEPTIDES = mixed_lengths(24, 10, "ACDEFGHIKLMNPQRSTVWY")
NUMBERS = [float(len(x)) for x in PEPTIDES]
SMALL: dict[str, Any] = BLINK | {"width": 16}
OTHERS: dict[str, Callable[[], Any]] = {
    "multinomial, linear transformer": lambda: MultinomialDiffusion(**SMALL | {"diffusion_steps": 8}),
    "masked, transformer": lambda: MaskedDiffusion(network="transformer", **SMALL),
    "uniform, bytenet": lambda: UniformDiffusion(network="bytenet", **SMALL),
    "classical, fitted schedule": lambda: ClassicalDiffusion(
        forward="blosum62", schedule="mutual_information", **SMALL
    ),
    "classical, absorbing": lambda: ClassicalDiffusion(forward="absorbing", **SMALL),
    "scud, fitted schedule": lambda: SCUD(forward="blosum62", schedule="mutual_information", gamma=0.1, **SMALL),
    "scud, slow rates": lambda: SCUD(forward="gaussian", correctors=1, **SMALL),
    "autoregressive, transformer": lambda: Autoregressive(network="transformer", **SMALL),
    "autoregressive, bytenet": lambda: Autoregressive(network="bytenet", token_dropout=0.2, **SMALL),
    "dirichlet, Heun": lambda: DirichletFM(solver="heun", **SMALL),
    "dirichlet, linear": lambda: DirichletFM(path="linear", **SMALL),
    "embedding, shown": lambda: EmbeddingDiffusion(
        self_conditioning=True, embeddings="blosum62", diffusion_steps=8, **SMALL
    ),
    "embedding, paper": lambda: EmbeddingDiffusion(loss="paper", clamp=True, diffusion_steps=8, **SMALL),
}
PROFILE = {"level_probabilities": 1, "_fit_profile": 2}  # at the first step, and the latter at every hundredth
EXCEPT = {"embedding": PROFILE, "embedding, shown": PROFILE | {"_estimated": 3}}  # at every step: which rows
"""Waits of three training steps, by function."""


def cases(names: Iterable[str], *quick: tuple[str, str]) -> list[Any]:
    """Return all pairs of a name and a device, those that are not `quick` marked as slow."""
    pairs = [(name, device) for name in names for device in ("cuda", "mps")]
    return [pytest.param(*pair, marks=[] if pair in quick else pytest.mark.slow) for pair in pairs]


def check_waits(inside: Counter[str], name: str, device: str) -> None:
    """Fail where a training step has waited; on "mps" SCUD has to, as it counts its events in float64."""
    if device == "cuda" or "scud" not in name:
        assert inside == EXCEPT.get(name, {})


def counting(monkeypatch: pytest.MonkeyPatch, pretended: Pretended) -> Counter[str]:
    """Return a counter of the waits in training steps, by function."""
    inside: Counter[str] = Counter()
    step = Trainer._step

    def counted(*args: Any) -> Any:
        before = Counter(pretended.waits)
        result = step(*args)
        for line, n in (pretended.waits - before).items():
            inside[line.split()[1]] += n
        return result

    monkeypatch.setattr(Trainer, "_step", counted)
    return inside


@pytest.mark.parametrize(
    "mixed",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat([x, torch.ones(3)]),
        lambda x: torch.where(torch.ones(3) > 0, x, 0.0),
        lambda x: torch.searchsorted(torch.arange(3.0), x),
        lambda x: torch.arange(3) < x,
        lambda x: torch.ones(3)[x.long()],
        lambda x: torch.rand(3, device=x.device, generator=torch.Generator()),
        lambda x: torch.rand(3, generator=torch.Generator(device=x.device)),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
    ],
)
def test_fake_device_refuses_what_a_real_one_does(mixed):
    with Pretended("cuda"):
        x = torch.ones(3, device="cuda")
        assert (x + 1).device.type == "cuda" and x.cpu().device.type == "cpu"
        with pytest.raises((RuntimeError, TypeError)):
            mixed(x)
    with Pretended("mps"), pytest.raises(TypeError):
        torch.ones(3, device="mps").double()


def test_synchronisations_are_recorded():
    with Pretended("cuda") as pretended:
        x = torch.ones(3, device="cuda")
        for ask in (lambda: x.sum().item(), lambda: bool(x.any()), lambda: x[x > 0], lambda: x.tolist(), x.cpu):
            # what is noted is a line of seqdiff
            eval(compile("ask()", "seqdiff/made.py", "eval"), {"ask": ask})
    assert sum(pretended.waits.values()) == 5


FITTED = [name for name in GENERATORS if name != "distilled"]


@pytest.mark.parametrize(("name", "device"), cases(FITTED, *((name, "cuda") for name in FITTED)))
def test_generators_of_one_length(name, device, monkeypatch):
    with Pretended(device) as pretended:
        inside = counting(monkeypatch, pretended)
        model = GENERATORS[name](batch_size=24).fit(X, LABELS)
        check_waits(inside, name, device)
        assert all(p.device.type == device for p in model.objective_.parameters())
        assert len(model.generate(4, y="few", random_state=0, guidance=ClassifierFree(2.0), **STEPS)) == 4
        if model.bound_ is not None:
            assert np.isfinite(model.score_samples(X[:4], LABELS[:4], times=2)).all()


@pytest.mark.parametrize(
    ("name", "device"), cases(OTHERS, ("autoregressive, bytenet", "cuda"), ("embedding, shown", "mps"))
)
def test_generators_of_several_lengths(name, device, monkeypatch):
    with Pretended(device) as pretended:
        inside = counting(monkeypatch, pretended)
        model = OTHERS[name]()
        model.batch_size = 8
        model.fit(PEPTIDES, NUMBERS)
        check_waits(inside, name, device)
        assert len(model.generate(4, y=5.0, steps=3, random_state=0, length=7)) == 4
        if model.bound_ is not None:
            assert np.isfinite(model.score_samples(PEPTIDES[:4], times=2)).all()


STEERED = ("masked", "scud", "autoregressive", "dirichlet", "distilled", "embedding")


@pytest.mark.parametrize(("name", "device"), cases(STEERED, ("masked", "mps"), ("distilled", "cuda")))
def test_guides_and_edits(name, device):
    tiny = {"epochs": 1, "width": 8, "depth": 1}
    with Pretended(device):
        model = GENERATORS[name]().fit(X, LABELS)
        if name == "distilled":
            model = model.distill(32, steps=2, **BLINK)
        else:
            classifier = SequenceClassifier(noise_like=model, **tiny).fit(X, LABELS)
            regressor = SequenceRegressor(noise_like=model, **tiny).fit(X, [float(x.count("A")) for x in X])
            hidden = SequenceClassifier(noise_like=model, hidden=True, **tiny).fit(X, LABELS)
            assert classifier.predict_proba(X[:4]).shape == (4, 2) and regressor.predict(X[:4]).shape == (4,)
            guides: list[Any] = [Reward(lambda xs: [x.count("A") for x in xs], particles=2)]
            if name == "autoregressive":
                guides += [FUDGE(classifier, "few", top_k=2), FUDGE(regressor, 3.0), PPLM(hidden, "few")]
            else:
                guides += [ClassifierBased(classifier, "few"), ClassifierBased(regressor, 3.0, exact=True)]
                guides += [NOS(hidden, "few")]
            if name == "embedding":
                guides += [LatentClassifier(classifier, "few")]
            for guide in guides:
                assert len(model.generate(2, guidance=guide, steps=3, random_state=0)) == 2
        sample = model.generate(2, template="RNNNNNNNNA", guidance=LookAhead(4), forbid="CCC", steps=3)[0]
        assert sample[0] in "AG" and sample[-1] == "A"
        model.infill(X[0], "---NN-----", n=2, steps=3)
        model.mutate(X[0], 2, n=2, steps=3)
        assert len(list(model.trajectory(2, steps=3))) > 1


@pytest.mark.slow
def test_model_moves_between_devices(workdir):
    kept = {}
    for device in ("cuda", "mps"):
        with Pretended(device):
            model = GENERATORS["scud"](schedule="mutual_information", savepath="runs", model_name=device).fit(X, LABELS)
            model.save("model.safetensors")
            kept[device] = model.generate(4, random_state=0, **STEPS)
            read = seqdiff.load("model.safetensors", device=device)
            assert read.generate(4, random_state=0, **STEPS) == kept[device]
            GENERATORS["scud"](schedule="mutual_information", savepath="runs", model_name=device).fit(
                X, LABELS, resume=True
            )
        assert len(seqdiff.load("model.safetensors", device="cpu").generate(4)) == 4


@pytest.mark.slow
def test_signals_columns_and_weights():
    rng = np.random.default_rng(0)
    signal = rng.random((len(X), 10, 2), dtype=np.float32)
    with Pretended("mps"):
        for make in (GENERATORS["masked"], GENERATORS["autoregressive"]):
            assert len(make().fit(X, signal).generate(2, y=signal[:2], **STEPS)) == 2
        model = GENERATORS["masked"]().fit(X, {"a": LABELS, "b": rng.random(len(X))}, sample_weight=rng.random(len(X)))
        assert len(model.generate(2, y={"a": "few"}, **STEPS)) == 2


# -- what is computed in another way where the device would have to be waited for -------------------------------------


@pytest.mark.parametrize("letters", [4, 20])
def test_matrix_powers_are_the_same_on_devices(letters):
    rng = np.random.default_rng(letters)
    powers = make_powers(make_forward("gaussian", "ACDEFGHIKLMNPQRSTVWY"[:letters]), gamma=0.999)
    n = torch.from_numpy(rng.integers(0, 3 * len(powers.first), (5, 7)))
    x = torch.from_numpy(rng.integers(0, letters, (5, 7)))
    w = torch.from_numpy(rng.dirichlet(np.ones(letters), (5, 7)))
    expected = [powers(n), powers.rows(n, x), powers.columns(n, x), powers.mix(w, n)]
    assert len(powers.squares) > 1
    with Pretended("cuda") as pretended:
        powers = runtime.place(powers, pretended.device)
        n, x, w = (v.to("cuda") for v in (n, x, w))
        pretended.waits.clear()
        found = [powers(n), powers.rows(n, x), powers.columns(n, x), powers.mix(w, n)]
        assert not pretended.waits
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a.cpu(), b, rtol=1e-12, atol=0)


def test_poisson_counts_are_the_same_on_devices():
    rates = torch.tensor([0.0, 1e-9, 0.3, 7.0, 300.0, 5000.0], dtype=torch.float64)
    for least in (0, 1):
        expected = poisson(rates, 2000, torch.Generator().manual_seed(0), least=least)
        with Pretended("cuda") as pretended:
            there = rates.to("cuda")
            pretended.waits.clear()
            generator = torch.Generator("cuda").manual_seed(0)
            found = poisson(there, 2000, generator, least=least, most=5000.0)
            assert not pretended.waits
        assert torch.equal(found.cpu(), expected)


def test_late_times_are_accurate_in_float32():
    mask = torch.arange(50) < torch.tensor([1, 2, 17, 50])[:, None].repeat(5000, 1)
    generator = torch.Generator().manual_seed(0)
    for power in (2.0, 30.0):
        drawn = touched(torch.full((len(mask),), 0.999), mask, generator, untouched=True)
        times = [drawn, drawn._replace(a=torch.full_like(drawn.a, 1 - 2**-53))]
        for stratum in times:
            assert float(-late(stratum, mask, power).log_alpha.min()) <= latest(power, 50)


# -- precision --------------------------------------------------------------------------------------------------------


def test_float32_is_float32_on_cuda():
    def in_tf32():
        return torch._C._get_cudnn_allow_tf32() if conv is None else conv.fp32_precision != "ieee"

    conv = getattr(torch.backends.cudnn, "conv", None)
    assert in_tf32() and torch.backends.cudnn.allow_tf32
    for options in ({"precision": "float32"}, {"precision": "auto", "exact": True}):
        with runtime.autocast(torch.device("cuda"), **options):
            assert not in_tf32()
        assert in_tf32() and torch.backends.cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), runtime.autocast(torch.device("cuda"), "float32"):
        1 / 0  # noqa: B018
    assert in_tf32() and torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("major", [7, 9])
def test_bfloat16_is_not_emulated(major, monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or major > 7
    )
    with Pretended("cuda") as pretended:
        autocast = pretended._real["autocast"]
        kind = type(autocast(torch.device("cpu"), "bfloat16"))
        monkeypatch.setattr(torch, "autocast", lambda device, dtype: kind("cpu", dtype=dtype))
        assert isinstance(autocast(torch.device("cuda"), "auto"), kind) is (major == 9)


@pytest.mark.parametrize(
    ("tiles", "products", "fast"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_bfloat16_on_cpus_that_are_made_for_it(tiles, products, fast, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: products)
    for exact in (False, True):  # never for scores
        with runtime.autocast(torch.device("cpu"), "auto", exact=exact):
            assert torch.is_autocast_enabled("cpu") is (fast and not exact)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_files_of_predictors_plots_and_comparisons(device, workdir):
    tiny = {"epochs": 1, "width": 8, "depth": 1}
    with Pretended(device):
        model = GENERATORS["masked"]().fit(X, LABELS)
        model.save("model.safetensors")
        read = seqdiff.load("model.safetensors")
        for hidden, guide in ((False, ClassifierBased), (True, NOS)):
            SequenceClassifier(noise_like=model, hidden=hidden, **tiny).fit(X, LABELS).save("classifier.safetensors")
            classifier = SequenceClassifier.load("classifier.safetensors", noise_like=read)
            assert len(read.generate(2, guidance=guide(classifier, "few"), steps=3)) == 2
        for name in ("masked", "embedding", "dirichlet"):
            model = GENERATORS[name]().fit(X, LABELS)
            states = list(model.trajectory(4, steps=3))
            plot_letters(states, model)
            if name == "dirichlet":
                plot_simplex(states, "ACGT")
        table = seqdiff.compare([GENERATORS["masked"]()], X * 2, LABELS * 2, samples=10, savepath=None, verbose=0)
        assert len(table)
