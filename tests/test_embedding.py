"""Diffusion of embedded letters: bound and samples with the exact network, and invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from enumerable import Toy, raw_input
from small_models import mixed_lengths, seeded, sequences

from seqdiff import EmbeddingDiffusion
from seqdiff.data import PROTEIN
from seqdiff.guidance import Template
from seqdiff.networks import Conditions, build_network
from seqdiff.processes import State
from seqdiff.processes.embedding import ROUND, DiffusionLM, Embedding
from seqdiff.processes.noise.embeddings import GAUSSIAN_SCHEDULES, blosum62_embeddings, even_embeddings
from seqdiff.runtime import autocast, chunk_generators
from seqdiff.sampling import Denoiser, trajectory
from seqdiff.training.objective import Batch, Objective
from seqdiff.training.trainer import MovingAverage

SMALL = {"width": 8, "depth": 1, "epochs": 2, "batch_size": 16, "savepath": None, "verbose": 0, "diffusion_steps": 20}


# Not regular: the letters differ in length and in how far they are from one another.
TABLE = torch.tensor([[0.3, 1.0], [-1.2, 0.4], [0.5, -0.9]])


def make(steps: int, schedule: str = "sqrt", cls: type[Embedding] = Embedding, table=TABLE, **options) -> Embedding:
    return cls(table, GAUSSIAN_SCHEDULES[schedule](steps), **options)


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def pair() -> Toy:
    return Toy(letters=3, length=2)


def exact_denoiser(process: Embedding, toy: Toy):
    """Return the exact context logits; of a self-conditioned input only the vectors are used."""
    inner = toy.context_denoiser(raw_input(process))
    return lambda x, t, cond=None, mask=None: inner(x[..., : process.dim], t, cond, mask)


def slow_posterior(process: Embedding, toy: Toy, x: torch.Tensor, t: int) -> torch.Tensor:
    """Return p(w_l | x_t), (B, L, K), by Bayes' rule over whole sequences, densities written out."""
    e = process.embeddings.detach()
    abar = torch.cat([torch.ones(1, dtype=torch.float64), process.abar[1:]])[t]
    v = 1 - abar * (1 - (1 - process.abar[1]))
    clean = e[toy.x]  # (N, L, D)
    log_joint = toy.p.log() - 0.5 * ((x[:, None] - abar.sqrt() * clean) ** 2).sum((-1, -2)) / v
    p = torch.softmax(log_joint, -1)  # (B, N)
    return torch.stack([p @ torch.nn.functional.one_hot(toy.x[:, i], 3).double() for i in range(3)], 1)


# -- the noise ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", GAUSSIAN_SCHEDULES)
@pytest.mark.parametrize("steps", [1, 7, 200, 2000])
def test_schedules_decrease_from_one_to_nearly_zero(schedule, steps):
    abar = GAUSSIAN_SCHEDULES[schedule](steps)
    assert len(abar) == steps + 1 and abar[0] == 1
    assert (np.diff(abar) < 0).all() and abar[-1] > 0
    assert abar[-1] < 2e-3 or steps == 1


def test_sqrt_schedule_has_the_papers_first_noise():
    """With f(t) = 1 - sqrt(t + 1e-4), 1 - f(1/T)/f(0): written out, not run through the same code."""
    for steps, expected in ((2000, 0.015), (50, 0.13)):
        f0, f1 = 1 - math.sqrt(1e-4), 1 - math.sqrt(1 / steps + 1e-4)
        assert 1 - GAUSSIAN_SCHEDULES["sqrt"](steps)[1] == pytest.approx(1 - f1 / f0)
        assert 1 - GAUSSIAN_SCHEDULES["sqrt"](steps)[1] == pytest.approx(expected, rel=0.03)


