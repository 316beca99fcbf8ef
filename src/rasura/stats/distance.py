"""How far apart two samples are, and whether they are close enough to be called equal."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import kolmogi, stdtr

from ..core.errors import BadInput
from ..core.types import Estimate
from ._math import BLOCK, clean, normal_quantile, pooled_codes, resampled_counts, unknown
from .intervals import difference_of_means, welch

EXACT_NULL = 10_000  # pooled size up to which the null median is drawn by permutation


@dataclass(frozen=True)
class KSDistance:
    """Kolmogorov-Smirnov distance of two samples, and what to hold it against.

    ``null_median`` is the distance that two samples of these sizes from one distribution exceed half of the time: a
    distance below it is no sign of a difference, whatever its size.
    """

    distance: Estimate
    p_value: float
    null_median: float


def ks_distance(a: ArrayLike, b: ArrayLike, seed: int = 0, resamples: int = 1000, level: float = 0.95) -> KSDistance:
    """Largest vertical gap between the empirical distribution functions of ``a`` (n,) and ``b`` (m,), two-sided.

        D = max over x of |F_a(x) - F_b(x)|,     F_a(x) = share of a at or below x

    D lies in [0, 1] and is at least 0, so noise alone makes it positive; ``null_median`` says how large. A percentile
    bootstrap inherits that bias and never reaches 0. The interval here is D -+ q, cut at 0 and 1, where q is the
    ``level`` quantile of the bootstrapped error of the whole curve, max |(F_a* - F_b*) - (F_a - F_b)|, each side
    resampled from itself. It reaches 0 when there is nothing to find and is somewhat wide for large D.

    The p value tests D = 0 (exact up to 10,000 a side, then asymptotic; scipy) and reports sample size more than
    distance: when two samples of n do not overlap at all, p = 2/C(2n, n), which is .33 for n = 2 and 1.9e-119 for
    n = 200, with D = 1 both times. Judge by D and ``null_median``. The null median comes from permuting the pooled
    values, beyond 10,000 of them from the limit law, .8276 sqrt(1/n + 1/m). NaN dropped; an empty side gives NaN.

    Sources: Smirnov, "Table for estimating the goodness of fit of empirical distributions", Annals of Mathematical
    Statistics, 1948; bootstrap of the curve: Gine and Zinn, "Bootstrapping general empirical measures", Annals of
    Probability, 1990.

    By hand: at x = 2 all of a and none of b lie at or below, so D = 1, and p = 2/C(4, 2) = 1/3.

    >>> result = ks_distance([1.0, 2.0], [3.0, 4.0])
    >>> result.distance.value, round(result.p_value, 4)
    (1.0, 0.3333)
    """
    normal_quantile(level)
    x, y = clean(a), clean(b)
    n = len(x) + len(y)
    if not len(x) or not len(y):
        absent = unknown("KS distance", n, f"not resolvable with {len(x)} and {len(y)} values", level)
        return KSDistance(absent, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    codes_x, codes_y, size = pooled_codes(x, y)
    gap = _gap(np.bincount(codes_x, minlength=size), np.bincount(codes_y, minlength=size))
    value = float(np.max(np.abs(gap)))
    errors = [
        np.max(np.abs(_gap(count_x, count_y) - gap), axis=1)
        for count_x, count_y in resampled_counts((codes_x, codes_y), size, resamples, rng)
    ]
    error = float(np.quantile(np.concatenate(errors), level))
    distance = Estimate(value, max(0.0, value - error), min(1.0, value + error), n, "KS distance", level)
    return KSDistance(distance, _ks_p_value(x, y), _null_median(codes_x, codes_y, size, rng))


def _gap(count_x: np.ndarray, count_y: np.ndarray) -> np.ndarray:
    """F_x - F_y at every distinct value, from counts whose last axis runs over values."""
    total_x, total_y = count_x.sum(axis=-1, keepdims=True), count_y.sum(axis=-1, keepdims=True)
    return np.cumsum(count_x, axis=-1) / total_x - np.cumsum(count_y, axis=-1) / total_y


def _ks_p_value(x: np.ndarray, y: np.ndarray) -> float:
    from scipy.stats import ks_2samp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy says when it falls back to the limit law; so do we
        return float(ks_2samp(x, y, method="auto").pvalue)


def _null_median(codes_x: np.ndarray, codes_y: np.ndarray, size: int, rng: np.random.Generator) -> float:
    n = len(codes_x) + len(codes_y)
    if n > EXACT_NULL:
        return float(kolmogi(0.5) * math.sqrt(1 / len(codes_x) + 1 / len(codes_y)))
    last = np.cumsum(np.bincount(np.concatenate([codes_x, codes_y]), minlength=size)) - 1
    steps = np.concatenate([np.full(len(codes_x), 1 / len(codes_x)), np.full(len(codes_y), -1 / len(codes_y))])
    draws: list[float] = []
    while len(draws) < 500:
        rows = min(500 - len(draws), max(1, BLOCK // n))
        walks = np.cumsum(rng.permuted(np.tile(steps, (rows, 1)), axis=1), axis=1)
        draws.extend(np.max(np.abs(walks[:, last]), axis=1))
    return float(np.median(draws))


def two_sided_gap(after: ArrayLike, retrained: ArrayLike, unit: str = "score", level: float = 0.95) -> Estimate:
    """Mean of ``after`` minus mean of ``retrained``, with Welch's interval: 0 is the goal and both signs are faults.

    Positive: the model still scores the erased samples above a model that never saw them. Negative: it shuns them,
    which gives them away as well. ``difference_of_means`` with a fixed order; its rules for NaN and small samples hold.

    By hand: means 4 and 1 differ by 3 (interval as in ``difference_of_means``).

    >>> two_sided_gap([3.0, 5.0], [0.0, 2.0]).value
    3.0
    """
    return difference_of_means(after, retrained, unit, level=level)


@dataclass(frozen=True)
class Equivalence:
    """Whether two means differ by less than ``margin``, and how surely.

    ``difference`` carries the interval at level 1 - 2 alpha (.90 for alpha = .05): it lies inside -margin..margin
    exactly when ``equivalent`` is true.
    """

    difference: Estimate
    margin: float
    p_value: float
    equivalent: bool


def equivalence(a: ArrayLike, b: ArrayLike, margin: float, unit: str = "score", level: float = 0.95) -> Equivalence:
    """Two one-sided Welch tests that |mean(``a``) - mean(``b``)| < ``margin``, at alpha = 1 - ``level``.

        p = max( P(T >= (d + margin)/e), P(T <= (d - margin)/e) ),     equivalent where p <= alpha

    with d the difference of means, e its standard error and T Student's t with Welch's degrees of freedom. Not finding
    a difference is no proof of equality; this is the test that can prove it. Fewer than two values a side, or no spread
    at all on both sides, give p NaN and no claim. NaN dropped. BadInput unless margin > 0 (same unit as the values).

    Source: Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics, 1987.

    By hand: means 1 and 1, d = 0, e = sqrt(2), 2 degrees of freedom; for margin 2 sqrt(2), t = 2 and
    P(T >= 2) = 1/2 - 2/(2 sqrt(2 + 4)) = .0918: too few values to claim anything.

    >>> result = equivalence([0.0, 2.0], [0.0, 2.0], margin=8**0.5)
    >>> round(result.p_value, 4), result.equivalent
    (0.0918, False)
    """
    if not margin > 0:
        raise BadInput(f"margin must be positive, got {margin}")
    difference = difference_of_means(a, b, unit, level=2 * level - 1)
    x, y = clean(a), clean(b)
    if min(len(x), len(y)) < 2:
        return Equivalence(difference, margin, math.nan, False)
    shift, error, freedom = welch(x, y)
    if error == 0:
        return Equivalence(difference, margin, math.nan, False)
    p_value = max(stdtr(freedom, -(shift + margin) / error), stdtr(freedom, (shift - margin) / error))
    return Equivalence(difference, margin, float(p_value), bool(p_value <= 1 - level))
