"""Classical diffusion: UDLM with uniform rates, MDLM with absorbing rates, and a bound for any rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_models import seeded

from seqdiff import ClassicalDiffusion
from seqdiff.processes import Batch, Classical, Masked, Uniform
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.processes.noise.schedules import Schedule, make_schedule


def random_case(letters: int, rows: int = 6, length: int = 5):
    g = seeded(5)
    logits = 3 * torch.randn(rows, length, letters, generator=g, dtype=torch.float64)
    x0 = torch.randint(letters, (rows, length), generator=g)
    x = torch.where(torch.rand(rows, length, generator=g) < 0.5, x0, torch.randint(letters, x0.shape, generator=g))
    return logits.softmax(-1), x0, x


def times(t: float, rows: int = 6) -> torch.Tensor:
    return torch.full((rows,), t, dtype=torch.float64)


@pytest.mark.parametrize("letters", [4, 20, 40])
@pytest.mark.parametrize("t", [1e-6, 1e-4, 0.4, 0.99, 0.9999])
def test_uniform_rates_equal_udlm(letters, t):
    """At the time of UDLM at which as much was forgotten, alpha = exp(-Lambda B/(B - 1)), both lose equally fast."""
    w, x0, x = random_case(letters)
    process = Classical(make_forward("uniform", [str(i) for i in range(letters)]))
    speed = letters / (letters - 1)
    lost = -math.expm1(speed * math.log1p(-t))
    d_lost = (1 - lost) * speed / (1 - t)
    expected = Uniform(letters).density(w, x0, x, times(lost)) * d_lost
    assert torch.allclose(process.density(w, x0, x, times(t)), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("schedule", ["linear", "cos"])
@pytest.mark.parametrize("t", [1e-6, 0.4, 0.999])
def test_absorbing_rates_equal_mdlm(schedule, t):
    """-alpha'/(1 - alpha) times the cross-entropy at masked letters, nothing at the others."""
    w, x0, _ = random_case(4)
    masked = torch.arange(5) % 2 == 0
    x = torch.where(masked, 4, x0)
    process = Classical(make_forward("absorbing", "ACGT"), make_schedule(schedule))
    angle = (1 - t) * math.pi / 2
    weight = 1 / t if schedule == "linear" else math.sin(angle) * math.pi / 2 / math.cos(angle)
    entropy = -w.gather(-1, x0[..., None])[..., 0].log()
    density = process.density(w, x0, x, times(t))
    assert torch.allclose(density, torch.where(masked, weight * entropy, 0.0), rtol=1e-9, atol=1e-12)
    assert (process.prior_kl(x0, torch.ones_like(x0, dtype=torch.bool)) == 0).all()


def test_absorbing_steps_are_those_of_masked_diffusion():
    w, x0, _ = random_case(4)
    x = torch.where(torch.arange(5) % 2 == 0, 4, x0)
    kernels = []
    for process in (Classical(make_forward("absorbing", "ACGT")), Masked(4)):
        state = process.state_class(x, times(0.5), torch.ones_like(x, dtype=torch.bool))
        log_p0 = process.predict(lambda *a: w.log(), state, None)
        kernels.append(process.posterior(log_p0, state, 0.125).exp())
    assert torch.allclose(*kernels, atol=1e-12)


def slow_density(forward, w: np.ndarray, x0: int, x: int, total: float, beta: float) -> float:
    """The loss as in the module's docstring, one y at a time, R_theta averaged over p(x_0 | x_t)."""
    q, rates = forward.transition(torch.tensor([total], dtype=torch.float64))[0].numpy(), forward.rates.numpy()
    posterior = w * q[:, x] / (w * q[:, x]).sum()
    loss = 0.0
    for y in set(range(len(rates))) - {x}:
        jumps = beta * rates[y, x] * q[:, y] / q[:, x]
        model, truth = posterior @ jumps, jumps[x0]
        loss += model - truth + (truth * math.log(truth / model) if truth > 0 else 0.0)
    return loss


@pytest.mark.parametrize("t", [1e-3, 0.3, 0.9])
@pytest.mark.parametrize("name", ["gaussian", "blosum62"])
def test_loss_density_is_the_sum_over_jumps(name, t):
    letters = "ACDEFGHIKLMNPQRSTVWY"
    w, x0, x = random_case(20)
    forward = make_forward(name, letters)
    fast = Classical(forward).density(w, x0, x, times(t))
    slow = [
        [
            slow_density(forward, w[i, j].numpy(), int(x0[i, j]), int(x[i, j]), -math.log1p(-t), 1 / (1 - t))
            for j in range(5)
        ]
        for i in range(6)
    ]
    assert np.allclose(fast, slow, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "schedule"), [("blosum62", "log-linear"), ("gaussian", "linear"), ("gaussian", "cos")]
)
def test_bound_gap_of_independent_letters_is_the_prior_kl(name, schedule):
    """The gap is KL(p(x_T) || pi), known exactly for one letter."""
    letters = "ACDEFGHIKLMNPQRSTVWY" if name == "blosum62" else "0123"
    log_p = torch.randn(len(letters), generator=seeded(2), dtype=torch.float64).log_softmax(-1)
    p = log_p.exp()
    process = Classical(make_forward(name, letters), make_schedule(schedule))
    copies = 6000 // len(letters)
    x0 = torch.arange(len(letters)).repeat(copies)[:, None]
    mask = torch.ones(len(x0), 1, dtype=torch.bool)
    terms = process.bound_terms(lambda x, *a: log_p.expand(*x.shape, -1), Batch.of(x0, mask), None, seeded())
    bound = sum(terms).reshape(copies, -1)
    error = float((p * (bound.var(0) / copies).sqrt()).norm())
    end = p @ process.noise.transition(torch.tensor([process.schedule.largest], dtype=torch.float64))[0]
    gap = float((end * (end / process.noise.stationary).log()).sum())
    assert abs(float((p * (bound.mean(0) + log_p)).sum()) - gap) < 4 * error
    assert error < 0.03


