"""Look-ahead to a template and selection by a reward, on an enumerable distribution and small trained models."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from enumerable_labels import Labelled, distance, model_of, next_letter
from small_models import sequences

from seqdiff import Autoregressive, processes
from seqdiff.guidance import Chain, LookAhead, Reward, Template
from seqdiff.guidance.reward import feynman_kac, resampled, svdd
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory


@pytest.fixture(scope="module")
def toy() -> Labelled:
    return Labelled()


def ahead(particles: int, allowed: torch.Tensor):
    return LookAhead(particles).template(processes.Autoregressive(3, 3), allowed)


def written(toy: Labelled, guide, n: int) -> torch.Tensor:
    """Return samples (n, 3) of the exact autoregressive model under a guide."""
    process = processes.Autoregressive(3, 3)
    guide = Chain([guide]).bind(model_of(toy, process), n, None)
    rows = n * guide.copies
    for state in trajectory(
        process,
        next_letter(toy, process),
        toy.mask(rows),
        chunk_generators(rows, "cpu", 0),
        guidance=guide.take(torch.arange(rows) // guide.copies),
    ):
        last = state
    return process.decode(last)[:: guide.copies]


def given(toy: Labelled, allowed: torch.Tensor) -> torch.Tensor:
    """Return the distribution (27,) given that every letter is allowed."""
    fits = allowed[torch.arange(3), toy.x].all(-1)
    return toy.p * fits / (toy.p * fits).sum()


TEMPLATES = {
    "first": ["a", "abc", "abc"],
    "middle": ["abc", "b", "abc"],
    "last": ["abc", "abc", "c"],
    "two": ["ab", "abc", "c"],
    "ends": ["a", "abc", "bc"],
}


def allowed_by(name: str) -> torch.Tensor:
    return torch.tensor([[letter in some for letter in "abc"] for some in TEMPLATES[name]])


@pytest.mark.parametrize("name", TEMPLATES)
def test_lookahead_samples_follow_the_conditional_distribution(toy, name):
    allowed = allowed_by(name)
    x = written(toy, ahead(32, allowed), 3000)
    assert allowed[torch.arange(3), x].all()
    assert distance(toy, x, given(toy, allowed)) < 0.05


def test_masking_alone_is_far_from_the_conditional_distribution(toy):
    """The test above could detect it: the mask alone is far from the distribution, few particles are in between."""
    allowed = allowed_by("last")
    distribution = given(toy, allowed)
    plain, two, many = (
        distance(toy, written(toy, guide, 3000), distribution)
        for guide in (Template(allowed), ahead(2, allowed), ahead(64, allowed))
    )
    assert plain > 0.1 and many < 0.04 and many + 0.02 < two < plain - 0.02


def test_lookahead_without_a_template_changes_nothing(toy):
    everything = torch.ones(3, 3, dtype=torch.bool)
    assert distance(toy, written(toy, ahead(8, everything), 3000), toy.p) < 0.04


def test_lookahead_with_one_template_per_sample(toy):
    both = torch.stack([allowed_by("last"), allowed_by("ends")])[torch.arange(2000) % 2]
    x = written(toy, ahead(32, both), 2000)
    for i, name in enumerate(("last", "ends")):
        assert distance(toy, x[i::2], given(toy, allowed_by(name))) < 0.07


@pytest.fixture(scope="module")
def repeats() -> Autoregressive:
    """A model of sequences that end as they begin."""
    X = [x + x[:2] for x in sequences(300, 4)]
    return Autoregressive(width=24, depth=2, epochs=25, lr=1e-2, batch_size=32, savepath=None, verbose=0).fit(X)


def test_lookahead_with_a_trained_model(repeats):
    """A fixed end conditions the beginning, which a mask does not."""
    begins = lambda samples: sum(x.startswith("GT") for x in samples) / len(samples)  # noqa: E731
    masked = repeats.generate(100, template="NNNNGT", random_state=0)
    ahead = repeats.generate(100, template="NNNNGT", guidance=LookAhead(64), random_state=0)
    assert all(x.endswith("GT") for x in masked + ahead)
    assert begins(masked) < 0.25 and begins(ahead) > 0.7
    assert repeats.generate(7, template="NNNNGT", guidance=[LookAhead(64)], random_state=0) == ahead[:7]
    assert repeats.generate(7, template="NNNNGT", guidance=LookAhead(64), random_state=1) != ahead[:7]


# -- rewards ----------------------------------------------------------------------------------------------------------


def by_word(toy: Labelled):
    words = ["".join("ABC"[i] for i in row) for row in toy.x.tolist()]
    return dict(zip(words, toy.log_label[:, 1].tolist(), strict=True))


def rewarded(toy: Labelled, x: torch.Tensor) -> float:
    return float(toy.log_label[toy.index(x), 1].mean())


@pytest.mark.parametrize("method", ["svdd", "feynman-kac"])
def test_more_particles_find_more_reward(toy, method):
    value = by_word(toy)
    found = [
        rewarded(toy, written(toy, Reward(lambda s: [value[w] for w in s], 2.0, particles=k, method=method), 1500))
        for k in (2, 8, 32)
    ]
    without = float((toy.p * toy.log_label[:, 1]).sum())
    assert without + 0.05 < found[0] and found[0] + 0.02 < found[1] and found[1] - 0.02 < found[2]


def test_several_rewards_are_a_weighted_sum(toy):
    value, zero = by_word(toy), lambda s: [0.0 for _ in s]
    one = Reward(lambda s: [value[w] for w in s], 3.0, particles=8)
    two = Reward([lambda s: [value[w] for w in s], zero], 1.5, weights=[2.0, -7.0], particles=8)
    assert torch.equal(written(toy, one, 100), written(toy, two, 100))
    assert one.calls_ == two.calls_ > 1 and one.sequences_ == two.sequences_ <= 27 * one.calls_


@pytest.mark.parametrize("method", ["svdd", "feynman-kac"])
def test_reward_of_minus_infinity_is_avoided_where_possible(toy, method):
    """-inf excludes at the end and only makes unlikely before; where all rows are impossible one is returned."""
    guide = Reward(lambda s: [-float("inf") if w[0] == "A" else 0.0 for w in s], 1.0, particles=32, method=method)
    assert (written(toy, guide, 300)[:, 0] != 0).all()
    nothing = Reward(lambda s: [-float("inf")] * len(s), 1.0, particles=4, method=method)
    assert distance(toy, written(toy, nothing, 2000), toy.p) < 0.06


def test_svdd_resamples_from_one_row():
    """All particles of a sample continue from one, drawn by exp(reward)."""
    reward = torch.tensor([[0.0, 1.0, 2.0, -float("inf")]], dtype=torch.float64).expand(4000, 4)
    chosen = svdd({}, reward, False, torch.Generator().manual_seed(0))
    assert (chosen == chosen[:, :1]).all()
    found = torch.bincount(chosen[:, 0], minlength=4).double() / 4000
    assert torch.allclose(found, torch.softmax(reward[0], -1), atol=0.03) and found[3] == 0


def test_interim_reward_of_minus_infinity_keeps_a_small_weight():
    """exp(-5) of the smallest other weight before the end, 0 at the end."""
    reward = torch.tensor([[0.0, 3.0, -float("inf"), 3.0]], dtype=torch.float64).expand(20_000, 4)
    for last, share in ((False, torch.tensor([0.0, 3.0, -5.0, 3.0])), (True, torch.tensor([0.0, 3.0, -1e9, 3.0]))):
        memory = SimpleNamespace(reward=0.0, log_weight=0.0)
        chosen = feynman_kac(memory, reward, last, torch.Generator().manual_seed(0))
        if last:
            found = torch.bincount(chosen.flatten(), minlength=4).double() / chosen.numel()
            assert torch.allclose(found, torch.softmax(share.double(), -1), atol=0.01)
        else:  # even enough: the rows stay as they are, and keep their weights
            assert (chosen == torch.arange(4)).all()
            assert torch.allclose(memory.log_weight, share.double())


def test_weights_accumulate_until_resampling():
    log_weight = torch.tensor([[9.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.2, 0.0]], dtype=torch.float64)
    chosen, left = resampled(log_weight, False, torch.Generator().manual_seed(0))
    assert (left[0] == 0).all() and (chosen[0] == 0).all()
    assert torch.equal(left[1], log_weight[1]) and torch.equal(chosen[1], torch.arange(4))


def test_checks_sets_the_number_of_reward_calls(repeats):
    for checks, calls in ((1, 1), (3, 3), (None, 5)):
        reward = Reward(lambda s: [x.count("A") for x in s], particles=2, checks=checks)
        repeats.generate(4, guidance=reward, random_state=0)
        assert reward.calls_ == calls and reward.sequences_ <= 8 * calls


def test_reward_is_called_once_per_distinct_sequence(repeats):
    seen = []
    reward = Reward(lambda s: seen.append(s) or [float(len(x)) for x in s], 0.0, particles=8, checks=2)
    final = repeats.generate(6, guidance=reward, random_state=0)
    assert all(len(x) == 6 and set(x) <= set("ACGT") for s in seen for x in s)
    assert all(len(s) == len(set(s)) for s in seen) and set(final) <= set(seen[-1])
