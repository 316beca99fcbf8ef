"""Palimpsests: the order of training shows in the model and in what is made from it, and in no other model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.stats import kstest

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ..stats.intervals import mean_estimate
from ._decide import Inequality, number, verdict, words
from ._descendants import CHILD, OTHER, SELF, Descendants, DescentData
from ._pool import average, share
from ._seeds import each_seed

UNIT = "rank correlation"


@method(paper="arXiv:2510.19796")
@dataclass(frozen=True)
class DescendantsAreDetectedByTrainingOrder:
    """Models and children of theirs are found at p < ``level`` by their order of training; models of other orders are not.

    18 small models, 6 a seed, each read the same texts once in an order of its own (see ``_descendants``). Of the models
    and of their children, trained further on 5 % new texts, a share of at least ``found_at_least`` is found; of models of another
    order at most ``falsely_at_most``, and the Kolmogorov-Smirnov p value of their p values against the uniform
    distribution is above ``uniform_above`` (one number without an interval). Bounds frozen before the run; 18 of 18 is
    .815 at the lower end, and 0 of 18 is .185 at the upper.

    Source: Kuditipudi, Huang, Zhu, Yang, Potts and Liang, "Blackbox model provenance via palimpsestic membership
    inference", 2025. Deviations: 3000 texts in place of up to a million, so a level of .001 in place of 1e-8; a constant
    learning rate; the whole text is scored.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Descendants = Descendants()
    level: float = 0.001
    found_at_least: float = 0.8
    falsely_at_most: float = 0.2
    uniform_above: float = 0.05

    about: ClassVar[tuple[str, ...]] = ("provenance.palimpsest_query",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[DescentData]) -> Verdict:
        """The rule, on what was measured."""
        found = {
            kind: share([(_of(d, kind, "p_value") < self.level).astype(float) for d in seeds])
            for kind in (SELF, CHILD, OTHER)
        }
        at = f"found at p < {number(self.level)}"
        parts = (
            Inequality(f"models {at}", found[SELF], ">=", self.found_at_least),
            Inequality(f"children {at}", found[CHILD], ">=", self.found_at_least),
            Inequality(f"models of another order {at}", found[OTHER], "<=", self.falsely_at_most),
            Inequality("uniformity of the latter's p values", _uniform(seeds), ">", self.uniform_above),
        )
        alone = {
            kind: share([(_of(d, kind, "alone_student") < self.level).astype(float) for d in seeds])
            for kind in (SELF, CHILD)
        }
        return verdict(
            type(self).name,
            parts,
            theirs="p at most 1e-8 for nearly all of over 40 fine-tuned descendants (1 to 12 B parameters), never for independent models",
            found=f"Without a reference model {words(alone[SELF])} of the models and {words(alone[CHILD])} of the children are found.",
            table=_table(seeds, found),
        )


def _of(data: DescentData, kind: str, column: str) -> np.ndarray:
    return getattr(data, column)[data.kind == kind].astype(np.float64)


def _uniform(seeds: Sequence[DescentData]) -> Estimate:
    p = np.concatenate([_of(d, OTHER, "p_value") for d in seeds])
    value = float(kstest(p, "uniform").pvalue)
    return Estimate(value, value, value, len(p), "Kolmogorov-Smirnov p value")


def _table(seeds: Sequence[DescentData], found: dict[str, Estimate]) -> list[tuple[str, ...]]:
    rows = [("suspect", "models", "found", "median p (Student)", "rank correlation", "without a reference")]
    for kind, part in found.items():
        p = float(np.median(np.concatenate([_of(d, kind, "student") for d in seeds])))
        means = [average([mean_estimate(_of(d, kind, c), UNIT) for d in seeds]) for c in ("correlation", "alone")]
        rows.append((kind, str(part.n), words(part), number(p), *map(words, means)))
    return rows
