"""Intervals for shares, means and differences of means, and for any statistic by bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, stdtrit

from ..core.errors import BadInput
from ..core.types import Estimate
from ._math import clean, clean_pairs, normal_quantile, unknown


def clopper_pearson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Exact interval (low, high) of a share: no true share outside it makes the data less than (1 - level)/2 likely.

        low = B((1 - level)/2; k, n - k + 1)        high = B((1 + level)/2; k + 1, n - k)

    with k = ``successes``, n = ``n`` and B the quantile function of the beta distribution; low is 0 at k = 0 and high
    is 1 at k = n. Covers at least ``level`` for every true share and every n >= 1. Fractional k is accepted.
    BadInput unless 0 <= k <= n and n > 0.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika, 1934.

    By hand, 0 of 10: high solves (1 - p)^10 = .025, so p = 1 - .025^(1/10) = .3085.

    >>> low, high = clopper_pearson(0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.3085)
    """
    normal_quantile(level)  # refuses a level outside (0, 1)
    if n <= 0 or not 0 <= successes <= n:
        raise BadInput(f"expected 0 <= successes <= n and n > 0, got {successes} of {n}")
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return low, high


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Score interval (low, high) of a share: the shares that a z test does not reject.

        (p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)

    with p = ``successes``/``n`` and z the two-sided normal quantile of ``level``. Shorter than Clopper-Pearson; covers
    ``level`` on average over true shares rather than for each. BadInput unless 0 <= successes <= n and n > 0.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association, 1927.

    By hand, 0 of 10: high = z^2/(n + z^2) = 3.8415/13.8415 = .2775.

    >>> low, high = wilson(0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.2775)
    """
    if n <= 0 or not 0 <= successes <= n:
        raise BadInput(f"expected 0 <= successes <= n and n > 0, got {successes} of {n}")
    z, share = normal_quantile(level), successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return low, high


_METHODS = {"wilson": wilson, "clopper-pearson": clopper_pearson}


def proportion(successes: float, n: int, unit: str = "share", method: str = "wilson", level: float = 0.95) -> Estimate:
    """The share ``successes``/``n`` with the interval of ``method``: "wilson" or "clopper-pearson".

    n = 0 gives NaN with a note. BadInput for another method or successes outside 0..n.

    By hand, 5 of 10: p = .5, z^2 = 3.8415; half width = z sqrt(.25/10 + 3.8415/400)/(1.38415) = .2634.

    >>> print(proportion(5, 10))
    0.500 [0.237, 0.763] (n=10)
    """
    if method not in _METHODS:
        raise BadInput(f"method must be one of {', '.join(_METHODS)}; got {method!r}")
    if n == 0 and successes == 0:
        return unknown(unit, 0, "no samples to take a share of", level)
    low, high = _METHODS[method](successes, n, level)
    return Estimate(successes / n, low, high, n, unit, level)


def more_often(successes: int, n: int, other_successes: int, m: int) -> float:
    """One-sided exact p value that the first share is not above the second (Fisher, "The design of experiments", 1935).

    By hand: 3 of 3 against 0 of 3 is one of the C(6, 3) = 20 ways to place three successes.

    >>> round(more_often(3, 3, 0, 3), 9)
    0.05
    """
    from scipy.stats import fisher_exact

    table = [[successes, n - successes], [other_successes, m - other_successes]]
    return float(fisher_exact(table, alternative="greater").pvalue)


def rule_of_three(n: int, level: float = 0.95) -> float:
    """Upper bound on a rate after ``n`` trials without a single success; about 3/n at level .95.

        1 - (1 - level)^(1/n)

    One-sided and exact: with any larger rate, n trials without a success are less than 1 - level likely. 1.0 at n = 0.

    Source: Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA, 1983.

    By hand, n = 100: .05^(.01) = exp(-.029957) = .970487, so the bound is .029513 (3/n says .03).

    >>> round(rule_of_three(100), 6)
    0.029513
    """
    normal_quantile(level)
    if n < 0:
        raise BadInput(f"n must not be negative, got {n}")
    return 1.0 if n == 0 else -math.expm1(math.log1p(-level) / n)


def mean_estimate(
    values: ArrayLike, unit: str, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Mean of ``values`` (n,) with Student's t interval: mean +- t s/sqrt(n).

    s is the sample standard deviation (divisor n - 1) and t the two-sided quantile of ``level`` with n - 1 degrees of
    freedom. NaN is dropped, n counts what is left. No value: NaN. One value: an interval without ends.
    ``bounds``, if given, are the smallest and largest possible value: the interval is cut there, and when all n values
    equal v it does not shrink to a point but allows a share h = 1 - ((1 - level)/2)^(1/n) of the population to lie
    anywhere within bounds. Without bounds, equal values give a point and a note: nothing is known about spread.

    Source: Student, "The probable error of a mean", Biometrika, 1908.

    By hand, values 1, 2, 3: mean 2, s = 1, t(2 degrees) = 4.303, half width 4.303/sqrt(3) = 2.484.

    >>> print(mean_estimate([1.0, 2.0, 3.0], "nats"))
    2.000 [-0.484, 4.484] (n=3)
    """
    normal_quantile(level)
    kept = clean(values)
    n = len(kept)
    if n == 0:
        return unknown(unit, 0, "no values", level)
    mean, spread = float(np.mean(kept)), float(np.ptp(kept))
    if spread == 0 and bounds is not None:
        unseen = rule_of_three(n, (1 + level) / 2)
        return Estimate(mean, mean - unseen * (mean - bounds[0]), mean + unseen * (bounds[1] - mean), n, unit, level)
    if n == 1:
        return Estimate(mean, -math.inf, math.inf, 1, unit, level, "one value has no spread to measure")
    estimate = _student(mean, math.sqrt(_squared_error(kept)), n - 1, n, unit, level, spread == 0)
    if bounds is None:
        return estimate
    return replace(estimate, low=max(estimate.low, bounds[0]), high=min(estimate.high, bounds[1]))


