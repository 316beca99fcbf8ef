"""Shadow models: random halves, one recipe, resumable, readable from a folder."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.testbeds._shadows import dosed, halves, load_shadows, shadows, train_shadows
from rasura.testbeds._tokenizer import train_tokenizer
from rasura.testbeds._training import Recipe, as_documents
from rasura.testbeds.language import Language

RECIPE = Recipe(hidden=16, layers=1, heads=2, vocabulary=300, context=64, length=16, epochs=1, warmup_steps=2)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder, texts = tmp_path_factory.mktemp("shadows"), _tiny.texts(14, 3)
    background = as_documents(texts[:6], "background")
    candidates = Samples.of(texts[6:])
    arguments = (train_tokenizer(texts[:6], 300), background, candidates, RECIPE, 4, 0, folder)
    train_shadows(*arguments)
    return folder, candidates, arguments


def test_each_candidate_is_in_exactly_half_of_the_shadows():
    chosen = halves(50, 6, seed=1)
    assert (chosen.sum(axis=1) == 3).all() and len({tuple(row) for row in chosen.tolist()}) > 10
    assert chosen.tolist() == halves(50, 6, seed=1).tolist() != halves(50, 6, seed=2).tolist()


def test_a_folder_says_who_saw_what(built):
    folder, candidates, _ = built
    found = load_shadows(folder)
    assert list(found.models) == [f"shadow_{k}" for k in range(1, 5)]
    trained = found.trained(candidates)
    assert np.stack(list(trained.values())).sum(axis=0).tolist() == [2] * len(candidates)
    assert len({model.fingerprint for model in found.models.values()}) == 4
    assert json.loads((folder / "shadows.json").read_text())["shadow_1"] == [
        s.id for s, seen in zip(candidates, trained["shadow_1"], strict=True) if seen
    ]


def test_a_killed_run_goes_on_and_ends_in_the_same_weights(built):
    folder, _, arguments = built
    before = {role: m.fingerprint for role, m in load_shadows(folder).models.items()}
    times = (folder / "shadow_1" / "model.safetensors").stat().st_mtime_ns
    (folder / "shadows.json").unlink()
    shutil.rmtree(folder / "shadow_3")
    train_shadows(*arguments)
    assert {role: m.fingerprint for role, m in load_shadows(folder).models.items()} == before
    assert (folder / "shadow_1" / "model.safetensors").stat().st_mtime_ns == times


def test_a_twin_has_the_copies_of_its_member():
    members, nonmembers = _tiny.planted().members.take([0, 20]), _tiny.planted().nonmembers.take([0, 1])
    found = dosed(members, nonmembers, {members[0].id: nonmembers[1].id})
    assert [s.repeats for s in found] == [40, 4, 1, 40]


def test_what_is_no_folder_of_shadows(tmp_path):
    with pytest.raises(BadInput, match="no shadows.json"):
        load_shadows(tmp_path)
    (tmp_path / "shadows.json").write_text("[1]")
    with pytest.raises(BadInput, match="not an object"):
        load_shadows(tmp_path)
    (tmp_path / "shadows.json").write_text('{"shadow_1": ["a"]}')
    with pytest.raises(BadInput, match="names shadow_1"):
        load_shadows(tmp_path)
    with pytest.raises(BadInput, match="at least 2"):
        shadows(Language("tiny"), 1)
    with pytest.raises(BadInput, match="generated testbed"):
        shadows(Language(text="records.jsonl"), 4)
