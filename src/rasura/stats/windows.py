"""Critical windows: when a feature is decided, from measured curves, and in closed form for a Gaussian mixture.

Noising dX = -X dt + sqrt(2) dB for a time T takes a component N(mu_i, I) to N(e^-T mu_i, I), so two components are at
total variation 2 Phi(e^-T |mu_i - mu_j| / 2) - 1. Starting in the set S_init of components, noising to T and denoising
with the whole mixture ends in S_end (a larger set, S_init inside it) while

    T_lower = ln(D_in  / (2 Phi^-1((1 + e)/2)))        D_in:  largest distance of means from S_init to S_end
    T_upper = ln(D_out / (2 Phi^-1(1 - e^2/2)))        D_out: smallest distance from S_init to outside S_end

T_lower <= T <= T_upper: what tells the components of S_end apart is forgotten, what tells S_end from the rest is not.
In a diffusion model's schedule e^-T = sqrt(abar_t).

Source: Li and Chen, "Critical windows: non-asymptotic theory for feature emergence in diffusion models", ICML 2024
(general components; the closed form for unit covariance is derived here from its definitions of T_lower, T_upper).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from ..core.errors import BadInput


def window(distance_inside: float, distance_outside: float, e: float) -> tuple[float, float]:
    """(T_lower, T_upper) for tolerance e in (0, 1); T_lower > T_upper means that no time separates the two.

    By hand, e = 0.1: Phi^-1(0.55) = 0.12566 and Phi^-1(0.995) = 2.57583, so distances 1 and 100 give ln(1/0.25132)
    and ln(100/5.15166).

    >>> [round(t, 4) for t in window(1.0, 100.0, 0.1)]
    [1.381, 2.9659]
    """
    if not (0 < e < 1 and distance_inside > 0 and distance_outside > 0):
        raise BadInput(
            f"a window needs e in (0, 1) and positive distances, got {e}, {distance_inside}, {distance_outside}"
        )
    return (
        float(np.log(distance_inside / (2 * ndtri((1 + e) / 2)))),
        float(np.log(distance_outside / (2 * ndtri(1 - e**2 / 2)))),
    )


def redraw_components(
    means: np.ndarray, start: Sequence[int], time: float, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Shares of the components (equal weights, unit covariance) in which re-draws end: (k,).

    Exact: given the noised point x, the reverse process of the mixture ends in component i with probability
    proportional to exp(-|x - e^-T mu_i|^2 / 2). ``means``: (k, d); ``start``: components the pictures come from.
    """
    begun = means[rng.choice(np.asarray(start), size=draws)] + rng.standard_normal((draws, means.shape[1]))
    kept = np.exp(-time)
    x = kept * begun + np.sqrt(1 - kept**2) * rng.standard_normal(begun.shape)
    logits = -0.5 * ((x[:, None, :] - kept * means) ** 2).sum(-1)
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Half the sum of absolute differences.

    >>> round(total_variation(np.array([0.5, 0.5]), np.array([0.8, 0.2])), 3)
    0.3
    """
    return float(np.abs(np.asarray(p) - np.asarray(q)).sum() / 2)


def crossing(times: Sequence[float], share: Sequence[float], level: float) -> float:
    """The largest time at which a falling curve still is at ``level``, between measured points linear; NaN if never.

    ``times`` fall (noise first), so ``share`` rises along them.

    >>> crossing([800, 600, 400], [0.2, 0.4, 1.0], 0.7)
    500.0
    """
    t, s = np.asarray(times, dtype=float), np.asarray(share, dtype=float)
    above = np.flatnonzero(s >= level)
    if not len(above):
        return float("nan")
    i = int(above[0])
    if i == 0:
        return float(t[0])
    return float(t[i] + (t[i - 1] - t[i]) * (s[i] - level) / (s[i] - s[i - 1]))


def nested_mixture(rng: np.random.Generator, d: int = 32, spread: Sequence[float] = (1.0, 40.0, 1600.0)) -> np.ndarray:
    """Eight means in pairs of pairs of pairs: (8, d); components that part at level l are ``spread[l]`` apart there."""
    axes = np.linalg.qr(rng.standard_normal((d, len(spread))))[0].T
    signs = np.array([[1 if i >> level & 1 else -1 for level in range(len(spread))] for i in range(2 ** len(spread))])
    return signs @ (np.asarray(spread)[:, None] / 2 * axes)
