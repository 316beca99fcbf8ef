"""What the observations on samples' own pictures share: numbers a picture, and blank rows where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Sample, Samples, digest
from .generated_images import NOT_FINITE

if TYPE_CHECKING:
    import torch

NO_PICTURE = "no picture"


@dataclass(frozen=True)
class PictureNumbers:
    """One row a sample; a sample without a picture has an empty row and says so."""

    values: Ragged  # float32
    reason: np.ndarray  # (n,) str: why a sample has no numbers, empty when it has


def of_pictures(
    model: Any, batch: Samples, caption: bool, numbers: Callable[[torch.Tensor, Any, Samples], torch.Tensor]
) -> PictureNumbers:
    """``numbers(x_0, embedded, samples)`` (B, m) of the samples that have pictures.

    x_0 are the scaled latents of the pictures; ``embedded`` their captions, or the unconditional branch without ``caption``.
    """
    import torch

    kept = [i for i, sample in enumerate(batch) if sample.picture is not None]
    rows: list[np.ndarray] = [np.zeros(0, dtype=np.float32)] * len(batch)
    reasons = np.array([NO_PICTURE] * len(batch), dtype=object)
    if kept:
        part = batch.take(kept)
        with torch.inference_mode():
            text = model.embed(part.texts) if caption else model.nothing(len(part))
            found = numbers(model.latents(model.pictures(part)), text, part).float().cpu().numpy()
        for i, row in zip(kept, found, strict=True):
            good = bool(np.isfinite(row).all())
            rows[i], reasons[i] = (row if good else row[:0]), ("" if good else NOT_FINITE)
    return PictureNumbers(Ragged.of(rows, np.float32), reasons)


def blank(reason: str, n: int) -> PictureNumbers:
    """Rows that could not be measured."""
    return PictureNumbers(Ragged.of([[]] * n, np.float32), np.array([reason] * n, dtype=object))


def noise_seed(sample: Sample, seed: int, draw: int) -> int:
    """Where a noise of a sample starts: the picture's content, so that captions, order and company do not matter."""
    return int(digest([sample.picture.digest if sample.picture else "", seed, draw])[:8], 16)


def check_timesteps(model: Any, *timesteps: int) -> None:
    """Raises BadInput for a timestep the model was not trained at."""
    for t in timesteps:
        if not 0 <= t < model.schedule.steps:
            raise BadInput(f"timestep {t}: this model has timesteps 0 to {model.schedule.steps - 1}")
