"""Every planted record under the target model: what the claim about doses is read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Samples
from ..extraction.verbatim import Verbatim
from ..observations._engine import Engine
from ..observations.token_statistics import TokenStatistics
from ..signals.loss import Loss


@dataclass(frozen=True)
class DoseData:
    """One row a planted record."""

    family: np.ndarray  # (n,) str
    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    score: np.ndarray  # (n,) minus the loss, nats a token
    extracted: np.ndarray  # (n,) 1: greedy decoding says the secret


@dataclass(frozen=True)
class Doses:
    """One seed: score every planted record under the target model."""

    size: str = "small"

    Data: ClassVar[type] = DoseData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 1

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> DoseData:
        """One pass over members and twins."""
        records = Samples([*planted.members, *planted.nonmembers])
        seen = Engine(store=Store()).observe(Ask(TokenStatistics()), {"target": planted.models["target"]}, records)
        tick()
        return DoseData(
            family=np.array([s.family for s in records], dtype=object),
            dose=np.array([s.repeats or 0 for s in records], dtype=np.int64),
            score=Loss().score(seen),
            extracted=Verbatim().extract(seen).success,
        )
