"""Which tokens stand in a batch, read off the space that an adapter's gradient spans.

For a layer that reads rows h_1 .. h_T (all tokens of the batch) and an adapter W x + s B A x on it,

    dL/dA = s sum_t (B^T g_t) h_t^T            g_t: gradient at the layer's output for token t

so every row of dL/dA lies in the span of the h_t; its rank is at most min(rank of the adapter, distinct h_t), and while
the distinct h_t are no more than the rank, the two spaces are the same. A candidate h is in the batch if
||h - P h|| / ||h|| is near 0, with P the projection onto the rows of dL/dA.
"""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-5  # singular values below this share of the largest are rounding
GAP = 10.0  # two neighbouring residuals this far apart part what is there from what is not


def basis(gradient: np.ndarray, rounding: float = ROUNDING) -> np.ndarray:
    """Orthonormal rows (k, d) that span the rows of ``gradient`` (R, d); k is its numerical rank.

    >>> basis(np.array([[2.0, 0.0, 0.0], [4.0, 0.0, 0.0]])).tolist() in ([[1.0, 0.0, 0.0]], [[-1.0, 0.0, 0.0]])
    True
    """
    if not gradient.size or not np.any(gradient):
        return np.zeros((0, gradient.shape[-1]))
    _, sizes, rows = np.linalg.svd(gradient.astype(np.float64), full_matrices=False)
    return rows[sizes > rounding * sizes[0]]


def residuals(candidates: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """||h - P h|| / ||h|| of each candidate (V, d): (V,) in [0, 1].

    A candidate of length 0 (the padding token's) is never there: 1.

    By hand: (3, 4) and the first axis: what is left is 4 of 5.

    >>> residuals(np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]])).tolist()
    [0.8]
    """
    size = np.linalg.norm(candidates, axis=1)
    left = np.linalg.norm(candidates - (candidates @ rows.T) @ rows, axis=1)
    return np.where(size > 1e-12, np.clip(left / np.maximum(size, 1e-12), 0.0, 1.0), 1.0)


def threshold(candidates: np.ndarray, rank: int, false_accepts: float, seed: int = 0, times: int = 5) -> float:
    """The residual below which a share ``false_accepts`` of tokens that are not there fall.

    What a server can do alone: take ``rank`` candidates at random as if they were the batch, project onto their span and
    look at all the others, ``times`` over. 0 where that span holds everything.
    """
    rng, absent = np.random.default_rng(seed), []
    for _ in range(times if 0 < rank < len(candidates) else 0):
        there = rng.choice(len(candidates), rank, replace=False)
        others = np.setdiff1d(np.arange(len(candidates)), there)
        absent.append(residuals(candidates[others], basis(candidates[there])))
    return float(np.quantile(np.concatenate(absent), false_accepts)) if absent else 0.0


def accepted(residual: np.ndarray, most: float) -> np.ndarray:
    """Indices of candidates that are taken to be there, best first: residual up to ``most``, cut at the first gap.

    Without the gap 1 % of a vocabulary would come along: what is there has a residual of rounding, what is not has none.

    >>> accepted(np.array([0.9, 2e-6, 0.3, 1e-6]), 0.5).tolist(), accepted(np.array([0.4, 0.3, 0.9]), 0.5).tolist()
    ([3, 1], [1, 0])
    """
    order = np.argsort(residual, kind="stable")
    order = order[residual[order] <= most]
    sizes = np.maximum(residual[order], 1e-12)
    gaps = np.flatnonzero(sizes[1:] > GAP * np.maximum(sizes[:-1], ROUNDING))
    return order[: gaps[0] + 1] if len(gaps) else order