def test_corrupt_equals_single_noise_steps():
    """x_0 = e + s z, then x_t = sqrt(a_t) x_{t-1} + sqrt(1 - a_t) z: mean and variance after 1, 4 and 9 steps."""
    process, n = make(9), 60_000
    x0 = torch.arange(3).repeat(n)[:, None]
    mask = torch.ones(3 * n, 1, dtype=torch.bool)
    e = process.embeddings.detach()
    abar, mean, variance = process.abar, e.clone(), 1 - process.abar[1]
    for t in range(10):
        if t:
            a = abar[t] / abar[t - 1]
            mean, variance = a.sqrt() * mean, a * variance + 1 - a
        if t in (0, 1, 4, 9):
            x = process.corrupt(x0, torch.full((3 * n,), t), mask, seeded(t)).x.detach().reshape(n, 3, 2)
            assert torch.allclose(x.mean(0), mean, atol=5 * n**-0.5)
            assert torch.allclose(x.var(0), variance.expand(3, 2), rtol=5 * (2 / n) ** 0.5)


def test_embeddings_are_centred_and_scaled():
    e, other = (make(5, table=table).embeddings.detach() for table in (TABLE, 7 * TABLE - 3))
    assert torch.allclose(e, other, atol=1e-6)
    assert torch.allclose(e.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-12)
    assert float(e.square().mean()) == pytest.approx(1)


@pytest.mark.parametrize("dim", [3, 4, 9])
def test_even_embeddings_are_equidistant(dim):
    distances = torch.pdist(even_embeddings(4, dim, seeded()))
    assert torch.allclose(distances, distances[:1].expand(6), atol=1e-5)
    assert not torch.allclose(even_embeddings(4, dim, seeded()), even_embeddings(4, dim, seeded(1)))


def test_even_embeddings_of_many_letters_are_orthonormal_columns():
    e = even_embeddings(20_000, 16, seeded()).double()  # with a matrix of all pairs this would take an hour
    assert torch.allclose(e.T @ e, torch.eye(16, dtype=torch.float64), atol=1e-5)
    assert float(e.mean(0).abs().max()) < 1e-6


def test_blosum62_embeddings_have_its_inner_products():
    from Bio.Align import substitution_matrices

    matrix = substitution_matrices.load("BLOSUM62")
    scores = np.array([[matrix[a, b] for b in PROTEIN.letters] for a in PROTEIN.letters])
    e = blosum62_embeddings(PROTEIN.letters).double().numpy()
    values = np.linalg.eigvalsh(scores)
    # what is left is the negative eigenvalues, the nearest that inner products can come
    assert np.linalg.norm(e @ e.T - scores) == pytest.approx(np.linalg.norm(values[values < 0]), abs=1e-4)


# -- prediction and bound ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0, 1, 6, 20])
def test_context_plus_evidence_is_the_posterior(toy, t):
    process = make(20)
    x = torch.randn(40, 3, 2, generator=seeded(), dtype=torch.float64)
    state = State(x, torch.full((40,), t), toy.mask(40))
    with torch.no_grad():
        log_p = process.predict(exact_denoiser(process, toy), state, None)
    assert torch.allclose(log_p.exp(), slow_posterior(process, toy, x, t), atol=1e-10)


def test_denoising_weights_equal_gaussian_kl():
    """A denoising term is KL(q(x_{t-1} | x_t, e) || p(x_{t-1} | x_t)); by Bayes' rule on the joint Gaussian."""
    process = make(8)
    abar, v = process.abar, process.noise
    for t in range(1, 9):
        a = abar[t] / abar[t - 1]
        variance = 1 / (1 / v[t - 1] + a / (1 - a))  # of x_{t-1} given x_t and e
        slope = variance * abar[t - 1].sqrt() / v[t - 1]  # of its mean in e
        assert float(process.half_drop[t]) == pytest.approx(float(0.5 * slope**2 / variance), rel=1e-9)


