"""Training steps that a GPU repeats without Python, with a stand-in for the recording itself.

The stand-in does the work again as a CUDA graph does: on its own copy of the rows, into tensors of its own, and without
touching what Python sees. That a GPU does the same is measured by benchmarks/gpu.py.
"""

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from seqdiff import EmbeddingDiffusion, MaskedDiffusion, SequenceClassifier, runtime
from seqdiff.training.trainer import Trainer

TINY = {"width": 8, "depth": 1, "batch_size": 8, "savepath": None, "verbose": 0, "device": "cpu", "dropout": 0.2}


class Recorder:
    """Stand-in for `runtime.record`; counts what is recorded and repeated."""

    def __init__(self):
        self.recorded, self.repeated = [], 0

    def __call__(self, work, rows, generators, pool):
        given, trainer = rows.clone(), work.func.__self__
        assert generators == (trainer._generator,)
        self.recorded.append((len(rows), *work.keywords["parts"]))
        kept = None

        def repeat(rows):
            nonlocal kept
            given.copy_(rows)
            found = work(given)
            for parameter in trainer.objective.parameters():
                parameter.grad = None
            found = tree_map_only(torch.Tensor, torch.clone, found)
            kept = found if kept is None else kept
            for own, new in zip(tree_leaves(kept), tree_leaves(found), strict=True):
                if isinstance(own, torch.Tensor):
                    own.copy_(new)
            self.repeated += 1
            return kept

        return repeat, pool


@pytest.fixture
def recorder(monkeypatch):
    made = Recorder()
    monkeypatch.setattr(runtime, "_records", lambda device: True)
    monkeypatch.setattr(runtime, "waits_of", lambda work: (work(), []))
    monkeypatch.setattr(runtime, "record", made)
    monkeypatch.setattr(runtime, "_renew", lambda generator, state: generator.set_state(state))
    monkeypatch.setattr(runtime.Recordings, "_timed", lambda self, work, rows: (work(rows), 1.0))
    return made


def sequences(n, varied=False):
    """Return sequences of 16 letters, or of 3 to 24, few of them long: batches are 8, 16 or 24 wide."""
    rng = np.random.default_rng(0)
    lengths = 3 + (22 * rng.random(n) ** 8).astype(int) if varied else np.full(n, 16)
    return ["".join(rng.choice(list("ACGT"), size=length)) for length in lengths]


def fitted(kind=MaskedDiffusion, n=44, epochs=12, varied=False, **options):
    X = sequences(n, varied)
    weights = np.random.default_rng(1).random(n)
    return kind(**TINY | {"epochs": epochs} | options).fit(X, validation=None, sample_weight=weights)


def weights(model):
    return [p.detach().clone() for p in model.objective_.parameters()]


@pytest.mark.parametrize("varied", [False, True])
def test_recorded_steps_are_the_launched_ones(monkeypatch, recorder, varied):
    monkeypatch.setattr(runtime.Recordings, "MOST", 9)
    recorded = fitted(varied=varied, epochs=40)
    widths = {width for _, (_, width) in recorder.recorded}
    assert recorder.repeated > 20 and {rows for rows, *_ in recorder.recorded} == {8, 4}  # the last of an epoch has 4
    assert len(widths) == (3 if varied else 1)
    assert len(set(map(str, recorder.recorded))) == len(recorder.recorded)
    monkeypatch.setattr(runtime.Recordings, "MOST", 0)
    before = recorder.repeated
    launched = fitted(varied=varied, epochs=40)
    assert recorder.repeated == before
    assert recorded.history_["loss"] == launched.history_["loss"]
    assert all(torch.equal(a, b) for a, b in zip(weights(recorded), weights(launched), strict=True))


def test_classifiers_are_recorded(recorder):
    generator = fitted(epochs=1)
    X = sequences(40)
    SequenceClassifier(noise_like=generator, width=8, depth=1, batch_size=8, epochs=4, verbose=0).fit(
        X, [s[0] for s in X]
    )
    assert recorder.recorded


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (EmbeddingDiffusion, {}),  # its levels are fitted anew now and then
        (MaskedDiffusion, {"update_freq": 2}),  # gradients of several batches
        (MaskedDiffusion, {"network_options": {"checkpointing": True}}),  # reads the state of a generator
    ],
)
def test_what_cannot_be_recorded_is_launched(recorder, kind, options):
    fitted(kind, epochs=4, **options)
    assert not recorder.recorded


def test_other_shapes_are_launched(recorder):
    fitted()
    assert len(recorder.recorded) == 1


class Work:
    """Counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, rows):
        self.calls += 1
        return 2 * rows


def run(n=20):
    work, recordings = Work(), runtime.Recordings(torch.device("cpu"))
    for i in range(n):
        rows = torch.full((3,), i)
        assert torch.equal(recordings(work, rows), 2 * rows)
    return work, recordings


def simple(work, rows, generators, pool):
    return lambda rows: 2 * rows, pool


def test_work_is_done_after_a_failed_recording(monkeypatch, recorder):
    def fail(*args):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(runtime, "record", fail)
    work, recordings = run()
    assert work.calls == 20 and not recordings.possible and "not permitted" in recordings.failure


@pytest.mark.parametrize(("seconds", "calls"), [(0.5, 10), (2.0, 18)])
def test_only_what_is_faster_is_repeated(monkeypatch, recorder, seconds, calls):
    monkeypatch.setattr(runtime, "record", simple)
    timed = lambda self, work, rows: (work(rows), 1.0 if isinstance(work, Work) else seconds)  # noqa: E731
    monkeypatch.setattr(runtime.Recordings, "_timed", timed)
    assert run()[0].calls == calls


def test_work_that_waits_is_not_recorded(monkeypatch, recorder):
    monkeypatch.setattr(runtime, "record", simple)
    monkeypatch.setattr(runtime, "waits_of", lambda work: (work(), ["x.py:1"]))
    work, recordings = run()
    assert work.calls == 20 and recordings.failure == "x.py:1 waits"


def test_nothing_is_recorded_on_a_cpu():
    assert not runtime.Recordings(torch.device("cpu")).possible
    assert run()[0].calls == 20


def test_a_failed_recording_leaves_no_gradients(monkeypatch, recorder):
    def fail(work, rows, generators, pool):
        work(rows)
        raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(runtime, "record", fail)
    failed = fitted()
    monkeypatch.setattr(runtime.Recordings, "MOST", 0)
    assert all(torch.equal(a, b) for a, b in zip(weights(failed), weights(fitted()), strict=True))


def test_rows_of_another_number_are_another_shape(monkeypatch, recorder):
    def copying(work, rows, generators, pool):
        given = rows.clone()
        return lambda rows: 2 * given.copy_(rows), pool

    monkeypatch.setattr(runtime, "record", copying)
    monkeypatch.setattr(runtime.Recordings, "MOST", 9)
    recordings = runtime.Recordings(torch.device("cpu"))
    for i in range(60):
        rows = torch.full((3 + i % 2,), i)
        assert torch.equal(recordings(Work(), rows), 2 * rows)


def test_trainer_has_no_gradients_left(monkeypatch, recorder):
    """A second training of the same weights would else begin with the last step's."""
    kept, before = [], Trainer._finish
    monkeypatch.setattr(Trainer, "_finish", lambda self: kept.append(self) or before(self))
    fitted()
    assert all(p.grad is None for p in kept[0].objective.parameters())
