"""What plots are made of: a dot with its interval, axis limits, tick labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rasura.core.types import Estimate
from rasura.report._svg import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST = 1e100  # beyond it axis limits overflow


def dot(axes: Axes, e: Estimate, y: float, colour: str, marker: str, filled: bool) -> None:
    """One estimate as a mark at height ``y`` with its interval; hollow if not ``filled``; nothing if unknown."""
    if not drawable(e):
        return
    axes.plot(ends(e), [y, y], color=colour, linewidth=1.3)
    axes.plot([e.value], [y], marker=marker, markersize=5, color=colour, markerfacecolor=colour if filled else PAPER)


def drawable(e: Estimate) -> bool:
    return abs(e.value) < LARGEST  # false for NaN


def ends(e: Estimate) -> tuple[float, float]:
    """The interval's ends; one that cannot be drawn (not known, infinite) falls back on the value."""
    low, high = (end if abs(end) < LARGEST else e.value for end in (e.low, e.high))
    return low, high


def span(estimates: Sequence[Estimate], low: float, high: float) -> tuple[float, float]:
    """Axis limits that hold every interval and at least [low, high], with a little air."""
    edges = [edge for e in estimates if drawable(e) for edge in (*ends(e), e.value)]
    low, high = min([low, *edges]), max([high, *edges])
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    air = 0.03 * (high - low or max(abs(high), 1.0))
    return low - air, high + air


def share_label(value: float, _: int) -> str:
    """Tick label of a log axis: 0.01 and not a power of ten."""
    return f"{value:g}"
