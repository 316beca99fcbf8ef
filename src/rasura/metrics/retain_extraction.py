"""Collateral damage, word for word: what the model knew by heart and was to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations._suffix import SUFFIX_TOKENS, suffix, verbatim
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import proportion


@method(paper="arXiv:2202.07646")
@dataclass(frozen=True)
class RetainExtraction:
    """Share of the retained records that greedy decoding still completes word for word.

        share = #{ records with rank_t = 0 for all tokens t of the suffix } / n

    with the suffix cut as in ``forget_extraction`` (``prefix_tokens``, ``suffix_tokens``). Clopper-Pearson interval;
    records that cannot be scored are left out.

    Higher is better only as far as the model before the erasure: far above it, the eraser trained these records in
    anew. Memorised records that nobody asked to forget are the most sensitive measure of collateral damage.

    Source: Carlini, Ippolito, Jagielski, Lee, Tramer and Zhang, "Quantifying memorization across neural language
    models", ICLR 2023.

    By hand: of two records one has its whole second half right.

    >>> from rasura.core.types import Ragged
    >>> from types import SimpleNamespace
    >>> ranks = Ragged.of([[3, 1, 0, 0], [0, 0, 0, 2]])
    >>> RetainExtraction().estimate(SimpleNamespace(rank=ranks, tokens=ranks.lengths, cut=ranks.lengths)).value
    0.5
    """

    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS

    better: ClassVar[str] = "higher"
    population: ClassVar[str] = "retain"

    def needs(self) -> Mapping[str, Ask]:
        return {"retain": Ask(TokenStatistics())}

    def estimate(self, retain: TokenData) -> Estimate:
        found = verbatim(suffix(retain, retain.rank, self.prefix_tokens, self.suffix_tokens))
        return proportion(float(np.nansum(found)), int(np.sum(~np.isnan(found))), "share", "clopper-pearson")
