"""Was a value drawn as with, or as without? Two normal distributions fitted to a few draws of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LOG_2_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Normals:
    """A mean and a standard deviation a row; NaN where it had too few draws."""

    mean: np.ndarray  # (n,)
    deviation: np.ndarray  # (n,)

    def log_density(self, values: np.ndarray) -> np.ndarray:
        """(n,) natural log of each row's normal density at its value; 1/sqrt(2 pi) at the mean of a unit normal.

        >>> Normals(np.zeros(1), np.ones(1)).log_density(np.zeros(1)).round(4).tolist()
        [-0.9189]
        """
        return -0.5 * (((values - self.mean) / self.deviation) ** 2 + LOG_2_PI) - np.log(self.deviation)


def normals(draws: np.ndarray, chosen: np.ndarray, pooled: bool, least_deviation: float = 1e-6) -> Normals:
    """Normals fitted to the chosen draws of every row: draws (n, N), chosen (n, N) bool. NaN draws are not used.

    ``pooled``: one variance for all rows, the sum of squares about each row's own mean over the degrees of freedom
    sum(k_i - 1); what few draws allow. Otherwise each row's own, which needs two draws.

    Rows (0, 2) and (5, 5): means 1 and 5; squares 2 and 0, freedoms 1 and 1, so the pooled variance is 1, the own 2 and 0.

    >>> draws, every = np.array([[0.0, 2.0], [5.0, 5.0]]), np.ones((2, 2), dtype=bool)
    >>> normals(draws, every, pooled=True).deviation.tolist(), normals(draws, every, pooled=True).mean.tolist()
    ([1.0, 1.0], [1.0, 5.0])
    >>> (normals(draws, every, pooled=False).deviation ** 2).round(6).tolist()
    [2.0, 0.0]
    """
    used = chosen & ~np.isnan(draws)
    count = used.sum(axis=1)
    values = np.where(used, draws, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, values.sum(axis=1) / count, np.nan)
        squares = np.where(used, (values - np.where(count > 0, mean, 0.0)[:, None]) ** 2, 0.0).sum(axis=1)
        freedom = np.maximum(count - 1, 0)
        if pooled:
            total = freedom.sum()
            variance = np.where(count > 0, squares.sum() / total if total else np.nan, np.nan)
        else:
            variance = np.where(freedom > 0, squares / freedom, np.nan)
        return Normals(mean, np.maximum(np.sqrt(variance), least_deviation))
