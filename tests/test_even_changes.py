"""Letters that change in one step are far apart, each with its own probability; few steps lose less."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from enumerable import Toy, raw_input
from small_models import seeded

from seqdiff import ClassicalDiffusion, MaskedDiffusion, MultinomialDiffusion, UniformDiffusion, estimators
from seqdiff.alphabets import DNA
from seqdiff.guidance.particles import TemplateAhead
from seqdiff.processes import SCUD, Classical, Masked, Multinomial, State, Uniform
from seqdiff.processes.categorical import sample_categorical, sample_changes
from seqdiff.processes.noise.events import thinned
from seqdiff.processes.noise.importance_sampling import evenly, whole_between
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.processes.uniform import linear_keep
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory

N, LENGTH = 40_000, 9


def some_step() -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of four letters that are not normalised, some impossible, and the letters before the step."""
    g = seeded(3)
    log_p = 2 * torch.randn(LENGTH, 4, generator=g, dtype=torch.float64) + 1
    x = torch.randint(4, (LENGTH,), generator=g)
    log_p[1, x[1]] = log_p[2, (x[2] + 1) % 4] = -torch.inf  # must change; has a letter that cannot be drawn
    log_p[3] = torch.where(torch.arange(4) == x[3], 0.0, -torch.inf)  # must stay
    return log_p, x


