"""Can the forget records still be told from records never seen?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.roc import auc_estimate
from ._population import On


@method(paper="arXiv:2407.06460")
@dataclass(frozen=True)
class MembershipAuc:
    """AUC of the loss telling forget records from non-members; .5 is the goal, both sides of it are faults.

        AUC = P(L_forget < L_nonmember) + P(L_forget = L_nonmember)/2

    over all pairs of a forget record and a record of the population ``nonmembers``, L the mean loss of a record in nats
    a token. Above .5 the records look memorised; below, they stand out as suppressed. DeLong interval. Records that
    cannot be scored are left out.

    .5 is the goal only if the non-members are of the same kind as the forget records (twins); where they are not, the
    retrained model's own AUC is: see ``membership_gap``. ``better`` is "lower" of the distance to the goal.

    Source: Shi, Lee, Huang, Malladi, Zhao, Holtzman, Liu, Zettlemoyer, Smith and Zhang, "MUSE: machine unlearning
    six-way evaluation for language models", 2024, criterion 3. Deviations: the paper uses Min-40 % in place of the
    loss, and the authors' code counts the pairs the other way round (its value is 1 - AUC).

    By hand: of the pairs (1, 2), (1, 3), (3, 2), (3, 3) the forget loss is lower in two and equal in one: 2.5/4.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> forget, nonmembers = (SimpleNamespace(loss=np.array(v)) for v in ([1.0, 3.0], [2.0, 3.0]))
    >>> MembershipAuc().estimate(forget=forget, nonmembers=nonmembers).value
    0.625
    """

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"
    goal: ClassVar[float] = 0.5

    def needs(self) -> Mapping[str, Any]:
        ask = Ask(TokenStatistics())
        return {"forget": ask, "nonmembers": On("nonmembers", ask)}

    def estimate(self, forget: TokenData, nonmembers: TokenData) -> Estimate:
        return auc_estimate(-forget.loss, -nonmembers.loss)
