"""The training loop on an objective whose values are known by hand."""

from __future__ import annotations

import math
import threading
import types
import warnings

import numpy as np
import pytest
import torch
from small_models import sequences, tiny
from torch import Tensor, nn

import seqdiff
from seqdiff.guidance import ClassifierFree
from seqdiff.processes import Batch
from seqdiff.training import Objective, Settings, Trainer, trainer
from seqdiff.training.objective import drop_labels
from seqdiff.training.trainer import MovingAverage


class Toy(nn.Module):
    """Loss (w[x0] - x0)^2 / 2 per letter: no noise, so that only the arithmetic of the loop is left.

    `bounds`, where given, are what validation says at each epoch.
    """

    def __init__(self, bounds=None):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(1, 2, 4))
        self.register_buffer("calls", torch.zeros(()))
        self.bounds, self.conds = bounds, []

    def __deepcopy__(self, memo):
        other = Toy(self.bounds)
        other.load_state_dict(self.state_dict())
        return other

    def forward(self, batch: Batch, generator) -> dict[str, Tensor]:
        self.calls += 1
        self.conds.append(batch.cond)
        return {"loss": (0.5 * (self.w[batch.x0] - batch.x0) ** 2).sum(-1)}

    def bound(self, batch, times, generator):
        if self.bounds is not None:
            return torch.full((len(batch),), float(self.bounds.pop(0))), None
        return self.forward(batch, generator)["loss"] / batch.lengths, None


PLAIN = {"lr_schedule": "exponential", "warmup": 0, "weight_decay": 0.0, "check_every": 20}


def batch(n=22, length=3, seed=0, cond=None, weight=None) -> Batch:
    x0 = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Batch(x0, torch.full((n,), length), cond, weight)


def train(objective=None, data=None, valid=None, **settings):
    """Return a trainer that has run; AdamW's epsilon is large, so that its steps follow the gradients' size."""
    plain = {"epochs": 3, "batch_size": 4, "lr": 0.1, "clip": None, "ema": 0.0, "verbose": 0, "lr_schedule": "constant"}
    t = Trainer(
        objective or Toy(),
        data or batch(),
        valid,
        Settings(**PLAIN | plain | {"precision": "float32"} | settings),
        None,
    )
    t.optimizer.param_groups[0]["eps"] = 1.0
    t.fit()
    return t


# -- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [32, 22, 17, 5, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_update_freq_equals_a_larger_batch(n, weighted):
    """Four batches of 4 make the update of one of 16, also where the last group, or its last batch, is not full."""
    weight = torch.rand(n, generator=torch.Generator().manual_seed(1)) if weighted else None
    one = train(data=batch(n, weight=weight), batch_size=16, update_freq=1)
    four = train(data=batch(n, weight=weight), batch_size=4, update_freq=4)
    assert one.update == four.update == 3 * math.ceil(n / 16)
    assert four.step == 3 * math.ceil(n / 4)
    assert torch.allclose(one.objective.w, four.objective.w, atol=1e-6)
    assert one.history["loss"] == pytest.approx(four.history["loss"], rel=1e-5) or n > 16  # else between updates


def test_update_is_adamw_on_the_mean_gradient():
    data = batch(8)
    ours = train(data=data, epochs=1, batch_size=8, weight_decay=0.1).objective.w.detach()
    w = torch.linspace(1, 2, 4, dtype=torch.float64)
    count = torch.bincount(data.x0.long().flatten(), minlength=4) / data.x0.numel()
    gradient = count * (w - torch.arange(4))
    expected = w * (1 - 0.1 * 0.1) - 0.1 * gradient / (gradient.abs() + 1.0)  # AdamW's first step, epsilon 1
    assert torch.allclose(ours.double(), expected, atol=1e-6)


def test_weight_of_two_equals_a_copy():
    data = batch(6)
    twice = Batch(torch.cat([data.x0, data.x0[:2]]), torch.full((8,), 3))
    weight = torch.tensor([2.0, 2, 1, 1, 1, 1]) * 6 / 8
    weighted = train(data=Batch(data.x0, data.lengths, None, weight), batch_size=8)
    assert torch.allclose(weighted.objective.w, train(data=twice, batch_size=8).objective.w, atol=1e-6)
    assert weighted.history["loss"] == pytest.approx(train(data=twice, batch_size=8).history["loss"], rel=1e-5)


