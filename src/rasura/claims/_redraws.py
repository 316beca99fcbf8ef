"""What a judge sees in pictures that were noised to a level and denoised again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Samples
from ..observations._engine import Engine
from ..observations.judgements import to_tensor
from ..observations.redrawn_images import RedrawnImages


@dataclass(frozen=True)
class RedrawData:
    """One row an attribute and picture; classes by number."""

    attribute: np.ndarray  # (n,) str
    picture: np.ndarray  # (n,) int64
    said: np.ndarray  # (n, 1 + levels) int64: of the picture, then of its re-draw from each level
    times: np.ndarray  # (n, levels) int64: training timestep of each level, the same in every row


@dataclass(frozen=True)
class Redraws:
    """One seed: ``pictures`` held-out captions drawn, each noised to ten levels and denoised with the empty prompt."""

    size: str = "small"
    pictures: int = 96

    Data: ClassVar[type] = RedrawData
    testbed: ClassVar[str] = "images"
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 1

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> RedrawData:
        """Each caption once: equal ones would be drawn from equal noise."""
        captions = Samples({s.text: s for s in planted.heldout}.values())
        captions = captions.take(range(min(self.pictures, len(captions))))
        model, what = planted.models["target"], RedrawnImages(seed=seed)
        drawn = Engine(store=Store()).observe(Ask(what), {"target": model}, captions)
        usable = [i for i in range(len(captions)) if len(drawn.pictures(i))]
        seen = _said(planted.judge, np.stack([drawn.pictures(i) for i in usable]))
        tick()
        times = [model.schedule.timesteps(what.steps)[i] for i in what.at]
        n = len(seen) * len(usable)
        return RedrawData(
            attribute=np.repeat(np.array(list(seen), dtype=object), len(usable)),
            picture=np.tile(np.array(usable, dtype=np.int64), len(seen)),
            said=np.concatenate(list(seen.values())).astype(np.int64),
            times=np.tile(np.array(times, dtype=np.int64), (n, 1)),
        )


def _said(judge: Any, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """What the judge calls every picture (n, 1 + levels, side, side, 3), by attribute: class numbers (n, 1 + levels)."""
    n, k = pictures.shape[:2]
    found = judge.probabilities(to_tensor(pictures.reshape(n * k, *pictures.shape[2:]), judge))
    return {a: p.argmax(-1).cpu().numpy().reshape(n, k) for a, p in found.items()}
