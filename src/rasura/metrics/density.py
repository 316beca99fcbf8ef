"""How deep among real pictures do generated ones lie?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.image_features import FeatureData
from ._distributions import asks, by_neighbours, radii


def density(within_x: np.ndarray, within_g: np.ndarray, between: np.ndarray, k: int) -> float:
    """From distances real-real, drawn-drawn and drawn-real (rows drawn)."""
    return float(np.mean((between < radii(within_x, k)[None]).sum(axis=1)) / k)


@method(paper="arXiv:2002.09797")
@dataclass(frozen=True)
class Density:
    """Mean number of real neighbourhoods that hold a generated picture, over k; 1 where both clouds are alike.

        density = (1/(k n)) sum_g #{ real x with ||g - x|| < r_k(x) }

    with r_k the distance to the k-th nearest other point of the same cloud (k = ``k``) and Euclidean distances of the
    features of the role ``by``: "judge", or an "encoder" of one's choice. One picture is drawn for the caption of every
    record of the population ``pictures`` (DDIM, ``steps`` steps, ``guidance``) and held against the records' n real pictures, so
    both clouds have one size. Student's t interval of a leave-one-group-out jackknife over records.

    Unlike ``precision`` it is not fooled by one real outlier with a large radius. Above 1: pictures gather where real ones are densest.

    Source: Naeem, Oh, Uh, Choi and Yoo, "Reliable fidelity and diversity metrics for generative models", ICML 2020; k = 5 is theirs.
    Deviations: intervals (authors give none); features of the testbed's judge where the papers take networks trained on
    photographs. With few pictures neighbourhoods are wide: compare models, not tables.

    By hand: real 0, 1, 5 have radii 1, 1, 4 (k = 1); drawn .5 lies in two of them, 3 in one, 9.5 in none: 3/3 = 1.

    >>> real, drawn = np.array([[0.0], [1.0], [5.0]]), np.array([[0.5], [3.0], [9.5]])
    >>> apart = [np.abs(a - b.T) for a, b in ((real, real), (drawn, drawn), (drawn, real))]
    >>> round(density(*apart, k=1), 9)
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
        return by_neighbours(drawn, real, self.k, lambda *apart: density(*apart, k=self.k), is_share=False)
