"""The shared text map T: its algebra, its three forms on Stable Diffusion and SDXL pipelines, and what T^-1 gives away."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import _tiny_pipelines
from rasura.core.errors import BadInput
from rasura.models import text_map as module
from rasura.models.text_map import TextMap, gram, weights, with_lora
from rasura.models.text_to_image import TextToImage

KINDS = ("sd1", "sdxl")
PROMPTS = ["a red ring", "a photo of a blue cat"]
SEEDS = [3, 4]


def handle(kind: str) -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(), name=kind)


def edit(model: TextToImage, texts=("ring", ""), scale: float = 20.0) -> TextMap:
    """All positions of one text towards another's: strong enough to be seen, the empty prompt's own rows among them."""
    with torch.no_grad():
        source, target = model.encode_prompts(texts).hidden
    return TextMap.of_rows(source, target + 1, scale, 0.1)


def drawn(model: TextToImage, embedded=None) -> torch.Tensor:
    with torch.no_grad():
        return model.sample(embedded or model.embed(PROMPTS), SEEDS, steps=4, guidance=3.0)


def rows(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow(source, target, scale, ridge, weight, kept=(), kept_scale=1.0):
    """W' by the normal equations of one layer, with sums of outer products."""
    left, right = ridge * weight, ridge * np.eye(weight.shape[1])
    for c, g, s in zip(source, target, scale, strict=True):
        left, right = left + s * np.outer(weight @ g, c), right + s * np.outer(c, c)
    for c in kept:
        left, right = left + kept_scale * np.outer(weight @ c, c), right + kept_scale * np.outer(c, c)
    return left @ np.linalg.inv(right)


# algebra


@settings(max_examples=40)
@given(st.integers(1, 7), st.integers(0, 6), st.integers(3, 30), st.floats(0.05, 5.0), st.integers(0, 99))
def test_both_routes_are_the_slow_obvious_solve(m, n, d, ridge, seed):
    c, g, kept, w = rows(m, d, seed), rows(m, d, seed + 1), rows(n, d, seed + 2), rows(5, d, seed + 3)
    scale = rows(1, m, seed + 4)[0].abs() + 0.1
    both, weights = torch.cat([c, kept]), torch.cat([scale, torch.full((n,), 0.7, dtype=torch.float64)])
    expected = slow(c.numpy(), g.numpy(), scale.numpy(), ridge, w.numpy(), kept.numpy(), 0.7)
    for solve in (module._push_through, module._dense):
        t = TextMap((g - c).T, solve(both, weights, m, ridge, None)[0])
        np.testing.assert_allclose(t.of_weight(w).numpy(), expected, rtol=1e-8, atol=1e-9)
    chosen = TextMap.of_rows(c, g, scale, ridge, kept=kept, kept_scale=0.7)
    folded = TextMap.of_rows(c, g, scale, ridge, moment=0.7 * kept.T @ kept)
    np.testing.assert_allclose(chosen.matrix, folded.matrix, rtol=1e-8, atol=1e-9)


def test_the_condition_number_is_that_of_m():
    """Both routes, against numpy's of M itself; of a composition the worse one."""
    for m, d in ((3, 20), (9, 12)):
        c = rows(m, d)
        t = TextMap.of_rows(c, rows(m, d, 1), 2.0, 0.3)
        expected = np.linalg.cond(0.3 * np.eye(d) + 2 * (c.T @ c).numpy())
        assert t.condition == pytest.approx(expected, rel=1e-9)
    easy = TextMap.of_rows(0.01 * rows(1, d), rows(1, d, 1), 1.0, 1.0)
    assert (t @ easy).condition == (easy @ t).condition == t.condition > easy.condition


def test_rank_and_distance():
    """As many dimensions as edited rows; rows given twice, and kept ones, add none; |T - I|_F of the dense matrix."""
    c, g = rows(4, 30), rows(4, 30, 1)
    t = TextMap.of_rows(c, g, 1.0, 0.5, kept=rows(6, 30, 2))
    assert t.rank == 4 and TextMap.of_rows(c.repeat(3, 1), g.repeat(3, 1), 1.0, 0.5).rank == 4
    assert t.distance == pytest.approx(float((t.matrix - torch.eye(30)).norm()), rel=1e-12)
    a, b = t.thin
    assert torch.allclose(a @ b + torch.eye(30), t.matrix, atol=1e-12) and torch.allclose(
        b @ b.T, torch.eye(4).double()
    )
    assert TextMap.of_rows(c, c, 1.0, 0.5).rank == 0 and TextMap.of_rows(c, c, 1.0, 0.5).distance == 0