def test_absorbing_needs_a_schedule_that_masks_all():
    with pytest.raises(ValueError, match="schedule: got .* for forward='absorbing'; give 'linear' or 'cos'"):
        Classical(make_forward("absorbing", "ACGT"), make_schedule("log-linear"))


def test_padding_does_not_change_the_loss():
    process = Classical(make_forward("gaussian", "ACGT"), make_schedule("log-linear"))
    assert float(process.letter_kl.max()) > 1e-3  # so that it would be seen
    x0 = torch.tensor([[0, 3, 1]])
    mask = torch.tensor([[True, True, False]])
    expected = process.letter_kl[0] + process.letter_kl[3]
    assert torch.allclose(process.prior_kl(x0, mask), expected)
    # and it enters the bound and the loss once
    process.deviation = lambda denoiser, batch, *rest: torch.zeros(len(batch), dtype=torch.float64)
    process.known = lambda batch, *rest: torch.zeros(len(batch), dtype=torch.float64)
    process.guess = lambda *rest: None
    assert torch.allclose(sum(process.bound_terms(None, Batch.of(x0, mask), 7, seeded())), expected)
    assert torch.allclose(process.loss(None, Batch.of(x0, mask), seeded()), expected)


OWN = [[-1.0, 1.0, 0.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 0.0, -1.0, 1.0], [1.0, 0.0, 0.0, -1.0]]


@pytest.mark.parametrize(
    ("forward", "schedule"),
    [("uniform", "cos"), ("absorbing", "linear"), ("gaussian", "log-linear"), (np.array(OWN), "linear")],
)
def test_estimator_with_each_forward_process(forward, schedule, workdir):
    X = ["ACGTACGT", "ACGTTCGT", "ACGAACGT", "ACCTACGA"] * 4
    settings = {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
    model = ClassicalDiffusion(forward=forward, schedule=schedule, **settings).fit(X)
    assert np.isfinite(model.score_samples(X[:3])).all()
    assert set("".join(model.generate(4, steps=5, random_state=0))) <= set("ACGT")
    model.save("model.safetensors")
    again = ClassicalDiffusion.load("model.safetensors")
    assert np.array_equal(again.score_samples(X[:3]), model.score_samples(X[:3]))


def test_schedule_is_stretched_for_slowly_mixing_rates():
    X, settings = ["0123", "3210", "0000"] * 4, {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
    model = ClassicalDiffusion(forward="gaussian", alphabet="0123456789", **settings).fit(X)
    process = model.objective_.process
    assert process.noise.gap < 0.5
    assert float(process.letter_kl.max()) < 1e-12


class Until(Schedule):
    """Lambda(t) = scale t: the scale is Lambda at the end."""

    def total(self, t):
        return self.scale * t

    def rate(self, t):
        return torch.full_like(t, self.scale)


@pytest.mark.parametrize("rates", ["uniform", [[-1.0, 0.8, 0.2], [0.3, -0.9, 0.6], [1.0, 0.1, -1.1]]])
def test_loss_of_independent_letters_is_known_exactly(rates):
    """Schedules end at Lambda = 7 and at 0.1, where noise keeps information."""
    distribution = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    nodes, weights = (torch.tensor(a) for a in np.polynomial.legendre.leggauss(100))
    u, weights = (nodes + 1) / 2, weights / 2
    t = u**5  # the integrand has a logarithmic singularity at 0
    for scale in (0.1, 7.0):
        process = Classical(make_forward(rates, "ABC"), Until(scale))
        process.fit_schedule(distribution)
        for a in range(3):
            x0 = torch.full((100, 1), a)
            chance = process.noise.transition(process.schedule.total(t))[:, a]
            total = sum(
                float(
                    (
                        weights
                        * 5
                        * u**4
                        * chance[:, b]
                        * process.density(distribution.expand(100, 1, 3), x0, x0 * 0 + b, t)[:, 0]
                    ).sum()
                )
                for b in range(3)
            )
            assert abs(total - float(process.known(Batch(x0[:1], torch.ones(1))))) < 1e-6
