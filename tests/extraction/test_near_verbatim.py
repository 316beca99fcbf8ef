"""Edit similarity between what is said and what is written."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.extraction._similarity import edit_similarity as similarity
from rasura.extraction.near_verbatim import NearVerbatim
from rasura.observations._engine import Engine
from rasura.observations._suffix import suffix, verbatim

tokens = st.lists(st.integers(0, 3), max_size=7)


def edits(a: tuple, b: tuple) -> int:
    """The textbook recursion."""

    @cache
    def least(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(least(i - 1, j) + 1, least(i, j - 1) + 1, least(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return least(len(a), len(b))


@given(tokens, tokens.filter(bool))
def test_similarity_is_one_minus_edits_over_the_longer(said, true):
    expected = 1 - edits(tuple(said), tuple(true)) / max(len(said), len(true))
    assert similarity(said, true) == pytest.approx(expected, abs=1e-12)


def observe(planted, samples, extractor):
    asks, models = extractor.needs(), {"target": planted.models["target"]}
    return extractor, {key: Engine().observe(ask, models, samples) for key, ask in asks.items()}


def test_at_threshold_one_it_is_verbatim_extraction(planted):
    samples = Samples([*planted.members.take(range(12)), *planted.nonmembers.take(range(6))])
    extractor, observed = observe(planted, samples, NearVerbatim(threshold=1.0))
    found, tokens = extractor.extract(**observed), observed["tokens"]
    teacher_forced = suffix(tokens, tokens.rank)
    assert np.array_equal(found.success, verbatim(teacher_forced))
    assert np.array_equal(found.tokens, teacher_forced.lengths)
    assert 0 < found.success.mean() < 1


def test_it_finds_more_than_verbatim_and_never_less(planted):
    _, observed = observe(planted, planted.members, NearVerbatim())
    shares = [NearVerbatim(threshold=t).extract(**observed).success.mean() for t in (1.0, 0.9, 0.5)]
    assert shares == sorted(shares) and shares[2] > shares[0]


@pytest.mark.parametrize("threshold", [0.0, 1.5, -1.0])
def test_a_threshold_that_cannot_be_met_or_missed_is_refused(threshold):
    with pytest.raises(BadInput, match="threshold"):
        NearVerbatim(threshold=threshold)
