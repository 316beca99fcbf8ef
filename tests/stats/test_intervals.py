"""Intervals against hand numbers, definitions and their own promised coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from rasura.stats import intervals

unhurried = settings(deadline=None, derandomize=True, max_examples=60)  # a busy machine is no failure

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@unhurried
@given(counts)
def test_clopper_pearson_ends_are_where_the_binomial_tail_is_two_and_a_half_percent(pair):
    k, n = pair
    low, high = intervals.clopper_pearson(k, n)
    assert low == 0 if k == 0 else scipy_stats.binom.sf(k - 1, n, low) == pytest.approx(0.025, rel=1e-6)
    assert high == 1 if k == n else scipy_stats.binom.cdf(k, n, high) == pytest.approx(0.025, rel=1e-6)


@unhurried
@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_ends_are_where_the_z_test_turns(pair, level):
    k, n = pair
    low, high = intervals.wilson(k, n, level)
    expected = scipy_stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= k / n <= high <= 1


def test_clopper_pearson_covers_every_share():
    for n, share in ((10, 0.05), (25, 0.5), (40, 0.9)):
        hits = [share_in(intervals.clopper_pearson(k, n), share) for k in range(n + 1)]
        assert np.dot(hits, scipy_stats.binom.pmf(np.arange(n + 1), n, share)) >= 0.95


def share_in(interval, share):
    return interval[0] <= share <= interval[1]


def test_proportion_refuses_nonsense_and_admits_ignorance():
    assert intervals.proportion(3, 4).unit == "share"
    assert not intervals.proportion(0, 0).known
    assert intervals.proportion(1, 3, method="clopper-pearson").high > intervals.proportion(1, 3).high
    with pytest.raises(ValueError, match="method"):
        intervals.proportion(1, 2, method="wald")
    with pytest.raises(ValueError, match="successes"):
        intervals.proportion(3, 2)
    with pytest.raises(ValueError, match="level"):
        intervals.clopper_pearson(1, 2, 1.0)


@unhurried
@given(st.integers(1, 500))
def test_the_rule_of_three_is_the_one_sided_exact_bound(n):
    bound = intervals.rule_of_three(n)
    assert (1 - bound) ** n == pytest.approx(0.05)
    assert bound == pytest.approx(intervals.clopper_pearson(0, n, 0.9)[1])
    assert bound <= 3 / n


def test_the_rule_of_three_without_trials_allows_everything():
    assert intervals.rule_of_three(0) == 1.0
    with pytest.raises(ValueError, match="negative"):
        intervals.rule_of_three(-1)


@unhurried
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_means_agree_with_scipy(values):
    estimate = intervals.mean_estimate([*values, math.nan], "nats")
    assert estimate.value == pytest.approx(np.mean(values)) and estimate.n == len(values)
    error = scipy_stats.sem(values)
    if error > 1e-9:
        low, high = scipy_stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
        assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_means_of_little_or_nothing():
    assert str(intervals.mean_estimate([math.nan], "nats")) == "no values"
    single = intervals.mean_estimate([2.0], "nats")
    assert (single.value, single.low, single.high) == (2.0, -math.inf, math.inf) and single.note
    flat = intervals.mean_estimate([0.1] * 7, "nats")
    assert flat.low == flat.value == flat.high and "equal" in flat.note


def test_bounds_keep_an_interval_possible_and_open():
    assert intervals.mean_estimate([0.0, 0.0, 1.0], "share", bounds=(0.0, 1.0)).low == 0.0
    gone = intervals.mean_estimate([0.0] * 100, "share", bounds=(0.0, 1.0))
    assert (gone.low, gone.high) == pytest.approx(intervals.clopper_pearson(0, 100))
    half = intervals.mean_estimate([0.5], "share", bounds=(0.0, 1.0))
    assert (half.low, half.high) == pytest.approx((0.0125, 0.9875))


def test_student_and_welch_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = np.zeros(3)
    for _ in range(400):
        a, b = rng.normal(1, 1, 8), rng.normal(0, 3, 12)
        hits[0] += share_in(ends(intervals.mean_estimate(a, "u")), 1)
        hits[1] += share_in(ends(intervals.difference_of_means(a, b, "u")), 1)
        hits[2] += share_in(ends(intervals.difference_of_means(a, b[:8], "u", paired=True)), 1)
    assert np.all((hits / 400 >= 0.925) & (hits / 400 <= 0.98))


def ends(estimate):
    return estimate.low, estimate.high


def test_differences_agree_with_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 9), rng.normal(0, 2, 9)
    separate = scipy_stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert ends(intervals.difference_of_means(a, b, "u")) == pytest.approx((separate.low, separate.high))
    paired = scipy_stats.ttest_rel(a, b).confidence_interval()
    estimate = intervals.difference_of_means(a, b, "u", paired=True)
    assert ends(estimate) == pytest.approx((paired.low, paired.high)) and estimate.n == 9


def test_differences_drop_nan_and_refuse_what_they_cannot_know():
    assert intervals.difference_of_means([1.0, 2.0, math.nan], [0.0, 1.0], "u").n == 4
    assert intervals.difference_of_means([1.0, 2.0, math.nan], [0.0, 1.0, 5.0], "u", paired=True).n == 2
    assert "not resolvable" in str(intervals.difference_of_means([1.0], [0.0, 1.0], "u"))
    assert "1 pairs" in str(intervals.difference_of_means([1.0, math.nan], [0.0, 1.0], "u", paired=True))
    assert intervals.difference_of_means([0.1] * 3, [0.1] * 4, "u").note
    with pytest.raises(ValueError, match="equally long"):
        intervals.difference_of_means([1.0], [1.0, 2.0], "u", paired=True)


def test_the_bootstrap_is_seeded_and_close_to_student():
    values = np.random.default_rng(2).normal(5, 2, 200)
    drawn, exact = intervals.bootstrap(values, np.mean, "u"), intervals.mean_estimate(values, "u")
    assert ends(drawn) == pytest.approx(ends(exact), abs=0.06)
    assert intervals.bootstrap(values, np.mean, "u") == drawn != intervals.bootstrap(values, np.mean, "u", seed=1)


def test_the_bootstrap_keeps_rows_together_and_drops_broken_ones():
    x = np.arange(20.0)
    rows = np.column_stack([x, 2 * x])
    rows[3, 1] = math.nan
    estimate = intervals.bootstrap(rows, lambda r: float(np.mean(r[:, 1] - 2 * r[:, 0])), "u")
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0.0, 0.0, 0.0, 19)
    assert not intervals.bootstrap([1.0], np.mean, "u").known
