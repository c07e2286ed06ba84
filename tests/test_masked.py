"""Masked diffusion: the low-variance form of its bound, its samplers and their network calls."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from enumerable import Toy, raw_input
from small_models import seeded

from seqdiff import MaskedDiffusion
from seqdiff.guidance import Template
from seqdiff.processes import Batch, FirstHitting, Masked, State
from seqdiff.processes.masked import ConfidentFirst, MarginFirst, MaskedState, Planned
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import Denoiser, trajectory

SAMPLERS = {
    "ancestral": Masked,
    "remasking": lambda *a: Masked(*a, remasking=0.5),
    "first-hitting": FirstHitting,
    "confidence": ConfidentFirst,
    "margin": MarginFirst,
    "spread": partial(FirstHitting, spread=True),
    "planned": Planned,
    "blocks": partial(FirstHitting, block=3),
    "blocks, spread": partial(FirstHitting, spread=True, block=2),
    "blocks, margin": partial(MarginFirst, block=2),
    "blocks, planned": partial(Planned, block=2),
}
BLOCKS = {name: int(make.keywords["block"]) for name, make in SAMPLERS.items() if name.startswith("blocks")}


def any_denoiser(letters: int = 3, width: int = 4, temper=torch.ones_like):
    """Return a denoiser that depends on all letters, masks and positions and, by `temper`, on the time."""
    g = torch.Generator().manual_seed(7)
    weight = torch.randn(width, letters + 1, width, letters, generator=g, dtype=torch.float64)

    def denoiser(x, t, cond=None, mask=None):
        seen = torch.nn.functional.one_hot(x, letters + 1).double() * mask[..., None]
        return torch.einsum("blk,lkmj->bmj", seen, weight) * temper(t.double())[..., None, None]

    return denoiser


def timed(process):
    process.time_conditioning = True
    return process


def draw(process, denoiser, mask, *, seed=0, steps=None, **rest) -> tuple[torch.Tensor, list[State]]:
    with torch.no_grad():
        states = [*trajectory(process, denoiser, mask, chunk_generators(len(mask), "cpu", seed), steps=steps, **rest)]
    return process.decode(states[-1]), states


def frequencies(x: torch.Tensor, letters: int = 3) -> torch.Tensor:
    index = (x * letters ** torch.arange(x.shape[1])).sum(-1)
    return torch.bincount(index, minlength=letters ** x.shape[1]).double() / len(x)


# -- the bound --------------------------------------------------------------------------------------------------------


def slow_bound(denoiser, x0: torch.Tensor, length: int, times: np.ndarray, weights: np.ndarray) -> float:
    """Return sum over times of weight * E[cross-entropy of the masks], every subset of one sequence written out."""
    total, mask = 0.0, (torch.arange(len(x0)) < length)[None]
    for hidden in itertools.product([False, True], repeat=length):
        hidden = torch.tensor([*hidden] + [False] * (len(x0) - length))
        k, x = int(hidden.sum()), torch.where(hidden, 3, x0)[None]
        if k == 0:
            continue
        log_p = denoiser(x.expand(len(times), -1), torch.tensor(times), None, mask).log_softmax(-1)
        nll = -log_p.gather(-1, x0.expand(len(times), -1)[..., None])[..., 0][:, hidden].sum(-1).numpy()
        total += float((weights * times**k * (1 - times) ** (length - k) * nll).sum())
    return total


@pytest.mark.parametrize("steps", [None, 1, 6])
def test_estimates_equal_the_integral_over_time(steps):
    """Holds for a network that depends on time: t is the time of the k-th mask, not k/L."""
    denoiser = any_denoiser(temper=lambda t: 0.5 * torch.sin(5 * t))
    g, copies = seeded(1), 20_000
    rows = torch.randint(3, (3, 4), generator=g)
    lengths = torch.tensor([4, 3, 1])
    if steps is None:
        nodes, weights = np.polynomial.legendre.leggauss(40)
        times = (nodes + 1) / 2
        weights = weights / 2 / times
    else:
        times = np.arange(1, steps + 1) / steps
        weights = 1 / np.arange(1, steps + 1)
    expected = [slow_bound(denoiser, x, int(n), times, weights) for x, n in zip(rows, lengths, strict=True)]
    process = Masked(3, steps, time_conditioning=True)
    x0, mask = rows.repeat(copies, 1), (torch.arange(4) < lengths[:, None]).repeat(copies, 1)
    estimates = [
        process.loss(denoiser, Batch.of(x0, mask), g),
        sum(process.bound_terms(denoiser, Batch.of(x0, mask), None, g)),
        sum(process.bound_terms(denoiser, Batch.of(x0, mask), 3, g)),
    ]
    for estimate in estimates:
        estimate = estimate.reshape(copies, 3)
        error = estimate.std(0) / math.sqrt(copies)
        assert (error < 0.03).all()
        assert ((estimate.mean(0) - torch.tensor(expected, dtype=torch.float64)).abs() < 4 * error + 1e-9).all()


def slow_block_bound(denoiser, x0: torch.Tensor, length: int, block: int) -> float:
    """Return the sum over blocks of E_k n/k E[cross-entropy of k masks of n], the blocks after it masked."""
    total, mask = 0.0, (torch.arange(len(x0)) < length)[None]
    for first in range(0, length, block):
        own = range(first, min(first + block, length))
        for hidden in itertools.product([False, True], repeat=len(own)):
            chosen = [i for i, masked in zip(own, hidden, strict=True) if masked]
            if not chosen:
                continue
            x = x0.clone()
            x[chosen + list(range(own.stop, length))] = 3
            log_p = denoiser(x[None], torch.zeros(1), None, mask).log_softmax(-1)[0]
            nll = -float(log_p[chosen, x0[chosen]].sum())
            # k uniform over 1..n, then a set of k letters, with the weight n/k
            total += nll / len(chosen) / math.comb(len(own), len(chosen))
    return total


@pytest.mark.parametrize("block", [1, 2, 3, 4, 9])
def test_bound_of_blocks_is_the_sum_of_their_bounds(block):
    denoiser, g, copies = any_denoiser(), seeded(1), 10_000
    rows, lengths = torch.randint(3, (3, 4), generator=g), torch.tensor([4, 3, 1])
    expected = [slow_block_bound(denoiser, x, int(n), block) for x, n in zip(rows, lengths, strict=True)]
    x0, mask = rows.repeat(copies, 1), (torch.arange(4) < lengths[:, None]).repeat(copies, 1)
    process = Masked(3, block=block)
    for estimate in (
        process.loss(denoiser, Batch.of(x0, mask), g),
        sum(process.bound_terms(denoiser, Batch.of(x0, mask), 3, g)),
    ):
        estimate = estimate.reshape(copies, 3)
        error = estimate.std(0) / math.sqrt(copies)
        assert (error < 0.1).all()
        assert ((estimate.mean(0) - torch.tensor(expected, dtype=torch.float64)).abs() < 4 * error + 1e-9).all()


def test_training_in_blocks_also_counts_later_blocks():
    """With uniform predictions: the bound of the letters of one block for all, and half of each letter after it."""
    x0, mask = torch.zeros(300, 6).long(), torch.ones(300, 6, dtype=torch.bool)
    uninformed = lambda x, t, cond=None, mask=None: torch.zeros(*x.shape, 3)  # noqa: E731
    for bell, later in ((False, 0.0), (True, 0.5)):
        nats = Masked(3, block=2, bell=bell).loss(uninformed, Batch.of(x0, mask), seeded()) / math.log(3)
        assert torch.allclose(nats.sort().values, 6 + later * torch.tensor([0.0, 2.0, 4.0]).repeat_interleave(100))


def whole_blocks(masks: torch.Tensor, mask: torch.Tensor, block: int) -> bool:
    """Return whether no letter is seen to the right of the first block that has a mask."""
    index = torch.arange(mask.shape[1]) // block
    first = torch.where(masks, index, 99).amin(-1, keepdim=True)
    return bool((masks | (index <= first) | ~mask).all())


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("steps", [None, 2, 30])
def test_network_never_sees_a_letter_to_the_right_of_the_block(name, steps):
    """In training, scoring, noise for classifiers and sampling, known letters of a template included."""
    process, block, seen = SAMPLERS[name](3), BLOCKS[name], []

    def listen(x, t, cond=None, mask=None):
        seen.append(whole_blocks((x == 3) & mask, mask, block))
        return any_denoiser(width=6)(x, t, cond, mask)

    mask = torch.arange(6) < torch.arange(300)[:, None] % 6 + 1
    x0 = torch.where(mask, torch.randint(3, mask.shape, generator=seeded()), 0)
    process.loss(listen, Batch.of(x0, mask), seeded())
    sum(process.bound_terms(listen, Batch.of(x0, mask), 3, seeded()))
    noised = process.noised(x0, torch.rand(300, generator=seeded()), mask, seeded())
    assert whole_blocks((noised.x == 3) & mask, mask, block) and (noised.x == 3).any()
    allowed = torch.ones(6, 3, dtype=torch.bool)
    allowed[4] = torch.tensor([False, True, False])
    for guidance in (None, Template(allowed)):
        _, states = draw(process, listen, mask, steps=steps, guidance=guidance)
        assert all(whole_blocks((state.x == 3) & mask, mask, block) for state in states)
    assert len(seen) >= 8 and all(seen)


def test_bound_of_the_exact_denoiser_is_the_likelihood_in_any_order():
    toy = Toy()
    denoiser = toy.context_denoiser(raw_input(Masked(3)))
    nodes, weights = np.polynomial.legendre.leggauss(10)
    times = (nodes + 1) / 2
    bounds = [slow_bound(denoiser, x, 3, times, weights / 2 / times) for x in toy.x]
    assert np.allclose(bounds, -toy.p.log().numpy(), atol=1e-12)


def test_loss_of_uniform_predictions_has_zero_variance():
    """L/k times k masks: no noise from the number of masks is left, and padding neither counts nor is masked."""
    seen = []

    def uninformed(x, t, cond=None, mask=None):
        seen.append(x)
        return torch.zeros(*x.shape, 4)

    mask = torch.arange(9) < torch.tensor([[9], [5], [1], [7]])
    x0 = torch.zeros(4, 9).long()
    process, expected = Masked(4), mask.sum(-1) * math.log(4)
    for seed in range(20):
        assert torch.allclose(process.loss(uninformed, Batch.of(x0, mask), seeded(seed)), expected)
        bound = sum(process.bound_terms(uninformed, Batch.of(x0, mask), None, seeded(seed)))
        assert torch.allclose(bound, expected)
    assert not any((x[~mask] == 4).any() for x in seen)


def test_mask_counts_are_stratified_and_shuffled():
    """Strata that stay with their rows would show the last rows of a sorted batch the most masks, always."""
    counts = []

    def count(x, t, cond=None, mask=None):
        counts.append((x == 4).sum(-1))
        return torch.zeros(*x.shape, 4)

    x0, mask = torch.zeros(8, 8).long(), torch.ones(8, 8, dtype=torch.bool)
    for seed in range(400):
        Masked(4).loss(count, Batch.of(x0, mask), seeded(seed))
    counts = torch.stack(counts)
    assert torch.equal(counts.sort(-1).values, torch.arange(1, 9).expand(400, 8))
    for row in (0, 7):
        share = torch.bincount(counts[:, row], minlength=9)[1:] / 400
        assert (share - 1 / 8).abs().max() < 5 * math.sqrt(1 / 8 * 7 / 8 / 400)


def test_float32_losses_are_finite_next_to_the_data():
    logits = torch.tensor([100.0, -100.0, 0.0, 0.0])
    for process in (Masked(4), Masked(4, 10**6)):
        x0, mask = torch.ones(1000, 3).long(), torch.ones(1000, 3, dtype=torch.bool)
        lowest = process.term(lambda x, *a: logits.expand(*x.shape, 4), Batch.of(x0, mask), torch.zeros(1000), seeded())
        assert lowest.isfinite().all()


# -- samplers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [None, 1, 2, 3, 7])
def test_samples_have_no_mask(name, steps):
    mask = torch.arange(4) < torch.arange(200)[:, None] % 4 + 1
    x, states = draw(SAMPLERS[name](3), any_denoiser(), mask, steps=steps)
    assert x.max() == 2 and (states[0].x == 3).sum() == mask.sum()
    assert (x[~mask] == 0).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_do_not_depend_on_the_batch_size_or_on_other_rows(name):
    process, denoiser = timed(SAMPLERS[name](3)), any_denoiser(temper=lambda t: 1 + t)
    mask = torch.arange(4) < (torch.arange(300)[:, None] + 3) % 4 + 1
    for steps in (None, 2):
        x, _ = draw(process, denoiser, mask, steps=steps)
        assert torch.equal(x, draw(process, Denoiser(denoiser, 7), mask, steps=steps)[0])
        assert torch.equal(x[:7], draw(process, denoiser, mask[:7], steps=steps)[0])
        assert not torch.equal(x, draw(process, denoiser, mask, steps=steps, seed=1)[0])


@pytest.mark.parametrize("name", SAMPLERS)
def test_templates_are_satisfied(name):
    allowed = torch.tensor([[True, False, True], [False, True, False], [True, True, True], [False, True, True]])
    x, _ = draw(SAMPLERS[name](3), any_denoiser(), torch.ones(1000, 4, dtype=torch.bool), guidance=Template(allowed))
    assert allowed[torch.arange(4), x].all() and len(x.unique(dim=0)) > 2


def counting(denoiser):
    calls = []

    def call(x, t, cond=None, mask=None):
        calls.append((x == 3).sum(-1))
        return denoiser(x, t, cond, mask)

    return call, calls


@pytest.mark.parametrize(
    "name", ["first-hitting", "confidence", "margin", "spread", "blocks", "blocks, spread", "blocks, margin"]
)
@pytest.mark.parametrize("steps", [None, 2])
def test_first_hitting_calls_the_network_at_most_once_per_letter(name, steps):
    lengths = torch.arange(1, 5).repeat(50)
    denoiser, calls = counting(any_denoiser())
    _, states = draw(SAMPLERS[name](3), denoiser, torch.arange(4) < lengths[:, None], steps=steps)
    assert all((masks > 0).all() for masks in calls)  # never a row that is finished
    assert sum(map(len, calls)) == int(lengths.clamp_max(steps or 4).sum())
    for before, after in itertools.pairwise(states):
        left, written = ((s.x == 3).sum(-1) for s in (before, after))
        assert (written < left)[left > 0].all()


def test_planned_sampling_masks_what_is_least_sure():
    """Against the rule, letter by letter; a template's letters, once drawn, stay."""
    g, zero = seeded(), torch.zeros(1)
    x = torch.randint(4, (40, 6), generator=g)
    mask, log_p0 = torch.arange(6) < torch.randint(1, 7, (40, 1), generator=g), torch.randn(40, 6, 3, generator=g)
    x, log_p0, steered = torch.where(mask, x, 0), log_p0.log_softmax(-1), torch.rand(40, 6, generator=g) < 0.3
    for target in (0.0, 0.4, 0.9):
        for fixed in (None, steered):
            state = MaskedState(x, torch.ones(40), mask, None, fixed)
            kernel = Planned(3).kernel(log_p0, state, target).exp()
            for row in range(40):
                real = [i for i in range(6) if mask[row, i]]
                stay = [i for i in real if fixed is not None and fixed[row, i] and x[row, i] < 3]
                free = [i for i in real if i not in stay]
                worth = {i: log_p0[row, i].max() if x[row, i] == 3 else log_p0[row, i, x[row, i]] for i in free}
                again = sorted(free, key=worth.__getitem__)[: int(len(free) * target)]
                for i in real:
                    wanted = torch.eye(4)[x[row, i]] if x[row, i] < 3 else torch.cat([log_p0[row, i].exp(), zero])
                    assert torch.allclose(kernel[row, i], torch.eye(4)[3] if i in again else wanted)


