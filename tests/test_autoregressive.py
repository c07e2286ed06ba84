"""The autoregressive model: exact likelihood with and without an end token, and cached sampling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from enumerable import Toy
from small_models import mixed_lengths, seeded, sequences
from torch import nn

from seqdiff import Autoregressive as Estimator
from seqdiff.data import LengthDistribution
from seqdiff.guidance import Guidance, Template
from seqdiff.networks import Conditions, build_network
from seqdiff.processes import Autoregressive, Batch
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import Denoiser, trajectory

K, L = 3, 3


class Words:
    """A distribution over all sequences of 1 to 3 letters of three: tokens (39, 3), lengths, probabilities."""

    def __init__(self) -> None:
        words = [w for n in range(1, L + 1) for w in itertools.product(range(K), repeat=n)]
        self.lengths = torch.tensor([len(w) for w in words])
        self.x = torch.tensor([w + (0,) * (L - len(w)) for w in words])
        self.mask = torch.arange(L) < self.lengths[:, None]
        self.p = torch.softmax(1.5 * torch.randn(len(words), generator=seeded(4), dtype=torch.float64), 0)
        self.entropy = float(-(self.p * self.p.log()).sum())

    def index(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        same = torch.where(mask, x, -1)[:, None] == torch.where(self.mask, self.x, -1)
        return same.all(-1).long().argmax(-1)


def exact(x: torch.Tensor, lengths: torch.Tensor, p: torch.Tensor, outputs: int):
    """Return the exact denoiser of a distribution: log p(next letter or end | prefix), by enumeration."""
    letters = torch.where(torch.arange(x.shape[1]) < lengths[:, None], x, K)  # the end where nothing stands

    def denoiser(inputs, t, cond=None, mask=None):
        out = []
        for i in range(inputs.shape[1]):
            fits = (letters[None, :, :i] == inputs[:, None, 1 : i + 1]).all(-1).double() * p  # (B, N)
            out.append((fits @ nn.functional.one_hot(letters[:, i], K + 1).double())[:, :outputs].log())
        return torch.stack(out, 1)

    return denoiser


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def words() -> Words:
    return Words()


def of_toy(toy: Toy):
    return Autoregressive(K, L), exact(toy.x, torch.full((27,), L), toy.p, K)


def of_words(words: Words):
    return Autoregressive(K, L, ends=True), exact(words.x, words.lengths, words.p, K + 1)


def last(process, denoiser, mask, generator, **options):
    with torch.no_grad():
        for state in trajectory(process, denoiser, mask, generator, **options):
            final = state
    return final


def distance(index: torch.Tensor, p: torch.Tensor) -> float:
    frequencies = torch.bincount(index, minlength=len(p)).double() / len(index)
    return 0.5 * float((frequencies - p).abs().sum())


# -- likelihood -------------------------------------------------------------------------------------------------------


def test_bound_equals_the_exact_log_likelihood(toy, words):
    process, denoiser = of_toy(toy)
    (term,) = process.bound_terms(denoiser, Batch.of(toy.x, toy.mask(27)), 7, seeded())
    assert torch.allclose(term, -toy.p.log(), atol=1e-12)
    process, denoiser = of_words(words)
    (term,) = process.bound_terms(denoiser, Batch.of(words.x, words.mask), None, seeded())
    assert torch.allclose(term, -words.p.log(), atol=1e-12)
    assert float((words.p * term).sum()) == pytest.approx(words.entropy)
    assert process.bound == "exact" and process.models_length


@pytest.mark.parametrize("width", [3, 4])
def test_probabilities_sum_to_one_for_any_network(words, width):
    """Sequences of 1 to 3 letters of at most 3, and of at most 4, where the end token needs a position."""
    process = Autoregressive(K, width, ends=True)
    torch.manual_seed(0)
    sizes = {"states": 4, "letters": 4, "length": width, "conditions": Conditions(), "fixed_length": False}
    network = randomised(build_network("conv", {"width": 8, "depth": 1, "causal": True}, **sizes)).double()
    with torch.no_grad():
        short = float((-process.loss(network, Batch.of(words.x, words.mask), seeded())).exp().sum())
        if width == 4:
            x = torch.tensor(list(itertools.product(range(K), repeat=4)))
            whole = torch.ones(81, 4, dtype=torch.bool)
            assert short < 0.999
            short += float((-process.loss(network, Batch.of(x, whole), seeded())).exp().sum())
    assert short == pytest.approx(1, abs=1e-9)


def test_signal_is_padded_for_the_end_token(words):
    process = Autoregressive(K, 4, ends=True)
    sizes = {"states": 4, "letters": 4, "length": 4, "conditions": Conditions(channels=2), "fixed_length": False}
    network = randomised(build_network("conv", {"width": 8, "depth": 1, "causal": True}, **sizes))
    cond = {"signal": torch.randn(39, 3, 2, generator=seeded()), "keep": torch.ones(39, dtype=torch.bool)}
    wide = {**cond, "signal": nn.functional.pad(cond["signal"], (0, 0, 0, 1))}
    a = process.loss(network, Batch.of(words.x, words.mask, cond), seeded())
    padded = nn.functional.pad(words.x, (0, 1), value=2), nn.functional.pad(words.mask, (0, 1))
    assert torch.allclose(a, process.loss(network, Batch.of(padded[0], padded[1], wide), seeded()), atol=1e-6)


@pytest.mark.parametrize("network", ["conv", "transformer", "bytenet"])
@pytest.mark.parametrize("ends", [False, True])
def test_gradients_reach_every_parameter(network, ends):
    process = Autoregressive(K, 8, ends)
    sizes = {"states": 4, "letters": process.outputs, "length": 8, "conditions": Conditions(2), "fixed_length": True}
    net = build_network(network, {"width": 16, "depth": 2, "heads": 2, "causal": True}, **sizes)
    torch.manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.1)
    cond = {"label": torch.arange(64) % 2, "keep": torch.arange(64) % 3 > 0}
    x0, mask = torch.randint(0, 3, (64, 8), generator=seeded()), torch.arange(8) < 1 + torch.arange(64)[:, None] % 8
    process.loss(net, Batch.of(x0, mask, cond), seeded()).mean().backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("network", ["conv", "transformer", "bytenet"])
def test_padding_does_not_matter(network):
    process = Autoregressive(K, 11, ends=True)
    net = causal(network, 11, fixed=False)
    x0 = torch.randint(0, 3, (32, 11), generator=seeded())
    mask = torch.arange(11) < torch.randint(1, 12, (32, 1), generator=seeded())
    scrambled = torch.where(mask, x0, 2 - x0)
    with torch.no_grad():
        losses = [process.loss(net, Batch.of(x, mask), seeded()) for x in (x0, scrambled)]
    assert torch.allclose(*losses, atol=1e-6)


def test_input_is_shifted_behind_a_start_symbol():
    process = Autoregressive(K, 4)
    assert process.inputs(torch.tensor([[2, 0, 1, 1]])).tolist() == [[K, 2, 0, 1]]
    assert process.states == K + 1


# -- sampling with the exact distribution ---------------------------------------------------------------------------


def test_samples_follow_the_distribution(toy):
    process, denoiser = of_toy(toy)
    final = last(process, denoiser, toy.mask(20_000), chunk_generators(20_000, "cpu", 0), steps=1)  # steps: not used
    assert distance(toy.index(process.decode(final)), toy.p) < 0.02


def test_samples_with_an_end_token_follow_the_distribution(words):
    process, denoiser = of_words(words)
    mask = torch.zeros(20_000, L, dtype=torch.bool)
    final = last(process, denoiser, mask, chunk_generators(20_000, "cpu", 0))
    assert distance(words.index(final.x, final.mask), words.p) < 0.02
    assert (final.x[~final.mask] == 0).all()


def test_requested_lengths_are_kept(words):
    """The end token has probability 0 before the requested length."""
    process, denoiser = of_words(words)
    lengths = 1 + torch.arange(30_000) % 3
    final = last(process, denoiser, torch.arange(L) < lengths[:, None], seeded())
    assert torch.equal(final.mask.sum(-1), lengths)
    first = torch.stack([words.p[words.x[:, 0] == k].sum() for k in range(K)])
    for n in (1, 2, 3):
        assert distance(final.x[lengths == n, 0], first) < 0.02
    longer = words.lengths > 1
    second = torch.stack([words.p[longer & (words.x[:, 0] == 1) & (words.x[:, 1] == k)].sum() for k in range(K)])
    assert distance(final.x[(lengths > 1) & (final.x[:, 0] == 1), 1], second / second.sum()) < 0.03


def test_temperature_sharpens(toy):
    process, denoiser = of_toy(toy)
    state = process.prior(toy.mask(1), seeded())
    warm, cold = (process.predict(denoiser, state, None, t)[0, 0] for t in (1.0, 0.5))
    first = torch.stack([toy.p[toy.x[:, 0] == k].sum() for k in range(K)])
    assert torch.allclose(warm.exp(), first)
    assert torch.allclose(cold.exp(), first**2 / (first**2).sum())


def test_generated_letters_are_certain_and_later_ones_masked(words):
    process, denoiser = of_words(words)
    *_, before, final = trajectory(process, denoiser, torch.zeros(50, L, dtype=torch.bool), seeded())
    p = process.predict(denoiser, before, None).exp()
    assert p.shape == (50, L, K + 1) and torch.allclose(p.sum(-1), torch.ones((), dtype=p.dtype), atol=1e-6)
    assert (p[:, :2].gather(-1, before.x[:, :2, None]) == 1).all()
    p = process.predict(denoiser, final, None).exp()
    assert (p.gather(-1, final.x[..., None]) == 1).all()
    start = process.predict(denoiser, process.prior(torch.ones(2, L, dtype=torch.bool), seeded()), None).exp()
    assert start.shape == (2, L, K) and torch.allclose(start[:, 1:], torch.tensor(1 / 3, dtype=start.dtype))


def test_a_seed_repeats_and_the_batch_size_does_not_matter(words):
    process, denoiser = of_words(words)

    def sample(n, seed=0, batch=10**6):
        mask = torch.zeros(n, L, dtype=torch.bool)
        final = last(process, Denoiser(denoiser, batch), mask, chunk_generators(n, "cpu", seed))
        return torch.where(final.mask, final.x, -1)

    first = sample(300)
    assert torch.equal(first, sample(300))
    assert not torch.equal(first, sample(300, seed=1))
    assert torch.equal(first, sample(300, batch=1))
    assert torch.equal(first[:7], sample(7))


def test_templates_are_always_satisfied(toy):
    process, denoiser = of_toy(toy)
    allowed = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    final = last(process, denoiser, toy.mask(2000), seeded(), guidance=Template(allowed))
    assert allowed[torch.arange(3), final.x].all()
    assert len(final.x.unique(dim=0)) > 3


# -- sampling with networks: letters are read once --------------------------------------------------------------------


def randomised(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval().requires_grad_(False)


def causal(name: str, length: int, fixed: bool, conditions: Conditions | None = None) -> nn.Module:
    sizes = {"states": 4, "letters": K + (not fixed), "length": length, "fixed_length": fixed}
    options = {"width": 16, "depth": 4, "heads": 2, "causal": True}
    return randomised(build_network(name, options, conditions=conditions or Conditions(), **sizes))


def whole(network):
    """Hide the `advance` method of a causal network."""
    return lambda *args: network(*args)


CONDITIONS = Conditions(classes=2, values=1, channels=2)


def condition(n: int, length: int) -> dict[str, torch.Tensor]:
    return {
        "label": torch.arange(n) % 2,
        "value": torch.randn(n, 1, generator=seeded()),
        "signal": torch.randn(n, length, 2, generator=seeded()),
        "keep": torch.arange(n) % 5 > 0,
    }


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("name", ["conv", "transformer", "bytenet"])
def test_incremental_decoding_equals_full_forward_pass(name, fixed):
    net, n, length = causal(name, 45, fixed, CONDITIONS), 6, 45
    x = torch.randint(4, (n, length), generator=seeded())
    for cond in (None, condition(n, length)):
        full, cache = net(x, torch.zeros(n), cond), None
        assert full.std() > 0.05
        for i in range(length):
            logits, cache = net.advance(x[:, i], i, cond, cache)
            assert torch.allclose(logits, full[:, i], atol=1e-5)
            assert {len(v) for v in cache.values()} == {n}


@pytest.mark.parametrize("name", ["conv", "transformer", "bytenet"])
def test_logits_depend_only_on_earlier_letters(name):
    net = causal(name, 30, True)
    x = torch.randint(4, (3, 30), generator=seeded())
    out = net(x, torch.zeros(3))
    for j in (0, 7, 29):
        changed = x.clone()
        changed[:, j] = (x[:, j] + 1) % 4
        differs = (net(changed, torch.zeros(3)) - out).abs().amax(-1) > 1e-6
        assert not differs[:, :j].any() and differs[:, j].all()


@pytest.mark.parametrize("name", ["conv", "transformer", "bytenet"])
def test_cached_samples_are_those_of_full_evaluation(name):
    process, net = Autoregressive(K, 20, ends=True), causal(name, 20, False, CONDITIONS)
    n, mask = 300, torch.zeros(300, 20, dtype=torch.bool)
    cond = condition(n, 20)
    finals = [
        last(process, denoiser, mask, chunk_generators(n, "cpu", 1), cond=cond)
        for denoiser in (whole(net), net, Denoiser(net, 7), Denoiser(net, 400))
    ]
    assert len(finals[0].mask.sum(-1).unique()) > 3
    for final in finals[1:]:
        same = (final.mask == finals[0].mask).all(-1) & (final.x == finals[0].x).all(-1)
        assert same.double().mean() > 0.98  # a row whose draw lies within rounding of a boundary may differ


class Counting(nn.Module):
    """A network that records its calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.forwards, self.advances = network, 0, 0

    def forward(self, *args):
        self.forwards += 1
        return self.network(*args)

    def advance(self, *args):
        self.advances += 1
        return self.network.advance(*args)


