"""Texts as token ids in one batch: padding and scored positions against one text after another."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rasura.models._encoding import Encoded, padded, positions

TEXT = st.lists(st.integers(0, 9), min_size=1, max_size=9).flatmap(
    lambda ids: st.integers(1, 10).map(lambda first: Encoded(np.array(ids), first, len(ids), ""))
)


@given(st.lists(TEXT, min_size=1, max_size=6))
def test_a_batch_is_its_texts_padded_on_the_right(encoded: list[Encoded]):
    ids, mask = padded(encoded)
    assert ids.shape == mask.shape == (len(encoded), max(len(e.ids) for e in encoded))
    for row, shown, e in zip(ids, mask, encoded, strict=True):
        assert row.tolist() == e.ids.tolist() + [0] * (len(row) - len(e.ids))
        assert shown.tolist() == [1] * len(e.ids) + [0] * (len(row) - len(e.ids))


@given(st.lists(TEXT, max_size=6))
def test_every_scored_token_is_predicted_from_the_place_before_it(encoded: list[Encoded]):
    expected = [(i, t - 1, int(e.ids[t])) for i, e in enumerate(encoded) for t in range(e.first, len(e.ids))]
    found = positions(encoded)
    assert [part.dtype for part in found] == [np.int64] * 3
    assert list(zip(*(part.tolist() for part in found), strict=True)) == expected
