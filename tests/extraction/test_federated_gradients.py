"""Texts out of federated gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.extraction.federated_gradients import FederatedGradients, overlap, rouge_l
from rasura.observations._engine import Engine

ids = st.lists(st.integers(0, 4), max_size=8)


def subsequence(a: list[int], b: list[int]) -> int:
    """The textbook table."""
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


@given(ids, ids.filter(bool))
def test_rouge_l_is_that_of_the_textbook(said, true):
    assert rouge_l(said, true) == pytest.approx(2 * subsequence(said, true) / (len(said) + len(true)))


@given(ids, ids.filter(bool))
def test_rouge_l_is_that_of_the_rouge_score_package(said, true):
    rouge = pytest.importorskip("rouge_score.rouge_scorer")
    words = [" ".join(f"w{i}" for i in row) for row in (true, said)]
    theirs = rouge.RougeScorer(["rougeL"]).score(*words)["rougeL"].fmeasure
    assert rouge_l(said, true) == pytest.approx(theirs)


def test_overlap_of_nothing():
    assert overlap([], [1]) == (0.0, 0.0, 0.0)
    assert overlap([1, 1, 2], [2, 1]) == (1.0, 1.0, 1.0)


def found_with(model, samples, **settings):
    extractor = FederatedGradients(beams=1, **settings)
    observed = {k: Engine().observe(a, {"target": model}, samples) for k, a in extractor.needs().items()}
    return extractor.extract(**observed)


def test_below_the_rank_the_token_set_is_read_and_beyond_it_decays():
    """F1 at least .9 while tokens fit the rank, also on texts the model never saw; decay beyond."""
    model, samples = _tiny.neox(4), Samples.of(_tiny.texts(3, seed=12))
    f1 = {}
    for rank in (4, 16, 64):
        found = found_with(model, samples, rank=rank)
        f1[rank] = np.mean(found.curves[2].values)
        assert [c.name for c in found.curves] == ["token precision", "token recall", "token F1", "ROUGE-L"]
        assert ("3 of 3" in found.note) == (rank < 64)
    assert f1[64] >= 0.9 and f1[64] > f1[16] + 0.05 > f1[4] + 0.1


def test_batches_beyond_the_width_of_the_layer_are_lost():
    model, samples = _tiny.neox(4, hidden=32), Samples.of(_tiny.texts(4, seed=13))
    one, four = (np.mean(found_with(model, samples, rank=64, batch_size=b).curves[2].values) for b in (1, 4))
    assert one >= 0.9 and four < 0.6


def test_settings_that_make_no_sense_are_refused():
    for bad in ({"rank": 0}, {"batch_size": 0}, {"false_accepts": -0.1}, {"beams": 0}):
        with pytest.raises(BadInput):
            FederatedGradients(**bad)