class Contrast(Guidance):
    """Call the network twice with the condition and once without, as classifier-free guidance does."""

    def clean(self, predict, context):
        null = context.given({**context.cond, "keep": torch.zeros_like(context.cond["keep"])})
        mixed = 1.5 * predict(context) - 0.5 * predict(null)
        assert torch.equal(predict(context), predict(context))
        return torch.log_softmax(torch.nan_to_num(mixed, nan=-1e9), -1)


def test_prefix_cache_reads_each_letter_once_per_condition():
    process, net = Autoregressive(K, 20), Counting(causal("conv", 20, True, CONDITIONS))
    n, mask = 10, torch.ones(10, 20, dtype=torch.bool)
    last(process, net, mask, seeded(), cond=condition(n, 20))
    assert (net.forwards, net.advances) == (0, 20)
    guided = last(process, net, mask, seeded(), cond=condition(n, 20), guidance=Contrast())
    assert (net.forwards, net.advances) == (0, 60)
    slow = last(process, whole(net), mask, seeded(), cond=condition(n, 20), guidance=Contrast())
    assert torch.equal(guided.x, slow.x)


def test_no_network_call_after_all_sequences_ended():
    process, net = Autoregressive(K, 20, ends=True), Counting(causal("conv", 20, False))
    net.network.bias.data[:, K] = 50
    final = last(process, net, torch.zeros(5, 20, dtype=torch.bool), seeded())
    assert (final.mask.sum(-1) == 1).all() and net.advances == 2


