"""Rates of one signal over the targets of ``_shadowed``: thresholds within a target, mean over targets, then over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.types import Estimate
from ..stats.intervals import mean_estimate
from ..stats.roc import auc, tpr_at_fpr
from ._decide import words
from ._pool import average, clipped
from ._shadowed import COLUMNS, ShadowedData

AUC = 0.0  # in place of a rate of false positives


def each_target(data: ShadowedData, column: int, fpr: float) -> np.ndarray:
    """True-positive rate at ``fpr``, or the AUC, one a target."""
    values = []
    for k in np.unique(data.target):
        here, score = data.target == k, data.scores[:, column]
        sides = score[here & (data.member == 1)], score[here & (data.member == 0)]
        values.append(auc(*sides) if fpr == AUC else tpr_at_fpr(*sides, fpr).value)
    return np.array(values)


def rates(data: ShadowedData, column: int, fpr: float) -> Estimate:
    """Mean over the targets of one seed."""
    return mean_estimate(each_target(data, column, fpr), "true-positive rate")


def difference(seeds: Sequence[ShadowedData], one: int, other: int, fpr: float) -> Estimate:
    """Mean difference of two signals, target by target."""
    each = [each_target(data, one, fpr) - each_target(data, other, fpr) for data in seeds]
    return average([mean_estimate(values, "difference") for values in each])


def rates_table(seeds: Sequence[ShadowedData], fpr: float) -> list[tuple[str, ...]]:
    """All signals, all doses together, and AUC by dose."""
    doses = sorted({int(d) for data in seeds for d in data.dose})
    rows = [("signal", "AUC", f"true positives at {100 * fpr:g} %", *(f"AUC at {d}x" for d in doses))]
    for k, name in enumerate(COLUMNS):
        cells = [clipped(average([rates(data, k, rate) for data in seeds])) for rate in (AUC, fpr)]
        cells += [clipped(average([rates(_only(data, d), k, AUC) for data in seeds])) for d in doses]
        rows.append((name, *map(words, cells)))
    return rows


def _only(data: ShadowedData, dose: int) -> ShadowedData:
    keep = data.dose == dose
    return ShadowedData(data.target[keep], data.member[keep], data.dose[keep], data.scores[keep], data.a[keep])
