"""Exposure, exact p values and rank correlation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from rasura.stats import randomness

unhurried = settings(deadline=None, derandomize=True, max_examples=60)  # a busy machine is no failure

scores = st.lists(st.integers(0, 9).map(float), max_size=20)


@unhurried
@given(scores, st.integers(0, 9).map(float))
def test_exposure_follows_the_definition(references, candidate):
    rank = 1 + sum(r >= candidate for r in references)
    expected = math.log2((len(references) + 1) / rank)
    assert randomness.exposure_rank(candidate, references) == pytest.approx(expected)
    assert 0 <= expected <= math.log2(len(references) + 1)


def test_exposure_by_hand():
    references = np.arange(15.0)
    assert randomness.exposure_rank(99.0, references) == 4.0
    assert randomness.exposure_rank(-1.0, references) == 0.0
    assert randomness.exposure_rank(14.0, references) == 3.0  # the tie counts against the canary
    assert randomness.exposure_rank(99.0, [*references, math.nan]) == 4.0
    assert math.isnan(randomness.exposure_rank(math.nan, references))


def test_exposure_of_an_untrained_canary_is_rarely_large():
    rng = np.random.default_rng(0)
    bits = np.array([randomness.exposure_rank(rng.normal(), rng.normal(size=127)) for _ in range(2000)])
    for b in (1, 3, 5):
        assert np.mean(bits >= b) == pytest.approx(2.0**-b, abs=0.02)


def test_extrapolation_agrees_with_rank_where_both_can_see():
    rng = np.random.default_rng(1)
    references = scipy_stats.skewnorm(3, 40, 5).rvs(2000, random_state=rng)
    result = randomness.exposure_extrapolated(40.0, references)
    assert result.bits == pytest.approx(randomness.exposure_rank(-40.0, -references), abs=0.4)
    assert result.fit_p_value > 0.1 and result.n == 2000
    assert randomness.exposure_extrapolated(45.0, references).bits < result.bits


def test_extrapolation_sees_a_bad_fit():
    rng = np.random.default_rng(2)
    two_heaps = np.concatenate([rng.normal(0, 1, 300), rng.normal(20, 1, 300)])
    assert randomness.exposure_extrapolated(-5.0, two_heaps).fit_p_value < 0.01


def test_extrapolation_refuses_too_little():
    for references in (np.arange(5.0), np.ones(50)):
        result = randomness.exposure_extrapolated(0.0, references)
        assert math.isnan(result.bits) and "not resolvable" in result.note


def test_extrapolation_refuses_a_fit_without_a_left_tail():
    wall = np.random.default_rng(5).exponential(size=200)
    result = randomness.exposure_extrapolated(-5.0, wall)
    assert math.isnan(result.bits) and "boundary" in result.note and result.shape > 20


def test_the_far_tail_matches_the_normal_and_known_symmetry():
    for z in (-1.0, -6.0, -20.0, -100.0):
        assert randomness.skew_normal_log_cdf(z, 0.0, 0.0, 1.0) == pytest.approx(scipy_stats.norm.logcdf(z), rel=1e-9)
    # the largest of two standard normals is skew-normal with shape 1: P = Phi(z)^2
    for z in (-2.0, -8.0, -40.0):
        expected = 2 * scipy_stats.norm.logcdf(z)
        assert randomness.skew_normal_log_cdf(3 * z + 5, 1.0, 5.0, 3.0) == pytest.approx(expected, rel=1e-9)
    # the smallest of two, shape -1: P = 1 - (1 - Phi(z))^2 = 2 Phi(z) - Phi(z)^2
    expected = math.log(2) + scipy_stats.norm.logcdf(-9.0)
    assert randomness.skew_normal_log_cdf(-9.0, -1.0, 0.0, 1.0) == pytest.approx(expected, rel=1e-9)


def test_permutation_p_values_by_hand():
    assert randomness.permutation_p_value([], 1.0) == 1.0
    assert randomness.permutation_p_value([0.0] * 99, 1.0) == 0.01
    assert randomness.permutation_p_value([1.0, math.nan, 0.0], 1.0) == pytest.approx(2 / 3)
    assert randomness.permutation_p_value([0.1 + 0.2], 0.3) == 1.0  # a tie but for rounding
    assert randomness.permutation_p_value([0.3], 0.1 + 0.2) == 1.0
    assert math.isnan(randomness.permutation_p_value([1.0], math.nan))


def test_coin_flips_converge_to_full_enumeration():
    gains = np.array([3.0, 2.0, 0.5, 1.0, 0.0, -1.0])
    flips = np.array([1, 1, 0, 1, 0, 0])
    statistic = lambda f: float(gains @ f)  # noqa: E731
    reached = [gains[list(chosen)].sum() >= gains @ flips for chosen in itertools.combinations(range(6), 3)]
    p_value = randomness.coin_flip_p_value(statistic, flips, draws=4000)
    assert p_value == pytest.approx(np.mean(reached), abs=0.01)
    assert randomness.coin_flip_p_value(statistic, flips, draws=4000) == p_value


def test_coin_flip_p_values_keep_their_level():
    rng = np.random.default_rng(3)
    p_values = []
    for seed in range(200):
        gains, flips = rng.normal(size=30), rng.random(30) < 0.5
        p_values.append(randomness.coin_flip_p_value(lambda f, g=gains: float(g @ f), flips, draws=99, seed=seed))
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


@unhurried
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=5, max_size=20))
def test_spearman_agrees_with_scipy(pairs):
    x, y = np.array(pairs, dtype=float).T
    estimate = randomness.spearman(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert not estimate.known
        return
    assert estimate.value == pytest.approx(scipy_stats.spearmanr(x, y).statistic, abs=1e-12)
    assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_spearman_keeps_an_interval_when_perfect():
    up, down = (randomness.spearman(np.arange(10.0), sign * np.arange(10.0)) for sign in (1, -1))
    assert up.value == up.high == 1.0 and 0.9 < up.low < 1.0
    assert down.value == down.low == -1.0 and down.high == -up.low


def test_spearman_drops_pairs_and_admits_too_few():
    assert randomness.spearman([1, 2, 3, 4, 5, math.nan], [1, 3, 2, 4, 5, 6]).n == 5
    assert "4 pairs" in str(randomness.spearman([1, 2, 3, 4], [1, 2, 3, 4]))
    with pytest.raises(ValueError, match="equally long"):
        randomness.spearman([1.0], [1.0, 2.0])


def test_spearman_covers_as_often_as_it_says():
    rng = np.random.default_rng(4)
    rho = 0.6
    truth, hits = 6 / math.pi * math.asin(rho / 2), 0
    for _ in range(400):
        x = rng.normal(size=50)
        estimate = randomness.spearman(x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=50))
        hits += estimate.low <= truth <= estimate.high
    assert 0.92 <= hits / 400 <= 0.985