def difference_of_means(a: ArrayLike, b: ArrayLike, unit: str, paired: bool = False, level: float = 0.95) -> Estimate:
    """mean(``a``) - mean(``b``) with a t interval: paired on the same samples, or Welch's for separate samples.

        paired:  d +- t(n - 1) s_d/sqrt(n)                        d = a - b, position by position
        Welch:   d +- t(v) sqrt(s_a^2/n_a + s_b^2/n_b)            v = (q_a + q_b)^2/(q_a^2/(n_a - 1) + q_b^2/(n_b - 1))

    with q = s^2/n. NaN is dropped (paired: both values of the pair). n counts pairs, or n_a + n_b. Fewer than two
    values a side give NaN with a note. BadInput when paired arrays differ in length.

    Source: Welch, "The generalization of 'Student's' problem when several different population variances are
    involved", Biometrika, 1947.

    By hand, a = 3, 5 and b = 0, 2: d = 3, q_a = q_b = 2/2 = 1, v = 4/2 = 2, half width 4.303 sqrt(2) = 6.085.

    >>> print(difference_of_means([3.0, 5.0], [0.0, 2.0], "nats"))
    3.000 [-3.085, 9.085] (n=4)
    """
    if paired:
        first, second = clean_pairs(a, b)
        if len(first) < 2:
            return unknown(unit, len(first), f"not resolvable with {len(first)} pairs", level)
        return mean_estimate(first - second, unit, level)
    first, second = clean(a), clean(b)
    n = len(first) + len(second)
    if min(len(first), len(second)) < 2:
        return unknown(unit, n, f"not resolvable with {len(first)} and {len(second)} values", level)
    difference, error, freedom = welch(first, second)
    return _student(difference, error, freedom, n, unit, level, error == 0)


def welch(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Difference of means, its standard error and Welch's degrees of freedom; both arrays clean and >= 2 long."""
    q_a, q_b = _squared_error(a), _squared_error(b)
    total = q_a + q_b
    # shares of the total keep the ratio finite where squares of tiny variances would underflow
    freedom = 1 / ((q_a / total) ** 2 / (len(a) - 1) + (q_b / total) ** 2 / (len(b) - 1)) if total > 0 else math.inf
    return float(np.mean(a) - np.mean(b)), math.sqrt(total), freedom


def _squared_error(values: np.ndarray) -> float:
    # equal values must give exactly 0, which rounding inside a variance does not promise
    return float(np.var(values, ddof=1)) / len(values) if np.ptp(values) > 0 else 0.0


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[np.ndarray], float],
    unit: str,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """``statistic``(``values``) with the percentile interval of ``resamples`` draws of n rows with replacement.

    ``values`` is (n,), or (n, columns) when a row must stay together; rows holding a NaN are dropped. The interval is
    the (1 - level)/2 and (1 + level)/2 quantile of the statistic over resamples; resamples where the statistic is NaN
    take no part. Fewer than two rows give NaN with a note. Too short for small n and for extremes such as a maximum.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics, 1979.

    By hand: the mean of 0 and 1 resampled is 0, 1/2, 1/2 or 1, so the interval is [0, 1].

    >>> print(bootstrap([0.0, 1.0], np.mean, "share"))
    0.500 [0.000, 1.000] (n=2)
    """
    normal_quantile(level)
    rows = np.asarray(values, dtype=np.float64)
    rows = rows[~np.isnan(rows.reshape(len(rows), -1)).any(axis=1)]
    n = len(rows)
    if n < 2:
        return unknown(unit, n, f"not resolvable with {n} values", level)
    rng = np.random.default_rng(seed)
    draws = np.array([float(statistic(rows[rng.integers(0, n, n)])) for _ in range(resamples)])
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(statistic(rows)), float(low), float(high), n, unit, level)


def _student(value: float, error: float, freedom: float, n: int, unit: str, level: float, flat: bool) -> Estimate:
    half = float(stdtrit(min(freedom, 1e9), (1 + level) / 2)) * error if error > 0 else 0.0
    note = "all values equal: the interval says nothing about spread" if flat else ""
    return Estimate(value, value - half, value + half, n, unit, level, note)
