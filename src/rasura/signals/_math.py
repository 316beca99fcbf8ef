"""What several signals do alike. Every signal: one float64 a sample, larger = more likely seen, NaN = cannot be scored."""

from __future__ import annotations

import math

import numpy as np


def unscorable_to_nan(scores: np.ndarray, tokens: np.ndarray, minimum: int) -> np.ndarray:
    """Scores (n,) in float64, NaN where fewer than ``minimum`` tokens were scored: too few for a mean to mean anything.

    >>> unscorable_to_nan(np.array([-1.0, -2.0]), np.array([7, 8]), 8).tolist()
    [nan, -2.0]
    """
    return np.where(np.asarray(tokens) >= minimum, np.asarray(scores, dtype=np.float64), np.nan)


def lowest_mean(values: np.ndarray, k: float) -> float:
    """Mean of the max(1, floor(k T)) smallest of T values.

    k T is rounded up by 1e-9 before the floor, so that .29 * 100 (28.999999999999996 in float64) is 29.

    Of 5 values at k = .4 the 2 smallest, -9 and -4; at k = .1 still one:

    >>> lowest_mean(np.array([-1.0, -9.0, -2.0, -4.0, -3.0]), 0.4), lowest_mean(np.array([-1.0, -9.0]), 0.1)
    (-6.5, -9.0)
    """
    if not len(values):
        return math.nan
    count = max(1, math.floor(k * len(values) + 1e-9))
    return float(np.mean(np.partition(np.asarray(values, dtype=np.float64), count - 1)[:count]))
