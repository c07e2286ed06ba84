"""SCUD: identities of its bound, enumerated in float64, and properties of its sampler."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from enumerable import Toy, raw_input
from scipy.special import gammainc, gammaln
from scipy.stats import poisson as poisson_distribution
from small_models import seeded

from seqdiff import SCUD as Estimator
from seqdiff.guidance import Template
from seqdiff.processes import SCUD, Batch, Classical, State
from seqdiff.processes.categorical import logistic_log_probs, logistic_start
from seqdiff.processes.noise.events import Powers
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.processes.noise.schedules import SCHEDULES, LogLinear, Schedule, make_schedule
from seqdiff.processes.scud import end_kl
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory

ROUND = np.array([[-1.0, 0.8, 0.2], [0.3, -0.9, 0.6], [1.0, 0.1, -1.1]])


class Until(Schedule):
    """Lambda(t) = scale t: the scale is Lambda_max."""

    def total(self, t):
        return self.scale * t

    def rate(self, t):
        return torch.full_like(t, self.scale)


def two_letter_toy() -> Toy:
    return Toy(letters=3, length=2)


def mean_event_kl(process, toy: Toy, counts: torch.Tensor, denoiser=None) -> torch.Tensor:
    """Return E[S KL] summed over positions for event counts (N, 2), by enumeration of x0 and x_S: (N,)."""
    denoiser = denoiser or toy.context_denoiser(process)
    pairs = torch.cartesian_prod(torch.arange(len(toy.x)), torch.arange(len(toy.x)))
    x0, x = toy.x[pairs[:, 0]], toy.x[pairs[:, 1]]
    out = []
    for s in counts:
        s = s.expand(len(x0), -1)
        weight = toy.p[pairs[:, 0]] * process.powers.rows(s, x0).gather(-1, x[..., None])[..., 0].prod(-1)
        state = State(x, s, torch.ones_like(x, dtype=torch.bool))
        w = torch.softmax(denoiser(*process.network_input(state)), -1)
        out.append((weight * process.event_kl(w, x0, state).sum(-1)).sum())
    return torch.stack(out)


def integral(process, toy: Toy, largest: float, most: int, denoiser=None) -> float:
    """Return the integral over [0, Lambda_max] of E[S KL]/Lambda, where counts have gamma-distributed weights."""
    counts = torch.cartesian_prod(torch.arange(most), torch.arange(most))[1:]
    n = counts.sum(-1).numpy()
    log_weight = gammaln(n) - n * math.log(2) - gammaln(counts.numpy() + 1).sum(-1)
    weight = np.exp(log_weight) * gammainc(n, 2 * largest)
    possible = weight > 1e-18
    return float((torch.tensor(weight[possible]) * mean_event_kl(process, toy, counts[possible], denoiser)).sum())


@pytest.mark.parametrize("gamma", [0.0, 1 / 3, 0.6])
def test_bound_is_the_entropy_plus_the_expected_kl_to_stationary(gamma):
    """Integral + KL term = H(x0) + E_S KL(p(x_T | S) || pi), whatever gamma is."""
    toy, largest, most = two_letter_toy(), 2.0, 25
    process = raw_input(SCUD(make_forward(ROUND, "ABC"), gamma, Until(largest)))
    prior = process.prior_kl(toy.x, toy.mask(len(toy.x)))
    bound = integral(process, toy, largest, most) + float((prior * toy.p).sum())
    counts = torch.cartesian_prod(torch.arange(most), torch.arange(most))
    pi = process.powers.stationary[toy.x].prod(-1)
    remembered = 0.0
    for s in counts:
        chance = poisson_distribution.pmf(s.numpy(), largest).prod()
        distribution = torch.zeros(len(toy.x), dtype=torch.float64)
        for x0, p in zip(toy.x, toy.p, strict=True):
            distribution += p * process.powers.rows(s.expand(len(toy.x), -1), x0.expand(len(toy.x), -1)).gather(
                -1, toy.x[..., None]
            )[..., 0].prod(-1)
        remembered += chance * float((torch.xlogy(distribution, distribution) - torch.xlogy(distribution, pi)).sum())
    assert abs(bound - toy.entropy - remembered) < 1e-8


@pytest.mark.parametrize("gamma", [0.0, 0.6])
def test_training_loss_estimates_the_integral_up_to_the_end(gamma):
    toy, largest, copies = two_letter_toy(), 1.0, 12_000
    process = raw_input(SCUD(make_forward(ROUND, "ABC"), gamma, Until(largest)))
    w = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64).log()  # a wrong prediction, so that much is lost
    wrong = lambda x, t, cond=None, mask=None: w.expand(*x.shape, 3)  # noqa: E731
    x0 = toy.x.repeat(copies, 1)
    loss = process.loss(wrong, Batch.of(x0, toy.mask(len(x0))), seeded()) - process.prior_kl(x0, toy.mask(len(x0)))
    loss = loss.reshape(copies, 9)
    found, error = float((loss.mean(0) * toy.p).sum()), float((loss.var(0) / copies * toy.p**2).sum().sqrt())
    expected = integral(process, toy, largest, most=20, denoiser=wrong)
    assert abs(found - expected) < 4 * error
    assert error < 0.03 * expected


@pytest.mark.parametrize("gamma", [0.0, 0.6])
def test_loss_of_independent_letters_is_known_exactly(gamma):
    toy, largest = two_letter_toy(), 0.7
    process = raw_input(SCUD(make_forward(ROUND, "ABC"), gamma, Until(largest)))
    distribution = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    process.fit_schedule(distribution)
    expected = integral(
        process, toy, largest, 15, lambda x, t, cond=None, mask=None: distribution.log().expand(*x.shape, 3)
    )
    assert abs(float((process.known(Batch.of(toy.x, toy.mask(9))) * toy.p).sum()) - expected) < 1e-8


def test_prior_event_counts_follow_the_schedule():
    process = SCUD(make_forward("uniform", "ACGT"), 0.5, Until(7.0))
    state = process.prior(torch.ones(4000, 5, dtype=torch.bool), seeded())
    assert abs(float(state.t.double().mean()) - 7) < 5 * (7 / 20_000) ** 0.5
    assert abs(float(state.t.double().var()) - 7) < 0.5


def test_uniform_events_with_gamma_1_over_k_equal_mdlm():
    """The bound is MDLM's with alpha = e^-Lambda, a mask wherever S > 0, plus L e^-Lambda_max log K."""
    toy, largest = two_letter_toy(), 3.0
    process = raw_input(SCUD(make_forward("uniform", "ABC"), 1 / 3, Until(largest)))
    pair = toy.p.reshape(3, 3)

    def entropy(distribution):
        return float(-torch.xlogy(distribution, distribution).sum())

    # Cross-entropies of the exact prediction, for every set of masks, and their weights: the integral over alpha of
    # (1 - alpha)^(masks - 1) alpha^(letters)
    both = entropy(pair.sum(1)) + entropy(pair.sum(0))
    one = 2 * entropy(pair) - both  # H(a | b) + H(b | a)
    e = math.exp(-largest)
    mdlm = both * (0.5 - e + e**2 / 2) + one * (0.5 - e**2 / 2)
    assert abs(integral(process, toy, largest, most=30) - mdlm) < 1e-8
    expected = torch.full((9,), 2 * e * math.log(3), dtype=torch.float64)
    assert torch.allclose(process.prior_kl(toy.x, toy.mask(9)), expected, atol=1e-12)


