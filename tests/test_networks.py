"""Networks: published sizes, equivalences, and independence of padding."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqdiff.networks import Conditions, ConvNet, LinearTransformer, build_network
from seqdiff.networks.convnet import SequenceConvolution
from seqdiff.networks.layers import ConditionEmbedding, InputAdapter, TimeEmbedding

SIZES = {"states": 4, "letters": 4, "length": 50, "conditions": Conditions(), "fixed_length": True}
SMALL = {"width": 32, "depth": 2, "heads": 4, "local_heads": 2}


def randomised(network: nn.Module) -> nn.Module:
    """Give every weight, also those that start at zero, something to do."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


def test_linear_transformer_has_the_size_that_gpro_publishes():
    with torch.device("meta"):
        network = build_network("linear-transformer", {}, **SIZES)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(51.5e6, rel=1e-3)


def test_linear_transformer_starts_at_the_uniform_distribution():
    network = build_network("linear-transformer", SMALL, **SIZES)
    assert network(torch.randint(4, (2, 50)), torch.rand(2)).abs().max() == 0


@pytest.mark.parametrize(("length", "window"), [(50, 25), (53, 25), (7, 25), (24, 5), (26, 5)])
def test_linear_transformer_takes_any_length(length, window):
    network = randomised(LinearTransformer(4, 4, length, Conditions(), True, local_size=window, **SMALL))
    x, t = torch.randint(4, (3, length)), torch.rand(3)
    out = network(x, t)
    assert out.shape == (3, length, 4) and out.isfinite().all()
    # every letter depends on every other, at the ends as in the middle
    for i in (0, length // 2, length - 1):
        changed = x.clone()
        changed[:, i] = (changed[:, i] + 1) % 4
        assert ((network(changed, t) - out).abs().amax(-1) > 0).all()


@pytest.mark.parametrize("name", ["conv", "bytenet", "linear-transformer", "unet"])
def test_time_and_condition_reach_the_output(name):
    conditions = Conditions(classes=3, values=2, channels=1)
    network = randomised(build_network(name, SMALL, **{**SIZES, "conditions": conditions}))
    x = torch.randint(4, (2, 50))
    cond = {
        "label": torch.tensor([0, 1]),
        "value": torch.zeros(2, 2),
        "signal": torch.zeros(2, 50, 1),
        "keep": torch.tensor([True, True]),
    }
    base = network(x, torch.tensor([0.1, 0.1]), cond)
    assert not torch.allclose(network(x, torch.tensor([0.2, 0.2]), cond), base)
    signal = torch.zeros(2, 50, 1)
    signal[:, 20] = 1
    for other in ({"label": torch.tensor([2, 2])}, {"value": torch.ones(2, 2)}, {"signal": signal}):
        assert not torch.allclose(network(x, torch.tensor([0.1, 0.1]), {**cond, **other}), base)
    dropped = network(x, torch.tensor([0.1, 0.1]), {**cond, "keep": torch.tensor([False, False])})
    assert torch.allclose(dropped, network(x, torch.tensor([0.1, 0.1]), None), atol=1e-5)


def test_sequence_convolution_equals_conv1d():
    conv = SequenceConvolution(8, kernel=5, dilation=3)
    x = torch.randn(2, 20, 8)
    plain = F.conv1d(x.transpose(1, 2), conv.conv.weight.squeeze(2), conv.conv.bias, padding=6, dilation=3)
    assert torch.allclose(conv(x), plain.transpose(1, 2), atol=1e-5)


def test_conv_starts_at_the_letter_frequencies_given():
    network = ConvNet(4, 4, 6, Conditions(), True, width=8, depth=1)
    frequencies = torch.log_softmax(torch.randn(6, 4), -1)
    network.start_at(frequencies)
    assert torch.allclose(network(torch.randint(4, (3, 6)), torch.rand(3)), frequencies.expand(3, 6, 4), atol=1e-6)


def test_letters_and_one_hot_vectors_have_equal_embeddings():
    adapter, x = InputAdapter(5, 7), torch.randint(5, (2, 3))
    assert torch.allclose(adapter(x), adapter(F.one_hot(x, 5).float()), atol=1e-6)


def test_times_of_sequences_and_of_letters():
    embed = TimeEmbedding(8)
    assert embed(torch.rand(3)).shape == (3, 1, 8)
    counts = torch.randint(9, (3, 5))
    assert torch.allclose(embed(counts)[:, 2], embed(counts[:, 2])[:, 0])


def scaled(counts: torch.Tensor) -> torch.Tensor:
    """Event counts in the form of a network input; see `TimeEmbedding`."""
    return torch.log1p(counts.float()) / math.log1p(1e5)


def test_event_counts_have_distinct_embeddings():
    """Small counts differ from their neighbours, large ones by ratio, in any integer or float type."""
    torch.manual_seed(0)
    embed = TimeEmbedding(64)
    with torch.no_grad():
        far = (embed(torch.rand(2000)) - embed(torch.rand(2000))).norm(dim=-1).mean()

        def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (embed(scaled(a)) - embed(scaled(b))).norm(dim=-1).flatten() / far

        small = torch.arange(8)
        assert (distance(small, small + 1) > 0.4).all()
        all_pairs = (embed(scaled(small)) - embed(scaled(small)).transpose(0, 1)).norm(dim=-1) / far
        assert (all_pairs[~torch.eye(8, dtype=torch.bool)] > 0.4).all()
        large = torch.tensor([100, 1_000, 10_000, 80_000])
        assert (distance(large, (1.2 * large).long()) > 0.4).all()
        assert (distance(large, large + large // 1000) < 0.1).all()  # and what hardly differs is alike
        assert torch.equal(embed(scaled(large.double())), embed(scaled(large)))


@pytest.mark.parametrize(
    ("name", "fixed"),
    [*itertools.product(["conv", "transformer", "bytenet", "linear-transformer"], [True, False]), ("unet", True)],
)
def test_every_network_takes_event_counts_of_positions(name, fixed):
    """Values at padding have no effect, and equal counts are one time."""
    length = 11
    options = {"width": 32, "depth": 2, "heads": 4, "local_heads": 2, "local_size": 4}
    network = randomised(build_network(name, options, **{**SIZES, "length": length, "fixed_length": fixed}))
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(4, (3, length), generator=generator)
    counts = torch.randint(100_000, (3, length), generator=generator)
    mask = torch.arange(length) < torch.tensor([[11], [6], [1]]) if not fixed else torch.ones(3, length).bool()
    with torch.no_grad():
        out = network(x, scaled(counts), None, mask)
        assert out.isfinite().all()
        other = torch.where(mask, counts, 5)
        assert torch.allclose(network(x, scaled(other), None, mask)[mask], out[mask], atol=1e-5)
        other[0, 4] += 9
        moved = (network(x, scaled(other), None, mask) - out).abs().amax(-1) > 1e-6
        assert moved[0, 4] and moved[0, 5:7].all() and not moved[1, mask[1]].any()
        alike = torch.full((3,), 7)
        a, b = network(x, scaled(alike), None, mask), network(x, scaled(alike[:, None].expand(3, length)), None, mask)
        assert torch.allclose(a[mask], b[mask], atol=1e-4)
        assert network(x, counts, None, mask).isfinite().all()  # numbers as they are do no harm either
        if not fixed:  # a batch of short sequences
            short = network(x[1:, :6], scaled(counts[1:, :6]), None, mask[1:, :6])
            assert torch.allclose(short[mask[1:, :6]], out[1:, :6][mask[1:, :6]], atol=1e-4)


def test_condition_shapes():
    embed = ConditionEmbedding(Conditions(channels=2), 8)
    keep = torch.tensor([True, False])
    assert embed({"signal": torch.randn(2, 5, 2), "keep": keep}, 2).shape == (2, 5, 8)
    assert embed(None, 2).shape == (2, 1, 8)


def test_functions_are_accepted_as_networks():
    def mine(states, letters, length, conditions, fixed_length, width=3):
        return nn.Identity() if width == 5 else None

    assert isinstance(build_network(mine, {"width": 5, "depth": 7}, **SIZES), nn.Identity)
    assert build_network(mine, {"width": None}, **SIZES) is None


def test_invalid_network_settings_are_refused():
    with pytest.raises(ValueError, match="network: got 'convv', expected 'conv', "):
        build_network("convv", {}, **SIZES)
    with pytest.raises(ValueError, match="width: got 30, expected a multiple of heads=4"):
        build_network("linear-transformer", {"width": 30, "heads": 4}, **SIZES)
    with pytest.raises(ValueError, match="local_heads: got 8, expected at most 4, as heads=4"):
        build_network("linear-transformer", {"width": 32, "heads": 4, "local_heads": 8}, **SIZES)


def test_signal_enters_as_extra_channels():
    """One linear layer over letters and signal, concatenated, is what the convolutional network computes."""
    network = randomised(build_network("conv", SMALL, **{**SIZES, "conditions": Conditions(channels=2)}))
    network.condition.signal = torch.nn.Linear(2, network.position.shape[1])
    torch.nn.init.zeros_(network.condition.signal.weight), torch.nn.init.zeros_(network.condition.signal.bias)
    torch.nn.init.zeros_(network.condition.null)
    x, signal = torch.rand(3, 50, 4), torch.randn(3, 50, 2)
    t, keep = torch.zeros(3), torch.tensor([True, True, False])
    found = network(x, t, {"signal": signal, "keep": keep})
    beside = torch.cat([x, signal * keep[:, None, None]], -1)
    wide = build_network("conv", SMALL, **{**SIZES, "states": 6})
    weights = {k: v for k, v in network.state_dict().items() if "signal" not in k}
    shift, scale = network.film(torch.nn.functional.silu(network.time(t[:1]))).chunk(2, -1)
    # the letters are changed by the time as they are read, the signal is not
    weights["embed.weight"] = torch.cat([network.embed.weight, network.signal.weight.T / (1 + scale[0, 0])])
    wide.load_state_dict(weights)
    assert torch.allclose(wide.eval()(beside, t), found, atol=1e-5)


def test_the_network_of_the_dirichlet_paper():
    """128 channels, kernels of 9, dilations 1, 1, 4, 16, 64 four times, cut where a kernel would not fit."""
    sizes = {"states": 4, "letters": 4, "conditions": Conditions(channels=1), "fixed_length": True}
    network = build_network("conv-dirichlet", {}, length=1024, **sizes)
    assert [block.conv.dilation for block in network.blocks] == [1, 1, 4, 16, 64] * 4
    assert {tuple(block.conv.conv.weight.shape) for block in network.blocks} == {(128, 128, 1, 9)}
    assert network(torch.rand(1, 1024, 4), torch.zeros(1)).shape == (1, 1024, 4)
    short = build_network("conv-dirichlet", {"depth": 5, "width": 8}, length=50, **sizes)
    assert [block.conv.dilation for block in short.blocks] == [1, 1, 4, 5, 5]
    assert [b.conv.dilation for b in build_network("conv", {}, length=50, **sizes).blocks] == [1, 1, 2, 4, 1, 1]
