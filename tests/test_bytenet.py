"""ByteNet: blocks against a slow version, receptive field, causality, event counts, published sizes."""

from __future__ import annotations

import math

import pytest
import torch
from small_models import seeded
from torch import nn
from torch.nn import functional as F

from seqdiff import Autoregressive, MaskedDiffusion, MultinomialDiffusion
from seqdiff.networks import NETWORKS, PRESETS, ByteNet, Conditions, Network, build_network
from seqdiff.networks.bytenet import ByteNetBlock, doubling_dilations
from seqdiff.processes import Batch, Multinomial

LENGTH = 40


def randomised(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval().requires_grad_(False)


def make(fixed: bool = False, conditions: Conditions | None = None, length: int = LENGTH, **options) -> ByteNet:
    options = {"width": 16, "depth": 4, "context_width": 8, **options}
    return randomised(ByteNet(4, 4, length, conditions or Conditions(), fixed, **options)).double()


def letters(rows: int = 3, length: int = LENGTH, seed: int = 0) -> torch.Tensor:
    return torch.randint(4, (rows, length), generator=seeded(seed))


def counts(rows: int = 3, length: int = LENGTH) -> torch.Tensor:
    """Event counts in the form of a network's input."""
    drawn = torch.randint(0, 30, (rows, length), generator=seeded(7)).double()
    return torch.log1p(drawn) / math.log1p(1e5)


def changed_at(net: Network, x: torch.Tensor, t: torch.Tensor, i: int, what: str) -> list[int]:
    """Return the positions whose logits move when letter i, or its event count, is another one."""
    other_x, other_t = x.clone(), t.clone()
    if what == "letter":
        other_x[:, i] = (x[:, i] + 1) % 4
    else:
        other_t[:, i] = t[:, i] + 0.3
    moved = (net(other_x, other_t) - net(x, t)).abs().amax((0, 2)) > 0
    return moved.nonzero()[:, 0].tolist()


@pytest.mark.parametrize("causal", [False, True])
def test_block_equals_the_published_one(causal):
    block = randomised(ByteNetBlock(6, 4, kernel=5, dilation=2, dropout=0.5, causal=causal))
    h, context = torch.randn(2, 13, 6, generator=seeded()), torch.randn(2, 13, 4, generator=seeded(1))
    mask = torch.arange(13) < torch.tensor([[13], [8]])

    def norm(x: torch.Tensor, layer: nn.LayerNorm) -> torch.Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias

    def linear(x: torch.Tensor, layer: nn.Linear) -> torch.Tensor:
        return x @ layer.weight.T + layer.bias

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))

    y = linear(gelu(norm(h, block.norm1)), block.down)
    shift, scale = linear(context, block.film).split(3, -1)
    y = gelu(norm(y * (1 + scale) + shift, block.norm2)) * mask[..., None]
    convolved = torch.zeros(2, 13, 3) + block.conv.conv.bias
    offsets = [-8, -6, -4, -2, 0] if causal else [-4, -2, 0, 2, 4]
    for i in range(13):
        for tap, offset in enumerate(offsets):
            if 0 <= i + offset < 13:
                convolved[:, i] += y[:, i + offset] @ block.conv.conv.weight[:, :, 0, tap].T
    slow = h + linear(gelu(norm(convolved, block.norm3)), block.up)
    assert torch.allclose(block(h, context, mask), slow, atol=1e-5)
    assert block.conv.conv.in_channels == block.conv.conv.out_channels == 3  # half the width


def test_dilations_double_and_restart():
    assert doubling_dilations(18, 5, 1000) == [1, 2, 4, 8, 16, 32, 64, 128] * 2 + [1, 2]
    assert doubling_dilations(4, 5, 1) == [1, 1, 1, 1]
    for length in (2, 3, 5, 33, 50, 256, 257):  # all, and only, those with which two positions can see each other
        useful = [d for d in (1, 2, 4, 8, 16, 32, 64, 128) if 2 * d <= length - 1] or [1]
        assert sorted(set(doubling_dilations(12, 5, length))) == useful
    assert [block.conv.dilation for block in make(length=1000, depth=9).blocks] == doubling_dilations(9, 5, 1000)


@pytest.mark.parametrize("what", ["letter", "count"])
@pytest.mark.parametrize("causal", [False, True])
def test_receptive_field_follows_from_the_dilations(what, causal):
    """Blocks of dilations 1, 2, 4, each with taps up to 2 dilations away, or 4 behind where it is causal."""
    net, x, t = make(depth=3, causal=causal), letters(), counts()
    reach = 2 * (1 + 2 + 4)
    for i in (0, 20, 39):
        seen = range(i, min(LENGTH, i + 2 * reach + 1)) if causal else range(max(0, i - reach), i + reach + 1)
        assert changed_at(net, x, t, i, what) == [j for j in seen if j < LENGTH]


