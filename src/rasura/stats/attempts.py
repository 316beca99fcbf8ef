"""How often one must ask: the probability of at least one success in n tries, exact also where it underflows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def chance(log_probability: ArrayLike, n: float) -> np.ndarray:
    """1 - (1 - p_z)^n for p_z = exp(``log_probability``): the probability that n samples hold the text at least once.

    By hand: two tosses of a coin show heads at least once with 3/4; 100 samples at p_z = 1e-300 with 1e-298, where
    1 - (1 - p_z)^n in floating point is 0.

    >>> float(chance(np.log(0.5), 2)), float(chance(np.log(1e-300), 100)) > 0
    (0.75, True)
    """
    return -np.expm1(-n * np.exp(_log_rate(log_probability)))


def log_queries(log_probability: ArrayLike, p: float) -> np.ndarray:
    """Natural log of how many samples hold the text at least once with probability ``p``: log n_p.

        n_p = log(1 - p) / log(1 - p_z),     p_z = exp(log_probability)

    computed on the log scale: finite for p_z = 1e-300 and for p_z = exp(-5000), +inf for p_z = 0, -inf for p_z = 1.

    By hand: p_z = 1/2 and p = 3/4 need n = 2.

    >>> round(float(np.exp(log_queries(np.log(0.5), 0.75))), 9)
    2.0
    """
    return np.log(-np.log1p(-p)) - _log_rate(log_probability)


def _log_rate(log_probability: ArrayLike) -> np.ndarray:
    """log(-log(1 - p_z)): below 1e-9 it is log p_z to double precision."""
    log_p = np.minimum(np.asarray(log_probability, dtype=np.float64), 0.0)  # float32 sums can end a hair above 0
    tiny = log_p < np.log(1e-9)
    with np.errstate(divide="ignore"):  # p_z = 1 is a rate of infinity
        plain = np.log(-np.log(-np.expm1(np.where(tiny, -1.0, log_p))))
    return np.where(tiny, log_p + np.exp(log_p) / 2, plain)
