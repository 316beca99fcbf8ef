"""Draws from nothing but a header, and where texts lie."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Samples
from rasura.models.causal_lm import CausalLM
from rasura.observations._engine import Engine
from rasura.observations.free_generations import (
    NO_BEGINNING,
    NO_TEMPLATE,
    Draws,
    FreeGenerations,
    chat_pieces,
)
from rasura.observations.record_texts import RecordTexts
from rasura.observations.text_embeddings import TextEmbeddings

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] | trim }}<|endoftext|>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SHORT = FreeGenerations(new_tokens=6, seed=3)


def observe(model, what, n=5):
    return Engine().observe(Ask(what, view=Draws(n)), {"target": model}, Samples.of(["anything"]))


def chat_model(seed: int = 0) -> CausalLM:
    tokenizer = copy.deepcopy(_tiny.tokenizer())
    tokenizer.chat_template = TEMPLATE
    return CausalLM(_tiny.neox(seed).module, tokenizer)


def test_a_draw_depends_on_its_number_and_seed_alone(neox):
    few, many = observe(neox, SHORT, 3), observe(neox, SHORT, 7)
    assert few.texts.tolist() == many.texts[:3].tolist() and len(set(many.texts)) == 7
    other = observe(neox, FreeGenerations(new_tokens=6, seed=4), 3)
    assert other.texts.tolist() != few.texts.tolist()
    assert Engine().observe(Ask(SHORT, view=Draws(3)), {"target": neox}, Samples()).texts.shape == (0,)


def test_the_records_play_no_part(neox):
    ask = Ask(SHORT, view=Draws(3))
    one, two = (
        Engine().observe(ask, {"target": neox}, Samples.of(texts)).texts.tolist() for texts in (["a"], ["b", "c"])
    )
    assert one == two


def test_first_tokens_follow_the_models_own_distribution():
    """64 draws of one token against p(. | begin): the chi-square-like distance of a fair sample."""
    model = _tiny.neox(5)
    data = observe(model, FreeGenerations(new_tokens=1), 400)
    with torch.no_grad():
        p = torch.softmax(model.module(torch.tensor([[0]])).logits[0, -1], -1).numpy()
    counts = np.bincount(np.concatenate([row for row in data.ids if len(row)]), minlength=len(p))
    top = np.argsort(-p)[:20]
    expected, found = 400 * p[top].sum(), counts[top].sum()
    assert abs(found - expected) < 5 * np.sqrt(expected)


def test_a_header_is_read_with_special_tokens_and_none_added(neox):
    assert FreeGenerations(header="<|endoftext|>Anna").pieces(neox.tokenizer)[0][0] == 0
    assert FreeGenerations(header="Anna").pieces(neox.tokenizer)[0][0] != 0
    assert FreeGenerations().pieces(neox.tokenizer) == [[0]]
    with pytest.raises(BadInput, match="no token that begins"):
        FreeGenerations().pieces(SimpleNamespace(bos_token_id=None, eos_token_id=None))
    assert NO_BEGINNING


def test_a_chat_begins_where_the_users_words_would():
    model = chat_model()
    assert chat_pieces(model.tokenizer) == ("<|endoftext|>[user]", "<|endoftext|>[assistant]")
    pieces = FreeGenerations(chat=True).pieces(model.tokenizer)
    assert [model.tokenizer.decode(p) for p in pieces] == ["<|endoftext|>[user]", "<|endoftext|>[assistant]"]


def test_after_the_users_turn_the_model_writes_the_answer():
    """A model that is made to end its turn at once says nothing, then is asked for the answer."""
    model = chat_model()
    steps = []
    plain = model.base.base_model.forward

    def spy(input_ids=None, **more):
        steps.append(input_ids[0].tolist())
        return plain(input_ids=input_ids, **more)

    model.base.base_model.forward = spy
    with torch.no_grad():
        model.base.get_output_embeddings().weight.zero_()
    observe(model, FreeGenerations(chat=True, new_tokens=400), 8)
    headers = [model.tokenizer.decode(s) for s in steps if len(s) > 1]
    assert headers[0] == "<|endoftext|>[user]"
    assert any(h.endswith("<|endoftext|>[assistant]") for h in headers[1:])


def test_no_template_is_a_reason_with_the_remedy(neox):
    data = observe(neox, FreeGenerations(chat=True))
    assert set(data.reason) == {NO_TEMPLATE} and "header" in NO_TEMPLATE
    assert set(data.texts) == {""}
    with pytest.raises(BadInput, match="no chat template"):
        chat_pieces(neox.tokenizer)


def test_a_template_without_a_users_turn_is_refused():
    tokenizer = copy.deepcopy(_tiny.tokenizer())
    tokenizer.chat_template = "nothing of what was said"
    with pytest.raises(BadInput, match="give a header"):
        chat_pieces(tokenizer)


@pytest.mark.parametrize(
    "bad", [{"temperature": 0.0}, {"new_tokens": 0}, {"chat": True, "header": "x"}, {"top_p": 0.0}]
)
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(BadInput):
        FreeGenerations(**bad)


def test_a_broken_model_is_a_reason():
    model = _tiny.neox(1)
    with torch.no_grad():
        model.base.get_output_embeddings().weight.fill_(float("nan"))
    model.weights_changed()
    model.__dict__["_head_is_plain"] = True
    data = observe(model, SHORT)
    assert all(data.reason) and not data.ended.any()


def test_record_texts_are_without_special_tokens(neox):
    texts = ["Anna watched 17 rivers.", "<|endoftext|>Boris"]
    data = RecordTexts().measure(neox, Samples.of(texts))
    assert data.texts.tolist() == ["Anna watched 17 rivers.", "Boris"]


class Letters:
    """An embedding model that counts a and b."""

    modality, fingerprint, parameters, device = "text", "letters", 1, torch.device("cpu")

    def fit(self, samples, *, truncate=False):
        return samples

    def width(self, sample):
        return 1

    def embed(self, texts):
        counts = torch.tensor([[float(t.count("a")), float(t.count("b"))] for t in texts])
        return counts / counts.norm(dim=1, keepdim=True).clamp(min=1e-9)


def test_embeddings_of_records_and_of_draws(neox):
    models, records = {"target": neox, "encoder": Letters()}, Samples.of(["a", "b b", " "])
    data = Engine().observe(Ask(TextEmbeddings(), of="encoder"), models, records)
    np.testing.assert_allclose(data.matrix(), [[1, 0], [0, 1], [0, 0]])
    assert data.texts.tolist() == ["a", "b b", " "] and data.reason.tolist() == ["", "", "no text"]
    view = Draws(4)
    ask = Ask(TextEmbeddings(Ask(SHORT, view=view)), of="encoder", view=view)
    drawn = Engine().observe(ask, models, records)
    assert drawn.texts.tolist() == observe(neox, SHORT, 4).texts.tolist()
    assert drawn.matrix().shape == (4, 2)