def test_bound_tends_to_the_classical_one():
    """As gamma -> 1 the integral with any prediction, also a wrong one, goes to the classical one like 1 - gamma."""
    w = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    largest, x0 = 2.0, torch.tensor([[0]])
    forward = make_forward(ROUND, "ABC")
    classical = Classical(forward, Until(largest))
    # t = u^5: the integrand has a logarithmic singularity at 0
    nodes, weights = np.polynomial.legendre.leggauss(80)
    u, weights = torch.tensor((nodes + 1) / 2), torch.tensor(weights / 2)
    t = u**5
    expected = 0.0
    for x in range(3):
        chance = forward.transition(largest * t)[:, 0, x]
        density = classical.density(w.expand(80, 1, 3), x0.expand(80, 1), torch.full((80, 1), x), t)[:, 0]
        expected += float((weights * 5 * u**4 * chance * density).sum())
    gaps = []
    for gamma in (0.9, 0.99, 0.999):
        events = largest * 1.1 / (1 - gamma)
        process = SCUD(forward, gamma, Until(events))
        n = torch.arange(1, int(events + 12 * events**0.5) + 20)[:, None]
        # E of S/Lambda f(S) over Lambda in [0, Lambda_max]: f(S) P(Poisson(Lambda_max) >= S)
        reach = torch.tensor(poisson_distribution.sf(n[:, 0].numpy() - 1, events)) / n[:, 0]
        total = 0.0
        for x in range(3):
            state = State(torch.full_like(n, x), n, torch.ones_like(n, dtype=torch.bool))
            rows = torch.zeros_like(n)
            kl = process.event_kl(w.expand(len(n), 1, 3), rows, state)[:, 0]
            total += float((reach * process.powers.rows(n, rows)[:, 0, x] * kl).sum())
        gaps.append(total - expected)
    assert abs(gaps[0]) > 1e-4  # not yet the same at 0.9
    assert abs(gaps[1] / gaps[0] - 0.1) < 0.03
    assert abs(gaps[2] / gaps[1] - 0.1) < 0.01


