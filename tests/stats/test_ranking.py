"""Ranked guesses: average precision and recall at a number of errors, by hand, against scikit-learn, and their slips."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from rasura.core.errors import BadInput
from rasura.stats.ranking import (
    average_precision,
    average_precision_estimate,
    recall_at_errors,
    recall_at_errors_estimate,
)

GUESSES = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=30)


@given(GUESSES)
def test_average_precision_is_scikit_learns(guesses):
    right, sure = (np.array(column, dtype=float) for column in zip(*guesses, strict=True))
    found = average_precision(right, sure)
    if right.any():
        assert found == pytest.approx(average_precision_score(right, sure), abs=1e-12)
    else:
        assert math.isnan(found)


@given(GUESSES, st.integers(1, 5))
def test_recall_at_errors_walks_down_the_list(guesses, errors):
    """The obvious walk, wrong guesses first among equals, stopping at the wrong guess number ``errors``."""
    wrong = found = 0
    for right, _ in sorted(guesses, key=lambda g: (-g[1], g[0])):
        wrong += not right
        if wrong == errors:
            break
        found += right
    right, sure = zip(*guesses, strict=True)
    assert recall_at_errors(np.array(right, dtype=float), sure, errors) == pytest.approx(found / len(guesses))


def test_recall_counts_all_records_and_is_not_precision_among_the_guesses_so_far():
    """Two right, then 100 wrong, then one right: recall 2/103. Public code prints 2/2, the precision so far."""
    right = np.array([1.0] * 2 + [0.0] * 100 + [1.0])
    sure = -np.arange(103.0)
    assert recall_at_errors(right, sure) == pytest.approx(2 / 103)
    assert recall_at_errors(right, sure, errors=101) == pytest.approx(3 / 103)  # one more error lets the last one in


def test_fewer_errors_than_asked_for_count_every_right_guess():
    assert recall_at_errors([1, 0, 1, 0], [4, 3, 2, 1]) == 0.5


def test_equal_confidence_flatters_nobody():
    """All tied: whatever the order of the input, errors come first."""
    assert recall_at_errors([1, 1, 0], [0, 0, 0], errors=1) == 0.0
    assert average_precision([1, 0], [0, 0]) == average_precision([0, 1], [0, 0]) == 0.5


def test_unjudged_guesses_are_left_out_and_unsure_ones_come_last():
    assert average_precision([1, np.nan, 0], [np.nan, 5, -np.inf]) == 0.5  # tied at the very end
    assert recall_at_errors([1, np.nan, 0], [2, 1, np.nan], errors=1) == 0.5
    assert math.isnan(recall_at_errors([np.nan], [1]))


def test_estimates_carry_intervals_and_say_when_nothing_is_right():
    found = recall_at_errors_estimate([1, 1, 0, 0], [4, 3, 2, 1])
    assert (found.value, found.n) == (0.5, 4) and found.low < 0.5 < found.high
    precise = average_precision_estimate([1, 0, 1, 0, 1], [np.inf, 3, 2, 1, 0])
    assert precise.low <= precise.value <= precise.high and precise.n == 5
    assert not average_precision_estimate([0, 0], [1, 2]).known
    assert not recall_at_errors_estimate([], []).known


def test_bad_questions_are_refused():
    with pytest.raises(BadInput, match="at least 1"):
        recall_at_errors([1], [1], errors=0)
    with pytest.raises(BadInput, match="confidences"):
        average_precision([1, 0], [1])
