"""What a judge sees in the pictures a model draws.

For every picture of a sample whether the judge sees what the sample's ``shows`` names, beside the judge's own errors on
that class, measured on pictures whose content is known:

    sensitivity = P(sees it | it is there)        specificity = P(does not see it | it is not there)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ask, Ragged, Samples
from .generated_images import GeneratedImages, ImageData

NOTHING_NAMED = "the record does not say what its picture should show"


@dataclass(frozen=True)
class JudgementData:
    """One row a sample, one entry a picture."""

    seen: Ragged  # int8: 1 where the judge sees it
    sensitivity: np.ndarray  # (n,) float64, NaN where unknown
    specificity: np.ndarray  # (n,) float64, NaN where unknown
    reason: np.ndarray  # (n,) str: why a sample was not judged, empty when it was


@dataclass(frozen=True)
class Judgements:
    """Whether the role "judge" sees in each picture what it should show.

    ``pictures``: how they are drawn; ``drawn_by``: the role that draws them.
    """

    pictures: GeneratedImages = field(default_factory=GeneratedImages)
    drawn_by: str = "target"

    version: ClassVar[int] = 1
    Data: ClassVar[type] = JudgementData

    @property
    def given(self) -> Ask:
        return Ask(self.pictures, of=self.drawn_by)

    @property
    def rows(self) -> int:
        return self.pictures.n

    def measure(self, judge: Any, batch: Samples, given: ImageData) -> JudgementData:
        """A class the judge does not know leaves the row empty, with what it does know."""
        rows, rates, reasons = [], [], []
        for i, sample in enumerate(batch):
            seen, pair, reason = np.zeros(0, dtype=np.int8), (np.nan, np.nan), str(given.reason[i])
            if not sample.shows:
                reason = NOTHING_NAMED
            elif not reason:
                try:
                    seen = judge.sees(to_tensor(given.pictures(i), judge), sample.shows).cpu().numpy().astype(np.int8)
                    pair = judge.rates(sample.shows)
                except BadInput as error:
                    reason = str(error)
            rows.append(seen)
            rates.append(pair)
            reasons.append(reason)
        pairs = np.array(rates, dtype=np.float64).reshape(-1, 2)
        return JudgementData(Ragged.of(rows, np.int8), pairs[:, 0], pairs[:, 1], np.array(reasons, dtype=object))

    def blank(self, reason: str, n: int) -> JudgementData:
        """Rows that could not be judged."""
        unknown = np.full(n, np.nan)
        return JudgementData(Ragged.of([[]] * n, np.int8), unknown, unknown, np.array([reason] * n, dtype=object))


def to_tensor(pictures: np.ndarray, model: Any) -> Any:
    """Pictures (B, H, W, 3) uint8 as a judge reads them: (B, 3, H, W) float32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().to(model.device) / 255