def test_event_kl_equals_the_kl_of_the_posteriors():
    process = SCUD(make_forward(ROUND, "ABC"), 0.2)
    k = process.powers.one.numpy()
    g = seeded(1)
    w = torch.randn(40, 2, 3, generator=g, dtype=torch.float64).softmax(-1)
    x0, x = (torch.randint(3, (40, 2), generator=g) for _ in range(2))
    counts = torch.randint(0, 9, (40, 2), generator=g)
    x = torch.where(counts == 0, x0, x)
    found = process.event_kl(w, x0, State(x, counts, torch.ones_like(x, dtype=torch.bool)))
    for i, j in np.ndindex(40, 2):
        s, a, b = int(counts[i, j]), int(x0[i, j]), int(x[i, j])
        expected = 0.0
        if s:
            before = np.linalg.matrix_power(k, s - 1)
            truth, model = before[a] * k[:, b], (w[i, j].numpy() @ before) * k[:, b]
            truth, model = truth / truth.sum(), model / model.sum()
            known = truth > 0
            expected = s * (truth[known] * np.log(truth[known] / model[known])).sum()
        assert abs(float(found[i, j]) - expected) < 1e-12


def test_event_kl_of_known_letters_is_zero_and_time_independent():
    process = SCUD(make_forward("uniform", "ACGT"), 0.1)
    x0 = torch.randint(4, (50, 6), generator=seeded())
    mask = torch.ones(50, 6, dtype=torch.bool)
    state = process.corrupt(x0, torch.linspace(0.01, 0.99, 50), mask, seeded(1))
    assert (process.event_kl(torch.nn.functional.one_hot(x0, 4).double(), x0, state) == 0).all()
    seen = []
    process.loss(
        lambda x, t, cond=None, mask=None: seen.append(t) or torch.zeros(*x.shape, 4), Batch.of(x0, mask), seeded()
    )
    assert seen[0].shape == (50, 6)
    counts = torch.tensor([[0, 1, 2, 3, 10]])
    shown = [
        process.network_input(process.state_class(x0[:1, :5], counts, mask[:1, :5], torch.tensor([t])))[1]
        for t in (0.1, 0.9)
    ]
    assert torch.equal(*shown)
    assert (shown[0].diff() > 0).all()
    assert shown[0][0, 0] == 0


