"""What the signals on samples' own pictures share."""

from __future__ import annotations

import numpy as np

from ..core.types import Ragged


def minus_mean(values: Ragged) -> np.ndarray:
    """(n,) float64: minus the mean of every row; NaN where a row is empty.

    >>> minus_mean(Ragged.of([[0.25, 0.75], []])).tolist()
    [-0.5, nan]
    """
    return -values.mean()
