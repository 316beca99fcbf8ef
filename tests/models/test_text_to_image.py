"""The handle of text-to-image pipelines agrees with diffusers, on the Stable Diffusion 1 and SDXL classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import _tiny_pipelines
from rasura.core.errors import BadInput, NotYetSupported
from rasura.models.text_to_image import TextToImage

KINDS = ("sd1", "sdxl")
PROMPTS = ["a red ring", "a photo of a blue cat"]


def handle(kind: str, **more) -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(**more), name=kind)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", KINDS)
def test_sampling_agrees_with_the_pipeline(kind, prediction):
    """The pipeline's own call from the same noise: latents equal to 1e-4."""
    model = handle(kind, prediction=prediction)
    with torch.no_grad():
        start = model.start([3, 4])
        ours = model.sample(model.embed(PROMPTS), [3, 4], steps=5, guidance=3.0)
        model.pipeline.set_progress_bar_config(disable=True)
        theirs = model.pipeline(
            PROMPTS, num_inference_steps=5, guidance_scale=3.0, latents=start, output_type="latent", height=16, width=16
        ).images
    assert float((ours - theirs).abs().max()) < 1e-4
    assert float((ours - start).abs().max()) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_a_picture_whatever_the_batch(kind):
    model = handle(kind)
    with torch.no_grad():
        both = model.sample(model.embed(PROMPTS), [3, 4], steps=3)
        alone = model.sample(model.embed(PROMPTS[1:]), [4], steps=3)
    assert torch.allclose(both[1:], alone, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_is_the_same_model(kind, tmp_path):
    model = handle(kind)
    model.save(str(tmp_path))
    again = TextToImage.load(str(tmp_path), device="cpu")
    assert again.fingerprint == model.fingerprint
    changed = model.clone()
    with torch.no_grad():
        changed.unet.conv_in.bias[0] += 1e-3
    assert changed.fingerprint != model.fingerprint == model.clone().fingerprint


def test_predicted_noise_and_clean_picture_fit_together():
    """x_t = sqrt(a) x0 + sqrt(1 - a) eps for either prediction, whatever the network said."""
    for prediction in ("epsilon", "v_prediction"):
        s = handle("sd1", prediction=prediction).schedule
        x, output, t = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([100, 700])
        assert torch.allclose(s.noised(s.clean_of(output, x, t), t, s.noise_of(output, x, t)), x, atol=1e-4)
        other = torch.randn_like(output)
        difference = s.noise_of(output, x, t) - s.noise_of(other, x, t)
        assert torch.allclose(difference, s.noise_scale(t, x) * (output - other), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_soft_words_at_their_own_embedding_change_nothing(kind):
    model = handle(kind)
    ids = [model._ids(t, PROMPTS[:1]) for t in model.tokenizers]
    where = torch.tensor([[2]])
    own = [e.get_input_embeddings().weight[i[:, 2]][:, None] for e, i in zip(model.encoders, ids, strict=True)]
    soft, plain = model.encode_ids(ids, vectors=own, where=where), model.embed(PROMPTS[:1])
    assert torch.equal(soft.hidden, plain.hidden)
    moved = model.encode_ids(ids, vectors=[v + 1 for v in own], where=where)
    assert torch.equal(moved.hidden[:, :2], plain.hidden[:, :2]) and not torch.equal(moved.hidden, plain.hidden)


def test_token_positions():
    model = handle("sd1")
    tokens = model.tokens("a red ring")
    assert tokens.pieces == ("a", "red", "ring") and tokens.words == range(1, 4) and tokens.end == 4
    assert tokens.ids[tokens.end] == model.tokenizers[0].eos_token_id and len(tokens.ids) == 12
    assert model.span("a red ring on a red cross", "red") == range(6, 7)
    assert model.span("a red ring", "blue") == range(0)
    with pytest.raises(BadInput, match="11 tokens, the text encoder reads 10"):
        model.tokens("a " * 11)


def test_sites_are_found_or_refused():
    model = handle("sd1")
    pairs = model.sites("cross_attention.key_value")
    assert len(pairs) == 2 * 7 and all(model.module.get_submodule(s.name).weight.shape[1] == 32 for s in pairs)
    assert len(model.sites("feed_forward.out")) == 7 and len(model.sites("text.mlp")) == 4
    with pytest.raises(NotYetSupported, match="no kind of site"):
        model.sites("mlp.down")


def test_pictures_go_through_the_autoencoder():
    model = handle("sd1")
    latents = model.latents(torch.zeros(2, 3, 16, 16)).detach()
    assert latents.shape == (2, 4, 8, 8) and model.resolution == 16
    shown = model.decode(latents).detach()
    assert shown.shape == (2, 3, 16, 16) and 0 <= float(shown.min()) and float(shown.max()) <= 1


def test_a_transformer_pipeline_is_not_yet_supported(tmp_path):
    index = {"_class_name": "StableDiffusion3Pipeline", "transformer": ["diffusers", "SD3Transformer2DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(NotYetSupported, match="denoises with a transformer"):
        TextToImage.load(str(tmp_path))


def test_seeds_give_standard_normal_noise():
    noise = handle("sd1").start(range(64)).numpy()
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.3
