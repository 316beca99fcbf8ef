"""Forgotten too little or too much, against a model that never saw the records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import difference_of_means


@method(paper="arXiv:2401.06121")
@dataclass(frozen=True)
class LossGap:
    """Loss of the forget records above that of the retrained model, in nats a token; 0 is the goal, both signs are faults.

        gap = mean_i ( L_i(after) - L_i(retrained) ),      L_i = -1/T sum_t log p(x_t | x_<t)

    over the forget records i and their T scored tokens. Negative: the model still knows them. Positive: it shuns them,
    which gives them away as well. The sign is kept, because a distance would hide which fault it is. Paired t interval:
    the same record under both models, so differences between records do not widen it. Records that either model cannot
    score are left out.

    ``better`` is "lower" of the absolute value.

    Source: the comparison with the retained model of Maini, Feng, Schwarzschild, Lipton and Kolter, "TOFU: a task of
    fictitious unlearning for LLMs", 2024; the paper tests equality of distributions (see ``ks_distance``), this
    reports the difference of means.

    By hand: differences 1, 1, 4: mean 2, s = sqrt(3), half width 4.303 sqrt(3)/sqrt(3) = 4.303.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> after, retrained = (SimpleNamespace(loss=np.array(v)) for v in ([3.0, 4.0, 6.0], [2.0, 3.0, 2.0]))
    >>> print(LossGap().estimate(after=after, retrained=retrained))
    2.000 [-2.303, 6.303] (n=3)
    """

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"
    goal: ClassVar[float] = 0.0
    says_distinguishable: ClassVar[bool] = True  # the distance a verdict on an erasure speaks of
    says_distinguishable: ClassVar[bool] = True  # a verdict's "distinguishable" is this interval missing the goal
    margin: ClassVar[float] = 0.2  # nats a token within which two retrained models differ as well

    def needs(self) -> Mapping[str, Ask]:
        return {"after": Ask(TokenStatistics()), "retrained": Ask(TokenStatistics(), "retrained")}

    def estimate(self, after: TokenData, retrained: TokenData) -> Estimate:
        return difference_of_means(after.loss, retrained.loss, "nats a token", paired=True)
