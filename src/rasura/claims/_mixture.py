"""Re-draws of a nested Gaussian mixture, inside its closed-form windows and well after them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..stats import windows as theory


@dataclass(frozen=True)
class MixtureData:
    """One row a window and time."""

    components: np.ndarray  # (n,) int64: how many the window leaves open
    low: np.ndarray  # (n,) T_lower
    high: np.ndarray  # (n,) T_upper
    time: np.ndarray  # (n,) T
    variation: np.ndarray  # (n,) total variation to "open within, closed to the rest", measured


@dataclass(frozen=True)
class Mixture:
    """One seed: eight components in pairs of pairs; two windows, five times in each, and one ``beyond`` its end."""

    tolerance: float = 0.1
    draws: int = 4000
    beyond: float = 1.5

    Data: ClassVar[type] = MixtureData
    testbed: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 1

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> MixtureData:
        """Exact posterior draws; no model takes part."""
        rng = np.random.default_rng([seed, 13])
        means = theory.nested_mixture(rng)
        apart = np.linalg.norm(means[:, None] - means[None], axis=-1)
        rows = []
        for level in (1, 2):
            inside = np.arange(len(means)) >> level == 0
            low, high = theory.window(apart[0, inside].max(), apart[0, ~inside].min(), self.tolerance)
            for time in (*np.linspace(low, high, 5), high + self.beyond):
                found = theory.redraw_components(means, [0], time, self.draws, rng)
                goal = inside / inside.sum()
                rows.append((int(inside.sum()), low, high, time, theory.total_variation(found, goal)))
        tick()
        components, *numbers = zip(*rows, strict=True)
        return MixtureData(np.array(components, dtype=np.int64), *map(np.array, numbers))