class Meddling(Guidance):
    """Resample rows, keep independent copies and change letters, as guides may do to a state."""

    def __init__(self, process, denoiser, cond) -> None:
        self.process, self.denoiser, self.cond = process, denoiser, cond
        self.seen: list[torch.Tensor] = []

    def clean(self, predict, context):
        self.seen.append(predict(context)[:, int(context.state.t[0])])
        return predict(context)

    def after(self, context):
        state = context.state
        i = int(state.t[0])
        if i == 5:
            part = state.take(slice(0, 4))  # goes on with other letters: must not disturb the rest
            part = last_letters(self.process, self.denoiser, part, {k: v[:4] for k, v in self.cond.items()})
        if i == 9:
            return state.take(torch.arange(len(state.x)).flip(0))
        if i == 13:
            x = state.x.clone()
            x[:, 11] = (x[:, 11] + 1) % K
            return state.replace(x=x)
        return state


def last_letters(process, denoiser, state, cond):
    for i in range(5, 9):
        log_p = process.predict(denoiser, state, cond)
        state = process.step(state, i, log_p.flip(-1), seeded(7))
    return state


@pytest.mark.parametrize("name", ["conv", "transformer", "bytenet"])
def test_prefix_cache_is_invalidated_by_changed_letters(name):
    process, net, mask = Autoregressive(K, 20), causal(name, 20, True, CONDITIONS), torch.ones(6, 20, dtype=torch.bool)
    cond = condition(6, 20)
    cached, slow = Meddling(process, net, cond), Meddling(process, whole(net), cond)
    for guide in (cached, slow):
        last(process, guide.denoiser, mask, seeded(), cond=cond, guidance=guide)
    assert torch.allclose(torch.stack(cached.seen), torch.stack(slow.seen), atol=1e-5)


