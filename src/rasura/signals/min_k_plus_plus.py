"""Min-K% corrected for how uncertain the model was at each position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.token_scores import lowest_mean, standardised
from ._math import unscorable_to_nan


@method(paper="arXiv:2404.02936")
@dataclass(frozen=True)
class MinKPlusPlus:
    """Mean standardised log-probability of the share ``k`` of tokens where it is lowest (Min-K%++).

        z_t = (log p(x_t | x_<t) - mu_t) / sqrt(max(sigma_t^2, 1e-6)),    s(x) = mean of the max(1, floor(k T)) smallest z_t
        mu_t = sum_v p_v log p_v,        sigma_t^2 = sum_v p_v (log p_v - mu_t)^2        under p = p(. | x_<t)

    over the T scored tokens; no unit. The token is measured against what the model expected at that place. NaN with
    fewer than ``minimum_tokens`` scored tokens.

    Source: Zhang et al., "Min-K%++: improved baseline for detecting pre-training data from large language models", ICLR
    2025. Deviations of public code: no floor under the variance, so that a certain token gives NaN; mean and deviation
    over the vocabulary without the weights p_v, another and worse statistic; floor(kT) = 0 gives NaN.

    By hand: probabilities 1/2, 1/4, 1/4 and the token of 1/4, mu = -1.5 log 2, sigma = .5 log 2: z = (-2 + 1.5)/.5 = -1; a
    token the model was certain of has z = 0. The lowest half of the two is the first:

    >>> z = standardised(*np.log(2) * np.array([[-2.0, 0.0], [-1.5, 0.0], [0.5, 0.0]]))
    >>> round(lowest_mean(z, 0.5), 12)
    -1.0
    """

    k: float = 0.2
    minimum_tokens: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.k <= 1:
            raise BadInput(f"min_k_plus_plus: k is a share of the tokens, above 0 and at most 1; got {self.k}")

    def needs(self) -> Mapping[str, Ask]:
        return {"statistics": Ask(TokenStatistics())}

    def score(self, statistics: TokenData) -> np.ndarray:
        rows = zip(statistics.log_probability, statistics.mean, statistics.deviation, strict=True)
        scores = np.array([lowest_mean(standardised(*row), self.k) for row in rows], dtype=np.float64)
        return unscorable_to_nan(scores, statistics.tokens, self.minimum_tokens)