def test_planned_sampling_has_so_many_masks_at_each_time():
    mask = torch.arange(4) < torch.arange(300)[:, None] % 4 + 1
    _, states = draw(Planned(3), any_denoiser(), mask, steps=5)
    for state in states[1:]:
        assert torch.equal((state.x == 3).sum(-1), (mask.sum(-1) * state.t + 1e-6).floor().long())


def test_bell_shaped_training_draws_its_masks_around_half():
    def shares(process):
        seen = []

        def listen(x, t, cond=None, mask=None):
            seen.append((x == 3).double().mean(-1))
            return torch.zeros(*x.shape, 3, dtype=torch.float64)

        process.loss(listen, Batch.of(torch.zeros(4000, 50).long(), torch.ones(4000, 50, dtype=torch.bool)), seeded())
        return seen[0].sort().values

    for steps in (None, 50):
        uniform, bell = shares(Masked(3, steps)), shares(Masked(3, steps, bell=True))
        ranks = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
        wanted = torch.sigmoid(torch.distributions.Normal(0, 1).icdf(ranks))
        # the letters of a level are a random number of them in T steps
        assert torch.allclose(bell[(ranks * 4000).long()], wanted.double(), atol=0.03)
        assert torch.allclose(uniform[(ranks * 4000).long()], ranks.double(), atol=0.03)


