"""Adjusted p values against hand numbers and the slow definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.stats import multiplicity

unhurried = settings(deadline=None, derandomize=True, max_examples=60)  # a busy machine is no failure

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def slow_holm(p):
    """Closed testing: hypothesis i falls when Bonferroni rejects every set of hypotheses that holds i."""
    sets = [s for k in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), k)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(len(p))]


def slow_benjamini_hochberg(p):
    """The smallest rate at which the step-up procedure rejects hypothesis i."""
    m, ordered = len(p), sorted(p)
    rates = sorted({min(1.0, m * value / (rank + 1)) for rank, value in enumerate(ordered)} | {1.0})

    def rejected(i, q):
        passing = [rank for rank in range(m) if m * ordered[rank] / (rank + 1) <= q]
        return bool(passing) and p[i] <= ordered[max(passing)]

    return [min(q for q in rates if rejected(i, q)) for i in range(m)]


@unhurried
@given(p_lists)
def test_holm_is_closed_testing(p):
    assert multiplicity.holm(p) == pytest.approx(slow_holm(p))


@unhurried
@given(p_lists)
def test_benjamini_hochberg_is_step_up(p):
    assert multiplicity.benjamini_hochberg(p) == pytest.approx(slow_benjamini_hochberg(p))


def test_hand_numbers():
    p = [0.01, 0.04, 0.03, 0.005]
    assert multiplicity.holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert multiplicity.benjamini_hochberg(p) == pytest.approx([0.02, 0.04, 0.04, 0.02])


@pytest.mark.parametrize("adjust", [multiplicity.holm, multiplicity.benjamini_hochberg])
def test_nan_stays_and_does_not_count(adjust):
    adjusted = adjust([0.01, np.nan, 0.04])
    assert np.isnan(adjusted[1])
    assert adjusted[[0, 2]] == pytest.approx(adjust([0.01, 0.04]))
    assert np.all(np.isnan(adjust([np.nan, np.nan]))) and len(adjust([])) == 0


@pytest.mark.parametrize("adjust", [multiplicity.holm, multiplicity.benjamini_hochberg])
def test_nonsense_is_refused(adjust):
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjust([0.5, 1.5])
    with pytest.raises(ValueError, match="1-D"):
        adjust([[0.5]])