def test_an_edit_of_an_edited_model_is_the_product():
    """W T_1, then an edit solved on those weights: W T_1 T_2, also when inner dimensions outgrow d."""
    w, d = rows(6, 8), 8
    total, weight = None, w.numpy()
    for k in range(4):
        c, g = rows(3, d, 10 + k), rows(3, d, 20 + k)
        weight = slow(c.numpy(), g.numpy(), [1.0] * 3, 0.4, weight)
        new = TextMap.of_rows(c, g, 1.0, 0.4)
        total = new if total is None else total @ new
    assert total.left.shape == (8, 8)
    np.testing.assert_allclose(total.of_weight(w), weight, rtol=1e-8, atol=1e-10)


def test_inverse_undoes_the_map():
    t = TextMap.of_rows(rows(3, 20), rows(3, 20, 1), 1.0, 0.5)
    assert torch.allclose((t @ t.inverse).matrix, torch.eye(20).double(), atol=1e-10)
    singular = TextMap.of_matrix(torch.diag(torch.tensor([1.0, 2.0, 0.0])))
    assert torch.allclose(singular.inverse.matrix, torch.diag(torch.tensor([1.0, 0.5, 0.0])).double())


def test_bad_rows_are_refused():
    c = rows(2, 5)
    for source, target, scale, ridge, message in (
        (c, rows(3, 5), 1.0, 0.1, "expected two"),
        (c[:0], c[:0], 1.0, 0.1, "expected two"),
        (c, c, -1.0, 0.1, "negative"),
        (c, c, 1.0, float("nan"), "negative"),
        (c, c, 1.0, 0.0, "give a larger one"),
    ):
        with pytest.raises(BadInput, match=message):
            TextMap.of_rows(source, target, scale, ridge)


