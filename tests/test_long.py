"""Long sequences: what a letter costs does not depend on the length, and no call takes too many letters."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from all_generators import GENERATORS
from small_models import SMALL, seeded, sequences
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from seqdiff import Autoregressive, MaskedDiffusion, UniformDiffusion, processes, runtime
from seqdiff.guidance import Chain, ClassifierFree, Guidance
from seqdiff.networks import Conditions, build_network
from seqdiff.processes.masked import FirstHitting
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import Denoiser, trajectory
from seqdiff.training import Settings, Trainer
from seqdiff.training.objective import Batch, Objective

LABELS = Conditions(classes=3)


def network(name: str, length: int, conditions: Conditions = LABELS, states: int = 4, **options: Any) -> nn.Module:
    """Return a network in which everything has an effect, as after training."""
    torch.manual_seed(0)
    net = build_network(
        name, {"width": 16}, options, states=states, letters=4, length=length, conditions=conditions, fixed_length=True
    )
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net


# -- counts of operations ---------------------------------------------------------------------------------------------


class Numbers(TorchDispatchMode):
    """Count the numbers that torch computes or copies."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, (tuple, list)) else [found]:
            view = isinstance(tensor, Tensor) and any(
                isinstance(a, Tensor) and a.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
                for a in args
            )
            self.total += tensor.numel() if isinstance(tensor, Tensor) and not view else 0
        return found


@pytest.mark.parametrize("name", ["conv", "bytenet"])
def test_operations_per_letter_do_not_depend_on_the_length(name):
    per_letter = []
    for length in (512, 1024):
        net = network(name, 1024, depth=4).requires_grad_(False)
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, length, dtype=torch.long), torch.zeros(1))
        per_letter.append(counter.get_total_flops() / length)
    assert per_letter[0] == pytest.approx(per_letter[1], rel=0.01)


@cache
def fitted(name: str, length: int) -> Any:
    X = sequences(4, length)
    return GENERATORS[name]().fit(X, ["a", "b"] * 2, validation=None)


@pytest.mark.parametrize("name", ["masked", "uniform", "classical", "scud", "autoregressive", "multinomial"])
def test_numbers_per_letter_do_not_depend_on_the_length(name):
    """In a training step, a score and a sample of as many network calls: nothing is quadratic in the length."""
    counts = []
    for length in (64, 256) if name == "autoregressive" else (256, 1024):
        model = fitted(name, length).model_
        x0 = torch.randint(4, (2, length), generator=seeded(), dtype=torch.uint8)
        cond = {"label": torch.zeros(2, dtype=torch.long), "keep": torch.ones(2, dtype=torch.bool)}
        batch = Batch(x0, torch.full((2,), length), cond).take(slice(None))
        objective, mask = model.objective.requires_grad_(True), batch.mask
        with Numbers() as training:
            objective(batch, seeded())["loss"].sum().backward()
        objective.requires_grad_(False)
        with Numbers() as scoring:
            objective.bound(batch, 4, seeded())
        with Numbers() as sampling, torch.no_grad():
            guide = ClassifierFree(2.0).bind(model, 2, cond)
            for state in trajectory(
                model.process, model.denoiser(), mask, seeded(), cond=cond, guidance=guide, steps=5
            ):
                last = state
            model.process.decode(last)
        counts.append(np.array([training.total, scoring.total, sampling.total]) / length)
    assert counts[1] == pytest.approx(counts[0], rel=0.1) and (counts[1] < 1.03 * counts[0]).all()


def test_default_number_of_calls_is_bounded():
    for length, calls in ((40, 40), (1000, 1000), (3000, 1000)):
        process = FirstHitting(4)
        state = process.prior(torch.ones(2, length, dtype=torch.bool), seeded())
        levels = list(process.levels(state, None))
        assert levels == list(range(calls, 0, -1))
        assert list(process.levels(state, 7)) == list(range(7, 0, -1))
        assert len(list(process.levels(state, 2000))) == min(length, 2000)


# -- letter by letter -------------------------------------------------------------------------------------------------


class Plain(Guidance):
    """A guide that changes nothing, but may read the letters of the state."""

    def clean(self, predict, context):
        assert predict(context).shape[1] == context.state.x.shape[1]
        return predict(context)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("gamma", [None, 2.0, lambda progress: 1.0 + (progress > 0.5)])