def test_ancestral_sampling_stops_calling_for_finished_rows():
    denoiser, calls = counting(any_denoiser())
    draw(Masked(3), denoiser, torch.ones(300, 4, dtype=torch.bool), steps=40)
    assert all((masks > 0).all() for masks in calls) and sum(map(len, calls)) < 0.9 * 40 * 300


def test_skipping_finished_rows_changes_nothing():
    """Rows are finished and unfinished, with conditions."""
    denoiser = any_denoiser()
    process, mask = Masked(3), torch.ones(60, 4, dtype=torch.bool)
    x = torch.randint(4, (60, 4), generator=seeded())
    x[::3] = x[::3] % 3
    cond = {"value": torch.randn(60, 1, generator=seeded())}

    def conditional(x, t, cond=None, mask=None):
        return denoiser(x, t, None, mask) * cond["value"][..., None]

    state = State(x, torch.rand(60, generator=seeded()), mask)
    whole = conditional(x, state.t, cond, mask) + process.log_evidence(state, torch.float64)
    assert torch.equal(process.predict(conditional, state, cond), whole.log_softmax(-1))
    finished = process.predict(None, state.take(slice(None, None, 3)), cond)  # no network call
    assert torch.equal(finished, whole.log_softmax(-1)[::3].float())


@pytest.mark.parametrize("length", [1, 4])
def test_network_time_is_that_of_the_next_letter(length):
    """With k masks left it is Beta(k, L - k + 1), in training (the calm form) and in sampling."""
    calls = []

    def listen(x, t, cond=None, mask=None):
        calls.append(((x == 3).sum(-1), t))
        return torch.zeros(*x.shape, 3, dtype=torch.float64)

    n = 4000
    mask = (torch.arange(4) < length).expand(n, 4)
    draw(FirstHitting(3, None, True), listen, mask)
    Masked(3, None, True).loss(listen, Batch.of(torch.zeros(n, 4).long(), mask), seeded())
    for masks, t in calls[:-1] + [
        (calls[-1][0][calls[-1][0] == k], calls[-1][1][calls[-1][0] == k]) for k in (1, length)
    ]:
        k = int(masks.max())
        assert (masks == k).all()
        mean, variance = k / (length + 1), k * (length - k + 1) / (length + 1) ** 2 / (length + 2)
        assert abs(float(t.mean()) - mean) < 4.5 * math.sqrt(variance / len(t))
        assert abs(float(t.var()) - variance) < 0.15 * variance


