"""ROC: how well scores order members above non-members, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ..core.errors import BadInput
from ..core.types import Estimate
from ._math import clean, clean_pairs, normal_quantile, pooled_codes, resampled_counts, unknown
from .delong import ZERO_VARIANCE, auc_interval, delong_variance, placements, share_below
from .intervals import clopper_pearson, rule_of_three


@dataclass(frozen=True)
class Difference:
    """A difference between two estimates, and the two-sided p value that it is zero."""

    estimate: Estimate
    p_value: float


def auc(members: ArrayLike, nonmembers: ArrayLike) -> float:
    """Probability that a random member scores above a random non-member, ties counting half.

        AUC = (#{member > nonmember} + #{member = nonmember}/2) / (m n)

    over all m n pairs of ``members`` (m,) and ``nonmembers`` (n,); NaN dropped; NaN if a side is empty.

    Source: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the
    other", Annals of Mathematical Statistics, 1947.

    By hand: of the pairs (3,1), (3,2), (2,1), (2,2) three are ordered and one ties: 3.5/4.

    >>> auc([3.0, 2.0], [1.0, 2.0])
    0.875
    """
    x, y = clean(members), clean(nonmembers)
    return float(np.mean(share_below(x, y))) if len(x) and len(y) else math.nan


def auc_estimate(members: ArrayLike, nonmembers: ArrayLike, level: float = 0.95) -> Estimate:
    """AUC of ``members`` (m,) over ``nonmembers`` (n,) with DeLong's variance on the logit scale.

    ``auc``, ``delong_variance`` and ``auc_interval`` put together; n of the result is m + n without NaN. An empty side
    gives NaN with a note.

    Sources: those of ``delong_variance``; logit scale: Pepe, "The statistical evaluation of medical tests for
    classification and prediction", 2003.

    By hand: A = .75, variance .125; half width on the logit scale 1.96 * .35355/.1875 = 3.696; logit(.75) = 1.0986;
    expit(-2.597) = .069 and expit(4.794) = .992.

    >>> print(auc_estimate([3.0, 1.0], [0.0, 2.0]))
    0.750 [0.069, 0.992] (n=4)
    """
    x, y = clean(members), clean(nonmembers)
    if not len(x) or not len(y):
        return unknown("AUC", len(x) + len(y), _too_few(x, y), level)
    value = auc(x, y)
    low, high = auc_interval(value, delong_variance(x, y), min(len(x), len(y)), level)
    return Estimate(value, low, high, len(x) + len(y), "AUC", level)


def auc_difference(
    members_a: ArrayLike,
    nonmembers_a: ArrayLike,
    members_b: ArrayLike,
    nonmembers_b: ArrayLike,
    level: float = 0.95,
) -> Difference:
    """AUC of score a minus AUC of score b, both on the same samples, with an interval and a two-sided p value.

        Var = s^2(v_a - v_b over members)/m + s^2(v_a - v_b over nonmembers)/n,     z = difference/sqrt(Var)

    with v the ``placements`` under either score. Position i of ``members_a`` and ``members_b`` (m,) is the same sample,
    likewise for non-members; samples that are NaN under either score are dropped. Fewer than two samples a side give
    NaN with a note; arrays of unequal length are a BadInput.

    If Var is 0, every observed pair differs by the same d, and a share h = 1 - ((1 - level)/2)^(1/k) of all pairs,
    k = min(m, n), could still behave in any way: the interval is [d - h(1 + d), d + h(1 - d)] and
    p = min(1, 2 (1 + |d|)^-k), which is below 1 - level exactly when the interval excludes 0.

    Source: DeLong, DeLong and Clarke-Pearson, 1988 (as in ``delong_variance``).

    By hand: a orders the pairs of members 3, 1 over non-members 0, 2 with v = 1, .5 and 1, .5; b (members 3, 3) has
    v = 1, 1 and 1, 1. Differences 0, -.5 and 0, -.5; mean -.25; variance .125/2 + .125/2; z = -.25/.35355 = -.7071.

    >>> result = auc_difference([3.0, 1.0], [0.0, 2.0], [3.0, 3.0], [0.0, 2.0])
    >>> result.estimate.value, round(result.p_value, 4)
    (-0.25, 0.4795)
    """
    (x_a, x_b), (y_a, y_b) = clean_pairs(members_a, members_b), clean_pairs(nonmembers_a, nonmembers_b)
    n, pairs = len(x_a) + len(y_a), min(len(x_a), len(y_a))
    if pairs < 2:
        return Difference(unknown("difference of AUC", n, _too_few(x_a, y_a), level), math.nan)
    (v_a, w_a), (v_b, w_b) = placements(x_a, y_a), placements(x_b, y_b)
    value = float(np.mean(v_a - v_b))
    variance = float(np.var(v_a - v_b, ddof=1) / len(v_a) + np.var(w_a - w_b, ddof=1) / len(w_a))
    if variance > ZERO_VARIANCE:
        half = normal_quantile(level) * math.sqrt(variance)
        low, high = max(-1.0, value - half), min(1.0, value + half)
        p_value = float(2 * ndtr(-abs(value) / math.sqrt(variance)))
    else:
        unseen = rule_of_three(pairs, (1 + level) / 2)
        low, high = value - unseen * (1 + value), value + unseen * (1 - value)
        p_value = min(1.0, 2 * (1 + abs(value)) ** -pairs)
    return Difference(Estimate(value, low, high, n, "difference of AUC", level), p_value)


def roc_curve(members: ArrayLike, nonmembers: ArrayLike, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """The ROC as (false_positive_rate, true_positive_rate), at most ``points`` of its corners from (0, 0) to (1, 1).

    Point j is the share of ``nonmembers`` and of ``members`` scoring at or above the j-th highest distinct score.
    Points inside a straight stretch are always left out. If more than ``points`` corners remain, the half with the
    fewest false positives is kept whole, so that a plot with a logarithmic axis is exact where it matters, and the
    other half is spread over the rest, evenly on a linear and on a logarithmic axis. NaN dropped; an empty side makes
    its rate NaN. BadInput for fewer than 10 points.

    Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters, 2006.

    By hand, members 3, 1 over non-members 2: thresholds 3, 2, 1 give (0, 1/2), (1, 1/2), (1, 1).

    >>> [v.tolist() for v in roc_curve([3.0, 1.0], [2.0])]
    [[0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0]]
    """
    if points < 10:
        raise BadInput(f"a curve needs at least 10 points, got {points}")
    x, y = clean(members), clean(nonmembers)
    codes_x, codes_y, size = pooled_codes(x, y)
    true_positives, false_positives = _exceedances(codes_x, size), _exceedances(codes_y, size)
    kept = _corners(false_positives, true_positives)
    if len(kept) > points:
        kept = _thin(kept, false_positives, points)
    return _rate(false_positives[kept], len(y)), _rate(true_positives[kept], len(x))


def _exceedances(codes: np.ndarray, size: int) -> np.ndarray:
    """How many codes are at or above each threshold, thresholds from "none" downwards: (size + 1,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=size)[::-1])])