def test_level_proposal_follows_the_loss_of_independent_letters():
    """The root mean square loss of 50 letters; a poor proposal would add variance, not bias."""
    process, n, p = make(30), 100_000, torch.tensor([0.85, 0.1, 0.05], dtype=torch.float64)
    process.fit_schedule(p)
    x0 = torch.searchsorted(p.cumsum(0), (torch.arange(n) + 0.5) / n)[:, None]
    mask, known = torch.ones_like(x0, dtype=torch.bool), lambda x, t, cond=None, mask=None: p.log().expand(len(x), 1, 3)
    for t in (0, 1, 5, 15, 25):
        with torch.no_grad():
            lost = process.term(known, Batch.of(x0, mask), torch.full((n,), t), seeded(t))
        each = lost[torch.randperm(n, generator=seeded(t))].view(-1, 50).mean(1)
        assert float(process.profile[t]) == pytest.approx(
            float(each.square().mean().sqrt()), rel=0.35
        )  # of rare events


def test_prior_term_equals_gaussian_kl():
    """With a schedule that keeps much of the letters at the end."""
    process = Embedding(TABLE, np.array([1.0, 0.9, 0.5]), learned=False)
    x0, mask = torch.tensor([[0, 1, 2], [2, 1, 1]]), torch.tensor([[True, True, True], [True, False, False]])
    noised = torch.distributions.Normal(0.5**0.5 * process.embeddings[x0], (1 - 0.5 * 0.9) ** 0.5)
    each = torch.distributions.kl_divergence(noised, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    assert torch.allclose(process.prior_kl(x0, mask), (each * mask).sum(-1))


def test_temperature_changes_only_the_context_logits():
    process, logits = make(20), torch.randn(4, 3, 3, generator=seeded(), dtype=torch.float64)
    state = process.corrupt(torch.ones(4, 3, dtype=torch.int64), torch.full((4,), 6), torch.ones(4, 3) > 0, seeded())
    found = process.predict(lambda x, t, cond=None, mask=None: logits, state, None, 0.5)
    assert torch.allclose(found, torch.log_softmax(2 * logits + process.log_evidence(state, torch.float64), -1))


def bounds(process, toy: Toy, copies: int, times=None, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean bound of each sequence (N,) with the exact network, and its standard error."""
    x0 = toy.x.repeat(copies, 1)
    with torch.no_grad():
        terms = process.bound_terms(exact_denoiser(process, toy), Batch.of(x0, toy.mask(len(x0))), times, seeded(seed))
        total = torch.stack([*terms]).sum(0).reshape(copies, -1)
    return total.mean(0), total.std(0) / copies**0.5


@pytest.mark.parametrize("schedule", GAUSSIAN_SCHEDULES)
def test_bound_stays_above_the_entropy_and_closes_with_steps(pair, schedule):
    """On average. A single rare sequence may be likelier in a model of few steps than in the data distribution, but
    e^-bound is at most the model's probability, and so sums to at most 1."""
    gaps = []
    for steps, copies, times in ((8, 1500, None), (40, 800, None), (1000, 800, 50)):
        bound, error = bounds(make(steps, schedule), pair, copies, times)
        mass = (-bound).exp()
        assert float(mass.sum()) < 1 + 4 * float((mass * error).square().sum().sqrt())
        gap, gap_error = float(((bound + pair.p.log()) * pair.p).sum()), float((error**2 * pair.p**2).sum().sqrt())
        assert gap > -4 * gap_error
        gaps.append(gap)
    assert gaps[0] > gaps[1] > gaps[2]
    assert gap_error < 0.01
    assert gaps[2] < 0.01 + 4 * gap_error


def test_fewer_levels_estimate_the_same_bound(pair):
    process = make(30)
    (bound, error), (few, few_error) = bounds(process, pair, 1000), bounds(process, pair, 3000, times=7, seed=1)
    assert ((few - bound).abs() < 5 * (error**2 + few_error**2).sqrt()).all()  # for each sequence


def test_training_loss_is_unbiased_and_sums_its_parts(pair):
    process, n = make(30), 8000
    bound, error = bounds(process, pair, 1000)
    x0 = pair.x.repeat(n, 1)
    denoiser, mask = exact_denoiser(process, pair), pair.mask(len(x0))
    with torch.no_grad():
        loss = process.loss(denoiser, Batch.of(x0, mask), seeded(9))
        parts = process.parts(denoiser, Batch.of(x0, mask), seeded(9))
    assert parts.keys() == {"denoising", "rounding", "end"}
    assert torch.allclose(loss, sum(parts.values()))
    assert all(float(part.mean()) > 0 for part in parts.values())
    loss = loss.reshape(n, 9)
    assert ((loss.mean(0) - bound).abs() < 5 * (loss.var(0) / n + error**2).sqrt()).all()


def test_training_logs_the_parts_of_the_loss(workdir):
    model = EmbeddingDiffusion(**SMALL | {"savepath": "runs", "batch_size": 32})
    history = model.fit(sequences(), sample_weight=np.linspace(0, 2, 48)).history_
    assert [*history][-3:] == ["denoising", "rounding", "end"]
    for row in zip(history["loss"], history["denoising"], history["rounding"], history["end"], strict=True):
        assert row[0] == pytest.approx(sum(row[1:]), rel=1e-5)
    names, *rows = (workdir / "runs" / "EmbeddingDiffusion" / "metrics_train.txt").read_text().splitlines()
    assert names.split("\t") == [*history] and len(rows) == 2
    assert float(rows[-1].split("\t")[-3]) == pytest.approx(history["denoising"][-1], rel=1e-4)


def test_simple_loss_trains_and_the_bound_scores(toy):
    paper, own = make(30, cls=DiffusionLM), make(30)
    x0, mask = toy.x.repeat(50, 1), toy.mask(1350)
    with torch.no_grad():
        parts = paper.parts(exact_denoiser(paper, toy), Batch.of(x0, mask), seeded())
        assert parts.keys() == {"denoising", "rounding", "end"}
        scored = [[*p.bound_terms(exact_denoiser(p, toy), Batch.of(x0, mask), 5, seeded())] for p in (paper, own)]
    assert torch.equal(*map(torch.stack, scored))
    # in the mean: abar_T |x_0|^2 / D, and the rounding of what no context says anything about
    e, s2 = own.embeddings.detach(), 1 - own.abar[1]
    expected = own.abar[-1] * (e[x0].square().mean(-1) + s2).sum(-1)
    assert float(parts["end"].mean()) == pytest.approx(float(expected.mean()), rel=0.02)
    alone = lambda x, t, cond=None, mask=None: torch.zeros(len(x), 3, 3)  # noqa: E731
    with torch.no_grad():
        rounding = own.term(alone, Batch.of(x0, mask), torch.zeros(len(x0), dtype=torch.int64), seeded(1))
    assert float(parts["rounding"].mean()) == pytest.approx(float(rounding.mean()), rel=0.1)
    # with e_hat always right it is the rounding and the end that are left
    right = make(30, cls=DiffusionLM)
    truth = 1e4 * torch.nn.functional.one_hot(x0, 3).double()
    with torch.no_grad():
        parts = right.parts(lambda x, t, cond=None, mask=None: truth, Batch.of(x0, mask), seeded())
    assert float(parts["denoising"].abs().max()) < 1e-12


# -- samples -----------------------------------------------------------------------------------------------------------


def sample(process, toy: Toy, n: int, *, seed=0, steps=None, batch=10**6, guidance=None) -> torch.Tensor:
    denoiser = Denoiser(exact_denoiser(process, toy), batch)
    generators = chunk_generators(n, "cpu", seed)
    with torch.no_grad():
        for state in trajectory(process, denoiser, toy.mask(n), generators, steps=steps, guidance=guidance):
            last = state
    return process.decode(last)


def distance(x: torch.Tensor, toy: Toy) -> float:
    frequencies = torch.bincount(toy.index(x), minlength=27).double() / len(x)
    return 0.5 * float((frequencies - toy.p).abs().sum())


@pytest.mark.parametrize(("schedule", "eta"), [("sqrt", 0.0), ("linear", 1.0)])
def test_samples_follow_the_distribution(toy, schedule, eta):
    assert distance(sample(make(150, schedule, eta=eta), toy, 8000), toy) < 0.03


def test_respaced_samples_are_close_and_coarse_ones_are_not(toy):
    assert distance(sample(make(1000), toy, 8000, steps=60), toy) < 0.035
    assert distance(sample(make(1000), toy, 8000, steps=3), toy) > 0.06


def test_each_step_is_one_call_and_the_last_level_is_reached():
    process = make(37)
    state = process.prior(torch.ones(2, 3, dtype=torch.bool), seeded())
    for steps, calls in ((None, 38), (1, 1), (2, 2), (10, 10), (38, 38), (1000, 38)):
        levels = [*process.levels(state, steps)]
        assert len(levels) == calls and levels[-1] == ROUND
        assert calls == 1 or levels[-2] == 0
        assert all(a > b for a, b in zip([37, *levels], levels, strict=False))


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_one_step_draws_from_the_models_kernel(eta):
    """eta = 1: the mean and variance of p(x_s | x_t) as the file's docstring has them; below, DDIM's."""
    process, n = make(20, eta=eta), 100_000
    t, s = 12, 5
    x = torch.tensor([[[0.7, -1.1]]], dtype=torch.float64).expand(n, 1, 2)
    log_p0 = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log().expand(n, 1, 3)
    state = State(x, torch.full((n,), t), torch.ones(n, 1, dtype=torch.bool))
    with torch.no_grad():
        drawn = process.step(state, s, log_p0, seeded()).x[:, 0]
        e_hat = process.mean(log_p0)[0, 0]
    abar, v = process.abar, process.noise
    a = abar[t] / abar[s]
    mean, variance = (abar[s].sqrt() * (1 - a) * e_hat + a.sqrt() * v[s] * x[0, 0]) / v[t], (1 - a) * v[s] / v[t]
    if eta < 1:
        variance = eta**2 * variance
        mean = abar[s].sqrt() * e_hat + ((v[s] - variance) / v[t]).sqrt() * (x[0, 0] - abar[t].sqrt() * e_hat)
    assert torch.allclose(drawn.mean(0), mean, atol=5 * n**-0.5)
    assert torch.allclose(drawn.var(0), variance.expand(2), rtol=0.03)


@pytest.mark.parametrize("options", [{"self_conditioning": True}, {"clamp": True}])
def test_a_seed_repeats_and_the_batch_size_does_not_matter(toy, options):
    process = make(12, **options)
    first = sample(process, toy, 60)
    assert torch.equal(first, sample(process, toy, 60))
    assert not torch.equal(first, sample(process, toy, 60, seed=1))
    assert torch.equal(first, sample(process, toy, 60, batch=1))
    assert torch.equal(first[:7], sample(process, toy, 7))


@pytest.mark.parametrize("options", [{}, {"clamp": True}, {"self_conditioning": True}])
@pytest.mark.parametrize("steps", [None, 1, 4])
def test_templates_are_always_satisfied(toy, options, steps):
    allowed = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    x = sample(make(20, **options), toy, 1000, steps=steps, guidance=Template(allowed))
    assert allowed[torch.arange(3), x].all()
    assert len(x.unique(dim=0)) > 3  # and what is free stays free


def test_clamping_moves_to_an_allowed_embedding():
    """The mean of two letters can be closest to a third one that the template excludes."""
    process = make(10, table=torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.1]]), clamp=True)
    e = process.embeddings
    halves = torch.tensor([[[0.5, 0.5, 0.0]], [[0.45, 0.45, 0.1]]], dtype=torch.float64).log()
    aimed = process.aimed(halves)[:, 0]
    assert (aimed[0] == e[0]).all() or (aimed[0] == e[1]).all()
    assert torch.equal(aimed[1], e[2])


