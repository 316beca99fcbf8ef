"""What was measured of an extraction beside its rate: curves over prompt length, samples drawn or model size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rasura.core.records import Extraction, MeasureRow
from rasura.core.types import Estimate
from rasura.report._format import clip
from rasura.report._marks import LARGEST, drawable, ends, span
from rasura.report._svg import DASHES, MARKERS, MUTED, SERIES, SHADE, canvas, drawn, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 200  # of one method


@dataclass(frozen=True)
class Part:
    """The curves of one method over one axis and in one unit."""

    method: str
    axis: str
    unit: str
    rows: tuple[MeasureRow, ...]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(row.name for row in self.rows))

    @property
    def places(self) -> list[float]:
        return sorted({row.x for row in self.rows if math.isfinite(row.x)})

    def line(self, name: str) -> list[MeasureRow]:
        return sorted((r for r in self.rows if r.name == name), key=lambda r: r.x)


def parts(extraction: Extraction) -> list[Part]:
    """Curves with at least two points, in the order of the record."""
    found: dict[tuple[str, str, str], list[MeasureRow]] = {}
    for result in extraction.results:
        for row in result.measures[:MOST_ROWS]:
            if row.axis:
                found.setdefault((result.method.name, row.axis, row.estimate.unit), []).append(row)
    made = [Part(*key, tuple(rows)) for key, rows in found.items()]
    return [part for part in made if len(part.places) > 1]


def numbers(extraction: Extraction) -> list[tuple[str, MeasureRow]]:
    """(method, row) of every measure that stands on its own."""
    return [(r.method.name, row) for r in extraction.results for row in r.measures[:MOST_ROWS] if not row.axis]


@drawn
def curve(part: Part) -> Figure | None:
    """Measures against what was varied, with intervals; the same on records never seen in grey, without intervals."""
    places = [x for x in part.places if abs(x) < LARGEST]
    if len(places) < 2:
        return None
    figure = canvas(244)
    axes = panel(figure, 50, 8, 320, 190)
    if places[0] > 0 and places[-1] / places[0] > 3:
        axes.set_xscale("log")
        axes.minorticks_off()
    shown = places[:: math.ceil(len(places) / 8)]
    axes.set_xticks(shown, [short(x) for x in shown])
    lines = [part.line(name) for name in part.names[: len(SERIES)]]
    known = [row.estimate for rows in lines for row in rows if drawable(row.estimate)]
    axes.set_ylim(*span(known, 0.0, 1.0 if part.unit.startswith("share") else 0.0))
    axes.grid(True, axis="y", color=SHADE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set(xlabel=clip(part.axis, 40), ylabel=clip(part.unit, 30))
    for i, rows in enumerate(lines):
        _line(axes, rows, i)
    return figure


def _line(axes: Axes, rows: Sequence[MeasureRow], i: int) -> None:
    style = {"linestyle": DASHES[i], "marker": MARKERS[i]}
    floor = [(r.x, r.floor) for r in rows if r.floor is not None and _drawable(r.x, r.floor)]
    axes.plot([x for x, _ in floor], [e.value for _, e in floor], color=MUTED, linewidth=0.9, markersize=3, **style)
    seen = [(r.x, r.estimate) for r in rows if _drawable(r.x, r.estimate)]
    for x, e in seen:
        axes.plot([x, x], ends(e), color=SERIES[i], linewidth=1.1)
    axes.plot([x for x, _ in seen], [e.value for _, e in seen], color=SERIES[i], linewidth=1.3, markersize=4.2, **style)


def _drawable(x: float, e: Estimate) -> bool:
    return abs(x) < LARGEST and drawable(e)


def short(x: float) -> str:
    """
    >>> [short(x) for x in (8.0, 1e6, 165632.0)]
    ['8', '1M', '166k']
    """
    if not math.isfinite(x):
        return "not known"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if x >= size:
            return f"{x / size:.3g}{letter}"
    return f"{x:g}"
