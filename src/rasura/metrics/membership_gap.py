"""Do the forget records stand out more than they would had the model never seen them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.roc import auc_difference
from ._population import On


@method(paper="arXiv:2407.06460")
@dataclass(frozen=True)
class MembershipGap:
    """Membership AUC minus that of the retrained model; 0 is the goal, both signs are faults.

        gap = AUC(after) - AUC(retrained),     AUC = P(L_forget < L_nonmember), ties counting half

    with L the mean loss of a record in nats a token. Positive: forget records are still recognised. Negative: they are
    recognised as suppressed. Both AUCs are of the same records, so the interval is the paired one of DeLong, DeLong and
    Clarke-Pearson (1988). Records that either model cannot score are left out.

    It does not need the non-members to be of the same kind as the forget records: what sets the two apart for reasons
    other than memory is in both AUCs. ``better`` is "lower" of the absolute value.

    Source: Shi, Lee, Huang, Malladi, Zhao, Holtzman, Liu, Zettlemoyer, Smith and Zhang, "MUSE: machine unlearning
    six-way evaluation for language models", 2024, criterion 3. Deviations: the paper divides by AUC(retrained), which
    explodes where that is small, uses Min-40 %, and gives no interval.

    By hand: after, losses 1, 1 lie below all of 2, 3: AUC 1. Retrained, 2, 3 against 2, 3: (.5 + 1 + 0 + .5)/4 = .5.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> data = [SimpleNamespace(loss=np.array(v)) for v in ([1.0, 1.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0])]
    >>> names = ("forget", "nonmembers", "retrained_forget", "retrained_nonmembers")
    >>> MembershipGap().estimate(**dict(zip(names, data))).value
    0.5
    """

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"
    goal: ClassVar[float] = 0.0
    says_distinguishable: ClassVar[bool] = True  # a verdict's "distinguishable" is this interval missing the goal
    margin: ClassVar[float] = 0.1  # AUC within which two retrained models differ as well

    def needs(self) -> Mapping[str, Any]:
        after, retrained = Ask(TokenStatistics()), Ask(TokenStatistics(), "retrained")
        return {
            "forget": after,
            "nonmembers": On("nonmembers", after),
            "retrained_forget": retrained,
            "retrained_nonmembers": On("nonmembers", retrained),
        }

    def estimate(
        self, forget: TokenData, nonmembers: TokenData, retrained_forget: TokenData, retrained_nonmembers: TokenData
    ) -> Estimate:
        losses = (forget.loss, nonmembers.loss, retrained_forget.loss, retrained_nonmembers.loss)
        return auc_difference(*(-loss for loss in losses)).estimate
