"""The handle of a masked language model: loaded safely, by kind, and asked one thing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import _tiny
import _tiny_masked
from rasura.core.errors import BadInput, NotYetSupported, UnsafeModel
from rasura.core.types import Samples
from rasura.models.causal_lm import CausalLM
from rasura.models.loading import load
from rasura.models.masked_lm import MaskedLM
from rasura.observations._engine import Engine
from rasura.observations.neighbour_texts import NeighbourTexts

TEXT = "David answered 79 broken letters and crossed the teacher of Klara in 1594."


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_saved_loaded_by_kind_and_the_same(name, tmp_path):
    model = getattr(_tiny_masked, name)()
    model.save(str(tmp_path))
    loaded = load(str(tmp_path))
    assert isinstance(loaded, MaskedLM) and loaded.fingerprint == model.fingerprint
    ids, at = model.places(TEXT).ids, np.array([2, 4])
    for a, b in zip(model.likely(ids, at, 3, 0.7, 1), loaded.likely(ids, at, 3, 0.7, 1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert loaded.clone().fingerprint == model.fingerprint and loaded.modality == "text" and loaded.notes == ()
    assert loaded.vocabulary_hash == model.vocabulary_hash and loaded.parameters == model.parameters


def test_a_causal_model_is_still_a_causal_model(tmp_path):
    _tiny.neox().save(str(tmp_path))
    assert isinstance(load(str(tmp_path)), CausalLM)


def test_pickled_weights_are_refused(tmp_path):
    model = _tiny_masked.bert()
    model.save(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.module.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UnsafeModel, match="pickled"):
        load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises((UnsafeModel, BadInput)):
        load(str(tmp_path))


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    model = _tiny_masked.bert()
    with torch.no_grad():
        model.module.bert.embeddings.word_embeddings.weight[3, 0] = float("nan")
    model.save(str(tmp_path))
    with pytest.raises(BadInput, match="NaN"):
        load(str(tmp_path))


def test_a_configuration_that_names_nothing_is_left_to_the_loader(tmp_path):
    model = _tiny_masked.bert()
    model.save(str(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = None
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert isinstance(MaskedLM.load(str(tmp_path)), MaskedLM)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_text_beyond_the_context_is_read_as_far_as_it_goes(name):
    """RoBERTa's positions begin behind the padding's, so of its 130 only 128 are there for tokens."""
    model = getattr(_tiny_masked, name)()
    text = " ".join(_tiny.texts(9, 5))
    assert model.context == 128 and len(model.places(text).ids) == 128
    samples = Samples.of([text])
    assert model.fit(samples) is samples
    found = Engine().observe(_ask(), {"masked": model}, samples)
    assert found.count[0] == 4


def _ask():
    from rasura.core.types import Ask

    return Ask(NeighbourTexts(neighbours=4), of="masked")


def test_it_is_never_audited_itself():
    with pytest.raises(BadInput, match="can only be the masked model"):
        _tiny_masked.bert().encode(Samples.of([TEXT])[0])
    with pytest.raises(NotYetSupported):
        _tiny_masked.bert().sites("mlp")
