"""AUC, DeLong and ROC curves against hand numbers, slow definitions and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.stats import delong, roc

unhurried = settings(deadline=None, derandomize=True, max_examples=60)  # a busy machine is no failure

few_scores = st.lists(st.integers(-4, 4).map(float), min_size=2, max_size=12)  # few values: many ties


def kernel(members, nonmembers):
    x, y = np.asarray(members)[:, None], np.asarray(nonmembers)[None, :]
    return (x > y) + 0.5 * (x == y)


def slow_covariance(members_a, nonmembers_a, members_b, nonmembers_b):
    """DeLong's covariance of two AUCs written out over all m n pairs."""
    a, b = kernel(members_a, nonmembers_a), kernel(members_b, nonmembers_b)
    rows = np.sum((a.mean(1) - a.mean()) * (b.mean(1) - b.mean())) / (a.shape[0] - 1)
    columns = np.sum((a.mean(0) - a.mean()) * (b.mean(0) - b.mean())) / (a.shape[1] - 1)
    return rows / a.shape[0] + columns / a.shape[1]


@unhurried
@given(few_scores, few_scores)
def test_auc_and_its_variance_follow_the_definition_over_all_pairs(members, nonmembers):
    assert roc.auc(members, nonmembers) == pytest.approx(kernel(members, nonmembers).mean())
    slow = slow_covariance(members, nonmembers, members, nonmembers)
    assert delong.delong_variance(members, nonmembers) == pytest.approx(slow, abs=1e-15)


@unhurried
@given(few_scores, few_scores)
def test_auc_is_antisymmetric_and_blind_to_monotone_maps(members, nonmembers):
    value = roc.auc(members, nonmembers)
    assert roc.auc(nonmembers, members) == pytest.approx(1 - value)
    assert roc.auc(np.exp(members), np.exp(nonmembers)) == value


def test_auc_agrees_with_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    for digits in (0, 1, 6):
        x, y = np.round(rng.normal(0.5, 1, 300), digits), np.round(rng.normal(0, 1, 200), digits)
        expected = roc_auc_score(np.repeat([1, 0], [300, 200]), np.concatenate([x, y]))
        assert roc.auc(x, y) == pytest.approx(expected, abs=1e-12)


@unhurried
@given(st.data())
def test_the_variance_of_a_difference_follows_the_definition(data):
    m, n = data.draw(st.integers(2, 8)), data.draw(st.integers(2, 8))
    draw = lambda k: np.array(data.draw(st.lists(st.integers(0, 5), min_size=k, max_size=k)), float)  # noqa: E731
    x_a, x_b, y_a, y_b = draw(m), draw(m), draw(n), draw(n)
    result = roc.auc_difference(x_a, y_a, x_b, y_b)
    assert result.estimate.value == pytest.approx(roc.auc(x_a, y_a) - roc.auc(x_b, y_b))
    variance = (
        slow_covariance(x_a, y_a, x_a, y_a)
        + slow_covariance(x_b, y_b, x_b, y_b)
        - 2 * slow_covariance(x_a, y_a, x_b, y_b)
    )
    if variance > 1e-12:
        z = result.estimate.value / math.sqrt(variance)
        assert result.p_value == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), rel=1e-6)


def test_nan_is_dropped_and_n_says_so():
    estimate = roc.auc_estimate([3.0, math.nan, 1.0], [0.0, 2.0, math.nan, math.nan])
    assert (estimate.value, estimate.n) == (0.75, 4)
    pairwise = roc.auc_difference([1.0, math.nan, 2.0], [0.0, 0.5], [1.0, 5.0, 2.0], [0.0, 0.5])
    assert pairwise.estimate.n == 4


def test_an_empty_side_is_nan_with_a_reason():
    for estimate in (roc.auc_estimate([], [1.0]), roc.bootstrap_auc([1.0], [math.nan])):
        assert not estimate.known and "not resolvable" in str(estimate)
    assert math.isnan(roc.auc([], [1.0])) and math.isnan(roc.auc_p_value([], [1.0]))
    assert math.isnan(roc.auc_difference([1.0], [1.0], [1.0], [1.0]).p_value)


@pytest.mark.parametrize("size", [1, 3, 40])
def test_total_separation_keeps_an_honest_interval(size):
    high, low = np.arange(size) + 100.0, np.arange(size) + 0.0
    up, down = roc.auc_estimate(high, low), roc.auc_estimate(low, high)
    assert (up.value, up.high, down.value, down.low) == (1.0, 1.0, 0.0, 0.0)
    assert up.low == pytest.approx(0.025 ** (1 / size))
    assert down.high == pytest.approx(1 - up.low)


def test_constant_scores_say_nothing():
    estimate = roc.auc_estimate(np.zeros(20), np.zeros(20))
    assert estimate.value == 0.5 and estimate.low < 0.3 and estimate.high > 0.7
    assert roc.auc_p_value(np.zeros(20), np.zeros(20)) == 1.0


@unhurried
@given(few_scores, few_scores)
def test_the_interval_holds_the_value_inside_the_unit_range(members, nonmembers):
    estimate = roc.auc_estimate(members, nonmembers)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.high - estimate.low > 0.01


def test_delong_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    for shift, truth in ((0.0, 0.5), (1.5, 0.85557), (2.5, 0.96145)):  # truth = Phi(shift/sqrt(2))
        hits = 0
        for _ in range(400):
            estimate = roc.auc_estimate(rng.normal(shift, 1, 40), rng.normal(0, 1, 40))
            hits += estimate.low <= truth <= estimate.high
        assert 0.92 <= hits / 400 <= 0.985


