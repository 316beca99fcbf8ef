"""Pictures noised to a level and denoised again: which of their features were decided by then.

A picture x_0 drawn for the sample's prompt is noised to every t of ``at``,

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps,

with fresh noise, and denoised from there by DDIM with the empty prompt (or with its own: ``caption``). What both
pictures share was already decided at t; what differs was not (Li and Chen, "Critical windows: non-asymptotic theory for
feature emergence in diffusion models", 2024). A deterministic restart without fresh noise would only retrace the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples
from .generated_images import ImageData, _sides, collect, picture_seed, to_bytes


@dataclass(frozen=True)
class RedrawnImages:
    """A sample's picture and its re-draws: row k of a sample is the picture (k = 0) or re-draw k - 1.

    ``at``: indices of the ``steps`` sampling steps that are noised to, 0 = pure noise; ``draws`` re-draws each, in the
    order of ``at``. ``guidance`` draws the picture, ``redraw_guidance`` the others (used with ``caption`` only).
    """

    at: tuple[int, ...] = tuple(range(0, 20, 2))
    draws: int = 1
    steps: int = 20
    guidance: float = 4.0
    caption: bool = False
    redraw_guidance: float = 1.0
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = ImageData

    @property
    def rows(self) -> int:
        return 2 * self.draws

    def measure(self, model: Any, batch: Samples) -> ImageData:
        """One sampling run, and one partial run a noise level."""
        import torch

        with torch.inference_mode():
            text = model.embed(batch.texts)
            seeds = [picture_seed(s.text, self.seed, 0) for s in batch]
            clean = model.sample(text, seeds, steps=self.steps, guidance=self.guidance)
            pictures = [model.decode(clean)]
            for i in self.at:
                pictures += [self._again(model, text, clean, batch, i, k) for k in range(self.draws)]
        shown = torch.stack(pictures, dim=1).flatten(0, 1)
        finite = torch.isfinite(shown).flatten(1).all(1).reshape(len(batch), -1).all(1).cpu().numpy()
        return collect(to_bytes(shown).reshape(len(batch), len(pictures), *_sides(shown)), finite)

    def _again(self, model: Any, text: Any, clean: Any, batch: Samples, i: int, k: int) -> Any:
        noise = model.start([picture_seed(s.text, self.seed, 1 + i * self.draws + k) for s in batch])
        t = model.schedule.timesteps(self.steps)[i]
        prompt = text if self.caption else model.nothing(len(batch))
        x = model.schedule.noised(clean, t, noise)
        x = model.denoise(x, prompt, first=i, steps=self.steps, guidance=self.redraw_guidance if self.caption else 1.0)
        return model.decode(x)

    def blank(self, reason: str, n: int) -> ImageData:
        """Rows that could not be drawn."""
        return ImageData(
            Ragged.of([[]] * n, np.uint8), np.ones(n, dtype=np.int64), np.array([reason] * n, dtype=object)
        )
