"""Concept ablation: where the concept is named, say what is said of an anchor (Kumari, Zhang, Wang and others 2023).

    model-based:  L = mean | eps_theta(x_t, t, c*) - eps_0(x_t, t, c) |^2
    noise-based:  L = mean | eps_theta(x_t, t, c*) - eps |^2

c*: a prompt with the concept; c: the same with the ``anchor`` in its place; x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps at a
uniform t, x_0 a picture that the frozen model drew for c. To this ``preserve`` times the denoising loss on retained
pictures is added (on trajectories of retained prompts where there are no pictures). It is needed: without it a
look-alike of the concept was destroyed on a testbed (from .88 to .00) while the concept went.

Deviations: the frozen model answers for c where the released code stops the gradient of the model being trained, so
the target stands still; the authors' prior term looks at the anchor's pictures, ours at the retain set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...core.errors import BadInput
from ...core.protocols import Loss, Trainable
from ...core.registry import method
from ...core.types import Request, Samples
from ...training.frozen_images import output_of
from ...training.loop import Loop
from ...training.trajectories import Trajectories
from ..finetune import Finetune
from ..selections._everything import only
from ..selections._unet import within
from ._score import TEMPLATES, check_space, filled, kept


@method(paper="arXiv:2303.13516")
@dataclass(frozen=True)
class ConceptAblation:
    """Draw a chosen anchor, such as the class above it, wherever the concept is named.

    ``anchor``: the phrase put in the concept's place; "": the empty prompt. ``variant``: what the target is.
    ``preserve``: weight of the retain term. ``pictures``: drawn for each anchor prompt, with ``guidance`` and
    ``sampling_steps``. ``batch``: pictures a step. ``templates``: prompts, {} is the concept or the anchor.
    ``space``: errors as predicted noise, or as the network's raw output, where a v network's early steps weigh more.

    By hand: where the frozen model says 1 for the anchor and the model being trained 3 for the concept, the loss is 4.

    >>> from rasura.erasers.objectives._score import filled
    >>> dict(zip(filled(("a {}",), "cat"), filled(("a {}",), "animal"))), (3.0 - 1.0) ** 2
    ({'a cat': 'a animal'}, 4.0)
    """

    anchor: str = ""
    variant: Literal["model", "noise"] = "model"
    preserve: float = 1.0
    pictures: int = 16
    guidance: float = 6.0
    sampling_steps: int = 50
    batch: int = 8
    templates: tuple[str, ...] = TEMPLATES
    space: Literal["noise", "output"] = "noise"

    modality: ClassVar[str] = "images"
    needs_retain: ClassVar[bool] = True
    testbed_settings: ClassVar[Mapping[str, Any]] = {
        "anchor": "green",
        "batch": 8,
        "sampling_steps": 20,
        "pictures": 8,
        "guidance": 4.0,
        "space": "output",
        "templates": ("{}", "a {} thing", "picture of a {} thing", "a {} ring on white", "a {} cross on black"),
    }
    testbed_loop: ClassVar[Mapping[str, Any]] = {"steps": 60, "learning_rate": 1e-3}
    testbed_reason: ClassVar[str] = (
        "the published steps and learning rate are those of a network a thousand times larger, and the schedule of a testbed's v "
        "network decides a colour where sqrt(abar_t) is near 0, so that an error counted as noise hardly sees it"
    )

    def __post_init__(self) -> None:
        if self.variant not in ("model", "noise"):
            raise BadInput(f"variant '{self.variant}': expected model or noise")
        check_space(self.space)

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        """Both terms. Raises BadInput when the request names no concept."""
        import torch

        pairs = list(zip(filled(self.templates, frozen.concept), filled(self.templates, self.anchor), strict=True))
        recipe = Trajectories(self.pictures, self.sampling_steps, self.guidance, frozen.seed, tuples=False)
        pool = frozen.trajectories(dict.fromkeys(anchor for _, anchor in pairs), recipe)
        anchors, clean = pool.pictures(frozen.step, self.batch, frozen.seed)
        named = [_partner(pairs, anchor, frozen.step + i) for i, anchor in enumerate(anchors)]
        dice = frozen.dice("concept ablation")
        t = dice.timesteps(len(clean), model.schedule.steps, clean.device)
        noise = dice.noise(clean.shape, clean.device)
        x = model.schedule.noised(clean, t, noise)
        if self.variant == "model":
            with torch.no_grad():
                target = frozen.model.output(x, t, frozen.model.embed(anchors))
        else:
            target = output_of(model.schedule, clean, noise, t)
        error = model.output(x, t, model.embed(named)) - target
        if self.space == "noise":
            error = error * model.schedule.noise_scale(t, error)
        if self.preserve == 0:
            return Loss(error.square().mean(), None)
        return Loss(error.square().mean(), self.preserve * kept(model, frozen, retain, recipe, self.batch, self.space))

    def select(self, model: Any, request: Request) -> Trainable:
        """The authors' default: keys and values of attn2."""
        return only(model, within(model, "cross_attention.key_value"))


def _partner(pairs: list[tuple[str, str]], anchor: str, turn: int) -> str:
    """A prompt that names the concept where another says ``anchor``; several take turns."""
    fitting = [named for named, other in pairs if other == anchor]
    return fitting[turn % len(fitting)]


def recipe(steps: int = 200, learning_rate: float = 1.6e-5) -> Finetune:
    """Keys and values of cross-attention; the authors: 2e-6 times the batch size, 100 to 200 steps, batch 8."""
    return Finetune(ConceptAblation(), loop=Loop(steps=steps, learning_rate=learning_rate, warmup=0.0))
