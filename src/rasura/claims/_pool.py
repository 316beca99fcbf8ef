"""One number from several seeds, with an interval that covers both what was drawn: items, and trainings.

Two intervals are computed and the wider one is given, end by end:

- *items*: the seeds' items (texts, records) as independent draws, the seeds as given;
- *seeds*: Student's t interval over the seeds' values, the items as given (two degrees of freedom for three seeds).

Each alone can be too short: the first where trainings differ, the second where three seeds agree by chance or all sit
at the end of the scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from ..core.types import Estimate
from ..stats._math import clean
from ..stats.delong import auc_interval, delong_variance
from ..stats.intervals import clopper_pearson, mean_estimate
from ..stats.roc import auc

Sides = tuple[np.ndarray, np.ndarray]  # scores of members, scores of non-members


def wider(value: float, items: tuple[float, float], seeds: Sequence[float], n: int, unit: str) -> Estimate:
    """``value`` with the wider of the interval over ``items`` and the t interval over the values of ``seeds``.

    Seeds 1, 2, 3: mean 2, t interval [-.484, 4.484]; items reach further up:

    >>> print(wider(2.0, (1.0, 5.0), [1.0, 2.0, 3.0], 30, "nats"))
    2.000 [-0.484, 5.000] (n=30)
    """
    low, high = items
    if len(seeds) > 1:
        over = mean_estimate(seeds, unit)
        low, high = min(low, over.low), max(high, over.high)
    return Estimate(value, low, high, n, unit)


def average(seeds: Sequence[Estimate]) -> Estimate:
    """Mean of independent estimates of the same thing, one a seed.

        low = m - sqrt(sum_s (v_s - low_s)^2)/S,    high = m + sqrt(sum_s (high_s - v_s)^2)/S,    m = (1/S) sum_s v_s

    over items, and the wider of that and the t interval over seeds. A seed without a number leaves none.

    Source: Zou and Donner, "Construction of confidence limits about effect measures: a general approach", Statistics in
    Medicine, 2008.

    By hand: half widths 3 and 4 on two estimates of mean 1: sqrt(9 + 16)/2 = 2.5; the seeds agree exactly.

    >>> print(average([Estimate(1.0, -2.0, 4.0, 10, "nats"), Estimate(1.0, -3.0, 5.0, 10, "nats")]))
    1.000 [-1.500, 3.500] (n=20)
    """
    n, unit = sum(e.n for e in seeds), seeds[0].unit
    unknown = next((e for e in seeds if not e.known), None)
    if unknown is not None:
        return Estimate(math.nan, math.nan, math.nan, n, unit, note=unknown.note or "a seed has no number")
    mean = float(np.mean([e.value for e in seeds]))
    low = mean - math.sqrt(sum((e.value - e.low) ** 2 for e in seeds)) / len(seeds)
    high = mean + math.sqrt(sum((e.high - e.value) ** 2 for e in seeds)) / len(seeds)
    return wider(mean, (low, high), [e.value for e in seeds], n, unit)


def contrast(a: Estimate, b: Estimate, weight: float = 1.0) -> Estimate:
    """a - w b of two independent estimates, w = ``weight`` >= 0:

        v = a - w b,   low = v - sqrt((a - a_low)^2 + w^2 (b_high - b)^2),   high = v + sqrt((a_high - a)^2 + w^2 (b - b_low)^2)

    The same items measured twice are treated as different ones, so the interval is too long rather than too short.

    Source: Zou and Donner, as for ``average``.

    By hand: .9 [.6, 1] minus .5 [.1, .7]: low .4 - sqrt(.3^2 + .2^2) = .039, high .4 + sqrt(.1^2 + .4^2) = .812.

    >>> print(contrast(Estimate(0.9, 0.6, 1.0, 5, "share"), Estimate(0.5, 0.1, 0.7, 5, "share")))
    0.400 [0.039, 0.812] (n=10)
    """
    n = a.n + b.n
    if not (a.known and b.known):
        note = next(e.note for e in (a, b) if not e.known) or "one side has no number"
        return Estimate(math.nan, math.nan, math.nan, n, a.unit, note=note)
    value = a.value - weight * b.value
    low = value - math.hypot(a.value - a.low, weight * (b.high - b.value))
    return Estimate(value, low, value + math.hypot(a.high - a.value, weight * (b.value - b.low)), n, a.unit)


def median(seeds: Sequence[np.ndarray], unit: str) -> Estimate:
    """Median of all values, between order statistics, and at least as wide as the t interval over the seeds' medians.

    Items: x_(k + 1) and x_(n - k), k the largest number with P(Binomial(n, 1/2) <= k) <= .025; the whole range where no
    k >= 0 has that.

    Source: Thompson, "On confidence ranges for the median and other expectation distributions for populations of unknown
    distribution form", Annals of Mathematical Statistics, 1936.

    By hand: of 8 values P(X <= 0) = 1/256 = .004 and P(X <= 1) = 9/256 = .035, so k = 0: the whole range.

    >>> print(median([np.array([1.0, 2, 3, 4, 5, 6, 7, 9])], "s"))
    4.500 [1.000, 9.000] (n=8)
    """
    values = np.sort(np.concatenate([clean(v) for v in seeds]))
    n = len(values)
    if not n:
        return Estimate(math.nan, math.nan, math.nan, 0, unit, note="nothing was measured")
    k = max(0, int(binom.ppf(0.025, n, 0.5)) - 1)
    each = [float(np.median(clean(v))) for v in seeds]
    return wider(float(np.median(values)), (float(values[k]), float(values[n - 1 - k])), each, n, unit)


def share(seeds: Sequence[np.ndarray], unit: str = "share") -> Estimate:
    """Share of 1 among 0/1 values, NaN left out: Clopper-Pearson over the items of all seeds; [0, 1] always.

    >>> print(share([np.array([1.0, 1.0]), np.array([1.0, 0.0, np.nan])]))
    0.750 [0.000, 1.000] (n=4)
    """
    kept = [clean(values) for values in seeds if len(clean(values))]
    every = np.concatenate(kept) if kept else np.zeros(0)
    if not len(every):
        return Estimate(math.nan, math.nan, math.nan, 0, unit, note="nothing to count")
    items = clopper_pearson(float(every.sum()), len(every))
    return clipped(wider(float(every.mean()), items, [float(v.mean()) for v in kept], len(every), unit))


def pooled_auc(seeds: Sequence[Sequence[Sides]]) -> Estimate:
    """AUC of members over the non-members of their own stratum, strata weighed by their members.

        A = sum_g m_g A_g / sum_g m_g,      Var A = sum_g m_g^2 Var A_g / (sum_g m_g)^2

    over the strata g (families) of all seeds, Var A_g DeLong's; items interval on the logit scale, or from
    sum_g min(m_g, n_g) independent pairs where all of them agree (``stats.delong.auc_interval``).

    By hand: strata of AUC 1 (2 members) and 0 (1 member): 2/3.

    >>> round(pooled_auc([[(np.array([3.0, 2.0]), np.array([1.0, 0.0])), (np.array([0.0]), np.array([1.0]))]]).value, 4)
    0.6667
    """
    strata = [[(clean(x), clean(y)) for x, y in seed] for seed in seeds]
    strata = [[(x, y) for x, y in seed if len(x) and len(y)] for seed in strata]
    each = [g for seed in strata for g in seed]
    if not each:
        return Estimate(math.nan, math.nan, math.nan, 0, "AUC", note="no members or no non-members")
    value, pairs = weighted_auc(each), sum(min(len(x), len(y)) for x, y in each)
    total = sum(len(x) for x, _ in each)
    variance = sum(len(x) ** 2 * np.nan_to_num(delong_variance(x, y)) for x, y in each) / total**2
    items = auc_interval(value, float(variance), pairs)
    n = total + sum(len(y) for _, y in each)
    return clipped(wider(value, items, [weighted_auc(seed) for seed in strata if seed], n, "AUC"))


def weighted_auc(strata: Sequence[Sides]) -> float:
    """The number alone, from strata without NaN and without an empty side."""
    return float(np.average([auc(x, y) for x, y in strata], weights=[len(x) for x, _ in strata]))


def clipped(e: Estimate, least: float = 0.0, most: float = 1.0) -> Estimate:
    """The interval within what the number can be: an interval over three seeds does not know it."""
    return Estimate(e.value, max(least, e.low), min(most, e.high), e.n, e.unit, note=e.note) if e.known else e
