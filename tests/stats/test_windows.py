"""Critical windows: the closed form against exact re-draws, and curves read as a person would."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from rasura.core.errors import BadInput
from rasura.stats import windows


def test_the_window_is_where_the_two_total_variations_are_what_it_says():
    """At T_lower the farthest inside pair is at total variation e; at T_upper the nearest outside one at 1 - e^2."""
    low, high = windows.window(2.0, 300.0, 0.2)
    assert 2 * norm.cdf(math.exp(-low) * 2.0 / 2) - 1 == pytest.approx(0.2)
    assert 2 * norm.cdf(math.exp(-high) * 300.0 / 2) - 1 == pytest.approx(1 - 0.04)


def test_redraws_stay_inside_within_the_window_and_not_outside():
    means, rng = windows.nested_mixture(np.random.default_rng(3)), np.random.default_rng(4)
    apart = np.linalg.norm(means[:, None] - means[None], axis=-1)
    for level in (1, 2):
        end = np.arange(2**level)
        low, high = windows.window(apart[0, end].max(), apart[0, 2**level :].min(), 0.1)
        goal = np.isin(np.arange(8), end) / len(end)
        assert low < high
        for time in (low, high):
            assert windows.total_variation(windows.redraw_components(means, [0], time, 3000, rng), goal) < 0.05
        for time in (0.0, high + 2):
            assert windows.total_variation(windows.redraw_components(means, [0], time, 3000, rng), goal) > 0.09


def test_nothing_is_forgotten_at_once_and_everything_after_long():
    means, rng = windows.nested_mixture(np.random.default_rng(0), spread=(8.0, 80.0)), np.random.default_rng(1)
    assert windows.redraw_components(means, [2], 0.0, 200, rng)[2] > 0.99
    assert np.allclose(windows.redraw_components(means, [2], 12.0, 4000, rng), 0.25, atol=0.02)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.floats(0.01, 1))
def test_a_crossing_lies_between_the_points_around_it(share, level):
    times = [1000 - 100 * i for i in range(len(share))]
    found = windows.crossing(times, share, level)
    above = [i for i, s in enumerate(share) if s >= level]
    if not above:
        assert math.isnan(found)
    else:
        first = above[0]
        assert times[first] <= found <= times[max(0, first - 1)]


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 0.1), (1.0, -1.0, 0.1), (1.0, 2.0, 1.0)])
def test_what_cannot_be_a_window_is_one_line(wrong):
    with pytest.raises(BadInput, match="a window needs e in"):
        windows.window(*wrong)
