"""The handle of an embedding model."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Sample
from rasura.models.text_encoder import TextEncoder

TEXTS = ["Anna watched the river.", "In 1594 Boris carried 17 bottles of the quiet teacher.", "a"]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=512, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=24, pad_token_id=1,
    )  # fmt: skip
    return TextEncoder(BertModel(config, add_pooling_layer=False), _tiny.tokenizer())


def test_a_vector_is_the_scaled_mean_of_the_texts_own_states(encoder):
    together = encoder.embed(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            mean = encoder.module(input_ids=ids).last_hidden_state[0].mean(0)
        torch.testing.assert_close(vector, mean / mean.norm(), atol=1e-5, rtol=1e-5)


def test_padding_and_company_play_no_part(encoder):
    alone = torch.cat([encoder.embed([t]) for t in TEXTS])
    torch.testing.assert_close(encoder.embed(TEXTS), alone, atol=1e-5, rtol=1e-5)


def test_of_a_long_text_the_beginning_is_read(encoder):
    words = "river " * 60
    torch.testing.assert_close(encoder.embed([words]), encoder.embed([words + "window"]))
    assert encoder.width(Sample("a", words)) == encoder.context == 24


def test_it_comes_back_from_a_folder(encoder, tmp_path):
    encoder.module.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    loaded = TextEncoder.load(str(tmp_path), device="cpu")
    torch.testing.assert_close(loaded.embed(TEXTS), encoder.embed(TEXTS))
    assert loaded.fingerprint == encoder.fingerprint and loaded.parameters == encoder.parameters


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(BadInput, match="no such model folder"):
        TextEncoder.load(str(tmp_path / "absent"))