def test_only_causal_networks_use_the_prefix_cache():
    for name in ("conv", "transformer", "bytenet"):
        net = build_network(name, {}, states=4, letters=3, length=5, conditions=Conditions(), fixed_length=True)
        with pytest.raises(ValueError, match="make it with causal=True"):
            net.advance(torch.zeros(2, dtype=torch.long), 0)


# -- the estimator ----------------------------------------------------------------------------------------------------

SMALL = {"width": 16, "depth": 1, "epochs": 6, "batch_size": 16, "lr": 1e-2, "ema": 0.9, "savepath": None, "verbose": 0}
LONGEST = 4


@pytest.fixture(scope="module", params=["conv", "transformer", "bytenet"])
def mixed(request) -> Estimator:
    data = [s[: 1 + i % LONGEST] for i, s in enumerate(sequences(64, LONGEST, p=[0.5, 0.3, 0.1, 0.1]))]
    return Estimator(network=request.param, **SMALL).fit(data)


def test_scores_with_an_end_are_a_distribution_over_all_lengths(mixed):
    every = ["".join(w) for n in range(1, LONGEST + 1) for w in itertools.product("ACGT", repeat=n)]
    scores, error = mixed.score_samples(every, return_error=True)
    assert np.exp(scores).sum() == pytest.approx(
        1, abs=1e-4
    )  # the end pays for the length, no length distribution beside it
    assert (error == 0).all()
    assert mixed.score_samples(["A" * (LONGEST + 1)])[0] == -np.inf
    # and sequences are written as often as they are scored
    samples = mixed.generate(6000, random_state=0)
    drawn = np.array([samples.count(s) for s in every]) / 6000
    assert 0.5 * np.abs(drawn - np.exp(scores)).sum() < 0.08
    assert {len(s) for s in samples} == set(range(1, LONGEST + 1))
    by_length = [np.exp(scores[[len(s) == n for s in every]]).sum() for n in range(1, LONGEST + 1)]
    assert distance(torch.tensor([len(s) - 1 for s in samples]), torch.tensor(by_length)) < 0.02


