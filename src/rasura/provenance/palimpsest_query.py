"""Does a model know the later texts of my training better than the earlier ones, in my order?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.protocols import Query
from ..core.records import MarkTest
from ..core.registry import method
from ..core.types import Ask
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.randomness import spearman
from ._math import order_p_value, student_p_value

LEAST = 20  # texts or blocks below which an order says nothing


@method(paper="arXiv:2510.19796")
@dataclass(frozen=True)
class PalimpsestQuery:
    """Correlation of a training's order with what a model knows of its texts: was this model made from mine?

        y_i = mean_t log p(x_it | x_i<t) - mean_t log p_ref(x_it | x_i<t),     t in the window
        rho = Spearman's correlation of position_i and y_i
        p   = (1 + #{ j : rho(pi_j) >= rho }) / (1 + ``draws``),     pi_j orders drawn at random

    The window is ``window`` tokens (0: all the rest) after a prefix of ``prefix_tokens`` scored tokens; nats a token.
    Without a reference model the second term is absent: valid, but weaker. Valid if the order was shuffled uniformly and
    independently of everything else; curricula, length bucketing and several epochs break that. What was shuffled as
    a whole (a batch, a shard) must be named by the transcript's ``block``: then y is averaged over each block and blocks
    are permuted. The reference must not share the order (a run with the same seed does): where it follows the order
    itself, a third test says so. Beside the exact p value stands Student's approximation, for values below 1/(1 + draws).

    Texts with fewer than ``minimum_tokens`` tokens in their window take no part; BadInput when fewer than 20 texts, or
    blocks, are left.

    Source: Kuditipudi, Huang, Zhu, Yang, Potts and Liang, "Blackbox model provenance via palimpsestic membership
    inference", 2025: 32 tokens after 32. Deviations from their code: it correlates np.argsort(order) and log-perplexity
    with a two-sided p value, which is the order's inverse unless the texts lie in their order; here positions are ranked,
    higher means better known, and p is one-sided.

    By hand: see ``_math.order_p_value``.

    >>> spearman([1, 2, 3, 4, 5], [0.1, 0.2, 0.3, 0.4, 0.5]).value
    1.0
    """

    prefix_tokens: int = 32
    window: int = 32
    draws: int = 9999
    minimum_tokens: int = 8
    seed: int = 0

    evidence: ClassVar[str] = "transcript"
    finds: ClassVar[str] = "the model descends from the training in this order"
    testbed_settings: ClassVar[Mapping[str, int]] = {"prefix_tokens": 0, "window": 0}
    testbed_reason: ClassVar[str] = "the texts of a testbed are shorter than 64 tokens"

    def __post_init__(self) -> None:
        if min(self.prefix_tokens, self.window) < 0 or self.draws < 1:
            raise BadInput("palimpsest_query: prefix_tokens and window from 0, draws from 1")

    def queries(self, evidence: Any, roles: Collection[str]) -> Mapping[str, Query]:
        return {
            role: Query(Ask(TokenStatistics(), of=role), evidence.samples)
            for role in ("target", "reference")
            if role in roles
        }

    def test(self, evidence: Any, target: TokenData, reference: TokenData | None = None) -> tuple[MarkTest, ...]:
        known = self._known(target)
        base = None if reference is None else self._known(reference)
        order, values = self._blocks(evidence, known if base is None else known - base)
        rho = spearman(order, values)
        exact = MarkTest("order, permuted", rho, self._p_value(order, values), len(order))
        found = [exact, MarkTest("order, Student's t", rho, student_p_value(rho.value, len(order)), len(order))]
        if base is not None:
            order, values = self._blocks(evidence, base)
            note = "a small p value here means that the reference shares the order: then the first test says nothing"
            p = self._p_value(order, values)
            found.append(MarkTest("order under the reference alone", spearman(order, values), p, len(order), note))
        return tuple(found)

    def _p_value(self, order: np.ndarray, values: np.ndarray) -> float:
        if np.ptp(order) == 0 or np.ptp(values) == 0:
            return float("nan")
        return order_p_value(order, values, self.draws, self.seed)

    def _known(self, data: TokenData) -> np.ndarray:
        """Mean log-probability of each text's window: (n,), NaN where it is too short."""
        end = self.prefix_tokens + self.window if self.window else None
        rows = [row[self.prefix_tokens : end] for row in data.log_probability]
        least = max(1, self.minimum_tokens)
        return np.array([float(np.mean(r, dtype=np.float64)) if len(r) >= least else np.nan for r in rows])

    def _blocks(self, evidence: Any, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position and mean value of each piece that was shuffled as a whole."""
        good = np.flatnonzero(~np.isnan(values))
        block = np.where(evidence.block < 0, np.arange(len(values)), evidence.block)[good]
        names, at = np.unique(block, return_inverse=True)
        if len(names) < LEAST:
            raise BadInput(
                f"palimpsest_query: {len(names)} texts or blocks can be scored, at least {LEAST} are needed "
                f"(a text needs {self.prefix_tokens + self.minimum_tokens} tokens; a smaller prefix_tokens needs fewer)"
            )
        size = np.bincount(at)
        return tuple(np.bincount(at, weights=w[good]) / size for w in (evidence.position, values))  # type: ignore[return-value]
