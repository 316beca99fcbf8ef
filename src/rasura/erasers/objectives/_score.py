"""Distilling a score: what several erasers of text-to-image models share.

Outputs are the network's own. A gap between two of them at one x_t is turned into a gap of predicted noise by
``schedule.noise_scale``, 1 for epsilon and sqrt(abar_t) for v, so one loss means the same for either kind of network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...core.errors import BadInput
from ...core.protocols import Loss
from ...core.types import Samples
from ...training.frozen_images import denoising_loss
from ...training.partners import drawn
from ...training.trajectories import Trajectories, Tuples

if TYPE_CHECKING:
    import torch

TEMPLATES = ("{}", "a {}", "a photo of a {}", "a picture of a {}")
HELD = 64  # retained prompts whose trajectories are kept at most


def filled(templates: Sequence[str], phrase: str) -> tuple[str, ...]:
    """Prompts that name a phrase and nothing else; for an empty phrase, the empty prompt each time.

    >>> filled(("{}", "a {}"), "ring"), filled(("{}", "a {}"), "")
    (('ring', 'a ring'), ('', ''))
    """
    if not templates or not all("{}" in t for t in templates):
        raise BadInput(f"templates {tuple(templates)}: expected at least one, each with {{}} where the phrase goes")
    return tuple(t.replace("{}", phrase) if phrase else "" for t in templates)


def away(unconditional: Any, conditional: Any, eta: float) -> Any:
    """u - eta (c - u): as far on the other side of u as eta says.

    >>> away(1.0, 3.0, 1.0), away(1.0, 3.0, 2.0)
    (-1.0, -3.0)
    """
    return unconditional - eta * (conditional - unconditional)


def esd_loss(settings: Any, model: Any, frozen: Any, retain: Samples) -> Loss:
    """What ESD-x and ESD-u minimise; they differ in the weights that move. ``settings``: either of them."""
    s = settings
    check_space(s.space)
    recipe = Trajectories(s.trajectories, s.sampling_steps, s.guidance, frozen.seed)
    at = frozen.trajectories(filled(s.templates, frozen.concept), recipe).draw(frozen.step, s.batch, frozen.seed)
    forget = gap(model, at, at.prompts, away(at.unconditional, at.conditional, s.eta), s.space)
    if s.hold == 0:
        return Loss(forget, None)
    if not retain:
        raise BadInput("hold needs prompts that must survive: give a retain set (--retain), or hold=0")
    return Loss(forget, s.hold * held(model, frozen, recipe, s.batch, s.space))


def gap(model: Any, at: Tuples, prompts: Sequence[str], target: torch.Tensor, space: str = "noise") -> torch.Tensor:
    """mean_i (s_t (out_theta(x_t, t, c) - target)_i)^2 over all entries, s_t turning outputs into noise: a scalar."""
    error = model.output(at.x, at.t, model.embed(prompts)) - target
    return (error if space == "output" else error * model.schedule.noise_scale(at.t, error)).square().mean()


def held(model: Any, frozen: Any, recipe: Trajectories, size: int, space: str = "noise") -> torch.Tensor:
    """The gap to the frozen model's own answers, along one trajectory each of up to 64 retained prompts."""
    texts = frozen.once("held prompts", lambda: _some(frozen.request.retain, frozen.seed))
    at = frozen.trajectories(texts, replace(recipe, n=1, tuples=True)).draw(frozen.step, size, frozen.seed, "held")
    return gap(model, at, at.prompts, at.conditional, space)


def kept(model: Any, frozen: Any, retain: Samples, recipe: Trajectories, size: int, space: str) -> torch.Tensor:
    """Denoising retained pictures as the model was trained to; without pictures, what ``held`` says."""
    if not all(s.picture is not None for s in retain):
        return held(model, frozen, recipe, size, space)
    return denoising_loss(model, retain, frozen.latents(retain), frozen.dice("retain"), space)


def _some(retain: Samples, seed: int) -> tuple[str, ...]:
    texts = tuple(dict.fromkeys(retain.texts))
    return tuple(texts[i] for i in drawn(len(texts), min(HELD, len(texts)), 0, seed, "held prompts"))


def check_space(space: str) -> None:
    if space not in ("noise", "output"):
        raise BadInput(f"space '{space}': expected noise or output")