def test_a_length_or_template_fixes_the_length(mixed):
    assert {len(s) for s in mixed.generate(50, length=3, random_state=0)} == {3}
    lengths = np.arange(40) % LONGEST + 1
    assert [len(s) for s in mixed.generate(40, length=lengths, random_state=0)] == lengths.tolist()
    written = mixed.generate(50, template="NSN", random_state=0)
    assert all(len(s) == 3 and s[1] in "CG" for s in written) and len(set(written)) > 5


def test_fixed_length_data_need_no_end_token():
    model = Estimator(**SMALL).fit(sequences(64, 3, p=[0.6, 0.2, 0.1, 0.1]))
    assert model.objective_.process.outputs == 4 and model.bound_ == "exact"
    every = ["".join(w) for w in itertools.product("ACGT", repeat=3)]
    assert np.exp(model.score_samples(every)).sum() == pytest.approx(1, abs=1e-5)
    assert np.isneginf(model.score_samples(["AC", "ACGT"])).all()
    assert {len(s) for s in model.generate(20, random_state=0)} == {3}


def test_training_begins_at_the_frequencies_of_letters_and_end():
    data = mixed_lengths(64)
    model = Estimator(**{**SMALL, "epochs": 1, "lr": 1e-12}).fit(data, validation=None)
    logits = model.objective_.network.bias[0]
    mean = np.mean([len(s) for s in data])
    assert logits.exp().sum() == pytest.approx(1, abs=1e-5)
    assert float(logits[4]) == pytest.approx(-math.log(1 + mean), abs=1e-5)