# -- networks ----------------------------------------------------------------------------------------------------------


def network(process: Embedding, name: str = "conv", length: int = 8, fixed: bool = True, classes: int = 0):
    torch.manual_seed(0)
    options = {"width": 16, "depth": 1, "heads": 2, "local_heads": 1, "local_size": 4, "dropout": 0.0}
    sizes = {"states": process.states, "letters": 3, "length": length, "fixed_length": fixed}
    net = build_network(name, options, conditions=Conditions(classes), **sizes)
    for parameter in net.parameters():  # what starts at zero hides what stands before it
        torch.nn.init.normal_(parameter, std=0.1)
    return net


@pytest.mark.parametrize("name", ["conv", "transformer", "bytenet", "linear-transformer", "unet"])
@pytest.mark.parametrize("cls", [Embedding, DiffusionLM])
@pytest.mark.parametrize("self_conditioning", [False, True])
def test_gradients_reach_every_parameter(name, cls, self_conditioning):
    process = make(20, cls=cls, self_conditioning=self_conditioning)
    net = network(process, name, classes=2)
    cond = {"label": torch.arange(64) % 2, "keep": torch.arange(64) % 4 < 2}
    x0 = torch.randint(0, 3, (64, 8), generator=seeded())
    with autocast(torch.device("cpu"), "bfloat16"):  # a first pass must not take the second one's gradients away
        loss = process.loss(net, Batch.of(x0, torch.ones(64, 8, dtype=torch.bool), cond), seeded())
    loss.mean().backward()
    named = [*net.named_parameters(), *process.named_parameters()]
    assert "table" in dict(named)
    assert [n for n, p in named if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_every_part_of_the_loss_has_embedding_gradients(toy):
    process = make(20)
    net = network(process, length=3)
    parts = process.parts(net, Batch.of(toy.x.repeat(50, 1), toy.mask(1350)), seeded())
    for part in parts.values():
        (gradient,) = torch.autograd.grad(part.sum(), process.table, retain_graph=True)
        assert float(gradient.abs().sum()) > 0
    assert [*make(20, learned=False).parameters()] == []


@pytest.mark.parametrize("cls", [Embedding, DiffusionLM])
@pytest.mark.parametrize("self_conditioning", [False, True])
def test_padding_does_not_matter(cls, self_conditioning):
    """Neither to loss, bound and gradients, nor to a network that ignores the mask."""
    process = make(20, cls=cls, self_conditioning=self_conditioning)
    net = network(process, length=11, fixed=False)
    careless = lambda x, t, cond=None, mask=None: net(x, t, cond, torch.ones_like(mask))  # noqa: E731
    x0 = torch.randint(0, 3, (32, 11), generator=seeded())
    mask = torch.arange(11) < torch.randint(1, 12, (32, 1), generator=seeded())
    for denoiser in (net, careless):
        found = []
        for x in (x0, torch.where(mask, x0, 2 - x0)):
            process.zero_grad()
            loss = process.train().loss(denoiser, Batch.of(x, mask), seeded())
            loss.sum().backward()
            bound = torch.stack([*process.bound_terms(denoiser, Batch.of(x, mask), 5, seeded())]).detach()
            found.append((loss.detach(), bound, process.table.grad.clone()))
        for one, other in zip(*found, strict=True):
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)
    state = process.corrupt(x0, torch.full((32,), 7), mask, seeded())
    assert not state.x[~mask].any() and state.x[mask].all()
    for state in trajectory(process, net, mask, seeded(), steps=4):
        assert not state.x[~mask].any()


