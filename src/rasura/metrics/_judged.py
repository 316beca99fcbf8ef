"""Rates by a judge who errs, corrected for its errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..core.types import Estimate
from ..observations.judgements import JudgementData
from ..stats._math import unknown
from ._shares import first_reason, share_of

UNCORRECTED = "the judge's errors are unknown: not corrected for them"
BLIND = "the judge cannot tell this class from others"
LEAST = 0.1  # sensitivity + specificity - 1 below which a judge says next to nothing


def true_rate(observed: float, sensitivity: float, specificity: float) -> float:
    """The rate behind a judge's: (p + specificity - 1) / (sensitivity + specificity - 1), cut to [0, 1].

    Source: Rogan and Gladen, "Estimating prevalence from the results of a screening test", American Journal of
    Epidemiology, 1978.

    A judge that finds 9 of 10 and imagines 1 of 10 sees the class in half of the pictures: (.5 - .1)/.8 = .5.

    >>> round(true_rate(0.5, 0.9, 0.9), 9), true_rate(0.05, 0.9, 0.9), true_rate(0.95, 0.9, 0.9)
    (0.5, 0.0, 1.0)
    """
    return float(np.clip((observed + specificity - 1) / (sensitivity + specificity - 1), 0.0, 1.0))


def judged_rate(data: JudgementData) -> Estimate:
    """Share of pictures in which the judge sees what they should show, corrected; the interval is corrected likewise.

    Clustered by prompt (``_shares.share_of``). Where prompts name different classes, sensitivity and specificity are
    averaged over prompts; where they are unknown the rate stays as it is and says so. n counts prompts.

    Two prompts of two pictures, three of four seen by a judge without errors: shares 1 and 1/2, n_eff = .1875/.0625 = 3.

    >>> from rasura.core.types import Ragged
    >>> seen, one = Ragged.of([[1, 1], [1, 0]]), np.ones(2)
    >>> print(judged_rate(JudgementData(seen, one, one, np.array(["", ""], dtype=object))))
    0.750 [0.256, 0.963] (n=2)
    """
    judged = data.seen.lengths > 0
    observed = share_of(data.seen.mean(), len(data.seen.values), "share", first_reason(data.reason))
    if not observed.known:
        return observed
    sensitivity, specificity = (float(np.mean(rate[judged])) for rate in (data.sensitivity, data.specificity))
    if np.isnan(sensitivity + specificity):
        return replace(observed, note=UNCORRECTED)
    if sensitivity + specificity - 1 < LEAST:
        return unknown("share", observed.n, BLIND, observed.level)
    value, low, high = (true_rate(p, sensitivity, specificity) for p in (observed.value, observed.low, observed.high))
    return replace(observed, value=value, low=low, high=high)


def corrected_shares(data: JudgementData) -> np.ndarray:
    """(n,) each prompt's own share, corrected but not cut to [0, 1], so that differences have no bias; NaN if unjudged."""
    sensitivity, specificity = np.nan_to_num(data.sensitivity, nan=1.0), np.nan_to_num(data.specificity, nan=1.0)
    scale = sensitivity + specificity - 1
    return np.where(scale >= LEAST, (data.seen.mean() + specificity - 1) / np.where(scale >= LEAST, scale, 1.0), np.nan)
