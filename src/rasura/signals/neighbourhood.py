"""Is the text a local optimum: are near-identical texts clearly less likely?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..core.registry import method
from ..core.types import Ask
from ..observations.neighbour_statistics import NeighbourLikelihoods, NeighbourStatistics
from ..observations.neighbour_texts import NeighbourTexts
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan


def above_neighbours(own: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Mean log-probability of each text minus the mean over its neighbours: (n,), (n,) to (n,).

    A text at -1 nats a token whose neighbours have -2 and -3 lies 1.5 above them.

    >>> above_neighbours(np.array([-1.0]), np.array([np.mean([-2.0, -3.0])])).tolist()
    [1.5]
    """
    return own - neighbours


@method(paper="arXiv:2305.18462")
@dataclass(frozen=True)
class Neighbourhood:
    """Mean log-probability of the text minus that of texts that differ from it in one token.

        s(x) = LL(x) - (1/N) sum_{i=1..N} LL(x^i),        LL(x) = (1/T) sum_t log p(x_t | x_<t)

    nats a token, with x^1..x^N the N = ``neighbours`` best swaps of one token x_j for another c by p(c)/(1 - p(x_j))
    over all places j and the ``candidates`` likeliest tokens at each. p comes from ``source``: a masked language model
    (role "masked"; ``dropout`` hides part of the token's embedding, drawn from ``seed``), the next-token distribution
    of the "reference" model, or "random" tokens, for control only. See ``observations.neighbour_texts``. NaN with
    fewer than ``minimum_tokens`` scored tokens and where no token has a neighbour. Costs N passes of the target, and
    those of the source. Any masked model of the language will do. Fewer neighbours are noisier.

    Source: Mattern, Mireshghallah, Jin, Schoelkopf, Sachan and Berg-Kirkpatrick, "Membership inference attacks against
    language models via neighbourhood comparison", ACL Findings 2023; 50, 6 and .7 are those of their code. Deviations
    from it: the hidden token's word embedding is what is dropped out, before positions are added (their code feeds the
    finished embedding through the embedding layer again, which adds positions twice); swaps are written into the text
    itself (theirs joins the masked model's tokens anew, which changes blanks and capitals everywhere); a token of
    probability 1 needs no exception (theirs divides by .1). Deviations of other public code: the smallest difference
    over the neighbours instead of their mean.

    By hand: see ``above_neighbours``.
    """

    source: Literal["masked", "reference", "random"] = "masked"
    neighbours: int = 50
    candidates: int = 6
    dropout: float = 0.7
    seed: int = 0
    minimum_tokens: int = 8

    across_vocabularies: ClassVar[bool] = True  # neighbours are handed over as texts

    def __post_init__(self) -> None:
        _ = self.texts  # refuses settings that make no sense

    @property
    def texts(self) -> NeighbourTexts:
        return NeighbourTexts(self.source, self.neighbours, self.candidates, self.dropout, self.seed)

    def needs(self) -> Mapping[str, Ask]:
        return {"statistics": Ask(TokenStatistics()), "neighbours": Ask(NeighbourStatistics(self.texts))}

    def score(self, statistics: TokenData, neighbours: NeighbourLikelihoods) -> np.ndarray:
        scores = above_neighbours(-statistics.loss, neighbours.mean_log_probability.mean())
        return unscorable_to_nan(scores, statistics.tokens, self.minimum_tokens)
