"""Scores against the quantile of texts like them: planted records of all families, and thousands of fresh unseen ones.

Fresh records come from the generators of the planted ones, under another seed and in the families' proportions among
the members; they share no sentence and no name with what was planted. ``known`` of them teach the quantile, chosen at
random; the others are what false positives are counted on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Known, Samples
from ..observations._engine import Engine
from ..observations.token_statistics import TokenStatistics
from ..signals.loss import Loss
from ..signals.quantile_regression import QuantileRegression
from ..testbeds._families import Inventor
from ..testbeds._grammar import split_sentences
from ..testbeds._plants import corpus

MEMBER, KNOWN, UNSEEN = "member", "known", "unseen"
OTHER_SEED = 10_000  # added to the testbed's: what the generators draw from nobody has seen


@dataclass(frozen=True)
class QuantileData:
    """One row a record."""

    population: np.ndarray  # (n,) str: MEMBER, KNOWN (taught the quantile), UNSEEN
    family: np.ndarray  # (n,) str
    dose: np.ndarray  # (n,) int64: copies an epoch
    plain: np.ndarray  # (n,) minus the loss
    above: np.ndarray  # (n,) minus the loss, less the quantile: flagged above 0


@dataclass(frozen=True)
class Quantiles:
    """One seed: fit the quantile to ``known`` fresh records, score the members and ``judged`` other fresh ones."""

    size: str = "small"
    known: int = 1000
    judged: int = 2000
    alpha: float = 0.01

    Data: ClassVar[type] = QuantileData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 1

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> QuantileData:
        """One pass over all records."""
        fresh = fresh_records(self.size, seed, planted.members, self.known + self.judged)
        records = planted.models["target"].fit(Samples([*planted.members, *fresh]), truncate=True)
        seen = Engine(store=Store()).observe(Ask(TokenStatistics()), {"target": planted.models["target"]}, records)
        population = np.array([MEMBER] * len(planted.members) + [UNSEEN] * len(fresh), dtype=object)
        order = np.random.default_rng([seed, 0x0A]).permutation(len(fresh))
        known = len(planted.members) + np.sort(order[: self.known])
        population[known] = KNOWN
        above = QuantileRegression(alpha=self.alpha).score(Known(np.zeros(0, dtype=np.int64), known), seen)
        tick()
        return QuantileData(
            population=population,
            family=np.array([s.family for s in records], dtype=object),
            dose=np.array([s.repeats or 0 for s in records], dtype=np.int64),
            plain=Loss().score(seen),
            above=above,
        )


def fresh_records(size: str, seed: int, members: Samples, n: int) -> Samples:
    """About ``n`` never-seen records, the families in the proportions they have among the members."""
    known = corpus(size, seed)
    texts = [*known.background, *known.heldout.texts, *known.plants.texts]
    seen = {sentence for text in texts for sentence in split_sentences(text)}
    inventor = Inventor(seed + OTHER_SEED)
    inventor.taken |= {word for text in known.plants.texts for word in re.findall(r"\w+", text)}
    counts = Counter(s.family for s in members)
    made = [
        replace(sample, id=f"fresh-{sample.id}", repeats=0)
        for family, count in counts.items()
        for sample in inventor.make(family, round(n * count / len(members)), seen)
    ]
    return Samples(made)