def test_gradients_are_clipped():
    data = batch(8)
    free = train(data=data, epochs=1, batch_size=8)
    loose = train(data=data, epochs=1, batch_size=8, clip=1e3)
    tight = train(data=data, epochs=1, batch_size=8, clip=1e-3)
    start = torch.linspace(1, 2, 4)
    assert torch.equal(free.objective.w, loose.objective.w)
    moved = (free.objective.w - start).detach(), (tight.objective.w - start).detach()
    assert moved[0].norm() > 50 * moved[1].norm() > 0
    assert torch.cosine_similarity(*moved, dim=0) > 0.9


def test_every_sequence_is_seen_once_an_epoch_in_a_new_order():
    seen = []

    class Listening(Toy):
        def forward(self, batch, generator):
            seen.append(batch.x0[:, 0].tolist())
            return super().forward(batch, generator)

    data = Batch(torch.arange(4).repeat(5)[:, None].to(torch.uint8), torch.ones(20, dtype=torch.long))
    data = Batch(torch.arange(20)[:, None] % 4, data.lengths)
    train(Listening(), data, batch_size=8, epochs=2)
    assert [len(rows) for rows in seen] == [8, 8, 4] * 2
    epochs = [sum(seen[:3], []), sum(seen[3:], [])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(data.x0[:, 0].tolist()) and epochs[0] != epochs[1]


def test_training_and_evaluation_modes():
    modes = []

    class Moody(Toy):
        def __deepcopy__(self, memo):
            return Moody()

        def forward(self, batch, generator):
            modes.append(self.training)
            return super().forward(batch, generator)

    train(Moody(), batch(8), batch(3), epochs=2, batch_size=4)
    assert modes == [True, True, False] * 2
    runs = [tiny(dropout=d).fit(sequences()).history_["loss"] for d in (0.0, 0.0, 0.5)]
    assert runs[0] == runs[1] != runs[2]


# -- the moving average -----------------------------------------------------------------------------------------------


def slow_average(values, decay):
    average = values[0]
    for n, value in enumerate(values[1:], 1):
        d = min(decay, (1 + n) / (10 + n))
        average = d * average + (1 - d) * value
    return average


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999])
def test_moving_average_equals_the_slow_version(decay):
    module, values = nn.Linear(3, 2), []
    average = MovingAverage(module, decay)
    rng = np.random.default_rng(0)
    for n in range(60):
        if n:
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(rng.normal(size=(2, 3))))
            average.update(n)
        values.append(module.weight.detach().double().numpy().copy())
    assert np.allclose(average.module.weight.numpy(), slow_average(values, decay), atol=1e-6)
    assert module.weight.requires_grad and not average.module.weight.requires_grad


def test_training_averages_after_every_update():
    toy, values = Toy(), [torch.linspace(1, 2, 4).numpy()]

    class Watching(Trainer):
        def _apply_update(self):
            super()._apply_update()
            values.append(self.objective.w.detach().numpy().copy())

    t = Watching(
        toy,
        batch(),
        None,
        Settings(**PLAIN, epochs=4, batch_size=4, lr=0.1, clip=None, ema=0.8, verbose=0, update_freq=2),
        None,
    )
    t.fit()
    assert len(values) == 1 + 4 * 3
    assert np.allclose(t.ema.module.w.numpy(), slow_average(values, 0.8), atol=1e-6)
    assert torch.equal(t.best_state()["w"], t.ema.module.w)  # without validation the average is the model
    assert t.best_state()["calls"] == toy.calls == 24  # and statistics are taken over as they are


# -- learning rates ---------------------------------------------------------------------------------------------------


def rates(**settings) -> list[float]:
    """Return the learning rate of every update, as the optimizer had it."""
    used = []

    class Watching(Trainer):
        def _apply_update(self):
            super()._apply_update()
            used.append(self.optimizer.param_groups[0]["lr"])

    t = Watching(
        Toy(), batch(20), None, Settings(**PLAIN | {"batch_size": 4, "verbose": 0, "lr": 0.5} | settings), None
    )
    t.fit()
    assert t.history["lr"] == used[t.updates - 1 :: t.updates]
    return used


@pytest.mark.parametrize(("schedule", "by_epoch"), [("exponential", [0.5, 0.35, 0.245]), ("constant", [0.5] * 3)])
def test_rate_of_every_epoch(schedule, by_epoch):
    assert rates(epochs=3, lr_schedule=schedule, lr_decay=0.7) == pytest.approx(list(np.repeat(by_epoch, 5)))


@pytest.mark.parametrize("schedule", ["exponential", "constant", "cosine"])
def test_warm_up_is_linear(schedule):
    used = rates(epochs=2, lr_schedule=schedule, warmup=4)
    assert used[:4] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert used[4] == pytest.approx(0.5) and max(used) == pytest.approx(0.5)