def _corners(horizontal: np.ndarray, vertical: np.ndarray) -> np.ndarray:
    """Positions where the path changes direction, and both ends."""
    right, up = np.diff(horizontal), np.diff(vertical)
    turns = right[:-1] * up[1:] != right[1:] * up[:-1]
    return np.concatenate([[0], 1 + np.flatnonzero(turns), [len(right)]])


def _thin(kept: np.ndarray, false_positives: np.ndarray, points: int) -> np.ndarray:
    first, rest = kept[: points // 2], kept[points // 2 : -1]
    spread = points - len(first) - 1  # one is left for the end
    start, end = false_positives[rest[0]], false_positives[-1]
    linear, even = np.linspace(start, end, spread // 2), np.geomspace(max(start, 1), end, spread - spread // 2)
    nearest = np.searchsorted(false_positives[rest], np.concatenate([linear, even]))
    return np.concatenate([first, rest[np.unique(np.minimum(nearest, len(rest) - 1))], kept[-1:]])


def _rate(counts: np.ndarray, n: int) -> np.ndarray:
    return counts / n if n else np.full(len(counts), math.nan)


def tpr_at_fpr(members: ArrayLike, nonmembers: ArrayLike, fpr: float, level: float = 0.95) -> Estimate:
    """True-positive rate at the lowest threshold whose empirical false-positive rate is at most ``fpr``.

        TPR = #{member > c}/m,     c = the (k + 1)-th highest non-member score,     k = floor(fpr n)

    so that at most k of the n ``nonmembers`` exceed c. Clopper-Pearson interval over the m ``members`` (n of the result
    is m): it takes the threshold as given and leaves out that another draw of non-members would move it. With fewer
    than 1/fpr non-members not one false positive could be allowed: NaN and a note. NaN scores dropped; BadInput
    unless 0 < fpr <= 1.

    Source: Carlini, Chien, Nasr, Song, Terzis and Tramer, "Membership inference attacks from first principles", 2022.

    By hand: 2 non-members at 50 % allow one false positive, so c = 1 and members 3 and 2 of 3, 2, 0 are found.

    >>> print(tpr_at_fpr([3.0, 2.0, 0.0], [1.0, 2.5], 0.5))
    0.667 [0.094, 0.992] (n=3)
    >>> print(tpr_at_fpr([3.0, 2.0, 0.0], [1.0, 2.5], 0.01))
    not resolvable with 2 non-members
    """
    if not 0.0 < fpr <= 1.0:
        raise BadInput(f"fpr must lie in (0, 1], got {fpr}")
    x, y = clean(members), clean(nonmembers)
    unit = f"true-positive rate at {100 * fpr:g} % false positives"
    allowed = math.floor(fpr * len(y) + 1e-9)  # .01 * 300 is 2.9999... in binary
    if allowed < 1:
        return unknown(unit, len(x), f"not resolvable with {len(y)} non-members", level)
    if not len(x):
        return unknown(unit, 0, _too_few(x, y), level)
    found = len(x) if allowed >= len(y) else int(np.sum(x > np.sort(y)[-1 - allowed]))
    low, high = clopper_pearson(found, len(x), level)
    return Estimate(found / len(x), low, high, len(x), unit, level)


def auc_p_value(members: ArrayLike, nonmembers: ArrayLike) -> float:
    """One-sided Mann-Whitney p value: how often chance alone gives ``members`` an AUC at least this far above 1/2.

    Exact when a side has at most 8 scores and nothing ties, else the tie-corrected normal approximation (scipy). 1.0
    when all scores are equal, NaN when a side is empty. Source: Mann and Whitney, 1947 (as in ``auc``).

    By hand: members 3, 4 over non-members 1, 2 is one of the 6 orders of two and two: 1/6.

    >>> round(auc_p_value([3.0, 4.0], [1.0, 2.0]), 4)
    0.1667
    """
    from scipy.stats import mannwhitneyu

    x, y = clean(members), clean(nonmembers)
    if not len(x) or not len(y):
        return math.nan
    if np.min(x) == np.max(x) == np.min(y) == np.max(y):
        return 1.0
    return float(mannwhitneyu(x, y, alternative="greater").pvalue)


def bootstrap_auc(
    members: ArrayLike, nonmembers: ArrayLike, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """AUC with a percentile interval from members and non-members resampled separately; a check on ``auc_estimate``.

    It shrinks to a point at an AUC of 0 or 1, where ``auc_estimate`` does not. An empty side gives NaN with a note.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics, 1979.

    By hand: one member above one non-member can only be drawn again as it is.

    >>> print(bootstrap_auc([1.0], [0.0]))
    1.000 [1.000, 1.000] (n=2)
    """
    x, y = clean(members), clean(nonmembers)
    if not len(x) or not len(y):
        return unknown("AUC", len(x) + len(y), _too_few(x, y), level)
    codes_x, codes_y, size = pooled_codes(x, y)
    draws = []
    for count_x, count_y in resampled_counts((codes_x, codes_y), size, resamples, np.random.default_rng(seed)):
        below = np.cumsum(count_y, axis=1) - count_y / 2
        draws.append(np.sum(count_x * below, axis=1) / (len(x) * len(y)))
    low, high = np.quantile(np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(auc(x, y), float(low), float(high), len(x) + len(y), "AUC", level)


def _too_few(x: np.ndarray, y: np.ndarray) -> str:
    return f"not resolvable with {len(x)} members and {len(y)} non-members"
