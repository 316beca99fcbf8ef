"""DeLong's variance of an AUC, in the time of a sort, and the interval it gives."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from ._math import clean, normal_quantile
from .intervals import clopper_pearson

ZERO_VARIANCE = 1e-20  # rounding of an exact 0; a true variance of n scores is never below 1/n^4 or so


def placements(members: np.ndarray, nonmembers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the other side that each sample is on the right side of, ties counting half.

    Returns (m,) for members: the share of non-members below; and (n,) for non-members: the share of members above.
    Their means both are the AUC. Sorting once makes this O((m + n) log(m + n)) instead of O(m n). Arrays hold no NaN.

    By hand: 3 lies above both 0 and 2, 1 lies above 0 alone.

    >>> [v.tolist() for v in placements(np.array([3.0, 1.0]), np.array([0.0, 2.0]))]
    [[1.0, 0.5], [1.0, 0.5]]
    """
    return share_below(members, nonmembers), 1 - share_below(nonmembers, members)


def share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of ``values``, the share of ``others`` below it, ties counting half; neither holds a NaN.

    >>> share_below(np.array([2.0]), np.array([1.0, 2.0])).tolist()
    [0.75]
    """
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return below / (2 * len(ordered))


def delong_variance(members: ArrayLike, nonmembers: ArrayLike) -> float:
    """Variance of the AUC, without assumptions about the scores' distributions.

        Var = s_10^2/m + s_01^2/n

    where s_10^2 and s_01^2 are the sample variances (divisors m - 1, n - 1) of the ``placements`` of ``members`` (m,)
    and ``nonmembers`` (n,). NaN where a side has fewer than two scores.

    Sources: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves: a nonparametric approach", Biometrics, 1988; computed by sorting as in Sun and Xu, "Fast
    implementation of DeLong's algorithm", IEEE Signal Processing Letters, 2014.

    By hand: placements are 1, .5 and 1, .5; both variances .125; .125/2 + .125/2.

    >>> delong_variance([3.0, 1.0], [0.0, 2.0])
    0.125
    """
    x, y = clean(members), clean(nonmembers)
    if min(len(x), len(y)) < 2:
        return math.nan
    v_members, v_nonmembers = placements(x, y)
    return float(np.var(v_members, ddof=1) / len(x) + np.var(v_nonmembers, ddof=1) / len(y))


def auc_interval(value: float, variance: float, pairs: int, level: float = 0.95) -> tuple[float, float]:
    """Interval (low, high) of an AUC from its ``variance``, never leaving [0, 1] and never a single point.

        logit(A) +- z sqrt(variance) / (A (1 - A)),  mapped back to an AUC

    with A = ``value``. Where that is undefined (A is 0 or 1, or variance is 0 or NaN) all observed placements agree and
    cannot tell how far they might be off. Then ``pairs`` = min(m, n) disjoint, hence independent, member/non-member
    pairs are taken as trials of which A * pairs succeed, with the Clopper-Pearson interval. At A = 1 its lower end is
    ((1 - level)/2)^(1/pairs): valid for every distribution, and therefore wide.

    By hand, A = 1 from 10 pairs: .025^(1/10) = .6915.

    >>> round(auc_interval(1.0, 0.0, 10)[0], 4)
    0.6915
    """
    z = normal_quantile(level)
    if not 0.0 < value < 1.0 or not variance > ZERO_VARIANCE:
        return clopper_pearson(min(max(value, 0.0), 1.0) * pairs, pairs, level)
    half = z * math.sqrt(variance) / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))
