"""Batches of similar lengths: their rows and widths, and that cutting them changes no loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_models import SMALL, mixed_lengths, tiny
from torch import Tensor, nn

import seqdiff
from seqdiff import runtime
from seqdiff.data import prepare
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.estimators.loading import subclasses
from seqdiff.processes import Batch
from seqdiff.training import Settings, Trainer
from seqdiff.training.batches import Parts, batches_of, crop_width, cut, epoch_order, validation_batches

ESTIMATORS = {cls.__name__: cls for cls in subclasses(SequenceGenerator) if cls.__module__.startswith("seqdiff.")}


def lengths_of(n: int, longest: int = 90, seed: int = 0) -> Tensor:
    lengths = torch.randint(5, longest + 1, (n,), generator=torch.Generator().manual_seed(seed))
    lengths[0] = longest
    return lengths


def epoch_batches(
    lengths: Tensor, width: int, size: int, seed: int, epoch: int, cost: int
) -> tuple[Tensor, list[Parts]]:
    return batches_of(epoch_order(len(lengths), seed, epoch), lengths, width, size, cost)


# -- who is in which part of which batch ------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "size"), [(1000, 16), (1003, 64), (15, 16), (16, 16), (40, 16), (7, 1), (1, 4)])
@pytest.mark.parametrize("cost", [0, 50, 10**6])
def test_batches_hold_every_row_once_and_cut_no_letter(n, size, cost):
    lengths = lengths_of(n)
    for epoch in range(3):
        order, batches = epoch_batches(lengths, 90, size, seed=1, epoch=epoch, cost=cost)
        assert sorted(order.tolist()) == list(range(n)) and len(batches) == -(-n // size)
        for rows, parts in zip(order.split(size), batches, strict=True):
            places = [i for part, _ in parts for i in range(part.start, part.stop)]
            assert places == list(range(len(rows)))
            for part, width in parts:
                longest = int(lengths[rows[part]].max())
                assert longest <= width <= min(90, longest + 7) and (width % 8 == 0 or width == 90)


def test_seed_and_epoch_determine_batches():
    lengths = lengths_of(500)
    one, two = (epoch_batches(lengths, 90, 16, seed=1, epoch=3, cost=50) for _ in range(2))
    assert torch.equal(one[0], two[0]) and one[1] == two[1]
    for seed, epoch in ((1, 4), (2, 3)):
        assert not torch.equal(one[0], epoch_batches(lengths, 90, 16, seed, epoch, 50)[0])


def test_batches_equal_those_of_a_plain_shuffle():
    plain = torch.randperm(103, generator=runtime.generator_for("cpu", 5, "order", 2))
    order, batches = epoch_batches(torch.full((103,), 50), 50, 16, seed=5, epoch=2, cost=0)
    assert torch.equal(order, plain)
    assert batches == [[(slice(0, 16), 50)]] * 6 + [[(slice(0, 7), 50)]]
    order, _ = epoch_batches(lengths_of(103), 90, 16, seed=5, epoch=2, cost=10)
    assert [sorted(rows) for rows in order.split(16)] == [sorted(rows) for rows in plain.split(16)]
    assert not torch.equal(order, plain)


def test_parts_minimise_padding_cost():
    lengths = lengths_of(64)
    ordered, costs = lengths.sort().values, {}
    for cost in (0, 30, 200, 500, 10**6):
        parts = cut(lengths, 90, cost)
        for count in (1, 2, 4, 8):
            pieces = ordered.chunk(count)
            costs[count] = sum(len(p) * min(90, -(-int(p.max()) // 8) * 8) + cost for p in pieces)
        assert sum(len(rows) * width + cost for rows, width in parts) == min(costs.values())
        assert all((lengths[rows] <= width).all() and (rows.diff() > 0).all() for rows, width in parts)
    assert [len(cut(lengths, 90, cost)) for cost in (0, 10**6)] == [8, 1]


# -- what is cut ------------------------------------------------------------------------------------------------------


def test_batches_select_columns():
    data = Batch(
        torch.arange(24).view(3, 8).to(torch.uint8),
        torch.tensor([2, 4, 3]),
        {"signal": torch.arange(48).view(3, 8, 2), "label": torch.arange(3), "keep": torch.ones(3, dtype=torch.bool)},
        torch.ones(3),
    )
    part = data.take(torch.tensor([2, 0]), 4)
    assert part.x0.tolist() == [[16, 17, 18, 19], [0, 1, 2, 3]] and part.x0.dtype == torch.int64
    assert torch.equal(part.cond["signal"], data.cond["signal"][[2, 0], :4]) and part.cond["label"].tolist() == [2, 0]
    assert part.mask.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert data.take(slice(1, 3)).x0.shape == (2, 8)


def test_validation_sees_every_row_once():
    x0 = torch.arange(300)[:, None].expand(300, 90)
    for lengths in (lengths_of(300), torch.full((300,), 90)):
        parts = validation_batches(Batch(x0, lengths))
        rows = torch.cat([part.x0[:, 0] for part in parts])
        assert sorted(rows.tolist()) == list(range(300))
        assert torch.equal(torch.cat([part.lengths for part in parts]), lengths[rows])
        assert all(part.x0.shape[1] == crop_width(int(part.lengths.max()), 90) for part in parts)


@pytest.mark.parametrize("network", ["conv", "linear-transformer", "transformer", "bytenet"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_narrower_batch_has_the_same_losses(name, network, monkeypatch):
    """With the noise of full width, cut: every process and network, with labels and a signal along the sequence."""
    longest = 37
    X = mixed_lengths(40, longest)
    y = np.random.default_rng(0).normal(size=(40, longest, 1))
    settings = {k: v for k, v in SMALL.items() if k != "diffusion_steps"} | {"width": 16, "epochs": 1, "batch_size": 20}
    model = ESTIMATORS[name](**settings | {"network": network})
    known = model.get_params()
    model.set_params(**{k: v for k, v in {"heads": 2, "local_heads": 1}.items() if k in known})
    try:
        model.fit(X, y, validation=None)
    except ValueError as error:
        pytest.skip(str(error))  # a network that cannot be causal, or takes no event counts
    for p in model.objective_.parameters():
        with torch.no_grad():
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    data = prepare(X, y, alphabet="dna")
    data = data.take(data.lengths <= 20)
    everything = model.model_.vocabulary.batch(data, torch.device("cpu"))
    draw = runtime._draw

    def at_full_width(function, shape, generator, device, dtype):
        if len(shape) < 2 or shape[1] > longest:
            return draw(function, shape, generator, device, dtype)
        return draw(function, (shape[0], longest, *shape[2:]), generator, device, dtype)[:, : shape[1]]

    monkeypatch.setattr(runtime, "_draw", at_full_width)
    for take in ("loss", "bound"):
        losses = []
        for width in (longest, 24, 20):
            part, generator = everything.take(slice(None), width), torch.Generator().manual_seed(3)
            with torch.no_grad():
                loss = sum(model.objective_(part, generator).values()) if take == "loss" else None
            losses.append(model.objective_.bound(part, 3, generator)[0] if loss is None else loss)
        assert part.x0.shape[1] == 20 and torch.isfinite(losses[0]).all() and losses[0].std() > 0
        assert torch.allclose(losses[0], losses[1], rtol=1e-4, atol=1e-4)
        assert torch.allclose(losses[0], losses[2], rtol=1e-4, atol=1e-4)


def test_exact_scores_do_not_depend_on_the_batch():
    X = mixed_lengths(300, 30)
    model = seqdiff.Autoregressive(width=8, depth=2, epochs=1, savepath=None, verbose=0).fit(X)
    together = model.score_samples(X)
    alone = np.array([model.score_samples([x])[0] for x in X[:20]])
    assert np.allclose(together[:20], alone, atol=1e-4) and np.allclose(model.score_samples(X[::-1]), together[::-1])


def test_monte_carlo_scores_do_not_depend_on_the_batch():
    """The noise of a sequence belongs to its row and does not depend on other lengths."""
    X = mixed_lengths(100, 30)
    model = tiny(epochs=1).fit(X)
    assert np.allclose(model.score_samples(X)[:5], model.score_samples(X[:5]), atol=1e-5)


# -- training on them -------------------------------------------------------------------------------------------------


class Widths(nn.Module):
    """Record the batches that the objective receives."""

    def __init__(self, seen: list[Batch]) -> None:
        super().__init__()
        self.w, self.seen = nn.Parameter(torch.ones(4)), seen

    def __deepcopy__(self, memo):
        return Widths([])

    def forward(self, batch: Batch, generator) -> dict[str, Tensor]:
        self.seen.append(batch)
        return {"loss": (self.w[batch.x0] ** 2 * batch.mask).sum(-1)}


def test_training_accumulates_gradients_of_cut_batches(monkeypatch):
    lengths = lengths_of(330)
    x0 = torch.randint(0, 4, (330, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    weight = torch.rand(330, generator=torch.Generator().manual_seed(1))
    results = []
    for cost in (50, 10**9):
        monkeypatch.setattr("seqdiff.runtime.call_cost", lambda device, cost=cost: cost)
        seen: list[Batch] = []
        settings = Settings(
            epochs=2,
            batch_size=16,
            lr=0.01,
            lr_schedule="exponential",
            weight_decay=0.0,
            verbose=0,
            update_freq=2,
            warmup=0,
        )
        trainer = Trainer(Widths(seen), Batch(x0, lengths, None, weight), None, settings)
        trainer.fit()
        assert sum(len(b) for b in seen) == 660 and all((b.lengths <= b.x0.shape[1]).all() for b in seen)
        assert trainer.step == 2 * 21 and trainer.update == 2 * 11
        results.append((trainer.objective.w.detach(), trainer.history["loss"], [b.x0.shape[1] for b in seen]))
    (w, loss, widths), (whole_w, whole_loss, whole_widths) = results
    assert torch.allclose(w, whole_w, atol=1e-5) and loss == pytest.approx(whole_loss, rel=1e-5)
    assert len(whole_widths) == 42 < len(widths) and np.mean(widths) < 0.8 * np.mean(whole_widths)


def test_cut_batches_reach_the_same_bits_per_letter(monkeypatch):
    """Validation bits per letter are the same with and without cutting."""
    X = [s + s for s in mixed_lengths(160, 12, "AC")]
    settings = {"epochs": 4, "batch_size": 8, "alphabet": "dna"}
    monkeypatch.setattr("seqdiff.runtime.call_cost", lambda device: 8)
    parted = tiny(**settings).fit(X, validation=0.2)
    monkeypatch.setattr("seqdiff.runtime.call_cost", lambda device: 10**9)
    whole = tiny(**settings).fit(X, validation=0.2)
    assert parted.history_["loss"] != whole.history_["loss"]
    assert abs(parted.evaluations_["bits_per_letter"][-1] - whole.evaluations_["bits_per_letter"][-1]) < 0.03