def test_a_saved_model_is_the_same_model(mixed, tmp_path):
    mixed.save(tmp_path / "m.safetensors")
    again = Estimator.load(tmp_path / "m.safetensors")
    assert again.generate(20, random_state=3) == mixed.generate(20, random_state=3)
    assert isinstance(again.length_distribution_, LengthDistribution)
    assert np.allclose(again.score_samples(["AC", "A"]), mixed.score_samples(["AC", "A"]))


def test_labels_condition_letters_and_lengths():
    long_a, short_c = ["A" * 6] * 40, ["C" * 2] * 40
    model = Estimator(**{**SMALL, "epochs": 25}).fit(long_a + short_c, ["long"] * 40 + ["short"] * 40)
    written = model.generate(100, y="long", random_state=0)
    assert np.mean([s == "A" * 6 for s in written]) > 0.8
    assert np.mean([s == "CC" for s in model.generate(100, y="short", random_state=0)]) > 0.8
    scores = [model.score(["A" * 6], y) for y in (["long"], None, ["short"])]
    assert scores == sorted(scores, reverse=True)


def test_non_causal_networks_are_refused():
    with pytest.raises(ValueError, match="cannot read from left to right.*expected 'conv', 'transformer'"):
        Estimator(**{**SMALL, "network": "linear-transformer"}).fit(sequences(16))
    with pytest.raises(ValueError, match="cannot read from left to right"):
        Estimator(**{**SMALL, "network": lambda states, letters, length, conditions, fixed_length: None}).fit(
            sequences(16)
        )
    with pytest.raises(ValueError, match="network: got 'convv'"):
        Estimator(**{**SMALL, "network": "convv"}).fit(sequences(16))


def test_token_dropout_masks_inputs_but_not_targets():
    process = Autoregressive(K, 40, ends=True, token_dropout=0.3)
    x0, lengths = torch.randint(K, (500, 40), generator=seeded(1)), torch.arange(500) % 39 + 1
    mask = torch.arange(40) < lengths[:, None]
    opinion, seen = torch.randn(40, K + 1, generator=seeded(2)), []

    def denoiser(inputs, t, cond=None, mask=None):
        seen.append(inputs)
        return opinion.expand(len(inputs), -1, -1)

    trained = process.loss(denoiser, Batch.of(x0, mask), seeded(3))
    judged = next(process.bound_terms(denoiser, Batch.of(x0, mask), None, seeded(3)))
    assert torch.equal(trained, judged)  # of one who reads nothing: all letters and the end are predicted all the same
    hidden = seen[0] != seen[1]
    assert (seen[0][hidden] == K).all() and not hidden[:, 0].any()
    assert torch.equal(seen[1], process.inputs(x0))
    assert abs(hidden[:, 1:].double().mean() - 0.3) < 4 * math.sqrt(0.21 / (500 * 39))


def test_token_dropout_of_zero_uses_no_random_numbers(toy):
    process, denoiser = of_toy(toy)
    generator = seeded(5)
    process.loss(denoiser, Batch.of(toy.x, torch.ones_like(toy.x, dtype=torch.bool)), generator)
    assert torch.equal(generator.get_state(), seeded(5).get_state())
