"""Distances between samples: what noise alone would show, coverage, and proof of equality."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from rasura.stats import distance

unhurried = settings(deadline=None, derandomize=True, max_examples=60)  # a busy machine is no failure

values = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=10)


@unhurried
@given(values, values)
def test_the_distance_is_the_largest_gap_of_the_two_curves(a, b):
    result = distance.ks_distance(a, b, resamples=20)
    slow = max(abs(np.mean(np.array(a) <= x) - np.mean(np.array(b) <= x)) for x in a + b)
    assert result.distance.value == pytest.approx(slow)
    assert 0 <= result.distance.low <= result.distance.value <= result.distance.high <= 1
    assert 0 <= result.p_value <= 1


def test_total_separation_has_the_p_value_of_the_one_worst_order():
    result = distance.ks_distance(np.arange(200.0), np.arange(200.0) + 1000)
    assert result.p_value == pytest.approx(2 / math.comb(400, 200)) == pytest.approx(1.94e-119, rel=0.01)
    assert result.distance.value == result.distance.high == 1.0
    assert 0.8 < result.distance.low < 1.0  # not a point: 200 values cannot prove a distance of 1


def test_the_null_median_is_what_equal_samples_show():
    rng = np.random.default_rng(0)
    drawn = [scipy_stats.ks_2samp(rng.normal(size=50), rng.normal(size=70)).statistic for _ in range(400)]
    result = distance.ks_distance(rng.normal(size=50), rng.normal(size=70))
    assert result.null_median == pytest.approx(np.median(drawn), abs=0.012)
    assert result.null_median == pytest.approx(0.8276 * math.sqrt(1 / 50 + 1 / 70), abs=0.02)


def test_the_null_median_of_many_values_comes_from_the_limit_law():
    rng = np.random.default_rng(1)
    result = distance.ks_distance(rng.normal(size=6000), rng.normal(size=6000), resamples=20)
    assert result.null_median == pytest.approx(0.82757 * math.sqrt(2 / 6000), rel=1e-3)


def test_the_interval_covers_zero_and_large_distances():
    rng = np.random.default_rng(2)
    for shift in (0.0, 1.0):
        truth, hits = 2 * scipy_stats.norm.cdf(shift / 2) - 1, 0
        for _ in range(150):
            found = distance.ks_distance(rng.normal(shift, 1, 40), rng.normal(0, 1, 60), resamples=200).distance
            hits += found.low <= truth <= found.high
        assert hits / 150 >= 0.92


def test_ties_nan_seeds_and_empty_sides():
    a, b = np.repeat([0.0, 1.0], 20), np.repeat([0.0, 1.0], [15, 25])
    assert distance.ks_distance([*a, math.nan], b) == distance.ks_distance(a, b)
    assert distance.ks_distance(a, b).distance.n == 80
    empty = distance.ks_distance([], b)
    assert not empty.distance.known and math.isnan(empty.p_value) and math.isnan(empty.null_median)


def test_the_gap_counts_in_both_directions():
    low, high = np.array([0.0, 1.0, 2.0]), np.array([4.0, 5.0, 6.0])
    assert distance.two_sided_gap(high, low).value == -distance.two_sided_gap(low, high).value == 4.0


def test_equivalence_needs_data_not_silence():
    rng = np.random.default_rng(3)
    close = distance.equivalence(rng.normal(0, 1, 400), rng.normal(0, 1, 400), margin=0.3)
    assert close.equivalent and close.p_value < 0.05
    few = distance.equivalence([0.0, 1.0, -1.0], [0.1, 0.9, -1.0], margin=0.3)
    assert not few.equivalent and few.p_value > 0.05
    apart = distance.equivalence(rng.normal(1, 1, 400), rng.normal(0, 1, 400), margin=0.3)
    assert not apart.equivalent and apart.p_value > 0.9


def test_equivalence_and_its_interval_never_disagree():
    rng = np.random.default_rng(4)
    for _ in range(100):
        result = distance.equivalence(rng.normal(rng.normal(0, 0.3), 1, 60), rng.normal(0, 2, 50), margin=0.5)
        inside = -0.5 <= result.difference.low and result.difference.high <= 0.5
        assert inside == result.equivalent and result.difference.level == pytest.approx(0.9)


def test_equivalence_at_the_margin_is_claimed_as_rarely_as_promised():
    rng = np.random.default_rng(5)
    claims = [
        distance.equivalence(rng.normal(0.5, 1, 50), rng.normal(0, 1, 50), margin=0.5).equivalent for _ in range(400)
    ]
    assert 0.02 <= np.mean(claims) <= 0.08


def test_equivalence_without_spread_or_data_claims_nothing():
    for a, b in (([1.0] * 5, [1.0] * 5), ([1.0], [1.0, 2.0])):
        result = distance.equivalence(a, b, margin=0.1)
        assert math.isnan(result.p_value) and not result.equivalent
    with pytest.raises(ValueError, match="margin"):
        distance.equivalence([1.0, 2.0], [1.0, 2.0], margin=0.0)
