"""How good a ranked list of guesses is: average precision, and how many are right before too many are wrong."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import BadInput
from ..core.types import Estimate
from ._math import unknown
from .intervals import bootstrap, proportion


def average_precision(correct: ArrayLike, confidence: ArrayLike) -> float:
    """Area under the precision-recall curve of guesses sorted by falling confidence.

        AP = sum over distinct confidences c of (R(c) - R(next higher c)) P(c)

    with R(c) and P(c) recall and precision of the guesses at least as confident as c, so that guesses of equal
    confidence enter together and their order says nothing. ``correct`` (n,) holds 0 and 1, ``confidence`` (n,) any
    numbers, NaN = not sure at all. Guesses whose ``correct`` is NaN are left out. NaN where no guess is right.

    Source: as scikit-learn computes it; Manning, Raghavan and Schuetze, "Introduction to information retrieval", 2008.

    By hand: right, wrong, right in this order: 1/2 x 1 + 1/2 x 2/3 = 5/6; all tied: one threshold, precision 2/3.

    >>> round(average_precision([1, 0, 1], [3, 2, 1]), 4), round(average_precision([1, 0, 1], [1, 1, 1]), 4)
    (0.8333, 0.6667)
    """
    right, last = _ranked(correct, confidence)
    if not right.any():
        return math.nan
    hits = np.cumsum(right)[last]
    recall, precision = hits / right.sum(), hits / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def recall_at_errors(correct: ArrayLike, confidence: ArrayLike, errors: int = 100) -> float:
    """Share of all records that are guessed right before the ``errors``-th wrong guess, most confident first.

        recall = #{ right guesses ranked above the errors-th wrong one } / n

    Of guesses of equal confidence the wrong ones come first, so that no order of the input can flatter an attack. n
    counts every record whose ``correct`` is not NaN, also those the attacker is least sure of. With fewer than
    ``errors`` wrong guesses all right ones count. NaN without records; BadInput unless ``errors`` >= 1.

    Source: the scoring rule of the training data extraction challenge (Google, 2022), used with 100 errors.

    By hand, with 2 errors: right, wrong, right, wrong, right: two of five come before the second error.

    >>> recall_at_errors([1, 0, 1, 0, 1], [5, 4, 3, 2, 1], errors=2), recall_at_errors([1, 0], [1, 1], errors=1)
    (0.4, 0.0)
    """
    if errors < 1:
        raise BadInput(f"recall at {errors} errors: expected at least 1")
    right, sure = _known(correct, confidence)
    if not len(right):
        return math.nan
    right = right[np.lexsort((right, -sure))]
    return float(right[np.cumsum(~right) < errors].sum() / len(right))


def average_precision_estimate(correct: ArrayLike, confidence: ArrayLike, seed: int = 0) -> Estimate:
    """``average_precision`` with a bootstrap interval over records (see ``intervals.bootstrap``)."""
    right, sure = _known(correct, confidence)
    if not right.any():
        return unknown("average precision", len(right), "not resolvable: no guess is right", 0.95)
    order = np.unique(sure, return_inverse=True)[1]  # ranks: an infinite confidence is a row like any other
    rows = np.stack([right.astype(np.float64), order.astype(np.float64)], axis=1)
    return bootstrap(rows, lambda r: average_precision(r[:, 0], r[:, 1]), "average precision", seed=seed)


def recall_at_errors_estimate(correct: ArrayLike, confidence: ArrayLike, errors: int = 100) -> Estimate:
    """``recall_at_errors`` with Wilson's interval; that takes the place of the cut in the ranking as given."""
    right, sure = _known(correct, confidence)
    found = recall_at_errors(right, sure, errors)
    return proportion(round(found * len(right)) if len(right) else 0, len(right))


def _known(correct: ArrayLike, confidence: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    right, sure = np.asarray(correct, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    if right.shape != sure.shape:
        raise BadInput(f"ranking: {right.shape} guesses but {sure.shape} confidences")
    kept = ~np.isnan(right)
    return right[kept] == 1, np.nan_to_num(sure[kept], nan=-np.inf, posinf=np.inf, neginf=-np.inf)


def _ranked(correct: ArrayLike, confidence: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """(right guesses by falling confidence, index of the last of each run of equal confidence)."""
    right, sure = _known(correct, confidence)
    order = np.argsort(-sure, kind="stable")
    right, sure = right[order], sure[order]
    if not len(right):
        return right, np.zeros(0, dtype=np.int64)
    return right, np.append(np.flatnonzero(sure[1:] != sure[:-1]), len(sure) - 1)
