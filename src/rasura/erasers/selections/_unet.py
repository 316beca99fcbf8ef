"""Parameters of a U-Net by the kind of layer they belong to."""

from __future__ import annotations

from typing import Any


def within(model: Any, kind: str) -> list[str]:
    """Names of all parameters, weights and biases, of the layers of one kind. Raises NotYetSupported on none."""
    layers = tuple(f"{site.name}." for site in model.sites(kind))
    return [name for name, _ in model.named_parameters() if name.startswith(layers)]


def outside(model: Any, kind: str) -> list[str]:
    """Names of all parameters of the U-Net that belong to no layer of that kind."""
    inside = set(within(model, kind))
    return [name for name, _ in model.named_parameters() if name.startswith("unet.") and name not in inside]