def test_prior_kl_is_a_poisson_mixture():
    process = SCUD(make_forward(ROUND, "ABC"), 0.0, Until(1.5))
    expected = np.zeros(3)
    pi = process.powers.stationary.numpy()
    for n in range(60):
        q = np.linalg.matrix_power(process.powers.one.numpy(), n)
        expected += poisson_distribution.pmf(n, 1.5) * np.where(q > 0, q * np.log(np.where(q > 0, q, 1) / pi), 0).sum(1)
    assert np.allclose(process.letter_kl.numpy(), expected, atol=1e-12)


def finals(process, toy: Toy, n: int, steps: int, guidance=None, temperature: float = 1.0):
    denoiser = toy.context_denoiser(process)
    with torch.no_grad():
        for state in trajectory(
            process, denoiser, toy.mask(n), chunk_generators(n, "cpu", 0), steps=steps, guidance=guidance
        ):
            last = state
    return last


def distance(x: torch.Tensor, toy: Toy) -> float:
    frequencies = torch.bincount(toy.index(x), minlength=len(toy.p)).double() / len(x)
    return 0.5 * float((frequencies - toy.p).abs().sum())


def test_correctors_reduce_the_error_of_large_steps():
    toy = Toy()
    forward = make_forward("uniform", "ABC")
    plain, mended = (raw_input(SCUD(forward, 0.0, correctors=c)) for c in (0, 8))
    few = distance(finals(plain, toy, 20_000, 3).x, toy)
    assert few > 0.04
    assert distance(finals(mended, toy, 20_000, 3).x, toy) < 0.8 * few
    assert distance(finals(mended, toy, 20_000, 15).x, toy) < 0.02


def test_corrector_keeps_event_counts():
    toy = Toy()
    process = raw_input(SCUD(make_forward("uniform", "ABC"), 0.0))
    state = process.corrupt(toy.x, torch.full((27,), 0.5), toy.mask(27), seeded())
    state = state.replace(time=torch.full((27,), 0.5, dtype=torch.float64))
    target = process.aim(state, (0.5, True), seeded(7))
    kernel = process.kernel(process.predict(toy.context_denoiser(process), state, None), state, target)
    after = process.step(state, target, kernel, seeded())
    assert torch.equal(after.t, state.t)
    assert target.counts.sum() < state.t.sum()


def test_letters_without_events_satisfy_the_template():
    """With Lambda_max = 0.7 half of the positions keep their letter of the stationary distribution to the end."""
    toy = Toy()
    process = raw_input(SCUD(make_forward(ROUND, "ABC"), 0.0, Until(0.7)))
    allowed = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    x = finals(process, toy, 4000, 10, Template(allowed)).x
    assert allowed[torch.arange(3), x].all()
    assert finals(process, toy, 10, 10).t.sum() == 0


def test_letters_without_events_follow_the_stationary_distribution():
    toy = Toy()
    process = raw_input(SCUD(make_forward(ROUND, "ABC"), 0.0, LogLinear(1e-9)))  # no event ever happens
    x = finals(process, toy, 20_000, 3).x
    frequencies = torch.bincount(x.flatten(), minlength=3).double() / x.numel()
    assert torch.allclose(frequencies, process.powers.stationary, atol=0.01)


def test_letters_without_events_follow_the_stationary_distribution_within_a_template():
    toy = Toy()
    process = raw_input(SCUD(make_forward(ROUND, "ABC"), 0.0, LogLinear(1e-9)))
    x = finals(process, toy, 20_000, 3, Template(torch.tensor([[True, False, True]] * 3))).x
    expected = process.powers.stationary * torch.tensor([1, 0, 1])
    frequencies = torch.bincount(x.flatten(), minlength=3).double() / x.numel()
    assert torch.allclose(frequencies, expected / expected.sum(), atol=0.01)


