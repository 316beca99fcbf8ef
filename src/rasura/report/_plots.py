"""One function a plot: records in, SVG text out. Every plot has its numbers in a table on the same page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rasura.core.records import DoseRow, SignalResult, Step
from rasura.core.types import Estimate
from rasura.report._format import clip, interval_text, value_text
from rasura.report._marks import LARGEST, dot, drawable, ends, share_label, span
from rasura.report._svg import (
    DASHES,
    INK,
    MARKERS,
    MUTED,
    RULE,
    SERIES,
    SHADE,
    WIDTH,
    canvas,
    drawn,
    panel,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = 1e-3  # lowest rate on the ROC's axes
HIGHLIGHTED = len(SERIES)

LARGEST_STEP = 10**12  # a transcript that says more is no training


@drawn
def roc(signals: Sequence[SignalResult], nonmembers: int | None) -> Figure:
    """True against false positives on log axes; the first few ``signals`` get a colour of their own.

    What ``nonmembers`` records cannot resolve, rates below 1/nonmembers, is shaded.
    """
    from matplotlib.ticker import NullLocator

    figure = canvas(310)
    axes = panel(figure, 50, 10, 320, 254)
    axes.set(xscale="log", yscale="log", xlim=(FLOOR, 1.0), ylim=(FLOOR, 1.08))
    axes.set_xlabel("false-positive rate (non-members called members)")
    axes.set_ylabel("true-positive rate")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(share_label)
        axis.set_minor_locator(NullLocator())
    axes.grid(True, color=SHADE, linewidth=0.7)
    axes.set_axisbelow(True)
    if nonmembers:
        edge = min(max(1.0 / nonmembers, FLOOR), 1.0)
        axes.axvspan(FLOOR, edge, color=SHADE, linewidth=0, zorder=0.5)
        if edge > 1.8 * FLOOR:
            upright = edge < 8 * FLOOR
            text = f"not resolvable with {nonmembers} non-members"
            text = text if upright else text.replace(" with", "\nwith").replace(" non-", "\nnon-")
            axes.text(
                math.sqrt(FLOOR * edge),
                FLOOR * 1.25,
                text,
                ha="center",
                va="bottom",
                rotation=90 if upright else 0,
                fontsize=9,
                color=MUTED,
                bbox={"facecolor": SHADE, "edgecolor": "none", "pad": 1.5},
                zorder=4,
            )
    axes.plot([FLOOR, 1], [FLOOR, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    axes.text(0.5, 0.35, "chance", color=MUTED, fontsize=9, ha="center", va="top")
    for result in signals[HIGHLIGHTED:]:
        _roc_line(axes, result, color=RULE, linewidth=0.9, zorder=1.5)
    for i, result in reversed(list(enumerate(signals[:HIGHLIGHTED]))):
        _roc_line(axes, result, color=SERIES[i], linewidth=1.8, linestyle=DASHES[i], zorder=3)
    return figure


def _roc_line(axes: Axes, result: SignalResult, **style: object) -> None:
    if len(result.roc) != 2 or len(result.roc[0]) != len(result.roc[1]):
        return
    x, y = np.asarray(result.roc[0], dtype=float), np.asarray(result.roc[1], dtype=float)
    low, right = x <= FLOOR, x > FLOOR
    if not (low | right).any():
        return
    start = max(y[low], default=0.0)  # what is found before the axis begins
    axes.plot(np.concatenate([[FLOOR], x[right]]), np.maximum(np.concatenate([[start], y[right]]), FLOOR / 10), **style)


@drawn
def forest(signals: Sequence[SignalResult], blind: Estimate) -> Figure:
    """AUC and interval of every signal in the order given, the ``blind`` baseline on top."""
    rows = [("blind baseline", blind, True, MUTED)]
    rows += [(s.method.name, s.auc, s.p_holm < 0.05, INK) for s in signals]
    height, left, right = 18, 122, 104
    figure = canvas(46 + height * len(rows))
    axes = panel(figure, left, 8, WIDTH - left - right, height * len(rows))
    low, high = span([e for _, e, _, _ in rows], 0.45, 1.0)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.5, -0.5), xlabel="AUC (0.5 = chance)")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    if drawable(blind):
        axes.axvspan(*ends(blind), color=SHADE, linewidth=0)
    axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    for y, (name, e, filled, colour) in enumerate(rows):
        axes.text(-0.04, y, clip(name, 20), transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=10)
        text = f"{value_text(e)} {interval_text(e)}" if e.known else "not resolvable"
        axes.text(1.04, y, text, transform=axes.get_yaxis_transform(), ha="left", va="center", fontsize=9, color=MUTED)
        dot(axes, e, y, colour, "D" if y == 0 else "o", filled)
    axes.axhline(0.5, color=RULE, linewidth=0.8)
    return figure


@drawn
def dose(series: Sequence[Sequence[DoseRow]], label: str, chance: float | None = None) -> Figure | None:
    """Response against how often a record was seen, on a log2 axis; one line a method, in the order of the colours."""
    repeats = sorted({row.repeats for doses in series for row in doses})
    if not repeats:
        return None
    figure = canvas(244)
    axes = panel(figure, 50, 8, 320, 190)
    place = _places(repeats)
    shown = repeats[:: math.ceil(len(repeats) / 9)]
    axes.set_xticks([place[r] for r in shown], [f"{r}\u00d7" if r else "never" for r in shown])
    axes.set_xlim(min(place.values()) - 0.4, max(place.values()) + 0.4)
    known = [row.estimate for doses in series for row in doses if drawable(row.estimate)]
    axes.set_ylim(*span(known, 0.45 if chance else 0.0, 1.0 if chance or label.startswith("share") else 0.0))
    axes.grid(True, axis="y", color=SHADE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set(xlabel="times seen in each training epoch", ylabel=clip(label, 30))
    if chance:
        axes.axhline(chance, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    for i, doses in enumerate(series[:HIGHLIGHTED]):
        _dose_line(axes, doses, place, 0.09 * (i - (len(series[:HIGHLIGHTED]) - 1) / 2), i)
    return figure


def _places(repeats: Sequence[int]) -> dict[int, float]:
    """Where each dose stands on the axis: its log2, and never seen one step to the left of the rest."""
    logs = {r: math.log2(r) for r in repeats if r > 0}
    return {r: logs.get(r, min(logs.values(), default=1.0) - 1) for r in repeats}


def _dose_line(axes: Axes, doses: Sequence[DoseRow], place: Mapping[int, float], shift: float, i: int) -> None:
    rows = [row for row in sorted(doses, key=lambda row: row.repeats) if drawable(row.estimate)]
    x = [place[row.repeats] + shift for row in rows]
    for position, row in zip(x, rows, strict=True):
        axes.plot([position] * 2, ends(row.estimate), color=SERIES[i], linewidth=1.1)
    values = [row.estimate.value for row in rows]
    axes.plot(x, values, color=SERIES[i], linewidth=1.3, linestyle=DASHES[i], marker=MARKERS[i], markersize=4.2)


@drawn
def comparison(
    rows: Sequence[tuple[str, str, str, Mapping[str, Estimate]]], styles: Mapping[str, tuple[str, str]]
) -> Figure | None:
    """Dots with intervals under the models compared; ``rows`` are (name, line below it, unit, estimate by role)."""
    groups: dict[str, list[tuple[str, str, str, Mapping[str, Estimate]]]] = {}
    for row in sorted(rows, key=lambda row: not row[2].startswith("share")):  # shares first: the easiest to read
        groups.setdefault(row[2], []).append(row)
    if not groups:
        return None
    pitch = 12 + 9 * max(2, max(len(row[3]) for row in rows))
    figure = canvas(sum(pitch * len(group) + 44 for group in groups.values()) + 4)
    top = 6.0
    for unit, group in groups.items():
        axes = panel(figure, 130, top, WIDTH - 130 - 12, pitch * len(group))
        _comparison_panel(axes, group, styles, pitch)
        axes.set_xlabel(clip(unit, 44))
        top += pitch * len(group) + 44
    return figure


def _comparison_panel(
    axes: Axes,
    group: Sequence[tuple[str, str, str, Mapping[str, Estimate]]],
    styles: Mapping[str, tuple[str, str]],
    pitch: float,
) -> None:
    from matplotlib.ticker import NullLocator

    known = [e for row in group for e in row[3].values() if drawable(e)]
    edges = [edge for e in known for edge in (*ends(e), e.value)]
    shares = all(0 <= edge <= 1 for edge in edges)
    if known and not shares and min(edges) > 0 and max(edges) / min(edges) > 200:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(share_label)
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(*span(known, *((0.0, 1.0) if shares else (math.inf, -math.inf))))
    axes.set_ylim(len(group) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(True, axis="x", color=SHADE, linewidth=0.7)
    axes.set_axisbelow(True)
    for y, (name, below, _, values) in enumerate(group):
        if y:
            axes.axhline(y - 0.5, color=SHADE, linewidth=0.7)
        side = {"transform": axes.get_yaxis_transform(), "ha": "right"}
        axes.text(-0.04, y, clip(name, 22), va="bottom", fontsize=10, **side)
        axes.text(-0.04, y + 0.06, clip(below, 26), va="top", fontsize=9, color=MUTED, **side)
        for i, (role, e) in enumerate(values.items()):
            colour, marker = styles[role]
            shift = 9 / pitch * (i - (len(values) - 1) / 2)
            dot(axes, e, y + shift, colour, marker, True)


@drawn
def transcript(steps: Sequence[Step]) -> Figure | None:
    """Forget and retain loss by optimiser step, as logged; long transcripts are thinned evenly."""
    if len(steps) < 2:
        return None
    kept = sorted({round(i) for i in np.linspace(0, len(steps) - 1, min(len(steps), 400))})
    x = [float(min(max(steps[i].step, -LARGEST_STEP), LARGEST_STEP)) for i in kept]
    figure = canvas(262)
    for i, (label, colour, values) in enumerate(
        (
            ("forget loss", SERIES[0], [steps[k].forget for k in kept]),
            ("retain loss", SERIES[1], [steps[k].retain for k in kept]),
        )
    ):
        axes = panel(figure, 52, 8 + i * 116, 318, 98)
        finite = [v if abs(v) < LARGEST else math.nan for v in values]
        axes.plot(x, finite, color=colour, linewidth=1.6, marker=MARKERS[i] if len(x) <= 25 else "", markersize=3.2)
        axes.grid(True, axis="y", color=SHADE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_ylabel(label)
        axes.tick_params(labelbottom=bool(i))
    axes.set_xlabel("optimiser step")
    return figure
