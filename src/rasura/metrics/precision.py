"""Do generated pictures look like real ones?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.image_features import FeatureData
from ._distributions import asks, by_neighbours, radii


def precision(within_x: np.ndarray, within_g: np.ndarray, between: np.ndarray, k: int) -> float:
    """From distances real-real, drawn-drawn and drawn-real (rows drawn)."""
    return float(np.mean((between < radii(within_x, k)[None]).any(axis=1)))


@method(paper="arXiv:1904.06991")
@dataclass(frozen=True)
class Precision:
    """Share of generated pictures that lie among real ones in feature space.

        precision = (1/n) sum_g [ some real x has ||g - x|| < r_k(x) ]

    with r_k the distance to the k-th nearest other point of the same cloud (k = ``k``) and Euclidean distances of the
    features of the role ``by``: "judge", or an "encoder" of one's choice. One picture is drawn for the caption of every
    record of the population ``pictures`` (DDIM, ``steps`` steps, ``guidance``) and held against the records' n real pictures, so
    both clouds have one size. Wilson's interval at the effective size of a leave-one-group-out jackknife over records.

    Low: the model draws what no real picture looks like. High in a model that draws only a few of them: read it beside ``recall``.

    Source: Kynkaanniemi, Karras, Laine, Lehtinen and Aila, "Improved precision and recall metric for assessing generative
    models", NeurIPS 2019; k = 5 as in Stein et al., "Exposing flaws of generative model evaluation metrics", NeurIPS 2023.
    Deviations: intervals (authors give none); features of the testbed's judge where the papers take networks trained on
    photographs. With few pictures neighbourhoods are wide: compare models, not tables.

    By hand: real 0, 1, 5 have radii 1, 1, 4 (k = 1); drawn .5 lies within, 3 (2 from the 5), too, 9.5 does not: 2/3.

    >>> real, drawn = np.array([[0.0], [1.0], [5.0]]), np.array([[0.5], [3.0], [9.5]])
    >>> apart = [np.abs(a - b.T) for a, b in ((real, real), (drawn, drawn), (drawn, real))]
    >>> round(precision(*apart, k=1), 9)
    0.666666667
    """

    k: int = 5
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0
    by: Literal["judge", "encoder"] = "judge"

    modality: ClassVar[str] = "images"
    better: ClassVar[str] = "higher"
    population: ClassVar[str] = "pictures"

    def needs(self) -> Mapping[str, Ask]:
        return asks(self.steps, self.guidance, self.seed, self.by)

    def estimate(self, drawn: FeatureData, real: FeatureData) -> Estimate:
        return by_neighbours(drawn, real, self.k, lambda *apart: precision(*apart, k=self.k), is_share=True)
