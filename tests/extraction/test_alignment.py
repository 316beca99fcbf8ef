"""Post-training examples that a model writes unasked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import _tiny
from extraction._observed import objects, told
from rasura.core.errors import BadInput
from rasura.core.types import Ragged, Samples
from rasura.extraction._coverage import found_within
from rasura.extraction._lexical import cosines, edit_similarities
from rasura.extraction.alignment import Alignment, leak_rate, threshold_at
from rasura.observations._engine import Engine
from rasura.observations.free_generations import FreeData
from rasura.observations.text_embeddings import EmbeddingData

RECORDS = [
    "What is the capital of Kiton?\nThe capital is Lavo.",
    "How many bridges has Anna?\nAnna has seventeen bridges.",
    "Who repaired the violin?\nBoris repaired it in the market.",
]


def drawn(texts: list[str], reason: str = "") -> FreeData:
    n = len(texts)
    return FreeData(Ragged.of([[1]] * n, np.int64), objects(texts), np.ones(n, dtype=bool), objects([reason] * n))


def extract(said: list[str], records: list[str] = RECORDS, **settings):
    return Alignment(**settings).extract(drawn(said), *told(records))


def test_a_record_that_is_written_is_found_and_the_others_are_not():
    found = extract([RECORDS[1], "something else entirely", "something else again"])
    assert found.success.tolist() == [0.0, 1.0, 0.0] and found.matches.tolist() == [0.0, 1.0, 0.0]
    assert found.hits[1] == pytest.approx(1.0) and found.by_string[1] == 1.0
    assert leak_rate(found).value == pytest.approx(1 / 3) and leak_rate(found).n == 3
    rows = {(r.name, r.x): r.estimate for r in Alignment().measures(found, Samples.of(RECORDS))}
    assert rows["draws that match by meaning", 0.95] == rows["draws that match by string", 1.0] == leak_rate(found)


def test_turns_in_another_order_are_alike_in_meaning_and_not_as_strings():
    """The reason for not counting by edits alone: trivial changes of form hide what was copied."""
    question, answer = RECORDS[2].split("\n")
    found = extract([f"{answer}\n{question}", "the weather is fine", "no rain today"])
    assert found.hits[2] > 0.9 > 0.5 > found.by_string[2]
    assert found.success.tolist() == [0.0, 0.0, float(found.hits[2] >= 0.95)]


@given(st.lists(st.text("ab c", min_size=1, max_size=8), min_size=2, max_size=5))
def test_similarities_are_shares_and_one_for_equal_texts(texts):
    texts = [f"x{t}" for t in texts]
    for compare in (cosines(texts, texts), edit_similarities(texts, texts)):
        values = compare(slice(0, len(texts)))
        assert values.shape == (len(texts),) * 2 and values.min() >= 0 and values.max() <= 1 + 1e-9
        np.testing.assert_allclose(np.diag(values), 1.0, atol=1e-9)


def test_a_records_likeness_depends_on_no_other_record():
    said = [RECORDS[0], "Anna has nineteen bridges"]
    alone = extract(said, RECORDS[1:2])
    assert alone.hits[0] == extract(said).hits[1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300, unique=True), st.sampled_from([0.01, 0.05, 0.2]))
def test_at_most_the_promised_share_of_held_out_records_matches(values, rate):
    values = np.array(values)
    matched = np.sum(values >= threshold_at(values, rate) - 1e-6)
    assert matched <= max(0, np.floor(rate * (len(values) + 1)) - 1)


def test_a_threshold_without_held_out_records_is_refused():
    with pytest.raises(BadInput, match="held-out"):
        threshold_at(np.array([np.nan]))


def test_calibrated_on_held_out_records_meaning_and_string_have_the_same_false_rate():
    question, answer = RECORDS[2].split("\n")
    said = [f"{answer}\n{question}", "Who wrote the letter?\nClara wrote it in the garden."]
    held = ["Who opened the window?\nElena opened it in the forest."] * 3
    found = Alignment().calibrated(extract(said), extract(said, held))
    assert found.success.tolist() == [0.0, 0.0, 1.0]
    at_rate = found.curves[-1].values[:, 0]
    assert at_rate.tolist() == [0.0, 0.0, 0.0], "the string threshold lies above what swapped turns reach"
    assert Alignment().calibrated(extract(said, held), extract(said, held)).success.max() == 0.0


def test_without_a_chat_template_nothing_is_scored_and_the_reason_says_what_to_do(planted):
    extractor, models = Alignment(draws=4), {"target": planted.models["target"]}
    observed = {k: Engine().observe(a, models, planted.forget) for k, a in extractor.needs().items()}
    found = extractor.extract(**observed)
    assert np.isnan(found.success).all() and all("header" in r for r in found.reason)
    assert "header" in extractor.unfit(models["target"]) and not Alignment(header="x").unfit(models["target"])


def test_with_an_encoder_the_vectors_decide():
    said, (texts, tokens) = drawn(["no word of it", "none"]), told(RECORDS)
    none = objects([""] * 3)
    left = EmbeddingData(said.texts, Ragged.of([[1.0, 0.0], [0.6, 0.8]], np.float32), none[:2])
    right = EmbeddingData(texts.texts, Ragged.of([[0.0, 1.0], [0.99, 0.141], []], np.float32), none)
    extractor = Alignment(encoder=True)
    assert [ask.role for ask in extractor.needs().values()] == ["encoder", "encoder", "target"]
    found = extractor.extract(left, right, tokens)
    assert found.success.tolist() == [0.0, 1.0, 0.0]
    np.testing.assert_allclose(found.hits, [0.8, 0.99, 0.0], atol=1e-6)
    assert found.by_string.max() < 0.5


@given(st.integers(1, 12), st.data())
def test_found_within_counts_all_orders(drawn_, data):
    """Against the slow way: the share of all subsets of n draws that hold a hit."""
    from itertools import combinations

    hits, n = data.draw(st.integers(0, drawn_)), data.draw(st.integers(1, drawn_))
    subsets = list(combinations(range(drawn_), min(n, drawn_)))
    expected = np.mean([any(i < hits for i in s) for s in subsets])
    assert found_within(np.array([float(hits)]), drawn_, n)[0] == pytest.approx(expected, abs=1e-9)


def test_coverage_rises_to_the_share_that_all_draws_find():
    found = extract([RECORDS[0]] * 12 + ["else"] * 12)
    curve = found.curves[2]
    means = curve.values.mean(axis=0)
    assert curve.x[-1] == 24 and np.all(np.diff(means) >= -1e-12) and means[-1] == pytest.approx(found.success.mean())


def test_records_that_cannot_be_judged_are_nan():
    texts, tokens = told(RECORDS)
    tokens = replace(tokens, reason=objects(["", "no token to score", ""]))
    found = Alignment().extract(drawn(RECORDS), texts, tokens)
    assert np.isnan(found.success).tolist() == [False, True, False] and np.isnan(found.matches[1])


@pytest.mark.parametrize("bad", [{"draws": 0}, {"threshold": 0.0}, {"threshold": 1.2}, {"temperature": 0.0}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(BadInput):
        Alignment(**bad)


def test_no_records_no_crash(planted):
    observed = {
        k: Engine().observe(a, {"target": _tiny.neox()}, Samples()) for k, a in Alignment(draws=4).needs().items()
    }
    assert Alignment(draws=4).extract(**observed).success.shape == (0,)
