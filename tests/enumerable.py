"""A distribution over 27 sequences of three letters, and the exact denoiser of any process over it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import torch

from seqdiff.processes import State

LETTERS, LENGTH = 3, 3


class Toy:
    """Sequences x (N, L) and their probabilities p (N,), all in float64.

    Letters depend on their neighbours and positions, so that nothing factorises by accident.
    """

    def __init__(self, letters: int = LETTERS, length: int = LENGTH) -> None:
        self.letters, self.length = letters, length
        self.x = torch.tensor(list(itertools.product(range(letters), repeat=length)))
        g = torch.Generator().manual_seed(11)
        pair = 2.0 * torch.randn(length, letters, letters, generator=g, dtype=torch.float64)
        energy = sum(pair[i][self.x[:, i], self.x[:, (i + 1) % length]] for i in range(length))
        self.p = torch.softmax(energy, 0)
        self.entropy = float(-(self.p * self.p.log()).sum())

    def index(self, x: torch.Tensor) -> torch.Tensor:
        """Return the row of `self.x` that each sequence (B, L) is."""
        return (x * self.letters ** torch.arange(self.length - 1, -1, -1)).sum(-1)

    def mask(self, n: int) -> torch.Tensor:
        return torch.ones(n, self.length, dtype=torch.bool)

    def context_denoiser(self, process):
        """Return the exact context logits log p(x0_l | x_t without l), for processes that add evidence.

        The process must show the network its own state (`raw_input`).
        """

        joint = self.p.view([self.letters] * self.length)

        def denoiser(x, t, cond=None, mask=None):
            evidence = process.log_evidence(State(x, t, self.mask(len(x))), torch.float64)  # (B, L, K)
            evidence = (evidence - evidence.amax(-1, keepdim=True)).exp()
            out = []
            for i in range(self.length):
                others = torch.ones(len(x), 1, dtype=torch.float64)  # their evidence, (B, K ** (L - 1))
                for m in range(self.length):
                    if m != i:
                        others = (others[:, :, None] * evidence[:, m, None]).flatten(1)
                out.append((others @ joint.movedim(i, -1).reshape(-1, self.letters)).log())
            return torch.stack(out, 1)

        return denoiser


def raw_input(process):
    """Make the process show the network its state's own time, so that the exact denoiser can use it."""
    process.network_input = lambda state: (state.x, state.t)
    return process


def bare_model(process, alphabet, target=None, name: str = "Bare", network=None):
    """Return what guides are bound to: as much of a fitted model as they look at."""
    return SimpleNamespace(
        name=name, process=process, network=network, alphabet=alphabet, target=target, knows_no_label=True,
        device=torch.device("cpu"),
    )  # fmt: skip
