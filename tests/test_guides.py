"""Every guide on every generator that it supports: the wanted class is sampled more often, invariances hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_models import SMALL, sequences
from trained_guides import LENGTH, MAKERS, PAIRS, STEPS, VECTORS, Models, labelled, share_of_a

from seqdiff import MaskedDiffusion, SequenceClassifier, runtime
from seqdiff.guidance import (
    FUDGE,
    NOS,
    PPLM,
    Chain,
    ClassifierBased,
    ClassifierFree,
    LatentClassifier,
    LookAhead,
    Reward,
    StepContext,
    classifier,
)
from seqdiff.model import SequenceModel
from seqdiff.sampling import Denoiser

BY_REWARD = ("svdd", "feynman-kac")
PULLED = [(name, kind) for name, kind in PAIRS if kind not in BY_REWARD]
SHIFTED = [(name, kind) for name, kind in PAIRS if kind in ("nos", "pplm")]
SOME = [(name, kind) for name, kind in PULLED if name in ("first-hitting", "scud", "embedding", "autoregressive")]
STRENGTHS = {"svdd": 1.0, "feynman-kac": 1.0, "nos": 4.0}  # else 2
LEAST = 0.1  # rise of the share at that strength
MANY = 192  # a share of A then has a standard error of .02, with 64 of .04


@pytest.fixture(scope="module")
def models() -> Models:
    return Models()


def share(samples: list[str]) -> float:
    return float(np.mean(share_of_a(samples)))


def both_ways(models: Models, name: str, kind: str) -> tuple[list[str], list[str]]:
    """Return samples with target A and with target T, generated together where possible."""
    much = STRENGTHS.get(kind, 2.0)
    if kind in BY_REWARD:
        a, t = (models.generate(kind, name, MANY, y, much) for y in "AT")
        return a, t
    each = models.generate(kind, name, 2 * MANY, ["A", "T"] * MANY, much)
    return each[::2], each[1::2]


def unguided(models: Models, name: str) -> list[str]:
    return models.generate("", name, 2 * MANY, None, None)


# Other settings of generators that the other names have, or a process of the same class
VARIANTS = ("first-hitting", "classical", "self-conditioned")


@pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param(name, kind, marks=pytest.mark.slow if name in VARIANTS else []) for name, kind in PAIRS],
)
def test_guides_raise_the_share_of_the_wanted_class(models, name, kind):
    """The share of A rises with the strength, and falls where the other class is wanted."""
    much = STRENGTHS.get(kind, 2.0)
    wanted, unwanted = (share(samples) for samples in both_ways(models, name, kind))
    little = share(models.generate(kind, name, 2 * MANY, "A", 0.3 * much)[::2])
    without = unguided(models, name)
    assert share(without[::2]) < little < wanted + 0.02
    assert wanted > share(without[::2]) + LEAST and unwanted < share(without[1::2]) - LEAST


@pytest.mark.parametrize(("name", "kind"), PULLED)
def test_strength_0_is_unguided(models, name, kind):
    """Exactly, also where a function returns 0."""
    plain = unguided(models, name)[:10]
    assert models.generate(kind, name, 10, "A", 0.0) == plain
    assert models.generate(kind, name, 10, "A", lambda progress: 0.0) == plain


@pytest.mark.parametrize("kind", BY_REWARD)
@pytest.mark.parametrize("name", ["masked", "autoregressive"])
def test_reward_of_strength_0_does_not_select(models, name, kind):
    plain = share(unguided(models, name))
    assert share(models.generate(kind, name, 2 * MANY, "A", 0.0)) == pytest.approx(plain, abs=0.08)


# How a guide treats samples of one batch does not depend on the generator: for each kind a generator of letters and
# one of vectors; the others are slow.
QUICK = {kind: [] for _, kind in PAIRS}
for _name, _kind in PAIRS:
    if len([n for n in QUICK[_kind] if (n in VECTORS) == (_name in VECTORS)]) == 0:
        QUICK[_kind].append(_name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param(name, kind, marks=[] if name in QUICK[kind] else pytest.mark.slow) for name, kind in PAIRS],
)
def test_samples_do_not_depend_on_the_batch(models, monkeypatch, name, kind):
    """Other batches differ in the number and the labels of samples."""
    much = STRENGTHS.get(kind, 2.0)
    wanted = "A" if kind in BY_REWARD else ["A", "T"] * 5
    ten, among = models.generate(kind, name, 10, wanted, much), both_ways(models, name, kind)
    if kind in BY_REWARD:
        assert ten == among[0][:10]
    else:
        assert (ten[::2], ten[1::2]) == (among[0][:5], among[1][:5])
        assert models.generate(kind, name, 3, "A", much)[::2] == ten[:4:2]
    monkeypatch.setattr(SequenceModel, "denoiser", lambda self: Denoiser(self.network, 1))
    monkeypatch.setattr(classifier, "AT_ONCE", 7)
    four = wanted if kind in BY_REWARD else wanted[:4]
    assert models.generate(kind, name, 4, four, much) == ten[:4]
    assert models.generate(kind, name, 4, four, much, random_state=1) != ten[:4]


@pytest.mark.parametrize(("name", "kind"), [("masked", "feynman-kac"), ("autoregressive", "svdd"), ("scud", "nos")])
def test_samples_do_not_depend_on_rows_at_once(models, monkeypatch, name, kind):
    """For more rows than one random generator serves."""
    n = 80 if kind in BY_REWARD else 300
    settings = {"guidance": models.guide(kind, name, "A", 1.0), "steps": STEPS, "random_state": 0}
    one_by_one = models.generator(name).generate(n, **settings)
    monkeypatch.setattr(runtime, "rows_at_once", lambda device, width=1: 512)
    assert models.generator(name).generate(n, **settings) == one_by_one


@pytest.mark.parametrize(
    ("name", "kind"),
    [("scud", "first-order"), ("masked", "exact"), ("dirichlet", "first-order"), ("autoregressive", "fudge"),
     ("multinomial", "nos"), ("embedding", "latent")],
)  # fmt: skip
def test_a_regressor_steers_to_values(models, name, kind):
    """Each sample has a target of its own."""
    each = models.generate(kind, name, 2 * MANY, [0.0, 0.7] * MANY, STRENGTHS.get(kind, 2.0), values=True)
    assert share(each[::2]) + LEAST < share(each[1::2])


@pytest.mark.parametrize(("name", "kind"), SOME)
def test_strength_may_be_a_function_of_progress(models, name, kind):
    """A constant function equals the number; guidance in the second half alone has a smaller effect."""
    much, moments = STRENGTHS.get(kind, 2.0), []
    always = models.generate(kind, name, 10, ["A", "T"] * 5, much)
    assert models.generate(kind, name, 10, ["A", "T"] * 5, lambda progress: moments.append(progress) or much) == always
    assert min(moments) == 0 and max(moments) == 1 and len(set(moments)) >= 6
    if kind != "free":  # which would make that half follow nothing
        half = models.generate(kind, name, 2 * MANY, "A", lambda progress: much * (progress >= 0.5))[::2]
        assert share(unguided(models, name)[::2]) < share(half) < share(both_ways(models, name, kind)[0])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in VARIANTS else []) for name in MAKERS]
)
def test_guides_combine_under_a_template(models, name):
    """A classifier and a reward with different targets both have an effect, and the template is satisfied."""
    model, kind = models.generator(name), next(k for k in ("fudge", "exact", "first-order") if (name, k) in PAIRS)
    many_g = Reward(lambda s: [x.count("G") for x in s], 2.0, particles=4)
    both = [models.guide(kind, name, "A", 2.0), many_g]
    settings = {"random_state": 0, "steps": STEPS}
    plain = model.generate(MANY, template="TTNNNN", **settings)
    found = model.generate(MANY, template="TTNNNN", guidance=both, **settings)
    assert all(x.startswith("TT") for x in found)
    g = lambda samples: sum(x.count("G") for x in samples) / MANY  # noqa: E731
    one = model.generate(MANY, template="TTNNNN", guidance=both[0], **settings)
    assert share(found) > share(plain) + 0.05 and g(found) > g(one) + 0.1
    assert model.generate(5, template="TTNNNN", guidance=Chain(both), **settings) == found[:5]
    free = [ClassifierFree(1.5), models.guide(kind, name, "A", 1.0)]
    alone = share(model.generate(MANY, y="T", guidance=free[0], **settings))
    assert share(model.generate(MANY, y="T", guidance=free, **settings)) > alone + 0.02


@pytest.mark.parametrize(("name", "kind"), [pair for pair in SHIFTED if pair in SOME])
def test_kl_weight_keeps_the_unguided_letters(models, name, kind):
    """A large KL weight changes less; zero steps change nothing."""
    cls, classifier = {"nos": NOS, "pplm": PPLM}[kind], models.classifier(name, True)
    model, settings = models.generator(name), {"random_state": 0, "steps": STEPS}
    plain = "".join(unguided(models, name)[:MANY])

    def kept(**options):
        guide = cls(classifier, "A", 16.0, **{"lr": 1.0} | options)
        text = "".join(model.generate(MANY, guidance=guide, **settings))
        return float(np.mean([a == b for a, b in zip(text, plain, strict=True)]))

    assert kept(kl=0.0) + 0.02 < kept(kl=1000.0) and kept(steps=0) == 1
    assert kept(lr=0.0) > 0.98  # but for rounding


def test_fudge_may_be_limited_to_top_letters(models):
    """top_k=1 is deterministic; top_k of all letters changes nothing."""
    model, classifier = models.generator("autoregressive"), models.classifier("autoregressive")
    one = model.generate(10, guidance=FUDGE(classifier, "A", 2.0, top_k=1), random_state=0)
    assert set(one) == set(model.generate(3, temperature=1e-4, random_state=1))
    two = model.generate(MANY, guidance=FUDGE(classifier, "A", 0.0, top_k=2), random_state=0)
    assert len({x[0] for x in two}) == 2 < len({x[0] for x in unguided(models, "autoregressive")})
    every, free = (model.generate(10, guidance=FUDGE(classifier, "A", 2.0, top_k=k), random_state=0) for k in (4, None))
    assert every == free == model.generate(10, guidance=FUDGE(classifier, "A", 2.0, top_k=9), random_state=0)


def test_exact_guide_evaluates_only_free_positions(models, monkeypatch):
    """With one free position, at most one evaluation per letter."""
    classifier, asked = models.classifier("first-hitting"), []
    inner = classifier.log_likelihood
    monkeypatch.setattr(classifier, "log_likelihood", lambda x, *rest: asked.append(len(x)) or inner(x, *rest))
    model, guide = models.generator("first-hitting"), ClassifierBased(classifier, "A", exact=True)
    model.generate(1, guidance=guide, template="NAAAAA", random_state=0)
    one = sum(asked)
    asked.clear()
    model.generate(1, guidance=guide, random_state=0)
    assert 0 < one <= 4 * LENGTH and sum(asked) > 2 * one


@pytest.mark.parametrize(("gamma", "calls"), [(1.0, 1), (0.0, 1), (2.0, 2)])
def test_classifier_free_calls_the_network_twice_only_when_needed(models, monkeypatch, gamma, calls):
    model, asked = models.generator("uniform"), []
    forward = model.objective_.network.forward
    monkeypatch.setattr(model.objective_.network, "forward", lambda *args: asked.append(1) or forward(*args))
    model.generate(3, y="A", guidance=ClassifierFree(gamma), steps=5, random_state=0)
    assert len(asked) == 5 * calls


@pytest.mark.parametrize("gamma", [3.0, -3.0])
@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [("first-hitting", "nos", "ATA"), ("uniform", "nos", "ATA"), ("autoregressive", "pplm", "ATA"),
     ("autoregressive", "pplm", (0.1, 0.5, 0.9))],
)  # fmt: skip
def test_hidden_states_move_by_adagrad(models, name, kind, wanted, gamma):
    """Against explicit gradient steps, one sequence at a time."""
    model, wanted, values = models.generator(name), list(wanted), not isinstance(wanted, str)
    process, network = model.objective_.process, model.objective_.network
    guide = models.guide(kind, name, wanted, gamma, values).bind(model.fitted(), 3, None).take(torch.arange(3))
    head, distribution, labels = guide.head, guide.classifier.reader_.distribution, guide.classifier.encode(wanted)
    x, mask = torch.randint(4, (3, LENGTH), generator=torch.Generator().manual_seed(0)), torch.ones(3, LENGTH) == 1
    if kind == "nos":
        state = process.corrupt(x, torch.full((3,), 0.5, dtype=torch.float64), mask, torch.Generator().manual_seed(1))
    else:
        state = process.prior(mask, torch.Generator()).replace(x=x, t=torch.full((3,), 2))
    asked = Denoiser(network)
    predict = lambda c: process.predict(asked if c.shift is None else asked.shifted(c.shift), c.state, c.cond)  # noqa: E731
    context = StepContext(process, state, None, None, 0.0, None)
    with torch.no_grad():
        plain, found = process.predict(network, state, None), guide.clean(predict, context)
    for row in range(3):
        one = state.take(torch.tensor([row]))
        shown = (process.inputs(one.x), torch.zeros(1)) if kind == "pplm" else process.network_input(one)
        h = network.hidden(*shown, None, one.mask).detach()
        d = torch.zeros_like(h, requires_grad=True)
        adagrad = torch.optim.Adagrad([d], lr=guide.lr * abs(gamma))
        moved = lambda *_: network.head(h + d * h.square().mean(-1, keepdim=True).sqrt())  # noqa: B023, E731
        for _ in range(guide.steps):
            adagrad.zero_grad()
            after = process.predict(moved, one, None)
            sure, there = plain[row : row + 1].exp(), plain[row : row + 1] > -torch.inf
            if kind == "nos":
                t = process.network_input(process.settled(one.x % 4, one.mask))[1]
                read = torch.nn.functional.pad(after.exp(), (0, process.states - 4))
            else:
                t = torch.zeros(1)
                start = torch.nn.functional.one_hot(torch.tensor([[process.letters]]), 5)
                read = torch.cat([start, torch.nn.functional.pad(after.exp(), (0, 1))[:, :3]], 1)
            total = head.head(network.hidden(read.float(), t, None, None)).sum(1)
            log_p = distribution.log_prob(total, torch.tensor([read.shape[1]]), labels[row : row + 1])[0]
            kl = (sure[there] * (plain[row : row + 1][there] - after[there])).sum()
            (-np.sign(gamma) * log_p + guide.kl * kl).backward()
            adagrad.step()
        wanted_now = process.predict(moved, one, None).detach()[0]
        assert torch.allclose(found[row].exp(), wanted_now.exp(), atol=1e-4)
    assert float((found.exp() - plain.exp()).abs().max()) > 0.01


@pytest.mark.parametrize(("name", "kind"), SHIFTED)
def test_hidden_states_of_fixed_positions_have_no_effect(models, name, kind):
    whole = models.generator(name).generate(
        2, template="ACGTAC", guidance=models.guide(kind, name, "A", 1.0), steps=STEPS, random_state=0
    )
    assert whole == ["ACGTAC"] * 2


def test_two_nos_or_pplm_guides_combine(models):
    """Each has its own classifier, and both have an effect."""
    for name, kind in SHIFTED:
        if name in ("first-hitting", "autoregressive"):
            model, settings = models.generator(name), {"random_state": 0, "steps": STEPS}
            one = models.guide(kind, name, "A", 1.0)
            against = models.guide(kind, name, "T", 1.0)
            alone, both = (model.generate(MANY, guidance=g, **settings) for g in (one, [one, against]))
            assert share(unguided(models, name)[:MANY]) < share(alone) and share(both) < share(alone)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: m.generator("masked").generate(2, guidance=m.guide("fudge", "autoregressive", "A", 1.0)),
         "got FUDGE for MaskedDiffusion, expected a guide that can steer it; give ClassifierBased"),
        (lambda m: m.generator("masked").generate(2, guidance=m.guide("pplm", "autoregressive", "A", 1.0)),
         "got PPLM for MaskedDiffusion, expected a guide that can steer it; give NOS"),
        (lambda m: m.generator("autoregressive").generate(2, guidance=m.guide("nos", "masked", "A", 1.0)),
         "got NOS for Autoregressive, expected a guide that can steer it; give PPLM"),
        (lambda m: m.generator("autoregressive").generate(2, guidance=m.guide("exact", "masked", "A", 1.0)),
         "got ClassifierBased for Autoregressive, expected a guide that can steer it; give FUDGE"),
        (lambda m: m.generator("dirichlet").generate(2, guidance=m.guide("latent", "embedding", "A", 1.0)),
         "got LatentClassifier for DirichletFM, expected a guide that can steer it; give ClassifierBased"),
        (lambda m: m.generator("uniform").generate(2, guidance=m.guide("exact", "masked", "A", 1.0)),
         "classifier: got one of the noise of Masked, expected one of the noise of Uniform"),
        (lambda m: m.generator("masked").generate(2, guidance=m.guide("nos", "uniform", "A", 1.0)),
         "classifier: got one of another model, expected one of the hidden states of this very model"),
        (lambda m: m.generator("masked").generate(2, guidance=ClassifierBased(m.clean, "A")),
         "classifier: got one of no noise, expected one of the noise of Masked"),
        (lambda m: m.generator("autoregressive").generate(2, guidance=FUDGE(m.clean, "A")),
         "classifier: got one of no noise, expected one of the noise of Autoregressive"),
        (lambda m: m.generator("masked").generate(2, guidance=ClassifierFree()), "y: got None, expected a condition"),
        (lambda m: m.plain.generate(2, guidance=ClassifierFree()), "fitted with labels, unlike this one; fit(X, y)"),
        (lambda m: m.generator("masked").generate(2, guidance=[Reward(share_of_a), Reward(share_of_a)]),
         "guidance: got Reward and Reward, expected one guide that chooses among the rows"),
        (lambda m: m.generator("autoregressive").generate(
            2, guidance=[LookAhead(), Reward(share_of_a)], template="NNNNNA"),
         "guidance: got Reward and LookAhead, expected one guide"),
        (lambda m: m.generator("autoregressive").generate(
            2, guidance=[LookAhead(4), LookAhead(8)], template="NNNNNA"), "guidance: got 2 LookAhead"),
        (lambda m: m.generator("autoregressive").generate(2, guidance=LookAhead()), "template: got None, expected a"),
        (lambda m: m.generator("masked").generate(2, y="A", guidance=2.0), "guidance: got 2.0, expected objects of"),
        (lambda m: m.generator("masked").generate(2, guidance=share_of_a),
         "guidance: got share_of_a, expected objects of seqdiff.guidance; give Reward(function)"),
        (lambda m: ClassifierFree(lambda progress: None), "gamma: got None at progress 0, expected finite numbers"),
        (lambda m: m.generator("masked").generate(2, y="A", guidance=ClassifierFree(lambda p: np.nan if p else 1)),
         "gamma: got nan at progress"),
        (lambda m: m.generator("masked").generate(2, guidance=Reward(lambda s: None)),
         "reward <lambda>: got nothing"),
        (lambda m: m.generator("masked").generate(2, guidance="free"), "guidance: got free, expected objects of"),
        (lambda m: m.generator("masked").generate(2, guidance=ClassifierFree),
         "expected objects of seqdiff.guidance; give one that was made, ClassifierFree(...)"),
        (lambda m: m.generator("masked").trajectory(200, guidance=Reward(share_of_a, particles=4)), "from 1 to 64"),
        (lambda m: m.generator("masked").generate(2, guidance=Reward(lambda s: [0.0])),
         "reward <lambda>: got shape (1,), expected one number for each of "),
        (lambda m: m.generator("masked").generate(2, guidance=Reward(lambda s: s)), "something else than numbers"),
        (lambda m: m.generator("masked").generate(2, guidance=Reward(lambda s: [np.nan] * len(s))), "nan or inf"),
        (lambda m: m.generator("masked").generate(2, guidance=Reward(lambda s: [np.inf] * len(s))), "nan or inf"),
        (lambda m: Reward("count"), "fn: got 'count'"),
        (lambda m: Reward([]), "fn: got []"),
        (lambda m: Reward(share_of_a, weights=[1, 2]), "weights: got 2 numbers, expected one for each of 1 functions"),
        (lambda m: Reward(share_of_a, np.nan), "strength: got nan"),
        (lambda m: Reward(share_of_a, particles=3), "particles: got 3, expected a power of two"),
        (lambda m: Reward(share_of_a, particles=512), "particles: got 512, expected a power of two"),
        (lambda m: LookAhead(3), "particles: got 3, expected a power of two"),
        (lambda m: Reward(share_of_a, method="best"), "method: got 'best', expected 'feynman-kac' or 'svdd'"),
        (lambda m: Reward(share_of_a, checks=0), "checks: got 0"),
        (lambda m: ClassifierFree("much"), "gamma: got 'much'"),
        (lambda m: FUDGE(m.classifier("autoregressive"), "A", top_k=0), "top_k: got 0"),
        (lambda m: FUDGE(m.classifier("autoregressive"), "A", gamma=None), "gamma: got None"),
        (lambda m: PPLM(m.classifier("autoregressive"), "A"), "expected one of hidden states for PPLM; fit it with"),
        (lambda m: NOS(m.classifier("masked", True), "A", lr=-1), "lr: got -1"),
        (lambda m: NOS(m.classifier("masked", True), "A", kl=-1), "kl: got -1"),
        (lambda m: NOS(m.classifier("masked", True), "A", steps=0.5), "steps: got 0.5"),
        (lambda m: ClassifierBased(m.generator("masked"), "A"), "classifier: got a MaskedDiffusion"),
        (lambda m: ClassifierBased(SequenceClassifier(), "A"), "not fitted"),
        (lambda m: ClassifierBased(m.classifier("masked", True), "A").bind(m.generator("masked").fitted(), 2, None),
         "classifier: got one of hidden states, expected one of noised sequences"),
        (lambda m: ClassifierBased(m.regressor("masked"), "A"), "'A'"),
        (lambda m: m.generator("masked").generate(3, guidance=m.guide("exact", "masked", ["A", "T"], 1.0)),
         "y: got 2 for ClassifierBased, expected one, or 3"),
        (lambda m: LatentClassifier("embedding", "A"), "classifier: got 'embedding'"),
    ],
)  # fmt: skip
def test_errors_are_raised_before_sampling(models, tmp_path, make, message):
    small = {k: v for k, v in SMALL.items() if k != "diffusion_steps"}
    models.plain = models._once("plain", lambda: MaskedDiffusion(**small | {"epochs": 1}).fit(sequences(20, LENGTH)))
    models.clean = models._once("clean", lambda: SequenceClassifier(width=8, depth=1, epochs=1).fit(*labelled()))
    with pytest.raises(ValueError) as caught:
        make(models)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_reward_warns_of_unavoidable_samples(models):
    with pytest.warns(UserWarning, match="2 of 2 samples made together have the reward -inf"):
        assert len(models.generator("masked").generate(2, guidance=Reward(lambda s: [-np.inf] * len(s)))) == 2
