"""The trajectory cache holds what separate passes of the frozen model would say, and draws by seed and step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

import _tiny_pipelines
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Request, Sample, Samples
from rasura.models.text_to_image import TextToImage
from rasura.observations._engine import Engine
from rasura.training.frozen_images import Dice, FrozenImages, denoising_loss
from rasura.training.trajectories import Pool, Trajectories

PROMPTS = ("a red ring", "a cat")
RECIPE = Trajectories(n=2, steps=5, guidance=3.0)


def handle(kind: str = "sd1", prediction: str = "v_prediction") -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(prediction=prediction), name=kind)


def pool(model: TextToImage, recipe: Trajectories = RECIPE) -> Pool:
    return FrozenImages(model, Engine()).trajectories(PROMPTS, recipe)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_cached_branches_are_what_separate_passes_say(kind, prediction):
    model = handle(kind, prediction)
    drawn = pool(model)
    assert len(drawn) == 2 * 2 * 5
    at = drawn.tuples(list(range(20)))
    assert Counter(at.prompts) == {p: 10 for p in PROMPTS}
    with torch.no_grad():
        for i in range(20):
            x, t = at.x[i : i + 1], int(at.t[i])
            alone = model.output(x, t, model.nothing()), model.output(x, t, model.embed([at.prompts[i]]))
            for ours, theirs in zip((at.unconditional[i], at.conditional[i]), alone, strict=True):
                assert float((ours - theirs[0]).norm() / theirs.norm()) < 2e-6


def test_tuples_lie_on_the_guided_ddim_path():
    """One step from tuple i by the sampler's own rule is tuple i + 1; the last one ends in the clean latent."""
    model = handle()
    drawn = pool(model)
    at, times = drawn.tuples(list(range(5))), model.schedule.timesteps(5)
    assert at.t.tolist() == times
    guided = at.unconditional + 3.0 * (at.conditional - at.unconditional)
    for i, t in enumerate(times):
        moved = model.schedule.move(guided[i : i + 1], at.x[i : i + 1], t, model.schedule.before(t, 5))
        after = at.x[i + 1] if i < 4 else drawn._latents(drawn.data.clean)[0]
        assert torch.allclose(moved[0], after, atol=1e-5)


def test_it_is_one_pass_kept_by_content(tmp_path):
    from rasura.core.store import Store

    model, ask = handle(), Ask(RECIPE)
    samples = Samples.of(PROMPTS)
    first, again = Engine(Store(str(tmp_path))), Engine(Store(str(tmp_path)))
    a, b = (e.observe(ask, {"target": model}, samples) for e in (first, again))
    assert [p.computed for p in (*first.passes, *again.passes)] == [2, 0]
    for name in ("latents", "unconditional", "conditional", "clean", "timesteps"):
        assert np.array_equal(getattr(a, name).values, getattr(b, name).values), name


def test_a_prompts_trajectories_do_not_depend_on_company():
    model = handle()
    together = RECIPE.measure(model, Samples.of(PROMPTS))
    alone = RECIPE.measure(model, Samples.of(PROMPTS[1:]))
    assert np.allclose(together.latents[1], alone.latents[0], atol=1e-5)
    assert RECIPE.start("a", 0) != RECIPE.start("a", 1) != Trajectories(seed=1).start("a", 1)


def test_draws_come_from_seed_and_step_and_use_every_tuple_once():
    drawn = pool(handle())
    torch.manual_seed(0)
    one = drawn.draw(7, 3, seed=1)
    torch.manual_seed(1)
    two = drawn.draw(7, 3, seed=1)
    assert torch.equal(one.x, two.x) and one.prompts == two.prompts
    assert not torch.equal(one.x, drawn.draw(7, 3, seed=2).x)
    seen = torch.cat([drawn.draw(k, 5).x for k in range(4)]).flatten(1)
    assert len({tuple(row[:8].tolist()) for row in seen}) == 20


def test_ends_alone_can_be_kept():
    model = handle()
    whole, ends = pool(model), pool(model, Trajectories(n=2, steps=5, guidance=3.0, tuples=False))
    assert len(ends) == 0 and len(ends.data.latents.values) == 0
    prompts, clean = ends.pictures(0, 4)
    assert Counter(prompts) == {p: 2 for p in PROMPTS} and clean.shape == (4, 4, 8, 8)
    assert np.array_equal(whole.data.clean.values, ends.data.clean.values)


def test_a_model_that_is_broken_is_one_clear_line():
    model = handle()
    with torch.no_grad():
        model.unet.conv_in.weight.fill_(float("nan"))
    with pytest.raises(BadInput, match=r"^no trajectory could be drawn: the model's answer is not finite") as error:
        pool(model)
    assert "\n" not in str(error.value)


def test_the_denoising_loss_by_hand():
    """A network that says 0 everywhere (epsilon) misses the noise by its mean square."""
    model = handle(prediction="epsilon")
    with torch.no_grad():
        model.unet.conv_out.weight.zero_(), model.unet.conv_out.bias.zero_()
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = denoising_loss(model, Samples.of(["a", "a cat", "a dog"]), latents, Dice(0, 0, "x"))
    dice = Dice(0, 0, "x")
    dice.timesteps(3, 1000)
    assert float(loss) == pytest.approx(float(dice.noise(latents.shape).square().mean()), rel=1e-6)


def test_dice_depend_on_step_name_and_seed_alone():
    def roll(*key) -> tuple[float, ...]:
        return tuple(Dice(*key).noise((3,)).tolist())

    keys = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]
    assert len({roll(*k) for k in keys}) == 4 and all(roll(*k) == roll(*k) for k in keys)


def test_a_concept_that_is_missing_is_one_clear_line():
    frozen = FrozenImages(handle(), None, Request(Samples([Sample("a", "a ring")]), Samples()))
    with pytest.raises(BadInput, match="needs the phrase to erase: give a concept"):
        _ = frozen.concept
