"""A verdict per text: which of many texts were seen, with few of the verdicts wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import BadInput
from ._math import clean
from .calibration import conformal_p_values
from .multiplicity import benjamini_hochberg


@dataclass(frozen=True)
class Verdicts:
    """One row a text, in order."""

    p_value: np.ndarray  # (n,) conformal, NaN where the text could not be scored
    adjusted: np.ndarray  # (n,) after Benjamini and Hochberg over the n texts
    flagged: np.ndarray  # (n,) bool: adjusted <= the false-discovery rate
    fewest: int  # so many texts must stand out together before any can be flagged; more than n: none ever can


def verdicts(scores: ArrayLike, calibration: ArrayLike, false_discovery_rate: float = 0.05) -> Verdicts:
    """Flag texts such that on average at most a share ``false_discovery_rate`` (q) of those flagged were never seen.

        flagged_i = [BH(p)_i <= q],      p_i = (1 + #{calibration score >= s_i})/(c + 1)

    ``scores`` (n,) of the texts asked about and ``calibration`` (c,) of texts known not to have been seen, exchangeable
    with the unseen ones among those asked about. Conformal p values of one calibration set are positively dependent,
    which Benjamini and Hochberg's procedure allows. The smallest possible p is 1/(c + 1), so ``fewest`` =
    ceil(n/(q (c + 1))) texts must reach it together before any can be flagged: with c + 1 < 1/q none ever can.

    Source: Bates, Candes, Lei, Romano and Sesia, "Testing for outliers with conformal p-values", Annals of Statistics,
    2023. BadInput unless 0 < q < 1 and there is a calibration score.

    By hand: 19 calibration texts at 0: two texts at 5 and 6 have p = 1/20 each, adjusted 3/2 * .05; a third at -1 has
    p = 1. At q = .1 two are flagged, and ceil(3/(.1 * 20)) = 2 had to.

    >>> found = verdicts([5.0, 6.0, -1.0], [0.0] * 19, 0.1)
    >>> found.flagged.tolist(), [round(p, 3) for p in found.adjusted.tolist()], found.fewest
    ([True, True, False], [0.075, 0.075, 1.0], 2)
    """
    if not 0.0 < false_discovery_rate < 1.0:
        raise BadInput(f"the false-discovery rate must lie strictly between 0 and 1, got {false_discovery_rate}")
    known = clean(calibration)
    if not len(known):
        raise BadInput("no calibration text could be scored: no verdict per text is possible")
    p = conformal_p_values(known, scores)
    adjusted = benjamini_hochberg(p)
    n = int(np.sum(~np.isnan(p)))
    fewest = max(1, math.ceil(n / (false_discovery_rate * (len(known) + 1)) - 1e-9))
    return Verdicts(p, adjusted, np.nan_to_num(adjusted, nan=1.0) <= false_discovery_rate, fewest)
