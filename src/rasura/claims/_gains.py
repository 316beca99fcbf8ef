"""Two scores of the same texts compared by AUC: what the claims about membership signals are decided on.

A *stratum* is a ``Data`` of a study (or some of its rows) with ``dose`` (n,), 0 = never seen, and one array (n,) a score;
a seed is a sequence of strata, in each of which members are compared with non-members of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.types import Estimate
from ..stats.roc import auc_difference
from ._decide import words
from ._pool import Sides, pooled_auc, wider

LOW = (1, 2, 4)  # copies an epoch: where memory is faint and a better signal has room
Scores = str | np.ndarray  # the name of a column, or its values


def sides(data: Any, scores: Scores, doses: Sequence[int] | None = None) -> Sides:
    """Scores of the members seen that often an epoch (None: ever) and of those never seen."""
    values = getattr(data, scores) if isinstance(scores, str) else scores
    member = data.dose > 0 if doses is None else np.isin(data.dose, doses)
    return values[member], values[data.dose == 0]


def aucs(seeds: Sequence[Sequence[Any]], scores: str, doses: Sequence[int] | None = None) -> Estimate:
    """AUC of one score, strata and seeds pooled by their members."""
    return pooled_auc([[sides(data, scores, doses) for data in strata] for strata in seeds])


def gain(seeds: Sequence[Sequence[Any]], new: str, old: str, doses: Sequence[int] | None = None) -> Estimate:
    """AUC of one score minus AUC of another on the same texts, strata and seeds weighed by their members."""
    return paired_gain([[(sides(d, new, doses), sides(d, old, doses)) for d in strata] for strata in seeds])


def paired_gain(seeds: Sequence[Sequence[tuple[Sides, Sides]]]) -> Estimate:
    """The same from scores: position i of a side of either is one text.

        d = sum_g w_g d_g,    low = d - sqrt(sum_g w_g^2 (d_g - low_g)^2),    high likewise,    w_g = m_g/sum m

    with d_g and its interval those of ``stats.roc.auc_difference`` within stratum g, m_g its members that both scores
    know; the wider of that and the t interval over seeds. A stratum without a number leaves none.

    Source: Zou and Donner, as for ``_pool.average``.

    By hand: members above one of two non-members, AUC 1/2, against members above both, AUC 1:

    >>> old, new = (np.array([1.0, 1.0]), np.array([0.0, 2.0])), (np.array([3.0, 3.0]), np.array([0.0, 2.0]))
    >>> paired_gain([[(new, old)]]).value
    0.5
    """
    found = [[(_members(new[0], old[0]), _difference(new, old)) for new, old in strata] for strata in seeds]
    every = [pair for strata in found for pair in strata]
    n = sum(e.n for _, e in every)
    unknown = next((e for _, e in every if not e.known), None)
    if unknown is not None:
        return Estimate(math.nan, math.nan, math.nan, n, "difference of AUC", note=unknown.note)
    value = _weighted(every)
    total = sum(m for m, _ in every)
    below, above = (
        math.sqrt(sum((m / total * (e.value - end(e))) ** 2 for m, e in every))
        for end in (lambda e: e.low, lambda e: e.high)
    )
    each = [_weighted(strata) for strata in found]
    return wider(value, (value - below, value + above), each, n, "difference of AUC")


def _members(new: np.ndarray, old: np.ndarray) -> int:
    return int(np.sum(~np.isnan(new) & ~np.isnan(old)))


def _difference(new: Sides, old: Sides) -> Estimate:
    return auc_difference(*new, *old).estimate


def _weighted(pairs: Sequence[tuple[int, Estimate]]) -> float:
    return float(np.average([e.value for _, e in pairs], weights=[m for m, _ in pairs]))


def size(e: Estimate) -> Estimate:
    """Of an interval around a number that of its absolute value.

    >>> print(size(Estimate(-0.1, -0.3, 0.2, 9, "AUC")))
    0.100 [0.000, 0.300] (n=9)
    """
    ends = abs(e.low), abs(e.high)
    low = 0.0 if e.low <= 0 <= e.high else min(ends)
    return Estimate(abs(e.value), low, max(ends), e.n, e.unit, note=e.note)


def by_dose(
    seeds: Sequence[Sequence[Any]], columns: Mapping[str, str], doses: Sequence[int] = ()
) -> list[tuple[str, ...]]:
    """A table: a row a dose, a column a score, AUC in each cell. ``columns``: heading -> name of the score."""
    doses = doses or sorted({int(d) for strata in seeds for data in strata for d in data.dose if d > 0})
    rows = [("copies an epoch", "records", *(f"AUC of {heading}" for heading in columns))]
    for d in doses:
        records = sum(int(np.sum(data.dose == d)) for strata in seeds for data in strata)
        rows.append((str(d), str(records), *(words(aucs(seeds, name, (d,))) for name in columns.values())))
    return rows
