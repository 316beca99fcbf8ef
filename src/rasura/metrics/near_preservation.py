"""Are the concept's neighbours still drawn?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.generated_images import GeneratedImages
from ..observations.judgements import JudgementData, Judgements
from ._judged import judged_rate


@method(paper="arXiv:2308.14761")
@dataclass(frozen=True)
class NearPreservation:
    """Share of pictures for prompts of the concept's neighbours that show what they should (other shapes, for a shape).

        rate = (p + specificity - 1) / (sensitivity + specificity - 1), cut to [0, 1]

    with p the mean over the prompts of the population ``near`` of the share of their ``n`` pictures (DDIM, ``steps`` steps,
    ``guidance``, noises by a hash of prompt, ``seed`` and number) in which the judge sees the class that ``Sample.shows``
    names; sensitivity and specificity are the judge's own on that class, from pictures of known content. Wilson interval
    over prompts, corrected likewise (``_shares.share_of``). Prompts that name no class, or one the judge does not know, are
    left out. Needs the role "judge".

    Neighbours suffer first: an eraser that draws nothing of the kind any more is seen here.

    Source: the accuracy on classes that were not erased of Gandikota, Orgad, Belinkov, Materzynska and Bau, "Unified concept
    editing in diffusion models", WACV 2024; the split into near and far is ours. Deviations as in ``erasure_rate``.

    By hand: pictures seen 1, 1 and 1, 0 by a judge that finds 9 of 10 and imagines 1 of 10: (.75 - .1)/.8 = .8125.

    >>> import numpy as np
    >>> from rasura.core.types import Ragged
    >>> data = JudgementData(Ragged.of([[1, 1], [1, 0]]), np.full(2, 0.9), np.full(2, 0.9), np.array(["", ""], dtype=object))
    >>> round(NearPreservation().estimate(data).value, 9)
    0.8125
    """

    n: int = 4
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0

    modality: ClassVar[str] = "images"
    better: ClassVar[str] = "higher"
    population: ClassVar[str] = "near"

    def needs(self) -> Mapping[str, Ask]:
        return {"near": Ask(Judgements(GeneratedImages(self.n, self.steps, self.guidance, self.seed)), of="judge")}

    def estimate(self, near: JudgementData) -> Estimate:
        return judged_rate(near)
