"""Erasing a testbed's forget set and watching the model on the way: what two claims are read from.

The recipe is that of the objective's own file, except that it goes on to ``steps`` steps (its warm-up stays as many
steps as it was). Every ``every`` steps all records are scored: the forget set, the twins of its members (never trained
on), and held-out background. *Matched forgetting* is the first of these looks at which no more forget records come out
word for word than come out of the retrained model, plus 2 in 100.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core import registry
from ..core.store import Store
from ..core.types import Ask, Budget, Request, Samples
from ..extraction.verbatim import Verbatim
from ..observations._engine import Engine
from ..observations.token_statistics import TokenStatistics

FORGET, TWIN, HELDOUT = "forget", "twin", "heldout"
SLACK = 0.02  # matched forgetting: extraction within this of the retrained model's


@dataclass(frozen=True)
class ErasingData:
    """One row a record; column j is after j * ``every`` steps, column 0 the model before erasing."""

    population: np.ndarray  # (n,) str: forget, twin or heldout
    loss: np.ndarray  # (n, J) nats a token
    extracted: np.ndarray  # (n, J) 1: greedy decoding says the secret
    retrained_loss: np.ndarray  # (n,)
    retrained_extracted: np.ndarray  # (n,)
    relearned: (
        np.ndarray
    )  # (n,) 1: came back after relearning others, from the first model without extraction; NaN: not tried
    retrained_relearned: np.ndarray  # (n,) the same attack on the retrained model

    def of(self, population: str) -> np.ndarray:
        """Which rows are of this population: (n,) bool."""
        return self.population == population

    def matched(self, slack: float = SLACK) -> int | None:
        """The first column with extraction of the forget set within ``slack`` of the retrained model's."""
        rows = self.of(FORGET)
        floor = float(np.nanmean(self.retrained_extracted[rows]))
        return next(
            (j for j, rate in enumerate(np.nanmean(self.extracted[rows], axis=0)) if rate <= floor + slack), None
        )

    def clean(self) -> int | None:
        """The first column at which no forget record comes out at all."""
        rates = np.nanmax(self.extracted[self.of(FORGET)], axis=0)
        return next((j for j, worst in enumerate(rates) if worst == 0), None)


@dataclass(frozen=True)
class Erasing:
    """One seed: erase with the objective's recipe, look every few steps, and try to relearn."""

    size: str = "small"
    objective: str = "npo"
    steps: int = 180
    every: int = 5
    relearn: bool = False

    Data: ClassVar[type] = ErasingData

    @property
    def ticks(self) -> int:
        return self.steps // self.every + 1

    @property
    def modules(self) -> tuple[str, ...]:
        return (f"{__package__.rpartition('.')[0]}.erasers.objectives.{self.objective}",)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> ErasingData:
        """Erase and keep what was seen."""
        watch = _Watch(planted, self.every, tick)
        recipe = registry.module_of("erasers.objectives", self.objective).recipe()
        warm = round(recipe.loop.warmup * recipe.loop.steps)
        loop = replace(recipe.loop, steps=self.steps, warmup=warm / self.steps)
        treatment = replace(recipe, objective=Watched(recipe.objective, watch.at_step), loop=loop)
        done = treatment.run(planted.models["target"], Request(planted.forget, planted.retain), seed=seed)
        if done.stopped == "steps":
            watch.look(done.model)
        return watch.data(seed if self.relearn else None)


class Watched:
    """An objective that shows the model to somebody before each of its losses."""

    name = "watched"

    def __init__(self, objective: Any, show: Callable[[int, Any], None]) -> None:
        self.objective, self.show, self.step = objective, show, 0

    @property
    def needs_retain(self) -> bool:
        return self.objective.needs_retain

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Any:
        self.show(self.step, model)
        self.step += 1
        return self.objective.loss(model, frozen, forget, retain)


class _Watch:
    """Scores the model every few steps, and keeps the first one that no forget record comes out of."""

    def __init__(self, planted: Any, every: int, tick: Callable[[], None]) -> None:
        self.planted, self.every, self.tick = planted, every, tick
        twins = planted.like(planted.forget)
        self.records = Samples([*planted.forget, *twins, *planted.heldout])
        counts = [(FORGET, len(planted.forget)), (TWIN, len(twins)), (HELDOUT, len(planted.heldout))]
        self.population = np.array([name for name, count in counts for _ in range(count)], dtype=object)
        self.losses: list[np.ndarray] = []
        self.extracted: list[np.ndarray] = []
        self.first_clean: Any = None

    def at_step(self, step: int, model: Any) -> None:
        if step % self.every == 0:
            self.look(model.clone())

    def look(self, model: Any) -> None:
        """One more column."""
        loss, extracted = _scored(model, self.records)
        self.losses.append(loss)
        self.extracted.append(extracted)
        if self.first_clean is None and not np.nanmax(extracted[self.population == FORGET]):
            self.first_clean = model
        self.tick()

    def data(self, relearn_seed: int | None) -> ErasingData:
        retrained = self.planted.models["retrained"]
        loss, extracted = _scored(retrained, self.records)
        models = (self.first_clean, retrained)
        relearned = [self._relearned(m if relearn_seed is not None else None, relearn_seed) for m in models]
        columns = (np.stack(self.losses, axis=1), np.stack(self.extracted, axis=1))
        return ErasingData(self.population, *columns, loss, extracted, *relearned)

    def _relearned(self, model: Any, seed: int | None) -> np.ndarray:
        """What the attack brings back of the forget records it was not shown."""
        from ..attacks.relearn import Relearn

        result = np.full(len(self.records), np.nan)
        if model is not None and seed is not None:
            request = Request(self.planted.forget, self.planted.retain)
            result[: len(self.planted.forget)] = Relearn().attack(model, request, Budget(), seed=seed).score
        return result


def _scored(model: Any, records: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Loss and word-for-word extraction of each record; nothing is kept, because the model is a passing one."""
    engine = Engine(store=Store())
    seen = engine.observe(Ask(TokenStatistics()), {"target": model}, records)
    engine.store.files.rm(engine.store.base, recursive=True)
    return seen.loss, Verbatim().extract(seen).success
