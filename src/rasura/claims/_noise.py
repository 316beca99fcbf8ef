"""MoPe and the plain loss on the same texts, under several strengths of noise: what one claim is read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Samples
from ..observations._engine import Engine
from ..observations.token_statistics import TokenStatistics
from ..signals.loss import Loss
from ..signals.mope import Mope

HELDOUT = -1  # in place of a dose: background the noise is calibrated on


@dataclass(frozen=True)
class NoiseData:
    """One row a text."""

    dose: np.ndarray  # (n,) int64: copies an epoch, -1 = held-out background
    plain: np.ndarray  # (n,) minus the loss
    mope: np.ndarray  # (n, S) rise of the loss under noise, one column a sigma


@dataclass(frozen=True)
class Noise:
    """One seed: passages of low dose, their twins and held-out background, under every strength of noise."""

    size: str = "small"
    highest_dose: int = 4
    sigmas: tuple[float, ...] = (0.005, 0.02, 0.05)
    pairs: int = 10  # 20 perturbed models, as in the paper

    Data: ClassVar[type] = NoiseData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return len(self.sigmas)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> NoiseData:
        """One plain pass, and two for each pair and sigma."""
        low = planted.members.where(lambda s: s.family == "passage" and (s.repeats or 0) <= self.highest_dose)
        twins = planted.nonmembers.where(lambda s: s.family == "passage")
        texts = Samples([*low, *twins, *planted.heldout])
        models = {"target": planted.models["target"]}
        columns = []
        for sigma in self.sigmas:
            engine, signal = Engine(store=Store()), Mope(sigma=sigma, pairs=self.pairs)
            asks = signal.needs()
            seen = engine.observe_all(asks.values(), models, texts)
            columns.append(signal.score(**{name: seen[ask] for name, ask in asks.items()}))
            tick()
        plain = Loss().score(engine.observe(Ask(TokenStatistics()), models, texts))
        dose = [*(s.repeats or 0 for s in (*low, *twins)), *(HELDOUT for _ in planted.heldout)]
        return NoiseData(np.array(dose, dtype=np.int64), plain, np.stack(columns, axis=1))
