"""How surprised the model is by the records it should not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import mean_estimate


@method(paper="arXiv:2210.01504")
@dataclass(frozen=True)
class ForgetLoss:
    """Mean loss of the forget records, in nats a token.

        L = mean over records of  -1/T sum_t log p(x_t | x_<t)

    over the T scored tokens of each record: every record counts once, whatever its length; padding and context take no
    part. t interval over records; records that cannot be scored are left out of mean and n.

    Higher is better only as far as the loss of a model that never saw the records: beyond it they stand out again. That
    is what ``loss_gap`` measures; this number alone does not show over-forgetting.

    Source: Jang, Yoon, Yang, Cha, Lee, Logeswaran and Seo, "Knowledge unlearning for mitigating privacy risks in
    language models", ACL 2023, where raising this loss is the objective.

    By hand: losses 1, 2, 3 have mean 2, s = 1, and 4.303/sqrt(3) = 2.484.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> print(ForgetLoss().estimate(forget=SimpleNamespace(loss=np.array([1.0, 2.0, 3.0]))))
    2.000 [-0.484, 4.484] (n=3)
    """

    better: ClassVar[str] = "higher"
    population: ClassVar[str] = "forget"

    def needs(self) -> Mapping[str, Ask]:
        return {"forget": Ask(TokenStatistics())}

    def estimate(self, forget: TokenData) -> Estimate:
        return mean_estimate(forget.loss, "nats a token")