def test_first_hitting_equals_fine_ancestral_sampling():
    denoiser = any_denoiser(width=3, temper=lambda t: 4 * t * (t - 0.3))
    mask = torch.ones(20_000, 3, dtype=torch.bool)
    hit, _ = draw(timed(FirstHitting(3)), denoiser, mask)
    fine, _ = draw(timed(Masked(3)), denoiser, mask, steps=200, seed=1)
    assert 0.5 * float((frequencies(hit) - frequencies(fine)).abs().sum()) < 0.03


def written(process, logits: torch.Tensor) -> list[int]:
    """Return the positions in the order in which they were written."""
    n = len(logits)
    _, states = draw(process, lambda x, *a: logits.expand(len(x), *logits.shape), torch.ones(1, n, dtype=torch.bool))
    return [int(((a.x == 4) & (b.x != 4))[0].nonzero()) for a, b in itertools.pairwise(states)]


def test_unmasking_orders():
    logits = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.5, 0.45, 0.04, 0.01], [0.4, 0.2, 0.2, 0.2]]).log()
    assert written(ConfidentFirst(4), logits) == [1, 2, 0]
    assert written(MarginFirst(4), logits) == [2, 1, 0]
    process = FirstHitting(4)
    _, states = draw(process, any_denoiser(4), torch.ones(6000, 4, dtype=torch.bool))
    first = (states[1].x != 4).double().mean(0)
    assert (first - 0.25).abs().max() < 5 * math.sqrt(3 / 16 / 6000)


