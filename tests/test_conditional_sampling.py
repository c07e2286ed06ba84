"""Conditional sampling: with the exact network of a Markov chain, templates and infilling sample p(x | known)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from all_generators import BLINK, fitted
from enumerable import raw_input
from markov_chain import MarkovChain, allowed_by

from seqdiff import SCUD as SCUDModel
from seqdiff import Autoregressive, DirichletFM, MaskedDiffusion, processes
from seqdiff.guidance import LookAhead, Template
from seqdiff.guidance.constraints import ended
from seqdiff.processes.noise.embeddings import cosine_schedule
from seqdiff.processes.noise.rate_matrices import make_forward
from seqdiff.processes.noise.schedules import make_schedule

# Not in detailed balance.
Q = np.array([[-1.0, 0.5, 0.3, 0.2], [0.3, -0.9, 0.3, 0.3], [0.6, 0.1, -1.1, 0.4], [0.2, 0.3, 0.4, -0.9]])
CORNERS = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])

SHOWN = {
    "first-hitting": (lambda L: processes.FirstHitting(4), None),
    "ancestral, remasking": (lambda L: processes.Masked(4, remasking=0.5), 100),
    "scud": (lambda L: processes.SCUD(make_forward(Q, "ACGT"), gamma=0.3), 100),
    "scud, correctors": (lambda L: processes.SCUD(make_forward(Q, "ACGT"), gamma=0.3, correctors=1), 40),
}
"""Processes whose networks see single letters from the start, and steps."""
WEIGHTED = {
    "multinomial": (lambda L: processes.Multinomial(4, 60), 60),
    "blocks": (lambda L: processes.FirstHitting(4, block=3), None),
    "uniform": (lambda L: processes.Uniform(4), 60),
    "classical": (lambda L: processes.Classical(make_forward(Q, "ACGT"), make_schedule("cos")), 60),
    "embedding": (lambda L: processes.Embedding(CORNERS, cosine_schedule(100)), 40),
    "autoregressive": (lambda L: processes.Autoregressive(4, L), None),
}
"""Processes that take particles."""
FLOWS = {
    "dirichlet": (lambda L: processes.DirichletFlow(4, t_max=30.0), 100),
    "linear": (lambda L: processes.LinearFlow(4), 100),
}
"""Processes to which any template is evidence."""
EVERY = SHOWN | WEIGHTED | FLOWS


def ratio(name: str, template: str, particles: int, n: int) -> float:
    """Return the total variation of n samples from p(x | template), over that of as many true draws."""
    make, steps = EVERY[name]
    chain, allowed = MarkovChain(len(template)), allowed_by(template)
    x = chain.samples(make(len(template)), allowed, particles, n, steps)
    assert allowed[torch.arange(len(template)), x].all()
    return chain.distance(x, allowed) / chain.noise(allowed, n)


def test_markov_chain_contexts_equal_enumeration():
    """The forward-backward contexts against all words, written out."""
    chain = MarkovChain(3)
    words = torch.tensor(list(itertools.product(range(4), repeat=3)))
    p = chain.log_prob(words).exp()
    assert float(p.sum()) == pytest.approx(1)
    evidence = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    joint = p.log() + sum(evidence[0, i][words[:, i]] for i in range(3))
    own = joint - evidence[0, 1][words[:, 1]]
    wanted = torch.stack([torch.logsumexp(own[words[:, 1] == k], 0) for k in range(4)])
    found = chain.contexts(evidence)[0, 1]
    assert torch.allclose(torch.log_softmax(found, -1), torch.log_softmax(wanted, -1), atol=1e-10)


@pytest.mark.parametrize("name", [*SHOWN, *FLOWS])
def test_samples_are_conditioned_on_letters_the_network_sees(name):
    """Ratios are 1.15 to 1.6 here, and about 4 where letters are only overwritten."""
    assert ratio(name, "?G??A?", 1, 2000) < 1.5


@pytest.mark.parametrize("name", WEIGHTED)
def test_particles_condition_on_letters_the_network_does_not_see(name):
    assert ratio(name, "?G??A?", 1, 500) > 1.8
    assert ratio(name, "?G??A?", 16, 500) < 1.4


@pytest.mark.parametrize("name", ["first-hitting", "ancestral, remasking", "scud, correctors", "uniform", "dirichlet"])
def test_samples_are_conditioned_on_sets_of_letters(name):
    assert ratio(name, "R?Y?WS", 8, 400) < 1.35


@pytest.mark.slow
@pytest.mark.parametrize("template", ["?G??A?", "R?Y?WS", "AC????TGACCA", "A?G?YCR?TW?G"])
@pytest.mark.parametrize("name", EVERY)
def test_templates_are_conditioned_on_by_every_generator(name, template):
    """Letters, sets, an infilled block; 64 particles: ratio below 1.5 where the network sees the letters, else 2."""
    fixed = not set(template) & set("RYWS")
    assert ratio(name, template, 64, 1000) < (1.5 if name in SHOWN and fixed else 2.0)


@pytest.mark.slow
def test_more_particles_reduce_the_distance():
    for name in ("uniform", "autoregressive"):
        one, four, sixteen, many = (ratio(name, "AC????TGACCA", k, 2000) for k in (1, 4, 16, 64))
        # ratios have a standard deviation of about 0.03 themselves
        assert one > four + 0.5 and four > sixteen - 0.1 and sixteen > many - 0.1, name


def test_first_hitting_calls_the_network_for_free_letters_only():
    process, allowed = raw_input(processes.FirstHitting(4)), allowed_by("AC?G?T")
    template = Template(allowed)
    state = template.start(process, process.prior(torch.ones(2, 6, dtype=torch.bool), torch.Generator().manual_seed(0)))
    assert len(list(process.levels(state, None))) == 2
    assert state.x.tolist() == [[0, 1, 4, 2, 4, 3]] * 2


def test_fixed_letters_are_never_remasked():
    """Remasking could hide it, and the network would not see it for some steps."""
    process, guide = processes.Masked(4, remasking=1.0), Template(allowed_by("A????C"))
    from seqdiff.runtime import chunk_generators
    from seqdiff.sampling import trajectory

    anything = lambda x, t, cond=None, mask=None: torch.zeros(*x.shape, 4)  # noqa: E731
    mask = torch.ones(64, 6, dtype=torch.bool)
    states = list(trajectory(process, anything, mask, chunk_generators(64, "cpu", 0), guidance=guide, steps=20))
    assert all((state.x[:, 0] == 0).all() and (state.x[:, 5] == 1).all() for state in states)
    free = torch.stack([state.x[:, 1:5] for state in states])
    assert ((free[:-1] != 4) & (free[1:] == 4)).any()  # others are


# -- trained models ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repeats() -> list[str]:
    rng = np.random.default_rng(0)
    return [w + w for w in ("".join(row) for row in rng.choice(list("ACGT"), (1000, 3)))]


@pytest.mark.parametrize(
    "cls", [MaskedDiffusion, *(pytest.param(cls, marks=pytest.mark.slow) for cls in (SCUDModel, DirichletFM))]
)
def test_trained_networks_use_known_letters(cls, repeats):
    more = {"known_share": 0.5} if cls is DirichletFM else {}
    model = cls(**BLINK | {"width": 32, "depth": 2, "epochs": 20, "lr": 1e-2, "dropout": 0.0} | more).fit(repeats)
    found = model.infill(repeats[:100], "NNN---", random_state=0, steps=20)
    right = np.mean([a == b for x, y in zip(repeats, found, strict=False) for a, b in zip(x[:3], y[:3], strict=True)])
    assert right > 0.9  # by chance 0.25; were the letters only forced, about 0.63


def test_infill_uses_particles_by_default():
    model = fitted("uniform")
    known = {"random_state": 0, "steps": 8}
    default, sixteen, mask = (
        model.infill("ACGTACGTAC", "NNN-------", n=5, guidance=g, **known) for g in (None, LookAhead(16), LookAhead(1))
    )
    assert default == sixteen != mask
    masked = fitted("masked")  # whose network is shown the letters: nothing to weigh
    default, many = (masked.infill("ACGTACGTAC", "NNN-------", n=5, guidance=g, **known) for g in (None, LookAhead(64)))
    assert default == many


# -- lengths of models with an end token ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_lengths() -> Autoregressive:
    """A model in which the first letter determines the length."""
    X = ["AA", "CCCC"] * 200
    settings = BLINK | {"width": 16, "depth": 2, "epochs": 40, "lr": 1e-2, "alphabet": "dna"}
    return Autoregressive(**settings).fit(X)


def test_samples_are_conditioned_on_a_length(two_lengths):
    """p(x | length) by the model's own scores, where forcing it leaves the first letter as it was."""
    words = ["".join(w) for w in itertools.product("ACGT", repeat=4)]
    q = np.exp(two_lengths.score_samples(words))
    wanted = q[[w[0] == "A" for w in words]].sum() / q.sum()
    assert wanted < 0.1
    for how in ({"length": 4}, {"template": "NNNN"}):
        found = np.mean([s[0] == "A" for s in two_lengths.generate(500, random_state=0, **how)])
        assert abs(found - wanted) < 0.04, how
    forced = two_lengths.generate(500, template="NNNN", guidance=LookAhead(1), random_state=0)
    assert np.mean([s[0] == "A" for s in forced]) > 0.3


def test_each_sample_has_its_requested_length(two_lengths):
    wanted = np.array([4, 2, 3, 1, 4])
    assert [len(s) for s in two_lengths.generate(5, length=wanted, random_state=0)] == wanted.tolist()
    assert all(len(s) == 3 for s in two_lengths.infill("CCA", "--N", n=4, random_state=0))
    states = list(two_lengths.trajectory(3, length=2))
    assert states[-1].mask.sum(-1).tolist() == [2, 2, 2]


def test_allowed_letters_and_end_tokens():
    allowed = torch.tensor([[True, False], [True, True], [False, True]])
    found = ended(allowed, torch.tensor([2, 3]), 4).int().tolist()
    assert found[0] == [[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]]
    assert found[1] == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]]