def test_letters_without_events_are_drawn_once():
    process = raw_input(SCUD(make_forward(ROUND, "ABC"), 0.0, Until(0.5)))
    toy, mask = Toy(), torch.ones(500, 3, dtype=torch.bool)
    _, settled, *later = trajectory(process, toy.context_denoiser(process), mask, seeded(), steps=3)
    never = settled.t == 0
    assert never.any() and all(torch.equal(state.x[never], settled.x[never]) for state in later)


def test_template_holds_where_event_counts_are_impossible():
    """One event without self-transitions, where the noised letter equals the template's."""
    process = SCUD(make_forward("uniform", "ABC"), 0.0)
    state = State(torch.tensor([[2, 2]]), torch.tensor([[1, 1]]), torch.ones(1, 2, dtype=torch.bool))
    demanded = torch.tensor([0.0, 0.0, 1.0]).log().expand(1, 2, 3)
    kernel = process.posterior(demanded, state, torch.tensor([[0, 1]])).exp()  # undone at the first, still to be undone
    assert torch.allclose(kernel, torch.tensor([[[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]]))


@pytest.mark.parametrize("gamma", [0.002, 0.005, 0.05])
def test_single_jump_probabilities_are_not_negative(gamma):
    """Rounding of 1 - gamma times the event rate must not make an entry negative."""
    process = SCUD(make_forward("uniform", "ACGT"), gamma)
    assert (process.jumps.one >= 0).all() and (process.jumps.first >= 0).all()
    once = process.jumps.rows(torch.tensor([1]), torch.tensor([2]))
    assert torch.allclose(once, torch.tensor([[1, 1, 0, 1]], dtype=torch.float64) / 3)
    assert not once.log().isnan().any()


@pytest.mark.parametrize("largest", [60.0, 500.0, 1000.0])
def test_end_kl_skips_counts_without_loss(largest):
    one = np.array([[0.001, 0.998, 0.001], [0.997, 0.002, 0.001], [0.5, 0.49, 0.01]])  # nearly takes turns
    stationary = np.linalg.matrix_power(one, 2**20)[0]
    powers, n = Powers(one, stationary, 1.0), torch.arange(int(2 * largest + 200))
    q = powers(n)
    kl = (torch.xlogy(q, q) - torch.xlogy(q, torch.from_numpy(stationary))).sum(-1)
    expected = torch.from_numpy(poisson_distribution.pmf(n.numpy(), largest)) @ kl
    found = end_kl(powers, largest, torch.from_numpy(stationary))
    assert torch.allclose(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [lambda f, s: SCUD(f, 0.2, s), Classical])
def test_float32_times_reach_the_end(monkeypatch, schedule, make):
    """Some devices lack float64, in which t_max is 1 - 1e-9."""
    forward = make_forward("uniform", "ABC")
    process = raw_input(make(forward, make_schedule(schedule, 1.25))).float()
    monkeypatch.setattr(type(process), "last_times", lambda self, mask: torch.full(mask.shape[:1], self.t_max))
    seen = []
    distribution = torch.tensor([0.6, 0.3, 0.1])

    def denoiser(x, t, cond=None, mask=None):
        seen.append(x)
        return distribution.log().expand(*x.shape, 3)

    *_, final = trajectory(process, denoiser, torch.ones(3000, 2, dtype=torch.bool), seeded(), steps=8)
    early = torch.bincount(seen[1].flatten(), minlength=3) / 6000
    assert early.max() < 0.5  # far from the data all letters are still about as likely
    assert torch.allclose(torch.bincount(final.x.flatten(), minlength=3) / 6000, distribution, atol=0.03)


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"gamma": 1.0}, "gamma"),
        ({"logistic": "no"}, "True or False"),
        ({"forward": "blosum62"}, "amino acids.*kimura"),
        ({"forward": "typo"}, "'auto', 'uniform', 'gaussian'"),
        ({"forward": None}, "expected a known name or an array"),
        ({"forward": "absorbing"}, "uniform"),
        ({"forward": "kimura", "alphabet": "ABC"}, "DNA"),
    ],
)
def test_errors_state_a_cure(parameters, words):
    model = Estimator(**{"alphabet": "ACGT", "savepath": None, "verbose": 0, **parameters})
    sequences = ["ABCA", "ABCC"] if "ABC" in str(parameters) else ["ACGT", "ACCT"]
    with pytest.raises(ValueError, match=words):
        model.fit(sequences)


