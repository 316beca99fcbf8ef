"""Extraction strength: 0 where nothing comes out, 1 where all does, and the last token counts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.types import Ragged
from rasura.metrics.extraction_strength import ExtractionStrength, strength


def obvious(rank: list[int]) -> float:
    """Try every start."""
    starts = [k for k in range(len(rank)) if all(r == 0 for r in rank[k:])]
    return 1 - (starts[0] if starts else len(rank)) / len(rank)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_agrees_with_trying_every_start(rank):
    assert strength(np.array(rank)) == pytest.approx(obvious(rank), abs=1e-12)


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        ([1, 1, 1, 1, 1], 0.0),  # nothing right: 0, not 1/L
        ([0, 0, 0, 0, 1], 0.0),  # the last token is wrong
        ([1, 1, 1, 1, 0], 0.2),  # only the last is right
        ([0, 0, 0, 0, 0], 1.0),
        ([5], 0.0),
        ([0], 1.0),
    ],
)
def test_ends_of_the_scale(rank, expected):
    assert strength(np.array(rank)) == expected


def test_a_record_without_tokens_has_no_strength_and_takes_no_part():
    assert np.isnan(strength(np.zeros(0, dtype=int)))
    found = ExtractionStrength().estimate(SimpleNamespace(rank=Ragged.of([[], [0, 0], [1, 1]], np.int32)))
    assert found.value == 0.5 and found.n == 2


def test_the_mean_can_be_zero():
    found = ExtractionStrength().estimate(SimpleNamespace(rank=Ragged.of([[3, 1]] * 5, np.int32)))
    assert found.value == 0.0 and found.low == 0.0 < found.high
