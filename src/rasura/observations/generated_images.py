"""Pictures a model draws for its prompts: what judges, copy tests and distances look at.

For each sample ``n`` pictures, DDIM (eta 0), ``steps`` steps, at guidance w = ``guidance``:

    output = u + w (c - u)          u, c: outputs for the empty prompt and the sample's text

Picture k of a sample starts from noise whose seed is a hash of (text, ``seed``, k), so that any subset of samples,
in any order and company, draws the same pictures, and two models draw from the same noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples, digest

NOT_FINITE = "the model's answer is not finite (try --dtype float32)"


@dataclass(frozen=True)
class ImageData:
    """One row a sample; a sample whose pictures could not be drawn has an empty row and says why."""

    pixels: Ragged  # uint8, n * side * side * 3 entries a row
    side: np.ndarray  # (samples,) int64: side of a picture in pixels
    reason: np.ndarray  # (samples,) str

    def __len__(self) -> int:
        return len(self.side)

    def pictures(self, i: int) -> np.ndarray:
        """The pictures of sample i: (n, side, side, 3) uint8; (0, ...) where none could be drawn."""
        side = int(self.side[i])
        return self.pixels[i].reshape(-1, side, side, 3)


@dataclass(frozen=True)
class GeneratedImages:
    """``n`` pictures a prompt, seeded by the prompt."""

    n: int = 4
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = ImageData

    @property
    def rows(self) -> int:
        return 2 * self.n

    def measure(self, model: Any, batch: Samples) -> ImageData:
        """One sampling run for all pictures of a batch."""
        import torch

        with torch.inference_mode():
            embedded = model.embed(batch.texts).repeat(self.n)
            latents = model.sample(embedded, self.seeds(batch), steps=self.steps, guidance=self.guidance)
            drawn = model.decode(latents)
        finite = torch.isfinite(drawn).flatten(1).all(1).reshape(len(batch), self.n).all(1).cpu().numpy()
        return collect(to_bytes(drawn).reshape(len(batch), self.n, *_sides(drawn)), finite)

    def seeds(self, batch: Samples) -> list[int]:
        """32 bits each: what torch's CPU generator reads of a seed."""
        return [picture_seed(s.text, self.seed, k) for s in batch for k in range(self.n)]

    def blank(self, reason: str, n: int) -> ImageData:
        """Rows that could not be drawn."""
        return ImageData(
            Ragged.of([[]] * n, np.uint8), np.ones(n, dtype=np.int64), np.array([reason] * n, dtype=object)
        )


def picture_seed(text: str, seed: int, k: int) -> int:
    """Where picture k of a prompt starts.

    >>> picture_seed("a ring", 0, 0) == picture_seed("a ring", 0, 0) != picture_seed("a ring", 0, 1)
    True
    """
    return int(digest([text, seed, k])[:8], 16)


def to_bytes(drawn: Any) -> np.ndarray:
    """Pictures (B, 3, H, W) in [0, 1] as (B, H, W, 3) uint8."""
    return (drawn.nan_to_num() * 255).round().permute(0, 2, 3, 1).to("cpu").numpy().astype(np.uint8)


def collect(pictures: np.ndarray, finite: np.ndarray) -> ImageData:
    """Pictures (samples, n, H, W, 3) as data; rows that are not finite are emptied."""
    rows = [row.ravel() if good else row.ravel()[:0] for row, good in zip(pictures, finite, strict=True)]
    reasons = np.array(["" if good else NOT_FINITE for good in finite], dtype=object)
    return ImageData(Ragged.of(rows, np.uint8), np.full(len(rows), pictures.shape[2], dtype=np.int64), reasons)


def _sides(drawn: Any) -> tuple[int, int, int]:
    return int(drawn.shape[2]), int(drawn.shape[3]), 3
