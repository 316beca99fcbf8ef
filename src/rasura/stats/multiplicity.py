"""P values made honest about how many questions were asked at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import BadInput


def holm(p_values: ArrayLike) -> np.ndarray:
    """P values adjusted so that calling those <= alpha findings is wrong even once with probability at most alpha.

        adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j))

    with p_(1) <= ... <= p_(m) the sorted ``p_values`` (m,), however dependent they are. Same order as given; NaN stays
    NaN and does not count towards m. BadInput outside [0, 1].

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics, 1979.

    By hand: .01 * 3 = .03; .02 * 2 = .04; .03 * 1 = .03, raised to .04 to keep the order.

    >>> holm([0.02, 0.01, 0.03]).tolist()
    [0.04, 0.03, 0.04]
    """
    return _adjust(p_values, lambda ordered, m: np.maximum.accumulate(ordered * np.arange(m, 0, -1)))


def benjamini_hochberg(p_values: ArrayLike) -> np.ndarray:
    """P values adjusted so that among those <= q, called findings, an expected share of at most q is false.

        adjusted_(i) = min over j >= i of min(1, m p_(j)/j)

    with p_(1) <= ... <= p_(m) the sorted ``p_values`` (m,), independent or positively dependent. Same order as given;
    NaN stays NaN and does not count towards m. BadInput outside [0, 1].

    Source: Benjamini and Hochberg, "Controlling the false discovery rate: a practical and powerful approach to
    multiple testing", Journal of the Royal Statistical Society B, 1995.

    By hand: 3 * .01/1 = .03; 3 * .04/2 = .06; 3 * .05/3 = .05, which also lowers the one before it.

    >>> [round(v, 4) for v in benjamini_hochberg([0.04, 0.01, 0.05]).tolist()]
    [0.05, 0.03, 0.05]
    """

    def step_up(ordered: np.ndarray, m: int) -> np.ndarray:
        return np.minimum.accumulate((ordered * m / np.arange(1, m + 1))[::-1])[::-1]

    return _adjust(p_values, step_up)


def _adjust(p_values: ArrayLike, rule: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    given = np.asarray(p_values, dtype=np.float64)
    if given.ndim != 1:
        raise BadInput(f"expected a 1-D array of p values, got shape {given.shape}")
    known = np.flatnonzero(~np.isnan(given))
    if np.any((given[known] < 0) | (given[known] > 1)):
        raise BadInput("p values must lie between 0 and 1")
    order = known[np.argsort(given[known], kind="stable")]
    adjusted = np.full(len(given), np.nan)
    if len(order):
        adjusted[order] = np.minimum(1.0, rule(given[order], len(order)))
    return adjusted