def test_the_bootstrap_agrees_with_delong():
    rng = np.random.default_rng(2)
    x, y = np.round(rng.normal(1, 1, 300), 1), np.round(rng.normal(0, 1, 200), 1)
    exact, drawn = roc.auc_estimate(x, y), roc.bootstrap_auc(x, y)
    assert drawn.value == exact.value
    assert drawn.low == pytest.approx(exact.low, abs=0.01) and drawn.high == pytest.approx(exact.high, abs=0.01)
    assert roc.bootstrap_auc(x, y) == drawn and roc.bootstrap_auc(x, y, seed=1) != drawn


def test_paired_differences_see_what_separate_intervals_cannot():
    rng = np.random.default_rng(3)
    x, y = rng.normal(1, 1, 300), rng.normal(0, 1, 300)
    result = roc.auc_difference(x, y, x + rng.normal(0, 0.5, 300), y + rng.normal(0, 0.5, 300))
    assert result.p_value < 0.05 and result.estimate.low > 0
    assert roc.auc_estimate(x, y).low < roc.auc(x, y) - result.estimate.value  # separately they overlap


def test_the_difference_test_keeps_its_level():
    rng = np.random.default_rng(4)
    p_values = []
    for _ in range(300):
        x, y = rng.normal(0.7, 1, 60), rng.normal(0, 1, 60)
        noisy = [v + rng.normal(0, 0.5, 60) for v in (x, y, x, y)]
        p_values.append(roc.auc_difference(*noisy).p_value)
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.085


def test_degenerate_differences_have_matching_interval_and_p_value():
    high, low = np.arange(5) + 100.0, np.arange(5) + 0.0
    same = roc.auc_difference(high, low, high, low)
    assert same.p_value == 1.0 and same.estimate.low < 0 < same.estimate.high
    opposite = roc.auc_difference(high, low, low, high)
    assert opposite.p_value == pytest.approx(2 / 2**5) and opposite.estimate.value == 1.0
    assert opposite.estimate.low < 0  # p = .0625: 0 is still inside
    more = roc.auc_difference(np.arange(6) + 100.0, np.arange(6.0), np.arange(6.0), np.arange(6) + 100.0)
    assert more.p_value < 0.05 and more.estimate.low > 0


def test_the_p_value_is_one_sided():
    rng = np.random.default_rng(5)
    x, y = rng.normal(1, 1, 100), rng.normal(0, 1, 100)
    assert roc.auc_p_value(x, y) < 1e-6 < 0.99 < roc.auc_p_value(y, x)


@unhurried
@given(few_scores, few_scores)
def test_short_curves_hold_every_corner(members, nonmembers):
    fpr, tpr = roc.roc_curve(members, nonmembers)
    thresholds = sorted(set(members + nonmembers), reverse=True)
    full = [(0.0, 0.0)] + [
        (float(np.mean(np.array(nonmembers) >= t)), float(np.mean(np.array(members) >= t))) for t in thresholds
    ]
    assert set(zip(fpr.tolist(), tpr.tolist(), strict=True)) <= set(full)
    assert np.trapezoid(tpr, fpr) == pytest.approx(roc.auc(members, nonmembers))  # no corner is missing
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)


def test_long_curves_are_thinned_but_exact_at_few_false_positives():
    rng = np.random.default_rng(6)
    x, y = rng.normal(1, 1, 20_000), rng.normal(0, 1, 20_000)
    fpr, tpr = roc.roc_curve(x, y, points=100)
    assert len(fpr) <= 100 and np.all(np.diff(fpr) >= 0) and np.all(np.diff(tpr) >= 0)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(tpr, fpr) == pytest.approx(roc.auc(x, y), abs=0.003)
    ordered = np.sort(y)[::-1]
    for false_positives in range(1, 20):  # every one of the first levels is there, at its full height
        best = np.mean(x > ordered[false_positives])
        assert np.max(tpr[fpr == false_positives / 20_000]) == best


def test_curves_of_nothing_and_bad_arguments():
    fpr, tpr = roc.roc_curve([], [1.0, 2.0])
    assert fpr.tolist() == [0.0, 1.0] and np.all(np.isnan(tpr))
    with pytest.raises(ValueError, match="points"):
        roc.roc_curve([1.0], [0.0], points=3)
    with pytest.raises(ValueError, match="1-D"):
        roc.auc([[1.0]], [0.0])


@unhurried
@given(few_scores, few_scores, st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0]))
def test_tpr_is_the_best_any_allowed_threshold_reaches(members, nonmembers, fpr):
    estimate = roc.tpr_at_fpr(members, nonmembers, fpr)
    if len(nonmembers) < 1 / fpr:
        assert not estimate.known and str(estimate) == f"not resolvable with {len(nonmembers)} non-members"
        return
    x, y = np.array(members), np.array(nonmembers)
    candidates = [t for t in (*members, *nonmembers, math.inf) if np.sum(y >= t) <= fpr * len(y) + 1e-9]
    assert estimate.value == max(np.mean(x >= t) for t in candidates)
    assert estimate.n == len(members) and estimate.low <= estimate.value <= estimate.high


def test_tpr_counts_in_exact_multiples_despite_binary_fractions():
    x, y = np.array([250.5, 298.5, 296.5]), np.arange(300.0)
    assert roc.tpr_at_fpr(x, y, 0.01).value == pytest.approx(2 / 3)  # 3 allowed: above the 4th highest, 296
    assert str(roc.tpr_at_fpr(x, y, 0.001)) == "not resolvable with 300 non-members"
    assert not roc.tpr_at_fpr([], y, 0.01).known
    with pytest.raises(ValueError, match="fpr"):
        roc.tpr_at_fpr(x, y, 0.0)