def test_spread_unmasks_evenly():
    """Each call unmasks the ceil(m/n)-th part of m masks, their ranks at even distances, each letter equally often."""
    mask = torch.ones(4000, 7, dtype=torch.bool)
    mask[:, 5:] = False
    _, states = draw(FirstHitting(4, spread=True), any_denoiser(4, width=7), mask, steps=3)
    for left, before, after in zip((3, 2, 1), states, states[1:], strict=False):
        masks = before.x == 4
        chosen = masks & (after.x != 4)
        m = masks.sum(-1)
        assert torch.equal(chosen.sum(-1), torch.ceil(m / left).long())
        for row in range(20):
            ranks = (masks[row].cumsum(0) - 1)[chosen[row]]
            gaps = ranks.diff() * len(ranks) / m[row]
            assert ((gaps - 1).abs() < len(ranks) / m[row]).all()
    first = ((states[0].x == 4) & (states[1].x != 4)).double().mean(0)[:5]
    assert (first - 0.4).abs().max() < 5 * math.sqrt(0.24 / 4000)


def test_spread_is_nearer_to_a_markov_chain_with_few_steps():
    length, step = 8, torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    x = torch.cartesian_prod(*[torch.arange(2)] * length)
    p = 0.5 * step[x[:, :-1], x[:, 1:]].prod(-1)

    def exact(z, *rest):
        fits = ((z[:, None] == x) | (z[:, None] == 2)).all(-1) * p
        return torch.stack([(fits @ (x == k).float()) for k in range(2)], -1).log()

    mask = torch.ones(50_000, length, dtype=torch.bool)
    apart = {}
    for spread in (False, True):
        drawn, _ = draw(FirstHitting(2, spread=spread), exact, mask, steps=4)
        apart[spread] = 0.5 * float((frequencies(drawn, 2) - order_as(p, x)).abs().sum())
    assert apart[True] < 0.6 * apart[False]


