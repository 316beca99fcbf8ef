"""Rates with intervals against the number of copies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rasura.extraction._dose import dose_rows, rate
from rasura.stats.intervals import wilson


def test_shares_have_wilson_intervals():
    found = rate(np.array([1.0] * 3 + [0.0] * 7))
    assert (found.low, found.high) == wilson(3, 10) and found.n == 10


def test_nothing_known_is_no_number():
    assert not rate(np.array([math.nan])).known and rate(np.array([math.nan])).note


def test_bits_stay_within_their_bounds_and_do_not_shrink_to_a_point():
    """8 secrets at the most that ranks can show: h = 1 - .025^(1/8) = .369 of the secrets could have 0 bits."""
    found = rate(np.full(8, 7.651), "bits", (0.0, 7.651))
    assert found.high == 7.651 and found.low == pytest.approx(7.651 * 0.025 ** (1 / 8))


def test_rows_rise_with_the_dose_and_skip_what_is_unknown():
    success = np.array([0, 0, 1, 0, 1, 1, math.nan, 1.0])
    rows = dose_rows(success, [0, 0, 1, 1, 64, 64, 64, None])
    assert [(r.repeats, r.estimate.value, r.estimate.n) for r in rows] == [(0, 0.0, 2), (1, 0.5, 2), (64, 1.0, 2)]


def test_partial_success_is_a_mean_within_0_and_1():
    rows = dose_rows(np.array([0.2, 0.4, 0.9]), [1, 1, 1])
    assert rows[0].estimate.value == 0.5 and 0 <= rows[0].estimate.low <= rows[0].estimate.high <= 1


def test_without_records_there_are_no_rows():
    assert dose_rows(np.zeros(0), []) == ()
