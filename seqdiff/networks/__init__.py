"""Networks by name. A new one is a file with a subclass of `Network` and an entry in `NETWORKS`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.networks.bytenet import ByteNet
from seqdiff.networks.convnet import ConvNet
from seqdiff.networks.layers import Conditions, Network
from seqdiff.networks.linear_transformer import LinearTransformer
from seqdiff.networks.transformer import Transformer, UDLMTransformer
from seqdiff.networks.unet import UNet

PRESETS: dict[str, tuple[type[Network], dict[str, Any]]] = {
    # MDLM and UDLM (Sahoo et al. 2024, arXiv 2406.07524; Schiff et al. 2024, arXiv 2412.10193): 28, 92 and 321 million
    # weights, for a GPU
    "transformer-tiny": (Transformer, {"width": 512, "depth": 8, "heads": 8, "context_width": 128}),
    "transformer-small": (Transformer, {"width": 768, "depth": 12, "heads": 12, "context_width": 128}),
    "transformer-medium": (Transformer, {"width": 1024, "depth": 24, "heads": 16, "context_width": 128}),
    # Dirichlet flow matching (Stark et al. 2024, arXiv 2402.05841), with one more linear layer in each block: 4 million
    # weights, dilations for 500 letters; trains on a CPU in hours
    "conv-dirichlet": (ConvNet, {"width": 128, "depth": 20, "dilations": (1, 1, 4, 16, 64), "dropout": 0.0}),
    # SCUD's proteins (Amin et al. 2025, arXiv 2506.08316): CARP (Yang et al. 2022) and event counts in every block, 48
    # million weights (there 47), for a GPU
    "bytenet-carp": (ByteNet, {"width": 1024, "depth": 16, "kernel": 5}),
}
"""Sizes of the papers, as names for `network`; `width`, `depth` and other options given beside a name still count."""

NETWORKS: dict[str, Callable[..., Network]] = {
    "conv": ConvNet,
    "linear-transformer": LinearTransformer,
    "transformer": Transformer,
    "transformer-udlm": UDLMTransformer,
    "bytenet": ByteNet,
    "unet": UNet,
    **{name: partial(network, **options) for name, (network, options) in PRESETS.items()},
}


def build_network(
    name: str | Callable[..., nn.Module],
    options: Mapping[str, Any],
    wanted: Mapping[str, Any] | None = None,
    **sizes: Any,
) -> nn.Module:
    """Return a network.

    Parameters
    ----------
    name : str or callable
        A name of `NETWORKS`, or a function called with `sizes` and the options it takes.
    options : mapping
        Options that networks may have; None, and options that this network lacks, are not passed on.
    wanted : mapping, optional
        Options that this network must have, ``network_options`` of the estimators.
    **sizes
        ``states, letters, length, conditions, fixed_length`` of `Network`.
    """
    if not callable(name) and not (isinstance(name, str) and name in NETWORKS):
        raise InputError(argument("network"), shown(name), f"{listed(NETWORKS)}, or a function", "give one of these")
    factory: Callable[..., nn.Module] = name if callable(name) else NETWORKS[name]
    takes, given = inspect.signature(factory).parameters, dict(wanted or {})
    free = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    own = [option for option in takes if option not in sizes and takes[option].kind is not takes[option].VAR_KEYWORD]
    for option in given:
        if not free and option not in own:
            found = f"{shown(option)} for the network {shown(name)}"
            raise InputError(argument("network_options"), found, listed(own), "leave it out, or give one of these")
    given = {k: v for k, v in options.items() if v is not None and k in takes} | given
    try:
        return factory(**sizes, **given)
    except (TypeError, ValueError) as error:
        if isinstance(name, str) and not (wanted and isinstance(error, TypeError)):
            raise
        reason = " ".join(str(error).split())[:200]
        if isinstance(name, str):
            found = f"values that fail ({reason})"
            raise InputError(argument("network_options"), found, "what the network takes", "correct them") from None
        raise InputError(
            argument("network"), f"a function that failed ({reason})",
            "one that takes states, letters, length, conditions and fixed_length", "make it take them",
        ) from error  # fmt: skip


__all__ = [
    "NETWORKS",
    "PRESETS",
    "ByteNet",
    "Conditions",
    "ConvNet",
    "LinearTransformer",
    "Network",
    "Transformer",
    "UDLMTransformer",
    "UNet",
    "build_network",
]
