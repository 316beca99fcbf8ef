"""Is everything else still drawn?"""

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
class FarPreservation:
    """Share of pictures for prompts far from the concept that show what they should.

        rate = (p + specificity - 1) / (sensitivity + specificity - 1), cut to [0, 1]

    with p the mean over the prompts of the population ``far`` of the share of their ``n`` pictures (DDIM, ``steps`` steps,
    ``guidance``, noises by a hash of prompt, ``seed`` and number) in which the judge sees the class that ``Sample.shows``
    names; sensitivity and specificity are the judge's own on that class, from pictures of known content. Wilson interval
    over prompts, corrected likewise (``_shares.share_of``). Prompts that name no class, or one the judge does not know, are
    left out. Needs the role "judge".

    Source: the accuracy on classes that were not erased of Gandikota, Orgad, Belinkov, Materzynska and Bau, "Unified concept
    editing in diffusion models", WACV 2024; the split into near and far is ours. Deviations as in ``erasure_rate``.

    By hand: pictures seen 1, 1 and 1, 0 by a judge that finds 9 of 10 and imagines 1 of 10: (.75 - .1)/.8 = .8125.

    >>> import numpy as np
    >>> from rasura.core.types import Ragged
    >>> data = JudgementData(Ragged.of([[1, 1], [1, 0]]), np.full(2, 0.9), np.full(2, 0.9), np.array(["", ""], dtype=object))
    >>> round(FarPreservation().estimate(data).value, 9)
    0.8125
    """

    n: int = 4
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0

    modality: ClassVar[str] = "images"
    better: ClassVar[str] = "higher"
    population: ClassVar[str] = "far"

    def needs(self) -> Mapping[str, Ask]:
        return {"far": Ask(Judgements(GeneratedImages(self.n, self.steps, self.guidance, self.seed)), of="judge")}

    def estimate(self, far: JudgementData) -> Estimate:
        return judged_rate(far)