def test_letters_alone_are_drawn_like_whole_predictions(ends, gamma):
    n, length = 40, 12
    process = processes.Autoregressive(4, length, ends)
    net = network("conv", length, states=process.states, causal=True)
    net.out = nn.Linear(16, process.outputs)
    net.bias = nn.Parameter(torch.zeros(length, process.outputs))
    cond = {"label": torch.arange(n) % 3, "keep": torch.arange(n) % 5 > 0}
    lengths = torch.zeros(n) if ends else torch.arange(n) % length + 1
    mask = torch.arange(length) < lengths[:, None]
    free = [] if gamma is None else [ClassifierFree(gamma)]
    runs = []
    for guides in (free, [*free, Plain()]):
        options = {"cond": cond, "guidance": Chain(guides)}
        with torch.no_grad():
            runs.append(list(trajectory(process, Denoiser(net), mask, chunk_generators(n, "cpu", 0), **options)))
    for alone, whole in zip(*runs, strict=True):
        assert torch.equal(alone.x, whole.x) and torch.equal(alone.mask, whole.mask) and torch.equal(alone.t, whole.t)
        assert (alone.open is None) == (whole.open is None)
    assert isinstance(runs[0][5], processes.autoregressive.WritingState)
    with torch.no_grad():  # users may predict from any state, and change it
        state = runs[0][5].replace(t=runs[0][5].t)
        assert torch.equal(
            process.predict(Denoiser(net), runs[0][5], cond), process.predict(Denoiser(net), state, cond)
        )


# -- memory -----------------------------------------------------------------------------------------------------------


def kept_bytes(net: nn.Module, batch: Batch, process: processes.Process) -> tuple[int, Tensor, dict[str, Tensor]]:
    """Return the bytes kept for the gradients of a loss, the loss and the gradients."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    stream = runtime.DropoutStream(torch.device("cpu"))
    stream.seed(3)
    net.train().zero_grad()
    before = torch.get_rng_state()
    with stream.drawing(), saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = process.loss(net, batch, seeded())
    loss.sum().backward()
    assert torch.equal(torch.get_rng_state(), before)
    return sum(kept.values()), loss.detach(), {name: p.grad for name, p in net.named_parameters()}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["conv", "bytenet", "transformer"])
def test_checkpointing_changes_no_bit_and_keeps_less(name, precision):
    process = processes.Masked(4)
    x0 = torch.randint(4, (3, 200), generator=seeded())
    batch = Batch(x0, torch.full((3,), 200), {"label": torch.arange(3), "keep": torch.arange(3) < 2})
    found = []
    for checkpointing in (False, True):
        net = network(name, 200, states=5, depth=4, dropout=0.3, checkpointing=checkpointing)
        with runtime.autocast(torch.device("cpu"), precision):
            found.append(kept_bytes(net, batch, process))
    (plain_bytes, plain_loss, plain), (few_bytes, loss, gradients) = found
    assert torch.equal(loss, plain_loss) and few_bytes < 0.5 * plain_bytes
    assert gradients.keys() == plain.keys()
    assert all(gradients[k] is plain[k] or torch.equal(gradients[k], plain[k]) for k in plain)
    assert sum(g is not None and bool(g.any()) for g in gradients.values()) > 20


def test_checkpointed_fits_equal_plain_ones():
    X, settings = sequences(48, 30), {k: v for k, v in SMALL.items() if k != "diffusion_steps"} | {"dropout": 0.2}
    plain = MaskedDiffusion(**settings).fit(X)
    again = MaskedDiffusion(network_options={"checkpointing": True}, **settings).fit(X)
    assert plain.history_["loss"] == again.history_["loss"]
    assert plain.generate(3, random_state=0) == again.generate(3, random_state=0)


class Sizes(nn.Module):
    """Record the shape of each call."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x, *rest):
        self.shapes.append(tuple(x.shape))
        return self.inner(x, *rest)


def test_training_divides_long_batches(monkeypatch):
    """With the same gradients: a likelihood has no noise that the division could change."""
    results = []
    for most in (10**6, 250):
        monkeypatch.setattr("seqdiff.training.trainer.MOST_LETTERS", most)
        net = Sizes(network("conv", 100, Conditions(), states=5, causal=True, dropout=0.0))
        objective = Objective(processes.Autoregressive(4, 100), net)
        x0 = torch.randint(4, (14, 100), generator=seeded(), dtype=torch.uint8)
        settings = Settings(epochs=2, batch_size=7, warmup=0, lr=1e-3, verbose=0, precision="float32")
        trainer = Trainer(objective, Batch(x0, torch.full((14,), 100)), None, settings)
        trainer.fit()
        assert trainer.update == 4
        results.append((trainer.history["loss"], net.shapes))
    (whole, whole_shapes), (divided, shapes) = results
    assert divided == pytest.approx(whole, rel=1e-5)
    assert whole_shapes == [(7, 100)] * 4 and shapes == [(2, 100), (2, 100), (2, 100), (1, 100)] * 4


