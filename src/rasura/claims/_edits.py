"""The closed-form edits that the claims about erasing a concept compare, applied to one planted model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.types import Request
from ..erasers.edits.rece import Rece
from ..erasers.edits.time import Time
from ..erasers.edits.uce import Uce

BEFORE, RETRAINED = "before", "retrained"
UCE, RECE, TIME = "uce", "rece", "time"
PUBLISHED = "uce, paper's settings"
GUIDED = "uce, guided"  # towards another class instead of the empty prompt


def edits(guide: str) -> dict[str, Any]:
    """Edits by label, each with the settings its file names for testbeds; UCE with the paper's as well.

    >>> edits("cross")["uce, guided"].guide, edits("cross")["uce, paper's settings"] == Uce()
    ('cross', True)
    """
    settings = {cls: dict(getattr(cls, "testbed_settings", {})) for cls in (Uce, Rece, Time)}
    return {
        UCE: Uce(**settings[Uce]),
        PUBLISHED: Uce(),
        GUIDED: Uce(**{**settings[Uce], "guide": guide}),
        RECE: Rece(**settings[Rece]),
        TIME: Time(**settings[Time]),
    }


def request_of(planted: Any) -> Request:
    """What a person would ask of an eraser: this concept gone, these captions kept."""
    return Request(planted.forget, planted.retain, planted.concept, planted.judge)


def edited(planted: Any, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Handles by label: the model before, the one that never saw the concept, and every edit of the first."""
    target, request = planted.models["target"], request_of(planted)
    after = {label: edit.apply(target, request, seed=0) for label, edit in chosen.items()}
    return {BEFORE: target, RETRAINED: planted.models["retrained"], **after}
