"""Was the empty prompt trained? Guidance means nothing on a model whose unconditional branch never was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .core.types import Ask, Samples
from .observations._engine import Engine
from .observations.denoising_error import DenoisingError
from .stats.intervals import mean_estimate

TINY = 1e-9  # an error of exactly 0 has no logarithm
RECORDS = 64  # pictures looked at: the difference is large where there is one


def unguided(models: Mapping[str, Any], samples: Samples, engine: Engine) -> str:
    """Why guidance cannot be trusted here, or nothing.

    A rule that has seen no picture takes latents for standard normal and answers sqrt(1 - abar) x_t, with the error

        abar^2 + abar (1 - abar) |x_0|^2 / D

    A branch that was trained does better, on whatever pictures. Where the captions do and the empty prompt does not, on
    the same noises, training never dropped captions. A branch that is trained badly is not found by this, and records
    without a picture say nothing.
    """
    shown = Samples([s for s in samples if s.picture is not None][:RECORDS])
    if len(shown) < 8:
        return ""
    t = models["target"].schedule.steps // 2
    own, empty = (
        engine.observe(Ask(DenoisingError(timesteps=(t,), caption=caption)), models, shown).values.mean()
        for caption in (True, False)
    )
    rule = _rule(models["target"], shown, t)
    worse, trained = (
        mean_estimate(np.log(np.maximum(errors, TINY) / rule), "log ratio of errors") for errors in (empty, own)
    )
    if not (worse.known and worse.low > 0 and trained.high < 0):
        return ""
    return (
        f"with the empty prompt the model denoises worse than a rule that has seen no picture ({np.exp(worse.value):.2f} "
        f"times the error on {worse.n} pictures): it seems never to have been trained without captions, so guidance means "
        "nothing for it"
    )


def _rule(model: Any, samples: Samples, t: int) -> np.ndarray:
    """The error of the rule on each sample's picture at t."""
    import torch

    with torch.inference_mode():
        square = model.latents(model.pictures(samples)).square().flatten(1).mean(1).double().cpu().numpy()
    a = float(model.schedule.alphas[t])
    return a**2 + a * (1 - a) * square
