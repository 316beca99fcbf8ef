"""How well pictures agree with the prompts they were drawn for, by a model that reads both.

a = cos( f(picture), g(prompt) )        f, g: image and text features of the role "clip"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ask, Ragged, Samples
from .generated_images import NOT_FINITE, GeneratedImages, ImageData
from .judgements import to_tensor


@dataclass(frozen=True)
class AgreementData:
    """One row a sample, one cosine a picture."""

    cosine: Ragged  # float32
    reason: np.ndarray  # (n,) str


@dataclass(frozen=True)
class CaptionAgreement:
    """Cosine of ``model.image_features((B, 3, H, W) in [0, 1])`` and ``model.text_features([text])``, both (B, f)."""

    pictures: GeneratedImages = field(default_factory=GeneratedImages)

    version: ClassVar[int] = 1
    Data: ClassVar[type] = AgreementData

    @property
    def given(self) -> Ask:
        return Ask(self.pictures, of="target")

    @property
    def rows(self) -> int:
        return self.pictures.n

    def measure(self, model: Any, batch: Samples, given: ImageData) -> AgreementData:
        """One pass over the texts, one over each sample's pictures."""
        import torch

        rows, reasons = [], []
        with torch.inference_mode():
            texts = torch.nn.functional.normalize(model.text_features(batch.texts).float(), dim=-1)
            for i in range(len(batch)):
                row, reason = np.zeros(0, dtype=np.float32), str(given.reason[i])
                if not reason:
                    seen = model.image_features(to_tensor(given.pictures(i), model)).float()
                    row = (torch.nn.functional.normalize(seen, dim=-1) @ texts[i]).cpu().numpy()
                    reason = "" if np.isfinite(row).all() else NOT_FINITE
                rows.append(row[:0] if reason else row)
                reasons.append(reason)
        return AgreementData(Ragged.of(rows, np.float32), np.array(reasons, dtype=object))

    def blank(self, reason: str, n: int) -> AgreementData:
        """Rows that could not be compared."""
        return AgreementData(Ragged.of([[]] * n, np.float32), np.array([reason] * n, dtype=object))
