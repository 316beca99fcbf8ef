"""How far is the cloud of generated pictures from the cloud of real ones?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.image_features import FeatureData
from ._distributions import asks, clouds, frechet, left_out, number, too_few

UNIT = "squared feature distance"


@method(paper="arXiv:1706.08500")
@dataclass(frozen=True)
class FrechetDistance:
    """Frechet distance of generated and real pictures, each cloud taken as a Gaussian in feature space.

        FD = ||m_g - m_x||^2 + Tr( C_g + C_x - 2 (C_g C_x)^(1/2) )

    with means m and covariances C (divisor n - 1) of the features of the role ``by``: "judge", or an "encoder" of one's
    choice. One picture is drawn for the caption of every record of the population ``pictures`` (DDIM, ``steps`` steps,
    ``guidance``) and held against the records' real pictures, so both clouds have one size. Student's t interval of a
    leave-one-group-out jackknife over records.

    The fewer pictures, the larger the number: only values of one n compare, and 0 is not reached even by real pictures.

    Source: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, "GANs trained by a two time-scale update rule converge
    to a local Nash equilibrium", NeurIPS 2017. Deviations: the trace by singular values of the covariances' factors, which
    needs no general matrix square root; features of the testbed's judge in place of Inception's; an interval.

    By hand: see ``_distributions.frechet``; two equal clouds are at 0.

    >>> cloud = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    >>> round(frechet(cloud, cloud), 9), round(frechet(cloud, cloud + 2), 9)
    (0.0, 8.0)
    """

    steps: int = 20
    guidance: float = 4.0
    seed: int = 0
    by: Literal["judge", "encoder"] = "judge"

    modality: ClassVar[str] = "images"
    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "pictures"

    def needs(self) -> Mapping[str, Ask]:
        return asks(self.steps, self.guidance, self.seed, self.by)

    def estimate(self, drawn: FeatureData, real: FeatureData) -> Estimate:
        g, x = clouds(drawn, real)
        absent = too_few(drawn, real, len(g), 4, UNIT)
        if absent is not None:
            return absent
        without = np.array([frechet(g[kept], x[kept]) for kept in left_out(len(g))])
        return number(frechet(g, x), without, len(g), UNIT, 0.0)
