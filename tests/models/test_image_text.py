"""The CLIP handle: prepared as its configuration says, texts and pictures in one space."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

import _tiny_pipelines
from rasura.core.errors import BadInput
from rasura.models.fresh_pipeline import clip_tokenizer
from rasura.models.image_text import ImageText


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CLIP with random weights, as transformers saves one."""
    place = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(_tiny_pipelines.WORDS, 12)
    text = _tiny_pipelines.text_config(tokenizer).to_dict()
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 8, "patch_size": 4, "projection_dim": 24}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).save_pretrained(place)
    tokenizer.save_pretrained(place)
    settings = {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}, "do_center_crop": True}
    settings |= {"do_resize": True, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    settings |= {"image_processor_type": "CLIPImageProcessor"}
    (place / "preprocessor_config.json").write_text(json.dumps(settings))
    return place


def test_both_sides_of_the_space(folder):
    model = ImageText.load(str(folder), device="cpu")
    pictures = torch.rand(3, 3, 16, 16)
    with torch.inference_mode():
        seen, read = model.image_features(pictures), model.text_features(["a ring", "a red cat on blue"])
        alone = model.text_features(["a ring"])
    assert seen.shape == (3, 24) and read.shape == (2, 24)
    assert torch.allclose(read[:1], alone, atol=1e-5), "padding changes nothing"
    assert not torch.allclose(seen[0], seen[1], atol=1e-4)


def test_it_agrees_with_transformers_own_answer(folder):
    model = ImageText.load(str(folder), device="cpu")
    pictures = torch.rand(2, 3, 8, 8)
    ids = model.tokenizer(["a ring"], return_tensors="pt")
    with torch.inference_mode():
        theirs = model.model(**ids, pixel_values=(pictures - 0.5) / 0.5)
        unit = torch.nn.functional.normalize
        assert torch.allclose(unit(model.image_features(pictures), dim=-1), theirs.image_embeds, atol=1e-5)
        assert torch.allclose(unit(model.text_features(["a ring"]), dim=-1), theirs.text_embeds, atol=1e-5)


def test_a_fingerprint_is_of_weights_and_preparation(folder, tmp_path):
    one, two = (ImageText.load(str(folder), device="cpu") for _ in range(2))
    assert one.fingerprint == two.fingerprint
    three = ImageText(one.model, {**one.settings, "image_mean": [0.1] * 3}, one.tokenizer)
    assert three.fingerprint != one.fingerprint
    with pytest.raises(BadInput, match="no such judge|not a judge"):
        ImageText.load(str(tmp_path))
