"""The transformer: attention against a slow version, masks, event counts, conditions."""

from __future__ import annotations

import math

import pytest
import torch
from small_models import seeded
from torch import nn

from seqdiff.networks import Conditions, Transformer, build_network
from seqdiff.networks.transformer import Rotary, TransformerBlock, attention
from seqdiff.processes import Batch, Multinomial


def randomised(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval().requires_grad_(False)


def make(length: int = 12, fixed: bool = False, conditions: Conditions | None = None, **options) -> Transformer:
    options = {"width": 16, "depth": 2, "heads": 2, **options}
    return randomised(Transformer(4, 4, length, conditions or Conditions(), fixed, **options))


def test_rotary_keeps_norms_and_depends_on_distances():
    rotary = Rotary(8, 50)
    q, k = torch.randn(2, 8, generator=seeded())
    turned_q, turned_k = rotary(q.expand(50, 8)), rotary(k.expand(50, 8))
    assert torch.allclose(turned_q.norm(dim=-1), q.norm().expand(50), atol=1e-5)
    products = turned_q @ turned_k.T
    for distance in (-20, -1, 0, 7):
        diagonal = products.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4)
    assert products[0].std() > 0.1
    # complex multiplication, written out for one place
    j = torch.arange(4)
    z = torch.complex(q[:4], q[4:]) * torch.exp(1j * 31 * 10_000 ** (-j / 4))
    assert torch.allclose(turned_q[31], torch.cat([z.real, z.imag]), atol=1e-5)
    assert torch.allclose(rotary(q[None], first=31)[0], turned_q[31])


