"""SCUD: the identities that its bound must satisfy, enumerated in float64, and what its sampler may not do."""

from __future__ import annotations
