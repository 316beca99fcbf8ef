"""Is the concept drawn more often, or less, than by a model that never saw it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.generated_images import GeneratedImages
from ..observations.judgements import JudgementData, Judgements
from ..stats.intervals import mean_estimate
from ._judged import corrected_shares


@method(paper="arXiv:2303.07345")
@dataclass(frozen=True)
class ErasureGap:
    """Rate of the concept on its prompts above that of the retrained model; 0 is the goal, both signs are faults.

        gap = mean_i ( r_i(after) - r_i(retrained) ),      r_i = (p_i + specificity - 1) / (sensitivity + specificity - 1)

    p_i is the share of the ``n`` pictures of prompt i (DDIM, ``steps`` steps, ``guidance``, the same noises for both models) in
    which the judge sees the concept; r_i is not cut to [0, 1], which would bias the difference. Positive: the concept is
    still drawn. Negative: it is shunned, also where a model without it would draw it by chance. Paired t interval over
    prompts, within -1 .. 1. Needs the roles "judge" and "retrained".

    ``better`` is "lower" of the absolute value.

    Source: the rate of Gandikota, Materzynska, Fiotto-Kaufman and Bau, "Erasing concepts from diffusion models", ICCV
    2023; the comparison with a retrained model is ours, as is the correction (Rogan and Gladen 1978).

    By hand: a judge without errors sees 2 of 2 and 1 of 2 after, 0 and 1 of 2 in the retrained model: (1 + 0)/2.

    >>> import numpy as np
    >>> from rasura.core.types import Ragged
    >>> after, retrained = (
    ...     JudgementData(Ragged.of(rows), np.ones(2), np.ones(2), np.array(["", ""], dtype=object))
    ...     for rows in ([[1, 1], [1, 0]], [[0, 0], [0, 1]]))
    >>> ErasureGap().estimate(after, retrained).value
    0.5
    """

    n: int = 4
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0

    modality: ClassVar[str] = "images"
    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"
    goal: ClassVar[float] = 0.0
    says_distinguishable: ClassVar[bool] = True  # a verdict's "distinguishable" is this interval missing the goal
    margin: ClassVar[float] = 0.1  # share within which two retrained models differ as well

    def needs(self) -> Mapping[str, Ask]:
        pictures = GeneratedImages(self.n, self.steps, self.guidance, self.seed)
        return {
            "after": Ask(Judgements(pictures), of="judge"),
            "retrained": Ask(Judgements(pictures, drawn_by="retrained"), of="judge"),
        }

    def estimate(self, after: JudgementData, retrained: JudgementData) -> Estimate:
        gaps = corrected_shares(after) - corrected_shares(retrained)
        return mean_estimate(gaps, "share", bounds=(-1.0, 1.0))
