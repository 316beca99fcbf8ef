"""The samples' own pictures, at the size the model draws: what generated ones are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples
from ..data.pictures import pixels
from ._with_pictures import NO_PICTURE
from .generated_images import ImageData


@dataclass(frozen=True)
class RealPictures:
    """One picture a sample, scaled on its short side and cropped to the middle; an empty row where there is none."""

    version: ClassVar[int] = 1
    Data: ClassVar[type] = ImageData

    def measure(self, model: Any, batch: Samples) -> ImageData:
        """Reads files; the model only says the size. Raises BadInput for a file that is missing or damaged."""
        side = int(model.resolution)
        rows = [pixels(s, side).ravel() if s.picture is not None else np.zeros(0, dtype=np.uint8) for s in batch]
        reasons = np.array(["" if s.picture is not None else NO_PICTURE for s in batch], dtype=object)
        return ImageData(Ragged.of(rows, np.uint8), np.full(len(rows), side, dtype=np.int64), reasons)

    def blank(self, reason: str, n: int) -> ImageData:
        """Rows that could not be read."""
        reasons = np.array([reason] * n, dtype=object)
        return ImageData(Ragged.of([[]] * n, np.uint8), np.ones(n, dtype=np.int64), reasons)