@pytest.mark.parametrize(("freq", "warmup"), [(1, 0), (1, 3), (2, 0), (3, 2)])
def test_cosine_rate_ends_with_training(freq, warmup):
    used = rates(epochs=4, lr_schedule="cosine", warmup=warmup, update_freq=freq)
    n = 4 * math.ceil(5 / freq)
    assert len(used) == n
    after = [0.25 * (1 + math.cos(math.pi * i / (n - warmup))) for i in range(n - warmup)]
    assert used[warmup:] == pytest.approx(after)
    assert 0 < used[-1] < 0.2 and used[warmup:] == sorted(used[warmup:], reverse=True)


# -- labels -----------------------------------------------------------------------------------------------------------


def test_labels_are_dropped_at_their_rate():
    keep = torch.arange(20_000) % 4 > 0
    cond = {"label": torch.arange(20_000), "keep": keep}
    data = Batch(torch.zeros(20_000, 1).long(), torch.ones(20_000).long(), cond)
    for rate in (0.1, 0.6):
        dropped = drop_labels(data, rate, torch.Generator().manual_seed(0))
        assert not (dropped.cond["keep"] & ~keep).any()  # what is missing stays missing
        hidden = 1 - float(dropped.cond["keep"][keep].float().mean())
        assert abs(hidden - rate) < 5 * math.sqrt(rate * (1 - rate) / 15_000)
        assert torch.equal(dropped.cond["label"], cond["label"]) and torch.equal(cond["keep"], keep)
    assert drop_labels(data, 0.0, torch.Generator()).cond["keep"] is keep
    assert not drop_labels(data, 1.0, torch.Generator()).cond["keep"].any()
    assert drop_labels(Batch(data.x0, data.lengths), 0.5, torch.Generator()).cond is None


def test_label_dropout_differs_at_every_step():
    n = 400
    data = batch(n, cond={"label": torch.arange(n), "keep": torch.ones(n, dtype=torch.bool)})
    toy = Toy()
    train(toy, data, batch_size=100, epochs=10, label_dropout=0.3)
    hidden = torch.stack([~c["keep"] for c in toy.conds]).float()
    assert hidden.shape == (40, 100)
    assert abs(float(hidden.mean()) - 0.3) < 5 * math.sqrt(0.21 / 4000)
    assert len({tuple(row.tolist()) for row in hidden}) == 40


# -- validation -------------------------------------------------------------------------------------------------------


def test_validation_noise_is_fixed():
    still = tiny(lr=1e-12, epochs=5, dropout=0.5, warmup=0).fit(sequences(60), validation=0.5)
    assert len(set(still.evaluations_["bound"])) == 1
    moving = tiny(epochs=5).fit(sequences(60), validation=0.5)
    assert len(set(moving.evaluations_["bound"])) == 5


def test_validation_does_not_change_training():
    held = sequences(12, seed=4)
    runs = [
        tiny(dropout=0.3, epochs=3, eval_every=e, ema=0.0).fit(sequences(), validation=v)
        for e, v in ((1, held), (3, held), (1, None))
    ]
    assert len({m.history_["loss"][-1] for m in runs}) == 1


def test_large_validation_sets_are_subsampled_by_seed():
    t = train(valid=batch(1000, cond=None), epochs=1)
    assert len(t.valid) == 512
    again = train(valid=batch(1000), epochs=1)
    assert torch.equal(t.valid.x0, again.valid.x0)
    other = train(valid=batch(1000), epochs=1, seed=1)
    assert not torch.equal(t.valid.x0, other.valid.x0)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_eval_every_and_the_last_epoch_validate(every):
    t = train(valid=batch(9), epochs=7, eval_every=every)
    assert t.evaluations["epoch"] == sorted({*range(every, 8, every), 7})
    assert t.history["epoch"] == list(range(1, 8))
    assert t.history["step"] == list(range(6, 48, 6))


def test_best_epoch_is_kept():
    weights = []

    class Watching(Trainer):
        def _end_epoch(self, epoch, bar):
            weights.append(self.ema.module.w.clone())
            super()._end_epoch(epoch, bar)

    bounds = [5, 4, 6, 3, 3.5, 7]
    saved = []
    settings = Settings(**PLAIN, epochs=6, batch_size=4, lr=0.1, ema=0.5, verbose=0)
    t = Watching(Toy(list(bounds)), batch(), batch(5), settings, None, saved.append)
    state = t.fit()
    assert t.evaluations["best"] == [True, True, False, True, False, False]
    assert t.evaluations["bound"] == bounds and t.best["epoch"] == 4
    assert torch.equal(state["w"], weights[3]) and not torch.equal(state["w"], weights[5])
    assert [s["w"].tolist() for s in saved] == [weights[i].tolist() for i in (0, 1, 3, 3)]
    assert t.evaluations["bits_per_letter"] == pytest.approx([b / 3 / math.log(2) for b in bounds])


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 6), (3, 7), (None, 9)])
def test_patience(patience, epochs):
    t = train(Toy([5, 4, 6, 3.5, 3.7, 3.6, 3.8, 9, 9]), valid=batch(5), epochs=9, patience=patience)
    assert len(t.history["epoch"]) == epochs
    assert t.stopped == (patience is not None) and t.done
    assert t.best["epoch"] == (2 if patience == 1 else 4)


