"""When a picture's attributes are decided: the curves as a plot, and what its table says beside each attribute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rasura.core.records import WindowRow, Windows
from rasura.core.types import Estimate
from rasura.report._format import clip, number, shorten
from rasura.report._marks import LARGEST, drawable, ends
from rasura.report._svg import MUTED, RULE, SERIES, SHADE, canvas, drawn, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DRAWN, MOST_LINES = 8, 60
HEIGHT, PITCH = 92, 122  # of a panel, and from one to the next, in px


@drawn
def kept(windows: Windows) -> Figure | None:
    """Share of pictures that keep each attribute against the noise level, from noise on the left to picture on the right.

    Shaded: the window. Dotted: what chance keeps. The mark on the curve with a horizontal line: where half is lost.
    """
    rows = ordered(windows)[:MOST_DRAWN]
    if not rows or not windows.times:
        return None
    figure = canvas(PITCH * len(rows) + 34)
    low, high = min(windows.times), max(windows.times)
    air = 0.03 * (high - low or 1)
    for i, row in enumerate(rows):
        axes = panel(figure, 50, 22 + PITCH * i, 320, HEIGHT)
        axes.set(xlim=(high + air, low - air), ylim=(-0.04, 1.04), yticks=[0, 0.5, 1])
        axes.set_title(clip(row.attribute, 40), loc="left", fontsize=10.5, pad=4)
        axes.grid(True, axis="y", color=SHADE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(labelbottom=i == len(rows) - 1)
        _curve(axes, row, windows.times)
    axes.set_xlabel("noise level t (left: noise, right: the finished picture)")
    return figure


def _curve(axes: Axes, row: WindowRow, times: Sequence[int]) -> None:
    if math.isfinite(row.starts) and math.isfinite(row.ends):
        axes.axvspan(*_inside(axes, row.starts, row.ends), color=SHADE, linewidth=0)
    else:  # open at one side: only the end that was found
        for t in (t for t in (row.starts, row.ends) if math.isfinite(t)):
            axes.axvline(*_inside(axes, t), color=RULE, linewidth=1.2)
    if math.isfinite(row.chance):
        axes.axhline(row.chance, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    points = [(t, e) for t, e in zip(times, row.kept, strict=False) if drawable(e)]
    for t, e in points:
        axes.plot([t, t], ends(e), color=SERIES[0], linewidth=1.1)
    axes.plot(
        [t for t, _ in points], [e.value for _, e in points], color=SERIES[0], linewidth=1.3, marker="o", markersize=3.6
    )
    if points and drawable(row.half) and abs(row.chance) < LARGEST:
        level = (row.chance + max(e.value for _, e in points)) / 2
        axes.plot(_inside(axes, *ends(row.half)), [level] * 2, color=SERIES[1], linewidth=2.2)
        axes.plot(_inside(axes, row.half.value), [level], marker="D", markersize=5.5, color=SERIES[1])


def _inside(axes: Axes, *values: float) -> list[float]:
    """The values, moved to the edge where they lie outside the axis."""
    left, right = sorted(axes.get_xlim())
    return [min(max(value, left), right) for value in values]


def ordered(windows: Windows) -> list[WindowRow]:
    """In the order in which a picture takes its attributes on: from much noise to little; unknown ones last."""
    return sorted(windows.rows, key=lambda row: -row.half.value if row.half.known else math.inf)


def window_text(row: WindowRow) -> str:
    """From where to where, in the direction of drawing.

    >>> from rasura.core.types import Estimate
    >>> half = Estimate(480.0, 470.0, 490.0, 64, "timestep")
    >>> window_text(WindowRow("shape", (), 0.3, 300.0, 700.0, half))
    't = 700 to 300'
    >>> window_text(WindowRow("shape", (), 0.3, 300.0, math.nan, half))
    'open at the side of noise, to t = 300'
    """
    start, end = (number(v) if math.isfinite(v) else "" for v in (row.ends, row.starts))
    if start and end:
        return f"t = {start} to {end}"
    if end:
        return f"open at the side of noise, to t = {end}"
    return f"t = {start}, open at the side of the picture" if start else "not found in this range"


def table(windows: Windows) -> list[tuple[int, list[Estimate | None]]]:
    """Noise level, and what each attribute kept there; None where the record has no such entry."""
    rows = ordered(windows)
    return [(t, [r.kept[i] if i < len(r.kept) else None for r in rows]) for i, t in enumerate(windows.times)]


def theory(windows: Windows) -> list[list[str]]:
    """Header and rows, cut to what a page should hold."""
    return [[shorten(cell, 120) for cell in row[:20]] for row in windows.theory[:MOST_LINES]]
