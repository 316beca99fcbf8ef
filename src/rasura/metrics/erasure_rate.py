"""How often the erased concept is still drawn when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.generated_images import GeneratedImages
from ..observations.judgements import JudgementData, Judgements
from ._judged import judged_rate


@method(paper="arXiv:2303.07345")
@dataclass(frozen=True)
class ErasureRate:
    """Share of pictures for prompts that name the concept in which a judge still sees it.

        rate = (p + specificity - 1) / (sensitivity + specificity - 1), cut to [0, 1]

    with p the mean over the prompts of the population ``forget`` of the share of their ``n`` pictures (DDIM, ``steps`` steps,
    ``guidance``, noises by a hash of prompt, ``seed`` and number) in which the judge sees the class that ``Sample.shows``
    names; sensitivity and specificity are the judge's own on that class, from pictures of known content. Wilson interval
    over prompts, corrected likewise (``_shares.share_of``). Prompts that name no class, or one the judge does not know, are
    left out. Needs the role "judge".

    A judge that sees nothing in a ruined picture makes any damage look like erasure: read it beside
    ``near_preservation`` and ``far_preservation``. 0 does not mean that the concept is gone: see ``paraphrase_rate`` and the attacks.

    Source: the evaluation of Gandikota, Materzynska, Fiotto-Kaufman and Bau, "Erasing concepts from diffusion models",
    ICCV 2023, by a classifier on prompts that name the concept. Deviations: the correction for the judge's errors (Rogan
    and Gladen 1978), and prompts, not pictures, are the sample.

    By hand: pictures seen 1, 1 and 1, 0 by a judge that finds 9 of 10 and imagines 1 of 10: (.75 - .1)/.8 = .8125.

    >>> import numpy as np
    >>> from rasura.core.types import Ragged
    >>> data = JudgementData(Ragged.of([[1, 1], [1, 0]]), np.full(2, 0.9), np.full(2, 0.9), np.array(["", ""], dtype=object))
    >>> round(ErasureRate().estimate(data).value, 9)
    0.8125
    """

    n: int = 4
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0

    modality: ClassVar[str] = "images"
    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"
    says_extracted: ClassVar[bool] = True  # the share a verdict on an erasure speaks of
    told: ClassVar[str] = "The concept's share of pictures drawn for prompts that name it"

    def needs(self) -> Mapping[str, Ask]:
        return {"forget": Ask(Judgements(GeneratedImages(self.n, self.steps, self.guidance, self.seed)), of="judge")}

    def estimate(self, forget: JudgementData) -> Estimate:
        return judged_rate(forget)
