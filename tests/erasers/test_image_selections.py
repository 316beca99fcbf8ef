"""Selections on text-to-image models: what may move, against the obvious way."""

from __future__ import annotations

import pytest
import torch

import _tiny_pipelines
from rasura.core import registry
from rasura.core.errors import BadInput, NotYetSupported
from rasura.core.types import Request, Samples
from rasura.models import adapters
from rasura.models.text_to_image import TextToImage
from rasura.training.frozen_images import Dice, denoising_loss
from rasura.training.loop import pinned_threads

REQUEST = Request(Samples.of(["a red ring", "a ring", "a blue ring"]), Samples.of(["a cat"]), concept="ring")


@pytest.fixture(autouse=True)
def one_thread():
    with pinned_threads(1):
        yield


def handle(kind: str = "sd1") -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(prediction="v_prediction"), name=kind)


def selection(name: str, **settings):
    if name not in registry.names("erasers.selections"):
        pytest.skip(f"{name} is not installed")
    return registry.make("erasers.selections", name, settings)


def loose(trainable) -> set[str]:
    return {n for n, p in trainable.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_cross_attention_moves_attn2_and_nothing_else(kind):
    model = handle(kind)
    names = {n for n, _ in model.named_parameters()}
    everything = {n for n in names if ".attn2." in n}
    assert loose(selection("cross_attention").select(model, REQUEST)) == everything
    keys = {n for n in everything if ".to_k." in n or ".to_v." in n}
    assert loose(selection("cross_attention", parts="key_value").select(model, REQUEST)) == keys
    with pytest.raises(BadInput, match="parts 'x': expected all or key_value"):
        selection("cross_attention", parts="x").select(model, REQUEST)


def test_the_two_esds_share_the_unet_between_them():
    model = handle()
    chosen = {}
    for name in ("esd_x", "esd_u"):
        if name not in registry.names("erasers.objectives"):
            pytest.skip(f"{name} is not installed")
        chosen[name] = loose(registry.make("erasers.objectives", name).select(model, REQUEST))
    unet = {n for n, _ in model.named_parameters() if n.startswith("unet.")}
    assert chosen["esd_x"] | chosen["esd_u"] == unet and not chosen["esd_x"] & chosen["esd_u"]


def test_no_matching_layer_is_one_clear_line(monkeypatch):
    from rasura.models import _unet_sites

    monkeypatch.setitem(_unet_sites.PATTERNS, "cross_attention", r"^nowhere$")
    for chosen in (selection("cross_attention"), selection("lora")):
        with pytest.raises(NotYetSupported, match="no cross_attention layer was found") as error:
            chosen.select(handle(), REQUEST)
        assert "\n" not in str(error.value)


def test_saliency_ranks_the_unets_weights_by_the_denoising_loss():
    """Against the obvious way: the whole gradient in one list, sorted."""
    model, chosen = handle(), selection("saliency", share=0.25, batch=3, draws=2)
    trainable = chosen.select(model, REQUEST)
    latents = chosen._latents(model, REQUEST.forget)
    student = model.clone()
    for k in range(2):
        (denoising_loss(student, REQUEST.forget, latents, Dice(0, k, "saliency")) / 2).backward()
    gradients = {n: p.grad.abs() for n, p in student.named_parameters() if n.startswith("unet.")}
    ranked = torch.cat([g.flatten() for g in gradients.values()]).sort(descending=True).values
    border = ranked[round(0.25 * len(ranked)) - 1]
    assert trainable.masks.keys() == gradients.keys() == loose(trainable)
    wrong = sum(int((trainable.masks[n] != (g >= border)).sum()) for n, g in gradients.items())
    assert wrong <= 2  # two sums of gradients differ in the last bit
    assert all(p.grad is None for p in (*model.module.parameters(), *model.vae.parameters()))


def test_lora_changes_each_target_by_a_matrix_of_its_rank_and_nothing_else():
    model = handle()
    trainable = selection("lora", rank=2, image_targets="cross_attention.key_value").select(model, REQUEST)
    student, embedded, x = trainable.model, model.embed(["a ring"]), model.start([1])
    held = {p.data_ptr() for p in model.module.parameters()}
    with torch.no_grad():
        assert torch.equal(student.output(x, 500, embedded), model.output(x, 500, embedded))
        for name, p in student.named_parameters():
            assert p.requires_grad == ("lora_" in name) and p.requires_grad == (p.data_ptr() not in held)
            if p.requires_grad:
                p.copy_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(len(name))))
        answer = student.output(x, 500, embedded)
        with adapters.switched_off(student):
            assert torch.equal(student.output(x, 500, embedded), model.output(x, 500, embedded))
        assert torch.equal(student.output(x, 500, embedded), answer)
        merged = trainable.finish(student)
        assert torch.allclose(merged.output(x, 500, embedded), answer, atol=1e-4)
        assert not torch.allclose(model.output(x, 500, embedded), answer, atol=1e-3)
    targets = {f"{s.name}.weight" for s in model.sites("cross_attention.key_value")}
    for (name, new), (same, old) in zip(merged.named_parameters(), model.named_parameters(), strict=True):
        change = (new - old).double()
        rank = int(torch.linalg.matrix_rank(change, rtol=1e-5)) if new.ndim == 2 else int(not torch.equal(new, old))
        assert name == same and rank == (2 if name in targets else 0), name
        assert new.data_ptr() != old.data_ptr()


def test_lora_refuses_targets_it_does_not_know():
    with pytest.raises(BadInput, match="image_targets 'heads': expected one or more of cross_attention"):
        selection("lora", image_targets="heads").select(handle(), REQUEST)
