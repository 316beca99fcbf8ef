"""Measures of partial credit over token ids, against obvious implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.extraction._guesses import distinct
from rasura.extraction._similarity import bleu, edit_similarity, hamming_accuracy, matching_prefix, right_before_error

TOKENS = st.lists(st.integers(0, 3), max_size=9)
MEASURES = (bleu, edit_similarity, hamming_accuracy)


@given(TOKENS, TOKENS.filter(len))
def test_shares_lie_between_nothing_and_all(said, true):
    for measure in MEASURES:
        assert 0.0 <= measure(said, true) <= 1.0
        assert measure(true, true) == pytest.approx(1.0)
        assert math.isnan(measure(said, []))
    assert matching_prefix(true, true) == len(true)


@given(TOKENS, TOKENS.filter(len))
def test_hamming_and_prefix_by_walking(said, true):
    same = [i < len(said) and said[i] == t for i, t in enumerate(true)]
    assert hamming_accuracy(said, true) == pytest.approx(sum(same) / len(true))
    assert matching_prefix(said, true) == next((i for i, s in enumerate(same) if not s), len(true))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_tokens_before_the_first_error_from_ranks(ranks):
    said = [0 if r == 0 else 9 for r in ranks]
    assert right_before_error(np.array(ranks)) == matching_prefix(said, [0] * len(ranks))


def test_bleu_clips_repeated_words():
    """ "the" seven times for a text with two: 2/7 of the single words, and no pair right."""
    assert bleu([1] * 7, [1, 2, 1, 3, 4, 5], order=1) == pytest.approx(2 / 7)
    assert bleu([1] * 7, [1, 2, 1, 3, 4, 5]) == 0.0


def test_bleu_punishes_what_is_too_short():
    """4 of 8 tokens, all right: exp(1 - 8/4)."""
    assert bleu([1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8]) == pytest.approx(math.exp(-1))


def test_guesses_that_differ_only_after_the_suffix_are_one():
    found = distinct([np.array([1, 2, 3]), np.array([1, 2, 4]), np.array([1])], 2)
    assert found.tokens == ((1, 2), (1,)) and found.counts.tolist() == [2, 1]
    assert found.right(np.array([1, 2])).tolist() == [True, False]