@pytest.mark.parametrize("causal", [False, True])
def test_block_equals_explicit_attention(causal):
    block = randomised(TransformerBlock(8, heads=2, length=6, dropout=0.5, causal=causal))
    h, context = torch.randn(3, 6, 8, generator=seeded()), torch.randn(3, 1, 8, generator=seeded(1))
    real = torch.arange(6) < torch.tensor([[6], [4], [1]])
    shift1, scale1, gate1, shift2, scale2, gate2 = block.modulation(context).chunk(6, -1)
    q, k, v = block.qkv(block.norm1(h) * (1 + scale1) + shift1).chunk(3, -1)
    mixed = torch.zeros(3, 6, 8)
    for row in range(3):
        for head in (slice(0, 4), slice(4, 8)):
            a, b = block.rotary(q[row, :, head]), block.rotary(k[row, :, head])
            for i in range(6):
                seen = [j for j in range(6) if (j <= i if causal else real[row, j])]
                weight = torch.softmax(torch.stack([a[i] @ b[j] / math.sqrt(4) for j in seen]), 0)
                mixed[row, i, head] = weight @ v[row, seen, head]
    slow = h + gate1 * block.project(mixed)
    slow = slow + gate2 * block.mlp(block.norm2(slow) * (1 + scale2) + shift2)
    assert torch.allclose(block(h, context, real[:, None, None, :]), slow, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_in_bfloat16_trains_in_float32_on_a_cpu(causal):
    q, k, v, pull = torch.randn(4, 3, 2, 6, 4, generator=seeded()).bfloat16()
    attended = None if causal else torch.tensor([True, True, True, True, False, True]).expand(3, 1, 1, 6)

    def found(dtype):
        inputs = [x.to(dtype).requires_grad_() for x in (q, k, v)]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            mixed = attention(*inputs, attended, causal)
        assert mixed.dtype == dtype
        return [mixed, *torch.autograd.grad(mixed, inputs, pull.to(dtype))]

    for half, single in zip(found(torch.bfloat16), found(torch.float32), strict=True):
        assert torch.equal(half, single.bfloat16())  # nothing was rounded on the way
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert attention(q, k, v, attended, causal).dtype == torch.bfloat16  # without gradients as before


def test_padding_is_never_attended():
    net = make()
    x = torch.randint(4, (5, 12), generator=seeded())
    mask = torch.arange(12) < torch.tensor([[12], [7], [3], [1], [11]])
    t = torch.rand(5, generator=seeded())
    out = net(x, t, None, mask)
    assert torch.allclose(net(torch.where(mask, x, 3 - x), t, None, mask)[mask], out[mask], atol=1e-6)
    assert torch.allclose(net(x[1:2, :7], t[1:2]), out[1:2, :7], atol=1e-5)
    assert out.isfinite().all()


def test_every_letter_attends_to_every_other():
    net = make(fixed=True)
    x = torch.randint(4, (3, 12), generator=seeded())
    for i in (0, 5, 11):
        changed = x.clone()
        changed[:, i] = (x[:, i] + 1) % 4
        assert ((net(changed, torch.zeros(3)) - net(x, torch.zeros(3))).abs().amax(-1) > 1e-6).all()


def test_initial_logits_are_the_given_letter_frequencies():
    frequencies = torch.log_softmax(torch.randn(6, 4, generator=seeded()), -1)
    net = Transformer(4, 4, 6, Conditions(), True, width=8, depth=2, heads=2)
    net.start_at(frequencies)
    x = torch.randint(4, (3, 6), generator=seeded())
    assert torch.allclose(net(x, torch.rand(3, generator=seeded())), frequencies.expand(3, 6, 4), atol=1e-6)
    # and its blocks start as the identity (adaLN-zero)
    h = torch.randn(3, 6, 8, generator=seeded())
    assert torch.equal(net.blocks[0](h, torch.randn(3, 1, 8, generator=seeded()), None), h)
    net = Transformer(4, 4, 6, Conditions(), False, width=8, depth=2, heads=2)
    net.start_at(frequencies)
    assert torch.allclose(net(x, torch.zeros(3)).exp(), frequencies.exp().mean(0).expand(3, 6, 4), atol=1e-6)


def test_time_and_condition_reach_the_output():
    net = make(fixed=True, conditions=Conditions(classes=3, values=2, channels=1))
    x, n = torch.randint(4, (2, 12), generator=seeded()), 2
    cond = {
        "label": torch.tensor([0, 1]),
        "value": torch.zeros(n, 2),
        "signal": torch.zeros(n, 12, 1),
        "keep": torch.ones(n, dtype=torch.bool),
    }
    t = torch.full((n,), 0.1)
    base = net(x, t, cond)
    assert not torch.allclose(net(x, t + 0.1, cond), base)
    signal = cond["signal"].clone()
    signal[:, 5] = 1
    for other in ({"label": torch.tensor([2, 2])}, {"value": torch.ones(n, 2)}, {"signal": signal}):
        assert not torch.allclose(net(x, t, {**cond, **other}), base)
    dropped = {**cond, "keep": torch.zeros(n, dtype=torch.bool)}
    assert torch.allclose(net(x, t, dropped), net(x, t, None), atol=1e-5)


def test_event_counts_condition_each_position():
    net = make(fixed=True)
    x, counts = torch.randint(4, (2, 12), generator=seeded()), torch.full((2, 12), 3.0)
    assert torch.allclose(net(x, counts), net(x, counts[:, 0]), atol=1e-5)
    counts[:, 4] = 1
    assert not torch.allclose(net(x, counts), net(x, torch.full((2,), 3.0)))


@pytest.mark.parametrize("fixed", [True, False])
def test_transformer_learns_in_multinomial_diffusion(fixed):
    process = Multinomial(4, 10)
    net = build_network(
        "transformer",
        {"width": 16, "depth": 2, "heads": 2},
        states=4,
        letters=4,
        length=6,
        conditions=Conditions(),
        fixed_length=fixed,
    )
    mask = torch.arange(6) < torch.tensor([6, 6, 4, 2] * 64)[:, None] if not fixed else torch.ones(256, 6).bool()
    x0 = (torch.randint(4, (256, 1), generator=seeded()) + torch.arange(6)) % 4  # each letter follows its neighbour
    optimizer, losses = torch.optim.Adam(net.parameters(), 1e-2), []
    torch.manual_seed(0)
    for step in range(40):
        loss = (process.loss(net, Batch.of(x0, mask), seeded(step)) / mask.sum(-1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step == 2:  # by now nothing is hidden by what starts at zero
            grads = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert [n for n in grads if not n.startswith("condition")] == []
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


def test_odd_head_widths_are_refused():
    with pytest.raises(ValueError, match="width: got 18, expected a multiple of 4, twice heads=2"):
        build_network(
            "transformer",
            {"width": 18, "heads": 2},
            states=4,
            letters=4,
            length=6,
            conditions=Conditions(),
            fixed_length=True,
        )
