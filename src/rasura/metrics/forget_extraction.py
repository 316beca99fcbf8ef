"""How many of the records that should be gone still come out word for word."""

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
class ForgetExtraction:
    """Share of the forget records that greedy decoding completes word for word from their own beginning.

        share = #{ records with rank_t = 0 for all tokens t of the suffix } / n

    The suffix begins at the marked secret, else after half of the scored tokens, or after ``prefix_tokens`` scored
    tokens if that is positive; it is at most ``suffix_tokens`` long (0: to the end). Greedy decoding says the suffix if
    and only if every teacher-forced first choice is right, so no text is generated. Clopper-Pearson interval; records
    that cannot be scored are left out.

    0 does not mean unlearned: a model can be one token short of every record. Read it beside ``loss_gap``.

    Source: Carlini, Ippolito, Jagielski, Lee, Tramer and Zhang, "Quantifying memorization across neural language
    models", ICLR 2023.

    By hand: of two records one has its whole second half right.

    >>> from rasura.core.types import Ragged
    >>> from types import SimpleNamespace
    >>> ranks = Ragged.of([[3, 1, 0, 0], [0, 0, 0, 2]])
    >>> print(ForgetExtraction().estimate(SimpleNamespace(rank=ranks, tokens=ranks.lengths, cut=ranks.lengths)))
    0.500 [0.013, 0.987] (n=2)
    """

    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"
    says_extracted: ClassVar[bool] = True  # the share a verdict on an erasure speaks of
    says_extracted: ClassVar[bool] = True  # a verdict's "word for word" is this number

    def needs(self) -> Mapping[str, Ask]:
        return {"forget": Ask(TokenStatistics())}

    def estimate(self, forget: TokenData) -> Estimate:
        found = verbatim(suffix(forget, forget.rank, self.prefix_tokens, self.suffix_tokens))
        return proportion(float(np.nansum(found)), int(np.sum(~np.isnan(found))), "share", "clopper-pearson")