def test_patience_counts_epochs_not_validations():
    t = train(Toy([5, 6, 7, 8, 9, 10]), valid=batch(5), epochs=12, patience=4, eval_every=2)
    assert t.history["epoch"][-1] == 6


# -- whole trainings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "epochs"), [("conv", 25), ("linear-transformer", 50)])
def test_loss_falls_below_that_of_independent_letters(network, epochs):
    """The second half repeats the first: letters alone are worth 2 bits each, together half of that."""
    data = [s + s for s in sequences(128, 4)]
    model = tiny(network=network, width=32, heads=2, local_heads=2, epochs=epochs, batch_size=32, dropout=0.0, ema=0.9)
    model.fit(data, validation=[s + s for s in sequences(64, 4, seed=3)])
    history, held = model.history_["bits_per_letter"], model.evaluations_["bits_per_letter"]
    assert 1.9 < held[0] < 2.2
    assert held[-1] < 1.5 and np.mean(history[-5:]) < np.mean(history[:5]) - 0.4


def test_training_loss_estimates_the_validation_bound():
    """For a fixed network the training loss and the validation bound estimate one number."""
    data = sequences(300)
    model = tiny(lr=1e-12, epochs=12, dropout=0.0, batch_size=100).fit(data, validation=data)
    losses, bound = np.array(model.history_["loss"]), model.evaluations_["bound"][0]
    assert abs(losses.mean() - bound) < 5 * losses.std() / math.sqrt(12)


# -- messages ---------------------------------------------------------------------------------------------------------


class SlowClock(types.SimpleNamespace):
    """A clock that advances by a fixed number of seconds at each reading."""

    def __init__(self, seconds):
        super().__init__(now=0.0, seconds=seconds)

    def monotonic(self):
        self.now += self.seconds
        return self.now

    process_time = monotonic


@pytest.fixture
def announced(monkeypatch):
    said = []
    monkeypatch.setattr(trainer.runtime, "say", lambda logger, message, verbose=1: said.append(message))
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", math.inf)

    def announce(seconds, **settings):
        monkeypatch.setattr(trainer, "time", SlowClock(seconds))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train(**{"epochs": 10} | settings)
        return said, [str(w.message) for w in caught if w.category is UserWarning]

    return announce


def test_fit_logs_the_expected_duration(announced):
    said, warned = announced(0.1)
    assert len(said) == 1 and "training will take about" in said[0] and "cpu" in said[0] and warned == []
    # 60 steps, at three looks at the clock each: 40 are left after the first 20
    assert 4 < float(said[0].split("about ")[1].split(" seconds")[0]) < 20


def test_fit_warns_of_hours_on_a_cpu_and_names_faster_settings(announced):
    said, warned = announced(100.0)
    assert "hours" in said[0] and len(warned) == 1
    for word in ("hours", "network='conv'", "epochs=", "GPU"):
        assert word in warned[0]


def test_short_fits_log_no_duration(announced):
    assert announced(100.0, epochs=3) == ([], [])


def test_nan_loss_is_an_error_and_keeps_the_checkpoint(workdir, monkeypatch):
    forward, calls = Objective.forward, []

    def diverging(self, batch, generator):
        calls.append(1)
        factor = math.nan if len(calls) > 7 else 1.0
        return {name: part * factor for name, part in forward(self, batch, generator).items()}

    monkeypatch.setattr(Objective, "forward", diverging)
    model = tiny(savepath="runs", model_name="m", epochs=6, check_every=1)
    with pytest.raises(
        ValueError, match="lr: got 0.01, with which the loss became nan in epoch 3 .*; give a small"
    ) as caught:
        model.fit(sequences())  # three steps an epoch
    assert "\n" not in str(caught.value)
    assert len(calls) == 9
    state = torch.load("runs/m/check/checkpoint.pt", weights_only=True)
    assert state["step"] == 6 and all(v.isfinite().all() for v in state["objective"].values())
    assert np.isfinite(seqdiff.load("runs/m").score(sequences()))
    assert np.isfinite(model.score(sequences()))  # the best epoch before


