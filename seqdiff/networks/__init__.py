"""Networks by name. A new one is a file with a subclass of `Network` and a line in `NETWORKS`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from seqdiff.networks.bytenet import ByteNet
from seqdiff.networks.convnet import ConvNet
from seqdiff.networks.layers import Conditions, Network
from seqdiff.networks.linear_transformer import LinearTransformer
from seqdiff.networks.presets import PRESETS
from seqdiff.networks.transformer import Transformer

NETWORKS: dict[str, Callable[..., Network]] = {
    "conv": ConvNet,
    "linear-transformer": LinearTransformer,
    "transformer": Transformer,
    "bytenet": ByteNet,
    **{name: partial(network, **options) for name, (network, options) in PRESETS.items()},
}


def build_network(name: str | Callable[..., nn.Module], options: dict[str, Any], **sizes: Any) -> nn.Module:
    """Return a network.

    Parameters
    ----------
    name : str or callable
        A name of `NETWORKS`, or a function called with `sizes` and the options it takes.
    options : dict
        Settings; None means the default of the network or preset, and what a network does not have is not passed on.
    **sizes
        ``states, letters, length, conditions, fixed_length`` of `Network`.

    Raises
    ------
    ValueError
        If it is neither a known name nor callable.
    """
    if isinstance(name, str):
        if name not in NETWORKS:
            raise ValueError(
                f"network={name[:40]!r} is not known; give one of {', '.join(map(repr, NETWORKS))}, or a function"
            )
        factory: Callable[..., nn.Module] = NETWORKS[name]
    elif callable(name):
        factory = name
    else:
        known = ", ".join(map(repr, NETWORKS))
        raise ValueError(f"network is a {type(name).__name__}, but one of {known} or a function is wanted; give one")
    try:
        takes = inspect.signature(factory).parameters
        return factory(**sizes, **{k: v for k, v in options.items() if v is not None and k in takes})
    except (TypeError, ValueError) as error:
        if isinstance(name, str):
            raise
        reason = " ".join(str(error).split())
        raise ValueError(
            f"network: the function given failed ({reason[:200]}), but it is called with states, letters, length and "
            "conditions, and what else it takes; make it take them"
        ) from error


__all__ = [
    "NETWORKS",
    "PRESETS",
    "ByteNet",
    "Conditions",
    "ConvNet",
    "LinearTransformer",
    "Network",
    "Transformer",
    "build_network",
]
