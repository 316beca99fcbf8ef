"""Planted passages of middle dose and their neighbours: read by one claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Samples
from ..observations._engine import Engine
from ..signals.loss import Loss
from ..signals.neighbourhood import Neighbourhood

CONTROL = 8  # random swaps a text


@dataclass(frozen=True)
class NeighbourScoresData:
    """One row a passage; larger = more likely a member."""

    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    loss: np.ndarray  # (n,)
    neighbourhood: np.ndarray  # (n,)
    random: np.ndarray  # (n,) the control: random swaps instead


@dataclass(frozen=True)
class NeighbourScores:
    """One seed: passages of these doses and unseen ones, each with its neighbours, under the target model."""

    size: str = "small"
    doses: tuple[int, ...] = (4, 8)
    neighbours: int = 25
    candidates: int = 10

    Data: ClassVar[type] = NeighbourScoresData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> NeighbourScoresData:
        """One pass over the texts and one over the neighbours of each kind."""
        wanted = {0, *self.doses}
        records = (*planted.members, *planted.nonmembers)
        texts = Samples(s for s in records if s.family == "passage" and (s.repeats or 0) in wanted)
        models = {role: planted.models[role] for role in ("target", "reference")}
        engine = Engine(store=Store())
        columns = {}
        for name, signal in self.signals.items():
            asks = signal.needs()
            seen = engine.observe_all(asks.values(), models, texts)
            columns[name] = signal.score(**{key: seen[ask] for key, ask in asks.items()})
            tick()
        plain = Loss().score(engine.observe(Loss().needs()["statistics"], models, texts))
        return NeighbourScoresData(np.array([s.repeats or 0 for s in texts], dtype=np.int64), plain, **columns)

    @property
    def signals(self) -> dict[str, Neighbourhood]:
        return {
            "neighbourhood": Neighbourhood("reference", self.neighbours, self.candidates),
            "random": Neighbourhood("random", CONTROL, self.candidates),
        }