def test_rates_follow_the_alphabet():
    small = {"width": 4, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
    protein = Estimator(**small).fit(["MKVLAT", "MKILAT", "MRVLST"])
    rates = protein.objective_.process.powers.one
    letters = protein.alphabet_.letters
    assert rates[letters.index("L")].argsort()[-3:].tolist().count(letters.index("I")) == 1
    dna = Estimator(**small).fit(["ACGTAC", "ACGTTC", "ACGAAC"])
    assert torch.allclose(dna.objective_.process.powers.one[0, 1:], torch.tensor(1 / 3, dtype=torch.float64))


def test_logistic_scud_learns_an_ordered_alphabet():
    letters = "ABCDEFGHIJKL"
    g = np.random.default_rng(0)
    walks = np.clip(np.cumsum(g.integers(-1, 2, (300, 8)), 1) + 6, 0, 11)
    sequences = ["".join(letters[i] for i in walk) for walk in walks]
    model = Estimator(
        alphabet=letters, forward="gaussian", gamma=0.2, logistic=True, width=16, depth=2, epochs=8, lr=1e-2,
        savepath=None, verbose=0,
    )  # fmt: skip
    model.fit(sequences)
    bits = -model.score(sequences) / 8 / math.log(2)
    assert bits < 3.0  # log2(12) = 3.58 at random, 2.8 for the letters by themselves
    places = np.array([[letters.index(letter) for letter in s] for s in model.generate(200, random_state=0)])
    steps = np.abs(np.diff(places))
    assert np.mean(steps) < 2.5  # neighbours at random lie 3 apart


def test_two_letters_have_an_aperiodic_default():
    """gamma = 0 would swap two letters forever: refused when given, and never the default."""
    words = ["ABAB", "AABB", "ABBA", "BABA"] * 20
    small = {"alphabet": "AB", "width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
    model = Estimator(**small).fit(words)
    assert set("".join(model.generate(50, random_state=0))) == {"A", "B"}
    with pytest.raises(ValueError, match="gamma: got 0 for .*, expected a number above 0"):
        Estimator(gamma=0.0, **small).fit(words)


# -- logistic parameterisation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("location, scale", [(0.3, 1.0), (-4.0, 2.5), (11.0, 0.4), (5.0, 20.0)])
def test_logistic_letters_are_differences_of_the_distribution_function(location, scale):
    edges = torch.tensor([-torch.inf, *(i + 0.5 for i in range(9)), torch.inf], dtype=torch.float64)
    below = torch.sigmoid((edges - location) / scale)
    found = logistic_log_probs(*torch.tensor([location, scale], dtype=torch.float64), 10).exp()
    assert torch.allclose(found, below.diff(), atol=1e-12)


def test_logistic_log_probs_are_finite_far_from_the_location():
    far = logistic_log_probs(torch.tensor(1000.0), torch.tensor(0.05), 256)
    assert torch.isfinite(far).all()
    assert abs(float(far.exp().sum()) - 1) < 1e-6
    assert far[0] < -1e4


def test_logistic_start_has_the_mean_of_the_frequencies():
    p = torch.tensor([[0.05, 0.1, 0.4, 0.3, 0.15], [0.6, 0.2, 0.1, 0.05, 0.05]])
    location, scale = logistic_start(p.log()).unbind(-1)
    distribution = logistic_log_probs(2 + 5 * location, 0.01 + 5 * torch.nn.functional.softplus(scale), 5).exp()
    i = torch.arange(5.0)
    assert torch.allclose((distribution * i).sum(-1), (p * i).sum(-1), atol=0.25)
