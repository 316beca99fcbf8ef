"""Studies behind the claims about learned and calibrated signals, on tiny models."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from rasura.claims._attempts import Attempts
from rasura.claims._collections import BLIND, CONTROL, SUSPECT, TEST, VALIDATION, Collections
from rasura.claims._exposures import SPACE_BITS, Exposures, last_digits, searched_bits
from rasura.claims._quantiles import KNOWN, MEMBER, UNSEEN, Quantiles, fresh_records
from rasura.claims._shadowed import COLUMNS, Shadowed
from rasura.claims._shadowed_rates import AUC, each_target
from rasura.claims._shifts import DESIGN, SHIFTED, TEXT, Shifts, topic_of
from rasura.claims._supervision import Supervision, best_column, spread
from rasura.core.types import Known, Sample, Samples
from rasura.models.fresh import gpt_neox, wrap_tokenizer
from rasura.signals.dataset_inference import DatasetInference
from rasura.stats.randomness import exposure_rank
from rasura.testbeds._grammar import split_sentences
from rasura.testbeds._plants import corpus
from rasura.testbeds._tokenizer import train_tokenizer
from rasura.testbeds._world import world


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("RASURA_CACHE", str(tmp_path))


def nothing() -> None:
    """A tick nobody counts."""


@pytest.fixture(scope="module")
def canaries():
    return corpus("tiny", 0).plants.where(lambda s: s.family == "canary")


def test_collections_test_one_half_and_control_with_the_unseen(planted):
    data = Collections(size="tiny", dose=4, repetitions=3).run(0, planted, nothing)
    assert len(data.of(TEST)) == len(data.of(BLIND)) == 1 and len(data.of(CONTROL)) == 3
    suspects = planted.members.where(lambda s: s.repeats == 4)
    assert len(data.of(SUSPECT)) == len(suspects) // 2 == 16 and len(data.of(VALIDATION)) == 16
    assert data.of(SUSPECT).mean() > data.of(VALIDATION).mean() and data.of(TEST)[0] < 0.01
    assert data.of(TEST)[0] == pytest.approx(
        DatasetInference().collection_p_value(data.of(SUSPECT), data.of(VALIDATION))
    )


def test_a_passages_topic_is_that_of_its_words():
    """The topic a text was written on lends it more words than any other on average."""
    texts = {s.text for s in corpus("tiny", 3).plants if s.family == "passage"}
    topics = topic_of(texts, 3)
    assert set(topics) == texts and len(set(topics.values())) > 3
    own, other = [], []
    for text, topic in topics.items():
        for k, lexicon in enumerate(world().topics):
            hits = sum(f" {noun.singular}" in text or noun.plural in text for noun in lexicon.things.words)
            (own if k == topic else other).append(hits)
    assert np.mean(own) > 5 * np.mean(other)


def test_shifts_part_topics_and_ask_everybody():
    """Any model will do, here one that never learned anything."""
    known = corpus("tiny", 0)
    plants, tokenizer = known.plants, wrap_tokenizer(train_tokenizer(known.background, 512), context=256)
    neox = gpt_neox(tokenizer, hidden=16, layers=1, heads=2, context=256, seed=0, name="untrained")
    parts = {"members": plants.where(lambda s: bool(s.repeats)), "nonmembers": plants.where(lambda s: not s.repeats)}
    planted = SimpleNamespace(models={"target": neox, "reference": neox}, **parts)
    data = Shifts(size="tiny", designs=2, dose=8).run(0, planted, nothing)
    assert data.what.tolist()[:3] == [DESIGN, DESIGN, SHIFTED] and set(data.what[3:]) == {TEXT}
    assert data.dose[:2].tolist() == [48, 48] and set(data.dose[3:]) == {0, 8}
    assert not np.isnan(data.scores[3:]).any() and np.allclose(data.scores[3:, 4], 0)
    assert data.dose[2] == len(data.dose) - 3  # the classifier saw the texts that the signals scored


def test_a_canary_keeps_six_digits(canaries):
    for canary in canaries:
        cut = last_digits(canary)
        assert cut.text == canary.text and sum(c.isdigit() for c in cut.text[cut.secret :]) == 6


def test_the_search_counts_what_brute_force_counts(planted):
    """Secrets of two digits: all hundred endings scored one by one."""
    model = planted.models["target"]
    for text in ("Anna carried 42 quiet rivers and opened 17.", "Hugo borrowed 3 letters in 1 9."):
        places = [i for i, c in enumerate(text) if c.isdigit()][-2:]
        true = Sample("t", text, start=places[0], secret=places[0])
        endings = []
        for a, b in itertools.product("0123456789", repeat=2):
            letters = list(text)
            letters[places[0]], letters[places[1]] = a, b
            endings.append("".join(letters))
        scores = model.score(Samples(replace(true, id=t, text=t) for t in endings)).sums().detach().numpy()
        rank = int(np.sum(scores >= scores[endings.index(text)] - 1e-4))
        assert searched_bits(model, true, 100) == pytest.approx(SPACE_BITS - math.log2(rank))
    assert rank > 1 and math.isnan(searched_bits(model, true, 0))


def test_exposures_of_codes_nobody_saw(planted, canaries):
    crowd = SimpleNamespace(models=planted.models, members=canaries.take([0, 1]), nonmembers=canaries.take([2, 3]))
    data = Exposures(size="tiny", references=15, limit=5).run(0, crowd, nothing)
    assert len(data.dose) == 4 and (data.ranked <= 4.0).all() and not data.extracted.any()
    assert np.isnan(data.searched[data.ranked < 4.0]).all()
    assert exposure_rank(0.0, np.array([-1.0] * 15)) == 4.0


def test_attempts_sample_what_is_likely(planted):
    """Of the records seen 40 times some are likely; what is drawn is about what was promised."""
    data = Attempts(size="tiny", draws=40, sampled=6).run(0, planted, nothing)
    rows = ~np.isnan(data.drawn)
    p = np.exp(data.log_probability[rows])
    assert 0 < rows.sum() <= 6 and (data.draws[rows] == 40).all() and (data.draws[~rows] == 0).all()
    assert ((p >= 0.01) & (p <= 0.99)).all()
    error = np.sqrt(np.sum(40 * p * (1 - p)))
    assert abs(data.drawn[rows].sum() - np.sum(40 * p)) < 4 * error


def test_fresh_records_are_new_and_mixed_alike():
    known = corpus("tiny", 1)
    members = known.plants.where(lambda s: bool(s.repeats))
    fresh = fresh_records("tiny", 1, members, 60)
    sentences = {x for text in [*known.background, *known.plants.texts] for x in split_sentences(text)}
    assert sentences.isdisjoint(x for s in fresh for x in split_sentences(s.text))
    assert len(set(fresh.ids)) == len(fresh) and abs(len(fresh) - 60) <= 3
    for family in {s.family for s in members}:
        share = sum(s.family == family for s in members) / len(members)
        assert sum(s.family == family for s in fresh) == round(60 * share)


def test_quantiles_are_taught_by_fresh_records_alone(planted):
    data = Quantiles(size="tiny", known=40, judged=30).run(0, planted, nothing)
    counts = {name: int(np.sum(data.population == name)) for name in (MEMBER, KNOWN, UNSEEN)}
    assert counts == {MEMBER: len(planted.members), KNOWN: 40, UNSEEN: 30}
    assert (data.dose[data.population != MEMBER] == 0).all() and not np.isnan(data.above).any()
    assert np.mean(data.above[data.population == KNOWN] > 0) <= 0.1


def test_supervision_scores_no_fold_with_itself(planted):
    study = Supervision(size="tiny", highest_dose=40, folds=2)
    data = study.run(0, planted, nothing)
    assert data.dose.shape == (120,) and not np.isnan(data.supervised).any()
    assert np.array_equal(data.fold, spread(data.dose > 0, 2, 0))
    for name in ("supervised", "white_box", "single"):
        score = getattr(data, name)
        assert score[data.dose == 40].mean() > score[data.dose == 0].mean()


def test_the_best_column_is_chosen_on_what_is_known():
    """Column 0 orders the known rows, column 1 the others."""
    columns = np.array([[3.0, 0.0], [1.0, 0.0], [0.0, 5.0], [0.0, 1.0]])
    assert best_column(columns, Known(np.array([0]), np.array([1]))) == (0, 1.0, 1.0)
    assert best_column(columns, Known(np.array([3]), np.array([2]))) == (1, -1.0, 1.0)


def test_every_shadow_model_is_the_target_once():
    """Five models of a few steps: all signals score, halves are halves, and nobody is his own shadow."""
    study = Shadowed(targets=4, candidates=12, population=8, background=8, copies=(1, 4), grid=(0.5, 1.0))
    ticks: list[int] = []
    data = study.run(0, None, lambda: ticks.append(1))
    assert len(ticks) == study.ticks and data.scores.shape == (48, len(COLUMNS)) and not np.isnan(data.scores).any()
    assert data.target.tolist() == np.repeat(range(4), 12).tolist() and set(data.a) <= {0.5, 1.0}
    assert sorted(data.dose[:12].tolist()) == [1] * 6 + [4] * 6
    seen = data.member.reshape(4, 12).sum(axis=0)
    assert set(seen) <= {1, 2}  # two of five models saw each; one model is judged by nobody
    assert each_target(data, 0, AUC).shape == (4,)
