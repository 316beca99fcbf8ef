"""Distances between two clouds of features, and how surely they are known.

Intervals: leave-one-group-out jackknife over samples (a caption's generated and real picture leave together).
Resampling with replacement would put copies of a picture beside itself, where the radius to the nearest neighbour is 0
and a covariance has fewer directions: all numbers here would shift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from ..core.types import Ask, Estimate
from ..observations.generated_images import GeneratedImages
from ..observations.image_features import FeatureData, ImageFeatures
from ..observations.real_pictures import RealPictures
from ..stats._math import unknown
from ..stats.intervals import wilson
from ._shares import effective_size, first_reason

GROUPS = 50  # left out one at a time


def asks(steps: int, guidance: float, seed: int, by: str) -> Mapping[str, Ask]:
    """One generated and the one real picture of every record, under the features of a role."""
    drawn = ImageFeatures(GeneratedImages(1, steps, guidance, seed))
    return {"drawn": Ask(drawn, of=by), "real": Ask(ImageFeatures(RealPictures()), of=by)}


def clouds(drawn: FeatureData, real: FeatureData) -> tuple[np.ndarray, np.ndarray]:
    """Features of generated and of real pictures, (n, f) each, of the records that have both."""
    pairs = [(drawn.first(i), real.first(i)) for i in range(len(drawn.reason))]
    kept = [(g, x) for g, x in pairs if g is not None and x is not None]
    if not kept:
        return np.zeros((0, 1)), np.zeros((0, 1))
    return np.stack([g for g, _ in kept]), np.stack([x for _, x in kept])


def too_few(drawn: FeatureData, real: FeatureData, n: int, least: int, unit: str) -> Estimate | None:
    """The absent value where fewer than ``least`` records have both pictures."""
    if n >= least:
        return None
    told = first_reason(real.reason) or first_reason(drawn.reason)
    return unknown(unit, n, f"not resolvable with {n} pictures{f' ({told})' if told else ''}", 0.95)


def left_out(n: int) -> list[np.ndarray]:
    """Which indices stay when each group of samples is left out: at most ``GROUPS`` groups.

    >>> [kept.tolist() for kept in left_out(3)]
    [[1, 2], [0, 2], [0, 1]]
    """
    groups = min(n, GROUPS)
    return [np.flatnonzero(np.arange(n) % groups != g) for g in range(groups)]


def jackknife_error(values: np.ndarray) -> float:
    """Standard error from the statistic without each of G groups: sqrt((G - 1)/G sum (v_g - mean)^2).

    For a mean it is s/sqrt(n): of 0, 2, 4 the means without one are 3, 2, 1, so sqrt(2/3 * 2) = 2/sqrt(3).

    >>> round(jackknife_error(np.array([3.0, 2.0, 1.0])) * 3**0.5, 9)
    2.0
    """
    return float(np.sqrt((len(values) - 1) / len(values) * np.sum((values - values.mean()) ** 2)))


def number(value: float, without: np.ndarray, n: int, unit: str, least: float = -np.inf) -> Estimate:
    """A number with Student's t interval of its jackknife error, cut at ``least``."""
    half = float(stdtrit(len(without) - 1, 0.975)) * jackknife_error(without)
    return Estimate(value, max(least, value - half), value + half, n, unit)


def share(value: float, without: np.ndarray, n: int) -> Estimate:
    """A share with Wilson's interval at as many draws as its jackknife error is worth, at most n."""
    effective = effective_size(value, jackknife_error(without) ** 2, 1, n) if 0 < value < 1 else float(n)
    low, high = wilson(value * effective, effective)
    return Estimate(value, min(low, value), max(high, value), n, "share")


def frechet(g: np.ndarray, x: np.ndarray) -> float:
    """||m_g - m_x||^2 + Tr(C_g + C_x - 2 (C_g C_x)^(1/2)) of two clouds (n, f) and (m, f).

    With factors C = F^T F (Cholesky where the covariance has full rank, else the centred points themselves) the last
    trace is the sum of the singular values of F_g F_x^T: no square root of a matrix that is not symmetric, and none of
    its imaginary parts.

    On a line: means 0 and 3, variances 2 and 8: 9 + (sqrt(2) - sqrt(8))^2 = 11.

    >>> round(frechet(np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])), 9)
    11.0
    """
    (mean_g, factor_g), (mean_x, factor_x) = _moments(g), _moments(x)
    shared = np.linalg.svd(factor_g @ factor_x.T, compute_uv=False).sum()
    value = np.sum((mean_g - mean_x) ** 2) + np.sum(factor_g**2) + np.sum(factor_x**2) - 2 * shared
    return float(max(value, 0.0))


def _moments(cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (f,) and a factor F (k, f) of the covariance (divisor n - 1) with C = F^T F."""
    mean = cloud.mean(axis=0)
    centred = (cloud - mean) / np.sqrt(len(cloud) - 1)
    if len(cloud) > 2 * cloud.shape[1]:
        try:
            return mean, np.linalg.cholesky(centred.T @ centred).T
        except np.linalg.LinAlgError:
            pass  # some direction has no spread
    return mean, centred


def cubic_sums(a: np.ndarray, b: np.ndarray, groups: int, same: bool) -> np.ndarray:
    """Sums of the kernel (a.b/f + 1)^3 over pairs of groups, (groups, groups); without the diagonal where ``same``."""
    part_a, part_b = np.arange(len(a)) % groups, np.arange(len(b)) % groups
    onto = np.zeros((len(b), groups))
    onto[np.arange(len(b)), part_b] = 1
    sums = np.zeros((groups, groups))
    for h in range(groups):
        rows = np.flatnonzero(part_a == h)
        kernel = (a[rows] @ b.T / a.shape[1] + 1) ** 3
        if same:
            kernel[np.arange(len(rows)), rows] = 0
        sums[h] = kernel.sum(axis=0) @ onto
    return sums


def radii(distances: np.ndarray, k: int) -> np.ndarray:
    """(n,) distance of every point to its k-th nearest other one, from all distances (n, n) among them.

    Points 0, 1 and 5 on a line, k = 1:

    >>> points = np.array([0.0, 1.0, 5.0])
    >>> radii(np.abs(points[:, None] - points), 1).tolist()
    [1.0, 1.0, 4.0]
    """
    apart = distances.copy()
    np.fill_diagonal(apart, -1.0)  # itself comes first, whatever lies on top of it
    return np.partition(apart, k, axis=1)[:, k]


def euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) distances of all rows."""
    from scipy.spatial.distance import cdist

    return cdist(a, b)


Neighbours = Callable[[np.ndarray, np.ndarray, np.ndarray], float]  # (real-real, drawn-drawn, drawn-real) distances


def by_neighbours(drawn: FeatureData, real: FeatureData, k: int, statistic: Neighbours, is_share: bool) -> Estimate:
    """A statistic of distances within and between the clouds, with its jackknife interval."""
    g, x = clouds(drawn, real)
    n = len(g)
    absent = too_few(drawn, real, n, k + 3, "share" if is_share else "ratio")
    if absent is not None:
        return absent
    within_x, within_g, between = euclidean(x, x), euclidean(g, g), euclidean(g, x)

    def of(kept: Any) -> float:
        index = np.ix_(kept, kept)
        return statistic(within_x[index], within_g[index], between[index])

    value, without = of(np.arange(n)), np.array([of(kept) for kept in left_out(n)])
    found = share(value, without, n) if is_share else number(value, without, n, "ratio", 0.0)
    return replace(found, n=n)
