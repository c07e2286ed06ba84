"""Sizes of the papers, as names for `network`; `width`, `depth` and other options given beside a name still count.

The transformers are tiny, small and medium of MDLM and UDLM (Sahoo et al. 2024, arXiv 2406.07524; Schiff et al. 2024,
arXiv 2412.10193): 28, 92 and 321 million weights. `bytenet-carp` is the network of SCUD's proteins (Amin et al. 2025,
arXiv 2506.08316), CARP's of 38 million (Yang et al. 2022) and what tells every block the event counts: 48 million
here, 47 there. `conv-dirichlet` is that of Dirichlet flow matching (Stark et al. 2024, arXiv 2402.05841): a kernel of
9 over 128 channels, 20 residual blocks of LayerNorm and convolution that are told time and class; here each has one
linear layer more. It has 4 million weights, and dilations that suit 500 letters; it learns on a CPU, in hours. The
others are for a GPU.
"""

from __future__ import annotations

from typing import Any

from seqdiff.networks.bytenet import ByteNet
from seqdiff.networks.convnet import ConvNet
from seqdiff.networks.layers import Network
from seqdiff.networks.transformer import Transformer

PRESETS: dict[str, tuple[type[Network], dict[str, Any]]] = {
    "transformer-tiny": (Transformer, {"width": 512, "depth": 8, "heads": 8, "context_width": 128}),
    "transformer-small": (Transformer, {"width": 768, "depth": 12, "heads": 12, "context_width": 128}),
    "transformer-medium": (Transformer, {"width": 1024, "depth": 24, "heads": 16, "context_width": 128}),
    "conv-dirichlet": (ConvNet, {"width": 128, "depth": 20, "dilations": (1, 1, 4, 16, 64), "dropout": 0.0}),
    "bytenet-carp": (ByteNet, {"width": 1024, "depth": 16, "kernel": 5}),
}
