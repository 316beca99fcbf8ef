"""Targeted extraction: confidence in log space, disjoint known records, nothing about them in settings."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance._marked import marked
from rasura._cards import used
from rasura.core.errors import BadInput
from rasura.core.types import Ragged, Samples, plain
from rasura.extraction.ethicist import Ethicist, log_confidence
from rasura.observations._engine import Engine
from rasura.observations.soft_prompt_generations import SoftPromptGenerationData

SMALL = {"vectors": 4, "samples": 4, "epochs": 1, "batch": 4, "warmup": 0}


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(-20, 0)), min_size=1, max_size=8))
def test_confidence_is_the_formula_where_that_can_be_computed(rows):
    counts, log_p = (np.array(c) for c in zip(*rows, strict=True))
    weight = counts * np.exp(log_p)
    assert np.exp(log_confidence(counts, log_p)) == pytest.approx(weight / weight.sum(), rel=1e-9)


def test_confidence_does_not_underflow():
    """50 tokens at 20 nats each: exp(-1000) is 0 in floating point, and 0/0 is no confidence."""
    assert np.exp(-1000.0) == 0.0
    found = np.exp(log_confidence(np.array([1, 1]), np.array([-1000.0, -1000.0 - np.log(3)])))
    assert found == pytest.approx([0.75, 0.25])


def data(draws, log_p, true) -> SoftPromptGenerationData:
    rows = Ragged.of([np.concatenate(draws)], np.int64), Ragged.of([np.concatenate(log_p)], np.float32)
    lengths = np.array([[len(d) for d in draws]])
    reason = np.array([""], dtype=object)
    return SoftPromptGenerationData(
        rows[0], lengths, rows[1], Ragged.of([true], np.int64), Ragged.of([[-1.0] * len(true)]), reason
    )


def test_often_drawn_beats_likeliest_once():
    """7 8 three times at log-probability -2, 5 6 once at -1.5: 3 e^-2 = .406 against e^-1.5 = .223."""
    found = Ethicist(samples=4).extract(
        data([[7, 8], [5, 6], [7, 8], [7, 8, 9]], [[-1, -1], [-1, -0.5], [-1, -1], [-1, -1, -9]], [7, 8])
    )
    measures = {c.name: c.values[0, 0] for c in found.curves}
    assert found.success.tolist() == [1.0] and measures["word for word, draw of lowest loss"] == 0.0
    assert measures["confidence"] == pytest.approx(0.406 / (0.406 + 0.2231), abs=1e-3)
    assert found.rankings[0].confidence[0] == pytest.approx(np.log(measures["confidence"]))


def test_exactly_the_suffix_is_scored():
    """The challenge's scorer leaves out the last suffix token: here it decides, and the first one does too."""
    for last in ([-1.0, -3.0], [-3.0, -1.0]):
        found = Ethicist(samples=2).extract(data([[7, 8], [5, 6]], [last, [-1.5, -1.5]], [5, 6]))
        assert found.success.tolist() == [1.0]


def test_it_needs_known_records():
    with pytest.raises(BadInput, match="known-members"):
        Ethicist().needs()


def test_a_known_record_is_not_attacked(planted):
    known = marked(planted.members.take(range(8, 16)))
    ask = Ethicist(**SMALL).tuned_on(known).needs()["said"]
    with pytest.raises(BadInput, match="among the known records"):
        Engine().observe(ask, planted.models, Samples([*marked(planted.forget.take([0])), known[3]]))


def test_settings_hold_a_hash_and_never_a_text(planted):
    known = marked(planted.members.take(range(8, 16)))
    method = Ethicist(**SMALL).tuned_on(known)
    shown = json.dumps(plain(method)) + repr(method) + json.dumps(plain(used("extraction", method)))
    assert known.digest in shown and known[0].text not in shown and known[0].text[:12] not in shown
    assert method == Ethicist(**SMALL).tuned_on(known) != Ethicist(**SMALL).tuned_on(known.take(range(4)))


def test_too_few_known_records_are_refused(planted):
    ask = Ethicist(**SMALL).tuned_on(marked(planted.members.take([9]))).needs()["said"]
    with pytest.raises(BadInput, match="at least 4"):
        Engine().observe(ask, planted.models, marked(planted.forget.take([0])))