def test_padding_gives_no_embedding_gradient():
    """Padding is letter 0: where no sequence has it, only the centring changes its vector."""
    process = make(20)
    net = network(process, length=6, fixed=False)
    x0 = torch.tensor([[1, 2, 1, 0, 0, 0], [2, 2, 1, 1, 0, 0]])
    mask = torch.arange(6) < torch.tensor([[3], [4]])
    cut = [process.loss(net, Batch.of(x, m), seeded()) for x, m in ((x0, mask), (torch.where(mask, x0, 1), mask))]
    assert torch.allclose(*cut)


def test_self_conditioned_scores_use_an_estimate_from_the_same_state():
    process = make(20, self_conditioning=True).eval()
    seen = []

    def denoiser(x, t, cond=None, mask=None):
        seen.append(x)
        return torch.zeros(*x.shape[:2], 3)

    x0, mask = torch.randint(0, 3, (4, 5), generator=seeded()), torch.ones(4, 5, dtype=torch.bool)
    [*process.bound_terms(denoiser, Batch.of(x0, mask), 3, seeded())]
    assert len(seen) == 6
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert torch.equal(first[..., :2], second[..., :2])
        assert not first[..., 2:].any() and second[..., 2:].any()
    seen.clear()
    [*trajectory(process, denoiser, mask, seeded(), steps=4)]
    assert len(seen) == 4  # one call a step: the estimate is the last step's
    assert not seen[0][..., 2:].any() and all(x[..., 2:].any() for x in seen[1:])


