"""Lexical marks: which words, which coin, which twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.provenance._math import sign_flip_p_value
from rasura.provenance._synonyms import synonym_table
from rasura.provenance.lexical_mark import LexicalMark, twin

TEXT = "Calm Anna said the calm river ran slowly. The famous bridge was old and very big, and the calm-eyed man left quickly."


def test_every_slot_is_one_of_the_two_rarest_words_and_the_twin_the_other():
    table = synonym_table()
    for seed in range(10):
        (text,), key = (m := LexicalMark().embed(Samples.of([TEXT]), seed=seed)).texts, m.key
        ((entry),) = key["texts"]
        other = twin(text, entry["slots"])
        for begin, end, kept in entry["slots"]:
            pair = table.pair(text[begin:end])
            assert {text[begin:end], kept} == set(pair), (text[begin:end], kept)
        assert text != other and len(text.split()) == len(other.split()) == len(TEXT.split())


def test_names_and_parts_of_words_stay():
    text = LexicalMark().embed(Samples.of([TEXT]), seed=0).texts[0]
    assert text.startswith("Calm Anna") and "calm-eyed" in text


def test_a_text_says_a_word_always_the_same_way():
    text = "The quiet man. The quiet dog. The quiet sea. The quiet sky."
    for seed in range(8):
        words = LexicalMark().embed(Samples.of([text]), seed=seed).texts[0].split()
        assert len({w for w in words if w not in text.split()}) <= 1
        assert len(set(words[1::3])) == 1


def test_the_coin_is_fair():
    texts = Samples.of(["The quiet man."] * 400)
    marked = LexicalMark().embed(texts, seed=3).texts
    values, counts = np.unique(marked, return_counts=True)
    assert len(values) == 2 and abs(counts[0] / 400 - 0.5) < 0.1


def test_at_most_five_words_a_sentence_the_rarest_first():
    text = "The old famous clever narrow ancient quiet gentle empty man watched slowly."
    slots = LexicalMark().embed(Samples.of([text]), seed=0).key["texts"][0]["slots"]
    assert len(slots) == 5
    table = synonym_table()
    chosen = {table.sets[text.split()[i]] for i in range(1, 9)}
    assert len(LexicalMark(per_sentence=2).embed(Samples.of([text]), seed=0).key["texts"][0]["slots"]) == 2 and chosen


def test_a_table_of_ones_own_and_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("# mine\nsea 50, brine 2, main 30\n")
    text = LexicalMark(synonyms=str(path)).embed(Samples.of(["The sea rose."]), seed=0).texts[0]
    assert text in ("The brine rose.", "The main rose.")
    for line in ("sea", "sea fifty, brine 2", "sea 0, brine 2", "Sea 5, brine 2"):
        path.with_name(f"bad{len(line)}{line[0]}.txt").write_text(line)
        with pytest.raises(BadInput, match="line 1"):
            synonym_table(str(path.with_name(f"bad{len(line)}{line[0]}.txt")))
    with pytest.raises(BadInput, match="cannot be read"):
        synonym_table(str(tmp_path / "none.txt"))


def test_texts_without_a_word_of_the_table():
    with pytest.raises(BadInput, match="no text has a word"):
        LexicalMark().embed(Samples.of(["Xyzzy plugh."]), seed=0)


def test_the_built_in_table_keeps_a_and_an():
    table = synonym_table()
    for word in table.sets:
        a, b = table.pair(word)
        assert (a[0] in "aeiou") == (b[0] in "aeiou") == (word[0] in "aeiou")
        assert table.surprisal(a) >= table.surprisal(b)
    assert sum(w in table for w in table.sets) > 200


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_sign_flips_are_the_definition(values):
    d = np.array(values)
    sums = [
        float(np.sum(np.where([(k >> i) & 1 for i in range(len(d))], 1, -1) * np.abs(d))) for k in range(1 << len(d))
    ]
    assert sign_flip_p_value(d) == pytest.approx(np.mean(np.array(sums) >= d.sum() - 1e-9), abs=1e-9)


def test_many_sign_flips_agree_with_the_normal_limit():
    d = np.random.default_rng(0).standard_normal(200) + 0.1
    from scipy.stats import norm

    limit = norm.sf(d.sum() / np.sqrt(np.sum(d**2)))
    assert sign_flip_p_value(d, 9999) == pytest.approx(limit, abs=0.02)


def test_nan_is_left_out():
    assert sign_flip_p_value(np.array([1.0, np.nan, 2.0, 3.0])) == 0.125
    assert np.isnan(sign_flip_p_value(np.array([np.nan])))
