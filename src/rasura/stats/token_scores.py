"""What is made of the log-probabilities of one text's tokens: standardised, and averaged where they are lowest."""

from __future__ import annotations

import math

import numpy as np

VARIANCE_FLOOR = 1e-6  # squared nats; a token the model is certain of has variance 0 and then z = 0


def standardised(log_probability: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """z_t = (log p_t - mu_t)/sigma_t, all (T,).

    Probabilities 1/2, 1/4, 1/4 and the token of 1/4: mu = -1.5 log 2, sigma = .5 log 2, so z = (-2 + 1.5)/.5 = -1;
    where the model was certain and right, 0/sqrt(1e-6) = 0.

    >>> standardised(*np.log(2) * np.array([[-2.0, 0.0], [-1.5, 0.0], [0.5, 0.0]])).round(12).tolist()
    [-1.0, 0.0]
    """
    variance = np.maximum(np.square(deviation, dtype=np.float64), VARIANCE_FLOOR)
    return (np.asarray(log_probability, dtype=np.float64) - mean) / np.sqrt(variance)


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
