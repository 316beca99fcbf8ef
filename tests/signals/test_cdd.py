"""CDD: what it counts, and the slips of public code it does not have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.observations._engine import Engine
from rasura.signals.cdd import Cdd, peak


def slow_distance(a: list[int], b: list[int]) -> int:
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return slow_distance(a[1:], b[1:])
    return 1 + min(slow_distance(a[1:], b), slow_distance(a, b[1:]), slow_distance(a[1:], b[1:]))


@given(
    st.lists(st.integers(0, 2), max_size=5), st.lists(st.lists(st.integers(0, 2), max_size=5), min_size=1, max_size=4)
)
def test_the_peak_is_the_definition(greedy, samples):
    longest = max(map(len, [greedy, *samples]))
    expected = np.mean([slow_distance(greedy, s) <= 0.3 * longest for s in samples])
    assert peak(greedy, samples, 0.3, 100) == pytest.approx(expected)


def test_slip_the_longest_output_sets_the_scale():
    """One public tool scales by the shortest sample: a single empty sample would forbid every edit."""
    greedy = list(range(20))
    one_edit = [*range(19), 99]
    assert peak(greedy, [one_edit, []], 0.05, 100) == 0.5


def test_slip_a_share_and_not_a_count():
    """As a count, 1 of 100 samples would exceed xi = .01 a hundredfold; as a share it does not exceed it."""
    greedy = list(range(20))
    share = peak(greedy, [greedy, *[[50 + i] for i in range(99)]], 0.05, 100)
    assert share == 0.01 and Cdd().contaminated(np.array([share])).tolist() == [0.0]


def test_slip_what_is_missing_in_front_counts_as_edits():
    """A distance table that begins with zeros forgives missing beginnings."""
    greedy = list(range(20))
    assert peak(greedy, [greedy[10:]], 0.05, 100) == 0.0


def test_only_the_first_tokens_count():
    assert peak([1] * 5 + [2] * 50, [[1] * 5 + [3] * 50], 0.0, 5) == 1.0


def test_xi_and_what_could_not_be_scored():
    found = Cdd(xi=0.2).contaminated(np.array([0.2, 0.21, np.nan]))
    assert found[:2].tolist() == [0.0, 1.0] and np.isnan(found[2])


@pytest.mark.parametrize("bad", [{"alpha": 1.0}, {"samples": 0}, {"temperature": 0.0}, {"tokens": 0}])
def test_settings_that_make_no_sense(bad):
    with pytest.raises(BadInput, match="^cdd: [^\n]*$"):
        Cdd(**bad)


def test_greedy_and_samples_come_from_one_prompt(planted):
    signal, engine = Cdd(samples=3, tokens=6), Engine()
    data = {n: engine.observe(a, planted.models, planted.members.take([0, 1])) for n, a in signal.needs().items()}
    assert (data["greedy"].cut == data["sampled"].cut).all()
    assert data["sampled"].lengths.shape == (2, 3) and (data["sampled"].lengths <= 6).all()
    assert signal.score(
        **{n: engine.observe(a, planted.models, Samples()) for n, a in signal.needs().items()}
    ).shape == (0,)
