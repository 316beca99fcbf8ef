"""Tests against a choice that chance made: signs and orders."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import t as student

from ..stats._math import midranks
from ..stats.randomness import permutation_p_value

EXACT = 14  # 2^14 sign patterns are enumerated; beyond, they are drawn
BLOCK = 1 << 22  # numbers held at once while orders are drawn


def sign_flip_p_value(differences: np.ndarray, draws: int = 9999, seed: int = 0) -> float:
    """One-sided p value that the sum of ``differences`` (n,) is above what fair coins for their signs would give.

        p = #{ s in {-1, 1}^n : sum_i s_i |d_i| >= sum_i d_i } / 2^n                      n <= 14
        p = (1 + #{ j : sum_i s_ij |d_i| >= sum_i d_i }) / (1 + draws)                    else, s_ij fair coins

    NaN is dropped; nothing left gives NaN.

    By hand: of the 8 sign patterns of (1, 2, 3) only the one that was seen reaches 6, so p = 1/8.

    >>> sign_flip_p_value(np.array([1.0, 2.0, 3.0]))
    0.125
    """
    d = differences[~np.isnan(differences)]
    if not len(d):
        return math.nan
    observed = float(d.sum())
    if len(d) <= EXACT:
        bits = (np.arange(1 << len(d))[:, None] >> np.arange(len(d))) & 1
        return float(np.mean((2 * bits - 1) @ np.abs(d) >= observed - 1e-12 * max(1.0, abs(observed))))
    rng = np.random.default_rng([seed, 1])
    sums = [
        (2 * rng.integers(0, 2, size=(rows, len(d)), dtype=np.int8) - 1) @ np.abs(d) for rows in _rows(draws, len(d))
    ]
    return permutation_p_value(np.concatenate(sums), observed)


def order_p_value(order: np.ndarray, values: np.ndarray, draws: int = 9999, seed: int = 0) -> float:
    """One-sided p value that ``values`` (n,) rise with ``order`` (n,) more than with an order drawn at random.

        p = (1 + #{ j : rho(pi_j(order), values) >= rho(order, values) }) / (1 + draws),     rho Spearman's

    By hand: rising throughout, which of 3! orders only one does; 10,000 draws find about a sixth.

    >>> bool(abs(order_p_value(np.arange(3), np.array([1.0, 2.0, 5.0])) - 1 / 6) < 0.02)
    True
    """
    a, b = midranks(order) - (len(order) + 1) / 2, midranks(values) - (len(values) + 1) / 2
    rng = np.random.default_rng([seed, 2])
    drawn = [rng.permuted(np.tile(b, (rows, 1)), axis=1) @ a for rows in _rows(draws, len(a))]
    return permutation_p_value(np.concatenate(drawn), float(a @ b))


def student_p_value(rho: float, n: int) -> float:
    """The same by Student's approximation of Spearman's null, for p values no number of draws could reach.

        t = rho sqrt((n - 2)/(1 - rho^2)),     n - 2 degrees of freedom

    By hand: rho = .5 of 14 pairs: t = .5 sqrt(12/.75) = 2, P(T_12 >= 2) = .0343.

    >>> round(student_p_value(0.5, 14), 4)
    0.0343
    """
    if math.isnan(rho) or n < 3:
        return math.nan
    return float(student.sf(rho * math.sqrt((n - 2) / max(1 - rho * rho, 1e-300)), n - 2))


def _rows(draws: int, width: int) -> list[int]:
    size = max(1, BLOCK // max(1, width))
    return [min(size, draws - at) for at in range(0, draws, size)]
