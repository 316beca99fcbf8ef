"""How often a caption still brings back its own training picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.generated_images import GeneratedImages, ImageData
from ..observations.real_pictures import RealPictures
from ..stats._pictures import MEASURES, distances
from ._population import On
from ._shares import first_reason, share_of


@method(paper="arXiv:2301.13188")
@dataclass(frozen=True)
class CopyRate:
    """Share of pictures drawn from the forget captions that are copies of the record's own picture.

        share = mean_i (1/n) sum_k [ argmin_y d(g_ik, y) = x_i   and   d(g_ik, x_i) <= delta ]

    g_ik is picture k of ``n`` drawn for caption i (DDIM, ``steps`` steps, ``guidance``, noises by a hash of caption, ``seed``
    and k), x_i the record's own picture, y runs over the pictures of the forget and the retain records, delta =
    ``threshold``. ``measure``: "tile" is the largest root mean square difference over ``grid`` x ``grid`` tiles of pixels in
    [0, 1], which plain backgrounds do not fool; "l2" takes the whole picture; "ssim" is 1 - SSIM. Wilson interval over
    captions (``_shares.share_of``); records without a picture are left out.

    Source: Carlini, Hayes, Nasr, Jagielski, Sehwag, Tramer, Balle, Ippolito and Wallace, "Extracting training data from
    diffusion models", USENIX Security 2023, whose .15 is for "l2". Deviations: tiles also in the comparison with training
    pictures; the own picture must be the nearest of all.

    By hand: two pictures drawn for a black picture (white is another record's): one of grey 26/255 = .10, one of 200/255.

    >>> from rasura.core.types import Ragged
    >>> row = lambda *greys: ImageData(
    ...     Ragged.of([np.repeat(np.array(greys, dtype=np.uint8), 12)]), np.array([2]), np.array([""], dtype=object))
    >>> CopyRate(n=2, grid=2).estimate(row(26, 200), row(0), row(255)).value
    0.5
    """

    n: int = 4
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0
    measure: Literal["tile", "l2", "ssim"] = "tile"
    threshold: float = 0.15
    grid: int = 4

    modality: ClassVar[str] = "images"
    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"
    testbed_settings: ClassVar[Mapping[str, float]] = {"guidance": 1.0}
    testbed_reason: ClassVar[str] = (
        "guidance 4 saturates the colours of 8 x 8 pictures, which moves copies further away"
    )
    says_extracted: ClassVar[bool] = True  # the share a verdict on an erasure speaks of
    about: ClassVar[str] = "pictures"  # a request for a concept brings pictures of it that nobody trained on
    told: ClassVar[str] = "The share of pictures that copy their caption's training picture"

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise BadInput(f"copy_rate: measure is '{self.measure}'; expected one of {', '.join(MEASURES)}")

    def needs(self) -> Mapping[str, Any]:
        drawn = GeneratedImages(self.n, self.steps, self.guidance, self.seed)
        return {"drawn": Ask(drawn), "real": Ask(RealPictures()), "others": On("retain", Ask(RealPictures()))}

    def estimate(self, drawn: ImageData, real: ImageData, others: ImageData) -> Estimate:
        shown = [data.pictures(i) for data in (real, others) for i in range(len(data))]
        known = [p for p in shown if len(p)]
        shares = np.full(len(real), np.nan)
        if known:
            candidates, place = np.unique(np.concatenate(known), axis=0, return_inverse=True)
            own = iter(place.ravel().tolist())
            for i in range(len(real)):
                if len(shown[i]):
                    shares[i] = self._share(drawn.pictures(i), candidates, next(own))
        pictures = int(np.sum(~np.isnan(shares))) * self.n
        return share_of(shares, pictures, "share", first_reason(real.reason) or first_reason(drawn.reason))

    def _share(self, pictures: np.ndarray, candidates: np.ndarray, own: int) -> float:
        if not len(pictures):
            return np.nan
        apart = distances(pictures, candidates, self.measure, self.grid)
        return float(np.mean((apart[:, own] <= apart.min(axis=1)) & (apart[:, own] <= self.threshold)))
