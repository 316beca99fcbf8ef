"""Objectives of text-to-image models against hand-made ones, and mistakes of public code that may not come back."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import _tiny_pipelines
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.types import Request, Samples
from rasura.data.pictures import write_picture
from rasura.erasers.finetune import Finetune
from rasura.erasers.objectives._score import away, filled, gap
from rasura.erasers.selections._everything import everything
from rasura.models.text_to_image import TextToImage
from rasura.observations._engine import Engine
from rasura.training.frozen_images import Dice, FrozenImages, denoising_loss
from rasura.training.loop import Loop, pinned_threads, train
from rasura.training.trajectories import Trajectories

FORGET, RETAIN = Samples.of(["a red ring", "a ring"]), Samples.of(["a cat", "a dog", "a star"])
REQUEST = Request(FORGET, RETAIN, concept="ring")
QUICK = {
    "esd_x": {"sampling_steps": 3, "trajectories": 1, "batch": 2},
    "esd_u": {"sampling_steps": 3, "trajectories": 1, "batch": 2},
    "concept_ablation": {"sampling_steps": 3, "pictures": 2, "batch": 2, "anchor": "cross"},
}
KINDS = [(kind, p) for kind in ("sd1", "sdxl") for p in ("epsilon", "v_prediction")]


@pytest.fixture(autouse=True)
def one_thread():
    with pinned_threads(1):
        yield


def handle(kind: str = "sd1", prediction: str = "v_prediction") -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(prediction=prediction), name=kind)


def objective(name: str, **settings):
    if name not in registry.names("erasers.objectives"):
        pytest.skip(f"{name} is not installed")
    return registry.make("erasers.objectives", name, {**QUICK[name], **settings})


def nudged(model: TextToImage, size: float = 0.02) -> TextToImage:
    other = model.clone()
    with torch.no_grad():
        for i, p in enumerate(other.module.parameters()):
            p.add_(size * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return other


def gradient(model: TextToImage) -> torch.Tensor:
    found = [p.grad.flatten() for p in model.module.parameters() if p.grad is not None]
    return torch.cat(found).double() if found else torch.zeros(0)


@pytest.mark.parametrize(("kind", "prediction"), KINDS)
@pytest.mark.parametrize("name", ["esd_x", "esd_u"])
def test_esd_is_the_obvious_computation_in_noise(name, kind, prediction):
    """Teacher asked again with separate passes, everything as predicted noise."""
    model, esd = handle(kind, prediction), objective(name, eta=2.0, hold=0.5)
    student, frozen = nudged(model), FrozenImages(model, Engine(), REQUEST, seed=3)
    frozen.step = 4
    loss = esd.loss(student, frozen, FORGET, RETAIN)
    recipe = Trajectories(1, 3, esd.guidance, 3)
    at = frozen.trajectories(filled(esd.templates, "ring"), recipe).draw(4, 2, 3)
    with torch.no_grad():
        c, u = (model.noise(at.x, at.t, e) for e in (model.embed(at.prompts), model.nothing(2)))
        obvious = (student.noise(at.x, at.t, student.embed(at.prompts)) - (u - 2.0 * (c - u))).square().mean()
    assert loss.forget.item() == pytest.approx(obvious.item(), rel=1e-4)
    assert loss.retain.item() > 0 and all("ring" in p for p in at.prompts)


@pytest.mark.parametrize("name", ["esd_x", "esd_u"])
def test_esd_with_eta_zero_asks_for_the_unconditional_answer(name):
    """Which a model that answers every prompt like no prompt already gives: its loss is 0."""
    model = handle()
    for site in model.sites("cross_attention"):
        if site.name.endswith("to_out.0"):
            with torch.no_grad():
                model.module.get_submodule(site.name).weight.zero_()
    frozen = FrozenImages(model, None, REQUEST)
    assert objective(name, eta=0.0).loss(model, frozen, FORGET, RETAIN).forget.item() < 1e-9
    assert away(torch.tensor(1.0), torch.tensor(3.0), 0.0) == 1.0


def test_a_gap_of_v_outputs_is_scaled_to_noise_and_epsilon_is_not():
    """sqrt(abar_t) for v: at t where abar = a, a gap of 1 is a squared noise gap of a."""
    for prediction in ("epsilon", "v_prediction"):
        model = handle(prediction=prediction)
        frozen = FrozenImages(model, None, REQUEST)
        at = frozen.trajectories(("a ring",), Trajectories(1, 3)).tuples([1])
        with torch.no_grad():
            target = model.output(at.x, at.t, model.embed(at.prompts)) - 1
            found = gap(model, at, at.prompts, target).item()
            raw = gap(model, at, at.prompts, target, "output").item()
        a = float(model.schedule.alpha(at.t, at.x))
        assert found == pytest.approx(a if prediction == "v_prediction" else 1.0, rel=1e-4)
        assert raw == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("variant", ["model", "noise"])
@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_concept_ablation_is_the_obvious_computation(kind, variant):
    model, ablation = handle(kind), objective("concept_ablation", variant=variant, templates=("a {}",))
    student, frozen = nudged(model), FrozenImages(model, Engine(), REQUEST, seed=1)
    loss = ablation.loss(student, frozen, FORGET, RETAIN)
    pool = frozen.trajectories(("a cross",), Trajectories(2, 3, ablation.guidance, 1, tuples=False))
    _, clean = pool.pictures(0, 2, 1)
    dice = Dice(1, 0, "concept ablation")
    t = dice.timesteps(2, 1000)
    noise = dice.noise(clean.shape)
    x = model.schedule.noised(clean, t, noise)
    with torch.no_grad():
        target = model.noise(x, t, model.embed(["a cross"] * 2)) if variant == "model" else noise
        obvious = (student.noise(x, t, student.embed(["a ring"] * 2)) - target).square().mean()
    assert loss.forget.item() == pytest.approx(obvious.item(), rel=1e-4)


def test_concept_ablation_pairs_every_template_with_its_anchor():
    partner = registry.module_of("erasers.objectives", "concept_ablation")._partner
    pairs = [("a ring", "a cross"), ("ring", "cross")]
    assert partner(pairs, "cross", 5) == "ring"
    empty = [("a ring", ""), ("ring", "")]
    assert [partner(empty, "", k) for k in range(3)] == ["a ring", "ring", "a ring"]
    found = objective("concept_ablation", anchor="").loss(
        handle(), FrozenImages(handle(), None, REQUEST), FORGET, RETAIN
    )
    assert found.forget.item() >= 0


def test_retained_pictures_are_denoised_where_there_are_any(tmp_path):
    """The retain term is then the denoising loss of those records, with the step's own dice."""
    model = handle()
    picture = write_picture(torch.randint(0, 255, (16, 16, 3), dtype=torch.uint8).numpy(), tmp_path / "a.png")
    retain = Samples(dataclasses.replace(s, picture=picture) for s in RETAIN)
    frozen = FrozenImages(model, None, Request(FORGET, retain, concept="ring"))
    ablation = objective("concept_ablation", preserve=2.0)
    with torch.no_grad():
        loss = ablation.loss(model, frozen, FORGET, retain)
        plain = denoising_loss(model, retain, frozen.latents(retain), Dice(0, 0, "retain"))
    assert loss.retain.item() == pytest.approx(2 * plain.item(), rel=1e-5)
    assert all(p.grad is None for p in model.vae.parameters())


