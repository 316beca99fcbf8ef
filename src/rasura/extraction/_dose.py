"""Rates with intervals: over all records, and against how often each was trained on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..core.records import DoseRow
from ..core.types import Estimate
from ..stats.intervals import mean_estimate, proportion


def rate(success: np.ndarray, unit: str = "share", bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """Mean of ``success`` (n,), NaN left out: Wilson's interval for 0 and 1, Student's t within ``bounds`` otherwise.

    ``unit`` and ``bounds`` are those of an ``Extracted``.

    By hand, 5 of 10: as in ``stats.intervals.proportion``.

    >>> print(rate(np.array([1, 0] * 5 + [np.nan])))
    0.500 [0.237, 0.763] (n=10)
    """
    known = np.asarray(success, dtype=np.float64)
    known = known[~np.isnan(known)]
    if unit == "share" and np.isin(known, (0.0, 1.0)).all():
        return proportion(float(known.sum()), len(known), unit)
    return mean_estimate(known, unit, bounds=bounds)


def dose_rows(
    success: np.ndarray,
    repeats: Iterable[int | None],
    unit: str = "share",
    bounds: tuple[float, float] = (0.0, 1.0),
) -> tuple[DoseRow, ...]:
    """One row for each number of copies an epoch, rising; records whose copies are unknown take no part.

    >>> rows = dose_rows(np.array([0.0, 1.0, 1.0, 0.0]), [1, 16, 16, None])
    >>> [(row.repeats, row.estimate.value, row.estimate.n) for row in rows]
    [(1, 0.0, 1), (16, 1.0, 2)]
    """
    copies = np.array([-1 if r is None else r for r in repeats], dtype=np.int64)
    values = np.asarray(success, dtype=np.float64)
    levels = sorted({int(c) for c in copies if c >= 0})
    return tuple(DoseRow(level, rate(values[copies == level], unit, bounds)) for level in levels)
