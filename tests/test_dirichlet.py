"""Dirichlet flow matching: the closed-form field against its definition, the flow, the estimator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import dblquad
from scipy.special import digamma
from sklearn.base import clone
from small_models import mixed_lengths, seeded, sequences

from seqdiff import DirichletFM, load
from seqdiff.guidance import Template
from seqdiff.processes import Batch, State
from seqdiff.processes.dirichlet import DirichletFlow, LinearFlow, SimplexFlow, euler, heun, on_simplex
from seqdiff.processes.noise.simplex_field import field, field_tables, look_up
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory

SOLVERS = {"euler": euler, "heun": heun}
PATHS = {
    "dirichlet": lambda letters, solver=euler: DirichletFlow(letters, 20, solver),
    "linear": lambda letters, solver=euler: LinearFlow(letters, 20, solver),
}


def double(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def everywhere(n: int) -> torch.Tensor:
    """Return a mask of n positions in rows of 100."""
    return torch.ones(n // 100, 100, dtype=torch.bool)


# -- the field --------------------------------------------------------------------------------------------------------


def field_by_definition(mp, x: float, t: float, letters: int):
    """Return -d/da I_x(a, b) B(a, b) / ((1 - x)^b x^t) at a = t + 1, b = K - 1, with 60 digits."""
    with mp.workdps(60):
        x, a, b = mp.mpf(x), mp.mpf(t) + 1, letters - 1
        if x < 0.5:
            change = -mp.diff(lambda a: mp.betainc(a, b, 0, x, regularized=True), a)
        else:  # 1 - I_x(a, b) = I_{1-x}(b, a), as small as it may be
            change = mp.diff(lambda a: mp.betainc(b, a, 0, 1 - x, regularized=True), a)
        return change * mp.beta(a, b) / ((1 - x) ** b * x ** (a - 1))


@pytest.mark.parametrize("letters", [2, 4, 20])
@pytest.mark.parametrize("t", [0, 0.5, 2, 6.9, 20])
def test_field_equals_its_definition(letters, t):
    mp = pytest.importorskip("mpmath", reason="needs mpmath, which comes with torch")
    x = [1e-6, 1e-3, 0.02, 0.1, 0.3, 0.6, 0.9, 1 - 1e-3, 1 - 1e-6]
    found = field(double(x), double(t), letters)
    for value, place in zip(found.tolist(), x, strict=True):
        assert abs(mp.mpf(value) / field_by_definition(mp, place, t, letters) - 1) < 1e-12


@pytest.mark.parametrize("t", [0, 0.5, 6.9, 50])
def test_field_at_both_ends(t):
    for letters in (2, 3, 4, 20, 64):
        ends = field(double([0.0, 1e-300, 1 - 1e-12, 1.0]), double(t), letters)
        h = digamma(t + letters) - digamma(t + 1)
        assert ends[0] == 0
        assert 0 < ends[1] < 1e-296
        assert abs(ends[2:] * (letters - 1) / h - 1).max() < 1e-10


def test_field_of_two_letters_is_elementary():
    x = torch.linspace(1e-4, 1 - 1e-4, 99, dtype=torch.float64)
    for t in (0.0, 3.0, 50.0):
        assert torch.allclose(field(x, double(t), 2), -x * x.log() / ((t + 1) * (1 - x)), rtol=1e-13, atol=0)


def test_times_and_places_are_broadcast():
    x, t = double([0.1, 0.5, 0.9]), double([0.0, 7.0])
    both = field(x, t[:, None], 4)
    assert both.shape == (2, 3)
    assert torch.equal(both[1], field(x, t[1], 4))


@pytest.mark.parametrize("letters", [2, 3, 4, 5, 20, 33, 64])
def test_tables_are_finite_and_close_in_float32(letters):
    t = double([0, 0.01, 0.5, 2, 6.9, 20, 50])
    inside = torch.cat([torch.logspace(-12, 0, 5000), 1 - torch.logspace(-7, 0, 5000)])
    corners = torch.tensor([-1e-8, 0.0, 1e-45, 1 - 6e-8, 1.0, 1 + 1.2e-7])
    for moment, table in zip(t, field_tables(t, letters).float(), strict=True):
        assert (look_up(inside, table) - field(inside, moment, letters)).abs().max() < 1e-6
        assert torch.allclose(look_up(corners, table).double(), field(corners.clamp(0, 1), moment, letters), atol=1e-6)
        assert look_up(torch.tensor([torch.nan, 0.5]), table).isnan().tolist() == [True, False]


def quantile_map(x: np.ndarray, t: float, letters: int) -> np.ndarray:
    """Return the coordinate that the flow to one letter maps x to: the distribution functions stay equal."""
    before, after = stats.beta(1, letters - 1), stats.beta(1 + t, letters - 1)
    # towards 1 the rest is what is known well
    return np.where(before.cdf(x) < 0.5, after.ppf(before.cdf(x)), after.isf(before.sf(x)))


@pytest.mark.parametrize("letters", [2, 4, 20])
def test_flow_maps_quantiles_to_quantiles(letters):
    start = x = torch.linspace(0.001, 0.999, 200, dtype=torch.float64)
    d = 7 / 100
    for i in range(100):
        half = x + d / 2 * field(x, double(i * d), letters) * (1 - x)
        x = x + d * field(half, double((i + 0.5) * d), letters) * (1 - half)
    assert np.abs(x.numpy() - quantile_map(start.numpy(), 7, letters)).max() < 2e-3
    if letters == 2:
        assert (x - start ** (1 / 8)).abs().max() < 2e-3


# -- the process ------------------------------------------------------------------------------------------------------


def run(process: SimplexFlow, denoiser, mask: torch.Tensor, steps: int | None = None, seed: int = 0, **rest) -> State:
    with torch.no_grad():
        for state in trajectory(process, denoiser, mask, chunk_generators(len(mask), "cpu", seed), steps=steps, **rest):
            last = state
    return last


def independent(process: SimplexFlow, p: torch.Tensor):
    """Return the exact context prediction of independent letters: their frequencies, whatever the others are."""
    return lambda x, t, cond=None, mask=None: p.log().to(x.dtype).expand(x.shape)


@pytest.mark.parametrize("path", PATHS)
def test_prediction_is_the_posterior(path):
    """p_i x_i^t or p_i [x_i >= t], normalised; the network is shown the same without p; padding says nothing."""
    process, p = PATHS[path](4), double([0.4, 0.3, 0.2, 0.1])
    mask = torch.tensor([True, True, False]).expand(50, 3)
    t = torch.linspace(0, process.t_max, 50)
    state = process.corrupt(torch.randint(4, (50, 3), generator=seeded()), t, mask, seeded(1))
    x, when = state.x.double(), t.double()[:, None, None]
    q = x**when if path == "dirichlet" else (x >= when - 1e-6).double()
    found = process.predict(lambda x, t, cond=None, mask=None: p.log().expand(x.shape), state, None).exp()
    expected = p * q / (p * q).sum(-1, keepdim=True)
    assert torch.allclose(found[mask], expected[mask], atol=1e-6)
    shown, share = process.network_input(state)
    assert torch.allclose(shown[mask].double(), (q / q.sum(-1, keepdim=True))[mask], atol=1e-5)
    assert (shown[~mask] == 0).all()
    assert torch.allclose(share, t / process.t_max)


def test_a_certain_network_follows_the_quantile_map():
    process, n = DirichletFlow(4, solver=heun), 500
    certain = lambda x, t, cond=None, mask=None: 1e9 * torch.eye(4)[1].expand(x.shape)  # noqa: E731
    start = process.prior(torch.ones(n, 1, dtype=torch.bool), chunk_generators(n, "cpu", 0)).x[:, 0].double().numpy()
    state = run(process, certain, torch.ones(n, 1, dtype=torch.bool), 400)
    x = state.x[:, 0].double().numpy()
    assert np.abs(x[:, 1] - quantile_map(start[:, 1], 7, 4)).max() < 2e-3
    others = [0, 2, 3]  # keep their proportions
    assert np.abs(x[:, others] / (1 - x[:, [1]]) - start[:, others] / (1 - start[:, [1]])).max() < 1e-3
    assert torch.equal(state.t, torch.full((n,), 7.0))


@pytest.mark.parametrize("letters", [2, 4, 20])
@pytest.mark.parametrize("t", [0.0, 1.5, 9.0])
def test_corrupt_draws_from_the_dirichlet_distribution(letters, t):
    n = 20_000
    x0 = torch.full((n // 100, 100), letters - 1)
    mask = torch.ones_like(x0, dtype=torch.bool)
    x = DirichletFlow(letters).corrupt(x0, torch.full((n // 100,), t), mask, seeded()).x.reshape(n, letters).numpy()
    assert np.allclose(x.sum(-1), 1, atol=1e-6)
    own = x[:, -1]
    assert stats.kstest(own, stats.beta(1 + t, letters - 1).cdf).pvalue > 1e-5
    assert abs(np.mean(own) - (1 + t) / (letters + t)) < 0.01
    if letters > 2:
        rest = x[:, 0] / (1 - own)
        assert stats.kstest(rest, stats.beta(1, letters - 2).cdf).pvalue > 1e-5
        assert abs(np.corrcoef(rest, own)[0, 1]) < 0.03


def test_linear_path_interpolates_noise_and_letter():
    x0 = torch.randint(4, (200, 100), generator=seeded(1))
    x = LinearFlow(4).corrupt(x0, torch.full((200,), 0.3), torch.ones_like(x0, dtype=torch.bool), seeded()).x
    noise = (x - 0.3 * torch.nn.functional.one_hot(x0, 4)) / 0.7
    for i in range(4):
        assert stats.kstest(noise[..., i].flatten().numpy(), stats.beta(1, 3).cdf).pvalue > 1e-5


def test_prior_is_uniform_on_the_simplex_and_zero_at_padding():
    mask = torch.arange(100) < torch.randint(1, 101, (300, 1), generator=seeded())
    for process in (DirichletFlow(4), LinearFlow(4)):
        state = process.prior(mask, seeded())
        assert stats.kstest(state.x[mask][:, 2].numpy(), stats.beta(1, 3).cdf).pvalue > 1e-5
        assert (state.x[~mask] == 0).all()
        assert (state.t == 0).all()


def test_the_loss_is_the_cross_entropy_over_the_times_of_training():
    p = [0.7, 0.3]
    process = DirichletFlow(2)

    def integrand(x, t, i):  # x: the coordinate of letter i, which has density (1 + t) x^t
        likelihood = p[i] * x**t / (p[i] * x**t + p[1 - i] * (1 - x) ** t)
        return 0.5 * math.exp(-t / 2) * (1 + t) * x**t * -math.log(max(likelihood, 1e-300))

    parts = [dblquad(integrand, 0, 60, 0, 1, args=(i,), epsabs=1e-4, epsrel=1e-3)[0] for i in (0, 1)]
    expected = p[0] * parts[0] + p[1] * parts[1]
    n = 20_000
    x0 = (torch.arange(n) % 10 >= 7).long()[:, None].expand(n, 2).clone()
    mask = torch.tensor([True, False]).expand(n, 2)  # the second letter is beyond the end
    for found in (
        process.loss(independent(process, double(p)), Batch.of(x0, mask), seeded()),
        sum(process.bound_terms(independent(process, double(p)), Batch.of(x0, mask), 3, seeded())),
    ):
        assert found.shape == (n,)
        assert abs(float(found.double().mean()) - expected) < 5 * float(found.double().std()) / math.sqrt(n)


def test_validation_times_are_stratified(monkeypatch):
    process, seen = LinearFlow(3), []
    monkeypatch.setattr(process, "noise_times", lambda u: seen.append(u) or u)
    x0, mask = torch.zeros(200, 1, dtype=torch.int64), torch.ones(200, 1, dtype=torch.bool)
    assert (
        len([*process.bound_terms(independent(process, double([0.5, 0.3, 0.2])), Batch.of(x0, mask), 4, seeded())]) == 4
    )
    for i, u in enumerate(seen):
        assert (4 * u >= i).all() and (4 * u < i + 1).all() and float(u.std()) > 0.05


def test_times_of_a_batch_are_stratified_and_shuffled(monkeypatch):
    """Each batch is stratified as well: its times are about 1/32 apart."""
    process, seen = LinearFlow(3), []
    monkeypatch.setattr(process, "noise_times", lambda u: seen.append(u) or u)
    x0, mask = torch.zeros(32, 1, dtype=torch.int64), torch.ones(32, 1, dtype=torch.bool)
    for seed in range(50):
        process.loss(independent(process, double([0.5, 0.3, 0.2])), Batch.of(x0, mask), seeded(seed))
    u = torch.stack(seen)  # (50, 32)
    assert float(u.amin(0).max()) < 0.3 and float(u.amax(0).min()) > 0.7
    counts = torch.stack([torch.bincount((8 * row).long(), minlength=8) for row in u])
    assert counts.min() >= 2 and counts.max() <= 6 and float(u.max()) < 1


def divergence(process: SimplexFlow, p: torch.Tensor, steps: int, n: int = 300_000) -> float:
    """Return KL(decoded letters || p) in nats, of n letters."""
    state = run(process, independent(process, p), everywhere(n), steps)
    q = torch.bincount(process.decode(state).flatten(), minlength=len(p)).double() / n
    return float(torch.xlogy(q, q / p).sum())


FOUR = double([0.4, 0.3, 0.2, 0.1])
TWENTY = torch.arange(20, 0, -1, dtype=torch.float64) / 210


@pytest.mark.parametrize(("steps", "expected"), [(5, 0.0139), (10, 0.0025), (20, 0.0006)])
def test_euler_bias_is_the_known_one(steps, expected):
    assert abs(divergence(DirichletFlow(4), FOUR, steps) / expected - 1) < 0.12


@pytest.mark.parametrize("p", [FOUR, TWENTY], ids=["4", "20"])
def test_samples_follow_the_letters_frequencies(p):
    process = DirichletFlow(len(p))
    state = run(process, independent(process, p), everywhere(120_000))
    assert process.steps == 50
    q = torch.bincount(process.decode(state).flatten(), minlength=len(p)).double() / 120_000
    assert float(torch.xlogy(q, q / p).sum()) < 0.001
    # the state itself does not reach a vertex
    assert abs(float(state.x.amax(-1).mean()) - {4: 0.73, 20: 0.30}[len(p)]) < 0.01


def test_heun_needs_fewer_network_calls():
    assert divergence(DirichletFlow(4, solver=heun), FOUR, 20) < 0.0003


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_convergence(solver, order):
    process = DirichletFlow(4, solver=SOLVERS[solver])
    denoiser, mask = independent(process, FOUR), everywhere(2000)
    exact = run(DirichletFlow(4, solver=heun), denoiser, mask, 801).x

    def error(intervals: int) -> float:
        calls = intervals if solver == "euler" else 2 * intervals - 1
        return float((run(process, denoiser, mask, calls).x - exact).abs().mean())

    assert abs(math.log2(error(25) / error(50)) - order) < 0.35


def test_linear_path_samples_converge_with_steps():
    assert divergence(LinearFlow(4), FOUR, 200, 50_000) < 0.001


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_each_step_is_one_network_call(path, solver):
    process = PATHS[path](4, SOLVERS[solver])
    for steps in (1, 2, 3, 4, 7, 10, None):
        times = []

        def count(x, t, cond=None, mask=None, times=times):
            times.append(float(t[0]))
            return torch.zeros_like(x)

        state = run(process, count, everywhere(100), steps)
        assert len(times) == (steps or 20)
        assert times == sorted(times)
        assert times[0] == 0
        assert max(times) < 1
        assert torch.allclose(state.t, torch.tensor(float(process.t_max)))


@pytest.mark.parametrize("letters", [2, 3, 20, 64])
@pytest.mark.parametrize("solver", SOLVERS)
def test_no_state_leaves_the_simplex(letters, solver):
    """States start at random points and corners, with few long steps, extreme predictions and a late end."""
    g = seeded(3)
    for process in (DirichletFlow(letters, 5, SOLVERS[solver], 50.0), LinearFlow(letters, 5, SOLVERS[solver])):
        for steps in (1, 2, 3, 5, 40):
            x = torch.rand(8, 30, letters, generator=g) ** 20
            x[0], x[1] = torch.eye(letters)[0], torch.nn.functional.one_hot(torch.arange(30) % letters, letters).float()
            x = x / x.sum(-1, keepdim=True)
            state = process.state_class(x, torch.zeros(8), torch.ones(8, 30, dtype=torch.bool))
            for level in process.levels(state, steps):
                logits = 50 * torch.randn(8, 30, letters, generator=g)
                logits[..., 0] = -torch.inf
                state = process.step(state, level, torch.log_softmax(logits, -1), g)
                assert state.x.min() >= 0
                assert (state.x.sum(-1) - 1).abs().max() < 1e-5


def test_overlong_steps_end_at_their_target():
    process = DirichletFlow(4)
    state = process.prior(everywhere(1000), seeded())
    p = torch.softmax(torch.randn(10, 100, 4, generator=seeded(1)), -1)
    level = next(process.levels(state, 1))._replace(length=1e6)
    w = p * field(state.x, double(0), 4)
    moved = process.step(state, level, p.log(), seeded()).x
    assert torch.allclose(moved.double(), w / w.sum(-1, keepdim=True), atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_templates_move_points_to_their_letters(steps):
    allowed = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    process = DirichletFlow(3)
    p = double([0.5, 0.2, 0.3])
    state = run(
        process, independent(process, p), torch.ones(2000, 3, dtype=torch.bool), steps, guidance=Template(allowed)
    )
    assert allowed[torch.arange(3), process.decode(state)].all()
    if steps == 20:
        assert state.x[:, 1, 1].mean() > 0.8


def test_temperature_sharpens_the_context_prediction():
    process = DirichletFlow(4)
    state = process.prior(everywhere(100), seeded()).replace(t=torch.full((1,), 3.0))
    logits = torch.randn(1, 100, 4, generator=seeded(1))
    found = process.predict(lambda x, t, cond=None, mask=None: logits, state, None, 0.5)
    assert torch.allclose(found, torch.log_softmax(2 * logits + 3 * state.x.log(), -1), atol=1e-5)


def test_initial_states_decode_to_their_largest_coordinate():
    process = LinearFlow(3)
    state = process.prior(everywhere(100), seeded())
    assert torch.equal(process.decode(state), state.x.argmax(-1))


@pytest.mark.parametrize("path", PATHS)
def test_states_are_zero_at_padding(path):
    process, x0 = PATHS[path](3), torch.randint(0, 3, (32, 11), generator=seeded())
    mask = torch.arange(11) < torch.randint(1, 12, (32, 1), generator=seeded())
    assert (process.corrupt(x0, torch.full((32,), 0.5), mask, seeded()).x[~mask] == 0).all()
    assert (run(process, independent(process, double([0.2, 0.3, 0.5])), mask).x[~mask] == 0).all()


@pytest.mark.parametrize("t_max", [1.0, 7.0, 50.0])
def test_training_times_cover_sampling_times(t_max):
    """The distribution of the paper, 2 Exp(1) for t_max = 7, scaled to the sampled range."""
    times = DirichletFlow(4, t_max=t_max).noise_times((torch.arange(10_000) + 0.5) / 10_000).double()
    assert abs(float(times.mean()) * 7 / t_max - 2) < 1e-3
    assert abs(float((times > t_max).double().mean()) - math.exp(-3.5)) < 1e-3


# -- the estimator ----------------------------------------------------------------------------------------------------

SMALL = {"width": 8, "depth": 1, "epochs": 2, "batch_size": 16, "lr": 1e-2, "savepath": None, "verbose": 0}


def tiny(**parameters) -> DirichletFM:
    return DirichletFM(**SMALL | parameters)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_fit_and_generate(path, solver):
    model = clone(tiny(path=path, solver=solver, sampling_steps=6)).fit(mixed_lengths())
    assert type(model.objective_.process) is {"dirichlet": DirichletFlow, "linear": LinearFlow}[path]
    assert len(list(model.trajectory(2))) == 7
    first = model.generate(300, random_state=1)
    assert first == model.generate(300, random_state=1)
    assert first != model.generate(300, random_state=2)
    assert len({len(s) for s in first}) > 3
    assert all(s[0] == "A" and s[2] in "AG" for s in model.generate(9, steps=3, template="ANRN"))


def test_models_without_likelihood_have_no_score():
    model = tiny().fit(sequences())
    assert model.bound_ is None
    assert not hasattr(model, "score_samples")
    assert not hasattr(model, "score")


def test_position_dependence_is_learned():
    x = sequences(400, 6, "ACGT", p=[0.7, 0.1, 0.1, 0.1])
    x = [s[:2] + "TG" + s[4:] for s in x]
    model = tiny(width=16, epochs=8, ema=0.9).fit(x)
    bits = model.evaluations_["bits_per_letter"]
    assert bits[-1] < bits[0] or bits[-1] < 0.7
    made = model.generate(2000, random_state=0)
    assert np.mean([s[2:4] == "TG" for s in made]) > 0.97
    free = "".join(s[:2] + s[4:] for s in made)
    assert abs(free.count("A") / len(free) - 0.7) < 0.06


def test_classes_are_learned():
    x = sequences(200, 4, "AC") + sequences(200, 4, "GT")
    model = tiny(width=16, epochs=8, ema=0.9).fit(x, ["ac"] * 200 + ["gt"] * 200)
    made = "".join(model.generate(200, y="gt", random_state=0))
    assert (made.count("G") + made.count("T")) / len(made) > 0.95


def test_classes_are_drawn_by_their_frequency():
    x = sequences(240, 4, "AC") + sequences(60, 4, "GT")
    model = tiny(width=16, epochs=8, ema=0.9).fit(x, ["ac"] * 240 + ["gt"] * 60)
    made = model.generate(1000, y="empirical", random_state=0)
    share = np.mean([set(s) <= set("GT") for s in made])
    assert abs(share - 0.2) < 0.05  # four standard errors
    assert share + np.mean([set(s) <= set("AC") for s in made]) > 0.9
    assert made == model.generate(1000, y="empirical", random_state=0)


MOTIF = "GATC"


def with_motif(where: np.ndarray) -> list[str]:
    """Return sequences of 12 letters with a motif at the given places."""
    return [s[:i] + MOTIF + s[i + 4 :] for s, i in zip(sequences(len(where), 12), where, strict=True)]


def test_signal_determines_motif_position():
    where = np.random.default_rng(0).integers(0, 9, 600)
    x = with_motif(where)
    signal = np.eye(12)[where][..., None]  # (n, L, 1): 1 where it starts
    model = tiny(width=16, depth=2, epochs=8, ema=0.9).fit(x, signal)
    wanted = np.arange(9).repeat(20)
    made = model.generate(180, y=np.eye(12)[wanted][..., None], random_state=0)
    assert np.mean([s[i : i + 4] == MOTIF for s, i in zip(made, wanted, strict=True)]) > 0.9
    assert np.mean([s[(i + 6) % 12 :][:4] == MOTIF for s, i in zip(made, wanted, strict=True)]) < 0.1
    one = model.generate(40, y=np.eye(12)[7][:, None], random_state=0)  # one signal for all
    assert np.mean([s[7:11] == MOTIF for s in one]) > 0.9


def test_class_determines_motif_position():
    where = np.array([1, 7] * 200)
    model = tiny(width=32, depth=2, epochs=15, ema=0.9).fit(with_motif(where), where)
    for place in (1, 7):
        made = model.generate(60, y=place, random_state=0)
        assert np.mean([s[place : place + 4] == MOTIF for s in made]) > 0.75
        assert np.mean([s[8 - place :][:4] == MOTIF for s in made]) < 0.1


def test_protein_model_is_saved_and_loaded(workdir):
    model = tiny(solver="heun", t_max=10.0, alphabet="protein").fit(sequences(60, 8, "ACDEFGHIKLMNPQRSTVWY"))
    model.save("model.safetensors")
    again = load("model.safetensors")
    assert isinstance(again, DirichletFM)
    assert again.objective_.process.t_max == 10.0
    assert again.generate(20, random_state=3) == model.generate(20, random_state=3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"path": "bent"}, "path: got 'bent', expected 'dirichlet' or 'linear'"),
        ({"solver": None}, "solver: got None, expected 'euler' or 'heun'"),
        ({"t_max": 0}, "t_max: got 0, expected a number from 0.001 to 1000"),
        ({"sampling_steps": 2.5}, "sampling_steps: got 2.5, expected a whole number of at least 1"),
    ],
)
def test_wrong_parameters_are_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        tiny(**wrong).fit(sequences())


def test_points_are_projected_to_the_simplex():
    assert on_simplex(torch.tensor([[0.5, 0.5], [1.4, -0.4]])).tolist() == [[0.5, 0.5], [1.0, 0.0]]