def order_as(p: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return probabilities in the order of `frequencies`."""
    return p[(x * 2 ** torch.arange(x.shape[1])).sum(-1).argsort()]


def test_remasking_keeps_the_marginals():
    """sum over x_t of q(x_t | x0) p(x_s | x_t, x0) is q(x_s | x0), for any share of remasking."""
    x = torch.arange(4)[:, None]
    one_hot = torch.tensor([0.0, -math.inf, -math.inf], dtype=torch.float64).expand(4, 1, 3)
    for remasking, (s, t) in itertools.product((0.0, 0.1, 1.0), ((0.0, 0.4), (0.3, 0.9), (0.7, 0.8), (0.6, 1.0))):
        process = Masked(3, remasking=remasking)
        state = process.state_class(x, torch.full((4,), t).double(), torch.ones(4, 1, dtype=torch.bool))
        kernel = process.posterior(one_hot, state, s).exp()[:, 0]
        before = torch.tensor([1 - t, 0.0, 0.0, t], dtype=torch.float64)
        assert torch.allclose(before @ kernel, torch.tensor([1 - s, 0.0, 0.0, s], dtype=torch.float64), atol=1e-12)
        again = remasking * (min(1.0, s / (1 - t)) if t < 1 else 1.0)
        assert torch.allclose(kernel[0, 3], torch.tensor(again, dtype=torch.float64))


def test_remasked_samples_follow_the_marginals():
    toy = Toy()
    process = Masked(3, remasking=0.1)
    x, states = draw(process, toy.context_denoiser(raw_input(process)), toy.mask(20_000), steps=100)
    assert any(((a.x != 3) & (b.x == 3)).any() for a, b in itertools.pairwise(states))
    assert 0.5 * float((frequencies(x) - distribution(toy)).abs().sum()) < 0.025
    middle = states[50]
    masks = (middle.x == 3).double().mean()
    assert abs(float(masks) - 0.5) < 0.01


def distribution(toy: Toy) -> torch.Tensor:
    index = (toy.x * 3 ** torch.arange(3)).sum(-1)
    return torch.zeros(27, dtype=torch.float64).index_put((index,), toy.p)


# -- the estimator ----------------------------------------------------------------------------------------------------

TINY = {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0, "device": "cpu"}
X = ["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC", "ACG", "TTACG"] * 3


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"diffusion_steps": 4, "time_conditioning": True},
        {"sampler": "ancestral", "remasking": 0.2},
        {"order": "margin", "time_conditioning": True},
        {"order": "planned", "time_sampling": "uniform"},
        {"block_size": 4},
        {"block_size": 2, "order": "planned", "time_conditioning": True},
    ],
)
def test_every_variant_fits_scores_generates_and_reloads(own, tmp_path):
    model = MaskedDiffusion(**TINY, **own).fit(X)
    scores = model.score_samples(X)
    assert np.isfinite(scores).all() and (scores < 0).all()
    samples = model.generate(20, template="ACNNN", random_state=3)
    assert all(len(s) == 5 and s.startswith("AC") for s in samples)
    model.save(tmp_path / "model.safetensors")
    again = MaskedDiffusion.load(tmp_path / "model.safetensors", device="cpu")
    process = again.objective_.process
    assert process.steps == own.get("diffusion_steps") and process.time_conditioning == ("time_conditioning" in own)
    assert again.generate(20, template="ACNNN", random_state=3) == samples
    assert np.array_equal(again.score_samples(X), scores)


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ({"sampler": "ddim"}, ["ddim", "first-hitting", "ancestral"]),
        ({"sampler": "ancestral", "order": "margin"}, ["margin", "first-hitting"]),
        ({"sampler": "ancestral", "order": "planned"}, ["planned", "first-hitting"]),
        ({"time_sampling": "late"}, ["late", "bell"]),
        ({"order": "left"}, ["left", "confidence"]),
        ({"remasking": 0.1}, ["remasking", "ancestral"]),
        ({"sampler": "ancestral", "remasking": 1.5}, ["remasking", "1.5"]),
        ({"diffusion_steps": 0}, ["diffusion_steps", "None"]),
        ({"block_size": 0}, ["block_size", "1"]),
        ({"block_size": 4, "sampler": "ancestral"}, ["block_size", "None", "ancestral", "first-hitting"]),
        ({"block_size": 4, "diffusion_steps": 50}, ["block_size", "diffusion_steps=50", "diffusion_steps=None"]),
    ],
)
def test_invalid_combinations_are_refused(own, names):
    with pytest.raises(ValueError) as error:
        MaskedDiffusion(**TINY, **own).fit(X)
    assert all(name in str(error.value) for name in names) and "\n" not in str(error.value)