# forms


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_hook_and_adapter_draw_the_same(kind, tmp_path):
    """Latents of the edited weights, of the hooked prompts, and of a fresh plain pipeline with the LoRA file loaded."""
    model = handle(kind)
    plain, t = drawn(model), edit(model)
    edited, hooked = drawn(t.in_place(model)), drawn(t.hook(model))
    assert float((edited - plain).abs().max()) > 0.05
    assert float((edited - hooked).abs().max()) < 1e-4
    file = t.as_lora(model, tmp_path)
    fresh = getattr(_tiny_pipelines, kind)()
    fresh.load_lora_weights(str(tmp_path))
    fresh.set_progress_bar_config(disable=True)
    theirs = fresh(
        PROMPTS,
        num_inference_steps=4,
        guidance_scale=3.0,
        latents=model.start(SEEDS),
        output_type="latent",
        height=16,
        width=16,
    ).images
    assert float((theirs - edited).abs().max()) < 1e-4
    fused = with_lora(model, file)
    assert float((drawn(fused) - edited).abs().max()) < 1e-4
    assert [n for n, _ in fused.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert torch.equal(drawn(model), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_the_adapter_has_exactly_the_maps_rank(kind, tmp_path):
    model = handle(kind)
    file = edit(model).as_lora(model, tmp_path)
    tensors = load_file(file)
    ranks = {t.shape[0] for n, t in tensors.items() if "lora_A" in n}
    assert ranks == {edit(model).rank} and len(tensors) == 2 * len(model.sites(module.KIND))
    downs = [t for n, t in tensors.items() if "lora_A" in n]
    assert all(torch.equal(downs[0], d) for d in downs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_unconditional_branch_moves_with_the_weights(kind):
    """The empty prompt's features through the hook are T times themselves; SDXL's zeros stay zeros, its pooled vector too."""
    model = handle(kind)
    t = edit(model)
    with torch.no_grad():
        before, after = model.nothing(2), t.hook(model).nothing(2)
    assert torch.allclose(after.hidden.double(), before.hidden.double() @ t.matrix.T, atol=1e-5)
    if kind == "sdxl":
        assert not after.hidden.any() and torch.equal(after.pooled, before.pooled)
    else:
        assert float((after.hidden - before.hidden).abs().max()) > 0.1


def test_without_the_unconditional_branch_hook_and_weights_differ():
    """Why ``also_nothing`` is there: leave it out and guidance pushes away from another point."""
    model = handle("sd1")
    t = edit(model)

    class Half(module.TextHook):
        also_nothing = False

    half = model.with_guard(Half(t))
    assert float((drawn(half) - drawn(t.in_place(model))).abs().max()) > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_only_key_and_value_weights_change(kind):
    model = handle(kind)
    before = {n: p.clone() for n, p in model.named_parameters()}
    t = edit(model)
    for keys in (True, False):
        after = dict(t.in_place(model, keys=keys).named_parameters())
        changed = {n.removesuffix(".weight") for n, p in before.items() if not torch.equal(after[n], p)}
        assert changed == {s.name for s in model.sites(module.KIND) if keys or s.name.endswith("to_v")}
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())


def test_a_hook_is_part_of_the_fingerprint_and_of_the_history():
    model = handle("sd1")
    one, other = edit(model), edit(model, ("cat", ""))
    assert one.hook(model).fingerprint == one.hook(model).fingerprint != other.hook(model).fingerprint
    assert one.hook(model).fingerprint != model.fingerprint
    assert one.hook(model, "mine").treatments == ("mine",) and model.guards == ()


def test_a_biased_layer_keeps_its_bias_once():
    """Public code asks for the biased answer W g + b as W' c and so adds b twice where the layer adds it again."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 4).double()
    c, g = rows(1, 6), rows(1, 6, 1)
    t = TextMap.of_rows(c, g, 1e9, 1e-3)  # so heavy a weight that the row is answered exactly
    right = c @ t.of_weight(layer.weight).T + layer.bias
    twice = torch.from_numpy(slow(c.numpy(), [np.zeros(6)], [0.0], 1.0, layer.weight.detach().numpy())) @ c.T
    assert torch.allclose(right, layer(g), atol=1e-6) and not torch.allclose(twice.T, layer(g))
    target = (layer(g) + layer.bias).detach()
    assert not torch.allclose(right, target, atol=1e-2)


def test_maps_and_models_of_other_widths_are_refused(tmp_path):
    model = handle("sd1")
    narrow = TextMap.of_rows(rows(1, 5), rows(1, 5, 1), 1.0, 0.1)
    for use in (narrow.in_place, narrow.hook, lambda m: narrow.as_lora(m, tmp_path)):
        with pytest.raises(BadInput, match="the map has width 5"):
            use(model)
    nothing = TextMap.of_matrix(torch.eye(32))
    with pytest.raises(BadInput, match="changes nothing"):
        nothing.as_lora(model, tmp_path)


# what the weights give away


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_is_read_off_two_checkpoints_and_undone(kind):
    """Least squares over all layers finds T, and T^-1 c in the edited model draws what c drew in the old one."""
    model = handle(kind)
    t = edit(model)
    edited = t.in_place(model)
    found, off = TextMap.between(model, edited)
    assert off < 1e-4 and torch.allclose(found.matrix, t.matrix, atol=1e-4)
    back = found.inverse.hook(edited)
    assert float((drawn(back) - drawn(model)).abs().max()) < 1e-3
    assert float((drawn(edited) - drawn(model)).abs().max()) > 0.05


def test_what_no_map_explains_is_told():
    model, other = handle("sd1"), handle("sd1").clone()
    with torch.no_grad():
        for site in other.sites(module.KIND):
            weight = other.module.get_submodule(site.name).weight
            weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(site.layer))
    assert TextMap.between(model, other)[1] > 0.5
    same, off = TextMap.between(model, model.clone())
    assert off == 0 and same.rank == 0
    assert torch.allclose(gram(model), sum(w.T @ w for w in weights(model))) and gram(model).shape == (32, 32)
    with pytest.raises(BadInput, match="different shapes"):
        TextMap.between(model, handle("sdxl"))