def test_scores_and_samples_are_computed_in_small_calls(monkeypatch):
    model = fitted("uniform", 256).model_
    monkeypatch.setattr(runtime, "LETTERS", 600)
    sized = Sizes(model.network)
    batch = Batch(torch.zeros(5, 256, dtype=torch.uint8), torch.full((5,), 256)).take(slice(None))
    Objective(model.process, sized).refined_bound(batch, lambda *names: chunk_generators(5, "cpu", *names))
    denoiser = Denoiser(sized, letters=runtime.call_letters(model.device))
    list(trajectory(model.process, denoiser, batch.mask, seeded(), steps=2))
    assert {rows for rows, _ in sized.shapes} == {1, 2}


def test_noise_of_long_sequences_does_not_depend_on_their_number(monkeypatch):
    model = fitted("uniform", 256)
    few, X = model.generate(3, steps=3, random_state=0), sequences(40, 256)
    monkeypatch.setattr(runtime, "LETTERS", 8 * 256)
    monkeypatch.setattr(runtime, "LETTERS_TOGETHER", 16 * 256)
    assert (runtime.chunk_rows(256), runtime.rows_at_once(model.model_.device, 256)) == (8, 16)
    samples = model.generate(40, steps=3, random_state=0)
    assert samples[:3] == model.generate(3, steps=3, random_state=0) != few
    assert len(set(samples)) == 40
    scores = model.score_samples(X, times=2)
    np.testing.assert_allclose(model.score_samples(X[:3], times=2), scores[:3], rtol=1e-5)
    states = list(model.trajectory(40, steps=3, random_state=0))
    assert model.alphabet_.decode(model.model_.process.decode(states[-1]).numpy()) == samples
    monkeypatch.setattr(runtime, "LETTERS_TOGETHER", 64 * 256)
    assert model.generate(40, steps=3, random_state=0) == samples


def test_chosen_rows_of_fewer_a_generator_have_the_noise_of_all():
    everything = runtime.uniform((40, 3), chunk_generators(40, "cpu", 5, size=8), "cpu")
    assert torch.equal(
        everything[16:], runtime.uniform((24, 3), chunk_generators(24, "cpu", 5, first=16, size=8), "cpu")
    )
    rows = torch.tensor([3, 17, 39])
    some = runtime.uniform((3, 3), runtime.ChosenRows(chunk_generators(40, "cpu", 5, size=8), rows), "cpu")
    assert torch.equal(some, everything[rows])


# -- places ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conv", "bytenet", "transformer"])
def test_networks_without_positions_treat_places_alike(name):
    net = network(name, 60, Conditions(), positions=False, depth=2)
    assert all(60 not in p.shape for p in net.parameters())
    if name != "transformer":  # convolutions of the middle do not reach the ends
        out = net.eval()(torch.arange(60)[None] % 4, torch.zeros(1))[0]
        assert torch.allclose(out[20:36], out[24:40], atol=1e-5) and not torch.allclose(
            out[20:36], out[21:37], atol=0.1
        )
    net.start_at(torch.log_softmax(torch.randn(60, 4), -1))
    assert net.bias.shape == (1, 4)


# -- whole models -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [pytest.param(Autoregressive, marks=pytest.mark.slow), MaskedDiffusion, UniformDiffusion]
)
def test_models_of_2048_letters(make, tmp_path):
    X = sequences(6, 2048, p=[0.7, 0.1, 0.1, 0.1])
    options = {"checkpointing": True, "positions": False}
    model = make(width=8, depth=1, epochs=2, batch_size=2, network_options=options, savepath=None, verbose=0)
    model.fit(X, ["a", "b"] * 3)
    guidance = None if make is Autoregressive else ClassifierFree(2.0)
    samples = model.generate(1, y="a", steps=3, guidance=guidance, random_state=0)
    assert [len(s) for s in samples] == [2048]
    assert model.score(X[:2], ["a", "b"]) / 2048 > -np.log(4)
    model.save(tmp_path / "model.safetensors")
    again = make.load(tmp_path / "model.safetensors")
    assert np.array_equal(again.score_samples(X[:1]), model.score_samples(X[:1]))
