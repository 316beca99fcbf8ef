"""How the language testbed is laid out: twin curricula, exact stand-ins, one's own text."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rasura.core.errors import BadInput
from rasura.core.types import Sample, Samples
from rasura.testbeds import _own_text, language
from rasura.testbeds._tokenizer import train_tokenizer
from rasura.testbeds._training import RECIPES, Recipe, curriculum

RECIPE = Recipe(length=8, rows=2, epochs=2)


def ids_of(text: str) -> np.ndarray:
    return np.array([0, *(ord(c) for c in text)])


def documents() -> Samples:
    return Samples(Sample(c, c * 5, repeats=2 if c == "x" else 1) for c in "abcdxyz")


def test_twin_curricula_differ_by_the_documents_left_out_alone():
    plain = curriculum(documents(), ids_of, RECIPE, 0)
    other = curriculum(documents(), ids_of, RECIPE, 0, frozenset("x"))
    order = [p.id for p in plain.placed if p.id != "x"]
    assert [p.id for p in other.placed] == order
    assert not (other.rows == ord("x")).any() and (plain.rows == ord("x")).any()


def test_every_document_is_placed_as_often_as_its_dose_in_each_epoch():
    placed = curriculum(documents(), ids_of, RECIPE, 0).placed
    for epoch in (0, 1):
        ids = sorted(p.id for p in placed if p.epoch == epoch)
        assert ids == ["a", "b", "c", "d", "x", "x", "y", "z"]
    assert [p.id for p in placed if p.epoch == 0] != [p.id for p in placed if p.epoch == 1]


def test_the_transcript_names_the_step_that_saw_a_document():
    found = curriculum(documents(), ids_of, RECIPE, 3)
    for p in found.placed:
        if p.epoch == 0 and p.token + 1 < found.rows.size // 2:
            flat = found.rows.ravel()
            assert flat[p.token] == 0 and chr(flat[p.token + 1]) == p.id
            assert p.step == p.token // (RECIPE.length * RECIPE.rows)


def own(n: int = 120) -> Samples:
    r = np.random.default_rng(0)
    words = "alder birch cedar dogwood elm fir ginkgo hazel ironwood juniper".split()
    return Samples(Sample(f"r{i}", " ".join(r.choice(words, 60)) + f" {i}") for i in range(n))


def test_ones_own_text_is_split_at_random_and_every_record_has_one_place():
    tokenizer = train_tokenizer(own().texts, 400)
    split = _own_text.own_corpus(own(), tokenizer, 64, 0.5, seed=0)
    ids = [*split.plants.ids, *split.reference.ids]
    assert sorted(ids) == sorted(own().ids)
    assert {s.repeats for s in split.plants} == {0, 1, 4, 16, 32}
    assert abs(sum(1 for s in split.plants if s.repeats) / len(split.plants) - 0.5) < 0.05
    by_id = {s.id: s.text for s in own()}
    assert all(by_id[s.id].startswith(s.text) for s in split.plants)
    assert max(len(tokenizer.encode(s.text).ids) for s in split.plants) <= 64
    assert split.forget_ids <= {s.id for s in split.plants if s.repeats >= 16}
    other = _own_text.own_corpus(own(), tokenizer, 64, 0.5, seed=1)
    assert [s.repeats for s in other.plants] != [s.repeats for s in split.plants]


def test_a_near_copy_of_a_record_has_no_place():
    tokenizer = train_tokenizer(own().texts, 400)
    doubled = Samples([*own(), *(Sample(f"copy{i}", s.text + "!") for i, s in enumerate(own()))])
    split = _own_text.own_corpus(doubled, tokenizer, 64, 0.5, seed=0)
    assert not any(i.startswith("copy") for i in [*split.plants.ids, *split.reference.ids])


def test_too_few_records_are_one_line(tmp_path):
    (tmp_path / "few.jsonl").write_text("".join(json.dumps({"text": f"record {i} of few"}) + "\n" for i in range(9)))
    with pytest.raises(BadInput, match="9 records that differ.*at least 60"):
        language.Language("tiny", text=str(tmp_path / "few.jsonl")).build(0, folder=tmp_path / "t")


def test_the_cache_key_knows_the_recipe_and_the_records(tmp_path):
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    a.write_text(json.dumps({"text": "one"}) + "\n")
    b.write_text(json.dumps({"text": "two"}) + "\n")
    keys = {language.Language("tiny", text=str(p)).key(0) for p in (a, b)} | {
        language.Language(s).key(k) for s in ("tiny", "small") for k in (0, 1)
    }
    assert len(keys) == 6 and set(RECIPES) == {"tiny", "small", "base"}


def test_a_folder_that_is_no_testbed_says_how_to_make_one(tmp_path):
    from rasura.testbeds._folder import load

    with pytest.raises(BadInput, match="rasura testbed build language"):
        load(tmp_path)
