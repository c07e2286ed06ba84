"""A Markov chain with the exact denoiser of any process, so that conditional distributions are known."""

from __future__ import annotations

import itertools

import torch
from enumerable import bare_model, raw_input

from seqdiff.data import DNA
from seqdiff.guidance import Chain as Guides
from seqdiff.guidance import LookAhead
from seqdiff.processes import Autoregressive, SimplexFlow, State
from seqdiff.runtime import chunk_generators
from seqdiff.sampling import trajectory


class MarkovChain:
    """Sequences of `length` letters, each of which depends on the one before; transitions differ by position."""

    def __init__(self, length: int, letters: int = 4) -> None:
        self.letters, self.length = letters, length
        g = torch.Generator().manual_seed(3)
        self.first = torch.softmax(torch.randn(letters, generator=g, dtype=torch.float64), -1)
        draws = 1.5 * torch.randn(length - 1, letters, letters, generator=g, dtype=torch.float64)
        self.moves = torch.softmax(draws, -1)  # (L - 1, K, K)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Return log p(x), (N,), of sequences (N, L)."""
        found = self.first.log()[x[:, 0]]
        for i, move in enumerate(self.moves):
            found = found + move.log()[x[:, i], x[:, i + 1]]
        return found

    def given(self, allowed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all sequences (N, L) that the letters (L, K) allow, and p(x | they are), (N,)."""
        x = torch.tensor(list(itertools.product(*[row.nonzero()[:, 0].tolist() for row in allowed])))
        return x, torch.softmax(self.log_prob(x), 0)

    def contexts(self, evidence: torch.Tensor) -> torch.Tensor:
        """Return log p(x_l | evidence at the other positions), (B, L, K) up to constants, for evidence (B, L, K)."""
        evidence = (evidence - evidence.amax(-1, keepdim=True)).exp()
        forward, backward = [self.first.expand(len(evidence), -1)], [torch.ones_like(evidence[:, 0])]
        for i, move in enumerate(self.moves):
            step = (forward[-1] * evidence[:, i]) @ move
            forward.append(step / step.sum(-1, keepdim=True))
        for i in range(self.length - 1, 0, -1):
            step = (backward[0] * evidence[:, i]) @ self.moves[i - 1].T
            backward.insert(0, step / step.sum(-1, keepdim=True))
        return (torch.stack(forward, 1) * torch.stack(backward, 1)).log()

    def denoiser(self, process):
        """Return the exact network of a process: logits of the next letter, or context logits."""
        if isinstance(process, Autoregressive):
            table = torch.cat([self.first[None, None].expand(1, self.letters + 1, -1), self._rows()])
            return lambda x, t, cond=None, mask=None: table[torch.arange(x.shape[1]), x].log()
        if isinstance(process, SimplexFlow):  # it shows the network what each point, and what is known, say of a letter
            return lambda x, t, cond=None, mask=None: self.contexts(x.double().clamp_min(1e-300).log())
        raw_input(process)
        return lambda x, t, cond=None, mask=None: self.contexts(
            process.log_evidence(State(x, t, torch.ones(x.shape[:2], dtype=torch.bool)), torch.float64)
        )

    def _rows(self) -> torch.Tensor:
        start = torch.full((self.length - 1, 1, self.letters), 1 / self.letters, dtype=torch.float64)
        return torch.cat([self.moves, start], 1)  # nothing follows the start symbol but the first letter

    @torch.no_grad()
    def samples(self, process, allowed: torch.Tensor, particles: int, n: int, steps=None, seed: int = 0):
        """Return n samples (n, L) under a template, allowed letters (L, K), with so many particles for each."""
        model = bare_model(process, DNA)
        denoiser = self.denoiser(process)
        guide = Guides([LookAhead(particles).template(process, allowed)]).bind(model, n, None)
        rows = n * guide.copies
        mask = torch.ones(rows, self.length, dtype=torch.bool)
        guide = guide.take(torch.arange(rows) // guide.copies)
        for state in trajectory(
            process, denoiser, mask, chunk_generators(rows, "cpu", seed), guidance=guide, steps=steps
        ):
            last = state
        return process.decode(last)[:: rows // n]

    def distance(self, x: torch.Tensor, allowed: torch.Tensor) -> float:
        """Return the total variation between samples (n, L) and p(x | allowed)."""
        words, p = self.given(allowed)
        weights = self.letters ** torch.arange(self.length)
        place = {word: i for i, word in enumerate((words * weights).sum(-1).tolist())}
        found = torch.bincount(torch.tensor([place[w] for w in (x * weights).sum(-1).tolist()]), minlength=len(p))
        return float(0.5 * (found / len(x) - p).abs().sum())

    def noise(self, allowed: torch.Tensor, n: int, times: int = 5) -> float:
        """Return the mean total variation of n true draws."""
        words, p = self.given(allowed)
        g = torch.Generator().manual_seed(1)
        draws = [self.distance(words[torch.multinomial(p, n, True, generator=g)], allowed) for _ in range(times)]
        return sum(draws) / times


def allowed_by(template: str) -> torch.Tensor:
    """Return the letters (L, K) of a template of letters, IUPAC codes and ? for any."""
    codes = {"?": "ACGT", "R": "AG", "Y": "CT", "W": "AT", "S": "CG"}
    return torch.tensor([[letter in codes.get(c, c) for letter in "ACGT"] for c in template])