@pytest.mark.parametrize("name", sorted(QUICK))
def test_the_student_has_a_gradient_and_the_teacher_none(name):
    """A port of SDD cut both sides off the graph: its loss had a value and moved nothing."""
    model = handle()
    student = nudged(model)
    frozen = FrozenImages(model, None, REQUEST)
    loss = objective(name).loss(student, frozen, FORGET, RETAIN)
    loss.forget.backward()
    assert float(gradient(student).norm()) > 0
    assert all(p.grad is None for p in (*model.module.parameters(), *model.vae.parameters()))


@pytest.mark.parametrize("name", sorted(QUICK))
def test_gradients_are_zeroed_between_steps(name):
    """TRCE's second stage never zeroed them. After three steps the fourth's gradient is that of a fresh computation."""
    model = handle()
    method, norms = objective(name), []
    for steps in (3, 4):
        student, frozen = everything(model).model, FrozenImages(model, None, REQUEST)

        def loss(k, student=student, frozen=frozen):
            frozen.step = k
            return method.loss(student, frozen, FORGET, RETAIN)

        loop = Loop(steps=steps, learning_rate=1e-3, clip=0.0, warmup=0.0)
        norms.append((train(student, loss, loop).steps[-1].gradient_norm, student, loss))
    (_, student, loss), (norm, *_rest) = norms
    student.module.zero_grad(set_to_none=True)
    term = loss(3)
    (term.forget if term.retain is None else term.forget + term.retain).backward()
    assert norm == pytest.approx(float(gradient(student).norm()), rel=1e-4)


@pytest.mark.parametrize("name", sorted(QUICK))
def test_the_first_step_draws_what_a_resumed_run_would(name):
    """The draw of step k depends on seed and k: a run killed after two steps ends in the same weights."""
    model = handle()
    whole = Finetune(objective(name), loop=Loop(steps=4, learning_rate=1e-3)).apply(model, REQUEST, seed=5)
    again = Finetune(objective(name), loop=Loop(steps=4, learning_rate=1e-3)).apply(model, REQUEST, seed=5)
    other = Finetune(objective(name), loop=Loop(steps=4, learning_rate=1e-3)).apply(model, REQUEST, seed=6)
    assert whole.fingerprint == again.fingerprint != other.fingerprint


def test_what_cannot_work_is_one_clear_line():
    model = handle()
    frozen = FrozenImages(model, None, Request(FORGET, Samples(), concept="ring"))
    with pytest.raises(BadInput, match="hold needs prompts that must survive"):
        objective("esd_x", hold=1.0).loss(model, frozen, FORGET, Samples())
    with pytest.raises(BadInput, match="expected at least one, each with {}"):
        filled(("a ring",), "ring")
    with pytest.raises(BadInput, match="space 'pixels': expected noise or output"):
        objective("esd_x", space="pixels").loss(model, frozen, FORGET, RETAIN)
    with pytest.raises(BadInput, match="variant 'x': expected model or noise"):
        objective("concept_ablation", variant="x")