@pytest.mark.parametrize("cls", [Embedding, DiffusionLM])
def test_self_conditioning_is_dropped_in_half_of_training(cls):
    process, seen = make(20, cls=cls, self_conditioning=True), []

    def denoiser(x, t, cond=None, mask=None):
        seen.append(x)
        return torch.zeros(*x.shape[:2], 3)

    mask = torch.arange(5) < torch.randint(1, 6, (400, 1), generator=seeded())
    process.loss(denoiser, Batch.of(torch.zeros(400, 5, dtype=torch.int64), mask), seeded())
    estimate = seen[-1][..., 2:]
    assert abs(float((estimate != 0).any(-1).any(-1).double().mean()) - 0.5) < 0.1
    assert not estimate[~mask].any()  # as in sampling


def test_self_conditioning_input_is_the_mean_under_clamping():
    process = make(20, self_conditioning=True, clamp=True)
    state = process.prior(torch.ones(4, 3, dtype=torch.bool), seeded())
    kernel = torch.log_softmax(torch.randn(4, 3, 3, generator=seeded(1), dtype=torch.float64), -1)
    shown = process.step(state, 12, kernel, seeded()).estimate
    assert torch.allclose(shown, kernel.exp() @ process.embeddings)
    assert not torch.allclose(shown, process.aimed(kernel))