def test_no_gradient_comes_from_later_letters():
    net, t = make(causal=True, fixed=True), counts(1)
    x = F.one_hot(letters(1), 4).double().requires_grad_()
    net(x, t)[0, 17].sum().backward()
    seen = x.grad.abs().amax((0, 2)) > 0
    assert not seen[18:].any() and seen[17] and seen[0]


@pytest.mark.parametrize("fixed", [True, False])
def test_incremental_decoding_equals_full_forward_pass(fixed):
    conditions = Conditions(classes=2, values=1, channels=2)
    net, n = make(causal=True, fixed=fixed, conditions=conditions, depth=6), 5
    cond = {
        "label": torch.arange(n) % 2,
        "value": torch.randn(n, 1, generator=seeded()),
        "signal": torch.randn(n, LENGTH, 2, generator=seeded()),
        "keep": torch.arange(n) % 3 > 0,
    }
    x = letters(n)
    for given in (None, cond):
        full, cache = net(x, torch.zeros(n), given), None
        assert full.std() > 0.1
        for i in range(LENGTH):
            logits, cache = net.advance(x[:, i], i, given, cache)
            assert torch.allclose(logits, full[:, i], atol=1e-10)
            assert {len(v) for v in cache.values()} == {n}
    with pytest.raises(ValueError, match="make it with causal=True"):
        make().advance(x[:, 0], 0)


