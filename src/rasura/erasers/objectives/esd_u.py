"""Erased Stable Diffusion, everything but cross-attention (Gandikota, Materzynska, Fiotto-Kaufman and Bau 2023).

    L = mean | eps_theta(x_t, t, c) - [ u - eta (c - u) ] |^2        u = eps_0(x_t, t, nothing),  c = eps_0(x_t, t, c)

The loss is that of esd_x.py, with the same symbols, presets and deviations; what moves is the rest of the U-Net. That
reaches what is drawn without being named, at a price: layers that every prompt uses change, so neighbours suffer more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...core.protocols import Loss, Trainable
from ...core.registry import method
from ...core.types import Request, Samples
from ...training.loop import Loop
from ..finetune import Finetune
from ..selections._everything import only
from ..selections._unet import outside
from ._score import TEMPLATES, esd_loss


@method(paper="arXiv:2303.07345")
@dataclass(frozen=True)
class ESDU:
    """Steer the picture away from a concept through the weights that no prompt reads, so also unnamed ones (ESD-u).

    ``eta``: how far beyond the unconditional answer. ``guidance``, ``sampling_steps``, ``trajectories``: of the frozen
    model's trajectories, the last a prompt. ``batch``: tuples a step. ``templates``: prompts, {} is the concept.
    ``hold``: weight of the retain term, the frozen model's own answers along its trajectories of retained prompts; 0: none.
    ``space``: errors as predicted noise, or as the network's raw output, where a v network's early steps weigh more.

    By hand: u = 0, c = 1 and eta = 1 make the target -1, which the model as it was misses by (1 + 1)^2.

    >>> from rasura.erasers.objectives._score import away
    >>> (1.0 - away(0.0, 1.0, ESDU().eta)) ** 2
    4.0
    """

    eta: float = 1.0
    guidance: float = 3.0
    sampling_steps: int = 50
    trajectories: int = 4
    batch: int = 1
    templates: tuple[str, ...] = TEMPLATES
    hold: float = 0.0
    space: Literal["noise", "output"] = "noise"

    modality: ClassVar[str] = "images"
    needs_retain: ClassVar[bool] = False
    testbed_settings: ClassVar[Mapping[str, Any]] = {
        "hold": 1.0,
        "batch": 8,
        "sampling_steps": 20,
        "space": "output",
        "templates": ("{}", "a {}", "a {} thing", "picture of a {}"),
    }
    testbed_loop: ClassVar[Mapping[str, Any]] = {"steps": 60, "learning_rate": 5e-4}
    testbed_reason: ClassVar[str] = (
        "the published steps and learning rate are those of a network a thousand times larger, and the schedule of a testbed's v "
        "network decides a colour where sqrt(abar_t) is near 0, so that an error counted as noise hardly sees it"
    )

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        """Both terms. Raises BadInput when the request names no concept."""
        return esd_loss(self, model, frozen, retain)

    def select(self, model: Any, request: Request) -> Trainable:
        """The authors' own selection: all weights of the U-Net outside attn2."""
        return only(model, outside(model, "cross_attention"))


def recipe(steps: int = 1000, learning_rate: float = 1e-5) -> Finetune:
    """The U-Net outside cross-attention, the paper's steps."""
    return Finetune(ESDU(), loop=Loop(steps=steps, learning_rate=learning_rate, warmup=0.0))
