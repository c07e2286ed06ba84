"""Sequences with a label, and exact classifiers of them by Bayes' rule over all 27 sequences."""

from __future__ import annotations

import torch
from enumerable import Toy, bare_model, raw_input

from seqdiff.data import Alphabet
from seqdiff.processes import Autoregressive, Embedding, SimplexFlow, State
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import Denoiser, trajectory


class Labelled(Toy):
    """Each sequence has label 1 with a probability of its own, so that no label is certain."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(5)
        ones = torch.sigmoid(2.0 * torch.randn(len(self.x), generator=g, dtype=torch.float64))
        self.log_label = torch.stack([1 - ones, ones], -1).log()  # (N, 2)

    def tilted(self, gamma: float, label: int = 1) -> torch.Tensor:
        """Return p(x) p(label | x)^gamma, normalised, (N,)."""
        return torch.softmax(self.p.log() + gamma * self.log_label[:, label], 0)

    def given(self, label: int) -> Toy:
        """Return the toy whose distribution is p(x | label)."""
        other = Toy()
        other.p = self.tilted(1.0, label)
        return other

    def conditional_denoiser(self, process):
        """Return the exact denoiser of a process with labels; unconditional without a condition or `keep`."""
        make = next_letter if isinstance(process, Autoregressive) else Toy.context_denoiser
        exact = [make(toy, process) for toy in (self.given(0), self.given(1), self)]

        def denoiser(x, t, cond=None, mask=None):
            if cond is None:
                return exact[2](x, t, None, mask)
            which = torch.where(cond["keep"], cond["label"], 2)
            each = {int(label): exact[label](x, t, None, mask) for label in which.unique()}
            return sum(torch.where((which == label)[:, None, None], logits, 0.0) for label, logits in each.items())

        return denoiser


def next_letter(toy: Toy, process: Autoregressive):
    """Return the exact log p(next letter | those before), for sequences that are shifted behind a start symbol."""

    def denoiser(x, t, cond=None, mask=None):
        out = []
        for i in range(toy.length):
            fits = (toy.x[None, :, :i] == x[:, None, 1 : i + 1]).all(-1)  # (B, N)
            has = torch.nn.functional.one_hot(toy.x[:, i], toy.letters).double()
            out.append(((fits * toy.p) @ has).log())
        return torch.stack(out, 1)

    return denoiser


class Bayes:
    """p(label | x_t) of the labelled toy, from letters, from letters as vectors, from what vectors say of letters."""

    def __init__(self, toy: Labelled, process) -> None:
        self.toy, self.process = toy, process

    def encode(self, y) -> torch.Tensor:
        return torch.atleast_1d(torch.as_tensor(y))

    def log_likelihood(self, x, t, mask, wanted):
        toy = self.toy
        if x.is_floating_point() and not isinstance(self.process, (SimplexFlow, Embedding)):
            return self.between(x, t, mask, wanted)
        if isinstance(self.process, Autoregressive):
            share = (toy.x[None, :, : x.shape[1]] == x[:, None]).all(-1).double()
        else:
            evidence = self.evidence(x, t, mask)
            evidence = (evidence - evidence.detach().amax(-1, keepdim=True)).exp()
            share = torch.ones(len(x), 1, dtype=torch.float64)  # of each sequence, (B, 27)
            for i in range(toy.length):
                share = (share[:, :, None] * evidence[:, i, None]).flatten(1)
        p = share @ (toy.p[:, None] * toy.log_label.exp())  # (B, 2)
        return (p / p.sum(-1, keepdim=True)).log().gather(-1, wanted[:, None])[:, 0]

    def between(self, x, t, mask, wanted):
        """Return the likelihood of letters as vectors: a mean over all words, linear in the vector of each position.

        Its gradient at letters therefore is what every other letter would give, exactly.
        """
        states, rows = self.process.states, len(x)
        words = torch.cartesian_prod(*[torch.arange(states)] * self.toy.length)  # (W, L)
        each = words.repeat(rows, 1)
        times, wanted = (v.repeat_interleave(len(words), 0) for v in (t, wanted))
        with torch.no_grad():
            value = self.log_likelihood(each, times, None, wanted).view(rows, -1)
        share = torch.stack([x[:, i].double()[:, words[:, i]] for i in range(self.toy.length)]).prod(0)  # (B, W)
        return (share * value).sum(-1)

    def evidence(self, x, t, mask):
        """Return log q(x_t | x_0 = k), (B, L, K)."""
        if isinstance(self.process, (SimplexFlow, Embedding)):
            return x.double().clamp_min(1e-12).log()
        return self.process.log_evidence(State(x, t, None), torch.float64).clamp_min(-60.0)


def model_of(toy: Labelled, process):
    """Return what guides are bound to: as much of a fitted estimator as they look at."""
    if not isinstance(process, Autoregressive):
        raw_input(process)
    return bare_model(process, Alphabet("ABC"), "labels")


def samples(toy: Labelled, process, guide=None, n: int = 20_000, label: int | None = None, steps=None, at_once=None):
    """Return tokens (n, 3) of a sampler with the exact denoiser, under a label or none."""
    cond = None
    if label is not None:
        cond = {"label": torch.full((n,), label), "keep": torch.ones(n, dtype=torch.bool)}
    model = model_of(toy, process)
    rows = n
    if guide is not None:
        guide = guide.bind(model, n, cond)
        rows = n * guide.copies
        sample = torch.arange(rows) // guide.copies
        guide = guide.take(sample)
        cond = None if cond is None else {k: v[sample] for k, v in cond.items()}
    denoiser = Denoiser(toy.conditional_denoiser(process), at_once or rows)
    for state in trajectory(
        process, denoiser, toy.mask(rows), chunk_generators(rows, "cpu", 0), cond=cond, guidance=guide, steps=steps
    ):
        last = state
    return process.decode(last)[:: rows // n]


def distance(toy: Toy, x: torch.Tensor, distribution: torch.Tensor) -> float:
    """Return the total variation between samples and a distribution (N,)."""
    found = torch.bincount(toy.index(x), minlength=len(distribution)).double() / len(x)
    return float(0.5 * (found - distribution).abs().sum())
