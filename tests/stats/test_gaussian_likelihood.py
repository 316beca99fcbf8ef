"""Normals fitted to a few draws: numbers by hand, and what happens with too few."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from rasura.stats.gaussian_likelihood import Normals, normals


def test_log_density_is_that_of_the_normal():
    values, mean, deviation = np.array([0.3, -2.0]), np.array([0.0, 1.0]), np.array([1.0, 2.5])
    found = Normals(mean, deviation).log_density(values)
    np.testing.assert_allclose(found, norm.logpdf(values, mean, deviation), rtol=1e-12)


def test_only_chosen_draws_count_and_nan_is_no_draw():
    draws = np.array([[0.0, 2.0, 99.0, np.nan], [1.0, 5.0, 99.0, 3.0]])
    chosen = np.array([[True, True, False, True], [True, True, False, True]])
    found = normals(draws, chosen, pooled=False)
    assert found.mean.tolist() == [1.0, 3.0]
    np.testing.assert_allclose(found.deviation, [np.sqrt(2), 2.0])
    pooled = normals(draws, chosen, pooled=True)
    np.testing.assert_allclose(pooled.deviation, np.sqrt(10 / 3))  # squares 2 and 8, freedoms 1 and 2


def test_too_few_draws_give_nan_not_zero():
    draws, chosen = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[False, False], [True, True]])
    pooled, own = (normals(draws, chosen, pooled=p) for p in (True, False))
    assert np.isnan(pooled.mean[0]) and np.isnan(pooled.deviation[0]) and np.isfinite(pooled.deviation[1])
    one = normals(draws, np.array([[True, False], [True, True]]), pooled=False)
    assert np.isnan(one.deviation[0]) and np.isnan(own.deviation[0])
    assert normals(np.ones((1, 3)), np.ones((1, 3), dtype=bool), pooled=False).deviation.tolist() == [1e-6]
