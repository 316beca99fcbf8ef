"""Which planted pictures come back from their captions, by how often they were seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Samples
from ..extraction.nearest_picture import NearestPicture
from ..observations._engine import Engine

ANY = 2.0  # no two pictures are farther apart


@dataclass(frozen=True)
class CopyData:
    """One row a planted picture; columns of ``extracted`` and ``guided`` are the distances asked for."""

    dose: np.ndarray  # (n,) int64: times seen, 0 = never
    extracted: np.ndarray  # (n, distances) 1: some picture drawn at guidance 1 is a copy within that distance
    hits: np.ndarray  # (n, distances) share of the pictures drawn that are
    guided: np.ndarray  # (n, distances) as ``extracted``, at ``guidance``
    nearest: (
        np.ndarray
    )  # (n,) share of the pictures drawn whose nearest planted picture is the own one, at any distance
    distance: np.ndarray  # (n,) smallest distance to the own picture among those nearest to it


@dataclass(frozen=True)
class Copies:
    """One seed: ``pictures`` a caption at guidance 1, ``guided_pictures`` at ``guidance``; copies within ``distances``."""

    size: str = "small"
    distances: tuple[float, ...] = (0.15, 0.25)
    pictures: int = 8
    guided_pictures: int = 4
    steps: int = 20
    guidance: float = 4.0

    Data: ClassVar[type] = CopyData
    testbed: ClassVar[str] = "images"
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> CopyData:
        """Candidates are all planted pictures, seen or not."""
        records, engine = Samples([*planted.members, *planted.nonmembers]), Engine(store=Store())

        def found(n: int, guidance: float) -> list[Any]:
            method = NearestPicture(n=n, steps=self.steps, guidance=guidance, seed=seed)
            roles = {"target": planted.models["target"]}
            seen = {name: engine.observe(ask, roles, records) for name, ask in method.needs().items()}
            tick()
            return [replace(method, threshold=d).extract(**seen) for d in (*self.distances, ANY)]

        *plain, any_distance = found(self.pictures, 1.0)
        *guided, _ = found(self.guided_pictures, self.guidance)
        return CopyData(
            dose=np.array([s.repeats or 0 for s in records], dtype=np.int64),
            extracted=np.stack([f.success for f in plain], axis=1),
            hits=np.stack([f.hits for f in plain], axis=1),
            guided=np.stack([f.success for f in guided], axis=1),
            nearest=any_distance.hits,
            distance=any_distance.distance,
        )
