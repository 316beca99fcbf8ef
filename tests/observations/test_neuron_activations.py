"""Column norms of feed-forward inputs, against the obvious way, and no hook left behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _tiny_pipelines
from rasura.core.types import Ask, Samples
from rasura.models.text_to_image import TextToImage
from rasura.observations._engine import Engine
from rasura.observations.neuron_activations import NeuronActivations

LOOK = NeuronActivations(steps=4, stop=2, n=2)


def handle(kind: str = "sd1") -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(prediction="v_prediction"), name=kind)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_one_row_a_prompt_whatever_the_batch(kind):
    model, samples = handle(kind), Samples.of(["a red ring", "a cat", "a dog"])
    data = Engine(token_budget=64).observe(Ask(LOOK), {"target": model}, samples)
    widths = [model.module.get_submodule(s.name).weight.shape[1] for s in model.sites("feed_forward.out")]
    assert data.squares.lengths.tolist() == [2 * sum(widths)] * 3
    together = LOOK.measure(model, samples)
    assert np.allclose(together.squares.values, data.squares.values, rtol=1e-4, atol=1e-6)


def test_rows_of_length_one_sum_to_the_number_of_positions():
    """Every position's activations are divided by their length, so a layer's squares add up to its positions."""
    model = handle()
    row = LOOK.measure(model, Samples.of(["a ring"])).squares[0].reshape(2, -1)
    at = 0
    for site in model.sites("feed_forward.out"):
        width = model.module.get_submodule(site.name).weight.shape[1]
        total = row[:, at : at + width].sum(1)
        positions = {64, 16}  # 8 x 8 and, one level down, 4 x 4
        assert {round(float(t) / LOOK.n, 2) for t in total} <= positions
        at += width


def test_only_the_branch_with_the_prompt_is_looked_at():
    """At the first step, before guidance has moved anything, the squares are those of one plain pass."""
    from rasura.core.types import digest

    model, name = handle(), handle().sites("feed_forward.out")[0].name
    seen = []
    x = model.start([int(digest(["neurons", 0, 0])[:8], 16)])
    hook = model.module.get_submodule(name).register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.output(x, model.schedule.timesteps(4)[0], model.embed(["a ring"]))
    hook.remove()
    unit = torch.nn.functional.normalize(seen[0][0], dim=-1)
    found = NeuronActivations(steps=4, stop=1).measure(model, Samples.of(["a ring"])).squares[0]
    assert np.allclose(found[: unit.shape[1]], unit.square().sum(0).numpy(), rtol=1e-3, atol=1e-6)


def test_no_hook_is_left_even_after_a_failure():
    model = handle()
    before = [len(m._forward_pre_hooks) for m in model.unet.modules()]
    LOOK.measure(model, Samples.of(["a ring"]))
    with pytest.raises(RuntimeError):
        LOOK.measure(_Broken(model), Samples.of(["a ring"]))
    assert [len(m._forward_pre_hooks) for m in model.unet.modules()] == before


class _Broken:
    """A handle whose network fails."""

    def __init__(self, model: TextToImage) -> None:
        self.model = model

    def __getattr__(self, name: str):
        return getattr(self.model, name)

    def both(self, *_args):
        raise RuntimeError("out of something")


def test_what_is_not_finite_is_an_empty_row():
    model = handle()
    with torch.no_grad():
        model.unet.conv_in.weight.fill_(float("nan"))
    data = LOOK.measure(model, Samples.of(["a ring"]))
    assert data.squares.lengths.tolist() == [0] and "not finite" in data.reason[0]
