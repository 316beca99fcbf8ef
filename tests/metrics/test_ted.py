"""TED: what is left of a score without repetition and recitation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.metrics._ted import corrected_accuracy, kept

tokens = st.lists(st.integers(0, 3), max_size=6)


def slow_distance(a: list[int], b: list[int]) -> int:
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return slow_distance(a[1:], b[1:])
    return 1 + min(slow_distance(a[1:], b), slow_distance(a, b[1:]), slow_distance(a[1:], b[1:]))


@given(tokens, st.lists(tokens, max_size=5))
def test_ted_keeps_what_is_new_and_far(greedy, samples):
    found = kept(greedy, samples, tau=2)
    for i, (sample, left) in enumerate(zip(samples, found, strict=True)):
        near = slow_distance(sample[: len(greedy)], greedy) <= 2
        assert left == (sample not in samples[:i] and not near)


def test_ted_an_item_with_nothing_left_counts_as_failed():
    """As in the authors' code, which scales pass@1 by items left over items."""
    recited, solved = [[1, 2, 3]] * 3, [[7, 7, 7, 7], [8, 8, 8, 8]]
    found = corrected_accuracy([[1, 2, 3], [1, 2, 3, 4]], [recited, solved], [[True] * 3, [True, False]])
    assert found.raw.value == 0.75 and found.corrected.value == 0.25 and found.kept.tolist() == [0, 2]


def test_ted_refuses_lists_that_do_not_go_together():
    with pytest.raises(BadInput, match="right or wrong"):
        corrected_accuracy([[1]], [[[1], [2]]], [[True]])
