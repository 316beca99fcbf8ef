"""Random pipelines behind guards, and what their three branches say: shared by the tests of single guards."""

from __future__ import annotations

import torch

import _tiny_pipelines
from rasura.core import registry
from rasura.core.types import Request, Samples
from rasura.models.text_to_image import TextToImage

KINDS, PREDICTIONS = ("sd1", "sdxl"), ("epsilon", "v_prediction")
PROMPTS = ["a red ring", "a blue cat"]
REQUEST = Request(Samples.of(["a red ring"]), Samples.of(["a blue cat", "a photo of a dog"]), concept="ring")


def guard(name: str, **settings):
    return registry.get("guards", name)(**settings)


def handle(kind: str = "sd1", prediction: str = "epsilon") -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(prediction=prediction), name=kind)


def outputs(model, guidance: float = 4.0, i: int = 3, steps: int = 5) -> torch.Tensor:
    """The guided output of one step from the same x_t."""
    with torch.no_grad():
        x, t = model.start([1, 2]), model.schedule.timesteps(steps)[i]
        return model.steer(model.embed(PROMPTS), guidance, steps)(x, i, t)


def three(model, i: int = 3, steps: int = 5) -> list[torch.Tensor]:
    """u, c and the phrase's output, from three separate passes."""
    with torch.no_grad():
        x, t = model.start([1, 2]), model.schedule.timesteps(steps)[i]
        texts = (model.nothing(2), model.embed(PROMPTS), model.embed(["ring", "ring"]))
        return [model.output(x, t, text) for text in texts]


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(torch.allclose(a, b, atol=1e-5))
