"""Cleaning, ranks and resampling that several files of this folder share."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from ..core.errors import BadInput
from ..core.types import Estimate

BLOCK = 2_000_000  # numbers held at once while resampling: 16 MB in float64


def clean(values: ArrayLike) -> np.ndarray:
    """The values as a 1-D float64 array without its NaN; any other shape is a BadInput."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise BadInput(f"expected a 1-D array of scores, got shape {array.shape}")
    return array[~np.isnan(array)]


def clean_pairs(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both arrays, restricted to the positions where neither is NaN; unequal lengths are a BadInput."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise BadInput(f"paired arrays must be 1-D and equally long, got shapes {a.shape} and {b.shape}")
    complete = ~(np.isnan(a) | np.isnan(b))
    return a[complete], b[complete]


def normal_quantile(level: float) -> float:
    """z such that a standard normal lies within +-z with probability ``level``; 1.960 for .95."""
    if not 0.0 < level < 1.0:
        raise BadInput(f"level must lie strictly between 0 and 1, got {level}")
    return float(ndtri(0.5 + level / 2))


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing the mean of the ranks they cover.

    >>> midranks(np.array([10.0, 30.0, 10.0])).tolist()
    [1.5, 3.0, 1.5]
    """
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2


def unknown(unit: str, n: int, note: str, level: float) -> Estimate:
    """An estimate that has no value, with the reason."""
    return Estimate(math.nan, math.nan, math.nan, n, unit, level, note)


def pooled_codes(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Each value replaced by its position among the distinct pooled values, and how many distinct values exist."""
    distinct, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    return codes[: len(first)], codes[len(first) :], len(distinct)


def resampled_counts(
    groups: tuple[np.ndarray, ...], size: int, resamples: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, ...]]:
    """Bootstrap resamples of several groups, each drawn from itself, as counts per code.

    Yields blocks: one (rows, ``size``) integer array a group; the rows of all blocks add up to ``resamples``.
    Working with counts turns every resampled distribution function into a cumulative sum, without sorting again.
    """
    rows = max(1, BLOCK // (size + max(len(codes) for codes in groups)))
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        yield tuple(_counts(codes, size, block, rng) for codes in groups)


def _counts(codes: np.ndarray, size: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    drawn = codes[rng.integers(0, len(codes), (rows, len(codes)))] + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
