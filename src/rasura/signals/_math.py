"""What several signals do alike. Every signal: one float64 a sample, larger = more likely seen, NaN = cannot be scored."""

from __future__ import annotations

import numpy as np


def unscorable_to_nan(scores: np.ndarray, tokens: np.ndarray, minimum: int) -> np.ndarray:
    """Scores (n,) in float64, NaN where fewer than ``minimum`` tokens were scored: too few for a mean to mean anything.

    >>> unscorable_to_nan(np.array([-1.0, -2.0]), np.array([7, 8]), 8).tolist()
    [nan, -2.0]
    """
    return np.where(np.asarray(tokens) >= minimum, np.asarray(scores, dtype=np.float64), np.nan)
