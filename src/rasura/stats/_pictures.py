"""How far apart pictures are, pixel by pixel, and which of them form a crowd."""

from __future__ import annotations

import numpy as np

from ..core.errors import BadInput

MEASURES = ("tile", "l2", "ssim")


def l2_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square difference of pixels in [0, 1]: (n, H, W, 3) and (m, H, W, 3) uint8 to (n, m) float64.

    One of four values differs by 51/255 = .2: sqrt(.04/4) = .1.

    >>> a = np.zeros((1, 1, 4, 1), dtype=np.uint8)
    >>> b = a.copy(); b[0, 0, 0, 0] = 51
    >>> l2_distances(a, b).round(9).tolist()
    [[0.1]]
    """
    return tile_distances(a, b, 1)


def tile_distances(a: np.ndarray, b: np.ndarray, grid: int = 4) -> np.ndarray:
    """The largest root mean square difference over grid x grid tiles that do not overlap: (n, m) float64.

    Two pictures with the same plain background are close on the whole, but not in the tile that holds the thing shown.
    A side that ``grid`` does not divide gives tiles that differ by one pixel. BadInput for pictures of different
    sizes or with fewer pixels a side than tiles.

    Source: Carlini et al., "Extracting training data from diffusion models", USENIX Security 2023.

    The same pictures as for ``l2_distances``, now 2 x 2: the tile of the one pixel that differs says .2.

    >>> a = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    >>> b = a.copy(); b[0, 0, 0, 0] = 51
    >>> tile_distances(a, b, 2).round(9).tolist(), tile_distances(a, b, 1).round(9).tolist()
    ([[0.2]], [[0.1]])
    """
    if a.shape[1:] != b.shape[1:]:
        raise BadInput(f"pictures of {a.shape[1:3]} and {b.shape[1:3]} pixels cannot be compared")
    if not 1 <= grid <= min(a.shape[1:3]):
        raise BadInput(f"grid is {grid}: expected 1 to {min(a.shape[1:3])}, the pixels a side")
    largest = np.zeros((len(a), len(b)))
    for rows in np.array_split(np.arange(a.shape[1]), grid):
        for columns in np.array_split(np.arange(a.shape[2]), grid):
            where = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            np.maximum(largest, mean_squares(*(p[where].reshape(len(p), -1) for p in (a, b))), out=largest)
    return np.sqrt(largest) / 255


def mean_squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared difference of all rows of (n, d) and (m, d) uint8: (n, m) float64, by one matrix product.

    Bytes are whole numbers and their sums of squares fit float64 exactly: equal pictures are at 0, ties are ties.

    >>> mean_squares(np.array([[0, 0]], dtype=np.uint8), np.array([[3, 4], [0, 0]], dtype=np.uint8)).tolist()
    [[12.5, 0.0]]
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    return ((x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T) / max(1, a.shape[1])


def ssim(a: np.ndarray, b: np.ndarray, window: int = 7) -> float:
    """Structural similarity of two pictures (H, W, 3) uint8: 1 for equal ones.

        SSIM = mean over windows and channels of (2 m_a m_b + C1)(2 s_ab + C2) / ((m_a^2 + m_b^2 + C1)(s_a^2 + s_b^2 + C2))

    with means m, variances s^2 and covariance s_ab (divisor: pixels less one) of all square windows of ``window`` pixels
    that fit (the whole picture where it is smaller), pixels in [0, 1], C1 = .01^2, C2 = .03^2.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE Transactions on Image Processing, 2004. Deviation: plain windows in place of Gaussian ones.

    Two flat pictures of grey 0 and 1: variances 0, so SSIM = C1 / (1 + C1) = .0001/1.0001.

    >>> black, white = np.zeros((7, 7, 3), dtype=np.uint8), np.full((7, 7, 3), 255, dtype=np.uint8)
    >>> round(ssim(black, white), 9), ssim(white, white)
    (9.999e-05, 1.0)
    """
    x, y = a.astype(np.float64) / 255, b.astype(np.float64) / 255
    side = min(window, *x.shape[:2])
    views = [np.lib.stride_tricks.sliding_window_view(p, (side, side), axis=(0, 1)) for p in (x, y)]
    (mean_x, mean_y), count = (v.mean(axis=(-2, -1)) for v in views), side * side
    scale = count / max(1, count - 1)
    variance_x, variance_y = (scale * v.var(axis=(-2, -1)) for v in views)
    covariance = scale * ((views[0] * views[1]).mean(axis=(-2, -1)) - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(above / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))))


def distances(a: np.ndarray, b: np.ndarray, measure: str = "tile", grid: int = 4) -> np.ndarray:
    """(n, m) distances by name: "tile", "l2", or "ssim" (1 - SSIM). Raises BadInput for another name."""
    if measure == "tile":
        return tile_distances(a, b, grid)
    if measure == "l2":
        return l2_distances(a, b)
    if measure == "ssim":
        return np.array([[1 - ssim(x, y) for y in b] for x in a]).reshape(len(a), len(b))
    raise BadInput(f"measure is '{measure}': expected one of {', '.join(MEASURES)}")


def clique(near: np.ndarray, enough: int) -> list[int]:
    """A largest clique of a graph, or the first one found with ``enough`` nodes: sorted node numbers.

    ``near`` is a symmetric boolean (n, n) adjacency; the diagonal is ignored. Branch and bound: a branch is left when its
    clique and a greedy colouring of what could join it, each colour class giving at most one node, cannot beat the best
    found. Exact, and stops at ``enough``, which keeps dense graphs cheap.

    Source of the bound: Tomita and Seki, "An efficient branch-and-bound algorithm for finding a maximum clique", 2003.

    A triangle 0, 1, 2 with a tail 2, 3:

    >>> near = np.zeros((4, 4), dtype=bool)
    >>> for i, j in ((0, 1), (0, 2), (1, 2), (2, 3)): near[i, j] = near[j, i] = True
    >>> clique(near, 4), len(clique(near, 2))
    ([0, 1, 2], 2)
    """
    neighbours = [set(np.flatnonzero(row).tolist()) - {i} for i, row in enumerate(near)]
    best: list[int] = []

    def grow(chosen: list[int], candidates: set[int]) -> None:
        nonlocal best
        if len(chosen) > len(best):
            best = list(chosen)
        order, colours = _coloured(candidates, neighbours)
        for node, colour in zip(reversed(order), reversed(colours), strict=True):
            if len(best) >= enough or len(chosen) + colour <= len(best):
                return
            grow([*chosen, node], candidates & neighbours[node])
            candidates = candidates - {node}

    grow([], set(range(len(near))))
    return sorted(best)


def _coloured(nodes: set[int], neighbours: list[set[int]]) -> tuple[list[int], list[int]]:
    """Nodes by greedy colour classes, and the number of colours used up to each: an upper bound on a clique in them."""
    order: list[int] = []
    colours: list[int] = []
    left = sorted(nodes, key=lambda i: (-len(neighbours[i] & nodes), i))
    colour = 0
    while left:
        colour += 1
        members: list[int] = []
        taken: set[int] = set()
        for node in left:
            if not neighbours[node] & taken:
                members.append(node)
                taken.add(node)
        order += members
        colours += [colour] * len(members)
        left = [node for node in left if node not in taken]
    return order, colours
