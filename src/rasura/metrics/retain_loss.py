"""Collateral damage, as loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import mean_estimate


@method(paper="arXiv:2401.06121")
@dataclass(frozen=True)
class RetainLoss:
    """Mean loss of the records that must survive, in nats a token.

        L = mean over records of  -1/T sum_t log p(x_t | x_<t)

    over the T scored tokens of each record, every record counting once. t interval over records; records that cannot be
    scored are left out.

    An eraser that trains on the retained records lowers this number by further training alone, which says nothing about
    utility: read it beside ``heldout_loss``.

    Source: Maini, Feng, Schwarzschild, Lipton and Kolter, "TOFU: a task of fictitious unlearning for LLMs", 2024 (the
    retain set); the paper reports the probability exp(-L) of each record.

    By hand: losses 1, 2, 3 have mean 2, s = 1, and 4.303/sqrt(3) = 2.484.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> print(RetainLoss().estimate(retain=SimpleNamespace(loss=np.array([1.0, 2.0, 3.0]))))
    2.000 [-0.484, 4.484] (n=3)
    """

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "retain"

    def needs(self) -> Mapping[str, Ask]:
        return {"retain": Ask(TokenStatistics())}

    def estimate(self, retain: TokenData) -> Estimate:
        return mean_estimate(retain.loss, "nats a token")
