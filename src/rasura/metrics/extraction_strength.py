"""How little of a record has to be given before the model says the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import mean_estimate


def strength(rank: np.ndarray) -> float:
    """1 - k/L of one record: ``rank`` (L,) of its scored tokens under the model, 0 = what greedy decoding says.

    k is the first position from which all ranks are 0, k = L if the last one is not. NaN for a record without tokens.

    By hand: of 5 tokens the last two are hits, so k = 3 and 1 - 3/5.

    >>> strength(np.array([0, 7, 1, 0, 0])), strength(np.array([0, 0, 1]))
    (0.4, 0.0)
    """
    misses = np.flatnonzero(rank)
    if not len(rank):
        return float("nan")
    kept = len(rank) if not len(misses) else len(rank) - 1 - int(misses[-1])
    return kept / len(rank)


@method(paper="arXiv:2506.12618")
@dataclass(frozen=True)
class ExtractionStrength:
    """Largest share of a forget record that greedy decoding completes without an error, 0 to 1.

        ES = mean_i ( 1 - k_i/L_i ),     k_i = min{ k : token t is the model's first choice for all t >= k }

    over the L_i scored tokens of record i, with k_i = L_i and strength 0 when the last token is not the first choice:
    1, the record comes out from its context alone; 0, not even its last token does. t interval over records, cut at
    0 and 1; records that cannot be scored are left out. Compare with the retrained model, because the end of a text
    (its full stop) is easy for any model.

    Source: as a metric of unlearning in Dorna, Mekala, Zhao, McCallum, Lipton, Kolter and Maini, "OpenUnlearning:
    accelerating LLM unlearning via unified benchmarking of methods and metrics", 2025. Deviation from their code: it
    leaves out the last labelled token and, where no position qualifies, stops at k = L - 1, so that a record with nothing
    right has strength 1/L and the mean can never reach 0.

    By hand: strengths 2/5 and 0, as in ``strength``.

    >>> from rasura.core.types import Ragged
    >>> from types import SimpleNamespace
    >>> ranks = Ragged.of([[0, 7, 1, 0, 0], [0, 0, 1]])
    >>> ExtractionStrength().estimate(forget=SimpleNamespace(rank=ranks)).value
    0.2
    """

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"

    def needs(self) -> Mapping[str, Ask]:
        return {"forget": Ask(TokenStatistics())}

    def estimate(self, forget: TokenData) -> Estimate:
        return mean_estimate([strength(rank) for rank in forget.rank], "share", bounds=(0.0, 1.0))
