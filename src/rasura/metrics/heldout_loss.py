"""Utility on text that had no part in anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import mean_estimate


@method(paper="arXiv:2407.06460")
@dataclass(frozen=True)
class HeldoutLoss:
    """Mean loss of records never trained on, in nats a token: the clean measure of utility.

        L = mean over records of  -1/T sum_t log p(x_t | x_<t)

    over the T scored tokens of each record, every record counting once. t interval over records; records that cannot be
    scored are left out.

    Records that an erasure was told to retain take part in its training and can get better by it alone
    (``retain_loss``); held-out ones cannot.

    Source: the deployer's side of Shi, Lee, Huang, Malladi, Zhao, Holtzman, Liu, Zettlemoyer, Smith and Zhang, "MUSE:
    machine unlearning six-way evaluation for language models", 2024, which measures utility on records apart from the
    forget set; the paper scores generated answers, this scores every token.

    By hand: losses 1, 2, 3 have mean 2, s = 1, and 4.303/sqrt(3) = 2.484.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> print(HeldoutLoss().estimate(heldout=SimpleNamespace(loss=np.array([1.0, 2.0, 3.0]))))
    2.000 [-0.484, 4.484] (n=3)
    """

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "heldout"

    def needs(self) -> Mapping[str, Ask]:
        return {"heldout": Ask(TokenStatistics())}

    def estimate(self, heldout: TokenData) -> Estimate:
        return mean_estimate(heldout.loss, "nats a token")
