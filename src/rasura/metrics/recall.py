"""Is everything that is real still drawn?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.image_features import FeatureData
from ._distributions import asks, by_neighbours, radii


def recall(within_x: np.ndarray, within_g: np.ndarray, between: np.ndarray, k: int) -> float:
    """From distances real-real, drawn-drawn and drawn-real (rows drawn)."""
    return float(np.mean((between < radii(within_g, k)[:, None]).any(axis=0)))


@method(paper="arXiv:1904.06991")
@dataclass(frozen=True)
class Recall:
    """Share of real pictures that lie among generated ones in feature space.

        recall = (1/n) sum_x [ some generated g has ||g - x|| < r_k(g) ]

    with r_k the distance to the k-th nearest other point of the same cloud (k = ``k``) and Euclidean distances of the
    features of the role ``by``: "judge", or an "encoder" of one's choice. One picture is drawn for the caption of every
    record of the population ``pictures`` (DDIM, ``steps`` steps, ``guidance``) and held against the records' n real pictures, so
    both clouds have one size. Wilson's interval at the effective size of a leave-one-group-out jackknife over records.

    Low: the model leaves out part of what is real. One generated outlier has a large radius and raises it: read ``coverage`` too.

    Source: Kynkaanniemi, Karras, Laine, Lehtinen and Aila, "Improved precision and recall metric for assessing generative
    models", NeurIPS 2019; k = 5 as in Stein et al., "Exposing flaws of generative model evaluation metrics", NeurIPS 2023.
    Deviations: intervals (authors give none); features of the testbed's judge where the papers take networks trained on
    photographs. With few pictures neighbourhoods are wide: compare models, not tables.

    By hand: drawn .5, 3, 9.5 have radii 2.5, 2.5, 6.5 (k = 1); real 0, 1 lie near the .5, 5 near the 3: all of them.

    >>> real, drawn = np.array([[0.0], [1.0], [5.0]]), np.array([[0.5], [3.0], [9.5]])
    >>> apart = [np.abs(a - b.T) for a, b in ((real, real), (drawn, drawn), (drawn, real))]
    >>> round(recall(*apart, k=1), 9)
    1.0
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
        return by_neighbours(drawn, real, self.k, lambda *apart: recall(*apart, k=self.k), is_share=True)