@pytest.mark.parametrize("training", [False, True])
def test_padding_does_not_leak(training):
    """Neither its letters nor its counts nor its width change any logit."""
    net, x, t = make(dropout=0.3 if training else 0.0).train(training), letters(4), counts(4)
    mask = torch.arange(LENGTH) < torch.tensor([[40], [23], [7], [1]])

    def run(x: torch.Tensor, t: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return net(x, t, None, mask)

    out = run(x, t, mask)
    scrambled = run(torch.where(mask, x, 3 - x), torch.where(mask, t, 1 - t), mask)
    assert torch.equal(scrambled[mask], out[mask])
    assert out.isfinite().all()
    assert not torch.allclose(net(x, t)[mask], out[mask])  # without the mask it would
    if not training:
        assert torch.allclose(net(x[1:2, :23], t[1:2, :23]), out[1:2, :23], atol=1e-12)


def test_equal_event_counts_equal_a_scalar_time():
    net, x = make(fixed=True), letters()
    assert torch.allclose(net(x, torch.full((3, LENGTH), 0.2)), net(x, torch.full((3,), 0.2)), atol=1e-12)
    assert not torch.allclose(net(x, torch.full((3,), 0.3)), net(x, torch.full((3,), 0.2)))


def test_initial_logits_are_letter_frequencies_at_any_time():
    frequencies = torch.log_softmax(torch.randn(LENGTH, 4, generator=seeded()), -1)
    x, n = letters(), 3
    for fixed in (True, False):
        torch.manual_seed(0)
        net = ByteNet(4, 4, LENGTH, Conditions(), fixed, width=16, depth=3).eval()
        net.start_at(frequencies)
        expected = frequencies if fixed else frequencies.exp().mean(0).log()
        assert torch.allclose(net(x, counts().float()), expected.expand(n, LENGTH, 4), atol=1e-6)
        # what lies before the head sees the letters, but not yet the counts
        hidden = net.hidden(x, torch.zeros(n))
        assert torch.equal(net.hidden(x, counts().float()), hidden)
        assert not torch.allclose(net.hidden(letters(seed=1), torch.zeros(n)), hidden)
        # and what will tell them is reached by gradients as soon as the head is not zero
        nn.init.normal_(net.out.weight)
        net(x, counts().float()).square().sum().backward()
        films = [net.film, *(block.film for block in net.blocks)]
        for film in films:
            assert film.weight.grad.abs().sum() > 0 and film.bias.grad.abs().sum() > 0


def test_loss_falls_and_every_parameter_gets_a_gradient():
    process, length = Multinomial(4, 10), 6
    torch.manual_seed(0)
    net = ByteNet(4, 4, length, Conditions(), False, width=16, depth=2)
    mask = torch.arange(length) < torch.tensor([6, 6, 4, 2] * 64)[:, None]
    x0 = (torch.randint(4, (256, 1), generator=seeded()) + torch.arange(length)) % 4  # each letter follows the last
    optimizer, losses = torch.optim.Adam(net.parameters(), 1e-2), []
    for step in range(40):
        loss = (process.loss(net, Batch.of(x0, mask), seeded(step)) / mask.sum(-1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step == 2:
            silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert [n for n in silent if not n.startswith("condition")] == []
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


def test_dropout_is_off_in_evaluation():
    net, x, t = make(dropout=0.5), letters(), counts()
    assert torch.equal(net(x, t), net(x, t))
    assert torch.equal(net(x, t), make(dropout=0.0)(x, t))
    assert not torch.equal(net.train()(x, t), net(x, t))


def test_half_precision_is_close_to_float32():
    net, x, t = make(depth=2).float(), letters(), counts().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net.hidden(x, t).dtype == torch.bfloat16
        out = net(x, t)
    assert torch.allclose(out.float(), net(x, t), atol=0.1 * float(net(x, t).std()))


def test_too_small_a_width_is_refused():
    with pytest.raises(ValueError, match="width: got 3, expected at least 4"):
        make(width=3)


# -- sizes of the papers ----------------------------------------------------------------------------------------------


def size(name: str, vocabulary: int, length: int = 128, **options) -> float:
    with torch.device("meta"):
        network = build_network(
            name,
            options,
            states=vocabulary,
            letters=vocabulary,
            length=length,
            conditions=Conditions(),
            fixed_length=False,
        )
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("name", "d", "blocks"), [("tiny", 512, 8), ("small", 768, 12), ("medium", 1024, 24)])
def test_transformers_have_the_sizes_of_mdlm_and_udlm(name, d, blocks):
    """Attention 4 d^2, two layers 8 d^2, modulations from 128 numbers, norms, biases; embedding and head of d."""
    paper = blocks * (12 * d**2 + (4 * d + d) + 2 * d + 129 * 6 * d) + d + 129 * 2 * d + 2 * 40 * d + 256 * 128 + 128**2
    assert size(f"transformer-{name}", 40) == pytest.approx(paper, rel=0.015)  # and a vector for each place
    network, options = PRESETS[f"transformer-{name}"]
    assert options["width"] // options["heads"] == 64


def test_carp_has_its_published_size():
    block = (2 * 1024 + 1024 * 512 + 512) + (2 * 512 + 5 * 512**2 + 512) + (2 * 512 + 512 * 1024 + 1024)
    carp = 16 * block + 31 * 1024 + 2 * 1024 + 1024 * 31 + 31
    assert carp == pytest.approx(37.9e6, rel=1e-3)  # as published: 38 million
    assert size("bytenet-carp", 31, length=1024) == pytest.approx(47e6, rel=0.03)  # and what the event counts take
    with torch.device("meta"):
        network = build_network(
            "bytenet-carp", {}, states=31, letters=31, length=1024, conditions=Conditions(), fixed_length=False
        )
    conditioning = [p for name, p in network.named_parameters() if name.split(".")[0] in ("time", "condition", "film")]
    conditioning += [p for name, p in network.named_parameters() if name.startswith("blocks") and ".film." in name]
    # the same embeddings, blocks and head as CARP's, but for the bias of the letters
    assert size("bytenet-carp", 31, length=1024) - sum(p.numel() for p in conditioning) - 31 == carp
    assert [block.conv.dilation for block in network.blocks] == [2**i for i in range(8)] * 2


def test_sizes_given_beside_a_preset_override_it():
    for name in PRESETS:
        assert size(name, 4, width=96, depth=1) < 3e5 < size(name, 4, width=96) < size(name, 4)
    assert size("transformer-small", 4, width=None, heads=None) == size("transformer-small", 4)
    with pytest.raises(ValueError, match="width: got 100, expected a multiple of 24, twice heads=12"):
        size("transformer-small", 4, width=100)
    with pytest.raises(ValueError, match="'bytenet'.*'transformer-tiny'.*'bytenet-carp'"):
        size("bytenet-crap", 4)


@pytest.mark.parametrize("name", ["transformer-tiny", "transformer-small", "transformer-medium"])
@pytest.mark.parametrize("estimator", [Autoregressive, MaskedDiffusion, MultinomialDiffusion])
def test_estimators_keep_the_heads_of_a_preset(estimator, name):
    """A value given by the user overrides it."""
    heads = PRESETS[name][1]["heads"]
    build = {"states": 4, "letters": 4, "length": 8, "conditions": Conditions(), "fixed_length": True}
    with torch.device("meta"):
        model = estimator(network=name, depth=1)
        assert build_network(name, model.network_settings(), **build).heads == heads
        if "heads" in model.get_params():
            model.set_params(heads=2)
            assert build_network(name, model.network_settings(), **build).heads == 2


def test_a_preset_is_trained_and_loaded_by_its_name(tmp_path):
    options = {"width": 16, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0, "random_state": 0}
    data = ["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"]
    for estimator, name in ((Autoregressive, "bytenet"), (MaskedDiffusion, "bytenet-carp")):
        model = estimator(network=name, **options).fit(data)
        model.save(tmp_path / "m.safetensors")
        again = estimator.load(tmp_path / "m.safetensors")
        assert again.network == name and isinstance(again.objective_.network, ByteNet)
        assert again.generate(5, random_state=1) == model.generate(5, random_state=1)
    assert set(PRESETS) < set(NETWORKS)
