"""Thresholds chosen on one half of the non-members and judged on the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import BadInput
from ..core.types import Estimate
from ._math import clean, normal_quantile, unknown
from .intervals import proportion


@dataclass(frozen=True)
class Decision:
    """A threshold, what it was asked to guarantee, and what it did on scores that had no part in choosing it.

    A sample is called a member when its score is strictly above ``threshold``. ``false_positive_rate`` and
    ``true_positive_rate`` are measured; ``target`` is the false-positive rate that was asked for.
    """

    threshold: float
    target: float
    true_positive_rate: Estimate
    false_positive_rate: Estimate
    calibration_size: int  # non-members that chose the threshold


def split_halves(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """0..n-1 split at random into two sorted index arrays; the first is longer by one when n is odd.

    By hand: three positions split into two and one.

    >>> [len(half) for half in split_halves(3)]
    [2, 1]
    """
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[: (n + 1) // 2]), np.sort(order[(n + 1) // 2 :])


def conformal_p_values(calibration_nonmembers: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """For each score, a p value of "this is a non-member like those in ``calibration_nonmembers``".

        p = (1 + #{calibration score >= score}) / (n + 1)

    with n calibration scores (NaN dropped). If the sample is exchangeable with them, P(p <= alpha) <= alpha for every
    alpha, whatever the scores mean; the smallest p possible is 1/(n + 1). ``scores`` is (k,), the result (k,); NaN stays
    NaN. p values of one calibration set are positively dependent, which ``multiplicity.benjamini_hochberg`` allows.

    Source: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005; Bates, Candes, Lei, Romano and
    Sesia, "Testing for outliers with conformal p-values", Annals of Statistics, 2023.

    By hand, calibration 1, 2, 3: none is >= 5, so 1/4; two are >= 2, so 3/4.

    >>> conformal_p_values([1.0, 2.0, 3.0], [5.0, 2.0]).tolist()
    [0.25, 0.75]
    """
    ordered = np.sort(clean(calibration_nonmembers))
    given = np.asarray(scores, dtype=np.float64)
    at_or_above = len(ordered) - np.searchsorted(ordered, given, "left")
    return np.where(np.isnan(given), np.nan, (1 + at_or_above) / (len(ordered) + 1))


def held_out_decision(
    members: ArrayLike,
    nonmembers: ArrayLike,
    false_positive_rate: float = 0.05,
    seed: int = 0,
    level: float = 0.95,
) -> Decision:
    """The lowest conformal threshold at ``false_positive_rate``, and what it achieves on untouched scores.

    One random half of ``nonmembers`` calibrates: c is its (k + 1)-th highest score with
    k = floor(``false_positive_rate`` (n_cal + 1)) - 1, so that "score > c" is the same as "conformal p value <=
    ``false_positive_rate``" and a new non-member exceeds c with at most that probability. The other half gives the
    measured false-positive rate. Members never take part in choosing c, so all of them give the true-positive rate.
    Both rates carry Clopper-Pearson intervals. NaN scores dropped.

    When 1/(n_cal + 1) > ``false_positive_rate``, no threshold can promise it: threshold and rates are NaN with a note.
    BadInput unless 0 < false_positive_rate < 1.

    Source: Vovk, Gammerman and Shafer, 2005 (as in ``conformal_p_values``).

    By hand: of non-members 0 to 7, four calibrate; at rate .2, k = 0: c is the highest of the four, at most 7, and all
    three members at 9 lie above it.

    >>> decision = held_out_decision([9.0, 9.0, 9.0], range(8), 0.2)
    >>> decision.calibration_size, decision.true_positive_rate.value
    (4, 1.0)
    """
    if not 0.0 < false_positive_rate < 1.0:
        raise BadInput(f"false_positive_rate must lie strictly between 0 and 1, got {false_positive_rate}")
    normal_quantile(level)
    found, others = clean(members), clean(nonmembers)
    chosen, held_out = split_halves(len(others), seed)
    allowed = math.floor(false_positive_rate * (len(chosen) + 1) + 1e-9) - 1
    if allowed < 0:
        note = f"not resolvable with {len(chosen)} calibration non-members"
        absent = [unknown("share", n, note, level) for n in (len(found), len(held_out))]
        return Decision(math.nan, false_positive_rate, *absent, len(chosen))
    threshold = float(np.sort(others[chosen])[-1 - allowed]) if allowed < len(chosen) else -math.inf
    rates = [_share_above(scores, threshold, level) for scores in (found, others[held_out])]
    return Decision(threshold, false_positive_rate, *rates, len(chosen))


def _share_above(scores: np.ndarray, threshold: float, level: float) -> Estimate:
    return proportion(int(np.sum(scores > threshold)), len(scores), "share", "clopper-pearson", level)
