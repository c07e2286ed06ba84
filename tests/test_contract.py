"""Contract of every process, tested with the exact denoiser of an enumerable distribution.

A new process adds a `Case`, or where it has no bound a `Flow`, and has its tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from enumerable import Toy, raw_input
from scipy.linalg import expm
from small_models import seeded

from seqdiff.guidance import Chain, Guidance, Template
from seqdiff.networks import Conditions, build_network
from seqdiff.processes import (
    SCUD,
    Batch,
    CategoricalProcess,
    Classical,
    DirichletFlow,
    Embedding,
    FirstHitting,
    LinearFlow,
    Masked,
    Multinomial,
    Process,
    State,
    Uniform,
)
from seqdiff.processes.dirichlet import heun
from seqdiff.processes.noise.embeddings import cosine_schedule
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.processes.noise.schedules import make_schedule
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import Denoiser, trajectory


@dataclass
class Case:
    """A process with a bound, and the expected values of its tests.

    `marginal(t)` is q(x_t | x_0) where the posterior's levels are no times but event counts, with `times` to look at.
    make(steps) builds it for three letters, steps None for continuous time; `transition(s, t)` is the matrix
    q(x_t | x_s) of the process `make(20)`, (S, S), by a slow and obvious way; `pairs` are times s < t to look at;
    `gaps` are the largest allowed distances of the bound from the entropy, in nats, for some `make` arguments, in
    falling order; `distance` is the allowed total variation of 20,000 samples of `make(steps)` in `sampler_steps`
    steps (their own noise is about 0.013). A process whose states are no letters has no `transition` and no `pairs`.
    """

    make: Callable[[int | None], Process]
    transition: Callable[[float, float], np.ndarray] | None
    pairs: tuple[tuple[float, float], ...]
    gaps: dict[int | None, float]
    steps: int | None
    sampler_steps: int
    distance: float
    marginal: Callable[[float], np.ndarray] | None = None
    times: tuple[float, ...] = ()

    def denoiser(self, process, toy: Toy):
        """Return the exact prediction of each letter from the others; the process adds what the letter itself says."""
        return toy.context_denoiser(raw_input(process))


@dataclass
class Flow:
    """A process without a bound, and the expected values of its tests."""

    make: Callable[[int | None], Process]
    steps: int | None
    sampler_steps: int
    distance: float

    def denoiser(self, process, toy: Toy):
        """Return the exact prediction of each letter from the others."""
        return toy.context_denoiser(raw_input(process))


def multinomial_transition(s: float, t: float, steps: int = 20) -> np.ndarray:
    """Multiply the matrices of the single steps, each from the cosine schedule as the paper writes it."""
    matrix = np.eye(3)
    for i in range(int(s) + 1, int(t) + 1):
        f = [math.cos((j / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for j in (i - 1, i)]
        a = math.sqrt(min(1.0, max(0.001, f[1] / f[0])))
        matrix = matrix @ (a * np.eye(3) + (1 - a) / 3)
    return matrix


def masked_transition(s: float, t: float) -> np.ndarray:
    """Keep a letter from s to t with probability (1 - t)/(1 - s), else mask it for good."""
    keep = (1 - t) / (1 - s)
    matrix = np.diag([keep, keep, keep, 1.0])
    matrix[:3, 3] = 1 - keep
    return matrix


def uniform_transition(s: float, t: float) -> np.ndarray:
    """Keep a letter from s to t with probability (1 - t)/(1 - s), else draw any."""
    keep = (1 - t) / (1 - s)
    return keep * np.eye(3) + (1 - keep) / 3


# Not in detailed balance: letters rather go round one way.
ROUND = np.array([[-1.0, 0.8, 0.2], [0.3, -0.9, 0.6], [1.0, 0.1, -1.1]])


def classical_transition(s: float, t: float) -> np.ndarray:
    """Exponentiate the rates by what the cosine schedule adds from s to t."""
    alpha = [1 - math.cos((1 - i) * math.pi / 2) for i in (s, t)]
    return expm(math.log(alpha[0] / alpha[1]) * ROUND)


def scud_transition(s: float, t: float) -> np.ndarray:
    """Multiply the matrices of the single events: at gamma = 0.3 the fastest letter jumps in 0.7 of them."""
    return np.linalg.matrix_power(np.eye(3) + 0.7 / 1.1 * ROUND, int(t) - int(s))


def scud_marginal(t: float) -> np.ndarray:
    """Exponentiate the rates: alpha = 1 - t is e^-Lambda at the rate of the events."""
    return expm(-math.log1p(-t) * ROUND)


CASES = {
    "multinomial": Case(
        make=lambda steps: Multinomial(3, steps or 1000),
        transition=multinomial_transition,
        pairs=((0, 1), (0, 9), (4, 5), (3, 17), (19, 20)),
        gaps={5: 0.5, 50: 0.05, 500: 0.012},
        steps=100,
        sampler_steps=100,
        distance=0.02,
    ),
    "masked": Case(
        make=lambda steps: Masked(3, steps),
        transition=masked_transition,
        pairs=((0, 0.0625), (0, 0.5), (0.25, 0.375), (0.125, 0.875), (0.875, 0.9375)),
        gaps={5: 0.5, 50: 0.05, None: 0.005},
        steps=None,
        sampler_steps=100,
        distance=0.02,
    ),
    "first-hitting": Case(
        make=lambda steps: FirstHitting(3, steps),
        transition=masked_transition,
        pairs=((0, 0.0625), (0, 0.5), (0.25, 0.375), (0.125, 0.875), (0.875, 0.9375)),
        gaps={5: 0.5, None: 0.005},
        steps=None,
        sampler_steps=6,  # one call per letter, as in 3
        distance=0.02,
    ),
    "blocks": Case(
        make=lambda steps: FirstHitting(3, block=2),
        transition=masked_transition,
        pairs=((0, 0.0625), (0, 0.5), (0.25, 0.375), (0.125, 0.875), (0.875, 0.9375)),
        gaps={None: 0.005},
        steps=None,
        sampler_steps=6,
        distance=0.02,
    ),
    "uniform": Case(
        make=lambda steps: Uniform(3),
        transition=uniform_transition,
        pairs=((0, 0.0625), (0, 0.5), (0.25, 0.375), (0.125, 0.875), (0.875, 1.0)),
        gaps={None: 0.02},
        steps=None,
        sampler_steps=60,
        distance=0.02,
    ),
    "classical": Case(
        make=lambda steps: Classical(make_forward(ROUND, "ABC"), make_schedule("cos")),
        transition=classical_transition,
        pairs=((0, 0.0625), (0, 0.5), (0.25, 0.375), (0.125, 0.875), (0.875, 0.9375)),
        gaps={None: 0.02},
        steps=None,
        sampler_steps=100,
        distance=0.02,
    ),
    "scud": Case(
        make=lambda steps: SCUD(make_forward(ROUND, "ABC"), gamma=0.3),
        transition=scud_transition,
        pairs=((0, 1), (0, 3), (2, 5), (1, 40), (6, 7)),
        gaps={None: 0.02},
        steps=None,
        sampler_steps=60,
        distance=0.02,
        marginal=scud_marginal,
        times=(0.0625, 0.5, 0.99),
    ),
    "embedding": Case(
        # not regular: the letters differ in length and in how far they are from one another
        make=lambda steps: Embedding(torch.tensor([[0.3, 1.0], [-1.2, 0.4], [0.5, -0.9]]), cosine_schedule(steps)),
        transition=None,
        pairs=(),
        gaps={5: 2.0, 50: 0.15, 1000: 0.02},
        steps=100,
        sampler_steps=60,
        distance=0.03,
    ),
}


FLOWS = {
    "dirichlet": Flow(
        make=lambda steps: DirichletFlow(3, steps or 50, t_max=30.0),  # late enough for the letters to agree
        steps=None,
        sampler_steps=200,
        distance=0.02,
    ),
    "dirichlet, heun": Flow(
        make=lambda steps: DirichletFlow(3, steps or 50, heun, t_max=30.0),
        steps=None,
        sampler_steps=120,
        distance=0.02,
    ),
    "linear": Flow(
        make=lambda steps: LinearFlow(3, steps or 50),
        steps=None,
        sampler_steps=100,
        distance=0.02,
    ),
    "masked, spread": Flow(
        make=lambda steps: Masked(3, steps, spread=True),
        steps=None,
        sampler_steps=100,
        distance=0.02,
    ),
    "first-hitting, spread": Flow(
        make=lambda steps: FirstHitting(3, steps, spread=True),
        steps=None,
        sampler_steps=6,
        distance=0.02,
    ),
    "blocks, spread": Flow(
        make=lambda steps: FirstHitting(3, spread=True, block=2),
        steps=None,
        sampler_steps=6,
        distance=0.02,
    ),
}
EVERY: dict[str, Case | Flow] = {**CASES, **FLOWS}


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


@pytest.fixture(params=EVERY)
def any_case(request) -> Case | Flow:
    return EVERY[request.param]


@pytest.fixture(params=[name for name, case in CASES.items() if case.transition])
def letters_case(request) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


def all_states(case: Case, process: CategoricalProcess, t: float) -> tuple[State, torch.Tensor]:
    """Return one-letter states for every pair (x0, x_t), and the x0 as one-hot logarithms."""
    x0, x = torch.meshgrid(torch.arange(process.letters), torch.arange(process.states), indexing="ij")
    times = torch.full((x.numel(), 1), t) if case.marginal else torch.full((x.numel(),), t)
    one_hot = torch.eye(process.letters, dtype=torch.float64).log()[x0.reshape(-1, 1)]
    return process.state_class(x.reshape(-1, 1), times, torch.ones(x.numel(), 1, dtype=torch.bool)), one_hot


def test_forward_is_the_product_of_its_steps(letters_case):
    process = letters_case.make(20)
    for _, t in letters_case.pairs:
        state, _ = all_states(letters_case, process, t)
        evidence = process.log_evidence(state, torch.float64).exp()[:, 0]  # (x0 x_t, k): q(x_t | k)
        expected = torch.tensor(letters_case.transition(0, t))[: process.letters, state.x[:, 0]].T
        if process.states > process.letters:  # evidence is known up to a factor per x_t
            expected = expected / expected.amax(-1, keepdim=True).clamp_min(1e-300)
            evidence = evidence / evidence.amax(-1, keepdim=True)
        assert torch.allclose(evidence, expected, atol=1e-12)


def test_corrupt_draws_from_the_forward_distribution(letters_case):
    process, n = letters_case.make(20), 60_000
    x0 = torch.arange(3).repeat(n)[:, None]
    marginal = letters_case.marginal or (lambda t: letters_case.transition(0, t))
    for t in letters_case.times or [t for _, t in letters_case.pairs]:
        state = process.corrupt(x0, torch.full((3 * n,), t), torch.ones(3 * n, 1, dtype=torch.bool), seeded(3))
        counts = torch.zeros(3, process.states)
        counts.index_put_((x0[:, 0], state.x[:, 0]), torch.ones(()), accumulate=True)
        expected = torch.tensor(marginal(t))[:3]
        assert torch.allclose(counts.double() / n, expected, atol=5 * 0.5 / math.sqrt(n))


def test_posterior_times_marginal_is_the_joint(letters_case):
    process = letters_case.make(20)
    for s, t in letters_case.pairs:
        state, one_hot = all_states(letters_case, process, t)
        posterior = process.posterior(one_hot, state, s).exp()[:, 0]
        posterior = posterior.reshape(3, process.states, process.states)  # x0, x_t, x_s
        q_t, q_s = (torch.tensor(letters_case.transition(0, i))[:3] for i in (t, s))
        joint = q_s[:, None, :] * torch.tensor(letters_case.transition(s, t)).T[None]  # q(x_s | x0) q(x_t | x_s)
        possible = q_t > 0
        assert torch.allclose(posterior.sum(-1)[possible], torch.ones((), dtype=torch.float64))
        assert torch.allclose((posterior * q_t[:, :, None])[possible], joint[possible], atol=1e-10)


def test_posterior_is_the_mixture_over_clean_letters(letters_case):
    process = letters_case.make(20)
    s, t = letters_case.pairs[-2]
    state, _ = all_states(letters_case, process, t)
    n = len(state.x)
    logits = torch.randn(n, 1, 3, generator=seeded(), dtype=torch.float64) + process.log_evidence(state, torch.float64)
    log_p0 = torch.log_softmax(logits, -1)
    one_hot = torch.eye(3, dtype=torch.float64).log()
    mixture = torch.zeros(n, 1, process.states, dtype=torch.float64)
    for k in range(3):
        kernel = process.posterior(one_hot[k].expand(n, 1, 3), state, s).exp()
        mixture += torch.where(log_p0[..., k : k + 1] > -torch.inf, log_p0[..., k : k + 1].exp() * kernel, 0.0)
    assert torch.allclose(process.posterior(log_p0, state, s).exp(), mixture, atol=1e-12)


def expected_bound(process, toy: Toy, copies: int, seed: int = 0, times: int | None = None) -> tuple[float, float]:
    """Return E[bound] over the distribution and its standard error; every sequence `copies` times."""
    x0 = toy.x.repeat(copies, 1)
    denoiser = toy.context_denoiser(raw_input(process))
    with torch.no_grad():
        total = sum(process.bound_terms(denoiser, Batch.of(x0, toy.mask(len(x0))), times, seeded(seed)))
    per_sequence = total.double().reshape(copies, -1)
    # e^-bound is at most the model's probability, and so sums to at most 1
    mass, spread = (-per_sequence.mean(0)).exp(), per_sequence.var(0) / copies
    assert float(mass.sum()) < 1 + 4 * float((mass.square() * spread).sum().sqrt())
    return (
        float((per_sequence.mean(0) * toy.p).sum()),
        float((per_sequence.var(0) / copies * toy.p**2).sum().sqrt()),
    )


def test_bound_stays_above_the_entropy_and_closes_with_steps(case, toy):
    gaps = []
    for steps, allowed in case.gaps.items():
        bound, error = expected_bound(case.make(steps), toy, copies=max(150, 20_000 // (steps or 40)))
        gaps.append(bound - toy.entropy)
        assert gaps[-1] > -4 * error, f"{steps} steps: {gaps[-1]:.4f} below the entropy, error {error:.4f}"
        assert gaps[-1] < allowed + 4 * error
    assert gaps == sorted(gaps, reverse=True)


def bound_of_twenty(case, toy: Toy) -> tuple[float, float]:
    """Return `expected_bound` of `case.make(20)`, computed once for the tests that compare with it."""
    if id(case) not in BOUNDS:
        BOUNDS[id(case)] = expected_bound(case.make(20), toy, copies=800)
    return BOUNDS[id(case)]


BOUNDS: dict[int, tuple[float, float]] = {}


def test_fewer_times_estimate_the_same_bound(case, toy):
    bound, error = bound_of_twenty(case, toy)
    few, few_error = expected_bound(case.make(20), toy, copies=1000, seed=1, times=7)
    assert abs(few - bound) < 4 * math.hypot(error, few_error)


def test_training_loss_is_unbiased(case, toy):
    process = raw_input(case.make(20))
    bound, error = bound_of_twenty(case, toy)
    if hasattr(process, "term_square"):  # as if some times had been found to matter much more than others
        process.term_square.copy_(torch.arange(20.0) ** 4)
        process.term_count.fill_(11)
    denoiser, n = toy.context_denoiser(process.eval()), 6000
    with torch.no_grad():
        losses = process.loss(denoiser, Batch.of(toy.x.repeat(n, 1), toy.mask(27 * n)), seeded(99)).reshape(-1, 27)
    mean, spread = (losses.mean(0) * toy.p).sum(), (losses.var(0) / n * toy.p**2).sum().sqrt()
    assert abs(float(mean) - bound) < 4 * math.hypot(error, float(spread))


def sample(
    case: Case | Flow, process, toy: Toy, n: int, *, seed: int = 0, steps=None, batch: int = 10**6, guidance=None
) -> torch.Tensor:
    denoiser = Denoiser(case.denoiser(process, toy), batch)
    states = trajectory(
        process, denoiser, toy.mask(n), chunk_generators(n, "cpu", seed), steps=steps, guidance=guidance
    )
    with torch.no_grad():
        for state in states:
            last = state
    return process.decode(last)


@pytest.mark.parametrize("fewer", [1, 2])
def test_samples_follow_the_distribution(any_case, toy, fewer):
    n, steps = 20_000 // fewer, any_case.sampler_steps // fewer
    x = sample(any_case, any_case.make(any_case.steps), toy, n, steps=steps)
    frequencies = torch.bincount(toy.index(x), minlength=27).double() / n
    assert 0.5 * float((frequencies - toy.p).abs().sum()) < fewer * any_case.distance


def test_a_seed_repeats_and_the_batch_size_does_not_matter(any_case, toy):
    process = any_case.make(20)
    first = sample(any_case, process, toy, 300, steps=20)
    assert torch.equal(first, sample(any_case, process, toy, 300, steps=20))
    assert not torch.equal(first, sample(any_case, process, toy, 300, steps=20, seed=1))
    assert torch.equal(first, sample(any_case, process, toy, 300, steps=20, batch=7))
    assert torch.equal(first[:7], sample(any_case, process, toy, 7, steps=20))


class Numbers(Guidance):
    """Check that every kernel is a distribution: nan would silently sample the first letter."""

    def kernel(self, kernel, context):
        log_p = kernel(context)
        assert torch.allclose(log_p.exp().sum(-1)[context.state.mask], torch.ones((), dtype=log_p.dtype), atol=1e-5)
        return log_p


def test_templates_are_always_satisfied(any_case, toy):
    allowed = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    x = sample(any_case, any_case.make(20), toy, 2000, guidance=Chain([Template(allowed), Numbers()]))
    assert allowed[torch.arange(3), x].all()
    assert len(x.unique(dim=0)) > 3  # and what is free stays free


@pytest.mark.parametrize("network", ["conv", "transformer", "bytenet", "linear-transformer", "unet"])
def test_gradients_reach_every_parameter(any_case, network):
    process = any_case.make(20)
    sizes = {
        "states": process.states,
        "letters": 3,
        "length": 8,
        "conditions": Conditions(2, 0, 0),
        "fixed_length": True,
    }
    torch.manual_seed(0)
    net = build_network(network, {"width": 16, "depth": 1, "heads": 2, "local_heads": 1, "local_size": 4}, **sizes)
    for parameter in net.parameters():  # what starts at zero hides what stands before it
        torch.nn.init.normal_(parameter, std=0.1)
    keep = torch.arange(64) % 2 == 0
    cond = {"label": torch.arange(64) % 2, "keep": keep}
    x0 = torch.randint(0, 3, (64, 8), generator=seeded())
    process.loss(net, Batch.of(x0, torch.ones(64, 8, dtype=torch.bool), cond), seeded()).mean().backward()
    silent = [
        n
        for n, p in [*net.named_parameters(), *process.named_parameters()]
        if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


@pytest.mark.parametrize("network", ["conv", "transformer", "bytenet", "linear-transformer"])
def test_padding_does_not_matter(any_case, network):
    process = any_case.make(20)
    sizes = {"states": process.states, "letters": 3, "length": 11, "conditions": Conditions(), "fixed_length": False}
    torch.manual_seed(0)
    options = {"width": 16, "depth": 2, "heads": 2, "local_heads": 1, "local_size": 4, "dropout": 0.0}
    net = build_network(network, options, **sizes).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x0 = torch.randint(0, 3, (32, 11), generator=seeded())
    mask = torch.arange(11) < torch.randint(1, 12, (32, 1), generator=seeded())
    scrambled = torch.where(mask, x0, 2 - x0)
    with torch.no_grad():
        losses = [process.eval().loss(net, Batch.of(x, mask), seeded()) for x in (x0, scrambled)]
    assert torch.allclose(*losses, atol=1e-5)


# -- errors of the denoiser -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_likelihood_bounds_of_a_biased_denoiser_sum_to_at_most_one(name):
    case, toy, copies = CASES[name], Toy(), 300
    process = case.make(1000 if name == "embedding" else 20).eval()  # of 20 levels it is far from tight
    exact = toy.context_denoiser(raw_input(process))
    bias = 0.15 * torch.randn(3, 3, generator=seeded(), dtype=torch.float64)
    x0 = toy.x.repeat(copies, 1)
    with torch.no_grad():
        terms = process.bound_terms(
            lambda *args: 0.9 * exact(*args) + bias, Batch.of(x0, toy.mask(len(x0))), None, seeded(1)
        )
        bound = sum(terms).double().reshape(copies, -1)
    mass = (-bound.mean(0)).exp()
    error = float((mass.square() * bound.var(0) / copies).sum().sqrt())
    assert error < 0.06
    assert 0.5 < float(mass.sum()) < 1 + 3 * error
