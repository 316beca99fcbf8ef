"""Does the text hold any token that surprised the model?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.token_scores import lowest_mean
from ._math import unscorable_to_nan


@method(paper="arXiv:2310.16789")
@dataclass(frozen=True)
class MinK:
    """Mean log-probability of the share ``k`` of least likely tokens (Min-K% Prob).

        s(x) = (1/m) sum_{t in E} log p(x_t | x_<t),        |E| = m = max(1, floor(k T))

    with E the m *smallest* log-probabilities among the T scored tokens; nats a token, <= 0. A text that was not seen
    tends to hold a few very unlikely tokens. NaN with fewer than ``minimum_tokens`` scored tokens.

    Source: Shi et al., "Detecting pretraining data from large language models", ICLR 2024. Deviations of public code:
    floor(kT) = 0 gives NaN on short texts; one library sorts losses instead of log-probabilities and so keeps the k
    *most* likely tokens; the last token is left out by another; lower means member in several.

    By hand, 5 tokens at k = .4, of which the 2 smallest log-probabilities are -9 and -4:

    >>> from rasura.stats.token_scores import lowest_mean
    >>> lowest_mean(np.array([-1.0, -9.0, -2.0, -4.0, -3.0]), 0.4)
    -6.5
    """

    k: float = 0.2
    minimum_tokens: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.k <= 1:
            raise BadInput(f"min_k: k is a share of the tokens, above 0 and at most 1; got {self.k}")

    def needs(self) -> Mapping[str, Ask]:
        return {"statistics": Ask(TokenStatistics())}

    def score(self, statistics: TokenData) -> np.ndarray:
        scores = statistics.log_probability.reduce(lambda row: lowest_mean(row, self.k))
        return unscorable_to_nan(scores, statistics.tokens, self.minimum_tokens)
