"""What extractors measured, averaged over records: rows of a record, with the same on records never seen beside them."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.records import MeasureRow
from ..core.types import Estimate
from ..stats.ranking import average_precision_estimate, recall_at_errors_estimate
from ._dose import rate
from ._match import Curve, Extracted, Ranking

ERRORS = 100  # wrong guesses a ranking is read down to


def measure_rows(found: Extracted, never: Extracted | None = None) -> tuple[MeasureRow, ...]:
    """One row a point of every curve, then the two numbers of every ranking; unknown points are left out."""
    rows: list[MeasureRow] = []
    floors = {c.name: c for c in never.curves} if never is not None else {}
    for curve in found.curves:
        values, beside = _points(curve), _points(floors[curve.name]) if curve.name in floors else [None] * len(curve.x)
        rows += [
            MeasureRow(curve.name, curve.axis, x, value, floor)
            for x, value, floor in zip(curve.x, values, beside, strict=True)
            if value.known
        ]
    others = {r.name: r for r in never.rankings} if never is not None else {}
    for ranking in found.rankings:
        floor = _ranked(others[ranking.name]) if ranking.name in others else (None, None)
        names = (f"average precision, {ranking.name}", f"recall at {ERRORS} errors, {ranking.name}")
        rows += [
            MeasureRow(name, "", 0.0, value, beside)
            for name, value, beside in zip(names, _ranked(ranking), floor, strict=True)
            if value.known
        ]
    return tuple(rows)


def size_rows(by_size: Sequence[tuple[int, Extracted, Extracted | None]]) -> tuple[MeasureRow, ...]:
    """The rate at each model size: (parameters, found on the records, found on records never seen), rising."""
    rows = []
    for parameters, found, never in by_size:
        floor = None if never is None else rate(never.success, never.unit, never.bounds)
        value = rate(found.success, found.unit, found.bounds)
        rows += [MeasureRow("extracted", "parameters", float(parameters), value, floor)] if value.known else []
    return tuple(rows)


def _points(curve: Curve) -> list[Estimate]:
    return [rate(column, curve.unit, curve.bounds) for column in curve.values.T]


def _ranked(ranking: Ranking) -> tuple[Estimate, Estimate]:
    pair = ranking.correct, ranking.confidence
    return average_precision_estimate(*pair), recall_at_errors_estimate(*pair, ERRORS)
