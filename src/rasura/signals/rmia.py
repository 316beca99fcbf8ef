"""Is the text more beaten by the model, against reference models, than texts of a population it never saw?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Known
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan


def log_ratio(target: np.ndarray, references: np.ndarray, a: float) -> np.ndarray:
    """log of p(x) over its estimated average over models: log p (n,), log p of R reference models (R, n), to (n,).

    p = .4 under the target and .1 and .3 under two references, a = .5: .4 / (.75 * .2 + .25) = 1.

    >>> log_ratio(np.log([0.4]), np.log([[0.1], [0.3]]), 0.5).round(12).tolist()
    [0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # a = 1 has no constant: log 0; NaN stays NaN
        out = np.logaddexp.reduce(references, axis=0) - np.log(len(references))
        return target - np.logaddexp(np.log((1 + a) / 2) + out, np.log((1 - a) / 2))


def share_beaten(ratios: np.ndarray, population: np.ndarray, gamma: float) -> np.ndarray:
    """Share of the population whose log-ratio lies more than log gamma below each of ours: (n,), (k,) to (n,).

    Of a population 1, 2, 3, 4 a ratio of 3 beats 1 and 2 (not its equal); at gamma = 2 only 1:

    >>> z = np.log([4.0, 1.0, 2.0, 3.0])
    >>> share_beaten(np.log([3.0]), z, 1.0).tolist(), share_beaten(np.log([3.0]), z, 2.0).tolist()
    ([0.5], [0.25])
    """
    return np.searchsorted(np.sort(population), ratios - np.log(gamma), side="left") / len(population)


@method(paper="arXiv:2312.03262")
@dataclass(frozen=True)
class Rmia:
    """Share of a population of unseen texts that this text beats in a likelihood-ratio test (RMIA, offline).

        s(x) = 1/|Z| #{ z in Z : r(x) / r(z) > gamma },        r(x) = p(x) / ( (1+a)/2 p_out(x) + (1-a)/2 )

    with p(x) = exp((1/T) sum_t log p(x_t | x_<t)), the geometric mean of the token probabilities, p_out its mean over
    ``references`` comparable models that saw neither x nor z, and Z the known non-members. Between 0 and 1, in steps of
    1/|Z|: a false-positive rate of .1 % needs 1000 of them. A threshold b flags about 1 - b of unseen texts. ``a`` in
    [0, 1] says how little a model's p(x) rises by training on x; .3 is the published code's default, the authors tune it
    by attacking one reference model with the others. Where p is small beside (1-a)/2 the constant swamps p_out; at
    ``a`` = 1 the score is the rank of the difference to the references. A known record is compared with the others of Z.
    NaN where any model scored fewer than ``minimum_tokens``.

    Source: Zarifzadeh, Liu and Shokri, "Low-cost high-power membership inference attacks", 2024. Deviations of public
    code: the authors' code for language models reads the probability a token has at its own position, not the next
    token's; ours is the next token's.

    By hand: see ``log_ratio`` and ``share_beaten``.
    """

    references: int = 1
    a: float = 0.3
    gamma: float = 1.0
    minimum_tokens: int = 8

    learns: ClassVar[str] = "nonmembers"
    least: ClassVar[int] = 8
    few_values: ClassVar[str] = "a share of |Z| records takes |Z| + 1 values; equal ones count half in the AUC"

    def __post_init__(self) -> None:
        if self.references < 1 or not 0 <= self.a <= 1 or not self.gamma > 0:
            raise BadInput(
                f"rmia: references at least 1, a between 0 and 1, gamma above 0; got {self.references}, {self.a}, {self.gamma}"
            )

    def needs(self) -> Mapping[str, Ask]:
        roles = ["reference", *(f"reference_{k}" for k in range(2, self.references + 1))]
        return {"target": Ask(TokenStatistics())} | {role: Ask(TokenStatistics(), of=role) for role in roles}

    def score(self, known: Known, target: TokenData, **references: TokenData) -> np.ndarray:
        """Raises BadInput when a reference cuts text into other tokens, or with fewer than 8 scorable known non-members."""
        for role, data in references.items():
            both = (target.tokens > 0) & (data.tokens > 0)
            if (target.tokens != data.tokens)[both].any():
                raise BadInput(
                    f"rmia: the {role} model cuts the texts into other tokens; it must share the target's tokenizer"
                )
        if not len(target.tokens):
            return np.zeros(0)
        ratios = log_ratio(-target.loss, -np.stack([data.loss for data in references.values()]), self.a)
        tokens = np.minimum.reduce([target.tokens, *(data.tokens for data in references.values())])
        ratios = unscorable_to_nan(ratios, tokens, self.minimum_tokens)
        population = ratios[np.asarray(known.nonmembers, dtype=np.int64)]
        population = population[~np.isnan(population)]
        if len(population) < self.least:
            raise BadInput(f"rmia: needs at least {self.least} scorable known non-members; got {len(population)}")
        return np.where(np.isnan(ratios), np.nan, share_beaten(ratios, population, self.gamma))