def windows(p: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """Return the largest distance between the number of changes in any window and its expectation."""
    excess = (changed.to(p.dtype) - p).cumsum(-1)
    excess = torch.nn.functional.pad(excess, (1, 0))
    return excess.amax(-1) - excess.amin(-1)


def test_each_position_has_its_own_distribution_and_changes_are_far_apart():
    log_p, x = some_step()
    drawn = sample_changes(log_p.expand(N, -1, -1), x.expand(N, -1), seeded())
    p = torch.softmax(log_p, -1)
    found = torch.nn.functional.one_hot(drawn, 4).double().mean(0)
    assert (found - p).abs().max() < 5 * 0.5 / math.sqrt(N)
    change = 1 - p.gather(-1, x[:, None]).squeeze(-1)
    assert windows(change, drawn != x).max() < 1 + 1e-9
    alone = sample_categorical(log_p.expand(N, -1, -1), seeded())
    assert windows(change, alone != x).max() > 1.5


def test_events_are_undone_far_apart():
    counts = torch.tensor([0, 1, 7, 2, 0, 30, 1, 1, 3])
    left = thinned(counts.expand(N, -1), 0.8, seeded(), spread=True)
    assert windows(1 - 0.8 ** counts.double(), left < counts).max() < 1 + 1e-9
    assert windows(1 - 0.8 ** counts.double(), thinned(counts.expand(N, -1), 0.8, seeded()) < counts).max() > 1.5
    for column, n in zip(left.T, counts.tolist(), strict=True):
        found = torch.bincount(column, minlength=n + 1).double() / N
        expected = torch.tensor([math.comb(n, k) * 0.8**k * 0.2 ** (n - k) for k in range(n + 1)])
        assert (found - expected).abs().max() < 5 * 0.5 / math.sqrt(N)
    assert torch.equal(thinned(counts[None], 1.0, seeded(), spread=True), counts[None])
    assert not thinned(counts[None], 0.0, seeded(), spread=True).any()


def chain(length: int) -> Toy:
    """Two letters, each mostly as the one before."""
    toy = Toy(2, length)
    stay = (toy.x[:, 1:] == toy.x[:, :-1]).double()
    toy.p = 0.5 * (0.25 + 0.5 * stay).prod(-1)
    return toy


def drawn(process, toy: Toy, n: int, steps: int) -> torch.Tensor:
    states = trajectory(process, toy.context_denoiser(process), toy.mask(n), chunk_generators(n, "cpu", 0), steps=steps)
    *_, last = states
    return process.decode(last)


MAKE = {
    "multinomial": lambda: Multinomial(2, 50),
    "uniform": lambda: Uniform(2),
    "classical": lambda: Classical(make_forward("uniform", "AB")),
    "scud": lambda: SCUD(make_forward("uniform", "AB"), gamma=0.3),
    "masked": lambda: Masked(2, spread=True),
}


@pytest.mark.parametrize("name", MAKE)
def test_few_steps_are_nearer_to_a_markov_chain(name):
    toy, apart = chain(6), {}
    for spread in (False, True):
        process = raw_input(MAKE[name]())
        process.spread = spread
        x = drawn(process, toy, 6000, 4)
        apart[spread] = 0.75 - float((x[:, 1:] == x[:, :-1]).double().mean())
    assert apart[True] < 0.9 * apart[False]


def exact_step(process, toy: Toy, s, t) -> torch.Tensor:
    """Return the probabilities (N, N) of the step from t to s between all states, `start` integrated out."""
    x = torch.tensor(list(itertools.product(range(process.states), repeat=toy.length)))
    state = process.state_class(x, torch.full((len(x),), t), toy.mask(len(x)))
    p = process.posterior(process.predict(toy.context_denoiser(process), state, None), state, s).exp()
    reached = p[:, torch.arange(toy.length), x]  # (N, N, L) by the state before and the letters after
    if not process.spread:
        return reached.prod(-1)
    moved = x[:, None] != x  # (N, N, L)
    change = (1 - p.gather(-1, x[..., None]).squeeze(-1)).clamp_min(0)
    others = torch.where(moved, reached / change[:, None].clamp_min(1e-300), 1.0).prod(-1)
    ends = torch.cat([torch.zeros(len(x), 1), -change.cumsum(-1) % 1, torch.ones(len(x), 1)], -1).sort(-1).values
    step = torch.zeros_like(others)
    for low, high in itertools.pairwise(ends.T):  # between two of these nothing depends on the start
        pattern = evenly(change, (low + high)[:, None] / 2)
        step += (high - low)[:, None] * (moved == pattern[:, None]).all(-1) * others
    return step


STEPPED = {
    "uniform": lambda steps, spread: Uniform(2, spread=spread),
    "multinomial": lambda steps, spread: Multinomial(2, steps, linear_keep(steps), spread=spread),
    "masked": lambda steps, spread: Masked(2, spread=spread),
    "classical": lambda steps, spread: Classical(make_forward("uniform", "AB"), spread=spread),
}


@pytest.mark.parametrize("name", STEPPED)
def test_the_distribution_of_sequences_is_exact_in_the_limit_of_many_steps(name):
    """Both orders approach it as 1 over the number of steps; with few steps they differ from one another."""
    toy, found = Toy(2, 3), {}
    toy.p = torch.softmax(torch.randn(8, generator=seeded(1), dtype=torch.float64), 0)
    for spread, steps in itertools.product((False, True), (8, 24, 72)):
        process = raw_input(STEPPED[name](steps, spread))
        start = process.prior(toy.mask(1), seeded())
        at = process.log_evidence(start, torch.float64).new_full((process.states,) * toy.length, 2.0**-toy.length)
        if process.states > process.letters:
            at.zero_()[(-1,) * toy.length] = 1.0
        at, t = at.flatten(), start.t[0].item()
        for s in process.levels(start, steps):
            at = at @ exact_step(process, toy, s, t)
            assert at.sum().item() == pytest.approx(1)
            t = s
        found[spread, steps] = at
    clean = torch.zeros((process.states,) * toy.length, dtype=torch.float64)
    clean[(slice(2),) * toy.length] = toy.p.view([2] * toy.length)
    for spread in (False, True):
        apart = [0.5 * float((found[spread, steps] - clean.flatten()).abs().sum()) for steps in (8, 24, 72)]
        if spread and name == "masked":  # of three letters never two in one of eight steps
            assert max(apart) < 1e-9
        else:
            assert apart[2] < 0.005 and apart[1] < 0.4 * apart[0] and apart[2] < 0.4 * apart[1]
    assert 0.5 * float((found[True, 8] - found[False, 8]).abs().sum()) > 0.01


def test_a_position_that_is_certain_is_not_missed_by_rounding():
    tiny = 2.0**-53
    p, start = torch.tensor([[1 - 3 * tiny, 1.0]], dtype=torch.float64), torch.tensor([[2.6 * tiny]]).double()
    assert not whole_between(p.cumsum(-1), start)[0, 1]
    assert evenly(p, start)[0, 1]


def test_a_guide_that_reads_densities_has_every_letter_drawn_by_itself():
    log_p, x = some_step()
    process, mask = Uniform(4), torch.ones(N, LENGTH, dtype=torch.bool)
    state = State(x.expand(N, -1), torch.full((N,), 0.5), mask)
    guide = TemplateAhead(4, torch.ones(1, LENGTH, 4, dtype=torch.bool))
    change = 1 - torch.softmax(log_p, -1).gather(-1, x[:, None]).squeeze(-1)
    for given, apart in ((state, True), (guide.start(process, state), False)):
        reached = process.step(given, 0.4, log_p.expand(N, -1, -1), seeded())
        assert bool(windows(change, reached.x != x).max() < 1 + 1e-9) == apart


@pytest.mark.parametrize(
    ("model", "process"),
    [
        (MultinomialDiffusion(), Multinomial),
        (UniformDiffusion(), Uniform),
        (UniformDiffusion(diffusion_steps=9), Multinomial),
        (ClassicalDiffusion(), Classical),
        (estimators.SCUD(), SCUD),
        (MaskedDiffusion(sampler="ancestral"), Masked),
    ],
)
def test_the_user_chooses_the_order(model, process):
    vocabulary = SimpleNamespace(alphabet=DNA)
    for order in ("spread", "random"):
        made = model.set_params(order=order).make_process(vocabulary)
        assert isinstance(made, process) and made.spread == (order == "spread")


@pytest.mark.parametrize(("s", "t"), [(0.0, 0.4), (0.1, 0.2), (0.25, 1.0), (0.5, 0.9)])
def test_renoising_keeps_the_marginals(s, t):
    """sum over x_t of q(x_t | x0) p(x_s | x_t, x0) is q(x_s | x0), for any share of renoising."""
    one_hot = torch.eye(4, dtype=torch.float64)[0]
    q_t, q_s = (i / 4 + (1 - i) * one_hot for i in (t, s))
    state = State(torch.arange(4)[:, None], torch.full((4,), t).double(), torch.ones(4, 1, dtype=torch.bool))
    plain, some, anew = (
        Uniform(4, renoising=renoising).posterior(one_hot.log().expand(4, 1, 4), state, s).exp()[:, 0]
        for renoising in (0.0, 0.3, 1.0)
    )
    for kernel in (plain, some, anew):
        assert torch.allclose(q_t @ kernel, q_s, atol=1e-12)
    share = 0.3 if s < 0.3 else 0.0  # renoised only near the end
    assert torch.allclose(some, (1 - share) * plain + share * q_s, atol=1e-12)
    assert torch.allclose(anew, q_s.expand(4, 4) if share else plain, atol=1e-12)
    # at s = 0 both are x0 itself, and at t = 1 nothing is kept
    assert torch.allclose(plain, anew, atol=1e-12) == (s in (0.0, 0.5) or t == 1)


def test_renoising_has_more_of_its_steps_at_the_end():
    state = Uniform(4).prior(torch.ones(1, 1, dtype=torch.bool), seeded())
    assert list(Uniform(4).levels(state, 4)) == [0.75, 0.5, 0.25, 0.0]
    assert list(Uniform(4, renoising=0.1).levels(state, 4)) == pytest.approx([0.75**1.5, 0.5**1.5, 0.125, 0.0])


def test_a_run_is_resumed_with_another_order_and_renoising(tmp_path):
    data, chosen = ["ACGT", "ACGA", "CCGT", "ACTT"] * 8, {"order": "random", "renoising": 1.0}
    tiny = {"width": 4, "depth": 1, "savepath": str(tmp_path), "model_name": "run", "verbose": 0}
    UniformDiffusion(epochs=1, **tiny).fit(data)
    process = UniformDiffusion(epochs=1, **tiny, **chosen).fit(data, resume=True).objective_.process
    assert (process.spread, process.renoising) == (False, 1.0)


def test_renoising_needs_continuous_time():
    model = UniformDiffusion(diffusion_steps=10, renoising=0.5, savepath=None, verbose=0)
    with pytest.raises(ValueError, match=r"renoising: got 0\.5, expected 0 with diffusion_steps"):
        model.fit(["ACGT"] * 4)
