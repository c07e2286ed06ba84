"""The loss of the Diffusion-LM paper (Li et al. 2022, arXiv 2205.14217), for the process of embedding.py.

    |e - e_hat|^2 / D  +  -log softmax(x_0 . Emb / s^2 + bias)_w  +  abar_T |x_0|^2 / D

It counts every level of noise alike, and takes means over D in place of sums.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqdiff.processes.base import Batch, Denoiser, masked_sum
from seqdiff.processes.categorical import stratified
from seqdiff.processes.embedding import SHOWN, Embedding
from seqdiff.runtime import Generators


class DiffusionLM(Embedding):
    """The same, trained on the paper's loss at times uniform over 0..T; that is no bound, `bound_terms` still is."""

    def parts(self, denoiser: Denoiser, batch: Batch, generator: Generators) -> dict[str, Tensor]:
        x0, mask = batch.x0, batch.mask
        u = stratified(len(batch), generator, x0.device)
        t = (u * (self.steps + 1)).long().clamp_max(self.steps)
        error, _ = self.errors(denoiser, batch, t, generator, SHOWN)
        clean = self.corrupt(x0, torch.zeros_like(t), mask, generator)
        log_p = torch.log_softmax(self.log_evidence(clean, self.abar.dtype), -1)
        rounding = masked_sum(-log_p.gather(-1, x0[..., None]).squeeze(-1), mask)
        end = masked_sum(self.abar[-1] * clean.x.square().mean(-1), mask)
        return {"denoising": masked_sum(error, mask) / self.dim, "rounding": rounding, "end": end}
