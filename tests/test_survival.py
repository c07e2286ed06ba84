"""Training that diverges or shares its process with another one leaves whole, right results behind."""

from __future__ import annotations

import threading

import pytest
import torch
from small_models import sequences, tiny

import seqdiff
from seqdiff.guidance import ClassifierFree
from seqdiff.training import Trainer, trainer

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


def test_fits_in_threads_are_those_of_each_alone():
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
def test_a_diverged_state_replaces_no_checkpoint(validation, soon, workdir, monkeypatch):
    """Also where a checkpoint is due at once, in the middle of an epoch."""
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
def test_a_last_update_that_diverges_finishes_nothing(savepath, validation, workdir, monkeypatch):
    updates = 2 * (3 if validation is None else 3)
    spoil(monkeypatch, updates)
    model = tiny(savepath=savepath, model_name="m")
    with pytest.raises(ValueError, match="; give a smaller one"):
        model.fit(X, validation=validation)
    assert weights(model).isfinite().all()
    if savepath:
        assert '"running"' in (workdir / "runs/m/args.json").read_text()
