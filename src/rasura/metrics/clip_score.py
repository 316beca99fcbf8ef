"""Do pictures show what their captions say?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.caption_agreement import AgreementData, CaptionAgreement
from ..observations.generated_images import GeneratedImages
from ..stats._math import unknown
from ..stats.intervals import mean_estimate
from ._shares import first_reason

UNIT = "100 cosine"


@method(paper="arXiv:2104.08718")
@dataclass(frozen=True)
class ClipScore:
    """Agreement of captions with the pictures drawn for them, by a model that reads both.

        score = mean_i 100 max( 0, cos( f(picture_i), g(caption_i) ) )

    over the captions of the population ``pictures``, of each the mean of ``n`` pictures (DDIM, ``steps`` steps, ``guidance``);
    f and g are the image and text features of the role "clip". Student's t interval over captions.

    A model that writes its caption into the picture scores high, and colours count for more than counts or places: read
    it beside ``far_preservation``.

    Source: Hessel, Holtzman, Forbes, Le Bras and Choi, "CLIPScore: a reference-free evaluation metric for image
    captioning", EMNLP 2021. Deviation: the factor is 100, as public tools for generated pictures use, the paper's is 2.5;
    no prefix is put before the caption.

    By hand: cosines .3 and .5 of one caption, .2 and -.4 of another: (40 + 10)/2.

    >>> from rasura.core.types import Ragged
    >>> data = AgreementData(Ragged.of([[0.3, 0.5], [0.2, -0.4]]), np.array(["", ""], dtype=object))
    >>> round(ClipScore().estimate(data).value, 9)
    25.0
    """

    n: int = 1
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0

    modality: ClassVar[str] = "images"
    better: ClassVar[str] = "higher"
    population: ClassVar[str] = "pictures"

    def needs(self) -> Mapping[str, Ask]:
        pictures = GeneratedImages(self.n, self.steps, self.guidance, self.seed)
        return {"pictures": Ask(CaptionAgreement(pictures), of="clip")}

    def estimate(self, pictures: AgreementData) -> Estimate:
        scores = pictures.cosine.reduce(lambda row: float(np.mean(100 * np.maximum(row, 0.0))))
        if np.isnan(scores).all():
            return unknown(UNIT, 0, first_reason(pictures.reason) or "no pictures", 0.95)
        return mean_estimate(scores, UNIT, bounds=(0.0, 100.0))
