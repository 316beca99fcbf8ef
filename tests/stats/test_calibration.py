"""Held-out thresholds: what conformal calibration promises, checked by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.stats import calibration

unhurried = settings(deadline=None, derandomize=True, max_examples=60)  # a busy machine is no failure


@unhurried
@given(st.integers(0, 60), st.integers(0, 5))
def test_halves_are_disjoint_complete_and_even(n, seed):
    a, b = calibration.split_halves(n, seed)
    assert sorted([*a, *b]) == list(range(n)) and len(a) - len(b) in (0, 1)
    assert np.all(np.diff(a) > 0) and np.all(np.diff(b) > 0)


def test_halves_depend_on_the_seed_alone():
    first, again, other = (calibration.split_halves(50, seed)[0].tolist() for seed in (0, 0, 1))
    assert first == again != other


few = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12)


@unhurried
@given(few, few)
def test_conformal_p_values_follow_the_definition(reference, scores):
    slow = [(1 + sum(r >= s for r in reference)) / (len(reference) + 1) for s in scores]
    assert calibration.conformal_p_values(reference, scores) == pytest.approx(slow)


def test_conformal_p_values_keep_nan_apart():
    found = calibration.conformal_p_values([1.0, math.nan], [2.0, math.nan])
    assert found[0] == 0.5 and math.isnan(found[1])


@unhurried
@given(st.lists(st.integers(0, 30).map(float), min_size=2, max_size=60), st.sampled_from([0.05, 0.1, 0.3]))
def test_the_threshold_is_the_lowest_that_conformal_p_values_allow(nonmembers, rate):
    decision = calibration.held_out_decision([1.0, 2.0], nonmembers, rate)
    reference = np.array(nonmembers)[calibration.split_halves(len(nonmembers), 0)[0]]
    if 1 / (len(reference) + 1) > rate + 1e-9:
        assert math.isnan(decision.threshold) and "not resolvable" in str(decision.true_positive_rate)
        return
    scores = np.arange(-1.0, 32.0)
    assert np.array_equal(scores > decision.threshold, calibration.conformal_p_values(reference, scores) <= rate + 1e-9)


def test_the_promised_false_positive_rate_holds_on_average():
    rng = np.random.default_rng(0)
    decisions = [calibration.held_out_decision(rng.normal(2, 1, 50), rng.normal(0, 1, 118), 0.05) for _ in range(300)]
    measured = [d.false_positive_rate.value for d in decisions]
    assert np.mean(measured) == pytest.approx(0.05, abs=0.008)  # 60 calibrate: 3/61 = .049
    assert np.mean([d.true_positive_rate.value for d in decisions]) == pytest.approx(0.64, abs=0.05)


def test_sizes_nan_and_refusals():
    rng = np.random.default_rng(1)
    nonmembers = np.append(rng.normal(size=100), math.nan)
    decision = calibration.held_out_decision([3.0, math.nan, 4.0], nonmembers)
    assert (decision.calibration_size, decision.false_positive_rate.n, decision.true_positive_rate.n) == (50, 50, 2)
    assert decision.target == 0.05
    refused = calibration.held_out_decision([3.0], rng.normal(size=30), 0.05)
    assert str(refused.false_positive_rate) == "not resolvable with 15 calibration non-members"
    with pytest.raises(ValueError, match="false_positive_rate"):
        calibration.held_out_decision([1.0], [1.0], 0.0)


def test_no_members_leave_the_threshold_standing():
    decision = calibration.held_out_decision([], np.arange(100.0))
    assert not decision.true_positive_rate.known and decision.false_positive_rate.known
