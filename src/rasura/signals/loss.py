"""The plainest signal: how easy the model finds the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan


def mean_log_probability(log_probability: np.ndarray) -> float:
    """(1/T) sum_t log p(x_t | x_<t) of one text: (T,) nats to nats a token.

    Two tokens of probability 1/2 and 1/8: -(log 2 + log 8)/2 = -2 log 2.

    >>> round(mean_log_probability(np.log([0.5, 0.125])) / float(np.log(2)), 12)
    -2.0
    """
    return float(np.mean(log_probability))


@method(paper="arXiv:1709.01604")
@dataclass(frozen=True)
class Loss:
    """Mean log-probability of the text: the floor every other signal must beat.

        s(x) = (1/T) sum_{t=1..T} log p(x_t | x_<t)        nats a token, <= 0

    over the T scored tokens; NaN with fewer than ``minimum_tokens``. It measures difficulty as much as membership:
    short, repetitive or templated texts score high unseen.

    Source: Yeom, Giacomelli, Fredrikson and Jha, "Privacy risk in machine learning: analyzing the connection to
    overfitting", CSF 2018, whose attack thresholds the loss; here its negative, the token mean, so that texts of
    different lengths compare. Deviations of public code: some call the mean negative log-likelihood a log-likelihood, so
    that lower means member; some score padding, which makes a score depend on the batch; some drop tokens of id 0 or of
    loss 0; some divide by the unshifted count of labels, one too many.

    By hand: see ``mean_log_probability``.
    """

    minimum_tokens: int = 8

    baseline: ClassVar[bool] = True  # what an audit compares the other signals with

    def needs(self) -> Mapping[str, Ask]:
        return {"statistics": Ask(TokenStatistics())}

    def score(self, statistics: TokenData) -> np.ndarray:
        scores = statistics.log_probability.reduce(mean_log_probability)
        return unscorable_to_nan(scores, statistics.tokens, self.minimum_tokens)
