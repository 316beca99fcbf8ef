"""Shares over prompts of which several pictures were drawn: prompts are the sample, not pictures."""

from __future__ import annotations

import numpy as np

from ..core.types import Estimate
from ..stats._math import unknown
from ..stats.intervals import wilson


def share_of(per_prompt: np.ndarray, pictures: int, unit: str = "share", why: str = "") -> Estimate:
    """Mean of per-prompt shares (m,), NaN left out, with Wilson's interval at the effective number of pictures.

        n_eff = p (1 - p) / (s^2/m),   cut to m .. pictures

    with s^2 the variance between prompts: pictures of one prompt that agree count once, independent ones all. Where
    every prompt says 0, or every one 1, nothing is known about agreement and n_eff = m. n counts prompts.

    Source: the effective sample size for shares from clustered data of Korn and Graubard, "Confidence intervals for
    proportions with small expected number of positive counts estimated from survey data", Survey Methodology, 1998;
    here with Wilson's interval in place of Clopper and Pearson's.

    By hand: two prompts with shares 0 and 1: s^2 = 1/2, n_eff = .25/.25 = 1, cut to 2. Wilson for 1 of 2: z^2 = 3.8415,
    half width z sqrt(.125 + .2401)/2.9207 = .4055.

    >>> print(share_of(np.array([0.0, 1.0]), 8))
    0.500 [0.095, 0.905] (n=2)
    """
    known = per_prompt[~np.isnan(per_prompt)]
    m = len(known)
    if not m:
        return unknown(unit, 0, why or "no prompt could be judged", 0.95)
    share = float(np.mean(known))
    effective = effective_size(share, float(np.var(known, ddof=1)) / m if m > 1 else 0.0, m, pictures)
    low, high = wilson(share * effective, effective)
    return Estimate(share, min(low, share), max(high, share), m, unit)


def effective_size(share: float, squared_error: float, least: int, most: int) -> float:
    """How many independent draws would know a share as well.

    A share of 1/2 with standard error .1 is known as from 25 draws.

    >>> effective_size(0.5, 0.01, 10, 100)
    25.0
    """
    if share in (0.0, 1.0):
        return float(least)
    if squared_error <= 0:
        return float(most if least > 1 else least)
    return float(np.clip(share * (1 - share) / squared_error, least, max(least, most)))


def first_reason(reasons: np.ndarray) -> str:
    """The first reason that was given, for a metric that has no value."""
    return next((str(r) for r in reasons if str(r)), "")
