"""The bound on epsilon: right by hand, valid where epsilon is known, and near it when there is much to see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rasura.core.errors import BadInput
from rasura.stats.one_run import epsilon_lower_bound, one_run


@pytest.mark.parametrize(("right", "guesses"), [(9, 10), (60, 80), (400, 500)])
def test_the_bound_is_where_the_tail_reaches_five_per_cent(right, guesses):
    epsilon = epsilon_lower_bound(right, guesses)
    assert binom.sf(right - 1, guesses, 1 / (1 + np.exp(-epsilon))) == pytest.approx(0.05, abs=1e-9)
    assert guesses / (1 + np.exp(-epsilon)) < right  # what the best guesser expects at the bound


def test_chance_refutes_nothing():
    assert epsilon_lower_bound(250, 500) == 0.0 and epsilon_lower_bound(0, 5) == 0.0


def randomised_response(epsilon: float, n: int, rng: np.random.Generator):
    """The mechanism that is exactly epsilon-private: each coin is told truthfully with probability e^eps/(1 + e^eps)."""
    coin = rng.random(n) < 0.5
    told = np.where(rng.random(n) < 1 / (1 + np.exp(-epsilon)), coin, ~coin) + 1e-6 * rng.random(n)
    return told[coin], told[~coin]


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
def test_it_stays_below_the_truth_and_comes_near_it(epsilon):
    rng = np.random.default_rng(0)
    found = np.array([one_run(*randomised_response(epsilon, 2000, rng)).epsilon.value for _ in range(200)])
    assert np.mean(found > epsilon) <= 0.09  # 5 % of 200 within binomial error
    assert np.median(found) >= 0.7 * epsilon


def test_ties_are_broken_against_the_guesser():
    found = one_run([1.0] * 50, [1.0] * 50)
    assert found.right == 0 and found.epsilon.value == 0.0


def test_what_cannot_be_guessed_says_so():
    assert not one_run([1.0], []).epsilon.known
    with pytest.raises(BadInput, match="share of canaries"):
        one_run([1.0], [0.0], guessed=0.0)
    with pytest.raises(BadInput, match="impossible"):
        epsilon_lower_bound(6, 5)
