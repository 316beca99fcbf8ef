"""Could generated and real pictures come from one distribution?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.image_features import FeatureData
from ._distributions import GROUPS, asks, clouds, cubic_sums, number, too_few

UNIT = "squared kernel distance"


def unbiased_mmd(g: np.ndarray, x: np.ndarray, groups: int) -> tuple[float, np.ndarray]:
    """MMD^2 of two clouds (n, f), and its values without each group of rows i with the same i mod ``groups``.

    Points 0, 2 and 1, 1 on a line: within the first (0 + 1)^3 = 1, within the second (1 + 1)^3 = 8, between (1, 1, 27, 27)/4
    = 14: 1 + 8 - 28 = -19; an unbiased estimate of 0 is negative half of the time.

    >>> unbiased_mmd(np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]]), 1)[0]
    -19.0
    """
    sums = [cubic_sums(a, b, groups, same) for a, b, same in ((g, g, True), (x, x, True), (g, x, False))]
    sizes = np.bincount(np.arange(len(g)) % groups, minlength=groups)

    def of(kept: np.ndarray) -> float:
        n = sizes[kept].sum()
        within_g, within_x, between = (s[np.ix_(kept, kept)].sum() for s in sums)
        return float((within_g + within_x) / (n * (n - 1)) - 2 * between / n**2)

    everyone = np.arange(groups)
    return of(everyone), np.array([of(everyone[everyone != h]) for h in everyone]) if groups > 1 else np.zeros(0)


@method(paper="arXiv:1801.01401")
@dataclass(frozen=True)
class KernelDistance:
    """Kernel distance of generated and real pictures: squared maximum mean discrepancy, without bias.

        KD = mean_{g != g'} K(g, g') + mean_{x != x'} K(x, x') - 2 mean_{g, x} K(g, x),        K(a, b) = (a.b/f + 1)^3

    over the f features of the role ``by``: "judge", or an "encoder" of one's choice. One picture is drawn for the caption of
    every record of the population ``pictures`` (DDIM, ``steps`` steps, ``guidance``) and held against the records' real
    pictures. Around 0, also below, where both come from one distribution, whatever their number: unlike the Frechet
    distance. Student's t interval of a leave-one-group-out jackknife over records.

    Source: Binkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs", ICLR 2018. Deviation: all pairs, where
    public code averages 100 random subsets of 1000 to save memory; the mean is the same, without their chance.

    By hand: see ``unbiased_mmd``.
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
        value, without = unbiased_mmd(g, x, min(GROUPS, len(g)))
        return number(value, without, len(g), UNIT)
