"""How probable each planted record's suffix is, and how often it really comes out when one samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Samples
from ..extraction.sampled import Sampled
from ..extraction.verbatim import Verbatim
from ..observations._engine import Engine
from ..observations._suffix import SUFFIX_TOKENS
from ..observations.generations import Generations
from ..observations.token_statistics import TokenStatistics


@dataclass(frozen=True)
class AttemptData:
    """One row a planted record."""

    family: np.ndarray  # (n,) str
    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    greedy: np.ndarray  # (n,) 1: greedy decoding says the suffix
    log_probability: np.ndarray  # (n,) nats: of the suffix, drawn at temperature 1
    drawn: np.ndarray  # (n,) how many of the draws are the suffix; NaN where none were made
    draws: np.ndarray  # (n,) int64: how many were made


@dataclass(frozen=True)
class Attempts:
    """One seed: every planted record scored, some of them really sampled.

    Sampled are at most ``sampled`` records, chosen by chance among those whose suffix has a probability between
    ``least`` and ``most``: outside of it, ``draws`` draws would show next to nothing.
    """

    size: str = "small"
    draws: int = 200
    sampled: int = 40
    least: float = 0.01
    most: float = 0.99

    Data: ClassVar[type] = AttemptData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> AttemptData:
        """One pass over all records, and ``draws`` continuations of those that are sampled."""
        records = Samples([*planted.members, *planted.nonmembers])
        engine, models = Engine(store=Store()), {"target": planted.models["target"]}
        seen = engine.observe(Ask(TokenStatistics()), models, records)
        log_p = Sampled().extract(seen).log_probability
        tick()
        likely = np.flatnonzero((np.exp(log_p) >= self.least) & (np.exp(log_p) <= self.most))
        chosen = np.sort(np.random.default_rng([seed, 0xA7]).permutation(likely)[: self.sampled])
        drawn = np.full(len(records), np.nan)
        drawn[chosen] = self._hits(engine, models, records.take(chosen), seed)
        tick()
        return AttemptData(
            family=np.array([s.family for s in records], dtype=object),
            dose=np.array([s.repeats or 0 for s in records], dtype=np.int64),
            greedy=Verbatim().extract(seen).success,
            log_probability=log_p,
            drawn=drawn,
            draws=np.where(np.isnan(drawn), 0, self.draws),
        )

    def _hits(self, engine: Engine, models: Any, records: Samples, seed: int) -> list[int]:
        """How many draws begin with the suffix, as long as the extractor takes it."""
        asked = Generations(samples_each=self.draws, temperature=1.0, new_tokens=SUFFIX_TOKENS, seed=seed)
        said = engine.observe(Ask(asked), models, records)
        wanted = [true[:SUFFIX_TOKENS] for true in said.true_ids]
        return [sum(np.array_equal(d[: len(w)], w) for d in said.draws(i)) for i, w in enumerate(wanted)]
