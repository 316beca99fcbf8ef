"""How probable the model finds the records it should not know, a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import mean_estimate


@method(paper="arXiv:2401.06121")
@dataclass(frozen=True)
class Probability:
    """Length-normalised probability of the forget records, 0 to 1.

        P = mean_i exp( 1/T sum_t log p(x_t | x_<t) )

    the geometric mean of the probabilities of a record's T scored tokens, averaged over the forget records i. t
    interval over records, cut at 0 and 1; records that cannot be scored are left out.

    Mark the question as context (``Sample.start``), so that only the answer is scored. A collapsed model has P = 0 too:
    read it beside ``loss_gap`` and ``heldout_loss``.

    Source: Maini, Feng, Schwarzschild, Lipton and Kolter, "TOFU: a task of fictitious unlearning for LLMs", 2024
    (Probability). Same as the authors' and open-unlearning's code.

    By hand: mean losses log 2 and log 4 give (1/2 + 1/4)/2.

    >>> from types import SimpleNamespace
    >>> round(Probability().estimate(forget=SimpleNamespace(loss=np.log([2.0, 4.0]))).value, 9)
    0.375
    """

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"

    def needs(self) -> Mapping[str, Ask]:
        return {"forget": Ask(TokenStatistics())}

    def estimate(self, forget: TokenData) -> Estimate:
        return mean_estimate(np.exp(-forget.loss), "probability", bounds=(0.0, 1.0))
