"""Membranes compose as changes: 0 is the identity, 1 the trained adapter, two add up, and gamma is applied once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import _tiny_pipelines
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.types import Request, Samples
from rasura.erasers.adapters._membranes import KINDS, Membranes
from rasura.models.text_to_image import TextToImage
from rasura.training.frozen_images import Dice
from rasura.training.loop import Loop, pinned_threads

REQUEST = Request(Samples.of(["a ring"]), Samples.of(["a cat"]), concept="ring")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with pinned_threads(1):
        yield


def handle(kind: str = "sd1") -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(prediction="v_prediction"), name=kind)


MODEL = handle()


def membranes(seed: int = 0, concept: str = "ring", model: TextToImage = MODEL, kinds=KINDS, size=0.2) -> Membranes:
    names = tuple(s.name for kind in kinds for s in model.sites(kind))
    generator = torch.Generator().manual_seed(seed)
    shapes = [model.module.get_submodule(n).weight.shape for n in names]
    up = tuple(size * torch.randn(o, 1, generator=generator) for o, _ in shapes)
    down = tuple(size * torch.randn(1, i, generator=generator) for _, i in shapes)
    return Membranes(concept, (concept,), names, up, down, 1.0)


def answer(model: TextToImage, prompts=("a ring", "a cat")) -> torch.Tensor:
    with torch.no_grad():
        return model.output(MODEL.start(range(len(prompts))), 400, model.embed(prompts))


def at(m: Membranes, gamma: float) -> torch.Tensor:
    with m.at(MODEL, torch.full((2,), gamma)):
        return answer(MODEL)


def test_strength_0_is_the_identity_and_1_the_merged_weights():
    m = membranes()
    assert torch.equal(at(m, 0.0), answer(MODEL))
    merged = m.merged(MODEL)
    assert torch.allclose(at(m, 1.0), answer(merged), atol=1e-4)
    assert not torch.allclose(at(m, 1.0), answer(MODEL), atol=1e-2)
    assert merged.fingerprint != MODEL.fingerprint


@settings(max_examples=10)
@given(gamma=st.floats(0.05, 0.95))
def test_gamma_is_applied_once_and_not_squared(gamma):
    """One layer: its answer at gamma lies gamma of the way from off to on. Scaling both factors gives gamma^2."""
    name = MODEL.sites("cross_attention.key_value")[0].name
    one = _only(membranes(), name)
    layer, x = MODEL.module.get_submodule(name), torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        off = layer(x)
        with one.at(MODEL, torch.ones(1)):
            on = layer(x)
        with one.at(MODEL, torch.tensor([gamma])):
            between = layer(x)
    share = ((between - off) * (on - off)).sum() / (on - off).square().sum()
    assert float(share) == pytest.approx(gamma, rel=1e-3) and abs(gamma - gamma**2) > 0.04


def _only(m: Membranes, *names: str) -> Membranes:
    at = [m.names.index(n) for n in names]
    return Membranes(m.concept, m.phrases, names, tuple(m.up[i] for i in at), tuple(m.down[i] for i in at), m.scale)


@settings(max_examples=10)
@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_two_membranes_add_up_as_changes(first, second):
    """On one layer the change of both is the sum of each one's; adding factors would leave cross terms u_1 a_2."""
    name = MODEL.sites("feed_forward.out")[0].name
    a, b = _only(membranes(1), name), _only(membranes(2), name)
    layer = MODEL.module.get_submodule(name)
    x = torch.randn(1, 4, layer.in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        off = layer(x)
        changes = []
        for m, gamma in ((a, first), (b, second)):
            with m.at(MODEL, torch.tensor([gamma])):
                changes.append(layer(x) - off)
        with a.at(MODEL, torch.tensor([first])), b.at(MODEL, torch.tensor([second])):
            both = layer(x) - off
    assert torch.allclose(both, sum(changes), atol=1e-5)
    expected = sum(
        g * (x @ m.down[0].T @ m.up[0].T) for m, g in ((a, first), (b, second))
    )  # sum of gamma_k u_k (a_k^T x)
    assert torch.allclose(both, expected, atol=1e-5)


def test_two_guards_on_one_handle_add_up_and_the_caller_is_not_guarded():
    a, b = membranes(1, size=0.05), membranes(2, "cross", size=0.05)
    both = MODEL.with_guard(a).with_guard(b)
    with torch.no_grad():
        embedded = MODEL.embed(["a ring", "a cross"])
        with a.at(MODEL, a.strength(MODEL, embedded)), b.at(MODEL, b.strength(MODEL, embedded)):
            expected = answer(MODEL, ("a ring", "a cross"))
    assert torch.allclose(answer(both, ("a ring", "a cross")), expected, atol=1e-6)
    assert both.fingerprint != MODEL.with_guard(a).fingerprint != MODEL.fingerprint
    plain = answer(MODEL, ("a ring", "a cross"))
    assert not torch.allclose(plain, expected, atol=1e-3)
    assert not any(m._forward_hooks for m in MODEL.unet.modules())


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_strengths_by_hand(kind):
    """1 where the concept is named, 0 for nothing, a share of its tokens in between, each row its own."""
    model = handle(kind)
    m = Membranes("red ring", ("red ring",), (), (), (), 1.0)
    with torch.no_grad():
        gamma = m.strength(model, model.embed(["a red ring", "", "a ring", "a red ring"]))
        unconditional = m.strength(model, model.nothing(2))
    assert gamma[[0, 3]].tolist() == pytest.approx([1, 1]) and float(gamma[1]) == pytest.approx(0, abs=1e-4)
    assert 0.5 <= float(gamma[2]) <= 1 and unconditional.tolist() == pytest.approx([0, 0], abs=1e-4)


def test_without_calibration_any_two_prompts_are_alike():
    """They share start, end and padding: the cosine of whole embeddings says little, that of differences more."""
    with torch.no_grad():
        cat = MODEL.embed(["a cat"])
        ours = Membranes("ring", ("ring",), (), (), (), 1.0).strength(MODEL, cat)
        theirs = Membranes("ring", ("ring",), (), (), (), 1.0, calibrated=False).strength(MODEL, cat)
    assert float(theirs) > float(ours) + 0.2


def test_a_membrane_is_a_small_file(tmp_path):
    m, path = membranes(), str(tmp_path / "ring.safetensors")
    m.save(path)
    again = Membranes.load(path)
    assert again.digest == m.digest and repr(again) == repr(m) and again.phrases == ("ring",)
    assert torch.equal(answer(MODEL.with_guard(again)), answer(MODEL.with_guard(m)))
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(BadInput, match="no file of membranes"):
        Membranes.load(str(tmp_path / "x.safetensors"))


def test_hooks_are_gone_after_a_failure():
    guarded = MODEL.with_guard(membranes())
    with pytest.raises(RuntimeError):
        guarded.output(torch.zeros(1, 3, 8, 8), 5, guarded.embed(["a ring"]))
    assert not any(m._forward_hooks for m in MODEL.unet.modules())


def spm(**more):
    if "spm" not in registry.names("erasers.adapters"):
        pytest.skip("spm is not installed")
    quick = {"sampling_steps": 3, "trajectories": 1, "loop": Loop(steps=3, learning_rate=1e-2)}
    return registry.make("erasers.adapters", "spm", {**quick, **more})


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_the_trained_adapter_beside_the_weights_and_in_them_are_one(kind):
    model = handle(kind)
    beside, inside = (spm(merged=merged).apply(model, REQUEST, seed=1) for merged in (False, True))
    assert torch.allclose(answer(beside, ("a ring",)), answer(inside, ("a ring",)), atol=1e-4)
    with torch.no_grad():
        x = model.start([0])
        assert torch.equal(beside.output(x, 300, beside.nothing()), model.output(x, 300, model.nothing()))
        assert not torch.equal(inside.output(x, 300, inside.nothing()), model.output(x, 300, model.nothing()))
    with pytest.raises(BadInput, match="a guard is not in the weights"):
        beside.save("nowhere")


def test_anchors_are_as_long_as_the_concept_and_not_alike():
    spm()
    anchors = registry.module_of("erasers.adapters", "spm").anchors
    with torch.no_grad():
        concept = handle("sdxl").embed(["a ring"])
    drawn = anchors(concept, 4, Dice(0, 0, "anchors"))
    ratio = drawn.hidden.flatten(1).norm(dim=1) / concept.hidden.norm()
    assert drawn.hidden.shape == (4, *concept.hidden.shape[1:]) and drawn.pooled.shape == (4, 24)
    assert bool(((ratio > 0.799) & (ratio < 1.201)).all())
    assert torch.equal(drawn.hidden, anchors(concept, 4, Dice(0, 0, "anchors")).hidden)


def test_the_surrogate_is_what_the_target_starts_from():
    """With the surrogate as concept and eta 0, the target is what the model says already: no loss, no change."""
    told = spm(surrogate="ring", eta=0.0, templates=("{}",), anchoring=0.0, loop=Loop(steps=1)).run(MODEL, REQUEST)
    assert told.transcript.steps[0].forget == pytest.approx(0, abs=1e-10)
    with pytest.raises(BadInput, match="rank is 0"):
        spm(rank=0).apply(MODEL, REQUEST)