def test_loss_is_total_nats_over_total_letters():
    """The minimised and logged loss is total nats over total letters, here of a constant model."""
    mixed = ["ACGTACGTACGTACGTACGTACGTACGT", "AC", "GG", "T", "TTTTTT", "ACA"] * 4
    model = seqdiff.Autoregressive(
        width=8,
        depth=1,
        epochs=1,
        lr=1e-12,
        weight_decay=0.0,
        ema=0.0,
        dropout=0.0,
        batch_size=5,
        savepath=None,
        verbose=0,
    )
    model.fit(mixed, validation=None)
    nats = -model.score_samples(mixed).sum()
    assert model.history_["bits_per_letter"][0] == pytest.approx(nats / sum(map(len, mixed)) / math.log(2), rel=2e-3)


# -- diverged training, training in threads ---------------------------------------------------------------------------


X = sequences()
LABELS = ["a", "b"] * 24


def together(*functions) -> None:
    """Call functions in threads of their own, all at once."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def weights(model) -> torch.Tensor:
    return torch.cat([p.flatten() for p in model.objective_.parameters()])


def test_fits_in_threads_equal_sequential_fits():
    settings = {"epochs": 15, "dropout": 0.3}
    alone = [weights(tiny(**settings, random_state=s).fit(X)) for s in range(3)]
    before, found = torch.random.get_rng_state(), {}

    def fit(s):
        found[s] = weights(tiny(**settings, random_state=s).fit(X))

    together(*(lambda s=s: fit(s) for s in range(3)))
    assert [torch.equal(found[s], alone[s]) for s in range(3)] == [True] * 3
    assert torch.equal(before, torch.random.get_rng_state())


def test_sweeps_in_threads_share_a_model():
    model = tiny().fit(X, LABELS)
    alone = seqdiff.sweep(model, {"free": ClassifierFree}, [1, 2], n=4, y="a", verbose=0)
    found = []
    once = lambda: found.append(seqdiff.sweep(model, {"free": ClassifierFree}, [1, 2], n=4, y="a", verbose=0))  # noqa: E731
    together(once, once, once)
    for table in found:
        assert table["status"].tolist() == ["done"] * 2 and table["calls"].tolist() == alone["calls"].tolist()
    assert "hidden" not in model.objective_.network.__dict__ and model.verbose == 0


def spoil(monkeypatch, update, then=lambda: None):
    """Make all weights nan right after an update of that number."""
    real = Trainer._apply_update

    def spoiling(self):
        real(self)
        if self.update == update:
            for p in self.objective.parameters():
                p.data.fill_(float("nan"))
            then()

    monkeypatch.setattr(Trainer, "_apply_update", spoiling)
    return lambda: monkeypatch.setattr(Trainer, "_apply_update", real)


@pytest.mark.parametrize("validation", [0.1, None])
@pytest.mark.parametrize("soon", [False, True])
def test_diverged_states_are_not_checkpointed(validation, soon, workdir, monkeypatch):
    """Checkpoints are due after an epoch or within it."""
    settings = {"savepath": "runs", "model_name": "m", "epochs": 4, "check_every": 1}
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 600.0)
    now = lambda: monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", -1.0)  # noqa: E731
    mend = spoil(monkeypatch, 7, now if soon else lambda: None)
    model = tiny(**settings)
    with pytest.raises(ValueError, match=r"lr: got 0.01, .* \(found at step \d+, .*; give a smaller one"):
        model.fit(X, validation=validation)
    state = torch.load("runs/m/check/checkpoint.pt", weights_only=True)
    assert state["step"] == 6 and all(v.isfinite().all() for v in state["objective"].values())
    assert weights(model).isfinite().all()
    mend()
    resumed = tiny(**settings).fit(X, validation=validation, resume=True)
    assert torch.equal(weights(resumed), weights(tiny(epochs=4).fit(X, validation=validation)))


@pytest.mark.parametrize("savepath", ["runs", None])
@pytest.mark.parametrize("validation", [0.1, None])
def test_divergence_in_the_last_update_leaves_the_run_unfinished(savepath, validation, workdir, monkeypatch):
    updates = 2 * (3 if validation is None else 3)
    spoil(monkeypatch, updates)
    model = tiny(savepath=savepath, model_name="m")
    with pytest.raises(ValueError, match="; give a smaller one"):
        model.fit(X, validation=validation)
    assert weights(model).isfinite().all()
    if savepath:
        assert '"running"' in (workdir / "runs/m/args.json").read_text()
