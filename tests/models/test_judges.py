"""Judges: their own network, transformers classifiers and CLIP answer alike, and agree with the models behind them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTForImageClassification

from rasura.core.errors import BadInput, UnsafeModel
from rasura.models._judge_networks import picture_net
from rasura.models.fresh_pipeline import clip_tokenizer
from rasura.models.judges import NONE, Judge, rates

ATTRIBUTES = {"shape": ("ring", "disc", NONE), "colour": ("red", "blue", NONE)}
SHAPES = np.array([[8, 1, 1], [0, 10, 0], [2, 0, 8]])


def own(seed: int = 0, **more) -> Judge:
    torch.manual_seed(seed)
    return Judge(picture_net()(8, 4, {"shape": 3, "colour": 3}), ATTRIBUTES, **more)


def pictures(n: int = 5, side: int = 8) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(n))


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """(folder, the plain transformers model): labels cat and dog, 16 x 16, normalised by mean .5 and deviation .25."""
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        id2label={0: "cat", 1: "dog"},
        label2id={"cat": 0, "dog": 1},
    )
    return _saved(ViTForImageClassification(config), tmp_path_factory.mktemp("vit"), {"size": {"height": 16}})


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """(folder, model): shortest edge 20, the middle 16 x 16 of it."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer("a photo of cat dog random noise".split(), 12)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config = CLIPConfig(
        text_config={**small, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 12},
        vision_config={**small, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    folder, model = _saved(
        CLIPModel(config), tmp_path_factory.mktemp("clip"), {"size": {"shortest_edge": 20}, "crop_size": 16}
    )
    tokenizer.save_pretrained(folder)
    return folder, model


def _saved(model, folder, settings):
    model.save_pretrained(folder)
    normal = {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "do_center_crop": True}
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_resize": True, **normal, **settings}))
    return folder, model.eval()


def every(vit, clip) -> list[Judge]:
    return [own(), Judge.load(str(vit[0])), Judge.zero_shot(str(clip[0]), ["cat", "dog"])]


def test_every_judge_answers_in_the_same_shapes(vit, clip):
    for judge in every(vit, clip):
        for side in (8, 16, 33):
            seen = pictures(4, side)
            answers = judge.probabilities(seen)
            assert set(answers) == set(judge.attributes)
            for attribute, p in answers.items():
                assert p.shape == (4, len(judge.attributes[attribute])) and judge.attributes[attribute][-1] == NONE
                assert torch.allclose(p.sum(1), torch.ones(4), atol=1e-5) and (p >= 0).all()
                for k, label in enumerate(judge.attributes[attribute][:-1]):
                    assert torch.equal(judge.sees(seen, label), p.argmax(1) == k)
            features = judge.features(seen)
            assert features.ndim == 2 and len(features) == 4 and features.std() > 0
        assert judge.modality == "judge" and judge.parameters > 0 and judge.width(None) == 1


def test_a_picture_is_judged_alone(vit, clip):
    for judge in every(vit, clip):
        seen = pictures(4)
        for attribute, p in judge.probabilities(seen).items():
            assert torch.allclose(judge.probabilities(seen[2:3])[attribute], p[2:3], atol=1e-5)


def test_a_classifier_agrees_with_transformers(vit):
    folder, model = vit
    seen = pictures(3, 16)
    with torch.no_grad():
        theirs = model(pixel_values=(seen - 0.5) / 0.25).logits.softmax(-1)
    ours = Judge.load(str(folder)).probabilities(seen)["class"]
    assert torch.allclose(ours[:, :2], theirs, atol=1e-5) and float(ours[:, 2].max()) == 0


def test_zero_shot_agrees_with_clip(clip):
    """A 20 x 20 picture is cropped to its middle, and the texts are the template's."""
    folder, model = clip
    from transformers import AutoTokenizer

    seen = pictures(3, 20)
    tokens = AutoTokenizer.from_pretrained(folder)(
        ["a photo of a cat", "a photo of a dog", "random noise"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        theirs = model(**tokens, pixel_values=(seen[:, :, 2:18, 2:18] - 0.5) / 0.25).logits_per_image.softmax(-1)
    judge = Judge.zero_shot(str(folder), ["cat", "dog"])
    assert torch.allclose(judge.probabilities(seen)["class"], theirs, atol=1e-5)
    assert judge.fingerprint != Judge.zero_shot(str(folder), ["dog", "cat"]).fingerprint


def test_rates_are_read_from_the_confusion_matrix():
    judge = own(confusion={"shape": SHAPES})
    assert judge.rates("ring") == (0.8, pytest.approx(18 / 20))  # 2 of 20 others were called rings
    assert judge.rates("disc") == (1.0, pytest.approx(19 / 20))
    assert all(np.isnan(judge.rates("red")))
    assert np.isnan(rates(np.zeros((2, 2), dtype=int), 0)[0])


def test_saved_and_loaded_is_the_same_judge(tmp_path):
    judge = own(confusion={"shape": SHAPES})
    judge.save(str(tmp_path / "j"))
    again = Judge.load(str(tmp_path / "j"), device="cpu")
    assert again.fingerprint == judge.fingerprint != own(1).fingerprint
    assert again.attributes == judge.attributes and again.rates("ring") == judge.rates("ring")
    assert torch.equal(again.probabilities(pictures())["shape"], judge.probabilities(pictures())["shape"])


def test_gradients_reach_the_pictures_only_where_asked_for():
    judge, seen = own(), pictures().requires_grad_()
    judge.probabilities(seen)["shape"][:, 0].sum().backward()
    assert float(seen.grad.abs().sum()) > 0
    assert not judge.probabilities(pictures())["shape"].requires_grad


def test_what_a_judge_does_not_know_is_one_line():
    judge = own()
    for ask in (judge.rates, judge.attribute_of, lambda s: judge.sees(pictures(), s)):
        for word in ("star", NONE):
            with pytest.raises(BadInput, match="does not know.*ring, disc, red, blue"):
                ask(word)
    with pytest.raises(BadInput, match=r"pictures \(B, 3, H, W\)"):
        judge.probabilities(torch.zeros(2, 8, 8, 3))


def test_bad_judges_are_one_line(tmp_path, vit):
    with pytest.raises(BadInput, match="'red' is named twice"):
        Judge(own().network, {"shape": ("red", NONE), "colour": ("red", NONE)})
    with pytest.raises(BadInput, match="must end with"):
        Judge(own().network, {"shape": ("ring", "disc")})
    with pytest.raises(BadInput, match="no such judge"):
        Judge.load(str(tmp_path / "absent"))
    with pytest.raises(BadInput, match="neither judge.json nor config.json"):
        Judge.load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="no weights"):
        Judge.load(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UnsafeModel, match="pickled"):
        Judge.load(str(tmp_path))
    (tmp_path / "judge.json").write_text('{"network": {"side": 8}}')
    with pytest.raises(BadInput, match="damaged judge"):
        Judge.load(str(tmp_path))
    with pytest.raises(BadInput, match="each named once"):
        Judge.zero_shot(str(vit[0]), ["cat", "cat"])
    with pytest.raises(BadInput, match="not saved again"):
        Judge.load(str(vit[0])).save(str(tmp_path / "copy"))
