"""Palimpsests: a few hundred tokens of text tell whether their writer was trained in my order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ..stats.intervals import mean_estimate
from ._decide import Inequality, number, verdict, words
from ._last_phase import BASE, CHILD, OUTSIDER, PARTITION, LastPhase, LastPhaseData
from ._pool import average, share
from ._seeds import each_seed


@method(paper="arXiv:2510.19796")
@dataclass(frozen=True)
class TextAloneTellsTheTrainingOrder:
    """Up to 320 tokens of a model, or of a child of it, are found at p <= ``level`` by retraining; those of others are not.

    The last tenth of a small model's training is read in 20 orders from one checkpoint, one of them the true one, and
    all of them score the text (see ``_last_phase``): p is the rank of the true order over 20, at best .05. Of the texts of
    such models and of those of children, trained further on 5 % new documents, a share of at least ``found_at_least`` is
    found; of the texts of a model that was trained in another order at most ``falsely_at_most``, where chance is .05.
    Bounds frozen before the run. The partition test, which needs no retraining, stands in the table.

    Source: Kuditipudi, Huang, Zhu, Yang, Potts and Liang, "Blackbox model provenance via palimpsestic membership
    inference", 2025. Deviations: a smaller model and 600 generated documents in place of TinyStories; a constant
    learning rate, and an optimiser that starts anew in the last phase; prompts of 20 tokens and up to 32 drawn at
    temperature 1 are theirs.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: LastPhase = LastPhase()
    level: float = 0.05
    found_at_least: float = 0.8
    falsely_at_most: float = 0.1

    about: ClassVar[tuple[str, ...]] = ("provenance.palimpsest_observational",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[LastPhaseData]) -> Verdict:
        """The rule, on what was measured."""
        found = {kind: share([self._found(data, kind) for data in seeds]) for kind in (BASE, CHILD, OUTSIDER)}
        at = f"found at p <= {number(self.level)}"
        parts = (
            Inequality(f"texts of models {at}", found[BASE], ">=", self.found_at_least),
            Inequality(f"texts of their children {at}", found[CHILD], ">=", self.found_at_least),
            Inequality(f"texts of an outsider {at}", found[OUTSIDER], "<=", self.falsely_at_most),
        )
        above = {kind: words(_above(seeds, kind)) for kind in (BASE, CHILD, OUTSIDER)}
        without = "; ".join(f"{name}: p {_three(seeds, name, 'p_value')}" for name in PARTITION.values())
        return verdict(
            type(self).name,
            parts,
            theirs=(
                "retraining the last phase tells derivatives from a few hundred tokens; the partition test needs hundreds of "
                "thousands"
            ),
            found=(
                f"Above the mean of the other orders the true one is {above[BASE]} nats on a model's own text, {above[CHILD]} on "
                f"that of a child and {above[OUTSIDER]} on an outsider's. Without retraining, a seed: {without}."
            ),
            table=self._table(seeds),
        )

    def _found(self, data: LastPhaseData, kind: str) -> np.ndarray:
        return (data.p_value[data.kind == kind] <= self.level + 1e-9).astype(np.float64)

    def _table(self, seeds: Sequence[LastPhaseData]) -> list[tuple[str, ...]]:
        rows = [("text of", "texts", "tokens each", "found", "above the mean of the other orders, nats")]
        for kind in (BASE, CHILD, OUTSIDER):
            found = share([self._found(data, kind) for data in seeds])
            rows.append((kind, str(found.n), _tokens(seeds, kind), words(found), words(_above(seeds, kind))))
        for name in PARTITION.values():
            said = f"p {_three(seeds, name, 'p_value')}; rank correlation {_three(seeds, name, 'distance')}"
            rows.append((name, str(len(seeds)), f"{_tokens(seeds, name)} words", said, ""))
        return rows


def _above(seeds: Sequence[LastPhaseData], kind: str) -> Estimate:
    """Log-probability of a text under the true order minus the mean of the others."""
    return average([mean_estimate(data.distance[data.kind == kind], "nats") for data in seeds])


def _tokens(seeds: Sequence[LastPhaseData], kind: str) -> str:
    return f"{np.mean(np.concatenate([d.tokens[d.kind == kind] for d in seeds])):.0f}"


def _three(seeds: Sequence[LastPhaseData], kind: str, column: str) -> str:
    """One value a seed."""
    return ", ".join(number(float(x)) for d in seeds for x in getattr(d, column)[d.kind == kind])
