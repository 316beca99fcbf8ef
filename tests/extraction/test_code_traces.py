"""Code that comes out, by kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.types import Ragged, Sample, Samples
from rasura.extraction.code_traces import CodeTraces, by_kind, kind_of, smoothed_bleu
from rasura.observations._engine import Engine
from rasura.observations.generations import GenerationData
from rasura.observations.token_statistics import TokenData

texts = st.text(alphabet="abc ", min_size=4, max_size=12)


@given(texts, texts)
def test_smoothed_bleu_is_the_authors_on_characters(said, true):
    """Their script: nltk's sentence_bleu on two strings, equal weights, smoothing method 4."""
    bleu_score = pytest.importorskip("nltk.translate.bleu_score")
    theirs = bleu_score.sentence_bleu([true], said, smoothing_function=bleu_score.SmoothingFunction().method4)
    assert smoothed_bleu(said, true) == pytest.approx(theirs, abs=1e-12)


@given(st.text(max_size=8), st.text(min_size=1, max_size=8))
def test_smoothed_bleu_is_a_share_and_one_for_equal_texts(said, true):
    assert 0.0 <= smoothed_bleu(said, true) <= 1.0 + 1e-12
    assert smoothed_bleu(true, true) == pytest.approx(1.0)


def data(said: list[str], true: list[str], ids=None, true_ids=None) -> tuple[GenerationData, TokenData]:
    n = len(said)
    ids = ids or [list(map(ord, s)) for s in said]
    true_ids = true_ids or [list(map(ord, t)) for t in true]
    reason = np.array([""] * n, dtype=object)
    zeros = np.zeros(n, dtype=np.int64)
    generations = GenerationData(
        Ragged.of(ids, np.int64),
        np.array([[len(i)] for i in ids]),
        np.zeros((n, 1), dtype=bool),
        np.array(said, dtype=object).reshape(n, 1),
        Ragged.of(true_ids, np.int64),
        np.array(true, dtype=object),
        zeros,
        reason,
    )
    rows = Ragged.of([[-1.0] * (2 * len(i)) for i in true_ids])
    ranks = Ragged.of([[0] * (2 * len(i)) for i in true_ids], np.int32)
    return generations, TokenData(rows, rows, rows, ranks, rows.lengths, zeros, zeros, reason)


def test_an_exact_match_is_of_the_text_and_not_of_its_pieces():
    """BLEU = 1 would call the first pair equal; another way of cutting equal text into tokens is no difference."""
    said, true = ["abc1abc2abc", "ab"], ["abc2abc1abc", "ab"]
    found = CodeTraces().extract(*data(said, true, ids=[list(map(ord, said[0])), [900]]))
    assert found.curves[0].values[:, 0].tolist() == [1.0, 1.0]
    assert found.success.tolist() == [0.0, 1.0] and found.hits[1] < 1.0


def test_what_is_said_after_the_end_of_the_record_does_not_count():
    found = CodeTraces().extract(*data(["right and more", "rights"], ["right", "rigid"]))
    assert found.success.tolist() == [1.0, 0.0]
    assert found.hits[0] == 1.0


def test_a_record_longer_than_the_suffix_is_compared_up_to_it():
    found = CodeTraces(suffix_tokens=5).extract(*data(["right", "wrong"], ["right and more", "right and more"]))
    assert found.success.tolist() == [1.0, 0.0] and found.tokens.tolist() == [5, 5]


def test_it_agrees_with_greedy_decoding_word_for_word(planted):
    extractor = CodeTraces()
    samples = Samples([*planted.members.take(range(12)), *planted.nonmembers.take(range(6))])
    engine, models = Engine(), {"target": planted.models["target"]}
    observed = {key: engine.observe(ask, models, samples) for key, ask in extractor.needs().items()}
    found = extractor.extract(**observed)
    word_for_word = [
        float(np.array_equal(said[: len(true)], true))
        for said, true in zip(observed["generations"].ids, observed["generations"].true_ids, strict=True)
    ]
    assert found.success.tolist() == word_for_word and 0 < found.success.mean() < 1
    assert found.log_probability.shape == found.hits.shape == (18,)


def test_by_kind_keeps_kinds_and_doses_apart():
    samples = Samples(
        [
            Sample("a", "x = 1", family="data", repeats=4),
            Sample("b", "x = 1", family="data", repeats=64),
            Sample("c", "def f(x):\n    return x", repeats=4),
            Sample("d", 'token = "q8Zr71xWv0"', family="passage"),
        ]
    )
    assert [kind_of(s) for s in samples] == ["data", "data", "code", "secret"]
    found = CodeTraces().extract(*data(["ab", "cdef", "ef", "gh"], ["ab", "cdxx", "ef", "xx"]))
    rows = by_kind(found, samples)
    assert [(r.kind, r.repeats, r.exact.value, r.exact.n) for r in rows] == [
        ("secret", None, 0.0, 1),
        ("data", 4, 1.0, 1),
        ("data", 64, 0.0, 1),
        ("code", 4, 1.0, 1),
    ]
    assert 0 < rows[2].characters.value < 1 and rows[2].tokens.value == 0.0
    assert [(m.name, m.axis, m.x, m.estimate.value) for m in CodeTraces().measures(found, samples)] == [
        ("secret, exact", "", 0.0, 0.0),
        ("data, exact", "copies", 4.0, 1.0),
        ("data, exact", "copies", 64.0, 0.0),
        ("code, exact", "copies", 4.0, 1.0),
    ]


def test_a_record_that_was_not_continued_is_left_out(planted):
    generations, tokens = data(["ab", "cd"], ["ab", "cd"])
    blank = replace(generations, true_text=np.array(["ab", ""], dtype=object), reason=np.array(["", "out of memory"]))
    blank = replace(blank, true_ids=Ragged.of([[1, 2], []], np.int64))
    found = CodeTraces().extract(blank, tokens)
    assert np.isnan(found.success).tolist() == [False, True] and found.reason[1] == "out of memory"
    rows = by_kind(found, Samples([Sample("a", "x", family="data"), Sample("b", "x", family="code")]))
    assert [r.kind for r in rows] == ["data"]
