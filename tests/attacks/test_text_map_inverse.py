"""Whoever may feed features undoes every edit that is one map of the text."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _tiny_pipelines
from rasura.attacks._drawing import draw_each
from rasura.core import registry
from rasura.core.errors import BadInput, NeedsRole
from rasura.core.types import Budget, Request, Sample, Samples
from rasura.models.text_map import TextMap
from rasura.models.text_to_image import TextToImage

FORGET = Samples([Sample("0", "a red ring", shows="ring"), Sample("1", "a photo of a ring", shows="ring")])
FREE = Budget()


class Judge:
    """Sees the class in pictures that are brighter at the top."""

    def sees(self, pictures: torch.Tensor, shows: str) -> torch.Tensor:
        return pictures[:, :, :8].mean((1, 2, 3)) > pictures[:, :, 8:].mean((1, 2, 3))


def attack(**settings):
    if "text_map_inverse" not in registry.names("attacks"):
        pytest.skip("text_map_inverse is not installed")
    return registry.make("attacks", "text_map_inverse", {"pictures": 3, "steps": 3, **settings})


def request(judge=None) -> Request:
    return Request(FORGET, Samples(), "ring", judge)


def original(kind: str = "sd1") -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)())


def edit(model: TextToImage) -> TextMap:
    with torch.no_grad():
        source, target = model.encode_prompts(["ring", ""]).hidden
    return TextMap.of_rows(source, target + 1, 5.0, 0.1)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_the_edited_model_draws_what_the_old_one_drew(kind):
    """Edited in place, and behind a hook, which the attacker leaves out."""
    before = original(kind)
    seen = draw_each(before, before.encode_prompts(FORGET.texts), FORGET, 3, seed=5, steps=3, guidance=4.0)
    for after in (edit(before).in_place(before), edit(before).hook(before)):
        plainly = draw_each(after, after.embed(FORGET.texts), FORGET, 3, seed=5, steps=3, guidance=4.0)
        assert np.abs(plainly.astype(int) - seen).max() > 5
        found = attack().attack(after, request(Judge()), FREE, seed=5, before=before)
        assert np.abs(found.pictures.astype(int) - seen).max() <= 1  # one step of 255: float32 along the way
        assert found.pictures.shape == (2, 3, 16, 16, 3) and found.pictures.dtype == np.uint8
        top, bottom = seen[:, :, :8].mean((2, 3, 4)), seen[:, :, 8:].mean((2, 3, 4))
        assert np.array_equal(found.score, (top > bottom).mean(1))
        assert found.spent == Budget(queries=2 * 3 * 3 * 2, samples=6)


def test_evidence_says_when_no_map_explains_the_change():
    before, other = original(), original()
    with torch.no_grad():
        for p in other.unet.parameters():
            p += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
    assert (
        "misses the new weights by 0.000"
        in attack().attack(edit(before).in_place(before), request(Judge()), FREE, before=before).evidence[1]
    )
    missed = attack().attack(other, request(Judge()), FREE, before=before).evidence[1]
    assert float(missed.split(" by ")[1].split()[0]) > 0.5


def test_what_it_needs():
    model = original()
    with pytest.raises(NeedsRole, match="--before"):
        attack().attack(model, request(Judge()), FREE)
    with pytest.raises(BadInput, match="no judge"):
        attack().attack(model, request(), FREE, before=model)
    with pytest.raises(BadInput, match="too small"):
        attack().attack(model, request(Judge()), Budget(queries=3), before=model)
    assert attack().attack(model, request(Judge()), Budget(samples=2), before=model).pictures.shape[1] == 1
