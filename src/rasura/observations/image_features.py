"""Pictures as points in the feature space of a judge or another encoder: what distances of distributions are taken in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ask, Ragged, Samples
from .generated_images import NOT_FINITE, GeneratedImages, ImageData
from .judgements import to_tensor
from .real_pictures import RealPictures

AT_ONCE = 64  # pictures


@dataclass(frozen=True)
class FeatureData:
    """One row a sample, its pictures' features one after the other."""

    features: Ragged  # float32, pictures * width entries a row
    width: np.ndarray  # (n,) int64: numbers a picture
    reason: np.ndarray  # (n,) str

    def first(self, i: int) -> np.ndarray | None:
        """Features of the first picture of sample i: (width,); None where there is none."""
        row = self.features[i]
        return row[: int(self.width[i])].astype(np.float64) if len(row) else None


@dataclass(frozen=True)
class ImageFeatures:
    """Features by the role asked for: ``model.features((B, 3, H, W) in [0, 1]) -> (B, width)``.

    ``pictures``: what is looked at, pictures the target draws or the samples' own at the target's size.
    """

    pictures: GeneratedImages | RealPictures = field(default_factory=GeneratedImages)

    version: ClassVar[int] = 1
    Data: ClassVar[type] = FeatureData

    @property
    def given(self) -> Ask:
        return Ask(self.pictures, of="target")

    @property
    def rows(self) -> int:
        return int(getattr(self.pictures, "n", 1))

    def measure(self, model: Any, batch: Samples, given: ImageData) -> FeatureData:
        """All pictures of a batch, ``AT_ONCE`` at a time."""
        import torch

        shown = [given.pictures(i) for i in range(len(batch))]
        counts = [len(p) for p in shown]
        kept = [p for p in shown if len(p)]
        flat = np.concatenate(kept) if kept else np.zeros((0, 1, 1, 3), dtype=np.uint8)
        with torch.inference_mode():
            parts = [
                model.features(to_tensor(flat[at : at + AT_ONCE], model)).float().cpu().numpy()
                for at in range(0, len(flat), AT_ONCE)
            ]
        features = np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)
        rows = [part.ravel() for part in np.split(features, np.cumsum(counts)[:-1])]
        reasons = [_why(row, reason) for row, reason in zip(rows, given.reason, strict=True)]
        rows = [row[:0] if reason else row for row, reason in zip(rows, reasons, strict=True)]
        width = np.full(len(rows), features.shape[1], dtype=np.int64)
        return FeatureData(Ragged.of(rows, np.float32), width, np.array(reasons, dtype=object))

    def blank(self, reason: str, n: int) -> FeatureData:
        """Rows that could not be looked at."""
        reasons = np.array([reason] * n, dtype=object)
        return FeatureData(Ragged.of([[]] * n, np.float32), np.ones(n, dtype=np.int64), reasons)


def _why(row: np.ndarray, reason: str) -> str:
    return str(reason) or ("" if np.isfinite(row).all() else NOT_FINITE)
