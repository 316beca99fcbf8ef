"""Which records count, and from where."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from rasura.core.types import Ragged
from rasura.metrics.forget_extraction import ForgetExtraction
from rasura.stats.intervals import clopper_pearson


def ranks(rows):
    rank = Ragged.of(rows, np.int32)
    return SimpleNamespace(rank=rank, tokens=rank.lengths, cut=rank.lengths)


def test_unscorable_records_are_in_neither_count():
    """Of 4 records one has no token; one of the other three comes out."""
    found = ForgetExtraction().estimate(ranks([[0, 0], [], [1, 1], [0, 1]]))
    assert found.value == pytest.approx(1 / 3) and found.n == 3
    assert (found.low, found.high) == clopper_pearson(1, 3)


def test_cuts_are_settings():
    """Of ranks 2, 0, 0 the part after one token comes out; the whole, where the secret begins at once, does not."""
    data = ranks([[2, 0, 0]])
    assert ForgetExtraction(prefix_tokens=1).estimate(data).value == 1.0
    data.cut = np.array([0])
    assert ForgetExtraction().estimate(data).value == 0.0
