"""Ghost sentences: where they stand, what is scored, and 200 marks no model has read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, kstest

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.observations._engine import Engine
from rasura.provenance._words import word_list
from rasura.provenance.ghost_sentence import GhostSentence, last_words_p_value

TEXT = "Anna went home. It rained all day! The river rose. Nobody saw it"


def found(method, key, model, engine=None):
    queries, engine = method.queries(key, ("target",)), engine or Engine()
    return method.test(key, **{n: engine.observe(q.ask, {"target": model}, q.samples) for n, q in queries.items()})


def test_200_marks_the_model_never_read_have_uniform_p_values(planted):
    """Each its own passphrase and its own fresh ones, under a trained model: Kolmogorov-Smirnov against uniform."""
    method, engine = GhostSentence(length=3, fresh=19), Engine()
    texts, model = Samples.of([TEXT]), planted.models["target"]
    p = np.array([found(method, method.embed(texts, seed=s).key, model, engine)[0].p_value for s in range(200)])
    assert set(np.round(p * 20)) <= set(range(1, 21))
    jittered = p - np.random.default_rng(0).random(200) / 20  # p takes 20 values: spread each over its step
    assert kstest(jittered, "uniform").pvalue > 0.01
    assert np.mean(p <= 0.05) < 0.11


def test_the_passphrase_stands_behind_a_sentence_of_the_second_half():
    for seed in range(20):
        marked = GhostSentence().embed(Samples.of([TEXT]), seed=seed)
        ((_, at, which),), (phrase,) = marked.key["places"], marked.key["phrases"]
        assert TEXT[:at].endswith((".", "!")) and at >= len(TEXT) / 2 and which == 0
        assert marked.texts[0] == f"{TEXT[:at]} {phrase}.{TEXT[at:]}"


def test_without_a_sentence_end_it_stands_at_the_end():
    marked = GhostSentence(length=2).embed(Samples.of(["no end here\n"]), seed=0)
    assert marked.texts[0] == f"no end here {marked.key['phrases'][0]}.\n"


def test_only_the_passphrase_is_scored_and_the_last_word_is_what_must_come():
    method, model = GhostSentence(length=6, fresh=3), _tiny.neox()
    marked = method.embed(Samples.of([TEXT]), seed=1)
    (own,) = method.queries(marked.key, ("target",))["own"].samples
    encoded = model.encode(own)
    assert encoded.scored_text.strip() == marked.key["phrases"][0]
    secret = model.tokenizer.decode(encoded.ids[encoded.cut :])
    assert secret.strip() == marked.key["phrases"][0].split(" ")[-1]


def test_fresh_passphrases_are_no_passphrase_of_the_owner():
    method = GhostSentence(fresh=200)
    key = method.embed(Samples.of([TEXT]), seed=1).key
    queries = method.queries(key, ("target",))
    assert not set(queries["own"].samples.texts) & set(queries["fresh"].samples.texts)
    assert len(set(queries["fresh"].samples.texts)) == 200
    assert queries["fresh"].samples == method.queries(key, ("target",))["fresh"].samples


def test_one_passphrase_in_many_documents_is_one_trial(planted):
    method = GhostSentence(length=4, fresh=19)
    perplexity, last = found(method, method.embed(Samples.of([TEXT] * 50), seed=1).key, planted.models["target"])
    assert perplexity.n == last.n == 1


def test_several_passphrases_take_turns_and_are_tested_as_a_group(planted):
    method = GhostSentence(length=4, fresh=19, phrases=3)
    marked = method.embed(Samples.of([TEXT] * 7), seed=1)
    assert [which for _, _, which in marked.key["places"]] == [0, 1, 2, 0, 1, 2, 0]
    assert len(method.queries(marked.key, ("target",))["fresh"].samples) == 57
    perplexity, last = found(method, marked.key, planted.models["target"])
    assert perplexity.n == last.n == 3 and perplexity.statistic.n == 19


def test_the_binomial_by_hand_and_its_floor():
    assert last_words_p_value(0, 5, 7776, 1) == 1.0
    assert last_words_p_value(3, 5, 100, 1) == pytest.approx(binom.sf(2, 5, 0.01))
    assert last_words_p_value(1, 1, 7776, 1, by_chance=0.25) == 0.25, "a model that prefers some words"


def test_the_list_is_uniform_by_construction():
    words = word_list()
    assert len(words) == 6**5 == len(set(words)) and all(w.isalpha() and w.islower() for w in words)


def test_another_list_is_refused(tmp_path):
    own = tmp_path / "words.txt"
    own.write_text("\n".join(f"word{i}x" for i in range(120)))
    key = GhostSentence(words=str(own)).embed(Samples.of([TEXT]), seed=0).key
    assert set(key["phrases"][0].split()) <= set(word_list(str(own)))
    with pytest.raises(BadInput, match="another word list"):
        GhostSentence().queries(key, ("target",))
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    with pytest.raises(BadInput, match="at least 100"):
        word_list(str(tmp_path / "few.txt"))


@pytest.mark.parametrize("bad", [{"length": 1}, {"phrases": 0}, {"fresh": 0}, {"last": 12}])
def test_settings_that_make_no_sense(bad):
    with pytest.raises(BadInput, match="^ghost_sentence"):
        replace(GhostSentence(), **bad)