def test_moving_average_includes_the_embedding_table():
    process = make(20)
    objective = Objective(process, network(process, length=3))
    average = MovingAverage(objective, 0.5)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    before = process.embeddings.detach().clone()
    for n in range(1, 4):
        batch = Batch(torch.randint(0, 3, (32, 3), generator=seeded(n)), torch.full((32,), 3))
        sum(objective(batch, seeded(n)).values()).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(n)
    ours = average.module.process
    assert [name for name in average.module.state_dict() if "table" in name] == ["process.table"]
    assert not torch.allclose(ours.embeddings, before, atol=1e-3)
    assert not torch.allclose(ours.embeddings, process.embeddings, atol=1e-4)
    # what it draws as x_t without noise it also rounds to the same letter
    x0, mask = torch.arange(3)[None], torch.ones(1, 3, dtype=torch.bool)
    x = ours.abar[3].sqrt() * ours.embeddings[x0]
    assert torch.equal(ours.log_evidence(State(x, torch.tensor([3]), mask), torch.float64).argmax(-1), x0)
    again = Objective(make(20), network(process, length=3))
    again.load_state_dict(average.module.state_dict())
    assert torch.equal(again.process.embeddings, ours.embeddings)
    assert torch.equal(again.process.profile, ours.profile)


# -- the estimator -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"self_conditioning": True, "loss": "paper", "schedule": "cosine"},
        {"clamp": True, "dim": 2, "eta": 0.0, "schedule": "linear"},
        {"embeddings": np.eye(4), "learn_embeddings": False},
    ],
)
def test_fit_generate_score_save_load(options, tmp_path):
    X = mixed_lengths()
    model = EmbeddingDiffusion(**SMALL | options).fit(X)
    samples = model.generate(5, random_state=1)
    assert all(set(s) <= set("ACGT") and 1 <= len(s) <= 10 for s in samples)
    assert all(s.startswith("AC") for s in model.generate(5, template="ACNNNN", random_state=1))
    scores = model.score_samples(X[:4])
    assert np.isfinite(scores).all() and (scores < 0).all()
    model.save(tmp_path / "m.safetensors")
    loaded = EmbeddingDiffusion.load(tmp_path / "m.safetensors", device="cpu")
    assert loaded.generate(5, random_state=1) == samples
    assert np.array_equal(loaded.score_samples(X[:4]), scores)
    assert np.array_equal(loaded.embeddings_, model.embeddings_)


