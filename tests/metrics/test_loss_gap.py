"""Paired differences of losses."""

from __future__ import annotations

import numpy as np
import pytest

from metrics._losses import RETRAINED, RNG, estimate


def test_pairing_makes_the_gap_sharper_than_the_spread_of_records():
    """A shift of .1 with noise .05 among records that spread by .2: paired se = .05/sqrt(60) = .0065."""
    found = estimate("loss_gap", RETRAINED + 0.1 + RNG.normal(0, 0.05, size=60))
    assert found.low > 0 and found.high - found.low == pytest.approx(4 * 0.0065, rel=0.35)


def test_a_mean_of_zero_can_hide_two_faults_which_is_why_there_is_a_distance_too():
    half = estimate("loss_gap", np.where(np.arange(60) % 2, RETRAINED - 2.0, RETRAINED + 2.0))
    assert half.low <= 0.0 <= half.high
