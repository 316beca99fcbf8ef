"""How much of a set a number of draws finds, from counts of one long run of draws."""

from __future__ import annotations

import numpy as np


def found_within(hits: np.ndarray, drawn: int, n: int) -> np.ndarray:
    """For each record the probability that ``n`` of the ``drawn`` draws, chosen at random, hold one of its ``hits``.

        P_i = 1 - C(drawn - h_i, n) / C(drawn, n)

    which is what a run of n draws finds on average, without the luck of one order. (m,) to (m,); NaN stays NaN.

    Source: Hurlbert, "The nonconcept of species diversity", Ecology, 1971.

    By hand, 4 draws, of which one, two or none hit, and 2 of them chosen: 1 - 3/6, 1 - 1/6, 0.

    >>> found_within(np.array([1.0, 2.0, 0.0]), 4, 2).round(4).tolist()
    [0.5, 0.8333, 0.0]
    """
    from scipy.special import gammaln

    left = drawn - np.asarray(hits, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        log_missed = (
            gammaln(left + 1) - gammaln(np.maximum(left - n, 0) + 1) - gammaln(drawn + 1) + gammaln(drawn - n + 1)
        )
        missed = np.where(left >= n, np.exp(np.minimum(log_missed, 0.0)), 0.0)
    return np.where(np.isnan(left), np.nan, np.where(left == drawn, 0.0, 1.0 - missed))


def steps(n: int, first: int = 10) -> tuple[int, ...]:
    """Numbers of draws to look at, rising by about a factor of two up to ``n``.

    >>> steps(100), steps(5), steps(0)
    ((10, 20, 50, 100), (5,), ())
    """
    found = [m * 10**k for k in range(len(str(max(n, 1)))) for m in (1, 2, 5) if first <= m * 10**k < n]
    return (*found, n) if n else ()