def test_given_embeddings_are_fixed_unless_learned():
    table = np.array([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 3.0], [1, 1, 1]])
    centred = table - table.mean(0)
    centred /= np.sqrt((centred**2).mean())
    fixed, learned = (
        EmbeddingDiffusion(embeddings=table, learn_embeddings=learn, **SMALL | {"lr": 0.03}).fit(sequences())
        for learn in (False, True)
    )
    assert np.allclose(fixed.embeddings_, centred, atol=1e-6)
    assert not np.allclose(learned.embeddings_, centred, atol=1e-3)


def test_labels_and_proteins():
    X = sequences(40, 8, "ACDEFGHIKLMNPQRSTVWY")
    y = ["a", "b"] * 20
    model = EmbeddingDiffusion(embeddings="blosum62", dim=5, **SMALL | {"alphabet": "protein"}).fit(X, y)
    assert model.embeddings_.shape == (20, 5)
    assert len(model.generate(3, y="b", random_state=0)[0]) == 8
    assert np.isfinite(model.score_samples(X[:3], y[:3])).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"schedule": "quadratic"}, "expected 'sqrt', 'cosine' or 'linear'"),
        ({"loss": "mse"}, "expected 'bound' or 'paper'"),
        ({"eta": 2.0}, "expected a number from 0 to 1"),
        ({"dim": 0}, "expected a whole number of at least 1"),
        ({"embeddings": "blosum62"}, "embeddings: got 'blosum62', which is for proteins, for dna"),
        ({"embeddings": "word2vec"}, "embeddings: got 'word2vec', expected 'blosum62', a table or None"),
        ({"embeddings": np.eye(5)}, "4 letters (ACGT)"),
        (
            {"embeddings": np.eye(4), "dim": 3},
            "dim: got 3, expected 4, as many as embeddings has columns",
        ),
        ({"embeddings": np.eye(4), "alphabet": "dna 5-mers"}, "1024 letters (AAAAAAAAACAAAAG"),
        ({"embeddings": np.full((4, 2), np.nan)}, "embeddings: got nan or infinite numbers, expected finite ones"),
        ({"embeddings": [[0, 1], [1, 0], [2, 2], [1, 0]]}, "for 'C' and 'T'"),
        ({"embeddings": [["a"], ["b"], ["c"], ["d"]]}, "expected a table of numbers"),
    ],
)
def test_errors_state_a_cure(options, sentence):
    with pytest.raises(ValueError) as error:
        EmbeddingDiffusion(**SMALL | options).fit(sequences())
    assert sentence in str(error.value)
